"""Finds the layers that a user's layer holds in attributes, and in lists and dicts there.

    self.conv = Conv2D(8, 3)                       conv
    self.blocks = [Dense(4), Dense(4)]             blocks/dense, blocks/dense_1

The paths are those of Keras's files: in a list or dict, a layer has its class in snake case.
"""

import functools
from collections import Counter
from collections.abc import Iterator
from typing import Any

from minicnn._support.settings import is_ours, snake_case


@functools.cache
def attributes_of_minicnn(kind: type) -> frozenset[str]:
    """Return the attributes that minicnn itself uses, named by `untracked`."""
    return frozenset(name for cls in kind.__mro__ for name in vars(cls).get("untracked", ()))


def tracked(owner: Any, kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the path and the layer, an instance of `kind`, for each layer in an object, once."""
    met = {id(owner)}
    for name, value in vars(owner).items():
        if name not in attributes_of_minicnn(owner.__class__):
            yield from _within(name, value, kind, met)


def check_attribute(owner: Any, name: str, value: Any, kind: type) -> None:
    """Raise an `AttributeError` for a place where minicnn keeps what it needs.

    Under a public name, only layers are refused, which would be hidden there.
    """
    if name not in attributes_of_minicnn(owner.__class__):
        return
    if name.startswith("_") and value is not None and not is_ours(type(value)):
        raise AttributeError(
            f"{type(owner).__name__} cannot have an attribute {name}, where minicnn keeps things "
            f"of its own. Choose another name, such as {name.removeprefix('_')}_."
        )
    if any(_within(name, value, kind, {id(owner)})):
        raise AttributeError(
            f"{type(owner).__name__} cannot hold layers in {name}, where minicnn keeps things of "
            f"its own. Choose another name, such as {name}_."
        )


def layers_within(layer: Any) -> list[Any]:
    """Return the layers directly within a layer: a network's, or those that it holds itself."""
    return layer.layers if layer.is_network else [inner for _, inner in layer.sublayers()]


def _within(path: str, value: Any, kind: type, met: set[int]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, kind):
        if id(value) not in met:
            met.add(id(value))
            yield path, value
    elif isinstance(value, (list, tuple, dict)):
        counts: Counter[str] = Counter()
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, kind):
                own = getattr(item, "keras_class_name", type(item).__name__)
                name = snake_case(own)
            elif isinstance(item, (list, tuple, dict)) and id(item) not in met:
                met.add(id(item))  # a list may hold itself
                name = "container"
            else:
                continue
            number = counts[name]
            counts[name] += 1
            yield from _within(f"{path}/{name}" + (f"_{number}" if number else ""), item, kind, met)
