"""The second of a recording that is looked at: the word in it stands in its middle.

Training clips, single recordings and the windows of streams are all placed by these functions.
"""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from speechrec.compiled import native
from speechrec.config import FeatureConfig
from speechrec.features import Array

# Energies for finding the word are taken over blocks this long.
_BLOCK_MS = 10
# Blocks with this share of the loudest one's energy (17 dB below it) belong to the word.
_LOUD_SHARE = 0.02
# The last part of a stream's window is not waited for: what follows a word is background.
_LOOK_AHEAD_MS = 150
# The second is moved by at most this much to bring the word into its middle.
_REACH_MS = 250


def fit_clip(wave: Array, config: FeatureConfig) -> Array:
    """The one second around the word of a recording.

    First the second is found where the energy under a Hann window of one second is largest; a
    recording shorter than a second is put in the middle of silence, that is of its own constant
    offset. With ``align = "energy"`` the second is then moved, by a quarter of a second at most,
    until the centre of gravity of the energy above the background stands in its middle: a dense
    network knows nothing of shifts. Where the second reaches past an end of the recording, the
    recording is mirrored there.

    Args:
        wave: (samples,) float32, any length above zero.

    Returns:
        (clip_samples,) float32.
    """
    length = config.clip_samples
    start = 0
    if len(wave) < length:
        # `np.pad` takes as long as all the rest.
        offset = np.float32(wave.mean(dtype=np.float64))
        before, padded = (length - len(wave)) // 2, np.full(length, offset, dtype=np.float32)
        padded[before : before + len(wave)] = wave
        wave = padded
    elif len(wave) > length:
        start = _loudest_start(wave, config)
    if config.align == "energy":
        excess, _ = excess_energy(wave[start : start + length], config)
        start += off_centre(excess, config)
    return _cut(wave, start, length)


def awaited_frames(config: FeatureConfig) -> int:
    """How many frames of its window a stream waits for before it answers."""
    # Half of the window must have come in, for the rest is mirrored; frames may reach beyond it.
    most = min(config.frames // 2, config.clip_samples // 2 // config.hop_samples)
    return config.frames - min(round(_LOOK_AHEAD_MS / config.hop_ms), most)


def mirrored_frames(config: FeatureConfig, heard: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """(..., frames): which frames stand in a window of which only the first have been heard.

    The rest are mirrored ones: for 8 of 10 heard, 0 1 2 3 4 5 6 7 7 6.

    Args:
        heard: (...,) frames, at least half of a window.
    """
    numbers = np.arange(config.frames)
    return np.minimum(numbers, 2 * np.asarray(heard)[..., np.newaxis] - 1 - numbers)


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
    if native and count and block % 4 == 0:
        excess, scratch = np.empty((2, count), dtype=np.float32)
        wave = np.ascontiguousarray(clip, dtype=np.float32)
        return excess, native.excess_energy(wave, block, scratch, excess)
    # The mean is taken out: a constant offset is no sound. A product is the quickest way to a sum.
    mean = (clip @ _ones(len(clip))) / np.float32(len(clip))
    blocks = (clip[: count * block] - mean).reshape(count, block)
    energy = np.vecdot(blocks, blocks)
    smooth = energy.copy()
    smooth[1:] += energy[:-1]
    smooth[:-1] += energy[1:]
    background = np.sort(smooth)[count // 5]
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
    return _BLOCK_MS * config.sample_rate_hz // 1000


def _cut(wave: Array, start: int, length: int) -> Array:
    """``wave[start : start + length]``, mirrored where it reaches past an end."""
    stop = start + length
    if start >= 0 and stop <= len(wave):
        return wave[start:stop]
    if start < 0:
        return np.concatenate((wave[-start:0:-1], wave[:stop]))
    beyond = stop - len(wave)
    return np.concatenate((wave[start:], wave[-2 : -2 - beyond : -1]))
