"""What a training step is given: shuffled vectors, masked and mixed, with their answers."""

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from speechrec.config import FeatureConfig
from speechrec.placing import awaited_frames, mirrored_frames
from speechrec.store import FeatureSet
from speechrec.train_config import TrainConfig

Array = npt.NDArray[np.float32]
# Widest run of frames, and of bands, that a mask blanks.
_WIDEST_MASK = 6
# Batches that are ready before they are asked for.
_PREFETCHED = 4


def answers(features: FeatureSet, smoothing: float = 0.0) -> Array:
    """(clips * views, labels) float32: 1 for the label, less ``smoothing`` spread over all."""
    labels = len(features.labels)
    one_hot: Array = np.eye(labels, dtype=np.float32)[np.repeat(features.y, features.views)]
    return one_hot * np.float32(1 - smoothing) + np.float32(smoothing / labels)


class Batches:
    """Shuffled batches of (vectors, answers).

    The order of an epoch and what is done to a batch depend on (seed, epoch, batch) alone.

    Args:
        features: clips to learn, with their altered copies.
        targets: (clips * views, labels) probabilities to answer, by the number of the vector; see
            `FeatureSet.rows`.
        fill: mean of each band, (bands,), for what is masked.
    """

    def __init__(
        self, features: FeatureSet, targets: Array, config: TrainConfig, *, fill: Array
    ) -> None:
        self._features, self._targets, self._config = features, targets, config
        self._fill = (fill - fill.mean()).astype(np.float32)

    def epoch(self, number: int) -> Iterator[tuple[Array, Array]]:
        """The batches of an epoch, numbered from 1; every vector once."""
        seed, size = self._config.seed, self._config.batch_size
        order = np.random.default_rng((seed, number)).permutation(len(self._targets))
        for index, start in enumerate(range(0, len(order), size)):
            chosen = order[start : start + size]
            rng = np.random.default_rng((seed, number, index))
            yield self._altered(rng, self._features.rows(chosen), self._targets[chosen])

    def _altered(self, rng: np.random.Generator, x: Array, targets: Array) -> tuple[Array, Array]:
        if self._config.mirror_share:
            mirrored(rng, x, self._features.config, self._config.mirror_share)
        if self._config.mask_share:
            masked(rng, x, self._fill, self._config.mask_share)
        if self._config.mixup:
            x, targets = mixed_up(rng, x, targets, self._config.mixup)
        return x, targets

    def dataset(self, first_epoch: int = 1) -> tf.data.Dataset:
        """What Keras takes: one epoch after the other without an end, from that one on."""
        signature = tuple(
            tf.TensorSpec((None, width), tf.float32)
            for width in (self._features.config.size, self._targets.shape[1])
        )
        batches = tf.data.Dataset.from_generator(
            lambda: itertools.chain.from_iterable(map(self.epoch, itertools.count(first_epoch))),
            output_signature=signature,
        )
        return untuned(batches.prefetch(_PREFETCHED))


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The dataset without tf.data's own tuning.

    The tuner's thread sleeps twice as long each time, a minute at last, and where it misses that
    an iterator has come to its end, the training waits for it: up to as long as it has taken.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def mirrored(rng: np.random.Generator, x: Array, config: FeatureConfig, share: float) -> None:
    """Mirror the last frames of a share of the vectors, in place, as a stream does.

    It answers when it has heard all frames but a few, see `placing.awaited_frames`.

    Args:
        x: (rows, bands * frames) float32.
        share: of the vectors, 0 to 1.
    """
    chosen = np.flatnonzero(rng.random(len(x)) < share)
    heard = rng.integers(awaited_frames(config), config.frames, size=len(chosen))
    pictures = x.reshape(len(x), config.bands, config.frames)
    order = mirrored_frames(config, heard)[:, np.newaxis, :]
    pictures[chosen] = np.take_along_axis(pictures[chosen], order, axis=2)


def masked(rng: np.random.Generator, x: Array, fill: Array, share: float) -> None:
    """Blank some frames and some bands in a share of the vectors, in place (SpecAugment).

    Args:
        x: (rows, bands * frames) float32.
        fill: (bands,) what a blanked band gets, relative to the mean of its vector.
        share: of the vectors, 0 to 1.
    """
    pictures = x.reshape(len(x), len(fill), -1)
    level = x.mean(axis=1)
    blank = _runs(rng, len(x), pictures.shape[2])[:, np.newaxis, :]
    blank = blank | _runs(rng, len(x), pictures.shape[1])[:, :, np.newaxis]
    blank &= (rng.random(len(x)) < share)[:, np.newaxis, np.newaxis]
    filling = level[:, np.newaxis, np.newaxis] + fill[np.newaxis, :, np.newaxis]
    np.copyto(pictures, filling, where=blank)


def _runs(rng: np.random.Generator, rows: int, length: int) -> npt.NDArray[np.bool_]:
    """(rows, length): a run of 1 to 6 places in each row, anywhere."""
    widths = rng.integers(1, min(_WIDEST_MASK, length) + 1, size=(rows, 1))
    starts = rng.integers(0, length - widths + 1)
    places = np.arange(length)
    chosen: npt.NDArray[np.bool_] = (places >= starts) & (places < starts + widths)
    return chosen


def mixed_up(
    rng: np.random.Generator, x: Array, targets: Array, alpha: float
) -> tuple[Array, Array]:
    """Each row mixed with another, answers too, by a share from Beta(alpha, alpha)."""
    share = rng.beta(alpha, alpha, size=(len(x), 1)).astype(np.float32)
    other = rng.permutation(len(x))
    return share * x + (1 - share) * x[other], share * targets + (1 - share) * targets[other]
