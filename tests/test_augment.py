"""Noise and altered clips have what was asked for, and follow their generator."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechrec.augment import (
    altered_silence,
    altered_word,
    among_words,
    coloured_noise,
    gain,
    mixed,
    placed,
    stretched,
    with_echo,
)
from speechrec.train_config import AugmentConfig

Array = npt.NDArray[np.float32]

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


def white(rng: np.random.Generator, samples: int) -> Array:
    return 0.1 * rng.standard_normal(samples, dtype=np.float32)


def tone(hz: float, seconds: float = 1.0) -> Array:
    t = np.arange(round(seconds * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def energy_db(wave: Array) -> float:
    return float(10 * np.log10(np.square(wave, dtype=np.float64).sum()))


def plainest(**changes: float) -> AugmentConfig:
    """Copies that differ in nothing but what is changed here."""
    still = AugmentConfig(
        stretch_percent=0, shift_ms=0, noise_share=0, echo_share=0, least_gain_db=0, most_gain_db=0
    )
    return replace(still, **changes)


def word_of(
    wave: Array, config: AugmentConfig, *, seed: int = 0, samples: int = RATE
) -> Array:  # fmt: skip
    rng = np.random.default_rng(seed)
    return altered_word(rng, wave, config, white, samples=samples, sample_rate_hz=RATE)


@settings(max_examples=60, deadline=None)
@given(
    samples=st.integers(1, 40_000),
    level_db=st.floats(-80, 40),
    seed=st.integers(0, 10_000),
    wild=st.booleans(),
)
def test_altered_words_are_clips(samples: int, level_db: float, seed: int, wild: bool) -> None:
    """Whatever word and settings go in, a clip's length of finite numbers in [-1, 1] comes out."""
    config = AugmentConfig()
    if wild:
        config = AugmentConfig(
            stretch_percent=50, shift_ms=1000, noise_share=1, echo_share=1, least_snr_db=-200,
            most_snr_db=200, least_gain_db=-200, most_gain_db=200,
        )  # fmt: skip
    wave = gain(white(np.random.default_rng(seed), samples), level_db)
    before = wave.copy()
    out = word_of(wave, config, seed=seed)
    assert (out.shape, out.dtype) == ((RATE,), np.float32)
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 1
    np.testing.assert_array_equal(wave, before)


@pytest.mark.parametrize("level_db", [-200, -100, -40, 0, 40])
@pytest.mark.parametrize("seed", range(8))
def test_altered_silence_is_a_clip(level_db: float, seed: int) -> None:
    """Another silence has the length of the first and finite numbers in [-1, 1]."""
    wave = gain(white(np.random.default_rng(seed), RATE), level_db)
    before = wave.copy()
    out = altered_silence(np.random.default_rng(seed), wave, AugmentConfig(), white)
    assert (out.shape, out.dtype) == ((RATE,), np.float32)
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 1
    np.testing.assert_array_equal(wave, before)


def test_alterations_follow_their_generator() -> None:
    """The same seed alters a clip in the same way, another seed in another."""
    wave, config = tone(440), AugmentConfig()
    np.testing.assert_array_equal(word_of(wave, config, seed=3), word_of(wave, config, seed=3))
    assert np.abs(word_of(wave, config, seed=3) - word_of(wave, config, seed=4)).max() > 0.01
    one, same, other = (
        altered_silence(np.random.default_rng(seed), wave, config, white) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-4


def test_with_nothing_asked_only_hiss_is_added() -> None:
    """A copy whose settings are all off is the word in the middle, but for a microphone's hiss."""
    wave = tone(300, 0.5)
    out = word_of(wave, plainest())
    expected = np.pad(wave, RATE // 4)
    difference = out - expected
    assert 0 < np.abs(difference).max() < 0.01
    assert -95 < energy_db(difference) - 10 * np.log10(RATE) < -55


@pytest.mark.parametrize("shift_ms", [0.0, 50.0, 100.0, 400.0])
def test_words_are_shifted_as_far_as_asked(shift_ms: float) -> None:
    """Places fill the span from ``-shift_ms`` to ``shift_ms`` around the middle, and no more."""
    click = np.full(1, 0.9, np.float32)
    config = plainest(shift_ms=shift_ms)
    places = [int(np.abs(word_of(click, config, seed=n)).argmax()) for n in range(60)]
    shifts = (np.array(places) - (RATE - 1) // 2) * 1000 / RATE
    assert np.abs(shifts).max() <= shift_ms + 0.1
    assert shifts.min() <= -0.8 * shift_ms
    assert shifts.max() >= 0.8 * shift_ms


@pytest.mark.parametrize("bounds", [(-12.0, -12.0), (-30.0, -6.0)])
def test_level_is_within_what_was_asked(bounds: tuple[float, float]) -> None:
    """Every copy's change of level lies between the bounds, and the copies fill them."""
    wave, config = tone(300), plainest(least_gain_db=bounds[0], most_gain_db=bounds[1])
    levels = [energy_db(word_of(wave, config, seed=n)) - energy_db(wave) for n in range(40)]
    assert bounds[0] - 0.1 <= min(levels) <= bounds[0] + 3
    assert bounds[1] - 3 <= max(levels) <= bounds[1] + 0.1


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_so_many_copies_have_noise_or_echo(share: float) -> None:
    """The share of copies with noise, and with echo, is the one that was asked for."""
    wave = tone(300, 0.2)
    noisy = plainest(noise_share=share, least_snr_db=0, most_snr_db=0)
    echoing = plainest(echo_share=share)
    last = 9600
    for config in (noisy, echoing):
        after = [word_of(wave, config, seed=n)[last + 20 :] for n in range(200)]
        loud = np.mean([np.abs(tail).max() > 0.01 for tail in after])
        assert loud == pytest.approx(share, abs=0.1)


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 5.0, 30.0])
def test_noise_is_as_far_below_the_word_as_asked(rng: np.random.Generator, snr_db: float) -> None:
    """Energies of word and noise are so many decibels apart, whatever the noise was before."""
    wave = tone(440)
    for level in (1e-3, 1.0, 30.0):
        out = mixed(wave, level * white(rng, RATE), snr_db)
        assert out.dtype == np.float32
        assert energy_db(wave) - energy_db(out - wave) == pytest.approx(snr_db, abs=0.02)


@pytest.mark.parametrize("snr_db", [0.0, 12.0])
def test_altered_words_have_that_noise(snr_db: float) -> None:
    """The signal-to-noise ratio that the settings ask for is the one of the copies."""
    wave = gain(tone(440), -12)
    config = plainest(noise_share=1, least_snr_db=snr_db, most_snr_db=snr_db)
    for seed in range(5):
        rest = word_of(wave, config, seed=seed) - wave
        assert energy_db(wave) - energy_db(rest) == pytest.approx(snr_db, abs=0.1)


def test_mixing_with_nothing() -> None:
    """Silent noise changes nothing, and noise under a silent word stays as silent."""
    wave, nothing = tone(440), np.zeros(RATE, np.float32)
    np.testing.assert_array_equal(mixed(wave, nothing, 0), wave)
    np.testing.assert_array_equal(mixed(nothing, wave, 0), nothing)


@pytest.mark.parametrize("factor", [0.5, 0.85, 1.0, 1.15, 1.5])
@pytest.mark.parametrize("samples", [800, 16_000, 16_001])
def test_stretching_changes_length_and_pitch(factor: float, samples: int) -> None:
    """So many times as long is so many times as low: a tone of 1 kHz shows it."""
    wave = tone(1000, samples / RATE)
    out = stretched(wave, factor, sample_rate_hz=RATE)
    assert out.dtype == np.float32
    assert abs(len(out) - factor * samples) <= 2
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out)), 16 * RATE))
    assert spectrum.argmax() / 16 == pytest.approx(1000 / factor, rel=0.02)
    assert energy_db(out) - energy_db(wave) == pytest.approx(10 * np.log10(factor), abs=0.5)


def test_words_are_stretched_up_and_down() -> None:
    """Copies are as much as ``stretch_percent`` longer and shorter, and no more."""
    wave = tone(1000)
    factors = []
    for seed in range(40):
        out = word_of(wave, plainest(stretch_percent=20), seed=seed, samples=2 * RATE)
        spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out)), 16 * RATE))
        factors.append(1000 / (spectrum.argmax() / 16))
    assert 0.79 < min(factors) < 0.85
    assert 1.15 < max(factors) < 1.21


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("samples", [1, 4000, 16_000])
def test_an_echo_comes_after_the_sound(samples: int, seed: int) -> None:
    """The echo makes the wave longer, not earlier, is there when the wave is over, and fades."""
    wave = np.zeros(samples, np.float32)
    wave[-1] = 0.5
    out = with_echo(np.random.default_rng(seed), wave, sample_rate_hz=RATE)
    assert out.dtype == np.float32
    assert samples + RATE // 100 < len(out) <= samples + RATE // 10
    assert np.abs(out[: samples - 1]).max(initial=0) < 1e-5
    tail = out[samples:]
    assert energy_db(tail) > -40
    assert energy_db(tail[-300:]) < energy_db(tail[:300]) - 3
    # Between 12 dB below and 3 dB above the direct sound, of which some comes after the cut.
    assert energy_db(tail) - energy_db(wave) < 3.5


@pytest.mark.parametrize("seed", [5, 34])
@pytest.mark.parametrize("samples", range(14_800, 15_070, 66))
def test_the_echoed_wave_is_a_tenth_of_a_second_longer(samples: int, seed: int) -> None:
    """Whatever length the wave has, the result is longer by the same."""
    out = with_echo(np.random.default_rng(seed), np.ones(samples, np.float32), sample_rate_hz=RATE)
    assert len(out) == samples + RATE // 10


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (0, [1, 2, 3, 0, 0]), (2, [0, 0, 1, 2, 3]), (-1, [2, 3, 0, 0, 0]), (4, [0, 0, 0, 0, 1]),
        (-3, [0] * 5), (5, [0] * 5), (-100, [0] * 5), (100, [0] * 5),
    ],
)  # fmt: skip
def test_placing(start: int, expected: list[float]) -> None:
    """A wave stands where it was asked for, and what does not fit is cut off."""
    out = placed(np.array([1, 2, 3], np.float32), start, 5)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, np.array(expected, np.float32))


def test_placing_a_longer_wave_keeps_what_fits() -> None:
    """Of a wave longer than the clip, the part in the clip is kept."""
    np.testing.assert_array_equal(placed(np.arange(9, dtype=np.float32), -3, 4), [3, 4, 5, 6])


@settings(max_examples=60, deadline=None)
@given(
    samples=st.integers(1, 30_000), before=st.integers(0, 20_000), after=st.integers(0, 20_000),
    seed=st.integers(0, 10_000),
)  # fmt: skip
def test_a_word_stands_between_the_others(samples: int, before: int, after: int, seed: int) -> None:
    """The word stands unaltered around its middle, pauses of 0.12 s at most beside it."""
    word = np.arange(1, samples + 1, dtype=np.float32)
    others = [np.full(before, 2, np.float32), np.full(after, 3, np.float32)]
    rng = np.random.default_rng(seed)
    wave, middle = among_words(rng, word, others, (-0.1, 0.12), sample_rate_hz=RATE)
    assert wave.dtype == np.float32
    start = middle - samples // 2
    np.testing.assert_array_equal(wave[start : start + samples], word)
    pauses = start - before, len(wave) - start - samples - after
    assert all(0 <= pause <= 0.12 * RATE for pause in pauses)
    assert not wave[before:start].any()
    assert not wave[start + samples : len(wave) - after].any()
    assert wave[:before].all()
    assert wave[len(wave) - after :].all()


@pytest.mark.parametrize("levels_db", [(-40.0, 0.0), (0.0, -40.0)])
def test_neighbours_are_about_as_loud_as_the_word(levels_db: tuple[float, float]) -> None:
    """Whatever levels they were recorded at, they stand within 4 dB of the word."""
    word = tone(440, 0.4)
    others = [gain(tone(300, 0.3), levels_db[0]), gain(tone(600, 0.3), levels_db[1])]
    differences = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        wave, _ = among_words(rng, word, others, (-0.1, 0.12), sample_rate_hz=RATE)
        for piece in (wave[:4800], wave[-4800:]):
            differences.append(energy_db(piece) - energy_db(word) + 10 * np.log10(6400 / 4800))
    assert max(differences) < 4.01
    assert min(differences) > -4.01
    assert max(differences) - min(differences) > 5


@pytest.mark.parametrize(
    ("pauses_s", "least", "most"), [((-0.1, 0.12), 0.0, 0.24), ((0.1, 0.5), 0.2, 1.0)]
)
def test_pauses_are_drawn(pauses_s: tuple[float, float], least: float, most: float) -> None:
    """Both between the given lengths; below zero there is none."""
    lengths = [
        len(among_words(np.random.default_rng(seed), tone(440, 0.1), [tone(300, 0.1)] * 2,
                        pauses_s, sample_rate_hz=RATE)[0]) - 4800
        for seed in range(60)
    ]  # fmt: skip
    assert least * RATE <= min(lengths) < (least + 0.3 * (most - least)) * RATE
    assert (least + 0.5 * (most - least)) * RATE < max(lengths) <= most * RATE
