"""Every operation gives answers computed by hand, forward and backward."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
from gradients import check_gradients, distinct_values
from operations import DTYPES, OF_INPUT, assert_same, picture

from minicnn import functional, naive, shapes
from minicnn.functional import buffers

X3 = picture([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
W2 = np.array([[1.0, 10.0], [100.0, 1000.0]])[:, :, None, None]


@pytest.mark.parametrize("dtype", DTYPES)
def test_conv2d_by_hand(dtype: type) -> None:
    """The digits of y show which weight met which pixel: the kernel is not flipped."""
    x, w, b = X3.astype(dtype), W2.astype(dtype), np.array([0.5], dtype)
    y = functional.conv2d(x, w, b)
    np.testing.assert_array_equal(y, picture([[5421.5, 6532.5], [8754.5, 9865.5]]))
    dy = picture([[1, 0], [0, 2]], dtype)
    dx, dw, db = functional.conv2d_backward(dy, x, w)
    np.testing.assert_array_equal(dx, picture([[1, 10, 0], [100, 1002, 20], [0, 200, 2000]]))
    np.testing.assert_array_equal(dw[:, :, 0, 0], [[11, 14], [20, 23]])  # 1*1 + 2*5, …
    np.testing.assert_array_equal(db, [3])


def test_conv2d_same_padding_by_hand() -> None:
    """With an even kernel, the zeros go below and to the right."""
    y = functional.conv2d(X3, W2, padding="same")
    np.testing.assert_array_equal(y, picture([[5421, 6532, 603], [8754, 9865, 906], [87, 98, 9]]))
    # Stride 2 on three pixels with a 2x2 kernel: windows at 0 and 2, one zero at the end.
    y = functional.conv2d(X3, W2, padding="same", strides=2)
    np.testing.assert_array_equal(y, picture([[5421, 603], [87, 9]]))


def test_conv2d_dilation_and_stride_by_hand() -> None:
    np.testing.assert_array_equal(
        functional.conv2d(X3, W2, dilation_rate=2), picture([[9000 + 700 + 30 + 1]])
    )
    y = functional.conv2d(X3, W2, strides=(1, 2))
    np.testing.assert_array_equal(y, picture([[5421], [8754]]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_conv2d_transpose_by_hand(dtype: type) -> None:
    """Each pixel stamps the kernel; the digits show which stamps overlap."""
    x, w = picture([[1, 2], [3, 4]], dtype), W2.astype(dtype)
    y = functional.conv2d_transpose(x, w, np.array([0.5], dtype))
    whole = np.array([[1, 12, 20], [103, 1234, 2040], [300, 3400, 4000]])
    np.testing.assert_array_equal(y, picture(whole + 0.5))
    dy = picture([[1, 0, 0], [0, 2, 0], [0, 0, 3]], dtype)
    dx, dw, db = functional.conv2d_transpose_backward(dy, x, w)
    np.testing.assert_array_equal(dx, picture([[1 + 2000, 200], [20, 2 + 3000]]))
    np.testing.assert_array_equal(dw[:, :, 0, 0], [[1 + 8, 6], [4, 2 + 12]])
    np.testing.assert_array_equal(db, [6])


def test_conv2d_transpose_strides_and_padding_by_hand() -> None:
    x, w = picture([[1, 2], [3, 4]]), W2
    apart = [[1, 10, 2, 20], [100, 1000, 200, 2000], [3, 30, 4, 40], [300, 3000, 400, 4000]]
    for padding in ("valid", "same"):
        y = functional.conv2d_transpose(x, w, strides=2, padding=padding)
        np.testing.assert_array_equal(y, picture(apart))
    # An even kernel stamps three rows: "same" keeps two and cuts off the last.
    y = functional.conv2d_transpose(x, w, padding="same")
    np.testing.assert_array_equal(y, picture([[1, 12], [103, 1234]]))
    y = functional.conv2d_transpose(x, np.ones((3, 3, 1, 1)), padding="same")
    np.testing.assert_array_equal(y, picture([[10, 10], [10, 10]]))
    # Kernel 3 and stride 2 stamp five columns; by default, "same" keeps the first four.
    line, ones = picture([[1, 2]]), np.array([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1)
    across: dict[str, Any] = {"strides": (1, 2)}
    for more, wanted in (
        ({}, [1, 10, 102, 20, 200]),
        ({"output_padding": (0, 1)}, [1, 10, 102, 20, 200, 0]),
        ({"padding": "same"}, [1, 10, 102, 20]),
        ({"padding": "same", "output_padding": (0, 1)}, [1, 10, 102, 20]),
        ({"padding": "same", "output_padding": 0}, [10, 102, 20]),
    ):
        y = functional.conv2d_transpose(line, ones, **across, **more)
        np.testing.assert_array_equal(y.ravel(), wanted, err_msg=str(more))
    # If the stride is larger than the kernel, pixels without a stamp have only the bias.
    y = functional.conv2d_transpose(line, ones[:, :1], np.array([0.5]), strides=(1, 3))
    np.testing.assert_array_equal(y.ravel(), [1.5, 0.5, 0.5, 2.5, 0.5, 0.5])
    y = functional.conv2d_transpose(line, ones, dilation_rate=(1, 2))
    np.testing.assert_array_equal(y.ravel(), [1, 2, 10, 20, 100, 200])


def test_conv2d_channels_and_groups_by_hand() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 1, 4)
    w = np.array([[1.0, 10.0], [100.0, 1000.0]])[None, None]  # rows are inputs, columns outputs
    together = functional.conv2d(x[..., :2], w)
    np.testing.assert_array_equal(together.ravel(), [1 + 200, 10 + 2000])
    # Two groups of two channels: filter 0 sees channels 0 and 1, filter 1 sees 2 and 3.
    apart = functional.conv2d(x, w, groups=2)
    np.testing.assert_array_equal(apart.ravel(), [1 + 200, 30 + 4000])
    dx, dw, db = functional.conv2d_backward(np.array([[[[1.0, 2.0]]]]), x, w, groups=2)
    np.testing.assert_array_equal(dx.ravel(), [1, 100, 20, 2000])
    np.testing.assert_array_equal(dw[0, 0], [[1, 6], [2, 8]])
    np.testing.assert_array_equal(db, [1, 2])


@pytest.mark.parametrize("dtype", DTYPES)
def test_depthwise_conv2d_by_hand(dtype: type) -> None:
    """Two channels have two filters each; y holds the outputs of one channel after the other's."""
    x = np.array([[1, 2], [3, 4]], dtype).reshape(1, 1, 2, 2)  # two pixels of two channels
    w = np.array([[[1, 2], [3, 4]], [[10, 20], [30, 40]]], dtype)[None]  # (1, 2, 2, 2)
    b = np.array([0.5, 0, 0, 0.25], dtype)
    y = functional.depthwise_conv2d(x, w, b)
    np.testing.assert_array_equal(y.ravel(), [1 + 30 + 0.5, 2 + 60, 6 + 120, 8 + 160 + 0.25])
    dx, dw, db = functional.depthwise_conv2d_backward(
        np.array([1, 0, 2, 3], dtype).reshape(1, 1, 1, 4), x, w
    )
    np.testing.assert_array_equal(dx[0, 0], [[1, 6 + 12], [10, 60 + 120]])
    np.testing.assert_array_equal(dw[0], [[[1, 0], [4, 6]], [[3, 0], [8, 12]]])
    np.testing.assert_array_equal(db, [1, 0, 2, 3])


@pytest.mark.parametrize("dtype", DTYPES)
def test_max_pool2d_by_hand(dtype: type) -> None:
    x = picture([[1, 5, 5, -1], [5, 2, -3, -2], [-7, -6, 0, 0], [-5, -9, 0, 0]], dtype)
    np.testing.assert_array_equal(functional.max_pool2d(x), picture([[5, 5], [-5, 0]]))
    dx = functional.max_pool2d_backward(picture([[1, 2], [3, 4]], dtype), x)
    # Among equal pixels, the first in reading order gets the whole gradient.
    np.testing.assert_array_equal(
        dx, picture([[0, 1, 2, 0], [0, 0, 0, 0], [0, 0, 4, 0], [3, 0, 0, 0]])
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_wide_max_pooling(stride: int, padding: str, dtype: str) -> None:
    """It agrees with NumPy's maximum on channels for every kind of loop, ties, NaN and infinity."""
    rng = np.random.default_rng(6)
    x = rng.integers(-3, 4, (2, 7, 11, 364)).astype(dtype)
    x[rng.random(x.shape) < 0.1], x[rng.random(x.shape) < 0.02] = np.inf, np.nan
    around = [(0, 0)] * 4
    if padding == "same":
        around[1:3] = [shapes.same_padding(size, 3, stride) for size in x.shape[1:3]]
    padded = np.pad(x, around, constant_values=-np.inf)
    patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    patches = patches[:, ::stride, ::stride].reshape(2, -1, -(-patches.shape[2] // stride), 364, 9)
    y = patches.max(axis=-1)
    dy = rng.integers(-3, 4, y.shape).astype(dtype)
    argmax = patches.argmax(axis=-1)  # the first maximum; NaN is the largest
    spread = np.zeros_like(padded)
    views = np.lib.stride_tricks.sliding_window_view(spread, (3, 3), (1, 2), writeable=True)
    for k in range(9):
        views[:, ::stride, ::stride, :, k // 3, k % 3] += dy * (argmax == k)
    dx = spread[:, around[1][0] :, around[2][0] :][:, : x.shape[1], : x.shape[2]]
    np.testing.assert_array_equal(functional.max_pool2d(x, 3, stride, padding), y)
    found = functional.max_pool2d_backward(dy, x, 3, stride, padding)
    np.testing.assert_array_equal(found, dx)


@pytest.mark.parametrize(
    ("size", "pool", "steps", "padding", "argmax"),
    [
        ((5, 5), 2, 2, "valid", [(1, 1), (1, 3), (3, 1), (3, 3)]),  # a row and a column remain
        ((5, 5), 2, 3, "valid", [(1, 1), (1, 4), (4, 1), (4, 4)]),  # some lie between windows
        ((4, 4), 2, 2, "valid", [(1, 1), (1, 3), (3, 1), (3, 3)]),  # none
        ((3, 3), 2, 2, "same", [(1, 1), (1, 2), (2, 1), (2, 2)]),  # none, and windows reach outside
        ((3, 3), 2, 1, "valid", [(1, 1), (1, 2), (2, 1), (2, 2)]),  # windows overlap
    ],
)
def test_max_pool2d_leaves_no_pixel_of_dx_unwritten(
    size: tuple, pool: int, steps: int, padding: str, argmax: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buffers, "empty", lambda shape, dtype: np.full(shape, np.nan, dtype))
    x = np.arange(float(math.prod(size))).reshape(1, *size, 1)
    dx = functional.max_pool2d_backward(np.ones((1, 2, 2, 1)), x, pool, steps, padding)
    expected = np.zeros((1, *size, 1))
    for row, column in argmax:
        expected[0, row, column] = 1
    np.testing.assert_array_equal(dx, expected)


def test_max_pool2d_same_padding_by_hand() -> None:
    """Padding never wins, not even over negative pixels; overlapping windows add up their dy."""
    x = picture([[-3, -2, -1], [-6, -5, -4], [-9, -8, -7]])
    y = functional.max_pool2d(x, 2, 1, "same")
    np.testing.assert_array_equal(y, picture([[-2, -1, -1], [-5, -4, -4], [-8, -7, -7]]))
    dx = functional.max_pool2d_backward(np.ones_like(x), x, 2, 1, "same")
    np.testing.assert_array_equal(dx, picture([[0, 1, 2], [0, 1, 2], [0, 1, 2]]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_average_pool2d_by_hand(dtype: type) -> None:
    """Padding is not counted: at the edge, the mean is of two pixels or of one."""
    x = X3.astype(dtype)
    y = functional.average_pool2d(x, 2, 2, "same")
    np.testing.assert_array_equal(y, picture([[3, 4.5], [7.5, 9]]))
    dx = functional.average_pool2d_backward(picture([[4, 8], [6, 1]], dtype), x.shape, 2, 2, "same")
    np.testing.assert_array_equal(dx, picture([[1, 1, 4], [1, 1, 4], [3, 3, 1]]))
    np.testing.assert_array_equal(functional.average_pool2d(x), picture([[3]]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_adaptive_average_pool2d_by_hand(dtype: type) -> None:
    """Two windows on three columns share the middle one; two on one row repeat it."""
    x = picture([[2, 4, 8]], dtype)
    y = functional.adaptive_average_pool2d(x, 2)
    np.testing.assert_array_equal(y, picture([[3, 6], [3, 6]]))
    dy = picture([[2, 4], [6, 8]], dtype)
    dx = functional.adaptive_average_pool2d_backward(dy, x.shape)
    np.testing.assert_array_equal(dx, picture([[4, 10, 6]]))
    five = picture([[3], [5], [10], [15], [27]], dtype)  # windows of 2, 3 and 2 rows
    y = functional.adaptive_average_pool2d(five, (3, 1))
    np.testing.assert_allclose(y, picture([[4], [10], [21]]), rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_adaptive_max_pool2d_by_hand(dtype: type) -> None:
    """Of the equal pixels of the first window, the one in the first column gets the gradient."""
    x = picture([[0, 9, 1], [9, 0, 2], [7, 8, 3]], dtype)
    y = functional.adaptive_max_pool2d(x, 2)
    np.testing.assert_array_equal(y, picture([[9, 9], [9, 8]]))
    dx = functional.adaptive_max_pool2d_backward(picture([[1, 2], [4, 8]], dtype), x)
    np.testing.assert_array_equal(dx, picture([[0, 2, 0], [5, 0, 0], [0, 8, 0]]))
    x[0, 2, 2, 0] = np.nan
    y = functional.adaptive_max_pool2d(x, 2)
    np.testing.assert_array_equal(y, picture([[9, 9], [9, np.nan]]))
    dx = functional.adaptive_max_pool2d_backward(picture([[1, 2], [4, 8]], dtype), x)
    np.testing.assert_array_equal(dx, picture([[0, 2, 0], [5, 0, 0], [0, 0, 8]]))


def test_global_pooling_by_hand() -> None:
    x = np.array([[[1.0, -1.0], [3.0, -5.0]], [[3.0, -2.0], [1.0, -4.0]]])[None]
    np.testing.assert_array_equal(functional.global_average_pool2d(x), [[2, -3]])
    np.testing.assert_array_equal(functional.global_max_pool2d(x), [[3, -1]])
    dy = np.array([[4.0, 8.0]])
    dx = functional.global_average_pool2d_backward(dy, x.shape)
    np.testing.assert_array_equal(dx, np.broadcast_to([1.0, 2.0], x.shape))
    # Two equal maxima share dy, as in any reduction; in a window, the first takes it all.
    dx = functional.global_max_pool2d_backward(dy, x)
    np.testing.assert_array_equal(dx[0, :, :, 0], [[0, 2], [2, 0]])
    np.testing.assert_array_equal(dx[0, :, :, 1], [[8, 0], [0, 0]])


def test_zero_padding2d_by_hand() -> None:
    x = picture([[1, 2]])
    sides = ((1, 0), (0, 2))
    y = functional.zero_padding2d(x, sides)
    np.testing.assert_array_equal(y, picture([[0, 0, 0, 0], [1, 2, 0, 0]]))
    dy = picture([[1, 2, 3, 4], [5, 6, 7, 8]])
    np.testing.assert_array_equal(functional.zero_padding2d_backward(dy, sides), picture([[5, 6]]))
    np.testing.assert_array_equal(functional.zero_padding2d_backward(x, ((0, 0), (0, 0))), x)


def test_up_sampling2d_by_hand() -> None:
    x = picture([[1, 2], [3, 4]])
    y = picture([[1, 1, 1, 2, 2, 2], [3, 3, 3, 4, 4, 4]])
    np.testing.assert_array_equal(functional.up_sampling2d(x, (1, 3)), y)
    dy = picture([[1, 2], [3, 4], [5, 6], [7, 8]])
    dx = functional.up_sampling2d_backward(dy, (2, 1))
    np.testing.assert_array_equal(dx, picture([[4, 6], [12, 14]]))
    np.testing.assert_array_equal(functional.up_sampling2d_backward(dy), picture([[10], [26]]))


def test_resize_by_hand() -> None:
    """At twice the size, pixel 1 lies a quarter pixel right of the first, so takes 3/4 of it."""
    x = picture([[0, 4], [8, 12]])
    row = [0, 1, 3, 4]
    y = functional.resize(x, (4, 4))
    np.testing.assert_array_equal(y, picture([[8 * r / 4 + c for c in row] for r in row]))
    dy = np.zeros_like(y)
    dy[0, 1, 2] = 16  # row 1: 3/4 and 1/4; column 2: 1/4 and 3/4
    np.testing.assert_array_equal(
        functional.resize_backward(dy, x.shape), picture([[3, 9], [1, 3]])
    )
    x = picture([[1, 2, 3, 4]])
    np.testing.assert_array_equal(functional.resize(x, (1, 2), "nearest"), picture([[2, 4]]))
    np.testing.assert_array_equal(functional.resize(x, (1, 2)), picture([[1.5, 3.5]]))
    # A triangle weighs four pixels 1, 3, 3, 1; at the edge, the first of them is missing.
    y = functional.resize(x, (1, 2), antialias=True)
    np.testing.assert_allclose(y, picture([[(3 * 1 + 3 * 2 + 1 * 3) / 7, (2 + 9 + 12) / 7]]))
    y = functional.resize(x, (2, 2), crop_to_aspect_ratio=True)
    np.testing.assert_array_equal(y, picture([[2, 2], [2, 2]]))
    y = functional.resize(x, (3, 4), "nearest", pad_to_aspect_ratio=True, fill_value=9.0)
    np.testing.assert_array_equal(y, picture([[9] * 4, [1, 2, 3, 4], [9] * 4]))


def test_a_resized_picture_keeps_a_nan_to_its_place() -> None:
    """The NaN does not spread through weights of 0."""
    x = np.ones((1, 6, 6, 1))
    x[0, 0, 0] = np.nan
    for interpolation in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"):
        y = functional.resize(x, (9, 4), interpolation)
        assert np.isnan(y[0, 0, 0, 0])
        assert np.isfinite(y[0, -1, -1, 0])
    dx = functional.resize_backward(x, (1, 12, 3, 1))
    assert np.isnan(dx[0, 0, 0, 0])
    assert np.isfinite(dx[0, 5:]).all()


def test_permute_and_its_like_by_hand() -> None:
    x = np.arange(6.0).reshape(1, 2, 3)
    np.testing.assert_array_equal(functional.permute(x, (2, 1))[0], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(functional.permute_backward(x, (2, 1))[0], x[0].T)
    y = np.array([[1.0, 2.0]])
    np.testing.assert_array_equal(functional.repeat_vector(y, 2), [[[1, 2], [1, 2]]])
    np.testing.assert_array_equal(functional.repeat_vector_backward(x), [[3, 5, 7]])
    x = picture([[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(functional.cropping2d(x, ((1, 0), (0, 2))), picture([[4]]))
    np.testing.assert_array_equal(
        functional.cropping2d_backward(picture([[7]]), ((1, 0), (0, 2))),
        picture([[0, 0, 0], [7, 0, 0]]),
    )


def test_dense_by_hand() -> None:
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    w, b = np.array([[1.0, 10.0, 0.0], [100.0, 1000.0, 1.0]]), np.array([0.5, 0.0, -1.0])
    np.testing.assert_array_equal(functional.dense(x, w, b), [[201.5, 2010, 1], [403.5, 4030, 3]])
    dx, dw, db = functional.dense_backward(np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]]), x, w)
    np.testing.assert_array_equal(dx, [[1, 102], [10, 1000]])
    np.testing.assert_array_equal(dw, [[1, 3, 2], [2, 4, 4]])
    np.testing.assert_array_equal(db, [1, 1, 2])


NUMBERS = np.array([-2.0, -0.5, 0.0, 0.5, 1.0, 6.0, 7.0])


@pytest.mark.parametrize(
    ("options", "y", "slopes"),
    [
        ({}, [0, 0, 0, 0.5, 1, 6, 7], [0, 0, 0, 1, 1, 1, 1]),
        ({"max_value": 6}, [0, 0, 0, 0.5, 1, 6, 6], [0, 0, 0, 1, 1, 0, 0]),
        ({"negative_slope": 0.5}, [-1, -0.25, 0, 0.5, 1, 6, 7], [0.5, 0.5, 0.5, 1, 1, 1, 1]),
        ({"threshold": 0.5}, [0, 0, 0, 0, 1, 6, 7], [0, 0, 0, 0, 1, 1, 1]),
        (
            {"threshold": 1.0, "negative_slope": 0.5, "max_value": 6.5},
            [-1.5, -0.75, -0.5, -0.25, 0, 6, 6.5],
            [0.5, 0.5, 0.5, 0.5, 0.5, 1, 0],
        ),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_relu_by_hand(options: dict, y: list, slopes: list, dtype: type) -> None:
    x = NUMBERS.astype(dtype)
    np.testing.assert_array_equal(functional.relu(x, **options), y)
    dx = functional.relu_backward(np.full_like(x, 4), x, **options)
    np.testing.assert_array_equal(dx, 4 * np.array(slopes))


def test_activations_by_hand() -> None:
    """At log 3 the sigmoid is 3/4; at log 2 the hyperbolic tangent is 3/5."""
    x, dy = np.array([0.0, np.log(3), -np.log(3)]), np.array([1.0, 1.0, 16.0])
    y = functional.sigmoid(x)
    np.testing.assert_allclose(y, [1 / 2, 3 / 4, 1 / 4], rtol=1e-15)
    np.testing.assert_allclose(functional.sigmoid_backward(dy, y), [1 / 4, 3 / 16, 3], rtol=1e-15)
    y = functional.tanh(np.array([0.0, np.log(2), -np.log(2)]))
    np.testing.assert_allclose(y, [0, 3 / 5, -3 / 5], rtol=1e-15)
    np.testing.assert_allclose(
        functional.tanh_backward(dy, y), [1, 16 / 25, 16 * 16 / 25], rtol=1e-15
    )
    y = functional.softmax(np.log([[1.0, 2.0, 5.0], [3.0, 3.0, 2.0]]))
    np.testing.assert_allclose(y, [[1 / 8, 1 / 4, 5 / 8], [3 / 8, 3 / 8, 1 / 4]], rtol=1e-15)
    dx = functional.softmax_backward(np.array([[8.0, 0.0, 0.0], [1.0, 1.0, 1.0]]), y)
    np.testing.assert_allclose(dx, [[7 / 8, -1 / 4, -5 / 8], [0, 0, 0]], rtol=1e-15, atol=1e-16)


@pytest.mark.parametrize("name", OF_INPUT)
def test_activations_whose_gradient_takes_x(name: str) -> None:
    """Each agrees with its loops and with differences; x has numbers between all its corners."""
    x = distinct_values((3, 40), np.random.default_rng(2)) * 2.2
    forward, backward = getattr(functional, name), getattr(functional, f"{name}_backward")
    check_gradients(forward, lambda dy, x: [backward(dy, x)], [x], np.random.default_rng(0))
    dy = np.random.default_rng(1).standard_normal(x.shape)
    for dtype in DTYPES:
        x, dy = x.astype(dtype), dy.astype(dtype)
        assert_same(forward(x), getattr(naive, name)(x), False, "y")
        assert_same(backward(dy, x), getattr(naive, f"{name}_backward")(dy, x), False, "dx")


def test_factors_of_channels_reach_all_pixels() -> None:
    x = np.arange(1, 2 * 130 * 127 * 3 + 1, dtype=np.float32).reshape(2, 130, 127, 3)
    factors = np.array([[2, 4, 8], [16, 32, 64]], np.float32).reshape(2, 1, 1, 3)  # exact
    np.testing.assert_array_equal(functional.multiply([x, factors]), x * factors)


def test_factors_of_channels_by_hand() -> None:
    """Each image has its own, whichever of the two comes first."""
    x = np.arange(1.0, 9).reshape(2, 1, 2, 2)
    factors = np.array([[10.0, 100.0], [-1.0, 0.5]]).reshape(2, 1, 1, 2)
    expected = [[[[10, 200], [30, 400]]], [[[-5, 3], [-7, 4]]]]
    np.testing.assert_array_equal(functional.multiply([x, factors]), expected)
    np.testing.assert_array_equal(functional.multiply([factors, x]), expected)


def test_rescaling_by_hand() -> None:
    x = np.array([[1.0, 2.0], [-3.0, 0.0]])
    np.testing.assert_array_equal(functional.rescaling(x, 2.0, 1.0), [[3, 5], [-5, 1]])
    of_each = functional.rescaling(x, np.array([2.0, 10.0]), [1.0, -1.0])
    np.testing.assert_array_equal(of_each, [[3, 19], [-5, -1]])
    np.testing.assert_array_equal(functional.rescaling_backward(x, [2.0, 10.0]), [[2, 20], [-6, 0]])


def test_activations_of_the_input_by_hand() -> None:
    """At log 3 the sigmoid is 3/4, and tanh(softplus) 15/17 (e^softplus is 4)."""
    three, half = np.array([np.log(3)]), np.array([-np.log(2)])
    one = np.ones(1)
    for found, expected in [
        (functional.silu(three), 0.75 * np.log(3)),
        (functional.silu_backward(one, three), 0.75 * (1 + np.log(3) / 4)),
        (functional.mish(three), 15 / 17 * np.log(3)),
        (functional.softplus(three), np.log(4)),
        (functional.softplus_backward(one, three), 0.75),
        (functional.log_sigmoid(three), np.log(0.75)),
        (functional.elu(half, 2.0), -1),
        (functional.elu_backward(one, half, 2.0), 1),
        (functional.celu(half * 2, 2.0), -1),
        (functional.selu(half), -1.0507009873554805 * 1.6732632423543772 / 2),
        (functional.exponential(half), 0.5),
        (functional.leaky_relu(-one), -0.2),
        (functional.softsign(-3 * one), -0.75),
        (functional.hard_sigmoid(1.5 * one), 0.75),
        (functional.hard_silu(-1 * one), -1 / 3),
        (functional.hard_silu_backward(one, -1 * one), 1 / 6),
        (functional.squareplus(1.5 * one), 2),
        (functional.sparse_plus(0 * one), 0.25),
        (functional.soft_shrink(-2 * one), -1.5),
        (functional.gelu(one), 0.8413447460685429),
        (functional.gelu(one, approximate=True), 0.8411919906082768),
        (functional.log_softmax(np.log([1.0, 3.0])), np.log([0.25, 0.75])),
        (functional.prelu(-one[None], np.array([0.25])), [[-0.25]]),
    ]:
        np.testing.assert_allclose(found, np.atleast_1d(expected), rtol=1e-12)


def test_gelu_in_float32_is_exact_to_a_few_units() -> None:
    x = np.linspace(-7, 7, 4001)
    found = functional.gelu(x.astype(np.float32))
    np.testing.assert_allclose(found, functional.gelu(x), atol=2e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_activation_overflows(dtype: type) -> None:
    far = np.array([-1e4, 1e4], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(functional.sigmoid(far), [0, 1])
        np.testing.assert_array_equal(functional.tanh(far), [-1, 1])
        np.testing.assert_array_equal(functional.softmax(far), [0, 1])
        np.testing.assert_array_equal(functional.log_softmax(far), [-2e4, 0])
        for name in set(OF_INPUT) - {"exponential", "log_softmax"}:
            assert np.isfinite(getattr(functional, name)(far)).all(), name
            assert np.isfinite(getattr(functional, f"{name}_backward")(far, far)).all(), name
        targets = np.array([[1, 0], [0, 1]], dtype)
        logits = np.array([far, far])
        found = functional.categorical_crossentropy(targets, logits, from_logits=True)
        np.testing.assert_array_equal(found, [2e4, 0])
        found = functional.binary_crossentropy(targets, logits, from_logits=True)
        np.testing.assert_array_equal(found, [1e4, 0])
        found = functional.binary_crossentropy_backward(targets, logits, from_logits=True)
        np.testing.assert_array_equal(found, [[-0.5, 0.5], [0, 0]])


def test_dropout_by_hand() -> None:
    x, mask = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[True, False], [False, True]])
    np.testing.assert_array_equal(functional.dropout(x, mask, 0.75), [[4, 0], [0, 16]])
    np.testing.assert_array_equal(functional.dropout_backward(x, mask, 0.5), [[2, 0], [0, 8]])


def test_alpha_dropout_by_hand() -> None:
    """s² = 3.0909131, a = (0.5 * (1 + 0.5 * s²))^(-1/2), b = 0.5 * 1.7580993 * a."""
    x, mask = np.array([1.0, 2.0]), np.array([True, False])
    a, b = 0.8864049, 0.7791939
    found = functional.alpha_dropout(x, mask, 0.5)
    np.testing.assert_allclose(found, [a + b, -1.7580993 * a + b], rtol=1e-6)
    found = functional.alpha_dropout_backward(x, mask, 0.5)
    np.testing.assert_allclose(found, [a, 0], rtol=1e-6)
    np.testing.assert_array_equal(functional.alpha_dropout(x, np.array([True] * 2), 0.0), x)


def test_merging_by_hand() -> None:
    a, b, c = np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]]), np.array([[100.0, 200.0]])
    np.testing.assert_array_equal(functional.add([a, b, c]), [[111, 222]])
    joined = functional.concatenate([a, b, c])
    np.testing.assert_array_equal(joined, [[1, 2, 10, 20, 100, 200]])
    parts = functional.concatenate_backward(joined, [1, 3, 2])
    assert [part.tolist() for part in parts] == [[[1]], [[2, 10, 20]], [[100, 200]]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_batch_normalization_by_hand(dtype: type) -> None:
    x = np.array([[1, 10], [3, 10], [1, 10], [3, 50]], dtype)
    mean, variance = functional.batch_moments(x)
    np.testing.assert_array_equal(mean, [2, 20])
    np.testing.assert_array_equal(variance, [1, 300])  # divided by 4, not by 3
    gamma, beta = np.array([10, 4], dtype), np.array([0.5, 0], dtype)
    # With 97 in place of 300, and epsilon 3, the standard deviations are 2 and 10.
    variance = np.array([1, 97], dtype)
    y = functional.batch_normalization(x, mean, variance, gamma, beta, epsilon=3)
    np.testing.assert_allclose(y, [[-4.5, -4], [5.5, -4], [-4.5, -4], [5.5, 12]], rtol=1e-6)
    dy = np.array([[1, 0], [0, 0], [0, 0], [0, 5]], dtype)
    dx, dgamma, dbeta = functional.batch_normalization_backward(
        dy, x, mean, variance, gamma, epsilon=3
    )
    np.testing.assert_allclose(dx, [[5, 0], [0, 0], [0, 0], [0, 2]], rtol=1e-6)
    np.testing.assert_allclose(dgamma, [-0.5, 15], rtol=1e-6)
    np.testing.assert_array_equal(dbeta, [1, 5])


def test_training_batch_normalization_by_hand() -> None:
    """x = ±1 and epsilon 3 give z = x / 2. dx is dy without its mean and its slope along z."""
    x, gamma = np.array([[-1.0], [1.0], [-1.0], [1.0]]), np.array([2.0])
    dy = np.array([[4.0], [0.0], [0.0], [0.0]])
    dx, dgamma, dbeta = functional.batch_normalization_backward(
        dy, x, np.zeros(1), np.ones(1), gamma, epsilon=3, training=True
    )
    # gamma / sqrt(1 + 3) = 1;  mean(dy) = 1;  mean(dy * z) = -1/2
    np.testing.assert_array_equal(dx.ravel(), [4 - 1 - 0.25, -1 + 0.25, -1 - 0.25, -1 + 0.25])
    np.testing.assert_array_equal(dgamma, [-2])
    np.testing.assert_array_equal(dbeta, [4])


def test_moments_far_from_zero() -> None:
    """The mean is subtracted before squaring: E[x²] - E[x]² would lose everything here."""
    x = np.array([[4096.0], [4097.0], [4098.0]] * 20, np.float32) * 1024
    mean, variance = functional.batch_moments(x)
    np.testing.assert_allclose(mean, [4097 * 1024], rtol=1e-7)
    np.testing.assert_allclose(variance, [2 / 3 * 1024**2], rtol=1e-6)


def test_categorical_crossentropy_by_hand() -> None:
    t = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    p = np.array([[0.25, 0.5, 0.25], [0.125, 0.375, 0.5]])
    for y_pred, options in (
        (p, {}),
        (p * 8, {}),  # divided by their sum first
        (np.log(p) + 5, {"from_logits": True}),
    ):
        loss = functional.categorical_crossentropy(t, y_pred, **options)
        np.testing.assert_allclose(loss, np.log([2, 8]), rtol=1e-14)
    # Smoothed by 0.3: the targets become 0.1, 0.8, 0.1.
    loss = functional.categorical_crossentropy(t[:1], p[:1], label_smoothing=0.3)
    np.testing.assert_allclose(loss, [0.8 * np.log(2) + 0.2 * np.log(4)], rtol=1e-14)
    dz = functional.categorical_crossentropy_backward(t, np.log(p), from_logits=True)
    np.testing.assert_allclose(dz, p - t, rtol=1e-14, atol=1e-16)
    # p = (1/2, 1/2), t = (1, 0): -log(p0 / (p0 + p1)) falls by 1 per unit of p0, rises by 1 of p1.
    dp = functional.categorical_crossentropy_backward(
        np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
    )
    np.testing.assert_allclose(dp, [[-1, 1]], rtol=1e-14)


def test_binary_crossentropy_by_hand() -> None:
    t, p = np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[0.5, 0.75], [0.25, 0.125]])
    loss = functional.binary_crossentropy(t, p)
    np.testing.assert_allclose(loss, [np.log(2 * 4) / 2, np.log(4 * 8) / 2], rtol=1e-14)
    logits = np.log(p / (1 - p))
    found = functional.binary_crossentropy(t, logits, from_logits=True)
    np.testing.assert_allclose(found, loss, rtol=1e-14)
    dp = functional.binary_crossentropy_backward(t, p)
    np.testing.assert_allclose(dp, [[-1, 2], [-2, -4]], rtol=1e-14)
    dz = functional.binary_crossentropy_backward(t, logits, from_logits=True)
    np.testing.assert_allclose(dz, (p - t) / 2, rtol=1e-14)
    # Smoothed by 0.5: the targets become 3/4 and 1/4.
    loss = functional.binary_crossentropy(t[:1], p[:1], label_smoothing=0.5)
    expected = (np.log(2) + np.log(4 / 3) / 4 + np.log(4) * 3 / 4) / 2
    np.testing.assert_allclose(loss, [expected], rtol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
def test_certain_probabilities_are_cut_off(dtype: type) -> None:
    """log(0) would be infinite; Keras stays 1e-7 away, and there the gradient is 0."""
    t, p = np.array([[1, 0]], dtype), np.array([[0, 1]], dtype)
    for name in ("categorical_crossentropy", "binary_crossentropy"):
        loss = getattr(functional, name)(t, p)
        # In float32 the number nearest to 1 - 1e-7 is 1.2e-7 away from 1.
        tolerance = 2e-2 if dtype == np.float32 else 1e-6
        np.testing.assert_allclose(loss, [-np.log(1e-7)], rtol=tolerance)
        dp = getattr(functional, f"{name}_backward")(t, p)
        np.testing.assert_array_equal(dp, [[0, 0]])
