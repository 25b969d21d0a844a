"""MobileNetV3: blocks of MobileNetV2 that weigh their maps (Howard et al. 2019, arXiv:1905.02244).

Some blocks look at the mean of each map and decide how much each map counts ("squeeze and excite").
Later blocks have hard swish, x · relu6(x + 3) / 6, instead of ReLU. The first layer scales pixels,
so the network takes them as they are, from 0 to 255.
"""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from minicnn.applications import imagenet
from minicnn.applications.imagenet import border, decode_predictions, whole_filters
from minicnn.applications.imagenet import unchanged as preprocess_input
from minicnn.compat import hints
from minicnn.layers import (
    Activation,
    Add,
    BatchNormalization,
    Conv2D,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    KerasTensor,
    Multiply,
    ReLU,
    Rescaling,
    ZeroPadding2D,
)
from minicnn.layers.base import unique_name
from minicnn.models import Model

__all__ = ["MobileNetV3Large", "MobileNetV3Small", "decode_predictions", "preprocess_input"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)


class _Block(NamedTuple):
    """A row of the paper's tables 1 and 2."""

    expansion: float  # how many times wider the block is than its input
    filters: int
    kernel_size: int
    strides: int
    weighs: bool  # whether it weighs its maps
    hard_swish: bool


_LARGE = (
    _Block(1, 16, 3, 1, False, False),
    _Block(4, 24, 3, 2, False, False),
    _Block(3, 24, 3, 1, False, False),
    _Block(3, 40, 5, 2, True, False),
    *[_Block(3, 40, 5, 1, True, False)] * 2,
    _Block(6, 80, 3, 2, False, True),
    _Block(2.5, 80, 3, 1, False, True),
    *[_Block(2.3, 80, 3, 1, False, True)] * 2,
    *[_Block(6, 112, 3, 1, True, True)] * 2,
    _Block(6, 160, 5, 2, True, True),
    *[_Block(6, 160, 5, 1, True, True)] * 2,
)
_SMALL = (
    _Block(1, 16, 3, 2, True, False),
    _Block(72 / 16, 24, 3, 2, False, False),
    _Block(88 / 24, 24, 3, 1, False, False),
    _Block(4, 40, 5, 2, True, True),
    *[_Block(6, 40, 5, 1, True, True)] * 2,
    *[_Block(3, 48, 5, 1, True, True)] * 2,
    _Block(6, 96, 5, 2, True, True),
    *[_Block(6, 96, 5, 1, True, True)] * 2,
)
CHECKSUMS = {  # of the weights with the classifier and without
    "large_224_0.75": ("765b44a33ad4005b3ac83185abf1d0eb", "40af19a13ebea4e2ee0c676887f69a2e"),
    "large_224_1.0": ("59e551e166be033d707958cf9e29a6a7", "07fb09a5933dd0c8eaafa16978110389"),
    "large_minimalistic_224_1.0": (
        "675e7b876c45c57e9e63e6d90a36599c",
        "ec5221f64a2f6d1ef965a614bdae7973",
    ),
    "small_224_0.75": ("cb65d4e5be93758266aa0a7f2c6708b7", "ebdb5cc8e0b497cd13a7c275d475c819"),
    "small_224_1.0": ("8768d4c2e7dee89b9d02b2d03d65d862", "d3e8ec802a04aa4fc771ee12a9a9b836"),
    "small_minimalistic_224_1.0": (
        "99cd97fb2fcdad2bf028eb838de69e37",
        "cde8136e733e811080d9fcd8a252f7e4",
    ),
}


def _network(who: str, kind: str, blocks: Sequence[_Block], last: int) -> Any:
    """Return the function that makes a network; the classifier has `last` channels."""

    def build(
        input_shape: Sequence[int | None] | None = None,
        alpha: float = 1.0,
        minimalistic: bool = False,
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: KerasTensor | None = None,
        classes: int = 1000,
        pooling: str | None = None,
        dropout_rate: float = 0.2,
        classifier_activation: Any = "softmax",
        include_preprocessing: bool = True,
        name: str = who,
    ) -> Model:
        imagenet.check_weights(who, weights, include_top, classes)
        imagenet.check_input(who, input_tensor, input_shape)
        imagenet.check_width(who, alpha)
        activation = imagenet.check_classifier(who, classifier_activation, weights, include_top)
        shape = imagenet.image_shape(who, input_shape, 224, 32, False, weights)
        trained = f"{kind}{'_minimalistic' if minimalistic else ''}_224_{float(alpha)}"
        if weights == "imagenet":
            if trained not in CHECKSUMS:
                raise ValueError(
                    f"{who} has ImageNet's weights for alpha 0.75 and 1, and for alpha 1 if "
                    f"minimalistic. Received alpha={alpha}, minimalistic={minimalistic}."
                )
            _warn_of_size(who, shape if input_tensor is None else input_tensor.shape[1:])

        def top(x: Any) -> Any:
            y = GlobalAveragePooling2D(keepdims=True)(x)
            width = whole_filters(last * alpha) if alpha > 1 else last
            y = _activated(Conv2D(width, 1, padding="same", name="conv_2")(y), not minimalistic)
            y = Dropout(dropout_rate)(y) if dropout_rate else y
            y = Flatten()(Conv2D(classes, 1, padding="same", name="logits")(y))
            return Activation(activation, name="predictions")(y)

        ending = "" if include_top else "_no_top_v2"
        return imagenet.application(
            who,
            lambda x: _body(x, blocks, alpha, minimalistic, include_preprocessing),
            top,
            input_shape=shape,
            include_top=include_top,
            weights=weights,
            weights_url=imagenet.address(
                f"mobilenet_v3/weights_mobilenet_v3_{trained}_float{ending}.h5"
            ),
            weights_checksum=CHECKSUMS.get(trained, (None, None))[0 if include_top else 1],
            pooling=pooling,
            input_tensor=input_tensor,
            name=name,
            pool_names=("avg_pool", "max_pool"),
        )

    build.__name__ = build.__qualname__ = who
    build.__doc__ = _ABOUT.format(who=who, count=len(blocks))
    build.__module__ = __name__
    return build


_ABOUT = """The {who} network; arguments, layer names and weights are Keras's.

    {count} blocks of MobileNetV2, most of which weigh their maps.

    Input: (batch, height, width, 3), at least 32 pixels a side, 224 in training, values from
    0 to 255. Output: probabilities (batch, classes); without the top the maps of the last
    convolution, or a number for each map with `pooling`.

    Args:
        input_shape: without the batch; by default any size, also with the classifier.
        alpha: the width: each layer has about `alpha` times the filters of the paper.
        minimalistic: whether to do without hard swish, weighted maps and windows of 5×5.
        include_top, weights, pooling, classes, classifier_activation, input_tensor: as in
            `Xception`. ImageNet's weights exist for alpha 0.75 and 1 (minimalistic: 1), trained
            at 224 pixels; other sizes use them with a warning.
        dropout_rate: the rate of the dropout before the classifier.
        include_preprocessing: whether the first layer scales pixels to [-1, 1]; without it the
            network takes pixels in that range.

    Raises:
        ValueError: for arguments that contradict each other; for weights that do not fit.
        ConnectionError: the weights cannot be downloaded.
    """


def _warn_of_size(who: str, shape: Sequence[int | None]) -> None:
    if tuple(shape[:2]) not in ((224, 224), (None, None)):
        warnings.warn(
            f"{who} was trained at 224 pixels; for input_shape={tuple(shape)} it uses the weights "
            "of 224.",
            stacklevel=3,
        )


def _body(x: Any, blocks: Sequence[_Block], alpha: float, minimalistic: bool, scaling: bool) -> Any:
    if scaling:
        x = Rescaling(1 / 127.5, offset=-1.0)(x)
    x = Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="conv")(x)
    x = _activated(_normalized(x, "conv_bn"), not minimalistic)
    for number, block in enumerate(blocks):
        if minimalistic:
            block = block._replace(kernel_size=3, weighs=False, hard_swish=False)
        prefix = f"expanded_conv_{number}_" if number else "expanded_conv_"
        filters = whole_filters(block.filters * alpha)
        x = _block(x, block._replace(filters=filters), prefix, widen=number > 0)
    x = _pointwise(x, whole_filters(x.shape[-1] * 6), "conv_1", "conv_1_bn")
    return _activated(x, not minimalistic)


def _block(x: Any, block: _Block, prefix: str, widen: bool) -> Any:
    channels, y = x.shape[-1], x
    wide = whole_filters(channels * block.expansion)
    if widen:
        y = _pointwise(y, wide, f"{prefix}expand", f"{prefix}expand_bn")
        y = _activated(y, block.hard_swish)
    if block.strides == 2:
        y = ZeroPadding2D(border(y, block.kernel_size), name=f"{prefix}depthwise_pad")(y)
    y = DepthwiseConv2D(
        block.kernel_size,
        strides=block.strides,
        padding="same" if block.strides == 1 else "valid",
        use_bias=False,
        name=f"{prefix}depthwise",
    )(y)
    y = _activated(_normalized(y, f"{prefix}depthwise_bn"), block.hard_swish)
    if block.weighs:
        y = _weighed(y, wide, f"{prefix}squeeze_excite_")
    y = _pointwise(y, block.filters, f"{prefix}project", f"{prefix}project_bn")
    if block.strides == 1 and channels == block.filters:
        y = Add(name=f"{prefix}add")([x, y])
    return y


def _weighed(x: Any, filters: int, prefix: str) -> Any:
    """Multiply each map by a number from 0 to 1, computed from the means of all maps."""
    y = GlobalAveragePooling2D(keepdims=True, name=f"{prefix}avg_pool")(x)
    y = Conv2D(whole_filters(filters / 4), 1, padding="same", name=f"{prefix}conv")(y)
    y = ReLU(name=f"{prefix}relu")(y)
    y = Conv2D(filters, 1, padding="same", name=f"{prefix}conv_1")(y)
    # Hard sigmoid, relu6(y + 3) / 6, made of layers with the names of Keras's sum and product.
    y = ReLU(6.0)(Rescaling(1.0, 3.0, name=unique_name("add"))(y))
    y = Rescaling(1 / 6, name=unique_name("multiply"))(y)
    return Multiply(name=f"{prefix}mul")([x, y])


def _pointwise(x: Any, filters: int, name: str, normalization: str) -> Any:
    x = Conv2D(filters, 1, padding="same", use_bias=False, name=name)(x)
    return _normalized(x, normalization)


def _normalized(x: Any, name: str) -> Any:
    return BatchNormalization(epsilon=1e-3, momentum=0.999, name=name)(x)


def _activated(x: Any, hard_swish: bool) -> Any:
    return Activation("hard_swish")(x) if hard_swish else ReLU()(x)


MobileNetV3Small = _network("MobileNetV3Small", "small", _SMALL, 1024)
MobileNetV3Large = _network("MobileNetV3Large", "large", _LARGE, 1280)
