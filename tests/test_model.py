"""The networks are layer for layer what their settings say."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pytest

from speechrec.config_toml import load_config
from speechrec.model import band_statistics, build_model
from speechrec.train_config import ModelConfig

CONFIGS = Path(__file__).parents[1] / "configs"
DENSE = load_config(CONFIGS / "dense.toml").model
CNN = load_config(CONFIGS / "cnn.toml").model


def names(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers]


def parameters(model: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def statistics(bands: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    return np.linspace(-9, -3, bands, dtype=np.float32), np.linspace(1, 4, bands, dtype=np.float32)


def test_dense_layer_by_layer() -> None:
    """1024-512-256-128-64-10: four times dense, ReLU, dropout 0.5, and a softmax over the words."""
    model = build_model(DENSE, 10)
    hidden = [f"{kind}_{n}{tail}" for n in range(1, 5)
              for kind, tail in (("dense", ""), ("dense", "_relu"), ("dropout", ""))]  # fmt: skip
    assert names(model) == ["features", *hidden, "posteriors"]
    assert (model.input_shape, model.output_shape) == ((None, 1024), (None, 10))
    for number, units in enumerate([512, 256, 128, 64], 1):
        dense = model.get_layer(f"dense_{number}")
        assert (dense.units, dense.activation.__name__, dense.use_bias) == (units, "linear", True)
        assert isinstance(model.get_layer(f"dense_{number}_relu"), keras.layers.ReLU)
        assert model.get_layer(f"dropout_{number}").rate == 0.5
    assert model.get_layer("posteriors").activation.__name__ == "softmax"


def test_dense_parameters() -> None:
    """A kernel and a bias between each two neighbours in 1024-512-256-128-64-10, and no more."""
    widths = [1024, 512, 256, 128, 64, 10]
    assert parameters(build_model(DENSE, 10)) == sum((a + 1) * b for a, b in pairwise(widths))
    assert parameters(build_model(DENSE, 10)) == 697_930


def test_cnn_layer_by_layer() -> None:
    """Two blocks of 3 by 3 convolution, ReLU, halving and dropout, then one hidden dense layer."""
    model = build_model(CNN, 12)
    blocks = [
        f"{name}_{n}" if name != "relu" else f"conv_{n}_relu"
        for n in (1, 2)
        for name in ("conv", "relu", "pool", "conv_dropout")
    ]
    assert names(model) == [
        "features", "picture", *blocks, "flatten",
        "dense_1", "dense_1_relu", "dropout_1", "posteriors",
    ]  # fmt: skip
    shapes = {
        "picture": (32, 32, 1), "conv_1": (32, 32, 32), "pool_1": (16, 16, 32),
        "conv_2": (16, 16, 64), "pool_2": (8, 8, 64), "flatten": (4096,), "dense_1": (128,),
        "posteriors": (12,),
    }  # fmt: skip
    assert {name: model.get_layer(name).output.shape[1:] for name in shapes} == shapes
    rates = [
        model.get_layer(f"{n}").rate for n in ("conv_dropout_1", "conv_dropout_2", "dropout_1")
    ]
    assert rates == [0.25, 0.25, 0.5]
    assert model.get_layer("conv_1").kernel_size == (3, 3)


def test_cnn_parameters() -> None:
    """Nine weights a pair of maps and a bias a map, then dense layers on the 8 by 8 pictures."""
    convolutions = (9 * 1 + 1) * 32 + (9 * 32 + 1) * 64
    assert parameters(build_model(CNN, 12)) == (
        convolutions + (8 * 8 * 64 + 1) * 128 + (128 + 1) * 12
    )


def test_cnn_sees_the_picture() -> None:
    """The vector is read as rows of mel bands: one band is one row of the picture."""
    model = build_model(CNN, 3)
    x = np.repeat(np.arange(32, dtype=np.float32), 32)[np.newaxis]
    picture = np.asarray(keras.Model(model.input, model.get_layer("picture").output)(x))[0, ..., 0]
    np.testing.assert_array_equal(picture, np.repeat(np.arange(32)[:, np.newaxis], 32, axis=1))


@pytest.mark.parametrize("config", [DENSE, CNN], ids=["dense", "cnn"])
@pytest.mark.parametrize("shape", [(32, 32), (64, 16), (16, 64), (28, 28)])
def test_other_shapes(config: ModelConfig, shape: tuple[int, int]) -> None:
    """Any picture will do, that of MNIST's digits included, with or without standardising."""
    for given in (None, statistics(shape[0])):
        model = build_model(config, 4, shape=shape, statistics=given)
        scores = np.asarray(model(np.ones((3, shape[0] * shape[1]), dtype=np.float32)))
        assert scores.shape == (3, 4)
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


def test_batch_norm() -> None:
    """Batch normalisation stands before each ReLU and makes the layer's own bias superfluous."""
    config = ModelConfig(widths=(8, 4), dropout=(0.5, 0.5), batch_norm=True)
    model = build_model(config, 3)
    order = ["dense_1", "dense_1_norm", "dense_1_relu", "dropout_1",
             "dense_2", "dense_2_norm", "dense_2_relu", "dropout_2"]  # fmt: skip
    assert names(model) == ["features", *order, "posteriors"]
    assert not model.get_layer("dense_1").use_bias
    assert parameters(model) == 1024 * 8 + 2 * 8 + 8 * 4 + 2 * 4 + (4 + 1) * 3


@pytest.mark.parametrize(
    "widths",
    [(), (7,), (9, 8, 7)],
)
def test_as_many_layers_as_asked_for(widths: tuple[int, ...]) -> None:
    """Widths and rates of the settings are those of the network, in order."""
    rates = tuple(0.1 * (n + 1) for n in range(len(widths)))
    model = build_model(ModelConfig(widths=widths, dropout=rates), 3)
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    dropout = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert [layer.units for layer in dense] == [*widths, 3]
    assert [layer.rate for layer in dropout] == list(rates)


@pytest.mark.parametrize("standardise", [True, False])
def test_standardise_is_the_first_layer(standardise: bool) -> None:
    """The network starts with the statistics where the settings ask for it, else with the data."""
    config = ModelConfig(widths=(4,), dropout=(0.5,), standardise=standardise)
    model = build_model(config, 3, statistics=statistics(32))
    assert ("standardise" in names(model)) == standardise
    assert names(model)[1] == ("standardise" if standardise else "dense_1")


@pytest.mark.parametrize("shape", [(32, 32), (64, 16), (28, 28)])
def test_standardised_bands(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    """On the data that gave the statistics, each band gets mean zero and variance one."""
    bands, frames = shape
    level, spread = rng.uniform(-12, 2, (bands, 1)), rng.uniform(0.1, 5, (bands, 1))
    x = (level + spread * rng.standard_normal((50, bands, frames))).reshape(50, -1)
    x = x.astype(np.float32)
    config = ModelConfig(widths=(4,), dropout=(0.5,))
    model = build_model(config, 3, shape=shape, statistics=band_statistics(x, bands=bands))
    first = keras.Model(model.input, model.get_layer("standardise").output)
    pictures = np.asarray(first(x), dtype=np.float64).reshape(50, bands, frames)
    np.testing.assert_allclose(pictures.mean(axis=(0, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(pictures.std(axis=(0, 2)), 1, atol=1e-4)


def test_band_statistics(rng: np.random.Generator) -> None:
    """Mean and deviation are taken over clips and frames, each band for itself."""
    x = rng.standard_normal((20, 1024)).astype(np.float32)
    mean, deviation = band_statistics(x, bands=32)
    for band in (0, 13, 31):
        values = x[:, band * 32 : (band + 1) * 32].astype(np.float64)
        assert mean[band] == pytest.approx(values.mean(), abs=1e-6)
        assert deviation[band] == pytest.approx(values.std(), abs=1e-6)


@pytest.mark.parametrize("value", [0.0, -13.8, 1e4])
def test_constant_band(rng: np.random.Generator, value: float) -> None:
    """A band that never varies becomes zero instead of a division by zero."""
    x = rng.standard_normal((10, 32, 32)).astype(np.float32)
    x[:, 5] = value
    vectors = x.reshape(10, 1024)
    mean, deviation = band_statistics(vectors, bands=32)
    assert deviation[5] == 1
    config = ModelConfig(widths=(4,), dropout=(0.5,))
    model = build_model(config, 3, statistics=(mean, deviation))
    first = keras.Model(model.input, model.get_layer("standardise").output)
    picture = np.asarray(first(vectors)).reshape(10, 32, 32)
    np.testing.assert_allclose(picture[:, 5], 0, atol=abs(value) * 1e-6 + 1e-6)
    assert np.isfinite(np.asarray(model(vectors))).all()


RESNET = ModelConfig(
    kind="resnet", filters=(4, 6), widths=(), dropout=(0.2,), batch_norm=True, remove_level=True
)


def test_resnet_layer_by_layer() -> None:
    """A stem that halves, two blocks a number of filters, halving between, mean, dropout, words."""
    model = build_model(RESNET, 5)
    shapes = {
        "picture": (32, 32, 1), "stem_conv": (16, 16, 4), "block_1_1": (16, 16, 4),
        "block_1_2": (16, 16, 4), "block_2_1": (8, 8, 6), "block_2_2": (8, 8, 6), "mean": (6,),
        "posteriors": (5,),
    }  # fmt: skip
    assert {name: model.get_layer(name).output.shape[1:] for name in shapes} == shapes
    assert model.get_layer("stem_conv").kernel_size == (5, 5)
    dropout = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert [layer.rate for layer in dropout] == [0.2]
    assert names(model)[-3:] == ["mean", "dropout", "posteriors"]


def test_resnet_parameters() -> None:
    """Kernels without biases, two numbers a map of each normalisation, and the last layer."""
    kernels = 25 * 4 + 4 * 9 * 4 * 4 + 9 * 4 * 6 + 3 * 9 * 6 * 6 + 4 * 6
    norms = 2 * (4 + 4 * 4 + 4 * 6)
    assert parameters(build_model(RESNET, 5)) == kernels + norms + (6 + 1) * 5


@pytest.mark.parametrize("strides", [(2, 1), (1, 1), (1, 2), (3, 2)])
def test_resnet_stem_passes_over_bands_and_frames(strides: tuple[int, int]) -> None:
    """The first convolution leaves every n-th band and every m-th frame; all after it halve."""
    model = build_model(replace(RESNET, stem_strides=strides), 5)
    bands, frames = (math.ceil(32 / stride) for stride in strides)
    assert model.get_layer("block_1_2").output.shape[1:] == (bands, frames, 4)
    halved = math.ceil(bands / 2), math.ceil(frames / 2)
    assert model.get_layer("block_2_2").output.shape[1:] == (*halved, 6)
    assert parameters(model) == parameters(build_model(RESNET, 5))


def test_resnet_blocks_pass_their_input_on() -> None:
    """With nothing in its convolutions, a block that does not halve gives back what it got."""
    model = build_model(RESNET, 5)
    for name in ("block_1_2_a_conv", "block_1_2_b_conv"):
        layer = model.get_layer(name)
        layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    x = np.random.default_rng(3).standard_normal((2, 1024)).astype(np.float32)
    ends = [model.get_layer(name).output for name in ("block_1_1", "block_1_2")]
    before, after = keras.Model(model.input, ends)(x)
    assert np.asarray(before).max() > 0
    np.testing.assert_array_equal(np.asarray(before), np.asarray(after))


@pytest.mark.parametrize("shape", [(32, 32), (64, 16), (28, 28)])
def test_resnet_of_other_shapes(shape: tuple[int, int]) -> None:
    """A residual network takes any picture too."""
    model = build_model(RESNET, 4, shape=shape, statistics=statistics(shape[0]))
    scores = np.asarray(model(np.ones((3, shape[0] * shape[1]), dtype=np.float32)))
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(widths=(8,), dropout=(0.5,), remove_level=True),
        ModelConfig(kind="cnn", filters=(3,), widths=(4,), dropout=(0.1, 0.2), remove_level=True),
        RESNET,
    ],
    ids=["dense", "cnn", "resnet"],
)
def test_level_does_not_show(rng: np.random.Generator, config: ModelConfig) -> None:
    """With ``remove_level`` a louder clip, which is a constant more in the vector, scores alike."""
    x = (rng.standard_normal((5, 1024)) * 2 - 8).astype(np.float32)
    given = band_statistics(x, bands=32, remove_level=True)
    model = build_model(config, 3, statistics=given)
    louder = x + np.linspace(-4, 4, 5, dtype=np.float32)[:, np.newaxis]
    np.testing.assert_allclose(np.asarray(model(louder)), np.asarray(model(x)), atol=1e-5)
    deaf = build_model(replace(config, remove_level=False), 3, statistics=given)
    assert np.abs(np.asarray(deaf(louder)) - np.asarray(deaf(x))).max() > 1e-3


def test_statistics_without_level(rng: np.random.Generator) -> None:
    """Those of clips without their level are the statistics after subtracting each clip's mean."""
    x = rng.standard_normal((20, 1024)).astype(np.float32) + rng.normal(0, 9, (20, 1)).astype("f4")
    mean, deviation = band_statistics(x, bands=32, remove_level=True)
    wide = x.astype(np.float64)
    pictures = (wide - wide.mean(axis=1, keepdims=True)).reshape(20, 32, 32)
    np.testing.assert_allclose(mean, pictures.mean(axis=(0, 2)), atol=1e-5)
    np.testing.assert_allclose(deviation, pictures.std(axis=(0, 2)), atol=1e-5)
    assert deviation.max() < 2 < band_statistics(x, bands=32)[1].min()
