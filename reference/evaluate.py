"""Evaluate a trained model on photos that it has never seen.

    python -m reference.evaluate runs/reference/model.keras --data clothing-dataset-small

This reports the test accuracy with its 95 % interval, macro-F1, a table by class, the confusion
matrix, the most confident mistakes as a contact sheet, and the drop from validation to test: the
validation photos chose the epoch and the settings, so they flatter a model a little. A page shows
which classes are confused, and what the network looked at (`reference.mistakes`).
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minicnn import plots
from minicnn._support.arguments import count, path_to_write
from minicnn._support.atomic import replacing
from minicnn._support.terminal import printable, say
from reference import backend, calibration, data, features, lists, mistakes
from reference import model as models
from reference.console import check_output, main, make_parser
from reference.data import Photos
from reference.model import Saved

Array = np.ndarray

SHOWN_MISTAKES = 24


class Interval(NamedTuple):
    """A 95 % confidence interval of a share."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"(95 % interval {self.low:.3f} to {self.high:.3f})"


def interval(share: float, count: int) -> Interval:
    """Return Wilson's score interval for a share of `count` photos ("Probable inference", 1927).

    Unlike share ± 1.96 standard errors it stays between 0 and 1, and is also right near them.
    """
    from scipy.stats import binomtest

    found = binomtest(round(share * count), count).proportion_ci(0.95, "wilson")
    return Interval(float(found.low), float(found.high))


def mcnemar(right: Array, other: Array) -> float:
    """Return how often luck alone makes two equally good models differ as much as these two.

    McNemar's exact test (McNemar 1947) on the photos that only one of them got right: if the models
    are equally good, each of these photos is as likely to be one model's as the other's. `right`
    and `other` are bools (photos,), or (runs, photos) for several runs of each model: then a
    photo's difference is that of the shares of runs, and has either sign by chance (Fisher's
    permutation test).
    """
    from scipy.signal import fftconvolve
    from scipy.stats import binom

    ours, theirs = np.atleast_2d(right).astype(int), np.atleast_2d(other).astype(int)
    differences = len(theirs) * ours.sum(axis=0) - len(ours) * theirs.sum(axis=0)
    sizes = np.abs(differences[differences != 0])
    chances = np.ones(1)  # for each sum of differences, from the lowest
    for size, photos in zip(*np.unique(sizes, return_counts=True), strict=True):
        # The signs of n photos add up to -n, -n + 2, and so on.
        signs = np.zeros(2 * photos * size + 1)
        signs[:: 2 * size] = binom.pmf(np.arange(photos + 1), photos, 0.5)
        chances = fftconvolve(chances, signs)
    sums = np.abs(np.arange(len(chances)) - len(chances) // 2)
    return float(np.clip(chances[sums >= abs(differences.sum())].sum(), 0, 1))


def difference(right: Array, other: Array) -> Interval:
    """Return the 95 % interval of accuracy(right) - accuracy(other) on the same n photos.

        d ± 1.96 · √((g + l - d²) / (n + 2)),  d = g - l

    with the shares g = (gained + 1) / (n + 2) and l = (lost + 1) / (n + 2) of photos that only the
    one, or only the other got right (Bonett and Price 2012, "Adjusted Wald confidence interval for
    a difference of binomial proportions based on paired data").
    """
    n = len(right) + 2
    gained = (int((right & ~other).sum()) + 1) / n
    lost = (int((other & ~right).sum()) + 1) / n
    d = gained - lost
    half = 1.959964 * math.sqrt((gained + lost - d * d) / n)
    return Interval(max(-1.0, d - half), min(1.0, d + half))


@dataclass(frozen=True)
class Judged:
    """A model's predictions for photos whose classes are known."""

    photos: Photos
    p: Array  # probabilities (photos, classes)
    validation_accuracy: float | None = None

    @property
    def predicted(self) -> Array:
        return self.p.argmax(axis=1)

    @property
    def accuracy(self) -> float:
        return float((self.predicted == self.photos.labels).mean())

    @property
    def loss(self) -> float:
        right = self.p[np.arange(len(self.p)), self.photos.labels]
        return float(-np.log(np.maximum(right, 1e-12)).mean())

    @property
    def macro_f1(self) -> float:
        from sklearn.metrics import f1_score

        return float(
            f1_score(
                self.photos.labels,
                self.predicted,
                labels=range(len(self.photos.class_names)),
                average="macro",
                zero_division=0,
            )
        )

    def report(self) -> str:
        """Return precision, recall and F1 of each class, as scikit-learn prints them."""
        from sklearn.metrics import classification_report

        names = [printable(name) for name in self.photos.class_names]
        text: str = classification_report(
            self.photos.labels,
            self.predicted,
            labels=range(len(names)),
            target_names=names,
            digits=3,
            zero_division=0,
        )
        return text

    def confusion(self) -> Array:
        """Return at [row, column] how many photos of class `row` were taken for class `column`."""
        from sklearn.metrics import confusion_matrix

        found: Array = confusion_matrix(
            self.photos.labels, self.predicted, labels=range(len(self.photos.class_names))
        )
        return found

    def mistakes(self) -> list[int]:
        """Return the misclassified photos, the most confident mistakes first."""
        wrong = np.flatnonzero(self.predicted != self.photos.labels)
        order = np.argsort(-self.p[wrong].max(axis=1), kind="stable")
        return [int(i) for i in wrong[order]]

    def summary(self) -> str:
        """Return the results in a few sentences."""
        count = len(self.photos)
        lines = [
            f"{self.photos.name.capitalize()} accuracy: {self.accuracy:.3f} "
            f"{interval(self.accuracy, count)}, macro-F1 {self.macro_f1:.3f}, "
            f"loss {self.loss:.3f}, expected calibration error "
            f"{calibration.error(self.p, self.photos.labels):.3f}, on {count} photos."
        ]
        if self.validation_accuracy is not None:
            # Keras's accuracy is a float32: equal ones may differ in the eighth digit.
            drop = round(self.validation_accuracy - self.accuracy, 6)
            lines.append(
                f"That is {abs(drop):.3f} {'below' if drop >= 0 else 'above'} the best validation "
                f"accuracy ({self.validation_accuracy:.3f})"
                + (", which chose the epoch and so flatters the model." if drop > 0 else ".")
            )
        return " ".join(lines)


def evaluate(saved: Saved, photos: Photos, validation_accuracy: float | None = None) -> Judged:
    """Predict these photos, read in the same way as the model's training photos.

    Raises `ValueError` if the photos' classes are not the model's. If only their order differs,
    this renumbers the photos' labels by name.
    """
    about = saved.about
    if set(photos.class_names) != set(about.class_names):
        raise ValueError(
            f"The model tells {', '.join(about.class_names)} apart. The class folders of "
            f"{photos.name} are {', '.join(photos.class_names)}."
        )
    if list(photos.class_names) != about.class_names:
        say("The class folders are in another order than the model's classes: matched by name.")
        place = np.array([about.class_names.index(name) for name in photos.class_names])
        photos = Photos(photos.name, photos.paths, place[photos.labels], tuple(about.class_names))
    logits = features.outputs(saved.model, photos, about.reader, f"Evaluating {photos.name}")
    return Judged(photos, probabilities(logits), validation_accuracy)


def probabilities(logits: Array) -> Array:
    """Return the softmax of logits, in float64."""
    z = np.exp(np.float64(logits) - logits.max(axis=1, keepdims=True))
    return np.asarray(z / z.sum(axis=1, keepdims=True))


# ---------------------------------------------------------------------------------------------
# Pictures
# ---------------------------------------------------------------------------------------------


def confusion_picture(judged: Judged) -> Any:
    """Return a matplotlib `Figure` of the confusion matrix: rows are the truth."""
    from matplotlib.figure import Figure

    names, counts = [printable(name) for name in judged.photos.class_names], judged.confusion()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 2.6 + 0.52 * len(names)
    figure = Figure(figsize=(size + 0.6, size), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("taken for")
    axes.set_ylabel("is")
    for row, column in np.ndindex(counts.shape):
        if counts[row, column]:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
    axes.set_title(f"{judged.photos.name}: accuracy {judged.accuracy:.3f}")
    figure.colorbar(image, ax=axes, fraction=0.046, label="share of the row")
    return figure


def contact_sheet(judged: Judged, shown: int = SHOWN_MISTAKES) -> Any:
    """Return a matplotlib `Figure` of the most confident mistakes, each with truth and answer."""
    from matplotlib.figure import Figure

    chosen = judged.mistakes()[:shown]
    columns = min(6, max(1, len(chosen)))
    rows = max(1, -(-len(chosen) // columns))
    figure = Figure(figsize=(2.1 * columns, 2.5 * rows + 0.4), layout="constrained")
    names = [printable(name) for name in judged.photos.class_names]
    for place, index in enumerate(chosen, 1):
        axes = figure.add_subplot(rows, columns, place)
        axes.imshow(data.image_of(judged.photos.paths[index]))
        axes.set_axis_off()
        guess = int(judged.predicted[index])
        axes.set_title(
            f"{names[guess]} {judged.p[index, guess]:.0%}\nis {names[judged.photos.labels[index]]}",
            fontsize=9,
        )
    title = "The most confident mistakes" if chosen else "No mistakes"
    figure.suptitle(f"{title} ({judged.photos.name})")
    return figure


def write(judged: Judged, folder: Path) -> list[str]:
    """Write the numbers and their pictures; return the names of the files."""
    folder.mkdir(parents=True, exist_ok=True)
    name = judged.photos.name
    low, high = interval(judged.accuracy, len(judged.photos))
    told = {
        "split": name,
        "photos": len(judged.photos),
        "accuracy": judged.accuracy,
        "interval_95": [low, high],
        "macro_f1": judged.macro_f1,
        "loss": judged.loss,
        "expected_calibration_error": calibration.error(judged.p, judged.photos.labels),
        "validation_accuracy": judged.validation_accuracy,
        "class_names": list(judged.photos.class_names),
        "confusion": judged.confusion().tolist(),
        "mistakes": [judged.photos.paths[i] for i in judged.mistakes()],
    }
    texts = {
        "evaluation.json": json.dumps(told, indent=2),
        "report.txt": f"{judged.summary()}\n\n{judged.report()}",
    }
    for file, text in texts.items():
        with replacing(folder / file) as temporary:
            # A byte of a class's name that is not text appears as in Python, "\\udce9".
            temporary.write_text(text + "\n", "utf-8", "backslashreplace")
    lists.write_table(folder / "confused.csv", *mistakes.pair_table(judged))
    mistakes.write_probabilities(judged, folder / f"probabilities-{name}.csv")
    plots.save(confusion_picture(judged), folder / "confusion.png")
    plots.save(contact_sheet(judged), folder / "mistakes.png")
    reliability = calibration.picture(judged.p, judged.photos.labels, name)
    plots.save(reliability, folder / "calibration.png")
    tables = ["confused.csv", f"probabilities-{name}.csv"]
    return [*texts, *tables, "confusion.png", "mistakes.png", "calibration.png"]


# ---------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    made = make_parser(
        "evaluate",
        "Evaluates a model on photos that it has never seen: accuracy with its interval,\n"
        "macro-F1, a table by class, the confusion matrix, the most confident mistakes.\n\n"
        "Writes into --output: evaluation.html (confused pairs; what the network looked at),\n"
        "evaluation.json, report.txt, probabilities-SPLIT.csv, confused.csv, and pictures.",
        "example:\n  python -m reference.evaluate runs/reference/model.keras --data photos",
    )
    made.add_argument(
        "model", type=path_to_write, metavar="MODEL", help="a file that reference.train wrote"
    )
    made.add_argument("--data", required=True, metavar="DIR", help="as for reference.train")
    made.add_argument("--split", choices=data.SPLITS, default="test", help="default: test")
    made.add_argument(
        "--output", type=path_to_write, metavar="DIR", help="default: the model's folder"
    )
    made.add_argument(
        "--skip-bad-images", action="store_true", help="leave damaged photos out, by name"
    )
    made.add_argument("--explain", type=count, default=0, metavar="N",
        help="also write a page with every number (minicnn explain) of the N most confident "
        "mistakes; default: 0, the commands alone")  # fmt: skip
    return made


def command(options: argparse.Namespace) -> None:
    check_output("--output", options.output or options.model.parent)
    backend.make_exact()
    saved = models.load(options.model)
    found = data.find_one(data.locate(options.data), options.split)
    if options.explain:
        mistakes.check_explain(options.model, found.paths)
    photos = data.check(found, options.skip_bad_images)
    validation = saved.about.training.get("val_accuracy") if options.split == "test" else None
    judged = evaluate(saved, photos, validation)
    output = options.output or options.model.parent
    written = write(judged, output)  # before printing: the reader may close the pipe early
    shown = max(SHOWN_MISTAKES, options.explain)
    written += mistakes.write(judged, saved, options.model, output, shown, options.explain)
    say(judged.summary())
    say(judged.report())
    say(f"Wrote into {output}: {', '.join(written)}.")


def run(arguments: Sequence[str] | None = None) -> int:
    return main(parser(), command, arguments)


if __name__ == "__main__":
    sys.exit(run())
