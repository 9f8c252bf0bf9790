"""The command line: parses, calls one function, prints. Nothing heavy is imported up here."""

import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from speechrec import cli_data, cli_evaluate, cli_negatives, cli_stream, cli_train
from speechrec.cli_common import ModelOption, choose_model, refuse_given, say, show, standard_input
from speechrec.errors import SpeechrecError

# The exit code after Ctrl-C.
_STOPPED = 130
_GO_ON = {
    "extract": "; it goes on where it was when it is run again",
    "train": "; it goes on where it was with --resume",
}

app = typer.Typer(
    name="speechrec",
    help="Recognise spoken commands: recordings in, one recogniser file out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help text: rendering it with rich doubles the time of --help.
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Show the version and stop.")] = False,
) -> None:
    if version:
        from speechrec import __version__
        from speechrec.compiled import native

        slower = "" if native else " (nothing is compiled, so it is slower; the README says why)"
        typer.echo(f"speechrec {__version__}{slower}")
        raise typer.Exit


app.command()(cli_train.extract)
app.command()(cli_train.train)
app.command()(cli_evaluate.evaluate)


@app.command()
def predict(
    context: typer.Context,
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

    if form != "text":
        refuse_given(context, "top", "mc_dropout", why=f"says nothing in {form}")
    elif as_json:
        refuse_given(context, "top", why="all scores are in JSON")
    if not mc_dropout:
        refuse_given(context, "seed", why="is of --mc-dropout")
    several = len(paths) > 1 or os.path.isdir(paths[0])
    outputs.check_choice(form, out, several=several, as_json=as_json)
    write = outputs.Writer(form, out)
    recognizer = Recognizer.load(choose_model(model))
    failed = False
    for path, problem in locate.sounds(paths):
        source = standard_input() if path == "-" else Path(path)
        try:
            if problem is not None:
                raise problem
            heard = transcribe(recognizer, source, path, passes=mc_dropout, seed=seed)
            if form != "text":
                write(heard)
            elif as_json:
                typer.echo(json.dumps(heard.record()))
            else:
                show(outputs.heard_text(heard, top, several=several))
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
        show(json.dumps(record) if as_json else console.model_text(record))


# From a service manager; from a terminal that goes away, which may send it twice.
_ENDING = {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}


def _end(number: int, frame: object) -> None:
    """End as after Ctrl-C; clearing away is not to be ended."""
    for each in _ENDING:
        if signal.getsignal(each) is not signal.SIG_IGN:
            # Ignored, it would be so by programs of `--exec` that are still to be started.
            signal.signal(each, lambda *_: None)
    sys.exit(128 + number)


def main() -> None:
    """Run the command line; the one place where errors become a line and an exit code."""
    # Products this small only get slower with threads; must be set before numpy is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # TensorFlow's own: errors only.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        # What the caller has closed is there all the same, and empty.
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    for stream in (sys.stdout, sys.stderr):
        # A file name that is no text must not stop the others.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    # Ended from outside, what is half-written is cleared away as after Ctrl-C.
    for number in _ENDING:
        # What nohup has told to go on does so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    try:
        app()
    except SystemExit as stop:
        if stop.code == _STOPPED:
            command = next(iter(sys.argv[1:]), "")
            say(f"speechrec: stopped{_GO_ON.get(command, '')}")
        raise
    except SpeechrecError as error:
        say(f"speechrec: {error}")
        sys.exit(1)
    except ImportError as error:
        # Stopped while a library is being loaded, which calls that a failure of its own.
        if isinstance(error.__cause__, SystemExit | KeyboardInterrupt):
            sys.exit(getattr(error.__cause__, "code", _STOPPED))
        raise
    except BrokenPipeError:
        # The reader of our output has gone (speechrec predict ... | head).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        # A full disk, a folder that cannot be written to: the system says it well enough.
        # Of a rename the second is what somebody asked for.
        name = error.filename2 or error.filename
        named = f"{name}: " if name else ""
        # numpy says only how much it could not write.
        say(f"speechrec: {named}{error.strerror or f'{error} (is the disk full?)'}")
        sys.exit(1)
    finally:
        # Or else Python looks for cycles in everything once more before it ends.
        gc.freeze()
