"""HDF5 files from strangers: what is read of them, and how much.

A model file may come from anywhere. So nothing here follows a link out of the file, opens another
file that it names, or reads more than the model at hand has room for.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

_LARGEST_LIST = 100_000  # names in one attribute; Xception has 132 layers
_LARGEST_TEXT = 64 * 2**20  # bytes of one attribute


@contextmanager
def opened(file: str | os.PathLike[str] | Any, source: str) -> Iterator[Any]:
    """The `h5py.File` at a path or in a binary stream, for reading.

    What HDF5 says about a damaged file, here or on the way, becomes a `ValueError` that names it.
    """
    import h5py

    try:
        with h5py.File(file, "r") as handle:
            yield handle
    # h5py raises these and no others for what it cannot read; ValueErrors of ours pass through.
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError, UnicodeError) as error:
        raise ValueError(f"{source} is damaged, or no HDF5 file: {error}.") from error


def member(group: Any, path: str, source: str) -> Any:
    """The group or data set at `path`, None if it is missing; links that lead away are refused."""
    import h5py

    for part in path.split("/"):
        if not isinstance(group, h5py.Group) or part not in group:
            return None
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{source} has a link at {part!r}, which is refused.")
        group = group[part]
    return group


def read_array(group: Any, path: str, shape: tuple[int, ...], source: str, who: str) -> np.ndarray:
    """The array at `path`, of floating-point numbers and of exactly this shape.

    The shape is compared before anything is read: a file cannot ask for more memory than the model
    has already.
    """
    where = f"{source} at {f'{group.name}/{path}'.lstrip('/')}"
    dataset = member(group, path, source)
    if dataset is None or not hasattr(dataset, "dtype"):
        raise ValueError(f"{where}: there is no array, {who} was expected.")
    if dataset.is_virtual or dataset.external:
        raise ValueError(f"{where} points into other files, which is refused.")
    if dataset.shape != shape:
        raise ValueError(f"{who} has shape {shape}. {where} has {dataset.shape}.")
    if dataset.dtype.kind not in "fiu" or dataset.dtype.itemsize > 8:
        raise ValueError(f"{where} has dtype {dataset.dtype}, not numbers.")
    if dataset.chunks is None:
        if dataset.id.get_storage_size() < dataset.nbytes:
            raise ValueError(f"{where} has a shape but no values.")
    elif np.prod(dataset.chunks, dtype=float) > 2 * dataset.size + 1024:
        raise ValueError(f"{where} is stored in pieces of {dataset.chunks}, larger than itself.")
    return np.asarray(dataset[()])


def names(group: Any, attribute: str, source: str) -> list[str]:
    """A list of names in an attribute, or in `attribute0`, `attribute1`, … if it was too long."""
    if attribute in group.attrs:
        pieces = [attribute]
    else:
        pieces = []
        while f"{attribute}{len(pieces)}" in group.attrs:
            pieces.append(f"{attribute}{len(pieces)}")
        if not pieces:
            raise ValueError(f"{source} has no list {attribute!r}: it is not a file of weights.")
    found: list[str] = []
    for piece in pieces:
        values = _attribute(group, piece, source)
        found += [_text(value) for value in np.atleast_1d(values)]
    return found


def text(group: Any, attribute: str, source: str) -> str | None:
    """An attribute that is one text, None if it is missing."""
    if attribute not in group.attrs:
        return None
    return _text(_attribute(group, attribute, source))


def _attribute(group: Any, name: str, source: str) -> Any:
    kind = group.attrs.get_id(name)
    if np.prod(kind.shape, dtype=float) > _LARGEST_LIST or kind.dtype.itemsize > _LARGEST_TEXT:
        raise ValueError(f"{source} has an attribute {name!r} of shape {kind.shape}: refused.")
    return group.attrs[name]


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def existing(path: str | os.PathLike[str], what: str) -> Path:
    """`path` as a `Path`; `FileNotFoundError` if no file is there."""
    found = Path(path)
    if not found.is_file():
        raise FileNotFoundError(f"No {what} at {str(found)!r}.")
    return found
