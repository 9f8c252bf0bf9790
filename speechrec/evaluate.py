"""Any scorer and a feature set to a report: accuracy, recall, calibration, confusion, speakers."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from speechrec.config import SILENCE, UNKNOWN, is_keyword
from speechrec.errors import DatasetError, MissingExtraError
from speechrec.keyword_score import passes
from speechrec.store import FeatureSet

Scorer = Callable[[npt.NDArray[np.float32]], Any]

ECE_BINS = 15
_MISTAKES = 10
_CURVE_POINTS = 50


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """``precision`` is None where a class was never answered, ``recall`` where it has no clips."""

    precision: float | None
    recall: float | None
    clips: int


@dataclass(frozen=True, slots=True)
class SpeakerSpread:
    """Accuracy by speaker, over speakers with at least ``least_clips`` clips."""

    speakers: int
    least_clips: int
    worst: float
    tenth_percentile: float
    median: float
    best: float


@dataclass(frozen=True, slots=True)
class Mistake:
    """A clip that was answered wrongly."""

    path: str
    expected: str
    answered: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Decisions:
    """What comes of acting on keywords at or above ``threshold``, and on nothing else.

    Shares of the clips that are keywords, unknown words, silence; None where there are none.
    ``accepted_wrong`` is the share of what is acted on that is not the word that was said.
    """

    threshold: float
    keywords_accepted: float | None
    accepted_wrong: float | None
    unknown_refused: float | None
    silence_refused: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """How good a recogniser is on some clips; ``confusion`` rows are truths, columns answers."""

    clips: int
    labels: tuple[str, ...]
    accuracy: float
    accuracy_without_silence: float | None
    per_class: dict[str, ClassFigures]
    unknown_recall: float | None
    ece: float
    reliability: tuple[tuple[float, float, int], ...]
    confusion: tuple[tuple[int, ...], ...]
    decisions: Decisions
    # (threshold, share of clips at or above it, share of those that are wrong)
    risk_coverage: tuple[tuple[float, float, float], ...]
    speakers: SpeakerSpread | None
    mistakes: tuple[Mistake, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values, as ``evaluate --json`` prints them."""
        return asdict(self)


def evaluate(score: Scorer, features: FeatureSet, *, threshold: float = 0.0) -> Report:
    """Score a feature set and count.

    Args:
        score: (clips, 1024) float32 to (clips, labels) posteriors; a Keras model and
            `Recognizer.scores` are both one.
        threshold: confidence from which on a keyword is acted on.

    Raises:
        DatasetError: there are no clips.
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
    except ModuleNotFoundError as error:
        raise MissingExtraError("evaluation", "train", error.name) from error
    if not len(features):
        raise DatasetError("expected clips to evaluate on, got none")
    posteriors = np.asarray(score(features.x), dtype=np.float64)
    truth, answers = features.y, posteriors.argmax(axis=1)
    confidence = posteriors.max(axis=1)
    right = truth == answers
    numbers = np.arange(len(features.labels))
    precision, recall, _, support = precision_recall_fscore_support(
        truth, answers, labels=numbers, zero_division=np.nan
    )
    per_class = {
        label: ClassFigures(_number(precision[i]), _number(recall[i]), int(support[i]))
        for i, label in enumerate(features.labels)
    }
    reliability = reliability_bins(confidence, right)
    spoken = np.array([features.labels[label] != SILENCE for label in truth])
    confusion = confusion_matrix(truth, answers, labels=numbers)
    return Report(
        clips=len(features),
        labels=features.labels,
        accuracy=float(right.mean()),
        accuracy_without_silence=float(right[spoken].mean()) if spoken.any() else None,
        per_class=per_class,
        unknown_recall=per_class[UNKNOWN].recall if UNKNOWN in per_class else None,
        ece=expected_calibration_error(reliability),
        reliability=reliability,
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        decisions=_decisions(features.labels, truth, answers, confidence, threshold),
        risk_coverage=risk_coverage(confidence, right),
        speakers=_speaker_spread([clip.speaker for clip in features.clips], right),
        mistakes=_confident_mistakes(features, answers, confidence, right),
    )


def reliability_bins(
    confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]
) -> tuple[tuple[float, float, int], ...]:
    """(mean confidence, accuracy, clips) of each of `ECE_BINS` equal bins that has clips."""
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    return tuple(
        (
            float(confidence[bins == b].mean()),
            float(right[bins == b].mean()),
            int((bins == b).sum()),
        )
        for b in np.unique(bins)
    )


def expected_calibration_error(reliability: Sequence[tuple[float, float, int]]) -> float:
    """Mean gap between confidence and accuracy, weighted by clips (Guo et al. 2017, eq. 3)."""
    clips = sum(count for *_, count in reliability)
    return sum(abs(mean - accuracy) * count for mean, accuracy, count in reliability) / clips


def risk_coverage(
    confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]
) -> tuple[tuple[float, float, float], ...]:
    """Thresholds with the share of clips they let through and how many of these are wrong.

    The risk-coverage curve of selective classification (Geifman & El-Yaniv 2017), at coverages
    from 1 down in steps of 1 / `_CURVE_POINTS`.
    """
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum(~right[order])
    wanted = np.ceil(np.arange(1, _CURVE_POINTS + 1) / _CURVE_POINTS * len(order)).astype(int)
    # What is as sure as the last is let through with it.
    sorted_down = -confidence[order]
    kept = np.unique(np.searchsorted(sorted_down, sorted_down[wanted - 1], side="right"))
    return tuple(
        (float(confidence[order[n - 1]]), float(n / len(order)), float(wrong[n - 1] / n))
        for n in kept[::-1]
    )


def _decisions(
    labels: tuple[str, ...],
    truth: npt.NDArray[np.int64],
    answers: npt.NDArray[np.intp],
    confidence: npt.NDArray[np.float64],
    threshold: float,
) -> Decisions:
    keyword = np.array([is_keyword(label) for label in labels])
    sure = np.array([passes(float(value), threshold) for value in confidence], dtype=bool)
    accepted = keyword[answers] & sure

    def share(of: npt.NDArray[np.bool_], clips: npt.NDArray[np.bool_]) -> float | None:
        return float(of[clips].mean()) if clips.any() else None

    names = np.array(labels)[truth]
    return Decisions(
        threshold=threshold,
        keywords_accepted=share(accepted & (answers == truth), keyword[truth]),
        accepted_wrong=share(answers != truth, accepted),
        unknown_refused=share(~accepted, names == UNKNOWN),
        silence_refused=share(~accepted, names == SILENCE),
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _speaker_spread(
    speakers: list[str], right: npt.NDArray[np.bool_], least_clips: int = 3
) -> SpeakerSpread | None:
    answers: dict[str, list[bool]] = {}
    for speaker, ok in zip(speakers, right, strict=True):
        if speaker:
            answers.setdefault(speaker, []).append(bool(ok))
    rates = [np.mean(oks) for oks in answers.values() if len(oks) >= least_clips]
    if not rates:
        return None
    worst, tenth, median, best = np.quantile(rates, [0, 0.1, 0.5, 1]).tolist()
    return SpeakerSpread(len(rates), least_clips, worst, tenth, median, best)


def _confident_mistakes(
    features: FeatureSet,
    answers: npt.NDArray[np.intp],
    confidence: npt.NDArray[np.float64],
    right: npt.NDArray[np.bool_],
) -> tuple[Mistake, ...]:
    wrong = np.flatnonzero(~right)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:_MISTAKES]
    return tuple(
        Mistake(
            path=features.clips[i].path,
            expected=features.clips[i].label,
            answered=features.labels[answers[i]],
            confidence=float(confidence[i]),
        )
        for i in surest
    )
