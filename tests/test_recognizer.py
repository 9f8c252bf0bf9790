"""The recogniser gives the same posteriors each time, for any sound, however it is asked."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flatbuffers
import keras
import numpy as np
import numpy.typing as npt
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from speechrec.bundle import Bundle, read_bundle, write_bundle
from speechrec.config import SILENCE, UNKNOWN
from speechrec.errors import AudioError, BundleError
from speechrec.features import clip_features
from speechrec.network import Network
from speechrec.recognizer import Recognizer
from speechrec.run import RunResult
from speechrec.store import FeatureSet, load_features

RATE = 16_000
Array = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def content(recogniser_file: Path) -> Bundle:
    return read_bundle(recogniser_file)


@pytest.fixture(scope="module")
def recognizer(recogniser_file: Path) -> Recognizer:
    return Recognizer.load(recogniser_file)


@pytest.fixture(scope="module")
def clips(feature_store: Path) -> FeatureSet:
    return load_features(feature_store, "testing")


def rewritten(
    path: Path,
    content: Bundle,
    *,
    model: bytes | None = None,
    stream_model: bytes | None = None,
    **changes: Any,
) -> Path:
    """A recogniser file with another network or another manifest, all its hashes in order."""
    manifest = {key: value for key, value in content.manifest.items() if key != "members"}
    manifest.update(changes)
    write_bundle(
        path, manifest=manifest, model=model or content.model, mel=content.mel,
        stream_model=stream_model,
    )  # fmt: skip
    return path


def logits(model: keras.Model, x: Array) -> npt.NDArray[np.float64]:
    """What goes into the softmax of a Keras model, in double precision."""
    last = model.layers[-1]
    kernel, bias = (np.asarray(weight, dtype=np.float64) for weight in last.get_weights())
    before = np.asarray(keras.Model(model.input, last.input)(x, training=False))
    values: npt.NDArray[np.float64] = before.astype(np.float64) @ kernel + bias
    return values


def softmax(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    shares: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_scores_are_posteriors(
    tmp_path: Path, content: Bundle, clips: FeatureSet, temperature: float
) -> None:
    """Each row is non-negative and sums to one, with and without calibration."""
    path = rewritten(tmp_path / "a.speechrec", content, temperature=temperature)
    scores = Recognizer.load(path).scores(clips.x)
    assert scores.shape == (len(clips), len(clips.labels))
    assert scores.dtype == np.float32
    assert (scores >= 0).all()
    np.testing.assert_allclose(scores.sum(axis=1, dtype=np.float64), 1, atol=1e-6)


def test_scores_are_those_of_keras(
    recognizer: Recognizer, run: RunResult, clips: FeatureSet
) -> None:
    """The file gives the softmax of the Keras model's own logits."""
    wanted = softmax(logits(run.result.model, clips.x))
    np.testing.assert_allclose(recognizer.scores(clips.x), wanted, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.3, 0.5, 1.0, 1.7, 4.0, 50.0])
def test_temperature_divides_the_logits(
    tmp_path: Path, content: Bundle, run: RunResult, clips: FeatureSet, temperature: float
) -> None:
    """Temperature scaling is softmax(logits / T), though the file holds posteriors only."""
    path = rewritten(tmp_path / "a.speechrec", content, temperature=temperature)
    wanted = softmax(logits(run.result.model, clips.x) / temperature)
    np.testing.assert_allclose(Recognizer.load(path).scores(clips.x), wanted, atol=2e-5)


def test_temperature_keeps_the_order(tmp_path: Path, content: Bundle, clips: FeatureSet) -> None:
    """Calibration changes how sure an answer is, never which one it is."""
    answers = [
        Recognizer.load(rewritten(tmp_path / "a.speechrec", content, temperature=t))
        .scores(clips.x)
        .argmax(axis=1)
        for t in (0.5, 1.0, 3.0)
    ]
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[2], answers[1])


def test_batch_equals_one_at_a_time(recognizer: Recognizer, clips: FeatureSet) -> None:
    """A clip's scores do not change in a bit with the clips beside it."""
    together = recognizer.scores(clips.x)
    alone = np.concatenate([recognizer.scores(row[np.newaxis]) for row in clips.x])
    backwards = recognizer.scores(clips.x[::-1])[::-1]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, backwards)


def test_repeatable(recogniser_file: Path, recognizer: Recognizer, clips: FeatureSet) -> None:
    """Two predictions, and two loads of the file, agree in every bit."""
    first = recognizer.scores(clips.x)
    np.testing.assert_array_equal(first, recognizer.scores(clips.x))
    np.testing.assert_array_equal(first, Recognizer.load(recogniser_file).scores(clips.x))


def test_two_recognizers_do_not_disturb_each_other(
    recogniser_file: Path, clips: FeatureSet
) -> None:
    """Recognisers used in turn share no state."""
    one, other = Recognizer.load(recogniser_file), Recognizer.load(str(recogniser_file))
    wanted = one.scores(clips.x[:5])
    other.scores(clips.x[5:])
    mixed = [np.stack([one.scores(r[None])[0], other.scores(r[None])[0]]) for r in clips.x[:5]]
    for row, pair in zip(wanted, mixed, strict=True):
        np.testing.assert_array_equal(pair, np.stack([row, row]))


def test_wave_and_stored_features_agree(recognizer: Recognizer, rng: np.random.Generator) -> None:
    """A wave of one second is scored as its features are."""
    wave = rng.uniform(-0.5, 0.5, RATE).astype(np.float32)
    x = clip_features(wave[np.newaxis], recognizer.config)
    np.testing.assert_allclose(recognizer.features(wave), x[0], atol=1e-6)
    by_label = dict(zip(recognizer.labels, recognizer.scores(x)[0].tolist(), strict=True))
    assert recognizer.predict(wave).scores == pytest.approx(by_label, abs=1e-6)


@pytest.mark.parametrize("samples", [1, 2, 159, 160, 1023, 15_999, 16_000, 16_001, 80_000])
@pytest.mark.parametrize("level", [0.0, 1e-8, 0.1, 1.0])
def test_any_length_and_level(
    recognizer: Recognizer, rng: np.random.Generator, samples: int, level: float
) -> None:
    """From one sample to five seconds, from digital silence to full scale: finite posteriors."""
    wave = (level * rng.uniform(-1, 1, samples)).astype(np.float32)
    prediction = recognizer.predict(wave)
    values = list(prediction.scores.values())
    assert np.isfinite(values).all()
    assert sum(values) == pytest.approx(1, abs=1e-5)
    assert set(prediction.scores) == set(recognizer.labels)


@pytest.mark.parametrize("level", [-1.0, 1.0])
def test_constant_wave(recognizer: Recognizer, level: float) -> None:
    """A stuck microphone gives finite posteriors too."""
    wave = np.full(3 * RATE, level, dtype=np.float32)
    assert np.isfinite(list(recognizer.predict(wave).scores.values())).all()


@pytest.mark.parametrize(
    ("wave", "error"),
    [
        (np.zeros(0, np.float32), AudioError),
        (np.full(RATE, np.nan, np.float32), AudioError),
        (np.float32([0.1, np.inf]), AudioError),
        (np.zeros(RATE, np.int16), ValueError),
        (np.zeros((RATE, 2), np.float32), ValueError),
    ],
)
def test_what_is_no_sound_is_refused(
    recognizer: Recognizer, wave: npt.NDArray[Any], error: type[Exception]
) -> None:
    """Numbers that are no samples are an error, as they are to a detector, and not a word."""
    with pytest.raises(error, match="expected"):
        recognizer.predict(wave)
    with pytest.raises(error, match="expected"):
        recognizer.features(wave)


def test_samples_far_beyond_full_scale(recognizer: Recognizer, rng: np.random.Generator) -> None:
    """They are clipped, as a device would have done."""
    wave = 1e25 * rng.standard_normal(RATE)
    assert recognizer.predict(wave) == recognizer.predict(np.float32(np.sign(wave)))


def posteriors_of(recognizer: Recognizer, best: str, value: float) -> Array:
    """Posteriors with one label at ``value`` and the rest shared by the others."""
    others = (1 - value) / (len(recognizer.labels) - 1)
    return np.array([value if label == best else others for label in recognizer.labels], np.float32)


@pytest.mark.parametrize(
    ("best", "value", "threshold", "accepted"),
    [
        ("rise", 0.9, 0.0, True),
        ("rise", 0.9, 0.75, True),
        ("rise", 0.75, 0.75, True),
        ("rise", 0.7, 0.75, False),
        ("rise", 0.99, 1.0, False),
        ("rise", 1.0, 1.0, False),
        (UNKNOWN, 1.0, 0.0, False),
        (SILENCE, 1.0, 0.0, False),
        (UNKNOWN, 0.9, 0.75, False),
        (SILENCE, 0.9, 0.75, False),
    ],
)
def test_accepted(
    tmp_path: Path, content: Bundle, best: str, value: float, threshold: float, accepted: bool
) -> None:
    """A keyword at or above the threshold is accepted; silence and unknown words never are.

    A threshold of 1 accepts nothing, as in streams: a mistake may be as sure as can be.
    """
    path = rewritten(tmp_path / "a.speechrec", content, threshold=threshold)
    recognizer = Recognizer.load(path)
    prediction = recognizer.decide(posteriors_of(recognizer, best, value))
    assert (prediction.label, prediction.accepted) == (best, accepted)
    assert prediction.confidence == pytest.approx(value)


@given(weights=st.lists(st.floats(0.001, 1), min_size=5, max_size=5))
@settings(deadline=None, max_examples=50)
def test_decide_sorts(recogniser_file: Path, weights: list[float]) -> None:
    """The scores come highest first, each with its own label; the first is the answer."""
    recognizer = cached(recogniser_file)
    shares = np.array(weights) / sum(weights)
    prediction = recognizer.decide(shares)
    values = list(prediction.scores.values())
    assert values == sorted(values, reverse=True)
    assert prediction.scores == dict(zip(recognizer.labels, shares.tolist(), strict=True))
    assert prediction.label == recognizer.labels[int(np.argmax(shares))]
    assert prediction.confidence == values[0]


_LOADED: dict[Path, Recognizer] = {}


def cached(path: Path) -> Recognizer:
    return _LOADED.setdefault(path, Recognizer.load(path))


def test_ties_go_to_the_first_label(recognizer: Recognizer) -> None:
    """Equal posteriors are answered the same way each time: the label that stands first."""
    prediction = recognizer.decide(np.full(len(recognizer.labels), 0.2, dtype=np.float32))
    assert tuple(prediction.scores) == recognizer.labels


@pytest.mark.parametrize("labels", [["rise"], ["a", "b", "c", "d"], ["a", "b", "c", "d", "e", "f"]])
def test_wrong_number_of_labels(tmp_path: Path, content: Bundle, labels: list[str]) -> None:
    """A network with other outputs than there are labels is refused, and the file named."""
    path = rewritten(tmp_path / "a.speechrec", content, labels=labels)
    with pytest.raises(BundleError, match=rf"to \[1, {len(labels)}\], got") as caught:
        Recognizer.load(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    "dropout",
    [
        [{"rate": 0.3, "shape": [32]}],
        [{"rate": 0.3, "shape": [16]}, {"rate": 0.2, "shape": [32]}],
        [{"rate": 0.3, "shape": [-1]}, {"rate": 0.2, "shape": [16]}],
    ],
    ids=["one too few", "turned round", "negative"],
)
def test_masks_that_do_not_fit(tmp_path: Path, content: Bundle, dropout: Any) -> None:
    """A manifest whose dropout layers are not the network's is refused at once."""
    path = rewritten(tmp_path / "a.speechrec", content, dropout=dropout)
    with pytest.raises(BundleError, match="dropout masks") as caught:
        Recognizer.load(path)
    assert str(path) in str(caught.value)


def garbage(model: bytes) -> Mapping[str, bytes]:
    noise = np.random.default_rng(3).integers(0, 256, 500, dtype=np.uint8).tobytes()
    return {
        "header alone": model[:8],
        "noise": model[:8] + noise,
        "zeros": model[:8] + bytes(500),
        "first half": model[: len(model) // 2],
        "without its end": model[:-1000],
    }


@pytest.mark.parametrize("kind", list(garbage(b"")))
def test_garbage_with_hashes_in_order(tmp_path: Path, content: Bundle, kind: str) -> None:
    """A network that is none is a `BundleError`, even in a file whose hashes all fit."""
    path = rewritten(tmp_path / "a.speechrec", content, model=garbage(content.model)[kind])
    with pytest.raises(BundleError, match="cannot be used") as caught:
        Recognizer.load(path)
    assert str(caught.value).startswith(str(path))


def signature(network: Any, key: bytes) -> Any:
    return next(entry for entry in network.signatureDefs if entry.signatureKey == key)


def graph(network: Any, key: bytes = b"predict") -> Any:
    return network.subgraphs[signature(network, key).subgraphIndex]


DAMAGES: dict[str, Callable[[Any], None]] = {
    "no signature predict": lambda n: setattr(signature(n, b"predict"), "signatureKey", b"other"),
    "no signature dropout": lambda n: setattr(signature(n, b"dropout"), "signatureKey", b"other"),
    "no input x": lambda n: setattr(signature(n, b"predict").inputs[0], "name", b"y"),
    "no output scores": lambda n: setattr(signature(n, b"predict").outputs[0], "name", b"y"),
    "input that is not there": lambda n: setattr(
        signature(n, b"predict").inputs[0], "tensorIndex", 3_405_774_849
    ),
    "mask that is not there": lambda n: setattr(
        signature(n, b"dropout").inputs[0], "tensorIndex", 3_405_774_849
    ),
    "operator that is not there": lambda n: setattr(graph(n).operators[0], "opcodeIndex", 77),
    "result that is not there": lambda n: setattr(graph(n).operators[0], "outputs", [-7]),
    "no operators": lambda n: setattr(graph(n), "operators", []),
    "28 by 28": lambda n: setattr(graph(n).tensors[graph(n).inputs[0]], "shape", [1, 784]),
}


def damaged(path: Path, content: Bundle, damage: Callable[[Any], None]) -> Path:
    """The recogniser file with its network changed, and all hashes right."""
    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content.model, 0))
    damage(tree)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return rewritten(path, content, model=bytes(builder.Output()))


def test_damage_that_only_dropout_meets(tmp_path: Path, content: Bundle) -> None:
    """It loads, and predicts; asked with dropout, it is a `BundleError`."""

    def damage(network: Any) -> None:
        operator = graph(network, b"dropout").operators[0]
        operator.inputs = [operator.inputs[0], operator.inputs[0], *operator.inputs[2:]]

    recognizer = Recognizer.load(damaged(tmp_path / "a.speechrec", content, damage))
    wave = np.zeros(recognizer.config.clip_samples, dtype=np.float32)
    recognizer.predict(wave)
    with pytest.raises(BundleError, match="cannot be used"):
        recognizer.uncertainty(wave, passes=2, seed=0)


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_network_other_than_promised(tmp_path: Path, content: Bundle, damage: str) -> None:
    """A network that loads, but is not what the file promises, is one line of `BundleError`."""
    path = damaged(tmp_path / "a.speechrec", content, DAMAGES[damage])
    with pytest.raises(BundleError) as caught:
        Recognizer.load(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message


@pytest.mark.parametrize("kind", [str, Path])
def test_missing_file_is_named_once(kind: type) -> None:
    """The message names the file once, whether it was given as text or as a path."""
    with pytest.raises(BundleError, match="no such recogniser file") as caught:
        Recognizer.load(kind("./nowhere/none.speechrec"))
    assert str(caught.value).count("none.speechrec") == 1


def test_confident_on_its_own_words(recognizer: Recognizer, clips: FeatureSet) -> None:
    """The whole chain learnt something: the small corpus is recognised almost without mistakes."""
    answers = recognizer.scores(clips.x).argmax(axis=1)
    assert (answers == clips.y).mean() > 0.9


def test_keywords_are_the_labels_that_are_commands(recognizer: Recognizer) -> None:
    """Unknown words and silence are labels and no keywords; the order is that of the labels."""
    assert recognizer.labels == ("rise", "fall", "high", UNKNOWN, SILENCE)
    assert recognizer.keywords == ("rise", "fall", "high")


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ({}, {"rise": 0.75, "fall": 0.75, "high": 0.75}),
        ({"fall": 0.9}, {"rise": 0.75, "fall": 0.9, "high": 0.75}),
        ({"fall": 0.0, "high": 1.0, "rise": 0.5}, {"rise": 0.5, "fall": 0.0, "high": 1.0}),
    ],
)
def test_stream_thresholds(
    tmp_path: Path, content: Bundle, stream: dict[str, float], expected: dict[str, float]
) -> None:
    """Each keyword has its own, or else that of single clips."""
    changes: dict[str, Any] = {"stream": {"thresholds": stream}} if stream else {}
    path = rewritten(tmp_path / "a.speechrec", content, threshold=0.75, **changes)
    recognizer = Recognizer.load(path)
    assert recognizer.stream_thresholds == expected
    assert set(recognizer.uncalibrated) == set(recognizer.keywords) - set(stream)
    assert recognizer.threshold == 0.75


@pytest.mark.parametrize("threshold", [0.0, 0.25])
def test_streams_act_on_nothing_below_a_half(
    tmp_path: Path, content: Bundle, threshold: float
) -> None:
    """Where unknown words set no threshold for clips, a stream would act on every noise."""
    path = rewritten(tmp_path / "a.speechrec", content, threshold=threshold)
    assert set(Recognizer.load(path).stream_thresholds.values()) == {0.5}


def test_streams_ask_the_same_network_where_there_is_no_other(
    recognizer: Recognizer, clips: FeatureSet
) -> None:
    """A file with one network answers clips and streams alike, to the last bit."""
    np.testing.assert_array_equal(recognizer.stream_scores(clips.x), recognizer.scores(clips.x))


def test_streams_ask_the_network_that_is_there_for_them(
    tmp_path: Path,
    content: Bundle,
    cnn_run: RunResult,
    clips: FeatureSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second network answers streams, at a temperature of its own, through XNNPACK, and nothing
    else."""
    other = read_bundle(cnn_run.recogniser).model
    path = rewritten(
        tmp_path / "two.speechrec", content,
        stream_model=other, temperature=1.0, stream_network={"temperature": 2.0},
    )  # fmt: skip
    both = Recognizer.load(path)
    delegated = []

    def network(*given: Any, **options: Any) -> Network:
        delegated.append(options.get("delegated", False))
        return Network(*given, **options)

    monkeypatch.setattr("speechrec.recognizer.Network", network)
    np.testing.assert_allclose(
        both.stream_scores(clips.x), softmax(logits(cnn_run.result.model, clips.x) / 2), atol=2e-5
    )
    assert delegated == [True]
    alone = Recognizer.load(rewritten(tmp_path / "one.speechrec", content, temperature=1.0))
    np.testing.assert_array_equal(both.scores(clips.x), alone.scores(clips.x))


def test_damage_to_the_network_for_streams_is_told_when_it_is_asked(
    tmp_path: Path, content: Bundle, clips: FeatureSet
) -> None:
    """Garbage behind the right hashes is an error that names what is wrong, not a crash."""
    path = rewritten(
        tmp_path / "a.speechrec", content,
        stream_model=b"\x1c\0\0\0TFL3" + b"\0" * 64, stream_network={"temperature": 1.0},
    )  # fmt: skip
    with pytest.raises(BundleError, match="network inside"):
        Recognizer.load(path).stream_scores(clips.x[:1])


def test_posteriors_that_are_no_numbers_are_an_error(recognizer: Recognizer) -> None:
    """A damaged network's NaN is told, and not passed on as a confidence."""
    with pytest.raises(BundleError, match="gave NaN"):
        recognizer.decide(np.full(len(recognizer.labels), np.nan, np.float32))


@pytest.mark.parametrize("name", ["_stream_network", "_network"])
def test_a_damaged_stream_network_is_not_silence(recogniser_file: Path, name: str) -> None:
    """NaN in a stream is told as well, whichever network it asks: it would look like silence."""
    recognizer = Recognizer.load(recogniser_file)
    recognizer.__dict__["_stream_network"] = None
    recognizer.__dict__[name] = SimpleNamespace(
        scores=lambda x: np.full((len(x), len(recognizer.labels)), np.nan, np.float32)
    )
    with pytest.raises(BundleError, match="gave NaN"):
        recognizer.stream_scores(np.zeros((1, 1024), np.float32))
