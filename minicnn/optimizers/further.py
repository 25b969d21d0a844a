"""The optimizers Ftrl, Lamb and Muon."""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import functional, shapes
from minicnn._support.variable import Variable
from minicnn.optimizers.base import Array, Optimizer
from minicnn.optimizers.more import WithAccumulator
from minicnn.optimizers.usual import WithMoments


class Ftrl(WithAccumulator):
    """Computes each weight anew from the sums of all gradients (McMahan et al. 2013).

        b = a + g**2                       p = -learning_rate_power
        z += g + 2 * shrinkage * w - (b**p - a**p) / lr * w          a = b
        w = (clip(z, -l1, l1) - z) / (b**p / lr + 2 * l2 + beta / lr)

    a starts at `initial_accumulator_value`. As long as |z| <= l1, the weight is exactly 0.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not shapes.is_number(learning_rate_power) or learning_rate_power > 0:
            raise ValueError(
                "Ftrl expects learning_rate_power to be a number <= 0. "
                f"Received {learning_rate_power!r}."
            )
        for argument, value in (
            ("initial_accumulator_value", initial_accumulator_value),
            ("l1_regularization_strength", l1_regularization_strength),
            ("l2_regularization_strength", l2_regularization_strength),
            ("l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength),
            ("beta", beta),
        ):
            self._check_number(argument, value)
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta

    def _slot_groups(self) -> tuple[tuple[str, ...], ...]:
        return (("accumulator", "linear"),)

    def _update(self, w: Array, g: Array, slots: dict[str, Array]) -> None:
        rate = self.learning_rate
        if not rate:
            raise ValueError("Ftrl divides by learning_rate: it expects one above 0. Received 0.")
        number = w.dtype.type
        lr, p = number(rate), number(-self.learning_rate_power)
        a, z = slots["accumulator"], slots["linear"]
        before, now = a**p, (a + g * g) ** p
        z += g + w * number(2 * self.l2_shrinkage_regularization_strength) - (now - before) / lr * w
        l1, l2 = number(self.l1_regularization_strength), self.l2_regularization_strength
        divisor = now / lr + number(2 * l2 + self.beta / rate)
        # Without any gradient so far, and with accumulators that start at 0, both are 0.
        np.divide(np.clip(z, -l1, l1) - z, divisor, out=w, where=divisor > 0)
        a += g * g

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "learning_rate_power": self.learning_rate_power,
            "initial_accumulator_value": self.initial_accumulator_value,
            "l1_regularization_strength": self.l1_regularization_strength,
            "l2_regularization_strength": self.l2_regularization_strength,
            "l2_shrinkage_regularization_strength": self.l2_shrinkage_regularization_strength,
            "beta": self.beta,
        }


class Lamb(WithMoments):
    """Adam for large batches: steps as long as the weight, times the rate (You et al. 2019).

    m += (g - m) * (1 - beta_1)        v += (g**2 - v) * (1 - beta_2)
    u = m / (1 - beta_1**t) / (sqrt(v / (1 - beta_2**t)) + epsilon)
    w -= lr * |w| / |u| * u            |w| and |u| are lengths; their quotient is 1 if one is 0
    """

    def _slot_groups(self) -> tuple[tuple[str, ...], ...]:
        return (("momentum", "velocity"),)

    def _update(self, w: Array, g: Array, slots: dict[str, Array]) -> None:
        number, t = w.dtype.type, self.iterations
        m, v = slots["momentum"], slots["velocity"]
        m += (g - m) * number(1 - self.beta_1)
        v += (g * g - v) * number(1 - self.beta_2)
        spread = np.sqrt(v / number(1 - self.beta_2**t)) + number(self.epsilon)
        u = m / number(1 - self.beta_1**t) / spread
        lengths = _length(w), _length(u)
        ratio = lengths[0] / lengths[1] if all(lengths) else 1.0
        w -= u * number(ratio * self.learning_rate)


class Muon(Optimizer):
    """Makes steps of equal size in all directions of a matrix (Jordan 2024; Liu et al. 2025).

        m = momentum * m + g               s = g + momentum * m       (m itself without `nesterov`)
        w -= lr * rms_rate * sqrt(max(rows, columns)) * (s with all singular values near 1)

    It finds the last factor by `ns_steps` iterations of Newton and Schulz, from x = s / |s|:

        x = muon_a * x + (muon_b * x x^T + muon_c * (x x^T)**2) x

    This applies to matrices: kernels of `Dense`. All other weights, weights with one of
    `exclude_layers` in their path, and embeddings take Adam's steps, with `adam_lr_ratio` times the
    rate. The head of a network should be among them: `exclude_layers=["dense_2"]`. `weight_decay`
    applies to matrices.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        *,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.775,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, **kwargs)
        self._check_shares(adam_beta_1=adam_beta_1, adam_beta_2=adam_beta_2, momentum=momentum)
        for argument, value in (
            ("adam_weight_decay", adam_weight_decay),
            ("epsilon", epsilon),
            ("adam_lr_ratio", adam_lr_ratio),
            ("rms_rate", rms_rate),
        ):
            if value is not None:
                self._check_number(argument, value)
        for argument, value in (("muon_a", muon_a), ("muon_b", muon_b), ("muon_c", muon_c)):
            shapes.number(value, argument, "Muon")
        if isinstance(exclude_layers, str):
            raise ValueError(
                f"Muon expects exclude_layers to be a list of texts. Received {exclude_layers!r}."
            )
        self.adam_beta_1, self.adam_beta_2 = adam_beta_1, adam_beta_2
        self.adam_weight_decay, self.epsilon = adam_weight_decay, epsilon
        self.exclude_layers = list(exclude_layers or [])
        self.exclude_embeddings = bool(exclude_embeddings)
        self.muon_a, self.muon_b, self.muon_c = muon_a, muon_b, muon_c
        self.adam_lr_ratio, self.momentum = adam_lr_ratio, momentum
        self.ns_steps = shapes.positive_int(ns_steps, "ns_steps", "Muon")
        self.nesterov, self.rms_rate = bool(nesterov), rms_rate

    def uses_adam(self, variable: Variable) -> bool:
        """Return whether this weight takes Adam's steps."""
        path = variable.path
        embedding = self.exclude_embeddings and "embedding" in path.lower()
        excluded = any(re.search(text, path) for text in self.exclude_layers)
        return len(variable.shape) != 2 or embedding or excluded

    def _slot_groups(self) -> tuple[tuple[str, ...], ...]:
        return (("momentum", "velocity"),)

    def _has_slot(self, variable: Variable, slot: str) -> bool:
        return slot != "velocity" or self.uses_adam(variable)

    def _decay_of(self, variable: Variable) -> float | None:
        return self.adam_weight_decay if self.uses_adam(variable) else self.weight_decay

    def _update(self, w: Array, g: Array, slots: dict[str, Array]) -> None:
        number, m = w.dtype.type, slots["momentum"]
        if "velocity" in slots:
            self._update_by_adam(w, g, m, slots["velocity"])
            return
        m += g + m * number(self.momentum - 1)
        s = g + m * number(self.momentum) if self.nesterov else m
        step = self.orthogonal(s) * number(self.learning_rate)
        if self.rms_rate is not None:
            step *= number(math.sqrt(max(w.shape)) * self.rms_rate)
        w -= step

    def _update_by_adam(self, w: Array, g: Array, m: Array, v: Array) -> None:
        number, t = w.dtype.type, self.iterations
        rate = self.learning_rate * self.adam_lr_ratio
        alpha = rate * math.sqrt(1 - self.adam_beta_2**t) / (1 - self.adam_beta_1**t)
        m += (g - m) * number(1 - self.adam_beta_1)
        v += (g * g - v) * number(1 - self.adam_beta_2)
        w -= m * number(alpha) / (np.sqrt(v) + number(self.epsilon))

    def orthogonal(self, s: Array) -> Array:
        """Return s with singular values near 1, by Newton-Schulz iterations."""
        number = s.dtype.type
        tall = s.shape[0] > s.shape[1]
        x = np.ascontiguousarray(s.T if tall else s)
        x = x / number(_length(x) + 1e-7)
        for _ in range(self.ns_steps):
            square = functional.dense(x, np.ascontiguousarray(x.T), name="Muon")
            fourth = functional.dense(square, square, name="Muon")
            mixed = square * number(self.muon_b) + fourth * number(self.muon_c)
            x = x * number(self.muon_a) + functional.dense(mixed, x, name="Muon")
        return x.T if tall else x

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "adam_beta_1": self.adam_beta_1,
            "adam_beta_2": self.adam_beta_2,
            "adam_weight_decay": self.adam_weight_decay,
            "epsilon": self.epsilon,
            "exclude_layers": list(self.exclude_layers),
            "exclude_embeddings": self.exclude_embeddings,
            "muon_a": self.muon_a,
            "muon_b": self.muon_b,
            "muon_c": self.muon_c,
            "adam_lr_ratio": self.adam_lr_ratio,
            "momentum": self.momentum,
            "ns_steps": self.ns_steps,
            "nesterov": self.nesterov,
            "rms_rate": self.rms_rate,
        }


def _length(x: Array) -> float:
    return float(np.sqrt(np.square(x, dtype=np.float64).sum()))
