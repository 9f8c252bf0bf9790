"""One labelled recording, the clip that is made of it, or why there is none."""

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from speechrec.config import Part
from speechrec.errors import AudioError


class Recording(NamedTuple):
    """One labelled stretch of sound. ``part`` is None where the layout does not say it.

    ``added`` are those from outside the corpus, which somebody chose to learn from.

    A named tuple, because a million of them are made in passing and a dataclass takes ten times as
    long to make.
    """

    path: str
    word: str
    speaker: str = ""
    part: Part | None = None
    offset_s: float = 0.0
    duration_s: float | None = None
    added: bool = False


class Clip(NamedTuple):
    """One second of the dataset, before it is read.

    ``word`` is what was said, ``label`` what the network learns to answer. ``path`` is empty for
    noise that is made, not read: ``word`` then names its colour and ``offset_s`` seeds it.
    """

    path: str
    label: str
    word: str
    speaker: str
    part: Part
    offset_s: float = 0.0
    duration_s: float | None = None
    gain_db: float = 0.0


class Stretch(NamedTuple):
    """Part of a noise recording, in seconds."""

    path: str
    start_s: float
    stop_s: float


@dataclass(frozen=True, slots=True)
class Fault:
    """A file that is not used, or not to its end, and why."""

    path: str
    kind: str
    message: str

    @classmethod
    def of(cls, path: str, error: AudioError) -> "Fault":
        return cls(printable(path), error.kind, one_line(printable(str(error))))


def is_utf8(text: str) -> bool:
    """Whether a text can be written down: the system's file names may be other bytes."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def composed(text: str) -> str:
    """A name with accents as one character with their letter; some systems write them as two."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def recording_name(path: str) -> str:
    """What a recording is called wherever its corpus lies: its file and the folder of that."""
    return "/".join(Path(path).parts[-2:])


def segment_name(path: str, offset_s: float) -> str:
    """A segment's `recording_name` with its begin; to the microsecond, hours into a recording."""
    return f"{recording_name(path)}@{offset_s:.10g}"


def one_line(text: str) -> str:
    """The text as a part of a line: names of files may have ends of lines in them."""
    return text.replace("\n", "\\n")


def printable(path: str) -> str:
    r"""The path with bytes that are not UTF-8 written as ``\xff``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
