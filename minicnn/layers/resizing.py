"""Resizing and CenterCrop make images of one size, whatever size they had."""

from typing import Any

from minicnn import functional, shapes
from minicnn.functional import resizing
from minicnn.layers.base import Array, Cache, Grads, Kept, Layer, Shape


class _Sampled(Layer):
    """A layer whose output pixels are weighted sums of the input pixels that `sampling` names."""

    input_rank = 4
    takes_integers = True
    fill_value: float = 0.0
    height: int
    width: int

    def sampling(self, size: shapes.Pair) -> resizing.Sampling:
        """Return which rows and columns of an image of this size make those of the result."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape[0], self.height, self.width, input_shape[3]

    def receptive_window(self) -> tuple[shapes.Pair, shapes.Pair, shapes.Pair] | None:
        return None


class Resizing(_Sampled):
    """Gives every image the size (`height`, `width`). No weights.

        y[n, i, j, c] = sum over r, s of rows[i, r] * columns[j, s] * x[n, r, s, c]

    The weights of rows and columns follow from the sizes and the `interpolation`: "bilinear" (the
    two nearest pixels, weighted by closeness), "nearest", "bicubic", "lanczos3" or "lanczos5". x
    may have integers; y always has the layer's dtype.

    Args (Keras's names and defaults): `crop_to_aspect_ratio` resizes the largest middle part with
    the proportions of the result, so nothing is distorted; `pad_to_aspect_ratio` puts `fill_value`
    around the image instead; `antialias` computes each pixel of a smaller image from all pixels
    that it covers ("nearest" ignores it).

    The surprise: without `antialias`, a much smaller image depends on only a few pixels of the old
    one. The numbers are those of Keras on TensorFlow; Keras on JAX and torch computes others for
    "bicubic" and at the edges.
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = shapes.check_data_format(data_format, self.label)
        self.height, self.width = shapes.pair((height, width), "(height, width)", self.label)
        self.interpolation = shapes.choice(
            interpolation, resizing.INTERPOLATIONS, "interpolation", self.label
        )
        self.crop_to_aspect_ratio = bool(crop_to_aspect_ratio)
        self.pad_to_aspect_ratio = bool(pad_to_aspect_ratio)
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise ValueError(
                f"{self.label} expects crop_to_aspect_ratio or pad_to_aspect_ratio. Received both."
            )
        self.fill_mode = shapes.choice(fill_mode, ("constant",), "fill_mode", self.label)
        self.fill_value = float(shapes.number(fill_value, "fill_value", self.label))
        self.antialias = bool(antialias)

    @property
    def _options(self) -> dict[str, Any]:
        return {
            "interpolation": self.interpolation,
            "antialias": self.antialias,
            "crop_to_aspect_ratio": self.crop_to_aspect_ratio,
            "pad_to_aspect_ratio": self.pad_to_aspect_ratio,
        }

    def sampling(self, size: shapes.Pair) -> resizing.Sampling:
        return resizing.sampling(size, (self.height, self.width), **self._options)

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        y = functional.resize(
            x, (self.height, self.width), fill_value=self.fill_value, name=self.label,
            **self._options,
        )  # fmt: skip
        return y, {"x_shape": x.shape}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        if not need_dx:
            return None, {}
        return functional.resize_backward(
            dz, cache["x_shape"], name=self.label, **self._options
        ), {}


class CenterCrop(_Sampled):
    """Cuts the middle, (`height`, `width`), out of every image. No weights.

        y[n, i, j, c] = x[n, i + (x height - height) // 2, j + (x width - width) // 2, c]

    The surprise, as in Keras: if an image is smaller in height or width, its largest middle part
    with the proportions of the result is resized (bilinear). x may have integers; y always has the
    layer's dtype.
    """

    def __init__(
        self, height: int, width: int, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = shapes.check_data_format(data_format, self.label)
        self.height, self.width = shapes.pair((height, width), "(height, width)", self.label)

    def _cropping(self, size: shapes.Pair) -> tuple[shapes.Pair, shapes.Pair] | None:
        """Return how much is cut off at the sides; None for an image that is resized."""
        rows, columns = size[0] - self.height, size[1] - self.width
        if rows < 0 or columns < 0:
            return None
        return (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)

    def sampling(self, size: shapes.Pair) -> resizing.Sampling:
        target, cropping = (self.height, self.width), self._cropping(size)
        if cropping is None:
            return resizing.sampling(size, target, crop_to_aspect_ratio=True)
        return resizing.crop((cropping[0][0], cropping[1][0]), target)

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        cropping = self._cropping(x.shape[1:3])
        if cropping is None:
            y = functional.resize(
                x, (self.height, self.width), crop_to_aspect_ratio=True, name=self.label
            )
        else:
            y = functional.cropping2d(x, cropping, self.label)
        return y, {"x_shape": x.shape}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        if not need_dx:
            return None, {}
        shape = cache["x_shape"]
        cropping = self._cropping(shape[1:3])
        if cropping is None:
            return functional.resize_backward(
                dz, shape, crop_to_aspect_ratio=True, name=self.label
            ), {}
        return functional.cropping2d_backward(dz, cropping, self.label), {}
