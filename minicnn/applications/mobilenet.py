"""MobileNet: nothing but depthwise and 1×1 convolutions (Howard et al. 2017, arXiv:1704.04861).

One plain convolution, then the thirteen blocks of table 1: a 3×3 depthwise convolution and a 1×1
convolution, each followed by batch normalization and ReLU6.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minicnn.applications import imagenet
from minicnn.applications.imagenet import decode_predictions, preprocess_input
from minicnn.compat import hints
from minicnn.layers import (
    Activation,
    BatchNormalization,
    Conv2D,
    DepthwiseConv2D,
    Dropout,
    GlobalAveragePooling2D,
    KerasTensor,
    ReLU,
    Reshape,
    ZeroPadding2D,
)
from minicnn.models import Model

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)


# (filters of the 1×1 convolution, stride of the depthwise one), block 1 to 13
_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)
_TRAINED_WIDTHS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}
_TRAINED_SIZES = (128, 160, 192, 224)


def MobileNet(  # noqa: N802 - Keras's name
    input_shape: Sequence[int | None] | None = None,
    alpha: float = 1.0,
    depth_multiplier: int = 1,
    dropout: float = 1e-3,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: KerasTensor | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Model:
    """The MobileNet network; arguments, layer names and weights are Keras's.

    Input: (batch, height, width, 3), at least 32 pixels a side, values in [-1, 1]
    (`preprocess_input`). Output: probabilities (batch, classes); without the top
    (batch, rows, columns, 1024 * alpha), or without rows and columns with `pooling`.

    Args:
        input_shape: without the batch; by default (224, 224, 3) with `include_top`.
        alpha: the width: each layer has `alpha` times the filters of the paper.
        depth_multiplier: outputs of each depthwise convolution per channel.
        dropout: the rate of the dropout before the classifier.
        include_top, weights, pooling, classes, classifier_activation, input_tensor: as in
            `Xception`. ImageNet's weights exist for alpha 0.25, 0.5, 0.75 and 1, trained at
            128, 160, 192 and 224 pixels; all other sizes use those for 224, with a warning.

    Raises:
        ValueError: for arguments that contradict each other; for weights that do not fit.
        ConnectionError: the weights cannot be downloaded.
    """
    who = "MobileNet"
    imagenet.check_width(who, alpha)
    from_imagenet = isinstance(weights, str) and weights == "imagenet"
    if from_imagenet and (depth_multiplier != 1 or alpha not in _TRAINED_WIDTHS):
        raise ValueError(
            f"{who} has ImageNet's weights for depth_multiplier=1 and alpha among "
            f"{', '.join(map(str, _TRAINED_WIDTHS))}. "
            f"Received depth_multiplier={depth_multiplier}, alpha={alpha}."
        )
    trained, shape = imagenet.trained_size(who, input_shape, _TRAINED_SIZES, include_top, weights)
    file = f"mobilenet/mobilenet_{_TRAINED_WIDTHS.get(alpha)}_{trained}_tf"

    def top(x: Any, classes: int, activation: str) -> Any:
        y = GlobalAveragePooling2D(keepdims=True)(x)
        y = Dropout(dropout, name="dropout")(y)
        y = Conv2D(classes, 1, padding="same", name="conv_preds")(y)
        y = Reshape((classes,), name="reshape_2")(y)
        return Activation(activation, name="predictions")(y)

    return imagenet.network(
        who,
        lambda x: _body(x, alpha, depth_multiplier),
        top,
        (f"{file}.h5", f"{file}_no_top.h5"),
        (None, None),  # Keras publishes none
        size=trained,
        smallest=32,
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        # Keras's name, in which None stands for a size that is not fixed.
        name=name or f"mobilenet_{alpha:0.2f}_{trained if from_imagenet else shape[0]}",
    )


def _body(x: Any, alpha: float, depth_multiplier: int) -> Any:
    x = Conv2D(int(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="conv1")(x)
    x = _normalized_relu6(x, "conv1")
    for number, (filters, stride) in enumerate(_BLOCKS, start=1):
        if stride == 2:  # Keras pads only below and on the right
            x = ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{number}")(x)
        name = f"conv_dw_{number}"
        x = DepthwiseConv2D(
            3,
            strides=stride,
            padding="same" if stride == 1 else "valid",
            depth_multiplier=depth_multiplier,
            use_bias=False,
            name=name,
        )(x)
        x = _normalized_relu6(x, name)
        name = f"conv_pw_{number}"
        x = Conv2D(int(filters * alpha), 1, padding="same", use_bias=False, name=name)(x)
        x = _normalized_relu6(x, name)
    return x


def _normalized_relu6(x: Any, name: str) -> Any:
    x = BatchNormalization(name=f"{name}_bn")(x)
    return ReLU(6.0, name=f"{name}_relu")(x)
