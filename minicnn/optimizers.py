"""Optimizers: how gradients move the weights, step for step as in Keras.

`optimizer.apply(grads, variables)` makes one step; both are dicts with the same keys, as from
`model.backward` and `model.trainable_variables_by_name()`. The optimizer updates the weights in
place and keeps a state for each of them (momentum, averages). So each model needs an optimizer of
its own, as in Keras.

Below, g is a gradient, w its weight, lr the learning rate; t counts the steps from 1.
"""

import inspect
import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from minicnn import kernels, shapes
from minicnn._support.settings import Configurable, serialized
from minicnn._support.variable import Variable
from minicnn.compat import hints

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)


Array = np.ndarray

_LARGEST = float(np.finfo(np.float32).max)

# Settings of Keras's optimizers that minicnn lacks: they must be off (None, False or 0).
_SWITCHED_OFF = ("use_ema", "loss_scale_factor", "gradient_accumulation_steps", "decay")
# These change no numbers while the settings above are off.
_WITHOUT_EFFECT = ("ema_momentum", "ema_overwrite_frequency", "jit_compile", "is_legacy_optimizer")


class Optimizer(Configurable):
    """The base class has the learning rate, clipping and weight decay.

    Subclasses define `_slot_groups` and `_update`.

    Args:
        learning_rate: step size, >= 0; may be changed between steps. Like all numbers here, it is
            at most what float32 holds, 3.4e38.
        weight_decay: w -= lr * weight_decay * w before each step.
        clipnorm: scales each gradient down to at most this norm.
        global_clipnorm: scales all gradients together down to at most this norm.
        clipvalue: keeps each entry within [-clipvalue, clipvalue].
    """

    def __init__(
        self,
        learning_rate: float,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            names = [
                n for cls in (type(self), Optimizer) for n in inspect.signature(cls).parameters
            ]
            known = [name for name in dict.fromkeys(names) if name not in ("kwargs", "unknown")]
            shapes.refuse_argument(
                next(iter(unknown)), known, hints.OPTIMIZER_ARGUMENTS, type(self).__name__
            )
        self.name = type(self).__name__.lower() if name is None else name
        shapes.check_name(self.name, type(self).__name__)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue = clipnorm, clipvalue
        self.global_clipnorm = global_clipnorm
        for argument, value in (
            ("weight_decay", weight_decay),
            ("clipnorm", clipnorm),
            ("clipvalue", clipvalue),
            ("global_clipnorm", global_clipnorm),
        ):
            if value is not None:
                self._check_number(argument, value)
        if sum(v is not None for v in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ValueError(
                f"{type(self).__name__} expects at most one of clipnorm, clipvalue and "
                f"global_clipnorm. Received {clipnorm!r}, {clipvalue!r}, {global_clipnorm!r}."
            )
        self.iterations = 0
        # One dict of arrays per weight, found by the weight's identity; the weight is kept too, so
        # that its identity cannot be reused.
        self._state: dict[int, tuple[Variable, dict[str, Array]]] = {}

    if not TYPE_CHECKING:
        __getattr__ = hints.of_object

    @property
    def learning_rate(self) -> float:
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._check_number("learning_rate", value)
        self._learning_rate = float(value)

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

    def check_ready(self) -> None:
        """Raise a `ValueError` if this optimizer cannot make a step."""

    def apply(self, grads: Any, variables: Any = None, trainable_variables: Any = None) -> None:
        """Make one step; `grads` and `variables` are dicts of the same keys, or lists as in Keras.

        After `build`, or the first step, a list of gradients alone is for the same weights.
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
        clipped = self._clip(grads)
        self.iterations += 1
        for key, variable in variables.items():
            w = variable.value
            if self.weight_decay is not None:
                w -= w * w.dtype.type(self.weight_decay * self.learning_rate)
            self._update(w, clipped[key], self.slots(variable))

    def build(self, variables: Sequence[Variable]) -> None:
        """Register these weights with the optimizer; the first step does so by itself."""
        for variable in variables:
            self.slots(variable)

    def check_known(self, variables: dict[str, Variable]) -> None:
        """Raise a `ValueError` for a weight that is not one of the optimizer's."""
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
            names = [name for group in self._slot_groups() for name in group]
            made = {name: np.zeros_like(variable.value) for name in names}
            self._state[id(variable)] = (variable, made)
        return self._state[id(variable)][1]

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
        """Return what a file keeps to continue training: names and arrays, in Keras's order.

        These are the count of steps, the learning rate, then the slots: one group after the other,
        and within a group the slots of each weight side by side.
        """
        return [
            ("iteration", np.array(self.iterations, np.int64)),
            ("learning_rate", np.array(self.learning_rate, np.float32)),
            *((f"{v.path}_{slot}", self.slots(v)[slot]) for v, slot in self._places(variables)),
        ]

    def state_shapes(self, variables: Sequence[Variable]) -> list[tuple[str, tuple[int, ...]]]:
        """Return the names and shapes of `state`'s arrays without creating them."""
        slots = [(f"{v.path}_{slot}", v.shape) for v, slot in self._places(variables)]
        return [("iteration", ()), ("learning_rate", ()), *slots]

    def _places(self, variables: Sequence[Variable]) -> list[tuple[Variable, str]]:
        groups = self._slot_groups()
        return [(v, slot) for group in groups for v in variables for slot in group]

    def set_state(self, variables: Sequence[Variable], arrays: Sequence[Any]) -> None:
        """Take over `state`'s arrays. Raises `ValueError` where their number or shapes differ."""
        places = self.state(variables)
        values = [np.asarray(array) for array in arrays]
        if [v.shape for v in values] != [place.shape for _, place in places]:
            raise ValueError(
                f"{type(self).__name__} expects {len(places)} arrays of the shapes of its state. "
                f"Received {len(values)}: {[v.shape for v in values]}."
            )
        steps = int(values[0])
        if steps < 0 or steps != values[0]:
            raise ValueError(f"{type(self).__name__} expects a count of steps. Received {steps}.")
        if np.float32(self.learning_rate) != values[1]:  # or 0.001 would become 0.0010000000475
            self.learning_rate = float(values[1])
        self.iterations = steps
        for (_, place), value in zip(places[2:], values[2:], strict=True):
            place[...] = value

    def _slot_groups(self) -> tuple[tuple[str, ...], ...]:
        return ()

    def _update(self, w: Array, g: Array, slots: dict[str, Array]) -> None:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that recreate this optimizer, as Keras writes them."""
        return {
            "name": self.name,
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return a new optimizer from `get_config()`'s dict, Keras's or ours.

        Settings that only Keras's optimizer has may be there, switched off. Raises `ValueError` if
        one is switched on.
        """
        for key in _SWITCHED_OFF:
            if config.get(key):
                raise ValueError(f"{cls.__name__} does not support {key}={config[key]!r}.")
        left_out = (*_SWITCHED_OFF, *_WITHOUT_EFFECT)
        return super().from_config({k: v for k, v in config.items() if k not in left_out})


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


def _norm(grads: list[Array]) -> float:
    return math.sqrt(sum(float(np.square(g, dtype=np.float64).sum()) for g in grads))


def _in_one_pass(kernel: str, arrays: Sequence[Array], *numbers: float) -> bool:
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


class SGD(Optimizer):
    """Gradient descent: w -= lr * g.

    With momentum m:  v = m * v - lr * g,  w += v;  with `nesterov`:  w += m * v - lr * g.
    """

    def __init__(
        self,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not shapes.is_number(momentum) or not 0 <= momentum <= 1:
            raise ValueError(f"SGD expects momentum in [0, 1]. Received {momentum!r}.")
        self.momentum, self.nesterov = float(momentum), bool(nesterov)

    def _slot_groups(self) -> tuple[tuple[str, ...], ...]:
        return (("momentum",),) if self.momentum else ()

    def _update(self, w: Array, g: Array, slots: dict[str, Array]) -> None:
        lr, m = w.dtype.type(self.learning_rate), w.dtype.type(self.momentum)
        plain = self.momentum and not self.nesterov
        if plain and _in_one_pass("momentum", (w, g, slots["momentum"]), lr, m):
            return
        step = g * lr
        if not self.momentum:
            w -= step
            return
        v = slots["momentum"]
        v *= m
        v -= step
        w += v * m - step if self.nesterov else v

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"momentum": self.momentum, "nesterov": self.nesterov}


class Adam(Optimizer):
    """Adaptive moments (Kingma and Ba 2015, the efficient form at the end of section 2).

        m += (g - m) * (1 - beta_1)        v += (g**2 - v) * (1 - beta_2)
        w -= lr * sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon)

    The surprise: epsilon (1e-7, as in Keras) is outside the bias correction. With `amsgrad` the
    largest v so far takes the place of v.
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        for argument, value in (("beta_1", beta_1), ("beta_2", beta_2)):
            if not shapes.is_number(value) or not 0 <= value < 1:
                raise ValueError(f"Adam expects {argument} in [0, 1). Received {value!r}.")
        self._check_number("epsilon", epsilon)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.amsgrad = bool(amsgrad)

    def _slot_groups(self) -> tuple[tuple[str, ...], ...]:
        return (("momentum", "velocity"),) + ((("velocity_hat",),) if self.amsgrad else ())

    def _update(self, w: Array, g: Array, slots: dict[str, Array]) -> None:
        number, t = w.dtype.type, self.iterations
        correction = math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        m, v = slots["momentum"], slots["velocity"]
        if not self.amsgrad:
            numbers = 1 - self.beta_1, 1 - self.beta_2, self.learning_rate * correction
            if _in_one_pass("adam", (w, g, m, v), *numbers, self.epsilon):
                return
        m += (g - m) * number(1 - self.beta_1)
        v += (g * g - v) * number(1 - self.beta_2)
        if self.amsgrad:
            v = np.maximum(slots["velocity_hat"], v, out=slots["velocity_hat"])
        w -= m * number(self.learning_rate * correction) / (np.sqrt(v) + number(self.epsilon))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
        }


class RMSprop(Optimizer):
    """Divides each weight's step by the running size of its gradient (Hinton, lecture 6e).

        v = rho * v + (1 - rho) * g**2             w -= lr * g / sqrt(v + epsilon)

    With `momentum` the steps accumulate: s = momentum * s + step; with `centered` the variance of
    the gradient, v - (running mean of g)**2, takes the place of v.
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        for argument, value in (("rho", rho), ("momentum", momentum)):
            if not shapes.is_number(value) or not 0 <= value <= 1:
                raise ValueError(f"RMSprop expects {argument} in [0, 1]. Received {value!r}.")
        self._check_number("epsilon", epsilon)
        self.rho, self.momentum, self.epsilon = rho, momentum, epsilon
        self.centered = bool(centered)

    def _slot_groups(self) -> tuple[tuple[str, ...], ...]:
        groups = [("velocity",)]
        if self.momentum:
            groups.append(("momentum",))
        if self.centered:
            groups.append(("average_gradient",))
        return tuple(groups)

    def _update(self, w: Array, g: Array, slots: dict[str, Array]) -> None:
        number = w.dtype.type
        rho, rest = number(self.rho), number(1 - self.rho)
        v = slots["velocity"]
        v *= rho
        v += rest * g * g
        spread = v + number(self.epsilon)
        if self.centered:
            mean = slots["average_gradient"]
            mean *= rho
            mean += rest * g
            spread -= mean * mean
        step = g * number(self.learning_rate) / np.sqrt(spread)
        if self.momentum:
            s = slots["momentum"]
            s *= number(self.momentum)
            s += step
            step = s
        w -= step

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }


OPTIMIZERS: dict[str, type[Any]] = {"sgd": SGD, "adam": Adam, "rmsprop": RMSprop}


def get(identifier: Any) -> Optimizer:
    """Return an optimizer from an object, a name ("adam") or a saved config.

    Raises `ValueError` for anything else.
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, dict):
        found = OPTIMIZERS.get(str(identifier.get("class_name")).lower())
        if found is not None:
            made: Optimizer = found.from_config(identifier.get("config", {}))
            return made
        identifier = identifier.get("class_name")
    if isinstance(identifier, str) and identifier.lower() in OPTIMIZERS:
        named: Optimizer = OPTIMIZERS[identifier.lower()]()
        return named
    raise ValueError(
        f"An optimizer is an object of minicnn.optimizers or one of {', '.join(OPTIMIZERS)}. "
        f"Received {identifier!r}."
    )


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Return the optimizer as Keras writes it into a model's config, without its state."""
    return serialized(optimizer, "keras.optimizers")


def deserialize(config: Any) -> Optimizer:
    """Return an optimizer from `serialize`'s dict, Keras's or ours, or from a name."""
    return get(config)
