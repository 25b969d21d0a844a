"""Compiled kernels on disk: one file each, used only if it is intact, trusted, and the right one.

Whatever goes wrong with a file (it is damaged, truncated or foreign; the disk is full or read-only)
costs one compilation and no more, and a good file replaces a bad one. Each change of a kernel makes
a new file. Old files of other versions are removed, except in a folder that the user has named.

Machine code runs no matter who wrote it. So files are read and written only in a folder that
belongs to the user (or to root) and that no one else may write to, and only files that meet the
same conditions are read. If there is no such folder (`MINICNN_CACHE_DIR` can name one), each
process compiles its kernels anew.
"""

import contextlib
import functools
import glob
import hashlib
import os
import stat
import sys
import tempfile
import time
import warnings
from pathlib import Path

_DIGEST = hashlib.sha256().digest_size
_OLD = 90 * 24 * 3600  # seconds


def trusted(status: os.stat_result) -> bool:
    """Return whether a file or folder is the user's or root's, and no one else may write to it."""
    if not hasattr(os, "getuid"):
        return True  # Windows: folders under the user's own profile
    if status.st_uid not in (os.getuid(), 0):
        return False
    if status.st_mode & stat.S_IWOTH:
        return False
    return not status.st_mode & stat.S_IWGRP or _is_private(status.st_gid)


def _is_private(group: int) -> bool:
    """Return whether a group is root's, or the one-member group that Linux makes for each user."""
    import grp
    import pwd

    try:
        name = pwd.getpwuid(os.getuid()).pw_name
        found = grp.getgrgid(group)
    except KeyError:
        return group == 0
    return group == 0 or (found.gr_name == name and set(found.gr_mem) <= {name})


def _users_folder() -> Path:
    """Return the system's folder for files that programs can make again."""
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    if sys.platform == "darwin":
        return home / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")


def _chosen() -> str:
    """Return the folder that the user has named, or an empty text."""
    return os.environ.get("MINICNN_CACHE_DIR", "")


def folders() -> list[Path]:
    """Return the folders for kernels: the one that the user has named, or else two."""
    if _chosen():
        return [Path(os.path.expanduser(_chosen()))]  # noqa: PTH111 - without a home it stays
    program = Path(__file__).parent
    found = [program / "__pycache__"] if program.exists() else []  # a zip file has no folders
    with contextlib.suppress(RuntimeError):  # no home
        found.append(_users_folder() / "minicnn")
    return found


def _is_trusted(folder: Path) -> bool:
    """Return whether only the user can write in this folder; False without the folder."""
    try:
        return trusted(folder.stat())
    except OSError:
        return False


class Entry:
    """The place on disk of one compiled kernel."""

    def __init__(self, name: str, about: str) -> None:
        """Find the places; `about` is all that the machine code depends on besides the machine."""
        self.name, self.key = name, f"{about}\n{about_machine()}".encode()
        self.file_name = f"{name}-{hashlib.sha256(self.key).hexdigest()[:20]}.o"

    def read(self) -> bytes | None:
        """Return the machine code, or None if it has to be compiled."""
        for path in (folder / self.file_name for folder in folders() if _is_trusted(folder)):
            try:
                return _read(path, self.key)
            except FileNotFoundError:
                continue
            except Exception:  # whatever is wrong with it
                _remove(path)
        return None

    def write(self, code: bytes) -> None:
        """Keep the machine code in the first folder that takes it; warn if none does."""
        why: Exception | str = "others may write to every folder"
        for folder in folders():
            try:
                folder.parent.mkdir(parents=True, exist_ok=True)
                folder.mkdir(mode=0o755, exist_ok=True)
                if _is_trusted(folder):
                    write(folder / self.file_name, self.key, code)
                    if not _chosen():  # a folder of the user's own may serve other processors
                        _remove_old(folder, self.name)
                    return None
            except OSError as error:  # no room, no right to
                why = error
        if isinstance(why, FileExistsError):
            why = f"{why.filename!r} is not a folder"
        _warn_once(
            f"minicnn cannot keep its compiled kernels: {why}. Each process compiles them anew. "
            "MINICNN_CACHE_DIR names a folder for them."
        )


@functools.cache
def about_machine() -> str:
    """Return everything that machine code depends on besides its source."""
    import llvmlite

    from minicnn.compiler import machine

    # Where NumPy keeps what an array consists of depends on what each object begins with.
    layout = str(object.__basicsize__)
    return "\n".join((llvmlite.__version__, layout, *machine.processor()))


def _read(path: Path, key: bytes) -> bytes:
    """Return what `write` wrote for this key. Raises `OSError` or `ValueError` otherwise."""
    if not stat.S_ISREG(path.lstat().st_mode):  # a link leads elsewhere, a pipe never ends
        raise ValueError(f"{path} is not a regular file")
    with path.open("rb") as file:
        if not trusted(os.fstat(file.fileno())):
            raise ValueError(f"{path} can be written by others")
        found = file.read()
    digest, content = found[:_DIGEST], found[_DIGEST:]
    # Damaged machine code would not raise an error: it would run.
    if hashlib.sha256(key + content).digest() != digest:
        raise ValueError(f"{path} is damaged")
    return content


def write(path: Path, key: bytes, content: bytes) -> None:
    """Write the machine code with its digest, whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(key + content).digest() + content)
        temporary.chmod(0o644)
        temporary.replace(path)  # a link or a pipe of that name makes way, too
    except BaseException:
        temporary.unlink()
        raise


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # a folder of that name, or no right to: so it stays
        path.unlink()


def _remove_old(folder: Path, name: str) -> None:
    """Remove this kernel's files of other versions of minicnn or LLVM, if older than three months.

    If such a version is still in use, it compiles the kernel once more.
    """
    with contextlib.suppress(OSError):  # the folder may have gone
        for path in folder.glob(f"{glob.escape(name)}-{'[0-9a-f]' * 20}.o"):
            if time.time() - path.lstat().st_mtime > _OLD:
                _remove(path)


warned = False  # in this process


def _warn_once(message: str) -> None:
    global warned
    if not warned:
        warned = True
        warnings.warn(message, RuntimeWarning, stacklevel=2)
