"""A run folder is complete, at one with itself, and never worse than before."""

import csv
import dataclasses
import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from speechrec.bundle import read_bundle
from speechrec.config import Config, FeatureConfig, load_config
from speechrec.errors import DatasetError, SettingsMismatchError, TrainingError
from speechrec.evaluate import evaluate
from speechrec.features import mel_filterbank
from speechrec.recognizer import Recognizer
from speechrec.run import RunResult, make_run
from speechrec.store import CLIPS_NAME, load_features, load_info


@pytest.fixture(scope="module")
def folder(run: RunResult) -> Path:
    return run.recogniser.parent


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def short(config: Config, **changes: Any) -> Config:
    return dataclasses.replace(
        config, train=dataclasses.replace(config.train, **{"epochs": 1, **changes})
    )


@pytest.mark.parametrize("kind", ["dense", "cnn"])
def test_everything_is_there(kind: str, request: pytest.FixtureRequest) -> None:
    """The folder holds what the design lists, under these names, and nothing half-made."""
    done: RunResult = request.getfixturevalue("run" if kind == "dense" else "cnn_run")
    folder = done.recogniser.parent
    assert done.recogniser.name == f"{folder.name}.speechrec"
    assert {path.name for path in folder.iterdir()} == {
        "config.toml", "model.keras", "history.csv", "curves.png", "report.html", "report.json",
        f"{folder.name}.speechrec",
    }  # fmt: skip
    assert all(path.stat().st_size > 100 for path in folder.iterdir())


def test_config_can_be_used_again(folder: Path, tiny_config: Config) -> None:
    """config.toml is the resolved configuration: reading it gives the one of the run."""
    assert load_config(folder / "config.toml") == tiny_config


def test_report_is_of_the_recogniser_file(
    run: RunResult, folder: Path, feature_store: Path
) -> None:
    """report.json holds what evaluating the file on the testing part gives, to the last digit."""
    clips = load_features(feature_store, "testing")
    again = evaluate(Recognizer.load(run.recogniser).scores, clips)
    assert again == run.report
    written = json.loads((folder / "report.json").read_text())
    assert written.pop("part") == run.part == "testing"
    assert written == json.loads(json.dumps(again.to_json()))


def test_recogniser_carries_its_metrics(run: RunResult, folder: Path) -> None:
    """The metrics inside the recogniser file are those of report.json and of the training."""
    metrics = read_bundle(run.recogniser).manifest["metrics"]
    report = json.loads((folder / "report.json").read_text())
    for name in ("part", "clips", "accuracy", "accuracy_without_silence", "unknown_recall", "ece"):
        assert metrics[name] == report[name]
    assert metrics["validation_accuracy"] == run.result.val_accuracy
    assert metrics["training_accuracy_dropout_on"] == run.result.accuracy_dropout_on
    assert metrics["training_accuracy_dropout_off"] == run.result.accuracy_dropout_off


def test_recogniser_explains_itself(
    run: RunResult, feature_store: Path, tiny_config: Config
) -> None:
    """Labels, front end, filterbank, network, training data and versions are those of the run."""
    content, info = read_bundle(run.recogniser), load_info(feature_store)
    manifest = content.manifest
    assert content.labels == info.labels
    assert content.config == info.config
    np.testing.assert_array_equal(content.mel, mel_filterbank(info.config))
    assert manifest["mel_sha256"] == info.summary["mel_sha256"]
    assert manifest["network"]["widths"] == list(tiny_config.model.widths)
    widths = [1024, *tiny_config.model.widths, len(info.labels)]
    counted = sum((a + 1) * b for a, b in pairwise(widths))
    assert manifest["network"]["parameters"] == counted
    assert content.dropout == ((0.3, (32,)), (0.2, (16,)))
    assert manifest["training"]["seed"] == tiny_config.train.seed
    assert manifest["training"]["kept_epoch"] == run.result.kept_epoch
    assert manifest["training"]["parts"] == info.summary["parts"]
    assert manifest["versions"]["keras"] == keras.__version__
    assert "/" not in json.dumps(manifest["training"]), "paths of this machine do not belong there"


def test_history_has_every_epoch(run: RunResult, folder: Path) -> None:
    """history.csv has the rows that the training reported."""
    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [row.epoch for row in run.result.history]
    assert [float(r["val_accuracy"]) for r in rows] == [r.val_accuracy for r in run.result.history]


def test_page_names_the_run_and_the_part(folder: Path) -> None:
    """report.html says of which run and of which part it is."""
    assert "<h1>tiny: testing part</h1>" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"hop_ms": 25.0}, "hop_ms is 30.0 there and 25.0 here"),
        ({"bands": 64, "frames": 16}, "bands is 32 there and 64 here; frames is 32 there"),
    ],
)
def test_other_front_end(
    tmp_path: Path, feature_store: Path, tiny_config: Config, changes: dict[str, Any], named: str
) -> None:
    """A store made with other front-end settings is refused, and the settings are named."""
    config = dataclasses.replace(tiny_config, features=FeatureConfig(**changes))
    with pytest.raises(SettingsMismatchError, match=named):
        make_run(feature_store, tmp_path / "run", config)
    assert not (tmp_path / "run").exists()


@pytest.fixture
def earlier(tmp_path: Path, folder: Path) -> Path:
    """A finished run, to be retrained."""
    return Path(shutil.copytree(folder, tmp_path / "tiny"))


def test_failed_retraining_keeps_the_old_run(
    earlier: Path, feature_store: Path, tiny_config: Config
) -> None:
    """A retraining that fails leaves recogniser, report, model and settings as they were."""
    before = contents(earlier)

    def fail(row: object) -> None:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        make_run(feature_store, earlier, short(tiny_config, seed=2), on_epoch=fail)
    after = contents(earlier)
    assert set(after) == set(before)
    assert {name for name in after if after[name] != before[name]} == {"history.csv"}


def test_failed_export_keeps_the_old_recogniser(
    earlier: Path, feature_store: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the export is refused, the earlier recogniser and its report are still there."""
    before = contents(earlier)

    def refuse(*args: object) -> bytes:
        raise TrainingError("the exported network differs")

    monkeypatch.setattr("speechrec.run.to_tflite", refuse)
    with pytest.raises(TrainingError, match="differs"):
        make_run(feature_store, earlier, short(tiny_config, seed=2))
    for name in ("tiny.speechrec", "report.json", "report.html"):
        assert (earlier / name).read_bytes() == before[name]


def test_refused_training_keeps_the_settings_of_the_stopped_one(
    tmp_path: Path, feature_store: Path, tiny_config: Config
) -> None:
    """Neither a forgotten flag nor other settings change anything in a stopped run's folder."""

    def stop(row: object) -> None:
        raise KeyboardInterrupt

    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        make_run(feature_store, run, short(tiny_config, epochs=2), on_epoch=stop)
    before = contents(run), contents(run / "checkpoint")
    other = short(tiny_config, epochs=3)
    with pytest.raises(TrainingError, match="--resume"):
        make_run(feature_store, run, other)
    with pytest.raises(TrainingError, match="other settings or data"):
        make_run(feature_store, run, other, resume=True)
    assert (contents(run), contents(run / "checkpoint")) == before


def test_nothing_to_resume_makes_nothing(
    tmp_path: Path, feature_store: Path, tiny_config: Config
) -> None:
    """Resuming where nothing was begun leaves no folder behind."""
    with pytest.raises(TrainingError, match="nothing to resume"):
        make_run(feature_store, tmp_path / "run", tiny_config, resume=True)
    assert not (tmp_path / "run").exists()


def without(store: Path, target: Path, part: str) -> Path:
    """A copy of a feature store whose clips of one part are gone."""
    shutil.copytree(store, target)
    lines = (target / CLIPS_NAME).read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["part"] != part]
    assert 0 < len(kept) < len(lines)
    (target / CLIPS_NAME).write_text("".join(kept))
    return target


def test_without_a_testing_part(tmp_path: Path, feature_store: Path, tiny_config: Config) -> None:
    """Where nothing is kept for testing, the report is of the validation part, and says so."""
    store = without(feature_store, tmp_path / "store", "testing")
    done = make_run(store, tmp_path / "run", short(tiny_config))
    assert done.part == "validation"
    assert done.report.clips == len(load_features(store, "validation"))
    assert json.loads((tmp_path / "run" / "report.json").read_text())["part"] == "validation"


@pytest.mark.parametrize("part", ["training", "validation"])
def test_without_a_part_that_is_needed(
    tmp_path: Path, feature_store: Path, tiny_config: Config, part: str
) -> None:
    """Without training or validation clips there is no training, and the part is named."""
    store = without(feature_store, tmp_path / "store", part)
    with pytest.raises(DatasetError, match=f"has no {part} clips"):
        make_run(store, tmp_path / "run", tiny_config)
    assert not (tmp_path / "run").exists()
