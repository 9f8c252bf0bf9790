"""Live sound through a detector: what happens at each detection and what the sound is like."""

import math
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TextIO

import numpy as np

from speechrec.errors import AudioError, ConfigError
from speechrec.stream import Detection, Detector
from speechrec.wav import Samples

# Programs running at once; more would pile up.
_MOST_RUNNING = 8
# At the end these are waited for so long.
_PATIENCE_S = 2.0
# What a meter shows of silence.
LEAST_DB = -80.0


def listen(
    detector: Detector,
    blocks: Iterable[Samples],
    *,
    on_detection: Callable[[Detection], None],
    on_level: Callable[[float], None] = lambda level_db: None,
) -> None:
    """Until the sound ends, or Ctrl-C, call back for each command and with the level of each block.

    What has just been said when it is stopped, by Ctrl-C or a signal, is reported too.

    Args:
        blocks: (any,) float32 at the detector's rate.

    Raises:
        AudioError: the sound cannot be read any more; what was heard before has been reported.
    """
    ended: list[BaseException] = []
    try:
        for block in _until_stopped(blocks, ended):
            for found in detector.push(block):
                on_detection(found)
            if len(block):
                on_level(level_db(block))
    except AudioError as error:
        ended.append(error)
    for found in detector.finish():
        on_detection(found)
    why = ended.pop() if ended else None
    try:
        if why is not None and not isinstance(why, KeyboardInterrupt):
            raise why
    finally:
        # Its traceback would keep this frame, and what the source has open, until Python ends.
        del why


def _until_stopped(blocks: Iterable[Samples], why: list[BaseException]) -> Iterator[Samples]:
    """The blocks, until something stops them while one is waited for.

    Inside a detector, where it is far rarer, it would break a step.
    """
    try:
        yield from blocks
    except (KeyboardInterrupt, SystemExit) as error:
        why.append(error)


def level_db(samples: Samples) -> float:
    """RMS level in dBFS without a constant offset, at least -80: a full-scale square wave has 0."""
    return max(LEAST_DB, 10 * math.log10(max(float(samples.var(dtype=np.float64)), 1e-12)))


class CommandRunner:
    """Starts a program for each detection and does not wait for it; no shell is involved.

    ``{label}``, ``{confidence}``, ``{start}`` and ``{end}`` in its arguments stand for what was
    detected; the same is in its environment as SPEECHREC_LABEL and so on.

    Args:
        command: a program and its arguments, quoted as for a shell.
        say: called with a line for what went wrong.
        output: where the programs' output goes; to standard output by default.

    Raises:
        ConfigError: there is no such program.
    """

    def __init__(
        self, command: str, *, say: Callable[[str], None], output: TextIO | None = None
    ) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise ConfigError(f"--exec: cannot be split into words ({error}): {command}") from error
        if not self._words:
            raise ConfigError("--exec: expected a program and its arguments, got nothing")
        if shutil.which(self._words[0]) is None:
            if os.path.isfile(self._words[0]):
                raise ConfigError(
                    f"--exec: expected a program, {self._words[0]!r} cannot be executed; "
                    f"chmod +x {self._words[0]}"
                )
            raise ConfigError(
                f"--exec: expected a program, found none named {self._words[0]!r}; it is started "
                "without a shell: name a script for more than one program"
            )
        self._say, self._output = say, output
        self._running: list[subprocess.Popen[bytes]] = []

    def __call__(self, found: Detection) -> None:
        """Start the program, unless eight are running already."""
        self._reap()
        if len(self._running) >= _MOST_RUNNING:
            self._say(
                f"not started for {found.label}: {_MOST_RUNNING} of {self._words[0]} are running"
            )
            return
        values = {
            "label": found.label,
            "confidence": f"{found.confidence:.4f}",
            "start": f"{found.start_s:.3f}",
            "end": f"{found.end_s:.3f}",
        }
        words = self._words[:1] + [_filled(word, values) for word in self._words[1:]]
        environment = {f"SPEECHREC_{name.upper()}": value for name, value in values.items()}
        try:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=self._output,
                env={**os.environ, **environment},
                # The terminal's Ctrl-C is for the listener; the flag is Windows' word for that.
                process_group=0,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )  # fmt: skip
            self._running.append(process)
        except OSError as error:
            self._say(f"{words[0]}: cannot be started: {error.strerror}")

    def finish(self) -> None:
        """Say how the last ones end, if that is within two seconds; others are left to run."""
        until = time.monotonic() + _PATIENCE_S
        for process in self._running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
        self._reap()
        if self._running:
            self._say(f"{self._words[0]}: {len(self._running)} still running")

    def _reap(self) -> None:
        """Say which have failed, and forget those that have ended."""
        for process in self._running:
            if process.poll():
                self._say(f"{self._words[0]}: ended with {process.returncode}")
        self._running = [process for process in self._running if process.returncode is None]


def _filled(word: str, values: dict[str, str]) -> str:
    # Not str.format: braces of the user's own, as in JSON, stay.
    for name, value in values.items():
        word = word.replace(f"{{{name}}}", value)
    return word
