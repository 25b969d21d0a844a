"""Known networks: the architecture in code, the weights from a file.

Each module has the network, the `preprocess_input` that its weights were trained with, and
`decode_predictions`, as in `keras.applications`.
"""

from typing import TYPE_CHECKING

from minicnn.applications import (
    convnext,
    densenet,
    efficientnet,
    efficientnet_v2,
    inception_resnet_v2,
    inception_v3,
    mobilenet,
    mobilenet_v2,
    mobilenet_v3,
    nasnet,
    resnet,
    resnet50,
    resnet_v2,
    vgg16,
    vgg19,
    xception,
)
from minicnn.applications.convnext import (
    ConvNeXtBase,
    ConvNeXtLarge,
    ConvNeXtSmall,
    ConvNeXtTiny,
    ConvNeXtXLarge,
)
from minicnn.applications.densenet import DenseNet121, DenseNet169, DenseNet201
from minicnn.applications.efficientnet import (
    EfficientNetB0,
    EfficientNetB1,
    EfficientNetB2,
    EfficientNetB3,
    EfficientNetB4,
    EfficientNetB5,
    EfficientNetB6,
    EfficientNetB7,
)
from minicnn.applications.efficientnet_v2 import (
    EfficientNetV2B0,
    EfficientNetV2B1,
    EfficientNetV2B2,
    EfficientNetV2B3,
    EfficientNetV2L,
    EfficientNetV2M,
    EfficientNetV2S,
)
from minicnn.applications.inception_resnet_v2 import InceptionResNetV2
from minicnn.applications.inception_v3 import InceptionV3
from minicnn.applications.mobilenet import MobileNet
from minicnn.applications.mobilenet_v2 import MobileNetV2
from minicnn.applications.mobilenet_v3 import MobileNetV3Large, MobileNetV3Small
from minicnn.applications.nasnet import NASNetLarge, NASNetMobile
from minicnn.applications.resnet import ResNet50, ResNet101, ResNet152
from minicnn.applications.resnet_v2 import ResNet50V2, ResNet101V2, ResNet152V2
from minicnn.applications.vgg16 import VGG16
from minicnn.applications.vgg19 import VGG19
from minicnn.applications.xception import Xception
from minicnn.compat import hints

__all__ = [
    "VGG16",
    "VGG19",
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtSmall",
    "ConvNeXtTiny",
    "ConvNeXtXLarge",
    "DenseNet121",
    "DenseNet169",
    "DenseNet201",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "NASNetLarge",
    "NASNetMobile",
    "ResNet50",
    "ResNet50V2",
    "ResNet101",
    "ResNet101V2",
    "ResNet152",
    "ResNet152V2",
    "Xception",
    "convnext",
    "densenet",
    "efficientnet",
    "efficientnet_v2",
    "inception_resnet_v2",
    "inception_v3",
    "mobilenet",
    "mobilenet_v2",
    "mobilenet_v3",
    "nasnet",
    "resnet",
    "resnet50",
    "resnet_v2",
    "vgg16",
    "vgg19",
    "xception",
]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)
