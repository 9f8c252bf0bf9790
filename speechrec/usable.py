"""Recordings that would teach a network nothing: too short, silent or clipped."""

from collections.abc import Sequence

import numpy as np

from speechrec.audio import Decoded
from speechrec.errors import AudioError
from speechrec.extremes import Extremes, extremes_of

_LEAST_SECONDS = 0.1
_SILENT_PEAK = 10 ** (-80 / 20)
_CLIPPED_SHARE = 0.05


def check_usable(decoded: Decoded, *, name: str) -> None:
    """Refuse a recording that would teach a network nothing.

    Raises:
        AudioError: it is too short, silent, or clipped.
    """
    samples = decoded.samples
    seconds = decoded.frames / decoded.rate_hz
    if seconds < _LEAST_SECONDS:
        raise AudioError(
            "too_short", f"{name}: expected at least {_LEAST_SECONDS} s, got {seconds:.3f} s"
        )
    if not decoded.integer:
        # Floats beyond full scale are not clipped but scaled down, see `to_mono`.
        samples = samples / max(np.float32(1), np.abs(samples).max())
    extremes = [decoded.extremes] if decoded.extremes else list(map(extremes_of, samples))
    if _is_silent(extremes):
        raise AudioError("silent", f"{name}: expected speech, found silence (below -80 dBFS)")
    if len(samples) > 1 and _is_silent([extremes_of(samples.mean(axis=0, dtype=np.float64))]):
        raise AudioError(
            "silent",
            f"{name}: expected speech, its {len(samples)} channels cancel each other out; save one "
            "of them alone",
        )
    share = max(each.clipped for each in extremes) / decoded.frames
    if share > _CLIPPED_SHARE:
        raise AudioError(
            "clipped",
            f"{name}: expected at most {_CLIPPED_SHARE:.0%} of samples at full scale, got "
            f"{share:.0%}; record again with less gain",
        )


def _is_silent(channels: Sequence[Extremes]) -> bool:
    # Half the span, not the peak: a constant offset is silent too.
    return max(each.highest - each.lowest for each in channels) / 2 < _SILENT_PEAK
