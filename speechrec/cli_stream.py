"""The command that listens to live sound; `cli` registers it."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from speechrec.cli_common import ModelOption, choose_model, refuse_given, say, show, standard_input
from speechrec.errors import ConfigError

if TYPE_CHECKING:
    from speechrec.stream import Detection, Detector
    from speechrec.wav import Samples


def listen(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(help="- for raw samples from standard input; default: a microphone."),
    ] = None,
    model: ModelOption = None,
    device: Annotated[
        str | None, typer.Option(help="Microphone: its number or a part of its name.")
    ] = None,
    list_devices: Annotated[
        bool, typer.Option("--list-devices", help="Show the microphones and stop.")
    ] = False,
    rate: Annotated[int, typer.Option(help="Sample rate of standard input in Hz.")] = 16_000,
    channels: Annotated[int, typer.Option(help="Channels of standard input.")] = 1,
    encoding: Annotated[
        str, typer.Option(help="Samples of standard input: u8, s16le, s32le or f32le.")
    ] = "s16le",
    threshold: Annotated[
        list[str] | None,
        typer.Option(help="Confidence from which on a command counts: 0.9, or right=0.9."),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--exec",
            help="Program to start for each command, without a shell; {label}, {confidence}, "
            "{start} and {end} are filled in.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a command.")] = False,
) -> None:
    """Say which commands are heard, live, until the sound ends or Ctrl-C."""
    from speechrec.listening import CommandRunner
    from speechrec.listening import listen as run_listen
    from speechrec.outputs import detection_text
    from speechrec.recognizer import Recognizer
    from speechrec.screen import ListeningScreen
    from speechrec.stream import Detector

    if list_devices:
        from speechrec.microphone import input_devices

        show("\n".join(input_devices()) or "no microphone found")
        return
    if source not in (None, "-"):
        raise ConfigError(
            f"expected - for standard input, or nothing for a microphone, got {source!r}; "
            f"for a file: speechrec predict {source}"
        )
    if source == "-":
        refuse_given(context, "device", why="is for microphones")
    else:
        refuse_given(context, "rate", "channels", "encoding", why="is for standard input (-)")
    # What programs print must not stand between the lines of JSON.
    output = sys.stderr if as_json else None
    runner = CommandRunner(run, say=say, output=output) if run is not None else None
    recognizer = Recognizer.load(choose_model(model))
    thresholds = _thresholds(threshold or [], recognizer.keywords)
    detector = Detector(recognizer, thresholds=thresholds)
    _say_thresholds_of_clips(set(recognizer.uncalibrated) - set(thresholds))
    with (
        _sound(source, detector, device, rate, channels, encoding) as (blocks, overruns),
        ListeningScreen(overruns) as screen,
    ):

        def on_detection(found: "Detection") -> None:
            line = json.dumps(found.record()) if as_json else detection_text(found)
            # Whoever reads this from a pipe wants it now, and in one piece: unbuffered, `print`
            # would write the end of the line apart, and a program of --exec in between.
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
            screen.detected(f"{found.label} {found.confidence:.2f}")
            if runner is not None:
                runner(found)

        try:
            run_listen(detector, blocks, on_detection=on_detection, on_level=screen.level)
        except KeyboardInterrupt:
            pass
        finally:
            if runner is not None:
                runner.finish()
    if lost := overruns():
        say(f"{lost} overruns: sound was lost; something else kept this machine busy")


@contextmanager
def _sound(
    source: str | None,
    detector: "Detector",
    device: str | None,
    rate: int,
    channels: int,
    encoding: str,
) -> Iterator[tuple[Iterable["Samples"], Callable[[], int]]]:
    """The blocks to listen to, and how often some were lost."""
    if source == "-":
        from speechrec.sources import raw_blocks

        yield (
            raw_blocks(
                standard_input(), rate_hz=rate, sample_rate_hz=detector.rate_hz,
                channels=channels, encoding=encoding,
            ),
            lambda: 0,
        )  # fmt: skip
        return
    from speechrec.microphone import Microphone

    with Microphone(device, sample_rate_hz=detector.rate_hz) as microphone:
        say(f"microphone: {microphone.name} (Ctrl-C ends)")
        yield microphone, lambda: microphone.overruns


def _say_thresholds_of_clips(keywords: set[str]) -> None:
    """Why so much is heard, and what to do."""
    if keywords:
        say(
            f"thresholds of {', '.join(sorted(keywords))} are those of single clips, too low where "
            "people talk: speechrec calibrate sets those of streams, or --threshold"
        )


def _thresholds(options: list[str], keywords: tuple[str, ...]) -> dict[str, float]:
    """The thresholds of --threshold; one without a label is for all other keywords."""
    # What is said of one command goes before what is said of all, in whatever order.
    for_all, chosen = dict[str, float](), dict[str, float]()
    for option in options:
        label, sign, value = option.rpartition("=")
        try:
            if sign and not label:
                raise ValueError
            number = float(value)
        except ValueError:
            raise ConfigError(
                f"--threshold: expected a number such as 0.9, or right=0.9, got {option!r}"
            ) from None
        if label:
            chosen[label] = number
        else:
            for_all = dict.fromkeys(keywords, number)
    return for_all | chosen
