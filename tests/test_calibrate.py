"""Temperature and threshold from few or easy clips are no better than what these can say."""

import numpy as np
import numpy.typing as npt
import pytest

from speechrec.calibrate import fit_temperature, fit_threshold, scaled
from speechrec.config import UNKNOWN

LABELS = ("on", "off", UNKNOWN)


def answers(sure: npt.ArrayLike, label: int = 0) -> npt.NDArray[np.float64]:
    """Posteriors with so much for one label and the rest for the others alike."""
    sure = np.asarray(sure, dtype=np.float64)
    posteriors = np.repeat((1 - sure[:, np.newaxis]) / 2, 3, axis=1)
    posteriors[:, label] = sure
    return posteriors


def test_the_temperature_that_was_taken_away_is_found(rng: np.random.Generator) -> None:
    """Of answers that are right as often as they say, made twice as cold."""
    posteriors = rng.dirichlet((0.5, 0.5, 0.5), 4000)
    truth = (posteriors.cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1)
    assert fit_temperature(scaled(posteriors, 0.5), truth) == pytest.approx(2, rel=0.05)


def test_nothing_gets_surer_for_want_of_mistakes(rng: np.random.Generator) -> None:
    """Thirty clips that are all right do not say that a doubt is none."""
    posteriors = answers(rng.uniform(0.6, 0.95, 30))
    truth = np.zeros(30, dtype=np.int64)
    assert fit_temperature(posteriors, truth) == 1
    truth[3] = 1
    assert fit_temperature(posteriors, truth) < 1


@pytest.mark.parametrize(("clips", "refused", "accepted"), [(10, 0.9, 1), (50, 0.9, 5), (7, 1, 0)])
def test_so_many_unknown_words_are_refused(
    clips: int, refused: float, accepted: int, rng: np.random.Generator
) -> None:
    """No more are accepted than that, and no fewer, whatever 1 - 0.9 is in a computer."""
    posteriors = answers(rng.uniform(0.5, 1, clips))
    truth = np.full(clips, 2)
    threshold = fit_threshold(posteriors, truth, LABELS, refused=refused)
    assert (posteriors.max(axis=1) >= threshold).sum() == accepted
