"""The second of a recording that is looked at has its word in the middle."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechrec.config import FeatureConfig
from speechrec.features import clip_features
from speechrec.placing import (
    awaited_frames,
    block_samples,
    excess_energy,
    fit_clip,
    loud_blocks,
    mirrored_frames,
    off_centre,
)

pytestmark = pytest.mark.usefixtures("loops")

Array = npt.NDArray[np.float32]
CONFIG = FeatureConfig()
AS_CUT = FeatureConfig(align="none")
RATE = CONFIG.sample_rate_hz


def noisy_burst(
    seconds: float, centre_s: float, *, burst_s: float = 0.3, seed: int = 0
) -> tuple[Array, slice]:
    """A faint noise with a loud burst; the wave and where the burst lies."""
    rng = np.random.default_rng(seed)
    wave = 1e-3 * rng.standard_normal(round(seconds * RATE))
    start = round((centre_s - burst_s / 2) * RATE)
    burst = slice(start, start + round(burst_s * RATE))
    count = burst.stop - burst.start
    wave[burst] += 0.5 * np.hanning(count) * np.sin(np.arange(count) * 0.3)
    return wave.astype(np.float32), burst


def start_of(clip: Array, wave: Array) -> int:
    """Where in the wave the clip was cut out, the wave being mirrored at both ends.

    Fails unless the clip is a slice of the mirrored wave.
    """
    mirrored = np.pad(wave, len(clip) // 2, mode="reflect")
    for start in np.flatnonzero(mirrored[: len(mirrored) - len(clip) + 1] == clip[0]):
        if np.array_equal(mirrored[start : start + len(clip)], clip):
            return int(start) - len(clip) // 2
    raise AssertionError("the clip is no slice of the wave")


@settings(max_examples=60, deadline=None)
@given(
    seconds=st.floats(1.001, 6),
    place=st.floats(0, 1),
    burst_s=st.floats(0.1, 0.7),
    seed=st.integers(0, 1000),
)
def test_without_alignment_the_loudest_second_is_taken(
    seconds: float, place: float, burst_s: float, seed: int
) -> None:
    """With ``align`` none, the clip is the second of a longer wave with most of the burst."""
    centre_s = burst_s / 2 + 0.002 + place * (seconds - burst_s - 0.004)
    wave, burst = noisy_burst(seconds, centre_s, burst_s=burst_s, seed=seed)
    clip = fit_clip(wave, AS_CUT)
    assert clip.shape == (RATE,)
    assert clip.dtype == np.float32
    start = start_of(clip, wave)
    assert 0 <= start <= len(wave) - RATE
    # Places are ten milliseconds apart, and the last one may not fit at the very end.
    assert start <= burst.start + 160
    assert burst.stop <= start + RATE + 160
    middle = (burst.start + burst.stop) / 2 - start
    if 0 < start < len(wave) - RATE - 160:
        assert abs(middle - RATE / 2) < 0.03 * RATE


@settings(max_examples=60, deadline=None)
@given(
    seconds=st.floats(1.001, 6),
    place=st.floats(0, 1),
    burst_s=st.floats(0.1, 0.6),
    seed=st.integers(0, 1000),
)
def test_the_word_comes_to_the_middle(
    seconds: float, place: float, burst_s: float, seed: int
) -> None:
    """A burst in a longer wave stands in the middle of the clip within 10 ms, but for the ends."""
    centre_s = burst_s / 2 + 0.002 + place * (seconds - burst_s - 0.004)
    wave, burst = noisy_burst(seconds, centre_s, burst_s=burst_s, seed=seed)
    clip = fit_clip(wave, CONFIG)
    assert clip.shape == (RATE,)
    assert clip.dtype == np.float32
    start = start_of(clip, wave)
    assert start <= burst.start + 160
    assert burst.stop <= start + RATE + 160
    # The second reaches past an end by a quarter of itself at most.
    assert -RATE / 4 <= start <= len(wave) - 0.75 * RATE
    if 0.26 < centre_s < seconds - 0.26:
        assert abs((burst.start + burst.stop) / 2 - start - RATE / 2) <= 0.01 * RATE


@settings(max_examples=60, deadline=None)
@given(
    centre_s=st.floats(0.25, 0.75),
    burst_s=st.floats(0.05, 0.45),
    level_db=st.floats(-30, 0),
    seed=st.integers(0, 1000),
)
def test_a_word_anywhere_in_a_second_comes_to_its_middle(
    centre_s: float, burst_s: float, level_db: float, seed: int
) -> None:
    """A burst at any place of a second, however loud, stands in its middle within 10 ms."""
    wave, burst = noisy_burst(1.0, centre_s, burst_s=burst_s, seed=seed)
    wave *= np.float32(10 ** (level_db / 20))
    clip = fit_clip(wave, CONFIG)
    assert clip.shape == (RATE,)
    assert clip.dtype == np.float32
    middle = (burst.start + burst.stop) / 2 - start_of(clip, wave)
    assert abs(middle - RATE / 2) <= 0.01 * RATE


@pytest.mark.parametrize("centre_s", [0.1, 0.2, 0.8, 0.9])
def test_the_second_is_moved_by_a_quarter_at_most(centre_s: float) -> None:
    """A word at the very edge is brought closer to the middle by 250 ms, and no more."""
    wave, _ = noisy_burst(1.0, centre_s, burst_s=0.15)
    wanted = -RATE // 4 if centre_s < 0.5 else RATE // 4
    assert start_of(fit_clip(wave, CONFIG), wave) == wanted


@pytest.mark.parametrize("factor", [1e-4, 0.037, 0.5, 1.9])
@pytest.mark.parametrize("offset", [0.0, 0.3, -0.7])
def test_level_and_offset_do_not_move_the_word(factor: float, offset: float) -> None:
    """A recording at another level, or beside zero, is cut at the same place to a sample."""
    wave, _ = noisy_burst(1.0, 0.37)
    start = start_of(fit_clip(wave, CONFIG), wave)
    # Float32 keeps less of a faint sound beside a large offset.
    if offset and factor < 0.1:
        offset *= factor
    other = (wave * np.float32(factor) + np.float32(offset)).astype(np.float32)
    assert abs(start_of(fit_clip(other, CONFIG), other) - start) <= 1


@pytest.mark.parametrize("level", [0.0, 0.25, -1.0])
@pytest.mark.parametrize("samples", [RATE, 3 * RATE])
def test_where_nothing_sounds_nothing_moves(level: float, samples: int) -> None:
    """Digital silence and a constant are cut as they lie."""
    wave = np.full(samples, level, np.float32)
    np.testing.assert_array_equal(fit_clip(wave, CONFIG), wave[:RATE])


def test_steady_noise_is_no_word(rng: np.random.Generator) -> None:
    """A second of noise without anything that stands out stays where it is."""
    wave = rng.normal(0, 0.05, RATE).astype(np.float32)
    np.testing.assert_array_equal(fit_clip(wave, CONFIG), wave)


@pytest.mark.parametrize("shift_ms", [-200, -90, 35, 150])
def test_a_shifted_word_has_nearly_the_same_features(shift_ms: int) -> None:
    """Where in its second a word was said hardly shows in its features, and did before."""
    wave, _ = noisy_burst(3.0, 1.5, burst_s=0.35)
    here, there = (wave[s : s + RATE] for s in (RATE, RATE + shift_ms * RATE // 1000))

    def difference(config: FeatureConfig) -> float:
        pair = np.stack([fit_clip(here, config), fit_clip(there, config)])
        one, other = clip_features(pair, config).reshape(2, 32, 32)[:, :, 10:22]
        return float(np.abs(one - other).mean())

    assert difference(CONFIG) < 0.25
    assert difference(AS_CUT) > 3 * difference(CONFIG)


def test_exactly_a_second_is_left_alone() -> None:
    """Without alignment a clip of the right length is the very same samples."""
    wave, _ = noisy_burst(1, 0.5)
    np.testing.assert_array_equal(fit_clip(wave, AS_CUT), wave)


@pytest.mark.parametrize("samples", [1, 2, 159, 8000, 15_998, 15_999])
@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_a_shorter_wave_stands_in_the_middle_of_silence(samples: int, offset: float) -> None:
    """Padding is equal on both sides, to a sample, and the wave itself is unchanged.

    A constant offset goes on in it: it is no sound, but a step of it would be.
    """
    wave = np.resize(np.float32([0.25, -0.25]), samples)
    wave[samples // 2 * 2 :] = 0
    wave += np.float32(offset)
    clip = fit_clip(wave, AS_CUT)
    assert clip.shape == (RATE,)
    assert clip.dtype == np.float32
    before = (RATE - samples) // 2
    np.testing.assert_array_equal(clip[before : before + samples], wave)
    np.testing.assert_array_equal(clip[:before], np.float32(offset))
    np.testing.assert_array_equal(clip[before + samples :], np.float32(offset))


@pytest.mark.parametrize("centre_s", [0.1, 0.25, 0.4])
def test_a_word_in_a_short_recording_comes_to_the_middle_too(centre_s: float) -> None:
    """Half a second with a word at its start or end is padded so that the word is in the middle."""
    wave, burst = noisy_burst(0.5, centre_s, burst_s=0.15)
    clip = fit_clip(wave, CONFIG)
    assert clip.shape == (RATE,)
    (start,) = np.flatnonzero(clip == wave[burst][1000])
    assert abs(start - 1000 + (burst.stop - burst.start) / 2 - RATE / 2) <= 0.01 * RATE


def test_a_constant_offset_does_not_mislead() -> None:
    """A faint word is found on top of an offset, though the offset swells a little elsewhere."""
    wave, burst = noisy_burst(4.0, 3.0)
    faint = 0.02 * wave
    faint[8000:12_800] += np.float32(0.002)
    for offset in (0.9, -0.9):
        clip = fit_clip(faint + np.float32(offset), CONFIG)
        start = start_of(clip, faint + np.float32(offset))
        assert start <= burst.start
        assert burst.stop <= start + RATE


@pytest.mark.parametrize("halvings", [1, 5, 10, 20])
def test_gain_does_not_move_the_second(halvings: int) -> None:
    """A quieter recording is cut at the same place."""
    wave, _ = noisy_burst(3.7, 1.9)
    factor = np.float32(0.5**halvings)
    np.testing.assert_array_equal(fit_clip(factor * wave, CONFIG), factor * fit_clip(wave, CONFIG))


@pytest.mark.parametrize("rate", [8000, 22_050, 48_000])
def test_fitting_follows_the_settings(rate: int) -> None:
    """Other rates give a second of their own length."""
    config = replace(CONFIG, sample_rate_hz=rate, high_hz=3900, window_ms=40, hop_ms=20)
    for samples in (rate // 2, rate, rate + 1, 3 * rate):
        assert fit_clip(np.ones(samples, np.float32), config).shape == (rate,)


def burst_at(first: int, last: int, level: float = 0.3, *, ground: float = 0.001) -> Array:
    """A second of faint hiss with a loud stretch of 10 ms blocks ``first`` to ``last``."""
    rng = np.random.default_rng(0)
    wave = ground * rng.standard_normal(RATE)
    wave[first * 160 : (last + 1) * 160] += level * np.sin(np.arange((last + 1 - first) * 160))
    return wave.astype(np.float32)


def test_excess_energy_by_its_formula() -> None:
    """Three blocks together, less twice the quiet fifth's, not below zero, the mean taken out."""
    wave = burst_at(30, 49, ground=0.05) + np.float32(0.1)
    centred = wave.astype(np.float64) - wave.mean(dtype=np.float64)
    energy = np.square(centred).reshape(100, 160).sum(axis=1)
    three = np.convolve(energy, [1, 1, 1], mode="same")
    quiet = np.sort(three)[20]
    excess, background_energy = excess_energy(wave, CONFIG)
    assert (excess.shape, excess.dtype) == ((100,), np.float32)
    assert background_energy == pytest.approx(quiet, rel=1e-4)
    np.testing.assert_allclose(excess, np.maximum(three - 2 * quiet, 0), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("level", [0.0, 0.25, -1.0])
def test_a_constant_has_no_excess_energy(level: float) -> None:
    """Where nothing sounds, nothing is above the background."""
    excess, background_energy = excess_energy(np.full(RATE, level, np.float32), CONFIG)
    assert excess.max() == pytest.approx(0, abs=1e-9)
    assert background_energy == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("first", "last"), [(20, 20), (30, 59), (0, 4), (95, 99)])
def test_loud_blocks_are_those_of_the_sound(first: int, last: int) -> None:
    """A burst's own blocks are loud, and the one beside it on each side; no others."""
    excess, _ = excess_energy(burst_at(first, last), CONFIG)
    wanted = range(max(0, first - 1), min(99, last + 1) + 1)
    assert loud_blocks(excess).tolist() == list(wanted)


@pytest.mark.parametrize(("share", "loud"), [(0.019, False), (0.021, True)])
def test_a_fiftieth_of_the_loudest_is_loud(share: float, loud: bool) -> None:
    """The limit is a share of the loudest block, whatever the level."""
    for level in (1e-6, 1.0, 1e6):
        excess = np.array([0, share, 1, 0], dtype=np.float32) * np.float32(level)
        assert (1 in loud_blocks(excess)) == loud
        assert 2 in loud_blocks(excess)
        assert 0 not in loud_blocks(excess)


@pytest.mark.parametrize(
    ("block", "samples"), [(50, 80), (49, -80), (60, 1680), (30, -3120), (0, -4000), (99, 4000)]
)
def test_off_centre_is_measured_in_samples(block: int, samples: int) -> None:
    """From the middle of the clip to the middle of the block with all the energy, 4000 at most."""
    excess = np.zeros(100, dtype=np.float32)
    excess[block] = 3.0
    assert off_centre(excess, CONFIG) == samples


def test_off_centre_weighs_energies() -> None:
    """Of several blocks, the centre of gravity counts."""
    excess = np.zeros(100, dtype=np.float32)
    excess[40], excess[60] = 3.0, 1.0
    assert off_centre(excess, CONFIG) == 45 * 160 + 80 - RATE // 2


@pytest.mark.parametrize("value", [0.0, np.inf, np.nan])
def test_off_centre_of_what_has_no_centre(value: float) -> None:
    """Nothing above the background, or an energy that is no number, moves nothing."""
    excess = np.zeros(100, dtype=np.float32)
    excess[10] = value
    assert off_centre(excess, CONFIG) == 0


@pytest.mark.parametrize(("rate", "samples"), [(8000, 80), (16_000, 160), (48_000, 480)])
def test_a_block_is_ten_milliseconds(rate: int, samples: int) -> None:
    """Whatever the sample rate."""
    assert block_samples(replace(CONFIG, sample_rate_hz=rate, high_hz=3900)) == samples


@pytest.mark.parametrize(
    ("changes", "awaited"),
    [
        ({}, 27),
        ({"hop_ms": 60.0, "frames": 16, "bands": 64}, 14),
        ({"hop_ms": 7.5}, 16),
        # Half of these frames would reach beyond half of the clip.
        ({"clip_ms": 200, "hop_ms": 26.0, "window_ms": 16.0, "frames": 8, "bands": 128}, 5),
    ],
)
def test_a_stream_waits_for_all_but_150_ms(changes: dict[str, Any], awaited: int) -> None:
    """For the frames before the last 150 ms, and for half the window at least."""
    assert awaited_frames(replace(CONFIG, **changes)) == awaited


def test_what_is_not_heard_is_mirrored() -> None:
    """The frames that are heard stay in their places; behind them they come backwards."""
    orders = mirrored_frames(CONFIG, [16, 27, 31, 32])
    assert orders.shape == (4, 32)
    everything = list(range(32))
    assert orders[0].tolist() == everything[:16] + everything[:16][::-1]
    assert orders[1].tolist() == [*everything[:27], 26, 25, 24, 23, 22]
    assert orders[2].tolist() == [*everything[:31], 30]
    assert orders[3].tolist() == everything
    assert mirrored_frames(CONFIG, 27).tolist() == orders[1].tolist()
