"""A report as text, and as one HTML page with its pictures inside."""

import base64
import html
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from speechrec.errors import MissingExtraError
from speechrec.evaluate import Report
from speechrec.files import replacing
from speechrec.recording import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from speechrec.checkpoint import EpochRow


def to_text(report: Report) -> str:
    """The figures for a terminal."""
    lines = [
        f"{report.clips} clips",
        f"accuracy                  {_percent(report.accuracy)}",
        f"accuracy without silence  {_percent(report.accuracy_without_silence)}",
        f"unknown words recalled    {_percent(report.unknown_recall)}",
        f"calibration error (ECE)   {_percent(report.ece)}",
    ]
    decisions = report.decisions
    lines.append(
        f"acted on at {decisions.threshold:.2f}           "
        f"{_percent(decisions.keywords_accepted)} of keywords, {_percent(decisions.accepted_wrong)}"
        f" of it wrong; refused: {_percent(decisions.unknown_refused)} of unknown words, "
        f"{_percent(decisions.silence_refused)} of silence"
    )
    if (speakers := report.speakers) is not None:
        lines.append(
            f"by speaker                worst {_percent(speakers.worst)}, tenth percentile "
            f"{_percent(speakers.tenth_percentile)}, median {_percent(speakers.median)} "
            f"({speakers.speakers} speakers with {speakers.least_clips} clips or more)"
        )
    width = max(map(len, report.labels))
    lines += ["", f"{'':{width}}  precision  recall  clips"]
    for label, figures in report.per_class.items():
        precision, recall = _percent(figures.precision), _percent(figures.recall)
        lines.append(f"{label:{width}}  {precision:>9}  {recall:>6}  {figures.clips:5}")
    if report.mistakes:
        lines += ["", "most confident mistakes"]
        lines += [
            f"{mistake.confidence:.2f}  {mistake.expected} heard as {mistake.answered}  "
            f"{mistake.path}"
            for mistake in report.mistakes
        ]
    return "\n".join(lines)


def to_html(report: Report, *, title: str, history: Sequence["EpochRow"] = ()) -> str:
    """One page that needs nothing else: figures, tables, pictures."""
    pictures = [
        ("Confusion", confusion_figure(report)),
        ("Calibration", reliability_figure(report)),
        ("Risk and coverage", risk_coverage_figure(report)),
    ]
    if history:
        pictures.append(("Training", curves_figure(history)))
    return page(title, to_text(report), pictures)


def page(title: str, text: str, pictures: Sequence[tuple[str, "Figure"]]) -> str:
    """An HTML page of a text and pictures with their names, that needs nothing else."""
    images = "\n".join(
        f'<figure><img alt="{name}" src="data:image/png;base64,{_png_base64(figure)}">'
        f"<figcaption>{name}</figcaption></figure>"
        for name, figure in pictures
    )
    # Names of files stand in both, and may be no text.
    title, text = (html.escape(printable(each)) for each in (title, text))
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        f"<title>{title}</title>\n"
        f"<style>{_STYLE}</style>\n<h1>{title}</h1>\n"
        f"<pre>{text}</pre>\n{images}\n</html>\n"
    )


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "pre{overflow-x:auto;background:#f5f5f5;padding:1rem}figure{margin:2rem 0}img{max-width:100%}"
)


def write_curves(path: Path, history: Sequence["EpochRow"]) -> None:
    """The learning curves as a PNG."""
    with replacing(path) as partial:
        _save(curves_figure(history), partial)


def curves_figure(history: Sequence["EpochRow"]) -> "Figure":
    """Accuracy and loss by epoch; training accuracy with dropout on and off."""
    figure = new_figure(9, 4)
    left, right = figure.subplots(1, 2)
    epochs = [row.epoch for row in history]
    left.plot(epochs, [row.accuracy for row in history], label="training, dropout on")
    left.plot(epochs, [row.accuracy_dropout_off for row in history], label="training, dropout off")
    left.plot(epochs, [row.val_accuracy for row in history], label="validation")
    left.set(xlabel="epoch", ylabel="accuracy")
    right.plot(epochs, [row.loss for row in history], label="training, dropout on")
    right.plot(epochs, [row.val_loss for row in history], label="validation")
    right.set(xlabel="epoch", ylabel="cross-entropy")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def confusion_figure(report: Report) -> "Figure":
    """Truths in rows, answers in columns, shaded by share of the row."""
    size = 3 + 0.5 * len(report.labels)
    figure = new_figure(size, size)
    axes = figure.subplots()
    shares = [[count / max(1, sum(row)) for count in row] for row in report.confusion]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(report.labels))
    # A word with dollar signs is no formula.
    axes.set_xticks(ticks, report.labels, rotation=90, parse_math=False)
    axes.set_yticks(ticks, report.labels, parse_math=False)
    axes.set(xlabel="answered", ylabel="said")
    for i, row in enumerate(report.confusion):
        for j, count in enumerate(row):
            if count:
                colour = "white" if shares[i][j] > 0.5 else "black"
                axes.text(j, i, str(count), ha="center", va="center", color=colour, fontsize=8)
    return figure


def reliability_figure(report: Report) -> "Figure":
    """Accuracy against confidence; on the diagonal, confidence can be taken at its word."""
    figure = new_figure(5, 4.5)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], linestyle="--", color="grey", label="perfectly calibrated")
    confidence, accuracy, _ = zip(*report.reliability, strict=True)
    axes.plot(confidence, accuracy, marker="o", label=f"ECE {report.ece:.1%}")
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def risk_coverage_figure(report: Report) -> "Figure":
    """What a threshold costs and brings: wrong answers among those let through."""
    figure = new_figure(5, 4.5)
    axes = figure.subplots()
    thresholds, coverage, risk = zip(*report.risk_coverage, strict=True)
    axes.plot(coverage, risk, label="wrong among those let through")
    axes.set(xlabel="share of clips let through", ylabel="share wrong", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    step = max(1, len(thresholds) // 8)
    for t, x, y in list(zip(thresholds, coverage, risk, strict=True))[::step]:
        axes.annotate(f"{t:.2f}", (x, y), textcoords="offset points", xytext=(0, 6), fontsize=8)
    axes.grid(alpha=0.3)
    axes.legend(title="numbers: confidence threshold")
    return figure


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of so many inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    # Without pyplot there is no global state and no display to look for.
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("a report with pictures", "train", error.name) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: "Figure", target: Path | io.BytesIO) -> None:
    """As a PNG; letters that no font has are boxes, as everywhere, and nothing to warn of."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(target, dpi=110)


def _png_base64(figure: "Figure") -> str:
    buffer = io.BytesIO()
    _save(figure, buffer)
    return base64.b64encode(buffer.getvalue()).decode()


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
