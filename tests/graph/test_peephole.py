"""Merged steps compute what the single steps computed, to the last bit."""

from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import Input, Model, layers
from minicnn.graph.program import Program

Array = np.ndarray


def labels(program: Program) -> list[str]:
    return [step.kernel.label for step in program.steps]  # type: ignore[union-attr]


def checked(model: Any, *shape: int) -> Program:
    """Return the program for this shape; assert that it computes what the network does."""
    form = model.form(training=False)
    for weight in model.weights:
        drawn = np.random.default_rng(len(weight.shape)).normal(size=weight.shape)
        weight.assign(np.abs(drawn) if "variance" in weight.name else drawn)
    x = np.random.default_rng(1).normal(size=shape).astype(model.inputs[0].dtype)
    program = Program(form.graph, [shape])
    expected = form.run(x)
    expected = expected if isinstance(expected, list) else [expected]
    for y, z in zip(program.run([x]), expected, strict=True):  # type: ignore[arg-type]
        assert y.std() > 0
        bits = f"u{y.itemsize}"  # 0 and -0 differ, too
        np.testing.assert_array_equal(y.view(bits), z.view(bits))
    return program


CONVOLUTIONS = {
    "depthwise.forward": lambda: layers.DepthwiseConv2D(3, strides=2, activation="relu"),
    "direct.forward": lambda: layers.Conv2D(5, (3, 2), strides=(2, 1)),
    "winograd.forward": lambda: layers.Conv2D(9, 3, activation="relu"),
    "winograd.transform_few": lambda: layers.Conv2D(70, 3),
    "convolution.im2col": lambda: layers.Conv2D(5, 2, dilation_rate=2),
}
BORDERS = [((0, 1), (0, 1)), ((2, 0), (1, 3)), ((3, 3), (3, 3)), ((0, 0), (0, 0))]


@pytest.mark.parametrize("padding", BORDERS)
@pytest.mark.parametrize("label", CONVOLUTIONS)
def test_a_border_of_zeros_is_not_written(label: str, padding: Any) -> None:
    inputs = Input((17, 14, 9))
    padded = layers.ZeroPadding2D(padding)(inputs)
    program = checked(Model(inputs, CONVOLUTIONS[label]()(padded)), 1, 17, 14, 9)
    assert label in labels(program)
    assert "copying.zero_padding" not in labels(program)


def test_a_border_that_is_needed_elsewhere_is_written() -> None:
    inputs = Input((9, 8, 3))
    padded = layers.ZeroPadding2D()(inputs)
    y = layers.Conv2D(4, 3, strides=2)(padded)
    for outputs in ([y, padded], [y, layers.MaxPooling2D()(padded)]):
        assert "copying.zero_padding" in labels(checked(Model(inputs, outputs), 2, 9, 8, 3))
    pooled = layers.AveragePooling2D(2)(padded)  # it does not take the border for padding
    assert "copying.zero_padding" in labels(checked(Model(inputs, pooled), 2, 9, 8, 3))


def separable(
    size: tuple[int, int, int], filters: int, dtype: str = "float32", **options: Any
) -> Model:
    inputs = Input(size, dtype=dtype)
    x = layers.DepthwiseConv2D(3, dtype=dtype, **options)(inputs)
    x = layers.BatchNormalization(dtype=dtype)(x)
    x = layers.ReLU(6.0, dtype=dtype)(x)
    x = layers.Conv2D(filters, 1, activation="relu", dtype=dtype)(x)
    return Model(inputs, x)


@pytest.mark.parametrize(
    ("size", "filters", "options"),
    [
        ((41, 43, 5), 7, {"padding": "same"}),
        ((40, 44, 32), 64, {}),
        ((79, 75, 16), 33, {"strides": 2, "padding": "same"}),
        ((43, 41, 130), 150, {"dilation_rate": (2, 3)}),
        ((45, 40, 3), 5, {"depth_multiplier": 2, "padding": "same"}),
        ((41, 43, 5), 7, {"padding": "same", "dtype": "float64"}),
        ((2000, 1, 4), 3, {"padding": "same"}),
        ((1, 2000, 4), 3, {"padding": "same"}),
    ],
)
@pytest.mark.parametrize("threads", [1, 3])
def test_a_depthwise_convolution_goes_into_the_product(
    size: tuple[int, int, int], filters: int, options: Any, threads: int
) -> None:
    before = minicnn.config.num_threads()
    minicnn.config.set_num_threads(threads)
    try:
        program = checked(separable(size, filters, **options), 2, *size)
    finally:
        minicnn.config.set_num_threads(before)
    assert "separable.forward" in labels(program)
    assert "matmul.product" not in labels(program)


def test_few_pixels_take_two_steps_to_occupy_all_threads() -> None:
    program = checked(separable((9, 9, 16), 24, padding="same"), 1, 9, 9, 16)
    assert labels(program) == ["depthwise.forward", "matmul.product"]


def test_a_dense_layer_of_all_pixels_is_not_merged() -> None:
    inputs = Input((4, 3, 5))
    x = layers.Flatten()(layers.DepthwiseConv2D(3, padding="same")(inputs))
    program = checked(Model(inputs, layers.Dense(6)(x)), 900, 4, 3, 5)
    assert labels(program) == ["depthwise.forward", "matmul.product"]


def test_a_result_that_is_needed_elsewhere_is_written() -> None:
    inputs = Input((41, 43, 5))
    h = layers.DepthwiseConv2D(3)(inputs)
    y = layers.Conv2D(7, 1)(h)
    program = checked(Model(inputs, [h, y]), 2, 41, 43, 5)
    assert labels(program) == ["depthwise.forward", "matmul.product"]


def test_a_relu_after_an_addition_makes_minus_zero_zero() -> None:
    """Where an instruction multiplies and adds, -1e-60 becomes -0; and -0 + -0 is -0."""
    inputs = Input((1, 1, 33))
    y = layers.Conv2D(33, 1, use_bias=False, name="product")(inputs)
    model = Model(inputs, layers.ReLU()(layers.Add()([y, inputs])))
    kernel = np.zeros((1, 1, 33, 33), np.float32)
    kernel[0, 0, -1] = -1e-30
    model.get_layer("product").set_weights([kernel])
    x = np.full((1, 1, 1, 33), -0.0, np.float32)
    x[..., -1] = 1e-30
    form = model.form(training=False)
    program = Program(form.graph, [x.shape])
    assert labels(program) == ["matmul.product"]
    (found,) = program.run([x])  # type: ignore[misc]
    np.testing.assert_array_equal(found.view("u4"), form.run(x).view("u4"))


def residual(
    size: tuple[int, int, int], filters: int, after: Any = None, dtype: str = "float32"
) -> Model:
    """Return a block as in ResNet, which adds its input to what a convolution computes."""
    inputs = Input(size, dtype=dtype)
    x = layers.Conv2D(filters, 1, dtype=dtype)(inputs)
    y = layers.Conv2D(filters, 1, dtype=dtype)(x)
    y = layers.BatchNormalization(dtype=dtype)(y)
    y = layers.Add(dtype=dtype)([x, y])
    return Model(inputs, y if after is None else after(y))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "after", [None, layers.ReLU(dtype=None), layers.ReLU(0.5)], ids=["alone", "ReLU", "capped"]
)
@pytest.mark.parametrize(
    ("size", "filters"), [((5, 3, 4), 7), ((20, 21, 33), 64), ((13, 12, 40), 300), ((1, 1, 3), 33)]
)
def test_an_addition_and_a_relu_go_into_the_product(
    size: tuple[int, int, int], filters: int, after: Any, dtype: str
) -> None:
    last = None if after is None else type(after)(after.max_value, dtype=dtype)
    program = checked(residual(size, filters, last, dtype), 2, *size)
    assert labels(program) == ["matmul.product"] * 2
    assert program.multiply_adds[1] == 2 * size[0] * size[1] * filters**2


@pytest.mark.parametrize("threads", [1, 3])
def test_an_addition_goes_into_the_product_of_a_separable_convolution(threads: int) -> None:
    before = minicnn.config.num_threads()
    minicnn.config.set_num_threads(threads)
    try:
        inputs = Input((41, 43, 37))
        x = layers.DepthwiseConv2D(3, padding="same")(inputs)
        y = layers.Add()([layers.Conv2D(37, 1)(x), inputs])
        program = checked(Model(inputs, layers.ReLU()(y)), 2, 41, 43, 37)
    finally:
        minicnn.config.set_num_threads(before)
    assert labels(program) == ["separable.forward"]


def test_nan_passes_through_an_addition_and_a_relu() -> None:
    model = residual((3, 2, 4), 40, layers.ReLU())
    x = np.ones((1, 3, 2, 4), np.float32)
    x[0, 0, 0, 0], x[0, 1, 1, 2] = np.nan, np.inf
    form = model.form(training=False)
    (y,) = Program(form.graph, [x.shape]).run([x])  # type: ignore[misc]
    np.testing.assert_array_equal(y, form.run(x))
    assert np.isnan(y[0, 0, 0]).all()


def test_additions_that_are_not_merged() -> None:
    inputs = Input((6, 5, 8))
    y = layers.Conv2D(8, 1, name="product")(inputs)
    kept = checked(Model(inputs, [layers.Add()([y, inputs]), y]), 1, 6, 5, 8)
    assert labels(kept) == ["matmul.product", "elementwise.add"]  # y is needed elsewhere
    twice = checked(Model(inputs, layers.Add()([y, y])), 1, 6, 5, 8)
    assert labels(twice) == ["matmul.product", "elementwise.add"]
    # The third is added to the sum of the first two, which is already in the result's place.
    three = layers.Add()([inputs, layers.MaxPooling2D(1)(inputs), y])
    assert labels(checked(Model(inputs, three), 1, 6, 5, 8))[-1] == "elementwise.add"
    first = layers.Add()([y, inputs, layers.MaxPooling2D(1)(inputs)])
    assert "elementwise.add" in labels(checked(Model(inputs, first), 1, 6, 5, 8))


@pytest.mark.parametrize(
    "after", [layers.ReLU(negative_slope=0.1), layers.ReLU(threshold=0.2)], ids=["leaky", "above"]
)
def test_a_relu_of_another_kind_is_not_merged(after: Any) -> None:
    inputs = Input((6, 5, 8))
    y = layers.Add()([layers.Conv2D(8, 1)(inputs), inputs])
    after = type(after).from_config(after.get_config())
    program = checked(Model(inputs, after(y)), 1, 6, 5, 8)
    assert labels(program) == ["matmul.product", "elementwise.relu"]


def test_a_sum_that_is_needed_elsewhere_is_not_rectified() -> None:
    inputs = Input((6, 5, 8))
    y = layers.Add()([layers.Conv2D(8, 1)(inputs), inputs])
    program = checked(Model(inputs, layers.Add()([layers.ReLU()(y), y])), 1, 6, 5, 8)
    assert labels(program) == ["matmul.product", "elementwise.relu", "elementwise.add"]
