"""Noise has the colour, level and seed that were asked for."""

import numpy as np
import pytest

from speechrec.augment import coloured_noise, gain

RATE = 16_000


def noise(colour: str, seed: int = 0, samples: int = RATE) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return coloured_noise(rng, samples, colour=colour, sample_rate_hz=RATE)


@pytest.mark.parametrize(("colour", "exponent"), [("white", 0), ("pink", 1), ("brown", 2)])
def test_power_falls_with_frequency_as_the_colour_says(colour: str, exponent: int) -> None:
    """The slope of the power spectrum is -exponent on logarithmic axes, closely."""
    wave = noise(colour, samples=64 * RATE).astype(np.float64)
    power = np.mean(np.abs(np.fft.rfft(wave.reshape(64, RATE) * np.hanning(RATE))) ** 2, axis=0)
    hz = np.arange(100, 7000)
    slope = np.polyfit(np.log(hz), np.log(power[hz]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.05)


@pytest.mark.parametrize("colour", ["white", "pink", "brown"])
@pytest.mark.parametrize("samples", [1000, 16_000, 16_001])
def test_noise_is_finite_and_peaks_at_one(colour: str, samples: int) -> None:
    """Any length is float32 of full scale."""
    wave = noise(colour, samples=samples)
    assert wave.shape == (samples,)
    assert wave.dtype == np.float32
    assert np.isfinite(wave).all()
    assert np.abs(wave).max() == pytest.approx(1.0)


def test_noise_follows_its_generator() -> None:
    """The same seed makes the same noise, another seed another."""
    np.testing.assert_array_equal(noise("pink", 3), noise("pink", 3))
    assert abs(np.corrcoef(noise("white", 3), noise("white", 4))[0, 1]) < 0.05


@pytest.mark.parametrize(
    ("gain_db", "factor"), [(0, 1), (20, 10), (-20, 0.1), (-6.0206, 0.5), (-100, 1e-5)]
)
def test_gain_is_in_decibels(gain_db: float, factor: float) -> None:
    """Twenty decibels are a factor of ten; the wave stays float32 and the input is not touched."""
    wave = noise("white")
    before = wave.copy()
    louder = gain(wave, gain_db)
    assert louder.dtype == np.float32
    np.testing.assert_allclose(louder, before * factor, rtol=1e-5)
    np.testing.assert_array_equal(wave, before)
