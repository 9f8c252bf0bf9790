"""What of a sound is above 80 Hz, sample by sample: the loudness of a stream goes by that.

The 1024 numbers begin at 60 Hz. A mains hum, rumble or wind below it is not in them, but would be
by far the loudest there is, and no word would stand out from it.
"""

import math

import numpy as np
import numpy.typing as npt

from speechrec.features import Array

_CUTOFF_HZ = 80.0
# Of a Butterworth filter of the fourth order, as two sections of the second.
_QUALITIES = (0.5411961, 1.3065630)
_STATES = 2 * len(_QUALITIES)
# As many samples are filtered by one product of a matrix and a vector.
_PIECE = 120
Matrix = npt.NDArray[np.float64]


class HighPass:
    """A Butterworth high-pass of the fourth order, whose state goes on from call to call.

    A recursion over samples, unrolled over pieces of them: their output and the next state are one
    matrix times the input and the state. So numpy is quick enough, and the same pieces give the
    same result to the last bit.
    """

    def __init__(self, *, sample_rate_hz: int) -> None:
        step, feed, look, direct = _sections(sample_rate_hz)
        self._settled = np.linalg.solve(np.eye(_STATES) - step, feed).astype(np.float32)
        self._state: Array = np.zeros(_STATES, dtype=np.float32)
        # Of the states before each sample of a piece, and before the one after it.
        powers = [np.eye(_STATES)]
        for _ in range(_PIECE):
            powers.append(step @ powers[-1])
        response = np.array([direct, *(look @ power @ feed for power in powers[:-1])])
        behind = np.arange(_PIECE)[:, np.newaxis] - np.arange(_PIECE)
        outputs = np.where(behind >= 0, response[np.abs(behind)], 0)
        seen = np.array([look @ power for power in powers[:-1]])
        self._outputs = np.hstack((outputs, seen)).astype(np.float32)
        # For pieces of any length: what a sample adds to the state so many samples later.
        self._adds = np.array([power @ feed for power in powers[:-1]]).astype(np.float32)
        self._powers = np.array(powers).astype(np.float32)

    def settle(self, offset: float) -> None:
        """Be as if nothing but a constant offset had ever been heard, of which nothing is left."""
        self._state = self._settled * np.float32(offset)

    def __call__(self, samples: Array) -> Array:
        """(samples,) float32, of the next samples what is above the cutoff."""
        filtered = np.empty(len(samples), dtype=np.float32)
        for start in range(0, len(samples), _PIECE):
            piece = samples[start : start + _PIECE]
            count = len(piece)
            filtered[start : start + count] = (
                self._outputs[:count, :count] @ piece + self._outputs[:count, _PIECE:] @ self._state
            )
            self._state = piece[::-1] @ self._adds[:count] + self._powers[count] @ self._state
        return filtered


def _sections(rate_hz: int) -> tuple[Matrix, Matrix, Matrix, float]:
    """Both sections after one another as one system: the next state is step @ state + feed * input,
    the output is look @ state + direct * input.

    Coefficients by the bilinear transform (Bristow-Johnson's cookbook), transposed direct form II.
    """
    turn = 2 * math.pi * _CUTOFF_HZ / rate_hz
    coefficients = []
    for quality in _QUALITIES:
        alpha, cosine = math.sin(turn) / (2 * quality), math.cos(turn)
        b = np.array([(1 + cosine) / 2, -1 - cosine, (1 + cosine) / 2]) / (1 + alpha)
        coefficients.append((b, np.array([-2 * cosine, 1 - alpha]) / (1 + alpha)))

    def run(state: Matrix, value: float) -> tuple[Matrix, float]:
        new = []
        for number, (b, a) in enumerate(coefficients):
            first, second = state[2 * number : 2 * number + 2]
            out = b[0] * value + first
            new += [b[1] * value - a[0] * out + second, b[2] * value - a[1] * out]
            value = float(out)
        return np.array(new), value

    columns = [run(state, 0.0) for state in np.eye(_STATES)]
    feed, direct = run(np.zeros(_STATES), 1.0)
    step = np.stack([state for state, _ in columns], axis=1)
    return step, feed, np.array([output for _, output in columns]), direct
