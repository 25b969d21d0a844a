"""Element by element over a flat array. Memory decides the speed: both cores read and write."""

from numba import prange

from minicnn.kernels.compile import parallel_jit


@parallel_jit
def relu(x, y, cap, slope, threshold):  # type: ignore[no-untyped-def]
    """y = min(x, cap) above the threshold, slope * (x - threshold) below; `cap` may be infinite."""
    zero = x.dtype.type(0)
    for i in prange(x.size):
        v = x[i]
        below = slope * (v - threshold) if slope != 0 else zero
        y[i] = below if v <= threshold else (cap if v > cap else v)


@parallel_jit
def relu_backward(dy, x, dx, cap, slope, threshold):  # type: ignore[no-untyped-def]
    """dx = dy above the threshold and below the cap, slope * dy at and below the threshold, else 0.

    A NaN in x lets dy through, so that it shows instead of silently stopping the gradient.
    """
    zero = x.dtype.type(0)
    for i in prange(x.size):
        v, g = x[i], dy[i]
        below = slope * g if slope != 0 else zero
        dx[i] = below if v <= threshold else (zero if v >= cap else g)
