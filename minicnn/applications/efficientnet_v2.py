"""EfficientNetV2: EfficientNet that trains faster (Tan, Le 2021, arXiv:2104.00298).

The first stacks have plain 3×3 convolutions in place of a depthwise and a 1×1 one: more
multiplications, which take less time, because there are few channels. The first layers scale
pixels, so the network takes them from 0 to 255.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from minicnn.applications import imagenet
from minicnn.applications.efficientnet import (
    DROPPED,
    Part,
    added,
    block,
    convolution,
    normalized,
    top_with,
    widened,
)
from minicnn.applications.imagenet import decode_predictions, whole_filters
from minicnn.applications.imagenet import unchanged as preprocess_input
from minicnn.compat import hints
from minicnn.layers import KerasTensor, Normalization, Rescaling
from minicnn.models import Model

__all__ = [
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "decode_predictions",
    "preprocess_input",
]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)


class _Stack(NamedTuple):
    """A row of the paper's table 4: equal blocks, of which the first has the strides."""

    blocks: int
    filters: int
    strides: int
    expansion: int
    fused: bool  # a plain convolution, and the maps are not weighed


_B = (
    _Stack(1, 16, 1, 1, True),
    _Stack(2, 32, 2, 4, True),
    _Stack(2, 48, 2, 4, True),
    _Stack(3, 96, 2, 4, False),
    _Stack(5, 112, 1, 6, False),
    _Stack(8, 192, 2, 6, False),
)
_S = (
    _Stack(2, 24, 1, 1, True),
    _Stack(4, 48, 2, 4, True),
    _Stack(4, 64, 2, 4, True),
    _Stack(6, 128, 2, 4, False),
    _Stack(9, 160, 1, 6, False),
    _Stack(15, 256, 2, 6, False),
)
_M = (
    _Stack(3, 24, 1, 1, True),
    _Stack(5, 48, 2, 4, True),
    _Stack(5, 80, 2, 4, True),
    _Stack(7, 160, 2, 4, False),
    _Stack(14, 176, 1, 6, False),
    _Stack(18, 304, 2, 6, False),
    _Stack(5, 512, 1, 6, False),
)
_L = (
    _Stack(4, 32, 1, 1, True),
    _Stack(7, 64, 2, 4, True),
    _Stack(7, 96, 2, 4, True),
    _Stack(10, 192, 2, 4, False),
    _Stack(19, 224, 1, 6, False),
    _Stack(25, 384, 2, 6, False),
    _Stack(7, 640, 1, 6, False),
)


def _body(x: Any, stacks: Sequence[_Stack], start: int, width: float, depth: float) -> Any:
    def filters(number: int) -> int:
        return whole_filters(number * width, least=0)

    x = widened(x, filters(start), _part("stem_"), kernel_size=3, strides=2)
    done, planned = 0, sum(stack.blocks for stack in stacks)  # Keras counts them before `depth`
    for number, stack in enumerate(stacks, start=1):
        for repeated in range(math.ceil(depth * stack.blocks)):
            part = _part(f"block{number}{chr(ord('a') + repeated)}_")
            strides, dropped = 1 if repeated else stack.strides, DROPPED * done / planned
            if stack.fused:
                x = _fused(x, filters(stack.filters), strides, stack.expansion, part, dropped)
            else:
                x = block(x, filters(stack.filters), 3, strides, stack.expansion, part, dropped)
            done += 1
    return widened(x, filters(1280), _part("top_"))


def _part(name: str) -> Part:
    return Part(name, momentum=0.9, same=True)


def _fused(x: Any, filters: int, strides: int, expansion: int, part: Part, dropped: float) -> Any:
    """Widen x by a 3×3 convolution and narrow it; or, if it stays as narrow, only convolve it."""
    project = part._replace(name=f"{part.name}project_")
    if expansion > 1:
        expand = part._replace(name=f"{part.name}expand_")
        y = widened(x, expansion * x.shape[-1], expand, kernel_size=3, strides=strides)
        y = normalized(convolution(y, filters, 1, project), project)
    else:
        y = widened(x, filters, project, kernel_size=3, strides=strides)
    return added(x, y, strides, dropped, part)


def _scaled(x: Any, standardize: bool) -> Any:
    if standardize and x.shape[-1] == 3:
        variance = [deviation**2 for deviation in imagenet.DEVIATION_RGB]
        return Normalization(mean=imagenet.MEAN_RGB, variance=variance)(Rescaling(1 / 255)(x))
    return Rescaling(1 / 128, offset=-1)(x)


def _efficientnet(
    kind: str,
    stacks: Sequence[_Stack],
    start: int,
    size: int,
    checksums: tuple[str, str],
    width: float = 1.0,
    depth: float = 1.0,
) -> Callable[..., Model]:
    who = f"EfficientNetV2{kind}"
    own_name = f"efficientnetv2-{kind.lower()}"
    file = f"efficientnet_v2/{own_name}"

    def build(
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: KerasTensor | None = None,
        input_shape: Sequence[int | None] | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        include_preprocessing: bool = True,
        name: str = own_name,
    ) -> Model:
        def body(x: Any) -> Any:
            x = _scaled(x, standardize=stacks is _B) if include_preprocessing else x
            return _body(x, stacks, start, width, depth)

        return imagenet.network(
            who,
            body,
            top_with(0.2),
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

    about = f"Stacks of {', '.join(str(math.ceil(depth * s.blocks)) for s in stacks)} blocks."
    return imagenet.described(build, who, __name__, about, size, include_preprocessing=True)


EfficientNetV2B0 = _efficientnet(
    "B0",
    _B,
    32,
    224,
    ("21ecbf6da12460d5c40bb2f29ceb2188", "893217f2bb855e2983157299931e43ff"),
)
EfficientNetV2B1 = _efficientnet(
    "B1",
    _B,
    32,
    240,
    ("069f0534ff22adf035c89e2d9547a9dc", "0e80663031ca32d657f9caa404b6ec37"),
    depth=1.1,
)
EfficientNetV2B2 = _efficientnet(
    "B2",
    _B,
    32,
    260,
    ("424e49f28180edbde1e94797771950a7", "1dfe2e7a5d45b6632553a8961ea609eb"),
    width=1.1,
    depth=1.2,
)
EfficientNetV2B3 = _efficientnet(
    "B3",
    _B,
    32,
    300,
    ("1f1fc43bd98a6e4fd8fdfd551e02c7a0", "f6abf7b5849ac99a89b50dd3fd532856"),
    width=1.2,
    depth=1.4,
)
EfficientNetV2S = _efficientnet(
    "S",
    _S,
    24,
    384,
    ("e1d88a8495beba45748fedd0cecbe016", "af0682fb74e8c54910f2d4393339c070"),
)
EfficientNetV2M = _efficientnet(
    "M",
    _M,
    24,
    480,
    ("a3bf6aa3276309f4fc6a34aa114c95cd", "1b8dc055df72dde80d614482840fe342"),
)
EfficientNetV2L = _efficientnet(
    "L",
    _L,
    32,
    480,
    ("27e6d408b53c7ebc868fefa357689935", "b0b66b5c863aef5b46e8608fe1711615"),
)
