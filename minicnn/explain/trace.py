"""A recorded pass to inspect: `trace = model.trace(x)`, or `model.trace(x, y=labels)`.

    trace.entries                                    every layer's x, y, cache, dx, dy, grads
    trace.explain("conv2d", at=(row, col, channel))  one output, term by term
    trace.explain_gradient("conv2d", "kernel", at=(i, j, c, o))
    trace.explain_update("conv2d", "kernel", at=(i, j, c, o))     what a step does to a weight
    trace.why("dense", at=(3,))                      down to the pixels, along the largest terms
    trace.receptive_field("conv2d_1", at=(row, col))

The trace keeps the arrays of the pass, but an explanation reads the present weights. If training
has changed them since, the explanation's `difference` shows it.
"""

import difflib
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.explain import field, path, show
from minicnn.explain.arithmetic import check_place, find_spot
from minicnn.explain.explanation import Explanation, UnknownError
from minicnn.explain.gradients import explain_gradient
from minicnn.explain.heatmap import Heatmap, make_heatmap
from minicnn.explain.restoring import restored
from minicnn.explain.trace_entry import Source, TraceEntry
from minicnn.explain.trace_losses import LossesOfTrace
from minicnn.explain.update import Update, explain_update
from minicnn.graph import BackwardStep, Tape, TapeEntry
from minicnn.layers import InputLayer, Layer
from minicnn.models import Model

Array = np.ndarray


class Trace(LossesOfTrace):
    """A pass through `model`, also backward if `y` is given.

    Attributes: `x`, `y` (the model's output), `entries` in the order of computation (with the
    layers of nested models), `loss` (a number, None without targets), `training`. The loss and the
    gradients do not include regularizers, whose gradients are in `trace["conv2d"].penalties`.

    Args:
        model: a `Model` or `Sequential`.
        x: a batch, as `predict` takes it.
        y: targets, as `fit` takes them; without them there is no backward pass. For several
            outputs a list, or a dict under their names; the gradients are those of the sum.
        loss: a loss to use instead of the compiled one: an object or a name; for several outputs
            as `compile` takes them.
        training: run in training mode, with the dropout masks of the next step; nothing changes.
        sample_weight: weights for each example's loss.

    Raises `ValueError` for inputs and targets that do not fit, and for targets without a loss.
    """

    def __init__(
        self,
        model: Model,
        x: Any,
        y: Any = None,
        loss: Any = None,
        training: bool = False,
        sample_weight: Any = None,
    ) -> None:
        if y is None and (loss is not None or sample_weight is not None):
            given = "loss" if loss is not None else "sample_weight"
            raise ValueError(f"{model.label}: trace takes {given} with targets y only.")
        self.model, self.training = model, bool(training)
        self.y, self._tape = _forward(model, x, self.training)
        self.x = _inputs(model, x)
        self.entries: list[TraceEntry] = []
        self._nested: dict[str, TraceEntry] = {}
        self._ends: dict[TraceEntry, list[Source]] = {}  # where a nested model's outputs come from
        self._of_tape: dict[int, TraceEntry] = {}
        where: dict[int, Source] = {id(tensor): i for i, tensor in enumerate(model.inputs)}
        self._outputs = self._read(model, self._tape, "", where)
        self._fields: dict[TraceEntry, field.Axes] = {}
        for entry in self.entries:
            self._fields[entry] = field.closed_form(entry, self._fields)
        self.found = []
        if y is not None:
            self.found = model.losses_of_pass(y, self.y, self._tape, loss, sample_weight)
            self.go_backward(*model.dy_of_pass(self.found, self.y))
        self.trouble = _find_trouble(self)
        if self.trouble:
            warnings.warn(self.trouble, stacklevel=3)

    def _read(
        self, model: Model, tape: Tape, prefix: str, where: dict[int, Source]
    ) -> list[Source]:
        """Make trace entries from a tape's; `where` says where each symbol's values come from."""
        uses: dict[Layer, int] = {}
        for item in tape.entries:
            layer, node = item.layer, item.node
            uses[layer] = uses.get(layer, 0) + 1
            name = prefix + layer.name + (f":{uses[layer]}" if uses[layer] > 1 else "")
            sources = [where[id(tensor)] for tensor in node.inputs]
            entry = TraceEntry(name, layer, item.x, item.y, item.cache, sources)
            self._of_tape[id(item)] = entry
            if isinstance(layer, Model):
                self._nested[name] = entry
                inner = {id(t): s for t, s in zip(layer.inputs, sources, strict=True)}
                ends = self._read(layer, item.cache, f"{name}/", inner)
                self._ends[entry] = ends
                where |= {id(t): s for t, s in zip(node.outputs, ends, strict=True)}
            else:
                self.entries.append(entry)
                where[id(node.outputs[0])] = entry
        return [where[id(tensor)] for tensor in model.outputs]

    def go_backward(self, dy: Any, at_logits: bool | list[bool] = False) -> None:
        """Fill in the entries' gradients, given that of the output (or of its activation's input).

        A trace with targets has gone backward from its loss; this starts elsewhere, such as at a
        class's score.
        """

        def visit(item: TapeEntry, step: BackwardStep) -> None:
            entry = self._of_tape[id(item)]
            entry.dy, entry.dx, entry.grads = step.dy, step.dx, step.grads
            entry.at_logits = step.at_logits

        self.dx, self.grads = self.model.backward(dy, self._tape, at_logits=at_logits, visit=visit)

    # -- finding -------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[TraceEntry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, name: Any) -> TraceEntry:
        """Return a layer's entry, given its name, also with models ("base/conv2d"), or itself.

        ":2" after a name means the layer's second use. Raises `ValueError` for an unknown name, or
        one of several layers.
        """
        if isinstance(name, TraceEntry) and name in self._of_tape.values():
            return name
        if isinstance(name, Layer):
            for entry in [*self.entries, *self._nested.values()]:
                if entry.layer is name:
                    return entry
            raise ValueError(f"{name.label} is not part of this pass of {self.model.label}.")
        known = {entry.name: entry for entry in self.entries} | self._nested
        if isinstance(name, str) and name in known:
            return known[name]
        alike = [full for full in known if full.rpartition("/")[2] == name]
        if len(alike) == 1:
            return known[alike[0]]
        raise ValueError(self._not_found(name, list(known), alike))

    def _not_found(self, name: Any, known: list[str], alike: list[str]) -> str:
        who = self.model.label
        if alike:
            return f"{who} has several layers named {name!r}: {', '.join(alike)}."
        if any(isinstance(x, InputLayer) and x.name == name for x in self.model.layers):
            return f"{name!r} is an input of {who}: it computes nothing. trace.x is what went in."
        close = difflib.get_close_matches(str(name), known, 1)
        hint = f'Did you mean "{close[0]}"? ' if close else ""
        return f"{who} has no layer {name!r}. {hint}It has {', '.join(known)}."

    def __contains__(self, name: Any) -> bool:
        return any(name in (entry.name, entry.layer, entry) for entry in self.entries)

    def _leaf(self, name: Any) -> TraceEntry:
        """Return the entry that computes, or, for a nested model, its output layer's entry."""
        entry = self[name]
        while entry in self._ends:
            ends = self._ends[entry]
            if len(ends) != 1 or not isinstance(ends[0], TraceEntry):
                names = [e.name for e in self.entries if e.name.startswith(f"{entry.name}/")]
                raise ValueError(
                    f"{entry.layer.label} has several outputs: ask for one of its layers, "
                    f"{', '.join(names)}."
                )
            entry = ends[0]
        return entry

    def output_entry(self) -> TraceEntry:
        """Return the entry whose output is the model's output, if there is only one."""
        end = self._outputs[0]
        if len(self._outputs) != 1 or not isinstance(end, TraceEntry):
            raise ValueError(f"{self.model.label} has no single layer that makes its output.")
        return end

    def consumers(self, entry: TraceEntry) -> list[tuple[TraceEntry, int]]:
        """Return the entries that take this entry's output, and which of their inputs it is."""
        return [
            (user, number)
            for user in self.entries
            for number, source in enumerate(user.sources)
            if source is entry
        ]

    # -- explaining ----------------------------------------------------------------------------

    def explain(self, layer: Any, at: Any, example: int = 0) -> Explanation:
        """Explain where one output comes from: `at` is (row, col, channel), or a unit's number."""
        return self._leaf(layer).explain(at, example)

    def explain_gradient(
        self, layer: Any, what: str = "kernel", at: Any = 0, example: int = 0, source: int = 0
    ) -> Explanation:
        """Explain where one entry of a gradient comes from, the largest term first.

        Args:
            layer: its name.
            what: a parameter, such as "kernel"; "dx", the gradient of the layer's input; "dy", that
                of its output; "dz", that of its sum before the activation.
            at: a place in the parameter; for dx, dy and dz in that example's input or output.
            example, source: for dx, dy and dz, the example; for dx, the index of the input.
        """
        self._need_gradients()
        entry = self._leaf(layer)
        if what != "dy" or entry.dy is None:
            return explain_gradient(entry, what, at, example, source)
        users = self._users(entry)
        if not users:
            return self._loss_gradient_of(entry, at, example)
        spot = find_spot(f"{entry.layer.label}'s dy", entry.dy, at, example, "entries")
        return path.gathered(entry, spot.at, spot.example, users)

    def explain_update(
        self, layer: Any, weight: str = "kernel", at: Any = 0, optimizer: Any = None
    ) -> Update:
        """Explain what the next step of training does to one weight, example by example.

            gradient = Σ over the examples of their shares, update = -rate·m / (√v + ε) (Adam)

        The step is the one that the model's optimizer would make now with this trace's gradients;
        nothing changes. So trace in training mode, before the step. A share above 0 pushes the
        weight down. The surprise: with BatchNormalization in training mode each example also acts
        through the others' shares, since all of them make the mean and the variance.

        Args:
            layer, weight, at: a place in a weight, as in `explain_gradient`.
            optimizer: one to use instead of the compiled one: an object, or a name for a new one.

        Raises `ValueError` for a trace without gradients, a frozen layer, a place outside the
        weight, and optimizers and penalties whose step is not a sum over the examples of one batch.
        """
        self._need_gradients()
        wanted = self._leaf(layer)
        uses = [e for e in self.entries if e.layer is wanted.layer and e.dy is not None]
        made = explain_update(self.model, self.grads, uses or [wanted], weight, at, optimizer)
        if self.model.differs_in_training() and not self.training:
            made.notes.append(
                "fit makes its steps in training mode: trace with training=True to see those."
            )
        return made

    def why(self, layer: Any, at: Any, example: int = 0) -> path.Path:
        """Return the path of the largest contributions, from a number down to a pixel."""
        return path.why(self._leaf(layer), at, example)

    def why_gradient(
        self, layer: Any, what: str = "kernel", at: Any = 0, example: int = 0, source: int = 0
    ) -> path.Path:
        """Return the path of the largest contributions to a gradient, printed from the loss down.

        The arguments are those of `explain_gradient`.
        """
        first = self.explain_gradient(layer, what, at, example, source)
        entry = self._leaf(layer)
        return path.why_gradient(entry, what, first, self._users, self._loss_gradient_of)

    def heatmap(
        self,
        method: str = "grad_cam",
        class_index: Any = None,
        layer: Any = None,
        example: int = 0,
        **options: Any,
    ) -> Heatmap:
        """Return a map of the parts of a photo that speak for a class; see `explain.heatmap`.

        Args:
            method: "grad_cam", "occlusion", "gradient_x_input" or "integrated_gradients".
            class_index: a number, or a name of the model's `metadata`; by default the class that
                is most likely. For an output without classes, a place in it.
            layer: for "grad_cam", the layer whose maps are weighted; by default the last with maps,
                or the sum of several if the network ends in several.
            example: which photo of the batch.
            options: `size`, `stride`, `fill` of "occlusion"; `steps`, `baseline` of
                "integrated_gradients".

        The photo passes through the model again, in inference mode. Raises `ValueError` for a
        model or an option that does not fit.
        """
        return make_heatmap(self, method, class_index, layer, example, options)

    def _users(self, entry: TraceEntry) -> list[tuple[TraceEntry, int]]:
        """Return the consumers that all of the entry's dy comes from; none if it is the loss's."""
        users, times = self.consumers(entry), self._outputs.count(entry)
        if self.found and times + bool(users) > 1:
            raise UnknownError(
                f"{entry.layer.label} is an output of {self.model.label} and other layers or "
                "outputs use it, too: its dy is a sum of gradients that is not explained."
            )
        return users

    def to_html(
        self,
        path: str | os.PathLike[str] | None = None,
        example: int | Sequence[int] = 0,
        **options: Any,
    ) -> Any:
        """Write an interactive page about one example, which works offline.

        For a list of examples, the page begins with the first, can switch to the others, and shows
        in which layers two of them differ.

        `options`: see `minicnn.explain.page.build` (`class_names`, `photo`, `language`, `data`;
        `against`, another model that the page shows beside this one). The page's loss is the
        cross-entropy of the trace's target, if the model has classes. Returns the path; without
        one, the page as a string that a notebook shows in its cell. Raises `ValueError` for models
        that do not fit into a page.
        """
        from minicnn.explain import page

        if isinstance(self.x, list):
            raise ValueError(f"{self.model.label} has several inputs; a page shows one image.")
        given = list(example) if isinstance(example, (Sequence, np.ndarray)) else [example]
        if not given:
            raise ValueError(f"{self.model.label}: a page shows at least one example. Received [].")
        place = (0,) * (self.x.ndim - 1)
        examples = [find_spot(self.model.label, self.x, place, k).example for k in given]
        if len(self.found) == 1 and page.kind_of(self.model, self.y):
            options.setdefault("y", self._loss_of(None).targets[examples[0]])
        built = page.build(self.model, self.x[examples], path, **options)
        return page.Page(built) if path is None else built

    # -- receptive fields ------------------------------------------------------------------------

    def receptive_field(self, layer: Any, at: Any = None) -> field.SeenPixels:
        """Return the pixels that a unit can depend on; `at` is (row, col), for any channel.

        This ignores that normalization in training mode depends on the whole batch.
        """
        entry = self._leaf(layer)
        who, units = entry.layer.label, entry.y.shape[1:]
        if at is None:
            at = tuple(size // 2 for size in units[:-1]) or (0,)
        if len(units) == 3 and np.size(at) != 3:
            place = check_place(who, units[:2], at, "output", ("rows", "columns"))
        else:
            place = check_place(who, units, at, "output")[: max(len(units) - 1, 1)]
        shape = (self.x[0] if isinstance(self.x, list) else self.x).shape
        if len(shape) != 4:
            raise ValueError(
                f"{self.model.label} does not take images, and receptive fields are of pixels. "
                f"Received x.shape={shape}."
            )
        size = (shape[1], shape[2])
        rows, cols = field.seen_by(entry, place, size)
        formula = self._fields[entry]
        return field.SeenPixels(entry.name, place, rows, cols, size, formula, formula is None)

    def perturb(self, layer: Any, at: Any, seed: int = 0, example: int = 0) -> "Moved":
        """Find out which rows and columns of the image change a unit, by changing them.

        Each row and each column that it can depend on is replaced by noise, one at a time, and all
        others together. Each needs a pass through the layers up to this one, in inference mode. A
        unit sees at least the pixels that change it; a ReLU that is off, or a pixel that is not the
        maximum of its pooling window, may hide others. All channels at the place count.
        """
        entry = self._leaf(layer)
        seen = self.receptive_field(layer, at)
        if isinstance(self.x, list):
            raise ValueError(f"{self.model.label} has several inputs; perturb changes one.")
        example = find_spot(entry.layer.label, self.x, (0, 0, 0), example).example
        x, rng = self.x[example, None], np.random.default_rng(seed)
        spread = float(np.std(x)) or 1.0
        unit: Any = (slice(None), *seen.at) if entry.y.ndim == 4 else slice(None)
        plain = field.recomputed(entry, x)[unit]
        # In Winograd's tiles the neighbours of a window change its rounding, which does not count.
        rounding = 256 * np.finfo(entry.y.dtype).eps * np.abs(entry.y).max(initial=0)

        def moves(axis: int, lines: list[int]) -> bool:
            changed = np.repeat(x, 2, axis=0)
            index = (slice(None),) * axis + (lines,)
            noise = rng.normal(float(np.mean(x)), 3 * spread, changed[index].shape)
            changed[index] = noise.astype(x.dtype)
            return bool(np.abs(field.recomputed(entry, changed)[unit] - plain).max() > rounding)

        moved: list[tuple[int, ...]] = []
        for axis, (first, last) in ((1, seen.rows), (2, seen.cols)):
            inside = list(range(first, last + 1))
            others = [line for line in range(x.shape[axis]) if line not in inside]
            alone = sorted(inside + others) if others and moves(axis, others) else inside
            moved.append(tuple(line for line in alone if moves(axis, [line])))
        return Moved(seen, moved[0], moved[1])

    # -- showing -------------------------------------------------------------------------------

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Return the trace as a table: header, and one row for each entry."""
        header = ["layer", "input", "output", "parameters", "= formula", "multiply-adds", "sees"]
        header += ["step", "smallest", "largest", "zeros"]
        if self.found:
            header += ["‖dy‖", "‖grads‖"]
        return header, [_row(self, entry) for entry in self.entries]

    @property
    def title(self) -> str:
        examples = len(self.x[0] if isinstance(self.x, list) else self.x)
        text = f"{self.model.label}: {show.count(examples, 'example')}"
        text += ", in training mode" if self.training else ""
        if self.loss is None:
            return text
        text += f", loss {show.number(self.loss)}"
        penalty = next(found.penalty for found in self.found if found)
        return f"{text} (and {show.number(penalty)} of regularizers)" if penalty else text

    def __str__(self) -> str:
        header, rows = self.rows()
        lines = [self.title, "", *show.columns([header, *rows], left=1)]
        return show.joined([*lines, *([f"    {self.trouble}"] if self.trouble else [])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        header, rows = self.rows()
        parts = [show.html_table(header, rows)]
        parts += [show.html_text(self.trouble)] if self.trouble else []
        return show.html_block(self.title, parts)


@dataclass(frozen=True, repr=False)
class Moved:
    """The result of changing pixels: the `rows` and `cols` that change the unit."""

    seen: field.SeenPixels
    rows: tuple[int, ...]
    cols: tuple[int, ...]

    def __str__(self) -> str:
        verdict = "as computed" if self.reaches_all else "all within what was computed"
        verdict = verdict if self.agrees else "which is more than was computed"
        rows, cols = (show.span(hits) if hits else "none" for hits in (self.rows, self.cols))
        moved = f"Changing pixels moved it from rows {rows}, columns {cols}: {verdict}."
        return f"{self.seen}\n{moved}"

    __repr__ = __str__

    @property
    def agrees(self) -> bool:
        """Return whether nothing outside the computed receptive field made a difference."""
        pairs = ((self.rows, self.seen.rows), (self.cols, self.seen.cols))
        return all(first <= i <= last for hits, (first, last) in pairs for i in hits)

    @property
    def reaches_all(self) -> bool:
        """Return whether the receptive field's outermost rows and columns made a difference."""
        pairs = ((self.rows, self.seen.rows), (self.cols, self.seen.cols))
        return all(hits and (hits[0], hits[-1]) == ends for hits, ends in pairs)


def _forward(model: Model, x: Any, training: bool) -> tuple[Any, Tape]:
    if not model.built:
        model.forward(x)  # makes the weights
    with restored(model):
        return model.forward(x, training)


def _inputs(model: Model, x: Any) -> Any:
    """Return the arrays for the model's inputs, in their dtypes."""
    values = list(model.input_values(x))
    return values[0] if len(values) == 1 else values


def _find_trouble(trace: Trace) -> str:
    """Return a sentence about where NaN or infinity first appeared; "" if there is none."""
    inputs = trace.x if isinstance(trace.x, list) else [trace.x]
    if not all(np.isfinite(x).all() for x in inputs):
        return f"{trace.model.label}: there is NaN or infinity in x already."
    for entry in trace.entries:
        for variable in entry.layer.weights:
            if not np.isfinite(variable.value).all():
                return (
                    f"{trace.model.label}: there is NaN or infinity among the weights "
                    f"{variable.path}; the numbers after it mean nothing."
                )
        if not np.isfinite(entry.y).all():
            return (
                f"{trace.model.label}: NaN or infinity first appears in the output of "
                f"{entry.name}, although its input is finite."
            )
    return ""


def _row(trace: Trace, entry: TraceEntry) -> list[str]:
    layer, y, axes = entry.layer, entry.y, trace._fields[entry]
    shape = [x.shape for x in entry.xs] if layer.takes_list else entry.xs[0].shape
    cost = layer.multiply_adds(shape)
    count = layer.count_params()
    sees = "all" if axes is None else f"{axes[0].most}×{axes[1].most}"
    if axes is not None and not all(axis.exact for axis in axes):
        sees = f"≤ {sees}"
    step = "" if axes is None else f"{axes[0].step}×{axes[1].step}"
    row = [
        f"{entry.name} ({type(layer).__name__})",
        entry.x_shape,
        entry.y_shape,
        f"{count:,}",
        layer.parameter_formula() if count else "",
        "?" if cost is None else f"{cost:,}",
        sees,
        step,
        show.number(y.min()) if y.size else "",
        show.number(y.max()) if y.size else "",
        f"{float((y == 0).mean()):.0%}" if y.size else "",
    ]
    if trace.found:
        row.append("" if entry.dy is None else show.number(np.linalg.norm(entry.dy)))
        sizes = [float(np.linalg.norm(g)) for g in entry.grads.values()]
        row.append(show.number(np.linalg.norm(sizes)) if sizes else "")
    return row
