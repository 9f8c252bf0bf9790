"""A run: from a feature store to a run folder with the recogniser, its report and its history.

runs/NAME/  config.toml  history.csv  curves.png  model.keras  NAME.speechrec
            report.json  report.html
"""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tomli_w

from speechrec import bundle, report, store, teacher
from speechrec.assemble import write_recogniser
from speechrec.checkpoint import Checkpoint, EpochRow
from speechrec.config import check_same_features, require
from speechrec.copies import training_copies
from speechrec.errors import TrainingError
from speechrec.evaluate import Report
from speechrec.files import locked, replacing, write_json, write_text
from speechrec.recorder import TrainOptions
from speechrec.recording import is_utf8, printable
from speechrec.teacher import own_teacher, soft_answers
from speechrec.train import TrainResult, finish, train
from speechrec.train_config import Config

# By these a run folder is known, also that of a training that was stopped.
_SIGNS = {Checkpoint.FOLDER, teacher.FOLDER, "history.csv", "model.keras"}
# Of somebody else, these would be written over, or get into a feature store's way.
_OTHERS = {"config.toml", "curves.png", "report.html", "report.json", store.INFO_NAME}


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
        ConfigError: there are teachers, and settings that do not ask them.
        SettingsMismatchError: the store has other front-end settings than ``config``.
        DatasetError: the store is unfinished or has no training or validation clips, or another
            training is writing into the run.
        TrainingError: ``run`` is something else, nothing to resume, or the loss is not finite.
    """
    require(
        config.teacher.weight > 0 or not teachers,
        "teacher.weight: 0 asks no teacher, but one is named; set it to 1",
    )
    run = _named(run)
    info, training, validation = _learnt_from(features, config, options, workers)
    # Not after training: by then the store may be another one.
    part, scored = "validation", validation
    if any(clip.part == "testing" for clip in store.stored_clips(features)):
        part, scored = "testing", store.load_features(features, "testing")
    with _alone(run):
        result = _train(training, validation, run, config, options, teachers)
        recogniser = run / f"{run.name}{bundle.SUFFIX}"
        taught_by = (teachers or [run]) if config.teacher.weight else []
        figures = write_recogniser(
            recogniser, result, config, info=info, validation=validation,
            scored=scored, part=part, taught_by=taught_by,
        )  # fmt: skip
        # Not before: a training that is refused must leave what is there of an earlier one.
        settings = {**dataclasses.asdict(config), "data": info.summary["data"]}
        write_text(run / "config.toml", tomli_w.dumps(settings))
        with replacing(run / "model.keras") as partial:
            result.model.save(partial)
        report.write_curves(run / "curves.png", result.history)
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
    run = _named(run)
    _, training, validation = _learnt_from(features, config, options, workers)
    with _alone(run):
        model = own_teacher(training, validation, run, config, options)
    answers = np.asarray(model.predict(validation.x, verbose=0)).argmax(axis=1)
    return run / teacher.FOLDER, float(np.mean(answers == validation.y))


def _named(run: Path) -> Path:
    """The run folder with a name, which its recogniser gets: `.` has none.

    Raises:
        TrainingError: it is a file, or a folder of something else, or its name cannot be written.
    """
    run = run if run.name not in ("", "..") else run.resolve()
    if not is_utf8(run.name):
        raise TrainingError(
            f"{printable(run.name)}: expected a name in UTF-8, which the recogniser gets; choose "
            "another --out"
        )
    is_other = (run.exists() or run.is_symlink()) and not run.is_dir()
    names = {path.name for path in run.iterdir()} if run.is_dir() else set[str]()
    if is_other or (names & _OTHERS and not names & _SIGNS):
        raise TrainingError(
            f"{run}: expected a new folder or an earlier run, found something else; choose another "
            "--out"
        )
    return run


@contextmanager
def _alone(run: Path) -> Iterator[None]:
    """Keep other trainings out of the run folder, which is not left behind empty."""
    run.mkdir(parents=True, exist_ok=True)
    with locked(run):
        try:
            yield
        finally:
            with suppress(OSError):
                run.rmdir()


def _learnt_from(
    features: Path, config: Config, options: TrainOptions, workers: int
) -> tuple[store.StoreInfo, store.FeatureSet, store.FeatureSet]:
    """What the store says, its training part, with altered copies if there are to be some, and its
    validation part."""
    info = store.load_info(features)
    check_same_features(info.config, config.features, what=f"the feature store {features}")
    training = store.load_features(features, "training")
    validation = store.load_features(features, "validation")
    if config.augment.views > 1:
        options.on_stage("altered copies of the training clips")
        copies = training_copies(
            features, training, config.augment, workers=workers, progress=options.on_copies
        )
        training = dataclasses.replace(training, copies=copies)
    return info, training, validation


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
        resume = options.resume and (run / Checkpoint.FOLDER).exists()
        options = dataclasses.replace(options, resume=resume)
    options.on_stage(config.model.kind)
    return train(
        training, validation, run, config.model, config.train, soft=soft, options=options
    )  # fmt: skip


def write_report(
    run: Path, figures: Report, part: str, *, history: tuple[EpochRow, ...] = ()
) -> None:
    """``report.json`` and ``report.html`` of a run folder."""
    write_json(run / "report.json", {"part": part, **figures.to_json()})
    title = f"{run.name}: {part} part"
    write_text(run / "report.html", report.to_html(figures, title=title, history=history))
