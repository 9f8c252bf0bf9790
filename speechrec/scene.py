"""One test recording: pause after word after pause, and what of it is the truth.

The signal-to-noise ratio of a recording is the median power of its commands against the mean power
of its noise. The power of a command is that of its active part (see `loudness`). The noise is set
once for a recording and commands keep their gains, so soft commands are deeper in the noise than
loud ones, as in life.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from speechrec.audio import read_audio
from speechrec.augment import Array, gain, placed, stretched
from speechrec.errors import ConfigError, DatasetError
from speechrec.labels import Command
from speechrec.loudness import active_power, mean_power, word_extent
from speechrec.mix_config import RATE_HZ, MixConfig
from speechrec.negatives import Negative
from speechrec.recording import Stretch
from speechrec.sndfile import read_info

_FLOOR_DB = -65.0
_SEPARATION = round(0.3 * RATE_HZ)
_BEHIND_DB = -10.0
# A clip brings its own background, which must not begin with a click.
_FADE = RATE_HZ // 200
_PEAK = 0.99
# Speech is heard in stretches of at most so many seconds.
_LONGEST_S = 10.0
# What is drawn from which generator. Never 0: numpy draws the same for (seed, 0) and (seed, 0, 0).
WORDS, NOISE, _CLIPS, _SENTENCES = 1, 2, 3, 4


class MixClip(NamedTuple):
    """One word in a file; an unknown word, which is no command, has no label."""

    path: str
    label: str | None
    offset_s: float = 0.0
    duration_s: float | None = None


@dataclass(slots=True)
class Scene:
    """A clean recording and its truth.

    ``wave`` is (samples,) float32 at 16 kHz; ``powers`` are those of the commands; ``clips`` are
    indices into the clips it was made from, in the order in which they are heard; ``sources`` are
    all files in it, those of other speech included. ``at`` is where the next piece would go.
    """

    wave: Array
    at: int = 0
    truth: list[Command] = field(default_factory=list)
    powers: list[float] = field(default_factory=list)
    clips: list[int] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)

    def with_noise(self, noise: Array, snr_db: float) -> Array:
        """The recording with noise under it, of whatever level that was."""
        power = float(np.median(self.powers)) / max(mean_power(noise), 1e-30)
        return self.wave + noise * np.float32(np.sqrt(power) * 10 ** (-snr_db / 20))


def within_full_scale(wave: Array) -> Array:
    """The wave as it is, or softer as a whole where it would be clipped."""
    return wave * np.float32(min(1.0, _PEAK / float(np.abs(wave).max())))


def scenes(
    clips: Sequence[MixClip], config: MixConfig, *, negatives: Sequence[Negative] = ()
) -> Iterator[Scene]:
    """Recordings without an end.

    A clip is heard again only when all others of its kind (commands, unknown words) have been, over
    all recordings; so a recording depends on the seed and on those before it.

    Args:
        negatives: recordings of speech without commands.

    Raises:
        ConfigError: a recording is too short for one command, or commands are to be said on top of
            other speech without there being any.
        DatasetError: no clip is a command.
        AudioError: a file cannot be read.
    """
    if not any(clip.label for clip in clips):
        raise DatasetError("expected clips of commands to mix, got none; choose another part")
    if config.overlap_share and not negatives:
        raise ConfigError(
            "mix.overlap_share: expected recordings of other speech, got none; name a folder of "
            "them with --negatives"
        )
    order = np.random.default_rng((config.seed, 0, _CLIPS)).permutation(len(clips))
    commands = _Round([int(i) for i in order if clips[i].label])
    unknown = _Round([int(i) for i in order if not clips[i].label])
    sentences = _sentences(np.random.default_rng((config.seed, 0, _SENTENCES)), negatives)
    for number in itertools.count():
        rng = np.random.default_rng((config.seed, number, WORDS))
        voice = _Voice(rng, clips, config, sentences)
        yield _spoken(voice, config, commands, unknown)


class _Round:
    """Goes round a list; ``item`` is next until ``advance`` is called."""

    def __init__(self, items: Sequence[int]) -> None:
        self._items = items
        self._place = 0

    def __bool__(self) -> bool:
        return bool(self._items)

    @property
    def item(self) -> int:
        return self._items[self._place]

    def advance(self) -> None:
        self._place = (self._place + 1) % len(self._items)


# Other speech without an end, or none at all, with the files it is from.
_Sentences = Iterator[tuple[str, Array]]


def _sentences(rng: np.random.Generator, negatives: Sequence[Negative]) -> _Sentences:
    stretches = [stretch for each in negatives for stretch in _stretches(each.path)]
    for index in itertools.cycle(rng.permutation(len(stretches))):
        path, start_s, stop_s = stretches[index]
        wave = read_audio(
            Path(path), sample_rate_hz=RATE_HZ, offset_s=start_s, duration_s=stop_s - start_s
        )
        yield path, _faded(wave)


def _stretches(path: Path) -> list[Stretch]:
    """A recording in equal stretches that are short enough."""
    info = read_info(path)
    frames, parts = round(info.duration_s * info.rate_hz), math.ceil(info.duration_s / _LONGEST_S)
    # At whole frames: of halves, both sides might claim one.
    edges = np.linspace(0, frames, max(1, parts) + 1).round() / info.rate_hz
    return [Stretch(str(path), float(a), float(b)) for a, b in itertools.pairwise(edges)]


def _spoken(voice: "_Voice", config: MixConfig, commands: _Round, unknown: _Round) -> Scene:
    """Pause after clip after pause, until the next does not fit."""
    rng = voice.rng
    scene = Scene(gain(rng.standard_normal(config.samples, dtype=np.float32), _FLOOR_DB))
    while True:
        kind = unknown if unknown and rng.random() < config.unknown_share else commands
        piece = voice.say(kind.item)
        if scene.at + len(piece.wave) > len(scene.wave):
            break
        kind.advance()
        _add(scene, piece)
    if not scene.truth:
        raise ConfigError(
            f"mix.minutes: expected room for a command, but {config.minutes:g} minutes hold none; "
            "make recordings longer or pauses shorter"
        )
    return scene


class _Piece(NamedTuple):
    """A pause and a clip; ``first`` and ``last`` are where the word is in them."""

    wave: Array
    clip: int
    label: str | None
    first: int
    last: int
    power: float
    sources: list[str]


def _add(scene: Scene, piece: _Piece) -> None:
    scene.wave[scene.at : scene.at + len(piece.wave)] += piece.wave
    if piece.label:
        times = (scene.at + piece.first) / RATE_HZ, (scene.at + piece.last) / RATE_HZ
        scene.truth.append(Command(piece.label, *times))
        scene.powers.append(piece.power)
    scene.clips.append(piece.clip)
    scene.sources += piece.sources
    scene.at += len(piece.wave)


@dataclass(frozen=True, slots=True)
class _Voice:
    """Says clips and sentences as the settings want it."""

    rng: np.random.Generator
    clips: Sequence[MixClip]
    config: MixConfig
    sentences: _Sentences

    def say(self, index: int) -> _Piece:
        clip, sources = self.clips[index], list[str]()
        pause = self._pause(sources)
        word = self._word(clip)
        first, last = word_extent(word)
        power, before = active_power(word), len(pause)
        if clip.label and self.rng.random() < self.config.overlap_share:
            word, shift = self._over_speech(word, power, sources)
            before += shift
        wave = np.concatenate([pause, word])
        sources.append(clip.path)
        return _Piece(wave, index, clip.label, before + first, before + last, power, sources)

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
        if self.config.stretch_percent:
            most = self.config.stretch_percent / 100
            factor = float(self.rng.uniform(1 - most, 1 + most))
            wave = stretched(wave, factor, sample_rate_hz=RATE_HZ)
        return self._levelled(_faded(wave))

    def _levelled(self, wave: Array) -> Array:
        config = self.config
        return gain(wave, float(self.rng.uniform(config.least_gain_db, config.most_gain_db)))

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
