"""`ImageDataGenerator`: rotates, shifts, shears, zooms and flips images at random.

A network that has also seen a shirt further to the left, or a little larger, recognizes shirts
better. Names, defaults, ranges and the order of the random draws are Keras's, so the same seed
gives the same images.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import config, functional, shapes
from minicnn._support.settings import PlainArguments
from minicnn.images.files import array_to_img, img_to_array
from minicnn.images.flows import Flowing
from minicnn.images.iterators import random_state

Array = np.ndarray


class ImageDataGenerator(Flowing, PlainArguments):
    """Augments and scales images, like Keras's class of the same name.

    - `rotation_range`: up to this many degrees either way. `shear_range`: the same, in degrees.
    - `width_shift_range`, `height_shift_range`: a share of the size if below 1, otherwise pixels;
    for a list, one of its values, either way. Beware: Keras 3 shifts rows by the width's range and
      columns by the height's (see `affine_matrix`), and so does this class.
    - `zoom_range`: z for factors in [1 - z, 1 + z], or (low, high); factors above 1 shrink the
      image. Height and width get separate factors.
    - `channel_shift_range`: makes all values up to this much brighter or darker, within the image's
    own range. `brightness_range`: (low, high) factors, as Pillow's `ImageEnhance.Brightness`.
    - `horizontal_flip`, `vertical_flip`: flip an image with probability 1/2.
    - `fill_mode` "nearest", "constant" (`cval`), "reflect" or "wrap": what fills the edges.
    - after that, `preprocessing_function`, `rescale` (a factor), and normalization by the image's
    own mean and deviation (`samplewise_…`) or by those of a data set, which `fit` measures
    (`featurewise_…`, `zca_whitening`).
    - `validation_split`: the share of the data for `subset="validation"`.
    - `interpolation_order`: 0 (nearest pixel) or 1 (bilinear).

    Raises `ValueError` for values out of range.
    """

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-6,
        rotation_range: float = 0,
        width_shift_range: Any = 0.0,
        height_shift_range: Any = 0.0,
        brightness_range: tuple[float, float] | None = None,
        shear_range: float = 0.0,
        zoom_range: Any = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[Array], Array] | None = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        interpolation_order: int = 1,
        dtype: Any = None,
    ) -> None:
        who = "ImageDataGenerator"
        shapes.check_data_format(data_format, who)
        if validation_split and not (_is_number(validation_split) and 0 < validation_split < 1):
            raise ValueError(
                f"{who} expects validation_split to be between 0 and 1. "
                f"Received {validation_split!r}."
            )
        if interpolation_order not in (0, 1):
            raise ValueError(
                f"{who} expects interpolation_order to be 0 (nearest) or 1 (bilinear). "
                f"Received {interpolation_order!r}."
            )
        if brightness_range is not None and not _is_range(brightness_range):
            raise ValueError(
                f"{who} expects brightness_range to be two numbers (low, high). "
                f"Received {brightness_range!r}."
            )
        for name, value in (
            ("rotation_range", rotation_range),
            ("shear_range", shear_range),
            ("channel_shift_range", channel_shift_range),
            ("cval", cval),
            ("rescale", 0 if rescale is None else rescale),
        ):
            if not _is_number(value):
                raise ValueError(f"{who} expects {name} to be a number. Received {value!r}.")
        for name, value in (
            ("width_shift_range", width_shift_range),
            ("height_shift_range", height_shift_range),
        ):
            if value is not None and not _is_number(value) and not _is_list(value):
                raise ValueError(
                    f"{who} expects {name} to be a number or a list of numbers. Received {value!r}."
                )
        if preprocessing_function is not None and not callable(preprocessing_function):
            raise ValueError(
                f"{who} expects preprocessing_function to be a function. "
                f"Received {preprocessing_function!r}."
            )
        if _is_number(zoom_range):
            self.zoom_range = [1 - zoom_range, 1 + zoom_range]
        elif _is_range(zoom_range):
            self.zoom_range = list(zoom_range)
        else:
            raise ValueError(
                f"{who} expects zoom_range to be a number or two (low, high). "
                f"Received {zoom_range!r}."
            )
        self.fill_mode = shapes.choice(fill_mode, functional.FILL_MODES, "fill_mode", who)
        self.rotation_range, self.shear_range = rotation_range, shear_range
        self.width_shift_range, self.height_shift_range = width_shift_range, height_shift_range
        self.channel_shift_range, self.brightness_range = channel_shift_range, brightness_range
        self.cval, self.interpolation_order = cval, interpolation_order
        self.horizontal_flip, self.vertical_flip = horizontal_flip, vertical_flip
        self.rescale, self.preprocessing_function = rescale, preprocessing_function
        self.dtype = config.floatx() if dtype is None else dtype
        self._validation_split = validation_split

        # Each of these needs the one before it.
        self.zca_whitening, self.zca_epsilon = zca_whitening, zca_epsilon
        self.featurewise_std_normalization = featurewise_std_normalization and not zca_whitening
        self.featurewise_center = (
            featurewise_center or zca_whitening or featurewise_std_normalization
        )
        self.samplewise_std_normalization = samplewise_std_normalization
        self.samplewise_center = samplewise_center or samplewise_std_normalization
        self.mean: Array | None = None
        self.std: Array | None = None
        self.zca_whitening_matrix: Array | None = None

    # -- one image ----------------------------------------------------------------------------

    def get_random_transform(
        self, img_shape: tuple[int, ...], seed: "int | np.random.RandomState | None" = None
    ) -> dict[str, Any]:
        """Draw at random how to change an image of this shape.

        Returns a dict for `apply_transform`: `theta` and `shear` in degrees, `tx` (from the
        height's range) and `ty` (from the width's) in pixels, factors `zx` and `zy`,
        `flip_horizontal`, `flip_vertical`, `channel_shift_intensity`, `brightness`. They are drawn
        in Keras's order.
        """
        random = random_state(seed)
        theta = (
            random.uniform(-self.rotation_range, self.rotation_range)
            if (self.rotation_range)
            else 0
        )
        tx = _draw_shift(random, self.height_shift_range, img_shape[0])
        ty = _draw_shift(random, self.width_shift_range, img_shape[1])
        shear = random.uniform(-self.shear_range, self.shear_range) if self.shear_range else 0
        zx, zy = 1.0, 1.0
        if self.zoom_range != [1, 1]:
            zx, zy = random.uniform(self.zoom_range[0], self.zoom_range[1], 2)
        flip_horizontal = bool(random.random_sample() < 0.5) and self.horizontal_flip
        flip_vertical = bool(random.random_sample() < 0.5) and self.vertical_flip
        channel_shift = None
        if self.channel_shift_range != 0:
            channel_shift = random.uniform(-self.channel_shift_range, self.channel_shift_range)
        brightness = None
        if self.brightness_range is not None:
            brightness = random.uniform(*self.brightness_range)
        return {
            "theta": theta,
            "tx": tx,
            "ty": ty,
            "shear": shear,
            "zx": zx,
            "zy": zy,
            "flip_horizontal": flip_horizontal,
            "flip_vertical": flip_vertical,
            "channel_shift_intensity": channel_shift,
            "brightness": brightness,
        }

    def is_random(self) -> bool:
        """Return whether an image looks different each time."""
        return bool(
            self.rotation_range
            or np.any(self.width_shift_range)
            or np.any(self.height_shift_range)
            or self.shear_range
            or self.zoom_range != [1, 1]
            or self.channel_shift_range
            or self.horizontal_flip
            or self.vertical_flip
            or self.brightness_range is not None
        )

    def apply_transform(self, x: Array, transform_parameters: dict[str, Any]) -> Array:
        """Return `x` (height, width, channels), changed as the dict says, in a new array."""
        p = transform_parameters
        x = np.asarray(x)
        if x.ndim != 3:
            raise ValueError(
                "ImageDataGenerator expects an image (height, width, channels). "
                f"Received x.shape={x.shape}."
            )
        y = x.astype(x.dtype if x.dtype in (np.float32, np.float64) else self.dtype)
        matrix, offset = affine_matrix(
            y.shape,
            p.get("theta", 0),
            p.get("tx", 0),
            p.get("ty", 0),
            p.get("shear", 0),
            p.get("zx", 1),
            p.get("zy", 1),
        )
        if not (np.array_equal(matrix, np.eye(2)) and not offset.any()):
            y = functional.affine_transform(
                y,
                matrix,
                offset,
                self.interpolation_order,
                self.fill_mode,
                self.cval,
                name="ImageDataGenerator",
            )
        if p.get("channel_shift_intensity") is not None:
            y = np.clip(y + y.dtype.type(p["channel_shift_intensity"]), y.min(), y.max())
        if p.get("flip_horizontal"):
            y = y[:, ::-1]
        if p.get("flip_vertical"):
            y = y[::-1]
        if p.get("brightness") is not None:
            y = _brighten(y, p["brightness"])
        return np.ascontiguousarray(y)

    def random_transform(self, x: Array, seed: int | None = None) -> Array:
        """Return `x` changed at random: `get_random_transform`, then `apply_transform`."""
        return self.apply_transform(x, self.get_random_transform(np.shape(x), seed))

    def standardize(self, x: Array) -> Array:
        """Apply preprocessing function, factor and normalization; writes to `x`, as Keras does.

        `x` is an image (height, width, channels) or a batch of them, of floats. For a batch, as in
        Keras, `samplewise_…` takes the mean and deviation of the whole batch.
        """
        if self.preprocessing_function is not None:
            x = self.preprocessing_function(x)
        if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
            received = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
            raise TypeError(
                "ImageDataGenerator.standardize expects an array of floats, which it writes to. "
                f"Received {received}."
            )
        if self.rescale:
            x *= self.rescale
        if self.samplewise_center:
            x -= np.mean(x, keepdims=True)
        if self.samplewise_std_normalization:
            x /= np.std(x, keepdims=True) + 1e-6
        for option, statistic in (
            ("featurewise_center", self.mean),
            ("featurewise_std_normalization", self.std),
            ("zca_whitening", self.zca_whitening_matrix),
        ):
            if getattr(self, option) and statistic is None:
                raise ValueError(
                    f"ImageDataGenerator({option}=True) needs the statistics of your images: "
                    "call fit(images) first."
                )
        if self.featurewise_center:
            x -= self.mean
        if self.featurewise_std_normalization:
            assert self.std is not None
            x /= self.std + 1e-6
        if self.zca_whitening:
            flat = x.reshape(-1, math.prod(x.shape[-3:]))  # one image or several
            x = (flat @ self.zca_whitening_matrix).reshape(x.shape)
        return x

    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Measure what `featurewise_…` and `zca_whitening` need: mean, deviation, whitening.

        `x` is (n, height, width, channels); with `augment`, `rounds` random versions of each image
        are measured instead. Raises `ValueError` for another rank or no images.
        """
        x = np.array(x, dtype=self.dtype)
        if x.ndim != 4 or len(x) == 0:
            raise ValueError(
                "ImageDataGenerator.fit expects images (n, height, width, channels). "
                f"Received x.shape={x.shape}."
            )
        random = random_state(seed)
        if self.rescale:
            x *= self.rescale
        if augment:
            x = np.stack(
                [
                    self.apply_transform(a, self.get_random_transform(a.shape, random))
                    for _ in range(rounds)
                    for a in x
                ]
            )
        if self.featurewise_center:
            self.mean = x.mean(axis=(0, 1, 2)).reshape(1, 1, -1)
            x -= self.mean
        if self.featurewise_std_normalization:
            self.std = x.std(axis=(0, 1, 2)).reshape(1, 1, -1)
            x /= self.std + 1e-6
        if self.zca_whitening:
            u, s, _ = np.linalg.svd(x.reshape(len(x), -1).T, full_matrices=False)
            self.zca_whitening_matrix = (u * (np.sqrt(len(x)) / (s + self.zca_epsilon))) @ u.T


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and bool(np.isfinite(value))


def _is_list(value: Any) -> bool:
    return (isinstance(value, (tuple, list)) or np.ndim(value) == 1) and all(map(_is_number, value))


def _is_range(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2 and all(map(_is_number, value))


def _draw_shift(random: np.random.RandomState, limits: Any, size: int) -> float:
    """Draw a shift in pixels: up to a number, or one of several; below 1: shares of the size."""
    if not np.any(limits):
        return 0.0
    if np.ndim(limits) or (isinstance(limits, (int, np.integer)) and limits > 0):
        shift = float(random.choice(limits))
        shift *= float(random.choice([-1, 1]))
    else:
        shift = float(random.uniform(-limits, limits))
    return shift * size if np.max(limits) < 1 else shift


def affine_matrix(
    shape: tuple[int, ...],
    theta: float = 0,
    tx: float = 0,
    ty: float = 0,
    shear: float = 0,
    zx: float = 1,
    zy: float = 1,
) -> tuple[Array, Array]:
    """Return where each pixel of the new image is in the old one: `matrix · (i, j) + offset`.

    The image is rotated, then shifted, sheared and zoomed, around its centre:

        M = R(theta) · T(tx, ty) · S(shear) · Z(zx, zy),   about ((h - 1) / 2, (w - 1) / 2)

    in homogeneous coordinates. Keras 3 then swaps the first two axes of M (`apply_affine_transform`
    in keras/src/legacy/preprocessing/image.py) before it reads them as (row, column, 1), so that
    `tx` moves columns and `ty` rows, and an image that is not square rotates about a point beside
    its centre. This is surprising, but Keras does it, so the same seed needs it here, too.
    """
    a, s = np.deg2rad(theta), np.deg2rad(shear)
    rotation = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    shift = np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
    shearing = np.array([[1, -np.sin(s), 0], [0, np.cos(s), 0], [0, 0, 1]])
    zoom = np.diag([zx, zy, 1.0])
    middle_row, middle_column = shape[0] / 2 - 0.5, shape[1] / 2 - 0.5
    to_middle = np.array([[1, 0, middle_row], [0, 1, middle_column], [0, 0, 1]])
    back = np.array([[1, 0, -middle_row], [0, 1, -middle_column], [0, 0, 1]])
    m = to_middle @ (rotation @ shift @ shearing @ zoom) @ back
    m[:, [0, 1]] = m[:, [1, 0]]
    m[[0, 1]] = m[[1, 0]]
    return m[:2, :2], m[:2, 2]


def _brighten(x: Array, factor: float) -> Array:
    """Change the brightness as Pillow does; map an image outside 0 … 255 there and back."""
    from PIL import ImageEnhance

    low, high = x.min(), x.max()
    stretch = bool(low < 0 or high > 255)
    image = ImageEnhance.Brightness(array_to_img(x, scale=stretch)).enhance(factor)
    y = img_to_array(image, dtype=x.dtype)
    return y / 255 * (high - low) + low if stretch else y
