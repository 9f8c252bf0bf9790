"""Noise under test recordings: a mains hum, pulses, babble, or recordings of noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechrec.audio import read_audio
from speechrec.augment import Array, centred, coloured_noise
from speechrec.errors import AudioError
from speechrec.limits import MAX_SECONDS
from speechrec.loudness import active_power
from speechrec.mix_config import RATE_HZ
from speechrec.negatives import Negative
from speechrec.sndfile import read_info

_TALKERS = 6
_HUM_LOW_HZ, _HUM_HIGH_HZ, _HARMONICS = 45.0, 65.0, 40


@dataclass(frozen=True, slots=True)
class Noise:
    """``wave``: (samples,) float32 at 16 kHz, of any level; ``sources``: the files it is from."""

    kind: str
    wave: Array
    sources: tuple[str, ...] = ()


def recording_noise(
    rng: np.random.Generator,
    number: int,
    samples: int,
    *,
    negatives: Sequence[Negative] = (),
    noises: Sequence[Path] = (),
) -> Noise:
    """The noise of a recording.

    Args:
        number: of the recording; kinds of noise are taken in turn.
        negatives: whose babble is one of the kinds where six of them or more are speaking.
        noises: recordings of noise, which are used instead of all others.

    Raises:
        AudioError: a recording cannot be read, or one of noise is silent.
    """
    if noises:
        path = noises[number % len(noises)]
        return Noise(path.stem, *_endless(rng, [path], samples))
    talkers: dict[str, list[Path]] = {}
    for negative in negatives:
        talkers.setdefault(negative.speaker, []).append(negative.path)
    makers = {"hum": _hum, "pulsed": _pulsed}
    kinds = [*makers, "babble"] if len(talkers) >= _TALKERS else [*makers]
    kind = kinds[number % len(kinds)]
    if kind != "babble":
        return Noise(kind, makers[kind](rng, samples))
    chosen = [list(talkers.values())[i] for i in rng.choice(len(talkers), _TALKERS, replace=False)]
    babble, sources = np.zeros(samples, dtype=np.float32), tuple[str, ...]()
    for paths in chosen:
        wave, used = _endless(rng, paths, samples)
        babble += wave
        sources += used
    return Noise(kind, babble, sources)


def _endless(
    rng: np.random.Generator, paths: Sequence[Path], samples: int
) -> tuple[Array, tuple[str, ...]]:
    """Recordings one after the other, equally loud, over and over from some place on.

    With them the files that they are from: of a speaker who has hours, no more than are needed.
    """
    waves: list[Array] = []
    powers: list[float] = []
    order = rng.permutation(len(paths))
    for number in order:
        waves.append(_read(paths[number]))
        powers.append(active_power(waves[-1]))
        if any(powers) and sum(map(len, waves)) >= samples:
            break
    if not any(powers):
        raise AudioError("silent", f"{paths[0]}: expected noise or speech, found silence")
    joined = np.concatenate(
        [w / np.float32(max(p, 1e-30) ** 0.5) for w, p in zip(waves, powers, strict=True)]
    )
    wave: Array = np.resize(np.roll(joined, int(rng.integers(len(joined)))), samples)
    return wave, tuple(str(paths[number]) for number in order[: len(waves)])


def _read(path: Path) -> Array:
    """A recording, of a long one as much as fits in memory."""
    longer = read_info(path).duration_s > MAX_SECONDS
    duration_s = MAX_SECONDS if longer else None
    return centred(read_audio(path, sample_rate_hz=RATE_HZ, duration_s=duration_s))


def _hum(rng: np.random.Generator, samples: int) -> Array:
    """Harmonics of a mains-like fundamental, each of which wanders in strength within seconds."""
    numbers = np.arange(1, _HARMONICS + 1, dtype=np.float32)[:, None]
    turns = rng.uniform(_HUM_LOW_HZ, _HUM_HIGH_HZ) / RATE_HZ
    phases = rng.uniform(0, 2 * np.pi, numbers.shape).astype(np.float32)
    seconds = -(-samples // RATE_HZ)
    wander = rng.normal(0, 0.5, (_HARMONICS, seconds + 1)).astype(np.float32)
    strength = np.exp(wander) / np.sqrt(numbers)
    ramp = np.linspace(0, 1, RATE_HZ, endpoint=False, dtype=np.float32)
    hum: Array = np.empty((seconds, RATE_HZ), dtype=np.float32)
    for second in range(seconds):
        turned = turns * np.arange(second * RATE_HZ, (second + 1) * RATE_HZ) % 1
        waves = np.sin(numbers * (2 * np.pi * turned).astype(np.float32) + phases)
        now, then = strength[:, second], strength[:, second + 1]
        hum[second] = (now @ waves) * (1 - ramp) + (then @ waves) * ramp
    return hum.ravel()[:samples]


def _pulsed(rng: np.random.Generator, samples: int) -> Array:
    """Pink noise that comes and goes one to four times a second, for half of the time or so."""
    # As many as there are if all are of the shortest.
    periods = 1 / rng.uniform(1, 4, 4 * (samples // RATE_HZ + 1))
    starts = np.cumsum(periods) - periods
    stops = starts + periods * rng.uniform(0.3, 0.7, len(periods))
    ramp_s = 0.01
    corners = np.stack([starts, starts + ramp_s, stops, stops + ramp_s], axis=1).ravel()
    levels = np.tile([0.0, 1.0, 1.0, 0.0], len(periods))
    gate: Array = np.interp(np.arange(samples) / RATE_HZ, corners, levels).astype(np.float32)
    return gate * coloured_noise(rng, samples, colour="pink", sample_rate_hz=RATE_HZ)
