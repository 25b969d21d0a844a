"""These checks of arguments serve several operations."""

import functools
from collections.abc import Sequence

import numpy as np

from minicnn import shapes

Array = np.ndarray

# Remembered, because a network asks for the same windows in each step.
window_of = functools.lru_cache(maxsize=1024)(shapes.window)


def check_gradient(dy: Array, shape: Sequence[int], x: Array, name: str) -> Array:
    """Check `dy` for an output of this shape; return it contiguous, as the kernels expect it."""
    shapes.check_array(dy, None, "dy", name)
    shapes.check_shape(dy, shape, "dy", name)
    shapes.check_same_dtype({"dy": dy, "x": x}, name)
    return shapes.contiguous(dy)


def check_classes(x: Array, argument: str, name: str) -> None:
    """Check an array whose last axis has the classes."""
    shapes.check_array(x, None, argument, name)
    if x.ndim < 1 or x.shape[-1] < 1:
        raise ValueError(
            f"{name} expects {argument}.shape=(..., classes), at least one class. "
            f"Received {argument}.shape={x.shape}."
        )
