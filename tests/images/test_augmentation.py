"""Random transforms: the warp agrees with its loops, and `ImageDataGenerator` applies it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photos import gradient

import minicnn as keras
from minicnn import functional, images, naive
from minicnn.images.augmentation import affine_matrix

SHIFT_RIGHT = ([[1.0, 0.0], [0.0, 1.0]], [0.0, -1.0])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("nearest", [1, 1, 2]),
        ("reflect", [1, 1, 2]),
        ("constant", [9, 1, 2]),
        ("wrap", [2, 1, 2]),
    ],
)
@pytest.mark.parametrize("run", [functional.affine_transform, naive.affine_transform])
def test_shift_by_hand(run, mode, expected):
    x = np.array([[[1.0], [2.0], [3.0]]])
    assert run(x, *SHIFT_RIGHT, 1, mode, 9.0)[0, :, 0].tolist() == expected


@pytest.mark.parametrize("run", [functional.affine_transform, naive.affine_transform])
def test_bilinear_warp_by_hand(run):
    x = np.array([[[0.0], [4.0]], [[8.0], [20.0]]])
    y = run(x, np.eye(2), [0.25, 0.5], 1, "nearest")
    # 0.75 · (0 + 4) / 2 + 0.25 · (8 + 20) / 2 at the first pixel
    assert y[0, 0, 0] == 0.75 * 2 + 0.25 * 14
    assert run(x, np.eye(2), [0.25, 0.5], 0, "nearest")[0, 0, 0] == 4


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(1, 3),
    st.sampled_from(functional.FILL_MODES),
    st.integers(0, 1),
    st.sampled_from(["float32", "float64"]),
    st.integers(0, 2**31),
)
@settings(max_examples=100, deadline=None)
def test_warp_agrees_with_its_loops(h, w, c, mode, order, dtype, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(h, w, c)).astype(dtype)
    before = x.copy()
    matrix, offset = rng.normal(size=(2, 2)) * 2, rng.normal(size=2) * 8
    y = functional.affine_transform(x, matrix, offset, order, mode, 0.5)
    assert y.dtype == x.dtype
    np.testing.assert_allclose(
        y, naive.affine_transform(x, matrix, offset, order, mode, 0.5), rtol=0, atol=1e-5
    )
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((np.zeros((2, 2), np.float32), np.eye(2), [0, 0]), "3 dimensions"),
        ((np.zeros((2, 2, 1), np.float32), np.eye(3), [0, 0]), r"shape \(2, 2\)"),
        ((np.zeros((2, 2, 1), np.float32), np.eye(2), [0, np.nan]), "finite"),
        ((np.zeros((2, 2, 1), np.float32), np.eye(2), [0, 0], 3), "order to be 0 or 1"),
        ((np.zeros((2, 2, 1), np.float32), np.eye(2), [0, 0], 1, "mirror"), "mode to be one of"),
    ],
)
def test_bad_warps(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        functional.affine_transform(*arguments)


# ---------------------------------------------------------------------------------------------
# ImageDataGenerator
# ---------------------------------------------------------------------------------------------


def test_a_quarter_turn():
    x = np.arange(9, dtype=np.float32).reshape(3, 3, 1)
    y = keras.preprocessing.image.ImageDataGenerator().apply_transform(x, {"theta": 90})
    np.testing.assert_allclose(y[..., 0], np.rot90(x[..., 0]), atol=1e-5)


def test_flips_zoom_and_shift_by_hand():
    generator = images.ImageDataGenerator(fill_mode="constant")
    x = gradient(4, 4).astype(np.float32)
    np.testing.assert_array_equal(
        generator.apply_transform(x, {"flip_horizontal": True}), x[:, ::-1]
    )
    np.testing.assert_array_equal(generator.apply_transform(x, {"flip_vertical": True}), x[::-1])
    # A factor above 1 zooms out: at 3, only the four pixels in the middle show something.
    small = generator.apply_transform(np.ones((4, 4, 1), np.float32), {"zx": 3, "zy": 3})
    expected = np.zeros((4, 4))
    expected[1:3, 1:3] = 1
    np.testing.assert_array_equal(small[..., 0], expected)
    shifted = generator.apply_transform(x, {"ty": 1})  # shifts rows: see affine_matrix
    np.testing.assert_array_equal(shifted[:-1], x[1:])
    np.testing.assert_array_equal(shifted[-1], 0)


def test_affine_matrix_of_no_transform_is_the_identity():
    matrix, offset = affine_matrix((5, 7, 3))
    np.testing.assert_array_equal(matrix, np.eye(2))
    np.testing.assert_array_equal(offset, 0)


def test_channel_shift_and_brightness_stay_in_range():
    generator = images.ImageDataGenerator()
    x = gradient().astype(np.float32)
    y = generator.apply_transform(x, {"channel_shift_intensity": 30.0})
    np.testing.assert_array_equal(y, np.clip(x + 30, x.min(), x.max()))
    np.testing.assert_array_equal(generator.apply_transform(x, {"brightness": 0.0}), 0)


def test_transform_leaves_its_input_alone_and_is_repeatable():
    generator = images.ImageDataGenerator(rotation_range=40, zoom_range=0.3, horizontal_flip=True)
    x = gradient().astype(np.float32)
    before = x.copy()
    first, again = generator.random_transform(x, seed=3), generator.random_transform(x, seed=3)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, generator.random_transform(x, seed=4))
    np.testing.assert_array_equal(x, before)
    assert generator.random_transform(before.astype(np.uint8)).dtype == np.float32


def test_standardize():
    generator = images.ImageDataGenerator(
        rescale=0.5, preprocessing_function=lambda x: x + 2, samplewise_center=True
    )
    y = generator.standardize(np.array([[[2.0], [6.0]]]))
    assert y.ravel().tolist() == [-1, 1]  # (2 + 2, 6 + 2) / 2 = (2, 4), minus their mean
    for pixels in (np.ones((2, 2, 1), np.uint8), [[[1.0]]]):
        with pytest.raises(TypeError, match=r"an array of floats.*Received (uint8|list)"):
            images.ImageDataGenerator(rescale=0.5).standardize(pixels)


def test_statistics_of_a_data_set():
    x = np.random.default_rng(0).normal(3, 5, (40, 4, 4, 2))
    generator = images.ImageDataGenerator(featurewise_std_normalization=True)
    with pytest.raises(ValueError, match="call fit"):
        generator.standardize(x[0].copy())
    generator.fit(x)
    y = np.stack([generator.standardize(a.astype(np.float32)) for a in x])
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=(0, 1, 2)), 1, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"fill_mode": "mirror"}, "fill_mode to be one of"),
        ({"zoom_range": (1, 2, 3)}, "zoom_range"),
        ({"zoom_range": "a"}, "zoom_range"),
        ({"rescale": "a"}, "rescale to be a number. Received 'a'"),
        ({"rescale": np.nan}, "rescale to be a number. Received nan"),
        ({"rescale": [1, 2]}, "rescale"),
        ({"cval": "a"}, "cval to be a number"),
        ({"cval": np.nan}, "cval"),
        ({"validation_split": "a"}, "validation_split"),
        ({"validation_split": np.nan}, "validation_split"),
        ({"width_shift_range": "a"}, "width_shift_range to be a number or a list of numbers"),
        ({"width_shift_range": np.nan}, "width_shift_range"),
        ({"height_shift_range": [1, np.nan]}, r"height_shift_range .*\[1, nan\]"),
        ({"height_shift_range": [[1], [2]]}, "height_shift_range"),
        ({"height_shift_range": np.ones((2, 2))}, "height_shift_range"),
        ({"height_shift_range": np.array("a")}, "height_shift_range"),
        ({"brightness_range": 0.5}, "brightness_range"),
        ({"rotation_range": "a lot"}, "rotation_range to be a number"),
        ({"validation_split": 1.5}, "validation_split"),
        ({"interpolation_order": 3}, "interpolation_order"),
        ({"data_format": "channels_first"}, "channels_last"),
        ({"preprocessing_function": 1}, "preprocessing_function"),
    ],
)
def test_bad_options_of_the_generator(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        images.ImageDataGenerator(**arguments)
