"""The line that `listen` shows while it hears."""

import sys
import time
from collections.abc import Callable
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from speechrec.listening import LEAST_DB

_METER_BARS = 40
_SHOWN_EVERY_S = 0.1


class ListeningScreen:
    """A line that shows the level of live sound, the last command and what was lost.

    Nothing is shown where standard error is no terminal.

    Args:
        overruns: how many blocks have been lost so far.
    """

    def __init__(self, overruns: Callable[[], int]) -> None:
        self._overruns = overruns
        self._last = ""
        self._shown_at = 0.0
        self._live = Live(
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
            # Detections stay above the line; in a pipe or a file they are none of its business.
            redirect_stdout=sys.stdout.isatty(),
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def detected(self, label: str) -> None:
        """Remember the last command."""
        self._last = label

    def level(self, level_db: float) -> None:
        """Show the level of a block, ten times a second at most."""
        now = time.monotonic()
        if now - self._shown_at < _SHOWN_EVERY_S:
            return
        self._shown_at = now
        bars = round((level_db - LEAST_DB) / -LEAST_DB * _METER_BARS)
        meter = "\N{FULL BLOCK}" * bars + "\N{MIDDLE DOT}" * (_METER_BARS - bars)
        lost = self._overruns()
        note = f"  {lost} overruns: sound was lost" if lost else ""
        self._live.update(Text(f"{meter} {level_db:4.0f} dBFS  {self._last}{note}"), refresh=True)
