"""The pieces of test recordings: a pause, perhaps with a sentence in it, and a word."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from speechrec.audio import read_audio
from speechrec.augment import Array, centred, gain, placed, stretched
from speechrec.errors import AudioError
from speechrec.loudness import active_power, word_extent
from speechrec.mix_config import RATE_HZ, MixConfig
from speechrec.negatives import Negative
from speechrec.recording import Stretch
from speechrec.sndfile import read_info

_SEPARATION = round(0.3 * RATE_HZ)
_BEHIND_DB = -10.0
# Of the active part of clips that are to be equally loud, in dBFS.
_LEVEL_DB, _SILENT_POWER = -26.0, 1e-9
# A clip brings its own background, which must not begin with a click.
_FADE = RATE_HZ // 200
# Speech is heard in stretches of at most so many seconds.
_LONGEST_S = 10.0


class MixClip(NamedTuple):
    """One word in a file; an unknown word, which is no command, has no label."""

    path: str
    label: str | None
    offset_s: float = 0.0
    duration_s: float | None = None


class Piece(NamedTuple):
    """A pause and a clip; ``first`` and ``last`` are where the word is in them."""

    wave: Array
    clip: int
    clip_samples: int
    label: str | None
    first: int
    last: int
    power: float
    sources: list[str]


# Other speech with the files it is from.
Sentences = Iterator[tuple[str, Array]]


def sentences_of(rng: np.random.Generator, negatives: Sequence[Negative]) -> Sentences:
    """The other speech over and over, in an order of its own; nothing if there is none.

    Raises:
        AudioError: a recording cannot be read; at once if there is no sound in it.
    """
    stretches = [stretch for each in negatives for stretch in _stretches(each.path)]
    for index in itertools.cycle(rng.permutation(len(stretches))):
        path, start_s, stop_s = stretches[index]
        wave = read_audio(
            Path(path), sample_rate_hz=RATE_HZ, offset_s=start_s, duration_s=stop_s - start_s
        )
        yield path, _faded(centred(wave))


def _stretches(path: Path) -> list[Stretch]:
    """A recording in equal stretches that are short enough."""
    info = read_info(path)
    if not info.duration_s:
        raise AudioError("empty", f"{path}: expected other speech, found no samples; take it out")
    frames, parts = round(info.duration_s * info.rate_hz), math.ceil(info.duration_s / _LONGEST_S)
    # At whole frames: of halves, both sides might claim one.
    edges = np.linspace(0, frames, max(1, parts) + 1).round() / info.rate_hz
    return [Stretch(str(path), float(a), float(b)) for a, b in itertools.pairwise(edges)]


@dataclass(frozen=True, slots=True)
class PieceMaker:
    """Says clips, and sentences between them, as the settings want it."""

    rng: np.random.Generator
    clips: Sequence[MixClip]
    config: MixConfig
    sentences: Sentences

    def make(self, index: int) -> Piece:
        """The next pause, and after it the clip of that index."""
        clip, sources = self.clips[index], list[str]()
        pause = self._pause(sources)
        word = self._word(clip)
        first, last = word_extent(word)
        samples, power, before = len(word), active_power(word), len(pause)
        if clip.label and self.rng.random() < self.config.overlap_share:
            word, shift = self._over_speech(word, power, sources)
            before += shift
        wave = np.concatenate([pause, word])
        sources.append(clip.path)
        return Piece(
            wave, index, samples, clip.label, before + first, before + last, power, sources
        )

    def _pause(self, sources: list[str]) -> Array:
        """Silence, now and then with a sentence in it that is 0.3 s or more from both ends."""
        config = self.config
        seconds = float(self.rng.uniform(config.least_pause_s, config.most_pause_s))
        silence: Array = np.zeros(round(seconds * RATE_HZ), dtype=np.float32)
        if self.rng.random() >= config.negative_share:
            return silence
        path, sentence = next(self.sentences, ("", None))
        if sentence is None:
            return silence
        sources.append(path)
        return np.pad(self._levelled(sentence), max(len(silence) // 2, _SEPARATION))

    def _word(self, clip: MixClip) -> Array:
        """The clip at a speed and level of its own."""
        wave = read_audio(
            Path(clip.path), sample_rate_hz=RATE_HZ,
            offset_s=clip.offset_s, duration_s=clip.duration_s,
        )  # fmt: skip
        wave = centred(wave)
        if self.config.stretch_percent:
            most = self.config.stretch_percent / 100
            factor = float(self.rng.uniform(1 - most, 1 + most))
            wave = stretched(wave, factor, sample_rate_hz=RATE_HZ)
        return self._levelled(_faded(wave))

    def _levelled(self, wave: Array) -> Array:
        config = self.config
        gain_db = float(self.rng.uniform(config.least_gain_db, config.most_gain_db))
        power = active_power(wave) if config.equal_level else 0.0
        # Silence has no level to be brought to.
        if power > _SILENT_POWER:
            gain_db += _LEVEL_DB - 10 * math.log10(power)
        return gain(wave, gain_db)

    def _over_speech(self, word: Array, power: float, sources: list[str]) -> tuple[Array, int]:
        """The word somewhere in a sentence that is 10 dB softer, and where."""
        path, sentence = next(self.sentences)
        sources.append(path)
        ratio = power / max(active_power(sentence), 1e-30)
        behind = sentence * np.float32(np.sqrt(ratio) * 10 ** (_BEHIND_DB / 20))
        samples = max(len(word), len(behind))
        before, other = (int(self.rng.integers(samples - len(w) + 1)) for w in (word, behind))
        return placed(word, before, samples) + placed(behind, other, samples), before


def _faded(wave: Array) -> Array:
    """The wave, rising from and falling to nothing within 5 ms."""
    samples = min(_FADE, len(wave) // 2)
    slope = np.linspace(0, 1, samples, dtype=np.float32)
    wave = wave.copy()
    wave[:samples] *= slope
    wave[len(wave) - samples :] *= slope[::-1]
    return wave
