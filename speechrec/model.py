"""The two networks, as Keras models from 1024 log-mel numbers to posteriors."""

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from speechrec.config import ModelConfig

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
            ``config.standardise``; see `band_statistics`.

    Returns:
        A model from (clips, bands * frames) to (clips, n_labels) posteriors. Dropout follows every
        hidden layer and acts in training mode only (Srivastava et al. 2014).
    """
    bands, frames = shape
    rates = iter(config.dropout)
    inputs = keras.Input((bands * frames,), name="features")
    hidden = inputs
    if config.standardise and statistics is not None:
        hidden = _standardise(*statistics, frames=frames)(hidden)
    if config.kind == "cnn":
        hidden = layers.Reshape((bands, frames, 1), name="picture")(hidden)
        for number, filters in enumerate(config.filters, 1):
            hidden = layers.Conv2D(
                filters, 3, padding="same", use_bias=not config.batch_norm, name=f"conv_{number}"
            )(hidden)
            hidden = _activation(hidden, config, f"conv_{number}")
            hidden = layers.MaxPooling2D(2, name=f"pool_{number}")(hidden)
            hidden = layers.Dropout(next(rates), name=f"conv_dropout_{number}")(hidden)
        hidden = layers.Flatten(name="flatten")(hidden)
    for number, width in enumerate(config.widths, 1):
        hidden = layers.Dense(width, use_bias=not config.batch_norm, name=f"dense_{number}")(hidden)
        hidden = _activation(hidden, config, f"dense_{number}")
        hidden = layers.Dropout(next(rates), name=f"dropout_{number}")(hidden)
    outputs = layers.Dense(n_labels, activation="softmax", name="posteriors")(hidden)
    return keras.Model(inputs, outputs, name=config.kind)


def band_statistics(
    x: npt.NDArray[np.float32], *, bands: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean and standard deviation of every band over clips and frames; (bands,) float32 each."""
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


def _activation(hidden: keras.KerasTensor, config: ModelConfig, name: str) -> keras.KerasTensor:
    if config.batch_norm:
        hidden = layers.BatchNormalization(name=f"{name}_norm")(hidden)
    return layers.ReLU(name=f"{name}_relu")(hidden)
