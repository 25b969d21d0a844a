"""Multiplies two matrices and applies an epilogue."""

import numpy as np

from minicnn import kernels, shapes
from minicnn.compiler import recording
from minicnn.functional import buffers
from minicnn.functional.epilogue import PLAIN, UNBOUNDED, Epilogue, clamp_of

Array = np.ndarray


def matmul(
    a: Array,
    b: Array,
    a_transposed: bool = False,
    b_transposed: bool = False,
    epilogue: Epilogue = PLAIN,
    out: Array | None = None,
) -> Array:
    """Compute (a @ b) * scale + bias within the limits, the same on any number of threads.

    A matrix that is `transposed` is given as its transpose. Pooling is left to the caller.
    """
    a, b = shapes.contiguous(a), shapes.contiguous(b)
    rows, depth = a.shape[::-1] if a_transposed else a.shape
    columns = b.shape[0] if b_transposed else b.shape[1]
    parts, panels = kernels.matmul.plan(rows, depth, columns, a.itemsize)
    if out is None:
        out = buffers.empty((rows, columns), a.dtype)
    ready_shape = kernels.matmul.packed_shape(
        rows, depth, columns, a.itemsize, for_good=recording.once(b)
    )
    ready = buffers.empty(ready_shape, a.dtype)
    if len(ready):
        kernels.matmul.pack(b, b_transposed, ready)
        b = np.empty((0, 0), a.dtype)  # it is no longer read: a program need not keep it
    factors = a, a_transposed, b, b_transposed, ready
    copies = not a_transposed and kernels.matmul.collide(a.shape[1] * a.itemsize)
    nothing = np.empty((0, 4, kernels.simd.COLUMNS), a.dtype)
    how = np.empty((0, 0), a.dtype), clamp_of(UNBOUNDED, a.dtype), copies, panels
    if parts == 1:
        end = nothing if epilogue.is_plain else epilogue.packed(columns, a.dtype)
        kernels.matmul.product(*factors, end, *how, out[None])
        return out
    sums = buffers.empty((parts, rows, columns), a.dtype)
    kernels.matmul.product(*factors, nothing, *how, sums)
    np.sum(sums, axis=0, out=out)
    if epilogue.scale is not None:
        out *= epilogue.scale
    if epilogue.bias is not None:
        out += epilogue.bias
    if epilogue.limits != UNBOUNDED:
        np.clip(out, *epilogue.limits, out=out)
    return out
