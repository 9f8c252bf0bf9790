"""Altered copies of the training clips, made from their recordings when a training wants them.

FEATURES/copies/  copies.json      what they were made with; written last
                  shard-00000.npy  (clips, copies, 1024) float16, in the order of the training part
                  shard-00000.key  what the shard was made with; written after it

A stopped run goes on where it was, and copies made with the same settings are used again. float16
because there are many: it rounds a log energy by at most 0.004, far below what the copies differ.
"""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from speechrec import __version__, store
from speechrec.config import UNKNOWN, sha256_json
from speechrec.copy_shards import CopyJob, make_copies
from speechrec.errors import DatasetError
from speechrec.files import locked, write_json
from speechrec.noise_pool import OTHERS
from speechrec.parallel import in_order, processes
from speechrec.recording import Clip, Stretch
from speechrec.shards import front_end_of
from speechrec.store import FeatureSet, StoredClip
from speechrec.train_config import AugmentConfig

INFO_NAME = "copies.json"
_SHARD_CLIPS = 128

Progress = Callable[[int, int], None]


def training_copies(
    features: Path,
    training: FeatureSet,
    settings: AugmentConfig,
    *,
    workers: int = 1,
    progress: Progress = lambda done, total: None,
) -> npt.NDArray[np.float16]:
    """The altered copies of a store's training clips; made if they are not there.

    Returns:
        (clips, views - 1, 1024) float16, in the order of ``training``.

    Raises:
        DatasetError: a recording is no longer where it was, or a worker died.
    """
    folder = features / store.COPIES_NAME
    noise = tuple(Stretch(*stretch) for stretch in store.load_info(features).summary["noise"])
    key = _key(training, settings, noise)
    jobs = list(_jobs(folder, key, training, settings, noise))
    folder.mkdir(exist_ok=True)
    # Another training may want the same copies, or others in their place.
    with locked(folder, wait=True):
        if _stated_key(folder / INFO_NAME) != key:
            _make_all(folder, jobs, training, workers=workers, progress=progress)
            write_json(
                folder / INFO_NAME,
                {"key": key, "features_hash": training.config.hash, **dataclasses.asdict(settings)},
            )
        copies = np.empty(
            (len(training), settings.views - 1, training.config.size), dtype=np.float16
        )
        start = 0
        for job in jobs:
            stop = start + len(job.clips)
            try:
                copies[start:stop] = np.load(job.path, mmap_mode="r", allow_pickle=False)
            except (OSError, EOFError, ValueError) as error:
                shutil.rmtree(folder, ignore_errors=True)
                raise DatasetError(f"{job.path}: damaged ({error}); train again") from error
            start = stop
    return copies


def _make_all(
    folder: Path, jobs: list[CopyJob], training: FeatureSet, *, workers: int, progress: Progress
) -> None:
    """All shards, and nothing else in the folder."""
    (folder / INFO_NAME).unlink(missing_ok=True)
    done = 0
    with processes(workers, front_end_of, training.config) as pool:
        for count in in_order(make_copies, iter(jobs), pool):
            done += count
            progress(done, len(training))
    kept = {path for job in jobs for path in (job.path, job.path.with_suffix(".key"))}
    for path in set(folder.iterdir()) - kept:
        path.unlink()


def _key(training: FeatureSet, settings: AugmentConfig, noise: tuple[Stretch, ...]) -> str:
    """Changes whenever the copies could."""
    clips = hashlib.sha256()
    for clip in training.clips:
        clips.update(repr((recording(clip), clip.sha256)).encode())
    return sha256_json(
        {
            "features": training.config.hash,
            "augment": dataclasses.asdict(settings),
            "noise": noise,
            "clips": clips.hexdigest(),
            "version": __version__,
        }
    )


def _stated_key(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _jobs(
    folder: Path,
    key: str,
    training: FeatureSet,
    settings: AugmentConfig,
    noise: tuple[Stretch, ...],
) -> Iterator[CopyJob]:
    others = _spread([clip for clip in training.clips if clip.label == UNKNOWN])
    for start in range(0, len(training), _SHARD_CLIPS):
        stored = training.clips[start : start + _SHARD_CLIPS]
        yield CopyJob(
            path=folder / store.shard_name(start // _SHARD_CLIPS),
            key=key,
            clips=tuple(map(recording, stored)),
            sha256=tuple(clip.sha256 for clip in stored),
            config=training.config,
            augment=settings,
            noise=noise,
            others=others,
        )


def _spread(clips: list[StoredClip]) -> tuple[Clip, ...]:
    """Some of the clips, from all over the training part."""
    return tuple(map(recording, clips[:: max(1, len(clips) // OTHERS)]))


def recording(clip: StoredClip) -> Clip:
    """What to read again for a stored clip."""
    return Clip(
        clip.path, clip.label, clip.word, clip.speaker, clip.part, clip.offset_s,
        None if clip.whole else clip.duration_s, clip.gain_db,
    )  # fmt: skip
