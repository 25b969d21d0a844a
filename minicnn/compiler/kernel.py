"""Kernels as Python sees them: compiled for the kinds of their arguments when first needed.

    @kernel(tasks=lambda x, y: -(-x.size // 4096), writes="y")
    def relu(task, x, y):
        for i in range(task * 4096, min((task + 1) * 4096, x.size)):
            y[i] = max(x[i], 0)

`relu(x, y)` computes all tasks on the team's threads (`minicnn.compiler.threads`). How many tasks
there are follows from the arguments alone; which thread computes a task, and when, does not matter,
since a task writes what no other task reads or writes.
"""

import functools
import hashlib
import importlib
import inspect
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import compilation, forks, interrupts
from minicnn.compiler import cache, recording, threads
from minicnn.compiler.values import ArrayKind, Kind, Scalar, kind_of_argument, name_of

if TYPE_CHECKING:
    from minicnn.compiler import translate


_CONTIGUOUS = 1  # NumPy's flag, NPY_ARRAY_C_CONTIGUOUS


class Kernel:
    """A kernel: `python` is its text, whose first parameter is the task."""

    def __init__(
        self,
        python: Callable[..., Any],
        tasks: Callable[..., int],
        writes: Sequence[str] = (),
        vectorize: bool = False,
    ) -> None:
        self.python, self.tasks, self._vectorize = python, tasks, vectorize
        self.__name__, self.__doc__, self.__module__ = (
            python.__name__,
            python.__doc__,
            python.__module__,
        )
        names = list(inspect.signature(python).parameters)[1:]
        self._told = names[:1] == ["tasks"]
        names = names[self._told :]
        self.written = tuple(names.index(name) for name in writes)  # which of the arguments
        self._compiled: dict[Any, tuple[int, Callable[..., bytes]]] = {}

    def __call__(self, *arguments: Any) -> None:
        """Compute all tasks."""
        recorder = recording.here.recorder
        if recorder is not None:
            if recorder.takes(self, arguments):
                return
            arguments = recording.plain(arguments)
        tasks = self.tasks(*arguments)
        if tasks > 0:
            threads.run(*self.prepared(tasks, arguments), tasks)

    def in_each_run(self, *arguments: Any) -> None:
        """Compute all tasks; a program does so each time it runs, though they read weights alone.

        So the result takes memory only while it is needed.
        """
        recorder = recording.here.recorder
        if recorder is None:
            self(*arguments)
        else:
            recorder.write_down(self, arguments)

    def prepared(self, tasks: int, arguments: tuple[Any, ...]) -> tuple[int, bytes]:
        """The address of the machine code, and the record of these arguments."""
        if self._told:
            arguments = (tasks, *arguments)
        key: list[Any] = []
        parts: list[Any] = []
        for argument in arguments:
            kind = type(argument)
            if kind is np.ndarray:
                if not argument.flags.num & _CONTIGUOUS:
                    raise ValueError(f"{self.__name__} takes C-contiguous arrays.")
                key.append(argument.dtype.num * 16 + argument.ndim)
                parts.append(id(argument))
            elif kind is tuple:
                key.append(tuple(map(type, argument)))
                parts += argument
            else:
                key.append(kind)
                parts.append(argument)
        found = self._compiled.get(tuple(key))
        if found is None:
            kinds = tuple(kind_of_argument(argument) for argument in arguments)
            found = self.address(kinds), struct.Struct("".join(map(_format, kinds))).pack
            self._compiled[tuple(key)] = found
        return found[0], found[1](*parts)

    def address(self, kinds: tuple[Kind, ...]) -> int:
        """The address of the machine code for arguments of these kinds."""
        symbol = "_".join([_full_name(self.python), *map(name_of, kinds)])

        def write(module: "translate.Module") -> None:
            from minicnn.compiler import translate

            translate.kernel_function(module, self.python, kinds)

        return _loaded(symbol, _short_name(self.python), self.python, write, self._vectorize)


def _full_name(python: Callable[..., Any]) -> str:
    """What no other function is called, in whatever file."""
    return f"{python.__module__}.{python.__qualname__}"


def _short_name(python: Callable[..., Any]) -> str:
    """What the user and the disk are told."""
    return f"{python.__module__.rpartition('.')[2]}.{python.__name__}"


def _format(kind: Kind) -> str:
    """The kind as `struct` writes it, each part in eight bytes."""
    if isinstance(kind, Scalar):
        return {"float32": "f4x", "float64": "d"}.get(kind.name, "q")
    if isinstance(kind, ArrayKind):
        return "q"
    return "".join(_format(item) for item in kind.items)


def entry(python: Callable[..., Any]) -> int:
    """The address of the machine code of a function of whole numbers, which Python calls."""

    def write(module: "translate.Module") -> None:
        from minicnn.compiler import translate

        translate.entry_function(module, python)

    return _loaded(_full_name(python), _short_name(python), python, write)


building = threading.RLock()  # a child that was forked in between could not go on building
forks.wait_for(sys.modules[__name__], "building", seconds=60)
_known: dict[str, int] = {}  # addresses of what is loaded


def _loaded(
    symbol: str,
    name: str,
    python: Callable[..., Any],
    write: Callable[["translate.Module"], None],
    vectorize: bool = False,
) -> int:
    """The address of a function in machine code: loaded already, from the disk, or new."""
    with interrupts.waiting(), building:
        if symbol in _known:
            return _known[symbol]
        from minicnn.compiler import machine

        entry = cache.Entry(name, f"{symbol}\n{_digest(python.__code__.co_filename)}")
        code = entry.read()
        if code is None:
            compilation.begins(name)
            try:
                code = _compiled(symbol, write, vectorize)
            finally:
                compilation.ends()
            entry.write(code)
        required, _, body = code.partition(b"\n")
        for other in required.decode().split():
            _load_separate(other)
        _known[symbol] = machine.load(body, symbol)
        return _known[symbol]


def _compiled(
    symbol: str, write: Callable[["translate.Module"], None], vectorize: bool
) -> bytes:
    """Object code, behind a line with the symbols of the separate functions that it calls."""
    from minicnn.compiler import machine, translate

    module = translate.Module(symbol)
    write(module)
    return " ".join(module.required).encode() + b"\n" + machine.machine_code(str(module.ir), vectorize)


def _load_separate(symbol: str) -> None:
    module_name, name, element = symbol.split(":")
    function = getattr(importlib.import_module(module_name), name)

    def write(module: "translate.Module") -> None:
        from minicnn.compiler import translate, values

        translate.separate_function(module, function, values.BY_DTYPE[np.dtype(element)])

    _loaded(symbol, f"{module_name.rpartition('.')[2]}.{name}", function.write, write)


@functools.cache
def _digest(file: str) -> str:
    """The digest of all files that a kernel in this file is made of."""
    here = Path(__file__).parent
    files = {*here.glob("*.py"), *(here.parent / "kernels").glob("*.py"), Path(file)}
    files -= {here / "cache.py"}  # which only keeps them
    # In a zip file there are no files: then it is digested whole.
    kept = {next(p for p in (path, *path.parents) if p.exists()) for path in files}
    found = [path.read_bytes() for path in sorted(kept) if path.is_file()]
    return hashlib.sha256(b"".join(found)).hexdigest()


def kernel(
    tasks: Callable[..., int], writes: str, vectorize: bool = False
) -> Callable[[Callable[..., Any]], Kernel]:
    """Make a kernel of a function whose first parameter is the task.

    `tasks` says of the kernel's arguments how many tasks there are; a kernel that wants to know
    has `tasks` as its second parameter. `writes` names the arrays that the kernel writes to.
    `vectorize` is for a kernel whose own loops go through many numbers.
    """
    return lambda python: Kernel(python, tasks, writes.split(), vectorize)
