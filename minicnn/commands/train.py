"""`minicnn train` trains a CNN on a folder of photos."""

import argparse
from pathlib import Path
from typing import Any

from minicnn._support.arguments import listed, non_negative, positive
from minicnn._support.atomic import check_folder, make_folder
from minicnn._support.terminal import say, this_program
from minicnn.commands.networks import DEFAULT_FILTERS, small_cnn
from minicnn.commands.training import add_data_options, class_folders, fit


def add_to(commands: Any) -> None:
    """Add this command and its options to the parser of `minicnn`."""
    this = this_program()
    command = commands.add_parser(
        "train",
        help="train a CNN on a folder of photos",
        description=(
            "Trains a CNN from scratch on photos in class folders:\n"
            "  DIR/train/CLASS/*.jpg   DIR/validation/CLASS/*.jpg   [DIR/test/CLASS/*.jpg]\n"
            "or DIR/CLASS/*.jpg with --validation-split. The network has one 3x3 convolution with\n"
            "ReLU per entry of --filters, max pooling between them, global average pooling, and a\n"
            "dense layer with one score per class. It is trained with Adam and cross-entropy.\n\n"
            "Writes into --output: model.keras (the best epoch by validation accuracy, with class\n"
            "names and image size inside), history.csv, curves.png."
        ),
        epilog=(
            "examples:\n"
            f"  {this} train --data clothing-dataset-small --image-size 64 --epochs 20\n"
            f"  {this} train --data photos --validation-split 0.2 --augment --dropout 0.2"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_options(command, Path("runs/minicnn"), image_size=64, epochs=20)
    command.add_argument(
        "--learning-rate",
        type=non_negative,
        default=1e-3,
        metavar="LR",
        help="Adam's learning rate; default: 0.001",
    )
    command.add_argument(
        "--filters",
        type=listed(positive),
        default=DEFAULT_FILTERS,
        metavar="N,N,…",
        help="filters of each convolution; default: 32,64,128,128",
    )
    command.add_argument(
        "--dropout",
        type=non_negative,
        default=0.0,
        metavar="RATE",
        help="dropout before the dense layer; default: 0",
    )
    command.add_argument(
        "--head",
        choices=("average", "flatten"),
        default="average",
        help="what comes before the dense layer: global average pooling (default) or flatten",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    from minicnn._support import seeding

    output: Path = options.output
    check_folder(output)
    seeding.set_random_seed(options.seed)
    train, validation, test = class_folders(options)
    make_folder(output)
    model = small_cnn(
        options.image_size,
        len(train.class_names),
        options.filters,
        options.dropout,
        options.head,
    )
    history = fit(model, train, validation, options, output, options.learning_rate)
    accuracies = history["val_accuracy"]
    best = max(accuracies)
    say(f"\nBest validation accuracy: {best:.3f} in epoch {1 + accuracies.index(best)}.")
    if test is not None:
        from minicnn.models import load_model

        loss, accuracy = load_model(output / "model.keras").evaluate(test, verbose=0)
        say(f"Test, with that epoch's weights: accuracy {accuracy:.3f}, loss {loss:.3f}.")
    return 0
