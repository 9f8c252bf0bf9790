"""Pure waveform makers and transforms; randomness is an argument."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

# Power falls with frequency to this exponent.
_EXPONENTS = {"white": 0.0, "pink": 1.0, "brown": 2.0}
_LOWEST_HZ = 20.0


def coloured_noise(
    rng: np.random.Generator, samples: int, *, colour: str, sample_rate_hz: int
) -> Array:
    """Gaussian noise whose power falls as 1 / frequency^exponent, by shaping a white spectrum.

    Args:
        colour: "white", "pink" (exponent 1) or "brown" (exponent 2).

    Returns:
        (samples,) float32 with a peak of 1.
    """
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    hz = np.maximum(np.fft.rfftfreq(samples, 1 / sample_rate_hz), _LOWEST_HZ)
    noise = np.fft.irfft(spectrum * hz ** (-_EXPONENTS[colour] / 2), samples)
    scaled: Array = (noise / np.abs(noise).max()).astype(np.float32)
    return scaled


def gain(wave: Array, gain_db: float) -> Array:
    """The wave louder or quieter by ``gain_db`` decibels."""
    return wave * np.float32(10 ** (gain_db / 20))
