"""How kernels are compiled: once per machine, kept on disk, and without surprises.

`jit` is for one thread (and for calling from several), `parallel_jit` spreads its `prange` loops
over the cores. Both keep IEEE behaviour for NaN and infinity; the one liberty is `contract`, which
lets `a * b + c` become a single fused instruction.
"""

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

# A user's own NumPy brings BLAS's threads beside numba's. Threads that spin while they wait take
# the cores from the other side: 10 ms per alternation, measured. `passive` lets numba's sleep. But
# to wake one takes 50 microseconds, at each kernel of a network: so they spin for a tenth of a
# millisecond first, in which the next kernel comes. Read by libgomp when it starts, so it is set
# before that.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "5000")

import numba


@functools.cache
def _sources() -> str:
    """A digest of all files of this folder."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _compile(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    # A kernel on disk is named by this. numba compiles it anew when its own file has changed; but
    # kernels are made of other files, too: `simd`'s tile is written into them.
    function.__qualname__ += f"_{_sources()}"
    options |= {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # numba found no folder it may write its cache to
        return numba.njit(**options)(function)  # type: ignore[no-any-return]


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` for one thread; it releases the GIL."""
    return _compile(function)


def parallel_jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function`; its `prange` loops run on all of numba's threads."""
    return _compile(function, parallel=True)
