"""Operations refuse bad arguments, in a sentence that says what was expected and received."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from operations import OF_INPUT, ones, refuse

from minicnn import functional

RANK = r"x with 4 dimensions \(batch, height, width, channels\)\. Received x.shape="
# x that no operation on images accepts, and the error about it.
BAD_PICTURES = [
    (ones(5, 5, 4), ValueError, RANK + r"\(5, 5, 4\)\.$"),
    (ones(1, 1, 5, 5, 4), ValueError, RANK),
    (ones(2, 5, 5, 4, dtype=np.uint8), TypeError, r"float32 or float64\. Received dtype uint8"),
    (ones(2, 5, 5, 4, dtype=object), TypeError, "Received dtype object"),
    (ones(2, 5, 5, 4, dtype=np.float16), TypeError, "Received dtype float16"),
    (ones(2, 5, 5, 4).tolist(), TypeError, r"x to be a NumPy array\. Received list\.$"),
    (None, TypeError, r"x to be a NumPy array\. Received NoneType\.$"),
]
ON_PICTURES: dict[str, Callable[[Any], Any]] = {
    "conv2d": lambda x: functional.conv2d(x, ones(3, 3, 4, 6)),
    "conv2d backward": lambda x: functional.conv2d_backward(
        ones(2, 3, 3, 6), x, ones(3, 3, 4, 6), name="conv2d backward"
    ),
    "conv2d_transpose": lambda x: functional.conv2d_transpose(x, ones(3, 3, 6, 4)),
    "transpose backward": lambda x: functional.conv2d_transpose_backward(
        ones(2, 7, 7, 6), x, ones(3, 3, 6, 4), name="transpose backward"
    ),
    "depthwise_conv2d": lambda x: functional.depthwise_conv2d(x, ones(3, 3, 4, 1)),
    "depthwise backward": lambda x: functional.depthwise_conv2d_backward(
        ones(2, 3, 3, 4), x, ones(3, 3, 4, 1), name="depthwise backward"
    ),
    "max_pool2d": functional.max_pool2d,
    "max_pool2d backward": lambda x: functional.max_pool2d_backward(
        ones(2, 2, 2, 4), x, name="max_pool2d backward"
    ),
    "average_pool2d": functional.average_pool2d,
    "adaptive_max_pool2d": lambda x: functional.adaptive_max_pool2d(x, 2),
    "adaptive_average_pool2d": lambda x: functional.adaptive_average_pool2d(x, 2),
    "global_average_pool2d": functional.global_average_pool2d,
    "global_max_pool2d": functional.global_max_pool2d,
    "global_max backward": lambda x: functional.global_max_pool2d_backward(
        ones(2, 4), x, name="global_max backward"
    ),
    "zero_padding2d": functional.zero_padding2d,
    "up_sampling2d": functional.up_sampling2d,
    "resize": lambda x: functional.resize(x, (3, 3)),
    "cropping2d": functional.cropping2d,
    "warp": lambda x: functional.warp(x, ones(2, 6)),
}


@pytest.mark.parametrize(("x", "error", "match"), BAD_PICTURES)
@pytest.mark.parametrize("name", ON_PICTURES)
def test_what_is_not_a_picture(name: str, x: Any, error: type[Exception], match: str) -> None:
    refuse(error, match, name, lambda: ON_PICTURES[name](x))


# One bad argument of a convolution of x (2, 5, 5, 4), w (3, 3, 4, 6), b (6,), and its error.
BAD_CONVOLUTIONS = [
    ({"x": ones(2, 4, 28, 28)}, ValueError, r"4 input channels\. Received x.shape=\(2, 4, 28, 28"),
    ({"x": ones(2, 5, 5, 8)}, ValueError, r"4 input channels\. Received x.shape=\(2, 5, 5, 8\)"),
    ({"x": ones(2, 2, 5, 4)}, ValueError, r"at least 3x3 pixels.*\. Received 2x5\."),
    ({"dilation_rate": (1, 3)}, ValueError, r"at least 3x7 pixels.*\. Received 5x5\."),
    ({"x": ones(2, 0, 5, 4)}, ValueError, r"at least 3x3 pixels.*\. Received 0x5\."),
    ({"x": ones(2, 0, 5, 4), "padding": "same"}, ValueError, r"3x3 pixels.*\. Received 0x5\."),
    ({"w": ones(3, 3, 4)}, ValueError, r"w with 4 dimensions"),
    ({"w": ones(0, 3, 4, 6)}, ValueError, r"non-empty w\. Received w.shape=\(0, 3, 4, 6"),
    ({"w": ones(3, 3, 4, 0), "b": None}, ValueError, r"non-empty w"),
    ({"w": ones(3, 3, 4, 6, dtype=np.int64)}, TypeError, r"w to be float32 .* dtype int64"),
    ({"w": None}, TypeError, r"w to be a NumPy array\. Received NoneType"),
    ({"w": ones(3, 3, 4, 6, dtype=np.float64)}, TypeError, r"one dtype.*'w': 'float64'"),
    ({"b": ones(5)}, ValueError, r"b.shape=\(6,\)\. Received b.shape=\(5,\)"),
    ({"b": ones(1, 6)}, ValueError, r"b with 1 dimensions\. Received b.shape=\(1, 6\)"),
    ({"b": [1.0] * 6}, TypeError, r"b to be a NumPy array\. Received list"),
    ({"b": ones(6, dtype=np.float64)}, TypeError, r"one dtype.*'b': 'float64'"),
    ({"strides": 0}, ValueError, r"strides to be an integer >= 1 or a pair .* Received 0\."),
    ({"strides": (1, -1)}, ValueError, r"strides .* Received \(1, -1\)\."),
    ({"strides": 1.5}, ValueError, r"strides .* Received 1\.5\."),
    ({"strides": (1, 1, 1)}, ValueError, r"strides .* Received \(1, 1, 1\)\."),
    ({"strides": None}, ValueError, r"strides .* Received None\."),
    ({"dilation_rate": 0}, ValueError, r"dilation_rate .* Received 0\."),
    ({"padding": "full"}, ValueError, r'padding to be one of "valid", "same"\. Received \'full\''),
    ({"padding": 1}, ValueError, r"padding to be one of .* Received 1\."),
    ({"algorithm": "fft"}, ValueError, r'algorithm to be one of "auto", .* Received \'fft\'\.'),
    ({"algorithm": None}, ValueError, r"algorithm to be one of .* Received None\."),
]
BAD_GROUPS = [
    ({"groups": 0}, ValueError, r"groups to be an integer >= 1\. Received 0\."),
    (
        {"groups": 4},
        ValueError,
        r"filters divisible by its 4 groups\. Received w.shape=\(3, 3",
    ),
    ({"groups": 2}, ValueError, r"expects 8 input channels\. Received x.shape=\(2, 5, 5, 4\)"),
    (
        {"dilation_rate": 2, "algorithm": "direct"},
        ValueError,
        r'dilation_rate=1 for .*"direct"\. Received float32, a 3x3 .*dilation_rate=\(2, 2\)',
    ),
    (
        {"strides": 2, "algorithm": "winograd"},
        ValueError,
        r'3x3 kernel, strides=1 .*"winograd"\. Received float32, .*strides=\(2, 2\)',
    ),
    (
        {"w": ones(3, 2, 4, 6), "algorithm": "winograd"},
        ValueError,
        r'"winograd"\. Received float32, a 3x2 kernel',
    ),
    (
        {k: ones(*s, dtype=np.float64) for k, s in {"x": (2, 5, 5, 4), "w": (3, 3, 4, 6)}.items()}
        | {"b": None, "algorithm": "direct"},
        ValueError,
        r'expects float32 .*"direct"\. Received float64',
    ),
]


@pytest.mark.parametrize(("change", "error", "match"), BAD_CONVOLUTIONS + BAD_GROUPS)
def test_bad_convolutions(change: dict, error: type[Exception], match: str) -> None:
    arguments = {"x": ones(2, 5, 5, 4), "w": ones(3, 3, 4, 6), "b": ones(6)} | change
    refuse(error, match, "conv1", lambda: functional.conv2d(**arguments, name="conv1"))
    if "b" not in change:
        del arguments["b"]
        backward = functional.conv2d_backward
        refuse(error, match, "conv1", lambda: backward(ones(2, 3, 3, 6), **arguments, name="conv1"))


@pytest.mark.parametrize(("change", "error", "match"), BAD_CONVOLUTIONS)
def test_bad_depthwise_convolutions(change: dict, error: type[Exception], match: str) -> None:
    """w (3, 3, 4, 6) has six filters for each of four channels, so there are 24 biases."""
    arguments = {"x": ones(2, 5, 5, 4), "w": ones(3, 3, 4, 6)} | change
    if arguments.get("b") is not None:
        arguments["b"] = np.repeat(change["b"], 4, axis=-1)
        if isinstance(change["b"], list):
            arguments["b"] = change["b"] * 4
        match = match.replace("(6,", "(24,").replace(r"1, 6\)", r"1, 24\)")
        match = match.replace(r"\(5,\)", r"\(20,\)")
    refuse(error, match, "dw1", lambda: functional.depthwise_conv2d(**arguments, name="dw1"))


# One bad argument of a transposed convolution of x (2, 5, 5, 4), w (3, 3, 6, 4), and its error.
BAD_TRANSPOSED: list[tuple[dict, type[Exception], str]] = [
    ({"x": ones(2, 5, 5, 6)}, ValueError, r"4 input channels\. Received x.shape=\(2, 5, 5, 6\)"),
    ({"x": ones(2, 0, 5, 4)}, ValueError, r"an input with pixels.* Received 0x5, which"),
    ({"w": ones(3, 3, 4)}, ValueError, r"w with 4 dimensions"),
    ({"w": ones(0, 3, 6, 4)}, ValueError, r"non-empty w\. Received w.shape=\(0, 3, 6, 4"),
    ({"w": ones(3, 3, 6, 4, dtype=np.float64)}, TypeError, r"one dtype.*'w': 'float64'"),
    ({"b": ones(4)}, ValueError, r"b.shape=\(6,\)\. Received b.shape=\(4,\)"),
    ({"strides": 0}, ValueError, r"strides to be an integer >= 1 or a pair .* Received 0\."),
    ({"dilation_rate": 0}, ValueError, r"dilation_rate .* Received 0\."),
    ({"padding": "full"}, ValueError, r'"valid", "same"\. Received \'full\''),
    ({"output_padding": -1}, ValueError, r"output_padding to be an integer >= 0 .* Received -1"),
    ({"output_padding": 1}, ValueError, r"smaller than its strides\. Received .*=\(1, 1\), str"),
    ({"output_padding": (0, 2), "strides": 2}, ValueError, r"smaller than its strides"),
    ({"output_padding": "same"}, ValueError, r"output_padding .* Received 'same'"),
    (
        {"x": ones(2, 1, 5, 4), "w": ones(2, 2, 6, 4), "padding": "same", "output_padding": 0},
        ValueError,
        r"Received 1x5, which makes 0x4\.",
    ),
    ({"algorithm": "fft"}, ValueError, r'algorithm to be one of "auto", .* Received \'fft\'\.'),
    (
        {"strides": 2, "algorithm": "winograd"},
        ValueError,
        r'3x3 kernel, strides=1 .*"winograd"\. Received float32, .*strides=\(2, 2\)',
    ),
]


@pytest.mark.parametrize(("change", "error", "match"), BAD_TRANSPOSED)
def test_bad_transposed_convolutions(change: dict, error: type[Exception], match: str) -> None:
    arguments = {"x": ones(2, 5, 5, 4), "w": ones(3, 3, 6, 4), "b": ones(6)} | change
    refuse(error, match, "up1", lambda: functional.conv2d_transpose(**arguments, name="up1"))
    if "b" not in change:
        del arguments["b"]
        backward = functional.conv2d_transpose_backward
        refuse(error, match, "up1", lambda: backward(ones(2, 7, 7, 6), **arguments, name="up1"))


def test_a_bad_scale_of_a_transposed_convolution() -> None:
    match = r"scale.shape=\(6,\)\. Received scale.shape=\(4,\)"
    given = ones(2, 5, 5, 4), ones(3, 3, 6, 4)
    transposed = functional.conv2d_transpose
    refuse(ValueError, match, "conv2d_transpose", lambda: transposed(*given, scale=ones(4)))


# One bad option of pooling x (2, 5, 7, 4) in 2x2 windows, stride 2, "valid", and its error.
BAD_POOLS = [
    ({"pool_size": 0}, r"pool_size to be an integer >= 1 or a pair of them\. Received 0\."),
    ({"pool_size": (2, -2)}, r"pool_size .* Received \(2, -2\)\."),
    ({"pool_size": 2.0}, r"pool_size .* Received 2\.0\."),
    ({"pool_size": None}, r"pool_size .* Received None\."),
    ({"pool_size": (6, 2)}, r"at least 6x2 pixels, the size of its window\. Received 5x7\."),
    ({"strides": 0}, r"strides to be an integer >= 1 or a pair of them\. Received 0\."),
    ({"strides": (1, -1)}, r"strides .* Received \(1, -1\)\."),
    ({"strides": ()}, r"strides .* Received \(\)\."),
    ({"padding": "full"}, r'padding to be one of "valid", "same"\. Received \'full\'\.'),
    ({"padding": None}, r"padding to be one of .* Received None\."),
]


@pytest.mark.parametrize(("options", "match"), BAD_POOLS)
@pytest.mark.parametrize("kind", ["max_pool2d", "average_pool2d"])
def test_bad_pooling(kind: str, options: dict, match: str) -> None:
    x, options = ones(2, 5, 7, 4), options | {"name": "pool1"}
    refuse(ValueError, match, "pool1", lambda: getattr(functional, kind)(x, **options))
    backward = getattr(functional, f"{kind}_backward")
    source = x if kind == "max_pool2d" else x.shape
    refuse(ValueError, match, "pool1", lambda: backward(ones(2, 2, 3, 4), source, **options))


def test_no_pixels() -> None:
    for kind in ("max_pool2d", "average_pool2d"):
        for padding in ("valid", "same"):
            call = getattr(functional, kind)
            match = r"at least 2x2 pixels.* Received 0x4\."
            refuse(ValueError, match, kind, lambda: call(ones(2, 0, 4, 1), padding=padding))  # noqa: B023
    match = r"at least one pixel\. Received x.shape=\(2, 3, 0, 1\)\."
    for kind in ("max", "average"):
        for name, more in ((f"global_{kind}_pool2d", []), (f"adaptive_{kind}_pool2d", [2])):
            call = getattr(functional, name)
            refuse(ValueError, match, name, lambda: call(ones(2, 3, 0, 1), *more))  # noqa: B023


# The shape that dy must have, and a backward call to try wrong ones on.
Y = ones(2, 3, 2)
BACKWARD: dict[str, tuple[tuple[int, ...], Callable[[Any], Any]]] = {
    "conv2d": (
        (2, 3, 3, 6),
        lambda dy: functional.conv2d_backward(dy, ones(2, 5, 5, 4), ones(3, 3, 4, 6)),
    ),
    "conv2d_transpose": (
        (2, 7, 7, 6),
        lambda dy: functional.conv2d_transpose_backward(dy, ones(2, 5, 5, 4), ones(3, 3, 6, 4)),
    ),
    "depthwise_conv2d": (
        (2, 3, 3, 8),
        lambda dy: functional.depthwise_conv2d_backward(dy, ones(2, 5, 5, 4), ones(3, 3, 4, 2)),
    ),
    "max_pool2d": (
        (2, 2, 2, 4),
        lambda dy: functional.max_pool2d_backward(dy, ones(2, 5, 5, 4)),
    ),
    "average_pool2d": (
        (2, 2, 2, 4),
        lambda dy: functional.average_pool2d_backward(dy, (2, 5, 5, 4)),
    ),
    "global_average_pool2d": (
        (2, 4),
        lambda dy: functional.global_average_pool2d_backward(dy, (2, 5, 5, 4)),
    ),
    "global_max_pool2d": (
        (2, 4),
        lambda dy: functional.global_max_pool2d_backward(dy, ones(2, 5, 5, 4)),
    ),
    "dense": ((2, 3, 5), lambda dy: functional.dense_backward(dy, Y, ones(2, 5))),
    "relu": ((2, 3, 2), lambda dy: functional.relu_backward(dy, Y)),
    "sigmoid": ((2, 3, 2), lambda dy: functional.sigmoid_backward(dy, Y)),
    "tanh": ((2, 3, 2), lambda dy: functional.tanh_backward(dy, Y)),
    "softmax": ((2, 3, 2), lambda dy: functional.softmax_backward(dy, Y)),
    "prelu": ((2, 3, 2), lambda dy: functional.prelu_backward(dy, Y, ones(1, 2))),
    **{
        name: ((2, 3, 2), lambda dy, name=name: getattr(functional, f"{name}_backward")(dy, Y))
        for name in OF_INPUT
    },
    "batch_normalization": (
        (2, 3, 2),
        lambda dy: functional.batch_normalization_backward(dy, Y, *[ones(2)] * 3),
    ),
}


@pytest.mark.parametrize("name", BACKWARD)
def test_a_gradient_of_another_shape(name: str) -> None:
    shape, backward = BACKWARD[name]
    backward(ones(*shape))  # the right shape is accepted
    written = str(shape).replace("(", r"\(").replace(")", r"\)")
    match = rf"expects dy.shape={written}\. Received dy.shape=\("
    for wrong in (
        (1, *shape[1:]),  # this one would broadcast
        (*shape[:-1], 1),
        (shape[0] + 1, *shape[1:]),
        (*shape[:-1], shape[-1] + 1),
        shape[1:],
        (1, *shape),
        (),
    ):
        refuse(ValueError, match, name, lambda: backward(ones(*wrong)))  # noqa: B023


@pytest.mark.parametrize("name", BACKWARD)
def test_a_gradient_of_another_type(name: str) -> None:
    shape, backward = BACKWARD[name]
    for dtype in (np.int64, object, bool):
        match = "dy to be float32 or float64"
        refuse(TypeError, match, name, lambda: backward(ones(*shape, dtype=dtype)))  # noqa: B023
    refuse(TypeError, "Received list", name, lambda: backward(ones(*shape).tolist()))
    refuse(TypeError, "Received NoneType", name, lambda: backward(None))
    if "average" not in name:  # average pooling takes only the shape of x
        match = "one dtype for all of its arrays"
        refuse(TypeError, match, name, lambda: backward(ones(*shape, dtype=np.float64)))


F = functional
IMAGES = ones(2, 3, 3, 1)
MASK = np.ones((2, 3), bool)
NO_CLASS = r"expects x.shape=\(\.\.\., classes\), at least one class\. Received x.shape="
REFUSED: list[tuple[str, type[Exception], str, Callable[[], Any]]] = [
    (
        "average_pool2d",
        ValueError,
        r"x_shape=\(batch, height, width, channels\)\. Received \(5, 5, 4\)",
        lambda: F.average_pool2d_backward(ones(2, 2, 2, 4), (5, 5, 4)),
    ),
    (
        "adaptive_max_pool2d",
        ValueError,
        r"dy.shape=\(2, 3, 3, 4\)\. Received dy.shape=\(2, 3, 3, 5\)",
        lambda: F.adaptive_max_pool2d_backward(ones(2, 3, 3, 5), ones(2, 5, 5, 4)),
    ),
    (
        "adaptive_average_pool2d",
        ValueError,
        r"output_size to be an integer >= 1 or a pair of them\. Received \(2, 0\)",
        lambda: F.adaptive_average_pool2d(ones(2, 5, 5, 4), (2, 0)),
    ),
    (
        "adaptive_average_pool2d",
        ValueError,
        r"dy.shape=\(2, 3, 3, 4\)\. Received dy.shape=\(2, 3, 3, 5\)",
        lambda: F.adaptive_average_pool2d_backward(ones(2, 3, 3, 5), (2, 5, 5, 4)),
    ),
    (
        "adaptive_average_pool2d",
        ValueError,
        "4 dimensions",
        lambda: F.adaptive_average_pool2d_backward(ones(2, 4), (2, 5, 5, 4)),
    ),
    (
        "global_average_pool2d",
        ValueError,
        r"x_shape=\(batch, height, width, channels\)\. Received \(2, 0, 3, 4\)",
        lambda: F.global_average_pool2d_backward(ones(2, 4), (2, 0, 3, 4)),
    ),
    # zero_padding2d
    (
        "zero_padding2d",
        ValueError,
        r"padding=\(\(top, bottom\), \(left, right\)\)\. Received 1\.",
        lambda: F.zero_padding2d(ones(1, 2, 2, 1), 1),
    ),
    (
        "zero_padding2d",
        ValueError,
        r"padding=\(\(top, bottom\), \(left, right\)\)\. Received \(\(1, 1\),\)\.",
        lambda: F.zero_padding2d_backward(ones(1, 2, 2, 1), ((1, 1),)),
    ),
    (
        "zero_padding2d",
        ValueError,
        r"padding to be an integer >= 0 or a pair of them\. Received \(0, -1\)",
        lambda: F.zero_padding2d(ones(1, 2, 2, 1), ((1, 1), (0, -1))),
    ),
    (
        "zero_padding2d",
        ValueError,
        r"dy with at least 3x1 pixels, its padding\. Received dy.shape=\(1, 2, 2, 1\)",
        lambda: F.zero_padding2d_backward(ones(1, 2, 2, 1), ((2, 1), (0, 1))),
    ),
    ("zero_padding2d", ValueError, "4 dim", lambda: F.zero_padding2d_backward(ones(2, 2))),
    # up_sampling2d
    (
        "up_sampling2d",
        ValueError,
        r"size to be an integer >= 1 or a pair of them\. Received \(2, 0\)",
        lambda: F.up_sampling2d(ones(1, 2, 2, 1), (2, 0)),
    ),
    (
        "up_sampling2d",
        ValueError,
        r"dy with whole blocks of 2x3 pixels, its size\. Received dy.shape=\(1, 4, 4, 1\)",
        lambda: F.up_sampling2d_backward(ones(1, 4, 4, 1), (2, 3)),
    ),
    ("up_sampling2d", ValueError, "4 dim", lambda: F.up_sampling2d_backward(ones(2, 2))),
    (
        "up_sampling2d",
        ValueError,
        "interpolation to be one of \"nearest\", .* Received 'cubic'",
        lambda: F.up_sampling2d(ones(1, 2, 2, 1), interpolation="cubic"),
    ),
    # resize
    (
        "resize",
        ValueError,
        "interpolation to be one of \"nearest\", .* Received 'area'",
        lambda: F.resize(ones(1, 2, 2, 1), 2, "area"),
    ),
    (
        "resize",
        ValueError,
        r"size .* Received \(2, 0\)",
        lambda: F.resize(ones(1, 2, 2, 1), (2, 0)),
    ),
    (
        "resize",
        ValueError,
        r"images with pixels\. Received x.shape=\(1, 0, 2, 1\)",
        lambda: F.resize(ones(1, 0, 2, 1), 2),
    ),
    (
        "resize",
        ValueError,
        "crop_to_aspect_ratio or pad_to_aspect_ratio. Received both",
        lambda: F.resize(ones(1, 2, 2, 1), 2, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
    ),
    (
        "resize",
        ValueError,
        "fill_value to be a number. Received 'x'",
        lambda: F.resize(ones(1, 2, 2, 1), 2, fill_value="x"),  # type: ignore[arg-type]
    ),
    (
        "resize",
        ValueError,
        r"dy.shape=\(2, 3, 3, 1\)\. Received dy.shape=\(1, 3, 3, 1\)",
        lambda: F.resize_backward(ones(1, 3, 3, 1), (2, 5, 5, 1)),
    ),
    # reshaping
    (
        "permute",
        ValueError,
        r"dims to name each axis .* Received \(1, 1\)",
        lambda: F.permute(ones(1, 2, 2), (1, 1)),
    ),
    ("permute", ValueError, r"3 dimensions", lambda: F.permute(ones(1, 2), (2, 1))),
    (
        "repeat_vector",
        ValueError,
        "n to be an integer >= 1. Received 0",
        lambda: F.repeat_vector(ones(1, 2), 0),
    ),
    ("repeat_vector", ValueError, "2 dimensions", lambda: F.repeat_vector(ones(1, 2, 2), 1)),
    ("repeat_vector", ValueError, "3 dim", lambda: F.repeat_vector_backward(ones(1, 2))),
    (
        "cropping2d",
        ValueError,
        r"more than 2 rows and 1 columns.* Received x.shape=\(1, 2, 2, 1\)",
        lambda: F.cropping2d(ones(1, 2, 2, 1), ((1, 1), (0, 1))),
    ),
    (
        "cropping2d",
        ValueError,
        "cropping=.* Received 1",
        lambda: F.cropping2d(ones(1, 2, 2, 1), 1),  # type: ignore[arg-type]
    ),
    # dense
    ("dense", ValueError, r"x.shape=\(batch, \.\.\., 3\)", lambda: F.dense(ones(2, 4), ones(3, 5))),
    ("dense", ValueError, r"Received x.shape=\(3,\)", lambda: F.dense(ones(3), ones(3, 5))),
    ("dense", ValueError, "w with 2 dim", lambda: F.dense(ones(2, 3), ones(3))),
    ("dense", ValueError, r"b.shape=\(5,\)", lambda: F.dense(ones(2, 3), ones(3, 5), ones(3))),
    ("dense", TypeError, "dtype int64", lambda: F.dense(ones(2, 3, dtype=np.int64), ones(3, 5))),
    ("dense", TypeError, "one dtype", lambda: F.dense(ones(2, 3), ones(3, 5, dtype=np.float64))),
    ("dense", TypeError, "list", lambda: F.dense([[1.0]], ones(1, 1))),
    (
        "dense",
        ValueError,
        r"non-empty w\. .*\(0, 3\)",
        lambda: F.dense(ones(2, 0), ones(0, 3)),
    ),
    (
        "dense",
        ValueError,
        r"non-empty w\. .*\(4, 0\)",
        lambda: F.dense(ones(2, 4), ones(4, 0)),
    ),
    # activations
    ("relu", TypeError, "dtype int64", lambda: F.relu(ones(3, dtype=np.int64))),
    ("sigmoid", TypeError, "dtype object", lambda: F.sigmoid(ones(3, dtype=object))),
    ("tanh", TypeError, "Received list", lambda: F.tanh([1.0])),
    ("softmax", TypeError, "dtype bool", lambda: F.softmax(ones(3, dtype=bool))),
    ("prelu", ValueError, r"or 1 in an axis\. Received", lambda: F.prelu(Y, ones(2, 2))),
    ("prelu", ValueError, r"or 1 in an axis\. Received", lambda: F.prelu(Y, ones(2))),
    *[
        (name, TypeError, "Received list", lambda name=name: getattr(F, name)([1.0]))
        for name in OF_INPUT
    ],
    ("softmax", ValueError, NO_CLASS + r"\(\)", lambda: F.softmax(ones())),
    ("softmax", ValueError, NO_CLASS + r"\(2, 0\)", lambda: F.softmax(ones(2, 0))),
    ("sigmoid", TypeError, "y to be a NumPy", lambda: F.sigmoid_backward(ones(1), [1.0])),
    ("tanh", TypeError, "y to be a NumPy", lambda: F.tanh_backward(ones(1), [1.0])),
    ("softmax", TypeError, "y to be a NumPy", lambda: F.softmax_backward(ones(1), [1.0])),
    # dropout
    ("dropout", ValueError, r"mask.shape=\(2, 4\)", lambda: F.dropout(ones(2, 4), MASK, 0.5)),
    ("dropout", TypeError, "booleans. Received list", lambda: F.dropout(ones(1), [True], 0.5)),
    (
        "dropout",
        TypeError,
        "booleans. Received int64",
        lambda: F.dropout(ones(2, 3), MASK * 1, 0),
    ),
    ("dropout", ValueError, r"below 1\. Received 1\.0", lambda: F.dropout(ones(2, 3), MASK, 1.0)),
    ("dropout", ValueError, r"Received -0\.1", lambda: F.dropout_backward(ones(2, 3), MASK, -0.1)),
    (
        "alpha_dropout",
        ValueError,
        r"mask.shape=\(2, 4\)",
        lambda: F.alpha_dropout(ones(2, 4), MASK, 0.5),
    ),
    (
        "alpha_dropout",
        ValueError,
        r"below 1\. Received 1",
        lambda: F.alpha_dropout_backward(ones(2, 3), MASK, 1),
    ),
    # dot
    ("dot", ValueError, "expects two inputs.*Received 1", lambda: F.dot([ones(2, 3)], 1)),
    ("dot", ValueError, "axes=0, which is not the batch", lambda: F.dot([ones(2, 3)] * 2, 0)),
    ("dot", ValueError, "axes to be an integer", lambda: F.dot([ones(2, 3)] * 2, "a")),  # type: ignore[arg-type]
    ("dot", TypeError, "one dtype", lambda: F.dot([ones(2, 3), ones(2, 3, dtype=np.float64)], 1)),
    (
        "dot",
        ValueError,
        r"dy.shape=\(2, 1\)",
        lambda: F.dot_backward(ones(2, 2), [ones(2, 3)] * 2, 1),
    ),
    # normalization of examples
    (
        "layer_normalization",
        ValueError,
        r"axis=\(2,\) .* not the batch axis. Received \(2, 3\)",
        lambda: F.layer_normalization(ones(2, 3), axis=2),
    ),
    (
        "layer_normalization",
        ValueError,
        r"gamma.shape=\(3,\). Received gamma.shape=\(2,\)",
        lambda: F.layer_normalization(ones(2, 3), ones(2)),
    ),
    (
        "layer_normalization",
        ValueError,
        "at least one number along axis=-1",
        lambda: F.layer_normalization(ones(2, 0)),
    ),
    (
        "layer_normalization",
        ValueError,
        r"dy.shape=\(2, 3\)",
        lambda: F.layer_normalization_backward(ones(2, 2), ones(2, 3)),
    ),
    (
        "group_normalization",
        ValueError,
        r"divisible by 2 groups. Received x.shape=\(2, 3\)",
        lambda: F.group_normalization(ones(2, 3), 2),
    ),
    (
        "group_normalization",
        TypeError,
        "one dtype",
        lambda: F.group_normalization(ones(2, 4), 2, ones(4, dtype=np.float64)),
    ),
    (
        "unit_normalization",
        ValueError,
        "axis to be an integer",
        lambda: F.unit_normalization(ones(2, 4), "a"),  # type: ignore[arg-type]
    ),
    ("unit_normalization", TypeError, "int64", lambda: F.unit_normalization(ones(2, dtype=int))),
    # add, concatenate
    ("add", ValueError, "at least one array", lambda: F.add([])),
    (
        "add",
        ValueError,
        r"inputs of one shape, or 1 in an axis\. Received \[\(2, 3\), \(2, 2\)\]",
        lambda: F.add([ones(2, 3), ones(2, 2)]),
    ),
    (
        "rescaling",
        ValueError,
        r"scale to be a number or one for each of 3 channels\. Received scale\.shape=\(2,\)",
        lambda: F.rescaling(ones(2, 3), np.ones(2)),
    ),
    (
        "rescaling",
        TypeError,
        "int64",
        lambda: F.rescaling_backward(ones(2, dtype=int), 2, "rescaling"),
    ),
    ("subtract", ValueError, "two arrays. Received 3", lambda: F.subtract([ones(2)] * 3)),
    ("divide", ValueError, "two arrays. Received 1", lambda: F.divide([ones(2)])),
    ("multiply", ValueError, "or 1 in an axis", lambda: F.multiply([ones(2, 3), ones(3)])),
    ("average", ValueError, "at least one array", lambda: F.average([])),
    ("maximum", TypeError, "one dtype", lambda: F.maximum([ones(2), ones(2, dtype=np.float64)])),
    ("minimum", ValueError, "or 1 in an axis", lambda: F.minimum([ones(2), ones(3)])),
    ("add", TypeError, "one dtype", lambda: F.add([ones(2), ones(2, dtype=np.float64)])),
    ("add", TypeError, "dtype int64", lambda: F.add([ones(2), ones(2, dtype=np.int64)])),
    ("concatenate", ValueError, "at least one array", lambda: F.concatenate([])),
    (
        "concatenate",
        ValueError,
        r"differ in the last axis only\. Received \[\(2, 3\), \(4, 3\)\]",
        lambda: F.concatenate([ones(2, 3), ones(4, 3)]),
    ),
    ("concatenate", ValueError, "last axis", lambda: F.concatenate([ones(2, 3), ones(2, 1, 3)])),
    (
        "concatenate",
        ValueError,
        r"dy with 4 channels\. Received dy.shape=\(2, 3\)",
        lambda: F.concatenate_backward(ones(2, 3), [1, 3]),
    ),
    # batch normalization
    (
        "batch_moments",
        ValueError,
        r"at least one example\. Received x.shape=\(0, 3\)",
        lambda: F.batch_moments(ones(0, 3)),
    ),
    ("batch_moments", ValueError, r"at least 2 dim.* \(3,\)", lambda: F.batch_moments(ones(3))),
    ("batch_moments", TypeError, "int64", lambda: F.batch_moments(ones(2, 3, dtype=np.int64))),
    (
        "batch_normalization",
        ValueError,
        r"expects gamma.shape=\(3,\)\. Received gamma.shape=\(2,\)",
        lambda: F.batch_normalization(ones(2, 3), ones(3), ones(3), ones(2), ones(3)),
    ),
    (
        "batch_normalization",
        ValueError,
        "mean with 1 dimensions",
        lambda: F.batch_normalization(ones(2, 3), ones(1, 3), ones(3), ones(3), ones(3)),
    ),
    (
        "batch_normalization",
        TypeError,
        "one dtype.*'x': 'float64', 'mean': 'float32'",
        lambda: F.batch_normalization(ones(2, 3, dtype=np.float64), *[ones(3)] * 4),
    ),
    # losses
    (
        "categorical_crossentropy",
        ValueError,
        r"y_true.shape=\(2, 3\)\. Received y_true.shape=\(2, 4\)",
        lambda: F.categorical_crossentropy(ones(2, 4), ones(2, 3)),
    ),
    (
        "categorical_crossentropy",
        TypeError,
        r'y_true to be float32 .* dtype int64; y_true.astype\("float32"\)',
        lambda: F.categorical_crossentropy_backward(ones(2, 3, dtype=np.int64), ones(2, 3)),
    ),
    (
        "categorical_crossentropy",
        ValueError,
        r"y_pred.shape=\(\.\.\., classes\), at least one class\. Received y_pred.shape=\(2, 0\)",
        lambda: F.categorical_crossentropy(ones(2, 0), ones(2, 0)),
    ),
    (
        "binary_crossentropy",
        ValueError,
        r"y_true.shape=\(2, 1\)\. Received y_true.shape=\(2,\)",
        lambda: F.binary_crossentropy(ones(2), ones(2, 1)),
    ),
    (
        "binary_crossentropy",
        TypeError,
        "one dtype",
        lambda: F.binary_crossentropy_backward(ones(2), ones(2, dtype=np.float64)),
    ),
    # warp
    (
        "warp",
        ValueError,
        r"transforms.shape=\(2, 6\)",
        lambda: F.warp(IMAGES, ones(1, 6)),
    ),
    (
        "warp",
        TypeError,
        "transforms to be a NumPy",
        lambda: F.warp(IMAGES, [[1.0] * 6] * 2),
    ),
    ("warp", ValueError, "finite numbers", lambda: F.warp(IMAGES, ones(2, 6) * np.inf)),
    (
        "warp",
        ValueError,
        "interpolation .*'area'",
        lambda: F.warp(IMAGES, ones(2, 6), "area"),
    ),
    (
        "warp",
        ValueError,
        "fill_mode .*'mirror'",
        lambda: F.warp_backward(IMAGES, ones(2, 6), fill_mode="mirror"),
    ),
    (
        "warp",
        ValueError,
        "fill_value to be a number. Received None",
        lambda: F.warp(IMAGES, ones(2, 6), fill_value=None),
    ),
    # affine_transform
    (
        "affine_transform",
        ValueError,
        r"x with 3 dimensions\. Received x.shape=\(1, 3, 3, 1\)",
        lambda: F.affine_transform(ones(1, 3, 3, 1), np.eye(2), (0, 0)),
    ),
    (
        "affine_transform",
        ValueError,
        r"order to be 0 or 1\. Received 3",
        lambda: F.affine_transform(ones(3, 3, 1), np.eye(2), (0, 0), order=3),
    ),
    (
        "affine_transform",
        ValueError,
        r'mode to be one of "constant", .* Received \'mirror\'',
        lambda: F.affine_transform(ones(3, 3, 1), np.eye(2), (0, 0), mode="mirror"),
    ),
    (
        "affine_transform",
        ValueError,
        r"matrix of shape \(2, 2\) and an offset of shape \(2,\)\. Received \(3, 3\) and \(2,\)",
        lambda: F.affine_transform(ones(3, 3, 1), np.eye(3), (0, 0)),
    ),
    (
        "affine_transform",
        ValueError,
        r"finite numbers\. Received .*nan",
        lambda: F.affine_transform(ones(3, 3, 1), np.eye(2), (0, np.nan)),
    ),
    (
        "affine_transform",
        ValueError,
        r"positions within 2\*\*31 pixels\. Received .*1e\+300",
        lambda: F.affine_transform(ones(3, 3, 1), np.eye(2) * 1e300, (0, 0), mode="wrap"),
    ),
    (
        "affine_transform",
        TypeError,
        "dtype uint8",
        lambda: F.affine_transform(ones(3, 3, 1, dtype=np.uint8), np.eye(2), (0, 0)),
    ),
]


@pytest.mark.parametrize(
    ("name", "error", "match", "call"), REFUSED, ids=[f"{c[0]}: {c[2][:30]}" for c in REFUSED]
)
def test_refused(name: str, error: type[Exception], match: str, call: Callable[[], Any]) -> None:
    refuse(error, match, name, call)


def test_messages_name_their_layer() -> None:
    """Each operation's error says the name that it was given."""
    for function in (functional.relu, functional.softmax, functional.max_pool2d):
        refuse(TypeError, "list", "block3_relu", lambda: function([1.0], name="block3_relu"))  # noqa: B023
