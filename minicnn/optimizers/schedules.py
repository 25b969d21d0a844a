"""Learning rates that change from step to step, as in Keras: `SGD(CosineDecay(0.1, 1000))`.

Below, t is the number of steps made so far, r the initial learning rate, and p = t / decay_steps.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import shapes
from minicnn._support.settings import Configurable, made_from, serialized
from minicnn.compat import hints

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]


class LearningRateSchedule(Configurable):
    """Base class: `schedule(step)` returns the learning rate after `step` steps.

    A schedule of your own defines `__call__`, and `get_config` if a file should hold it.
    """

    def __call__(self, step: int) -> float:
        raise NotImplementedError(f"{type(self).__name__} has no __call__(self, step).")

    def _check(self, steps: str = "decay_steps", **numbers: Any) -> None:
        for argument, value in numbers.items():
            shapes.number(value, argument, type(self).__name__)
        if steps in numbers and numbers[steps] <= 0:
            raise ValueError(
                f"{type(self).__name__} expects {steps} > 0. Received {numbers[steps]!r}."
            )

    def get_config(self) -> dict[str, Any]:
        return dict(vars(self))


class ExponentialDecay(LearningRateSchedule):
    """r * decay_rate**p; with `staircase` p is rounded down."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self._check(
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            decay_rate=decay_rate,
        )
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.decay_rate, self.staircase, self.name = decay_rate, bool(staircase), name

    def _progress(self, step: int) -> float:
        p = step / self.decay_steps
        return math.floor(p) if self.staircase else p

    def __call__(self, step: int) -> float:
        rate: float = self.initial_learning_rate * self.decay_rate ** self._progress(step)
        return rate


class InverseTimeDecay(ExponentialDecay):
    """r / (1 + decay_rate * p); with `staircase` p is rounded down."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate / (1 + self.decay_rate * self._progress(step))


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i], where i is how many of the `boundaries` are below t."""

    def __init__(
        self,
        boundaries: Sequence[float],
        values: Sequence[float],
        name: str = "PiecewiseConstant",
    ) -> None:
        self.boundaries, self.values, self.name = list(boundaries), list(values), name
        if not self.boundaries or len(self.boundaries) != len(self.values) - 1:
            raise ValueError(
                "PiecewiseConstantDecay expects one of values more than boundaries. "
                f"Received boundaries={boundaries!r}, values={values!r}."
            )
        if not all(shapes.is_number(v) for v in (*self.boundaries, *self.values)):
            raise ValueError(
                "PiecewiseConstantDecay expects numbers. "
                f"Received boundaries={boundaries!r}, values={values!r}."
            )

    def __call__(self, step: int) -> float:
        return float(self.values[sum(int(boundary) < step for boundary in self.boundaries)])


class PolynomialDecay(LearningRateSchedule):
    """(r - end_learning_rate) * (1 - p)**power + end_learning_rate; p stops at 1.

    With `cycle` it starts again from r, over twice the steps, then three times, and so on.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self._check(
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            end_learning_rate=end_learning_rate,
            power=power,
        )
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.end_learning_rate, self.power = end_learning_rate, power
        self.cycle, self.name = bool(cycle), name

    def __call__(self, step: int) -> float:
        steps = float(self.decay_steps)
        if self.cycle:
            steps *= max(math.ceil(step / steps), 1)
        p = min(step / steps, 1.0)
        span = self.initial_learning_rate - self.end_learning_rate
        rate: float = span * (1 - p) ** self.power + self.end_learning_rate
        return rate


class CosineDecay(LearningRateSchedule):
    """r * ((1 - alpha) * (1 + cos(pi * p)) / 2 + alpha); p stops at 1.

    With `warmup_target` the rate first rises linearly from r to the target, over `warmup_steps`,
    and then falls from there.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self._check(
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            alpha=alpha,
            warmup_steps=warmup_steps,
        )
        if warmup_target is not None:
            self._check(warmup_target=warmup_target)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.alpha, self.name = alpha, name
        self.warmup_target, self.warmup_steps = warmup_target, warmup_steps

    def __call__(self, step: int) -> float:
        start, target = self.initial_learning_rate, self.warmup_target
        done = step
        if target is not None:
            if step < self.warmup_steps:
                return (target - start) * step / self.warmup_steps + start
            start, done = target, step - self.warmup_steps
        p = min(done / self.decay_steps, 1.0)
        cosine = 0.5 * (1 + math.cos(math.pi * p))
        return start * ((1 - self.alpha) * cosine + self.alpha)


class CosineDecayRestarts(LearningRateSchedule):
    """`CosineDecay` that starts again: after `first_decay_steps`, then after t_mul times as many.

    Each start is m_mul times as high as the one before (Loshchilov and Hutter 2017).
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self._check(
            "first_decay_steps",
            initial_learning_rate=initial_learning_rate,
            first_decay_steps=first_decay_steps,
            t_mul=t_mul,
            m_mul=m_mul,
            alpha=alpha,
        )
        if t_mul <= 0:
            raise ValueError(f"CosineDecayRestarts expects t_mul > 0. Received {t_mul!r}.")
        self.initial_learning_rate, self.first_decay_steps = (
            initial_learning_rate,
            first_decay_steps,
        )
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name

    def __call__(self, step: int) -> float:
        number = np.float32  # as in Keras: rounding decides at which step it restarts
        p, t_mul = number(step) / number(self.first_decay_steps), number(self.t_mul)
        if t_mul == 1:
            start = np.floor(p)
            p = p - start
        else:
            start = np.floor(np.log(number(1) - p * (number(1) - t_mul)) / np.log(t_mul))
            before = (number(1) - t_mul**start) / (number(1) - t_mul)
            p = (p - before) / t_mul**start
        height = self.m_mul ** float(start)
        cosine = 0.5 * height * (1 + math.cos(math.pi * float(p)))
        return self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha)


_CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        CosineDecay,
        CosineDecayRestarts,
        ExponentialDecay,
        InverseTimeDecay,
        PiecewiseConstantDecay,
        PolynomialDecay,
    )
}


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """Return the schedule as Keras writes it into an optimizer's config."""
    return serialized(learning_rate_schedule, "keras.optimizers.schedules")


def deserialize(config: Any) -> LearningRateSchedule:
    """Return a schedule from `serialize`'s dict, Keras's or ours.

    Raises `ValueError` for a schedule that minicnn lacks.
    """
    described = isinstance(config, dict)
    found: LearningRateSchedule | None = made_from(config, _CLASSES) if described else None
    if found is None:
        kind = config.get("class_name") if described else config
        raise ValueError(
            f"A schedule is an object of minicnn.optimizers.schedules: {', '.join(_CLASSES)}. "
            f"Received {kind!r}."
        )
    return found
