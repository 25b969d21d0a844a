"""ConvNeXt: a ResNet with ideas from transformers (Liu et al. 2022, arXiv:2201.03545).

A block looks at each map by itself through a window of 7×7, normalizes each pixel over its
channels, widens it four times and narrows it again, and adds the result, times a small number for
each channel, to its input. The first layer scales pixels, so the network takes them from 0 to 255.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from minicnn.applications import imagenet
from minicnn.applications.imagenet import decode_predictions
from minicnn.applications.imagenet import unchanged as preprocess_input
from minicnn.compat import hints
from minicnn.layers import (
    Activation,
    Conv2D,
    Dense,
    GlobalAveragePooling2D,
    KerasTensor,
    LayerNormalization,
    Normalization,
)
from minicnn.layers.applications import LayerScale
from minicnn.models import Model, Sequential

__all__ = [
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtSmall",
    "ConvNeXtTiny",
    "ConvNeXtXLarge",
    "decode_predictions",
    "preprocess_input",
]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)

_LAYER_SCALE = 1e-6  # at first a block adds almost nothing


def _body(x: Any, blocks: Sequence[int], filters: int, name: str, scaling: bool) -> Any:
    if scaling and x.shape[-1] == 3:
        x = Normalization(
            mean=[255 * mean for mean in imagenet.MEAN_RGB],
            variance=[(255 * deviation) ** 2 for deviation in imagenet.DEVIATION_RGB],
            name=f"{name}_prestem_normalization",
        )(x)
    for stage, count in enumerate(blocks):
        width = filters * 2**stage
        x = _halved(x, width, name, stage - 1) if stage else _stem(x, width, name)
        for number in range(count):
            x = _block(x, width, f"{name}_stage_{stage}_block_{number}")
    return x


def _stem(x: Any, filters: int, name: str) -> Any:
    """Return a nested network, as in Keras, that makes one pixel of each 4×4 square."""
    steps = [
        Conv2D(filters, 4, strides=4, name=f"{name}_stem_conv"),
        _normalization(f"{name}_stem_layernorm"),
    ]
    return Sequential(steps, name=f"{name}_stem")(x)


def _halved(x: Any, filters: int, name: str, number: int) -> Any:
    """Return a nested network, as in Keras, that makes one pixel of each 2×2 square."""
    steps = [
        _normalization(f"{name}_downsampling_layernorm_{number}"),
        Conv2D(filters, 2, strides=2, name=f"{name}_downsampling_conv_{number}"),
    ]
    return Sequential(steps, name=f"{name}_downsampling_block_{number}")(x)


def _block(x: Any, filters: int, name: str) -> Any:
    y = Conv2D(filters, 7, padding="same", groups=filters, name=f"{name}_depthwise_conv")(x)
    y = _normalization(f"{name}_layernorm")(y)
    y = Dense(4 * filters, name=f"{name}_pointwise_conv_1")(y)
    y = Activation("gelu", name=f"{name}_gelu")(y)
    y = Dense(filters, name=f"{name}_pointwise_conv_2")(y)
    y = LayerScale(_LAYER_SCALE, filters, name=f"{name}_layer_scale")(y)
    return x + Activation("linear", name=f"{name}_identity")(y)


def _normalization(name: str | None = None) -> LayerNormalization:
    return LayerNormalization(epsilon=1e-6, name=name)


def _convnext(
    kind: str, blocks: Sequence[int], filters: int, checksums: tuple[str, str]
) -> Callable[..., Model]:
    who = f"ConvNeXt{kind}"
    own_name = f"convnext_{kind.lower()}"
    file = f"convnext/{own_name}"

    def build(
        include_top: bool = True,
        include_preprocessing: bool = True,
        weights: Any = "imagenet",
        input_tensor: KerasTensor | None = None,
        input_shape: Sequence[int | None] | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        name: str = own_name,
    ) -> Model:
        def top(x: Any, classes: int, activation: str) -> Any:
            x = GlobalAveragePooling2D(name=f"{name}_head_gap")(x)
            x = _normalization(f"{name}_head_layernorm")(x)
            return Dense(classes, activation=activation, name=f"{name}_head_dense")(x)

        return imagenet.network(
            who,
            lambda x: _body(x, blocks, filters, name, include_preprocessing),
            top,
            (f"{file}.h5", f"{file}_notop.h5"),
            checksums,
            size=224,
            smallest=32,
            include_top=include_top,
            weights=weights,
            input_tensor=input_tensor,
            input_shape=input_shape,
            pooling=pooling,
            classes=classes,
            classifier_activation=classifier_activation,
            name=name,
            bare_end=lambda x: _normalization()(x),
        )

    about = (
        f"Stacks of {', '.join(map(str, blocks))} blocks, the first of {filters} maps. Without the "
        "classifier, a normalization comes last."
    )
    return imagenet.described(build, who, __name__, about, 224, include_preprocessing=True)


ConvNeXtTiny = _convnext(
    "Tiny",
    (3, 3, 9, 3),
    96,
    (
        "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
        "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
    ),
)
ConvNeXtSmall = _convnext(
    "Small",
    (3, 3, 27, 3),
    96,
    (
        "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c",
        "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
    ),
)
ConvNeXtBase = _convnext(
    "Base",
    (3, 3, 27, 3),
    128,
    (
        "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6",
        "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
    ),
)
ConvNeXtLarge = _convnext(
    "Large",
    (3, 3, 27, 3),
    192,
    (
        "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6",
        "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
    ),
)
ConvNeXtXLarge = _convnext(
    "XLarge",
    (3, 3, 27, 3),
    256,
    (
        "c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee",
        "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05",
    ),
)
