"""`reference.train --preset best`: what won on validation, and what each part of it gives.

    python -m reference.train --data clothing-dataset-small --preset best

A preset is a list of parts, each a few options. This trains with the first part, with the first
two, and so on, each with several seeds, and prints what each adds (an ablation). `reference.train`
then trains with the parts that were the best on the validation photos; nothing else is needed. What
these photos say of their own choice is too good, so cross-validation says what to expect.

Options of the command line, or of --config, override those of the preset; they are not compared,
and a message says so. A config.toml that a run wrote names all options: its defaults do not count
as given.
"""

import argparse
import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from minicnn._support.terminal import say
from reference import features, fitting, folds, sizes, tuning
from reference import sweep as sweeps
from reference.backend import Machine
from reference.data import Splits
from reference.features import Features
from reference.report import Page
from reference.starting import base_of, prepare, reader_of, settings_from
from reference.sweep import Row, Sweep, Trial, print_sweep

SEEDS, FOLDS = 5, 5
IMAGE_SIZES = (150, 192, 224)


class Part(NamedTuple):
    """An addition to the parts before it: its name (with options in it), and options by name."""

    label: str
    options: dict[str, Any]


def parts(seen: Sequence[int], reading: str) -> list[Part]:
    """Return the parts of the preset "best", for the base's sizes and the way of reading photos."""
    small, large = min(seen), max(seen)
    found = [
        Part(f"{small} pixels, {reading}", {"image_size": small, "image_sizes": None}),
        Part("antialiased reading", {"antialias": True}),
    ]
    if len(seen) > 1:
        both = {"image_size": None, "image_sizes": list(seen)}
        found += [
            Part(f"{large} pixels instead", {"image_size": large}),
            Part(f"{sizes.told(seen)} side by side", both),
        ]
    # A constant rate is still too high in the last epochs, and 10 epochs are too few for a
    # schedule.
    schedule = {"schedule": "one-cycle", "epochs": 40}
    found.append(Part("{schedule}, {epochs} epochs", schedule))
    return [*found, Part("{ensemble} seeds in one model", {"ensemble": SEEDS})]


@dataclass
class Ablation(Sweep):
    """A comparison whose rows have the parts of the rows above them, too."""

    def table(self) -> tuple[list[str], list[list[str]]]:
        head, rows = super().table()
        means = [row.mean for row in self.rows]
        gains = ["–", *(f"{100 * (b - a):+.1f}" for a, b in itertools.pairwise(means))]
        place = head.index("mean") + 1
        head.insert(place, "points")
        for row, gain in zip(rows, gains, strict=True):
            row.insert(place, gain)
        return head, rows


class Expected(NamedTuple):
    """The accuracy to expect from new photos, by cross-validation of these."""

    estimate: folds.Estimate
    photos: int

    def __str__(self) -> str:
        return (
            f"Expect an accuracy of {self.estimate} from new photos, by cross-validation of the "
            f"{self.photos} photos of train and validation, in which no model has seen the photos "
            "that it judges."
        )


def choose(options: argparse.Namespace) -> tuple[argparse.Namespace, Expected]:
    """Compare the parts of the preset on validation, and return the options that were the best.

    The validation photos chose them, so what they say is too good: the second result is the
    accuracy to expect from other photos. Writes ablation.html and ablation.csv into
    `options.output`. What is finished is kept there, and with `options.resume` it is not computed
    again.
    """
    if options.processes is not None:
        raise ValueError("A preset compares small heads, which one process does fast: "
                         "no --processes.")  # fmt: skip
    if settings_from(options).renews:
        raise ValueError(
            "--preset best learns from features that are computed once: no --augment, "
            "--randaugment, --erasing, --mixup, --cutmix."
        )
    candidates = with_parts(options)
    # Errors in a later part, or in the final training, are reported before the work.
    for label, chosen in candidates:
        try:
            settings_from(chosen)
        except ValueError as error:
            raise ValueError(f"--preset best, {label}: {error}") from None
    if taken := as_given(options):
        say(f"Not compared, since they are given: {', '.join(taken)}.")
    machine, splits, _, base = prepare(options, _seen(options))
    if options.fine_tune:
        tuning.stages(base.network, options.fine_tune)
    rows: list[Row] = []
    for number, (label, chosen) in enumerate(candidates):
        read = _features(chosen, splits, machine)
        if rows and chosen.ensemble > candidates[number - 1][1].ensemble:
            rows.append(Row(label, [together(rows[-1], *read)]))
            continue
        kept = options.output / "parts" / f"{number}.npz"
        rows.append(row_of(label, chosen, *read, machine, kept))
    found = Ablation("with all above", rows, len(splits.validation))
    print_sweep(found)
    chosen = candidates[found.best_row][1]
    expected = expect(chosen, splits, machine)
    _write(found, expected, options.output, machine)
    return chosen, expected


def _seen(options: argparse.Namespace) -> Sequence[int]:
    return options.image_sizes or ([options.image_size] if options.image_size else IMAGE_SIZES)


def _sizes(options: argparse.Namespace) -> Sequence[int]:
    """Return the sizes at which the base sees a photo, of a row's options."""
    return options.image_sizes or [options.image_size]


def as_given(options: argparse.Namespace) -> list[str]:
    """Return the given options, as words, that the preset would otherwise compare."""
    compared = {name for part in parts(IMAGE_SIZES, "") for name in part.options}
    if options.image_sizes:  # each of them is compared
        compared.remove("image_sizes")
    found = {
        name: getattr(options, name) for name in sorted(compared & options.given)
        if getattr(options, name) is not None
    }  # fmt: skip
    return [
        f"--{'no-' * (value is False)}{name.replace('_', '-')}"
        + (f" {value}" if not isinstance(value, bool) else "")
        for name, value in found.items()
    ]


def with_parts(options: argparse.Namespace) -> list[tuple[str, argparse.Namespace]]:
    """Return the options with one part, two, and so on, each with the last part's name."""
    given, seen = options.given - {"image_size", "image_sizes"}, _seen(options)
    reading = reader_of(options, seen).interpolation.replace("antialias", "antialiased")
    current = copy.copy(options)
    current.preset = None
    found = []
    for part in parts(seen, reading):
        added = {name: value for name, value in part.options.items() if name not in given}
        if not added or ("antialias" in added and options.course_compatible):
            continue
        current = copy.copy(current)
        vars(current).update(added)
        found.append((part.label.format(**vars(current)), current))
    return found


def _features(
    options: argparse.Namespace, splits: Splits, machine: Machine
) -> tuple[Features, Features]:
    seen = _sizes(options)
    base, reader = base_of(options, seen, machine), reader_of(options, seen)
    return features.extract_both(
        splits, reader, base, machine, options.cache, batch_size=options.batch_size
    )


def expect(options: argparse.Namespace, splits: Splits, machine: Machine) -> Expected:
    """Cross-validate the options on the photos of train and validation (see `reference.folds`).

    The models are those of the last epoch, without mirror images.
    """
    settings = replace(settings_from(options), flips=False, calibrate=False, patience=None)
    seen, labels = _sizes(options), folds.together(splits).labels
    base, reader = base_of(options, seen, machine), reader_of(options, seen)
    source = folds.source_of(splits, reader, base, settings, machine, options.cache)
    parts = folds.fold_parts(labels, min(FOLDS, int(np.bincount(labels).min())), 1, options.seed)
    kept = options.output / "parts" / "folds"
    accuracies = folds.measure(source, parts, settings, machine, kept, options.resume)
    return Expected(folds.estimate(accuracies, parts), len(labels))


def row_of(
    label: str,
    options: argparse.Namespace,
    train: Features,
    validation: Features,
    machine: Machine,
    kept: Path,
) -> Row:
    """Train heads with these options and several seeds."""
    values = [(label, settings_from(options))]
    seeds = [options.seed + number for number in range(SEEDS)]
    about = sweeps.key(values, seeds, train, validation, machine)
    found = sweeps.read_sweep(kept, about) if options.resume else None
    if found is None:
        found = sweeps.sweep(label, values, seeds, train, validation, machine)
        sweeps.write_sweep(kept, found, about)
    return found.rows[0]


def together(row: Row, train: Features, validation: Features) -> Trial:
    """Return the heads of a row as one: the average of their logits."""
    head = sweeps.make_head(row.trials[0].settings, train)
    history, right = fitting.empty_history(), np.zeros(0, bool)
    for prefix, found in (("", train), ("val_", validation)):
        logits = []
        for trial in row.trials:
            head.set_weights(trial.weights)
            logits.append(keras.ops.convert_to_numpy(head(found.x)))
        mean = np.mean(logits, axis=0)
        loss, accuracy = fitting.scores(mean, found.y)
        history[f"{prefix}loss"].append(loss)
        history[f"{prefix}accuracy"].append(accuracy)
        right = mean.argmax(axis=1) == found.y.argmax(axis=1)
    return Trial(row.trials[0].settings, history, [], right)


def _write(found: Ablation, expected: Expected, output: Path, machine: Machine) -> None:
    page = Page("What each part gives", machine.describe())
    page.text(
        "Each row has the parts of the rows above it, too; points are what it adds to their mean "
        "validation accuracy, in hundredths."
    )
    page.table(*found.table(), best=found.best_row)
    page.text(found.sentence())
    page.text(str(expected))
    page.picture(found.figure(), "Accuracy by epoch with each part")
    page.write(output / "ablation.html")
    sweeps.write_trials(output / "ablation.csv", [found])
    say(f"Wrote ablation.html and ablation.csv into {output}.\n")
