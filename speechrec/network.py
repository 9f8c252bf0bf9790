"""The exported network in LiteRT: features to posteriors, with dropout where it is asked for."""

from contextlib import nullcontext
from typing import Any

import numpy as np

from speechrec.errors import BundleError, SpeechrecError
from speechrec.features import Array
from speechrec.quiet import native_chatter_hidden

PREDICT_SIGNATURE, DROPOUT_SIGNATURE = "predict", "dropout"


def mask_name(index: int) -> str:
    """The input of the ``dropout`` signature that masks the index-th dropout layer."""
    return f"mask_{index}"


class Network:
    """The exported network in LiteRT; one clip a run, so a clip's scores never depend on others.

    Args:
        delegated: to LiteRT's default delegate, XNNPACK where there is one. A third of the time for
            convolutions, nothing gained with few or dense layers.

    Raises:
        BundleError: the model cannot be loaded or has other inputs or outputs than promised.
    """

    def __init__(
        self,
        content: bytes,
        *,
        labels: int,
        dropout: tuple[tuple[float, tuple[int, ...]], ...] = (),
        delegated: bool = False,
    ) -> None:
        self._dropout = dropout
        # The delegate announces itself.
        with native_chatter_hidden() if delegated else nullcontext():
            try:
                self._interpreter = _interpreter(content, delegated=delegated)
                self._predict = self._predict_runner(labels)
                # Some damage shows only at the first run.
                self._predict(x=np.zeros((1, 1024), dtype=np.float32))
                self._masked = self._masked_runner() if dropout else None
            except (ValueError, RuntimeError, KeyError, TypeError) as error:
                raise BundleError(_damage(error)) from error

    def _predict_runner(self, labels: int) -> Any:
        runner = self._interpreter.get_signature_runner(PREDICT_SIGNATURE)
        shape = runner.get_input_details()["x"]["shape"].tolist()
        out = runner.get_output_details()["scores"]["shape"].tolist()
        if shape != [1, 1024] or out != [1, labels]:
            raise BundleError(
                f"expected a network from [1, 1024] to [1, {labels}], got {shape} to {out}"
            )
        return runner

    def _masked_runner(self) -> Any:
        runner = self._interpreter.get_signature_runner(DROPOUT_SIGNATURE)
        shapes = {name: d["shape"].tolist() for name, d in runner.get_input_details().items()}
        stated = {mask_name(i): [1, *shape] for i, (_, shape) in enumerate(self._dropout)}
        if shapes != {"x": [1, 1024], **stated}:
            raise BundleError(f"expected dropout masks {stated}, the network takes {shapes}")
        return runner

    def scores(self, x: Array) -> Array:
        """(clips, 1024) float32 features to (clips, labels) float32 posteriors."""
        x = np.ascontiguousarray(x, dtype=np.float32)
        return np.concatenate([self._predict(x=row[np.newaxis])["scores"] for row in x])

    def dropout_scores(self, vector: Array, *, passes: int, rng: np.random.Generator) -> Array:
        """(passes, labels) posteriors of a (1024,) vector with dropout as in training."""
        if self._masked is None:
            raise SpeechrecError(
                "expected a network with dropout for Monte-Carlo dropout, this one has none; "
                "train one with a dropout rate above 0"
            )
        x = np.ascontiguousarray(vector, dtype=np.float32)[np.newaxis]
        rows = []
        for _ in range(passes):
            masks = {
                mask_name(index): _mask(rng, rate, shape)
                for index, (rate, shape) in enumerate(self._dropout)
            }
            try:
                rows.append(self._masked(x=x, **masks)["scores"])
            except (ValueError, RuntimeError) as error:
                # Loading runs the other signature only.
                raise BundleError(_damage(error)) from error
        return np.concatenate(rows)


def _interpreter(content: bytes, *, delegated: bool) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = (
        OpResolverType.AUTO if delegated else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    return Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=resolver)


def _damage(error: Exception) -> str:
    return f"the network inside cannot be used: {' '.join(str(error).split())}"


def _mask(rng: np.random.Generator, rate: float, shape: tuple[int, ...]) -> Array:
    """Zero with probability ``rate``, else 1 / (1 - rate), which keeps the expected value."""
    kept = rng.random((1, *shape), dtype=np.float32) >= np.float32(rate)
    mask: Array = kept.astype(np.float32) / np.float32(1 - rate)
    return mask
