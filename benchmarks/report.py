"""Writes the measurements as tables and as JSON.

A time is "median (best) ± half the distance between the quartiles, in percent"; "once" stands
beside a single measurement. A ratio is the median of the fastest peer, TensorFlow or ONNX Runtime,
over minicnn's: above 1, minicnn is faster.
"""

import json
import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import minicnn
from benchmarks import threads as cpu
from benchmarks.harness import OURS, PEERS, THEIRS, Row, Times
from benchmarks.limits import Limits
from benchmarks.processes import ROOT
from minicnn._support.atomic import replacing
from minicnn._support.terminal import quoted

VERSION = 1  # of the JSON file

_LIBRARIES = ("numpy", "llvmlite", "tensorflow", "keras", "onnxruntime", "torch")
_NOISY = 0.25  # a spread beyond this share of the median makes a ratio doubtful


# ---------------------------------------------------------------------------------------------
# The machine
# ---------------------------------------------------------------------------------------------


def machine(threads: int) -> dict[str, Any]:
    """Return the date, the machine in general terms, and the versions of the libraries."""
    versions = {"minicnn": _own_version(), "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "date": date.today().isoformat(),
        "command": quoted("python", "-m", "benchmarks", *sys.argv[1:]),
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": cpu.cores(),
        "vectors": _vectors(),
        "memory_gib": _memory(),
        "load": _load(),
        "threads": threads,
        "versions": versions,
    }


def _own_version() -> str:
    """Return minicnn's version; in a checkout with git also the commit, and whether it changed."""
    version: str = minicnn.__version__
    if not (ROOT / ".git").exists():
        return version
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=, changed", "--exclude=*"]
    try:
        told = subprocess.run(git, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return version
    commit = told.stdout.strip()
    return f"{version} (commit {commit})" if commit and not told.returncode else version


def _load() -> float | None:
    """Return how many programs wanted a core during the last minute, on average."""
    try:
        return round(os.getloadavg()[0], 1)
    except (AttributeError, OSError):
        return None


def _vectors() -> str:
    """Return the widest vector instructions that LLVM finds."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    names = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "neon": "NEON", "sse2": "SSE2"}
    return next((name for key, name in names.items() if features.get(key)), "none known")


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def sentence(told: dict[str, Any]) -> str:
    """Return the machine in one sentence, for README."""
    memory = "" if told["memory_gib"] is None else f", {told['memory_gib']:.0f} GiB of memory"
    threads = "1 thread" if told["threads"] == 1 else f"{told['threads']} threads"
    versions = told["versions"]
    names = {"minicnn": "minicnn", "tensorflow": THEIRS, "onnxruntime": "ONNX Runtime"}
    sides = ", ".join(f"{name} {versions[key]}" for key, name in names.items() if key in versions)
    machine = f"{told['cores']} cores of {told['architecture']} with {told['vectors']}{memory}"
    return f"Measured on {told['date']} on {machine}; {threads} for each side; {sides}."


def machine_lines(told: dict[str, Any]) -> list[str]:
    """Return the first block of the report."""
    memory = "" if told["memory_gib"] is None else f", {told['memory_gib']:.0f} GiB of memory"
    cores = "core" if told["cores"] == 1 else "cores"
    busy = told["load"] is not None and told["load"] > told["cores"] / 4
    return [
        f"machine   {told['architecture']}, {told['cores']} {cores}, {told['vectors']}{memory}",
        "versions  " + ", ".join(f"{name} {v}" for name, v in told["versions"].items()),
        f"threads   {told['threads']} for each side",
        *([f"load      {told['load']}: other programs run, and make the times longer"] * busy),
    ]


def limit_lines(limits: Limits) -> list[str]:
    """Return the lines above the table of `layers`."""
    lines = [
        f"limits    {limits.flops / 1e9:.0f} GFLOP/s (matrix product, reached by {limits.by}), "
        f"{limits.bandwidth / 1e9:.1f} GB/s (copying)"
    ]
    if limits.call:
        lines.append(
            f"* beside a ratio: an empty tf.function takes {amount(limits.call, 's')}, "
            "a quarter of TensorFlow's time or more"
        )
    return lines


# ---------------------------------------------------------------------------------------------
# Tables
# ---------------------------------------------------------------------------------------------


def aligned(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """Return a table as plain text: words flush left, numbers flush right."""
    table = [list(head), *map(list, lines)]
    widths = [max(len(line[i]) for line in table) for i in range(len(head))]
    left = [all(not line[i][:1].isdigit() for line in table[1:]) for i in range(len(head))]
    left[0] = True

    def text(line: Sequence[str]) -> str:
        cells = (
            cell.ljust(width) if to_left else cell.rjust(width)
            for cell, width, to_left in zip(line, widths, left, strict=True)
        )
        return "  ".join(cells).rstrip()

    return [text(table[0]), "  ".join("─" * width for width in widths), *map(text, table[1:])]


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """Return the table in Markdown, for README."""
    found = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return found + ["| " + " | ".join(line) + " |" for line in lines]


def amount(value: float, unit: str, digits: int = 3) -> str:
    """Return a value with so many digits and a suitable unit: 0.0123 s is 12.3 ms."""
    if unit == "bytes":
        return f"{value / 1e6:.0f} MB"
    for factor, name in ((1.0, "s"), (1e-3, "ms")):
        if value >= factor:
            return f"{_digits(value / factor, digits)} {name}"
    return f"{_digits(value * 1e6, digits)} µs"


def _digits(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits and no exponent."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"


def _cell(times: Times | None, unit: str) -> str:
    if times is None:
        return "—"
    if len(times.samples) == 1:
        return f"{amount(times.median, unit)} once"
    return f"{amount(times.median, unit)} ({amount(times.best, unit)}) ±{times.spread:.0%}"


def side_names(rows: Iterable[Row]) -> list[str]:
    """Return the columns: minicnn and its peers first, then the others as they come."""
    found = dict.fromkeys(name for row in rows for name in (*row.times, *row.differences))
    first = [name for name in (OURS, *PEERS) if name in found]
    return first + [name for name in found if name not in first]


def table(rows: Sequence[Row], limits: Limits | None) -> tuple[list[str], list[list[str]]]:
    """Return head and lines of a subject's table."""
    names = side_names(rows)
    work = any(row.flops or row.bytes for row in rows)
    photos = any(row.subject in ("networks", "training", "loading") for row in rows)
    ways = {name: {row.times[name].way for row in rows if name in row.times} for name in names}
    with_way = [name for name in PEERS if len(ways.get(name, ())) > 1]
    head = ["what", "batch", "work"]
    for name in names:
        head += [name, "way"] if name in with_way else [name]
    head += ["ratio"]
    head += ["rate", "share of limit"] if work and limits else []
    head += ["photos/s"] if photos else []
    lines = []
    for row in rows:
        line = [row.name, str(row.batch), row.work]
        if row.disagreeing:
            off = "disagrees: " + ", ".join(
                f"{name} is off by {found:.1e}" for name, found in row.disagreeing.items()
            )
            told = off + (f" from {row.judge}" if row.judge else "")
            lines.append(line + [told] + ["not timed"] * (len(head) - len(line) - 1))
            continue
        for name in names:
            times = row.times.get(name)
            line.append(_cell(times, row.unit))
            if name in with_way:
                line.append(times.way if times else "")
        star = "*" if limits and _is_mostly_call(row, limits) else ""
        line.append("—" if row.ratio is None else f"{row.ratio:.2f}{star}")
        if work and limits:
            line += [_rate(row), _share(row, limits)]
        if photos:
            fast = row.times.get(OURS)
            in_time = fast is not None and row.unit == "s" and row.photos
            line.append(_digits(row.photos / fast.median) if in_time and fast else "—")
        lines.append(line)
    return head, lines


def _is_mostly_call(row: Row, limits: Limits) -> bool:
    times = row.times.get(THEIRS)
    return row.subject == "layers" and times is not None and times.median < 4 * limits.call


def _rate(row: Row) -> str:
    times = row.times.get(OURS)
    if times is None:
        return "—"
    if row.flops:
        return f"{_digits(row.flops / times.median / 1e9)} GFLOP/s"
    return f"{_digits(row.bytes / times.median / 1e9)} GB/s"


def _share(row: Row, limits: Limits) -> str:
    times = row.times.get(OURS)
    if times is None:
        return "—"
    return f"{limits.seconds(row.flops, row.bytes) / times.median:.0%}"


def summary(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Return head and lines of the last table: each group's median ratio, range, first calls."""
    head = [
        "work",
        "peer's time / ours",
        "from",
        "to",
        "rows",
        "fastest peer",
        "first calls ours",
        "TensorFlow",
    ]
    lines = []
    rows = [row for row in rows if row.subject != "scaling"]  # its rows are elsewhere, too
    for group in dict.fromkeys(row.group for row in rows):
        members = [row for row in rows if row.group == group]
        ratios = [row.ratio for row in members if row.ratio is not None]
        if not ratios:
            continue
        firsts = [
            [row.times[side].first for row in members if side in row.times]
            for side in (OURS, THEIRS)
        ]
        lines.append(
            [group, f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f}", f"{max(ratios):.2f}",
             str(len(ratios)), " and ".join(dict.fromkeys(row.peer for row in members if row.peer))]
            + [
                amount(sum(found), "s") if (found := [f for f in first if f is not None]) else "—"
                for first in firsts
            ]
        )  # fmt: skip
    return head, lines


def slopes(rows: Sequence[Row]) -> list[str]:
    """Return how time grows: the exponent k of time ~ what^k, fitted to the logarithms."""
    lines = []
    for group in dict.fromkeys(row.group for row in rows if row.grows):
        members = [row for row in rows if row.group == group and row.grows and row.times]
        told = []
        for side in side_names(members):
            points = [(r.grows, r.times[side].median) for r in members if side in r.times]
            if len(points) > 1:
                told.append(f"{side} {slope(points):.2f}")
        if told:
            lines.append(f"{group}: time grows with the power {', '.join(told)}")
    return lines


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Fit a line to the points' logarithms by least squares."""
    x, y = np.log(np.asarray(points, float)).T
    return float(np.polyfit(x, y, 1)[0])


def doubts(rows: Sequence[Row]) -> list[str]:
    """Return a line if there are rows whose times vary so much that they mean little."""
    timed = [row for row in rows if row.unit == "s" and row.times]
    noisy = [
        row
        for row in timed
        if any(row.times[s].spread > _NOISY for s in (OURS, row.peer) if s in row.times)
    ]
    if not noisy:
        return []
    return [
        f"In {len(noisy)} of {len(timed)} rows half of the times lie further apart than "
        f"±{_NOISY:.0%}: other programs ran, so measure these again on an idle machine."
    ]


def disagreements(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.disagreeing]


# ---------------------------------------------------------------------------------------------
# JSON
# ---------------------------------------------------------------------------------------------


def write_json(
    path: Path, rows: Sequence[Row], told: dict[str, Any], limits: Limits | None, whole: bool = True
) -> None:
    """Write every sample and the machine, completely or not at all; `whole`: these are all rows."""
    content = {
        "version": VERSION,
        "whole": whole,
        "machine": told,
        "limits": None if limits is None else asdict(limits),
        "rows": [as_dict(row) for row in rows],
    }
    # A difference may be infinite, which JSON lacks: it becomes a word.
    text = json.dumps(_plain(content), indent=1, allow_nan=False, ensure_ascii=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", "utf-8")


def as_dict(row: Row) -> dict[str, Any]:
    """Return the row, with the statistics of its samples."""
    found = asdict(row) | {"ratio": row.ratio, "agrees": not row.disagreeing}
    for side, times in row.times.items():
        found["times"][side] |= {
            "median": times.median, "best": times.best, "quartiles": list(times.quartiles),
        }  # fmt: skip
    return found


def from_dict(found: dict[str, Any]) -> Row:
    """Return the row that `as_dict` described."""
    told = {key: value for key, value in found.items() if key not in ("ratio", "agrees", "times")}
    times = {
        side: Times(each["rounds"], each["way"], each["first"], each["tried"])
        for side, each in found["times"].items()
    }
    return Row(**told, times=times)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
