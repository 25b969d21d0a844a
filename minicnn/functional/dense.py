"""A dense layer is a matrix product: every unit weighs every feature."""

import numpy as np

from minicnn import shapes
from minicnn.functional.algorithms.matmul import matmul
from minicnn.functional.checks import check_gradient
from minicnn.functional.elementwise import limits_of
from minicnn.functional.epilogue import Epilogue

Array = np.ndarray


def _check_dense(x: Array, w: Array, b: Array | None, name: str) -> None:
    shapes.check_array(x, None, "x", name)
    shapes.check_array(w, 2, "w", name)
    if 0 in w.shape:
        raise ValueError(f"{name} expects a non-empty w. Received w.shape={w.shape}.")
    if x.ndim < 2 or x.shape[-1] != w.shape[0]:
        raise ValueError(
            f"{name} expects x.shape=(batch, ..., {w.shape[0]}). Received x.shape={x.shape}."
        )
    if b is not None:
        shapes.check_array(b, 1, "b", name)
        shapes.check_shape(b, (w.shape[1],), "b", name)
    shapes.check_same_dtype({"x": x, "w": w, "b": b}, name)


def dense(
    x: Array,
    w: Array,
    b: Array | None = None,
    activation: str = "linear",
    name: str = "dense",
) -> Array:
    """y[..., u] = b[u] + sum over k of x[..., k] * w[k, u]: (…, features) to (…, units).

    `activation` as in `conv2d`.
    """
    _check_dense(x, w, b, name)
    epilogue = Epilogue(bias=b, limits=limits_of(activation, name))
    y = matmul(x.reshape(-1, w.shape[0]), w, epilogue=epilogue)
    return y.reshape(*x.shape[:-1], w.shape[1])


def dense_backward(
    dy: Array,
    x: Array,
    w: Array,
    need_dx: bool = True,
    need_dw: bool = True,
    name: str = "dense",
) -> tuple[Array | None, Array | None, Array | None]:
    """`(dx, dw, db)` of `dense`: dx = dy w^T, dw = x^T dy, db = the sum of dy over positions."""
    _check_dense(x, w, None, name)
    dy = check_gradient(dy, (*x.shape[:-1], w.shape[1]), x, name).reshape(-1, w.shape[1])
    dx = matmul(dy, w, b_transposed=True).reshape(x.shape) if need_dx else None
    dw = matmul(x.reshape(-1, w.shape[0]), dy, a_transposed=True) if need_dw else None
    return dx, dw, dy.sum(axis=0) if need_dw else None
