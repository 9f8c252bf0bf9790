"""What was heard, as text and as files of other programs."""

import dataclasses
import json
from pathlib import Path
from typing import Never

import pytest
from typer.testing import CliRunner

from speechrec.cli import app
from speechrec.errors import ConfigError
from speechrec.outputs import Form, Writer, check_choice, detection_text, formatted, heard_text
from speechrec.recognizer import Prediction
from speechrec.stream import Detection
from speechrec.transcribe import Heard

FOUND = (Detection("right", 0.82, 1.3, 0.9712), Detection("stop", 3725.0406, 3725.5, 0.8))
LONG = Heard(
    "some where/a recording.wav",
    Prediction("right", 0.97, {"right": 0.97, "stop": 0.03}, accepted=True),
    3800.0,
    detections=FOUND,
)
WORD = Heard("b.wav", LONG.prediction, 0.9)


def test_subrip() -> None:
    """SubRip numbers its entries from one and writes hours, minutes, seconds, milliseconds."""
    assert formatted(LONG, "srt") == (
        "1\n00:00:00,820 --> 00:00:01,300\nright\n\n2\n01:02:05,041 --> 01:02:05,500\nstop\n"
    )


def test_labels() -> None:
    """Audacity labels are start, end and label between tabs."""
    assert formatted(LONG, "labels") == (
        "0.820000\t1.300000\tright\n3725.040600\t3725.500000\tstop\n"
    )


def test_ctm() -> None:
    """CTM lines are recording, channel, start, duration, word, confidence, without other spaces."""
    assert formatted(LONG, "ctm") == (
        "a_recording 1 0.820 0.480 right 0.9712\na_recording 1 3725.041 0.459 stop 0.8000\n"
    )


@pytest.mark.parametrize("name", ["   .wav", ";;c.wav", "a b;c.wav", "odd/\udcff\udcfe.wav"])
def test_ctm_lines_have_six_fields(name: str) -> None:
    """Words and names with spaces, names of nothing else, and names that are no text."""
    found = (Detection("turn  on", 1.0, 2.0, 0.9),)
    line = formatted(dataclasses.replace(LONG, path=name, detections=found), "ctm")
    line.encode()
    fields = line.split(" ")
    assert len(fields) == 6
    assert all(fields)
    assert not line.startswith(";")
    assert fields[4] == "turn_on"


@pytest.mark.parametrize(("form", "suffix"), [("labels", "txt"), ("srt", "srt"), ("ctm", "ctm")])
def test_what_lies_beside_a_recording_is_not_written_over(
    tmp_path: Path, form: Form, suffix: str
) -> None:
    """It may be the truth, or subtitles, that somebody sat down for; elsewhere it is renewed."""
    (tmp_path / "a.flac").touch()
    (tmp_path / f"a.{suffix}").write_text("by hand")
    (tmp_path / "b.Wav").touch()
    (tmp_path / f"b.{suffix}").write_text("by hand")
    for path in (str(tmp_path / "a.flac"), "elsewhere/a.wav", str(tmp_path / "b.Wav")):
        with pytest.raises(ConfigError, match="is there already and may be made by hand"):
            Writer(form, tmp_path)(dataclasses.replace(LONG, path=path))
    # Nor is what a link leads to.
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / f"a.{suffix}").symlink_to(tmp_path / f"a.{suffix}")
    with pytest.raises(ConfigError, match="may be made by hand"):
        Writer(form, tmp_path / "links")(dataclasses.replace(LONG, path="elsewhere/a.wav"))
    assert (tmp_path / f"a.{suffix}").read_text() == "by hand"
    for _ in range(2):
        Writer(form, tmp_path / "out")(dataclasses.replace(LONG, path=str(tmp_path / "a.flac")))
    assert (tmp_path / "out" / f"a.{suffix}").exists()


def test_a_folder_that_cannot_be_listed_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether there is a recording beside it."""
    (tmp_path / "a.txt").write_text("by hand")

    def refuse(folder: object) -> Never:
        raise PermissionError(13, "Permission denied", str(folder))

    # As root, who may run the tests, everything can be listed.
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ConfigError, match=r"a\.txt: cannot be written: Permission denied"):
        Writer("labels", tmp_path)(dataclasses.replace(LONG, path="elsewhere/a.wav"))
    assert (tmp_path / "a.txt").read_text() == "by hand"


def test_labels_with_capital_letters_are_labels(tmp_path: Path) -> None:
    """Other programs write them; they would be hidden by new ones."""
    (tmp_path / "a.flac").touch()
    (tmp_path / "a.TXT").write_text("truth")
    with pytest.raises(ConfigError, match=r"a\.TXT is there already and may be made by hand"):
        Writer("labels", tmp_path)(dataclasses.replace(LONG, path=str(tmp_path / "a.flac")))


def test_recordings_of_one_name_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two, also of two whose names are the same in CTM, only the first is written."""
    for form, out, names in (
        ("labels", tmp_path, ("x/a.wav", "y/a.wav")), ("ctm", None, ("x/a b.wav", "a_b.wav")),
        # The same to some disks.
        ("srt", tmp_path, ("x/Caf\u00e9.wav", "y/cafe\u0301.wav")),
    ):  # fmt: skip
        write = Writer(form, out)  # type: ignore[arg-type]
        write(dataclasses.replace(LONG, path=names[0]))
        with pytest.raises(ConfigError, match=f"was written for {names[0]}"):
            write(dataclasses.replace(LONG, path=names[1]))
    assert capsys.readouterr().out.count("\n") == 2


def test_a_file_that_cannot_be_written_is_an_error_of_its_recording(tmp_path: Path) -> None:
    """The others are written all the same."""
    write = Writer("srt", tmp_path)
    with pytest.raises(ConfigError, match="cannot be written"):
        write(dataclasses.replace(LONG, path="n" * 300 + ".wav"))
    write(dataclasses.replace(LONG, path="a.wav"))
    assert (tmp_path / "a.srt").exists()


@pytest.mark.parametrize("form", ["srt", "labels", "ctm"])
def test_a_short_sound_is_one_entry(form: str) -> None:
    """A clip that is a command is one entry over its whole length; other clips are none."""
    assert "right" in formatted(WORD, form)  # type: ignore[arg-type]
    # In longer ones a stream was listened to as well.
    longer = dataclasses.replace(WORD, duration_s=1.5, detections=())
    assert "right" in formatted(longer, form)  # type: ignore[arg-type]
    for label in ("_unknown_", "_silence_", "right"):
        other = Prediction(label, 0.9, {label: 0.9}, accepted=False)
        assert not formatted(dataclasses.replace(WORD, prediction=other), form)  # type: ignore[arg-type]


def test_text_of_a_long_recording() -> None:
    """A line a command, with the path in front where there are other recordings."""
    assert detection_text(FOUND[0]) == "0.82 s  right  0.97"
    assert heard_text(LONG, 1, several=False) == "0.82 s  right  0.97\n3725.04 s  stop  0.80"
    for line in heard_text(LONG, 1, several=True).splitlines():
        assert line.startswith("some where/a recording.wav  ")


def test_text_without_a_command() -> None:
    """A long recording without a command says so instead of nothing."""
    nothing = dataclasses.replace(LONG, detections=())
    assert heard_text(nothing, 1, several=False) == (
        "some where/a recording.wav  no command in 3800.0 s"
    )


def test_text_of_a_word() -> None:
    """A short sound stays one line with its best words."""
    assert heard_text(WORD, 2, several=False) == "b.wav  right  0.97  stop  0.03"


def test_two_recordings_of_a_name_do_not_share_a_file(tmp_path: Path) -> None:
    """The second of two recordings with the same name is refused and the first one's file kept."""
    write = Writer("srt", tmp_path / "new")
    write(LONG)
    before = (tmp_path / "new" / "a recording.srt").read_text()
    with pytest.raises(ConfigError, match="some where/a recording"):
        write(dataclasses.replace(WORD, path="else where/a recording.flac"))
    assert (tmp_path / "new" / "a recording.srt").read_text() == before


@pytest.mark.parametrize(
    "options",
    [
        {"form": "srt", "as_json": True},
        {"form": "text", "as_json": False, "with_out": True},
        {"form": "labels", "several": True},
        {"form": "srt", "out_is_file": True},
    ],
)
def test_options_that_do_not_go_together(tmp_path: Path, options: dict[str, object]) -> None:
    """A format nobody would get to see, or that would be mixed up, is refused before any work."""
    file = tmp_path / "file"
    file.touch()
    out = file if options.get("out_is_file") else tmp_path if options.get("with_out") else None
    with pytest.raises(ConfigError, match="expected"):
        check_choice(
            options["form"],  # type: ignore[arg-type]
            out,
            several=bool(options.get("several")),
            as_json=bool(options.get("as_json")),
        )


def test_predict_writes_a_file_for_each_recording(
    recogniser_file: Path, stream_file: Path, tmp_path: Path
) -> None:
    """`predict --format labels --out` writes what `predict --json` says."""
    command = ["predict", "--model", str(recogniser_file), str(stream_file)]
    record = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    done = CliRunner().invoke(app, [*command, "--format", "labels", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    rows = (tmp_path / "out" / "stream.txt").read_text().splitlines()
    assert len(rows) == len(record["detections"]) > 0
    for row, found in zip(rows, record["detections"], strict=True):
        start, end, label = row.split("\t")
        assert (float(start), float(end), label) == (
            found["start_s"], found["end_s"], found["label"]
        )  # fmt: skip
