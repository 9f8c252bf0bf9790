"""The command line from outside: exit codes, effects, one line for each mistake; and the manual."""

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from speechrec import __main__ as entry
from speechrec import cli, cli_evaluate
from speechrec.bundle import read_bundle
from speechrec.compiled import native
from speechrec.recognizer import Recognizer
from speechrec.run import RunResult
from speechrec.store import load_features, load_info

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
HEAVY = ("tensorflow", "keras", "librosa", "numba", "sklearn", "scipy", "matplotlib")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


def outside(
    *arguments: str | Path,
    cwd: Path,
    stdin: bytes = b"",
    prefix: tuple[str, ...] = ("-m", "speechrec"),
) -> Outcome:
    """The command in a process of its own, as a user starts it."""
    environment = {k: v for k, v in os.environ.items() if k != "SPEECHREC_MODEL"}
    done = subprocess.run(
        [sys.executable, *prefix, *map(str, arguments)],
        cwd=cwd, input=stdin, capture_output=True, timeout=120, check=False, env=environment,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


Call = Callable[..., Outcome]


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Call:
    """`speechrec ...` in this process, where TensorFlow is loaded already, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPEECHREC_MODEL", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    # Progress lines are not to be broken at 80 columns here.
    monkeypatch.setenv("COLUMNS", "400")

    def run_command(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["speechrec", *map(str, arguments)])
        capfd.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run_command


@pytest.fixture(scope="module")
def words(corpus: Path) -> list[Path]:
    """One recording of each keyword."""
    return [sorted((corpus / word).iterdir())[0] for word in ("rise", "fall", "high")]


# Light commands, each in a process of its own.


@pytest.mark.parametrize("compiled", [True, False])
def test_version(tmp_path: Path, compiled: bool) -> None:
    """--version prints the version of the installed package, and whether nothing is compiled."""
    if compiled and native is None:
        pytest.skip("installed without a compiler")
    hide = "" if compiled else "sys.modules['speechrec._native'] = None; "
    code = f"import sys; {hide}from speechrec.cli import main; main()"
    note = "" if compiled else " (nothing is compiled, so it is slower; the README says why)"
    outcome = outside("--version", cwd=tmp_path, prefix=("-c", code))
    assert outcome == Outcome(0, f"speechrec {version('speechrec')}{note}\n", "")


def modules_after(*arguments: str | Path, cwd: Path) -> tuple[Outcome, set[str]]:
    """A command's outcome, and the top-level modules that were loaded when it ended."""
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('\\nMODULES', *sorted(sys.modules), file=sys.stderr))\n"
        "from speechrec.cli import main\n"
        "main()\n"
    )
    outcome = outside(*arguments, cwd=cwd, prefix=("-c", code))
    listed = outcome.err.rpartition("MODULES ")[2].split()
    assert "speechrec" in listed
    return outcome, {name.partition(".")[0] for name in listed}


def test_predict_is_light(tmp_path: Path, recogniser_file: Path, words: list[Path]) -> None:
    """Prediction loads neither TensorFlow nor anything else of the training side."""
    outcome, modules = modules_after(
        "predict", "--model", recogniser_file, "--mc-dropout", "2", words[0], cwd=tmp_path
    )
    assert outcome.code == 0
    assert "rise" in outcome.out
    assert not modules & set(HEAVY)


def test_extract_is_light(tmp_path: Path, corpus: Path) -> None:
    """Extraction loads nothing of training's, and no bar where there is no terminal to show it."""
    outcome, modules = modules_after(
        "extract", corpus, "--out", tmp_path / "features", "--workers", "1", cwd=tmp_path
    )
    assert outcome.code == 0
    assert not modules & {*HEAVY, "rich", "ai_edge_litert"}


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "--help"], ["train", "--help"]])
def test_help_is_lighter(tmp_path: Path, arguments: list[str]) -> None:
    """Help appears at once: not even numpy is loaded for it."""
    outcome, modules = modules_after(*arguments, cwd=tmp_path)
    assert outcome.code == 0
    assert "Usage: " in outcome.out
    assert not modules & {*HEAVY, "numpy", "ai_edge_litert", "soundfile", "rich"}


def test_help_lists_every_command(tmp_path: Path) -> None:
    """The help of the program names each command with a sentence."""
    text = outside("--help", cwd=tmp_path).out
    for name, command in commands().items():
        assert re.search(rf"^\s+{name}\s+\w+", text, re.MULTILINE), name
        assert command.__doc__


def test_standard_input(tmp_path: Path, recogniser_file: Path, words: list[Path]) -> None:
    """`-` is the sound on standard input, heard like the file it came from."""
    arguments = ("predict", "--model", recogniser_file, "--json")
    piped = outside(*arguments, "-", cwd=tmp_path, stdin=words[1].read_bytes())
    assert (piped.code, piped.err) == (0, "")
    record = json.loads(piped.out)
    assert record.pop("path") == "-"
    direct = json.loads(outside(*arguments, words[1], cwd=tmp_path).out)
    assert direct.pop("path") == str(words[1])
    assert record == direct


def test_bad_file_among_good_ones(tmp_path: Path, recogniser_file: Path, words: list[Path]) -> None:
    """A file that cannot be read is reported and does not stop the others; the exit code is 1."""
    bad, empty = tmp_path / "bad.wav", tmp_path / "empty"
    bad.write_bytes(b"no sound")
    empty.mkdir()
    outcome = outside(
        "predict", "--model", recogniser_file, "--json",
        words[0], bad, empty, tmp_path / "none.wav", words[1], cwd=tmp_path,
    )  # fmt: skip
    assert outcome.code == 1
    records = [json.loads(line) for line in outcome.out.splitlines()]
    assert [record["path"] for record in records] == list(
        map(str, (words[0], bad, empty, tmp_path / "none.wav", words[1]))
    )
    assert [record.get("label") for record in records] == ["rise", None, None, None, "fall"]
    kinds = [record["error"]["kind"] for record in records[1:4]]
    assert kinds == ["not_audio", "missing", "missing"]
    lines = outcome.err.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["speechrec"] * 3
    assert [record["error"]["message"] for record in records[1:4]] == [
        line.removeprefix("speechrec: ") for line in lines
    ]


def test_no_recogniser(
    call: Call, tmp_path: Path, words: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a recogniser there is one line that says what to do, and no traceback."""
    monkeypatch.setattr("speechrec.locate._MODELS", tmp_path / "none")
    monkeypatch.chdir(tmp_path)
    outcome = call("predict", words[0])
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith("speechrec: expected a recogniser, found none")


def test_reader_that_goes_away(tmp_path: Path, recogniser_file: Path, words: list[Path]) -> None:
    """`speechrec predict ... | head -1` ends without a traceback."""
    command = [sys.executable, "-m", "speechrec", "predict", "--model", recogniser_file, "--json"]
    many = [str(words[0])] * 400
    with subprocess.Popen(
        [*map(str, command), *many], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"{")
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait(60) != 0


# predict, in this process.


def test_predict_file(call: Call, recogniser_file: Path, words: list[Path]) -> None:
    """A line a file: its path, the word, how sure."""
    outcome = call("predict", "--model", recogniser_file, *words)
    assert (outcome.code, outcome.err) == (0, "")
    for line, path, word in zip(
        outcome.out.splitlines(), words, ("rise", "fall", "high"), strict=True
    ):
        assert re.fullmatch(rf"{re.escape(str(path))}  {word}  [01]\.\d\d", line)


def test_predict_folder(call: Call, recogniser_file: Path, corpus: Path) -> None:
    """A folder stands for the sounds below it."""
    outcome = call("predict", "--model", recogniser_file, "--json", corpus / "high")
    paths = [json.loads(line)["path"] for line in outcome.out.splitlines()]
    assert paths == sorted(map(str, (corpus / "high").iterdir()))


def test_names_do_not_steer_the_terminal(
    call: Call, recogniser_file: Path, words: list[Path], tmp_path: Path
) -> None:
    """Control characters in a file's name are escaped, in results and in errors."""
    name = "\x1b[2Jgone.wav"
    shutil.copy(words[0], tmp_path / name)
    outcome = call("predict", "--model", recogniser_file, name, name + "\x07", "\x9b1A")
    assert outcome.out.startswith(r"\x1b[2Jgone.wav  rise")
    assert outcome.err.splitlines() == [
        r"speechrec: \x1b[2Jgone.wav\x07: no such file", r"speechrec: \x9b1A: no such file",
    ]  # fmt: skip
    (record,) = call("predict", "--model", recogniser_file, "--json", name).out.splitlines()
    assert json.loads(record)["path"] == name


def test_ctrl_c_before_there_is_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends the program with a line, not with a traceback."""

    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("speechrec.cli.main", stop)
    with pytest.raises(SystemExit, match="130"):
        entry.main()
    assert capsys.readouterr().err == "speechrec: stopped\n"


@pytest.mark.parametrize(("stop", "code"), [(SystemExit(143), 143), (KeyboardInterrupt(), 130)])
def test_stopped_while_a_library_is_loaded(
    call: Call, monkeypatch: pytest.MonkeyPatch, stop: BaseException, code: int
) -> None:
    """Compiled modules make an error of their own of it, which nobody is to see."""

    def load() -> None:
        raise ImportError("initialization failed") from stop

    monkeypatch.setattr("speechrec.locate.installed_models", load)
    assert call("models") == Outcome(code, "", "")


def test_ctrl_c_says_how_to_go_on(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in the middle of a command, it says what is not lost."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("speechrec.locate.installed_models", stop)
    monkeypatch.setattr("speechrec.locate.cores", stop)
    assert call("models") == Outcome(130, "", "speechrec: stopped\n")
    outcome = call("extract", "nowhere")
    assert outcome.code == 130
    assert outcome.err.strip() == (
        "speechrec: stopped; it goes on where it was when it is run again"
    )


@pytest.mark.parametrize("top", [1, 3])
def test_top(call: Call, recogniser_file: Path, words: list[Path], top: int) -> None:
    """--top shows so many words, best first."""
    out = call("predict", "--model", recogniser_file, "--top", str(top), words[0]).out
    scores = [float(score) for score in out.split()[2::2]]
    assert len(scores) == top
    assert scores == sorted(scores, reverse=True)


def test_json_lines(call: Call, recogniser_file: Path, words: list[Path]) -> None:
    """--json prints one object a line with the keys that are an interface."""
    outcome = call("predict", "--model", recogniser_file, "--json", *words)
    records = [json.loads(line) for line in outcome.out.splitlines()]
    assert len(records) == 3
    for record in records:
        assert list(record) == [
            "path", "label", "confidence", "scores", "accepted", "duration_s"
        ]  # fmt: skip
        assert record["confidence"] == max(record["scores"].values())


def test_mc_dropout(call: Call, recogniser_file: Path, words: list[Path]) -> None:
    """--mc-dropout adds figures that --seed decides, whatever the order of the files."""

    def figures(*arguments: str | Path) -> dict[str, Any]:
        out = call("predict", "--model", recogniser_file, "--json", *arguments).out
        records = [json.loads(line) for line in out.splitlines()]
        return {record["path"]: record["mc_dropout"] for record in records}

    first = figures("--mc-dropout", "9", "--seed", "1", *words)
    assert figures("--mc-dropout", "9", "--seed", "1", *words[::-1]) == first
    assert figures("--mc-dropout", "9", "--seed", "2", *words) != first


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "ctm", "--top", "3"], "--top: says nothing in ctm"),
        (["--format", "srt", "--mc-dropout", "5"], "--mc-dropout: says nothing in srt"),
        (["--json", "--top", "3"], "--top: all scores are in JSON"),
        (["--seed", "3"], "--seed: is of --mc-dropout"),
    ],
)
def test_options_without_effect_are_refused(
    call: Call, recogniser_file: Path, words: list[Path], arguments: list[str], said: str
) -> None:
    """Nobody is left to think that they did something."""
    outcome = call("predict", "--model", recogniser_file, *arguments, words[0])
    assert outcome == Outcome(1, "", f"speechrec: {said}; leave it out\n")


def test_model_from_the_environment(
    call: Call, recogniser_file: Path, words: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """$SPEECHREC_MODEL is used and named on standard error; a run folder will do."""
    monkeypatch.setenv("SPEECHREC_MODEL", str(recogniser_file.parent))
    outcome = call("predict", words[0])
    assert outcome.code == 0
    assert outcome.err == f"recogniser: {recogniser_file} ($SPEECHREC_MODEL)\n"


def test_newest_run(call: Call, tmp_path: Path, recogniser_file: Path, words: list[Path]) -> None:
    """Without a name the newest recogniser under runs/ is used, and it is said which."""
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    shutil.copy(recogniser_file, tmp_path / "runs" / "mine" / "mine.speechrec")
    outcome = call("predict", words[0])
    assert outcome.err == "recogniser: runs/mine/mine.speechrec (newest under runs/)\n"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "no such recogniser file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "damaged or truncated"),
        (lambda path: path.write_bytes(b"RIFF"), "expected a recogniser file"),
    ],
)
def test_bad_recogniser(
    call: Call, tmp_path: Path, recogniser_file: Path, words: list[Path],
    damage: Callable[[Path], Any], said: str,
) -> None:  # fmt: skip
    """A recogniser that is missing or damaged is one line with its name."""
    path = tmp_path / "bad.speechrec"
    shutil.copy(recogniser_file, path)
    damage(path)
    outcome = call("predict", "--model", path, words[0])
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith(f"speechrec: {path}: ")
    assert said in outcome.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "--unknown", "a.wav"],
        ["predict"],
        ["predict", "--top", "0", "a.wav"],
        ["predict", "--top", "many", "a.wav"],
        ["predict", "--mc-dropout", "-1", "a.wav"],
        ["evaluate", "--part", "all"],
        ["train", "--epochs", "many"],
        ["extract", "--workers", "-1"],
        ["dance"],
        ["--unknown"],
    ],
    ids=" ".join,
)
def test_usage_errors(call: Call, arguments: list[str]) -> None:
    """What is not a command or an option gives exit code 2 and a hint at the help."""
    outcome = call(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert "--help" in outcome.err
    assert "Traceback" not in outcome.err


# extract, train, evaluate.


TINY = (
    "--set", "model.widths=[8]", "--set", "model.dropout=[0.2]", "--set", "train.epochs=2",
    "--set", "train.least_steps=0", "--set", "augment.views=2", "--set", "teacher.weight=0",
)  # fmt: skip


def test_extract(call: Call, tmp_path: Path, corpus: Path, feature_store: Path) -> None:
    """extract writes the store that the library makes, and says what is in it."""
    outcome = call(
        "extract", corpus, "--out", "store", "--words", "rise, fall,high", "--workers", "1",
        "--set", "data.validation_percent=25", "--set", "data.testing_percent=25",
    )  # fmt: skip
    assert outcome.code == 0
    assert "features: store" in outcome.out
    made, wanted = load_info(tmp_path / "store"), load_info(feature_store)
    assert (made.labels, made.config) == (wanted.labels, wanted.config)
    for part in ("training", "testing"):
        one, other = (load_features(f, part) for f in (tmp_path / "store", feature_store))
        np.testing.assert_array_equal(one.x, other.x)
        assert re.search(rf"\b{part}\b", outcome.out)


def test_extract_without_recordings(call: Call) -> None:
    """Where there is nothing to extract, one line names the three ways to get recordings."""
    outcome = call("extract")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 1
    assert "Three ways" in outcome.err


def test_extract_of_the_default_folder(
    call: Call, tmp_path: Path, make_corpus: Callable[..., Path]
) -> None:
    """The only folder under data/ is taken, said, and written to runs/features."""
    make_corpus(tmp_path / "data" / "mine", words=("rise", "low"), speakers=6, takes=1)
    outcome = call("extract", "--workers", "1")
    assert outcome.code == 0
    assert "recordings: data/mine\n" in outcome.err
    assert load_info(tmp_path / "runs" / "features").labels[:2] == ("low", "rise")


def test_train_a_teacher_alone(call: Call, tmp_path: Path, feature_store: Path) -> None:
    """--only-teacher says where the teacher is and how to learn from it, and that line works."""
    shutil.copytree(feature_store, tmp_path / "runs" / "features")
    taught = (
        *TINY[:-1], "teacher.weight=1", "--set", "teacher.model.filters=[4]",
        "--set", "teacher.train.epochs=1", "--set", "teacher.train.least_steps=0",
    )  # fmt: skip
    alone = call("train", *taught, "--out", "runs/one", "--only-teacher")
    assert (alone.code, alone.out.count("\n")) == (0, 2), alone.err
    assert "speechrec train --teacher runs/one\n" in alone.out
    assert call("train", *taught, "--teacher", "runs/one").code == 0
    both = call("train", "--only-teacher", "--teacher", "runs/one")
    assert both.code == 1
    assert both.err == "speechrec: expected --teacher or --only-teacher, got both\n"


def test_train_and_use(call: Call, tmp_path: Path, feature_store: Path, words: list[Path]) -> None:
    """The three commands after extract work hand in hand, each with its defaults."""
    shutil.copytree(feature_store, tmp_path / "runs" / "features")
    trained = call("train", *TINY, "--seed", "3")
    assert trained.code == 0
    assert "recogniser: runs/default/default.speechrec" in trained.out
    assert "features: runs/features" in trained.err
    run = tmp_path / "runs" / "default"
    manifest = read_bundle(run / "default.speechrec").manifest
    assert manifest["network"]["widths"] == [8]
    assert (manifest["training"]["seed"], manifest["training"]["epochs"]) == (3, 2)

    measured = call("evaluate", "--json")
    assert measured.code == 0
    report = json.loads((run / "report.json").read_text())
    assert report.pop("part") == "testing"
    assert json.loads(measured.out) == report
    assert (run / "evaluation.html").exists()

    heard = call("predict", *words)
    assert heard.code == 0
    assert len(heard.out.splitlines()) == 3


def test_train_resumes(
    call: Call, tmp_path: Path, feature_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped training goes on with --resume, and nothing else is taken for it."""
    arguments = ("train", "--features", feature_store, "--out", "run", *TINY)
    fresh = call(*arguments, "--resume")
    assert (fresh.code, fresh.out) == (1, "")
    assert "nothing to resume" in fresh.err

    import speechrec.recorder

    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(speechrec.recorder, "write_history", stop)
        assert call(*arguments).code != 0
    forgotten = call(*arguments)
    assert forgotten.code == 1
    assert "--resume" in forgotten.err
    resumed = call(*arguments, "--resume")
    assert resumed.code == 0
    assert (tmp_path / "run" / "run.speechrec").exists()
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_train_with_another_front_end(call: Call, feature_store: Path) -> None:
    """A front-end setting other than the store's is an error that names it."""
    outcome = call("train", "--features", feature_store, "--set", "features.hop_ms=25")
    assert (outcome.code, outcome.out) == (1, "")
    assert "hop_ms is 30.0 there and 25.0 here" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--set", "train.epoch=3"], "unknown setting train.epoch"),
        (["train", "--set", "data.words=['a']"], "chosen by speechrec extract"),
        (["train", "--set", "epochs"], "expected SECTION.NAME=VALUE"),
        (["train", "--set", "train.epochs=0"], "train.epochs: expected a positive number"),
        (["train", "--model", "transformer"], "model.kind"),
        (["train", "--config", "none.toml"], "none.toml"),
        (["train", "--features", "nowhere"], "speechrec extract"),
        (["evaluate", "--features", "nowhere"], "speechrec extract"),
        (["evaluate", "nowhere"], "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_one_line_for_each_mistake(
    call: Call, tmp_path: Path, feature_store: Path, recogniser_file: Path,
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str,
) -> None:  # fmt: skip
    """A mistake of the user's gives exit code 1 and one line that names it."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "features").symlink_to(feature_store)
    if arguments[0] == "evaluate":
        monkeypatch.setenv("SPEECHREC_MODEL", str(recogniser_file))
    outcome = call(*arguments)
    lines = [line for line in outcome.err.splitlines() if not line.startswith("recogniser: ")]
    assert (outcome.code, outcome.out) == (1, "")
    assert len(lines) == 1
    assert lines[0].startswith("speechrec: ")
    assert said in lines[0]


@pytest.mark.parametrize(
    "command",
    [
        ["mine", "kit", "--out", "kit/mined"],
        ["mix", "--negatives", "kit", "--out", "kit/mix"],
        ["mix", "--noise", "kit", "--out", "kit"],
    ],
)
def test_what_is_made_does_not_lie_among_what_is_read(
    command: list[str], call: Call, tmp_path: Path, corpus: Path
) -> None:
    """It would be read the next time: thresholds would be set by the commands of a mix."""
    shutil.copytree(corpus / "rise", tmp_path / "kit")
    outcome = call(*command)
    assert outcome.code == 1
    assert outcome.err.startswith(f"speechrec: {command[-1]}: expected a folder outside of kit")


def test_where_nothing_is_like_a_command(call: Call, recogniser_file: Path, tmp_path: Path) -> None:
    """No advice is given that cannot be followed, and a least confidence is a number."""
    soundfile.write(tmp_path / "quiet.wav", np.zeros(48_000), 16_000)
    outcome = call("mine", "quiet.wav", "--out", "mined", "--model", recogniser_file)
    assert (outcome.code, "like a command" in outcome.out, "extract" in outcome.out) == (
        0,
        True,
        False,
    )
    assert call("mine", "quiet.wav", "--out", "other", "--least", "nan").code == 1
    outcome = call("synth", "--near-misses", "nan", "--out", "said")
    assert outcome.err == "speechrec: --near-misses: expected 0 to 1, got nan\n"


def test_recordings_without_labels_are_told(
    call: Call, recogniser_file: Path, tmp_path: Path
) -> None:
    """So that nobody takes a label track that was not found for silence."""
    (tmp_path / "day").mkdir()
    soundfile.write(tmp_path / "day" / "quiet.wav", np.zeros(48_000), 16_000)
    (tmp_path / "day" / "torn.wav").write_bytes(b"no sound")
    outcome = call("evaluate", "--stream", "day", "--model", recogniser_file)
    assert outcome.code == 0
    assert outcome.err.startswith("not used: day/torn.wav: ")
    assert "no commands are labelled in what could be read of day: every detection" in outcome.err
    (tmp_path / "day" / "torn.wav").unlink()
    outcome = call("evaluate", "--stream", "day", "--model", recogniser_file)
    assert "no commands are labelled in day: every detection counts as a false alarm" in outcome.err


@pytest.mark.parametrize("sources", [["out/own"], ["own", "--unknown", "out/own"]])
def test_what_extract_reads_is_not_replaced(
    sources: list[str], call: Call, tmp_path: Path, corpus: Path
) -> None:
    """An earlier store in which somebody keeps recordings does not take them along."""
    for folder in ("out/own", "own"):
        shutil.copytree(corpus / "rise", tmp_path / folder / "rise")
    (tmp_path / "out" / "features.json").write_text("{}")
    outcome = call("extract", *sources, "--out", "out")
    assert outcome.code == 1
    assert "apart from what is read" in outcome.err
    assert any((tmp_path / "out" / "own" / "rise").iterdir())


def test_evaluate_writes_its_page_over_pages_alone(
    call: Call, tmp_path: Path, recogniser_file: Path
) -> None:
    """A recogniser or a recording after --html was meant for something else."""
    mine = tmp_path / "mine.speechrec"
    shutil.copyfile(recogniser_file, mine)
    outcome = call("evaluate", "room", "--model", mine, "--html", mine)
    assert outcome.code == 1
    assert "--html: expected the name of a page" in outcome.err
    assert mine.read_bytes() == recogniser_file.read_bytes()


def test_evaluate_on_a_folder(
    call: Call, tmp_path: Path, recogniser_file: Path, corpus: Path
) -> None:
    """Recordings of one's own are measured, those that cannot be read are named."""
    shutil.copytree(corpus / "rise", tmp_path / "room" / "rise")
    (tmp_path / "room" / "rise" / "broken.wav").write_bytes(b"")
    outcome = call("evaluate", "room", "--model", recogniser_file, "--json", "--html", "page.html")
    assert outcome.code == 0
    tree = json.loads(outcome.out)
    assert tree["clips"] == 48
    assert tree["per_class"]["rise"]["clips"] == 48
    assert "not used: room/rise/broken.wav" in outcome.err
    assert "on room" in (tmp_path / "page.html").read_text()


def test_what_is_cleared_away_is_so_to_its_end(tmp_path: Path) -> None:
    """A terminal that goes away says so twice."""
    code = (
        "import pathlib, time\n"
        "from speechrec import cli, files\n"
        "def job():\n"
        "    with files.new_folder(pathlib.Path('out')) as folder:\n"
        "        for number in range(4000):\n"
        "            (folder / str(number)).touch()\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "cli.app = job\n"
        "cli.main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for _ in range(3):
            process.terminate()
            time.sleep(0.01)
        process.wait(60)
    assert list(tmp_path.iterdir()) == []


def test_a_line_is_one_line_whatever_a_name_has(
    call: Call, tmp_path: Path, recogniser_file: Path, corpus: Path
) -> None:
    """An end of a line in a file's name does not make a line of its own."""
    name = "a\n0.82 s  right  0.97"
    shutil.copy(next((corpus / "rise").iterdir()), tmp_path / f"{name}.wav")
    soundfile.write(tmp_path / f"{name}.flac", np.zeros(16_000 * 4), 16_000)
    (tmp_path / f"{name}.mp3").write_bytes(b"no sound")
    paths = [f"{name}{suffix}" for suffix in (".wav", ".flac", ".mp3")]
    outcome = call("predict", "--model", recogniser_file, *paths)
    shown = r"a\n0.82 s  right  0.97"
    for line, suffix in zip(outcome.out.splitlines(), (".wav  ", ".flac  "), strict=True):
        assert line.startswith(shown + suffix)
    assert len(outcome.err.splitlines()) == 1


def test_evaluate_as_text(
    call: Call, tmp_path: Path, recogniser_file: Path, feature_store: Path, run: RunResult
) -> None:
    """Without --json there is a table; no page is written beside a file that is no run's."""
    shutil.copy(recogniser_file, tmp_path / "copy.speechrec")
    outcome = call("evaluate", "--model", "copy.speechrec", "--features", feature_store)
    assert outcome.code == 0
    assert f"{run.report.accuracy:.1%}" in outcome.out
    assert [path.name for path in tmp_path.iterdir()] == ["copy.speechrec"]


def test_evaluate_with_other_labels(
    call: Call, tmp_path: Path, recogniser_file: Path, make_corpus: Callable[..., Path]
) -> None:
    """A store of other words is refused with both lists."""
    make_corpus(tmp_path / "data" / "mine", words=("rise", "low"), speakers=6, takes=1)
    assert call("extract", "--workers", "1").code == 0
    outcome = call("evaluate", "--model", recogniser_file, "--part", "training")
    assert (outcome.code, outcome.out) == (1, "")
    assert "low, rise" in outcome.err
    assert "rise, fall, high" in outcome.err


def test_evaluate_without_scikit_learn(
    call: Call, recogniser_file: Path, feature_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the training side is not installed, one line says how to get it."""
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    outcome = call("evaluate", "--model", recogniser_file, "--features", feature_store)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 1
    assert "pip install 'speechrec[train]'" in outcome.err


def test_stored_features_and_files_agree(
    call: Call, recogniser_file: Path, feature_store: Path
) -> None:
    """The posteriors that evaluation sees are those that predict gives for the WAV file."""
    clips = load_features(feature_store, "testing")
    spoken = [i for i, clip in enumerate(clips.clips) if clip.label != "_silence_"]
    scores = Recognizer.load(recogniser_file).scores(clips.x[spoken])
    paths = [clips.clips[i].path for i in spoken]
    out = call("predict", "--model", recogniser_file, "--json", *paths).out
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["path"] for record in records] == paths
    for record, row in zip(records, scores, strict=True):
        stored = dict(zip(clips.labels, row.tolist(), strict=True))
        assert record["scores"] == pytest.approx(stored, abs=1e-4)


def test_names_that_are_no_text(
    call: Call, tmp_path: Path, recogniser_file: Path, rng: np.random.Generator
) -> None:
    """A file whose name is no UTF-8 is heard like any other."""
    name = os.fsdecode(b"caf\xe9.wav")
    try:
        soundfile.write(tmp_path / "a.wav", rng.uniform(-0.1, 0.1, 16_000), 16_000)
        (tmp_path / "a.wav").rename(tmp_path / name)
    except OSError:
        pytest.skip("this file system has no such names")
    outcome = call("predict", "--model", recogniser_file, name)
    assert outcome.code == 0
    assert "caf" in outcome.out


# The manual.


def commands() -> dict[str, Callable[..., None]]:
    """The functions behind the commands, by the command's name."""
    found = {}
    for info in cli.app.registered_commands:
        assert info.callback is not None
        found[info.name or info.callback.__name__] = info.callback
    return found


def test_every_command_is_in_the_readme() -> None:
    """A command that nobody is told about does not exist."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in commands():
        assert f"speechrec {name}" in text, name


def command_lines(page: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number, arguments) of each `speechrec ...` in the code blocks of a page."""
    fenced = False
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        text = line.strip().removeprefix("$ ")
        if not (fenced or line.startswith("    ")) or "speechrec " not in text:
            continue
        following = number
        while text.endswith("\\") and following < len(lines):
            text = text[:-1] + lines[following].strip()
            following += 1
        words = [re.sub(r"^(\w+=\S* )+", "", part.strip()) for part in re.split(r"[|;<>]|&&", text)]
        for part in words:
            part = re.sub(r"^python3? -m ", "", part)
            if part.startswith("speechrec "):
                yield number, shlex.split(part, comments=True)[1:]


@pytest.fixture(scope="module")
def parser() -> typer.Typer:
    """The same command line, whose commands do nothing."""
    app = typer.Typer(name="speechrec")
    app.callback(invoke_without_command=True)(cli._options)
    for name, command in commands().items():
        # `wraps` hands on the signature, which is where the options stand.
        app.command(name)(functools.wraps(command)(lambda **_: None))
    return app


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documented_commands_exist(page: Path, parser: typer.Typer) -> None:
    """Every command line of the manual is one that the program understands."""
    for number, arguments in command_lines(page):
        result = CliRunner().invoke(parser, arguments)
        assert result.exit_code == 0, f"{page.name}:{number}: {arguments}: {result.output}"


@pytest.mark.parametrize(
    "line", ["predict --tops 3 a.wav", "predict", "listen --rate x", "train --seed x"]
)
def test_wrong_commands_would_be_seen(parser: typer.Typer, line: str) -> None:
    """The test above is not blind: it would fail for what the program does not understand."""
    assert CliRunner().invoke(parser, line.split()).exit_code == 2


def test_documented_commands_are_found() -> None:
    """The search above finds the command lines: the README alone has several."""
    found = [arguments[0] for _, arguments in command_lines(ROOT / "README.md")]
    assert {"extract", "train", "evaluate", "predict"} <= set(found)


def test_configs_of_the_readme_exist() -> None:
    """Configuration files that the manual names are there."""
    for page in PAGES:
        for name in re.findall(r"configs/\w+\.toml", page.read_text(encoding="utf-8")):
            assert (ROOT / name).is_file(), f"{page.name}: {name}"


def test_a_place_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    """What the system refuses, such as a folder below a file, ends with a line that names it."""
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-m", "speechrec", "synth", "--out", str(tmp_path / "file" / "out")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert str(tmp_path / "file") in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_page_nobody_asked_for_is_no_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a run folder that cannot be written to, `evaluate` says so and has done its work."""
    (tmp_path / "file").write_text("no folder")
    impossible = tmp_path / "file" / "page.html"
    cli_evaluate._write_page("page", None, impossible)
    assert "no pictures: " in capsys.readouterr().err
    with pytest.raises(OSError, match="file"):
        cli_evaluate._write_page("page", impossible, impossible)
    cli_evaluate._write_page("page", tmp_path / "wanted.html", impossible)
    assert (tmp_path / "wanted.html").read_text() == "page"
