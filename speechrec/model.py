"""The networks, as Keras models from 1024 log-mel numbers to posteriors."""

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from speechrec.train_config import ModelConfig

# A band that never varies is left as it is instead of being divided by zero.
_LEAST_DEVIATION = 1e-3


def build_model(
    config: ModelConfig,
    n_labels: int,
    *,
    shape: tuple[int, int] = (32, 32),
    statistics: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None = None,
) -> keras.Model:
    """The network of a configuration, untrained.

    Args:
        n_labels: outputs of the softmax.
        shape: (mel bands, frames) of the picture that a vector is read as.
        statistics: mean and standard deviation of each band, (bands,) each, for
            ``config.standardise``; see `band_statistics`. They are those of clips without their
            level where ``config.remove_level`` is set.

    Returns:
        A model from (clips, bands * frames) to (clips, n_labels) posteriors. Dropout follows every
        hidden layer and acts in training mode only (Srivastava et al. 2014).
    """
    bands, frames = shape
    inputs = keras.Input((bands * frames,), name="features")
    hidden = inputs
    if config.remove_level:
        hidden = _remove_level(hidden)
    if config.standardise and statistics is not None:
        hidden = _standardise(*statistics, frames=frames)(hidden)
    if config.kind != "dense":
        hidden = layers.Reshape((bands, frames, 1), name="picture")(hidden)
    body = {"dense": _dense_layers, "cnn": _convolutions, "resnet": _residual_blocks}[config.kind]
    hidden = body(hidden, config)
    outputs = layers.Dense(n_labels, activation="softmax", name="posteriors")(hidden)
    return keras.Model(inputs, outputs, name=config.kind)


def _dense_layers(hidden: keras.KerasTensor, config: ModelConfig) -> keras.KerasTensor:
    rates = config.dropout[len(config.dropout) - len(config.widths) :]
    for number, (width, rate) in enumerate(zip(config.widths, rates, strict=True), 1):
        hidden = layers.Dense(width, use_bias=not config.batch_norm, name=f"dense_{number}")(hidden)
        hidden = _activation(hidden, config, f"dense_{number}")
        hidden = layers.Dropout(rate, name=f"dropout_{number}")(hidden)
    return hidden


def _convolutions(hidden: keras.KerasTensor, config: ModelConfig) -> keras.KerasTensor:
    rates = config.dropout[: len(config.filters)]
    for number, (filters, rate) in enumerate(zip(config.filters, rates, strict=True), 1):
        hidden = layers.Conv2D(
            filters, 3, padding="same", use_bias=not config.batch_norm, name=f"conv_{number}"
        )(hidden)
        hidden = _activation(hidden, config, f"conv_{number}")
        hidden = layers.MaxPooling2D(2, name=f"pool_{number}")(hidden)
        hidden = layers.Dropout(rate, name=f"conv_dropout_{number}")(hidden)
    return _dense_layers(layers.Flatten(name="flatten")(hidden), config)


def _residual_blocks(hidden: keras.KerasTensor, config: ModelConfig) -> keras.KerasTensor:
    """Two residual blocks for each number of filters, halving the picture between them.

    A small ResNet (He et al. 2016) with average pooling on the way round a halving block (He et
    al. 2019, "bag of tricks", ResNet-D).
    """
    hidden = _conv(hidden, config.filters[0], 5, strides=config.stem_strides, name="stem")
    hidden = _activation(hidden, config, "stem")
    for number, filters in enumerate(config.filters, 1):
        for block in range(1, _BLOCKS + 1):
            name = f"block_{number}_{block}"
            strides = 2 if number > 1 and block == 1 else 1
            around = hidden
            hidden = _conv(hidden, filters, 3, strides=strides, name=f"{name}_a")
            hidden = _activation(hidden, config, f"{name}_a")
            hidden = _conv(hidden, filters, 3, name=f"{name}_b")
            hidden = _normalised(hidden, config, f"{name}_b")
            if strides > 1:
                around = layers.AveragePooling2D(strides, padding="same")(around)
                around = _conv(around, filters, 1, name=f"{name}_around")
            hidden = layers.ReLU(name=name)(layers.Add(name=f"{name}_sum")([hidden, around]))
    hidden = layers.GlobalAveragePooling2D(name="mean")(hidden)
    return layers.Dropout(config.dropout[0], name="dropout")(hidden)


_BLOCKS = 2


def _conv(
    hidden: keras.KerasTensor,
    filters: int,
    size: int,
    *,
    name: str,
    strides: int | tuple[int, int] = 1,
) -> keras.KerasTensor:
    return layers.Conv2D(
        filters, size, strides=strides, padding="same", use_bias=False, name=f"{name}_conv"
    )(hidden)


def band_statistics(
    x: npt.NDArray[np.float32], *, bands: int, remove_level: bool = False
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean and standard deviation of every band over clips and frames; (bands,) float32 each."""
    if remove_level:
        x = x - x.mean(axis=1, keepdims=True)
    pictures = x.reshape(len(x), bands, -1)
    mean = pictures.mean(axis=(0, 2), dtype=np.float64)
    deviation = pictures.std(axis=(0, 2), dtype=np.float64)
    deviation = np.where(deviation < _LEAST_DEVIATION, 1.0, deviation)
    return mean.astype(np.float32), deviation.astype(np.float32)


def _standardise(
    mean: npt.NDArray[np.float32], deviation: npt.NDArray[np.float32], *, frames: int
) -> keras.layers.Layer:
    """(x - mean) / deviation of each band, as a layer that every exporter understands."""
    scale = 1 / deviation.astype(np.float64)
    return layers.Rescaling(
        scale=np.repeat(scale, frames).tolist(),
        offset=np.repeat(-mean * scale, frames).tolist(),
        name="standardise",
    )


def _remove_level(hidden: keras.KerasTensor) -> keras.KerasTensor:
    """x - mean(x), in layers that load without this package."""
    column = layers.Reshape((*hidden.shape[1:], 1), name="column")(hidden)
    level = layers.GlobalAveragePooling1D(name="level")(column)
    return layers.Subtract(name="remove_level")([hidden, level])


def _normalised(hidden: keras.KerasTensor, config: ModelConfig, name: str) -> keras.KerasTensor:
    if not config.batch_norm:
        return hidden
    return layers.BatchNormalization(momentum=_NORM_MOMENTUM, name=f"{name}_norm")(hidden)


def _activation(hidden: keras.KerasTensor, config: ModelConfig, name: str) -> keras.KerasTensor:
    return layers.ReLU(name=f"{name}_relu")(_normalised(hidden, config, name))


# Keras' own 0.99 lags hundreds of steps behind, which is most of a short training.
_NORM_MOMENTUM = 0.95
