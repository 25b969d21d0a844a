"""Measures single operations: loops, im2col, minicnn's kernels, TensorFlow, PyTorch.

The times include the call from Python, on all sides. A layer inside a TensorFlow graph does not pay
for it, but a layer inside minicnn's `fit` does. So a "*" marks rows so short that an empty call of
a `tf.function` takes a quarter of TensorFlow's time or more. `networks` and `training` measure the
layers together.
"""

from benchmarks import on_tensorflow, on_torch, operations, ours
from benchmarks.harness import THEIRS, Job, Row, Session, Side, measure
from benchmarks.operations import Case

SUBJECT = "layers"


def jobs(session: Session) -> list[Job]:
    """Return one job for each case and way through it."""
    return [
        _job(session, case, work)
        for case in operations.cases()
        if case.quick or not session.quick
        for work in case.works
    ]


def _job(session: Session, case: Case, work: str) -> Job:
    row = row_of(case, work)
    return Job(row.title, lambda: [measure(row, sides(case, work, session), session.effort)])


def row_of(case: Case, work: str) -> Row:
    """Return the row, still empty."""
    return Row(
        SUBJECT,
        operations.group_of(case),
        case.name,
        work,
        case.batch,
        case.flops,
        case.bytes(work),
    )


def sides(case: Case, work: str, session: Session) -> list[Side]:
    """Return all sides that can do this and are wanted, with the same data."""
    data = operations.data_of(case)
    found = ours.sides(case, work, data)
    if session.wants(on_torch.NAME) and on_torch.installed():
        found += [side] if (side := on_torch.side(case, work, data)) else []
    if session.wants(THEIRS) and on_tensorflow.installed():
        found.append(on_tensorflow.side(case, work, data))
    return [side for side in found if session.wants(side.name)]
