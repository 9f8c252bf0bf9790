"""A recogniser file and sound to a prediction, with dropout off. The light side starts here."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from speechrec.bundle import Bundle, read_bundle
from speechrec.calibrate import scaled
from speechrec.config import is_keyword
from speechrec.errors import AudioError, BundleError, SpeechrecError
from speechrec.features import Array, FrontEnd
from speechrec.keyword_score import LEAST_THRESHOLD, passes
from speechrec.limits import checked_samples
from speechrec.network import Network
from speechrec.placing import fit_clip


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was heard.

    ``scores`` are posteriors by label, highest first; ``accepted`` is whether to act on it: a
    keyword, at or above the recogniser's threshold.
    """

    label: str
    confidence: float
    scores: Mapping[str, float]
    accepted: bool


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Monte-Carlo dropout over a number of passes (Gal & Ghahramani 2016), in nats.

    ``mean`` are mean posteriors by label; ``predictive_entropy`` is their entropy, the whole
    uncertainty; ``mutual_information`` is the part of it that comes from not knowing the weights:
    the entropy of the mean less the mean of the entropies.
    """

    mean: Mapping[str, float]
    predictive_entropy: float
    mutual_information: float
    passes: int


class Recognizer:
    """Load a recogniser file and recognise words. Not to be shared between threads."""

    def __init__(self, bundle: Bundle) -> None:
        self.labels = bundle.labels
        self.config = bundle.config
        self.manifest: Mapping[str, Any] = bundle.manifest
        self.temperature, self.threshold = bundle.temperature, bundle.threshold
        self.keywords = tuple(filter(is_keyword, bundle.labels))
        # Of a command in a stream: chosen from false alarms, or else that of single clips, which
        # may be none.
        otherwise = max(bundle.threshold, LEAST_THRESHOLD)
        self.stream_thresholds = {
            label: bundle.stream_thresholds.get(label, otherwise) for label in self.keywords
        }
        self.uncalibrated = tuple(
            label for label in self.keywords if label not in bundle.stream_thresholds
        )
        self.front_end = FrontEnd(bundle.config, mel=bundle.mel)
        self._network = Network(bundle.model, labels=len(bundle.labels), dropout=bundle.dropout)
        self._stream_model = bundle.stream_model
        self._stream_temperature = bundle.stream_temperature

    @classmethod
    def load(cls, path: str | Path) -> "Recognizer":
        """Read, check and set up a recogniser file.

        Raises:
            BundleError: it is missing, damaged, altered, too new, or at odds with itself. The
                network for streams is not set up before a stream asks it.
        """
        path = Path(path)
        try:
            return cls(read_bundle(path))
        except BundleError as error:
            text = str(error)
            raise error if text.startswith(str(path)) else BundleError(f"{path}: {text}") from error

    def features(self, wave: Array) -> Array:
        """(samples,) float32 at ``config.sample_rate_hz``, any length, to (1024,) float32.

        Raises:
            AudioError: there is no sample, or one is NaN or infinite.
            ValueError: they are not floats.
        """
        wave = checked_samples(wave)
        if not len(wave):
            raise AudioError("empty", "expected sound, got no samples")
        vector: Array = self.front_end(fit_clip(wave, self.config)[np.newaxis])[0]
        return vector

    def scores(self, x: Array) -> Array:
        """(clips, 1024) features to (clips, labels) float32 posteriors, dropout off."""
        return _calibrated(self._network.scores(x), self.temperature)

    def stream_scores(self, x: Array) -> Array:
        """As `scores`, by the network for streams where the file has one.

        Raises:
            BundleError: they are no numbers.
        """
        if self._stream_network is None:
            scores = self.scores(x)
        else:
            scores = _calibrated(self._stream_network.scores(x), self._stream_temperature)
        _require_numbers(scores)
        return scores

    @property
    def has_stream_network(self) -> bool:
        """Whether streams ask a network of their own: a larger one, that knows of shifts."""
        return self._stream_model is not None

    @cached_property
    def _stream_network(self) -> Network | None:
        # Not before it is asked: single clips never ask it.
        if self._stream_model is None:
            return None
        return Network(self._stream_model, labels=len(self.labels), delegated=True)

    def predict(self, wave: Array) -> Prediction:
        """What is said in a wave of any length: the second around its loudest part decides.

        Errors as `features`.
        """
        return self.decide(self.scores(self.features(wave)[np.newaxis])[0])

    def decide(self, posteriors: npt.NDArray[np.floating[Any]]) -> Prediction:
        """One clip's (labels,) posteriors to a prediction.

        Raises:
            BundleError: they are no numbers, as only a damaged recogniser gives them.
        """
        _require_numbers(posteriors)
        scores = self._by_label(posteriors)
        label, confidence = next(iter(scores.items()))
        accepted = is_keyword(label) and passes(confidence, self.threshold)
        return Prediction(label, confidence, scores, accepted)

    def uncertainty(self, wave: Array, *, passes: int, seed: int) -> Uncertainty:
        """Monte-Carlo dropout: the one place where dropout acts after training.

        The masks are drawn from ``seed`` for each call, so a result does not depend on others.

        Raises:
            SpeechrecError: the network has no dropout, or ``passes`` is below 2; besides those of
                `features`.
        """
        if passes < 2:
            raise SpeechrecError(f"expected at least 2 Monte-Carlo passes, got {passes}")
        rng = np.random.default_rng(seed)
        drawn = self._network.dropout_scores(self.features(wave), passes=passes, rng=rng)
        posteriors = _calibrated(drawn, self.temperature).astype(np.float64)
        mean = posteriors.mean(axis=0)
        total = _entropy(mean)
        return Uncertainty(
            mean=self._by_label(mean),
            predictive_entropy=total,
            mutual_information=max(0.0, total - float(np.mean([_entropy(p) for p in posteriors]))),
            passes=passes,
        )

    def _by_label(self, posteriors: npt.NDArray[np.floating[Any]]) -> dict[str, float]:
        order = np.argsort(-posteriors, kind="stable")
        return {self.labels[index]: float(posteriors[index]) for index in order}


def _require_numbers(posteriors: npt.NDArray[np.floating[Any]]) -> None:
    if not np.isfinite(posteriors).all():
        raise BundleError(
            "expected posteriors from 0 to 1, the recogniser's network gave NaN; train it again"
        )


def _calibrated(posteriors: Array, temperature: float) -> Array:
    return scaled(posteriors, temperature).astype(np.float32, copy=False)


def _entropy(p: npt.NDArray[np.float64]) -> float:
    """-sum p ln p in nats, with 0 ln 0 = 0."""
    positive = p[p > 0]
    return float(-(positive * np.log(positive)).sum())
