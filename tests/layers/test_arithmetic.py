"""Arithmetic on symbols makes the layers Divide, Reciprocal, Power and GetItem."""

from typing import Any

import numpy as np
import pytest
from gradients import check_gradients
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_uses import as_list

import minicnn
from minicnn import Input, Model, explain, layers
from minicnn.layers.arithmetic import OPERATIONS, Divide, GetItem, Power, Reciprocal, Stack

Array = np.ndarray


def test_by_hand() -> None:
    a, b = np.array([[6, 8]], np.float32), np.array([[2, 4]], np.float32)
    dy = np.array([[1, 2]], np.float32)
    for layer, x, y, dx in (
        (Divide(), [a, b], [3, 2], [[0.5, 0.5], [-1.5, -1.0]]),
        (Reciprocal(8), b, [4, 2], [[-2, -1]]),
        (Power(3), b, [8, 64], [[12, 96]]),
        (Power(0.5), b**2, [2, 4], [[0.25, 0.25]]),
        (Power(0), b, [1, 1], [[0, 0]]),
        (GetItem((slice(None), 1)), a, [8], [[0, 1]]),
        (Stack(), [a[:, 0:1], b[:, 0:1]], [6, 2], [[1], [2]]),
        (Stack(-1), [a[0], b[0]], [6, 2, 8, 4], [[1, 1], [2, 2]]),
        (GetItem((Ellipsis, slice(None, None, -1))), a, [8, 6], [[2, 1]]),
        (GetItem([slice(None), None, slice(1, 2)]), a, [8], [[0, 1]]),
    ):
        found, cache = layer.forward(x)
        np.testing.assert_allclose(found.ravel(), y)
        dxs, grads = layer.backward(np.resize(dy, found.shape), cache)
        np.testing.assert_allclose([part.ravel() for part in as_list(dxs)], dx)
        assert grads == {}
    assert GetItem((slice(None), None, 0))(a).shape == (1, 1)


def test_division_by_0_gives_infinity_or_nan() -> None:
    """As in NumPy and Keras, there is no warning, and no other number changes."""
    zero, one = np.array([[0, 1]], np.float32), np.array([[1, 1]], np.float32)
    y, cache = Divide().forward([one, zero])
    np.testing.assert_array_equal(y, [[np.inf, 1]])
    dx, _ = Divide.backward(cache.layer, one, cache)
    np.testing.assert_array_equal([part[0, 1] for part in dx], [1, -1])
    y, cache = Reciprocal().forward(zero)
    np.testing.assert_array_equal(y, [[np.inf, 1]])
    np.testing.assert_array_equal(cache.layer.backward(one, cache)[0], [[-np.inf, -1]])
    y, cache = Power(0.5).forward(-one)
    assert np.isnan(y).all()
    assert np.isnan(cache.layer.backward(one, cache)[0]).all()


@st.composite
def slices(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=2, max_size=4)))
    parts: list[Any] = [slice(None)]
    for size in shape[1 : draw(st.integers(1, len(shape)))]:
        if draw(st.booleans()):
            parts.append(None)
        first = draw(st.integers(-size, size - 1))
        step = draw(st.sampled_from([None, 1, 2, -1]))
        parts.append(draw(st.sampled_from([first, slice(first, None, step), slice(None)])))
    if draw(st.booleans()):  # in the middle only where it covers no axis
        every = sum(part is not None for part in parts) == len(shape)
        parts.insert(draw(st.integers(1, len(parts))) if every else len(parts), Ellipsis)
    return shape, tuple(parts)


@settings(deadline=None)
@given(case=slices())
def test_slices_are_numpy_s(case: tuple[tuple[int, ...], tuple[Any, ...]]) -> None:
    shape, key = case
    x = np.random.default_rng(0).standard_normal(shape)
    expected = x[key]
    layer = GetItem(key, dtype="float64")
    assert layer.compute_output_shape(shape) == expected.shape
    unknown = layer.compute_output_shape((None, *shape[1:]))
    assert unknown == (None, *expected.shape[1:])
    np.testing.assert_array_equal(layer(x), expected)
    check_gradients(
        lambda x: layer.forward(x)[0],
        lambda dy, x: [layer.backward(dy, layer.forward(x)[1])[0]],
        [x],
        np.random.default_rng(1),
    )
    assert GetItem.from_config(layer.get_config()).key == layer.key
    empty, cache = layer.forward(x[:0])
    assert layer.backward(empty, cache)[0].shape == (0, *shape[1:])


def test_slices_of_an_unknown_size() -> None:
    x = Input((None, 5, 3))
    assert (x[:, 2:].shape, x[:, 0].shape) == ((None, None, 5, 3), (None, 5, 3))
    assert x[..., :1].shape == (None, None, 5, 1)


def test_gradients_agree_with_differences() -> None:
    rng = np.random.default_rng(0)
    for layer, count in ((Divide(), 2), (Reciprocal(2.5), 1), (Power(2.5), 1)):
        layer.dtype = "float64"
        xs = [rng.uniform(0.5, 2, (2, 3, 1 if n else 2)) for n in range(count)]

        def run(arrays: tuple[Array, ...], layer: Any = layer, count: int = count) -> Any:
            return layer.forward(list(arrays) if count > 1 else arrays[0])

        def backward(dy: Array, *arrays: Array, layer: Any = layer, run: Any = run) -> list[Array]:
            return as_list(layer.backward(dy, run(arrays)[1])[0])

        check_gradients(lambda *arrays, run=run: run(arrays)[0], backward, xs, rng)


def small() -> Model:
    x = layers.Conv2D(4, 3)(Input((8, 8, 3)))
    y = 1 / (x[:, ::2] ** 2 + 1) - x[:, 1::2] / (x[..., :1] ** 2 + 1)[:, :3]
    y = Stack(-2)([y, x[:, :3]])
    return Model(x.node.inputs[0], layers.Dense(2)(layers.Flatten()(y)))


def test_a_model_of_them_trains_and_its_config_makes_it_again() -> None:
    minicnn.utils.set_random_seed(0)
    model = small()
    x = np.random.default_rng(0).standard_normal((4, 8, 8, 3)).astype(np.float32)
    model.compile("sgd", "mse")
    before = model.evaluate(x, np.zeros((4, 2)), verbose=0)
    model.fit(x, np.zeros((4, 2)), epochs=3, verbose=0)
    assert model.evaluate(x, np.zeros((4, 2)), verbose=0) < before
    again = minicnn.models.clone_model(model)
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    np.testing.assert_allclose(model.run(x), model.predict(x, verbose=0), rtol=1e-5)
    assert {type(layer).__name__ for layer in again.layers} >= set(OPERATIONS)


def test_their_numbers_are_explained() -> None:
    model, rng = small(), np.random.default_rng(0)
    x = rng.standard_normal((2, 8, 8, 3)).astype(np.float32)
    trace = model.trace(x, y=np.zeros((2, 2)), loss="mse")
    for name in OPERATIONS:
        (entry, *_) = [e for e in trace.entries if type(e.layer).__name__ == name]
        for _ in range(3):
            at = tuple(int(rng.integers(n)) for n in entry.y.shape[1:])
            e = trace.explain(entry.name, at)
            assert abs(e.difference) <= e.tolerance, str(e)
            sources = entry.dx if isinstance(entry.dx, list) else [entry.dx]
            for source, part in enumerate(sources):
                at = tuple(int(rng.integers(n)) for n in part.shape[1:])
                g = trace.explain_gradient(entry.name, "dx", at, 0, source)
                assert abs(g.difference) <= g.tolerance, str(g)
    assert isinstance(e, explain.Explanation)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda x: Divide()([x]), "expects 2 inputs|Received 1"),
        (lambda x: Divide()([x, x, x]), "expects 2 inputs. Received 3"),
        (lambda x: Reciprocal("a"), "numerator to be a number. Received 'a'"),
        (lambda x: Power(float("nan")), "exponent to be a number. Received nan"),
        (lambda x: GetItem("a"), "key to have integers, slices .*Received 'a'"),
        (lambda x: GetItem((True,)), "key .*Received True"),
        (lambda x: GetItem(slice(None, 2.0)), r"key .*Received slice\(None, 2.0, None\)"),
        (lambda x: GetItem(slice(0, 1, 0)), "key .*Received slice"),
        (lambda x: GetItem((..., 0, ...)), "one ... in key"),
        (lambda x: GetItem([None] * 99), "at most 16 parts. Received 99"),
        (lambda x: GetItem(0)(x), r"whole batch: .*key=\(0,\) for 2 axes"),
        (lambda x: GetItem((slice(0, 1), 0))(x), "whole batch"),
        (lambda x: GetItem((..., 0, 0, 0))(x), "whole batch|axes of its key"),
        (lambda x: GetItem((slice(None), 3))(x), r"the place 3. Received \(2, 3\)"),
        (lambda x: GetItem((slice(None), slice(3, None)))(x), r"nothing of inputs .*\(2, 3\)"),
        (lambda x: Stack(0), "not 0, the batch. Received 0"),
        (lambda x: Stack(1.0), "axis to be an integer.*Received 1.0"),
        (lambda x: Stack(1)([x, x[:1]]), r"one shape.*Received \[\(2, 3\), \(1, 3\)\]"),
        (lambda x: Stack(3)([x, x]), "axes for axis=3"),
        (lambda x: Input((3,))[0], "whole batch"),
        (lambda x: Input((3,))[:, "a"], "key .*Received 'a'"),
    ],
)
def test_what_does_not_fit_is_refused(use: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        use(np.ones((2, 3), np.float32))
