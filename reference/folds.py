"""Measures a setting by cross-validation: k folds, repeated, or random splits, with an interval.

    python -m reference.folds --data photos --folds 5 --repeats 3

A few hundred validation photos say little, and choosing the best epoch flatters a model. Here heads
that have not seen a photo of train or validation judge it, after their last epoch, and the test
photos are not used. The base runs once; only heads are trained again.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minicnn._support.arguments import count, positive, rate, share
from minicnn._support.atomic import replacing
from minicnn._support.terminal import say
from reference import config, data, features, lists, loggers
from reference.backend import Machine
from reference.console import (
    add_backend_options,
    add_base_options,
    add_data_options,
    main,
    make_parser,
    progress,
)
from reference.features import Features
from reference.fitting import Settings
from reference.loggers import Trials
from reference.starting import add_schedule_options, check_holds_no_model, prepare
from reference.sweep import try_head

Array = np.ndarray


class Part(NamedTuple):
    """A division of the photos: the rows to train on, and those to judge by."""

    name: str
    train: Array
    judged: Array


def fold_parts(labels: Array, folds: int, repeats: int, seed: int = 0) -> list[Part]:
    """Return each fold judged by the others; each repeat with other folds."""
    parts = []
    for repeat in range(repeats):
        found = lists.folds(labels, folds, seed + repeat)
        for number, judged in enumerate(found):
            others = np.setdiff1d(np.arange(len(labels)), judged)
            parts.append(Part(f"repeat {repeat + 1}, fold {number + 1}", others, judged))
    return parts


def split_parts(labels: Array, splits: int, judged_share: float, seed: int = 0) -> list[Part]:
    """Random splits, each of which judges this share of each class."""
    parts = []
    for number in range(splits):
        shares = {"train": 1 - judged_share, "judged": judged_share}
        rows = lists.divided(labels, shares, seed + number)
        parts.append(Part(f"split {number + 1}", np.array(rows["train"]), np.array(rows["judged"])))
    return parts


class Estimate(NamedTuple):
    """A mean accuracy and its 95 % interval; `naive` is the interval if all were independent."""

    mean: float
    low: float
    high: float
    naive: tuple[float, float]

    def __str__(self) -> str:
        return f"{self.mean:.3f} (95 % interval {self.low:.3f} to {self.high:.3f})"


def estimate(accuracies: Sequence[float], parts: Sequence[Part]) -> Estimate:
    """Return the mean accuracy and its interval (Nadeau and Bengio 2003, "corrected resampled t").

        mean ± t · s · √(1/J + judged/trained)

    with the standard deviation s of J accuracies, and t of J - 1 degrees of freedom. Without the
    second term the interval would be far too narrow: the parts share most of their training photos,
    so their accuracies are not independent.
    """
    from scipy.stats import t

    values = np.asarray(accuracies, np.float64)
    number = len(values)
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    ratio = float(np.mean([len(part.judged) / len(part.train) for part in parts]))
    reach = float(t.ppf(0.975, number - 1)) * spread
    half, naive = reach * np.sqrt(1 / number + ratio), reach * np.sqrt(1 / number)
    return Estimate(
        mean, float(max(0.0, mean - half)), float(min(1.0, mean + half)),
        (float(max(0.0, mean - naive)), float(min(1.0, mean + naive))),
    )  # fmt: skip


def measure(
    found: Features,
    parts: Sequence[Part],
    settings: Settings,
    machine: Machine,
    show: bool = True,
    logged: Trials | None = None,
) -> list[float]:
    """Return the accuracy on each part's judged photos, after the last epoch of a head."""
    accuracies = []
    logged = logged or Trials()
    with progress("Folds", len(parts), show) as advance:
        for number, part in enumerate(parts):
            chosen = replace(settings, seed=settings.seed + number)
            train, judged = (
                replace(found, x=found.x[rows], y=found.y[rows])
                for rows in (part.train, part.judged)
            )
            with logged.one(part.name, asdict(chosen)) as watching:
                trial = try_head(chosen, train, judged, machine, watching)
                accuracies.append(trial.history["val_accuracy"][-1])
                for logger in watching:
                    logger.end({"judged_accuracy": accuracies[-1]})
            advance(1)
    return accuracies


# ---------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    made = make_parser(
        "folds",
        "Measures a setting by cross-validation on the photos of train and validation, with an\n"
        "interval that knows that folds share training photos. Writes folds.csv into --output.",
        "examples:\n"
        "  python -m reference.folds --data download --folds 5 --repeats 3\n"
        "  python -m reference.folds --data photos --splits 20 --inner 100",
    )
    add_data_options(made)
    add_base_options(made)
    add = made.add_argument_group("what to measure").add_argument
    add("--folds", type=positive, default=5, metavar="K", help="default: 5")
    add("--repeats", type=positive, default=1, metavar="N",
        help="times to divide into other folds; default: 1")  # fmt: skip
    add("--splits", type=count, default=0, metavar="N",
        help="instead of folds: random splits, which judge a fifth of the photos each")  # fmt: skip
    add("--learning-rate", type=rate, default=0.001, metavar="LR", help="default: 0.001")
    add("--inner", type=count, default=0, metavar="N", help="units of an inner layer; default: 0")
    add("--dropout", type=share, default=0.0, metavar="RATE", help="default: 0")
    add("--epochs", type=positive, default=10, metavar="N", help="default: 10")
    add("--batch-size", type=positive, default=32, metavar="N", help="default: 32")
    add_schedule_options(add)
    add("--output", type=Path, default=Path("runs/folds"), metavar="DIR",
        help="default: runs/folds")  # fmt: skip
    loggers.add_option(add)
    add_backend_options(made)
    return made


def command(options: argparse.Namespace) -> None:
    if options.processes is not None:
        raise ValueError("Heads are small, and one process trains them fast: no --processes.")
    if options.splits == 1 or (not options.splits and options.folds < 2):
        raise ValueError("An interval needs at least --folds 2, or --splits 2.")
    check_holds_no_model(options.output)
    settings = Settings(
        options.learning_rate, options.inner, options.dropout, options.epochs, options.batch_size,
        options.seed, schedule=options.schedule, warmup=options.warmup,
    )  # fmt: skip
    logged = Trials(options.logger, options.output)
    machine, splits, reader, base = prepare(options)
    train, validation = features.extract_both(
        splits, reader, base, machine, options.cache, batch_size=options.batch_size
    )
    labels = np.concatenate([splits.train.labels, splits.validation.labels])
    whole = replace(splits.train, paths=splits.train.paths + splits.validation.paths, labels=labels)
    data.check_enough(whole, 2 if options.splits else options.folds, "one for each part")
    found = replace(
        train,
        x=np.concatenate([train.x, validation.x]),
        y=np.concatenate([train.y, validation.y]),
    )
    if options.splits:
        parts = split_parts(labels, options.splits, 0.2, options.seed)
    else:
        parts = fold_parts(labels, options.folds, options.repeats, options.seed)
    options.output.mkdir(parents=True, exist_ok=True)
    accuracies = measure(found, parts, settings, machine, logged=logged)
    path = options.output / "folds.csv"
    path.unlink(missing_ok=True)  # what was there is of other options
    config.write(parser(), options, machine.made_with)
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["part", "trained on", "judged", "accuracy"])
        for part, accuracy in zip(parts, accuracies, strict=True):
            table.writerow([part.name, len(part.train), len(part.judged), accuracy])
            say(f"  {part.name}: {accuracy:.3f} of {len(part.judged)} photos")
    told = estimate(accuracies, parts)
    # A schedule's name includes its epochs.
    after = f" after {settings.epochs} epochs" if settings.schedule == "constant" else ""
    say(f"Accuracy of {settings}{after}: {told}.")
    low, high = told.naive
    say(
        f"If all {len(parts)} were independent, the interval would be {low:.3f} to {high:.3f}: "
        "too narrow, since they share training photos. The test photos have not been touched."
    )
    say(f"Wrote {path}.")


def run(arguments: Sequence[str] | None = None) -> int:
    return main(parser(), command, None if arguments is None else list(arguments))


if __name__ == "__main__":
    sys.exit(run())
