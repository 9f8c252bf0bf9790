"""The command line: parses, calls one function, prints. Nothing heavy is imported up here."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from speechrec import cli_data, cli_evaluate, cli_negatives, cli_stream
from speechrec.cli_common import ModelOption, PatternOption, choose_model, say
from speechrec.errors import ConfigError, MissingExtraError, SpeechrecError

app = typer.Typer(
    name="speechrec",
    help="Recognise spoken commands: recordings in, one recogniser file out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help text: rendering it with rich doubles the time of --help.
    rich_markup_mode=None,
)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML file with settings that differ.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="One setting, for example train.epochs=20.")
]


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Show the version and stop.")] = False,
) -> None:
    if version:
        from speechrec import __version__

        typer.echo(f"speechrec {__version__}")
        raise typer.Exit


@app.command()
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
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad file.")] = False,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> None:
    """Turn recordings into 1024-number feature vectors with speaker-disjoint parts."""
    from speechrec import console, locate
    from speechrec.config_toml import load_config
    from speechrec.extract import extract as run_extract

    overrides = _overrides(set_)
    if words is not None:
        overrides["data.words"] = [word.strip() for word in words.split(",") if word.strip()]
    _override(overrides, {"data.speaker_pattern": speaker_pattern, "data.split_by": split_by})
    settings = load_config(config, overrides)
    chosen = source or locate.default_recordings()
    if source is None:
        say(f"recordings: {chosen}")
    with console.clips_progress("extracting") as progress:
        summary = run_extract(
            chosen, out, settings,
            unknown=unknown, also=also, workers=workers or locate.cores(), strict=strict,
            progress=progress,
        )  # fmt: skip
    typer.echo(console.extract_text(summary))


@app.command()
def train(
    features: Annotated[Path, typer.Option(help="Feature store.")] = Path("runs/features"),
    out: Annotated[Path, typer.Option(help="Run folder to write.")] = Path("runs/default"),
    model: Annotated[str | None, typer.Option(help="Network: dense or cnn.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training part.")] = None,
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
    from speechrec.quiet import native_chatter_hidden

    if only_teacher and teacher:
        raise ConfigError("expected --teacher or --only-teacher, got both")
    overrides = _overrides(set_)
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
    with console.epochs_progress() as callbacks:
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
    typer.echo(text)


app.command()(cli_evaluate.evaluate)


@app.command()
def predict(
    paths: Annotated[
        list[str], typer.Argument(help="Sound files, folders, or - for standard input.")
    ],
    model: ModelOption = None,
    top: Annotated[int, typer.Option(min=1, help="How many words to show.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a file.")] = False,
    form: Annotated[
        Literal["text", "srt", "labels", "ctm"],
        typer.Option("--format", help="Of the commands in long recordings."),
    ] = "text",
    out: Annotated[
        Path | None, typer.Option(help="Folder for one file per recording in that format.")
    ] = None,
    mc_dropout: Annotated[
        int, typer.Option(min=0, help="Monte-Carlo dropout passes; 0 keeps dropout off.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the Monte-Carlo dropout masks.")] = 0,
) -> None:
    """Say which word a short file holds, and which commands a long one, with their times.

    Dropout is off unless --mc-dropout asks for it.
    """
    from speechrec import locate, outputs
    from speechrec.recognizer import Recognizer
    from speechrec.transcribe import failure_record, transcribe

    several = len(paths) > 1 or os.path.isdir(paths[0])
    outputs.check_choice(form, out, several=several, as_json=as_json)
    write = outputs.Writer(form, out)
    recognizer = Recognizer.load(choose_model(model))
    failed = False
    for path, problem in locate.sounds(paths):
        source = sys.stdin.buffer if path == "-" else Path(path)
        try:
            if problem is not None:
                raise problem
            heard = transcribe(recognizer, source, path, passes=mc_dropout, seed=seed)
            if form != "text":
                write(heard)
            elif as_json:
                typer.echo(json.dumps(heard.record()))
            else:
                typer.echo(outputs.heard_text(heard, top, several=several))
        except SpeechrecError as error:
            failed = True
            if as_json:
                typer.echo(json.dumps(failure_record(path, error)))
            say(f"speechrec: {error}")
    if failed:
        raise typer.Exit(1)


app.command()(cli_stream.listen)
app.command()(cli_negatives.calibrate)
app.command()(cli_negatives.mine)
app.command()(cli_data.mix)
app.command()(cli_data.synth)


@app.command()
def models(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a recogniser.")] = False,
) -> None:
    """List the recognisers that came with the package."""
    from speechrec import console, locate
    from speechrec.bundle import read_bundle

    for name, path in locate.installed_models().items():
        manifest = read_bundle(path).manifest
        record = {"name": name, "path": str(path), "bytes": path.stat().st_size}
        record |= {key: manifest[key] for key in ("labels", "metrics")}
        record["attribution"] = manifest["training"]["attribution"]
        typer.echo(json.dumps(record) if as_json else console.model_text(record))


def main() -> None:
    """Run the command line; the one place where errors become a line and an exit code."""
    # Products this small only get slower with threads; must be set before numpy is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # TensorFlow's own: errors only.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for stream in (sys.stdout, sys.stderr):
        # A file name that is no text must not stop the others.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    try:
        app()
    except SpeechrecError as error:
        say(f"speechrec: {error}")
        sys.exit(1)
    except BrokenPipeError:
        # The reader of our output has gone (speechrec predict ... | head).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        # A full disk, a folder that cannot be written to: the system says it well enough.
        named = f"{error.filename}: " if error.filename else ""
        say(f"speechrec: {named}{error.strerror or error}")
        sys.exit(1)


def _override(overrides: dict[str, Any], options: dict[str, Any]) -> None:
    overrides.update({name: value for name, value in options.items() if value is not None})


def _overrides(pairs: list[str] | None) -> dict[str, Any]:
    from speechrec.config_toml import parse_override

    return dict(map(parse_override, pairs or []))
