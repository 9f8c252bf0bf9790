"""The only front end: a waveform of one second to 1024 log-mel numbers.

Training, evaluation, streams and prediction all use `FrontEnd`; nothing else computes a spectrum.
`clip_features` says what the numbers are.
"""

import dataclasses
from collections.abc import Callable
from functools import lru_cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from speechrec.config import FeatureConfig
from speechrec.errors import MissingExtraError

Array = npt.NDArray[np.float32]
Spectra = Callable[[Array], Array]


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
        spectra: real FFT of (frames, window) real numbers, which it may overwrite, in the same
            shape, packed as `packed_spectra` does. scipy's FFTPACK where speed counts.
    """

    def __init__(
        self,
        config: FeatureConfig,
        *,
        mel: Array | None = None,
        spectra: Spectra | None = None,
    ) -> None:
        self.config = config
        self._spectra = packed_spectra if spectra is None else spectra
        filterbank = mel_filterbank(config) if mel is None else mel
        assert filterbank.shape == (config.bands, config.bins), filterbank.shape
        self._mel_blocks = _mel_blocks(filterbank, config.window_samples)
        # Hann, periodic as spectral analysis wants it and as librosa has it.
        n = np.arange(config.window_samples)
        window = (0.5 - 0.5 * np.cos(2 * np.pi * n / config.window_samples)).astype(np.float32)
        # Once for each frame: numpy multiplies equal shapes twice as fast.
        self._window = np.tile(window, (config.frames, 1))
        self._frames = np.empty_like(self._window)
        self._log_offset = np.float32(config.log_offset)
        self._strides = (config.hop_samples * 4, 4)

    def __call__(self, waves: Array) -> Array:
        """(clips, clip_samples) float32 waves to (clips, 1024) float32 features."""
        config = self.config
        if waves.ndim != 2 or waves.shape[1] != config.clip_samples:
            raise ValueError(f"expected waves (clips, {config.clip_samples}), got {waves.shape}")
        waves = np.ascontiguousarray(waves, dtype=np.float32)
        features = np.empty((len(waves), config.bands, config.frames), dtype=np.float32)
        for index in range(len(waves)):
            self.log_mel(waves[index], features[index])
        return features.reshape(len(waves), config.size)

    def log_mel(self, wave: Array, out: Array) -> None:
        """The first so many frames of a wave, at most ``frames``: ``out`` (bands, frames)."""
        count = out.shape[1]
        windowed = self._frames[:count]
        # Overlapping frames as a view, which refuses to reach past the wave's end; `as_strided`
        # takes longer than the multiplication below.
        frames: Array = np.ndarray(
            windowed.shape, dtype=np.float32, buffer=wave, strides=self._strides
        )
        np.copyto(windowed, frames)
        windowed *= self._window[:count]
        parts = self._spectra(windowed)
        np.square(parts, out=parts)
        for bands, columns, weights in self._mel_blocks:
            np.matmul(weights, parts[:, columns].T, out=out[bands])
        out += self._log_offset
        np.log(out, out=out)


def packed_spectra(frames: Array) -> Array:
    """Spectra of real frames as FFTPACK packs them (Swarztrauber 1982): no room for known zeros.

    Returns:
        float32 of the shape of ``frames``: the real part at 0 Hz, then real and imaginary parts in
        turn, and where the length is even the real part at half the sample rate.
    """
    parts = np.fft.rfft(frames).view(np.float32)
    parts[:, 1] = parts[:, 0]
    return parts[:, 1 : frames.shape[1] + 1]


def _mel_blocks(filterbank: Array, window: int) -> list[tuple[slice, slice, Array]]:
    """The lower and the upper half of the bands, with the columns of a packed spectrum they need.

    Each bin's weight stands twice, for the squares of its real and imaginary parts. The low bands
    are narrow: leaving out their zeros halves the product.
    """
    pairs = np.repeat(filterbank, 2, axis=1)[:, 1 : window + 1].astype(np.float32)
    middle = len(filterbank) // 2
    blocks = []
    for bands in (slice(0, middle), slice(middle, len(filterbank))):
        used = np.flatnonzero(pairs[bands].any(axis=0))
        columns = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
        blocks.append((bands, columns, np.ascontiguousarray(pairs[bands, columns])))
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
