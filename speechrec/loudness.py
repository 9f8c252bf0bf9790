"""How loud a word is, and where it is in its clip: what test recordings are made and marked by."""

import numpy as np
import numpy.typing as npt

from speechrec.augment import Array
from speechrec.mix_config import RATE_HZ

BLOCK = RATE_HZ // 100
_ACTIVE_DB = -20.0


def mean_power(wave: Array) -> float:
    """Mean square of all samples."""
    return float(np.mean(np.square(wave), dtype=np.float64))


def active_power(wave: Array) -> float:
    """Mean power of the blocks of 10 ms that are within 20 dB of the loudest."""
    energy = _block_energy(wave)
    active = energy >= energy.max() * 10 ** (_ACTIVE_DB / 10)
    return float(energy[active].mean()) / min(BLOCK, len(wave))


def word_extent(wave: Array) -> tuple[int, int]:
    """First sample of the word in a clip and the one after its last; all where nothing stands out.

    The word is where the energy of three blocks of 10 ms together is above twice that of the quiet
    fifth of the clip and above 2 % of the greatest. Stated here and not taken from the detector,
    which is to be measured with it.
    """
    smooth = np.convolve(_block_energy(wave), np.ones(3), "same")
    least = max(2 * float(np.percentile(smooth, 20)), 0.02 * float(smooth.max()))
    loud = np.flatnonzero(smooth > least)
    if not len(loud):
        return 0, len(wave)
    return int(loud[0]) * BLOCK, min(len(wave), (int(loud[-1]) + 1) * BLOCK)


def _block_energy(wave: Array) -> npt.NDArray[np.float64]:
    """Energy of each 10 ms, the last of them perhaps shorter."""
    squares = np.square(wave, dtype=np.float64)
    energy: npt.NDArray[np.float64] = np.add.reduceat(squares, np.arange(0, len(wave), BLOCK))
    return energy
