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

from speechrec.checkpoint import Checkpoint, EpochRow, write_history
from speechrec.config import Config
from speechrec.errors import MissingExtraError, TrainingError
from speechrec.model import band_statistics, build_model
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


def train(
    training: FeatureSet,
    validation: FeatureSet,
    run: Path,
    config: Config,
    *,
    resume: bool = False,
    restart: bool = False,
    tensorboard: bool = False,
    on_step: Callable[[Step], None] = lambda step: None,
    on_epoch: Callable[[EpochRow], None] = lambda row: None,
) -> TrainResult:
    """Train a network on (clips, 1024) vectors.

    Args:
        run: folder for ``checkpoint/`` (removed at the end by `finish`) and ``history.csv``.
        resume: go on from the last saved epoch of ``run``.
        restart: drop what a stopped training left in ``run``.
        tensorboard: also write event files to ``run/tensorboard``.

    Raises:
        TrainingError: there is nothing to resume, it was made otherwise, a stopped training would
            be overwritten, or the loss is not finite.
        MissingExtraError: TensorBoard is asked for and not installed.
    """
    if keras.backend.backend() != "tensorflow":
        raise TrainingError(
            f"expected Keras on TensorFlow, got {keras.backend.backend()}; unset KERAS_BACKEND"
        )
    if tensorboard and find_spec("tensorboard") is None:
        raise MissingExtraError("train --tensorboard", "train", "tensorboard")
    _keep_freed_memory()
    keras.utils.set_random_seed(config.train.seed)
    tf.config.experimental.enable_op_determinism()
    checkpoint = Checkpoint(run / "checkpoint", _identity(training, validation, config))
    if resume:
        model, history = checkpoint.load()
    else:
        if not restart:
            checkpoint.refuse_if_present()
        checkpoint.clear()
        model, history = _compiled(training, config), []
    recorder = _Recorder(training, checkpoint, run, history, config, on_step, on_epoch)
    if not recorder.finished:
        callbacks: list[keras.callbacks.Callback] = [recorder]
        if tensorboard:
            callbacks.append(keras.callbacks.TensorBoard(run / "tensorboard"))
        model.fit(
            _Batches(training, config, first_epoch=len(history)),
            epochs=config.train.epochs,
            initial_epoch=len(history),
            validation_data=(validation.x, _one_hot(validation)),
            validation_batch_size=_BATCH_WITHOUT_GRADIENT,
            callbacks=callbacks,
            # `_Batches` shuffles; Keras would shuffle again, with a state that is not saved.
            shuffle=False,
            verbose=0,
        )
    kept = recorder.kept_epoch
    model = checkpoint.load_model(kept)
    return TrainResult(
        model=model,
        history=tuple(recorder.history),
        kept_epoch=kept,
        accuracy_dropout_on=_accuracy(model, training, dropout=True, seed=config.train.seed),
        accuracy_dropout_off=_accuracy(model, training, dropout=False, seed=config.train.seed),
        val_accuracy=recorder.history[kept - 1].val_accuracy,
    )


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


def _compiled(training: FeatureSet, config: Config) -> keras.Model:
    statistics = None
    if config.model.standardise:
        statistics = band_statistics(training.x, bands=training.config.bands)
    model = build_model(
        config.model,
        len(training.labels),
        shape=(training.config.bands, training.config.frames),
        statistics=statistics,
    )
    rate: float | keras.optimizers.schedules.LearningRateSchedule = config.train.learning_rate
    if config.train.schedule == "cosine":
        steps = config.train.epochs * len(_Batches(training, config, first_epoch=0))
        rate = keras.optimizers.schedules.CosineDecay(config.train.learning_rate, steps)
    model.compile(
        keras.optimizers.Adam(rate),
        "categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def _one_hot(features: FeatureSet) -> Any:
    return keras.utils.to_categorical(features.y, len(features.labels))


class _Batches(keras.utils.PyDataset):
    """Shuffled batches; the order of an epoch depends on (seed, epoch) alone."""

    def __init__(self, features: FeatureSet, config: Config, *, first_epoch: int) -> None:
        super().__init__()
        self._x, self._y = features.x, _one_hot(features)
        self._size, self._seed = config.train.batch_size, config.train.seed
        self._epoch = first_epoch
        self._shuffle()

    def _shuffle(self) -> None:
        self._order = np.random.default_rng((self._seed, self._epoch)).permutation(len(self._x))

    def __len__(self) -> int:
        return -(-len(self._x) // self._size)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        chosen = self._order[index * self._size : (index + 1) * self._size]
        return self._x[chosen], self._y[chosen]

    def on_epoch_end(self) -> None:
        self._epoch += 1
        self._shuffle()


class _Recorder(keras.callbacks.Callback):
    """Seeds dropout, follows accuracy, saves the state, and stops early."""

    def __init__(
        self,
        training: FeatureSet,
        checkpoint: "Checkpoint",
        run: Path,
        history: list[EpochRow],
        config: Config,
        on_step: Callable[[Step], None],
        on_epoch: Callable[[EpochRow], None],
    ) -> None:
        super().__init__()
        chosen = np.random.default_rng(0).permutation(len(training))[:_FOLLOWED_CLIPS]
        self._followed = training.x[chosen], training.y[chosen]
        self._checkpoint, self._run, self._config = checkpoint, run, config
        self._on_step, self._on_epoch = on_step, on_epoch
        self._batches = -(-len(training) // config.train.batch_size)
        self.history = history

    @property
    def kept_epoch(self) -> int:
        """The epoch, from 1, of the weights to keep."""
        if not self._config.train.keep_best:
            return len(self.history)
        return max(self.history, key=lambda row: (row.val_accuracy, -row.val_loss)).epoch

    @property
    def finished(self) -> bool:
        settings = self._config.train
        done = len(self.history)
        if not done:
            return False
        return done >= settings.epochs or 0 < settings.patience <= done - self.kept_epoch

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._started = time.perf_counter()
        _seed_dropout(self.model, self._config.train.seed, epoch)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        accuracy = float((logs or {}).get("accuracy", 0.0))
        step = Step(
            len(self.history) + 1, self._config.train.epochs, batch + 1, self._batches, accuracy
        )
        self._on_step(step)

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
        self._on_epoch(row)
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
    """Share of right answers; with ``dropout`` the layers act as they do in training."""
    _seed_dropout(model, seed, 0)
    return float(np.mean(_labels(model, features.x, training=dropout) == features.y))


def _identity(training: FeatureSet, validation: FeatureSet, config: Config) -> dict[str, Any]:
    """What a run's state may only be resumed with."""
    return {
        "model": dataclasses.asdict(config.model),
        "train": dataclasses.asdict(config.train),
        "features": training.config.hash,
        "labels": list(training.labels),
        "data": [hashlib.sha256(part.x.data).hexdigest() for part in (training, validation)],
    }
