"""`minicnn transfer` teaches a trained network new classes."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minicnn._support.arguments import PIXEL_RANGES, count, listed, local_path, non_negative
from minicnn._support.atomic import check_folder, check_spares, make_folder, replacing
from minicnn._support.terminal import say, this_program
from minicnn.commands.training import add_data_options, class_folders, draw, fit_keeping_best

if TYPE_CHECKING:
    from minicnn.applications.transfer import Settings

Runs = dict[str, dict[str, list[float]]]  # the history of each run


def add_to(commands: Any) -> None:
    """Add this command and its options to the parser of `minicnn`."""
    this = this_program()
    command = commands.add_parser(
        "transfer",
        help="teach a trained network your classes",
        description=(
            "Transfer learning: a network that others trained stays unchanged, and a small head\n"
            "behind it learns your classes. The frozen base runs once per photo, not once per\n"
            "epoch (unless --augment changes the photos in each epoch).\n\n"
            "Options can take several values, separated by commas: the command trains a model\n"
            "with each combination of them. It writes into --output: model.keras (the best of\n"
            "all, by validation accuracy, with class names and image size inside), a model for\n"
            "each run, runs.csv, curves.png."
        ),
        epilog=(
            "examples:\n"
            f"  {this} transfer --data clothing-dataset-small\n"
            f"  {this} transfer --data photos --base base.keras --learning-rate 1e-4,1e-3,1e-2\n"
            f"  {this} transfer --data photos --inner 0,100,1000 --dropout 0,0.2"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_options(command, Path("runs/transfer"), image_size=150, epochs=10)
    command.add_argument(
        "--base",
        type=lambda text: str(local_path(text)),
        default="xception",
        help="xception (default), mobilenet, mobilenet_v2, mobilenet_v3_small, "
        "mobilenet_v3_large, inception_v3, inception_resnet_v2, resnet50v2, nasnet_mobile, "
        "efficientnetb0, efficientnetv2-b0 or convnext_tiny, with ImageNet weights, downloaded "
        "once; or a model file whose output is features",
    )
    command.add_argument(
        "--input-range",
        choices=PIXEL_RANGES,
        help="the range of pixels that the base expects: signed, from -1 to 1; unit, from 0 to 1; "
        "pixels, from 0 to 255. Default: what a named base expects, and signed for a file",
    )
    command.add_argument(
        "--learning-rate",
        type=listed(non_negative),
        default=[1e-3],
        metavar="LR,…",
        help="default: 0.001",
    )
    command.add_argument(
        "--inner",
        type=listed(count),
        default=(0,),
        metavar="N,…",
        help="units of a dense layer before the last one; default: 0, no such layer",
    )
    command.add_argument(
        "--dropout",
        type=listed(non_negative),
        default=(0.0,),
        metavar="RATE,…",
        help="dropout before the last layer; default: 0",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    import itertools
    import shutil

    from minicnn._support import seeding
    from minicnn.applications import transfer
    from minicnn.layers.base import clear_session
    from minicnn.models import load_model

    output: Path = options.output
    check_folder(output)
    combinations = itertools.product(options.learning_rate, options.inner, options.dropout)
    settings = [transfer.Settings(*values) for values in combinations]
    if options.base not in transfer.NETWORKS:
        for name in ("model.keras", *(setting.file_name for setting in settings)):
            check_spares(output / name, [options.base])
    seeding.set_random_seed(options.seed)
    # The photos need not stay in memory: the features do, and augmented photos are new each time.
    train, validation, test = class_folders(options, keep=False)
    base = transfer.load_base(options.base, options.image_size)
    input_range = options.input_range or transfer.input_range_of(options.base)
    make_folder(output)
    runs: Runs = {}
    for number, setting in enumerate(settings, start=1):
        say(f"\nRun {number} of {len(settings)}: {setting}")
        seeding.set_random_seed(options.seed)
        clear_session()  # so that layers have the same names in all files
        model = transfer.make_model(
            base, len(train.class_names), options.image_size, setting, input_range
        )
        if number == 1:
            model.summary()
        runs[str(setting)] = fit_keeping_best(
            model, train, validation, options, output / setting.file_name, None
        )
    winner = _best_of(settings, runs)
    with replacing(output / "model.keras") as temporary:
        shutil.copyfile(output / winner.file_name, temporary)
    _write_table(output / "runs.csv", settings, runs)
    say(f"\nWrote {output / 'model.keras'} ({winner}) and {output / 'runs.csv'}", end="")
    draw(lambda plots: plots.sweep(runs), output / "curves.png")
    if test is not None:
        loss, accuracy = load_model(output / "model.keras").evaluate(test, verbose=0)
        say(f"Test: accuracy {accuracy:.3f}, loss {loss:.3f}.")
    return 0


def _best_of(settings: Sequence["Settings"], runs: Runs) -> "Settings":
    """Print the best validation accuracy of each run, and return the settings of the best run."""
    say("\nBest validation accuracy of each run:")
    best = {name: max(history["val_accuracy"]) for name, history in runs.items()}
    for name, accuracy in best.items():
        say(f"  {accuracy:.3f}  {name}")
    return max(settings, key=lambda setting: best[str(setting)])


def _write_table(path: Path, settings: Sequence["Settings"], runs: Runs) -> None:
    """Write a line for each epoch of each run as CSV."""
    import csv

    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        table = csv.writer(file)
        names = ["loss", "accuracy", "val_loss", "val_accuracy"]
        table.writerow(["learning_rate", "inner", "dropout", "epoch", *names])
        for setting in settings:
            history = runs[str(setting)]
            for epoch in range(len(history["loss"])):
                table.writerow([*setting, epoch, *(history[name][epoch] for name in names)])
