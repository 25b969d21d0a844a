"""Explains the step of one weight: how each example pushes it, and the optimizer's formula.

gradient = Σ over the examples of their shares          the terms of `explain_gradient`
result   = the optimizer's formula applied to it        in float64
value    = the weight after the optimizer's own step    difference = value - result: rounding

A regularizer adds to the gradient, clipping shortens it, weight decay pulls at the weight, and a
constraint comes last: each is its own step.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minicnn import optimizers
from minicnn._support.variable import Variable
from minicnn.explain import show
from minicnn.explain.arithmetic import trouble
from minicnn.explain.explanation import Explanation, Step, Terms, UnknownError, exact_sum
from minicnn.explain.gradients import explain_gradient
from minicnn.explain.trace_entry import TraceEntry
from minicnn.explain.update_formulas import Given
from minicnn.explain.whole_formulas import FORMULAS
from minicnn.layers.penalties import with_penalties
from minicnn.models import Model
from minicnn.optimizers import NextStep, Optimizer

Array = np.ndarray

_MOST_EXAMPLES = 12  # printed; the others as one line
_ROUNDINGS = 16  # in a step, counted generously


@dataclass(eq=False)
class Update:
    """Why one weight changes as it does in the next step: `print` it, or read its fields.

    `shares` has a row for each example (`example`, `count` of terms, `share`), the largest first;
    `share` is the example's part of the gradient, and the step goes against it. `steps` are the
    numbers from the gradient to the update.
    """

    name: str  # the layer's, with the nested models around it
    layer: Any
    weight: str
    at: tuple[int, ...]
    optimizer: Optimizer
    step: int  # which step of the optimizer this is, from 1
    formula: str
    terms: Terms  # of all examples; see `make_gradient_terms`
    gradient: float  # of the loss, as backward computed it
    before: float
    value: float
    steps: list[Step] = field(default_factory=list)
    result: float = math.nan
    notes: list[str] = field(default_factory=list)
    after: float = math.nan  # the value, after the weight's constraint
    magnitude: float = 0.0  # of the numbers added up
    epsilon: float = 2.0**-23

    @property
    def shares(self) -> Any:
        """Return each example's part of the gradient, the largest first, as a record array."""
        examples = np.unique(self.terms.example)
        kinds = [("example", np.intp), ("count", np.intp), ("share", np.float64)]
        found = np.recarray(len(examples), dtype=kinds)
        for row, example in zip(found, examples, strict=True):
            products = self.terms.product[self.terms.example == example]
            row.example, row.count = example, len(products)
            row.share = exact_sum(products.tolist())
        return found[np.argsort(-np.abs(found.share), kind="stable")]

    @property
    def total(self) -> float:
        """The sum of all terms of the gradient, in float64, rounded once."""
        return exact_sum(self.terms.product.tolist())

    @property
    def change(self) -> float:
        """Return what the step adds to the weight."""
        return self.value - self.before

    @property
    def difference(self) -> float:
        """The optimizer's weight minus `result`: the effect of rounding, and nothing else."""
        return 0.0 if self.value == self.result else self.value - self.result

    @property
    def tolerance(self) -> float:
        """The largest difference that rounding can make."""
        return _ROUNDINGS * self.epsilon * (self.magnitude + abs(self.before) + abs(self.value))

    @property
    def title(self) -> str:
        kind = type(self.layer).__name__
        where = f"{self.weight}{show.place(self.at)}"
        return f"{self.name} ({kind}), {where} in step {self.step} of {self._who}"

    @property
    def _who(self) -> str:
        return type(self.optimizer).__name__

    # -- showing -------------------------------------------------------------------------------

    def __str__(self) -> str:
        return self.to_string()

    __repr__ = __str__

    def to_string(self, exact: bool = False, examples: int | None = _MOST_EXAMPLES) -> str:
        """Return the update as text: `exact` shows all digits, `examples` limits the rows."""
        header, rows, rest = self.rows(exact, examples)
        lines = [self.title, "", f"    {self.formula}", "", *show.columns([header, *rows])]
        lines += [f"    {rest}"] if rest else []
        lines += ["", *show.columns(self._sums(exact), left=2), f"    {self.verdict(exact)}"]
        return show.joined([*lines, *(f"    {note}" for note in self.notes)])

    def rows(
        self, exact: bool = False, most: int | None = _MOST_EXAMPLES
    ) -> tuple[list[str], list[list[str]], str]:
        """Return the examples as a table: header, rows, and a sentence about the others."""
        shares = self.shares
        rows = [
            [
                f"example {one.example}",
                f"{one.count:,}",
                show.number(one.share, exact),
                "up" if one.share < 0 else "down" if one.share > 0 else "",
            ]
            for one in shares[:most]
        ]
        others, rest = shares[len(rows) :], ""
        if len(others):
            together = show.number(exact_sum(others.share.tolist()), exact)
            rest = f"… and {show.count(len(others), 'more example')}, together {together}"
        return ["from", "terms", "share of dw", "pushes"], rows, rest

    def _sums(self, exact: bool) -> list[list[str]]:
        number = show.count(len(self.shares), "example")
        rows = [
            [f"Σ of {number}", "", show.number(self.total, exact)],
            ["backward said", "", show.number(self.gradient, exact)],
        ]
        for name, formula, value, _ in self.steps:
            rows.append([name, f"= {formula}" if formula else "", show.number(value, exact)])
        rows.append(["w before", "", show.number(self.before, exact)])
        rows.append(["w after", "= before + update", show.number(self.result, exact)])
        rows.append([f"{self._who} said", "", show.number(self.value, exact)])
        if self.after != self.value:
            rows.append(["w constrained", "", show.number(self.after, exact)])
        return rows

    def verdict(self, exact: bool = False) -> str:
        """Return the difference in words: rounding, or more than that."""
        return show.verdict(self.difference, self.tolerance, exact, "more than rounding")

    def _repr_html_(self) -> str:
        header, rows, rest = self.rows()
        parts = [show.html_formula(self.formula), show.html_table(header, rows)]
        parts += [show.html_text(rest)] if rest else []
        parts.append(show.html_table([], self._sums(False), left=2))
        parts += [show.html_text(text) for text in [self.verdict(), *self.notes]]
        return show.html_block(self.title, parts)


def explain_update(
    model: Model,
    grads: dict[str, Array],
    uses: Sequence[TraceEntry],
    weight: str,
    at: Any,
    optimizer: Any = None,
) -> Update:
    """Explain what the next step does to one weight of a layer; `uses` are all its uses."""
    layer = uses[0].layer
    if weight not in layer.params:
        known = ", ".join(layer.params) or "none"
        raise ValueError(f"{layer.label} has the weights {known}. Received {weight!r}.")
    chosen = _optimizer(model, optimizer)
    parts = [explain_gradient(entry, weight, at) for entry in uses]
    variables = model.trainable_variables_by_name()
    if variables.keys() != grads.keys():
        raise ValueError(
            f"Layers of {model.label} were frozen or unfrozen since this trace: trace it again."
        )
    place, variable = parts[0].at, next(v for v in layer.weights_list if v.name == weight)
    key = next(key for key, found in variables.items() if found is variable)
    taken = chosen.preview(with_penalties(grads, variables), variables, key)
    after = taken.value if variable.constraint is None else variable.constraint(taken.value)
    made = Update(
        name=uses[0].name,
        layer=layer,
        weight=weight,
        at=place,
        optimizer=chosen,
        step=chosen.iterations + 1,
        formula="",
        terms=_joined(parts),
        gradient=float(grads[key][place]),
        before=float(variable.numpy()[place]),
        value=float(taken.value[place]),
        after=float(np.asarray(after)[place]),
        epsilon=float(np.finfo(variable.dtype).eps),
    )
    made.notes += trouble(layer, made.terms)
    if len(uses) > 1:
        made.notes.append(f"The layer is used {len(uses)} times: the terms are those of all uses.")
    _make(made, variable, grads[key], taken)
    return made


def _optimizer(model: Model, given: Any) -> Optimizer:
    """Return the optimizer that makes the step, or raise `ValueError` if it cannot be explained."""
    if given is None and not model.compiled:
        raise ValueError(
            f"{model.label} has no optimizer to make a step: compile it with one, or pass "
            'optimizer="adam", for example.'
        )
    found = model.optimizer if given is None else optimizers.get(given)
    who = type(found).__name__
    if type(found) not in FORMULAS:
        known = ", ".join(cls.__name__ for cls in FORMULAS)
        raise UnknownError(f"explain_update knows the steps of {known}. Received {who}.")
    if found.gradient_accumulation_steps:
        raise ValueError(
            "explain_update explains a step of one batch. Received "
            f"{who}(gradient_accumulation_steps={found.gradient_accumulation_steps})."
        )
    if found.use_ema and found.ema_overwrite_frequency:
        raise ValueError(
            "explain_update explains steps that averages do not replace. Received "
            f"{who}(ema_overwrite_frequency={found.ema_overwrite_frequency})."
        )
    if model.penalizes_outputs():
        raise ValueError(
            f"explain_update expects penalties on weights only. {model.label} has an "
            "activity_regularizer, which a trace's gradients leave out."
        )
    return found


def _joined(parts: Sequence[Explanation]) -> Terms:
    """Return the terms of all uses of the layer, the largest first."""
    terms: Any = np.concatenate([part.terms for part in parts]).view(np.recarray)
    return terms[np.argsort(-np.abs(terms.product), kind="stable")]


def _make(made: Update, variable: Variable, dw: Array, taken: NextStep) -> None:
    """Go from the gradient of the loss to the weight after the step, in float64."""
    g, w, size = made.gradient, made.before, 0.0
    if variable.regularizer is not None:
        dw = dw + variable.dpenalty()
        added = float(variable.dpenalty()[made.at])
        made.steps.append(Step("penalty", f"d {type(variable.regularizer).__name__} / dw", added))
        g += added
        made.steps.append(Step("g", "gradient + penalty", g))
    g = _clipped(made, g, dw, taken)
    if taken.decay:
        pull = -taken.decay * w
        name = f"-{show.number(taken.decay)}·{show.number(w)}, rate·weight_decay·w"
        made.steps.append(Step("decay", name, pull))
        w, size = w + pull, abs(pull)
    rate = made.optimizer.learning_rate
    whole = taken.gradient.astype(np.float64), variable.numpy() * (1.0 - taken.decay)
    given = Given(g, taken.slots, rate, made.step, made.at, w, *whole)
    found = FORMULAS[type(made.optimizer)](made.optimizer, given)
    made.formula = found.formula
    made.steps += found.steps
    made.notes += [found.note] if found.note else []
    made.result, made.magnitude = w + found.update, size + found.magnitude


def _clipped(made: Update, g: float, dw: Array, taken: NextStep) -> float:
    """Return the gradient after clipping, which is a step if the optimizer clips."""
    optimizer = made.optimizer
    if (edge := optimizer.clipvalue) is not None:
        g = min(max(g, -edge), edge)
        made.steps.append(Step("g clipped", f"g kept within ±{edge:g}", g))
        return g
    limits = {"clipnorm": optimizer.clipnorm, "global_clipnorm": optimizer.global_clipnorm}
    for name, limit in limits.items():
        if limit is None:
            continue
        norm = float(np.linalg.norm(dw.astype(np.float64)))
        left = float(np.linalg.norm(taken.gradient.astype(np.float64)))
        factor = left / norm if left < norm else 1.0
        g *= factor
        made.steps.append(Step("g clipped", f"g·{show.number(factor)}, {name}={limit:g}", g))
    return g
