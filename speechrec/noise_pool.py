"""The noise behind altered copies: recorded, made, and others who talk."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from speechrec import audio, augment
from speechrec.config import FeatureConfig
from speechrec.features import Array
from speechrec.placing import block_samples, excess_energy, fit_clip, loud_blocks
from speechrec.recording import Clip, Stretch
from speechrec.shards import read_clip
from speechrec.silence import NOISE_COLOURS

# So many words may be said beside or behind others.
OTHERS = 512
# Share of drawn noise that is made, not recorded.
_MADE_NOISE_SHARE = 0.25
# So many at most talk at a time. Interference that is not talk is half pulses.
_MOST_TALKERS = 6
_WORDS_OF_A_TALKER = 3


@lru_cache(maxsize=2 * OTHERS)
def said(clip: Clip, config: FeatureConfig) -> Array:
    """A word of the training part alone, kept for the next time."""
    return spoken(augment.centred(read_clip(clip, config)[0]), config)


def spoken(wave: Array, config: FeatureConfig) -> Array:
    """The second around a word without what is before and after it."""
    clip = fit_clip(wave, config)
    loud, block = loud_blocks(excess_energy(clip, config)[0]), block_samples(config)
    return clip[loud[0] * block : (loud[-1] + 1) * block] if len(loud) else clip


@dataclass(frozen=True, slots=True)
class NoisePool:
    """Draws background noise: mostly recorded, where there are recordings."""

    config: FeatureConfig
    noise: tuple[Stretch, ...]
    others: tuple[Clip, ...]
    interference_share: float
    talk_share: float

    def __call__(self, rng: np.random.Generator, samples: int) -> Array:
        share = self.interference_share
        if not share or rng.random() >= share:
            return self._background(rng, samples)
        if rng.random() < self.talk_share and self.others:
            return self._talk(rng, samples)
        return self._machines(rng, samples)

    def without_speech(self, rng: np.random.Generator, samples: int) -> Array:
        """Noise that is no unknown word."""
        share = self.interference_share
        if not share or rng.random() >= share:
            return self._background(rng, samples)
        return self._machines(rng, samples)

    def _talk(self, rng: np.random.Generator, samples: int) -> Array:
        others = self.others
        talkers = [
            np.concatenate(
                [said(others[n], self.config) for n in rng.integers(len(others), size=words)]
            )
            for words in [_WORDS_OF_A_TALKER] * int(rng.integers(1, _MOST_TALKERS + 1))
        ]
        return augment.babble(rng, talkers, samples)

    def _machines(self, rng: np.random.Generator, samples: int) -> Array:
        rate = self.config.sample_rate_hz
        if rng.random() < 0.5:
            return augment.tones(rng, samples, sample_rate_hz=rate)
        return augment.pulsed(rng, self._background(rng, samples), sample_rate_hz=rate)

    def _background(self, rng: np.random.Generator, samples: int) -> Array:
        rate, stretches = self.config.sample_rate_hz, self.noise
        if not stretches or rng.random() < _MADE_NOISE_SHARE:
            colour = NOISE_COLOURS[int(rng.integers(len(NOISE_COLOURS)))]
            return augment.coloured_noise(rng, samples, colour=colour, sample_rate_hz=rate)
        stretch = stretches[int(rng.integers(len(stretches)))]
        seconds = min(samples / rate, stretch.stop_s - stretch.start_s)
        offset_s = float(rng.uniform(stretch.start_s, stretch.stop_s - seconds))
        wave = audio.read_audio(
            stretch.path, sample_rate_hz=rate, offset_s=offset_s, duration_s=seconds
        )
        # Over and over, where the stretch is too short; resampling may give a sample more or less.
        return np.resize(augment.centred(wave), samples)
