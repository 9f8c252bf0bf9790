"""What is compiled gives what numpy gives in its place, and refuses what does not fit."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from speechrec import mel_energy, placing, shards, wav
from speechrec.audio import decode
from speechrec.compiled import native
from speechrec.config import FeatureConfig
from speechrec.dataset import plan_dataset
from speechrec.extract import extract
from speechrec.extremes import extremes_of
from speechrec.features import librosa_filterbank
from speechrec.shards import Job, front_end_of
from speechrec.train_config import Config

pytestmark = pytest.mark.skipif(native is None, reason="installed without a compiler")

CONFIG = FeatureConfig()
BLOCK = np.zeros(160, np.float32)


def without(patch: pytest.MonkeyPatch, *modules: Any) -> None:
    """Put numpy in the place of what is compiled."""
    for module in modules:
        patch.setattr(module, "native", None)


@pytest.mark.parametrize("window_ms", [8, 16, 32, 64, 128])
@pytest.mark.parametrize("frames", [1, 7, 8, 9, 32])
def test_mel_energies_are_numpys(
    window_ms: int, frames: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logarithms of energies agree within 1e-5, of what is soft beside what is loud too."""
    config = FeatureConfig(window_ms=window_ms, hop_ms=10)
    t = np.arange(config.sample_rate_hz) / config.sample_rate_hz
    hiss = 3e-5 * rng.standard_normal(len(t))
    wave = (0.9 * np.sin(2 * np.pi * 200 * t) + hiss).astype(np.float32)
    filterbank = librosa_filterbank(config)
    assert config.window_samples.bit_count() == 1
    ours, numpys = (np.full((config.bands, frames), np.nan, np.float32) for _ in range(2))
    mel_energy.mel_energies(config, filterbank)(wave, ours)
    without(monkeypatch, mel_energy)
    mel_energy.mel_energies(config, filterbank)(wave, numpys)
    np.testing.assert_allclose(np.log(ours + 1e-6), np.log(numpys + 1e-6), rtol=0, atol=1e-5)


@pytest.mark.parametrize("window_ms", [8, 16, 32, 64, 128])
def test_every_frequency_is_in_its_place(window_ms: int, rng: np.random.Generator) -> None:
    """Bin by bin the energies are those of numpy's FFT, 0 Hz and half the sample rate included."""
    config = FeatureConfig(window_ms=window_ms, hop_ms=10)
    wave = (0.3 + rng.standard_normal(config.sample_rate_hz)).astype(np.float32)
    bins, window = config.bins, config.window_samples
    out = np.empty((bins, 1), np.float32)
    mel_energy.mel_energies(config, np.eye(bins, dtype=np.float32))(wave, out)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    expected = np.abs(np.fft.rfft(wave[:window] * hann)) ** 2
    np.testing.assert_allclose(out[:, 0], expected, rtol=1e-5, atol=1e-9)


def test_a_band_without_weights_has_no_energy(rng: np.random.Generator) -> None:
    """Bands narrower than a bin are empty, and the others keep their numbers."""
    filterbank = librosa_filterbank(CONFIG)
    filterbank[[0, 7, 31]] = 0
    wave = rng.standard_normal(CONFIG.clip_samples).astype(np.float32)
    whole, holed = (np.empty((CONFIG.bands, CONFIG.frames), np.float32) for _ in range(2))
    mel_energy.mel_energies(CONFIG, librosa_filterbank(CONFIG))(wave, whole)
    mel_energy.mel_energies(CONFIG, filterbank)(wave, holed)
    whole[[0, 7, 31]] = 0
    np.testing.assert_array_equal(holed, whole)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 17, 31])
def test_a_frame_does_not_depend_on_those_beside_it(count: int, rng: np.random.Generator) -> None:
    """The first frames of a wave are the same to the last bit however many are asked for."""
    wave = rng.standard_normal(CONFIG.clip_samples).astype(np.float32)
    fill = mel_energy.mel_energies(CONFIG, librosa_filterbank(CONFIG))
    whole = np.empty((CONFIG.bands, CONFIG.frames), np.float32)
    part = np.empty((CONFIG.bands, count), np.float32)
    fill(wave, whole)
    fill(wave[: CONFIG.window_samples + (count - 1) * CONFIG.hop_samples], part)
    np.testing.assert_array_equal(part, whole[:, :count])


def test_a_window_that_is_no_power_of_two_goes_another_way() -> None:
    """Settings that the compiled transform cannot do are done by numpy."""
    config = FeatureConfig(window_ms=60)
    wave = np.zeros(config.clip_samples, np.float32)
    out = np.full((config.bands, config.frames), np.nan, np.float32)
    mel_energy.mel_energies(config, librosa_filterbank(config))(wave, out)
    np.testing.assert_array_equal(out, 0)


def test_a_wave_too_short_for_its_frames_is_refused() -> None:
    """Memory beyond a wave is never read."""
    fill = mel_energy.mel_energies(CONFIG, librosa_filterbank(CONFIG))
    needed = CONFIG.window_samples + 31 * CONFIG.hop_samples
    out = np.empty((CONFIG.bands, CONFIG.frames), np.float32)
    fill(np.zeros(needed, np.float32), out)
    with pytest.raises(ValueError, match="fit each other"):
        fill(np.zeros(needed - 1, np.float32), out)


@pytest.mark.parametrize("samples", [160, 8000, 16_000, 16_159, 40_001])
@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_block_energies_are_numpys(
    samples: int, offset: float, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Energies of blocks agree to six digits, on a constant offset too."""
    wave = (offset + 0.1 * rng.standard_normal(samples)).astype(np.float32)
    ours, background = placing.excess_energy(wave, CONFIG)
    without(monkeypatch, placing)
    numpys, other = placing.excess_energy(wave, CONFIG)
    np.testing.assert_allclose(ours, numpys, rtol=1e-4, atol=1e-5)
    assert background == pytest.approx(other, rel=1e-5)


def test_a_stopped_extraction_does_not_mix_the_two(
    make_corpus: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards that numpy made are made anew: the last bit of a clip tells repeated sounds."""
    corpus = make_corpus(tmp_path / "corpus", speakers=4, takes=1)
    clips = tuple(plan_dataset(corpus, Config().data).clips())
    job = Job(tmp_path, 0, clips, CONFIG, "float32")
    statuses = [None] * len(clips)
    compiled = shards._shard_key(job, statuses)
    without(monkeypatch, shards)
    assert shards._shard_key(job, statuses) != compiled


SAMPLES = {
    "speech": np.linspace(-20_000, 20_000, 12_345).astype(np.int16),
    "one": np.array([-7], np.int16),
    "full scale": np.array([-32_768, 32_767, 32_441, 32_440, -32_441, -32_440, 0], np.int16),
    "positive": np.array([5, 6, 7] * 11, np.int16),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_16_bit_sound_is_numpys(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples, extremes and how many are clipped are exactly those that numpy finds."""
    buffer = io.BytesIO()
    soundfile.write(buffer, SAMPLES[name], 16_000, format="WAV", subtype="PCM_16")
    ours = decode(buffer.getvalue())
    without(monkeypatch, wav)
    numpys = decode(buffer.getvalue())
    np.testing.assert_array_equal(ours.samples, numpys.samples)
    np.testing.assert_array_equal(ours.samples[0], SAMPLES[name] / 32_768)
    assert (ours.rate_hz, ours.integer) == (numpys.rate_hz, numpys.integer)
    assert ours.extremes == extremes_of(numpys.samples[0])
    assert numpys.extremes is None


def test_a_store_is_the_same_without_a_compiler(
    make_corpus: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same clips, and features within 1e-4."""
    corpus = make_corpus(tmp_path / "corpus", speakers=8, takes=1)
    extract(corpus, tmp_path / "compiled", Config())
    front_end_of.cache_clear()
    without(monkeypatch, mel_energy, placing, wav, sys.modules["speechrec.extract"])
    extract(corpus, tmp_path / "numpy", Config())
    front_end_of.cache_clear()
    stores = [tmp_path / name for name in ("compiled", "numpy")]
    rows = [(store / "clips.jsonl").read_bytes() for store in stores]
    assert rows[0] == rows[1]
    vectors = [np.load(store / "shard-00000.npy") for store in stores]
    np.testing.assert_allclose(vectors[0], vectors[1], rtol=0, atol=1e-4)
    infos = [json.loads((store / "features.json").read_text()) for store in stores]
    assert [info["compiled"] for info in infos] == [True, False]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("decode_16_bit", (b"12345", 0, 1, np.zeros(3, np.float32))),
        ("decode_16_bit", (b"123456", 1, 1, np.zeros(3, np.float32))),
        ("decode_16_bit", (b"123456", -2, 1, np.zeros(3, np.float32))),
        ("decode_16_bit", (b"123456", 8, 1, np.zeros(3, np.float32))),
        ("decode_16_bit", (b"", 0, 1, np.zeros(0, np.float32))),
        ("decode_16_bit", (b"123456", 0, -(1 << 31), np.zeros(3, np.float32))),
        ("excess_energy", (BLOCK, 160, np.zeros(2, np.float32), np.zeros(2, np.float32))),
        ("excess_energy", (BLOCK, 6, np.zeros(2, np.float32), np.zeros(2, np.float32))),
        ("excess_energy", (BLOCK, 0, np.zeros(2, np.float32), np.zeros(2, np.float32))),
        ("excess_energy", (BLOCK, 4, np.zeros(0, np.float32), np.zeros(0, np.float32))),
        ("excess_energy", (BLOCK, 4, np.zeros(3, np.float32), np.zeros(4, np.float32))),
        ("excess_energy", (BLOCK[:0], 4, np.zeros(1, np.float32), np.zeros(1, np.float32))),
    ],
)
def test_what_does_not_fit_is_refused(name: str, arguments: tuple[Any, ...]) -> None:
    """Nothing is read or written beyond what was given."""
    with pytest.raises(ValueError, match="expected"):
        getattr(native, name)(*arguments)


def arguments_of_mel_energies() -> list[Any]:
    """What the compiled loop is called with for a clip, with just the samples it needs."""
    given = list[Any]()
    spy = SimpleNamespace(mel_energies=lambda *arguments: given.extend(arguments))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mel_energy, "native", spy)
        fill = mel_energy.mel_energies(CONFIG, librosa_filterbank(CONFIG))
    wave = np.zeros(CONFIG.window_samples + 31 * CONFIG.hop_samples, np.float32)
    fill(wave, np.empty((CONFIG.bands, CONFIG.frames), np.float32))
    return given


def call_mel_energies(arguments: list[Any]) -> None:
    assert native is not None
    native.mel_energies(*arguments)


@pytest.mark.parametrize("which", range(9))
def test_a_buffer_that_does_not_fit_is_refused(which: int) -> None:
    """All buffers are measured before they are used."""
    given = arguments_of_mel_energies()
    call_mel_energies(given)
    given[which] = given[which] + 1 if which == 1 else given[which].ravel()[:-1].copy()
    with pytest.raises(ValueError, match="fit each other"):
        call_mel_energies(given)


@pytest.mark.parametrize("hop", [-1, 1 << 62, (1 << 64) // 31 + 1 - (1 << 60), (1 << 63) - 1])
def test_no_hop_leads_beyond_the_wave(hop: int) -> None:
    """However large it is, and whatever its product with the frames is cut to."""
    given = arguments_of_mel_energies()
    given[1] = hop
    with pytest.raises(ValueError, match="fit each other"):
        call_mel_energies(given)


@pytest.mark.parametrize("which", [0, 2, 3, 4, 5, 6, 8])
def test_a_buffer_at_an_odd_place_is_refused(which: int) -> None:
    """Numbers are read where numbers of their size may stand."""
    given = arguments_of_mel_energies()
    content = given[which].tobytes()
    odd = np.zeros(len(content) + 17, np.uint8)
    start = 1 + -odd.ctypes.data % 16
    odd[start : start + len(content)] = np.frombuffer(content, np.uint8)
    given[which] = odd[start : start + len(content)]
    assert given[which].ctypes.data % 4
    with pytest.raises(ValueError, match="fit each other"):
        call_mel_energies(given)


@pytest.mark.parametrize(
    ("table", "place", "value"), [(4, 0, 512), (4, 9, -1), (5, 0, -1), (5, 62, 600), (5, 1, -3)]
)
def test_a_table_that_points_elsewhere_is_refused(table: int, place: int, value: int) -> None:
    """A wrong number in a table does not become a wrong place in memory."""
    given = arguments_of_mel_energies()
    given[table].reshape(-1)[place] = value
    with pytest.raises(ValueError, match="fit each other"):
        call_mel_energies(given)
