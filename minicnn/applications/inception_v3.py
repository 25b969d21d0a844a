"""InceptionV3: several convolutions side by side (Szegedy et al. 2015, arXiv:1512.00567).

Each block looks at its input through windows of several sizes, and concatenates their maps. A
window of 7×7 is one of 1×7 and then one of 7×1, which has fewer weights.
"""

from typing import TYPE_CHECKING, Any

from minicnn.applications import imagenet
from minicnn.applications.imagenet import decode_predictions, preprocess_input
from minicnn.compat import hints
from minicnn.layers import (
    Activation,
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv2D,
    MaxPooling2D,
)

__all__ = ["InceptionV3", "decode_predictions", "preprocess_input"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)

Step = tuple[int, Any]  # filters and the window of a convolution


def _body(x: Any) -> Any:
    x = convolution(x, 32, 3, strides=2, padding="valid")
    x = convolution(x, 32, 3, padding="valid")
    x = convolution(x, 64, 3)
    x = MaxPooling2D(3, strides=2)(x)
    x = convolution(x, 80, 1, padding="valid")
    x = convolution(x, 192, 3, padding="valid")
    x = MaxPooling2D(3, strides=2)(x)
    # 35×35 pixels, of an image of 299×299
    for number, pooled in enumerate((32, 64, 64)):
        x = _block_35(x, pooled, f"mixed{number}")
    y = convolution(x, 384, 3, strides=2, padding="valid")
    z = convolution(chain(x, (64, 1), (96, 3)), 96, 3, strides=2, padding="valid")
    x = Concatenate(name="mixed3")([y, z, MaxPooling2D(3, strides=2)(x)])
    # 17×17 pixels
    for number, filters in enumerate((128, 160, 160, 192), start=4):
        x = _block_17(x, filters, f"mixed{number}")
    y = convolution(chain(x, (192, 1)), 320, 3, strides=2, padding="valid")
    z = chain(x, (192, 1), (192, (1, 7)), (192, (7, 1)))
    z = convolution(z, 192, 3, strides=2, padding="valid")
    x = Concatenate(name="mixed8")([y, z, MaxPooling2D(3, strides=2)(x)])
    # 8×8 pixels
    for number in (0, 1):
        x = _block_8(x, f"mixed9_{number}", f"mixed{9 + number}")
    return x


def _block_35(x: Any, pooled: int, name: str) -> Any:
    branches = [
        chain(x, (64, 1)),
        chain(x, (48, 1), (64, 5)),
        chain(x, (64, 1), (96, 3), (96, 3)),
        averaged(x, pooled),
    ]
    return Concatenate(name=name)(branches)


def _block_17(x: Any, filters: int, name: str) -> Any:
    flat, upright = (filters, (1, 7)), (filters, (7, 1))
    branches = [
        chain(x, (192, 1)),
        chain(x, (filters, 1), flat, (192, (7, 1))),
        chain(x, (filters, 1), upright, flat, upright, (192, (1, 7))),
        averaged(x, 192),
    ]
    return Concatenate(name=name)(branches)


def _block_8(x: Any, inner: str, name: str) -> Any:
    single = chain(x, (320, 1))
    y = chain(x, (384, 1))
    y = Concatenate(name=inner)([chain(y, (384, (1, 3))), chain(y, (384, (3, 1)))])
    z = chain(x, (448, 1), (384, 3))
    z = Concatenate()([chain(z, (384, (1, 3))), chain(z, (384, (3, 1)))])
    return Concatenate(name=name)([single, y, z, averaged(x, 192)])


def chain(x: Any, *steps: Step) -> Any:
    """Return x after several convolutions, one after the other."""
    for filters, kernel_size in steps:
        x = convolution(x, filters, kernel_size)
    return x


def averaged(x: Any, filters: int) -> Any:
    """Return a 1×1 convolution of the means of each pixel and its neighbours."""
    return chain(AveragePooling2D(3, strides=1, padding="same")(x), (filters, 1))


def convolution(
    x: Any, filters: int, kernel_size: Any, strides: int = 1, padding: str = "same"
) -> Any:
    """Return x after a convolution without bias, normalization, and ReLU."""
    x = Conv2D(filters, kernel_size, strides=strides, padding=padding, use_bias=False)(x)
    return Activation("relu")(BatchNormalization(scale=False)(x))


InceptionV3 = imagenet.builder(
    "InceptionV3",
    _body,
    ("9a0d58056eeedaa3f26cb7ebd46da564", "bcbd6486424b2319ff4ef7d526e38f63"),
    module=__name__,
    about="Blocks of several convolutions side by side.",
    name="inception_v3",
    size=299,
    smallest=75,
)
