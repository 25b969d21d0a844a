"""`minicnn lessons` lists the lessons, runs one, or writes them as notebooks or for a teacher."""

import argparse
import importlib.util
from pathlib import Path
from typing import Any

from minicnn._support import terminal
from minicnn._support.arguments import listed, local_path, path_to_write, positive
from minicnn._support.terminal import quoted, say, this_program

HOMEWORK = 0  # as in `minicnn.lessons`, which takes time to import
OUTPUT = Path("runs/lessons")


def add_to(commands: Any) -> None:
    """Add this command and its options to the parser of `minicnn`."""
    this = this_program()
    command = commands.add_parser(
        "lessons",
        help="lessons, from the data to the processor: list, run, or write as notebooks",
        description=(
            "Lists the lessons; with --run shows one in the terminal, cell by cell, and runs it;\n"
            "with --notebooks writes all of them for Jupyter; with --teacher writes a plan,\n"
            "slides, a worksheet and solutions for each; with --check runs all of them, solved,\n"
            "in one sitting. The lessons work offline."
        ),
        epilog=(
            "examples:\n"
            f"  {this} lessons\n"
            f"  {this} lessons --run 1\n"
            f"  {this} lessons --run 5 --data clothing-dataset-small --base mobilenet\n"
            f"  {this} lessons --notebooks lessons\n"
            f"  {this} lessons --teacher runs/teacher --only 4,5"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    action = command.add_mutually_exclusive_group()
    action.add_argument(
        "--run", dest="number", type=_number, metavar="N", help="run lesson N, or the homework"
    )
    action.add_argument(
        "--notebooks", type=path_to_write, metavar="DIR", help="write them as .ipynb files"
    )
    action.add_argument(
        "--teacher",
        type=path_to_write,
        metavar="DIR",
        help="run them and write the teacher's pack: HTML",
    )
    action.add_argument(
        "--check",
        action="store_true",
        help="run them one after the other with all exercises solved, and print how long each "
        "takes",
    )
    command.add_argument(
        "--data",
        type=local_path,
        metavar="DIR",
        help="photos, DIR/train/dress/*.jpg and so on, in place of the drawn clothes",
    )
    command.add_argument(
        "--base",
        type=lambda text: str(local_path(text)),
        help="with --data, for the lessons on transfer learning: a network that has seen photos, "
        "by its name or as a file, as for transfer",
    )
    command.add_argument(
        "--only",
        type=listed(_number),
        metavar="N,…",
        help="for --teacher and --check: these lessons alone, or the homework",
    )
    command.add_argument(
        "--output",
        type=path_to_write,
        metavar="DIR",
        help=f"for --run and --check: where to write images and figures; default: {OUTPUT}",
    )
    command.add_argument(
        "--overwrite",
        action="store_true",
        help="for --notebooks and --teacher: also replace existing files",
    )
    command.set_defaults(run=run)


def _number(text: str) -> int:
    """Return the number of a lesson, or that of the homework."""
    return HOMEWORK if text.lower() == "homework" else positive(text)


def run(options: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    from minicnn import lessons

    runs = options.number is not None or options.check
    writes = options.notebooks is not None or options.teacher is not None
    if options.data is not None and not runs and not writes:
        raise ValueError("--data goes with --run, --notebooks, --teacher or --check.")
    if options.base is not None and options.data is None:
        raise ValueError("--base goes with --data.")
    if options.only is not None and options.teacher is None and not options.check:
        raise ValueError("--only goes with --teacher or --check.")
    if options.output is not None and not runs:
        raise ValueError("--output goes with --run or --check.")
    if options.overwrite and not writes:
        raise ValueError("--overwrite goes with --notebooks or --teacher.")
    output = OUTPUT if options.output is None else options.output
    if options.number is not None:
        seconds = lessons.run(options.number, output, options.data, options.base)
        say(f"Computed for {seconds:.0f} s. Figures: {output / 'figures'}")
        say("You answer the exercises in a notebook, or in a copy of the script:")
        say(f"  {this_program()} lessons --notebooks lessons")
        say(f"  {lessons.find(options.number).path}")
    elif options.notebooks is not None:
        paths = lessons.write_notebooks(
            options.notebooks, options.overwrite, options.data, options.base
        )
        say(f"Wrote {len(paths)} notebooks into the folder {str(options.notebooks)!r}.")
        say("Open them with Jupyter:")
        if importlib.util.find_spec("jupyterlab") is None:
            say(f"  {terminal.pip_install('jupyterlab')}")
        say(f"  {terminal.python()} -m jupyterlab {quoted(options.notebooks)}")
    elif options.teacher is not None:
        paths = lessons.write_pack(
            options.teacher, options.only or (), options.overwrite, options.data, options.base
        )
        say(f"Wrote {len(paths)} pages. Begin with {str(paths[0])!r}.")
    elif options.check:
        well = lessons.check(output, options.only or (), options.data, options.base)
        return 0 if well else 1
    else:
        lessons.print_list()
    return 0
