"""What a recogniser's confidence is worth: temperature scaling and a threshold, from validation."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speechrec.config import UNKNOWN, is_keyword
from speechrec.errors import MissingExtraError

Posteriors = npt.NDArray[np.floating]
# Temperatures that are tried.
_COLDEST, _HOTTEST = 0.05, 20.0
_LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True, slots=True)
class Calibration:
    """``temperature`` divides the logits; a keyword below ``threshold`` is not acted on."""

    temperature: float
    threshold: float


def scaled(posteriors: Posteriors, temperature: float) -> Posteriors:
    """softmax(logits / T), from posteriors: to the power of 1 / T, and rescaled to sum to 1.

    Args:
        posteriors: (clips, labels).
    """
    if temperature == 1.0:
        return posteriors
    powered = np.power(posteriors.astype(np.float64), 1 / temperature)
    rescaled: Posteriors = powered / powered.sum(axis=1, keepdims=True)
    return rescaled


def calibrate(
    posteriors: Posteriors, truth: npt.NDArray[np.int64], labels: tuple[str, ...], *, refused: float
) -> Calibration:
    """Temperature and threshold for the validation part's posteriors.

    Args:
        posteriors: (clips, labels), uncalibrated.
        truth: (clips,) indices into ``labels``.
        refused: share of unknown words that must not be taken for a keyword, 0 to 1.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    temperature = fit_temperature(posteriors, truth)
    threshold = fit_threshold(scaled(posteriors, temperature), truth, labels, refused=refused)
    return Calibration(temperature, threshold)


def fit_temperature(posteriors: Posteriors, truth: npt.NDArray[np.int64]) -> float:
    """The temperature of least negative log-likelihood (Guo et al. 2017).

    Where every answer is right the likelihood rises without end as it gets colder, and nothing says
    how sure is too sure: then it is 1 at least.
    """
    try:
        from scipy.optimize import minimize_scalar
    except ModuleNotFoundError as error:
        raise MissingExtraError("calibration", "train", error.name) from error
    # A posterior of exactly 0 would stay 0 at every temperature.
    clipped = np.maximum(posteriors.astype(np.float64), _LEAST_PROBABILITY)
    rows = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        right = scaled(clipped, float(np.exp(log_temperature)))[rows, truth]
        return float(-np.log(np.maximum(right, _LEAST_PROBABILITY)).mean())

    bounds = (np.log(_COLDEST), np.log(_HOTTEST))
    best = float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))
    return best if (posteriors.argmax(axis=1) != truth).any() else max(1.0, best)


def fit_threshold(
    posteriors: Posteriors,
    truth: npt.NDArray[np.int64],
    labels: tuple[str, ...],
    *,
    refused: float,
) -> float:
    """The lowest confidence at which that share of unknown words is refused; 0 without any.

    A word is refused if the answer is unknown or silence, or a keyword below the threshold.
    """
    if UNKNOWN not in labels or not (unknown := truth == labels.index(UNKNOWN)).any():
        return 0.0
    keyword = np.array([is_keyword(label) for label in labels])
    answers, confidence = posteriors.argmax(axis=1), posteriors.max(axis=1)
    mistaken = np.sort(confidence[unknown & keyword[answers]])[::-1]
    # A tenth of ten is one, also where 1 - 0.9 is a little less than a tenth.
    allowed = int(np.floor((1 - refused) * unknown.sum() + 1e-9))
    if len(mistaken) <= allowed:
        return 0.0
    # Just above the surest mistake that is one too many.
    return float(min(1.0, np.nextafter(np.float32(mistaken[allowed]), np.float32(2))))
