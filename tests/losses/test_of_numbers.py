"""Circle and CategoricalGeneralizedCrossEntropy, whose targets are numbers of classes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gradients import check_gradients

import minicnn
from minicnn import explain, layers, losses

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(6, 3))
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
CLASSES = np.array([0, 1, 0, 1, 1, 2])
SHARES = RNG.uniform(0.05, 0.9, (6, 3))
WEIGHTS = np.linspace(0.2, 2, 6)
REDUCTIONS = ("sum_over_batch_size", "mean_with_sample_weight", "sum", "none")

CASES: list[tuple[str, dict[str, Any], Any]] = [
    ("Circle", {}, VECTORS),
    ("Circle", {"gamma": 3.0, "margin": 0.25, "remove_diagonal": False}, VECTORS),
    ("CategoricalGeneralizedCrossEntropy", {}, SHARES),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.2}, SHARES),
]


def test_cross_entropy_by_hand() -> None:
    loss = losses.CategoricalGeneralizedCrossEntropy(0.5)
    value, cache = loss.forward([1, 0], np.array([[0.75, 0.25], [0.36, 0.64]]))
    assert value == pytest.approx(((1 - 0.5) / 0.5 + (1 - 0.6) / 0.5) / 2)
    np.testing.assert_allclose(loss.backward(cache), [[0, -1], [-1 / 0.6 / 2, 0]])
    near = losses.CategoricalGeneralizedCrossEntropy(1e-4)([2], np.array([[0.1, 0.2, 0.7]]))
    assert near == pytest.approx(-np.log(0.7), rel=1e-3)
    _, cache = loss.forward([0], np.array([[0.0, 1.0]]))
    assert np.isfinite(loss.backward(cache)).all()


def test_circle_by_hand() -> None:
    """One pair of one class at distance 1, pairs of two classes at distances 0 and 1."""
    y = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    found = losses.circle([0, 0, 1], y, gamma=2.0, margin=0.5)
    a = 2 * (1 + 0.5) * (1 - 0.5)
    b_0, b_1 = 2 * 1.5 * 0.5, 2 * (1 + 0.5 - 1) * (1 - 0.5 - 1)
    expected = [np.log1p(np.exp(a + b_0)), np.log1p(np.exp(a + b_1)), 0]
    np.testing.assert_allclose(found, expected)
    # The example that is alone has no loss, and the mean is of the others.
    mean = losses.Circle(2.0, 0.5)([0, 0, 1], y)
    assert mean == pytest.approx(sum(expected) / 2)
    assert losses.Circle()([0, 1], y[:2]) == 0
    assert losses.Circle().backward(losses.Circle().forward([], np.zeros((0, 2)))[1]).size == 0


@pytest.mark.parametrize(("name", "options", "y"), CASES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradients_are_slopes(name: str, options: dict[str, Any], y: Any, reduction: str) -> None:
    loss = getattr(losses, name)(**options, reduction=reduction)
    for weights in (None, WEIGHTS):
        check_gradients(
            lambda p, w=weights: np.sum(loss.forward(CLASSES, p, w)[0]),
            lambda dy, p, w=weights: [dy * loss.backward(loss.forward(CLASSES, p, w)[1])],
            [y],
            RNG,
        )


@pytest.mark.keras
@pytest.mark.parametrize(("name", "options", "y"), CASES)
def test_value_and_gradient_are_keras_s(name: str, options: dict[str, Any], y: Any) -> None:
    keras = pytest.importorskip("keras")
    tf = pytest.importorskip("tensorflow")
    y = y.astype("float32")
    for reduction in REDUCTIONS:
        ours, theirs = (
            getattr(k.losses, name)(**options, reduction=reduction) for k in (minicnn, keras)
        )
        for weights in (None, WEIGHTS.astype("float32")):
            with tf.GradientTape() as tape:
                given = tf.convert_to_tensor(y)
                tape.watch(given)
                expected = theirs(CLASSES, given, sample_weight=weights)
            value, cache = ours.forward(CLASSES, y, weights)
            np.testing.assert_allclose(value, expected.numpy(), rtol=1e-4, atol=1e-6)
            dy = tape.gradient(expected, given).numpy()
            np.testing.assert_allclose(ours.backward(cache), dy, rtol=1e-3, atol=1e-5)
    again = losses.deserialize(keras.losses.serialize(theirs))
    assert again.get_config() == ours.get_config()


def test_a_network_learns_to_tell_classes_apart() -> None:
    minicnn.utils.set_random_seed(0)
    x = RNG.normal(size=(12, 4)) + np.repeat(np.eye(4)[:3] * 3, 4, axis=0)
    model = minicnn.Sequential([minicnn.Input((4,)), layers.Dense(3), layers.UnitNormalization()])
    model.compile("adam", losses.Circle(gamma=8))
    labels = np.repeat([0, 1, 2], 4)
    assert explain.gradcheck(model, x, y=labels).passed
    history = model.fit(x, labels, epochs=20, verbose=0).history["loss"]
    assert history[-1] < history[0]
    with pytest.raises(ValueError, match="Circle"):
        model.trace(x, y=labels).explain_loss()


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: losses.Circle()(CLASSES, VECTORS[0]), r"y_pred\.shape=\(batch, numbers\)"),
        (lambda: losses.Circle()(CLASSES[:2], VECTORS), r"a class for each example\. Received"),
        (lambda: losses.Circle()(CLASSES + 0.5, VECTORS), "targets that are whole numbers"),
        (lambda: losses.Circle()(CLASSES * np.nan, VECTORS), "finite targets"),
        (lambda: losses.Circle(gamma="a"), "gamma"),
        (lambda: losses.CategoricalGeneralizedCrossEntropy(1), r"q in \(0, 1\)\. Received 1"),
        (
            lambda: losses.CategoricalGeneralizedCrossEntropy()(CLASSES + 1, SHARES),
            "classes from 0 to 2. Received 1 to 3",
        ),
    ],
)
def test_what_does_not_fit_is_refused(act: Callable[[], Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        act()
