"""Downloads the standard data sets into Keras's cache, where Keras finds them, too."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from minicnn._support.download import get_file, keras_home
from minicnn._support.reading import open_regular

Array = np.ndarray
DataSet = tuple[tuple[Array, Array], tuple[Array, Array]]  # (x_train, y_train), (x_test, y_test)

STORE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"


class BadDataError(ValueError):
    """A file of a data set that does not hold what it should; the message names it."""


def cached(name: str, origin: str, file_hash: str | None, largest: int, folder: str = "") -> str:
    """Return the path of a file in Keras's cache of data sets, downloaded if it is missing."""
    subdir = f"datasets/{folder}" if folder else "datasets"
    return get_file(name, origin, file_hash, cache_subdir=subdir, largest=largest)


def cache_folder() -> Path:
    """Return the folder in which Keras keeps its data sets."""
    return keras_home().expanduser() / "datasets"


def check_images(x: Array, y: Array, name: str) -> None:
    """Raise a `BadDataError` unless x is uint8 (n, 28, 28) and y uint8 (n,)."""
    shapes = y.ndim == 1 and x.shape == (len(y), 28, 28)
    if not shapes or not x.dtype == y.dtype == np.uint8:
        raise BadDataError(
            f"{name} should hold images, uint8 (n, 28, 28), with a label each, uint8 (n,). "
            f"It holds {x.dtype} {x.shape} and {y.dtype} {y.shape}."
        )


def unpacked(path: str, largest: int) -> bytes:
    """Return what a gzip file holds. Raises `BadDataError` if it is damaged or holds more."""
    try:
        with open_regular(path, "data set", largest) as packed, gzip.open(packed) as file:
            content = file.read(largest + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadDataError(f"{path!r} is damaged: {error}. Delete it and try again.") from None
    if len(content) > largest:
        raise BadDataError(f"{path!r} holds more than the {largest:,} bytes of this data set.")
    return content


def idx(path: str, largest: int, ndim: int) -> Array:
    """Return the array in a gzip file of MNIST's format, IDX: uint8 in `ndim` axes.

    It starts with two zeros, the type (8 means uint8), the number of axes, and the length of each
    axis in four bytes, big-endian.
    """
    content = unpacked(path, largest)
    start = 4 + 4 * ndim
    if len(content) < start or content[:4] != bytes([0, 0, 8, ndim]):
        raise BadDataError(f"{path!r} is not an IDX file of uint8 in {ndim} axes.")
    shape = tuple(int(n) for n in np.frombuffer(content[4:start], ">u4"))
    if int(np.prod(shape, dtype=object)) != len(content) - start:
        raise BadDataError(
            f"{path!r} should hold the shape {shape}. It holds {len(content) - start} bytes."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()
