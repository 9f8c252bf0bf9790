"""False alarms become clips that the next `extract` takes for unknown words."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from conftest import speak

from speechrec.config import UNKNOWN, DataConfig
from speechrec.dataset import plan_dataset
from speechrec.errors import DatasetError
from speechrec.event import Event
from speechrec.events import find_events
from speechrec.keyword_score import KeywordScore
from speechrec.mine import Mined, mine
from speechrec.negatives import find_negatives
from speechrec.recognizer import Recognizer

RATE = 16_000
Array = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def glides(recogniser_file: Path) -> Recognizer:
    """It knows the made-up words rise, fall and high; low is unknown."""
    return Recognizer.load(recogniser_file)


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings by amy, one by bob, one of silence; 9.5 s. Do not change."""
    folder = tmp_path_factory.mktemp("talks")
    rng = np.random.default_rng(2)
    said = {"t1-amy-x": "rise low", "t2-amy-x": "low fall low", "t1-bob-x": "high low"}
    for name, words in said.items():
        wave = np.concatenate([speak(word, rng=rng) for word in words.split()])
        soundfile.write(folder / f"{name}.wav", wave, RATE)
    soundfile.write(folder / "t1-eve-x.wav", np.zeros(5 * RATE // 2), RATE)
    return folder


PATTERN = r"-(.*)-"


def mined(glides: Recognizer, talks: Path, out: Path, least: float) -> Mined:
    return mine(glides, find_negatives(talks, speaker_pattern=PATTERN), out, least=least)


def events_of(recognizer: Recognizer, path: Path) -> list[Event]:
    wave, _ = soundfile.read(path, dtype="float32")
    return [event for events, _ in find_events(recognizer, [wave]) for event in events]


def most_like(recognizer: Recognizer, event: Event) -> tuple[float, str]:
    """The confidence of the most likely command, and the command."""
    label, confidence = KeywordScore(recognizer.labels)(event.posteriors)
    return confidence, label


def test_speakers_with_long_and_similar_names(
    glides: Recognizer, talks: Path, tmp_path: Path
) -> None:
    """Names as long as a disk takes are shortened, and stay apart; so do those of other case."""
    wave, _ = soundfile.read(talks / "t1-bob-x.wav")
    folder = tmp_path / "talks"
    folder.mkdir()
    long = "あ" * 83
    names = [long + "1", long + "2", "Bob", "bob", "ann"]
    for name in names:
        soundfile.write(folder / f"{name}.wav", wave, RATE)
    once = len(events_of(glides, folder / "bob.wav"))
    mine(glides, find_negatives(folder), tmp_path / "out", least=0)
    clips = [path.name for path in (tmp_path / "out").iterdir()]
    assert len({clip.casefold() for clip in clips}) == len(names) * once > 0
    speakers = {clip.rpartition("_nohash_")[0] for clip in clips}
    assert len(speakers) == len(names)
    assert {"Bob", "bob"} < speakers


def test_no_clip_is_hidden(glides: Recognizer, talks: Path, tmp_path: Path) -> None:
    """Of a speaker whose name begins with a dot, `extract` would not see any."""
    (tmp_path / "talks").mkdir()
    for name in (".bob.wav", "_bob.wav"):
        (tmp_path / "talks" / name).write_bytes((talks / "t1-bob-x.wav").read_bytes())
    negatives = [item for name in (".bob.wav", "_bob.wav")
                 for item in find_negatives(tmp_path / "talks" / name)]  # fmt: skip
    found = mine(glides, negatives, tmp_path / "out", least=0)
    clips = [path.name for path in (tmp_path / "out").iterdir()]
    assert len(clips) == sum(found.clips.values()) > 0
    assert all(name.startswith("_bob_nohash_") for name in clips)


@pytest.mark.parametrize("least", [0.0, 0.5])
def test_clips_are_what_the_network_was_asked_about(
    glides: Recognizer, talks: Path, tmp_path: Path, least: float
) -> None:
    """Each event like a command is a clip of its speaker, to 16 bits; 0 takes every event."""
    result = mined(glides, talks, tmp_path / "out", least)
    wanted: dict[str, Array] = {}
    commands: dict[str, int] = {}
    for name in ("amy", "bob", "eve"):
        clips = []
        for path in sorted(talks.glob(f"*-{name}-*")):
            for event in events_of(glides, path):
                confidence, label = most_like(glides, event)
                if confidence >= least:
                    clips.append(event.clip)
                    commands[label] = commands.get(label, 0) + 1
        wanted |= {f"{name}_nohash_{number}.wav": clip for number, clip in enumerate(clips)}
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(wanted)
    assert len(wanted) >= (7 if least == 0 else 3)
    for name, clip in wanted.items():
        wave, rate = soundfile.read(tmp_path / "out" / name, dtype="float32")
        assert rate == RATE
        np.testing.assert_allclose(wave, clip, rtol=0, atol=1.01 / 32767)
    assert result.clips == commands
    assert result.seconds == pytest.approx(9.5)
    assert result.faults == ()


def test_only_what_is_like_a_command(glides: Recognizer, talks: Path, tmp_path: Path) -> None:
    """At a confidence of a half, the three commands that are said are taken, unknown words not."""
    assert mined(glides, talks, tmp_path, 0.5).clips == {"rise": 1, "fall": 1, "high": 1}
    assert {path.name for path in tmp_path.iterdir()} == {
        "amy_nohash_0.wav", "amy_nohash_1.wav", "bob_nohash_0.wav"
    }  # fmt: skip


def test_mining_twice_is_the_same(glides: Recognizer, talks: Path, tmp_path: Path) -> None:
    """The same recordings give the same clips under the same names."""
    for out in ("one", "two"):
        mined(glides, talks, tmp_path / out, 0.0)
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / out).iterdir()}
        for out in ("one", "two")
    )
    assert one == two


def test_a_recording_that_cannot_be_read_is_reported(
    glides: Recognizer, talks: Path, tmp_path: Path
) -> None:
    """It becomes a fault that names it, the others are mined as without it."""
    calls: list[tuple[int, int]] = []
    found = find_negatives(talks, speaker_pattern=PATTERN)
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound")
    negatives = [*found[:1], *find_negatives(bad), *found[1:]]
    result = mine(
        glides, negatives, tmp_path / "out", least=0.5,
        progress=lambda *call: calls.append(call),
    )  # fmt: skip
    (fault,) = result.faults
    assert (fault.path, fault.kind) == (str(bad), "not_audio")
    assert str(bad) in fault.message
    assert result.clips == {"rise": 1, "fall": 1, "high": 1}
    assert calls == [(done, 5) for done in range(1, 6)]


def test_how_much_of_a_recording_was_used_is_said(
    glides: Recognizer, talks: Path, tmp_path: Path
) -> None:
    """What came before a recording broke off counts, and the fault says so."""
    wave, _ = soundfile.read(talks / "t1-bob-x.wav")
    whole = tmp_path / "a.flac"
    soundfile.write(whole, np.tile(wave, 20), RATE)
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) * 3 // 4])
    other = find_negatives(talks)[:1]
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound")
    negatives = [*other, *find_negatives(whole), *find_negatives(bad)]
    first, second = mine(glides, negatives, tmp_path / "out", least=0).faults
    assert re.search(r"; used up to \d+\.\d s$", first.message)
    assert "used" not in second.message


def test_a_folder_whose_name_is_not_utf_8(glides: Recognizer, talks: Path, tmp_path: Path) -> None:
    """Clips cannot be written into it, which is said."""
    out = tmp_path / os.fsdecode(b"\xe9") / "out"
    with pytest.raises(DatasetError, match="expected a name in UTF-8 to write to"):
        mine(glides, find_negatives(talks), out, least=0)
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("content", ["file", "folder", "is a file"])
def test_a_folder_with_content_is_refused(
    glides: Recognizer, talks: Path, tmp_path: Path, content: str
) -> None:
    """What is there already is neither touched nor added to."""
    out = tmp_path / "out"
    if content == "is a file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "mine").mkdir() if content == "folder" else (out / "mine").write_text("mine")
    with pytest.raises(DatasetError, match=r"new or empty folder, .*choose another --out"):
        mined(glides, talks, out, 0.0)
    assert out.is_file() or [path.name for path in out.iterdir()] == ["mine"]


def test_no_clip_is_ever_half_written(
    glides: Recognizer, talks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where writing fails, nothing is left behind."""

    def fail(path: Path, *rest: object, **options: object) -> None:
        Path(path).write_bytes(b"RIFF")
        raise OSError("disk full")

    monkeypatch.setattr(soundfile, "write", fail)
    with pytest.raises(OSError, match="disk full"):
        mined(glides, talks, tmp_path / "out", 0.0)
    assert not list(tmp_path.iterdir())


def test_mined_clips_are_unknown_words(
    glides: Recognizer, talks: Path, tmp_path: Path, make_corpus: Callable[..., Path]
) -> None:
    """`extract --unknown` makes them unknown words of their speakers."""
    mined(glides, talks, tmp_path / "mined", 0.0)
    source = make_corpus(tmp_path / "corpus", words=("rise", "fall"), speakers=8, takes=1)
    plan = plan_dataset(source, DataConfig(unknown_ratio=0), unknown=tmp_path / "mined")
    clips = [clip for clip in plan.clips() if clip.label == UNKNOWN]
    assert {clip.path for clip in clips} == {str(p) for p in (tmp_path / "mined").iterdir()}
    assert {clip.speaker for clip in clips} == {"amy", "bob"}
    assert UNKNOWN in plan.labels


def test_what_was_stopped_leaves_nothing(glides: Recognizer, talks: Path, tmp_path: Path) -> None:
    """Half of the false alarms are not there to be learnt from, and the next run may begin."""

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    negatives = find_negatives(talks, speaker_pattern=PATTERN)
    with pytest.raises(KeyboardInterrupt):
        mine(glides, negatives, out, least=0, progress=stop)
    assert not list(tmp_path.iterdir())
    assert mine(glides, negatives, out, least=0).clips


def test_nothing_that_can_be_read_is_an_error(glides: Recognizer, tmp_path: Path) -> None:
    """It names the first reason and leaves no empty folder."""
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    with pytest.raises(DatasetError, match=r"none could be read .first reason: .*bad\.wav"):
        mine(glides, find_negatives(tmp_path), tmp_path / "out", least=0)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.wav"]
