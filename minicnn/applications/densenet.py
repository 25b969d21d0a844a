"""DenseNet: each block sees the maps of all blocks before it (Huang et al. 2016, arXiv:1608.06993).

A block makes 32 maps, by a 1×1 and then a 3×3 convolution, and concatenates them to its input.
Between the stacks of blocks, a 1×1 convolution halves the number of maps, and a pooling their size.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from minicnn.applications import imagenet
from minicnn.applications.imagenet import decode_predictions
from minicnn.applications.imagenet import standardize as preprocess_input
from minicnn.applications.resnet import normalized, rectified
from minicnn.compat import hints
from minicnn.layers import (
    Activation,
    AveragePooling2D,
    Concatenate,
    Conv2D,
    MaxPooling2D,
    ZeroPadding2D,
)
from minicnn.models import Model

__all__ = ["DenseNet121", "DenseNet169", "DenseNet201", "decode_predictions", "preprocess_input"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)

_GROWTH = 32  # maps that a block adds


def _body(blocks: Sequence[int]) -> imagenet.Body:
    def body(x: Any) -> Any:
        x = ZeroPadding2D(3)(x)
        x = Conv2D(64, 7, strides=2, use_bias=False, name="conv1_conv")(x)
        x = rectified(x, "conv1")
        x = ZeroPadding2D(1)(x)
        x = MaxPooling2D(3, strides=2, name="pool1")(x)
        for stack, count in enumerate(blocks, start=2):
            for number in range(1, count + 1):
                x = _block(x, f"conv{stack}_block{number}")
            if stack < 5:
                x = _transition(x, f"pool{stack}")
        return Activation("relu", name="relu")(normalized(x, "bn"))

    return body


def _block(x: Any, name: str) -> Any:
    y = rectified(x, f"{name}_0")
    y = Conv2D(4 * _GROWTH, 1, use_bias=False, name=f"{name}_1_conv")(y)
    y = rectified(y, f"{name}_1")
    y = Conv2D(_GROWTH, 3, padding="same", use_bias=False, name=f"{name}_2_conv")(y)
    return Concatenate(name=f"{name}_concat")([x, y])


def _transition(x: Any, name: str) -> Any:
    x = rectified(x, name)
    x = Conv2D(x.shape[-1] // 2, 1, use_bias=False, name=f"{name}_conv")(x)
    return AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)


def _densenet(who: str, blocks: Sequence[int], checksums: tuple[str, str]) -> Callable[..., Model]:
    return imagenet.builder(
        who,
        _body(blocks),
        checksums,
        module=__name__,
        about=f"Stacks of {', '.join(map(str, blocks))} blocks; each sees all maps before it.",
        pool_names=("avg_pool", "max_pool"),
    )


DenseNet121 = _densenet(
    "DenseNet121",
    (6, 12, 24, 16),
    ("9d60b8095a5708f2dcce2bca79d332c7", "30ee3e1110167f948a6b9946edeeb738"),
)
DenseNet169 = _densenet(
    "DenseNet169",
    (6, 12, 32, 32),
    ("d699b8f76981ab1b30698df4c175e90b", "b8c4d4c20dd625c148057b9ff1c1176b"),
)
DenseNet201 = _densenet(
    "DenseNet201",
    (6, 12, 48, 32),
    ("1ceb130c1ea1b78c3bf6114dbdfd8807", "c13680b51ded0fb44dff2d8f86ac8bb1"),
)
