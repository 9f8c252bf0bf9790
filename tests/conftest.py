"""A small corpus of made-up words, and what the stages make of it, once for all tests."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from speechrec import mel_energy, placing, wav
from speechrec.compiled import native
from speechrec.config_toml import config_from_dict
from speechrec.extract import extract
from speechrec.run import RunResult, make_run
from speechrec.train_config import Config, ModelConfig

RATE = 16_000
# Each "word" is a gliding tone: from and to so many hertz.
GLIDES = {"rise": (300, 2400), "fall": (2400, 300), "high": (3000, 3200), "low": (200, 260)}
# A speaker is a factor on all frequencies.
SPEAKERS = {f"s{number:02d}": 0.85 + 0.02 * number for number in range(16)}


def speak(
    word: str, *, speaker: float = 1.0, seconds: float = 1.0, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """One utterance of a made-up word with a little noise; (samples,) float32 at 16 kHz."""
    start, stop = GLIDES[word]
    count = round(seconds * RATE)
    t = np.arange(count) / RATE
    hz = speaker * np.linspace(start, stop, count)
    tone = np.sin(2 * np.pi * np.cumsum(hz) / RATE + rng.uniform(0, 6))
    envelope = np.exp(-(((t - seconds / 2) / 0.18) ** 2))
    wave = 0.5 * rng.uniform(0.4, 1) * envelope * tone + 0.003 * rng.standard_normal(count)
    return wave.astype(np.float32)


@pytest.fixture(scope="module", params=["compiled", "numpy"])
def loops(request: pytest.FixtureRequest) -> Iterator[str]:
    """Tests that use this run twice: with the compiled loops, and with numpy in their place."""
    if request.param == "compiled" and native is None:
        pytest.skip("installed without a compiler")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "numpy":
            for module in (mel_energy, placing, wav):
                patch.setattr(module, "native", None)
        yield request.param


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def make_corpus() -> Callable[..., Path]:
    """Write ``<word>/<speaker>_nohash_<n>.wav`` files below a folder and return it."""

    def make(
        folder: Path, *, words: tuple[str, ...] = tuple(GLIDES), speakers: int = 16, takes: int = 3
    ) -> Path:
        rng = np.random.default_rng(1)
        for word in words:
            (folder / word).mkdir(parents=True, exist_ok=True)
            for name, factor in list(SPEAKERS.items())[:speakers]:
                for take in range(takes):
                    path = folder / word / f"{name}_nohash_{take}.wav"
                    soundfile.write(path, speak(word, speaker=factor, rng=rng), RATE)
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_config() -> Config:
    """A network small enough to train in a second."""
    return config_from_dict(
        {
            "data": {
                "words": ["rise", "fall", "high"],
                "validation_percent": 25,
                "testing_percent": 25,
            },
            "model": {"kind": "dense", "widths": [32, 16], "dropout": [0.3, 0.2]},
            "train": {"epochs": 12, "batch_size": 16, "learning_rate": 3e-3, "seed": 1},
            # Scores are then those of Keras; what calibration does to them has tests of its own.
            "export": {"calibrate": False},
        }
    )  # fmt: skip


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, make_corpus: Callable[..., Path]) -> Path:
    """16 speakers, four words of which three are keywords, and background noise. Do not change."""
    folder = make_corpus(tmp_path_factory.mktemp("data") / "corpus")
    noise = folder / "_background_noise_"
    noise.mkdir()
    rng = np.random.default_rng(2)
    for name in ("hum", "hiss"):
        soundfile.write(noise / f"{name}.wav", 0.1 * rng.standard_normal(20 * RATE), RATE)
    return folder


@pytest.fixture(scope="session")
def feature_store(
    tmp_path_factory: pytest.TempPathFactory, corpus: Path, tiny_config: Config
) -> Path:
    """The corpus, extracted. Do not change."""
    folder = tmp_path_factory.mktemp("stores") / "features"
    extract(corpus, folder, tiny_config)
    return folder


@pytest.fixture(scope="session")
def run(
    tmp_path_factory: pytest.TempPathFactory, feature_store: Path, tiny_config: Config
) -> RunResult:
    """A trained run; its folder is ``run.recogniser.parent``. Do not change."""
    return make_run(feature_store, tmp_path_factory.mktemp("runs") / "tiny", tiny_config)


@pytest.fixture(scope="session")
def recogniser_file(run: RunResult) -> Path:
    return run.recogniser


@pytest.fixture(scope="session")
def cnn_run(
    tmp_path_factory: pytest.TempPathFactory, feature_store: Path, tiny_config: Config
) -> RunResult:
    """A trained convolutional run, as small as can be. Do not change."""
    model = ModelConfig(kind="cnn", filters=(3, 4), widths=(8,), dropout=(0.1, 0.1, 0.2))
    schedule = dataclasses.replace(tiny_config.train, epochs=3)
    config = dataclasses.replace(tiny_config, model=model, train=schedule)
    return make_run(feature_store, tmp_path_factory.mktemp("runs") / "pictures", config)


@pytest.fixture(scope="session")
def stream_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six words in a row with pauses, twelve seconds, at 16 kHz. Do not change."""
    rng = np.random.default_rng(11)
    words = ["rise", "fall", "high", "rise", "fall", "rise"]
    spoken = [speak(word, speaker=1.0, seconds=1.0, rng=rng) for word in words]
    pause = 0.003 * rng.standard_normal(RATE // 2)
    wave = np.concatenate([np.concatenate((pause, word, pause)) for word in spoken])
    path = tmp_path_factory.mktemp("stream") / "stream.wav"
    soundfile.write(path, wave, RATE, subtype="PCM_16")
    return path
