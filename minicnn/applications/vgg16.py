"""VGG16: thirteen convolutions and three dense layers; `vgg` has its parts."""

from typing import TYPE_CHECKING

from minicnn.applications import imagenet, vgg
from minicnn.applications.imagenet import decode_predictions
from minicnn.applications.imagenet import subtract_mean as preprocess_input
from minicnn.compat import hints

__all__ = ["VGG16", "decode_predictions", "preprocess_input"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)

VGG16 = imagenet.builder(
    "VGG16",
    vgg.body_of((2, 2, 3, 3, 3)),
    ("64373286793e3c8b2b4e3219cbf3544b", "6d6bbae143d832006294945121d1f1fc"),
    module=__name__,
    about="Nothing but 3×3 convolutions and poolings, and three dense layers (see `vgg`).",
    top=vgg.top,
)
