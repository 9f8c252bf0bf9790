"""A threshold for each command of a stream, from the false alarms it makes in sound without any."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speechrec.errors import AudioError, DatasetError
from speechrec.negatives import Negative, file_events
from speechrec.recognizer import Recognizer
from speechrec.recordings import Fault

# Likelier than everything else together: no command counts below.
LEAST_THRESHOLD = 0.5
# Beyond it float32 posteriors are rounded to 1.
_MOST_LOGIT = 14.0
# A rate that so many false alarms bear out is counted; below, the tail is extrapolated.
_COUNTED = 5.0
_TAIL = 20


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """Confidences of everything taken for a command, by command, in ``hours`` of sound."""

    confidences: Mapping[str, npt.NDArray[np.float64]]
    hours: float
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamThresholds:
    """``extrapolated`` are commands whose rate is rarer than the sound is long."""

    thresholds: dict[str, float]
    extrapolated: tuple[str, ...]


def count_false_alarms(
    recognizer: Recognizer,
    negatives: Sequence[Negative],
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FalseAlarms:
    """Run over sound without commands and keep how sure the network was of each it heard.

    Raises:
        DatasetError: nothing could be read.
    """
    found: dict[str, list[float]] = {label: [] for label in recognizer.keywords}
    faults: list[Fault] = []
    seconds = 0.0
    for done, item in enumerate(negatives, 1):
        try:
            for events, length_s in file_events(recognizer, item.path):
                seconds += length_s
                for event in events:
                    number = int(np.argmax(event.posteriors))
                    if (label := recognizer.labels[number]) in found:
                        found[label].append(float(event.posteriors[number]))
        except AudioError as error:
            faults.append(Fault.of(str(item.path), error))
        progress(done, len(negatives))
    if not seconds:
        reason = f" (first reason: {faults[0].message})" if faults else ""
        raise DatasetError(f"expected sound without commands, none could be read{reason}")
    confidences = {label: np.sort(values)[::-1] for label, values in found.items()}
    return FalseAlarms(confidences, seconds / 3600, tuple(faults))


def choose_thresholds(alarms: FalseAlarms, *, per_hour: float) -> StreamThresholds:
    """The lowest thresholds at which false alarms are expected to stay below a rate.

    Every command is allowed the same share. Where the sound is long enough, the false alarms above
    a threshold are counted. Where it is not, the tail of their log-odds is taken for exponential,
    as of peaks over a threshold (Pickands 1975), with one mean excess for all commands, and
    extrapolated.

    Args:
        per_hour: of all commands together, above 0.
    """
    allowed = per_hour * alarms.hours / len(alarms.confidences)
    logits = {label: _logit(values) for label, values in alarms.confidences.items()}
    if allowed >= _COUNTED:
        chosen = {label: _counted(values, allowed) for label, values in logits.items()}
    else:
        excess = _mean_excess(list(logits.values()))
        chosen = {label: _extrapolated(values, allowed, excess) for label, values in logits.items()}
    thresholds = {
        label: max(LEAST_THRESHOLD, 1 / (1 + math.exp(-min(logit, _MOST_LOGIT))))
        for label, logit in chosen.items()
    }
    extrapolated = tuple(thresholds) if allowed < _COUNTED else ()
    return StreamThresholds(thresholds, extrapolated)


def _logit(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    clipped = np.clip(p.astype(np.float64), 1e-9, 1 - 1e-9)
    logits: npt.NDArray[np.float64] = np.log(clipped / (1 - clipped))
    return logits


def _counted(logits: npt.NDArray[np.float64], allowed: float) -> float:
    """Just above the first false alarm that is one too many."""
    count = int(allowed)
    return float(np.nextafter(logits[count], np.inf)) if len(logits) > count else 0.0


def _tail(logits: npt.NDArray[np.float64]) -> tuple[float, int]:
    """Where the tail begins, and how many are beyond: the largest twenty, at most half of all."""
    beyond = min(_TAIL, len(logits) // 2)
    return (float(logits[beyond]), beyond) if beyond else (0.0, 0)


def _mean_excess(commands: list[npt.NDArray[np.float64]]) -> float:
    """Mean of what the tails' log-odds are above where their tail begins."""
    excesses = [logits[: _tail(logits)[1]] - _tail(logits)[0] for logits in commands]
    joined = np.concatenate(excesses)
    return float(joined.mean()) if len(joined) else 0.0


def _extrapolated(logits: npt.NDArray[np.float64], allowed: float, excess: float) -> float:
    """Where so many false alarms, perhaps less than one, are left of an exponential tail."""
    start, beyond = _tail(logits)
    if beyond <= allowed:
        return _counted(logits, allowed)
    return start + excess * math.log(beyond / allowed)
