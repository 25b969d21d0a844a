"""How `demo`, `train` and `transfer` read class folders and train."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minicnn._support.arguments import local_path, path_to_write, positive, seed
from minicnn._support.terminal import say


def add_data_options(
    command: argparse.ArgumentParser, output: Path, image_size: int, epochs: int
) -> None:
    """Add the options that `train` and `transfer` have in common."""
    add = command.add_argument
    add("--data", type=local_path, required=True, metavar="DIR", help="the folder of photos")
    add("--output", type=path_to_write, default=output, metavar="DIR", help=f"default: {output}")
    add(
        "--image-size",
        type=positive,
        default=image_size,
        metavar="PX",
        help=f"height and width in pixels; default: {image_size}",
    )
    add("--epochs", type=positive, default=epochs, metavar="N", help=f"default: {epochs}")
    add("--batch-size", type=positive, default=32, metavar="N", help="default: 32")
    add(
        "--augment",
        action="store_true",
        help="flip, shift and zoom the training photos at random, anew in each epoch",
    )
    add(
        "--validation-split",
        type=float,
        default=None,
        metavar="SHARE",
        help="hold out this share of the photos for validation, if there is no validation folder",
    )
    add(
        "--skip-bad-images",
        action="store_true",
        help="leave out damaged photos and count them, instead of stopping at the first",
    )
    add("--seed", type=seed(), default=0, metavar="N", help="default: 0")


def class_folders(options: argparse.Namespace, keep: bool = True) -> tuple[Any, Any, Any]:
    """Read the training, validation and test photos; test is None if it has no folder.

    With `keep` the photos are decoded once and kept in memory.
    """
    data: Path = options.data
    if not data.is_dir():
        raise FileNotFoundError(f"--data: there is no folder {str(data)!r}.")
    common: dict[str, Any] = {
        "size": options.image_size,
        "batch_size": options.batch_size,
        "seed": options.seed,
        "skip_bad": options.skip_bad_images,
        "keep": keep,
    }
    if (data / "train").is_dir() and options.validation_split is None:
        if not (data / "validation").is_dir():
            raise ValueError(
                f"{str(data)!r} has a train folder but no validation folder: add one, or pass "
                "--validation-split 0.2."
            )
        train = photos_in(data / "train", shuffle=True, **common)
        validation = photos_in(data / "validation", **common)
    else:
        folder = data / "train" if (data / "train").is_dir() else data
        share = 0.2 if options.validation_split is None else options.validation_split
        train = photos_in(folder, shuffle=True, split=(share, "training"), **common)
        validation = photos_in(folder, split=(share, "validation"), **common)
    test = photos_in(data / "test", **common) if (data / "test").is_dir() else None
    for name, other in (("validation", validation), ("test", test)):
        if other is not None and other.class_names != train.class_names:
            raise ValueError(
                f"The class folders of train and {name} differ: {train.class_names} and "
                f"{other.class_names}."
            )
    return train, validation, test


def photos_in(
    folder: Path,
    size: int,
    batch_size: int,
    seed: int,
    shuffle: bool = False,
    split: tuple[float, str] | None = None,
    skip_bad: bool = False,
    keep: bool = True,
) -> Any:
    """Read the photos of a folder in batches."""
    from minicnn.images import image_dataset_from_directory
    from minicnn.images.folders import PHOTO_ENDINGS

    photos = image_dataset_from_directory(
        folder,
        label_mode="categorical",
        image_size=(size, size),
        batch_size=batch_size,
        shuffle=shuffle or split is not None,
        seed=seed,
        validation_split=split[0] if split else None,
        subset=split[1] if split else None,
        on_bad_image="skip" if skip_bad else "error",
        on_empty_class="error",
        formats=PHOTO_ENDINGS,
    )
    return photos.cache() if keep else photos


def fit(
    model: Any,
    train: Any,
    validation: Any,
    options: argparse.Namespace,
    output: Path,
    learning_rate: float,
) -> dict[str, list[float]]:
    """Train the model; write the best epoch's model, the history and the curves into `output`."""
    from minicnn.applications import transfer

    model.summary()
    transfer.compile_for(model, learning_rate)
    history = fit_keeping_best(
        model, train, validation, options, output / "model.keras", output / "history.csv"
    )
    say(f"\nWrote {output / 'model.keras'} and {output / 'history.csv'}", end="")
    draw(lambda plots: plots.curves(history), output / "curves.png")
    return history


def fit_keeping_best(
    model: Any,
    train: Any,
    validation: Any,
    options: argparse.Namespace,
    path: Path,
    log: Path | None,
) -> dict[str, list[float]]:
    """Fit the model; write the best epoch's model to `path` and the history as CSV to `log`."""
    from minicnn import callbacks

    model.metadata = {
        "class_names": list(train.class_names),
        "image_size": list(model.input_shape[1:3]),
        "interpolation": "bilinear",
    }
    if getattr(options, "augment", False):
        train = train.map(_Augmentation(options.seed))
    best = callbacks.ModelCheckpoint(path, monitor="val_accuracy", save_best_only=True)
    try:
        history = model.fit(
            train,
            validation_data=validation,
            epochs=options.epochs,
            callbacks=[best] if log is None else [best, callbacks.CSVLogger(log)],
            verbose=1 if sys.stdout.isatty() else 2,
        ).history
    except KeyboardInterrupt:
        if best.best is not None:
            say(f"\nThe best model so far ({best.best:.3f}) is in {path}.")
        raise
    return dict(history)


def draw(figure: Callable[[Any], Any], path: Path) -> None:
    """Save a figure if matplotlib is installed, and end the line that says what was written."""
    try:
        from minicnn import plots

        say(f" and {plots.save(figure(plots), path)}.")
    except ImportError as error:
        say(f". No {path.name}: {error}")


class _Augmentation:
    """Random flips, shifts by up to a tenth and zooms by up to a fifth, from one seeded source."""

    def __init__(self, seed: int) -> None:
        from minicnn.images import ImageDataGenerator

        self._rng = np.random.default_rng(seed)
        self._generator = ImageDataGenerator(
            horizontal_flip=True, width_shift_range=0.1, height_shift_range=0.1, zoom_range=0.2
        )

    def __call__(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seeds = self._rng.integers(2**31, size=len(x))
        changed = [
            self._generator.random_transform(image, seed=int(seed)) for image, seed in zip(x, seeds)
        ]
        return np.stack(changed).astype(x.dtype), y
