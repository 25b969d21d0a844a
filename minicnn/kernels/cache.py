"""Compiled kernels on disk: one file each, used only if it is intact, trusted, and the right one.

Whatever goes wrong with a file (it is damaged, truncated or foreign; the disk is full or read-only)
costs one compilation and no more, and a good file replaces a bad one.

An entry is a pickle, and whoever writes a pickle can run code where it is read. So entries are read
and written only in a folder that belongs to the user (or to root) and that nobody else may write
to, and only from files of which the same is true. Where there is no such folder (see
`NUMBA_CACHE_DIR`), kernels are compiled in each process anew.
"""

import contextlib
import hashlib
import os
import pickle
import platform
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core import caching, compiler, config
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

_DIGEST = hashlib.sha256().digest_size


def trusted(status: os.stat_result) -> bool:
    """Whether a file or folder belongs to the user or root, and nobody else may write to it."""
    if not hasattr(os, "getuid"):
        return True  # Windows: folders under the user's own profile
    if status.st_uid not in (os.getuid(), 0):
        return False
    if status.st_mode & stat.S_IWOTH:
        return False
    return not status.st_mode & stat.S_IWGRP or _is_private(status.st_gid)


def _is_private(group: int) -> bool:
    """Whether a group is root's, or the user's own, which Linux makes for each: of one member."""
    import grp
    import pwd

    try:
        name = pwd.getpwuid(os.getuid()).pw_name
        found = grp.getgrgid(group)
    except KeyError:
        return group == 0
    return group == 0 or (found.gr_name == name and set(found.gr_mem) <= {name})


def _folders(file: Path) -> list[Path]:
    """Where kernels of this source file may lie: in the user's folder, else in numba's places."""
    place = f"minicnn-{hashlib.sha256(str(file.parent).encode()).hexdigest()[:12]}"
    chosen = getattr(config, "CACHE_DIR", "")
    if chosen:
        return [Path(chosen) / place]
    for_all = Path(AppDirs("numba", appauthor=False).user_cache_dir) / place
    beside = file.parent / "__pycache__"
    return [beside, for_all] if file.exists() else [for_all]  # a zip file has no folders


def _is_trusted(folder: Path, make: bool = False) -> bool:
    """Whether entries in this folder are the user's alone; not if there is no such folder."""
    try:
        if make:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o755, exist_ok=True)
        return trusted(folder.stat())
    except OSError:
        return False


class Cache(caching.NullCache):  # type: ignore[misc]
    """What numba asks for a kernel that was compiled before, and hands a new one to."""

    def __init__(self, function: Callable[..., Any], about: str) -> None:
        """`about`: all that a kernel depends on besides its signature, the machine and numba."""
        file = Path(function.__code__.co_filename).absolute()
        self._folders = _folders(file)
        self._name = f"{file.stem}.{function.__name__}"
        versions = numba.__version__, llvmlite.__version__, platform.python_implementation()
        self._about = "\n".join((self._name, about, *versions, str(sys.version_info[:2])))

    @property
    def cache_path(self) -> str | None:
        """The folder that new kernels go to, if there is one already."""
        return next((str(folder) for folder in self._folders if _is_trusted(folder)), None)

    def file_name(self, signature: Any, machine: Any) -> str:
        """How the file of the kernel for these types on this machine is called."""
        told = hashlib.sha256(self._key(signature, machine)).hexdigest()[:20]
        return f"{self._name}-{told}.nbc"

    def _key(self, signature: Any, machine: Any) -> bytes:
        return f"{self._about}\n{signature}\n{machine.magic_tuple()}".encode()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled kernel, or None: then numba compiles it."""
        target_context.refresh()
        machine = target_context.codegen()
        name, key = self.file_name(sig, machine), self._key(sig, machine)
        for path in (folder / name for folder in self._folders if _is_trusted(folder)):
            try:
                payload = pickle.loads(_read(path, key))
                return compiler.CompileResult._rebuild(target_context, *payload)
            except FileNotFoundError:
                continue
            except Exception:  # whatever is wrong with it
                _remove(path)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled kernel in the first folder that takes it; a warning if none does."""
        if data.library.has_dynamic_globals:
            return
        name, key = self.file_name(sig, data.codegen), self._key(sig, data.codegen)
        why: Exception | str = "no folder is the user's alone"
        for folder in self._folders:
            try:
                if _is_trusted(folder, make=True):
                    return _write(folder / name, key, dumps(data._reduce()))
            except Exception as error:  # no room, no right to, or what numba cannot keep
                why = error
        _warn_once(
            f"minicnn cannot keep its compiled kernels: {why}. Each process compiles them anew. "
            "NUMBA_CACHE_DIR names a folder for them."
        )


def _read(path: Path, key: bytes) -> bytes:
    """What `_write` wrote for this key. Raises an `OSError` or `ValueError` if it is not that."""
    if not stat.S_ISREG(path.lstat().st_mode):  # a link leads elsewhere, a pipe never ends
        raise ValueError(f"{path} is no regular file")
    with path.open("rb") as file:
        if not trusted(os.fstat(file.fileno())):
            raise ValueError(f"{path} is not the user's alone")
        found = file.read()
    digest, content = found[:_DIGEST], found[_DIGEST:]
    # Damaged machine code would not raise an error: it would run.
    if hashlib.sha256(key + content).digest() != digest:
        raise ValueError(f"{path} is damaged")
    return content


def _write(path: Path, key: bytes, content: bytes) -> None:
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


_warned = False


def _warn_once(message: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(message, RuntimeWarning, stacklevel=2)
