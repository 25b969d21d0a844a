"""Kernels as Python sees them: compiled for the kinds of their arguments when first needed.

    @kernel(tasks=lambda x, y: -(-x.size // 4096), writes="y")
    def relu(task, x, y):
        for i in range(task * 4096, min((task + 1) * 4096, x.size)):
            y[i] = max(x[i], 0)

`relu(x, y)` computes all tasks on the team's threads (`minicnn.compiler.threads`). How many tasks
there are follows from the arguments alone; which thread computes a task, and when, does not matter,
since a task writes what no other task reads or writes.
"""

import inspect
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.compiler import loading, recording, threads
from minicnn.compiler.values import ArrayKind, Kind, Scalar, kind_of_argument, name_of

if TYPE_CHECKING:
    from minicnn.compiler.language import Module


_CONTIGUOUS = 1  # NumPy's flag, NPY_ARRAY_C_CONTIGUOUS


class Kernel:
    """A kernel, compiled from the function `python`, whose first parameter is the task."""

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
        self.label = f"{python.__module__.rpartition('.')[2]}.{python.__name__}"
        names = list(inspect.signature(python).parameters)[1:]
        self._told = names[:1] == ["tasks"]
        names = names[self._told :]
        self.parameters = tuple(names)  # without `task` and `tasks`
        self.written = tuple(names.index(name) for name in writes)  # which of the arguments
        self._compiled: dict[Any, tuple[int, Callable[..., bytes]]] = {}

    def __call__(self, *arguments: Any) -> None:
        """Compute all tasks."""
        recorder = recording.here.recorder
        if recorder is not None and recorder.takes(self, arguments):
            return
        tasks = self.tasks(*arguments)
        if tasks > 0:
            threads.run(*self.prepared(arguments, tasks), tasks)

    def in_each_run(self, *arguments: Any) -> None:
        """Compute all tasks; a program does so in each run, even if they read only weights.

        So the result takes up memory only while it is needed.
        """
        recorder = recording.here.recorder
        if recorder is None:
            self(*arguments)
        else:
            recorder.write_down(self, arguments)

    def prepared(self, arguments: tuple[Any, ...], tasks: int = 1) -> tuple[int, bytes]:
        """Return the address of the machine code, and the record of these arguments."""
        if self._told:
            arguments = (tasks, *arguments)
        key: list[Any] = []
        parts: list[Any] = []
        for argument in arguments:
            kind = type(argument)
            if isinstance(argument, np.ndarray):
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
        """Return the address of the machine code for arguments of these kinds."""
        how = "vectorized" if self._vectorize else "plain"
        symbol = "_".join([loading.full_name(self.python), how, *map(name_of, kinds)])

        def write(module: "Module") -> None:
            from minicnn.compiler import translate

            translate.kernel_function(module, self.python, kinds)

        return loading.loaded(
            symbol, loading.short_name(self.python), self.python, write, self._vectorize
        )


def _format(kind: Kind) -> str:
    """Return the kind as `struct` writes it, each part in eight bytes."""
    if isinstance(kind, Scalar):
        return {"float32": "f4x", "float64": "d"}.get(kind.name, "q")
    if isinstance(kind, ArrayKind):
        return "q"
    return "".join(_format(item) for item in kind.items)


def kernel(
    tasks: Callable[..., int], writes: str, vectorize: bool = False
) -> Callable[[Callable[..., Any]], Kernel]:
    """Make a kernel of a function whose first parameter is the task.

    `tasks` returns the number of tasks, given the kernel's arguments; a kernel that needs this
    number has `tasks` as its second parameter. `writes` names the arrays that the kernel writes to.
    `vectorize` is for a kernel whose own loops process many numbers.
    """
    return lambda python: Kernel(python, tasks, writes.split(), vectorize)
