"""Beside the fitting: dropout is seeded, accuracy followed, the state saved, training stopped."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from speechrec.checkpoint import Checkpoint, EpochRow, write_history
from speechrec.errors import TrainingError
from speechrec.optimizer import epoch_steps
from speechrec.store import FeatureSet
from speechrec.train_config import TrainConfig

# Clips of the training part whose accuracy with dropout off is followed during training.
_FOLLOWED_CLIPS = 2000
BATCH_WITHOUT_GRADIENT = 512


@dataclass(frozen=True, slots=True)
class Step:
    """Where training is: ``batch`` of ``batches`` in ``epoch`` of ``epochs``."""

    epoch: int
    epochs: int
    batch: int
    batches: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How a training is run, which does not change what comes out.

    ``resume`` goes on from the last saved epoch, ``restart`` drops what a stopped training left,
    ``tensorboard`` also writes event files. The callbacks are told of every new stage, of how many
    clips of how many have their altered copies, and of every step and epoch.
    """

    resume: bool = False
    restart: bool = False
    tensorboard: bool = False
    on_stage: Callable[[str], None] = lambda stage: None
    on_copies: Callable[[int, int], None] = lambda done, total: None
    on_step: Callable[[Step], None] = lambda step: None
    on_epoch: Callable[[EpochRow], None] = lambda row: None


class Recorder(keras.callbacks.Callback):
    """Seeds dropout each epoch, follows accuracy, saves the state, and stops early."""

    def __init__(
        self,
        training: FeatureSet,
        checkpoint: Checkpoint,
        run: Path,
        history: list[EpochRow],
        config: TrainConfig,
        options: TrainOptions,
    ) -> None:
        super().__init__()
        chosen = np.random.default_rng(0).permutation(len(training))[:_FOLLOWED_CLIPS]
        self._followed = training.x[chosen], training.y[chosen]
        self._checkpoint, self._run, self._config = checkpoint, run, config
        self._options = options
        self._batches = epoch_steps(training, config)
        self.history = history

    @property
    def kept_epoch(self) -> int:
        """The epoch, from 1, of the weights to keep."""
        return self._best_epoch if self._config.keep_best else len(self.history)

    @property
    def _best_epoch(self) -> int:
        return max(self.history, key=lambda row: (row.val_accuracy, -row.val_loss)).epoch

    @property
    def finished(self) -> bool:
        settings = self._config
        done = len(self.history)
        if not done:
            return False
        return done >= settings.epochs or 0 < settings.patience <= done - self._best_epoch

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._started = time.perf_counter()
        seed_dropout(self.model, self._config.seed, epoch)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        accuracy = float((logs or {}).get("accuracy", 0.0))
        step = Step(len(self.history) + 1, self._config.epochs, batch + 1, self._batches, accuracy)
        self._options.on_step(step)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        loss = logs["loss"] + logs["val_loss"]
        if not np.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss} in epoch {epoch + 1}; "
                "lower train.learning_rate and train again"
            )
        x, y = self._followed
        row = EpochRow(
            epoch=epoch + 1,
            loss=float(logs["loss"]),
            accuracy=float(logs["accuracy"]),
            accuracy_dropout_off=float(np.mean(predicted(self.model, x, training=False) == y)),
            val_loss=float(logs["val_loss"]),
            val_accuracy=float(logs["val_accuracy"]),
            learning_rate=float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            seconds=round(time.perf_counter() - self._started, 3),
        )
        self.history.append(row)
        self._checkpoint.save(self.model, self.history, self.kept_epoch)
        write_history(self._run / "history.csv", self.history)
        self._options.on_epoch(row)
        if self.finished:
            self.model.stop_training = True


def seed_dropout(model: keras.Model, seed: int, epoch: int) -> None:
    """Set every dropout layer's generator to a state that follows from (seed, epoch, layer)."""
    for index, layer in enumerate(model.layers):
        if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
            state = np.random.SeedSequence((seed, epoch, index)).generate_state(2)
            layer.seed_generator.state.assign(state.astype(layer.seed_generator.state.dtype))


def predicted(model: keras.Model, x: Any, *, training: bool) -> Any:
    """(clips,) numbers of the likeliest labels."""
    batches = range(0, len(x), BATCH_WITHOUT_GRADIENT)
    scores = [model(x[i : i + BATCH_WITHOUT_GRADIENT], training=training) for i in batches]
    return np.argmax(np.concatenate([np.asarray(score) for score in scores]), axis=1)
