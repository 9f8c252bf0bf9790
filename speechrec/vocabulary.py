"""Phrases of common words, English and others, in which no keyword is said."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from speechrec.errors import ConfigError, MissingExtraError
from speechrec.synth import Phrase

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
# Voiced sounds become their voiceless twins, which people do not always keep apart.
_TWINS = str.maketrans("bdɡvzðʒʤ", "ptkfsθʃʧ")
# Kinds of what is said: no near-miss, a near-miss, and this.
_NO_WORD = 2
_LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
# What is made up of a keyword: how many attempts, of how many changed letters, with how many more
# sounds at most, since what cannot be said is spelt.
_ATTEMPTS, _MOST_CHANGES, _MOST_SOUNDS_MORE = 5000, 2, 2


def phrases(
    count: int,
    keywords: Sequence[str],
    *,
    seed: int,
    near_share: float = 0.5,
    made_up_share: float = 0.0,
    held_out: bool = False,
) -> list[Phrase]:
    """English words and phrases of up to three words, which make no sense.

    The words are drawn from the 8,000 most frequent of English (Speer 2022, wordfreq), without the
    keywords and everything that sounds like one of them ("know", where "no" is a keyword).

    Args:
        near_share: share of the words that are near-misses: no more than half of a keyword's
            sounds are other sounds in them, left out or put in ("now" for "no", "star" for "stop").
        made_up_share: share of the near-misses that are no words at all: a keyword with one or two
            letters changed, left out or put in ("sprop" for "stop").
        held_out: words that are never said otherwise: the next 16,000.

    Raises:
        ConfigError: words that are made up shall be held out.
        MissingExtraError: the word list or the pronunciations are not installed.
    """
    try:
        from hibari.g2p import G2P
        from rapidfuzz.distance import Levenshtein
        from wordfreq import top_n_list
    except ModuleNotFoundError as error:
        raise MissingExtraError("speechrec synth --phrases", "synth", error.name) from error

    if made_up_share and held_out:
        raise ConfigError("--made-up: expected 0 with --held-out, since training says such words")
    pronounce = G2P()

    def sound(word: str) -> str:
        return str(pronounce(word)).translate(_STRESS)

    taken = {sound(word) for word in keywords}
    ranks = _HELD_OUT if held_out else _SAID
    known = top_n_list("en", _HELD_OUT.stop)
    sounds = {
        word: sound(word) for word in known[ranks] if word.isascii() and word.isalpha()
    }  # fmt: skip
    words = [word for word, said in sounds.items() if said not in taken]
    near = [
        any(Levenshtein.distance(sounds[word], said) <= -(-len(said) // 2) for said in taken)
        for word in words
    ]
    made_up = _made_up(keywords, {*known, *keywords}, sound, seed) if made_up_share else []
    kinds = np.array([*near, *[_NO_WORD] * len(made_up)], dtype=np.int64)
    shares = 1 - near_share, near_share * (1 - made_up_share), near_share * made_up_share
    weights = np.array(shares)[kinds] / np.bincount(kinds, minlength=len(shares))[kinds]
    if not weights.any():
        # Near-misses alone, of keywords that have none.
        weights[:] = 1
    rng = np.random.default_rng((seed, 19))
    return _phrases(rng, count, np.array(words + made_up), weights / weights.sum(), "en")


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
        raise MissingExtraError("speechrec synth --phrases", "synth", error.name) from error
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


def _made_up(
    keywords: Sequence[str], words: set[str], sound: Callable[[str], str], seed: int
) -> list[str]:
    """What keywords become by few changed letters: no words, and nothing that sounds like one."""
    rng = np.random.default_rng((seed, 29))
    heard = {keyword: sound(keyword).translate(_TWINS) for keyword in keywords}
    made: set[str] = set()
    for keyword in keywords:
        for _ in range(_ATTEMPTS):
            word = keyword
            for _ in range(rng.integers(1, _MOST_CHANGES, endpoint=True)):
                word = _changed(word, rng)
            if not word or word in words or word in made:
                continue
            said = sound(word).translate(_TWINS)
            if said not in heard.values() and len(said) <= len(heard[keyword]) + _MOST_SOUNDS_MORE:
                made.add(word)
    return sorted(made)


def _changed(word: str, rng: np.random.Generator) -> str:
    """The word with one letter put in, left out or another."""
    place = int(rng.integers(len(word) + 1))
    letter, left_out = str(rng.choice(_LETTERS)), int(rng.integers(2))
    return word[:place] + letter * int(rng.integers(1 + left_out)) + word[place + left_out :]


def _phrases(
    rng: np.random.Generator, count: int, words: Any, weights: Any, language: str
) -> list[Phrase]:
    """So many phrases of one to three of the words."""
    lengths = rng.integers(1, _MOST_WORDS + 1, size=count)
    drawn = rng.choice(words, size=lengths.sum(), p=weights)
    parts = np.split(drawn, np.cumsum(lengths)[:-1]) if count else []
    return [Phrase(" ".join(part), language) for part in parts]
