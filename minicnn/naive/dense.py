"""The matrix product of a dense layer as plain loops."""

import numpy as np

Array = np.ndarray


def dense(x: Array, w: Array, b: Array | None = None) -> Array:
    """y[..., u] = b[u] + sum over k of x[..., k] * w[k, u]."""
    y = np.zeros((*x.shape[:-1], w.shape[1]), x.dtype)
    for position in np.ndindex(x.shape[:-1]):
        for u in range(w.shape[1]):
            for k in range(w.shape[0]):
                y[(*position, u)] += x[(*position, k)] * w[k, u]
    return y if b is None else y + b


def dense_backward(dy: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    """Return `(dx, dw, db)`: each product x * w of the forward pass sends dy to both factors."""
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros(w.shape[1], w.dtype)
    for position in np.ndindex(x.shape[:-1]):
        for u in range(w.shape[1]):
            received = dy[(*position, u)]
            db[u] += received
            for k in range(w.shape[0]):
                dx[(*position, k)] += received * w[k, u]
                dw[k, u] += received * x[(*position, k)]
    return dx, dw, db
