"""How sure a stream is that a command was said, and not something else."""

import numpy as np
import numpy.typing as npt
import pytest

from speechrec.config import SILENCE, UNKNOWN
from speechrec.keyword_score import KeywordScore

LABELS = ("yes", SILENCE, "no", UNKNOWN, "go")


def posteriors(**shares: float) -> npt.NDArray[np.float32]:
    """(labels,), by the labels' letters alone; what is not named is 0."""
    return np.array([shares.get(label.strip("_"), 0) for label in LABELS], dtype=np.float32)


@pytest.mark.parametrize(
    ("shares", "label", "confidence"),
    [
        ({"no": 1.0}, "no", 1.0),
        ({"no": 0.75, "unknown": 0.25}, "no", 0.75),
        ({"no": 0.75, "unknown": 0.125, "silence": 0.125}, "no", 0.75),
        ({"yes": 0.25, "unknown": 0.75}, "yes", 0.25),
        ({"yes": 0.25, "silence": 0.75}, "yes", 0.25),
        ({"unknown": 1.0}, "yes", 0.0),
    ],
)
def test_a_command_against_no_command(
    shares: dict[str, float], label: str, confidence: float
) -> None:
    """The most likely command, and its share of itself, unknown words and silence."""
    assert KeywordScore(LABELS)(posteriors(**shares)) == (label, confidence)


@pytest.mark.parametrize("no", [0.5, 0.625, 0.875])
def test_doubt_between_commands_does_not_count(no: float) -> None:
    """Whether "no" or "go" was said, surely a command was."""
    doubtful = posteriors(no=no, go=1 - no)
    assert KeywordScore(LABELS)(doubtful) == ("no", 1.0)
    some = 0.8 * doubtful + 0.2 * posteriors(unknown=1.0)
    _, confidence = KeywordScore(LABELS)(some)
    assert confidence == pytest.approx(0.8 * no / (0.8 * no + 0.2))


@pytest.mark.parametrize("labels", [("yes", "no"), ("yes", "no", SILENCE)])
def test_without_unknown_words_the_posterior_counts(labels: tuple[str, ...]) -> None:
    """Nothing else tells a command from a word that is none."""
    scores = np.full(len(labels), 0.4 / (len(labels) - 1), dtype=np.float32)
    scores[0] = 0.6
    label, confidence = KeywordScore(labels)(scores)
    assert (label, confidence) == ("yes", pytest.approx(0.6))


@pytest.mark.parametrize(
    ("shares", "clear"),
    [
        ({"no": 0.75, "unknown": 0.25}, True),
        ({"no": 0.8125, "go": 0.125, "yes": 0.0625}, True),
        ({"no": 0.5, "go": 0.125, "unknown": 0.375}, True),
        ({"no": 0.75, "go": 0.125, "yes": 0.125}, False),
        ({"no": 0.5, "go": 0.25, "unknown": 0.25}, False),
        ({"no": 0.375, "go": 0.3125, "yes": 0.3125}, False),
        ({"no": 0.25, "unknown": 0.75}, False),
        ({"no": 0.25, "silence": 0.75}, False),
    ],
)
def test_clear(shares: dict[str, float], clear: bool) -> None:
    """A command leads all labels, and is four times as likely as the others together."""
    assert KeywordScore(LABELS).is_clear(posteriors(**shares)) == clear


@pytest.mark.parametrize("labels", [("yes", "no", "go"), ("yes", "no", "go", SILENCE)])
def test_without_unknown_words_a_command_that_leads_is_clear(labels: tuple[str, ...]) -> None:
    """Its posterior is its confidence then, and a threshold below 0.8 must not be in vain."""
    scores = np.zeros(len(labels), dtype=np.float32)
    scores[:3] = 0.5, 0.3, 0.2
    assert KeywordScore(labels).is_clear(scores)
