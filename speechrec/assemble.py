"""From trained networks to the recogniser file: exported, calibrated and scored as it ships."""

import dataclasses
import json
import math
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from speechrec import bundle
from speechrec.calibrate import Calibration, calibrate, fit_temperature
from speechrec.evaluate import Report, evaluate
from speechrec.export import dropout_shapes, to_tflite
from speechrec.features import mel_filterbank
from speechrec.files import replacing
from speechrec.network import Network
from speechrec.recognizer import Recognizer
from speechrec.store import FeatureSet, StoreInfo
from speechrec.teacher import load_teacher, members, settings_of
from speechrec.train import TrainResult
from speechrec.train_config import Config

# Clips on which the exported network is held against Keras before it is written.
_PROBE_CLIPS = 256


def write_recogniser(
    path: Path,
    result: TrainResult,
    config: Config,
    *,
    info: StoreInfo,
    validation: FeatureSet,
    scored: FeatureSet,
    part: str,
    taught_by: Sequence[Path] = (),
) -> Report:
    """Write the recogniser file of a trained network.

    Args:
        info: of the feature store it learnt from.
        validation: the clips it is calibrated on.
        scored: those of ``part``, on which the file is evaluated; its figures are in it.
        taught_by: the runs of its teachers, which answer streams where ``config`` wants it.
    """
    content = to_tflite(result.model, _probe(validation), int8=config.export.int8)
    calibration = Calibration(temperature=1.0, threshold=0.0)
    if config.export.calibrate:
        calibration = _calibration(content, validation, config)
    manifest = _manifest(path.stem, info, config, result, calibration, taught_by)
    stream_model = None
    if config.export.stream_teacher and taught_by:
        stream_model, manifest["stream_network"] = _stream_network(taught_by, validation, config)
    return _write_and_score(path, manifest, content, stream_model, scored, part)


def _calibration(content: bytes, validation: FeatureSet, config: Config) -> Calibration:
    """From the scores of the exported network, which are those that ship."""
    network = Network(content, labels=len(validation.labels))
    return calibrate(
        network.scores(validation.x), validation.y, validation.labels,
        refused=config.export.unknown_refused,
    )  # fmt: skip


def _probe(validation: FeatureSet) -> npt.NDArray[np.float32]:
    """Some clips from all over the part, which is in the order of the words."""
    return validation.x[:: -(-len(validation) // _PROBE_CLIPS)]


def _stream_network(
    taught_by: Sequence[Path], validation: FeatureSet, config: Config
) -> tuple[bytes, dict[str, Any]]:
    """The teacher as streams ask it, and what the manifest says of it."""
    model = load_teacher(*taught_by)
    content = to_tflite(model, _probe(validation), int8=config.export.int8, delegated=True)
    network = Network(content, labels=len(validation.labels), delegated=True)
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


def _write_and_score(
    path: Path,
    manifest: dict[str, Any],
    content: bytes,
    stream_model: bytes | None,
    features: FeatureSet,
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
    info: StoreInfo,
    config: Config,
    result: TrainResult,
    calibration: Calibration,
    taught_by: Sequence[Path],
) -> dict[str, Any]:
    # Borrowed teachers were made with settings of their own, not with this section's.
    teacher = {
        "weight": config.teacher.weight,
        "temperature": config.teacher.temperature,
        "networks": settings_of(*taught_by),
    }
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
            "teacher": teacher if config.teacher.weight else None,
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
