"""`minicnn demo` draws a data set and trains a small CNN on it."""

import argparse
import importlib.util
import time
from pathlib import Path
from typing import Any

from minicnn._support.arguments import path_to_write, positive, seed
from minicnn._support.atomic import check_place, check_spares, make_folder
from minicnn._support.terminal import quoted, say, this_program
from minicnn.commands import explain
from minicnn.commands.networks import small_cnn
from minicnn.commands.training import fit, photos_in


def add_to(commands: Any) -> None:
    """Add this command and its options to the parser of `minicnn`."""
    command = commands.add_parser(
        "demo",
        help="draw a sample data set and train a small CNN on it: about half a minute",
        description=(
            "Draws images of ten kinds of clothing (no download needed), trains a small CNN on\n"
            "them, prints its summary, the history and the test accuracy, and writes into\n"
            "--output:\n"
            "  clothes/      the images: train/, validation/ and test/ with a folder per class\n"
            "  model.keras   the trained model; Keras opens it, too\n"
            "  history.csv   loss and accuracy, epoch by epoch\n"
            "  curves.png    the same as a plot, if matplotlib is installed\n"
            "With --page it also writes a page on which the network looks at some of the drawn\n"
            "clothes, and learns: one file, for classrooms in which minicnn is not installed."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--output",
        type=path_to_write,
        default=Path("minicnn-demo"),
        metavar="DIR",
        help="default: minicnn-demo",
    )
    command.add_argument("--epochs", type=positive, default=12, metavar="N", help="default: 12")
    command.add_argument("--seed", type=seed(), default=0, metavar="N", help="default: 0")
    command.add_argument(
        "--page", type=path_to_write, metavar="HTML", help="also write a page here"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    from minicnn import datasets
    from minicnn._support import seeding

    output: Path = options.output
    make_folder(output)
    if options.page is not None:
        check_place(options.page)
        names = ("model.keras", "history.csv", "curves.png", "clothes")
        check_spares(options.page, [output / name for name in names])
    start = time.perf_counter()
    counts = {"train": 100, "validation": 20, "test": 30}
    data = datasets.write_clothing_sample(output / "clothes", counts, size=64, seed=options.seed)
    say(f"The data set: {10 * sum(counts.values())} drawn images, in {data}.")
    seeding.set_random_seed(options.seed)
    train, validation, test = (
        photos_in(data / split, 64, 32, shuffle=split == "train", seed=options.seed)
        for split in counts
    )
    model = small_cnn(64, len(train.class_names), (16, 32, 64), dropout=0.3, head="flatten")
    fit(model, train, validation, options, output, learning_rate=1e-3)
    loss, accuracy = model.evaluate(test, verbose=0)
    say(f"\nTest: accuracy {accuracy:.3f}, loss {loss:.3f}, on images that it has never seen.")
    say(f"That took {time.perf_counter() - start:.0f} seconds in all.")
    if options.page is not None:
        write_page(output / "model.keras", data, options.page)
    image = sorted((data / "test" / "pants").glob("*.jpg"))[0]
    say("\nWhat to try next:")
    for what, command in next_steps(output, data, image):
        say(f"\n{what}:\n  {command}")
    return 0


def write_page(model: Path, data: Path, page: Path) -> None:
    """Write the page on which the network looks at drawn clothes, and learns from others."""
    photos = [min((data / "test" / name).glob("*.jpg")) for name in ("shirt", "dress", "shoes")]
    parser = argparse.ArgumentParser()
    explain.add_to(parser.add_subparsers())
    options = parser.parse_args(["explain", *map(str, (model, *photos)), f"--output={page}"])
    options.run(options)


def next_steps(output: Path, data: Path, image: Path) -> list[tuple[str, str]]:
    """Return what each next command is for, and the command as the user can type it here."""
    model = output / "model.keras"
    train = ("train", "--data", data, "--head", "flatten", "--augment", "--epochs", 20)
    steps: list[tuple[str, tuple[object, ...]]] = [
        (
            "A page that shows where each number of the network comes from, and lets it learn",
            ("explain", model, image, "-o", output / "page.html"),
        ),
        ("Lessons, from pixels to backpropagation", ("lessons",)),
        ("What an image shows", ("predict", model, image)),
        ("Train for longer, on randomly changed images", train),
    ]
    if all(importlib.util.find_spec(name) for name in ("keras", "tensorflow")):
        steps.append(("Each layer beside Keras's", ("check", "Conv2D", "MaxPooling2D")))
    this = this_program()
    return [(what, f"{this} {quoted(*words)}") for what, words in steps]
