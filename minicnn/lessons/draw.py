"""The lessons' figures: images, arrays as colours and numbers, lines, bars, lifetimes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minicnn.plots import COLOURS, new_figure, set_title, whole_numbers

_STYLES = ("-", "--", ":", "-.")


def _figure(width: float, height: float, title: str) -> Any:
    figure = new_figure(width, height)
    set_title(figure, title)
    return figure


def _panels(count: int, columns: int, title: str, side: float = 1.7) -> tuple[Any, list[Any]]:
    """A figure with places for `count` images in it."""
    columns = min(count, columns)
    rows = -(-count // columns)
    figure = _figure(max(side * columns, 4.0), (side + 0.3) * rows + 0.4, title)
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in places:
        axes.set_axis_off()
    return figure, places[:count]


def images(x: Any, names: Sequence[str] = (), title: str = "", columns: int = 5) -> Any:
    """Colour images side by side: `x` is a list of arrays (h, w, 3), pixels from 0 to 255."""
    figure, places = _panels(len(x), columns, title)
    for index, (axes, image) in enumerate(zip(places, x)):
        axes.imshow(np.clip(np.rint(image), 0, 255).astype(np.uint8))
        if len(names):  # with y given, matplotlib does not search for ticks above the image
            axes.set_title(names[index], y=1, fontsize="small")
    return figure


def maps(
    x: Any,
    names: Sequence[str] = (),
    title: str = "",
    columns: int = 8,
    colours: str = "viridis",
    label: str = "",
) -> Any:
    """Arrays (h, w) as colours, all on one scale that begins at zero.

    If there are negative numbers, too, zero is white. `label` says what the numbers are.
    """
    figure, places = _panels(len(x), columns, title, side=1.6)
    low, high = min(float(np.min(a)) for a in x), max(float(np.max(np.abs(a))) for a in x)
    low, colours = (-high, "RdBu_r") if low < 0 else (0.0, colours)
    for index, (axes, array) in enumerate(zip(places, x)):
        shown = axes.imshow(array, colours, vmin=low, vmax=high)
        if len(names):
            axes.set_title(names[index], y=1, fontsize="small")
    figure.colorbar(shown, ax=places, shrink=0.8, label=label)
    return figure


def rows(groups: Mapping[str, Any], title: str = "", x_label: str = "", label: str = "") -> Any:
    """Arrays (n, m) below each other, a line of colours for each row; each group has its name."""
    figure = _figure(7.0, 4.2, title)
    axes = figure.subplots()
    shown = axes.imshow(np.concatenate(list(groups.values())), "viridis", aspect="auto")
    ends = np.cumsum([len(group) for group in groups.values()])
    axes.set_yticks(ends - [(len(group) + 1) / 2 for group in groups.values()], list(groups))
    for end in ends[:-1]:
        axes.axhline(end - 0.5, color="white", linewidth=2)
    axes.set_xlabel(x_label)
    figure.colorbar(shown, ax=axes, label=label)
    return figure


def numbers(
    x: Any,
    names: Sequence[str] = (),
    title: str = "",
    digits: int = 0,
    columns: int = 4,
    grey: Sequence[int] = (),
) -> Any:
    """Small arrays (h, w) with their numbers written into the cells.

    Numbers above zero are red, those below it blue. The arrays whose indices are in `grey` are
    shown as images: 0 is black, their largest number is white.
    """
    columns = min(len(x), columns)
    widths = [max(max(np.shape(a)[1] for a in x[n::columns]), 3) for n in range(columns)]
    heights = [max(np.shape(a)[0] for a in x[n : n + columns]) for n in range(0, len(x), columns)]
    width = 0.45 * sum(widths) + 0.35 * columns
    height = 0.45 * sum(heights) + 0.55 * len(heights) + 0.45
    figure = _figure(max(width, 4.0), height, title)
    places = figure.subplots(
        len(heights), columns, squeeze=False, width_ratios=widths, height_ratios=heights
    ).flat
    for index, (axes, array) in enumerate(zip(places, x)):
        array = np.asarray(array)
        bound = max(float(np.abs(array).max()), 1e-9)
        if index in grey:
            axes.imshow(array, "gray", vmin=0, vmax=bound)
        else:
            axes.imshow(array, "RdBu_r", vmin=-1.6 * bound, vmax=1.6 * bound)  # pale, to be legible
        for (row, column), value in np.ndenumerate(array):
            axes.text(
                column,
                row,
                f"{round(float(value), digits) + 0.0:.{digits}f}",
                ha="center",
                va="center",
                fontsize=9,
                color="white" if index in grey and value < 0.5 * bound else "black",
            )
        axes.set_xticks(range(array.shape[1]))
        axes.set_yticks(range(array.shape[0]))
        axes.tick_params(length=0, labelsize=7, colors="grey")
        if len(names):
            axes.set_title(names[index], y=1, fontsize="small")
    return figure


def lines(
    curves: Mapping[str, Any],
    x: Any = None,
    title: str = "",
    x_label: str = "epoch",
    y_label: str = "",
    y_range: tuple[float, float] | None = None,
    log: bool = False,
) -> Any:
    """One line for each entry; without `x` the values stand at 1, 2, 3 and so on.

    With `log` each step up the axis multiplies the value by the same factor.
    """
    figure = _figure(6.4, 3.8, title)
    axes = figure.subplots()
    for index, (name, values) in enumerate(curves.items()):
        axes.plot(
            range(1, len(values) + 1) if x is None else x,
            values,
            _STYLES[index % len(_STYLES)],
            color=COLOURS[index % len(COLOURS)],
            marker="o" if len(values) <= 40 else "",
            markersize=3,
            label=name,
        )
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if log:
        axes.set_yscale("log")
    if y_range:
        axes.set_ylim(y_range)
    axes.grid(alpha=0.3)
    whole_numbers(axes.xaxis)
    if len(curves) > 1:
        figure.legend(loc="outside right center", frameon=False, fontsize="small")
    return figure


def bars(values: Mapping[str, float], title: str = "", x_label: str = "", digits: int = 2) -> Any:
    """One horizontal bar for each entry, the first on top, with its number."""
    figure = _figure(6.0, 0.36 * len(values) + 1.1, title)
    axes = figure.subplots()
    shown = axes.barh(list(values), list(values.values()), color=COLOURS[0])
    axes.bar_label(shown, fmt=f"%.{digits}f", padding=3, fontsize="small")
    axes.margins(x=0.12)
    axes.invert_yaxis()
    axes.set_xlabel(x_label)
    return figure


def lifetimes(
    sizes: Mapping[str, float],
    steps: Mapping[str, tuple[int, int]],
    offsets: Mapping[str, float],
    title: str = "",
    unit: str = "KB",
) -> Any:
    """A box for each array in memory: from its first step to its last, from its offset upwards."""
    figure = _figure(6.4, 3.4, title)
    axes = figure.subplots()
    for index, (name, size) in enumerate(sizes.items()):
        (begin, end), offset = steps[name], offsets[name]
        colour = COLOURS[index % len(COLOURS)]
        axes.bar(
            begin - 0.5,
            size,
            end - begin + 1,
            offset,
            align="edge",
            color=colour,
            edgecolor="black",
        )
        middle = (begin + end) / 2, offset + size / 2
        text = f"{name}, {size:g} {unit}"
        axes.text(*middle, text, ha="center", va="center", fontsize="small", color="white")
    axes.set_xlabel("step")
    axes.set_ylabel(f"place in memory ({unit})")
    whole_numbers(axes.xaxis)
    return figure


def spread(groups: Mapping[str, Any], title: str = "", x_label: str = "", digits: int = 3) -> Any:
    """A dot for each number of an entry; a bar marks the mean, plus and minus the deviation.

    The standard deviation (of a sample: divided by n - 1) shows how much luck there is.
    """
    figure = _figure(6.4, 0.45 * len(groups) + 1.2, title)
    axes = figure.subplots()
    for place, values in enumerate(groups.values()):
        values = np.asarray(values, dtype=float)
        mean, deviation = values.mean(), values.std(ddof=1)
        axes.plot(values, [place] * len(values), "o", color=COLOURS[0], alpha=0.5, markersize=5)
        axes.errorbar(mean, place + 0.25, xerr=deviation, fmt="|", color=COLOURS[1], capsize=3)
        axes.annotate(
            f"{mean:.{digits}f} ± {deviation:.{digits}f}",
            (mean, place + 0.3),
            (0, -4),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize="x-small",
        )
    axes.set_yticks(range(len(groups)), list(groups))
    axes.set_ylim(len(groups) - 0.2, -0.5)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel(x_label)
    return figure


def histogram(groups: Mapping[str, Any], title: str = "", x_label: str = "", bins: int = 60) -> Any:
    """How many numbers of each entry lie where: one outline for each, all with the same bins."""
    figure = _figure(6.4, 3.6, title)
    axes = figure.subplots()
    bound = max(float(np.abs(values).max()) for values in groups.values())
    for index, (name, values) in enumerate(groups.items()):
        axes.hist(
            np.ravel(values),
            np.linspace(-bound, bound, bins + 1),
            histtype="step",
            linewidth=1.5,
            linestyle=_STYLES[index % len(_STYLES)],
            color=COLOURS[index % len(COLOURS)],
            label=name,
        )
    axes.set_xlabel(x_label)
    axes.set_ylabel("how many")
    figure.legend(loc="outside right center", frameon=False, fontsize="small")
    return figure


def descents(
    loss: Any, paths: Mapping[str, Any], title: str = "", names: Sequence[str] = ("w₀", "w₁")
) -> Any:
    """The places (n, 2) that each path visits, on the contour lines of a loss of two weights.

    `loss` maps an array (..., 2) of places to an array (...) of losses.
    """
    figure = _figure(6.8, 4.2, title)
    axes = figure.subplots()
    everything = np.concatenate([np.asarray(path, dtype=float) for path in paths.values()])
    low, high = everything.min(axis=0), everything.max(axis=0)
    low, high = low - 0.1 * (high - low), high + 0.1 * (high - low)
    grid = np.stack(np.meshgrid(*(np.linspace(low[n], high[n], 120) for n in (0, 1))), axis=-1)
    axes.contour(grid[..., 0], grid[..., 1], np.sqrt(loss(grid)), 9, colors="lightgrey")
    for index, (name, path) in enumerate(paths.items()):
        axes.plot(
            *np.asarray(path).T,
            _STYLES[index % len(_STYLES)],
            color=COLOURS[index % len(COLOURS)],
            marker="o",
            markersize=3,
            label=name,
        )
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    figure.legend(loc="outside right center", frameon=False, fontsize="small")
    return figure
