"""What the commands show: progress bars and summaries."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from speechrec.config import PARTS, is_keyword
from speechrec.listening import LEAST_DB

if TYPE_CHECKING:
    from pathlib import Path

    from speechrec.checkpoint import EpochRow
    from speechrec.join import ExtractSummary
    from speechrec.recorder import Step
    from speechrec.run import RunResult
    from speechrec.thresholds import FalseAlarms, StreamThresholds

_METER_BARS = 40
_SHOWN_EVERY_S = 0.1


def _progress(*, auto_refresh: bool = True) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
        transient=True,
        auto_refresh=auto_refresh,
    )


@contextmanager
def clips_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that is moved by calls with (done, total)."""
    # No thread that redraws: a process with threads cannot be forked safely.
    with _progress(auto_refresh=False) as bar:
        task = bar.add_task(what, total=None, note="")
        yield lambda done, total: bar.update(task, completed=done, total=total, refresh=True)


@contextmanager
def epochs_progress() -> Iterator[dict[str, Callable[..., None]]]:
    """The callbacks of `TrainOptions`: a bar over all batches, a line for every stage and epoch."""
    with _progress() as bar:
        task = bar.add_task("training", total=None, note="")

        def on_stage(stage: str) -> None:
            bar.console.print(f"training: {stage}", highlight=False)

        def on_copies(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description="altered copies", note="")

        def on_step(step: "Step") -> None:
            done = (step.epoch - 1) * step.batches + step.batch
            bar.update(
                task, completed=done, total=step.epochs * step.batches,
                description=f"epoch {step.epoch}/{step.epochs}",
                note=f"accuracy {step.accuracy:.1%} with dropout on",
            )  # fmt: skip

        def on_epoch(row: "EpochRow") -> None:
            bar.console.print(
                f"epoch {row.epoch}: validation {row.val_accuracy:.1%}, training "
                f"{row.accuracy:.1%} with dropout on, {row.accuracy_dropout_off:.1%} off, "
                f"{row.seconds:.1f} s",
                highlight=False,
                soft_wrap=True,
            )

        yield {
            "on_stage": on_stage, "on_copies": on_copies, "on_step": on_step, "on_epoch": on_epoch
        }  # fmt: skip


class ListeningScreen:
    """A line that shows the level of live sound, the last command and what was lost.

    Nothing is shown where standard error is no terminal.

    Args:
        overruns: how many blocks have been lost so far.
    """

    def __init__(self, overruns: Callable[[], int]) -> None:
        self._overruns = overruns
        self._last = ""
        self._shown_at = 0.0
        self._live = Live(
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
            # Detections stay above the line; in a pipe or a file they are none of its business.
            redirect_stdout=sys.stdout.isatty(),
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def detected(self, label: str) -> None:
        """Remember the last command."""
        self._last = label

    def level(self, level_db: float) -> None:
        """Show the level of a block, ten times a second at most."""
        now = time.monotonic()
        if now - self._shown_at < _SHOWN_EVERY_S:
            return
        self._shown_at = now
        bars = round((level_db - LEAST_DB) / -LEAST_DB * _METER_BARS)
        meter = "\N{FULL BLOCK}" * bars + "\N{MIDDLE DOT}" * (_METER_BARS - bars)
        lost = self._overruns()
        note = f"  {lost} overruns: sound was lost" if lost else ""
        self._live.update(Text(f"{meter} {level_db:4.0f} dBFS  {self._last}{note}"), refresh=True)


def model_text(record: Mapping[str, Any]) -> str:
    """An installed recogniser: its words, how good it is, whom to credit, where it is."""
    words = list(filter(is_keyword, record["labels"]))
    metrics = record["metrics"]
    silence, unknown = metrics["accuracy_without_silence"], metrics["unknown_recall"]
    lines = (
        f"{record['name']}  {' '.join(words)}",
        f"  accuracy {metrics['accuracy']:.1%} on the {metrics['part']} part of its recordings "
        f"({silence:.1%} without silence), unknown words recalled {unknown:.1%}",
        f"  {record['attribution']}",
        f"  {record['path']} ({record['bytes'] / 1e6:.1f} MB)",
    )
    return "\n".join(lines)


def thresholds_text(alarms: "FalseAlarms", chosen: "StreamThresholds", per_hour: float) -> str:
    """Each command's threshold, and how many false alarms it would have made."""
    lines = [f"{alarms.hours:.2f} hours without commands, {per_hour:g} false alarms an hour wanted"]
    for label, threshold in chosen.thresholds.items():
        heard = alarms.confidences[label]
        above = int((heard >= threshold).sum())
        lines.append(
            f"{label}  threshold {threshold:.4f}  above it {above} of {len(heard)} sounds like it"
        )
    if chosen.extrapolated:
        lines.append(
            "note: so few false alarms cannot be counted in so little sound; these thresholds are "
            "extrapolated from how the surest ones are spread, and more sound would make them "
            "better"
        )
    return "\n".join(lines)


def extract_text(summary: "ExtractSummary") -> str:
    """Clips and hours by part and label, bad files by reason, and notes."""
    width = max(map(len, summary.labels))
    lines = [f"{'':{width}}" + "".join(f"{part:>22}" for part in PARTS)]
    for label in (*summary.labels, "all"):
        cells = []
        for part in PARTS:
            chosen = summary.labels if label == "all" else (label,)
            count = sum(summary.counts[part, name] for name in chosen)
            hours = sum(summary.seconds[part, name] for name in chosen) / 3600
            cells.append(f"{count:8} clips {hours:6.2f} h")
        lines.append(f"{label:{width}}" + "".join(cells))
    if summary.speakers:
        counts = ", ".join(f"{summary.speakers.get(part, 0)} {part}" for part in PARTS)
        lines.append(f"speakers: {counts}")
    lines += [f"note: {note}" for note in summary.notes]
    if summary.faults:
        kinds = ", ".join(f"{count} {kind}" for kind, count in summary.faults.most_common())
        lines.append(f"not used: {sum(summary.faults.values())} files ({kinds}), first of them:")
        lines += [f"  {message}" for message in summary.first_faults]
        lines.append(f"all of them with their reasons: {summary.folder / 'skipped.jsonl'}")
    lines.append(f"features: {summary.folder}")
    return "\n".join(lines)


def teacher_text(folder: "Path", accuracy: float) -> str:
    """The end of a training of a teacher alone."""
    return (
        f"validation accuracy  {accuracy:.1%}\n"
        f"teacher: {folder}; learn from it with: speechrec train --teacher {folder.parent}"
    )


def train_text(done: "RunResult") -> str:
    """The end of a training: which epoch was kept, how good it is, where it is."""
    result = done.result
    return "\n".join(
        [
            f"kept epoch {result.kept_epoch} of {len(result.history)}",
            f"training accuracy    {result.accuracy_dropout_on:.1%} with dropout on, "
            f"{result.accuracy_dropout_off:.1%} with dropout off (as in prediction)",
            f"validation accuracy  {result.val_accuracy:.1%}",
            f"{done.part} accuracy     {done.report.accuracy:.1%} "
            "(of the recogniser file; speechrec evaluate says more)",
            f"report: {done.recogniser.parent / 'report.html'}",
            f"recogniser: {done.recogniser}",
        ]
    )
