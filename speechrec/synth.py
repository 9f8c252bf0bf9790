"""A corpus of spoken words from text: many synthetic voices, speeds, pitches, levels and noises.

What it makes is laid out like any other folder of recordings. The voices are synthetic: a
recogniser trained on nothing else gets people's words wrong far more often than its own test says.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from speechrec.augment import coloured_noise
from speechrec.config import UNKNOWN
from speechrec.errors import DatasetError, UnspeakableError
from speechrec.features import Array
from speechrec.files import new_folder, refuse_content, write_text
from speechrec.recording import is_utf8
from speechrec.sndfile import write_wav
from speechrec.synth_cast import Phrase, Voice, cast, installed_engines, phrases_of

RATE_HZ = 16_000
_CLIP_SAMPLES = RATE_HZ
_KEYWORD_TAKES = 3
_LEAST_SNR_DB, _MOST_SNR_DB = 10.0, 45.0
_QUIETEST_PEAK_DB, _LOUDEST_PEAK_DB = -24.0, -1.0

OTHER_WORDS = (
    "bed", "bird", "cat", "dog", "eight", "five", "four", "happy", "house", "marvin", "nine",
    "one", "seven", "six", "three", "tree", "two", "wow", "zero", "yellow", "night", "light",
    "town", "top",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Synthesised:
    """What was made; ``clips`` are files, ``unspeakable`` phrases that were left out."""

    clips: int
    words: int
    phrases: int
    unspeakable: int
    voices: int
    engines: tuple[str, ...]


def synthesise(
    folder: Path,
    words: tuple[str, ...],
    others: tuple[str, ...],
    *,
    voices: int,
    seed: int,
    phrases: Sequence[Phrase] = (),
    in_turn: int = 1,
    held_out: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Synthesised:
    """Write ``<word>/<voice>_nohash_<take>.wav``, one second each, for every word and voice.

    Args:
        folder: must not exist yet, or be empty.
        others: further words, which go into the folder ``_unknown_``.
        voices: voices to use, shared between the installed engines.
        phrases: more for ``_unknown_``, each said once, in turn by the voices that speak its
            language; what a voice cannot say is left out.
        in_turn: phrases in one recording, a second for each.
        held_out: by voices that never speak otherwise.

    Raises:
        DatasetError: ``folder`` has content, there is no word to speak, or nobody to speak one.
        UnspeakableError: a voice cannot say a word.
        MissingExtraError: no synthesiser is installed.
    """
    check_request(folder, words, others)
    engines = installed_engines()
    speakers = cast(engines, voices, held_out=held_out)
    # Written otherwise, it still is the keyword.
    keywords = {word.casefold() for word in words}
    others = tuple(word for word in others if word.casefold() not in keywords)
    spoken = tuple(dict.fromkeys((*words, *others)))
    takes = [(word, take) for word in spoken for take in range(_takes(word, words))]
    said = phrases_of(speakers, phrases)
    total, done, written, unspeakable = len(speakers) * len(takes) + len(phrases), 0, 0, 0
    names = tuple(engine.name for engine in engines)
    with new_folder(folder) as partial:
        for voice, numbers in zip(speakers, said, strict=True):
            for word, take in takes:
                label, count = (word, str(take)) if word in words else (UNKNOWN, word)
                path = partial / label / f"{voice.name}_nohash_{count}.wav"
                _write(path, _clip(voice, Phrase(word), seed=seed, take=take))
            for first in range(0, len(numbers), in_turn):
                together = numbers[first : first + in_turn]
                path = partial / UNKNOWN / f"{voice.name}_nohash_phrase{together[0]}.wav"
                clips = list(_clips(voice, [(phrases[n], n) for n in together], seed=seed))
                unspeakable += len(together) - len(clips)
                if clips:
                    _write(path, np.concatenate(clips))
                    written += 1
            written += len(takes)
            done += len(takes) + len(numbers)
            progress(done, total)
        about = f"Synthetic voices, made by speechrec with {' and '.join(names)}."
        write_text(partial / "ABOUT.txt", f"{about} No person speaks here.\n")
    phrases_said = len(phrases) - unspeakable
    return Synthesised(written, len(spoken), phrases_said, unspeakable, len(speakers), names)


def check_request(folder: Path, words: Sequence[str], others: Sequence[str]) -> None:
    """Refuse a folder or words that cannot be used, before any time is spent on them.

    Raises:
        DatasetError: as `synthesise`.
    """
    refuse_content(folder)
    for word in (*words, *others):
        if "/" in word or word.startswith((".", "_")) or not (is_utf8(word) and word.isprintable()):
            raise DatasetError(f"{word!r}: expected a word that can name a folder")
    if not words:
        raise DatasetError("expected words to speak, got none; name some with --words yes,no")


def _takes(word: str, keywords: tuple[str, ...]) -> int:
    """Other words are there for their number: once a voice is enough."""
    return _KEYWORD_TAKES if word in keywords else 1


def _clips(voice: Voice, takes: Sequence[tuple[Phrase, int]], *, seed: int) -> Iterator[Array]:
    """A second for each phrase that the voice can say."""
    for phrase, take in takes:
        with suppress(UnspeakableError):
            yield _clip(voice, phrase, seed=seed, take=take)


def _clip(voice: Voice, phrase: Phrase, *, seed: int, take: int) -> Array:
    """One second, (16000,) float32, in which the phrase is said."""
    # Randomness that belongs to one clip, whatever else is spoken.
    digest = hashlib.sha256(f"{seed}/{voice.name}/{phrase.text}/{take}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    return _in_a_room(_spoken(voice, phrase, rng), rng)


def _write(path: Path, wave: Array) -> None:
    path.parent.mkdir(exist_ok=True)
    write_wav(path, wave, RATE_HZ)


def _spoken(voice: Voice, phrase: Phrase, rng: np.random.Generator) -> Array:
    """The phrase alone at 16 kHz, its silent edges cut, its peak at 1."""
    engine = voice.engine
    wave, rate = engine.speak(phrase.text, voice.number, rng, phrase.language)
    if rate != RATE_HZ:
        wave = soxr.resample(wave, rate, RATE_HZ)
    loud = np.flatnonzero(np.abs(wave) > 0.02 * np.abs(wave).max(initial=0.0))
    if not len(loud):
        raise UnspeakableError(f"{engine.name} cannot say {phrase.text!r}; choose another spelling")
    wave = wave[loud[0] : loud[-1] + 1]
    peaked: Array = wave / np.abs(wave).max()
    return peaked


def _in_a_room(word: Array, rng: np.random.Generator) -> Array:
    """A word somewhere in a second of noise, at some level; a second of what is longer."""
    if len(word) > _CLIP_SAMPLES:
        cut = int(rng.integers(len(word) - _CLIP_SAMPLES + 1))
        word = word[cut : cut + _CLIP_SAMPLES]
    noise = coloured_noise(
        rng,
        _CLIP_SAMPLES,
        colour=str(rng.choice(["white", "pink", "brown"])),
        sample_rate_hz=RATE_HZ,
    )
    snr_db = rng.uniform(_LEAST_SNR_DB, _MOST_SNR_DB)
    scale = np.sqrt(np.mean(word**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    wave = noise * np.float32(scale)
    # The middle, give or take: recordings of people are not cut by machine.
    room = _CLIP_SAMPLES - len(word)
    start = int(np.clip(room / 2 + rng.normal(0, 0.06) * RATE_HZ, 0, room))
    wave[start : start + len(word)] += word
    level = 10 ** (rng.uniform(_QUIETEST_PEAK_DB, _LOUDEST_PEAK_DB) / 20)
    return wave * np.float32(level / np.abs(wave).max())
