"""Checks whether a network can learn, before a long training run, and gives advice in a table.

Practitioners do these checks by hand (Karpathy, "A Recipe for Training Neural Networks", 2019;
Stanford's CS231n notes, "Neural Networks Part 3"). Their limits are not laws: healthy networks are
usually an order of magnitude or more away from them.

| check | worth a look when | why |
|---|---|---|
| inputs | beyond 30, or within 0.05 of zero, at the first layer with weights | initializers assume inputs of about unit variance (Glorot and Bengio 2010; He et al. 2015) |
| output and loss | softmax of one unit; a softmax with a loss for independent units, or a sigmoid with a loss for one choice | the loss then means something else than intended, or nothing |
| targets | one-hot rows that do not sum to 1 | cross-entropy compares distributions |
| loss before training | above 1.5 times that of guessing, or below half of it | equal scores for all classes cost log(classes) |
| a tiny batch | its loss falls by less than 90 % in the given steps; a problem if by less than half | a network that can't learn 8 examples by heart has a bug (Karpathy) |
| dead ReLUs | more than half of a layer's units are 0 on the whole batch | no gradient passes a unit that is always 0 (CS231n) |
| activations | a standard deviation below 1e-4 or above 1e3 | signals fade or grow from layer to layer (He et al. 2015; Mishkin and Matas 2016) |
| gradients | a layer's, relative to its weights, below 1e-5 of the largest, or of the gradient that the loss begins with; norms above 1e3 | vanishing and exploding gradients (Glorot and Bengio 2010; Pascanu et al. 2013) |
| step / weights | outside 1e-5 … 0.3 | "somewhere around 1e-3" is healthy (CS231n); an optimizer's first step may be larger |

Everything is measured in training mode (BatchNormalization with the batch's statistics), but
without Dropout and similar layers, on copies: the model, its weights and its optimizer do not
change.
"""  # noqa: E501 - a table

import copy
import itertools
import math
import textwrap
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn import losses, optimizers, shapes
from minicnn._support import progress
from minicnn._support.settings import is_ours
from minicnn.callbacks.bars import Closing
from minicnn.explain import show
from minicnn.explain.layer_health import (
    Check,
    LayerHealth,
    calm_copy,
    check_activations,
    check_dead,
    check_gradients,
    check_steps,
    layer_rows,
    optimizer_text,
    with_gradients,
)
from minicnn.layers import BatchNormalization
from minicnn.models import Model, Tape
from minicnn.training import LossOfPass
from minicnn.training.batches import as_arrays, is_arrays, make_batches, take

Array = np.ndarray

LARGE_INPUT, SMALL_INPUT = 30.0, 0.05
HIGH_LOSS, LOW_LOSS = 1.5, 0.5  # times the loss of guessing
LEARNED, SLOW = 0.1, 0.5  # the share of a tiny batch's loss that may remain
_SIGNS = {"ok": "✓", "look": "!", "problem": "✗", "skipped": "–"}
_WIDTH = 100


class Health:
    """The report: `checks`, or `report["dead ReLUs"]` alone, and `layers`; it prints tables.

    `passed` means that no check is a "problem".
    """

    def __init__(self, title: str, checks: list[Check], layers: list[LayerHealth]) -> None:
        self.title, self.checks, self.layers = title, checks, layers

    @property
    def passed(self) -> bool:
        return not any(check.verdict == "problem" for check in self.checks)

    def __getitem__(self, name: str) -> Check:
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(f"No check {name!r}: {[check.name for check in self.checks]}.")

    @property
    def verdict(self) -> str:
        """Return a sentence that sums up the checks."""
        counts = {
            kind: sum(check.verdict == kind for check in self.checks)
            for kind in ("problem", "look")
        }
        if not any(counts.values()):
            return "Healthy: nothing was found that would keep it from learning."
        said = []
        if counts["problem"]:
            said.append(f"{show.count(counts['problem'], 'problem')} to solve first (✗)")
        if counts["look"]:
            said.append(f"{show.count(counts['look'], 'thing')} to look at (!)")
        return " and ".join(said) + "."

    _HEADER = (
        "layer", "output", "mean", "std", "dead ReLUs", "gradient norm", "gradient / weights",
        "step / weights",
    )  # fmt: skip

    def _layer_cells(self) -> list[list[str]]:
        def cell(value: float | None, form: str = ".2g") -> str:
            return "" if value is None else format(value, form)

        return [
            [
                row.name,
                "×".join(map(str, row.output_shape[1:])) or "1",
                show.number(row.mean),
                show.number(row.std),
                cell(row.dead, ".0%"),
                cell(row.gradient),
                cell(row.relative),
                cell(row.step),
            ]
            for row in self.layers
        ]

    def __str__(self) -> str:
        width = max(len(check.name) for check in self.checks)
        lines = [self.title, ""]
        for check in self.checks:
            lines.append(f"  {_SIGNS[check.verdict]} {check.name:{width}}  {check.measured}")
            lines += textwrap.wrap(
                check.sentence,
                _WIDTH,
                initial_indent=" " * (width + 6),
                subsequent_indent=" " * (width + 6),
            )
        lines += ["", self.verdict]
        if self.layers:
            lines += ["", *show.columns([list(self._HEADER), *self._layer_cells()], 2, "  ")]
        return show.joined(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        checks = show.html_table(
            ("", "check", "measured", "advice"),
            [(_SIGNS[c.verdict], c.name, c.measured, c.sentence) for c in self.checks],
            left=4,
        )
        parts = [checks, show.html_text(self.verdict)]
        if self.layers:
            parts.append(show.html_table(self._HEADER, self._layer_cells(), left=2))
        return show.html_block(self.title, parts)


def health(
    model: Model,
    x: Any,
    y: Any = None,
    loss: Any = None,
    optimizer: Any = None,
    *,
    examples: int = 32,
    tiny: int = 8,
    steps: int = 100,
) -> Health:
    """Check the health of training; see the table in the module's docstring.

        print(minicnn.explain.health(model, x, y))

    Args:
        x, y: data as `fit` takes them. The check uses `examples` examples spread evenly over
            arrays (data are often sorted by class), or the first batch of a data set.
        loss, optimizer: replace those that the model was compiled with.
        tiny, steps: how many examples the model should learn by heart, and in how many steps at
            most. Steps take as long as in `fit`, so use fewer for a large network.

    Raises:
        TypeError: `model` is not a model.
        ValueError: there is no loss, the data do not fit, or the loss refuses the targets.
    """
    if not isinstance(model, Model):
        raise TypeError(f"health expects a model. Received {type(model).__name__}.")
    who = f"health of {model.label}"
    for argument, number in (("examples", examples), ("tiny", tiny), ("steps", steps)):
        shapes.positive_int(number, argument, who)
    loss = _compiled_loss(model, loss, who)
    optimizer_config = _optimizer_config(model, optimizer)
    x, y = _some(x, y, examples, who)
    body = calm_copy(model, x)
    count = len(_arrays(x)[0])
    title = (
        f"Training health of {model.label}: {show.count(count, 'example')}, "
        f"{type(loss).__name__}, {optimizer_text(optimizer_config)}"
    )
    stopped = [*_check_weights(body), *_check_finite(x)]
    if any(check.verdict == "problem" for check in stopped):
        return Health(title, stopped, [])
    y_pred, tape = body.forward(x, training=True)
    wrong = _pass_loss(body, loss, y, y_pred, tape)  # raises an error if they do not fit
    y = wrong.targets
    uses = list(_uses(tape))
    rows = layer_rows(uses)
    inputs = _check_inputs(uses)
    broken = _check_numbers(uses)
    if broken.verdict == "problem":
        return Health(title, [*stopped, inputs, broken], rows)
    answers = [*_check_output(body, loss, y_pred), *_check_targets(loss, wrong.targets, y_pred)]
    guess = _guess(body, loss, y, y_pred, wrong)
    initial = _check_initial_loss(wrong.value, guess, y_pred, loss, _steps_made(model))
    dy = wrong.loss.backward(wrong.cache)
    rows = with_gradients(rows, uses, body, tape, wrong, dy, optimizer_config)
    checks = [
        *stopped,
        inputs,
        *answers,
        initial,
        check_dead(rows, count),
        check_activations(rows),
        check_gradients(rows, dy),
        check_steps(rows, optimizer_config),
        _check_tiny(
            model, loss, optimizer_config, x, y, guess, y_pred.shape[1:], min(tiny, count), steps
        ),
    ]
    return Health(title, checks, rows)


# -- the arguments --------------------------------------------------------------------------------


def _compiled_loss(model: Model, loss: Any, who: str) -> losses.Loss:
    if loss is None:
        loss = getattr(model, "loss", None)
    if model.built and len(model.output_names) > 1:
        raise ValueError(
            f"{who} expects a model with one output. Received one with {len(model.output_names)}."
        )
    if loss is None:
        raise ValueError(f"{who}: compile the model with a loss first, or pass loss=….")
    found = copy.copy(losses.get(loss))
    found.reduction = "sum_over_batch_size"  # the examples' mean, to compare with guessing
    return found


def _optimizer_config(model: Model, optimizer: Any) -> dict[str, Any]:
    """Return the config from which to make new optimizers with the same settings."""
    if optimizer is None:
        optimizer = getattr(model, "optimizer", None) or "adam"
    found = optimizers.get(optimizer)
    return {"class_name": type(found).__name__, "config": found.get_config()}


def _steps_made(model: Model) -> int:
    return int(getattr(getattr(model, "optimizer", None), "iterations", 0))


def _arrays(x: Any) -> list[Array]:
    if isinstance(x, dict):
        return list(x.values())
    return list(x) if isinstance(x, (list, tuple)) else [x]


def _some(x: Any, y: Any, examples: int, who: str) -> tuple[Any, Any]:
    """Return examples spread over the arrays, or a data set's first batch."""
    if is_arrays(x):
        x, y = as_arrays(x, "x"), as_arrays(y, "y")
        make_batches(x, y)  # raises an error if their lengths differ
        count = len(_arrays(x)[0])
        chosen = np.unique(np.linspace(0, count - 1, min(examples, count)).astype(int))
        x, y = take(x, chosen), take(y, chosen)
    else:
        batch = next(itertools.islice(make_batches(x, y).epoch(), 1), None)
        if batch is None:
            raise ValueError(f"{who}: the data have no batches.")
        x, y = batch.x, batch.y
    if y is None:
        raise ValueError(f"{who} needs targets y.")
    return x, np.asarray(y)


def _uses(tape: Tape, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the names and entries of all layers, including those of nested models."""
    for entry in tape.entries:
        name = prefix + entry.layer.name
        if isinstance(entry.cache, Tape):
            yield from _uses(entry.cache, f"{name}/")
        else:
            yield name, entry


# -- numbers --------------------------------------------------------------------------------------


def _check_weights(model: Model) -> list[Check]:
    bad = [v.path for v in model.weights if not np.isfinite(v.value).all()]
    if not bad:
        return [Check("weights", "ok", "finite", "No NaN or infinity among the weights.")]
    names = ", ".join(bad[:3]) + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")
    sentence = (
        "Training has diverged, or a file is damaged: make a new model, and train it with a "
        "smaller learning rate."
    )
    return [Check("weights", "problem", f"NaN or infinity in {names}", sentence)]


def _check_finite(x: Any) -> list[Check]:
    if all(np.isfinite(array).all() for array in _arrays(x)):
        return []
    return [
        Check(
            "inputs",
            "problem",
            "NaN or infinity",
            "No layer can work with NaN: look at how the inputs were read or divided.",
        )
    ]


def _check_numbers(uses: list[tuple[str, Any]]) -> Check:
    """Find the first layer whose output is not finite."""
    for name, entry in uses:
        outputs = entry.y if isinstance(entry.y, list) else [entry.y]
        if not all(np.isfinite(y).all() for y in outputs):
            return Check(
                "activations",
                "problem",
                f"NaN or infinity after {name}",
                "Weights and inputs are finite, so numbers grew too large on the way: smaller "
                "inputs or initial weights, or BatchNormalization, help.",
            )
    return Check("activations", "ok", "finite", "")


def _check_inputs(uses: list[tuple[str, Any]]) -> Check:
    """Check the input of the first layer with weights."""
    weighted = [(name, entry) for name, entry in uses if entry.layer.weights]
    if not weighted:
        return Check("inputs", "skipped", "no layer has weights", "There is nothing to learn.")
    name, entry = weighted[0]
    arrays = [np.asarray(a) for a in (entry.x if isinstance(entry.x, list) else [entry.x])]
    low, high = min(float(a.min()) for a in arrays), max(float(a.max()) for a in arrays)
    std = max(float(a.std(dtype=np.float64)) for a in arrays)
    measured = (
        f"{show.number(low)} … {show.number(high)}, std {show.number(std)}, where {name} takes them"
    )
    largest = max(abs(low), abs(high))
    if std == 0:
        return Check(
            "inputs", "problem", measured, "All inputs are the same number: nothing to learn from."
        )
    if isinstance(entry.layer, BatchNormalization):
        return Check("inputs", "ok", measured, "BatchNormalization scales them to unit variance.")
    if largest > LARGE_INPUT:
        pixels = low >= 0 and 100 < high <= 255
        what = "These look like pixels from 0 to 255" if pixels else "These are large"
        return Check(
            "inputs",
            "look",
            measured,
            f"{what}; initial weights are made for inputs of about unit variance: put "
            f"{'Rescaling(1/255)' if pixels else 'a Rescaling or BatchNormalization'} first.",
        )
    if largest < SMALL_INPUT:
        return Check(
            "inputs",
            "look",
            measured,
            "These are tiny; were pixels divided by 255 twice, once in the data and once in the "
            "model?",
        )
    return Check("inputs", "ok", measured, "Initial weights are made for this range.")


# -- the loss before training ---------------------------------------------------------------------


def _check_output(model: Model, loss: losses.Loss, y_pred: Array) -> list[Check]:
    """Check whether the last layer and the loss agree on what the numbers mean."""
    name = "output and loss"
    softmax = loss.activation == "softmax"
    ends = bool(loss.activation) and model.ends_in(loss.activation)
    inside = bool(y_pred.min() >= 0 and y_pred.max() <= 1)
    if softmax:
        inside = inside and np.allclose(y_pred.sum(axis=-1), 1, atol=1e-3)
    measured = f"{show.number(y_pred.min())} … {show.number(y_pred.max())}"
    if not loss.activation:
        ours = is_ours(type(loss))
        said = "Any number may be meant." if ours else "This is a loss of your own."
        return [Check(name, "skipped", measured, loss.misfit(None, y_pred) or said)]
    last, units = model.last_activation(), y_pred.shape[-1]
    misfit = loss.misfit(last, y_pred)
    if misfit and (units == 1 or last in ("softmax", "sigmoid")):
        measured = f"{show.count(units, 'unit')}{'' if last == 'linear' else f' of {last}'}"
        return [Check(name, "problem", measured, misfit[0].upper() + misfit[1:])]
    for layer in model.constant_softmaxes():
        sentence = "It is 1 whatever the weights and inputs, and no gradient passes it."
        return [Check(name, "problem", f"softmax over the one unit of {layer}", sentence)]
    if not loss.from_logits and not ends and not inside:
        return [
            Check(
                name,
                "problem",
                f"{measured}, treated as probabilities",
                f"The last layer gives scores, not probabilities: use {type(loss).__name__}"
                f'(from_logits=True), or activation="{loss.activation}" in the last layer.',
            )
        ]
    if loss.from_logits and ends:
        return [
            Check(
                name,
                "look",
                f"from_logits=True after a {loss.activation}",
                f"The loss takes the input of the {loss.activation}, as in Keras, so the numbers "
                "are right; but drop one or the other.",
            )
        ]
    if loss.from_logits and inside and softmax:
        return [
            Check(
                name,
                "problem",
                f"{measured}, treated as scores",
                "These are already probabilities, and from_logits=True would apply softmax twice: "
                "leave it out.",
            )
        ]
    kind = "scores" if loss.from_logits else "probabilities"
    return [Check(name, "ok", f"{kind}, {measured}", "The loss expects exactly these.")]


def _check_targets(loss: losses.Loss, y: Array, y_pred: Array) -> list[Check]:
    """Check for targets that are probably a mistake."""
    found = loss.doubts(y, y_pred).get("targets")
    if found is None:
        return []
    sums = y.sum(axis=-1)
    measured = f"sums from {show.number(sums.min())} to {show.number(sums.max())}"
    return [Check("targets", "problem", measured, found[0].upper() + found[1:])]


def _pass_loss(model: Model, loss: losses.Loss, y: Any, y_pred: Any, tape: Tape) -> LossOfPass:
    """Return the loss as training computes it; `_check_output` says if it misfits the model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.loss_of_pass(y, y_pred, tape, loss)


def _guess(model: Model, loss: losses.Loss, y: Array, y_pred: Array, wrong: LossOfPass) -> float:
    """Return the loss of giving each class the same probability; NaN if that is unknown."""
    if not loss.activation:
        return math.nan
    one_of_many = y_pred.shape[-1] > 1 and (
        loss.activation == "softmax" or model.ends_in("softmax")
    )
    share = 1 / y_pred.shape[-1] if one_of_many else 0.5
    guess = np.full(wrong.cache["y_pred"].shape, share, np.float64)
    return float(loss.forward(y, guess, from_logits=False)[0])


def _check_initial_loss(
    value: float, guess: float, y_pred: Array, loss: losses.Loss, steps_made: int
) -> Check:
    name = "initial loss"
    if math.isnan(guess):
        return Check(name, "skipped", show.number(value), "The loss of guessing is unknown here.")
    formula = "log 2" if loss.activation == "sigmoid" else f"log {y_pred.shape[-1]}"
    same = math.isclose(guess, math.log(float(formula.split()[1])), rel_tol=1e-4)
    measured = f"{value:.3f}; guessing costs {guess:.3f}{f' = {formula}' if same else ''}"
    if not math.isfinite(value):
        return Check(name, "problem", measured, "The loss is not finite before any step.")
    if steps_made and value < HIGH_LOSS * guess:
        return Check(
            name, "ok", measured, f"The model has been trained for {steps_made:,} steps already."
        )
    if value > HIGH_LOSS * guess:
        return Check(
            name,
            "look",
            measured,
            "The model is sure of wrong answers before it has learned anything: inputs or initial "
            "weights are too large, and the first epochs will be spent on unlearning.",
        )
    if value < LOW_LOSS * guess:
        return Check(
            name,
            "look",
            measured,
            "The model is better than guessing before any training: does it have trained weights, "
            "or do the inputs give the answer away?",
        )
    return Check(name, "ok", measured, "The network starts as it should: it is sure of nothing.")


# -- a tiny batch, learned by heart ---------------------------------------------------------------


class _Watch(Closing):
    """Keep the losses, stop once `goal` is reached, and show progress if it takes long."""

    def __init__(self, goal: float, steps: int, title: str) -> None:
        self.goal, self.steps, self.title = goal, steps, title
        self.losses: list[float] = []
        self.accuracy = math.nan
        self._started = time.monotonic()
        self._bar: progress.Bar | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.losses.append(float((logs or {})["loss"]))
        if self.losses[-1] <= self.goal or not math.isfinite(self.losses[-1]):
            self.model.stop_training = True
        long = time.monotonic() - self._started > 2
        if self._bar is None and long:
            self._bar = progress.Bar().open(self.title, self.steps)
        if self._bar is not None:
            self._bar.update(epoch + 1)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _learn(
    model: Model,
    loss: losses.Loss,
    optimizer_config: dict[str, Any],
    x: Any,
    y: Array,
    goal: float,
    steps: int,
) -> list[float]:
    clone = calm_copy(model, x)
    clone.compile(optimizers.get(optimizer_config), loss)
    watch = _Watch(goal, steps, f"Learning {len(y)} examples by heart")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        clone.fit(
            x, y, batch_size=len(y), epochs=steps, shuffle=False, verbose=0, callbacks=[watch]
        )
    return watch.losses


def _least_loss(loss: losses.Loss, y: Array, y_pred_shape: tuple[int, ...]) -> float:
    """Return the loss of perfect predictions, which is 0 except with soft or smoothed targets."""
    _, cache = loss.forward(y, np.full(y_pred_shape, 0.5, np.float64), from_logits=False)
    target, smoothing = cache["y_true"], loss.label_smoothing
    share = 1 / target.shape[-1] if loss.activation == "softmax" else 0.5
    target = target * (1 - smoothing) + smoothing * share
    with np.errstate(invalid="ignore"):  # targets may all be 0
        return float(loss.forward(y, target.astype(np.float64), from_logits=False)[0])


_TRIED = {"class_name": "Adam", "config": {"learning_rate": 0.001}}


def _check_tiny(
    model: Model,
    loss: losses.Loss,
    optimizer_config: dict[str, Any],
    x: Any,
    y: Array,
    guess: float,
    output_shape: tuple[int, ...],
    tiny: int,
    steps: int,
) -> Check:
    name = "tiny batch"
    if not model.trainable_variables_by_name() and model.built:
        return Check(name, "skipped", "nothing learns", "Every layer with weights is frozen.")
    chosen = np.unique(np.linspace(0, len(y) - 1, tiny).astype(int))
    x, y = take(x, chosen), y[chosen]
    if math.isnan(guess):
        start = _learn(model, loss, optimizer_config, x, y, -math.inf, 1)[0]
        least = 0.0
    else:
        start, least = guess, _least_loss(loss, y, (len(y), *output_shape))
    goal = least + LEARNED * (start - least)
    found = _learn(model, loss, optimizer_config, x, y, goal, steps)
    who, many = optimizer_text(optimizer_config), show.count(len(y), "example")
    measured = f"{many}: loss {found[0]:.3f} → {found[-1]:.3f} in {show.count(len(found), 'step')}"
    if found[-1] <= goal:
        return Check(
            name, "ok", measured, f"{who} learns them by heart, so gradients and labels fit."
        )
    if not math.isfinite(found[-1]):
        return Check(
            name,
            "problem",
            f"{many}: loss NaN after {show.count(len(found), 'step')} of {who}",
            "Training diverges: use a smaller learning rate.",
        )
    if optimizer_config["class_name"] != "Adam" or not math.isclose(
        optimizer_config["config"]["learning_rate"], 0.001
    ):
        other = _learn(model, loss, _TRIED, x, y, goal, steps)
        if other[-1] <= goal:
            return Check(
                name,
                "look",
                measured,
                f"{who} does not learn them in {steps} steps, but Adam(learning_rate=0.001) does "
                f"in {len(other)}: the learning rate is too small or too large.",
            )
    if found[-1] <= least + SLOW * (start - least):
        return Check(
            name,
            "look",
            measured,
            f"{who} learns them, but slowly: more steps, a larger learning rate or more units "
            "will do.",
        )
    return Check(
        name,
        "problem",
        measured,
        "A network that cannot learn a few examples by heart will not learn many: look at the "
        "checks above, at whether the labels match the inputs, and whether the steps are enough.",
    )
