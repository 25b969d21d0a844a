"""The command line: `minicnn demo`, `train`, `transfer`, `predict`, `explain`, `check`, `lessons`.

Each command ends with exit code 0, or with one sentence on stderr and exit code 2 (130 after an
interrupt, 141 where nobody reads on). `minicnn COMMAND --help` explains the options.
"""

import argparse
import importlib.util
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import terminal
from minicnn.atomic import check_folder, check_place, make_folder, replacing
from minicnn.terminal import install_extra, printable, quoted, say

DEFAULT_FILTERS = (32, 64, 128, 128)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""

    def parsed() -> int:
        options = _parser().parse_args(arguments)
        return terminal.run(
            f"minicnn {options.command}",
            lambda: options.run(options),
            lambda error: _sentence(error, options),
        )

    return terminal.run("minicnn", parsed)


def _sentence(error: BaseException, options: argparse.Namespace) -> str | None:
    """What to say of an error; None of one that is a defect."""
    if not isinstance(error, terminal.EXPECTED):
        return None
    from minicnn.images import BadImageError

    said = terminal.sentence_of(error)
    if isinstance(error, BadImageError) and hasattr(options, "skip_bad_images"):
        said += " With --skip-bad-images it is left out."
    return said


# ---------------------------------------------------------------------------------------------
# Options
# ---------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    this = terminal.this_program()
    parser = argparse.ArgumentParser(
        prog="minicnn",
        description="A CNN engine in NumPy and numba that you can look into.",
        epilog=f"Start with: {this} demo",
        formatter_class=formatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo",
        help="draw a sample data set and train a small CNN on it, in under a minute",
        description=(
            "Draws ten kinds of clothing (no network needed), trains a small CNN on them, prints\n"
            "the network, the history and the test accuracy, and writes into --output:\n"
            "  clothes/      the pictures, train/, validation/ and test/ with a folder per class\n"
            "  model.keras   the trained model; Keras opens it too\n"
            "  history.csv   loss and accuracy, epoch by epoch\n"
            "  curves.png    the same as a picture, where there is matplotlib"
        ),
        formatter_class=formatter,
    )
    demo.add_argument("--output", type=Path, default=Path("minicnn-demo"), metavar="DIR")
    demo.add_argument("--epochs", type=_positive, default=12, metavar="N")
    demo.add_argument("--seed", type=_seed, default=0, metavar="N", help="default: 0")
    demo.set_defaults(run=_demo)

    train = commands.add_parser(
        "train",
        help="train a CNN on a folder of photos",
        description=(
            "Trains a CNN from scratch on photos in class folders:\n"
            "  DIR/train/CLASS/*.jpg   DIR/validation/CLASS/*.jpg   [DIR/test/CLASS/*.jpg]\n"
            "or DIR/CLASS/*.jpg with --validation-split. The network is one 3x3 convolution with\n"
            "ReLU per entry of --filters, max pooling between them, global average pooling, and a\n"
            "dense layer with one score per class; trained with Adam and cross-entropy.\n\n"
            "Writes into --output: model.keras (the best epoch by validation accuracy, with class\n"
            "names and image size inside), history.csv, curves.png."
        ),
        epilog=(
            "examples:\n"
            f"  {this} train --data clothing-dataset-small --image-size 64 --epochs 20\n"
            f"  {this} train --data photos --validation-split 0.2 --augment --dropout 0.2"
        ),
        formatter_class=formatter,
    )
    _add_data_options(train, Path("runs/minicnn"), image_size=64, epochs=20)
    train.add_argument(
        "--learning-rate", type=_number, default=1e-3, metavar="LR", help="Adam's; default: 0.001"
    )
    train.add_argument(
        "--filters",
        type=_filters,
        default=DEFAULT_FILTERS,
        metavar="N,N,…",
        help="filters of each convolution; default: 32,64,128,128",
    )
    train.add_argument(
        "--dropout", type=_number, default=0.0, metavar="RATE", help="before the dense layer"
    )
    train.add_argument(
        "--head",
        choices=("average", "flatten"),
        default="average",
        help="before the dense layer: global average pooling (default), or flatten",
    )
    train.set_defaults(run=_train)

    transfer = commands.add_parser(
        "transfer",
        help="teach a trained network your classes",
        description=(
            "Transfer learning: a network that others trained stays as it is, and a small head\n"
            "behind it learns your classes. The frozen base is computed once per photo, not once\n"
            "per epoch (unless --augment shows it other photos each time).\n\n"
            "Several values, separated by commas, are tried one after the other, each with each.\n"
            "Writes into --output: model.keras (the best of all, by validation accuracy, with\n"
            "class names and image size inside), a model for each run, runs.csv, curves.png."
        ),
        epilog=(
            "examples:\n"
            f"  {this} transfer --data clothing-dataset-small\n"
            f"  {this} transfer --data photos --base base.keras --learning-rate 1e-4,1e-3,1e-2\n"
            f"  {this} transfer --data photos --inner 0,100,1000 --dropout 0,0.2"
        ),
        formatter_class=formatter,
    )
    _add_data_options(transfer, Path("runs/transfer"), image_size=150, epochs=10)
    transfer.add_argument(
        "--base",
        type=lambda text: str(_file(text)),
        default="xception",
        help="xception (default) or mobilenet, with ImageNet's weights, downloaded once; or a "
        "model file that ends in features",
    )
    transfer.add_argument(
        "--input-range",
        choices=("signed", "unit", "pixels"),
        default="signed",
        help="what the base expects of a pixel: signed, from -1 to 1, as xception and mobilenet do "
        "(default); unit, from 0 to 1; pixels, from 0 to 255",
    )
    transfer.add_argument(
        "--learning-rate", type=_numbers, default=(1e-3,), metavar="LR,…", help="default: 0.001"
    )
    transfer.add_argument(
        "--inner",
        type=_counts,
        default=(0,),
        metavar="N,…",
        help="units of a dense layer before the last one; default 0: none",
    )
    transfer.add_argument(
        "--dropout", type=_numbers, default=(0.0,), metavar="RATE,…", help="before the last layer"
    )
    transfer.set_defaults(run=_transfer)

    predict = commands.add_parser(
        "predict",
        help="name what is on a photo",
        description="Prints the most likely classes of each photo with their probabilities.",
        epilog=f"example:\n  {this} predict runs/minicnn/model.keras photo.jpg another.png",
        formatter_class=formatter,
    )
    predict.add_argument("model", type=_file, metavar="MODEL", help="a .keras file")
    predict.add_argument("images", type=_file, nargs="+", metavar="IMAGE")
    predict.add_argument("--top", type=_positive, default=3, metavar="N", help="default: 3")
    _add_model_options(predict)
    predict.add_argument(
        "--plan", action="store_true", help="show first which layers are computed as one, and why"
    )
    predict.set_defaults(run=_predict)

    explain = commands.add_parser(
        "explain",
        help="write a page that shows where every number of a model comes from",
        description=(
            "Runs the model on one photo, forward and backward, and writes an interactive page:\n"
            "every map of every layer, every cell as the sum that it is, the gradients, and what\n"
            "would happen if a weight or a pixel were another. One file, no network needed.\n"
            "What is too big for it is left out, and the page says what that was."
        ),
        epilog=f"example:\n  {this} explain runs/minicnn/model.keras photo.jpg -o page.html",
        formatter_class=formatter,
    )
    explain.add_argument("model", type=_file, metavar="MODEL", help="a .keras file")
    explain.add_argument("image", type=_file, metavar="IMAGE")
    explain.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("page.html"),
        metavar="HTML",
        help="default: page.html",
    )
    explain.add_argument(
        "--class",
        dest="target",
        metavar="NAME",
        help="the class that the gradients' loss is for; default: the most likely one. Of a model "
        "that tells no classes apart: a place in its output, as 4,7,0",
    )
    explain.add_argument(
        "--head",
        metavar="LAYER",
        help="of a model with several outputs: the layer that gives the one to show; "
        "default: the first",
    )
    _add_model_options(explain)
    explain.set_defaults(run=_explain)

    check = commands.add_parser(
        "check",
        help="compare each layer with Keras",
        description=(
            "Runs each layer with many options beside the Keras layer of the same name and prints\n"
            "the largest differences of the output and of every gradient, relative to the largest\n"
            "value, and a verdict. Needs Keras and TensorFlow:\n"
            f"  {install_extra('keras')}"
        ),
        formatter_class=formatter,
    )
    check.add_argument("layers", nargs="*", metavar="LAYER", help="such as Conv2D; default: all")
    check.set_defaults(run=_check)

    lessons = commands.add_parser(
        "lessons",
        help="ten lessons, from the data to a fast convolution: list, run, or write as notebooks",
        description=(
            "Lists the lessons; with --run shows one in the terminal, cell by cell, and runs it;\n"
            "with --notebooks writes all of them for Jupyter. No network is needed."
        ),
        epilog=(
            "examples:\n"
            f"  {this} lessons\n"
            f"  {this} lessons --run 1\n"
            f"  {this} lessons --notebooks lessons"
        ),
        formatter_class=formatter,
    )
    action = lessons.add_mutually_exclusive_group()
    action.add_argument("--run", dest="number", type=_positive, metavar="N", help="run lesson N")
    action.add_argument("--notebooks", type=Path, metavar="DIR", help="write them as .ipynb files")
    lessons.add_argument(
        "--output",
        type=Path,
        default=Path("runs/lessons"),
        metavar="DIR",
        help="of --run: where its pictures and figures come; default: runs/lessons",
    )
    lessons.add_argument(
        "--overwrite", action="store_true", help="of --notebooks: replace those that have changed"
    )
    lessons.set_defaults(run=_lessons)
    return parser


def _add_model_options(command: argparse.ArgumentParser) -> None:
    """What `predict` and `explain` need of a model whose file does not say it."""
    command.add_argument(
        "--classes",
        type=lambda text: text.split(","),
        metavar="NAME,…",
        help="the classes in order, for a model of Keras's that does not say them",
    )
    command.add_argument(
        "--image-size", type=_positive, metavar="PX", help="for a model that takes any size"
    )
    command.add_argument(
        "--input-range",
        choices=("signed", "unit", "pixels"),
        default="pixels",
        help="what the model expects of a pixel: pixels, from 0 to 255, for it rescales by itself "
        "(default); unit, from 0 to 1; signed, from -1 to 1",
    )


def _add_data_options(
    command: argparse.ArgumentParser, output: Path, image_size: int, epochs: int
) -> None:
    """What `train` and `transfer` have in common."""
    add = command.add_argument
    add("--data", type=_file, required=True, metavar="DIR", help="the photos")
    add("--output", type=Path, default=output, metavar="DIR", help=f"default: {output}")
    add(
        "--image-size",
        type=_positive,
        default=image_size,
        metavar="PX",
        help=f"side in pixels; default {image_size}",
    )
    add("--epochs", type=_positive, default=epochs, metavar="N", help=f"default: {epochs}")
    add("--batch-size", type=_positive, default=32, metavar="N", help="default: 32")
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
        help="hold this share of the photos out, where there is no validation folder",
    )
    add(
        "--skip-bad-images",
        action="store_true",
        help="leave damaged photos out and count them, instead of stopping at the first",
    )
    add("--seed", type=_seed, default=0, metavar="N", help="default: 0")


def _file(text: str) -> Path:
    """A path of this machine; an address is none."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", text)  # a drive is one letter
    if scheme is not None or text.startswith("data:"):
        raise argparse.ArgumentTypeError(
            f"files and folders of this machine are read, no addresses: {_download(text)}, and "
            "pass the file"
        )
    return Path(text)


def _download(address: str) -> str:
    """How to get what an address holds, in words."""
    if not address.startswith(("http://", "https://")):
        return f"fetch {address!r} first"
    return f"fetch it first (curl -LO {quoted(address)})"


def _number(text: str, expected: str = "a number of at least 0") -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected {expected}, not {text!r}")
    return number


def _numbers(text: str) -> tuple[float, ...]:
    expected = "numbers of at least 0, separated by commas"
    return tuple(_number(part, expected) for part in text.split(","))


def _counts(text: str) -> tuple[int, ...]:
    if not all(part.isdigit() for part in text.split(",")):
        raise argparse.ArgumentTypeError(
            f"expected whole numbers separated by commas, not {text!r}"
        )
    return tuple(int(part) for part in text.split(","))


def _positive(text: str) -> int:
    number = int(text) if text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, not {text!r}")
    return number


def _seed(text: str) -> int:
    if not text.isdigit() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"expected a whole number below 2**32, not {text!r}")
    return int(text)


def _filters(text: str) -> tuple[int, ...]:
    return tuple(_positive(part) for part in text.split(","))


# ---------------------------------------------------------------------------------------------
# Networks
# ---------------------------------------------------------------------------------------------


def small_cnn(
    image_size: int,
    classes: int,
    filters: Sequence[int] = DEFAULT_FILTERS,
    dropout: float = 0.0,
    head: str = "average",
) -> Any:
    """Rescaling, then a 3x3 convolution with ReLU per entry of `filters`, pooling between them.

    `head` "average": global average pooling, what was seen wherever it was; "flatten": one more
    pooling, and every place keeps weights of its own. Then one score per class.
    """
    from minicnn import layers

    halvings = len(filters) - 1 if head == "average" else len(filters)
    if image_size < 2**halvings:
        raise ValueError(
            f"{len(filters)} convolutions and {halvings} poolings need photos of at least "
            f"{2**halvings} pixels a side. Received --image-size {image_size}."
        )
    from minicnn.models import Sequential

    model = Sequential([layers.Input((image_size, image_size, 3)), layers.Rescaling(1 / 255)])
    for index, count in enumerate(filters):
        if index:
            model.add(layers.MaxPooling2D())
        model.add(layers.Conv2D(count, 3, padding="same", activation="relu"))
    if head == "average":
        model.add(layers.GlobalAveragePooling2D())
    else:
        model.add(layers.MaxPooling2D())
        model.add(layers.Flatten())
    if dropout:
        model.add(layers.Dropout(dropout))
    model.add(layers.Dense(classes))
    return model


# ---------------------------------------------------------------------------------------------
# Commands
# ---------------------------------------------------------------------------------------------


def _demo(options: argparse.Namespace) -> int:
    from minicnn import datasets, seeding

    output: Path = options.output
    make_folder(output)
    start = time.perf_counter()
    counts = {"train": 100, "validation": 20, "test": 30}
    data = datasets.write_clothing_sample(output / "clothes", counts, size=64, seed=options.seed)
    say(f"Drew {10 * sum(counts.values())} pictures into {data} (or found them there).")
    seeding.set_random_seed(options.seed)
    train, validation, test = (
        _photos(data / split, 64, 32, shuffle=split == "train", seed=options.seed)
        for split in counts
    )
    model = small_cnn(64, len(train.class_names), (16, 32, 64), dropout=0.3, head="flatten")
    _fit(model, train, validation, options, output, learning_rate=1e-3)
    loss, accuracy = model.evaluate(test, verbose=0)
    say(f"\nTest: accuracy {accuracy:.3f}, loss {loss:.3f}, on pictures it never saw.")
    say(f"That took {time.perf_counter() - start:.0f} seconds in all.")
    picture = sorted((data / "test" / "pants").glob("*.jpg"))[0]
    say("\nWhat to try next:")
    for what, command in _next_steps(output, data, picture):
        say(f"\n{what}:\n  {command}")
    return 0


def _next_steps(output: Path, data: Path, picture: Path) -> list[tuple[str, str]]:
    """What a command is for, and the command, alone in its line, as it can be typed here."""
    model = output / "model.keras"
    train = ("train", "--data", data, "--head", "flatten", "--augment", "--epochs", 20)
    steps: list[tuple[str, tuple[object, ...]]] = [
        (
            "A page that shows where each number of the network comes from",
            ("explain", model, picture, "-o", output / "page.html"),
        ),
        ("Lessons, from pixels to backpropagation", ("lessons",)),
        ("What is on a picture", ("predict", model, picture)),
        ("Learn for longer, from pictures changed at random", train),
    ]
    if all(importlib.util.find_spec(name) for name in ("keras", "tensorflow")):
        steps.append(("Each layer beside Keras's", ("check", "Conv2D", "MaxPooling2D")))
    this = terminal.this_program()
    return [(what, f"{this} {quoted(*words)}") for what, words in steps]


def _train(options: argparse.Namespace) -> int:
    from minicnn import seeding

    output: Path = options.output
    check_folder(output)
    seeding.set_random_seed(options.seed)
    train, validation, test = _splits(options)
    make_folder(output)
    model = small_cnn(
        options.image_size,
        len(train.class_names),
        options.filters,
        options.dropout,
        options.head,
    )
    history = _fit(model, train, validation, options, output, options.learning_rate)
    accuracies = history["val_accuracy"]
    best = max(accuracies)
    say(f"\nBest validation accuracy: {best:.3f} in epoch {1 + accuracies.index(best)}.")
    if test is not None:
        from minicnn.models import load_model

        loss, accuracy = load_model(output / "model.keras").evaluate(test, verbose=0)
        say(f"Test, with that epoch's weights: accuracy {accuracy:.3f}, loss {loss:.3f}.")
    return 0


def _transfer(options: argparse.Namespace) -> int:
    import csv
    import itertools
    import shutil

    from minicnn import seeding, transfer
    from minicnn.layers.base import clear_session
    from minicnn.models import load_model

    output: Path = options.output
    check_folder(output)
    combinations = itertools.product(options.learning_rate, options.inner, options.dropout)
    settings = [transfer.Settings(*values) for values in combinations]
    seeding.set_random_seed(options.seed)
    # Not kept in memory: the features are, and augmented photos are new each time.
    train, validation, test = _splits(options, keep=False)
    base = transfer.load_base(options.base, options.image_size)
    make_folder(output)
    runs: dict[str, dict[str, list[float]]] = {}
    for number, setting in enumerate(settings, start=1):
        say(f"\nRun {number} of {len(settings)}: {setting}")
        seeding.set_random_seed(options.seed)
        clear_session()  # equal names in all files
        model = transfer.make_model(
            base, len(train.class_names), options.image_size, setting, options.input_range
        )
        if number == 1:
            model.summary()
        runs[str(setting)] = _run(
            model, train, validation, options, output / setting.file_name, None
        )
    say("\nBest validation accuracy of each run:")
    best = {name: max(history["val_accuracy"]) for name, history in runs.items()}
    for name, accuracy in best.items():
        say(f"  {accuracy:.3f}  {name}")
    winner = max(settings, key=lambda setting: best[str(setting)])
    with replacing(output / "model.keras") as temporary:
        shutil.copyfile(output / winner.file_name, temporary)
    with replacing(output / "runs.csv") as temporary, temporary.open("w", newline="") as file:
        table = csv.writer(file)
        names = ["loss", "accuracy", "val_loss", "val_accuracy"]
        table.writerow(["learning_rate", "inner", "dropout", "epoch", *names])
        for setting in settings:
            history = runs[str(setting)]
            for epoch in range(len(history["loss"])):
                table.writerow([*setting, epoch, *(history[name][epoch] for name in names)])
    say(f"\nWrote {output / 'model.keras'} ({winner}) and {output / 'runs.csv'}", end="")
    _draw(lambda plots: plots.sweep(runs), output / "curves.png")
    if test is not None:
        loss, accuracy = load_model(output / "model.keras").evaluate(test, verbose=0)
        say(f"Test: accuracy {accuracy:.3f}, loss {loss:.3f}.")
    return 0


def _splits(options: argparse.Namespace, keep: bool = True) -> tuple[Any, Any, Any]:
    """Training, validation and (or None) test photos, by what folders there are.

    `keep`: decoded once, and held in memory.
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
        train = _photos(data / "train", shuffle=True, **common)
        validation = _photos(data / "validation", **common)
    else:
        folder = data / "train" if (data / "train").is_dir() else data
        share = 0.2 if options.validation_split is None else options.validation_split
        train = _photos(folder, shuffle=True, split=(share, "training"), **common)
        validation = _photos(folder, split=(share, "validation"), **common)
    test = _photos(data / "test", **common) if (data / "test").is_dir() else None
    for name, other in (("validation", validation), ("test", test)):
        if other is not None and other.class_names != train.class_names:
            raise ValueError(
                f"The class folders of train and {name} differ: {train.class_names} and "
                f"{other.class_names}."
            )
    return train, validation, test


def _photos(
    folder: Path,
    size: int,
    batch_size: int,
    seed: int,
    shuffle: bool = False,
    split: tuple[float, str] | None = None,
    skip_bad: bool = False,
    keep: bool = True,
) -> Any:
    """The photos of a folder in batches."""
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


def _fit(
    model: Any,
    train: Any,
    validation: Any,
    options: argparse.Namespace,
    output: Path,
    learning_rate: float,
) -> dict[str, list[float]]:
    """Train, keeping the best epoch's model, the history and the curves in `output`."""
    from minicnn import transfer

    model.summary()
    transfer.compile_for(model, learning_rate)
    history = _run(
        model, train, validation, options, output / "model.keras", output / "history.csv"
    )
    say(f"\nWrote {output / 'model.keras'} and {output / 'history.csv'}", end="")
    _draw(lambda plots: plots.curves(history), output / "curves.png")
    return history


def _run(
    model: Any,
    train: Any,
    validation: Any,
    options: argparse.Namespace,
    path: Path,
    log: Path | None,
) -> dict[str, list[float]]:
    """`fit`, keeping the best epoch's model at `path`, and the history as CSV at `log`."""
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


def _draw(figure: Callable[[Any], Any], path: Path) -> None:
    """Save a picture, if matplotlib is there; ends the line that says what was written."""
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


def _predict(options: argparse.Namespace) -> int:
    from minicnn import functional
    from minicnn.models import load_model

    for path in options.images:
        _check_photo(path)
    model = load_model(options.model, compile=False)
    names = options.classes or model.metadata.get("class_names")
    size = _photo_size(model, options)
    if names is None or size is None:
        raise ValueError(
            f"{str(options.model)!r} does not say its class names and image size, as models that "
            "minicnn wrote do: pass --classes and --image-size."
        )
    if len(names) != model.output_shape[-1]:
        raise ValueError(
            f"{str(options.model)!r} tells {model.output_shape[-1]} classes apart. "
            f"Received {len(names)} names."
        )
    if options.plan:
        model.print_inference_plan()
    for path in options.images:
        photo = _read_photo(path, size, model, options)
        scores = model.predict(photo[None], verbose=0)
        p = scores[0] if model.ends_in("softmax") else functional.softmax(scores)[0]
        say(f"{printable(path)}:")
        for index in np.argsort(-p, kind="stable")[: options.top]:
            say(f"  {p[index]:6.1%}  {printable(names[index])}")
    return 0


def _explain(options: argparse.Namespace) -> int:
    from minicnn.explain import page
    from minicnn.models import load_model

    _check_photo(options.image)
    check_place(options.output)
    model = load_model(options.model, compile=False)
    shape = model.input_shape if model.built else None
    if not isinstance(shape, tuple) or len(shape) != 4:
        raise ValueError(
            f"{str(options.model)!r} does not take one picture, (batch, height, width, channels): "
            f"its input is {shape}."
        )
    size = _photo_size(model, options)
    if size is None:
        raise ValueError(f"{str(options.model)!r} takes photos of any size: pass --image-size.")
    photo = _read_photo(options.image, size, model, options)
    target = options.target
    names = options.classes or model.metadata.get("class_names") or ()
    if target is not None and target not in names:
        numbers = target.split(",")
        if all(number.isdecimal() for number in numbers):
            target = tuple(int(number) for number in numbers)
    path = page.build(
        model,
        photo[None],
        options.output,
        y=target,
        output=options.head,
        class_names=options.classes,
        photo=options.image,
        title=f"{options.model.name} looks at {options.image.name}",
    )
    say(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB): open it in a browser.")
    return 0


def _check_photo(path: Path) -> None:
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; name the photos in it.")
    if not path.exists():
        raise FileNotFoundError(f"There is no photo {str(path)!r}.")


def _photo_size(model: Any, options: argparse.Namespace) -> tuple[int, int] | None:
    """(height, width) of the photos that the model takes; None if nothing says it."""
    fixed = tuple(model.input_shape[1:3])
    if options.image_size is not None:
        size = options.image_size, options.image_size
    else:
        size = tuple(model.metadata.get("image_size") or fixed)
    for asked, taken in zip(size, fixed):
        if taken not in (None, asked):
            raise ValueError(
                f"{str(options.model)!r} takes photos of {fixed[0]}×{fixed[1]} pixels. "
                f"Received an image size of {size[0]}×{size[1]}."
            )
    return None if None in size else size


def _read_photo(
    path: Path, size: tuple[int, int], model: Any, options: argparse.Namespace
) -> np.ndarray:
    """A photo as the model's training photos were read: with one of Keras's two ways."""
    from minicnn.images import img_to_array, load_img, load_photo
    from minicnn.transfer import INPUT_RANGES

    mode = {1: "grayscale", 4: "rgba"}.get(model.input_shape[-1], "rgb")
    if model.metadata.get("interpolation") == "nearest":  # flow_from_directory
        photo = img_to_array(load_img(path, mode, target_size=size), dtype="float32")
    else:
        photo = load_photo(path, size, color_mode=mode)
    scaling = INPUT_RANGES[options.input_range]
    result: np.ndarray = photo * np.float32(scaling["scale"]) + np.float32(scaling["offset"])
    return result


def _check(options: argparse.Namespace) -> int:
    from minicnn import check

    return 0 if check.run(options.layers) else 1


def _lessons(options: argparse.Namespace) -> int:
    from minicnn import lessons

    if options.number is not None:
        seconds = lessons.run(options.number, options.output)
        say(f"Computed for {seconds:.0f} seconds. Figures: {options.output / 'figures'}")
    elif options.notebooks is not None:
        paths = lessons.write_notebooks(options.notebooks, options.overwrite)
        say(f"Wrote {len(paths)} notebooks into the folder {str(options.notebooks)!r}.")
        say("Open them with Jupyter:")
        if importlib.util.find_spec("jupyterlab") is None:
            say(f"  {terminal.pip_install('jupyterlab')}")
        say(f"  {terminal.python()} -m jupyterlab {quoted(options.notebooks)}")
    else:
        lessons.print_list()
    return 0
