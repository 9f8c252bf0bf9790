"""What the benchmark's rows share: figures, ratios, processes and their memory, the machine."""

import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

# What we start gets the user's own environment, but compiles its modules once, as installed ones
# are; what runs in this process gets one thread.
USERS_ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
PACKAGES = (
    "speechrec", "numpy", "scipy", "soundfile", "soxr", "ai-edge-litert", "librosa", "numba",
    "keras", "tensorflow",
)  # fmt: skip
SAMPLE_S = 0.02
# Runs a command and prints its peak resident set in KB. A process inherits the peak of the one that
# starts it, so this must not be the benchmark itself with librosa inside.
LAUNCHER = (
    "import os, subprocess, sys; "
    "process = subprocess.Popen(sys.argv[1:], stdout=2); "
    "_, status, usage = os.wait4(process.pid, 0); "
    "print(usage.ru_maxrss); sys.exit(os.waitstatus_to_exitcode(status))"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result; ``ratio`` and ``spread`` are None where nothing is compared."""

    name: str
    unit: str
    ours: float
    theirs: float | None
    ratio: float | None
    spread: tuple[float, float] | None
    goal: str
    reached: bool
    note: str
    runs: dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Bench:
    """What the rows share: files of real length, sizes, and the tools under test."""

    work: Path
    corpus: Path
    small_corpus: Path
    run: Path
    repeat: int
    feature_files: int
    predict_files: int

    @property
    def recogniser(self) -> Path:
        return next(self.run.glob("*.speechrec"))

    def alternate(self, *sides: Callable[[], float]) -> list[list[float]]:
        """Each side's figures: once unmeasured, then ``repeat`` rounds of one after the other."""
        for side in sides:
            side()
        rounds = [[side() for side in sides] for _ in range(self.repeat)]
        return [list(figures) for figures in zip(*rounds, strict=True)]


def row(
    name: str,
    unit: str,
    runs: dict[str, list[float]],
    goal: str,
    met: Callable[[float, float], bool],
    note: str = "",
) -> Row:
    """Medians and ratios of one or two named sides; ``met`` judges (ours, ratio)."""
    ours, *others = runs.values()
    middle = statistics.median(ours)
    if not others:
        return Row(name, unit, middle, None, None, None, goal, met(middle, 0.0), note, runs)
    theirs = statistics.median(others[0])
    ratio = better(middle, theirs, unit)
    each = [better(a, b, unit) for a, b in zip(ours, others[0], strict=True)]
    spread = min(each), max(each)
    return Row(name, unit, middle, theirs, ratio, spread, goal, met(middle, ratio), note, runs)


def better(ours: float, theirs: float, unit: str) -> float:
    """How many times faster in seconds; how many times as much of anything else."""
    return theirs / ours if unit == "s" else ours / theirs


def call(command: Sequence[str], *, environment: dict[str, str] | None = None) -> tuple[float, str]:
    """Seconds and standard output of a process that must succeed."""
    started = time.perf_counter()
    done = subprocess.run(
        command, env=environment or USERS_ENVIRONMENT, capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return seconds, done.stdout


def console() -> list[str]:
    """The command as users start it, or else as a module."""
    script = Path(sys.executable).with_name("speechrec")
    return [str(script)] if script.exists() else [sys.executable, "-m", "speechrec"]


def peak_memory(command: Sequence[str]) -> tuple[float, float]:
    """Highest resident set in MB: summed over the tree as sampled, and of its largest process."""
    launcher = psutil.Popen(
        [sys.executable, "-c", LAUNCHER, *command],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=USERS_ENVIRONMENT,
    )  # fmt: skip
    highest = 0
    while launcher.poll() is None:
        highest = max(highest, resident_bytes(launcher))
        time.sleep(SAMPLE_S)
    if launcher.returncode:
        sys.exit(f"{' '.join(command)} ended with {launcher.returncode}")
    return highest / 2**20, int(launcher.stdout.read()) / 2**10


def resident_bytes(launcher: psutil.Popen) -> int:
    total = 0
    try:
        for process in launcher.children(recursive=True):
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        # Ended between being listed and being asked: what was counted so far is no peak.
        return 0
    return total


def wav_files(corpus: Path) -> list[str]:
    """The recordings in word folders, noise left aside, in a fixed order."""
    return sorted(map(str, corpus.glob("[!_.]*/*.wav")))


def spread_out(paths: Sequence[str], count: int) -> list[str]:
    """``count`` of the paths at even distances, so that every word is among them."""
    count = min(count, len(paths))
    return [paths[index * len(paths) // count] for index in range(count)]


def link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def machine() -> dict[str, Any]:
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "os": platform.platform(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def text(result: Row) -> str:
    def figure(value: float | None) -> str:
        if value is None:
            return "-"
        return f"{value:,.{3 if value < 10 else 1 if value < 100 else 0}f}"

    ratio = "-"
    if result.ratio is not None and result.spread is not None:
        ratio = f"{result.ratio:.2f} ({result.spread[0]:.2f} to {result.spread[1]:.2f})"
    reached = "yes" if result.reached else "no"
    cells = f"{figure(result.ours):>8} {figure(result.theirs):>8} {result.unit:8} {ratio:24}"
    return f"{result.name:40} {cells} {result.goal:30} {reached}"
