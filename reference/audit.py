"""Reports what a data set consists of, and what is wrong with it: `python -m reference.data`.

All splits are read at once. The report counts photos by class and names what was passed over, what
cannot be read, near-duplicates (within a split, and across splits, where they flatter a model),
and, with a base, photos whose label disagrees with those of their neighbours among the features.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from minicnn._support.arguments import PIXEL_RANGES, path_to_write, positive
from minicnn._support.terminal import say
from minicnn.images import BadImageError
from minicnn.images.folders import THREADS, is_left_about
from reference import archives, data, lists
from reference.console import main, make_parser, progress
from reference.data import Photos, Splits
from reference.report import Page, in_columns

Array = np.ndarray

KINDS = ("unreadable", "duplicates", "doubted")
ALIKE = 12  # of 256 bits: copies differ in a few, other photos of a class in 20 and more
NEIGHBOURS, DOUBT = 10, 9  # so many of a photo's neighbours are of one other class
_SIDE = 16
_FLAT = 2  # standard deviation of gray levels, below which a photo has no pattern to compare


class PhotoFacts(NamedTuple):
    """The result of reading a photo; `problem` says why it cannot be read."""

    width: int = 0
    height: int = 0
    pattern: Array | None = None
    problem: str | None = None


class Finding(NamedTuple):
    """Something about a photo; `other` is the photo that it is compared with, and its split."""

    kind: str
    split: str
    path: str
    why: str
    other: str = ""
    other_split: str = ""


@dataclass
class Audit:
    """All findings about a data set, in the order of its photos."""

    splits: list[Photos]
    facts: dict[str, PhotoFacts]
    findings: list[Finding] = field(default_factory=list)

    def of(self, kind: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.kind == kind]

    def clean(self, kinds: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
        """Return the class and path of each photo that has no finding of these kinds, by split.

        Photos with a doubted label are dropped only from training: a test without hard photos would
        flatter every model.
        """
        first = self.splits[0].name
        gone = {
            finding.path
            for finding in self.findings
            if finding.kind in kinds and (finding.kind != "doubted" or finding.split == first)
        }
        return {
            photos.name: [
                (photos.class_names[label], path)
                for path, label in zip(photos.paths, photos.labels, strict=True)
                if path not in gone
            ]
            for photos in self.splits
        }


def audit(splits: Splits, folder: Path, show: bool = True) -> Audit:
    """Read all photos of all splits, and find what is wrong with them, labels aside."""
    found = [photos for photos in splits if photos is not None]
    paths = [path for photos in found for path in photos.paths]
    with (
        ThreadPoolExecutor(THREADS) as threads,
        progress("Reading photos", len(paths), show) as advance,
    ):
        facts = {}
        for path, one in zip(paths, threads.map(look, paths), strict=True):
            facts[path] = one
            advance(1)
    made = Audit(found, facts)
    for photos in found:
        for path in photos.paths:
            if problem := facts[path].problem:
                made.findings.append(Finding("unreadable", photos.name, path, problem))
    made.findings += passed_over(folder, paths)
    made.findings += duplicates(found, facts)
    return made


def look(path: str) -> PhotoFacts:
    """Read a photo, and keep its size and its pattern."""
    try:
        image = data.image_of(path)
    except (BadImageError, OSError) as error:
        return PhotoFacts(problem=str(error))
    small = image.convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX)
    gray = np.asarray(small, np.int16)
    # Whether it becomes brighter to the right, for 256 places ("difference hash"): the same for a
    # copy that was resized, compressed anew or brightened.
    pattern = (gray[:, 1:] > gray[:, :-1]).ravel() if gray.std() > _FLAT else None
    return PhotoFacts(image.width, image.height, pattern)


def passed_over(folder: Path, used: Sequence[str]) -> list[Finding]:
    """Return the files in a data set's folder that no split uses, and why."""
    packed = data.archives_in(folder)
    if packed:
        inside = [
            Finding("passed over", split, f"{path}/{name}", why)
            for split, paths in packed.items()
            for path in paths
            for name, why in archives.opened(path, data.endings()).passed_over
        ]
        others = data.beside(packed, folder)
        return inside + [Finding("passed over", "", str(path), "no archive") for path in others]
    if not folder.is_dir():
        return []  # a list names its photos
    known = {os.path.abspath(path) for path in used}  # noqa: PTH100
    found = []
    for place, inner, names in os.walk(folder):
        parts = Path(place).relative_to(folder).parts
        links = [name for name in inner if Path(place, name).is_symlink()]
        found += [
            Finding("passed over", parts[0] if parts else "", str(Path(place, name)), "a link")
            for name in sorted(links)
        ]
        inner.sort()
        for name in sorted(names):
            path = Path(place, name)
            if is_left_about(name) or os.path.abspath(path) in known:  # noqa: PTH100
                continue
            if any(part.startswith(".") for part in parts):
                why = "in a hidden folder"
            elif not name.lower().endswith(data.endings()):
                why = f"its name does not end in {', '.join(data.endings())}"
            else:
                why = "in no class folder of a split"
            found.append(Finding("passed over", parts[0] if parts else "", str(path), why))
    return found


# ---------------------------------------------------------------------------------------------
# Duplicates, and labels in doubt
# ---------------------------------------------------------------------------------------------


def duplicates(splits: Sequence[Photos], facts: dict[str, PhotoFacts]) -> list[Finding]:
    """Return photos that look like an earlier one; test photos come first, training photos last.

    So a test photo is never dropped if another split has the same photo: the test does not change,
    and is true of photos that the model has not seen.
    """
    order, patterns = [], []
    for photos in reversed(splits):
        for path, label in zip(photos.paths, photos.labels, strict=True):
            pattern = facts[path].pattern
            if pattern is not None:
                order.append((photos.name, path, photos.class_names[label]))
                patterns.append(np.where(pattern, 1, -1))
    signs = np.array(patterns, np.float32)
    found: list[Finding] = []
    for first in range(0, len(order), 1024):
        # The product of two patterns is 256 minus twice the number of bits in which they differ.
        product = signs[first : first + 1024] @ signs.T
        alike = product >= signs.shape[1] - 2 * ALIKE
        for row, column in zip(*np.nonzero(alike), strict=True):
            number = first + int(row)
            if column >= number or (found and found[-1].path == order[number][1]):
                continue  # the photo itself, a later one, or a photo that is a finding already
            (split, path, label), (other_split, other, other_label) = order[number], order[column]
            where = "" if split == other_split else f" in {other_split}"
            labels = "" if label == other_label else f", and one is {label}, one {other_label}"
            why = f"looks like {Path(other).name}{where}{labels}"
            found.append(Finding("duplicates", split, path, why, other, other_split))
    return found


def doubted(splits: Sequence[Photos], vectors: Sequence[Array]) -> list[Finding]:
    """Return photos whose label differs from those of nearly all photos with similar features.

    Features are compared by the angle between them. This finds neither of two wrong labels that
    support each other; and a rare kind of a class may be labelled correctly, but have no similar
    photos. With fewer photos than the required neighbours, no label is doubted.
    """
    if sum(map(len, splits)) <= NEIGHBOURS:
        return []
    x = np.concatenate(list(vectors)).astype(np.float32)
    x = x - x.mean(axis=0)
    x /= np.linalg.norm(x, axis=1, keepdims=True) + np.float32(1e-12)
    labels = np.concatenate([photos.labels for photos in splits])
    names = splits[0].class_names
    rows = [(photos.name, path) for photos in splits for path in photos.paths]
    found = []
    for first in range(0, len(x), 1024):
        likeness = x[first : first + 1024] @ x.T
        likeness[np.arange(len(likeness)), np.arange(first, first + len(likeness))] = -2  # itself
        nearest = np.argpartition(-likeness, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
        for row, neighbours in enumerate(labels[nearest]):
            counts = np.bincount(neighbours, minlength=len(names))
            best, number = int(counts.argmax()), first + row
            if best != labels[number] and counts[best] >= DOUBT:
                split, path = rows[number]
                why = (
                    f"is {names[labels[number]]}; of the {NEIGHBOURS} photos with the most "
                    f"similar features, {counts[best]} are {names[best]}"
                )
                found.append(Finding("doubted", split, path, why))
    return found


# ---------------------------------------------------------------------------------------------
# The report
# ---------------------------------------------------------------------------------------------

_TITLES = {
    "unreadable": "Photos that cannot be read",
    "duplicates": "Photos that look like another one",
    "doubted": "Photos whose label the features doubt",
    "passed over": "Files that are passed over",
}
_SHOWN = 200  # of each kind, in the report


def table(made: Audit) -> tuple[list[str], list[list[str]]]:
    """Return the photos by class and split, and the share of each class in training."""
    names = made.splits[0].class_names
    counts = np.array([np.bincount(p.labels, minlength=len(names)) for p in made.splits])
    rows = [
        [name, *map(str, counts[:, i]), f"{counts[0, i] / max(1, counts[0].sum()):.1%}"]
        for i, name in enumerate(names)
    ]
    rows.append(["all", *(str(len(photos)) for photos in made.splits), ""])
    return ["class", *(photos.name for photos in made.splits), "of train"], rows


def sentences(made: Audit) -> list[str]:
    """Return sentences on the numbers, without names of photos."""
    counts = np.bincount(made.splits[0].labels, minlength=len(made.splits[0].class_names))
    told = [
        f"The largest class of train has {counts.max() / max(1, counts.min()):.1f} times as many "
        f"photos as the smallest: always to name the largest is right for "
        f"{counts.max() / counts.sum():.1%}."
    ]
    sizes = np.array([(s.width, s.height) for s in made.facts.values() if s.problem is None])
    if len(sizes):
        (w, h), (low_w, low_h), (high_w, high_h) = (
            f(sizes, axis=0).astype(int) for f in (np.median, np.min, np.max)
        )
        told.append(
            f"Photos have {low_w} to {high_w} pixels in width (median {w}) and {low_h} to {high_h} "
            f"in height (median {h})."
        )
    for kind, title in _TITLES.items():
        if found := made.of(kind):
            across = sum(finding.other_split not in ("", finding.split) for finding in found)
            more = f", {across} of them one in another split" if across else ""
            told.append(f"{title}: {len(found)}{more}.")
    if len(made.splits) < len(data.SPLITS):
        told.append("There is no test split, so a model trained on these photos cannot be tested.")
    return told


def write_page(made: Audit, path: Path, title: str) -> None:
    """Write the report, with a thumbnail of each photo that has a finding."""
    page = Page(f"The photos of {title}", f"{len(made.facts)} photos, read with Pillow")
    page.table(*table(made))
    for sentence in sentences(made):
        page.text(sentence)
    for kind, heading in _TITLES.items():
        found = made.of(kind)
        if not found:
            continue
        page.heading(f"{heading} ({len(found)})")
        for finding in found[:_SHOWN]:
            shown = [finding.path, *([finding.other] if finding.other else [])]
            pictures = [_thumbnail(p) for p in shown if kind in ("duplicates", "doubted")]
            page.photos(pictures, f"{finding.path}: {finding.why}")
        if len(found) > _SHOWN:
            page.text(f"… and {len(found) - _SHOWN} more, in findings.csv.")
    page.write(path)


def _thumbnail(path: str) -> Image.Image:
    image = data.image_of(path)
    image.thumbnail((160, 160))
    return image


def write_findings(made: Audit, path: Path) -> None:
    """Write all findings as CSV."""
    lists.write_table(path, Finding._fields, made.findings)


# ---------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    made = make_parser(
        "data",
        "Reads every photo of a data set, all splits in one run, and reports: photos by class,\n"
        "sizes, what is passed over and why, what cannot be read, near-duplicates within and\n"
        "across splits, and with --base photos whose label the features doubt.\n\n"
        "Writes into --output: report.html (with thumbnails), findings.csv, with --drop photos.csv",
        "examples:\n"
        "  python -m reference.data --data download\n"
        "  python -m reference.data --data photos --drop unreadable,duplicates\n"
        "  python -m reference.train --data runs/data/photos.csv",
    )
    add = made.add_argument
    add("--data", required=True, metavar="DIR",
        help='class folders train/, validation/, test/; or class folders alone, which are '
        'divided; a table (.csv); archives (.tar, .parquet); "download" (the course\'s photos); '
        '"sample" (drawn)')  # fmt: skip
    add("--output", type=path_to_write, default=Path("runs/data"), metavar="DIR",
        help="default: runs/data")  # fmt: skip
    add("--drop", type=_kinds, default=(), metavar="K,…",
        help=f"write a list of the photos without those of these kinds, of {', '.join(KINDS)}, "
        "which training takes as --data; doubted ones go from train alone")  # fmt: skip
    add("--skip-bad-images", action="store_true", help="end well although photos cannot be read")
    add("--base", metavar="NAME", help="also doubt labels, by this base (see reference.train)")
    add("--weights", default="imagenet", metavar="W", help="as for reference.train")
    add("--input-range", choices=PIXEL_RANGES, default="signed",
        help="as for reference.train")  # fmt: skip
    add("--image-size", type=positive, default=150, metavar="PX", help="for --base; default: 150")
    add("--cache", type=path_to_write, default=Path("runs/features"), metavar="DIR",
        help="where features are kept; default: runs/features")  # fmt: skip
    return made


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(text.split(","))
    if not set(kinds) <= set(KINDS):
        raise argparse.ArgumentTypeError(
            f"expected some of {', '.join(KINDS)}, separated by commas, not {text!r}"
        )
    return kinds


def command(options: argparse.Namespace) -> None:
    if "doubted" in options.drop and not options.base:
        raise ValueError("--drop doubted needs features, so a network: --base xception.")
    folder = data.locate(options.data)
    splits = data.find(folder)
    options.output.mkdir(parents=True, exist_ok=True)
    made = audit(splits, folder)
    if options.base:
        made.findings += _doubted(made, options)
    _tell(made, folder)
    write_findings(made, options.output / "findings.csv")
    write_page(made, options.output / "report.html", str(folder))
    say(f"Wrote report.html and findings.csv into {options.output}.")
    if options.drop:
        kept = made.clean(options.drop)
        lists.write(options.output / "photos.csv", kept)
        count = sum(map(len, kept.values()))
        say(f"Wrote {options.output / 'photos.csv'}: {count} of {len(made.facts)} photos.")
    bad = made.of("unreadable")
    if bad and not options.skip_bad_images and "unreadable" not in options.drop:
        raise BadImageError(
            f"{len(bad)} of {len(made.facts)} photos are bad: "
            f"{' '.join(finding.why for finding in bad[:10])} --drop unreadable writes a list "
            "without them, and training's --skip-bad-images leaves them out."
        )


def _tell(made: Audit, folder: Path) -> None:
    say(f"{folder}")
    say(in_columns(*table(made)))
    for sentence in sentences(made):
        say(sentence)
    for finding in made.findings[:20]:
        say(f"  {finding.kind}: {finding.path}: {finding.why}")
    if len(made.findings) > 20:
        say(f"  … and {len(made.findings) - 20} more, in findings.csv.")


def _doubted(made: Audit, options: argparse.Namespace) -> list[Finding]:
    """Run the base over all photos that can be read."""
    from reference import backend, features, model

    machine, reader = backend.default(), data.Reader(options.image_size)
    base = model.load_base(options.base, options.image_size, options.weights, options.input_range)
    good = [
        photos.keep([i for i, p in enumerate(photos.paths) if made.facts[p].problem is None])
        for photos in made.splits
    ]
    return doubted(
        good, [features.extract(p, reader, base, machine, options.cache).x for p in good]
    )


def run(arguments: Sequence[str] | None = None) -> int:
    return main(parser(), command, arguments)


if __name__ == "__main__":
    sys.exit(run())
