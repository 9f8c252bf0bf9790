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
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from speechrec import augment, store
from speechrec.config import SILENCE, UNKNOWN, FeatureConfig, sha256_json
from speechrec.errors import AudioError, DatasetError
from speechrec.features import Array
from speechrec.files import locked, replacing, write_json, write_text
from speechrec.noise_pool import OTHERS, NoisePool, said, spoken
from speechrec.parallel import in_order, processes
from speechrec.placing import excess_energy, fit_clip, off_centre
from speechrec.recording import Clip, Stretch
from speechrec.shards import front_end_of, read_clip
from speechrec.store import FeatureSet, StoredClip
from speechrec.train_config import AugmentConfig

FOLDER, INFO_NAME = "copies", "copies.json"
_SHARD_CLIPS = 128

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class CopyJob:
    """One shard's work, small enough to send to another process."""

    path: Path
    key: str
    clips: tuple[Clip, ...]
    # What the recordings' SHA-256 were when features were extracted.
    sha256: tuple[str, ...]
    config: FeatureConfig
    augment: AugmentConfig
    noise: tuple[Stretch, ...]
    # Unknown words that are said around others in running speech, and in the background.
    others: tuple[Clip, ...]


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
    folder = features / FOLDER
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
        clips.update(repr((clip.path, clip.offset_s, clip.gain_db, clip.sha256)).encode())
    return sha256_json(
        {
            "features": training.config.hash,
            "augment": dataclasses.asdict(settings),
            "noise": noise,
            "clips": clips.hexdigest(),
            "version": version("speechrec"),
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


def make_copies(job: CopyJob) -> int:
    """Make and write a shard unless it is there; returns its clips."""
    key_path = job.path.with_suffix(".key")
    if job.path.exists() and key_path.exists() and key_path.read_text() == job.key:
        return len(job.clips)
    copies = np.empty((len(job.clips), job.augment.views - 1, job.config.size), dtype=np.float16)
    noise = NoisePool(job.config, job.noise, job.others, job.augment.interference_share)
    for number, (clip, stated) in enumerate(zip(job.clips, job.sha256, strict=True)):
        try:
            wave, sha256 = read_clip(clip, job.config)
            if sha256 != stated:
                raise DatasetError(
                    f"{clip.path}: another recording than the one features were extracted from; "
                    "extract again"
                )
            for copy in range(len(copies[number])):
                copies[number, copy] = altered_vector(wave, clip, copy, job, noise)
        except AudioError as error:
            raise DatasetError(
                f"altered copies are made from the recordings, and one cannot be read any more: "
                f"{error}; extract again, or train without copies: --set augment.views=1"
            ) from error
    key_path.unlink(missing_ok=True)
    with replacing(job.path) as partial:
        np.save(partial, copies, allow_pickle=False)
    write_text(key_path, job.key)
    return len(job.clips)


def altered_vector(wave: Array, clip: Clip, copy: int, job: CopyJob, noise: NoisePool) -> Array:
    """(1024,) float32, features of the clip's copy of that number."""
    rng = np.random.default_rng(_seed(clip, copy))
    if clip.label == UNKNOWN:
        wave = _second_in_turn(wave, copy, job.config)
    own = fit_clip(wave, job.config)
    if clip.label == SILENCE:
        altered = augment.altered_silence(rng, own, job.augment, noise.without_speech)
    elif clip.label == UNKNOWN and rng.random() < job.augment.neighbour_share:
        altered = _among_neighbours(rng, own, job, noise)
    else:
        # A longer recording is cut before it is altered: what is far from the word is not heard.
        altered = augment.altered_word(
            rng, own if len(wave) > len(own) else wave, job.augment, noise,
            samples=len(own), sample_rate_hz=job.config.sample_rate_hz,
        )  # fmt: skip
    return _vector(altered, job.config)


def _second_in_turn(wave: Array, copy: int, config: FeatureConfig) -> Array:
    """One of the seconds of a longer unknown recording in which something is said.

    A recording below two seconds stays what it is: its word may stand anywhere in it.
    """
    seconds = wave[: len(wave) // config.clip_samples * config.clip_samples]
    if len(seconds) <= config.clip_samples:
        return wave
    seconds = seconds.reshape(-1, config.clip_samples)
    energies = np.square(seconds).sum(axis=1)
    said = seconds[energies >= _SAID * energies.max()]
    chosen: Array = said[copy % len(said)]
    return chosen


# 30 dB below the loudest second of a recording nothing is said; voices differ by less than that.
_SAID = 1e-3


def _vector(wave: Array, config: FeatureConfig) -> Array:
    vector: Array = front_end_of(config)(fit_clip(wave, config)[np.newaxis])[0]
    return vector


def _among_neighbours(
    rng: np.random.Generator, own: Array, job: CopyJob, noise: augment.NoiseSource
) -> Array:
    """The second around a place in an unknown word that is said in one breath with two others."""
    config = job.config
    others = [said(job.others[n], config) for n in rng.integers(len(job.others), size=2)]
    word = spoken(own, config)
    wave, middle = augment.in_running_speech(
        rng, word, others, sample_rate_hz=config.sample_rate_hz
    )
    # Any place in the word: a detector also stops between words.
    start = middle + round(rng.uniform(-0.5, 0.5) * len(word)) - config.clip_samples // 2
    clip = augment.placed(wave, -start, config.clip_samples)
    start += off_centre(excess_energy(clip, config)[0], config)
    # Longer than a second, for a quicker copy of it.
    spare = config.clip_samples // 4
    return augment.altered_word(
        rng, augment.placed(wave, spare - start, config.clip_samples + 2 * spare), job.augment,
        noise, samples=config.clip_samples, sample_rate_hz=config.sample_rate_hz,
    )  # fmt: skip


def _seed(clip: Clip, copy: int) -> list[int]:
    """Follows from the recording's name, not from where its folder lies or what else is in it."""
    name = "/".join(Path(clip.path).parts[-2:])
    digest = hashlib.sha256(f"{copy}/{name}@{clip.offset_s:g}".encode()).digest()
    return [int(word) for word in np.frombuffer(digest, dtype=np.uint32)]
