"""The log-mel frames of a stream: each is computed at most once, and only where it is asked for."""

import numpy as np
import numpy.typing as npt

from speechrec.features import Array, FrontEnd
from speechrec.placing import mirrored_frames


class FrameRing:
    """The last frames of a stream; frame n stands in row n modulo the rows.

    So what is asked for must be among the last ``rows`` frames, and nothing before a place to fill
    from is asked for afterwards, unless it was there by then.
    """

    def __init__(self, front_end: FrontEnd, rows: int) -> None:
        self._front_end, self._config = front_end, front_end.config
        self._rows: Array = np.empty((rows, self._config.bands), dtype=np.float32)
        self._done = 0

    def fill(self, wave: Array, *, first: int, stop: int) -> None:
        """Compute what is missing of the frames from ``first`` to before ``stop``.

        Args:
            wave: (any,) float32, the stream from where frame ``first`` begins.
        """
        for start in range(max(first, self._done), stop, self._config.frames):
            new = np.arange(start, min(stop, start + self._config.frames))
            block = np.empty((self._config.bands, len(new)), dtype=np.float32)
            self._front_end.log_mel(wave[(start - first) * self._config.hop_samples :], block)
            self._rows[new % len(self._rows)] = block.T
        self._done = max(self._done, stop)

    def windows(self, numbers: npt.NDArray[np.intp], heard: npt.NDArray[np.intp]) -> Array:
        """(windows, 1024) features of windows that begin with these frames.

        Args:
            numbers: (windows,) first frames.
            heard: (windows,) or (), how many frames of each have come in; the rest is mirrored.
        """
        rows = numbers[:, np.newaxis] + mirrored_frames(self._config, heard)
        frames = self._rows[rows % len(self._rows)]
        vectors: Array = frames.transpose(0, 2, 1).reshape(len(numbers), -1)
        return vectors
