"""A trained Keras model to the inside of a recogniser file; refuses if the scores drift."""

import itertools
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2 as freeze,
)

from speechrec.errors import TrainingError
from speechrec.network import DROPOUT_SIGNATURE, PREDICT_SIGNATURE, Network, mask_name
from speechrec.quiet import native_chatter_hidden

Wide = npt.NDArray[np.float64]

# What the exported network may differ from Keras at most, in posterior probability.
TOLERANCE = 1e-5
# Share of clips that a network with 8-bit weights may answer otherwise.
INT8_TOLERANCE = 0.02


def dropout_layers(model: keras.Model) -> list[keras.layers.Dropout]:
    """The layers that act in training mode only, in order; those with a rate of 0 never act."""
    return [
        layer for layer in model.layers
        if isinstance(layer, keras.layers.Dropout) and layer.rate > 0
    ]  # fmt: skip


def dropout_shapes(model: keras.Model) -> list[dict[str, Any]]:
    """Rate and mask shape (without the batch) of each dropout layer, for the manifest."""
    return [
        {"rate": float(layer.rate), "shape": [int(size) for size in layer.output.shape[1:]]}
        for layer in dropout_layers(model)
    ]


def to_tflite(
    model: keras.Model,
    probe: npt.NDArray[np.float32],
    *,
    int8: bool = False,
    delegated: bool = False,
) -> bytes:
    """Convert to TensorFlow Lite with one signature for prediction and one for MC dropout.

    ``predict`` holds no dropout and no random operation. ``dropout`` multiplies by a mask where the
    Keras model has a Dropout layer, and takes the masks as inputs, so that it holds no random
    operation either. Both share the same weights in the file.

    Args:
        probe: (clips, 1024) feature vectors on which both must give the same posteriors.
        int8: keep the weights as 8-bit integers.
        delegated: it will be asked as such a `Network`.

    Raises:
        TrainingError: the exported scores differ from Keras by more than `TOLERANCE`, or the
            answers by more than `INT8_TOLERANCE`.
    """
    folded = folded_dense(model)
    module = tf.Module()
    signatures = {PREDICT_SIGNATURE: freeze(_concrete(folded, []))}
    masked = dropout_layers(folded)
    if masked:
        signatures[DROPOUT_SIGNATURE] = freeze(_concrete(folded, masked))
    wrapped = {name: _named(function) for name, function in signatures.items()}
    with tempfile.TemporaryDirectory() as folder, native_chatter_hidden():
        tf.saved_model.save(module, folder, signatures=wrapped)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(wrapped))
        if int8:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        content: bytes = converter.convert()
    network = Network(content, labels=model.output_shape[1], delegated=delegated)
    _refuse_drift(model, network, probe, int8=int8)
    return content


_FOLDED = ("Subtract", "Rescaling", "BatchNormalization")
_PLAIN = ("InputLayer", "Reshape", "GlobalAveragePooling1D", "Dense", "ReLU", "Dropout")


def folded_dense(model: keras.Model) -> keras.Model:
    """A dense network whose dense layers also do the work of the linear layers around them.

    What is taken away and scaled before a layer, and the batch normalisation after it, are linear
    too: level W'x = W (x - mean(x)) has W' = W minus the mean of its rows; standardisation
    W'x + b' = W (s x + o) + b has W' = W s and b' = b + W o; and normalisation scales W' and b' by
    gamma / deviation. What ships is the plain stack. A network with convolutions is returned as it
    is: they pad with zeros, which these layers would have changed.
    """
    if not {type(layer).__name__ for layer in model.layers} <= {*_FOLDED, *_PLAIN}:
        return model
    by_kind = {type(layer).__name__: layer for layer in model.layers}
    hidden = inputs = keras.Input(model.input_shape[1:], name="features")
    weights: list[tuple[Wide, Wide]] = []
    for layer, after in itertools.pairwise((*model.layers, None)):
        if isinstance(layer, keras.layers.Dense):
            kernel, bias = _dense_weights(layer)
            if not weights:
                kernel, bias = _with_input_layers(kernel, bias, by_kind)
            if isinstance(after, keras.layers.BatchNormalization):
                kernel, bias = _with_normalisation(kernel, bias, after)
            weights.append((kernel, bias))
            plain = keras.layers.Dense(layer.units, activation=layer.activation, name=layer.name)
            hidden = plain(hidden)
        elif isinstance(layer, keras.layers.ReLU | keras.layers.Dropout):
            hidden = layer(hidden)
    folded = keras.Model(inputs, hidden, name=model.name)
    for layer, pair in zip(_dense_layers(folded), weights, strict=True):
        layer.set_weights(pair)
    return folded


def _dense_layers(model: keras.Model) -> list[keras.layers.Dense]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]


def _dense_weights(layer: keras.layers.Dense) -> tuple[Wide, Wide]:
    kernel, *bias = (np.asarray(weight, dtype=np.float64) for weight in layer.get_weights())
    return kernel, bias[0] if bias else np.zeros(layer.units)


def _with_input_layers(
    kernel: Wide, bias: Wide, by_kind: Mapping[str, keras.layers.Layer]
) -> tuple[Wide, Wide]:
    if (rescaling := by_kind.get("Rescaling")) is not None:
        bias = bias + np.asarray(rescaling.offset, dtype=np.float64) @ kernel
        kernel = kernel * np.asarray(rescaling.scale, dtype=np.float64)[:, np.newaxis]
    if "Subtract" in by_kind:
        kernel = kernel - kernel.mean(axis=0)
    return kernel, bias


def _with_normalisation(
    kernel: Wide, bias: Wide, layer: keras.layers.BatchNormalization
) -> tuple[Wide, Wide]:
    gamma, beta, mean, variance = (np.asarray(w, dtype=np.float64) for w in layer.get_weights())
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return kernel * scale, (bias - mean) * scale + beta


class _Mask(keras.layers.Layer):
    """Stands where a dropout layer stood: multiplies by what it is given, or by nothing."""

    mask: Any = None

    def call(self, inputs: Any) -> Any:
        return inputs if self.mask is None else inputs * self.mask


def _concrete(model: keras.Model, masked: Sequence[keras.layers.Layer]) -> Any:
    """One clip through the layers, dropout left out or replaced by masks given as inputs."""
    places: dict[str, _Mask] = {}

    def without_dropout(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not isinstance(layer, keras.layers.Dropout):
            return layer
        return places.setdefault(layer.name, _Mask(name=layer.name))

    bare = keras.models.clone_model(model, clone_function=without_dropout)

    def forward(x: Any, *masks: Any) -> dict[str, Any]:
        for layer, mask in zip(masked, masks, strict=True):
            places[layer.name].mask = mask
        return {"scores": bare(x, training=False)}

    specs = [tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="x")]
    for index, layer in enumerate(masked):
        shape = (1, *layer.output.shape[1:])
        specs.append(tf.TensorSpec(shape, tf.float32, name=mask_name(index)))
    return tf.function(forward).get_concrete_function(*specs)


def _named(frozen: Any) -> Any:
    """A frozen function as a signature with its inputs' and output's names."""
    names = [tensor.name.split(":")[0] for tensor in frozen.inputs]
    specs = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name=name)
        for tensor, name in zip(frozen.inputs, names, strict=True)
    ]

    def call(*inputs: Any) -> dict[str, Any]:
        output = frozen(*inputs)
        return {"scores": output[0] if isinstance(output, list | tuple) else output}

    return tf.function(call).get_concrete_function(*specs)


def _refuse_drift(
    model: keras.Model, network: Network, probe: npt.NDArray[np.float32], *, int8: bool
) -> None:
    wanted, got = np.asarray(model(probe, training=False)), network.scores(probe)
    if int8:
        differing = float(np.mean(wanted.argmax(axis=1) != got.argmax(axis=1)))
        if not differing <= INT8_TOLERANCE:
            raise TrainingError(
                f"the 8-bit network answers otherwise than Keras for {differing:.1%} of the clips, "
                f"more than {INT8_TOLERANCE:.0%}; nothing was written; export.int8 = false"
            )
        return
    drift = float(np.abs(wanted - got).max())
    if not drift <= TOLERANCE:
        raise TrainingError(
            f"the exported network differs from Keras by {drift:.2g}, more than {TOLERANCE:g}; "
            "nothing was written"
        )
