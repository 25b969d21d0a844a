"""`minicnn check` compares each layer with Keras."""

import argparse
from typing import Any

from minicnn._support.terminal import install_extra


def add_to(commands: Any) -> None:
    """Add this command and its options to the parser of `minicnn`."""
    command = commands.add_parser(
        "check",
        help="compare each layer with Keras",
        description=(
            "Runs each layer with many options and the Keras layer of the same name beside it.\n"
            "Prints a verdict and the largest differences of the output and of every gradient,\n"
            "relative to the largest value. Needs Keras and TensorFlow:\n"
            f"  {install_extra('keras')}"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("layers", nargs="*", metavar="LAYER", help="such as Conv2D; default: all")
    command.add_argument(
        "--list",
        action="store_true",
        help="list what Keras has, which of it minicnn has, and what to use instead of the rest; "
        "works without Keras, too",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    from minicnn import check

    if options.list:
        from minicnn.commands import listing

        if options.layers:
            raise ValueError(f"--list lists everything: leave out {options.layers[0]!r}.")
        listing.show()
        return 0
    return 0 if check.run(options.layers) else 1
