"""One sound in, one record out, under the names that are an interface."""

import io
import json
import math
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import speak

from speechrec.audio import read_audio
from speechrec.config import UNKNOWN
from speechrec.errors import AudioError, SpeechrecError
from speechrec.event import Event
from speechrec.features import Array
from speechrec.recognizer import Prediction, Recognizer
from speechrec.stream import Detector
from speechrec.transcribe import Heard, failure_record, transcribe


@pytest.fixture(scope="module")
def recognizer(recogniser_file: Path) -> Recognizer:
    return Recognizer.load(recogniser_file)


@pytest.fixture(scope="module")
def sound(corpus: Path) -> Path:
    return next((corpus / "rise").iterdir())


def test_record(recognizer: Recognizer, sound: Path) -> None:
    """The record of a clip has exactly the documented keys, and says what `predict` says."""
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


def words(*said: str, seconds: float, rng: np.random.Generator) -> Array:
    """Words in the middle of so many seconds of hiss."""
    wave = (0.003 * rng.standard_normal(round(seconds * 16_000))).astype(np.float32)
    spoken = np.concatenate([speak(word, rng=rng) for word in said])
    start = (len(wave) - len(spoken)) // 2
    wave[start : start + len(spoken)] += spoken
    return np.clip(wave, -1, 1)


def written(folder: Path, wave: Array, *, zeros: int = 0) -> Path:
    """A WAV file; with leading zeros below what 16 bits hold, it is large enough for blocks."""
    path = folder / "a.wav"
    soundfile.write(path, np.concatenate((np.zeros(zeros, np.float32), wave)), 16_000)
    return path


@pytest.mark.parametrize(
    ("seconds", "detections", "is_word"), [(1.0, False, True), (1.01, True, True),
    (2.0, True, True), (2.01, True, False), (4.0, True, False)],
)  # fmt: skip
def test_sound_up_to_two_seconds_is_one_word(
    tmp_path: Path, recognizer: Recognizer, rng: np.random.Generator,
    seconds: float, detections: bool, is_word: bool,
) -> None:  # fmt: skip
    """Up to two seconds `predict` decides; whatever is longer than a clip has detections."""
    path = written(tmp_path, words("rise", seconds=seconds, rng=rng))
    heard = transcribe(recognizer, path, "a")
    assert heard.is_word == is_word
    assert ("detections" in heard.record()) == detections
    assert heard.prediction.label == "rise"
    if is_word:
        wave = read_audio(path, sample_rate_hz=16_000)
        assert heard.prediction == recognizer.predict(wave)
    assert json.loads(json.dumps(heard.record(), allow_nan=False)) == heard.record()


def test_detections_of_a_record(
    tmp_path: Path, recognizer: Recognizer, rng: np.random.Generator
) -> None:
    """They are what a `Detector` finds: label, times and confidence, in order."""
    path = written(tmp_path, words("rise", "low", "fall", seconds=4, rng=rng))
    detector, wave = Detector(recognizer), read_audio(path, sample_rate_hz=16_000)
    wanted = [found.record() for found in [*detector.push(wave), *detector.finish()]]
    record = transcribe(recognizer, path, "a").record()
    assert record["detections"] == wanted
    assert list(record)[-1] == "detections"
    assert [found["label"] for found in wanted][:: len(wanted) - 1] == ["rise", "fall"]
    assert all(set(found) == {"label", "start_s", "end_s", "confidence"} for found in wanted)


def test_the_second_most_like_a_command_decides(
    tmp_path: Path, recognizer: Recognizer, rng: np.random.Generator
) -> None:
    """In a longer sound a command counts, however loud the word beside it that is none."""
    pause = (0.003 * rng.standard_normal(8000)).astype(np.float32)
    low = max((speak("low", rng=rng) for _ in range(6)), key=np.max)
    rise = min((speak("rise", rng=rng) for _ in range(6)), key=np.max)
    assert low.max() > 1.3 * rise.max()
    wave = np.concatenate((low, pause, rise, pause, low))
    assert recognizer.predict(wave).label == UNKNOWN
    heard = transcribe(recognizer, written(tmp_path, wave), "a")
    assert heard.prediction.label == "rise"
    assert heard.prediction.confidence == max(heard.prediction.scores.values())


@pytest.mark.parametrize(("threshold", "accepted"), [(0.5, True), (1.0, False)])
def test_a_longer_sound_is_acted_on_where_a_stream_would(
    tmp_path: Path, recognizer: Recognizer, rng: np.random.Generator, threshold: float,
    accepted: bool, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Of a sound that has detections the thresholds for streams count, not that for clips."""
    thresholds = dict.fromkeys(recognizer.keywords, threshold)
    monkeypatch.setattr(recognizer, "stream_thresholds", thresholds)
    heard = transcribe(recognizer, written(tmp_path, words("rise", seconds=3, rng=rng)), "a")
    assert heard.prediction.label == "rise"
    assert heard.prediction.accepted == accepted == bool(heard.detections)


def test_what_was_detected_is_what_is_accepted(
    tmp_path: Path, recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sound surer of a command, but muted, is not what an accepted answer names."""
    path = written(tmp_path, np.zeros(64_000, np.float32))
    rows = {"rise": (0.7, 0.0, 0.0, 0.3, 0.0), "fall": (0.0, 0.95, 0.0, 0.05, 0.0)}
    assert recognizer.labels[:2] == ("rise", "fall")
    clip = np.zeros(16_000, np.float32)
    events = [
        Event(start + 8000, start, start + 16_000, start + 16_000, 1.0, np.float32(row), clip)
        for start, row in zip((0, 32_000), rows.values(), strict=True)
    ]
    monkeypatch.setattr("speechrec.transcribe.find_events", lambda *_: iter([(events, 64_000)]))
    thresholds = {"rise": 0.6, "fall": 1.0, "high": 0.6}
    monkeypatch.setattr(recognizer, "stream_thresholds", thresholds)
    heard = transcribe(recognizer, path, "a")
    assert [found.label for found in heard.detections or ()] == ["rise"]
    assert (heard.prediction.label, heard.prediction.accepted) == ("rise", True)
    thresholds["rise"] = 1.0
    heard = transcribe(recognizer, path, "a")
    assert (heard.prediction.label, heard.prediction.accepted) == ("fall", False)


def test_long_silence(tmp_path: Path, recognizer: Recognizer) -> None:
    """Where nothing could be a word, the answer is what the network says of silence."""
    heard = transcribe(recognizer, written(tmp_path, np.zeros(64_000, np.float32)), "a", passes=3)
    assert heard.detections == ()
    assert heard.prediction == recognizer.predict(np.zeros(16_000, np.float32))
    assert heard.uncertainty == recognizer.uncertainty(
        np.zeros(16_000, np.float32), passes=3, seed=0
    )


def test_mc_dropout_of_a_longer_sound(
    tmp_path: Path, recognizer: Recognizer, rng: np.random.Generator
) -> None:
    """The uncertainty is about the second that the prediction is about."""
    path = written(tmp_path, words("fall", seconds=3, rng=rng))
    heard = transcribe(recognizer, path, "a", passes=20)
    assert heard.uncertainty is not None
    assert next(iter(heard.uncertainty.mean)) == heard.prediction.label == "fall"


def test_a_large_file_is_heard_like_its_bytes(
    tmp_path: Path,
    recognizer: Recognizer,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file above a mebibyte is never read as a whole, and heard as if it were."""
    path = written(tmp_path, words("rise", "fall", seconds=3, rng=rng), zeros=600_000)
    whole = transcribe(recognizer, path.read_bytes(), "a", passes=3)

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("read as a whole")

    monkeypatch.setattr("speechrec.transcribe.read_audio", refuse)
    heard = transcribe(recognizer, path, "a", passes=3)
    assert heard == whole
    assert heard.duration_s == 40.5
    assert len(heard.detections or ()) >= 2


@pytest.mark.parametrize(("seconds", "detections"), [(0.9, None), (1.5, ())])
def test_a_large_file_of_one_word(
    tmp_path: Path, recognizer: Recognizer, rng: np.random.Generator,
    seconds: float, detections: tuple[()] | None,
) -> None:  # fmt: skip
    """What is a word depends on its length, not on how many bytes its channels take."""
    path = tmp_path / "a.wav"
    wave = 0.01 * rng.standard_normal((round(seconds * 96_000), 8))
    soundfile.write(path, wave, 96_000, subtype="FLOAT")
    assert path.stat().st_size > 1 << 20
    heard = transcribe(recognizer, path, "a", passes=3)
    assert heard.is_word
    assert heard.detections == detections
    assert heard == transcribe(recognizer, path.read_bytes(), "a", passes=3)


def test_a_long_sound_in_a_small_file(tmp_path: Path, recognizer: Recognizer) -> None:
    """More than ten minutes are read block by block, however few bytes they take."""
    path = tmp_path / "a.flac"
    soundfile.write(path, np.zeros(605 * 8000, dtype=np.int16), 8000)
    assert path.stat().st_size < 1 << 20
    heard = transcribe(recognizer, path, "a")
    assert heard.duration_s == pytest.approx(605)
    assert heard.detections == ()


def test_text_of_a_longer_sound_is_a_line(recognizer: Recognizer, stream_file: Path) -> None:
    """One line a sound, of the second that decided."""
    heard = transcribe(recognizer, stream_file, "a")
    assert isinstance(heard, Heard)
    assert heard.text(1).split()[:2] == ["a", heard.prediction.label]
    assert "\n" not in heard.text(1)


def test_a_long_sound_through_a_pipe_is_too_long(
    tmp_path: Path, recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has come through a pipe that is named like a file cannot be read a second time."""
    monkeypatch.setattr("speechrec.limits.MAX_SECONDS", 1.0)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = written(tmp_path, np.zeros(2 * 16_000, np.float32)).read_bytes()
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    with pytest.raises(AudioError, match="expected at most 1 s"):
        transcribe(recognizer, pipe, "pipe")
    writer.join()


@pytest.mark.parametrize(
    ("seconds", "detections", "is_word"), [(2.5, None, True), (2.5, (), False), (1.9, (), True)]
)
def test_what_fits_a_clip_is_one_word(
    seconds: float, detections: tuple[()] | None, is_word: bool
) -> None:
    """However long the clips of a recogniser are: a sound no longer than one is a word."""
    prediction = Prediction("yes", 0.9, {"yes": 0.9}, accepted=True)
    assert Heard("a", prediction, seconds, detections=detections).is_word == is_word
