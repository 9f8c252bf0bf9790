"""Sound files and bytes to mono float32, and what is wrong with those that cannot be used.

Plain WAV is decoded in `wav`; everything else goes through libsndfile, in `sndfile`.
"""

import hashlib
import io
import math
import os
import stat
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

import numpy as np

from speechrec import limits, sndfile
from speechrec.errors import AudioError
from speechrec.extremes import Extremes
from speechrec.wav import PCM, Samples, decode_pcm, decode_usual, is_wav, wav_layout

# Files above this size are decoded as they are read, so that only their samples are in memory.
WHOLE_FILE_BYTES = 64 << 20
_READ_BYTES = 1 << 20

Source = Path | str | bytes | bytearray | memoryview | BinaryIO


class Decoded(NamedTuple):
    """``samples``: (channels, frames) float32 as stored in the file, full scale = 1.

    ``integer`` files cannot go past full scale. ``extremes`` are those of the only channel, where
    decoding found them in passing.
    """

    samples: Samples
    rate_hz: int
    integer: bool = False
    extremes: Extremes | None = None

    @property
    def frames(self) -> int:
        return int(self.samples.shape[1])


def read_audio(
    source: Source,
    *,
    sample_rate_hz: int,
    offset_s: float = 0.0,
    duration_s: float | None = None,
) -> Samples:
    """Decode a sound to mono at the wanted rate.

    Args:
        source: a path, the bytes of a file, or an open binary stream (read to its end).
        sample_rate_hz: rate of the result; the sound is resampled with soxr where it differs.
        offset_s, duration_s: the segment to read, in seconds; the whole sound by default.

    Returns:
        (samples,) float32 in [-1, 1], the mean of all channels.

    Raises:
        AudioError: the sound cannot be read; its ``kind`` says why.
    """
    decoded = decode(source, offset_s=offset_s, duration_s=duration_s)
    wave = to_mono(decoded, sample_rate_hz=sample_rate_hz)
    if not len(wave):
        raise AudioError(
            "too_short",
            f"{_name(source)}: {decoded.frames} samples at {decoded.rate_hz} Hz are less than one "
            f"at {sample_rate_hz} Hz",
        )
    return wave


def decode(
    source: Source, *, offset_s: float = 0.0, duration_s: float | None = None, name: str = ""
) -> Decoded:
    """Decode a sound as it is: own rate, all channels. Arguments and errors as `read_audio`.

    ``name`` stands for the sound in error messages; a path is its own name.
    """
    name = name or _name(source)
    if not (0 <= offset_s < math.inf and (duration_s is None or 0 <= duration_s < math.inf)):
        raise AudioError(
            "empty",
            f"{name}: expected a segment from 0 s on, got {offset_s} s and a length of "
            f"{duration_s} s",
        )
    segment_only = offset_s > 0 or duration_s is not None
    data: bytes | None = None
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    elif not isinstance(source, str | Path):
        data = _read_stream(source, name)
    elif not segment_only:
        data = _bytes_unless_large(source)
    if data is not None and not segment_only:
        decoded = _decode_bytes(data, name)
    else:
        sound = io.BytesIO(data) if data is not None else Path(str(source))
        decoded = Decoded(
            *sndfile.read_segment(sound, name, offset_s=offset_s, duration_s=duration_s)
        )
    if not decoded.frames:
        segment = f" from {offset_s:g} s on" if offset_s else ""
        raise AudioError("empty", f"{name}: expected sound, found no samples{segment}")
    return decoded


def _name(source: Source) -> str:
    return str(source) if isinstance(source, str | Path) else "<stream>"


def to_mono(decoded: Decoded, *, sample_rate_hz: int) -> Samples:
    """Mix to one channel and resample; (samples,) float32 in [-1, 1].

    Floating-point files may go past full scale: they are scaled down as a whole, not clipped.
    """
    samples = decoded.samples
    # The sum of channels far beyond full scale may be too large for float32, and that of 24-bit
    # channels too long.
    mono = samples[0] if len(samples) == 1 else samples.mean(axis=0, dtype=np.float64)
    if not decoded.integer and (peak := max(float(mono.max()), -float(mono.min()))) > 1.0:
        mono = mono / np.float32(peak)
    if decoded.rate_hz != sample_rate_hz:
        import soxr

        mono = mono.astype(np.float32, copy=False)
        mono = soxr.resample(mono, decoded.rate_hz, sample_rate_hz, quality="HQ")
        # The filter's ringing may pass full scale by a hair.
        mono = np.clip(mono, -1.0, 1.0)
    return np.ascontiguousarray(mono, dtype=np.float32)


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a file; `AudioError` where the system complains or they are too many."""
    data = _bytes_unless_large(path)
    return _refuse_size(str(path)) if data is None else data


def _bytes_unless_large(path: str | Path) -> bytes | None:
    """The bytes of a file; None of a regular one of more than `WHOLE_FILE_BYTES`."""
    try:
        # A file object costs as much as the reading itself.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                raise AudioError("unreadable", f"{path}: expected a file, found a folder")
            regular = stat.S_ISREG(status.st_mode)
            if regular and status.st_size > WHOLE_FILE_BYTES:
                return None
            # Not more than there is: room that is asked for anew each time costs as much again.
            wanted = min(status.st_size + 1, _READ_BYTES) if status.st_size else _READ_BYTES
            blocks: list[bytes] = []
            size = 0
            while block := os.read(descriptor, wanted):
                blocks.append(block)
                size += len(block)
                if regular and len(block) < wanted:
                    break
                # A pipe gives what it has, however much is asked for.
                if size > WHOLE_FILE_BYTES:
                    _refuse_size(str(path))
            return blocks[0] if len(blocks) == 1 else b"".join(blocks)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise AudioError("missing", f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioError("unreadable", f"{path}: cannot be read: {reason}") from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes; remembered, since many segments may share one recording."""
    try:
        status = os.stat(path)
        return _file_sha256(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise AudioError("unreadable", f"{path}: cannot be read: {error.strerror}") from error


@lru_cache(maxsize=8)
def _file_sha256(path: Path, size: int, mtime_ns: int) -> str:
    """Size and time only tell a changed file from the one remembered."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_stream(stream: BinaryIO, name: str) -> bytes:
    try:
        data = stream.read(WHOLE_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioError("unreadable", f"{name}: cannot be read: {reason}") from error
    if len(data) > WHOLE_FILE_BYTES:
        _refuse_size(name)
    return data


def _refuse_size(name: str) -> NoReturn:
    raise AudioError(
        "too_long", f"{name}: expected at most {WHOLE_FILE_BYTES >> 20} MiB; cut it into pieces"
    )


def _decode_bytes(data: bytes, name: str) -> Decoded:
    if not data:
        raise AudioError("empty", f"{name}: expected a sound file, found no bytes; copy it again")
    if is_wav(data):
        layout = wav_layout(data, name)
        limits.check_rate(layout.rate_hz, name)
        limits.check_length(layout.frames, layout.rate_hz, name, channels=layout.channels)
        if usual := decode_usual(data, layout):
            samples, extremes = usual
            return Decoded(samples, layout.rate_hz, integer=True, extremes=extremes)
        plain = decode_pcm(data, layout)
        if plain is not None:
            integer = layout.tag == PCM
            if not integer:
                limits.check_finite(plain, name)
            return Decoded(plain, layout.rate_hz, integer=integer)
    return Decoded(*sndfile.read_segment(io.BytesIO(data), name))
