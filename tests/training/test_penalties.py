"""In training, the loss includes regularizers' penalties, and constraints end each step."""

from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import layers, optimizers
from minicnn.constraints import MaxNorm
from minicnn.explain import gradcheck
from minicnn.regularizers import L1, L2, Regularizer

Array = np.ndarray
X = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
Y = np.array([[1.0], [2.0]], np.float32)


def line(**options: Any) -> Any:
    """y = x @ kernel with kernel (1, -1), so the errors are -1 - 1 = -2 and -1 - 2 = -3."""
    model = minicnn.Sequential(
        [minicnn.Input((2,)), layers.Dense(1, use_bias=False, name="dense", **options)]
    )
    model.set_weights([np.array([[1.0], [-1.0]], np.float32)])
    model.compile(optimizers.SGD(0.1), "mse")
    return model


def test_the_loss_includes_the_penalty_and_a_step_includes_its_gradient() -> None:
    model = line(kernel_regularizer=L2(0.5))
    assert model.losses == [1.0]  # 0.5 * (1 + 1)
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(6.5 + 1.0)  # (4 + 9) / 2, plus that
    assert model.train_on_batch(X, Y) == pytest.approx(7.5)
    # d mse / d kernel = mean of 2 * error * x = (-2 * 1 - 3 * 3, -2 * 2 - 3 * 4) = (-11, -16).
    np.testing.assert_allclose(model.get_weights()[0].ravel(), [1 + 1.1 - 0.1, -1 + 1.6 + 0.1])


def test_the_penalty_of_an_output_is_per_example() -> None:
    model = line(activity_regularizer=L2(0.5))
    assert model.losses == []
    # y = (-1, -1) costs 0.5 * (1 + 1) / 2 examples; the gradient by y is y / 2.
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(6.5 + 0.5)
    assert model.train_on_batch(X, Y) == pytest.approx(7.0)
    dkernel = np.array([-11, -16]) + np.array([-0.5 * 1 - 0.5 * 3, -0.5 * 2 - 0.5 * 4])
    np.testing.assert_allclose(model.get_weights()[0].ravel(), [1, -1] - 0.1 * dkernel, rtol=1e-6)


def test_validation_includes_penalties_and_metrics_do_not() -> None:
    model = line(kernel_regularizer=L1(1.0), activity_regularizer=L1(1.0))
    model.compile(optimizers.SGD(0.0), "mse", metrics=["mae"])
    found = model.fit(X, Y, validation_data=(X[:1], Y[:1]), verbose=0, batch_size=1).history
    assert found["loss"] == [pytest.approx(6.5 + 2 + 1)]
    assert found["val_loss"] == [pytest.approx(4 + 2 + 1)]
    assert found["mae"] == [pytest.approx(2.5)]
    assert model.test_on_batch(X, Y) == [pytest.approx(9.5), pytest.approx(2.5)]


def test_a_frozen_layer_s_weights_cost_nothing_but_its_output_does() -> None:
    model = line(kernel_regularizer=L2(0.5), activity_regularizer=L2(0.5))
    model.layers[0].trainable = False
    model.compile(optimizers.SGD(0.1), "mse")
    assert model.losses == []
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(7.0)
    with pytest.warns(UserWarning, match="no trainable weights"):
        assert model.train_on_batch(X, Y) == pytest.approx(7.0)


def test_a_constraint_ends_each_step() -> None:
    model = line(kernel_constraint=MaxNorm(1.0))
    assert np.abs(model.get_weights()[0]).max() == 1.0  # initial values are not constrained
    model.train_on_batch(X, Y)
    step = np.array([2.1, 0.6])
    found = model.get_weights()[0].ravel()
    np.testing.assert_allclose(found, step / np.sqrt((step**2).sum()), rtol=1e-5)


def test_averaging_weights_comes_before_the_constraint() -> None:
    """As in Keras, an average that replaces a weight is constrained, too."""
    model = line(kernel_constraint=MaxNorm(1.0))
    model.compile(optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=1), "mse")
    model.train_on_batch(X, Y)
    assert (model.get_weights()[0] ** 2).sum() == pytest.approx(1.0, rel=1e-5)
    kept = model.optimizer.slots(model.weights[0])["average"]
    np.testing.assert_allclose(kept.ravel(), [2.1, 0.6], rtol=1e-6)


class Cubes(Regularizer):
    def __call__(self, x: Any) -> float:
        return 0.01 * (np.abs(x) ** 3).sum()

    def gradient(self, x: Array) -> Array:
        return 0.03 * x * np.abs(x)


class Wrong(Cubes):
    def gradient(self, x: Array) -> Array:
        return 0.05 * x * np.abs(x)


def classifier(own: Any, last: str | None = "softmax") -> Any:
    """It has penalties at a fused convolution, at max pooling, in a nested model and at the end."""
    k = layers
    inside = minicnn.Input((2, 2, 3))
    base = minicnn.Model(inside, k.Conv2D(3, 1, activity_regularizer=own, name="in")(inside))
    inputs = minicnn.Input((6, 6, 2))
    x = k.Conv2D(3, 3, activation="relu", activity_regularizer=own, kernel_regularizer=own)(inputs)
    x = k.MaxPooling2D(activity_regularizer=L2(0.1))(x)
    x = k.BatchNormalization(gamma_regularizer=own, activity_regularizer="l2")(x)
    x = k.Flatten()(base(x))
    return minicnn.Model(
        inputs, k.Dense(3, last, bias_regularizer=own, activity_regularizer=own)(x)
    )


@pytest.mark.slow
@pytest.mark.parametrize("last", ["softmax", "sigmoid", None])
@pytest.mark.parametrize("training", [False, True])
def test_gradients_of_a_loss_with_penalties_are_slopes(last: str | None, training: bool) -> None:
    minicnn.utils.set_random_seed(0)
    x = np.random.default_rng(0).standard_normal((3, 6, 6, 2))
    y = np.eye(3)[[0, 2, 1]]
    loss = minicnn.losses.CategoricalCrossentropy(from_logits=last is None)
    loss = "binary_crossentropy" if last == "sigmoid" else loss
    found = gradcheck(classifier(Cubes(), last), x, y, loss, training=training)
    assert found.passed, found
    assert not gradcheck(classifier(Wrong(), last), x, y, loss, training=training).passed


def test_fusing_keeps_what_the_loss_penalizes() -> None:
    """The fused form gives the same loss, in training and in inference."""
    minicnn.utils.set_random_seed(0)
    model = classifier(L1(0.1))
    model.compile(optimizers.SGD(0.0), "categorical_crossentropy")
    x = np.random.default_rng(0).standard_normal((3, 6, 6, 2)).astype(np.float32)
    y = np.eye(3)[[0, 2, 1]]
    for training in (False, True):
        y_pred, tape = model.forward(x, training)
        found = model.loss_of_pass(y, y_pred, tape)
        assert found.penalty > sum(model.losses) > 0
        step = model.train_on_batch if training else model.test_on_batch
        assert step(x, y) == pytest.approx(found.value + found.penalty, rel=1e-5)


def test_a_base_whose_output_is_penalized_is_not_computed_once() -> None:
    def model(**options: Any) -> Any:
        made = minicnn.Sequential(
            [minicnn.Input((2,)), layers.Dense(2, trainable=False, **options), layers.Dense(1)]
        )
        made.compile("sgd", "mse")
        return made

    assert model().fit(X, Y, epochs=2, verbose=0).computed_once
    penalized = model(activity_regularizer="l2").fit(X, Y, epochs=2, verbose=0)
    assert penalized.computed_once == ()


def test_a_trace_says_what_regularizers_add() -> None:
    model = line(kernel_regularizer=L2(0.5))
    trace = model.trace(X, Y)
    assert trace.loss == pytest.approx(6.5)
    assert "loss 6.5 (and 1 of regularizers)" in str(trace)
    found = trace.explain_gradient("dense", "kernel", at=(0, 0))
    assert found.value == pytest.approx(-11)
    (note,) = [note for note in found.notes if "L2" in note]
    assert note == (
        "This is the gradient of the loss alone. L2 of the kernel adds 1, so the optimizer gets "
        "-10."
    )
