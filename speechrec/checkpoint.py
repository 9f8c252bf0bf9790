"""The state of a training after each epoch, on the disk, and its history."""

import csv
import dataclasses
import json
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from speechrec.errors import TrainingError
from speechrec.files import replacing, write_json

# What comes of reading a Keras file, or a JSON one, that is missing or damaged.
DAMAGE = (OSError, ValueError, TypeError, KeyError, EOFError, RecursionError, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One epoch. ``accuracy`` is measured during the epoch with dropout on,
    ``accuracy_dropout_off`` after it on the first training clips with dropout off."""

    epoch: int
    loss: float
    accuracy: float
    accuracy_dropout_off: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float


def write_history(path: Path, history: list[EpochRow]) -> None:
    """One line an epoch, as CSV."""
    names = [entry.name for entry in dataclasses.fields(EpochRow)]
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(map(dataclasses.asdict, history))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """``state.json`` names the epochs whose models are saved beside it; it is written last."""

    # In a run's folder.
    FOLDER = "checkpoint"
    STATE = "state.json"
    folder: Path
    identity: dict[str, Any] = field(repr=False)

    def clear(self) -> None:
        """Drop what is there."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def refuse_if_present(self) -> None:
        """Raise `TrainingError` where a stopped training would be lost."""
        if (self.folder / self.STATE).exists():
            raise TrainingError(
                f"{self.folder.parent}: holds a training that was stopped; go on with --resume, or "
                "drop it with --restart"
            )

    def save(self, model: keras.Model, history: list[EpochRow], kept: int) -> None:
        """The state after the last epoch of ``history``; models of no further use are removed."""
        with replacing(self._model(len(history))) as partial:
            model.save(partial)
        rows = [dataclasses.asdict(row) for row in history]
        state = {"identity": self.identity, "kept_epoch": kept, "history": rows}
        write_json(self.folder / self.STATE, state)
        for path in self.folder.glob("epoch-*.keras"):
            if path not in (self._model(kept), self._model(len(history))):
                path.unlink()

    def load(self) -> tuple[keras.Model, list[EpochRow]]:
        """The model, compiled and with its optimiser's state, and the epochs so far."""
        try:
            state = json.loads((self.folder / self.STATE).read_text(encoding="utf-8"))
            history = [EpochRow(**row) for row in state["history"]]
            identity = dict(state["identity"])
        except FileNotFoundError as error:
            raise TrainingError(
                f"{self.folder.parent}: nothing to resume; train without --resume"
            ) from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise TrainingError(
                f"{self.folder}: damaged ({error}); train with --restart"
            ) from error
        wanted = json.loads(json.dumps(self.identity))
        differing = [name for name in wanted if identity.get(name) != wanted[name]]
        if differing:
            raise TrainingError(
                f"{self.folder.parent}: the stopped run had other settings or data "
                f"({', '.join(differing)}); use the same, or drop it with --restart"
            )
        return self.load_model(len(history)), history

    def load_model(self, epoch: int) -> keras.Model:
        try:
            return keras.models.load_model(self._model(epoch))
        except DAMAGE as error:
            raise TrainingError(
                f"{self._model(epoch)}: missing or damaged; train with --restart"
            ) from error

    def _model(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:04d}.keras"
