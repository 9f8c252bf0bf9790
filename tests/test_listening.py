"""Live sound: the same commands as from a file, and a program for each of them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechrec.bundle import read_bundle, write_bundle
from speechrec.cli import _ENDING
from speechrec.cli_common import standard_input
from speechrec.cli_stream import _thresholds
from speechrec.errors import AudioError, ConfigError
from speechrec.listening import LEAST_DB, CommandRunner, level_db, listen
from speechrec.recognizer import Recognizer
from speechrec.stream import Detection, Detector

FOUND = Detection("right", 0.82, 1.3, 0.97)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "speechrec", *map(str, arguments)]


def program(tmp_path: Path, text: str) -> str:
    """A Python program as an --exec command."""
    path = tmp_path / "program.py"
    path.write_text(text)
    return f"'{sys.executable}' '{path}'"


@pytest.fixture
def lines() -> list[str]:
    return []


def find(detector: Detector, wave: np.ndarray) -> list[Detection]:
    return [*detector.push(wave), *detector.finish()]


def samples_of(path: Path) -> bytes:
    return soundfile.read(path, dtype="int16")[0].tobytes()


def test_standard_input_gives_what_the_file_gives(recogniser_file: Path, stream_file: Path) -> None:
    """`listen -` reports bit for bit the detections of `predict` on the same sound."""
    of_file = subprocess.run(
        command("predict", "--json", "--model", recogniser_file, stream_file),
        capture_output=True,
        check=True,
    )
    live = subprocess.run(
        command("listen", "-", "--json", "--model", recogniser_file),
        input=samples_of(stream_file),
        capture_output=True,
        check=True,
    )
    wanted = json.loads(of_file.stdout)["detections"]
    assert [json.loads(line) for line in live.stdout.splitlines()] == wanted
    assert len(wanted) > 1


def test_a_command_is_reported_while_the_sound_goes_on(
    recogniser_file: Path, stream_file: Path
) -> None:
    """A detection comes out of the pipe before the pipe is closed, and Ctrl-C ends in peace."""
    with subprocess.Popen(
        command("listen", "-", "--model", recogniser_file),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell that runs the tests in its background has told them to ignore it.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(samples_of(stream_file))
        process.stdin.flush()
        assert b" s  " in process.stdout.readline()
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_detections_before_a_fault_are_reported(recogniser_file: Path) -> None:
    """What was heard before a sound goes wrong has been reported by then."""
    recognizer = Recognizer.load(recogniser_file)
    detector = Detector(recognizer)
    levels: list[float] = []

    def blocks() -> Iterator[np.ndarray]:
        yield np.zeros(1600, np.float32)
        raise AudioError("unreadable", "gone")

    with pytest.raises(AudioError, match="gone"):
        listen(detector, blocks(), on_detection=lambda found: None, on_level=levels.append)
    assert levels == [LEAST_DB]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(143)], ids=repr)
def test_what_is_in_doubt_when_stopped_is_reported(
    recogniser_file: Path, stream_file: Path, stop: BaseException
) -> None:
    """What was said right before Ctrl-C or a signal is reported as at the end of the sound.

    After a signal it still ends with that code.
    """
    wave = soundfile.read(stream_file, dtype="float32")[0]
    recognizer = Recognizer.load(recogniser_file)
    last = find(Detector(recognizer), wave)[-1]
    # The last word has been said, and is not certain yet.
    cut = wave[: round((last.end_s + 0.08) * 16_000)]
    wanted, so_far = find(Detector(recognizer), cut), Detector(recognizer).push(cut)
    assert len(so_far) < len(wanted)

    def blocks() -> Iterator[np.ndarray]:
        yield cut
        raise stop

    found: list[Detection] = []
    with pytest.raises(SystemExit) if isinstance(stop, SystemExit) else nullcontext():
        listen(Detector(recognizer), blocks(), on_detection=found.append)
    assert found == wanted


def test_level() -> None:
    """The level of a full-scale square wave is 0 dBFS, half of it 6 dB less."""
    square = np.resize(np.float32([1, -1]), 100)
    assert level_db(square) == pytest.approx(0)
    assert level_db(square / 2) == pytest.approx(-6.02, abs=0.01)
    # A constant offset is no sound.
    assert level_db(square / 4 + np.float32(0.5)) == pytest.approx(-12.04, abs=0.01)
    assert level_db(np.full(100, 0.5, np.float32)) == LEAST_DB


def test_a_program_is_told_what_was_heard(tmp_path: Path, lines: list[str]) -> None:
    """Arguments and environment hold label, confidence and times; other braces stay."""
    out = tmp_path / "out.json"
    text = (
        "import json, os, sys\n"
        f"open({str(out)!r}, 'w').write(json.dumps([sys.argv[1:], os.environ['SPEECHREC_LABEL']]))"
    )
    run = CommandRunner(
        program(tmp_path, text) + " {label} 'at {start}' '{\"a\": 1}'", say=lines.append
    )
    run(FOUND)
    run.finish()
    assert json.loads(out.read_text()) == [["right", "at 0.820", '{"a": 1}'], "right"]
    assert lines == []


def test_no_shell(tmp_path: Path, lines: list[str]) -> None:
    """What a shell would expand or run is handed over as it is."""
    out = tmp_path / "out.json"
    text = f"import json, sys; open({str(out)!r}, 'w').write(json.dumps(sys.argv[1:]))"
    run = CommandRunner(program(tmp_path, text) + " ';' touch '$HOME' '`id`' '*'", say=lines.append)
    run(FOUND)
    run.finish()
    assert json.loads(out.read_text()) == [";", "touch", "$HOME", "`id`", "*"]


def test_what_programs_print_may_go_elsewhere(tmp_path: Path, lines: list[str]) -> None:
    """Between the lines of `listen --json` it would be no JSON."""
    with (tmp_path / "out.txt").open("w") as output:
        run = CommandRunner(program(tmp_path, "print('on')"), say=lines.append, output=output)
        run(FOUND)
        run.finish()
    assert (tmp_path / "out.txt").read_text() == "on\n"


def test_a_program_that_fails_is_said(tmp_path: Path, lines: list[str]) -> None:
    """A program that ends with an error is named with its exit code, once."""
    run = CommandRunner(program(tmp_path, "raise SystemExit(3)"), say=lines.append)
    run(FOUND)
    run.finish()
    run.finish()
    assert len(lines) == 1
    assert lines[0].endswith("ended with 3")


def test_sound_is_not_kept_waiting(tmp_path: Path, lines: list[str]) -> None:
    """Programs are not waited for; past eight at once they are not started, and that is said."""
    wait = tmp_path / "wait"
    wait.touch()
    text = f"import os, time\nwhile os.path.exists({str(wait)!r}): time.sleep(0.01)"
    run = CommandRunner(program(tmp_path, text), say=lines.append)
    for _ in range(9):
        run(FOUND)
    assert len(lines) == 1
    assert "right" in lines[0]
    wait.unlink()
    run.finish()
    run(FOUND)
    run.finish()
    assert len(lines) == 1


def test_a_program_that_may_not_be_executed(tmp_path: Path, lines: list[str]) -> None:
    """A file that is there is not called missing."""
    (tmp_path / "lamp.sh").write_text("#!/bin/sh\n")
    with pytest.raises(ConfigError, match=r"cannot be executed; chmod \+x .*lamp\.sh"):
        CommandRunner(f"'{tmp_path / 'lamp.sh'}' on", say=lines.append)


@pytest.mark.parametrize("wrong", ["", "no-such-program-here {label}", "echo 'unclosed"])
def test_programs_that_cannot_be(wrong: str, lines: list[str]) -> None:
    """An --exec that can never work is refused before anything is heard."""
    with pytest.raises(ConfigError, match="--exec"):
        CommandRunner(wrong, say=lines.append)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["file.wav"], "speechrec predict file.wav"),
        (["-", "--threshold", "high"], "--threshold"),
        (["-", "--threshold", "never=0.5"], "never"),
        (["-", "--threshold", "1.5"], "1.5"),
        (["-", "--encoding", "mp3"], "encoding"),
        (["-", "--rate", "1"], "rate"),
        (["-", "--device", "usb"], "--device: is for microphones"),
        (["--rate", "8000"], "--rate: is for standard input"),
    ],
)
def test_wrong_options_are_one_line(
    recogniser_file: Path, options: list[str], message: str
) -> None:
    """A wrong option ends with one line that says what was expected, and no traceback."""
    environment = {**os.environ, "SPEECHREC_MODEL": str(recogniser_file)}
    done = subprocess.run(
        command("listen", *options),
        input=b"", capture_output=True, text=False, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    last = done.stderr.decode().splitlines()[-1]
    assert last.startswith("speechrec: ")
    assert message in last
    assert b"Traceback" not in done.stderr


def test_resampled_sound_that_breaks_off_is_one_line(recogniser_file: Path) -> None:
    """What the resampler has open is closed before Python ends, which would tell of it."""
    samples = np.zeros(48_000, dtype="<f4")
    samples[40_000] = np.nan
    done = subprocess.run(
        command("listen", "-", "--rate", "48000", "--encoding", "f32le", "--model", recogniser_file,
                "--threshold", "0.9"),
        input=samples.tobytes(), capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert "NaN or infinit" in line


def test_standard_input_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where whoever made the pipe has said that nobody is to wait."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with open(reading, encoding="utf-8") as stdin, open(writing, "w", encoding="utf-8"):
        monkeypatch.setattr(sys, "stdin", stdin)
        assert standard_input() is stdin.buffer
        assert os.get_blocking(reading)


@pytest.mark.parametrize(
    "options",
    [["0.9", "up=0.5", "no=1"], ["up=0.5", "no=1", "0.9"], ["0.3", "no=1", "0.9", "up=0.5"]],
)
def test_a_commands_own_threshold_goes_first(options: list[str]) -> None:
    """In whatever order: one without a label is for the others, and the last such counts."""
    assert _thresholds(options, ("up", "no", "go")) == {"up": 0.5, "no": 1.0, "go": 0.9}


@pytest.mark.parametrize("option", ["=0.5", "up=", "up", ""])
def test_a_threshold_that_is_none(option: str) -> None:
    """A number is needed, and where there is an equals sign, a command before it."""
    with pytest.raises(ConfigError, match="--threshold: expected a number"):
        _thresholds([option], ("up",))


def test_a_threshold_mutes(recogniser_file: Path, stream_file: Path) -> None:
    """A threshold for one command leaves the others as they are."""
    heard = {}
    for option in ([], ["--threshold", "rise=1.0"]):
        done = subprocess.run(
            command("listen", "-", "--json", "--model", recogniser_file, *option),
            input=samples_of(stream_file), capture_output=True, check=True,
        )  # fmt: skip
        heard[len(option)] = [json.loads(line)["label"] for line in done.stdout.splitlines()]
    assert "rise" in heard[0]
    assert heard[2] == [label for label in heard[0] if label != "rise"]


def test_the_terminals_ctrl_c_is_not_for_programs(tmp_path: Path, lines: list[str]) -> None:
    """A program that was started goes on where its listener is interrupted."""
    out = tmp_path / "out"
    text = f"import os; open({str(out)!r}, 'w').write(str(os.getpgid(0)))"
    run = CommandRunner(program(tmp_path, text), say=lines.append)
    run(FOUND)
    run.finish()
    assert int(out.read_text()) != os.getpgid(0)


@pytest.mark.parametrize(
    ("calibrated", "options", "said"),
    [
        ([], [], "fall, high, rise"),
        (["rise"], [], "fall, high"),
        (["rise"], ["fall=0.9"], "high"),
        (["rise", "fall", "high"], [], ""),
        ([], ["0.9"], ""),
    ],
)
def test_thresholds_of_single_clips_are_said(
    tmp_path: Path, recogniser_file: Path, calibrated: list[str], options: list[str], said: str
) -> None:
    """Whoever listens with them knows why so much is heard, and what to do."""
    content = read_bundle(recogniser_file)
    stream = {"thresholds": dict.fromkeys(calibrated, 0.9)}
    path = tmp_path / "a.speechrec"
    write_bundle(
        path, manifest={**content.manifest, "stream": stream}, model=content.model, mel=content.mel
    )
    thresholds = [word for option in options for word in ("--threshold", option)]
    done = subprocess.run(
        command("listen", "-", "--model", path, *thresholds),
        input="silence " * 100, capture_output=True, text=True, check=True,
    )  # fmt: skip
    notice = f"thresholds of {said} are those of single clips" if said else ""
    assert done.stderr.startswith(notice)
    assert ("speechrec calibrate" in done.stderr) == bool(said)


def test_finish_waits(tmp_path: Path, lines: list[str]) -> None:
    """The programs of the last detections are waited for at the end."""
    out = tmp_path / "out"
    run = CommandRunner(
        program(tmp_path, f"import time; time.sleep(0.3); open({str(out)!r}, 'w')"),
        say=lines.append,
    )
    run(FOUND)
    run.finish()
    assert out.exists()


def test_finish_does_not_wait_for_ever(
    tmp_path: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that goes on is left to, and that is said."""
    monkeypatch.setattr("speechrec.listening._PATIENCE_S", 0.1)
    end = tmp_path / "end"
    text = f"import os, time\nwhile not os.path.exists({str(end)!r}): time.sleep(0.01)"
    run = CommandRunner(program(tmp_path, text), say=lines.append)
    run(FOUND)
    run.finish()
    end.touch()
    assert [line.rpartition(": ")[2] for line in lines] == ["1 still running"]


@pytest.mark.parametrize("closed", ["0", "1"])
def test_closed_streams_are_empty(recogniser_file: Path, closed: str) -> None:
    """Whoever has closed standard input or output gets no traceback."""
    environment = {**os.environ, "SPEECHREC_MODEL": str(recogniser_file)}
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}>&-', "sh", *command("listen", "-")],
        input=bytes(32_000), capture_output=True, env=environment, check=False,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr
    # Nothing comes in where there is no standard input, and that is said.
    assert done.returncode == (1 if closed == "0" else 0)
    assert (b"got no samples" in done.stderr) == (closed == "0")


def test_programs_started_at_the_end_can_be_ended() -> None:
    """What is reported after SIGTERM starts a program that SIGTERM ends, as others do."""
    code = (
        "import signal, subprocess, sys; from speechrec.cli import _end\n"
        # Tests that run under nohup have been told to ignore one of them.
        "for number in (signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_DFL)\n"
        "try: _end(signal.SIGTERM, None)\n"
        "except SystemExit: pass\n"
        "asked = 'import signal; print(*map(signal.getsignal, (signal.SIGTERM, signal.SIGHUP)))'\n"
        "print(subprocess.check_output([sys.executable, '-c', asked], text=True))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0"]


@pytest.mark.parametrize("number", sorted(_ENDING))
def test_ended_from_outside_it_cleans_up(recogniser_file: Path, number: int) -> None:
    """SIGTERM, as from a service manager, ends a command as Ctrl-C does, with its own exit code.

    So does SIGHUP, from a terminal that goes away.
    """
    environment = {**os.environ, "SPEECHREC_MODEL": str(recogniser_file)}
    with subprocess.Popen(
        command("listen", "-"), stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
        # Tests that run under nohup have been told to ignore it.
        preexec_fn=partial(signal.signal, number, signal.SIG_DFL),
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stderr is not None
        # What is said first comes after the handler is there.
        assert process.stderr.readline().startswith(b"recogniser: ")
        process.send_signal(number)
        assert process.wait(timeout=60) == 128 + number
        assert b"Traceback" not in process.stderr.read()
