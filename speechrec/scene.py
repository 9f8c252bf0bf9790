"""One test recording: pause after word after pause, and what of it is the truth.

The signal-to-noise ratio of a recording is the median power of its commands against the mean power
of its noise. The power of a command is that of its active part (see `loudness`). The noise is set
once for a recording and commands keep their gains, so soft commands are deeper in the noise than
loud ones, as in life.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from speechrec.augment import Array, gain
from speechrec.errors import ConfigError, DatasetError
from speechrec.labels import Command
from speechrec.loudness import mean_power
from speechrec.mix_config import RATE_HZ, MixConfig
from speechrec.negatives import Negative
from speechrec.scene_pieces import MixClip, Piece, PieceMaker, sentences_of

_FLOOR_DB = -65.0
_PEAK = 0.99
# What is drawn from which generator. Never 0: numpy draws the same for (seed, 0) and (seed, 0, 0).
WORDS, NOISE, _CLIPS, _SENTENCES = 1, 2, 3, 4


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
    sentences = sentences_of(np.random.default_rng((config.seed, 0, _SENTENCES)), negatives)
    for number in itertools.count():
        rng = np.random.default_rng((config.seed, number, WORDS))
        maker = PieceMaker(rng, clips, config, sentences)
        yield _spoken(maker, config, commands, unknown)


class _Round:
    """Goes round a list; ``item`` is next until ``advance`` or, for good, ``drop`` is called."""

    def __init__(self, items: list[int]) -> None:
        self._items = items
        self._place = 0

    def __bool__(self) -> bool:
        return bool(self._items)

    @property
    def item(self) -> int:
        return self._items[self._place]

    def advance(self) -> None:
        self._place = (self._place + 1) % len(self._items)

    def drop(self) -> None:
        del self._items[self._place]
        self._place %= max(1, len(self._items))


def _spoken(maker: PieceMaker, config: MixConfig, commands: _Round, unknown: _Round) -> Scene:
    """Pause after clip after pause, until the next does not fit."""
    rng = maker.rng
    scene = Scene(gain(rng.standard_normal(config.samples, dtype=np.float32), _FLOOR_DB))
    while True:
        kind = unknown if unknown and rng.random() < config.unknown_share else commands
        piece = maker.make(kind.item)
        if piece.clip_samples > len(scene.wave):
            # It fits nowhere, and would end every recording from now on.
            kind.drop()
            if not commands:
                break
            continue
        if scene.at + len(piece.wave) > len(scene.wave):
            break
        kind.advance()
        _add(scene, piece)
    if not scene.truth:
        raise ConfigError(
            f"mix.minutes: expected room for a command, but {config.minutes:g} minutes hold none; "
            "make recordings longer, pauses shorter, or unknown words fewer"
        )
    return scene


def _add(scene: Scene, piece: Piece) -> None:
    scene.wave[scene.at : scene.at + len(piece.wave)] += piece.wave
    if piece.label:
        times = (scene.at + piece.first) / RATE_HZ, (scene.at + piece.last) / RATE_HZ
        scene.truth.append(Command(piece.label, *times))
        scene.powers.append(piece.power)
    scene.clips.append(piece.clip)
    scene.sources += piece.sources
    scene.at += len(piece.wave)
