"""Measures how fast minicnn and its peers are on the same cores of this machine.

    python -m benchmarks                      all subjects, a quarter of an hour or more
    python -m benchmarks layers --quick       one of them, in under a minute
    python -m benchmarks --markdown --json speed.json --plot speed.png

The command compares the sides' results before it times them: if they disagree, the row says so, and
the exit status is 1. `benchmarks/harness.py` explains how it measures time.
"""

import argparse
import importlib
import os
import sys
import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchmarks import threads as cpu  # imports of NumPy come later: its threads must be set before

if TYPE_CHECKING:
    from benchmarks.harness import Job, Row, Session

SUBJECTS = ("layers", "networks", "training", "loading", "startup", "scaling")


def parser() -> argparse.ArgumentParser:
    from minicnn._support.arguments import path_to_write, positive

    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("subject", nargs="?", choices=SUBJECTS, metavar="SUBJECT",
        help=f"{', '.join(SUBJECTS)}; default: all of them")  # fmt: skip
    add("--quick", action="store_true", help="fewer rows and rounds: under a minute per subject")
    add("--threads", type=positive, metavar="N", help="for each side; default: all cores")
    add("--only", default="", metavar="TEXT", help="only rows whose title contains this")
    add("--sides", type=lambda text: tuple(text.split(",")), default=(), metavar="NAME,…",
        help="only these sides, such as minicnn,TensorFlow")  # fmt: skip
    add(
        "--json",
        type=path_to_write,
        metavar="F",
        help="write every sample and the machine to this file",
    )
    add("--plot", type=path_to_write, metavar="F",
        help="draw plots; for several subjects F.png becomes F-layers.png etc.")  # fmt: skip
    add("--markdown", action="store_true", help="print the summary as in README")
    return made


def command(options: argparse.Namespace) -> "list[Row]":
    session, jobs = prepared(options)
    from benchmarks import limits, plots, report
    from minicnn._support.terminal import say

    subjects = [options.subject] if options.subject else list(SUBJECTS)
    told = report.machine(session.threads)
    found_limits = limits.measure(session) if "layers" in subjects else None
    for line in report.machine_lines(told):
        say(line)
    start = time.perf_counter()
    rows, stopped = measured(jobs)
    seconds = time.perf_counter() - start
    if stopped is not None and not rows:
        raise stopped
    if not rows:
        raise ValueError(f"No row is measured by --sides {','.join(options.sides)}.")
    if found_limits and stopped is None:
        found_limits = found_limits.or_better(limits.measure(session))
    for subject in subjects:
        members = [row for row in rows if row.subject == subject]
        if members:
            say(f"\n{subject}")
            limited = found_limits if subject == "layers" else None
            above = [] if limited is None else report.limit_lines(limited)
            table = report.aligned(*report.table(members, limited))
            for line in [*above, *table, *report.slopes(members)]:
                say(line)
    head, lines = report.summary(rows)
    if lines:
        say("\nsummary: the median ratio of each group, and its range")
        if options.markdown:
            say(f"\n{report.sentence(told)}\n")
        for line in (report.markdown if options.markdown else report.aligned)(head, lines):
            say(line)
    part = "" if stopped is None else ", but not all: the measurement ended early"
    say(f"\n{len(rows)} rows in {seconds:.0f} s{part}.")
    for line in report.doubts(rows):
        say(line)
    if options.json:
        report.write_json(options.json, rows, told, found_limits, whole=stopped is None)
        say(f"Wrote {options.json}.")
    if options.plot:
        for path in plots.write(options.plot, rows, found_limits):
            say(f"Wrote {path}.")
    for row in report.disagreements(rows):
        print(f"The sides disagree: {row.title}.", file=sys.stderr)
    if stopped is not None:
        raise stopped
    return rows


def measured(jobs: "Sequence[Job]") -> "tuple[list[Row], BaseException | None]":
    """Return the rows, and what ended the measurement early: an interrupt or a failure, or None.

    The rows that were measured before are worth a report. Rows that no wanted side measures are
    left out.
    """
    from reference.console import progress

    rows: list[Row] = []
    try:
        with progress("measuring", len(jobs)) as advance:
            for job in jobs:
                rows += [row for row in job.run() if row.times or row.disagreeing]
                advance(1)
    except (KeyboardInterrupt, Exception) as error:  # a library may raise anything
        return rows, error
    return rows, None


def prepared(options: argparse.Namespace) -> "tuple[Session, list[Job]]":
    """Set the threads, load the libraries, and collect what to measure."""
    threads = options.threads or cpu.cores()
    if threads > cpu.cores():
        raise ValueError(
            f"--threads {threads} is more than the {cpu.cores()} cores that this process has."
        )
    from benchmarks import harness, on_onnx, on_tensorflow, on_torch
    from minicnn._support.terminal import install_extra, pip_install, say

    _check_files(options)
    known = _known_sides()
    for side in options.sides:
        if side not in known:
            raise ValueError(f"--sides knows {', '.join(known)}, not {side!r}.")
    session = harness.Session(threads, options.quick, options.sides)
    cpu.set_threads(threads)
    onnx = session.wants(on_onnx.NAME) and options.subject in (None, "networks", "startup")
    if session.wants(harness.THEIRS) or onnx:
        if not on_tensorflow.installed():
            say(f"TensorFlow is not installed: minicnn alone.\n  {install_extra('keras')}")
        else:
            on_tensorflow.start(threads)
            if onnx and not on_onnx.installed():
                say("ONNX Runtime, often the fastest peer that predicts, is not installed:\n"
                    f"  {pip_install(*on_onnx.PACKAGES)}")  # fmt: skip
    if session.wants(on_torch.NAME) and on_torch.installed():
        on_torch.start(threads)
    subjects = [options.subject] if options.subject else SUBJECTS
    jobs: list[Any] = []
    for subject in subjects:
        jobs += importlib.import_module(f"benchmarks.{subject}").jobs(session)
    jobs = [job for job in jobs if options.only in job.title]
    if not jobs:
        raise ValueError(f"No row's title contains --only {options.only!r}.")
    return session, jobs


def _check_files(options: argparse.Namespace) -> None:
    """Raise an error now, not after a quarter of an hour, if no file can be written there."""
    from benchmarks import plots
    from minicnn._support.atomic import check_place
    from reference.console import check_output

    for option, path in (("--json", options.json), ("--plot", options.plot)):
        if path is not None:
            check_output(option, check_place(path).parent)
    if options.plot:
        plots.check(options.plot)


def _known_sides() -> list[str]:
    from benchmarks import harness, on_onnx, on_torch
    from minicnn import functional

    algorithms = [name for name in functional.ALGORITHMS if name != "auto"]
    return [harness.OURS, harness.THEIRS, on_onnx.NAME, on_torch.NAME, *algorithms]


def _threads(arguments: Sequence[str] | None) -> int:
    """Read `--threads` alone, before parsing all options, which loads NumPy."""
    early = argparse.ArgumentParser(add_help=False)
    early.add_argument("--threads", nargs="?", default="")
    text = early.parse_known_args(arguments)[0].threads or ""
    return int(text) if text.isdigit() and int(text) else cpu.cores()


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 0, 1 if sides disagree, or 2 with one sentence for an error."""
    rows: list[Any] = []
    warnings.filterwarnings("ignore", module="keras")
    os.environ |= cpu.environment(_threads(arguments))
    from reference.console import main

    code = main(parser(), lambda options: rows.extend(command(options)), arguments)
    return code or int(any(row.disagreeing for row in rows))


if __name__ == "__main__":
    sys.exit(run())
