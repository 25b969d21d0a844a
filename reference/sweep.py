"""Compares image sizes, learning rates, sizes of an inner layer, and dropout rates.

    python -m reference.sweep --data clothing-dataset-small --seeds 3
    python -m reference.sweep --data photos --image-size 150 224 --image-sizes 150 224

A sweep tries each value with several seeds on the cached features, and chooses by validation
accuracy. A few hundred validation photos cannot tell small differences from luck; the table says
which differences are that small.
"""

import argparse
import csv
import hashlib
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from minicnn import plots
from minicnn._support.arguments import count, listed, path_to_write, positive, rate, share
from minicnn._support.atomic import replacing
from minicnn._support.terminal import say
from reference import config, features, fitting, loggers, schedules
from reference import model as models
from reference.backend import Machine
from reference.batches import Batches
from reference.console import (
    IMAGE_SIZE,
    add_backend_options,
    add_base_options,
    add_data_options,
    main,
    make_parser,
    progress,
)
from reference.data import Reader, Splits
from reference.evaluate import interval, mcnemar
from reference.features import Features
from reference.fitting import History, Settings
from reference.loggers import Trials
from reference.model import About, Base
from reference.report import in_columns
from reference.sizes import told as told_sizes
from reference.starting import (
    add_schedule_options,
    base_of,
    check_base_stays,
    named,
    prepare,
    reader_of,
    remove_results,
)

Array = np.ndarray

RATES, INNERS, DROPS = (1e-4, 1e-3, 1e-2, 1e-1), (10, 100, 1000), (0.0, 0.2, 0.5, 0.8)


@dataclass
class Trial:
    """A trained head: its history, the best epoch's weights, and which photos it got right."""

    settings: Settings
    history: History
    weights: list[Array]
    right: Array  # a bool for each validation photo

    @property
    def best(self) -> float:
        return self.history["val_accuracy"][fitting.best_epoch(self.history)]


def make_head(settings: Settings, found: Features) -> keras.Model:
    """Make a head for these features."""
    inputs = keras.Input((found.x.shape[1],), name="features")
    layers = models.head_layers(found.y.shape[1], settings.size_inner, settings.droprate)
    return keras.Model(inputs, models.through(layers, inputs), name="head")


def try_head(
    settings: Settings,
    train: Features,
    validation: Features,
    machine: Machine,
    watching: Sequence[keras.callbacks.Callback] = (),
) -> Trial:
    """Train a head on the features, as `train` does without augmentation, but write nothing."""
    keras.utils.set_random_seed(settings.seed)
    with machine.scope():
        head = make_head(settings, train)
    weights = fitting.balanced(train.y) if settings.class_weights else None
    best, history = fitting.BestWeights(), fitting.empty_history()
    fitting.fit_rows(
        head,
        settings,
        settings.learning_rate,
        Batches(train.x, train.y, settings.batch_size, settings.seed, weights=weights),
        Batches(validation.x, validation.y, settings.batch_size),
        range(settings.epochs),
        machine,
        [best, fitting.Record(history, settings.patience), *watching],
    )
    head.set_weights(best.weights)
    logits = keras.ops.convert_to_numpy(head(validation.x))
    right = logits.argmax(axis=1) == validation.y.argmax(axis=1)
    return Trial(settings, history, best.weights, right)


class Row(NamedTuple):
    """One value of a sweep and its trials, one for each seed."""

    label: str
    trials: list[Trial]

    @property
    def mean(self) -> float:
        return float(np.mean([trial.best for trial in self.trials]))

    @property
    def spread(self) -> float:
        """The standard deviation over the seeds; 0 for one seed."""
        bests = [trial.best for trial in self.trials]
        return float(np.std(bests, ddof=1)) if len(bests) > 1 else 0.0


@dataclass
class Sweep:
    """A comparison: the values tried and how each did."""

    title: str
    rows: list[Row]
    photos: int  # in the validation split
    prefer_small: bool = False  # rows are sizes, smallest first, and smaller ones are preferred

    @property
    def best_row(self) -> int:
        """The row with the best mean; of equal ones the first."""
        return int(np.argmax([row.mean for row in self.rows]))

    @property
    def best(self) -> Trial:
        """The best row's best trial."""
        return max(self.rows[self.best_row].trials, key=lambda trial: trial.best)

    @property
    def error(self) -> float:
        """One standard error of the best mean: how far luck alone moves such a share."""
        mean = self.rows[self.best_row].mean
        return float(np.sqrt(mean * (1 - mean) / self.photos))

    @property
    def chosen(self) -> Trial:
        """The value for the next sweep: the best one, or the smallest that is as good.

        "As good" means within one standard error: the "one standard error rule" (Breiman et al.,
        "Classification and Regression Trees", 1984, section 3.4.3).
        """
        if not self.prefer_small:
            return self.best
        enough = self.rows[self.best_row].mean - self.error
        row = next(row for row in self.rows if row.mean >= enough)
        return max(row.trials, key=lambda trial: trial.best)

    def p_value(self, row: Row) -> float | None:
        """Return McNemar's p between the best row's seeds and this row's; None for the best row."""
        best = self.rows[self.best_row]
        if row is best:
            return None
        ours, theirs = (np.stack([trial.right for trial in r.trials]) for r in (best, row))
        return mcnemar(ours, theirs)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return head and rows, as text."""
        head = [self.title, "seeds", "mean", "spread", "lowest", "highest", "95 % interval", "p"]
        rows = []
        for row in self.rows:
            bests = [trial.best for trial in row.trials]
            low, high = interval(row.mean, self.photos)
            p = self.p_value(row)
            rows.append(
                [
                    row.label,
                    str(len(bests)),
                    f"{row.mean:.3f}",
                    f"{row.spread:.3f}" if len(bests) > 1 else "–",
                    f"{min(bests):.3f}",
                    f"{max(bests):.3f}",
                    f"{low:.3f}–{high:.3f}",
                    "best" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}",
                ]
            )
        return head, rows

    def sentence(self) -> str:
        """Return sentences on what the table does and does not show."""
        best = self.rows[self.best_row]
        others = [row for row in self.rows if row is not best]
        unclear = [row.label for row in others if (self.p_value(row) or 0) >= 0.05]
        clear = [row.label for row in others if row.label not in unclear]
        parts = [
            f"Best by validation accuracy: {best.label} ({best.mean:.3f}). With {self.photos} "
            f"validation photos one standard error is {100 * self.error:.1f} points; each number "
            "is that of the best epoch, and so a little too good."
        ]
        if clear:
            parts.append(f"Worse beyond luck (p below 0.05): {_labels(clear)}.")
        if unclear:
            parts.append(f"Not told apart from the best by these photos: {_labels(unclear)}.")
        chosen = next(row for row in self.rows if self.chosen in row.trials)
        if chosen is not best:
            parts.append(
                f"Going on with {chosen.label}: the smallest within one standard error of the best."
            )
        return " ".join(parts)

    def figure(self) -> Any:
        """Draw training and validation accuracy side by side, of each row's first seed."""
        return plots.sweep({row.label: row.trials[0].history for row in self.rows})


def _labels(labels: Sequence[str]) -> str:
    """Return a list of labels; a label that contains a comma is in quotes."""
    return ", ".join(f'"{label}"' if "," in label else label for label in labels)


def sweep(
    title: str,
    values: Sequence[tuple[str, Settings]],
    seeds: Sequence[int],
    train: Features,
    validation: Features,
    machine: Machine,
    show: bool = True,
    prefer_small: bool = False,
    logged: Trials | None = None,
) -> Sweep:
    """Try each of the labelled settings with each seed."""
    rows = []
    logged = logged or Trials()
    with progress(title, len(values) * len(seeds), show) as advance:
        for label, settings in values:
            trials = []
            for seed in seeds:
                chosen = replace(settings, seed=seed)
                name = f"{title} {label}, seed {seed}"
                with logged.one(name, named(chosen)) as watching:
                    trial = try_head(chosen, train, validation, machine, watching)
                    for logger in watching:
                        logger.end({"best_val_accuracy": trial.best})
                trials.append(trial)
                advance(1)
            rows.append(Row(label, trials))
    return Sweep(title, rows, len(validation), prefer_small)


def rates(base: Settings, values: Sequence[float]) -> list[tuple[str, Settings]]:
    return [(f"{value:g}", replace(base, learning_rate=value)) for value in values]


def inners(base: Settings, values: Sequence[int]) -> list[tuple[str, Settings]]:
    return [(str(value or "none"), replace(base, size_inner=value)) for value in values]


def drops(base: Settings, values: Sequence[float]) -> list[tuple[str, Settings]]:
    return [(f"{value:g}", replace(base, droprate=value)) for value in values]


def compare_sizes(
    readings: Sequence[tuple[Base, Reader]],
    settings: Settings,
    seeds: Sequence[int],
    splits: Splits,
    machine: Machine,
    cache: Path | None,
    logged: Trials | None = None,
) -> Sweep:
    """Try the settings on the features of each of these bases, which see different sizes."""
    rows = []
    for base, reader in readings:
        train, validation = features.extract_both(
            splits, reader, base, machine, cache, batch_size=settings.batch_size
        )
        label = told_sizes(base.seen)
        values = [(label, settings)]
        tried = sweep("image size", values, seeds, train, validation, machine, logged=logged)
        rows += tried.rows
    return Sweep("image size", rows, len(splits.validation))


def write_trials(path: Path, sweeps: Sequence[Sweep]) -> None:
    """Write every epoch of every trial as CSV."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        table = csv.writer(file)
        names = ["learning_rate", "size_inner", "droprate", "seed"]
        table.writerow(["sweep", "value", *names, "epoch", *fitting.COLUMNS])
        for found in sweeps:
            for label, trial in ((row.label, trial) for row in found.rows for trial in row.trials):
                values = [label, *(getattr(trial.settings, name) for name in names)]
                epochs = zip(*(trial.history[name] for name in fitting.COLUMNS), strict=True)
                for epoch, numbers in enumerate(epochs, start=1):
                    table.writerow([found.title, *values, epoch, *numbers])


def write_winner(
    path: Path, trial: Trial, base: Base, splits: Splits, reader: Reader, machine: Machine
) -> keras.Model:
    """Write the trial's head after its base as one model file, and return the model."""
    settings = trial.settings
    whole = models.make_model(
        base,
        len(splits.train.class_names),
        settings.learning_rate,
        settings.size_inner,
        settings.droprate,
    )
    models.head_of(whole).set_weights(trial.weights)
    about = About(
        list(splits.train.class_names), reader.image_size, reader.interpolation, base.name,
        base.input_range, settings.size_inner, settings.droprate, list(base.sizes),
        {"val_accuracy": trial.best, "made_with": machine.describe()},
    )  # fmt: skip
    models.save(whole, path, about)
    return whole


def naive_epoch_seconds(
    splits: Splits, base: Base, settings: Settings, reader: Reader, machine: Machine
) -> float:
    """Time one epoch without cached features: decode all photos and run the whole network.

    A step before the clock starts excludes tracing and compiling.
    """
    with machine.scope():
        whole = models.make_model(base, len(splits.train.class_names), settings.learning_rate)
        models.compile_for(whole, settings.learning_rate, machine.jit_compile(small=False))
    parts = []
    for photos in splits[:2]:
        assert photos is not None
        read = _reading(photos.paths, reader)
        parts.append(Batches(read, photos.one_hot(), settings.batch_size, settings.seed))
    for batches in parts:
        whole.train_on_batch(*batches[0])
        whole.test_on_batch(*batches[0])
    start = time.perf_counter()
    fitting.run_epochs(whole, parts[0], parts[1], range(1), [])
    return time.perf_counter() - start


def _reading(paths: Sequence[str], reader: Reader) -> Callable[[Array], Array]:
    from concurrent.futures import ThreadPoolExecutor

    from reference.data import THREADS

    threads = ThreadPoolExecutor(THREADS)
    return lambda rows: np.stack(list(threads.map(reader, [paths[row] for row in rows])))


@dataclass
class Sweeps:
    """The three sweeps in the course's order, each with the best values of those before it."""

    found: list[Sweep]
    epochs: int
    seconds: float
    naive_seconds: float | None
    computed: bool = True  # the features, in these seconds; otherwise they came from the cache

    def speed(self) -> str:
        passed = "the pass of the base included"
        if not self.computed:
            passed = "without the pass of the base, whose features were in the cache"
        told = f"{self.epochs} epochs in {self.seconds:.0f} s, {passed}"
        if self.naive_seconds is None:
            return f"{told}."
        plain = self.naive_seconds * self.epochs
        return (
            f"{told}; the plain way, the whole network in each epoch, takes "
            f"{self.naive_seconds:.1f} s an epoch, {plain:.0f} s in all: "
            f"{plain / self.seconds:.0f} times as long."
        )


# ---------------------------------------------------------------------------------------------
# Finished sweeps, for a run that goes on
# ---------------------------------------------------------------------------------------------


def key(
    labelled: Sequence[tuple[str, Settings]],
    seeds: Sequence[int],
    train: Features,
    validation: Features,
    machine: Machine,
) -> str:
    """Return everything that a sweep's result depends on, as text."""
    arrays = hashlib.sha256()
    for part in (train, validation):
        arrays.update(np.ascontiguousarray(part.x).data)
        arrays.update(np.ascontiguousarray(part.y).data)
    values = [[label, asdict(settings)] for label, settings in labelled]
    where = [machine.version, machine.device, machine.precision, keras.__version__]
    return json.dumps([values, list(seeds), arrays.hexdigest(), where])


def write_sweep(path: Path, found: Sweep, about: str) -> None:
    """Write a finished sweep, completely or not at all."""
    rows, arrays = [], dict[str, Any]()
    for i, row in enumerate(found.rows):
        rows.append((row.label, [(asdict(t.settings), t.history) for t in row.trials]))
        for j, trial in enumerate(row.trials):
            arrays[f"{i}-{j}-right"] = trial.right
            arrays |= {f"{i}-{j}-{k:03d}": weights for k, weights in enumerate(trial.weights)}
    told = {
        "about": about, "title": found.title, "photos": found.photos,
        "prefer_small": found.prefer_small, "rows": rows,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, told=np.array(json.dumps(told)), **arrays)


def read_sweep(path: Path, about: str) -> Sweep | None:
    """Read a finished sweep; None if there is none, or (with a sentence) if it is another one."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            told = json.loads(str(file["told"]))
            rows = []
            for i, (label, trials) in enumerate(told["rows"]):
                made = []
                for j, (settings, history) in enumerate(trials):
                    names = sorted(n for n in file.files if re.fullmatch(rf"{i}-{j}-\d+", n))
                    weights, right = [file[name] for name in names], file[f"{i}-{j}-right"]
                    made.append(Trial(Settings(**settings), history, weights, right))
                rows.append(Row(label, made))
            found = Sweep(told["title"], rows, told["photos"], told["prefer_small"])
    except Exception as error:  # reading a damaged archive may raise anything
        say(f"{path} is damaged ({error}): computed anew.")
        return None
    if told["about"] != about:
        say(f"{path} is of other settings, photos or versions: computed anew.")
        return None
    return found


def three_sweeps(
    splits: Splits,
    base: Base,
    settings: Settings,
    reader: Reader,
    machine: Machine,
    cache: Path | None,
    seeds: int = 1,
    rate_values: Sequence[float] = RATES,
    inner_values: Sequence[int] = INNERS,
    drop_values: Sequence[float] = DROPS,
    drop_epochs: int = 30,
    compare: bool = False,
    told: Callable[[Sweep], None] | None = None,
    kept: Path | None = None,
    resume: bool = False,
    logged: Trials | None = None,
) -> Sweeps:
    """Compare learning rates, then inner sizes at the best rate, then dropout rates at that size.

    With `compare` this also times one epoch without cached features, in the same run. It calls
    `told` with each finished sweep; by default that prints the table. The folder `kept` gets a file
    for each finished sweep, and with `resume` sweeps with a file are not computed again.
    """
    start = time.perf_counter()
    train, validation = features.extract_both(
        splits, reader, base, machine, cache, batch_size=settings.batch_size
    )
    chosen = [settings.seed + number for number in range(seeds)]
    found = []
    current = settings
    questions: list[tuple[str, Any, Sequence[Any], int]] = [
        ("learning rate", rates, rate_values, settings.epochs),
        ("inner size", inners, inner_values, settings.epochs),
        ("drop rate", drops, drop_values, drop_epochs),
    ]
    for title, made, values, epochs in questions:
        if not values:
            continue
        labelled = made(replace(current, epochs=epochs), values)
        small = title == "inner size"
        path = None if kept is None else kept / f"{title.replace(' ', '-')}.npz"
        about = key(labelled, chosen, train, validation, machine)
        done = read_sweep(path, about) if path is not None and resume else None
        if done is None:
            done = sweep(
                title, labelled, chosen, train, validation, machine, True, small, logged
            )  # fmt: skip
            if path is not None:
                write_sweep(path, done, about)
        found.append(done)
        current = replace(found[-1].chosen.settings, seed=settings.seed)
        (told or print_sweep)(found[-1])
    seconds = time.perf_counter() - start
    count = sum(len(t.history["loss"]) for s in found for row in s.rows for t in row.trials)
    naive = None
    if compare:
        say("\nTiming one epoch of the plain way …")
        naive = naive_epoch_seconds(splits, base, settings, reader, machine)
    return Sweeps(found, count, seconds, naive, train.computed or validation.computed)


def print_sweep(found: Sweep) -> None:
    """Print the table, and what it can show."""
    say("\n" + in_columns(*found.table()))
    say(found.sentence())


# ---------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    made = make_parser(
        "sweep",
        "Compares image sizes (if several are given), then learning rates, then inner sizes, then\n"
        "dropout rates, with several seeds each, on features that are computed once. Writes into\n"
        "--output: trials.csv, a plot for each comparison, and model.keras (the best of all).",
        "examples:\n"
        "  python -m reference.sweep --data download --seeds 3\n"
        "  python -m reference.sweep --data photos --learning-rates 0.001,0.01 --inner-sizes 100",
    )
    add_data_options(made, several_sizes=True)
    add_base_options(made)
    add = made.add_argument_group("what to try").add_argument
    add(
        "--output",
        type=path_to_write,
        default=Path("runs/sweep"),
        metavar="DIR",
        help="default: runs/sweep",
    )
    add("--learning-rates", type=listed(rate), default=list(RATES), metavar="LR,…",
        help="default: 0.0001,0.001,0.01,0.1")  # fmt: skip
    add("--inner-sizes", type=listed(count), default=list(INNERS), metavar="N,…",
        help="default: 10,100,1000; 0 is none")  # fmt: skip
    add("--drop-rates", type=listed(share), default=list(DROPS), metavar="RATE,…",
        help="default: 0,0.2,0.5,0.8")  # fmt: skip
    add("--seeds", type=positive, default=1, metavar="N", help="trials of each value; default: 1")
    add("--epochs", type=positive, default=10, metavar="N", help="default: 10")
    add("--drop-epochs", type=positive, default=30, metavar="N",
        help="epochs with dropout, which learns slower; default: 30")  # fmt: skip
    add("--batch-size", type=positive, default=32, metavar="N", help="default: 32")
    add_schedule_options(add)
    add("--compare", action="store_true",
        help="also time an epoch without cached features, and compare")  # fmt: skip
    loggers.add_option(add)
    add_backend_options(made)
    return made


def command(options: argparse.Namespace) -> None:
    if options.processes is not None:
        raise ValueError("A sweep trains small heads, which one process does fast: no --processes.")
    schedules.check(options.schedule, options.warmup, min(options.epochs, options.drop_epochs))
    choices = [[size] for size in options.image_size or ()]
    if options.image_sizes or not choices:
        choices.append(options.image_sizes or [IMAGE_SIZE])
    check_base_stays(options)
    logged = Trials(options.logger, options.output)
    machine, splits, reader, base = prepare(options, choices[0])
    settings = Settings(
        epochs=options.epochs, batch_size=options.batch_size, seed=options.seed,
        schedule=options.schedule, warmup=options.warmup,
    )  # fmt: skip
    options.output.mkdir(parents=True, exist_ok=True)
    finished: list[Sweep] = []

    def told(found: Sweep) -> None:
        """Print and write a comparison when it is done: a kill takes only the later ones."""
        print_sweep(found)
        if not finished:
            remove_results(options.output)
            config.write(parser(), options, machine.made_with)
        finished.append(found)
        write_trials(options.output / "trials.csv", finished)
        name = found.title.replace(" ", "-")
        plots.save(found.figure(), options.output / f"{name}.png")

    if len(choices) > 1:
        readings = [(base, reader)]
        readings += [(base_of(options, c, machine), reader_of(options, c)) for c in choices[1:]]
        seeds = [options.seed + number for number in range(options.seeds)]
        compared = compare_sizes(readings, settings, seeds, splits, machine, options.cache, logged)
        told(compared)
        base, reader = readings[compared.best_row]
    done = three_sweeps(
        splits, base, settings, reader, machine, options.cache, options.seeds,
        options.learning_rates, options.inner_sizes, options.drop_rates, options.drop_epochs,
        options.compare, told, logged=logged,
    )  # fmt: skip
    winner = max((found.best for found in finished), key=lambda trial: trial.best)
    write_winner(options.output / "model.keras", winner, base, splits, reader, machine)
    say(f"\nBest of all: {winner.best:.3f} ({winner.settings}).")
    say(f"Wrote trials.csv, model.keras and pictures into {options.output}.")
    say(done.speed())


def run(arguments: Sequence[str] | None = None) -> int:
    return main(parser(), command, arguments)


if __name__ == "__main__":
    sys.exit(run())
