"""Optimizers use gradients to update weights, with the same steps as Keras.

`optimizer.apply(grads, variables)` makes one step; both are dicts with the same keys, as from
`model.backward` and `model.trainable_variables_by_name()`. The optimizer updates the weights in
place and keeps a state for each of them (momentum, averages). So each model needs its own
optimizer, as in Keras.

Below, g is a gradient, w its weight, lr the learning rate; t counts the steps from 1.
"""

from typing import TYPE_CHECKING, Any

from minicnn._support.settings import serialized
from minicnn.compat import hints
from minicnn.optimizers import schedules
from minicnn.optimizers.base import Optimizer
from minicnn.optimizers.further import Ftrl, Lamb, Muon
from minicnn.optimizers.more import Adadelta, Adafactor, Adagrad, Adamax, Lion, Nadam
from minicnn.optimizers.previews import NextStep
from minicnn.optimizers.usual import SGD, Adam, AdamW, RMSprop

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "Muon",
    "Nadam",
    "NextStep",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]

OPTIMIZERS: dict[str, type[Any]] = {
    cls.__name__.lower(): cls
    for cls in (
        *(SGD, Adam, RMSprop, AdamW, Adamax, Nadam, Adagrad, Adadelta, Adafactor, Lion),
        *(Ftrl, Lamb, Muon),
    )
}


def get(identifier: Any) -> Optimizer:
    """Return an optimizer from an object, a name ("adam") or a saved config.

    Raises `ValueError` for anything else.
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, dict):
        found = OPTIMIZERS.get(str(identifier.get("class_name")).lower())
        if found is not None:
            made: Optimizer = found.from_config(identifier.get("config", {}))
            return made
        identifier = identifier.get("class_name")
    if isinstance(identifier, str) and identifier.lower() in OPTIMIZERS:
        named: Optimizer = OPTIMIZERS[identifier.lower()]()
        return named
    raise ValueError(
        f"An optimizer is an object of minicnn.optimizers or one of {', '.join(OPTIMIZERS)}. "
        f"Received {identifier!r}."
    )


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Return the optimizer as Keras writes it into a model's config, without its state."""
    return serialized(optimizer, "keras.optimizers")


def deserialize(config: Any) -> Optimizer:
    """Return an optimizer from `serialize`'s dict, Keras's or ours, or from a name."""
    return get(config)
