"""One sound through a recogniser: the word of a short one, the commands of a long one."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from speechrec.audio import Source, read_audio
from speechrec.errors import AudioError, SpeechrecError
from speechrec.event import Event
from speechrec.events import find_events
from speechrec.features import Array
from speechrec.keyword_score import KeywordScore
from speechrec.recognizer import Prediction, Recognizer, Uncertainty
from speechrec.recording import one_line
from speechrec.sources import file_blocks
from speechrec.stream import Decider, Detection

# A sound up to this long is taken for one word with silence around it.
WORD_S = 2.0
# Files above this size are decoded block by block.
_WHOLE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard in one sound.

    ``prediction`` is about the loudest second of a sound of up to two seconds, and about the
    surest command of a longer one, or what is most like one. ``detections`` are all commands in a
    sound longer than a clip, None for others; ``uncertainty`` is of Monte-Carlo dropout, if that
    was asked for.
    """

    path: str
    prediction: Prediction
    duration_s: float
    uncertainty: Uncertainty | None = None
    detections: tuple[Detection, ...] | None = None

    @property
    def is_word(self) -> bool:
        """Whether it is short enough to be one word."""
        return self.duration_s <= WORD_S or self.detections is None

    def text(self, top: int) -> str:
        """``path  word  0.97``, with the next best words behind it for ``top`` above 1."""
        scores: Mapping[str, float] = self.prediction.scores
        best = "  ".join(f"{label}  {score:.2f}" for label, score in list(scores.items())[:top])
        return f"{one_line(self.path)}  {best}{self.uncertainty_text()}"

    def uncertainty_text(self) -> str:
        """What Monte-Carlo dropout says, with two spaces before it; empty without it."""
        if (spread := self.uncertainty) is None:
            return ""
        label, mean = next(iter(spread.mean.items()))
        return (
            f"  over {spread.passes} dropout passes: {label}  {mean:.2f}"
            f"  entropy {spread.predictive_entropy:.3f}"
            f"  mutual information {spread.mutual_information:.3f} nats"
        )

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
        if self.detections is not None:
            record["detections"] = [found.record() for found in self.detections]
        if self.uncertainty is not None:
            record["mc_dropout"] = asdict(self.uncertainty)
        return record


def transcribe(
    recognizer: Recognizer, source: Source, path: str, *, passes: int = 0, seed: int = 0
) -> Heard:
    """Read a sound and recognise it; ``passes`` of Monte-Carlo dropout on request.

    A large file is read block by block, in the same memory however long it is.

    Raises:
        AudioError: the sound cannot be read.
        SpeechrecError: Monte-Carlo dropout on a network without dropout.
    """
    config = recognizer.config
    longest_s = max(WORD_S, config.clip_samples / config.sample_rate_hz)
    wave = _whole(source, config.sample_rate_hz)
    if wave is None:
        assert isinstance(source, str | Path)
        blocks = file_blocks(Path(source), sample_rate_hz=config.sample_rate_hz)
        spotted = _spot(recognizer, blocks)
        # Channels and a high rate can make a single word a large file.
        if spotted.seconds <= longest_s:
            wave = read_audio(source, sample_rate_hz=config.sample_rate_hz)
    else:
        spotted = _spot(recognizer, [wave] if len(wave) > config.clip_samples else [])
    if wave is not None and len(wave) <= longest_s * config.sample_rate_hz:
        return _word(recognizer, wave, path, spotted.detections, passes=passes, seed=seed)
    return _speech(recognizer, spotted, path, passes=passes, seed=seed)


def _whole(source: Source, rate_hz: int) -> Array | None:
    """The sound at once; None for a file that is to be read block by block."""
    if not isinstance(source, str | Path):
        return read_audio(source, sample_rate_hz=rate_hz)
    if _size(source) > _WHOLE_BYTES:
        return None
    try:
        return read_audio(source, sample_rate_hz=rate_hz)
    except AudioError as error:
        # What has come through a pipe cannot be read again.
        if error.kind != "too_long" or not os.path.isfile(source):
            raise
        # Compression can make hours a small file.
        return None


def _size(path: str | Path) -> int:
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        # Reading it says what is wrong.
        return 0


def _word(
    recognizer: Recognizer,
    wave: Array,
    path: str,
    detections: tuple[Detection, ...],
    *,
    passes: int,
    seed: int,
) -> Heard:
    uncertainty = recognizer.uncertainty(wave, passes=passes, seed=seed) if passes else None
    longer = len(wave) > recognizer.config.clip_samples
    seconds = round(len(wave) / recognizer.config.sample_rate_hz, 6)
    return Heard(
        path, recognizer.predict(wave), seconds, uncertainty, detections if longer else None
    )


@dataclass(frozen=True, slots=True)
class _Spotted:
    """``best`` is the event of the surest detection; without any, the one most like a command."""

    detections: tuple[Detection, ...]
    best: Event | None
    seconds: float


def _spot(recognizer: Recognizer, blocks: Iterable[Array]) -> _Spotted:
    rate = recognizer.config.sample_rate_hz
    decide = Decider(recognizer.labels, recognizer.stream_thresholds, rate_hz=rate)
    confidence = KeywordScore(recognizer.labels)
    detections: list[Detection] = []
    best, highest, samples = None, (False, -1.0), 0
    for events, count in find_events(recognizer, blocks):
        samples += count
        for event in events:
            if found := decide(event):
                detections.append(found)
            if (rank := (found is not None, confidence(event.posteriors)[1])) > highest:
                best, highest = event, rank
    return _Spotted(tuple(detections), best, samples / rate)


def _speech(
    recognizer: Recognizer, spotted: _Spotted, path: str, *, passes: int, seed: int
) -> Heard:
    # Where nothing could be a word, the answer is what the network says of silence.
    silence = np.zeros(recognizer.config.clip_samples, dtype=np.float32)
    clip = spotted.best.clip if spotted.best else silence
    prediction = (
        recognizer.decide(spotted.best.posteriors) if spotted.best else recognizer.predict(silence)
    )
    # Streams have thresholds of their own.
    prediction = replace(prediction, accepted=bool(spotted.detections))
    uncertainty = recognizer.uncertainty(clip, passes=passes, seed=seed) if passes else None
    return Heard(path, prediction, round(spotted.seconds, 6), uncertainty, spotted.detections)


def failure_record(path: str, error: SpeechrecError) -> dict[str, Any]:
    """The JSON object of a file that could not be transcribed."""
    kind = error.kind if isinstance(error, AudioError) else type(error).__name__
    return {"path": path, "error": {"kind": kind, "message": str(error)}}
