"""Measures how time shrinks with threads, and how it grows with pixels, channels and batch.

TensorFlow accepts its number of threads only once, so each number has its own process, which
measures both sides in turns. Growth is measured in this process, with all requested threads; the
report gives the exponent of the growth (1: twice as much takes twice as long).
"""

from dataclasses import replace
from typing import Any

from benchmarks import harness, layers, operations, processes, report, threads, training
from benchmarks.harness import OURS, THEIRS, Job, Row, Session
from benchmarks.operations import Case

SUBJECT = "scaling"

_SIDES = (OURS, THEIRS)

_CODE = """
import json, os
from benchmarks import harness
from benchmarks.scaling import rows_of_threads
print(json.dumps(rows_of_threads({threads}, {quick}, {wanted!r})))
"""


def jobs(session: Session) -> list[Job]:
    """Return one job for each number of threads, then one for each size."""
    counts = [n for n in (1, 2, 4, 8, 16, 32, 64) if n < session.threads] + [session.threads]
    found = [_threads_job(session, count) for count in counts]
    steps = 3 if session.quick else 5
    for case, what, times in _growing(steps):
        title = f"{case.name}, batch {case.batch}, growing {what}"
        row = replace(
            layers.row_of(case, "forward"), subject=SUBJECT, group=f"growth with {what}",
            grows=times,
        )  # fmt: skip
        found.append(
            Job(title, lambda case=case, row=row: [_measured(session, case, row)])  # type: ignore[misc]
        )
    return found


def _growing(steps: int) -> list[tuple[Case, str, float]]:
    """Return a 3×3 convolution that doubles its pixels, channels (work: four times) or batch."""

    def case(size: int, channels: int, batch: int) -> Case:
        return Case("conv", "", batch, size, size, channels, channels, (3, 3))

    found = []
    for k in range(steps):
        found.append((case(14 * 2**k, 32, 1), "pixels", 4.0**k))
    for k in range(steps):
        found.append((case(28, 16 * 2**k, 1), "channels", 2.0**k))
    for k in range(steps):
        found.append((case(28, 64, 2**k), "batch", 2.0**k))
    return found


def _measured(session: Session, case: Case, row: Row) -> Row:
    session = replace(session, wanted=session.wanted or _SIDES)
    return harness.measure(row, layers.sides(case, "forward", session), session.effort)


def _threads_job(session: Session, count: int) -> Job:
    def run() -> list[Row]:
        code = _CODE.format(threads=count, quick=session.quick, wanted=session.wanted or _SIDES)
        told: list[dict[str, Any]] = processes.fresh(code, threads.environment(count))
        rows = [report.from_dict(each) for each in told]
        for row in rows:
            row.subject, row.group = SUBJECT, f"{_threads(count)}: layers and training"
            row.name = f"{row.name}, {_threads(count)}"
        return rows

    return Job(_threads(count), run)


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def rows_of_threads(count: int, quick: bool, wanted: tuple[str, ...]) -> list[dict[str, Any]]:
    """Measure a few layers, and a step of the small CNN unless quick, in a process of its own."""
    from benchmarks import on_tensorflow

    session = Session(count, quick, wanted)
    threads.set_threads(count)
    if session.wants(THEIRS) and on_tensorflow.installed():
        on_tensorflow.start(count)
    cases = [
        case
        for case in operations.cases()
        if case.quick and case.batch == 32 and case.kind in ("conv", "depthwise", "relu")
    ]
    rows = [
        harness.measure(
            layers.row_of(case, "forward"), layers.sides(case, "forward", session), session.effort
        )
        for case in cases
    ]
    if not quick:
        (step,) = [j for j in training.jobs(replace(session, quick=True)) if "step" in j.title]
        rows += step.run()
    return [report.as_dict(row) for row in rows]
