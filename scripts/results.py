"""Train and measure the networks on a feature store, several seeds each, one at a time.

    make model
    python scripts/results.py --out runs/results

The seeds of a taught network share its teachers: those that `make model` trains, or, for the
convolutional network, that of its first seed, which learns the milder copies of that recipe.

Prints a Markdown table (mean and spread over seeds on the testing part, time and peak memory of
each training) and writes results.json. Finished runs found in the folder are used again.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from speechrec.files import write_json

CONFIGS = ("seed", "dense", "cnn", "commands", "commands-cnn")
FIGURES = (
    "accuracy", "accuracy_without_silence", "unknown_recall", "ece",
    "unknown_refused", "keywords_accepted",
)  # fmt: skip

TAUGHT_BY = {"commands": [Path("runs/teacher-0"), Path("runs/teacher-1")]}
SHARING = ("commands-cnn",)


def train_once(
    config: str, seed: int, features: Path, out: Path, teachers: list[Path]
) -> dict[str, float]:
    """One training in a process of its own: its seconds, peak memory in MB, and figures."""
    run = out / f"{config}-{seed}"
    record = run / "measured.json"
    if not record.exists():
        command = [
            sys.executable, "-m", "speechrec", "train", "--config", f"configs/{config}.toml",
            "--features", str(features), "--out", str(run), "--seed", str(seed),
        ]  # fmt: skip
        command += [part for teacher in teachers for part in ("--teacher", str(teacher))]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
        seconds = time.perf_counter() - started
        epochs = len((run / "history.csv").read_text().splitlines()) - 1
        measured = {"seconds": seconds, "epochs": epochs, "memory_mb": usage.ru_maxrss / 1024}
        write_json(record, measured)
    report = json.loads((run / "report.json").read_text())
    known = {**report, **report["decisions"]}
    return {**json.loads(record.read_text()), **{name: known[name] for name in FIGURES}}


def row(config: str, runs: list[dict[str, float]]) -> str:
    def spread(name: str) -> str:
        values = [100 * run[name] for run in runs]
        return f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"

    seconds = statistics.median(run["seconds"] for run in runs)
    epochs = "/".join(f"{run['epochs']:.0f}" for run in runs)
    memory = max(run["memory_mb"] for run in runs)
    cells = [config, *map(spread, FIGURES)]
    return "| " + " | ".join([*cells, epochs, f"{seconds:.0f} s", f"{memory:.0f} MB"]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=Path, default=Path("runs/features"))
    parser.add_argument("--out", type=Path, default=Path("runs/results"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--configs", nargs="+", default=list(CONFIGS))
    arguments = parser.parse_args()
    results: dict[str, list[dict[str, float]]] = {}
    for config in arguments.configs:
        results[config] = []
        for number, seed in enumerate(arguments.seeds):
            teachers = TAUGHT_BY.get(config, [])
            if config in SHARING and number:
                teachers = [arguments.out / f"{config}-{arguments.seeds[0]}"]
            measured = train_once(config, seed, arguments.features, arguments.out, teachers)
            results[config].append(measured)
    write_json(arguments.out / "results.json", results)
    figures = [f"{name.replace('_', ' ')} %" for name in FIGURES]
    columns = ["config", *figures, "epochs", "time", "memory"]
    print("| " + " | ".join(columns) + " |")
    print("| --- " * len(columns) + "|")
    for config, runs in results.items():
        print(row(config, runs))


if __name__ == "__main__":
    main()
