"""Extraction: right vectors and rows, every bad file reported, the same however it is run."""

import errno
import hashlib
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from speechrec import extract as extract_module
from speechrec import shards
from speechrec.audio import read_audio
from speechrec.config import PARTS, SILENCE, UNKNOWN, DataConfig, FeatureConfig
from speechrec.errors import AudioError, DatasetError
from speechrec.extract import extract
from speechrec.features import clip_features
from speechrec.files import replacing
from speechrec.placing import fit_clip
from speechrec.recording import Clip
from speechrec.shards import read_clip
from speechrec.store import StoredClip, load_features, load_info, shard_name, stored_clips
from speechrec.train_config import Config

RATE = 16_000
FEATURES = FeatureConfig()
# Shares this large put somebody of a dozen speakers into every part.
CONFIG = Config(data=DataConfig(validation_percent=25, testing_percent=25))


def config(**data: Any) -> Config:
    return replace(CONFIG, data=replace(CONFIG.data, **data))


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def contents(store: Path) -> dict[str, bytes]:
    """All that a store holds; features.json without its order of counts."""
    found = {path.name: path.read_bytes() for path in store.iterdir()}
    info = json.dumps(json.loads(found.pop("features.json")), sort_keys=True)
    return found | {"features.json": info.encode()}


def vectors(store: Path) -> list[tuple[StoredClip, npt.NDArray[np.float32]]]:
    pairs: list[tuple[StoredClip, npt.NDArray[np.float32]]] = []
    present = {clip.part for clip in stored_clips(store)}
    for part in [part for part in PARTS if part in present]:
        features = load_features(store, part)
        pairs += zip(features.clips, features.x, strict=True)
    return pairs


@pytest.fixture
def small(tmp_path: Path, make_corpus: Callable[..., Path]) -> Path:
    """Two words, twelve speakers, one take; a test may change it."""
    return make_corpus(tmp_path / "small", words=("rise", "fall"), speakers=12, takes=1)


def test_every_vector_is_the_clips_own(corpus: Path, feature_store: Path) -> None:
    """A stored vector equals `clip_features` of the second that is read from the clip's file."""
    pairs = vectors(feature_store)
    spoken = [(clip, x) for clip, x in pairs if clip.label != SILENCE]
    assert len(spoken) == 4 * 16 * 3
    waves = [read_audio(clip.path, sample_rate_hz=RATE) for clip, _ in spoken]
    expected = clip_features(np.stack([fit_clip(wave, FEATURES) for wave in waves]), FEATURES)
    np.testing.assert_allclose(np.stack([x for _, x in spoken]), expected, rtol=0, atol=1e-4)
    for clip, _ in spoken:
        assert clip.word == Path(clip.path).parent.name
        assert clip.label == (clip.word if clip.word != "low" else "_unknown_")
        assert clip.speaker == Path(clip.path).name.split("_")[0]
        assert clip.duration_s == 1.0
        assert Path(clip.path).is_relative_to(corpus)


def test_every_hash_is_the_files_own(feature_store: Path) -> None:
    """clips.jsonl carries the SHA-256 of the file each clip was read from, noise included."""
    for clip in stored_clips(feature_store):
        assert clip.sha256 == hashlib.sha256(Path(clip.path).read_bytes()).hexdigest()


def test_silence_is_the_noise_at_its_level(feature_store: Path) -> None:
    """A silence clip is its second of noise with its gain; not all but zero in testing."""
    quiet = [(clip, x) for clip, x in vectors(feature_store) if clip.label == SILENCE]
    assert {clip.part for clip, _ in quiet} == set(PARTS)
    for clip, x in quiet:
        noise = read_audio(clip.path, sample_rate_hz=RATE, offset_s=clip.offset_s, duration_s=1.0)
        wave = noise * np.float32(10 ** (clip.gain_db / 20))
        np.testing.assert_allclose(
            x, clip_features(wave[np.newaxis], FEATURES)[0], rtol=0, atol=1e-4
        )
        assert clip.part == "training" or x.max() > np.log(FEATURES.log_offset) + 1


def test_the_summary_counts_what_is_stored(
    corpus: Path, tiny_config: Config, tmp_path: Path
) -> None:
    """Counts, seconds and speakers of the summary are those of clips.jsonl and features.json."""
    summary = extract(corpus, tmp_path / "store", tiny_config)
    clips = list(stored_clips(tmp_path / "store"))
    assert summary.folder == tmp_path / "store"
    assert summary.counts == Counter((clip.part, clip.label) for clip in clips)
    assert sum(summary.seconds.values()) == pytest.approx(sum(clip.duration_s for clip in clips))
    speakers = {clip.speaker: clip.part for clip in clips if clip.speaker}
    assert summary.speakers == Counter(speakers.values())
    assert len(speakers) == 16
    info = load_info(tmp_path / "store")
    assert info.summary["speakers"] == summary.speakers
    assert info.labels == summary.labels
    assert not summary.faults


def test_a_segment_is_cut_out_of_its_file(tmp_path: Path, rng: np.random.Generator) -> None:
    """A manifest's offset and duration choose the sound; the hash is that of the whole file."""
    sound = (0.1 * rng.standard_normal(24 * RATE)).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", sound, RATE, subtype="FLOAT")
    lines = [
        {"path": "long.wav", "label": "ab"[n % 2], "speaker": f"s{n}", "offset": n, "duration": 1}
        for n in range(24)
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    extract(tmp_path / "m.jsonl", tmp_path / "store", config(silence_percent=0))
    pairs = vectors(tmp_path / "store")
    assert len(pairs) == 24
    digest = hashlib.sha256((tmp_path / "long.wav").read_bytes()).hexdigest()
    for clip, x in pairs:
        wave = sound[round(clip.offset_s) * RATE :][:RATE]
        np.testing.assert_allclose(
            x, clip_features(wave[np.newaxis], FEATURES)[0], rtol=0, atol=1e-4
        )
        assert (clip.sha256, clip.duration_s) == (digest, 1.0)


def encoded(wave: npt.ArrayLike, rate: int = RATE, **how: Any) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.asarray(wave), rate, **({"format": "WAV"} | how))
    return buffer.getvalue()


NOISE = np.random.default_rng(9).normal(0, 0.1, RATE)
GOOD = encoded(NOISE)
BAD = {
    "not_audio": b"no sound at all, only text" * 20,
    "empty": b"",
    "truncated": GOOD[:-100],
    "unsupported": encoded(NOISE, 2000),
    "too_short": encoded(NOISE[:1000]),
    "too_long": encoded(np.zeros(601 * 4000), 4000, subtype="PCM_U8"),
    "not_finite": encoded(np.where(np.arange(RATE) == 5, np.nan, NOISE), subtype="FLOAT"),
    "silent": encoded(np.full(RATE, 0.25)),
    "clipped": encoded(np.sign(NOISE)),
}


def add_bad_files(folder: Path) -> dict[str, str]:
    """One file of every kind of fault among the good ones; kind by path."""
    added = {}
    for kind, data in BAD.items():
        path = folder / "rise" / f"s01_nohash_{kind}.wav"
        path.write_bytes(data)
        added[str(path)] = kind
    (folder / "rise" / "s02_nohash_gone.wav").symlink_to(folder / "nowhere.wav")
    added[str(folder / "rise" / "s02_nohash_gone.wav")] = "missing"
    os.mkfifo(folder / "rise" / "s03_nohash_pipe.wav")
    added[str(folder / "rise" / "s03_nohash_pipe.wav")] = "unreadable"
    (folder / "lost.wav").write_bytes(GOOD)
    added[str(folder / "lost.wav")] = "no_label"
    return added


def test_every_bad_file_is_reported_and_the_others_kept(small: Path, tmp_path: Path) -> None:
    """skipped.jsonl names each bad file once with kind and reason; the good ones are stored."""
    added = add_bad_files(small)
    summary = extract(small, tmp_path / "store", CONFIG)
    skipped = rows(tmp_path / "store" / "skipped.jsonl")
    assert {row["path"]: row["kind"] for row in skipped} == added
    assert len(skipped) == len(added)
    assert all(row["message"].startswith(row["path"]) for row in skipped)
    assert summary.faults == Counter(added.values())
    assert load_info(tmp_path / "store").summary["skipped"] == dict(summary.faults)
    assert set(summary.first_faults) <= {row["message"] for row in skipped}
    spoken = [clip for clip in stored_clips(tmp_path / "store") if clip.label != SILENCE]
    assert len(spoken) == 24
    assert not added.keys() & {clip.path for clip in spoken}


def test_every_vector_is_in_its_row_after_bad_files(small: Path, tmp_path: Path) -> None:
    """Files left out in the middle of a shard shift no vector to another clip."""
    add_bad_files(small)
    extract(small, tmp_path / "store", CONFIG)
    for clip, x in vectors(tmp_path / "store"):
        if clip.label != SILENCE:
            wave = fit_clip(read_audio(clip.path, sample_rate_hz=RATE), FEATURES)
            np.testing.assert_allclose(x, clip_features(wave[np.newaxis], FEATURES)[0], atol=1e-4)


@pytest.mark.parametrize("kind", ["not_audio", "silent"])
def test_strict_stops_at_the_first_bad_file(kind: str, small: Path, tmp_path: Path) -> None:
    """With ``strict`` a bad file is an error with its own message, and no store is left."""
    path = small / "fall" / "s00_nohash_bad.wav"
    path.write_bytes(BAD[kind])
    with pytest.raises(DatasetError, match=r"s00_nohash_bad\.wav: expected"):
        extract(small, tmp_path / "store", CONFIG, strict=True)
    assert not (tmp_path / "store").exists()


def test_strict_minds_misplaced_files_too(small: Path, tmp_path: Path) -> None:
    """A recording outside any word folder stops a strict run before any work."""
    (small / "lost.wav").write_bytes(GOOD)
    with pytest.raises(DatasetError, match=r"lost\.wav"):
        extract(small, tmp_path / "store", CONFIG, strict=True)


def test_strict_passes_good_recordings(small: Path, tmp_path: Path) -> None:
    """``strict`` minds nothing else."""
    assert extract(small, tmp_path / "store", CONFIG, strict=True).counts.total() >= 24


def test_recordings_that_are_all_bad_are_an_error(small: Path, tmp_path: Path) -> None:
    """With no usable recording there is no store, though silence could still be made."""
    for path in small.rglob("*.wav"):
        path.write_bytes(b"junk")
    with pytest.raises(
        DatasetError, match=r"none of the recordings can be used \(first reason: .*wav"
    ):
        extract(small, tmp_path / "store", CONFIG)
    assert not (tmp_path / "store").exists()


def test_a_name_of_two_lines_is_told_in_one(small: Path, tmp_path: Path) -> None:
    """Of a sound that is there twice, too."""
    shutil.copy(small / "fall" / "s03_nohash_0.wav", small / "fall" / "s03\n_nohash_9.wav")
    extract(small, tmp_path / "store", CONFIG)
    (row,) = rows(tmp_path / "store" / "skipped.jsonl")
    assert row["kind"] == "duplicate"
    assert "\n" not in row["message"]


def test_the_same_sound_is_kept_once(small: Path, tmp_path: Path) -> None:
    """A copy, also as FLAC and under another word, is left out with the name of the one kept."""
    original = small / "fall" / "s03_nohash_0.wav"
    shutil.copy(original, small / "fall" / "s03_nohash_9.wav")
    shutil.copy(original, small / "rise" / "s04_nohash_9.wav")
    wave, _ = soundfile.read(original, dtype="int16")
    soundfile.write(small / "rise" / "s05_nohash_9.flac", wave, RATE)
    summary = extract(small, tmp_path / "store", CONFIG)
    skipped = rows(tmp_path / "store" / "skipped.jsonl")
    assert [Path(row["path"]).name for row in skipped] == [
        "s03_nohash_9.wav", "s04_nohash_9.wav", "s05_nohash_9.flac"
    ]  # fmt: skip
    for row in skipped:
        assert row["kind"] == "duplicate"
        message = f"{row['path']}: same sound as {original}, which is kept"
        if "rise" in row["path"]:
            message += "; the one says 'rise', the other 'fall'"
        assert row["message"] == message
    assert summary.faults == {"duplicate": 3}
    with pytest.raises(DatasetError, match="same sound as"):
        extract(small, tmp_path / "store", CONFIG, strict=True)
    assert sum(clip.label != SILENCE for clip in stored_clips(tmp_path / "store")) == 24


def test_copies_are_found_across_shards(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one kept may stand in an earlier shard."""
    monkeypatch.setattr(extract_module, "SHARD_CLIPS", 5)
    shutil.copy(small / "fall" / "s03_nohash_0.wav", small / "rise" / "s11_nohash_9.wav")
    extract(small, tmp_path / "store", CONFIG)
    (row,) = rows(tmp_path / "store" / "skipped.jsonl")
    assert "fall/s03_nohash_0.wav, which is kept" in row["message"]


def test_workers_do_not_show(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes write byte for byte what one writes."""
    monkeypatch.setattr(extract_module, "SHARD_CLIPS", 5)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    add_bad_files(small)
    shutil.copy(small / "fall" / "s03_nohash_0.wav", small / "rise" / "s11_nohash_9.wav")
    extract(small, tmp_path / "one", CONFIG, workers=1)
    extract(small, tmp_path / "two", CONFIG, workers=2)
    one = contents(tmp_path / "one")
    assert len(one) > 8
    assert contents(tmp_path / "two") == one


class StopError(Exception):
    """Stands for whatever ends a run half-way."""


def stop_after(calls: int) -> Callable[[int, int], None]:
    seen = []

    def progress(done: int, total: int) -> None:
        seen.append(done)
        if len(seen) == calls:
            raise StopError

    return progress


def stopped(source: Path, store: Path) -> Path:
    """A run stopped after two shards; the folder it worked in."""
    with pytest.raises(StopError):
        extract(source, store, CONFIG, progress=stop_after(2))
    return store.with_name(store.name + ".partial")


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("shard-*.npy")}


def times_at_the_end(source: Path, store: Path) -> dict[str, int]:
    """Run to the end; when the shards were written."""
    extract(source, store, CONFIG)
    return times(store)


def test_a_stopped_run_goes_on_where_it_was(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finished shards are used again, and the result is that of a run that was not stopped."""
    monkeypatch.setattr(extract_module, "SHARD_CLIPS", 5)
    extract(small, tmp_path / "whole", CONFIG)
    partial = stopped(small, tmp_path / "store")
    before = times(partial)
    assert sorted(before) == [shard_name(0), shard_name(1)]
    assert not (tmp_path / "store").exists()
    # As a process that was killed leaves it.
    (partial / ".0123abcd.99.partial.npy").write_bytes(b"half")
    after = times_at_the_end(small, tmp_path / "store")
    assert {name: after[name] for name in before} == before
    assert not partial.exists()
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


def test_a_changed_file_is_read_again(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard whose recording changed in the meantime is made anew; the others are kept."""
    monkeypatch.setattr(extract_module, "SHARD_CLIPS", 5)
    before = times(stopped(small, tmp_path / "store"))
    changed = small / "fall" / "s00_nohash_0.wav"
    changed.write_bytes(GOOD)
    after = times_at_the_end(small, tmp_path / "store")
    assert after[shard_name(0)] != before[shard_name(0)]
    assert after[shard_name(1)] == before[shard_name(1)]
    (clip,) = [clip for clip in stored_clips(tmp_path / "store") if clip.path == str(changed)]
    assert clip.sha256 == hashlib.sha256(GOOD).hexdigest()


def test_other_settings_use_nothing_of_the_stopped_run(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards made with other front-end settings are not mixed in."""
    monkeypatch.setattr(extract_module, "SHARD_CLIPS", 5)
    other = replace(CONFIG, features=replace(FEATURES, log_offset=1e-3))
    stopped(small, tmp_path / "store")
    extract(small, tmp_path / "store", other)
    extract(small, tmp_path / "fresh", other)
    assert contents(tmp_path / "store") == contents(tmp_path / "fresh")


def test_a_shard_of_other_settings_is_none(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where those ended between its vectors and its rows."""
    monkeypatch.setattr(extract_module, "SHARD_CLIPS", 5)
    stopped(small, tmp_path / "store")
    other = replace(CONFIG, features=replace(FEATURES, align="none"))

    @contextmanager
    def full(target: Path) -> Iterator[Path]:
        if target.suffix == ".jsonl":
            raise OSError(errno.ENOSPC, "No space left on device")
        with replacing(target) as partial:
            yield partial

    with monkeypatch.context() as patched:
        patched.setattr(shards, "replacing", full)
        with pytest.raises(OSError, match="No space"):
            extract(small, tmp_path / "store", other)
    extract(small, tmp_path / "store", CONFIG)
    extract(small, tmp_path / "fresh", CONFIG)
    assert contents(tmp_path / "store") == contents(tmp_path / "fresh")


@pytest.mark.parametrize("junk", ["", "[]\n", "{}\n", "junk\n", '{"key": 5, "clips": 1}\n'])
def test_a_half_written_shard_is_made_anew(
    junk: str, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a stopped run left behind is only used where it is whole."""
    monkeypatch.setattr(extract_module, "SHARD_CLIPS", 5)
    partial = stopped(small, tmp_path / "store")
    (partial / "shard-00001.jsonl").write_text(junk)
    extract(small, tmp_path / "store", CONFIG)
    extract(small, tmp_path / "fresh", CONFIG)
    assert contents(tmp_path / "store") == contents(tmp_path / "fresh")


def test_shards_of_a_larger_run_are_not_left_over(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store holds its own shards only, also after a stopped run over more recordings."""
    monkeypatch.setattr(extract_module, "SHARD_CLIPS", 5)
    with pytest.raises(StopError):
        extract(small, tmp_path / "store", CONFIG, progress=stop_after(5))
    for path in sorted((small / "rise").iterdir())[3:]:
        path.unlink()
    extract(small, tmp_path / "store", CONFIG)
    shards = {clip.shard for clip in stored_clips(tmp_path / "store")}
    assert set(times(tmp_path / "store")) == {shard_name(index) for index in shards}


def test_a_finished_store_outlives_a_failed_run(small: Path, tmp_path: Path) -> None:
    """Until a new extraction is whole, the old store stays as it was; then it is replaced."""
    store = tmp_path / "store"
    extract(small, store, CONFIG)
    before = contents(store)
    with pytest.raises(StopError):
        extract(small, store, config(silence_percent=0), progress=stop_after(1))
    assert contents(store) == before
    extract(small, store, config(silence_percent=0))
    assert SILENCE not in load_info(store).labels
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small", "store"]


def test_a_folder_that_is_no_store_is_not_replaced(small: Path, tmp_path: Path) -> None:
    """A folder of something else and a file are left alone; an empty folder is fine."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("words")
    (tmp_path / "file").write_text("words")
    for name in ("thesis", "file"):
        with pytest.raises(DatasetError, match="expected a new or empty folder or a feature store"):
            extract(small, tmp_path / name, CONFIG)
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "words"
    assert (tmp_path / "file").read_text() == "words"
    (tmp_path / "empty").mkdir()
    extract(small, tmp_path / "empty", CONFIG)
    assert load_info(tmp_path / "empty").labels


def test_silence_is_as_long_as_a_clip(corpus: Path, tmp_path: Path) -> None:
    """A front end with longer clips gets longer silence, not silence with nothing behind it."""
    features = replace(FEATURES, clip_ms=1500)
    extract(corpus, tmp_path / "store", replace(CONFIG, features=features))
    clips = rows(tmp_path / "store" / "clips.jsonl")
    assert {clip["duration_s"] for clip in clips if clip["label"] == SILENCE} == {1.5}


def test_notes_in_a_store_are_not_lost_with_it(small: Path, tmp_path: Path) -> None:
    """A store with altered copies in it is replaced, one with somebody's file in it is not."""
    store = tmp_path / "store"
    extract(small, store, CONFIG)
    (store / "copies").mkdir()
    extract(small, store, CONFIG)
    (store / "notes.txt").write_text("words")
    with pytest.raises(DatasetError, match=r"notes\.txt in it is no part of one"):
        extract(small, store, CONFIG)
    assert (store / "notes.txt").read_text() == "words"


def test_notes_that_come_meanwhile_are_not_lost_either(small: Path, tmp_path: Path) -> None:
    """The store and its copies stay, and the next extraction has most of its work done."""
    store = tmp_path / "store"
    extract(small, store, CONFIG)
    (store / "copies").mkdir()

    def write_notes(done: int, total: int) -> None:
        (store / "notes.txt").write_text("words")

    with pytest.raises(DatasetError, match=r"notes\.txt in it is no part of one"):
        extract(small, store, CONFIG, progress=write_notes)
    assert (store / "notes.txt").read_text() == "words"
    assert (store / "copies").is_dir()
    (store / "notes.txt").unlink()
    extract(small, store, CONFIG)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small", "store"]


def test_half_precision_is_half_precision(small: Path, tmp_path: Path) -> None:
    """A float16 store holds float16 shards whose vectors are those of float32, rounded."""
    extract(small, tmp_path / "wide", CONFIG)
    extract(small, tmp_path / "narrow", config(store_dtype="float16"))
    assert np.load(tmp_path / "narrow" / shard_name(0)).dtype == np.float16
    wide, narrow = vectors(tmp_path / "wide"), vectors(tmp_path / "narrow")
    assert [clip for clip, _ in wide] == [clip for clip, _ in narrow]
    for (_, x), (_, rounded) in zip(wide, narrow, strict=True):
        assert rounded.dtype == np.float32
        np.testing.assert_array_equal(rounded, x.astype(np.float16).astype(np.float32))


def test_progress_rises_to_the_end(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress never falls, never passes the total, and ends at all clips."""
    monkeypatch.setattr(extract_module, "SHARD_CLIPS", 5)
    calls: list[tuple[int, int]] = []
    summary = extract(small, tmp_path / "s", CONFIG, progress=lambda *call: calls.append(call))
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert all(done <= total for done, total in calls)
    assert calls[-1] == (summary.counts.total(), summary.counts.total())


def test_parts_that_lack_a_label_are_noted(
    tmp_path: Path, make_corpus: Callable[..., Path]
) -> None:
    """A label without testing clips, and a part without any, are told."""
    folder = make_corpus(tmp_path / "c", words=("rise", "fall"), speakers=12, takes=1)
    summary = extract(folder, tmp_path / "s", config(testing_percent=0))
    assert "there are no clips for the testing part" in summary.notes
    testing = {clip.speaker for clip in _clips_of(folder, tmp_path / "t") if clip.part == "testing"}
    for speaker in testing:
        (folder / "rise" / f"{speaker}_nohash_0.wav").unlink()
    notes = extract(folder, tmp_path / "t", CONFIG).notes
    assert any(note.startswith("the testing part has no clips of rise") for note in notes)


def _clips_of(source: Path, store: Path) -> list[StoredClip]:
    extract(source, store, CONFIG)
    return list(stored_clips(store))


@pytest.mark.skipif(os.name != "posix", reason="names of any bytes")
def test_names_in_any_script_are_kept(small: Path, tmp_path: Path) -> None:
    """A name in UTF-8 round-trips; one in another encoding is skipped with a name to print."""
    (small / "rise" / "s01_nohash_grün語.wav").write_bytes(GOOD)
    latin = os.fsencode(small / "rise") + b"/s01_nohash_gr\xfcn.wav"
    Path(os.fsdecode(latin)).write_bytes(encoded(-NOISE))
    extract(small, tmp_path / "store", CONFIG)
    assert any(clip.path.endswith("grün語.wav") for clip in stored_clips(tmp_path / "store"))
    (row,) = rows(tmp_path / "store" / "skipped.jsonl")
    assert (row["kind"], row["path"].endswith(r"gr\xfcn.wav")) == ("unreadable", True)


def test_recordings_of_any_length_and_rate_become_one_second(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """The length is the recording's own; the vector is that of the second around the word."""
    for word in ("a", "b"):
        (tmp_path / "c" / word).mkdir(parents=True)
        for number, (rate, seconds) in enumerate([(8000, 0.4), (16_000, 1.0), (44_100, 2.5)] * 4):
            path = tmp_path / "c" / word / f"s{number}_nohash_0.wav"
            soundfile.write(path, 0.1 * rng.standard_normal(round(rate * seconds)), rate)
    extract(tmp_path / "c", tmp_path / "store", config(silence_percent=0))
    pairs = vectors(tmp_path / "store")
    assert len(pairs) == 24
    for clip, x in pairs:
        info = soundfile.info(clip.path)
        assert clip.duration_s == pytest.approx(info.duration, abs=1e-3)
        wave = fit_clip(read_audio(clip.path, sample_rate_hz=RATE), FEATURES)
        np.testing.assert_allclose(x, clip_features(wave[np.newaxis], FEATURES)[0], atol=1e-4)


def test_made_noise_is_read_like_a_clip() -> None:
    """A clip without a path is noise made from its seed: the same every time, at its level."""

    def noise(seed: float) -> Clip:
        return Clip("", SILENCE, "pink", "", "testing", seed, 1.0, -20.0)

    wave, sha256 = read_clip(noise(10_000_003.0), FEATURES)
    again, _ = read_clip(noise(10_000_003.0), FEATURES)
    other, _ = read_clip(noise(10_000_004.0), FEATURES)
    np.testing.assert_array_equal(wave, again)
    assert np.abs(wave).max() == pytest.approx(0.1, rel=1e-5)
    assert abs(np.corrcoef(wave, other)[0, 1]) < 0.5
    assert (wave.shape, sha256) == ((RATE,), "")


def test_silence_without_a_sample_is_too_short(tmp_path: Path) -> None:
    """One sample at a higher rate is none here, and no vector of numbers."""
    soundfile.write(tmp_path / "x.wav", np.full(1, 0.1), 48_000)
    with pytest.raises(AudioError, match="expected sound") as caught:
        read_clip(Clip(str(tmp_path / "x.wav"), SILENCE, "hum", "", "training"), FEATURES)
    assert caught.value.kind == "too_short"


@pytest.mark.parametrize("kind", ["silent", "clipped"])
def test_only_silence_may_be_silent(kind: str, tmp_path: Path) -> None:
    """What would teach a word nothing is allowed as background noise."""
    path = tmp_path / "x.wav"
    path.write_bytes(BAD[kind])
    with pytest.raises(AudioError) as caught:
        read_clip(Clip(str(path), "rise", "rise", "s", "training"), FEATURES)
    assert caught.value.kind == kind
    wave, _ = read_clip(Clip(str(path), SILENCE, "hum", "", "training"), FEATURES)
    assert wave.shape == (RATE,)


def test_a_further_folder_of_unknown_words(
    small: Path, tmp_path: Path, make_corpus: Callable[..., Path]
) -> None:
    """Its recordings are in the store as unknown words, with vectors of their own sound."""
    mined = make_corpus(tmp_path / "mined", words=("low",), speakers=12, takes=1)
    extract(small, tmp_path / "plain", config(silence_percent=0))
    extract(small, tmp_path / "more", config(silence_percent=0), unknown=mined)
    added = [(clip, x) for clip, x in vectors(tmp_path / "more") if clip.label == UNKNOWN]
    assert {clip.path for clip, _ in added} == {str(path) for path in mined.rglob("*.wav")}
    for clip, x in added[:3]:
        wave = read_audio(Path(clip.path), sample_rate_hz=RATE)
        expected = clip_features(fit_clip(wave, FEATURES)[np.newaxis], FEATURES)[0]
        np.testing.assert_allclose(x, expected, atol=1e-3)
    kept = {clip.path: clip.part for clip, _ in vectors(tmp_path / "more")}
    assert {clip.path: clip.part for clip, _ in vectors(tmp_path / "plain")}.items() <= kept.items()


def test_further_voices_change_the_training_part_alone(
    small: Path, tmp_path: Path, make_corpus: Callable[..., Path]
) -> None:
    """Whoever is tested on stays the same, however many voices are learnt from besides."""
    # Not the first sounds of the generator, which are those of the other folder.
    voices = make_corpus(tmp_path / "voices", words=("fall", "rise"), speakers=9, takes=5)
    shutil.rmtree(voices / "fall")
    for path in list(voices.rglob("*.wav")):
        path.rename(path.with_name(f"voice-{path.name}"))
    extract(small, tmp_path / "plain", config(silence_percent=0))
    extract(small, tmp_path / "more", config(silence_percent=0), also=voices)
    plain = {clip.path: (clip.part, clip.label) for clip, _ in vectors(tmp_path / "plain")}
    more = {clip.path: (clip.part, clip.label) for clip, _ in vectors(tmp_path / "more")}
    assert plain.items() <= more.items()
    added = {path: more[path] for path in more.keys() - plain.keys()}
    assert added == dict.fromkeys(map(str, voices.rglob("*.wav")), ("training", "rise"))


def test_a_second_extraction_to_the_same_place_is_refused(small: Path, tmp_path: Path) -> None:
    """Two at once would mix their shards: the second is told, the first goes on."""
    pytest.importorskip("fcntl")
    refused = list[str]()

    def again(done: int, total: int) -> None:
        with pytest.raises(DatasetError, match=r"store\.partial: another process is writing there"):
            extract(small, tmp_path / "store", config(silence_percent=0))
        refused.append("refused")

    extract(small, tmp_path / "store", CONFIG, progress=again)
    assert refused
    extract(small, tmp_path / "other", CONFIG)
    assert vectors(tmp_path / "store")[0][1].tolist() == vectors(tmp_path / "other")[0][1].tolist()


@pytest.mark.parametrize("name", ["shard-mine.npy", "notes.txt"])
def test_a_folder_of_the_partial_name_is_not_taken_over(
    small: Path, tmp_path: Path, name: str
) -> None:
    """What no extraction has left stays, and does not end up in a store."""
    (tmp_path / "store.partial").mkdir()
    (tmp_path / "store.partial" / name).write_text("mine")
    with pytest.raises(DatasetError, match="expected what a stopped extraction left"):
        extract(small, tmp_path / "store", CONFIG)
    assert (tmp_path / "store.partial" / name).read_text() == "mine"


def test_a_link_to_a_store_stays_one(small: Path, tmp_path: Path) -> None:
    """Features go where the link points, on a larger disk perhaps."""
    (tmp_path / "large").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "large")
    for _ in range(2):
        extract(small, tmp_path / "link", CONFIG)
        assert (tmp_path / "link").is_symlink()
        assert load_info(tmp_path / "large").labels
    assert sorted(path.name for path in tmp_path.iterdir()) == ["large", "link", "small"]
