"""Reverse-mode differentiation: a `Tape` records operations, and goes backward through them.

    tape = Tape()
    with tape:
        x = tape.watch(np.array([1.0, 2.0]))
        y = ops.sum(x * x)                     # two steps: multiply, sum
    (dx,) = tape.gradients([(y, 1.0)], [x])    # [2.0, 4.0]

Each step keeps its results, the tensors they were computed from, and for each of those a function
from dy to dx: the chain rule for this one operation. Backward walks the steps in reverse. When it
comes to a step, it has passed every step that used its results, so dy is complete: the sum of their
gradients.

Python's control flow (`if`, `for`) needs no rule: the tape has the steps that were taken.
`minicnn.layers.calling` records the `call` of a user's layer; a layer within it is one step.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minicnn._support import variable
from minicnn._support.operators import Operators, no_gradient, operations
from minicnn._support.variable import Variable

Array = np.ndarray


class Symbolic:
    """Base class of symbols, which have shapes and no values; operations on them make layers."""


class Tensor(Operators):
    """An array that a tape has recorded; `numpy()` copies its values, without their history."""

    def __init__(self, value: Array) -> None:
        self.value = value

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.value.ndim

    @property
    def size(self) -> int:
        """The number of numbers."""
        return self.value.size

    @property
    def dtype(self) -> str:
        """The name of the dtype, such as "float32"."""
        return self.value.dtype.name

    def numpy(self) -> Array:
        """Return a copy of the values, through which no gradient flows."""
        return self.value.copy()

    def __repr__(self) -> str:
        return f"<Tensor shape={self.shape}, dtype={self.dtype}>"

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Any:
        return (self[number] for number in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __eq__(self, other: object) -> Any:
        return operations["equal"](self, other)

    def __ne__(self, other: object) -> Any:
        return operations["not_equal"](self, other)

    __hash__ = object.__hash__

    def __array__(self, *args: Any, **kwargs: Any) -> Array:
        raise TypeError(no_gradient("NumPy's function of a tensor"))

    def __array_function__(self, function: Any, *_: Any) -> Any:
        raise TypeError(no_gradient(f"np.{function.__name__}"))

    def __getattr__(self, name: str) -> Any:
        hint = f": use minicnn.ops.{name}(x)" if name in operations else ""
        raise AttributeError(f"A tensor has no {name}{hint}.")


class Step(NamedTuple):
    """An operation that was recorded.

    `gradients(dys, wanted, at_logits)` returns dx for each of the `inputs` that is `wanted`, given
    dy for each of the `outputs`, or None for one that nothing used. `logits` is the name of the
    step's last activation, with its input; None if there is none. If `at_logits` is True, dy is the
    gradient of that input.
    """

    name: str
    outputs: tuple[Tensor, ...]
    inputs: tuple[Tensor | None, ...]  # None for a constant
    gradients: "StepGradients"
    logits: Any = None


StepGradients = Callable[[list[Array | None], list[bool], bool], Sequence[Array | None]]


class Tape:
    """A list of steps in the order of computation, and the losses that layers added on the way."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.losses: list[Tensor] = []
        self.calls: list[Any] = []  # the layers that were called, with the shapes of x and of y
        self._watched: dict[int, Tensor] = {}
        self._before: list[Any] = []

    def __enter__(self) -> "Tape":
        context = variable.recording(self)
        self._before.append(context)
        context.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._before.pop().__exit__(*error)

    def watch(self, value: Any) -> Tensor:
        """Return the tensor that stands for an array, or for a weight (always the same one)."""
        if not isinstance(value, Variable):
            return Tensor(value)
        if id(value) not in self._watched:
            self._watched[id(value)] = Tensor(value.value)
        return self._watched[id(value)]

    def record(
        self,
        name: str,
        results: Iterable[Array],
        inputs: Iterable[Any],
        gradients: StepGradients,
        logits: Any = None,
    ) -> tuple[Tensor, ...]:
        """Record a step from inputs that are tensors, weights or constants; return its tensors."""
        outputs = tuple(map(Tensor, results))
        known = tuple(self.tensor_of(value) for value in inputs)
        self.steps.append(Step(name, outputs, known, gradients, logits))
        return outputs

    def tensor_of(self, value: Any) -> Tensor | None:
        """Return the tensor for a tensor or a weight that learns; None for a constant."""
        if isinstance(value, Variable):
            return self.watch(value) if value.trainable else None
        return value if isinstance(value, Tensor) else None

    def step_of(self, tensor: Tensor) -> Step | None:
        """Return the step that computed a tensor; None if no step did."""
        for step in reversed(self.steps):
            if any(output is tensor for output in step.outputs):
                return step
        return None

    def gradients(
        self,
        seeds: Iterable[tuple[Tensor, Array]],
        sources: Sequence[Tensor],
        at_logits: Step | None = None,
    ) -> list[Array | None]:
        """Return d loss / d source for each source; None if the loss does not depend on it.

        `seeds` are the tensors that the loss depends on, each with its dy = d loss / d tensor. For
        the step `at_logits`, if one is given, dy is the gradient before the step's activation.
        """
        kept = {id(source) for source in sources}
        depends = set(kept)
        for step in self.steps:
            if any(id(x) in depends for x in step.inputs):
                depends.update(map(id, step.outputs))
        received: dict[int, Array] = {}
        for tensor, dy in seeds:
            _accumulate(received, tensor, dy)
        for step in reversed(self.steps):
            dys = [
                received.get(id(y)) if id(y) in kept else received.pop(id(y), None)
                for y in step.outputs
            ]
            wanted = [id(x) in depends for x in step.inputs]
            if not any(wanted) or all(dy is None for dy in dys):
                continue
            for x, dx in zip(
                step.inputs, step.gradients(dys, wanted, step is at_logits), strict=True
            ):
                if x is not None and id(x) in depends and dx is not None:
                    _accumulate(received, x, dx)
        return [received.get(id(source)) for source in sources]


def _accumulate(received: dict[int, Array], tensor: Tensor, dx: Any) -> None:
    """Add dx to a tensor's gradient so far, in the tensor's shape and dtype."""
    gradient = summed_to(np.asarray(dx, tensor.value.dtype), tensor.shape)
    found = received.get(id(tensor))
    received[id(tensor)] = gradient if found is None else found + gradient


def summed_to(dx: Array, shape: tuple[int, ...]) -> Array:
    """Return dx in the shape of x: summed over axes along which x was broadcast.

    In `x + b`, each number of b is added in many places, and its gradient is the sum of dy there.
    """
    if dx.shape == shape:
        return dx
    dx = dx.sum(axis=tuple(range(dx.ndim - len(shape))))
    once = [axis for axis, size in enumerate(shape) if size == 1 and dx.ndim == len(shape)]
    return np.broadcast_to(dx.sum(axis=tuple(once), keepdims=True), shape)
