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

from speechrec import assemble
from speechrec import run as run_module
from speechrec.bundle import read_bundle
from speechrec.config import DataConfig, FeatureConfig
from speechrec.config_toml import load_config
from speechrec.errors import ConfigError, DatasetError, SettingsMismatchError, TrainingError
from speechrec.evaluate import evaluate
from speechrec.export import to_tflite
from speechrec.features import mel_filterbank
from speechrec.recognizer import Recognizer
from speechrec.recorder import TrainOptions
from speechrec.run import RunResult, make_run, make_teacher
from speechrec.store import CLIPS_NAME, load_features, load_info
from speechrec.teacher import load_teacher
from speechrec.train_config import (
    AugmentConfig,
    Config,
    ExportConfig,
    ModelConfig,
    TeacherConfig,
    TrainConfig,
)


@pytest.fixture(scope="module")
def folder(run: RunResult) -> Path:
    return run.recogniser.parent


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def everything(folder: Path) -> dict[str, bytes]:
    """The same of what lies deeper too."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def short(config: Config, **changes: Any) -> Config:
    return dataclasses.replace(
        config, train=dataclasses.replace(config.train, **{"epochs": 1, **changes})
    )


def plain(section: Any) -> Any:
    """A section of the settings as JSON has it."""
    return json.loads(json.dumps(dataclasses.asdict(section)))


def taught_from(config: Config) -> TrainConfig:
    """A teacher's schedule; its seed is that of the run."""
    return dataclasses.replace(config.teacher.train, seed=config.train.seed)


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


def test_config_says_which_data_it_learnt_from(
    tmp_path: Path, feature_store: Path, tiny_config: Config
) -> None:
    """Those of the store, whatever the settings of training say."""
    other = dataclasses.replace(tiny_config, data=DataConfig())
    make_run(feature_store, tmp_path / "run", short(other))
    assert load_config(tmp_path / "run" / "config.toml").data == tiny_config.data


def test_a_store_has_no_say_any_more_once_training_has_begun(
    tmp_path: Path, feature_store: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour later another one may be in its place, with other labels and other parts."""
    store = Path(shutil.copytree(feature_store, tmp_path / "store"))
    train = run_module._train

    def meanwhile(*arguments: Any) -> Any:
        shutil.rmtree(store)
        return train(*arguments)

    monkeypatch.setattr(run_module, "_train", meanwhile)
    done = make_run(store, tmp_path / "run", short(tiny_config))
    assert done.part == "testing"
    assert done.report.clips == len(load_features(feature_store, "testing"))
    assert read_bundle(done.recogniser).labels == load_info(feature_store).labels


def test_the_exported_network_is_held_against_keras_on_every_word(
    tmp_path: Path, feature_store: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store is in the order of its words, and few clips are enough."""
    monkeypatch.setattr(assemble, "_PROBE_CLIPS", 20)
    asked: list[bytes] = []

    def exported(model: keras.Model, probe: np.ndarray, **options: Any) -> bytes:
        asked.extend(row.tobytes() for row in probe)
        return to_tflite(model, probe, **options)

    monkeypatch.setattr(assemble, "to_tflite", exported)
    make_run(feature_store, tmp_path / "run", short(tiny_config))
    validation = load_features(feature_store, "validation")
    labels = {row.tobytes(): label for row, label in zip(validation.x, validation.y, strict=True)}
    assert len(asked) <= 20
    assert {labels[row] for row in asked} == set(range(len(validation.labels)))


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
        make_run(
            feature_store, earlier, short(tiny_config, seed=2), options=TrainOptions(on_epoch=fail)
        )
    after = contents(earlier)
    assert set(after) == set(before)
    assert {name for name in after if after[name] != before[name]} == {"history.csv"}


def test_failed_export_keeps_the_old_recogniser(
    earlier: Path, feature_store: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the export is refused, all of the earlier run but its history is still there."""
    before = contents(earlier)

    def refuse(*args: object, **options: object) -> bytes:
        raise TrainingError("the exported network differs")

    monkeypatch.setattr("speechrec.assemble.to_tflite", refuse)
    with pytest.raises(TrainingError, match="differs"):
        make_run(feature_store, earlier, short(tiny_config, seed=2))
    after = contents(earlier)
    assert {name for name in after if after[name] != before[name]} == {"history.csv"}


def test_refused_training_keeps_the_settings_of_the_stopped_one(
    tmp_path: Path, feature_store: Path, tiny_config: Config
) -> None:
    """Neither a forgotten flag nor other settings change anything in a stopped run's folder."""

    def stop(row: object) -> None:
        raise KeyboardInterrupt

    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        make_run(
            feature_store, run, short(tiny_config, epochs=2), options=TrainOptions(on_epoch=stop)
        )
    before = contents(run), contents(run / "checkpoint")
    other = short(tiny_config, epochs=3)
    with pytest.raises(TrainingError, match="--resume"):
        make_run(feature_store, run, other)
    with pytest.raises(TrainingError, match="other settings or data"):
        make_run(feature_store, run, other, options=TrainOptions(resume=True))
    assert (contents(run), contents(run / "checkpoint")) == before


def test_nothing_to_resume_makes_nothing(
    tmp_path: Path, feature_store: Path, tiny_config: Config
) -> None:
    """Resuming where nothing was begun leaves no folder behind."""
    with pytest.raises(TrainingError, match="nothing to resume"):
        make_run(feature_store, tmp_path / "run", tiny_config, options=TrainOptions(resume=True))
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


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, feature_store: Path) -> Path:
    """A store of this module's own, beside which copies may be made."""
    return Path(shutil.copytree(feature_store, tmp_path_factory.mktemp("with copies") / "store"))


@pytest.fixture(scope="module")
def recipe(tiny_config: Config) -> Config:
    """Every lever at once, as small as can be."""
    return dataclasses.replace(
        tiny_config,
        augment=AugmentConfig(views=2),
        model=ModelConfig(widths=(8,), dropout=(0.2,), batch_norm=True, remove_level=True),
        train=TrainConfig(epochs=2, batch_size=64, patience=0, seed=3, warmup_share=0.1),
        teacher=TeacherConfig(
            weight=0.8,
            model=ModelConfig(widths=(12,), dropout=(0.1,), batch_norm=True, remove_level=True),
            train=TrainConfig(
                epochs=2, batch_size=64, patience=0, mixup=0.2, mask_share=0.5, label_smoothing=0.1
            ),
        ),
        export=ExportConfig(calibrate=True, stream_teacher=True),
    )


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, store: Path, recipe: Config
) -> tuple[RunResult, list[str]]:
    """A run of the recipe that nothing stopped, and its stages. Do not change."""
    stages: list[str] = []
    run = tmp_path_factory.mktemp("recipes") / "whole"
    return make_run(store, run, recipe, options=TrainOptions(on_stage=stages.append)), stages


def test_a_recipe_goes_through_its_stages(
    whole: tuple[RunResult, list[str]], store: Path, recipe: Config
) -> None:
    """Copies, teacher and network follow one another; the folder has the teacher in addition."""
    done, stages = whole
    copies, answers = "altered copies of the training clips", "answers of the teacher"
    assert stages == [copies, "teacher", answers, "dense"]
    folder = done.recogniser.parent
    assert {path.name for path in folder.iterdir()} == {
        "config.toml", "model.keras", "history.csv", "curves.png", "report.html", "report.json",
        "whole.speechrec", "teacher",
    }  # fmt: skip
    assert (store / "copies" / "copies.json").exists()
    assert load_config(folder / "config.toml") == recipe
    training = read_bundle(done.recogniser).manifest["training"]
    assert training["augment"] == dataclasses.asdict(recipe.augment)
    made_with = {"model": recipe.teacher.model, "train": taught_from(recipe)}
    assert training["teacher"] == {
        "weight": 0.8, "temperature": 1.0,
        "networks": [{name: plain(section) for name, section in made_with.items()}],
    }  # fmt: skip
    assert read_bundle(done.recogniser).dropout == ((pytest.approx(0.2), (8,)),)


def test_the_teacher_answers_streams(
    whole: tuple[RunResult, list[str]], store: Path, tmp_path: Path, recipe: Config
) -> None:
    """The file holds the teacher for streams, calibrated, and not where it is not wanted."""
    done, _ = whole
    run = done.recogniser.parent
    content = read_bundle(done.recogniser)
    temperature = content.manifest["stream_network"]["temperature"]
    assert content.stream_temperature == temperature != 1
    assert content.manifest["stream_network"]["members"] == 1
    clips = load_features(store, "testing")
    powered = np.asarray(load_teacher(run)(clips.x), np.float64) ** (1 / temperature)
    wanted = powered / powered.sum(axis=1, keepdims=True)
    got = Recognizer.load(done.recogniser).stream_scores(clips.x)
    np.testing.assert_allclose(got, wanted, atol=2e-5 / min(temperature, 1))
    alone = dataclasses.replace(recipe, export=ExportConfig(calibrate=True))
    without = make_run(store, tmp_path / "run", alone, teachers=[run])
    assert read_bundle(without.recogniser).stream_model is None


def test_without_teacher_and_copies_there_are_none(
    tmp_path: Path, feature_store: Path, tiny_config: Config
) -> None:
    """A plain run makes neither, and says so."""
    store = tmp_path / "store"
    shutil.copytree(feature_store, store, ignore=shutil.ignore_patterns("copies"))
    done = make_run(store, tmp_path / "run", short(tiny_config))
    assert not (store / "copies").exists()
    assert not (tmp_path / "run" / "teacher").exists()
    training = read_bundle(done.recogniser).manifest["training"]
    assert training["teacher"] is None
    assert training["augment"]["views"] == 1


def test_calibrated_scores_are_those_of_keras_at_their_temperature(
    whole: tuple[RunResult, list[str]], store: Path
) -> None:
    """The recogniser answers softmax(logits / T) with the temperature it states."""
    done, _ = whole
    temperature = read_bundle(done.recogniser).manifest["temperature"]
    assert temperature != 1
    clips = load_features(store, "testing")
    powered = np.asarray(done.result.model(clips.x), np.float64) ** (1 / temperature)
    wanted = powered / powered.sum(axis=1, keepdims=True)
    tolerance = 2e-5 / min(temperature, 1)
    np.testing.assert_allclose(
        Recognizer.load(done.recogniser).scores(clips.x), wanted, atol=tolerance
    )


@pytest.mark.parametrize("stage", ["altered copies of the training clips", "teacher", "dense"])
def test_a_stopped_recipe_resumes_to_the_same_end(
    tmp_path: Path, store: Path, recipe: Config, whole: tuple[RunResult, list[str]], stage: str
) -> None:
    """Stopped with its copies, its teacher or itself, a run ends with the same weights."""
    stages: list[str] = []
    fresh = Path(shutil.copytree(store, tmp_path / "store"))
    shutil.rmtree(fresh / "copies")

    def stop(*progress: object) -> None:
        if stages[-1] == stage:
            raise KeyboardInterrupt

    options = TrainOptions(on_stage=stages.append, on_epoch=stop, on_copies=stop)
    run = tmp_path / "whole"
    with pytest.raises(KeyboardInterrupt):
        make_run(fresh, run, recipe, options=options)
    assert stages[-1] == stage
    # Stopped before the first epoch there is nothing to resume, and nothing to refuse.
    resumed = make_run(
        fresh, run, recipe, options=TrainOptions(resume=stage != stages[0])
    )  # fmt: skip
    done, _ = whole
    for one, other in zip(resumed.result.model.weights, done.result.model.weights, strict=True):
        if "seed" not in one.path:
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    assert resumed.report == done.report
    assert set(contents(run)) == set(contents(done.recogniser.parent))


def test_a_teacher_that_would_not_be_asked_is_refused(
    tmp_path: Path, feature_store: Path, tiny_config: Config
) -> None:
    """Settings without a teacher and the name of one contradict each other."""
    with pytest.raises(ConfigError, match=r"teacher\.weight: 0 asks no teacher, but one is named"):
        make_run(feature_store, tmp_path / "run", tiny_config, teachers=[tmp_path])
    assert not (tmp_path / "run").exists()


def test_a_run_may_learn_from_another_runs_teacher(
    tmp_path: Path, store: Path, recipe: Config, whole: tuple[RunResult, list[str]]
) -> None:
    """With a borrowed teacher the same network comes out, and no teacher is trained or copied."""
    done, _ = whole
    stages: list[str] = []
    borrowing = make_run(
        store, tmp_path / "run", recipe,
        options=TrainOptions(on_stage=stages.append), teachers=[done.recogniser.parent],
    )  # fmt: skip
    assert "teacher" not in stages
    assert not (tmp_path / "run" / "teacher").exists()
    for one, other in zip(
        borrowing.result.model.trainable_weights, done.result.model.trainable_weights, strict=True
    ):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_a_teacher_trained_alone_is_the_one_of_the_whole_run(
    tmp_path: Path, store: Path, recipe: Config, whole: tuple[RunResult, list[str]]
) -> None:
    """The same weights and accuracy, and nothing else in the folder."""
    stages: list[str] = []
    folder, accuracy = make_teacher(
        store, tmp_path / "run", recipe, options=TrainOptions(on_stage=stages.append)
    )
    assert stages == ["altered copies of the training clips", "teacher"]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["teacher"]
    same, clips = load_teacher(whole[0].recogniser.parent), load_features(store, "validation")
    for one, other in zip(load_teacher(folder.parent).weights, same.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    answers = np.asarray(same(clips.x)).argmax(axis=1)
    assert accuracy == pytest.approx(np.mean(answers == clips.y))


@pytest.mark.parametrize("kind", ["notes", "file", "store"])
def test_a_folder_of_something_else_is_no_run(
    kind: str, tmp_path: Path, feature_store: Path, tiny_config: Config
) -> None:
    """Somebody's settings, a file and a feature store are not trained into."""
    run = tmp_path / "run"
    if kind == "store":
        shutil.copytree(feature_store, run)
    elif kind == "notes":
        run.mkdir()
        (run / "config.toml").write_text("# mine")
    else:
        run.write_text("words")
    before = everything(run) if run.is_dir() else {}
    for make in (make_run, make_teacher):
        config = dataclasses.replace(tiny_config, teacher=TeacherConfig(weight=1.0))
        with pytest.raises(TrainingError, match="run: expected a new folder or an earlier run"):
            make(feature_store, run, config)
    assert (everything(run) if run.is_dir() else {}) == before


def test_a_name_that_is_no_text_is_refused_before_the_training(
    tmp_path: Path, feature_store: Path, tiny_config: Config
) -> None:
    """The recogniser gets the name of its run, so that has to be one."""
    with pytest.raises(TrainingError, match=r"run\\xff: expected a name in UTF-8"):
        make_run(feature_store, tmp_path / "run\udcff", tiny_config)
    assert list(tmp_path.iterdir()) == []


def test_a_log_of_ones_own_may_lie_in_a_run(
    tmp_path: Path, feature_store: Path, tiny_config: Config
) -> None:
    """What no training writes over does not stand in the way of one."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "train.log").write_text("epoch 1")
    make_run(feature_store, tmp_path / "run", short(tiny_config))
    assert (tmp_path / "run" / "train.log").read_text() == "epoch 1"


def test_two_trainings_do_not_share_a_folder(
    tmp_path: Path, feature_store: Path, tiny_config: Config
) -> None:
    """The second is refused, and the first goes on."""
    refused: list[str] = []

    def second(row: object) -> None:
        with pytest.raises(DatasetError, match="another process is writing there") as caught:
            make_run(feature_store, tmp_path / "run", short(tiny_config))
        refused.append(str(caught.value))

    done = make_run(
        feature_store, tmp_path / "run", short(tiny_config), options=TrainOptions(on_epoch=second)
    )
    assert len(refused) == 1
    assert done.recogniser.exists()


def test_without_a_teacher_there_is_none_to_train_alone(
    tmp_path: Path, store: Path, recipe: Config
) -> None:
    """Settings that want no teacher are refused before anything is written."""
    without = dataclasses.replace(recipe, teacher=TeacherConfig())
    with pytest.raises(ConfigError, match=r"teacher\.weight"):
        make_teacher(store, tmp_path / "run", without)
    assert not (tmp_path / "run").exists()


def test_of_several_teachers_the_mean_is_learnt_and_shipped(
    tmp_path: Path, store: Path, recipe: Config, whole: tuple[RunResult, list[str]]
) -> None:
    """None of them is left out, neither of the answers nor of what streams ask."""
    first = whole[0].recogniser.parent
    late = dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, seed=4))
    second = make_run(store, tmp_path / "second", late).recogniser.parent
    clips = load_features(store, "testing").x
    alone = [np.asarray(load_teacher(run)(clips)) for run in (first, second)]
    assert np.abs(alone[0] - alone[1]).max() > 0.01
    mean = np.mean(alone, axis=0)
    np.testing.assert_allclose(load_teacher(first, second)(clips), mean, atol=1e-6)
    # Settings for a teacher say nothing of those that are borrowed.
    uncalibrated = dataclasses.replace(
        recipe, export=ExportConfig(stream_teacher=True, calibrate=False),
        teacher=TeacherConfig(weight=0.8, train=TrainConfig(epochs=99)),
    )  # fmt: skip
    both = make_run(store, tmp_path / "both", uncalibrated, teachers=[first, second])
    np.testing.assert_allclose(
        Recognizer.load(both.recogniser).stream_scores(clips), mean, atol=2e-5
    )
    manifest = read_bundle(both.recogniser).manifest
    assert manifest["stream_network"]["members"] == 2
    networks = manifest["training"]["teacher"]["networks"]
    assert [made["train"] for made in networks] == [plain(taught_from(c)) for c in (recipe, late)]
    taught_by_one = whole[0].result.model.trainable_weights[0]
    assert np.abs(np.asarray(both.result.model.trainable_weights[0]) - taught_by_one).max() > 0


@pytest.mark.parametrize("resume", [False, True])
def test_a_refused_training_keeps_the_teacher_of_the_stopped_one(
    tmp_path: Path, store: Path, recipe: Config, resume: bool
) -> None:
    """Neither a forgotten flag nor other settings cost a stopped run its teacher."""

    def stop(row: object) -> None:
        if stages[-1] == "dense":
            raise KeyboardInterrupt

    stages: list[str] = []
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        make_run(store, run, recipe, options=TrainOptions(on_stage=stages.append, on_epoch=stop))
    before = everything(run)
    other = dataclasses.replace(
        recipe, teacher=dataclasses.replace(recipe.teacher, train=TrainConfig(epochs=1))
    )
    with pytest.raises(TrainingError):
        make_run(store, run, other, options=TrainOptions(resume=resume))
    assert everything(run) == before


def test_a_resnet_becomes_a_recogniser(
    tmp_path: Path, feature_store: Path, tiny_config: Config
) -> None:
    """A residual network can ship too: its file scores as Keras does and knows its dropout."""
    model = ModelConfig(
        kind="resnet", filters=(2, 3), widths=(), dropout=(0.3,), batch_norm=True,
        remove_level=True,
    )  # fmt: skip
    config = dataclasses.replace(short(tiny_config, batch_size=64), model=model)
    done = make_run(feature_store, tmp_path / "pictures", config)
    clips = load_features(feature_store, "testing")
    recognizer = Recognizer.load(done.recogniser)
    wanted = np.asarray(done.result.model(clips.x, training=False))
    np.testing.assert_allclose(recognizer.scores(clips.x), wanted, atol=1e-5)
    assert read_bundle(done.recogniser).dropout == ((pytest.approx(0.3), (3,)),)
    spread = recognizer.uncertainty(0.1 * np.ones(16_000, np.float32), passes=20, seed=1)
    assert spread.passes == 20
