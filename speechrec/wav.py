"""Plain WAV, decoded here because it is what people have and speed counts.

The decoder of a general library costs more than the rest of the front end. Layout: Microsoft's
RIFF WAVE specification (1991, with WAVE_FORMAT_EXTENSIBLE of 2007).
"""

import math
import struct
import sys
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from speechrec.compiled import native
from speechrec.containers import Bytes, is_unstated
from speechrec.errors import AudioError
from speechrec.extremes import CLIPPED_LEVEL, Extremes

Samples = npt.NDArray[np.float32]

_FULL_SCALE_16_BIT = 1 << 15
_CLIPPED_16_BIT = math.ceil(CLIPPED_LEVEL * _FULL_SCALE_16_BIT)


def is_wav(data: Bytes) -> bool:
    """Whether the bytes begin like a RIFF WAVE file."""
    return data[:4] == b"RIFF" and data[8:12] == b"WAVE"


class WavLayout(NamedTuple):
    """Format tag, shape of a frame in bytes, and where the sound stands in the file."""

    tag: int
    channels: int
    rate_hz: int
    bits: int
    block: int
    start: int
    size: int

    @property
    def frames(self) -> int:
        return self.size // self.block


PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


def wav_layout(data: Bytes, name: str) -> WavLayout:
    """Walk the RIFF chunks up to the sound and check that the file is as long as it claims.

    Raises:
        AudioError: "not_audio" or "truncated".
    """
    fmt: tuple[int, int, int, int, int, int] | None = None
    position = 12
    while position + 8 <= len(data):
        chunk, size = struct.unpack_from("<4sI", data, position)
        position += 8
        if chunk == b"fmt " and size >= 16 and position + size <= len(data):
            fmt = struct.unpack_from("<HHIIHH", data, position)
            if fmt[0] == _EXTENSIBLE and size >= 26:
                # The first two bytes of the sub-format's GUID are the plain format tag.
                fmt = (struct.unpack_from("<H", data, position + 24)[0], *fmt[1:])
        elif chunk == b"data":
            if fmt is None:
                raise AudioError(
                    "not_audio", f"{name}: expected a 'fmt ' chunk before the data; export it again"
                )
            return _data_layout(data, fmt, position, size, name)
        position += size + size % 2
    raise AudioError(
        "truncated", f"{name}: expected a 'data' chunk, the WAV ends before it; copy it again"
    )


def _data_layout(
    data: Bytes,
    fmt: tuple[int, int, int, int, int, int],
    start: int,
    size: int,
    name: str,
) -> WavLayout:
    tag, channels, rate_hz, _, block, bits = fmt
    if not channels or not block or not rate_hz:
        raise AudioError(
            "not_audio",
            f"{name}: expected a WAV header with channels, a rate and frames, got {channels} "
            f"channels at {rate_hz} Hz in frames of {block} bytes; export it again",
        )
    available = len(data) - start
    riff_size = int.from_bytes(data[4:8], "little")
    unstated = is_unstated(size) or (size == 0 and (riff_size == 0 or is_unstated(riff_size)))
    behind = available - size
    if behind > (0 if unstated else size) and _is_sound(data, start + size):
        # A recorder was stopped before it could go back to its header.
        unstated = unstated or size == 0
        if not unstated:
            raise AudioError(
                "truncated",
                f"{name}: expected {size} bytes of sound and then another chunk, "
                f"{behind} bytes of something else follow; if the recorder was stopped, "
                "mend its header: sox --ignore-length OLD NEW",
            )
    elif 0 < size <= available:
        # As long as such a length says.
        unstated = False
    if unstated:
        size = available
    elif size > available:
        raise AudioError(
            "truncated",
            f"{name}: expected {size} bytes of sound, found {available}; copy or record it again",
        )
    return WavLayout(tag, channels, rate_hz, bits, block, start, size)


def _is_sound(data: Bytes, position: int) -> bool:
    """Whether what is there may be sound: neither a chunk nor a tag, nor one byte all along."""
    # A chunk begins at an even place, or ought to.
    for at in (position, position + position % 2):
        name = bytes(data[at : at + 4]).rstrip(b"\0 ")
        if name[:3] == b"ID3" or (name and name.isascii() and name.decode().isprintable()):
            return False
    start, piece = position + position % 2, 1 << 20
    first = bytes(data[start : start + 1])
    return any(
        len(part := bytes(data[at : at + piece])) != part.count(first)
        for at in range(start, len(data), piece)
    )


def missing_length(data: Bytes, name: str) -> tuple[slice, bytes] | None:
    """Where a header does not have the length of the sound, and what should stand there.

    Raises:
        AudioError: as `wav_layout`.
    """
    layout = wav_layout(data, name)
    stated = slice(layout.start - 4, layout.start)
    size = layout.size.to_bytes(8, "little")
    # Of more than 4 GiB libsndfile takes all there is.
    return None if data[stated] == size[:4] or any(size[4:]) else (stated, size[:4])


def decode_usual(data: bytes, wav: WavLayout) -> tuple[Samples, Extremes] | None:
    """`decode_pcm` of 16-bit mono, with its extremes, in one compiled pass; else None."""
    mono = (wav.tag, wav.bits, wav.channels, wav.block) == (PCM, 16, 1, 2)
    if not (native and mono and wav.frames and sys.byteorder == "little"):
        return None
    samples = np.empty((1, wav.frames), dtype=np.float32)
    lowest, highest, clipped = native.decode_16_bit(data, wav.start, _CLIPPED_16_BIT, samples)
    return samples, Extremes(lowest / _FULL_SCALE_16_BIT, highest / _FULL_SCALE_16_BIT, clipped)


def decode_pcm(data: bytes, wav: WavLayout) -> Samples | None:
    """(channels, frames) float32 of plain PCM or float, scaled as libsndfile does; else None."""
    kind = {
        (PCM, 8): "u1", (PCM, 16): "<i2", (PCM, 24): "u1", (PCM, 32): "<i4",
        (_FLOAT, 32): "<f4", (_FLOAT, 64): "<f8",
    }.get((wav.tag, wav.bits))  # fmt: skip
    if kind is None or wav.block != wav.channels * wav.bits // 8:
        return None
    frames = wav.frames
    items = frames * wav.block // np.dtype(kind).itemsize
    raw = np.frombuffer(data, dtype=kind, count=items, offset=wav.start)
    if wav.tag == _FLOAT:
        with np.errstate(over="ignore"):
            samples = raw.astype(np.float32)
    elif wav.bits == 8:
        samples = (raw.astype(np.float32) - np.float32(128)) / np.float32(128)
    elif wav.bits == 24:
        # Three bytes become the upper three of a 32-bit number, which keeps the sign.
        wide = np.zeros((items // 3, 4), dtype=np.uint8)
        wide[:, 1:] = raw.reshape(-1, 3)
        samples = wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
    else:
        samples = raw.astype(np.float32)
        samples *= np.float32(2.0 ** (1 - wav.bits))
    return samples.reshape(frames, wav.channels).T
