"""What the commands say at their end, as text."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from speechrec.config import PARTS, is_keyword

if TYPE_CHECKING:
    from pathlib import Path

    from speechrec.join import ExtractSummary
    from speechrec.run import RunResult
    from speechrec.thresholds import FalseAlarms, StreamThresholds


def model_text(record: Mapping[str, Any]) -> str:
    """An installed recogniser: its words, how good it is, whom to credit, where it is."""
    words = list(filter(is_keyword, record["labels"]))
    metrics = record["metrics"]
    silence, unknown = metrics["accuracy_without_silence"], metrics["unknown_recall"]
    lines = (
        f"{record['name']}  {' '.join(words)}",
        f"  accuracy {metrics['accuracy']:.1%} on the {metrics['part']} part of its recordings "
        f"({silence:.1%} without silence), unknown words recalled {unknown:.1%}",
        f"  {record['attribution']}",
        f"  {record['path']} ({record['bytes'] / 1e6:.1f} MB)",
    )
    return "\n".join(lines)


def thresholds_text(alarms: "FalseAlarms", chosen: "StreamThresholds", per_hour: float) -> str:
    """Each command's threshold, and how many false alarms it would have made."""
    lines = [f"{alarms.hours:.2f} hours without commands, {per_hour:g} false alarms an hour wanted"]
    for label, above in alarms.at(chosen.thresholds).items():
        lines.append(
            f"{label}  threshold {_threshold(chosen.thresholds[label])}  above it {above} of "
            f"{len(alarms.confidences[label])} sounds like it"
        )
    if chosen.extrapolated:
        lines.append(
            "note: so few false alarms cannot be counted in so little sound; these thresholds are "
            "extrapolated from how the surest ones are spread, and more sound would make them "
            "better"
        )
    return "\n".join(lines)


def _threshold(value: float) -> str:
    """As it can be typed again: only a threshold that mutes is shown as 1."""
    if value >= 1:
        return "1 (never reported)"
    return f"{value:.4f}" if value < 0.9999 else f"{value:.8f}"


def extract_text(summary: "ExtractSummary") -> str:
    """Clips and hours by part and label, bad files by reason, and notes."""
    width = max(map(len, summary.labels))
    lines = [f"{'':{width}}" + "".join(f"{part:>22}" for part in PARTS)]
    for label in (*summary.labels, "all"):
        cells = []
        for part in PARTS:
            chosen = summary.labels if label == "all" else (label,)
            count = sum(summary.counts[part, name] for name in chosen)
            hours = sum(summary.seconds[part, name] for name in chosen) / 3600
            cells.append(f"{count:8} clips {hours:6.2f} h")
        lines.append(f"{label:{width}}" + "".join(cells))
    if summary.speakers:
        counts = ", ".join(f"{summary.speakers.get(part, 0)} {part}" for part in PARTS)
        lines.append(f"speakers: {counts}")
    lines += [f"note: {note}" for note in summary.notes]
    if summary.faults:
        kinds = ", ".join(f"{count} {kind}" for kind, count in summary.faults.most_common())
        lines.append(f"not used: {sum(summary.faults.values())} files ({kinds}), first of them:")
        lines += [f"  {message}" for message in summary.first_faults]
        lines.append(f"all of them with their reasons: {summary.folder / 'skipped.jsonl'}")
    lines.append(f"features: {summary.folder}")
    return "\n".join(lines)


def teacher_text(folder: "Path", accuracy: float) -> str:
    """The end of a training of a teacher alone."""
    return (
        f"validation accuracy  {accuracy:.1%}\n"
        f"teacher: {folder}; learn from it with: speechrec train --teacher {folder.parent}"
    )


def train_text(done: "RunResult") -> str:
    """The end of a training: which epoch was kept, how good it is, where it is."""
    result = done.result
    return "\n".join(
        [
            f"kept epoch {result.kept_epoch} of {len(result.history)}",
            f"training accuracy    {result.accuracy_dropout_on:.1%} with dropout on, "
            f"{result.accuracy_dropout_off:.1%} with dropout off (as in prediction)",
            f"validation accuracy  {result.val_accuracy:.1%}",
            f"{done.part} accuracy     {done.report.accuracy:.1%} "
            "(of the recogniser file; speechrec evaluate says more)",
            f"report: {done.recogniser.parent / 'report.html'}",
            f"recogniser: {done.recogniser}",
        ]
    )
