"""What was heard in sounds, as the text and the files of `predict`.

Formats: SubRip (.srt), Audacity label tracks (.txt, https://manual.audacityteam.org, "Importing and
Exporting Labels"), and NIST's CTM (.ctm, of sclite).
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import typer

from speechrec.errors import ConfigError
from speechrec.files import write_text
from speechrec.labels import label_track, labels_beside
from speechrec.listing import has_sound_beside
from speechrec.recording import composed, one_line, printable
from speechrec.stream import Detection
from speechrec.transcribe import Heard

Form = Literal["text", "srt", "labels", "ctm"]
_SUFFIXES = {"srt": ".srt", "labels": ".txt", "ctm": ".ctm"}


def check_choice(form: Form, out: Path | None, *, several: bool, as_json: bool) -> None:
    """Refuse options that do not go together.

    Raises:
        ConfigError: they do not.
    """
    if as_json and (form != "text" or out is not None):
        raise ConfigError("expected --json or --format with --out, got both")
    if form == "text" and out is not None:
        raise ConfigError("--out: expected --format srt, labels or ctm with it")
    # CTM alone says which recording a line is about.
    if several and form in ("srt", "labels") and out is None:
        raise ConfigError(
            f"--format {form}: expected one recording, or a folder for one file each: --out FOLDER"
        )
    if out is not None and out.exists() and not out.is_dir():
        raise ConfigError(f"--out: expected a folder, got the file {out}")


class Writer:
    """Writes what was heard to standard output, or to a folder with one file a recording."""

    def __init__(self, form: Form, out: Path | None) -> None:
        self._form, self._out = form, out
        self._taken: dict[str, str] = {}

    def __call__(self, heard: Heard) -> None:
        """One recording.

        Raises:
            ConfigError: another recording of the same name has been written, there is such a file
                beside a recording already, or it cannot be written.
        """
        text = formatted(heard, self._form)
        stem = _stem(heard)
        name = stem + _SUFFIXES[self._form] if self._out else _ctm_name(stem)
        # Some disks take names that differ in case, or in how an accent is written, for the same.
        key = composed(name).casefold() if self._out else name
        if key in self._taken:
            what, cure = f"{name} was written for {self._taken[key]}", "name them one at a time"
            if self._out is not None:
                what, cure = str(self._out / what), "choose another --out for it"
            raise ConfigError(f"{heard.path}: {what}; {cure}")
        self._taken[key] = heard.path
        if self._out is None:
            typer.echo(text, nl=False)
            return
        path = self._out / name
        try:
            if handmade := _beside_a_recording(path):
                raise ConfigError(
                    f"{heard.path}: {handmade} is there already and may be made by hand; choose "
                    "another --out"
                )
            self._out.mkdir(parents=True, exist_ok=True)
            write_text(path, text)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error


def _beside_a_recording(path: Path) -> Path | None:
    """What is to be written over beside a recording, there or where a link leads."""
    there = labels_beside(path) if path.suffix == _SUFFIXES["labels"] else path
    if there is None or not os.path.lexists(there):
        return None
    return there if has_sound_beside(path) or has_sound_beside(path.resolve()) else None


def formatted(heard: Heard, form: Form) -> str:
    """The commands in a sound as the lines of a file of that format; empty without any."""
    found = _commands(heard)
    if form == "srt":
        return "\n".join(
            f"{number}\n{_srt_time(each.start_s)} --> {_srt_time(each.end_s)}\n{each.label}\n"
            for number, each in enumerate(found, 1)
        )
    if form == "labels":
        return label_track(found)
    name = _ctm_name(_stem(heard))
    return "".join(
        f"{name} 1 {each.start_s:.3f} {each.end_s - each.start_s:.3f} {_ctm_field(each.label)} "
        f"{each.confidence:.4f}\n"
        for each in found
    )


def _stem(heard: Heard) -> str:
    return "stdin" if heard.path == "-" else Path(heard.path).stem


def _ctm_name(stem: str) -> str:
    return _ctm_field(printable(stem))


def _ctm_field(text: str) -> str:
    """Text without the spaces that separate fields, and that is no comment."""
    return "_".join(text.split()).replace(";", "_") or "_"


def _commands(heard: Heard) -> Sequence[Detection]:
    """The commands in a sound; a short one is a command as a whole."""
    if not heard.is_word and heard.detections is not None:
        return heard.detections
    word = heard.prediction
    if not word.accepted:
        return ()
    return (Detection(word.label, 0.0, heard.duration_s, word.confidence),)


def _srt_time(seconds: float) -> str:
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d},{rest % 1000:03d}"


def heard_text(heard: Heard, top: int, *, several: bool) -> str:
    """The word of a short sound; of a longer one its commands, a line each.

    Args:
        several: whether there are other sounds, so that each line begins with a path.
    """
    if heard.is_word or heard.detections is None:
        return heard.text(top)
    path = one_line(heard.path)
    start = f"{path}  " if several else ""
    lines = [start + detection_text(each) for each in heard.detections]
    if not lines:
        lines = [f"{path}  no command in {heard.duration_s:.1f} s"]
    if spread := heard.uncertainty_text():
        lines.append(f"{path}  most like a command{spread}")
    return "\n".join(lines)


def detection_text(found: Detection) -> str:
    """``0.82 s  right  0.97``."""
    return f"{found.start_s:.2f} s  {found.label}  {found.confidence:.2f}"
