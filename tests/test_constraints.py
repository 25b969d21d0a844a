"""Constraints change weights as by hand and in Keras, and have Keras's names and configs."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from minicnn import constraints
from minicnn.constraints import Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm

Array = np.ndarray
W = np.array([[3.0, 0.3], [-4.0, 0.4]])  # the columns have norms 5 and 0.5

BY_HAND: list[tuple[Constraint, Any]] = [
    (MaxNorm(1.0), [[0.6, 0.3], [-0.8, 0.4]]),
    (MaxNorm(1.0, axis=1), [[3 / 9.09**0.5, 0.3 / 9.09**0.5], [-4 / 16.16**0.5, 0.4 / 16.16**0.5]]),
    (NonNeg(), [[3.0, 0.3], [0.0, 0.4]]),
    (UnitNorm(), [[0.6, 0.6], [-0.8, 0.8]]),
    (UnitNorm(axis=(0, 1)), W / 25.25**0.5),
    (MinMaxNorm(1.0, 2.0), [[1.2, 0.6], [-1.6, 0.8]]),
    # Halfway to the limits, norms 5 and 0.5 become 3.5 and 0.75.
    (MinMaxNorm(1.0, 2.0, rate=0.5), [[2.1, 0.45], [-2.8, 0.6]]),
    (Constraint(), W),
]
CONSTRAINTS = [made for made, _ in BY_HAND[:-1]] + [MaxNorm(), MinMaxNorm(), MaxNorm(3, [0, 1])]


def title(constraint: Any) -> str:
    return f"{type(constraint).__name__}-{list(vars(constraint).values())}"


@pytest.mark.parametrize(("constraint", "expected"), BY_HAND)
def test_by_hand(constraint: Constraint, expected: Any) -> None:
    before = W.copy()
    np.testing.assert_allclose(constraint(W), expected, rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(before, W)


@settings(max_examples=40, deadline=None)
@given(
    w=arrays.arrays(
        np.float32, st.tuples(*[st.integers(1, 5)] * 2), elements=st.floats(-3, 3, width=32)
    )
)
def test_norms_end_up_within_their_limits(w: Array) -> None:
    def norms(w: Array) -> Array:
        return np.sqrt((w.astype(np.float64) ** 2).sum(axis=0))

    assert (norms(MaxNorm(1.5)(w)) <= 1.5 + 1e-5).all()
    large = norms(w) > 1e-2
    np.testing.assert_allclose(norms(UnitNorm()(w))[large], 1, rtol=1e-4)
    found = norms(MinMaxNorm(0.5, 2.0)(w))[large]
    assert ((found >= 0.5 - 1e-4) & (found <= 2 + 1e-4)).all()
    assert (NonNeg()(w) >= 0).all()
    for constraint in CONSTRAINTS:
        assert constraint(w).dtype == w.dtype
        assert constraint(w).shape == w.shape
        assert np.isfinite(constraint(w)).all()


@pytest.mark.keras
@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=title)
def test_keras_computes_the_same_and_reads_our_config(constraint: Constraint) -> None:
    keras = pytest.importorskip("keras")
    theirs = keras.constraints.deserialize(constraints.serialize(constraint))
    w = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    np.testing.assert_allclose(constraint(w), np.asarray(theirs(w)), rtol=1e-6, atol=1e-7)
    back: Any = constraints.get(keras.constraints.serialize(theirs))
    assert back.get_config() == constraint.get_config()


def test_names() -> None:
    for name, cls in {
        "max_norm": MaxNorm,
        "non_neg": NonNeg,
        "unit_norm": UnitNorm,
        "min_max_norm": MinMaxNorm,
        "NonNeg": NonNeg,
    }.items():
        assert type(constraints.get(name)) is cls
    assert constraints.get(None) is None
    assert type(constraints.get(NonNeg)) is NonNeg
    assert constraints.max_norm is MaxNorm
    assert constraints.get(abs) is abs
    assert (
        constraints.deserialize({"class_name": "MaxNorm", "config": {"max_value": 3}}).max_value
        == 3
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaxNorm(-1), "MaxNorm expects max_value to be a finite number >= 0. Received -1"),
        (lambda: MaxNorm(None), "max_value .*Received None"),
        (lambda: UnitNorm("rows"), "axis to be an integer, or several. Received 'rows'"),
        (lambda: UnitNorm((0, None)), r"axis .*Received \(0, None\)"),
        (lambda: MinMaxNorm(2, 1), "min_value <= max_value. Received min_value=2, max_value=1"),
        (lambda: MinMaxNorm(rate=float("inf")), "rate .*Received inf"),
        (lambda: MaxNorm(axis=2)(W), r"MaxNorm expects a weight that has the axis 2. .*\(2, 2\)"),
        (lambda: UnitNorm(axis=(0, 0))(W), r"axis \[0, 0\]"),
        (lambda: UnitNorm(axis=2**70)(W), "has the axis 1180591620717411303424"),
        (lambda: constraints.get("max"), "one of max_norm, non_neg.*Received 'max'"),
        (lambda: constraints.get(3), "Received 3"),
        (lambda: constraints.serialize(abs), "cannot hold a constraint that is a function"),
    ],
)
def test_what_is_refused(make: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make()
