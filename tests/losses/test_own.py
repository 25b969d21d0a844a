"""A user's own losses: functions, and classes with `call`; a tape finds their gradients."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradients import check_gradients

import minicnn
from minicnn import explain, layers, losses, models, ops

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4)).astype("float32")
Y, CLASSES = X[:, :3] * 2, np.arange(6) % 3


def squares(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.square(y_pred - y_true), axis=-1)


def of_classes(y_true: Any, y_pred: Any) -> Any:
    """Cross-entropy from logits, of class numbers."""
    chosen = ops.one_hot(y_true, 3) * ops.log_softmax(y_pred)
    return -ops.sum(chosen, axis=-1)


class Near(losses.Loss):
    def __init__(self, delta: float = 1.0, name: str = "near") -> None:
        super().__init__(name=name)
        self.delta = delta

    def call(self, y_true: Any, y_pred: Any) -> Any:
        e = ops.abs(y_pred - y_true)
        return ops.mean(
            ops.where(e < self.delta, 0.5 * e * e, self.delta * (e - 0.5 * self.delta)), axis=-1
        )


def trained(loss: Any, y: Any = Y, metrics: Any = None) -> Any:
    minicnn.utils.set_random_seed(0)
    model = minicnn.Sequential([minicnn.Input((4,)), layers.Dense(3)])
    model.compile("sgd", loss, metrics=metrics)
    weights = np.arange(6) / 3.0
    model.history = model.fit(X, y, epochs=3, sample_weight=weights, verbose=0)
    return model


@pytest.mark.parametrize(
    ("own", "known", "y"),
    [
        (squares, "mse", Y),
        (lambda y, p: losses.mean_squared_error(y, p) * 1.0, "mse", Y),
        (of_classes, losses.SparseCategoricalCrossentropy(from_logits=True), CLASSES),
        (Near(), "huber", Y),
        (Near, "huber", Y),
        (Near(0.3), losses.Huber(0.3), Y),
    ],
)
def test_it_trains_as_the_known_one(own: Any, known: Any, y: Any) -> None:
    a, b = (trained(loss, y) for loss in (own, known))
    np.testing.assert_allclose(a.history.history["loss"], b.history.history["loss"], rtol=1e-5)
    np.testing.assert_allclose(a.get_weights()[0], b.get_weights()[0], rtol=1e-4, atol=1e-6)
    assert explain.gradcheck(a, X, y=y).passed


def test_by_hand() -> None:
    loss = losses.get(lambda y, p: ops.sum(p * p * y, axis=-1))
    value, cache = loss.forward(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[3.0, 1.0], [5, 2]]))
    assert value == (9 + 2 + 0 + 4) / 2
    assert loss.backward(cache).tolist() == [[3, 2], [0, 2]]
    assert loss.name == "<lambda>"
    one = losses.get(lambda y, p: ops.mean(ops.square(p - y)))  # one number for all examples
    value, cache = one.forward(np.zeros((2, 1)), np.array([[1.0], [3.0]]))
    assert value == 5
    assert one.backward(cache).tolist() == [[1], [3]]


def in_place(y_true: Any, y_pred: Any) -> Any:
    e = y_pred
    e -= y_true
    y_true *= 0.0
    return ops.mean(ops.square(e) + 0.0 * y_pred + y_true, axis=-1)


class InPlace(losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return in_place(y_true, y_pred)


@pytest.mark.parametrize("loss", [in_place, InPlace()])
def test_in_place_operators_leave_the_data_as_they_are(loss: Any) -> None:
    y = Y.copy()
    own, known = trained(loss, y, [in_place]), trained("mse", Y, ["mse"])
    np.testing.assert_array_equal(y, Y)
    np.testing.assert_allclose(own.history.history["loss"], known.history.history["loss"], 1e-5)
    for found, expected in zip(own.evaluate(X, y, verbose=0), known.evaluate(X, Y, verbose=0)):
        assert found == pytest.approx(expected, rel=1e-5)
    np.testing.assert_array_equal(y, Y)
    pred = own.predict(X, verbose=0)
    before = pred.copy()
    minicnn.metrics.MeanMetricWrapper(in_place).update_state(y, pred)
    np.testing.assert_array_equal(pred, before)


def test_an_example_s_loss_may_depend_on_the_others() -> None:
    def contrast(y_true: Any, y_pred: Any) -> Any:
        alike = ops.matmul(y_pred, ops.transpose(y_pred))
        return ops.logsumexp(alike, axis=1) - ops.sum(y_pred * y_true, axis=1)

    targets, predictions = Y.astype("float64"), X[:, 1:].astype("float64")
    weights = np.arange(6) / 4
    for reduction in ("sum_over_batch_size", "sum", "mean_with_sample_weight"):
        loss = losses.own.LossFunctionWrapper(contrast, reduction)
        check_gradients(
            lambda p, loss=loss: np.asarray(loss.forward(targets, p, weights)[0]),
            lambda dy, p, loss=loss: [dy * loss.backward(loss.forward(targets, p, weights)[1])],
            [predictions],
            RNG,
        )
    one = losses.get(lambda y, p: ops.sum(p * y))  # one loss, counted by the examples' weights
    _, cache = one.forward(np.ones((2, 1)), np.ones((2, 1)), sample_weight=[1.0, 2.0])
    assert one.backward(cache).tolist() == [[1.5], [1.5]]


def test_a_known_loss_within_a_layer() -> None:
    class Adds(layers.Layer):
        def call(self, x: Any) -> Any:
            self.add_loss(losses.MeanSquaredError()(ops.zeros_like(x), x))
            return x

    model = minicnn.Model(inputs := minicnn.Input((4,)), Adds()(layers.Dense(3)(inputs)))
    model.compile("sgd", "mae")
    y = model.predict(X, verbose=0)
    expected = (y * y).mean() + np.abs(y - Y).mean()
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(expected, rel=1e-5)
    assert explain.gradcheck(model, X, y=Y).passed


def test_files_name_it(tmp_path: Path) -> None:
    own: dict[str, Any] = {"of_classes": of_classes, "Near": Near, "squares": squares}
    cases: list[tuple[Any, Any]] = [(of_classes, CLASSES), (Near(0.25), Y)]
    for number, (loss, y) in enumerate(cases):
        model = trained(loss, y, [squares] if number else None)
        model.save(tmp_path / "m.keras")
        again = models.load_model(tmp_path / "m.keras", custom_objects=own)
        assert again.evaluate(X, y, verbose=0) == pytest.approx(model.evaluate(X, y, verbose=0))
        assert again.train_on_batch(X, y) == pytest.approx(model.train_on_batch(X, y))
        with pytest.warns(UserWarning, match="minicnn does not have the loss"):
            models.load_model(tmp_path / "m.keras")
    assert again.loss.delta == 0.25


def numpy_loss(y_true: Any, y_pred: Any) -> Any:
    return np.mean((y_pred - y_true) ** 2, axis=-1)


class NumPyLoss(losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ((y_pred - y_true) ** 2).mean(axis=-1)


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (numpy_loss, r"^The loss numpy_loss cannot be recorded on a tape\. np\.mean cannot"),
        (NumPyLoss(), r"^NumPyLoss has no gradient, and cannot be .* use minicnn\.ops\.mean\(x\)"),
        (lambda y, p: ops.zeros(len(p)), "is not a function of the predictions that a tape can"),
    ],
)
def test_what_has_no_gradient_evaluates_only(loss: Any, says: str) -> None:
    model = minicnn.Sequential([minicnn.Input((4,)), layers.Dense(3)])
    model.compile("sgd", loss)
    assert model.evaluate(X, Y, verbose=0) >= 0
    with pytest.raises(NotImplementedError, match=says):
        model.fit(X, Y, verbose=0)


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: losses.get(squares).forward(Y[:2], Y), r"targets for 6 examples\. Received 2"),
        (lambda: losses.get(squares).forward(Y * np.nan, Y), "finite targets"),
        (
            lambda: losses.get(lambda y, p: p[:2]).forward(Y, Y),
            "expects call to return one number for each example",
        ),
        (lambda: losses.own.LossFunctionWrapper("mse"), "expects a function. Received 'mse'"),
    ],
)
def test_what_is_wrong_is_said(act: Callable[[], Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        act()
