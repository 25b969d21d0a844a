"""Several trained networks as one model, which may also look at a photo's mirror image.

    photo → [mirror image] → the part they share → member 0 → logits ┐
                                                   member 1 → logits ┼ average → / temperature
                                                   …                 ┘

They share the layers that no run has changed: a frozen base, or the layers before the first block
that learned. So five heads cost hardly more than one. Everything is a layer, so an exported file,
minicnn and a server compute the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from reference import model as models
from reference import tuning
from reference.model import Base


def assemble(
    wholes: Sequence[keras.Model],
    base: Base,
    first: int | None = None,
    flips: bool = False,
    temperature: float = 1.0,
) -> keras.Model:
    """Make one model of trained ones, from `make_model` and one base; it shares their layers.

    `first` is the number of the first layer of the base that learned, None for a frozen base. The
    average of the logits is that of the log probabilities. With `flips` it is taken over the photo
    and its mirror image, too; a `temperature` above 1 makes all probabilities less certain.
    """
    bases = [replace(base, network=whole.get_layer(base.network.name)) for whole in wholes]
    if first is None:
        below = bases[0].extractor()
        members = [models.head_of(whole) for whole in wholes]
    else:
        below = tuning.lower(bases[0], first)
        members = [tuning.upper(*pair, first) for pair in zip(wholes, bases, strict=True)]
    for number, member in enumerate(members):
        member.name = f"member_{number}"
    photo = keras.Input((base.image_size, base.image_size, 3), name="photo")
    logits: list[Any] = []
    # The photo itself comes last: Grad-CAM draws the last maps of a model over it.
    for seen in (photo[:, :, ::-1], photo) if flips else (photo,):
        maps = below(seen)
        logits += [member(maps) for member in members]
    y = logits[0]
    if len(logits) > 1:
        y = keras.layers.Average(name="average", dtype="float32")(logits)
    if temperature != 1:
        y = keras.layers.Rescaling(1 / temperature, name="temperature", dtype="float32")(y)
    return keras.Model(photo, y, name="classifier")
