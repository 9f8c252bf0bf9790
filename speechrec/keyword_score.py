"""What a sound in a stream is most like: a command, and how surely a command at all."""

from collections.abc import Sequence

from speechrec.config import UNKNOWN, is_keyword
from speechrec.features import Array

# Likelier than everything else together: no command counts below.
LEAST_THRESHOLD = 0.5
# What a command must have of what all commands have: four times as much as the others together.
_CLEAR_SHARE = 0.8


def passes(confidence: float, threshold: float) -> bool:
    """Whether a confidence is enough. A threshold of 1 mutes: confidences may be rounded to 1."""
    return threshold <= confidence and threshold < 1


class KeywordScore:
    """The command that posteriors are most like, and the confidence that one was said.

    The confidence is p(command) / (p(command) + p(no command)), where no command is an unknown word
    or silence. A doubt between "no" and "go" must not lower the confidence that a command was said:
    thresholds are there to keep out what is no command. Without unknown words among the labels, the
    posterior itself has to do.

    Args:
        labels: those of the posteriors, with at least one command.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._commands = [n for n, label in enumerate(labels) if is_keyword(label)]
        self._others = [n for n in range(len(labels)) if n not in self._commands]
        self._knows_others = UNKNOWN in labels

    def __call__(self, posteriors: Array) -> tuple[str, float]:
        """(labels,) posteriors to the most likely command and its confidence, 0 to 1."""
        number = max(self._commands, key=posteriors.__getitem__)
        command = float(posteriors[number])
        if self._knows_others and command:
            command /= command + sum(float(posteriors[other]) for other in self._others)
        return self._labels[number], command

    def is_clear(self, posteriors: Array) -> bool:
        """Whether a command leads, with most of what all commands have together.

        Where the confidence is the posterior, it counts the other commands itself: leading will do.
        """
        said = posteriors[self._commands]
        highest = said.max()
        share = _CLEAR_SHARE if self._knows_others else 0.0
        return bool(highest == posteriors.max() and highest >= share * said.sum())
