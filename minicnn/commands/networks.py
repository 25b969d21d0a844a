"""The network that `demo` and `train` make."""

from collections.abc import Sequence
from typing import Any

DEFAULT_FILTERS = (32, 64, 128, 128)


def small_cnn(
    image_size: int,
    classes: int,
    filters: Sequence[int] = DEFAULT_FILTERS,
    dropout: float = 0.0,
    head: str = "average",
) -> Any:
    """Make a small CNN: rescaling, 3x3 convolutions with ReLU and pooling between them, a head.

    `filters` has one entry for each convolution. With `head="average"` the convolutions are
    followed by global average pooling, which ignores where something was seen; with "flatten" by
    one more pooling and a Flatten, so that every place has its own weights. A dense layer with one
    score per class comes last.
    """
    from minicnn import layers

    halvings = len(filters) - 1 if head == "average" else len(filters)
    if image_size < 2**halvings:
        raise ValueError(
            f"{len(filters)} convolutions and {halvings} poolings need photos of at least "
            f"{2**halvings} pixels per side. Received --image-size {image_size}."
        )
    from minicnn.models import Sequential

    model = Sequential([layers.Input((image_size, image_size, 3)), layers.Rescaling(1 / 255)])
    for index, count in enumerate(filters):
        if index:
            model.add(layers.MaxPooling2D())
        model.add(layers.Conv2D(count, 3, padding="same", activation="relu"))
    if head == "average":
        model.add(layers.GlobalAveragePooling2D())
    else:
        model.add(layers.MaxPooling2D())
        model.add(layers.Flatten())
    if dropout:
        model.add(layers.Dropout(dropout))
    model.add(layers.Dense(classes))
    return model
