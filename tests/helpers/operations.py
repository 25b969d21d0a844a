"""Random calls of each operation, and the check that they agree with its plain loops.

`OPERATIONS` describes each operation once: which arrays it takes, with random shapes and options,
and how to call it forward and backward. `tests/functional/test_operations.py` puts all of them
through the same tests.

Where a result is a sum of products, the arrays hold small whole numbers: every rounding is exact,
so the fast version and the loops must agree to the last bit, however they order their sums.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from gradients import distinct_values
from hypothesis import settings
from hypothesis import strategies as st

from minicnn import functional, naive, shapes

Array = np.ndarray
DTYPES = [np.float32, np.float64]
FEW = settings(deadline=None, max_examples=20)
MANY = settings(deadline=None, max_examples=50)
SEEDS = st.integers(0, 2**32 - 1)
INTERPOLATIONS = ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"]


# ---------------------------------------------------------------------------------------------
# The operations
# ---------------------------------------------------------------------------------------------


@dataclass
class Operation:
    """One call of one operation.

    `forward(module, *arrays)` and `backward(module, dy, *arrays)` call it in `module`, which is
    `functional` or `naive`; backward returns a gradient for each array, or None if it has none.
    """

    shapes: dict[str, tuple[int, ...]]
    forward: Callable[..., Array]
    backward: Callable[..., tuple[Array | None, ...]] | None
    options: dict[str, Any]
    exact: bool = False  # it only sums products of whole numbers

    def arrays(self, dtype: Any, rng: np.random.Generator, whole: bool = True) -> list[Array]:
        """Return inputs: whole numbers with many ties, some all negative, or distinct numbers."""
        low, high = [(-3, 4), (-8, -4), (2, 3)][rng.choice(3, p=[0.7, 0.2, 0.1])]
        found = []
        for name, shape in self.shapes.items():
            if name in ("variance", "probabilities"):  # 1/p is too curved near 0 for differences
                x = rng.uniform(0.1, 0.9, shape)
            elif whole and self.exact:
                x = rng.integers(*((low, high) if name == "x" else (-3, 4)), size=shape)
            else:
                x = distinct_values(shape, rng)
            found.append(x.astype(dtype))
        return found

    def gradient_for(self, y: Array, rng: np.random.Generator) -> Array:
        dy = rng.integers(-3, 4, y.shape) if self.exact else rng.standard_normal(y.shape)
        return dy.astype(y.dtype)


@dataclass(frozen=True)
class Windows:
    """The geometry of both axes; at least one window fits."""

    size: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    padding: str
    dilation: tuple[int, int]


@st.composite
def windows(draw: st.DrawFn, largest_dilation: int = 1) -> Windows:
    padding = draw(st.sampled_from(["valid", "same"]))
    axes = []
    for _ in range(2):
        kernel = draw(st.integers(1, 3))
        dilation = draw(st.integers(1, largest_dilation))
        smallest = 1 if padding == "same" else (kernel - 1) * dilation + 1
        size = smallest + draw(st.integers(0, 4))
        axes.append((size, kernel, draw(st.integers(1, 3)), dilation))
    size, kernel, strides, dilation = zip(*axes, strict=True)
    return Windows(size, kernel, strides, padding, dilation)


@st.composite
def convolutions(draw: st.DrawFn, batch: int | None = None, algorithm: str = "auto") -> Operation:
    """Draw a convolution that `algorithm` can compute."""
    where = draw(windows(1 if algorithm == "direct" else 3))
    if algorithm == "winograd":
        size = draw(st.tuples(st.integers(3, 11), st.integers(3, 11)))
        where = Windows(size, (3, 3), (1, 1), where.padding, (1, 1))
    groups = draw(st.integers(1, 3))
    channels, filters = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 3]))
    if groups == 1 and draw(st.booleans()):
        filters = draw(st.sampled_from([32, 35]))  # whole tiles of columns, or a few more
    if groups == 1 and algorithm == "winograd" and draw(st.booleans()):
        channels = draw(st.sampled_from([16, 19]))
    options = {
        "strides": where.strides, "padding": where.padding, "dilation_rate": where.dilation,
        "groups": groups,
    }  # fmt: skip
    sizes = {
        "x": (draw_batch(draw, batch), *where.size, channels * groups),
        "w": (*where.kernel, channels, filters * groups),
    }
    if draw(st.booleans()):
        sizes["b"] = (filters * groups,)

    def forward(m: ModuleType, x: Array, w: Array, b: Array | None = None, **more: Any) -> Array:
        return m.conv2d(x, w, b, **options, **more)

    def backward(
        m: ModuleType, dy: Array, x: Array, w: Array, b: Array | None = None, **more: Any
    ) -> tuple:
        return m.conv2d_backward(dy, x, w, **options, **more)[: 2 if b is None else 3]

    return Operation(sizes, forward, backward, options, exact=algorithm != "winograd")


@st.composite
def pooled_convolutions(draw: st.DrawFn, batch: int | None = None) -> Operation:
    plain = draw(convolutions(batch))
    options, size, kernel = plain.options, plain.shapes["x"][1:3], plain.shapes["w"][:2]
    window = shapes.window(
        size, kernel, options["strides"], options["padding"], options["dilation_rate"], "conv2d"
    )
    options = options | {"pool_size": tuple(draw(st.integers(1, min(3, n))) for n in window.out)}

    def forward(m: ModuleType, x: Array, w: Array, b: Array | None = None) -> Array:
        return m.conv2d_max_pool2d(x, w, b, **options)[0]

    def backward(m: ModuleType, dy: Array, x: Array, w: Array, b: Array | None = None) -> tuple:
        more = {"remember": True} if m is functional else {}
        _, argmax = m.conv2d_max_pool2d(x, w, b, **options, **more)
        found = m.conv2d_max_pool2d_backward(dy, argmax, x, w, **options)
        return found[: 2 if b is None else 3]

    return Operation(plain.shapes, forward, backward, options, exact=True)


@st.composite
def transposed_convolutions(
    draw: st.DrawFn, batch: int | None = None, algorithm: str = "auto"
) -> Operation:
    """Draw one that `algorithm` can compute, with or without `output_padding`."""
    side = st.integers(1, 4)
    two = lambda values: draw(st.tuples(values, values))  # noqa: E731
    kernel, strides, dilation = two(st.integers(1, 3)), two(st.integers(1, 3)), (1, 1)
    if algorithm == "winograd":
        kernel, strides = (3, 3), (1, 1)
    elif algorithm != "direct":
        dilation = two(st.integers(1, 3))
    size = two(side)
    padding = draw(st.sampled_from(["valid", "same"]))
    options: dict[str, Any] = {"strides": strides, "padding": padding, "dilation_rate": dilation}
    if draw(st.booleans()):
        more = tuple(draw(st.integers(0, stride - 1)) for stride in strides)
        axes = zip(size, kernel, strides, dilation, more, strict=True)
        made = [shapes.transposed_output(n, k, s, padding, d, m)[0] for n, k, s, d, m in axes]
        if min(made) > 0:
            options["output_padding"] = more
    channels, filters = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 3, 33]))
    sizes = {
        "x": (draw_batch(draw, batch), *size, channels),
        "w": (*kernel, filters, channels),
    }
    if draw(st.booleans()):
        sizes["b"] = (filters,)

    def forward(m: ModuleType, x: Array, w: Array, b: Array | None = None, **more: Any) -> Array:
        return m.conv2d_transpose(x, w, b, **options, **more)

    def backward(
        m: ModuleType, dy: Array, x: Array, w: Array, b: Array | None = None, **more: Any
    ) -> tuple:
        found = m.conv2d_transpose_backward(dy, x, w, **options, **more)
        return found[: 2 if b is None else 3]

    return Operation(sizes, forward, backward, options, exact=algorithm != "winograd")


def draw_batch(draw: st.DrawFn, batch: int | None) -> int:
    return draw(st.integers(1, 3)) if batch is None else batch


@st.composite
def depthwise_convolutions(draw: st.DrawFn, batch: int | None = None) -> Operation:
    where = draw(windows(3))
    channels, multiplier = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    options = {
        "strides": where.strides,
        "padding": where.padding,
        "dilation_rate": where.dilation,
    }
    sizes = {
        "x": (draw_batch(draw, batch), *where.size, channels),
        "w": (*where.kernel, channels, multiplier),
    }
    if draw(st.booleans()):
        sizes["b"] = (channels * multiplier,)

    def forward(m: ModuleType, x: Array, w: Array, b: Array | None = None) -> Array:
        return m.depthwise_conv2d(x, w, b, **options)

    def backward(m: ModuleType, dy: Array, x: Array, w: Array, b: Array | None = None) -> tuple:
        return m.depthwise_conv2d_backward(dy, x, w, **options)[: 2 if b is None else 3]

    return Operation(sizes, forward, backward, options, exact=True)


@st.composite
def max_pools(draw: st.DrawFn, batch: int | None = None) -> Operation:
    sizes, options = draw(pools(batch))
    return Operation(
        sizes,
        lambda m, x: m.max_pool2d(x, **options),
        lambda m, dy, x: (m.max_pool2d_backward(dy, x, **options),),
        options,
        exact=True,
    )


@st.composite
def average_pools(draw: st.DrawFn, batch: int | None = None) -> Operation:
    sizes, options = draw(pools(batch))
    return Operation(
        sizes,
        lambda m, x: m.average_pool2d(x, **options),
        lambda m, dy, x: (m.average_pool2d_backward(dy, x.shape, **options),),
        options,
    )


@st.composite
def adaptive_max_pools(draw: st.DrawFn, batch: int | None = None) -> Operation:
    side = st.integers(1, 7)
    size = draw(side), draw(side)
    return Operation(
        {"x": draw(pictures(batch))},
        lambda m, x: m.adaptive_max_pool2d(x, size),
        lambda m, dy, x: (m.adaptive_max_pool2d_backward(dy, x),),
        {"output_size": size},
    )


@st.composite
def adaptive_average_pools(draw: st.DrawFn, batch: int | None = None) -> Operation:
    side = st.integers(1, 7)
    size = draw(side), draw(side)
    return Operation(
        {"x": draw(pictures(batch))},
        lambda m, x: m.adaptive_average_pool2d(x, size),
        lambda m, dy, x: (m.adaptive_average_pool2d_backward(dy, x.shape),),
        {"output_size": size},
    )


@st.composite
def pools(draw: st.DrawFn, batch: int | None) -> tuple[dict, dict]:
    where = draw(windows())
    strides = draw(st.sampled_from([where.strides, None]))
    sizes = {"x": (draw_batch(draw, batch), *where.size, draw(st.integers(1, 4)))}
    return sizes, {"pool_size": where.kernel, "strides": strides, "padding": where.padding}


@st.composite
def pictures(draw: st.DrawFn, batch: int | None) -> tuple[int, int, int, int]:
    side = st.integers(1, 5)
    return draw_batch(draw, batch), draw(side), draw(side), draw(side)


@st.composite
def global_average_pools(draw: st.DrawFn, batch: int | None = None) -> Operation:
    return Operation(
        {"x": draw(pictures(batch))},
        lambda m, x: m.global_average_pool2d(x),
        lambda m, dy, x: (m.global_average_pool2d_backward(dy, x.shape),),
        {},
    )


@st.composite
def global_max_pools(draw: st.DrawFn, batch: int | None = None) -> Operation:
    return Operation(
        {"x": draw(pictures(batch))},
        lambda m, x: m.global_max_pool2d(x),
        lambda m, dy, x: (m.global_max_pool2d_backward(dy, x),),
        {},
        exact=True,
    )


@st.composite
def zero_paddings(draw: st.DrawFn, batch: int | None = None) -> Operation:
    side = st.tuples(st.integers(0, 3), st.integers(0, 3))
    options = {"padding": (draw(side), draw(side))}
    return Operation(
        {"x": draw(pictures(batch))},
        lambda m, x: m.zero_padding2d(x, **options),
        lambda m, dy, x: (m.zero_padding2d_backward(dy, **options),),
        options,
        exact=True,
    )


@st.composite
def up_samplings(draw: st.DrawFn, batch: int | None = None) -> Operation:
    interpolation = draw(st.sampled_from(["nearest", *INTERPOLATIONS]))
    options = {
        "size": (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        "interpolation": interpolation,
    }
    return Operation(
        {"x": draw(pictures(batch))},
        lambda m, x: m.up_sampling2d(x, **options),
        lambda m, dy, x: (m.up_sampling2d_backward(dy, **options),),
        options,
        exact=interpolation == "nearest",
    )


@st.composite
def resizings(draw: st.DrawFn, batch: int | None = None) -> Operation:
    side = st.integers(1, 7)
    size, framing = (draw(side), draw(side)), draw(st.sampled_from(["crop", "pad", ""]))
    options = {
        "interpolation": draw(st.sampled_from(INTERPOLATIONS)),
        "antialias": draw(st.booleans()),
        **({f"{framing}_to_aspect_ratio": True} if framing else {}),
    }
    fill = draw(st.sampled_from([0.0, 0.5]))
    # A constant border does not depend on x, so backward needs no `fill_value`.
    return Operation(
        {"x": draw(pictures(batch))},
        lambda m, x: m.resize(x, size, fill_value=fill, **options),
        lambda m, dy, x: (m.resize_backward(dy, x.shape, **options),),
        options,
    )


@st.composite
def croppings(draw: st.DrawFn, batch: int | None = None) -> Operation:
    side = st.tuples(st.integers(0, 2), st.integers(0, 2))
    options = {"cropping": (draw(side), draw(side))}
    batch, height, width, channels = draw(pictures(batch))
    rows, columns = (sum(side) for side in options["cropping"])
    return Operation(
        {"x": (batch, height + rows, width + columns, channels)},
        lambda m, x: m.cropping2d(x, **options),
        lambda m, dy, x: (m.cropping2d_backward(dy, **options),),
        options,
        exact=True,
    )


@st.composite
def permutations(draw: st.DrawFn, batch: int | None = None) -> Operation:
    shape = draw(any_shape(batch))
    dims = tuple(draw(st.permutations(range(1, len(shape)))))
    return Operation(
        {"x": shape},
        lambda m, x: m.permute(x, dims),
        lambda m, dy, x: (m.permute_backward(dy, dims),),
        {"dims": dims},
        exact=True,
    )


@st.composite
def repetitions(draw: st.DrawFn, batch: int | None = None) -> Operation:
    n = draw(st.integers(1, 4))
    return Operation(
        {"x": (draw_batch(draw, batch), draw(st.integers(1, 4)))},
        lambda m, x: m.repeat_vector(x, n),
        lambda m, dy, x: (m.repeat_vector_backward(dy),),
        {"n": n},
        exact=True,
    )


@st.composite
def denses(draw: st.DrawFn, batch: int | None = None) -> Operation:
    features, units = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    between = draw(st.lists(st.integers(1, 3), max_size=2))
    sizes = {"x": (draw_batch(draw, batch), *between, features), "w": (features, units)}
    if draw(st.booleans()):
        sizes["b"] = (units,)

    def forward(m: ModuleType, x: Array, w: Array, b: Array | None = None) -> Array:
        return m.dense(x, w, b)

    def backward(m: ModuleType, dy: Array, x: Array, w: Array, b: Array | None = None) -> tuple:
        return m.dense_backward(dy, x, w)[: 2 if b is None else 3]

    return Operation(sizes, forward, backward, {}, exact=True)


@st.composite
def any_shape(draw: st.DrawFn, batch: int | None) -> tuple[int, ...]:
    return draw_batch(draw, batch), *draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))


@st.composite
def rescalings(draw: st.DrawFn, batch: int | None = None) -> Operation:
    shape = draw(any_shape(batch))
    scale, offset = (
        draw(st.sampled_from([1.5, np.arange(1.0, 1 + shape[-1])])) for _ in ("scale", "offset")
    )
    return Operation(
        {"x": shape},
        lambda m, x: m.rescaling(x, scale, offset),
        lambda m, dy, x: (m.rescaling_backward(dy, scale),),
        {"scale": scale, "offset": offset},
    )


@st.composite
def relus(draw: st.DrawFn, batch: int | None = None) -> Operation:
    options = {
        "max_value": draw(st.sampled_from([None, 2.0, 6.0])),
        "negative_slope": draw(st.sampled_from([0.0, 0.25])),
        "threshold": draw(st.sampled_from([0.0, 1.0, -1.0])),
    }
    return Operation(
        {"x": draw(any_shape(batch))},
        lambda m, x: m.relu(x, **options),
        lambda m, dy, x: (m.relu_backward(dy, x, **options),),
        options,
        exact=True,
    )


def from_output(name: str) -> Callable[..., st.SearchStrategy[Operation]]:
    """Describe an activation whose backward function takes its output y."""

    @st.composite
    def operations(draw: st.DrawFn, batch: int | None = None) -> Operation:
        def forward(m: ModuleType, x: Array) -> Array:
            return getattr(m, name)(x)

        def backward(m: ModuleType, dy: Array, x: Array) -> tuple:
            return (getattr(m, f"{name}_backward")(dy, forward(m, x)),)

        return Operation({"x": draw(any_shape(batch))}, forward, backward, {})

    return operations


OF_INPUT = [name for name, found in functional.ACTIVATIONS.items() if found.of_input]


@st.composite
def activations_of_input(draw: st.DrawFn, batch: int | None = None) -> Operation:
    """Draw an activation whose backward function takes x, with default arguments or others."""
    name = draw(st.sampled_from(OF_INPUT))
    more = {
        "elu": {"alpha": 0.5},
        "celu": {"alpha": 0.5},
        "leaky_relu": {"negative_slope": 0.3},
        "gelu": {"approximate": True},
        "hard_shrink": {"threshold": 0.25},
        "hard_sigmoid": {"slope": 0.2},
        "soft_shrink": {"threshold": 0.25},
        "squareplus": {"b": 2.0},
    }
    options = draw(st.sampled_from([{}, more.get(name, {})]))
    return Operation(
        {"x": draw(any_shape(batch))},
        lambda m, x: getattr(m, name)(x, **options),
        lambda m, dy, x: (getattr(m, f"{name}_backward")(dy, x, **options),),
        {"activation": name, **options},
    )


@st.composite
def prelus(draw: st.DrawFn, batch: int | None = None) -> Operation:
    shape = draw(any_shape(batch))
    alpha = tuple(draw(st.sampled_from([1, size])) for size in shape[1:])
    return Operation(
        {"x": shape, "alpha": alpha},
        lambda m, x, a: m.prelu(x, a),
        lambda m, dy, x, a: m.prelu_backward(dy, x, a),
        {"alpha": alpha},
    )


@st.composite
def dropouts(draw: st.DrawFn, batch: int | None = None) -> Operation:
    shape, rate = draw(any_shape(batch)), draw(st.sampled_from([0.0, 0.25, 0.3, 0.9]))
    mask = np.random.default_rng(draw(SEEDS)).random(shape) >= rate
    return Operation(
        {"x": shape},
        lambda m, x: m.dropout(x, mask, rate),
        lambda m, dy, x: (m.dropout_backward(dy, mask, rate),),
        {"rate": rate},
    )


@st.composite
def warps(draw: st.DrawFn, batch: int | None = None) -> Operation:
    """Draw warps near and far, upside down or enlarged, and shifts by whole and half pixels."""
    shape = (draw_batch(draw, batch), draw(st.integers(1, 6)), draw(st.integers(1, 6)),
             draw(st.sampled_from([1, 3, 9])))  # fmt: skip
    rng = np.random.default_rng(draw(SEEDS))
    transforms = rng.uniform(-2, 2, (shape[0], 6))
    transforms[:, 2::3] *= draw(st.sampled_from([1, 4, 30]))
    if draw(st.booleans()):
        transforms = np.tile([1.0, 0, 0, 0, 1, 0], (shape[0], 1))
        transforms[:, 2::3] = rng.integers(-9, 10, (shape[0], 2)) / 2
    how = (
        draw(st.sampled_from(["nearest", "bilinear"])),
        draw(st.sampled_from(["reflect", "wrap", "constant", "nearest"])),
    )
    fill = draw(st.sampled_from([0.0, 2.5])) if batch is None else 0.0
    transforms = transforms.astype(np.float32)
    return Operation(
        {"x": shape},
        lambda m, x: m.warp(x, transforms, *how, fill),
        lambda m, dy, x: (m.warp_backward(dy, transforms, *how),),
        {"how": how, "fill_value": fill},
    )


@st.composite
def alpha_dropouts(draw: st.DrawFn, batch: int | None = None) -> Operation:
    found = draw(dropouts(batch))
    mask = np.random.default_rng(draw(SEEDS)).random(found.shapes["x"]) < 0.6
    rate = found.options["rate"]
    return replace(
        found,
        forward=lambda m, x: m.alpha_dropout(x, mask, rate),
        backward=lambda m, dy, x: (m.alpha_dropout_backward(dy, mask, rate),),
    )


def merges(name: str) -> Callable[..., st.SearchStrategy[Operation]]:
    """Describe a merge of arrays, element by element; one array may have size 1 in some axes."""

    @st.composite
    def operations(draw: st.DrawFn, batch: int | None = None) -> Operation:
        shape = draw(any_shape(batch))
        count = 2 if name in ("divide", "subtract") else draw(st.integers(1, 3))
        other = [shape[0], *(draw(st.sampled_from([1, size])) for size in shape[1:])]
        sizes = {f"x{n}": tuple(other) if n == 1 else shape for n in range(count)}
        if name == "divide":  # the divisor is never near 0
            sizes["probabilities"] = sizes.pop("x1")

        def apart(xs: tuple[Array, ...]) -> list[Array]:
            return [x + 0.0137 * n for n, x in enumerate(xs)]  # no ties

        return Operation(
            sizes,
            lambda m, *xs: getattr(m, name)(apart(xs)),
            lambda m, dy, *xs: tuple(getattr(m, f"{name}_backward")(dy, apart(xs))),
            {},
        )

    return operations


@st.composite
def concatenations(draw: st.DrawFn, batch: int | None = None) -> Operation:
    *outer, _ = draw(any_shape(batch))
    channels = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    return Operation(
        {f"x{i}": (*outer, count) for i, count in enumerate(channels)},
        lambda m, *xs: m.concatenate(xs),
        lambda m, dy, *xs: tuple(m.concatenate_backward(dy, channels)),
        {"channels": channels},
        exact=True,
    )


@st.composite
def dots(draw: st.DrawFn, batch: int | None = None) -> Operation:
    count, size = draw_batch(draw, batch), draw(st.integers(1, 4))
    rests = [draw(st.lists(st.integers(1, 3), max_size=2)) for _ in range(2)]
    axes = [draw(st.integers(1, len(rest) + 1)) for rest in rests]
    sizes = [
        (count, *rest[: axis - 1], size, *rest[axis - 1 :])
        for rest, axis in zip(rests, axes, strict=True)
    ]
    normalize = draw(st.booleans())
    if draw(st.booleans()):
        axes = [axis - len(shape) for axis, shape in zip(axes, sizes, strict=True)]
    return Operation(
        {"x0": sizes[0], "x1": sizes[1]},
        lambda m, *xs: m.dot(xs, axes, normalize),
        lambda m, dy, *xs: tuple(m.dot_backward(dy, xs, axes, normalize)),
        {"axes": axes, "normalize": normalize},
        exact=not normalize,
    )


@st.composite
def batch_normalizations(draw: st.DrawFn, batch: int | None = None) -> Operation:
    """As in prediction, the mean and the variance come from elsewhere."""
    shape, options = draw(any_shape(batch)), {"epsilon": draw(st.sampled_from([1e-3, 0.5]))}
    channels = shape[-1:]

    def backward(m: ModuleType, dy: Array, x: Array, mean, variance, gamma, beta) -> tuple:
        dx, dgamma, dbeta = m.batch_normalization_backward(dy, x, mean, variance, gamma, **options)
        return dx, None, None, dgamma, dbeta

    return Operation(
        {"x": shape} | dict.fromkeys(("mean", "variance", "gamma", "beta"), channels),
        lambda m, *arrays: m.batch_normalization(*arrays, **options),
        backward,
        options,
    )


@st.composite
def training_batch_normalizations(draw: st.DrawFn) -> Operation:
    """As in training, the mean and the variance are the batch's own, and change with x."""
    shape, options = draw(any_shape(None)), {"epsilon": draw(st.sampled_from([1e-3, 0.5]))}

    def forward(m: ModuleType, x: Array, gamma: Array, beta: Array) -> Array:
        return m.batch_normalization(x, *m.batch_moments(x), gamma, beta, **options)

    def backward(m: ModuleType, dy: Array, x: Array, gamma: Array, beta: Array) -> tuple:
        moments = m.batch_moments(x)
        return m.batch_normalization_backward(dy, x, *moments, gamma, training=True, **options)

    return Operation(
        {"x": shape, "gamma": shape[-1:], "beta": shape[-1:]}, forward, backward, options
    )


@st.composite
def layer_normalizations(draw: st.DrawFn, batch: int | None = None) -> Operation:
    shape = draw(any_shape(batch))
    axes = draw(st.lists(st.integers(1, len(shape) - 1), min_size=1, unique=True))
    options = {
        "axis": draw(st.sampled_from([axes, [i - len(shape) for i in axes]])),
        "epsilon": draw(st.sampled_from([1e-3, 0.5])),
        "rms_scaling": draw(st.booleans()),
    }
    sizes = tuple(shape[i] for i in sorted(axes))

    def backward(m: ModuleType, dy: Array, x: Array, *parameters: Array) -> tuple:
        gamma = parameters[0] if parameters else None
        return m.layer_normalization_backward(dy, x, gamma, **options)[: 1 + len(parameters)]

    parameters = {"gamma": sizes, "beta": sizes} if draw(st.booleans()) else {}
    return Operation(
        {"x": shape, **parameters},
        lambda m, *arrays: m.layer_normalization(*arrays, **options),
        backward,
        options,
    )


@st.composite
def group_normalizations(draw: st.DrawFn, batch: int | None = None) -> Operation:
    *outer, size = draw(any_shape(batch))
    groups, epsilon = draw(st.integers(1, 3)), draw(st.sampled_from([1e-3, 0.5]))
    channels = (size * groups,)

    def backward(m: ModuleType, dy: Array, x: Array, *parameters: Array) -> tuple:
        gamma = parameters[0] if parameters else None
        found = m.group_normalization_backward(dy, x, groups, gamma, epsilon)
        return found[: 1 + len(parameters)]

    parameters = {"gamma": channels, "beta": channels} if draw(st.booleans()) else {}
    return Operation(
        {"x": (*outer, *channels), **parameters},
        lambda m, x, *parameters: m.group_normalization(x, groups, *parameters, epsilon=epsilon),
        backward,
        {"groups": groups, "epsilon": epsilon},
    )


@st.composite
def unit_normalizations(draw: st.DrawFn, batch: int | None = None) -> Operation:
    shape = draw(any_shape(batch))
    axis = draw(st.sampled_from([-1, tuple(range(1, len(shape)))]))
    return Operation(
        {"x": shape},
        lambda m, x: m.unit_normalization(x, axis),
        lambda m, dy, x: (m.unit_normalization_backward(dy, x, axis),),
        {"axis": axis},
    )


@st.composite
def moments(draw: st.DrawFn) -> Operation:
    return Operation(
        {"x": draw(any_shape(None))}, lambda m, x: np.stack(m.batch_moments(x)), None, {}
    )


def losses(name: str) -> Callable[..., st.SearchStrategy[Operation]]:
    @st.composite
    def operations(draw: st.DrawFn, batch: int | None = None) -> Operation:
        shape = draw(any_shape(batch))
        from_logits = draw(st.booleans())
        options = {
            "from_logits": from_logits,
            "label_smoothing": draw(st.sampled_from([0.0, 0.25])),
        }
        # Targets need not sum to 1: weighted classes are allowed.
        y_true = np.random.default_rng(draw(SEEDS)).random(shape)

        def forward(m: ModuleType, y_pred: Array) -> Array:
            return getattr(m, name)(y_true.astype(y_pred.dtype), y_pred, **options)

        def backward(m: ModuleType, dy: Array, y_pred: Array) -> tuple:
            each = getattr(m, f"{name}_backward")(y_true.astype(y_pred.dtype), y_pred, **options)
            return (dy[..., None] * each,)

        sizes = {"logits" if from_logits else "probabilities": shape}
        return Operation(sizes, forward, backward, options)

    return operations


# Strategies that draw a call of each function (with an empty batch if `batch` is 0), by name.
OPERATIONS: dict[str, Callable[..., st.SearchStrategy[Operation]]] = {
    "conv2d": convolutions,
    "conv2d_max_pool2d": pooled_convolutions,
    "conv2d_transpose": transposed_convolutions,
    "depthwise_conv2d": depthwise_convolutions,
    "max_pool2d": max_pools,
    "average_pool2d": average_pools,
    "adaptive_max_pool2d": adaptive_max_pools,
    "adaptive_average_pool2d": adaptive_average_pools,
    "global_average_pool2d": global_average_pools,
    "global_max_pool2d": global_max_pools,
    "zero_padding2d": zero_paddings,
    "up_sampling2d": up_samplings,
    "resize": resizings,
    "cropping2d": croppings,
    "permute": permutations,
    "repeat_vector": repetitions,
    "dense": denses,
    "rescaling": rescalings,
    "relu": relus,
    "sigmoid": from_output("sigmoid"),
    "tanh": from_output("tanh"),
    "softmax": from_output("softmax"),
    "activations": activations_of_input,
    "prelu": prelus,
    "dropout": dropouts,
    "alpha_dropout": alpha_dropouts,
    "warp": warps,
    "add": merges("add"),
    **{name: merges(name) for name in ("average", "divide", "maximum")},
    **{name: merges(name) for name in ("minimum", "multiply", "subtract")},
    "concatenate": concatenations,
    "dot": dots,
    "batch_normalization": batch_normalizations,
    "layer_normalization": layer_normalizations,
    "group_normalization": group_normalizations,
    "unit_normalization": unit_normalizations,
    "categorical_crossentropy": losses("categorical_crossentropy"),
    "binary_crossentropy": losses("binary_crossentropy"),
}
# These refuse an empty batch.
AT_LEAST_ONE: dict[str, Callable[[], st.SearchStrategy[Operation]]] = {
    "batch_normalization, training": training_batch_normalizations,
    "batch_moments": moments,
}
ALL = OPERATIONS | AT_LEAST_ONE


def assert_same(found: Array, expected: Array, exact: bool, what: str) -> None:
    assert isinstance(found, np.ndarray), what
    assert found.shape == expected.shape, what
    assert found.dtype == expected.dtype, what
    if exact:
        np.testing.assert_array_equal(found, expected, err_msg=what)
    elif found.size:
        tolerance = 1e-4 if found.dtype == np.float32 else 1e-11
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale, err_msg=what)


def assert_agrees(operation: Operation, arrays: list[Array], dy: Array | None = None) -> None:
    """Assert that `functional` and `naive` give the same y and the same gradients."""
    y, expected = operation.forward(functional, *arrays), operation.forward(naive, *arrays)
    assert_same(y, expected, operation.exact, f"y, {operation.options}")
    if operation.backward is None:
        return
    dy = operation.gradient_for(y, np.random.default_rng(0)) if dy is None else dy
    gradients = operation.backward(functional, dy, *arrays)
    for name, found, expected in zip(
        operation.shapes, gradients, operation.backward(naive, dy, *arrays), strict=True
    ):
        if expected is None:
            assert found is None
        else:
            assert_same(found, expected, operation.exact, f"d{name}, {operation.options}")


def awkward(x: Array, kind: str) -> Array:
    """Return the same numbers in another memory layout."""
    if kind == "transposed":
        found = x.T.copy().T
    elif kind == "every second":
        found = np.full([2 * n for n in x.shape], np.nan, x.dtype)[(slice(None, None, 2),) * x.ndim]
        found[...] = x
    else:
        found = np.ascontiguousarray(x[(slice(None, None, -1),) * x.ndim])
        found = found[(slice(None, None, -1),) * x.ndim]
    assert np.array_equal(found, x)
    return found


WAYS = list(functional.ALGORITHMS)


def picture(rows: list, dtype: Any = np.float64) -> Array:
    """Return rows of numbers as one image with one channel."""
    return np.array(rows, dtype)[None, :, :, None]


def row(*numbers: float) -> Array:
    return np.array(numbers, np.float64)[None, :, None]


def refuse(error: type[Exception], match: str, name: str, call: Callable[[], Any]) -> None:
    """Assert that the call ends in one sentence: who expects what, and what was received."""
    with pytest.raises(error, match=match) as caught:
        call()
    message = str(caught.value)
    assert message.startswith(f"{name} expects ")
    assert " Received " in message
    assert "\n" not in message
    assert message.endswith((".", "converts numbers."))


def ones(*shape: int, dtype: Any = np.float32) -> Array:
    return np.ones(shape, dtype)
