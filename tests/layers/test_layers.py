"""All layers keep one contract."""

import json
import re
import textwrap
from typing import Any, NamedTuple

import numpy as np
import pytest
from gradients import check_gradients, distinct_values
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_uses import as_list

import minicnn
from minicnn import explain, layers, utils
from minicnn.graph.program import Program
from minicnn.layers import LAYERS, base

Array = np.ndarray


# -- one contract ----------------------------------------------------------------------------------


class Use(NamedTuple):
    """A layer, its options, the shape of an input, and how many `inputs` of that shape it takes."""

    layer: str
    options: dict[str, Any]
    shape: tuple[int, ...] = (2, 6, 5, 4)
    inputs: int = 1


LINES = (2, 7, 4)  # batch, steps, channels
COLOURS = (2, 6, 5, 3)  # red, green and blue
USES = [
    Use("Conv2D", {"filters": 3, "kernel_size": 3}),
    Use("Conv2D", {"filters": 4, "kernel_size": (2, 3), "strides": 2, "padding": "same"}),
    Use("Conv2D", {"filters": 4, "kernel_size": 2, "groups": 2, "activation": "relu"}),
    Use("Conv2D", {"filters": 2, "kernel_size": 2, "dilation_rate": 2, "activation": "tanh"}),
    Use("Conv2D", {"filters": 3, "kernel_size": 1, "use_bias": False, "activation": "sigmoid"}),
    Use("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}),
    Use("Conv2DTranspose", {"filters": 2, "kernel_size": (2, 3), "activation": "relu"}),
    Use("Conv2DTranspose", {"filters": 2, "kernel_size": 2, "strides": 3, "use_bias": False}),
    Use("Conv2DTranspose", {"filters": 2, "kernel_size": 4, "strides": 2, "output_padding": 1}),
    Use("Conv2DTranspose", {"filters": 9, "kernel_size": 3, "padding": "same"}, (2, 6, 5, 9)),
    Use("Conv2DTranspose", {"filters": 2, "kernel_size": 2, "dilation_rate": 2}),
    Use("Conv1D", {"filters": 3, "kernel_size": 3, "padding": "causal"}, LINES),
    Use("Conv1D", {"filters": 4, "kernel_size": 3, "strides": 2, "groups": 2}, LINES),
    Use(
        "Conv1D", {"filters": 2, "kernel_size": 2, "dilation_rate": 2, "activation": "relu"}, LINES
    ),
    Use("Conv1D", {"filters": 2, "kernel_size": 1, "padding": "causal", "use_bias": False}, LINES),
    Use("DepthwiseConv1D", {"kernel_size": 3, "padding": "same", "activation": "relu6"}, LINES),
    Use("SeparableConv1D", {"filters": 3, "kernel_size": 2, "depth_multiplier": 2}, LINES),
    Use("Conv1DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2}, LINES),
    Use("MaxPooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}, LINES),
    Use("AveragePooling1D", {"pool_size": 3, "padding": "same"}, LINES),
    Use("AdaptiveAveragePooling1D", {"output_size": 4}, LINES),
    Use("AdaptiveMaxPooling1D", {"output_size": 4}, LINES),
    Use("GlobalMaxPooling1D", {}, LINES),
    Use("GlobalAveragePooling1D", {"keepdims": True}, LINES),
    Use("UpSampling1D", {"size": 3}, LINES),
    Use("ZeroPadding1D", {"padding": (2, 0)}, LINES),
    Use("Cropping1D", {"cropping": (2, 0)}, LINES),
    Use("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2}),
    Use("DepthwiseConv2D", {"kernel_size": 2, "use_bias": False, "activation": "relu6"}),
    Use("SeparableConv2D", {"filters": 3, "kernel_size": 3, "activation": "softmax"}),
    Use("SeparableConv2D", {"filters": 3, "kernel_size": 2, "strides": 2, "use_bias": False}),
    Use("Dense", {"units": 3, "activation": "softmax"}, (2, 5)),
    Use("Dense", {"units": 2, "use_bias": False}, (2, 3, 5)),
    Use("ActivityRegularization", {"l1": 0.1, "l2": 0.2}),
    Use("ReLU", {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}),
    Use("Activation", {"activation": "relu6"}),
    Use("Activation", {"activation": "tanh"}),
    Use("Activation", {"activation": "linear"}),
    Use("Activation", {"activation": "silu"}),
    Use("Activation", {"activation": "log_softmax"}),
    Use("Activation", {"activation": "gelu"}, (2, 5)),
    Use("Softmax", {}, (3, 4)),
    Use("Softmax", {"axis": 1}),
    Use("LeakyReLU", {}),
    Use("LeakyReLU", {"negative_slope": 0.1}, (2, 5)),
    Use("ELU", {"alpha": 0.5}),
    Use("PReLU", {}, (2, 3, 4)),
    Use("PReLU", {"shared_axes": [1, 2]}),
    Use("Conv2D", {"filters": 3, "kernel_size": 2, "activation": "hard_silu"}),
    Use("MaxPooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}),
    Use("AveragePooling2D", {"pool_size": (2, 3), "padding": "same"}),
    Use("AdaptiveAveragePooling2D", {"output_size": (3, 2)}),
    Use("AdaptiveAveragePooling2D", {"output_size": 1}),
    Use("AdaptiveMaxPooling2D", {"output_size": (3, 2)}),
    Use("GlobalAveragePooling2D", {}),
    Use("GlobalAveragePooling2D", {"keepdims": True}),
    Use("GlobalMaxPooling2D", {}),
    Use("GlobalMaxPooling2D", {"keepdims": True}),
    Use("BatchNormalization", {}),
    Use("BatchNormalization", {"center": False, "scale": False}, (3, 4)),
    Use("Normalization", {}),
    Use("Normalization", {"axis": (1, 3), "invert": True}),
    Use("Normalization", {"axis": None, "mean": 0.5, "variance": 4.0}, (3, 4)),
    Use("LayerNormalization", {}),
    Use("LayerNormalization", {"axis": [1, -1], "epsilon": 0.5}),
    Use("LayerNormalization", {"center": False, "scale": False}, (2, 5)),
    Use("LayerNormalization", {"rms_scaling": True}, (2, 5)),
    Use("GroupNormalization", {"groups": 2}),
    Use("GroupNormalization", {"groups": -1, "scale": False}),
    Use("GroupNormalization", {"groups": 1, "center": False}, (2, 5)),
    Use("UnitNormalization", {}, (2, 5)),
    Use("UnitNormalization", {"axis": (1, 2)}),
    Use("Dropout", {"rate": 0.3}),
    Use("SpatialDropout1D", {"rate": 0.3}, (2, 6, 5)),
    Use("SpatialDropout2D", {"rate": 0.3}),
    Use("GaussianNoise", {"stddev": 0.2}),
    Use("GaussianDropout", {"rate": 0.3}),
    Use("AlphaDropout", {"rate": 0.3}),
    Use("AlphaDropout", {"rate": 0.3, "noise_shape": (None, 1, 5, 4)}),
    Use("RandomFlip", {}),
    Use("RandomFlip", {"mode": "horizontal"}),
    Use("RandomRotation", {"factor": 0.2}),
    Use("RandomRotation", {"factor": (-0.5, 0.1), "fill_mode": "wrap"}),
    Use("RandomTranslation", {"height_factor": 0.4, "width_factor": (0.1, 0.6)}),
    Use("RandomZoom", {"height_factor": 0.5, "fill_mode": "constant", "fill_value": 2.0}),
    Use("RandomZoom", {"height_factor": 0.5, "width_factor": 0.1, "interpolation": "nearest"}),
    Use("RandomCrop", {"height": 4, "width": 3}),
    Use("RandomCrop", {"height": 7, "width": 4}),
    Use("RandomShear", {"x_factor": 0.4, "y_factor": (0.1, 0.3)}),
    Use("RandomErasing", {"scale": 0.5, "fill_value": 0.5}),
    Use("RandomErasing", {"factor": (0.5, 1.0), "value_range": (-1, 1)}),
    Use("RandomGaussianBlur", {"kernel_size": (3, 5), "value_range": (-100, 100)}),
    Use("RandomSharpness", {"factor": 0.9, "value_range": (-100, 100)}),
    Use("RandomGrayscale", {"factor": 0.5}, COLOURS),
    Use("RandomColorDegeneration", {"factor": (-0.5, 0.9), "value_range": (-100, 100)}, COLOURS),
    Use("RandomHue", {"factor": 0.5, "value_range": (-100, 100)}, COLOURS),
    Use("RandomSaturation", {"factor": (0.4, 0.6), "value_range": (0, 1)}, COLOURS),
    Use("RandomInvert", {"value_range": (-1, 1)}),
    Use("RandomPosterization", {"factor": 4, "value_range": (-4, 4)}),
    Use("Solarization", {"addition_factor": 0.2, "threshold_factor": 0.9, "value_range": (-9, 9)}),
    Use("AutoContrast", {"value_range": (-2, 2)}),
    Use("Equalization", {"bins": 9, "value_range": (-4, 4)}),
    Use("RandomColorJitter", {"brightness_factor": 0.1, "value_range": (-100, 100)}, COLOURS),
    Use("RandomColorJitter", {"hue_factor": 0.1, "contrast_factor": 0.5}, COLOURS),
    Use("RandAugment", {"factor": 0.1, "value_range": (-100, 100)}, COLOURS),
    Use("RandomContrast", {"factor": (0.9, 0.5), "value_range": (-100, 100)}),
    Use("RandomContrast", {"factor": 0.9, "value_range": (-1.25, 1.25)}),
    Use("RandomBrightness", {"factor": 0.9, "value_range": (-1.25, 1.25)}),
    Use("MixUp", {"alpha": 0.8}),
    Use("CutMix", {}),
    Use("CutMix", {"factor": (0.5, 1.0)}),
    Use("Identity", {}),
    Use("Flatten", {}),
    Use("Reshape", {"target_shape": (4, -1)}),
    Use("ZeroPadding2D", {"padding": ((0, 1), (2, 0))}),
    Use("UpSampling2D", {"size": (2, 3)}),
    Use("UpSampling2D", {"size": 1, "interpolation": "Nearest"}),
    Use("UpSampling2D", {"size": (2, 3), "interpolation": "bilinear"}),
    Use("UpSampling2D", {"interpolation": "lanczos3"}),
    Use("Resizing", {"height": 4, "width": 7}),
    Use("Resizing", {"height": 9, "width": 3, "interpolation": "bicubic", "antialias": True}),
    Use("Resizing", {"height": 4, "width": 2, "crop_to_aspect_ratio": True}),
    Use("Resizing", {"height": 8, "width": 3, "pad_to_aspect_ratio": True, "fill_value": 0.5}),
    Use("CenterCrop", {"height": 4, "width": 2}),
    Use("CenterCrop", {"height": 7, "width": 2}),
    Use("Cropping2D", {"cropping": ((1, 0), (2, 1))}),
    Use("Permute", {"dims": (3, 1, 2)}),
    Use("RepeatVector", {"n": 3}, (2, 5)),
    Use("Rescaling", {"scale": 0.5, "offset": -1.0}),
    Use("Rescaling", {"scale": [0.5, 1.0, 2.0, 4.0], "offset": [1.0, 2.0, 3.0, 4.0]}),
    Use("Add", {}, inputs=3),
    Use("Multiply", {}, inputs=3),
    Use("Subtract", {}, inputs=2),
    Use("Average", {}, (2, 5), inputs=3),
    Use("Maximum", {}, inputs=2),
    Use("Minimum", {}, inputs=2),
    Use("Concatenate", {}, inputs=2),
    Use("Dot", {"axes": 1}, (3, 4), inputs=2),
    Use("Dot", {"axes": (1, -2), "normalize": True}, (2, 3, 3), inputs=2),
]


def title(use: Use) -> str:
    return f"{use.layer}({', '.join(f'{k}={v}' for k, v in use.options.items())})"


every_use = pytest.mark.parametrize("use", USES, ids=title)
both_modes = pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])


def build(use: Use, dtype: str = "float32", **more: Any) -> tuple[Any, Any]:
    """Return (layer, x): the layer is built on x, and none of its weights is 0 or 1."""
    rng = np.random.default_rng(7)
    xs = list(distinct_values((use.inputs, *use.shape), rng).astype(dtype))  # no two are equal
    x: Any = xs if use.inputs > 1 else xs[0]
    layer = LAYERS[use.layer](**use.options, dtype=dtype, **more)
    layer.forward(x)
    weights = [rng.uniform(0.3, 1.2, v.shape) for v in layer.weights]
    layer.set_weights(weights)
    return layer, x


def gradient_like(y: Array, seed: int = 3) -> Array:
    return np.random.default_rng(seed).standard_normal(y.shape).astype(y.dtype)


@every_use
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_program_computes_what_the_layer_computes(use: Use, dtype: str) -> None:
    """They agree to the last bit, whether kernels or NumPy do the work."""
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
def test_gradients_agree_with_differences(use: Use, training: bool) -> None:
    """dx and all parameters' gradients agree in float64, through the layer's own methods."""
    layer, x = build(use, "float64")
    names = list(layer.params)
    statistics = [v for v in layer.weights if not v.trainable]
    kept = [v.numpy() for v in statistics]

    def run(arrays: tuple[Array, ...]) -> tuple[Array, Any]:
        # With the same mask and statistics each time, y depends on the arrays alone.
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
    # Neither pass writes to its arguments, and backward updates no weight.
    for array, copy in zip([*as_list(x), dy], [*copies, dy_copy], strict=True):
        np.testing.assert_array_equal(array, copy)
    for weight, before in zip(layer.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(weight, before)
    # A second call gives the same.
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

    layer, x = build(use)
    config_ = json.loads(json.dumps(layer.get_config()))
    copy = LAYERS[use.layer].from_config(config_)
    assert copy.name == layer.name
    copy.forward(x)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(x, training=False), layer(x, training=False))
    assert copy.get_config() == layer.get_config()


@every_use
def test_a_symbol_and_an_array_agree(use: Use) -> None:
    """The layer gives the same y in a graph, where the batch size is left open."""
    layer, x = build(use)
    symbols = [layers.Input(use.shape[1:]) for _ in range(use.inputs)]
    out = layer(symbols if use.inputs > 1 else symbols[0])
    y = layer(x, training=False)
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
def test_arrays_in_fortran_order(use: Use) -> None:
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
def test_anything_but_an_array_of_floats_is_refused(use: Use, bad: Any, error: type) -> None:
    layer, x = build(use)
    wrong = [bad(a) for a in as_list(x)]
    if layer.takes_integers and getattr(wrong[0], "dtype", None) == np.int64:
        expected = layer(wrong[0].astype(np.float32), training=False)
        np.testing.assert_array_equal(layer(wrong[0], training=False), expected)
        return
    with pytest.raises(error, match=re.escape(layer.label)) as raised:
        layer(wrong if use.inputs > 1 else wrong[0])
    assert "Received" in str(raised.value) or "expects" in str(raised.value)


# -- hypothesis over the options: a layer joins its functions rightly -----------------------------


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


@pytest.mark.slow
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
    """Return y, dx and the gradients, which `minicnn.naive` alone computes."""
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


# -- costs and caches ------------------------------------------------------------------------------


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
        (
            layers.Conv2DTranspose(6, 3, 2, use_bias=False),
            (None, 5, 4, 7),
            "(3·3·7)·6",
            20 * 9 * 7 * 6,
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
    layer = layers.Conv2DTranspose(4, 3, 2, "same", output_padding=0)
    layer(layers.Input((None, None, 3)))
    assert layer.multiply_adds((None, 5, None, 3)) is None
    assert layer.compute_output_shape((None, None, 9, 3)) == (None, None, 17, 4)


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


def test_the_docstring_s_example_of_a_layer_of_your_own() -> None:
    """It runs as written and has the right gradient; other layers say which method they lack."""
    assert base.__doc__
    text = "    class Scale" + base.__doc__.split("    class Scale")[1].split("\n`forward`")[0]
    found: dict[str, Any] = {"Layer": layers.Layer}
    exec(textwrap.dedent(text), found)
    layer = found["Scale"]()
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    assert explain.gradcheck(layer, x).passed
    with pytest.raises(NotImplementedError, match=r"Half has no compute\(self, x, training\)"):
        type("Half", (layers.Layer,), {})()(x)
    with pytest.raises(TypeError, match=r"Old\._forward is now called compute"):
        type("Old", (layers.Layer,), {"_forward": None})
