"""The optimizers Adamax, Nadam, Adagrad, Adadelta, Lion and Adafactor."""

import math
from typing import Any

import numpy as np

from minicnn import shapes
from minicnn._support.variable import Variable
from minicnn.optimizers.base import Array, Optimizer
from minicnn.optimizers.usual import WithMoments


class Adamax(WithMoments):
    """Adam with the largest gradient in place of the mean square (Kingma and Ba 2015, section 7).

    m += (g - m) * (1 - beta_1)        u = max(beta_2 * u, |g|)
    w -= lr / (1 - beta_1**t) * m / (u + epsilon)
    """

    def _slot_groups(self) -> tuple[tuple[str, ...], ...]:
        return (("momentum", "norm"),)

    def _update(self, w: Array, g: Array, slots: dict[str, Array]) -> None:
        number = w.dtype.type
        m, u = slots["momentum"], slots["norm"]
        m += (g - m) * number(1 - self.beta_1)
        np.maximum(u * number(self.beta_2), np.abs(g), out=u)
        rate = number(self.learning_rate / (1 - self.beta_1**self.iterations))
        w -= m * rate / (u + number(self.epsilon))


class Nadam(Adamax):
    """Adam with Nesterov's momentum (Dozat 2016).

    mu(t) = beta_1 * (1 - 0.96**t / 2)         p = mu(1) * mu(2) * … * mu(t)
    m += (g - m) * (1 - beta_1)        v += (g**2 - v) * (1 - beta_2)
    step = mu(t + 1) * m / (1 - p * mu(t + 1)) + (1 - mu(t)) * g / (1 - p)
    w -= lr * step / (sqrt(v / (1 - beta_2**t)) + epsilon)
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)
        self._product = np.array(1.0, np.float32)

    def _slot_groups(self) -> tuple[tuple[str, ...], ...]:
        return (("momentum", "velocity"),)

    def _own_state(self) -> list[tuple[str, Array]]:
        return [("variable", self._product)]

    def _momentum_at(self, step: int) -> float:
        return self.beta_1 * (1 - 0.5 * 0.96**step)

    def _before_updates(self) -> None:
        self._product *= np.float32(self._momentum_at(self.iterations))

    def _update(self, w: Array, g: Array, slots: dict[str, Array]) -> None:
        number, t = w.dtype.type, self.iterations
        now, then, product = self._momentum_at(t), self._momentum_at(t + 1), float(self._product)
        m, v = slots["momentum"], slots["velocity"]
        m += (g - m) * number(1 - self.beta_1)
        v += (g * g - v) * number(1 - self.beta_2)
        step = m * number(then / (1 - product * then)) + g * number((1 - now) / (1 - product))
        spread = np.sqrt(v / number(1 - self.beta_2**t)) + number(self.epsilon)
        w -= step * number(self.learning_rate) / spread


class WithAccumulator(Optimizer):
    """Base class of optimizers whose slot `accumulator` does not start at 0."""

    initial_accumulator_value: float

    def _new_slot(self, variable: Variable, slot: str) -> Array:
        made = super()._new_slot(variable, slot)
        return made + made.dtype.type(self.initial_accumulator_value * (slot == "accumulator"))


class Adagrad(WithAccumulator):
    """Divides each weight's step by the size of all its gradients so far (Duchi et al. 2011).

        a += g**2                          w -= lr * g / sqrt(a + epsilon)

    a starts at `initial_accumulator_value`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self._check_number("initial_accumulator_value", initial_accumulator_value)
        self._check_number("epsilon", epsilon)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon

    def _slot_groups(self) -> tuple[tuple[str, ...], ...]:
        return (("accumulator",),)

    def _update(self, w: Array, g: Array, slots: dict[str, Array]) -> None:
        a, number = slots["accumulator"], w.dtype.type
        a += g * g
        w -= g * number(self.learning_rate) / np.sqrt(a + number(self.epsilon))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }


class Adadelta(Optimizer):
    """Takes steps of about the size of earlier steps (Zeiler 2012).

        a = rho * a + (1 - rho) * g**2     step = sqrt(d + epsilon) / sqrt(a + epsilon) * g
        d = rho * d + (1 - rho) * step**2  w -= lr * step

    The surprise: with Keras's learning rate of 0.001 it is slow; the paper's is 1.
    """

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not shapes.is_number(rho) or not 0 <= rho <= 1:
            raise ValueError(f"Adadelta expects rho in [0, 1]. Received {rho!r}.")
        self._check_number("epsilon", epsilon)
        self.rho, self.epsilon = rho, epsilon

    def _slot_groups(self) -> tuple[tuple[str, ...], ...]:
        return (("accumulated_grad", "accumulated_delta_var"),)

    def _update(self, w: Array, g: Array, slots: dict[str, Array]) -> None:
        number = w.dtype.type
        rho, rest, epsilon = number(self.rho), number(1 - self.rho), number(self.epsilon)
        a, d = slots["accumulated_grad"], slots["accumulated_delta_var"]
        a *= rho
        a += rest * g * g
        step = np.sqrt(d + epsilon) * g / np.sqrt(a + epsilon)
        d *= rho
        d += rest * step * step
        w -= step * number(self.learning_rate)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rho": self.rho, "epsilon": self.epsilon}


class Lion(Optimizer):
    """Takes steps of one size, in the direction of a momentum's signs (Chen et al. 2023).

        w -= lr * sign(beta_1 * m + (1 - beta_1) * g)      m = beta_2 * m + (1 - beta_2) * g

    It needs a learning rate three to ten times smaller than Adam's.
    """

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        for argument, value in (("beta_1", beta_1), ("beta_2", beta_2)):
            if not shapes.is_number(value) or not 0 < value <= 1:
                raise ValueError(f"Lion expects {argument} in (0, 1]. Received {value!r}.")
        self.beta_1, self.beta_2 = beta_1, beta_2

    def _slot_groups(self) -> tuple[tuple[str, ...], ...]:
        return (("momentum",),)

    def _update(self, w: Array, g: Array, slots: dict[str, Array]) -> None:
        m, number = slots["momentum"], w.dtype.type
        first, second = number(self.beta_1), number(self.beta_2)
        w -= np.sign(m * first + g * (1 - first)) * number(self.learning_rate)
        m *= second
        m += g * (1 - second)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"beta_1": self.beta_1, "beta_2": self.beta_2}


class Adafactor(Optimizer):
    """Adam with v computed from one number per row and one per column (Shazeer and Stern 2018).

        beta = 1 - t**beta_2_decay                       s = g**2 + epsilon_1
        r = beta * r + (1 - beta) * (mean of s over the last axis)        c likewise, last but one
        v = r / (mean of r over its last axis) * c       u = g / sqrt(v)
        w -= max(epsilon_2, rms(w)) * rho * u / max(1, rms(u) / clip_threshold)

    rho is the smaller of lr and 1 / sqrt(t). A weight with one axis has its own v.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 0.001,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not shapes.is_number(beta_2_decay) or beta_2_decay > 0:
            raise ValueError(
                f"Adafactor expects beta_2_decay to be a number <= 0. Received {beta_2_decay!r}."
            )
        for argument, value in (
            ("epsilon_1", epsilon_1),
            ("epsilon_2", epsilon_2),
            ("clip_threshold", clip_threshold),
        ):
            self._check_number(argument, value)
        self.beta_2_decay, self.clip_threshold = beta_2_decay, clip_threshold
        self.epsilon_1, self.epsilon_2 = epsilon_1, epsilon_2
        self.relative_step = bool(relative_step)

    def _slot_groups(self) -> tuple[tuple[str, ...], ...]:
        return (("row", "column", "velocity"),)

    def _slot_shape(self, variable: Variable, slot: str) -> tuple[int, ...]:
        shape = variable.shape
        if slot == "row":
            return shape[:-1] if len(shape) > 1 else ()
        if slot == "column":
            return (*shape[:-2], shape[-1]) if len(shape) > 1 else ()
        return shape

    def _update(self, w: Array, g: Array, slots: dict[str, Array]) -> None:
        number, t = w.dtype.type, self.iterations
        # Keras's `relative_step` bounds the rate by 1 / sqrt(t), which rho does in any case.
        rho = min(self.learning_rate, 1 / math.sqrt(t))
        alpha = number(max(self.epsilon_2, _rms(w)) * rho)
        beta = number(1 - t**self.beta_2_decay)
        square = g * g + number(self.epsilon_1)
        row, column, v = slots["row"], slots["column"], slots["velocity"]
        if w.ndim > 1:
            row[...] = beta * row + (1 - beta) * square.mean(axis=-1)
            column[...] = beta * column + (1 - beta) * square.mean(axis=-2)
            share = row / row.mean(axis=-1, keepdims=True)
            v[...] = share[..., None] * column[..., None, :]
        else:
            v[...] = beta * v + (1 - beta) * square
        u = g / np.sqrt(v)
        w -= alpha * u / number(max(1.0, _rms(u) / self.clip_threshold))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "beta_2_decay": self.beta_2_decay,
            "epsilon_1": self.epsilon_1,
            "epsilon_2": self.epsilon_2,
            "clip_threshold": self.clip_threshold,
            "relative_step": self.relative_step,
        }


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) if x.size else 0.0
