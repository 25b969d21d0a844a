"""One image: from a file to an array and back, as Keras and TensorFlow read it.

Keras has two ways from a photo to pixels, and they differ:

- `load_img` decodes and resizes with Pillow; the default is `"nearest"`, one source pixel for each
  new one. `ImageDataGenerator.flow_from_directory` reads photos like this.
- `image_dataset_from_directory` resizes with TensorFlow, bilinear between the four neighbours of
  each new pixel's centre and without smoothing. `load_photo` reads photos like this.

A network works best on what it was trained on, so read new photos the way the training photos were
read. Both ways ignore a camera's EXIF rotation.
"""

import io
import os
import warnings
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import config, kernels, shapes
from minicnn._support.atomic import replacing
from minicnn._support.reading import NotRegularError, TooLargeError, read_regular
from minicnn.images import pixels

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray
PathLike = str | os.PathLike[str]

# A header may claim an image that no memory holds, and a small one may precede gigabytes of data.
# Photos of today's cameras stay below both limits.
MAX_PIXELS = 100_000_000
MAX_BYTES = 256 * 2**20

COLOR_MODES = {"grayscale": 1, "rgb": 3, "rgba": 4}  # with their numbers of channels
_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}  # Pillow's names for them
# How a model file says that its photos were read; all but "bilinear" are `load_img` with this
# interpolation of Pillow's.
READINGS = {"bilinear": None, "nearest": "nearest", "antialias": "bilinear"}
PILLOW_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


class BadImageError(ValueError):
    """A file that should be an image but cannot be read as one; the message names it."""


# ---------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------


def open_image(path: PathLike | bytes | io.BytesIO) -> "Image":
    """Return the decoded image in the mode of its file.

    Raises `FileNotFoundError` for a path that does not exist, `IsADirectoryError` for a folder,
    `TypeError` for anything but a path, and `BadImageError` for a file that is not an image, is
    damaged, cut off or no regular file (a pipe or a device may have no end), or is larger than
    `MAX_BYTES` or `MAX_PIXELS` (which is found out before it is read or takes memory).
    """
    if isinstance(path, io.BytesIO):
        return _opened(path, "what was received")
    return _opened(io.BytesIO(_contents(path)), repr(os.fsdecode(path)))


def _contents(path: PathLike | bytes) -> bytes:
    """Return the bytes of a photo's file."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"path should be path-like or io.BytesIO. Received {type(path).__name__}.")
    try:
        return read_regular(path, "photo", MAX_BYTES)
    except (NotRegularError, TooLargeError) as error:
        raise BadImageError(str(error)) from None


def _opened(data: io.BytesIO, name: str) -> "Image":
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # checked below
            image = Image.open(data, formats=formats())
        if image.width * image.height > MAX_PIXELS:
            raise BadImageError(
                f"{name} is too large: {image.width}x{image.height} pixels; "
                f"at most {MAX_PIXELS:,} pixels are read."
            )
        image.load()
        if image.im.size != image.size:  # a header that its plugin never compares with the pixels
            raise BadImageError(
                f"{name} is damaged: its header claims {image.width}x{image.height} pixels, but it "
                f"has {image.im.size[0]}x{image.im.size[1]}."
            )
    except Image.DecompressionBombError:
        raise BadImageError(
            f"{name} is too large: its header claims more than {MAX_PIXELS:,} pixels."
        ) from None
    except Image.UnidentifiedImageError:
        raise BadImageError(f"{name} is not an image that can be read.") from None
    except BadImageError:
        raise
    except MemoryError:  # not the photo's fault, so it is not skipped
        raise MemoryError(f"{name}: there is not enough memory for its pixels.") from None
    except Exception as error:  # Pillow's decoders raise all kinds of errors
        raise BadImageError(f"{name} is damaged: {error or type(error).__name__}.") from None
    return _with_plain_colours(image, name)


@cache
def formats() -> list[str]:
    """Return Pillow's formats except PostScript, which is a program that may never end, and IPTC.

    In an IPTC file is another image, which Pillow opens in any format, so PostScript, too.
    Pillow tries one after the other, so those of most photos come first.
    """
    from PIL import Image

    Image.init()
    first, never = ["JPEG", "PNG"], ["EPS", "IPTC"]
    return first + [name for name in Image.ID if name not in first + never]


def _with_plain_colours(image: "Image", name: str) -> "Image":
    """Return the image in a mode that Pillow converts to gray, RGB and RGBA.

    Of the modes in files, only CIE L*a*b* needs this: Pillow converts it only to RGB, and some
    builds of Pillow not even to that.
    """
    if image.mode != "LAB":
        return image
    try:
        return image.convert("RGB")
    except (ValueError, ImportError) as error:
        raise BadImageError(
            f"{name} has {image.mode} colours, which cannot be converted to RGB: {error}."
        ) from None


def load_img(
    path: PathLike | bytes | io.BytesIO,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> "Image":
    """Return a photo as a Pillow image, like `keras.utils.load_img`.

    `target_size` is (height, width); `keep_aspect_ratio` cuts out the middle of the photo first.
    `color_mode` "grayscale" leaves 16 and 32 bit gray images as they are; "rgb" drops an
    alpha channel. Raises what `open_image` raises, and `ValueError` for unknown modes.
    """
    from PIL import Image

    color_mode = shapes.choice(color_mode, COLOR_MODES, "color_mode", "load_img")
    interpolation = shapes.choice(interpolation, PILLOW_INTERPOLATIONS, "interpolation", "load_img")
    if target_size is not None:
        target_size = shapes.pair(target_size, "target_size", "load_img")
    image = open_image(path)
    mode = _MODES[color_mode]
    if image.mode != mode and not (mode == "L" and image.mode in ("I", "I;16")):
        image = image.convert(mode)
    if target_size is None or image.size == target_size[::-1]:
        return image
    box = None
    if keep_aspect_ratio:
        box = _middle(image.width, image.height, target_size[1], target_size[0])
    return image.resize(target_size[::-1], Image.Resampling[interpolation.upper()], box=box)


def _middle(width: int, height: int, to_width: int, to_height: int) -> tuple[int, int, int, int]:
    """Return the largest centred box (left, top, right, bottom) in the target's proportions."""
    crop_height = max(min(height, (width * to_height) // to_width), 1)
    crop_width = max(min(width, (height * to_width) // to_height), 1)
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    return left, top, left + crop_width, top + crop_height


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> Array:
    """Return a Pillow image as a float array, like `keras.utils.img_to_array`.

    Its shape is (height, width, channels). Raises `ValueError` unless `img` has 2 or 3 axes.
    """
    shapes.check_data_format(data_format, "img_to_array")
    x = np.asarray(img, dtype=config.floatx() if dtype is None else dtype)
    if x.ndim not in (2, 3):
        raise ValueError(f"img_to_array expects an image with 2 or 3 axes. Received {x.shape}.")
    return x[:, :, None] if x.ndim == 2 else x


def array_to_img(
    x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None
) -> "Image":
    """Return an array (height, width, 1, 3 or 4) as a Pillow image, like Keras's function.

    `scale` stretches the values to 0 … 255, whatever their range; without it they must be there.
    Raises `ValueError` for another rank or number of channels, and for values that are not finite.
    """
    from PIL import Image

    shapes.check_data_format(data_format, "array_to_img")
    x = np.asarray(x, dtype=config.floatx() if dtype is None else dtype)
    if x.ndim != 3 or x.shape[2] not in (1, 3, 4) or x.size == 0:
        raise ValueError(
            "array_to_img expects an array (height, width, channels) with 1, 3 or 4 channels. "
            f"Received x.shape={x.shape}."
        )
    if not np.isfinite(x).all():
        raise ValueError("array_to_img expects finite values. Received NaN or infinity.")
    if scale:
        x = x - x.min()
        if x.max() != 0:
            x /= x.max()
        x *= 255
    if x.shape[2] == 1 and x.max() > 255:
        return Image.fromarray(x[:, :, 0].astype("int32"))
    # Through int32, because a float outside 0 … 255 has no defined value as uint8.
    pixels = x.astype("int32").astype("uint8")
    return Image.fromarray(pixels[:, :, 0] if x.shape[2] == 1 else pixels)


def save_img(
    path: Any,
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an array as an image file, like `keras.utils.save_img`; `kwargs` go to Pillow.

    `path` is a path or an open binary file. JPEG has no alpha: it is dropped, with a warning. A
    file is written whole or not at all. Raises `ValueError` for a format that Pillow cannot write.
    """
    from PIL import Image

    image = array_to_img(x, data_format=data_format, scale=scale)
    is_path = isinstance(path, (str, os.PathLike))
    if file_format is None and is_path:
        file_format = Path(path).suffix[1:]
    file_format = {"jpg": "jpeg"}.get((file_format or "").lower(), (file_format or "").lower())
    Image.init()
    if file_format.upper() not in Image.SAVE and f".{file_format}" not in Image.EXTENSION:
        raise ValueError(
            f'save_img expects a format such as "png" or "jpeg". Received {file_format!r}.'
        )
    file_format = Image.EXTENSION.get(f".{file_format}", file_format.upper())
    if image.mode == "RGBA" and file_format == "JPEG":
        warnings.warn("JPEG has no alpha channel: it is dropped.", stacklevel=2)
        image = image.convert("RGB")
    if not is_path:
        image.save(path, format=file_format, **kwargs)
        return
    buffer = io.BytesIO()  # Pillow itself reports a full disk as an "encoder error"
    image.save(buffer, format=file_format, **kwargs)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


# ---------------------------------------------------------------------------------------------
# As TensorFlow reads and resizes
# ---------------------------------------------------------------------------------------------


def load_photo(
    path: PathLike | bytes | io.BytesIO,
    image_size: tuple[int, int],
    interpolation: str = "bilinear",
    color_mode: str = "rgb",
    fit: str = "stretch",
    out: Array | None = None,
) -> Array:
    """Return a photo as a float32 array (height, width, channels) with values from 0 to 255.

    The array is exactly what `image_dataset_from_directory` makes of the photo, so a model sees a
    new photo as it saw the training photos. `fit` is "stretch", "crop" (the middle, in the target's
    proportions) or "pad" (black borders). The pixels go to `out` if it is given. Raises what
    `open_image` raises.
    """
    x = _decoded(path, color_mode, image_size)
    height, width = image_size
    if out is None:
        out = np.empty((height, width, COLOR_MODES[color_mode]), np.float32)
    if fit == "crop":
        left, top, right, bottom = _middle(x.shape[1], x.shape[0], width, height)
        x = x[top:bottom, left:right]
    elif fit == "pad":
        # In float32 and rounded down, like `tf.image.resize_with_pad`.
        old, new = np.array(x.shape[:2], np.float32), np.array(image_size, np.float32)
        exact = old / (old / new).max()
        inner = max(int(exact[0]), 1), max(int(exact[1]), 1)
        top, left = ((new - exact) / 2).astype(int)
        part = np.empty((*inner, out.shape[2]), np.float32)
        out[...] = 0
        out[top : top + inner[0], left : left + inner[1]] = resize(x, inner, interpolation, part)
        return out
    return resize(x, image_size, interpolation, out)


def read_photo(
    path: PathLike | bytes | io.BytesIO,
    image_size: tuple[int, int],
    reading: str = "bilinear",
    color_mode: str = "rgb",
) -> Array:
    """Return a photo's pixels as a model's training read them: float32, from 0 to 255.

    `reading` "bilinear" is `load_photo`; "nearest" and "antialias" are `load_img` with Pillow's
    nearest and bilinear interpolation. Pillow's bilinear interpolation computes a pixel from all
    pixels that it covers (antialiasing), in whole numbers from 0 to 255, so every machine gets the
    same bits.
    """
    interpolation = READINGS[shapes.choice(reading, READINGS, "reading", "read_photo")]
    if interpolation is None:
        return load_photo(path, image_size, color_mode=color_mode)
    image = load_img(path, color_mode, image_size, interpolation)
    return img_to_array(image, dtype="float32")


def decode_photo(path: PathLike | bytes | io.BytesIO, color_mode: str = "rgb") -> Array:
    """Return a photo's pixels as uint8 (height, width, channels), like `tf.io.decode_image`.

    Only JPEG differs, by a few of 255 levels: TensorFlow decodes it with a faster, rougher inverse
    cosine transform. Palettes become colours; an alpha channel is dropped for "rgb" and
    "grayscale"; of 16 bits, the upper 8 remain; of an animation, the first frame.
    """
    return _decoded(path, color_mode)[:, :, : COLOR_MODES[color_mode]]


def _decoded(
    path: PathLike | bytes | io.BytesIO, color_mode: str, plain_size: tuple[int, int] | None = None
) -> Array:
    """Return a photo's pixels; in "rgb", they may have a fourth byte without a meaning.

    A photo of the `plain_size` has none: NumPy converts it to float32 the fastest.
    """
    if color_mode == "rgb" and not isinstance(path, io.BytesIO):
        content = _contents(path)
        found = pixels.of_jpeg(content, MAX_PIXELS, plain_size)
        if found is not None:
            return found
        image = _opened(io.BytesIO(content), repr(os.fsdecode(path)))
    else:
        image = open_image(path)
    if image.mode in ("I", "I;16", "I;16B", "I;16L"):
        gray = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        gray = gray[:, :, None]
        if color_mode == "grayscale":
            return gray
        opaque = [np.full_like(gray, 255)] if color_mode == "rgba" else []
        return np.concatenate([gray, gray, gray, *opaque], axis=2)
    mode = _MODES[color_mode]
    if image.mode == "P" and mode == "L":
        image = image.convert("RGB")
    if image.mode != mode:
        image = image.convert(mode)
    if mode != "L" and image.size != (plain_size or (0, 0))[::-1]:
        return pixels.in_place(image)
    found = np.asarray(image)
    return found[:, :, None] if found.ndim == 2 else found


RESIZE_INTERPOLATIONS = ("bilinear", "nearest")


def resize(
    x: Array, size: tuple[int, int], interpolation: str = "bilinear", out: Array | None = None
) -> Array:
    """Resize `x` (height, width, channels) to another size, in float32, like `tf.image.resize`.

    A new pixel's centre is at (i + 1/2) · old / new - 1/2 of the old image ("half pixel centres");
    "bilinear" weights the four pixels around it, "nearest" takes the one it is in. An image is not
    smoothed before it is made smaller: fine patterns may flicker (aliasing). The pixels go to `out`
    if it is given; if it has fewer channels than x, it takes the first ones.
    """
    y = np.empty((*size, x.shape[2]), np.float32) if out is None else out
    if interpolation == "nearest" and x.shape[:2] != tuple(size):
        rows, columns = (_nearest(n, old) for n, old in zip(size, x.shape[:2]))
        x = x[rows][:, columns]
    in_vectors = x.dtype == np.uint8 and x.shape[2] == 4
    if x.shape[:2] == tuple(size) and not in_vectors:
        y[...] = x[:, :, : y.shape[2]]
        return y
    x = np.ascontiguousarray(x, None if x.dtype == np.uint8 else np.float32)
    compute = kernels.warp.resize_pixels if in_vectors else kernels.warp.resize
    compute(x, *_between(size[0], x.shape[0]), *_between(size[1], x.shape[1]), y)
    return y


def _centres(new: int, old: int) -> Array:
    scale = np.float32(old) / np.float32(new)
    return (np.arange(new, dtype=np.float32) + np.float32(0.5)) * scale


def _nearest(new: int, old: int) -> Array:
    return np.minimum(np.floor(_centres(new, old)).astype(np.intp), old - 1)


@lru_cache(64)
def _between(new: int, old: int) -> tuple[Array, Array, Array]:
    """Return for each new pixel the two old ones around it, and how far it is to the second."""
    position = _centres(new, old) - np.float32(0.5)
    floor = np.floor(position)
    before = np.maximum(floor, 0).astype(np.intp)
    after = np.minimum(np.ceil(position), old - 1).astype(np.intp)
    return before, after, position - floor
