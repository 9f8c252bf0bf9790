"""The front end equals librosa's, whatever computes it."""

from dataclasses import replace

import librosa
import numpy as np
import numpy.typing as npt
import pytest

from speechrec.config import FeatureConfig
from speechrec.features import (
    FrontEnd,
    clip_features,
    librosa_filterbank,
    mel_filterbank,
)

pytestmark = pytest.mark.usefixtures("loops")

Array = npt.NDArray[np.float32]
CONFIG = FeatureConfig()
RATE = CONFIG.sample_rate_hz


def speech_like(seed: int) -> Array:
    """A second of a gliding voiced sound with hiss and a pause; (16000,) float32."""
    rng = np.random.default_rng(seed)
    t = np.arange(RATE) / RATE
    pitch = 2 * np.pi * np.cumsum(rng.uniform(90, 220) * (1 + 0.3 * np.sin(3 * t))) / RATE
    voice = sum(np.sin(k * pitch) / k for k in range(1, 25))
    hiss = rng.standard_normal(RATE) * (t > 0.6)
    envelope = np.clip(np.sin(np.pi * t), 0, None) ** 2 * (np.abs(t - 0.5) > 0.03)
    return (0.1 * envelope * voice + 0.03 * envelope * hiss).astype(np.float32)


WAVES = np.stack([speech_like(seed) for seed in range(6)])


def oracle(wave: Array) -> npt.NDArray[np.float64]:
    energy = librosa.feature.melspectrogram(
        y=wave, sr=16_000, n_fft=1024, hop_length=480, n_mels=32, fmin=60, fmax=7800, center=False
    )
    return np.log(energy + 1e-6)[:, :32]


@pytest.mark.parametrize("index", range(len(WAVES)))
def test_features_are_librosa_log_mel(index: int) -> None:
    """Every number is within 1e-5 of ln(librosa's mel energy + 1e-6), bands first."""
    ours = clip_features(WAVES[index : index + 1], CONFIG).reshape(32, 32)
    np.testing.assert_allclose(ours, oracle(WAVES[index]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("hz", [60, 200, 765, 3000])
def test_what_is_soft_is_not_lost_beside_what_is_loud(hz: float) -> None:
    """Bands with a ten thousand millionth of the energy of a tone are librosa's too."""
    t = np.arange(RATE) / RATE
    hiss = 3e-5 * np.random.default_rng(0).standard_normal(RATE)
    wave = (0.9 * np.sin(2 * np.pi * hz * t) + hiss).astype(np.float32)
    ours = clip_features(wave[np.newaxis], CONFIG).reshape(32, 32)
    np.testing.assert_allclose(ours, oracle(wave), rtol=0, atol=1e-5)


def test_float64_waves_are_not_misread() -> None:
    """A clip of another precision gives what float32 gives."""
    front_end = FrontEnd(CONFIG)
    np.testing.assert_array_equal(
        front_end.clip(WAVES[0].astype(np.float64)), front_end.clip(WAVES[0])
    )


def test_other_settings_are_librosa_too() -> None:
    """A front end of other settings follows the same formula."""
    config = FeatureConfig(
        sample_rate_hz=8000, window_ms=32, hop_ms=31, bands=32, frames=32, low_hz=100,
        high_hz=3900, clip_ms=1000, log_offset=1e-4,
    )  # fmt: skip
    wave = WAVES[0][::2].copy()
    energy = librosa.feature.melspectrogram(
        y=wave, sr=8000, n_fft=256, hop_length=248, n_mels=32, fmin=100, fmax=3900, center=False
    )
    ours = clip_features(wave[np.newaxis], config).reshape(32, 32)
    np.testing.assert_allclose(ours, np.log(energy + 1e-4)[:, :32], rtol=0, atol=1e-4)


def test_a_clip_does_not_depend_on_its_neighbours() -> None:
    """A batch gives each clip bit for bit what it gets alone and in any order."""
    front_end = FrontEnd(CONFIG)
    batch = front_end(WAVES)
    assert batch.shape == (6, 1024)
    assert batch.dtype == np.float32
    for wave, row in zip(WAVES, batch, strict=True):
        np.testing.assert_array_equal(FrontEnd(CONFIG)(wave[np.newaxis])[0], row)
    np.testing.assert_array_equal(front_end(WAVES[::-1]), batch[::-1])


def test_layout_and_precision_of_the_wave_do_not_matter() -> None:
    """Waves that are strided or float64 are transformed like contiguous float32 ones."""
    strided = np.repeat(WAVES, 2, axis=1)[:, ::2]
    np.testing.assert_array_equal(clip_features(strided, CONFIG), clip_features(WAVES, CONFIG))
    wide = WAVES.astype(np.float64)
    np.testing.assert_array_equal(clip_features(wide, CONFIG), clip_features(WAVES, CONFIG))


def test_silence_is_the_logarithm_of_the_offset() -> None:
    """Digital silence is finite: every number is ln(log_offset)."""
    features = clip_features(np.zeros((1, RATE), np.float32), CONFIG)
    np.testing.assert_allclose(features, np.log(np.float32(CONFIG.log_offset)), rtol=1e-6)


@pytest.mark.parametrize("band", [0, 1, 5, 12, 20, 27, 31])
def test_a_tone_lights_its_band(band: int) -> None:
    """A tone at a band's centre is loudest in that band, in every frame."""
    hz = librosa.mel_frequencies(n_mels=34, fmin=60, fmax=7800)[band + 1]
    wave = 0.5 * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE).astype(np.float32)
    picture = clip_features(wave[np.newaxis], CONFIG).reshape(32, 32)
    np.testing.assert_array_equal(picture.argmax(axis=0), band)


@pytest.mark.parametrize("frame", [0, 1, 15, 31])
def test_a_click_lights_its_frame(frame: int) -> None:
    """A click in the middle of a window is loudest in that frame, in every band."""
    wave = np.zeros((1, RATE), np.float32)
    wave[0, 480 * frame + 512] = 0.5
    picture = clip_features(wave, CONFIG).reshape(32, 32)
    np.testing.assert_array_equal(picture.argmax(axis=1), frame)


def test_gain_adds_its_logarithm() -> None:
    """Ten times the amplitude is ln(100) more in every number that is well above the offset."""
    wave = 0.05 * np.random.default_rng(0).standard_normal((1, RATE)).astype(np.float32)
    louder = clip_features(10 * wave, CONFIG) - clip_features(wave, CONFIG)
    np.testing.assert_allclose(louder, np.log(100), atol=0.01)


@pytest.mark.parametrize("shape", [(RATE,), (1, RATE - 1), (1, RATE + 1), (1, 1, RATE), (0,)])
def test_waves_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    """Anything but (clips, clip_samples) is an error that names both shapes."""
    with pytest.raises(ValueError, match=r"expected waves \(clips, 16000\), got \("):
        FrontEnd(CONFIG)(np.zeros(shape, np.float32))


def test_no_clips_are_no_features() -> None:
    """An empty batch stays one."""
    assert FrontEnd(CONFIG)(np.zeros((0, RATE), np.float32)).shape == (0, 1024)


def test_the_shipped_filterbank_is_librosas() -> None:
    """speechrec/mel.npy is what scripts/mel_filterbank.py makes, and cannot be written to."""
    shipped = mel_filterbank(CONFIG)
    assert shipped.dtype == np.float32
    np.testing.assert_array_equal(shipped, librosa_filterbank(CONFIG))
    with pytest.raises(ValueError, match="read-only"):
        shipped[0, 0] = 1


def test_placing_the_word_needs_no_other_filterbank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without alignment the shipped filterbank still serves, and librosa is not asked."""
    monkeypatch.setattr("speechrec.features.librosa_filterbank", None)
    mel_filterbank.cache_clear()
    np.testing.assert_array_equal(
        mel_filterbank(replace(CONFIG, align="none")), mel_filterbank(CONFIG)
    )


def test_a_given_filterbank_is_used() -> None:
    """A recogniser file's own filterbank takes the place of the settings' one."""
    doubled = FrontEnd(CONFIG, mel=2 * mel_filterbank(CONFIG))(WAVES[:1])
    expected = np.log(
        2 * (np.exp(clip_features(WAVES[:1], CONFIG).astype(np.float64)) - 1e-6) + 1e-6
    )
    np.testing.assert_allclose(doubled, expected, atol=1e-3)


@pytest.mark.parametrize("count", [1, 2, 5, 31, 32])
@pytest.mark.parametrize("first", [0, 1, 17])
def test_frames_of_a_wave_are_those_of_its_clip(first: int, count: int) -> None:
    """So many frames from any place of a wave equal the same frames of the clip there."""
    wave = np.concatenate((WAVES[0], WAVES[1]))
    out = np.full((CONFIG.bands, count), np.nan, dtype=np.float32)
    start = first * CONFIG.hop_samples
    # No sample more than the frames need.
    stop = start + CONFIG.window_samples + (count - 1) * CONFIG.hop_samples
    FrontEnd(CONFIG).log_mel(wave[start:stop], out)
    clip = clip_features(wave[np.newaxis, start : start + RATE], CONFIG).reshape(32, 32)
    np.testing.assert_allclose(out, clip[:, :count], rtol=0, atol=1e-5)


def test_frames_of_a_stretch_leave_no_trace_in_the_next() -> None:
    """One front end for many stretches gives what a new one gives."""
    front_end, out = FrontEnd(CONFIG), np.empty((32, 3), dtype=np.float32)
    front_end(WAVES[2:3])
    front_end.log_mel(WAVES[1], out)
    again = np.empty_like(out)
    FrontEnd(CONFIG).log_mel(WAVES[1], again)
    np.testing.assert_array_equal(out, again)
