"""Every operation, forward and backward: by hand, beside its plain-loop twin, by differences.

`OPERATIONS` describes each operation once: which arrays go in, with random shapes and options, and
how to call it forward and backward. The tests below then ask all of them the same questions.

Where a result is a sum of products, the arrays hold small whole numbers: every rounding is exact,
so the fast version and the loops must agree to the last bit, however they order their sums.
"""

import inspect
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from gradients import check_gradients, distinct_values
from hypothesis import given, settings
from hypothesis import strategies as st

from minicnn import functional, kernels, naive, shapes
from minicnn.functional import algorithms, buffers, epilogue

Array = np.ndarray
DTYPES = [np.float32, np.float64]
FEW = settings(deadline=None, max_examples=20)
MANY = settings(deadline=None, max_examples=50)
SEEDS = st.integers(0, 2**32 - 1)


# ---------------------------------------------------------------------------------------------
# The operations
# ---------------------------------------------------------------------------------------------


@dataclass
class Operation:
    """One call of one operation.

    `forward(module, *arrays)` and `backward(module, dy, *arrays)`, the module being `functional`
    or `naive`; backward returns one gradient for each array, None where there is none.
    """

    shapes: dict[str, tuple[int, ...]]
    forward: Callable[..., Array]
    backward: Callable[..., tuple[Array | None, ...]] | None
    options: dict[str, Any]
    exact: bool = False  # sums of products of whole numbers only

    def arrays(self, dtype: Any, rng: np.random.Generator, whole: bool = True) -> list[Array]:
        """Inputs: whole numbers with many ties, some all negative, or distinct ones with none."""
        low, high = [(-3, 4), (-8, -4), (2, 3)][rng.choice(3, p=[0.7, 0.2, 0.1])]
        found = []
        for name, shape in self.shapes.items():
            if name in ("variance", "probabilities"):  # 1/p near 0 or 1 is no straight line
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
    """Two axes' worth of geometry in which at least one window fits."""

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
    """What `algorithm` can do."""
    where = draw(windows(1 if algorithm == "direct" else 3))
    if algorithm == "winograd":
        size = draw(st.tuples(st.integers(3, 11), st.integers(3, 11)))
        where = Windows(size, (3, 3), (1, 1), where.padding, (1, 1))
    groups = draw(st.integers(1, 3))
    channels, filters = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 3]))
    if groups == 1 and draw(st.booleans()):
        filters = draw(st.sampled_from([32, 35]))  # whole tiles' columns, or some more
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
        _, winners = m.conv2d_max_pool2d(x, w, b, **options, **more)
        found = m.conv2d_max_pool2d_backward(dy, winners, x, w, **options)
        return found[: 2 if b is None else 3]

    return Operation(plain.shapes, forward, backward, options, exact=True)


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
    options = {"size": (draw(st.integers(1, 3)), draw(st.integers(1, 3)))}
    return Operation(
        {"x": draw(pictures(batch))},
        lambda m, x: m.up_sampling2d(x, **options),
        lambda m, dy, x: (m.up_sampling2d_backward(dy, **options),),
        options,
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
    """An activation whose backward function takes its output y."""

    @st.composite
    def operations(draw: st.DrawFn, batch: int | None = None) -> Operation:
        def forward(m: ModuleType, x: Array) -> Array:
            return getattr(m, name)(x)

        def backward(m: ModuleType, dy: Array, x: Array) -> tuple:
            return (getattr(m, f"{name}_backward")(dy, forward(m, x)),)

        return Operation({"x": draw(any_shape(batch))}, forward, backward, {})

    return operations


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
def additions(draw: st.DrawFn, batch: int | None = None) -> Operation:
    shape, count = draw(any_shape(batch)), draw(st.integers(1, 4))
    return Operation(
        {f"x{i}": shape for i in range(count)},
        lambda m, *xs: m.add(xs),
        lambda m, dy, *xs: (dy,) * len(xs),
        {},
        exact=True,
    )


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
def batch_normalizations(draw: st.DrawFn, batch: int | None = None) -> Operation:
    """As in prediction: the mean and the variance come from elsewhere."""
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
    """As in training: the mean and the variance are the batch's own, and move with x."""
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


# The names of `functional`, and strategies for calls of it (an empty batch where `batch` is 0).
OPERATIONS: dict[str, Callable[..., st.SearchStrategy[Operation]]] = {
    "conv2d": convolutions,
    "conv2d_max_pool2d": pooled_convolutions,
    "depthwise_conv2d": depthwise_convolutions,
    "max_pool2d": max_pools,
    "average_pool2d": average_pools,
    "global_average_pool2d": global_average_pools,
    "global_max_pool2d": global_max_pools,
    "zero_padding2d": zero_paddings,
    "up_sampling2d": up_samplings,
    "dense": denses,
    "relu": relus,
    "sigmoid": from_output("sigmoid"),
    "tanh": from_output("tanh"),
    "softmax": from_output("softmax"),
    "dropout": dropouts,
    "add": additions,
    "concatenate": concatenations,
    "batch_normalization": batch_normalizations,
    "categorical_crossentropy": losses("categorical_crossentropy"),
    "binary_crossentropy": losses("binary_crossentropy"),
}
# These have no empty batch.
AT_LEAST_ONE: dict[str, Callable[[], st.SearchStrategy[Operation]]] = {
    "batch_normalization, training": training_batch_normalizations,
    "batch_moments": moments,
}
ALL = OPERATIONS | AT_LEAST_ONE


def test_every_operation_is_in_the_table() -> None:
    public = {
        name.removesuffix("_backward")
        for name, function in inspect.getmembers(functional, inspect.isfunction)
        if function.__module__.startswith(functional.__name__) and not name.startswith("_")
    }
    assert public == {name.split(",")[0] for name in ALL} | {"affine_transform"}
    assert all(callable(getattr(naive, name)) for name in public)


# ---------------------------------------------------------------------------------------------
# Questions to all of them
# ---------------------------------------------------------------------------------------------


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
    """`functional` and `naive` give the same y and the same gradients."""
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


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALL)
@MANY
@given(data=st.data(), seed=SEEDS)
def test_agrees_with_the_loops(name: str, dtype: type, data: st.DataObject, seed: int) -> None:
    operation = data.draw(ALL[name]())
    assert_agrees(operation, operation.arrays(dtype, np.random.default_rng(seed)))


@pytest.mark.parametrize("name", [name for name in ALL if name != "batch_moments"])
@FEW
@given(data=st.data(), seed=SEEDS)
def test_gradients_are_what_differences_say(name: str, data: st.DataObject, seed: int) -> None:
    operation, rng = data.draw(ALL[name]()), np.random.default_rng(seed)
    check_gradients(
        lambda *arrays: operation.forward(functional, *arrays),
        lambda dy, *arrays: operation.backward(functional, dy, *arrays),
        operation.arrays(np.float64, rng, whole=False),
        rng,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPERATIONS)
@settings(deadline=None, max_examples=5)
@given(data=st.data())
def test_an_empty_batch(name: str, dtype: type, data: st.DataObject) -> None:
    """y and dx are empty; nothing adds to dw, which is 0."""
    operation = data.draw(OPERATIONS[name](batch=0))
    arrays = operation.arrays(dtype, np.random.default_rng(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = operation.forward(functional, *arrays)
        assert y.shape[0] == 0
        assert_agrees(operation, arrays)
        for x, dx in zip(arrays, operation.backward(functional, y, *arrays), strict=True):
            assert dx is None or (dx.shape == x.shape and not dx.any())


def awkward(x: Array, kind: str) -> Array:
    """The same numbers, laid out otherwise in memory."""
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


@pytest.mark.parametrize("kind", ["transposed", "every second", "reversed"])
@pytest.mark.parametrize("name", ALL)
@settings(deadline=None, max_examples=8)
@given(data=st.data(), seed=SEEDS)
def test_any_layout_in_memory(name: str, kind: str, data: st.DataObject, seed: int) -> None:
    operation, rng = data.draw(ALL[name]()), np.random.default_rng(seed)
    arrays = operation.arrays(np.float32, rng)
    y = operation.forward(functional, *arrays)
    others = [awkward(x, kind) for x in arrays]
    assert_same(operation.forward(functional, *others), y, operation.exact, f"{operation.options}")
    if operation.backward is not None:
        dy = operation.gradient_for(y, rng)
        gradients = operation.backward(functional, dy, *arrays)
        found = operation.backward(functional, awkward(dy, kind), *others)
        for a, b in zip(found, gradients, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                assert_same(a, b, operation.exact, f"{operation.options}")


@pytest.mark.parametrize("name", ALL)
@FEW
@given(data=st.data(), seed=SEEDS)
def test_inputs_stay_as_they_are(name: str, data: st.DataObject, seed: int) -> None:
    """They are neither written to nor part of the result; and the same call gives the same."""
    operation, rng = data.draw(ALL[name]()), np.random.default_rng(seed)
    arrays = operation.arrays(np.float32, rng)
    before = [x.copy() for x in arrays]
    y = operation.forward(functional, *arrays)
    results = [y]
    if operation.backward is not None:
        dy = operation.gradient_for(y, rng)
        dy_before = dy.copy()
        gradients = operation.backward(functional, dy, *arrays)
        np.testing.assert_array_equal(dy, dy_before)
        if name != "add":  # has no backward function: each x receives dy itself
            results += [dx for dx in gradients if dx is not None]
            again = operation.backward(functional, dy, *arrays)
            for a, b in zip(gradients, again, strict=True):
                assert a is None if b is None else np.array_equal(a, b)
            assert not any(np.shares_memory(a, dy) for a in results)
    np.testing.assert_array_equal(operation.forward(functional, *arrays), y)
    for x, x_before in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(x, x_before)
        assert not any(np.shares_memory(a, x) for a in results)


# ---------------------------------------------------------------------------------------------
# Convolution: one result, several ways to it
# ---------------------------------------------------------------------------------------------

WAYS = list(functional.ALGORITHMS)


@pytest.mark.parametrize("algorithm", WAYS)
@MANY
@given(data=st.data(), seed=SEEDS)
def test_every_algorithm_gives_the_same(algorithm: str, data: st.DataObject, seed: int) -> None:
    operation = data.draw(convolutions(algorithm=algorithm))
    rng = np.random.default_rng(seed)
    arrays = operation.arrays(np.float32, rng)
    exact = operation.exact
    y = operation.forward(functional, *arrays, algorithm=algorithm)
    assert_same(y, operation.forward(naive, *arrays), exact, f"y, {operation.options}")
    dy = operation.gradient_for(y, rng)
    found = operation.backward(functional, dy, *arrays, algorithm=algorithm)
    expected = operation.backward(naive, dy, *arrays)
    for name, a, b in zip(operation.shapes, found, expected, strict=True):
        assert_same(a, b, exact, f"d{name}, {operation.options}")


ON_THE_WAY = {"relu": (0, np.inf), "relu6": (0, 6)}


@pytest.mark.parametrize("activation", ON_THE_WAY)
@pytest.mark.parametrize("algorithm", WAYS)
@FEW
@given(data=st.data(), seed=SEEDS)
def test_an_activation_on_the_way_is_one_afterwards(
    algorithm: str, activation: str, data: st.DataObject, seed: int
) -> None:
    operation = data.draw(convolutions(algorithm=algorithm))
    arrays = [9 * x for x in operation.arrays(np.float32, np.random.default_rng(seed))]
    y = operation.forward(functional, *arrays, algorithm=algorithm)
    found = operation.forward(functional, *arrays, algorithm=algorithm, activation=activation)
    np.testing.assert_array_equal(found, np.clip(y, *ON_THE_WAY[activation]))


@pytest.mark.parametrize("algorithm", WAYS)
@FEW
@given(data=st.data(), seed=SEEDS)
def test_a_scale_on_the_way_is_another_kernel(
    algorithm: str, data: st.DataObject, seed: int
) -> None:
    operation = data.draw(convolutions(algorithm=algorithm))
    rng = np.random.default_rng(seed)
    x, w, *b = operation.arrays(np.float32, rng)
    scale = rng.integers(-2, 3, w.shape[-1]).astype(np.float32)
    found = operation.forward(functional, x, w, *b, algorithm=algorithm, scale=scale)
    wanted = operation.forward(functional, x, w * scale, *b, algorithm=algorithm)
    np.testing.assert_array_equal(found, wanted)


def test_convolution_and_max_pooling_by_hand() -> None:
    """2 * x + 1, at most 6: of the blocks' results 3 and 3, 6, 0 and 5 are kept."""
    x = picture([[1, 1, 9, 2], [0, -1, 1, 1], [-4, -3, 2, 1], [-2, -5, 0, 2]])
    w, b = np.full((1, 1, 1, 1), 2.0), np.ones(1)
    y, winners = functional.conv2d_max_pool2d(x, w, b, 2, activation="relu6", remember=True)
    np.testing.assert_array_equal(y, picture([[3, 6], [0, 5]]))
    assert winners is not None
    np.testing.assert_array_equal(winners[0, :, :, 0], [[0, 255], [255, 0]])
    dy = picture([[10, 20], [30, 40]])
    dx, dw, db = functional.conv2d_max_pool2d_backward(dy, winners, x, w, 2)
    expected = [[20, 0, 0, 0], [0, 0, 0, 0], [0, 0, 80, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(dx, picture(expected))
    np.testing.assert_array_equal(dw.ravel(), [10 * 1 + 40 * 2])
    np.testing.assert_array_equal(db, [50])


@pytest.mark.parametrize("algorithm", WAYS)
@MANY
@given(data=st.data(), seed=SEEDS)
def test_max_pooling_on_the_way_is_one_afterwards(
    algorithm: str, data: st.DataObject, seed: int
) -> None:
    operation = data.draw(convolutions(data.draw(st.integers(1, 3)), algorithm))
    rng = np.random.default_rng(seed)
    guarded = Guarded()
    x, w, *b = (guarded.copy(a) for a in operation.arrays(np.float32, rng))
    broken = data.draw(st.booleans())
    if broken:
        x[rng.random(x.shape) < 0.03] = np.nan
    activation = data.draw(st.sampled_from(["linear", "relu", "relu6"]))
    given_options = operation.options | {"algorithm": algorithm}
    z = functional.conv2d(x, w, *b, activation=activation, **given_options)
    usual = st.just((2, 2)) if min(z.shape[1:3]) > 1 else st.nothing()
    rows, columns = (st.integers(1, min(4, size)) for size in z.shape[1:3])
    pool = data.draw(usual | st.tuples(rows, columns))
    options = {"pool_size": pool, **given_options}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buffers, "empty", guarded.empty)
        y, winners = functional.conv2d_max_pool2d(
            x, w, *b, activation=activation, remember=True, **options
        )
        alone, nothing = functional.conv2d_max_pool2d(x, w, *b, activation=activation, **options)
        assert nothing is None
        dy = guarded.copy(rng.integers(-3, 4, y.shape).astype(np.float32))
        _, *grads = functional.conv2d_max_pool2d_backward(
            dy, winners, x, w, need_dx=False, **options
        )
        found = functional.conv2d_max_pool2d_backward(dy, winners, x, w, **options)
    guarded.check()
    limits = ON_THE_WAY.get(activation, (-np.inf, np.inf))
    expected, numbers = naive.largest_of_blocks(z, pool, limits)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(alone, expected)
    np.testing.assert_array_equal(winners, numbers)
    if broken:  # NaN times the 0 of those that lost: who multiplies with them differs
        return
    dz = naive.unpool(dy, numbers, pool, z.shape[1:3])
    wanted = functional.conv2d_backward(dz, x, w, **given_options)
    for name, ours, twin in zip(["x", "w", "b"], found, wanted, strict=True):
        assert_same(ours, twin, operation.exact, f"d{name}, {options}")
    for ours, twin in zip(grads, found[1:], strict=True):
        np.testing.assert_array_equal(ours, twin)


@pytest.mark.parametrize("algorithm", ["direct", "winograd", "im2col"])
@pytest.mark.parametrize("pool", [(2, 2), (3, 1)])
@pytest.mark.parametrize("size", [(70, 91), (9, 8)])
def test_larger_results_are_pooled_on_the_way(algorithm: str, pool: Any, size: Any) -> None:
    """More lines than are pooled at a time; more filters than a tile has columns."""
    rng = np.random.default_rng(0)
    x, w = rng.integers(-3, 4, (3, *size, 9)), rng.integers(-3, 4, (3, 3, 9, 70))
    x, w = x.astype(np.float32), w.astype(np.float32)
    options: dict[str, Any] = {"padding": "same", "algorithm": algorithm}
    z = functional.conv2d(x, w, activation="relu6", **options)
    y, winners = functional.conv2d_max_pool2d(
        x, w, None, pool, activation="relu6", remember=True, **options
    )
    np.testing.assert_array_equal(y, functional.max_pool2d(z, pool))
    dy = rng.integers(-3, 4, y.shape).astype(np.float32)
    received = functional.max_pool2d_backward(dy, z, pool)
    dz = functional.relu_backward(received, z, max_value=6.0)
    wanted = functional.conv2d_backward(dz, x, w, **options)
    found = functional.conv2d_max_pool2d_backward(dy, winners, x, w, pool, **options)
    for name, ours, twin in zip(["x", "w", "b"], found, wanted, strict=True):
        assert_same(ours, twin, algorithm != "winograd", f"d{name}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_winners_among_all_kinds_of_channels(dtype: type) -> None:
    """Whole vectors and what remains; ties, NaN, numbers at the limit."""
    rng = np.random.default_rng(3)
    z = rng.integers(-2, 7, (2, 7, 5, 364)).astype(dtype)
    z[rng.random(z.shape) < 0.05], z[rng.random(z.shape) < 0.05] = np.nan, np.inf
    pooling = epilogue.Pooling((3, 2), remember=True)
    for limits in ((0.0, 6.0), (0.0, np.inf), epilogue.UNBOUNDED):
        clipped = np.clip(z, *limits)
        y, winners = epilogue.pooled(clipped, pooling, limits)
        expected, numbers = naive.largest_of_blocks(clipped, (3, 2), limits)
        assert (numbers == 255).any() == (limits != epilogue.UNBOUNDED)
        assert (numbers[expected == np.inf] != 255).all()
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(winners, numbers)
        dy = rng.standard_normal(y.shape).astype(dtype)
        dz = epilogue.unpool(dy, winners, (3, 2), z.shape[1:3])
        np.testing.assert_array_equal(dz, naive.unpool(dy, numbers, (3, 2), z.shape[1:3]))


def test_no_convolution_and_max_pooling() -> None:
    both, back = functional.conv2d_max_pool2d, functional.conv2d_max_pool2d_backward
    x, w = np.ones((1, 20, 22, 1)), np.ones((3, 3, 1, 1))
    with pytest.raises(ValueError, match=r"conv2d_max_pool2d expects.* 18x20 .*\(19, 1\)"):
        both(x, w, pool_size=(19, 1))
    with pytest.raises(ValueError, match=r"conv2d_max_pool2d expects pool_size.*Received 0"):
        both(x, w, pool_size=0)
    with pytest.raises(ValueError, match=r"pool_size of 255 numbers at most.*\(16, 16\)"):
        both(x, w, pool_size=16, remember=True)
    for algorithm in ("auto", "naive"):
        y, winners = both(x, w, pool_size=16, algorithm=algorithm)
        assert y.shape == (1, 1, 1, 1)
        assert winners is None
    y, winners = both(x, w, remember=True)
    with pytest.raises(ValueError, match=r"dy.shape=\(1, 9, 10, 1\)"):
        back(y[:, 1:], winners, x, w)
    with pytest.raises(ValueError, match=r"winners.shape=\(1, 9, 10, 1\).*\(1, 8, 10, 1\)"):
        back(y, winners[:, 1:], x, w)
    for wrong in (None, winners.astype(np.int32)):
        with pytest.raises(TypeError, match="winners to be a uint8 array"):
            back(y, wrong, x, w)


@pytest.mark.parametrize("rows", [1, 84, 85, 300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_scale_in_a_matrix_product(rows: int, dtype: type) -> None:
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype(dtype) for s in [(1, 1, rows, 500), (1, 1, 500, 37)])
    b, scale = rng.standard_normal((2, 37)).astype(dtype)
    before = w.copy()
    found = functional.conv2d(x, w, b, scale=scale)
    wanted = functional.conv2d(x, w * scale, b)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3 if dtype is np.float32 else 1e-11)
    np.testing.assert_array_equal(w, before)
    with pytest.raises(ValueError, match=r"scale.*\(37,\).*\(36,\)"):
        functional.conv2d(x, w, scale=scale[1:])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ON_THE_WAY)
@pytest.mark.parametrize(
    ("function", "x_shape", "w_shape"),
    [
        (functional.depthwise_conv2d, (2, 5, 4, 19), (3, 3, 19, 2)),
        (functional.dense, (3, 37), (37, 41)),
        (functional.dense, (2, 9000), (9000, 5)),  # long sums, in parts
        (functional.dense, (300, 800), (800, 35)),
    ],
)
def test_so_it_is_in_other_layers(
    function: Any, x_shape: tuple, w_shape: tuple, activation: str, dtype: type
) -> None:
    rng = np.random.default_rng(0)
    x, w = (3 * rng.standard_normal(shape).astype(dtype) for shape in (x_shape, w_shape))
    b = rng.standard_normal(function(x, w).shape[-1]).astype(dtype)
    x[0, 0] = np.nan
    y = function(x, w, b)
    assert np.isnan(y).any()
    assert (y > 6).any()
    found = function(x, w, b, activation=activation)
    np.testing.assert_array_equal(found, np.clip(y, *ON_THE_WAY[activation]))
    with pytest.raises(ValueError, match=r"activation.*linear.*relu.*relu6.*'tanh'"):
        function(x, w, b, activation="tanh")


class Guarded:
    """Arrays with NaN before and behind them, and a check that nobody wrote there."""

    margin = 1024

    def __init__(self) -> None:
        self.blocks: list[Array] = []

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        size = math.prod(shape)
        guard = 77 if np.dtype(dtype).kind == "u" else np.nan
        self.blocks.append(np.full(size + 2 * self.margin, guard, dtype))
        return self.blocks[-1][self.margin : self.margin + size].reshape(shape)

    def copy(self, x: Array) -> Array:
        y = self.empty(x.shape, x.dtype)
        y[...] = x
        return y

    def check(self) -> None:
        for block in self.blocks:
            untouched = block == 77 if block.dtype.kind == "u" else np.isnan(block)
            assert untouched[: self.margin].all(), "written before the array"
            assert untouched[-self.margin :].all(), "written behind the array"


WINOGRADS = ["winograd in groups", "winograd of few", "winograd of many"]


@pytest.mark.parametrize("algorithm", ["direct", "im2col", *WINOGRADS])
@MANY
@given(data=st.data(), seed=SEEDS)
def test_nothing_outside_the_arrays_is_touched(
    algorithm: str, data: st.DataObject, seed: int
) -> None:
    """What is read there would show as NaN, what is written there on the guards."""
    algorithm, _, course = algorithm.partition(" ")
    operation = data.draw(convolutions(data.draw(st.integers(0, 3)), algorithm))
    rng = np.random.default_rng(seed)
    guarded = Guarded()
    arrays = [guarded.copy(x) for x in operation.arrays(np.float32, rng)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buffers, "empty", guarded.empty)
        if course == "in groups":  # which such small pictures would not be worth
            tiles_of = kernels.winograd.tiles_of
            patch.setattr(kernels.winograd, "groups_of", lambda dy, _: min(3, tiles_of(dy)) or 1)
        elif course:
            patch.setattr(kernels.winograd, "are_few", lambda *_: course == "of few")
        y = operation.forward(functional, *arrays, algorithm=algorithm)
        dy = guarded.copy(operation.gradient_for(y, rng))
        gradients = operation.backward(functional, dy, *arrays, algorithm=algorithm)
    for found in (y, *gradients):
        assert np.isfinite(found).all()
    guarded.check()


@MANY
@given(
    batch=st.integers(0, 3), size=st.tuples(st.integers(3, 11), st.integers(3, 11)),
    channels=st.sampled_from([1, 16, 63, 64, 65, 130]), filters=st.sampled_from([1, 32, 70]),
    pool=st.booleans(), seed=SEEDS,
)  # fmt: skip
def test_few_tiles_and_many_are_the_same_to_the_last_digit(
    batch: int, size: Any, channels: int, filters: int, pool: bool, seed: int
) -> None:
    """So that neither the threads nor the batch that a photo is in change its numbers."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, *size, channels), np.float32)
    w = rng.standard_normal((3, 3, channels, filters), np.float32)
    b = rng.standard_normal(filters, np.float32)
    window = shapes.Window((3, 3), (1, 1), (1, 1), (1, 1), size)
    pooling = epilogue.Pooling((2, 2), remember=True) if pool else epilogue.NO_POOLING
    end = epilogue.Epilogue(bias=b, limits=(0.0, np.inf), pooling=pooling)
    found = []
    for few in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kernels.winograd, "are_few", lambda *_, few=few: few)
            way = algorithms.ALGORITHMS["winograd"]
            found.append(way.forward(x, w, window, end))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


# Sizes at which the fast ways change their course: several panels of filters, weights too large
# for the nearest cache, many lines a band, more images than bands, a last tile with few rows, one
# line, one column.
LARGER = [
    {"x": (1, 9, 7, 48), "w": (3, 3, 48, 40)},
    {"x": (9, 13, 17, 40), "w": (3, 3, 40, 72)},
    {"x": (1, 3, 3, 330), "w": (3, 3, 330, 8)},
    {"x": (1, 7, 9, 130), "w": (3, 3, 130, 70)},
    {"x": (2, 5, 6, 130), "w": (3, 2, 130, 33)},
    {"x": (1, 40, 11, 3), "w": (3, 3, 3, 32)},
    {"x": (1, 17, 19, 3), "w": (5, 4, 3, 70), "strides": (2, 3)},
    {"x": (19, 4, 5, 2), "w": (2, 3, 2, 9)},
    {"x": (17, 3, 3, 5), "w": (1, 1, 5, 64), "strides": 2},
    {"x": (1, 1, 50, 2), "w": (1, 7, 2, 3)},
    {"x": (2, 7, 4, 2), "w": (3, 3, 2, 3), "strides": 3},  # "same": windows before some phases
    {"x": (3, 50, 1, 2), "w": (7, 1, 2, 31)},
    {"x": (2, 1, 1, 300), "w": (1, 1, 300, 65)},
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_wide_depthwise_convolutions(stride: int, padding: str, dtype: str) -> None:
    """Neighbours that go together, channels that fill all kinds of loops; beside NumPy's sums."""
    rng = np.random.default_rng(6)
    x, w = rng.integers(-3, 4, (1, 4, 110, 364)), rng.integers(-3, 4, (3, 3, 364, 1))
    around = [(0, 0)] * 4
    if padding == "same":
        around[1:3] = [shapes.same_padding(size, 3, stride) for size in x.shape[1:3]]
    padded = np.pad(x, around)
    patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    patches = patches[:, ::stride, ::stride]
    y = np.einsum("nyxcij,ijc->nyxc", patches, w[..., 0])
    dy = rng.integers(-3, 4, y.shape)
    dw = np.einsum("nyxcij,nyxc->ijc", patches, dy)[..., None]
    spread = np.zeros_like(padded)
    views = np.lib.stride_tricks.sliding_window_view(spread, (3, 3), (1, 2), writeable=True)
    for i, j in np.ndindex(3, 3):
        views[:, ::stride, ::stride, :, i, j] += dy * w[i, j, :, 0]
    dx = spread[:, around[1][0] :, around[2][0] :][:, : x.shape[1], : x.shape[2]]
    given, filters, received = (array.astype(dtype) for array in (x, w, dy))
    options = {"strides": stride, "padding": padding}
    np.testing.assert_array_equal(functional.depthwise_conv2d(given, filters, **options), y)
    found = functional.depthwise_conv2d_backward(received, given, filters, **options)
    for ours, wanted in zip(found, (dx, dw, dy.sum((0, 1, 2))), strict=True):
        np.testing.assert_array_equal(ours, wanted)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("case", LARGER, ids=[f"{c['x']}, {c['w']}" for c in LARGER])
def test_larger_convolutions(case: dict, padding: str) -> None:
    """Beside NumPy's own sum over windows, the loops being too slow here."""
    rng = np.random.default_rng(5)
    x = rng.integers(-3, 4, case["x"]).astype(np.float32)
    w = rng.integers(-3, 4, case["w"]).astype(np.float32)
    b = rng.integers(-3, 4, w.shape[3]).astype(np.float32)
    options = {"strides": case.get("strides", 1), "padding": padding}
    steps = np.broadcast_to(options["strides"], 2)
    around = [(0, 0)] * 4
    if padding == "same":
        sizes = zip(x.shape[1:3], w.shape[:2], steps, strict=True)
        around[1:3] = [shapes.same_padding(*size) for size in sizes]
    padded = np.pad(x, around)
    patches = np.lib.stride_tricks.sliding_window_view(padded, w.shape[:2], (1, 2))
    patches = patches[:, :: steps[0], :: steps[1]]
    y = np.einsum("nyxcij,ijco->nyxo", patches, w) + b
    dy = rng.integers(-3, 4, y.shape).astype(np.float32)
    dw = np.einsum("nyxcij,nyxo->ijco", patches, dy)
    spread = np.zeros_like(padded)
    views = np.lib.stride_tricks.sliding_window_view(spread, w.shape[:2], (1, 2), writeable=True)
    for i, j in np.ndindex(w.shape[:2]):
        views[:, :: steps[0], :: steps[1], :, i, j] += dy @ w[i, j].T
    dx = spread[:, around[1][0] :, around[2][0] :][:, : x.shape[1], : x.shape[2]]
    can_be_winograd = w.shape[:2] == (3, 3) and options["strides"] == 1
    for algorithm in ("direct", "im2col", "winograd")[: 3 if can_be_winograd else 2]:
        exact = algorithm != "winograd"
        found = functional.conv2d(x, w, b, **options, algorithm=algorithm)
        assert_same(found, y, exact, f"y, {algorithm}")
        gradients = functional.conv2d_backward(dy, x, w, **options, algorithm=algorithm)
        for name, a, expected in zip("xwb", gradients, (dx, dw, dy.sum((0, 1, 2))), strict=True):
            assert_same(a, expected, exact, f"d{name}, {algorithm}")


def test_im2col_in_blocks_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch whose patches don't fit the cache is worked through in parts."""
    rng = np.random.default_rng(0)
    x, w = rng.integers(-3, 4, (7, 5, 4, 2)) / 1.0, rng.integers(-3, 4, (3, 3, 2, 4)) / 1.0
    dy = rng.integers(-3, 4, (7, 3, 2, 4)) / 1.0
    image_bytes = 3 * 2 * 18 * 8
    for images in (0.5, 1, 3):
        monkeypatch.setattr(algorithms.im2col, "_BLOCK_BYTES", int(images * image_bytes))
        assert_same(functional.conv2d(x, w), naive.conv2d(x, w), True, "y")
        found = functional.conv2d_backward(dy, x, w)
        for name, a, b in zip("xwb", found, naive.conv2d_backward(dy, x, w), strict=True):
            assert_same(a, b, True, f"d{name}")


@pytest.mark.parametrize(
    ("name", "more"),
    [("dense", {})]
    + [("conv2d", {"algorithm": way}) for way in WAYS]
    + [("depthwise_conv2d", {"algorithm": way}) for way in ("auto", "naive")]
    + [("conv2d", {"groups": 2}), ("conv2d", {"strides": 2})],
)
def test_only_the_gradients_that_are_needed(name: str, more: dict) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.random((2, 4, 4, 2), np.float32), rng.random((3, 3, 2, 2), np.float32)
    if name == "dense":
        x, w = x[:, 0, 0], w[0, 0]
    if "groups" in more:
        w = w[:, :, :1]
    dy = np.ones_like(getattr(functional, name)(x, w, **more))
    backward = getattr(functional, f"{name}_backward")
    dx, dw, db = backward(dy, x, w, **more)
    only_dx = backward(dy, x, w, need_dw=False, **more)
    assert only_dx[1:] == (None, None)
    np.testing.assert_array_equal(only_dx[0], dx)
    rest = backward(dy, x, w, need_dx=False, **more)
    assert rest[0] is None
    np.testing.assert_array_equal(rest[1], dw)
    np.testing.assert_array_equal(rest[2], db)
    assert backward(dy, x, w, need_dx=False, need_dw=False, **more) == (None, None, None)


def test_batch_normalization_without_dx() -> None:
    rng = np.random.default_rng(0)
    dy, x, gamma = rng.random((5, 3)), rng.random((5, 3)), rng.random(3)
    given = dy, x, *functional.batch_moments(x), gamma
    dx, dgamma, dbeta = functional.batch_normalization_backward(*given, training=True)
    found = functional.batch_normalization_backward(*given, training=True, need_dx=False)
    assert dx is not None
    assert found[0] is None
    np.testing.assert_array_equal(found[1], dgamma)
    np.testing.assert_array_equal(found[2], dbeta)


# ---------------------------------------------------------------------------------------------
# By hand
# ---------------------------------------------------------------------------------------------


def picture(rows: list, dtype: Any = np.float64) -> Array:
    """Rows of numbers as one picture with one channel."""
    return np.array(rows, dtype)[None, :, :, None]


X3 = picture([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
W2 = np.array([[1.0, 10.0], [100.0, 1000.0]])[:, :, None, None]


@pytest.mark.parametrize("dtype", DTYPES)
def test_conv2d_by_hand(dtype: type) -> None:
    """The digits of y show which pixel met which weight: the kernel is not turned."""
    x, w, b = X3.astype(dtype), W2.astype(dtype), np.array([0.5], dtype)
    y = functional.conv2d(x, w, b)
    np.testing.assert_array_equal(y, picture([[5421.5, 6532.5], [8754.5, 9865.5]]))
    dy = picture([[1, 0], [0, 2]], dtype)
    dx, dw, db = functional.conv2d_backward(dy, x, w)
    np.testing.assert_array_equal(dx, picture([[1, 10, 0], [100, 1002, 20], [0, 200, 2000]]))
    np.testing.assert_array_equal(dw[:, :, 0, 0], [[11, 14], [20, 23]])  # 1*1 + 2*5, …
    np.testing.assert_array_equal(db, [3])


def test_conv2d_same_padding_by_hand() -> None:
    """An even kernel: the zeros are below and to the right."""
    y = functional.conv2d(X3, W2, padding="same")
    np.testing.assert_array_equal(y, picture([[5421, 6532, 603], [8754, 9865, 906], [87, 98, 9]]))
    # Stride 2 on three pixels with a 2x2 kernel: windows at 0 and 2, one zero after.
    y = functional.conv2d(X3, W2, padding="same", strides=2)
    np.testing.assert_array_equal(y, picture([[5421, 603], [87, 9]]))


def test_conv2d_dilation_and_stride_by_hand() -> None:
    np.testing.assert_array_equal(
        functional.conv2d(X3, W2, dilation_rate=2), picture([[9000 + 700 + 30 + 1]])
    )
    y = functional.conv2d(X3, W2, strides=(1, 2))
    np.testing.assert_array_equal(y, picture([[5421], [8754]]))


def test_conv2d_channels_and_groups_by_hand() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 1, 4)
    w = np.array([[1.0, 10.0], [100.0, 1000.0]])[None, None]  # in x out
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
    """Two channels with two filters each; outputs stand channel by channel."""
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
    # Of equal pixels the first in reading order takes all.
    np.testing.assert_array_equal(
        dx, picture([[0, 1, 2, 0], [0, 0, 0, 0], [0, 0, 4, 0], [3, 0, 0, 0]])
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_wide_max_pooling(stride: int, padding: str, dtype: str) -> None:
    """Channels that fill all kinds of loops, ties, NaN and infinity; beside NumPy's maximum."""
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
    winners = patches.argmax(axis=-1)  # the first one; NaN is the largest
    spread = np.zeros_like(padded)
    views = np.lib.stride_tricks.sliding_window_view(spread, (3, 3), (1, 2), writeable=True)
    for k in range(9):
        views[:, ::stride, ::stride, :, k // 3, k % 3] += dy * (winners == k)
    dx = spread[:, around[1][0] :, around[2][0] :][:, : x.shape[1], : x.shape[2]]
    np.testing.assert_array_equal(functional.max_pool2d(x, 3, stride, padding), y)
    found = functional.max_pool2d_backward(dy, x, 3, stride, padding)
    np.testing.assert_array_equal(found, dx)


@pytest.mark.parametrize(
    ("size", "pool", "steps", "padding", "winners"),
    [
        ((5, 5), 2, 2, "valid", [(1, 1), (1, 3), (3, 1), (3, 3)]),  # a row and a column are left
        ((5, 5), 2, 3, "valid", [(1, 1), (1, 4), (4, 1), (4, 4)]),  # some between
        ((4, 4), 2, 2, "valid", [(1, 1), (1, 3), (3, 1), (3, 3)]),  # none
        ((3, 3), 2, 2, "same", [(1, 1), (1, 2), (2, 1), (2, 2)]),  # none, windows reach outside
        ((3, 3), 2, 1, "valid", [(1, 1), (1, 2), (2, 1), (2, 2)]),  # windows overlap
    ],
)
def test_max_pool2d_leaves_no_pixel_of_dx_unwritten(
    size: tuple, pool: int, steps: int, padding: str, winners: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buffers, "empty", lambda shape, dtype: np.full(shape, np.nan, dtype))
    x = np.arange(float(math.prod(size))).reshape(1, *size, 1)
    dx = functional.max_pool2d_backward(np.ones((1, 2, 2, 1)), x, pool, steps, padding)
    expected = np.zeros((1, *size, 1))
    for row, column in winners:
        expected[0, row, column] = 1
    np.testing.assert_array_equal(dx, expected)


def test_max_pool2d_same_padding_by_hand() -> None:
    """Padding never wins, not even over negative pixels; windows that overlap add up."""
    x = picture([[-3, -2, -1], [-6, -5, -4], [-9, -8, -7]])
    y = functional.max_pool2d(x, 2, 1, "same")
    np.testing.assert_array_equal(y, picture([[-2, -1, -1], [-5, -4, -4], [-8, -7, -7]]))
    dx = functional.max_pool2d_backward(np.ones_like(x), x, 2, 1, "same")
    np.testing.assert_array_equal(dx, picture([[0, 1, 2], [0, 1, 2], [0, 1, 2]]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_average_pool2d_by_hand(dtype: type) -> None:
    """Padding is not counted: at the edge, two or one pixel make the mean."""
    x = X3.astype(dtype)
    y = functional.average_pool2d(x, 2, 2, "same")
    np.testing.assert_array_equal(y, picture([[3, 4.5], [7.5, 9]]))
    dx = functional.average_pool2d_backward(picture([[4, 8], [6, 1]], dtype), x.shape, 2, 2, "same")
    np.testing.assert_array_equal(dx, picture([[1, 1, 4], [1, 1, 4], [3, 3, 1]]))
    np.testing.assert_array_equal(functional.average_pool2d(x), picture([[3]]))


def test_global_pooling_by_hand() -> None:
    x = np.array([[[1.0, -1.0], [3.0, -5.0]], [[3.0, -2.0], [1.0, -4.0]]])[None]
    np.testing.assert_array_equal(functional.global_average_pool2d(x), [[2, -3]])
    np.testing.assert_array_equal(functional.global_max_pool2d(x), [[3, -1]])
    dy = np.array([[4.0, 8.0]])
    dx = functional.global_average_pool2d_backward(dy, x.shape)
    np.testing.assert_array_equal(dx, np.broadcast_to([1.0, 2.0], x.shape))
    # Two equal maxima share; it is a reduction here, and no window.
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
    """log 3 is where the sigmoid is 3/4; at log 2 the hyperbolic tangent is 3/5."""
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


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_activation_overflows(dtype: type) -> None:
    far = np.array([-1e4, 1e4], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(functional.sigmoid(far), [0, 1])
        np.testing.assert_array_equal(functional.tanh(far), [-1, 1])
        np.testing.assert_array_equal(functional.softmax(far), [0, 1])
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
    # Of 97 instead of 300, and with epsilon 3, the standard deviations are 2 and 10.
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
    """x = ±1, variance 1: z = x / 2 for epsilon 3. dx takes off dy's mean and its slope along z."""
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
    # p = (1/2, 1/2), t = (1, 0): -log(p0 / (p0 + p1)) falls by 1 a step of p0, rises by 1 with p1.
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


# ---------------------------------------------------------------------------------------------
# NaN and infinity
# ---------------------------------------------------------------------------------------------


KERNELS = ["conv2d", "depthwise_conv2d", "max_pool2d", "average_pool2d", "relu"]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, np.float64) for name in ALL] + [(name, np.float32) for name in KERNELS],
)
@FEW
@given(data=st.data(), seed=SEEDS)
def test_what_is_not_finite_shows(name: str, dtype: type, data: st.DataObject, seed: int) -> None:
    """NaN and infinity in x, or in dy, end up in the same places as with the loops."""
    operation, rng = data.draw(ALL[name]()), np.random.default_rng(seed)
    arrays = operation.arrays(dtype, rng)
    with np.errstate(all="ignore"):
        dy = operation.gradient_for(operation.forward(functional, *arrays), rng)
        spoil(arrays[0], rng)
        assert_agrees(operation, arrays, dy)
        # Zeros around the picture times an infinite dy would be NaN, or nothing: not compared.
        if operation.options.get("padding") != "same":
            arrays = operation.arrays(dtype, rng)
            spoil(dy, rng)
            assert_agrees(operation, arrays, dy)


def spoil(x: Array, rng: np.random.Generator) -> None:
    """Put NaN and infinities into up to three places of x."""
    places = rng.integers(0, x.size, rng.integers(1, 4))
    x.reshape(-1)[places] = rng.choice([np.nan, np.inf, -np.inf], len(places))


@pytest.mark.parametrize("algorithm", [way for way in WAYS if way != "winograd"])
def test_one_nan_reaches_the_windows_on_it(algorithm: str) -> None:
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
    """Every number that should not be finite is not, in y, dx and dw; others of its tile may be."""
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
    # The first NaN wins, and of two equal infinities the first.
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
    """One bad number spoils its own channel only."""
    x = np.array([[1.0, np.nan, np.inf], [3.0, 1.0, 1.0]])
    with np.errstate(invalid="ignore"):
        mean, variance = functional.batch_moments(x)
    np.testing.assert_array_equal(mean, [2, np.nan, np.inf])
    np.testing.assert_array_equal(variance, [1, np.nan, np.nan])


# ---------------------------------------------------------------------------------------------
# Pictures, moved
# ---------------------------------------------------------------------------------------------


def row(*numbers: float) -> Array:
    return np.array(numbers, np.float64)[None, :, None]


# Four pixels read at j + offset, as `scipy.ndimage.affine_transform` reads them.
MOVED = [
    ({}, 1, [20, 30, 40, 40]),
    ({"mode": "constant"}, 1, [20, 30, 40, 0]),
    ({"mode": "constant", "cval": 7}, -2, [7, 7, 10, 20]),
    ({"mode": "reflect"}, -2, [20, 10, 10, 20]),
    ({"mode": "reflect"}, 2, [30, 40, 40, 30]),
    ({"mode": "reflect"}, 9, [20, 30, 40, 40]),
    ({"mode": "wrap"}, 2, [30, 40, 20, 30]),  # the first pixel lies on the last
    ({"mode": "wrap"}, -3, [40, 20, 30, 10]),
    ({"mode": "wrap"}, -2, [20, 30, 10, 20]),
    ({"mode": "nearest"}, 0.5, [15, 25, 35, 40]),
    ({"mode": "constant"}, 0.5, [15, 25, 35, 0]),
    ({"mode": "reflect"}, -0.25, [10, 17.5, 27.5, 37.5]),
    ({"mode": "nearest", "order": 0}, 0.75, [20, 30, 40, 40]),
    ({"mode": "nearest", "order": 0}, 0.25, [10, 20, 30, 40]),
]


@pytest.mark.parametrize("module", [functional, naive])
@pytest.mark.parametrize(("options", "offset", "expected"), MOVED)
def test_affine_transform_by_hand(module, options: dict, offset: float, expected: list) -> None:
    y = module.affine_transform(row(10, 20, 30, 40), np.eye(2), (0, offset), **options)
    np.testing.assert_array_equal(y, row(*expected))
    upright = row(10, 20, 30, 40).transpose(1, 0, 2)
    y = module.affine_transform(upright, np.eye(2), (offset, 0), **options)
    np.testing.assert_array_equal(y[:, 0, 0], expected)


def test_affine_transform_turns_a_picture() -> None:
    x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])[:, :, None]
    # y[i, j] = x[j, 2 - i]: a quarter turn to the left, as far as it fits into 2 rows.
    y = functional.affine_transform(x, [[0, 1], [-1, 0]], [0, 2], mode="constant", cval=-1)
    np.testing.assert_array_equal(y[:, :, 0], [[3, 6, -1], [2, 5, -1]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", functional.FILL_MODES)
@pytest.mark.parametrize("order", [0, 1])
@MANY
@given(data=st.data(), seed=SEEDS)
def test_affine_transform_agrees_with_the_loops(
    order: int, mode: str, dtype: type, data: st.DataObject, seed: int
) -> None:
    """Positions are quarters of pixels, so that all arithmetic is exact, on the edges too."""
    quarters = st.integers(-12, 12).map(lambda n: n / 4)
    matrix = [[data.draw(quarters), data.draw(quarters)] for _ in range(2)]
    offset = [data.draw(quarters), data.draw(quarters)]
    shape = data.draw(st.tuples(*[st.integers(1, 5)] * 2, st.integers(1, 3)))
    x = np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)
    before = x.copy()
    given_to_both = x, matrix, offset, order, mode, 0.5
    y = functional.affine_transform(*given_to_both)
    expected = naive.affine_transform(*given_to_both)
    assert_same(y, expected, True, f"{matrix}, {offset}")
    for kind in ("transposed", "every second", "reversed"):
        again = functional.affine_transform(awkward(x, kind), *given_to_both[1:])
        np.testing.assert_array_equal(again, y)
    np.testing.assert_array_equal(x, before)
    assert not np.shares_memory(x, y)


def test_affine_transform_of_an_empty_picture() -> None:
    assert functional.affine_transform(np.zeros((0, 3, 2)), np.eye(2), (0, 0)).shape == (0, 3, 2)


def test_affine_transform_of_nan() -> None:
    y = functional.affine_transform(row(np.nan, 1, 2, 3), np.eye(2), (0, 0.5))
    np.testing.assert_array_equal(y, row(np.nan, 1.5, 2.5, 3))
    y = functional.affine_transform(row(1, 2), np.eye(2), (0, 1), mode="constant", cval=np.nan)
    np.testing.assert_array_equal(y, row(2, np.nan))


# ---------------------------------------------------------------------------------------------
# What is refused, and in which words
# ---------------------------------------------------------------------------------------------


def refuse(error: type[Exception], match: str, name: str, call: Callable[[], Any]) -> None:
    """The call ends in one sentence: who expects what, and what was received."""
    with pytest.raises(error, match=match) as caught:
        call()
    message = str(caught.value)
    assert message.startswith(f"{name} expects ")
    assert " Received " in message
    assert "\n" not in message
    assert message.endswith((".", "converts numbers."))


def ones(*shape: int, dtype: Any = np.float32) -> Array:
    return np.ones(shape, dtype)


RANK = r"x with 4 dimensions \(batch, height, width, channels\)\. Received x.shape="
# What is wrong with x in any operation on pictures.
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
    "depthwise_conv2d": lambda x: functional.depthwise_conv2d(x, ones(3, 3, 4, 1)),
    "depthwise backward": lambda x: functional.depthwise_conv2d_backward(
        ones(2, 3, 3, 4), x, ones(3, 3, 4, 1), name="depthwise backward"
    ),
    "max_pool2d": functional.max_pool2d,
    "max_pool2d backward": lambda x: functional.max_pool2d_backward(
        ones(2, 2, 2, 4), x, name="max_pool2d backward"
    ),
    "average_pool2d": functional.average_pool2d,
    "global_average_pool2d": functional.global_average_pool2d,
    "global_max_pool2d": functional.global_max_pool2d,
    "global_max backward": lambda x: functional.global_max_pool2d_backward(
        ones(2, 4), x, name="global_max backward"
    ),
    "zero_padding2d": functional.zero_padding2d,
    "up_sampling2d": functional.up_sampling2d,
}


@pytest.mark.parametrize(("x", "error", "match"), BAD_PICTURES)
@pytest.mark.parametrize("name", ON_PICTURES)
def test_no_picture(name: str, x: Any, error: type[Exception], match: str) -> None:
    refuse(error, match, name, lambda: ON_PICTURES[name](x))


# What is wrong with a convolution, all else being x (2, 5, 5, 4), w (3, 3, 4, 6), b (6,).
BAD_CONVOLUTIONS = [
    ({"x": ones(2, 4, 28, 28)}, ValueError, r"4 input channels\. Received x.shape=\(2, 4, 28, 28"),
    ({"x": ones(2, 5, 5, 8)}, ValueError, r"4 input channels\. Received x.shape=\(2, 5, 5, 8\)"),
    ({"x": ones(2, 2, 5, 4)}, ValueError, r"at least 3x3 pixels.*\. Received 2x5\."),
    ({"dilation_rate": (1, 3)}, ValueError, r"at least 3x7 pixels.*\. Received 5x5\."),
    ({"x": ones(2, 0, 5, 4)}, ValueError, r"at least 3x3 pixels.*\. Received 0x5\."),
    ({"x": ones(2, 0, 5, 4), "padding": "same"}, ValueError, r"3x3 pixels.*\. Received 0x5\."),
    ({"w": ones(3, 3, 4)}, ValueError, r"w with 4 dimensions"),
    ({"w": ones(0, 3, 4, 6)}, ValueError, r"w that is not empty\. Received w.shape=\(0, 3, 4, 6"),
    ({"w": ones(3, 3, 4, 0), "b": None}, ValueError, r"w that is not empty"),
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
        r"filters that its 4 groups divide\. Received w.shape=\(3, 3",
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
def test_no_convolution(change: dict, error: type[Exception], match: str) -> None:
    arguments = {"x": ones(2, 5, 5, 4), "w": ones(3, 3, 4, 6), "b": ones(6)} | change
    refuse(error, match, "conv1", lambda: functional.conv2d(**arguments, name="conv1"))
    if "b" not in change:
        del arguments["b"]
        backward = functional.conv2d_backward
        refuse(error, match, "conv1", lambda: backward(ones(2, 3, 3, 6), **arguments, name="conv1"))


@pytest.mark.parametrize(("change", "error", "match"), BAD_CONVOLUTIONS)
def test_no_depthwise_convolution(change: dict, error: type[Exception], match: str) -> None:
    """(3, 3, 4, 6): four channels with six filters each, so 24 biases."""
    arguments = {"x": ones(2, 5, 5, 4), "w": ones(3, 3, 4, 6)} | change
    if arguments.get("b") is not None:
        arguments["b"] = np.repeat(change["b"], 4, axis=-1)
        if isinstance(change["b"], list):
            arguments["b"] = change["b"] * 4
        match = match.replace("(6,", "(24,").replace(r"1, 6\)", r"1, 24\)")
        match = match.replace(r"\(5,\)", r"\(20,\)")
    refuse(error, match, "dw1", lambda: functional.depthwise_conv2d(**arguments, name="dw1"))


# What is wrong with a window, all else being x (2, 5, 7, 4), 2x2, stride 2, "valid".
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
def test_no_pool(kind: str, options: dict, match: str) -> None:
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
    for kind in ("global_max_pool2d", "global_average_pool2d"):
        call = getattr(functional, kind)
        refuse(ValueError, match, kind, lambda: call(ones(2, 3, 0, 1)))  # noqa: B023


# A backward call with the right dy, for what happens with a wrong one.
Y = ones(2, 3, 2)
BACKWARD: dict[str, tuple[tuple[int, ...], Callable[[Any], Any]]] = {
    "conv2d": (
        (2, 3, 3, 6),
        lambda dy: functional.conv2d_backward(dy, ones(2, 5, 5, 4), ones(3, 3, 4, 6)),
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
    "batch_normalization": (
        (2, 3, 2),
        lambda dy: functional.batch_normalization_backward(dy, Y, *[ones(2)] * 3),
    ),
}


@pytest.mark.parametrize("name", BACKWARD)
def test_a_gradient_of_another_shape(name: str) -> None:
    shape, backward = BACKWARD[name]
    backward(ones(*shape))  # this one fits
    written = str(shape).replace("(", r"\(").replace(")", r"\)")
    match = rf"expects dy.shape={written}\. Received dy.shape=\("
    for wrong in (
        (1, *shape[1:]),  # would broadcast
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
    if "average" not in name:  # which takes x's shape only
        match = "one dtype for all of its arrays"
        refuse(TypeError, match, name, lambda: backward(ones(*shape, dtype=np.float64)))


F = functional
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
        r"w that is not empty\. .*\(0, 3\)",
        lambda: F.dense(ones(2, 0), ones(0, 3)),
    ),
    (
        "dense",
        ValueError,
        r"w that is not empty\. .*\(4, 0\)",
        lambda: F.dense(ones(2, 4), ones(4, 0)),
    ),
    # activations
    ("relu", TypeError, "dtype int64", lambda: F.relu(ones(3, dtype=np.int64))),
    ("sigmoid", TypeError, "dtype object", lambda: F.sigmoid(ones(3, dtype=object))),
    ("tanh", TypeError, "Received list", lambda: F.tanh([1.0])),
    ("softmax", TypeError, "dtype bool", lambda: F.softmax(ones(3, dtype=bool))),
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
    # add, concatenate
    ("add", ValueError, "at least one array", lambda: F.add([])),
    (
        "add",
        ValueError,
        r"inputs of one shape\. Received \[\(2, 3\), \(1, 3\)\]",
        lambda: F.add([ones(2, 3), ones(1, 3)]),
    ),
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
    """Each operation says the name that it was given."""
    for function in (functional.relu, functional.softmax, functional.max_pool2d):
        refuse(TypeError, "list", "block3_relu", lambda: function([1.0], name="block3_relu"))  # noqa: B023
