"""eSpeak NG's voices (GPL-3), called in process; installed by the extra ``synth-gpl`` only."""

import ctypes
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from unicodedata import category

import espeakng_loader
import numpy as np

from speechrec.errors import SpeechrecError
from speechrec.features import Array

_ACCENTS = ("en-us", "en", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-us-nyc")
_VARIANTS = (
    "m1", "f1", "m2", "f2", "m3", "f3", "m4", "f4", "m5", "f5", "m6", "m7", "m8", "Alex", "Andy",
    "Annie", "belinda", "Gene", "Lee", "linda", "max", "Michael", "Mr", "Steph", "steph2", "Storm",
)  # fmt: skip

# From speak_lib.h.
_SYNCHRONOUS, _DONT_EXIT, _UTF8 = 2, 0x8000, 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_IPA = 2
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)
# eSpeak keeps its data's path in a buffer of fixed size.
_LONGEST_PATH = 120


class Espeak:
    """Accents times voice variants, each with a pitch and speed of its own."""

    name = "eSpeak NG"

    def __init__(self) -> None:
        self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._rate_hz = self._library.espeak_Initialize(
            _SYNCHRONOUS, 0, self._data_path().encode(), _DONT_EXIT
        )
        if self._rate_hz <= 0:
            raise SpeechrecError("eSpeak NG cannot read its data; reinstall espeakng-loader")
        self._blocks: list[Array] = []
        self._chosen = ""
        # Kept, because the library holds on to it.
        self._callback = _CALLBACK(self._collect)
        self._library.espeak_SetSynthCallback(self._callback)

    def speaks(self, language: str) -> bool:
        try:
            self._choose(language)
        except SpeechrecError:
            return False
        return True

    def phonemes(self, text: str, language: str) -> str:
        """The sounds of a text in the letters of the IPA, without stress and length."""
        # To load a language takes longer than a word.
        if language != self._chosen:
            self._choose(language)
        rest = ctypes.pointer(ctypes.c_char_p(text.encode()))
        said = []
        while rest.contents.value is not None:
            clause = self._library.espeak_TextToPhonemes(rest, _UTF8, _IPA)
            said.append(clause.decode())
        return "".join(letter for letter in "".join(said) if category(letter) in ("Ll", "Lo"))

    def speak(
        self, text: str, voice: int, rng: np.random.Generator, language: str = "en"
    ) -> tuple[Array, int]:
        base = np.random.default_rng((13, voice))
        speed, pitch, span = base.uniform(120, 210), base.uniform(20, 80), base.uniform(20, 80)
        accent, variant = self._who(voice)
        self._choose(f"{accent if language == 'en' else language}+{variant}")
        for parameter, value in (
            (_RATE, speed * rng.uniform(0.88, 1.12)),
            (_PITCH, pitch + rng.uniform(-6, 6)),
            (_RANGE, span),
        ):
            self._library.espeak_SetParameter(parameter, round(value), 0)
        self._blocks.clear()
        encoded = text.encode()
        self._library.espeak_Synth(
            encoded, ctypes.c_size_t(len(encoded) + 1), 0, 0, 0, _UTF8, None, None
        )
        self._library.espeak_Synchronize()
        return np.concatenate(self._blocks or [np.zeros(0, np.float32)]), self._rate_hz

    def voice_name(self, voice: int) -> str:
        accent, variant = self._who(voice)
        return f"espeak-{accent}-{variant.lower()}-{voice:03d}"

    def _choose(self, voice: str) -> None:
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise SpeechrecError(f"eSpeak NG has no voice {voice}; upgrade it")
        self._chosen = voice

    def _who(self, voice: int) -> tuple[str, str]:
        # The two lists' lengths share a factor, so the accent moves on with each round.
        turn, variant = divmod(voice, len(_VARIANTS))
        return _ACCENTS[(voice + turn) % len(_ACCENTS)], _VARIANTS[variant]

    def _collect(self, samples: Any, count: int, _events: object) -> int:
        if samples and count > 0:
            block = np.ctypeslib.as_array(samples, shape=(count,)).astype(np.float32)
            self._blocks.append(block / np.float32(32768))
        return 0

    def _data_path(self) -> str:
        """The folder with eSpeak's data, by a short way where its own is too long."""
        path = Path(espeakng_loader.get_data_path())
        if len(str(path)) <= _LONGEST_PATH:
            return str(path)
        self._shortcut = tempfile.TemporaryDirectory()
        link = Path(self._shortcut.name) / path.name
        link.symlink_to(path, target_is_directory=True)
        return str(link)


@cache
def espeak() -> Espeak:
    """The one there is: the library can be set up once in a process."""
    return Espeak()
