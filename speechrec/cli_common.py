"""What several commands share: options that mean the same, and lines on standard error."""

import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from speechrec.errors import ConfigError
from speechrec.recording import one_line

ModelOption = Annotated[
    Path | None,
    typer.Option(
        help="Recogniser file; default: $SPEECHREC_MODEL, the newest under runs/, or commands-en."
    ),
]
NegativesPattern = Annotated[
    str,
    typer.Option(
        help="Regular expression whose group is the speaker in the names of recordings without "
        "commands, e.g. '-([a-z]+)-'; default: what is before _nohash_, or every file its own."
    ),
]
PatternOption = Annotated[
    str | None,
    typer.Option(help=r"Regular expression whose group is the speaker, e.g. '^\d_([a-z]+)_'."),
]


def refuse_given(context: typer.Context, *names: str, why: str) -> None:
    """Refuse options that would be ignored.

    Raises:
        ConfigError: one of these parameters was given.
    """
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name != "DEFAULT":
            raise ConfigError(f"--{name.replace('_', '-')}: {why}; leave it out")


def refuse_nan(**shares: float) -> None:
    """Refuse options from 0 to 1 that are no number, which their ranges let through.

    Raises:
        ConfigError: one is none.
    """
    for name, share in shares.items():
        if share != share:
            raise ConfigError(f"--{name.replace('_', '-')}: expected 0 to 1, got nan")


# All but tabs and ends of lines.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def show(text: str, *, err: bool = False) -> None:
    """Text for people. What would steer a terminal is escaped: names of files can have it."""
    typer.echo(_CONTROL.sub(lambda found: repr(found[0])[1:-1], text), err=err)


def say(line: str) -> None:
    """A line for whoever sits there, apart from the results; one, whatever names have in them."""
    # Of a terminal that has gone nobody sees it.
    with suppress(OSError):
        show(one_line(line), err=True)


def standard_input() -> BinaryIO:
    """Its bytes, waited for: whoever shares it may have said that nobody is to wait."""
    stream = sys.stdin.buffer
    # Windows, or what is no file.
    with suppress(OSError, ValueError, AttributeError):
        os.set_blocking(stream.fileno(), True)
    return stream


def choose_model(model: Path | None) -> Path:
    """The recogniser file to use; says which where the user did not."""
    from speechrec import locate

    path, why = locate.recogniser(model)
    if why:
        say(f"recogniser: {path} ({why})")
    return path
