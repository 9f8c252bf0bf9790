"""Several placements of the word averaged at prediction: what they give and what they cost.

    python scripts/placements.py commands-en

The second is cut out at the place `fit_clip` finds and at places before and after it; the mean of
the posteriors answers. Figures are of the validation part, times of features and network together.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from speechrec import locate, store
from speechrec.config import UNKNOWN
from speechrec.copies import recording
from speechrec.features import Array
from speechrec.placing import fit_clip
from speechrec.recognizer import Recognizer
from speechrec.shards import read_clip

PLACES_MS = ((0,), (-20, 20), (-20, 0, 20), (-40, 0, 40), (-40, -20, 0, 20, 40))
_TIMED_CLIPS, _RUNS = 300, 5


def moved(clip: Array, samples: int) -> Array:
    """A clip whose word stands so much later, mirrored at the edge."""
    if samples >= 0:
        return np.concatenate((clip[samples:0:-1], clip[: len(clip) - samples]))
    return np.concatenate((clip[-samples:], clip[-2 : samples - 2 : -1]))


def posteriors(recognizer: Recognizer, clip: Array, places: tuple[int, ...]) -> Array:
    """(labels,) mean over the places."""
    waves = np.stack([moved(clip, place) for place in places])
    mean: Array = recognizer.scores(recognizer.front_end(waves)).mean(axis=0)
    return mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", default=Path("commands-en"))
    parser.add_argument("--features", type=Path, default=Path("runs/features"))
    arguments = parser.parse_args()
    recognizer = Recognizer.load(locate.recogniser(arguments.model)[0])
    config = recognizer.config
    validation = store.load_features(arguments.features, "validation")
    clips = [fit_clip(read_clip(recording(clip), config)[0], config) for clip in validation.clips]
    unknown = validation.y == validation.labels.index(UNKNOWN)
    print("| places, ms | accuracy % | unknown recall % | ms a clip |\n| --- | --- | --- | --- |")
    for places_ms in PLACES_MS:
        places = tuple(place * config.sample_rate_hz // 1000 for place in places_ms)
        answers = np.array([posteriors(recognizer, clip, places).argmax() for clip in clips])
        right = answers == validation.y
        times = []
        for _ in range(_RUNS):
            started = time.perf_counter()
            for clip in clips[:_TIMED_CLIPS]:
                posteriors(recognizer, clip, places)
            times.append(1000 * (time.perf_counter() - started) / _TIMED_CLIPS)
        print(
            f"| {', '.join(map(str, places_ms))} | {100 * right.mean():.1f} "
            f"| {100 * right[unknown].mean():.1f} | {statistics.median(times):.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
