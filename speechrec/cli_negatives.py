"""Commands that work on sound without commands: false alarms; `cli` registers them."""

from pathlib import Path
from typing import Annotated

import typer

from speechrec.cli_common import ModelOption, NegativesPattern, choose_model, refuse_nan, say, show
from speechrec.config import Part
from speechrec.errors import ConfigError

NegativesPart = Annotated[
    Part | None,
    typer.Option(
        help="Only speakers of this part: a quarter each for validation and testing, by their hash."
    ),
]


def calibrate(
    model: Annotated[Path, typer.Argument(help="Run folder or recogniser file.")],
    negatives: Annotated[Path, typer.Option(help="Folder of sound without commands.")],
    target_fa_per_hour: Annotated[
        float, typer.Option(help="False alarms an hour, all commands together.")
    ] = 0.5,
    speaker_pattern: NegativesPattern = "",
    part: NegativesPart = None,
    out: Annotated[
        Path | None, typer.Option(help="Recogniser file to write; default: the same file.")
    ] = None,
) -> None:
    """Set each command's threshold in a stream from its false alarms in sound without commands."""
    from speechrec import console, locate
    from speechrec.bundle import SUFFIX, update_bundle
    from speechrec.files import refuse_unwritable
    from speechrec.negatives import find_negatives
    from speechrec.progress import clips_progress
    from speechrec.recognizer import Recognizer
    from speechrec.thresholds import choose_thresholds, count_false_alarms

    if not 1e-6 <= target_fa_per_hour <= 1e6:
        raise ConfigError(
            f"--target-fa-per-hour: expected a number from 1e-6 to 1e6, such as 0.5, got "
            f"{target_fa_per_hour}"
        )
    path, _ = locate.recogniser(model)
    shipped = {each.resolve() for each in locate.installed_models().values()}
    if (out or path).resolve() in shipped:
        raise ConfigError(
            f"{out or path}: came with speechrec and is left as it is; name a copy with --out"
        )
    if out and (out.suffix != SUFFIX or (out.exists() and not out.is_file())):
        raise ConfigError(f"--out: expected a file whose name ends in {SUFFIX}, got {out}")
    recognizer = Recognizer.load(path)
    found = find_negatives(negatives, part=part, speaker_pattern=speaker_pattern)
    refuse_unwritable(out or path)
    with clips_progress("listening") as progress:
        alarms = count_false_alarms(recognizer, found, progress=progress)
    chosen = choose_thresholds(alarms, per_hour=target_fa_per_hour)
    stream = {
        "thresholds": chosen.thresholds,
        "target_fa_per_hour": target_fa_per_hour,
        "negatives_hours": alarms.hours,
        "extrapolated": chosen.extrapolated,
    }
    show(console.thresholds_text(alarms, chosen, target_fa_per_hour))
    update_bundle(path, out or path, {"stream": stream}, read=recognizer.manifest)
    for fault in alarms.faults:
        say(f"bad file: {fault.message}")
    show(f"recogniser: {out or path}")


def mine(
    negatives: Annotated[Path, typer.Argument(help="Folder of sound without commands.")],
    out: Annotated[Path, typer.Option(help="Folder to write the clips into.")] = Path("data/mined"),
    model: ModelOption = None,
    least: Annotated[
        float,
        typer.Option(min=0, max=1, help="Confidence from which on a clip is kept; 0 keeps all."),
    ] = 0.1,
    speaker_pattern: NegativesPattern = "",
    part: NegativesPart = None,
) -> None:
    """Turn false alarms into training data: clips for the next extract --unknown."""
    from speechrec.files import refuse_inside
    from speechrec.mine import mine as run_mine
    from speechrec.negatives import find_negatives
    from speechrec.progress import clips_progress
    from speechrec.recognizer import Recognizer

    refuse_nan(least=least)
    refuse_inside(out, negatives)
    recognizer = Recognizer.load(choose_model(model))
    found = find_negatives(negatives, part=part, speaker_pattern=speaker_pattern)
    with clips_progress("mining") as progress:
        mined = run_mine(recognizer, found, out, least=least, progress=progress)
    for fault in mined.faults:
        say(f"bad file: {fault.message}")
    words = ", ".join(f"{label} {count}" for label, count in sorted(mined.clips.items()))
    heard = f"{sum(mined.clips.values())} clips in {out} from {mined.seconds / 60:.1f} minutes"
    advice = f", most like {words}; learn from them with: speechrec extract --unknown {out}"
    show(heard + (advice if words else ": nothing in them is like a command"))
