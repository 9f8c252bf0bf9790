"""What each part of the recipe gives: the dense network with and without it, on a short schedule.
Parts that are no settings are in `recipe_probes.py`.

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
from recipe_probes import averaged, other_numbers, warped, with_fragments

from speechrec import locate, store
from speechrec.calibrate import scaled
from speechrec.config import UNKNOWN
from speechrec.config_toml import load_config
from speechrec.copies import training_copies
from speechrec.extract import extract
from speechrec.files import write_json
from speechrec.recorder import TrainOptions
from speechrec.report import new_figure
from speechrec.store import FeatureSet
from speechrec.teacher import soft_answers
from speechrec.train import train
from speechrec.train_config import Config

PLAIN = {
    "augment.views": 1, "model.dropout": [0.5] * 4, "model.batch_norm": False,
    "model.remove_level": False, "train.weight_decay": 0.0, "teacher.weight": 0.0,
}  # fmt: skip
# Where a variant says nothing else. The recipe has had less since.
DROPOUT = {"model.dropout": [0.1] * 4}
UNALIGNED = {"features.align": "none"}
LEVEL = {"model.remove_level": True}
NORM = {"model.batch_norm": True, **DROPOUT}
COPIES = {"augment.views": 16}
DECAY = {"train.weight_decay": 1e-3}
NO_TEACHER = {"teacher.weight": 0.0}
# Probes that leave the level out themselves.
UNLEVELLED = {"model.remove_level": False}
PLAINLY = {**NO_TEACHER, "augment.views": 1}
# Half the copies are made in half the time.
FEWER = {**NO_TEACHER, "augment.views": 8}

RATES = (0.0, 0.1, 0.2, 0.3, 0.5)

Overrides = dict[str, Any]


def ladder() -> dict[str, Overrides]:
    """Each step on top of those before it; the last is the recipe but for its dropout."""
    steps: dict[str, Overrides] = {
        "plain network, word where it stands": {**PLAIN, **UNALIGNED},
        "+ word in the middle": {"features.align": "energy"},
        "+ level removed": LEVEL,
        "+ batch normalisation, dropout 0.1": NORM,
        "+ 15 altered copies of each clip": COPIES,
        "+ weight decay 0.001": DECAY,
        "+ teachers": {"teacher.weight": 1.0},
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
        "Dropout, taught by labels": {
            f"dropout {rate}": {**NO_TEACHER, "model.dropout": [rate] * 4} for rate in RATES
        },
        "Dropout, taught by the teachers": {
            f"dropout {rate}": {"model.dropout": [rate] * 4} for rate in RATES
        },
        "With something more or something else": {
            "labels": NO_TEACHER,
            "labels, smoothed by 0.1": {**NO_TEACHER, "train.label_smoothing": 0.1},
            "labels, mixup 0.2": {**NO_TEACHER, "train.mixup": 0.2},
            "labels, masks in 30 %": {**NO_TEACHER, "train.mask_share": 0.3},
            "labels, mel axis warped by 10 %": {**NO_TEACHER, "probe.warp": 0.1},
            "labels, average of weights (0.999)": {**NO_TEACHER, "probe.average": 0.999},
            "labels, constant rate": {**NO_TEACHER, "train.schedule": "constant"},
            "labels, constant rate, average of weights": {
                **NO_TEACHER, "train.schedule": "constant", "probe.average": 0.999,
            },
            "both teachers": {},
            "the first teacher alone": {"probe.teachers": 1},
            "both teachers, not softened": {"teacher.temperature": 1.0},
            "both teachers, mixup 0.2": {"train.mixup": 0.2},
            "both teachers, masks in 30 %": {"train.mask_share": 0.3},
        },
        "Three times as long": {
            "labels": {**NO_TEACHER, "probe.passes": 128},
            "both teachers": {"probe.passes": 128},
        },
        "Other numbers, taught by labels, without copies": {
            "64 ms every 30 ms, 60 to 7,800 Hz": PLAINLY,
            "32 ms every 31 ms": {
                **PLAINLY, "features.window_ms": 32.0, "features.hop_ms": 31.0,
            },
            "96 ms every 29 ms": {
                **PLAINLY, "features.window_ms": 96.0, "features.hop_ms": 29.0,
            },
            "up to 4,000 Hz": {**PLAINLY, "features.high_hz": 4000.0},
            "log offset 1e-8": {**PLAINLY, "features.log_offset": 1e-8},
            "log offset 1e-4": {**PLAINLY, "features.log_offset": 1e-4},
            "PCEN": {**PLAINLY, **UNLEVELLED, "probe.numbers": "pcen"},
            "cosine transform of a finer spectrogram": {
                **PLAINLY, **UNLEVELLED, "probe.numbers": "cosine",
            },
            "16 bands and their deltas": {**PLAINLY, **UNLEVELLED, "probe.numbers": "deltas"},
            "half keywords as unknown words": {**PLAINLY, "probe.fragments": 0.3},
        },
        "Without one part of the copies, taught by labels": {
            "7 copies": FEWER,
            "no stretching": {**FEWER, "augment.stretch_percent": 0.0},
            "no shifts": {**FEWER, "augment.shift_ms": 0.0},
            "no noise": {**FEWER, "augment.noise_share": 0.0},
            "no echo": {**FEWER, "augment.echo_share": 0.0},
            "no running speech around unknown words": {**FEWER, "augment.neighbour_share": 0.0},
        },
    }  # fmt: skip


class Bench:
    """Feature stores, copies and teachers' answers, kept from one variant to the next."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.recipe = load_config(locate.recipe("dense"))
        # One at a time: copies take half a gigabyte.
        self.key = ""
        self.parts: tuple[FeatureSet, FeatureSet]
        self.altered: tuple[FeatureSet, FeatureSet]
        # Each teacher's posteriors for these parts; minutes to compute.
        self.posteriors: dict[Path, np.ndarray] = {}

    def features(self, config: Config) -> tuple[FeatureSet, FeatureSet]:
        """Training part with copies, and validation part."""
        folder = self.arguments.features
        # The copies of the recipe stay where they are.
        if config.features != self.recipe.features or config.augment not in (
            self.recipe.augment, dataclasses.replace(self.recipe.augment, views=1),
        ):  # fmt: skip
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

    def prepare(self, config: Config, probes: Overrides) -> tuple[FeatureSet, FeatureSet]:
        """Both parts as a variant wants them."""
        key = json.dumps(dataclasses.asdict(config.features) | dataclasses.asdict(config.augment))
        if key != self.key:
            self.parts, self.key, self.posteriors = self.features(config), key, {}
        training, validation = self.parts
        if "numbers" in probes:
            training, validation = other_numbers(training, validation, probes["numbers"])
        if "warp" in probes:
            training = warped(training, probes["warp"])
        if "fragments" in probes:
            training = with_fragments(training, probes["fragments"])
        return training, validation

    def soft(self, config: Config, teachers: list[Path], run: Path) -> np.ndarray:
        """What `soft_answers` gives, each teacher asked once."""
        plain = dataclasses.replace(config.teacher, weight=1.0, temperature=1.0)
        for teacher in teachers:
            if teacher not in self.posteriors:
                self.posteriors[teacher] = soft_answers(
                    *self.parts, run, dataclasses.replace(config, teacher=plain), TrainOptions(),
                    borrowed=[teacher],
                )  # fmt: skip
        mean = np.mean([self.posteriors[teacher] for teacher in teachers], axis=0)
        return scaled(mean, config.teacher.temperature).astype(np.float32)

    def measure(self, overrides: Overrides, seed: int) -> dict[str, float]:
        probes = {
            name.removeprefix("probe."): value
            for name, value in overrides.items()
            if name.startswith("probe.")
        }
        settings = {name: value for name, value in overrides.items() if "probe." not in name}
        config = load_config(locate.recipe("dense"), {**DROPOUT, **settings, "train.seed": seed})
        training, validation = self.prepare(config, probes)
        passes = probes.get("passes", self.arguments.passes)
        schedule = dataclasses.replace(
            config.train, epochs=max(1, passes // config.augment.views), least_steps=0
        )
        run = self.arguments.out / "run"
        if "average" in probes:
            model = averaged(training, config.model, schedule, probes["average"])
        else:
            soft = None
            if config.teacher.weight:
                teachers = self.arguments.teachers[: probes.get("teachers")]
                soft = self.soft(config, teachers, run)
            model = train(
                training, validation, run, config.model, schedule, soft=soft,
                options=TrainOptions(restart=True),
            ).model  # fmt: skip
        answers = np.asarray(model(validation.x, training=False)).argmax(axis=1)
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
    parser.add_argument(
        "--teachers", type=Path, nargs="+",
        default=[Path("runs/teacher-0"), Path("runs/teacher-1")],
    )  # fmt: skip
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
