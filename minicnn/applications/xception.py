"""Xception: depthwise separable convolutions with shortcuts (Chollet 2017, arXiv:1610.02357).

The network is figure 5 of the paper, read from top to bottom:

    entry flow    two plain convolutions, then three blocks that halve the image
    middle flow   eight equal blocks, each added to its input
    exit flow     one more halving block, two wide convolutions, the average, the classifier

A separable convolution first looks at each channel by itself (3×3 depthwise), then mixes the
channels at each pixel (1×1): 3·3·728 + 728·728 weights, where a full one has 3·3·728·728.
"""

from typing import TYPE_CHECKING, Any

from minicnn.applications import imagenet
from minicnn.applications.imagenet import decode_predictions, preprocess_input
from minicnn.compat import hints
from minicnn.layers import (
    Activation,
    Add,
    BatchNormalization,
    Conv2D,
    KerasTensor,
    MaxPooling2D,
    SeparableConv2D,
)

__all__ = ["Xception", "decode_predictions", "preprocess_input"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)


def _body(x: KerasTensor) -> Any:
    # Entry flow
    x = _relu(_convolution(x, 32, "block1_conv1", strides=2), "block1_conv1_act")
    x = _relu(_convolution(x, 64, "block1_conv2"), "block1_conv2_act")
    x = _halving_block(x, "block2", 128, 128, relu_first=False)
    x = _halving_block(x, "block3", 256, 256)
    x = _halving_block(x, "block4", 728, 728)
    # Middle flow
    for block in range(5, 13):
        x = _middle_block(x, f"block{block}")
    # Exit flow
    x = _halving_block(x, "block13", 728, 1024)
    x = _relu(_separable(x, 1536, "block14_sepconv1"), "block14_sepconv1_act")
    return _relu(_separable(x, 2048, "block14_sepconv2"), "block14_sepconv2_act")


def _halving_block(x: Any, name: str, first: int, second: int, relu_first: bool = True) -> Any:
    """Return two separable convolutions and a pooling of x, plus a strided 1×1 convolution of x."""
    shortcut = Conv2D(second, 1, strides=2, padding="same", use_bias=False)(x)
    shortcut = BatchNormalization()(shortcut)
    if relu_first:
        x = _relu(x, f"{name}_sepconv1_act")
    x = _separable(x, first, f"{name}_sepconv1")
    x = _separable(_relu(x, f"{name}_sepconv2_act"), second, f"{name}_sepconv2")
    x = MaxPooling2D(3, strides=2, padding="same", name=f"{name}_pool")(x)
    return Add()([x, shortcut])


def _middle_block(x: Any, name: str) -> Any:
    """Return x plus three separable convolutions of it."""
    shortcut = x
    for number in (1, 2, 3):
        x = _relu(x, f"{name}_sepconv{number}_act")
        x = _separable(x, 728, f"{name}_sepconv{number}")
    return Add()([x, shortcut])


def _convolution(x: Any, filters: int, name: str, strides: int = 1) -> Any:
    x = Conv2D(filters, 3, strides=strides, use_bias=False, name=name)(x)
    return BatchNormalization(name=f"{name}_bn")(x)


def _separable(x: Any, filters: int, name: str) -> Any:
    x = SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    return BatchNormalization(name=f"{name}_bn")(x)


def _relu(x: Any, name: str) -> Any:
    return Activation("relu", name=name)(x)


Xception = imagenet.builder(
    "Xception",
    _body,
    ("0a58e3b7378bc2990ea3b43d5981f1f6", "b0042744bf5b25fce3cb969f33bebb97"),
    module=__name__,
    about="Depthwise separable convolutions with shortcuts.",
    size=299,
    smallest=71,
)
