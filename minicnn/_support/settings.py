"""Settings: constructor arguments as plain Python values, and the dict that recreates an object.

A NumPy number (`np.float32(0.9)`, `np.int64(3)`, an array without axes) is as good a setting as
Python's. It becomes Python's before the constructor sees it, so that a file can hold whatever a
layer or an optimizer keeps.
"""

import functools
import inspect
import re
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from minicnn import shapes
from minicnn._support.objects import get_registered_name


def snake_case(name: str) -> str:
    """Convert `MaxPooling2D` to `max_pooling2d` by Keras's rule, on which its files rely."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def plain(value: Any) -> Any:
    """Convert NumPy's numbers, booleans and texts, alone or in a tuple, to Python's.

    All else stays as it is. A list or a dict is not copied: its owner may look into it later.
    """
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    if type(value) is tuple:
        return tuple(plain(item) for item in value)
    return value


def plain_throughout(value: Any) -> Any:
    """Convert as `plain` does, also inside lists and dicts, and arrays to lists: for a file."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if type(value) in (list, tuple):
        return type(value)(plain_throughout(item) for item in value)
    if type(value) is dict:
        return {key: plain_throughout(item) for key, item in value.items()}
    return plain(value)


@functools.lru_cache(maxsize=1000)
def parameters_of(function: Any) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a function or class by name, cached: Python finds them slowly."""
    return inspect.signature(function).parameters


class PlainArguments:
    """Base class whose constructors receive their arguments through `plain`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" not in vars(cls):
            return
        own = cls.__init__

        @functools.wraps(own)
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            args, kwargs = plain(args), {key: plain(value) for key, value in kwargs.items()}
            self._take_arguments(args, kwargs)
            own(self, *args, **kwargs)

        cls.__init__ = __init__  # type: ignore[method-assign]

    def _take_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Receive the arguments before each constructor does, the outermost class's first."""


def check_config(config: Any, who: str) -> None:
    """Raise a `ValueError` unless `config` is a dict."""
    if not isinstance(config, Mapping):
        raise ValueError(f"{who} expects its config to be a dict. Received {config!r}.")


class Configurable(PlainArguments):
    """Base class of objects with settings: `get_config` returns them, `from_config` takes them."""

    _ignored_keys: tuple[str, ...] = ()  # keys of Keras's configs that minicnn does not need

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that recreate this object, as Keras writes them."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return a new object from `get_config()`'s dict, Keras's or ours.

        Raises `ValueError` for an argument that it does not take, and unless `config` is a dict.
        """
        check_config(config, cls.__name__)
        kept = {key: value for key, value in config.items() if key not in cls._ignored_keys}
        known = parameters_of(cls)  # type: ignore[arg-type]  # mypy doubts that a class has a hash
        if not any(p.kind is p.VAR_KEYWORD for p in known.values()):  # otherwise `cls` checks them
            for key in kept:
                if key not in known:
                    shapes.refuse_argument(key, list(known), {}, cls.__name__)
        return cls(**kept)


def made_from(identifier: Any, classes: Mapping[str, Any]) -> Any:
    """Return the object that a name or a saved config stands for, or None if no class has the name.

    A config is `{"class_name": …, "config": …}`. Raises `ValueError` for arguments that the class
    does not take.
    """
    config: Any = {}
    if isinstance(identifier, dict):
        identifier, config = identifier.get("class_name"), identifier.get("config", {})
    cls = classes.get(identifier) if isinstance(identifier, str) else None
    return None if cls is None else cls.from_config(config)


def serialized(thing: Any, module: str) -> dict[str, Any]:
    """Return the object as Keras writes it into a file: `{"class_name": …, "config": …, …}`."""
    return {
        "module": module,
        "class_name": getattr(thing, "keras_class_name", type(thing).__name__),
        "config": plain_throughout(thing.get_config()),
        "registered_name": None if is_ours(type(thing)) else get_registered_name(type(thing)),
    }


def is_ours(kind: Any) -> bool:
    """Return whether a class or function is minicnn's, rather than the user's own."""
    return str(kind.__module__).startswith("minicnn.")
