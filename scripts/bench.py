"""Measure speechrec against librosa and Keras on the same files, on this machine, in one run.

    python scripts/bench.py --out bench.json            # everything: 20,000 clips, five repeats
    python scripts/bench.py --only features predict --repeat 9
    python scripts/bench.py --quick                     # tiny, only to see that it works

Each comparison runs both sides once unmeasured, which warms the disk and librosa's compiler, then
in turn, so that a change of the machine's speed meets both. The ratio is that of the medians; the
smallest and largest ratio of a single repetition stand beside it. Let nothing else run meanwhile.
Temporary files go where TMPDIR says: on the recordings' own disk they are hard links.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from bench_common import (
    ONE_THREAD,
    Bench,
    Row,
    call,
    console,
    link,
    machine,
    peak_memory,
    row,
    spread_out,
    text,
    wav_files,
)
from bench_stream import STREAM_ROWS

from speechrec.audio import read_audio
from speechrec.bundle import read_bundle
from speechrec.calibrate import scaled
from speechrec.config import FeatureConfig
from speechrec.files import write_json
from speechrec.placing import fit_clip

# Neither silence nor a limit on unknown words: every file is one clip, no clip is without a file.
EVERY_FILE = ("--set", "data.silence_percent=0", "--set", "data.unknown_ratio=0")
KERAS_SCRIPT = """\
import json
import sys

import keras
import librosa
import numpy as np

model = keras.models.load_model(sys.argv[1])
wave, rate = librosa.load(sys.argv[2], sr=None)
mel = librosa.feature.melspectrogram(
    y=wave, sr=rate, n_fft=1024, hop_length=480, n_mels=32, fmin=60, fmax=7800, center=False
)
vector = np.log(mel + 1e-6).reshape(1, -1)
print(json.dumps(model.predict(vector, verbose=0)[0].tolist()))
"""


# Sides


def librosa_features(paths: Sequence[str]) -> float:
    """Seconds for the usual loop: load, mel spectrogram, logarithm, file by file."""
    import librosa
    import numpy as np

    started = time.perf_counter()
    for path in paths:
        samples, rate = librosa.load(path, sr=None)
        mel = librosa.feature.melspectrogram(
            y=samples, sr=rate, n_fft=1024, hop_length=480, n_mels=32,
            fmin=60, fmax=7800, center=False,
        )  # fmt: skip
        np.log(mel + 1e-6)
    return time.perf_counter() - started


def our_features(paths: Sequence[str]) -> float:
    """Seconds for the same with our front end."""
    import numpy as np

    from speechrec.audio import read_audio
    from speechrec.placing import fit_clip
    from speechrec.shards import front_end_of

    config = FeatureConfig()
    started = time.perf_counter()
    front_end = front_end_of(config)
    for path in paths:
        samples = read_audio(path, sample_rate_hz=config.sample_rate_hz)
        front_end(fit_clip(samples, config)[np.newaxis])
    return time.perf_counter() - started


def extract_command(corpus: Path, out: Path, workers: int) -> list[str]:
    return [
        sys.executable, "-m", "speechrec", "extract", str(corpus), "--out", str(out),
        "--workers", str(workers), *EVERY_FILE,
    ]  # fmt: skip


def extract_seconds(bench: Bench, workers: int) -> float:
    """A whole extraction from nothing; ends the benchmark if a file was left out."""
    out = bench.work / "store"
    shutil.rmtree(out, ignore_errors=True)
    seconds, _ = call(extract_command(bench.corpus, out, workers))
    check_complete(bench.corpus, out)
    return seconds


def check_complete(corpus: Path, store: Path) -> None:
    """Every file became a vector, or was read and refused for a stated reason."""
    info = json.loads((store / "features.json").read_text())
    clips = sum(label["clips"] for part in info["parts"].values() for label in part.values())
    skipped, files = sum(info["skipped"].values()), len(wav_files(corpus))
    if clips + skipped != files:
        sys.exit(f"expected {files} files extracted, got {clips} clips and {skipped} skipped")


# Rows


def features_row(bench: Bench) -> Row:
    paths = spread_out(wav_files(bench.corpus), bench.feature_files)
    ours, theirs = bench.alternate(
        lambda: len(paths) / our_features(paths), lambda: len(paths) / librosa_features(paths)
    )
    return row(
        "reading and features, one core", "clips/s", {"ours": ours, "librosa": theirs},
        "5 times or more", lambda _, ratio: ratio >= 5,
        f"{len(paths)} files; ours pads those under a second to a second, librosa's loop does not",
    )  # fmt: skip


def extract_row(bench: Bench) -> Row:
    paths = wav_files(bench.corpus)
    ours, theirs = bench.alternate(
        lambda: extract_seconds(bench, 2), lambda: librosa_features(paths)
    )
    return row(
        "extract with 2 workers, whole process", "s", {"ours": ours, "librosa": theirs},
        "8 times or more", lambda _, ratio: ratio >= 8,
        f"{len(paths)} files; ours with start, checks, hashes, writing; data.silence_percent and "
        "data.unknown_ratio are 0, so that both sides read the same files; librosa's loop warm, on "
        "one core, without its import",
    )  # fmt: skip


def workers_row(bench: Bench) -> Row:
    two, one = bench.alternate(lambda: extract_seconds(bench, 2), lambda: extract_seconds(bench, 1))
    return row(
        "extract, 2 workers against 1", "s", {"2 workers": two, "1 worker": one},
        "1.7 times or more", lambda _, ratio: ratio >= 1.7, f"{len(wav_files(bench.corpus))} files",
    )  # fmt: skip


def memory_row(bench: Bench) -> Row:
    largest: dict[Path, list[float]] = {bench.corpus: [], bench.small_corpus: []}

    def measure(corpus: Path) -> float:
        out = bench.work / "store"
        shutil.rmtree(out, ignore_errors=True)
        tree, process = peak_memory(extract_command(corpus, out, 2))
        largest[corpus].append(process)
        return tree

    many, few = bench.alternate(lambda: measure(bench.corpus), lambda: measure(bench.small_corpus))
    middles = " against ".join(f"{statistics.median(each):.0f} MB" for each in largest.values())
    sizes = [len(wav_files(corpus)) for corpus in largest]
    return row(
        "extract memory, many files against few", "MB", {"many": many, "few": few},
        "within 10 %", lambda _, ratio: abs(ratio - 1) <= 0.1,
        f"{sizes[0]} against {sizes[1]} files, 2 workers; resident sets of all processes summed, "
        f"shared pages counted in each; largest process {middles}",
    )  # fmt: skip


def predict_row(bench: Bench) -> Row:
    wav = one_second(wav_files(bench.corpus)[0], bench.work / "one.wav")
    script = bench.work / "keras_predict.py"
    script.write_text(KERAS_SCRIPT)
    predict = [*console(), "predict", wav, "--model", str(bench.recogniser)]
    keras = [sys.executable, str(script), str(bench.run / "model.keras"), wav]
    check_same_answer(bench.recogniser, call([*predict, "--json"])[1], call(keras)[1])
    ours, theirs = bench.alternate(lambda: call(predict)[0], lambda: call(keras)[0])
    return row(
        "predict one file, whole process", "s", {"ours": ours, "keras": theirs},
        "12 times or more, under 0.5 s", lambda ours, ratio: ratio >= 12 and ours < 0.5,
        "the script imports keras and librosa and loads model.keras; both give the same posteriors "
        "but for calibration",
    )  # fmt: skip


def check_same_answer(recogniser: Path, ours: str, theirs: str) -> None:
    """Ours are calibrated, which a Keras model is not."""
    import numpy as np

    temperature = read_bundle(recogniser).temperature
    (calibrated,) = scaled(np.array([json.loads(theirs)]), temperature)
    mine, others = sorted(json.loads(ours)["scores"].values()), sorted(calibrated)
    if max(abs(a - b) for a, b in zip(mine, others, strict=True)) > 1e-3:
        sys.exit(f"the two sides of predict do not answer the same: {mine} and {others}")


def folder_row(bench: Bench) -> Row:
    folder = bench.work / "to_predict"
    paths = spread_out(wav_files(bench.corpus), bench.predict_files)
    for number, path in enumerate(paths):
        link(Path(path), folder / f"{number:05d}.wav")
    command = [*console(), "predict", str(folder), "--model", str(bench.recogniser)]
    (ours,) = bench.alternate(lambda: len(paths) / call(command)[0])
    return row(
        "predict a folder, whole process", "files/s", {"ours": ours},
        "500 files/s or more", lambda ours, _: ours >= 500, f"{len(paths)} files in one call",
    )  # fmt: skip


def help_row(bench: Bench) -> Row:
    (ours,) = bench.alternate(lambda: call([*console(), "--help"])[0])
    return row("--help", "s", {"ours": ours}, "under 0.25 s", lambda ours, _: ours < 0.25)


ROWS: dict[str, Callable[[Bench], Row]] = {
    "features": features_row, "extract": extract_row, "workers": workers_row,
    "memory": memory_row, "predict": predict_row, "folder": folder_row, "help": help_row,
    **STREAM_ROWS,
}  # fmt: skip


# Material


def one_second(source: str, target: Path) -> str:
    """A second of sound with its energy in the middle, which both sides take as it is.

    Half a second of a recording and its mirror image: only our side would move the word.
    """
    import numpy as np

    config = FeatureConfig()
    sound = fit_clip(read_audio(source, sample_rate_hz=config.sample_rate_hz), config)
    half = sound[: config.clip_samples // 2]
    with wave.open(str(target), "wb") as file:
        file.setparams((1, 2, config.sample_rate_hz, 0, "NONE", ""))
        file.writeframes((np.concatenate((half, half[::-1])) * 32767).astype("<i2").tobytes())
    return str(target)


def subset(data: Path, folder: Path, count: int) -> Path:
    """A corpus of ``count`` recordings: word folders only, no lists of parts, no noise."""
    for path in map(Path, spread_out(wav_files(data), count)):
        link(path, folder / path.parent.name / path.name)
    return folder


def synthetic(folder: Path, count: int, *, words: int = 20, takes: int = 5) -> Path:
    """Noise bursts of a second, laid out like Speech Commands, with many speakers."""
    import numpy as np

    rng = np.random.default_rng(0)
    rate = FeatureConfig().sample_rate_hz
    envelope = 8000 * np.hanning(rate)
    for index in range(count):
        speaker, take = divmod(index // words, takes)
        path = folder / f"word{index % words:02d}" / f"{speaker:08x}_nohash_{take}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = (envelope * rng.uniform(-1, 1, rate)).astype("<i2")
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
    return folder


def trained_run(run: Path, work: Path, corpus: Path) -> Path:
    """The given run folder, or else one trained for an epoch on the corpus."""
    if (run / "model.keras").exists() and any(run.glob("*.speechrec")):
        return run
    store, made = work / "training_store", work / "runs" / "bench"
    command = [sys.executable, "-m", "speechrec"]
    call(extract_command(corpus, store, 2))
    call(
        [
            *command,
            "train",
            "--config",
            "configs/dense.toml",
            "--features",
            str(store),
            "--out",
            str(made),
            "--epochs",
            "1",
        ]
    )
    return made


def prepare(arguments: argparse.Namespace, work: Path) -> Bench:
    data = arguments.data or Path("data/speech_commands")
    if arguments.data is None and not data.is_dir():
        data = synthetic(work / "synthetic", arguments.clips)
    corpus = subset(data, work / "many", arguments.clips)
    found = len(wav_files(corpus))
    if not found:
        sys.exit(f"{data}: expected WORD/*.wav recordings, found none")
    print(f"recordings  {found} of {data}")
    small = subset(data, work / "few", max(1, found // 10))
    run = arguments.run
    if {"predict", "folder", *STREAM_ROWS} & set(arguments.only):
        run = trained_run(run, work, corpus)
        print(f"recogniser  {run if run == arguments.run else 'trained here for an epoch'}")
    repeat = arguments.repeat
    return Bench(work, corpus, small, run, repeat, arguments.feature_files, arguments.predict_files)


# Report


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), help="rows to run")
    parser.add_argument("--data", type=Path, help="word folders; else data/speech_commands or made")
    parser.add_argument("--run", type=Path, default=Path("runs/default"), help="a trained run")
    parser.add_argument("--clips", type=int, default=20_000, help="recordings for extract")
    parser.add_argument("--feature-files", type=int, default=2000, help="for the row 'features'")
    parser.add_argument("--predict-files", type=int, default=1000, help="for the row 'folder'")
    parser.add_argument("--repeat", type=int, default=5, help="measured rounds of each row")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, only to see that it runs")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON here")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.clips, arguments.feature_files, arguments.predict_files = 400, 100, 50
        arguments.repeat = 2
    return arguments


def main() -> None:
    arguments = parse()
    os.environ.update(ONE_THREAD)
    about = machine()
    for name, value in about.items():
        print(f"{name:11} {value}")
    if about["load"] > 0.5:
        print("warning: the machine is busy; the figures below are not worth keeping")
    with tempfile.TemporaryDirectory(prefix="speechrec-bench-") as folder:
        bench = prepare(arguments, Path(folder))
        results = []
        print(f"{'':40} {'ours':>8} {'theirs':>8} {'':8} {'ratio (spread)':24} {'goal':30} reached")
        for name in arguments.only:
            results.append(ROWS[name](bench))
            print(text(results[-1]), flush=True)
    print(*(f"{result.name}: {result.note}" for result in results if result.note), sep="\n")
    if arguments.out is not None:
        sizes = {name: getattr(arguments, name) for name in ("clips", "repeat", "quick")}
        write_json(
            arguments.out, {"machine": about, **sizes, "rows": [asdict(each) for each in results]}
        )


if __name__ == "__main__":
    main()
