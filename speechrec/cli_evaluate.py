"""The command that measures a recogniser file; `cli` registers it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speechrec.cli_common import ModelOption, PatternOption, choose_model, refuse_given, say, show
from speechrec.config import Part
from speechrec.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    from speechrec.recognizer import Recognizer

_MIX = Path("data/mix")


def evaluate(
    context: typer.Context,
    recordings: Annotated[
        Path | None,
        typer.Argument(help="Labelled recordings to test on instead of a feature store."),
    ] = None,
    model: ModelOption = None,
    features: Annotated[Path, typer.Option(help="Feature store.")] = Path("runs/features"),
    part: Annotated[Part, typer.Option(help="Part of the store to test on.")] = "testing",
    stream: Annotated[
        bool,
        typer.Option(
            "--stream",
            help="Long recordings with labels, as speechrec mix makes; default: those in data/mix.",
        ),
    ] = False,
    speaker_pattern: PatternOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with pictures here.")] = None,
) -> None:
    """Measure a recogniser file: accuracy, recall, calibration, confusion, speakers."""
    from speechrec import store
    from speechrec.config import check_same_features
    from speechrec.evaluate import evaluate as run_evaluate
    from speechrec.recognizer import Recognizer
    from speechrec.report import to_html, to_text

    is_page = html is None or html.suffix.lower() in (".html", ".htm")
    if html is not None and html.exists() and not (is_page and html.is_file()):
        raise ConfigError(f"--html: expected the name of a page, {html} is something else")
    if stream or recordings is not None:
        refuse_given(context, "features", "part", why="is for feature stores")
    if stream or recordings is None:
        refuse_given(context, "speaker_pattern", why="is for folders of labelled recordings")
    path = choose_model(model)
    recognizer = Recognizer.load(path)
    if stream:
        _evaluate_streams(recognizer, path, recordings or _MIX, as_json=as_json, html=html)
        return
    if recordings is not None:
        from speechrec.testset import read_testset

        clips, faults = read_testset(recordings, recognizer, speaker_pattern=speaker_pattern or "")
        for fault in faults:
            say(f"not used: {fault.message}")
        title = f"{path.stem} on {recordings}"
    else:
        clips = store.load_features(features, part)
        check_same_features(clips.config, recognizer.config, what=f"the feature store {features}")
        if clips.labels != recognizer.labels:
            raise DatasetError(
                f"{features} has the labels {', '.join(clips.labels)}, but {path} knows "
                f"{', '.join(recognizer.labels)}; extract with the recogniser's words"
            )
        title = f"{path.stem}: {part} part"
    report = run_evaluate(recognizer.scores, clips, threshold=recognizer.threshold)
    show(json.dumps(report.to_json()) if as_json else to_text(report))
    if html is not None or (path.parent / "history.csv").exists():
        _write_page(to_html(report, title=title), html, path.parent / "evaluation.html")


def _write_page(page: str, wanted: Path | None, beside: Path) -> None:
    """Write a page where it is wanted, or beside the recogniser, which nobody has asked for."""
    from speechrec.files import write_text

    try:
        write_text(wanted or beside, page)
        say(f"pictures: {wanted or beside}")
    except OSError as error:
        if wanted is not None:
            raise
        say(f"no pictures: {beside} cannot be written: {error.strerror}")


def _evaluate_streams(
    recognizer: "Recognizer", path: Path, folder: Path, *, as_json: bool, html: Path | None
) -> None:
    from speechrec.files import write_text
    from speechrec.progress import clips_progress
    from speechrec.recording import Fault
    from speechrec.stream_evaluate import evaluate_streams
    from speechrec.stream_report import to_html, to_text

    faults: list[Fault] = []
    with clips_progress("listening") as progress:
        figures = evaluate_streams(recognizer, folder, progress=progress, on_fault=faults.append)
    for fault in faults:
        say(f"not used: {fault.message}")
    if not any(each.said for each in figures):
        read = "what could be read of " if faults else ""
        say(f"no commands are labelled in {read}{folder}: every detection counts as a false alarm")
    show(json.dumps([each.to_json() for each in figures]) if as_json else to_text(figures))
    if html is not None:
        write_text(html, to_html(figures, title=f"{path.stem} on {folder}"))
        say(f"pictures: {html}")
