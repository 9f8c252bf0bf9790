"""Writing that is all or nothing: a temporary name beside the target, then a rename."""

import itertools
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechrec.errors import DatasetError

# Bytes that leave room for more; a name may have 255.
_LONGEST_NAME = 200


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path that becomes ``target`` when the block ends without an error.

    Of a symbolic link what it points to is replaced. Errors about the temporary path name the
    target instead.
    """
    with _temporary(target) as (partial, real):
        yield partial
        if real.exists():
            # What somebody has made private stays so.
            shutil.copymode(real, partial)
        os.replace(partial, real)


def refuse_unwritable(target: Path) -> None:
    """Refuse a file that cannot be written, before the time for its content is spent.

    Raises:
        OSError: it cannot.
    """
    with _temporary(target) as (partial, _):
        partial.touch()


@contextmanager
def _temporary(target: Path) -> Iterator[tuple[Path, Path]]:
    """A path beside what ``target`` is or points to, and that; only folders stay of it."""
    real = Path(os.path.realpath(target))
    # The suffix stays last, because some writers choose their format by it.
    partial = _beside(real, f"partial{target.suffix}")
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        yield partial, real
    except OSError as error:
        if str(error.filename) != str(partial):
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error
    finally:
        with suppress(OSError):
            partial.unlink()


def _beside(target: Path, why: str) -> Path:
    """A hidden name beside a target."""
    return target.with_name(f".{_name(target)}.{os.getpid()}.{why}")


def _name(target: Path) -> str:
    """The target's name, or a checksum of it where it leaves no room for more."""
    encoded = os.fsencode(target.name)
    return target.name if len(encoded) <= _LONGEST_NAME else f"{zlib.crc32(encoded):08x}"


def write_text(target: Path, text: str) -> None:
    """Write text as UTF-8, all or nothing."""
    with replacing(target) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(target: Path, value: Any) -> None:
    """Write indented JSON, all or nothing."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


# What desktops and stopped programs leave in folders.
NOBODYS = re.compile(
    r"\.DS_Store|\._.*|\.directory|Thumbs\.db|desktop\.ini|\.nfs.*|\..*\.partial.*"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A folder that a command writes: what it is called, and by what it is known.

    ``marker`` is the file that shows that it is whole; ``content`` matches the names in it.
    """

    what: str
    marker: str
    content: re.Pattern[str]


def refuse_content(folder: Path, *, kind: Kind | None = None, read: Iterable[Path] = ()) -> None:
    """Refuse to write over a folder, unless it is an earlier result and nothing else.

    Args:
        kind: of the result; without one only an empty folder will do.
        read: what the new result is made of, which must not be lost with the earlier one.

    Raises:
        DatasetError: there is something else in it, or somebody: the current folder.
    """
    inside = [path for path in read if path.resolve().is_relative_to(folder.resolve())]
    if inside:
        raise DatasetError(
            f"{folder}: expected a folder apart from what is read, {inside[0]} is in it; "
            "choose another --out"
        )
    if Path.cwd().is_relative_to(folder.resolve()):
        raise DatasetError(
            f"{folder}: expected a folder to make or replace, got the current one or one around "
            "it; choose another --out"
        )
    if not folder.exists():
        return
    if kind and (folder / kind.marker).is_file():
        for path in sorted(folder.iterdir()):
            if not (NOBODYS.fullmatch(path.name) or kind.content.fullmatch(path.name)):
                raise DatasetError(
                    f"{folder}: expected {kind.what} to replace, but {path.name} in it is no part "
                    "of one; move it, or choose another --out"
                )
    elif not folder.is_dir() or any(folder.iterdir()):
        wanted = f"a new or empty folder{f' or {kind.what} (with {kind.marker})' if kind else ''}"
        raise DatasetError(
            f"{folder}: expected {wanted}, found something else; choose another --out"
        )


def refuse_inside(out: Path, *read: Path | None) -> None:
    """Refuse a result that would be read the next time, with what it is made of.

    Raises:
        DatasetError: ``out`` is one of these folders or lies in one.
    """
    for folder in filter(None, read):
        if out.resolve().is_relative_to(folder.resolve()):
            raise DatasetError(
                f"{out}: expected a folder outside of {folder}, whose recordings are read; choose "
                "another --out"
            )


@contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Keep others that ask for the same out of a folder, until the block or the process ends.

    Args:
        wait: until another one is out.

    Raises:
        DatasetError: another one is in it, and is not to be waited for.
    """
    try:
        import fcntl
    except ImportError:
        # Windows: folders cannot be locked.
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise DatasetError(
                f"{folder}: another process is writing there; wait for it, or choose another folder"
            ) from error
        except OSError:
            # A file system without locks.
            pass
        yield
    finally:
        os.close(descriptor)


@contextmanager
def new_folder(target: Path, *, kind: Kind | None = None) -> Iterator[Path]:
    """Yield an empty folder that takes ``target``'s place when the block ends without an error.

    Raises:
        DatasetError: something came into ``target`` meanwhile, see `refuse_content`; the new folder
            is kept beside it.
    """
    target = target.resolve()
    partial = _unused(_beside(target, "partial"))
    partial.mkdir(parents=True)
    try:
        yield partial
        try:
            replace_folder(partial, target, kind=kind)
        except DatasetError as error:
            kept = _numbered(target)
            os.replace(partial, kept)
            raise DatasetError(f"{error}; what was made is in {kept}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unused(path: Path) -> Path:
    """The path, or a number behind it: one that was killed may have had this process's number."""
    return _numbered(path) if os.path.lexists(path) else path


def _numbered(target: Path) -> Path:
    """The target's name with the first number that nothing there has."""
    numbered = (target.with_name(f"{_name(target)}-{number}") for number in itertools.count(2))
    return next(path for path in numbered if not os.path.lexists(path))


def replace_folder(new: Path, target: Path, *, kind: Kind | None = None) -> None:
    """Put the folder ``new`` in the place of ``target``.

    Raises:
        DatasetError: ``target`` is not to be replaced, see `refuse_content`.
    """
    refuse_content(target, kind=kind)
    if target.exists():
        old = _unused(_beside(target, "old"))
        shutil.copymode(target, new)
        os.replace(target, old)
        os.replace(new, target)
        shutil.rmtree(old)
    else:
        os.replace(new, target)
