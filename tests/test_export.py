"""What is exported is the same function as the Keras model, or is not exported."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pytest

from speechrec import export
from speechrec.bundle import read_bundle
from speechrec.errors import TrainingError
from speechrec.export import dropout_layers, dropout_shapes, folded_dense, to_tflite
from speechrec.model import band_statistics, build_model
from speechrec.network import Network
from speechrec.recognizer import Recognizer
from speechrec.run import RunResult
from speechrec.store import load_features
from speechrec.train_config import ModelConfig

LABELS = 4


def small(rng: np.random.Generator, x: npt.NDArray[np.float32], **settings: object) -> keras.Model:
    """An untrained network on the statistics of ``x``, none of its weights zero."""
    config = ModelConfig(**{"widths": (12, 6), "dropout": (0.5, 0.25), **settings})
    statistics = band_statistics(x, bands=32, remove_level=config.remove_level)
    model = build_model(config, LABELS, statistics=statistics)
    for layer in model.layers:
        shapes = [weight.shape for weight in layer.weights if "seed" not in weight.path]
        if shapes and not isinstance(layer, keras.layers.Dropout):
            # Variances of batch normalisation must be positive, so all are.
            layer.set_weights([rng.uniform(0.02, 0.3, shape) for shape in shapes])
            kernel, *rest = layer.get_weights()
            if kernel.ndim > 1:
                layer.set_weights([rng.normal(0, kernel.shape[0] ** -0.5, kernel.shape), *rest])
    return model


@pytest.fixture
def x(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Like log-mel numbers: far from zero, bands of different spread."""
    spread = np.repeat(np.linspace(0.2, 4, 32), 32)
    return (rng.standard_normal((20, 1024)) * spread - 8).astype(np.float32)


def kinds(model: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("remove_level", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_folding_changes_nothing_but_the_layers(
    rng: np.random.Generator,
    x: npt.NDArray[np.float32],
    batch_norm: bool,
    remove_level: bool,
    standardise: bool,
) -> None:
    """Whatever stands around the dense layers, they alone are left and give equal posteriors."""
    model = small(
        rng, x, batch_norm=batch_norm, remove_level=remove_level, standardise=standardise
    )  # fmt: skip
    folded = folded_dense(model)
    assert kinds(folded) == ["InputLayer", *["Dense", "ReLU", "Dropout"] * 2, "Dense"]
    wanted = np.asarray(model(x, training=False))
    assert wanted.std(axis=0).min() > 1e-3
    np.testing.assert_allclose(np.asarray(folded(x, training=False)), wanted, atol=1e-5)


def test_folding_closed_form(rng: np.random.Generator, x: npt.NDArray[np.float32]) -> None:
    """The folded weights are W / deviation and b - W mean / deviation."""
    model = small(rng, x)
    kernel, bias = (np.asarray(w, np.float64) for w in model.get_layer("dense_1").get_weights())
    mean, deviation = (np.repeat(s.astype(np.float64), 32) for s in band_statistics(x, bands=32))
    folded_kernel, folded_bias = folded_dense(model).get_layer("dense_1").get_weights()
    np.testing.assert_allclose(folded_kernel, kernel / deviation[:, np.newaxis], rtol=1e-5)
    np.testing.assert_allclose(folded_bias, bias - (mean / deviation) @ kernel, rtol=1e-4)


def test_folding_normalisation_closed_form(
    rng: np.random.Generator, x: npt.NDArray[np.float32]
) -> None:
    """Batch normalisation scales the weights by gamma / deviation and shifts by beta - mean."""
    model = small(rng, x, batch_norm=True)
    (kernel,) = (np.asarray(w, np.float64) for w in model.get_layer("dense_2").get_weights())
    layer = model.get_layer("dense_2_norm")
    gamma, beta, mean, variance = (np.asarray(w, np.float64) for w in layer.get_weights())
    scale = gamma / np.sqrt(variance + layer.epsilon)
    folded_kernel, folded_bias = folded_dense(model).get_layer("dense_2").get_weights()
    np.testing.assert_allclose(folded_kernel, kernel * scale, rtol=1e-5)
    np.testing.assert_allclose(folded_bias, beta - mean * scale, rtol=1e-4, atol=1e-6)


def test_folding_leaves_the_model_alone(
    rng: np.random.Generator, x: npt.NDArray[np.float32]
) -> None:
    """The Keras model has the same layers, weights and posteriors after it was folded."""
    model = small(rng, x, batch_norm=True, remove_level=True)
    before, layers, shapes = np.asarray(model(x)), kinds(model), dropout_shapes(model)
    weights = model.get_weights()
    folded_dense(model)
    np.testing.assert_array_equal(np.asarray(model(x)), before)
    assert (kinds(model), dropout_shapes(model)) == (layers, shapes)
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)


RESNET = {
    "kind": "resnet", "filters": (3, 4), "widths": (), "dropout": (0.2,), "batch_norm": True,
    "remove_level": True,
}  # fmt: skip


@pytest.mark.parametrize(
    "settings", [{"kind": "cnn", "filters": (2,), "widths": (6,)}, RESNET], ids=["cnn", "resnet"]
)
def test_nothing_is_folded(
    rng: np.random.Generator, x: npt.NDArray[np.float32], settings: dict[str, object]
) -> None:
    """Where a padding convolution follows the statistics, the model stays."""
    model = small(rng, x, **settings)
    assert folded_dense(model) is model


def test_weights_stay_where_there_is_nothing_to_fold(
    rng: np.random.Generator, x: npt.NDArray[np.float32]
) -> None:
    """A plain stack is folded into itself, bit for bit."""
    model = small(rng, x, standardise=False)
    for one, other in zip(folded_dense(model).get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"standardise": False},
        {"batch_norm": True},
        {"remove_level": True},
        {"remove_level": True, "batch_norm": True},
        {"widths": (), "dropout": ()},
        {"dropout": (0.0, 0.0)},
        {"dropout": (0.0, 0.9)},
        {"kind": "cnn", "filters": (2, 3), "widths": (6,), "dropout": (0.1, 0.2, 0.3)},
        {
            "kind": "cnn",
            "filters": (2,),
            "widths": (6,),
            "dropout": (0.1, 0.0),
            "batch_norm": True,
            "remove_level": True,
        },
        {"kind": "cnn", "filters": (2,), "widths": (), "dropout": (0.1,), "batch_norm": True},
        RESNET,
        {**RESNET, "batch_norm": False, "dropout": (0.0,), "filters": (3,)},
    ],
    ids=str,
)
def test_same_posteriors(
    rng: np.random.Generator, x: npt.NDArray[np.float32], settings: dict[str, object]
) -> None:
    """Every kind of network gives in LiteRT what it gives in Keras."""
    model = small(rng, x, **settings)
    network = Network(to_tflite(model, x), labels=LABELS)
    np.testing.assert_allclose(network.scores(x), np.asarray(model(x)), atol=1e-5)


@pytest.mark.parametrize("kind", ["dense", "cnn"])
def test_trained_runs_same_posteriors(
    kind: str, request: pytest.FixtureRequest, feature_store: Path
) -> None:
    """The recogniser file of a trained network gives the posteriors of its Keras model."""
    run: RunResult = request.getfixturevalue("run" if kind == "dense" else "cnn_run")
    clips = load_features(feature_store, "testing")
    wanted = np.asarray(run.result.model(clips.x, training=False))
    got = Recognizer.load(run.recogniser).scores(clips.x)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_saved_keras_model_is_the_one_in_the_recogniser(
    run: RunResult, feature_store: Path
) -> None:
    """model.keras, opened with Keras alone, scores as the recogniser file beside it."""
    clips = load_features(feature_store, "testing")
    model = keras.models.load_model(run.recogniser.with_name("model.keras"))
    got = Recognizer.load(run.recogniser).scores(clips.x)
    np.testing.assert_allclose(got, np.asarray(model(clips.x)), atol=1e-5)


def test_refuses_drift(
    rng: np.random.Generator, x: npt.NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export that gives other posteriors than Keras is an error, not a file."""

    def wrong(model: keras.Model) -> keras.Model:
        other = keras.models.clone_model(model)
        other.set_weights([weight * 1.01 for weight in model.get_weights()])
        return other

    monkeypatch.setattr(export, "folded_dense", wrong)
    with pytest.raises(TrainingError, match=r"differs from Keras by \S+, more than 1e-05"):
        to_tflite(small(rng, x), x)


def test_refuses_what_is_not_finite(rng: np.random.Generator, x: npt.NDArray[np.float32]) -> None:
    """A network whose weights blew up is refused: nothing can be compared with NaN."""
    model = small(rng, x)
    kernel, bias = model.get_layer("dense_2").get_weights()
    model.get_layer("dense_2").set_weights([np.full_like(kernel, np.nan), bias])
    with pytest.raises(TrainingError, match="differs from Keras by nan"):
        to_tflite(model, x)


def test_tolerance() -> None:
    """The tolerance is at most the 1e-5 in posterior probability that is promised."""
    assert export.TOLERANCE <= 1e-5


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, [(0.5, [12]), (0.25, [6])]),
        ({"dropout": (0.0, 0.25)}, [(0.25, [6])]),
        ({"dropout": (0.0, 0.0)}, []),
        (
            {"kind": "cnn", "filters": (2, 3), "widths": (6,), "dropout": (0.1, 0.2, 0.3)},
            [(0.1, [16, 16, 2]), (0.2, [8, 8, 3]), (0.3, [6])],
        ),
        (RESNET, [(0.2, [4])]),
    ],
    ids=["dense", "one without", "none", "cnn", "resnet"],
)
def test_dropout_shapes(
    rng: np.random.Generator,
    x: npt.NDArray[np.float32],
    settings: dict[str, object],
    wanted: list[tuple[float, list[int]]],
) -> None:
    """The manifest gets rate and mask shape of every layer that acts, in the network's order."""
    model = small(rng, x, **settings)
    shapes = dropout_shapes(model)
    assert [layer["shape"] for layer in shapes] == [shape for _, shape in wanted]
    assert [layer["rate"] for layer in shapes] == pytest.approx([rate for rate, _ in wanted])
    assert len(dropout_layers(model)) == len(wanted)


@pytest.mark.parametrize(
    "settings", [RESNET, {"batch_norm": True, "remove_level": True}], ids=["resnet", "dense"]
)
def test_masks_act_where_dropout_did(
    rng: np.random.Generator, x: npt.NDArray[np.float32], settings: dict[str, object]
) -> None:
    """With masks drawn for every pass, posteriors vary; their mean over many is Keras' mean."""
    model = small(rng, x, **settings)
    shapes = tuple((float(s["rate"]), tuple(s["shape"])) for s in dropout_shapes(model))
    network = Network(to_tflite(model, x), labels=LABELS, dropout=shapes)
    passes = network.dropout_scores(x[0], passes=2000, rng=np.random.default_rng(1))
    assert passes.shape == (2000, LABELS)
    np.testing.assert_allclose(passes.sum(axis=1), 1, atol=1e-5)
    assert passes.std(axis=0).min() > 1e-4
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.trainable = False
    by_keras = np.asarray(model(np.repeat(x[:1], 2000, axis=0), training=True))
    error = 5 * np.hypot(passes.std(axis=0), by_keras.std(axis=0)) / np.sqrt(2000)
    assert (np.abs(passes.mean(axis=0) - by_keras.mean(axis=0)) < error + 1e-6).all()


def test_equal_models_give_equal_bytes(
    rng: np.random.Generator, x: npt.NDArray[np.float32], run: RunResult
) -> None:
    """Converting the same weights twice gives a network of the same posteriors, bit for bit."""
    model = small(rng, x)
    once, twice = (Network(to_tflite(model, x), labels=LABELS) for _ in range(2))
    np.testing.assert_array_equal(once.scores(x), twice.scores(x))
    assert read_bundle(run.recogniser).model[4:8] == b"TFL3"


@pytest.mark.parametrize("int8", [False, True])
def test_delegated_networks_answer_alike(
    rng: np.random.Generator, x: npt.NDArray[np.float32], int8: bool
) -> None:
    """XNNPACK's posteriors are those of the plain network but for rounding, in any order."""
    content = to_tflite(small(rng, x, **RESNET), x, int8=int8)
    plain, delegated = (Network(content, labels=LABELS, delegated=each) for each in (False, True))
    scores = delegated.scores(x)
    np.testing.assert_allclose(scores, plain.scores(x), atol=0.02 if int8 else 1e-5)
    np.testing.assert_array_equal(delegated.scores(x[::-1]), scores[::-1])


def test_a_delegate_does_not_announce_itself(
    rng: np.random.Generator, x: npt.NDArray[np.float32], tmp_path: Path
) -> None:
    """What is heard in a stream is all that a user sees."""
    path = tmp_path / "network.tflite"
    path.write_bytes(to_tflite(small(rng, x, **RESNET), x))

    def said(before: str = "pass") -> bytes:
        code = (
            f"import sys, contextlib, numpy, pathlib; from speechrec import network; {before}; "
            "content = pathlib.Path(sys.argv[1]).read_bytes(); "
            f"asked = network.Network(content, labels={LABELS}, delegated=True); "
            "asked.scores(numpy.zeros((1, 1024)))"
        )
        command = [sys.executable, "-c", code, path]
        return subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True
        ).stdout

    assert b"XNNPACK" in said("network.native_chatter_hidden = contextlib.nullcontext")
    assert said() == b""


def test_a_network_is_checked_as_it_will_be_asked(
    rng: np.random.Generator, x: npt.NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a delegate computes is held against Keras where one will be used, and only there."""

    class Drifting(Network):
        def __init__(self, content: bytes, *, labels: int, delegated: bool = False) -> None:
            super().__init__(content, labels=labels, delegated=delegated)
            self._drift = np.float32(0.01 * delegated)

        def scores(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            return super().scores(x) + self._drift

    monkeypatch.setattr(export, "Network", Drifting)
    model = small(rng, x)
    to_tflite(model, x)
    with pytest.raises(TrainingError, match="differs from Keras"):
        to_tflite(model, x, delegated=True)
