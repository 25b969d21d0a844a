"""The network whose first part the lessons reuse: one of drawings, or one that has seen photos."""

import time
from typing import Any

import numpy as np

from minicnn import layers
from minicnn.applications import transfer
from minicnn.applications.imagenet import preprocess_input
from minicnn.datasets import CLOTHING_CLASSES, draw_clothing
from minicnn.lessons.pretrain import KNOWN, PRETRAINED
from minicnn.models import Model, load_model

PHOTO_SIZE = 150  # pixels, as the course takes for its small images
LENGTH = 4.0  # of lesson 3's features: 64 numbers with a root mean square of one half


def drawn_network() -> Any:
    """The network of lesson 3."""
    return load_model(PRETRAINED, compile=False)


def photo_network(base: str) -> Model:
    """A network with this base, whose last layers have the names of lesson 3's network.

    `base` is what `transfer.load_base` takes (see there for errors). The network takes images
    (batch, 150, 150, 3), pixels from -1 to 1; `block4_pool` is the base's last maps and `average`
    their means. Both are scaled so that the features are as long as lesson 3's, since the heads of
    the lessons learn at rates that suit those. It has no probabilities.
    """
    features = transfer.load_base(base, PHOTO_SIZE)
    features.trainable = False
    inputs = layers.Input((PHOTO_SIZE, PHOTO_SIZE, 3))
    scaled = transfer.input_range_of(base) == "pixels"
    x = layers.Rescaling(127.5, offset=127.5)(inputs) if scaled else inputs
    maps = features(x, training=False)
    scale = LENGTH / _length(Model(inputs, layers.GlobalAveragePooling2D()(maps)))
    maps = layers.Rescaling(scale, name="block4_pool")(maps)
    network = Model(inputs, layers.GlobalAveragePooling2D(name="average")(maps))
    network.metadata = {"class_names": list(KNOWN)}
    return network


def milliseconds(network: Model) -> float:
    """How long a network takes for an image, in a batch as `fit` takes them."""
    x = np.zeros((32, *network.input_shape[1:]), np.float32)
    network.predict(x, verbose=0)  # the first time it also makes a program
    start = time.perf_counter()
    network.predict(x, verbose=0)
    return 1000 * (time.perf_counter() - start) / len(x)


def _length(model: Model) -> float:
    """How long the vectors of a few images are: the same drawn ones, whatever the photos are."""
    rng = np.random.default_rng(0)
    images = [np.asarray(draw_clothing(kind, rng, PHOTO_SIZE)) for kind in CLOTHING_CLASSES]
    vectors = model.predict(preprocess_input(np.stack(images)), verbose=0)
    return float(np.sqrt(np.mean(np.sum(vectors**2, axis=1))))
