"""Commands that make recordings; `cli` registers them."""

from pathlib import Path
from typing import Annotated

import typer

from speechrec.cli_common import NegativesPattern, refuse_given, refuse_nan, show
from speechrec.config import Part
from speechrec.errors import ConfigError
from speechrec.mix_config import MixConfig

_MIX = MixConfig()
_SNRS = ",".join([name.removesuffix("dB") for name in _MIX.conditions])


def mix(
    context: typer.Context,
    features: Annotated[Path, typer.Option(help="Feature store whose clips to use.")] = Path(
        "runs/features"
    ),
    part: Annotated[
        Part,
        typer.Option(
            help="Part of the store, and of the speakers of --negatives: a quarter of these each "
            "for validation and testing, by their hash."
        ),
    ] = "testing",
    negatives: Annotated[
        Path | None, typer.Option(help="Folder of speech without commands.")
    ] = None,
    speaker_pattern: NegativesPattern = "",
    noise: Annotated[
        Path | None, typer.Option(help="Folder of noise recordings instead of made-up noise.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("data/mix"),
    recordings: Annotated[
        int, typer.Option(min=1, help="Recordings for each SNR.")
    ] = _MIX.recordings,
    minutes: Annotated[float, typer.Option(help="Length of a recording.")] = _MIX.minutes,
    snr: Annotated[
        str, typer.Option(help="Signal-to-noise ratios in dB, comma-separated, or clean.")
    ] = _SNRS,
    speed: Annotated[
        float, typer.Option(help="Percent of other speed and pitch at most.")
    ] = _MIX.stretch_percent,
    pause: Annotated[
        str, typer.Option(help="Shortest and longest pause in seconds.")
    ] = f"{_MIX.least_pause_s:g},{_MIX.most_pause_s:g}",
    equal_level: Annotated[
        bool, typer.Option("--equal-level", help="Bring all clips to one level before --level.")
    ] = _MIX.equal_level,
    level: Annotated[
        str, typer.Option(help="Least and most change of a clip's level in dB.")
    ] = f"{_MIX.least_gain_db:g},{_MIX.most_gain_db:g}",
    negative_share: Annotated[
        float, typer.Option(help="Share of pauses with speech without commands.")
    ] = _MIX.negative_share,
    unknown_share: Annotated[
        float, typer.Option(help="Share of words that are unknown.")
    ] = _MIX.unknown_share,
    overlap_share: Annotated[
        float, typer.Option(help="Share of commands on top of other speech.")
    ] = _MIX.overlap_share,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = _MIX.seed,
) -> None:
    """Mix long test recordings from clips, pauses, noise and other speech, with their truth."""
    if negatives is None:
        given = ("speaker_pattern", "negative_share") if negative_share else ("speaker_pattern",)
        refuse_given(context, *given, why="is of the speech in --negatives")
    least_pause_s, most_pause_s = _range("--pause", pause)
    least_gain_db, most_gain_db = _range("--level", level)
    config = MixConfig(
        recordings=recordings, minutes=minutes, snrs_db=tuple(map(_snr_db, snr.split(","))),
        least_pause_s=least_pause_s, most_pause_s=most_pause_s, stretch_percent=speed,
        equal_level=equal_level, least_gain_db=least_gain_db, most_gain_db=most_gain_db,
        negative_share=negative_share, unknown_share=unknown_share, overlap_share=overlap_share,
        seed=seed,
    )  # fmt: skip

    from speechrec.files import refuse_inside
    from speechrec.mix import mix as run_mix
    from speechrec.mix import store_clips
    from speechrec.negatives import find_negatives
    from speechrec.progress import clips_progress

    refuse_inside(out, negatives, noise)
    speech = (
        find_negatives(negatives, part=part, speaker_pattern=speaker_pattern) if negatives else []
    )
    with clips_progress("mixing") as progress:
        made = run_mix(
            store_clips(features, part), out, config,
            negatives=speech, noises=_noises(noise), progress=progress,
        )  # fmt: skip
    show(
        f"{made.recordings} recordings of {minutes:g} minutes with {made.commands} commands in "
        f"{out} ({', '.join(config.conditions)}; {made.clips_used_again} clips are heard more "
        "than once in each)"
    )


def synth(
    words: Annotated[
        str, typer.Option(help="Words to speak, comma-separated.")
    ] = "yes,no,up,down,left,right,stop,go",
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("data/synthetic"),
    others: Annotated[
        str | None, typer.Option(help="Words for _unknown_; default: a list of common words.")
    ] = None,
    phrases: Annotated[
        int, typer.Option(min=0, help="Further phrases of English words for _unknown_.")
    ] = 0,
    near_misses: Annotated[
        float, typer.Option(min=0, max=1, help="Share of their words that are near-misses.")
    ] = 0.5,
    foreign_phrases: Annotated[
        int, typer.Option(min=0, help="Further phrases in sixteen other languages.")
    ] = 0,
    in_turn: Annotated[
        int, typer.Option(min=1, help="Phrases in one recording: altered copies take each in turn.")
    ] = 1,
    held_out: Annotated[
        bool,
        typer.Option(
            "--held-out",
            help="Voices and phrases that are never heard without it: to calibrate with.",
        ),
    ] = False,
    voices: Annotated[
        int, typer.Option(min=3, max=3000, help="Voices, of all engines in turn.")
    ] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of speeds, pitches and noise.")] = 0,
) -> None:
    """Speak words with synthetic voices, for a first recogniser without any recordings."""
    from speechrec.progress import clips_progress
    from speechrec.synth import OTHER_WORDS, check_request, synthesise
    from speechrec.vocabulary import foreign
    from speechrec.vocabulary import phrases as english

    refuse_nan(near_misses=near_misses)
    spoken, unknown = _words(words), OTHER_WORDS if others is None else _words(others)
    check_request(out, spoken, unknown)
    more = (
        english(phrases, spoken, seed=seed, near_share=near_misses, held_out=held_out)
        if phrases else []
    )  # fmt: skip
    if foreign_phrases:
        more += foreign(foreign_phrases, spoken, seed=seed, held_out=held_out)
    with clips_progress("speaking") as progress:
        made = synthesise(
            out, spoken, unknown, voices=voices, seed=seed, phrases=more, in_turn=in_turn,
            held_out=held_out, progress=progress,
        )  # fmt: skip
    said = f"{made.words} words" + (f" and {made.phrases} phrases" if made.phrases else "")
    show(
        f"{made.clips} clips of {said} by {made.voices} synthetic voices "
        f"({', '.join(made.engines)}) in {out}"
    )
    if made.unspeakable:
        show(f"phrases left out, since the voice in turn cannot say them: {made.unspeakable}")


def _words(text: str) -> tuple[str, ...]:
    """The words between commas."""
    return tuple(filter(None, map(str.strip, text.split(","))))


def _snr_db(text: str) -> float | None:
    if text.strip() == "clean":
        return None
    try:
        return float(text)
    except ValueError:
        raise ConfigError(
            f"--snr: expected clean or decibels between commas, such as clean,20,10; got {text!r}"
        ) from None


def _range(option: str, text: str) -> tuple[float, float]:
    try:
        least, most = map(float, text.split(","))
    except ValueError:
        raise ConfigError(f"{option}: expected MIN,MAX, got {text!r}") from None
    return least, most


def _noises(folder: Path | None) -> list[Path]:
    from speechrec.errors import DatasetError
    from speechrec.listing import sound_files

    found = sound_files(folder) if folder and folder.is_dir() else []
    if folder and not found:
        raise DatasetError(f"{folder}: expected recordings of noise, found none")
    return found
