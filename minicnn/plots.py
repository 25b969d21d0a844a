"""Pictures of a training run, with matplotlib (`pip install "minicnn[plot]"`).

Figures are drawn without a screen; colours are told apart by colour-blind eyes (Okabe and Ito).
"""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minicnn.atomic import replacing

BLUE, ORANGE = "#0072B2", "#D55E00"
COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def curves(history: Mapping[str, Sequence[float]], title: str = "") -> Any:
    """A matplotlib `Figure`: the loss, and each metric, of training and validation over the epochs.

    `history` is `fit(…).history`. The best validation epoch of each metric is circled, and named in
    the legend. Raises `ImportError` without matplotlib and `ValueError` for an empty history.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        raise ImportError('Plots need matplotlib: pip install "minicnn[plot]".') from None
    names = [name for name in history if not name.startswith("val_")]
    if not names:
        raise ValueError(f"A history has at least the loss. Received {sorted(history)}.")
    names.sort(key=lambda name: name != "loss")
    figure = Figure(figsize=(5.2 * len(names), 3.8), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names):
        for key, label, colour, line in (
            (name, "training", BLUE, "-"),
            (f"val_{name}", "validation", ORANGE, "--"),
        ):
            values = history.get(key)
            if not values:
                continue
            epochs = range(1, len(values) + 1)
            (drawn,) = axes.plot(epochs, values, line, color=colour, marker="o", markersize=3)
            if key.startswith("val_"):
                best = (min if name == "loss" else max)(epochs, key=lambda e: values[e - 1])
                axes.plot(best, values[best - 1], "o", color=colour, fillstyle="none", markersize=9)
                label += f", best {values[best - 1]:.3f} in epoch {best}"
            drawn.set_label(label)
        axes.set_title(name)
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss (nats)" if name == "loss" else f"{name} (share of examples)")
        axes.margins(y=0.12)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    if title:
        figure.suptitle(title)
    return figure


def comparison(runs: Mapping[str, Mapping[str, Sequence[float]]]) -> Any:
    """A matplotlib `Figure`: the accuracy of several runs, training and validation side by side.

    `runs` maps a run's name to its history. The legend has each run's best validation accuracy.
    Raises `ImportError` without matplotlib and `ValueError` if a run has no validation accuracy.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        raise ImportError('Plots need matplotlib: pip install "minicnn[plot]".') from None
    if not runs or not all("val_accuracy" in history for history in runs.values()):
        raise ValueError("A comparison needs runs with a validation accuracy.")
    figure = Figure(figsize=(10.4, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, key, title in (
        (left, "accuracy", "training"),
        (right, "val_accuracy", "validation"),
    ):
        for index, (name, history) in enumerate(runs.items()):
            values = history[key]
            # Told apart by colour, and by line where there are more runs than colours.
            axes.plot(
                range(1, len(values) + 1),
                values,
                ("-", "--", ":")[index // len(COLOURS) % 3],
                color=COLOURS[index % len(COLOURS)],
                marker="o",
                markersize=3,
                label=f"{name}: {max(history['val_accuracy']):.3f}",
            )
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    left.set_ylabel("accuracy (share of examples)")
    right.legend(title="best validation accuracy", frameon=False, fontsize="small")
    return figure


def save(figure: Any, path: str | os.PathLike[str]) -> Path:
    """Write the figure as PNG (or what the suffix says), whole or not at all."""
    path = Path(path)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix.lstrip(".") or "png", dpi=144)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
    return path
