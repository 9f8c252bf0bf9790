"""A stream gives the same commands however it is cut, one for each word, at the word's time."""

import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from conftest import GLIDES, speak
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speechrec.augment import coloured_noise
from speechrec.config import SILENCE, UNKNOWN, FeatureConfig
from speechrec.doubt import Doubts
from speechrec.errors import AudioError, ConfigError, SpeechrecError
from speechrec.event import Event
from speechrec.events import EventFinder, find_events
from speechrec.features import FrontEnd, clip_features
from speechrec.frame_ring import FrameRing
from speechrec.gate import word_extent
from speechrec.locate import installed_models
from speechrec.placing import awaited_frames
from speechrec.recognizer import Recognizer
from speechrec.stream import Decider, Detection, Detector

RATE = 16_000
# Of a made-up word, the part that is within 17 dB of its loudest.
HALF_WORD_S = 0.25
Array = npt.NDArray[np.float32]
State = tuple[int, int, int, int, bytes, bytes]

CONFIG = FeatureConfig()
SHIPPED = installed_models()["commands-en"]


@pytest.fixture(scope="module")
def shipped() -> Recognizer:
    """For what is true whatever the network answers."""
    return Recognizer.load(SHIPPED)


@pytest.fixture(scope="module")
def glides(recogniser_file: Path) -> Recognizer:
    """It knows the made-up words rise, fall and high; low is unknown."""
    return Recognizer.load(recogniser_file)


def background(seconds: float, *, seed: int = 0, level: float = 0.003) -> Array:
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal(round(seconds * RATE))).astype(np.float32)


def sentence(
    words: Iterable[str], *, pause_s: float = 0.7, seed: int = 3
) -> tuple[Array, list[tuple[str, float]]]:
    """Words with pauses around them, and the second at which each has its middle."""
    rng = np.random.default_rng(seed)
    wave, middles = background(pause_s, seed=seed), []
    for number, word in enumerate(words):
        middles.append((word, len(wave) / RATE + 0.5))
        pause = background(pause_s, seed=seed + number + 1)
        wave = np.concatenate((wave, speak(word, rng=rng), pause))
    return wave, middles


TWO_WORDS, _ = sentence(("rise", "high"), pause_s=0.1)
ONE_WORD = speak("fall", seconds=0.7, rng=np.random.default_rng(5))


def pieces(wave: Array, sizes: Iterable[int]) -> Iterator[Array]:
    """The wave in blocks of these sizes, over and over."""
    start = 0
    for size in cycle(sizes):
        if start >= len(wave):
            return
        yield wave[start : start + size]
        start += size


def events_of(recognizer: Recognizer, blocks: Iterable[Array]) -> list[Event]:
    return [event for events, _ in find_events(recognizer, blocks) for event in events]


def states(events: Iterable[Event]) -> list[State]:
    """Everything about events, to the last bit."""
    return [
        (e.centre, e.start, e.stop, e.known, e.posteriors.tobytes(), e.clip.tobytes())
        for e in events
    ]


def detections_of(detector: Detector, blocks: Iterable[Array]) -> list[Detection]:
    found = [found for block in blocks for found in detector.push(block)]
    return found + detector.finish()


@pytest.fixture
def asked(shipped: Recognizer, monkeypatch: pytest.MonkeyPatch) -> list[Array]:
    """Every (1024,) vector that the shipped network is given from now on."""
    vectors: list[Array] = []
    scores = shipped.stream_scores

    def spy(x: Array) -> Array:
        vectors.extend(np.array(row) for row in x)
        return scores(x)

    monkeypatch.setattr(shipped, "stream_scores", spy)
    return vectors


LABELS = ("yes", "no", UNKNOWN, SILENCE)


def answers(x: Array, *, yes: float = 0.0, no: float = 0.0, unknown: float = 0.0) -> Array:
    """The same posteriors for every vector."""
    return np.tile(np.float32([yes, no, unknown, 1 - yes - no - unknown]), (len(x), 1))


def network(
    scores: Callable[[Array], Array],
    config: FeatureConfig = CONFIG,
    *,
    has_stream_network: bool = True,
) -> Recognizer:
    """A recogniser of yes and no that answers as it is told to."""
    recognizer = SimpleNamespace(
        config=config, front_end=FrontEnd(config), labels=LABELS, stream_scores=scores,
        has_stream_network=has_stream_network,
    )  # fmt: skip
    return cast(Recognizer, recognizer)


@pytest.fixture(scope="module")
def whole(shipped: Recognizer, glides: Recognizer) -> tuple[list[State], list[Detection]]:
    """Events and detections of two words that come as one block."""
    detector = Detector(glides, thresholds=dict.fromkeys(glides.keywords, 0.01))
    return states(events_of(shipped, [TWO_WORDS])), detections_of(detector, [TWO_WORDS])


sizes = st.lists(
    st.one_of(
        st.integers(0, 3), st.integers(0, 2000), st.sampled_from([159, 160, 479, 480, 481, 16_000])
    ),
    min_size=1,
    max_size=30,
).filter(lambda drawn: sum(drawn) >= 100)


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=sizes)
def test_how_a_stream_is_cut_does_not_show(
    shipped: Recognizer,
    glides: Recognizer,
    whole: tuple[list[State], list[Detection]],
    drawn: list[int],
) -> None:
    """Blocks of any sizes, empty ones among them, give bit for bit the same."""
    events, detections = whole
    assert len(events) >= 2
    assert detections
    assert states(events_of(shipped, pieces(TWO_WORDS, drawn))) == events
    detector = Detector(glides, thresholds=dict.fromkeys(glides.keywords, 0.01))
    assert detections_of(detector, pieces(TWO_WORDS, drawn)) == detections


def test_sample_by_sample(shipped: Recognizer) -> None:
    """Single samples give bit for bit the same, and an event comes with the sample it needs."""
    wave = np.concatenate((ONE_WORD, background(0.4)))
    finder, found = EventFinder(shipped), []
    for number, sample in enumerate(wave, 1):
        for event in finder.push(np.array([sample])):
            assert event.known == number
            found.append(event)
    assert len(found) == 1
    found += finder.finish()
    assert states(found) == states(events_of(shipped, [wave]))


def test_what_is_pushed_may_be_overwritten(shipped: Recognizer) -> None:
    """A caller may use one buffer for all blocks."""
    finder, buffer, found = EventFinder(shipped), np.empty(480, dtype=np.float32), []
    for block in pieces(ONE_WORD, [480]):
        buffer[: len(block)] = block
        found += finder.push(buffer[: len(block)])
    found += finder.finish()
    assert states(found) == states(events_of(shipped, [ONE_WORD]))


def test_two_streams_do_not_disturb_each_other(shipped: Recognizer) -> None:
    """Finders with one recogniser keep their streams apart."""
    one, other = EventFinder(shipped), EventFinder(shipped)
    found: tuple[list[Event], list[Event]] = ([], [])
    for left, right in zip(pieces(TWO_WORDS, [700]), pieces(TWO_WORDS[::-1], [700]), strict=True):
        found[0].extend(one.push(left))
        found[1].extend(other.push(right))
    found[0].extend(one.finish())
    found[1].extend(other.finish())
    assert states(found[0]) == states(events_of(shipped, [TWO_WORDS]))
    assert states(found[1]) == states(events_of(shipped, [TWO_WORDS[::-1].copy()]))


@pytest.mark.parametrize("pause_s", [0.1, 0.7])
@pytest.mark.parametrize("seed", [1, 3])
def test_one_utterance_is_one_detection(glides: Recognizer, seed: int, pause_s: float) -> None:
    """Each keyword is heard once, in order, and an unknown word not at all."""
    said = ("rise", "high", "low", "fall", "rise", "high")
    wave, middles = sentence(said, pause_s=pause_s, seed=seed)
    detector = Detector(glides, thresholds=dict.fromkeys(glides.keywords, 0.7))
    found = detections_of(detector, [wave])
    assert [each.label for each in found] == [word for word in said if word != "low"]
    known = [middle for word, middle in middles if word != "low"]
    for each, middle in zip(found, known, strict=True):
        # The times lie around the word, and it is certain soon after its end.
        assert abs((each.start_s + each.end_s) / 2 - middle) < 0.03
        assert each.start_s == pytest.approx(middle - HALF_WORD_S, abs=0.06)
        assert each.end_s == pytest.approx(middle + HALF_WORD_S, abs=0.06)
        assert each.end_s < each.known_s < middle + 0.5
        assert 0.6 <= each.confidence <= 1


@pytest.mark.parametrize("offset", [0, 1, 7, 120, 239, 240, 333, 479])
def test_where_a_word_stands_between_two_windows_does_not_matter(
    glides: Recognizer, offset: int
) -> None:
    """A word is found once, at its place, wherever it falls into the grid of windows."""
    wave = np.concatenate((background(0.5)[:offset], ONE_WORD, background(0.5, seed=1)))
    (event,) = events_of(glides, [wave])
    assert event.centre == pytest.approx(offset + 0.35 * RATE, abs=0.03 * RATE)
    assert glides.labels[int(event.posteriors.argmax())] == "fall"


@pytest.mark.parametrize(("before_s", "after_s"), [(0, 0.6), (0.613, 0), (0.1, 0.1)])
def test_a_word_at_an_end_of_the_stream(
    glides: Recognizer, before_s: float, after_s: float
) -> None:
    """A word that begins with the stream or ends with it is heard, at times within it."""
    before = background(before_s)
    wave = np.concatenate((before, ONE_WORD[:9333], background(after_s, seed=1)))
    detector = Detector(glides, thresholds=dict.fromkeys(glides.keywords, 0.3))
    (found,) = detections_of(detector, [wave])
    assert found.label == "fall"
    assert found.start_s == pytest.approx(len(before) / RATE + 0.1, abs=0.1)
    assert 0 <= found.start_s < found.end_s <= found.known_s <= len(wave) / RATE


def test_sound_that_breaks_off_ends_with_the_stream(shipped: Recognizer) -> None:
    """The end of a word that the stream cuts off is no later than the last sample."""
    wave = np.concatenate((background(0.5), ONE_WORD[:5555]))
    events = events_of(shipped, [wave])
    assert events
    assert all(e.start < e.stop <= len(wave) and e.known <= len(wave) for e in events)
    assert events[-1].stop > len(wave) - RATE // 20


@pytest.mark.parametrize("samples", [8000, 8111, 8479])
@pytest.mark.parametrize("before_end", [0, 160, 800])
def test_nothing_is_left_waiting_at_the_end(
    shipped: Recognizer, samples: int, before_end: int
) -> None:
    """Even what sounds in the last hundredth of a second is looked at, once."""
    wave = background(1)[:samples]
    stop = samples - before_end
    wave[stop - 160 : stop] = 0.3
    (found,) = events_of(shipped, [wave])
    assert found.centre == pytest.approx(stop - 80, abs=240)
    assert found.start < stop - 80 < found.stop <= found.known == samples


@pytest.mark.parametrize("pause", [0, 1, 4000, 8000])
def test_finish_without_a_sample(shipped: Recognizer, pause: int) -> None:
    """An empty stream, or one of a few zeros, ends with nothing heard."""
    assert EventFinder(shipped).finish() == []
    detector = Detector(shipped)
    assert detector.push(np.zeros(pause, dtype=np.float32)) == []
    assert detector.finish() == []
    assert events_of(shipped, []) == []


def test_nothing_can_be_pushed_after_the_end(shipped: Recognizer) -> None:
    """It would be taken for a part of the same sound, at wrong times."""
    detector = Detector(shipped)
    detector.push(ONE_WORD)
    detector.finish()
    with pytest.raises(ValueError, match=r"expected no sound after finish\(\)"):
        detector.push(ONE_WORD)
    assert detector.finish() == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_what_is_no_number_is_refused(shipped: Recognizer, value: float) -> None:
    """NaN and infinity are an error that says so, and the stream goes on as if not pushed."""
    finder = EventFinder(shipped)
    found = finder.push(ONE_WORD[:5000])
    block = np.zeros(300)
    block[200] = value
    with pytest.raises(AudioError, match="NaN or infinity") as caught:
        finder.push(block)
    assert caught.value.kind == "not_finite"
    assert "expected" in str(caught.value)
    found += finder.push(ONE_WORD[5000:]) + finder.finish()
    assert states(found) == states(events_of(shipped, [ONE_WORD]))


@pytest.mark.parametrize("level", [1.5, 1e10, 1e18, 1e19, 3e38])
def test_what_is_too_loud_is_full_scale(shipped: Recognizer, level: float) -> None:
    """Samples beyond full scale, however far, are heard as full scale, with finite posteriors."""
    wave = background(1.5)
    wave[12_000:12_400] = 1
    events = events_of(shipped, [np.where(wave == 1, np.float32(level), wave)])
    assert events
    assert all(np.isfinite(event.posteriors).all() for event in events)
    assert states(events) == states(events_of(shipped, [wave]))


@pytest.mark.parametrize("shape", [(), (1, 100), (100, 2)])
def test_samples_of_another_shape_are_refused(shipped: Recognizer, shape: tuple[int, ...]) -> None:
    """Only one channel is a stream."""
    with pytest.raises(ValueError, match="expected float samples"):
        EventFinder(shipped).push(np.zeros(shape, dtype=np.float32))


def test_whole_numbers_are_refused(shipped: Recognizer) -> None:
    """As devices give them they would all be at full scale, and nothing would be heard."""
    with pytest.raises(ValueError, match=r"expected float samples .*, got int16"):
        EventFinder(shipped).push(np.zeros(100, dtype=np.int16))  # type: ignore[arg-type]


def test_no_frame_is_computed_twice(
    shipped: Recognizer, asked: list[Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each stretch of sound goes through the FFT at most once, though windows overlap."""
    computed: list[bytes] = []
    log_mel = FrontEnd.log_mel

    def spy(front_end: FrontEnd, wave: Array, out: Array) -> None:
        config = front_end.config
        for start in range(0, out.shape[1] * config.hop_samples, config.hop_samples):
            stretch = wave[start : start + config.window_samples]
            # No two stretches of noise are alike, but those of what is before the stream.
            if np.ptp(stretch):
                computed.append(stretch.tobytes())
        log_mel(front_end, wave, out)

    wave, _ = sentence(("rise", "low", "fall", "high"), pause_s=0.05)
    monkeypatch.setattr(FrontEnd, "log_mel", spy)
    events_of(shipped, pieces(wave, [1000, 77]))
    assert len(asked) >= 8
    assert len(computed) == len(set(computed))
    # Without the ring it would be one window's frames for each question.
    assert len(computed) < 27 * len(asked) / 2


def surrounded(wave: Array, after: int = 0) -> Array:
    """A stream with what a detector hears before and after it: the offset of its first 0.35 s, and
    of its last."""
    before, behind = (np.float32(part.mean()) for part in (wave[:5600], wave[-5600:]))
    around = (np.full(RATE // 2, before), wave, np.full(after, behind))
    return np.concatenate(around).astype(np.float32)


def heard_of(event: Event, wave: Array) -> tuple[int, int]:
    """Where the second of an event begins in the stream, and how much of it had come in."""
    padded, waited = surrounded(wave), 13_600
    (begin,) = [
        begin
        for begin in range(0, len(padded) - waited, 480)
        if np.array_equal(padded[begin : begin + waited], event.clip[:waited])
    ]
    begin -= RATE // 2
    return begin, min(RATE, event.known - begin)


def test_the_network_is_asked_about_the_clip() -> None:
    """A window's frames are those of its clip as far as it is heard, the rest those mirrored."""
    asked: list[Array] = []

    def scores(x: Array) -> Array:
        asked.extend(x)
        return answers(x, unknown=1)

    wave, _ = sentence(("rise", "fall", "high"), pause_s=0.1)
    events = events_of(network(scores), pieces(wave, [313]))
    assert len(events) >= 3
    for event in events:
        frames = 27 + (heard_of(event, wave)[1] - 13_600) // 480
        picture = clip_features(event.clip[np.newaxis], CONFIG).reshape(32, 32)
        given = min(
            (vector.reshape(32, 32) for vector in asked),
            key=lambda vector: float(np.abs(vector - picture)[:, :frames].max()),
        )
        np.testing.assert_allclose(given[:, :frames], picture[:, :frames], rtol=0, atol=1e-4)
        mirror = given[:, frames - 1 : 2 * frames - 33 : -1]
        np.testing.assert_array_equal(given[:, frames:], mirror)


@pytest.mark.parametrize(
    ("hop_ms", "frames", "bands"), [(120, 8, 128), (110, 8, 128), (55, 16, 64), (3.5, 256, 4)]
)
def test_streams_of_other_front_ends(hop_ms: float, frames: int, bands: int) -> None:
    """Long hops and short ones, few frames and many: what is asked is the front end's picture."""
    config = FeatureConfig(hop_ms=hop_ms, frames=frames, bands=bands)
    front_end, vectors = FrontEnd(config), list[Array]()

    def scores(x: Array) -> Array:
        vectors.extend(np.array(x))
        return answers(x, yes=0.5, unknown=0.5)

    events = events_of(network(scores, config), pieces(TWO_WORDS, [313]))
    assert len(events) >= 2
    heard = awaited_frames(config)
    for event in events:
        picture = front_end(event.clip[np.newaxis]).reshape(bands, frames)[:, :heard]
        nearest = min(
            float(np.abs(vector.reshape(bands, frames)[:, :heard] - picture).max())
            for vector in vectors
        )
        assert nearest < 1e-3


def test_the_clip_is_the_stream_mirrored() -> None:
    """The clip is all that has come in of the second around its event, and its end backwards."""
    events = events_of(network(lambda x: answers(x, yes=0.999)), [TWO_WORDS])
    # More than a window waits for: an answer comes with the last of the windows it is about.
    assert max(heard_of(event, TWO_WORDS)[1] for event in events) > 13_600
    for event in events:
        (begin, heard), clip = heard_of(event, TWO_WORDS), event.clip
        assert clip.shape == (RATE,)
        padded = np.concatenate((np.zeros(RATE // 2, np.float32), TWO_WORDS))
        np.testing.assert_array_equal(clip[:heard], padded[begin + RATE // 2 :][:heard])
        np.testing.assert_array_equal(clip[heard:], clip[heard - 1 : 2 * heard - RATE - 1 : -1])
        # The event stands in the middle of it.
        assert abs(event.centre - begin - RATE // 2) <= 720


@pytest.mark.parametrize(("has_stream_network", "mean"), [(True, 0.75), (False, 0.8)])
def test_posteriors_are_the_mean_of_those_around(has_stream_network: bool, mean: float) -> None:
    """No command is sure of two windows, the network of single clips is asked about three."""
    rows = np.float32([[0, 0, 1, 0], [0, 0, 0.5, 0.5], [0, 0, 0.9, 0.1]])
    asked = network(lambda x: rows[: len(x)], has_stream_network=has_stream_network)
    (event,) = events_of(asked, [WORD_ALONE])
    np.testing.assert_allclose(event.posteriors, [0, 0, mean, 1 - mean], atol=1e-6)


WORD_ALONE = np.concatenate((background(0.4), ONE_WORD, background(0.7, seed=1)))


@pytest.mark.parametrize(
    ("yes", "no", "unknown", "times"),
    [
        (0.0, 0.0, 1.0, 1), (0.19, 0.0, 0.81, 1), (0.21, 0.0, 0.79, 3), (0.997, 0.0, 0.003, 3),
        (0.999, 0.0, 0.001, 2), (0.9996, 0.0, 0.0004, 1), (0.6, 0.39, 0.0, 3),
    ],
)  # fmt: skip
def test_where_there_is_a_doubt_the_network_is_asked_again(
    yes: float, no: float, unknown: float, times: int
) -> None:
    """The less sure an answer, the more windows; what is no command is asked about no more."""
    asked: list[int] = []

    def scores(x: Array) -> Array:
        asked.append(len(x))
        return answers(x, yes=yes, no=no, unknown=unknown)

    (event,) = events_of(network(scores), [WORD_ALONE])
    assert asked == [2, 3, 7][:times]
    # A first answer does not wait for the end of its window, a last one for that of its last.
    assert event.known - event.centre < RATE // 2 + 180 * 16 + 2 * 480
    assert (event.known - event.centre > RATE // 2) == (times == 3)
    # Without a network for streams it is the one for single clips, which knows of no shifts.
    asked.clear()
    (once,) = events_of(network(scores, has_stream_network=False), [WORD_ALONE])
    assert asked == [3]
    assert abs(once.centre - event.centre) < 480


def test_a_sure_answer_comes_a_hop_earlier() -> None:
    """What is sure of two windows does not wait for the third."""
    known = [
        events_of(network(lambda x, yes=yes: answers(x, yes=yes)), [WORD_ALONE])[0].known
        for yes in (0.9996, 0.999)
    ]
    assert known[1] - known[0] == 480


def test_a_second_answer_is_about_whole_windows_around_the_sound() -> None:
    """Seven windows, 60 ms apart, the middle one on the sound; the mean of their posteriors."""
    asked: list[Array] = []

    def scores(x: Array) -> Array:
        asked.append(x)
        return (
            answers(x, yes=0.9) if len(asked) < 3 else np.float32([[n, 0, 0, 0] for n in range(7)])
        )

    (event,) = events_of(network(scores), pieces(WORD_ALONE, [313]))
    assert event.posteriors[0] == 3
    padded = surrounded(WORD_ALONE)
    middle = round(event.centre / 480)
    for number, vector in zip(range(middle - 6, middle + 7, 2), asked[2], strict=True):
        clip = padded[number * 480 :][:RATE]
        np.testing.assert_allclose(vector, clip_features(clip[np.newaxis], CONFIG)[0], atol=1e-4)
    # So is its clip.
    assert any(
        np.array_equal(event.clip, padded[n * 480 :][:RATE])
        for n in (middle - 1, middle, middle + 1)
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("yes", [0.5, 0.999])
def test_what_is_asked_about_is_what_was_heard(
    seed: int, yes: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However close words and doubts follow each other, no frame is of another place."""
    asked: list[tuple[Array, Array, Array]] = []
    windows = FrameRing.windows

    def spy(ring: FrameRing, numbers: Array, heard: Array) -> Array:
        vectors = windows(ring, numbers, heard)  # type: ignore[arg-type]
        asked.append((numbers, np.broadcast_to(heard, numbers.shape), vectors))
        return vectors

    monkeypatch.setattr(FrameRing, "windows", spy)
    rng = np.random.default_rng(seed)
    pauses = [background(float(rng.uniform(0.01, 0.8)), seed=n) for n in range(8)]
    wave = np.concatenate([np.concatenate((rng.uniform(0.1, 1) * ONE_WORD, p)) for p in pauses])
    unsure = network(lambda x: answers(x, yes=yes, unknown=1 - yes))
    events_of(unsure, pieces(wave.astype(np.float32), [int(rng.integers(100, 9000))]))
    padded = surrounded(wave, 2 * RATE)
    assert {len(numbers) for numbers, _, _ in asked} >= ({2, 3, 7} if yes == 0.5 else {2, 3})
    for number, heard, vector in (row for rows in asked for row in zip(*rows, strict=True)):
        clip = padded[480 * int(number) :][:RATE]
        picture = clip_features(clip[np.newaxis], CONFIG).reshape(32, 32)[:, : int(heard)]
        np.testing.assert_allclose(vector.reshape(32, 32)[:, : int(heard)], picture, atol=1e-4)


def test_a_stream_that_ends_in_doubt_keeps_the_first_answer() -> None:
    """A word at the very end is an event, though its windows never come in as a whole."""
    asked: list[int] = []

    def scores(x: Array) -> Array:
        asked.append(len(x))
        return answers(x, yes=0.5, unknown=0.5)

    (event,) = events_of(network(scores), [ONE_WORD[:8500]])
    assert asked == [2, 3]
    assert event.posteriors[0] == 0.5
    assert event.known == 8500


@pytest.mark.parametrize("yes", [0.5, 0.999, 0.9996])
def test_a_command_in_the_middle_of_talk_is_less_likely(yes: float) -> None:
    """After another word its odds are lower, at an early answer, a later one, and at the end."""

    def confidences(before: str, wave: Array) -> list[float]:
        words = iter([{before: 1.0}])
        said = {"yes": yes, "unknown": 1 - yes}
        first = network(lambda x: answers(x, **(next(words, said) if len(x) == 2 else said)))
        return [float(event.posteriors[0]) for event in events_of(first, [wave])]

    for tail_s in (0.0, 1.0):
        wave = np.concatenate((WORD_ALONE, ONE_WORD[:8500], background(tail_s, seed=2)))
        alone, after = confidences("no", wave)[-1], confidences("unknown", wave)[-1]
        assert alone == pytest.approx(yes)
        assert after / (1 - after) == pytest.approx(yes / (1 - yes) * math.exp(-2), rel=1e-3)


@settings(deadline=None, max_examples=20)
@given(drawn=sizes)
def test_doubts_do_not_show_how_a_stream_is_cut(drawn: list[int]) -> None:
    """Second answers are the same to the last bit too, and so is their order."""

    def scores(x: Array) -> Array:
        yes = 0.5 + 0.5 * np.sin(x.sum(axis=1))
        return np.stack([yes, 0 * yes, 1 - yes, 0 * yes], axis=1)

    wave = np.concatenate((TWO_WORDS, TWO_WORDS[::-1]))
    events = events_of(network(scores), [wave])
    assert len(events) >= 4
    assert [e.known for e in events] == sorted(e.known for e in events)
    assert states(events_of(network(scores), pieces(wave, drawn))) == states(events)


@pytest.mark.parametrize(
    ("word", "offset", "before", "cut"),
    [("rise", 0.1, 4500, 0), ("rise", 0.2, 3500, 0), ("low", 0.3, 24_000, 331)],
)
def test_events_lie_in_their_stream(
    shipped: Recognizer, word: str, offset: float, before: int, cut: int
) -> None:
    """An edge at the beginning or the end, such as of a constant offset, is no part of a word."""
    said = speak(word, seconds=0.7, rng=np.random.default_rng(0))
    after = np.zeros(0 if cut else 24_000)
    wave = np.concatenate((np.zeros(before), said[: len(said) - cut], after)) + offset
    events = events_of(shipped, [np.float32(wave)])
    assert events
    for event in events:
        assert 0 <= event.start < event.stop <= event.known <= len(wave)


@pytest.mark.parametrize("offset", [-0.2, 0.02, 0.2])
def test_a_constant_offset_hides_no_word(glides: Recognizer, offset: float) -> None:
    """Words at the very beginning and end of a sound are heard as they are without an offset."""
    wave = np.concatenate((ONE_WORD[3000:], background(1.0), ONE_WORD[: len(ONE_WORD) - 3000]))
    assert np.abs(wave).max() < 0.8
    plain, moved = (events_of(glides, [np.float32(wave + by)]) for by in (0.0, offset))
    assert len(plain) == len(moved) == 2
    for event, other in zip(plain, moved, strict=True):
        assert (event.centre, event.start, event.stop) == pytest.approx(
            (other.centre, other.start, other.stop), abs=0.01 * RATE
        )
        np.testing.assert_allclose(event.posteriors, other.posteriors, atol=0.05)


@pytest.mark.parametrize("hum_hz", [5, 20, 40, 50])
def test_what_is_below_speech_hides_no_word(glides: Recognizer, hum_hz: float) -> None:
    """A hum twice as loud as the words, of which the features know nothing, changes nothing."""
    wave, middles = sentence(("rise", "fall", "high"))
    hum = 0.35 * np.sin(2 * np.pi * hum_hz * np.arange(len(wave)) / RATE + 1)
    for sound in (wave, wave + hum):
        # Where a hum begins and ends is a sound.
        events = [
            (event.centre / RATE, glides.labels[int(event.posteriors.argmax())])
            for event in events_of(glides, [np.float32(sound)])
            if 0.5 < event.centre / RATE < len(wave) / RATE - 0.5
        ]
        assert [word for _, word in events] == [word for word, _ in middles]
        for (centre_s, _), (_, middle_s) in zip(events, middles, strict=True):
            assert centre_s == pytest.approx(middle_s, abs=0.1)


def test_what_stands_out_before_the_stream_alone_has_a_level(
    glides: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Talk before a sound is weighed by levels, of which that of nothing is a number too."""
    excess = np.zeros(100, np.float32)
    excess[49] = 1.0
    monkeypatch.setattr("speechrec.events.excess_energy", lambda *_: (excess, 0.0))
    events = events_of(glides, [background(0.5)])
    assert events
    assert all(math.isfinite(math.log10(event.power)) for event in events)


@pytest.mark.parametrize(("sample", "block"), [(-500, 0), (0, 0), (321, 2), (99_999, 4)])
def test_where_nothing_stands_out_a_word_is_a_block(sample: int, block: int) -> None:
    """The one around its middle, or the nearest one there is."""
    assert word_extent(np.zeros(5, np.float32), sample, CONFIG) == (block, block + 1)


def hum(samples: int) -> Array:
    return (0.1 * np.sin(2 * np.pi * 50 * np.arange(samples) / RATE)).astype(np.float32)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: np.zeros(n),
        lambda n: np.full(n, 0.3),
        hum,
        lambda n: 1e-5 * np.sin(np.arange(n) / 3) * (np.arange(n) % RATE < 3000),
        lambda n: background(n / RATE, level=1e-4),
        lambda n: background(n / RATE, level=0.1),
        lambda n: 0.1 * hum(n) + background(n / RATE, level=0.001),
    ],
    ids=["zeros", "constant", "hum", "below -75 dB", "hiss", "loud hiss", "hum and hiss"],
)  # fmt: skip
def test_silence_never_asks_the_network(
    shipped: Recognizer, asked: list[Array], make: Callable[[int], Array]
) -> None:
    """Where nothing but a steady background sounds, energies are all that is computed."""
    assert events_of(shipped, [np.float32(make(6 * RATE))]) == []
    assert asked == []


@pytest.mark.parametrize(("above_db", "heard"), [(3, False), (6, True)])
@pytest.mark.parametrize("level", [0.001, 0.1])
def test_the_gate_opens_4_db_above_the_background(
    shipped: Recognizer, asked: list[Array], level: float, above_db: float, heard: bool
) -> None:
    """A swell of noise is asked about if it is louder than that, whatever the background."""
    wave = background(3, level=level)
    wave[24_000:27_200] *= np.float32(10 ** (above_db / 20))
    events_of(shipped, [wave])
    assert bool(asked) == heard


def in_noise(word: Array, colour: str, snr_db: float, seed: int) -> Array:
    """Two seconds of noise with the word in the middle, so far above it in its loud part."""
    rng = np.random.default_rng(seed)
    noise = coloured_noise(rng, 2 * RATE, colour=colour, sample_rate_hz=RATE)
    powers = np.square(word[: len(word) // 160 * 160]).reshape(-1, 160).mean(axis=1)
    power = float(powers[powers > 0.01 * powers.max()].mean())
    scale = np.sqrt(power / float(np.square(noise).mean())) * 10 ** (-snr_db / 20)
    wave = noise * np.float32(scale)
    start = RATE - len(word) // 2
    wave[start : start + len(word)] += word
    return np.clip(wave, -1, 1)


@pytest.mark.parametrize("colour", ["white", "pink"])
@pytest.mark.parametrize("word", GLIDES)
@pytest.mark.parametrize("speaker", [0.85, 1.15])
def test_a_word_10_db_above_noise_passes_the_gate(
    shipped: Recognizer, asked: list[Array], word: str, speaker: float, colour: str
) -> None:
    """The network is asked while the word is in the middle of the window."""
    spoken = speak(word, speaker=speaker, seconds=0.8, rng=np.random.default_rng(4))
    events = events_of(shipped, [in_noise(spoken, colour, 10, seed=6)])
    assert asked
    assert any(abs(event.centre - RATE) < RATE // 10 for event in events)


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Array]]:
    """Three of the shipped recogniser's commands in synthetic voices, a second each."""
    pytest.importorskip("py_nanotts")
    folder = tmp_path_factory.mktemp("voices") / "spoken"
    # By itself: one of the engines cannot share a process with TensorFlow.
    synth = [
        sys.executable, "-m", "speechrec", "synth", "--words", "yes,left,stop", "--voices", "4",
        "--out", str(folder),
    ]  # fmt: skip
    subprocess.run(synth, check=True, capture_output=True)
    return [
        (word, soundfile.read(path, dtype="float32")[0])
        for word in ("yes", "left", "stop")
        for path in sorted((folder / word).glob("*.wav"))
    ]


def test_spoken_words_10_db_above_noise_pass_the_gate(
    shipped: Recognizer, asked: list[Array], voices: list[tuple[str, Array]]
) -> None:
    """Not one of the words of synthetic voices is kept from the network."""
    for number, (_, word) in enumerate(voices):
        before = len(asked)
        events_of(shipped, [in_noise(word, "pink", 10, seed=number)])
        assert len(asked) > before


def test_spoken_words_are_heard_once(shipped: Recognizer, voices: list[tuple[str, Array]]) -> None:
    """The shipped recogniser hears most words of synthetic voices, and none twice."""
    labels = [
        [found.label for found in detections_of(Detector(shipped), [np.pad(wave, RATE // 2)])]
        for _, wave in voices
    ]
    assert max(map(len, labels)) == 1
    right = sum(heard == [word] for heard, (word, _) in zip(labels, voices, strict=True))
    # Synthesisers are no people: a voice may fail, most must not.
    assert right >= 0.6 * len(voices)


def arrays_in(value: object) -> Iterator[Array]:
    """All arrays that a finder, or what it keeps, holds on to; not those of its recogniser."""
    if isinstance(value, np.ndarray):
        yield value if value.base is None else value.base
    elif isinstance(value, list | tuple):
        for item in value:
            yield from arrays_in(item)
    elif isinstance(value, Event):
        yield from arrays_in((value.posteriors, value.clip))
    elif isinstance(value, EventFinder | FrameRing | Doubts):
        yield from arrays_in(list(vars(value).values()))


def held(finder: EventFinder) -> int:
    """Bytes of all arrays that a finder keeps alive."""
    return sum(array.nbytes for array in arrays_in(finder))


@pytest.mark.parametrize("block_s", [0.1, 20.0])
@pytest.mark.parametrize("make", [background, lambda s: np.tile(ONE_WORD, 1 + int(s / 0.7))])
def test_memory_does_not_grow(
    shipped: Recognizer, make: Callable[[float], Array], block_s: float
) -> None:
    """Whether a second has come in or forty, in small blocks or large, about the same is kept."""
    finder, most = EventFinder(shipped), 0
    for block in pieces(make(40.0), [round(block_s * RATE)]):
        finder.push(block)
        most = max(most, held(finder))
    # Three windows, a clip that is coming in, what an answer looks back at, the ring of frames, and
    # the clips of what is in doubt.
    assert 0 < most < 6 * 4 * RATE


def event(
    labels: tuple[str, ...], best: str, value: float, *, at_s: float, known_s: float = 0.0
) -> Event:
    """An event of half a second, with one label at ``value`` and the rest for no command."""
    posteriors = np.zeros(len(labels), dtype=np.float32)
    posteriors[labels.index(best)] = value
    posteriors[labels.index(SILENCE if best == UNKNOWN else UNKNOWN)] = 1 - value
    centre = round(at_s * RATE)
    return Event(
        centre, centre - RATE // 4, centre + RATE // 4, round(known_s * RATE), 1.0, posteriors,
        np.zeros(0, dtype=np.float32),
    )  # fmt: skip


def decider(yes: float = 0.5, no: float = 0.5) -> Decider:
    return Decider(LABELS, {"yes": yes, "no": no}, rate_hz=RATE)


def test_a_detection_is_what_the_event_says() -> None:
    """Label, times in seconds and confidence are those of the event."""
    found = decider()(event(LABELS, "no", 0.75, at_s=2.0, known_s=2.5))
    assert found == Detection("no", 1.75, 2.25, 0.75, 2.5)
    assert found.record() == {"label": "no", "start_s": 1.75, "end_s": 2.25, "confidence": 0.75}
    assert json.loads(json.dumps(found.record())) == found.record()


@pytest.mark.parametrize(
    ("best", "value", "heard"),
    [
        ("yes", 0.5, True), ("yes", 0.4999, False), ("no", 0.75, True), ("no", 0.7499, False),
        (UNKNOWN, 0.99, False), (SILENCE, 0.99, False),
    ],
)  # fmt: skip
def test_a_command_counts_from_its_own_threshold_on(best: str, value: float, heard: bool) -> None:
    """At or above the threshold of its label is a command; unknown and silence never are."""
    decide = decider(yes=0.5, no=0.75)
    assert (decide(event(LABELS, best, value, at_s=1)) is not None) == heard


@pytest.mark.parametrize("value", [0.9, 1.0])
def test_a_threshold_of_one_mutes(value: float) -> None:
    """A command with a threshold of 1 is never heard, though posteriors are rounded to 1."""
    assert decider(yes=1.0)(event(LABELS, "yes", value, at_s=1)) is None
    assert decider(no=1.0)(event(LABELS, "yes", value, at_s=1)) is not None


def test_a_threshold_of_one_mutes_a_detector(glides: Recognizer) -> None:
    """A muted command is left out of a stream, the others are heard."""
    wave, _ = sentence(("rise", "high", "fall"))
    detector = Detector(glides, thresholds={"rise": 1.0, "high": 0.5, "fall": 0.5})
    assert [found.label for found in detections_of(detector, [wave])] == ["high", "fall"]


@pytest.mark.parametrize(
    ("later_s", "times"), [(0.03, 1), (0.3, 1), (0.599, 1), (0.6, 2), (1.0, 2)]
)
@pytest.mark.parametrize("second", ["yes", "no"])
def test_refractory_time(second: str, later_s: float, times: int) -> None:
    """After a command nothing is heard for 0.6 s, that or another."""
    decide = decider()
    said = [("yes", 1.0), (second, 1 + later_s)]
    found = [decide(event(LABELS, label, 0.9, at_s=at_s)) for label, at_s in said]
    assert len(list(filter(None, found))) == times


def test_refractory_time_in_any_order() -> None:
    """A command that was in doubt, and comes after a later one, does not end that one's time."""
    decide = decider()
    found = [decide(event(LABELS, "yes", 0.9, at_s=at_s)) for at_s in (1.7, 1.0, 1.75, 1.05)]
    assert [each is not None for each in found] == [True, True, False, False]


@pytest.mark.parametrize(("start_s", "times"), [(1.24, 1), (1.25, 2)])
@pytest.mark.parametrize("is_first", [True, False])
def test_one_utterance_is_reported_once(start_s: float, times: int, is_first: bool) -> None:
    """However far its middle has moved, as what is beside it comes into the window and goes."""
    early = event(LABELS, "yes", 0.9, at_s=1.0)
    late = replace(event(LABELS, "no", 0.9, at_s=1.7), start=round(start_s * RATE))
    decide = decider()
    assert len(decide.all_of([early, late] if is_first else [late, early])) == times


def test_what_is_no_command_starts_no_refractory_time() -> None:
    """An unknown word or an uncertain one does not hide the command after it."""
    decide = decider()
    found = [
        decide(event(LABELS, best, value, at_s=at_s))
        for best, value, at_s in [("no", 0.4, 1.0), (UNKNOWN, 0.9, 1.1), ("yes", 0.9, 1.2)]
    ]
    assert [each.label for each in found if each] == ["yes"]


def test_the_first_moment_can_hold_a_command() -> None:
    """No refractory time runs when a stream begins."""
    assert decider()(event(LABELS, "yes", 0.9, at_s=0.0)) is not None


@pytest.mark.parametrize(
    ("label", "value"),
    [("maybe", 0.5), (UNKNOWN, 0.5), (SILENCE, 0.5), ("yes", 1.01), ("yes", -0.1),
     ("yes", float("nan")), ("yes", "0.5"), ("yes", None)],
)  # fmt: skip
def test_thresholds_of_no_use_are_refused(shipped: Recognizer, label: str, value: object) -> None:
    """A threshold for no command, or no number from 0 to 1, is an error that names both."""
    Detector(shipped, thresholds={"yes": np.float32(0.5), "no": 1})
    with pytest.raises(ConfigError) as caught:
        Detector(shipped, thresholds={label: cast(float, value)})
    assert isinstance(caught.value, SpeechrecError)
    assert f"{value}" in str(caught.value)
    assert repr(label) in str(caught.value)
    assert "yes, no, up" in str(caught.value)


def test_thresholds_not_given_are_the_recognisers(glides: Recognizer) -> None:
    """Given thresholds replace the recogniser's one by one."""
    wave, _ = sentence(("rise", "high"))
    glides.stream_thresholds.update({"rise": 1.0, "high": 0.5})
    try:
        kept = detections_of(Detector(glides, thresholds={"fall": 0.5}), [wave])
        replaced = detections_of(Detector(glides, thresholds={"rise": 0.5}), [wave])
    finally:
        glides.stream_thresholds.update(dict.fromkeys(glides.keywords, glides.threshold))
    assert [found.label for found in kept] == ["high"]
    assert [found.label for found in replaced] == ["rise", "high"]


def test_events_come_with_the_length_of_their_block(shipped: Recognizer) -> None:
    """`find_events` counts the samples of each block, and none for the end."""
    counts = [count for _, count in find_events(shipped, islice(pieces(TWO_WORDS, [7000]), 4))]
    assert counts == [7000, 7000, 7000, 7000, 0]
