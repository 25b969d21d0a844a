"""Classes and functions of the user's own that files may name, under Keras's names.

    @register_keras_serializable(package="mine")
    class Scale(Layer): …

A file says "mine>Scale", or "Scale" without a package. Whoever loads it has the class: a file never
brings code, and nothing is imported because a file names it.
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


def get_custom_objects() -> dict[str, Any]:
    """Return the dict of all that is registered, itself."""
    return _registered


@contextmanager
def custom_object_scope(custom_objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Within, files may name these classes and functions, too: a dict of names."""
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
