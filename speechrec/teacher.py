"""Distillation: a stronger network's posteriors as the answers a small one learns.

The teacher is trained on the same vectors, altered copies included, and stays in the run's folder,
so that a resumed training or another network can use it again:

RUN/teacher/  model.keras  teacher.json   the mean of its members, and what it was made with
              member-0/    model.keras  teacher.json  history.csv
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
from speechrec.checkpoint import Checkpoint
from speechrec.config import Config
from speechrec.errors import TrainingError
from speechrec.files import replacing, write_json
from speechrec.store import FeatureSet
from speechrec.train import TrainOptions, data_digests, finish, train

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
    borrowed: Path | None = None,
) -> Array:
    """The labels and the teacher's softened posteriors, mixed by ``teacher.weight``.

    Args:
        run: its ``teacher/`` holds the teacher, which is trained here unless it is there already.
        borrowed: another run whose teacher to use.

    Returns:
        (clips * views, labels) float32.

    Raises:
        TrainingError: the borrowed teacher is missing or does not fit.
    """
    folder = (borrowed or run) / FOLDER
    wanted = _identity(training, validation, config)
    if borrowed is None and options.restart:
        shutil.rmtree(folder, ignore_errors=True)
    model = _load(folder, wanted, borrowed=borrowed is not None)
    if model is None:
        _refuse_to_lose(run, run, options)
        model = _mean(
            [
                _member(training, validation, folder, config, options, number)
                for number in range(config.teacher.members)
            ]
        )
        _save(folder, model, wanted)
    weight = np.float32(config.teacher.weight)
    hard = answers(training, config.train.label_smoothing)
    soft = scaled(_posteriors(model, training), config.teacher.temperature).astype(np.float32)
    return weight * soft + (1 - weight) * hard


def _member(
    training: FeatureSet,
    validation: FeatureSet,
    folder: Path,
    config: Config,
    options: TrainOptions,
    number: int,
) -> keras.Model:
    """A network of the teacher, trained unless it is there already."""
    count = config.teacher.members
    config = _alone(config, number)
    folder = folder / f"member-{number}"
    wanted = _identity(training, validation, config)
    model = _load(folder, wanted, borrowed=False)
    if model is None:
        for other in folder.parent.glob("member-*"):
            if other != folder:
                _refuse_to_lose(folder.parent.parent, other, options)
        options.on_stage("teacher" if count == 1 else f"teacher, {number + 1} of {count}")
        # A stopped training may have been stopped before this one had begun.
        resume = options.resume and (folder / "checkpoint").exists()
        result = train(
            training, validation, folder, config.teacher.model, _schedule(config),
            options=dataclasses.replace(options, resume=resume),
        )  # fmt: skip
        model = result.model
        _save(folder, model, {**wanted, "val_accuracy": result.val_accuracy})
        finish(folder)
    return model


def _refuse_to_lose(run: Path, folder: Path, options: TrainOptions) -> None:
    """A training that was stopped in a folder has a teacher that is not the one to be trained."""
    if not options.restart and (folder / "checkpoint" / Checkpoint.STATE).exists():
        raise TrainingError(
            f"{run}: holds a training that was stopped, with another teacher; go on with the "
            "same settings and --resume, or drop it with --restart"
        )


def _mean(models: Sequence[keras.Model]) -> keras.Model:
    """The mean of several networks' posteriors as one network."""
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


def _save(folder: Path, model: keras.Model, about: dict[str, Any]) -> None:
    with replacing(folder / _MODEL) as partial:
        model.save(partial)
    write_json(folder / _IDENTITY, about)


def load_teacher(folder: Path) -> keras.Model:
    """The trained teacher in a run's folder; it must have been made or borrowed before."""
    return keras.models.load_model(folder / FOLDER / _MODEL)


def _schedule(config: Config) -> Any:
    """The teacher's schedule, with the seed of the run."""
    return dataclasses.replace(config.teacher.train, seed=config.train.seed)


def _alone(config: Config, number: int) -> Config:
    """The settings under which a member is all of the teacher."""
    return dataclasses.replace(
        config,
        train=dataclasses.replace(config.train, seed=config.train.seed + number),
        teacher=dataclasses.replace(config.teacher, members=1),
    )


def _identity(training: FeatureSet, validation: FeatureSet, config: Config) -> dict[str, Any]:
    tree = {
        "features": training.config.hash,
        "labels": list(training.labels),
        "members": config.teacher.members,
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
        if not differing:
            return keras.models.load_model(folder / _MODEL)
        problem = f"its {' and '.join(differing)} differ from those of this training"
    except (OSError, ValueError, TypeError) as error:
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
