"""The fast versions, and the only rooms that import numba.

Each kernel computes what its plain-loop twin in `minicnn.naive` computes. Kernels trust their
caller: `minicnn.functional` has checked every shape, because a kernel indexes without bounds
checks.

Submodules load on first use (`kernels.pooling.max_pool2d`), so that `import minicnn` does not pay
for numba.
"""

import importlib
import os
import threading
from types import ModuleType
from typing import Any

from minicnn import interrupts

NOBODY = 255  # a winner's number where there is none

_ROOMS = (
    "convolution",
    "depthwise",
    "direct",
    "elementwise",
    "matmul",
    "normalization",
    "pooling",
    "simd",
    "tables",
    "tasks",
    "team",
    "warp",
    "winograd",
)


_importing = threading.RLock()  # a fork waits for it: the child could not go on importing


def __getattr__(name: str) -> ModuleType:
    if name in _ROOMS:
        with interrupts.waiting(), _importing:
            return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_PATIENCE = 60.0  # seconds; who forks within an import may hold what the other one waits for
_held: list[Any] = []


def _before_fork() -> None:
    if _importing.acquire(timeout=_PATIENCE):
        _held.append(_importing)


def _after_fork() -> None:
    while _held:
        _held.pop().release()


def _in_child() -> None:
    global _importing
    _after_fork()
    _importing = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
