"""Functions that all plots share: making and saving figures, titles, axes and colours."""

import functools
import io
import math
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minicnn._support import interrupts
from minicnn._support.atomic import replacing
from minicnn._support.terminal import install_extra, printable

Array = np.ndarray

BLUE, ORANGE = "#0072B2", "#D55E00"
COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", ":")
GREY = "#767676"  # for marginal text: readable on white
PINK = "#CC79A7"  # for numbers that are NaN or infinite


# -- what all share -------------------------------------------------------------------------------


@functools.cache
def figure_class() -> Any:
    """Return the class of figures that notebooks show. `ImportError` without matplotlib."""
    try:
        with interrupts.waiting():
            from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(f"Plots need matplotlib: {install_extra('plot')}") from None

    class NotebookFigure(Figure):
        """A figure that a notebook shows, whether or not pyplot was imported there."""

        def _repr_png_(self) -> bytes:
            return rendered(self, "png", 100)

    return NotebookFigure


def new_figure(width: float, height: float, layout: str = "constrained") -> Any:
    """Return an empty figure of this size in inches. `ImportError` without matplotlib."""
    return figure_class()(figsize=(width, height), layout=layout)


def rendered(figure: Any, kind: str, dpi: int) -> bytes:
    """Return the bytes of the figure as a file of this kind."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=dpi)
    return buffer.getvalue()


def save(figure: Any, path: str | os.PathLike[str]) -> Path:
    """Write the figure as PNG (or as the suffix says), whole or not at all.

    Raises `ValueError` for a suffix that matplotlib does not write.
    """
    path = Path(path)
    drawn = rendered(figure, kind_of(figure, path), 144)
    with replacing(path) as temporary:
        temporary.write_bytes(drawn)
    return path


def kind_of(figure: Any, path: Path) -> str:
    """Return the kind of file that the suffix names; `ValueError` if matplotlib does not write it.

    A file without a suffix is a PNG.
    """
    kind, kinds = path.suffix.lstrip(".").lower() or "png", figure.canvas.get_supported_filetypes()
    if kind not in kinds:
        suffixes = ", ".join(f".{known}" for known in sorted(kinds))
        raise ValueError(
            f"A plot's file expects one of the suffixes {suffixes}. Received {str(path)!r}."
        )
    return kind


def letters(inches: float, size: float) -> int:
    """Return about how many letters of a font size (in points) fit into this width in inches."""
    return max(1, int(inches * 72 / (0.6 * size)))


def wrapped(text: str, inches: float, size: float = 12) -> str:
    """Return the text, wrapped into lines that are not longer than this."""
    text = printable(text, lines=True)
    return textwrap.fill(text, max(8, letters(inches, size)), break_on_hyphens=False)


def short(text: str, letters: int) -> str:
    """Return the text, cut off with an ellipsis if it is longer than this."""
    text = printable(text)
    return text if len(text) <= letters else text[: max(letters - 1, 1)] + "…"


def set_title(figure: Any, title: str) -> None:
    """Put a title over the whole figure, in as many lines as it needs; none if it is empty."""
    if title:
        figure.suptitle(wrapped(title, figure.get_figwidth()), parse_math=False)


def check_most(most: Any) -> None:
    """Raise `ValueError` unless `most` is a whole number of at least 1."""
    if not isinstance(most, (int, np.integer)) or most < 1:
        raise ValueError(f"most is a whole number of at least 1. Received most={most!r}.")


def whole_numbers(axis: Any) -> None:
    """Put ticks at 1, 2, 5, 10, … and never between whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))


def epochs_axis(axes: Any, title: str, epochs: int) -> None:
    """Give the axes a title, and an axis of epochs from 1."""
    axes.set_title(printable(title), parse_math=False)
    axes.set_xlabel("epoch")
    axes.margins(y=0.12)
    beside = 0.04 * (epochs - 1) or 0.5
    axes.set_xlim(1 - beside, epochs + beside)
    whole_numbers(axes.xaxis)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def legend(axes: Any, lines: Sequence[Any], labels: Sequence[str], **options: Any) -> None:
    """Draw a legend with exactly these texts; matplotlib leaves out those that begin with "_"."""
    numbers = [str(number) for number in range(len(labels))]
    legend = axes.legend(lines, numbers, frameon=False, **options)
    for text, label in zip(legend.get_texts(), labels):
        text.set_parse_math(False)
        text.set_text(printable(label))


def unit(name: str) -> str:
    """Return the label of an axis for this metric, with its unit."""
    name = printable(name)
    if name == "loss":
        return "loss (nats)"
    return f"{name} (share of examples)" if "accuracy" in name else name


def best(values: Sequence[float], name: str) -> int | None:
    """Return the index of the best value; None if no value is a finite number."""
    known = {index: value for index, value in enumerate(values) if math.isfinite(value)}
    best = min if name.endswith(("loss", "error")) else max
    return best(known, key=known.__getitem__) if known else None


def draw_epochs(
    axes: Any, values: Sequence[float], line: str, colour: str, best: int | None
) -> Any:
    """Draw a line over the epochs, circle its best point, and return the line."""
    (drawn,) = axes.plot(
        range(1, len(values) + 1),
        values,
        line,
        color=colour,
        marker="o" if len(values) <= 40 else "",
        markersize=3,
    )
    if best is not None:
        axes.plot(best + 1, values[best], "o", color=colour, fillstyle="none", markersize=9)
    return drawn


# -- grids of images ------------------------------------------------------------------------------


def _grid_size(count: int, width: float) -> tuple[int, int]:
    """Return (rows, columns): about `width` times as many columns as rows, with few left empty."""
    ideal = math.sqrt(count * width)
    across = min(range(1, count + 1), key=lambda n: (-count % n) / count + abs(n - ideal) / ideal)
    return -(-count // across), across


def image_grid(
    count: int,
    image_size: Sequence[int],
    title: str,
    cell: float = 1.0,
    beside: float = 0.0,
    below: float = 0.0,
    caption: str = "",
) -> tuple[Any, list[Any]]:
    """Return a figure with `count` small images, and their axes, without ticks.

    `image_size` is (height, width) of each, `cell` the inches of its longer side; `beside` is left
    for a colour bar, `below` under each image. The layout is computed here: with so many axes,
    matplotlib's own layout takes seconds.
    """
    high, wide = (cell * size / max(image_size) for size in image_size)
    rows, across = _grid_size(count, 2 * high / wide)
    gap, side = 0.08, 0.1
    row_height = high + 0.22 + below
    grid_width = across * (wide + gap) - gap
    width = max(5.5 if caption else 4.2, grid_width + beside + 2 * side)
    title = wrapped(title, width)
    caption = wrapped(caption, width, 8)
    top = 0.58 + 0.2 * title.count("\n")
    bottom = 0.34 + 0.15 * caption.count("\n") if caption else 0.1
    height = top + rows * row_height - 0.22 + bottom
    left = (width - grid_width - beside) / 2
    figure = new_figure(width, height, "none")
    figure.suptitle(title, y=1 - 0.08 / height, va="top", fontsize=12, parse_math=False)
    if caption:
        figure.text(0.5, 0.1 / height, caption, ha="center", fontsize=9, color=GREY)
    cells = []
    for number in range(count):
        row, column = divmod(number, across)
        x, y = left + column * (wide + gap), height - top - row * row_height - high
        axes = figure.add_axes((x / width, y / height, wide / width, high / height))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color("#b0b0b0")
        cells.append(axes)
    return figure, cells


@functools.cache
def signed_colours() -> Any:
    """Return the colours: blue below zero, orange above, white at zero."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(
        "signed", ["#003c78", BLUE, "white", ORANGE, "#7a3000"]
    )


def show_images(
    figure: Any, cells: Sequence[Any], images: Sequence[Array], label: str, signed: bool
) -> None:
    """Draw the images on one colour scale, with its bar; NaN is pink."""
    from matplotlib import colormaps

    finite = [pixels[np.isfinite(pixels)] for pixels in images]
    low = min((float(part.min()) for part in finite if part.size), default=0.0)
    high = max((float(part.max()) for part in finite if part.size), default=1.0)
    size = max(-low, high) or 1.0
    signed = signed or low < 0
    colours = (signed_colours() if signed else colormaps["cividis"]).with_extremes(bad=PINK)
    options = {"cmap": colours, "vmin": -size if signed else 0.0, "vmax": size}
    images = [np.where(np.isfinite(pixels), pixels, np.nan) for pixels in images]
    for axes, pixels in zip(cells, images):
        image = axes.imshow(pixels, interpolation="nearest", **options)
    colour_bar(figure, cells, image, label)


def colour_bar(figure: Any, cells: Sequence[Any], image: Any, label: str) -> Any:
    """Draw the image's colour bar to the right of a grid, where `beside` left room for it."""
    boxes = [axes.get_position() for axes in cells]
    right, bottom, top = (
        max(b.x1 for b in boxes),
        min(b.y0 for b in boxes),
        max(b.y1 for b in boxes),
    )
    width, height = figure.get_size_inches()
    long = min(top - bottom, 4 / height)  # long enough to read it
    place = (right + 0.14 / width, (top + bottom - long) / 2, 0.13 / width, long)
    bar = figure.colorbar(image, cax=figure.add_axes(place))
    bar.ax.tick_params(labelsize=8)
    bar.set_label(label, fontsize=9)
    bar.outline.set_visible(False)
    return bar


def as_photos(x: Array) -> Array:
    """Return images with numbers from 0 to 1, whatever their range; gray images lose an axis."""
    x = x.astype(float)
    finite = x[np.isfinite(x)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if high > 1.5:
        x = x / 255
    elif low < 0:
        x = (x + 1) / 2
    x = np.clip(np.nan_to_num(x), 0, 1)
    return x[..., 0] if x.shape[3] == 1 else x
