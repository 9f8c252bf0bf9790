"""Sounds whose first answer leaves a doubt, until more of their surroundings has come in."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from speechrec.features import Array
from speechrec.keyword_score import KeywordScore

# Less confidence than this is no command, and so much is one; before all windows have come in that
# an answer is about as a rule, only so much. In between, every other window as far from the middle
# of the sound as this is asked about, and the mean of all counts.
_DOUBTED, _SURE, _SURE_EARLY = 0.2, 0.998, 0.9995
_REACH_MS = 180

Sound = TypeVar("Sound")
Windows = npt.NDArray[np.intp]


class Doubts(Generic[Sound]):
    """Which windows of a stream a sound in doubt is asked about again, and when.

    ``reach`` is how many windows they are from its middle at most; ``asks_again`` says whether
    there are any.

    Args:
        labels: those of the posteriors.
        asks_again: otherwise nothing is ever in doubt.
    """

    def __init__(self, labels: Sequence[str], *, hop_ms: float, asks_again: bool) -> None:
        self._score = KeywordScore(labels)
        self.reach = round(_REACH_MS / hop_ms) if asks_again else 0
        # Where hops are so long there is nothing around a sound to ask about.
        self.asks_again = self.reach > 0
        self._waiting: list[tuple[Sound, Windows]] = []

    def around(self, middle: int) -> Windows:
        """The windows that a sound in the middle of that one would be asked about again."""
        numbers = middle + np.arange(-self.reach, self.reach + 1, 2)
        return numbers[numbers >= 0]

    def has(self, posteriors: Array, *, early: bool) -> bool:
        """Whether (labels,) first posteriors leave a doubt, of all windows or of the early ones."""
        _, confidence = self._score(posteriors)
        sure = _SURE_EARLY if early else _SURE
        is_sure = confidence >= sure and self._score.is_clear(posteriors)
        return self.asks_again and confidence >= _DOUBTED and not is_sure

    def add(self, sound: Sound, windows: Windows) -> None:
        """Keep a sound until these windows have come in as a whole."""
        self._waiting.append((sound, windows))

    def due(self, whole: int) -> list[tuple[Sound, Windows]]:
        """The sounds of whose windows the last has come in, now that window ``whole`` has."""
        due = [each for each in self._waiting if each[1][-1] <= whole]
        self._waiting = [each for each in self._waiting if each[1][-1] > whole]
        return due

    def left(self) -> list[Sound]:
        """The sounds still waited for."""
        return [sound for sound, _ in self._waiting]
