"""Recordings without commands: whose they are, which part they are for, what is heard in them."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import speak

from speechrec.config import PARTS, Part
from speechrec.errors import AudioError, ConfigError, DatasetError
from speechrec.events import file_events, find_events
from speechrec.locate import installed_models
from speechrec.negatives import Negative, find_negatives
from speechrec.recognizer import Recognizer

RATE = 16_000


@pytest.fixture(scope="module")
def shipped() -> Recognizer:
    return Recognizer.load(installed_models()["commands-en"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 speakers with two recordings each, named as in AN4; finding them opens none."""
    folder = tmp_path_factory.mktemp("negatives")
    for number in range(200):
        for take in range(2):
            below = folder / f"disc{take}"
            below.mkdir(exist_ok=True)
            (below / f"an{take}-s{number:03d}-b.wav").write_bytes(b"")
    return folder


AN4 = r"^[^-]+-([^-]+)-"


def test_every_sound_file_below_a_folder(folder: Path) -> None:
    """Without a part all sound files are found, each once, in a fixed order, and nothing else."""
    (folder / "disc0" / "notes.txt").write_text("no sound")
    found = find_negatives(folder)
    assert [item.path for item in found] == sorted(folder.glob("*/*.wav"))
    assert len(found) == 400


def test_a_single_file(tmp_path: Path) -> None:
    """One file is a folder of one, whatever its ending: it was named."""
    path = tmp_path / "talk.bin"
    path.write_bytes(b"")
    assert find_negatives(path) == [Negative(path, "talk")]


@pytest.mark.parametrize(
    ("name", "pattern", "speaker"),
    [
        ("an01-mrcb-b.wav", AN4, "mrcb"),
        ("an01-mrcb-b.wav", "", "an01-mrcb-b"),
        # What names no speaker is a speaker of its own.
        ("other.wav", AN4, "other"),
        ("x7_take.wav", r"(?P<take>take)|(?P<speaker>x\d)", "x7"),
        # Named as clips of words are.
        ("amy_nohash_3.wav", "", "amy"),
        ("_nohash_3.wav", "", "_nohash_3"),
    ],
)
def test_speakers(tmp_path: Path, name: str, pattern: str, speaker: str) -> None:
    """The speaker is what the pattern finds, or else the name up to its number."""
    (tmp_path / name).write_bytes(b"")
    assert find_negatives(tmp_path, speaker_pattern=pattern)[0].speaker == speaker


def test_a_name_that_is_not_utf_8_has_a_part(tmp_path: Path) -> None:
    """Whatever bytes a file's name has, its speaker belongs to one part, and always to that."""
    (tmp_path / os.fsdecode(b"caf\xe9.wav")).write_bytes(b"")
    found = []
    for part in PARTS:
        with suppress(DatasetError):
            found += find_negatives(tmp_path, part=part)
    assert [os.fsencode(item.path.name) for item in found] == [b"caf\xe9.wav"]


def test_a_pattern_of_no_use_is_refused(folder: Path) -> None:
    """A speaker pattern without a group is an error about the setting."""
    with pytest.raises(ConfigError, match="group around the speaker"):
        find_negatives(folder, speaker_pattern="an4")


def test_parts_share_no_speaker_and_leave_nothing_out(folder: Path) -> None:
    """A speaker is in one part with all recordings, and every recording is in a part."""
    parts = {part: find_negatives(folder, part=part, speaker_pattern=AN4) for part in PARTS}
    speakers = {part: {item.speaker for item in found} for part, found in parts.items()}
    assert sum(map(len, speakers.values())) == len(set().union(*speakers.values())) == 200
    paths = sorted(item.path for found in parts.values() for item in found)
    assert paths == [item.path for item in find_negatives(folder)]
    for found in parts.values():
        assert len(found) == 2 * len({item.speaker for item in found})


def test_a_quarter_a_quarter_and_half_of_the_speakers(folder: Path) -> None:
    """Validation and testing have a quarter of the speakers each, training the rest."""
    shares = {
        part: len(find_negatives(folder, part=part, speaker_pattern=AN4)) / 400 for part in PARTS
    }
    assert shares["validation"] == pytest.approx(0.25, abs=0.08)
    assert shares["testing"] == pytest.approx(0.25, abs=0.08)
    assert shares["training"] == pytest.approx(0.5, abs=0.08)


def test_the_part_is_that_of_the_speakers_sha1(folder: Path) -> None:
    """Which part a speaker is in follows from the name alone, as Speech Commands has it."""
    most = 2**27 - 1
    for part in PARTS:
        for item in find_negatives(folder, part=part, speaker_pattern=AN4)[:40]:
            digest = hashlib.sha1(item.speaker.encode()).hexdigest()
            percent = int(digest, 16) % (most + 1) * 100 / most
            wanted = "validation" if percent < 25 else "testing" if percent < 50 else "training"
            assert part == wanted


def test_added_recordings_move_nobody(folder: Path, tmp_path: Path) -> None:
    """Another recording leaves everybody in their part, wherever the folder lies."""
    chosen = find_negatives(folder, part="testing", speaker_pattern=AN4)
    for item in chosen[:10]:
        (tmp_path / item.path.name).write_bytes(b"")
    (tmp_path / "an4-somebody-b.wav").write_bytes(b"")
    again = find_negatives(tmp_path, part="testing", speaker_pattern=AN4)
    assert {item.path.name for item in chosen[:10]} <= {item.path.name for item in again}
    assert find_negatives(folder, part="testing", speaker_pattern=AN4) == chosen


def test_none_is_an_error(tmp_path: Path) -> None:
    """A folder without sound and a path without a folder are errors that name it."""
    for source in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DatasetError, match="without commands, found none") as caught:
            find_negatives(source)
        assert str(source) in str(caught.value)


def _has(folder: Path, part: Part) -> bool:
    try:
        return len(find_negatives(folder, part=part)) == 1
    except DatasetError:
        return False


def test_an_empty_part_is_told(tmp_path: Path) -> None:
    """Where a part has no speaker, the error says which part."""
    (tmp_path / "one.wav").write_bytes(b"")
    (own,) = (part for part in PARTS if _has(tmp_path, part))
    for part in set(PARTS) - {own}:
        with pytest.raises(DatasetError, match=f"by speakers of the {part} part, found none"):
            find_negatives(tmp_path, part=part)


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
def test_events_of_a_file(tmp_path: Path, shipped: Recognizer, rate: int) -> None:
    """A file's events are those of its sound, and its blocks are as long as it is."""
    words = (speak(word, rng=np.random.default_rng(1)) for word in ("rise", "high"))
    wave = np.concatenate(list(words))
    soundfile.write(tmp_path / "a.wav", wave, rate, subtype="PCM_16")
    pairs = list(file_events(shipped, tmp_path / "a.wav"))
    assert sum(seconds for _, seconds in pairs) == pytest.approx(len(wave) / rate, abs=1e-3)
    found = [event for events, _ in pairs for event in events]
    assert found
    if rate == RATE:
        heard, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
        direct = [event for events, _ in find_events(shipped, [heard]) for event in events]
        assert [event.centre for event in found] == [event.centre for event in direct]


@pytest.mark.parametrize("content", [b"", b"no sound at all", None])
def test_a_file_that_cannot_be_read(
    tmp_path: Path, shipped: Recognizer, content: bytes | None
) -> None:
    """It is an error about sound that names the file."""
    path = tmp_path / "bad.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AudioError, match=r"bad\.wav"):
        list(file_events(shipped, path))
