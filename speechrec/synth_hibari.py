"""Hibari's voice (Apache-2.0), a small neural synthesiser, through the package hibari-tts."""

import numpy as np
from hibari import SAMPLE_RATE, Hibari

from speechrec.features import Array


class HibariVoices:
    """One voice; played faster and higher or slower and lower, it makes others."""

    name = "Hibari"

    def __init__(self) -> None:
        self._engine = Hibari()

    def speaks(self, language: str) -> bool:
        return language == "en"

    def speak(
        self, text: str, voice: int, rng: np.random.Generator, language: str = "en"
    ) -> tuple[Array, int]:
        speed, pitch = self._base(voice)
        # What is played faster is spoken slower, so that speed and pitch do not depend.
        speed *= float(rng.uniform(0.9, 1.1)) / pitch
        wave = self._engine(text, speed=speed, seed=int(rng.integers(1 << 32)))
        return np.asarray(wave, dtype=np.float32), round(SAMPLE_RATE * pitch)

    def voice_name(self, voice: int) -> str:
        return f"hibari-{voice:03d}"

    def _base(self, voice: int) -> tuple[float, float]:
        rng = np.random.default_rng((17, voice))
        return float(rng.uniform(0.8, 1.3)), float(rng.uniform(0.75, 1.2))
