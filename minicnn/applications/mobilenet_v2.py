"""MobileNetV2: narrow maps, wide blocks between them (Sandler et al. 2018, arXiv:1801.04381).

A block widens its input six times by a 1×1 convolution, looks at each map by itself (3×3
depthwise), and narrows it again, without an activation. Blocks that keep size and width add their
input.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minicnn.applications import imagenet
from minicnn.applications.imagenet import (
    border,
    decode_predictions,
    preprocess_input,
    whole_filters,
)
from minicnn.compat import hints
from minicnn.layers import (
    Add,
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    GlobalAveragePooling2D,
    KerasTensor,
    ReLU,
    ZeroPadding2D,
)
from minicnn.models import Model

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)

# (filters, how often, stride of the first), of table 2; the first block does not widen
_BLOCKS = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
_TRAINED_WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
_TRAINED_SIZES = (96, 128, 160, 192, 224)


def MobileNetV2(  # noqa: N802 - Keras's name
    input_shape: Sequence[int | None] | None = None,
    alpha: float = 1.0,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: KerasTensor | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Model:
    """The MobileNetV2 network; arguments, layer names and weights are Keras's.

    Input: (batch, height, width, 3), at least 32 pixels a side, values in [-1, 1]
    (`preprocess_input`). Output: probabilities (batch, classes); without the top
    (batch, rows, columns, 1280), or without rows and columns with `pooling`.

    Args:
        input_shape: without the batch; by default (224, 224, 3) with `include_top`.
        alpha: the width: each layer has about `alpha` times the filters of the paper.
        include_top, weights, pooling, classes, classifier_activation, input_tensor: as in
            `Xception`. ImageNet's weights exist for alpha 0.35, 0.5, 0.75, 1, 1.3 and 1.4, trained
            at 96, 128, 160, 192 and 224 pixels; all other sizes use those for 224, with a warning.

    Raises:
        ValueError: for arguments that contradict each other; for weights that do not fit.
        ConnectionError: the weights cannot be downloaded.
    """
    who = "MobileNetV2"
    imagenet.check_width(who, alpha)
    from_imagenet = isinstance(weights, str) and weights == "imagenet"
    if from_imagenet and alpha not in _TRAINED_WIDTHS:
        raise ValueError(
            f"{who} has ImageNet's weights for alpha among "
            f"{', '.join(map(str, _TRAINED_WIDTHS))}. Received alpha={alpha}."
        )
    trained, shape = imagenet.trained_size(
        who, input_shape, _TRAINED_SIZES, include_top, weights, input_tensor
    )
    kind = f"tf_dim_ordering_tf_kernels_{float(alpha)}_{trained}"
    file = f"mobilenet_v2/mobilenet_v2_weights_{kind}"
    return imagenet.network(
        who,
        lambda x: _body(x, alpha),
        _top,
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
        name=name or f"mobilenetv2_{alpha:0.2f}_{trained if from_imagenet else shape[0]}",
    )


def _top(x: Any, classes: int, activation: str) -> Any:
    y = GlobalAveragePooling2D()(x)
    return Dense(classes, activation=activation, name="predictions")(y)


def _body(x: Any, alpha: float) -> Any:
    x = Conv2D(
        whole_filters(32 * alpha),
        3,
        strides=2,
        padding="same",
        use_bias=False,
        name="Conv1",
    )(x)
    x = ReLU(6.0, name="Conv1_relu")(_normalized(x, "bn_Conv1"))
    number = 0
    for filters, count, first in _BLOCKS:
        for repeated in range(count):
            x = _block(x, int(filters * alpha), 1 if repeated else first, number)
            number += 1
    last = whole_filters(1280 * alpha) if alpha > 1 else 1280
    x = Conv2D(last, 1, use_bias=False, name="Conv_1")(x)
    return ReLU(6.0, name="out_relu")(_normalized(x, "Conv_1_bn"))


def _block(x: Any, filters: int, strides: int, number: int) -> Any:
    channels, y = x.shape[-1], x
    prefix = f"block_{number}_" if number else "expanded_conv_"
    if number:
        y = _pointwise(y, 6 * channels, f"{prefix}expand")
        y = ReLU(6.0, name=f"{prefix}expand_relu")(y)
    if strides == 2:
        y = ZeroPadding2D(border(y, 3), name=f"{prefix}pad")(y)
    y = DepthwiseConv2D(
        3,
        strides=strides,
        use_bias=False,
        padding="same" if strides == 1 else "valid",
        name=f"{prefix}depthwise",
    )(y)
    y = _normalized(y, f"{prefix}depthwise_BN")
    y = ReLU(6.0, name=f"{prefix}depthwise_relu")(y)
    y = _pointwise(y, whole_filters(filters), f"{prefix}project")
    if strides == 1 and y.shape[-1] == channels:
        return Add(name=f"{prefix}add")([x, y])
    return y


def _pointwise(x: Any, filters: int, name: str) -> Any:
    x = Conv2D(filters, 1, padding="same", use_bias=False, name=name)(x)
    return _normalized(x, f"{name}_BN")


def _normalized(x: Any, name: str) -> Any:
    return BatchNormalization(epsilon=1e-3, momentum=0.999, name=name)(x)
