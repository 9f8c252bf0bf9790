"""Figures of streams as text, and as one HTML page with the DET curves inside."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from speechrec.recording import one_line
from speechrec.report import new_figure, page
from speechrec.stream_evaluate import SUREST, StreamFigures

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def to_text(figures: Sequence[StreamFigures]) -> str:
    """A table of all conditions, and one of the commands in each."""
    lines = [
        f"{'':8}  hours   said  missed          false alarms           twice  unheard  "
        "latency, and of 95 %"
    ]
    for each in figures:
        missed = f"{each.missed:4} {_percent(each.miss_rate)}"
        alarms = f"{each.false_alarms:4} {each.false_alarms_per_hour:6.1f} an hour"
        latency = f"{_seconds(each.latency_median_s)} {_seconds(each.latency_95_s)}"
        lines.append(
            f"{each.condition:8}  {each.hours:5.2f}  {each.said:5}  {missed}  {alarms}"
            f"  {each.twice:5}  {each.unheard:7}  {latency}"
        )
    lines.append("")
    for each in figures:
        commands = "  ".join(
            f"{label} {command.missed}/{command.said} +{command.false_alarms}"
            for label, command in each.per_command.items()
        )
        lines.append(f"{each.condition:8}  {commands}")
    lines.append("by command: missed/said +false alarms")
    surest = [(each.condition, alarm) for each in figures for alarm in each.surest]
    surest.sort(key=lambda item: -item[1].confidence)
    if surest:
        lines += ["", "surest false alarms:"]
    for condition, alarm in surest[:SUREST]:
        what = alarm.label + (f" instead of {alarm.said}" if alarm.said else "")
        where = f"at {alarm.start_s:.2f} s of {one_line(alarm.path)}"
        lines.append(f"{condition:8}  {alarm.confidence:.3f}  {what} {where}")
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "    -  " if value is None else f"{value:7.1%}"


def _seconds(value: float | None) -> str:
    return "    -  " if value is None else f"{value:5.2f} s"


def to_html(figures: Sequence[StreamFigures], *, title: str) -> str:
    """One page that needs nothing else.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    said = [each for each in figures if each.said]
    pictures = [("Misses and false alarms", det_figure(said))] if said else []
    return page(title, to_text(figures), pictures)


def det_figure(figures: Sequence[StreamFigures]) -> "Figure":
    """Miss rate over false alarms an hour, a line a condition (Martin et al. 1997).

    Args:
        figures: of conditions in which commands are said.
    """
    figure = new_figure(7, 5)
    axes = figure.subplots()
    for each in figures:
        rates, misses = zip(*each.det, strict=True)
        (line,) = axes.plot(rates, [100 * miss for miss in misses], label=each.condition)
        axes.plot(
            each.false_alarms_per_hour, 100 * (each.miss_rate or 0.0), "o", color=line.get_color()
        )
    # Linear up to one false alarm, so that none at all has a place.
    axes.set_xscale("symlog", linthresh=1)
    axes.set(xlabel="false alarms an hour", ylabel="missed commands, %")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
