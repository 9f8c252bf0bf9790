"""What a clip costs in `extract`, part by part, on one core: where its time goes.

    python scripts/extract_parts.py data/speech_commands

Medians over the repeats of the mean over the files, in microseconds, from a warm disk.
"""

import argparse
import hashlib
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from bench_common import spread_out, wav_files

from speechrec import audio
from speechrec.config import FeatureConfig
from speechrec.placing import fit_clip
from speechrec.shards import front_end_of
from speechrec.usable import check_usable


def microseconds(work: Callable[[Any], object], items: Sequence[Any], repeats: int) -> float:
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        for item in items:
            work(item)
        seconds.append(time.perf_counter() - started)
    # The first round warms caches.
    return 1e6 * statistics.median(seconds[1:]) / len(items)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, nargs="?", default=Path("data/speech_commands"))
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    config = FeatureConfig()
    front_end = front_end_of(config)

    paths = spread_out(wav_files(arguments.corpus), arguments.files)
    contents = [audio.read_bytes(path) for path in paths]
    sounds = [audio.decode(data, name="clip") for data in contents]
    waves = [audio.to_mono(sound, sample_rate_hz=config.sample_rate_hz) for sound in sounds]
    clips = [fit_clip(wave, config) for wave in waves]
    parts: dict[str, tuple[Callable[[Any], object], Sequence[Any]]] = {
        "read": (audio.read_bytes, paths),
        "SHA-256": (lambda data: hashlib.sha256(data).hexdigest(), contents),
        "decode": (lambda data: audio.decode(data, name="clip"), contents),
        "check": (lambda sound: check_usable(sound, name="clip"), sounds),
        "place the word": (lambda wave: fit_clip(wave, config), waves),
        "1024 numbers": (front_end.clip, clips),
    }
    print("| part | microseconds a clip |\n| --- | --- |")
    for name, (work, items) in parts.items():
        print(f"| {name} | {microseconds(work, items, arguments.repeat):.0f} |", flush=True)


if __name__ == "__main__":
    main()
