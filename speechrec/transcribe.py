"""One sound through a recogniser, as a line of text or a JSON record."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from speechrec.audio import Source, read_audio
from speechrec.errors import AudioError, SpeechrecError
from speechrec.recognizer import Prediction, Recognizer, Uncertainty


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard in one sound; ``uncertainty`` where Monte-Carlo dropout was asked for."""

    path: str
    prediction: Prediction
    duration_s: float
    uncertainty: Uncertainty | None

    def text(self, top: int) -> str:
        """``path  word  0.97``, with the next best words behind it for ``top`` above 1."""
        scores: Mapping[str, float] = self.prediction.scores
        best = "  ".join(f"{label}  {score:.2f}" for label, score in list(scores.items())[:top])
        line = f"{self.path}  {best}"
        if (spread := self.uncertainty) is not None:
            label, mean = next(iter(spread.mean.items()))
            line += (
                f"  over {spread.passes} dropout passes: {label}  {mean:.2f}"
                f"  entropy {spread.predictive_entropy:.3f}"
                f"  mutual information {spread.mutual_information:.3f} nats"
            )
        return line

    def record(self) -> dict[str, Any]:
        """The JSON object of ``predict --json``."""
        record: dict[str, Any] = {
            "path": self.path,
            "label": self.prediction.label,
            "confidence": self.prediction.confidence,
            "scores": dict(self.prediction.scores),
            "accepted": self.prediction.accepted,
            "duration_s": self.duration_s,
        }
        if self.uncertainty is not None:
            record["mc_dropout"] = asdict(self.uncertainty)
        return record


def transcribe(
    recognizer: Recognizer, source: Source, path: str, *, passes: int = 0, seed: int = 0
) -> Heard:
    """Read a sound and recognise it; ``passes`` of Monte-Carlo dropout on request.

    Raises:
        AudioError: the sound cannot be read.
        SpeechrecError: Monte-Carlo dropout on a network without dropout.
    """
    rate = recognizer.config.sample_rate_hz
    wave = read_audio(source, sample_rate_hz=rate)
    uncertainty = recognizer.uncertainty(wave, passes=passes, seed=seed) if passes else None
    return Heard(path, recognizer.predict(wave), round(len(wave) / rate, 6), uncertainty)


def failure_record(path: str, error: SpeechrecError) -> dict[str, Any]:
    """The JSON object of a file that could not be transcribed."""
    kind = error.kind if isinstance(error, AudioError) else type(error).__name__
    return {"path": path, "error": {"kind": kind, "message": str(error)}}
