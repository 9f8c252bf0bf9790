"""The only front end: waveform, one second with the word in its middle, 1024 log-mel numbers.

Training, evaluation and prediction all call `clip_features`; nothing else computes a spectrum.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from speechrec.config import FeatureConfig
from speechrec.errors import MissingExtraError

Array = npt.NDArray[np.float32]
Rfft = Callable[..., Any]

# Energies for finding the word are taken over blocks this long.
_PLACE_BLOCK_MS = 10
# The second is moved by at most this much to bring the word into its middle.
_REACH_MS = 250


@lru_cache(maxsize=8)
def mel_filterbank(config: FeatureConfig) -> Array:
    """Triangular filters with Slaney's mel scale and area normalisation, as librosa has them.

    The filterbank of the default settings is shipped beside this module (scripts/mel_filterbank.py
    made it); librosa computes others.

    Returns:
        (bands, bins) float32, not writeable.

    Raises:
        MissingExtraError: the settings are not the default ones and librosa is not installed.
    """
    if dataclasses.replace(config, align=FeatureConfig().align) == FeatureConfig():
        with resources.files("speechrec").joinpath("mel.npy").open("rb") as file:
            mel: Array = np.load(file, allow_pickle=False)
    else:
        mel = librosa_filterbank(config)
    mel.setflags(write=False)
    return mel


def librosa_filterbank(config: FeatureConfig) -> Array:
    """librosa's filterbank for these settings; (bands, bins) float32."""
    try:
        from librosa import filters
    except ImportError as error:
        raise MissingExtraError("a front end of your own", "train", error.name) from error
    mel: Array = filters.mel(
        sr=config.sample_rate_hz,
        n_fft=config.window_samples,
        n_mels=config.bands,
        fmin=config.low_hz,
        fmax=config.high_hz,
        dtype=np.float32,
    )
    return mel


class FrontEnd:
    """`clip_features` with its tables and scratch memory kept: about 0.15 ms a clip.

    Clips are transformed one by one in a scratch that fits the processor's cache. That is faster
    than any batch, and a clip's numbers cannot depend on its neighbours. Not to be shared between
    threads.

    Args:
        config: the settings.
        mel: (bands, bins) float32, the filterbank a recogniser file carries; the settings' own by
            default.
        rfft: real FFT along the last axis; scipy's where speed counts, numpy's by default.
    """

    def __init__(
        self, config: FeatureConfig, *, mel: Array | None = None, rfft: Rfft = np.fft.rfft
    ) -> None:
        self.config = config
        self._rfft = rfft
        filterbank = mel_filterbank(config) if mel is None else mel
        assert filterbank.shape == (config.bands, config.bins), filterbank.shape
        self._mel_blocks = _mel_blocks(filterbank)
        # Hann, periodic as spectral analysis wants it and as librosa has it.
        n = np.arange(config.window_samples)
        self._window = (0.5 - 0.5 * np.cos(2 * np.pi * n / config.window_samples)).astype(
            np.float32
        )
        self._frames = np.empty((config.frames, config.window_samples), dtype=np.float32)
        self._energy = np.empty((config.frames, config.bands), dtype=np.float32)

    def __call__(self, waves: Array) -> Array:
        """(clips, clip_samples) float32 waves to (clips, 1024) float32 features."""
        config = self.config
        if waves.ndim != 2 or waves.shape[1] != config.clip_samples:
            raise ValueError(f"expected waves (clips, {config.clip_samples}), got {waves.shape}")
        waves = np.ascontiguousarray(waves, dtype=np.float32)
        features = np.empty((len(waves), config.bands, config.frames), dtype=np.float32)
        for wave, out in zip(waves, features, strict=True):
            self._transform(wave, out)
        return features.reshape(len(waves), config.size)

    def _transform(self, wave: Array, out: Array) -> None:
        """One clip: out[band, frame] = ln(mel energy + offset)."""
        config = self.config
        # Overlapping frames as a view; `as_strided` takes longer than the multiplication below.
        frames: Array = np.ndarray(
            (config.frames, config.window_samples),
            dtype=np.float32,
            buffer=wave,
            strides=(config.hop_samples * 4, 4),
        )
        np.multiply(frames, self._window, out=self._frames)
        # Real and imaginary parts side by side, so that one product squares and sums them.
        parts = self._rfft(self._frames, axis=-1).view(np.float32)
        np.square(parts, out=parts)
        for bands, columns, weights in self._mel_blocks:
            self._energy[:, bands] = parts[:, columns] @ weights
        self._energy += np.float32(config.log_offset)
        np.log(self._energy.T, out=out)


def _mel_blocks(filterbank: Array) -> list[tuple[slice, slice, Array]]:
    """The lower and the upper half of the bands, each with the columns it has weights in.

    Columns are real and imaginary parts in turn, so each bin's weight stands twice. The low bands
    are narrow: leaving out their zeros halves the product.
    """
    pairs = np.repeat(filterbank.T, 2, axis=0).astype(np.float32)
    middle = len(filterbank) // 2
    blocks = []
    for bands in (slice(0, middle), slice(middle, len(filterbank))):
        used = np.flatnonzero(pairs[:, bands].any(axis=1))
        columns = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
        blocks.append((bands, columns, np.ascontiguousarray(pairs[columns, bands])))
    return blocks


def clip_features(waves: Array, config: FeatureConfig) -> Array:
    """Log-mel features of one-second clips.

    For each window of ``window_ms`` every ``hop_ms``: Hann window, |FFT|^2, mel filterbank, natural
    logarithm of energy plus ``log_offset``. Equal to
    ``log(librosa.feature.melspectrogram(center=False) + log_offset)``.

    Args:
        waves: (clips, clip_samples) float32 in [-1, 1].

    Returns:
        (clips, 1024) float32; ``reshape(32, 32)`` of a row is (mel band, frame), low bands first.
    """
    return FrontEnd(config)(waves)


def fit_clip(wave: Array, config: FeatureConfig) -> Array:
    """The one second around the word of a recording.

    First the second is found where the energy under a Hann window of one second is largest; a
    recording shorter than a second is put in the middle of zeros. With ``align = "energy"`` the
    second is then moved, by a quarter of a second at most, until the centre of gravity of the
    energy above the background stands in its middle: a dense network knows nothing of shifts.
    Where the second reaches past an end of the recording, the recording is mirrored there.

    Args:
        wave: (samples,) float32, any length above zero.

    Returns:
        (clip_samples,) float32.
    """
    length = config.clip_samples
    start = 0
    if len(wave) < length:
        before = (length - len(wave)) // 2
        wave = np.pad(wave, (before, length - len(wave) - before))
    elif len(wave) > length:
        start = _loudest_start(wave, config)
    if config.align == "energy":
        start += _off_centre(wave[start : start + length], config)
    return _cut(wave, start, length)


def _loudest_start(wave: Array, config: FeatureConfig) -> int:
    """First sample of the loudest second of a longer wave."""
    block = _block_samples(config)
    spare = len(wave) - config.clip_samples
    blocks = len(wave) // block
    # The mean is taken out: a constant offset is no sound.
    centred = wave[: blocks * block] - wave.mean(dtype=np.float64)
    energy = np.square(centred, dtype=np.float64).reshape(blocks, block).sum(axis=1)
    weights = np.hanning(config.clip_samples // block + 2)[1:-1]
    loudness = np.convolve(energy, weights, mode="valid")
    return min(int(np.argmax(loudness)) * block, spare)


def _off_centre(clip: Array, config: FeatureConfig) -> int:
    """Samples from the middle of a clip to the centre of gravity of its energy.

    The energy of blocks of 10 ms, summed over three of them, counts as far as it is above twice
    that of the quiet fifth of the clip.
    """
    block = _block_samples(config)
    count = len(clip) // block
    # The mean is taken out: a constant offset is no sound.
    blocks = (clip[: count * block] - clip.mean()).reshape(count, block)
    energy = np.einsum("ij,ij->i", blocks, blocks)
    smooth = energy.copy()
    smooth[1:] += energy[:-1]
    smooth[:-1] += energy[1:]
    quiet = count // 5
    smooth -= 2 * np.partition(smooth, quiet)[quiet]
    np.maximum(smooth, 0, out=smooth)
    total = float(smooth.sum())
    # Nothing above the background, or a wave so loud that its energy is no number.
    if not 0 < total < math.inf:
        return 0
    centre = (float(smooth @ np.arange(count, dtype=np.float32)) / total + 0.5) * block
    reach = _REACH_MS * config.sample_rate_hz // 1000
    return max(-reach, min(reach, round(centre) - len(clip) // 2))


def _block_samples(config: FeatureConfig) -> int:
    return _PLACE_BLOCK_MS * config.sample_rate_hz // 1000


def _cut(wave: Array, start: int, length: int) -> Array:
    """``wave[start : start + length]``, mirrored where it reaches past an end."""
    stop = start + length
    if start >= 0 and stop <= len(wave):
        return wave[start:stop]
    if start < 0:
        return np.concatenate((wave[-start:0:-1], wave[:stop]))
    beyond = stop - len(wave)
    return np.concatenate((wave[start:], wave[-2 : -2 - beyond : -1]))
