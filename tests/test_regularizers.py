"""Regularizers have penalties by hand, the right gradients, and Keras's names and configs."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from minicnn import regularizers
from minicnn.regularizers import L1, L1L2, L2, OrthogonalRegularizer, Regularizer

Array = np.ndarray
X = np.array([[3.0, -4.0], [0.0, 2.0]])

BY_HAND: list[tuple[Regularizer, float, Any]] = [
    (L1(0.5), 4.5, [[0.5, -0.5], [0.0, 0.5]]),  # 0.5 * (3 + 4 + 0 + 2)
    (L2(0.5), 14.5, [[3.0, -4.0], [0.0, 2.0]]),  # 0.5 * (9 + 16 + 0 + 4)
    (L1L2(1.0, 0.5), 23.5, [[4.0, -5.0], [0.0, 3.0]]),
    (L1L2(), 0.0, [[0.0, 0.0], [0.0, 0.0]]),
    # n[0] = (0.6, -0.8) and n[1] = (0, 1) are the only pair, with product -0.8. The gradient of 0.8
    # by x[0] is -(n[1] - n[0] * -0.8) / 5 = -(0.48, 0.36) / 5; by x[1] it is -(0.6, 0) / 2.
    (OrthogonalRegularizer(10.0), 8.0, [[-0.96, -0.72], [-3.0, 0.0]]),
]
REGULARIZERS = [
    *(L1(), L2(), L1L2(0.1, 0.2), L1L2(), L1(0.0), L2(3)),
    *(OrthogonalRegularizer(), OrthogonalRegularizer(0.5, "columns")),
]


def title(regularizer: Any) -> str:
    return f"{type(regularizer).__name__}-{list(vars(regularizer).values())}"


@pytest.mark.parametrize(("regularizer", "penalty", "gradient"), BY_HAND)
def test_by_hand(regularizer: Regularizer, penalty: float, gradient: Any) -> None:
    assert regularizer(X) == pytest.approx(penalty, rel=1e-12)
    np.testing.assert_allclose(regularizer.gradient(X), gradient, rtol=1e-12, atol=1e-15)


def test_columns_are_the_rows_of_the_transposed_matrix() -> None:
    rows, columns = OrthogonalRegularizer(2.0), OrthogonalRegularizer(2.0, mode="columns")
    x = np.random.default_rng(0).standard_normal((4, 3))
    assert columns(x) == rows(x.T)
    np.testing.assert_array_equal(columns.gradient(x), rows.gradient(x.T).T)


def test_one_row_has_no_pair_and_a_row_of_zeros_no_direction() -> None:
    regularizer = OrthogonalRegularizer()
    assert regularizer(np.ones((1, 3))) == 0
    np.testing.assert_array_equal(regularizer.gradient(np.ones((1, 3))), np.zeros((1, 3)))
    flat = np.array([[0.0, 0.0], [1.0, 1.0]])
    assert regularizer(flat) == 0
    assert np.isfinite(regularizer.gradient(flat)).all()


@settings(max_examples=30, deadline=None)
@given(x=arrays.arrays(np.float64, st.tuples(*[st.integers(2, 5)] * 2), elements=st.floats(-2, 2)))
@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=title)
def test_the_gradient_is_the_slope(regularizer: Regularizer, x: Array) -> None:
    # The slope is along a random direction, away from 0, where |x| has a kink.
    x = x + np.where(x < 0, -0.3, 0.3) + 0.01 * np.random.default_rng(0).standard_normal(x.shape)
    d = np.random.default_rng(1).standard_normal(x.shape)
    h = 1e-6
    slope = (regularizer(x + h * d) - regularizer(x - h * d)) / (2 * h)
    gradient = regularizer.gradient(x)
    assert gradient.shape == x.shape
    assert (gradient * d).sum() == pytest.approx(slope, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=title)
def test_a_gradient_has_the_dtype_of_the_weights(regularizer: Regularizer) -> None:
    for dtype in (np.float32, np.float64):
        assert regularizer.gradient(X.astype(dtype)).dtype == dtype


@pytest.mark.keras
@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=title)
def test_keras_computes_the_same_and_reads_our_config(regularizer: Regularizer) -> None:
    keras = pytest.importorskip("keras")
    tf = pytest.importorskip("tensorflow")
    theirs = keras.regularizers.deserialize(regularizers.serialize(regularizer))
    x = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    x[1, 2] = 0
    variable = tf.Variable(x)
    with tf.GradientTape() as tape:
        penalty = theirs(variable)
    assert regularizer(x) == pytest.approx(float(penalty), rel=1e-5)
    if regularizer(x):
        expected = tape.gradient(penalty, variable)
        np.testing.assert_allclose(regularizer.gradient(x), expected, rtol=1e-4, atol=1e-7)
    back = regularizers.get(keras.regularizers.serialize(theirs))
    assert type(back) is type(regularizer)
    for key, value in regularizer.get_config().items():
        assert back.get_config()[key] == (
            value if isinstance(value, str) else pytest.approx(value, rel=1e-6)
        )


def test_names() -> None:
    for name, cls in {"l1": L1, "l2": L2, "L1": L1, "L1L2": L1L2, "l1l2": L1L2}.items():
        assert type(regularizers.get(name)) is cls
    both = regularizers.get("l1_l2")
    assert (type(both), both.get_config()) == (L1L2, {"l1": 0.01, "l2": 0.01})
    assert L1L2().get_config() == {"l1": 0.0, "l2": 0.0}
    assert regularizers.get("orthogonal_regularizer").get_config()["mode"] == "rows"
    assert regularizers.get(L2).get_config() == {"l2": 0.01}
    assert regularizers.get(None) is None
    assert (regularizers.l1, regularizers.l2, regularizers.l1_l2) == (L1, L2, L1L2)
    own = L2(3)
    assert regularizers.get(own) is own
    assert regularizers.deserialize(regularizers.serialize(own)).get_config() == {"l2": 3.0}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: L1(-1), "L1 expects l1 to be a finite number >= 0. Received -1"),
        (lambda: L2("a"), "l2 .*Received 'a'"),
        (lambda: L2(float("nan")), "l2 .*Received nan"),
        (lambda: L1L2(l2=True), "l2 .*Received True"),
        (lambda: OrthogonalRegularizer(0.1, "diagonal"), "mode .*Received 'diagonal'"),
        (lambda: OrthogonalRegularizer()(np.ones((3, 3, 1, 2))), "a matrix.*Received shape"),
        (lambda: regularizers.get("l3"), "one of l1, l2, l1_l2, orthogonal_reg.*Received 'l3'"),
        (lambda: regularizers.get(0.01), "Received 0.01"),
        (lambda: regularizers.get(lambda w: 1.0), "function of your own needs its gradient"),
        (lambda: regularizers.get({"class_name": "L2", "config": {"l1": 1}}), "l1"),
        (lambda: regularizers.get({"class_name": "Mine", "config": {}}), "Mine"),
        (lambda: Regularizer()(X), "Regularizer has no __call__"),
        (lambda: Regularizer().gradient(X), "Regularizer has no gradient"),
    ],
)
def test_what_is_refused(make: Any, message: str) -> None:
    with pytest.raises((ValueError, NotImplementedError), match=message):
        make()


class Cubes(Regularizer):
    """The user's regularizer that the module's docstring shows."""

    def __call__(self, x: Any) -> float:
        return 0.01 * (np.abs(x) ** 3).sum()

    def gradient(self, x: Array) -> Array:
        return 0.03 * x * np.abs(x)


class Named(Cubes):
    def gradient(self, x: Array) -> Array:
        return np.full(x.shape, "steep")


def test_what_a_regularizer_of_your_own_returns_is_checked() -> None:
    with pytest.raises(TypeError, match="Named of w expects the gradient to be numbers"):
        Named().backward(X, "w")
    assert Cubes().forward(X, "w") == pytest.approx(0.01 * (27 + 64 + 8))
    np.testing.assert_allclose(Cubes().backward(X, "w"), [[0.27, -0.48], [0, 0.12]])

    class Wrong(Cubes):
        def __call__(self, x: Any) -> Any:
            return x

        def gradient(self, x: Array) -> Array:
            return x[0]

    with pytest.raises(ValueError, match=r"Wrong of w expects __call__ to return one number.*2"):
        Wrong().forward(X, "w")
    with pytest.raises(ValueError, match=r"Wrong of w .*\(2, 2\).*\(2,\)"):
        Wrong().backward(X, "w")
