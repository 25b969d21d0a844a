"""Decides which photo belongs to which split, if folders do not: by a list, or by a division.

A list is CSV with the columns split, class, path; a path is relative to the list's folder, and may
contain bytes that are not UTF-8. A list without splits, or class folders without train/ and
validation/, is divided here, by a hash of each photo's name: a photo stays in its split when others
are added, so no later run trains on an earlier run's test photos.
"""

import csv
import hashlib
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from minicnn._support.atomic import replacing
from minicnn._support.reading import read_regular

Array = np.ndarray
Rows = dict[str, list[tuple[str, str]]]  # the class and the path of each photo, by split

COLUMNS = ["split", "class", "path"]
_CALLED = {"split": ("split",), "class": ("class", "label"), "path": ("path", "file", "filename")}
NO_SPLIT = ""
SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}
_LARGEST = 2**28  # bytes


def write(path: Path, rows: Mapping[str, Sequence[tuple[str, str]]]) -> None:
    """Write a list of photos, completely or not at all."""
    write_csv(
        path,
        COLUMNS,
        (
            (split, label, os.path.relpath(photo, path.parent))
            for split, photos in rows.items()
            for label, photo in photos
        ),
    )


def write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table that may name files, whatever bytes their names consist of."""
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        table = csv.writer(file)
        table.writerow(head)
        table.writerows(rows)


# Text that a spreadsheet takes for a formula, which may run commands; but no number or range.
_FORMULA = re.compile(r"'*(?:[=@\t\r]|[-+](?![\d.]+(?:e[-+]?\d+)?(?: to [-+]?[\d.]+)?\Z))")


def write_table(path: Path, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table for people: an apostrophe before each cell that a spreadsheet would compute."""
    write_csv(path, _in_table(head), map(_in_table, rows))


def _in_table(cells: Sequence[str]) -> list[str]:
    return [f"'{cell}" if _FORMULA.match(cell) else cell for cell in cells]


def from_table(cell: str) -> str:
    """Return the text of a cell that `write_table` has written."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def read(path: Path, splits: Sequence[str]) -> Rows:
    """Read a list of photos: the class and the path of each, by split.

    Columns may be in any order, others may be beside them, and class may be called label; without a
    column named split, all photos are under `NO_SPLIT`.

    Raises `ValueError` for a file that is not such a list, or names a photo twice.
    """
    try:
        # Excel starts a file with a mark, which "utf-8-sig" removes.
        text = read_regular(path, "list of photos", _LARGEST).decode("utf-8-sig", "surrogateescape")
        # A name may contain any character at which Python would split lines: csv knows better.
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(f"{str(path)!r} is not a list of photos: {error}.") from None
    places = _places(path, rows[0]) if rows else {}
    if not {"class", "path"} <= places.keys():
        first = ",".join(rows[0])[:200] if rows else ""
        raise ValueError(
            f"{str(path)!r} is not a list of photos: its first line should be {','.join(COLUMNS)}, "
            f"or name the columns path and label. Received {first!r}."
        )
    found: Rows = {}
    seen: set[str] = set()
    for number, row in enumerate(rows[1:], start=2):
        whole = len(row) == len(rows[0])
        split, label, photo = (
            row[places[name]] if whole and name in places else NO_SPLIT for name in COLUMNS
        )
        if not label or not photo or ("split" in places and split not in splits):
            wanted = f"one of {', '.join(splits)}, a class" if "split" in places else "a class"
            raise ValueError(
                f"{str(path)!r}, line {number}, should name {wanted} and a path. "
                f"Received {','.join(row)!r}."
            )
        if photo in seen:
            raise ValueError(f"{str(path)!r}, line {number}: {photo!r} is there twice.")
        seen.add(photo)
        found.setdefault(split, []).append((label, str(path.parent / photo)))
    return found


def _places(path: Path, head: Sequence[str]) -> dict[str, int]:
    """Return the column of each of `COLUMNS` that the head names; `ValueError` if two do."""
    found = {}
    for name, called in _CALLED.items():
        columns = [i for i, cell in enumerate(head) if cell.strip().lower() in called]
        if len(columns) > 1:
            cells = " and ".join(head[i].strip() for i in columns)
            raise ValueError(
                f"{str(path)!r} should have one column for the {name} of a photo. Received {cells}."
            )
        if columns:
            found[name] = columns[0]
    return found


def divided_by_name(names: Sequence[str], labels: Array) -> dict[str, list[int]]:
    """Divide photos among the splits by a hash of their names: the indices of each split, in order.

    A hash is a number from 0 to 1, and a photo is in test below 0.15, in validation below 0.3, else
    in train (`SHARES`). So adding or deleting photos moves no other photo, and a split's share of a
    small class is not exact. The surprise: a split without photos of a class takes the class's
    photo with the nearest hash, until a photo is added that belongs there.
    """
    places = np.array([_place(name) for name in names])
    upwards = list(reversed(SHARES))
    found: dict[str, list[int]] = {name: [] for name in SHARES}
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rows = rows[np.argsort(places[rows], kind="stable")]
        start, share = 0, 0.0
        for number, split in enumerate(upwards[:-1], start=1):
            share += SHARES[split]
            end = int(np.searchsorted(places[rows], share))
            end = min(max(end, start + 1), len(rows) - len(upwards) + number)  # one for each split
            found[split] += rows[start:end].tolist()
            start = end
        found[upwards[-1]] += rows[start:].tolist()
    return {split: sorted(rows) for split, rows in found.items()}


def _place(name: str) -> float:
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def divided(labels: Array, shares: Mapping[str, float], seed: int = 0) -> dict[str, list[int]]:
    """Divide photos at random, each class in these shares: the indices of each split, in order.

    Each split gets at least one photo of each class; the first split takes the remainder.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, list[int]] = {name: [] for name in shares}
    first, *others = shares
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label)).tolist()
        count = len(rows)
        for name in others:
            size = max(1, round(shares[name] * count))
            found[name] += rows[:size]
            del rows[:size]
        found[first] += rows
    return {name: sorted(rows) for name, rows in found.items()}


def folds(labels: Array, count: int, seed: int = 0) -> list[Array]:
    """Divide photos into `count` folds with equal shares of each class; the indices of each."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(labels), np.intp)
    start = 0
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        # Go on where the last class ended, so that the folds have equally many photos.
        fold[rows] = (start + np.arange(len(rows))) % count
        start += len(rows)
    return [np.flatnonzero(fold == number) for number in range(count)]
