"""What networks trained on ImageNet share: inputs, class names, and where their weights are."""

import json
import math
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import shapes
from minicnn._support.download import get_file
from minicnn._support.reading import read_regular
from minicnn.layers import (
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    Input,
    KerasTensor,
    Rescaling,
)
from minicnn.layers.base import activation_name
from minicnn.layers.weights import weight_budget
from minicnn.models import Model

ImageShape = tuple[int | None, int | None, int]

_STORE = "https://storage.googleapis.com"
WEIGHTS_STORE = f"{_STORE}/tensorflow/keras-applications"
CLASS_INDEX = (  # file, address and MD5 of the names of the classes
    "imagenet_class_index.json",
    f"{_STORE}/download.tensorflow.org/data/imagenet_class_index.json",
    "c2c37ea517e94d9795004a39431a14cb",
)
_LARGEST_WEIGHTS = 512 * 2**20  # bytes; Xception's file has 92 million


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Scale pixels from [0, 255] to [-1, 1]: x / 127.5 - 1, in a new array.

    `x` is one image or a batch of them, channels last; integers become float32, floats keep their
    dtype. For a symbol it adds a `Rescaling` layer. (Keras overwrites a float array; this function
    does not.)
    """
    if data_format not in (None, "channels_last"):
        raise ValueError(
            f'preprocess_input expects data_format="channels_last". Received {data_format!r}.'
        )
    if isinstance(x, KerasTensor):
        return Rescaling(1 / 127.5, offset=-1.0)(x)
    array = np.asarray(x)
    shapes.check_numbers(array, "x", "preprocess_input")
    if array.ndim not in (3, 4):
        raise ValueError(
            "preprocess_input expects an image (height, width, 3) or a batch of them. "
            f"Received x.shape={array.shape}."
        )
    dtype = array.dtype if array.dtype.kind == "f" else np.dtype(np.float32)
    y = np.divide(array, dtype.type(127.5), dtype=dtype)
    y -= dtype.type(1)
    return y


def decode_predictions(preds: Any, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """Return the `top` most probable classes of each row: `(WordNet id, name, probability)`.

    The names of the 1000 classes are downloaded once, into Keras's cache. Raises `ValueError` if
    `preds` is not (batch, 1000), and `ConnectionError` without a network at the first use.
    """
    scores = np.asarray(preds)
    if scores.ndim != 2 or scores.shape[1] != 1000:
        raise ValueError(
            "decode_predictions expects probabilities of the 1000 classes of ImageNet, of shape "
            f"(batch, 1000). Received preds.shape={scores.shape}."
        )
    top = shapes.positive_int(top, "top", "decode_predictions")
    names = _class_index(*CLASS_INDEX)
    return [
        [(*names[index], row[index]) for index in np.argsort(-row, kind="stable")[:top]]
        for row in scores
    ]


@cache
def _class_index(name: str, url: str, md5: str) -> list[tuple[str, str]]:
    path = get_file(name, url, md5, cache_subdir="models", largest=2**20)
    index = json.loads(read_regular(path, "list of classes", 2**20))
    return [(str(index[str(i)][0]), str(index[str(i)][1])) for i in range(1000)]


def application(
    who: str,
    body: Callable[[KerasTensor], KerasTensor],
    top: Callable[[KerasTensor], KerasTensor],
    *,
    input_shape: ImageShape,
    include_top: bool,
    weights: Any,
    weights_url: str,
    weights_md5: str | None,
    pooling: str | None,
    input_tensor: Any,
    name: str,
) -> Model:
    """Return a network made of its body and its classifier, with the weights asked for."""
    if pooling not in (None, "avg", "max"):
        raise ValueError(f'{who} expects pooling to be None, "avg" or "max". Received {pooling!r}.')
    # Weights that a file will fill need no initial values.
    with nullcontext() if weights is None else weight_budget(math.inf):
        inputs = Input(input_shape) if input_tensor is None else input_tensor
        x = body(inputs)
        if include_top:
            x = top(x)
        elif pooling == "avg":
            x = GlobalAveragePooling2D()(x)
        elif pooling == "max":
            x = GlobalMaxPooling2D()(x)
        model = Model(inputs, x, name=name)
    if weights == "imagenet":
        weights = get_file(
            None, weights_url, weights_md5, cache_subdir="models", largest=_LARGEST_WEIGHTS
        )
    if weights is not None:
        model.load_weights(weights)
    return model


def check_weights(who: str, weights: Any, include_top: bool, classes: int) -> None:
    """Check that weights are None, "imagenet" or the path of a file; ImageNet has 1000 classes."""
    if weights in (None, "imagenet"):
        if weights and include_top and classes != 1000:
            raise ValueError(
                f'{who} with weights="imagenet" and its classifier has 1000 classes. '
                f"Received classes={classes}; include_top=False leaves the classifier to you."
            )
    elif not isinstance(weights, (str, os.PathLike)) or not Path(weights).is_file():
        raise ValueError(
            f'{who} expects weights to be None (random), "imagenet", or the path of a weights '
            f"file. Received {weights!r}."
        )


def check_classifier(who: str, activation: Any, weights: Any, include_top: bool) -> str:
    """Return the name of the classifier's activation; with loaded weights, softmax or linear."""
    found = activation_name(activation, who)
    if include_top and weights is not None and found not in ("softmax", "linear"):
        raise ValueError(
            f'{who} with loaded weights expects classifier_activation to be "softmax" or None. '
            f"Received {activation!r}."
        )
    return found


def image_shape(
    who: str,
    given: Sequence[int | None] | None,
    default: int,
    smallest: int,
    include_top: bool,
    weights: Any,
) -> ImageShape:
    """Return the network's input (height, width, channels), checked as Keras does."""
    fixed = (default, default, 3)
    if given is None:
        return fixed if include_top else (None, None, 3)
    shape = tuple(given)
    if len(shape) != 3:
        raise ValueError(f"{who} expects input_shape=(height, width, channels). Received {shape}.")
    height, width, channels = shape
    for size in (height, width):
        if size is not None:
            shapes.positive_int(size, "each size of input_shape", who, minimum=smallest)
    if weights == "imagenet" and channels != 3:
        raise ValueError(f"{who} with ImageNet's weights expects 3 channels. Received {shape}.")
    if weights == "imagenet" and include_top and shape != fixed:
        raise ValueError(
            f'{who} with weights="imagenet" and its classifier expects input_shape={fixed}. '
            f"Received {shape}; include_top=False takes other sizes."
        )
    if include_top and None in shape:
        raise ValueError(f"{who} with its classifier expects a fixed size. Received {shape}.")
    return height, width, shapes.positive_int(channels, "the channels of input_shape", who)
