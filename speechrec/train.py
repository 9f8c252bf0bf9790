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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from speechrec.batches import Array, Batches, answers, untuned
from speechrec.checkpoint import Checkpoint, EpochRow
from speechrec.errors import MissingExtraError, TrainingError
from speechrec.model import band_statistics
from speechrec.optimizer import compiled, epoch_steps, recompile
from speechrec.recorder import (
    BATCH_WITHOUT_GRADIENT,
    Recorder,
    TrainOptions,
    predicted,
    seed_dropout,
)
from speechrec.store import FeatureSet
from speechrec.train_config import ModelConfig, TrainConfig


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
        run / Checkpoint.FOLDER, _identity(training, validation, targets, model_config, config)
    )
    if options.resume:
        model, history = checkpoint.load()
        recompile(model, training, config)
    else:
        if not options.restart:
            checkpoint.refuse_if_present()
        checkpoint.clear()
        model, history = compiled(training, model_config, config), []
    recorder = Recorder(training, checkpoint, run, history, config, options)
    if not recorder.finished:
        callbacks: list[keras.callbacks.Callback] = [recorder]
        if options.tensorboard:
            callbacks.append(keras.callbacks.TensorBoard(run / "tensorboard"))
        fill = band_statistics(training.x, bands=training.config.bands)[0]
        batches = Batches(training, targets, config, fill=fill)
        known = tf.data.Dataset.from_tensor_slices((validation.x, answers(validation)))
        with _rounding(config.bfloat16):
            model.fit(
                batches.dataset(first_epoch=len(history) + 1),
                steps_per_epoch=epoch_steps(training, config),
                epochs=config.epochs,
                initial_epoch=len(history),
                validation_data=untuned(known.batch(BATCH_WITHOUT_GRADIENT)),
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


@contextmanager
def _rounding(bfloat16: bool) -> Iterator[None]:
    """Whether TensorFlow's graphs multiply in bfloat16; weights stay float32."""
    option = "auto_mixed_precision_onednn_bfloat16"
    tf.config.optimizer.set_experimental_options({option: bfloat16})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({option: False})


def finish(run: Path) -> None:
    """Remove the checkpoints of a run whose result has been written."""
    shutil.rmtree(run / Checkpoint.FOLDER, ignore_errors=True)


def _accuracy(model: keras.Model, features: FeatureSet, *, dropout: bool, seed: int) -> float:
    """Share of right answers; with ``dropout`` the dropout layers, and they alone, act."""
    seed_dropout(model, seed, 0)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    try:
        for layer in norms:
            # A frozen one normalises as it does in prediction, and learns nothing from the clips.
            layer.trainable = False
        return float(np.mean(predicted(model, features.x, training=dropout) == features.y))
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
