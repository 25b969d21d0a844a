"""Commands share these options, progress bars, and errors of one sentence."""

import argparse
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from minicnn._support import terminal
from minicnn._support.arguments import PIXEL_RANGES, count, path_to_write, positive, seed
from minicnn._support.atomic import check_folder
from minicnn._support.progress import Bar
from reference import config

Command = Callable[[argparse.Namespace], None]


@contextmanager
def progress(title: str, total: int, show: bool = True) -> Iterator[Callable[[int], None]]:
    """Show a progress bar with the time left in a terminal, and yield `advance(count)`.

    Elsewhere, as in a log, a line occasionally reports the progress.
    """
    with Bar(show=None if show else False).open(title, total) as bar:
        yield bar.advance if bar.is_open or not show else _lines(title, total)


LINE_SECONDS = 15.0  # from one line of progress to the next


def _lines(title: str, total: int) -> Callable[[int], None]:
    start = told = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal told, done
        done += count
        now = time.monotonic()
        if now - told >= LINE_SECONDS and done < total:
            told = now
            left = (now - start) / done * (total - done)
            terminal.say(f"{title}: {done} of {total}, about {left:.0f} s left.")

    return advance


def main(parser: argparse.ArgumentParser, command: Command, arguments: Sequence[str] | None) -> int:
    """Run a command: 0, or one sentence on stderr and 2 (see `minicnn._support.terminal.run`)."""
    given: list[int | None] = [None]

    def parsed() -> None:
        options = config.parse(parser, arguments)
        given[0] = getattr(options, "batch_size", None)
        for name in ("output", "cache"):
            check_output(f"--{name}", getattr(options, name, None))
        command(options)

    def sentence(error: BaseException) -> str | None:
        told = out_of_memory(error, given[0])
        if told is None and isinstance(error, terminal.EXPECTED):
            told = terminal.sentence_of(error)
        return told

    return terminal.run(parser.prog, parsed, sentence)


def check_output(option: str, folder: Path | None) -> None:
    """Raise `NotADirectoryError` if the folder, or one above it, is a file.

    Raises `ValueError` for a new folder that is named like a model file, which must be a mistake;
    and an `OSError` if no file can be written there, before work whose result would be lost.
    """
    if folder is None:
        return
    if folder.suffix in (".keras", ".h5", ".hdf5") and not folder.exists():
        raise ValueError(
            f"{option} is a folder; the model in it is named model.keras (.h5 is Keras's old "
            f"form). Received {str(folder)!r}."
        )
    try:
        check_folder(folder)
    except NotADirectoryError as error:
        raise NotADirectoryError(f"{option} names a folder. {error}") from None
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise type(error)(
            f"{option} {folder}: no file can be written into {str(there)!r}: {error.strerror}."
        ) from None


def reason(error: Exception) -> str:
    """Return the first line of the error's message, without its full stop, to end a sentence."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return line.partition(" Example error message")[0].rstrip(" .:")


def out_of_memory(error: BaseException, batch_size: int | None) -> str | None:
    """Return advice for an error that says that memory ran out; None for any other error.

    Each backend has its own error (`ResourceExhaustedError`, `XlaRuntimeError`,
    `OutOfMemoryError`); their messages have some words in common.
    """
    text = f"{type(error).__name__}: {error}"
    words = r"RESOURCE_EXHAUSTED|ResourceExhausted|OutOfMemory|out of memory|MemoryError"
    if not isinstance(error, MemoryError) and not re.search(words, text):
        return None
    if batch_size is None:
        return "Out of memory: other programs hold too much of it, or the network is too large."
    if batch_size < 2:
        return "Out of memory. Smaller photos (--image-size) need less."
    return (
        f"Out of memory with batches of {batch_size} photos: try --batch-size {batch_size // 2}, "
        "or smaller photos (--image-size)."
    )


# ---------------------------------------------------------------------------------------------
# Options
# ---------------------------------------------------------------------------------------------


IMAGE_SIZE = 150  # pixels a side, as in the course


def make_parser(name: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog=f"python -m reference.{name}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_data_options(parser: argparse.ArgumentParser, several_sizes: bool = False) -> None:
    group = parser.add_argument_group("photos")
    add = group.add_argument
    add(
        "--data",
        required=True,
        metavar="DIR",
        help="class folders train/, validation/, test/; or class folders alone, which are divided; "
        "or a table (.csv) with the columns path, label and perhaps split; or an archive (.tar, "
        '.parquet), or a folder of them; or "download" (the course\'s photos), or "sample" (drawn '
        "here, works offline)",
    )
    side = group if several_sizes else group.add_mutually_exclusive_group()
    if several_sizes:
        side.add_argument("--image-size", type=positive, nargs="+", metavar="PX",
            help=f"side lengths to compare; default: {IMAGE_SIZE} alone")  # fmt: skip
    else:
        side.add_argument("--image-size", type=positive, metavar="PX",
            help=f"side length; default: {IMAGE_SIZE}")  # fmt: skip
    side.add_argument("--image-sizes", type=positive, nargs="+", metavar="PX",
        help="let the base see each photo at several sizes, such as 150 224; their features lie "
        "side by side")  # fmt: skip
    resizing = group.add_mutually_exclusive_group()
    resizing.add_argument(
        "--antialias",
        action="store_true",
        help="make each pixel of all pixels that it covers, as Pillow's bilinear resizing does; "
        "default: bilinear between four pixels, as image_dataset_from_directory does",
    )
    resizing.add_argument(
        "--course-compatible",
        action="store_true",
        help="resize to the nearest pixel, as flow_from_directory does",
    )
    add(
        "--skip-bad-images",
        action="store_true",
        help="name damaged photos and leave them out, instead of stopping",
    )


def add_base_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("the frozen base").add_argument
    add(
        "--base",
        default="xception",
        metavar="NAME",
        help="xception (default), another name of keras.applications, or a .keras file: a network "
        "whose output is features, or a classifier, which is cut off after its features",
    )
    add(
        "--weights",
        default="imagenet",
        metavar="W",
        help="imagenet (default), none (random), or a weights file",
    )
    add(
        "--input-range",
        choices=PIXEL_RANGES,
        default="signed",
        help="the range of pixels that a .keras base expects: -1 to 1 (default), 0 to 1, 0 to 255; "
        "it is known for the networks of keras.applications",
    )
    add(
        "--cache",
        type=path_to_write,
        default=Path("runs/features"),
        metavar="DIR",
        help="where to keep features between commands; default: runs/features",
    )


def add_backend_options(parser: argparse.ArgumentParser) -> None:
    config.add_option(parser)
    add = parser.add_argument_group("how to compute").add_argument
    add("--device", choices=("auto", "cpu", "gpu"), default="auto", help="auto: a GPU if present")
    add(
        "--precision",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
        default="float32",
        help="default: float32, also on a GPU (no TF32); mixed ones are faster on GPUs made for "
        "them",
    )
    add(
        "--xla",
        choices=("auto", "on", "off"),
        default="auto",
        help="compile training steps with XLA; auto: on JAX, and on TensorFlow with a GPU",
    )
    add(
        "--deterministic",
        action="store_true",
        help="make a seed give the same numbers every time on a GPU, too; slower",
    )
    add(
        "--seed",
        type=seed(bits=31),
        default=0,
        metavar="N",
        help="default: 0; TensorFlow, JAX and torch draw different numbers from the same seed",
    )
    add(
        "--strategy",
        choices=("none", "mirrored", "multiworker"),
        default="none",
        help="mirrored: all GPUs of this machine (TensorFlow)",
    )
    many = parser.add_argument_group(
        "several machines (JAX)", "the same command on each, with its own --process-id"
    ).add_argument
    many("--coordinator", metavar="HOST:PORT", help="where process 0 listens")
    many("--processes", type=positive, metavar="N", help="how many take part")
    many("--process-id", type=count, metavar="I", help="from 0 to N - 1")
