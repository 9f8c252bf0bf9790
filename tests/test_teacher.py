"""A teacher gives its posteriors as answers, is kept, and is used again only where it fits."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest

from speechrec.batches import answers
from speechrec.checkpoint import EpochRow
from speechrec.config import FeatureConfig
from speechrec.errors import TrainingError
from speechrec.recorder import TrainOptions
from speechrec.store import FeatureSet
from speechrec.teacher import soft_answers
from speechrec.train_config import Config, ModelConfig, TeacherConfig, TrainConfig

LABELS = ("a", "b", "c")


def clouds(seed: int, clips: int, *, copies: int = 0) -> FeatureSet:
    """Vectors around one centre for each label, each with as many altered copies."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((len(LABELS), 1024))
    y = rng.integers(0, len(LABELS), clips)
    x = 0.3 * centres[y] + rng.standard_normal((clips, 1024))
    near = 0.3 * centres[y][:, np.newaxis] + rng.standard_normal((clips, copies, 1024))
    return FeatureSet(
        x.astype(np.float32), y, LABELS, (), FeatureConfig(),
        near.astype(np.float16) if copies else None,
    )  # fmt: skip


TRAINING, VALIDATION = clouds(1, 48, copies=2), clouds(2, 30)
CONFIG = Config(
    model=ModelConfig(widths=(8,), dropout=(0.2,)),
    train=TrainConfig(epochs=2, batch_size=32, patience=0, seed=5),
    teacher=TeacherConfig(
        weight=1.0,
        model=ModelConfig(widths=(16,), dropout=(0.2,), batch_norm=True),
        train=TrainConfig(epochs=2, batch_size=32, learning_rate=5e-3, patience=0),
    ),
)


def with_teacher(**changes: Any) -> Config:
    return dataclasses.replace(CONFIG, teacher=dataclasses.replace(CONFIG.teacher, **changes))


def taught(
    run: Path,
    config: Config = CONFIG,
    *,
    training: FeatureSet = TRAINING,
    validation: FeatureSet = VALIDATION,
    borrowed: Path | None = None,
    stages: list[str] | None = None,
    **options: Any,
) -> npt.NDArray[np.float32]:
    """`soft_answers`, with the stages before a teacher is asked in ``stages``."""
    told: list[str] = []
    try:
        soft = soft_answers(
            training, validation, run, config, TrainOptions(on_stage=told.append, **options),
            borrowed=[borrowed] if borrowed else [],
        )  # fmt: skip
        assert told.pop() == "answers of the teacher"
        return soft
    finally:
        if stages is not None:
            stages += told


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


class StoppedError(Exception):
    """Stands for whatever stops a training."""


def stop(row: EpochRow) -> None:
    raise StoppedError


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its teacher. Only to be copied."""
    run = tmp_path_factory.mktemp("finished")
    taught(run)
    return run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def posteriors(run: Path) -> npt.NDArray[np.float32]:
    """What the teacher in a folder, opened with Keras alone, says of every vector."""
    model = keras.models.load_model(run / "teacher" / "model.keras")
    assert TRAINING.copies is not None
    everything = np.concatenate(
        [TRAINING.x[:, np.newaxis], TRAINING.copies.astype(np.float32)], axis=1
    )
    scores: npt.NDArray[np.float32] = np.asarray(model(everything.reshape(-1, 1024)))
    return scores


def test_a_teacher_is_kept_with_what_it_was_taught_with(finished: Path) -> None:
    """The run keeps the teacher, its history and its settings, and no checkpoints."""
    folder = finished / "teacher"
    assert {path.name for path in folder.iterdir()} == {
        "model.keras", "teacher.json", "history.csv"
    }  # fmt: skip
    stated = json.loads((folder / "teacher.json").read_text())
    assert stated["labels"] == list(LABELS)
    assert stated["model"]["widths"] == [16]
    assert stated["train"]["seed"] == CONFIG.train.seed
    assert 0 <= stated["val_accuracy"] <= 1


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_answers_are_mixed_by_weight(run: Path, weight: float, smoothing: float) -> None:
    """So much of the answers is the teacher's, copy by copy, the rest the smoothed labels."""
    config = dataclasses.replace(
        with_teacher(weight=weight),
        train=dataclasses.replace(CONFIG.train, label_smoothing=smoothing),
    )
    soft = taught(run, config)
    assert (soft.shape, soft.dtype) == ((48 * 3, 3), np.float32)
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-5)
    hard = answers(TRAINING, smoothing)
    np.testing.assert_allclose(soft, weight * posteriors(run) + (1 - weight) * hard, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_teacher_may_be_learnt_less_sure_than_it_is(run: Path, temperature: float) -> None:
    """Its posteriors to the power of 1 / temperature, summing to one."""
    soft = taught(run, with_teacher(temperature=temperature))
    powered = posteriors(run).astype(np.float64) ** (1 / temperature)
    np.testing.assert_allclose(soft, powered / powered.sum(axis=1, keepdims=True), atol=1e-5)
    assert soft.dtype == np.float32


def test_the_same_teacher_is_used_again(run: Path) -> None:
    """A training that wants the same teacher trains none, and gets the same answers."""
    before, stages = contents(run), list[str]()
    again = taught(run, stages=stages)
    assert not stages
    assert contents(run) == before
    np.testing.assert_allclose(again, posteriors(run), atol=1e-5)


@pytest.mark.parametrize(
    "config",
    [
        with_teacher(weight=0.5),
        dataclasses.replace(CONFIG, model=ModelConfig(widths=(4,), dropout=(0.1,))),
        dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, epochs=9)),
    ],
    ids=["weight", "network", "schedule"],
)
def test_what_the_network_is_does_not_matter_to_its_teacher(run: Path, config: Config) -> None:
    """Another network, or another share of the teacher's, can use the teacher that is there."""
    before = contents(run)
    taught(run, config)
    assert contents(run) == before


@pytest.mark.parametrize(
    ("config", "training", "validation"),
    [
        (with_teacher(model=ModelConfig(widths=(15,), dropout=(0.2,))), TRAINING, VALIDATION),
        (with_teacher(train=dataclasses.replace(CONFIG.teacher.train, mixup=0.1)), TRAINING,
         VALIDATION),
        (dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, seed=6)), TRAINING,
         VALIDATION),
        (CONFIG, clouds(3, 48, copies=2), VALIDATION),
        (CONFIG, dataclasses.replace(TRAINING, copies=TRAINING.copies[:, :1]), VALIDATION),
        (CONFIG, TRAINING, clouds(4, 30)),
        (CONFIG, dataclasses.replace(TRAINING, labels=("a", "b", "d")), VALIDATION),
        (CONFIG, dataclasses.replace(TRAINING, config=FeatureConfig(low_hz=61.0)), VALIDATION),
    ],
    ids=["model", "schedule", "seed", "clips", "copies", "validation", "labels", "features"],
)  # fmt: skip
def test_another_teacher_is_trained(
    run: Path, config: Config, training: FeatureSet, validation: FeatureSet
) -> None:
    """Where anything the teacher learns from differs, it is trained anew and replaces the old."""
    before, stages = contents(run), list[str]()
    taught(run, config, training=training, validation=validation, stages=stages)
    assert stages == ["teacher"]
    after = contents(run)
    assert set(after) == set(before)
    for name in ("teacher/model.keras", "teacher/teacher.json"):
        assert after[name][1] != before[name][1]


@pytest.mark.parametrize(
    "damage",
    ["missing", "empty", "half", "no statement", "text", "brace", "list"],
)
def test_a_damaged_teacher_is_trained_again(run: Path, damage: str) -> None:
    """What cannot be read is no teacher: another one, equal to the first, takes its place."""
    expected, stages = posteriors(run), list[str]()
    model, statement = run / "teacher" / "model.keras", run / "teacher" / "teacher.json"
    content = model.read_bytes()
    if damage in ("missing", "empty", "half"):
        model.unlink()
        if damage != "missing":
            model.write_bytes(content[: len(content) // 2 if damage == "half" else 0])
    else:
        statement.unlink()
        if damage != "no statement":
            statement.write_text({"text": "teacher", "brace": "{", "list": "[]"}[damage])
    np.testing.assert_allclose(taught(run, stages=stages), expected, atol=1e-5)
    assert stages == ["teacher"]


def test_restart_keeps_a_finished_teacher(run: Path) -> None:
    """With --restart a stopped training is dropped; a teacher would come out the same again."""
    before, stages = contents(run), list[str]()
    (run / "teacher" / "checkpoint").mkdir()
    taught(run, stages=stages, restart=True)
    assert not stages
    assert contents(run) == before
    assert not (run / "teacher" / "checkpoint").exists()


def test_a_teacher_is_never_taken_for_another(
    run: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between the model and what is said of it, there is no teacher."""

    def stopped(*_: object) -> None:
        raise StoppedError

    monkeypatch.setattr("speechrec.teacher.write_json", stopped)
    other = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, seed=77))
    with pytest.raises(StoppedError):
        taught(run, other)
    monkeypatch.undo()
    stages: list[str] = []
    again = taught(run, stages=stages, restart=True)
    np.testing.assert_allclose(again, posteriors(finished), atol=1e-5)
    assert stages == ["teacher"]


def test_a_stopped_teacher_is_not_overwritten(tmp_path: Path) -> None:
    """A forgotten flag loses no epoch of a teacher."""
    with pytest.raises(StoppedError):
        taught(tmp_path, on_epoch=stop)
    before = contents(tmp_path)
    with pytest.raises(TrainingError, match="--resume, or drop it with --restart"):
        taught(tmp_path)
    assert contents(tmp_path) == before


def test_a_stopped_teacher_goes_on(tmp_path: Path, finished: Path) -> None:
    """A teacher that was stopped and resumed is bit for bit the one that was not."""
    with pytest.raises(StoppedError):
        taught(tmp_path, on_epoch=stop)
    rows: list[EpochRow] = []
    resumed = taught(tmp_path, resume=True, on_epoch=rows.append)
    assert [row.epoch for row in rows] == [2]
    np.testing.assert_array_equal(posteriors(tmp_path), posteriors(finished))
    np.testing.assert_allclose(resumed, posteriors(finished), atol=1e-5)


def test_resume_is_right_in_any_state(tmp_path: Path, finished: Path) -> None:
    """`make model` always resumes: what has not begun begins, and what is finished is used."""
    stages: list[str] = []
    begun = taught(tmp_path, stages=stages, resume=True)
    used = taught(tmp_path, stages=stages, resume=True)
    assert stages == ["teacher"]
    np.testing.assert_array_equal(posteriors(tmp_path), posteriors(finished))
    np.testing.assert_array_equal(begun, used)


def test_another_runs_teacher(tmp_path: Path, finished: Path) -> None:
    """A borrowed teacher is asked and left alone; nothing of it comes into the run."""
    before, stages = contents(finished), list[str]()
    other = dataclasses.replace(
        with_teacher(model=ModelConfig(widths=(9,), dropout=(0.1,))),
        train=dataclasses.replace(CONFIG.train, seed=77),
    )
    soft = taught(tmp_path / "run", other, borrowed=finished, stages=stages, restart=True)
    np.testing.assert_allclose(soft, posteriors(finished), atol=1e-5)
    assert not stages
    assert contents(finished) == before
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("training", "named"),
    [
        (dataclasses.replace(TRAINING, labels=("a", "b", "d")), "labels"),
        (dataclasses.replace(TRAINING, labels=("b", "a", "c")), "labels"),
        (dataclasses.replace(TRAINING, config=FeatureConfig(align="none")), "features"),
        (dataclasses.replace(TRAINING, labels=("d", "e", "f"),
                             config=FeatureConfig(low_hz=61.0)), "features and labels"),
    ],
    ids=["labels", "their order", "features", "both"],
)  # fmt: skip
def test_a_borrowed_teacher_must_fit(
    tmp_path: Path, finished: Path, training: FeatureSet, named: str
) -> None:
    """A teacher of other labels or another front end is refused, and what differs is named."""
    with pytest.raises(TrainingError, match=rf"expected a trained teacher: its {named} differ"):
        taught(tmp_path / "run", training=training, borrowed=finished)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "damage", ["no run", "no teacher", "no model", "altered", "no statement", "text", "no settings"]
)
def test_a_borrowed_teacher_must_be_there(run: Path, tmp_path: Path, damage: str) -> None:
    """A run without a whole teacher is an error that names the folder; none is trained."""
    if damage == "no run":
        run = tmp_path / "nowhere"
    elif damage == "no teacher":
        shutil.rmtree(run / "teacher")
    elif damage == "text":
        (run / "teacher" / "teacher.json").write_text("teacher")
    elif damage == "altered":
        model = run / "teacher" / "model.keras"
        content = model.read_bytes()
        middle = len(content) // 2
        model.write_bytes(content[:middle] + bytes(64) + content[middle + 64 :])
    elif damage == "no settings":
        statement = run / "teacher" / "teacher.json"
        statement.write_text(json.dumps({**json.loads(statement.read_text()), "train": None}))
    else:
        name = {"no model": "model.keras", "no statement": "teacher.json"}[damage]
        (run / "teacher" / name).unlink()
    stages: list[str] = []
    with pytest.raises(TrainingError, match="expected a trained teacher") as caught:
        taught(tmp_path / "mine", borrowed=run, stages=stages)
    assert str(caught.value).startswith(f"{run / 'teacher'}: ")
    assert not stages
    assert not (tmp_path / "mine").exists()
