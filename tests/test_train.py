"""Training is a function of data, settings and seed, however often it is stopped."""

import csv
import dataclasses
import json
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speechrec.config import Config, FeatureConfig, ModelConfig, TrainConfig
from speechrec.errors import TrainingError
from speechrec.store import FeatureSet
from speechrec.train import EpochRow, Step, TrainResult, finish, train

LABELS = ("a", "b", "c")


def clouds(seed: int, *, clips: int = 60, labels: tuple[str, ...] = LABELS) -> FeatureSet:
    """Vectors around one centre for each label, far enough apart to be learnt and to be missed."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((len(labels), 1024))
    y = rng.integers(0, len(labels), clips)
    x = 0.25 * centres[y] + rng.standard_normal((clips, 1024))
    return FeatureSet(x.astype(np.float32), y, labels, (), FeatureConfig())


TRAINING, VALIDATION = clouds(1), clouds(2, clips=40)
CONFIG = Config(
    model=ModelConfig(widths=(16, 8), dropout=(0.4, 0.2)),
    train=TrainConfig(epochs=5, batch_size=16, learning_rate=3e-3, patience=0, seed=5),
)


def with_train(**changes: Any) -> Config:
    return dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, **changes))


def weights(result: TrainResult) -> list[Any]:
    return [np.asarray(weight) for weight in result.model.trainable_weights]


def timeless(history: tuple[EpochRow, ...] | list[EpochRow]) -> list[EpochRow]:
    return [dataclasses.replace(row, seconds=0.0) for row in history]


def assert_same(left: TrainResult, right: TrainResult) -> None:
    """Bit-identical weights, the same history but for the time it took, the same figures."""
    for one, other in zip(weights(left), weights(right), strict=True):
        np.testing.assert_array_equal(one, other)
    assert timeless(left.history) == timeless(right.history)
    for name in ("kept_epoch", "accuracy_dropout_on", "accuracy_dropout_off", "val_accuracy"):
        assert getattr(left, name) == getattr(right, name)


class StoppedError(Exception):
    """Stands for whatever stops a training."""


def stop_after(epoch: int) -> Any:
    def stop(row: EpochRow) -> None:
        if row.epoch == epoch:
            raise StoppedError

    return stop


def stopped(run: Path, epoch: int, config: Config = CONFIG) -> None:
    with pytest.raises(StoppedError):
        train(TRAINING, VALIDATION, run, config, on_epoch=stop_after(epoch))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """A training that nothing stopped."""
    return train(TRAINING, VALIDATION, tmp_path_factory.mktemp("whole"), CONFIG)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory, whole: TrainResult) -> Path:
    """Its folder."""
    return max(tmp_path_factory.getbasetemp().glob("whole*"))


def test_same_seed_same_weights(tmp_path: Path, whole: TrainResult) -> None:
    """Two trainings with equal settings and data end with the same weights, bit for bit."""
    assert_same(train(TRAINING, VALIDATION, tmp_path, CONFIG), whole)


def test_other_seed_other_weights(tmp_path: Path, whole: TrainResult) -> None:
    """The seed decides about weights, order and dropout."""
    other = train(TRAINING, VALIDATION, tmp_path, with_train(seed=6, epochs=1))
    assert not np.array_equal(weights(other)[0], weights(whole)[0])


@pytest.mark.parametrize("epoch", [1, 3])
def test_resumed_equals_uninterrupted(tmp_path: Path, whole: TrainResult, epoch: int) -> None:
    """Stopped after an epoch and resumed, a run ends as if it had not been stopped."""
    stopped(tmp_path, epoch)
    resumed = train(TRAINING, VALIDATION, tmp_path, CONFIG, resume=True)
    assert_same(resumed, whole)


def test_stopped_within_an_epoch(tmp_path: Path, whole: TrainResult) -> None:
    """Stopped between two batches, a run goes on from the last whole epoch, to the same end."""

    def stop(step: Step) -> None:
        if (step.epoch, step.batch) == (3, 2):
            raise StoppedError

    with pytest.raises(StoppedError):
        train(TRAINING, VALIDATION, tmp_path, CONFIG, on_step=stop)
    assert_same(train(TRAINING, VALIDATION, tmp_path, CONFIG, resume=True), whole)


def test_killed_process(tmp_path: Path, whole: TrainResult) -> None:
    """A process killed with SIGKILL, which nothing can catch, loses no finished epoch."""
    with (tmp_path / "job.pickle").open("wb") as file:
        pickle.dump((TRAINING, VALIDATION, tmp_path / "run", CONFIG), file)
    code = (
        "import os, pickle, signal, sys\n"
        "from speechrec.train import train\n"
        "def kill(row):\n"
        "    if row.epoch == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "train(*pickle.load(open(sys.argv[1], 'rb')), on_epoch=kill)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "job.pickle")]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    with (tmp_path / "run" / "history.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2
    assert_same(train(TRAINING, VALIDATION, tmp_path / "run", CONFIG, resume=True), whole)


def test_resumed_again_and_again(tmp_path: Path, whole: TrainResult) -> None:
    """A run stopped after every epoch ends like one that was never stopped."""
    stopped(tmp_path, 1)
    for epoch in (2, 3, 4):
        with pytest.raises(StoppedError):
            train(TRAINING, VALIDATION, tmp_path, CONFIG, resume=True, on_epoch=stop_after(epoch))
    assert_same(train(TRAINING, VALIDATION, tmp_path, CONFIG, resume=True), whole)


def test_resume_when_all_is_done(tmp_path: Path) -> None:
    """Resuming a run whose last epoch is over trains no further and gives its result."""
    first = train(TRAINING, VALIDATION, tmp_path, with_train(epochs=2))
    rows: list[EpochRow] = []
    again = train(
        TRAINING, VALIDATION, tmp_path, with_train(epochs=2), resume=True, on_epoch=rows.append
    )
    assert not rows
    assert_same(again, first)


def test_only_needed_checkpoints_are_kept(tmp_path: Path) -> None:
    """At most two models stand in the checkpoint folder, and `finish` removes it."""
    stopped(tmp_path, 4)
    assert 1 <= len(list((tmp_path / "checkpoint").glob("*.keras"))) <= 2
    finish(tmp_path)
    assert not (tmp_path / "checkpoint").exists()
    finish(tmp_path)


@pytest.fixture(scope="module")
def stopped_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run stopped after its first epoch. Do not go on with it."""
    run = tmp_path_factory.mktemp("stopped")
    stopped(run, 1)
    return run


@pytest.mark.parametrize(
    ("config", "training", "validation", "named"),
    [
        (with_train(learning_rate=1e-4), TRAINING, VALIDATION, "train"),
        (with_train(seed=6), TRAINING, VALIDATION, "train"),
        (dataclasses.replace(CONFIG, model=ModelConfig(widths=(16,), dropout=(0.4,))),
         TRAINING, VALIDATION, "model"),
        (CONFIG, clouds(1, clips=59), VALIDATION, "clips"),
        (CONFIG, TRAINING, clouds(2, clips=41), "clips"),
        (CONFIG, dataclasses.replace(TRAINING, labels=("a", "b", "d")), VALIDATION, "labels"),
        (CONFIG, dataclasses.replace(TRAINING, config=FeatureConfig(hop_ms=25.0)),
         VALIDATION, "features"),
    ],
    ids=["rate", "seed", "widths", "training", "validation", "labels", "features"],
)  # fmt: skip
def test_resume_with_something_else(
    stopped_run: Path, config: Config, training: FeatureSet, validation: FeatureSet, named: str
) -> None:
    """Resuming with other settings or data is an error that names them, and changes nothing."""
    before = {path: path.read_bytes() for path in sorted(stopped_run.rglob("*")) if path.is_file()}
    with pytest.raises(TrainingError, match=rf"other settings or data \({named}\)"):
        train(training, validation, stopped_run, config, resume=True)
    after = {path: path.read_bytes() for path in sorted(stopped_run.rglob("*")) if path.is_file()}
    assert after == before


def test_nothing_to_resume(tmp_path: Path) -> None:
    """Without a stopped run there is nothing to resume, and the message says how to start one."""
    with pytest.raises(TrainingError, match="nothing to resume; train without --resume"):
        train(TRAINING, VALIDATION, tmp_path, CONFIG, resume=True)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"history": []}', '{"identity": 3}',
                                  '{"history": [], "identity": 3}',
                                  '{"history": [{"epoch": 1}], "identity": {}}'])  # fmt: skip
def test_damaged_state(tmp_path: Path, text: str) -> None:
    """A damaged state is an error that says what to do, not a traceback."""
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "state.json").write_text(text)
    with pytest.raises(TrainingError, match="train without --resume"):
        train(TRAINING, VALIDATION, tmp_path, CONFIG, resume=True)


@pytest.mark.parametrize("damage", ["missing", "empty", "cut"])
def test_damaged_model(tmp_path: Path, damage: str) -> None:
    """A saved model that cannot be read is an error that says what to do, not a traceback."""
    stopped(tmp_path, 1)
    for path in (tmp_path / "checkpoint").glob("*.keras"):
        content = path.read_bytes()
        path.unlink()
        if damage != "missing":
            path.write_bytes(b"" if damage == "empty" else content[: len(content) // 2])
    with pytest.raises(TrainingError, match="train without --resume"):
        train(TRAINING, VALIDATION, tmp_path, CONFIG, resume=True)


def test_starting_anew_forgets_the_stopped_run(tmp_path: Path, whole: TrainResult) -> None:
    """Without --resume, what a stopped run left behind has no influence."""
    stopped(tmp_path, 2, with_train(seed=9))
    assert_same(train(TRAINING, VALIDATION, tmp_path, CONFIG), whole)


def best_epoch(history: tuple[EpochRow, ...]) -> int:
    """Counted by hand: highest validation accuracy, then lowest loss, then first."""
    rows = sorted(history, key=lambda row: (-row.val_accuracy, row.val_loss, row.epoch))
    return rows[0].epoch


def test_keeps_the_best_epoch(tmp_path: Path) -> None:
    """The kept weights are those of the best validation accuracy, and give that accuracy."""
    # A rate at which validation goes up and down.
    result = train(
        TRAINING, VALIDATION, tmp_path, with_train(learning_rate=0.05, schedule="constant")
    )
    assert result.kept_epoch == best_epoch(result.history)
    assert result.kept_epoch < len(result.history), "choose settings whose last epoch is not best"
    answers = np.asarray(result.model(VALIDATION.x)).argmax(axis=1)
    accuracy = float((answers == VALIDATION.y).mean())
    assert accuracy == pytest.approx(result.history[result.kept_epoch - 1].val_accuracy)
    assert result.val_accuracy == result.history[result.kept_epoch - 1].val_accuracy


def test_keeps_the_last_epoch_on_request(tmp_path: Path) -> None:
    """With keep_best off, the weights are those of the last epoch."""
    config = with_train(learning_rate=0.05, schedule="constant", keep_best=False)
    result = train(TRAINING, VALIDATION, tmp_path, config)
    assert result.kept_epoch == len(result.history) == 5
    assert result.val_accuracy == result.history[-1].val_accuracy


@pytest.mark.parametrize("resume", [False, True])
def test_early_stopping(tmp_path: Path, resume: bool) -> None:
    """Training ends once ``patience`` epochs brought nothing better, resumed or not."""
    config = with_train(epochs=30, learning_rate=0.05, schedule="constant", patience=2)
    if resume:
        stopped(tmp_path, 1, config)
    result = train(TRAINING, VALIDATION, tmp_path, config, resume=resume)
    length = len(result.history)
    assert length < 30
    assert length == result.kept_epoch + 2
    # It did not stop at an earlier epoch for want of a reason.
    for end in range(1, length):
        assert end - best_epoch(result.history[:end]) < 2


def test_history(whole: TrainResult, whole_run: Path) -> None:
    """history.csv has a row an epoch and the columns of `EpochRow`, which are an interface."""
    with (whole_run / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "epoch", "loss", "accuracy", "accuracy_dropout_off",
        "val_loss", "val_accuracy", "learning_rate", "seconds",
    ]  # fmt: skip
    read = [
        EpochRow(epoch=int(r.pop("epoch")), **{k: float(v) for k, v in r.items()}) for r in rows
    ]
    assert read == list(whole.history)
    assert [row.epoch for row in read] == [1, 2, 3, 4, 5]


def test_learning_rate_of_the_history(tmp_path: Path, whole: TrainResult) -> None:
    """The rate falls along half a cosine wave to zero, or stays where it is."""
    wanted = [3e-3 * (1 + np.cos(np.pi * epoch / 5)) / 2 for epoch in range(1, 6)]
    rates = [row.learning_rate for row in whole.history]
    np.testing.assert_allclose(rates, wanted, rtol=1e-4, atol=1e-9)
    constant = train(TRAINING, VALIDATION, tmp_path, with_train(schedule="constant", epochs=2))
    assert [row.learning_rate for row in constant.history] == pytest.approx([3e-3, 3e-3])


def test_accuracy_with_dropout_off_is_that_of_prediction(whole: TrainResult) -> None:
    """The figure with dropout off is what the kept model answers when it predicts."""
    answers = np.asarray(whole.model(TRAINING.x)).argmax(axis=1)
    assert whole.accuracy_dropout_off == float((answers == TRAINING.y).mean())


def test_dropout_costs_training_accuracy(tmp_path: Path) -> None:
    """With much dropout, accuracy during training is below that of the same weights without."""
    model = ModelConfig(widths=(16, 8), dropout=(0.6, 0.6))
    config = dataclasses.replace(with_train(epochs=6, schedule="constant"), model=model)
    result = train(TRAINING, VALIDATION, tmp_path, config)
    assert result.accuracy_dropout_on < result.accuracy_dropout_off - 0.05
    assert result.history[-1].accuracy < result.history[-1].accuracy_dropout_off - 0.05


def test_without_dropout_both_accuracies_agree(tmp_path: Path) -> None:
    """In a network whose rates are 0, switching dropout on changes nothing."""
    model = ModelConfig(widths=(8,), dropout=(0.0,))
    config = dataclasses.replace(with_train(epochs=2), model=model)
    result = train(TRAINING, VALIDATION, tmp_path, config)
    assert result.accuracy_dropout_on == result.accuracy_dropout_off


def test_learns(whole: TrainResult) -> None:
    """Loss falls, and clips it never saw are answered far better than by guessing."""
    assert whole.history[-1].loss < whole.history[0].loss
    assert whole.val_accuracy > 0.6


def test_steps_and_epochs_are_reported(tmp_path: Path) -> None:
    """Every batch and every epoch is reported in order, resumed epochs under their own number."""
    steps: list[Step] = []
    rows: list[EpochRow] = []
    stopped(tmp_path, 3)
    train(
        TRAINING, VALIDATION, tmp_path, CONFIG,
        resume=True, on_step=steps.append, on_epoch=rows.append,
    )  # fmt: skip
    assert [(s.epoch, s.epochs, s.batch, s.batches) for s in steps] == [
        (epoch, 5, batch, 4) for epoch in (4, 5) for batch in (1, 2, 3, 4)
    ]
    assert all(0 <= step.accuracy <= 1 for step in steps)
    assert [row.epoch for row in rows] == [4, 5]


def test_tensorboard(tmp_path: Path) -> None:
    """Event files are written where they were asked for, and only there."""
    train(TRAINING, VALIDATION, tmp_path / "with", with_train(epochs=1), tensorboard=True)
    train(TRAINING, VALIDATION, tmp_path / "without", with_train(epochs=1))
    assert list((tmp_path / "with" / "tensorboard").rglob("events.out.tfevents.*"))
    assert not (tmp_path / "without" / "tensorboard").exists()


def test_loss_that_is_not_finite(tmp_path: Path) -> None:
    """A training that blows up is an error that says what to lower."""
    model = ModelConfig(widths=(8,), dropout=(0.1,), standardise=False)
    config = dataclasses.replace(
        with_train(epochs=8, learning_rate=1e30, schedule="constant"), model=model
    )
    with pytest.raises(TrainingError, match=r"the loss became \w+ in epoch \d+; lower train\."):
        train(TRAINING, VALIDATION, tmp_path, config)


def test_other_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras on another backend, on which this training is not promised, is refused."""
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(TrainingError, match="unset KERAS_BACKEND"):
        train(TRAINING, VALIDATION, tmp_path, CONFIG)


def test_state_is_plain_json(stopped_run: Path) -> None:
    """What a stopped run keeps can be read without this package."""
    state = json.loads((stopped_run / "checkpoint" / "state.json").read_text())
    assert state["kept_epoch"] == 1
    assert [row["epoch"] for row in state["history"]] == [1]
