"""Shows a network one photo at several sizes: details in the large one, shapes in the small one.

The model reads the photo once, at the largest size, and makes the smaller ones of it. Few runtimes
resize as Keras does, but all multiply matrices, and resizing is two products: one for the columns,
one for the rows, with the same matrix, since photos are square.

    y[i, j, c] = sum over r, s of m[i, r] * m[j, s] * x[r, s, c]

m has the weights of bilinear resizing with antialiasing: a new pixel is computed from all pixels
that it covers.
"""

from collections.abc import Sequence

import keras
import numpy as np

from minicnn.functional.resizing import sampling

Array = np.ndarray


def matrix(large: int, small: int) -> Array:
    """Return m, float32 (small, large): which pixels of a line make those of a shorter one."""
    taps = sampling((large, large), (small, small), "bilinear", antialias=True).rows
    m = np.zeros((small, large), np.float32)
    np.add.at(m, (np.arange(small)[:, None], taps.source), taps.weight)
    return m


def shrinking(large: int, small: int) -> list[keras.Layer]:
    """Return the layers that make square photos smaller: (…, large, large, 3) to (…, small, 3).

    They draw no random numbers, so a head begins with the same ones after any sizes.
    """
    if small == large:
        return []
    weights = keras.layers.Dense(
        small,
        use_bias=False,
        kernel_initializer="zeros",
        trainable=False,
        name=f"to_{small}",
        dtype="float32",
    )
    weights.build((None, 3, large, large))
    weights.set_weights([matrix(large, small).T])
    return [
        keras.layers.Permute((3, 1, 2), name=f"channels_first_{small}", dtype="float32"),
        weights,  # columns
        keras.layers.Permute((1, 3, 2), name=f"turned_{small}", dtype="float32"),
        weights,  # rows
        keras.layers.Permute((3, 2, 1), name=f"channels_last_{small}", dtype="float32"),
    ]


def told(sizes: Sequence[int]) -> str:
    """Return "150" or, for several side by side, "150 + 224"."""
    return " + ".join(map(str, sizes))
