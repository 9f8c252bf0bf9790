"""What was said just before a sound, and the odds of a command there."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from speechrec.config import SILENCE, UNKNOWN
from speechrec.features import Array
from speechrec.talk import TalkPrior, with_prior

RATE = 16_000
LABELS = ("yes", SILENCE, "no", UNKNOWN)
TALK = np.float32([0, 0, 0, 1])


def odds(
    said: list[tuple[float, float, Array]], labels: tuple[str, ...] = LABELS, *, rate: int = RATE
) -> Array:
    """What the prior makes of a sound at ten seconds of power 1, after others.

    ``said`` is how many seconds before it each was, how much louder in dB, and its posteriors.
    """
    prior = TalkPrior(labels, sample_rate_hz=rate)
    for before_s, louder_db, posteriors in said:
        prior(round((10 - before_s) * rate), 10 ** (louder_db / 10), posteriors)
    return prior(10 * rate, 1.0, np.full(len(labels), 1 / len(labels), dtype=np.float32))


RARER = np.float32([math.exp(-2), 1, math.exp(-2), 1])


def test_commands_are_rarer_right_after_talk() -> None:
    """An unknown word divides the odds of every command by the square of e, and of nothing else."""
    assert_allclose(odds([(0.5, 0, TALK)]), RARER, rtol=1e-6)
    assert_array_equal(odds([]), np.ones(4))


@pytest.mark.parametrize(
    ("before_s", "counts"),
    [(0.0, False), (0.19, False), (0.2, True), (1.0, True), (1.5, True), (1.51, False)],
)
@pytest.mark.parametrize("rate", [8000, RATE])
def test_talk_is_0_2_to_1_5_seconds_before(before_s: float, counts: bool, rate: int) -> None:
    """What is nearer belongs to the sound itself, what is farther is over."""
    expected = RARER if counts else np.ones(4)
    assert_allclose(odds([(before_s, 0, TALK)], rate=rate), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("louder_db", "share"), [(20, 1), (0, 1), (-8.9, 1), (-12, 0.5), (-13.5, 0.25), (-15.1, 0)]
)
def test_people_behind_a_command_do_not_count(louder_db: float, share: float) -> None:
    """Talk far below the sound is background: from 9 dB on it counts less, from 15 not at all."""
    assert_allclose(odds([(0.5, louder_db, TALK)])[0], math.exp(-2 * share), rtol=1e-5)


def test_only_unknown_words_are_talk() -> None:
    """Commands may follow each other, and a door may slam before one."""
    for other in np.float32([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]):
        assert_array_equal(odds([(0.5, 0, other)]), np.ones(4))
    assert_allclose(odds([(0.5, 0, np.float32([0.5, 0, 0, 0.5]))])[0], math.exp(-1), rtol=1e-6)


def test_the_surest_talk_counts_and_no_sum() -> None:
    """A long sentence is no stronger reason than its surest word."""
    doubtful = np.float32([0, 0.75, 0, 0.25])
    said = [(1.2, 0.0, doubtful), (0.9, 0.0, TALK), (0.6, 0.0, doubtful)]
    assert_array_equal(odds(said), odds([(0.9, 0, TALK)]))


def test_without_unknown_words_the_odds_are_even() -> None:
    """Nothing says then that somebody talks."""
    said = [(0.5, 0.0, np.float32([0, 0, 1]))]
    assert_array_equal(odds(said, ("yes", "no", SILENCE)), np.ones(3))


def test_posteriors_with_a_prior() -> None:
    """Odds are multiplied, the sum stays; an even prior changes no bit."""
    posteriors = np.float32([0.7, 0.05, 0.05, 0.2])
    weighed = with_prior(posteriors, RARER)
    assert weighed.sum() == pytest.approx(posteriors.sum())
    assert weighed[0] / weighed[3] == pytest.approx(3.5 * math.exp(-2))
    assert weighed[1] / weighed[3] == pytest.approx(0.25)
    assert_array_equal(with_prior(posteriors, np.ones(4, dtype=np.float32)), posteriors)
