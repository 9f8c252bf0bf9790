"""Sound files in folders, by their endings, in a fixed order."""

import os
from collections.abc import Iterator
from pathlib import Path

from speechrec.errors import DatasetError
from speechrec.recording import printable

_SOUND_SUFFIXES = {
    ".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au",
    ".snd", ".caf", ".w64", ".rf64", ".wavex", ".amb", ".sph", ".nist", ".voc", ".sf", ".ircam",
    ".avr", ".paf", ".pvf", ".iff", ".8svx", ".sds", ".sd2", ".wve",
}  # fmt: skip


def sound_files(folder: Path, *, unlisted: list[DatasetError] | None = None) -> list[Path]:
    """Every sound file below a folder, by its ending, in a fixed order.

    Args:
        unlisted: gets the errors about folders that cannot be listed; without it the first is
            raised.

    Raises:
        DatasetError: a folder cannot be listed.
    """
    files = files_below(str(folder), unlisted=unlisted)
    return [path for path in map(Path, files) if is_sound(path)]


def has_sound_beside(path: Path) -> bool:
    """Whether a sound file of the same name, but for its ending, lies in the folder of a file."""
    if not path.parent.is_dir():
        return False
    return any(each.stem == path.stem and is_sound(each) for each in path.parent.iterdir())


def is_sound(path: str | Path) -> bool:
    """Whether the ending is that of a sound file."""
    return os.path.splitext(path)[1].lower() in _SOUND_SUFFIXES


def scan(folder: str) -> list[os.DirEntry[str]]:
    """What is in a folder, by name.

    Raises:
        DatasetError: it cannot be listed.
    """
    try:
        return sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError as error:
        raise DatasetError(f"{printable(folder)}: cannot be listed: {error.strerror}") from error


def files_below(
    folder: str,
    around: tuple[str, ...] = (),
    *,
    unlisted: list[DatasetError] | None = None,
) -> Iterator[str]:
    """Every file below a folder that is not hidden; `sound_files` says what ``unlisted`` is."""
    here = os.path.realpath(folder)
    # A link to a folder around it leads round and round.
    if here in around:
        return
    try:
        entries = scan(folder)
    except DatasetError as error:
        if unlisted is None:
            raise
        unlisted.append(error)
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if is_folder(entry):
            yield from files_below(entry.path, (*around, here), unlisted=unlisted)
        else:
            yield entry.path


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one."""
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself, which reading it says.
        return False
