"""`demo` and `train` make this network."""

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
    """Rescaling, then a 3x3 convolution with ReLU per entry of `filters`, pooling between them.

    `head` "average": global average pooling, what was seen wherever it was; "flatten": one more
    pooling, and every place keeps weights of its own. Then one score per class.
    """
    from minicnn import layers

    halvings = len(filters) - 1 if head == "average" else len(filters)
    if image_size < 2**halvings:
        raise ValueError(
            f"{len(filters)} convolutions and {halvings} poolings need photos of at least "
            f"{2**halvings} pixels a side. Received --image-size {image_size}."
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
