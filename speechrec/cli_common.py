"""What several commands share: options that mean the same, and lines on standard error."""

from pathlib import Path
from typing import Annotated

import typer

ModelOption = Annotated[
    Path | None,
    typer.Option(help="Recogniser file; default: $SPEECHREC_MODEL or the newest under runs/."),
]
PatternOption = Annotated[
    str | None,
    typer.Option(help=r"Regular expression whose group is the speaker, e.g. '^\d_([a-z]+)_'."),
]


def say(line: str) -> None:
    """A line for whoever sits there, apart from the results."""
    typer.echo(line, err=True)


def choose_model(model: Path | None) -> Path:
    """The recogniser file to use; says which where the user did not."""
    from speechrec import locate

    path, why = locate.recogniser(model)
    if why:
        say(f"recogniser: {path} ({why})")
    return path
