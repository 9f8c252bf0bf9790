"""Phrases of common English words in which no keyword is said."""

from collections.abc import Sequence

import numpy as np

from speechrec.errors import MissingExtraError

_COMMONEST = 8000
_MOST_WORDS = 3
# How Hibari writes stress, which does not make another word.
_STRESS = str.maketrans("", "", "ˈˌ")


def phrases(count: int, keywords: Sequence[str], *, seed: int) -> list[str]:
    """Words and phrases of up to three words, which make no sense.

    The words are drawn from the 8,000 most frequent of English (Speer 2022, wordfreq), without the
    keywords and everything that sounds like one of them ("know", where "no" is a keyword).

    Raises:
        MissingExtraError: the word list or the pronunciations are not installed.
    """
    try:
        from hibari.g2p import G2P
        from wordfreq import top_n_list
    except ModuleNotFoundError as error:
        raise MissingExtraError("speechrec synth --phrases", "synth", error.name) from error

    pronounce = G2P()

    def sound(word: str) -> str:
        return str(pronounce(word)).translate(_STRESS)

    taken = {sound(word) for word in keywords}
    words = np.array(
        [
            word for word in top_n_list("en", _COMMONEST)
            if word.isascii() and word.isalpha() and sound(word) not in taken
        ]
    )  # fmt: skip
    rng = np.random.default_rng((seed, 19))
    lengths = rng.integers(1, _MOST_WORDS + 1, size=count)
    return [" ".join(rng.choice(words, size=length)) for length in lengths]
