"""Audacity label tracks: where in a recording which command is said."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from speechrec.errors import DatasetError
from speechrec.files import write_text


class Command(NamedTuple):
    """The truth about one command: where in the recording its word is."""

    label: str
    start_s: float
    end_s: float


class Labelled(Protocol):
    """A label with its place; what is known and what was detected are such."""

    @property
    def label(self) -> str: ...
    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...


def label_track(found: Iterable[Labelled]) -> str:
    """An Audacity label track: start, end and label, with tabs between."""
    return "".join(f"{each.start_s:.6f}\t{each.end_s:.6f}\t{each.label}\n" for each in found)


def write_labels(path: Path, truth: Iterable[Labelled]) -> None:
    """Write a label track."""
    write_text(path, label_track(truth))


def read_labels(path: Path, *, words: Collection[str] = ()) -> tuple[Command, ...]:
    """The commands of an Audacity label track.

    Args:
        words: what may be said; anything by default.

    Raises:
        DatasetError: the file cannot be read, or a line is not start, end, label, or its label is
            none of the words.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot read these labels: {error}") from error
    # Audacity puts the frequencies of a label on a line of their own, after a backslash.
    return tuple(
        _command(line, f"{path}:{number}", words)
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("\\")
    )


def labels_beside(recording: Path) -> Path | None:
    """The label track of a recording, even if it cannot be read."""
    tracks = (recording.with_suffix(".txt"), recording.with_suffix(".TXT"))
    return next((track for track in tracks if os.path.lexists(track)), None)


def _command(line: str, where: str, words: Collection[str]) -> Command:
    try:
        start, end, label = line.split("\t")
        command = Command(label, float(start), float(end))
    except ValueError:
        command = Command("", 0, -1)
    if not 0 <= command.start_s <= command.end_s < float("inf"):
        raise DatasetError(f"{where}: expected start, end and label between tabs, got {line!r}")
    if words and command.label not in words:
        raise DatasetError(
            f"{where}: expected one of {', '.join(words)}, got {command.label!r}; correct it, or "
            "leave out what is no command"
        )
    return command
