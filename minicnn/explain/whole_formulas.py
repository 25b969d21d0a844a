"""Computes the steps of optimizers that look at all numbers of a weight at once, in float64.

Adafactor and Lamb divide by lengths, and Muon separates a matrix's directions; so each number's
step also depends on the gradients of the weight's other numbers.
"""

import math
from typing import Any

import numpy as np

from minicnn import optimizers
from minicnn.explain import show
from minicnn.explain.explanation import Step
from minicnn.explain.update_formulas import FORMULAS, Array, Given, UpdateSum, adam_step

_NOTE = "The step also depends on the gradients of the weight's other numbers."


def _root(x: Array) -> float:
    """Return the root of the mean of squares."""
    return math.sqrt(float(np.mean(x * x))) if x.size else 0.0


def _adafactor(optimizer: Any, given: Given) -> UpdateSum:
    at, t, g = given.at, given.t, given.all_g
    rho = min(given.rate, 1 / math.sqrt(t))
    root = _root(given.all_w)
    alpha = max(optimizer.epsilon_2, root) * rho
    beta = 1 - t**optimizer.beta_2_decay
    square = g * g + optimizer.epsilon_1
    steps = [
        Step("ρ", f"the smaller of {show.number(given.rate)} and 1 / √{t}", rho),
        Step("rms(w)", "", root),
        Step("rate", f"the larger of {optimizer.epsilon_2:g} and rms(w), times ρ", alpha),
    ]
    if g.ndim > 1:
        row = beta * given.all("row") + (1 - beta) * square.mean(axis=-1)
        column = beta * given.all("column") + (1 - beta) * square.mean(axis=-2)
        share = row / row.mean(axis=-1, keepdims=True)
        v = share[..., None] * column[..., None, :]
        said = f"{beta:g}·{{}} + {1 - beta:g}·(the mean of g² + ε)"
        in_row, in_column = at[:-1], (*at[:-2], at[-1])
        old = [float(given.all("row")[in_row]), float(given.all("column")[in_column])]
        steps += [
            Step("r", said.format(show.number(old[0])) + ", of its row", float(row[in_row])),
            Step(
                "c", said.format(show.number(old[1])) + ", of its column", float(column[in_column])
            ),
            Step("v", "r / (the mean of all r)·c", float(v[at])),
        ]
    else:
        v = beta * given.all("velocity") + (1 - beta) * square
        old_v = show.number(given.slot("velocity"))
        steps.append(Step("v", f"{beta:g}·{old_v} + {1 - beta:g}·(g² + ε)", float(v[at])))
    u = g / np.sqrt(v)
    shrink = max(1.0, _root(u) / optimizer.clip_threshold)
    update = -alpha * float(u[at]) / shrink
    limit = f"rms(u) / {optimizer.clip_threshold:g}"
    steps += [
        Step("u", "g / √v", float(u[at])),
        Step("d", f"the larger of 1 and {limit}", shrink),
        Step("update", "-rate·u / d", update),
    ]
    size = abs(update) * (2 + math.sqrt(max(g.shape)))
    formula = "w += update,  update = -rate·u / d,  u = g / √v,  rate = max(ε₂, rms(w))·ρ"
    return UpdateSum(formula, steps, update, size, _NOTE)


def _lamb(optimizer: Any, given: Given) -> UpdateSum:
    at, t, b1, b2 = given.at, given.t, optimizer.beta_1, optimizer.beta_2
    m0, v0, g = given.all("momentum"), given.all("velocity"), given.all_g
    m, v = m0 + (g - m0) * (1 - b1), v0 + (g * g - v0) * (1 - b2)
    spread = np.sqrt(v / (1 - b2**t)) + optimizer.epsilon
    u = m / (1 - b1**t) / spread
    lengths = [float(np.linalg.norm(given.all_w)), float(np.linalg.norm(u))]
    ratio = lengths[0] / lengths[1] if all(lengths) else 1.0
    update = -given.rate * ratio * float(u[at])
    shown, square = show.number(given.g), show.number(given.g**2)
    steps = [
        Step("m", f"{b1:g}·{show.number(m0[at])} + {1 - b1:g}·{shown}", float(m[at])),
        Step("v", f"{b2:g}·{show.number(v0[at])} + {1 - b2:g}·{square}", float(v[at])),
        Step("u", f"m / (1 - {b1:g}^{t}) / (√(v / (1 - {b2:g}^{t})) + ε)", float(u[at])),
        Step("‖w‖", "of the whole weight", lengths[0]),
        Step("‖u‖", "", lengths[1]),
        Step("ratio", "‖w‖ / ‖u‖, or 1 if one of them is 0", ratio),
        Step("update", "-rate·ratio·u", update),
    ]
    below = float(v[at])
    lost = (1 - b2) * (float(v0[at]) + given.g**2) / below if below else 0.0
    parts = (abs(float(m0[at])) + abs(given.g)) / (1 - b1**t) / float(spread[at])
    size = given.rate * ratio * parts * (2 + lost)
    formula = "w += update,  update = -rate·ratio·u,  ratio = ‖w‖ / ‖u‖,  u = m̂ / (√v̂ + ε)"
    return UpdateSum(formula, steps, update, size, _NOTE)


def _muon(optimizer: Any, given: Given) -> UpdateSum:
    if "velocity" in given.slots:
        scale = optimizer.adam_lr_ratio
        return adam_step(
            given._replace(rate=given.rate * scale),
            optimizer.adam_beta_1,
            optimizer.adam_beta_2,
            optimizer.epsilon,
        )
    momentum, at = optimizer.momentum, given.at
    m0 = given.all("momentum")
    m = momentum * m0 + given.all_g
    s = momentum * m + given.all_g if optimizer.nesterov else m
    straight = optimizer.orthogonal(s)
    factor = 1.0 if optimizer.rms_rate is None else optimizer.rms_rate * math.sqrt(max(s.shape))
    update = -given.rate * factor * float(straight[at])
    shown = show.number(given.g)
    steps = [Step("m", f"{momentum:g}·{show.number(m0[at])} + {shown}", float(m[at]))]
    if optimizer.nesterov:
        said = f"{momentum:g}·{show.number(m[at])} + {shown}"
        steps.append(Step("s", said, float(s[at])))
    name = "s" if optimizer.nesterov else "m"
    steps += [
        Step(f"‖{name}‖", "of the whole matrix", float(np.linalg.norm(s))),
        Step("o", f"{name} with all singular values near 1", float(straight[at])),
    ]
    if optimizer.rms_rate is not None:
        larger = f"{optimizer.rms_rate:g}·√{max(s.shape)}"
        steps.append(Step("c", f"{larger}, the longer side", factor))
    by = "" if optimizer.rms_rate is None else "·c"
    steps.append(Step("update", f"-rate{by}·o", update))
    # Each round multiplies small parts of s / ‖s‖, and their rounding errors, by muon_a.
    grown = max(1.0, abs(optimizer.muon_a)) ** optimizer.ns_steps
    size = given.rate * factor * (abs(float(straight[at])) + grown / math.sqrt(s.size))
    formula = f"w += update,  update = -rate{by}·o,  o = {name} made orthogonal"
    return UpdateSum(formula, steps, update, size, _NOTE)


FORMULAS |= {
    optimizers.Adafactor: _adafactor,
    optimizers.Lamb: _lamb,
    optimizers.Muon: _muon,
}
