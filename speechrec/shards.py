"""One shard of a feature store: read, check and transform some clips, in any process.

A shard is a pure function of its clips, their files and the settings, and carries a key of these.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from speechrec import __version__, audio, augment, store
from speechrec.compiled import native
from speechrec.config import SILENCE, FeatureConfig
from speechrec.errors import AudioError
from speechrec.features import Array, FrontEnd
from speechrec.files import replacing
from speechrec.limits import check_regular
from speechrec.placing import fit_clip
from speechrec.recording import Clip, Fault
from speechrec.usable import check_usable


@dataclass(frozen=True, slots=True)
class Job:
    """One shard's work, small enough to send to another process."""

    folder: Path
    index: int
    clips: tuple[Clip, ...]
    config: FeatureConfig
    dtype: str


def make_shard(job: Job) -> int:
    """Read, check and transform a shard's clips, and write vectors first, rows last.

    Returns:
        How many clips it was to hold, those that cannot be used included.
    """
    rows_path = _rows_path(job.folder, job.index)
    statuses = [_status(clip.path) for clip in job.clips]
    key = _shard_key(job, statuses)
    finished = _finished_before(rows_path, key)
    if finished is not None:
        return finished
    front_end = front_end_of(job.config)
    vectors = np.empty((len(job.clips), job.config.size), dtype=job.dtype)
    lines: list[dict[str, Any]] = []
    sounds: list[str] = []
    row = 0
    for clip, status in zip(job.clips, statuses, strict=True):
        try:
            wave, sha256 = read_clip(clip, job.config, status)
        except AudioError as error:
            fault = Fault.of(clip.path, error)
            lines.append(dataclasses.asdict(fault))
            continue
        vector = front_end.clip(fit_clip(wave, job.config))
        vectors[row] = vector
        seconds = round(len(wave) / job.config.sample_rate_hz, 6)
        lines.append(_row(job.index, row, clip, seconds, sha256))
        sounds.append("" if clip.label == SILENCE else _sound_digest(vector))
        row += 1
    # Rows and their key must never stand beside vectors of other settings.
    rows_path.unlink(missing_ok=True)
    with replacing(job.folder / store.shard_name(job.index)) as partial:
        np.save(partial, vectors[:row], allow_pickle=False)
    header = {"key": key, "clips": len(job.clips), "sounds": sounds}
    with replacing(rows_path) as partial, partial.open("w", encoding="utf-8") as file:
        for line in (header, *lines):
            file.write(dumps(line) + "\n")
    return len(job.clips)


def _row(shard: int, row: int, clip: Clip, seconds: float, sha256: str) -> dict[str, Any]:
    """A clip's line in ``clips.jsonl``."""
    return {
        "shard": shard, "row": row, "path": clip.path, "label": clip.label, "word": clip.word,
        "speaker": clip.speaker, "part": clip.part, "offset_s": clip.offset_s,
        "duration_s": seconds, "whole": clip.duration_s is None and not clip.offset_s,
        "gain_db": clip.gain_db, "sha256": sha256,
    }  # fmt: skip


dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _rows_path(folder: Path, index: int) -> Path:
    return (folder / store.shard_name(index)).with_suffix(".jsonl")


def _finished_before(rows_path: Path, key: str) -> int | None:
    try:
        with rows_path.open(encoding="utf-8") as file:
            header = json.loads(file.readline())
        if header["key"] == key and "sounds" in header:
            return int(header["clips"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    return None


def _shard_key(job: Job, statuses: list[os.stat_result | None]) -> str:
    """Changes whenever the shard's content could, to the last bit: that tells repeated sounds."""
    states = [(each.st_size, each.st_mtime_ns) if each else None for each in statuses]
    settings = (job.config.hash, job.dtype, __version__, native is not None)
    return hashlib.sha256(repr((settings, job.clips, states)).encode()).hexdigest()


def _status(path: str) -> os.stat_result | None:
    """None of noise that is made, and where there is no file."""
    try:
        return os.stat(path) if path else None
    except OSError:
        return None


@lru_cache(maxsize=1)
def front_end_of(config: FeatureConfig) -> FrontEnd:
    """This process's front end."""
    return FrontEnd(config)


def _sound_digest(vector: Array) -> str:
    """Sixteen hexadecimal digits that only recordings of the same sound share."""
    return hashlib.sha256(vector.data).hexdigest()[:16]


def read_clip(
    clip: Clip, config: FeatureConfig, status: os.stat_result | None = None
) -> tuple[Array, str]:
    """A clip's whole sound, (samples,) at its level, and the SHA-256 of its file.

    Args:
        status: of the file, where it is known.

    Raises:
        AudioError: the recording cannot be read or would teach nothing.
    """
    rate = config.sample_rate_hz
    if not clip.path:
        rng = np.random.default_rng(int(clip.offset_s))
        wave = augment.coloured_noise(
            rng, config.clip_samples, colour=clip.word, sample_rate_hz=rate
        )
        return augment.gain(wave, clip.gain_db), ""
    check_regular(clip.path, status)
    if clip.offset_s == 0 and clip.duration_s is None:
        data = audio.read_bytes(clip.path)
        decoded, sha256 = audio.decode(data, name=clip.path), hashlib.sha256(data).hexdigest()
    else:
        path = Path(clip.path)
        decoded = audio.decode(path, offset_s=clip.offset_s, duration_s=clip.duration_s)
        sha256 = audio.file_sha256(path)
    if clip.label != SILENCE:
        check_usable(decoded, name=clip.path)
    wave = audio.to_mono(decoded, sample_rate_hz=rate)
    if not len(wave):
        raise AudioError(
            "too_short", f"{clip.path}: expected sound, it is less than a sample at {rate} Hz"
        )
    return (augment.gain(wave, clip.gain_db) if clip.gain_db else wave), sha256


def shard_rows(folder: Path, index: int) -> tuple[list[str], Iterator[tuple[dict[str, Any], str]]]:
    """The digests of a shard's sounds by row, and its rows, each with the line it was read from."""
    with _rows_path(folder, index).open(encoding="utf-8") as file:
        header, *lines = file
    # One call for all is twice as fast as one for each.
    rows = json.loads(f"[{','.join(lines)}]")
    return json.loads(header)["sounds"], zip(rows, lines, strict=True)
