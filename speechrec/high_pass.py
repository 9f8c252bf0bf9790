"""What of a sound is above 80 Hz, sample by sample: the loudness of a stream goes by that.

The 1024 numbers begin at 60 Hz. A mains hum, rumble or wind below it is not in them, but would be
by far the loudest there is, and no word would stand out from it.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from speechrec.features import Array

_CUTOFF_HZ = 80.0
# Of a Butterworth filter of the fourth order, as two sections of the second.
_QUALITIES = (0.5411961, 1.3065630)
_STATES = 2 * len(_QUALITIES)
# As many samples are filtered at once.
_PIECE = 240
Matrix = npt.NDArray[np.float64]


class HighPass:
    """A Butterworth high-pass of the fourth order, whose state goes on from call to call.

    A recursion over samples, unrolled over pieces of them: output and next state are matrices times
    the input and the state. So numpy is quick enough, and the same pieces give the same result to
    the last bit.
    """

    def __init__(self, *, sample_rate_hz: int) -> None:
        self._unrolled = _unrolled(sample_rate_hz)
        self._state: Array = np.zeros(_STATES, dtype=np.float32)

    def settle(self, offset: float) -> None:
        """Be as if nothing but a constant offset had ever been heard, of which nothing is left."""
        self._state = self._unrolled.settled * np.float32(offset)

    def __call__(self, samples: Array) -> Array:
        """(samples,) float32, of the next samples what is above the cutoff."""
        by, filtered = self._unrolled, np.empty(len(samples), dtype=np.float32)
        for start in range(0, len(samples), _PIECE):
            piece = samples[start : start + _PIECE]
            count = len(piece)
            filtered[start : start + count] = (
                by.response[:count, :count] @ piece + by.seen[:count] @ self._state
            )
            self._state = piece[::-1] @ by.added[:count] + by.powers[count] @ self._state
        return filtered


class _Unrolled(NamedTuple):
    """The recursion over a piece, or over the first samples of one; all float32.

    ``response``: (piece, piece) from input to output; ``seen``: (piece, states) from the state
    before it to the output; ``added``: (piece, states), what a sample adds to the state so many
    samples later; ``powers``: (piece + 1, states, states), what becomes of a state by then;
    ``settled``: (states,) after ones without an end.
    """

    response: Array
    seen: Array
    added: Array
    powers: Array
    settled: Array


@cache
def _unrolled(sample_rate_hz: int) -> _Unrolled:
    step, feed, look, direct = _sections(sample_rate_hz)
    powers = [np.eye(_STATES)]
    for _ in range(_PIECE):
        powers.append(step @ powers[-1])
    added = np.array([power @ feed for power in powers[:-1]])
    impulse = np.array([direct, *(added @ look)])
    behind = np.arange(_PIECE)[:, np.newaxis] - np.arange(_PIECE)
    response = np.where(behind >= 0, impulse[np.abs(behind)], 0)
    seen = np.array([look @ power for power in powers[:-1]])
    settled = np.linalg.solve(np.eye(_STATES) - step, feed)
    return _Unrolled(
        *(np.asarray(part, dtype=np.float32) for part in (response, seen, added, powers, settled))
    )


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
