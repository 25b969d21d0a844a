"""How kernels are compiled: once per machine, kept on disk, and without surprises.

`jit` is for one thread (and for calling from several), `parallel_jit` spreads its `prange` loops
over the cores. Both keep IEEE behaviour for NaN and infinity; the one liberty is `contract`, which
lets `a * b + c` become a single fused instruction.

What numba's own `njit` would not do:

- Compiled kernels are kept as `minicnn.kernels.cache` says: a bad file costs a compilation, and
  files (pickles) are read only where nobody but the user can have written them.
- An interrupt waits for the kernel that is being compiled (`minicnn.interrupts`).
- A read-only array is no other type: kernels never write to their inputs, so the same machine code
  serves it.
- Whoever waits is told (`minicnn.compilation`).
- In a forked process, whose parent has had threads for kernels, kernels run on one thread: the
  others do not exist there. `minicnn.kernels.team` decides.
- `NUMBA_DISABLE_JIT=1` is for a user's own functions. Kernels are compiled all the same.
"""

import functools
import hashlib
import os
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# A user's own NumPy brings BLAS's threads beside numba's. Threads that spin while they wait take
# the cores from the other side: 10 ms per alternation, measured. `passive` lets numba's sleep. But
# to wake one takes 50 microseconds, at each kernel of a network: so they spin for a tenth of a
# millisecond first, in which the next kernel comes. Read by libgomp when it starts, so it is set
# before that.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "5000")

from numba import typeof
from numba.core import event
from numba.core.registry import CPUDispatcher

from minicnn import compilation, interrupts
from minicnn.kernels import team
from minicnn.kernels.cache import Cache


class Kernel(CPUDispatcher):  # type: ignore[misc]
    """A kernel for one thread: numba's dispatcher, which other kernels call from compiled code."""

    _insert: Callable[..., None]  # numba's: machine code for types that have these numbers
    _cache: Cache

    def _compile_for_args(self, *args: Any, **kws: Any) -> Any:
        """numba asks when it meets arguments of new types."""
        with interrupts.waiting():
            writable = [_writable(a) for a in args]
            entry = super()._compile_for_args(*writable, **kws)  # type: ignore[misc]
            if any(a is not b for a, b in zip(args, writable, strict=True)):
                # From now on numba finds the machine code for these types, too.
                self._insert([typeof(a)._code for a in args], entry, False)
            return entry

    def compile(self, sig: Any) -> Any:
        """Machine code for these types: from the disk, or new."""
        with interrupts.waiting():
            return super().compile(sig)


class ParallelKernel(Kernel):
    """A kernel whose `prange` loops run on all threads, if there are any."""

    def __call__(self, *arguments: Any) -> Any:
        if team.ready:
            return CPUDispatcher.__call__(self, *arguments)
        return team.call(super().__call__, self.on_one_thread, arguments)

    @functools.cached_property
    def on_one_thread(self) -> Kernel:
        """The same function compiled for one thread."""
        function = self.py_func
        copy = types.FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__
        )
        copy.__qualname__ = f"{function.__qualname__}_on_one_thread"
        return _kernel(Kernel, copy)


def _writable(argument: Any) -> Any:
    """Another array of the type that this one would have if it could be written to."""
    if not isinstance(argument, np.ndarray) or argument.flags.writeable:
        return argument
    if not (argument.flags.c_contiguous and argument.flags.aligned):
        return argument
    return np.empty((0,) * argument.ndim, argument.dtype)


class _Listener(event.Listener):  # type: ignore[misc]
    """Hands on what numba says while it compiles: kernels, not a user's own functions."""

    def on_start(self, event: Any) -> None:
        if isinstance(event.data["dispatcher"], Kernel):
            function = event.data["dispatcher"].py_func
            compilation.begins(f"{function.__module__.rpartition('.')[2]}.{function.__name__}")

    def on_end(self, event: Any) -> None:
        if isinstance(event.data["dispatcher"], Kernel):
            compilation.ends()


event.register("numba:compile", _Listener())


@functools.cache
def _digest(file: str) -> str:
    """Of all files of this folder, and of the one that a function is in.

    Kernels are made of other files, too: `simd`'s tile is written into them. (But nothing of those
    that only keep them or call them.)
    """
    files = {*Path(__file__).parent.glob("*.py"), Path(file)}
    files -= {Path(__file__).with_name(name) for name in ("cache.py", "team.py")}
    found = [path.read_bytes() for path in sorted(files) if path.exists()]
    return hashlib.sha256(b"".join(found)).hexdigest()


def _kernel(kind: type[Kernel], function: Callable[..., Any], **options: Any) -> Kernel:
    options |= {"nopython": True, "boundscheck": None, "nogil": True}
    options |= {"fastmath": {"contract"}, "error_model": "numpy"}
    made = kind(function, targetoptions=options)
    about = f"{sorted(options.items(), key=str)}\n{function.__code__.co_firstlineno}"
    made._cache = Cache(function, f"{about}\n{_digest(function.__code__.co_filename)}")
    return made


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` for one thread; it releases the GIL."""
    return _kernel(Kernel, function)


def parallel_jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function`; its `prange` loops run on all of numba's threads."""
    return _kernel(ParallelKernel, function, parallel=True)
