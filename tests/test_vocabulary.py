"""Promises of the phrases that are spoken as unknown words."""

import sys
from collections import Counter

import pytest

pytest.importorskip("wordfreq")
pytest.importorskip("hibari")
pytest.importorskip("rapidfuzz")

from speechrec.errors import MissingExtraError
from speechrec.vocabulary import foreign, phrases

COUNT = 20_000


def words_of(keywords: tuple[str, ...]) -> set[str]:
    return {word for phrase in phrases(COUNT, keywords, seed=0) for word in phrase.text.split()}


def test_a_phrase_is_one_to_three_words() -> None:
    """As many phrases as asked for, of every length, from a vocabulary of thousands."""
    made = phrases(3000, ("yes",), seed=0)
    assert len(made) == 3000
    assert {len(phrase.text.split()) for phrase in made} == {1, 2, 3}
    assert len({word for phrase in made for word in phrase.text.split()}) > 2000
    assert {phrase.language for phrase in made} == {"en"}


def test_every_second_word_is_a_near_miss() -> None:
    """What sounds like a keyword is said far more often than any other word."""
    said = Counter(
        word for phrase in phrases(COUNT, ("stop",), seed=0) for word in phrase.text.split()
    )
    near = {word for word, count in said.items() if count > 100}
    assert {"top", "star", "step", "stock", "stopped"} <= near
    assert not near & {"yes", "green", "yellow", "remember", "the"}
    assert 0.45 < sum(said[word] for word in near) / said.total() < 0.55
    few = Counter(
        word for phrase in phrases(COUNT, ("stop",), seed=0, near_share=0.1)
        for word in phrase.text.split()
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


def test_held_out_words_are_never_said_otherwise() -> None:
    """Not one word is in both, in any language, and neither has what sounds like a keyword."""
    said, held_out = (
        {word for phrase in made for word in phrase.text.split()}
        for made in (
            phrases(COUNT, ("no", "right"), seed=0, held_out=held_out) for held_out in (False, True)
        )
    )
    assert len(held_out) > 5000
    assert not said & held_out
    assert not {"nough", "wright"} & held_out


def test_held_out_foreign_words_are_never_said_otherwise() -> None:
    """As with English ones, in each language."""
    pytest.importorskip("espeakng_loader")
    said, held_out = (
        {
            (phrase.language, word)
            for phrase in foreign(COUNT, ("no",), seed=0, held_out=held_out)
            for word in phrase.text.split()
        }
        for held_out in (False, True)
    )
    assert len({language for language, _ in held_out}) == 16
    assert not said & held_out


def test_foreign_phrases_are_of_many_languages() -> None:
    """As many as asked for, of one to three words, evenly from sixteen languages; never English."""
    pytest.importorskip("espeakng_loader")
    made = foreign(800, ("yes",), seed=0)
    assert {len(phrase.text.split()) for phrase in made} == {1, 2, 3}
    assert set(Counter(phrase.language for phrase in made).values()) == {50}
    languages = {phrase.language for phrase in made}
    assert len(languages) == 16
    assert "en" not in languages
    assert made == foreign(800, ("yes",), seed=0) != foreign(800, ("yes",), seed=1)
    assert len(foreign(3, ("yes",), seed=0)) == 3


def test_what_sounds_like_a_keyword_in_another_language_is_left_out() -> None:
    """Neither French "nos" nor Spanish "no", where "no" is a keyword; but where it is none."""
    pytest.importorskip("espeakng_loader")

    def said(keyword: str, language: str) -> set[str]:
        made = foreign(40_000, (keyword,), seed=0)
        phrases = [phrase.text for phrase in made if phrase.language == language]
        return {word for text in phrases for word in text.split()}

    assert not {"nos", "no"} & said("no", "fr")
    assert {"nos", "nous"} <= said("stop", "fr")


@pytest.mark.parametrize(
    ("package", "extra"), [("wordfreq", "synth"), ("speechrec.synth_espeak", "synth-gpl")]
)
def test_what_foreign_phrases_miss_is_named(
    monkeypatch: pytest.MonkeyPatch, package: str, extra: str
) -> None:
    """The extra that brings the word lists, or the one that brings the voice."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"speechrec\[{extra}\]"):
        foreign(1, ("yes",), seed=0)
