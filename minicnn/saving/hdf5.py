"""Reads HDF5 files of unknown origin, through one class: `Group`; makes new ones in memory.

Nothing here follows a link, opens another file that this one names, or reads more than the file
holds. Keras stores every array in one piece and uncompressed, so only such arrays are read: data
that must be unpacked, assembled from pieces or filled in could have any size.
"""

import errno
import io
import mmap
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from minicnn._support import interrupts
from minicnn._support.reading import check_regular
from minicnn.saving.attributes import Attribute, Attributes
from minicnn.saving.limits import Budget, MismatchError, shortened

LARGEST = 32 * 2**30  # bytes; limits follow from a file's size, but a sparse file claims any size
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_OBJECT = 64  # about how many bytes Python needs for a name besides its characters


class Group:
    """A group of an open file. Each read is checked and counted before it takes memory."""

    def __init__(self, group: Any, file: "_File") -> None:
        self._group, self._file = group, file

    @property
    def source(self) -> str:
        """The file's name in messages."""
        return self._file.source

    def group(self, path: str) -> "Group | None":
        """Return the group at `path`, or None if there is none."""
        import h5py

        found = self._member(path)
        return Group(found, self._file) if isinstance(found, h5py.Group) else None

    def keys(self) -> list[str]:
        """Return the names of the members."""
        found: list[str] = []

        def add(name: bytes) -> None:
            self._file.budget.spend(len(name) + _OBJECT, "the names in a group")
            found.append(name.decode("utf-8"))

        # Counted one by one, because a damaged index can list the same members again and again.
        with interrupts.waiting():  # HDF5 makes another error of one that arrives in `add`
            self._group.id.links.iterate(add)
        return found

    def array(self, path: str, shape: tuple[int, ...], who: str) -> np.ndarray:
        """Return the numbers at `path`. Raises `MismatchError` if they have another shape."""
        import h5py

        name = shortened(f"{self._group.name}/{path}".lstrip("/"))
        where = f"{self.source} at {name}"
        dataset = self._member(path)
        if not isinstance(dataset, h5py.Dataset):
            raise ValueError(f"{where}: there is no array; {who} was expected.")
        if dataset.is_virtual or dataset.external:
            raise ValueError(f"{where} points into other files, which is refused.")
        if dataset.shape != shape:
            raise MismatchError(f"{who} has shape {shape}. {where} has {dataset.shape}.")
        if dataset.dtype.kind not in "fiu" or dataset.dtype.itemsize > 8:
            raise ValueError(f"{where} has dtype {shortened(dataset.dtype)}, not numbers.")
        if dataset.chunks is not None:
            raise ValueError(
                f"{where} is stored in pieces or compressed, which Keras never does: refused. "
                "h5repack -l CONTI -f NONE writes the file as Keras would."
            )
        if dataset.id.get_storage_size() < dataset.nbytes:
            raise ValueError(f"{where} has a shape but no values.")
        # The model will keep at least 4 bytes for each number.
        self._file.budget.spend(dataset.size * max(dataset.dtype.itemsize, 4), name)
        try:
            return np.asarray(dataset[()])
        except MemoryError:  # not the file's fault, which holds all of these bytes
            raise _no_memory(f"{where} has {dataset.nbytes:,} bytes") from None

    def shape(self, path: str) -> tuple[int, ...] | None:
        """Return the shape of the array at `path`, or None if there is none."""
        import h5py

        found = self._member(path)
        return found.shape if isinstance(found, h5py.Dataset) else None

    def has(self, attribute: str) -> bool:
        """Return whether there is an attribute of this name."""
        return attribute in self._attributes

    def names(self, attribute: str) -> list[str]:
        """Return a list of names from an attribute, or from `attribute0`, … if it is long."""
        if self.has(attribute):
            return self._texts(attribute)
        found: list[str] = []
        piece = 0
        while self.has(f"{attribute}{piece}"):
            found += self._texts(f"{attribute}{piece}")
            piece += 1
        if not piece:
            raise ValueError(
                f"{self.source} has no list {attribute!r}: it is not a file of weights."
            )
        return found

    def text(self, attribute: str) -> str | None:
        """Return an attribute that is one text, or None if it is missing."""
        if not self.has(attribute):
            return None
        found = self._texts(attribute)
        if len(found) != 1:
            raise ValueError(f"{self.source} has {len(found)} texts as {attribute!r}, not one.")
        return found[0]

    def _member(self, path: str) -> Any:
        """Return what is at `path`, or None if nothing is. Raises `ValueError` for links."""
        import h5py

        group = self._group
        for part in path.split("/"):
            if not isinstance(group, h5py.Group) or part not in group:
                return None
            if not isinstance(group.get(part, getlink=True), h5py.HardLink):
                raise ValueError(
                    f"{self.source} has a link at {shortened(repr(part))}, which is refused."
                )
            group = group[part]
        return group

    @cached_property
    def _attributes(self) -> dict[str, Attribute]:
        import h5py

        return self._file.attributes.of(h5py.h5o.get_info(self._group.id).addr)

    def _texts(self, name: str) -> list[str]:
        return self._file.attributes.texts(self._attributes[name], name)


class _File:
    """The parts that a file's groups share: its name, its attributes, and the reading budget."""

    def __init__(self, content: bytes | mmap.mmap, source: str, start: int) -> None:
        self.source = source
        # Twice the file's size, for numbers in half precision, and a little for small files.
        self.budget = Budget(2 * len(content) + 2**20, source)
        self.attributes = Attributes(content, self.budget.spend, start)


@contextmanager
def _content(file: Path | io.BytesIO) -> Iterator[bytes | mmap.mmap]:
    if isinstance(file, io.BytesIO):
        yield file.getvalue()
        return
    with file.open("rb") as raw, mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content


@contextmanager
def opened(file: Path | io.BytesIO, source: str) -> Iterator[Group]:
    """Open the HDF5 file at a path or in memory for reading.

    Errors of HDF5 about a damaged file, here or in the `with` block, become a `ValueError` that
    names the file. Raises a `MemoryError` that names it if there is not enough memory.
    """
    with interrupts.waiting():
        import h5py

    try:
        with h5py.File(file, "r") as handle, _content(file) as content:
            yield Group(handle, _File(content, source, handle.userblock_size))
    # h5py raises these for what it cannot read, and Python for a number that no file should hold.
    except (
        OSError,
        RuntimeError,
        LookupError,
        TypeError,
        AttributeError,
        ValueError,
        SystemError,
        OverflowError,
        MemoryError,
        struct.error,
    ) as error:
        if isinstance(error, ValueError) and source in str(error):
            raise  # our own error, which is already complete
        if isinstance(error, MemoryError) and str(error):
            raise  # ours or NumPy's, for the model's own weights; HDF5's has no message
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            raise _no_memory(f"{source} cannot be read") from None
        reason = shortened(error) or type(error).__name__
        raise ValueError(f"{source} is damaged, or not an HDF5 file: {reason}.") from error


def written(write: Callable[[Any], None], who: str) -> memoryview:
    """Return the HDF5 file that `write(file)` fills, made in memory, to be written in one go.

    HDF5 itself reports a full disk in many lines, and partly only when it closes the file. Raises a
    `MemoryError` that begins with `who` if there is not enough memory.
    """
    with interrupts.waiting():
        import h5py

    buffer = io.BytesIO()
    try:
        with h5py.File(buffer, "w") as file:
            write(file)
    except Exception as error:
        # h5py may then also fail to close the file.
        if isinstance(error, MemoryError) or isinstance(error.__context__, MemoryError):
            raise _no_memory(f"{who} cannot be saved") from None
        raise
    return buffer.getbuffer()


def _no_memory(what: str) -> MemoryError:
    return MemoryError(f"{what}: there is not enough memory.")


def is_hdf5(path: Path) -> bool:
    """Return whether the file has HDF5's signature at byte 0, 512, 1024, 2048 and so on."""
    size, start = path.stat().st_size, 0
    with path.open("rb") as file:
        while start + len(_SIGNATURE) <= size:
            file.seek(start)
            if file.read(len(_SIGNATURE)) == _SIGNATURE:
                return True
            start = max(512, 2 * start)
    return False


def existing(path: str | os.PathLike[str], what: str) -> Path:
    """Return `path` as a `Path`; raise `FileNotFoundError` if no file is there.

    Raises `NotRegularError` for a pipe or a device, `TooLargeError` for over `LARGEST` bytes.
    """
    found = Path(path)
    if found.is_dir():
        raise FileNotFoundError(
            f"No {what} at {str(found)!r}, which is a folder. TensorFlow's SavedModel is one; "
            'model.save("model.keras") writes a file.'
        )
    if not found.exists():
        raise FileNotFoundError(f"No {what} at {str(found)!r}.")
    return check_regular(found, what, LARGEST)
