"""What each part of the recipe gives: the dense network with and without it, on a short schedule.

    make model
    python scripts/recipe.py

Every variant sees as many vectors as the others (`--passes` times the number of clips), so that a
difference is not one of patience. Figures are of the validation part, which the choices were made
on. Prints Markdown tables, writes recipe.json and dropout.svg; variants found there are not trained
again.
"""

import argparse
import dataclasses
import json
import shutil
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from speechrec import locate, store
from speechrec.config import UNKNOWN, Config
from speechrec.config_toml import load_config
from speechrec.copies import training_copies
from speechrec.extract import extract
from speechrec.files import write_json
from speechrec.report import new_figure
from speechrec.store import FeatureSet
from speechrec.teacher import soft_answers
from speechrec.train import TrainOptions, train

PLAIN = {
    "augment.views": 1, "model.dropout": [0.5] * 4, "model.batch_norm": False,
    "model.remove_level": False, "train.weight_decay": 0.0, "teacher.weight": 0.0,
}  # fmt: skip
UNALIGNED = {"features.align": "none"}
LEVEL = {"model.remove_level": True}
NORM = {"model.batch_norm": True, "model.dropout": [0.1] * 4}
COPIES = {"augment.views": 16}
DECAY = {"train.weight_decay": 1e-3}
NO_TEACHER = {"teacher.weight": 0.0}

RATES = (0.0, 0.1, 0.2, 0.3, 0.5)

Overrides = dict[str, Any]


def ladder() -> dict[str, Overrides]:
    """Each step on top of those before it; the last is the recipe."""
    steps = {
        "plain network, word where it stands": {**PLAIN, **UNALIGNED},
        "+ word in the middle": {"features.align": "energy"},
        "+ level removed": LEVEL,
        "+ batch normalisation, dropout 0.1": NORM,
        "+ 15 altered copies of each clip": COPIES,
        "+ weight decay 0.001": DECAY,
        "+ teacher (the recipe)": {"teacher.weight": 1.0},
    }
    variants: dict[str, Overrides] = {}
    so_far: Overrides = {}
    for name, step in steps.items():
        so_far = {**so_far, **step}
        variants[name] = so_far
    return variants


def tables() -> dict[str, dict[str, Overrides]]:
    return {
        "Step by step": ladder(),
        # Tables with the same copies stand together: copies take minutes to make.
        "Dropout, taught by labels": {
            f"dropout {rate}": {**NO_TEACHER, "model.dropout": [rate] * 4} for rate in RATES
        },
        "Dropout, taught by the teacher": {
            f"dropout {rate}": {"model.dropout": [rate] * 4} for rate in RATES
        },
        "With something more": {
            "labels, smoothed by 0.1": {**NO_TEACHER, "train.label_smoothing": 0.1},
            "labels, mixup 0.2": {**NO_TEACHER, "train.mixup": 0.2},
            "labels, masks in 30 %": {**NO_TEACHER, "train.mask_share": 0.3},
            "teacher, mixup 0.2": {"train.mixup": 0.2},
            "teacher, masks in 30 %": {"train.mask_share": 0.3},
        },
        "Without one part of the copies, taught by labels": {
            "all parts": NO_TEACHER,
            "no stretching": {**NO_TEACHER, "augment.stretch_percent": 0.0},
            "no shifts": {**NO_TEACHER, "augment.shift_ms": 0.0},
            "no noise": {**NO_TEACHER, "augment.noise_share": 0.0},
            "no echo": {**NO_TEACHER, "augment.echo_share": 0.0},
            "no running speech around unknown words": {
                **NO_TEACHER,
                "augment.neighbour_share": 0.0,
            },
            "7 copies": {**NO_TEACHER, "augment.views": 8},
        },
    }


class Bench:
    """Feature stores and copies, kept from one variant to the next."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.config = Config()
        self.parts: dict[str, tuple[FeatureSet, FeatureSet]] = {}
        # The teacher's answers by its weight, for the parts above; minutes to compute.
        self.answers: dict[float, np.ndarray] = {}

    def features(self, config: Config) -> tuple[FeatureSet, FeatureSet]:
        """Training part with copies, and validation part."""
        folder = self.arguments.features
        if store.load_info(folder).config != config.features:
            folder = self.arguments.out / f"features-{config.features.hash[:8]}"
        if not folder.exists():
            data = load_config(Path("configs/commands-en.toml")).data
            extract(
                self.arguments.data, folder, dataclasses.replace(config, data=data),
                unknown=self.arguments.unknown, workers=locate.cores(),
            )  # fmt: skip
        training = store.load_features(folder, "training")
        if config.augment.views > 1:
            copies = training_copies(folder, training, config.augment, workers=locate.cores())
            training = dataclasses.replace(training, copies=copies)
        return training, store.load_features(folder, "validation")

    def measure(self, overrides: Overrides, seed: int) -> dict[str, float]:
        config = load_config(locate.recipe("dense"), {**overrides, "train.seed": seed})
        key = json.dumps(dataclasses.asdict(config.features) | dataclasses.asdict(config.augment))
        if key not in self.parts:
            # One at a time: copies take half a gigabyte.
            self.parts, self.answers = {key: self.features(config)}, {}
        training, validation = self.parts[key]
        passes = max(1, self.arguments.passes // config.augment.views)
        schedule = dataclasses.replace(config.train, epochs=passes)
        options = TrainOptions(restart=True)
        run = self.arguments.out / "run"
        soft, weight = None, config.teacher.weight
        if weight:
            if weight not in self.answers:
                self.answers[weight] = soft_answers(
                    training, validation, run, config, options, borrowed=[self.arguments.teacher]
                )
            soft = self.answers[weight]
        result = train(
            training, validation, run, config.model, schedule, soft=soft, options=options
        )
        answers = np.asarray(result.model(validation.x, training=False)).argmax(axis=1)
        shutil.rmtree(run, ignore_errors=True)
        unknown = validation.y == validation.labels.index(UNKNOWN)
        right = answers == validation.y
        return {"accuracy": float(right.mean()), "unknown_recall": float(right[unknown].mean())}


def row(name: str, figures: list[dict[str, float]]) -> str:
    cells = [name]
    for key in ("accuracy", "unknown_recall"):
        values = [100 * figure[key] for figure in figures]
        cells.append(f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})")
    return f"| {' | '.join(cells)} |"


def plot(sweeps: dict[str, list[list[float]]], path: Path) -> None:
    """Validation accuracy over the dropout rate; the line is the mean over seeds."""
    figure = new_figure(6, 4)
    axes = figure.subplots()
    for title, accuracies in sweeps.items():
        (line,) = axes.plot(RATES, [statistics.mean(each) for each in accuracies], label=title)
        for seed in zip(*accuracies, strict=True):
            axes.plot(RATES, seed, ".", color=line.get_color())
    axes.set(xlabel="dropout rate of all four layers in training", ylabel="validation accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/speech_commands"))
    parser.add_argument("--unknown", type=Path, default=Path("runs/mined"))
    parser.add_argument("--features", type=Path, default=Path("runs/features"))
    parser.add_argument("--teacher", type=Path, default=Path("runs/teacher"))
    parser.add_argument("--out", type=Path, default=Path("runs/recipe"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--passes", type=int, default=48)
    parser.add_argument("--only", nargs="+", default=[""], help="tables, by how their titles begin")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    record = arguments.out / "recipe.json"
    known = json.loads(record.read_text()) if record.exists() else {}
    bench = Bench(arguments)
    sweeps: dict[str, list[list[float]]] = {}
    for title, variants in tables().items():
        if not title.startswith(tuple(arguments.only)):
            continue
        print(f"\n{title}\n\n| variant | accuracy % | unknown recall % |\n| --- | --- | --- |")
        for name, overrides in variants.items():
            figures = []
            for seed in arguments.seeds:
                key = json.dumps([overrides, seed, arguments.passes])
                if key not in known:
                    known[key] = bench.measure(overrides, seed)
                    write_json(record, known)
                figures.append(known[key])
            print(row(name, figures), flush=True)
            if title.startswith("Dropout"):
                accuracies = [100 * figure["accuracy"] for figure in figures]
                sweeps.setdefault(title, []).append(accuracies)
    if sweeps:
        plot(sweeps, arguments.out / "dropout.svg")


if __name__ == "__main__":
    main()
