"""What a training step is given: shuffled vectors, masked and mixed, with their answers."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from speechrec.config import FeatureConfig
from speechrec.placing import awaited_frames, mirrored_frames
from speechrec.store import FeatureSet
from speechrec.train_config import TrainConfig

Array = npt.NDArray[np.float32]
# Widest run of frames, and of bands, that a mask blanks.
_WIDEST_MASK = 6


def answers(features: FeatureSet, smoothing: float = 0.0) -> Array:
    """(clips * views, labels) float32: 1 for the label, less ``smoothing`` spread over all."""
    labels = len(features.labels)
    one_hot: Array = np.eye(labels, dtype=np.float32)[np.repeat(features.y, features.views)]
    return one_hot * np.float32(1 - smoothing) + np.float32(smoothing / labels)


class Batches(keras.utils.PyDataset):
    """Shuffled batches of (vectors, answers).

    The order of an epoch and what is done to a batch depend on (seed, epoch, batch) alone.

    Args:
        features: clips to learn, with their altered copies.
        targets: (clips * views, labels) probabilities to answer, by the number of the vector; see
            `FeatureSet.rows`.
        fill: mean of each band, (bands,), for what is masked.
        first_epoch: the epoch, from 0, to begin with.
    """

    def __init__(
        self, features: FeatureSet, targets: Array, config: TrainConfig, *,
        fill: Array, first_epoch: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self._features, self._targets, self._config = features, targets, config
        self._fill = (fill - fill.mean()).astype(np.float32)
        self._epoch = first_epoch
        self._shuffle()

    def _shuffle(self) -> None:
        rng = np.random.default_rng((self._config.seed, self._epoch))
        self._order = rng.permutation(len(self._targets))

    def __len__(self) -> int:
        return -(-len(self._targets) // self._config.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        size = self._config.batch_size
        chosen = self._order[index * size : (index + 1) * size]
        x, targets = self._features.rows(chosen), self._targets[chosen]
        rng = np.random.default_rng((self._config.seed, self._epoch, index))
        if self._config.mirror_share:
            mirrored(rng, x, self._features.config, self._config.mirror_share)
        if self._config.mask_share:
            masked(rng, x, self._fill, self._config.mask_share)
        if self._config.mixup:
            x, targets = mixed_up(rng, x, targets, self._config.mixup)
        return x, targets

    def on_epoch_end(self) -> None:
        self._epoch += 1
        self._shuffle()


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
