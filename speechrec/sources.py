"""Long and live sound as mono float32 blocks at a wanted rate, in the same memory however long.

The samples do not depend on the size of the blocks they come in, resampled ones included.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from speechrec import limits, sndfile
from speechrec.errors import AudioError, ConfigError
from speechrec.wav import Samples

_DTYPES = {"u8": "u1", "s16le": "<i2", "s32le": "<i4", "f32le": "<f4"}
_FULL_SCALE = {"u8": 128.0, "s16le": 2.0**15, "s32le": 2.0**31, "f32le": 1.0}
# At most so much is read at once; what a pipe has ready comes at once.
_READ_BYTES = 1 << 16
MAX_CHANNELS = 64
# How the files begin that people send instead of raw sound.
_HEADS = (
    b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"ID3", b"FORM", b".snd", b"caff",
    b"NIST",
)  # fmt: skip


def file_blocks(path: Path, *, sample_rate_hz: int) -> Iterator[Samples]:
    """The blocks of a sound file of any length; together they are what `audio.read_audio` returns.

    Raises:
        AudioError: the file cannot be read; what came before it turned out is still yielded.
    """
    limits.check_regular(path)
    with sndfile.opened(path, str(path)) as file:
        # What is past full scale is scaled down as a whole.
        peak = np.float32(max(1.0, _peak(path)) if sndfile.is_float(file) else 1)
        blocks = sndfile.decoded_blocks(file, str(path))
        mono = (_mono(block) / peak for block in blocks)
        samples = 0
        for block in resampled(mono, int(file.samplerate), sample_rate_hz):
            samples += len(block)
            yield block
    if not samples:
        raise AudioError("empty", f"{path}: expected sound, found no samples")


def _peak(path: Path) -> float:
    """The greatest sample of a file, or of what can be read of it."""
    peak = 0.0
    with suppress(AudioError), sndfile.opened(path, str(path)) as file:
        for block in sndfile.decoded_blocks(file, str(path)):
            peak = max(peak, float(np.abs(_mono(block)).max()))
    return peak


def raw_blocks(
    stream: BinaryIO,
    *,
    rate_hz: int,
    sample_rate_hz: int,
    channels: int = 1,
    encoding: str = "s16le",
) -> Iterator[Samples]:
    """The blocks of raw PCM, as soon as they come; a frame that is cut off at the end is left out.

    Args:
        stream: bytes of interleaved channels without a header, until it ends.
        rate_hz: of the stream.
        sample_rate_hz: of the blocks.

    Raises:
        ConfigError: a rate, a number of channels or an encoding that no sound has.
        AudioError: the bytes are a file's, with a header, or floats that are no samples; there are
            none, or they cannot be read.
    """
    if encoding not in _DTYPES:
        raise ConfigError(f"encoding: expected one of {', '.join(_DTYPES)}, got {encoding!r}")
    if not 1 <= channels <= MAX_CHANNELS:
        raise ConfigError(f"channels: expected 1 to {MAX_CHANNELS}, got {channels}")
    if not limits.MIN_RATE_HZ <= rate_hz <= limits.MAX_RATE_HZ:
        raise ConfigError(
            f"rate: expected {limits.MIN_RATE_HZ} to {limits.MAX_RATE_HZ} Hz, got {rate_hz}"
        )
    frames = map(_mono, _raw_frames(stream, channels, encoding))
    return resampled(frames, rate_hz, sample_rate_hz)


def _raw_frames(stream: BinaryIO, channels: int, encoding: str) -> Iterator[Samples]:
    """(frames, channels) float32 a block."""
    dtype = np.dtype(_DTYPES[encoding])
    size = dtype.itemsize * channels
    offset = 128.0 if encoding == "u8" else 0.0
    rest, first, found = b"", True, False
    while data := _read(stream):
        rest += data
        if first and len(rest) >= 4:
            first = False
            if rest.startswith(_HEADS):
                raise AudioError(
                    "not_audio",
                    "<stream>: expected raw PCM, got a sound file's header; send samples alone: "
                    "arecord -t raw, ffmpeg -f s16le, sox -t raw",
                )
        whole = len(rest) // size * size
        # The first bytes are waited for, since they may be a header.
        if not whole or first:
            continue
        frames = np.frombuffer(rest[:whole], dtype).reshape(-1, channels)
        rest = rest[whole:]
        with np.errstate(all="ignore"):
            block: Samples = ((frames - offset) / _FULL_SCALE[encoding]).astype(np.float32)
        try:
            limits.check_finite(block, "<stream>")
        except AudioError:
            # As far as it is sound it is heard, however it has come in.
            yield block[: int(np.isfinite(block).all(axis=1).argmin())]
            raise
        found = True
        yield block
    if not found:
        # As where a recorder could not start.
        raise AudioError("empty", "<stream>: expected raw PCM, got no samples")


def _read(stream: BinaryIO) -> bytes:
    """The next bytes; a pipe is not waited for until a whole block is there."""
    try:
        return getattr(stream, "read1", stream.read)(_READ_BYTES)
    except OSError as error:
        raise AudioError("unreadable", f"<stream>: cannot be read: {error.strerror}") from error


def _mono(frames: Samples) -> npt.NDArray[np.floating]:
    """The mean of the channels; of several in float64, since their sum may be too large."""
    return frames[:, 0] if frames.shape[1] == 1 else frames.mean(axis=1, dtype=np.float64)


def resampled(
    blocks: Iterable[npt.NDArray[np.floating]], rate_hz: int, wanted_hz: int
) -> Iterator[Samples]:
    """In [-1, 1]: before, since what is beyond would ring; after, since ringing may pass it."""
    narrow = (np.clip(block, -1, 1).astype(np.float32, copy=False) for block in blocks)
    if rate_hz == wanted_hz:
        yield from narrow
        return
    import soxr

    resampler = soxr.ResampleStream(rate_hz, wanted_hz, 1, dtype="float32", quality="HQ")
    for block in narrow:
        yield np.clip(resampler.resample_chunk(block), -1, 1)
    yield np.clip(resampler.resample_chunk(np.zeros(0, np.float32), last=True), -1, 1)
