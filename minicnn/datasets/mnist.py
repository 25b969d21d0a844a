"""MNIST: 70,000 handwritten digits, gray, 28x28 pixels (LeCun, Cortes and Burges)."""

import zipfile
from typing import TYPE_CHECKING

import numpy as np

from minicnn._support.reading import open_regular
from minicnn.compat import hints
from minicnn.datasets import fetching

__all__ = ["load_data"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)

CHECKSUM = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
_LARGEST = 2**26  # bytes; the file has 11 million, its arrays 55 million


def load_data(path: str = "mnist.npz") -> fetching.DataSet:
    """Return `(x_train, y_train), (x_test, y_test)`, as `keras.datasets.mnist.load_data` does.

    x is uint8 (60000, 28, 28) and (10000, 28, 28), from 0 (paper) to 255 (ink); y is uint8
    (60000,) and (10000,), the digits. The file, 11 MB, is downloaded once, into Keras's cache
    under the name `path`. Raises `ConnectionError` without a network at the first use.
    """
    found = fetching.cached(path, f"{fetching.STORE}/mnist.npz", CHECKSUM, _LARGEST)
    names = ("x_train", "y_train", "x_test", "y_test")
    try:
        with open_regular(found, "data set", _LARGEST) as file, zipfile.ZipFile(file) as archive:
            for name in names:
                if archive.getinfo(f"{name}.npy").file_size > _LARGEST:
                    raise fetching.BadDataError(f"{found!r} is not MNIST: {name} is too large.")
            file.seek(0)
            arrays = np.load(file, allow_pickle=False)
            x_train, y_train, x_test, y_test = (arrays[name] for name in names)
    except fetching.BadDataError:
        raise
    except Exception as error:  # reading a damaged archive may raise anything
        raise fetching.BadDataError(f"{found!r} is damaged: {error}.") from None
    fetching.check_images(x_train, y_train, f"{found!r}, train,")
    fetching.check_images(x_test, y_test, f"{found!r}, test,")
    return (x_train, y_train), (x_test, y_test)
