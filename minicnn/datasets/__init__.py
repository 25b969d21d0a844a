"""Data sets: those that Keras downloads, and the sample of drawn clothes.

    (x_train, y_train), (x_test, y_test) = minicnn.datasets.mnist.load_data()

`fashion_mnist`, `cifar10` and `cifar100` work in the same way. The sample needs no network: it is a
folder tree like that of clothing-dataset-small.

DIR/train/dress/dress-0000.jpg, …    DIR/validation/…    DIR/test/…
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn._support.atomic import new_folder
from minicnn._support.progress import Bar
from minicnn._support.reading import read_regular
from minicnn.compat import hints
from minicnn.datasets import cifar10, cifar100, drawing, fashion_mnist, mnist
from minicnn.datasets.drawing import CLOTHING_CLASSES, draw_clothing
from minicnn.shapes import pair, positive_int

__all__ = [
    "CLOTHING_CLASSES",
    "SAMPLE_COUNTS",
    "cifar10",
    "cifar100",
    "draw_clothing",
    "fashion_mnist",
    "mnist",
    "write_clothing_sample",
]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)


SAMPLE_COUNTS: Mapping[str, int] = {"train": 100, "validation": 20, "test": 20}
_LARGEST_JSON = 2**20  # bytes; sample.json has about 200


def _check_counts(images_per_class: Any) -> dict[str, int]:
    who = "write_clothing_sample"
    if not isinstance(images_per_class, Mapping) or not images_per_class:
        raise TypeError(
            f"{who} expects images_per_class to be a mapping from split names to counts, such as "
            f"{dict(SAMPLE_COUNTS)}. Received {images_per_class!r}."
        )
    for name in images_per_class:
        plain = isinstance(name, str) and name.strip(". ") == name and name != ""
        if not plain or any(mark in name for mark in "/\\:\0"):
            raise ValueError(
                f"{who} expects the names in images_per_class to be plain folder names, without "
                f"separators. Received {name!r}."
            )
    return {
        name: positive_int(count, f"images_per_class[{name!r}]", who, minimum=0)
        for name, count in images_per_class.items()
    }


def _is_complete(directory: Path, parameters: dict[str, Any]) -> bool:
    """Return whether the folder holds exactly the sample that these parameters describe."""
    try:
        recorded = json.loads(read_regular(directory / "sample.json", "list", _LARGEST_JSON))
    except (OSError, ValueError):
        return False
    return recorded == parameters and all(
        (directory / _file_name(split, kind, index)).is_file()
        for split, count in parameters["images_per_class"].items()
        for kind in CLOTHING_CLASSES
        for index in range(count)
    )


def _file_name(split: str, kind: str, index: int) -> str:
    return f"{split}/{kind}/{kind}-{index:04d}.jpg"


def _write_image(
    root: Path, seed: int, size: tuple[int, int], split: str, kind: str, index: int
) -> None:
    """Draw one image from its own seed: it depends neither on other images nor on an order."""
    name = split.encode()
    key = [seed, len(name), *name, CLOTHING_CLASSES.index(kind), index]
    rng = np.random.default_rng(np.random.SeedSequence(key))
    image = draw_clothing(kind, rng, size)
    image.save(root / _file_name(split, kind, index), quality=int(rng.integers(75, 97)))


def write_clothing_sample(
    directory: str | os.PathLike[str],
    images_per_class: Mapping[str, int] = SAMPLE_COUNTS,
    size: int | tuple[int, int] = 160,
    seed: int = 0,
    progress: bool | None = None,
) -> Path:
    """Draw a data set, `directory/<split>/<class>/*.jpg`, and return `directory` as a `Path`.

    `images_per_class` says how many images each class gets in each split; `size` is the side in
    pixels or `(height, width)`. The same `seed` gives the same files; asking for more images leaves
    the first ones unchanged, and no image is in two splits. `progress` shows a bar: None shows one
    only on a terminal or in a notebook.

    An interrupt leaves no folder behind. A complete sample with the same parameters is reused; any
    other folder that is not empty raises a `FileExistsError`.
    """
    who = "write_clothing_sample"
    directory = Path(directory)
    counts = _check_counts(images_per_class)
    height, width = pair(size, "size", who, minimum=16)
    seed = positive_int(seed, "seed", who, minimum=0)
    parameters = {
        "drawing": drawing.VERSION,
        "images_per_class": counts,
        "size": [height, width],
        "seed": seed,
    }
    if directory.exists():
        if _is_complete(directory, parameters):
            return directory
        if not directory.is_dir() or any(directory.iterdir()):
            raise FileExistsError(
                f"{who} expects a new or empty folder, or the same sample from an earlier call. "
                f"Received {str(directory)!r}, which holds something else."
            )
    with new_folder(directory, lambda made: _is_complete(made, parameters)) as tree:
        _draw_tree(tree, counts, (height, width), seed, progress)
        (tree / "sample.json").write_text(json.dumps(parameters, indent=2) + "\n", "utf-8")
    return directory


def _draw_tree(
    tree: Path, counts: dict[str, int], size: tuple[int, int], seed: int, progress: bool | None
) -> None:
    tasks = [
        (split, kind, index)
        for split, count in counts.items()
        for kind in CLOTHING_CLASSES
        for index in range(count)
    ]
    for split in counts:
        for kind in CLOTHING_CLASSES:
            (tree / split / kind).mkdir(parents=True)
    # One image after the other: threads were measured to gain nothing, because drawing an image
    # takes many short calls that hold Python's lock.
    bar = Bar(stderr=True, transient=False, show=progress)
    with bar.open("Drawing clothes", len(tasks)):
        for task in tasks:
            _write_image(tree, seed, size, *task)
            bar.advance()
