"""Losses and metrics give answers computed by hand, and agree with Keras in every setting."""

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gradients import check_gradients
from hypothesis import given, settings
from hypothesis import strategies as st

import minicnn
from minicnn import Input, Sequential, functional, layers, losses, metrics
from minicnn.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)

Array = np.ndarray

LOSSES = (CategoricalCrossentropy, SparseCategoricalCrossentropy, BinaryCrossentropy)
REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none")
P = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]])
SECOND = np.array([0.25, 0.75])  # the probability that P gives class 1


def targets(loss: type, classes: list[int], count: int = 3) -> Any:
    return classes if loss is SparseCategoricalCrossentropy else np.eye(count)[classes]


# -- by hand ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [CategoricalCrossentropy, SparseCategoricalCrossentropy])
@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        ("none", [3 * np.log(4), np.log(4 / 3)]),
        (None, [3 * np.log(4), np.log(4 / 3)]),
        ("sum", 3 * np.log(4) + np.log(4 / 3)),
        ("sum_over_batch_size", (3 * np.log(4) + np.log(4 / 3)) / 2),
        ("mean", (3 * np.log(4) + np.log(4 / 3)) / 2),
        ("mean_with_sample_weight", (3 * np.log(4) + np.log(4 / 3)) / 4),
    ],
)
def test_reductions_by_hand(loss: type, reduction: str | None, expected: Any) -> None:
    """The examples weigh 3 and 1."""
    value = loss(reduction=reduction)(targets(loss, [1, 1]), P, [3, 1])
    np.testing.assert_allclose(value, expected, rtol=1e-9)
    column = loss(reduction=reduction)(targets(loss, [1, 1]), P, np.array([[3], [1]]))
    np.testing.assert_array_equal(column, value)


def test_binary_by_hand() -> None:
    y, p = np.array([1, 0]), np.array([[0.25], [0.75]])
    expected = np.log(4)
    for shaped in (y, y[:, None], y.astype(bool), y.tolist()):
        np.testing.assert_allclose(BinaryCrossentropy()(shaped, p), expected)
    # The loss of several units is their mean.
    value = BinaryCrossentropy(reduction="none")([[1, 0]], np.array([[0.25, 0.5]]))
    np.testing.assert_allclose(value, [(np.log(4) + np.log(2)) / 2])


def test_label_smoothing_by_hand() -> None:
    """Smoothed by 0.3, targets of three classes become 0.8, 0.1, 0.1."""
    value = CategoricalCrossentropy(label_smoothing=0.3)([[1, 0, 0]], P[:1])
    np.testing.assert_allclose(value, 0.8 * np.log(2) + 0.2 * np.log(4))
    value = BinaryCrossentropy(label_smoothing=0.5)([[1]], np.array([[0.25]]))
    np.testing.assert_allclose(value, 0.75 * np.log(4) + 0.25 * np.log(4 / 3))


@pytest.mark.parametrize("loss", LOSSES)
def test_from_logits_is_the_loss_of_the_probabilities(loss: type) -> None:
    binary = loss is BinaryCrossentropy
    logits = np.log(P / (1 - P)) if binary else np.log(P) + 5
    y = targets(loss, [2, 0])
    np.testing.assert_allclose(loss(from_logits=True)(y, logits), loss()(y, P), rtol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_far_logits_stay_finite(loss: type) -> None:
    logits = np.array([[1e4, -1e4, 0.0]], np.float32)
    value, cache = loss(from_logits=True).forward(targets(loss, [1]), logits)
    assert np.isfinite(value)
    assert value > 1e3
    dy = loss(from_logits=True).backward(cache)
    assert np.isfinite(dy).all()
    assert np.abs(dy).max() > 0.3


@pytest.mark.parametrize("loss", LOSSES)
def test_a_certain_but_wrong_prediction_has_a_large_finite_loss(loss: type) -> None:
    p = np.array([[1.0, 0.0, 0.0]], np.float32)
    wrong, right = loss()(targets(loss, [1]), p), loss()(targets(loss, [0]), p)
    assert 10 * (2 / 3 if loss is BinaryCrossentropy else 1) < wrong < 17
    assert right == pytest.approx(0, abs=1e-6)


# -- gradients -------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("from_logits", [False, True], ids=["probabilities", "logits"])
@settings(deadline=None, max_examples=20)
@given(data=st.data(), seed=st.integers(0, 2**16))
def test_gradients_agree_with_differences(
    loss: type, from_logits: bool, data: st.DataObject, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    batch, classes = data.draw(st.integers(1, 4)), data.draw(st.integers(2, 5))
    reduction = data.draw(st.sampled_from(REDUCTIONS))
    options = {"from_logits": from_logits, "reduction": reduction}
    if loss is not SparseCategoricalCrossentropy:
        options["label_smoothing"] = data.draw(st.sampled_from([0.0, 0.2]))
    weights = data.draw(st.sampled_from([None, rng.uniform(0, 2, batch)]))
    y = targets(loss, list(rng.integers(0, classes, batch)), classes)
    chosen = loss(**options)
    x = (
        rng.standard_normal((batch, classes))
        if from_logits
        else rng.uniform(0.1, 0.9, (batch, classes))
    )

    def forward(y_pred: Array) -> Array:
        return np.array(np.sum(chosen.forward(y, y_pred, weights)[0]))

    def backward(dy: Array, y_pred: Array) -> list[Array]:
        return [dy * chosen.backward(chosen.forward(y, y_pred, weights)[1])]

    check_gradients(forward, backward, [x], rng)


@pytest.mark.parametrize("loss", [CategoricalCrossentropy, SparseCategoricalCrossentropy])
def test_softmax_and_cross_entropy_together_are_p_minus_t(loss: type) -> None:
    value, cache = loss(from_logits=True).forward(targets(loss, [0, 1]), np.log(P))
    np.testing.assert_allclose(
        loss.backward(loss(), cache), (P - np.eye(3)[[0, 1]]) / 2, atol=1e-12
    )
    assert value == pytest.approx((np.log(2) + np.log(4 / 3)) / 2)


# -- agreement with Keras --------------------------------------------------------------------------


@pytest.mark.keras
@pytest.mark.parametrize(
    ("loss", "smoothing"),
    [
        ("CategoricalCrossentropy", 0.0),
        ("CategoricalCrossentropy", 0.1),
        ("SparseCategoricalCrossentropy", 0.0),
        ("BinaryCrossentropy", 0.0),
        ("BinaryCrossentropy", 0.1),
    ],
)
@pytest.mark.parametrize("from_logits", [False, True], ids=["probabilities", "logits"])
@pytest.mark.parametrize("reduction", [*REDUCTIONS, None])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_value_and_gradient_are_keras_s(
    loss: str, from_logits: bool, reduction: str | None, weighted: bool, smoothing: float
) -> None:
    keras = pytest.importorskip("keras")
    tf = pytest.importorskip("tensorflow")
    sparse = loss == "SparseCategoricalCrossentropy"
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 4)).astype(np.float32) * 3
    if not from_logits:
        x = functional.sigmoid(x) if loss == "BinaryCrossentropy" else functional.softmax(x)
        x[0] = [0, 1, 0, 0]  # a certain prediction
    classes = np.array([1, 0, 3, 2, 2])
    y: Any = classes if sparse else np.eye(4, dtype=np.float32)[classes]
    weights = np.array([0, 1, 2, 0.5, 3], np.float32) if weighted else None
    options = {"from_logits": from_logits, "reduction": reduction}
    if not sparse:
        options["label_smoothing"] = smoothing
    ours, theirs = getattr(losses, loss)(**options), getattr(keras.losses, loss)(**options)
    value, cache = ours.forward(y, x, weights)
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        expected = theirs(y, tensor, sample_weight=weights)
        total = tf.reduce_sum(expected)
    np.testing.assert_allclose(value, expected.numpy(), rtol=1e-4, atol=1e-6)
    gradient = tape.gradient(total, tensor).numpy()
    scale = max(1.0, float(np.abs(gradient).max()))
    np.testing.assert_allclose(ours.backward(cache) / scale, gradient / scale, atol=1e-4)


# -- bad targets -----------------------------------------------------------------------------------

BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: CategoricalCrossentropy()([0, 1], P), r"\(2, 3\).*\(2,\).*SparseCategorical"),
    (lambda: CategoricalCrossentropy()(np.eye(2), P), r"\(2, 3\).*Received y_true\.shape=\(2, 2\)"),
    (lambda: CategoricalCrossentropy()([[1, 0, np.nan], [0, 1, 0]], P), "between 0 and 1.*NaN"),
    (lambda: CategoricalCrossentropy()([[2, 0, 0], [0, 1, 0]], P), "between 0 and 1.*0 to 2"),
    (lambda: CategoricalCrossentropy()([[-1, 1, 1], [0, 1, 0]], P), "between 0 and 1.*-1 to 1"),
    (lambda: CategoricalCrossentropy()([["a"] * 3] * 2, P), "targets to be numbers"),
    (
        lambda: SparseCategoricalCrossentropy()([0, 3], P),
        "from 0 to 2. Received values from 0 to 3",
    ),
    (lambda: SparseCategoricalCrossentropy()([-1, 0], P), "from 0 to 2. .*-1"),
    (lambda: SparseCategoricalCrossentropy()([0, np.nan], P), "from 0 to 2. Received NaN"),
    (lambda: SparseCategoricalCrossentropy()([0, 1.5], P), "whole class numbers"),
    (lambda: SparseCategoricalCrossentropy()(np.eye(3)[:2], P), "One-hot targets go with Categor"),
    (
        lambda: SparseCategoricalCrossentropy(ignore_class=0),
        "SparseCategoricalCrossentropy does not support ignore_class. Received 0; a sample_weight",
    ),
    (lambda: SparseCategoricalCrossentropy()([0], P), r"\(2,\).*\(1,\)"),
    (lambda: SparseCategoricalCrossentropy()(["dress", "hat"], P), "targets to be numbers"),
    (lambda: BinaryCrossentropy()([0, 1, 1], np.array([[0.5], [0.5]])), r"\(2, 1\).*\(3, 1\)"),
    (lambda: BinaryCrossentropy()([0, 7], np.array([[0.5], [0.5]])), "0 to 7"),
    (lambda: CategoricalCrossentropy()(np.eye(3)[:2], P, [1, 2, 3]), r"one sample weight.*\(3,\)"),
    (lambda: CategoricalCrossentropy()(np.eye(3)[:2], P, np.ones((2, 2))), "one sample weight"),
    (lambda: CategoricalCrossentropy(label_smoothing=2), r"label_smoothing in \[0, 1\].*2"),
    (lambda: CategoricalCrossentropy(reduction="average"), "reduction .*average"),
    (lambda: CategoricalCrossentropy(axis=1), "axis=-1"),
    (lambda: losses.get("crossentropy"), "categorical_crossentropy.*'crossentropy'"),
    (lambda: losses.get(3), "Received 3"),
    (
        lambda: losses.get(
            {"class_name": "SparseCategoricalCrossentropy", "config": {"ignore_class": 1}}
        ),
        "ignore_class",
    ),
]


@pytest.mark.parametrize(("use", "message"), BAD, ids=[m for _, m in BAD])
def test_what_does_not_fit_is_refused(use: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        use()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_config_makes_the_loss_again(loss: type) -> None:
    made = loss(from_logits=True, reduction="sum", name="mine")
    copy = losses.get({"class_name": loss.__name__, "config": made.get_config()})
    assert copy.get_config() == made.get_config()
    assert (copy.from_logits, copy.reduction, copy.name) == (True, "sum", "mine")
    assert isinstance(losses.get(loss.__name__), loss)
    assert isinstance(losses.get(loss().name), loss)
    assert losses.get(made) is made


# -- metrics ---------------------------------------------------------------------------------------


def test_accuracies_by_hand() -> None:
    p = np.array([[0.1, 0.9], [0.6, 0.4], [0.5, 0.5]])
    assert metrics.CategoricalAccuracy()(np.eye(2)[[1, 1, 0]], p) == pytest.approx(2 / 3)
    assert metrics.SparseCategoricalAccuracy()([1, 1, 0], p) == pytest.approx(2 / 3)
    assert metrics.SparseCategoricalAccuracy()([[1], [1], [0]], p) == pytest.approx(2 / 3)
    # A probability exactly at the threshold counts as class 0.
    assert metrics.BinaryAccuracy()([1, 0, 1], np.array([[0.9], [0.5], [0.5]])) == pytest.approx(
        2 / 3
    )
    assert metrics.BinaryAccuracy(threshold=0.95)([1, 0], np.array([[0.9], [0.5]])) == 0.5


def test_a_metric_accumulates_over_batches() -> None:
    metric = metrics.SparseCategoricalAccuracy()
    assert metric.result() == 0
    metric.update_state([0], np.array([[0.9, 0.1]]))
    metric.update_state([0, 0, 0], np.array([[0.1, 0.9]] * 3))
    assert metric.result() == 0.25
    metric.reset_state()
    metric.update_state([0, 1], np.array([[0.9, 0.1]] * 2), sample_weight=[3, 1])
    assert metric.result() == 0.75


def test_a_mean_of_numbers() -> None:
    mean = metrics.Mean()
    mean.update_state(1.0, sample_weight=3)
    mean.update_state([4.0, 6.0])
    assert mean.result() == pytest.approx((3 + 10) / 5)
    mean.reset_state()
    mean.update_state([[1, 3], [5, 7]], [1, 0])  # a weight for each row
    assert mean.result() == 2.0
    assert metrics.Mean()([[1, 3], [5, 7]], [0, 1]) == 6.0  # metrics can be called, as in Keras
    assert mean([4.0]) == 3.0


WEIGHTS = [(), (1,), (4,), (4, 1), (4, 3), (4, 4), (1, 4), (4, 3, 1), (4, 3, 2), (4, 1, 1), (3,)]


def same_as_keras(use: Callable[[Any], Any]) -> None:
    """Assert that the number is Keras's, or a ValueError where Keras refuses."""
    keras = pytest.importorskip("keras")
    try:
        expected = float(use(keras))
    except Exception:
        with pytest.raises(ValueError, match=r"expects sample_weight to have the shape of the val"):
            use(minicnn)
    else:
        assert use(minicnn) == pytest.approx(expected, rel=1e-5)


@pytest.mark.keras
@pytest.mark.parametrize("weights", [None, *WEIGHTS], ids=str)
def test_weights_belong_to_the_first_axes_as_in_keras(weights: tuple[int, ...] | None) -> None:
    """This holds for means of any rank, and accuracies of classes, rows of classes and images."""
    rng = np.random.default_rng(0)
    w = None if weights is None else rng.random(weights)

    def gathered(metric: Any, *data: Any) -> Any:
        metric.update_state(*data, sample_weight=w)
        metric.update_state(*data)  # now the count matters, too
        return metric.result()

    for shape in ((), (4,), (4, 1), (4, 3), (4, 4), (4, 3, 2), (4, 4, 4)):
        values = rng.random(shape)
        same_as_keras(lambda k, v=values: gathered(k.metrics.Mean(), v))
    for shape in ((4,), (4, 3), (4, 4)):
        p = rng.random((*shape, 3)).astype(np.float32)
        classes = rng.integers(0, 3, shape)
        for name, y, pred in (
            ("CategoricalAccuracy", np.eye(3)[classes], p),
            ("SparseCategoricalAccuracy", classes, p),
            ("BinaryAccuracy", np.eye(3)[classes], p),
            ("BinaryAccuracy", classes > 1, p[..., :1]),
        ):
            same_as_keras(lambda k, n=name, y=y, p=pred: gathered(getattr(k.metrics, n)(), y, p))


def test_a_loss_has_weights_for_examples_and_for_pixels() -> None:
    p = np.array([[[0.5, 0.5], [0.9, 0.1]], [[0.2, 0.8], [0.7, 0.3]]])
    each = -np.log([[0.5, 0.9], [0.8, 0.7]])
    classes = [[0, 0], [1, 0]]
    loss = SparseCategoricalCrossentropy()
    for weights in (2.0, [1, 3], [[1], [3]], [[1, 2], [3, 4]], [[[1], [2]], [[3], [4]]]):
        w = np.asarray(weights, np.float64)
        w = w[..., 0] if w.ndim == 3 else w.reshape(w.shape + (1,) * (2 - w.ndim))
        assert loss(classes, p, weights) == pytest.approx((each * w).mean())


@pytest.mark.parametrize(
    ("target", "output", "kind"),
    [
        ((8, 10), (8, 10), metrics.CategoricalAccuracy),
        ((8,), (8, 10), metrics.SparseCategoricalAccuracy),
        ((8, 1), (8, 10), metrics.SparseCategoricalAccuracy),
        ((8, 1), (8, 1), metrics.BinaryAccuracy),
        ((8,), (8, 1), metrics.BinaryAccuracy),
    ],
)
def test_the_shape_of_targets_decides_which_accuracy(target: Any, output: Any, kind: type) -> None:
    for name in ("accuracy", "acc"):
        found = metrics.get(name, target, output)
        assert type(found) is kind
        assert found.name == name


@pytest.mark.keras
@pytest.mark.parametrize(
    "metric", ["CategoricalAccuracy", "SparseCategoricalAccuracy", "BinaryAccuracy"]
)
def test_metrics_are_keras_s(metric: str) -> None:
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(0)
    p = rng.random((12, 3)).astype(np.float32)
    y: Any = rng.integers(0, 3, 12)
    if metric == "CategoricalAccuracy":
        y = np.eye(3)[y]
    elif metric == "BinaryAccuracy":
        y = rng.integers(0, 2, (12, 3))
    weights = rng.random(12)
    ours, theirs = getattr(metrics, metric)(), getattr(keras.metrics, metric)()
    assert ours.name == theirs.name
    for part in (slice(0, 5), slice(5, 12)):
        ours.update_state(y[part], p[part], weights[part])
        theirs.update_state(y[part], p[part], weights[part])
    assert ours.result() == pytest.approx(float(theirs.result()), rel=1e-5)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: metrics.CategoricalAccuracy()([0, 1], P), r"shape \(2, 3\). Received \(2,\)"),
        (lambda: metrics.SparseCategoricalAccuracy()([0] * 3, P), r"shape \(2,\). Received \(3,\)"),
        (lambda: metrics.BinaryAccuracy()([0, 1], P), r"shape \(2, 3\)"),
        (lambda: metrics.get("r3_score", (1, 2), (1, 2)), "one of \"accuracy\", .*'r3_score'"),
        (lambda: metrics.get({"class_name": "R2Scores"}, (1, 2), (1, 2)), "R2Scores"),
    ],
)
def test_a_metric_that_does_not_fit_is_refused(use: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        use()


def test_messages_begin_with_the_class_name() -> None:
    """The first word of every message above says which loss complains."""
    for use, _ in BAD[:20]:
        with pytest.raises((ValueError, TypeError)) as raised:
            use()
        assert re.match(r"(Sparse)?(Categorical|Binary)Crossentropy ", str(raised.value))


@pytest.mark.keras
@pytest.mark.parametrize(
    ("name", "y_true", "shape"),
    [
        ("SparseCategoricalAccuracy", [[2], [1]], (1, 2, 3)),
        ("SparseCategoricalAccuracy", [2, 1], (1, 2, 3)),
        ("SparseCategoricalAccuracy", [[[2], [1]]], (1, 2, 3)),
        ("SparseCategoricalAccuracy", [[2], [0]], (2, 3)),
        ("BinaryAccuracy", [[1], [0]], (2, 3)),
        ("BinaryAccuracy", [[1], [0]], (2,)),
        ("BinaryAccuracy", [1, 0], (2, 1)),
    ],
)
def test_targets_of_another_shape_are_compared_as_in_keras(
    name: str, y_true: Any, shape: tuple[int, ...]
) -> None:
    keras = pytest.importorskip("keras")
    p = np.array([0.1, 0.2, 0.7, 0.6, 0.3, 0.1], np.float32)[: np.prod(shape)].reshape(shape)
    theirs = float(getattr(keras.metrics, name)()(np.array(y_true), p))
    assert getattr(metrics, name)()(y_true, p) == pytest.approx(theirs)


@pytest.mark.keras
@pytest.mark.parametrize(
    ("activation", "name"),
    [
        ("softmax", "binary_crossentropy"),
        ("sigmoid", "categorical_crossentropy"),
        ("sigmoid", "sparse_categorical_crossentropy"),
        ("softmax", "categorical_crossentropy"),
        ("softmax", "sparse_categorical_crossentropy"),
        ("sigmoid", "binary_crossentropy"),
    ],
)
@pytest.mark.parametrize("classes", [2, 3])
def test_activation_and_loss_agree_with_keras_on_jax_or_tensorflow(
    activation: str, name: str, classes: int
) -> None:
    """Matching pairs give one number everywhere; others give JAX's number, with a warning."""
    tensorflow = pytest.importorskip("keras.src.backend.tensorflow.nn")
    jax = pytest.importorskip("keras.src.backend.jax.nn")
    z = np.random.default_rng(0).normal(size=(4, classes)).astype(np.float32)
    numbers = np.arange(4) % classes
    y = numbers if name.startswith("sparse") else np.eye(classes, dtype=np.float32)[numbers]
    model = Sequential([Input((classes,)), layers.Activation(activation, name="end")])
    model.compile("sgd", name)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = model.evaluate(z, y, verbose=0)
    on_jax = np.mean(getattr(jax, name)(y, model(z)))
    p = getattr(tensorflow, activation)(z)  # it remembers z, which Keras's loss looks for
    on_tensorflow = np.mean(getattr(tensorflow, name)(y, p))
    assert found == pytest.approx(float(on_jax), rel=1e-5)
    belongs = (activation == "sigmoid") == (name == "binary_crossentropy")
    assert (found == pytest.approx(float(on_tensorflow), rel=1e-5)) is belongs
    assert [f"ends in {activation}" in str(w.message) for w in told] == [True] * (not belongs)
    assert all("on TensorFlow Keras uses the " in str(w.message) for w in told)
