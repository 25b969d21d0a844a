"""Functions for `type=` of an argparse option, which say what they expect if a value is wrong.

The commands of minicnn, the reference and the benchmarks share them.
"""

import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from minicnn._support.terminal import quoted

T = TypeVar("T")
# What --input-range takes: a network expects pixels from -1 to 1, from 0 to 1, or from 0 to 255.
# Each range has a scale and an offset, which lead there from 0 … 255.
PIXEL_RANGES = {"signed": (1 / 127.5, -1.0), "unit": (1 / 255, 0.0), "pixels": (1.0, 0.0)}


def positive(text: str) -> int:
    """Return a whole number of at least 1."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise ArgumentTypeError(f"expected a whole number of at least 1, not {text!r}")
    return number


def count(text: str) -> int:
    """Return a whole number of at least 0."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"expected a whole number, not {text!r}")
    return int(text)


def seed(bits: int = 32) -> Callable[[str], int]:
    """Return a function that reads a whole number of at most this many bits."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) >= 2**bits:
            raise ArgumentTypeError(f"expected a whole number below 2**{bits}, not {text!r}")
        return int(text)

    return read


def non_negative(text: str) -> float:
    """Return a finite number of at least 0."""
    value = _float(text)
    if not 0 <= value < float("inf"):
        raise ArgumentTypeError(f"expected a number of at least 0, not {text!r}")
    return value


def rate(text: str) -> float:
    """Return a learning rate: a finite number above 0."""
    value = _float(text)
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"expected a positive number, not {text!r}")
    return value


def share(text: str) -> float:
    """Return a drop rate: a number from 0 to below 1."""
    value = _float(text)
    if not 0 <= value < 1:
        raise ArgumentTypeError(f"expected a number from 0 to below 1, not {text!r}")
    return value


def listed(kind: Callable[[str], T]) -> Callable[[str], list[T]]:
    """Return a function that reads several values, separated by commas."""

    def read(text: str) -> list[T]:
        try:
            return [kind(part) for part in text.split(",")]
        except ArgumentTypeError as error:
            raise ArgumentTypeError(f"{error}; several are separated by commas") from None

    return read


def local_path(text: str) -> Path:
    """Return a path on this machine; refuse an address, and say how to download its file."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", text)  # one letter would be a drive
    if scheme is not None or text.startswith("data:"):
        raise ArgumentTypeError(
            f"only files and folders of this machine are read, not addresses: {_download(text)}, "
            "and pass the file"
        )
    return path_to_write(text)


def path_to_write(text: str) -> Path:
    """Return a path; refuse an empty text, as from a variable of the shell that is not set.

    `Path` takes it for the current folder.
    """
    if not text:
        raise ArgumentTypeError("expected a file or a folder, but received nothing")
    return Path(text)


def _float(text: str) -> float:
    """Return the number, or NaN, which is in no range."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _download(address: str) -> str:
    """Say how to get what is at an address."""
    if not address.startswith(("http://", "https://")):
        return f"fetch {address!r} first"
    return f"fetch it first (curl -LO {quoted(address)})"
