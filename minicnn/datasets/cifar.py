"""Reads the archives of CIFAR, which are pickles, without unpickling anything.

A pickle is a program for a small machine with a stack, and this machine calls any function that it
is told to. `pickletools` only lists the program's instructions. Those of a batch of CIFAR push the
key `data`, then, among a few others, a string of all pixels, and the key `labels`, then the labels
one by one; so the numbers can be taken from the list.

Keras unpickles the same archive. CIFAR also comes as plain bytes, but in another archive, which
users of Keras's archive would have to download as well.
"""

import pickletools
import tarfile
import zlib
from typing import Any

import numpy as np

from minicnn._support.reading import read_regular
from minicnn.datasets import fetching

Array = np.ndarray

STORE = "https://www.cs.toronto.edu/~kriz"
PIXELS = 3 * 32 * 32
_LARGEST_ARCHIVE = 2**28  # bytes; CIFAR-10's has 170 million
_LARGEST_BATCH = 2**28  # CIFAR-100's for training has 155 million

_KEYS = {"batch_label", "coarse_labels", "data", "filenames", "fine_labels", "labels"}
_STRINGS = {"SHORT_BINSTRING", "BINSTRING", "STRING"}  # Python 2's strings of bytes
_NUMBERS = {"BININT1", "BININT2", "BININT", "INT"}


def batches(
    folder: str, archive: str, checksum: str, names: list[str], labels: str
) -> list[tuple[Array, Array]]:
    """Return the images and labels of these batches, as `read_batch` does.

    They come from Keras's cache: from the folder in which Keras has unpacked the archive, if it is
    there, or else from the archive, which is downloaded if it is missing.
    """
    inside = archive.replace("-python.tar.gz", "-batches-py" if "10-" in archive else "-python")
    unpacked = fetching.cache_folder() / folder / inside
    if all((unpacked / name).is_file() for name in names):
        found = {name: read_regular(unpacked / name, "data set", _LARGEST_BATCH) for name in names}
    else:
        path = fetching.cached(
            f"{folder}_archive", f"{STORE}/{archive}", checksum, _LARGEST_ARCHIVE
        )
        found = _members(path, inside, names)
    return [read_batch(found[name], labels, name) for name in names]


def _members(path: str, inside: str, names: list[str]) -> dict[str, bytes]:
    """Return the content of these files in a folder of a tar archive."""
    wanted = {f"{inside}/{name}": name for name in names}
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name in wanted else None
                if file is not None and member.size <= _LARGEST_BATCH:
                    found[wanted[member.name]] = file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise fetching.BadDataError(f"{path!r} is damaged: {error}.") from None
    missing = [name for name in names if name not in found]
    if missing:
        raise fetching.BadDataError(f"{path!r} should hold {inside}/{missing[0]}.")
    return found


def read_batch(content: bytes, labels: str, name: str) -> tuple[Array, Array]:
    """Return the images of a batch, uint8 (count, 32, 32, 3), and its labels, int64 (count, 1).

    `labels` is the key of the labels to return. Raises `BadDataError`, which calls the batch
    `name`, unless it consists of images with a label each.
    """
    key, pixels, by_columns = "", b"", False
    numbers: list[Any] = []
    try:
        for instruction, argument, _ in pickletools.genops(content):
            kind = instruction.name
            if kind in _STRINGS and argument in _KEYS:
                key = str(argument)
            elif kind in _STRINGS and key == "data" and len(str(argument)) > len(pixels):
                pixels = str(argument).encode("latin-1")
            elif key == "data" and kind == "NEWTRUE":
                by_columns = True
            elif key == labels and kind in _NUMBERS:
                numbers.append(argument)
        x = np.frombuffer(pixels, np.uint8)
        y = np.array(numbers, np.int64)
    except (ValueError, OverflowError, UnicodeError) as error:
        raise fetching.BadDataError(f"The batch {name!r} is damaged: {error}.") from None
    if not len(y) or x.size != len(y) * PIXELS:
        raise fetching.BadDataError(
            f"The batch {name!r} should hold images of {PIXELS} bytes with one label each. "
            f"It holds {x.size} bytes and {len(y)} labels."
        )
    x = x.reshape((len(y), PIXELS), order="F" if by_columns else "C")
    return x.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy(), y[:, None]
