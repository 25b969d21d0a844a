"""Small helpers under Keras's names."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import shapes
from minicnn._support.atomic import replacing
from minicnn._support.download import get_file
from minicnn._support.objects import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from minicnn._support.seeding import set_random_seed
from minicnn.compat import hints
from minicnn.images import (
    array_to_img,
    image_dataset_from_directory,
    img_to_array,
    load_img,
    save_img,
)
from minicnn.layers.base import clear_session
from minicnn.models import Model, diagram
from minicnn.training.py_dataset import PyDataset

Sequence = PyDataset  # its name in Keras 2


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Return class numbers as one-hot rows: [0, 2] as [[1, 0, 0], [0, 0, 1]], float32.

    Raises `ValueError` for numbers that are not whole or not in 0 … num_classes - 1.
    """
    numbers = np.asarray(x)
    if numbers.ndim > 1 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    count = num_classes if num_classes is not None else int(numbers.max(initial=-1)) + 1
    whole = numbers.astype(np.intp)
    if (whole != numbers).any() or (numbers.size and not 0 <= whole.min() <= whole.max() < count):
        raise ValueError(f"to_categorical expects whole numbers in [0, {count}). Received {x!r}.")
    return np.eye(count, dtype=np.float32)[whole]


def plot_model(
    model: Any,
    to_file: str | os.PathLike[str] | None = "model.svg",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: float = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    **unknown: Any,
) -> diagram.Drawing:
    """Draw a model as SVG, write it to a file, and return it; a notebook shows it.

    It needs neither Graphviz nor another library.

    Args:
        to_file: a path that ends in `.svg`, or None to write none.
        show_shapes: the shapes of inputs and outputs.
        show_dtype: the dtypes.
        show_layer_names: the layers' names, not only their classes.
        rankdir: "TB" draws from top to bottom, "LR" from left to right.
        expand_nested: draw a nested model's layers, in another colour, instead of one box.
        dpi: the size at which the drawing is shown: 100 halves that of 200. It stays sharp.
        show_layer_activations: the activations.
        show_trainable: whether layers with weights learn or are frozen.

    Raises `ValueError` for another kind of file, for another argument or direction, and for a model
    that has no graph yet; `TypeError` for anything that is not a model.
    """
    if not isinstance(model, Model):
        raise TypeError(f"plot_model expects a model. Received {type(model).__name__}.")
    for argument, value in unknown.items():
        raise ValueError(
            "plot_model takes to_file, rankdir, expand_nested, dpi and the arguments show_…. "
            f"Received {argument}={value!r}."
        )
    if rankdir not in ("TB", "LR"):
        raise ValueError(f'plot_model expects rankdir to be "TB" or "LR". Received {rankdir!r}.')
    if not shapes.is_number(dpi) or dpi <= 0:
        raise ValueError(f"plot_model expects dpi to be a number above 0. Received {dpi!r}.")
    if to_file is not None and Path(to_file).suffix.lower() != ".svg":
        raise ValueError(
            f'plot_model draws SVG: it expects to_file to end in ".svg". Received {to_file!r}.'
        )
    settings = show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable
    drawing = diagram.draw(
        model,
        lambda node: diagram.description(node, *settings),
        sideways=rankdir == "LR",
        expanded=bool(expand_nested),
        scale=dpi / 200,
    )
    if to_file is not None:
        with replacing(to_file) as temporary:
            temporary.write_text(drawing, "utf-8")
    return drawing


__all__ = [
    "CustomObjectScope",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "clear_session",
    "custom_object_scope",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "image_dataset_from_directory",
    "img_to_array",
    "load_img",
    "plot_model",
    "register_keras_serializable",
    "save_img",
    "set_random_seed",
    "to_categorical",
]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)
