"""Check gradients against the function itself, along one random direction.

A full numeric gradient evaluates the function twice for each entry of each input. A projection does
so twice for each input: along a random direction v, the loss L = sum of dy * y(x) must change by

    (L(x + h v) - L(x - h v)) / 2h  =  sum of dx * v

An error in dx could hide only if it were orthogonal to v, and for a random v it is not
(after HIPS/autograd, `test_util.py`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

STEP = 1e-6
TOLERANCE = 1e-6  # relative; a central difference in float64 leaves about 1e-9


def check_gradients(
    forward: Callable[..., np.ndarray],
    backward: Callable[..., Sequence[np.ndarray | None]],
    inputs: Sequence[np.ndarray],
    rng: np.random.Generator,
) -> None:
    """Assert that `backward(dy, *inputs)` are the gradients of `forward(*inputs)`, in that order.

    `inputs` are float64. A gradient that is None is not compared.
    """
    assert all(x.dtype == np.float64 for x in inputs), "float32 is too coarse for differences"
    y = forward(*inputs)
    dy = rng.standard_normal(y.shape)
    gradients = tuple(backward(dy, *inputs))
    assert len(gradients) == len(inputs), f"{len(gradients)} gradients for {len(inputs)} inputs"
    assert any(dx is not None for dx in gradients), "no gradient to compare"
    for place, (x, dx) in enumerate(zip(inputs, gradients, strict=True)):
        if dx is None:
            continue
        assert dx.shape == x.shape, f"input {place}: dx.shape={dx.shape}, x.shape={x.shape}"
        assert dx.dtype == x.dtype, f"input {place}: dx is {dx.dtype}"
        v = rng.standard_normal(x.shape)

        def loss(
            step: float, place: int = place, x: np.ndarray = x, v: np.ndarray = v
        ) -> np.ndarray:
            moved: list[Any] = list(inputs)
            moved[place] = x + step * v
            return dy * forward(*moved)

        numeric = ((loss(STEP) - loss(-STEP)) / (2 * STEP)).sum()
        claimed = (dx * v).sum()
        scale = np.abs(dx * v).sum() + np.abs(numeric)
        assert abs(numeric - claimed) <= TOLERANCE * max(scale, 1e-3), (
            f"input {place}: the loss changes by {numeric:.9g} a step, dx says {claimed:.9g}"
        )


def distinct_values(shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Return shuffled values between -2 and 2, no two of them close, none close to a round number.

    A difference across a kink (max pooling's ties, ReLU's 0) is not a gradient; from these
    values, no step of size `STEP` reaches a kink.
    """
    size = int(np.prod(shape))
    return ((rng.permutation(size) + 0.381966) / max(size, 1) * 4 - 2).reshape(shape)
