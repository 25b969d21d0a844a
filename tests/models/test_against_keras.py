"""Whole models agree with Keras: names, order, shapes, numbers and gradients.

Each architecture is written once, as a function of the package that builds it: in these tests,
`module` is minicnn or keras. So a difference between the two cannot be a typing error.
"""

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from sessions import clear_session

import minicnn

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.keras
tf = pytest.importorskip("tensorflow")


@pytest.fixture(autouse=True)
def on_the_cpu() -> Iterator[None]:
    with keras.device("cpu:0"):
        yield


# -- architectures ---------------------------------------------------------------------------------


def chain(module: Any) -> Any:
    layers = module.layers
    return module.Sequential(
        [
            module.Input((12, 10, 3)),
            layers.Rescaling(0.5, offset=-0.25),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(6, (2, 3), strides=(1, 2), use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(max_value=6.0),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(5, activation="tanh"),
            layers.Dense(3, activation="softmax"),
        ]
    )


def chain_with_names(module: Any) -> Any:
    layers = module.layers
    model = module.Sequential(name="named")
    model.add(module.Input((6, 6, 2), name="pixels"))
    model.add(layers.Conv2D(3, 3, name="first"))
    model.add(layers.GlobalMaxPooling2D(name="top"))
    model.add(layers.Dense(2, name="scores"))
    return model


def graph(module: Any) -> Any:
    """Two branches of different depth are joined twice."""
    layers = module.layers
    inputs = module.Input((8, 8, 3))
    left = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    right = layers.Conv2D(4, 5, padding="same", dilation_rate=1)(inputs)
    right = layers.Activation("sigmoid")(right)
    right = layers.Conv2D(4, 1)(right)
    both = layers.Concatenate()([left, right, left])
    x = layers.AveragePooling2D(2)(both)
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Reshape((12,))(x)
    return module.Model(inputs, layers.Dense(3)(x))


def residual(module: Any) -> Any:
    layers = module.layers
    inputs = module.Input((9, 9, 3))
    x = layers.ZeroPadding2D(((1, 0), (0, 2)))(inputs)
    x = layers.Conv2D(4, 3, strides=2, use_bias=False, name="stem")(x)
    x = layers.BatchNormalization(name="stem_norm")(x)
    for _ in range(2):
        y = layers.Activation("relu")(x)
        y = layers.Conv2D(4, 3, padding="same", use_bias=False)(y)
        y = layers.BatchNormalization()(y)
        x = layers.Add()([x, y])
    x = layers.ReLU(negative_slope=0.125)(x)
    return module.Model(inputs, layers.GlobalAveragePooling2D()(x), name="residual")


def shared(module: Any) -> Any:
    """One convolution and one model are each used twice, so their gradients are sums."""
    layers = module.layers
    inputs = module.Input((8, 8, 3))
    convolution = layers.Conv2D(3, 3, padding="same", activation="tanh", name="shared")
    x = convolution(inputs)
    x = convolution(x)
    inside = module.Input((8, 8, 3))
    tail = module.Model(inside, layers.DepthwiseConv2D(3)(inside), name="tail")
    x = layers.Add()([tail(x), tail(inputs)])
    return module.Model(inputs, layers.GlobalAveragePooling2D()(x))


def mini_xception(module: Any) -> Any:
    """A small entry flow: separable convolutions beside 1x1 convolutions with stride 2."""
    layers = module.layers
    inputs = module.Input((17, 17, 3))
    x = layers.Conv2D(4, 3, strides=2, use_bias=False, name="block1_conv1")(inputs)
    x = layers.BatchNormalization(name="block1_conv1_bn")(x)
    x = layers.Activation("relu", name="block1_conv1_act")(x)
    for block, filters in ((2, 6), (3, 8)):
        shortcut = layers.Conv2D(filters, 1, strides=2, padding="same", use_bias=False)(x)
        shortcut = layers.BatchNormalization()(shortcut)
        for part in (1, 2):
            name = f"block{block}_sepconv{part}"
            if (block, part) != (2, 1):
                x = layers.Activation("relu", name=f"{name}_act")(x)
            x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
            x = layers.BatchNormalization(name=f"{name}_bn")(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"block{block}_pool")(x)
        x = layers.Add()([x, shortcut])
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return module.Model(inputs, layers.Dense(5, name="predictions")(x), name="xception")


def mobile(module: Any) -> Any:
    """Depthwise blocks with ReLU6 and an inverted residual, as in MobileNet."""
    layers = module.layers
    inputs = module.Input((11, 11, 3))
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(inputs)
    x = layers.Conv2D(4, 3, strides=2, use_bias=False)(x)
    start = layers.BatchNormalization(momentum=0.999, epsilon=1e-3)(x)
    x = layers.Conv2D(12, 1, activation="relu6")(start)
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, use_bias=False)(x)
    x = layers.BatchNormalization(scale=False)(x)
    x = layers.ReLU(6.0)(x)
    x = layers.Conv2D(4, 1, groups=2, padding="same")(x)
    x = layers.Add()([start, x])
    return module.Model(inputs, layers.Softmax()(layers.Flatten()(x)))


def nested(module: Any) -> Any:
    """A chain lies in a graph in a graph."""
    layers = module.layers
    inner = module.Sequential(
        [
            module.Input((6, 6, 4)),
            layers.Conv2D(4, 3, padding="same"),
            layers.BatchNormalization(),
        ],
        name="inner",
    )
    inside = module.Input((6, 6, 4))
    middle = module.Model(inside, layers.Add()([inner(inside), inside]), name="middle")
    inputs = module.Input((6, 6, 3))
    x = layers.Conv2D(4, 1)(inputs)
    x = layers.Activation("relu")(middle(x))
    x = layers.GlobalAveragePooling2D()(x)
    return module.Model(inputs, layers.Dense(2)(x), name="outer")


def chain_of_models(module: Any) -> Any:
    layers = module.layers
    inside = module.Input((6, 6, 3))
    base = module.Model(inside, layers.Conv2D(4, 3)(inside), name="base")
    head = module.Sequential(
        [module.Input((4, 4, 4)), layers.Flatten(), layers.Dense(2)], name="head"
    )
    return module.Sequential([module.Input((6, 6, 3)), base, layers.ReLU(), head])


def frozen(module: Any) -> Any:
    """A frozen base, called with training=False, feeds a head that learns."""
    layers = module.layers
    inside = module.Input((6, 6, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, use_bias=False)(inside))
    base = module.Model(inside, x, name="base")
    base.trainable = False
    inputs = module.Input((6, 6, 3))
    x = layers.GlobalMaxPooling2D()(base(inputs, training=False))
    return module.Model(inputs, layers.Dense(2)(x))


def two_inputs(module: Any) -> Any:
    layers = module.layers
    photo, facts = module.Input((5, 5, 2), name="photo"), module.Input((3,), name="facts")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3)(photo))
    x = layers.Concatenate()([x, layers.Dense(4, activation="relu")(facts)])
    return module.Model([photo, facts], layers.Dense(2)(x))


def two_outputs(module: Any) -> Any:
    layers = module.layers
    inputs = module.Input((5, 5, 2))
    x = layers.Conv2D(3, 3, activation="relu")(inputs)
    return module.Model(inputs, [layers.Dense(2)(layers.Flatten()(x)), layers.AvgPool2D(3)(x)])


def any_size(module: Any) -> Any:
    layers = module.layers
    inputs = module.Input((None, None, 3))
    x = layers.SeparableConv2D(4, 3, padding="same", strides=2, depth_multiplier=2)(inputs)
    return module.Model(inputs, layers.GlobalAveragePooling2D()(x))


ARCHITECTURES = {
    build.__name__: build
    for build in (
        chain,
        chain_with_names,
        graph,
        residual,
        shared,
        mini_xception,
        mobile,
        nested,
        chain_of_models,
        frozen,
        two_inputs,
        two_outputs,
        any_size,
    )
}

every_architecture = pytest.mark.parametrize("name", ARCHITECTURES)


def build_both(build: Callable[[Any], Any], seed: int = 0) -> tuple[Any, Any]:
    """Return (ours, theirs) with the same random weights, and names numbered from the start."""
    clear_session(keras)
    minicnn.utils.clear_session()
    ours, theirs = build(minicnn), build(keras)
    rng = np.random.default_rng(seed)
    weights = [random_weight(variable, rng) for variable in theirs.weights]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    return ours, theirs


@functools.cache
def both(name: str) -> tuple[Any, Any]:
    """Return (ours, theirs) for tests that do not change them, so Keras builds each only once."""
    return build_both(ARCHITECTURES[name])


def random_weight(variable: Any, rng: np.random.Generator) -> np.ndarray:
    """Return no zeros or ones, whose swaps would go unnoticed, and only positive variances."""
    if variable.name in ("gamma", "moving_variance"):
        return rng.uniform(0.5, 1.5, variable.shape).astype(np.float32)
    fan_in = max(1, int(np.prod(variable.shape[:-1])))
    scale = 1 / np.sqrt(fan_in) if len(variable.shape) > 1 else 0.3
    return (scale * rng.standard_normal(variable.shape)).astype(np.float32)


def inputs_for(model: Any, seed: int = 1, batch: int = 3) -> Any:
    """Return normal random arrays for the model's inputs; unknown sizes become 7."""
    rng = np.random.default_rng(seed)
    arrays = [
        rng.standard_normal((batch, *(size or 7 for size in tensor.shape[1:]))).astype(np.float32)
        for tensor in model.inputs
    ]
    return arrays[0] if len(arrays) == 1 else arrays


def as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def assert_close(found: Any, expected: Any, what: str, tolerance: float = 1e-4) -> None:
    """Assert that the values differ by at most `tolerance` times Keras's largest value."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, what
    difference = np.abs(found - expected).max(initial=0)
    assert difference <= tolerance * max(np.abs(expected).max(initial=0), 1e-3), what


def all_layers(model: Any) -> list[Any]:
    """Return the layers, with those of a nested model right after it."""
    found = []
    for layer in model.layers:
        found += [layer, *(all_layers(layer) if hasattr(layer, "layers") else [])]
    return found


# -- structure -------------------------------------------------------------------------------------


@every_architecture
def test_layers_have_keras_s_names_and_order(name: str) -> None:
    ours, theirs = both(name)
    assert ours.name == theirs.name
    assert [layer.name for layer in all_layers(ours)] == [x.name for x in all_layers(theirs)]


@every_architecture
def test_weights_have_keras_s_names_order_and_shapes(name: str) -> None:
    ours, theirs = both(name)
    for kind in ("weights", "trainable_weights", "non_trainable_weights"):
        found = [(w.path, tuple(w.shape)) for w in getattr(ours, kind)]
        # Keras's paths begin with the models that contain the layer.
        expected = [
            ("/".join(w.path.split("/")[-2:]), tuple(w.shape)) for w in getattr(theirs, kind)
        ]
        assert found == expected, kind
    assert ours.count_params() == theirs.count_params()
    for layer, other in zip(all_layers(ours), all_layers(theirs), strict=True):
        assert layer.count_params() == other.count_params(), layer.name
        assert layer.trainable == other.trainable, layer.name


@every_architecture
def test_shapes_are_keras_s(name: str) -> None:
    ours, theirs = both(name)
    for end in ("input_shape", "output_shape"):
        found, expected = getattr(ours, end), getattr(theirs, end)
        assert as_list(found) == as_list(expected), end
    for layer, other in zip(all_layers(ours), all_layers(theirs), strict=True):
        if len(layer.nodes) == 1:  # used once, so it has one output
            found = [tuple(t.shape) for t in as_list(layer.output)]
            assert found == [tuple(t.shape) for t in as_list(other.output)], layer.name


@every_architecture
def test_the_summary_counts_as_keras_does(name: str) -> None:
    ours, theirs = both(name)
    texts = []
    for model in (ours, theirs):
        lines: list[str] = []
        model.summary(print_fn=lambda line, *_, lines=lines, **__: lines.append(line))
        text = "\n".join(lines)
        texts.append(re.findall(r"(\S*(?:Total|rainable)) params: ([\d,]+)", text))
    assert len(texts[0]) == 3
    assert texts[0] == texts[1]


# -- numbers ---------------------------------------------------------------------------------------


@every_architecture
def test_the_outputs_are_keras_s(name: str) -> None:
    ours, theirs = both(name)
    x = inputs_for(theirs)
    expected = as_list(theirs.predict_on_batch(x))
    for found in (ours.predict(x), ours(x), ours.forward(x)[0]):
        assert len(as_list(found)) == len(expected)
        for index, (y, other) in enumerate(zip(as_list(found), expected, strict=True)):
            assert_close(y, other, f"output {index}")


def without_dropout(build: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the architecture with dropout rates of 0, since the random masks would differ."""

    def built(module: Any) -> Any:
        model = build(module)
        for layer in all_layers(model):
            if type(layer).__name__ == "Dropout":
                layer.rate = 0.0
        return model

    return built


def keras_gradients(
    model: Any, x: Any, dy: list[np.ndarray], training: bool
) -> tuple[list[Any], list[np.ndarray], list[np.ndarray]]:
    """Return (outputs, gradients of the inputs, gradients of the trainable weights)."""
    tensors = [tf.constant(array) for array in as_list(x)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs = as_list(model(tensors if len(tensors) > 1 else tensors[0], training=training))
        objective = tf.add_n([tf.reduce_sum(y * d) for y, d in zip(outputs, dy, strict=True)])
    weights = [variable.value for variable in model.trainable_weights]
    gradients = [g.numpy() for g in tape.gradient(objective, [*tensors, *weights])]
    return outputs, gradients[: len(tensors)], gradients[len(tensors) :]


def compare_gradients(ours: Any, theirs: Any, training: bool, seed: int = 2) -> None:
    """Assert that y, dx, the gradients of all weights and the moving statistics are Keras's."""
    x = inputs_for(theirs)
    rng = np.random.default_rng(seed)
    y, tape = ours.forward(x, training=training)
    dy = [rng.standard_normal(part.shape).astype(np.float32) for part in as_list(y)]
    expected_y, expected_dx, expected_grads = keras_gradients(theirs, x, dy, training)
    for found, expected in zip(as_list(y), expected_y, strict=True):
        assert_close(found, expected, "y")
    dx, grads = ours.backward(dy if len(dy) > 1 else dy[0], tape)
    for found, expected in zip(as_list(dx), expected_dx, strict=True):
        assert_close(found, expected, "dx", 1e-3)
    keys = list(ours.trainable_variables_by_name())
    assert grads.keys() == set(keys)
    largest = max((float(np.abs(g).max()) for g in expected_grads), default=0.0)
    for key, expected in zip(keys, expected_grads, strict=True):
        # A bias before a normalization has gradient 0, so only rounding errors are left of it.
        scale = max(float(np.abs(expected).max()), 1e-2 * largest)
        assert np.abs(grads[key] - expected).max() <= 1e-3 * scale, key
    for found, expected in zip(ours.weights, theirs.weights, strict=True):
        assert_close(found, expected, found.path)


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@every_architecture
def test_the_gradients_are_tensorflow_s(name: str, training: bool) -> None:
    ours, theirs = build_both(without_dropout(ARCHITECTURES[name]))
    compare_gradients(ours, theirs, training)
