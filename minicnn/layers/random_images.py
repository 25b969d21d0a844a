"""Changes images at random in training: flips, rotations, shifts, zooms, shears, crops.

    augment = Sequential([RandomFlip("horizontal"), RandomRotation(0.1), RandomZoom(0.1)])

This can be the first part of a model, which then changes the images that it trains on, but not
those that it predicts; or it can change a data set: `dataset.map(lambda x, y: (augment(x,
training=True), y))`. As in Keras, such a layer called by itself, `augment(x)`, changes x; only
`predict`, `evaluate` and `training=False` switch that off.
"""

from typing import Any

import numpy as np

from minicnn import functional, shapes
from minicnn._support import seeding
from minicnn.functional import resizing
from minicnn.layers.base import Array, Cache, Grads, Kept, Shape
from minicnn.layers.noise import RandomLayer

Drawn = Any  # what `get_random_transformation` returns
Range = tuple[float, float]


class RandomImageLayer(RandomLayer):
    """Changes each image of a batch in its own way in training, and otherwise passes images on.

    As in Keras, `get_random_transformation(images)` draws the changes, and `transform_images`
    applies them. x is (batch, height, width, channels), or one image; it may have integers, and y
    always has the layer's dtype. The gradient goes back through the change that was drawn.
    """

    input_rank = 4
    takes_integers = True
    training_by_default = True

    def __init__(self, data_format: str | None = None, seed: Any = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.data_format = shapes.check_data_format(data_format, self.label)

    def __call__(self, x: Any, training: bool | None = None) -> Any:
        """Run on images, by default in training mode, or add the layer to a graph of symbols."""
        if isinstance(x, np.ndarray) and x.ndim == 3:
            return super().__call__(x[None], training)[0]
        return super().__call__(x, training)

    def get_random_transformation(
        self, data: Array, training: bool = True, seed: Any = None
    ) -> Drawn:
        """Draw how to change these images; None if `training` is False."""
        shape = data.shape if isinstance(data, np.ndarray) else ()
        if len(shape) not in (3, 4):
            raise ValueError(
                f"{self.label} expects an image (height, width, channels) or a batch of them. "
                f"Received data.shape={shape}."
            )
        seeding.check_seed(seed, self.label)
        rng = self.generator() if seed is None else seeding.generator(seed)
        return self.draw(rng, shape if len(shape) == 4 else (1, *shape)) if training else None

    def transform_images(
        self, images: Array, transformation: Drawn, training: bool = True
    ) -> Array:
        """Return images changed as `get_random_transformation` has drawn it."""
        if isinstance(images, np.ndarray) and images.ndim == 3:
            return self.transform_images(images[None], transformation, training)[0]
        images = self._prepare(images)
        if not training:
            return images
        try:
            self._check_count(transformation, len(images))
            return self.changed(images, transformation)[0]
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise self._unfit(transformation) from error

    def _check_count(self, drawn: Drawn, count: int) -> None:
        """Raise a `ValueError` unless the change was drawn for this many images, or for any."""
        if isinstance(drawn, dict) and any(np.shape(v)[:1] != (count,) for v in drawn.values()):
            raise ValueError(f"It is not for {count} images.")

    def _unfit(self, transformation: Any) -> ValueError:
        return ValueError(
            f"{self.label} expects what its get_random_transformation returned for such images. "
            f"Received transformation={transformation!r}."
        )

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        """Draw a change for each image of a batch of this shape."""
        raise NotImplementedError

    def changed(self, x: Array, drawn: Drawn) -> tuple[Array, Kept]:
        """Return the changed images, and what the gradient needs besides `drawn`."""
        raise NotImplementedError

    def unchanged(self, x: Array) -> tuple[Array, Kept]:
        """Return the layer's output for x outside of training, and what the gradient needs."""
        return x, {}

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        """Return dx through the change that was drawn."""
        raise NotImplementedError

    def unchanged_gradient(self, dz: Array, cache: Cache) -> Array:
        return dz

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        if not training or not self.differs_in_training():
            y, kept = self.unchanged(x)
            return y, {"transformation": None, **kept}
        drawn = self.draw(self.generator(), x.shape)
        y, kept = self.changed(x, drawn)
        return y, {"transformation": drawn, **kept}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        if not need_dx:
            return None, {}
        drawn = cache["transformation"]
        if drawn is None:
            return self.unchanged_gradient(dz, cache), {}
        return self.gradient(dz, drawn, cache), {}


def limits(
    value: Any, argument: str, who: str, least: float = -1, most: float = 1, above: bool = False
) -> Range:
    """Return the lower and upper limit that one number, or two, stand for, as in Keras.

    With `above`, the limits must be greater than `least`, not equal to it.
    """
    several = isinstance(value, (tuple, list)) and len(value) == 2
    both = tuple(value) if several else (value, value)
    if not all(
        shapes.is_number(v) and least <= v <= most and not (above and v == least) for v in both
    ):
        opening = "(" if above else "["
        raise ValueError(
            f"{who} expects {argument} to be a number in {opening}{least}, {most}], or two. "
            f"Received {value!r}."
        )
    low, high = (min(both), max(both)) if several else (max(-abs(value), least), abs(value))
    return float(low), float(high)


def check_pixels(x: Array, who: str) -> None:
    """Raise a `ValueError` for images without pixels."""
    if 0 in x.shape[1:3]:
        raise ValueError(f"{who} expects images with pixels. Received x.shape={x.shape}.")


def uniform(rng: np.random.Generator, between: Range, count: int) -> Array:
    """Return `count` random numbers between the two, of shape (count, 1)."""
    return rng.uniform(*between, (count, 1)).astype(np.float32)


def covered(start: Array, size: Array, length: int, axis: int) -> Array:
    """Return which of the `length` pixels along an axis a rectangle covers, for each image.

    It begins at `start`, and is of this `size`; all axes but this one and the first have size 1.
    """
    pixels = np.arange(length, dtype=np.float32).reshape(
        [length if k == axis else 1 for k in range(4)]
    )
    first, end = (edge.reshape(-1, 1, 1, 1) for edge in (start, start + size))
    inside: Array = (pixels >= first) & (pixels < end)
    return inside


# -- moved ---------------------------------------------------------------------------------------


class RandomFlip(RandomImageLayer):
    """During training, flips each image with probability 1/2. No weights.

    `mode` "horizontal" exchanges left and right, "vertical" top and bottom. The surprise, as in
    Keras: "horizontal_and_vertical", the default, does both or neither, which turns an image by
    180 degrees; two layers flip independently. `seed` as in `Dropout`.
    """

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, seed, **kwargs)
        modes = ("horizontal", "vertical", "horizontal_and_vertical")
        self.mode = shapes.choice(mode, modes, "mode", self.label)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        return {"flips": rng.random((shape[0], 1, 1, 1)) <= 0.5}

    def _flipped(self, x: Array, flips: Array) -> Array:
        rows = slice(None, None, -1 if "vertical" in self.mode else 1)
        columns = slice(None, None, -1 if "horizontal" in self.mode else 1)
        chosen, y = flips.ravel(), x.copy(order="C")
        y[chosen] = x[chosen][:, rows, columns]
        return y

    def changed(self, x: Array, drawn: Drawn) -> tuple[Array, Kept]:
        return self._flipped(x, drawn["flips"]), {}

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        return self._flipped(dz, drawn["flips"])


class _Warping(RandomImageLayer):
    """A layer that reads each pixel of y at another place of x, given by a transform."""

    def __init__(
        self,
        fill_mode: str,
        interpolation: str,
        seed: Any,
        fill_value: float,
        data_format: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, seed, **kwargs)
        self.fill_mode = shapes.choice(
            fill_mode, ("reflect", "wrap", "constant", "nearest"), "fill_mode", self.label
        )
        self.interpolation = shapes.choice(
            interpolation, ("nearest", "bilinear"), "interpolation", self.label
        )
        self.fill_value = float(shapes.number(fill_value, "fill_value", self.label))

    def transforms(self, drawn: Drawn, size: shapes.Pair) -> Array:
        """Return the six numbers of each image's transform (see `functional.warp`)."""
        raise NotImplementedError

    def changed(self, x: Array, drawn: Drawn) -> tuple[Array, Kept]:
        transforms = self.transforms(drawn, x.shape[1:3])
        y = functional.warp(
            x, transforms, self.interpolation, self.fill_mode, self.fill_value, self.label
        )
        return y, {"transforms": transforms}

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        return functional.warp_backward(
            dz, cache["transforms"], self.interpolation, self.fill_mode, self.label
        )


def _stacked(count: int, *numbers: Any) -> Array:
    """Return float32 (count, 6) of six numbers, each alone or (count, 1)."""
    columns = [np.broadcast_to(np.float32(n), (count, 1)) for n in numbers]
    return np.concatenate(columns, axis=1)


class RandomRotation(_Warping):
    """During training, rotates each image about its middle by a random angle. No weights.

    The angle is at most `factor` times a full turn either way, or lies between two such factors;
    positive angles turn counter-clockwise. Each pixel is interpolated between four ("bilinear") or
    read from the nearest. Outside the image lies, by `fill_mode`, its mirror image ("reflect"), the
    image again ("wrap"), the edge ("nearest") or `fill_value` ("constant"). `seed` as in `Dropout`.

    The surprise: Keras on TensorFlow has another dx, the gradient rotated back; here dx is exact,
    the transposed sum, as finite differences confirm.
    """

    def __init__(
        self,
        factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: Any = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.factor = limits(factor, "factor", self.label)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        low, high = self.factor
        angle = uniform(rng, (low * 360, high * 360), shape[0])[:, 0]
        return {"angle": angle, "rotation_matrix": self._matrix(angle, shape[1:3])}

    @staticmethod
    def _matrix(angle: Array, size: tuple[int, ...]) -> Array:
        """Return Keras's matrix: rows x, y, 1 of the place that a pixel is read at, and 0 0."""
        radians = angle[:, None] * np.float32(np.pi / 180)
        # NumPy's functions of float32 differ in the last bit between processors.
        cos, sin = (np.float32(f(np.float64(radians))) for f in (np.cos, np.sin))
        middle_x, middle_y = (size[1] - 1) / 2, (size[0] - 1) / 2
        start_x = middle_x - middle_x * cos + middle_y * sin
        start_y = middle_y - middle_x * sin - middle_y * cos
        six = _stacked(len(angle), cos, -sin, start_x, sin, cos, start_y)
        return np.concatenate([six, np.zeros_like(six[:, :2])], axis=1)

    def transforms(self, drawn: Drawn, size: shapes.Pair) -> Array:
        return np.ascontiguousarray(drawn["rotation_matrix"][:, :6])


class RandomTranslation(_Warping):
    """During training, shifts each image down or up, and right or left. No weights.

    `height_factor` and `width_factor` are shares of the size, either way, or two limits; positive
    numbers shift down and to the right. `fill_mode`, `interpolation`, `fill_value` and `seed` as in
    `RandomRotation`, and so is the gradient.
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: Any = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self._height = limits(height_factor, "height_factor", self.label)
        self._width = limits(width_factor, "width_factor", self.label)
        self.height_factor, self.width_factor = height_factor, width_factor

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        down = uniform(rng, self._height, shape[0]) * np.float32(shape[1])
        right = uniform(rng, self._width, shape[0]) * np.float32(shape[2])
        return {"translations": np.concatenate([right, down], axis=1)}

    def transforms(self, drawn: Drawn, size: shapes.Pair) -> Array:
        right, down = np.split(drawn["translations"], 2, axis=1)
        return _stacked(len(right), 1, 0, -right, 0, 1, -down)


class RandomZoom(_Warping):
    """During training, zooms each image out or in, about its middle. No weights.

    `height_factor` is the share of the image's height by which the visible part grows or shrinks,
    either way, or between two limits: 0.2 zooms out, until 1.2 times as many rows are visible; -0.2
    zooms in. `width_factor` does the same for columns; without it, columns are zoomed as much as
    rows, and nothing is distorted. `fill_mode`, `interpolation`, `fill_value` and `seed` as in
    `RandomRotation`, and so is the gradient.
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: Any = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self._height = self._zooms(height_factor, "height_factor")
        alike = width_factor is None
        self._width = None if alike else self._zooms(width_factor, "width_factor")
        self.height_factor, self.width_factor = height_factor, width_factor

    def _zooms(self, factor: Any, argument: str) -> Range:
        low, high = limits(factor, argument, self.label, above=True)
        return 1 + low, 1 + high

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        rows = uniform(rng, self._height, shape[0])
        columns = rows if self._width is None else uniform(rng, self._width, shape[0])
        return {"height_zoom": rows, "width_zoom": columns}

    def transforms(self, drawn: Drawn, size: shapes.Pair) -> Array:
        rows, columns = drawn["height_zoom"], drawn["width_zoom"]
        left = np.float32((size[1] - 1) / 2) * (1 - columns)
        top = np.float32((size[0] - 1) / 2) * (1 - rows)
        return _stacked(len(rows), columns, 0, left, 0, rows, top)


class RandomShear(_Warping):
    """During training, shears each image: a square becomes a parallelogram. No weights.

        y[i, j] = x[i + shear_y * j, j + shear_x * i]

    shear_x is random between the numbers of `x_factor`, from 0 to 1, and shear_y between those of
    `y_factor`; half of the images are sheared the other way. One number u means from -u to u.
    `fill_mode`, `interpolation`, `fill_value` and `seed` as in `RandomRotation`, and so is the
    gradient. The surprise, as in Keras: the first row and column stay where they are.
    """

    def __init__(
        self,
        x_factor: Any = 0.0,
        y_factor: Any = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.x_factor = self._shears(x_factor, "x_factor")
        self.y_factor = self._shears(y_factor, "y_factor")

    def _shears(self, factor: Any, argument: str) -> Range:
        if isinstance(factor, (tuple, list)) and len(factor) == 2 and factor[0] == -factor[1]:
            factor = factor[1]  # as Keras stores a single number
        low, high = limits(factor, argument, self.label, least=0)
        return (low, high) if isinstance(factor, (tuple, list)) else (-high, high)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments; Keras would not accept a negative number."""
        config = super().get_config()
        for name in ("x_factor", "y_factor"):
            low, high = config[name]
            config[name] = high if low < 0 else (low, high)
        return config

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        sign = np.where(rng.random((shape[0], 1)) > 0.5, np.float32(-1), np.float32(1))
        down = uniform(rng, self.y_factor, shape[0])
        right = uniform(rng, self.x_factor, shape[0])
        return {"shear_factor": np.concatenate([right, down], axis=1) * sign}

    def transforms(self, drawn: Drawn, size: shapes.Pair) -> Array:
        right, down = np.split(drawn["shear_factor"], 2, axis=1)
        return _stacked(len(right), 1, right, 0, down, 1, 0)


class RandomCrop(RandomImageLayer):
    """During training, cuts a random part, (`height`, `width`), out of a batch. No weights.

        y[n, i, j, c] = x[n, i + top, j + left, c]

    All images of a batch are cut at the same place. Outside of training, the largest middle part
    with the proportions of the result is resized (bilinear). `seed` as in `Dropout`.

    The surprises: as in Keras, a batch that is not larger in both directions is cut in its middle
    where it is larger, and resized, which distorts it. And outside of training, Keras 3 itself
    passes images on unchanged, whatever their size, although its documentation describes the
    behaviour here, which was that of Keras 2.
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, seed, **kwargs)
        self.height, self.width = shapes.pair((height, width), "(height, width)", self.label)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape[0], self.height, self.width, input_shape[3]

    def receptive_window(self) -> tuple[shapes.Pair, shapes.Pair, shapes.Pair] | None:
        return None

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        rows, columns = shape[1] - self.height, shape[2] - self.width
        if rows > 0 and columns > 0:
            return int(rng.integers(rows + 1)), int(rng.integers(columns + 1))
        other = shape[2] * self.height / self.width, shape[1] * self.width / self.height
        parts = [max(min(size, int(o)), 1) for size, o in zip(shape[1:3], other, strict=True)]
        return (shape[1] - parts[0]) // 2, (shape[2] - parts[1]) // 2

    def sampling(self, size: shapes.Pair, drawn: Drawn = None) -> resizing.Sampling:
        """Return which rows and columns of an image of this size make those of the result."""
        target = self.height, self.width
        if drawn is None:
            return resizing.sampling(size, target, crop_to_aspect_ratio=True)
        part = min(self.height, size[0] - drawn[0]), min(self.width, size[1] - drawn[1])
        found = resizing.sampling(part, target)
        moved = [t._replace(source=t.source + start) for t, start in zip(found, drawn, strict=True)]
        return resizing.Sampling(*moved)

    def _sampled(self, x: Array, drawn: Drawn) -> tuple[Array, Kept]:
        check_pixels(x, self.label)
        size = x.shape[1:3]
        if 0 in x.shape:
            y = np.zeros((len(x), self.height, self.width, x.shape[3]), x.dtype)
        else:
            y = resizing.sample(x, self.sampling(size, drawn))
        return y, {"size": size}

    def changed(self, x: Array, drawn: Drawn) -> tuple[Array, Kept]:
        return self._sampled(x, drawn)

    def unchanged(self, x: Array) -> tuple[Array, Kept]:
        return self._sampled(x, None)

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        size = cache["size"]
        if 0 in dz.shape:
            return np.zeros((len(dz), *size, dz.shape[3]), dz.dtype)
        return resizing.sample_backward(dz, self.sampling(size, drawn), size)

    def unchanged_gradient(self, dz: Array, cache: Cache) -> Array:
        return self.gradient(dz, None, cache)
