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
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from speechrec import audio, augment, store
from speechrec.config import SILENCE, UNKNOWN, AugmentConfig, FeatureConfig, sha256_json
from speechrec.dataset import NOISE_COLOURS, Clip, Stretch
from speechrec.errors import AudioError, DatasetError
from speechrec.features import (
    Array,
    block_samples,
    excess_energy,
    fit_clip,
    loud_blocks,
    off_centre,
)
from speechrec.files import replacing, write_json, write_text
from speechrec.parallel import in_order, processes
from speechrec.shards import front_end_of, read_clip
from speechrec.store import FeatureSet, StoredClip

FOLDER, INFO_NAME = "copies", "copies.json"
_SHARD_CLIPS = 128
# So many words may be said beside or behind others.
_OTHERS = 512
# Share of drawn noise that is made, not recorded.
_MADE_NOISE_SHARE = 0.25
# Share of interference that is people talking, one to so many at a time; the rest is half pulses.
_TALK_SHARE, _MOST_TALKERS = 0.5, 6
_WORDS_OF_A_TALKER = 3

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
    if _stated_key(folder / INFO_NAME) != key:
        folder.mkdir(exist_ok=True)
        (folder / INFO_NAME).unlink(missing_ok=True)
        done = 0
        with processes(workers, front_end_of, training.config) as pool:
            for count in in_order(make_copies, iter(jobs), pool):
                done += count
                progress(done, len(training))
        kept = {path for job in jobs for path in (job.path, job.path.with_suffix(".key"))}
        for path in set(folder.iterdir()) - kept:
            path.unlink()
        write_json(
            folder / INFO_NAME,
            {"key": key, "features_hash": training.config.hash, **dataclasses.asdict(settings)},
        )
    copies = np.empty((len(training), settings.views - 1, training.config.size), dtype=np.float16)
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
    return tuple(map(recording, clips[:: max(1, len(clips) // _OTHERS)]))


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
    noise = NoisePool(job)
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


def altered_vector(wave: Array, clip: Clip, copy: int, job: CopyJob, noise: "NoisePool") -> Array:
    """(1024,) float32, features of the clip's copy of that number."""
    rng = np.random.default_rng(_seed(clip, copy))
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


def _vector(wave: Array, config: FeatureConfig) -> Array:
    vector: Array = front_end_of(config)(fit_clip(wave, config)[np.newaxis])[0]
    return vector


def _among_neighbours(
    rng: np.random.Generator, own: Array, job: CopyJob, noise: augment.NoiseSource
) -> Array:
    """The second around a place in an unknown word that is said in one breath with two others."""
    config = job.config
    others = [_said(job.others[n], config) for n in rng.integers(len(job.others), size=2)]
    word = _spoken(own, config)
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


@lru_cache(maxsize=2 * _OTHERS)
def _said(clip: Clip, config: FeatureConfig) -> Array:
    return _spoken(read_clip(clip, config)[0], config)


def _spoken(wave: Array, config: FeatureConfig) -> Array:
    """The second around a word without what is before and after it."""
    clip = fit_clip(wave, config)
    loud, block = loud_blocks(excess_energy(clip, config)[0]), block_samples(config)
    return clip[loud[0] * block : (loud[-1] + 1) * block] if len(loud) else clip


def _seed(clip: Clip, copy: int) -> list[int]:
    """Follows from the recording's name, not from where its folder lies or what else is in it."""
    name = "/".join(Path(clip.path).parts[-2:])
    digest = hashlib.sha256(f"{copy}/{name}@{clip.offset_s:g}".encode()).digest()
    return [int(word) for word in np.frombuffer(digest, dtype=np.uint32)]


@dataclass(frozen=True, slots=True)
class NoisePool:
    """Draws background noise: mostly recorded, where there are recordings."""

    job: CopyJob

    def __call__(self, rng: np.random.Generator, samples: int) -> Array:
        share = self.job.augment.interference_share
        if not share or rng.random() >= share:
            return self._background(rng, samples)
        if rng.random() < _TALK_SHARE and self.job.others:
            return self._talk(rng, samples)
        return self._machines(rng, samples)

    def without_speech(self, rng: np.random.Generator, samples: int) -> Array:
        """Noise that is no unknown word."""
        share = self.job.augment.interference_share
        if not share or rng.random() >= share:
            return self._background(rng, samples)
        return self._machines(rng, samples)

    def _talk(self, rng: np.random.Generator, samples: int) -> Array:
        others = self.job.others
        talkers = [
            np.concatenate(
                [_said(others[n], self.job.config) for n in rng.integers(len(others), size=words)]
            )
            for words in [_WORDS_OF_A_TALKER] * int(rng.integers(1, _MOST_TALKERS + 1))
        ]
        return augment.babble(rng, talkers, samples)

    def _machines(self, rng: np.random.Generator, samples: int) -> Array:
        rate = self.job.config.sample_rate_hz
        if rng.random() < 0.5:
            return augment.tones(rng, samples, sample_rate_hz=rate)
        return augment.pulsed(rng, self._background(rng, samples), sample_rate_hz=rate)

    def _background(self, rng: np.random.Generator, samples: int) -> Array:
        rate, stretches = self.job.config.sample_rate_hz, self.job.noise
        if not stretches or rng.random() < _MADE_NOISE_SHARE:
            colour = NOISE_COLOURS[int(rng.integers(len(NOISE_COLOURS)))]
            return augment.coloured_noise(rng, samples, colour=colour, sample_rate_hz=rate)
        stretch = stretches[int(rng.integers(len(stretches)))]
        seconds = min(samples / rate, stretch.stop_s - stretch.start_s)
        offset_s = float(rng.uniform(stretch.start_s, stretch.stop_s - seconds))
        wave = audio.read_audio(
            stretch.path, sample_rate_hz=rate, offset_s=offset_s, duration_s=seconds
        )
        # Over and over, where the stretch is too short; resampling may give a sample more or less.
        return np.resize(wave, samples)
