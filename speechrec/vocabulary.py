"""Phrases of common words, English and others, in which no keyword is said."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from speechrec.errors import MissingExtraError
from speechrec.synth_cast import Phrase

# Ranks of the words that are said, and of those that are held out, by their frequency.
_SAID, _HELD_OUT = slice(0, 8000), slice(8000, 24_000)
_SAID_FOREIGN, _HELD_OUT_FOREIGN = slice(0, 2000), slice(2000, 5000)
_MOST_WORDS = 3
# Languages with an alphabet, a word list and a voice, by their ISO 639-1 codes.
_LANGUAGES = (
    "cs", "de", "el", "es", "fi", "fr", "hu", "id", "it", "nl", "pl", "pt", "ro", "ru", "sv", "tr",
)  # fmt: skip
# So many sounds apart, a word of another language is another word than a keyword.
_LEAST_APART = 2
# As eSpeak calls British and American English.
_ENGLISH = ("en", "en-us")
# How Hibari writes stress, which does not make another word.
_STRESS = str.maketrans("", "", "ˈˌ")


def phrases(
    count: int,
    keywords: Sequence[str],
    *,
    seed: int,
    near_share: float = 0.5,
    held_out: bool = False,
) -> list[Phrase]:
    """English words and phrases of up to three words, which make no sense.

    The words are drawn from the 8,000 most frequent of English (Speer 2022, wordfreq), without the
    keywords and everything that sounds like one of them ("know", where "no" is a keyword).

    Args:
        near_share: share of the words that are near-misses: no more than half of a keyword's
            sounds, rounded up, are other sounds in them, left out or put in ("now" for "no", "star"
            for "stop").
        held_out: words that are never said otherwise: the next 16,000.

    Raises:
        MissingExtraError: the word list or the pronunciations are not installed.
    """
    try:
        from hibari.g2p import G2P
        from rapidfuzz.distance import Levenshtein
        from wordfreq import top_n_list
    except ModuleNotFoundError as error:
        raise MissingExtraError("speechrec synth --phrases", "synth", error.name) from error

    pronounce = G2P()

    def sound(word: str) -> str:
        return str(pronounce(word)).translate(_STRESS)

    taken = {sound(word) for word in keywords}
    ranks = _HELD_OUT if held_out else _SAID
    sounds = {
        word: sound(word) for word in top_n_list("en", ranks.stop)[ranks]
        if word.isascii() and word.isalpha()
    }  # fmt: skip
    words = [word for word, said in sounds.items() if said not in taken]
    near = np.array(
        [
            any(
                Levenshtein.distance(sounds[word], keyword) <= -(-len(keyword) // 2)
                for keyword in taken
            )
            for word in words
        ]
    )
    share = near_share if near.any() else 0.0
    weights = np.where(near, share / max(1, near.sum()), (1 - share) / (~near).sum())
    rng = np.random.default_rng((seed, 19))
    return _phrases(rng, count, np.array(words), weights, "en")


def foreign(
    count: int, keywords: Sequence[str], *, seed: int, held_out: bool = False
) -> list[Phrase]:
    """As `phrases`, in sixteen other languages, of the 2,000 most frequent words of each.

    Words within one sound of a keyword, as eSpeak NG says both, are left out. Held out are the next
    3,000 words of each language.

    Raises:
        MissingExtraError: the word lists or eSpeak NG are not installed.
    """
    try:
        from rapidfuzz.distance import Levenshtein
        from wordfreq import top_n_list
    except ModuleNotFoundError as error:
        raise MissingExtraError("speechrec synth --foreign-phrases", "synth", error.name) from error
    try:
        from speechrec.synth_espeak import espeak
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "speechrec synth --foreign-phrases", "synth-gpl", error.name
        ) from error

    pronounce = espeak().phonemes
    taken = {pronounce(word, english) for word in keywords for english in _ENGLISH}
    rng = np.random.default_rng((seed, 23))
    ranks = _HELD_OUT_FOREIGN if held_out else _SAID_FOREIGN
    made: list[Phrase] = []
    for number, language in enumerate(_LANGUAGES):
        words = [
            word for word in top_n_list(language, ranks.stop)[ranks]
            if word.isalpha() and word not in keywords and min(
                Levenshtein.distance(pronounce(word, language), said) for said in taken
            ) >= _LEAST_APART
        ]  # fmt: skip
        share = len(range(number, count, len(_LANGUAGES)))
        made += _phrases(rng, share, np.array(words), None, language)
    return [made[number] for number in rng.permutation(count)]


def _phrases(
    rng: np.random.Generator, count: int, words: Any, weights: Any, language: str
) -> list[Phrase]:
    """So many phrases of one to three of the words."""
    lengths = rng.integers(1, _MOST_WORDS + 1, size=count)
    drawn = rng.choice(words, size=lengths.sum(), p=weights)
    parts = np.split(drawn, np.cumsum(lengths)[:-1]) if count else []
    return [Phrase(" ".join(part), language) for part in parts]
