"""A training step is given every vector once, masked and mixed as asked, by seed and epoch."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from speechrec.batches import Batches, answers, masked, mirrored, mixed_up
from speechrec.config import FeatureConfig
from speechrec.optimizer import epoch_steps
from speechrec.store import FeatureSet
from speechrec.train_config import TrainConfig

Array = npt.NDArray[np.float32]
LABELS = ("a", "b", "c")
CONFIG = TrainConfig(epochs=3, batch_size=16, seed=5)
FILL = np.linspace(-2, 2, 32, dtype=np.float32)


def noise(clips: int = 60, *, copies: int = 0, seed: int = 3) -> FeatureSet:
    """Vectors that are all different, with as many altered copies each."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((clips, 1024)).astype(np.float32)
    altered = rng.standard_normal((clips, copies, 1024)).astype(np.float16) if copies else None
    y = rng.integers(0, len(LABELS), clips)
    return FeatureSet(x, y, LABELS, (), FeatureConfig(), altered)


def batches_of(features: FeatureSet, config: TrainConfig = CONFIG) -> Batches:
    return Batches(features, answers(features), config, fill=FILL)


def drawn(
    features: FeatureSet, config: TrainConfig = CONFIG, *, epoch: int = 1
) -> list[tuple[Array, Array]]:
    return list(batches_of(features, config).epoch(epoch))


def rows_of(pairs: list[tuple[Array, Array]]) -> list[bytes]:
    return [row.tobytes() for x, _ in pairs for row in x]


def with_settings(**changes: Any) -> TrainConfig:
    return dataclasses.replace(CONFIG, **changes)


@pytest.mark.parametrize(("clips", "size"), [(60, 16), (60, 60), (61, 60), (5, 64), (3, 1)])
@pytest.mark.parametrize("copies", [0, 2])
def test_every_vector_once_an_epoch(clips: int, size: int, copies: int) -> None:
    """An epoch goes through all clips and copies once, in an order (seed, epoch) alone decides."""
    features, config = noise(clips, copies=copies), with_settings(batch_size=size)
    everything = [*features.x]
    if features.copies is not None:
        everything += [*features.copies.reshape(-1, 1024).astype(np.float32)]
    order: dict[int, list[bytes]] = {}
    for epoch in (1, 2, 3):
        batches = drawn(features, config, epoch=epoch)
        assert len(batches) == epoch_steps(features, config)
        order[epoch] = rows_of(batches)
        assert sorted(order[epoch]) == sorted(row.tobytes() for row in everything)
        assert order[epoch] == rows_of(drawn(features, config, epoch=epoch))
    assert order[1] != order[2] or clips < 10


def test_another_seed_another_order() -> None:
    """The order follows the seed, not the clips."""
    features = noise()
    one, other = (rows_of(drawn(features, with_settings(seed=n))) for n in (5, 6))
    assert one != other
    assert sorted(one) == sorted(other)


@pytest.mark.parametrize("copies", [0, 3])
def test_vectors_and_answers_stay_together(copies: int) -> None:
    """Shuffling moves a clip's answer along with it and with each of its copies."""
    features = noise(copies=copies)
    right = {row.tobytes(): y for row, y in zip(features.x, features.y, strict=True)}
    if features.copies is not None:
        for altered, y in zip(features.copies, features.y, strict=True):
            right |= {row.astype(np.float32).tobytes(): y for row in altered}
    for x, y in drawn(features, epoch=4):
        for row, one_hot in zip(x, y, strict=True):
            assert one_hot.sum() == 1
            assert right[row.tobytes()] == one_hot.argmax()


def test_what_is_done_to_a_batch_follows_seed_epoch_and_batch() -> None:
    """Masks and mixtures are the same again after a restart, and others in the next epoch."""
    config, features = with_settings(mask_share=0.5, mixup=0.4), noise(copies=1)
    first, again, next_epoch = (drawn(features, config, epoch=epoch) for epoch in (1, 1, 2))
    for (x, y), (same_x, same_y) in zip(first, again, strict=True):
        np.testing.assert_array_equal(x, same_x)
        np.testing.assert_array_equal(y, same_y)
    assert rows_of(next_epoch) != rows_of(first)


@pytest.mark.parametrize("first", [1, 3])
def test_keras_is_given_epoch_after_epoch(first: int) -> None:
    """The dataset is all batches of one epoch, then those of the next, from the wanted one on."""
    config, features = with_settings(mask_share=0.5, mixup=0.4), noise(copies=1)
    batches = batches_of(features, config)
    wanted = [*drawn(features, config, epoch=first), *drawn(features, config, epoch=first + 1)]
    given = batches.dataset(first).take(len(wanted)).as_numpy_iterator()
    for (x, y), (wanted_x, wanted_y) in zip(given, wanted, strict=True):
        np.testing.assert_array_equal(x, wanted_x)
        np.testing.assert_array_equal(y, wanted_y)


def test_no_epoch_waits_for_the_tuner_of_its_input() -> None:
    """tf.data's tuning is off: where its thread oversleeps, training stands still."""
    assert batches_of(noise()).dataset().options().autotune.enabled is False


def test_the_vectors_themselves_are_never_changed() -> None:
    """Masking and mixing work on copies: the next epoch starts from what was extracted."""
    features = noise(copies=2)
    assert features.copies is not None
    before, altered = features.x.copy(), features.copies.copy()
    drawn(features, with_settings(mask_share=1.0, mixup=1.0))
    np.testing.assert_array_equal(features.x, before)
    np.testing.assert_array_equal(features.copies, altered)


def test_rows_are_numbered_clip_by_clip() -> None:
    """Number n is vector n % views of clip n // views, and the clip's own one comes first."""
    features = noise(7, copies=3)
    assert features.copies is not None
    assert (len(features), features.views) == (7, 4)
    numbers = np.array([0, 1, 3, 4, 27, 24, 5, 0])
    expected = np.stack([
        features.x[0], features.copies[0, 0], features.copies[0, 2], features.x[1],
        features.copies[6, 2], features.x[6], features.copies[1, 0], features.x[0],
    ])  # fmt: skip
    rows = features.rows(numbers)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, expected.astype(np.float32))
    plain = noise(7)
    assert plain.views == 1
    np.testing.assert_array_equal(plain.rows(np.array([6, 0])), plain.x[[6, 0]])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9, 1.0])
@pytest.mark.parametrize("copies", [0, 2])
def test_answers(smoothing: float, copies: int) -> None:
    """Every vector has its clip's label for answer, less what is spread over all; the sum is 1."""
    features = noise(20, copies=copies)
    given = answers(features, smoothing)
    assert (given.shape, given.dtype) == ((20 * features.views, 3), np.float32)
    np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-6)
    for number, row in enumerate(given):
        expected = np.full(3, smoothing / 3)
        expected[features.y[number // features.views]] += 1 - smoothing
        np.testing.assert_allclose(row, expected, atol=1e-6)


def pictures(rows: int, seed: int = 0) -> Array:
    """Loud pictures of different levels; (rows, 1024)."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(-20, 20, (rows, 1))
    return (level + rng.standard_normal((rows, 1024))).astype(np.float32)


def blanked(before: Array, after: Array) -> npt.NDArray[np.bool_]:
    return (before != after).reshape(len(before), 32, 32)


def test_masks_are_a_few_frames_and_a_few_bands() -> None:
    """A mask is one run of 1 to 6 frames and one of 1 to 6 bands, every width, every place."""
    before = pictures(600)
    after = before.copy()
    masked(np.random.default_rng(1), after, FILL, 1.0)
    widths: dict[str, set[int]] = {"frames": set(), "bands": set()}
    reached = np.zeros((32, 32), dtype=bool)
    for changed in blanked(before, after):
        for name, whole in (("frames", changed.all(axis=0)), ("bands", changed.all(axis=1))):
            places = np.flatnonzero(whole)
            assert 1 <= len(places) <= 6
            assert places[-1] - places[0] == len(places) - 1, "one run"
            widths[name].add(len(places))
        cross = changed.all(axis=0)[np.newaxis, :] | changed.all(axis=1)[:, np.newaxis]
        np.testing.assert_array_equal(changed, cross)
        reached |= changed
    assert widths == {"frames": set(range(1, 7)), "bands": set(range(1, 7))}
    assert reached.all()


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_only_the_asked_share_is_masked(share: float) -> None:
    """So many vectors are masked as the share says; the others stay bit for bit."""
    before = pictures(800)
    after = before.copy()
    masked(np.random.default_rng(1), after, FILL, share)
    touched = blanked(before, after).any(axis=(1, 2))
    assert touched.mean() == pytest.approx(share, abs=0.06)
    assert share not in (0, 1) or touched.mean() == share


def test_what_is_blanked_gets_its_band_at_the_clips_level() -> None:
    """A blank is the mean of its band above or below the mean of its own vector."""
    before = pictures(50)
    after = before.copy()
    masked(np.random.default_rng(1), after, FILL, 1.0)
    expected = before.mean(axis=1)[:, np.newaxis, np.newaxis] + FILL[np.newaxis, :, np.newaxis]
    changed = blanked(before, after)
    wanted = np.broadcast_to(expected, changed.shape)[changed]
    np.testing.assert_allclose(after.reshape(changed.shape)[changed], wanted, atol=1e-4)


def test_masks_do_not_change_the_level() -> None:
    """A clip at another level, masked alike, is the masked clip at that level."""
    quiet, louder = pictures(40), pictures(40) + np.float32(8)
    for x in (quiet, louder):
        masked(np.random.default_rng(2), x, FILL, 1.0)
    np.testing.assert_allclose(louder - quiet, 8, atol=1e-4)


def test_batches_blank_with_what_is_usual_in_a_band() -> None:
    """The fill is given as the mean of each band; only how they differ from one another counts."""
    features, config = noise(64), with_settings(mask_share=1.0, batch_size=64)
    one, other = (
        next(Batches(features, answers(features), config, fill=FILL + shift).epoch(1))[0]
        for shift in (np.float32(0), np.float32(-9))
    )
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_that_share_of_rows_ends_as_a_stream_does(share: float) -> None:
    """A row is left alone, or one to five frames at its end are the ones before, mirrored."""
    before = np.random.default_rng(3).standard_normal((1000, 1024)).astype(np.float32)
    x = before.copy()
    mirrored(np.random.default_rng(4), x, FeatureConfig(), share)
    counts = [mirrored_at_the_end(row) for row in x]
    assert np.mean(np.array(counts) > 0) == pytest.approx(share, abs=0.05)
    assert set(counts) - {0} == (set(range(1, 6)) if share else set())
    for row, whole, count in zip(x, before, counts, strict=True):
        heard = slice(0, 32 - count)
        np.testing.assert_array_equal(
            row.reshape(32, 32)[:, heard], whole.reshape(32, 32)[:, heard]
        )


def mirrored_at_the_end(row: Array) -> int:
    """How many of the last frames are the ones before, backwards."""
    frames = row.reshape(32, 32)
    counts = range(8, 0, -1)
    wanted = (frames[:, 31 - n : 31 - 2 * n : -1] for n in counts)
    found = (n for n, mirror in zip(counts, wanted, strict=True)
             if np.array_equal(frames[:, -n:], mirror))  # fmt: skip
    return next(found, 0)


def test_batches_mirror() -> None:
    """With `mirror_share`, rows of a batch are mirrored; the stored vectors stay as they are."""
    features, config = noise(64, copies=1), with_settings(mirror_share=1.0, batch_size=64)
    kept = features.x.copy()
    for x, _ in drawn(features, config):
        assert all(map(mirrored_at_the_end, x))
    np.testing.assert_array_equal(features.x, kept)


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 8.0])
def test_mixtures_are_of_two_rows(alpha: float) -> None:
    """Every row is a mixture of itself and another, its answers by the same share, summing to 1."""
    rng = np.random.default_rng(3)
    targets = np.eye(200, dtype=np.float32)
    x = rng.standard_normal((200, 1024)).astype(np.float32)
    mixed, given = mixed_up(np.random.default_rng(4), x, targets, alpha)
    assert (mixed.dtype, given.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-5)
    assert (given >= 0).all()
    assert ((given > 0).sum(axis=1) <= 2).all()
    # The answers name the rows, so they say what the vectors must be.
    np.testing.assert_allclose(mixed, given @ x, atol=1e-4)
    shares = np.diag(given)
    # Beta(a, a): mean 1/2, variance 1 / (8 a + 4). A row mixed with itself stays whole.
    assert shares.mean() == pytest.approx(0.5, abs=0.12)
    assert shares.var() == pytest.approx(1 / (8 * alpha + 4), rel=0.35)


def test_batches_mix_answers_too() -> None:
    """With mixup, the answers of a batch are shares of two labels; without, labels."""
    features = noise(64)
    for x, y in drawn(features, with_settings(mixup=1.0)):
        np.testing.assert_allclose(y.sum(axis=1), 1, atol=1e-5)
        assert ((y > 0.01) & (y < 0.99)).any()
        assert not {row.tobytes() for row in x} & {row.tobytes() for row in features.x}
    for _, y in drawn(features):
        assert set(np.unique(y)) == {0.0, 1.0}
