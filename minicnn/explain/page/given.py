"""What a page is given: the images, their photos, and a model with the output to show."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.explain.page.document import data_uri
from minicnn.explain.page.wording import Message, message
from minicnn.layers.base import Array
from minicnn.models import Model

MOST_PHOTOS = 24


def pictures_of(images: Array, photo: Any) -> list[dict[str, Any]]:
    """Return the name of each image, and the photo to show for it."""
    photos = list(photo) if isinstance(photo, (list, tuple)) else [photo]
    if isinstance(photo, (list, tuple)) and len(photos) != len(images):
        raise ValueError(
            f"A page expects a photo for each image. Received {len(photos)} for {len(images)}."
        )
    photos += [None] * (len(images) - len(photos))
    return [
        {
            "name": Path(p).name if isinstance(p, (str, os.PathLike)) else None,
            "picture": None if p is None else data_uri(p),
        }
        for p in photos
    ]


def images_of(model: Any, x: Any) -> Array:
    """Return x as the model takes it, with the batch axis; `ValueError` if it does not fit."""
    if not isinstance(model, Model):
        raise TypeError(f"A page shows a Model or Sequential. Received {type(model).__name__}.")
    x = np.asarray(x)
    if x.dtype.kind not in "fiub":
        raise TypeError(f"A page expects x to be numbers. Received dtype {x.dtype}.")
    if not model.built:
        model.build(x.shape if x.ndim == 4 else (1, *x.shape))
    if len(model.inputs) != 1:
        raise ValueError(f"{model.label} has {len(model.inputs)} inputs; a page shows one image.")
    rank = len(model.inputs[0].shape)
    x = x[None] if x.ndim == rank - 1 else x
    if rank not in (3, 4) or x.ndim != rank or not x.size:
        raise ValueError(
            f"A page shows models that look at images, (batch, height, width, channels), or at "
            f"lines, (batch, steps, channels). {model.label} takes {model.inputs[0].shape}. "
            f"Received x.shape={x.shape}."
        )
    if len(x) > MOST_PHOTOS:
        raise ValueError(f"A page has {MOST_PHOTOS} images at most. Received x.shape={x.shape}.")
    return x.astype(model.inputs[0].dtype)


def check_finite(model: Model, x: Array) -> None:
    """Raise a `ValueError` for NaN and infinity in pixels and weights."""
    if not np.isfinite(x).all():
        raise ValueError("The image has NaN or infinite pixels, which have no explanation.")
    for variable in model.weights:
        if not np.isfinite(variable.value).all():
            raise ValueError(
                f"The weight {variable.path} has NaN or infinite values, which have no "
                "explanation. Did the training diverge? A smaller learning rate helps."
            )


def reading_of(model: Model) -> str:
    """Return how photos become the model's images, as far as its file says it."""
    known = model.metadata.get("interpolation")
    return known if known in ("nearest", "antialias") else "bilinear"


def one_output(model: Model, output: int | str | None) -> tuple[Model, list[Message]]:
    """Return the part of the model that leads to one output, and a note about the other outputs."""
    names = [tensor.node.layer.name for tensor in model.outputs]
    number = names.index(output) if output in names else output or 0
    if not isinstance(number, int) or not 0 <= number < len(names):
        raise ValueError(f"{model.label} has the outputs {names}. Received output={output!r}.")
    if len(names) == 1:
        return model, []
    says = message("note.one_output", names=", ".join(names), name=names[number])
    return Model(model.inputs, model.outputs[number], name=model.name), [says]
