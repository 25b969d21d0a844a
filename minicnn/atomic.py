"""Files appear whole or not at all."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`; on success it takes `path`'s place, else it is removed.

    So a full disk, an interrupt or an error while writing leaves the old file as it was. Raises
    `FileNotFoundError` if the folder does not exist, `ValueError` for what is no path, and an
    `OSError` of the same kind and `errno` that names `path` if the system does not let it be
    written.
    """
    path = Path(path)
    if "\0" in str(path):
        raise ValueError(f"A path cannot hold the character '\\0'. Received {str(path)!r}.")
    if path.is_symlink():
        path = path.resolve()  # the link stays; the file that it names is replaced
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder {str(path.parent)!r} does not exist: make it first.")
    if path.exists() and not path.is_file():
        kind = IsADirectoryError if path.is_dir() else OSError
        raise kind(f"{str(path)!r} is a folder or a device: no file can take its place.")
    prefix = f".{path.name}."
    temporary = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix)
        temporary = Path(name)
        os.close(handle)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())  # mkstemp's files are for the owner alone
        temporary.replace(path)
    except OSError as error:
        # Not a broken connection, or another file, whose data should have come into this one.
        about = "" if error.filename is None else Path(os.fsdecode(error.filename)).name
        if error.errno in _CANNOT_WRITE and (not about or about.startswith(prefix)):
            raise _about(path, error) from error
        raise
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


_CANNOT_WRITE = {
    getattr(errno, name)
    for name in ("EACCES", "EDQUOT", "EFBIG", "EIO", "ENAMETOOLONG", "ENOSPC", "EPERM", "EROFS")
    if hasattr(errno, name)  # Windows lacks some
}


def _about(path: Path, error: OSError) -> OSError:
    """The error as one sentence about `path`, of the same class and with the same `errno`."""
    kept = " The old file is as it was." if path.exists() else ""
    found = type(error)(f"{str(path)!r} cannot be written: {error.strerror}.{kept}")
    found.errno = error.errno
    return found


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
