"""Sums of products: of matrices, and of whatever Einstein's notation describes."""

import math
from typing import Any

import numpy as np

from minicnn import functional
from minicnn.ops.operation import Arrays, operation
from minicnn.ops.shaping import reshape, transpose

Array = np.ndarray


@operation
def matmul(x1: Array, x2: Array) -> Any:
    """Return the matrix product: y[…, i, j] = sum over k of x1[…, i, k] * x2[…, k, j].

        dx1 = dy x2^T        dx2 = x1^T dy

    Axes before the last two stack matrices.
    """
    if x1.ndim > 1 and x2.ndim == 2 and x2.size and x1.dtype == x2.dtype and x1.dtype.kind == "f":
        return _of_features(x1, x2)
    a, b = np.atleast_2d(x1), x2 if x2.ndim > 1 else x2[:, None]
    y = np.matmul(a, b)
    row = x1.ndim == 1

    def dx1(dy: Array) -> Array:
        dx: Array = np.matmul(dy.reshape(y.shape), np.swapaxes(b, -1, -2))
        return dx[..., 0, :] if row else dx

    def dx2(dy: Array) -> Array:
        dx: Array = np.matmul(np.swapaxes(a, -1, -2), dy.reshape(y.shape))
        return dx if x2.ndim > 1 else dx[..., 0]

    return np.matmul(x1, x2), dx1, dx2


def _of_features(x: Array, w: Array) -> Any:
    """Return the product with one matrix, and its gradients, as a `Dense` layer computes them."""
    x, w = np.ascontiguousarray(x), np.ascontiguousarray(w)

    def backward(dy: Array, **wanted: bool) -> Any:
        return functional.dense_backward(dy, x, w, name="matmul", **wanted)

    return (
        functional.dense(x, w, name="matmul"),
        lambda dy: backward(dy, need_dw=False)[0],
        lambda dy: backward(dy, need_dx=False)[1],
    )


def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Any:
    """Return sums of products along `axes`: the last ones of x1 and the first of x2, or a pair."""
    rank1, rank2 = len(x1.shape), len(x2.shape)
    if isinstance(axes, (int, np.integer)):
        first, second = [*range(rank1 - axes, rank1)], [*range(axes)]
    else:
        first, second = ([int(a) for a in np.atleast_1d(each)] for each in axes)
    first, second = [a % rank1 for a in first], [a % rank2 for a in second]
    left = [axis for axis in range(rank1) if axis not in first]
    right = [axis for axis in range(rank2) if axis not in second]
    rows, columns = [x1.shape[axis] for axis in left], [x2.shape[axis] for axis in right]
    summed = math.prod(x1.shape[axis] for axis in first)
    a = reshape(transpose(x1, left + first), (math.prod(rows), summed))
    b = reshape(transpose(x2, second + right), (summed, math.prod(columns)))
    return reshape(matmul(a, b), [*rows, *columns])


def dot(x1: Any, x2: Any) -> Any:
    """Return sums of products over x1's last axis and x2's last but one, as NumPy's `dot` does."""
    if not len(getattr(x1, "shape", ())) or not len(getattr(x2, "shape", ())):
        return x1 * x2
    rank = len(x2.shape)
    return tensordot(x1, x2, ([len(x1.shape) - 1], [max(rank - 2, 0)]))


def einsum(subscripts: str, *operands: Any) -> Any:
    """Return the sums of products that the subscripts describe, as in "bij,bjk->bik".

    The gradient of an operand is another such sum: of dy and the other operands. Raises
    `ValueError` for subscripts with "...", without "->", or with a letter twice in one operand.
    """
    text = subscripts.replace(" ", "")
    parts = text.split("->")
    names = parts[0].split(",")
    if len(parts) != 2 or "." in text or any(len(set(name)) < len(name) for name in names):
        raise ValueError(
            'einsum expects subscripts such as "bij,bjk->bik": no "...", a "->", and each letter '
            f"once in each operand. Received {subscripts!r}."
        )
    if len(names) != len(operands):
        raise ValueError(f"einsum expects {len(names)} operands. Received {len(operands)}.")
    return _einsum(list(operands), names, parts[1])


@operation
def _einsum(operands: Arrays, names: list[str], result: str) -> Any:
    y = np.einsum(f"{','.join(names)}->{result}", *operands, optimize=True)

    def of(number: int) -> Any:
        others = [*names[:number], *names[number + 1 :], result]
        arrays = [*operands[:number], *operands[number + 1 :]]
        known = "".join(others)
        found = "".join(letter for letter in names[number] if letter in known)
        missing = [axis for axis, letter in enumerate(names[number]) if letter not in known]

        def dx(dy: Array) -> Array:
            product = np.einsum(f"{','.join(others)}->{found}", *arrays, dy, optimize=True)
            # A letter that occurs nowhere else was only summed: each place gets the same gradient.
            return np.expand_dims(product, tuple(missing))

        return dx

    return y, *(of(number) for number in range(len(names)))
