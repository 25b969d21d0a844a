"""The vectorized exponential agrees with NumPy's in a wider type."""

import numpy as np
import pytest

from minicnn import functional


@pytest.mark.parametrize(("dtype", "wide"), [(np.float32, np.float64), (np.float64, np.longdouble)])
def test_it_is_exact_to_the_last_bits(dtype: type, wide: type) -> None:
    """So it is over its whole range, at the ends of vectors, and near 0."""
    x = np.concatenate([np.linspace(-80, 80, 4001), [0, 1e-30, -1e-30], np.linspace(-3, 3, 1002)])
    x = x.astype(dtype)
    exact = x.astype(wide)
    share = 1 / (1 + np.exp(-exact))
    few = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(functional.sigmoid(x), share.astype(dtype), rtol=few)
    np.testing.assert_allclose(functional.silu(x), (exact * share).astype(dtype), rtol=few)
    dy = np.random.default_rng(0).normal(size=x.shape).astype(dtype)
    slope = share * (1 + exact * (1 - share))
    found = functional.silu_backward(dy, x)
    np.testing.assert_allclose(found, (dy * slope).astype(dtype), rtol=4 * few, atol=16 * few)


def test_the_ends_of_the_range() -> None:
    x = np.array([-1000, -100, -88, 88, 1000, np.inf, -np.inf], np.float32)
    expected = [0, np.float32(3.7835e-44), np.float32(6.0546e-39), 1, 1, 1, 0]
    np.testing.assert_allclose(functional.sigmoid(x), expected, rtol=1e-2)
    assert np.isnan(functional.sigmoid(np.array([np.nan], np.float32)))[0]
