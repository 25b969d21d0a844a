"""`reference.augmenting`: photos are mixed as Keras's layers mix them, in every process alike."""

import keras
import numpy as np
import pytest

from reference.augmenting import Mixing, augmented
from reference.batches import Batches, steps_of_epoch

X = np.random.default_rng(0).uniform(0, 255, (6, 8, 10, 3)).astype("f4")
Y = np.eye(6, dtype="f4")


@pytest.mark.parametrize("seed", range(3))
def test_mixup_is_keras_s(seed):
    x, y = Mixing(mixup=0.4)(X, Y, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    order, w = rng.permutation(6), rng.beta(0.4, 0.4, 6).astype("f4")
    drawn = {"permutation_order": order, "mix_weight": w}
    layer = keras.layers.MixUp(0.4)
    np.testing.assert_allclose(x, layer.transform_images(X, drawn), rtol=1e-5)
    np.testing.assert_allclose(y, layer.transform_labels(Y, drawn), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_cutmix_pastes_a_rectangle_whose_area_is_in_the_target(seed):
    x, y = Mixing(cutmix=1.0)(X, Y, np.random.default_rng(seed))
    order = np.random.default_rng(seed).permutation(6)
    own, other = (x == X).all(axis=3), (x == X[order]).all(axis=3)
    for photo in np.flatnonzero(order != np.arange(6)):
        assert (own[photo] | other[photo]).all()
        if not other[photo].any():
            assert y[photo, photo] == 1
            continue
        rows, columns = np.nonzero(other[photo])
        box = other[photo][rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert box.all(), "what is pasted is not a rectangle"
        np.testing.assert_allclose(y[photo, photo], own[photo].mean(), rtol=1e-6)
        np.testing.assert_allclose(y[photo, order[photo]], box.size / 80, rtol=1e-5)
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)


def test_with_both_a_batch_gets_one_of_them():
    both = Mixing(mixup=0.4, cutmix=1.0)
    pasted = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, _ = both(X, Y, rng)
        order_rng = np.random.default_rng(seed)
        order_rng.random()
        other = X[order_rng.permutation(6)]
        pasted.append(bool(((x == X) | (x == other)).all()))
    assert 3 < sum(pasted) < 17


def test_what_changes_a_photo_by_itself_is_drawn_from_the_seed():
    inputs = keras.Input((8, 10, 3))
    whole = keras.Model(inputs, keras.layers.Reshape((8, 10, 3))(inputs))
    chosen = {"basic": False, "randaugment": 0.5, "erasing": 1.0}
    one, two, other = (augmented(whole, seed, **chosen) for seed in (1, 1, 2))
    drawn = np.asarray(one(X, training=True))
    np.testing.assert_array_equal(two(X, training=True), drawn)
    assert (np.asarray(other(X, training=True)) != drawn).any()
    assert (drawn != X).any(axis=(1, 2, 3)).all(), "each photo has noise somewhere"
    np.testing.assert_array_equal(one(X, training=False), X)


class Group:
    count = 2

    def __init__(self, index):
        self.index = index

    def share(self, total):
        return slice(total * self.index // 2, total * (self.index + 1) // 2)


def test_processes_have_the_steps_that_a_schedule_counts_on():
    """Two processes share 4 of 5 photos: two steps of 2, not three."""
    assert steps_of_epoch(5, 2) == len(Batches(X[[0] * 5], Y[[0] * 5], 2)) == 3
    assert steps_of_epoch(5, 2, 2) == len(Batches(X[[0] * 5], Y[[0] * 5], 2, 0, Group(0))) == 2


def test_processes_mix_the_batch_that_one_process_mixes():
    mix = Mixing(mixup=0.4, cutmix=1.0)
    alone = Batches(X, Y, 4, 5, mix=mix)
    shares = [Batches(X, Y, 4, 5, Group(index), mix) for index in (0, 1)]
    for epoch in (0, 1):
        alone.epoch = shares[0].epoch = shares[1].epoch = epoch
        for batch in (0, 1):
            for whole, one, two in zip(alone[batch], *(s[batch] for s in shares), strict=True):
                np.testing.assert_array_equal(np.concatenate([one, two]), whole)
