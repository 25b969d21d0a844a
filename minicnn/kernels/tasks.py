"""How threads share out tasks: whoever has done one takes the next.

`prange` gives each thread its share beforehand, so that all wait for the slowest. And one is always
slower: its core serves another program, too, or is one of a processor's small ones, or there are
three tasks for two threads. So kernels whose tasks take long do this:

    counter = new_counter()
    for me in prange(threads):
        task = take(counter)
        while task < tasks:
            ...  # what would be the body of `for task in prange(tasks)`
            task = take(counter)

What a task computes is its own, so results do not depend on who takes it.

The numbers: on 2 cores that others use now and then, a tenth less time for a matrix product.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minicnn.kernels import team
from minicnn.kernels.compile import jit


def threads() -> int:
    """How many threads a kernel shall run on.

    The caller asks: a kernel that asks by itself cannot be kept on disk.
    """
    return team.threads()


@jit
def new_counter():  # type: ignore[no-untyped-def]
    """A counter at 0: the eighth of 16 numbers, so that its cache line holds nothing else."""
    return np.zeros(16, np.int64)


@intrinsic
def _fetch_and_add(typingctx, address):  # type: ignore[no-untyped-def]
    """Add 1 to the int64 at `address`, in one step for all threads; what it was before."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", pointer, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(types.int64), codegen


@jit
def take(counter):  # type: ignore[no-untyped-def]
    """The next task's number, which no other thread gets."""
    return _fetch_and_add(counter[8:].ctypes.data)
