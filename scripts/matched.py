"""Recognisers against each other at equal false alarms: what they then miss.

    python scripts/matched.py runs/old/commands-en.speechrec commands-en \
        --quiet data/prompts --mix runs/mix --per-hour 10

One threshold for all commands of a recogniser, the lowest that no more sounds an hour pass in
recordings without commands. Prints a Markdown table.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from speechrec import locate
from speechrec.errors import SpeechrecError
from speechrec.heard import hear_folder
from speechrec.negatives import find_negatives
from speechrec.recognizer import Recognizer
from speechrec.stream_evaluate import StreamFigures, stream_figures
from speechrec.thresholds import FalseAlarms, count_false_alarms, counted_threshold


def lowest_threshold(alarms: FalseAlarms, per_hour: float) -> float:
    """Just above the surest of what is too much."""
    surest = np.sort(np.concatenate(list(alarms.confidences.values())))[::-1]
    return counted_threshold(surest, per_hour * alarms.hours)


def missed(figures: StreamFigures) -> str:
    return "-" if figures.miss_rate is None else f"{100 * figures.miss_rate:.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recognisers", nargs="+", help="files, or names of those installed")
    parser.add_argument("--quiet", type=Path, nargs="+", required=True, help="without commands")
    parser.add_argument("--mix", type=Path, default=Path("runs/mix"))
    parser.add_argument("--per-hour", type=float, nargs="+", default=[10.0])
    arguments = parser.parse_args()
    for name in arguments.recognisers:
        recognizer = Recognizer.load(locate.recogniser(Path(name))[0])
        quiet = [item for folder in arguments.quiet for item in find_negatives(folder)]
        alarms = count_false_alarms(recognizer, quiet)
        heard = hear_folder(recognizer, arguments.mix)
        conditions = list(dict.fromkeys(item.condition for item in heard))
        if name == arguments.recognisers[0]:
            print("| recogniser | false alarms | threshold | " + " | ".join(conditions) + " |")
            print("| --- " * (3 + len(conditions)) + "|")
        for per_hour in arguments.per_hour:
            threshold = lowest_threshold(alarms, per_hour)
            recognizer.stream_thresholds = dict.fromkeys(recognizer.keywords, threshold)
            cells = " | ".join(
                missed(stream_figures(recognizer, [r for r in heard if r.condition == condition]))
                for condition in conditions
            )
            rate = f"{per_hour:g} an hour in {alarms.hours:.2f} h"
            print(f"| {name} | {rate} | {threshold:.4f} | {cells} |")


if __name__ == "__main__":
    try:
        main()
    except SpeechrecError as error:
        sys.exit(f"error: {error}")
