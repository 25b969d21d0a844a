"""What networks trained on ImageNet share: inputs, class names, and where their weights are."""

import json
import math
import os
import warnings
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
    Dense,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    Input,
    KerasTensor,
    Rescaling,
)
from minicnn.layers.base import activation_name
from minicnn.layers.weights import weight_budget
from minicnn.models import Model

Body = Callable[[Any], Any]
Top = Callable[[Any, int, str], Any]  # of x, the number of classes, and the activation
ImageShape = tuple[int | None, int | None, int]

STORE = "https://storage.googleapis.com"
WEIGHTS_STORE = f"{STORE}/tensorflow/keras-applications"
CLASS_INDEX = (  # file, address and MD5 of the names of the classes
    "imagenet_class_index.json",
    f"{STORE}/download.tensorflow.org/data/imagenet_class_index.json",
    "c2c37ea517e94d9795004a39431a14cb",
)
# Of ImageNet's photos, as published with the networks that use them.
MEAN_BGR = (103.939, 116.779, 123.68)
MEAN_RGB, DEVIATION_RGB = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_LARGEST_WEIGHTS = 2**31  # bytes; ConvNeXtXLarge's file has 1.4 billion


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Scale pixels from [0, 255] to [-1, 1]: x / 127.5 - 1, in a new array.

    `x` is one image or a batch of them, channels last; integers become float32, floats keep their
    dtype. For a symbol it adds a `Rescaling` layer. (Keras overwrites a float array; this function
    does not.)
    """
    if isinstance(x, KerasTensor):
        shapes.check_data_format(data_format, "preprocess_input")
        return Rescaling(1 / 127.5, offset=-1.0)(x)
    array, dtype = _images(x, data_format)
    y = np.divide(array, dtype.type(127.5), dtype=dtype)
    y -= dtype.type(1)
    return y


def subtract_mean(x: Any, data_format: str | None = None) -> Any:
    """Return images as BGR instead of RGB, minus the mean pixel of ImageNet, in a new array.

    The first networks came from Caffe, which read photos this way; pixels stay in their scale of 0
    to 255. `x` is as for the other networks, with three channels. The surprise: a symbol is
    refused, because no layer here changes the order of channels.
    """
    if isinstance(x, KerasTensor):
        raise ValueError(
            "preprocess_input of this network turns RGB into BGR, which no layer does: call it on "
            f"arrays, before the model. Received {x!r}."
        )
    array, dtype = _images(x, data_format, channels=3)
    y = array[..., ::-1].astype(dtype)
    y -= np.array(MEAN_BGR, dtype)
    return y


def standardize(x: Any, data_format: str | None = None) -> Any:
    """Scale pixels to [0, 1], subtract ImageNet's mean and divide by its deviation, in a new array.

    `x` is as for the other networks, with three channels. For a symbol it adds a `Rescaling` layer.
    """
    if isinstance(x, KerasTensor):
        shapes.check_data_format(data_format, "preprocess_input")
        scale = [1 / (255 * deviation) for deviation in DEVIATION_RGB]
        offset = [-m / deviation for m, deviation in zip(MEAN_RGB, DEVIATION_RGB, strict=True)]
        return Rescaling(scale, offset)(x)
    array, dtype = _images(x, data_format, channels=3)
    y = np.divide(array, dtype.type(255), dtype=dtype)
    y -= np.array(MEAN_RGB, dtype)
    y /= np.array(DEVIATION_RGB, dtype)
    return y


def unchanged(x: Any, data_format: str | None = None) -> Any:
    """Return `x` as it is: pixels from 0 to 255 go into the network, whose first layers scale them.

    It is here, as in Keras, so that all networks are used in the same way. Raises `ValueError` for
    a `data_format` other than "channels_last".
    """
    shapes.check_data_format(data_format, "preprocess_input")
    return x


def _images(
    x: Any, data_format: str | None, channels: int | None = None
) -> tuple[np.ndarray, np.dtype]:
    """Return images as an array, and the dtype of the result; raise for anything else."""
    shapes.check_data_format(data_format, "preprocess_input")
    array = np.asarray(x)
    shapes.check_numbers(array, "x", "preprocess_input")
    if array.ndim not in (3, 4) or channels not in (None, array.shape[-1]):
        raise ValueError(
            "preprocess_input expects an image (height, width, 3) or a batch of them. "
            f"Received x.shape={array.shape}."
        )
    return array, array.dtype if array.dtype.kind == "f" else np.dtype(np.float32)


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
    weights_checksum: str | None,
    pooling: str | None,
    input_tensor: Any,
    name: str,
    pool_names: tuple[str | None, str | None] = (None, None),
    bare_end: Body | None = None,
    weights_name: str | None = None,
) -> Model:
    """Return a network made of its body and its classifier, with the weights asked for.

    `pool_names` name the poolings "avg" and "max" that take the classifier's place; `bare_end`
    follows them, or the body if there is no pooling. `weights_name` names the file in Keras's
    cache, by default as its address does.
    """
    if pooling not in (None, "avg", "max"):
        raise ValueError(f'{who} expects pooling to be None, "avg" or "max". Received {pooling!r}.')
    if not isinstance(input_tensor, (KerasTensor, type(None))):
        raise TypeError(
            f"{who} expects input_tensor to be a symbol, which Input returns. "
            f"Received {type(input_tensor).__name__}."
        )
    # Weights that a file will fill need no initial values.
    with nullcontext() if weights is None else weight_budget(math.inf):
        inputs = Input(input_shape) if input_tensor is None else input_tensor
        x = body(inputs)
        if include_top:
            x = top(x)
        elif pooling == "avg":
            x = GlobalAveragePooling2D(name=pool_names[0])(x)
        elif pooling == "max":
            x = GlobalMaxPooling2D(name=pool_names[1])(x)
        if bare_end is not None and not include_top:
            x = bare_end(x)
        model = Model(inputs, x, name=name)
    if weights == "imagenet":
        weights = get_file(
            weights_name,
            weights_url,
            weights_checksum,
            cache_subdir="models",
            largest=_LARGEST_WEIGHTS,
        )
    if weights is not None:
        model.load_weights(weights)
    return model


def average_and_dense(x: Any, classes: int, activation: str) -> Any:
    """Return the usual classifier of x: the mean of each map, and a dense layer."""
    x = GlobalAveragePooling2D(name="avg_pool")(x)
    return Dense(classes, activation=activation, name="predictions")(x)


def network(
    who: str,
    body: Body,
    top: Top,
    files: tuple[str, str],
    checksums: tuple[str | None, str | None],
    *,
    size: int,
    smallest: int,
    include_top: bool,
    weights: Any,
    input_tensor: Any,
    input_shape: Sequence[int | None] | None,
    pooling: str | None,
    classes: int,
    classifier_activation: Any,
    name: str,
    pool_names: tuple[str | None, str | None] = (None, None),
    bare_end: Body | None = None,
    cached: tuple[str | None, str | None] = (None, None),
) -> Model:
    """Check the arguments that all networks have, and return a network.

    `files` are the addresses of ImageNet's weights with the classifier and without, in the store;
    `checksums` are theirs (for None, the server's is used), and `cached` their names in Keras's
    cache. The network was trained on images of `size`, and refuses images smaller than `smallest`.
    """
    check_weights(who, weights, include_top, classes)
    check_input(who, input_tensor, input_shape)
    activation = check_classifier(who, classifier_activation, weights, include_top)
    which = 0 if include_top else 1
    return application(
        who,
        body,
        lambda x: top(x, classes, activation),
        input_shape=image_shape(who, input_shape, size, smallest, include_top, weights),
        include_top=include_top,
        weights=weights,
        weights_url=address(files[which]),
        weights_checksum=checksums[which],
        pooling=pooling,
        input_tensor=input_tensor,
        name=name,
        pool_names=pool_names,
        bare_end=bare_end,
        weights_name=cached[which],
    )


def address(file: str) -> str:
    """Return the address of a file of the store; a complete address is returned as it is."""
    return file if file.startswith("https:") else f"{WEIGHTS_STORE}/{file}"


def builder(
    who: str,
    body: Body,
    checksums: tuple[str, str],
    *,
    module: str,
    about: str,
    folder: str | None = None,
    name: str | None = None,
    size: int = 224,
    smallest: int = 32,
    top: Top = average_and_dense,
    pool_names: tuple[str | None, str | None] = (None, None),
) -> Callable[..., Model]:
    """Return the function that makes a network; its name and its arguments are Keras's.

    `checksums`, `size` and `smallest` are as in `network`. The weights are in `folder` of the
    store, by default named as the `module`. `name` is the model's and the weights' name, by default
    `who` in lower case.
    """
    own_name = name or who.lower()
    folder = folder or module.rpartition(".")[2]
    file = f"{folder}/{own_name}_weights_tf_dim_ordering_tf_kernels"

    def build(
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: KerasTensor | None = None,
        input_shape: Sequence[int | None] | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        name: str = own_name,
    ) -> Model:
        return network(
            who,
            body,
            top,
            (f"{file}.h5", f"{file}_notop.h5"),
            checksums,
            size=size,
            smallest=smallest,
            include_top=include_top,
            weights=weights,
            input_tensor=input_tensor,
            input_shape=input_shape,
            pooling=pooling,
            classes=classes,
            classifier_activation=classifier_activation,
            name=name,
            pool_names=pool_names,
        )

    return described(build, who, module, about, size, smallest)


def described(
    build: Callable[..., Model],
    who: str,
    module: str,
    about: str,
    size: int,
    smallest: int = 32,
    include_preprocessing: bool = False,
) -> Callable[..., Model]:
    """Give the function that makes a network its name, its module and its docstring."""
    build.__name__ = build.__qualname__ = who
    build.__doc__ = _ABOUT.format(
        who=who,
        about=about,
        size=size,
        smallest=smallest,
        scaling=_SCALING if include_preprocessing else "",
    )
    build.__module__ = module
    return build


_SCALING = """include_preprocessing: whether the first layers scale pixels from 0 … 255; without
            them the network takes pixels that are already scaled.
        """
_ABOUT = """The {who} network; arguments, layer names and weights are Keras's.

    {about}

    Input: (batch, height, width, 3), at least {smallest} pixels a side, {size} in training,
    as this module's `preprocess_input` returns it. Output: probabilities (batch, classes); without
    the top the maps of the last block, or a number for each map with `pooling`.

    Args:
        include_top: whether the classifier is at the end.
        weights: "imagenet" downloads Keras's published file (once, into `~/.keras`); the path of
            a weights file; or None for random ones.
        {scaling}input_tensor: an `Input` to start from; `input_shape` is not needed then.
        input_shape: without the batch; only ({size}, {size}, 3) for ImageNet's classifier.
        pooling: None, "avg" or "max": what follows the last block if `include_top=False`.
        classes, classifier_activation: settings of the classifier.

    Raises:
        ValueError: for arguments that contradict each other; for weights that do not fit.
        ConnectionError: the weights cannot be downloaded.
    """


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


def check_input(who: str, tensor: Any, shape: Any) -> None:
    """Check that an input tensor and an input shape, if both are given, agree."""
    if isinstance(tensor, KerasTensor) and isinstance(shape, (tuple, list, np.ndarray)):
        own, given = tuple(tensor.shape[1:]), tuple(shape)
        alike = all(a is None or b is None or a == b for a, b in zip(own, given))
        if len(own) != len(given) or not alike:
            raise ValueError(
                f"{who} expects no input_shape beside input_tensor, or its own, {own}. "
                f"Received input_shape={given}."
            )


def check_width(who: str, alpha: Any) -> None:
    """Check the factor of the number of filters."""
    if not shapes.is_number(alpha) or alpha <= 0:
        raise ValueError(f"{who} expects alpha to be a number above 0. Received {alpha!r}.")


def check_classifier(who: str, activation: Any, weights: Any, include_top: bool) -> str:
    """Return the name of the classifier's activation; with loaded weights, softmax or linear."""
    found = activation_name(activation, who)
    if include_top and weights is not None and found not in ("softmax", "linear"):
        raise ValueError(
            f'{who} with loaded weights expects classifier_activation to be "softmax" or None. '
            f"Received {activation!r}."
        )
    return found


def whole_filters(filters: float, least: float = 0.9) -> int:
    """Return the nearest multiple of 8 that is at least the share `least` of `filters`."""
    found = max(8, int(filters + 4) // 8 * 8)
    return found + 8 if found < least * filters else found


def border(x: Any, kernel_size: int) -> Any:
    """Return the padding that puts windows of stride 2 where TensorFlow puts them."""
    half = kernel_size // 2
    odd = [0 if n is None else n % 2 for n in x.shape[1:3]]
    return tuple((half - 1 + n, half) for n in odd)


def trained_size(
    who: str,
    given: Any,
    sizes: Sequence[int],
    include_top: bool,
    weights: Any,
    tensor: Any = None,
) -> tuple[int, ImageShape]:
    """Return the image size that the weights were trained at, and the network's input shape.

    A square image of one of these `sizes` has its own weights; all other images use those of 224,
    and a warning says so if they are ImageNet's. Without a `given` shape, the size is that of
    `tensor`.
    """
    weights = weights if isinstance(weights, str) else None
    shape = image_shape(who, given, 224, 32, include_top, None)
    from_tensor = given is None and isinstance(tensor, KerasTensor)
    height, width = tensor.shape[1:3] if from_tensor else shape[:2]
    own = height == width and height in sizes
    trained = height if own and height else 224
    shape = image_shape(who, given, trained, 32, include_top, weights)
    if weights == "imagenet" and not own and shape[:2] != (224, 224):
        warnings.warn(
            f"{who} was trained at {', '.join(map(str, sizes[:-1]))} and {sizes[-1]} pixels; for "
            f"input_shape={shape} it uses the weights of 224.",
            stacklevel=3,
        )
    return trained, shape


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
    if not isinstance(given, (tuple, list, np.ndarray)) or len(given) != 3:
        raise ValueError(f"{who} expects input_shape=(height, width, channels). Received {given}.")
    shape = tuple(given)
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
