"""Thresholds from false alarms: counted where there is enough sound, extrapolated where not."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from typer.testing import CliRunner

from speechrec.bundle import read_bundle, update_bundle
from speechrec.cli import app
from speechrec.config import UNKNOWN
from speechrec.console import thresholds_text
from speechrec.errors import DatasetError
from speechrec.keyword_score import LEAST_THRESHOLD
from speechrec.negatives import find_negatives
from speechrec.recognizer import Recognizer
from speechrec.thresholds import (
    FalseAlarms,
    StreamThresholds,
    choose_thresholds,
    count_false_alarms,
)

LABELS = ("yes", "no", "up", "down")


def alarms(
    rng: np.random.Generator, hours: float, *, per_hour: float = 3000, spread: float = 1.5
) -> FalseAlarms:
    """Logistic log-odds around -5, a quarter of them for each of four commands."""
    count = round(hours * per_hour / len(LABELS))
    logits = rng.logistic(-5, spread, (len(LABELS), count))
    posteriors = np.sort(1 / (1 + np.exp(-logits)), axis=1)[:, ::-1]
    return FalseAlarms(dict(zip(LABELS, posteriors, strict=True)), hours)


def rate(measured: FalseAlarms, thresholds: dict[str, float]) -> float:
    """False alarms an hour at thresholds."""
    return sum(measured.at(thresholds).values()) / measured.hours


def test_counted(rng: np.random.Generator) -> None:
    """With much sound there are as many false alarms as wanted and not one more."""
    measured = alarms(rng, 100)
    chosen = choose_thresholds(measured, per_hour=2)
    assert chosen.extrapolated == ()
    assert rate(measured, chosen.thresholds) == pytest.approx(2, abs=0.04)
    assert rate(measured, chosen.thresholds) <= 2


def test_what_is_muted_makes_no_false_alarms() -> None:
    """Confidences that are rounded to 1 reach any threshold but 1, which is shown as what it is."""
    sure = np.ones(40)
    measured = FalseAlarms({"yes": sure, "no": sure}, 20.0)
    assert measured.at({"yes": 1.0, "no": 0.9999992}) == {"yes": 0, "no": 40}
    chosen = StreamThresholds({"yes": 1.0, "no": 0.9999992}, ())
    text = thresholds_text(measured, chosen, 0.5)
    assert "yes  threshold 1 (never reported)  above it 0 of 40" in text
    assert "no  threshold 0.99999920  above it 40 of 40" in text


def test_what_would_be_beyond_all_confidences_is_muted(rng: np.random.Generator) -> None:
    """Sounds that are taken for a command with a confidence of 1 pass any threshold but 1."""
    usual = np.sort(1 / (1 + np.exp(-rng.logistic(-5, 1.5, 2000))))[::-1]
    sure = np.sort(np.concatenate((usual, np.ones(20))))[::-1]
    measured = FalseAlarms({"yes": sure, "no": usual}, 10.0)
    chosen = choose_thresholds(measured, per_hour=0.5)
    assert chosen.extrapolated == ("yes", "no")
    assert chosen.thresholds["yes"] == 1
    assert measured.at(chosen.thresholds)["yes"] == 0


def test_every_command_has_the_same_share(rng: np.random.Generator) -> None:
    """A command that is often heard by mistake gets a higher threshold than one that is not."""
    measured = alarms(rng, 100)
    often = measured.confidences["up"] ** 0.5
    uneven = FalseAlarms({**measured.confidences, "up": often}, measured.hours)
    chosen = choose_thresholds(uneven, per_hour=2).thresholds
    assert chosen["up"] > max(chosen[label] for label in LABELS if label != "up")
    assert (often >= chosen["up"]).sum() == pytest.approx(50, abs=1)


def test_extrapolated(rng: np.random.Generator) -> None:
    """From a quarter of an hour, the rate in much more sound is within a factor of the wanted."""
    truth = alarms(rng, 500)
    rates = []
    for _ in range(20):
        chosen = choose_thresholds(alarms(rng, 0.25), per_hour=1)
        assert chosen.extrapolated == LABELS
        rates.append(rate(truth, chosen.thresholds))
    assert 0.3 < np.median(rates) < 3


def test_little_sound_does_not_show_where_a_tail_ends(rng: np.random.Generator) -> None:
    """Six minutes of it do not put thresholds far too low, as an end that is none would."""
    rates = []
    for _ in range(60):
        chosen = choose_thresholds(alarms(rng, 0.1), per_hour=1).thresholds
        odds = np.array([value / (1 - min(value, 1 - 1e-12)) for value in chosen.values()])
        # Of 3000 logistic log-odds an hour.
        rates.append((3000 / (1 + (odds * np.exp(5)) ** (1 / 1.5))).mean())
    assert 0.3 < np.median(rates) < 2
    assert np.quantile(rates, 0.9) < 6


def test_much_sound_shows_a_tail_that_little_does_not(rng: np.random.Generator) -> None:
    """One sound in two hundred is far likelier to be mistaken: its tail is drawn on, not theirs."""
    rates = []
    for _ in range(10):
        common = rng.normal(-6, 1.5, (len(LABELS), 5000))
        rare = rng.exponential(2.0, (len(LABELS), 25))
        logits = np.sort(np.concatenate((common, rare), axis=1), axis=1)[:, ::-1]
        posteriors = 1 / (1 + np.exp(-logits))
        chosen = choose_thresholds(
            FalseAlarms(dict(zip(LABELS, posteriors, strict=True)), 2.0), per_hour=0.5
        )
        assert chosen.extrapolated == LABELS
        levels = [np.log(value / (1 - value)) for value in chosen.thresholds.values()]
        rates.append(sum(25 * np.exp(-level / 2) for level in levels) / 2.0)
    assert 0.15 < np.median(rates) < 1.5


def test_a_tail_with_an_end_is_not_drawn_on_for_ever(rng: np.random.Generator) -> None:
    """Where log-odds thin out towards an end, thresholds stay near it: words must still pass."""
    end = 3.0
    logits = end - 12 * rng.random((len(LABELS), 200)) ** 0.5
    posteriors = np.sort(1 / (1 + np.exp(-logits)), axis=1)[:, ::-1]
    measured = FalseAlarms(dict(zip(LABELS, posteriors, strict=True)), 0.2)
    chosen = choose_thresholds(measured, per_hour=0.5)
    assert chosen.extrapolated == LABELS
    for value in chosen.thresholds.values():
        assert np.log(value / (1 - value)) < end + 1


@pytest.mark.parametrize("hours", [0.1, 100])
def test_fewer_false_alarms_need_higher_thresholds(rng: np.random.Generator, hours: float) -> None:
    """Every command's threshold rises when fewer false alarms are wanted."""
    measured = alarms(rng, hours)
    few, many = (choose_thresholds(measured, per_hour=r).thresholds for r in (0.5, 50))
    for label in LABELS:
        assert few[label] > many[label]


@pytest.mark.parametrize(
    "heard", [[], [0.3], [0.9, 0.9, 0.9], [1.0] * 50, [0.0] * 50, [0.999999] * 3 + [1e-9] * 500]
)
def test_thresholds_are_probabilities(heard: list[float]) -> None:
    """Whatever was heard, thresholds are from one half to below or at one."""
    values: npt.NDArray[np.float64] = np.array(heard, dtype=np.float64)
    for hours in (0.01, 100):
        measured = FalseAlarms(dict.fromkeys(LABELS, values), hours)
        for value in choose_thresholds(measured, per_hour=0.5).thresholds.values():
            assert LEAST_THRESHOLD <= value <= 1


@pytest.fixture
def negatives(tmp_path: Path, stream_file: Path) -> Path:
    """Three recordings, of which one is none."""
    folder = tmp_path / "negatives"
    folder.mkdir()
    wave, rate_hz = soundfile.read(stream_file)
    soundfile.write(folder / "a.wav", wave[: 6 * rate_hz], rate_hz)
    soundfile.write(folder / "b.wav", wave[6 * rate_hz :], rate_hz)
    (folder / "c.wav").write_text("no sound")
    return folder


def test_what_is_counted(recogniser_file: Path, negatives: Path) -> None:
    """Everything heard counts for the command it is most like; what cannot be read is named."""
    measured = count_false_alarms(Recognizer.load(recogniser_file), find_negatives(negatives))
    assert sum(map(len, measured.confidences.values())) >= 6
    assert measured.hours == pytest.approx(12 / 3600)
    assert [fault.path for fault in measured.faults] == [str(negatives / "c.wav")]
    for values in measured.confidences.values():
        assert (np.diff(values) <= 0).all()


@pytest.mark.parametrize(
    ("shares", "wanted"),
    [
        # One command or another: more sure than the least threshold, but not reported.
        ({"rise": 0.55, "fall": 0.45}, LEAST_THRESHOLD),
        # Less likely than an unknown word: below every threshold, and part of the tail as it is.
        ({"rise": 0.4, UNKNOWN: 0.6}, 0.4),
        # A false alarm.
        ({"rise": 0.9, UNKNOWN: 0.1}, 0.9),
    ],
)
def test_what_is_never_reported_is_no_false_alarm(
    recogniser_file: Path,
    negatives: Path,
    monkeypatch: pytest.MonkeyPatch,
    shares: dict[str, float],
    wanted: float,
) -> None:
    """What streams keep quiet about at any threshold raises none."""
    recognizer = Recognizer.load(recogniser_file)
    posteriors = np.array([shares.get(label, 0.0) for label in recognizer.labels], np.float32)
    monkeypatch.setattr(
        recognizer, "stream_scores", lambda x: np.repeat(posteriors[np.newaxis], len(x), axis=0)
    )
    measured = count_false_alarms(recognizer, find_negatives(negatives))
    heard = measured.confidences["rise"]
    assert len(heard) >= 6
    assert heard == pytest.approx(np.full(len(heard), wanted), abs=1e-6)
    assert (heard[0] < LEAST_THRESHOLD) == (wanted <= LEAST_THRESHOLD)


def test_nothing_to_count(recogniser_file: Path, negatives: Path) -> None:
    """Without any sound that can be read there are no thresholds but an error with the reason."""
    with pytest.raises(DatasetError, match=r"c\.wav"):
        count_false_alarms(Recognizer.load(recogniser_file), find_negatives(negatives / "c.wav"))


def test_calibrate_stores_thresholds(
    recogniser_file: Path, negatives: Path, tmp_path: Path
) -> None:
    """`calibrate` writes thresholds into a copy that detects with them, and keeps all else."""
    out = tmp_path / "quiet.speechrec"
    before = recogniser_file.read_bytes()
    command = ["calibrate", str(recogniser_file), "--negatives", str(negatives), "--out", str(out)]
    done = CliRunner().invoke(app, [*command, "--target-fa-per-hour", "2"])
    assert done.exit_code == 0, done.output
    assert recogniser_file.read_bytes() == before
    manifest = read_bundle(out).manifest
    stream = manifest.pop("stream")
    assert stream["target_fa_per_hour"] == 2
    assert Recognizer.load(out).stream_thresholds == stream["thresholds"]
    assert set(stream["thresholds"]) == {"rise", "fall", "high"}
    old = read_bundle(recogniser_file).manifest
    assert {k: v for k, v in manifest.items() if k != "created"} == {
        k: v for k, v in old.items() if k not in ("stream", "created")
    }
    # What was heard in these recordings is what they now keep quiet about.
    for name in ("a.wav", "b.wav"):
        heard = CliRunner().invoke(
            app, ["predict", "--json", "--model", str(out), str(negatives / name)]
        )
        assert json.loads(heard.stdout)["detections"] == []


def test_calibrate_leaves_a_recogniser_that_was_trained_meanwhile(
    recogniser_file: Path, negatives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thresholds of the one that was listened with do not get into another."""
    path = tmp_path / "own.speechrec"
    path.write_bytes(recogniser_file.read_bytes())

    def listen(*arguments: object, **options: object) -> FalseAlarms:
        update_bundle(path, path, {"threshold": 0.75})
        return FalseAlarms({label: np.zeros(0) for label in ("rise", "fall", "high")}, 1.0)

    monkeypatch.setattr("speechrec.thresholds.count_false_alarms", listen)
    done = CliRunner().invoke(app, ["calibrate", str(path), "--negatives", str(negatives)])
    assert "was replaced meanwhile" in str(done.exception)
    assert read_bundle(path).threshold == 0.75
    assert "stream" not in read_bundle(path).manifest


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "1e-323", "1e308"])
def test_no_such_rate(recogniser_file: Path, negatives: Path, rate: str) -> None:
    """A rate that is not above zero is refused."""
    command = ["calibrate", str(recogniser_file), "--negatives", str(negatives)]
    done = CliRunner().invoke(app, [*command, "--target-fa-per-hour", rate])
    assert done.exit_code != 0
    assert "--target-fa-per-hour" in str(done.exception)


@pytest.mark.parametrize("name", ["", "a.wav"])
def test_nothing_but_a_recogniser_is_written_over(
    recogniser_file: Path, negatives: Path, name: str
) -> None:
    """A folder or a recording for --out is refused before hours of sound are listened to."""
    command = ["calibrate", str(recogniser_file), "--negatives", str(negatives)]
    done = CliRunner().invoke(app, [*command, "--out", str(negatives / name)])
    assert done.exit_code != 0
    assert "--out: expected a file whose name ends in .speechrec" in str(done.exception)


def test_the_recogniser_of_the_package_is_left_alone(negatives: Path) -> None:
    """What came with the package is not written to; a copy is asked for."""
    done = CliRunner().invoke(app, ["calibrate", "commands-en", "--negatives", str(negatives)])
    assert done.exit_code != 0
    assert "--out" in str(done.exception)
