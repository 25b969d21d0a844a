"""The table that `model.summary()` prints: shapes, parameters and their formula, costs.

The receptive field is how many input pixels one unit sees: "all" after a global pooling or a dense
layer, "≤" after an upsampling, where neighbours see more or fewer
(`minicnn.shapes.ReceptiveField`). Multiply-adds are per example.
"""

import io
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

from minicnn._support.terminal import bytes_text, printable
from minicnn.graph.network import Network
from minicnn.graph.receptive import Field, fields
from minicnn.layers.base import Layer
from minicnn.shapes import shape_text

_PLAIN_WIDTH = 132  # columns, if no terminal reports its width


class Row(NamedTuple):
    """One line of the table."""

    layer: Layer
    output_shape: tuple[int | None, ...]
    parameters: int
    formula: str
    multiply_adds: int | None
    field: Field | str  # text if it is unknown
    connected_to: list[str]
    depth: int = 0  # in how many nested models the layer is


def rows(
    model: Network,
    expand_nested: bool = False,
    depth: int = 0,
    seen: set[Layer] | None = None,
) -> list[Row]:
    """Return the table's lines, one per use of a layer, in the order of computation.

    With `expand_nested`, the lines of a nested model follow its own; its layers see pixels of its
    own input.
    """
    seen = set() if seen is None else seen
    if model.defines_call:
        return _rows_of_calls(model, depth, seen)
    result = []
    found = fields(model.graph)
    for node in model.graph.nodes:
        layer, output = node.layer, node.outputs[0]
        # The parameters of a layer that is used twice count once.
        parameters = 0 if layer in seen else layer.count_params()
        seen.add(layer)
        shapes: Any = [symbol.shape for symbol in node.inputs]
        expanded = expand_nested and isinstance(layer, Network)
        formula = "see below" if expanded else layer.parameter_formula()
        given = shapes if layer.takes_list or len(shapes) != 1 else shapes[0]
        result.append(
            Row(
                layer,
                output.shape,
                parameters,
                formula if parameters else "",
                layer.multiply_adds(given) if node.inputs else 0,
                found[output],
                [symbol.name for symbol in node.inputs],
                depth,
            )
        )
        if expanded and isinstance(layer, Network):
            result += rows(layer, True, depth + 1, seen)
    return result


def _rows_of_calls(model: Any, depth: int, seen: set[Layer]) -> list[Row]:
    """Return a line per use of a layer in a model's own `call`, as its trial showed them."""
    held = model.layers
    result = []
    for layer, given, made in model.trial().calls:
        if not any(layer is own for own in held):
            continue  # a layer within one of them
        several = layer.takes_list or len(given) != 1
        cost = layer.multiply_adds(given if several else given[0])
        parameters = 0 if layer in seen else layer.count_params()
        seen.add(layer)
        formula = layer.parameter_formula() if parameters else ""
        result.append(Row(layer, made[0], parameters, formula, cost, "?", [], depth))
    return result


def _is_chain(model: Network, expand_nested: bool) -> bool:
    if model.defines_call:
        return True  # the connections are unknown
    nested = [layer for layer in model.layers if expand_nested and isinstance(layer, Network)]
    return all(_is_chain(layer, True) for layer in nested) and all(
        len(node.inputs) <= 1 and (not node.inputs or node.inputs[0] in previous.outputs)
        for previous, node in itertools.pairwise(model.graph.nodes)
    )


def print_summary(
    model: Network,
    line_length: int | None = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
) -> None:
    """Print the table (to the terminal, a notebook, or line by line through `print_fn`)."""
    from rich.console import Console

    to_text = print_fn is not None
    console = Console(
        file=io.StringIO() if to_text else None,
        width=line_length or (_PLAIN_WIDTH if to_text else None),
    )
    if not to_text and line_length is None and not console.is_terminal:
        console = Console(width=_PLAIN_WIDTH)
    lines = rows(model, expand_nested)
    console.print(_table(model, lines, expand_nested, show_trainable))
    # In one piece, since a notebook shows each call's text as an output with space around it.
    sums = totals(model, [row for row in lines if not row.depth])
    console.print("\n".join(sums), highlight=False)
    if print_fn is not None:
        assert isinstance(console.file, io.StringIO)
        for line in console.file.getvalue().splitlines():
            print_fn(line)


def _table(model: Network, lines: list[Row], expand_nested: bool, show_trainable: bool) -> Any:
    """Return the table for rich to print."""
    from rich.table import Table

    table = Table(title=f'Model: "{_escape(model.name)}"', title_justify="left", title_style="bold")
    table.add_column("Layer (type)", overflow="fold")
    table.add_column("Output shape")
    table.add_column("Params", justify="right")
    table.add_column("= formula", overflow="fold")
    table.add_column("Multiply-adds", justify="right")
    table.add_column("Sees", justify="right")
    chain = _is_chain(model, expand_nested)
    if not chain:
        table.add_column("Connected to", overflow="fold")
    if show_trainable:
        table.add_column("Trainable", justify="center")
    learning = {id(variable) for variable in model.trainable_weights}
    for row in lines:
        cells = [
            f"{_nesting(row)}{_escape(row.layer.name)} [dim]({type(row.layer).__name__})[/dim]"
            f"{_frozen(row.layer, learning)}",
            shape_text(row.output_shape),
            f"{row.parameters:,}" if row.parameters else "0",
            row.formula,
            "?" if row.multiply_adds is None else f"{row.multiply_adds:,}",
            field_text(row.field),
        ]
        if not chain:
            cells.append(_escape(", ".join(row.connected_to)))
        if show_trainable:
            cells.append("-" if not row.layer.weights else "Y" if row.layer.trainable else "N")
        table.add_row(*cells)
    return table


def _nesting(row: Row) -> str:
    return "   " * row.depth + "└ " if row.depth else ""


def _frozen(layer: Any, learning: set[int]) -> str:
    """Return a note on frozen parameters; `learning` holds the ids of those that learn."""
    learns = [id(variable) in learning for variable in layer.weights if variable.trainable]
    if all(learns):
        return ""
    return " [dim](partly frozen)[/dim]" if any(learns) else " [dim](frozen)[/dim]"


def totals(model: Network, lines: list[Row]) -> list[str]:
    """Return the lines below the table."""
    size = {v.dtype: v.value.itemsize for v in model.weights}
    total = model.count_params()
    trained = sum(v.value.size for v in model.trainable_weights)
    frozen = total - trained
    bytes_each = max(size.values(), default=4)
    costs = [row.multiply_adds for row in lines]
    cost = "unknown" if None in costs else f"{sum(c for c in costs if c is not None):,}"
    return [
        f" Total params: {total:,} ({bytes_text(total * bytes_each)})",
        f" Trainable params: {trained:,} ({bytes_text(trained * bytes_each)})",
        f" Non-trainable params: {frozen:,} ({bytes_text(frozen * bytes_each)})",
        f" Multiply-adds per example: {cost}",
    ]


def inference_plan(model: Network, folds: list[Any]) -> list[str]:
    """Return in words what `predict` computes, for learners who ask where a layer has gone."""
    steps = len(model.graph.nodes) - sum(len(fold.layers) - 1 for fold in folds)
    name, count = printable(model.name), len(model.graph.nodes)
    lines = [f'Inference plan of "{name}": {count} layers in {steps} steps.']
    nested = [printable(layer.name) for layer in model.layers if isinstance(layer, Network)]
    if nested:
        lines.append(f"Each of these has a plan of its own, below: {', '.join(nested)}.")
    if not folds:
        return [
            *lines,
            "Nothing to fold: no normalization, ReLU or max pooling comes right after a "
            "convolution.",
        ]
    lines += [
        "",
        "At inference BatchNormalization scales and shifts each channel by fixed numbers, so the",
        "convolution before it can do that: with scale = gamma / sqrt(moving_variance + epsilon),",
        "",
        "    (conv(x, kernel) + bias - moving_mean) * scale + beta",
        "        = conv(x, kernel * scale) + (bias - moving_mean) * scale + beta",
        "",
        "and a ReLU after it changes the result in place, without a copy. Of each block that max",
        "pooling looks at, only the largest result is kept.",
        "",
    ]
    names = [[printable(layer.name) for layer in fold.layers] for fold in folds]
    width = max(len(first) for first, *_ in names)
    lines += [f"    {first:{width}} includes {' + '.join(others)}" for first, *others in names]
    spared = [fold.values_spared for fold in folds]
    if None not in spared:
        size = sum(spared) * max(v.value.itemsize for v in model.weights)
        lines += ["", f"Per example, {bytes_text(size)} less is written to memory and read again."]
    return lines


def field_text(field: Field | str) -> str:
    """Return how many pixels a unit sees, as text for the table."""
    if field is None or isinstance(field, str):
        return field or "all"
    exact = all(axis.exact for axis in field)
    return f"{'' if exact else '≤ '}{field[0].most}x{field[1].most}"


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(printable(text))
