"""Resizing: every pixel of the new image is a weighted sum of a few pixels of the old one.

Rows and columns are independent. `sampling` says, for each new row, which old rows it is made of
and with which weights, and the same for columns. `resize`, its gradient and the explanations all
follow from these two tables.
"""

from typing import NamedTuple

import numpy as np

from minicnn import shapes
from minicnn.functional import buffers
from minicnn.shapes import Pair

Array = np.ndarray

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
_RADIUS = {"bilinear": 1, "bicubic": 2, "lanczos3": 3, "lanczos5": 5}


class Taps(NamedTuple):
    """For each place of the result, places of the source and their weights; (places, taps) each.

    Rows are filled up with weights of 0.
    """

    source: Array
    weight: Array

    def along(self, x: Array, axis: int) -> Array:
        """Return the weighted sums of x along an axis."""
        weight = self.weight.astype(x.dtype)
        if weight.shape[1] == 1 and (weight == 1).all():
            return x.take(self.source[:, 0], axis)
        y = self._part(x, axis, self.source[:, 0], weight[:, 0])
        for source, factor in zip(self.source.T[1:], weight.T[1:], strict=True):
            y += self._part(x, axis, source, factor)
        return y

    @staticmethod
    def _part(x: Array, axis: int, source: Array, factor: Array) -> Array:
        shape = [1] * x.ndim
        shape[axis] = len(factor)
        y: Array = x.take(source, axis)
        with np.errstate(invalid="ignore"):
            y *= factor.reshape(shape)
        unused = np.flatnonzero(factor == 0)
        if len(unused):  # 0 * NaN would be NaN
            np.moveaxis(y, axis, 0)[unused] = 0
        return y

    def transposed(self, size: int) -> "Taps":
        """Return, for each of the source's `size` places, the results it counts in."""
        counts = self.weight.ravel() != 0
        place = self.source.ravel()[counts]
        order = np.argsort(place, kind="stable")
        place = place[order]
        often = np.bincount(place, minlength=size)
        column = np.arange(len(place)) - np.repeat(np.cumsum(often) - often, often)
        index = np.zeros((size, max(often.max(initial=0), 1)), np.intp)
        weight = np.zeros(index.shape)
        results = np.repeat(np.arange(len(self.source)), self.source.shape[1])[counts][order]
        index[place, column] = results
        weight[place, column] = self.weight.ravel()[counts][order]
        return Taps(index, weight)


class Sampling(NamedTuple):
    """The taps of rows and columns."""

    rows: Taps
    columns: Taps

    def share(self) -> Array:
        """Return how much of each new pixel comes from the image; the rest is border."""
        rows, columns = (taps.weight.sum(axis=1) for taps in self)
        found: Array = np.multiply.outer(rows, columns)
        return found


def sampling(
    old: Pair,
    new: Pair,
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
) -> Sampling:
    """Return which pixels of an image of size `old` make those of one of size `new`."""
    other = int(old[1] * new[0] / new[1]), int(old[0] * new[1] / new[0])
    found = []
    for axis in (0, 1):
        size, before = old[axis], 0
        if crop_to_aspect_ratio:
            size = max(min(old[axis], other[axis]), 1)
            before = (old[axis] - size) // 2
        elif pad_to_aspect_ratio:
            before = -(max(other[axis] - old[axis], 0) // 2)
            size = old[axis] - 2 * before
        index, weight = _taps(size, new[axis], interpolation, antialias)
        index = index + before
        inside = (index >= 0) & (index < old[axis])
        index, weight = np.where(inside, index, 0), np.where(inside, weight, 0.0)
        found.append(Taps(index, weight))
    return Sampling(*found)


def crop(before: Pair, new: Pair) -> Sampling:
    """Return the sampling of a part of an image, of size `new`, which starts at `before`."""
    return Sampling(
        *(
            Taps(np.arange(b, b + n)[:, None], np.ones((n, 1)))
            for b, n in zip(before, new, strict=True)
        )
    )


def _taps(old: int, new: int, interpolation: str, antialias: bool) -> tuple[Array, Array]:
    """Return the taps along one axis: places of pixels, and weights whose sum is 1.

    As in TensorFlow, positions are float32, and bicubic weights come from a table of 1024 places
    between two pixels; other positions would round to another pixel here and there.
    """
    single = np.float32
    place = np.arange(new, dtype=single) + single(0.5)
    if interpolation == "nearest":
        index = np.floor(place * (single(old) / single(new))).astype(np.intp)
        return np.minimum(index, old - 1)[:, None], np.ones((new, 1))
    if interpolation == "bilinear" and not antialias:
        place = place * (single(old) / single(new)) - single(0.5)
        first = np.floor(place)
        share = (place - first).astype(np.float64)
        ends = np.maximum(first, 0), np.minimum(np.ceil(place), old - 1)
        index = np.stack(ends, axis=1).astype(np.intp)
        return index, np.stack([1 - share, share], axis=1)
    if interpolation == "bicubic" and not antialias:
        place = place * (single(old) / single(new)) - single(0.5)
        first = np.floor(place)
        share = np.rint((place - first) * single(1024)).astype(np.float64) / 1024
        offset = np.arange(-1, 3)
        index = first.astype(np.intp)[:, None] + offset
        weight = _cubic(np.abs(share[:, None] - offset))
    else:
        inverse = single(1) / (single(new) / single(old))
        stretch = max(inverse, single(1)) if antialias else single(1)
        middle, reach = place * inverse, single(_RADIUS[interpolation]) * stretch
        start = np.ceil(middle - reach - single(0.5)).astype(np.intp).clip(0, old - 1)
        end = np.floor(middle + reach - single(0.5)).astype(np.intp).clip(0, old - 1)
        index = start[:, None] + np.arange((end - start).max() + 1)
        weight = _kernel(np.abs((index + 0.5 - middle[:, None]) / stretch), interpolation)
        weight[index > end[:, None]] = 0
    weight = np.where((index >= 0) & (index < old), weight, 0)
    return index.clip(0, old - 1), weight / weight.sum(axis=1, keepdims=True)


def _kernel(distance: Array, interpolation: str) -> Array:
    if interpolation == "bilinear":
        return np.maximum(1 - distance, 0)
    if interpolation == "bicubic":
        return _cubic(distance)
    radius = _RADIUS[interpolation]
    angle = np.pi * np.maximum(distance, 1e-3)
    found = radius * np.sin(angle) * np.sin(angle / radius) / angle**2
    return np.where(distance > radius, 0, np.where(distance <= 1e-3, 1, found))


def _cubic(distance: Array) -> Array:
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance >= 2, 0, np.where(distance >= 1, far, near))


def sample(x: Array, where: Sampling, fill_value: float = 0.0) -> Array:
    """Return the weighted sums of pixels; what the weights lack to 1, `fill_value` fills up."""
    smaller_first = len(where.rows.source) * x.shape[2] <= len(where.columns.source) * x.shape[1]
    if smaller_first:
        y = where.columns.along(where.rows.along(x, 1), 2)
    else:
        y = where.rows.along(where.columns.along(x, 2), 1)
    if fill_value:
        y += (fill_value * (1 - where.share())).astype(y.dtype)[:, :, None]
    return y


def sample_backward(dy: Array, where: Sampling, size: Pair) -> Array:
    """Return dx of `sample` for an image of this size."""
    return sample(dy, Sampling(*(t.transposed(n) for t, n in zip(where, size, strict=True))))


def resize(
    x: Array,
    size: int | Pair,
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_value: float = 0.0,
    name: str = "resize",
) -> Array:
    """y[n, i, j, c] = sum over r, s of rows[i, r] * columns[j, s] * x[n, r, s, c].

    `x` (batch, height, width, channels) to y (batch, *size, channels). `interpolation` is one of
    "nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"; with `antialias` (which "nearest"
    ignores) a pixel of a smaller image is made of all pixels that it covers. `crop_to_aspect_ratio`
    resizes the largest middle part that has the shape of the result; `pad_to_aspect_ratio` puts
    `fill_value` around the image first. The numbers are those of `tf.image.resize`.

    Raises `TypeError` or `ValueError` for an `x` that is not such an array or has no pixels, and
    for other options.
    """
    shapes.check_array(x, 4, "x", name)
    new = shapes.pair(size, "size", name)
    where = _checked(x.shape, new, interpolation, antialias, crop_to_aspect_ratio,
                     pad_to_aspect_ratio, name)  # fmt: skip
    shapes.number(fill_value, "fill_value", name)
    if 0 in x.shape:
        return buffers.empty((len(x), *new, x.shape[3]), x.dtype)
    return sample(x, where, fill_value)


def resize_backward(
    dy: Array,
    x_shape: tuple[int, ...],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    name: str = "resize",
) -> Array:
    """dx of `resize`: each pixel gets dy of the new pixels that it counts in, times its weights."""
    shapes.check_array(dy, 4, "dy", name)
    batch, height, width, channels = x_shape
    shapes.check_shape(dy, (batch, *dy.shape[1:3], channels), "dy", name)
    where = _checked(x_shape, dy.shape[1:3], interpolation, antialias, crop_to_aspect_ratio,
                     pad_to_aspect_ratio, name)  # fmt: skip
    if 0 in dy.shape:
        return np.zeros(x_shape, dy.dtype)
    return sample_backward(dy, where, (height, width))


def _checked(
    x_shape: tuple[int, ...],
    new: Pair,
    interpolation: str,
    antialias: bool,
    crop_to_aspect_ratio: bool,
    pad_to_aspect_ratio: bool,
    name: str,
) -> Sampling:
    shapes.choice(interpolation, INTERPOLATIONS, "interpolation", name)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(
            f"{name} expects crop_to_aspect_ratio or pad_to_aspect_ratio. Received both."
        )
    old = x_shape[1], x_shape[2]
    if 0 in old or 0 in new:
        raise ValueError(f"{name} expects images with pixels. Received x.shape={x_shape}.")
    return sampling(old, new, interpolation, antialias, crop_to_aspect_ratio, pad_to_aspect_ratio)
