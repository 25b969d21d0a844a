"""VGG19: sixteen convolutions and three dense layers; `vgg` has its parts."""

from typing import TYPE_CHECKING

from minicnn.applications import imagenet, vgg
from minicnn.applications.imagenet import decode_predictions
from minicnn.applications.imagenet import subtract_mean as preprocess_input
from minicnn.compat import hints

__all__ = ["VGG19", "decode_predictions", "preprocess_input"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)

VGG19 = imagenet.builder(
    "VGG19",
    vgg.body_of((2, 2, 4, 4, 4)),
    ("cbe5617147190e668d6c5d5026f83318", "253f8cb515780f3b799900260a226db6"),
    module=__name__,
    about="VGG16 with one more convolution in each of the last three blocks (see `vgg`).",
    top=vgg.top,
)
