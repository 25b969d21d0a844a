"""Every operation agrees with its plain-loop twin, and its gradients with differences."""

import inspect
import warnings

import numpy as np
import pytest
from gradients import check_gradients
from hypothesis import given, settings
from hypothesis import strategies as st
from operations import (
    ALL,
    DTYPES,
    FEW,
    MANY,
    OF_INPUT,
    OPERATIONS,
    SEEDS,
    WAYS,
    assert_agrees,
    assert_same,
    awkward,
)

from minicnn import functional, naive


def test_every_operation_is_in_the_table() -> None:
    public = {
        name.removesuffix("_backward")
        for name, function in inspect.getmembers(functional, inspect.isfunction)
        if function.__module__.startswith(functional.__name__) and not name.startswith("_")
    }
    described = {name.split(",")[0] for name in ALL} - {"activations"}
    assert public == described | set(OF_INPUT) | {"affine_transform"}
    assert all(callable(getattr(naive, name)) for name in public)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALL)
@MANY
@given(data=st.data(), seed=SEEDS)
def test_agrees_with_the_loops(name: str, dtype: type, data: st.DataObject, seed: int) -> None:
    operation = data.draw(ALL[name]())
    assert_agrees(operation, operation.arrays(dtype, np.random.default_rng(seed)))


@pytest.mark.parametrize("name", [name for name in ALL if name != "batch_moments"])
@FEW
@given(data=st.data(), seed=SEEDS)
def test_gradients_agree_with_differences(name: str, data: st.DataObject, seed: int) -> None:
    operation, rng = data.draw(ALL[name]()), np.random.default_rng(seed)
    check_gradients(
        lambda *arrays: operation.forward(functional, *arrays),
        lambda dy, *arrays: operation.backward(functional, dy, *arrays),
        operation.arrays(np.float64, rng, whole=False),
        rng,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPERATIONS)
@settings(deadline=None, max_examples=5)
@given(data=st.data())
def test_an_empty_batch(name: str, dtype: type, data: st.DataObject) -> None:
    """y and dx are empty; nothing adds to dw, so it is 0."""
    operation = data.draw(OPERATIONS[name](batch=0))
    arrays = operation.arrays(dtype, np.random.default_rng(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = operation.forward(functional, *arrays)
        assert y.shape[0] == 0
        assert_agrees(operation, arrays)
        for x, dx in zip(arrays, operation.backward(functional, y, *arrays), strict=True):
            assert dx is None or (dx.shape == x.shape and not dx.any())


@pytest.mark.parametrize("kind", ["transposed", "every second", "reversed"])
@pytest.mark.parametrize("name", ALL)
@settings(deadline=None, max_examples=8)
@given(data=st.data(), seed=SEEDS)
def test_any_layout_in_memory(name: str, kind: str, data: st.DataObject, seed: int) -> None:
    operation, rng = data.draw(ALL[name]()), np.random.default_rng(seed)
    arrays = operation.arrays(np.float32, rng)
    y = operation.forward(functional, *arrays)
    others = [awkward(x, kind) for x in arrays]
    assert_same(operation.forward(functional, *others), y, operation.exact, f"{operation.options}")
    if operation.backward is not None:
        dy = operation.gradient_for(y, rng)
        gradients = operation.backward(functional, dy, *arrays)
        found = operation.backward(functional, awkward(dy, kind), *others)
        for a, b in zip(found, gradients, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                assert_same(a, b, operation.exact, f"{operation.options}")


@pytest.mark.parametrize("name", ALL)
@FEW
@given(data=st.data(), seed=SEEDS)
def test_inputs_stay_as_they_are(name: str, data: st.DataObject, seed: int) -> None:
    """A call does not write to them or share their memory, and a second call gives the same."""
    operation, rng = data.draw(ALL[name]()), np.random.default_rng(seed)
    arrays = operation.arrays(np.float32, rng)
    before = [x.copy() for x in arrays]
    y = operation.forward(functional, *arrays)
    results = [y]
    if operation.backward is not None:
        dy = operation.gradient_for(y, rng)
        dy_before = dy.copy()
        gradients = operation.backward(functional, dy, *arrays)
        np.testing.assert_array_equal(dy, dy_before)
        results += [dx for dx in gradients if dx is not None]
        again = operation.backward(functional, dy, *arrays)
        for a, b in zip(gradients, again, strict=True):
            assert a is None if b is None else np.array_equal(a, b)
        assert not any(np.shares_memory(a, dy) for a in results)
    np.testing.assert_array_equal(operation.forward(functional, *arrays), y)
    for x, x_before in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(x, x_before)
        assert not any(np.shares_memory(a, x) for a in results)


@pytest.mark.parametrize(
    ("name", "more"),
    [("dense", {})]
    + [("conv2d", {"algorithm": way}) for way in WAYS]
    + [("conv2d_transpose", {"algorithm": way}) for way in WAYS]
    + [("depthwise_conv2d", {"algorithm": way}) for way in ("auto", "naive")]
    + [("conv2d", {"groups": 2}), ("conv2d", {"strides": 2})],
)
def test_only_the_gradients_that_are_needed_are_computed(name: str, more: dict) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.random((2, 4, 4, 2), np.float32), rng.random((3, 3, 2, 2), np.float32)
    if name == "dense":
        x, w = x[:, 0, 0], w[0, 0]
    if "groups" in more:
        w = w[:, :, :1]
    dy = np.ones_like(getattr(functional, name)(x, w, **more))
    backward = getattr(functional, f"{name}_backward")
    dx, dw, db = backward(dy, x, w, **more)
    only_dx = backward(dy, x, w, need_dw=False, **more)
    assert only_dx[1:] == (None, None)
    np.testing.assert_array_equal(only_dx[0], dx)
    rest = backward(dy, x, w, need_dx=False, **more)
    assert rest[0] is None
    np.testing.assert_array_equal(rest[1], dw)
    np.testing.assert_array_equal(rest[2], db)
    assert backward(dy, x, w, need_dx=False, need_dw=False, **more) == (None, None, None)


def test_batch_normalization_without_dx() -> None:
    rng = np.random.default_rng(0)
    dy, x, gamma = rng.random((5, 3)), rng.random((5, 3)), rng.random(3)
    given = dy, x, *functional.batch_moments(x), gamma
    dx, dgamma, dbeta = functional.batch_normalization_backward(*given, training=True)
    found = functional.batch_normalization_backward(*given, training=True, need_dx=False)
    assert dx is not None
    assert found[0] is None
    np.testing.assert_array_equal(found[1], dgamma)
    np.testing.assert_array_equal(found[2], dbeta)
