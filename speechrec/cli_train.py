"""The commands that make a recogniser: ``extract`` and ``train``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from speechrec.cli_common import PatternOption, say, show
from speechrec.errors import ConfigError, MissingExtraError

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML file with settings that differ.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="One setting, for example train.epochs=20.")
]


def extract(
    source: Annotated[
        Path | None,
        typer.Argument(help="Folder of recordings or manifest; default: the one under data/."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Feature store to write.")] = Path("runs/features"),
    words: Annotated[
        str | None, typer.Option(help="Keywords, comma-separated; other words become _unknown_.")
    ] = None,
    unknown: Annotated[
        Path | None, typer.Option(help="Folder of further clips that are no keyword: mined ones.")
    ] = None,
    also: Annotated[
        Path | None,
        typer.Option(help="Further word folders for training alone: synthetic voices, say."),
    ] = None,
    speaker_pattern: PatternOption = None,
    split_by: Annotated[
        str | None, typer.Option(help="speaker, or clip to let a speaker be in several parts.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 means one for each core.")] = 0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first bad file or repeated sound.")
    ] = False,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> None:
    """Turn recordings into 1024-number feature vectors with speaker-disjoint parts."""
    from speechrec import console, locate
    from speechrec.config_toml import load_config
    from speechrec.extract import extract as run_extract
    from speechrec.progress import clips_progress

    overrides = _overrides(set_)
    if words is not None:
        overrides["data.words"] = [word.strip() for word in words.split(",") if word.strip()]
    _override(overrides, {"data.speaker_pattern": speaker_pattern, "data.split_by": split_by})
    settings = load_config(config, overrides)
    chosen = source or locate.default_recordings()
    if source is None:
        say(f"recordings: {chosen}")
    with clips_progress("extracting") as progress:
        summary = run_extract(
            chosen, out, settings,
            unknown=unknown, also=also, workers=workers or locate.cores(), strict=strict,
            progress=progress,
        )  # fmt: skip
    show(console.extract_text(summary))


def train(
    features: Annotated[Path, typer.Option(help="Feature store.")] = Path("runs/features"),
    out: Annotated[Path, typer.Option(help="Run folder to write.")] = Path("runs/default"),
    model: Annotated[str | None, typer.Option(help="Network: dense or cnn.")] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the training part; train.least_steps may make them more."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order and dropout.")] = None,
    resume: Annotated[
        bool | None,
        typer.Option("--resume/--restart", help="Go on with a stopped training, or drop it."),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that alter clips; 0 means one for each core.")
    ] = 0,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(
            help="Run folder whose teacher to use instead of training one; of several, the mean."
        ),
    ] = None,
    only_teacher: Annotated[
        bool, typer.Option("--only-teacher", help="Stop when the teacher is trained.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write TensorBoard files.")
    ] = False,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> None:
    """Train a network and write one recogniser file."""
    from speechrec import console, locate, store
    from speechrec.config_toml import load_config
    from speechrec.progress import epochs_progress
    from speechrec.quiet import native_chatter_hidden

    if only_teacher and teacher:
        raise ConfigError("expected --teacher or --only-teacher, got both")
    overrides = _overrides(set_)
    _refuse_data(overrides)
    _override(overrides, {"model.kind": model, "train.epochs": epochs, "train.seed": seed})
    recipe = config or locate.recipe(model or "dense")
    settings = load_config(recipe, overrides, features=store.load_info(features).config)
    try:
        with native_chatter_hidden():
            from speechrec.recorder import TrainOptions
            from speechrec.run import make_run, make_teacher
    except ModuleNotFoundError as error:
        raise MissingExtraError("speechrec train", "train", error.name) from error
    say(f"features: {features}; settings: {recipe}")
    with epochs_progress() as callbacks:
        options = TrainOptions(
            resume=resume is True, restart=resume is False, tensorboard=tensorboard, **callbacks
        )
        workers = workers or locate.cores()
        if only_teacher:
            taught = make_teacher(features, out, settings, options=options, workers=workers)
            text = console.teacher_text(*taught)
        else:
            done = make_run(
                features, out, settings, options=options, teachers=teacher or (), workers=workers
            )
            text = console.train_text(done)
    show(text)


def _refuse_data(overrides: dict[str, Any]) -> None:
    """Settings that the store has decided already."""
    if of_data := [name for name in overrides if name.startswith("data.")]:
        raise ConfigError(
            f"--set {of_data[0]}: the data are chosen by speechrec extract; extract again with it"
        )


def _override(overrides: dict[str, Any], options: dict[str, Any]) -> None:
    overrides.update({name: value for name, value in options.items() if value is not None})


def _overrides(pairs: list[str] | None) -> dict[str, Any]:
    from speechrec.config_toml import parse_override

    return dict(map(parse_override, pairs or []))
