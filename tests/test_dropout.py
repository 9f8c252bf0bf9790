"""Dropout acts in training and nowhere else, unless it is asked for by name."""

import contextlib
import itertools
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
from ai_edge_litert import schema_py_generated as schema

from speechrec.bundle import read_bundle, write_bundle
from speechrec.config import FeatureConfig
from speechrec.errors import SpeechrecError
from speechrec.export import dropout_shapes, to_tflite
from speechrec.features import mel_filterbank
from speechrec.model import band_statistics, build_model
from speechrec.network import Network, _mask
from speechrec.recognizer import Recognizer
from speechrec.run import RunResult
from speechrec.store import FeatureSet, load_features
from speechrec.train_config import ModelConfig

PAGE = Path(__file__).parents[1] / "docs" / "dropout.md"
KINDS = ("dense", "cnn", "batch norm")
Array = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def clips(feature_store: Path) -> FeatureSet:
    return load_features(feature_store, "testing")


def bundled(path: Path, model: keras.Model, clips: FeatureSet) -> Path:
    """A recogniser file of any Keras model, without a run around it."""
    manifest = {
        "labels": list(clips.labels),
        "features": {},
        "features_hash": FeatureConfig().hash,
        "dropout": dropout_shapes(model),
        "temperature": 1.0,
        "threshold": 0.0,
    }
    content = to_tflite(model, clips.x)
    write_bundle(path, manifest=manifest, model=content, mel=mel_filterbank(FeatureConfig()))
    return path


@pytest.fixture(scope="module")
def batch_norm_model(feature_store: Path) -> keras.Model:
    """Dense with batch normalisation, trained a little so that its moving averages have moved."""
    training = load_features(feature_store, "training")
    keras.utils.set_random_seed(3)
    config = ModelConfig(widths=(16, 8), dropout=(0.4, 0.3), batch_norm=True)
    statistics = band_statistics(training.x, bands=32)
    model = build_model(config, len(training.labels), statistics=statistics)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(training.x, training.y, epochs=2, batch_size=16, verbose=0)
    return model


@pytest.fixture(scope="module")
def pairs(
    tmp_path_factory: pytest.TempPathFactory,
    run: RunResult,
    cnn_run: RunResult,
    batch_norm_model: keras.Model,
    clips: FeatureSet,
) -> dict[str, tuple[keras.Model, Path]]:
    """Trained Keras models, each with the recogniser file made of it."""
    path = tmp_path_factory.mktemp("batch_norm") / "batch_norm.speechrec"
    return {
        "dense": (run.result.model, run.recogniser),
        "cnn": (cnn_run.result.model, cnn_run.recogniser),
        "batch norm": (batch_norm_model, bundled(path, batch_norm_model, clips)),
    }


def operators(content: bytes) -> dict[str, list[str]]:
    """The operators of each signature of a TensorFlow Lite model, by name, in order."""
    names = {
        value: key for key, value in vars(schema.BuiltinOperator).items() if not key.startswith("_")
    }
    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))

    def name(operator: Any) -> str:
        code = tree.operatorCodes[operator.opcodeIndex]
        custom = code.customCode.decode() if code.customCode else ""
        return custom or names[max(code.builtinCode, code.deprecatedBuiltinCode)]

    return {
        entry.signatureKey.decode(): [
            name(operator) for operator in tree.subgraphs[entry.subgraphIndex].operators
        ]
        for entry in tree.signatureDefs
    }


def is_random(operator: str) -> bool:
    words = ("RANDOM", "MULTINOMIAL", "RNG", "BERNOULLI", "DROPOUT", "STATELESS", "PHILOX")
    return any(word in operator.upper() for word in words)


# Predicting: off.


@pytest.mark.parametrize("kind", KINDS)
def test_two_predictions_are_bit_identical(
    pairs: dict[str, Any], clips: FeatureSet, kind: str
) -> None:
    """Nothing is drawn when predicting: twice the same clip, twice the same bits."""
    recognizer = Recognizer.load(pairs[kind][1])
    np.testing.assert_array_equal(recognizer.scores(clips.x), recognizer.scores(clips.x))


@pytest.mark.parametrize("kind", KINDS)
def test_one_at_a_time_equals_a_batch(pairs: dict[str, Any], clips: FeatureSet, kind: str) -> None:
    """A clip's scores do not depend on the clips that are scored with it."""
    recognizer = Recognizer.load(pairs[kind][1])
    alone = np.concatenate([recognizer.scores(row[np.newaxis]) for row in clips.x])
    np.testing.assert_array_equal(recognizer.scores(clips.x), alone)


@pytest.mark.parametrize("kind", KINDS)
def test_all_ways_to_predict_agree(pairs: dict[str, Any], clips: FeatureSet, kind: str) -> None:
    """model(x), model.predict(x) and the recogniser file give the same posteriors."""
    model, path = pairs[kind]
    called = np.asarray(model(clips.x))
    np.testing.assert_allclose(called, np.asarray(model(clips.x, training=False)), atol=0)
    np.testing.assert_allclose(model.predict(clips.x, verbose=0), called, atol=1e-5)
    np.testing.assert_allclose(Recognizer.load(path).scores(clips.x), called, atol=1e-5)


def test_mc_dropout_leaves_predictions_alone(
    recogniser_file: Path, clips: FeatureSet, rng: np.random.Generator
) -> None:
    """After Monte-Carlo passes the ordinary prediction is what it was before them."""
    recognizer = Recognizer.load(recogniser_file)
    before = recognizer.scores(clips.x)
    recognizer.uncertainty(rng.uniform(-1, 1, 16_000).astype(np.float32), passes=5, seed=0)
    np.testing.assert_array_equal(recognizer.scores(clips.x), before)


# What is exported.


def test_dense_network_is_the_plain_stack(pairs: dict[str, Any]) -> None:
    """What ships of the dense network: a fully connected operator a layer, and one softmax."""
    content = read_bundle(pairs["dense"][1]).model
    assert operators(content)["predict"] == ["FULLY_CONNECTED"] * 3 + ["SOFTMAX"]


def test_dropout_graph_has_a_product_a_layer(pairs: dict[str, Any]) -> None:
    """The signature for Monte-Carlo dropout is the same stack with a mask behind each layer."""
    content = read_bundle(pairs["dense"][1]).model
    layer = ["FULLY_CONNECTED", "MUL"]
    assert operators(content)["dropout"] == [*layer, *layer, "FULLY_CONNECTED", "SOFTMAX"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_random_operator(pairs: dict[str, Any], kind: str) -> None:
    """Neither signature draws anything: the exported graphs hold no random operator."""
    found = operators(read_bundle(pairs[kind][1]).model)
    assert set(found) == {"predict", "dropout"}
    assert not [name for names in found.values() for name in names if is_random(name)]


@pytest.mark.parametrize("kind", KINDS)
def test_predict_has_no_masks(pairs: dict[str, Any], kind: str) -> None:
    """`predict` lacks exactly the products by which `dropout` masks each layer."""
    content = read_bundle(pairs[kind][1])
    found = operators(content.model)
    masked = found["dropout"].count("MUL") - found["predict"].count("MUL")
    assert masked == len(content.dropout)
    assert len(found["dropout"]) - len(found["predict"]) == masked


def test_random_operators_would_be_seen() -> None:
    """The search above finds dropout where it was left on: it is not blind."""
    import tensorflow as tf

    layer = keras.layers.Dropout(0.5)
    function = tf.function(lambda x: layer(x, training=True))
    concrete = function.get_concrete_function(tf.TensorSpec((1, 8), tf.float32))
    names = [operation.type for operation in concrete.graph.get_operations()]
    names += [
        node.op for f in concrete.graph.as_graph_def().library.function for node in f.node_def
    ]
    assert any(is_random(name) for name in names)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_shared(pairs: dict[str, Any], clips: FeatureSet, kind: str) -> None:
    """The second signature costs a few kilobytes, not a second set of weights."""
    model, path = pairs[kind]
    with_both = len(read_bundle(path).model)
    without_dropout = keras.models.clone_model(
        model,
        clone_function=lambda layer: (
            keras.layers.Dropout(0.0, name=layer.name)
            if isinstance(layer, keras.layers.Dropout)
            else layer.__class__.from_config(layer.get_config())
        ),
    )
    copied = {layer.name: layer for layer in model.layers}
    for layer in without_dropout.layers:
        if not isinstance(layer, keras.layers.Dropout):
            layer.set_weights(copied[layer.name].get_weights())
    alone = to_tflite(without_dropout, clips.x)
    assert set(operators(alone)) == {"predict"}
    assert with_both - len(alone) < 8_000


# Training: on.


def test_training_mode_changes_the_output(run: RunResult, clips: FeatureSet) -> None:
    """With training=True dropout acts: two calls differ, from each other and from predicting."""
    model = run.result.model
    plain = np.asarray(model(clips.x))
    one, other = (np.asarray(model(clips.x, training=True)) for _ in range(2))
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, plain)


def test_linear_network_keeps_its_expectation() -> None:
    """Behind one dropout layer and a linear one, the mean over masks is the plain prediction.

    This is where the statement holds exactly, not nearly; the mean of n passes must then lie within
    its standard error. Six of them leave one failure in 5e8, and the seed is fixed besides.
    """
    keras.utils.set_random_seed(1)
    inputs = keras.Input((12,))
    outputs = keras.layers.Dense(3)(keras.layers.Dropout(0.4)(inputs))
    model = keras.Model(inputs, outputs)
    x = np.random.default_rng(0).standard_normal((1, 12)).astype(np.float32)
    passes = np.asarray(model(np.repeat(x, 20_000, axis=0), training=True), dtype=np.float64)
    error = passes.std(axis=0) / math.sqrt(len(passes))
    assert (np.abs(passes.mean(axis=0) - np.asarray(model(x))[0]) < 6 * error).all()
    assert (error > 0).all()


def test_exported_masks_keep_the_expectation_exactly() -> None:
    """Summed over all masks with their probabilities, the exported linear network predicts."""
    keras.utils.set_random_seed(2)
    rate, units = 0.3, 4
    inputs = keras.Input((1024,))
    hidden = keras.layers.Dropout(rate)(keras.layers.Dense(units)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(hidden))
    x = np.random.default_rng(0).standard_normal((1, 1024)).astype(np.float32)
    content = to_tflite(model, x)
    network = Network(content, labels=3, dropout=((rate, (units,)),))
    assert network._masked is not None
    expected = np.zeros(3)
    for kept in itertools.product([0, 1], repeat=units):
        probability = math.prod(1 - rate if keep else rate for keep in kept)
        mask = np.array([kept], dtype=np.float32) / np.float32(1 - rate)
        expected += probability * network._masked(x=x, mask_0=mask)["scores"][0]
    np.testing.assert_allclose(expected, network.scores(x)[0], atol=1e-5)


def test_trained_network_keeps_its_answers(run: RunResult, clips: FeatureSet) -> None:
    """A network with ReLU and softmax keeps no expectation, but where it is sure, its answer.

    Clips that are answered with 0.9 or more get the same label from the mean over masks, and no
    label's mean strays far: the bound is generous, and far below what an unscaled mask would do.
    """
    model = run.result.model
    plain = np.asarray(model(clips.x))
    passes = np.asarray(model(np.tile(clips.x, (200, 1)), training=True))
    mean = passes.reshape(200, *plain.shape).mean(axis=0)
    sure = plain.max(axis=1) >= 0.9
    assert sure.sum() >= 20
    np.testing.assert_array_equal(mean[sure].argmax(axis=1), plain[sure].argmax(axis=1))
    assert np.abs(mean - plain).mean() < 0.1


# Monte-Carlo dropout of the recogniser file.


def waves(count: int) -> list[Array]:
    rng = np.random.default_rng(11)
    return [rng.uniform(-0.3, 0.3, 16_000).astype(np.float32) for _ in range(count)]


def test_same_seed_same_result(recogniser_file: Path) -> None:
    """The same seed gives the same figures, in another process's recogniser too."""
    wave = waves(1)[0]
    first = Recognizer.load(recogniser_file).uncertainty(wave, passes=20, seed=4)
    assert Recognizer.load(recogniser_file).uncertainty(wave, passes=20, seed=4) == first


def test_other_seed_other_result(recogniser_file: Path) -> None:
    """Another seed draws other masks."""
    recognizer, wave = Recognizer.load(recogniser_file), waves(1)[0]
    results = [recognizer.uncertainty(wave, passes=20, seed=seed) for seed in (0, 1)]
    assert results[0] != results[1]


def test_independent_of_order(recogniser_file: Path) -> None:
    """A file's figures do not depend on the files before it."""
    recognizer, some = Recognizer.load(recogniser_file), waves(4)
    forwards = [recognizer.uncertainty(wave, passes=5, seed=7) for wave in some]
    backwards = [recognizer.uncertainty(wave, passes=5, seed=7) for wave in some[::-1]]
    assert forwards == backwards[::-1]


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(512,), (8, 8, 64)])
def test_masks(rate: float, shape: tuple[int, ...]) -> None:
    """A mask is zero with the layer's rate, else 1 / (1 - rate), which gives a mean of 1."""
    rng = np.random.default_rng(0)
    masks = np.concatenate([_mask(rng, rate, shape).ravel() for _ in range(200)]).astype(float)
    assert _mask(rng, rate, shape).shape == (1, *shape)
    np.testing.assert_allclose(np.unique(masks), [0, 1 / (1 - rate)], rtol=1e-6)
    error = math.sqrt(rate * (1 - rate) / len(masks))
    assert abs((masks == 0).mean() - rate) < 5 * error
    assert abs(masks.mean() - 1) < 5 * error / (1 - rate)


def test_units_are_dropped_independently() -> None:
    """Neither neighbouring units nor successive masks follow each other."""
    rng = np.random.default_rng(1)
    masks = np.concatenate([_mask(rng, 0.5, (64,)) for _ in range(4000)]) - 1
    neighbours = float((masks[:, :-1] * masks[:, 1:]).mean())
    successive = float((masks[:-1] * masks[1:]).mean())
    assert abs(neighbours) < 0.02
    assert abs(successive) < 0.02


@pytest.mark.parametrize("kind", ["dense", "cnn"])
def test_mean_is_that_of_keras(pairs: dict[str, Any], clips: FeatureSet, kind: str) -> None:
    """The file's Monte-Carlo mean is that of Keras with training=True, within sampling error."""
    model, path = pairs[kind]
    content = read_bundle(path)
    network = Network(content.model, labels=len(clips.labels), dropout=content.dropout)
    passes = 2000
    for vector in (clips.x[0], clips.x[-1]):
        file = network.dropout_scores(vector, passes=passes, rng=np.random.default_rng(0))
        batch = np.repeat(vector[np.newaxis], passes, axis=0)
        keras_ = np.asarray(model(batch, training=True), dtype=np.float64)
        error = np.sqrt((file.var(axis=0) + keras_.var(axis=0)) / passes)
        assert (np.abs(file.mean(axis=0) - keras_.mean(axis=0)) < 5 * error + 1e-5).all()
        np.testing.assert_allclose(file.std(axis=0), keras_.std(axis=0), atol=0.03)


def test_figures_are_within_their_bounds(recogniser_file: Path) -> None:
    """0 <= mutual information <= predictive entropy <= ln(labels); the means are posteriors."""
    recognizer = Recognizer.load(recogniser_file)
    for wave in (*waves(5), np.zeros(16_000, np.float32), np.ones(10, np.float32)):
        spread = recognizer.uncertainty(wave, passes=30, seed=0)
        assert 0 <= spread.mutual_information <= spread.predictive_entropy
        assert spread.predictive_entropy <= math.log(len(recognizer.labels)) + 1e-6
        assert sum(spread.mean.values()) == pytest.approx(1, abs=1e-5)
        values = list(spread.mean.values())
        assert values == sorted(values, reverse=True)
        assert spread.passes == 30


def test_figures_by_hand(recogniser_file: Path) -> None:
    """Entropy and mutual information are what their definitions give on the same passes."""
    recognizer, wave = Recognizer.load(recogniser_file), waves(1)[0]
    spread = recognizer.uncertainty(wave, passes=40, seed=9)
    content = read_bundle(recogniser_file)
    network = Network(content.model, labels=len(content.labels), dropout=content.dropout)
    rng = np.random.default_rng(9)
    p = network.dropout_scores(recognizer.features(wave), passes=40, rng=rng).astype(np.float64)
    mean = p.mean(axis=0)
    total = -float((mean * np.log(mean)).sum())
    within = -float((p * np.log(np.maximum(p, 1e-300))).sum(axis=1).mean())
    assert spread.predictive_entropy == pytest.approx(total, abs=1e-9)
    assert spread.mutual_information == pytest.approx(total - within, abs=1e-9)
    assert spread.mean == pytest.approx(dict(zip(content.labels, mean.tolist(), strict=True)))


@pytest.mark.parametrize("passes", [-1, 0, 1])
def test_too_few_passes(recogniser_file: Path, passes: int) -> None:
    """One pass has no spread; fewer than two are refused."""
    with pytest.raises(SpeechrecError, match="at least 2 Monte-Carlo passes"):
        Recognizer.load(recogniser_file).uncertainty(waves(1)[0], passes=passes, seed=0)


def test_network_without_dropout(tmp_path: Path, clips: FeatureSet) -> None:
    """A network whose rates are 0 predicts, and says what it lacks for Monte-Carlo dropout."""
    keras.utils.set_random_seed(0)
    model = build_model(ModelConfig(widths=(4,), dropout=(0.0,)), len(clips.labels))
    path = bundled(tmp_path / "none.speechrec", model, clips)
    recognizer = Recognizer.load(path)
    assert set(operators(read_bundle(path).model)) == {"predict"}
    np.testing.assert_allclose(recognizer.scores(clips.x), np.asarray(model(clips.x)), atol=1e-5)
    with pytest.raises(SpeechrecError, match="train one with a dropout rate above 0"):
        recognizer.uncertainty(waves(1)[0], passes=5, seed=0)


# The page.


def python_blocks(text: str) -> Iterator[tuple[int, str]]:
    """(line number, code) of every Python block of a page."""
    for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, match.start()) + 2, match[1]


def test_the_page_runs() -> None:
    """Every Python block of docs/dropout.md runs, in order, and its asserts hold."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = list(python_blocks(text))
    assert len(blocks) == text.count("```python") >= 5
    assert sum(code.count("assert ") for _, code in blocks) >= 10
    namespace: dict[str, Any] = {"__name__": "page"}
    with contextlib.redirect_stdout(None):
        for line, code in blocks:
            # Blank lines in front make a traceback show the line of the page.
            exec(compile("\n" * (line - 1) + code, str(PAGE), "exec"), namespace)
