"""Training is a function of data, settings and seed, however often it is stopped."""

import csv
import dataclasses
import json
import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from speechrec.checkpoint import EpochRow
from speechrec.config import FeatureConfig
from speechrec.errors import MissingExtraError, TrainingError
from speechrec.recorder import Step, TrainOptions
from speechrec.store import FeatureSet
from speechrec.train import TrainResult, finish, train
from speechrec.train_config import Config, ModelConfig, TrainConfig

LABELS = ("a", "b", "c")


def clouds(seed: int, *, clips: int = 60, labels: tuple[str, ...] = LABELS) -> FeatureSet:
    """Vectors around one centre for each label, far enough apart to be learnt and to be missed."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((len(labels), 1024))
    y = rng.integers(0, len(labels), clips)
    x = 0.5 * centres[y] + rng.standard_normal((clips, 1024))
    return FeatureSet(x.astype(np.float32), y, labels, (), FeatureConfig())


TRAINING, VALIDATION = clouds(1), clouds(2, clips=40)
CONFIG = Config(
    model=ModelConfig(widths=(16, 8), dropout=(0.4, 0.2)),
    train=TrainConfig(epochs=3, batch_size=16, learning_rate=5e-3, patience=0, seed=5),
)


def with_train(**changes: Any) -> Config:
    return dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, **changes))


def fit(
    run: Path,
    config: Config = CONFIG,
    *,
    training: FeatureSet = TRAINING,
    validation: FeatureSet = VALIDATION,
    soft: npt.NDArray[np.float32] | None = None,
    **options: Any,
) -> TrainResult:
    """`train` with the settings of ``config`` and options by name."""
    return train(
        training, validation, run, config.model, config.train,
        soft=soft, options=TrainOptions(**options),
    )  # fmt: skip


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
        fit(run, config, on_epoch=stop_after(epoch))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """A training that nothing stopped."""
    return fit(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory, whole: TrainResult) -> Path:
    """Its folder."""
    return max(tmp_path_factory.getbasetemp().glob("whole*"))


@pytest.fixture(scope="module")
def stopped_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run stopped after its first epoch. Only to be copied."""
    run = tmp_path_factory.mktemp("stopped")
    stopped(run, 1)
    return run


def contents(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def copied(run: Path, target: Path) -> Path:
    return Path(shutil.copytree(run, target / "run"))


def test_other_seed_other_history(tmp_path: Path, whole: TrainResult) -> None:
    """Another seed gives another training."""
    rows: list[EpochRow] = []

    def keep(row: EpochRow) -> None:
        rows.append(row)
        raise StoppedError

    with pytest.raises(StoppedError):
        fit(tmp_path, with_train(seed=6), on_epoch=keep)
    assert rows[0].loss != whole.history[0].loss


def test_resumed_equals_uninterrupted(
    tmp_path: Path, stopped_run: Path, whole: TrainResult
) -> None:
    """Stopped and resumed, a run ends as if it had not been stopped, reporting what is new."""
    steps: list[Step] = []
    rows: list[EpochRow] = []
    run = copied(stopped_run, tmp_path)
    resumed = fit(run, resume=True, on_step=steps.append, on_epoch=rows.append)
    assert_same(resumed, whole)
    assert [row.epoch for row in rows] == [2, 3]
    assert [(s.epoch, s.epochs, s.batch, s.batches) for s in steps] == [
        (epoch, 3, batch, 4) for epoch in (2, 3) for batch in (1, 2, 3, 4)
    ]
    assert all(0 <= step.accuracy <= 1 for step in steps)


def test_stopped_within_an_epoch_again(
    tmp_path: Path, stopped_run: Path, whole: TrainResult
) -> None:
    """Stopped once more between two batches, a run still comes to the same end."""

    def stop(step: Step) -> None:
        if (step.epoch, step.batch) == (3, 2):
            raise StoppedError

    run = copied(stopped_run, tmp_path)
    with pytest.raises(StoppedError):
        fit(run, resume=True, on_step=stop)
    assert 1 <= len(list((run / "checkpoint").glob("*.keras"))) <= 2
    assert_same(fit(run, resume=True), whole)


def test_killed_process(tmp_path: Path, whole: TrainResult) -> None:
    """A process killed with SIGKILL, which nothing can catch, loses no finished epoch."""
    with (tmp_path / "job.pickle").open("wb") as file:
        pickle.dump((TRAINING, VALIDATION, tmp_path / "run", CONFIG.model, CONFIG.train), file)
    code = (
        "import os, pickle, signal, sys\n"
        "from speechrec.recorder import TrainOptions\n"
        "from speechrec.train import train\n"
        "def kill(row):\n"
        "    if row.epoch == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "train(*pickle.load(open(sys.argv[1], 'rb')), options=TrainOptions(on_epoch=kill))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "job.pickle")]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    with (tmp_path / "run" / "history.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2
    assert_same(fit(tmp_path / "run", resume=True), whole)


def test_resume_when_all_is_done(tmp_path: Path, whole_run: Path, whole: TrainResult) -> None:
    """Resuming a run whose last epoch is over trains no further and gives its result."""
    rows: list[EpochRow] = []
    run = copied(whole_run, tmp_path)
    again = fit(run, resume=True, on_epoch=rows.append)
    assert not rows
    assert_same(again, whole)


def test_batch_normalisation_resumes_too(tmp_path: Path) -> None:
    """The moving averages of batch normalisation resume bit for bit as well."""
    model = ModelConfig(widths=(8,), dropout=(0.3,), batch_norm=True)
    config = dataclasses.replace(with_train(epochs=2), model=model)
    uninterrupted = fit(tmp_path / "whole", config)
    stopped(tmp_path / "run", 1, config)
    resumed = fit(tmp_path / "run", config, resume=True)
    assert_same(resumed, uninterrupted)
    for one, other in zip(resumed.model.weights, uninterrupted.model.weights, strict=True):
        if "seed" not in one.path:
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize(
    "changes",
    [
        {"warmup_share": 0.4},
        {"label_smoothing": 0.2, "mixup": 0.4, "mask_share": 0.5, "mirror_share": 0.5},
        {"weight_decay": 0.5},
        {"bfloat16": True},
    ],
    ids=str,
)
def test_every_lever_resumes_too(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Warm-up, mixtures, masks and decay go on after a stop as if there had been none."""
    training = dataclasses.replace(TRAINING, copies=altered(TRAINING, 2))
    config = with_train(keep_best=False, epochs=2, **changes)
    uninterrupted = fit(tmp_path / "whole", config, training=training)
    with pytest.raises(StoppedError):
        fit(tmp_path / "run", config, training=training, on_epoch=stop_after(1))
    assert_same(fit(tmp_path / "run", config, training=training, resume=True), uninterrupted)


def altered(features: FeatureSet, copies: int) -> npt.NDArray[np.float16]:
    """Copies near their clips."""
    rng = np.random.default_rng(8)
    near = features.x[:, np.newaxis] + 0.3 * rng.standard_normal((len(features), copies, 1024))
    return near.astype(np.float16)


def test_copies_are_learnt_too(tmp_path: Path) -> None:
    """An epoch is one pass over clips and copies, and what is learnt depends on the copies."""
    copies = altered(TRAINING, 2)
    steps: list[Step] = []
    config = with_train(epochs=1)
    training = dataclasses.replace(TRAINING, copies=copies)
    result = fit(tmp_path / "run", config, training=training, on_step=steps.append)
    assert [(step.batch, step.batches) for step in steps] == [(n, 12) for n in range(1, 13)]
    other = dataclasses.replace(TRAINING, copies=-copies)
    assert fit(tmp_path / "other", config, training=other).history[0].loss > result.history[0].loss


def test_resume_with_other_copies_or_answers(tmp_path: Path) -> None:
    """Altered copies and soft answers are data too: a stopped run goes on with the same only."""
    training = dataclasses.replace(TRAINING, copies=altered(TRAINING, 1))
    assert training.copies is not None
    soft = np.full((120, 3), 1 / 3, np.float32)
    with pytest.raises(StoppedError):
        fit(tmp_path, training=training, soft=soft, on_epoch=stop_after(1))
    other = dataclasses.replace(training, copies=training.copies + np.float16(1))
    for changed in (
        {"training": other, "soft": soft},
        {"training": training, "soft": soft / 2},
        {"training": training},
    ):
        with pytest.raises(TrainingError, match=r"other settings or data \(data\)"):
            fit(tmp_path, resume=True, **changed)


def test_soft_answers_are_learnt(tmp_path: Path) -> None:
    """A network that is taught probabilities answers with them, not with the labels."""
    wanted = np.array([[0.6, 0.3, 0.1], [0.1, 0.6, 0.3], [0.3, 0.1, 0.6]], np.float32)
    model = ModelConfig(widths=(8,), dropout=(0.0,))
    config = dataclasses.replace(with_train(epochs=14, keep_best=False), model=model)
    result = fit(tmp_path, config, soft=wanted[(TRAINING.y + 1) % 3])
    scores = np.asarray(result.model(TRAINING.x))
    assert np.abs(scores - wanted[(TRAINING.y + 1) % 3]).mean() < 0.05
    assert result.accuracy_dropout_off < 0.1


def test_weight_decay_is_for_what_multiplies(tmp_path: Path) -> None:
    """After one step, kernels are smaller by rate times decay, biases and normalisation are not."""
    model = ModelConfig(widths=(6,), dropout=(0.0,), batch_norm=True)
    step = {"epochs": 1, "batch_size": 64, "schedule": "constant", "learning_rate": 0.1}
    plain, decayed = (
        fit(tmp_path / f"{decay}", dataclasses.replace(with_train(**step, **decay), model=model))
        for decay in ({}, {"weight_decay": 0.4})
    )
    started = fit(
        tmp_path / "start", dataclasses.replace(with_train(**{**step, "learning_rate": 1e-12}),
                                                model=model)
    )  # fmt: skip
    compared = []
    for one, other, first in zip(
        plain.model.trainable_weights, decayed.model.trainable_weights,
        started.model.trainable_weights, strict=True,
    ):  # fmt: skip
        kernel, smaller, before = (np.asarray(weight) for weight in (one, other, first))
        compared.append(one.name)
        pulled = 0.1 * 0.4 * before if one.name == "kernel" else 0
        np.testing.assert_allclose(smaller, kernel - pulled, atol=1e-5)
    assert compared == ["kernel", "gamma", "beta", "kernel", "bias"]


@pytest.mark.parametrize("warmup_share", [0.25, 0.5])
def test_warm_up(tmp_path: Path, warmup_share: float) -> None:
    """The rate rises in a line over its share of the steps, then falls along half a cosine."""
    config = with_train(epochs=4, warmup_share=warmup_share)
    rates = [row.learning_rate for row in fit(tmp_path, config).history]
    rise = 4 * warmup_share
    wanted = [
        5e-3 * (epoch / rise if epoch < rise
                else (1 + np.cos(np.pi * (epoch - rise) / (4 - rise))) / 2)
        for epoch in (1, 2, 3, 4)
    ]  # fmt: skip
    np.testing.assert_allclose(rates, wanted, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("epochs", [1, 2])
def test_nothing_but_warm_up(tmp_path: Path, epochs: int) -> None:
    """A share of 1, which the settings allow, is a rate that only rises."""
    result = fit(tmp_path, with_train(epochs=epochs, warmup_share=1.0))
    assert result.history[-1].learning_rate == pytest.approx(5e-3, rel=0.1)


def test_figures_leave_the_network_alone(tmp_path: Path) -> None:
    """Measuring accuracy with dropout on changes no weight and no statistic of normalisation."""
    model = ModelConfig(widths=(16, 8), dropout=(0.5, 0.4), batch_norm=True, remove_level=True)
    config = dataclasses.replace(with_train(epochs=2), model=model)
    result = fit(tmp_path, config)
    assert result.accuracy_dropout_on < result.accuracy_dropout_off
    saved = keras.models.load_model(
        tmp_path / "checkpoint" / f"epoch-{result.kept_epoch:04d}.keras"
    )
    for one, other in zip(result.model.weights, saved.weights, strict=True):
        if "seed" not in one.path:
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other), one.path)
    assert [w.path for w in result.model.trainable_weights] == [
        w.path for w in saved.trainable_weights
    ]


def test_normalisation_acts_as_in_prediction_when_dropout_is_on(tmp_path: Path) -> None:
    """Without dropout the figure with dropout on is that of prediction, batch norm or not."""
    model = ModelConfig(widths=(16,), dropout=(0.0,), batch_norm=True)
    config = dataclasses.replace(with_train(epochs=2, learning_rate=5e-2), model=model)
    result = fit(tmp_path, config)
    assert result.accuracy_dropout_on == result.accuracy_dropout_off


def test_resnet_learns(tmp_path: Path) -> None:
    """A residual network trains for an epoch and comes back from its file with its weights."""
    model = ModelConfig(
        kind="resnet", filters=(2, 3), widths=(), dropout=(0.2,), batch_norm=True,
        remove_level=True,
    )  # fmt: skip
    config = dataclasses.replace(
        with_train(epochs=1, batch_size=32, label_smoothing=0.1, mixup=0.2, mask_share=0.5,
                   weight_decay=1e-3, warmup_share=0.1),
        model=model,
    )  # fmt: skip
    result = fit(tmp_path / "run", config)
    assert np.isfinite(result.history[0].loss)
    scores = np.asarray(result.model(VALIDATION.x, training=False))
    assert result.val_accuracy == pytest.approx(
        float((scores.argmax(axis=1) == VALIDATION.y).mean())
    )
    assert_same(fit(tmp_path / "again", config), result)


def test_bfloat16_is_for_training_alone(tmp_path: Path) -> None:
    """TensorFlow rounds while it fits, and no longer, however that ends; weights are whole."""

    def is_rounding() -> bool:
        found = tf.config.optimizer.get_experimental_options()
        return bool(found.get("auto_mixed_precision_onednn_bfloat16", False))

    def stop(step: Step) -> None:
        assert is_rounding()
        raise StoppedError

    with pytest.raises(StoppedError):
        fit(tmp_path / "stopped", with_train(bfloat16=True), on_step=stop)
    assert not is_rounding()
    rounding: list[bool] = []
    config = with_train(bfloat16=True)
    result = fit(tmp_path / "run", config, on_step=lambda step: rounding.append(is_rounding()))
    assert rounding
    assert all(rounding)
    assert not is_rounding()
    assert {weight.dtype for weight in weights(result)} == {np.dtype(np.float32)}
    assert result.history[-1].loss < result.history[0].loss


def test_finish_removes_the_checkpoints(tmp_path: Path, stopped_run: Path) -> None:
    """When a result is written its checkpoints go; the history stays."""
    run = copied(stopped_run, tmp_path)
    finish(run)
    assert [path.name for path in run.iterdir()] == ["history.csv"]
    finish(run)


@pytest.mark.parametrize(
    ("config", "training", "validation", "named"),
    [
        (with_train(learning_rate=1e-4), TRAINING, VALIDATION, "train"),
        (with_train(seed=6), TRAINING, VALIDATION, "train"),
        (dataclasses.replace(CONFIG, model=ModelConfig(widths=(16,), dropout=(0.4,))),
         TRAINING, VALIDATION, "model"),
        (CONFIG, clouds(1, clips=59), VALIDATION, "data"),
        (CONFIG, TRAINING, clouds(3, clips=40), "data"),
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
    before = contents(stopped_run)
    with pytest.raises(TrainingError, match=rf"other settings or data \({named}\)"):
        fit(stopped_run, config, training=training, validation=validation, resume=True)
    assert contents(stopped_run) == before


def test_nothing_to_resume(tmp_path: Path) -> None:
    """Without a stopped run there is nothing to resume, and the message says how to start one."""
    with pytest.raises(TrainingError, match="nothing to resume; train without --resume"):
        fit(tmp_path, resume=True)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"history": []}', '{"identity": 3}',
                                  '{"history": [], "identity": 3}',
                                  '{"history": [{"epoch": 1}], "identity": {}}'])  # fmt: skip
def test_damaged_state(tmp_path: Path, text: str) -> None:
    """A damaged state is an error that says what to do, not a traceback."""
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "state.json").write_text(text)
    with pytest.raises(TrainingError, match=r"damaged|other settings") as caught:
        fit(tmp_path, resume=True)
    assert "with --restart" in str(caught.value)


@pytest.mark.parametrize("damage", ["missing", "empty", "cut"])
def test_damaged_model(tmp_path: Path, stopped_run: Path, damage: str) -> None:
    """A saved model that cannot be read is an error that says what to do, not a traceback."""
    run = copied(stopped_run, tmp_path)
    for path in (run / "checkpoint").glob("*.keras"):
        content = path.read_bytes()
        path.unlink()
        if damage != "missing":
            path.write_bytes(b"" if damage == "empty" else content[: len(content) // 2])
    with pytest.raises(TrainingError, match="damaged; train with --restart"):
        fit(run, resume=True)


def test_stopped_run_is_not_overwritten(tmp_path: Path, stopped_run: Path) -> None:
    """Hours of a stopped training are not lost because a flag was forgotten."""
    run = copied(stopped_run, tmp_path)
    before = contents(run)
    with pytest.raises(TrainingError, match="--resume, or drop it with --restart"):
        fit(run)
    assert contents(run) == before


def test_restart_forgets_the_stopped_run(
    tmp_path: Path, stopped_run: Path, whole: TrainResult
) -> None:
    """With --restart, what a stopped run left has no influence: equal seeds give equal weights."""
    assert_same(fit(copied(stopped_run, tmp_path), restart=True), whole)


def best_epoch(history: tuple[EpochRow, ...]) -> int:
    """Counted by hand: highest validation accuracy, then lowest loss, then first."""
    rows = sorted(history, key=lambda row: (-row.val_accuracy, row.val_loss, row.epoch))
    return rows[0].epoch


@pytest.fixture(scope="module")
def wavering(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """A training at a rate at which validation goes up and down, with patience for two epochs."""
    config = with_train(epochs=30, learning_rate=0.1, schedule="constant", patience=2)
    return fit(tmp_path_factory.mktemp("wavering"), config)


def test_keeps_the_best_epoch(wavering: TrainResult) -> None:
    """The kept weights are those of the best validation accuracy, and give that accuracy."""
    kept = wavering.history[wavering.kept_epoch - 1]
    assert wavering.kept_epoch == best_epoch(wavering.history) < len(wavering.history)
    answers = np.asarray(wavering.model(VALIDATION.x)).argmax(axis=1)
    assert float((answers == VALIDATION.y).mean()) == pytest.approx(kept.val_accuracy)
    assert wavering.val_accuracy == kept.val_accuracy


def test_early_stopping(wavering: TrainResult) -> None:
    """Training ends as soon as ``patience`` epochs brought nothing better, and no earlier."""
    length = len(wavering.history)
    assert length < 30
    assert length == wavering.kept_epoch + 2
    for end in range(1, length):
        assert end - best_epoch(wavering.history[:end]) < 2


def test_keeps_the_last_epoch_on_request(tmp_path: Path, wavering: TrainResult) -> None:
    """With keep_best off, the weights are those of the last epoch, though another was better."""
    config = with_train(
        epochs=30, learning_rate=0.1, schedule="constant", patience=2, keep_best=False
    )
    result = fit(tmp_path, config)
    # Patience is for the best epoch all the same.
    assert timeless(result.history) == timeless(wavering.history)
    assert result.kept_epoch == len(wavering.history) > wavering.kept_epoch
    assert result.val_accuracy == result.history[-1].val_accuracy


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
    assert [row.epoch for row in read] == [1, 2, 3]


def test_learning_rate_of_the_history(whole: TrainResult, wavering: TrainResult) -> None:
    """The rate falls along half a cosine wave to zero, or stays where it is."""
    wanted = [5e-3 * (1 + np.cos(np.pi * epoch / 3)) / 2 for epoch in (1, 2, 3)]
    rates = [row.learning_rate for row in whole.history]
    np.testing.assert_allclose(rates, wanted, rtol=1e-4, atol=1e-9)
    assert {row.learning_rate for row in wavering.history} == {np.float32(0.1)}


def test_accuracy_with_dropout_off_is_that_of_prediction(whole: TrainResult) -> None:
    """The figure with dropout off is what the kept model answers when it predicts."""
    answers = np.asarray(whole.model(TRAINING.x)).argmax(axis=1)
    assert whole.accuracy_dropout_off == float((answers == TRAINING.y).mean())


def test_dropout_costs_training_accuracy(tmp_path: Path) -> None:
    """With much dropout, accuracy during training is below that of the same weights without."""
    model = ModelConfig(widths=(16, 8), dropout=(0.6, 0.6))
    config = dataclasses.replace(with_train(schedule="constant"), model=model)
    result = fit(tmp_path, config)
    assert result.accuracy_dropout_on < result.accuracy_dropout_off - 0.05
    assert result.history[-1].accuracy < result.history[-1].accuracy_dropout_off - 0.05


def test_without_dropout_both_accuracies_agree(tmp_path: Path) -> None:
    """In a network whose rates are 0, switching dropout on changes nothing."""
    model = ModelConfig(widths=(8,), dropout=(0.0,))
    config = dataclasses.replace(with_train(epochs=1), model=model)
    result = fit(tmp_path, config)
    assert result.accuracy_dropout_on == result.accuracy_dropout_off


def test_learns(whole: TrainResult) -> None:
    """Loss falls, and clips it never saw are answered far better than by guessing."""
    assert whole.history[-1].loss < whole.history[0].loss
    assert whole.val_accuracy > 0.6


def test_tensorboard(tmp_path: Path, whole_run: Path) -> None:
    """Event files are written where they were asked for, and only there."""
    pytest.importorskip("tensorboard")
    fit(tmp_path, with_train(epochs=1), tensorboard=True)
    assert list((tmp_path / "tensorboard").rglob("events.out.tfevents.*"))
    assert not (whole_run / "tensorboard").exists()


def test_tensorboard_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where TensorBoard is missing, the message says how to get it, before anything is trained."""
    monkeypatch.setattr("speechrec.train.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'speechrec\[train\]'"):
        fit(tmp_path, tensorboard=True)
    assert not list(tmp_path.iterdir())


def test_loss_that_is_not_finite(tmp_path: Path) -> None:
    """A training that blows up is an error that says what to lower."""
    model = ModelConfig(widths=(8,), dropout=(0.1,), standardise=False)
    config = dataclasses.replace(
        with_train(epochs=3, learning_rate=1e30, schedule="constant"), model=model
    )
    with pytest.raises(TrainingError, match=r"the loss became \w+ in epoch \d+; lower train\."):
        fit(tmp_path, config)


def test_other_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras on another backend, on which this training is not promised, is refused."""
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(TrainingError, match="unset KERAS_BACKEND"):
        fit(tmp_path)


def test_state_is_plain_json(stopped_run: Path) -> None:
    """What a stopped run keeps can be read without this package."""
    state = json.loads((stopped_run / "checkpoint" / "state.json").read_text())
    assert state["kept_epoch"] == 1
    assert [row["epoch"] for row in state["history"]] == [1]
