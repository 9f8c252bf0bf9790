"""The only front end: waveform, one second with the word in its middle, 1024 log-mel numbers.

Training, evaluation and prediction all call `clip_features`; nothing else computes a spectrum.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import lru_cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from speechrec.config import FeatureConfig
from speechrec.errors import MissingExtraError

Array = npt.NDArray[np.float32]
Spectra = Callable[[Array], Array]

# Energies for finding the word are taken over blocks this long.
_PLACE_BLOCK_MS = 10
# Blocks with this share of the loudest one's energy (17 dB below it) belong to the word.
_LOUD_SHARE = 0.02
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
        # `np.pad` takes as long as all the rest.
        before, padded = (length - len(wave)) // 2, np.zeros(length, dtype=np.float32)
        padded[before : before + len(wave)] = wave
        wave = padded
    elif len(wave) > length:
        start = _loudest_start(wave, config)
    if config.align == "energy":
        excess, _ = excess_energy(wave[start : start + length], config)
        start += off_centre(excess, config)
    return _cut(wave, start, length)


def _loudest_start(wave: Array, config: FeatureConfig) -> int:
    """First sample of the loudest second of a longer wave."""
    block = block_samples(config)
    spare = len(wave) - config.clip_samples
    blocks = len(wave) // block
    # The mean is taken out: a constant offset is no sound.
    centred = wave[: blocks * block] - wave.mean(dtype=np.float64)
    energy = np.square(centred, dtype=np.float64).reshape(blocks, block).sum(axis=1)
    weights = np.hanning(config.clip_samples // block + 2)[1:-1]
    loudness = np.convolve(energy, weights, mode="valid")
    return min(int(np.argmax(loudness)) * block, spare)


def excess_energy(clip: Array, config: FeatureConfig) -> tuple[Array, float]:
    """Energy of a clip's blocks of 10 ms above its background.

    The energy of three blocks together, as far as it is above twice the background, which is that
    of the quiet fifth of the clip.

    Returns:
        (blocks,) float32, and the background.
    """
    block = block_samples(config)
    count = len(clip) // block
    # The mean is taken out: a constant offset is no sound. A product is the quickest way to a sum.
    mean = (clip @ _ones(len(clip))) / np.float32(len(clip))
    blocks = (clip[: count * block] - mean).reshape(count, block)
    energy = np.vecdot(blocks, blocks)
    smooth = energy.copy()
    smooth[1:] += energy[:-1]
    smooth[:-1] += energy[1:]
    quiet = count // 5
    background = np.sort(smooth)[quiet]
    smooth -= 2 * background
    np.maximum(smooth, 0, out=smooth)
    return smooth, float(background)


def loud_blocks(excess: Array) -> npt.NDArray[np.intp]:
    """Numbers of the blocks that have at least a fiftieth of the loudest block's excess energy."""
    return np.flatnonzero(excess > _LOUD_SHARE * excess.max())


def off_centre(excess: Array, config: FeatureConfig) -> int:
    """Samples from the middle of a clip to the centre of gravity of its `excess_energy`.

    A quarter of a second at most; 0 where nothing is above the background.
    """
    total, moment = map(float, np.vecdot(_moments(len(excess)), excess))
    # A wave may be so loud that its energy is no number.
    if not 0 < total < math.inf:
        return 0
    centre = moment / total
    reach = _REACH_MS * config.sample_rate_hz // 1000
    shift = round(centre * block_samples(config)) - config.clip_samples // 2
    return max(-reach, min(reach, shift))


@lru_cache(maxsize=4)
def _ones(count: int) -> Array:
    return np.ones(count, dtype=np.float32)


@lru_cache(maxsize=4)
def _moments(count: int) -> Array:
    """(2, count): ones, and the middles of so many blocks."""
    return np.stack([np.ones(count), np.arange(count) + 0.5]).astype(np.float32)


def block_samples(config: FeatureConfig) -> int:
    """Samples of a block of 10 ms, the unit of everything that looks at energy over time."""
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
