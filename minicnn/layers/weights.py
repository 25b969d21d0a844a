"""The weights of every layer: creating them, freezing them, copying values in and out."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from minicnn import initializers, shapes
from minicnn._support.variable import Variable
from minicnn.layers.penalties import WithPenalties

Array = np.ndarray

LARGEST_WEIGHT = 2**40  # numbers in one weight: four terabytes or more


# ---------------------------------------------------------------------------------------------
# Weights that a file will fill
# ---------------------------------------------------------------------------------------------


class WeightBudget:
    """A limit on the bytes of weights that a model may ask for."""

    def __init__(self, limit: float) -> None:
        self.limit, self.asked = limit, 0

    def placeholder(self, shape: tuple[int, ...], dtype: str, who: str) -> Array:
        """Return an array without values. Raises `ValueError` when the limit is passed."""
        self.asked += math.prod(shape) * np.dtype(dtype).itemsize
        if self.asked > self.limit:
            raise ValueError(
                f"The file is too small for its model: with {who}, of shape {shape}, the weights "
                f"take {self.asked} bytes, and the file can hold {self.limit} at most."
            )
        return np.empty(shape, dtype)


# Each thread has its own: while one loads a model, another may make layers.
_budget: ContextVar[WeightBudget | None] = ContextVar("_budget", default=None)


@contextmanager
def weight_budget(limit: float) -> Iterator[None]:
    """Let layers create weights without initial values, of at most `limit` bytes in all.

    It is for models whose weights are read next: a file's description must not decide how much
    memory is used, and drawing random numbers only to overwrite them takes time and advances the
    generator.
    """
    token = _budget.set(WeightBudget(limit))
    try:
        yield
    finally:
        _budget.reset(token)


class WithWeights(WithPenalties):
    """The weights of a layer, in the order in which `add_weight` made them, as in Keras's files."""

    # Attributes that `Layer` defines.
    name: Any
    label: Any
    dtype: str
    built: bool
    weights_list: list[Variable]
    _trainable: bool

    is_network = False  # whether it is a model, or another layer that has a graph
    # minicnn's own attributes: layers in them do not belong to a user's class.
    untracked: tuple[str, ...] = ("_given", "carried", "nodes", "weights_list")

    def sublayers(self) -> Iterator[tuple[str, Any]]:
        """Yield the layers within this one, each with the path of its attribute; here none."""
        yield from ()

    def add_weight(
        self,
        shape: Any = (),
        initializer: Any = None,
        dtype: str | None = None,
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        *,
        name: str | None = None,
        part: str | None = None,
    ) -> Variable:
        """Create a weight; the order of the calls is the order in Keras's files.

        The initializer is "glorot_uniform" unless one is given. The weight gets the layer's own
        regularizer and constraint for this `part` of it (by default the weight's name), such as
        `kernel_regularizer`, unless you pass others. `dtype` is the layer's own by default;
        "int64" suits a count. `add_weight(name, shape, initializer)` also works.
        """
        if isinstance(shape, str):
            name, shape, initializer, dtype = shape, initializer, dtype, None
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        initializer = "glorot_uniform" if initializer is None else initializer
        name = self._unused(name or "variable")
        dtype = dtype or self.dtype
        count = math.prod(shape)
        if count > LARGEST_WEIGHT:
            raise ValueError(
                f"{self.label}'s {name} would have the shape {tuple(shape)}: {count} numbers. "
                f"The limit is {LARGEST_WEIGHT}."
            )
        budget = _budget.get()
        if budget is not None:
            value = budget.placeholder(tuple(shape), dtype, f"{self.label}'s {name}")
        else:
            try:
                value = initializers.get(initializer)(shape, dtype)
            except MemoryError as error:
                raise MemoryError(
                    f"{self.label}'s {name}, of shape {tuple(shape)}, needs more memory than "
                    f"there is: {error}."
                ) from error
            shapes.check_shape(value, shape, "the initializer's result", self.label)
            if not (value.flags.behaved and value.flags.c_contiguous):
                value = value.copy()  # JAX's arrays, or a file's, cannot be written to
        variable = Variable(value, name, self.name, trainable)
        self._restrain(variable, part or name, regularizer, constraint)
        # Those that learn come first, as in Keras's files.
        first = sum(weight.is_parameter for weight in self.weights_list)
        self.weights_list.insert(first if trainable else len(self.weights_list), variable)
        return variable

    def _unused(self, name: str) -> str:
        """Return the name, with a number if another weight already has it."""
        known = {weight.name for weight in self.weights_list}
        numbered = (f"{name}_{number}" for number in range(1, len(known) + 1))
        return next(n for n in [name, *numbered] if n not in known)

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        if value:  # also unfreezes weights that were frozen one by one, as in Keras
            for variable in self.weights_list:
                variable.trainable = variable.is_parameter
        for _, layer in self.sublayers():
            layer.trainable = bool(value)

    def learning_variables_by_name(self) -> dict[str, Variable]:
        """Return the weights that training updates if this is a layer of a model that learns.

        In a nested model only its layers' flags count, not its own, as in Keras.
        """
        return self.trainable_variables_by_name()

    @property
    def weights(self) -> list[Variable]:
        """All weights, trainable or not, in Keras's order."""
        within = [weight for _, layer in self.sublayers() for weight in layer.weights]
        return list({id(weight): weight for weight in [*self.weights_list, *within]}.values())

    variables = weights

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training updates; empty for a frozen layer."""
        return list(self.trainable_variables_by_name().values())

    @property
    def trainable_variables(self) -> list[Variable]:
        return self.trainable_weights

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training does not change (statistics, or all if the layer is frozen)."""
        trained = {id(v) for v in self.trainable_weights}
        return [v for v in self.weights if id(v) not in trained]

    @property
    def non_trainable_variables(self) -> list[Variable]:
        return self.non_trainable_weights

    def trainable_variables_by_name(self) -> dict[str, Variable]:
        """Return the weights that training updates, under the keys of `backward`'s `grads`."""
        if not self.trainable:
            return {}
        found = [(v.name, v) for v in self.weights_list if v.trainable]
        for path, layer in self.sublayers():
            within = layer.learning_variables_by_name()
            found += [(f"{path}/{key}", variable) for key, variable in within.items()]
        once = {id(variable): (key, variable) for key, variable in reversed(found)}
        return dict(reversed(once.values()))

    @property
    def params(self) -> dict[str, Array]:
        """The parameters by name, frozen or not, without the statistics."""
        found = {v.name: v.value for v in self.weights_list if v.trainable}
        for path, layer in self.sublayers():
            found |= {f"{path}/{key}": value for key, value in layer.params.items()}
        return found

    def get_weights(self) -> list[Array]:
        """Return copies of all weights, in Keras's order."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Copy `weights` (as from `get_weights`) in: all of them, or none if anything is wrong."""
        variables = self.weights
        if len(weights) != len(variables):
            raise ValueError(
                f"{self.label} expects {len(variables)} weight arrays. Received {len(weights)}."
            )
        arrays = [np.asarray(w) for w in weights]
        for array, variable in zip(arrays, variables, strict=True):
            shapes.check_numbers(array, variable.path, self.label)
            shapes.check_shape(array, variable.shape, variable.path, self.label)
        for array, variable in zip(arrays, variables, strict=True):
            variable.assign(array)

    def count_params(self) -> int:
        """Return the number of weights, trainable or not. Raises `ValueError` before `build`."""
        if not self.built:
            raise ValueError(
                f"{self.label} has no weights yet: it makes them when it first sees an input."
            )
        return sum(v.value.size for v in self.weights)
