"""A recogniser on long recordings with known commands: misses, false alarms, latency, DET curve."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from speechrec.heard import HeardRecording, hear_folder
from speechrec.labels import Command
from speechrec.recognizer import Recognizer
from speechrec.recording import Fault
from speechrec.stream import Decider, Detection

# The middle of a detection may be so far outside the word.
_TOLERANCE_S = 0.25
# Changes of all thresholds' log-odds for which a point of the DET curve is counted.
_SHIFTS = np.arange(-6, 6.01, 0.25)
# So many of the surest false alarms are named.
SUREST = 10


@dataclass(frozen=True, slots=True)
class CommandFigures:
    """One command: how often it was said, how often missed, how often heard without being said."""

    said: int
    missed: int
    false_alarms: int


@dataclass(frozen=True, slots=True)
class FalseAlarm:
    """What was taken for a command: where it is, and which command was said there, if any."""

    path: str
    start_s: float
    end_s: float
    label: str
    confidence: float
    said: str | None


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """One condition.

    ``false_alarms`` are detections where nothing or something else was said, ``mistaken`` those of
    them on another command; ``twice`` are second detections of one utterance; ``unheard`` are
    commands at which the network was never asked. Latency is from the
    end of the word to the sample at which its detection was certain. ``surest`` are the ten false
    alarms of highest confidence. ``det`` are (false alarms per hour, miss rate) at lower and higher
    thresholds. Where no command is said, there is no miss rate and no ``det``.
    """

    condition: str
    recordings: int
    hours: float
    said: int
    missed: int
    miss_rate: float | None
    false_alarms: int
    false_alarms_per_hour: float
    mistaken: int
    twice: int
    unheard: int
    latency_median_s: float | None
    latency_95_s: float | None
    per_command: dict[str, CommandFigures]
    surest: tuple[FalseAlarm, ...]
    det: tuple[tuple[float, float], ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values, as ``evaluate --stream --json`` prints them."""
        return asdict(self)


def evaluate_streams(
    recognizer: Recognizer,
    folder: Path,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    on_fault: Callable[[Fault], None] | None = None,
) -> list[StreamFigures]:
    """Figures for every condition of a folder of recordings with Audacity labels beside them.

    Where no recording has labels, there is no command in any of them.

    Args:
        on_fault: called for a recording that cannot be read; it and its commands are left out.

    Raises:
        DatasetError: no recordings that can be read, one without labels among others, or labels of
            no command.
        AudioError: a recording cannot be read, and there is no ``on_fault``.
    """
    heard = hear_folder(recognizer, folder, progress=progress, on_fault=on_fault)
    conditions = list(dict.fromkeys(item.condition for item in heard))
    return [
        stream_figures(recognizer, [item for item in heard if item.condition == condition])
        for condition in conditions
    ]


def stream_figures(recognizer: Recognizer, heard: Sequence[HeardRecording]) -> StreamFigures:
    """Figures over recordings of one condition, at the recogniser's thresholds."""
    thresholds = recognizer.stream_thresholds
    matches = [_match(item, _detections(recognizer, item, thresholds)) for item in heard]
    said = Counter(command.label for item in heard for command in item.truth)
    caught = Counter(label for match in matches for label in match.caught)
    alarms = [alarm for match in matches for alarm in match.false]
    false = Counter(alarm.label for alarm in alarms)
    hours = sum(item.seconds for item in heard) / 3600
    latencies = [latency for match in matches for latency in match.latencies_s]
    missed = said.total() - caught.total()
    return StreamFigures(
        condition=heard[0].condition,
        recordings=len(heard),
        hours=hours,
        said=said.total(),
        missed=missed,
        miss_rate=missed / said.total() if said else None,
        false_alarms=false.total(),
        false_alarms_per_hour=false.total() / hours,
        mistaken=sum(alarm.said is not None for alarm in alarms),
        twice=sum(match.twice for match in matches),
        unheard=sum(_unheard(item, recognizer.config.sample_rate_hz) for item in heard),
        latency_median_s=float(np.median(latencies)) if latencies else None,
        latency_95_s=float(np.quantile(latencies, 0.95)) if latencies else None,
        per_command={
            label: CommandFigures(said[label], said[label] - caught[label], false[label])
            for label in recognizer.keywords
        },
        surest=tuple(sorted(alarms, key=lambda alarm: -alarm.confidence)[:SUREST]),
        det=tuple(_det_point(recognizer, heard, float(shift)) for shift in _SHIFTS if said),
    )


@dataclass(slots=True)
class _Match:
    """Detections set against the truth of a recording."""

    caught: list[str]
    latencies_s: list[float]
    false: list[FalseAlarm]
    twice: int = 0


def _match(item: HeardRecording, detections: Sequence[Detection]) -> _Match:
    match, done = _Match([], [], []), set[Command]()
    for found in detections:
        near = _near(item.truth, (found.start_s + found.end_s) / 2)
        right = [command for command in near if command.label == found.label]
        command = next((each for each in right if each not in done), None)
        if command:
            done.add(command)
            match.caught.append(command.label)
            match.latencies_s.append(found.known_s - command.end_s)
        elif right:
            match.twice += 1
        else:
            said = near[0].label if near else None
            match.false.append(
                FalseAlarm(
                    str(item.path), found.start_s, found.end_s, found.label, found.confidence, said
                )
            )
    return match


def _near(truth: Sequence[Command], middle_s: float) -> list[Command]:
    """The commands that are said at a time, or within the tolerance of it, nearest first."""

    def distance(command: Command) -> float:
        return max(command.start_s - middle_s, middle_s - command.end_s)

    return sorted((each for each in truth if distance(each) <= _TOLERANCE_S), key=distance)


def _unheard(item: HeardRecording, rate_hz: int) -> int:
    """Commands without an event at or near them."""
    near = {
        command for event in item.events for command in _near(item.truth, event.centre / rate_hz)
    }
    return len(set(item.truth) - near)


def _detections(
    recognizer: Recognizer, item: HeardRecording, thresholds: Mapping[str, float]
) -> list[Detection]:
    decide = Decider(recognizer.labels, thresholds, rate_hz=recognizer.config.sample_rate_hz)
    return decide.all_of(item.events)


def _det_point(
    recognizer: Recognizer, heard: Sequence[HeardRecording], shift: float
) -> tuple[float, float]:
    thresholds = {
        label: _shifted(value, shift) for label, value in recognizer.stream_thresholds.items()
    }
    matches = [_match(item, _detections(recognizer, item, thresholds)) for item in heard]
    said = sum(len(item.truth) for item in heard)
    missed = said - sum(len(match.caught) for match in matches)
    hours = sum(item.seconds for item in heard) / 3600
    return sum(len(match.false) for match in matches) / hours, missed / said


def _shifted(threshold: float, shift: float) -> float:
    """The threshold with ``shift`` added to its log-odds; what is muted stays so."""
    if threshold >= 1:
        return threshold
    clipped = min(max(threshold, 1e-12), 1 - 1e-12)
    return 1 / (1 + (1 - clipped) / clipped * math.exp(-shift))
