"""SVOX Pico's voices (Apache-2.0), through the package py-nanotts, in a process of their own.

The engine ends in a segmentation fault now and then: at the first word beside TensorFlow, on some
thousandth phrase beside other synthesisers, on none of the same phrases alone. So it is alone, and
started again where it has crashed.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
from typing import IO, Any

import numpy as np
from py_nanotts import NanoTTS

from speechrec.errors import UnspeakableError
from speechrec.features import Array

_VOICES = ("en-US", "en-GB")
_OTHERS = {"de": "de-DE", "es": "es-ES", "fr": "fr-FR", "it": "it-IT"}
_RATE_HZ = 16_000
_ATTEMPTS = 2
# The number of bytes of sound, before them.
_SIZE_BYTES = 4


class Pico:
    """Two recorded voices of English; a pitch of their own makes more of them."""

    name = "SVOX Pico"

    def __init__(self) -> None:
        self._engine: subprocess.Popen[bytes] | None = None
        atexit.register(self._end)

    def speaks(self, language: str) -> bool:
        return language == "en" or language in _OTHERS

    def speak(
        self, text: str, voice: int, rng: np.random.Generator, language: str = "en"
    ) -> tuple[Array, int]:
        speed, pitch = self._base(voice)
        request = {
            "text": text,
            "voice": _OTHERS.get(language, _VOICES[voice % len(_VOICES)]),
            "speed": speed * rng.uniform(0.9, 1.1),
            "pitch": pitch * rng.uniform(0.96, 1.04),
        }
        for _ in range(_ATTEMPTS):
            pcm = self._ask(request)
            if pcm is not None:
                return np.frombuffer(pcm, dtype="<i2").astype(np.float32) / np.float32(
                    32768
                ), _RATE_HZ
            self._end()
        raise UnspeakableError(f"SVOX Pico crashed twice on {text!r}; choose another spelling")

    def voice_name(self, voice: int) -> str:
        return f"pico-{_VOICES[voice % len(_VOICES)].lower()}-{voice:03d}"

    def _base(self, voice: int) -> tuple[float, float]:
        rng = np.random.default_rng((11, voice))
        return rng.uniform(0.75, 1.3), rng.uniform(0.65, 1.5)

    def _ask(self, request: dict[str, Any]) -> bytes | None:
        """What the engine says, 16-bit samples; None where it has crashed."""
        if self._engine is None:
            # It imports what this process would, whatever lies in the current folder.
            paths = os.pathsep.join(map(os.path.abspath, sys.path))
            self._engine = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": paths},
            )  # fmt: skip
        asked, answer = self._engine.stdin, self._engine.stdout
        assert asked is not None
        assert answer is not None
        try:
            asked.write(json.dumps(request).encode() + b"\n")
            asked.flush()
        except BrokenPipeError:
            return None
        size = answer.read(_SIZE_BYTES)
        if len(size) < _SIZE_BYTES:
            return None
        expected = int.from_bytes(size, "little")
        pcm = answer.read(expected)
        return pcm if len(pcm) == expected else None

    def _end(self) -> None:
        if self._engine is not None:
            self._engine.kill()
            self._engine.communicate()
            self._engine = None


def _serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Speak what is asked for, line by line, until there is no more."""
    engine = NanoTTS()
    for line in requests:
        pcm = engine.speak(**json.loads(line))
        answers.write(len(pcm).to_bytes(_SIZE_BYTES, "little") + pcm)
        answers.flush()


if __name__ == "__main__":
    # Who asks is interrupted, and ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What the library prints must not come between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _serve(sys.stdin.buffer, answers)
