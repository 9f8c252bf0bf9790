"""Every figure of a report is the one that counting by hand gives."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechrec.config import SILENCE, UNKNOWN, FeatureConfig
from speechrec.errors import DatasetError, MissingExtraError
from speechrec.evaluate import (
    ECE_BINS,
    Report,
    Scorer,
    evaluate,
    expected_calibration_error,
    reliability_bins,
    risk_coverage,
)
from speechrec.recognizer import Recognizer
from speechrec.run import RunResult
from speechrec.store import FeatureSet, StoredClip, load_features

LABELS = ("yes", "no", UNKNOWN, SILENCE)
YES, NO, OTHER, QUIET = range(4)


def feature_set(
    truth: list[int], speakers: list[str] | None = None, labels: tuple[str, ...] = LABELS
) -> FeatureSet:
    """Clips whose vector starts with their number, so that a scorer knows which is which."""
    x = np.zeros((len(truth), 1024), dtype=np.float32)
    x[:, 0] = np.arange(len(truth))
    clips = tuple(
        StoredClip(0, i, f"clip{i}.wav", labels[y], labels[y],
                   speakers[i] if speakers else "", "testing", 0.0, 1.0, 0.0, "", True)
        for i, y in enumerate(truth)
    )  # fmt: skip
    return FeatureSet(x, np.array(truth, dtype=np.int64), labels, clips, FeatureConfig())


def answering(answers: list[int], confidence: list[float], labels: int = 4) -> Scorer:
    """A scorer that gives clip i the answer ``answers[i]``, the others sharing what is left."""

    def score(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        rows = []
        for number in x[:, 0].astype(int):
            row = np.full(labels, (1 - confidence[number]) / (labels - 1))
            row[answers[number]] = confidence[number]
            rows.append(row)
        return np.array(rows)

    return score


TRUTH = [YES, YES, YES, NO, OTHER, OTHER, QUIET, QUIET]
ANSWERS = [YES, YES, NO, NO, OTHER, YES, QUIET, QUIET]
SURE = [0.9, 0.7, 0.6, 0.8, 0.5, 0.95, 1.0, 1.0]


@pytest.fixture
def report() -> Report:
    return evaluate(answering(ANSWERS, SURE), feature_set(TRUTH))


def test_accuracy(report: Report) -> None:
    """Six of eight answers are right, four of the six that are not about silence."""
    assert report.clips == 8
    assert report.accuracy == 6 / 8
    assert report.accuracy_without_silence == pytest.approx(4 / 6)


def test_per_class(report: Report) -> None:
    """Precision is right answers by answers of the class, recall by its clips."""
    figures = {label: (f.precision, f.recall, f.clips) for label, f in report.per_class.items()}
    assert figures == {
        "yes": (pytest.approx(2 / 3), pytest.approx(2 / 3), 3),
        "no": (1 / 2, 1.0, 1),
        UNKNOWN: (1.0, 1 / 2, 2),
        SILENCE: (1.0, 1.0, 2),
    }
    assert report.unknown_recall == 1 / 2


def test_undefined_figures_are_none() -> None:
    """A class never answered has no precision, one without clips no recall; neither is a zero."""
    report = evaluate(answering([YES, YES], [0.9, 0.9]), feature_set([YES, NO]))
    assert (report.per_class["no"].precision, report.per_class["no"].recall) == (None, 0.0)
    assert (report.per_class[UNKNOWN].precision, report.per_class[UNKNOWN].recall) == (None, None)
    assert report.unknown_recall is None
    only_answered = evaluate(answering([NO], [0.9]), feature_set([YES]))
    assert only_answered.per_class["no"].precision == 0.0
    assert only_answered.per_class["no"].recall is None


def test_silence_alone() -> None:
    """Where every clip is silence there is no accuracy without it."""
    report = evaluate(answering([QUIET], [0.9]), feature_set([QUIET]))
    assert (report.accuracy, report.accuracy_without_silence) == (1.0, None)


def test_labels_without_unknown_and_silence() -> None:
    """A recogniser of plain words has no unknown recall, and all its clips are spoken."""
    clips = feature_set([0, 1], labels=("a", "b"))
    report = evaluate(answering([0, 0], [0.9, 0.9], labels=2), clips)
    assert report.unknown_recall is None
    assert report.accuracy_without_silence == report.accuracy == 0.5


def test_confusion(report: Report) -> None:
    """Rows are what was said, columns what was answered, in the order of the labels."""
    assert report.confusion == ((2, 1, 0, 0), (0, 1, 0, 0), (1, 0, 1, 0), (0, 0, 0, 2))
    assert report.labels == LABELS


@settings(deadline=None, max_examples=40)
@given(pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_figures_fit_together(pairs: list[tuple[int, int]]) -> None:
    """The diagonal counts what is right, rows the clips of each class; all shares are shares."""
    truth, answers = [t for t, _ in pairs], [a for _, a in pairs]
    report = evaluate(answering(answers, [0.7] * len(pairs)), feature_set(truth))
    confusion = np.array(report.confusion)
    assert confusion.sum() == len(pairs) == report.clips
    assert report.accuracy == pytest.approx(np.trace(confusion) / len(pairs))
    for number, label in enumerate(LABELS):
        assert confusion[number].sum() == truth.count(number) == report.per_class[label].clips
        assert confusion[:, number].sum() == answers.count(number)
    # All have the same confidence, so the one gap there is is the calibration error.
    assert report.ece == pytest.approx(abs(report.accuracy - 0.7))


def test_ece_closed_form() -> None:
    """Two bins by hand: |0.9 - 1/2| for four clips and |0.55 - 1| for two of six."""
    truth = [YES] * 6
    answers = [YES, YES, NO, NO, YES, YES]
    report = evaluate(
        answering(answers, [0.9, 0.9, 0.9, 0.9, 0.55, 0.55]), feature_set(truth)
    )  # fmt: skip
    assert report.ece == pytest.approx((0.4 * 4 + 0.45 * 2) / 6)
    assert [count for *_, count in report.reliability] == [2, 4]
    assert [accuracy for _, accuracy, _ in report.reliability] == [1.0, 0.5]
    assert [mean for mean, *_ in report.reliability] == pytest.approx([0.55, 0.9])


def test_perfect_calibration() -> None:
    """Who is right as often as he says has an error of zero."""
    answers = [YES] * 3 + [NO]
    report = evaluate(answering(answers, [0.75] * 4), feature_set([YES] * 4))
    assert report.ece == pytest.approx(0)


@pytest.mark.parametrize(
    ("confidence", "bin_"), [(0.0, 0), (1.0, 14), (0.5, 7), (1 / 15 + 1e-9, 1), (0.999, 14)]
)
def test_bins_are_equal(confidence: float, bin_: int) -> None:
    """Confidences go to fifteen equal bins, 1.0 to the last: bin mates share a bin."""
    assert ECE_BINS == 15
    middle = (bin_ + 0.5) / 15
    bins = reliability_bins(np.array([confidence, middle]), np.array([True, False]))
    assert bins == ((pytest.approx((confidence + middle) / 2), 0.5, 2),)


def test_clips_of_one_confidence_are_let_through_together() -> None:
    """A threshold cannot tell them apart, whatever their order."""
    curve = risk_coverage(np.array([1.0, 0.5, 1.0, 1.0]), np.array([True, False, False, True]))
    assert curve == ((0.5, 1.0, 0.5), (1.0, 0.75, pytest.approx(1 / 3)))


def test_a_threshold_of_one_accepts_nothing() -> None:
    """The figures say what the recogniser does."""
    report = evaluate(answering([YES, NO], [1.0, 0.9]), feature_set([YES, YES]), threshold=1.0)
    assert report.decisions.keywords_accepted == 0
    assert report.decisions.accepted_wrong is None


def test_calibration_error_is_weighted_by_clips() -> None:
    """A gap counts as often as it has clips."""
    assert expected_calibration_error([(0.9, 0.4, 1), (0.3, 0.3, 9)]) == pytest.approx(0.05)


def test_speakers() -> None:
    """Accuracy by speaker, over those with three clips or more and a name."""
    truth, speakers, answers = [], [], []
    for speaker, right, wrong in (("a", 3, 0), ("b", 2, 2), ("c", 0, 3), ("d", 2, 0), ("", 0, 9)):
        truth += [YES] * (right + wrong)
        answers += [YES] * right + [NO] * wrong
        speakers += [speaker] * (right + wrong)
    report = evaluate(answering(answers, [0.9] * len(truth)), feature_set(truth, speakers))
    spread = report.speakers
    assert spread is not None
    # d has two clips only, and the nameless are nobody; left are 1.0, 0.5 and 0.0.
    assert (spread.speakers, spread.least_clips) == (3, 3)
    assert (spread.worst, spread.median, spread.best) == (0.0, 0.5, 1.0)
    assert spread.tenth_percentile == pytest.approx(0.1)


def test_no_speakers(report: Report) -> None:
    """Without known speakers there is no spread, rather than one of nobody."""
    assert report.speakers is None


def test_mistakes_are_sorted(report: Report) -> None:
    """The surest mistakes come first, with the file, what was said and what was heard."""
    found = [(m.path, m.expected, m.answered, m.confidence) for m in report.mistakes]
    assert found == [
        ("clip5.wav", UNKNOWN, "yes", pytest.approx(0.95)),
        ("clip2.wav", "yes", "no", pytest.approx(0.6)),
    ]


def test_at_most_ten_mistakes() -> None:
    """Of many mistakes the ten surest are listed."""
    confidence = [0.5 + 0.01 * i for i in range(30)]
    report = evaluate(answering([NO] * 30, confidence), feature_set([YES] * 30))
    assert [m.path for m in report.mistakes] == [f"clip{i}.wav" for i in range(29, 19, -1)]


def test_json(report: Report) -> None:
    """The JSON has the keys that are an interface, plain values, and no NaN."""
    tree = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert {
        "accuracy", "accuracy_without_silence", "per_class", "unknown_recall", "ece",
        "confusion", "labels", "clips",
    } <= set(tree)  # fmt: skip
    assert tree["per_class"]["no"] == {"precision": 0.5, "recall": 1.0, "clips": 1}
    assert tree["confusion"][0] == [2, 1, 0, 0]
    assert tree["labels"] == list(LABELS)
    assert tree["clips"] == 8


def test_json_of_undefined_figures() -> None:
    """What is undefined is null in JSON."""
    report = evaluate(answering([QUIET], [0.9]), feature_set([QUIET]))
    tree = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert tree["accuracy_without_silence"] is None
    assert tree["unknown_recall"] is None
    assert tree["per_class"]["yes"] == {"precision": None, "recall": None, "clips": 0}


def test_no_clips() -> None:
    """There is nothing to say about no clips."""
    empty = feature_set([])
    with pytest.raises(DatasetError, match="expected clips to evaluate on, got none"):
        evaluate(answering([], []), empty)


def test_keras_and_recogniser_are_both_scorers(run: RunResult, feature_store: Path) -> None:
    """A Keras model and a recogniser's scores give the same report of the same network."""
    clips = load_features(feature_store, "testing")
    by_keras = evaluate(run.result.model, clips)
    by_file = evaluate(Recognizer.load(run.recogniser).scores, clips)
    assert by_keras.confusion == by_file.confusion
    assert by_keras.per_class == by_file.per_class
    assert math.isclose(by_keras.ece, by_file.ece, abs_tol=1e-4)


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the light side evaluation says which extra it needs."""
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'speechrec\[train\]'"):
        evaluate(answering(ANSWERS, SURE), feature_set(TRUTH))
