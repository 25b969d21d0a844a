"""Lets the last blocks of the base learn, too: which blocks, in what order, and how fast.

    --fine-tune block14,block13      a stage for each: first from block14 on, then from block13 on
    --fine-tune auto                 the last layers that have a fifth of the base's weights
    --block-decay 0.5                a block learns half as fast as the next one

The layers before the first block that ever learns (the cut) give the same maps for a photo in every
epoch. So, as with the features of a frozen base, they run once over the photos.
"""

import itertools
import math
import re
from collections.abc import Sequence
from typing import Any

import keras

from minicnn._support.terminal import say
from reference import batches
from reference import model as models
from reference.model import Base

# ---------------------------------------------------------------------------------------------
# Blocks
# ---------------------------------------------------------------------------------------------


def first_of(network: keras.Model, name: str) -> keras.Layer:
    """Return the first layer of this name, or of the block of this name: "block14", "conv_dw_13".

    "auto" is the last layer that has, with all layers after it, a fifth of the network's weights:
    where the last block of Xception begins, or MobileNet's last convolution. "conv" is not a
    block's name in MobileNet, where all names from conv1 to conv_dw_13 begin like this: it would be
    the whole base.
    """
    if name == "auto":
        return _last_fifth(network)
    for layer in network.layers:
        block = _block(layer.name)
        inside = block is None or name.startswith(block)
        if name == layer.name or (inside and layer.name.startswith(f"{name}_")):
            return layer
    learning = [layer.name for layer in network.layers if layer.weights]
    blocks = list(dict.fromkeys(_block(name) or name for name in learning))
    raise ValueError(
        f"--fine-tune names the first layer or block of the base that learns, such as "
        f"{blocks[-1]}. {network.name} has none called {name!r}. It has: {', '.join(blocks)}."
    )


def _last_fifth(network: keras.Model) -> keras.Layer:
    weights = 0
    for layer in reversed(network.layers):
        weights += layer.count_params()
        if layer.weights and 5 * weights >= network.count_params():
            return layer
    raise ValueError(f"--fine-tune auto: {network.name} has no weights.")


def _block(name: str) -> str | None:
    """Return the start of a layer's name up to its first whole number."""
    found = re.match(r".*?\d+[a-z]?(?=_|$)", name)
    return found[0] if found else None


def stages(network: keras.Model, names: str) -> list[int]:
    """Return the number of the first layer that learns, for each stage in "block14,block13".

    Raises `ValueError` for an unknown name, and for a stage that does not begin before the earlier
    ones.
    """
    found = [network.layers.index(first_of(network, name.strip())) for name in names.split(",")]
    if any(later >= earlier for earlier, later in itertools.pairwise(found)):
        raise ValueError(
            "--fine-tune names a stage after the other, each from a lower block on, such as "
            f"block14,block13. Received {names!r}."
        )
    return found


def thaw(network: keras.Model, first: int) -> None:
    """Let the layers from number `first` on learn, except for their statistics."""
    network.trainable = True
    for number, layer in enumerate(network.layers):
        layer.trainable = number >= first
    for layer in models.all_layers(network):
        # BatchNormalization must keep its statistics: a few photos would make them worse. So
        # freeze it; calling the base with `training=False` is not enough, since Keras 3's fit
        # calls everything with training=True (keras issue 20285).
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def factors(learner: keras.Model, network: keras.Model, decay: float) -> list[float]:
    """Return how fast each trainable variable learns, relative to the head.

    The last block of `network` learns `decay` times as fast as the head, the one before it
    decay² times, and so on (Howard and Ruder 2018, "Universal language model fine-tuning").
    """
    depth: dict[int, int] = {}
    block, number = None, 0
    for layer in reversed(network.layers):
        if not layer.trainable_variables:
            continue
        name = _block(layer.name) or layer.name
        number += name != block
        block = name
        depth.update((id(variable), number) for variable in layer.trainable_variables)
    return [decay ** depth.get(id(variable), 0) for variable in learner.trainable_variables]


class AdamOfBlocks(keras.optimizers.AdamW):
    """Keras's AdamW, with a factor of the learning rate for each variable.

    It decays all weights at the rate of the head, as Keras does. It is used only in training, and
    never saved.
    """

    def __init__(self, factors: Sequence[float], **settings: Any) -> None:
        super().__init__(**settings)
        self._factors = list(factors)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        factor = self._factors[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * factor)


# ---------------------------------------------------------------------------------------------
# The cut
# ---------------------------------------------------------------------------------------------


def fits(base: Base, first: int, photos: int, show: bool = True) -> bool:
    """Return whether the maps before layer number `first` fit into memory; say so if not."""
    size = 4 * extractor(base, first).output_shape[-1] * photos
    if size > batches.LARGEST_KEPT and show:
        say(
            f"The maps below {base.network.layers[first].name} would take {size / 2**30:.1f} "
            "GiB: the whole network runs in every epoch, uncached."
        )
    return size <= batches.LARGEST_KEPT


def extractor(base: Base, first: int) -> keras.Model:
    """Return the part before layer number `first`: from a photo to one row of all crossing maps."""
    below = lower(base, first)
    rows = [keras.layers.Flatten(dtype="float32")(y) for y in below.outputs]
    row = rows[0] if len(rows) == 1 else keras.layers.Concatenate(dtype="float32")(rows)
    return keras.Model(below.inputs[0], row, name="extractor")


def behind(whole: keras.Model, base: Base, first: int) -> keras.Model:
    """Return the part of `whole` from layer `first` of its base on, for the rows of `extractor`.

    It shares its layers with `whole`.
    """
    above = upper(whole, base, first)
    shapes = [y.shape[1:] for y in above.inputs]
    ends = list(itertools.accumulate(math.prod(shape) for shape in shapes))
    inputs = keras.Input((ends[-1],), name="maps")
    maps = []
    for shape, start, end in zip(shapes, [0, *ends], ends, strict=False):
        part = inputs if len(ends) == 1 else inputs[:, start:end]
        maps.append(keras.layers.Reshape(shape, dtype="float32")(part))
    return keras.Model(inputs, above(maps if len(maps) > 1 else maps[0]), name="rows")


def lower(base: Base, first: int) -> keras.Model:
    """Return the part before layer number `first`: a photo in, all maps that cross the cut out."""
    photo = keras.Input((base.image_size, base.image_size, 3), name="photo")
    maps = _crossed(base, first, photo)
    return keras.Model(photo, maps if len(maps) > 1 else maps[0], name="lower")


def upper(whole: keras.Model, base: Base, first: int) -> keras.Model:
    """Return the part of `whole` from layer number `first` of its base on, for `lower`'s maps."""
    crossing = _crossing(base.network, first)
    above = keras.Model(crossing, base.network.outputs[0], name="above")
    photo = keras.Input((base.image_size, base.image_size, 3))
    inputs = [keras.Input(y.shape[1:]) for y in _crossed(base, first, photo)]
    parts = [inputs[at : at + len(crossing)] for at in range(0, len(inputs), len(crossing))]
    maps = [above(part if len(part) > 1 else part[0], training=False) for part in parts]
    logits = models.through(models.layers_of_head(whole), base.pooled(maps))
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], logits, name="upper")


def _crossed(base: Base, first: int, photo: Any) -> list[Any]:
    """Return the maps that cross the cut, of each image size."""
    sizes = base.maps(photo, _below(base.network, first))
    return [y for maps in sizes for y in (maps if isinstance(maps, list) else [maps])]


def _below(network: keras.Model, first: int) -> keras.Model:
    """Return the part of the network before layer number `first`."""
    # Keras cannot make a model that consists of inputs only.
    maps = [keras.layers.Identity(dtype="float32")(y) for y in _crossing(network, first)]
    return keras.Model(network.inputs, maps, name="below")


def _crossing(network: keras.Model, first: int) -> list[Any]:
    """Return the maps that layers from number `first` on take from those before it."""
    operations = network.operations
    start = operations.index(network.layers[first])
    below = {id(operation) for operation in operations[:start]}
    found, seen, waiting = [], set(), list(network.outputs)
    while waiting:
        y = waiting.pop(0)
        if id(y) in seen:
            continue
        seen.add(id(y))
        operation, node, _ = y._keras_history
        if id(operation) in below or isinstance(operation, keras.layers.InputLayer):
            found.append(y)
        else:
            waiting += operation._inbound_nodes[node].input_tensors
    return found
