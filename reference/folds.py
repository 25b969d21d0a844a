"""Measures a setting by cross-validation: k folds, repeated, or random splits, with an interval.

    python -m reference.folds --data photos --folds 5 --repeats 3

A few hundred validation photos say little, and choosing the best epoch flatters a model. Here
models that have not seen a photo of train or validation judge it, after their last epoch, and the
test photos are not used. What never learns, such as a frozen base, runs once over all photos.
"""

import argparse
import csv
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from minicnn._support.arguments import count, path_to_write, positive
from minicnn._support.atomic import replacing
from minicnn._support.terminal import say
from reference import config, data, features, fitting, lists, loggers, tuning
from reference import model as models
from reference import sweep as sweeps
from reference.backend import Machine
from reference.batches import Batches, pixels
from reference.console import (
    add_backend_options,
    add_base_options,
    add_data_options,
    main,
    make_parser,
    progress,
)
from reference.data import Photos, Reader, Splits
from reference.features import Features
from reference.fitting import History, Settings
from reference.loggers import Trials
from reference.model import Base
from reference.starting import (
    add_training_options,
    check_fine_tuning,
    check_holds_no_model,
    named,
    prepare,
    settings_from,
)
from reference.sweep import Row, Sweep, Trial, make_head

Array = np.ndarray
Rows = Array | Callable[[Array], Array]


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
    """Return random splits, each of which judges this share of each class."""
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


# ---------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """What the layers that never learn make of the photos of train and validation, once for all.

    `maps` has a row for each photo: what crosses the cut before layer number `cut`, where
    fine-tuning begins; or, if this would not fit into memory, pixels. A function makes rows from
    their numbers. Without fine-tuning both are None.
    """

    base: Base
    found: Features
    cut: int | None = None
    maps: Rows | None = None
    are_pixels: bool = False

    def part(self, rows: Array) -> Features:
        return replace(self.found, x=self.found.x[rows], y=self.found.y[rows])


def source_of(
    splits: Splits,
    reader: Reader,
    base: Base,
    settings: Settings,
    machine: Machine,
    cache: Path | None,
) -> Source:
    """Run the layers that never learn over the photos, or take from the cache what they made."""

    def extracted(first: int | None = None) -> Features:
        both = features.extract_both(
            splits, reader, base, machine, cache, batch_size=settings.batch_size, first=first
        )
        x, y = (np.concatenate([getattr(part, name) for part in both]) for name in "xy")
        return replace(both[0], x=x, y=y)

    if settings.fine_tune is None:
        return Source(base, extracted())
    cut = tuning.stages(base.network, settings.fine_tune)[-1]
    photos = together(splits)
    if tuning.fits(base, cut, len(photos)):
        return Source(base, extracted(), cut, extracted(cut).x)
    return Source(base, extracted(), cut, pixels(photos, reader), are_pixels=True)


def together(splits: Splits) -> Photos:
    """Return the photos of train and validation as one split."""
    first, second = splits.train, splits.validation
    labels = np.concatenate([first.labels, second.labels])
    return replace(first, paths=first.paths + second.paths, labels=labels)


def last_logits(
    source: Source,
    part: Part,
    settings: Settings,
    machine: Machine,
    watching: Sequence[keras.callbacks.Callback] = (),
) -> tuple[History, Array]:
    """Train on the part, and return the history and the logits of the photos that it judges.

    Trains as `reference.train` does, but the judged photos choose nothing: fine-tuning goes on from
    the last epoch of the head, and the last epoch counts.
    """
    base, x, y = source.base, source.found.x, source.found.y
    frozen, history = base.network.get_weights(), fitting.empty_history()
    weights = fitting.balanced(y[part.train]) if settings.class_weights else None

    def judged(rows: Rows) -> Batches:
        return Batches(_chosen(rows, part.judged), y[part.judged], settings.batch_size)

    def train(learner: keras.Model, rows: Rows, rate: float, epochs: int, **more: Any) -> None:
        training = Batches(
            _chosen(rows, part.train), y[part.train], settings.batch_size, settings.seed,
            weights=weights,
        )  # fmt: skip
        done = len(history["loss"])
        fitting.fit_rows(
            learner, settings, rate, training, judged(rows), range(done, done + epochs), machine,
            [fitting.Record(history), *watching], **more,
        )  # fmt: skip
        with fitting.averaged(learner):
            last = learner.get_weights()
        learner.set_weights(last)

    keras.utils.set_random_seed(settings.seed)
    if settings.fine_tune is None:
        with machine.scope():
            head = make_head(settings, source.found)
        train(head, x, settings.learning_rate, settings.epochs)
        return history, _logits(head, judged(x))
    assert source.maps is not None
    assert source.cut is not None
    with machine.scope():
        whole = models.make_model(
            base, y.shape[1], settings.learning_rate, settings.size_inner, settings.droprate
        )
        head = models.head_of(whole)
    train(head, x, settings.learning_rate, settings.epochs)
    for first in tuning.stages(base.network, settings.fine_tune):
        tuning.thaw(base.network, first)
        with machine.scope():
            if source.are_pixels:
                learner = keras.Model(whole.inputs, whole.outputs)
            else:
                learner = tuning.behind(whole, base, source.cut)
        train(
            learner, source.maps, settings.fine_tune_rate, settings.fine_tune_epochs, small=False,
            factors=tuning.factors(learner, base.network, settings.block_decay),
        )  # fmt: skip
    logits = _logits(learner, judged(source.maps))
    base.network.set_weights(frozen)
    base.network.trainable = False
    return history, logits


def _logits(model: keras.Model, batches: Batches) -> Array:
    """Return a model's outputs without `predict`, which would be compiled for this one use."""
    outputs = [model(batches[number][0], training=False) for number in range(len(batches))]
    return np.concatenate([keras.ops.convert_to_numpy(y) for y in outputs])


def _chosen(rows: Rows, numbers: Array) -> Callable[[Array], Array]:
    """Return what reads these rows, without a copy of all of them."""
    return lambda some: rows(numbers[some]) if callable(rows) else rows[numbers[some]]


def measure(
    source: Source,
    parts: Sequence[Part],
    settings: Settings,
    machine: Machine,
    kept: Path,
    resume: bool = False,
    show: bool = True,
    logged: Trials | None = None,
) -> list[float]:
    """Return the accuracy on each part's judged photos, after the last epoch (see `last_logits`).

    With `settings.ensemble` it is that of several trainings' average. The folder `kept` gets a file
    for each finished part, and with `resume` parts with a file are not trained again.
    """
    accuracies = []
    logged = logged or Trials()
    with progress("Folds", len(parts), show) as advance:
        for number, part in enumerate(parts):
            chosen = replace(settings, seed=settings.seed + number)
            path = kept / f"{number}.npz"
            about = sweeps.key([(part.name, chosen)], [], source.part(part.train),
                               source.part(part.judged), machine)  # fmt: skip
            if settings.fine_tune is not None:
                about += source.base.sha256()
            found = sweeps.read_sweep(path, about) if resume else None
            if found is None:
                row = Row(part.name, [_trial(source, part, chosen, machine, logged)])
                found = Sweep("folds", [row], len(part.judged))
                sweeps.write_sweep(path, found, about)
            accuracies.append(float(found.rows[0].trials[0].right.mean()))
            advance(1)
    return accuracies


def _trial(
    source: Source, part: Part, settings: Settings, machine: Machine, logged: Trials
) -> Trial:
    """Train on the part, with each seed, and judge what the trainings say together."""
    truth = source.found.y[part.judged].argmax(axis=1)
    history, logits = fitting.empty_history(), []
    for seed in range(settings.seed, settings.seed + settings.ensemble):
        alone = replace(settings, seed=seed, ensemble=1)
        name = f"{part.name}, seed {seed}" if settings.ensemble > 1 else part.name
        with logged.one(name, named(alone)) as watching:
            history, found = last_logits(source, part, alone, machine, watching)
            logits.append(found)
            for logger in watching:
                logger.end({"judged_accuracy": float((found.argmax(axis=1) == truth).mean())})
    return Trial(settings, history, [], np.mean(logits, axis=0).argmax(axis=1) == truth)


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
        "  python -m reference.folds --data photos --splits 20 --inner 100\n"
        "  python -m reference.folds --data photos --fine-tune auto --fine-tune-rate 0.001",
    )
    add_data_options(made)
    add_base_options(made)
    add = made.add_argument_group("what to measure").add_argument
    add("--folds", type=positive, default=5, metavar="K", help="default: 5")
    add("--repeats", type=positive, default=1, metavar="N",
        help="times to divide into other folds; default: 1")  # fmt: skip
    add("--splits", type=count, default=0, metavar="N",
        help="instead of folds: random splits, which judge a fifth of the photos each")  # fmt: skip
    add_training_options(add)
    add("--output", type=path_to_write, default=Path("runs/folds"), metavar="DIR",
        help="default: runs/folds")  # fmt: skip
    add("--resume", action="store_true",
        help="train only the parts that an interrupted run in --output did not finish")  # fmt: skip
    loggers.add_option(add)
    add_backend_options(made)
    return made


def command(options: argparse.Namespace) -> None:
    if options.processes is not None:
        raise ValueError("Cross-validation takes one process: no --processes.")
    if options.splits == 1 or (not options.splits and options.folds < 2):
        raise ValueError("An interval needs at least --folds 2, or --splits 2.")
    check_fine_tuning(options)
    check_holds_no_model(options.output)
    settings = settings_from(options)
    logged = Trials(options.logger, options.output)
    machine, splits, reader, base = prepare(options)
    if settings.fine_tune is not None:
        tuning.stages(base.network, settings.fine_tune)  # raises for an unknown name
    photos = together(splits)
    data.check_enough(photos, 2 if options.splits else options.folds, "one for each part")
    if options.splits:
        parts = split_parts(photos.labels, options.splits, 0.2, options.seed)
    else:
        parts = fold_parts(photos.labels, options.folds, options.repeats, options.seed)
    source = source_of(splits, reader, base, settings, machine, options.cache)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "folds.csv"
    if not path.exists():  # whose options config.toml would have
        config.write(parser(), options, machine.made_with)
    accuracies = measure(
        source, parts, settings, machine, options.output / "parts", options.resume, logged=logged
    )
    path.unlink(missing_ok=True)  # what was there is of other options
    config.write(parser(), options, machine.made_with)
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["part", "trained on", "judged", "accuracy"])
        for part, accuracy in zip(parts, accuracies, strict=True):
            table.writerow([part.name, len(part.train), len(part.judged), accuracy])
            say(f"  {part.name}: {accuracy:.3f} of {len(part.judged)} photos")
    found = estimate(accuracies, parts)
    say(f"Accuracy of {settings}{epochs_of(settings)}: {found}.")
    low, high = found.naive
    say(
        f"If all {len(parts)} were independent, the interval would be {low:.3f} to {high:.3f}: "
        "too narrow, since they share training photos. The test photos have not been touched."
    )
    say(f"Wrote {path}.")


def epochs_of(settings: Settings) -> str:
    """Return the words for the epochs, except for those that a schedule's name includes."""

    def told(number: int) -> str:
        return f"{number} epoch{'s' * (number != 1)}"

    words = [told(settings.epochs)] if settings.schedule == "constant" else []
    if settings.fine_tune is not None:
        each = " in each stage" if "," in settings.fine_tune else ""
        words.append(f"{told(settings.fine_tune_epochs)} of fine-tuning{each}")
    return f", after {' and '.join(words)}" if words else ""


def run(arguments: Sequence[str] | None = None) -> int:
    return main(parser(), command, arguments)


if __name__ == "__main__":
    sys.exit(run())
