"""What is heard behind altered copies: how much is interference, and how much of that is talk."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechrec import augment, noise_pool
from speechrec.config import UNKNOWN, FeatureConfig
from speechrec.noise_pool import NoisePool
from speechrec.recording import Clip

RATE = 16_000


def heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interference: float, talk: float
) -> dict[str, float]:
    """Shares of what 400 draws were made of."""
    path = tmp_path / "word.wav"
    soundfile.write(path, 0.5 * np.sin(np.arange(RATE)), RATE)
    said = Clip(str(path), UNKNOWN, "word", "speaker", "training", 0.0, None, 0.0)
    counts = Counter[str]()
    # Pulses are made of a background, which does not count besides.
    for name, kind in (("babble", "talk"), ("tones", "machines"), ("pulsed", "machines")):

        def counting(
            rng: np.random.Generator, *args: object, kind: str = kind, **more: object
        ) -> object:
            counts[kind] += 1
            return np.zeros(RATE)

        monkeypatch.setattr(augment, name, counting)
    pool = NoisePool(FeatureConfig(), (), (said,), interference, talk)
    rng = np.random.default_rng(0)
    for _ in range(400):
        pool(rng, RATE)
    noise_pool.said.cache_clear()
    return {kind: count / 400 for kind, count in counts.items()}


@pytest.mark.parametrize(("interference", "talk"), [(0.5, 0.8), (0.8, 0.25), (1.0, 0.5)])
def test_shares_of_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interference: float, talk: float
) -> None:
    """``interference_share`` of the draws are interference, ``talk_share`` of these are talk."""
    shares = heard(tmp_path, monkeypatch, interference, talk)
    assert shares["talk"] == pytest.approx(interference * talk, abs=0.08)
    assert shares["machines"] == pytest.approx(interference * (1 - talk), abs=0.08)


def test_no_interference_no_talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share of nothing is nothing; a share of 1 and 0 leaves no room for chance."""
    assert heard(tmp_path, monkeypatch, 0.0, 1.0) == {}
    assert heard(tmp_path, monkeypatch, 1.0, 1.0) == {"talk": 1.0}
    assert heard(tmp_path, monkeypatch, 1.0, 0.0) == {"machines": 1.0}
