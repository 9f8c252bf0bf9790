"""Who speaks: the installed synthesisers, their voices, and which of these says what."""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import NamedTuple, Protocol

import numpy as np

from speechrec.errors import DatasetError, MissingExtraError
from speechrec.features import Array

# The number of an engine's first voice that speaks only where it is held out.
_FIRST_HELD_OUT = 1000


class Phrase(NamedTuple):
    """What is said, in a language by its ISO 639-1 code."""

    text: str
    language: str = "en"


class Engine(Protocol):
    """A speech synthesiser with many voices."""

    name: str

    def speaks(self, language: str) -> bool:
        """Whether it has a voice of the language, by its ISO 639-1 code. All speak English."""
        ...

    def speak(
        self, text: str, voice: int, rng: np.random.Generator, language: str = "en"
    ) -> tuple[Array, int]:
        """(samples,) float32 of a word or phrase in that voice, and the sample rate in Hz.

        ``voice`` fixes who speaks, ``rng`` how: speed and intonation of this take.

        Raises:
            UnspeakableError: it fails at it.
        """
        ...

    def voice_name(self, voice: int) -> str:
        """A name that is the same for equal voices and different for others."""
        ...


class Voice(NamedTuple):
    """One speaker of a synthesiser."""

    engine: Engine
    number: int

    @property
    def name(self) -> str:
        """The same for equal voices and different for others."""
        return self.engine.voice_name(self.number)


@cache
def installed_engines() -> tuple[Engine, ...]:
    """The synthesisers of the installed extras, set up once: eSpeak NG can only be so.

    Raises:
        MissingExtraError: there is none.
    """
    engines: list[Engine] = []
    missing = None
    for module, maker in _ENGINES:
        try:
            engines.append(getattr(import_module(module), maker)())
        except ModuleNotFoundError as error:
            missing = missing or error.name
    if not engines:
        raise MissingExtraError("speechrec synth", "synth", missing)
    return tuple(engines)


_ENGINES = (
    ("speechrec.synth_pico", "Pico"),
    ("speechrec.synth_espeak", "espeak"),
    ("speechrec.synth_hibari", "HibariVoices"),
)


def cast(engines: Sequence[Engine], count: int, *, held_out: bool) -> list[Voice]:
    """So many voices, in turn from the synthesisers; held out, they are others.

    Raises:
        DatasetError: the synthesisers have fewer.
    """
    most = _FIRST_HELD_OUT * len(engines)
    if count > most:
        raise DatasetError(
            f"expected at most {most} voices of {' and '.join(each.name for each in engines)}, "
            f"got {count}: others are held out"
        )
    first = _FIRST_HELD_OUT if held_out else 0
    return [
        Voice(engines[number % len(engines)], first + number // len(engines))
        for number in range(count)
    ]


def phrases_of(voices: Sequence[Voice], phrases: Sequence[Phrase]) -> list[list[int]]:
    """The numbers of the phrases that each of the voices says, in turn by those that can.

    Raises:
        DatasetError: nobody speaks the language of one.
    """
    said: list[list[int]] = [[] for _ in voices]
    able = {
        language: [n for n, voice in enumerate(voices) if voice.engine.speaks(language)]
        for language in {phrase.language for phrase in phrases}
    }
    for number, (_, language) in enumerate(phrases):
        if not able[language]:
            raise DatasetError(f"no synthesiser that is installed speaks {language!r}")
        said[able[language][number % len(able[language])]].append(number)
    return said
