"""The base class of optimizers: the learning rate, clipping, averages, and the state in files."""

import inspect
import math
import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np

from minicnn import kernels, shapes
from minicnn._support.settings import Configurable, check_config, plain_throughout
from minicnn._support.variable import Variable
from minicnn.compat import hints
from minicnn.optimizers import schedules
from minicnn.optimizers.averages import Averaging
from minicnn.optimizers.previews import Previewing
from minicnn.optimizers.schedules import LearningRateSchedule

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)


Array = np.ndarray

_LARGEST = float(np.finfo(np.float32).max)

# Settings of Keras's optimizers that minicnn lacks: they must be off (None, False or 0).
_SWITCHED_OFF = ("loss_scale_factor", "decay")
_WITHOUT_EFFECT = ("jit_compile", "is_legacy_optimizer")  # on any number


class Optimizer(Averaging, Previewing, Configurable):
    """Base class with the learning rate, clipping and weight decay.

    Subclasses define `_slot_groups` and `_update`.

    Args:
        learning_rate: step size, >= 0; may be changed between steps. Like all numbers here, it is
            at most 3.4e38, float32's largest number. A schedule of `minicnn.optimizers.schedules`,
            or a function without arguments, gives one for each step.
        weight_decay: w -= lr * weight_decay * w before each step.
        clipnorm: scales each gradient down to at most this norm.
        global_clipnorm: scales all gradients together down to at most this norm.
        clipvalue: keeps each entry within [-clipvalue, clipvalue].
        use_ema: keeps a running average of each weight, average = ema_momentum * average +
            (1 - ema_momentum) * w. It replaces the weights at the end of `fit`, and after every
            `ema_overwrite_frequency` steps.
        gradient_accumulation_steps: makes one step per this many calls, with their mean gradient.
    """

    _call_rate: float | None = None  # the learning rate of the step that is being made

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        gradient_accumulation_steps: int | None = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            _refuse(next(iter(unknown)), type(self))
        self.name = type(self).__name__.lower() if name is None else name
        shapes.check_name(self.name, type(self).__name__)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue = clipnorm, clipvalue
        self.global_clipnorm = global_clipnorm
        for argument in ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm"):
            if getattr(self, argument) is not None:
                self._check_number(argument, getattr(self, argument))
        if sum(v is not None for v in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ValueError(
                f"{type(self).__name__} expects at most one of clipnorm, clipvalue and "
                f"global_clipnorm. Received {clipnorm!r}, {clipvalue!r}, {global_clipnorm!r}."
            )
        self._set_averages(use_ema, ema_momentum, ema_overwrite_frequency)
        least = gradient_accumulation_steps
        whole = isinstance(least, int) and not isinstance(least, bool)
        if least is not None and (not whole or least < 2):
            raise ValueError(
                f"{type(self).__name__} expects gradient_accumulation_steps to be an integer >= 2. "
                f"Received {least!r}."
            )
        self.gradient_accumulation_steps = least
        self._calls = 0
        self._without_decay: tuple[set[int], list[str]] = set(), []
        # One dict of arrays per weight, found by the weight's identity; the weight is kept too, so
        # that its identity cannot be reused.
        self._state: dict[int, tuple[Variable, dict[str, Array]]] = {}

    if not TYPE_CHECKING:
        __getattr__ = hints.of_object

    @property
    def iterations(self) -> int:
        """Return how many steps were made."""
        return self._calls // (self.gradient_accumulation_steps or 1)

    @iterations.setter
    def iterations(self, value: int) -> None:
        self._calls = value * (self.gradient_accumulation_steps or 1)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step, which a schedule may decide."""
        if self._call_rate is not None:
            return self._call_rate
        rate = self._learning_rate
        if callable(rate):
            found = rate(self._calls) if isinstance(rate, LearningRateSchedule) else rate()
            self._check_number("learning_rate", found)
            return float(found)
        return rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        scheduled = isinstance(getattr(self, "_learning_rate", None), LearningRateSchedule)
        if callable(value):
            self._learning_rate: Any = value
            return
        if scheduled:
            raise TypeError(
                f"{type(self).__name__} has a schedule of learning rates, so its learning_rate "
                f"cannot be set to a number. Received {value!r}."
            )
        self._check_number("learning_rate", value)
        self._learning_rate = float(value)

    @property
    def has_own_rate(self) -> bool:
        """Return whether the learning rate is a number, rather than a schedule's."""
        return not callable(self._learning_rate)

    def __setattr__(self, name: str, value: Any) -> None:
        instead = hints.OPTIMIZER_ARGUMENTS
        if name in instead:  # otherwise `optimizer.lr = 0.01` would silently do nothing
            raise AttributeError(f"{type(self).__name__} has no {name}. Use {instead[name]}.")
        super().__setattr__(name, value)

    def _check_number(self, argument: str, value: Any) -> None:
        if not shapes.is_number(value) or not 0 <= value <= _LARGEST:
            raise ValueError(
                f"{type(self).__name__} expects {argument} to be a number >= 0 that float32 can "
                f"hold. Received {value!r}."
            )

    def _check_shares(self, **values: Any) -> None:
        for argument, value in values.items():
            if not shapes.is_number(value) or not 0 <= value < 1:
                raise ValueError(
                    f"{type(self).__name__} expects {argument} in [0, 1). Received {value!r}."
                )

    def check_ready(self) -> None:
        """Raise a `ValueError` if this optimizer cannot make a step."""

    def apply(self, grads: Any, variables: Any = None, trainable_variables: Any = None) -> None:
        """Make one step; `grads` and `variables` are dicts of the same keys, or lists as in Keras.

        After `build`, or the first step, a list of gradients alone refers to the same weights.
        In a list a gradient may be None: its weight stays as it is, with a warning. Raises
        `ValueError` where keys, lengths or shapes differ, where all gradients are None, and for
        weights other than those of the first step, or of `build`.
        """
        variables = trainable_variables if variables is None else variables
        if variables is None and self._state and not isinstance(grads, dict):
            variables = [variable for variable, _ in self._state.values()]
        if variables is None:
            raise ValueError(
                f"{type(self).__name__} expects the weights together with their gradients: "
                "apply(grads, trainable_variables)."
            )
        if not isinstance(grads, dict):
            given = list(variables)
            grads, variables = _as_dicts(list(grads), given, type(self).__name__)
            if not self._state:
                self.build(given)  # includes weights that have no gradient this time
        if not variables:
            return
        if grads.keys() != variables.keys():
            raise ValueError(
                f"{type(self).__name__} expects a gradient for each of {sorted(variables)}. "
                f"Received {sorted(grads)}."
            )
        for key, grad in grads.items():
            if grad.shape != variables[key].shape:
                raise ValueError(
                    f"{type(self).__name__} expects a gradient of shape {variables[key].shape} "
                    f'for "{key}". Received {grad.shape}.'
                )
        self.check_known(variables)
        self._call_rate = self.learning_rate  # read before the count of steps increases
        before = self.iterations
        self._calls += 1
        try:
            grads = dict(grads)
            if self._is_due(grads, variables):
                self._step(grads, variables)
        finally:
            self._call_rate = None
        if self.use_ema:
            self._average(before)
        for variable in variables.values():  # after the averages, which may replace the weights
            variable.constrain()

    def _is_due(self, grads: dict[str, Array], variables: dict[str, Variable]) -> bool:
        """Return whether to make a step now; if not, add the gradients to those that wait."""
        steps = self.gradient_accumulation_steps
        if steps is None:
            return True
        due = self._calls % steps == 0
        for key, variable in variables.items():
            waiting = self.slots(variable)["gradient_accumulator"]
            if due:
                grads[key] = (grads[key] + waiting) / steps
                waiting[...] = 0
            else:
                waiting += grads[key]
        return due

    def _step(self, grads: dict[str, Array], variables: dict[str, Variable]) -> None:
        clipped = self._clip(grads)
        for variable in variables.values():
            decay = self._decay_of(variable)
            if decay is not None and self._decays(variable):
                w = variable.value
                w -= w * w.dtype.type(decay * self.learning_rate)
        self._before_updates()
        for key, variable in variables.items():
            self._update(variable.value, clipped[key], self.slots(variable))

    def _decay_of(self, variable: Variable) -> float | None:
        """Return the `weight_decay` of this weight."""
        return self.weight_decay

    def _before_updates(self) -> None:
        """Prepare a step of all weights."""

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Exclude these weights, and weights whose names contain one of these texts, from decay."""
        self._without_decay = {id(v) for v in var_list or []}, list(var_names or [])

    def _decays(self, variable: Variable) -> bool:
        listed, names = self._without_decay
        return id(variable) not in listed and not any(re.search(n, variable.name) for n in names)

    def build(self, variables: Sequence[Variable]) -> None:
        """Register these weights with the optimizer; the first step does so by itself."""
        for variable in variables:
            self.slots(variable)

    def check_known(self, variables: dict[str, Variable]) -> None:
        """Raise a `ValueError` for a weight that does not belong to the optimizer."""
        unknown = [key for key, v in variables.items() if id(v) not in self._state]
        if self._state and unknown:
            raise ValueError(
                f"{type(self).__name__} expects the weights that it was first used with. Received "
                f'"{unknown[0]}"'
                + (f" and {len(unknown) - 1} more" if unknown[1:] else "")
                + ", which are new to it. Its state and its count of steps belong to those "
                f"first weights: compile with a new optimizer, {type(self).__name__}(…)."
            )

    def apply_gradients(self, grads_and_vars: Any) -> None:
        """Make one step from pairs of (gradient, `Variable`): Keras's form of `apply`."""
        pairs = list(grads_and_vars)
        self.apply([grad for grad, _ in pairs], [variable for _, variable in pairs])

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)  # a copy's weights have other identities
        self._state = {id(variable): (variable, held) for variable, held in self._state.values()}

    def slots(self, variable: Variable) -> dict[str, Array]:
        """Return the optimizer's state for this weight; zeros at first."""
        if id(variable) not in self._state:
            places = self.slot_places([variable])
            made = {slot: self._new_slot(variable, slot) for _, slot in places}
            self._state[id(variable)] = (variable, made)
        return self._state[id(variable)][1]

    def _has_slot(self, variable: Variable, slot: str) -> bool:
        """Return whether this weight has this slot."""
        return True

    def all_slot_groups(self) -> tuple[tuple[str, ...], ...]:
        """Return the groups of all slots, in the order of Keras's files."""
        average = (("average",),) if self.use_ema else ()
        waiting = (("gradient_accumulator",),) if self.gradient_accumulation_steps else ()
        return (*average, *waiting, *self._slot_groups())

    def _new_slot(self, variable: Variable, slot: str) -> Array:
        return np.zeros(self._slot_shape(variable, slot), variable.dtype)

    def _slot_shape(self, variable: Variable, slot: str) -> tuple[int, ...]:
        return variable.shape

    def _clip(self, grads: dict[str, Array]) -> dict[str, Array]:
        if self.clipvalue is not None:
            return {k: np.clip(g, -self.clipvalue, self.clipvalue) for k, g in grads.items()}
        if self.clipnorm is not None:
            return {k: _scaled(g, _norm([g]), self.clipnorm) for k, g in grads.items()}
        if self.global_clipnorm is not None:
            norm = _norm(list(grads.values()))
            return {k: _scaled(g, norm, self.global_clipnorm) for k, g in grads.items()}
        return grads

    def state(self, variables: Sequence[Variable]) -> list[tuple[str, Array]]:
        """Return the names and arrays that a file keeps to continue training, in Keras's order.

        These are the count of steps, the learning rate, then the slots: one group after the other,
        and within a group the slots of each weight side by side.
        """
        rate = np.array(self.learning_rate, np.float32)
        return [
            ("iteration", np.array(self._calls, np.int64)),
            *([("learning_rate", rate)] if self.has_own_rate else []),
            *((f"{v.path}_{slot}", self.slots(v)[slot]) for v, slot in self.slot_places(variables)),
            *self._own_state(),
        ]

    def _own_state(self) -> list[tuple[str, Array]]:
        """Return the state that is kept once for all weights."""
        return []

    def state_shapes(self, variables: Sequence[Variable]) -> list[tuple[str, tuple[int, ...]]]:
        """Return the names and shapes of `state`'s arrays without creating them."""
        places = self.slot_places(variables)
        slots = [(f"{v.path}_{slot}", self._slot_shape(v, slot)) for v, slot in places]
        rate: list[tuple[str, tuple[int, ...]]] = [("learning_rate", ())]
        own = [(name, array.shape) for name, array in self._own_state()]
        return [("iteration", ()), *(rate if self.has_own_rate else []), *slots, *own]

    def slot_places(self, variables: Sequence[Variable]) -> list[tuple[Variable, str]]:
        """Return which slot of which weight each array of `state` is, in its order."""
        return [
            (v, slot)
            for group in self.all_slot_groups()
            for v in variables
            for slot in group
            if self._has_slot(v, slot)
        ]

    def set_state(
        self, variables: Sequence[Variable], arrays: Sequence[Any], keep: bool = False
    ) -> None:
        """Take over `state`'s arrays. Raises `ValueError` where their number or shapes differ.

        With `keep` nothing else uses these arrays: they become the state, as far as their dtype
        allows, which saves the time and the memory of copies. Otherwise they are copied.
        """
        places = self.state(variables)
        values = [np.asarray(array) for array in arrays]
        steps = _steps_of(values, [place.shape for _, place in places], type(self).__name__)
        if self.has_own_rate and np.float32(self.learning_rate) != values[1]:
            self.learning_rate = float(values[1])  # otherwise 0.001 would become 0.0010000000475
        self._calls = steps
        first = 1 + self.has_own_rate
        slots: list[Any] = [*self.slot_places(variables)]
        slots += [None] * (len(places) - first - len(slots))  # the state kept once for all weights
        for at, (_, place), value in zip(slots, places[first:], values[first:], strict=True):
            if keep and at is not None and value.dtype == place.dtype and value.flags.owndata:
                self.slots(at[0])[at[1]] = value
            else:
                place[...] = value

    def _slot_groups(self) -> tuple[tuple[str, ...], ...]:
        return ()

    def _update(self, w: Array, g: Array, slots: dict[str, Array]) -> None:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that recreate this optimizer, as Keras writes them."""
        rate = self._learning_rate
        if isinstance(rate, LearningRateSchedule):
            rate = schedules.serialize(rate)
        elif callable(rate):
            raise TypeError(
                f"{type(self).__name__} has a function as its learning_rate, which a file cannot "
                "hold: use a schedule of minicnn.optimizers.schedules."
            )
        more = self._config_of_averages()
        if self.gradient_accumulation_steps:
            more["gradient_accumulation_steps"] = self.gradient_accumulation_steps
        return more | {
            "name": self.name,
            "learning_rate": plain_throughout(rate),
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return a new optimizer from `get_config()`'s dict, Keras's or ours.

        Settings that only Keras's optimizer has are accepted if they are switched off. Raises
        `ValueError` if one is switched on.
        """
        check_config(config, cls.__name__)
        for key in _SWITCHED_OFF:
            if config.get(key):
                raise ValueError(f"{cls.__name__} does not support {key}={config[key]!r}.")
        left_out = (*_SWITCHED_OFF, *_WITHOUT_EFFECT)
        kept = {k: v for k, v in config.items() if k not in left_out}
        if isinstance(kept.get("learning_rate"), dict):
            kept["learning_rate"] = schedules.deserialize(kept["learning_rate"])
        return super().from_config(kept)


def _refuse(argument: str, kind: type[Optimizer]) -> NoReturn:
    """Raise for an argument that this optimizer does not have."""
    names = [*inspect.signature(kind).parameters, *inspect.signature(Optimizer).parameters]
    known = [name for name in dict.fromkeys(names) if name not in ("kwargs", "unknown")]
    shapes.refuse_argument(argument, known, hints.OPTIMIZER_ARGUMENTS, kind.__name__)


def _as_dicts(
    grads: list[Any], variables: list[Variable], who: str
) -> tuple[dict[str, Array], dict[str, Variable]]:
    """Return two lists as two dicts, without the weights whose gradient is None."""
    if len(grads) != len(variables):
        raise ValueError(
            f"{who} expects a gradient for each of {len(variables)} weights. "
            f"Received {len(grads)} gradients."
        )
    given = [(g, v) for g, v in zip(grads, variables, strict=True) if g is not None]
    missing = [v.path for g, v in zip(grads, variables, strict=True) if g is None]
    if missing and not given:
        raise ValueError(f"{who} received no gradient for any of {missing}.")
    if missing:
        warnings.warn(
            f"{who} received no gradient for {missing}: these weights stay as they are.",
            stacklevel=3,
        )
    return (
        {str(i): np.asarray(g) for i, (g, _) in enumerate(given)},
        {str(i): v for i, (_, v) in enumerate(given)},
    )


def _steps_of(state: list[Array], shapes: list[tuple[int, ...]], who: str) -> int:
    """Return the count of steps in a state, whose arrays must have these shapes."""
    if [array.shape for array in state] != shapes:
        raise ValueError(
            f"{who} expects {len(shapes)} arrays of the shapes of its state. "
            f"Received {len(state)}: {[array.shape for array in state]}."
        )
    steps = int(state[0])
    if steps < 0 or steps != state[0]:
        raise ValueError(f"{who} expects a count of steps. Received {steps}.")
    return steps


def _norm(grads: list[Array]) -> float:
    return math.sqrt(sum(float(np.square(g, dtype=np.float64).sum()) for g in grads))


def in_one_pass(kernel: str, arrays: Sequence[Array], *numbers: float) -> bool:
    """Let the kernel update the arrays in place; return False if it cannot handle them.

    NumPy would pass over memory once for each operation, and memory decides the speed.
    """
    first = arrays[0]  # the weight
    flat = all(a.flags.c_contiguous and a.flags.aligned and a.dtype == first.dtype for a in arrays)
    flat = flat and first.flags.writeable  # a kernel would not check
    if flat:
        number = first.dtype.type
        getattr(kernels.elementwise, kernel)(
            *(a.reshape(-1) for a in arrays), *(number(n) for n in numbers)
        )
    return flat


def _scaled(g: Array, norm: float, limit: float) -> Array:
    return g * g.dtype.type(limit / norm) if norm > limit else g
