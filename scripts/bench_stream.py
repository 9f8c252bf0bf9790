"""The benchmark's rows about long and live sound, against the clip predictor every 100 ms."""

import time
import wave
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from bench_common import Bench, Row, console, peak_memory, row, spread_out, wav_files

RATE_HZ = 16_000
MINUTES = 5
LIVE_BLOCK = RATE_HZ // 50
NAIVE_STEP = RATE_HZ // 10
# One clip after the other with a pause as long: more words than anybody says in a minute.
PAUSE_DB = -60.0


@cache
def speech(corpus: Path, minutes: int) -> np.ndarray:
    """(samples,) float32: clips from all over the corpus with pauses of noise."""
    from speechrec.audio import read_audio

    rng = np.random.default_rng(0)
    wanted = minutes * 60 * RATE_HZ
    sound = 10 ** (PAUSE_DB / 20) * rng.standard_normal(wanted, dtype=np.float32)
    paths = spread_out(wav_files(corpus), minutes * 30)
    for number in range(minutes * 30):
        clip = read_audio(paths[number % len(paths)], sample_rate_hz=RATE_HZ)[:RATE_HZ]
        start = number * 2 * RATE_HZ
        sound[start : start + len(clip)] += clip
    clipped: np.ndarray = np.clip(sound, -1, 1)
    return clipped


def detector_seconds(bench: Bench, clock: Callable[[], float], block: int) -> float:
    """Seconds of a detector over the sound in blocks."""
    from speechrec.recognizer import Recognizer
    from speechrec.stream import Detector

    sound = speech(bench.corpus, MINUTES)
    detector = Detector(Recognizer.load(bench.recogniser))
    started = clock()
    for start in range(0, len(sound), block):
        detector.push(sound[start : start + block])
    detector.finish()
    return clock() - started


def naive_seconds(bench: Bench, clock: Callable[[], float]) -> float:
    """Seconds of the loop everybody writes first: the last second to the clip predictor, again."""
    from speechrec.recognizer import Recognizer

    sound = speech(bench.corpus, MINUTES)
    recognizer = Recognizer.load(bench.recogniser)
    started = clock()
    for stop in range(RATE_HZ, len(sound) + 1, NAIVE_STEP):
        recognizer.predict(sound[stop - RATE_HZ : stop])
    return clock() - started


def file_row(bench: Bench) -> Row:
    def factor(seconds: float) -> float:
        return MINUTES * 60 / seconds

    ours, naive = bench.alternate(
        lambda: factor(detector_seconds(bench, time.perf_counter, RATE_HZ)),
        lambda: factor(naive_seconds(bench, time.perf_counter)),
    )
    return row(
        "stream, times real time", "times", {"ours": ours, "naive": naive},
        "200 times or more", lambda ours, _: ours >= 200,
        f"{MINUTES} minutes with a word every two seconds, in memory; theirs is "
        "Recognizer.predict on the last second every 100 ms",
    )  # fmt: skip


def live_row(bench: Bench) -> Row:
    def share(seconds: float) -> float:
        return 100 * seconds / (MINUTES * 60)

    ours, naive = bench.alternate(
        lambda: share(detector_seconds(bench, time.process_time, LIVE_BLOCK)),
        lambda: share(naive_seconds(bench, time.process_time)),
    )
    return row(
        "stream, one live", "% core", {"ours": ours, "naive": naive},
        "2 % or less", lambda ours, _: ours <= 2,
        "processor time of the same sound in blocks of 20 ms, as they come from a microphone",
    )  # fmt: skip


def memory_row(bench: Bench) -> Row:
    def measure(minutes: int) -> float:
        path = bench.work / f"{minutes}.wav"
        if not path.exists():
            write_wav(path, repeated(speech(bench.corpus, MINUTES), minutes))
        command = [*console(), "predict", str(path), "--model", str(bench.recogniser)]
        return peak_memory(command)[1]

    hour, few = bench.alternate(lambda: measure(60), lambda: measure(MINUTES))
    return row(
        "stream memory, an hour against minutes", "MB", {"an hour": hour, "minutes": few},
        "within 10 %", lambda _, ratio: abs(ratio - 1) <= 0.1,
        f"speechrec predict on files of 60 and {MINUTES} minutes; largest resident set",
    )  # fmt: skip


def repeated(sound: np.ndarray, minutes: int) -> Iterator[np.ndarray]:
    for _ in range(minutes // MINUTES):
        yield sound


def write_wav(path: Path, pieces: Iterator[np.ndarray]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        for piece in pieces:
            file.writeframes((piece * 32767).astype("<i2").tobytes())


STREAM_ROWS: dict[str, Callable[[Bench], Row]] = {
    "stream": file_row, "live": live_row, "stream-memory": memory_row,
}  # fmt: skip
