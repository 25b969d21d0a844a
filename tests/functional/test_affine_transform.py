"""`affine_transform` gives answers computed by hand, and agrees with its plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from operations import DTYPES, MANY, SEEDS, assert_same, awkward, row

from minicnn import functional, naive

# Four pixels read at j + offset, as `scipy.ndimage.affine_transform` reads them.
MOVED = [
    ({}, 1, [20, 30, 40, 40]),
    ({"mode": "constant"}, 1, [20, 30, 40, 0]),
    ({"mode": "constant", "cval": 7}, -2, [7, 7, 10, 20]),
    ({"mode": "reflect"}, -2, [20, 10, 10, 20]),
    ({"mode": "reflect"}, 2, [30, 40, 40, 30]),
    ({"mode": "reflect"}, 9, [20, 30, 40, 40]),
    ({"mode": "wrap"}, 2, [30, 40, 20, 30]),  # the first pixel falls on the last
    ({"mode": "wrap"}, -3, [40, 20, 30, 10]),
    ({"mode": "wrap"}, -2, [20, 30, 10, 20]),
    ({"mode": "nearest"}, 0.5, [15, 25, 35, 40]),
    ({"mode": "constant"}, 0.5, [15, 25, 35, 0]),
    ({"mode": "reflect"}, -0.25, [10, 17.5, 27.5, 37.5]),
    ({"mode": "nearest", "order": 0}, 0.75, [20, 30, 40, 40]),
    ({"mode": "nearest", "order": 0}, 0.25, [10, 20, 30, 40]),
]


@pytest.mark.parametrize("module", [functional, naive])
@pytest.mark.parametrize(("options", "offset", "expected"), MOVED)
def test_affine_transform_by_hand(module, options: dict, offset: float, expected: list) -> None:
    y = module.affine_transform(row(10, 20, 30, 40), np.eye(2), (0, offset), **options)
    np.testing.assert_array_equal(y, row(*expected))
    upright = row(10, 20, 30, 40).transpose(1, 0, 2)
    y = module.affine_transform(upright, np.eye(2), (offset, 0), **options)
    np.testing.assert_array_equal(y[:, 0, 0], expected)


def test_affine_transform_turns_a_picture() -> None:
    x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])[:, :, None]
    # y[i, j] = x[j, 2 - i] is a quarter turn to the left, cut off after 2 rows.
    y = functional.affine_transform(x, [[0, 1], [-1, 0]], [0, 2], mode="constant", cval=-1)
    np.testing.assert_array_equal(y[:, :, 0], [[3, 6, -1], [2, 5, -1]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", functional.FILL_MODES)
@pytest.mark.parametrize("order", [0, 1])
@MANY
@given(data=st.data(), seed=SEEDS)
def test_affine_transform_agrees_with_the_loops(
    order: int, mode: str, dtype: type, data: st.DataObject, seed: int
) -> None:
    """Positions are quarters of pixels, so all arithmetic is exact, even at the edges."""
    quarters = st.integers(-12, 12).map(lambda n: n / 4)
    matrix = [[data.draw(quarters), data.draw(quarters)] for _ in range(2)]
    offset = [data.draw(quarters), data.draw(quarters)]
    shape = data.draw(st.tuples(*[st.integers(1, 5)] * 2, st.integers(1, 3)))
    x = np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)
    before = x.copy()
    given_to_both = x, matrix, offset, order, mode, 0.5
    y = functional.affine_transform(*given_to_both)
    expected = naive.affine_transform(*given_to_both)
    assert_same(y, expected, True, f"{matrix}, {offset}")
    for kind in ("transposed", "every second", "reversed"):
        again = functional.affine_transform(awkward(x, kind), *given_to_both[1:])
        np.testing.assert_array_equal(again, y)
    np.testing.assert_array_equal(x, before)
    assert not np.shares_memory(x, y)


def test_affine_transform_of_an_empty_picture() -> None:
    assert functional.affine_transform(np.zeros((0, 3, 2)), np.eye(2), (0, 0)).shape == (0, 3, 2)


def test_affine_transform_of_nan() -> None:
    y = functional.affine_transform(row(np.nan, 1, 2, 3), np.eye(2), (0, 0.5))
    np.testing.assert_array_equal(y, row(np.nan, 1.5, 2.5, 3))
    y = functional.affine_transform(row(1, 2), np.eye(2), (0, 1), mode="constant", cval=np.nan)
    np.testing.assert_array_equal(y, row(2, np.nan))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_warp_keeps_what_is_not_finite_to_its_place(value: float) -> None:
    """A pixel without weight is not read: 0 times NaN or infinity would be NaN."""
    x = row(1, value, 3, 4)[None]
    here, half = (np.array([[1, 0, start, 0, 1, 0]], np.float32) for start in (0, 0.5))
    np.testing.assert_array_equal(functional.warp(x, here), x)
    # Pixels with four neighbours are computed by other code than those at an edge.
    inner = np.arange(12, dtype=np.float32).reshape(1, 3, 4, 1)
    inner[0, 1, 1] = value
    np.testing.assert_array_equal(functional.warp(inner, here), inner)
    down = np.array([[1, 0, 0, 0, 1, 0.5]], np.float32)
    assert np.isfinite(functional.warp(inner, half)[0, 0]).all()
    assert np.isfinite(functional.warp(inner, down)[0, :, 0]).all()
    y = functional.warp(x, half, fill_mode="constant", fill_value=8)
    np.testing.assert_array_equal(y[0], row(value, value, 3.5, 6))
