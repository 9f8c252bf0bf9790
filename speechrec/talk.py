"""Commands are rare in the middle of talk, so what is said just before a sound changes its odds.

A command follows a pause; the near-misses of running speech follow other words. By Bayes' rule the
odds of a command, as the network gives them for a sound on its own, are multiplied by how much
rarer commands are where the sound stands.
"""

import math
from typing import NamedTuple

import numpy as np

from speechrec.config import UNKNOWN, is_keyword
from speechrec.features import Array

# What has its middle so long before that of another sound is before it, not a part of it.
_NEAREST_MS, _FARTHEST_MS = 200, 1500
# Talk counts down to 9 dB below the sound itself, and less and less for another 6 dB: near-misses
# are as loud as the words around them, a command is louder than the people behind it.
_SOFTER_DB, _FADING_DB = 9.0, 6.0
# Right after talk the odds of a command are divided by the exponential of this.
_LOG_ODDS = 2.0


class _Sound(NamedTuple):
    centre: int
    level_db: float
    unknown: float


class TalkPrior:
    """Sounds of one stream, in their order, to the odds of commands there.

    Args:
        labels: those of the posteriors. Without unknown words among them all odds are even.
    """

    def __init__(self, labels: tuple[str, ...], *, sample_rate_hz: int) -> None:
        self._commands = np.array([is_keyword(label) for label in labels])
        self._unknown = labels.index(UNKNOWN) if UNKNOWN in labels else None
        self._nearest = _NEAREST_MS * sample_rate_hz // 1000
        self._farthest = _FARTHEST_MS * sample_rate_hz // 1000
        self._before: list[_Sound] = []

    def __call__(self, centre: int, power: float, posteriors: Array) -> Array:
        """What to multiply this sound's posteriors by; it is remembered for the next ones.

        Args:
            centre: its middle, a sample of the stream.
            power: above zero, in the same unit for all sounds.
            posteriors: (labels,) of the sound on its own.

        Returns:
            (labels,) float32, 1 for all but commands.
        """
        level_db = 10 * math.log10(power)
        self._before = [each for each in self._before if centre - each.centre <= self._farthest]
        talk = max(
            (
                each.unknown * _weight(each.level_db - level_db)
                for each in self._before
                if centre - each.centre >= self._nearest
            ),
            default=0.0,
        )
        if self._unknown is not None:
            self._before.append(_Sound(centre, level_db, float(posteriors[self._unknown])))
        return np.where(self._commands, math.exp(-_LOG_ODDS * talk), 1).astype(np.float32)


def with_prior(posteriors: Array, prior: Array) -> Array:
    """(labels,) posteriors where labels are so many times as likely as they were taken to be.

    An even prior leaves them as they are, to the last bit.
    """
    weighed = posteriors * prior
    scaled: Array = weighed * (posteriors.sum() / weighed.sum())
    return scaled


def _weight(louder_db: float) -> float:
    """How much talk counts that is so much louder than a sound, 0 to 1."""
    return min(1.0, max(0.0, 1 + (louder_db + _SOFTER_DB) / _FADING_DB))
