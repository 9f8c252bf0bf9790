"""SVOX Pico's voices (Apache-2.0), through the package py-nanotts."""

import sys

import numpy as np
from py_nanotts import NanoTTS

from speechrec.errors import SpeechrecError
from speechrec.features import Array

_VOICES = ("en-US", "en-GB")
_OTHERS = {"de": "de-DE", "es": "es-ES", "fr": "fr-FR", "it": "it-IT"}
_RATE_HZ = 16_000


class Pico:
    """Two recorded voices of English; a pitch of their own makes more of them."""

    name = "SVOX Pico"

    def __init__(self) -> None:
        # Measured: with both in one process, the first word ends in a segmentation fault.
        if "tensorflow" in sys.modules:
            raise SpeechrecError(
                "SVOX Pico cannot share a process with TensorFlow; run 'speechrec synth' by itself"
            )
        self._engine = NanoTTS()

    def speaks(self, language: str) -> bool:
        return language == "en" or language in _OTHERS

    def speak(
        self, text: str, voice: int, rng: np.random.Generator, language: str = "en"
    ) -> tuple[Array, int]:
        speed, pitch = self._base(voice)
        pcm = self._engine.speak(
            text,
            voice=_OTHERS.get(language, _VOICES[voice % len(_VOICES)]),
            speed=speed * rng.uniform(0.9, 1.1),
            pitch=pitch * rng.uniform(0.96, 1.04),
        )
        return np.frombuffer(pcm, dtype="<i2").astype(np.float32) / np.float32(32768), _RATE_HZ

    def voice_name(self, voice: int) -> str:
        return f"pico-{_VOICES[voice % len(_VOICES)].lower()}-{voice:03d}"

    def _base(self, voice: int) -> tuple[float, float]:
        rng = np.random.default_rng((11, voice))
        return rng.uniform(0.75, 1.3), rng.uniform(0.65, 1.5)
