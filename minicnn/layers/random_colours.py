"""Changes colours at random in training: contrast, brightness, saturation, hue and others.

These layers take images as `RandomFlip` does, with pixels within `value_range`, and so do
`AutoContrast` and `Equalization`, which are not random.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import shapes
from minicnn.layers import hsv
from minicnn.layers.base import Array, Cache, Kept, Shape
from minicnn.layers.random_images import (
    Drawn,
    RandomImageLayer,
    check_pixels,
    limits,
    uniform,
)

GRAY = (0.2989, 0.5870, 0.1140)  # the brightness of red, green and blue, as in Keras


def check_value_range(value_range: Any, who: str) -> None:
    """Raise a `ValueError` unless these are two different numbers."""
    several = isinstance(value_range, (tuple, list)) and len(value_range) == 2
    if not several or not all(map(shapes.is_number, value_range)):
        raise ValueError(
            f"{who} expects value_range to be two numbers (low, high). Received {value_range!r}."
        )


class Colouring(RandomImageLayer):
    """A layer that changes colours and keeps them within `value_range`."""

    needs_colours = False  # red, green and blue; a gray image has neither hue nor saturation

    def __init__(self, value_range: Any, seed: Any, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(data_format, seed, **kwargs)
        check_value_range(value_range, self.label)
        self.value_range: Any = tuple(value_range)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if self.needs_colours:
            check_colours(input_shape, self.label, gray=False)
        return super().compute_output_shape(input_shape)

    def recoloured(self, x: Array, drawn: Drawn) -> Array:
        """Return the changed colours, which may exceed `value_range`."""
        raise NotImplementedError

    def changed(self, x: Array, drawn: Drawn) -> tuple[Array, Kept]:
        z = self.recoloured(x, drawn)
        low, high = self.value_range
        return z.clip(low, high).astype(x.dtype), {"inside": (z >= low) & (z <= high)}

    def scaled(self, x: Array, low: float, high: float) -> Array:
        """Return x with `value_range` stretched to another one."""
        return _stretched(x, self.value_range, (low, high))

    def scaled_back(self, x: Array, low: float, high: float) -> Array:
        """Return x with this range stretched to `value_range`."""
        return _stretched(x, (low, high), self.value_range)


def _stretched(x: Array, old: Sequence[float], new: Sequence[float]) -> Array:
    """Return x with the old range, (low, high), stretched to the new one."""
    if tuple(old) == tuple(new):
        return x
    kind = x.dtype.type
    y: Array = (x - kind(old[0])) / kind(old[1] - old[0]) * kind(new[1] - new[0]) + kind(new[0])
    return y


class RandomContrast(Colouring):
    """During training, moves each image's colours away from their mean, or towards it. No weights.

        y = clip((x - m) * f + m, low, high),   m = the mean of x over the image's pixels

    for each channel by itself; `value_range` is (low, high). f is random between 1 - lower and 1 +
    upper; `factor` is (lower, upper), from 0 to 1, in any order. `seed` as in `Dropout`. The
    surprise, as in Keras: one number u means (0, u), so the contrast only grows.
    """

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, seed, data_format, **kwargs)
        self.factor = limits(factor, "factor", self.label, least=0)
        if self.value_range[0] > self.value_range[1]:
            raise ValueError(
                f"{self.label} expects value_range to be (low, high). Received {value_range!r}."
            )

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        factor = uniform(rng, (1 - self.factor[0], 1 + self.factor[1]), shape[0])
        return {"contrast_factor": factor.reshape(-1, 1, 1, 1)}

    def recoloured(self, x: Array, drawn: Drawn) -> Array:
        check_pixels(x, self.label)
        mean = x.mean(axis=(1, 2), keepdims=True)
        colours: Array = (x - mean) * drawn["contrast_factor"].astype(x.dtype) + mean
        return colours

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        factor = drawn["contrast_factor"].astype(dz.dtype)
        dz = np.where(cache["inside"], dz, dz.dtype.type(0))
        dx: Array = dz * factor + (1 - factor) * dz.mean(axis=(1, 2), keepdims=True)
        return dx


class RandomBrightness(Colouring):
    """During training, makes each image brighter or darker. No weights.

        y = clip(x + f * (high - low), low, high)

    `value_range` is (low, high); f is random between -`factor` and `factor`, or between its two
    numbers, from -1 (all black) to 1 (all white). `seed` as in `Dropout`. The surprise: pixels of
    0 … 1 need `value_range=(0, 1)`, or they all become white or black.
    """

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, seed, data_format, **kwargs)
        self.factor = limits(factor, "factor", self.label)
        self.value_range = sorted(self.value_range)  # a list, as in Keras's configs

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        low, high = self.value_range
        delta = uniform(rng, self.factor, shape[0]) * np.float32(high - low)
        return {"rgb_delta": delta.reshape(-1, 1, 1, 1)}

    def recoloured(self, x: Array, drawn: Drawn) -> Array:
        brighter: Array = x + drawn["rgb_delta"].astype(x.dtype)
        return brighter

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        return np.where(cache["inside"], dz, dz.dtype.type(0))


def check_colours(shape: tuple[int | None, ...], who: str, gray: bool = True) -> None:
    """Raise a `ValueError` unless the images have three channels, or one if `gray`."""
    if shape[-1] not in ((1, 3) if gray else (3,)):
        kinds = "3 channels (red, green, blue)" + (" or 1 (gray)" if gray else "")
        raise ValueError(f"{who} expects images with {kinds}. Received x.shape={shape}.")


def chosen(rng: np.random.Generator, probabilities: tuple[float, float], count: int) -> Array:
    """Draw for each image whether to change it, with a probability between these two."""
    return rng.random(count, np.float32) < uniform(rng, probabilities, count)[:, 0]


def for_each(values: Array, x: Array) -> Array:
    """Return a number for each image so that it broadcasts over the image's pixels."""
    return values.reshape(-1, 1, 1, 1).astype(bool if values.dtype == bool else x.dtype)


def gray_of(x: Array) -> Array:
    """Return how bright each pixel is, with one channel."""
    if x.shape[-1] == 1:
        return x
    return (x @ np.array(GRAY, x.dtype))[..., None]


def gray_gradient(dy: Array, channels: int) -> Array:
    """Return dx of `gray_of`."""
    return dy if channels == 1 else dy * np.array(GRAY, dy.dtype)


class RandomGrayscale(RandomImageLayer):
    """During training, makes images gray with probability `factor`. No weights.

        y = 0.2989 * red + 0.587 * green + 0.114 * blue   in each of the three channels

    An image of one channel stays as it is. `seed` as in `Dropout`.
    """

    def __init__(
        self,
        factor: float = 0.5,
        data_format: str | None = None,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, seed, **kwargs)
        if not shapes.is_number(factor) or not 0 <= factor <= 1:
            raise ValueError(f"{self.label} expects factor in [0, 1]. Received {factor!r}.")
        self.factor = factor

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        check_colours(input_shape, self.label)
        return input_shape

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        return rng.random((shape[0], 1, 1, 1), np.float32) < np.float32(self.factor)

    def _check_count(self, drawn: Drawn, count: int) -> None:
        if drawn.shape != (count, 1, 1, 1):
            raise ValueError(f"It is not for {count} images.")

    def changed(self, x: Array, drawn: Drawn) -> tuple[Array, Kept]:
        check_colours(x.shape, self.label)
        return np.where(drawn, gray_of(x), x), {}

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        if dz.shape[-1] == 1:
            return dz
        return np.where(drawn, gray_gradient(dz.sum(axis=-1, keepdims=True), 3), dz)


class RandomColorDegeneration(Colouring):
    """During training, moves each image's colours towards gray, or away from it. No weights.

        y = clip(x + f * (gray - x), low, high),   gray as in `RandomGrayscale`

    f is random between -`factor` and `factor`, or between its two numbers, from -1 to 1; 0 changes
    nothing and 1 leaves no colours. `value_range` is (low, high); `seed` as in `Dropout`.
    """

    needs_colours = True

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, seed, data_format, **kwargs)
        self.factor = limits(factor, "factor", self.label)
        self.value_range = sorted(self.value_range)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        return {"factor": uniform(rng, self.factor, shape[0]).reshape(-1, 1, 1, 1)}

    def recoloured(self, x: Array, drawn: Drawn) -> Array:
        check_colours(x.shape, self.label, gray=False)
        y: Array = x + for_each(drawn["factor"], x) * (gray_of(x) - x)
        return y

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        dz, factor = np.where(cache["inside"], dz, dz.dtype.type(0)), for_each(drawn["factor"], dz)
        dx: Array = (1 - factor) * dz + factor * gray_gradient(dz.sum(axis=-1, keepdims=True), 3)
        return dx


class RandomHue(Colouring):
    """During training, moves each image's colours along the rainbow. No weights.

        hue, saturation, value = rgb_to_hsv(x);   y = hsv_to_rgb(hue + f, saturation, value)

    The hue goes around a circle, from 0 (red) over green and blue to 1 (red again). |f| is half of
    a random number between 0 and `factor`, or between its two numbers, from 0 to 1; its sign is
    random. Pixels are mapped from `value_range`, (low, high), to 0 … 1 and back. `seed` as in
    `Dropout`.

    The surprise: Keras on TensorFlow has no gradient for this layer; minicnn has one.
    """

    needs_colours = True

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, seed, data_format, **kwargs)
        self.factor = limits(factor, "factor", self.label, least=0)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        half = np.where(rng.random(shape[0]) > 0.5, np.float32(-0.5), np.float32(0.5))
        return {"factor": half * uniform(rng, self.factor, shape[0])[:, 0]}

    def changed(self, x: Array, drawn: Drawn) -> tuple[Array, Kept]:
        check_colours(x.shape, self.label, gray=False)
        colour = hsv.of(self.scaled(x, 0, 1))
        hue = colour.hue + for_each(drawn["factor"], x)[..., 0]
        hue = np.where(hue > 1, hue - 1, hue)
        moved = colour._replace(hue=np.where(hue < 0, hue + 1, hue))
        z = hsv.rgb(moved)
        kept = {"colour": colour, "moved": moved, "inside": (z >= 0) & (z <= 1)}
        return self.scaled_back(z.clip(0, 1), 0, 1).astype(x.dtype), kept

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        dy = np.where(cache["inside"], dz, dz.dtype.type(0))
        return hsv.of_gradient(*hsv.rgb_gradient(dy, cache["moved"]), cache["colour"])


class RandomSaturation(Colouring):
    """During training, makes each image's colours stronger or weaker. No weights.

        y = hsv_to_rgb(hue, clip(saturation * f / (1 - f), low, high), value)

    f is random between -`factor` and `factor`, or between its two numbers, from -1 to 1: at 0 and
    below no colours are left, 0.5 changes nothing, and 1 leaves only the strongest colours. `seed`
    as in `Dropout`.

    The surprises, as in Keras: one number u means (-u, u), so most images become gray; and the
    saturation, which goes from 0 to 1, is clipped to `value_range`, so only (0, 1) clips it
    correctly. Keras on TensorFlow has no gradient for this layer; minicnn has one.
    """

    needs_colours = True

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, seed, data_format, **kwargs)
        self.factor = limits(factor, "factor", self.label)
        self.value_range = sorted(self.value_range)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        factor = uniform(rng, self.factor, shape[0])[:, 0]
        return {"factor": factor / (1 - factor + np.float32(1e-7))}

    def changed(self, x: Array, drawn: Drawn) -> tuple[Array, Kept]:
        check_colours(x.shape, self.label, gray=False)
        colour, (low, high) = hsv.of(x), self.value_range
        stronger = colour.saturation * for_each(drawn["factor"], x)[..., 0]
        moved = colour._replace(saturation=stronger.clip(low, high).astype(x.dtype))
        inside = (stronger >= low) & (stronger <= high)
        return hsv.rgb(moved), {"colour": colour, "moved": moved, "inside": inside}

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        dh, ds, dv = hsv.rgb_gradient(dz, cache["moved"])
        ds = np.where(cache["inside"], ds * for_each(drawn["factor"], dz)[..., 0], ds.dtype.type(0))
        return hsv.of_gradient(dh, ds, dv, cache["colour"])


class RandomInvert(Colouring):
    """During training, turns light into dark and back, in some images. No weights.

        y = high - x

    The probability for each image is random between 0 and `factor`, or between its two numbers;
    `value_range` is (low, high). `seed` as in `Dropout`.
    """

    def __init__(
        self,
        factor: Any = 1.0,
        value_range: Any = (0, 255),
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, seed, data_format, **kwargs)
        self.factor = limits(factor, "factor", self.label, least=0)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        return {"apply_inversion": chosen(rng, self.factor, shape[0])}

    def changed(self, x: Array, drawn: Drawn) -> tuple[Array, Kept]:
        inverted = x.dtype.type(self.value_range[1]) - x
        return np.where(for_each(drawn["apply_inversion"], x), inverted, x), {}

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        return np.where(for_each(drawn["apply_inversion"], dz), -dz, dz)


class RandomPosterization(Colouring):
    """During training, keeps only the upper bits of each colour. No weights.

        y = x with the lower 8 - b of its 8 bits set to 0

    b is random from 1 to `factor` - 1, or from the first of its two numbers to the second minus 1;
    two equal numbers, from 1 to 8, are b itself. Pixels are mapped from `value_range` to 0 … 255
    and back, and clipped to it (in Keras, other pixels may become any number). There is no
    gradient: steps have no slope, so dx = 0. `seed` as in `Dropout`.
    """

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, seed, data_format, **kwargs)
        low, high = limits(factor, "factor", self.label, least=1, most=8)
        if low != int(low) or high != int(high):
            raise ValueError(f"{self.label} expects whole numbers. Received factor={factor!r}.")
        self.factor = int(low), int(high)
        self.value_range = sorted(self.value_range)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        low, high = self.factor
        bits = rng.integers(low, max(high, low + 1), shape[0]).astype(np.uint8)
        return {"shift_factor": 8 - bits}

    def changed(self, x: Array, drawn: Drawn) -> tuple[Array, Kept]:
        shift = drawn["shift_factor"].reshape(-1, 1, 1, 1)
        whole = self.scaled(x, 0, 255).clip(0, 255).astype(np.uint8)
        rounded = np.left_shift(np.right_shift(whole, shift), shift)
        return self.scaled_back(rounded.astype(x.dtype), 0, 255), {}

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        return np.zeros_like(dz)


class Solarization(Colouring):
    """During training, adds light, and inverts pixels that are then lighter than a threshold.

        z = clip(x + a, 0, 255);   y = z where z < t, else 255 - z

    a is random between 0 and 255 times `addition_factor`, or from the first of its two numbers (not
    multiplied, as in Keras) to 255 times the second; t likewise, by `threshold_factor`. Pixels are
    mapped from `value_range` to 0 … 255 and back. `seed` as in `Dropout`. No weights.
    """

    def __init__(
        self,
        addition_factor: Any = 0.0,
        threshold_factor: Any = 0.0,
        value_range: Any = (0, 255),
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, seed, data_format, **kwargs)
        self.addition_factor = limits(addition_factor, "addition_factor", self.label, least=0)
        self.threshold_factor = limits(threshold_factor, "threshold_factor", self.label, least=0)
        self.value_range = sorted(self.value_range)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        def levels(factor: tuple[float, float]) -> Array:
            return uniform(rng, (factor[0], factor[1] * 255), shape[0]).reshape(-1, 1, 1, 1)

        return {
            "additions": levels(self.addition_factor),
            "thresholds": levels(self.threshold_factor),
        }

    def changed(self, x: Array, drawn: Drawn) -> tuple[Array, Kept]:
        lighter = self.scaled(x, 0, 255) + for_each(drawn["additions"], x)
        z = lighter.clip(0, 255).astype(x.dtype)
        below = z < for_each(drawn["thresholds"], x)
        y = np.where(below, z, x.dtype.type(255) - z)
        return self.scaled_back(y, 0, 255), {"below": below, "inside": z == lighter}

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        dx = np.where(cache["below"], dz, -dz)
        return np.where(cache["inside"], dx, dx.dtype.type(0))


class AutoContrast(Colouring):
    """Stretches each channel of an image over the whole `value_range`, also in prediction.

        y = low + (x - least) * (high - low) / (most - least)   of the channel's pixels

    A channel of one colour stays as it is. Nothing is random. No weights.
    """

    training_by_default = False

    def __init__(
        self, value_range: Any = (0, 255), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(value_range, None, data_format, **kwargs)
        self.value_range = sorted(self.value_range)

    def get_config(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config().items() if key != "seed"}

    def receptive_window(self) -> tuple[shapes.Steps, shapes.Steps, shapes.Pair] | None:
        return None  # each output depends on every pixel of the image

    def differs_in_training(self) -> bool:
        return False

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        return None

    def stretch(self, x: Array) -> tuple[Array, Array, Array]:
        """Return the minimum and maximum of each channel, and the factor that stretches it."""
        least, most = (f(x, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
        first, last = self.value_range
        spread = np.where(most > least, most - least, x.dtype.type(1))
        return least, most, x.dtype.type(last - first) / spread

    def changed(self, x: Array, drawn: Drawn) -> tuple[Array, Kept]:
        check_pixels(x, self.label)
        least, most, scale = self.stretch(x)
        y = (x - least) * scale + x.dtype.type(self.value_range[0])
        return np.where(most > least, y.clip(*self.value_range).astype(x.dtype), x), {"x": x}

    def unchanged(self, x: Array) -> tuple[Array, Kept]:
        return self.changed(x, None)

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        x = cache["x"]
        least, most, scale = self.stretch(x)
        spread = np.where(most > least, most - least, x.dtype.type(1))
        place = (x - least) / spread  # 0 at the darkest pixel, 1 at the lightest one
        axes = {"axis": (1, 2), "keepdims": True}
        to_most, to_least = (scale * (dz * part).sum(**axes) for part in (place, 1 - place))
        darkest, lightest = x == least, x == most
        dx = dz * scale
        dx -= darkest * (to_least / darkest.sum(**axes)) + lightest * (
            to_most / lightest.sum(**axes)
        )
        return np.where(most > least, dx, dz).astype(dz.dtype)

    def unchanged_gradient(self, dz: Array, cache: Cache) -> Array:
        return self.gradient(dz, None, cache)


class Equalization(Colouring):
    """During training, makes all colours about equally frequent. No weights.

        y = 255 * (rank(x) - lowest rank) / (highest rank - lowest rank),   rounded

    where rank(x) counts the channel's pixels in the bin of x or below it, with `bins` bins from 0
    to 255. Pixels are mapped from `value_range` to 0 … 255 and back. A channel of one colour stays
    as it is. There is no gradient: steps have no slope, so dx = 0. Nothing is random.

    The surprise, as in Keras: the pixels of the whole batch are counted together.
    """

    def __init__(
        self,
        value_range: Any = (0, 255),
        bins: int = 256,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, None, data_format, **kwargs)
        self.bins = shapes.positive_int(bins, "bins", self.label)
        self.value_range = sorted(self.value_range)

    def get_config(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config().items() if key != "seed"}

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        return {}

    def changed(self, x: Array, drawn: Drawn) -> tuple[Array, Kept]:
        check_pixels(x, self.label)
        tables = [self.table(x[..., channel]) for channel in range(x.shape[-1])]
        y = np.empty_like(x)
        for channel, table in enumerate(tables):
            one = x[..., channel]
            new = one if table is None else self.scaled_back(table[self.read(one)], 0, 255)
            y[..., channel] = new
        return y, {"flat": np.array([table is None for table in tables]), "tables": tables}

    def table(self, x: Array) -> Array | None:
        """Return the new colour for each bin of this channel's pixels; None for a single colour."""
        colours = self.scaled(x, 0, 255)
        bins = (colours * x.dtype.type(self.bins - 1) / x.dtype.type(255)).astype(np.int64)
        counts = np.bincount(bins.clip(0, self.bins - 1).ravel(), minlength=self.bins)
        ranks = np.cumsum(counts)
        lowest, highest = ranks[ranks > 0][0], ranks[-1]
        if lowest == highest:
            return None
        new = np.round((ranks - lowest) * 255 / (highest - lowest))
        return new.clip(0, 255).astype(x.dtype)

    def read(self, x: Array) -> Array:
        """Return the bin in which each pixel looks up its new colour, rounded as in Keras."""
        place = self.scaled(x, 0, 255) / x.dtype.type(255) * x.dtype.type(self.bins - 1)
        return place.clip(0, self.bins - 1).astype(np.int64)

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        return np.where(cache["flat"], dz, dz.dtype.type(0))
