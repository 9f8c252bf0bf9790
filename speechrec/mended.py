"""Files that do not state their length as if they did, and an error of those that were cut.

libsndfile takes what a header says for at most what there is, and so hides that a file was cut.
"""

import io
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from speechrec.containers import Bytes, stated_end
from speechrec.errors import AudioError
from speechrec.limits import regular_size
from speechrec.mp3 import counted
from speechrec.wav import is_wav, missing_length


class _Mended(io.FileIO):
    """A file as if its header had its length."""

    def __init__(self, path: Path, where: slice, length: bytes) -> None:
        super().__init__(path)
        self._patch = dict(zip(range(where.start, where.stop), length, strict=True))

    def readinto(self, buffer: Any) -> int:
        first = self.tell()
        try:
            count = super().readinto(buffer) or 0
        except OSError:
            # An error cannot pass through libsndfile; what is missing is told in the end.
            return 0
        with memoryview(buffer).cast("B") as view:
            for place, byte in self._patch.items():
                if first <= place < first + count:
                    view[place - first] = byte
        return count


def mended(source: Path | io.BytesIO, name: str) -> io.BytesIO | _Mended | None:
    """A WAV or MP3 with its true length, where a program that wrote to a pipe could not state it.

    What is in memory gets that itself. None where nothing is to be mended.

    Raises:
        AudioError: the file is missing, or is shorter than it says.
    """
    with _bytes_of(source, name) as data:
        missing = _missing_length(data, name)
        if not missing and (mp3 := counted(data)):
            # All of it in memory, though not decoded.
            return io.BytesIO(mp3)
    if not missing:
        return None
    where, length = missing
    if isinstance(source, io.BytesIO):
        source.getbuffer()[where] = length
        return None
    try:
        # Not a map of it, which would end the process where the file gets shorter meanwhile.
        return _Mended(source, where, length)
    except OSError as error:
        raise _unreadable(name, error) from error


@contextmanager
def _bytes_of(source: Path | io.BytesIO, name: str) -> Iterator[Bytes]:
    """What is in a file, without reading all of it; nothing of a pipe."""
    if isinstance(source, io.BytesIO):
        with source.getbuffer() as data:
            yield data
    elif not regular_size(source):
        yield b""
    else:
        with _mapped(source, name) as mapped:
            yield mapped


def _mapped(path: Path, name: str) -> mmap.mmap:
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: OSError) -> AudioError:
    return AudioError("unreadable", f"{name}: cannot be read: {error.strerror}")


def _missing_length(data: Bytes, name: str) -> tuple[slice, bytes] | None:
    """What a WAV header should have and where, if it does not; of what was cut, an error."""
    if is_wav(data):
        return missing_length(data, name)
    if (end := stated_end(data)) > len(data):
        raise AudioError(
            "truncated",
            f"{name}: expected {end} bytes, found {len(data)}; copy or record it again",
        )
    return None
