"""Sound files through libsndfile: every format but plain WAV, segments, and files of any length."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from speechrec.errors import AudioError, DatasetError
from speechrec.limits import check_finite, check_length, check_rate, check_regular
from speechrec.mended import mended
from speechrec.wav import Samples

if TYPE_CHECKING:
    from soundfile import SoundFile

BLOCK_FRAMES = 1 << 16


@dataclass(frozen=True, slots=True)
class SoundInfo:
    """What a file's header says."""

    duration_s: float
    rate_hz: int
    channels: int


def read_info(path: Path) -> SoundInfo:
    """Length, rate and channels without decoding the sound.

    Raises:
        AudioError: the file is missing, no sound, cut, or a FLAC that does not say how long it is.
    """
    check_regular(path)
    with opened(path, str(path)) as file:
        frames = known_frames(file) if file.frames else 0
        rate_hz, channels = file.samplerate, file.channels
    if frames is None:
        raise AudioError(
            "unreadable",
            f"{path}: expected a header that says how long it is; save it as WAV",
        )
    return SoundInfo(frames / rate_hz, rate_hz, channels)


@cache
def _one_way() -> "type[SoundFile]":
    """soundfile seeks after every read, which loses what lossy decoders keep of earlier frames."""
    import soundfile

    class OneWay(soundfile.SoundFile):  # type: ignore[misc]
        def seekable(self) -> bool:
            return False

    return OneWay


@contextmanager
def opened(source: Path | io.BytesIO, name: str) -> Iterator["SoundFile"]:
    """An open sound file; what goes wrong with it in the block becomes an `AudioError`."""
    import soundfile

    try:
        # Those that are mended in memory too, whose names libsndfile never sees.
        name.encode()
    except UnicodeEncodeError as error:
        raise AudioError("unreadable", f"{name}: expected a name in UTF-8; rename it") from error
    with mended(source, name) or nullcontext() as whole:
        try:
            file = _one_way()(whole or (os.fspath(source) if isinstance(source, Path) else source))
        except (soundfile.LibsndfileError, TypeError) as error:
            raise AudioError(
                "not_audio",
                f"{name}: expected a sound file (WAV, FLAC, OGG, MP3): {_reason(error)}",
            ) from error
        with file:
            check_rate(file.samplerate, name)
            try:
                yield file
            except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
                raise AudioError(
                    "unreadable", f"{name}: cannot be decoded: {_reason(error)}"
                ) from error


def decoded_blocks(
    file: "SoundFile", name: str, *, offset_s: float = 0.0, duration_s: float | None = None
) -> Iterator[Samples]:
    """The samples of a segment, (frames, channels) float32 a block, at most 65,536 frames each.

    Lossy decoders overshoot: only what is stored as floating-point numbers may be past full scale.

    Raises:
        AudioError: the sound ends before the segment begins, or before the header says, or has a
            sample that is NaN or infinite.
    """
    rate = int(file.samplerate)
    start = round(offset_s * rate)
    total = known_frames(file)
    if start:
        if total is not None and start >= total:
            raise AudioError(
                "empty",
                f"{name}: expected sound at {offset_s:g} s, it ends at {total / rate:.3f} s",
            )
        file.seek(start)
    rest = None if total is None else total - start
    wanted = rest if duration_s is None else round(duration_s * rate)
    # What is said in seconds is rounded.
    if rest is not None and wanted is not None and rest < wanted <= rest + rate // 1000:
        wanted = rest
    count = 0
    while wanted is None or count < wanted:
        size = BLOCK_FRAMES if wanted is None else min(BLOCK_FRAMES, wanted - count)
        block = file.read(size, dtype="float32", always_2d=True)
        if not len(block):
            break
        check_finite(block, name)
        yield block if is_float(file) else np.clip(block, -1, 1, out=block)
        count += len(block)
    # What an MP3 states may count silence that encoders add, or be rounded to frames.
    slack = (wanted or 0) // 20 + rate // 2 if file.format == "MP3" else 0
    if wanted is not None and count < wanted - slack:
        raise AudioError(
            "truncated",
            f"{name}: expected {wanted / rate:.3f} s of sound, found {count / rate:.3f} s",
        )


def read_segment(
    source: Path | io.BytesIO, name: str, *, offset_s: float = 0.0, duration_s: float | None = None
) -> tuple[Samples, int]:
    """The samples, (channels, frames) float32, and rate of a sound that fits in memory.

    Raises:
        AudioError: the sound cannot be read, or is too long.
    """
    with opened(source, name) as file:
        rate = int(file.samplerate)
        if (wanted := duration_s) is None and (total := known_frames(file)) is not None:
            wanted = total / rate - offset_s
        check_length(round((wanted or 0) * rate), rate, name, channels=file.channels)
        blocks: list[Samples] = [np.zeros((0, file.channels), np.float32)]
        count = 0
        for block in decoded_blocks(file, name, offset_s=offset_s, duration_s=duration_s):
            blocks.append(block)
            count += len(block)
            check_length(count, rate, name, channels=file.channels)
    return np.concatenate(blocks).T, rate


def is_float(file: "SoundFile") -> bool:
    """Whether samples are stored as floating-point numbers, which have no full scale."""
    return file.subtype in ("FLOAT", "DOUBLE")


def write_wav(path: Path, wave: Samples, rate_hz: int) -> None:
    """Write (samples,) in [-1, 1] as 16-bit PCM.

    Raises:
        DatasetError: it cannot be written.
    """
    import soundfile

    pcm = np.round(np.clip(wave, -1, 1) * 32767).astype(np.int16)
    try:
        soundfile.write(path, pcm, rate_hz, subtype="PCM_16", format="WAV")
    except soundfile.LibsndfileError as error:
        raise DatasetError(
            f"{path}: cannot be written: {_reason(error)} (disk full, or name too long?)"
        ) from error
    except UnicodeEncodeError as error:
        raise DatasetError(
            f"{path}: expected a name in UTF-8 to write to; choose another --out"
        ) from error


def known_frames(file: "SoundFile") -> int | None:
    """Frames of a sound; compressed formats without a length claim an absurd number."""
    return int(file.frames) if 0 < file.frames < 1 << 60 else None


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    # What libsndfile says of a file that is there, when its MP3 decoder finds nothing.
    if "possibly a pipe" in text:
        text = "nothing in it can be decoded"
    return " ".join(str(text).split()).rstrip(".")
