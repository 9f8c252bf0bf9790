"""Distillation: a stronger network's posteriors as the answers a small one learns.

The teacher is trained on the same vectors, altered copies included, and stays in the run's folder
``teacher/``, so that a resumed training or another network can use it again.
"""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from speechrec.batches import Array, answers
from speechrec.calibrate import scaled
from speechrec.checkpoint import DAMAGE, Checkpoint
from speechrec.errors import TrainingError
from speechrec.files import replacing, write_json
from speechrec.recorder import TrainOptions
from speechrec.store import FeatureSet
from speechrec.train import data_digests, finish, train
from speechrec.train_config import Config

FOLDER = "teacher"
_MODEL, _IDENTITY = "model.keras", "teacher.json"
_BATCH = 512


def soft_answers(
    training: FeatureSet,
    validation: FeatureSet,
    run: Path,
    config: Config,
    options: TrainOptions,
    *,
    borrowed: Sequence[Path] = (),
) -> Array:
    """The labels and the teacher's softened posteriors, mixed by ``teacher.weight``.

    Args:
        run: its ``teacher/`` holds the teacher, trained here unless it is there already.
        borrowed: other runs whose teacher to use; of several, the mean of their posteriors.

    Returns:
        (clips * views, labels) float32.

    Raises:
        TrainingError: the borrowed teacher is missing or does not fit.
    """
    if borrowed:
        wanted = _identity(training, validation, config)
        model = _mean([_load(other / FOLDER, wanted, borrowed=True) for other in borrowed])
    else:
        model = own_teacher(training, validation, run, config, options)
    options.on_stage("answers of the teacher")
    weight = np.float32(config.teacher.weight)
    hard = answers(training, config.train.label_smoothing)
    soft = scaled(_posteriors(model, training), config.teacher.temperature).astype(np.float32)
    return weight * soft + (1 - weight) * hard


def own_teacher(
    training: FeatureSet,
    validation: FeatureSet,
    run: Path,
    config: Config,
    options: TrainOptions,
) -> keras.Model:
    """The teacher of the run, trained unless it is there already.

    Raises:
        TrainingError: a training that was stopped would be overwritten.
    """
    wanted, folder = _identity(training, validation, config), run / FOLDER
    if options.restart:
        # A finished one would come out the same again.
        shutil.rmtree(folder / Checkpoint.FOLDER, ignore_errors=True)
    model = _load(folder, wanted, borrowed=False)
    if model is not None:
        return model
    if not options.restart and (run / Checkpoint.FOLDER / Checkpoint.STATE).exists():
        raise TrainingError(
            f"{run}: holds a training that was stopped, with another teacher; go on with the "
            "same settings and --resume, or drop it with --restart"
        )
    options.on_stage("teacher")
    # A stopped training may have been stopped before its teacher had begun.
    resume = options.resume and (folder / Checkpoint.FOLDER).exists()
    result = train(
        training, validation, folder, config.teacher.model, _schedule(config),
        options=dataclasses.replace(options, resume=resume),
    )  # fmt: skip
    # A model must never lie beside what was said of another.
    (folder / _IDENTITY).unlink(missing_ok=True)
    with replacing(folder / _MODEL) as partial:
        result.model.save(partial)
    write_json(folder / _IDENTITY, {**wanted, "val_accuracy": result.val_accuracy})
    finish(folder)
    return result.model


def _mean(models: Sequence[keras.Model]) -> keras.Model:
    """The mean of several networks' posteriors as one network.

    A deep ensemble (Lakshminarayanan et al. 2017) where they differ by seed or by what they heard.
    """
    if len(models) == 1:
        return models[0]
    inputs = keras.Input(models[0].input_shape[1:], name="features")
    kind = models[0].name
    for number, model in enumerate(models):
        model.name = f"{kind}_{number}"
    outputs = keras.layers.Average(name="mean")([model(inputs) for model in models])
    return keras.Model(inputs, outputs, name=kind)


def members(teacher: keras.Model) -> int:
    """Of how many networks a teacher is the mean."""
    return max(1, sum(isinstance(layer, keras.Model) for layer in teacher.layers))


def load_teacher(*runs: Path) -> keras.Model:
    """The trained teacher of a run, or the mean of several; made or borrowed before."""
    return _mean([keras.models.load_model(run / FOLDER / _MODEL) for run in runs])


def settings_of(*runs: Path) -> list[dict[str, Any]]:
    """``model`` and ``train`` that each run's teacher was really made with, borrowed or not."""
    stated = [json.loads((run / FOLDER / _IDENTITY).read_text(encoding="utf-8")) for run in runs]
    return [{name: identity[name] for name in ("model", "train")} for identity in stated]


def _schedule(config: Config) -> Any:
    """The teacher's schedule, with the seed of the run."""
    return dataclasses.replace(config.teacher.train, seed=config.train.seed)


def _identity(training: FeatureSet, validation: FeatureSet, config: Config) -> dict[str, Any]:
    tree = {
        "features": training.config.hash,
        "labels": list(training.labels),
        "model": dataclasses.asdict(config.teacher.model),
        "train": dataclasses.asdict(_schedule(config)),
        "data": data_digests(training, validation),
    }
    plain: dict[str, Any] = json.loads(json.dumps(tree))
    return plain


def _load(folder: Path, wanted: dict[str, Any], *, borrowed: bool) -> keras.Model | None:
    """The teacher of a folder; None where there is none, or it is not the one wanted."""
    # Somebody else's teacher may have learnt otherwise, but it must speak of the same things.
    needed = ("features", "labels") if borrowed else tuple(wanted)
    try:
        stated = dict(json.loads((folder / _IDENTITY).read_text(encoding="utf-8")))
        differing = [name for name in needed if stated.get(name) != wanted[name]]
        if not differing and stated.get("model") and stated.get("train"):
            return keras.models.load_model(folder / _MODEL)
        problem = (
            f"its {' and '.join(differing)} differ from those of this training"
            if differing
            else f"{_IDENTITY} does not say what it was made with"
        )
    except DAMAGE as error:
        problem = str(error)
    if borrowed:
        raise TrainingError(f"{folder}: expected a trained teacher: {problem}")
    return None


def _posteriors(model: keras.Model, features: FeatureSet) -> Array:
    count = len(features) * features.views
    scores = np.empty((count, len(features.labels)), dtype=np.float32)
    for start in range(0, count, _BATCH):
        numbers = np.arange(start, min(start + _BATCH, count))
        scores[numbers] = model(features.rows(numbers), training=False)
    return scores
