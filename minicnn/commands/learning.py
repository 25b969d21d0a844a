"""Find photos from which a model can learn on a page."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.commands.photos import as_input, read_photo

_EXAMPLES = 40  # in a page, unless there are more classes


def photos_to_learn_from(model: Any, size: tuple[int, int], options: argparse.Namespace) -> Any:
    """Return (x, y) from the folder `--data`, or drawn clothes for a model of clothes; else None.

    The same photos come in the same order each time: mixed, so that each batch has several classes.
    """
    from minicnn.datasets import CLOTHING_CLASSES

    names = list(options.classes or model.metadata.get("class_names") or [])
    if options.data is not None:
        x, y = _of_folder(options.data, names, size, model, options)
    elif set(names) == set(CLOTHING_CLASSES) and model.input_shape[-1] == 3:
        x, y = _drawn(names, size, model, options)
    else:
        return None
    order = np.random.default_rng(0).permutation(len(x))
    return np.stack(x)[order], np.array(y)[order]


def _each(classes: int) -> int:
    return max(2, _EXAMPLES // classes)


def _of_folder(
    folder: Path, names: list[str], size: tuple[int, int], model: Any, options: argparse.Namespace
) -> tuple[list[np.ndarray], list[int]]:
    from minicnn.images.folders import PHOTO_ENDINGS, class_folders

    if not folder.is_dir():
        raise FileNotFoundError(f"--data: there is no folder {str(folder)!r}.")
    root = folder / "train" if (folder / "train").is_dir() else folder
    found = class_folders(str(root), hidden=False)
    strange = [name for name in found if names and name not in names]
    if strange or not found:
        says = f"a folder {strange[0]!r}" if strange else "no folders"
        raise ValueError(
            f"--data expects a folder for each class ({', '.join(names) or 'in sorted order'}). "
            f"{str(root)!r} has {says}."
        )
    x, y = [], []
    for number, name in enumerate(found):
        paths = sorted(p for p in (root / name).iterdir() if p.suffix.lower() in PHOTO_ENDINGS)
        for path in paths[: _each(len(found))]:
            x.append(read_photo(path, size, model, options))
            y.append(names.index(name) if names else number)
    if not x:
        raise ValueError(f"--data: there are no photos in the folders of {str(root)!r}.")
    return x, y


def _drawn(
    names: list[str], size: tuple[int, int], model: Any, options: argparse.Namespace
) -> tuple[list[np.ndarray], list[int]]:
    from minicnn.datasets import draw_clothing

    numbers = [k for k in range(len(names)) for _ in range(_each(len(names)))]
    drawn = [
        draw_clothing(names[k], np.random.default_rng([1, k, i]), size)
        for i, k in enumerate(numbers)
    ]
    return [as_input(np.asarray(image, np.float32), options) for image in drawn], numbers
