"""The layers, under Keras's names."""

from typing import TYPE_CHECKING, Any

from minicnn._support.variable import Variable
from minicnn.compat import hints
from minicnn.layers.activations import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from minicnn.layers.adapted import Normalization
from minicnn.layers.base import Layer
from minicnn.layers.convolutional import Conv2D, DepthwiseConv2D, SeparableConv2D, ZeroPadding2D
from minicnn.layers.core import (
    ActivityRegularization,
    Dense,
    Flatten,
    Identity,
    Input,
    InputLayer,
    Rescaling,
    Reshape,
)
from minicnn.layers.example_normalization import (
    GroupNormalization,
    LayerNormalization,
    UnitNormalization,
)
from minicnn.layers.merging import (
    Add,
    Average,
    Concatenate,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    maximum,
    minimum,
    multiply,
    subtract,
)
from minicnn.layers.noise import (
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
)
from minicnn.layers.normalization import BatchNormalization
from minicnn.layers.pooling import (
    AveragePooling2D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
)
from minicnn.layers.random_images import (
    RandomBrightness,
    RandomContrast,
    RandomCrop,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
)
from minicnn.layers.reshaping import Cropping2D, Permute, RepeatVector
from minicnn.layers.resizing import CenterCrop, Resizing
from minicnn.layers.symbols import KerasTensor, Node
from minicnn.layers.transposed import Conv2DTranspose
from minicnn.layers.upsampling import UpSampling2D

# Keras's second names for the same layers.
AvgPool2D = AveragePooling2D
MaxPool2D = MaxPooling2D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalMaxPool2D = GlobalMaxPooling2D
Convolution2D = Conv2D
Convolution2DTranspose = Conv2DTranspose
DepthwiseConvolution2D = DepthwiseConv2D
SeparableConvolution2D = SeparableConv2D

LAYERS: dict[str, type[Layer]] = {
    cls.__name__: cls
    for cls in (
        Activation,
        ActivityRegularization,
        Add,
        AlphaDropout,
        Average,
        AveragePooling2D,
        BatchNormalization,
        CenterCrop,
        Concatenate,
        Conv2D,
        Conv2DTranspose,
        Cropping2D,
        Dense,
        DepthwiseConv2D,
        Dropout,
        ELU,
        Flatten,
        GaussianDropout,
        GaussianNoise,
        GlobalAveragePooling2D,
        GlobalMaxPooling2D,
        GroupNormalization,
        Identity,
        InputLayer,
        LayerNormalization,
        LeakyReLU,
        Maximum,
        MaxPooling2D,
        Minimum,
        Multiply,
        Normalization,
        PReLU,
        Permute,
        RandomBrightness,
        RandomContrast,
        RandomCrop,
        RandomFlip,
        RandomRotation,
        RandomTranslation,
        RandomZoom,
        ReLU,
        RepeatVector,
        Rescaling,
        Reshape,
        Resizing,
        SeparableConv2D,
        Softmax,
        SpatialDropout1D,
        SpatialDropout2D,
        Subtract,
        UnitNormalization,
        UpSampling2D,
        ZeroPadding2D,
    )
}
"""Every layer by its class name; a model file may name these."""


def serialize(layer: Layer) -> dict[str, Any]:
    """Return the layer or model as Keras writes it: `{"class_name": …, "config": …, …}`."""
    from minicnn import models  # here, because models imports layers

    return models.serialize(layer)


def deserialize(config: dict[str, Any]) -> Any:
    """Return a layer or a model, with new weights, from `serialize`'s dict, Keras's or ours.

    Raises `ValueError` for a layer or an option that minicnn lacks.
    """
    from minicnn import models

    return models.deserialize(config)


__all__ = [
    *LAYERS,
    "AvgPool2D",
    "Convolution2D",
    "Convolution2DTranspose",
    "DepthwiseConvolution2D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "Input",
    "KerasTensor",
    "Layer",
    "MaxPool2D",
    "Node",
    "SeparableConvolution2D",
    "Variable",
    "deserialize",
    "serialize",
    "add",
    "average",
    "concatenate",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)
