"""Transfer learning: a frozen base that others trained, and a small head that learns.

    photo → base (frozen) → global average → [inner layer, ReLU] → [dropout] → one score a class

The base has learned from a million photos what edges, fabrics and shapes look like; a few thousand
photos are enough to learn which of them make a dress.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from minicnn import layers, losses, optimizers
from minicnn._support.arguments import PIXEL_RANGES
from minicnn.applications import (
    ConvNeXtTiny,
    EfficientNetB0,
    EfficientNetV2B0,
    InceptionResNetV2,
    InceptionV3,
    MobileNet,
    MobileNetV2,
    MobileNetV3Large,
    MobileNetV3Small,
    NASNetMobile,
    ResNet50V2,
    Xception,
)
from minicnn.models import Model, load_model

NETWORKS: dict[str, Callable[..., Model]] = {
    "xception": Xception,
    "mobilenet": MobileNet,
    "mobilenet_v2": MobileNetV2,
    "inception_v3": InceptionV3,
    "resnet50v2": ResNet50V2,
    "inception_resnet_v2": InceptionResNetV2,
    "nasnet_mobile": NASNetMobile,
    "mobilenet_v3_small": MobileNetV3Small,
    "mobilenet_v3_large": MobileNetV3Large,
    "efficientnetb0": EfficientNetB0,
    "efficientnetv2-b0": EfficientNetV2B0,
    "convnext_tiny": ConvNeXtTiny,
}
_SCALING = {  # the networks whose first layers scale pixels themselves
    *("mobilenet_v3_small", "mobilenet_v3_large"),
    *("efficientnetb0", "efficientnetv2-b0", "convnext_tiny"),
}


class Settings(NamedTuple):
    """One way to train: Adam's learning rate, units of the inner layer (0: none), dropout rate."""

    learning_rate: float = 0.001
    size_inner: int = 0
    droprate: float = 0.0

    def __str__(self) -> str:
        words = [f"learning rate {self.learning_rate:g}"]
        if self.size_inner:
            words.append(f"inner {self.size_inner}")
        if self.droprate:
            words.append(f"dropout {self.droprate:g}")
        return ", ".join(words)

    @property
    def file_name(self) -> str:
        return f"lr-{self.learning_rate:g}-inner-{self.size_inner}-drop-{self.droprate:g}.keras"


def input_range_of(base: str | os.PathLike[str]) -> str:
    """Return the range in which a network of this name expects pixels; for a file, "signed"."""
    return "pixels" if str(base) in _SCALING else "signed"


def check_base(base: str | os.PathLike[str]) -> str:
    """Return the name of a network that has ImageNet's weights, or a file's absolute path.

    Raises `FileNotFoundError` for anything else.
    """
    if str(base) in NETWORKS:
        return str(base)
    if not Path(base).is_file():
        raise FileNotFoundError(
            f"The base is one of {', '.join(NETWORKS)} or a model file. Received {str(base)!r}."
        )
    return os.path.realpath(base)


def load_base(base: str | os.PathLike[str], image_size: int) -> Model:
    """Return the base: a network of this name with ImageNet's weights, or a file's network.

    Raises `ValueError` for a network that does not end in feature maps, or does not take images of
    this size; `FileNotFoundError`, `ConnectionError` as `load_model` and `get_file`.
    """
    shape = (image_size, image_size, 3)
    if str(base) in NETWORKS:
        return NETWORKS[str(base)](include_top=False, input_shape=shape)
    model = load_model(check_base(base), compile=False)
    if len(model.inputs) != 1 or len(model.output_shape) != 4:
        raise ValueError(
            f"{str(base)!r} cannot be a base: a base ends in features (batch, rows, columns, "
            f"channels). It has output shape {model.output_shape}."
        )
    model.compute_output_shape((None, *shape))  # raises for a size that it does not take
    return model


def make_model(
    base: Model,
    classes: int,
    image_size: int,
    settings: Settings = Settings(),  # noqa: B008 - immutable
    input_range: str = "signed",
) -> Model:
    """Return the base, frozen, with a head of its own, compiled. It takes pixels from 0 to 255."""
    base.trainable = False
    inputs = layers.Input((image_size, image_size, 3))
    x = layers.Rescaling(*PIXEL_RANGES[input_range])(inputs)
    x = layers.GlobalAveragePooling2D()(base(x, training=False))
    if settings.size_inner:
        x = layers.Dense(settings.size_inner, activation="relu")(x)
    if settings.droprate:
        x = layers.Dropout(settings.droprate)(x)
    model = Model(inputs, layers.Dense(classes)(x))
    compile_for(model, settings.learning_rate)
    return model


def compile_for(model: Any, learning_rate: float) -> None:
    """Compile with Adam, cross-entropy on scores and accuracy, as all commands here train."""
    model.compile(
        optimizers.Adam(learning_rate),
        losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
