"""A store gives back what was put in, and says so when it is damaged."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speechrec.config import PARTS, FeatureConfig
from speechrec.errors import DatasetError
from speechrec.store import load_features, load_info, shard_name, stored_clips
from speechrec.train_config import Config


@pytest.fixture
def store(feature_store: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(feature_store, tmp_path / "store"))


def edit_info(store: Path, **changes: Any) -> None:
    path = store / "features.json"
    tree = json.loads(path.read_text()) | changes
    # An ellipsis leaves it out.
    path.write_text(json.dumps({name: tree[name] for name in tree if tree[name] is not ...}))


def edit_first_row(store: Path, **changes: Any) -> None:
    path = store / "clips.jsonl"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(first) | changes), *rest]) + "\n")


def test_the_parts_together_are_the_whole(feature_store: Path) -> None:
    """Every stored clip is in one part's set, in the order of clips.jsonl, with its own answer."""
    clips = list(stored_clips(feature_store))
    sets = {part: load_features(feature_store, part) for part in PARTS}
    assert sum(len(features) for features in sets.values()) == len(clips)
    for part, features in sets.items():
        assert list(features.clips) == [clip for clip in clips if clip.part == part]
        assert features.x.shape == (len(features), 1024)
        assert (features.x.dtype, features.y.dtype) == (np.float32, np.int64)
        assert [features.labels[answer] for answer in features.y] == [
            c.label for c in features.clips
        ]


def test_vectors_are_those_of_the_rows(feature_store: Path) -> None:
    """Row by row, the vector is the one that the clip's shard and row point at."""
    features = load_features(feature_store, "testing")
    for clip, vector in zip(features.clips, features.x, strict=True):
        shard = np.load(feature_store / shard_name(clip.shard))
        np.testing.assert_array_equal(vector, shard[clip.row])


def test_info_states_labels_settings_and_counts(feature_store: Path, tiny_config: Config) -> None:
    """features.json says what is in the store and what made it."""
    info = load_info(feature_store)
    assert info.labels == ("rise", "fall", "high", "_unknown_", "_silence_")
    assert info.config == tiny_config.features
    clips = list(stored_clips(feature_store))
    for part, labels in info.summary["parts"].items():
        for label, entry in labels.items():
            assert entry["clips"] == sum((c.part, c.label) == (part, label) for c in clips)
    assert sum(
        entry["clips"] for p in info.summary["parts"].values() for entry in p.values()
    ) == len(clips)
    assert info.summary["features_hash"] == FeatureConfig().hash
    assert set(info.summary["versions"]) >= {"speechrec", "numpy"}


def test_an_unfinished_store_says_how_to_make_one(store: Path) -> None:
    """Without features.json, which is written last, there is no store."""
    (store / "features.json").unlink()
    for use in (load_info, lambda folder: load_features(folder, "training")):
        with pytest.raises(DatasetError, match=r"finished feature store.*speechrec extract"):
            use(store)


def test_nothing_is_no_store(tmp_path: Path) -> None:
    """A folder that is not there and a file in its place are errors with the path."""
    (tmp_path / "file").write_text("x")
    for name in ("nothing", "file"):
        with pytest.raises(DatasetError, match=name):
            load_info(tmp_path / name)


@pytest.mark.parametrize(
    "changes",
    [
        {"features": {"low_hz": 61.0}},
        {"features_hash": "0" * 64},
    ],
)
def test_altered_settings_are_noticed(changes: dict[str, Any], store: Path) -> None:
    """Settings edited by hand no longer have their hash."""
    edit_info(store, **changes)
    with pytest.raises(DatasetError, match="settings and their hash differ"):
        load_features(store, "training")


@pytest.mark.parametrize(
    "changes",
    [
        {"features": {"unheard_of": 1}}, {"features": {"low_hz": "x"}}, {"features": 3},
        {"labels": None}, {"labels": 5}, {"noise": ...}, {"speakers": ...}, {"parts": ...},
    ],
)  # fmt: skip
def test_damaged_info_is_an_error(changes: dict[str, Any], store: Path) -> None:
    """Settings that cannot be used are told as damage, not as a traceback."""
    edit_info(store, **changes)
    with pytest.raises(DatasetError, match=r"features\.json: damaged .*extract again"):
        load_info(store)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"5", b"{}", b"\xff\xfe", b'{"format": 1}', b"[" * 100_000]
)
def test_info_that_is_no_json_object_is_an_error(content: bytes, store: Path) -> None:
    """Whatever stands in features.json, the error is a `DatasetError`."""
    (store / "features.json").write_bytes(content)
    with pytest.raises(DatasetError, match="damaged"):
        load_info(store)


def test_a_store_of_another_format_is_an_error(store: Path) -> None:
    """A format this version does not know is named with the one it expects."""
    edit_info(store, format=99)
    with pytest.raises(DatasetError, match="expected feature store format 1, got 99"):
        load_info(store)


def no_shard(store: Path) -> None:
    (store / shard_name(0)).unlink()


def empty_shard(store: Path) -> None:
    (store / shard_name(0)).write_bytes(b"")


def cut_shard(store: Path) -> None:
    data = (store / shard_name(0)).read_bytes()
    (store / shard_name(0)).write_bytes(data[: len(data) // 2])


def other_shard(store: Path) -> None:
    (store / shard_name(0)).write_bytes(b"no numpy array at all" * 100)


def pickled_shard(store: Path) -> None:
    np.save(store / shard_name(0), np.array([{}], dtype=object), allow_pickle=True)


def narrow_shard(store: Path) -> None:
    np.save(store / shard_name(0), np.zeros((500, 1), np.float32))


def short_shard(store: Path) -> None:
    np.save(store / shard_name(0), np.zeros((3, 1024), np.float32))


def nan_shard(store: Path) -> None:
    np.save(store / shard_name(0), np.full((500, 1024), np.nan, np.float32))


DAMAGE: list[Callable[[Path], None]] = [
    no_shard, empty_shard, cut_shard, other_shard, pickled_shard, narrow_shard, short_shard,
    nan_shard,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_shard_is_an_error(damage: Callable[[Path], None], store: Path) -> None:
    """A shard that is missing, cut, of another shape, pickled, or not finite is told as damage."""
    damage(store)
    with pytest.raises(DatasetError, match=r"store: damaged .*extract again"):
        load_features(store, "training")


@pytest.mark.parametrize(
    "changes",
    [
        {"label": "unheard"}, {"label": ["rise"]}, {"shard": 7}, {"shard": None}, {"row": 10_000},
        {"row": "x"}, {"row": 1.5}, {"row": -1},
    ],
)  # fmt: skip
def test_a_row_that_points_nowhere_is_an_error(changes: dict[str, Any], store: Path) -> None:
    """A row of clips.jsonl with a label or a place that the store does not have is damage."""
    edit_first_row(store, part="training", **changes)
    with pytest.raises(DatasetError, match="damaged"):
        load_features(store, "training")


@pytest.mark.parametrize("line", ["{", "[]", "5", '{"path": "a.wav"}', "null", ""])
def test_a_line_that_is_no_row_is_an_error(line: str, store: Path) -> None:
    """A broken line of clips.jsonl is damage."""
    path = store / "clips.jsonl"
    path.write_text(line + "\n" + path.read_text())
    with pytest.raises(DatasetError, match=r"clips\.jsonl: damaged"):
        list(stored_clips(store))


def test_a_list_of_clips_that_was_cut_is_damage(store: Path) -> None:
    """A store says how many clips it has; fewer are not taken for all of them."""
    path = store / "clips.jsonl"
    rows = path.read_text().splitlines(keepends=True)
    kept = [row for row in rows if '"part":"training"' not in row]
    path.write_text("".join(kept + rows[len(kept) + 1 :]))
    with pytest.raises(DatasetError, match=r"damaged \(expected \d+ training clips, found \d+\)"):
        load_features(store, "training")


def test_a_missing_list_of_clips_is_an_error(store: Path) -> None:
    """Without clips.jsonl the vectors have no answers."""
    (store / "clips.jsonl").unlink()
    with pytest.raises(DatasetError, match=r"clips\.jsonl: damaged"):
        load_features(store, "training")


def test_a_part_without_clips_is_an_error(store: Path) -> None:
    """Asking for a part the store does not have says what to do."""
    path = store / "clips.jsonl"
    rows = [line for line in path.read_text().splitlines() if '"part":"testing"' not in line]
    path.write_text("\n".join(rows) + "\n")
    with pytest.raises(DatasetError, match="has no testing clips; add recordings or change"):
        load_features(store, "testing")
    assert len(load_features(store, "training"))
