"""Runs users' layers with Keras's `call`, records them on a tape, and tries out their shapes.

    class Affine(Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.norm = LayerNormalization()               # an inner layer, found by its attribute

        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="he_normal")

        def call(self, x, training=False):
            return self.norm(ops.matmul(x, self.w))

In a pass that will go backward, `call` gets tensors of a tape (`minicnn.ops.tape`), which records
each operation, and each inner layer, as a step; in any other pass it gets arrays. So `call` needs
no code for gradients, but it must compute with operations and layers. Such a layer has `forward`
and `backward` like any other: its cache has the tape.

As on a tensor, `x += 1` makes a new array there; x itself is read-only.

`call`'s `training` also applies to inner layers that are called without it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn._support import values, variable
from minicnn._support.operators import operations
from minicnn._support.settings import parameters_of
from minicnn._support.variable import Variable
from minicnn.layers.penalties import WithPenalties
from minicnn.ops.operation import check_ours, is_recorded, value_of
from minicnn.ops.tape import Step, Tape, Tensor

Array = np.ndarray
Shape = tuple[int | None, ...]


def resolved(training: bool | None, default: bool | None) -> bool | None:
    """Return the layer's own `training`, or else that of the `call` around it, or the default."""
    if training is None:
        training = values.is_training()
    return default if training is None else bool(training)


# ---------------------------------------------------------------------------------------------
# Running
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class CallCache:
    """The tape of a pass through a layer's `call`, which its backward pass needs.

    `inputs` and `outputs` are the tensors that went in and came out; `listed` says whether these
    are several.
    """

    layer: Any
    tape: Tape
    inputs: list[Tensor]
    outputs: list[Tensor]
    listed: bool

    def activity_penalty(self) -> float:
        """Return what inner layers added to the loss in this pass."""
        return sum(float(loss.value) for loss in self.tape.losses)

    def last_step(self) -> Step | None:
        """Return the step that made the only output; None if there is none, or several outputs."""
        return self.tape.step_of(self.outputs[0]) if len(self.outputs) == 1 else None


def named_arguments(layer: Any, args: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `call` after the first one by name.

    Raises `TypeError` if there are more than `call` has.
    """
    names = list(parameters_of(type(layer).call))[2:]
    if len(args) > len(names):
        raise TypeError(
            f"{layer.label} expects at most {len(names)} arguments after the first one. "
            f"Received {len(args)}."
        )
    return dict(zip(names, args, strict=False)) | kwargs


def called(layer: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Run `call` on arrays, or on the tensors of a tape that records; return what it returns."""
    named = named_arguments(layer, args, kwargs)
    told = named.pop("training", None)
    takes = "training" in parameters_of(type(layer).call)
    default = parameters_of(type(layer).call)["training"].default if takes else False
    training = resolved(told, default if isinstance(default, bool) else False)
    if takes:
        named["training"] = training
    x = _mapped(x, lambda value: values.protected(_ready(value, layer)))
    named = {key: _mapped(value, values.protected) for key, value in named.items()}
    outermost = values.is_training() is None
    with variable.recording(None):
        layer._build_for(_mapped(x, lambda value: tuple(value.shape)))
    with values.calling(training):
        y = _mapped(layer.call(x, **named), _as_result)
    if layer.activity_regularizer is not None:
        _mapped(y, lambda one: _penalize(layer, one))
    if variable.recorder() is not None:
        variable.recorder().calls.append((layer, _shapes_of(x), _shapes_of(y)))
    return _mapped(y, lambda one: values.result(values.plain(one))) if outermost else y


def _as_result(y: Any) -> Any:
    """Return a weight that `call` returned as its values, or as a tensor while a tape records."""
    if not isinstance(y, Variable):
        return y
    tape = variable.recorder()
    tensor = None if tape is None else tape.tensor_of(y)
    return values.within_call(y.numpy()) if tensor is None else operations["copy"](y)


def _shapes_of(x: Any) -> list[Shape]:
    """Return the shapes of arrays or tensors, also of those in a list or dict."""
    found = x.values() if isinstance(x, dict) else x if isinstance(x, (list, tuple)) else [x]
    return [tuple(getattr(value, "shape", ())) for value in found]


def _penalize(layer: Any, y: Any) -> None:
    """Add the layer's `activity_regularizer` of an output to the tape's losses."""
    tape = variable.recorder()
    if tape is None:
        return
    value = np.asarray(value_of(y))
    penalty = WithPenalties.activity_penalty(layer, value)
    slope = WithPenalties.activity_gradient(layer, value)
    tape.losses += tape.record(
        layer.name, [np.asarray(penalty, value.dtype)], [y], lambda dys, *_: [dys[0] * slope]
    )


def add_loss(layer: Any, loss: Any) -> None:
    """Add a number, or the sum of several, to the loss of the pass that a tape records."""
    vars(layer)["adds_loss"] = True  # not by `setattr`, since no result changes
    tape = variable.recorder()
    if tape is None:
        return
    for one in loss if isinstance(loss, (list, tuple)) else [loss]:
        total = operations["sum"](one)
        tape.losses.append(total if isinstance(total, Tensor) else Tensor(np.asarray(total)))


def _ready(value: Any, layer: Any) -> Any:
    """Return a tensor as it is, anything else as an array; real numbers get the layer's dtype."""
    if isinstance(value, Tensor) or value is None:
        return value
    array = np.asarray(value_of(value))
    return array.astype(layer.dtype, copy=False) if array.dtype.kind == "f" else array


def _mapped(x: Any, function: Any) -> Any:
    """Return x with its arrays, also in lists and dicts, replaced by the function's results."""
    if isinstance(x, (list, tuple)) and not _is_numbers(x):
        return type(x)(_mapped(item, function) for item in x)
    if isinstance(x, dict):
        return {key: _mapped(item, function) for key, item in x.items()}
    return function(x)


def _is_numbers(x: Any) -> bool:
    """Return whether a list holds numbers, or lists of them, rather than arrays."""
    return all(
        _is_numbers(item) if isinstance(item, (list, tuple)) else isinstance(item, (int, float))
        for item in x
    )


def run(layer: Any, x: Any, training: bool | None) -> Any:
    """Return y, or a list of several, for an array or a list; nothing is recorded."""
    with variable.recording(None), values.calling(training):
        return _results(layer, called(layer, x))[0]


def forward(layer: Any, x: Any, training: bool | None) -> tuple[Any, CallCache]:
    """Return `(y, cache)`; the cache has the tape."""
    tape = Tape()
    several = isinstance(x, (list, tuple))
    inputs = [tape.watch(_ready(a, layer)) for a in (x if several else [x])]
    with tape, values.calling(training):
        y = called(layer, inputs if several else inputs[0])
    ys, tensors = _results(layer, y)
    return ys, CallCache(layer, tape, inputs, tensors, isinstance(ys, list))


def _results(layer: Any, y: Any) -> tuple[Any, list[Tensor]]:
    """Return `call`'s results as arrays and as tensors; `TypeError` if they are not arrays."""
    several = isinstance(y, (list, tuple, dict))
    found = list(y.values()) if isinstance(y, dict) else list(y) if several else [y]
    if isinstance(y, dict):
        found = [y[key] for key in sorted(y)]
    if not found or any(not isinstance(v, (Tensor, Variable, Array, np.generic)) for v in found):
        for value in found:
            check_ours(value)
        raise TypeError(
            f"{layer.label} expects call to return an array, or a list of arrays. "
            f"Received {type(y).__name__}."
        )
    arrays = [
        _ready(value.value if isinstance(value, Tensor) else values.plain(value), layer)
        for value in found
    ]
    tensors = [
        value if isinstance(value, Tensor) else Tensor(array)
        for value, array in zip(found, arrays, strict=True)
    ]
    return (arrays if several else arrays[0]), tensors


# ---------------------------------------------------------------------------------------------
# Backward
# ---------------------------------------------------------------------------------------------


def backward(
    layer: Any, dy: Any, cache: Any, need_dx: bool, at_logits: bool = False, penalized: bool = False
) -> tuple[Any, dict[str, Array]]:
    """Return `(dx, grads)` for dy, or for a list of them, as `Layer.backward` does."""
    if not isinstance(cache, CallCache) or cache.layer is not layer:
        known = isinstance(cache, CallCache)
        received = f"that of {cache.layer.label}" if known else type(cache).__name__
        raise ValueError(
            f"{layer.label} expects the cache that its forward returned. Received {received}."
        )
    dys = list(dy) if isinstance(dy, (list, tuple)) else [dy]
    if len(dys) != len(cache.outputs):
        raise ValueError(
            f"{layer.label} expects {len(cache.outputs)} gradients. Received {len(dys)}."
        )
    for tensor, each in zip(cache.outputs, dys, strict=True):
        if np.shape(each) != tensor.shape:
            raise ValueError(
                f"{layer.label} expects dy.shape={tensor.shape}. "
                f"Received dy.shape={np.shape(each)}."
            )
    seeds = [(tensor, np.asarray(each)) for tensor, each in zip(cache.outputs, dys, strict=True)]
    if penalized:
        seeds += [(loss, np.ones((), loss.dtype)) for loss in cache.tape.losses]
    weights = layer.learning_variables_by_name()
    sources = [cache.tape.watch(weight) for weight in weights.values()]
    sources += cache.inputs if need_dx else []
    found = cache.tape.gradients(seeds, sources, cache.last_step() if at_logits else None)
    filled = [
        np.zeros_like(source.value) if dx is None else np.ascontiguousarray(dx)
        for source, dx in zip(sources, found, strict=True)
    ]
    grads = dict(zip(weights, filled))
    dxs: list[Any] = filled[len(grads) :] if need_dx else [None] * len(cache.inputs)
    return (dxs if layer.takes_list else dxs[0]), grads


def logits(cache: CallCache, activation: str) -> Array | None:
    """Return what went into the activation that made the output, if it is this one, or None."""
    step = cache.last_step()
    if step is None or step.logits is None or step.logits[0] != activation:
        return None
    found: Array = step.logits[1]
    return found


# ---------------------------------------------------------------------------------------------
# Layers within
# ---------------------------------------------------------------------------------------------


def recorded(layer: Any, x: Any, training: bool | None) -> Any:
    """Run a layer that may be within a `call`; if a tape records, as one step if it is needed."""
    training = resolved(training, layer.training_by_default)
    tape = variable.recorder()
    if tape is None and not _has_tensors(x):
        x = _mapped(x, values.plain)
        with values.calling(None):
            y = layer.run(x, training)
        return _mapped(y, values.within_call)
    x = layer.inputs_in_order(x) if isinstance(x, dict) else x
    several = isinstance(x, (list, tuple)) and not _is_numbers(x)
    inputs = list(x) if several else [x]
    arrays = [np.asarray(value_of(value)) for value in inputs]
    given: Any = arrays if several else arrays[0]
    needed = not layer.built or is_recorded([*inputs, *layer.weights])
    with variable.recording(None), values.calling(None):
        if needed and tape is not None:
            y, cache = layer.forward(given, training)
        else:
            y = layer.run(given, training)
    if tape is None or not needed:
        return _mapped(y, values.within_call)
    if not isinstance(layer, Inherited):  # which is part of the layer itself
        tape.calls.append((layer, _shapes_of(given), _shapes_of(y)))
    passed = _Passed(layer, list(y) if isinstance(y, list) else [y], cache, isinstance(y, list))
    weights = layer.learning_variables_by_name()
    penalty = passed.penalty()
    outputs = tape.record(
        layer.name,
        [*passed.ys, *([] if penalty is None else [np.asarray(penalty, layer.dtype)])],
        [*inputs, *weights.values()],
        lambda dys, wanted, at_logits: passed.gradients(dys, wanted, at_logits, list(weights)),
        passed.logits(),
    )
    if penalty is not None:
        tape.losses.append(outputs[-1])
    return list(outputs[: len(passed.ys)]) if passed.several else outputs[0]


def _has_tensors(x: Any) -> bool:
    several = isinstance(x, (list, tuple))
    return any(isinstance(v, (Tensor, Variable)) for v in (x if several else [x]))


@dataclass(frozen=True, eq=False)
class _Passed:
    """A pass through a layer within a `call`: its outputs, and what its backward pass needs."""

    layer: Any
    ys: list[Array]
    cache: Any
    several: bool

    def penalty(self) -> float | None:
        """Return what the output adds to the loss; None if it adds nothing."""
        if not self.layer.penalizes_outputs():
            return None
        within = getattr(self.cache, "activity_penalty", None)  # if it is a network's
        found: float = self.layer.activity_penalty(self.ys[0]) if within is None else within()
        return found

    def logits(self) -> tuple[str, Array] | None:
        """Return the name of the layer's last activation, and its input."""
        name = self.layer.last_activation()
        found = None if name in (None, "linear") else self.layer.logits(self.cache, name)
        return None if found is None else (name, found)

    def gradients(
        self, dys: list[Array | None], wanted: list[bool], at_logits: bool, keys: list[str]
    ) -> list[Array | None]:
        """Return the gradients of the layer's inputs, and of its weights of these names."""
        dys = list(dys)
        penalized = len(dys) > len(self.ys) and dys.pop() is not None
        filled = [np.zeros_like(y) if dy is None else dy for y, dy in zip(self.ys, dys)]
        own = self.layer.activity_gradient(self.ys[0]) if penalized else None
        if own is not None:
            filled[0] = filled[0] + own
        count = len(wanted) - len(keys)
        dx, grads = self.layer.backward_within(
            filled if self.several else filled[0],
            self.cache,
            any(wanted[:count]),
            at_logits,
            None,
            penalized,
        )
        dxs = list(dx) if isinstance(dx, (list, tuple)) else [dx] * count
        return [*dxs, *(grads.get(key) for key in keys)]


class Inherited:
    """The layer that a base class computes, within a user's class derived from it.

    `super().call(x)` in a class that defines `call` runs this layer.
    """

    def __init__(self, layer: Any, kind: type) -> None:
        self.layer, self.kind = layer, kind

    def __getattr__(self, name: str) -> Any:
        return getattr(self.layer, name)

    def run(self, x: Any, training: Any) -> Any:
        """Return y."""
        return self.forward(x, training)[0]

    def forward(self, x: Any, training: Any) -> Any:
        """Return `(y, cache)`."""
        return self.kind.forward(self.layer, x, training)  # type: ignore[attr-defined]

    def backward_within(self, dy: Any, cache: Any, need_dx: bool, at_logits: bool, *_: Any) -> Any:
        """Return `(dx, grads)`."""
        return self.kind.backward(self.layer, dy, cache, need_dx, at_logits)  # type: ignore[attr-defined]

    def learning_variables_by_name(self) -> dict[str, Variable]:
        """Return the layer's own weights that learn."""
        return {v.name: v for v in self.layer.weights_list if v.trainable}

    def penalizes_outputs(self) -> bool:
        """Return False: the whole layer's output is penalized."""
        return False

    def last_activation(self) -> None:
        """Return None."""
        return None


# ---------------------------------------------------------------------------------------------
# Trying out
# ---------------------------------------------------------------------------------------------

# Sizes that replace unknown ones, in two trials: sizes that differ between the results are unknown,
# too. They are large enough for images after several poolings.
_TRIALS = ((2, 64), (3, 160))


@dataclass(frozen=True)
class Trial:
    """What a layer's `call` returned for zeros."""

    shapes: list[Shape]
    several: bool
    activation: str | None  # the output's activation
    calls: list[tuple[Any, list[Shape], list[Shape]]]  # layers within, with shapes of x and y


def tried(layer: Any, input_shape: Any) -> Trial:
    """Run `call` on zeros to find the shapes of its results; the layer's weights do not change.

    Raises `ValueError` if that is impossible.
    """
    known = None not in [size for shape in _listed(input_shape) for size in shape]
    found = [_trial(layer, input_shape, sizes) for sizes in (_TRIALS[:1] if known else _TRIALS)]
    first, last = found[0], found[-1]
    calls = [
        (one[0], _common(one[1], other[1]), _common(one[2], other[2]))
        for one, other in zip(first.calls, last.calls, strict=False)
    ]
    return Trial(_common(first.shapes, last.shapes), first.several, first.activation, calls)


def _common(ones: list[Shape], others: list[Shape]) -> list[Shape]:
    """Return the shapes of two trials with None for a size that differs."""
    return [
        tuple(a if a == b else None for a, b in zip(one, other, strict=False))
        for one, other in zip(ones, others, strict=False)
    ]


def _listed(input_shape: Any) -> list[Shape]:
    if isinstance(input_shape, dict):
        return list(input_shape.values())
    several = bool(input_shape) and isinstance(input_shape[0], (tuple, list))
    return list(input_shape) if several else [input_shape]


def _trial(layer: Any, input_shape: Any, sizes: tuple[int, int]) -> Trial:
    batch, other = sizes

    def zeros(shape: Shape) -> Array:
        filled = [other if size is None else size for size in shape]
        filled[:1] = [batch if size is None else size for size in shape[:1]]
        return np.zeros(filled, layer.dtype)

    x = [zeros(shape) for shape in _listed(input_shape)]
    several = isinstance(input_shape, (list, dict)) or len(x) > 1 or layer.takes_list
    try:
        with variable.keeping(), np.errstate(all="ignore"):
            y, cache = layer.forward(x if several else x[0], False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{layer.label} cannot be called on zeros of shape {input_shape}, from which the shape "
            f"of its output is found. {error}"
        ) from error
    step = cache.last_step()
    name = None if step is None or step.logits is None else step.logits[0]
    shapes: list[Shape] = [tensor.shape for tensor in cache.outputs]
    return Trial(shapes, isinstance(y, list), name, cache.tape.calls)
