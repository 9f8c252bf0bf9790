"""Long recordings with known commands, as a recogniser hears them."""

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechrec.errors import AudioError, DatasetError
from speechrec.event import Event
from speechrec.events import file_events
from speechrec.features import Array
from speechrec.labels import Command, labels_beside, read_labels
from speechrec.listing import sound_files
from speechrec.mix import INFO_NAME
from speechrec.mix_config import condition_name
from speechrec.recognizer import Recognizer
from speechrec.recording import Fault
from speechrec.sndfile import read_info

# The condition of recordings that say nothing about their noise.
_ANY = "all"
_NO_CLIP: Array = np.empty(0, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class HeardRecording:
    """A recording's events and its truth. ``condition`` is its noise, such as ``10dB``."""

    path: Path
    condition: str
    seconds: float
    truth: tuple[Command, ...]
    events: tuple[Event, ...]


def hear_folder(
    recognizer: Recognizer,
    folder: Path,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    on_fault: Callable[[Fault], None] | None = None,
) -> list[HeardRecording]:
    """What the network made of each recording; arguments and errors as
    `stream_evaluate.evaluate_streams`."""
    paths = sound_files(folder) if folder.is_dir() else []
    if not paths:
        raise DatasetError(
            f"{folder}: expected a folder of recordings with labels, found none; make some with: "
            "speechrec mix"
        )
    conditions = _conditions(folder)
    # All of them before the first is heard, since hearing may take hours.
    truths = _truths(paths, recognizer)
    heard: list[HeardRecording] = []
    faults: list[Fault] = []
    for done, (path, truth) in enumerate(zip(paths, truths, strict=True), 1):
        try:
            seconds, events = _hear(recognizer, path)
            condition = conditions.get(path.name, _ANY)
            heard.append(HeardRecording(path, condition, seconds, truth, events))
        except AudioError as error:
            if on_fault is None:
                raise
            faults.append(Fault.of(str(path), error))
            on_fault(faults[-1])
        progress(done, len(paths))
    if not heard:
        raise DatasetError(
            f"{folder}: no recording can be heard (first reason: {faults[0].message})"
        )
    # As `mix` was asked for the conditions: clean first, as a rule.
    order = [*dict.fromkeys(conditions.values()), _ANY]
    return sorted(heard, key=lambda item: order.index(item.condition))


def _hear(recognizer: Recognizer, path: Path) -> tuple[float, tuple[Event, ...]]:
    """How long a recording is and what the network was asked about, without the clips: of an hour
    they would be a gigabyte."""
    events: list[Event] = []
    seconds = 0.0
    for found, length_s in file_events(recognizer, path):
        seconds += length_s
        events += (dataclasses.replace(event, clip=_NO_CLIP) for event in found)
    return seconds, tuple(events)


def _conditions(folder: Path) -> dict[str, str]:
    """The noise of each recording, where `mix` made them."""
    try:
        rows = json.loads((folder / INFO_NAME).read_text(encoding="utf-8"))["recordings"]
        return {row["file"]: condition_name(row["snr_db"]) for row in rows}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DatasetError(
            f"{folder / INFO_NAME}: expected what speechrec mix writes: {error}"
        ) from error


def _truths(paths: Sequence[Path], recognizer: Recognizer) -> list[tuple[Command, ...]]:
    """The commands in each recording; none in any of them where none has labels."""
    tracks = [labels_beside(path) for path in paths]
    if not any(tracks):
        return [()] * len(paths)
    truths = []
    for path, track in zip(paths, tracks, strict=True):
        if track is None:
            raise DatasetError(
                f"{path}: expected its commands as Audacity labels in {path.with_suffix('.txt')}; "
                "an empty file says that there are none"
            )
        truth = read_labels(track, words=recognizer.keywords)
        last = max((command.end_s for command in truth), default=0.0)
        # Set by hand, labels may reach a little too far.
        if last > 0.5 + (seconds := _length_s(path)):
            raise DatasetError(
                f"{track}: expected labels of {path.name}, which ends at {seconds:.2f} s, got one "
                f"at {last:.2f} s"
            )
        _refuse_twice(truth, track)
        truths.append(truth)
    return truths


def _refuse_twice(truth: Sequence[Command], track: Path) -> None:
    """A word cannot be said twice at once; labels of two, set by hand, may touch."""
    last = dict[str, Command]()
    for command in sorted(truth, key=lambda each: each.start_s):
        before = last.get(command.label)
        if before and (command.start_s + command.end_s) / 2 <= before.end_s:
            raise DatasetError(
                f"{track}: expected {command.label!r} at {command.start_s:g} s once, two labels "
                "of it lie there; keep one"
            )
        last[command.label] = command


def _length_s(path: Path) -> float:
    try:
        return read_info(path).duration_s
    except AudioError:
        # Such as a FLAC that does not say it; hearing it does, or says what is wrong.
        return math.inf
