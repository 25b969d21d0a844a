"""Operations that move numbers without changing them; gradients go back to where they came from."""

import builtins
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.ops.operation import Arrays, operation

Array = np.ndarray


@operation
def reshape(x: Array, newshape: Any) -> Any:
    """Return the numbers of x in another shape, one of whose sizes may be -1."""
    shape = tuple(-1 if size is None else int(size) for size in np.atleast_1d(newshape))
    return np.reshape(x, shape), lambda dy: dy.reshape(np.shape(x))


@operation
def transpose(x: Array, axes: Sequence[int] | None = None) -> Any:
    """Return x with its axes in this order, by default the reverse."""
    order = builtins.list(axes) if axes is not None else [*range(np.ndim(x))][::-1]
    y = np.transpose(x, order)
    return y, lambda dy: np.transpose(dy, np.argsort([axis % x.ndim for axis in order]))


@operation
def moveaxis(x: Array, source: Any, destination: Any) -> Any:
    """Return x with an axis, or several, moved to another place."""
    return np.moveaxis(x, source, destination), lambda dy: np.moveaxis(dy, destination, source)


@operation
def swapaxes(x: Array, axis1: int, axis2: int) -> Any:
    """Return x with two axes exchanged."""
    return np.swapaxes(x, axis1, axis2), lambda dy: np.swapaxes(dy, axis1, axis2)


@operation
def expand_dims(x: Array, axis: Any) -> Any:
    """Return x with a new axis of size 1."""
    axis = tuple(axis) if isinstance(axis, builtins.list) else axis
    return np.expand_dims(x, axis), lambda dy: dy.reshape(np.shape(x))


@operation
def squeeze(x: Array, axis: Any = None) -> Any:
    """Return x without these axes of size 1; by default without all axes of size 1."""
    axis = tuple(axis) if isinstance(axis, builtins.list) else axis
    return np.squeeze(x, axis), lambda dy: dy.reshape(np.shape(x))


@operation
def broadcast_to(x: Array, shape: Any) -> Any:
    """Return x in a larger shape: an axis of size 1, or a new one, repeats its numbers."""
    return np.broadcast_to(x, tuple(shape)).copy(), lambda dy: dy  # the tape sums it


@operation
def flip(x: Array, axis: Any = None) -> Any:
    """Return x in reverse order along these axes, by default along all."""
    return np.flip(x, axis), lambda dy: np.flip(dy, axis)


@operation
def roll(x: Array, shift: Any, axis: Any = None) -> Any:
    """Return x moved along an axis; numbers that leave at one end enter at the other."""
    return np.roll(x, shift, axis), lambda dy: np.roll(dy, np.negative(shift), axis)


@operation
def repeat(x: Array, repeats: int, axis: int | None = None) -> Any:
    """Return x with each number, or part along the axis, repeated; each gets the sum of its dy."""
    count = int(repeats)

    def dx(dy: Array) -> Array:
        if axis is None:
            return dy.reshape(x.size, count).sum(-1).reshape(x.shape)
        at = axis % x.ndim
        return dy.reshape(*x.shape[: at + 1], count, *x.shape[at + 1 :]).sum(at + 1)

    return np.repeat(x, count, axis), dx


@operation
def tile(x: Array, repeats: Any) -> Any:
    """Return copies of x side by side, this many along each axis; x gets the sum of their dy."""
    counts = [int(count) for count in np.atleast_1d(repeats)]
    rank = builtins.max(len(counts), np.ndim(x))
    counts = [1] * (rank - len(counts)) + counts
    sizes = (1,) * (rank - np.ndim(x)) + np.shape(x)

    def dx(dy: Array) -> Array:
        pairs = itertools.chain.from_iterable(zip(counts, sizes, strict=True))
        copies = dy.reshape(tuple(pairs))
        summed: Array = copies.sum(axis=tuple(range(0, 2 * rank, 2)))
        return summed.reshape(np.shape(x))

    return np.tile(x, counts), dx


@operation
def pad(x: Array, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Any:
    """Return x with this many more numbers (before, after) along each axis, zeros by default.

    Raises `ValueError` for any mode other than "constant".
    """
    if mode != "constant":
        raise ValueError(f'pad expects mode="constant". Received mode={mode!r}.')
    widths = np.broadcast_to(np.asarray(pad_width, int), (np.ndim(x), 2))
    inside = tuple(
        slice(before, before + size) for (before, _), size in zip(widths, np.shape(x), strict=True)
    )
    filling = 0 if constant_values is None else constant_values
    return np.pad(x, widths, constant_values=filling), lambda dy: dy[inside]


@operation
def get_item(x: Array, key: Any) -> Any:
    """Return x[key]; numbers left out get gradient 0, and numbers taken twice get the sum."""
    basic = all(
        part is None or part is Ellipsis or isinstance(part, (int, slice, np.integer))
        for part in (key if isinstance(key, tuple) else (key,))
    )

    def dx(dy: Array) -> Array:
        found = np.zeros(np.shape(x), dy.dtype)
        if basic:
            found[key] = dy
        else:
            np.add.at(found, key, dy)
        return found

    return x[key], dx


@operation
def take(x: Array, indices: Any, axis: int | None = None) -> Any:
    """Return the parts of x at these indices along an axis; parts taken twice get the sum."""
    places = np.asarray(indices)

    def dx(dy: Array) -> Array:
        found = np.zeros(np.shape(x), dy.dtype)
        if axis is None:
            np.add.at(found.reshape(-1), places, dy)
        else:
            where: Any = (slice(None),) * (axis % x.ndim) + (places,)
            np.add.at(found, where, dy)
        return found

    return np.take(x, places, axis), dx


@operation
def concatenate(xs: Arrays, axis: int = 0) -> Any:
    """Return the arrays joined along an axis; each gets its part of dy."""
    ends = np.cumsum([array.shape[axis] for array in xs])
    parts = [slice(end - array.shape[axis], end) for array, end in zip(xs, ends, strict=True)]
    rank = xs[0].ndim

    def part_of(part: slice) -> Any:
        return lambda dy: dy[(slice(None),) * (axis % rank) + (part,)]

    return np.concatenate(xs, axis), *(part_of(part) for part in parts)


@operation
def stack(x: Arrays, axis: int = 0) -> Any:
    """Return the arrays side by side along a new axis; each gets its part of dy."""
    y = np.stack(x, axis)

    def part_of(number: int) -> Any:
        return lambda dy: np.take(dy, number, axis)

    return y, *(part_of(number) for number in range(len(x)))


def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Return x cut along an axis, into this many equal parts, or before these places."""
    size = x.shape[axis]
    if isinstance(indices_or_sections, (int, np.integer)):
        count = int(indices_or_sections)
        if count < 1 or size % count:
            raise ValueError(
                f"split expects a number of parts that divides the axis's {size} places. "
                f"Received {count}."
            )
        cuts = [number * (size // count) for number in range(1, count)]
    else:
        cuts = [int(place) for place in indices_or_sections]
    pairs = itertools.pairwise([0, *cuts, size])
    before = (slice(None),) * (axis % len(x.shape))
    return [get_item(x, (*before, slice(*pair))) for pair in pairs]


def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Any]:
    """Return the parts of x along an axis, without that axis."""
    before = (slice(None),) * (axis % len(x.shape))
    return [get_item(x, (*before, number)) for number in range(x.shape[axis])]


def ravel(x: Any) -> Any:
    """Return the numbers of x along one axis."""
    return reshape(x, (-1,))
