"""Draws a program: the cost of each step, and which array uses which part of the memory when."""

from typing import Any

from minicnn._support.terminal import bytes_text
from minicnn.plots.figures import COLOURS, GREY, legend, new_figure, set_title, whole_numbers


def program(program: Any, title: str = "") -> Any:
    """Plot what the steps of a program cost, and how their arrays share its memory.

        program(model.inference_program(1))

    Above, a bar for each step: its multiply-adds, coloured by the file in `minicnn/kernels/` that
    its kernel is in; a step without a bar copies, adds or compares. Below, a box for each array,
    from the step that writes it to the last one that reads it, and as high as it is large: no two
    boxes overlap. Inputs exist before the first step, outputs after the last. Returns a
    `Figure`. Raises `ImportError` without matplotlib, and `TypeError` for anything but a program.
    """
    if not hasattr(program, "arena_bytes"):
        raise TypeError(
            "program expects what model.inference_program() returns. "
            f"Received {type(program).__name__}."
        )
    kinds = [_kind(step) for step in program.steps]
    listed = list(dict.fromkeys(kinds))
    colours = {kind: COLOURS[k] if k < len(COLOURS) else GREY for k, kind in enumerate(listed)}
    count = len(kinds)
    figure = new_figure(min(6.4 + count / 12, 16), 6.4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.6))
    steps = range(1, count + 1)
    costs = [cost / 1e6 for cost in program.multiply_adds]
    above.bar(steps, costs, 0.9, color=[colours[kind] for kind in kinds])
    above.set_ylabel("multiply-adds (millions)")
    names = [f"{kind}: {sum(c for c, k in zip(costs, kinds) if k == kind):.1f}" for kind in listed]
    patches = [above.bar([0], [0], color=colours[kind]) for kind in listed]
    legend(above, patches, names, loc="center left", bbox_to_anchor=(1.01, 0.5))
    for block in program.blocks:
        _draw(below, block, kinds, colours)
    below.set_xlim(-0.7, count + 1.7)
    below.set_ylim(0, max(program.arena_bytes, 1) / 1024)
    below.set_xlabel("step")
    below.set_ylabel("place in memory (KB)")
    whole_numbers(below.xaxis)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    arena, packed = bytes_text(program.arena_bytes), bytes_text(program.constant_bytes)
    each = bytes_text(sum(block.size for block in program.blocks))
    below.set_title(f"{arena} for arrays that take {each}; packed weights: {packed}", fontsize=10)
    set_title(figure, title)
    return figure


def _kind(step: Any) -> str:
    return step.kernel.label.partition(".")[0] if hasattr(step, "kernel") else "Python"


def _draw(axes: Any, block: Any, kinds: list[str], colours: dict[str, str]) -> None:
    """Draw an array's box, in the colour of the step that writes it; an input is white."""
    colour = colours[kinds[block.first - 1]] if block.first else "white"
    axes.bar(
        block.first - 0.5,
        block.size / 1024,
        block.last - block.first + 1,
        block.offset / 1024,
        align="edge",
        color=colour,
        edgecolor="black",
        linewidth=0.5,
    )
