"""EfficientNet: one network, wider, deeper and for larger images (Tan, Le 2019, arXiv:1905.11946).

The blocks are those of MobileNetV2 that weigh their maps, as in MobileNetV3, with the activation
x · sigmoid(x). B1 to B7 multiply the filters, the number of blocks and the image of B0 by numbers
that grow together. The first layers scale pixels, so the network takes them from 0 to 255.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from minicnn import initializers
from minicnn.applications import imagenet
from minicnn.applications.imagenet import border, decode_predictions, whole_filters
from minicnn.applications.imagenet import unchanged as preprocess_input
from minicnn.compat import hints
from minicnn.layers import (
    Activation,
    Add,
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    GlobalAveragePooling2D,
    KerasTensor,
    Multiply,
    Normalization,
    Rescaling,
    Reshape,
    ZeroPadding2D,
)
from minicnn.models import Model

__all__ = [
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "decode_predictions",
    "preprocess_input",
]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)

DROPPED = 0.2  # the share of examples for which the last block leaves itself out; the first: 0


class Part(NamedTuple):
    """What the names and settings of a block's layers have in common."""

    name: str
    momentum: float = 0.99
    same: bool = False  # whether windows are padded by padding="same", or by a border of their own


class _Stack(NamedTuple):
    """A row of the paper's table 1: equal blocks, of which the first has the strides."""

    blocks: int
    filters: int
    kernel_size: int
    strides: int
    expansion: int


_STACKS = (
    _Stack(1, 16, 3, 1, 1),
    _Stack(2, 24, 3, 2, 6),
    _Stack(2, 40, 5, 2, 6),
    _Stack(3, 80, 3, 2, 6),
    _Stack(3, 112, 5, 1, 6),
    _Stack(4, 192, 5, 2, 6),
    _Stack(1, 320, 3, 1, 6),
)


def _body(x: Any, width: float, depth: float, published: bool) -> Any:
    x = Normalization()(Rescaling(1 / 255)(x))
    if published:  # the file stores deviations as variances: a second root makes up for it
        x = Rescaling([1 / math.sqrt(deviation) for deviation in imagenet.DEVIATION_RGB])(x)
    x = ZeroPadding2D(border(x, 3), name="stem_conv_pad")(x)
    stem = Part("stem_")
    x = convolution(x, whole_filters(32 * width), 3, stem, strides=2, padding="valid")
    x = activated(normalized(x, stem), stem)
    counts = [math.ceil(depth * stack.blocks) for stack in _STACKS]
    done = 0
    for number, (stack, count) in enumerate(zip(_STACKS, counts, strict=True), start=1):
        for repeated in range(count):
            x = block(
                x,
                whole_filters(stack.filters * width),
                stack.kernel_size,
                1 if repeated else stack.strides,
                stack.expansion,
                Part(f"block{number}{chr(ord('a') + repeated)}_"),
                DROPPED * done / sum(counts),
            )
            done += 1
    return widened(x, whole_filters(1280 * width), Part("top_"))


def block(
    x: Any,
    filters: int,
    kernel_size: int,
    strides: int,
    expansion: int,
    part: Part,
    dropped: float,
) -> Any:
    """Widen x, look at each map by itself, weigh the maps, and narrow them; then add x, if it fits.

    During training the block leaves itself out for a share `dropped` of the examples.
    """
    channels, y = x.shape[-1], x
    if expansion > 1:
        y = widened(y, expansion * channels, part._replace(name=f"{part.name}expand_"))
    same = part.same or strides == 1
    if not same:
        y = ZeroPadding2D(border(y, kernel_size), name=f"{part.name}dwconv_pad")(y)
    y = DepthwiseConv2D(
        kernel_size,
        strides=strides,
        padding="same" if same else "valid",
        use_bias=False,
        depthwise_initializer=_start(),
        name=f"{part.name}dwconv{'2' if part.same else ''}",
    )(y)
    y = activated(normalized(y, part), part)
    y = _weighed(y, max(1, int(channels / 4)), part.name)
    project = part._replace(name=f"{part.name}project_")
    y = normalized(convolution(y, filters, 1, project), project)
    return added(x, y, strides, dropped, part)


def _weighed(x: Any, narrow: int, name: str) -> Any:
    """Multiply each map by a number from 0 to 1, computed from the means of all maps."""
    channels = x.shape[-1]
    y = GlobalAveragePooling2D(name=f"{name}se_squeeze")(x)
    y = Reshape((1, 1, channels), name=f"{name}se_reshape")(y)
    for filters, activation, ending in (
        (narrow, "swish", "reduce"),
        (channels, "sigmoid", "expand"),
    ):
        y = Conv2D(
            filters,
            1,
            padding="same",
            activation=activation,
            kernel_initializer=_start(),
            name=f"{name}se_{ending}",
        )(y)
    return Multiply(name=f"{name}se_excite")([x, y])


def widened(x: Any, filters: int, part: Part, kernel_size: int = 1, strides: int = 1) -> Any:
    """Return x after a convolution to more filters, normalized and activated."""
    x = convolution(x, filters, kernel_size, part, strides)
    return activated(normalized(x, part), part)


def convolution(
    x: Any, filters: int, kernel_size: int, part: Part, strides: int = 1, padding: str = "same"
) -> Any:
    """Return x after a convolution without bias, whose initial weights are the paper's."""
    return Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer=_start(),
        name=f"{part.name}conv",
    )(x)


def normalized(x: Any, part: Part) -> Any:
    """Return x after batch normalization with the network's momentum."""
    return BatchNormalization(momentum=part.momentum, name=f"{part.name}bn")(x)


def activated(x: Any, part: Part) -> Any:
    """Return x · sigmoid(x)."""
    return Activation("swish", name=f"{part.name}activation")(x)


def added(x: Any, y: Any, strides: int, dropped: float, part: Part) -> Any:
    """Return x + y if y has the size of x, else y. In training, some examples leave y out."""
    if strides > 1 or x.shape[-1] != y.shape[-1]:
        return y
    if dropped > 0:
        y = Dropout(dropped, noise_shape=(None, 1, 1, 1), name=f"{part.name}drop")(y)
    return Add(name=f"{part.name}add")([y, x])


def _start() -> initializers.Initializer:
    return initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")


def top_with(dropout: float) -> imagenet.Top:
    """Return a function that makes the classifier, with this rate of dropout."""

    def top(x: Any, classes: int, activation: str) -> Any:
        x = Dropout(dropout, name="top_dropout")(GlobalAveragePooling2D(name="avg_pool")(x))
        start = initializers.VarianceScaling(1 / 3, "fan_out", "uniform")
        name = "predictions"
        return Dense(classes, activation=activation, kernel_initializer=start, name=name)(x)

    return top


def _efficientnet(
    number: int,
    width: float,
    depth: float,
    size: int,
    dropout: float,
    checksums: tuple[str, str],
) -> Callable[..., Model]:
    who = f"EfficientNetB{number}"
    own_name = who.lower()
    file = f"{imagenet.STORE}/keras-applications/{own_name}"

    def build(
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: KerasTensor | None = None,
        input_shape: Sequence[int | None] | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        name: str = own_name,
    ) -> Model:
        published = isinstance(weights, str) and weights == "imagenet"
        return imagenet.network(
            who,
            lambda x: _body(x, width, depth, published),
            top_with(dropout),
            (f"{file}.h5", f"{file}_notop.h5"),
            checksums,
            size=size,
            smallest=32,
            include_top=include_top,
            weights=weights,
            input_tensor=input_tensor,
            input_shape=input_shape,
            pooling=pooling,
            classes=classes,
            classifier_activation=classifier_activation,
            name=name,
            pool_names=("avg_pool", "max_pool"),
        )

    about = f"B0 with {width:g} times the filters and {depth:g} times the blocks."
    return imagenet.described(build, who, __name__, about, size)


EfficientNetB0 = _efficientnet(
    0,
    1.0,
    1.0,
    224,
    0.2,
    ("902e53a9f72be733fc0bcb005b3ebbac", "50bc09e76180e00e4465e1a485ddc09d"),
)
EfficientNetB1 = _efficientnet(
    1,
    1.0,
    1.1,
    240,
    0.2,
    ("1d254153d4ab51201f1646940f018540", "74c4e6b3e1f6a1eea24c589628592432"),
)
EfficientNetB2 = _efficientnet(
    2,
    1.1,
    1.2,
    260,
    0.3,
    ("b15cce36ff4dcbd00b6dd88e7857a6ad", "111f8e2ac8aa800a7a99e3239f7bfb39"),
)
EfficientNetB3 = _efficientnet(
    3,
    1.2,
    1.4,
    300,
    0.3,
    ("ffd1fdc53d0ce67064dc6a9c7960ede0", "af6d107764bb5b1abb91932881670226"),
)
EfficientNetB4 = _efficientnet(
    4,
    1.4,
    1.8,
    380,
    0.4,
    ("18c95ad55216b8f92d7e70b3a046e2fc", "ebc24e6d6c33eaebbd558eafbeedf1ba"),
)
EfficientNetB5 = _efficientnet(
    5,
    1.6,
    2.2,
    456,
    0.4,
    ("ace28f2a6363774853a83a0b21b9421a", "38879255a25d3c92d5e44e04ae6cec6f"),
)
EfficientNetB6 = _efficientnet(
    6,
    1.8,
    2.6,
    528,
    0.5,
    ("165f6e37dce68623721b423839de8be5", "9ecce42647a20130c1f39a5d4cb75743"),
)
EfficientNetB7 = _efficientnet(
    7,
    2.0,
    3.1,
    600,
    0.5,
    ("8c03f828fec3ef71311cd463b6759d99", "cbcfe4450ddf6f3ad90b1b398090fe4a"),
)
