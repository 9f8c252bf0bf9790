"""One sound in, one record out, under the names that are an interface."""

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechrec.audio import read_audio
from speechrec.errors import AudioError, SpeechrecError
from speechrec.recognizer import Recognizer
from speechrec.transcribe import failure_record, transcribe


@pytest.fixture(scope="module")
def recognizer(recogniser_file: Path) -> Recognizer:
    return Recognizer.load(recogniser_file)


@pytest.fixture(scope="module")
def sound(corpus: Path) -> Path:
    return next((corpus / "rise").iterdir())


def test_record(recognizer: Recognizer, sound: Path) -> None:
    """The record has exactly the documented keys, and says what `predict` says."""
    record = transcribe(recognizer, sound, "given name").record()
    wanted = recognizer.predict(read_audio(sound, sample_rate_hz=16_000))
    assert record == {
        "path": "given name",
        "label": wanted.label,
        "confidence": wanted.confidence,
        "scores": wanted.scores,
        "accepted": wanted.accepted,
        "duration_s": 1.0,
    }
    assert list(record) == ["path", "label", "confidence", "scores", "accepted", "duration_s"]


def test_record_is_json(recognizer: Recognizer, sound: Path) -> None:
    """A record goes through JSON unchanged, Monte-Carlo figures included."""
    record = transcribe(recognizer, sound, "a.wav", passes=5).record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_scores(recognizer: Recognizer, sound: Path) -> None:
    """There is a score for every label, highest first, and they sum to one."""
    record = transcribe(recognizer, sound, "a.wav").record()
    values = list(record["scores"].values())
    assert set(record["scores"]) == set(recognizer.labels)
    assert values == sorted(values, reverse=True)
    assert math.isclose(sum(values), 1, abs_tol=1e-5)
    assert record["label"] == next(iter(record["scores"]))


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
@pytest.mark.parametrize("seconds", [0.25, 1.0, 3.5])
def test_duration_is_that_of_the_sound(
    tmp_path: Path, recognizer: Recognizer, rng: np.random.Generator, rate: int, seconds: float
) -> None:
    """The duration is the recording's own, whatever its rate and however much of it is used."""
    path = tmp_path / "a.wav"
    soundfile.write(path, rng.uniform(-0.1, 0.1, round(seconds * rate)), rate)
    assert transcribe(recognizer, path, "a").duration_s == pytest.approx(seconds, abs=1e-4)


def test_sources_agree(recognizer: Recognizer, sound: Path) -> None:
    """A path, its bytes and a stream of them are heard alike."""
    data = sound.read_bytes()
    heard = [transcribe(recognizer, s, "a") for s in (sound, str(sound), data, io.BytesIO(data))]
    assert all(one == heard[0] for one in heard)


def test_mc_dropout(recognizer: Recognizer, sound: Path) -> None:
    """Monte-Carlo figures stand under mc_dropout, and leave the prediction as it is."""
    plain = transcribe(recognizer, sound, "a").record()
    record = transcribe(recognizer, sound, "a", passes=7, seed=3).record()
    figures = record.pop("mc_dropout")
    assert record == plain
    assert set(figures) == {"mean", "predictive_entropy", "mutual_information", "passes"}
    assert figures["passes"] == 7
    wave = read_audio(sound, sample_rate_hz=16_000)
    assert figures["mean"] == recognizer.uncertainty(wave, passes=7, seed=3).mean
    assert transcribe(recognizer, sound, "a", passes=7, seed=4).record()["mc_dropout"] != figures


@pytest.mark.parametrize("top", [1, 2, 5, 99])
def test_text(recognizer: Recognizer, sound: Path, top: int) -> None:
    """The line has the path and as many words as wanted, each with its score, best first."""
    heard = transcribe(recognizer, sound, "a.wav")
    scores = list(heard.prediction.scores.items())[:top]
    assert heard.text(top).split() == [
        "a.wav", *(word for label, score in scores for word in (label, f"{score:.2f}"))
    ]  # fmt: skip
    assert "\n" not in heard.text(top)


def test_text_of_mc_dropout(recognizer: Recognizer, sound: Path) -> None:
    """The line says over how many passes, and gives entropy and mutual information."""
    line = transcribe(recognizer, sound, "a.wav", passes=6).text(1)
    assert "over 6 dropout passes" in line
    assert "entropy" in line
    assert "mutual information" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("content", "kind"), [(b"", "empty"), (b"no sound", "not_audio"), (None, "missing")]
)
def test_failure_record(
    tmp_path: Path, recognizer: Recognizer, content: bytes | None, kind: str
) -> None:
    """A sound that cannot be read becomes a record of path, kind and message."""
    path = tmp_path / "bad.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AudioError) as caught:
        transcribe(recognizer, path, "bad")
    assert failure_record("bad", caught.value) == {
        "path": "bad",
        "error": {"kind": kind, "message": str(caught.value)},
    }


def test_failure_record_of_other_errors() -> None:
    """Errors that are not about sound are of the kind of their class."""
    record = failure_record("a", SpeechrecError("no dropout"))
    assert record["error"] == {"kind": "SpeechrecError", "message": "no dropout"}
