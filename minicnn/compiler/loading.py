"""Gets a function's machine code: from this process, from the disk, or from the compiler."""

import functools
import hashlib
import importlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import compilation
from minicnn._support import forks, interrupts
from minicnn.compiler import cache

if TYPE_CHECKING:
    from minicnn.compiler.language import Module


def full_name(python: Callable[..., Any]) -> str:
    """Return a name that no other function of any file has."""
    return f"{python.__module__}.{python.__qualname__}"


def short_name(python: Callable[..., Any]) -> str:
    """Return the name for messages and files."""
    return f"{python.__module__.rpartition('.')[2]}.{python.__name__}"


def entry(python: Callable[..., Any]) -> int:
    """Return the address of the machine code of a function of whole numbers, which Python calls."""

    def write(module: "Module") -> None:
        from minicnn.compiler import translate

        translate.entry_function(module, python)

    return loaded(full_name(python), short_name(python), python, write)


building = threading.RLock()  # held during forks: a child could not go on building
forks.wait_for(sys.modules[__name__], "building", seconds=60)
known: dict[str, int] = {}  # addresses of what is loaded


def loaded(
    symbol: str,
    name: str,
    python: Callable[..., Any],
    write: Callable[["Module"], None],
    vectorize: bool = False,
) -> int:
    """Return the address of a function in machine code: loaded already, from the disk, or new."""
    with interrupts.waiting(), building:
        if symbol in known:
            return known[symbol]
        from minicnn.compiler import machine

        entry = cache.Entry(name, f"{symbol}\n{digest(python.__code__.co_filename)}")
        code = entry.read()
        if code is None:
            compilation.begins(name)
            try:
                code = _compiled(symbol, write, vectorize)
            finally:
                compilation.ends()
            entry.write(code)
        required, _, body = code.partition(b"\n")
        for other in required.decode().split():
            _load_separate(other)
        known[symbol] = machine.load(body, symbol)
        return known[symbol]


def _compiled(symbol: str, write: Callable[["Module"], None], vectorize: bool) -> bytes:
    """Return object code, behind a line with the symbols of the functions that it calls."""
    from minicnn.compiler import machine
    from minicnn.compiler.language import Module

    module = Module(symbol)
    write(module)
    code = machine.machine_code(str(module.ir), vectorize)
    return " ".join(module.required).encode() + b"\n" + code


def _load_separate(symbol: str) -> None:
    module_name, name, element = symbol.split(":")
    function = getattr(importlib.import_module(module_name), name)

    def write(module: "Module") -> None:
        from minicnn.compiler import translate, values

        translate.separate_function(module, function, values.BY_DTYPE[np.dtype(element)])

    loaded(symbol, f"{module_name.rpartition('.')[2]}.{name}", function.write, write)


def digest(file: str) -> str:
    """Return the digest of all files that the kernels of this file depend on."""
    return _digest_of(_common_files() | {Path(file)})


@functools.cache
def _common_files() -> frozenset[Path]:
    """Return the files that all kernels depend on."""
    here = Path(__file__).parent
    files = frozenset((*here.glob("*.py"), *(here.parent / "kernels").glob("*.py")))
    return files - {here / "cache.py"}  # which only keeps them


@functools.cache
def _digest_of(files: frozenset[Path]) -> str:
    # In a zip file there are no files: then it is digested whole.
    kept = {next(p for p in (path, *path.parents) if p.exists()) for path in files}
    found = [path.read_bytes() for path in sorted(kept) if path.is_file()]
    return hashlib.sha256(b"".join(found)).hexdigest()
