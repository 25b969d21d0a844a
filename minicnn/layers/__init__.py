"""The layers, under Keras's names; `calling` shows how to write your own."""

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
from minicnn.layers.lambdas import Lambda
from minicnn.layers.lines import (
    AdaptiveAveragePooling1D,
    AdaptiveMaxPooling1D,
    AveragePooling1D,
    Conv1D,
    Conv1DTranspose,
    Cropping1D,
    DepthwiseConv1D,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    MaxPooling1D,
    SeparableConv1D,
    UpSampling1D,
    ZeroPadding1D,
)
from minicnn.layers.merging import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from minicnn.layers.mixing import CutMix, MixUp
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
    AdaptiveAveragePooling2D,
    AdaptiveMaxPooling2D,
    AveragePooling2D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
)
from minicnn.layers.random_colours import (
    AutoContrast,
    Equalization,
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomGrayscale,
    RandomHue,
    RandomInvert,
    RandomPosterization,
    RandomSaturation,
    Solarization,
)
from minicnn.layers.random_details import (
    RandomErasing,
    RandomGaussianBlur,
    RandomSharpness,
)
from minicnn.layers.random_images import (
    RandomCrop,
    RandomFlip,
    RandomRotation,
    RandomShear,
    RandomTranslation,
    RandomZoom,
)
from minicnn.layers.random_sequences import (
    RandAugment,
    RandomColorJitter,
)
from minicnn.layers.reshaping import Cropping2D, Permute, RepeatVector
from minicnn.layers.resizing import CenterCrop, Resizing
from minicnn.layers.symbols import KerasTensor, Node
from minicnn.layers.transposed import Conv2DTranspose
from minicnn.layers.upsampling import UpSampling2D

# Keras's second names for the same layers.
AvgPool1D = AveragePooling1D
MaxPool1D = MaxPooling1D
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalMaxPool1D = GlobalMaxPooling1D
Convolution1D = Conv1D
Convolution1DTranspose = Conv1DTranspose
SeparableConvolution1D = SeparableConv1D
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
        AdaptiveAveragePooling1D,
        AdaptiveAveragePooling2D,
        AdaptiveMaxPooling1D,
        AdaptiveMaxPooling2D,
        Add,
        AlphaDropout,
        AutoContrast,
        Average,
        AveragePooling1D,
        AveragePooling2D,
        BatchNormalization,
        CenterCrop,
        Concatenate,
        Conv1D,
        Conv2D,
        Conv1DTranspose,
        Conv2DTranspose,
        Cropping1D,
        Cropping2D,
        CutMix,
        Dense,
        DepthwiseConv1D,
        DepthwiseConv2D,
        Dot,
        Dropout,
        ELU,
        Equalization,
        Flatten,
        GaussianDropout,
        GaussianNoise,
        GlobalAveragePooling1D,
        GlobalAveragePooling2D,
        GlobalMaxPooling1D,
        GlobalMaxPooling2D,
        GroupNormalization,
        Identity,
        InputLayer,
        LayerNormalization,
        LeakyReLU,
        Maximum,
        MaxPooling1D,
        MaxPooling2D,
        Minimum,
        MixUp,
        Multiply,
        Normalization,
        PReLU,
        Permute,
        RandAugment,
        RandomBrightness,
        RandomColorDegeneration,
        RandomColorJitter,
        RandomContrast,
        RandomCrop,
        RandomErasing,
        RandomFlip,
        RandomGaussianBlur,
        RandomGrayscale,
        RandomHue,
        RandomInvert,
        RandomPosterization,
        RandomRotation,
        RandomSaturation,
        RandomSharpness,
        RandomShear,
        RandomTranslation,
        RandomZoom,
        ReLU,
        RepeatVector,
        Rescaling,
        Reshape,
        Resizing,
        SeparableConv1D,
        SeparableConv2D,
        Softmax,
        Solarization,
        SpatialDropout1D,
        SpatialDropout2D,
        Subtract,
        UnitNormalization,
        UpSampling1D,
        UpSampling2D,
        ZeroPadding1D,
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
    "AvgPool1D",
    "AvgPool2D",
    "Convolution1D",
    "Convolution2D",
    "Convolution1DTranspose",
    "Convolution2DTranspose",
    "DepthwiseConvolution2D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "Input",
    "KerasTensor",
    "Lambda",
    "Layer",
    "MaxPool1D",
    "MaxPool2D",
    "Node",
    "SeparableConvolution1D",
    "SeparableConvolution2D",
    "Variable",
    "deserialize",
    "serialize",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)
