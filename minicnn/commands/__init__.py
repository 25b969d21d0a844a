"""The commands of `minicnn`: one file for each, with its options and what it does.

    minicnn demo, train, transfer, predict, explain, check, lessons, compile

Each command ends with exit code 0, or with one sentence on stderr and exit code 2 (130 after an
interrupt, 141 when the reader of its output has closed the pipe). `minicnn` alone prints its help
on stderr, and `minicnn COMMAND --help` explains a command's options.
"""

import argparse
import sys
from collections.abc import Sequence

from minicnn._support import terminal
from minicnn._support.version import __version__
from minicnn.commands import check, compile, demo, explain, lessons, predict, train, transfer

COMMANDS = (demo, train, transfer, predict, explain, check, lessons, compile)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""

    def parsed() -> int:
        parser = make_parser()
        options = parser.parse_args(arguments)
        if options.command is None:
            parser.print_help(sys.stderr)
            return 2
        return terminal.run(
            f"minicnn {options.command}",
            lambda: options.run(options),
            lambda error: _sentence(error, options),
        )

    return terminal.run("minicnn", parsed)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of `minicnn`, with a parser for each command."""
    parser = argparse.ArgumentParser(
        prog="minicnn",
        description="A CNN engine in NumPy that you can look into.",
        epilog=f"Start with: {terminal.this_program()} demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"minicnn {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    return parser


def _sentence(error: BaseException, options: argparse.Namespace) -> str | None:
    """Return the sentence for an expected error; None for an error that is a defect."""
    if not isinstance(error, terminal.EXPECTED):
        return None
    from minicnn.images import BadImageError

    said = terminal.sentence_of(error)
    if isinstance(error, BadImageError) and hasattr(options, "skip_bad_images"):
        said += " Pass --skip-bad-images to leave it out."
    return said
