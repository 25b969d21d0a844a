"""Writes files and folders whole or not at all."""

import errno
import glob
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LONGEST = 255  # bytes of a file's name, on all systems of today


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces `path` on success and else is removed.

    So a full disk, an interrupt or an error while writing leaves the old file as it was. The new
    file has the old one's permissions: who could not read or write that one cannot do so now.
    Raises `FileNotFoundError` if the folder does not exist, `ValueError` for an invalid path, and
    an `OSError` of the same kind and `errno` that names `path` if the system does not allow
    writing it.
    """
    path = check_place(path)
    prefix = _hidden(path)
    # Not by `tempfile`, which makes files for the owner alone. What others may do is in the
    # process's umask, which can only be read by changing it: files that other threads make
    # meanwhile would be open to everyone. The name comes first, so that an interrupt at any moment
    # leaves no file.
    temporary = path.with_name(f"{prefix}{secrets.token_urlsafe(6)}")
    try:
        temporary.touch(exist_ok=False)
        if path.exists() and path.stat().st_mode != temporary.stat().st_mode:
            shutil.copymode(path, temporary)  # not all file systems can; those have one mode
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        # Only an error about this file: not about a connection or a file that its data come from.
        about = "" if error.filename is None else Path(os.fsdecode(error.filename)).name
        if cannot_write(error) and (not about or about.startswith(prefix)):
            raise _about(path, error) from error
        raise
    finally:
        with suppress(OSError):  # it is not there, which the system may call "read-only", too
            temporary.unlink()


def _hidden(path: Path) -> str:
    """Return how the names of the files begin that `replacing` makes beside this path."""
    most = _LONGEST - len("..12345678")
    return f".{path.name.encode(errors='surrogateescape')[:most].decode(errors='ignore')}."


def remove_left(path: Path, seconds: float = 0) -> None:
    """Remove what killed processes left of files for this path, if untouched for some seconds."""
    for left in path.parent.glob(f"{glob.escape(_hidden(path))}????????"):
        with suppress(OSError):  # another process may remove it, too
            if time.time() - left.lstat().st_mtime >= seconds:
                left.unlink()


def check_place(path: str | os.PathLike[str]) -> Path:
    """Return where `replacing` would write the file for `path`: if that is a link, where it leads.

    Raises, before any long work, the errors of `replacing` for a path that cannot be a file's.
    """
    path = Path(path)
    if "\0" in str(path):
        raise ValueError(f"A path cannot hold the character '\\0'. Received {str(path)!r}.")
    if path.exists() and not path.is_file():
        kind = IsADirectoryError if path.is_dir() else OSError
        raise kind(f"{str(path)!r} is a folder or a device: no file can take its place.")
    if path.is_symlink():
        path = Path(os.path.realpath(path))  # the link stays; the file that it names is replaced
        if path.is_symlink():
            raise OSError(f"{str(path)!r} is a link that leads back to itself.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder {str(path.parent)!r} does not exist: make it first.")
    return path


def check_spares(path: Path, inputs: Iterable[str | os.PathLike[str] | None]) -> None:
    """Raise `ValueError` if a file at `path` would replace one of a command's inputs.

    If an input is a folder, `path` may not replace a file in it, other than a page. None stands for
    an input that was not given.
    """
    place = Path(os.path.realpath(path))
    for given in inputs:
        if given is None:
            continue
        source = Path(os.path.realpath(given))
        same = source == place or (place.exists() and source.exists() and place.samefile(source))
        page = place.suffix.lower() in (".html", ".htm")
        if same or (source.is_dir() and source in place.parents and place.exists() and not page):
            what = f"{'' if same else 'a file in '}{str(given)!r}"
            raise ValueError(
                f"The output {str(path)!r} would replace {what}, which the command reads: "
                "choose another name."
            )


def check_folder(folder: Path) -> None:
    """Raise `NotADirectoryError` if a file is where the folder, or one above it, should be."""
    # For a name that is too long `os.path.exists` returns False, and `mkdir` then says why.
    there = next((p for p in (folder, *folder.parents) if os.path.exists(p)), None)  # noqa: PTH110
    if there is not None and not there.is_dir():
        raise NotADirectoryError(
            f"{str(folder)!r} cannot be a folder: there is a file in its place, or above it."
        )


def make_folder(folder: Path) -> None:
    """Make the folder, and those above it, if they do not exist.

    Raises `NotADirectoryError` if a file is in the way, and an `OSError` that names the folder.
    """
    check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(f"{str(folder)!r} cannot be made: {error.strerror}.") from None


@contextmanager
def new_folder(target: Path, is_complete: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield an empty folder, which becomes `target` on success and else is removed.

    `target` does not exist, or is empty. If another process has made it meanwhile, such as a
    second notebook, its folder stays, provided that it is complete. Raises an `OSError` otherwise,
    and one that names `target` if the system does not allow making it.
    """
    target = Path(os.path.realpath(target))
    make_folder(target.parent)
    try:
        workshop = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise type(error)(f"{str(target)!r} cannot be made: {error.strerror}.") from None
    try:
        made = workshop / target.name
        made.mkdir()
        yield made
        try:
            with suppress(FileNotFoundError):
                target.rmdir()  # Windows doesn't replace a folder, not even an empty one
            made.replace(target)
        except OSError:
            if not is_complete(target):
                raise
    finally:
        shutil.rmtree(workshop)


_CANNOT_WRITE = {
    getattr(errno, name)
    for name in ("EACCES", "EDQUOT", "EFBIG", "EIO", "ENAMETOOLONG", "ENOSPC", "EPERM", "EROFS")
    if hasattr(errno, name)  # Windows lacks some
}


def cannot_write(error: BaseException) -> bool:
    """Return whether the error says that the system does not allow writing, as on a full disk."""
    return isinstance(error, OSError) and error.errno in _CANNOT_WRITE


def _about(path: Path, error: OSError) -> OSError:
    """Return the error as one sentence about `path`, of the same class and with its `errno`."""
    kept = " The old file is unchanged." if path.exists() else ""
    found = type(error)(f"{str(path)!r} cannot be written: {error.strerror}.{kept}")
    found.errno = error.errno
    return found
