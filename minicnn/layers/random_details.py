"""Changes details at random in training: erased rectangles, blur, sharpness."""

from typing import Any

import numpy as np

from minicnn import functional, shapes
from minicnn.layers.base import Array, Cache, Kept
from minicnn.layers.random_colours import Colouring, chosen, for_each
from minicnn.layers.random_images import Drawn, check_pixels, covered, limits, uniform


class RandomErasing(Colouring):
    """During training, erases a rectangle of some images. No weights.

        y = fill_value within the rectangle, x around it

    The probability for each image is random between 0 and `factor`, or between its two numbers. The
    rectangle's height and width are the image's times the root of a random number between the two
    of `scale`, from 0 to 1. `fill_value` is a number, one for each of three channels, or None:
    normally distributed noise times the upper limit of `value_range`, clipped to that range. `seed`
    as in `Dropout`. (Zhong et al. 2020)
    """

    def __init__(
        self,
        factor: Any = 1.0,
        scale: Any = (0.02, 0.33),
        fill_value: Any = None,
        value_range: Any = (0, 255),
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, seed, data_format, **kwargs)
        self.factor = limits(factor, "factor", self.label, least=0)
        self.scale = limits(scale, "scale", self.label, least=0)
        several = isinstance(fill_value, (tuple, list)) and len(fill_value) == 3
        values = fill_value if several else (fill_value,)
        if fill_value is not None and not all(map(shapes.is_number, values)):
            raise ValueError(
                f"{self.label} expects fill_value to be a number, three numbers, or None. "
                f"Received {fill_value!r}."
            )
        self.fill_value = fill_value

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        count, height, width, channels = shape
        if np.ndim(self.fill_value) and channels != 3:
            raise ValueError(
                f"{self.label} has a fill_value for 3 channels. Received images of {channels}."
            )
        inside = np.ones((count, 1, 1, 1), bool)
        for length, axis in ((width, 2), (height, 1)):
            cut = np.sqrt(uniform(rng, self.scale, count)) * np.float32(length)
            start = rng.random((count, 1), np.float32) * (length - cut)
            inside = inside & covered(start, cut, length, axis)
        low, high = self.value_range
        if self.fill_value is None:
            fill = rng.standard_normal(shape, np.float32) * np.float32(high)
        else:
            fill = np.broadcast_to(np.array(self.fill_value, np.float32), shape)
        return {
            "apply_erasing": chosen(rng, self.factor, count),
            "batch_masks": np.repeat(inside, channels, axis=3),
            "fill_value": fill.clip(low, high),
        }

    def _erased(self, x: Array, drawn: Drawn) -> Array:
        erased: Array = drawn["batch_masks"] & for_each(drawn["apply_erasing"], x)
        return erased

    def changed(self, x: Array, drawn: Drawn) -> tuple[Array, Kept]:
        return np.where(self._erased(x, drawn), drawn["fill_value"].astype(x.dtype), x), {}

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        return np.where(self._erased(dz, drawn), dz.dtype.type(0), dz)


def _filtered(x: Array, kernel: Array, who: str) -> Array:
    """Return x with the same window over each channel, and zeros around the image."""
    w = np.repeat(kernel.astype(x.dtype)[:, :, None, None], x.shape[-1], axis=2)
    return functional.depthwise_conv2d(x, w, padding="same", name=who)


def _filtered_gradient(dy: Array, kernel: Array, who: str) -> Array:
    w = np.repeat(kernel.astype(dy.dtype)[:, :, None, None], dy.shape[-1], axis=2)
    dx, _, _ = functional.depthwise_conv2d_backward(
        dy, dy, w, padding="same", need_dw=False, name=who
    )
    assert dx is not None
    return dx


class RandomSharpness(Colouring):
    """During training, makes each image blurred or sharper. No weights.

        y = clip(x + (1 - 2 * f) * (smooth - x), low, high)

    where smooth is the mean of the 3x3 pixels around, in which the middle counts five times, and f
    is random between 0 and `factor`, or between its two numbers, from 0 to 1: 0 blurs, 0.5 changes
    nothing, 1 sharpens. `value_range` is (low, high); `seed` as in `Dropout`. The surprise, as in
    Keras: zeros lie beyond the edge, so the edge of a blurred image is dark.
    """

    KERNEL = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13

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
        self.value_range = sorted(self.value_range)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        return {"factor": uniform(rng, self.factor, shape[0])[:, 0]}

    def recoloured(self, x: Array, drawn: Drawn) -> Array:
        check_pixels(x, self.label)
        share = 1 - for_each(drawn["factor"] * 2, x)
        y: Array = x + share * (_filtered(x, self.KERNEL, self.label) - x)
        return y

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        dy = np.where(cache["inside"], dz, dz.dtype.type(0))
        to_smooth = (1 - for_each(drawn["factor"] * 2, dz)) * dy
        dx: Array = dy - to_smooth + _filtered_gradient(to_smooth, self.KERNEL, self.label)
        return dx


class RandomGaussianBlur(Colouring):
    """During training, blurs some images. No weights.

        y[i, j] = clip(sum over the window of g(di) * g(dj) * x[i + di, j + dj], low, high)

    with g(d) proportional to exp(-d^2 / (2 * sigma^2)) and a sum of 1. The probability for each
    image is random between 0 and `factor`, or between its two numbers; the two sigmas, along
    columns and along rows, are random between 0 and `sigma`, or between its two numbers, from 0 to
    1, and all images of a batch share them. `kernel_size` is odd, a number or two; `value_range` is
    (low, high). `seed` as in `Dropout`. The surprise, as in Keras: zeros lie beyond the edge.
    """

    def __init__(
        self,
        factor: Any = 1.0,
        kernel_size: Any = 3,
        sigma: Any = 1.0,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, seed, data_format, **kwargs)
        self.factor = limits(factor, "factor", self.label, least=0)
        self.kernel_size = shapes.pair(kernel_size, "kernel_size", self.label)
        if not all(size % 2 for size in self.kernel_size):
            raise ValueError(
                f"{self.label} expects kernel_size to be odd. Received {kernel_size!r}."
            )
        self.sigma = limits(sigma, "sigma", self.label, least=0)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        return {
            "should_apply_blur": chosen(rng, self.factor, shape[0]),
            "blur_factor": uniform(rng, self.sigma, 2)[:, 0] + np.float32(1e-6),
        }

    def _check_count(self, drawn: Drawn, count: int) -> None:
        super()._check_count({"should_apply_blur": drawn["should_apply_blur"]}, count)

    def kernel(self, drawn: Drawn) -> Array:
        """Return the window's weights, in float64."""

        def line(size: int, sigma: float) -> Array:
            d = np.arange(size) - (size - 1) / 2
            g = np.exp(-0.5 * (d / float(sigma)) ** 2)
            return g / g.sum()

        along, down = (line(*both) for both in zip(self.kernel_size, drawn["blur_factor"]))
        return np.outer(down, along).reshape(self.kernel_size)

    def recoloured(self, x: Array, drawn: Drawn) -> Array:
        check_pixels(x, self.label)
        blurred = _filtered(x, self.kernel(drawn), self.label)
        return np.where(for_each(drawn["should_apply_blur"], x), blurred, x)

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        dy = np.where(cache["inside"], dz, dz.dtype.type(0))
        blurred = _filtered_gradient(dy, self.kernel(drawn), self.label)
        return np.where(for_each(drawn["should_apply_blur"], dz), blurred, dy)
