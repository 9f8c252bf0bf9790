"""How far a command is, on standard error."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

    from speechrec.checkpoint import EpochRow
    from speechrec.recorder import Step


def _progress(*, auto_refresh: bool = True) -> "Progress":
    # Not loaded where nobody sees a bar: that takes a while.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

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
    """A bar that is moved by calls with (done, total); nothing where there is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
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
