"""The lowest and the highest sample of a channel, and how many stand at full scale."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# Full scale = 1; what is as far from zero as this counts as clipped.
CLIPPED_LEVEL = 0.99


class Extremes(NamedTuple):
    """Of one channel; ``clipped`` is a number of samples."""

    lowest: float
    highest: float
    clipped: int


def extremes_of(channel: npt.NDArray[np.float32]) -> Extremes:
    """The extremes of (samples,) float32, at least one."""
    lowest, highest = float(channel.min()), float(channel.max())
    clipped = 0
    if lowest <= -CLIPPED_LEVEL or highest >= CLIPPED_LEVEL:
        clipped = int(np.count_nonzero(np.abs(channel) >= CLIPPED_LEVEL))
    return Extremes(lowest, highest, clipped)
