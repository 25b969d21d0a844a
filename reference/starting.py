"""Makes from options what commands start with: the machine, the photos, the base, settings."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from minicnn._support.arguments import count, non_negative, positive, rate, share
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


def add_training_options(add: Callable[..., Any]) -> None:
    """Add the options of a training that needs each photo's features, or maps, only once."""
    add("--epochs", type=positive, default=10, metavar="N", help="default: 10")
    add("--batch-size", type=positive, default=32, metavar="N", help="default: 32")
    add("--learning-rate", type=rate, default=0.001, metavar="LR", help="for Adam; default: 0.001")
    add_schedule_options(add)
    add("--inner", type=count, default=0, metavar="N",
        help="units of a dense layer before the last one; default: 0, no such layer")  # fmt: skip
    add("--dropout", type=share, default=0.0, metavar="RATE", help="for the last layer; default: 0")
    add("--fine-tune", metavar="LAYER,…",
        help="then also train the base, from this layer or block on, such as block14; several are "
        "stages, as in block14,block13; auto: the last layers, with a fifth of the "
        "weights")  # fmt: skip
    add("--fine-tune-epochs", type=positive, default=5, metavar="N",
        help="of each stage; default: 5")  # fmt: skip
    add("--fine-tune-rate", type=rate, default=1e-5, metavar="LR", help="default: 0.00001")
    add("--block-decay", type=rate, default=1.0, metavar="D",
        help="let each block of the base learn D times as fast as the next one, and the last "
        "one D times as fast as the head; default: 1")  # fmt: skip
    add("--weight-decay", type=share, default=0.0, metavar="D",
        help="of the kernels, as AdamW does; default: 0")  # fmt: skip
    add("--label-smoothing", type=share, default=0.0, metavar="S",
        help="spread this part of each target over all classes; default: 0")  # fmt: skip
    add("--ema", type=share, default=0.0, metavar="M",
        help="judge and keep a moving average of the weights, with this momentum, such as 0.99; "
        "default: 0, none")  # fmt: skip
    add("--ensemble", type=positive, default=1, metavar="N",
        help="train with N seeds, from --seed on, and average the logits")  # fmt: skip
    add("--class-weights", action="store_true", help="let rare classes count as much as others")


def check_fine_tuning(options: argparse.Namespace) -> None:
    """Raise a `ValueError` for options of fine-tuning if nothing is fine-tuned."""
    if options.fine_tune is not None and not options.fine_tune.strip():
        raise ValueError(
            "--fine-tune names blocks of the base, such as block14. "
            f"Received {options.fine_tune!r}."
        )
    usual = Settings()
    for name in ("fine_tune_epochs", "fine_tune_rate", "block_decay"):
        value = getattr(options, name)
        # A config.toml has all options, also those without effect.
        if options.fine_tune is None and value != getattr(usual, name):
            raise ValueError(
                f"--{name.replace('_', '-')} is for the blocks that --fine-tune names. Received "
                f"{value:g}, and no --fine-tune."
            )


_OPTIONS = {"size_inner": "inner", "droprate": "dropout"}  # that are not named as the setting


def named(settings: Settings) -> dict[str, Any]:
    """Return the settings by the names of their options, as a run's config.toml has them."""
    return {
        _OPTIONS.get(name, name).replace("_", "-"): value
        for name, value in asdict(settings).items()
        if value is not None
    }


def settings_from(options: argparse.Namespace) -> Settings:
    """Return the options' settings; a setting for which the command has no option is as usual."""
    chosen: dict[str, Any] = {
        field.name: getattr(options, _OPTIONS.get(field.name, field.name), field.default)
        for field in fields(Settings)
    }
    return Settings(**chosen)


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
    # Each run of an ensemble, and of the course, has a folder of its own.
    folders = ("", "seed-*/", "baseline/", "sweeps/", "augmented/", "at-*/")
    for name in ("sweeps.keras", *(f"{folder}model.keras" for folder in folders)):
        for path in options.output.glob(name):
            check_spares(path, files)


# Files that training commands write into --output; earlier versions also wrote sweeps.keras.
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
