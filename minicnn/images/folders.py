"""Folders of photos: which files there are, and which class each belongs to."""

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from minicnn import shapes
from minicnn.images.files import BadImageError, open_image
from minicnn.terminal import printable

Item = TypeVar("Item")
Result = TypeVar("Result")

# Decoding releases the GIL, so threads share the work; more than a few only take memory.
THREADS = max(1, min(os.cpu_count() or 1, 8))


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`[function(item) for item in items]`, several at a time; no thread outlives the call."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="minicnn-photos") as threads:
        return list(threads.map(function, items))


def check_directory(directory: Any, who: str) -> str:
    """`directory` as a string; raises `FileNotFoundError` or `NotADirectoryError`."""
    path = os.fspath(directory)
    if not Path(path).exists():
        raise FileNotFoundError(f"{who} expects a folder of photos. There is no {path!r}.")
    if not Path(path).is_dir():
        raise NotADirectoryError(f"{who} expects a folder of photos. {path!r} is a file.")
    return path


def class_folders(directory: str, hidden: bool = True) -> list[str]:
    """The names of the folders in `directory`, in alphabetical order: the classes."""
    with os.scandir(directory) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir())
    return [name for name in names if hidden or not name.startswith(".")]


def list_images(
    directory: str | Path, endings: Sequence[str], follow_links: bool = False
) -> list[str]:
    """Paths of the pictures in `directory` and below, folder by folder, each in order."""
    walk = sorted(os.walk(directory, followlinks=follow_links), key=lambda found: found[0])
    return [
        str(Path(folder, name))
        for folder, _, names in walk
        for name in sorted(names)
        if name.lower().endswith(tuple(endings))
    ]


def check_class_count(directory: str, classes: Sequence[str], who: str, binary: bool) -> None:
    """Raise a `ValueError` unless there are classes to tell apart."""
    if binary and len(classes) != 2:
        raise ValueError(
            f"{who} expects exactly 2 class folders in {directory!r} for binary labels. "
            f"Received {list(classes)}."
        )
    if len(classes) < 2:
        found = f"only {classes[0]!r}" if classes else "none"
        raise ValueError(
            f"{who} expects one folder per class, at least 2, in {directory!r}. Found {found}."
        )


def drop_unreadable(paths: Sequence[str], on_bad_image: str, who: str) -> list[str]:
    """With "skip": those of `paths` that cannot be read, with a warning that counts them.

    With "error" nothing is read here: the first bad picture ends the reading, by name.
    """
    if shapes.choice(on_bad_image, ("error", "skip"), "on_bad_image", who) == "error":
        return []
    bad = [error for error in in_threads(_why_unreadable, paths) if error is not None]
    if bad:
        plural = "picture" if len(bad) == 1 else "pictures"
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        warnings.warn(
            f"Skipped {len(bad)} bad {plural} of {len(paths)}: {bad[0][1]}{more}", stacklevel=3
        )
    return [path for path, _ in bad]


def _why_unreadable(path: str) -> tuple[str, str] | None:
    try:
        open_image(path)
    except (BadImageError, OSError) as error:
        return path, str(error)
    return None


def say(text: str) -> None:
    """Print at once, so that it is read while the photos are, not after."""
    print(printable(text, lines=True), file=sys.stdout, flush=True)
