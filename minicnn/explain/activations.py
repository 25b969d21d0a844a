"""The steps of an activation from z to y, and its slope, which leads from dy to dz."""

import math

import numpy as np

from minicnn import naive
from minicnn.explain.explanation import Step, exact_sum
from minicnn.functional.by_name import parts

Array = np.ndarray

# How each activation computes y from z, and its slope, in words.
_FORMULAS: dict[str, tuple[str, str]] = {
    "celu": ("z above 0, eᶻ - 1 below", "1 where z > 0, else eᶻ"),
    "elu": ("z above 0, alpha·(eᶻ - 1) below", "1 where z > 0, else alpha·eᶻ"),
    "exponential": ("eᶻ", "eᶻ"),
    "gelu": ("z·P(z), P = (1 + erf(z/√2)) / 2", "P(z) + z·P'(z)"),
    "hard_shrink": ("z where |z| > 0.5, else 0", "1 where |z| > 0.5, else 0"),
    "hard_sigmoid": ("min(max(z + 3, 0), 6) / 6", "1/6 where -3 < z < 3, else 0"),
    "hard_sigmoid(slope=0.2)": ("min(max(0.2·z + 0.5, 0), 1)", "0.2 where 0 < y < 1, else 0"),
    "hard_silu": ("z·min(max(z + 3, 0), 6) / 6", "(2z + 3)/6 where -3 < z < 3, 1 above, 0 below"),
    "hard_tanh": ("min(max(z, -1), 1)", "1 where -1 ≤ z ≤ 1, else 0"),
    "leaky_relu": ("z above 0, negative_slope·z below", "1 where z > 0, else negative_slope"),
    "log_sigmoid": ("-log(1 + e⁻ᶻ)", "σ(-z)"),
    "mish": ("z·tanh(log(1 + eᶻ))", "t + z·(1 - t²)·σ(z), t = tanh(log(1 + eᶻ))"),
    "relu": ("max(z, 0)", "1 where z > 0, else 0"),
    "relu6": ("min(max(z, 0), 6)", "1 where 0 < z < 6, else 0"),
    "selu": ("1.0507·(z above 0, 1.6733·(eᶻ - 1) below)", "1.0507 where z ≥ 0, else 1.7581·eᶻ"),
    "silu": ("z·σ(z) = z / (1 + e⁻ᶻ)", "σ·(1 + z·(1 - σ)), σ = σ(z)"),
    "soft_shrink": ("z moved towards 0 by 0.5", "1 where |z| > 0.5, else 0"),
    "softplus": ("log(1 + eᶻ)", "σ(z)"),
    "softsign": ("z / (1 + |z|)", "1 / (1 + |z|)²"),
    "sparse_plus": ("0 to -1, (z + 1)²/4 to 1, then z", "0 to -1, (z + 1)/2 to 1, then 1"),
    "sparse_sigmoid": ("0 to -1, (z + 1)/2 to 1, then 1", "1/2 where -1 < z < 1, else 0"),
    "squareplus": ("(z + √(z² + 4)) / 2", "(1 + z/√(z² + 4)) / 2"),
    "tanh_shrink": ("z - tanh(z)", "tanh(z)²"),
}
_OF_OUTPUT = {
    "relu": "1 where y > 0, else 0",
    "relu6": "1 where 0 < y < 6, else 0",
    "sigmoid": "y·(1 - y)",
    "tanh": "1 - y²",
}


def activation_steps(
    activation: str, z: float, scores: Array | None = None, k: int = 0
) -> list[Step]:
    """Return the steps of an activation from the sum z; the last one is y.

    A softmax needs all `scores` of its place; z is number k of them.
    """
    if activation in ("softmax", "log_softmax"):
        assert scores is not None
        steps = softmax_steps(scores, k)
        if activation == "softmax":
            return steps
        inside, total = steps[1].value, steps[3].value
        return [*steps[:4], Step("y", "(z - m) - log S", inside - math.log(total))]
    if activation == "tanh":
        return [Step("y", "tanh(z) = (eᶻ - e⁻ᶻ) / (eᶻ + e⁻ᶻ)", math.tanh(z))]
    if activation == "sigmoid":
        if z < 0:  # e⁻ᶻ could overflow
            e = math.exp(z)
            return [Step("eᶻ", "", e), Step("y", "σ(z) = eᶻ / (1 + eᶻ)", e / (1 + e))]
        e = math.exp(-z)
        return [Step("e⁻ᶻ", "", e), Step("y", "σ(z) = 1 / (1 + e⁻ᶻ)", 1 / (1 + e))]
    y = z if math.isnan(z) else value_of(activation, z)
    return [Step("y", _formulas(activation)[0], y)]


def value_of(activation: str, z: float) -> float:
    """Return y for z, by the plain loops, in float64."""
    plain, numbers = parts(activation)
    if plain == "linear":
        return z
    if plain == "relu6":
        plain, numbers = "relu", {"max_value": 6.0}
    return float(getattr(naive, plain)(np.array([z]), **numbers)[0])


def slope_of(activation: str, z: float, y: float) -> tuple[float, str]:
    """Return the slope of an activation at z, where it gave y, and how it is computed."""
    if activation in ("sigmoid", "tanh"):
        slope = y * (1 - y) if activation == "sigmoid" else 1 - y**2
        return slope, _OF_OUTPUT[activation]
    if activation in _OF_OUTPUT:
        return float(0 < y < (6 if activation == "relu6" else math.inf)), _OF_OUTPUT[activation]
    plain, numbers = parts(activation)
    slopes = getattr(naive, f"{plain}_backward")(np.ones(1), np.array([z]), **numbers)
    return float(slopes[0]), _formulas(activation)[1]


def _formulas(activation: str) -> tuple[str, str]:
    """Return the formulas of the activation's y and of its slope, with the numbers in its name."""
    plain, numbers = parts(activation)
    if activation in _FORMULAS or plain not in _FORMULAS:
        return _FORMULAS.get(activation, (f"{activation}(z)", ""))
    listed = "".join(f", {key} = {value}" for key, value in numbers.items())
    y, slope = _FORMULAS[plain]
    return y + listed, slope + listed


def softmax_steps(scores: Array, k: int) -> list[Step]:
    """Return the steps to the softmax of score k: subtract the largest, exponentiate, divide."""
    largest = float(scores.max())
    with np.errstate(invalid="ignore", over="ignore"):
        powers = np.exp(scores - largest)
    total = exact_sum(powers.tolist())
    index = "" if math.isnan(largest) else f" = z[{int(scores.argmax())}]"
    return [
        Step("m", f"max over j of z[j]{index}", largest, scores),
        Step("z - m", "the argument of exp, never above 0", float(scores[k] - largest)),
        Step("exp(z - m)", "", float(powers[k])),
        Step("S", f"Σ over the {len(scores)} scores of exp(z[j] - m)", total, powers),
        Step("y", "exp(z - m) / S", float(powers[k]) / total),
    ]


def named(activation: str, inner: str) -> str:
    """Put the right side of a formula into its activation; the ranges stay outside."""
    core, comma, ranges = inner.partition(",  ")
    name = "σ" if activation == "sigmoid" else parts(activation)[0]
    return f"{name}({core}){comma}{ranges}"
