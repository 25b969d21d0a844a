"""Layer by layer: what a health check measures in one pass, and its verdict."""

import math
from typing import Any, NamedTuple

import numpy as np

from minicnn import optimizers
from minicnn.explain import copies, show
from minicnn.layers import ReLU
from minicnn.layers.base import Layer
from minicnn.layers.noise import RandomLayer
from minicnn.models import Model, Tape
from minicnn.training import LossOfPass

Array = np.ndarray

DEAD = 0.5  # of a layer's units
FADED, GROWN = 1e-4, 1e3  # standard deviation of a layer's output
VANISHING = 1e-5  # of the largest layer's gradient / weight, or of the loss's gradient
NO_GRADIENT = 1e-12  # gradient / weight
EXPLODING = 1e3  # norm of a layer's gradient
SMALL_STEP, LARGE_STEP = 1e-5, 0.3  # step / weight


class Check(NamedTuple):
    """One line: `verdict` is "ok", "look" (unusual), "problem" or "skipped"."""

    name: str
    verdict: str
    measured: str
    sentence: str


class LayerHealth(NamedTuple):
    """One use of a layer, on the whole batch; numbers that do not exist are None."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    mean: float
    std: float
    dead: float | None  # share of the units that are 0 for every example and at every place
    gradient: float | None  # norm of the gradient of the layer's parameters
    relative: float | None  # norm of the gradient / norm of the weights, of its largest parameters
    step: float | None  # norm of the optimizer's first step / norm of the weights


def layer_rows(uses: list[tuple[str, Any]]) -> list[LayerHealth]:
    """Return a row for each use of a layer: its output's mean, spread and dead units."""
    rows = []
    for name, entry in uses:
        y = entry.y[0] if isinstance(entry.y, list) else entry.y
        with np.errstate(invalid="ignore", over="ignore"):
            mean, std = float(y.mean(dtype=np.float64)), float(y.std(dtype=np.float64))
        dead = None
        if _is_relu(entry.layer):
            axes = tuple(range(y.ndim - 1))
            dead = float(np.mean((y == 0).all(axis=axes)))
        kind = type(entry.layer).__name__
        rows.append(LayerHealth(name, kind, y.shape, mean, std, dead, None, None, None))
    return rows


def _is_relu(layer: Layer) -> bool:
    if isinstance(layer, ReLU):
        return not layer.negative_slope
    return layer.activation_name in ("relu", "relu6")


def calm_copy(model: Model, x: Any) -> Any:
    """Return a copy whose layers draw no random numbers, so that measurements are repeatable."""
    clone = copies.copied(model)
    copies.build(clone, x)
    for layer in copies.all_layers(clone):
        if isinstance(layer, RandomLayer):
            layer.is_still = True
    return clone


def with_gradients(
    rows: list[LayerHealth],
    uses: list[tuple[str, Any]],
    model: Model,
    tape: Tape,
    wrong: LossOfPass,
    dy: Array,
    optimizer_config: dict[str, Any],
) -> list[LayerHealth]:
    """Return the rows with the gradients of this pass, and a new optimizer's steps."""
    _, grads = model.backward(dy, tape, need_dx=False, at_logits=wrong.at_logits)
    variables = model.trainable_variables_by_name()
    before = {key: v.numpy() for key, v in variables.items()}
    if grads:
        with np.errstate(all="ignore"):
            optimizers.get(optimizer_config).apply(dict(grads), variables)
    keys = {id(v): key for key, v in variables.items()}
    found = []
    for row, (_, entry) in zip(rows, uses):
        own = [keys[id(v)] for v in entry.layer.weights if id(v) in keys]
        if own:
            # A normalization has gamma and beta: gamma alone may have no gradient if another
            # normalization follows, whose output does not change with its input's scale.
            size = max(before[key].size for key in own)
            largest = [key for key in own if before[key].size == size]
            weight = math.hypot(*(_norm(before[key]) for key in largest))
            slope = math.hypot(*(_norm(grads[key]) for key in largest))
            step = math.hypot(*(_norm(variables[k].value - before[k]) for k in largest))
            row = row._replace(
                gradient=math.sqrt(sum(_norm(grads[key]) ** 2 for key in own)),
                relative=slope / weight if weight else None,
                step=step / weight if weight else None,
            )
        found.append(row)
    return found


def _norm(array: Array) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sqrt(np.square(array, dtype=np.float64).sum()))


def _worst(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _span(names: list[str]) -> str:
    """Return the layers' names in the order of computation, or the ends of a long list."""
    short = f"{names[0]} … {names[-1]}, {len(names)} layers"
    return short if len(names) > 3 else ", ".join(names)


def check_dead(rows: list[LayerHealth], examples: int) -> Check:
    """Check whether units of a ReLU are 0 for every example."""
    name = "dead ReLUs"
    watched = [(row.name, row.dead) for row in rows if row.dead is not None]
    if not watched:
        return Check(name, "skipped", "no ReLU", "Only a ReLU's gradient can die this way.")
    worst, share = max(watched, key=lambda pair: pair[1])
    measured = f"at most {share:.0%}, in {worst}, on {show.count(examples, 'example')}"
    if share == 1:
        return Check(
            name,
            "problem",
            f"all of {_worst([n for n, dead in watched if dead == 1])}",
            "The layer's output is always 0, so no gradient passes through it. Try a "
            "smaller learning rate, biases not far below zero, or some inputs above 0.",
        )
    if share > DEAD:
        return Check(
            name,
            "look",
            measured,
            "These units are 0 for every example here, and don't learn from any of them; often "
            "the learning rate or the inputs are too large.",
        )
    return Check(
        name, "ok", measured, "Enough units are above 0 for some example, and learn from it."
    )


def check_activations(rows: list[LayerHealth]) -> Check:
    """Check whether signals fade or grow from layer to layer."""
    name = "activations"
    # The spread of a softmax or a sigmoid says how sure it is, not how large its numbers are.
    # The last layer is left out, too: its weights may well start at 0.
    watched = [row for row in rows[:-1] if row.kind not in ("Softmax", "Rescaling")] or rows
    low, high = (f(watched, key=lambda row: row.std) for f in (min, max))
    measured = f"std {show.number(low.std)} ({low.name}) … {show.number(high.std)} ({high.name})"
    if low.std == 0:
        return Check(
            name,
            "problem",
            measured,
            f"{low.name} gives the same number for every example, place and unit: the layers after "
            "it see nothing of the input.",
        )
    if high.std > GROWN:
        return Check(
            name,
            "look",
            measured,
            "Signals grow from layer to layer: smaller inputs, he_normal or glorot_uniform "
            "weights, or BatchNormalization keep them near 1.",
        )
    if low.std < FADED:
        return Check(
            name,
            "look",
            measured,
            "Signals fade from layer to layer: he_normal weights behind ReLUs, or "
            "BatchNormalization, keep them near 1.",
        )
    return Check(name, "ok", measured, "Signals neither fade nor grow much.")


def check_gradients(rows: list[LayerHealth], dy: Array) -> Check:
    """Check whether gradients vanish or explode on their way back; the loss begins with dy.

    The surprise: in a deep network that fades both ways, each kernel's gradient is a product of a
    faded signal and a faded gradient. So the last layers' gradients are as faint as the first
    ones', and look normal beside each other, but not beside dy.
    """
    name = "gradients"
    learning = [row for row in rows if row.gradient is not None]
    if not learning:
        return Check(name, "skipped", "nothing learns", "Every layer with weights is frozen.")
    norms = [row.gradient or 0.0 for row in learning]
    low, high = (f(learning, key=lambda row: row.gradient or 0.0) for f in (min, max))
    measured = (
        f"norms {show.number(low.gradient)} ({low.name}) … "
        f"{show.number(high.gradient)} ({high.name})"
    )
    if not all(map(math.isfinite, norms)):
        return Check(
            name, "problem", measured, "Gradients are not finite: the first step breaks the model."
        )
    silent = [row.name for row in learning if not row.gradient]
    zeros = [row.name for row in learning if row.relative is None and row.gradient]
    if silent and zeros:
        return Check(
            name,
            "look",
            f"none arrives at {_worst(silent)}",
            f"The weights of {_worst(zeros)} are all 0, so no gradient passes through them; after "
            "the first step they are not 0 any more. Random weights start faster.",
        )
    if silent:
        return Check(
            name,
            "problem",
            f"none arrives at {_worst(silent)}",
            "These layers cannot learn: something after them lets no gradient pass (dead ReLUs, "
            "a saturated activation, a branch that the loss does not see).",
        )
    if max(norms) > EXPLODING:
        return Check(
            name,
            "look",
            measured,
            "Exploding: smaller inputs, or clipnorm=1.0 in the optimizer, tame the first steps.",
        )
    # A LayerScale starts near 0, so its own relative gradient is huge.
    compared = [row for row in learning if row.relative and row.kind != "LayerScale"]
    largest = max((row.relative or 0.0 for row in compared), default=0.0)
    limit = max(VANISHING * max(largest, _norm(dy)), NO_GRADIENT)
    faint = [row.name for row in compared if (row.relative or 0.0) < limit]
    if not faint:
        return Check(name, "ok", measured, "A gradient reaches every layer.")
    measured += f"; faint at {_span(faint)}"
    if any(row.kind == "LayerScale" for row in learning) and faint[0] != compared[0].name:
        return Check(
            name,
            "ok",
            measured,
            "A LayerScale starts near 0, so at first hardly any gradient enters its block: "
            "this is intended, and a few steps change it. The gradient gets past the blocks.",
        )
    return Check(
        name,
        "look",
        measured,
        "Vanishing: hardly anything of the gradient that the loss begins with is left for the "
        "weights of these layers. A residual Add, BatchNormalization, he_normal weights behind "
        "ReLUs, or ReLU in place of sigmoid or tanh help.",
    )


def check_steps(rows: list[LayerHealth], optimizer_config: dict[str, Any]) -> Check:
    """Check whether the optimizer's first step suits the weights."""
    name = "step / weights"
    moved = [(row.name, row.step) for row in rows if row.step is not None and row.gradient]
    who = optimizer_text(optimizer_config)
    if not moved:
        return Check(name, "skipped", "no weights move", "Nothing learns, or all weights are 0.")
    low, high = (f(step for _, step in moved) for f in (min, max))
    measured = f"{low:.1e} … {high:.1e} in the first step of {who}"
    if not math.isfinite(high):
        return Check(name, "problem", measured, "The first step is not finite.")
    if high > LARGE_STEP:
        names = _worst([n for n, step in moved if step > LARGE_STEP])
        return Check(
            name,
            "look",
            measured,
            f"The first step nearly replaces the weights of {names}: a smaller learning rate "
            "keeps what they know.",
        )
    if low < SMALL_STEP:
        names = _worst([n for n, step in moved if step < SMALL_STEP])
        return Check(
            name,
            "look",
            measured,
            f"The weights of {names} hardly move: a larger learning rate, or look at the "
            "gradients first.",
        )
    return Check(name, "ok", measured, "The steps are neither too large nor too small.")


def optimizer_text(config: dict[str, Any]) -> str:
    """Return the optimizer as a constructor call."""
    return f"{config['class_name']}(learning_rate={config['config']['learning_rate']:g})"
