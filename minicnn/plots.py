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


def save(figure: Any, path: str | os.PathLike[str]) -> Path:
    """Write the figure as PNG (or what the suffix says), whole or not at all."""
    path = Path(path)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix.lstrip(".") or "png", dpi=144)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
    return path
