"""One shard of altered copies: read some clips again and alter them, in any process.

A copy is a function of its recording, its number and the settings, whatever else is in the shard.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechrec import augment
from speechrec.config import SILENCE, UNKNOWN, FeatureConfig, is_keyword
from speechrec.errors import AudioError, DatasetError
from speechrec.features import Array
from speechrec.files import replacing, write_text
from speechrec.noise_pool import NoisePool, said, spoken
from speechrec.placing import excess_energy, fit_clip, off_centre
from speechrec.recording import Clip, Stretch, segment_name
from speechrec.shards import front_end_of, read_clip
from speechrec.train_config import AugmentConfig


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


def make_copies(job: CopyJob) -> int:
    """Make and write a shard unless it is there; returns its clips."""
    key_path = job.path.with_suffix(".key")
    if job.path.exists() and key_path.exists() and key_path.read_text() == job.key:
        return len(job.clips)
    copies = np.empty((len(job.clips), job.augment.views - 1, job.config.size), dtype=np.float16)
    share, talk = job.augment.interference_share, job.augment.talk_share
    noise = NoisePool(job.config, job.noise, job.others, share, talk)
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
    # An offset would begin and end where the word does, and count as its loudness.
    wave = augment.centred(wave)
    if clip.label == UNKNOWN:
        wave = _second_in_turn(wave, copy, job.config)
    own = fit_clip(wave, job.config)
    if clip.label == SILENCE:
        altered = augment.altered_silence(rng, own, job.augment, noise.without_speech)
    elif clip.label == UNKNOWN and rng.random() < job.augment.neighbour_share:
        altered = _in_running_speech(rng, own, job, noise)
    elif is_keyword(clip.label) and _is_in_sequence(rng, job):
        altered = _in_sequence(rng, own, job, noise)
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


def _in_running_speech(
    rng: np.random.Generator, own: Array, job: CopyJob, noise: augment.NoiseSource
) -> Array:
    """The second around a place in an unknown word that is said in one breath with two others."""
    config = job.config
    others = [said(job.others[n], config) for n in rng.integers(len(job.others), size=2)]
    word = spoken(own, config)
    wave, middle = augment.among_words(
        rng, word, others, (-0.1, 0.12), sample_rate_hz=config.sample_rate_hz
    )
    # Any place in the word: a detector also stops between words.
    middle += round(rng.uniform(-0.5, 0.5) * len(word))
    return _second_around(rng, wave, middle, job, noise)


def _is_in_sequence(rng: np.random.Generator, job: CopyJob) -> bool:
    """Draws nothing where none is, so that all else stays as it is without the setting."""
    share = job.augment.sequence_share
    return bool(share and job.others) and rng.random() < share


def _in_sequence(
    rng: np.random.Generator, own: Array, job: CopyJob, noise: augment.NoiseSource
) -> Array:
    """The second around a word that others precede, follow or both, after short pauses."""
    config = job.config
    others = [said(job.others[n], config) for n in rng.integers(len(job.others), size=2)]
    # Before it, after it, or both.
    alone = int(rng.integers(3))
    others = [other[: len(other) * (number != alone)] for number, other in enumerate(others)]
    wave, middle = augment.among_words(
        rng, spoken(own, config), others, (0.1, 0.5), sample_rate_hz=config.sample_rate_hz
    )
    return _second_around(rng, wave, middle, job, noise)


def _second_around(
    rng: np.random.Generator, wave: Array, middle: int, job: CopyJob, noise: augment.NoiseSource
) -> Array:
    """The altered second in which a detector would look at what is said around the middle."""
    config = job.config
    start = middle - config.clip_samples // 2
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
    name = segment_name(clip.path, clip.offset_s)
    digest = hashlib.sha256(f"{copy}/{name}".encode()).digest()
    return [int(word) for word in np.frombuffer(digest, dtype=np.uint32)]
