"""Makes from options what commands start with: the machine, the photos, the base, settings."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from minicnn._support.arguments import non_negative
from minicnn._support.atomic import check_spares
from minicnn._support.terminal import say
from minicnn.images import BadImageError
from reference import backend, data, schedules
from reference import model as models
from reference.backend import Machine
from reference.console import IMAGE_SIZE
from reference.data import Reader, Splits
from reference.fitting import Settings
from reference.model import Base


def add_schedule_options(add: Callable[..., Any]) -> None:
    add("--schedule", choices=schedules.SCHEDULES, default="constant",
        help="how the learning rate changes during a run: constant (default); cosine, down "
        "to 0; one-cycle, up and then down")  # fmt: skip
    add("--warmup", type=non_negative, default=0.0, metavar="EPOCHS",
        help="let the learning rate first rise from 0; default: 0, not at all")  # fmt: skip


def settings_from(options: argparse.Namespace) -> Settings:
    names = {field.name: field.name for field in fields(Settings)}
    names |= {"size_inner": "inner", "droprate": "dropout"}
    return Settings(**{field: getattr(options, name) for field, name in names.items()})


def reader_of(options: argparse.Namespace, sizes: Sequence[int]) -> Reader:
    """Return the reader of photos that the base sees at these sizes."""
    reading = "nearest" if options.course_compatible else "bilinear"
    return Reader(max(sizes), "antialias" if options.antialias else reading)


def base_of(options: argparse.Namespace, sizes: Sequence[int], machine: Machine) -> Base:
    """Return the options' base, for photos that it sees at these sizes."""
    with machine.scope():
        return models.load_base(
            options.base, max(sizes), options.weights, options.input_range, sizes
        )


def check_base_stays(options: argparse.Namespace) -> None:
    """Raise `ValueError` if the command would replace or remove its base in --output."""
    files = [name for name in (options.base, options.weights) if Path(name).is_file()]
    for name in ("model.keras", "sweeps.keras"):
        check_spares(options.output / name, files)


# Files that training commands write into --output.
_RESULTS = (
    "model.keras", "config.toml", "state.npz", "history.csv", "run.json", "curves.png",
    "probabilities-*.csv", "evaluation.json", "evaluation.html", "explained-*.html", "report.txt",
    "report.html", "confused.csv", "confusion.png", "mistakes.png", "calibration.png", "trials.csv",
    "image-size.png", "learning-rate.png", "inner-size.png", "drop-rate.png", "sweeps.keras",
    "ablation.html", "ablation.csv",
)  # fmt: skip


def remove_results(folder: Path, keep: Sequence[str] = ()) -> None:
    """Remove the results of the previous run, which could be mistaken for those of this one."""
    for name in _RESULTS:
        for path in folder.glob(name) if name not in keep else ():
            path.unlink()


def check_holds_no_model(folder: Path) -> None:
    """Raise `ValueError` for a folder with a model, whose config.toml would be replaced."""
    if (folder / "model.keras").exists():
        raise ValueError(
            f"--output {folder} holds a model, which its config.toml describes: this command "
            "writes one of its own. Choose another folder."
        )


def prepare(
    options: argparse.Namespace, sizes: Sequence[int] = ()
) -> tuple[Machine, Splits, Reader, Base]:
    """Set up what every command starts with: the machine, the photos, and the base.

    It sees the photos at `sizes`, or else at those of the options.
    """
    sizes = sizes or options.image_sizes or [options.image_size or IMAGE_SIZE]
    reader = reader_of(options, sizes)
    for size in sorted({229, 289} & set(sizes)):
        say(f"--image-size {size}: is 299, Xception's own size, meant? Going on.")
    machine = backend.start(options)
    if machine.is_first:
        say(machine.describe())
        before = getattr(options, "made_with", None)
        if before not in (None, machine.made_with):
            say(f"{options.config} is of a run with {before}: numbers may differ a little.")
    splits = data.find(data.locate(options.data))
    if options.skip_bad_images:
        checked = [None if p is None else data.check(p, skip=True) for p in splits]
        splits = Splits(*checked)  # type: ignore[arg-type]
    elif splits.test is not None:
        try:
            data.check(splits.test)  # read only at the end, when it would be too late for bad news
        except BadImageError:
            data.check_all(splits)  # which names those of the other splits, too
    base = base_of(options, sizes, machine)
    if machine.is_first:
        parts = [f"{len(p)} {p.name}" for p in splits if p is not None]
        say(f"{', '.join(parts)} photos of {len(splits.train.class_names)} classes.")
    return machine, splits, reader, base
