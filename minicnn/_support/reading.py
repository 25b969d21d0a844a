"""Reads only regular files of a limited size; anything else is refused in one sentence.

A pipe or a device may have the name of a photo. Opening a pipe waits for a writer, which may never
come; a device may have no end; and a file of a few blocks may claim any size. So these functions
check what a path leads to, through all links, before they open it, and once more when it is open.
"""

import io
import os
import stat
from pathlib import Path

PathLike = str | bytes | os.PathLike[str]

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# With these flags, opening does not wait if a pipe has taken the file's place since the check. For
# a regular file they change nothing; Windows has no such flag, and no such pipes among its files.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class NotRegularError(OSError):
    """A path that leads to a pipe, a socket or a device."""


class TooLargeError(ValueError):
    """A file with more bytes than may be read of its kind."""


def check_regular(path: PathLike, what: str, largest: int | None = None) -> Path:
    """Return `path` as a `Path` if it leads to a regular file of at most `largest` bytes.

    `what` names the kind of file in messages: "photo", "model file". Raises `FileNotFoundError`,
    `IsADirectoryError`, `NotRegularError`, `TooLargeError`, and `OSError` for a path that the
    system does not allow us to look at.
    """
    text = os.fsdecode(path)
    _check(_stat(text, what), text, what, largest)
    return Path(text)


def open_regular(path: PathLike, what: str, largest: int | None = None) -> io.BufferedReader:
    """Open the regular file at `path` to read bytes. Raises what `check_regular` raises."""
    text = os.fsdecode(path)
    _check(_stat(text, what), text, what, largest)
    handle = os.open(text, _FLAGS)
    try:
        _check(os.fstat(handle), text, what, largest)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: PathLike, what: str, largest: int) -> bytes:
    """Return all bytes of the regular file at `path`, at most `largest`.

    Raises what `check_regular` raises, and a `MemoryError` that names the file.
    """
    with open_regular(path, what, largest) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            return file.read(size)
        except MemoryError:
            raise MemoryError(
                f"{os.fsdecode(path)!r} has {size:,} bytes: there is not enough memory for it."
            ) from None


def _stat(path: str, what: str) -> os.stat_result:
    try:
        return Path(path).stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        link = " It is a link to nothing." if Path(path).is_symlink() else ""
        raise _about(error, f"There is no {what} {path!r}.{link}") from error
    except ValueError as error:  # the path contains a NUL
        raise FileNotFoundError(f"There is no {what} {path!r}.") from error
    except OSError as error:
        raise _about(error, f"{path!r} cannot be read: {error.strerror}.") from error


def _check(found: os.stat_result, path: str, what: str, largest: int | None) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(f"{path!r} is a folder: a {what} is expected.")
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "not a regular file")
        raise NotRegularError(f"{path!r} is {kind}: a {what} is read from a regular file only.")
    if largest is not None and found.st_size > largest:
        raise TooLargeError(
            f"{path!r} has {found.st_size:,} bytes, more than the {largest:,} that a {what} "
            "may have."
        )


def _about(error: OSError, sentence: str) -> OSError:
    made = type(error)(sentence)
    made.errno = error.errno
    return made
