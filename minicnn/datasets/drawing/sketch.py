"""A sketch holds the parts of a garment: outlines, seams and buttons in unit coordinates."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

Rng = np.random.Generator

Points = np.ndarray  # (n, 2): x, y


def chance(rng: Rng, probability: float) -> bool:
    """Return True with this probability."""
    return bool(rng.random() < probability)


def pick(rng: Rng, *options: str) -> str:
    """Return one of the options at random."""
    return options[rng.integers(len(options))]


def whole_number(rng: Rng, low: int, high: int) -> int:
    """Return a random whole number from `low` to `high` - 1."""
    return int(rng.integers(low, high))


def corners(*points: Iterable[float]) -> Points:
    """Return the corners of an outline, or the points of a line, as an array."""
    return np.array(points, dtype=float)


def moved(points: Points, dx: float, dy: float) -> Points:
    """Return the points, shifted."""
    return points + np.array([dx, dy])


def mirrored(points: Points) -> Points:
    """Return the points, mirrored at x = 0."""
    return points * (-1, 1)


def softened(outline: Points, cut: float = 0.2) -> Points:
    """Cut the corners of a closed outline, twice (Chaikin), because cloth has no sharp ones."""
    for _ in range(2):
        following = np.concatenate([outline[1:], outline[:1]])
        near = outline + cut * (following - outline)
        far = following - cut * (following - outline)
        outline = np.stack([near, far], axis=1).reshape(-1, 2)
    return outline


def arc(start: Iterable[float], end: Iterable[float], sag: float, count: int = 9) -> Points:
    """Return a parabola from `start` to `end` whose middle hangs `sag` below the straight line."""
    t = np.linspace(0, 1, count)[:, None]
    line = corners(start) * (1 - t) + corners(end) * t
    line[:, 1:] += 4 * sag * t * (1 - t)
    return line


def ellipse(x: float, y: float, rx: float, ry: float, count: int = 28) -> Points:
    """Return the outline of an ellipse around (x, y)."""
    angle = np.linspace(0, 2 * math.pi, count, endpoint=False)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def wavy(rng: Rng, start: Iterable[float], end: Iterable[float], sag: float) -> Points:
    """Return a hem: an arc with some waves in it."""
    hem = arc(start, end, sag, 33)
    waves = rng.uniform(2, 7) * math.pi
    hem[:, 1] += rng.uniform(0, 0.025) * np.sin(np.linspace(0, waves, 33) + rng.uniform(0, 6))
    return hem


class Stroke(NamedTuple):
    """One stroke of the brush: a line, or an outline that is filled."""

    points: Points
    cloth: str
    light: float  # -1 is black, 0 the cloth's own brightness
    width: float  # of a line; 0 fills the outline


@dataclass
class Sketch:
    """The parts of a garment, in the order of painting: later strokes cover earlier ones."""

    strokes: list[Stroke] = field(default_factory=list)
    folds: list[tuple[Points, float, float]] = field(default_factory=list)  # line, light, width

    def fill(
        self, outline: Points, cloth: str = "main", light: float = 0.0, cut: float = 0.2
    ) -> None:
        """Add a piece of cloth with a darker edge."""
        outline = softened(outline, cut)
        self.strokes.append(Stroke(outline, cloth, light, 0.0))
        self.line(np.concatenate([outline, outline[:1]]), cloth, light - 0.28, 0.012)

    def line(
        self, points: Points, cloth: str = "main", light: float = -0.35, width: float = 0.012
    ) -> None:
        self.strokes.append(Stroke(points, cloth, light, width))

    def dot(self, x: float, y: float, radius: float, cloth: str = "trim", light: float = 0) -> None:
        self.strokes.append(Stroke(ellipse(x, y, radius, radius, 12), cloth, light, 0.0))

    def fold(self, points: Points, light: float = -0.3, width: float = 0.05) -> None:
        """Add a soft shade along a line."""
        self.folds.append((points, light, width))

    def add(self, other: "Sketch", turn: float, scale: Iterable[float], shift: Points) -> None:
        """Add another sketch, scaled, rotated by `turn` radians and shifted."""
        c, s = math.cos(turn), math.sin(turn)
        matrix = np.array([[c, s], [-s, c]]) * np.array(list(scale))[:, None]
        self.strokes += [k._replace(points=k.points @ matrix + shift) for k in other.strokes]
        self.folds += [(p @ matrix + shift, light, width) for p, light, width in other.folds]
