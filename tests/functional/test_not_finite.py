"""NaN and infinity show in every result that depends on them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from operations import ALL, FEW, SEEDS, WAYS, Array, assert_agrees, picture

from minicnn import functional, naive

KERNELS = ["conv2d", "conv2d_transpose", "depthwise_conv2d", "max_pool2d", "average_pool2d", "relu"]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, np.float64) for name in ALL] + [(name, np.float32) for name in KERNELS],
)
@FEW
@given(data=st.data(), seed=SEEDS)
def test_nan_and_infinity_show(name: str, dtype: type, data: st.DataObject, seed: int) -> None:
    """NaN and infinity in x, or in dy, end up in the same places as with the loops."""
    operation, rng = data.draw(ALL[name]()), np.random.default_rng(seed)
    arrays = operation.arrays(dtype, rng)
    with np.errstate(all="ignore"):
        dy = operation.gradient_for(operation.forward(functional, *arrays), rng)
        # An infinite dy times a padding zero is NaN, if a way multiplies them at all: not compared.
        # In a transposed convolution, the padding zeros are around dy.
        zeros = operation.options.get("padding") == "same"
        if not (zeros and name == "conv2d_transpose"):
            spoil(arrays[0], rng)
        assert_agrees(operation, arrays, dy)
        if not zeros or name == "conv2d_transpose":
            arrays = operation.arrays(dtype, rng)
            spoil(dy, rng)
            assert_agrees(operation, arrays, dy)


def spoil(x: Array, rng: np.random.Generator) -> None:
    """Put NaN and infinities into up to three places of x."""
    places = rng.integers(0, x.size, rng.integers(1, 4))
    x.reshape(-1)[places] = rng.choice([np.nan, np.inf, -np.inf], len(places))


@pytest.mark.parametrize("algorithm", [way for way in WAYS if way != "winograd"])
def test_one_nan_reaches_only_the_windows_over_it(algorithm: str) -> None:
    x, w = np.ones((1, 4, 4, 2), np.float32), np.ones((2, 2, 2, 3), np.float32)
    x[0, 0, 3, 1] = np.nan
    x[0, 3, 0, 0] = np.inf
    with np.errstate(invalid="ignore"):
        y = functional.conv2d(x, w, algorithm=algorithm)
    for o in range(3):
        expected = [[8, 8, np.nan], [8, 8, 8], [np.inf, 8, 8]]
        np.testing.assert_array_equal(y[0, :, :, o], expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (3, 4), (8, 6)])
def test_winograd_hides_no_nan(place: tuple[int, int], value: float) -> None:
    """Where y, dx or dw should not be finite, it is not; others in its tile may be lost too."""
    rng = np.random.default_rng(0)
    x, w = rng.random((2, 9, 7, 9), np.float32), rng.random((3, 3, 9, 8), np.float32)
    x[1, *place, 5] = value
    with np.errstate(invalid="ignore"):
        expected = naive.conv2d(x, w, padding="same")
        found = functional.conv2d(x, w, padding="same", algorithm="winograd")
        dy = rng.random(expected.shape, np.float32)
        dy[0, *place, 2] = value
        gradients = functional.conv2d_backward(dy, x, w, padding="same", algorithm="winograd")
        wanted = naive.conv2d_backward(dy, x, w, padding="same")
    for name, a, b in zip(["y", "x", "w"], (found, *gradients), (expected, *wanted), strict=False):
        lost = ~np.isfinite(b)
        assert 0 < lost.sum() < lost.size, name
        assert not np.isfinite(a[lost]).any(), name
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-4)


def test_max_pool2d_of_nan_and_infinity() -> None:
    x = picture([[np.nan, 9, 1, np.inf], [np.nan, 1, np.nan, 2], [-np.inf] * 2 + [0, -np.inf]] * 2)
    y = functional.max_pool2d(x, (1, 2))
    expected = [[np.nan, np.inf], [np.nan, np.nan], [-np.inf, 0]] * 2
    np.testing.assert_array_equal(y, picture(expected))
    dx = functional.max_pool2d_backward(np.ones_like(y), x, (1, 2))
    # The first NaN wins, and the first of two equal infinities.
    np.testing.assert_array_equal(dx, picture([[1, 0, 0, 1], [1, 0, 1, 0], [1, 0, 1, 0]] * 2))


def test_activations_of_nan_and_infinity() -> None:
    x, dy = np.array([np.nan, np.inf, -np.inf]), np.array([2.0, 3.0, 4.0])
    np.testing.assert_array_equal(functional.relu(x), [np.nan, np.inf, 0])
    np.testing.assert_array_equal(functional.relu(x, max_value=6), [np.nan, 6, 0])
    np.testing.assert_array_equal(functional.relu(x, negative_slope=1), x)
    np.testing.assert_array_equal(functional.relu_backward(dy, x), [2, 3, 0])
    np.testing.assert_array_equal(functional.relu_backward(dy, x, max_value=6), [2, 0, 0])
    np.testing.assert_array_equal(functional.sigmoid(x), [np.nan, 1, 0])
    np.testing.assert_array_equal(functional.tanh(x), [np.nan, 1, -1])
    rows = np.array([[np.nan, 0.0], [-np.inf, 0.0]])
    np.testing.assert_array_equal(functional.softmax(rows), [[np.nan, np.nan], [0, 1]])


def test_batch_moments_of_nan_and_infinity() -> None:
    """One bad number spoils only its own channel."""
    x = np.array([[1.0, np.nan, np.inf], [3.0, 1.0, 1.0]])
    with np.errstate(invalid="ignore"):
        mean, variance = functional.batch_moments(x)
    np.testing.assert_array_equal(mean, [2, np.nan, np.inf])
    np.testing.assert_array_equal(variance, [1, np.nan, np.nan])
