"""Recordings of one's own are scored as `predict` would score them, answers included."""

import csv
import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechrec.bundle import read_bundle
from speechrec.config import UNKNOWN
from speechrec.errors import DatasetError
from speechrec.evaluate import evaluate
from speechrec.recognizer import Recognizer
from speechrec.testset import read_testset


@pytest.fixture(scope="module")
def recognizer(recogniser_file: Path) -> Recognizer:
    return Recognizer.load(recogniser_file)


@pytest.fixture
def room(tmp_path: Path, corpus: Path) -> Path:
    """A few recordings of known and unknown words; one more is broken, and one a pipe."""
    folder = tmp_path / "room"
    for word in ("rise", "high", "low"):
        (folder / word).mkdir(parents=True)
        for path in sorted((corpus / word).iterdir())[:3]:
            shutil.copy(path, folder / word)
    (folder / "rise" / "zz_nohash_0.wav").write_bytes(b"broken")
    os.mkfifo(folder / "rise" / "zz_nohash_1.wav")
    return folder


def test_words_and_faults(room: Path, recognizer: Recognizer) -> None:
    """Known words keep their label, others are unknown, broken files are named and left out."""
    clips, faults = read_testset(room, recognizer)
    assert [clip.label for clip in clips.clips] == ["high"] * 3 + [UNKNOWN] * 3 + ["rise"] * 3
    assert [clip.word for clip in clips.clips] == ["high"] * 3 + ["low"] * 3 + ["rise"] * 3
    assert [recognizer.labels[y] for y in clips.y] == [clip.label for clip in clips.clips]
    assert [(Path(fault.path).name, fault.kind) for fault in faults] == [
        ("zz_nohash_0.wav", "not_audio"), ("zz_nohash_1.wav", "unreadable"),
    ]  # fmt: skip
    assert clips.labels == recognizer.labels
    assert clips.config == recognizer.config


def test_vectors_are_those_of_prediction(room: Path, recognizer: Recognizer) -> None:
    """Each recording's vector is the one that prediction computes from the same file."""
    clips, _ = read_testset(room, recognizer)
    scores = recognizer.scores(clips.x)
    for clip, row in zip(clips.clips, scores, strict=True):
        wave, _ = soundfile.read(clip.path, dtype="float32")
        predicted = recognizer.predict(wave).scores
        assert predicted == pytest.approx(
            dict(zip(recognizer.labels, row.tolist(), strict=True)), abs=1e-6
        )
        assert clip.duration_s == pytest.approx(len(wave) / 16_000)


def test_speakers(room: Path, recognizer: Recognizer) -> None:
    """Speakers are read from the names, or by a pattern of the user's."""
    clips, _ = read_testset(room, recognizer)
    assert {clip.speaker for clip in clips.clips} == {"s00"}
    clips, _ = read_testset(room, recognizer, speaker_pattern=r"_nohash_(\d)")
    assert {clip.speaker for clip in clips.clips} == {"0", "1", "2"}


def test_can_be_evaluated(room: Path, recognizer: Recognizer) -> None:
    """The result is a feature set like any other: a report can be made of it."""
    clips, _ = read_testset(room, recognizer)
    report = evaluate(recognizer.scores, clips)
    assert report.clips == 9
    assert report.per_class[UNKNOWN].clips == 3


def test_manifest_segments(tmp_path: Path, corpus: Path, recognizer: Recognizer) -> None:
    """Stretches of a long recording are read from a manifest, whatever part it gives them."""
    words = ["rise", "high"]
    waves = [soundfile.read(sorted((corpus / word).iterdir())[0])[0] for word in words]
    soundfile.write(tmp_path / "long.wav", np.concatenate(waves), 16_000)
    with (tmp_path / "list.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "split", "offset", "duration"])
        rows.writerow(["long.wav", "rise", "train", 0, 1])
        rows.writerow(["long.wav", "high", "test", 1, 1])
    clips, faults = read_testset(tmp_path / "list.csv", recognizer)
    assert not faults
    assert [clip.offset_s for clip in clips.clips] == [0, 1]
    assert [clip.duration_s for clip in clips.clips] == [1, 1]
    for row, wave in zip(clips.x, waves, strict=True):
        np.testing.assert_allclose(row, recognizer.features(wave.astype(np.float32)), atol=1e-4)


def test_word_without_a_label(tmp_path: Path, recogniser_file: Path, room: Path) -> None:
    """Where the recogniser has no label for other words, an unknown word is an error."""
    content = read_bundle(recogniser_file)
    labels = tuple("other" if label == UNKNOWN else label for label in content.labels)
    recognizer = Recognizer(dataclasses.replace(content, labels=labels))
    with pytest.raises(DatasetError, match="knows neither the word 'low' nor unknown") as caught:
        read_testset(room, recognizer)
    assert "rise" in str(caught.value)


def test_nothing_usable(tmp_path: Path, recognizer: Recognizer) -> None:
    """Where no recording can be read, the error gives the first reason."""
    (tmp_path / "rise").mkdir()
    (tmp_path / "rise" / "a.wav").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"no recording can be used .first reason: .*no bytes"):
        read_testset(tmp_path, recognizer)


def test_empty_folder(tmp_path: Path, recognizer: Recognizer) -> None:
    """A folder without recordings is an error that names it."""
    with pytest.raises(DatasetError, match="no recording can be used") as caught:
        read_testset(tmp_path, recognizer)
    assert str(tmp_path) in str(caught.value)


def test_missing_folder(tmp_path: Path, recognizer: Recognizer) -> None:
    """A folder that is not there is said not to be there."""
    with pytest.raises(DatasetError, match="found nothing there"):
        read_testset(tmp_path / "none", recognizer)
