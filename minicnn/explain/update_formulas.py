"""Computes what an optimizer adds to a weight in one step, in float64, with the steps to it.

Each optimizer has one function here, from the gradient g of one weight, its state before the step
and the learning rate to the update. The rate is the learning rate `lr` of the formulas in
`minicnn.optimizers`; t counts the steps from 1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minicnn import optimizers
from minicnn.explain import show
from minicnn.explain.explanation import Step
from minicnn.optimizers import Optimizer

Array = np.ndarray


@dataclass
class UpdateSum:
    """An update: its formula, the steps to it, and the number that is added to the weight."""

    formula: str
    steps: list[Step]
    update: float
    magnitude: float  # of the numbers added up for the update
    note: str = ""


class Given(NamedTuple):
    """The inputs of a formula: a weight's numbers, one of which (`at`) the step explains."""

    g: float  # the gradient there
    slots: dict[str, Array]  # the state before the step
    rate: float
    t: int
    at: tuple[int, ...]
    w: float  # after weight decay
    all_g: Array  # the whole weight's gradient, and the weight, in float64
    all_w: Array

    def slot(self, name: str) -> float:
        return float(self.slots[name][self.at]) if name in self.slots else 0.0

    def all(self, name: str) -> Array:
        """Return a slot of the whole weight, in float64."""
        return np.asarray(self.slots[name], np.float64)


def _sgd(optimizer: Any, given: Given) -> UpdateSum:
    step, m = given.rate * given.g, optimizer.momentum
    rate, g = show.number(given.rate), show.number(given.g)
    if not m:
        steps = [Step("update", f"-{rate}·{g}", -step)]
        return UpdateSum("w += update,  update = -rate·g", steps, -step, abs(step))
    old = given.slot("momentum")
    v = m * old - step
    steps = [Step("v", f"{m:g}·{show.number(old)} - {rate}·{g}", v)]
    if not optimizer.nesterov:
        steps.append(Step("update", "v", v))
        return UpdateSum(
            "w += update,  update = v,  v = momentum·v - rate·g", steps, v, abs(m * old) + abs(step)
        )
    update = m * v - step
    steps.append(Step("update", f"{m:g}·{show.number(v)} - {rate}·{g}", update))
    formula = "w += update,  update = momentum·v - rate·g,  v = momentum·v - rate·g"
    return UpdateSum(formula, steps, update, abs(m * m * old) + 2 * abs(step))


def _adam(optimizer: Any, given: Given) -> UpdateSum:
    return adam_step(
        given, optimizer.beta_1, optimizer.beta_2, optimizer.epsilon, optimizer.amsgrad
    )


def adam_step(
    given: Given, b1: float, b2: float, epsilon: float, amsgrad: bool = False
) -> UpdateSum:
    """Return the step of Adam, which Muon also makes for weights that are not matrices."""
    g, t = given.g, given.t
    m0, v0 = given.slot("momentum"), given.slot("velocity")
    m, v = m0 + (g - m0) * (1 - b1), v0 + (g * g - v0) * (1 - b2)
    rate = given.rate * math.sqrt(1 - b2**t) / (1 - b1**t)
    shown, square = show.number(g), show.number(g * g)
    steps = [
        Step("m", f"{b1:g}·{show.number(m0)} + {1 - b1:g}·{shown}", m),
        Step("v", f"{b2:g}·{show.number(v0)} + {1 - b2:g}·{square}", v),
    ]
    spread, lost = v, (1 - b2) * (v0 + g * g)
    if amsgrad:
        spread = max(v, given.slot("velocity_hat"))
        steps.append(Step("v̂", "the largest v so far", spread))
    root = math.sqrt(spread) + epsilon
    corrected = f"{show.number(given.rate)}·√(1 - {b2:g}^{t}) / (1 - {b1:g}^{t})"
    update = -rate * m / root if root else math.nan
    steps += [
        Step("rate", corrected, rate),
        Step("√v + ε", f"√{show.number(spread)} + {epsilon:g}", root),
        Step("update", "-rate·m / (√v + ε)", update),
    ]
    size = rate * (abs(m0) + abs(g)) / root if root else math.nan
    size *= 1 + (lost / spread if spread else 0.0)
    return UpdateSum("w += update,  update = -rate·m / (√v + ε)", steps, update, size)


def _rmsprop(optimizer: Any, given: Given) -> UpdateSum:
    g, rho, v0 = given.g, optimizer.rho, given.slot("velocity")
    v = rho * v0 + (1 - rho) * g * g
    square = show.number(g * g)
    steps = [Step("v", f"{rho:g}·{show.number(v0)} + {1 - rho:g}·{square}", v)]
    spread, under, lost = v + optimizer.epsilon, "v + ε", v + optimizer.epsilon
    if optimizer.centered:
        old = given.slot("average_gradient")
        mean = rho * old + (1 - rho) * g
        steps.append(
            Step("mean", f"{rho:g}·{show.number(old)} + {1 - rho:g}·{show.number(g)}", mean)
        )
        spread, under, lost = spread - mean * mean, "v - mean² + ε", lost + mean * mean
    root = math.sqrt(spread) if spread > 0 else math.nan
    step = given.rate * g / root
    size = abs(step) * (1 + lost / spread) if spread else math.nan
    steps.append(Step(f"√({under})", "", root))
    formula = f"update = -rate·g / √({under})"
    if optimizer.momentum:
        old = given.slot("momentum")
        kept = optimizer.momentum * old
        steps.append(
            Step("s", f"{optimizer.momentum:g}·{show.number(old)} + rate·g / root", kept + step)
        )
        step, size = kept + step, size + abs(kept)
        formula = f"update = -s,  s = momentum·s + rate·g / √({under})"
    steps.append(Step("update", formula.split(",")[0].removeprefix("update = "), -step))
    return UpdateSum(f"w += update,  {formula}", steps, -step, size)


def _adagrad(optimizer: Any, given: Given) -> UpdateSum:
    old, square = given.slot("accumulator"), given.g * given.g
    a = old + square
    root = math.sqrt(a + optimizer.epsilon)
    update = -given.rate * given.g / root if root else math.nan
    steps = [
        Step("a", f"{show.number(old)} + {show.number(square)}, with g²", a),
        Step("√(a + ε)", "", root),
        Step("update", "-rate·g / √(a + ε)", update),
    ]
    return UpdateSum("w += update,  update = -rate·g / √(a + ε)", steps, update, abs(update))


def _adadelta(optimizer: Any, given: Given) -> UpdateSum:
    rho, epsilon = optimizer.rho, optimizer.epsilon
    old, d = given.slot("accumulated_grad"), given.slot("accumulated_delta_var")
    square = show.number(given.g * given.g)
    a = rho * old + (1 - rho) * given.g * given.g
    below = math.sqrt(a + epsilon)
    step = math.sqrt(d + epsilon) * given.g / below if below else math.nan
    steps = [
        Step("a", f"{rho:g}·{show.number(old)} + {1 - rho:g}·{square}, with g²", a),
        Step("step", f"√({show.number(d)} + ε)·g / √({show.number(a)} + ε)", step),
        Step("update", "-rate·step", -given.rate * step),
    ]
    formula = "w += update,  update = -rate·step,  step = √(d + ε)·g / √(a + ε)"
    return UpdateSum(formula, steps, -given.rate * step, abs(given.rate * step))


def _adamax(optimizer: Any, given: Given) -> UpdateSum:
    g, b1, b2 = given.g, optimizer.beta_1, optimizer.beta_2
    m0, u0 = given.slot("momentum"), given.slot("norm")
    m, u = m0 + (g - m0) * (1 - b1), max(b2 * u0, abs(g))
    rate, root = given.rate / (1 - b1**given.t), u + optimizer.epsilon
    update = -rate * m / root if root else math.nan
    steps = [
        Step("m", f"{b1:g}·{show.number(m0)} + {1 - b1:g}·{show.number(g)}", m),
        Step("u", f"the larger of {b2:g}·{show.number(u0)} and |{show.number(g)}|", u),
        Step("rate", f"{show.number(given.rate)} / (1 - {b1:g}^{given.t})", rate),
        Step("update", "-rate·m / (u + ε)", update),
    ]
    size = rate * (abs(m0) + abs(g)) / root if root else math.nan
    return UpdateSum("w += update,  update = -rate·m / (u + ε)", steps, update, size)


def _nadam(optimizer: Any, given: Given) -> UpdateSum:
    g, t, b1, b2 = given.g, given.t, optimizer.beta_1, optimizer.beta_2
    m0, v0 = given.slot("momentum"), given.slot("velocity")
    m, v = m0 + (g - m0) * (1 - b1), v0 + (g * g - v0) * (1 - b2)
    now, then = (b1 * (1 - 0.5 * 0.96**step) for step in (t, t + 1))
    product = math.prod(b1 * (1 - 0.5 * 0.96**step) for step in range(1, t + 1))
    of_m, of_g = then / (1 - product * then), (1 - now) / (1 - product)
    ahead, root = of_m * m + of_g * g, math.sqrt(v / (1 - b2**t)) + optimizer.epsilon
    update = -given.rate * ahead / root if root else math.nan
    steps = [
        Step("m", f"{b1:g}·{show.number(m0)} + {1 - b1:g}·{show.number(g)}", m),
        Step("v", f"{b2:g}·{show.number(v0)} + {1 - b2:g}·{show.number(g * g)}", v),
        Step("step", f"{show.number(of_m)}·m + {show.number(of_g)}·g", ahead),
        Step("√v̂ + ε", f"√({show.number(v)} / (1 - {b2:g}^{t})) + ε", root),
        Step("update", "-rate·step / (√v̂ + ε)", update),
    ]
    lost = (1 - b2) * (v0 + g * g) / v if v else 0.0
    size = given.rate * (of_m * (abs(m0) + abs(g)) + of_g * abs(g)) / root if root else math.nan
    # The state keeps the product of all momentums so far in float32, rounded at each step.
    formula = "w += update,  update = -rate·step / (√v̂ + ε),  step = c·m + d·g"
    return UpdateSum(formula, steps, update, size * (1 + lost + t))


def _lion(optimizer: Any, given: Given) -> UpdateSum:
    b1, m = optimizer.beta_1, given.slot("momentum")
    mixed = b1 * m + (1 - b1) * given.g
    sign = math.nan if math.isnan(mixed) else (mixed > 0) - (mixed < 0)
    update = -given.rate * sign
    steps = [
        Step("c", f"{b1:g}·{show.number(m)} + {1 - b1:g}·{show.number(given.g)}", mixed),
        Step("update", "-rate·(the sign of c)", update),
    ]
    formula = "w += update,  update = -rate·sign(c),  c = beta_1·m + (1 - beta_1)·g"
    return UpdateSum(formula, steps, update, abs(update))


def _ftrl(optimizer: Any, given: Given) -> UpdateSum:
    g, w, rate, p = given.g, given.w, given.rate, -optimizer.learning_rate_power
    a, z0 = given.slot("accumulator"), given.slot("linear")
    b = a + g * g
    before, now = a**p, b**p
    shrinkage = 2 * optimizer.l2_shrinkage_regularization_strength * w
    pull = (now - before) / rate * w
    z = z0 + g + shrinkage - pull
    l1, l2 = optimizer.l1_regularization_strength, optimizer.l2_regularization_strength
    divisor = now / rate + 2 * l2 + optimizer.beta / rate
    cut = min(max(z, -l1), l1)
    update = (cut - z) / divisor - w if divisor > 0 else 0.0
    extra = f" + {show.number(shrinkage)}" if shrinkage else ""
    sums = f"{show.number(z0)} + {show.number(g)}{extra} - {show.number(pull)}"
    steps = [
        Step("b", f"{show.number(a)} + {show.number(g * g)}, with g²", b),
        Step("pull", f"({show.number(b)}^{p:g} - {show.number(a)}^{p:g}) / rate·w", pull),
        Step("z", sums, z),
        Step("divisor", f"b^{p:g} / rate + 2·{l2:g} + {optimizer.beta:g} / rate", divisor),
        Step("update", f"(z kept within ±{l1:g} - z) / divisor - w", update),
    ]
    parts = abs(z0) + abs(g) + abs(shrinkage) + (now + before) / rate * abs(w) + l1
    size = parts / divisor if divisor > 0 else 0.0
    formula = "w += update,  update = (clip(z, ±l1) - z) / divisor - w"
    return UpdateSum(formula, steps, update, size)


FORMULAS: dict[type[Optimizer], Callable[[Any, Given], UpdateSum]] = {
    optimizers.SGD: _sgd,
    optimizers.Adam: _adam,
    optimizers.AdamW: _adam,
    optimizers.RMSprop: _rmsprop,
    optimizers.Adagrad: _adagrad,
    optimizers.Adadelta: _adadelta,
    optimizers.Adamax: _adamax,
    optimizers.Nadam: _nadam,
    optimizers.Lion: _lion,
    optimizers.Ftrl: _ftrl,
}
