"""Altered copies are a function of clips and settings, made once and never silently wrong."""

import dataclasses
import json
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from speechrec import copies as copies_module
from speechrec.config import SILENCE, UNKNOWN, DataConfig
from speechrec.copies import training_copies
from speechrec.errors import DatasetError
from speechrec.extract import extract
from speechrec.store import FeatureSet, load_features, load_info
from speechrec.train_config import AugmentConfig, Config

RATE = 16_000
CONFIG = Config(data=DataConfig(words=("rise", "fall"), validation_percent=25, testing_percent=25))
SETTINGS = AugmentConfig(views=3)
# Copies that differ from their clips in nothing but a microphone's hiss.
STILL = AugmentConfig(
    views=2, stretch_percent=0, shift_ms=0, noise_share=0, echo_share=0,
    least_gain_db=0, most_gain_db=0,
)  # fmt: skip


class StopError(Exception):
    """Stands for whatever ends a run half-way."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, make_corpus: Callable[..., Path]) -> Path:
    """A corpus of two words and noise, and its store beside it. Do not change."""
    folder = tmp_path_factory.mktemp("small")
    make_corpus(folder / "corpus", words=("rise", "fall"), speakers=12, takes=2)
    (folder / "corpus" / "_background_noise_").mkdir()
    hum = 0.1 * np.random.default_rng(2).standard_normal(20 * RATE)
    soundfile.write(folder / "corpus" / "_background_noise_" / "hum.wav", hum, RATE)
    extract(folder / "corpus", folder / "store", CONFIG)
    return folder


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several shards even of a few clips."""
    monkeypatch.setattr(copies_module, "_SHARD_CLIPS", 6)


@pytest.fixture
def store(small: Path, tmp_path: Path) -> Path:
    """A store of its own, whose recordings are shared."""
    return Path(shutil.copytree(small / "store", tmp_path / "store"))


@pytest.fixture
def movable(small: Path, tmp_path: Path) -> Path:
    """A corpus of its own with its store, which a test may change."""
    shutil.copytree(small / "corpus", tmp_path / "elsewhere" / "corpus")
    extract(tmp_path / "elsewhere" / "corpus", tmp_path / "elsewhere" / "store", CONFIG)
    return tmp_path / "elsewhere"


def made(
    store: Path, settings: AugmentConfig = SETTINGS, **options: Any
) -> npt.NDArray[np.float16]:
    return training_copies(store, load_features(store, "training"), settings, **options)


@pytest.fixture(scope="module")
def expected(small: Path, tmp_path_factory: pytest.TempPathFactory) -> npt.NDArray[np.float16]:
    """The copies that one process made without a stop."""
    folder = shutil.copytree(small / "store", tmp_path_factory.mktemp("expected") / "store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copies_module, "_SHARD_CLIPS", 6)
        return made(Path(folder))


def files(store: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (store / "copies").iterdir()}


def shard_files(clips: int) -> set[str]:
    return {
        f"shard-{n:05d}.{tail}" for n in range(-(-clips // 6)) for tail in ("npy", "key")
    } | {"copies.json"}  # fmt: skip


def test_there_are_so_many_different_copies_of_each_clip(
    store: Path, expected: npt.NDArray[np.float16]
) -> None:
    """Every clip has views - 1 finite vectors, no two alike and none that of the clip."""
    training = load_features(store, "training")
    assert expected.shape == (len(training), 2, 1024)
    assert expected.dtype == np.float16
    assert np.isfinite(expected).all()
    rows = [row.tobytes() for row in expected.reshape(-1, 1024)]
    rows += [row.astype(np.float16).tobytes() for row in training.x]
    assert len(set(rows)) == len(rows) == 3 * len(training)
    assert SILENCE in {clip.label for clip in training.clips}


@pytest.mark.parametrize("moved", ["[rf]*", "_background*"])
def test_a_constant_offset_is_no_sound(
    movable: Path, expected: npt.NDArray[np.float16], moved: str
) -> None:
    """Recordings, or noise, with an offset have the copies that they have without one."""
    for path in (movable / "corpus").glob(f"{moved}/*.wav"):
        soundfile.write(path, soundfile.read(path)[0] + 0.3, RATE, subtype="FLOAT")
    shutil.rmtree(movable / "store")
    extract(movable / "corpus", movable / "store", CONFIG)
    np.testing.assert_allclose(made(movable / "store"), expected, atol=0.05)


@pytest.mark.parametrize("kind", ["folder", "segments", "long"])
def test_a_copy_is_of_its_own_clip(
    kind: str, small: Path, tmp_path: Path, make_corpus: Callable[..., Path]
) -> None:
    """With nothing altered, copies are the vectors of their clips, whatever these are cut from."""
    source, config = small / "corpus", CONFIG
    if kind == "segments":
        spoken = sorted(source.glob("[rf]*/*.wav"))
        sound = np.concatenate([soundfile.read(path)[0] for path in spoken])
        soundfile.write(tmp_path / "all.wav", sound, RATE)
        rows = [
            {"path": "all.wav", "label": path.parent.name, "speaker": path.name.split("_")[0],
             "offset": number, "duration": 1}
            for number, path in enumerate(spoken)
        ]  # fmt: skip
        source = tmp_path / "manifest.jsonl"
        source.write_text("\n".join(map(json.dumps, rows)))
    if kind == "long":
        source = make_corpus(tmp_path / "corpus", words=("rise", "fall"), takes=1)
        for path in source.rglob("*.wav"):
            wave = soundfile.read(path)[0]
            soundfile.write(path, np.pad(wave, (5000, 9000), mode="reflect"), RATE)
    extract(source, tmp_path / "store", config)
    training = load_features(tmp_path / "store", "training")
    (copies,) = np.moveaxis(made(tmp_path / "store", STILL), 1, 0)
    words = [number for number, clip in enumerate(training.clips) if clip.label != SILENCE]
    assert len(words) > 10
    distances = np.abs(copies[words][:, np.newaxis] - training.x[words][np.newaxis]).mean(axis=2)
    np.testing.assert_array_equal(distances.argmin(axis=1), range(len(words)))
    assert distances.diagonal().max() < 0.35


def test_workers_do_not_show(store: Path, expected: npt.NDArray[np.float16]) -> None:
    """Two processes make bit for bit what one makes, and write the same bytes."""
    np.testing.assert_array_equal(made(store, workers=2), expected)
    two = {path.name: path.read_bytes() for path in (store / "copies").iterdir()}
    shutil.rmtree(store / "copies")
    made(store)
    assert {path.name: path.read_bytes() for path in (store / "copies").iterdir()} == two


def test_copies_outlive_an_extraction_of_the_same(
    movable: Path, expected: npt.NDArray[np.float16]
) -> None:
    """Extracting again loses none; after one of other clips they are made anew."""
    made(movable / "store")
    before = files(movable / "store")
    extract(movable / "corpus", movable / "store", CONFIG)
    np.testing.assert_array_equal(made(movable / "store"), expected)
    assert files(movable / "store") == before
    Path(load_features(movable / "store", "training").clips[0].path).unlink()
    extract(movable / "corpus", movable / "store", CONFIG)
    assert len(made(movable / "store")) < len(expected)


def test_where_the_folder_lies_does_not_show(
    movable: Path, expected: npt.NDArray[np.float16]
) -> None:
    """The same corpus somewhere else has the same copies."""
    np.testing.assert_array_equal(made(movable / "store"), expected)


def test_other_clips_do_not_show(small: Path, tmp_path: Path) -> None:
    """A clip's copies are the same whatever else is in the corpus."""
    shutil.copytree(small / "corpus", tmp_path / "corpus")
    # Of all speakers: who is in which part must not change.
    for path in sorted((tmp_path / "corpus" / "rise").glob("*_1.wav")):
        path.unlink()
    extract(tmp_path / "corpus", tmp_path / "store", CONFIG)

    def by_name(store: Path) -> dict[str, bytes]:
        training = load_features(store, "training")
        pairs = zip(training.clips, made(store), strict=True)
        return {
            "/".join(Path(clip.path).parts[-2:]): copies.tobytes()
            for clip, copies in pairs
            if clip.label != SILENCE
        }

    whole = Path(shutil.copytree(small / "store", tmp_path / "whole"))
    fewer, more = by_name(tmp_path / "store"), by_name(whole)
    assert 10 < len(fewer) < len(more)
    assert fewer.items() <= more.items()


def test_copies_are_made_once(movable: Path) -> None:
    """A second training with the same settings reads no recording and calls nothing work."""
    calls: list[tuple[int, int]] = []
    first = made(movable / "store", progress=lambda *call: calls.append(call))
    clips = len(first)
    assert calls == [(min(done, clips), clips) for done in range(6, clips + 6, 6)]
    before = files(movable / "store")
    shutil.rmtree(movable / "corpus")
    again = made(movable / "store", progress=lambda *call: calls.clear())
    np.testing.assert_array_equal(again, first)
    assert calls
    assert files(movable / "store") == before


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stopped_run_goes_on(
    store: Path, expected: npt.NDArray[np.float16], workers: int
) -> None:
    """What was finished before a stop is kept, what was not is made, and all is as without it."""

    def stop(done: int, total: int) -> None:
        if done >= 18:
            raise StopError

    with pytest.raises(StopError):
        made(store, progress=stop, workers=workers)
    before = files(store)
    assert len(before) >= 6
    assert "copies.json" not in before
    np.testing.assert_array_equal(made(store), expected)
    after = files(store)
    assert set(after) == shard_files(len(expected))
    assert before.items() <= after.items()


def test_a_shard_without_its_key_is_made_again(
    store: Path, expected: npt.NDArray[np.float16]
) -> None:
    """A shard that may be of something else is never taken for one that is finished."""
    made(store)
    (store / "copies" / "copies.json").unlink()
    (store / "copies" / "shard-00001.key").unlink()
    np.save(store / "copies" / "shard-00001.npy", np.zeros((6, 2, 1024), np.float16))
    (store / "copies" / "shard-00002.key").write_text("other")
    np.save(store / "copies" / "shard-00002.npy", np.zeros((6, 2, 1024), np.float16))
    np.testing.assert_array_equal(made(store), expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"views": 2}, {"views": 4}, {"stretch_percent": 14.0}, {"shift_ms": 90.0},
        {"noise_share": 0.1}, {"least_snr_db": 20.0}, {"echo_share": 1.0}, {"most_gain_db": -10.0},
    ],
    ids=str,
)  # fmt: skip
def test_other_settings_make_other_copies(
    store: Path, expected: npt.NDArray[np.float16], changes: dict[str, Any]
) -> None:
    """Copies of other settings are never used again, and the former ones come back the same."""
    made(store)
    settings = dataclasses.replace(SETTINGS, **changes)
    other = made(store, settings)
    assert other.shape == (len(expected), settings.views - 1, 1024)
    assert other.shape != expected.shape or not np.array_equal(other, expected)
    stated = json.loads((store / "copies" / "copies.json").read_text())
    assert {name: stated[name] for name in changes} == changes
    np.testing.assert_array_equal(made(store), expected)


@pytest.mark.parametrize(
    "change", [{"label": UNKNOWN}, {"duration_s": 0.4, "whole": False}], ids=str
)
def test_copies_are_made_anew_where_a_clip_is_another(
    store: Path, expected: npt.NDArray[np.float16], change: dict[str, Any]
) -> None:
    """By its label or where it ends, in the same recording."""
    made(store)
    training = load_features(store, "training")
    clips = [
        clip if clip.label == SILENCE else dataclasses.replace(clip, **change)
        for clip in training.clips
    ]
    changed = dataclasses.replace(training, clips=clips)
    settings = dataclasses.replace(SETTINGS, neighbour_share=1.0)
    again = training_copies(store, changed, settings)
    # What the first ones leave behind is not taken for these.
    training_copies(store, training, settings)
    np.testing.assert_array_equal(training_copies(store, changed, settings), again)
    assert not np.array_equal(training_copies(store, training, settings), again)
    np.testing.assert_array_equal(made(store), expected)


def test_more_views_keep_the_copies_there_were(
    store: Path, expected: npt.NDArray[np.float16]
) -> None:
    """A copy depends on its number, not on how many there are."""
    np.testing.assert_array_equal(
        made(store, dataclasses.replace(SETTINGS, views=4))[:, :2], expected
    )


def test_leftovers_of_a_larger_run_are_removed(store: Path) -> None:
    """The folder holds the copies of this training part and no others."""
    training = load_features(store, "training")
    training_copies(store, training, SETTINGS)
    fewer = FeatureSet(
        training.x[:8], training.y[:8], training.labels, training.clips[:8], training.config
    )
    copies = training_copies(store, fewer, SETTINGS)
    assert copies.shape == (8, 2, 1024)
    assert set(files(store)) == shard_files(8) < shard_files(len(training))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_vanished_recording_is_named(movable: Path, workers: int) -> None:
    """Where a recording is gone, the error names it and says how to train all the same."""
    store = movable / "store"
    training = load_features(store, "training")
    path = next(Path(clip.path) for clip in training.clips[10:] if clip.label != SILENCE)
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(DatasetError, match=r"--set augment\.views=1") as caught:
        made(store, workers=workers)
    assert str(caught.value).count(str(path)) == 1
    assert "\n" not in str(caught.value)
    path.write_bytes(content)
    assert len(made(store)) == len(training)


def test_vanished_noise_is_named(movable: Path) -> None:
    """Background noise that is gone is an error too, which names it."""
    shutil.rmtree(movable / "corpus" / "_background_noise_")
    with pytest.raises(DatasetError, match=r"hum\.wav"):
        made(movable / "store")


def test_without_recorded_noise(tmp_path: Path, make_corpus: Callable[..., Path]) -> None:
    """A corpus without noise has copies with made noise."""
    make_corpus(tmp_path / "corpus", words=("rise", "fall"), takes=1)
    extract(tmp_path / "corpus", tmp_path / "store", CONFIG)
    assert load_info(tmp_path / "store").summary["noise"] == []
    settings = AugmentConfig(views=2, noise_share=1.0)
    copies = made(tmp_path / "store", settings)
    assert np.isfinite(copies).all()


def test_only_the_noise_of_training_is_heard(small: Path) -> None:
    """What copies may draw from is the stretch that neither validation nor testing hears."""
    (stretch,) = load_info(small / "store").summary["noise"]
    assert Path(stretch[0]).name == "hum.wav"
    assert stretch[1:] == [10.0, 20.0]


@pytest.mark.parametrize("damage", ["empty", "cut", "missing", "text", "other shape"])
def test_a_damaged_shard(
    store: Path, expected: npt.NDArray[np.float16], damage: str
) -> None:  # fmt: skip
    """A shard that cannot be read is named once, and training again makes it anew."""
    made(store)
    path = store / "copies" / "shard-00001.npy"
    content = path.read_bytes()
    path.unlink()
    if damage == "other shape":
        np.save(path, np.zeros((5, 2, 1024), np.float16))
    elif damage != "missing":
        path.write_bytes({"empty": b"", "cut": content[:-100], "text": b"no array" * 9}[damage])
    with pytest.raises(DatasetError, match=r"shard-00001\.npy: damaged .*; train again"):
        made(store)
    np.testing.assert_array_equal(made(store), expected)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"views": 3}', "\x00"])
def test_a_damaged_statement(store: Path, expected: npt.NDArray[np.float16], text: str) -> None:
    """copies.json that says nothing usable is like none: what is finished is used."""
    made(store)
    before = {name: time for name, time in files(store).items() if name.startswith("shard")}
    (store / "copies" / "copies.json").write_text(text)
    np.testing.assert_array_equal(made(store), expected)
    assert before.items() <= files(store).items()


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory, make_corpus: Callable[..., Path]) -> Path:
    """The store of a corpus with many unknown words: rise is the keyword. Do not change."""
    folder = tmp_path_factory.mktemp("speaking")
    make_corpus(folder / "corpus", words=("rise", "high"), speakers=12, takes=2)
    data = dataclasses.replace(CONFIG.data, words=("rise",), unknown_ratio=0)
    extract(folder / "corpus", folder / "store", dataclasses.replace(CONFIG, data=data))
    return folder / "store"


# Each is for clips of one label. In a sequence others may stand on one side only, and farther away.
OTHER_WORDS = [("neighbour_share", UNKNOWN), ("sequence_share", "rise")]
HEARD = [(*OTHER_WORDS[0], 0.5), (*OTHER_WORDS[1], 0.9)]


def altered_copies(
    store: Path, tmp_path: Path, share: float, setting: str = "neighbour_share"
) -> npt.NDArray[np.float16]:
    """Copies of a store of its own, which differ from clips only by their neighbours."""
    own = shutil.copytree(store, tmp_path / f"store-{share}")
    return made(Path(own), dataclasses.replace(STILL, views=5, **{setting: share}))


@pytest.mark.parametrize(("setting", "label", "quantile"), HEARD)
def test_other_words_stand_around_clips_of_one_label_alone(
    speaking: Path, tmp_path: Path, setting: str, label: str, quantile: float
) -> None:
    """With a share of one all copies of unknown words, or of keywords, change, and no others."""
    training = load_features(speaking, "training")
    alone, among = (altered_copies(speaking, tmp_path, share, setting) for share in (0.0, 1.0))
    labels = np.array([clip.label for clip in training.clips])
    assert set(labels) == {"rise", UNKNOWN, SILENCE}
    np.testing.assert_array_equal(alone[labels != label], among[labels != label])
    changed = (alone != among).any(axis=2)
    assert changed[labels == label].all()
    # Where a clip has a background at its edges, copies have a voice.
    edges = (slice(0, 5), slice(27, 32))
    for edge in edges:
        quiet, loud = (
            np.sort(copies[labels == label].reshape(-1, 32, 32)[:, :, edge].max(axis=(1, 2)))
            for copies in (alone, among)
        )
        assert np.quantile(loud, quantile) > np.quantile(quiet, quantile) + 3


@pytest.mark.parametrize(("setting", "label"), OTHER_WORDS)
def test_so_many_copies_have_neighbours(
    speaking: Path, tmp_path: Path, setting: str, label: str
) -> None:
    """The share is that of copies of unknown words, or of keywords."""
    training = load_features(speaking, "training")
    labels = np.array([clip.label for clip in training.clips])
    none, some, all_of_them = (
        altered_copies(speaking, tmp_path, share, setting)[labels == label]
        for share in (0.0, 0.4, 1.0)
    )
    assert none.shape[0] * none.shape[1] >= 40
    among = (some == all_of_them).all(axis=2)
    assert among.mean() == pytest.approx(0.4, abs=0.2)
    assert not (some[~among] == all_of_them[~among]).all(axis=1).any()


def test_copies_of_a_long_unknown_recording_take_its_seconds_in_turn(
    tmp_path: Path, make_corpus: Callable[..., Path]
) -> None:
    """Every second in which something is said has its copies, one after the other, silence none."""
    corpus = make_corpus(tmp_path / "corpus", words=("rise", "high"), speakers=12, takes=2)
    low, high = (np.sin(np.arange(RATE) * 2 * np.pi * hz / RATE) for hz in (300, 3000))
    for label, level in (("high", 0.5), ("rise", 0.4)):
        parts = (level * low, 0.002 * high, 0.1 * high, level * low[: RATE // 2])
        soundfile.write(corpus / label / "talker_nohash_0.wav", np.concatenate(parts), RATE)
    words = DataConfig(words=("rise",), unknown_ratio=0)
    extract(corpus, tmp_path / "store", dataclasses.replace(CONFIG, data=words))
    training = load_features(tmp_path / "store", "training")
    copies = made(tmp_path / "store", dataclasses.replace(STILL, views=6))
    heard = {
        clip.label: copies[number].reshape(5, 32, 32).mean(axis=2).argmax(axis=1)
        for number, clip in enumerate(training.clips)
        if Path(clip.path).name.startswith("talker")
    }
    assert [bool(band > 16) for band in heard[UNKNOWN]] == [False, True, False, True, False]
    # Of a keyword nobody knows where else in a recording it is said.
    assert len(set(heard["rise"])) == 1


@pytest.mark.parametrize("setting", ["neighbour_share", "sequence_share"])
def test_without_unknown_words_nobody_has_neighbours(
    store: Path, tmp_path: Path, setting: str
) -> None:
    """A training part without unknown words has the copies it has without the setting."""
    assert UNKNOWN not in load_features(store, "training").labels
    alone, among = (altered_copies(store, tmp_path, share, setting) for share in (0.0, 1.0))
    np.testing.assert_array_equal(alone, among)


def test_workers_do_not_show_among_neighbours(speaking: Path, tmp_path: Path) -> None:
    """Which words stand around a word does not depend on the process that joins them."""
    settings = dataclasses.replace(SETTINGS, neighbour_share=0.5, sequence_share=0.5)
    one, two = (
        made(Path(shutil.copytree(speaking, tmp_path / f"{workers}")), settings, workers=workers)
        for workers in (1, 2)
    )
    np.testing.assert_array_equal(one, two)


def test_trainings_at_the_same_time_wait_for_each_other(
    store: Path, expected: npt.NDArray[np.float16]
) -> None:
    """Each gets its own copies, though both are made in the same folder."""
    pytest.importorskip("fcntl")
    other = dataclasses.replace(SETTINGS, least_gain_db=-3.0)
    alone = made(Path(shutil.copytree(store, store.with_name("alone"))), other)
    begun = threading.Event()
    with ThreadPoolExecutor() as pool:

        def second(done: int, total: int) -> None:
            if not begun.is_set():
                begun.set()
                results.append(pool.submit(made, store, other))

        results = list[Future[npt.NDArray[np.float16]]]()
        np.testing.assert_array_equal(made(store, progress=second), expected)
        np.testing.assert_array_equal(results[0].result(), alone)
