"""Parts of a recipe that were tried and are no settings: other numbers, warps, averages, fragments.

`recipe.py` measures them beside the settings.
"""

import dataclasses
from collections.abc import Callable
from functools import partial

import keras
import librosa
import numpy as np
import scipy.fft

from speechrec.batches import Batches, answers
from speechrec.config import UNKNOWN, FeatureConfig, is_keyword
from speechrec.copies import recording
from speechrec.features import Array
from speechrec.model import band_statistics
from speechrec.optimizer import compiled, epoch_steps
from speechrec.placing import block_samples, excess_energy, fit_clip, loud_blocks
from speechrec.shards import front_end_of, read_clip
from speechrec.store import FeatureSet
from speechrec.train_config import ModelConfig, TrainConfig

# PCEN is defined on energies of 16-bit integers' scale in librosa's examples.
_PCEN_SCALE = 2**31


def pcen(features: FeatureSet) -> Array:
    """Per-channel energy normalisation (Wang et al. 2017) of the mel energies, instead of the log.

    Returns:
        (clips, 1024) float32.
    """
    config = features.config
    energies = np.exp(features.x.reshape(-1, config.bands, config.frames)) - config.log_offset
    normalised = librosa.pcen(
        np.maximum(energies, 0) * _PCEN_SCALE, sr=config.sample_rate_hz,
        hop_length=config.hop_samples,
    )  # fmt: skip
    numbers: Array = normalised.reshape(features.x.shape).astype(np.float32)
    return numbers


def from_waves(features: FeatureSet, numbers: Callable[[Array, int], Array]) -> Array:
    """(clips, 1024) float32 numbers made from each clip's second and its sample rate."""
    config = features.config
    rows = [
        numbers(fit_clip(read_clip(recording(clip), config)[0], config), config.sample_rate_hz)
        for clip in features.clips
    ]
    return np.stack(rows).reshape(features.x.shape).astype(np.float32)


def _log_mel(wave: Array, rate: int, *, bands: int, window_ms: int, hop_ms: int) -> Array:
    window, hop = rate * window_ms // 1000, rate * hop_ms // 1000
    energies: Array = librosa.feature.melspectrogram(
        y=wave, sr=rate, n_fft=1024, win_length=window, hop_length=hop, n_mels=bands,
        fmin=FeatureConfig().low_hz, fmax=FeatureConfig().high_hz, center=False,
    )  # fmt: skip
    logarithms: Array = np.log(energies + FeatureConfig().log_offset)
    return logarithms


def cosine(wave: Array, rate: int) -> Array:
    """The 32 x 32 lowest coefficients of a spectrogram of 64 bands and 63 frames, level left out.

    A two-dimensional orthonormal cosine transform of log energies every 15 ms.
    """
    fine = _log_mel(wave, rate, bands=64, window_ms=32, hop_ms=15)
    lowest: Array = scipy.fft.dctn(fine, norm="ortho")[:32, :32]
    lowest[0, 0] = 0
    return lowest


def deltas(wave: Array, rate: int) -> Array:
    """Sixteen mel bands and their slopes over time (five frames), in the same 1024 numbers."""
    coarse = _log_mel(wave, rate, bands=16, window_ms=64, hop_ms=30)[:, :32]
    coarse -= coarse.mean()
    return np.concatenate((coarse, librosa.feature.delta(coarse, width=5)))


NUMBERS: dict[str, Callable[[FeatureSet], Array]] = {
    "pcen": pcen,
    "cosine": partial(from_waves, numbers=cosine),
    "deltas": partial(from_waves, numbers=deltas),
}


def other_numbers(training: FeatureSet, validation: FeatureSet, kind: str) -> list[FeatureSet]:
    """Both parts with other numbers, each standardised on the training part."""
    parts = [NUMBERS[kind](part) for part in (training, validation)]
    mean, deviation = parts[0].mean(axis=0), parts[0].std(axis=0) + 1e-6
    return [
        dataclasses.replace(part, x=(x - mean) / deviation)
        for part, x in zip((training, validation), parts, strict=True)
    ]


def warped(training: FeatureSet, most: float) -> FeatureSet:
    """Copies with their mel axis stretched by up to ``most`` either way, as vocal tracts differ.

    The warp of Jaitly & Hinton (2013), linear in mel instead of hertz.
    """
    assert training.copies is not None
    bands, frames = training.config.bands, training.config.frames
    rng = np.random.default_rng(0)
    altered = np.empty_like(training.copies)
    for number, copies in enumerate(training.copies):
        pictures = copies.reshape(-1, bands, frames).astype(np.float32)
        factors = rng.uniform(1 - most, 1 + most, size=(len(pictures), 1))
        places = np.clip(np.arange(bands) * factors, 0, bands - 1)
        low = np.minimum(places.astype(np.intp), bands - 2)
        share = (places - low)[:, :, np.newaxis].astype(np.float32)
        below = np.take_along_axis(pictures, low[:, :, np.newaxis], axis=1)
        above = np.take_along_axis(pictures, low[:, :, np.newaxis] + 1, axis=1)
        altered[number] = ((1 - share) * below + share * above).reshape(copies.shape)
    return dataclasses.replace(training, copies=altered)


def with_fragments(training: FeatureSet, share: float) -> FeatureSet:
    """Beginnings and ends of keywords besides, as unknown words: half of what is said of each."""
    config, rng = training.config, np.random.default_rng(0)
    keywords = [clip for clip in training.clips if is_keyword(clip.label)]
    chosen = [clip for clip in keywords if rng.random() < share]
    vectors = []
    for clip in chosen:
        wave = fit_clip(read_clip(recording(clip), config)[0], config).copy()
        loud, block = loud_blocks(excess_energy(wave, config)[0]), block_samples(config)
        middle = (loud[0] + loud[-1]) // 2 * block if len(loud) else len(wave) // 2
        # What is cut away becomes the quietest 50 ms over and over, so that nothing clicks off.
        pieces = wave[: len(wave) // 800 * 800].reshape(-1, 800)
        quiet = np.resize(pieces[np.square(pieces).sum(axis=1).argmin()], len(wave))
        cut = slice(middle, None) if rng.random() < 0.5 else slice(0, middle)
        wave[cut] = quiet[cut]
        vectors.append(front_end_of(config)(fit_clip(wave, config)[np.newaxis])[0])
    unknown = training.labels.index(UNKNOWN)
    return dataclasses.replace(
        training,
        x=np.concatenate((training.x, np.stack(vectors))),
        y=np.concatenate((training.y, np.full(len(chosen), unknown))),
        clips=(
            *training.clips,
            *(dataclasses.replace(clip, label=UNKNOWN) for clip in chosen),
        ),
    )


class _Average(keras.callbacks.Callback):
    """The exponential moving average of the weights (Polyak & Juditsky 1992), step by step."""

    def __init__(self, keep: float) -> None:
        super().__init__()
        self._keep = keep

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.weights = self.model.get_weights()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        # Quicker at first, so that the beginning is forgotten.
        steps = float(self.model.optimizer.iterations.numpy())
        keep = np.float32(min(self._keep, (1 + steps) / (10 + steps)))
        for mean, now in zip(self.weights, self.model.get_weights(), strict=True):
            mean *= keep
            mean += (1 - keep) * now


def averaged(
    training: FeatureSet, model_config: ModelConfig, config: TrainConfig, keep: float
) -> keras.Model:
    """A network trained on labels as `train` does, but with the average of its weights."""
    keras.utils.set_random_seed(config.seed)
    model = compiled(training, model_config, config)
    average = _Average(keep)
    fill = band_statistics(training.x, bands=training.config.bands)[0]
    batches = Batches(training, answers(training), config, fill=fill)
    model.fit(
        batches.dataset(), steps_per_epoch=epoch_steps(training, config), epochs=config.epochs,
        callbacks=[average], shuffle=False, verbose=0,
    )  # fmt: skip
    model.set_weights(average.weights)
    return model
