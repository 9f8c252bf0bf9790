"""A run: from a feature store to a run folder with the recogniser, its report and its history.

runs/NAME/  config.toml  history.csv  curves.png  model.keras  NAME.speechrec
            report.json  report.html
"""

import dataclasses
import json
import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tomli_w

from speechrec import bundle, report, store, teacher
from speechrec.calibrate import Calibration, calibrate, fit_temperature
from speechrec.checkpoint import EpochRow
from speechrec.config import Config, check_same_features, require
from speechrec.copies import training_copies
from speechrec.errors import DatasetError
from speechrec.evaluate import Report, evaluate
from speechrec.export import dropout_shapes, to_tflite
from speechrec.features import mel_filterbank
from speechrec.files import replacing, write_json, write_text
from speechrec.recognizer import Network, Recognizer
from speechrec.recorder import TrainOptions
from speechrec.teacher import load_teacher, members, own_teacher, soft_answers
from speechrec.train import TrainResult, finish, train

# Clips on which the exported network is held against Keras before it is written.
_PROBE_CLIPS = 256


@dataclass(frozen=True, slots=True)
class RunResult:
    """``report`` is of the testing part, or of the validation part where there is no testing."""

    recogniser: Path
    result: TrainResult
    report: Report
    part: str


def make_run(
    features: Path,
    run: Path,
    config: Config,
    *,
    options: TrainOptions = TrainOptions(),
    teachers: Sequence[Path] = (),
    workers: int = 1,
) -> RunResult:
    """Train on a feature store and write everything that belongs to the run.

    The recogniser, the report and the Keras model of an earlier run in the same folder stay until
    the new ones are ready.

    Args:
        teachers: other runs whose teachers to learn from, instead of training one.

    Raises:
        SettingsMismatchError: the store has other front-end settings than ``config``.
        DatasetError: the store is unfinished or has no training or validation clips.
        TrainingError: nothing to resume, or the loss is not finite.
    """
    training, validation = _learnt_from(features, config, options, workers)
    result = _train(training, validation, run, config, options, teachers)
    # Not before: a training that is refused must leave the settings of the one that is there.
    write_text(run / "config.toml", tomli_w.dumps(dataclasses.asdict(config)))
    with replacing(run / "model.keras") as partial:
        result.model.save(partial)
    report.write_curves(run / "curves.png", result.history)
    try:
        part, features_set = "testing", store.load_features(features, "testing")
    except DatasetError:
        part, features_set = "validation", validation
    recogniser = run / f"{run.name}{bundle.SUFFIX}"
    content = to_tflite(result.model, validation.x[:_PROBE_CLIPS], int8=config.export.int8)
    calibration = Calibration(temperature=1.0, threshold=0.0)
    if config.export.calibrate:
        calibration = _calibration(content, validation, config)
    info = store.load_info(features)
    manifest = _manifest(run.name, info, config, result, calibration)
    stream_model = None
    if config.export.stream_teacher and config.teacher.weight:
        stream_model, about = _stream_network(teachers or [run], validation, config)
        manifest["stream_network"] = about
    figures = _write_and_score(recogniser, manifest, content, stream_model, features_set, part)
    write_report(run, figures, part, history=result.history)
    finish(run)
    return RunResult(recogniser, result, figures, part)


def make_teacher(
    features: Path,
    run: Path,
    config: Config,
    *,
    options: TrainOptions = TrainOptions(),
    workers: int = 1,
) -> tuple[Path, float]:
    """Train only the teacher of a run, for other runs to learn from.

    Returns:
        Its folder, and its accuracy on the validation part.

    Raises:
        ConfigError: the settings have no teacher. Else as `make_run`.
    """
    require(config.teacher.weight > 0, "teacher.weight: 0 trains no teacher; set it to 1")
    training, validation = _learnt_from(features, config, options, workers)
    model = own_teacher(training, validation, run, config, options)
    answers = np.asarray(model.predict(validation.x, verbose=0)).argmax(axis=1)
    return run / teacher.FOLDER, float(np.mean(answers == validation.y))


def _learnt_from(
    features: Path, config: Config, options: TrainOptions, workers: int
) -> tuple[store.FeatureSet, store.FeatureSet]:
    """The training part, with altered copies if there are to be some, and the validation part."""
    made_with = store.load_info(features).config
    check_same_features(made_with, config.features, what=f"the feature store {features}")
    training = store.load_features(features, "training")
    validation = store.load_features(features, "validation")
    if config.augment.views > 1:
        options.on_stage("altered copies of the training clips")
        copies = training_copies(
            features, training, config.augment, workers=workers, progress=options.on_copies
        )
        training = dataclasses.replace(training, copies=copies)
    return training, validation


def _train(
    training: store.FeatureSet,
    validation: store.FeatureSet,
    run: Path,
    config: Config,
    options: TrainOptions,
    borrowed: Sequence[Path],
) -> TrainResult:
    """The network, after its teacher if there is to be one."""
    soft = None
    if config.teacher.weight:
        soft = soft_answers(training, validation, run, config, options, borrowed=borrowed)
        # A training that was stopped with its teacher has nothing of its own to resume.
        resume = options.resume and (run / "checkpoint").exists()
        options = dataclasses.replace(options, resume=resume)
    options.on_stage(config.model.kind)
    return train(
        training, validation, run, config.model, config.train, soft=soft, options=options
    )  # fmt: skip


def _calibration(content: bytes, validation: store.FeatureSet, config: Config) -> Calibration:
    """From the scores of the exported network, which are those that ship."""
    network = Network(content, labels=len(validation.labels), dropout=())
    return calibrate(
        network.scores(validation.x), validation.y, validation.labels,
        refused=config.export.unknown_refused,
    )  # fmt: skip


def _stream_network(
    taught_by: Sequence[Path], validation: store.FeatureSet, config: Config
) -> tuple[bytes, dict[str, Any]]:
    """The teacher as streams ask it, and what the manifest says of it."""
    model = load_teacher(*taught_by)
    content = to_tflite(model, validation.x[:_PROBE_CLIPS], int8=config.export.int8)
    network = Network(content, labels=len(validation.labels), dropout=())
    posteriors = network.scores(validation.x)
    temperature = fit_temperature(posteriors, validation.y) if config.export.calibrate else 1.0
    about = {
        "kind": model.name,
        "members": members(model),
        "parameters": _trainable(model),
        "temperature": temperature,
        "validation_accuracy": float(np.mean(posteriors.argmax(axis=1) == validation.y)),
    }
    return content, about


def write_report(
    run: Path, figures: Report, part: str, *, history: tuple[EpochRow, ...] = ()
) -> None:
    """``report.json`` and ``report.html`` of a run folder."""
    write_json(run / "report.json", {"part": part, **figures.to_json()})
    title = f"{run.name}: {part} part"
    write_text(run / "report.html", report.to_html(figures, title=title, history=history))


def _write_and_score(
    path: Path,
    manifest: dict[str, Any],
    content: bytes,
    stream_model: bytes | None,
    features: store.FeatureSet,
    part: str,
) -> Report:
    """Write the recogniser, evaluate the file itself, and write it again with its figures."""
    mel = mel_filterbank(features.config)
    with replacing(path) as partial:
        bundle.write_bundle(
            partial, manifest=manifest, model=content, mel=mel, stream_model=stream_model
        )
        recognizer = Recognizer.load(partial)
        figures = evaluate(recognizer.scores, features, threshold=recognizer.threshold)
        metrics = {
            "part": part,
            "clips": figures.clips,
            "accuracy": figures.accuracy,
            "accuracy_without_silence": figures.accuracy_without_silence,
            "unknown_recall": figures.unknown_recall,
            "ece": figures.ece,
            "decisions": dataclasses.asdict(figures.decisions),
        }
        manifest = {**manifest, "metrics": {**manifest["metrics"], **metrics}}
        bundle.write_bundle(
            partial, manifest=manifest, model=content, mel=mel, stream_model=stream_model
        )
    return figures


def _manifest(
    name: str,
    info: store.StoreInfo,
    config: Config,
    result: TrainResult,
    calibration: Calibration,
) -> dict[str, Any]:
    versions = {
        package: version(package)
        for package in ("speechrec", "tensorflow", "keras", "numpy", "librosa", "ai-edge-litert")
    }
    manifest = {
        "name": name,
        "labels": list(info.labels),
        "features": dataclasses.asdict(info.config),
        "features_hash": info.config.hash,
        "mel_sha256": info.summary["mel_sha256"],
        "network": {
            **dataclasses.asdict(config.model), "parameters": _trainable(result.model)
        },
        "dropout": dropout_shapes(result.model),
        "int8": config.export.int8,
        "temperature": calibration.temperature,
        "threshold": calibration.threshold,
        "unknown_refused": config.export.unknown_refused,
        "training": {
            **dataclasses.asdict(config.train),
            "augment": dataclasses.asdict(config.augment),
            "teacher": dataclasses.asdict(config.teacher) if config.teacher.weight else None,
            "kept_epoch": result.kept_epoch,
            "parts": info.summary["parts"],
            "speakers": info.summary["speakers"],
            "attribution": info.summary["data"].get("attribution", ""),
        },
        "metrics": {
            "training_accuracy_dropout_on": result.accuracy_dropout_on,
            "training_accuracy_dropout_off": result.accuracy_dropout_off,
            "validation_accuracy": result.val_accuracy,
        },
        "versions": {**versions, "python": platform.python_version()},
    }  # fmt: skip
    # As it will be read: lists for tuples.
    plain: dict[str, Any] = json.loads(json.dumps(manifest))
    return plain


def _trainable(model: keras.Model) -> int:
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)
