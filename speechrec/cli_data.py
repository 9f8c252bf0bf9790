"""Commands that make recordings; `cli` registers them."""

from pathlib import Path
from typing import Annotated

import typer

from speechrec.config import Part
from speechrec.errors import ConfigError


def mix(
    features: Annotated[Path, typer.Option(help="Feature store whose clips to use.")] = Path(
        "runs/features"
    ),
    part: Annotated[Part, typer.Option(help="Part of the store.")] = "testing",
    negatives: Annotated[
        Path | None, typer.Option(help="Folder of speech without commands.")
    ] = None,
    speaker_pattern: Annotated[
        str | None,
        typer.Option(help=r"Speaker in the names of --negatives; default: '^[^-]+-([^-]+)-'."),
    ] = None,
    noise: Annotated[
        Path | None, typer.Option(help="Folder of noise recordings instead of made-up noise.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("data/mix"),
    recordings: Annotated[int, typer.Option(min=1, help="Recordings for each SNR.")] = 6,
    minutes: Annotated[float, typer.Option(help="Length of a recording.")] = 10.0,
    snr: Annotated[
        str, typer.Option(help="Signal-to-noise ratios in dB, comma-separated, or clean.")
    ] = "clean,20,10,5,0",
    speed: Annotated[float, typer.Option(help="Percent of other speed and pitch at most.")] = 0.0,
    pause: Annotated[str, typer.Option(help="Shortest and longest pause in seconds.")] = "0.5,3",
    negative_share: Annotated[
        float, typer.Option(help="Share of pauses with speech without commands.")
    ] = 0.3,
    unknown_share: Annotated[float, typer.Option(help="Share of words that are unknown.")] = 0.2,
    overlap_share: Annotated[
        float, typer.Option(help="Share of commands on top of other speech.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
) -> None:
    """Mix long test recordings from clips, pauses, noise and other speech, with their truth."""
    from speechrec import console
    from speechrec.mix import SPEAKER_PATTERN, MixConfig, store_clips
    from speechrec.mix import mix as run_mix
    from speechrec.negatives import find_negatives

    conditions = tuple(_condition(item) for item in snr.split(","))
    least_pause_s, most_pause_s = _pauses(pause)
    config = MixConfig(
        minutes=minutes, least_pause_s=least_pause_s, most_pause_s=most_pause_s,
        stretch_percent=speed, negative_share=negative_share, unknown_share=unknown_share,
        overlap_share=overlap_share,
    )  # fmt: skip
    pattern = speaker_pattern or SPEAKER_PATTERN
    speech = find_negatives(negatives, part=part, speaker_pattern=pattern) if negatives else []
    with console.clips_progress("mixing") as progress:
        made = run_mix(
            store_clips(features, part), out, config,
            recordings=recordings, seed=seed, conditions=conditions,
            negatives=[item.path for item in speech], noises=_noises(noise),
            speaker_pattern=pattern, progress=progress,
        )  # fmt: skip
    typer.echo(
        f"{made.recordings} recordings of {minutes:g} minutes with {made.commands} commands in "
        f"{out} ({', '.join(made.conditions)}; {made.clips_used_again} clips are heard more than "
        "once in each)"
    )


def _condition(text: str) -> float | None:
    if text.strip() == "clean":
        return None
    try:
        return float(text)
    except ValueError:
        raise ConfigError(
            f"--snr: expected clean or decibels between commas, such as clean,20,10; got {text!r}"
        ) from None


def _pauses(text: str) -> tuple[float, float]:
    try:
        least, most = map(float, text.split(","))
    except ValueError:
        raise ConfigError(f"--pause: expected MIN,MAX in seconds, got {text!r}") from None
    return least, most


def _noises(folder: Path | None) -> list[Path]:
    from speechrec.errors import DatasetError
    from speechrec.recordings import sound_files

    found = sound_files(folder) if folder else []
    if folder and not found:
        raise DatasetError(f"{folder}: expected recordings of noise, found none")
    return found
