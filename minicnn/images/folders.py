"""Finds the photos in folders, and the class that each belongs to."""

import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from minicnn import shapes
from minicnn._support.terminal import printable
from minicnn.images.files import BadImageError, open_image

Item = TypeVar("Item")
Result = TypeVar("Result")

# The endings that Keras's `image_dataset_from_directory` reads, and those that this project's own
# commands read: all that either of Keras's readers reads, and other formats that phones and
# browsers make.
ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
PHOTO_ENDINGS = tuple(sorted((*ENDINGS, ".jfif", ".ppm", ".tif", ".tiff", ".webp")))

# The usual names of folders for the parts of a data set: no class is called so.
PARTS = frozenset(["train", "training", "validation", "valid", "val", "test", "testing"])

# Decoding releases the GIL, so threads share the work; more than a few would only take memory.
THREADS = max(1, min(os.cpu_count() or 1, 8))


def photo_threads() -> ThreadPoolExecutor:
    """Return threads that read photos; they end with the `with` that they are used in."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="minicnn-photos")


def shares(count: int) -> list[slice]:
    """Return slices of a few photos each, `count` photos in all.

    Handing out a slice takes a tenth of the time of a small photo.
    """
    step = max(1, min(count // (4 * THREADS), 8))
    return [slice(first, first + step) for first in range(0, count, step)]


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return `[function(item) for item in items]`, made by threads that end with the call."""
    listed = list(items)

    def made(part: slice) -> list[Result]:
        return [function(item) for item in listed[part]]

    with photo_threads() as threads:
        return [result for part in threads.map(made, shares(len(listed))) for result in part]


def check_directory(directory: Any, who: str) -> str:
    """Return `directory` as a string; raise `FileNotFoundError` or `NotADirectoryError`."""
    path = os.fspath(directory)
    if not Path(path).exists():
        raise FileNotFoundError(f"{who} expects a folder of photos. There is no {path!r}.")
    if not Path(path).is_dir():
        raise NotADirectoryError(f"{who} expects a folder of photos. {path!r} is a file.")
    return path


def class_folders(directory: str, hidden: bool = True) -> list[str]:
    """Return the names of the folders in `directory`, in alphabetical order: the classes."""
    with os.scandir(directory) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir())
    return [name for name in names if hidden or not name.startswith(".")]


class Listing(NamedTuple):
    """The photos in a folder and below it, and how many other things were passed over."""

    paths: list[str]
    passed_over: Counter[str]


def list_images(
    directory: str | Path, endings: Sequence[str], follow_links: bool = False
) -> Listing:
    """List the photos in `directory` and below it, folder by folder, each in order.

    Folders that cannot be opened, links to folders unless `follow_links` is set, and files with
    other endings are passed over and counted; files that systems leave behind (`.DS_Store`,
    `Thumbs.db`) are not counted. A link to a folder above it, which would never end, is not
    followed.
    """
    paths: list[str] = []
    others: Counter[str] = Counter()

    def cannot(error: OSError) -> None:
        others["folder that cannot be opened"] += 1

    walk = os.walk(directory, followlinks=follow_links, onerror=cannot)
    found = []
    for folder, inner, names in walk:
        found.append((folder, names))
        links = [name for name in inner if Path(folder, name).is_symlink()]
        here = os.path.realpath(folder) + os.sep if links else ""
        for name in links:
            round_and_round = here.startswith(os.path.realpath(Path(folder, name)) + os.sep)
            if follow_links and round_and_round:
                inner.remove(name)
            others["linked folder"] += not follow_links or round_and_round
    for folder, names in sorted(found):
        for name in sorted(names):
            if name.lower().endswith(tuple(endings)):
                paths.append(str(Path(folder, name)))
            elif not is_left_about(name):
                others[_kind(name)] += 1
    return Listing(paths, +others)


BESIDE = "(beside the class folders)"


def beside(directory: str) -> Counter[str]:
    """Count the photos that are in `directory` itself, where only folders are expected."""
    with os.scandir(directory) as entries:
        names = [entry.name for entry in entries if not entry.is_dir()]
    return Counter(_kind(name) for name in names if name.lower().endswith(PHOTO_ENDINGS))


def count_skipped(
    passed_over: Mapping[str, Counter[str]],
    paths: Sequence[str],
    class_of: Sequence[str],
    skipped: set[str],
) -> None:
    """Add unreadable photos to the counts of what was passed over in their folders."""
    for path, name in zip(paths, class_of):
        if path in skipped:
            passed_over[name]["unreadable photo"] += 1


def is_left_about(name: str) -> bool:
    """Return whether a file is one that systems, not users, leave in folders."""
    return name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini", "icon\r")


def _kind(name: str) -> str:
    ending = Path(name).suffix.lower()
    return ending if re.fullmatch(r"\.[a-z0-9]{1,8}", ending) else "other file"


def told(passed_over: Counter[str]) -> str:
    """Return counts as text, `5 .webp, 2 linked folders`, the most frequent first."""
    most = passed_over.most_common(5)
    parts = [f"{n} {kind}{'s' if n > 1 and kind[0] != '.' else ''}" for kind, n in most]
    more = passed_over.total() - sum(n for _, n in most)
    return ", ".join([*parts, *([f"{more} more"] if more else [])])


def instead_of_photos(passed_over: Mapping[str, Counter[str]]) -> str:
    """Return a sentence on what was passed over, for the error that there are no photos."""
    there = sum(passed_over.values(), Counter[str]())
    return f" Passed over: {told(there)}." if there else ""


def say_passed_over(used: Mapping[str, int], passed_over: Mapping[str, Counter[str]]) -> None:
    """Print a line for each class in whose folder something was passed over."""
    for name, others in passed_over.items():
        if others:
            say(f"  {name}: {used.get(name, 0)} used, passed over {told(others)}.")


def check_no_class_is_empty(
    used: Mapping[str, int], passed_over: Mapping[str, Counter[str]], on_empty_class: str, who: str
) -> None:
    """Warn of classes without a photo, or raise a `ValueError` with `on_empty_class="error"`.

    A network that never predicts such a class makes no mistake about it.
    """
    empty = [name for name, count in used.items() if not count]
    if not empty:
        return
    parts = []
    for name in empty[:10]:
        others = passed_over.get(name)
        parts.append(f"{name!r} (in its folder: {told(others) if others else 'nothing'})")
    more = f" and {len(empty) - 10} more" if len(empty) > 10 else ""
    sentence = f"{who} found no usable photo of the class {', '.join(parts)}{more}."
    if on_empty_class == "error":
        raise ValueError(sentence)
    warnings.warn(f"{sentence} It still counts as a class, as in Keras.", stacklevel=4)


def check_class_count(directory: str, classes: Sequence[str], who: str, binary: bool) -> None:
    """Raise a `ValueError` unless there are two classes or more, or just two with `binary`.

    Warn if the folders are named as the parts of a data set are: each has the classes in it.
    """
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
    if PARTS.issuperset(map(str.lower, classes)):
        warnings.warn(
            f"{who} takes the folders {', '.join(map(repr, classes))} for classes. If each has a "
            f"folder per class, name one of them: {str(Path(directory, classes[0]))!r}.",
            stacklevel=4,
        )


def drop_unreadable(paths: Sequence[str], on_bad_image: str, who: str) -> list[str]:
    """With "skip", return those of `paths` that cannot be read, and warn how many there are.

    With "error" nothing is read here: the first bad photo will raise an error that names it.
    """
    if shapes.choice(on_bad_image, ("error", "skip"), "on_bad_image", who) == "error":
        return []
    bad = [error for error in in_threads(_why_unreadable, paths) if error is not None]
    if bad:
        plural = "photo" if len(bad) == 1 else "photos"
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
    """Print at once, so that people can read it while the photos are read, not after."""
    print(printable(text, lines=True), file=sys.stdout, flush=True)
