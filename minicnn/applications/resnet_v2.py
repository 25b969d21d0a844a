"""ResNetV2: normalization and ReLU come before each convolution (He et al. 2016, arXiv:1603.05027).

So the way around the blocks, from the first to the last, has nothing but sums. Unlike in `resnet`,
the last block of a stack halves the image.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from minicnn.applications.imagenet import Body, decode_predictions, preprocess_input
from minicnn.applications.resnet import FILTERS, builder, rectified, start
from minicnn.compat import hints
from minicnn.layers import Add, Conv2D, MaxPooling2D, ZeroPadding2D
from minicnn.models import Model

__all__ = ["ResNet50V2", "ResNet101V2", "ResNet152V2", "decode_predictions", "preprocess_input"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)


def _body(blocks: Sequence[int]) -> Body:
    def body(x: Any) -> Any:
        x = start(x, rectify=False)
        for stack, (count, filters) in enumerate(zip(blocks, FILTERS, strict=True), start=2):
            for number in range(1, count + 1):
                strides = 2 if number == count and stack < 5 else 1
                x = _block(x, filters, strides, number == 1, f"conv{stack}_block{number}")
        return rectified(x, "post")

    return body


def _block(x: Any, filters: int, strides: int, first: bool, name: str) -> Any:
    before = rectified(x, f"{name}_preact")
    if first:
        shortcut = Conv2D(4 * filters, 1, strides=strides, name=f"{name}_0_conv")(before)
    else:
        shortcut = MaxPooling2D(1, strides=strides)(x) if strides > 1 else x
    y = Conv2D(filters, 1, use_bias=False, name=f"{name}_1_conv")(before)
    y = rectified(y, f"{name}_1")
    y = ZeroPadding2D(1, name=f"{name}_2_pad")(y)
    y = Conv2D(filters, 3, strides=strides, use_bias=False, name=f"{name}_2_conv")(y)
    y = rectified(y, f"{name}_2")
    y = Conv2D(4 * filters, 1, name=f"{name}_3_conv")(y)
    return Add(name=f"{name}_out")([shortcut, y])


def _resnet(who: str, blocks: Sequence[int], checksums: tuple[str, str]) -> Callable[..., Model]:
    return builder(who, _body(blocks), blocks, checksums, __name__)


ResNet50V2 = _resnet(
    "ResNet50V2",
    (3, 4, 6, 3),
    ("3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917"),
)
ResNet101V2 = _resnet(
    "ResNet101V2",
    (3, 4, 23, 3),
    ("6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5"),
)
ResNet152V2 = _resnet(
    "ResNet152V2",
    (3, 8, 36, 3),
    ("a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33"),
)
