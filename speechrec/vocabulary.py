"""Phrases of common English words in which no keyword is said."""

from collections.abc import Sequence

import numpy as np

from speechrec.errors import MissingExtraError

_COMMONEST = 8000
_MOST_WORDS = 3
# How Hibari writes stress, which does not make another word.
_STRESS = str.maketrans("", "", "ˈˌ")


def phrases(
    count: int, keywords: Sequence[str], *, seed: int, near_share: float = 0.5
) -> list[str]:
    """Words and phrases of up to three words, which make no sense.

    The words are drawn from the 8,000 most frequent of English (Speer 2022, wordfreq), without the
    keywords and everything that sounds like one of them ("know", where "no" is a keyword).

    Args:
        near_share: share of the words that are near-misses: no more than half of a keyword's
            sounds are other sounds in them, left out or put in ("now" for "no", "star" for "stop").

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
    sounds = {
        word: sound(word) for word in top_n_list("en", _COMMONEST)
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
    lengths = rng.integers(1, _MOST_WORDS + 1, size=count)
    drawn = rng.choice(np.array(words), size=lengths.sum(), p=weights)
    return [" ".join(part) for part in np.split(drawn, np.cumsum(lengths)[:-1])]
