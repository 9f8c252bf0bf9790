"""The only front end: a waveform of one second to 1024 log-mel numbers.

Training, evaluation, streams and prediction all use `FrontEnd`; nothing else computes a spectrum.
`clip_features` says what the numbers are.
"""

import dataclasses
from functools import lru_cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from speechrec.config import FeatureConfig
from speechrec.errors import MissingExtraError
from speechrec.mel_energy import mel_energies

Array = npt.NDArray[np.float32]


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
    """`clip_features` with its tables and scratch memory kept: less than 0.05 ms a clip.

    Clips are transformed one by one in a scratch that fits the processor's cache. That is faster
    than any batch, and a clip's numbers cannot depend on its neighbours. Not to be shared between
    threads.

    Args:
        config: the settings.
        mel: (bands, bins) float32, the filterbank a recogniser file carries; the settings' own by
            default.
    """

    def __init__(self, config: FeatureConfig, *, mel: Array | None = None) -> None:
        self.config = config
        filterbank = mel_filterbank(config) if mel is None else mel
        assert filterbank.shape == (config.bands, config.bins), filterbank.shape
        self._energies = mel_energies(config, filterbank)
        self._log_offset = np.float32(config.log_offset)

    def __call__(self, waves: Array) -> Array:
        """(clips, clip_samples) float32 waves to (clips, 1024) float32 features."""
        config = self.config
        if waves.ndim != 2 or waves.shape[1] != config.clip_samples:
            raise ValueError(f"expected waves (clips, {config.clip_samples}), got {waves.shape}")
        features = np.empty((len(waves), config.size), dtype=np.float32)
        for index in range(len(waves)):
            features[index] = self.clip(waves[index])
        return features

    def clip(self, wave: Array) -> Array:
        """(clip_samples,) to (1024,) float32 features."""
        wave = np.ascontiguousarray(wave, dtype=np.float32)
        features = np.empty((self.config.bands, self.config.frames), dtype=np.float32)
        self.log_mel(wave, features)
        return features.reshape(-1)

    def log_mel(self, wave: Array, out: Array) -> None:
        """The first so many frames of a wave, at most ``frames``: ``out`` (bands, frames).

        Both contiguous float32.
        """
        self._energies(wave, out)
        out += self._log_offset
        np.log(out, out=out)


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
