"""A trained Keras model to the inside of a recogniser file; refuses if the scores drift."""

import tempfile
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2 as freeze,
)

from speechrec.errors import TrainingError
from speechrec.quiet import native_chatter_hidden
from speechrec.recognizer import DROPOUT_SIGNATURE, PREDICT_SIGNATURE, Network, mask_name

# What the exported network may differ from Keras at most, in posterior probability.
TOLERANCE = 1e-5


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


def to_tflite(model: keras.Model, probe: npt.NDArray[np.float32]) -> bytes:
    """Convert to TensorFlow Lite with one signature for prediction and one for MC dropout.

    ``predict`` holds no dropout and no random operation. ``dropout`` multiplies by a mask where the
    Keras model has a Dropout layer, and takes the masks as inputs, so that it holds no random
    operation either. Both share the same weights in the file.

    Args:
        probe: (clips, 1024) feature vectors on which both must give the same posteriors.

    Raises:
        TrainingError: the exported scores differ from Keras by more than `TOLERANCE`.
    """
    folded = fold_standardisation(model)
    module = tf.Module()
    signatures = {PREDICT_SIGNATURE: freeze(_concrete(folded, []))}
    masked = dropout_layers(folded)
    if masked:
        signatures[DROPOUT_SIGNATURE] = freeze(_concrete(folded, masked))
    wrapped = {name: _named(function) for name, function in signatures.items()}
    with tempfile.TemporaryDirectory() as folder, native_chatter_hidden():
        tf.saved_model.save(module, folder, signatures=wrapped)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(wrapped))
        content: bytes = converter.convert()
    _refuse_drift(model, content, probe)
    return content


def fold_standardisation(model: keras.Model) -> keras.Model:
    """A model whose first dense layer does the work of a `standardise` layer before it.

    W'x + b' = W(s x + o) + b with W' = W s and b' = b + W o: what ships is the plain dense stack.
    A convolution pads with zeros after standardising, so there the layer stays.
    """
    first, second = model.layers[1:3]
    if not (isinstance(first, keras.layers.Rescaling) and isinstance(second, keras.layers.Dense)):
        return model
    scale = np.asarray(first.scale, dtype=np.float64)
    offset = np.asarray(first.offset, dtype=np.float64)
    weights = [np.asarray(weight, dtype=np.float64) for weight in second.get_weights()]
    kernel = weights[0]
    bias = (weights[1] if second.use_bias else 0.0) + offset @ kernel
    inputs = keras.Input(model.input_shape[1:], name="features")
    dense = keras.layers.Dense(second.units, activation=second.activation, name=second.name)
    hidden = dense(inputs)
    dense.set_weights([kernel * scale[:, np.newaxis], bias])
    for layer in model.layers[3:]:
        hidden = layer(hidden)
    return keras.Model(inputs, hidden, name=model.name)


def _concrete(model: keras.Model, masked: Sequence[keras.layers.Layer]) -> Any:
    """One clip through the layers, dropout left out or replaced by masks given as inputs."""
    names = {layer.name: index for index, layer in enumerate(masked)}

    def forward(x: Any, *masks: Any) -> dict[str, Any]:
        for layer in model.layers[1:]:
            if not isinstance(layer, keras.layers.Dropout):
                x = layer(x, training=False) if _has_modes(layer) else layer(x)
            elif layer.name in names:
                x = x * masks[names[layer.name]]
        return {"scores": x}

    specs = [tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="x")]
    for index, layer in enumerate(masked):
        shape = (1, *layer.output.shape[1:])
        specs.append(tf.TensorSpec(shape, tf.float32, name=mask_name(index)))
    return tf.function(forward).get_concrete_function(*specs)


def _has_modes(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


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


def _refuse_drift(model: keras.Model, content: bytes, probe: npt.NDArray[np.float32]) -> None:
    wanted = np.asarray(model(probe, training=False))
    got = Network(content, labels=wanted.shape[1], dropout=()).scores(probe)
    drift = float(np.abs(wanted - got).max())
    if not drift <= TOLERANCE:
        raise TrainingError(
            f"the exported network differs from Keras by {drift:.2g}, more than {TOLERANCE:g}; "
            "nothing was written"
        )
