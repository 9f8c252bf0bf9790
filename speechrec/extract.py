"""Clips to a feature store: in parallel, shard by shard, resumable, every bad file reported.

Shards are written into ``FOLDER.partial``, which takes the place of ``FOLDER`` when all is done. A
stopped run finds its finished shards there; a shard is used again only if its clips, their files'
sizes and times, and the settings are the same.
"""

import dataclasses
import hashlib
import json
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from speechrec import audio, augment, store
from speechrec.config import PARTS, SILENCE, Config, FeatureConfig, sha256_json
from speechrec.dataset import Clip, plan_dataset
from speechrec.errors import AudioError, DatasetError
from speechrec.features import Array, FrontEnd, fit_clip, mel_filterbank
from speechrec.files import replace_folder, replacing, write_json
from speechrec.recordings import Fault

SHARD_CLIPS = 512
# Shards handed to the workers ahead of the one waited for.
_AHEAD = 8

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class ExtractSummary:
    """What an extraction made. ``counts`` and ``seconds`` are by (part, label)."""

    folder: Path
    labels: tuple[str, ...]
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: Counter[tuple[str, str]] = field(default_factory=Counter)
    speakers: dict[str, int] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    first_faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Job:
    """One shard's work, small enough to send to another process."""

    folder: Path
    index: int
    clips: tuple[Clip, ...]
    config: FeatureConfig
    dtype: str


def extract(
    source: Path,
    folder: Path,
    config: Config,
    *,
    workers: int = 1,
    strict: bool = False,
    progress: Progress = lambda done, total: None,
) -> ExtractSummary:
    """Make a feature store from recordings.

    Args:
        source: a folder of recordings or a manifest.
        folder: the store to write; a finished store there is replaced when the new one is done.
        workers: processes to share the work.
        strict: make the first bad file an error.
        progress: called with (clips done, clips in all).

    Raises:
        SpeechrecError: nothing usable, a speaker in two parts, or the first bad file if ``strict``.
    """
    if folder.exists() and not (folder / store.INFO_NAME).exists() and not _is_empty(folder):
        raise DatasetError(
            f"{folder}: not a feature store, so it is not replaced; choose another --out"
        )
    mel_filterbank(config.features)
    with _workers(workers, config.features) as pool:
        plan = plan_dataset(source, config.data)
        if strict and plan.faults:
            raise DatasetError(plan.faults[0].message)
        partial = folder.with_name(folder.name + ".partial")
        partial.mkdir(parents=True, exist_ok=True)
        done = shards = 0
        for finished in _run(_jobs(plan.clips(), partial, config), pool):
            shards += 1
            done += finished.clips
            if strict and finished.first_fault:
                raise DatasetError(finished.first_fault)
            progress(min(done, plan.expected_clips), plan.expected_clips)
        progress(done, done)
    summary = _finish(partial, shards, plan.labels, plan.faults, config)
    summary.notes += plan.notes + _missing_classes(summary)
    replace_folder(partial, folder)
    summary.folder = folder
    return summary


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _jobs(clips: Iterator[Clip], folder: Path, config: Config) -> Iterator[_Job]:
    index = 0
    while chunk := tuple(islice(clips, SHARD_CLIPS)):
        yield _Job(folder, index, chunk, config.features, config.data.store_dtype)
        index += 1


@dataclass(frozen=True, slots=True)
class _Finished:
    clips: int
    first_fault: str


@contextmanager
def _workers(count: int, config: FeatureConfig) -> Iterator[ProcessPoolExecutor | None]:
    """Worker processes that set themselves up at once, while the corpus is being walked."""
    if count <= 1:
        yield None
        return
    # One thread of linear algebra a worker: the processes are the parallelism.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"))
    try:
        for _ in range(count):
            pool.submit(_front_end, config)
        yield pool
    except BrokenProcessPool as error:
        raise DatasetError(
            "a worker process died (out of memory?); run the same command again to go on where "
            "it stopped, with fewer --workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run(jobs: Iterator[_Job], pool: ProcessPoolExecutor | None) -> Iterator[_Finished]:
    """Results in the order of the jobs, with a bounded number of jobs under way."""
    if pool is None:
        yield from map(_make_shard, jobs)
        return
    waiting: deque[Future[_Finished]] = deque()
    for job in jobs:
        waiting.append(pool.submit(_make_shard, job))
        if len(waiting) > _AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _make_shard(job: _Job) -> _Finished:
    """Read, check and transform a shard's clips, and write vectors first, rows last."""
    rows_path = job.folder / f"shard-{job.index:05d}.jsonl"
    key = _shard_key(job)
    finished = _finished_before(rows_path, key)
    if finished is not None:
        return finished
    front_end = _front_end(job.config)
    vectors = np.empty((len(job.clips), job.config.size), dtype=job.dtype)
    lines: list[dict[str, Any]] = []
    sounds: list[str] = []
    first_fault = ""
    row = 0
    for clip in job.clips:
        try:
            wave, sha256, seconds = read_clip(clip, job.config)
        except AudioError as error:
            fault = Fault.of(clip.path, error)
            first_fault = first_fault or fault.message
            lines.append(dataclasses.asdict(fault))
            continue
        vector = front_end(wave[np.newaxis])[0]
        vectors[row] = vector
        lines.append(
            {
                "shard": job.index,
                "row": row,
                "path": clip.path,
                "label": clip.label,
                "word": clip.word,
                "speaker": clip.speaker,
                "part": clip.part,
                "offset_s": clip.offset_s,
                "duration_s": round(seconds, 6),
                "gain_db": clip.gain_db,
                "sha256": sha256,
            }
        )
        sounds.append("" if clip.label == SILENCE else _sound_digest(vector))
        row += 1
    with replacing(job.folder / store.shard_name(job.index)) as partial:
        np.save(partial, vectors[:row], allow_pickle=False)
    header = {
        "key": key, "clips": len(job.clips), "first_fault": first_fault, "sounds": sounds
    }  # fmt: skip
    with replacing(rows_path) as partial, partial.open("w", encoding="utf-8") as file:
        for line in (header, *lines):
            file.write(_dumps(line) + "\n")
    return _Finished(len(job.clips), first_fault)


_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _finished_before(rows_path: Path, key: str) -> _Finished | None:
    try:
        with rows_path.open(encoding="utf-8") as file:
            header = json.loads(file.readline())
        if header["key"] == key and "sounds" in header:
            return _Finished(header["clips"], header["first_fault"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    return None


def _shard_key(job: _Job) -> str:
    """Changes whenever the shard's content could."""
    digest = hashlib.sha256(f"{job.config.hash} {job.dtype} {version('speechrec')}".encode())
    for clip in job.clips:
        try:
            status = os.stat(clip.path) if clip.path else None
        except OSError:
            status = None
        state = (status.st_size, status.st_mtime_ns) if status else None
        digest.update(repr((clip, state)).encode())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _front_end(config: FeatureConfig) -> FrontEnd:
    # scipy's FFT is nearly twice as fast as numpy's, and worth its import here.
    try:
        from scipy.fft import rfft
    except ImportError:
        return FrontEnd(config)
    return FrontEnd(config, rfft=rfft)


def _sound_digest(vector: Array) -> str:
    """Sixteen hexadecimal digits that only recordings of the same sound share."""
    return hashlib.sha256(vector.tobytes()).hexdigest()[:16]


def read_clip(clip: Clip, config: FeatureConfig) -> tuple[Array, str, float]:
    """A clip's second of sound, the SHA-256 of its file, and how long the recording is in seconds.

    Raises:
        AudioError: the recording cannot be read or would teach nothing.
    """
    rate = config.sample_rate_hz
    if not clip.path:
        rng = np.random.default_rng(int(clip.offset_s))
        wave = augment.coloured_noise(
            rng, config.clip_samples, colour=clip.word, sample_rate_hz=rate
        )
        return augment.gain(wave, clip.gain_db), "", config.clip_ms / 1000
    if clip.offset_s == 0 and clip.duration_s is None:
        data = audio.read_bytes(clip.path)
        decoded, sha256 = audio.decode(data, name=clip.path), hashlib.sha256(data).hexdigest()
    else:
        path = Path(clip.path)
        decoded = audio.decode(path, offset_s=clip.offset_s, duration_s=clip.duration_s)
        sha256 = audio.file_sha256(path)
    if clip.label != SILENCE:
        audio.check_usable_for_training(decoded, name=clip.path)
    wave = audio.to_mono(decoded, sample_rate_hz=rate)
    seconds = len(wave) / rate
    wave = fit_clip(wave, config)
    return (augment.gain(wave, clip.gain_db) if clip.gain_db else wave), sha256, seconds


def _finish(
    folder: Path, shards: int, labels: tuple[str, ...], faults: list[Fault], config: Config
) -> ExtractSummary:
    """Join the shards' rows, drop repeated sounds, and write features.json last."""
    summary = ExtractSummary(folder, labels)
    speakers: dict[str, str] = {}
    with (
        replacing(folder / store.CLIPS_NAME) as clips_path,
        replacing(folder / store.SKIPPED_NAME) as skipped_path,
        clips_path.open("w", encoding="utf-8") as clips,
        skipped_path.open("w", encoding="utf-8") as skipped,
    ):
        for row, line in _distinct(folder, shards, faults):
            if "kind" in row:
                skipped.write(line)
                summary.faults[row["kind"]] += 1
                if len(summary.first_faults) < 10:
                    summary.first_faults.append(row["message"])
                continue
            clips.write(line)
            summary.counts[row["part"], row["label"]] += 1
            summary.seconds[row["part"], row["label"]] += row["duration_s"]
            if row["speaker"]:
                speakers.setdefault(row["speaker"], row["part"])
    # Noise is always there; without a word it is nothing to learn from.
    if not {label for _, label in summary.counts} - {SILENCE}:
        reasons = "; ".join(summary.first_faults[:1])
        raise DatasetError(f"none of the recordings can be used (first reason: {reasons})")
    summary.speakers = dict(Counter(speakers.values()))
    _remove_shard_rows(folder, shards)
    write_json(folder / store.INFO_NAME, _info(summary, config))
    return summary


def _missing_classes(summary: ExtractSummary) -> list[str]:
    """A line for every part that lacks a class, since its figures then lack it too."""
    lines = []
    for part in PARTS:
        absent = [label for label in summary.labels if not summary.counts[part, label]]
        if len(absent) == len(summary.labels):
            lines.append(f"there are no clips for the {part} part")
        elif absent:
            lines.append(f"the {part} part has no clips of {', '.join(absent)}")
    return lines


def _distinct(
    folder: Path, shards: int, faults: list[Fault]
) -> Iterator[tuple[dict[str, Any], str]]:
    """Faults and clips in order with their lines, a clip that sounds like an earlier one a fault.

    A sound's digest points at its shard and row only: this keeps the table small, and the earlier
    clip's name is looked up in the rare case that it is wanted.
    """
    for fault in faults:
        yield _with_line(fault)
    seen: dict[int, int] = {}
    for index in range(shards):
        sounds, rows = _shard_rows(folder, index)
        for row, line in rows:
            sound = "" if "kind" in row else sounds[row["row"]]
            here = index << 32 | row.get("row", 0)
            first = seen.setdefault(int(sound, 16), here) if sound else here
            if first == here:
                yield row, line
                continue
            _, others = _shard_rows(folder, first >> 32)
            original = next(r["path"] for r, _ in others if r.get("row") == first & 0xFFFFFFFF)
            message = f"{row['path']}: same sound as {original}, which is kept"
            yield _with_line(Fault(row["path"], "duplicate", message))


def _with_line(fault: Fault) -> tuple[dict[str, Any], str]:
    row = dataclasses.asdict(fault)
    return row, _dumps(row) + "\n"


def _shard_rows(folder: Path, index: int) -> tuple[list[str], Iterator[tuple[dict[str, Any], str]]]:
    """The digests of a shard's sounds by row, and its rows, each with the line it was read from."""
    with (folder / f"shard-{index:05d}.jsonl").open(encoding="utf-8") as file:
        header, *lines = file
    return json.loads(header)["sounds"], ((json.loads(line), line) for line in lines)


def _remove_shard_rows(folder: Path, shards: int) -> None:
    """Drop the workers' row files, and shards left behind by a larger run."""
    for path in folder.glob("shard-*"):
        if path.suffix == ".jsonl" or int(path.stem.split("-")[1]) >= shards:
            path.unlink()


def _info(summary: ExtractSummary, config: Config) -> dict[str, Any]:
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
        "data_hash": sha256_json(dataclasses.asdict(config.data)),
        "parts": table,
        "speakers": summary.speakers,
        "skipped": dict(summary.faults),
        "versions": {name: version(name) for name in ("speechrec", "numpy", "soundfile", "soxr")},
    }
