"""Slides a window over an image: which pixel is under which position of the window."""

from collections.abc import Iterator

from minicnn import shapes
from minicnn.shapes import Pair


def taps(window: shapes.Window, size: Pair) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Yield each `(oy, ox, i, j, iy, ix)`: output position, position in the window, input pixel.

    Positions of the window that are on padding are left out: they hold no pixel.
    """
    for oy in range(window.out[0]):
        for ox in range(window.out[1]):
            for i in range(window.kernel[0]):
                for j in range(window.kernel[1]):
                    iy = oy * window.strides[0] + i * window.dilation[0] - window.before[0]
                    ix = ox * window.strides[1] + j * window.dilation[1] - window.before[1]
                    if 0 <= iy < size[0] and 0 <= ix < size[1]:
                        yield oy, ox, i, j, iy, ix
