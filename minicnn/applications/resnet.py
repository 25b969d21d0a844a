"""ResNet: blocks that add something to their input (He et al. 2015, arXiv:1512.03385).

A block of three convolutions, 1×1, 3×3 and 1×1, computes what it adds to its input. So a block
easily learns to do nothing, and the gradient has a way around each block. The first block of a
stack halves the image, and a 1×1 convolution makes its input fit.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from minicnn.applications import imagenet
from minicnn.applications.imagenet import decode_predictions
from minicnn.applications.imagenet import subtract_mean as preprocess_input
from minicnn.compat import hints
from minicnn.layers import (
    Activation,
    Add,
    BatchNormalization,
    Conv2D,
    MaxPooling2D,
    ZeroPadding2D,
)
from minicnn.models import Model

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)

FILTERS = (64, 128, 256, 512)


def normalized(x: Any, name: str) -> Any:
    """Return x after batch normalization with the ε of the published weights."""
    return BatchNormalization(epsilon=1.001e-5, name=name)(x)


def rectified(x: Any, name: str) -> Any:
    """Return normalized x through ReLU; `name` is that of the layer before."""
    return Activation("relu", name=f"{name}_relu")(normalized(x, f"{name}_bn"))


def start(x: Any, rectify: bool) -> Any:
    """Return x after a 7×7 convolution and a pooling, with a quarter of the rows and columns."""
    x = ZeroPadding2D(3, name="conv1_pad")(x)
    x = Conv2D(64, 7, strides=2, name="conv1_conv")(x)
    if rectify:
        x = rectified(x, "conv1")
    x = ZeroPadding2D(1, name="pool1_pad")(x)
    return MaxPooling2D(3, strides=2, name="pool1_pool")(x)


def _body(blocks: Sequence[int]) -> imagenet.Body:
    def body(x: Any) -> Any:
        x = start(x, rectify=True)
        for stack, (count, filters) in enumerate(zip(blocks, FILTERS, strict=True), start=2):
            for number in range(1, count + 1):
                strides = 2 if number == 1 and stack > 2 else 1
                x = _block(x, filters, strides, number == 1, f"conv{stack}_block{number}")
        return x

    return body


def _block(x: Any, filters: int, strides: int, first: bool, name: str) -> Any:
    shortcut = x
    if first:
        shortcut = Conv2D(4 * filters, 1, strides=strides, name=f"{name}_0_conv")(x)
        shortcut = normalized(shortcut, f"{name}_0_bn")
    x = Conv2D(filters, 1, strides=strides, name=f"{name}_1_conv")(x)
    x = rectified(x, f"{name}_1")
    x = Conv2D(filters, 3, padding="same", name=f"{name}_2_conv")(x)
    x = rectified(x, f"{name}_2")
    x = Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x)
    x = normalized(x, f"{name}_3_bn")
    x = Add(name=f"{name}_add")([shortcut, x])
    return Activation("relu", name=f"{name}_out")(x)


def builder(
    who: str,
    body: imagenet.Body,
    blocks: Sequence[int],
    checksums: tuple[str, str],
    module: str = __name__,
) -> Callable[..., Model]:
    """Return the function that makes a network; `blocks` counts the blocks of each stack."""
    return imagenet.builder(
        who,
        body,
        checksums,
        module=module,
        folder="resnet",
        about=f"Stacks of {', '.join(map(str, blocks))} blocks, each added to its input.",
        pool_names=("avg_pool", "max_pool"),
    )


def _resnet(who: str, blocks: Sequence[int], checksums: tuple[str, str]) -> Callable[..., Model]:
    return builder(who, _body(blocks), blocks, checksums)


ResNet50 = _resnet(
    "ResNet50",
    (3, 4, 6, 3),
    ("2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626"),
)
ResNet101 = _resnet(
    "ResNet101",
    (3, 4, 23, 3),
    ("f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21"),
)
ResNet152 = _resnet(
    "ResNet152",
    (3, 8, 36, 3),
    ("100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c"),
)
