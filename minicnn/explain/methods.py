"""Methods that lower floors declare, and the displays of notebooks.

`Layer.explain`, `Model.trace` and the `_repr_html_` of layers, models and histories are defined in
their classes, with signatures and docstrings. They import this module when they are called.
"""

from typing import Any

import numpy as np

from minicnn.callbacks import History
from minicnn.explain import show
from minicnn.explain.arithmetic import explain_output
from minicnn.explain.explanation import Explanation
from minicnn.explain.restoring import restored
from minicnn.explain.trace import Trace
from minicnn.layers import Layer
from minicnn.models import Model, summary

Array = np.ndarray

_MOST_FILTERS = 8  # of one kernel, in a notebook


def explain_layer(layer: Layer, x: Any, at: Any, example: int, training: bool) -> Explanation:
    """Return the result of `Layer.explain`."""
    if isinstance(layer, Model):
        trace = Trace(layer, x, training=training)
        return trace.output_entry().explain(at, example)
    if not layer.built:
        layer.forward(x)  # makes the weights
    with restored(layer):
        y, cache = layer.forward(x, training)
    return explain_output(layer, x, y, cache, at, example)


def html(thing: Any) -> str:
    """Return a layer, a model or a history as a notebook shows it."""
    if isinstance(thing, Model):
        return model_html(thing)
    return layer_html(thing) if isinstance(thing, Layer) else history_html(thing)


def layer_html(layer: Layer) -> str:
    """Return a layer's settings and weights, kernels as coloured grids."""
    settings = [
        (key, str(value))
        for key, value in layer.get_config().items()
        if key != "name" and not isinstance(value, dict)
    ]
    parts = [show.html_table([], settings, left=2)]
    if not layer.built:
        parts.append(show.html_text("No weights yet: they are made when it first sees an input."))
    rows = [
        (v.path, "×".join(map(str, v.shape)), f"{v.value.size:,}", *_spread(v.value))
        for v in layer.weights
    ]
    if rows:
        header = ("weights", "shape", "numbers", "smallest", "mean", "largest")
        parts.append(show.html_table(header, rows))
    for variable in layer.weights:
        parts += _weight_grids(variable.name, variable.value)
    return show.html_block(layer.label, parts)


def _spread(value: Array) -> tuple[str, str, str]:
    if not value.size:
        return "", "", ""
    return show.number(value.min()), show.number(value.mean()), show.number(value.max())


def _weight_grids(name: str, value: Array) -> list[str]:
    scale = show.scale_of(value)
    if value.ndim == 4 and value.shape[:2] != (1, 1):
        rows, columns, channels, filters = value.shape
        shown = [(c, f) for f in range(filters) for c in range(channels)][:_MOST_FILTERS]
        grids = [
            show.html_grid(f"{name}[:, :, {c}, {f}]", value[:, :, c, f], scale) for c, f in shown
        ]
        left = channels * filters - len(shown)
        more = [show.html_text(f"… and {left:,} more of {rows}×{columns}")] if left else []
        return [*grids, *more, show.legend({name: scale})]
    flat = value.reshape(-1, value.shape[-1]) if value.ndim else value.reshape(1, 1)
    return [show.html_grid(name, flat, scale), show.legend({name: scale})]


def model_html(model: Model) -> str:
    """Return a model's summary as a table."""
    if not model.built:
        return show.html_block(
            model.label, [show.html_text("No layers to show yet: start it with an Input.")]
        )
    lines = summary.rows(model)
    header = ["layer", "output shape", "parameters", "= formula", "multiply-adds", "sees", "from"]
    rows = [
        [
            f"{row.layer.name} ({type(row.layer).__name__})",
            summary.shape_text(row.output_shape),
            f"{row.parameters:,}",
            row.formula,
            "?" if row.multiply_adds is None else f"{row.multiply_adds:,}",
            summary.field_text(row.field),
            ", ".join(row.connected_to),
        ]
        for row in lines
    ]
    totals = [show.html_text(line.strip()) for line in summary.totals(model, lines)]
    return show.html_block(model.label, [show.html_table(header, rows), *totals])


def history_html(history: History) -> str:
    """Return a history with one row for each epoch, the best of each number marked."""
    names = list(history.history)
    if not names:
        return show.html_block("History", [show.html_text("No epoch yet.")])
    best = {
        name: (min if "loss" in name else max)(values, default=None)
        for name, values in history.history.items()
    }
    count = max(len(values) for values in history.history.values())
    epochs = history.epoch if len(history.epoch) == count else list(range(count))
    rows = []
    for index, epoch in enumerate(epochs):
        row = [str(epoch + 1)]
        for name in names:
            values = history.history[name]
            value = values[index] if index < len(values) else None
            mark = " ★" if value is not None and value == best[name] else ""
            row.append("" if value is None else f"{value:.4f}{mark}")
        rows.append(row)
    return show.html_block(
        "History", [show.html_table(["epoch", *names], rows), show.html_text("★ the best")]
    )
