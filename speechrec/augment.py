"""Pure waveform makers and transforms; randomness is an argument."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from speechrec.train_config import AugmentConfig

Array = npt.NDArray[np.float32]
# Draws so many samples of background noise.
NoiseSource = Callable[[np.random.Generator, int], Array]

# Power falls with frequency to this exponent.
_EXPONENTS = {"white": 0.0, "pink": 1.0, "brown": 2.0}
_LOWEST_HZ = 20.0
_HARMONICS = 12


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


def tones(rng: np.random.Generator, samples: int, *, sample_rate_hz: int) -> Array:
    """A fundamental of 70 to 600 Hz with up to eleven harmonics, as machines hum and music plays.

    Returns:
        (samples,) float32 with a peak of 1.
    """
    lowest_hz = float(np.exp(rng.uniform(np.log(70), np.log(600))))
    most = min(_HARMONICS, int(0.45 * sample_rate_hz / lowest_hz))
    numbers = np.arange(1, int(rng.integers(1, most + 1)) + 1, dtype=np.float32)[:, np.newaxis]
    strength = np.exp(rng.normal(0, 0.7, numbers.shape)) / numbers ** rng.uniform(0, 1.5)
    phases = rng.uniform(0, 2 * np.pi, numbers.shape).astype(np.float32)
    turns = np.arange(samples, dtype=np.float32) * np.float32(
        2 * np.pi * lowest_hz / sample_rate_hz
    )
    wave = (strength.astype(np.float32) * np.sin(numbers * turns + phases)).sum(axis=0)
    scaled: Array = wave / np.abs(wave).max()
    return scaled


def pulsed(rng: np.random.Generator, noise: Array, *, sample_rate_hz: int) -> Array:
    """Noise that comes and goes, every 0.15 to 1 s, for 30 to 70 % of the time."""
    period = float(rng.uniform(0.15, 1.0)) * sample_rate_hz
    share, start = float(rng.uniform(0.3, 0.7)), float(rng.uniform())
    turn = (np.arange(len(noise), dtype=np.float32) / np.float32(period) + np.float32(start)) % 1
    # Edges of 10 ms.
    edge = 0.01 * sample_rate_hz / period
    gate: Array = np.interp(turn, [0, edge, share, share + edge], [0, 1, 1, 0]).astype(np.float32)
    return gate * noise


def babble(rng: np.random.Generator, talkers: Sequence[Array], samples: int) -> Array:
    """People who talk at the same time, some softer than others by up to 6 dB.

    Args:
        talkers: (any,) float32 each, what one of them says; said over and over.
    """
    out: Array = np.zeros(samples, dtype=np.float32)
    for wave in talkers:
        level = gain(wave, float(rng.uniform(-6, 0)) - _level_db(wave))
        out += np.resize(np.roll(level, int(rng.integers(len(wave)))), samples)
    return out


def centred(wave: Array) -> Array:
    """The wave without its constant offset, which is no sound, but would count as loudness."""
    return wave - np.float32(wave.mean(dtype=np.float64)) if len(wave) else wave


def gain(wave: Array, gain_db: float) -> Array:
    """The wave louder or quieter by ``gain_db`` decibels."""
    return wave * np.float32(10 ** (gain_db / 20))


def altered_word(
    rng: np.random.Generator,
    wave: Array,
    config: AugmentConfig,
    noise: NoiseSource,
    *,
    samples: int,
    sample_rate_hz: int,
) -> Array:
    """A word as another voice in another room might have said it.

    In this order: faster and higher or slower and lower, a room's echo, another place in the clip,
    background noise, another level. Each by an amount of its own, drawn from ``config``.

    Args:
        wave: (any,) float32, the word without padding.
        noise: background to draw from.

    Returns:
        (samples,) float32 in [-1, 1].
    """  # fmt: skip
    most = config.stretch_percent / 100
    wave = stretched(wave, float(rng.uniform(1 - most, 1 + most)), sample_rate_hz=sample_rate_hz)
    if rng.random() < config.echo_share:
        wave = with_echo(rng, wave, sample_rate_hz=sample_rate_hz)
    shift = round(float(rng.uniform(-1, 1)) * config.shift_ms * sample_rate_hz / 1000)
    out = placed(wave, (samples - len(wave)) // 2 + shift, samples)
    if rng.random() < config.noise_share:
        snr_db = float(rng.uniform(config.least_snr_db, config.most_snr_db))
        out = mixed(out, noise(rng, samples), snr_db)
    else:
        hiss_db = float(rng.uniform(*_HISS_DB))
        out = out + gain(rng.standard_normal(samples, dtype=np.float32), hiss_db)
    return np.clip(gain(out, _level(rng, config)), -1, 1)


def altered_silence(
    rng: np.random.Generator, wave: Array, config: AugmentConfig, noise: NoiseSource
) -> Array:
    """Another stretch of background at another level, now and then two on top of each other."""
    samples = len(wave)
    if rng.random() < _FRESH_NOISE_SHARE:
        wave = gain(noise(rng, samples), float(rng.uniform(*_SILENCE_DB)))
    if rng.random() < _SECOND_NOISE_SHARE:
        wave = wave + gain(noise(rng, samples), float(rng.uniform(*_SILENCE_DB)))
    return np.clip(gain(wave, _level(rng, config)), -1, 1)


# White noise under words that get no other: a microphone's own.
_HISS_DB = (-90.0, -60.0)
_SILENCE_DB = (-50.0, 0.0)
_FRESH_NOISE_SHARE, _SECOND_NOISE_SHARE = 0.85, 0.3


def _level(rng: np.random.Generator, config: AugmentConfig) -> float:
    return float(rng.uniform(config.least_gain_db, config.most_gain_db))


def stretched(wave: Array, factor: float, *, sample_rate_hz: int) -> Array:
    """The wave ``factor`` times as long and as much lower, by resampling."""
    import soxr

    altered: Array = soxr.resample(wave, sample_rate_hz, sample_rate_hz * factor, quality="MQ")
    return altered


def with_echo(rng: np.random.Generator, wave: Array, *, sample_rate_hz: int) -> Array:
    """The wave in a made-up room: noise that dies away by 60 dB in 0.08 to 0.5 s, after itself.

    The room's response is white noise under an exponential (Polack 1988), 12 dB below to 3 dB
    above the direct sound. The result is 0.1 s longer than the wave.
    """
    decay_s = float(rng.uniform(0.08, 0.5))
    length = round(min(decay_s, 0.4) * sample_rate_hz)
    seconds = np.arange(length, dtype=np.float32) / np.float32(sample_rate_hz)
    room = rng.standard_normal(length, dtype=np.float32)
    room *= np.exp(seconds * np.float32(-3 * np.log(10) / decay_s))
    energy_db = float(rng.uniform(-12, 3))
    room *= np.float32(10 ** (energy_db / 20)) / np.sqrt(np.vdot(room, room))
    room[0] += 1
    size = 1 << (len(wave) + max(length, sample_rate_hz // 10) - 1).bit_length()
    echoed = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(room, size), size)
    return echoed[: len(wave) + sample_rate_hz // 10].astype(np.float32)


def among_words(
    rng: np.random.Generator,
    word: Array,
    neighbours: Sequence[Array],
    pauses_s: tuple[float, float],
    *,
    sample_rate_hz: int,
) -> tuple[Array, int]:
    """A word with others before and after it, up to 4 dB louder or softer.

    Args:
        word: (any,) float32 without silence around it; so are the neighbours, two of them, of which
            one may be empty.
        pauses_s: shortest and longest; below 0 there is none.

    Returns:
        The joined wave, and the sample in it that is the middle of ``word``.
    """
    before, after = (
        gain(other, _level_db(word) - _level_db(other) + float(rng.uniform(-4, 4)))
        for other in neighbours
    )
    pauses = [
        np.zeros(max(0, round(rng.uniform(*pauses_s) * sample_rate_hz)), dtype=np.float32)
        for _ in range(2)
    ]
    wave = np.concatenate((before, pauses[0], word, pauses[1], after))
    return wave, len(before) + len(pauses[0]) + len(word) // 2


def _level_db(wave: Array) -> float:
    return float(10 * np.log10(np.vdot(wave, wave) / max(1, len(wave)) + 1e-12))


def placed(wave: Array, start: int, samples: int) -> Array:
    """(samples,) zeros with the wave from ``start`` on, cut where it does not fit."""
    out = np.zeros(samples, dtype=np.float32)
    first, last = max(0, start), min(samples, start + len(wave))
    if first < last:
        out[first:last] = wave[first - start : last - start]
    return out


def mixed(wave: Array, noise: Array, snr_db: float) -> Array:
    """The wave with noise so strong that their energies are ``snr_db`` apart."""
    signal, background = float(np.vdot(wave, wave)), float(np.vdot(noise, noise))
    if background <= 0:
        return wave
    return wave + noise * np.float32(np.sqrt(signal / background) * 10 ** (-snr_db / 20))
