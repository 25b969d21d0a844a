"""Each layer gives the answer that was computed by hand."""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from layer_uses import made, picture

from minicnn import activations, layers, utils

Array = np.ndarray


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
    """Top left is 1·1 + 2·0 + 4·0 + 5·2 + 0.5 = 11.5, bottom right 5 + 18 + 0.5 = 23.5."""
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
    """The second filter is minus the first: ReLU zeroes its output and lets no gradient through."""
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
    """An even size gets its one zero below and to the right, an odd size one zero on each side."""
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
    """Filter m of channel c gives output 2c + m."""
    x = np.array([[[[1, 2], [3, 4]]]], np.float32)
    layer = made(
        layers.DepthwiseConv2D((1, 2), depth_multiplier=2),
        x,
        [[1, 0], [10, 1], [0, 2], [1, -1]],  # first column (c0: 1, 0; c1: 10, 1), then the second
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
    # At exactly 6 the gradient is 0, as it is at 0: TensorFlow's rule.
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
    pair = [np.float32([[2, -3]]), np.float32([[5]])]
    for layer, y, dx0, dx1 in [
        (layers.Multiply(), [10, -15], [5, 10], [2 - 6]),
        (layers.Subtract(), [-3, -8], [1, 2], [-3]),
        (layers.Average(), [3.5, 1], [0.5, 1], [1.5]),
        (layers.Maximum(), [5, 5], [0, 0], [3]),
        (layers.Minimum(), [2, -3], [1, 2], [0]),
        (layers.Add(), [7, 2], [1, 2], [3]),
    ]:
        found, cache = layer.forward(pair)
        np.testing.assert_array_equal(found, [y])
        dxs, _ = layer.backward(np.float32([[1, 2]]), cache)
        assert [d.ravel().tolist() for d in dxs] == [dx0, dx1]
    check_by_hand(layers.LeakyReLU(), np.float32([[-2, 3]]), [-0.6, 3], [1, 1], [0.3, 1])
    check_by_hand(layers.ELU(2.0), np.float32([[-np.log(2), 3]]), [-1, 3], [1, 1], [1, 1])
    both = np.array([[[0, 1], [np.log(3), 1]]], np.float32)  # along the rows
    y = np.array([[[0.25, 0.5], [0.75, 0.5]]])
    check_by_hand(layers.Softmax(axis=1), both, y, y * 0 + 1, y * 0)


# Those that a layer can apply to what it computes: glu halves the channels, and threshold needs
# two numbers.
OF_LAYERS = sorted(
    set(activations.__all__) - {"deserialize", "get", "serialize", "glu", "threshold"}
)


@pytest.mark.parametrize("name", OF_LAYERS)
def test_an_activation_by_name_or_as_the_function(name: str) -> None:
    function = getattr(activations, name)
    assert layers.Dense(2, activation=function).activation is function
    assert function.__name__ == {"swish": "silu", "hard_swish": "hard_silu"}.get(name, name)
    assert activations.get(function) is activations.get(name) is function


@pytest.mark.keras
def test_an_activation_may_be_a_keras_function() -> None:
    keras = pytest.importorskip("keras")
    for name in OF_LAYERS:
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
        ("swish", "silu"),
        (layers.LeakyReLU(0.2), "leaky_relu"),
        (layers.ELU(), "elu"),
        ({"class_name": "LeakyReLU", "config": {"alpha": 0.2, "name": "l"}}, "leaky_relu"),
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


@pytest.mark.parametrize(
    ("given", "name", "kind", "own"),
    [
        (layers.LeakyReLU(0.3), "leaky_relu(negative_slope=0.3)", "LeakyReLU", "negative_slope"),
        (layers.ELU(0.5), "elu(alpha=0.5)", "ELU", "alpha"),
        (layers.ReLU(max_value=4), "relu(max_value=4.0)", "ReLU", "max_value"),
        (layers.ReLU(negative_slope=0.1), "relu(negative_slope=0.1)", "ReLU", "negative_slope"),
    ],
)
def test_an_activation_with_its_own_arguments(given: Any, name: str, kind: str, own: str) -> None:
    """It computes what its layer computes, and a config writes it as Keras's files do."""
    layer = layers.Dense(3, activation=given)
    assert layer.activation_name == name
    assert activations.get(layer.activation) is activations.get(given) is layer.activation
    written = layer.get_config()["activation"]
    assert (written["class_name"], written["config"][own]) == (kind, getattr(given, own))
    again = layers.Dense.from_config(json.loads(json.dumps(layer.get_config())))
    assert again.activation_name == name
    x = np.random.default_rng(0).normal(size=(2, 4), scale=4).astype(np.float32)
    y, cache = layer.forward(x)
    plain = x @ layer.kernel.value
    np.testing.assert_allclose(y, given(plain), rtol=1e-5, atol=1e-6)
    dy = np.random.default_rng(3).standard_normal(y.shape).astype(np.float32)
    _, inner = given.forward(plain)
    dz, _ = given.backward(dy, inner)
    expected = dz @ layer.kernel.value.T
    np.testing.assert_allclose(layer.backward(dy, cache)[0], expected, rtol=1e-4, atol=1e-5)


def test_an_unknown_activation_is_not_assigned() -> None:
    layer = layers.Dense(3, activation="relu", name="end")
    for wrong, message in [
        ("rleu", 'Dense "end" expects activation .*"softmax".*\'rleu\''),
        (np.exp, "a layer of your own"),
        (layers.Softmax(axis=1, name="rows"), 'Softmax "rows": put it after Dense "end"'),
        (layers.Flatten(name="flat"), 'Flatten "flat"'),
        ({"class_name": "function", "config": "mash"}, "'mash'"),
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


def test_a_layer_of_your_own_may_have_an_activation() -> None:
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


def test_a_user_s_function_is_not_mistaken_for_ours_of_the_same_name() -> None:
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


def test_adaptive_pooling_by_hand() -> None:
    """Of three columns, both windows cover the middle one; the two rows of windows share a row."""
    layer = layers.AdaptiveAveragePooling2D((2, 2))
    check_by_hand(layer, picture([2, 4, 8]), [3, 6, 3, 6], [2, 4, 6, 8], [4, 10, 6])
    check_by_hand(layers.AdaptiveAveragePooling2D(1), NINE, [5], [9], [1] * 9)
    layer = layers.AdaptiveMaxPooling2D(2)
    check_by_hand(layer, picture([2, 4, 8]), [4, 8, 4, 8], [2, 4, 6, 8], [0, 8, 12])
    line = layers.AdaptiveMaxPooling1D(2)
    assert line(np.array([[[1], [3], [5], [9]]], np.float32)).ravel().tolist() == [3, 9]
    line = layers.AdaptiveAveragePooling1D(2)
    y = line(np.array([[[1], [3], [5], [9]]], np.float32))
    np.testing.assert_array_equal(y, [[[2], [7]]])


def test_global_pooling_by_hand() -> None:
    x = picture([1, 4], [4, -1])
    check_by_hand(layers.GlobalAveragePooling2D(), x, [2], [8], [2, 2, 2, 2])
    # Equal maxima share the gradient.
    check_by_hand(layers.GlobalMaxPooling2D(), x, [4], [8], [0, 4, 4, 0])
    assert layers.GlobalMaxPooling2D(keepdims=True)(x).shape == (1, 1, 1, 1)


def test_conv2d_transpose_of_a_size_that_only_the_image_will_tell() -> None:
    layer = layers.Conv2DTranspose(2, 3, strides=2)
    assert layer(layers.Input((None, 5, 1))).shape == (None, None, 11, 2)
    assert layer(layers.Input((5, None, 1))).shape == (None, 11, None, 2)


def test_conv2d_transpose_by_hand() -> None:
    """Pixels 1 and 2 stamp 1, 10, 100 with a stride of 2, and overlap in the middle."""
    kernel = np.array([1, 10, 100], np.float32).reshape(1, 3, 1, 1)
    x = picture([1, 2])
    layer = made(layers.Conv2DTranspose(1, (1, 3), strides=(1, 2)), x, kernel, [-100.0])
    y, dy = [-99, -90, 2, -80, 100], [1, 2, 3, 4, 5]
    grads = {"kernel": [1 + 2 * 3, 2 + 2 * 4, 3 + 2 * 5], "bias": [15]}
    check_by_hand(layer, x, y, dy, [321, 543], **grads)
    layer.activation = "relu"
    grads = {"kernel": [2 * 3, 0, 3 + 2 * 5], "bias": [8]}
    check_by_hand(layer, x, [0, 0, 2, 0, 100], dy, [300, 503], **grads)
    # After a strided convolution, an image of odd or even size gets its size back.
    for size in (5, 6):
        small = layers.Conv2D(1, 3, 2, "same")(np.ones((1, size, size, 1), np.float32))
        back = layers.Conv2DTranspose(1, 3, 2, "same", output_padding=(size + 1) % 2)(small)
        assert back.shape == (1, size, size, 1)


def line(*numbers: float) -> Array:
    return np.array(numbers, np.float32)[None, :, None]


def test_layers_of_lines_by_hand() -> None:
    x = line(1, 2, 3, 4)
    kernel = np.array([1, 10, 100], np.float32).reshape(3, 1, 1)
    layer = made(layers.Conv1D(1, 3), x, kernel, [0.5])
    grads = {"kernel": [1 + 4, 2 + 6, 3 + 8], "bias": [3]}
    check_by_hand(layer, x, [321.5, 432.5], [1, 2], [1, 12, 120, 200], **grads)
    # Causal padding puts all zeros before the line, so the last weight is for the present.
    layer = made(layers.Conv1D(1, 3, padding="causal", use_bias=False), x, kernel)
    y, dy = [100, 210, 321, 432], [0, 0, 1, 0]
    check_by_hand(layer, x, y, dy, [1, 10, 100, 0], kernel=[1, 2, 3])
    layer = made(layers.Conv1D(1, 2, dilation_rate=2, padding="causal"), x, kernel[:2], [0.0])
    np.testing.assert_array_equal(layer(x).ravel(), [10, 20, 31, 42])
    layer = made(layers.Conv1DTranspose(1, 3, 2, use_bias=False), line(1, 2), kernel)
    check_by_hand(
        layer, line(1, 2), [1, 10, 102, 20, 200], [1, 0, 0, 0, 1], [1, 100], kernel=[1, 0, 2]
    )
    two = np.array([[1, 10], [2, 20], [3, 30]], np.float32)[None]
    layer = made(layers.DepthwiseConv1D(2, use_bias=False), two, [1, 2, 10, 20])
    np.testing.assert_array_equal(layer(two)[0], [[1 + 20, 20 + 400], [2 + 30, 40 + 600]])
    pooled = layers.MaxPooling1D()
    check_by_hand(pooled, line(3, 1, 2, 5, 9), [3, 5], [1, 2], [1, 0, 0, 2, 0])
    pooled = layers.AveragePooling1D(2, padding="same")
    check_by_hand(pooled, line(3, 1, 5), [2, 5], [2, 4], [1, 1, 4])
    check_by_hand(layers.GlobalMaxPooling1D(), line(3, 1, 3), [3], [4], [2, 0, 2])
    check_by_hand(layers.GlobalAveragePooling1D(), line(3, 1, 2), [2], [3], [1, 1, 1])
    check_by_hand(layers.UpSampling1D(2), line(3, 1), [3, 3, 1, 1], [1, 2, 3, 4], [3, 7])
    check_by_hand(layers.ZeroPadding1D((1, 2)), line(3), [0, 3, 0, 0], [1, 2, 3, 4], [2])
    check_by_hand(layers.Cropping1D((1, 0)), line(3, 1), [1], [7], [0, 7])


def test_a_line_is_an_image_one_pixel_high() -> None:
    """Assigning to the layer's own weights changes what its layer for images computes."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 9, 4)).astype("f")
    layer = layers.Conv1D(3, 3, strides=2, padding="same")
    other = layers.Conv2D(3, (1, 3), strides=(1, 2), padding="same")
    layer(x), other(x[:, None])
    for _ in range(2):
        layer.kernel.assign(rng.standard_normal((3, 4, 3)))
        other.set_weights([w[None] if w.ndim == 3 else w for w in layer.get_weights()])
        np.testing.assert_array_equal(layer(x), other(x[:, None])[:, 0])
    layer.strides = (1,)  # so does a setting
    assert layer(x).shape == (2, 9, 3)
    twin = copy.deepcopy(layer)
    twin.kernel.assign(np.zeros((3, 4, 3)))
    assert layer(x).any()
    assert not twin(x).any()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(layer))(x), layer(x))


def test_batch_normalization_by_hand() -> None:
    """The batch 1, 3 has mean 2 and variance 1; epsilon 3 halves x - 2; gamma is 4, beta 1."""
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
    # Inference then uses the moving statistics: (x - 0.5) / 2 · 4 + 1.
    np.testing.assert_allclose(layer(x), [[2], [6]])


def test_a_frozen_normalization_stays_in_inference() -> None:
    x = np.array([[1], [3]], np.float32)
    layer = layers.BatchNormalization(trainable=False)
    y = layer(x, training=True)
    np.testing.assert_allclose(y, x / np.sqrt(1.001), rtol=1e-6)
    np.testing.assert_array_equal(layer.moving_mean.value, [0])


def test_layer_normalization_by_hand() -> None:
    """1, 3 has mean 2, variance 1; epsilon 3 makes x̂ -1/2, 1/2; gamma is 4, 2 and beta 1, 0.

    With dy = 1, 0, g is 4, 0 with mean 2, and g·x̂ has mean -1, so dx = (g - 2 + x̂) / 2.
    """
    x = np.array([[1, 3]], np.float32)
    layer = made(layers.LayerNormalization(epsilon=3.0), x, [4, 2], [1, 0])
    dx = [(4 - 2 - 0.5) / 2, (0 - 2 + 0.5) / 2]
    check_by_hand(layer, x, [-1, 1], [1, 0], dx, gamma=[-0.5, 0], beta=[1, 0])
    # The mean is not subtracted: x̂ = x / 2, dx = (g - x̂ mean(g·x̂)) / 2, and that mean is 1.
    layer = made(layers.LayerNormalization(epsilon=3.0, rms_scaling=True), x, [4, 2])
    check_by_hand(layer, x, [2, 3], [1, 0], [(4 + 0.5) / 2, -0.25], gamma=[0.5, 0])


def test_group_normalization_by_hand() -> None:
    """Groups of channels 0, 1 and 2, 3 have means 2 and 0, variances 1 and 0; epsilon is 3."""
    x = np.array([[1, 3, 0, 0]], np.float32)
    layer = made(layers.GroupNormalization(2, epsilon=3.0), x, [4, 2, 1, 1], [1, 0, 5, 6])
    dx = [(4 - 2 - 0.5) / 2, (0 - 2 + 0.5) / 2, 0, 0]
    grads = {"gamma": [-0.5, 0, 0, 0], "beta": [1, 0, 1, 1]}
    check_by_hand(
        layer, x, [-1, 1, 5, 6], [1, 0, 1, 1], np.array(dx) / [1, 1, 3**0.5, 3**0.5], **grads
    )
    # All places of a group count together, here the rows 1 and 3.
    layer = layers.GroupNormalization(1, epsilon=3.0)
    np.testing.assert_allclose(layer(picture([1], [3])).ravel(), [-0.5, 0.5])


def test_dot_by_hand() -> None:
    a, b = np.array([[3, 4]], np.float32), np.array([[1, 2]], np.float32)
    y, cache = layers.Dot(1).forward([a, b])
    np.testing.assert_array_equal(y, [[11]])
    dx, _ = cache.layer.backward(np.array([[2]], np.float32), cache)
    np.testing.assert_array_equal(dx, [[[2, 4]], [[6, 8]]])
    # (3, 4) has the length 5, (0, 2) the length 2: their cosine is 4/5.
    y, cache = layers.Dot(1, normalize=True).forward([a, np.array([[0, 2]], np.float32)])
    np.testing.assert_allclose(y, [[0.8]], rtol=1e-6)
    dx, _ = cache.layer.backward(np.array([[1]], np.float32), cache)
    np.testing.assert_allclose(dx[0], [[-0.6 * 0.8 / 5, (1 - 0.8 * 0.8) / 5]], rtol=1e-5)
    np.testing.assert_allclose(dx[1], [[0.6 / 2, 0]], atol=1e-6)
    x = np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    y = layers.Dot((1, 1))([x, x])  # of its columns 0, 2, 4 and 1, 3, 5
    np.testing.assert_array_equal(y, [[[20, 26], [26, 35]]])
    assert layers.Dot((2, 1))([layers.Input((4, 2)), layers.Input((2, 7))]).shape == (None, 4, 7)
    np.testing.assert_array_equal(layers.dot([a, b], axes=-1), [[11]])


def test_unit_normalization_by_hand() -> None:
    """(3, 4) has length 5, and the part of dy = (1, 0) along it is 3/5."""
    x = np.array([[3, 4]], np.float32)
    dx = [(1 - 0.6 * 0.6) / 5, (0 - 0.6 * 0.8) / 5]
    check_by_hand(layers.UnitNormalization(), x, [0.6, 0.8], [1, 0], dx)
    check_by_hand(layers.UnitNormalization(), 0 * x, [0, 0], [1, 0], [1e12, 0])


def test_normalization_by_hand() -> None:
    x = np.array([[1, 10], [3, 10]], np.float32)
    layer = layers.Normalization()
    layer.adapt(x)  # means 2 and 10, variances 1 and 0
    for weight, wanted in zip(layer.get_weights(), [[2, 10], [1, 0], 0], strict=True):
        np.testing.assert_array_equal(weight, wanted)
    assert layer.get_weights()[2].dtype == np.int64
    np.testing.assert_array_equal(layer(x), [[-1, 0], [1, 0]])
    check_by_hand(layer, x, [-1, 0, 1, 0], [2, 1, 4, 3], [2, 1e7, 4, 3e7])  # never divides by 0
    given = layers.Normalization(mean=3, variance=4.0)
    check_by_hand(given, x, [-1, 3.5, 0, 3.5], [2, 4, 6, 8], [1, 2, 3, 4])
    back = layers.Normalization(mean=[3, 0], variance=[4, 1], invert=True)
    check_by_hand(back, x, [5, 10, 9, 10], [1, 2, 3, 4], [2, 2, 6, 4])
    np.testing.assert_array_equal(given(np.array([[5, 1]], np.uint8)), [[1, -1]])
    np.testing.assert_array_equal(given.mean, [[3, 3]])
    assert (given.weights, given.input_mean, given.get_config()["variance"]) == ([], 3, 4)


def test_normalization_adapts_to_batches_as_to_one_array() -> None:
    rng = np.random.default_rng(0)
    x = (1000 + rng.normal(size=(700, 3, 2))).astype(np.float32)
    of_rows = layers.Normalization(axis=(1, 2))
    of_rows.adapt(x)
    np.testing.assert_allclose(of_rows.mean[0], x.mean(0, dtype=np.float64), rtol=1e-7)
    np.testing.assert_allclose(of_rows.variance[0], x.var(0, dtype=np.float64), rtol=1e-5)

    class Sequence:
        """Ends only by its length, like an iterator over a folder."""

        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Any:
            return x[index * 100 : index * 600 + 100], np.zeros(1)

    ways: dict[str, Any] = {
        "array": x,
        "list": [x[:1], x[1:1], x[1:]],
        "tuples": ((part, None) for part in (x[:100], x[100:])),
        "sequence": Sequence(),
    }
    for axis in (None, -1, 1):
        for how, data in ways.items():
            if how != "tuples" or axis is None:  # a generator can be read only once
                layer = layers.Normalization(axis=axis)
                layer.adapt(data)
                layer.adapt(data if how != "tuples" else x)  # it forgets the first data
                others = {None: (0, 1, 2), -1: (0, 1), 1: (0, 2)}[axis]
                mean, variance, _ = layer.get_weights()
                np.testing.assert_allclose(mean, x.mean(others, np.float64), rtol=1e-7)
                np.testing.assert_allclose(variance, x.var(others, np.float64), rtol=1e-5)


def test_data_that_normalization_cannot_adapt_to() -> None:
    layer = layers.Normalization(name="n")
    for data, message in (
        (5, "expects an array, or batches. Received int"),
        ({"a": 1}, "Received dict"),
        ([], "at least one example"),
        (np.zeros((0, 3)), "at least one example"),
        (["a"], "batches of numbers"),
        (np.arange(3.0), "not the batch"),
        (np.full((2, 3), np.nan), "finite float32 numbers. Received .nan, nan, nan"),
        (np.array([[-3e38] * 3, [3e38] * 3]), "finite float32 numbers"),
    ):
        with pytest.raises((TypeError, ValueError), match=f'Normalization "n" .*{message}'):
            layer.adapt(data)
    layer.adapt(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"have \(3,\) along .*Received \(2, 4\)"):
        layer.adapt(np.ones((2, 4)))
    with pytest.raises(ValueError, match="has nothing to adapt"):
        layers.Normalization(mean=1, variance=1).adapt(np.ones((2, 3)))


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


def test_images_of_another_size_by_hand() -> None:
    layer = layers.UpSampling2D((1, 2), interpolation="bilinear")
    x = picture([0, 4])
    check_by_hand(layer, x, [0, 1, 3, 4], [4, 4, 8, 0], [4 + 3 + 2, 1 + 6])
    layer = layers.Resizing(1, 2, "nearest")
    check_by_hand(layer, NINE, [4, 6], [10, 20], [0, 0, 0, 10, 0, 20, 0, 0, 0])
    layer = layers.CenterCrop(1, 1)
    check_by_hand(layer, NINE, [5], [2], [0, 0, 0, 0, 2, 0, 0, 0, 0])
    even = picture([1, 2, 3, 4])
    check_by_hand(layers.CenterCrop(1, 1), even, [2], [1], [0, 1, 0, 0])  # left of the middle two
    check_by_hand(layers.CenterCrop(2, 2), even, [2, 2, 2, 2], [1, 1, 1, 2], [0, 5, 0, 0])
    layer = layers.Cropping2D(((1, 0), (0, 2)))
    check_by_hand(layer, NINE, [4, 7], [1, 2], [0, 0, 0, 1, 0, 0, 2, 0, 0])
    layer = layers.Resizing(3, 1, pad_to_aspect_ratio=True, fill_value=7.0)
    check_by_hand(layer, picture([5]), [7, 5, 7], [1, 2, 4], [2])
    pixels = np.array([[[[200]], [[100]]]], np.uint8)
    assert layers.Resizing(1, 1)(pixels).tolist() == [[[[150.0]]]]


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


def test_dropout_keeps_the_mean_and_does_nothing_at_inference() -> None:
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
def test_noise_shape_says_what_drops_together(noise_shape: Any, same: tuple[int, ...]) -> None:
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
