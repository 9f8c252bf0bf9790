"""Mel energies of the frames of a wave: compiled where that could be, else with numpy.

Both have spectra of double precision, as librosa has, and agree within 1e-5 in log energy. The
compiled one is eight times as fast.
"""

from collections.abc import Callable
from types import ModuleType

import numpy as np
import numpy.typing as npt

from speechrec.compiled import native
from speechrec.config import FeatureConfig

Array = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]
# Takes a wave and (bands, frames) to fill.
MelEnergies = Callable[[Array, Array], None]


def mel_energies(config: FeatureConfig, filterbank: Array) -> MelEnergies:
    """What fills ``out`` (bands, frames) with the mel energies of a wave's first frames.

    For each window every hop: Hann window, |FFT|^2, filterbank. The wave, contiguous float32, must
    reach to the end of the last frame. What is returned keeps its tables and scratch memory and is
    not to be shared between threads.

    Args:
        filterbank: (bands, bins) float32.
    """
    # Hann, periodic as spectral analysis wants it and as librosa has it.
    n = np.arange(config.window_samples)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / config.window_samples)
    if native and len(window) >= 4 and len(window).bit_count() == 1:
        return _compiled(native, window, config.hop_samples, filterbank)
    return _with_numpy(window, config, filterbank)


def _compiled(native: ModuleType, window: Wide, hop: int, filterbank: Array) -> MelEnergies:
    samples = len(window)
    tables = (window, _twiddles(samples), _bins(samples), *_without_zeros(filterbank))
    # Four frames at once at most: samples, energies, and room to begin at a multiple of four.
    scratch = np.empty(4 * (samples + samples // 2 + 1 + 1))

    def fill(wave: Array, out: Array) -> None:
        native.mel_energies(wave, hop, *tables, scratch, out)

    return fill


def _twiddles(samples: int) -> npt.NDArray[np.complex128]:
    """The factors of all steps of the transform, in the order in which it takes them."""
    factors = list[npt.NDArray[np.complex128]]()
    size = samples
    while size >= 4:
        factors.append(np.exp(-2j * np.pi / size * np.arange(size // 4)))
        span = size // 4
        while span >= 4:
            # Of the second to fourth quarter of a span; those of the first are 1.
            steps = np.arange(span // 4)[:, np.newaxis] * (1, 2, 3)
            factors.append(np.exp(-2j * np.pi / span * steps).ravel())
            span //= 4
        size //= 2
    return np.concatenate(factors)


def _bins(samples: int) -> npt.NDArray[np.int32]:
    """The frequency of each of the transform's results, in the order in which they lie."""
    found, size, step = list[npt.NDArray[np.intp]](), samples, 1
    while size >= 4:
        frequencies = step * (4 * _reversed_digits(size // 4) + 1)
        # Real signals have the same energy at a frequency and its mirror image.
        found.append(np.minimum(frequencies, samples - frequencies))
        size, step = size // 2, step * 2
    return np.concatenate(found).astype(np.int32)


def _reversed_digits(points: int) -> npt.NDArray[np.intp]:
    """The frequencies in the order in which a complex transform in place leaves them."""
    if points == 1:
        return np.zeros(1, dtype=np.intp)
    radix = 4 if points >= 4 else 2
    inner = radix * _reversed_digits(points // radix)
    return np.concatenate([inner + digit for digit in range(radix)])


def _without_zeros(filterbank: Array) -> tuple[npt.NDArray[np.int32], Array]:
    """(bands, 2) first bin of each band and how many it has; and all their weights in a row."""
    ranges = list[tuple[int, int]]()
    for band in filterbank:
        used = np.flatnonzero(band).tolist() or [0]
        ranges.append((used[0], used[-1] + 1 - used[0]))
    weights = [band[a : a + count] for band, (a, count) in zip(filterbank, ranges, strict=True)]
    return np.array(ranges, dtype=np.int32), np.concatenate(weights).astype(np.float32)


def _with_numpy(window: Wide, config: FeatureConfig, filterbank: Array) -> MelEnergies:
    strides = (4 * config.hop_samples, 4)
    # Each bin's weight stands twice, for the squares of its real and imaginary parts.
    weights = np.repeat(filterbank, 2, axis=1)
    # In halves, whose products are too small for several threads: these would round otherwise.
    blocks = list[tuple[slice, slice, Array]]()
    middle = len(weights) // 2
    for bands in (slice(0, middle), slice(middle, len(weights))):
        used = np.flatnonzero(weights[bands].any(axis=0)).tolist() or [0]
        bins = slice(used[0], used[-1] + 1)
        blocks.append((bands, bins, np.ascontiguousarray(weights[bands, bins])))

    def fill(wave: Array, out: Array) -> None:
        # Overlapping frames as a view, which refuses to reach past the wave's end.
        shape = (out.shape[1], len(window))
        frames: Array = np.ndarray(shape, dtype=np.float32, buffer=wave, strides=strides)
        parts = np.fft.rfft(frames * window).view(np.float64)
        energies = np.square(parts, dtype=np.float32, casting="same_kind")
        for bands, bins, block in blocks:
            np.matmul(block, energies[:, bins].T, out=out[bands])

    return fill
