"""Misses, false alarms, latency and the DET curve are those that follow from events and truth."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import speak

from speechrec.config import SILENCE, UNKNOWN
from speechrec.errors import AudioError, DatasetError
from speechrec.event import Event
from speechrec.heard import HeardRecording, hear_folder
from speechrec.labels import Command, write_labels
from speechrec.recognizer import Recognizer
from speechrec.recording import Fault
from speechrec.stream_evaluate import (
    FalseAlarm,
    StreamFigures,
    evaluate_streams,
    stream_figures,
)
from speechrec.stream_report import det_figure, to_html, to_text

RATE = 16_000
LABELS = ("yes", "no", UNKNOWN, SILENCE)


def stub(yes: float = 0.5, no: float = 0.5) -> Any:
    """What figures need of a recogniser; its network has already been asked."""
    return SimpleNamespace(
        labels=LABELS,
        keywords=("yes", "no"),
        stream_thresholds={"yes": yes, "no": no},
        config=SimpleNamespace(sample_rate_hz=RATE),
    )


def event(label: str, at_s: float, value: float = 0.9, *, known_s: float | None = None) -> Event:
    """Half a second around ``at_s``, certain 0.4 s after that."""
    posteriors = np.zeros(len(LABELS), dtype=np.float32)
    posteriors[-2:] = (1 - value) / 2
    posteriors[LABELS.index(label)] = value
    centre, known = round(at_s * RATE), round((at_s + 0.4 if known_s is None else known_s) * RATE)
    return Event(
        centre, centre - RATE // 4, centre + RATE // 4, known, 1.0, posteriors,
        np.zeros(0, dtype=np.float32),
    )  # fmt: skip


def heard(
    truth: Sequence[Command], events: Sequence[Event], *, seconds: float = 360.0
) -> list[HeardRecording]:
    return [HeardRecording(Path("a.wav"), "10dB", seconds, tuple(truth), tuple(events))]


def figures(truth: Sequence[Command], events: Sequence[Event]) -> StreamFigures:
    """Of a recording of six minutes, so that one false alarm is ten an hour."""
    return stream_figures(stub(), heard(truth, events))


YES = Command("yes", 1.0, 1.5)


def test_all_is_heard() -> None:
    """Commands that are heard at their time are neither missed nor false."""
    truth = [YES, Command("no", 3.0, 3.4), Command("yes", 5.0, 5.6)]
    found = figures(truth, [event("yes", 1.2), event("no", 3.2), event("yes", 5.3)])
    assert (found.said, found.missed, found.miss_rate) == (3, 0, 0.0)
    assert (found.false_alarms, found.false_alarms_per_hour) == (0, 0.0)
    assert (found.mistaken, found.twice) == (0, 0)
    assert (found.condition, found.recordings, found.hours) == ("10dB", 1, 0.1)


@pytest.mark.parametrize(
    "events", [[], [event("yes", 1.2, 0.45)], [event(UNKNOWN, 1.2)], [event("yes", 2.5)]]
)
def test_a_miss(events: list[Event]) -> None:
    """A command without a detection of it in its time is missed."""
    found = figures([YES, Command("no", 9, 9.5)], [*events, event("no", 9.2)])
    assert (found.said, found.missed, found.miss_rate) == (2, 1, 0.5)
    assert found.per_command["yes"].missed == 1
    assert found.per_command["no"].missed == 0


def test_a_false_alarm() -> None:
    """A detection where nothing is said is a false alarm, by the hour of sound."""
    found = figures([YES], [event("yes", 1.2), event("no", 20), event("no", 30), event("yes", 40)])
    assert (found.missed, found.false_alarms, found.mistaken) == (0, 3, 0)
    assert found.false_alarms_per_hour == pytest.approx(30)
    assert found.per_command["no"].false_alarms == 2
    assert found.per_command["yes"].false_alarms == 1


def test_a_mistaken_word() -> None:
    """Another command than was said is a miss of the one and a false alarm of the other."""
    found = figures([YES], [event("no", 1.2)])
    assert (found.missed, found.false_alarms, found.mistaken, found.twice) == (1, 1, 1, 0)
    assert found.per_command["yes"].missed == 1
    assert found.per_command["no"].false_alarms == 1
    assert found.per_command["no"].said == 0


def test_the_surest_false_alarms_are_named() -> None:
    """Where each is, what was said there, the surest first, and ten of them."""
    found = figures([YES], [event("no", 1.2, 0.8), event("yes", 20, 0.95), event("no", 30, 0.7)])
    assert [alarm.confidence for alarm in found.surest] == pytest.approx([0.95, 0.8, 0.7])
    assert found.surest[0] == FalseAlarm("a.wav", 19.75, 20.25, "yes", pytest.approx(0.95), None)
    assert [alarm.said for alarm in found.surest] == [None, "yes", None]
    text = to_text([found])
    assert "0.950  yes at 19.75 s of a.wav" in text
    assert "0.800  no instead of yes at 0.95 s of a.wav" in text
    many = figures([YES], [event("no", 2 + 2 * n, 0.6 + 0.01 * n) for n in range(20)])
    assert [alarm.start_s for alarm in many.surest] == [
        pytest.approx(39.75 - 2 * n) for n in range(10)
    ]
    assert to_text([found, many]).count(" s of a.wav") == 10
    odd = dataclasses.replace(
        found, surest=(dataclasses.replace(found.surest[0], path="a\nb.wav"),)
    )
    assert " s of a\\nb.wav" in to_text([odd])
    assert "surest" not in to_text([figures([YES], [event("yes", 1.2)])])


def test_heard_twice() -> None:
    """A second detection of one utterance is no false alarm, but told."""
    truth = [Command("yes", 1.0, 2.0)]
    found = figures(truth, [event("yes", 1.2), event("yes", 1.9)])
    assert (found.missed, found.false_alarms, found.twice) == (0, 0, 1)


def test_commands_at_which_the_network_was_never_asked() -> None:
    """A command without any event at it, word or not, is unheard; one that is misheard is not."""
    truth = [YES, Command("no", 3.0, 3.4), Command("yes", 5.0, 5.6)]
    found = figures(truth, [event(UNKNOWN, 1.2), event("no", 3.6, 0.3)])
    assert (found.missed, found.unheard) == (3, 1)


@pytest.mark.parametrize(
    ("at_s", "missed"), [(0.74, 1), (0.76, 0), (1.25, 0), (1.74, 0), (1.76, 1)]
)
def test_a_detection_counts_up_to_a_quarter_of_a_second_beside_the_word(
    at_s: float, missed: int
) -> None:
    """The middle of a detection may be 0.25 s outside the word, not more."""
    found = figures([YES], [event("yes", at_s)])
    assert (found.missed, found.false_alarms) == (missed, missed)


def test_between_two_commands_a_detection_is_of_its_own_word() -> None:
    """Where both are near enough; of two of the same word, it is of one that is still missed."""
    truth = [YES, Command("no", 1.8, 2.2)]
    for at in (1.6, 1.7):
        found = figures(truth, [event("yes", at)])
        assert (found.per_command["yes"].missed, found.missed, found.mistaken) == (0, 1, 0)
    again = [YES, Command("yes", 1.6, 3.0)]
    found = figures(again, [event("yes", 1.3), event("yes", 2.0), event("yes", 2.7)])
    assert (found.missed, found.twice, found.unheard) == (0, 1, 0)


def test_latency() -> None:
    """From the end of the word to when it was certain; median and 95 % of those heard."""
    truth = [Command("yes", 10 * n, 10 * n + 0.5) for n in range(21)]
    events = [
        event("yes", 10 * n + 0.25, known_s=10 * n + 0.5 + 0.01 * n) for n in reversed(range(21))
    ]
    found = figures(truth, sorted(events, key=lambda each: each.centre))
    assert found.latency_median_s == pytest.approx(0.10)
    assert found.latency_95_s == pytest.approx(0.19)
    nothing = figures([YES], [])
    assert (nothing.latency_median_s, nothing.latency_95_s) == (None, None)


def test_recordings_without_commands() -> None:
    """Sound in which nothing is said has false alarms and no misses."""
    found = figures([], [event("yes", 4)])
    assert (found.said, found.missed, found.miss_rate, found.false_alarms) == (0, 0, None, 1)
    assert found.det == ()
    assert "   -  " in to_text([found])
    assert "<img" not in to_html([found], title="quiet")


def test_recordings_are_added_up() -> None:
    """The times of one recording say nothing about another."""
    both = [*heard([YES], [event("yes", 1.2)]), *heard([YES], [event("yes", 100)])]
    found = stream_figures(stub(), both)
    assert (found.recordings, found.said, found.missed, found.false_alarms) == (2, 2, 1, 1)
    assert found.hours == pytest.approx(0.2)
    assert found.false_alarms_per_hour == pytest.approx(5)


def test_the_recognisers_thresholds_count() -> None:
    """What is heard depends on the threshold of each command."""
    events = [event("yes", 1.2, 0.7), event("no", 3.2, 0.7)]
    found = stream_figures(stub(yes=0.6, no=0.8), heard([YES, Command("no", 3.0, 3.4)], events))
    assert {label: each.missed for label, each in found.per_command.items()} == {"yes": 0, "no": 1}


def many(rng: np.random.Generator) -> list[HeardRecording]:
    """300 commands and as many false alarms, two seconds apart, as sure as can be or not."""
    truth, events = [], []
    for number in range(600):
        label = ("yes", "no")[number % 2]
        said = number % 4 < 2
        if said:
            truth.append(Command(label, 2 * number + 0.75, 2 * number + 1.25))
        value = 1 / (1 + np.exp(-rng.normal(2.0 if said else 0.0, 2.0)))
        events.append(event(label, 2 * number + 1, max(0.34, float(value))))
    return heard(truth, events, seconds=1200)


@pytest.mark.parametrize("thresholds", [(0.5, 0.5), (0.9, 0.3), (0.0, 1.0)])
def test_the_det_curve_is_monotone(
    rng: np.random.Generator, thresholds: tuple[float, float]
) -> None:
    """Higher thresholds: fewer false alarms, more misses; the curve goes from end to end."""
    found = stream_figures(stub(*thresholds), many(rng))
    rates, misses = map(np.array, zip(*found.det, strict=True))
    assert (np.diff(rates) <= 0).all()
    assert (np.diff(misses) >= 0).all()
    assert len(found.det) == 49
    if thresholds == (0.5, 0.5):
        assert misses[0] < 0.05
        assert misses[-1] > 0.9
        assert rates[-1] < 0.05 * rates[0]


def test_the_det_curve_goes_through_the_figures() -> None:
    """Also where a threshold is as near to 1 as some that are chosen."""
    found = stream_figures(stub(1 - 1e-7, 0.5), heard([YES], [event("yes", 1.0, 0.9999995)]))
    assert found.miss_rate == 1
    assert found.det[len(found.det) // 2] == (found.false_alarms_per_hour, found.miss_rate)


def test_a_muted_command_has_no_det_curve() -> None:
    """A threshold of 1 is none that could be lower."""
    found = stream_figures(stub(0.5, 1.0), heard([YES], [event("no", 2.0, 1.0)]))
    assert {rate for rate, _ in found.det} == {0.0}


def test_the_det_curve_passes_through_the_figures(rng: np.random.Generator) -> None:
    """In its middle stand the recogniser's own thresholds."""
    found = stream_figures(stub(0.8, 0.4), many(rng))
    assert found.false_alarms_per_hour > 0
    assert 0 < found.miss_rate < 1
    assert found.det[24] == pytest.approx((found.false_alarms_per_hour, found.miss_rate))


def test_figures_are_json(rng: np.random.Generator) -> None:
    """What ``--json`` prints are plain values under the names of the figures."""
    record = json.loads(json.dumps(figures([YES], [event("no", 1.2)]).to_json(), allow_nan=False))
    assert record["per_command"]["yes"] == {"said": 1, "missed": 1, "false_alarms": 0}
    assert record["condition"] == "10dB"
    assert record["latency_median_s"] is None
    assert len(record["det"]) == 49


@pytest.fixture(scope="module")
def glides(recogniser_file: Path) -> Recognizer:
    """It knows the made-up words rise, fall and high."""
    return Recognizer.load(recogniser_file)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a recording of words two seconds apart, with its labels."""

    def write(name: str, words: Sequence[str], *, labels: Sequence[str] | None = None) -> Path:
        rng = np.random.default_rng(8)
        wave = 0.003 * rng.standard_normal(2 * RATE * (len(words) + 1))
        truth = []
        for number, word in enumerate(words):
            start = 2 * RATE * number + RATE
            wave[start : start + RATE] += speak(word, rng=rng)
            label = (labels or words)[number]
            truth.append(Command(label, start / RATE + 0.25, start / RATE + 0.75))
        soundfile.write(tmp_path / name, wave, RATE)
        write_labels((tmp_path / name).with_suffix(".txt"), truth)
        return tmp_path

    return write


def test_a_folder_of_recordings(glides: Recognizer, write: Callable[..., Path]) -> None:
    """Each condition of a mix has its figures, in the order in which the mix has them."""
    calls: list[tuple[int, int]] = []
    write("10dB-000.wav", ["fall", "rise"], labels=["fall", "high"])
    write("clean-000.wav", ["rise", "high", "fall"])
    folder = write("clean-001.wav", ["high"])
    rows = [
        {"file": "clean-000.wav", "snr_db": None}, {"file": "10dB-000.wav", "snr_db": 10.0},
        {"file": "clean-001.wav", "snr_db": None},
    ]  # fmt: skip
    (folder / "mix.json").write_text(json.dumps({"recordings": rows}))
    clean, noisy = evaluate_streams(glides, folder, progress=lambda *call: calls.append(call))
    assert (noisy.condition, noisy.recordings, noisy.said) == ("10dB", 1, 2)
    assert (noisy.missed, noisy.mistaken) == (1, 1)
    assert (clean.condition, clean.recordings, clean.said) == ("clean", 2, 4)
    assert (clean.missed, clean.mistaken, clean.twice) == (0, 0, 0)
    assert clean.hours * 3600 == pytest.approx(12)
    assert clean.latency_median_s is not None
    assert 0 < clean.latency_median_s < 0.5
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_recordings_of_ones_own(glides: Recognizer, write: Callable[..., Path]) -> None:
    """Without mix.json all recordings are one condition, and no clips are kept in memory."""
    (item,) = hear_folder(glides, write("mine.wav", ["rise", "high"]))
    assert (item.condition, item.seconds) == ("all", 6.0)
    assert [command.label for command in item.truth] == ["rise", "high"]
    assert len(item.events) >= 2
    assert all(len(each.clip) == 0 for each in item.events)


def test_nothing_to_hear(glides: Recognizer, tmp_path: Path) -> None:
    """No folder, or one without recordings, is an error that says how to make some."""
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DatasetError, match="make some with: speechrec mix") as caught:
            evaluate_streams(glides, folder)
        assert str(folder) in str(caught.value)


def test_recordings_need_labels(glides: Recognizer, write: Callable[..., Path]) -> None:
    """One without labels among others is an error that names the file that is expected."""
    write("a.wav", ["rise"])
    folder = write("b.wav", ["high"])
    (folder / "a.txt").unlink()
    with pytest.raises(DatasetError, match=r"Audacity labels in .*a\.txt"):
        evaluate_streams(glides, folder)


def test_recordings_that_have_no_labels_have_no_commands(
    glides: Recognizer, write: Callable[..., Path]
) -> None:
    """Where none has labels, whatever is heard is a false alarm."""
    folder = write("a.wav", ["rise", "high"])
    (folder / "a.txt").unlink()
    (found,) = evaluate_streams(glides, folder)
    assert (found.said, found.missed, found.unheard) == (0, 0, 0)
    assert found.false_alarms == 2


def test_labels_of_no_command(glides: Recognizer, write: Callable[..., Path]) -> None:
    """A label the recogniser does not know is an error that says what it knows."""
    folder = write("a.wav", ["rise", "low"])
    with pytest.raises(
        DatasetError, match=r"a\.txt:2: expected one of rise, fall, high, got 'low'"
    ):
        evaluate_streams(glides, folder)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("0.1\t350\trise\n", r"a\.txt: expected labels of a\.wav, which ends at "),
        ("4.3\t4.6\trise\n", r"a\.txt: expected labels of a\.wav, which ends at 4\.00 s"),
        ("1000\t1001\trise\n", r"a\.txt: expected labels of a\.wav, which ends at "),
        ("0.1\t0.5\trise\n0.3\t0.6\trise\n", r"a\.txt: expected 'rise' at 0\.3 s once"),
    ],
)
def test_labels_that_cannot_be_true(
    glides: Recognizer, write: Callable[..., Path], lines: str, said: str
) -> None:
    """Labels of another recording, and a word twice at once, are no misses but mistakes."""
    folder = write("a.wav", ["rise"])
    (folder / "a.txt").write_text(lines)
    with pytest.raises(DatasetError, match=said):
        evaluate_streams(glides, folder)


def test_labels_of_two_words_may_touch(glides: Recognizer, write: Callable[..., Path]) -> None:
    """Set by hand they overlap a little; that is two utterances of the same word."""
    folder = write("a.wav", ["rise"])
    (folder / "a.txt").write_text("0.1\t0.5\trise\n0.4\t0.9\trise\n")
    assert evaluate_streams(glides, folder)[0].said == 2


def test_all_labels_are_read_before_anything_is_heard(
    glides: Recognizer, write: Callable[..., Path]
) -> None:
    """A typing error in the last of many hours' labels does not cost these hours."""
    write("a.wav", ["rise"])
    folder = write("b.wav", ["rise"])
    (folder / "b.txt").write_text("0.1\t0.5\trize\n")
    heard_so_far: list[int] = []
    with pytest.raises(DatasetError, match=r"b\.txt:1"):
        evaluate_streams(glides, folder, progress=lambda done, total: heard_so_far.append(done))
    assert not heard_so_far


@pytest.mark.parametrize("kind", ["upper case", "dangling"])
def test_labels_that_are_there_are_not_passed_over(
    glides: Recognizer, write: Callable[..., Path], kind: str
) -> None:
    """A track with its ending in capitals is read, and a link to nowhere is an error."""
    folder = write("a.wav", ["rise"])
    track = folder / "a.txt"
    if kind == "dangling":
        track.unlink()
        track.symlink_to(folder / "nowhere.txt")
        with pytest.raises(DatasetError, match=r"a\.txt: cannot read these labels"):
            evaluate_streams(glides, folder)
    else:
        track.rename(folder / "a.TXT")
        assert evaluate_streams(glides, folder)[0].said == 1


def test_a_recording_that_cannot_be_read(glides: Recognizer, write: Callable[..., Path]) -> None:
    """It is an error, unless somebody is told: then it is left out, and so are its commands."""
    folder = write("a.wav", ["rise"])
    (folder / "a.wav").write_bytes(b"no sound")
    with pytest.raises(AudioError, match=r"a\.wav"):
        evaluate_streams(glides, folder)
    faults: list[Fault] = []
    with pytest.raises(DatasetError, match=r"no recording can be heard \(first reason: .*a\.wav"):
        evaluate_streams(glides, folder, on_fault=faults.append)
    write("b.wav", ["rise", "high"])
    faults.clear()
    (found,) = evaluate_streams(glides, folder, on_fault=faults.append)
    assert (found.recordings, found.said) == (1, 2)
    assert [fault.path for fault in faults] == [str(folder / "a.wav")]


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "null", '{"recordings": 3}', '{"recordings": [{"file": "a.wav"}]}',
     '{"recordings": [{"file": "a.wav", "snr_db": 1' + 400 * "0" + "}]}",
     '{"recordings": [{"file": "a.wav", "snr_db": "loud"}]}', '{"recordings": ["a.wav"]}'],
)  # fmt: skip
def test_a_mix_json_of_something_else(
    glides: Recognizer, write: Callable[..., Path], text: str
) -> None:
    """A mix.json that mix did not write is an error that names it."""
    folder = write("a.wav", ["rise"])
    (folder / "mix.json").write_text(text)
    with pytest.raises(DatasetError, match=r"mix\.json: expected what speechrec mix writes"):
        evaluate_streams(glides, folder)


@pytest.fixture
def conditions() -> list[StreamFigures]:
    """Two conditions, one with nothing heard."""
    quiet = HeardRecording(Path("b.wav"), "clean", 720.0, (YES,), ())
    return [
        figures([YES, Command("no", 3, 3.5)], [event("yes", 1.2), event("yes", 9)]),
        stream_figures(stub(), [quiet]),
    ]


def test_text(conditions: list[StreamFigures]) -> None:
    """The table has a line a condition with its figures, and one with its commands."""
    lines = to_text(conditions).splitlines()
    assert lines[1].split() == [
        "10dB", "0.10", "2", "1", "50.0%", "1", "10.0", "an", "hour", "0", "1", "0.10",
        "s", "0.10", "s",
    ]  # fmt: skip
    assert lines[2].split()[:5] == ["clean", "0.20", "1", "1", "100.0%"]
    assert lines[2].split()[-2:] == ["-", "-"]
    assert "10dB      yes 0/1 +1  no 1/1 +0" in lines
    assert "clean     yes 1/1 +0  no 0/0 +0" in lines


def test_page(conditions: list[StreamFigures]) -> None:
    """The page says what the text says, draws the curves, and needs nothing else."""
    page = to_html(conditions, title="a <recogniser>")
    assert "a &lt;recogniser&gt;" in page
    for line in filter(None, to_text(conditions).splitlines()):
        assert line in page
    assert "<svg" in page or "data:image" in page
    assert 'src="http' not in page


def test_det_figure(conditions: list[StreamFigures]) -> None:
    """A line a condition through its curve, and its own point on it."""
    (axes,) = det_figure(conditions).axes
    lines = axes.get_lines()
    assert len(lines) == 4
    for each, line, point in zip(conditions, lines[::2], lines[1::2], strict=True):
        assert line.get_label() == each.condition
        np.testing.assert_allclose(
            np.transpose(line.get_data()), [(rate, 100 * miss) for rate, miss in each.det]
        )
        own = (each.false_alarms_per_hour, 100 * each.miss_rate)
        np.testing.assert_allclose(np.ravel(point.get_data()), own)
