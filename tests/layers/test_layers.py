"""The layers: one contract for all, an answer by hand for each, and every refusal in a sentence."""

import json
import re
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pytest
from gradients import check_gradients, distinct_values
from hypothesis import given, settings
from hypothesis import strategies as st

import minicnn
from minicnn import activations, config, explain, layers, utils
from minicnn.graph.program import Program
from minicnn.layers import LAYERS, base
from minicnn.layers.weights import weight_budget

Array = np.ndarray


@pytest.fixture(autouse=True)
def _start_anew() -> Iterator[None]:
    utils.clear_session()
    utils.set_random_seed(0)
    yield
    config.set_floatx("float32")


# -- one contract ----------------------------------------------------------------------------------


class Use(NamedTuple):
    """A layer, how to make it, and the shape it is shown; `inputs` of that shape."""

    layer: str
    options: dict[str, Any]
    shape: tuple[int, ...] = (2, 6, 5, 4)
    inputs: int = 1


USES = [
    Use("Conv2D", {"filters": 3, "kernel_size": 3}),
    Use("Conv2D", {"filters": 4, "kernel_size": (2, 3), "strides": 2, "padding": "same"}),
    Use("Conv2D", {"filters": 4, "kernel_size": 2, "groups": 2, "activation": "relu"}),
    Use("Conv2D", {"filters": 2, "kernel_size": 2, "dilation_rate": 2, "activation": "tanh"}),
    Use("Conv2D", {"filters": 3, "kernel_size": 1, "use_bias": False, "activation": "sigmoid"}),
    Use("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2}),
    Use("DepthwiseConv2D", {"kernel_size": 2, "use_bias": False, "activation": "relu6"}),
    Use("SeparableConv2D", {"filters": 3, "kernel_size": 3, "activation": "softmax"}),
    Use("SeparableConv2D", {"filters": 3, "kernel_size": 2, "strides": 2, "use_bias": False}),
    Use("Dense", {"units": 3, "activation": "softmax"}, (2, 5)),
    Use("Dense", {"units": 2, "use_bias": False}, (2, 3, 5)),
    Use("ReLU", {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}),
    Use("Activation", {"activation": "relu6"}),
    Use("Activation", {"activation": "tanh"}),
    Use("Activation", {"activation": "linear"}),
    Use("Softmax", {}, (3, 4)),
    Use("MaxPooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}),
    Use("AveragePooling2D", {"pool_size": (2, 3), "padding": "same"}),
    Use("GlobalAveragePooling2D", {}),
    Use("GlobalAveragePooling2D", {"keepdims": True}),
    Use("GlobalMaxPooling2D", {}),
    Use("GlobalMaxPooling2D", {"keepdims": True}),
    Use("BatchNormalization", {}),
    Use("BatchNormalization", {"center": False, "scale": False}, (3, 4)),
    Use("Dropout", {"rate": 0.3}),
    Use("Flatten", {}),
    Use("Reshape", {"target_shape": (4, -1)}),
    Use("ZeroPadding2D", {"padding": ((0, 1), (2, 0))}),
    Use("UpSampling2D", {"size": (2, 3)}),
    Use("UpSampling2D", {"size": 1, "interpolation": "Nearest"}),
    Use("Rescaling", {"scale": 0.5, "offset": -1.0}),
    Use("Rescaling", {"scale": [0.5, 1.0, 2.0, 4.0], "offset": [1.0, 2.0, 3.0, 4.0]}),
    Use("Add", {}, inputs=3),
    Use("Concatenate", {}, inputs=2),
]


def title(use: Use) -> str:
    return f"{use.layer}({', '.join(f'{k}={v}' for k, v in use.options.items())})"


every_use = pytest.mark.parametrize("use", USES, ids=title)
both_modes = pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])


def build(use: Use, dtype: str = "float32", **more: Any) -> tuple[Any, Any]:
    """(layer, x): the layer is built, and no weight of it is 0 or 1."""
    rng = np.random.default_rng(7)
    xs = [distinct_values(use.shape, rng).astype(dtype) for _ in range(use.inputs)]
    x: Any = xs if use.inputs > 1 else xs[0]
    layer = LAYERS[use.layer](**use.options, dtype=dtype, **more)
    layer.forward(x)
    weights = [rng.uniform(0.3, 1.2, v.shape) for v in layer.weights]
    layer.set_weights(weights)
    return layer, x


def as_list(x: Any) -> list[Array]:
    return x if isinstance(x, list) else [x]


def gradient_like(y: Array, seed: int = 3) -> Array:
    return np.random.default_rng(seed).standard_normal(y.shape).astype(y.dtype)


@every_use
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_program_computes_what_the_layer_computes(use: Use, dtype: str) -> None:
    """Whatever of it is made of kernels, or of NumPy, to the last bit."""
    layer, x = build(use, dtype)
    inputs = [layers.Input(a.shape[1:], dtype=dtype) for a in as_list(x)]
    model = minicnn.Model(inputs, layer(inputs if use.inputs > 1 else inputs[0]))
    shapes = [a.shape for a in as_list(x)]
    program = Program(model.graph, shapes)
    for seed in (0, 1):  # what the first run left in memory does not matter to the second
        xs = [np.random.default_rng(seed).standard_normal(s).astype(dtype) for s in shapes]
        (y,) = program.run(xs) or [None]
        np.testing.assert_array_equal(y, layer.run(xs if use.inputs > 1 else xs[0]))


def test_every_layer_is_in_the_table() -> None:
    assert {use.layer for use in USES} == set(LAYERS) - {"InputLayer"}


@every_use
@both_modes
def test_gradients_are_what_differences_say(use: Use, training: bool) -> None:
    """dx and the gradient of every parameter, in float64, through the layer's own methods."""
    layer, x = build(use, "float64")
    names = list(layer.params)
    statistics = [v for v in layer.weights if not v.trainable]
    kept = [v.numpy() for v in statistics]

    def run(arrays: tuple[Array, ...]) -> tuple[Array, Any]:
        # The same mask, the same statistics: a function of the arrays and of nothing else.
        utils.set_random_seed(1)
        for variable, value in zip(statistics, kept, strict=True):
            variable.assign(value)
        for variable in layer.trainable_weights:
            variable.assign(arrays[use.inputs + names.index(variable.name)])
        given_x = list(arrays[: use.inputs]) if use.inputs > 1 else arrays[0]
        return layer.forward(given_x, training=training)

    def forward(*arrays: Array) -> Array:
        return run(arrays)[0]

    def backward(dy: Array, *arrays: Array) -> list[Array]:
        _, cache = run(arrays)
        dx, grads = layer.backward(dy, cache)
        assert list(grads) == names
        return [*as_list(dx), *(grads[name] for name in names)]

    inputs = [*as_list(x), *(v.numpy() for v in layer.trainable_weights)]
    check_gradients(forward, backward, inputs, np.random.default_rng(0))


@every_use
@both_modes
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_contract(use: Use, training: bool, dtype: str) -> None:
    layer, x = build(use, dtype)
    copies = [a.copy() for a in as_list(x)]
    y, cache = layer.forward(x, training=training)
    dy = gradient_like(y)
    dy_copy, weights = dy.copy(), layer.get_weights()
    dx, grads = layer.backward(dy, cache)
    # Shapes and dtypes.
    assert y.dtype == dtype
    shape: Any = [a.shape for a in as_list(x)] if layer.takes_list else x.shape
    assert y.shape == tuple(layer.compute_output_shape(shape))
    assert [(d.shape, d.dtype) for d in as_list(dx)] == [(a.shape, a.dtype) for a in as_list(x)]
    assert {k: (g.shape, g.dtype) for k, g in grads.items()} == {
        k: (p.shape, p.dtype) for k, p in layer.params.items()
    }
    # Nothing that was given is written to, and backward updates nothing.
    for array, copy in zip([*as_list(x), dy], [*copies, dy_copy], strict=True):
        np.testing.assert_array_equal(array, copy)
    for weight, before in zip(layer.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(weight, before)
    # Twice the same.
    again, grads_again = layer.backward(dy, cache)
    for a, b in zip([*as_list(dx), *grads.values()], [*as_list(again), *grads_again.values()]):
        np.testing.assert_array_equal(a, b)
    # Without dx the gradients are the same.
    _, grads_alone = layer.backward(dy, cache, need_dx=False)
    assert list(grads_alone) == list(grads)
    for key, grad in grads.items():
        np.testing.assert_allclose(grads_alone[key], grad, rtol=1e-5, atol=1e-6)


@every_use
def test_a_frozen_layer_has_no_gradients_but_lets_dx_through(use: Use) -> None:
    layer, x = build(use)
    y, cache = layer.forward(x)
    dx, _ = layer.backward(gradient_like(y), cache)
    layer.trainable = False
    frozen_dx, grads = layer.backward(gradient_like(y), cache)
    assert grads == {}
    assert layer.trainable_weights == []
    assert len(layer.non_trainable_weights) == len(layer.weights)
    for a, b in zip(as_list(dx), as_list(frozen_dx), strict=True):
        np.testing.assert_array_equal(a, b)


@every_use
def test_a_config_makes_the_layer_again(use: Use) -> None:
    import json

    layer, x = build(use)
    config_ = json.loads(json.dumps(layer.get_config()))
    copy = LAYERS[use.layer].from_config(config_)
    assert copy.name == layer.name
    copy.forward(x)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(x), layer(x))
    assert copy.get_config() == layer.get_config()


@every_use
def test_a_symbol_and_an_array_agree(use: Use) -> None:
    """The same layer in a graph, with sizes left open where it allows them."""
    layer, x = build(use)
    symbols = [layers.Input(use.shape[1:]) for _ in range(use.inputs)]
    out = layer(symbols if use.inputs > 1 else symbols[0])
    y = layer(x)
    assert (out.shape, out.dtype) == ((None, *y.shape[1:]), "float32")
    np.testing.assert_array_equal(minicnn.Model(symbols, out).predict(x, verbose=0), y)


@every_use
def test_the_formula_gives_the_count(use: Use) -> None:
    layer, _ = build(use)
    formula = layer.parameter_formula()
    assert bool(formula) == bool(layer.weights)
    if formula:
        assert re.fullmatch(r"[\d+·() ]+", formula)
        assert eval(formula.replace("·", "*")) == layer.count_params()


@every_use
def test_an_empty_batch_has_an_empty_answer(use: Use) -> None:
    layer, x = build(use)
    empty = [a[:0] for a in as_list(x)]
    y, cache = layer.forward(empty if use.inputs > 1 else empty[0])
    assert y.shape == (0, *layer(x).shape[1:])
    dx, grads = layer.backward(y, cache)
    assert all(d.shape == e.shape for d, e in zip(as_list(dx), empty, strict=True))
    assert all((g == 0).all() for g in grads.values())


@every_use
def test_arrays_that_lie_out_of_order(use: Use) -> None:
    layer, x = build(use)
    turned = [np.asfortranarray(a) for a in as_list(x)]
    y, cache = layer.forward(x)
    z, turned_cache = layer.forward(turned if use.inputs > 1 else turned[0])
    np.testing.assert_array_equal(y, z)
    dy = gradient_like(y)
    dx, _ = layer.backward(dy, cache)
    dz, _ = layer.backward(np.asfortranarray(dy), turned_cache)
    for a, b in zip(as_list(dx), as_list(dz), strict=True):
        np.testing.assert_array_equal(a, b)


@every_use
def test_dy_of_another_shape_is_refused(use: Use) -> None:
    layer, x = build(use)
    y, cache = layer.forward(x)
    with pytest.raises(ValueError, match=re.escape(layer.label) + r" expects dy\.shape=.*Received"):
        layer.backward(np.zeros((*y.shape, 1), y.dtype), cache)
    with pytest.raises(TypeError, match=re.escape(layer.label) + ".*dy.*object"):
        layer.backward(y.astype(object), cache)


@every_use
@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (lambda a: a.astype(np.int64), TypeError),
        (lambda a: a.astype(object), TypeError),
        (lambda a: a.astype(complex), TypeError),
        (lambda a: a.tolist(), TypeError),
        (lambda a: None, TypeError),
    ],
    ids=["integers", "objects", "complex", "a list", "None"],
)
def test_what_is_no_array_of_floats_is_refused(use: Use, bad: Any, error: type) -> None:
    layer, x = build(use)
    wrong = [bad(a) for a in as_list(x)]
    if use.layer == "Rescaling" and getattr(wrong[0], "dtype", None) == np.int64:
        np.testing.assert_array_equal(layer(wrong[0]), layer(wrong[0].astype(np.float32)))
        return
    with pytest.raises(error, match=re.escape(layer.label)) as raised:
        layer(wrong if use.inputs > 1 else wrong[0])
    assert "Received" in str(raised.value) or "expects" in str(raised.value)


# -- hypothesis over the options: a layer is its functions, joined rightly ------------------------


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[str, dict[str, Any], tuple[int, ...]]:
    kind = draw(st.sampled_from(["Conv2D", "DepthwiseConv2D", "SeparableConv2D"]))
    dilated = draw(st.booleans())
    groups = draw(st.sampled_from([1, 2])) if kind == "Conv2D" else 1
    options: dict[str, Any] = {
        "kernel_size": (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        "padding": draw(st.sampled_from(["valid", "same"])),
        "use_bias": draw(st.booleans()),
        "activation": draw(st.sampled_from([None, "relu", "relu6", "tanh", "sigmoid", "softmax"])),
        "dilation_rate" if dilated else "strides": draw(st.integers(1, 3)),
    }
    if kind == "Conv2D":
        options |= {"groups": groups, "filters": groups * draw(st.integers(1, 3))}
    else:
        options["depth_multiplier"] = draw(st.integers(1, 2))
        options |= {"filters": draw(st.integers(1, 4))} if kind == "SeparableConv2D" else {}
    sizes = draw(st.tuples(st.integers(1, 3), st.integers(7, 10), st.integers(7, 10)))
    return kind, options, (*sizes, groups * draw(st.integers(1, 3)))


@settings(deadline=None, max_examples=60)
@given(case=convolutions(), seed=st.integers(0, 2**16))
def test_convolutions_agree_with_the_loops(
    case: tuple[str, dict[str, Any], tuple[int, ...]], seed: int
) -> None:
    kind, options, shape = case
    rng = np.random.default_rng(seed)
    layer = LAYERS[kind](**options, dtype="float64")
    x = rng.standard_normal(shape)
    layer.forward(x)
    layer.set_weights([rng.standard_normal(v.shape) for v in layer.weights])
    y, cache = layer.forward(x)
    dy = rng.standard_normal(y.shape)
    dx, grads = layer.backward(dy, cache)
    expected_y, expected_dx, expected = convolution_in_loops(kind, layer, x, dy)
    for found, wanted in (
        (y, expected_y),
        (dx, expected_dx),
        *((grads[k], expected[k]) for k in layer.params),
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-10)


def convolution_in_loops(kind: str, layer: Any, x: Array, dy: Array) -> tuple[Any, Any, Any]:
    """y, dx and the gradients, from `minicnn.naive` alone."""
    from minicnn import naive

    window = (layer.strides, layer.padding, layer.dilation_rate)
    p = layer.params
    b = p.get("bias")
    if kind == "Conv2D":
        z = naive.conv2d(x, p["kernel"], b, *window, layer.groups)
    elif kind == "DepthwiseConv2D":
        z = naive.depthwise_conv2d(x, p["kernel"], b, *window)
    else:
        h = naive.depthwise_conv2d(x, p["depthwise_kernel"], None, *window)
        z = naive.conv2d(h, p["pointwise_kernel"], b)
    name = layer.activation_name
    y, dz = z, dy
    if name == "relu6":
        y, dz = naive.relu(z, max_value=6.0), naive.relu_backward(dy, z, max_value=6.0)
    elif name == "relu":
        y, dz = naive.relu(z), naive.relu_backward(dy, z)
    elif name != "linear":
        y = getattr(naive, name)(z)
        dz = getattr(naive, f"{name}_backward")(dy, y)
    if kind == "Conv2D":
        dx, dw, db = naive.conv2d_backward(dz, x, p["kernel"], *window, layer.groups)
        return y, dx, {"kernel": dw, "bias": db}
    if kind == "DepthwiseConv2D":
        dx, dw, db = naive.depthwise_conv2d_backward(dz, x, p["kernel"], *window)
        return y, dx, {"kernel": dw, "bias": db}
    dh, dp, db = naive.conv2d_backward(dz, h, p["pointwise_kernel"])
    dx, dd, _ = naive.depthwise_conv2d_backward(dh, x, p["depthwise_kernel"], *window)
    return y, dx, {"depthwise_kernel": dd, "pointwise_kernel": dp, "bias": db}


# -- by hand ---------------------------------------------------------------------------------------


def picture(*rows: list[float]) -> Array:
    """One grey picture, (1, rows, columns, 1)."""
    return np.array(rows, np.float32)[None, :, :, None]


def made(layer: Any, x: Any, *weights: Any) -> Any:
    """The layer with these weights."""
    layer.forward(x)
    layer.set_weights(
        [np.array(w, np.float32).reshape(v.shape) for w, v in zip(weights, layer.weights)]
    )
    return layer


NINE = picture([1, 2, 3], [4, 5, 6], [7, 8, 9])


def check_by_hand(layer: Any, x: Any, y: Any, dy: Any, dx: Any, **grads: Any) -> None:
    found, cache = layer.forward(x)
    y = np.array(y, np.float32).reshape(found.shape)
    np.testing.assert_allclose(found, y, rtol=1e-6)
    found_dx, found_grads = layer.backward(np.array(dy, np.float32).reshape(y.shape), cache)
    np.testing.assert_allclose(found_dx.ravel(), np.ravel(dx), rtol=1e-6, atol=1e-7)
    assert found_grads.keys() == grads.keys()
    for key, expected in grads.items():
        np.testing.assert_allclose(found_grads[key].ravel(), np.ravel(expected), rtol=1e-6)


def test_conv2d_by_hand() -> None:
    """Top left: 1·1 + 2·0 + 4·0 + 5·2 + 0.5 = 11.5; bottom right without the ReLU 5 + 18 + 0.5."""
    layer = made(layers.Conv2D(1, 2), NINE, [1, 0, 0, 2], [0.5])
    check_by_hand(
        layer,
        NINE,
        [11.5, 14.5, 20.5, 23.5],
        [1, 0, 0, -1],
        [1, 0, 0, 0, 2 - 1, 0, 0, 0, -2],
        kernel=[1 - 5, 2 - 6, 4 - 8, 5 - 9],
        bias=[0],
    )


def test_conv2d_with_relu_by_hand() -> None:
    """The second filter is the first with a minus: the ReLU shuts it, and no gradient passes."""
    layer = made(layers.Conv2D(2, (1, 3), activation="relu"), NINE, [1, -1, 0, 0, 2, -2], [0, 1])
    check_by_hand(
        layer,
        NINE,
        [7, 0, 16, 0, 25, 0],
        [1, 5, 1, 5, 0, 5],
        [1, 0, 2, 1, 0, 2, 0, 0, 0],
        kernel=[5, 0, 7, 0, 9, 0],
        bias=[2, 0],
    )


def test_same_padding_at_stride_2_by_hand() -> None:
    """Even size: the one zero lies below and right. Odd size: one on each side."""
    ones = np.ones((3, 3), np.float32)
    even = picture([1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16])
    layer = made(layers.Conv2D(1, 3, 2, "same", use_bias=False), even, ones)
    np.testing.assert_array_equal(layer(even).ravel(), [54, 45, 72, 54])
    np.testing.assert_array_equal(layer(NINE).ravel(), [12, 16, 24, 28])


def test_dilation_and_groups_by_hand() -> None:
    layer = made(layers.Conv2D(1, 2, dilation_rate=2, use_bias=False), NINE, [1, 10, 100, 1000])
    np.testing.assert_array_equal(layer(NINE).ravel(), [9000 + 700 + 30 + 1])
    x = np.array([[[[1, 2]]]], np.float32)
    layer = made(layers.Conv2D(4, 1, groups=2, use_bias=False), x, [10, 20, 30, 40])
    np.testing.assert_array_equal(layer(x).ravel(), [10, 20, 60, 80])


def test_depthwise_by_hand() -> None:
    """Channel c, filter m is output 2c + m."""
    x = np.array([[[[1, 2], [3, 4]]]], np.float32)
    layer = made(
        layers.DepthwiseConv2D((1, 2), depth_multiplier=2),
        x,
        [[1, 0], [10, 1], [0, 2], [1, -1]],  # first column's (c0: 1, 0; c1: 10, 1), then the second
        [0, 100, 0, 0],
    )
    check_by_hand(
        layer,
        x,
        [1, 106, 24, -2],
        [1, 1, 0, 1],
        [1, 1, 2, -1],
        kernel=[1, 1, 0, 2, 3, 3, 0, 4],
        bias=[1, 1, 0, 1],
    )


def test_separable_by_hand() -> None:
    x = np.array([[[[1, 2], [3, 4]]]], np.float32)
    layer = made(layers.SeparableConv2D(1, (1, 2)), x, [1, 10, 2, 20], [3, -1], [0.5])
    # h = (1·1 + 3·2, 2·10 + 4·20) = (7, 100); y = 21 - 100 + 0.5
    check_by_hand(
        layer,
        x,
        [-78.5],
        [2],
        [6, -20, 12, -40],
        depthwise_kernel=[6, -4, 18, -8],
        pointwise_kernel=[14, 200],
        bias=[2],
    )


def test_dense_by_hand() -> None:
    x = np.array([[1, 2]], np.float32)
    layer = made(layers.Dense(3), x, [[1, 2, 3], [4, 5, 6]], [0.5, 0, -0.5])
    check_by_hand(
        layer,
        x,
        [9.5, 12, 14.5],
        [1, 0, -1],
        [1 - 3, 4 - 6],
        kernel=[[1, 0, -1], [2, 0, -2]],
        bias=[1, 0, -1],
    )


def test_relu_by_hand() -> None:
    x = np.array([[-2, -0.5, 0, 0.5, 5, 6, 8]], np.float32)
    seven = np.arange(1, 8)
    check_by_hand(layers.ReLU(), x, [0, 0, 0, 0.5, 5, 6, 8], seven, [0, 0, 0, 4, 5, 6, 7])
    # At 6 exactly the gradient is 0, as at 0: TensorFlow's rule.
    check_by_hand(layers.ReLU(6), x, [0, 0, 0, 0.5, 5, 6, 6], seven, [0, 0, 0, 4, 5, 0, 0])
    layer = layers.ReLU(negative_slope=0.5, threshold=1.0)
    check_by_hand(layer, x, [-1.5, -0.75, -0.5, -0.25, 5, 6, 8], seven, [0.5, 1, 1.5, 2, 5, 6, 7])


def test_activations_by_hand() -> None:
    x = np.array([[0, np.log(3)]], np.float32)
    check_by_hand(layers.Softmax(), x, [0.25, 0.75], [1, 0], [0.1875, -0.1875])
    check_by_hand(layers.Activation("softmax"), x, [0.25, 0.75], [1, 0], [0.1875, -0.1875])
    check_by_hand(layers.Activation("sigmoid"), x, [0.5, 0.75], [4, 16], [1, 3])
    check_by_hand(layers.Activation("tanh"), x, [0, 0.8], [1, 1], [1, 0.36])
    check_by_hand(layers.Activation("linear"), x, x, [5, 6], [5, 6])


@pytest.mark.parametrize("name", activations.__all__)
def test_an_activation_by_name_or_as_the_function(name: str) -> None:
    if name not in ("deserialize", "get", "serialize"):
        function = getattr(activations, name)
        assert layers.Dense(2, activation=function).activation is function
        assert function.__name__ == name
        assert activations.get(function) is activations.get(name) is function


@pytest.mark.keras
def test_an_activation_as_keras_s_function() -> None:
    keras = pytest.importorskip("keras")
    for name in ("linear", "relu", "relu6", "sigmoid", "softmax", "tanh"):
        layer = layers.Dense(2, activation=getattr(keras.activations, name))
        assert layer.activation is getattr(activations, name)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (None, "linear"),
        ("tanh", "tanh"),
        (activations.sigmoid, "sigmoid"),
        (layers.Activation("relu6"), "relu6"),
        (layers.Softmax(), "softmax"),
        (layers.ReLU(), "relu"),
        (layers.ReLU(6), "relu6"),
        ({"class_name": "function", "config": "tanh"}, "tanh"),
        ({"class_name": "ReLU", "config": {"max_value": 6.0, "name": "r"}}, "relu6"),
    ],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda activation: layers.Dense(3, activation=activation),
        lambda activation: layers.Conv2D(3, 1, activation=activation),
        lambda activation: layers.DepthwiseConv2D(1, activation=activation),
        lambda activation: layers.SeparableConv2D(3, 1, activation=activation),
        layers.Activation,
    ],
)
def test_what_an_activation_may_be(
    make: Callable[[Any], layers.Layer], given: Any, name: str
) -> None:
    x = np.random.default_rng(0).normal(size=(1, 2, 2, 3), scale=20).astype(np.float32)
    at_once = make(given)
    assert at_once.activation is getattr(activations, name)
    assert at_once.get_config()["activation"] == name

    later = make("relu")
    later(x)
    before = later.forward(x)[0]
    later.activation = given
    assert later.activation.__name__ == name
    assert later.get_config()["activation"] == name
    y, cache = later.forward(x)
    later.activation = None
    z, _ = later.forward(x)
    np.testing.assert_allclose(y, getattr(activations, name)(z), rtol=1e-6)
    assert name == "relu" or np.abs(y - before).max() > 0
    later.activation = given
    assert later.backward(y, cache)[0].shape == x.shape


def test_an_activation_that_is_not_known_is_not_assigned() -> None:
    layer = layers.Dense(3, activation="relu", name="end")
    for wrong, message in [
        ("rleu", 'Dense "end" expects activation .*"softmax".*\'rleu\''),
        (np.exp, "a layer of your own"),
        (layers.ReLU(negative_slope=0.1, name="leaky"), 'ReLU "leaky": put it after Dense "end"'),
        (layers.Flatten(name="flat"), 'Flatten "flat"'),
        ({"class_name": "function", "config": "mish"}, "'mish'"),
        ({"class_name": "Lambda", "config": {}}, "Lambda"),
    ]:
        with pytest.raises(ValueError, match=message):
            layer.activation = wrong
        assert layer.activation is activations.relu


def test_layers_without_an_activation_have_none_as_in_keras() -> None:
    for layer in (layers.Flatten(), layers.ReLU(), layers.Softmax(), layers.BatchNormalization()):
        assert not hasattr(layer, "activation")
        with pytest.raises(AttributeError, match=r"has no activation: put Activation\('relu'\)"):
            layer.activation = "relu"


def test_a_layer_of_one_s_own_may_have_an_activation() -> None:
    class Always(layers.Flatten):
        activation = "tanh"

    class Chosen(layers.Flatten):
        def __init__(self) -> None:
            super().__init__()
            self.activation = "tanh"

    x = np.ones((1, 2), np.float32)
    for layer in (Always(), Chosen()):
        np.testing.assert_allclose(layer(x), np.tanh(x), rtol=1e-6)
        assert layer.activation is activations.tanh
    with pytest.raises(ValueError, match="'tahn'"):
        type("Misspelt", (layers.Flatten,), {"activation": "tahn"})


def test_a_function_of_the_user_s_is_not_taken_for_another_of_its_name() -> None:
    def relu(x: Array) -> Array:
        return np.maximum(x, -1)

    for function in (relu, np.tanh):
        with pytest.raises(ValueError, match="a layer of your own"):
            layers.Dense(2, activation=function)
        with pytest.raises(ValueError, match=r"activations\.get expects activation"):
            activations.get(function)


def test_pooling_by_hand() -> None:
    x = picture([1, 5, 5, 0], [5, 2, -1, -2], [-1, -2, -3, -4])
    # A tie's gradient goes to the first maximum, (0, 1) in the first window.
    check_by_hand(layers.MaxPooling2D(), x, [5, 5], [1, 2], [0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    # Padding never wins, not even over negative pixels.
    y = layers.MaxPooling2D(2, padding="same")(x)
    np.testing.assert_array_equal(y.ravel(), [5, 5, -1, -3])
    # Padding is not counted: the last row's windows have two pixels.
    check_by_hand(
        layers.AveragePooling2D(2, padding="same"),
        x,
        [13 / 4, 2 / 4, -3 / 2, -7 / 2],
        [4, 8, 2, 6],
        [1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 3, 3],
    )


def test_global_pooling_by_hand() -> None:
    x = picture([1, 4], [4, -1])
    check_by_hand(layers.GlobalAveragePooling2D(), x, [2], [8], [2, 2, 2, 2])
    # Equal maxima share.
    check_by_hand(layers.GlobalMaxPooling2D(), x, [4], [8], [0, 4, 4, 0])
    assert layers.GlobalMaxPooling2D(keepdims=True)(x).shape == (1, 1, 1, 1)


def test_batch_normalization_by_hand() -> None:
    """Batch 1, 3: mean 2, variance 1, epsilon 3, so x is halved; then gamma 4, beta 1."""
    x = np.array([[1], [3]], np.float32)
    layer = made(layers.BatchNormalization(momentum=0.75, epsilon=3.0), x, [4], [1], [0.0], [1.0])
    y, cache = layer.forward(x, training=True)
    np.testing.assert_array_equal(y, [[-1], [3]])
    np.testing.assert_array_equal(layer.moving_mean.value, [0.5])  # 0·0.75 + 2·0.25
    np.testing.assert_array_equal(layer.moving_variance.value, [1.0])
    dx, grads = layer.backward(np.array([[1], [0]], np.float32), cache)
    # x̂ = -1/2, 1/2. dgamma = -1/2, dbeta = 1; dx = gamma/2·(dy - 1/2 - x̂·(-1/4)).
    np.testing.assert_allclose(grads["gamma"], [-0.5])
    np.testing.assert_allclose(grads["beta"], [1])
    np.testing.assert_allclose(dx, [[2 * (1 - 0.5 - 0.125)], [2 * (-0.5 + 0.125)]])
    # Afterwards the moving statistics serve: (x - 0.5) / 2 · 4 + 1.
    np.testing.assert_allclose(layer(x), [[2], [6]])


def test_a_frozen_normalization_stays_in_inference() -> None:
    x = np.array([[1], [3]], np.float32)
    layer = layers.BatchNormalization(trainable=False)
    y = layer(x, training=True)
    np.testing.assert_allclose(y, x / np.sqrt(1.001), rtol=1e-6)
    np.testing.assert_array_equal(layer.moving_mean.value, [0])


def test_moving_layers_by_hand() -> None:
    x = picture([1, 2], [3, 4])
    check_by_hand(layers.Flatten(), x, [1, 2, 3, 4], [5, 6, 7, 8], [5, 6, 7, 8])
    check_by_hand(layers.Reshape((4, 1)), x, [1, 2, 3, 4], [5, 6, 7, 8], [5, 6, 7, 8])
    check_by_hand(layers.Rescaling(0.5, -1), x, [-0.5, 0, 0.5, 1], [2, 4, 6, 8], [1, 2, 3, 4])
    y = layers.ZeroPadding2D(((1, 0), (0, 2)))(x)
    np.testing.assert_array_equal(y[0, :, :, 0], [[0, 0, 0, 0], [1, 2, 0, 0], [3, 4, 0, 0]])
    check_by_hand(layers.ZeroPadding2D((0, 1)), x, [0, 1, 2, 0, 0, 3, 4, 0], range(8), [1, 2, 5, 6])
    wide = layers.UpSampling2D((1, 2))
    check_by_hand(wide, x, [1, 1, 2, 2, 3, 3, 4, 4], range(8), [0 + 1, 2 + 3, 4 + 5, 6 + 7])
    uint8 = np.array([[0, 255]], np.uint8)
    np.testing.assert_allclose(layers.Rescaling(1 / 255)(uint8), [[0, 1]])


def test_merging_by_hand() -> None:
    a, b = np.array([[1, 2]], np.float32), np.array([[10, 20]], np.float32)
    add = layers.Add()
    y, cache = add.forward([a, b])
    np.testing.assert_array_equal(y, [[11, 22]])
    dy = np.array([[3, 4]], np.float32)
    for dx in add.backward(dy, cache)[0]:
        np.testing.assert_array_equal(dx, dy)
    joined = layers.Concatenate()
    y, cache = joined.forward([a, b[:, :1]])
    np.testing.assert_array_equal(y, [[1, 2, 10]])
    da, db = joined.backward(np.array([[5, 6, 7]], np.float32), cache)[0]
    np.testing.assert_array_equal(da, [[5, 6]])
    np.testing.assert_array_equal(db, [[7]])


# -- dropout ---------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean_and_is_nothing_at_inference() -> None:
    x = np.ones((100, 200), np.float32)
    layer = layers.Dropout(0.25, seed=1)
    y, cache = layer.forward(x, training=True)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(y.mean() - 1) < 0.02
    np.testing.assert_array_equal(layer.backward(x, cache)[0], y)
    np.testing.assert_array_equal(layer(x), x)


def test_dropout_masks_come_from_the_seed() -> None:
    x = np.ones((4, 50), np.float32)

    def masks(**seed: Any) -> list[Array]:
        layer = layers.Dropout(0.5, **seed)
        return [layer(x, training=True) for _ in range(2)]

    a, b = masks(seed=3)
    assert not np.array_equal(a, b), "each pass has a mask of its own"
    np.testing.assert_array_equal(a, masks(seed=3)[0])
    np.testing.assert_array_equal(a, masks(seed=np.random.default_rng(3))[0])
    assert not np.array_equal(a, masks(seed=4)[0])
    utils.set_random_seed(5)
    c = masks()[0]
    utils.set_random_seed(5)
    np.testing.assert_array_equal(c, masks()[0])


@pytest.mark.parametrize(("noise_shape", "same"), [((None, 1, 1, 3), (1, 2)), ((1, 4, 4, 3), (0,))])
def test_dropouts_noise_shape_drops_together(noise_shape: Any, same: tuple[int, ...]) -> None:
    x = np.ones((5, 4, 4, 3), np.float32)
    y = layers.Dropout(0.5, noise_shape=noise_shape, seed=0)(x, training=True)
    assert (y.max(axis=same) == y.min(axis=same)).all()
    assert len(np.unique(y)) == 2


def test_dropout_of_everything() -> None:
    x = np.ones((2, 3), np.float32)
    layer = layers.Dropout(1.0)
    y, cache = layer.forward(x, training=True)
    assert not y.any()
    assert not layer.backward(x, cache)[0].any()


# -- costs and fields ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape", "formula", "multiply_adds"),
    [
        (layers.Conv2D(32, 3), (None, 8, 7, 3), "(3·3·3+1)·32", 6 * 5 * 27 * 32),
        (layers.Conv2D(6, 3, 2, "same", groups=2), (None, 8, 7, 4), "(3·3·2+1)·6", 16 * 18 * 6),
        (layers.Conv2D(2, (1, 2), use_bias=False), (None, 2, 2, 5), "(1·2·5)·2", 2 * 10 * 2),
        (
            layers.DepthwiseConv2D(3, depth_multiplier=2),
            (None, 5, 5, 4),
            "(3·3+1)·4·2",
            9 * 9 * 8,
        ),
        (
            layers.SeparableConv2D(16, 3, padding="same"),
            (None, 5, 5, 4),
            "3·3·4 + (4+1)·16",
            25 * (36 + 64),
        ),
        (layers.Dense(10), (None, 128), "(128+1)·10", 1280),
        (layers.BatchNormalization(), (None, 5, 5, 7), "4·7", None),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_parameters_and_multiply_adds_by_hand(
    layer: Any, shape: tuple[Any, ...], formula: str, multiply_adds: int | None
) -> None:
    layer.build(shape)
    layer.built = True
    assert layer.parameter_formula() == formula
    if multiply_adds is not None:
        assert layer.multiply_adds(shape) == multiply_adds


def test_an_unknown_size_costs_an_unknown_amount() -> None:
    layer = layers.Conv2D(4, 3)
    layer(layers.Input((None, None, 3)))
    assert layer.multiply_adds((None, None, None, 3)) is None
    assert layer.compute_output_shape((None, None, 9, 3)) == (None, None, 7, 4)


# -- bad options -----------------------------------------------------------------------------------

BAD_OPTIONS: list[tuple[Callable[[], Any], str]] = [
    (lambda: layers.Conv2D(0, 3), "filters to be an integer >= 1. Received 0"),
    (lambda: layers.Conv2D(-4, 3), "filters .*Received -4"),
    (lambda: layers.Conv2D(2.5, 3), "filters .*Received 2.5"),
    (lambda: layers.Conv2D(True, 3), "filters .*Received True"),
    (lambda: layers.Conv2D(4, 0), "kernel_size .*Received 0"),
    (lambda: layers.Conv2D(4, (3, -1)), r"kernel_size .*Received \(3, -1\)"),
    (lambda: layers.Conv2D(4, (3, 3, 3)), r"kernel_size .*Received \(3, 3, 3\)"),
    (lambda: layers.Conv2D(4, "3"), "kernel_size .*Received '3'"),
    (lambda: layers.Conv2D(4, 3, strides=0), "strides .*Received 0"),
    (lambda: layers.Conv2D(4, 3, padding="full"), 'padding .*"valid", "same".*Received \'full\''),
    (lambda: layers.Conv2D(4, 3, dilation_rate=0), "dilation_rate .*Received 0"),
    (lambda: layers.Conv2D(4, 3, strides=2, dilation_rate=2), "strides or dilation_rate to be 1"),
    (lambda: layers.Conv2D(4, 3, groups=3), "groups"),
    (lambda: layers.Conv2D(4, 3, groups=0), "groups .*Received 0"),
    (lambda: layers.Conv2D(4, 3, activation="rleu"), "activation .*\"relu\".*Received 'rleu'"),
    (lambda: layers.Conv2D(4, 3, activation=3), "activation .*Received 3"),
    (lambda: layers.Conv2D(4, 3, activaton="relu"), 'argument "activaton". Did you mean "activat'),
    (lambda: layers.Conv2D(4, 3, frobnicate=1), 'argument "frobnicate". It takes filters, kernel'),
    (
        lambda: layers.Conv2D(4, 3, kernel_regularizer="l2"),
        "Use weight_decay .*Dropout",
    ),
    (lambda: layers.Dense(4, bias_constraint=1), "Use a LambdaCallback.on_train_batch_end"),
    (lambda: layers.Dense(4, input_dim=8), r"Use input_shape=\(size,\)"),
    (lambda: layers.Conv2D(4, 3, data_format="channels_first"), "channels_last.*channels_first"),
    (lambda: layers.Conv2D(4, 3, kernel_initializer="he"), "initializer .*he_normal.*'he'"),
    (lambda: layers.Conv2D(4, 3, name=""), "name to be a non-empty string"),
    (lambda: layers.Conv2D(4, 3, name="a/b"), "name .*a/b"),
    (lambda: layers.Conv2D(4, 3, dtype="float16"), "dtype must be .*float16"),
    (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0), "depth_multiplier .*Received 0"),
    (lambda: layers.SeparableConv2D(0, 3), "filters .*Received 0"),
    (lambda: layers.Dense(0), "units .*Received 0"),
    (lambda: layers.Dense("ten"), "units .*Received 'ten'"),
    (lambda: layers.Dense(3, activation="swoosh"), "activation .*swoosh"),
    (lambda: layers.MaxPooling2D(0), "pool_size .*Received 0"),
    (lambda: layers.MaxPooling2D(2, strides=-1), "strides .*Received -1"),
    (lambda: layers.MaxPooling2D(2, padding=1), "padding .*Received 1"),
    (lambda: layers.AveragePooling2D((2, 0)), r"pool_size .*Received \(2, 0\)"),
    (lambda: layers.GlobalAveragePooling2D("channels_first"), "channels_last"),
    (lambda: layers.BatchNormalization(momentum=1.5), r"momentum in \[0, 1\].*1.5"),
    (lambda: layers.BatchNormalization(epsilon=0), "epsilon > 0.*epsilon=0"),
    (lambda: layers.BatchNormalization(axis="last"), "axis to be an integer. Received 'last'"),
    (lambda: layers.Dropout(1.5), r"rate in \[0, 1\]. Received 1.5"),
    (lambda: layers.Dropout(-0.1), "rate .*Received -0.1"),
    (lambda: layers.Dropout("half"), "rate .*Received 'half'"),
    (lambda: layers.ReLU(max_value=-1), "max_value .*Received -1"),
    (lambda: layers.ReLU(negative_slope=None), "negative_slope .*Received None"),
    (lambda: layers.Softmax(axis=1), "axis=-1, the only one supported. Received 1"),
    (lambda: layers.Activation("wave"), "activation .*wave"),
    (lambda: layers.Reshape((0, 3)), "target_shape .*Received 0"),
    (lambda: layers.Reshape((-1, -1)), "at most one -1"),
    (lambda: layers.ZeroPadding2D(-1), "padding .*Received -1"),
    (lambda: layers.ZeroPadding2D((1, 2, 3)), "padding .*Received"),
    (lambda: layers.UpSampling2D(0), "size .*Received 0"),
    (lambda: layers.UpSampling2D((2, 2, 2)), r"size .*Received \(2, 2, 2\)"),
    (lambda: layers.UpSampling2D(interpolation="bilinear"), "=\"nearest\".*Received 'bilinear'"),
    (lambda: layers.UpSampling2D(interpolation=None), 'interpolation="nearest".*Received None'),
    (lambda: layers.UpSampling2D(data_format="channels_first"), "channels_last.*channels_first"),
    (lambda: layers.Concatenate(axis=1.0), "axis to be an integer"),
    (lambda: layers.Rescaling("x"), "scale .*Received 'x'"),
    (lambda: layers.Rescaling(1.0, offset=None), "offset .*Received None"),
    (lambda: layers.Flatten(data_format="channels_first"), "channels_last"),
    (lambda: layers.Input(), "shape=.*Received shape=None"),
    (lambda: layers.Input(32), "shape to be a tuple .*Received 32"),
    (lambda: layers.Input((0, 3)), "Input.*Received 0"),
    (lambda: layers.Input((-2, 3)), "Input.*Received -2"),
]


@pytest.mark.parametrize(("make", "message"), BAD_OPTIONS, ids=[m for _, m in BAD_OPTIONS])
def test_a_bad_option_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def x(*shape: int) -> Array:
    return np.zeros(shape, np.float32)


def shown(layer: Any, *shape: int) -> Any:
    """The layer, built on an input of this shape."""
    layer(x(*shape))
    return layer


BAD_INPUTS: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: shown(layers.Conv2D(2, 3, name="conv1"), 2, 8, 8, 3)(x(2, 8, 8, 4)),
        r'Conv2D "conv1" expects 3 input channels\. Received x\.shape=\(2, 8, 8, 4\)\.',
    ),
    (lambda: shown(layers.Conv2D(2, 3), 1, 8, 8, 3)(x(1, 3, 8, 8)), "3 input channels.*3, 8, 8"),
    (lambda: layers.Conv2D(2, 3)(x(8, 8, 3)), r"4 dimensions.*Received x\.shape=\(8, 8, 3\)"),
    (lambda: layers.Conv2D(2, 9)(x(1, 8, 8, 3)), "at least 9x9 pixels.*Received 8x8"),
    (lambda: layers.Conv2D(2, 5, dilation_rate=2)(x(1, 8, 8, 3)), "at least 9x9.*Received 8x8"),
    (lambda: layers.Conv2D(2, 3, groups=2)(x(1, 8, 8, 3)), "groups"),
    (lambda: layers.DepthwiseConv2D(9)(x(1, 8, 8, 3)), "at least 9x9"),
    (lambda: shown(layers.DepthwiseConv2D(3), 1, 8, 8, 3)(x(1, 8, 8, 2)), "3 input channels"),
    (lambda: shown(layers.SeparableConv2D(2, 3), 1, 8, 8, 3)(x(1, 8, 8, 2)), "3 input channels"),
    (lambda: layers.MaxPooling2D(9)(x(1, 8, 8, 3)), "at least 9x9 pixels.*Received 8x8"),
    (lambda: layers.AveragePooling2D(9)(x(1, 8, 8, 3)), "at least 9x9 pixels.*Received 8x8"),
    (lambda: layers.MaxPooling2D()(x(8, 8)), "4 dimensions"),
    (lambda: layers.UpSampling2D()(x(8, 8)), "4 dimensions"),
    (lambda: layers.GlobalAveragePooling2D()(x(2, 8)), "4 dimensions"),
    (lambda: layers.GlobalMaxPooling2D()(x(2, 0, 8, 3)), "Received"),
    (lambda: layers.Dense(3)(x(4)), r"\(batch, \.\.\., features\)"),
    (lambda: shown(layers.Dense(3), 2, 5)(x(2, 6)), "expects 5.*6|Received.*6"),
    (lambda: shown(layers.BatchNormalization(), 2, 5)(x(2, 6)), "5 channels.*6"),
    (lambda: layers.BatchNormalization(axis=1)(x(2, 8, 8, 3)), "axis=-1.*axis=1"),
    (lambda: layers.Add()([x(2, 3)]), "at least 2 inputs. Received 1"),
    (lambda: layers.Add()([x(2, 3), x(2, 4)]), "one shape|Received"),
    (lambda: layers.Add()(x(2, 3)), "list of arrays. Received ndarray"),
    (lambda: layers.Concatenate()([x(2, 3, 3, 1), x(2, 3, 4, 1)]), "last axis"),
    (lambda: layers.Concatenate(axis=1)([x(2, 3, 3, 1)] * 2), "axis=-1.*axis=1"),
    (lambda: layers.Reshape((4, 4))(x(2, 15)), r"target_shape=\(4, 4\).*\(2, 15\)"),
    (lambda: layers.Rescaling([1.0, 2.0])(x(1, 3)), r"scale for 2 channels.*\(1, 3\)"),
    (lambda: layers.Dropout(0.5, (1, 2))(x(3, 4), training=True), "noise_shape"),
    (lambda: layers.Conv2D(2, 3)(layers.Input((None, None, None))), "known number of channels"),
    (lambda: layers.Conv2D(2, 3)(layers.Input((8,))), "4 dimensions"),
    (lambda: layers.Dense(3)(layers.Input((None,))), "known number of channels"),
    (lambda: layers.Dense(3)(x(2, 0)), r'Dense "dense" expects at least one .* \(2, 0\)'),
    (lambda: layers.Conv2D(3, 1)(x(1, 4, 4, 0)), r"at least one channel .* \(1, 4, 4, 0\)"),
    (lambda: layers.BatchNormalization()(x(2, 0)), r"at least one channel .* \(2, 0\)"),
    (lambda: layers.Add()([x(2, 3), layers.Input((3,))]), "symbols or arrays, not both"),
    (lambda: layers.Dense(3)([layers.Input((3,)), layers.Input((3,))]), "one input. Received 2"),
    (lambda: np.asarray(layers.Input((3,))), "a symbol without values"),
    (lambda: layers.Dense(2).count_params(), "no weights yet"),
    (
        lambda: shown(layers.Dense(2, name="d"), 1, 3).backward(x(1, 2), None),
        'Dense "d" expects the cache that its forward returned. Received NoneType',
    ),
    (lambda: layers.ReLU().backward(x(1, 2), {}), "expects the cache .* Received dict"),
    (
        lambda: layers.ReLU().backward(x(1, 2), layers.Flatten(name="f").forward(x(1, 2))[1]),
        'expects the cache .* Received that of Flatten "f"',
    ),
    (lambda: shown(layers.Dense(2), 1, 3).set_weights([x(3, 2)]), "2 weight arrays. Received 1"),
    (lambda: shown(layers.Dense(2), 1, 3).set_weights([x(2, 3), x(2)]), r"\(3, 2\).*\(2, 3\)"),
    (lambda: layers.Dense(2, kernel_initializer=lambda s, d: x(1))(x(1, 3)), "initializer"),
]


@pytest.mark.parametrize(("use", "message"), BAD_INPUTS, ids=[m for _, m in BAD_INPUTS])
def test_an_input_that_does_not_fit_is_refused(use: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        use()


def test_set_weights_changes_nothing_when_it_refuses() -> None:
    layer = shown(layers.Dense(2), 1, 3)
    before = layer.get_weights()
    for bad in ([x(3, 2), x(3)], [x(3, 2), np.array(["a", "b"])], [x(3, 2), [None, 1]]):
        with pytest.raises((ValueError, TypeError)):
            layer.set_weights(bad)
        for found, expected in zip(layer.get_weights(), before, strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("layer", "config_", "message"),
    [
        ("Dense", {"units": 2, "lora_rank": 4}, "lora_rank=4.*takes .*units"),
        ("DepthwiseConv2D", {"kernel_size": 3, "groups": 2}, "groups=2"),
        ("SeparableConv2D", {"filters": 2, "kernel_size": 3, "groups": 3}, "groups=3"),
        ("BatchNormalization", {"renorm": True}, "renorm=True"),
        ("BatchNormalization", {"mode": 1}, "mode=1"),
        ("Dropout", {"rate": 0.5, "data_format": "channels_first"}, "data_format='channels_first'"),
        ("UpSampling2D", {"interpolation": "bilinear"}, "=\"nearest\".*Received 'bilinear'"),
    ],
)
def test_a_config_with_what_changes_the_output_is_refused(
    layer: str, config_: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        LAYERS[layer].from_config(config_)


NEUTRAL: list[tuple[str, dict[str, Any]]] = [
    ("Dense", {"lora_rank": None, "quantization_config": None, "autocast": True}),
    ("Dense", {"bias_regularizer": {"class_name": "L2", "config": {"l2": 0.0}}}),
    ("Dense", {"kernel_regularizer": {"class_name": "L1L2", "config": {"l1": 0, "l2": 0.0}}}),
    ("Dense", {"activity_regularizer": None, "kernel_constraint": None, "dynamic": False}),
    ("DepthwiseConv2D", {"groups": 1, "kernel_initializer": "glorot_uniform"}),
    ("SeparableConv2D", {"groups": 1, "kernel_initializer": {"class_name": "Orthogonal"}}),
    ("BatchNormalization", {"fused": True, "virtual_batch_size": None, "adjustment": None}),
    ("BatchNormalization", {"renorm": False, "renorm_clipping": {}, "renorm_momentum": 0.99}),
    ("BatchNormalization", {"synchronized": True, "mode": 0, "gamma_regularizer": None}),
    ("InputLayer", {"sparse": False, "ragged": False, "optional": False}),
]
NEEDED = {
    "Dense": {"units": 2},
    "DepthwiseConv2D": {"kernel_size": 3},
    "SeparableConv2D": {"filters": 2, "kernel_size": 3},
    "InputLayer": {"batch_shape": [None, 3]},
}


@pytest.mark.parametrize(("layer", "config_"), NEUTRAL)
def test_a_setting_at_its_neutral_value_is_no_setting(layer: str, config_: dict[str, Any]) -> None:
    plain = {"name": "it", **NEEDED.get(layer, {})}
    made = LAYERS[layer].from_config(plain | config_)
    assert made.get_config() == LAYERS[layer].from_config(plain).get_config()
    assert made.lacking() == []


def test_what_only_training_heeds_is_carried_along() -> None:
    asked: dict[str, Any] = {
        "kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.25}},
        "bias_regularizer": "l1",
        "kernel_constraint": {"class_name": "MaxNorm", "config": {"max_value": 2, "axis": 0}},
        "activity_regularizer": {"class_name": "L1L2", "config": {"l1": 0.5, "l2": 0.0}},
        "kernel_initializer": {"class_name": "Orthogonal", "config": {"gain": 1.0, "seed": None}},
        "bias_initializer": {"class_name": "MyZeros", "config": {"a": 1}},
    }
    layer = layers.Dense.from_config({"name": "it", "units": 2, **asked})
    assert {key: layer.get_config()[key] for key in asked} == asked
    assert layers.Dense.from_config(layer.get_config()).get_config() == layer.get_config()
    assert layer.lacking() == [
        ("kernel_regularizer=L2(l2=0.25)", "it"),
        ("bias_regularizer='l1'", "it"),
        ("kernel_constraint=MaxNorm(max_value=2, axis=0)", "it"),
        ("activity_regularizer=L1L2(l1=0.5, l2=0)", "it"),
    ]
    with pytest.raises(ValueError, match=r"does not have the initializer Orthogonal.*new weig"):
        layer.build((None, 3))


def test_keras_2_s_other_name_of_a_distribution() -> None:
    start = {"class_name": "VarianceScaling", "config": {"scale": 2.0, "distribution": "normal"}}
    layer = layers.Dense.from_config({"units": 40, "kernel_initializer": start})
    layer.build((None, 50))
    assert np.std(layer.kernel.numpy()) == pytest.approx(np.sqrt(2 / 50), rel=0.1)
    assert layer.get_config()["kernel_initializer"]["config"]["distribution"] == "truncated_normal"


@pytest.mark.parametrize(
    ("layer", "config_", "message"),
    [
        ("Conv2D", {"filters": 2, "kernel_size": 3, "kernel_initializer": 5}, "initia"),
        ("Dense", {"units": 2, "dtype": "float16"}, "dtype must be"),
        ("Conv2D", {"filters": 2}, "kernel_size"),
    ],
)
def test_a_config_that_is_refused_names_its_layer(
    layer: str, config_: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f'{layer} "mine": .*{message}'):
        LAYERS[layer].from_config({"name": "mine", **config_})


def test_room_for_a_file_s_weights_is_a_matter_of_its_thread() -> None:
    """While one thread loads a model, the layers of another get initial values."""
    with weight_budget(10), ThreadPoolExecutor(1) as thread:
        layer = layers.Dense(50)
        thread.submit(layer.build, (None, 50)).result()
        with pytest.raises(ValueError, match="too small for its model"):
            layers.Dense(50).build((None, 50))
    limit = np.sqrt(6 / 100)
    assert limit / 2 < np.abs(layer.get_weights()[0]).max() <= limit


def test_floatx_is_the_dtype_of_new_layers() -> None:
    config.set_floatx("float64")
    layer = layers.Dense(2)
    assert layer(x(1, 3)).dtype == np.float64
    assert layer.get_weights()[0].dtype == np.float64
    with pytest.raises(ValueError, match="float16"):
        config.set_floatx("float16")
    assert config.floatx() == "float64"


def test_second_names_are_the_same_layers() -> None:
    for second, first in {
        "AvgPool2D": "AveragePooling2D",
        "MaxPool2D": "MaxPooling2D",
        "GlobalAvgPool2D": "GlobalAveragePooling2D",
        "GlobalMaxPool2D": "GlobalMaxPooling2D",
        "Convolution2D": "Conv2D",
        "SeparableConvolution2D": "SeparableConv2D",
        "DepthwiseConvolution2D": "DepthwiseConv2D",
    }.items():
        assert getattr(layers, second) is getattr(layers, first)


def test_the_cache_shows_what_the_pass_kept() -> None:
    x = np.array([[1.0, 2.0]], np.float32)
    layer = layers.Dense(3, activation="relu")
    y, cache = layer.forward(x)
    assert set(cache) == {"x", "z", "y", "layer", "output_shape"}
    assert len(cache) == 5
    np.testing.assert_array_equal(cache["x"], x)
    np.testing.assert_array_equal(np.maximum(cache["z"], 0), cache["y"])
    np.testing.assert_array_equal(cache["y"], y)
    with pytest.raises(TypeError, match="item assignment"):
        cache["x"] = None
    with pytest.raises(KeyError, match="argmax"):
        cache["argmax"]
    assert "z" not in layers.Dense(3).forward(x)[1]  # y itself is z


def test_backward_goes_through_the_activation_that_forward_applied() -> None:
    x = np.array([[1.0, 2.0]], np.float32)
    layer = layers.Dense(3, activation="sigmoid")
    y, cache = layer.forward(x)
    expected, _ = layer.backward(np.ones_like(y), cache)
    for later in (None, "relu"):
        layer.activation = later
        np.testing.assert_array_equal(layer.backward(np.ones_like(y), cache)[0], expected)
    _, cache = layers.Dense(3).forward(x)
    cache.layer.activation = "sigmoid"
    assert cache.layer.backward(np.ones_like(y), cache)[0].shape == x.shape


def test_build_by_hand_keeps_the_weights_that_are_set() -> None:
    x = np.ones((1, 4, 4, 3), np.float32)
    layer = layers.Conv2D(2, 3)
    layer.build(x.shape)
    assert layer.built
    layer.set_weights([np.ones((3, 3, 3, 2)), np.array([1.0, 2.0])])
    np.testing.assert_array_equal(layer(x)[0, 0, 0], [28, 29])


@pytest.mark.parametrize(
    ("noise_shape", "same"),
    [((None, 1, 1, 5), (1, 2)), ([6, 1, 1, 1], (1, 2, 3)), ((1, None, 4, 5), (0,)),
     (np.array([6, 4, 4, 1]), (3,))],
)  # fmt: skip
def test_dropout_drops_neighbours_together(noise_shape: Any, same: tuple[int, ...]) -> None:
    layer = layers.Dropout(0.5, noise_shape=noise_shape, seed=1)
    x = np.ones((6, 4, 4, 5), np.float32)
    y, cache = layer.forward(x, training=True)
    assert set(np.unique(y)) == {0, 2}
    assert (y.max(axis=same) == y.min(axis=same)).all()
    np.testing.assert_array_equal(layer.backward(x, cache)[0], y)
    json.dumps(layer.get_config())


def test_a_noise_shape_that_cannot_be() -> None:
    for wrong in ("abc", 3, (2.0, 1), (0, 1), (-1, 1), (None, "a"), True):
        with pytest.raises(ValueError, match=r'Dropout "d" expects .*noise_shape'):
            layers.Dropout(0.5, noise_shape=wrong, name="d")


def test_input_takes_the_batch_in_one_place() -> None:
    assert layers.Input((3,), batch_size=2).shape == layers.Input(batch_shape=(2, 3)).shape
    for wrong in ({"batch_size": 2, "batch_shape": (2, 3)}, {"shape": (3,), "batch_shape": (2, 3)}):
        with pytest.raises(ValueError, match=r"batch_shape, which has both.*Received"):
            layers.Input(**wrong)
    assert layers.Input((3,), sparse=False, optional=None).shape == (None, 3)
    with pytest.raises(ValueError, match='does not take the argument "sparse"'):
        layers.Input((3,), sparse=True)


@pytest.mark.parametrize("name", ["a/b", "a\0b", "", 3, None])
def test_a_name_is_checked_when_it_is_assigned_too(name: Any) -> None:
    layer = layers.Dense(2, name="fine")
    with pytest.raises(ValueError, match="Dense expects name to be a non-empty string"):
        layer.name = name
    assert layer.name == "fine"
    layer.name = "another"
    assert layer.label == 'Dense "another"'


def test_thawing_a_layer_thaws_weights_that_were_frozen_alone() -> None:
    layer = layers.BatchNormalization()
    layer.build((None, 3))
    layer.gamma.trainable = False
    assert [v.name for v in layer.trainable_weights] == ["beta"]
    layer.trainable = True
    assert [v.name for v in layer.trainable_weights] == ["gamma", "beta"]


@pytest.mark.parametrize(
    ("layer", "setting", "neutral", "other"),
    [
        (layers.DepthwiseConv2D(3), "groups", 1, 3),
        (layers.Conv2D(2, 3), "depth_multiplier", 1, 2),
        (layers.BatchNormalization(), "mode", 0, 2),
        (layers.Softmax(), "data_format", "channels_last", "channels_first"),
        (layers.Dense(2), "unheard_of", None, 0.5),
    ],
)
def test_a_file_s_setting_is_passed_over_where_it_is_neutral_alone(
    layer: layers.Layer, setting: str, neutral: Any, other: Any
) -> None:
    config = layer.get_config()
    again = type(layer).from_config({**config, setting: neutral})
    assert again.get_config() == config
    assert not again.carried
    with pytest.raises(ValueError, match=f"has {setting}={other!r}, which minicnn does not supp"):
        type(layer).from_config({**config, setting: other})


def test_the_layer_of_one_s_own_in_the_docstring() -> None:
    """It runs as it stands there, has the right gradient, and says what it lacks when it does."""
    assert base.__doc__
    text = "    class Scale" + base.__doc__.split("    class Scale")[1].split("\n`forward`")[0]
    found: dict[str, Any] = {"Layer": layers.Layer}
    exec(textwrap.dedent(text), found)
    layer = found["Scale"]()
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    assert explain.gradcheck(layer, x).passed
    with pytest.raises(NotImplementedError, match=r"Half has no compute\(self, x, training\)"):
        type("Half", (layers.Layer,), {})()(x)
    with pytest.raises(TypeError, match=r"Old\._forward is called compute now"):
        type("Old", (layers.Layer,), {"_forward": None})
