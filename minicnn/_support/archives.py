"""Reads NumPy's archives; the errors that Python raises for a damaged zip archive, or for none."""

import os
import zipfile
import zlib

import numpy as np

from minicnn._support.reading import open_regular

DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    KeyError,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,  # an encrypted member, or (NotImplementedError) one of another kind or version
)


def read_arrays(path: str | os.PathLike[str], what: str) -> dict[str, np.ndarray]:
    """Return the arrays in an `.npz` file by name; nothing is unpickled.

    `what` names the kind of file in messages. Raises `ValueError` for anything but such a file,
    whatever is wrong with it, and if there is not enough memory for its arrays.
    """
    try:
        with open_regular(path, what) as file, np.load(file, allow_pickle=False) as held:
            return {name: held[name] for name in held.files}
    except Exception as error:  # of any kind: NumPy parses a header like a program
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(reason) from error
