"""NASNet: two kinds of cells, found by a search (Zoph et al. 2017, arXiv:1707.07012).

A cell takes the outputs of the last two cells, and adds pairs of separable convolutions and
poolings of them. Normal cells keep the size, reduction cells halve it (figure 4 of the paper).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from minicnn.applications import imagenet
from minicnn.applications.imagenet import border, decode_predictions, preprocess_input
from minicnn.compat import hints
from minicnn.layers import (
    Activation,
    Add,
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Cropping2D,
    Dense,
    GlobalAveragePooling2D,
    KerasTensor,
    MaxPooling2D,
    SeparableConv2D,
    ZeroPadding2D,
)
from minicnn.models import Model

__all__ = ["NASNetLarge", "NASNetMobile", "decode_predictions", "preprocess_input"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)


def _body(who: str, x: Any, filters: int, count: int, stem: int, keeps_last: bool) -> Any:
    """Return the stem, and three stacks of `count` normal cells with reduction cells between them.

    `keeps_last` says whether the cell after a reduction sees the cell just before it, or the one
    before that.
    """
    if None in x.shape[1:3]:
        raise ValueError(
            f"{who} expects images of a fixed size, since it compares the sizes of its maps. "
            f"Received the shape {x.shape[1:]}."
        )
    x = Conv2D(
        stem, 3, strides=2, use_bias=False, kernel_initializer="he_normal", name="stem_conv1"
    )(x)
    x = _normalized(x, "stem_bn1")
    before, x = x, _reduction(x, None, filters // 4, "stem_1")
    before, x = x, _reduction(x, before, filters // 2, "stem_2")
    for stack in range(3):
        if stack:
            reduced = _reduction(x, before, filters * 2**stack, f"reduce_{stack * count}")
            before, x = (x if keeps_last else before), reduced
        for number in range(count):
            name = str(stack * count + number + (stack > 0))
            before, x = x, _normal(x, before, filters * 2**stack, name)
    return Activation("relu")(x)


def _normal(x: Any, before: Any, filters: int, name: str) -> Any:
    p = _fitted(before, x, filters, name)
    h = _squeezed(x, filters, f"normal_conv_1_{name}", f"normal_bn_1_{name}")
    first = [
        _separable(h, filters, f"normal_left1_{name}", 5),
        _separable(p, filters, f"normal_right1_{name}"),
    ]
    first = Add(name=f"normal_add_1_{name}")(first)
    second = [
        _separable(p, filters, f"normal_left2_{name}", 5),
        _separable(p, filters, f"normal_right2_{name}"),
    ]
    second = Add(name=f"normal_add_2_{name}")(second)
    third = _averaged(h, f"normal_left3_{name}")
    third = Add(name=f"normal_add_3_{name}")([third, p])
    fourth = [_averaged(p, f"normal_left4_{name}"), _averaged(p, f"normal_right4_{name}")]
    fourth = Add(name=f"normal_add_4_{name}")(fourth)
    fifth = _separable(h, filters, f"normal_left5_{name}")
    fifth = Add(name=f"normal_add_5_{name}")([fifth, h])
    return Concatenate(name=f"normal_concat_{name}")([p, first, second, third, fourth, fifth])


def _reduction(x: Any, before: Any, filters: int, name: str) -> Any:
    p = _fitted(before, x, filters, name)
    h = _squeezed(x, filters, f"reduction_conv_1_{name}", f"reduction_bn_1_{name}")
    wide = ZeroPadding2D(border(h, 3), name=f"reduction_pad_1_{name}")(h)
    first = [
        _separable(h, filters, f"reduction_left1_{name}", 5, strides=2),
        _separable(p, filters, f"reduction_right1_{name}", 7, strides=2),
    ]
    first = Add(name=f"reduction_add_1_{name}")(first)
    second = [
        MaxPooling2D(3, strides=2, name=f"reduction_left2_{name}")(wide),
        _separable(p, filters, f"reduction_right2_{name}", 7, strides=2),
    ]
    second = Add(name=f"reduction_add_2_{name}")(second)
    third = [
        AveragePooling2D(3, strides=2, name=f"reduction_left3_{name}")(wide),
        _separable(p, filters, f"reduction_right3_{name}", 5, strides=2),
    ]
    third = Add(name=f"reduction_add3_{name}")(third)
    fourth = Add()([second, _averaged(first, f"reduction_left4_{name}")])
    fifth = [
        _separable(first, filters, f"reduction_left4_{name}"),
        MaxPooling2D(3, strides=2, name=f"reduction_right5_{name}")(wide),
    ]
    fifth = Add(name=f"reduction_add4_{name}")(fifth)
    return Concatenate(name=f"reduction_concat_{name}")([second, third, fourth, fifth])


def _fitted(p: Any, x: Any, filters: int, name: str) -> Any:
    """Return the previous cell's input p with the size of x and with this number of filters."""
    if p is None:
        return x
    if p.shape[2] != x.shape[2]:
        # Every other pixel, and beside it every other pixel of the image moved by one.
        p = Activation("relu", name=f"adjust_relu_1_{name}")(p)
        first = _every_other(p, filters // 2, name, 1)
        moved = Cropping2D(((1, 0), (1, 0)))(ZeroPadding2D(((0, 1), (0, 1)))(p))
        p = Concatenate()([first, _every_other(moved, filters // 2, name, 2)])
        return _normalized(p, f"adjust_bn_{name}")
    if p.shape[-1] != filters:
        return _squeezed(p, filters, f"adjust_conv_projection_{name}", f"adjust_bn_{name}")
    return p


def _every_other(x: Any, filters: int, name: str, number: int) -> Any:
    x = AveragePooling2D(1, strides=2, name=f"adjust_avg_pool_{number}_{name}")(x)
    return _pointwise(x, filters, f"adjust_conv_{number}_{name}")


def _squeezed(x: Any, filters: int, name: str, normalization: str) -> Any:
    return _normalized(_pointwise(Activation("relu")(x), filters, name), normalization)


def _pointwise(x: Any, filters: int, name: str) -> Any:
    return Conv2D(
        filters, 1, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)


def _separable(x: Any, filters: int, name: str, kernel_size: int = 3, strides: int = 1) -> Any:
    """Return x after two rounds of ReLU, separable convolution (first: strides), normalization."""
    for number in (1, 2):
        conv, halves = f"separable_conv_{number}", strides == 2 and number == 1
        x = Activation("relu")(x)
        if halves:
            x = ZeroPadding2D(border(x, kernel_size), name=f"{conv}_pad_{name}")(x)
        x = SeparableConv2D(
            filters,
            kernel_size,
            strides=2 if halves else 1,
            padding="valid" if halves else "same",
            use_bias=False,
            name=f"{conv}_{name}",
        )(x)
        x = _normalized(x, f"{conv}_bn_{name}")
    return x


def _averaged(x: Any, name: str) -> Any:
    return AveragePooling2D(3, strides=1, padding="same", name=name)(x)


def _normalized(x: Any, name: str) -> Any:
    return BatchNormalization(momentum=0.9997, epsilon=1e-3, name=name)(x)


def _top(x: Any, classes: int, activation: str) -> Any:
    x = GlobalAveragePooling2D()(x)
    return Dense(classes, activation=activation, name="predictions")(x)


def _nasnet(
    kind: str,
    size: int,
    last: int,
    count: int,
    stem: int,
    keeps_last: bool,
    checksums: tuple[str, str],
) -> Callable[..., Model]:
    who = f"NASNet{kind}"
    own_name, file = f"nasnet_{kind.lower()}", f"nasnet/NASNet-{kind.lower()}"

    def build(
        input_shape: Sequence[int | None] | None = None,
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: KerasTensor | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        name: str = own_name,
    ) -> Model:
        return imagenet.network(
            who,
            lambda x: _body(who, x, last // 24, count, stem, keeps_last),
            _top,
            (f"{file}.h5", f"{file}-no-top.h5"),
            checksums,
            size=size,
            smallest=32,
            include_top=include_top,
            weights=weights,
            input_tensor=input_tensor,
            input_shape=input_shape if input_tensor is not None else input_shape or (size, size, 3),
            pooling=pooling,
            classes=classes,
            classifier_activation=classifier_activation,
            name=name,
            cached=(f"{own_name}.h5", f"{own_name}_no_top.h5"),
        )

    about = f"Three stacks of {count} cells, to {last} maps. Images have a fixed size."
    return imagenet.described(build, who, __name__, about, size)


NASNetMobile = _nasnet(
    "Mobile",
    224,
    1056,
    4,
    32,
    True,
    ("020fb642bf7360b370c678b08e0adf61", "1ed92395b5b598bdda52abe5c0dbfd63"),
)
NASNetLarge = _nasnet(
    "Large",
    331,
    4032,
    6,
    96,
    False,
    ("11577c9a518f0070763c2b964a382f17", "d81d89dc07e6e56530c4e77faddd61b5"),
)
