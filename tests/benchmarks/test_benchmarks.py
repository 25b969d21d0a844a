"""Benchmarks check agreement before they time, alternate sides, and report honest statistics."""

import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import __main__ as cli
from benchmarks import (
    harness,
    layers,
    limits,
    loading,
    networks,
    on_onnx,
    on_tensorflow,
    on_torch,
    operations,
    ours,
    plots,
    processes,
    report,
    scaling,
    startup,
    threads,
    training,
)  # fmt: skip
from benchmarks.harness import (
    OURS,
    THEIRS,
    Effort,
    Job,
    Row,
    Session,
    Side,
    Times,
    Unavailable,
    Way,
)
from benchmarks.limits import Limits

ROOT = Path(__file__).parents[2]
BRIEF = Effort(rounds=4, turn=0.0)


def row(**more):
    return Row(
        **{"subject": "layers", "group": "g", "name": "n", "work": "forward", "batch": 1, **more}
    )


def fake(name, value, called=None, seconds=0.0, way=""):
    """Return a side that returns `value` and notes in `called` that it ran."""

    def run():
        if called is not None:
            called.append(name + way)
        if seconds:
            time.sleep(seconds)
        return [np.asarray(value, np.float32)]

    return Side(name, [Way(way, run)])


# -- agreement -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "expected", "answer"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0]], 0.0),
        ([[1.0, 2.5]], [[1.0, 2.0]], 0.25),  # off by 0.5, and the largest is 2
        ([[1.0], [3.0]], [[1.0], [4.0]], 0.25),  # the second array differs
        ([[0.5]], [[0.0]], 0.5),
        ([[1.0]], [[1.0, 2.0]], math.inf),
        ([[1.0]], [[1.0], [2.0]], math.inf),
        ([[math.nan]], [[1.0]], math.inf),
        ([[1.0]], [[math.nan]], math.inf),
        ([[math.nan], [1.0]], [[1.0], [1.0]], math.inf),
    ],
)
def test_difference(found, expected, answer):
    given = ([np.asarray(a, np.float32) for a in side] for side in (found, expected))
    assert harness.difference(*given) == answer


@pytest.mark.parametrize("wrong", [1.01, math.nan, [1.0, 1.0]])
def test_a_row_that_disagrees_is_not_timed(wrong):
    called = []
    sides = [fake(OURS, wrong, called), fake("im2col", 1.0, called), fake(THEIRS, 1.0, called)]
    found = harness.measure(row(), sides, BRIEF)
    assert called == [OURS, "im2col", THEIRS]  # each runs once, for the comparison
    assert found.times == {}
    assert list(found.disagreeing) == [OURS]
    assert (found.judge, found.ratio) == (THEIRS, None)


def test_every_way_of_a_side_must_agree():
    good, bad = fake(THEIRS, 1.0, way="graph"), fake(THEIRS, 2.0, way="XLA")
    found = harness.measure(row(), [fake(OURS, 1.0), Side(THEIRS, [*good.ways, *bad.ways])], BRIEF)
    assert found.times == {}
    assert found.disagreeing == {THEIRS: 1.0}


def test_a_row_that_agrees_within_the_tolerance_is_timed():
    found = harness.measure(row(), [fake(OURS, 1.00005), fake(THEIRS, 1.0)], BRIEF)
    assert not found.disagreeing
    assert found.differences[OURS] == pytest.approx(5e-5, rel=0.01)
    assert set(found.times) == {OURS, THEIRS}


def test_without_tensorflow_another_side_judges_and_a_lone_side_has_no_judge():
    assert harness.measure(row(), [fake(OURS, 1.0), fake("im2col", 2.0)], BRIEF).judge == "im2col"
    alone = harness.measure(row(), [fake(OURS, 1.0)], BRIEF)
    assert (alone.judge, alone.differences, alone.ratio) == ("", {}, None)
    assert alone.times[OURS].samples


def test_a_side_that_cannot_run_a_case_is_left_out():
    def refuse():
        raise Unavailable("not for this case")

    found = harness.measure(
        row(), [fake(OURS, 1.0), Side("direct", [Way("", refuse)]), fake(THEIRS, 1.0)], BRIEF
    )
    assert list(found.times) == [OURS, THEIRS]


# -- time ------------------------------------------------------------------------------------------


def test_turns_alternate():
    called = []
    runs = {name: lambda name=name: called.append(name) for name in "abc"}
    slow = dict.fromkeys(runs, 1.0)  # then a turn is one call
    samples = harness.interleaved(runs, BRIEF, slow)
    assert "".join(called) == "abccbaabccba"
    assert {name: len(rounds) for name, rounds in samples.items()} == {"a": 4, "b": 4, "c": 4}


def test_three_rounds_are_enough_for_very_slow_calls():
    samples = harness.interleaved({"a": lambda: None, "b": lambda: None}, BRIEF, {"a": 9, "b": 0.5})
    assert {name: len(rounds) for name, rounds in samples.items()} == {"a": 3, "b": 3}


def test_a_turn_begins_with_a_call_that_is_not_counted():
    called = []
    samples = harness.turn(lambda: called.append(1), seconds=0.05, usual=0.01)
    assert (len(called), len(samples)) == (6, 5)


def test_short_calls_are_timed_in_groups():
    called = []
    samples = harness.turn(lambda: called.append(1), seconds=0.003, usual=0.0001)
    assert len(samples) == 3
    assert len(called) == 1 + 3 * 10


def test_the_faster_way_counts():
    quick, slow = fake(THEIRS, 1.0, way="graph"), fake(THEIRS, 1.0, seconds=0.01, way="XLA")
    sides = [fake(OURS, 1.0, seconds=0.002), Side(THEIRS, [*slow.ways, *quick.ways])]
    found = harness.measure(row(), sides, BRIEF)
    assert found.times[THEIRS].way == "graph"
    assert set(found.times[THEIRS].tried) == {"graph", "XLA"}
    assert found.times[THEIRS].tried["XLA"] >= 0.01
    assert found.times[OURS].median >= 0.002


def test_the_way_with_the_lower_median_counts(monkeypatch):
    """One that was lucky when the ways were tried does not win for it."""
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def way(name, seconds):
        def run():
            clock[0] += seconds.pop(0) if len(seconds) > 1 else seconds[0]
            return [np.float32(1.0)]

        return Way(name, run)

    lucky = way("lucky", [1.0, *[0.1] * 4, 0.2])  # the first call, four to try, all others
    theirs = Side(THEIRS, [lucky, way("steady", [0.15]), way("slow", [0.31])])
    our = Side(OURS, [way("", [0.1])])
    found = harness.measure(row(), [our, theirs], BRIEF).times[THEIRS]
    assert (found.way, found.median) == ("steady", pytest.approx(0.15))
    assert found.tried == pytest.approx({"lucky": 0.1, "steady": 0.15, "slow": 0.31})


def test_a_way_that_lost_clearly_or_was_not_tried():
    times = Times([], tried={"graph": 1.0, "eager": 1.25, "XLA": 1.4})
    assert [times.lost(way) for way in ("graph", "eager", "XLA", "other")] == [
        False,
        False,
        True,
        True,
    ]


def test_statistics():
    times = Times([[3.0, 1.0], [2.0], [5.0, 4.0]])
    assert times.samples == [3, 1, 2, 5, 4]
    assert (times.median, times.best, times.quartiles) == (3.0, 1.0, (2.0, 4.0))
    assert times.spread == pytest.approx(1 / 3)
    one = Times([[7.0]])
    assert (one.median, one.best, one.quartiles, one.spread) == (7.0, 7.0, (7.0, 7.0), 0.0)


def test_the_ratio_is_the_fastest_peer_s_over_ours():
    assert row(times={OURS: Times([[1.0, 2.0, 9.0]]), THEIRS: Times([[6.0]])}).ratio == 3.0
    assert row(times={OURS: Times([[1.0]])}).ratio is None
    fastest = {OURS: Times([[2.0]]), THEIRS: Times([[6.0]]), "ONNX Runtime": Times([[1.0]])}
    assert row(times=fastest).ratio == 0.5


# -- operations ------------------------------------------------------------------------------------


SMALL = [
    operations.Case("conv", "g", 2, 9, 8, 3, 5, (3, 3)),
    operations.Case("conv", "g", 1, 9, 9, 3, 5, (3, 3), (2, 2), "valid"),
    operations.Case("conv", "g", 2, 6, 6, 4, 6, (3, 3), (2, 2)),
    operations.Case("conv", "g", 2, 5, 4, 7, 6),
    operations.Case("conv", "g", 2, 8, 8, 3, 4, (5, 5)),
    operations.Case("depthwise", "g", 2, 7, 6, 5, 0, (3, 3)),
    operations.Case("depthwise", "g", 1, 8, 8, 5, 0, (3, 3), (2, 2)),
    operations.Case("dense", "g", 3, 1, 1, 11, 5),
    operations.Case("relu", "g", 2, 4, 4, 3, works=operations.FORWARD_BACK),
    operations.Case("batch norm", "g", 4, 5, 5, 3, works=(*operations.FORWARD_BACK, "inference")),
    operations.Case(
        "max pool", "g", 2, 6, 6, 3, 0, (2, 2), (2, 2), "valid", operations.FORWARD_BACK
    ),
    operations.Case(
        "max pool", "g", 2, 7, 7, 3, 0, (3, 3), (2, 2), "same", operations.FORWARD_BACK
    ),
    operations.Case("cross-entropy", "g", 4, channels=6, works=("both ways",)),
    operations.Case("adam", "g", 1, channels=6, filters=4, works=("step",), label="Adam"),
]
WORKS = [
    pytest.param(case, work, id=f"{case.name} {work}") for case in SMALL for work in case.works
]


def test_every_kind_and_work_of_the_list_is_among_the_small_ones():
    small = {(case.kind, work) for case in SMALL for work in case.works}
    assert {(case.kind, work) for case in operations.cases() for work in case.works} <= small


@pytest.mark.slow
@pytest.mark.parametrize(("case", "work"), WORKS)
def test_all_sides_agree(case, work):
    """The algorithms agree with each other, and with TensorFlow and PyTorch where installed."""
    found = harness.measure(
        layers.row_of(case, work), layers.sides(case, work, Session(1)), Effort(1, 0.0)
    )
    assert found.disagreeing == {}
    assert OURS in found.times
    if on_tensorflow.installed():
        assert found.judge == THEIRS
        assert THEIRS in found.times
    elif case.kind in ("conv", "depthwise"):
        assert found.judge in found.times  # a case this small is judged by the plain loops


@pytest.mark.parametrize("side", ["theirs", "ours"])
def test_a_wrong_result_is_noticed(side, monkeypatch):
    """It is noticed among the real sides: a slightly different gradient does not pass."""
    case = SMALL[0]
    found = layers.sides(case, "dw", Session(1))
    assert len(found) > 1
    other = dict(operations.data_of(case))
    other["dy"] = other["dy"] * np.float32(1.001)
    found[0] = ours.sides(case, "dw", other)[0]
    assert harness.measure(row(), found, BRIEF).disagreeing.keys() == {OURS}


def test_what_a_case_needs():
    conv = operations.Case("conv", "g", 2, 10, 10, 3, 5, (3, 3), (1, 1), "valid")
    assert conv.out == (8, 8)
    assert conv.flops == 2 * (2 * 8 * 8) * (3 * 3 * 3) * 5
    x, w, b, y = 2 * 10 * 10 * 3, 3 * 3 * 3 * 5, 5, 2 * 8 * 8 * 5
    assert conv.bytes("forward") == 4 * (x + w + y)
    assert {k: v.shape for k, v in operations.data_of(conv).items()} == {
        "x": (2, 10, 10, 3), "dy": (2, 8, 8, 5), "w": (3, 3, 3, 5), "b": (b,),
    }  # fmt: skip
    relu = operations.Case("relu", "g", 1, 4, 4, 2)
    assert (relu.bytes("forward"), relu.bytes("backward")) == (4 * 64, 4 * 96)


def test_titles_name_one_row_each():
    for quick in (False, True):
        session = Session(1, quick)
        jobs = [
            job
            for subject in (layers, networks, training, loading, startup, scaling)
            for job in subject.jobs(session)
        ]
        titles = [job.title for job in jobs]
        assert len(titles) == len(set(titles))


def test_a_quick_run_measures_less():
    assert {c.group for c in operations.cases() if c.quick} >= {operations.CONV3, operations.OTHER}
    for subject in (layers, networks, training):
        assert 0 < len(subject.jobs(Session(1, quick=True))) < len(subject.jobs(Session(1))) / 2


# -- loading ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_photos_are_read_by_a_process_of_their_own():
    times, memory = loading.rows(Session(1, quick=True, wanted=(OURS,)), 40, 16, drawn=20)
    assert (times.work, times.photos, memory.unit) == ("to 16×16", 40, "bytes")
    assert 0 < times.times[OURS].median < 100
    assert 2**24 < memory.times[OURS].median < 2**31


def test_linked_photos_are_few_files(tmp_path):
    loading.write(tmp_path, 45)
    found = sorted(tmp_path.rglob("*.jpg"))
    assert len(found) == 45
    assert len({path.stat().st_ino for path in found}) == 20


# -- networks --------------------------------------------------------------------------------------


def test_onnx_s_threads_spin_or_sleep_during_a_call_and_sleep_after_it(monkeypatch):
    made = []

    class Options:
        def __init__(self):
            self.entries = {}

        def add_session_config_entry(self, key, value):
            self.entries[key.removeprefix("session.")] = value

    def opened(path, options, providers):
        made.append(options)
        return SimpleNamespace(
            get_inputs=lambda: [SimpleNamespace(name="photo")],
            run=lambda names, given: [2 * given["photo"]],
        )

    fake_runtime = SimpleNamespace(
        SessionOptions=Options, InferenceSession=opened,
        GraphOptimizationLevel=SimpleNamespace(ORT_ENABLE_ALL=99),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "onnxruntime", fake_runtime)
    monkeypatch.setattr(on_onnx, "exported", lambda model, folder: folder / "model.onnx")
    side = on_onnx.side(on_onnx.sessions_of(None, 3), np.arange(2))
    told = [(way.name, way.arrays(way.run())[0].tolist()) for way in side.ways]
    assert told == [("spinning", [0, 2]), ("sleeping", [0, 2])]
    assert [options.entries for options in made] == [
        {"intra_op.allow_spinning": "1", "force_spinning_stop": "1"},
        {"intra_op.allow_spinning": "0", "force_spinning_stop": "0"},
    ]
    assert {(o.intra_op_num_threads, o.graph_optimization_level) for o in made} == {(3, 99)}


# -- startup ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "rows"),
    [
        ("", 5 * ["timed"]),
        ("y", 4 * ["disagrees"]),
        ("loss", [*3 * ["timed"], "disagrees"]),
    ],
)
def test_a_start_is_timed_if_the_answers_agree(wrong, rows, monkeypatch):
    def told(session, library, *work, **environment):
        found = dict.fromkeys(("import", "first", "total", "epoch"), 1.0)
        return found | {
            key: [2.0 if library == "minicnn" and key == wrong else 1.0] for key in ("y", "loss")
        }

    both = [(OURS, "minicnn"), (THEIRS, "keras")]
    monkeypatch.setattr(startup, "sides_with_library", lambda session: both)
    monkeypatch.setattr(startup, "_told", told)
    jobs = startup.jobs(Session(1, quick=True, wanted=(OURS, THEIRS)))[:2]
    found = [row for job in jobs for row in job.run()]
    assert ["disagrees" if row.disagreeing else "timed" for row in found] == rows
    assert [bool(row.times) for row in found] == [told == "timed" for told in rows]


# -- training --------------------------------------------------------------------------------------


@pytest.mark.parametrize("work", ["epoch", "step"])
def test_a_course_learns(work):
    """The losses that are compared go down, so what is timed does learn."""
    course = training.COURSES[0]
    tiny = training.Course(
        "tiny", course.build, 8, 4, 3, 10, course.optimizer, course.loss, epochs=3
    )
    session = Session(1, wanted=(OURS,))
    (side,) = training.sides(tiny, work, session)
    (losses,) = side.ways[0].arrays(side.ways[0].run())
    assert len(losses) == (2 if work == "step" else 3)
    assert losses[-1] < losses[0]


# -- reports ---------------------------------------------------------------------------------------


def measured(**more):
    """Return a row with times of both sides, whose ratio is 2."""
    times = {OURS: Times([[0.010, 0.011]], "", 0.5), THEIRS: Times([[0.021]], "graph", 0.25)}
    return row(flops=2e9, bytes=1e7, times=times, **more)


LIMITS = Limits(flops=400e9, bandwidth=10e9, by="NumPy", call=1e-4)


def test_the_table():
    head, (line,) = report.table([measured()], LIMITS)
    told = dict(zip(head, line, strict=True))
    assert told["minicnn"] == "10.5 ms (10.0 ms) ±2%"
    assert told["TensorFlow"] == "21.0 ms once"
    assert told["ratio"] == "2.00"
    assert "way" not in told  # each row has the same
    other = row(times={THEIRS: Times([[0.1]], "XLA")})
    assert [line[5] for line in report.table([measured(), other], LIMITS)[1]] == ["graph", "XLA"]
    assert told["rate"] == "190 GFLOP/s"
    assert told["share of limit"] == "48%"  # 5 ms of arithmetic, 1 ms of memory


def test_a_row_that_mostly_times_the_call_is_marked():
    slow_call = Limits(400e9, 10e9, call=0.01)
    assert "2.00*" in report.table([measured()], slow_call)[1][0]


def test_the_table_shows_a_disagreement_instead_of_a_time():
    wrong = row(differences={OURS: 0.25, THEIRS: 0.0}, judge=THEIRS)
    head, (line,) = report.table([wrong], None)
    assert len(head) == len(line)
    assert line[3] == "disagrees: minicnn is off by 2.5e-01 from TensorFlow"
    assert not any(character in cell for cell in line[3:] for character in ("ms", "µs"))


def test_the_summary_has_the_median_of_each_group():
    rows = [
        row(group=group, times={OURS: Times([[1.0]], first=1.0), THEIRS: Times([[theirs]])})
        for group, theirs in (("a", 1.0), ("a", 4.0), ("a", 2.0), ("b", 0.5))
    ]
    lines = report.summary(rows)[1]
    assert [line[:5] for line in lines] == [
        ["a", "2.00", "1.00", "4.00", "3"],
        ["b", "0.50", "0.50", "0.50", "1"],
    ]
    assert lines[0][5:] == ["TensorFlow", "3.00 s", "—"]
    text = report.markdown(*report.summary(rows))
    assert text[0].startswith("| work | peer's time / ours |")
    assert len({line.count("|") for line in text}) == 1


def test_the_slope_of_a_square_is_two():
    assert report.slope([(1, 3), (2, 12), (4, 48)]) == pytest.approx(2.0)
    rows = [row(group="growth", grows=k, times={OURS: Times([[k]])}) for k in (1.0, 2.0)]
    assert report.slopes(rows) == ["growth: time grows with the power minicnn 1.00"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(1.234, "s", "1.23 s"), (0.0123, "s", "12.3 ms"), (4.5e-5, "s", "45.0 µs"),
     (123.4, "s", "123 s"), (3_000_000, "bytes", "3 MB")],
)  # fmt: skip
def test_amounts(value, unit, text):
    assert report.amount(value, unit) == text


def test_json_has_every_sample_and_comes_back(tmp_path):
    rows = [measured(), row(differences={OURS: math.inf}, judge=THEIRS)]
    file = tmp_path / "found.json"
    report.write_json(file, rows, report.machine(2), LIMITS)
    found = json.loads(file.read_text("utf-8"))
    assert (found["version"], found["whole"]) == (report.VERSION, True)
    assert {
        "date",
        "command",
        "load",
        "cores",
        "vectors",
        "memory_gib",
        "threads",
        "versions",
    } <= found["machine"].keys()
    assert found["limits"]["flops"] == 400e9
    good, bad = found["rows"]
    assert good["times"][OURS]["rounds"] == [[0.010, 0.011]]
    assert good["times"][OURS]["median"] == pytest.approx(0.0105)
    assert (good["ratio"], good["agrees"]) == (pytest.approx(2.0), True)
    assert (bad["agrees"], bad["times"], bad["differences"]) == (False, {}, {OURS: "inf"})
    assert report.from_dict(good) == rows[0]


def test_the_sentence_says_what_was_measured_and_when():
    told = {
        "date": "2026-11-30", "cores": 2, "architecture": "x86_64", "vectors": "AVX2", "threads": 1,
        "memory_gib": None, "versions": {"minicnn": "0.1.0 (commit abc)", "onnxruntime": "1.32.0"},
    }  # fmt: skip
    assert report.sentence(told) == (
        "Measured on 2026-11-30 on 2 cores of x86_64 with AVX2; 1 thread for each side; "
        "minicnn 0.1.0 (commit abc), ONNX Runtime 1.32.0."
    )


def test_times_that_vary_much_are_doubted():
    steady, noisy = Times([[1.0, 1.0, 1.1]]), Times([[1.0, 1.0, 9.0]])
    rows = [row(times={OURS: ours, THEIRS: steady}) for ours in (steady, noisy)]
    assert report.doubts(rows[:1]) == []
    assert report.doubts(rows)[0].startswith("In 1 of 2 rows half of the times lie further apart")


def test_bars_begin_at_1_and_lines_end_at_quartiles():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    left, right = figure.subplots(1, 2)
    slow = row(
        name="slow", times={OURS: Times([[4.0, 1.0, 2.0, 3.0, 5.0]]), THEIRS: Times([[1.5]])}
    )
    plots.times(left, [slow])
    assert [line.get_segments()[0][:, 0].tolist() for line in left.collections] == [
        [2.0, 4.0], [1.5, 1.5],
    ]  # fmt: skip
    plots.ratios(right, [measured(), slow])
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in right.patches]
    assert bars == [(1, pytest.approx(2.0)), (1, pytest.approx(0.5))]


@pytest.mark.slow
@pytest.mark.parametrize(
    "subject", ["layers", "networks", "training", "loading", "startup", "scaling"]
)
def test_pictures(subject, tmp_path):
    pytest.importorskip("matplotlib")
    from PIL import Image

    rows = [measured(subject=subject, group=f"growth {k}", grows=float(k)) for k in (1, 2)]
    rows += [measured(subject=subject, name=name) for name in ("conv", "pool")]
    (file,) = plots.write(tmp_path / "speed.png", rows, LIMITS)
    with Image.open(file) as picture:
        colours = picture.convert("RGB").getcolors(2**24)
    drawn = {tuple(colour) for _, colour in colours}
    assert {(0, 0x72, 0xB2), (0xD5, 0x5E, 0)} <= drawn  # both sides


@pytest.mark.slow
def test_several_subjects_make_several_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [measured(subject="layers"), measured(subject="training")]
    files = plots.write(tmp_path / "speed.png", rows, LIMITS)
    assert [file.name for file in files] == ["speed-layers.png", "speed-training.png"]


def test_the_better_of_two_measurements_is_the_limit():
    busy = Limits(flops=100e9, bandwidth=12e9, by="minicnn", call=2e-4)
    assert LIMITS.or_better(busy) == busy.or_better(LIMITS) == Limits(400e9, 12e9, "NumPy", 1e-4)


# -- limits and processes --------------------------------------------------------------------------


def test_the_limit_that_is_reached_first_counts():
    assert LIMITS.seconds(flops=400e9, size=1) == 1.0
    assert LIMITS.seconds(flops=1, size=20e9) == 2.0


def test_limits_are_measured():
    session = Session(1, quick=True, wanted=(OURS,))
    found = limits.measure(session, size=128, copied=2**16)
    assert found.flops > 0
    assert found.bandwidth > 0
    assert found.by in ("NumPy", OURS)


def test_a_fresh_process_reports_json_and_its_own_memory():
    code = processes.PEAK_MEMORY + "\nimport json\nprint('noise')\nprint(json.dumps(peak_memory()))"
    big = processes.fresh("big = bytearray(200 * 2**20)\n" + code, {})
    small = processes.fresh(code, {})
    assert 2 * 2**20 < small < big - 150 * 2**20


def test_a_fresh_process_keeps_bytecode_even_if_this_one_does_not(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert processes.fresh("import sys; print(int(sys.dont_write_bytecode))", {}) == 0


def test_a_process_that_fails_says_why():
    with pytest.raises(ChildProcessError, match="ValueError: no such network"):
        processes.fresh("raise ValueError('no such network')", {})
    with pytest.raises(ChildProcessError, match="took over 1 s"):
        processes.fresh("import time; time.sleep(30)", {}, timeout=1)


def test_numbers_of_threads_are_measured_in_processes(monkeypatch):
    told = [report.as_dict(measured())]
    asked = []
    monkeypatch.setattr(
        processes, "fresh", lambda code, env: asked.append(env["OMP_NUM_THREADS"]) or told
    )
    jobs = scaling.jobs(Session(3, quick=True))
    rows = [found for job in jobs if "thread" in job.title for found in job.run()]
    assert asked == ["1", "2", "3"]
    assert [found.name for found in rows] == ["n, 1 thread", "n, 2 threads", "n, 3 threads"]


# -- the command -----------------------------------------------------------------------------------


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )


@pytest.mark.slow
def test_layers_as_a_user_runs_them(tmp_path):
    file = tmp_path / "found.json"
    told = command(
        "layers", "--quick", "--threads", "1", "--only", "conv 3×3  28×28×1→32",
        "--sides", "minicnn,TensorFlow,im2col",
        "--json", str(file), "--markdown",
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert re.search(r"GFLOP/s \(matrix product", told.stdout)
    found = json.loads(file.read_text("utf-8"))
    assert [each["work"] for each in found["rows"]] == ["forward", "dw"]
    assert all(each["agrees"] for each in found["rows"])
    wanted = {OURS, "im2col"} | ({THEIRS} if on_tensorflow.installed() else set())
    assert all(each["times"].keys() == wanted for each in found["rows"])
    assert found["machine"]["threads"] == 1
    if on_tensorflow.installed():
        assert "| other convolutions, batch 1 |" in told.stdout
        assert "Measured on" in told.stdout
    else:
        assert "TensorFlow is not installed" in told.stdout


@pytest.fixture
def _own_environment(monkeypatch):
    """Undo what the command sets, since these tests share their process with others."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(on_tensorflow, "installed", lambda: False)
    monkeypatch.setattr(on_torch, "installed", lambda: False)
    monkeypatch.setattr(threads, "set_threads", lambda count: None)
    monkeypatch.setattr(limits, "measure", lambda session: LIMITS)


@pytest.mark.usefixtures("_own_environment")
def test_disagreement_is_exit_status_1(monkeypatch, capsys):
    def wrong():
        return [harness.measure(row(), [fake(OURS, 1.0), fake(THEIRS, 2.0)], BRIEF)]

    monkeypatch.setattr(layers, "jobs", lambda session: [Job("a row", wrong)])
    assert cli.run(["layers", "--quick"]) == 1
    told = capsys.readouterr()
    assert "disagrees: minicnn is off by 5.0e-01 from TensorFlow" in told.out
    assert "n, batch 1, forward" in told.err


@pytest.mark.usefixtures("_own_environment")
@pytest.mark.parametrize(
    ("error", "code", "last"),
    [
        (KeyboardInterrupt(), 130, "interrupted."),
        (ChildProcessError("A process failed."), 2, "A process failed."),
        (RuntimeError("OOM, out of memory"), 2, "Out of memory: other programs hold too much"),
    ],
)
def test_what_was_measured_before_the_end_is_reported(
    error, code, last, monkeypatch, capsys, tmp_path
):
    def stop():
        raise error

    jobs = [Job("a row", lambda: [measured(), row()]), Job("another", stop)]
    monkeypatch.setattr(layers, "jobs", lambda session: jobs)
    file = tmp_path / "found.json"
    assert cli.run(["layers", "--quick", "--json", str(file)]) == code
    told = capsys.readouterr()
    assert "2.00" in told.out
    assert "1 rows in 0 s, but not all: the measurement ended early." in told.out
    assert told.err.startswith(f"python -m benchmarks: {last}")
    assert told.err.count("\n") == 1
    found = json.loads(file.read_text("utf-8"))
    assert (found["whole"], len(found["rows"])) == (False, 1)


@pytest.mark.usefixtures("_own_environment")
def test_sides_that_measure_no_row_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(layers, "jobs", lambda session: [Job("a row", lambda: [row()])])
    assert cli.run(["layers", "--quick", "--sides", "winograd"]) == 2
    assert capsys.readouterr().err.endswith("No row is measured by --sides winograd.\n")


@pytest.mark.usefixtures("_own_environment")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--threads", "100000"], "more than the"),
        (["--only", "no such row"], "No row's title contains --only 'no such row'"),
        (["--sides", "minicnn,Caffe"], "--sides knows minicnn, TensorFlow, ONNX Runtime, PyTorch"),
        (["--json", "no/such/folder/a.json"], "make it first"),
        (["--json", "tests"], "'tests' is a folder or a device"),
        (["--plot", "speed.docx"], "A plot's file expects one of the suffixes"),
    ],
)
def test_bad_arguments_end_in_one_sentence(arguments, sentence, capsys):
    if "--plot" in arguments:
        pytest.importorskip("matplotlib")
    assert cli.run(["layers", "--quick", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m benchmarks: ")
    assert sentence in line


@pytest.mark.usefixtures("_own_environment")
@pytest.mark.parametrize("arguments", [["speed"], ["layers", "--threads", "0"], ["--json", ""]])
def test_unknown_words_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.run(arguments)
    assert stopped.value.code == 2
    assert "error" in capsys.readouterr().err


def test_every_subject_has_a_file():
    for subject in cli.SUBJECTS:
        assert (ROOT / "benchmarks" / f"{subject}.py").is_file()
