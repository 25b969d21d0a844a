"""Names what a photo shows, with a model that `reference.train` wrote.

    python -m reference.predict runs/reference/model.keras photo.jpg folder/ https://…/dress.jpg

The model file contains class names, image size, interpolation and preprocessing. An address may be
in a private network, but an address of the public network may not redirect into one.
"""

import argparse
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from minicnn._support.arguments import path_to_write, positive
from minicnn._support.download import check_url, fetch
from minicnn._support.terminal import printable, say
from minicnn.images import BadImageError
from minicnn.images.folders import list_images
from reference import backend
from reference import model as models
from reference.console import main, make_parser
from reference.data import endings
from reference.evaluate import probabilities
from reference.model import Saved

Array = np.ndarray

LARGEST, SECONDS = 32 * 2**20, 30  # limits for a download, in bytes and seconds
SCHEMES = ("http", "https")
_BATCH = 32


class Answer(NamedTuple):
    """The probabilities of the classes, or the reason why there are none."""

    source: str
    p: Array | None
    problem: str | None = None


def expand(sources: Sequence[str]) -> list[str]:
    """Return files and addresses; a folder becomes the photos in it. Raises `FileNotFoundError`."""
    found: list[str] = []
    for source in sources:
        if is_address(source):
            check_url(source, SCHEMES)
            found.append(source)
        elif Path(source).is_dir():
            photos = list_images(source, endings()).paths
            if not photos:
                raise FileNotFoundError(f"{source} has no photos ({', '.join(endings())}).")
            found += photos
        elif Path(source).exists():  # reading it will show if it is not a photo
            found.append(source)
        else:
            raise FileNotFoundError(f"There is no photo, folder or http(s) address {source!r}.")
    return found


def is_address(source: str) -> bool:
    return "://" in source


def predict(saved: Saved, sources: Sequence[str]) -> list[Answer]:
    """Return an answer for each file or address, in order; for a bad photo it has a `problem`."""
    reader = saved.about.reader
    answers = []
    for first in range(0, len(sources), _BATCH):
        part = sources[first : first + _BATCH]
        pixels: list[Array] = []
        problems: list[str | None] = []
        for source in part:
            try:
                pixels.append(reader(_opened(source)))
                problems.append(None)
            except (BadImageError, OSError, ValueError) as error:
                pixels.append(np.zeros((reader.image_size, reader.image_size, 3), np.float32))
                problems.append(str(error).replace("what was received", source))
        logits = keras.ops.convert_to_numpy(saved.model.predict_on_batch(np.stack(pixels)))
        for source, row, problem in zip(part, probabilities(logits), problems, strict=True):
            answers.append(Answer(source, None if problem else row, problem))
    return answers


def _opened(source: str) -> str | io.BytesIO:
    if not is_address(source):
        return source
    return io.BytesIO(fetch(source, LARGEST, SECONDS, SCHEMES))


def parser() -> argparse.ArgumentParser:
    made = make_parser(
        "predict",
        "Prints the most likely classes of each photo with their probabilities.",
        "example:\n  python -m reference.predict runs/reference/model.keras photo.jpg photos/",
    )
    made.add_argument(
        "model", type=path_to_write, metavar="MODEL", help="a file that reference.train wrote"
    )
    made.add_argument(
        "sources", nargs="+", metavar="PHOTO", help="a file, a folder, or an http(s) address"
    )
    made.add_argument("--top", type=positive, default=3, metavar="N", help="default: 3")
    made.add_argument("--json", action="store_true", help="one JSON object per line, for programs")
    return made


def command(options: argparse.Namespace) -> None:
    sources = expand(options.sources)
    backend.make_exact()
    saved = models.load(options.model)
    names = saved.about.class_names
    answers = predict(saved, sources)
    for answer in answers:
        if answer.p is None:
            print(printable(f"{answer.source}: {answer.problem}"), file=sys.stderr)
            continue
        best = np.argsort(-answer.p, kind="stable")[: options.top]
        if options.json:
            found = {names[i]: round(float(answer.p[i]), 6) for i in best}
            line = json.dumps({"photo": answer.source, "classes": found})
            say(line.replace("\x7f", "\\u007f"))  # JSON does not escape this one
            continue
        say(f"{printable(answer.source)}:")
        for index in best:
            say(f"  {answer.p[index]:6.1%}  {printable(names[index])}")
    bad = sum(answer.p is None for answer in answers)
    if bad:
        raise BadImageError(f"{bad} of {len(answers)} photos could not be read.")


def run(arguments: Sequence[str] | None = None) -> int:
    return main(parser(), command, arguments)


if __name__ == "__main__":
    sys.exit(run())
