"""Classes and functions of the user's own that files may name, under Keras's names.

    @register_keras_serializable(package="mine")
    class Scale(Layer): …

A file says "mine>Scale", or "Scale" without a package. The program that loads the file must define
the class: a file never brings code, and nothing is imported because a file names it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Thing = TypeVar("Thing")

_registered: dict[str, Any] = {}
_names: dict[Any, str] = {}
_scope: ContextVar[Mapping[str, Any]] = ContextVar("_scope", default={})  # noqa: B039 - never changed


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[Thing], Thing]:
    """Return a decorator that lets files name a class or function as "package>name"."""

    def register(thing: Thing) -> Thing:
        known = f"{package}>{name or thing.__name__}"  # type: ignore[attr-defined]
        _registered[known], _names[thing] = thing, known
        return thing

    return register


def get_registered_name(obj: Any) -> str:
    """Return the name that files have for a class or function: its own, if it is not registered."""
    return _names.get(obj, obj.__name__)


def get_registered_object(
    name: str,
    custom_objects: Mapping[str, Any] | None = None,
    module_objects: Mapping[str, Any] | None = None,
) -> Any:
    """Return the class or function of this name, or None."""
    for known in (_scope.get(), _registered, custom_objects or {}, module_objects or {}):
        if name in known:
            return known[name]
    return None


def own_object(description: Any) -> Any:
    """Return the user's own class or function that a file's description names, or None."""
    if isinstance(description, str):
        return get_registered_object(description)
    if not isinstance(description, dict):
        return None
    config = description.get("config")
    names = [description.get("registered_name"), description.get("class_name")]
    if description.get("class_name") == "function":
        names.append(config)
    found = (get_registered_object(name) for name in names if isinstance(name, str))
    return next((thing for thing in found if thing is not None), None)


def get_custom_objects() -> dict[str, Any]:
    """Return the dict of everything registered; it is the dict itself, not a copy."""
    return _registered


@contextmanager
def custom_object_scope(custom_objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Let files also name the classes and functions of this dict within the block."""
    if custom_objects is not None and not isinstance(custom_objects, Mapping):
        raise TypeError(
            "custom_objects is a dict of names and classes. "
            f"Received {type(custom_objects).__name__}."
        )
    token = _scope.set({**_scope.get(), **(custom_objects or {})})
    try:
        yield
    finally:
        _scope.reset(token)


CustomObjectScope = custom_object_scope
