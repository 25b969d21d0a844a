"""Plots of training runs, of what a network sees, and of its mistakes, with matplotlib.

Each function returns a `Figure`, drawn without a screen: a notebook shows it, `save` writes it.
Colour-blind people can tell the colours apart (Okabe and Ito; cividis; blue below zero, orange
above). Names that come from files are drawn as they are: a `$` does not start a formula.
"""

import difflib
import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minicnn._support.terminal import printable
from minicnn.plots import figures
from minicnn.plots.figures import (
    BLUE,
    COLOURS,
    ORANGE,
    as_photos,
    image_grid,
    new_figure,
    save,
    set_title,
    show_images,
    whole_numbers,
)
from minicnn.plots.heat import heatmaps, preferred_images, sanity_check
from minicnn.plots.programs import program

Array = np.ndarray

# -- training runs --------------------------------------------------------------------------------


def curves(history: Any, title: str = "") -> Any:
    """Plot the loss, and each metric, of training and validation over the epochs.

    `history` is what `fit` returns, or its dict. The best validation epoch of each metric (the
    smallest loss or error, else the largest value) is circled, and named in the legend. Returns a
    `Figure`. Raises `ImportError` without matplotlib and `ValueError` for an empty history.
    """
    history = _history(history)
    names = [name for name in history if not name.startswith("val_")]
    if not names:
        raise ValueError(f"A history has at least the loss. Received {sorted(history)}.")
    names.sort(key=lambda name: name != "loss")
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    figure = new_figure(5.2 * columns, 3.8 * rows)
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(grid, names):
        lines, labels, epochs = [], [], 0
        for key, label, colour, line in (
            (name, "training", BLUE, "-"),
            (f"val_{name}", "validation", ORANGE, "--"),
        ):
            values = history.get(key)
            if values is None:
                continue
            best = figures.best(values, key)
            if best is None:
                label += ", never a finite number"
            elif key != name:
                label += f", best {values[best]:.3f} in epoch {best + 1}"
            circled = best if key != name else None
            lines.append(figures.draw_epochs(axes, values, line, colour, circled))
            labels.append(label)
            epochs = max(epochs, len(values))
        figures.epochs_axis(axes, name, epochs)
        axes.set_ylabel(figures.unit(name))
        figures.legend(axes, lines, labels)
    set_title(figure, title)
    return figure


def learning_rates(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggestion: float | None = None,
    title: str = "",
) -> Any:
    """Plot the loss of each step over its learning rate, as `LearningRateFinder` records them.

    The dots are the steps, the line is the `smoothed` loss, and a vertical line marks the
    `suggestion`. Returns a `Figure`. Raises `ImportError` without matplotlib and `ValueError`
    without a step.
    """
    if not len(rates):
        raise ValueError("There is nothing to plot: no step was made. Received no rates.")
    finite = [loss for loss in smoothed if math.isfinite(loss)] or [0.0]
    figure = new_figure(6.4, 4.2)
    axes = figure.subplots()
    (dots,) = axes.plot(rates, losses, ".", color=figures.GREY, markersize=4)
    (line,) = axes.plot(rates, smoothed, color=BLUE)
    drawn, labels = [dots, line], ["each step", "smoothed"]
    if suggestion is not None:
        drawn.append(axes.axvline(suggestion, color=ORANGE, linestyle="--"))
        labels.append(f"suggested: {suggestion:.2g}")
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel(figures.unit("loss"))
    room = 0.1 * (max(finite) - min(finite)) or 0.1
    lowest = min(loss for loss in [*losses, *finite] if math.isfinite(loss))
    axes.set_ylim(lowest - room, max(finite) + room)  # exploding steps are above it
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figures.legend(axes, drawn, labels)
    set_title(figure, title)
    return figure


def sweep(runs: Mapping[str, Any], metric: str = "accuracy", title: str = "") -> Any:
    """Plot one metric (or the "loss") of several runs over the epochs, on one scale.

        sweep({"lr=0.01": history, "lr=0.001": other})

    `runs` maps a run's name to what `fit` returned, or to its dict. Training and validation are
    side by side, if all runs have a validation; the legend has each run's best value. Returns a
    `Figure`. Raises `ImportError` without matplotlib, `TypeError` for anything but a dict of runs
    and `ValueError` if a run lacks the metric.
    """
    if not isinstance(runs, Mapping):
        raise TypeError(
            "sweep expects a dict, from the runs' names to their histories. "
            f"Received {type(runs).__name__}."
        )
    metric = metric.removeprefix("val_")
    histories = {str(name): _history(run) for name, run in runs.items()}
    if not histories:
        raise ValueError("A sweep needs at least one run. Received none.")
    for name, history in histories.items():
        if metric not in history:
            raise ValueError(f'The run "{name}" has no "{metric}". It has {sorted(history)}.')
    panels = {metric: "training"}
    if all(f"val_{metric}" in history for history in histories.values()):
        panels[f"val_{metric}"] = "validation"
    judge = list(panels)[-1]
    labels = []
    for name, history in histories.items():
        best = figures.best(history[judge], judge)
        number = "never a finite number" if best is None else f"{history[judge][best]:.3f}"
        labels.append(f"{figures.short(name, 40)}: {number}")
    figure = new_figure(5.2 * len(panels) + max(1.2, 0.5 + 0.075 * max(map(len, labels))), 4.2)
    drawn: list[Any] = []
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (key, panel) in zip(grid, panels.items()):
        # Runs differ in colour, and in line style if there are more runs than colours.
        drawn = [
            figures.draw_epochs(
                axes,
                history[key],
                figures.LINES[index // len(COLOURS) % len(figures.LINES)],
                COLOURS[index % len(COLOURS)],
                figures.best(history[key], key),
            )
            for index, history in enumerate(histories.values())
        ]
        figures.epochs_axis(axes, panel, max(len(history[key]) for history in histories.values()))
    grid[0].set_ylabel(figures.unit(metric))
    figures.legend(
        grid[-1],
        drawn,
        labels,
        title=printable(f"best {panels[judge]} {metric}"),
        fontsize="small",
        title_fontsize="small",
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
    )
    set_title(figure, title)
    return figure


def _history(history: Any) -> dict[str, list[float]]:
    """Return the numbers of a run, by name, without empty lists."""
    found = getattr(history, "history", history)
    if not isinstance(found, Mapping):
        raise TypeError(
            "A history is what fit returns, or its dict of lists. "
            f"Received {type(history).__name__}."
        )
    return {name: [float(v) for v in values] for name, values in found.items() if len(values)}


# -- what a network sees --------------------------------------------------------------------------


def _counted(total: int, noun: str, most: int | None = None) -> str:
    limit = "" if most is None or total <= most else f"the first {most} of "
    return f"{limit}{total} {noun}{'' if total == 1 else 's'}"


def kernels(layer: Any, channel: int | None = None, most: int = 64) -> Any:
    """Plot the weights of a convolution as images, one for each filter.

    A layer with 3 input channels, which sees colour images, is drawn in colour: grey is zero, and
    a bright red pixel asks for red, a dark red one for its absence. With more input channels, their
    mean is drawn, or one of them, `channel`. A depthwise layer has one image for each channel and
    multiplier. Blue is below zero, orange above.

    Returns a `Figure`. Raises `ImportError` without matplotlib and `ValueError` for a layer without
    kernels, one that is not built yet, NaN among its weights, and a channel that it does not have.
    """
    figures.check_most(most)
    label = getattr(layer, "label", type(layer).__name__)
    params = getattr(layer, "params", {})
    w = params.get("kernel", params.get("depthwise_kernel"))
    if getattr(layer, "is_network", False):
        names = [inner.name for inner in layer.layers if np.ndim(inner.params.get("kernel")) == 4]
        raise ValueError(
            f"kernels expects one layer, but {label} is a model. "
            f"Pass model.get_layer(name). It has the convolutions {', '.join(names) or '(none)'}."
        )
    if w is None and not getattr(layer, "built", True):
        raise ValueError(f"{label} has no kernels yet: it makes them when it first sees an input.")
    if w is not None and w.ndim == 3 and hasattr(layer, "as_image"):  # of lines
        w = w[None]
    if w is None or w.ndim != 4:
        raise ValueError(f"{label} has no kernels to draw: it is not a convolution.")
    if not np.isfinite(w).all():
        raise ValueError(f"{label} has NaN or infinity among its weights, so it cannot be drawn.")
    if hasattr(layer, "output_padding"):  # a transposed convolution: (…, filters, channels)
        w = w.swapaxes(2, 3)
    rows, columns, channels = w.shape[:3]
    depthwise = hasattr(layer, "depth_multiplier")
    if channel is not None and (depthwise or channel not in range(channels)):
        raise ValueError(
            f"{label} is depthwise: each kernel has one channel. Received channel={channel!r}."
            if depthwise
            else f"{label} has input channels 0 to {channels - 1}. Received channel={channel!r}."
        )
    colour = not depthwise and channel is None and channels == 3
    what, title = "weight", ""
    if depthwise:
        images = list(np.moveaxis(w.reshape(rows, columns, -1), -1, 0))
    elif colour:
        scale = float(np.abs(w).max()) or 1.0
        images = list(np.moveaxis(0.5 + w / (2 * scale), -1, 0))
    elif channel is None:
        images = list(np.moveaxis(w.mean(axis=2), -1, 0))
        if channels > 1:
            what, title = "mean weight", f", mean of {channels} input channels"
    else:
        images = list(np.moveaxis(w[:, :, channel], -1, 0))
        title = f", input channel {channel}"
    count = min(len(images), most)
    title = f"{layer.name}: {_counted(len(images), 'kernel', most)} of {rows}×{columns}{title}"
    caption = (
        f"grey: 0 · full colour: ±{scale:.2g} · bright asks for a colour, dark for its absence"
        if colour
        else ""
    )
    figure, cells = image_grid(
        count, (rows, columns), title, beside=0.0 if colour else 0.85, caption=caption
    )
    zero = [not w.reshape(rows * columns, channels, -1)[..., k].any() for k in range(w.shape[3])]
    for number, axes in enumerate(cells):
        nothing = not images[number].any() if depthwise else zero[number]
        said = f"{number} (all 0)" if nothing else str(number)
        axes.set_title(said, y=1, fontsize=8, color=figures.GREY, pad=2)
    if not colour:
        show_images(figure, cells, images[:count], what, signed=True)
        return figure
    for axes, pixels in zip(cells, images):
        axes.imshow(pixels, interpolation="nearest")
    return figure


def feature_maps(trace: Any, layer_name: str, example: int = 0, most: int = 64) -> Any:
    """Plot one layer's output for one example, an image for each channel.

    `trace` is `model.trace(x)`, or the tape of `model.forward(x)`; a layer in a nested model is
    named "base/conv2d". A layer whose output is a vector is drawn as bars. If no number is below
    zero, as after a ReLU, dark is zero; otherwise blue is below zero, orange above. NaN is pink.

    Returns a `Figure`. Raises `ImportError` without matplotlib, `TypeError` for anything but a
    trace or a tape, `KeyError` for a layer and `ValueError` for an example that does not exist.
    """
    figures.check_most(most)
    if not hasattr(trace, "entries"):
        raise TypeError(
            "feature_maps expects model.trace(x), or the tape of model.forward(x). "
            f"Received {type(trace).__name__}."
        )
    outputs = dict(_outputs(trace))
    if layer_name not in outputs:
        close = difflib.get_close_matches(layer_name, outputs, 1)
        hint = f' Did you mean "{close[0]}"?' if close else ""
        raise KeyError(f"No layer {layer_name!r} in the trace.{hint} It has {', '.join(outputs)}.")
    y = outputs[layer_name]
    if example not in range(-len(y), len(y)):
        raise ValueError(f"The trace has examples 0 to {len(y) - 1}. Received example={example!r}.")
    y = y[example]
    if not np.isfinite(y).any():
        raise ValueError(f'All outputs of "{layer_name}" are NaN or infinity: nothing to draw.')
    if y.ndim != 3:
        return _bars(y.reshape(-1), layer_name)
    height, width, channels = y.shape
    count = min(channels, most)
    title = f"{layer_name}: {_counted(channels, 'feature map', most)} of {height}×{width}"
    figure, cells = image_grid(count, (height, width), title, beside=0.85)
    for number, axes in enumerate(cells):
        said = ""
        if not y[..., number].any():
            said = " (all 0)"
        elif not np.isfinite(y[..., number]).all():
            said = " (NaN: pink)"
        axes.set_title(f"{number}{said}", y=1, fontsize=8, color=figures.GREY, pad=2)
    show_images(figure, cells, list(np.moveaxis(y[..., :count], -1, 0)), "output", signed=False)
    return figure


def _outputs(trace: Any, prefix: str = "") -> Iterator[tuple[str, Array]]:
    """Yield the names and outputs of all layers of a trace or tape, only each layer's first use."""
    found: dict[str, Array] = {}
    for entry in trace.entries:
        name = getattr(entry, "name", None) or prefix + entry.layer.name
        if isinstance(entry.y, np.ndarray):
            found.setdefault(name, entry.y)
        if hasattr(entry.cache, "entries"):
            for inner, y in _outputs(entry.cache, f"{name}/"):
                found.setdefault(inner, y)
    yield from found.items()


def _bars(values: Array, name: str) -> Any:
    lost = int((~np.isfinite(values)).sum())
    values = np.where(np.isfinite(values), values, np.nan)
    title = f"{name}: {_counted(len(values), 'unit')}"
    figure = new_figure(max(5.0, min(12.0, 0.16 * len(values) + 2)), 3.4)
    axes = figure.subplots()
    colours = [ORANGE if value >= 0 else BLUE for value in values]
    axes.bar(range(len(values)), values, color=colours, width=0.8 if len(values) < 200 else 1.0)
    axes.axhline(0, color="black", linewidth=0.8)
    if lost:
        title += f", {lost} NaN or infinite"
    axes.set_title(figures.wrapped(title, figure.get_figwidth() - 1), parse_math=False)
    axes.set_xlabel("unit")
    axes.set_ylabel("output")
    if len(values) <= 20:
        axes.set_xticks(range(len(values)))
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


# -- what it says, and how often it is right ------------------------------------------------------


def confusion_matrix(
    y_true: Any, y_pred: Any, class_names: Sequence[str] | None = None, title: str = ""
) -> Any:
    """Plot how often each class (row) was predicted as each class (column).

    `y_true` and `y_pred` are class numbers, one-hot rows, or rows of probabilities (or scores, of
    which the largest counts); one probability per example means two classes. The numbers are
    counts; the colour is the share of the row, so that rare classes are visible, too.

    Returns a `Figure`. Raises `ImportError` without matplotlib and `ValueError` if lengths, numbers
    and names do not match.
    """
    true, true_count = _classes(y_true, "y_true")
    predicted, predicted_count = _classes(y_pred, "y_pred")
    if len(true) != len(predicted):
        raise ValueError(
            "confusion_matrix expects y_true and y_pred for the same examples. "
            f"Received {len(true)} and {len(predicted)}."
        )
    if len(true) == 0:
        raise ValueError("confusion_matrix expects at least one example. Received none.")
    count = max(true_count, predicted_count)
    if class_names is not None:
        if len(class_names) < count:
            raise ValueError(
                f"confusion_matrix expects a name for each of {count} classes. "
                f"Received {len(class_names)} class_names."
            )
        count = len(class_names)
    if count > 100:
        raise ValueError(f"confusion_matrix draws up to 100 classes. Received {count}.")
    names = _names(class_names, count)
    matrix = np.zeros((count, count), int)
    np.add.at(matrix, (true, predicted), 1)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(max(2.6, 0.5 * count), 14.0)  # of the matrix, in inches
    cell = 72 * side / count  # of one number, in points
    size = min(9.0, cell / (0.65 * max(len(str(matrix.max())), 3) + 0.6))
    small = min(10.0, 0.65 * cell)
    beside = max(map(len, names)) * 0.6 * small / 72
    rotated = max(map(len, names)) > 3
    figure = new_figure(side + beside + 1.9, side + (0.75 * beside if rotated else 0.2) + 0.9)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap=_shares(), vmin=0, vmax=1)
    for row, column in np.argwhere(matrix):
        axes.text(
            column,
            row,
            f"{matrix[row, column]}",
            ha="center",
            va="center",
            fontsize=size,
            fontweight="bold" if row == column else "normal",
            color="white" if shares[row, column] > 0.55 else "black",
        )
    axes.set_xticks(range(count), names, fontsize=small, parse_math=False)
    axes.set_yticks(range(count), names, fontsize=small, parse_math=False)
    if rotated:
        for label in axes.get_xticklabels():
            label.set(rotation=45, ha="right", rotation_mode="anchor")
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    right = int(np.trace(matrix))
    title = title or f"{right} of {len(true)} right: accuracy {right / len(true):.1%}"
    axes.set_title(figures.wrapped(title, side + 1), parse_math=False)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02, format="{x:.0%}")
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    return figure


def _names(class_names: Sequence[str] | None, count: int, letters: int = 30) -> list[str]:
    names = range(count) if class_names is None else class_names
    return [figures.short(str(name), letters) for name in names]


@functools.cache
def _shares() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shares", ["#f4f6f8", "#9cc4de", BLUE, "#003c5e"])


def _classes(y: Any, argument: str) -> tuple[Array, int]:
    """Return class numbers, and how many classes there are at least."""
    array = np.asarray(y)
    if array.dtype.kind not in "fiub":
        raise ValueError(
            f"{argument} must be class numbers, one-hot rows or probabilities. "
            f"Received dtype {array.dtype}."
        )
    if array.ndim not in (1, 2):
        raise ValueError(
            f"{argument} must have one number or one row for each example. "
            f"Received {argument}.shape={array.shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{argument} must be finite. Received NaN or infinity.")
    if array.ndim == 2 and array.shape[1] > 1:
        return array.argmax(axis=1), array.shape[1]
    array = array.reshape(len(array))
    whole = array.astype(int)
    if (whole != array).any():
        if array.min() < 0 or array.max() > 1:
            raise ValueError(
                f"{argument} must be whole class numbers, or probabilities between 0 and 1. "
                f"Received numbers from {array.min():g} to {array.max():g}."
            )
        return (array > 0.5).astype(int), 2
    if whole.size and whole.min() < 0:
        raise ValueError(f"{argument} must be class numbers from 0. Received {whole.min()}.")
    return whole, int(whole.max(initial=0)) + 1


def predictions(
    x: Any,
    y_true: Any,
    probabilities: Any,
    class_names: Sequence[str] | None = None,
    most: int = 15,
) -> Any:
    """Plot images with the predicted class, its probability, and the true class.

    `x` (batch, height, width, channels): pixels from 0 to 255, or numbers from 0 to 1 or from -1
    to 1. `y_true` as in `confusion_matrix`, or None if unknown; `probabilities` as `predict`
    returns them. Wrong predictions are orange, with the true class below.

    Returns a `Figure`. Raises `ImportError` without matplotlib and `ValueError` if lengths and
    names do not match, or for scores instead of probabilities.
    """
    figures.check_most(most)
    x, said = np.asarray(x), np.asarray(probabilities, float)
    if x.ndim != 4 or x.shape[3] not in (1, 3):
        raise ValueError(
            "predictions expects images (batch, height, width, 1 or 3 channels). "
            f"Received x.shape={x.shape}."
        )
    if said.ndim == 2 and said.shape[1] == 1:
        said = said[:, 0]
    if said.ndim == 1:  # the probability of class 1 of two
        said = np.stack([1 - said, said], axis=1)
    if said.ndim != 2:
        raise ValueError(
            "predictions expects a row of probabilities for each example. "
            f"Received probabilities.shape={said.shape}."
        )
    if said.size and not (said.min() > -1e-3 and said.max() < 1 + 1e-3):  # also for NaN
        raise ValueError(
            "predictions expects probabilities from 0 to 1; activations.softmax makes them from "
            f"scores. Received numbers from {said.min():.3g} to {said.max():.3g}."
        )
    true = None if y_true is None else _classes(y_true, "y_true")[0]
    if len(said) != len(x) or (true is not None and len(true) != len(x)) or len(x) == 0:
        lengths = [len(x), *([] if true is None else [len(true)]), len(said)]
        raise ValueError(
            "predictions expects x, y_true and probabilities for the same examples, at least one. "
            f"Received {', '.join(map(str, lengths))}."
        )
    count = max(said.shape[1], 0 if true is None else int(true.max()) + 1)
    if class_names is not None and len(class_names) < count:
        raise ValueError(
            f"predictions expects a name for each of {count} classes. "
            f"Received {len(class_names)} class_names."
        )
    shown = min(len(x), most)
    title = "What the network says"
    if true is not None:
        title = f"{int((said.argmax(axis=1) == true).sum())} of {len(x)} right"
    if shown < len(x):
        title += f"; the first {shown}"
    figure, cells = image_grid(
        shown, x.shape[1:3], title, cell=1.7, below=0.0 if true is None else 0.22
    )
    wide = 1.7 * x.shape[2] / max(x.shape[1:3])
    letters = figures.letters(wide, 10)  # of size 9, and bold
    names = _names(class_names, count, letters - 5)
    for axes, photo, row, number in zip(cells, as_photos(x[:shown]), said, range(shown)):
        axes.imshow(photo, cmap="gray" if photo.ndim == 2 else None, vmin=0, vmax=1)
        guess = int(row.argmax())
        wrong = true is not None and guess != true[number]
        text = f"{names[guess]} {row[guess]:.0%}"
        axes.set_title(
            text, y=1, fontsize=9, pad=4, color=ORANGE if wrong else "black",
            fontweight="bold" if wrong else "normal", parse_math=False,
        )  # fmt: skip
        axes.spines[:].set(color=ORANGE if wrong else "#b0b0b0", linewidth=2.5 if wrong else 0.8)
        if true is not None and wrong:
            truth = figures.short(f"truth: {names[true[number]]}", letters)
            axes.set_xlabel(truth, fontsize=9, parse_math=False)
    return figure


__all__ = [
    "BLUE",
    "COLOURS",
    "ORANGE",
    "confusion_matrix",
    "curves",
    "feature_maps",
    "heatmaps",
    "kernels",
    "new_figure",
    "predictions",
    "preferred_images",
    "program",
    "sanity_check",
    "save",
    "set_title",
    "sweep",
    "whole_numbers",
]
