"""Runs the course's experiments in order, and writes one report.

    python -m reference.course --data clothing-dataset-small

Section 8.5 trains the baseline, 8.6 compares learning rates, 8.7 keeps the best epoch in a file,
8.8 adds an inner layer; then come dropout, augmentation, the larger image, and, once, the test
photos. The base runs once for each image size; all experiments on heads use its features.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from minicnn import plots
from minicnn._support.arguments import count, path_to_write, positive
from minicnn._support.atomic import replacing
from minicnn._support.terminal import say
from reference import config, evaluate, fitting
from reference import model as models
from reference.backend import Machine
from reference.console import (
    add_backend_options,
    add_base_options,
    add_data_options,
    main,
    make_parser,
)
from reference.data import Reader, Splits
from reference.fitting import Settings
from reference.model import Base
from reference.report import Page
from reference.running import train
from reference.sizes import told as sizes_told
from reference.starting import base_of, check_base_stays, prepare, reader_of, remove_results
from reference.sweep import Sweep, print_sweep, three_sweeps, write_trials, write_winner

SECTIONS = {
    "learning rate": "8.6 Learning rate",
    "inner size": "8.8 An inner layer",
    "drop rate": "Dropout",
}


def course(
    splits: Splits,
    base: Base,
    settings: Settings,
    output: Path,
    machine: Machine,
    reader: Reader,
    cache: Path | None,
    larger: tuple[Base, Reader] | None,
    seeds: int = 1,
    drop_epochs: int = 30,
    augment_epochs: int = 0,
    resume: bool = False,
    verbose: int = 0,
    replaced: Callable[[], None] = lambda: None,
) -> Path:
    """Run everything, write `output/report.html`, and return its path.

    `larger` is the base and the reader for the larger image; `augment_epochs=0` leaves out
    augmentation. `output/model.keras` is the model that validation chose. Each run has a folder of
    its own in `output`, whose other files stay until the end: `replaced` is called just before the
    new model, with its report, takes their place.
    """
    page = Page("Transfer learning on photos of clothes", machine.describe())
    start = time.perf_counter()
    counts = [f"{len(photos)} {photos.name}" for photos in splits if photos is not None]
    page.text(
        f"{', '.join(counts)} photos of {len(splits.train.class_names)} classes "
        f"({', '.join(splits.train.class_names)}), read at {sizes_told(base.seen)} pixels "
        f"({reader.interpolation}). Base: {base.name}, frozen."
    )
    experiments = _Experiments(splits, output, machine, cache, resume, verbose, page)
    experiments.train("8.5 Baseline", "baseline", settings, base, reader)
    best, trials = experiments.sweep(settings, base, reader, seeds, drop_epochs)
    if augment_epochs:
        augmented = replace(best, augment=True, epochs=augment_epochs)
        experiments.train("Augmentation", "augmented", augmented, base, reader)
        page.text("Each epoch flips, shifts and zooms each photo anew, so nothing is cached.")
    if larger is not None:
        size = larger[1].image_size
        experiments.train(f"A larger image: {size} pixels", f"at-{size}", best, *larger)
    path, accuracy = experiments.choose()
    judged = None
    if splits.test is not None:
        judged = evaluate.evaluate(models.load(path), splits.test, accuracy)
    with replacing(output / "model.keras") as temporary:
        shutil.copyfile(path, temporary)
        replaced()
    write_trials(output / "trials.csv", trials)
    _test(judged, output, page)
    page.text(f"All of this took {time.perf_counter() - start:.0f} s.")
    page.write(output / "report.html")
    return output / "report.html"


@dataclass
class _Experiments:
    """What the experiments share: the photos, where they write, and the models to choose from."""

    splits: Splits
    output: Path
    machine: Machine
    cache: Path | None
    resume: bool
    verbose: int
    page: Page
    candidates: list[tuple[str, float, Path]] = field(default_factory=list)

    def train(self, title: str, name: str, settings: Settings, base: Base, reader: Reader) -> None:
        """Train a model into the folder `name`, and put it on the page."""
        say(f"\n{title}")
        result = train(
            self.splits, base, settings, self.output / name, self.machine, reader, self.cache,
            self.resume, verbose=self.verbose,
        )  # fmt: skip
        best = fitting.best_epoch(result.history)
        self.page.heading(title)
        self.page.text(
            f"{str(settings).capitalize()}: best validation accuracy {result.best:.3f} "
            f"{evaluate.interval(result.best, len(self.splits.validation))} in epoch {best + 1} of "
            f"{len(result.history['loss'])}."
        )
        self.page.picture(plots.curves(result.history), f"Loss and accuracy by epoch: {title}")
        self.candidates.append((title, result.best, result.path))
        say(f"Best validation accuracy {result.best:.3f} in epoch {best + 1}.")

    def sweep(
        self, settings: Settings, base: Base, reader: Reader, seeds: int, drop_epochs: int
    ) -> tuple[Settings, list[Sweep]]:
        """Run the three sweeps, put them on the page, and return the best settings and all."""
        done = three_sweeps(
            self.splits, base, settings, reader, self.machine, self.cache, seeds,
            drop_epochs=drop_epochs, told=self._show, kept=self.output / "sweeps",
            resume=self.resume,
        )  # fmt: skip
        winner = max((found.best for found in done.found), key=lambda trial: trial.best)
        path = self.output / "sweeps" / "model.keras"
        write_winner(path, winner, base, self.splits, reader, self.machine)
        self.candidates.append((f"the sweeps' best ({winner.settings})", winner.best, path))
        return replace(winner.settings, seed=settings.seed), done.found

    def _show(self, found: Sweep) -> None:
        """Print a finished sweep, and put it on the page."""
        page = self.page
        say(f"\n{SECTIONS[found.title]}")
        print_sweep(found)
        page.heading(SECTIONS[found.title])
        page.table(*found.table(), best=found.best_row)
        page.text(found.sentence())
        page.picture(found.figure(), f"Accuracy by epoch for each {found.title}")
        if found.title == "learning rate":
            page.heading("8.7 Checkpoints")
            page.text(
                "Each run keeps the epoch with the best validation accuracy (of equal ones the "
                "first), not the last epoch: the accuracies here are those of these epochs."
            )

    def choose(self) -> tuple[Path, float]:
        """Put the choice on the page; return the best model's file and validation accuracy."""
        name, accuracy, path = max(self.candidates, key=lambda candidate: candidate[1])
        self.page.heading("The choice")
        self.page.table(
            ["model", "best validation accuracy"],
            [[label, f"{value:.3f}"] for label, value, _ in self.candidates],
            best=max(range(len(self.candidates)), key=lambda i: self.candidates[i][1]),
        )
        chosen = f"Chosen by validation accuracy: {name}, {accuracy:.3f}."
        self.page.text(f"{chosen} It is model.keras.")
        say(f"\n{chosen}")
        return path, accuracy


def _test(judged: evaluate.Judged | None, output: Path, page: Page) -> None:
    """Report how the chosen model does on the test photos, if there are any."""
    page.heading("Test")
    if judged is None:
        page.text(
            "There is no test folder. The validation photos chose the model, so their accuracy "
            "flatters it; put photos that it has never seen into test/CLASS/."
        )
        say("There is no test folder: the model has not been tested.")
        return
    evaluate.write(judged, output)
    say(judged.summary())
    page.text(judged.summary())
    page.code(judged.report())
    page.picture(evaluate.confusion_picture(judged), "Confusion matrix of the test photos")
    page.picture(evaluate.contact_sheet(judged), "The most confident mistakes")


# ---------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    made = make_parser(
        "course",
        "Runs the course's experiments in order and writes one report, --output/report.html, with\n"
        "tables and curves: baseline, learning rate, checkpoints, inner layer, dropout,\n"
        "augmentation, larger image, test.",
        "examples:\n"
        "  python -m reference.course --data download\n"
        "  python -m reference.course --data sample --base base.keras --augment-epochs 0",
    )
    add_data_options(made)
    add_base_options(made)
    add = made.add_argument_group("experiments").add_argument
    add("--output", type=path_to_write, default=Path("runs/course"), metavar="DIR",
        help="default: runs/course")  # fmt: skip
    add("--epochs", type=positive, default=10, metavar="N", help="default: 10")
    add("--drop-epochs", type=positive, default=30, metavar="N",
        help="epochs with dropout; default: 30")  # fmt: skip
    add("--augment-epochs", type=count, default=10, metavar="N",
        help="epochs with augmentation, each a pass of the base; 0: none; default: 10")  # fmt: skip
    add("--larger", type=count, default=299, metavar="PX", help="the larger image; 0: none")
    add("--seeds", type=positive, default=1, metavar="N", help="trials of each value; default: 1")
    add("--batch-size", type=positive, default=32, metavar="N", help="default: 32")
    add("--resume", action="store_true", help="go on with an interrupted run in --output")
    add_backend_options(made)
    return made


def command(options: argparse.Namespace) -> None:
    if options.processes is not None:
        raise ValueError("The course runs in one process: no --processes.")
    check_base_stays(options)
    machine, splits, reader, base = prepare(options)
    settings = Settings(epochs=options.epochs, batch_size=options.batch_size, seed=options.seed)
    larger = None
    if options.larger:
        sizes = [options.larger]
        larger = base_of(options, sizes, machine), reader_of(options, sizes)
    options.output.mkdir(parents=True, exist_ok=True)
    if not (options.output / "model.keras").exists():  # whose options config.toml would have
        config.write(parser(), options, machine.made_with)

    def replaced() -> None:
        """Let the folder describe the new model alone."""
        remove_results(options.output, keep=("model.keras",))
        config.write(parser(), options, machine.made_with)

    page = course(
        splits, base, settings, options.output, machine, reader, options.cache, larger,
        options.seeds, options.drop_epochs, options.augment_epochs, options.resume,
        verbose=1 if sys.stdout.isatty() else 0, replaced=replaced,
    )  # fmt: skip
    say(f"Wrote {page}, and model.keras, trials.csv and the runs beside it.")


def run(arguments: Sequence[str] | None = None) -> int:
    return main(parser(), command, arguments)


if __name__ == "__main__":
    sys.exit(run())
