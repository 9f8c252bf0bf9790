"""Long recordings with known commands, as a recogniser hears them."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechrec.errors import DatasetError
from speechrec.event import Event
from speechrec.features import Array
from speechrec.labels import Command, read_labels
from speechrec.mix import INFO_NAME
from speechrec.mix_config import condition_name
from speechrec.negatives import file_events
from speechrec.recognizer import Recognizer
from speechrec.recordings import sound_files

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
) -> list[HeardRecording]:
    """What the network made of each recording; arguments and errors as
    `stream_evaluate.evaluate_streams`."""
    paths = sound_files(folder) if folder.is_dir() else []
    if not paths:
        raise DatasetError(
            f"{folder}: expected recordings with labels, found none; make some with: speechrec mix"
        )
    conditions = _conditions(folder)
    labelled = any(path.with_suffix(".txt").exists() for path in paths)
    heard = []
    for done, path in enumerate(paths, 1):
        truth = _truth(path, recognizer) if labelled else ()
        events: list[Event] = []
        seconds = 0.0
        for found, length_s in file_events(recognizer, path):
            seconds += length_s
            # An hour of clips would be a gigabyte.
            events += (dataclasses.replace(event, clip=_NO_CLIP) for event in found)
        condition = conditions.get(path.name, _ANY)
        heard.append(HeardRecording(path, condition, seconds, truth, tuple(events)))
        progress(done, len(paths))
    # As `mix` was asked for the conditions: clean first, as a rule.
    order = [*dict.fromkeys(conditions.values()), _ANY]
    return sorted(heard, key=lambda item: order.index(item.condition))


def _conditions(folder: Path) -> dict[str, str]:
    """The noise of each recording, where `mix` made them."""
    try:
        rows = json.loads((folder / INFO_NAME).read_text(encoding="utf-8"))["recordings"]
        return {row["file"]: condition_name(row["snr_db"]) for row in rows}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DatasetError(
            f"{folder / INFO_NAME}: expected what speechrec mix writes: {error}"
        ) from error


def _truth(path: Path, recognizer: Recognizer) -> tuple[Command, ...]:
    labels = path.with_suffix(".txt")
    if not labels.exists():
        raise DatasetError(f"{path}: expected its commands as Audacity labels in {labels}")
    truth = read_labels(labels)
    for command in truth:
        if command.label not in recognizer.keywords:
            raise DatasetError(
                f"{labels}: the recogniser does not know {command.label!r}; it knows "
                f"{', '.join(recognizer.keywords)}"
            )
    return truth
