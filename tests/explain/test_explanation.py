"""Terms of outputs and gradients are those computed by hand, one number at a time."""

import math
from typing import Any

import numpy as np
import pytest
from explanations import agrees, f32, products, with_a_loss, with_weights

import minicnn
from minicnn import layers, losses
from minicnn.explain import Sum, gradient_of, make_terms, sums
from minicnn.explain.arithmetic import SUMS
from minicnn.explain.gradients import GRADIENTS, GradientSum, make_gradient_terms
from minicnn.layers import Layer

Array = np.ndarray


# -- by hand ---------------------------------------------------------------------------------------

X = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)  # 0 1 2 / 3 4 5 / 6 7 8


def test_a_convolution() -> None:
    layer = with_weights(layers.Conv2D(1, 2), X, kernel=[1, 2, 3, 4], bias=[0.5])
    e = layer.explain(X, at=(0, 1, 0))
    assert e.terms.input.tolist() == [1, 2, 4, 5]
    assert e.terms.weight.tolist() == [1, 2, 3, 4]
    assert products(e) == [1, 4, 12, 20]
    assert (e.bias, e.total, e.value, e.difference) == (0.5, 37.5, 37.5, 0.0)
    assert e.terms.row.tolist() == [0, 0, 1, 1]
    assert e.terms.col.tolist() == [1, 2, 1, 2]
    assert e.window is not None
    assert (e.window.rows, e.window.cols) == ((0, 1), (1, 2))
    assert e.formula == (
        "y[0, 1, 0] = Σ x[i, 1+j, c]·kernel[i, j, c, 0] + bias[0],  i = 0…1, j = 0…1, c = 0"
    )


def test_the_window_lies_partly_in_the_padding() -> None:
    layer = with_weights(layers.Conv2D(1, 3, padding="same"), X, kernel=np.ones(9), bias=[0])
    e = layer.explain(X, at=(0, 2, 0))
    assert e.terms.row.tolist() == [-1] * 3 + [0] * 3 + [1] * 3
    assert e.terms.col.tolist() == [1, 2, 3] * 3
    assert e.terms.padded.tolist() == [True] * 3 + [False, False, True] * 2
    assert products(e) == [0, 0, 0, 1, 2, 0, 4, 5, 0]
    assert e.value == e.total == 12
    assert e.window is not None
    assert (e.window.padded_rows, e.window.padded_cols) == ((0, 1, 2), (2, 3, 4))


def test_strides_make_same_padding_uneven() -> None:
    """With 4 pixels, stride 2 and 3 taps, the one row of zeros goes below."""
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    layer = with_weights(layers.Conv2D(1, 3, 2, "same"), x, kernel=np.arange(9), bias=[1])
    e = layer.explain(x, at=(1, 0, 0))
    assert e.terms.input.tolist() == [8, 9, 10, 12, 13, 14, 0, 0, 0]
    assert e.value == e.total == 8 * 0 + 9 + 20 + 36 + 52 + 70 + 1


def test_dilation_spreads_the_taps() -> None:
    layer = with_weights(layers.Conv2D(1, 2, dilation_rate=2), X, kernel=[1, 10, 100, 1000])
    e = layer.explain(X, at=(0, 0, 0))
    assert e.terms.input.tolist() == [0, 2, 6, 8]
    assert e.value == e.total == 8620
    assert "x[2i, 2j, c]" in e.formula
    assert "rows 0, 2, columns 0, 2" in str(e)


def test_a_group_sees_its_own_channels() -> None:
    x = f32([1, 2, 3, 4]).reshape(1, 1, 1, 4)
    kernel = np.arange(8)  # two channels per group, four filters
    layer = with_weights(layers.Conv2D(4, 1, groups=2), x, kernel=kernel, bias=np.zeros(4))
    e = layer.explain(x, at=(0, 0, 3))
    assert e.terms.channel.tolist() == [2, 3]
    assert e.terms.weight.tolist() == [3, 7]
    assert e.value == e.total == 3 * 3 + 4 * 7
    assert "Group 1 of 2: it sees the channels 2…3 of x only." in e.notes


def test_a_depthwise_convolution() -> None:
    x = f32([1, 2], [3, 4]).reshape(1, 1, 2, 2)
    kernel = [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]  # column, channel, copy
    layer = with_weights(layers.DepthwiseConv2D((1, 2), depth_multiplier=2), x, kernel=kernel)
    e = layer.explain(x, at=(0, 0, 3))  # channel 1, copy 1
    assert e.terms.input.tolist() == [2, 4]
    assert e.terms.weight.tolist() == [4, 8]
    assert e.value == e.total == 40


def test_a_separable_convolution_in_one_step_and_in_two() -> None:
    x = f32([1, 2]).reshape(1, 1, 1, 2)
    layer = with_weights(
        layers.SeparableConv2D(1, 1),
        x,
        depthwise_kernel=[3, 5],
        pointwise_kernel=[7, 11],
        bias=[0.25],
    )
    e = layer.explain(x, at=(0, 0, 0))
    assert e.terms.weight.tolist() == [21, 55]
    assert e.value == e.total == 21 + 110 + 0.25
    (stage,) = e.steps
    assert stage.parts is not None
    assert stage.parts["input"].tolist() == [3, 10]
    assert stage.parts["product"].tolist() == [21, 110]
    assert stage.value == e.total


def test_the_first_of_equal_pixels_wins() -> None:
    x = f32([-3, -1], [-1, -2]).reshape(1, 2, 2, 1)
    e = layers.MaxPooling2D().explain(x, at=(0, 0, 0))
    assert e.value == e.total == -1
    assert e.terms.weight.tolist() == [0, 1, 0, 0]
    assert "2 pixels are equally large, at [0, 1, 0], [1, 0, 0]: the first of them gets" in str(e)


def test_padding_is_marked_in_gradients_too() -> None:
    layer = layers.Conv2D(1, 3, padding="same", name="c")
    x = np.ones((1, 2, 2, 1), np.float32)
    trace = with_a_loss(layer, x).trace(x, y=[0], loss="sparse_categorical_crossentropy")
    text = str(trace.explain_gradient("c", "kernel", at=(0, 0, 0, 0)))
    assert "[-1, -1, 0] (padding)" in text
    assert "[0, 0, 0] (padding)" not in text


def test_padding_never_wins() -> None:
    x = f32([-3, -4, -5], [-6, -7, -8], [-9, -10, -11]).reshape(1, 3, 3, 1)
    e = layers.MaxPooling2D(2, padding="same").explain(x, at=(1, 1, 0))
    assert e.value == e.total == -11
    assert e.terms.input.tolist() == [-11, -np.inf, -np.inf, -np.inf]
    assert products(e) == [-11, 0, 0, 0]
    assert "Padding counts as -∞: it is never the maximum." in e.notes


def test_equal_maxima_of_a_whole_map_share_the_gradient() -> None:
    x = f32([4, 1], [4, 4]).reshape(1, 2, 2, 1)
    e = layers.GlobalMaxPooling2D().explain(x, at=0)
    assert e.value == 4
    assert e.terms.weight.tolist() == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])
    agrees(e)


def test_an_average_does_not_count_padding() -> None:
    e = layers.AveragePooling2D(2, padding="same").explain(X, at=(1, 1, 0))
    assert e.value == e.total == 8
    assert e.terms.weight.tolist() == [1, 0, 0, 0]
    e = layers.AveragePooling2D(2, padding="same").explain(X, at=(0, 1, 0))
    assert e.terms.weight.tolist() == [0.5, 0, 0.5, 0]
    assert e.value == e.total == 3.5


def test_a_global_average() -> None:
    e = layers.GlobalAveragePooling2D().explain(X, at=(0,))
    assert e.terms.input.tolist() == list(range(9))
    assert e.terms.weight.tolist() == [1 / 9] * 9
    assert e.value == 4


def test_a_dense_layer_with_softmax() -> None:
    x = f32([1, 2])
    kernel = [[0, 1, 2], [0, 0, -1]]
    layer = with_weights(
        layers.Dense(3, activation="softmax"), x, kernel=kernel, bias=[math.log(2), 0, 0]
    )
    e = layer.explain(x, at=1)  # scores log 2, 1, 0 have exponentials 2, e, 1
    assert products(e) == [1, 0]
    assert e.total == 1
    steps = {step.name: step.value for step in e.steps}
    assert list(steps) == ["m", "z - m", "exp(z - m)", "S", "y"]
    assert (steps["m"], steps["z - m"], steps["exp(z - m)"]) == (1, 0, 1)
    assert steps["S"] == pytest.approx((2 + math.e + 1) / math.e, rel=1e-7)
    assert e.result == pytest.approx(math.e / (3 + math.e), rel=1e-7)
    agrees(e)


def test_batch_normalization_step_by_step() -> None:
    x = f32([5], [1])
    layer = with_weights(
        layers.BatchNormalization(epsilon=1.0),
        x,
        gamma=[3],
        beta=[0.5],
        moving_mean=[1],
        moving_variance=[3],
    )
    e = layer.explain(x, at=0)
    assert [step.value for step in e.steps] == [1, 3, 4, 2, 2, 6.5]
    assert (e.terms.weight.tolist(), e.bias, e.total, e.value) == ([1.5], -1, 6.5, 6.5)
    e = layer.explain(x, at=0, training=True)  # the batch has mean 3, variance 4
    assert [step.value for step in e.steps[:3]] == [3, 4, 2]
    assert e.total == pytest.approx(3 * 2 / math.sqrt(5) + 0.5)
    agrees(e)
    assert layer.get_weights()[2].tolist() == [1], "an explanation leaves the layer as it is"


@pytest.mark.parametrize(
    ("x", "weight", "bias", "note"),
    [
        (-1.0, 0.5, -0.5, "Off"),
        (1.0, 0.5, -0.5, "Off"),
        (2.0, 1.0, 0.0, "On"),
        (3.0, 1.0, 0.0, "On"),
        (4.0, 0.0, 3.0, "Cut off"),
    ],
)
def test_relu_with_all_arguments(x: float, weight: float, bias: float, note: str) -> None:
    layer = layers.ReLU(max_value=3.0, negative_slope=0.5, threshold=1.0)
    e = layer.explain(f32([x]), at=0)
    assert (e.terms.weight.tolist(), e.bias) == ([weight], bias)
    assert e.notes[0].startswith(note)
    assert e.total == e.value


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("relu", 0.0),
        ("relu6", 0.0),
        ("sigmoid", 1 / (1 + math.e)),
        ("tanh", -0.7615941559557649),
        ("linear", -1.0),
        ("silu", -1 / (1 + math.e)),
        ("hard_silu", -1 / 3),
        ("softplus", math.log(1 + 1 / math.e)),
    ],
)
def test_activations_follow_the_sum(activation: str, expected: float) -> None:
    e = layers.Activation(activation).explain(f32([-1]), at=0)
    assert e.total == -1
    assert e.result == pytest.approx(expected, rel=1e-12)
    agrees(e)


def test_where_a_pixel_goes() -> None:
    x = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    e = layers.Flatten().explain(x, at=17)
    assert e.terms.place.tolist() == [[1, 1, 1]]
    assert e.value == 17
    assert e.formula == "y[17] = x[1, 1, 1]"
    e = layers.Reshape((4, 6)).explain(x, at=(2, 5))
    assert e.terms.place.tolist() == [[1, 1, 1]]


def test_several_inputs() -> None:
    xs = [f32([1, 2]), f32([10, 20, 30])]
    e = layers.Concatenate().explain(xs, at=3)
    assert (e.terms.source.tolist(), e.terms.channel.tolist(), e.value) == ([1], [1], 20)
    e = layers.Add().explain([f32([1, 2]), f32([10, 20])], at=1)
    assert e.terms.source.tolist() == [0, 1]
    assert products(e) == [2, 20]
    assert "x1[1]" in str(e)


def test_zeros_around_a_picture() -> None:
    layer = layers.ZeroPadding2D(1)
    assert layer.explain(X, at=(0, 2, 0)).terms.padded.tolist() == [True]
    e = layer.explain(X, at=(1, 2, 0))
    assert (e.terms.place.tolist(), e.value) == ([[0, 1, 0]], 1)


def test_up_sampling_repeats_a_pixel() -> None:
    layer = layers.UpSampling2D((1, 2))
    e = layer.explain(X, at=(0, 3, 0))
    assert (e.terms.place.tolist(), e.value) == ([[0, 1, 0]], X[0, 0, 1, 0])
    assert e.formula == "y[0, 3, 0] = x[0 // 1, 3 // 2, 0] = x[0, 1, 0]"


def test_pixels_of_a_resized_picture() -> None:
    layer = layers.Resizing(6, 6)
    e = layer.explain(X, at=(1, 2, 0))  # 1/4 row below row 0, 1/4 column left of column 1
    assert (e.terms.place[:, :2].tolist(), e.value) == ([[0, 0], [0, 1], [1, 0], [1, 1]], 1.5)
    assert e.terms.weight.tolist() == [0.1875, 0.5625, 0.0625, 0.1875]
    assert e.formula.startswith("y[1, 2, 0] = Σ row weight·column weight·x[i, j, 0],  i = 0…1")
    framed = layers.Resizing(6, 3, "nearest", pad_to_aspect_ratio=True, fill_value=7.0)
    e = framed.explain(X, at=(0, 1, 0))
    assert (len(e.terms), e.bias, e.value) == (0, 7, 7)
    assert e.notes == ["100% of this pixel is the border, 7."]
    assert framed.explain(X, at=(2, 1, 0)).formula == "y[2, 1, 0] = x[1, 1, 0]"
    e = layers.Cropping2D(1).explain(X, at=(0, 0, 0))
    assert (e.terms.place.tolist(), e.value) == ([[1, 1, 0]], 4)
    e = layers.Permute((3, 1, 2)).explain(X, at=(0, 2, 1))
    assert (e.terms.place.tolist(), e.value) == ([[2, 1, 0]], 7)
    e = layers.RepeatVector(2).explain(f32([3, 4]), at=(1, 1))
    assert (e.terms.place.tolist(), e.value) == ([[1]], 4)


def test_rescaling_and_dropout() -> None:
    e = layers.Rescaling(0.5, offset=1.0).explain(f32([4]), at=0)
    assert (e.terms.weight.tolist(), e.bias, e.value) == ([0.5], 1, 3)
    e = layers.Rescaling([1.0, 2.0]).explain(np.array([[3, 4]], np.uint8), at=1)
    assert e.value == e.total == 8
    x = np.ones((1, 64), np.float32)
    layer = layers.Dropout(0.5, seed=1)
    assert "only in training" in layer.explain(x, at=0).notes[0]
    model = minicnn.Sequential([minicnn.Input((64,)), layer])
    trace = model.trace(x, training=True)
    kept = [trace.explain("dropout" if layer.name == "dropout" else layer, u) for u in range(64)]
    assert {e.value for e in kept} == {0.0, 2.0}
    for e in kept:
        assert e.total == e.value
        assert ("Dropped" in e.notes[0]) == (e.value == 0)


def test_the_gradient_of_a_dropout_that_keeps_nothing() -> None:
    """The rate 1 has no factor, such as 1 / (1 - rate)."""
    x, loss = f32([3, 4]), "sparse_categorical_crossentropy"
    for layer, training in (
        (layers.Dropout(1), True),
        (layers.Dropout(1), False),
        (layers.AlphaDropout(1), False),
    ):
        trace = with_a_loss(layer, x).trace(x, y=[1], loss=loss, training=training)
        g = trace.explain_gradient(layer, "dx", at=0)
        agrees(g)
        assert (g.value == 0) == training


# -- gradients by hand -----------------------------------------------------------------------------


def test_the_gradient_of_a_convolution() -> None:
    """A 2×2 kernel on 3×3 pixels feeds one score; the other score is constant."""
    conv = layers.Conv2D(1, 2, name="conv")
    dense = layers.Dense(2, name="dense", use_bias=False)
    model = minicnn.Sequential([minicnn.Input((3, 3, 1)), conv, layers.Flatten(), dense])
    conv.set_weights([np.zeros((2, 2, 1, 1)), [0.0]])
    dense.set_weights([[[1, 0], [2, 0], [3, 0], [4, 0]]])
    trace = model.trace(X, y=[1], loss=losses.SparseCategoricalCrossentropy(from_logits=True))
    # Both scores are 0, so p = 1/2, dz = (1/2, -1/2), and the convolution gets 1/2 · (1, 2, 3, 4).
    g = trace.explain_gradient("conv", "kernel", at=(0, 1, 0, 0))
    assert g.terms.gradient.tolist() == [2, 1.5, 1, 0.5]
    assert g.terms.factor.tolist() == [5, 4, 2, 1]  # the pixels under this tap
    assert g.terms.place.tolist() == [[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert g.total == g.value == 10 + 6 + 2 + 0.5
    g = trace.explain_gradient("conv", "bias", at=0)
    assert g.total == g.value == 5
    g = trace.explain_gradient("conv", "dx", at=(1, 1, 0))
    assert len(g.terms) == 4
    assert sorted(map(tuple, g.terms.factor_at.tolist())) == [
        (i, j, 0, 0) for i in (0, 1) for j in (0, 1)
    ]
    g = trace.explain_gradient("dense", "dx", at=2)
    assert g.total == g.value == 1.5
    assert g.terms.factor_at.tolist() == [[2, 0], [2, 1]]


def test_a_softmax_in_the_middle_mixes_gradients() -> None:
    trace = with_a_loss(layers.Softmax(name="soft"), f32([0, 0])).trace(
        f32([0, 0]), y=[0], loss="sparse_categorical_crossentropy"
    )
    dy = trace["soft"].dy[0].astype(float)
    g = trace.explain_gradient("soft", "dz", at=0)  # y = 1/2: dz = (dy[0] - dy[1]) / 4
    assert g.total == pytest.approx((dy[0] - dy[1]) / 4)
    assert sorted(g.terms.factor.tolist()) == [-0.25, 0.25]


def test_batch_normalization_sends_gradients_through_mean_and_variance() -> None:
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    layer = layers.BatchNormalization()
    trace = with_a_loss(layer, x).trace(
        x, y=[0, 1, 2, 0], loss="sparse_categorical_crossentropy", training=True
    )
    g = trace.explain_gradient(layer, "dx", at=1, example=2)
    assert sorted(g.terms.example.tolist()) == [0, 1, 2, 3], "every example of the batch counts"
    agrees(g)
    whole = sum(trace.explain_gradient(layer, "dx", 1, n).total for n in range(4))
    assert whole == pytest.approx(0, abs=1e-7), "a shift of all of x changes nothing"
    assert "    3: [1]" in str(g), "which example each term is of"


# -- layers of your own ----------------------------------------------------------------------------


class Doubled(Layer):
    """y = 2 x."""

    def compute(self, x: Array, training: bool) -> Any:
        return 2 * x, {}

    def compute_gradients(self, dz: Array, cache: Any, need_dx: bool) -> Any:
        return 2 * dz, {}


def test_a_layer_of_your_own() -> None:
    x = f32([1, 2])
    with pytest.raises(ValueError, match=r'Doubled "d" is of a kind .*explain\.sums'):
        Doubled(name="d").explain(x, at=0)
    trace = with_a_loss(Doubled(name="d"), x).trace(
        x, y=[0], loss="sparse_categorical_crossentropy"
    )
    with pytest.raises(ValueError, match=r'Doubled "d" is of a kind .*explain\.gradient_of'):
        trace.explain_gradient("d", "dx", at=0)

    @sums(Doubled)
    def doubled(layer: Any, xs: list[Array], cache: Any, spot: Any) -> Sum:
        return Sum(make_terms(np.array([spot.at]), xs[0][spot.at], 2.0), "y[k] = 2·x[k]")

    @gradient_of(Doubled, what="dx")
    def doubled_dx(layer: Any, entry: Any, dz: Array, asked: Any) -> GradientSum:
        at = np.array([asked.at])
        terms = make_gradient_terms(asked.example, at, dz[(asked.example, *asked.at)], 2.0, at)
        return GradientSum(terms, "dx[k] = 2·dy[k]")

    try:
        e = Doubled().explain(x, at=1)
        assert (e.total, e.value) == (4, 4)
        agrees(trace.explain_gradient("d", "dx", at=0))
    finally:
        del SUMS[Doubled], GRADIENTS[Doubled, "dx"]


# -- what does not fit -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (3, r"expects at=\(row, column, channel\), a place in its output of rows 0…1, columns 0…1"),
        ((0, 0), r"Received at=\(0, 0\)"),
        ((0, 0.5, 0), "expects at="),
        ((True, 0, 0), "expects at="),
        ("abc", "expects at="),
        (np.array(1), r"expects at=.* Received at=array\(1\)"),
        ((2, 0, 0), r'Conv2D "c" has its output at rows 0…1, columns 0…1, channels 0…3\. Received'),
        ((0, 0, -1), "channels 0…3"),
    ],
)
def test_a_place_outside_the_output_is_refused(at: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layers.Conv2D(4, 2, name="c").explain(X, at)


def test_inputs_that_do_not_fit_are_refused() -> None:
    dense = layers.Dense(3, name="d")
    with pytest.raises(ValueError, match=r'"d" has its output at units 0…2\. Received at=3'):
        dense.explain(f32([1, 2]), at=3)
    with pytest.raises(ValueError, match=r"saw the examples 0…0\. Received example=1"):
        dense.explain(f32([1, 2]), at=0, example=1)
    with pytest.raises(ValueError, match="expects example to be an integer"):
        dense.explain(f32([1, 2]), at=0, example=0.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="an empty batch"):
        dense.explain(np.zeros((0, 2), np.float32), at=0)
    with pytest.raises(ValueError, match="with 4 dimensions"):
        layers.Conv2D(4, 2).explain(X[0], at=(0, 0, 0))


def test_nan_is_named_plainly() -> None:
    layer = with_weights(layers.Conv2D(1, 2, name="c"), X, kernel=[1, np.nan, 3, 4])
    e = layer.explain(X, at=(0, 0, 0))
    assert "Careful: 1 of the 4 numbers of c/kernel are NaN or infinite." in e.notes
    assert "The difference is unknown: there is NaN" in str(e)
    x = X.copy()
    x[0, 0, 0, 0] = np.inf
    e = layers.MaxPooling2D().explain(x, at=(0, 0, 0))
    assert "Careful: NaN or infinite inputs: 1 of 4." in e.notes
    assert e.value == e.total == np.inf
    assert e.difference == 0
    x[0, 1, 1, 0] = np.nan
    assert math.isnan(layers.MaxPooling2D().explain(x, at=(0, 0, 0)).total)
    x[:] = -np.inf
    assert layers.MaxPooling2D(2, padding="same").explain(x, at=(1, 1, 0)).total == -np.inf


def test_changed_weights_are_noticed() -> None:
    layer = layers.Dense(3)
    model = minicnn.Sequential([minicnn.Input((2,)), layer])
    trace = model.trace(f32([1, 2]))
    agrees(trace.explain(layer, 0))
    layer.kernel.assign(layer.kernel.numpy() + 1)
    assert "have the weights changed since?" in str(trace.explain(layer, 0))


def test_float64_is_explained_to_its_own_rounding() -> None:
    layer = layers.Dense(5, dtype="float64")
    x = np.random.default_rng(0).normal(size=(1, 40))
    e = layer.explain(x, at=2)
    assert e.epsilon == np.finfo(np.float64).eps
    agrees(e)
