"""In training, a normalization and the ReLU after it are computed as one: the same numbers."""

import copy

import numpy as np
import pytest

from minicnn import Input, Model, Sequential, functional, layers, regularizers, utils
from minicnn.graph.limited import LimitedNormalization

ACTIVATIONS = {"relu": functional.relu, "relu6": functional.elementwise.relu6}
BACKWARDS = {
    "relu": functional.relu_backward,
    "relu6": lambda dy, x: functional.relu_backward(dy, x, max_value=6.0),
}


def drawn(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32) * 4


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_one_kernel_computes_what_two_functions_do(name: str, training: bool) -> None:
    x, dy = drawn(0, 3, 5, 4, 18), drawn(1, 3, 5, 4, 18)
    gamma, beta = drawn(2, 18), drawn(3, 18)
    gamma[3], beta[3:5] = 0, (0, 6)  # where gamma is 0, all numbers lie on a limit
    x[0, 0, 0, 0], x[0, 0, 0, 1], dy[0, 0, 0, 2] = np.nan, np.inf, np.nan
    mean, variance = functional.batch_moments(np.nan_to_num(x, posinf=3))
    given = x, mean, variance, gamma
    z = functional.batch_normalization(*given, beta)
    y = functional.batch_normalization(*given, beta, activation=name)
    np.testing.assert_array_equal(y, ACTIVATIONS[name](z))
    dz = BACKWARDS[name](dy, z)
    expected = functional.batch_normalization_backward(dz, *given, training=training)
    options = {"training": training, "beta": beta, "activation": name}
    found = functional.batch_normalization_backward(dy, *given, **options)
    for one, two in zip(found, expected):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)
    alone = functional.batch_normalization_backward(dy, *given, need_dx=False, **options)
    assert alone[0] is None
    np.testing.assert_array_equal(alone[1], found[1])


def test_only_limits_are_accepted() -> None:
    x, channels = drawn(0, 2, 3), [np.ones(3, np.float32)] * 4
    with pytest.raises(ValueError, match="'tanh'"):
        functional.batch_normalization(x, *channels, activation="tanh")
    with pytest.raises(ValueError, match="'tanh'"):
        functional.batch_normalization_backward(x, x, *channels[:3], activation="tanh")
    with pytest.raises(ValueError, match="beta"):
        functional.batch_normalization_backward(x, x, *channels[:3], beta=np.ones(2, np.float32))


def network(**options: bool) -> Model:
    """Return a network in which one normalization is used twice and one has a second user."""
    utils.set_random_seed(4)
    inputs = Input((6, 5, 3))
    shared = layers.BatchNormalization(name="shared", **options)
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(shared(x))
    x = layers.Conv2D(4, 3, padding="same")(x)
    x = layers.Activation("relu6")(shared(x))
    both = layers.BatchNormalization(name="both")(x)
    x = layers.Add()([layers.ReLU()(both), both])
    x = layers.MaxPooling2D()(layers.ReLU()(layers.BatchNormalization(name="last")(x)))
    return Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def limited(model: Model) -> list[str]:
    layers_ = model.form(training=True).layers
    return [layer.name for layer in layers_ if isinstance(layer, LimitedNormalization)]


@pytest.mark.parametrize("frozen", [False, True])
def test_a_step_learns_the_same(frozen: bool) -> None:
    x, dy = drawn(5, 4, 6, 5, 3), drawn(6, 4, 3)
    model = network()
    model.get_layer("shared").trainable = not frozen
    plain = copy.deepcopy(model)
    assert limited(model) == ["shared (use 1)", "shared (use 2)", "last"]
    form = model.ready_for(x, fold=True, training=True)
    found_y, tape = form.forward(x, training=True)
    found_dx, found = form.backward(dy, tape)
    y, tape = plain.forward(x, training=True)
    dx, grads = plain.backward(dy, tape)
    np.testing.assert_allclose(found_y, y, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found_dx, dx, rtol=1e-4, atol=1e-5)
    assert ("shared/gamma" in grads) != frozen
    assert len(found) == len(grads)
    for one, two in zip(
        model.trainable_variables_by_name().values(), form.trainable_variables_by_name().values()
    ):
        assert one is two
    for name, gradient in grads.items():
        same = {key.replace(" (use 1)", "").replace(" (use 2)", ""): v for key, v in found.items()}
        np.testing.assert_allclose(same[name], gradient, rtol=1e-4, atol=1e-4)
    for one, two in zip(model.weights, plain.weights):  # the moving statistics followed, too
        np.testing.assert_allclose(one.numpy(), two.numpy(), rtol=1e-6, atol=1e-7)


def test_what_the_loss_or_others_need_stays_by_itself() -> None:
    """An activity regularizer needs the normalization's own output; a leaky ReLU has no limits."""
    inputs = Input((3,))
    penalized = layers.BatchNormalization(activity_regularizer=regularizers.L2(0.1))(inputs)
    leaky = layers.LeakyReLU()(layers.BatchNormalization()(layers.ReLU()(penalized)))
    model = Model(inputs, leaky)
    assert limited(model) == []
    assert limited(Sequential([Input((3,)), layers.BatchNormalization()])) == []


def test_unfreezing_takes_effect() -> None:
    model = network()
    model.compile("sgd", "mse")
    layer, x, y = model.get_layer("last"), drawn(5, 4, 6, 5, 3), drawn(6, 4, 3)
    layer.trainable = False
    before = [weight.numpy().copy() for weight in layer.weights]
    model.train_on_batch(x, y)
    for weight, old in zip(layer.weights, before):
        np.testing.assert_array_equal(weight.numpy(), old)
    layer.trainable = True
    model.train_on_batch(x, y)
    for weight, old in zip(layer.weights, before):
        assert not np.array_equal(weight.numpy(), old)


def test_freezing_what_stands_for_a_layer_freezes_the_layer() -> None:
    model = network()
    for layer in model.form(training=True).layers:
        layer.trainable = False
    assert not any(model.get_layer(name).trainable for name in ("shared", "last", "conv2d"))
