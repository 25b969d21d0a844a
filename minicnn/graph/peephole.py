"""Rewrites the steps of a program: the same numbers, with fewer trips to memory.

Layers call their kernels one by one, so each layer reads what the one before wrote. If only the
next step reads an array, the two steps can often be one:

- A border of zeros is not written: the kernels that slide a window have zeros of their own.
- The lines of a depthwise convolution go into the matrix product that follows while they are in
  the cache.
- An addition to a matrix product, as in every residual block, and a ReLU after that, are computed
while the product is in the cache.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from minicnn import kernels
from minicnn.compiler.recording import Call, Step, root_of
from minicnn.layers import Layer

Array = np.ndarray
_Joined = Callable[[Step, Step], Step | None]


class Planned(NamedTuple):
    """A step of a program, the layer that asked for it, and what it costs.

    `multiply_adds` are those of the layer, or the step's share of them, or the sum if two steps
    became one.
    """

    step: Step | Call
    layer: Layer
    multiply_adds: int


def arrays_of(step: Step | Call) -> list[Array]:
    """Return all arrays that a step reads or writes."""
    if isinstance(step, Call):
        given = step.given if isinstance(step.given, list) else [step.given]
        return [*given, *step.outputs]
    return [argument for argument in step.arguments if isinstance(argument, np.ndarray)]


def rewritten(planned: Iterable[Planned], kept: Iterable[Array]) -> list[Planned]:
    """Return steps that compute the arrays `kept`, and all that they need, as `planned` does."""
    found = list(planned)
    for joined in (_without_border, _depthwise_in_product, _with_addition, _with_relu):
        found = _pairs_joined(found, {id(root_of(array)) for array in kept}, joined)
    return found


def _pairs_joined(planned: list[Planned], kept: set[int], joined: _Joined) -> list[Planned]:
    """Return the steps with each pair as one, where `joined(first, second)` finds one."""
    uses = Counter(id(root_of(a)) for step, *_ in planned for a in _distinct(arrays_of(step)))
    found: list[Planned | None] = list(planned)
    for place, (first, _, cost) in enumerate(planned):
        if not isinstance(first, Step):
            continue
        written = root_of(first.arguments[first.kernel.written[0]])
        if id(written) in kept or uses[id(written)] != 2:
            continue
        for reader, other in enumerate(found[place + 1 :], place + 1):
            if other is not None and _uses(other.step, written):
                step = joined(first, other.step) if isinstance(other.step, Step) else None
                if step is not None:
                    both = cost + other.multiply_adds
                    found[place] = None
                    found[reader] = other._replace(step=step, multiply_adds=both)
                break
    return [each for each in found if each is not None]


def _distinct(arrays: Iterable[Array]) -> list[Array]:
    return list({id(root_of(array)): array for array in arrays}.values())


def _uses(step: Step | Call, root: Array) -> bool:
    return any(root_of(array) is root for array in arrays_of(step))


def _with(step: Step, **changed: Any) -> Step:
    """Return the step with other arguments, given by the names of the kernel's parameters."""
    arguments = dict(zip(step.kernel.parameters, step.arguments, strict=True)) | changed
    values = tuple(arguments.values())
    return Step(step.kernel, values, step.kernel.tasks(*values))


def _argument(step: Step, name: str) -> Any:
    return step.arguments[step.kernel.parameters.index(name)]


# Their windows see zeros outside x, and `before` says how many above and left of it.
_WITH_ZEROS = (
    "depthwise.forward",
    "direct.forward",
    "winograd.forward",
    "winograd.transform_few",
    "convolution.im2col",
)


def _without_border(first: Step, second: Step) -> Step | None:
    """Return the convolution of `zero_padding`'s input."""
    if first.kernel.label != "copying.zero_padding" or second.kernel.label not in _WITH_ZEROS:
        return None
    x, top, left, y = first.arguments
    padded = _argument(second, "x")
    if root_of(padded) is not root_of(y) or padded.shape != y.shape:  # it has only some images
        return None
    above, beside = _argument(second, "before")
    return _with(second, x=x, before=(above + top, beside + left))


_BLOCKS = 16  # with fewer blocks of pixels, some threads would have nothing to do


def _depthwise_in_product(first: Step, second: Step) -> Step | None:
    """Return a depthwise convolution and the matrix product of its pixels, as one step."""
    if (first.kernel.label, second.kernel.label) != ("depthwise.forward", "matmul.product"):
        return None
    y = _argument(first, "y")
    a, ready, epilogue, c = (_argument(second, name) for name in ("a", "ready", "epilogue", "c"))
    pixels = root_of(a) is root_of(y) and a.shape == (y.size // y.shape[3], y.shape[3])
    whole = pixels and not _argument(second, "a_transposed") and len(c) == 1
    enough = y.size // y.shape[3] >= _BLOCKS * kernels.separable.PIXELS
    if not (whole and enough and len(ready)):
        return None
    joined = kernels.separable.forward
    added, bounds = (_argument(second, name) for name in ("added", "bounds"))
    arguments = (*first.arguments[:-1], y.shape[1:3], ready, epilogue, added, bounds, c[0])
    return Step(joined, arguments, joined.tasks(*arguments))


_PRODUCTS = ("matmul.product", "separable.forward")


def _with_addition(first: Step, second: Step) -> Step | None:
    """Return a matrix product to which something is added."""
    if first.kernel.label not in _PRODUCTS or second.kernel.label != "elementwise.add":
        return None
    c, added = _argument(first, "c"), _argument(first, "added")
    *terms, y = second.arguments
    others = [term for term in terms if root_of(term) is not root_of(c)]
    in_place = any(root_of(term) is root_of(y) for term in others)
    if c.size != y.size or len(others) != 1 or in_place or len(added) or _parts(first) > 1:
        return None
    return _with(first, added=others[0].reshape(c.shape[-2:]), c=y.reshape(c.shape))


def _with_relu(first: Step, second: Step) -> Step | None:
    """Return a matrix product to which something is added, and then a ReLU."""
    if first.kernel.label not in _PRODUCTS or second.kernel.label != "elementwise.relu":
        return None
    c, added, bounds = (_argument(first, name) for name in ("c", "added", "bounds"))
    _, y, cap, slope, threshold = second.arguments
    if not len(added) or np.isfinite(bounds).any() or c.size != y.size or slope or threshold:
        return None
    return _with(first, bounds=np.array([0, cap], c.dtype), c=y.reshape(c.shape))


def _parts(product: Step) -> int:
    c = _argument(product, "c")
    return len(c) if c.ndim == 3 else 1
