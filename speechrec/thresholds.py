"""A threshold for each command of a stream, from the false alarms it makes in sound without any."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speechrec.keyword_score import LEAST_THRESHOLD, passes
from speechrec.negatives import Negative, Tally, scored_events
from speechrec.recognizer import Recognizer
from speechrec.recording import Fault

# What might be one command or another is not reported, whatever the threshold, but belongs to the
# tail.
_UNREPORTED = float(np.nextafter(LEAST_THRESHOLD, 0.0))
# Beyond it float32 posteriors are rounded to 1.
_MOST_LOGIT = 14.0
# With at least so many allowed false alarms of each command they are counted; with fewer, the
# threshold is extrapolated.
_COUNTED = 5.0
# The tail: this share of the highest confidences, within these counts.
_TAIL_SHARE = 0.1
_LEAST_TAIL, _MOST_TAIL = 20, 150
# Log-odds have a tail between an exponential one and one with a nearby end.
_LEAST_SHAPE = -0.5
# The end of a tail is believed where it is so many standard errors, each about one over the root of
# the number of peaks, from having none.
_STANDARD_ERRORS = 2.0


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """What was heard in ``hours`` of sound without commands, by the command it was most like.

    ``confidences`` are those of that command, highest first; most are small, and those of what is
    reported at no threshold are below the least one.
    """

    confidences: Mapping[str, npt.NDArray[np.float64]]
    hours: float
    faults: tuple[Fault, ...] = ()

    def at(self, thresholds: Mapping[str, float]) -> dict[str, int]:
        """How many there are of each command at its threshold."""
        return {
            label: sum(passes(float(each), threshold) for each in self.confidences[label])
            for label, threshold in thresholds.items()
        }


@dataclass(frozen=True, slots=True)
class StreamThresholds:
    """``extrapolated`` are commands with too few allowed false alarms to be counted."""

    thresholds: dict[str, float]
    extrapolated: tuple[str, ...]


def count_false_alarms(
    recognizer: Recognizer,
    negatives: Sequence[Negative],
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FalseAlarms:
    """Run over sound without commands and keep how like a command everything in it was.

    Raises:
        DatasetError: nothing could be read.
    """
    found: dict[str, list[float]] = {label: [] for label in recognizer.keywords}
    tally = Tally()
    for heard in scored_events(recognizer, negatives, tally, progress=progress):
        most = 1.0 if heard.is_clear else _UNREPORTED
        found[heard.label].append(min(heard.confidence, most))
    confidences = {label: np.sort(values)[::-1] for label, values in found.items()}
    return FalseAlarms(confidences, tally.seconds / 3600, tuple(tally.faults))


def choose_thresholds(alarms: FalseAlarms, *, per_hour: float) -> StreamThresholds:
    """The lowest thresholds at which false alarms are expected to stay below a rate.

    Every command is allowed the same share. Where the sound is long enough, the false alarms above
    a threshold are counted. Where it is not, the log-odds of all commands together give the shape
    of the tail, a generalised Pareto distribution (Pickands 1975) fitted by its moments (Hosking &
    Wallis 1987), and each command's own number of peaks its height.

    Args:
        per_hour: of all commands together, above 0.
    """
    allowed = per_hour * alarms.hours / len(alarms.confidences)
    if allowed >= _COUNTED:
        chosen = {
            label: counted_threshold(heard, allowed) for label, heard in alarms.confidences.items()
        }
    else:
        logits = {label: _logit(heard) for label, heard in alarms.confidences.items()}
        tail = _Tail.fit(np.concatenate(list(logits.values())))
        levels = {label: tail.level(values, allowed) for label, values in logits.items()}
        # What is rounded to 1 would pass all but 1 itself.
        chosen = {
            label: 1 / (1 + math.exp(-level)) if level < _MOST_LOGIT else 1.0
            for label, level in levels.items()
        }
    thresholds = {label: max(LEAST_THRESHOLD, value) for label, value in chosen.items()}
    return StreamThresholds(thresholds, tuple(thresholds) if allowed < _COUNTED else ())


def counted_threshold(heard: npt.NDArray[np.float64], allowed: float) -> float:
    """Just above the first of these confidences, highest first, that is one too many."""
    count = int(allowed)
    return min(1.0, float(np.nextafter(heard[count], 2.0))) if len(heard) > count else 0.0


def _logit(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    clipped = np.clip(p.astype(np.float64), 1e-9, 1 - 1e-9)
    logits: npt.NDArray[np.float64] = np.log(clipped / (1 - clipped))
    return logits


@dataclass(frozen=True, slots=True)
class _Tail:
    """A generalised Pareto distribution of what is above ``start``."""

    start: float
    scale: float
    shape: float

    @classmethod
    def fit(cls, logits: npt.NDArray[np.float64]) -> "_Tail":
        """From log-odds in any order."""
        ordered = np.sort(logits)[::-1]
        count = min(max(round(_TAIL_SHARE * len(ordered)), _LEAST_TAIL), _MOST_TAIL)
        count = min(count, len(ordered) - 1)
        if count < 2:
            # Next to nothing was heard.
            return cls(0.0, 1.0, 0.0)
        excess = ordered[:count] - ordered[count]
        mean, variance = float(excess.mean()), float(excess.var())
        shape = (1 - mean * mean / variance) / 2 if variance else 0.0
        # As few peaks as a minute has would often give the tail an end that it does not have.
        shape += _STANDARD_ERRORS / math.sqrt(count)
        shape = min(max(shape, _LEAST_SHAPE), 0.0)
        return cls(float(ordered[count]), mean * (1 - shape), shape)

    def level(self, logits: npt.NDArray[np.float64], allowed: float) -> float:
        """Above which so many of a command's false alarms, perhaps less than one, are expected."""
        # Half a peak more: that there was none yet does not mean that there is never one.
        times = max(1.0, (np.count_nonzero(logits > self.start) + 0.5) / allowed)
        if self.shape:
            return float(self.start + self.scale / self.shape * (times**self.shape - 1))
        return self.start + self.scale * math.log(times)
