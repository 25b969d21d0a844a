"""The loops that take time, written for `minicnn.compiler`.

Each kernel computes what its plain-loop twin in `minicnn.naive` computes. Kernels trust their
caller: `minicnn.functional` has checked every shape, because a kernel indexes without bounds
checks.

    tasks                                        how work is cut
    simd microkernel channels grids              vectors: what is written out by hand
    convolution matmul direct winograd           convolution, by its algorithms
    depthwise separable                          channels, each by itself
    pooling normalization copying warp
    elementwise exponential                      number by number

Submodules load on first use (`kernels.pooling.max_forward`), so that `import minicnn` does not load
LLVM.
"""

import importlib
import sys
import threading
from types import ModuleType

from minicnn._support import forks, interrupts

NOBODY = 255  # the argmax of a block in which no number gets a gradient

_ROOMS = (
    "convolution",
    "copying",
    "depthwise",
    "direct",
    "elementwise",
    "exponential",
    "matmul",
    "normalization",
    "pooling",
    "separable",
    "simd",
    "warp",
    "winograd",
)


_importing = threading.RLock()  # held during forks: a child could not go on importing
forks.wait_for(sys.modules[__name__], "_importing", seconds=60)


def __getattr__(name: str) -> ModuleType:
    if name in _ROOMS:
        with interrupts.waiting(), _importing:
            return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
