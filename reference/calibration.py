"""Measures how reliable probabilities are: of photos named at 80 %, 80 % should be right.

    ECE = Σ over bins of (photos in the bin / photos) · |accuracy − mean probability|

The photos are put into bins by the probability of the class that the model names (Guo et al. 2017,
"On calibration of modern neural networks"). Dividing all logits by a temperature changes no answer,
and corrects most of the error.
"""

from typing import Any, NamedTuple

import numpy as np

from minicnn._support.terminal import say

Array = np.ndarray

BINS = 10
COLDEST, HOTTEST = 0.05, 20.0  # temperatures


class Bin(NamedTuple):
    """The photos whose highest probability is between `low` and `high`."""

    low: float
    high: float
    photos: int
    accuracy: float  # NaN without photos, as is the mean probability
    confidence: float


def bins(p: Array, labels: Array, count: int = BINS) -> list[Bin]:
    """Divide photos by their highest probability: p (photos, classes), labels (photos,)."""
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
    number = np.minimum((confidence * count).astype(int), count - 1)
    found = []
    for i in range(count):
        here = number == i
        means = (float(v[here].mean()) if here.any() else float("nan") for v in (right, confidence))
        found.append(Bin(i / count, (i + 1) / count, int(here.sum()), *means))
    return found


def error(p: Array, labels: Array, count: int = BINS) -> float:
    """Return the expected calibration error (ECE)."""
    parts = [b.photos * abs(b.accuracy - b.confidence) for b in bins(p, labels, count) if b.photos]
    return float(sum(parts) / len(labels))


def temperature(logits: Array, labels: Array) -> float:
    """Return the temperature that makes the mean cross-entropy of these photos the lowest.

    It is 1 if there is none: if all photos are right, the loss always falls with the temperature.
    """
    from scipy.optimize import minimize_scalar

    z = np.asarray(logits, np.float64)

    def loss(log_t: float) -> float:
        scaled = z / np.exp(log_t)
        scaled -= scaled.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(scaled).sum(axis=1))
        return float((log_sum - scaled[np.arange(len(z)), labels]).mean())

    if (z.argmax(axis=1) != labels).any():
        limits = (np.log(COLDEST), np.log(HOTTEST))
        found = float(np.exp(minimize_scalar(loss, bounds=limits, method="bounded").x))
        if COLDEST * 1.01 < found < HOTTEST / 1.01:
            return found
    say(
        f"No temperature from {COLDEST:g} to {HOTTEST:g} makes the loss of these {len(z)} photos "
        "the lowest, as where all of them are right: probabilities stay as they are."
    )
    return 1.0


def picture(p: Array, labels: Array, title: str) -> Any:
    """Draw accuracy by probability, and how many photos there are of each, as a `Figure`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 5.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    known = [b for b in bins(p, labels) if b.photos]
    at, width = [(b.low + b.high) / 2 for b in known], 1 / BINS
    above.bar(at, [b.accuracy for b in known], width, edgecolor="white", label="accuracy")
    above.plot([0, 1], [0, 1], "--", color="gray", label="as it should be")
    above.plot([b.confidence for b in known], [b.accuracy for b in known], "o", color="black",
        label="mean probability")  # fmt: skip
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that is right")
    above.set_title(f"{title}: expected calibration error {error(p, labels):.3f}")
    above.legend(loc="upper left")
    below.bar(at, [b.photos for b in known], width, edgecolor="white", color="gray")
    below.set(xlabel="probability of the class that is named", ylabel="photos")
    return figure
