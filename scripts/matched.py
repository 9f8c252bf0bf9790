"""Recognisers against each other at equal false alarms: what they then miss.

    python scripts/matched.py runs/old/commands-en.speechrec commands-en \
        --quiet data/prompts --mix runs/mix --per-hour 10

One threshold for all commands of a recogniser, the lowest at which recordings without commands
have no more false alarms an hour than that. Prints a Markdown table.
"""

import argparse
import dataclasses
from pathlib import Path

from speechrec import locate
from speechrec.heard import HeardRecording, hear_folder
from speechrec.keyword_score import KeywordScore
from speechrec.recognizer import Recognizer
from speechrec.stream_evaluate import stream_figures


def lowest_threshold(recognizer: Recognizer, quiet: list[HeardRecording], per_hour: float) -> float:
    """Every event without a command is a candidate; too many of the surest must not pass."""
    allowed = int(per_hour * sum(item.seconds for item in quiet) / 3600)
    score = KeywordScore(recognizer.labels)
    events = (event.posteriors for item in quiet for event in item.events)
    surest = sorted((score(each)[1] for each in events if score.is_clear(each)), reverse=True)
    return surest[allowed] + 1e-7 if len(surest) > allowed else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recognisers", nargs="+", help="files, or names of those installed")
    parser.add_argument("--quiet", type=Path, nargs="+", required=True, help="without commands")
    parser.add_argument("--mix", type=Path, default=Path("runs/mix"))
    parser.add_argument("--per-hour", type=float, nargs="+", default=[10.0])
    arguments = parser.parse_args()
    for name in arguments.recognisers:
        recognizer = Recognizer.load(locate.recogniser(Path(name))[0])
        # Labels in these folders would be somebody else's.
        quiet = [
            dataclasses.replace(item, truth=())
            for folder in arguments.quiet for item in hear_folder(recognizer, folder)
        ]  # fmt: skip
        hours = sum(item.seconds for item in quiet) / 3600
        heard = hear_folder(recognizer, arguments.mix)
        conditions = list(dict.fromkeys(item.condition for item in heard))
        if name == arguments.recognisers[0]:
            print("| recogniser | false alarms | threshold | " + " | ".join(conditions) + " |")
            print("| --- " * (3 + len(conditions)) + "|")
        for per_hour in arguments.per_hour:
            threshold = lowest_threshold(recognizer, quiet, per_hour)
            recognizer.stream_thresholds = dict.fromkeys(recognizer.keywords, threshold)
            missed = [
                stream_figures(recognizer, [item for item in heard if item.condition == each])
                for each in conditions
            ]
            cells = " | ".join(f"{100 * figures.miss_rate:.1f} %" for figures in missed)
            print(f"| {name} | {per_hour:g} an hour in {hours:.2f} h | {threshold:.3f} | {cells} |")


if __name__ == "__main__":
    main()
