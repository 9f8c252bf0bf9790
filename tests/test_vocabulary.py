"""Promises of the phrases that are spoken as unknown words."""

import sys
from collections import Counter

import pytest

pytest.importorskip("wordfreq")
pytest.importorskip("hibari")
pytest.importorskip("rapidfuzz")

from speechrec.errors import MissingExtraError
from speechrec.vocabulary import phrases

COUNT = 20_000


def words_of(keywords: tuple[str, ...]) -> set[str]:
    return {word for phrase in phrases(COUNT, keywords, seed=0) for word in phrase.split()}


def test_a_phrase_is_one_to_three_words() -> None:
    """As many phrases as asked for, of every length, from a vocabulary of thousands."""
    made = phrases(3000, ("yes",), seed=0)
    assert len(made) == 3000
    assert {len(phrase.split()) for phrase in made} == {1, 2, 3}
    assert len({word for phrase in made for word in phrase.split()}) > 2000


def test_every_second_word_is_a_near_miss() -> None:
    """What sounds like a keyword is said far more often than any other word."""
    said = Counter(word for phrase in phrases(COUNT, ("stop",), seed=0) for word in phrase.split())
    near = {word for word, count in said.items() if count > 100}
    assert {"top", "star", "step", "stock", "stopped"} <= near
    assert not near & {"yes", "green", "yellow", "remember", "the"}
    assert 0.45 < sum(said[word] for word in near) / said.total() < 0.55
    few = Counter(
        word for phrase in phrases(COUNT, ("stop",), seed=0, near_share=0.1)
        for word in phrase.split()
    )  # fmt: skip
    assert 0.08 < sum(few[word] for word in near) / few.total() < 0.12


def test_where_nothing_is_near_the_rest_is_said() -> None:
    """A keyword like no other word leaves all words as they are."""
    assert len(phrases(10, ("supercalifragilistic",), seed=0, near_share=1.0)) == 10


def test_no_keyword_and_nothing_that_sounds_like_one() -> None:
    """Neither "no" nor "know"; but "know" where "no" is no keyword."""
    without = words_of(("no", "right", "two"))
    assert not without & {"no", "know", "right", "write", "two", "to", "too"}
    # What is only like them is what has to be learnt.
    assert {"note", "night", "tool"} <= without
    assert {"know", "write"} <= words_of(("stop",))


@pytest.mark.parametrize("package", ["wordfreq", "hibari.g2p", "rapidfuzz.distance"])
def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Without the word list or the pronunciations, the extra that brings them is named."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"speechrec\[synth\]"):
        phrases(1, ("yes",), seed=0)


def test_the_seed_decides() -> None:
    """The same phrases for the same seed, others for another."""
    assert phrases(50, ("no",), seed=1) == phrases(50, ("no",), seed=1)
    assert phrases(50, ("no",), seed=1) != phrases(50, ("no",), seed=2)
