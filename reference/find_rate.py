"""Finds a learning rate for the head in one short training, which tries many.

    python -m reference.find_rate --data clothing-dataset-small

The rate rises from step to step: at first the loss hardly changes, then it falls, and where the
rate is too large it rises. minicnn trains the head on the base's features, with its
`LearningRateFinder`, so that each step is one that the course explains.
"""

import argparse
import csv
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import minicnn
from minicnn import plots
from minicnn._support.arguments import count, path_to_write, positive, rate, share
from minicnn._support.atomic import replacing
from minicnn._support.terminal import say
from minicnn.callbacks import LearningRateFinder
from reference import config, features
from reference.console import (
    add_backend_options,
    add_base_options,
    add_data_options,
    main,
    make_parser,
)
from reference.features import Features
from reference.starting import check_holds_no_model, prepare


def find_rate(
    train: Features,
    size_inner: int = 0,
    droprate: float = 0.0,
    batch_size: int = 32,
    seed: int = 0,
    steps: int = 200,
    lowest: float = 1e-6,
    highest: float = 1.0,
) -> LearningRateFinder:
    """Train a head with rates from `lowest` to `highest`, and return the finder with its losses."""
    minicnn.utils.set_random_seed(seed)
    layers: list[Any] = [minicnn.Input((train.x.shape[1],))]
    if size_inner:
        layers.append(minicnn.layers.Dense(size_inner, activation="relu"))
    if droprate:
        layers.append(minicnn.layers.Dropout(droprate))
    head = minicnn.Sequential([*layers, minicnn.layers.Dense(train.y.shape[1])])
    head.compile("adam", minicnn.losses.CategoricalCrossentropy(from_logits=True))
    finder = LearningRateFinder(lowest, highest, steps)
    epochs = math.ceil(steps / math.ceil(len(train) / batch_size))
    head.fit(train.x, train.y, batch_size=batch_size, epochs=epochs, verbose=0, callbacks=[finder])
    return finder


def advice(finder: LearningRateFinder) -> tuple[float | None, str]:
    """Return the finder's suggestion, if the losses bear it out, and a sentence for the user.

    The rates of the first steps are too small to change the loss, so its changes there are noise.
    """
    smoothed = np.array(finder.smoothed)
    first = finder.losses[: max(5, len(finder.losses) // 10)]
    fall = np.mean(first) - np.nanmin(smoothed, initial=np.inf)
    if finder.suggestion is None or not fall > 2 * np.std(first):
        return None, (
            "No rate from --lowest to --highest makes the loss fall by more than the first steps "
            "differ, so none is suggested."
        )
    at = int(np.nanargmin(smoothed))
    if at == len(smoothed) - 1:
        return None, (
            f"The loss still falls at --highest, {finder.rates[at]:.2g}: only with a higher one is "
            "it seen where it begins to rise."
        )
    return finder.suggestion, (
        f"The loss is lowest at a learning rate of {finder.rates[at]:.2g}, and then rises. "
        f"Suggested: a tenth, --learning-rate {finder.suggestion:.2g}; with --schedule one-cycle "
        "or cosine two or three times as much."
    )


def parser() -> argparse.ArgumentParser:
    made = make_parser(
        "find_rate",
        "Tries many learning rates in one short training of a head, and suggests one. Writes into\n"
        "--output: rate.png, the loss over the learning rate, and rates.csv.",
        "example:\n  python -m reference.find_rate --data download --inner 100",
    )
    add_data_options(made)
    add_base_options(made)
    add = made.add_argument_group("what to train").add_argument
    add("--inner", type=count, default=0, metavar="N", help="units of an inner layer; default: 0")
    add("--dropout", type=share, default=0.0, metavar="RATE", help="default: 0")
    add("--batch-size", type=positive, default=32, metavar="N", help="default: 32")
    add("--steps", type=positive, default=200, metavar="N", help="default: 200")
    add("--lowest", type=rate, default=1e-6, metavar="LR", help="default: 0.000001")
    add("--highest", type=rate, default=1.0, metavar="LR", help="default: 1")
    add("--output", type=path_to_write, default=Path("runs/rates"), metavar="DIR",
        help="default: runs/rates")  # fmt: skip
    add_backend_options(made)
    return made


def command(options: argparse.Namespace) -> None:
    if options.processes is not None:
        raise ValueError("A head is small, and one process trains it fast: no --processes.")
    check_holds_no_model(options.output)
    LearningRateFinder(options.lowest, options.highest, options.steps)  # raises before the work
    machine, splits, reader, base = prepare(options)
    train, _ = features.extract_both(
        splits, reader, base, machine, options.cache, batch_size=options.batch_size
    )
    finder = find_rate(
        train, options.inner, options.dropout, options.batch_size, options.seed, options.steps,
        options.lowest, options.highest,
    )  # fmt: skip
    options.output.mkdir(parents=True, exist_ok=True)
    for name in ("rates.csv", "rate.png"):  # the old files belong to other options
        (options.output / name).unlink(missing_ok=True)
    config.write(parser(), options, machine.made_with)
    with replacing(options.output / "rates.csv") as temporary, temporary.open("w", newline="") as f:
        table = csv.writer(f)
        table.writerow(["learning rate", "loss", "smoothed"])
        table.writerows(zip(finder.rates, finder.losses, finder.smoothed, strict=True))
    suggestion, sentence = advice(finder)
    figure = plots.learning_rates(finder.rates, finder.losses, finder.smoothed, suggestion)
    plots.save(figure, options.output / "rate.png")
    say(sentence)
    say(f"Wrote rate.png and rates.csv into {options.output}.")


def run(arguments: Sequence[str] | None = None) -> int:
    return main(parser(), command, arguments)


if __name__ == "__main__":
    sys.exit(run())
