"""A matrix product of two arrays, with an epilogue."""

import numpy as np

from minicnn import kernels, shapes
from minicnn.functional import buffers
from minicnn.functional.epilogue import UNBOUNDED, Limits, pack_epilogue

Array = np.ndarray


def matmul(
    a: Array,
    b: Array,
    bias: Array | None = None,
    a_transposed: bool = False,
    b_transposed: bool = False,
    out: Array | None = None,
    limits: Limits = UNBOUNDED,
    scale: Array | None = None,
) -> Array:
    """Compute (a @ b) * scale + bias within the limits, the same on any number of threads.

    A matrix that is `transposed` is given as its transpose.
    """
    a, b = shapes.contiguous(a), shapes.contiguous(b)
    rows, depth = a.shape[::-1] if a_transposed else a.shape
    columns = b.shape[0] if b_transposed else b.shape[1]
    parts, panels = kernels.matmul.plan(rows, depth, columns, a.itemsize)
    threads = kernels.tasks.threads()
    if out is None:
        out = buffers.empty((rows, columns), a.dtype)
    ready = buffers.empty(kernels.matmul.packed_shape(rows, depth, columns, a.itemsize), a.dtype)
    if len(ready):
        kernels.matmul.pack(b, b_transposed, threads, ready)
    factors = a, a_transposed, b, b_transposed, ready
    nothing = np.empty((0, 4, kernels.simd.COLUMNS), a.dtype)
    if parts == 1:
        plain = scale is None and bias is None and limits == UNBOUNDED
        epilogue = nothing if plain else pack_epilogue(columns, scale, bias, limits, a.dtype)
        kernels.matmul.product(*factors, epilogue, panels, threads, out[None])
        return out
    sums = buffers.empty((parts, rows, columns), a.dtype)
    kernels.matmul.product(*factors, nothing, panels, threads, sums)
    np.sum(sums, axis=0, out=out)
    if scale is not None:
        out *= scale
    if bias is not None:
        out += bias
    if limits != UNBOUNDED:
        np.clip(out, *limits, out=out)
    return out
