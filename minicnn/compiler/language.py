"""The parts of the kernel language besides Python: functions, builtins, and modules."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from llvmlite import ir

from minicnn.compiler.values import Kind, Scalar

_F = TypeVar("_F", bound=Callable[..., Any])


class CompileError(TypeError):
    """Says what a kernel contains that it may not contain, and where."""


class RefusedError(Exception):
    """Says what a statement contains that it may not; `translate.Compiler.block` adds where."""


class Builtin:
    """A function that writes instructions itself: `write(compiler, *values)` returns its value."""

    def __init__(self, write: Callable[..., Any]) -> None:
        self.write, self.__name__, self.__doc__ = write, write.__name__, write.__doc__

    def __call__(self, *arguments: Any) -> Any:
        raise TypeError(f"{self.__name__} exists only in compiled kernels.")


def builtin(write: Callable[..., Any]) -> Builtin:
    """Return a builtin that kernels call by this function's name; it writes the instructions."""
    return Builtin(write)


class Function:
    """A function that kernels call, compiled into them for the kinds of its arguments.

    Python can also call it if it computes with numbers alone.
    """

    def __init__(self, python: Callable[..., Any]) -> None:
        self.python = python
        self.__name__, self.__doc__ = python.__name__, python.__doc__

    def __call__(self, *arguments: Any) -> Any:
        return self.python(*arguments)


def function(python: _F) -> _F:
    """Turn a Python function into one that kernels can call."""
    return cast(_F, Function(python))


class Separate:
    """A function that is compiled once, by itself, for each kind of number; kernels share it.

    Kernels call it with an array, whose kind of number decides (unless `element` fixes the kind),
    and with `count` whole numbers, which `write(compiler, element, *numbers)` receives as LLVM
    values. It is the global `name` of `module`.
    """

    def __init__(
        self,
        write: Callable[..., Any],
        count: int,
        name: str,
        element: Scalar | None = None,
        module: str = "",
    ) -> None:
        self.write, self.count, self.__name__, self.element = write, count, name, element
        self.__doc__, self.__module__ = write.__doc__, module or write.__module__

    def symbol(self, element: Scalar) -> str:
        """Return the name of its machine code, which says where it comes from."""
        return f"{self.__module__}:{self.__name__}:{element.name}"

    def __call__(self, *arguments: Any) -> Any:
        raise TypeError(f"{self.__name__} exists only in compiled kernels.")


class Module:
    """Functions compiled together: one kernel or separate function, and those that it calls."""

    def __init__(self, name: str) -> None:
        self.ir = ir.Module(name)
        self.functions: dict[Any, tuple[Any, Kind | None]] = {}
        self.begun: set[Any] = set()  # keys of functions; some may not be finished yet
        self.required: dict[str, None] = {}  # symbols of separate functions

    def declared(self, name: str, kind: ir.FunctionType) -> ir.Function:
        """Return the function of this name from outside."""
        found = self.ir.globals.get(name)
        return found if found is not None else ir.Function(self.ir, kind, name)
