"""Clips to a feature store: in parallel, shard by shard, resumable, every bad file reported.

Shards are written into ``FOLDER.partial``, which takes the place of ``FOLDER`` when all is done. A
stopped run finds its finished shards there; a shard is used again only if its clips, their files'
sizes and times, and the settings are the same.
"""

import dataclasses
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from speechrec import store
from speechrec.compiled import native
from speechrec.dataset import Plan, plan_dataset
from speechrec.errors import DatasetError
from speechrec.features import mel_filterbank
from speechrec.files import NOBODYS, Kind, locked, refuse_content, replace_folder, write_json
from speechrec.join import ExtractSummary, joined, missing_classes
from speechrec.parallel import in_order, processes
from speechrec.recording import Clip, Stretch
from speechrec.shards import Job, front_end_of, make_shard
from speechrec.train_config import Config

SHARD_CLIPS = 512

Progress = Callable[[int, int], None]


def extract(
    source: Path,
    folder: Path,
    config: Config,
    *,
    unknown: Path | None = None,
    also: Path | None = None,
    workers: int = 1,
    strict: bool = False,
    progress: Progress = lambda done, total: None,
) -> ExtractSummary:
    """Make a feature store from recordings.

    Args:
        source: a folder of recordings or a manifest.
        unknown: a further folder of recordings that are no keyword, such as mined ones.
        also: a further folder of word folders; all of it goes to the training part.
        folder: the store to write; a finished store there is replaced when the new one is done.
        workers: processes to share the work.
        strict: make the first bad file or repeated sound an error.
        progress: called with (clips done, clips in all).

    Raises:
        SpeechrecError: nothing usable, a speaker in two parts, or the first error if
            ``strict``.
    """
    read = filter(None, (source, unknown, also))
    refuse_content(folder, kind=_STORE, read=read)
    # A link stays one: what it points to is replaced.
    folder = folder.resolve() if folder.is_symlink() else folder
    mel_filterbank(config.features)
    partial = folder.with_name(folder.name + ".partial")
    _refuse_foreign(partial)
    with processes(workers, front_end_of, config.features) as pool:
        clip_s = config.features.clip_ms / 1000
        plan = plan_dataset(source, config.data, clip_s=clip_s, unknown=unknown, also=also)
        if strict and plan.faults:
            raise DatasetError(plan.faults[0].message)
        partial.mkdir(parents=True, exist_ok=True)
        with locked(partial):
            made = in_order(make_shard, _jobs(plan.clips(), partial, config), pool)
            summary = _written(partial, plan, made, config, strict=strict, progress=progress)
            _replace(partial, folder)
    summary.notes += plan.notes + missing_classes(summary)
    summary.folder = folder
    return summary


def _written(
    partial: Path,
    plan: Plan,
    made: Iterator[int],
    config: Config,
    *,
    strict: bool,
    progress: Progress,
) -> ExtractSummary:
    """Finish a store from its shards, as workers make them."""
    count, versions = 0, dict[str, str]()

    def shards() -> Iterator[int]:
        """The numbers of the shards, each when it is on the disk."""
        nonlocal count
        done = 0
        for clips in made:
            # While the workers go on, as all that is done with the shards.
            versions.update(versions or _versions())
            done += clips
            progress(min(done, plan.expected_clips), plan.expected_clips)
            yield count
            count += 1
        progress(done, done)

    summary = joined(partial, shards(), plan, strict=strict)
    _remove_shard_rows(partial, count)
    # Last: a folder without it is no store.
    info = _info(summary, config, plan.training_noise())
    write_json(partial / store.INFO_NAME, info | {"versions": versions})
    return summary


# What a store, or a stopped extraction, may have in it.
_OURS = re.compile(
    r"shard-\d{5,}\.(npy|jsonl)|(clips|skipped)\.jsonl|features\.json|" + store.COPIES_NAME
)
_STORE = Kind("a feature store", store.INFO_NAME, _OURS)


def _replace(partial: Path, folder: Path) -> None:
    """The new store in the old one's place, with its copies: their key says if they still fit."""
    # Before the copies leave it.
    refuse_content(folder, kind=_STORE)
    copies = folder / store.COPIES_NAME
    if copies.is_dir():
        shutil.rmtree(partial / store.COPIES_NAME, ignore_errors=True)
        os.replace(copies, partial / store.COPIES_NAME)
    replace_folder(partial, folder, kind=_STORE)


def _refuse_foreign(partial: Path) -> None:
    """Refuse a folder of the partial store's name that is none."""
    names = [path.name for path in partial.iterdir()] if partial.is_dir() else [""]
    foreign = any(not (_OURS.fullmatch(name) or NOBODYS.fullmatch(name)) for name in names)
    if partial.exists() and foreign:
        raise DatasetError(
            f"{partial}: expected what a stopped extraction left, found something else; move "
            "it, or choose another --out"
        )


def _jobs(clips: Iterator[Clip], folder: Path, config: Config) -> Iterator[Job]:
    index = 0
    while chunk := tuple(islice(clips, SHARD_CLIPS)):
        yield Job(folder, index, chunk, config.features, config.data.store_dtype)
        index += 1


def _remove_shard_rows(folder: Path, shards: int) -> None:
    """Drop the workers' row files, and what a larger run or a killed one left behind."""
    for path in folder.glob("shard-*"):
        if path.suffix == ".jsonl" or int(path.stem.split("-")[1]) >= shards:
            path.unlink()
    for path in filter(Path.is_file, folder.glob(".*.partial*")):
        path.unlink()


def _info(summary: ExtractSummary, config: Config, noise: tuple[Stretch, ...]) -> dict[str, Any]:
    table: dict[str, dict[str, dict[str, float]]] = {}
    for (part, label), count in summary.counts.items():
        hours = round(summary.seconds[part, label] / 3600, 4)
        table.setdefault(part, {})[label] = {"clips": count, "hours": hours}
    return {
        "format": store.FORMAT,
        "features": dataclasses.asdict(config.features),
        "features_hash": config.features.hash,
        "mel_sha256": hashlib.sha256(mel_filterbank(config.features).tobytes()).hexdigest(),
        "labels": list(summary.labels),
        "dtype": config.data.store_dtype,
        "data": dataclasses.asdict(config.data),
        "noise": noise,
        "parts": table,
        "speakers": summary.speakers,
        "skipped": dict(summary.faults),
        "compiled": native is not None,
    }


def _versions() -> dict[str, str]:
    """Of what had a hand in the vectors."""
    # Takes as long to load as several of our own modules.
    from importlib.metadata import version

    return {name: version(name) for name in ("speechrec", "numpy", "soundfile", "soxr")}
