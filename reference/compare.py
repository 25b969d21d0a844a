"""Compares runs in one table: how they differ, how well each does, and whether it could be luck.

    python -m reference.compare runs/first runs/second

The folders of `reference.train`'s runs have all that is needed: options (config.toml),
probabilities of the validation photos, epochs and time. The runs are compared with the first one,
photo by photo: what both get right or wrong says nothing about their difference.
"""

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minicnn import plots
from minicnn._support.arguments import path_to_write
from minicnn._support.reading import check_regular
from minicnn._support.terminal import python, quoted, say
from reference import config, data, lists, loggers, train
from reference.console import main, make_parser
from reference.evaluate import Interval, difference, interval, mcnemar
from reference.fitting import best_epoch
from reference.report import Page, in_columns

Array = np.ndarray

_LARGEST = 2**30  # bytes
_ABSENT = "–"


@dataclass(frozen=True)
class Run:
    """The content of a run's folder."""

    name: str
    photos: tuple[tuple[str, str], ...]  # name and class of each
    right: Array
    options: dict[str, Any]
    history: dict[str, list[float]]
    time: str

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


class Paired(NamedTuple):
    """How much better a run is than the first one, on the same photos."""

    points: float
    interval: Interval
    p: float


def read(folder: Path, split: str) -> Run:
    """Read a run's folder; raises `FileNotFoundError` or `ValueError` for anything else."""
    rows, right = _judged(folder, split)
    options = folder / "config.toml"
    # An option that is newer than the run had what is now its default.
    found = {}
    if options.is_file():
        found = config.defaults(train.parser()) | config.read(options)
    return Run(str(folder), rows, right, found, _history(folder / "history.csv"), _time(folder))


def _judged(folder: Path, split: str) -> tuple[tuple[tuple[str, str], ...], Array]:
    path = folder / f"probabilities-{split}.csv"
    if not path.is_file():
        told = quoted("-m", "reference.evaluate", folder / "model.keras", "--data", "…")
        raise FileNotFoundError(
            f"{str(folder)!r} has no {path.name}. reference.train writes it, and so does "
            f"{python()} {told} --split {split}."
        )
    check_regular(path, "table of probabilities", _LARGEST)
    photos, right = [], []
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            table = csv.reader(file, strict=True)
            names = [lists.from_table(name) for name in next(table)[2:]]
            for photo, label, *p in table:
                values = np.array(p, np.float64)
                if values.shape != (len(names),) or not np.isfinite(values).all():
                    raise ValueError(f"line {table.line_num} has other columns")
                truth = lists.from_table(label)
                photos.append((Path(lists.from_table(photo)).name, truth))
                right.append(names[int(values.argmax())] == truth)
        if not right:
            raise ValueError("there is no photo in it")
    except (csv.Error, ValueError, StopIteration) as error:
        raise ValueError(f"{str(path)!r} is not a table of probabilities: {error}.") from None
    return tuple(photos), np.array(right)


def _history(path: Path) -> dict[str, list[float]]:
    """Return the epochs of a run; nothing if there is no such file."""
    if not path.is_file():
        return {}
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        names = ("loss", "accuracy", "val_loss", "val_accuracy")
        return {name: [float(row[name]) for row in rows] for name in names} if rows else {}
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{str(path)!r} is no history of epochs: {error}.") from None


def _time(folder: Path) -> str:
    path = folder / "run.json"
    if not path.is_file():
        return _ABSENT
    try:
        told = json.loads(path.read_text("utf-8"))
        seconds = f"{told['seconds']:.0f} s"
        notes = ["cached features"] * told["features_from_cache"] + ["resumed"] * told["resumed"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{str(path)!r} is not what a run writes: {error}.") from None
    return f"{seconds} ({', '.join(notes)})" if notes else seconds


def compare(first: Run, other: Run) -> Paired | None:
    """Return how much better the other run is than the first; None if they judged other photos."""
    if first.photos != other.photos:
        return None
    return Paired(
        other.accuracy - first.accuracy,
        difference(other.right, first.right),
        mcnemar(other.right, first.right),
    )


def differing(runs: Sequence[Run]) -> list[str]:
    """Return the options that are not the same in all runs (of those that have a config.toml)."""
    known = [run.options for run in runs if run.options]
    # The place of kept features does not change any result.
    names = dict.fromkeys(name for options in known for name in options if name != "cache")
    return [name for name in names if len({str(options.get(name)) for options in known}) > 1]


def table(runs: Sequence[Run]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows, as text: each run beside the first one."""
    names = differing(runs)
    head = ["run", *names, "photos", "accuracy", "95 % interval", "difference", "95 % interval",
            "p", "best epoch", "time"]  # fmt: skip
    rows = []
    for run in runs:
        low, high = interval(run.accuracy, len(run.right))
        paired = None if run is runs[0] else compare(runs[0], run)
        compared = [_ABSENT] * 3 if run is runs[0] else ["other photos", _ABSENT, _ABSENT]
        if paired is not None:
            p = "<0.001" if paired.p < 0.001 else f"{paired.p:.3f}"
            below, above = paired.interval
            compared = [f"{paired.points:+.3f}", f"{below:+.3f} to {above:+.3f}", p]
        epochs = run.history.get("val_accuracy")
        best = f"{best_epoch(run.history) + 1} of {len(epochs)}" if epochs else _ABSENT
        chosen = [_shown(run.options.get(name)) for name in names]
        rows.append(
            [run.name, *chosen, str(len(run.right)), f"{run.accuracy:.3f}",
             f"{low:.3f} to {high:.3f}", *compared, best, run.time]
        )  # fmt: skip
    return head, rows


def _folders(runs: Sequence[Run]) -> dict[str, str]:
    """Return the runs' folders by number: a name may have characters that MLflow refuses."""
    return {f"run-{number}": run.name for number, run in enumerate(runs, start=1)}


def _values(runs: Sequence[Run]) -> dict[str, float]:
    """Return the numbers of the comparison, for loggers."""
    found = {}
    for number, run in enumerate(runs, start=1):
        found[f"accuracy-{number}"] = run.accuracy
        paired = compare(runs[0], run) if number > 1 else None
        if paired is not None:
            found |= {f"difference-{number}": paired.points, f"p-{number}": paired.p}
    return found


def _shown(value: Any) -> str:
    if value is None:
        return _ABSENT
    if isinstance(value, list):
        return ",".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def sentence(runs: Sequence[Run], split: str) -> str:
    """Return sentences on what the table does and does not show."""
    first = runs[0]
    found = [(run, compare(first, run)) for run in runs[1:]]
    beyond = [
        f"{run.name} is {'better' if paired.points > 0 else 'worse'}"
        for run, paired in found
        if paired is not None and paired.p < 0.05
    ]
    alike = [run.name for run, paired in found if paired is not None and paired.p >= 0.05]
    parts = [f"Compared with {first.name}, photo by photo (p by McNemar's exact test)."]
    if beyond:
        parts.append(f"Beyond luck (p below 0.05): {', '.join(beyond)}.")
    if alike:
        parts.append(f"Not told apart from it by these photos: {', '.join(alike)}.")
    if split == "validation":
        parts.append("The validation photos chose each run's epoch, so all are a little too good.")
    if len(found) > 1:
        parts.append(
            f"Each p is for one comparison: in {len(found)} comparisons of equally good runs, one "
            f"or more fall below 0.05 in up to {min(1.0, 0.05 * len(found)):.0%} of cases."
        )
    return " ".join(parts)


# ---------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    made = make_parser(
        "compare",
        "Compares runs of reference.train in one table: the options that differ, accuracy with\n"
        "interval, difference to the first run on the same photos, time.\n\n"
        "Writes into --output: compare.csv, compare.html (with the runs' curves).",
        "example:\n  python -m reference.compare runs/first runs/second runs/third",
    )
    made.add_argument(
        "runs",
        nargs="+",
        type=path_to_write,
        metavar="RUN",
        help="folders that reference.train wrote",
    )
    made.add_argument(
        "--split", choices=data.SPLITS[1:], default="validation", help="default: validation"
    )
    made.add_argument(
        "--output", type=path_to_write, default=Path("runs/compare"), metavar="DIR",
        help="default: runs/compare",
    )  # fmt: skip
    loggers.add_option(made.add_argument)
    return made


def command(options: argparse.Namespace) -> None:
    if len(set(options.runs)) < 2:
        raise ValueError("A comparison needs at least two different runs.")
    logged = loggers.Trials(options.logger, options.output)
    runs = [read(folder, options.split) for folder in dict.fromkeys(options.runs)]
    head, rows = table(runs)
    told = sentence(runs, options.split)
    best = max(range(len(runs)), key=lambda i: runs[i].accuracy)
    page = Page("Runs compared", f"{options.split} photos")
    page.table(head, rows, best)
    page.text(told)
    histories = {run.name: run.history for run in runs if run.history}
    if histories:
        page.picture(plots.sweep(histories), "Accuracy by epoch of each run")
    options.output.mkdir(parents=True, exist_ok=True)
    lists.write_table(options.output / "compare.csv", head, rows)
    page.write(options.output / "compare.html")
    files = [options.output / name for name in ("compare.csv", "compare.html")]
    with logged.one("compare", {"split": options.split, **_folders(runs)}) as watching:
        for logger in watching:
            logger.end(_values(runs), files)
    say(in_columns(head, rows))
    say(told)
    say(f"Wrote compare.csv and compare.html into {options.output}.")


def run(arguments: Sequence[str] | None = None) -> int:
    return main(parser(), command, arguments)


if __name__ == "__main__":
    sys.exit(run())
