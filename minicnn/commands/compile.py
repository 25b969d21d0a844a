"""`minicnn compile` compiles kernels in advance, for an image of a container or a classroom."""

import argparse
import os
import subprocess
import sys
from typing import Any

from minicnn._support.arguments import local_path, path_to_write
from minicnn._support.atomic import make_folder, replacing
from minicnn._support.terminal import quoted, say


def add_to(commands: Any) -> None:
    """Add this command and its options to the parser of `minicnn`."""
    command = commands.add_parser(
        "compile",
        help="compile the kernels in advance, also for other machines",
        description=(
            "Compiles the kernels that training and prediction usually need, and those of the\n"
            "models, so that no one waits for them later: a few seconds, once per machine.\n\n"
            "  minicnn compile                                   for this machine\n"
            "  minicnn compile --cpu x86-64-v3 --output kernels  for every machine with AVX2\n\n"
            "Set MINICNN_CACHE_DIR to the folder of --output, and minicnn takes kernels from it."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "models", nargs="*", type=local_path, metavar="MODEL", help=".keras or .h5 file"
    )
    command.add_argument(
        "--cpu",
        choices=("x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"),  # `machine.LEVELS`
        help="the oldest kind of processor to compile for; default: this one",
    )
    command.add_argument(
        "--output", type=path_to_write, metavar="DIR", help="the folder for the kernels"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    if options.cpu:
        from minicnn.compiler import machine

        machine.check_level(options.cpu)
    environment = dict(os.environ)
    if options.cpu:
        environment["MINICNN_CPU"] = options.cpu
    if options.output:
        output = options.output.absolute()
        make_folder(output)
        environment["MINICNN_CACHE_DIR"] = str(output)
        if options.cpu:
            with replacing(output / "processor") as path:
                path.write_text(f"{options.cpu}\n")
    # A process compiles for one kind of processor, and this process has already chosen its own.
    models = [str(path.absolute()) for path in options.models]
    done = subprocess.run(
        [sys.executable, "-m", "minicnn.commands.ahead", *models], env=environment, check=False
    )
    if done.returncode == 0 and options.output:
        say(f"To take kernels from there: MINICNN_CACHE_DIR={quoted(options.output.absolute())}")
    elif done.returncode == 0 and options.cpu:
        say(f"To use them: MINICNN_CPU={options.cpu}")
    return done.returncode
