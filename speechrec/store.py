"""The feature store: shards of feature vectors, one JSON line a clip, and their settings.

features.json    settings and their hash, labels, counts, versions; written last
clips.jsonl      a row a clip: where its vector stands, path, label, word, speaker, part, sha256
skipped.jsonl    a row a file that was not used: path, kind, message
shard-00000.npy  (clips, 1024) float32 or float16
"""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from speechrec.config import FeatureConfig, Part
from speechrec.config_toml import features_from_dict
from speechrec.errors import ConfigError, DatasetError

FORMAT = 1
INFO_NAME, CLIPS_NAME, SKIPPED_NAME = "features.json", "clips.jsonl", "skipped.jsonl"
_NEEDED = ("mel_sha256", "noise", "parts", "speakers", "data")
# A folder of altered copies, which the first training makes.
COPIES_NAME = "copies"


def shard_name(index: int) -> str:
    """The file of the index-th shard."""
    return f"shard-{index:05d}.npy"


@dataclass(frozen=True, slots=True)
class StoredClip:
    """A clip of the store; ``shard`` and ``row`` say where its vector is."""

    shard: int
    row: int
    path: str
    label: str
    word: str
    speaker: str
    part: Part
    offset_s: float
    duration_s: float
    gain_db: float
    sha256: str
    # Whether the clip is all of its file, and not a segment.
    whole: bool


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Vectors with their answers.

    ``x`` is (clips, 1024) float32, ``y`` (clips,) int64 indices into ``labels``; ``clips``
    describes the rows; ``config`` made them. ``copies`` are vectors of altered copies of each clip,
    (clips, copies, 1024), for training only.
    """

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]
    labels: tuple[str, ...]
    clips: tuple[StoredClip, ...]
    config: FeatureConfig
    copies: npt.NDArray[np.float16] | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def views(self) -> int:
        """Vectors of each clip: its own and those of its copies."""
        return 1 if self.copies is None else 1 + self.copies.shape[1]

    def rows(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Vectors by number: number // views is the clip, number % views 0 its own vector."""
        clips, views = np.divmod(numbers, self.views)
        x = self.x[clips]
        if self.copies is not None:
            altered = views > 0
            x[altered] = self.copies[clips[altered], views[altered] - 1]
        return x


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What features.json says."""

    labels: tuple[str, ...]
    config: FeatureConfig
    summary: dict[str, Any]


def load_info(folder: Path) -> StoreInfo:
    """Read and check a store's settings.

    Raises:
        DatasetError: there is no finished feature store in ``folder``.
    """
    try:
        tree = json.loads((folder / INFO_NAME).read_text(encoding="utf-8"))
        if tree["format"] != FORMAT:
            raise DatasetError(
                f"{folder}: expected feature store format {FORMAT}, "
                f"got {tree['format']}; extract again"
            )
        config = features_from_dict(tree["features"])
        labels = tuple(map(str, tree["labels"]))
        stated = tree["features_hash"]
        for name in _NEEDED:
            tree[name]
    except FileNotFoundError as error:
        raise DatasetError(
            f"{folder}: expected a finished feature store, found no {INFO_NAME}; "
            "make one with: speechrec extract"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ConfigError) as error:
        raise DatasetError(f"{folder / INFO_NAME}: damaged ({error}); extract again") from error
    if stated != config.hash:
        raise DatasetError(
            f"{folder / INFO_NAME}: its settings and their hash differ; extract again"
        )
    return StoreInfo(labels, config, tree)


def load_features(folder: Path, part: Part) -> FeatureSet:
    """Read one part of a store into memory.

    Raises:
        DatasetError: the store is unfinished, damaged, or has no clips of this part.
    """
    info = load_info(folder)
    clips = tuple(clip for clip in stored_clips(folder) if clip.part == part)
    if not clips:
        raise DatasetError(
            f"{folder}: has no {part} clips; add recordings or change the percentages, "
            "then extract again"
        )
    index = {label: number for number, label in enumerate(info.labels)}
    try:
        stated = sum(counts["clips"] for counts in info.summary["parts"][part].values())
        if len(clips) != stated:
            raise ValueError(f"expected {stated} {part} clips, found {len(clips)}")
        y = np.array([index[clip.label] for clip in clips], dtype=np.int64)
        x = _gather(folder, clips, info.config.size)
    except (OSError, EOFError, ValueError, IndexError, KeyError, TypeError) as error:
        raise DatasetError(f"{folder}: damaged ({error}); extract again") from error
    return FeatureSet(x, y, info.labels, clips, info.config)


def _gather(folder: Path, clips: tuple[StoredClip, ...], size: int) -> npt.NDArray[np.float32]:
    x = np.empty((len(clips), size), dtype=np.float32)
    shards = np.array([clip.shard for clip in clips])
    rows = np.array([clip.row for clip in clips])
    if rows.min() < 0:
        raise ValueError(f"expected rows from 0, got {rows.min()}")
    for number in np.unique(shards):
        shard = np.load(folder / shard_name(int(number)), mmap_mode="r", allow_pickle=False)
        if shard.ndim != 2 or shard.shape[1] != size:
            raise ValueError(f"expected vectors of {size} numbers, got shape {shard.shape}")
        here = shards == number
        x[here] = shard[rows[here]]
    if not np.isfinite(x).all():
        raise ValueError("vectors with numbers that are not finite")
    return x


def stored_clips(folder: Path) -> Iterator[StoredClip]:
    """The rows of clips.jsonl, in order."""
    names = {field.name for field in dataclasses.fields(StoredClip)}
    path = folder / CLIPS_NAME
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                yield StoredClip(**{name: row[name] for name in names})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: damaged ({error}); extract again") from error
