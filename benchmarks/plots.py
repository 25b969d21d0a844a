"""The plots: a roofline and bars for `layers`, bars for the rest, lines for `scaling`.

Colour-blind readers can tell the colours apart (Okabe and Ito); sides also differ by their marks.
"""

import statistics
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import OURS, PEERS, Row
from benchmarks.limits import Limits
from benchmarks.report import amount
from minicnn._support.terminal import install_extra
from minicnn.plots import BLUE, ORANGE, save
from minicnn.plots.figures import kind_of

GREY, GREEN = "#555555", "#009e73"
_MARKS = dict(zip((OURS, *PEERS), ((BLUE, "o"), (ORANGE, "^"), (GREEN, "s")), strict=True))


def check(path: Path) -> None:
    """Raise an error if matplotlib is missing, or writes no files with this suffix."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(f"--plot needs matplotlib: {install_extra('plot')}") from None
    kind_of(Figure(), path)


def write(path: Path, rows: Sequence[Row], limits: Limits | None) -> list[Path]:
    """Draw one figure for each subject; returns the files' names."""
    subjects = list(dict.fromkeys(row.subject for row in rows))
    written = []
    for subject in subjects:
        members = [row for row in rows if row.subject == subject and row.times]
        if not members:
            continue
        suffix = path.suffix or ".png"
        file = path if len(subjects) == 1 else path.with_name(f"{path.stem}-{subject}{suffix}")
        written.append(save(figure(subject, members, limits), file))
    return written


def figure(subject: str, rows: Sequence[Row], limits: Limits | None) -> Any:
    """Return the figure of one subject."""
    from matplotlib.figure import Figure

    with_ratio = [row for row in rows if row.ratio is not None and not row.grows]
    count = len({row.name for row in with_ratio})
    drawn = Figure(figsize=(12.5, max(4.5, 1.6 + 0.24 * count)), layout="constrained")
    left, right = drawn.subplots(1, 2, width_ratios=(1.15, 1))
    if subject == "layers" and limits is not None:
        roofline(left, rows, limits)
    elif any(row.grows for row in rows):
        growth(left, [row for row in rows if row.grows])
    else:
        times(left, rows)
    ratios(right, with_ratio)
    return drawn


def roofline(axes: Any, rows: Sequence[Row], limits: Limits) -> None:
    """Draw speed over arithmetic per byte, below the two limits of the machine."""
    known = [row for row in rows if row.flops and row.bytes]
    x = [row.flops / row.bytes for row in known] or [1.0]
    edge = np.geomspace(min(x) / 2, max(x) * 2, 200)
    roof = np.minimum(limits.flops, edge * limits.bandwidth) / 1e9
    axes.plot(edge, roof, color="black", linewidth=1.5)
    behind = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    peak = f"matrix product: {limits.flops / 1e9:.0f} GFLOP/s"
    copying = f"copying: {limits.bandwidth / 1e9:.0f} GB/s"
    style: dict[str, Any] = {
        "textcoords": "offset points", "fontsize": "small", "bbox": behind,
    }  # fmt: skip
    axes.annotate(peak, (edge[-1], roof[-1]), xytext=(0, 4), ha="right", va="bottom", **style)
    axes.annotate(copying, (edge[0], roof[0]), xytext=(16, 4), ha="left", va="top", **style)
    for side, (colour, mark) in _MARKS.items():
        # Empty marks are for a batch of one: it fits caches better, and has less work to share.
        for one, face in ((False, colour), (True, "none")):
            points = [
                (row.flops / row.bytes, row.flops / row.times[side].median / 1e9)
                for row in known
                if side in row.times and (row.batch == 1) == one
            ]
            if points:
                axes.plot(
                    *zip(*points), mark, color=colour, markerfacecolor=face, markersize=5,
                    alpha=0.8, label=f"{side}, {'one photo' if one else 'larger batches'}",
                )  # fmt: skip
    axes.set(xscale="log", yscale="log", title="Roofline: how near to the machine's limits")
    axes.set_xlabel("arithmetic per byte (operations / byte that must move)")
    axes.set_ylabel("speed (GFLOP/s)")
    axes.grid(alpha=0.3, which="both")
    if known:
        axes.legend(frameon=False, fontsize="small", loc="lower right")


def ratios(axes: Any, rows: Sequence[Row]) -> None:
    """Draw a bar for each name, the median of its rows' ratios, and a dot for each row.

    The bars begin at 1 on a logarithmic axis: half as fast is as long as twice as fast.
    """
    found: dict[str, list[float]] = {}
    for row in rows:  # time and memory are never one bar
        name = row.name if row.unit == "s" or "memory" in row.name else f"{row.name}, memory"
        found.setdefault(name, []).append(row.ratio or 0.0)
    names = list(found)
    for place, name in enumerate(names):
        middle = statistics.median(found[name])
        axes.barh(
            place, middle - 1, left=1, color=BLUE if middle >= 1 else ORANGE, alpha=0.55, height=0.7
        )
        axes.plot(found[name], [place] * len(found[name]), ".", color=GREY, markersize=4)
    axes.axvline(1.0, color="black", linewidth=1.2)
    axes.set_yticks(range(len(names)), _in_lines(names), fontsize="small")
    axes.invert_yaxis()
    if names:
        axes.set_xscale("log")
        ticks = [t for t in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if _between(t, found)]
        axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axes.minorticks_off()
    axes.set_xlabel("fastest peer / minicnn (bar: median, dots: rows)")
    axes.set_title("To the right of the line minicnn needs less")
    axes.grid(alpha=0.3, axis="x")
    if not names:
        axes.text(0.5, 0.5, "nothing to compare with", ha="center", transform=axes.transAxes)


def _in_lines(labels: Sequence[str]) -> list[str]:
    """Break long labels into lines, which would leave no room for what they label."""
    return ["\n".join(textwrap.wrap(label, 44)) for label in labels]


def _between(tick: float, found: dict[str, list[float]]) -> bool:
    every = [ratio for ratios in found.values() for ratio in ratios]
    return min(every) / 2 <= tick <= max(every) * 2


def times(axes: Any, rows: Sequence[Row]) -> None:
    """Draw the sides' medians as marks for each row, and their quartiles as the ends of a line."""
    timed = [row for row in rows if row.unit == "s"]
    for side, (colour, mark) in _MARKS.items():
        points = [
            (row.times[side].median, place) for place, row in enumerate(timed) if side in row.times
        ]
        if points:
            axes.plot(*zip(*points), mark, color=colour, label=side, markersize=6)
            ends = zip(*(timed[place].times[side].quartiles for _, place in points), strict=True)
            axes.hlines([place for _, place in points], *ends, color=colour, linewidth=1.5)
    titles = _in_lines([row.title for row in timed])
    axes.set_yticks(range(len(timed)), titles, fontsize="x-small")
    axes.invert_yaxis()
    axes.set(xscale="log", title="Median time (line: quartiles)")
    _label_times(axes)
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False, fontsize="small")


def _label_times(axes: Any) -> None:
    """Write the times below a logarithmic axis as in the tables, as many as there is room for."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    least, most = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if most < 100 * least else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: amount(seconds, "s", 1)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def growth(axes: Any, rows: Sequence[Row]) -> None:
    """Draw time over the quantity that grows, one line for each group and side."""
    lines = ("-", "--", ":", "-.")
    for number, group in enumerate(dict.fromkeys(row.group for row in rows)):
        for side, (colour, mark) in _MARKS.items():
            points = [
                (row.grows, row.times[side].median)
                for row in rows
                if row.group == group and side in row.times
            ]
            if points:
                axes.plot(
                    *zip(*sorted(points)), lines[number % len(lines)] + mark, color=colour,
                    markersize=4, label=f"{side}, {group}",
                )  # fmt: skip
    axes.set(xscale="log", yscale="log", title="How time grows")
    axes.set_xlabel("times the smallest")
    axes.set_ylabel("seconds")
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False, fontsize="x-small", handlelength=4)  # room to see dashes
