"""Fit a network on a feature store, keep the best epoch, resume a stopped run.

Every epoch is a pure function of the state before it and (seed, epoch): the order of the clips and
the dropout masks are seeded anew each epoch, and the state (weights, optimiser, history) is saved
after each. So a run that was killed and resumed ends with the weights of one that was not.
"""

import ctypes
import dataclasses
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from speechrec.batches import Array, Batches, answers
from speechrec.checkpoint import Checkpoint, EpochRow, write_history
from speechrec.config import ModelConfig, TrainConfig
from speechrec.errors import MissingExtraError, TrainingError
from speechrec.model import band_statistics
from speechrec.optimizer import compiled, epoch_steps, recompile
from speechrec.store import FeatureSet

# Clips of the training part whose accuracy with dropout off is followed during training.
_FOLLOWED_CLIPS = 2000
_BATCH_WITHOUT_GRADIENT = 512


@dataclass(frozen=True, slots=True)
class Step:
    """Where training is: ``batch`` of ``batches`` in ``epoch`` of ``epochs``."""

    epoch: int
    epochs: int
    batch: int
    batches: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class TrainResult:
    """The kept model and how it came about; the two training accuracies are of its weights."""

    model: keras.Model
    history: tuple[EpochRow, ...]
    kept_epoch: int
    accuracy_dropout_on: float
    accuracy_dropout_off: float
    val_accuracy: float


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


def train(
    training: FeatureSet,
    validation: FeatureSet,
    run: Path,
    model_config: ModelConfig,
    config: TrainConfig,
    *,
    soft: Array | None = None,
    options: TrainOptions = TrainOptions(),
) -> TrainResult:
    """Train a network on (clips, 1024) vectors.

    Args:
        run: folder for ``checkpoint/`` (removed at the end by `finish`) and ``history.csv``.
        soft: (clips * views, labels) probabilities to learn instead of the labels.

    Raises:
        TrainingError: there is nothing to resume, it was made otherwise, a stopped training would
            be overwritten, or the loss is not finite.
        MissingExtraError: TensorBoard is asked for and not installed.
    """
    _prepare(config, options)
    least = -(-config.least_steps // epoch_steps(training, config))
    config = dataclasses.replace(config, epochs=max(config.epochs, least))
    targets = answers(training, config.label_smoothing) if soft is None else soft
    checkpoint = Checkpoint(
        run / "checkpoint", _identity(training, validation, targets, model_config, config)
    )
    if options.resume:
        model, history = checkpoint.load()
        recompile(model, training, config)
    else:
        if not options.restart:
            checkpoint.refuse_if_present()
        checkpoint.clear()
        model, history = compiled(training, model_config, config), []
    recorder = _Recorder(training, checkpoint, run, history, config, options)
    if not recorder.finished:
        callbacks: list[keras.callbacks.Callback] = [recorder]
        if options.tensorboard:
            callbacks.append(keras.callbacks.TensorBoard(run / "tensorboard"))
        model.fit(
            Batches(
                training, targets, config,
                fill=band_statistics(training.x, bands=training.config.bands)[0],
                first_epoch=len(history),
            ),
            epochs=config.epochs,
            initial_epoch=len(history),
            validation_data=(validation.x, answers(validation)),
            validation_batch_size=_BATCH_WITHOUT_GRADIENT,
            callbacks=callbacks,
            # `Batches` shuffles; Keras would shuffle again, with a state that is not saved.
            shuffle=False,
            verbose=0,
        )  # fmt: skip
    kept = recorder.kept_epoch
    model = checkpoint.load_model(kept)
    return TrainResult(
        model=model,
        history=tuple(recorder.history),
        kept_epoch=kept,
        accuracy_dropout_on=_accuracy(model, training, dropout=True, seed=config.seed),
        accuracy_dropout_off=_accuracy(model, training, dropout=False, seed=config.seed),
        val_accuracy=recorder.history[kept - 1].val_accuracy,
    )


def _prepare(config: TrainConfig, options: TrainOptions) -> None:
    if keras.backend.backend() != "tensorflow":
        raise TrainingError(
            f"expected Keras on TensorFlow, got {keras.backend.backend()}; unset KERAS_BACKEND"
        )
    if options.tensorboard and find_spec("tensorboard") is None:
        raise MissingExtraError("train --tensorboard", "train", "tensorboard")
    _keep_freed_memory()
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()


def _keep_freed_memory() -> None:
    """Tell glibc to keep freed memory, which TensorFlow asks for again a millisecond later.

    Giving it back to the system at each step makes a step of the dense network take twice as long.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        for option, value in ((_M_MMAP_THRESHOLD, 32 << 20), (_M_TOP_PAD, 64 << 20)):
            mallopt(option, value)


# From glibc's malloc.h.
_M_TOP_PAD, _M_MMAP_THRESHOLD = -2, -3


def finish(run: Path) -> None:
    """Remove the checkpoints of a run whose result has been written."""
    shutil.rmtree(run / "checkpoint", ignore_errors=True)


class _Recorder(keras.callbacks.Callback):
    """Seeds dropout, follows accuracy, saves the state, and stops early."""

    def __init__(
        self,
        training: FeatureSet,
        checkpoint: "Checkpoint",
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
        if not self._config.keep_best:
            return len(self.history)
        return max(self.history, key=lambda row: (row.val_accuracy, -row.val_loss)).epoch

    @property
    def finished(self) -> bool:
        settings = self._config
        done = len(self.history)
        if not done:
            return False
        return done >= settings.epochs or 0 < settings.patience <= done - self.kept_epoch

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._started = time.perf_counter()
        _seed_dropout(self.model, self._config.seed, epoch)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        accuracy = float((logs or {}).get("accuracy", 0.0))
        step = Step(len(self.history) + 1, self._config.epochs, batch + 1, self._batches, accuracy)
        self._options.on_step(step)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        if not np.isfinite(logs["loss"]):
            raise TrainingError(
                f"the loss became {logs['loss']} in epoch {epoch + 1}; "
                "lower train.learning_rate and train again"
            )
        x, y = self._followed
        row = EpochRow(
            epoch=epoch + 1,
            loss=float(logs["loss"]),
            accuracy=float(logs["accuracy"]),
            accuracy_dropout_off=float(np.mean(_labels(self.model, x, training=False) == y)),
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


def _seed_dropout(model: keras.Model, seed: int, epoch: int) -> None:
    """Set every dropout layer's generator to a state that follows from (seed, epoch, layer)."""
    for index, layer in enumerate(model.layers):
        if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
            state = np.random.SeedSequence((seed, epoch, index)).generate_state(2)
            layer.seed_generator.state.assign(state.astype(layer.seed_generator.state.dtype))


def _labels(model: keras.Model, x: Any, *, training: bool) -> Any:
    batches = range(0, len(x), _BATCH_WITHOUT_GRADIENT)
    scores = [model(x[i : i + _BATCH_WITHOUT_GRADIENT], training=training) for i in batches]
    return np.argmax(np.concatenate([np.asarray(score) for score in scores]), axis=1)


def _accuracy(model: keras.Model, features: FeatureSet, *, dropout: bool, seed: int) -> float:
    """Share of right answers; with ``dropout`` the dropout layers, and they alone, act."""
    _seed_dropout(model, seed, 0)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    try:
        for layer in norms:
            # A frozen one normalises as it does in prediction, and learns nothing from the clips.
            layer.trainable = False
        return float(np.mean(_labels(model, features.x, training=dropout) == features.y))
    finally:
        for layer in norms:
            layer.trainable = True


def _identity(
    training: FeatureSet,
    validation: FeatureSet,
    targets: Array,
    model_config: ModelConfig,
    config: TrainConfig,
) -> dict[str, Any]:
    """What a run's state may only be resumed with."""
    return {
        "model": dataclasses.asdict(model_config),
        "train": dataclasses.asdict(config),
        "features": training.config.hash,
        "labels": list(training.labels),
        "data": [*data_digests(training, validation), _digest(targets)],
    }


def data_digests(training: FeatureSet, validation: FeatureSet) -> list[str]:
    """SHA-256 of what is learnt from and what chooses the epoch."""
    parts = [training.x, training.y, validation.x, validation.y]
    if training.copies is not None:
        parts.append(training.copies)
    return [_digest(part) for part in parts]


def _digest(array: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
