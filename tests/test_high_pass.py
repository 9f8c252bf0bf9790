"""What is below speech is taken out, once and alike, wherever the sound is cut."""

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from speechrec.high_pass import HighPass


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 44_100])
def test_it_is_a_butterworth_filter(rate_hz: int, rng: np.random.Generator) -> None:
    """Of the fourth order at 80 Hz, in pieces of whatever length."""
    wave = rng.standard_normal(2 * rate_hz).astype(np.float32)
    wanted = sosfilt(butter(4, 80, "highpass", fs=rate_hz, output="sos"), wave)
    high_pass = HighPass(sample_rate_hz=rate_hz)
    cuts = np.sort(rng.integers(0, len(wave), 50))
    found = np.concatenate([high_pass(piece) for piece in np.split(wave, cuts)])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=3e-4)


@pytest.mark.parametrize("offset", [-0.9, 0.1])
def test_an_offset_that_was_always_there_is_nothing(offset: float) -> None:
    """Nothing begins where the sound does."""
    high_pass = HighPass(sample_rate_hz=16_000)
    high_pass.settle(offset)
    found = high_pass(np.full(16_000, offset, np.float32))
    assert np.abs(found).max() < 5e-5
