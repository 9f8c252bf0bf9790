"""What 8-bit weights cost: both forms of trained runs' networks on the testing part.

python scripts/int8.py runs/results/commands-0 runs/results/commands-1 runs/results/commands-2
"""

import argparse
from pathlib import Path

import keras
import numpy as np

from speechrec import store
from speechrec.export import to_tflite
from speechrec.network import Network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--features", type=Path, default=Path("runs/features"))
    arguments = parser.parse_args()
    testing = store.load_features(arguments.features, "testing")
    probe = store.load_features(arguments.features, "validation").x[:256]
    print("| run | float32 % | int8 % | other answers | float32 | int8 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for run in arguments.runs:
        model = keras.models.load_model(run / "model.keras")
        contents = [to_tflite(model, probe, int8=int8) for int8 in (False, True)]
        answers = [
            Network(content, labels=len(testing.labels)).scores(testing.x).argmax(axis=1)
            for content in contents
        ]
        plain, small = (100 * float(np.mean(each == testing.y)) for each in answers)
        differing = int(np.sum(answers[0] != answers[1]))
        sizes = " | ".join(f"{len(content):,} bytes" for content in contents)
        print(f"| {run.name} | {plain:.2f} | {small:.2f} | {differing} | {sizes} |", flush=True)


if __name__ == "__main__":
    main()
