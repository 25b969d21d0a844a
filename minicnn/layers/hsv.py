"""Converts colours to hue, saturation and value, as TensorFlow does, and back; with gradients.

    value = max(r, g, b);   chroma = value - min(r, g, b);   saturation = chroma / value

The hue goes around a circle from 0 to 1: red at 0, green at 1/3, blue at 2/3.
"""

from typing import NamedTuple

import numpy as np

Array = np.ndarray


class Colour(NamedTuple):
    """The colours of pixels, (batch, height, width) each, and the x that they come from."""

    hue: Array
    saturation: Array
    value: Array
    x: Array


def of(x: Array) -> Colour:
    """Return the colours of red, green and blue, the last axis of x."""
    red, green, blue = np.moveaxis(x, -1, 0)
    value = x.max(axis=-1)
    chroma = value - x.min(axis=-1)
    saturation = np.where(value > 0, chroma / _not_zero(value), x.dtype.type(0))
    sixth = x.dtype.type(1 / 6) / _not_zero(chroma)
    hue = np.where(
        red == value,
        sixth * (green - blue),
        np.where(
            green == value,
            sixth * (blue - red) + x.dtype.type(2 / 6),
            sixth * (red - green) + x.dtype.type(4 / 6),
        ),
    )
    hue = np.where(chroma > 0, hue, x.dtype.type(0))
    return Colour(np.where(hue < 0, hue + 1, hue), saturation, value, x)


def fullness(hue: Array) -> Array:
    """Return the shares of red, green and blue, 0 to 1, in the purest colour of each hue."""
    six = hue * hue.dtype.type(6)
    red = np.abs(six - 3) - 1
    green, blue = 2 - np.abs(six - 2), 2 - np.abs(six - 4)
    return np.stack([red, green, blue], axis=-1).clip(0, 1)


def rgb(colour: Colour) -> Array:
    """Return red, green and blue: value * (1 - saturation + saturation * fullness)."""
    s = colour.saturation[..., None]
    y: Array = (1 - s + s * fullness(colour.hue)) * colour.value[..., None]
    return y


def rgb_gradient(dy: Array, colour: Colour) -> tuple[Array, Array, Array]:
    """Return the gradients of hue, saturation and value, given dy of `rgb`."""
    full, s, v = fullness(colour.hue), colour.saturation, colour.value
    six = colour.hue * colour.hue.dtype.type(6)
    slopes = np.stack([np.sign(six - 3), -np.sign(six - 2), -np.sign(six - 4)], axis=-1)
    slopes = np.where((full > 0) & (full < 1), 6 * slopes, 0).astype(dy.dtype)
    dh = (dy * slopes).sum(axis=-1) * s * v
    ds = (dy * (full - 1)).sum(axis=-1) * v
    dv = (dy * (1 - s[..., None] + s[..., None] * full)).sum(axis=-1)
    return dh, ds, dv


def of_gradient(dh: Array, ds: Array, dv: Array, colour: Colour) -> Array:
    """Return dx of `of`, given the gradients of hue, saturation and value."""
    x, value = colour.x, colour.value
    most, least = x.argmax(axis=-1), x.argmin(axis=-1)  # the first of equal ones, as in `of`
    chroma = value - x.min(axis=-1)
    known = _not_zero(chroma)
    # The hue is that of the largest colour plus (a - b) / (6 * chroma); a and b come after it.
    a, b = (most + 1) % 3, (most + 2) % 3

    def at(place: Array) -> Array:
        return np.take_along_axis(x, place[..., None], axis=-1)[..., 0]

    dh = np.where(chroma > 0, dh / (6 * known), dh.dtype.type(0))
    ds = np.where(value > 0, ds / _not_zero(value), ds.dtype.type(0))
    dchroma = ds - dh * (at(a) - at(b)) / known
    dmost = dv + dchroma - ds * colour.saturation
    dx = np.zeros_like(x)
    for place, gradient in ((a, dh), (b, -dh), (least, -dchroma), (most, dmost)):
        here = np.arange(3) == place[..., None]
        dx += np.where(here, gradient[..., None], dx.dtype.type(0))
    return dx


def _not_zero(x: Array) -> Array:
    return np.where(x == 0, x.dtype.type(1), x)
