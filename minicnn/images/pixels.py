"""Reads a photo's pixels as an array, four bytes each, without a copy.

- **Where Pillow keeps them.** Pillow has four bytes for a pixel of RGB, the last without a meaning,
and gives access to the memory by Arrow's C interface (`__arrow_c_array__`): a struct with the
addresses of its parts. Copying the pixels would take a sixth of the time of decoding.
- **From simplejpeg**, if it is installed. It calls the same library as Pillow, libjpeg-turbo, and
decodes a JPEG to the same pixels in two thirds of the time.
"""

import ctypes
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray


class _Struct(ctypes.Structure):
    """Arrow's `struct ArrowArray`, with the fields that are used here."""


_Struct._fields_ = [
    *((name, ctypes.c_int64) for name in ("length", "nulls", "offset", "n_buffers", "n_children")),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_Struct))),
]
_inside = ctypes.pythonapi.PyCapsule_GetPointer
_inside.restype, _inside.argtypes = ctypes.POINTER(_Struct), [ctypes.py_object, ctypes.c_char_p]


class _Lent:
    """Memory that Pillow owns: NumPy keeps this object alive, and this object the memory."""

    def __init__(self, capsule: Any, address: int, shape: tuple[int, ...]) -> None:
        self._capsule = capsule
        self.__array_interface__ = {
            "version": 3,
            "shape": shape,
            "typestr": "|u1",
            "data": (address, True),  # to be read only
        }


def in_place(image: "Image") -> Array:
    """Return the pixels of an RGB or RGBA image, uint8 (height, width, 4), read-only.

    Raises `ValueError` for an image whose size is not that of its pixels: some of Pillow's plugins
    believe a header and never look at what they have decoded.
    """
    shape = image.height, image.width, 4
    try:
        _, capsule = image.__arrow_c_array__()
    except ValueError:  # a large image lies in several pieces
        return np.frombuffer(image.tobytes("raw", _BYTES[image.mode]), np.uint8).reshape(shape)
    pixels = _inside(capsule, b"arrow_array").contents.children[0].contents
    if pixels.length != image.height * image.width * 4:
        raise ValueError(
            f"in_place expects {image.width}x{image.height} pixels of four bytes, as the image's "
            f"size says. Received {pixels.length} bytes."
        )
    return np.asarray(_Lent(capsule, pixels.buffers[1], shape))


_BYTES = {"RGB": "RGBX", "RGBA": "RGBA"}


def of_jpeg(content: bytes, most: int, plain_size: tuple[int, int] | None = None) -> Array | None:
    """Return the pixels of a colour JPEG, uint8 (height, width, 4); None if Pillow is to decode it.

    Pillow decodes if simplejpeg is missing, for files with more than `most` pixels or unusual
    colours, for files that are not JPEG, and for damaged files, so that the error is Pillow's. A
    photo of the `plain_size` has three bytes for each pixel.
    """
    library = fast_decoder()
    if library is None or not content.startswith(b"\xff\xd8\xff"):
        return None
    try:
        height, width, colours, _ = library.decode_jpeg_header(content)
        if colours != "YCbCr" or height * width > most:
            return None
        order = "RGB" if (height, width) == plain_size else "RGBX"
        pixels: Array = library.decode_jpeg(content, order)
    except (ValueError, RuntimeError):
        return None
    return pixels


@cache
def fast_decoder() -> Any:
    """Return the module simplejpeg; None if it is not installed."""
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg
