"""The configuration of users' own layers: returns their arguments, and makes new layers of them."""

import inspect
from typing import Any

from minicnn._support.settings import parameters_of


def arguments(layer: Any, names: list[str]) -> dict[str, Any]:
    """Return these arguments of a layer's constructor: attributes of that name, or as given."""
    positional, named = layer._given
    given = inspect.signature(type(layer)).bind_partial(*positional, **named)
    given.apply_defaults()
    found = {}
    for name in names:
        parameter = parameters_of(type(layer).__init__)[name]
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        missing = given.arguments.get(name)
        found[name] = vars(layer).get(name, missing) if name != "activation" else layer.activation
    return found


def made(kind: Any, config: dict[str, Any]) -> Any:
    """Return a new layer of this class; set name and `trainable` if it does not take them."""
    parameters = parameters_of(kind.__init__)
    all_names = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    shared = ("name", "trainable", "dtype")
    plain = {key: _restored(value) for key, value in config.items()}
    taken = {
        key: value
        for key, value in plain.items()
        if all_names or key in parameters or key not in shared
    }
    try:
        layer = kind(**taken)
    except TypeError as error:
        raise ValueError(f"{kind.__name__} cannot be made from its config: {error}") from error
    if "name" in plain and "name" not in taken:
        layer.name = plain["name"]
    if plain.get("trainable") is False and "trainable" not in taken:
        layer.trainable = False
    return layer


def _restored(value: Any) -> Any:
    """Return a tuple for Keras's description of a tuple; anything else as it is."""
    if isinstance(value, dict) and value.get("class_name") == "__tuple__":
        return tuple(value.get("items", ()))
    return value
