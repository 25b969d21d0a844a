"""InceptionResNetV2: InceptionV3's branches, added to the input (Szegedy 2016, arXiv:1602.07261).

A block concatenates the maps of its branches, and a 1×1 convolution turns them into maps that are
multiplied by a number below 1 and added to the input: without this number, training did not
converge.
"""

from typing import TYPE_CHECKING, Any

from minicnn.applications import imagenet
from minicnn.applications.imagenet import decode_predictions, preprocess_input
from minicnn.applications.inception_v3 import Step, averaged, chain, convolution
from minicnn.compat import hints
from minicnn.layers import Activation, BatchNormalization, Concatenate, Conv2D, MaxPooling2D
from minicnn.layers.applications import CustomScaleLayer

__all__ = ["InceptionResNetV2", "decode_predictions", "preprocess_input"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)

# The branches of each kind of block.
_BLOCK_35: list[list[Step]] = [[(32, 1)], [(32, 1), (32, 3)], [(32, 1), (48, 3), (64, 3)]]
_BLOCK_17: list[list[Step]] = [[(192, 1)], [(128, 1), (160, (1, 7)), (192, (7, 1))]]
_BLOCK_8: list[list[Step]] = [[(192, 1)], [(192, 1), (224, (1, 3)), (256, (3, 1))]]


def _body(x: Any) -> Any:
    x = convolution(x, 32, 3, strides=2, padding="valid")
    x = convolution(x, 32, 3, padding="valid")
    x = convolution(x, 64, 3)
    x = MaxPooling2D(3, strides=2)(x)
    x = convolution(x, 80, 1, padding="valid")
    x = convolution(x, 192, 3, padding="valid")
    x = MaxPooling2D(3, strides=2)(x)
    # 35×35 pixels, of an image of 299×299
    branches = [
        chain(x, (96, 1)),
        chain(x, (48, 1), (64, 5)),
        chain(x, (64, 1), (96, 3), (96, 3)),
        averaged(x, 64),
    ]
    x = Concatenate(name="mixed_5b")(branches)
    for number in range(1, 11):
        x = _block(x, _BLOCK_35, 0.17, f"block35_{number}")
    x = _halved(x, [[(384, 3)], [(256, 1), (256, 3), (384, 3)]], "mixed_6a")
    # 17×17 pixels
    for number in range(1, 21):
        x = _block(x, _BLOCK_17, 0.1, f"block17_{number}")
    ends: list[list[Step]] = [
        [(256, 1), (384, 3)],
        [(256, 1), (288, 3)],
        [(256, 1), (288, 3), (320, 3)],
    ]
    x = _halved(x, ends, "mixed_7a")
    # 8×8 pixels
    for number in range(1, 10):
        x = _block(x, _BLOCK_8, 0.2, f"block8_{number}")
    x = _block(x, _BLOCK_8, 1.0, "block8_10", activate=False)
    x = Conv2D(1536, 1, padding="same", use_bias=False, name="conv_7b")(x)
    x = BatchNormalization(scale=False, name="conv_7b_bn")(x)
    return Activation("relu", name="conv_7b_ac")(x)


def _block(
    x: Any, branches: list[list[Step]], scale: float, name: str, activate: bool = True
) -> Any:
    y = Concatenate(name=f"{name}_mixed")([chain(x, *steps) for steps in branches])
    y = Conv2D(x.shape[-1], 1, padding="same", name=f"{name}_conv")(y)
    x = CustomScaleLayer(scale)([x, y])
    return Activation("relu", name=f"{name}_ac")(x) if activate else x


def _halved(x: Any, branches: list[list[Step]], name: str) -> Any:
    """Halve the image by the last convolution of each branch, and by a pooling beside them."""
    maps = []
    for *steps, (filters, kernel_size) in branches:
        y = chain(x, *steps)
        maps.append(convolution(y, filters, kernel_size, strides=2, padding="valid"))
    return Concatenate(name=name)([*maps, MaxPooling2D(3, strides=2)(x)])


InceptionResNetV2 = imagenet.builder(
    "InceptionResNetV2",
    _body,
    ("e693bd0210a403b3192acc6073ad2e96", "d19885ff4a710c122648d3b5c3b684e4"),
    module=__name__,
    about="Blocks of several convolutions side by side, each block added to its input.",
    name="inception_resnet_v2",
    size=299,
    smallest=75,
)
