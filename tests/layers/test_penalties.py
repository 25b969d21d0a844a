"""Layers take regularizers and constraints for each weight, and write them into their config."""

import inspect
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import constraints, layers, regularizers
from minicnn.constraints import MaxNorm, NonNeg
from minicnn.layers import LAYERS
from minicnn.regularizers import L1, L2

Array = np.ndarray

# Required arguments, an input's shape, and the first word of each weight's settings.
WITH_WEIGHTS: dict[str, tuple[dict[str, Any], tuple[int, ...], dict[str, str]]] = {
    "Dense": ({"units": 2}, (3,), {"kernel": "kernel", "bias": "bias"}),
    "Conv2D": ({"filters": 2, "kernel_size": 2}, (4, 4, 3), {"kernel": "kernel", "bias": "bias"}),
    "DepthwiseConv2D": ({"kernel_size": 2}, (4, 4, 3), {"kernel": "depthwise", "bias": "bias"}),
    "SeparableConv2D": (
        {"filters": 2, "kernel_size": 2},
        (4, 4, 3),
        {"depthwise_kernel": "depthwise", "pointwise_kernel": "pointwise", "bias": "bias"},
    ),
    "Conv2DTranspose": (
        {"filters": 2, "kernel_size": 2},
        (4, 4, 3),
        {"kernel": "kernel", "bias": "bias"},
    ),
    "LayerNormalization": ({}, (4, 3), {"gamma": "gamma", "beta": "beta"}),
}


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_each_trainable_weight_gets_its_own_settings(name: str) -> None:
    options, shape, parts = WITH_WEIGHTS[name]
    given: dict[str, Any] = {
        f"{part}_regularizer": L2(i + 1) for i, part in enumerate(parts.values())
    }
    given |= {f"{part}_constraint": MaxNorm(i + 1) for i, part in enumerate(parts.values())}
    layer = LAYERS[name](**options, **given)
    layer.build((None, *shape))
    for variable in layer.weights:
        part = parts.get(variable.name)
        expected = (None, None)
        if part is not None:
            expected = given[f"{part}_regularizer"], given[f"{part}_constraint"]
        assert (variable.regularizer, variable.constraint) == expected, variable.name
    for setting, value in given.items():
        assert getattr(layer, setting) is value
    config = layer.get_config()
    again = LAYERS[name].from_config(config)
    assert again.get_config() == config
    assert {key: config[key]["config"] for key in given} == {
        key: value.get_config() for key, value in given.items()
    }
    assert again.lacking() == []
    assert set(layer.penalty_settings()) == {*given, "activity_regularizer"}


@pytest.mark.keras
@pytest.mark.parametrize("name", sorted(LAYERS))
def test_a_layer_takes_what_keras_s_takes(name: str) -> None:
    keras = pytest.importorskip("keras")
    theirs = {
        argument
        for cls in getattr(keras.layers, name).__mro__
        for argument in inspect.signature(cls.__init__).parameters
        if argument.endswith(("_regularizer", "_constraint"))
    } - {"activity_regularizer"}
    assert set(LAYERS[name].penalty_settings()) - {"activity_regularizer"} == theirs


@pytest.mark.parametrize("name", [*WITH_WEIGHTS, "Flatten", "MaxPooling2D", "Dropout", "Add"])
def test_a_config_has_no_settings_that_were_not_given(name: str) -> None:
    options = WITH_WEIGHTS.get(name, ({"rate": 0.5} if name == "Dropout" else {}, (), {}))[0]
    layer = LAYERS[name](**options)
    assert layer.activity_regularizer is None
    assert all(getattr(layer, setting) is None for setting in layer.penalty_settings())
    assert not any(key.endswith(("_regularizer", "_constraint")) for key in layer.get_config())
    penalized = LAYERS[name](**options, activity_regularizer="l1")
    assert isinstance(penalized.activity_regularizer, L1)
    assert penalized.get_config()["activity_regularizer"]["class_name"] == "L1"


def test_a_layer_s_losses_are_its_penalties() -> None:
    layer = layers.Dense(
        2, kernel_regularizer=L2(0.5), bias_regularizer="l1", kernel_initializer="ones"
    )
    assert layer.losses == []
    layer(np.ones((1, 3), np.float32))
    layer.bias.assign([2.0, -1.0])
    assert layer.losses == [pytest.approx(3.0), pytest.approx(0.03)]
    layer.trainable = False
    assert layer.losses == []
    layer.trainable = True
    assert len(layer.losses) == 2


def test_a_model_s_penalties_are_those_of_its_trainable_layers() -> None:
    def dense(name: str, l2: float) -> layers.Layer:
        return layers.Dense(2, kernel_regularizer=L2(l2), kernel_initializer="ones", name=name)

    base = minicnn.Sequential([minicnn.Input((2,)), dense("a", 1.0), dense("b", 10.0)])
    inputs = minicnn.Input((2,))
    model = minicnn.Model(inputs, dense("c", 100.0)(base(inputs)))
    assert model.losses == [4.0, 40.0, 400.0]
    base.get_layer("a").trainable = False
    assert model.losses == [40.0, 400.0]
    base.trainable = False
    assert model.losses == [400.0]
    model.trainable = False
    assert model.losses == []


class Scale(layers.Layer):
    """A user's layer whose weight has a regularizer and a constraint."""

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight(
            "kernel", (input_shape[-1],), "ones", regularizer="l2", constraint=NonNeg()
        )

    def compute(self, x: Array, training: bool) -> Any:
        return x * self.kernel.value, {"x": x}

    def compute_gradients(self, dz: Array, cache: Any, need_dx: bool) -> Any:
        return dz * self.kernel.value, {"kernel": (dz * cache["x"]).sum(axis=0)}


def test_a_layer_of_your_own() -> None:
    layer = Scale()
    layer(np.ones((2, 3), np.float32))
    assert layer.losses == [pytest.approx(0.03)]
    layer.kernel.assign([-1.0, 2.0, 0.0])
    layer.kernel.constrain()
    np.testing.assert_array_equal(layer.kernel.numpy(), [0, 2, 0])
    assert Scale.penalty_settings() == ["activity_regularizer"]


def test_a_constraint_that_is_a_function_is_not_written() -> None:
    layer = layers.Dense(2, kernel_constraint=abs)
    assert layer.kernel_constraint is abs
    with pytest.raises(TypeError, match=r"write a subclass of minicnn\.constraints\.Constraint"):
        layer.get_config()


def test_a_constraint_must_keep_the_shape() -> None:
    layer = layers.Dense(2, kernel_constraint=lambda w: w[0])
    layer.build((None, 3))
    with pytest.raises(ValueError, match=r"kernel.*\(3, 2\).*\(2,\)"):
        layer.kernel.constrain()


def test_a_regularizer_that_minicnn_lacks_is_carried_along() -> None:
    mine = {"class_name": "Mine", "config": {"a": 1}, "registered_name": "me>Mine"}
    layer = layers.Dense.from_config(
        {"name": "it", "units": 2, "kernel_regularizer": mine, "bias_constraint": "non_neg"}
    )
    assert layer.kernel_regularizer is None
    assert isinstance(layer.bias_constraint, NonNeg)
    assert layer.get_config()["kernel_regularizer"] == mine
    assert layer.lacking() == [("kernel_regularizer=Mine(a=1)", "it")]


def test_serialized_names_are_keras_s() -> None:
    assert regularizers.serialize(L1(2)) == {
        "module": "keras.regularizers",
        "class_name": "L1",
        "config": {"l1": 2.0},
        "registered_name": None,
    }
    assert constraints.serialize(NonNeg())["module"] == "keras.constraints"


def test_activity_regularization_by_hand() -> None:
    layer = layers.ActivityRegularization(l1=0.5, l2=0.25)
    x = np.array([[1.0, -2.0], [0.0, 4.0]], np.float32)
    y, cache = layer.forward(x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(layer.backward(x, cache)[0], x)
    # 0.5 * (1 + 2 + 0 + 4) + 0.25 * (1 + 4 + 0 + 16), divided by 2 examples
    assert layer.activity_penalty(y) == pytest.approx((3.5 + 5.25) / 2)
    expected = np.array([[1.0, -1.5], [0.0, 2.5]]) / 2
    np.testing.assert_allclose(layer.activity_gradient(y), expected)
    assert layer.activity_penalty(x[:0]) == 0
    assert layers.Flatten().activity_gradient(x) is None
