"""Rows of shards to the lists of a store: repeated sounds left out, and what there is counted."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speechrec import store
from speechrec.config import PARTS, SILENCE
from speechrec.dataset import Plan
from speechrec.errors import DatasetError
from speechrec.files import replacing
from speechrec.recording import Fault, one_line
from speechrec.shards import dumps, shard_rows


@dataclass(slots=True)
class ExtractSummary:
    """What an extraction made. ``counts`` and ``seconds`` are by (part, label)."""

    folder: Path
    labels: tuple[str, ...]
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: Counter[tuple[str, str]] = field(default_factory=Counter)
    speakers: dict[str, int] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    first_faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def joined(folder: Path, shards: Iterator[int], plan: Plan, *, strict: bool) -> ExtractSummary:
    """Join the shards' rows as they come, and drop repeated sounds.

    Args:
        folder: of the shards; ``clips.jsonl`` and ``skipped.jsonl`` are written into it.
        shards: their numbers, each when it is on the disk.
        strict: make the first bad file or repeated sound an error.

    Raises:
        DatasetError: none of the recordings can be used, or the first error if ``strict``.
    """
    summary = ExtractSummary(folder, plan.labels)
    speakers: dict[str, str] = {}
    with (
        replacing(folder / store.CLIPS_NAME) as clips_path,
        replacing(folder / store.SKIPPED_NAME) as skipped_path,
        clips_path.open("w", encoding="utf-8") as clips,
        skipped_path.open("w", encoding="utf-8") as skipped,
    ):
        for row, line in _distinct(folder, shards, plan.faults):
            if "kind" in row:
                if strict:
                    raise DatasetError(row["message"])
                skipped.write(line)
                summary.faults[row["kind"]] += 1
                if len(summary.first_faults) < 10:
                    summary.first_faults.append(row["message"])
                continue
            clips.write(line)
            summary.counts[row["part"], row["label"]] += 1
            summary.seconds[row["part"], row["label"]] += row["duration_s"]
            if row["speaker"]:
                speakers.setdefault(row["speaker"], row["part"])
    # Noise is always there; without a word it is nothing to learn from.
    if not {label for _, label in summary.counts} - {SILENCE}:
        reasons = "; ".join(summary.first_faults[:1])
        raise DatasetError(f"none of the recordings can be used (first reason: {reasons})")
    summary.speakers = dict(Counter(speakers.values()))
    return summary


def missing_classes(summary: ExtractSummary) -> list[str]:
    """A line for every part that lacks a class, since its figures then lack it too."""
    lines = []
    for part in PARTS:
        absent = [label for label in summary.labels if not summary.counts[part, label]]
        if len(absent) == len(summary.labels):
            lines.append(f"there are no clips for the {part} part")
        elif absent:
            lines.append(f"the {part} part has no clips of {', '.join(absent)}")
    return lines


def _distinct(
    folder: Path, shards: Iterator[int], faults: list[Fault]
) -> Iterator[tuple[dict[str, Any], str]]:
    """Faults and clips in order with their lines, a clip that sounds like an earlier one a fault.

    A sound's digest points at its shard and row only: this keeps the table small, and the earlier
    clip's name is looked up in the rare case that it is wanted.
    """
    for fault in faults:
        yield _with_line(fault)
    seen: dict[int, int] = {}
    for index in shards:
        sounds, rows = shard_rows(folder, index)
        for row, line in rows:
            sound = "" if "kind" in row else sounds[row["row"]]
            here = index << 32 | row.get("row", 0)
            first = seen.setdefault(int(sound, 16), here) if sound else here
            if first == here:
                yield row, line
                continue
            _, others = shard_rows(folder, first >> 32)
            original = next(r for r, _ in others if r.get("row") == first & 0xFFFFFFFF)
            message = f"{row['path']}: same sound as {original['path']}, which is kept"
            if row["word"] != original["word"]:
                message += f"; the one says {row['word']!r}, the other {original['word']!r}"
            yield _with_line(Fault(row["path"], "duplicate", one_line(message)))


def _with_line(fault: Fault) -> tuple[dict[str, Any], str]:
    row = dataclasses.asdict(fault)
    return row, dumps(row) + "\n"
