"""What a sound may be: a file that is there, of a rate, length and samples that can be heard."""

import os
import stat
from pathlib import Path

import numpy as np
import numpy.typing as npt

from speechrec.errors import AudioError

MAX_SECONDS = 600.0
# A gigabyte of float32.
_MOST_SAMPLES = 1 << 28
MIN_RATE_HZ, MAX_RATE_HZ = 4000, 768_000


def check_regular(path: str | Path, status: os.stat_result | None = None) -> None:
    """Refuse a pipe or a device, which would be waited for, or whose sound can be heard only once.

    Args:
        status: of the file, where it is known.

    Raises:
        AudioError: it is one, or there is no such file.
    """
    if status and stat.S_ISREG(status.st_mode):
        return
    if not stat.S_ISREG(_status(path).st_mode):
        raise AudioError("unreadable", f"{path}: expected a file, found a pipe or a device")


def regular_size(path: str | Path) -> int:
    """Bytes of a file, 0 of a pipe or a device.

    Raises:
        AudioError: there is no such file.
    """
    status = _status(path)
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _status(path: str | Path) -> os.stat_result:
    try:
        status = os.stat(path)
    except FileNotFoundError as error:
        raise AudioError("missing", f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise AudioError("unreadable", f"{path}: cannot be read: {error}") from error
    if stat.S_ISDIR(status.st_mode):
        raise AudioError("unreadable", f"{path}: expected a file, found a folder")
    return status


def check_rate(rate_hz: int, name: str) -> None:
    """Refuse a sample rate that is no sound's."""
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise AudioError(
            "unsupported",
            f"{name}: expected a sample rate of {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz, got {rate_hz}",
        )


def check_length(frames: int, rate_hz: int, name: str, *, channels: int) -> None:
    """Refuse a sound that would not fit in memory as a whole."""
    if frames > MAX_SECONDS * rate_hz:
        raise AudioError(
            "too_long", f"{name}: expected at most {MAX_SECONDS:g} s of sound; cut it into pieces"
        )
    if frames * channels > _MOST_SAMPLES:
        raise AudioError(
            "too_long",
            f"{name}: expected at most {_MOST_SAMPLES >> 20} million samples of all channels; "
            "cut it into pieces",
        )


def checked_samples(samples: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """(any,) float32 in [-1, 1], as the readers of files give them, of what a program passes.

    Raises:
        ValueError: they are not floats, or not (any,).
        AudioError: one is NaN or infinite.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1 or samples.dtype.kind != "f":
        # Whole numbers, as devices give them, would all be full scale.
        raise ValueError(f"expected float samples (any,), got {samples.dtype} {samples.shape}")
    with np.errstate(over="ignore"):
        samples = samples.astype(np.float32, copy=False)
    if not np.isfinite(samples).all():
        raise AudioError("not_finite", "expected samples from -1 to 1, got NaN or infinity")
    # Energies far beyond full scale would be no numbers.
    clipped: npt.NDArray[np.float32] = np.clip(samples, -1, 1)
    return clipped


def check_finite(samples: npt.NDArray[np.floating], name: str) -> None:
    """Refuse samples that are no numbers."""
    # One pass: a NaN or an infinity anywhere makes the sum not finite.
    with np.errstate(over="ignore", invalid="ignore"):
        finite = bool(np.isfinite(np.sum(samples, dtype=np.float64)))
    if not finite:
        raise AudioError(
            "not_finite",
            f"{name}: expected finite samples, some are NaN or infinite; export it again",
        )
