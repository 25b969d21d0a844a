"""Xception: depthwise separable convolutions with shortcuts (Chollet 2017, arXiv:1610.02357).

The network is figure 5 of the paper, read from top to bottom:

    entry flow    two plain convolutions, then three blocks that halve the image
    middle flow   eight equal blocks, each added to its input
    exit flow     one more halving block, two wide convolutions, the average, the classifier

A separable convolution first looks at each channel by itself (3×3 depthwise), then mixes the
channels at each pixel (1×1): 3·3·728 + 728·728 weights, where a full one has 3·3·728·728.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minicnn.applications import imagenet
from minicnn.applications.imagenet import decode_predictions, preprocess_input
from minicnn.compat import hints
from minicnn.layers import (
    Activation,
    Add,
    BatchNormalization,
    Conv2D,
    Dense,
    GlobalAveragePooling2D,
    KerasTensor,
    MaxPooling2D,
    SeparableConv2D,
)
from minicnn.models import Model

__all__ = ["Xception", "decode_predictions", "preprocess_input"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)


_FILE = f"{imagenet.WEIGHTS_STORE}/xception/xception_weights_tf_dim_ordering_tf_kernels"
_WITH_TOP = (f"{_FILE}.h5", "0a58e3b7378bc2990ea3b43d5981f1f6")
_WITHOUT_TOP = (f"{_FILE}_notop.h5", "b0042744bf5b25fce3cb969f33bebb97")


def Xception(  # noqa: N802 - Keras's name
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: KerasTensor | None = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "xception",
) -> Model:
    """The Xception network; arguments, layer names and weights are Keras's.

        base = Xception(weights="imagenet", include_top=False, input_shape=(150, 150, 3))

    Input: (batch, height, width, 3), at least 71 pixels a side, 299 as it was trained, values in
    [-1, 1] (`preprocess_input`). Output: probabilities (batch, classes); without the top
    (batch, rows, columns, 2048), or (batch, 2048) with `pooling`.

    Args:
        include_top: whether the classifier is at the end.
        weights: "imagenet" downloads Keras's published file (once, into `~/.keras`); the path of
            a weights file; or None for random ones.
        input_tensor: an `Input` to start from; `input_shape` is not needed then.
        input_shape: without the batch; only (299, 299, 3) for ImageNet's classifier.
        pooling: None, "avg" or "max": what follows the last block if `include_top=False`.
        classes, classifier_activation: settings of the classifier.

    Raises:
        ValueError: for arguments that contradict each other; for weights that do not fit.
        ConnectionError: the weights cannot be downloaded.
    """
    who = "Xception"
    imagenet.check_weights(who, weights, include_top, classes)
    activation = imagenet.check_classifier(who, classifier_activation, weights, include_top)

    def top(x: KerasTensor) -> KerasTensor:
        x = GlobalAveragePooling2D(name="avg_pool")(x)
        return Dense(classes, activation=activation, name="predictions")(x)  # type: ignore[no-any-return]

    url, md5 = _WITH_TOP if include_top else _WITHOUT_TOP
    return imagenet.application(
        who,
        _body,
        top,
        input_shape=imagenet.image_shape(who, input_shape, 299, 71, include_top, weights),
        include_top=include_top,
        weights=weights,
        weights_url=url,
        weights_md5=md5,
        pooling=pooling,
        input_tensor=input_tensor,
        name=name,
    )


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
    """Two separable convolutions and a pooling, plus a strided 1×1 convolution of the input."""
    shortcut = Conv2D(second, 1, strides=2, padding="same", use_bias=False)(x)
    shortcut = BatchNormalization()(shortcut)
    if relu_first:
        x = _relu(x, f"{name}_sepconv1_act")
    x = _separable(x, first, f"{name}_sepconv1")
    x = _separable(_relu(x, f"{name}_sepconv2_act"), second, f"{name}_sepconv2")
    x = MaxPooling2D(3, strides=2, padding="same", name=f"{name}_pool")(x)
    return Add()([x, shortcut])


def _middle_block(x: Any, name: str) -> Any:
    """Three separable convolutions, added to their input."""
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
