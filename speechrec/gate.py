"""Where something is said in a window of a stream, from its energies alone."""

import numpy as np

from speechrec.config import FeatureConfig
from speechrec.features import Array
from speechrec.placing import block_samples, loud_blocks

# A word is 4 dB above the background, and above the noise of the faintest microphone.
_GATE_RATIO = 10 ** (4 / 10)
_GATE_FLOOR = 10 ** (-75 / 10)
# A word reaches as far as loud blocks follow each other without a gap longer than 0.15 s: a stop,
# like the one in "right", is silent for a tenth of a second.
_LONGEST_GAP_BLOCKS = 15


def is_audible(excess: Array, background: float, config: FeatureConfig) -> bool:
    """Whether something in a window is loud enough to ask a network about.

    Args:
        excess: (blocks,) and ``background``: `placing.excess_energy` of the window. It is above
            twice the background.
    """
    floor = 3 * block_samples(config) * _GATE_FLOOR
    return float(excess.max()) > max((_GATE_RATIO - 2) * background, floor)


def word_extent(excess: Array, sample: int, config: FeatureConfig) -> tuple[int, int]:
    """First block of the word around a sample of its window, and the one after its last."""
    loud = loud_blocks(excess)
    if not len(loud):
        # Nothing stands out: the block around the sample.
        block = min(max(0, sample // block_samples(config)), len(excess) - 1)
        return block, block + 1
    words = np.split(loud, np.flatnonzero(np.diff(loud) > _LONGEST_GAP_BLOCKS) + 1)
    middle = sample / block_samples(config)
    word = min(words, key=lambda blocks: max(blocks[0] - middle, middle - blocks[-1] - 1))
    return int(word[0]), int(word[-1]) + 1
