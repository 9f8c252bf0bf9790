"""Labels, speaker-disjoint parts, unknown words and silence, for corpora of any size."""

import hashlib
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from speechrec.config import PARTS, SILENCE, UNKNOWN, DataConfig
from speechrec.dataset import Plan, plan_dataset
from speechrec.errors import DatasetError
from speechrec.recording import Clip, Recording
from speechrec.recordings import SPEECH_COMMANDS_WORDS
from speechrec.silence import NOISE_COLOURS
from speechrec.splits import Splitter, group_of

RATE = 16_000
NO_SILENCE = DataConfig(silence_percent=0)


def which_set(filename: str, validation_percentage: float, testing_percentage: float) -> str:
    """Google's function of that name, from the README of Speech Commands (Warden 2018)."""
    most = 2**27 - 1
    base_name = os.path.basename(filename)
    hash_name = re.sub(r"_nohash_.*$", "", base_name)
    hashed = hashlib.sha1(hash_name.encode()).hexdigest()
    percentage = (int(hashed, 16) % (most + 1)) * (100.0 / most)
    if percentage < validation_percentage:
        return "validation"
    if percentage < testing_percentage + validation_percentage:
        return "testing"
    return "training"


def manifest(folder: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """A manifest; planning does not open recordings, so there need be none."""
    path = folder / "m.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def rows(words: str, speakers: Iterable[str], takes: int = 1) -> list[dict[str, Any]]:
    return [
        {"path": f"{word}/{speaker}_nohash_{take}.wav", "label": word, "speaker": speaker}
        for word in words.split()
        for speaker in speakers
        for take in range(takes)
    ]


def names(count: int, prefix: str = "speaker") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def parts_of(clips: Iterable[Clip]) -> dict[str, set[str]]:
    parts = defaultdict(set)
    for clip in clips:
        parts[clip.speaker].add(clip.part)
    return parts


def test_parts_are_googles(tmp_path: Path) -> None:
    """A speaker goes where `which_set` of Speech Commands puts the file, for 300 speakers."""
    plan = plan_dataset(manifest(tmp_path, rows("yes no", names(300))), NO_SILENCE)
    clips = list(plan.clips())
    assert len(clips) == 600
    for clip in clips:
        assert clip.part == which_set(clip.path, 10, 10)


@settings(max_examples=100, deadline=None)
@given(
    speaker=st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(
        lambda text: "/" not in text and "_nohash_" not in text and "\n" not in text
    ),
    validation=st.floats(0, 49),
    testing=st.floats(0, 49),
)
def test_any_speaker_and_share_follow_google(
    speaker: str, validation: float, testing: float
) -> None:
    """The hash formula holds for any name and any percentages."""
    config = DataConfig(validation_percent=validation, testing_percent=testing)
    part = Splitter(config).part(Recording(f"/data/yes/{speaker}_nohash_0.wav", "yes", speaker))
    assert part == which_set(f"yes/{speaker}_nohash_0.wav", validation, testing)


def test_no_speaker_is_in_two_parts(tmp_path: Path) -> None:
    """Parts are disjoint in speakers, over all words and takes."""
    plan = plan_dataset(manifest(tmp_path, rows("yes no up", names(60), takes=3)), NO_SILENCE)
    parts = parts_of(plan.clips())
    assert len(parts) == 60
    assert all(len(found) == 1 for found in parts.values())
    assert set.union(*parts.values()) == set(PARTS)


@settings(max_examples=40, deadline=None)
@given(
    kept=st.sets(st.sampled_from(names(60)), min_size=30),
    words=st.sets(st.sampled_from(["yes", "no", "up", "down"]), min_size=2),
)
def test_a_speaker_keeps_the_part_whatever_else_there_is(
    kept: set[str], words: set[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Files that come or go do not move other speakers (where no part would be empty)."""
    everyone = names(60)
    if len({which_set(name, 10, 10) for name in kept}) < 3:
        return
    folder = tmp_path_factory.getbasetemp()
    some = plan_dataset(manifest(folder, rows(" ".join(sorted(words)), sorted(kept))), NO_SILENCE)
    part = {clip.speaker: clip.part for clip in some.clips()}
    whole = plan_dataset(manifest(folder, rows("yes no up down", everyone)), NO_SILENCE)
    for clip in whole.clips():
        assert part.get(clip.speaker, clip.part) == clip.part


@pytest.mark.parametrize("count", [3, 4, 5, 8])
@pytest.mark.parametrize("prefix", ["a", "b", "anna", "xyz", "s"])
def test_few_speakers_leave_no_part_empty(count: int, prefix: str, tmp_path: Path) -> None:
    """With three speakers or more nobody is in two parts, no part is empty, and it is told."""
    plan = plan_dataset(manifest(tmp_path, rows("yes no", names(count, prefix))), NO_SILENCE)
    parts = parts_of(plan.clips())
    assert set.union(*parts.values()) == set(PARTS)
    assert all(len(found) == 1 for found in parts.values())
    moved = [name for name, found in parts.items() if found != {which_set(name, 10, 10)}]
    for name in moved:
        assert any(note.startswith(f"{name} was moved to the") for note in plan.notes)
    assert sum("was moved" in note for note in plan.notes) == len(moved)


def test_two_speakers_are_for_training_and_validation(tmp_path: Path) -> None:
    """With two speakers there is still somebody to train on and somebody to choose by."""
    plan = plan_dataset(manifest(tmp_path, rows("yes no", ["ann", "bob"])), NO_SILENCE)
    assert Counter(next(iter(p)) for p in parts_of(plan.clips()).values()).keys() >= {"training"}
    assert all(len(found) == 1 for found in parts_of(plan.clips()).values())


def test_a_part_of_zero_percent_stays_empty(tmp_path: Path) -> None:
    """Nobody is moved to a part that was not asked for."""
    config = DataConfig(silence_percent=0, testing_percent=0)
    plan = plan_dataset(manifest(tmp_path, rows("yes no", names(5))), config)
    assert {clip.part for clip in plan.clips()} == {"training", "validation"}


def test_one_speaker_is_an_error_unless_insisted(tmp_path: Path) -> None:
    """One voice cannot be split by speaker; by recording it can, with a note on what it means."""
    source = manifest(tmp_path, rows("yes no", ["ann"], takes=40))
    with pytest.raises(DatasetError, match="several speakers, found only ann"):
        plan_dataset(source, NO_SILENCE)
    plan = plan_dataset(source, DataConfig(silence_percent=0, split_by="clip"))
    assert {clip.part for clip in plan.clips()} == set(PARTS)
    assert any("as asked" in note and "optimistic" in note for note in plan.notes)


def test_recordings_without_speaker_are_split_one_by_one(tmp_path: Path) -> None:
    """Where no name tells the speaker, parts are made by recording, and a note says so."""
    for word in ("yes", "no"):
        (tmp_path / word).mkdir()
        for number in range(40):
            (tmp_path / word / f"{number}.wav").touch()
    plan = plan_dataset(tmp_path, NO_SILENCE)
    assert {clip.part for clip in plan.clips()} == set(PARTS)
    assert any(note.startswith("80 recordings name no speaker") for note in plan.notes)


def test_segments_of_a_recording_are_not_kept_apart(tmp_path: Path) -> None:
    """Without a speaker the parts of one recording are of one voice; one alone is an error."""
    source = manifest(
        tmp_path,
        [
            {"path": f"long{n % 40}.wav", "label": ("on", "off")[n % 3 % 2], "offset_s": 2 * n,
             **({"duration_s": 1} if n < 360 else {})}
            for n in range(400)
        ],
    )  # fmt: skip
    plan = plan_dataset(source, NO_SILENCE)
    parts: dict[str, set[str]] = {}
    for clip in plan.clips():
        parts.setdefault(clip.path, set()).add(clip.part)
    assert len(parts) == 40
    # The last of each goes to the end of its file.
    assert sum(clip.duration_s is None for clip in plan.clips()) == 40
    assert all(len(found) == 1 for found in parts.values())
    assert set().union(*parts.values()) == set(PARTS)
    one = [json.loads(line) | {"path": "long.wav"} for line in source.read_text().splitlines()]
    with pytest.raises(DatasetError, match=r"several speakers, found only .*long\.wav"):
        plan_dataset(manifest(tmp_path, one), NO_SILENCE)


def test_segments_far_into_a_recording_are_told_apart() -> None:
    """A hundredth of a second is another segment, hours from the beginning too."""
    config = DataConfig(split_by="clip")
    groups = {group_of(Recording("a/b.wav", "on", offset_s=s), config) for s in (12345.6, 12345.61)}
    assert len(groups) == 2
    assert group_of(Recording("x/a/b.wav", "on", offset_s=1.5), config) == "on/a/b.wav@1.5"


def test_words_are_found_however_their_accents_are_written(tmp_path: Path) -> None:
    """As a terminal or a folder from a Mac gives them."""
    speakers = [f"s{n}" for n in range(40)]
    source = manifest(tmp_path, rows("caf\u00e9 th\u00e9", speakers))
    config = DataConfig(silence_percent=0, words=("cafe\u0301",))
    assert plan_dataset(source, config).labels == ("caf\u00e9", UNKNOWN)


def test_a_corpus_without_other_words_is_told(tmp_path: Path) -> None:
    """Then everything that is said will be taken for a command."""
    speakers = [f"s{n}" for n in range(40)]
    told = "no recordings of other words"
    alone = plan_dataset(manifest(tmp_path, rows("on off", speakers)), NO_SILENCE)
    assert any(note.startswith(told) for note in alone.notes)
    config = DataConfig(silence_percent=0, words=("on", "off"))
    others = plan_dataset(manifest(tmp_path, rows("on off lamp", speakers)), config)
    assert not any(note.startswith(told) for note in others.notes)


def test_given_parts_are_kept(tmp_path: Path) -> None:
    """A manifest's split wins over the hash, and is not changed to fill an empty part."""
    given_part = {name: PARTS[number % 2] for number, name in enumerate(names(10))}
    source = manifest(
        tmp_path,
        [row | {"split": given_part[row["speaker"]]} for row in rows("yes no", given_part)],
    )
    for clip in plan_dataset(source, NO_SILENCE).clips():
        assert clip.part == given_part[clip.speaker]


def test_a_speaker_given_a_part_takes_the_rest_along(tmp_path: Path) -> None:
    """Recordings without a split follow their speaker's other recordings."""
    some = rows("yes no", names(40))
    some += [
        row | {"path": f"x/{row['path']}", "split": "test"} for row in rows("yes", ["speaker3"])
    ]
    plan = plan_dataset(manifest(tmp_path, some), NO_SILENCE)
    assert parts_of(plan.clips())["speaker3"] == {"testing"}


def two_faced(folder: Path) -> Path:
    some = [row | {"split": "train"} for row in rows("yes no", names(4))]
    some += [{"path": "late.wav", "label": "yes", "speaker": "speaker1", "split": "test"}]
    return manifest(folder, some)


def test_a_speaker_in_two_parts_is_an_error(tmp_path: Path) -> None:
    """A split that tests on a voice it trains on is refused with speaker, parts and file."""
    with pytest.raises(
        DatasetError, match="speaker speaker1 is in the training and the testing"
    ) as e:
        plan_dataset(two_faced(tmp_path), NO_SILENCE)
    assert "late.wav" in str(e.value)
    assert "--split-by clip" in str(e.value)


def test_splitting_by_clip_insists(tmp_path: Path) -> None:
    """``split_by = "clip"`` takes such a split as it is."""
    config = DataConfig(silence_percent=0, split_by="clip")
    plan = plan_dataset(two_faced(tmp_path), config)
    assert parts_of(plan.clips())["speaker1"] == {"training", "testing"}


def test_walking_twice_is_the_same(corpus: Path) -> None:
    """The clips of a plan come in the same order with the same values every time."""
    plan = plan_dataset(corpus, DataConfig(words=("rise",)))
    first = list(plan.clips())
    assert first == list(plan.clips())
    assert first == list(plan_dataset(corpus, DataConfig(words=("rise",))).clips())


def test_configured_words_are_the_labels(tmp_path: Path) -> None:
    """Words keep the order they were asked for in; the others become unknown; silence is last."""
    source = manifest(tmp_path, rows("a b c d", names(20)))
    plan = plan_dataset(source, DataConfig(words=("c", "a")))
    assert plan.labels == ("c", "a", UNKNOWN, SILENCE)
    for clip in plan.clips():
        if clip.label != SILENCE:
            assert clip.label == (clip.word if clip.word in ("a", "c") else UNKNOWN)


def test_all_words_without_configuration(tmp_path: Path) -> None:
    """A plain corpus is learned whole, in alphabetical order, with nothing unknown."""
    source = manifest(tmp_path, rows("b c a", names(20)))
    assert plan_dataset(source, NO_SILENCE).labels == ("a", "b", "c")


def test_speech_commands_has_its_ten_words(tmp_path: Path) -> None:
    """A folder with Google's lists is learned as the standard task: ten words, unknown, silence."""
    for word in (*SPEECH_COMMANDS_WORDS, "bed", "tree"):
        (tmp_path / word).mkdir()
        for number in range(20):
            (tmp_path / word / f"{number:08x}_nohash_0.wav").touch()
    (tmp_path / "validation_list.txt").write_text("yes/00000000_nohash_0.wav\n")
    # The other recordings of this speaker count as training, which contradicts the list.
    plan = plan_dataset(tmp_path, DataConfig(split_by="clip"))
    assert plan.labels == (*SPEECH_COMMANDS_WORDS, UNKNOWN, SILENCE)


def test_a_word_without_recordings_is_an_error(tmp_path: Path) -> None:
    """A keyword that the corpus does not have is named, with those it has."""
    source = manifest(tmp_path, rows("yes no", names(4)))
    with pytest.raises(DatasetError, match="no recordings of maybe; found no, yes"):
        plan_dataset(source, DataConfig(words=("yes", "maybe")))


def test_a_word_that_cannot_be_printed_is_an_error(tmp_path: Path) -> None:
    """Words are written to terminals, where an escape sequence would do more than be read."""
    source = manifest(tmp_path, rows("yes no\x1b[2J", names(4)))
    with pytest.raises(DatasetError, match=r"printable characters, got 'no\\x1b\[2J'; rename it"):
        plan_dataset(source, DataConfig())


def test_a_single_label_is_an_error(tmp_path: Path) -> None:
    """One word and no silence leave nothing to tell apart; with silence there are two labels."""
    source = manifest(tmp_path, rows("yes", names(4)))
    with pytest.raises(DatasetError, match=r"at least two labels to tell apart, found \['yes'\]"):
        plan_dataset(source, NO_SILENCE)
    assert plan_dataset(source, DataConfig()).labels == ("yes", SILENCE)


def test_an_empty_corpus_is_an_error(tmp_path: Path) -> None:
    """A folder without word folders says what was expected and what was found instead."""
    (tmp_path / "lost.wav").touch()
    with pytest.raises(DatasetError, match=r"found none \(first of 1 problems: .*lost\.wav"):
        plan_dataset(tmp_path, DataConfig())


def test_recorded_silence_and_unknown_words_keep_their_label(tmp_path: Path) -> None:
    """Recordings that the corpus itself calls unknown or silence are used as such."""
    source = manifest(tmp_path, rows(f"yes no {UNKNOWN} {SILENCE}", names(20)))
    plan = plan_dataset(source, DataConfig(silence_percent=0, words=("yes", "no")))
    assert plan.labels == ("yes", "no", UNKNOWN, SILENCE)
    assert Counter(clip.label for clip in plan.clips()) == dict.fromkeys(plan.labels, 20)


UNKNOWN_WORDS = " ".join(f"u{number}" for number in range(20))


def drawn(folder: Path, some: list[dict[str, Any]], ratio: float = 4.0) -> set[str]:
    config = DataConfig(words=("yes", "no"), silence_percent=0, unknown_ratio=ratio)
    plan = plan_dataset(manifest(folder, some), config)
    clips = list(plan.clips())
    assert plan.expected_clips == pytest.approx(len(clips), rel=0.15)
    return {clip.path for clip in clips if clip.label == UNKNOWN}


def test_unknown_words_are_capped(tmp_path: Path) -> None:
    """About ``unknown_ratio`` times the average keyword's clips are drawn; 0 takes all."""
    some = rows("yes no " + UNKNOWN_WORDS, names(100))
    assert len(drawn(tmp_path, some)) == pytest.approx(400, rel=0.15)
    assert len(drawn(tmp_path, some, 1.0)) == pytest.approx(100, rel=0.3)
    assert len(drawn(tmp_path, some, 0)) == 2000
    assert len(drawn(tmp_path, some, 1000)) == 2000


def test_the_cap_is_told(tmp_path: Path) -> None:
    """What is left out is no secret."""
    source = manifest(tmp_path, rows("yes no " + UNKNOWN_WORDS, names(10)))
    plan = plan_dataset(source, DataConfig(words=("yes", "no")))
    assert any("80% of 200 recordings of unknown words are left out" in note for note in plan.notes)


def test_added_files_do_not_reshuffle_the_unknown_words(tmp_path: Path) -> None:
    """More unknown words thin the draw out, more keywords widen it; none is swapped for another."""
    some = rows("yes no " + UNKNOWN_WORDS, names(50))
    before = drawn(tmp_path, some)
    more_unknown = drawn(tmp_path, some + rows("v1 v2 v3", names(50)))
    known = {str(tmp_path / row["path"]) for row in some}
    assert more_unknown & known < before
    more_keywords = drawn(tmp_path, some + rows("yes no", names(50, "new")))
    assert more_keywords > before


def test_segments_of_one_recording_are_drawn_one_by_one(tmp_path: Path) -> None:
    """Unknown words cut out of one long recording are thinned out too, not taken or left whole."""
    some = rows("yes no", names(50))
    some += [
        {"path": "long.wav", "label": "other", "speaker": "x", "offset": second, "duration": 1}
        for second in range(1000)
    ]
    config = DataConfig(words=("yes", "no"), silence_percent=0, unknown_ratio=4)
    clips = plan_dataset(manifest(tmp_path, some), config).clips()
    assert sum(clip.label == UNKNOWN for clip in clips) == pytest.approx(200, rel=0.25)


def write_noise(folder: Path, *lengths_s: float) -> None:
    (folder / "_background_noise_").mkdir()
    for number, seconds in enumerate(lengths_s):
        path = folder / "_background_noise_" / f"n{number}.wav"
        soundfile.write(path, np.full(round(seconds * RATE), 0.1), RATE)


def silences(plan: Plan) -> list[Clip]:
    return [clip for clip in plan.clips() if clip.label == SILENCE]


@pytest.mark.parametrize("percent", [0, 10, 37, 100])
def test_silence_is_a_share_of_each_part(percent: float, tmp_path: Path) -> None:
    """Each part has ``silence_percent`` clips of silence for a hundred others."""
    write_noise(tmp_path, 30)
    source = manifest(tmp_path, rows("yes no", names(100)))
    plan = plan_dataset(source, DataConfig(silence_percent=percent))
    spoken = Counter(clip.part for clip in plan.clips() if clip.label != SILENCE)
    silent = Counter(clip.part for clip in silences(plan))
    for part in PARTS:
        assert silent[part] == round(spoken[part] * percent / 100)
    assert plan.expected_clips == pytest.approx(spoken.total() + silent.total(), abs=2)


@pytest.mark.parametrize("clip_s", [1.0, 1.5])
def test_noise_of_the_parts_does_not_overlap(clip_s: float, tmp_path: Path) -> None:
    """Each part cuts its silence from a stretch of time of its own, inside the recording."""
    lengths = (40.0, 25.0)
    write_noise(tmp_path, *lengths)
    source = manifest(tmp_path, rows("yes no", names(200)))
    stretches: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for clip in silences(plan_dataset(source, DataConfig(silence_percent=100), clip_s=clip_s)):
        assert clip.duration_s == clip_s
        low, high = stretches[clip.path].get(clip.part, (np.inf, 0))
        stretches[clip.path][clip.part] = (
            min(low, clip.offset_s),
            max(high, clip.offset_s + clip_s),
        )
    assert len(stretches) == 2
    for path, seconds in zip(sorted(stretches), lengths, strict=True):
        found = sorted(stretches[path].values())
        assert len(found) == 3
        assert found[0][0] >= 0
        assert found[-1][1] <= seconds + 1e-3
        for (_, end), (start, _) in pairwise(found):
            assert end <= start + 1e-3


def test_silence_has_many_levels_and_is_digital_zero_in_training_only(tmp_path: Path) -> None:
    """Levels spread from -40 to 0 dB; one in twenty of training alone is muted."""
    write_noise(tmp_path, 60)
    source = manifest(tmp_path, rows("yes no", names(200)))
    clips = silences(plan_dataset(source, DataConfig(silence_percent=100)))
    muted = [clip for clip in clips if clip.gain_db < -40]
    assert {clip.part for clip in muted} == {"training"}
    training = sum(clip.part == "training" for clip in clips)
    assert len(muted) == pytest.approx(training / 20, abs=1)
    levels = [clip.gain_db for clip in clips if clip not in muted]
    assert -40 <= min(levels) < -35
    assert -5 < max(levels) <= 0


def test_short_noise_is_used_where_a_second_fits(tmp_path: Path) -> None:
    """Noise too short to be shared goes to training; the other parts get made noise."""
    write_noise(tmp_path, 5)
    source = manifest(tmp_path, rows("yes no", names(100)))
    clips = silences(plan_dataset(source, DataConfig(silence_percent=50)))
    assert {bool(clip.path) for clip in clips if clip.part == "training"} == {True}
    assert {bool(clip.path) for clip in clips if clip.part != "training"} == {False}


def test_without_noise_recordings_silence_is_made_and_told(tmp_path: Path) -> None:
    """Made noise has all colours, a seed of its own for every clip, and a note."""
    source = manifest(tmp_path, rows("yes no", names(100)))
    plan = plan_dataset(source, DataConfig(silence_percent=50))
    clips = silences(plan)
    assert {clip.path for clip in clips} == {""}
    assert {clip.word for clip in clips} == set(NOISE_COLOURS)
    assert len({clip.offset_s for clip in clips}) == len(clips)
    assert any("no _background_noise_ folder" in note for note in plan.notes)


def test_made_silence_is_told_for_each_part(tmp_path: Path) -> None:
    """Eight seconds of noise are enough for training and not for the other two."""
    source = manifest(tmp_path, rows("yes no", names(30)))
    write_noise(tmp_path, 8)
    note = plan_dataset(source, DataConfig()).notes[-1]
    assert "less than 1 s for validation and testing: there silence is made" in note
    assert not any("noise" in note for note in plan_dataset(source, NO_SILENCE).notes)


def test_noise_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    """A broken noise file is among the faults, and planning goes on."""
    write_noise(tmp_path, 30)
    (tmp_path / "_background_noise_" / "broken.wav").write_text("no sound")
    plan = plan_dataset(manifest(tmp_path, rows("yes no", names(20))), DataConfig())
    assert [(Path(fault.path).name, fault.kind) for fault in plan.faults] == [
        ("broken.wav", "not_audio")
    ]


def test_added_keywords_keep_the_parts_of_a_real_corpus(
    tmp_path: Path, make_corpus: Callable[..., Path]
) -> None:
    """In a folder of word folders too, a new word moves nobody."""
    folder = make_corpus(tmp_path / "c", words=("rise", "fall"), takes=1)
    before = parts_of(plan_dataset(folder, NO_SILENCE).clips())
    make_corpus(folder, words=("high",), takes=2)
    assert parts_of(plan_dataset(folder, NO_SILENCE).clips()) == before


def test_a_further_folder_makes_an_unknown_label(tmp_path: Path) -> None:
    """Recordings that are no keyword become unknown words, split by their speakers."""
    mined = tmp_path / "mined"
    mined.mkdir()
    for name in names(40):
        (mined / f"{name}_nohash_0.wav").write_bytes(b"")
    source = manifest(tmp_path, rows("yes no", names(40)))
    assert UNKNOWN not in plan_dataset(source, NO_SILENCE).labels
    plan = plan_dataset(source, NO_SILENCE, unknown=mined)
    assert plan.labels == ("no", "yes", UNKNOWN)
    clips = list(plan.clips())
    assert Counter(clip.label for clip in clips) == {"yes": 40, "no": 40, UNKNOWN: 40}
    # Who says a keyword and is mined is in one part with both.
    parts = defaultdict(set)
    for clip in clips:
        parts[clip.speaker].add(clip.part)
    assert {len(found) for found in parts.values()} == {1}
    assert len(parts) == 40


@pytest.mark.parametrize("folder", ["unknown", "also"])
def test_what_was_added_is_not_left_out(tmp_path: Path, folder: str) -> None:
    """The cap is for the corpus' own unknown words; whoever names a folder wants all of it."""
    added = tmp_path / folder
    (added / UNKNOWN).mkdir(parents=True)
    for name in names(900):
        (added / UNKNOWN / f"{name}_nohash_0.wav").write_bytes(b"")
    source = manifest(tmp_path, rows("yes no " + UNKNOWN_WORDS, names(100)))
    config = DataConfig(words=("yes", "no"), silence_percent=0, unknown_ratio=3)
    plan = plan_dataset(source, config, **{folder: added})
    clips = list(plan.clips())
    unknown = [clip for clip in clips if clip.label == UNKNOWN]
    assert sum(Path(clip.path).is_relative_to(added) for clip in unknown) == 900
    assert len(unknown) - 900 == pytest.approx(300, rel=0.15)
    assert plan.expected_clips == pytest.approx(len(clips), rel=0.05)
    assert any("85% of 2000 recordings" in note for note in plan.notes)


def test_entries_of_lists_that_name_nothing_are_told(tmp_path: Path) -> None:
    """A list for other files would leave its part empty, and nobody would know why."""
    for name in names(6):
        (tmp_path / "yes").mkdir(exist_ok=True)
        (tmp_path / "yes" / f"{name}_nohash_0.wav").write_bytes(b"")
    (tmp_path / "validation_list.txt").write_text("Yes/none.wav\nYes/nobody.wav\n")
    plan = plan_dataset(tmp_path, DataConfig())
    assert any("2 entries of the lists" in note and "Yes/nobody.wav" in note for note in plan.notes)


def test_speakers_who_are_also_elsewhere_are_told(tmp_path: Path) -> None:
    """Who is heard in training is not tested on; where names only happen to agree, that is news."""
    source = manifest(tmp_path, rows("yes no", names(20)))
    (tmp_path / "also" / "yes").mkdir(parents=True)
    for name in names(20)[:15]:
        (tmp_path / "also" / "yes" / f"{name}_nohash_0.wav").write_bytes(b"")
    plan = plan_dataset(source, DataConfig(), also=tmp_path / "also")
    assert any("15 speakers are in what was added" in note for note in plan.notes)
