"""The optimizers SGD, Adam, AdamW and RMSprop."""

import math
from typing import Any

import numpy as np

from minicnn import shapes
from minicnn.optimizers.base import Array, Optimizer, in_one_pass


class SGD(Optimizer):
    """Gradient descent: w -= lr * g.

    With momentum m:  v = m * v - lr * g,  w += v;  with `nesterov`:  w += m * v - lr * g.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
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
        if plain and in_one_pass("momentum", (w, g, slots["momentum"]), lr, m):
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


class WithMoments(Optimizer):
    """Base class of Adam and those like it, which share these settings."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self._check_shares(beta_1=beta_1, beta_2=beta_2)
        self._check_number("epsilon", epsilon)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


class Adam(WithMoments):
    """Adaptive moments (Kingma and Ba 2015, the efficient form at the end of section 2).

        m += (g - m) * (1 - beta_1)        v += (g**2 - v) * (1 - beta_2)
        w -= lr * sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon)

    The surprise: epsilon (1e-7, as in Keras) is outside the bias correction. With `amsgrad` the
    largest v so far replaces v.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)
        self.amsgrad = bool(amsgrad)

    def _slot_groups(self) -> tuple[tuple[str, ...], ...]:
        return (("momentum", "velocity"),) + ((("velocity_hat",),) if self.amsgrad else ())

    def _update(self, w: Array, g: Array, slots: dict[str, Array]) -> None:
        number, t = w.dtype.type, self.iterations
        correction = math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        m, v = slots["momentum"], slots["velocity"]
        if not self.amsgrad:
            numbers = 1 - self.beta_1, 1 - self.beta_2, self.learning_rate * correction
            if in_one_pass("adam", (w, g, m, v), *numbers, self.epsilon):
                return
        m += (g - m) * number(1 - self.beta_1)
        v += (g * g - v) * number(1 - self.beta_2)
        if self.amsgrad:
            v = np.maximum(slots["velocity_hat"], v, out=slots["velocity_hat"])
        w -= m * number(self.learning_rate * correction) / (np.sqrt(v) + number(self.epsilon))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"amsgrad": self.amsgrad}


class AdamW(Adam):
    """Adam after w -= lr * weight_decay * w (Loshchilov and Hutter 2019)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        if weight_decay is None:
            raise ValueError("AdamW expects weight_decay to be a number. Received None.")
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **kwargs
        )


class RMSprop(Optimizer):
    """Divides each weight's step by the running size of its gradient (Hinton, lecture 6e).

        v = rho * v + (1 - rho) * g**2             w -= lr * g / sqrt(v + epsilon)

    With `momentum` the steps accumulate: s = momentum * s + step; with `centered` the variance of
    the gradient, v - (running mean of g)**2, replaces v.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
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
