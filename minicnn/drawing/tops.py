"""Clothes that are drawn: ten kinds, endlessly varied, for a data set that needs no network.

A picture comes about in three steps:

    pattern cutting   a garment is a `_Sketch`: outlines, seams and buttons in unit coordinates
                      (x to the right, y down), with a cut that differs every time
    painting          the sketch is posed, rasterized at three times the size and shrunk, so that
                      its edges are smooth; this says which cloth covers which share of a pixel
    photographing     cloths, folds, light and shadow, over a floor or a wall, become colours

Colours, patterns and backgrounds are drawn alike for all kinds: only the form tells them apart.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from minicnn.shapes import pair

if TYPE_CHECKING:
    from PIL.Image import Image

Rng = np.random.Generator
Points = np.ndarray  # (n, 2): x, y

CLOTHING_CLASSES: tuple[str, ...] = (
    *("dress", "hat", "longsleeve", "outwear", "pants"),
    *("shirt", "shoes", "shorts", "skirt", "t-shirt"),
)

VERSION = 1  # goes up whenever the same seed would give other pictures
_OVERSAMPLING = 3
_CLOTHS = ("main", "trim", "lining")


# Pattern cutting: small helpers


def _chance(rng: Rng, probability: float) -> bool:
    return bool(rng.random() < probability)


def _pick(rng: Rng, *options: str) -> str:
    return options[rng.integers(len(options))]


def _count(rng: Rng, low: int, high: int) -> int:
    """A whole number from `low` to `high` - 1."""
    return int(rng.integers(low, high))


def _points(*points: Iterable[float]) -> Points:
    return np.array(points, dtype=float)


def _move(points: Points, dx: float, dy: float) -> Points:
    return points + np.array([dx, dy])


def _mirror(points: Points) -> Points:
    """The same points on the other side of x = 0."""
    return points * (-1, 1)


def _soften(outline: Points, cut: float = 0.2) -> Points:
    """Cut the corners of a closed outline, twice (Chaikin): cloth has no sharp ones."""
    for _ in range(2):
        following = np.concatenate([outline[1:], outline[:1]])
        near = outline + cut * (following - outline)
        far = following - cut * (following - outline)
        outline = np.stack([near, far], axis=1).reshape(-1, 2)
    return outline


def _arc(start: Iterable[float], end: Iterable[float], sag: float, count: int = 9) -> Points:
    """A parabola from `start` to `end` that hangs `sag` below the straight line in its middle."""
    t = np.linspace(0, 1, count)[:, None]
    line = _points(start) * (1 - t) + _points(end) * t
    line[:, 1:] += 4 * sag * t * (1 - t)
    return line


def _ellipse(x: float, y: float, rx: float, ry: float, count: int = 28) -> Points:
    angle = np.linspace(0, 2 * math.pi, count, endpoint=False)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def _wavy(rng: Rng, start: Iterable[float], end: Iterable[float], sag: float) -> Points:
    """A hem: an arc with some waves in it."""
    hem = _arc(start, end, sag, 33)
    waves = rng.uniform(2, 7) * math.pi
    hem[:, 1] += rng.uniform(0, 0.025) * np.sin(np.linspace(0, waves, 33) + rng.uniform(0, 6))
    return hem


class _Stroke(NamedTuple):
    points: Points
    cloth: str
    light: float  # -1 is black, 0 the cloth's own brightness
    width: float  # of a line; 0 fills the outline


@dataclass
class _Sketch:
    """What a garment is made of, in the order of painting: later strokes cover earlier ones."""

    strokes: list[_Stroke] = field(default_factory=list)
    folds: list[tuple[Points, float, float]] = field(default_factory=list)  # line, light, width

    def fill(
        self, outline: Points, cloth: str = "main", light: float = 0.0, cut: float = 0.2
    ) -> None:
        """A piece of cloth with a darker edge."""
        outline = _soften(outline, cut)
        self.strokes.append(_Stroke(outline, cloth, light, 0.0))
        self.line(np.concatenate([outline, outline[:1]]), cloth, light - 0.28, 0.012)

    def line(
        self, points: Points, cloth: str = "main", light: float = -0.35, width: float = 0.012
    ) -> None:
        self.strokes.append(_Stroke(points, cloth, light, width))

    def dot(self, x: float, y: float, radius: float, cloth: str = "trim", light: float = 0) -> None:
        self.strokes.append(_Stroke(_ellipse(x, y, radius, radius, 12), cloth, light, 0.0))

    def fold(self, points: Points, light: float = -0.3, width: float = 0.05) -> None:
        """A soft shade along a line."""
        self.folds.append((points, light, width))

    def add(self, other: "_Sketch", turn: float, scale: Iterable[float], shift: Points) -> None:
        """Another sketch, scaled, turned by `turn` radians and shifted."""
        c, s = math.cos(turn), math.sin(turn)
        matrix = np.array([[c, s], [-s, c]]) * np.array(list(scale))[:, None]
        self.strokes += [k._replace(points=k.points @ matrix + shift) for k in other.strokes]
        self.folds += [(p @ matrix + shift, light, width) for p, light, width in other.folds]


# Tops: t-shirt, longsleeve, shirt, outwear


class _Torso(NamedTuple):
    """The numbers of a cut; half widths, from the middle of the front."""

    neck: float
    shoulder: float
    chest: float
    waist: float
    hem: float
    length: float
    armpit: float = 0.42
    slope: float = 0.1  # how far the shoulder's tip is below the neck


def _cut_torso(rng: Rng, ease: float = 0.0, length: tuple[float, float] = (1.1, 1.6)) -> _Torso:
    chest = rng.uniform(0.46, 0.58) + ease
    return _Torso(
        neck=rng.uniform(0.15, 0.25),
        shoulder=chest * rng.uniform(0.88, 1.02),
        chest=chest,
        waist=chest * rng.uniform(0.82, 1.02),
        hem=chest * rng.uniform(0.92, 1.15),
        length=rng.uniform(*length),
        armpit=rng.uniform(0.38, 0.5),
        slope=rng.uniform(0.06, 0.16),
    )


def _body(sketch: _Sketch, rng: Rng, t: _Torso) -> None:
    """Front and back as one outline, with folds from the armpits and across the waist."""
    side = _points(
        (t.neck, 0),
        (t.shoulder, t.slope),
        (t.chest * 0.96, t.armpit * 0.7),
        (t.chest, t.armpit),
        (t.waist, (t.armpit + t.length) / 2),
        (t.hem, t.length),
    )
    hem = _wavy(rng, side[-1], _mirror(side[-1]), rng.uniform(-0.02, 0.08))
    sketch.fill(np.concatenate([side, hem, _mirror(side)[::-1]]), cut=0.14)
    for sign in (-1, 1):
        start = (sign * t.chest * 0.9, t.armpit)
        sketch.fold(_arc(start, (sign * t.waist * rng.uniform(0.1, 0.6), t.length * 0.8), 0.05))
    for _ in range(_count(rng, 1, 5)):
        x, y = rng.uniform(-0.6, 0.6) * t.waist, rng.uniform(0.5, 0.95) * t.length
        dx, dy = rng.uniform(-0.35, 0.35), rng.uniform(-0.15, 0.15)
        sketch.fold(_arc((x - dx, y - dy), (x + dx, y + dy), 0.06), rng.uniform(-0.4, 0.25))


def _sleeve(
    sketch: _Sketch, rng: Rng, t: _Torso, length: float, angle: float, wrist: float, cuff: str = ""
) -> None:
    """Both sleeves; `angle` is 0 for hanging arms and pi/2 for outstretched ones."""
    for sign in (-1, 1):
        turn = angle + rng.normal(0, 0.07)
        bend = -abs(rng.normal(0, 0.3)) if length > 0.7 else 0.0
        if length > 0.7 and _chance(rng, 0.08):
            bend = -rng.uniform(1.0, 2.2)  # folded over, towards the body
        top, pit = np.array([t.shoulder, t.slope]), np.array([t.chest * 0.97, t.armpit])
        centre, half = (top + pit) / 2, np.linalg.norm(top - pit) / 2
        outer, inner = [top], [pit]
        for share, direction in ((0.5, turn), (0.42, turn + bend), (0.08, turn + bend)):
            along = np.array([math.sin(direction), math.cos(direction)])
            across = np.array([along[1], -along[0]])
            centre = centre + share * length * along
            half += (wrist - half) * (1.0 if share < 0.5 else 0.62)
            outer.append(centre + half * across)
            inner.append(centre - half * across)
        flip = np.array([sign, 1])
        root = np.array([[t.chest * 0.6, t.armpit * 0.8], [t.shoulder * 0.7, t.slope * 1.3]])
        sketch.fill(np.concatenate([outer, inner[::-1], root]) * flip, light=-0.04, cut=0.1)
        if cuff:
            band = _points(outer[-2], outer[-1], inner[-1], inner[-2]) * flip
            sketch.fill(band, cuff, light=0.04, cut=0.08)
        if length > 0.7:
            middle = (np.array(outer[1]) + inner[1]) / 2 * flip
            sketch.fold(_arc(pit * flip, middle, 0.03), -0.35, 0.04)
            sketch.fold(np.array([outer[1] * flip, middle]), -0.3, 0.04)


def _neckline(sketch: _Sketch, rng: Rng, t: _Torso, depth: float, pointed: bool) -> None:
    """The opening, through which the inside of the back is seen, and its border."""
    left, right = (-t.neck, 0.01), (t.neck, 0.01)
    front = _points(left, (0, depth), right) if pointed else _arc(left, right, depth)
    back = _arc(right, left, min(0.05, depth / 2))
    sketch.fill(np.concatenate([front, back]), "lining", light=-0.15, cut=0.03)
    cloth = _pick(rng, "main", "main", "trim")
    sketch.line(front, cloth, rng.uniform(-0.15, 0.15), rng.uniform(0.02, 0.06))
    sketch.line(_move(front, 0, 0.035), "main", -0.25, 0.008)


def _print_on(sketch: _Sketch, rng: Rng, x: float, y: float, reach: float) -> None:
    """A picture or some words on the chest."""
    style = _pick(rng, "words", "disc", "star", "confetti", "bands")
    if style == "words":
        for row in range(_count(rng, 1, 4)):
            half = reach * rng.uniform(0.5, 1)
            for left in np.arange(-half, half, 0.1):
                height = rng.uniform(0.05, 0.08)
                top = y + row * 0.12
                sketch.line(
                    _points((x + left, top), (x + left + 0.03, top + height)), "trim", 0, 0.05
                )
    elif style == "disc":
        sketch.dot(x, y, reach * 0.7)
        sketch.dot(x + rng.uniform(-0.05, 0.05), y, reach * 0.4, "main", 0.1)
    elif style == "star":
        turns = np.linspace(0, 2 * math.pi, 2 * _count(rng, 4, 9), endpoint=False)
        radius = reach * np.where(np.arange(len(turns)) % 2, 0.35, 0.8)[:, None]
        star = np.stack([np.sin(turns), -np.cos(turns)], axis=1) * radius + (x, y)
        sketch.fill(star, "trim", cut=0.05)
    elif style == "bands":
        for row in range(_count(rng, 1, 4)):
            line = _points((x - reach * 1.3, y + row * 0.09), (x + reach * 1.3, y + row * 0.09))
            sketch.line(line, "trim", 0, 0.05)
    else:
        for dx, dy in rng.uniform(-reach, reach, (_count(rng, 6, 16), 2)):
            sketch.dot(x + dx, y + dy, rng.uniform(0.02, 0.08), _pick(rng, "trim", "lining"))


def _buttons(
    sketch: _Sketch, x: float, top: float, bottom: float, count: int, radius: float
) -> None:
    for y in np.linspace(top, bottom, count):
        sketch.dot(x, y, radius * 1.5, "main", -0.6)
        sketch.dot(x, y, radius)


def _pocket(sketch: _Sketch, x: float, y: float, half: float, flap: bool) -> None:
    box = _points((-half, 0), (half, 0), (half, half * 1.8), (0, half * 2.3), (-half, half * 1.8))
    sketch.fill(_move(box, x, y), light=0.03, cut=0.06)
    if flap:
        lid = _points((-half, 0), (half, 0), (half, half * 0.6), (0, half), (-half, half * 0.6))
        sketch.fill(_move(lid * 1.06, x, y), light=0.08, cut=0.06)


def _collar(sketch: _Sketch, rng: Rng, t: _Torso, drop: float, spread: float, cloth: str) -> None:
    """A collar or lapels that open down to `drop`."""
    inside = _points((-t.neck, -0.03), (t.neck, -0.03), (0, drop))
    sketch.fill(inside, "lining", light=-0.2, cut=0.05)
    tip = (t.neck * rng.uniform(0.7, 1.0) * spread, drop + rng.uniform(0.02, 0.09))
    wing = _points((t.neck * 0.75, -0.06), (0.01, drop), tip, (t.neck * 1.0 + 0.06 * spread, 0.04))
    for half in (wing, _mirror(wing)):
        sketch.fill(half, cloth, light=0.1, cut=0.04)


def _hanger(sketch: _Sketch, t: _Torso) -> None:
    hook = _arc((0.0, -0.02), (0.0, -0.16), 0.0, 3)
    bend = _ellipse(0.05, -0.18, 0.055, 0.055, 16)[5:15]
    sketch.line(np.concatenate([hook, bend]), "lining", -0.3, 0.025)
    tip = (t.shoulder * 0.95, t.slope + 0.02)
    sketch.line(_points(_mirror(np.array(tip)), (0, -0.03), tip), "lining", 0.0, 0.05)


def _t_shirt(rng: Rng) -> _Sketch:
    sketch, t = _Sketch(), _cut_torso(rng)
    if _chance(rng, 0.2):
        _hanger(sketch, t)
    cuff = _pick(rng, "", "main", "trim")
    _sleeve(sketch, rng, t, rng.uniform(0.22, 0.42), rng.uniform(0.6, 1.2), 0.17, cuff)
    _body(sketch, rng, t)
    _neckline(sketch, rng, t, rng.uniform(0.1, 0.26), _chance(rng, 0.25))
    if _chance(rng, 0.5):
        _print_on(sketch, rng, 0, rng.uniform(0.45, 0.7), rng.uniform(0.15, 0.32))
    elif _chance(rng, 0.2):
        _pocket(sketch, 0.22, 0.4, 0.1, flap=False)
    elif _chance(rng, 0.2):  # a polo shirt: a collar, but only a short row of buttons
        _collar(sketch, rng, t, 0.14, 1.0, "main")
        _buttons(sketch, 0, 0.2, 0.34, 2, 0.015)
    return sketch


def _longsleeve(rng: Rng) -> _Sketch:
    sketch, t = _Sketch(), _cut_torso(rng)
    if _chance(rng, 0.2):
        _hanger(sketch, t)
    cuff, wrist = _pick(rng, "", "main", "trim"), rng.uniform(0.08, 0.13)
    _sleeve(sketch, rng, t, rng.uniform(1.0, 1.3), rng.uniform(0.2, 0.8), wrist, cuff)
    if _chance(rng, 0.25):
        tube = _points((-0.8, -0.16), (0.8, -0.16), (1, 0.06), (-1, 0.06)) * (t.neck, 1)
        _body(sketch, rng, t)
        sketch.fill(tube, light=0.05)
        for x in np.linspace(-0.7, 0.7, 7) * t.neck:
            sketch.line(_points((x * 0.9, -0.13), (x, 0.04)), light=-0.15, width=0.008)
    else:
        _body(sketch, rng, t)
        _neckline(sketch, rng, t, rng.uniform(0.1, 0.3), _chance(rng, 0.3))
    if cuff:
        band = _points((-1, -0.08), (1, -0.08), (1, 0.0), (-1, 0.0)) * (t.hem * 0.98, 1)
        sketch.fill(_move(band, 0, t.length), cuff, light=0.03, cut=0.06)
    if _chance(rng, 0.4):
        _print_on(sketch, rng, 0, rng.uniform(0.45, 0.7), rng.uniform(0.15, 0.32))
    elif _chance(rng, 0.2):  # a cardigan
        sketch.line(_points((0, 0.2), (0, t.length)), light=-0.3)
        _buttons(sketch, 0.03, 0.3, t.length * 0.92, 5, 0.022)
    return sketch


def _shirt(rng: Rng) -> _Sketch:
    sketch, t = _Sketch(), _cut_torso(rng, length=(1.2, 1.65))
    if _chance(rng, 0.25):
        _hanger(sketch, t)
    cuff = _pick(rng, "main", "main", "trim")
    if _chance(rng, 0.7):
        _sleeve(sketch, rng, t, rng.uniform(0.9, 1.2), rng.uniform(0.1, 1.0), 0.12, cuff)
    else:
        _sleeve(sketch, rng, t, rng.uniform(0.28, 0.5), rng.uniform(0.5, 1.1), 0.19, cuff)
    _body(sketch, rng, t)
    x = rng.uniform(0.025, 0.05)
    bottom = t.length + 0.02
    placket = _points((-x, 0.12), (x, 0.12), (x, bottom), (-x, bottom))
    sketch.fill(placket, _pick(rng, "main", "main", "main", "trim"), light=0.07, cut=0.02)
    _buttons(sketch, 0, 0.22, t.length * 0.93, _count(rng, 5, 9), rng.uniform(0.024, 0.036))
    _collar(sketch, rng, t, rng.uniform(0.14, 0.22), 1.15, _pick(rng, "main", "main", "trim"))
    flap = _chance(rng, 0.5)
    for sign in (1, -1)[: _count(rng, 0, 3)]:
        _pocket(sketch, sign * t.chest * 0.5, 0.42, rng.uniform(0.09, 0.12), flap)
    return sketch


def _outwear(rng: Rng) -> _Sketch:
    """A jacket, a coat or a padded vest: wide, with a zip or big buttons, and pockets."""
    sketch, t = _Sketch(), _cut_torso(rng, ease=0.07, length=(1.15, 1.95))
    style = _pick(rng, "hood", "hood", "stand-up", "lapels")
    if _chance(rng, 0.25):
        _hanger(sketch, t)
    if style == "hood":
        hood = _ellipse(0, 0.0, t.neck * rng.uniform(1.3, 1.6), rng.uniform(0.2, 0.3))
        sketch.fill(hood, light=-0.05)
        sketch.fill(_move(hood * 0.72, 0, 0.02), "lining", light=-0.2)
    cuff, sleeve = _pick(rng, "main", "trim"), (rng.uniform(0.95, 1.2), rng.uniform(0.1, 0.75))
    if _chance(rng, 0.85):
        _sleeve(sketch, rng, t, *sleeve, rng.uniform(0.13, 0.18), cuff)
    _body(sketch, rng, t)
    if style != "lapels" and _chance(rng, 0.85):  # quilted
        step = rng.uniform(0.12, 0.22)
        for y in np.arange(0.3, t.length - 0.05, step):
            half = t.waist * 0.97
            sketch.line(_arc((-half, y), (half, y), 0.025), light=-0.5, width=0.022)
            sketch.fold(_arc((-half, y + 0.03), (half, y + 0.03), 0.025), 0.35, 0.035)
    if style == "lapels":
        drop = rng.uniform(0.4, 0.7)
        sketch.line(_points((0, drop), (0.02, t.length)), light=-0.5, width=0.018)
        _collar(sketch, rng, t, drop, 1.4, _pick(rng, "main", "main", "trim"))
        for x in (0.07, -0.13)[: _count(rng, 1, 3)]:
            _buttons(sketch, x, drop + 0.08, t.length * 0.85, _count(rng, 2, 5), 0.035)
    else:
        sketch.line(_points((0, 0.05), (0, t.length)), "trim", -0.1, rng.uniform(0.03, 0.05))
        sketch.line(_points((0, 0.05), (0, t.length)), "lining", -0.4, 0.012)
        collar = _points((-0.95, -0.09), (0.95, -0.09), (1.1, 0.1), (0, 0.17), (-1.1, 0.1))
        if style == "stand-up":
            sketch.fill(collar * (t.neck, 1), _pick(rng, "main", "trim"), light=0.06, cut=0.12)
            sketch.line(_points((0, -0.07), (0, 0.16)), "lining", -0.4, 0.015)
    low = t.length * rng.uniform(0.66, 0.76)
    flap = _chance(rng, 0.4)
    for sign in (-1, 1):
        x = sign * t.waist * 0.6
        if flap:
            _pocket(sketch, x, low, 0.13, flap=True)
        else:
            slit = _points((x - sign * 0.06, low), (x + sign * 0.06, low + 0.2))
            sketch.line(slit, "trim", -0.25, 0.03)
    if _chance(rng, 0.3):
        _belt(sketch, t.waist * 1.0, (t.armpit + t.length) / 2, "trim")
    return sketch


def _belt(sketch: _Sketch, half: float, y: float, cloth: str) -> None:
    band = _points((-half, -0.045), (half, -0.045), (half, 0.045), (-half, 0.045))
    sketch.fill(_move(band, 0, y), cloth, cut=0.05)
    sketch.fill(_ellipse(0, y, 0.06, 0.06, 4), "lining", light=0.2, cut=0.1)


# From the waist down: dress, skirt, pants, shorts


def _drape(
    sketch: _Sketch, rng: Rng, waist: float, hem: float, top: float, bottom: float, count: int
) -> None:
    """Folds that fan out from the waist to the hem."""
    for share in np.linspace(-0.85, 0.85, count) + rng.normal(0, 0.04, count):
        start, end = (share * waist, top), (share * hem, bottom)
        sketch.fold(_points(start, end), rng.uniform(-0.55, -0.2), rng.uniform(0.02, 0.06))
        sketch.fold(_move(_points(start, end), 0.05, 0), rng.uniform(0.1, 0.3), 0.03)


def _dress(rng: Rng) -> _Sketch:
    sketch = _Sketch()
    chest = rng.uniform(0.34, 0.42)
    t = _Torso(
        neck=rng.uniform(0.13, 0.2),
        shoulder=chest * rng.uniform(0.8, 1.0),
        chest=chest,
        waist=chest * rng.uniform(0.72, 0.95),
        hem=chest * rng.uniform(1.15, 2.3),
        length=rng.uniform(1.45, 2.1),
    )
    belt = rng.uniform(0.7, 0.85)
    if _chance(rng, 0.2):
        _hanger(sketch, t)
    style = _pick(rng, "sleeveless", "sleeveless", "straps", "short", "short", "long")
    if style in ("short", "long"):
        length = rng.uniform(0.2, 0.4) if style == "short" else rng.uniform(0.8, 1.05)
        _sleeve(sketch, rng, t, length, rng.uniform(0.3, 0.9), 0.11)
    top = _points((t.neck, 0), (t.shoulder, t.slope), (t.chest * 0.86, 0.3), (t.chest, t.armpit))
    if style == "straps":
        for sign in (-1, 1):
            strap = _points((sign * t.neck, 0), (sign * t.chest * 0.7, t.armpit))
            sketch.line(strap, "main", -0.05, rng.uniform(0.04, 0.07))
        top = _points((0, t.armpit - 0.06), (t.chest * 0.75, t.armpit - 0.12), (t.chest, t.armpit))
    hip = (t.waist * 0.5 + t.hem * 0.5, (belt + t.length) / 2 - 0.1)
    side = np.concatenate([top, _points((t.waist, belt), hip, (t.hem, t.length))])
    hem = _wavy(rng, side[-1], _mirror(side[-1]), rng.uniform(0, 0.12))
    sketch.fill(np.concatenate([side, hem, _mirror(side)[::-1]]), cut=0.12)
    _drape(sketch, rng, t.waist, t.hem, belt, t.length, _count(rng, 3, 9))
    if style != "straps":
        _neckline(sketch, rng, t, rng.uniform(0.1, 0.3), _chance(rng, 0.3))
    if _chance(rng, 0.5):
        _belt(sketch, t.waist, belt, _pick(rng, "trim", "main", "lining"))
    else:
        sketch.line(_arc((-t.waist, belt), (t.waist, belt), 0.03), light=-0.3)
    if _chance(rng, 0.15):
        _buttons(sketch, 0, 0.35, t.length * 0.9, 9, 0.018)
    return sketch


def _waistband(sketch: _Sketch, rng: Rng, half: float, height: float) -> None:
    """A band with belt loops, a drawstring or a button."""
    band = np.concatenate(
        [_arc((-half, 0), (half, 0), 0.03), _arc((half, height), (-half, height), 0.03)]
    )
    sketch.fill(band, _pick(rng, "main", "main", "trim"), light=0.04, cut=0.05)
    style = _pick(rng, "loops", "elastic", "drawstring", "plain")
    if style == "loops":
        for x in np.array([-0.75, -0.35, 0.35, 0.75]) * half:
            sketch.line(_points((x, 0.0), (x, height + 0.04)), "main", 0.15, 0.035)
        sketch.dot(0.0, height * 0.65, 0.028)
    elif style == "elastic":
        for x in np.linspace(-0.9, 0.9, 17) * half:
            sketch.line(_points((x, 0.02), (x, height + 0.02)), light=-0.25, width=0.01)
    elif style == "drawstring":
        for x in (-0.05, 0.06):
            sketch.line(_arc((0, height), (x, height + 0.22), 0.02), "trim", 0.1, 0.025)


def _trousers(rng: Rng, length: float, hem: float, gap: float) -> _Sketch:
    """Two legs; `hem` is the half width of one leg's end, `gap` half the distance between them."""
    sketch = _Sketch()
    waist, crotch = rng.uniform(0.36, 0.46), rng.uniform(0.5, 0.62)
    hip = waist * rng.uniform(1.05, 1.25)
    right = rng.uniform(0, 0.03)
    centre = gap + hem
    outer = _points((waist, 0.03), (hip, crotch * 0.8), (centre + hem, length))
    inner = _points((gap, length + right), (0.012, crotch + 0.03))
    if length > 1.2:  # knees
        knee = (hip + centre + hem) / 2 * rng.uniform(0.88, 1.0)
        outer = np.insert(outer, 2, (knee, (crotch + length) / 2), axis=0)
    leg = np.concatenate([[(0, 0.06)], outer, inner, [(0, crotch)]])
    stripe = _chance(rng, 0.15)
    cuff = _pick(rng, "", "", "main", "trim")
    for flip in (1, -1):
        sketch.fill(leg * (flip, 1), cut=0.07)
        if stripe:
            sketch.line(outer[1:] * (flip * 0.92, 1), "trim", 0, 0.06)
        if cuff:
            band = _points(
                (centre + hem, -0.09), (centre + hem, 0), (gap, right), (gap, right - 0.09)
            )
            sketch.fill(_move(band, 0, length) * (flip, 1), cuff, light=0.06, cut=0.04)
        crease = _points((hip * 0.5 * flip, 0.3), (centre * flip, length))
        sketch.fold(crease, rng.uniform(-0.3, 0.35), 0.06)
        for _ in range(2):
            y = rng.uniform(crotch, length * 0.95)
            sketch.fold(_arc((flip * gap, y), (flip * (gap + hem), y - 0.1), 0.03), -0.35, 0.04)
        pocket = _arc((waist * 0.55 * flip, 0.1), (hip * 0.97 * flip, 0.32), 0.07)
        sketch.line(pocket, light=-0.4, width=0.015)
        sketch.fold(_arc((0, crotch), (flip * hip * 0.7, crotch * 0.7), 0.05), -0.45, 0.05)
    sketch.line(_arc((0.09, 0.1), (0.0, crotch * 0.8), 0.12), light=-0.35)
    sketch.line(_points((0, 0.06), (0, crotch)), light=-0.45)
    _waistband(sketch, rng, waist, rng.uniform(0.07, 0.14))
    if _chance(rng, 0.15):
        _belt(sketch, waist * 1.02, 0.08, "trim")
    return sketch


def _pants(rng: Rng) -> _Sketch:
    return _trousers(
        rng, rng.uniform(1.5, 2.3), hem=rng.uniform(0.1, 0.24), gap=rng.uniform(0.02, 0.3)
    )


def _shorts(rng: Rng) -> _Sketch:
    return _trousers(
        rng, rng.uniform(0.72, 1.15), hem=rng.uniform(0.2, 0.29), gap=rng.uniform(0.02, 0.14)
    )


def _skirt(rng: Rng) -> _Sketch:
    sketch = _Sketch()
    waist, length = rng.uniform(0.34, 0.46), rng.uniform(0.65, 1.5)
    hem = waist * rng.uniform(0.95, 2.1)
    hip = (max(waist * 1.1, (waist + hem) / 2), length * 0.4)
    side = _points((waist, 0.03), hip, (hem, length))
    ends = _wavy(rng, side[-1], _mirror(side[-1]), rng.uniform(0, 0.14))
    sketch.fill(np.concatenate([side, ends, _mirror(side)[::-1]]), cut=0.1)
    style = _pick(rng, "pleats", "drape", "drape", "tiers", "denim", "slit")
    if style == "pleats":
        for share in np.linspace(-0.9, 0.9, _count(rng, 6, 14)):
            sketch.line(_points((share * waist, 0.1), (share * hem, length)), light=-0.3)
            sketch.fold(_points((share * waist, 0.1), (share * hem + 0.03, length)), 0.3, 0.03)
    elif style == "tiers":
        for share in (0.35, 0.68):
            half, y = waist + (hem - waist) * share, length * share
            sketch.line(_arc((-half, y), (half, y), 0.05), light=-0.4, width=0.02)
    elif style == "denim":
        _buttons(sketch, 0, 0.2, length * 0.92, _count(rng, 3, 8), 0.02)
        for sign in (-1, 1):
            pocket = _arc((waist * 0.5 * sign, 0.1), (hip[0] * 0.95 * sign, 0.3), 0.07)
            sketch.line(pocket, light=-0.4, width=0.015)
    elif style == "slit":
        x = rng.uniform(-0.6, 0.6) * hem
        gash = _points((x * 0.85, length * 0.6), (x + 0.05, length * 1.03), (x - 0.03, length))
        sketch.fill(gash, "lining", light=-0.4, cut=0.03)
    if style != "pleats":
        _drape(sketch, rng, waist, hem, 0.1, length, _count(rng, 2, 8))
    _waistband(sketch, rng, waist, rng.uniform(0.07, 0.15))
    return sketch


# Head and feet


def _dome(width: float, height: float, squareness: float) -> Points:
    """The upper half of a rounded box (a superellipse) on the line y = 0."""
    angle = np.linspace(math.pi, 0, 25)
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** squareness
    return np.stack([width * x, -height * np.sin(angle) ** squareness], axis=1)


def _cap(sketch: _Sketch, rng: Rng) -> None:
    """A cap whose brim points to the viewer or, more or less, to the right."""
    width, height = rng.uniform(0.5, 0.58), rng.uniform(0.55, 0.72)
    crown = np.concatenate([_dome(width, height, 0.85), _arc((width, 0), (-width, 0), 0.1)])
    sketch.fill(crown, cut=0.15)
    for x in (-0.8, 0.8):
        bow = np.sin(np.linspace(0, math.pi / 2, 9)) * x * 0.65 * width
        sketch.line(np.stack([bow, np.linspace(-height, 0.07, 9)], axis=1), light=-0.3)
    sketch.dot(0, -height, 0.045, _pick(rng, "main", "trim"))
    aside = rng.uniform(0, 0.75)
    if _chance(rng, 0.7):
        _print_on(sketch, rng, aside * 0.35, -height * 0.45, 0.17)
    left, right = (-width * (1.12 - aside), 0.05), (width * (1.12 + aside * 0.6), 0.06)
    reach = rng.uniform(0.36, 0.5) * (1 - aside * 0.3)
    brim = np.concatenate([_arc(left, right, 0.1), _arc(right, left, reach)])
    sketch.fill(brim, _pick(rng, "main", "trim"), light=-0.1, cut=0.15)
    for share in (0.5, 0.75):
        sketch.line(_arc(left, right, 0.1 + (reach - 0.1) * share), light=-0.3, width=0.008)


def _beanie(sketch: _Sketch, rng: Rng) -> None:
    width, height, band = rng.uniform(0.5, 0.6), rng.uniform(0.65, 0.95), rng.uniform(0.2, 0.32)
    if _chance(rng, 0.5):
        for dx, dy in rng.normal(0, 0.07, (40, 2)):
            sketch.dot(dx, dy - height - 0.08, 0.05, "trim", rng.uniform(-0.2, 0.15))
    sketch.fill(np.concatenate([_dome(width, height, 0.8), _points((width, 0.1), (-width, 0.1))]))
    cuff = np.concatenate([_arc((-1, 0), (1, 0), 0.06), _arc((1, band), (-1, band), 0.06)])
    for x in np.linspace(-0.85, 0.85, 9) * width:
        sketch.fold(_arc((x * 0.3, -height * 0.95), (x, 0), 0.0), -0.3, 0.03)
    sketch.fill(cuff * (width * 1.05, 1), _pick(rng, "main", "trim"), light=0.05, cut=0.1)
    for x in np.linspace(-0.95, 0.95, _count(rng, 12, 24)) * width:
        sketch.line(_points((x, 0.06), (x, band + 0.03)), "main", -0.25, 0.012)


def _brimmed(sketch: _Sketch, rng: Rng) -> None:
    """A sun hat or a fedora: a wide flat brim and a ribbon."""
    width, height = rng.uniform(0.4, 0.5), rng.uniform(0.35, 0.6)
    brim = _ellipse(0, 0.05, width * rng.uniform(1.7, 2.2), rng.uniform(0.2, 0.4))
    brim[:, 1] += rng.uniform(-0.3, 0.15) * brim[:, 0] ** 2
    sketch.fill(brim, light=-0.06)
    crown = np.concatenate([_dome(width, height, 0.5), _arc((width, 0), (-width, 0), 0.15)])
    sketch.fill(crown, light=0.05, cut=0.1)
    sketch.fold(_arc((-width * 0.5, -height), (width * 0.5, -height), 0.18), -0.5, 0.07)
    low, high = (width, 0.0), (width * 0.98, -0.16)
    ribbon = [_arc(_mirror(np.array(low)), low, 0.15), _arc(high, _mirror(np.array(high)), 0.14)]
    sketch.fill(np.concatenate(ribbon), "trim", cut=0.05)


def _bucket(sketch: _Sketch, rng: Rng) -> None:
    top, width, height = rng.uniform(0.36, 0.45), rng.uniform(0.5, 0.55), rng.uniform(0.4, 0.55)
    hem, drop = width * rng.uniform(1.3, 1.6), rng.uniform(0.25, 0.35)
    crown = _points((-width, 0), (-top, -height), (0, -height * 1.1), (top, -height), (width, 0))
    brim = np.concatenate(
        [_arc((-width, 0), (width, 0), 0.12), _arc((hem, drop), (-hem, drop), 0.2)]
    )
    sketch.fill(np.concatenate([crown, _arc((width, 0), (-width, 0), 0.12)]), cut=0.15)
    sketch.fill(brim, _pick(rng, "main", "main", "trim"), light=-0.1, cut=0.08)
    for share in (0.35, 0.6, 0.85):
        half, y = width + (hem - width) * share, drop * share
        sketch.line(_arc((-half, y), (half, y), 0.12 + 0.08 * share), light=-0.25, width=0.008)
    band = _arc((-width, -0.05), (width, -0.05), 0.12)
    sketch.line(band, _pick(rng, "main", "trim"), 0.0, 0.09)


def _hat(rng: Rng) -> _Sketch:
    sketch = _Sketch()
    style: Callable[[_Sketch, Rng], None] = [_cap, _cap, _beanie, _brimmed, _bucket][
        rng.integers(5)
    ]
    style(sketch, rng)
    return sketch


def _side_shoe(rng: Rng) -> _Sketch:
    """One shoe from the side, its toe to the right."""
    sketch = _Sketch()
    style = _pick(rng, "sneaker", "sneaker", "boot", "pump")
    if style == "pump":
        h = rng.uniform(0.3, 0.6)
        back = _points((-0.74, -h), (-0.8, -h - 0.4), (-0.66, -h - 0.42))
        throat = _points((-0.4, -h - 0.12), (0.0, -h * 0.6 - 0.12), (0.25, -0.4), (0.4, -0.42))
        toe = _points((0.75, -0.3), (1.0, -0.03), (0.35, 0.03), (-0.1, -h * 0.3), (-0.5, -h * 0.9))
        post = _points((-0.75, -h - 0.05), (-0.5, -h), (-0.64, 0.02), (-0.73, 0.02))
        sketch.fill(post, "trim", -0.1, cut=0.06)
        sketch.fill(np.concatenate([back, throat, toe]), cut=0.14)
        sketch.line(_arc(toe[1], toe[3], 0.0), "trim", -0.1, 0.04)
        return sketch
    shaft = rng.uniform(0.8, 1.2) if style == "boot" else rng.uniform(0.45, 0.6)
    tongue = 0.0 if style == "boot" else 0.05
    heel = _points((-0.76, 0), (-0.74, -shaft * 0.6), (-0.7, -shaft))
    instep = _points((tongue, -shaft - 0.06), (0.2, -0.42), (0.5, -0.3), (0.78, -0.26), (0.9, -0.1))
    sketch.fill(np.concatenate([heel, instep, [(0.9, 0)]]), cut=0.16)
    mouth = _arc((-0.68, -shaft), (tongue - 0.02, -shaft - 0.04), 0.12)
    sketch.fill(np.concatenate([mouth, _arc(mouth[-1], mouth[0], -0.03)]), "lining", -0.3)
    thick = rng.uniform(0.08, 0.16)
    sole = _points((-0.82, -0.03), (0.92, -0.03), (0.9, thick), (-0.8, thick))
    sketch.fill(sole, _pick(rng, "trim", "trim", "lining"), 0.1, cut=0.12)
    sketch.line(_points((0.42, -0.3), (0.5, -0.03)), light=-0.35)
    for share in np.linspace(0.05, 0.85, _count(rng, 3, 6)):
        x, y = tongue + (0.3 - tongue) * share, -shaft + (shaft - 0.3) * share
        sketch.line(_points((x, y), (x - 0.18, y + 0.05)), "trim", 0.1, 0.03)
    if _chance(rng, 0.4):
        swoosh = _arc((-0.5, -0.2), (0.15, -0.25), 0.12)
        sketch.line(swoosh, "trim", 0, 0.05)
    return sketch


def _top_shoe(rng: Rng) -> _Sketch:
    """One (right) shoe from above, its toe upwards."""
    sketch = _Sketch()
    toe, ball = rng.uniform(0.1, 0.22), rng.uniform(0.27, 0.34)
    right = _points(
        (0.02, -0.85), (toe, -0.8), (ball, -0.45), (0.2, 0.15), (0.24, 0.55), (0.1, 0.8)
    )
    left = _points((-0.1, 0.8), (-0.24, 0.55), (-0.19, 0.1), (-0.27, -0.4), (-toe * 0.9, -0.8))
    outline = np.concatenate([right, left])
    sketch.fill(outline * 1.08, _pick(rng, "trim", "lining"), 0.0)
    sketch.fill(outline)
    style = _pick(rng, "laces", "laces", "slip-on", "sandal")
    mouth = rng.uniform(-0.1, 0.1) if style == "laces" else rng.uniform(-0.4, -0.15)
    sketch.fill(_ellipse(0, (mouth + 0.72) / 2, 0.17, (0.72 - mouth) / 2), "lining", -0.3)
    if style == "laces":
        sketch.line(_arc((-0.24, -0.5), (0.28, -0.5), -0.12), light=-0.3)
        for y in np.linspace(-0.35, mouth, 4):
            sketch.line(_points((-0.1, y), (0.11, y + 0.04)), "trim", 0.15, 0.035)
    elif style == "slip-on" and _chance(rng, 0.5):
        bow = _points((-0.12, -0.07), (0.12, 0.07), (0.12, -0.07), (-0.12, 0.07))
        sketch.fill(_move(bow, 0, mouth - 0.08), "trim")
    elif style == "sandal":
        for y in (-0.3, 0.05, 0.35)[: _count(rng, 1, 4)]:
            sketch.line(_arc((-0.26, y), (0.27, y), -0.06), "main", 0.05, 0.1)
    return sketch


def _shoes(rng: Rng) -> _Sketch:
    """A pair, or a single one."""
    sketch = _Sketch()
    if _chance(rng, 0.5):
        shoe, gap, turn = _top_shoe(rng), rng.uniform(0.33, 0.42), rng.normal(0, 0.12)
        sketch.add(shoe, turn, (-1, 1), _points((-gap, rng.normal(0, 0.05)))[0])
        sketch.add(shoe, -turn + rng.normal(0, 0.05), (1, 1), _points((gap, 0))[0])
        return sketch
    shoe = _side_shoe(rng)
    if _chance(rng, 0.8):
        behind = (rng.uniform(-0.4, 0.4), rng.uniform(-0.75, -0.45))
        sketch.add(shoe, rng.normal(0, 0.08), (_chance(rng, 0.75) or -1, 1), _points(behind)[0])
    sketch.add(shoe, 0.0, (1, 1), np.zeros(2))
    return sketch


_GARMENTS: dict[str, Callable[[Rng], _Sketch]] = dict(
    zip(
        CLOTHING_CLASSES,
        (_dress, _hat, _longsleeve, _outwear, _pants, _shirt, _shoes, _shorts, _skirt, _t_shirt),
        strict=True,
    )
)


# Painting: from unit coordinates to pixels


class _Pose(NamedTuple):
    """Where a sketch lies in the picture: points -> waves -> matrix -> perspective -> shift."""

    middle: Points  # of the sketch, in its own coordinates
    matrix: np.ndarray  # (2, 2), to pixels
    lean: np.ndarray  # (2,), perspective: how much farther away each pixel is
    shift: np.ndarray  # (2,), pixels
    waves: np.ndarray  # (2, 2): amplitude and phase along x and y

    def place(self, lines: list[Points], scale: float) -> list[list[float]]:
        """Each line's points as x, y, x, y, … in pixels times `scale`, all in one go."""
        points = np.concatenate(lines) - self.middle
        points += self.waves[0] * np.sin(3 * points[:, ::-1] + self.waves[1])
        points = points @ self.matrix
        points = points / (1 + points @ self.lean)[:, None] + self.shift
        flat, ends = (points * scale).ravel().tolist(), np.cumsum([0, *map(len, lines)]) * 2
        return [flat[start:end] for start, end in pairwise(ends)]

    def unplace(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Roughly the way back, without waves and perspective: where on the cloth a pixel is."""
        (a, b), (c, d) = np.linalg.inv(self.matrix).tolist()
        x, y = x - float(self.shift[0]), y - float(self.shift[1])
        return x * a + y * c, x * b + y * d


def _pose(sketch: _Sketch, rng: Rng, height: int, width: int) -> _Pose:
    corners = np.concatenate([stroke.points for stroke in sketch.strokes])
    low, high = corners.min(axis=0), corners.max(axis=0)
    turn = rng.normal(0, 0.07)
    stretch = np.array([rng.uniform(0.92, 1.08), 1.0])
    mirror = np.array([-1 if _chance(rng, 0.5) else 1, 1])
    c, s = math.cos(turn), math.sin(turn)
    matrix = np.diag(stretch * mirror) @ np.array([[c, s], [-s, c]])
    extent = np.abs(matrix.T) @ (high - low)
    scale = rng.uniform(0.88, 1.0) * min(width / extent[0], height / extent[1])
    room = np.maximum((width, height) - extent * scale, 0) / 2
    return _Pose(
        middle=(low + high) / 2,
        matrix=matrix * scale,
        lean=rng.normal(0, 0.08, 2) / max(extent * scale),
        shift=np.array([width, height]) / 2 + room * rng.uniform(-0.8, 0.8, 2),
        waves=np.array([rng.uniform(0.0, 0.03, 2), rng.uniform(0, 6, 2)]),
    )


def _rasterize(
    sketch: _Sketch, pose: _Pose, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """The share of each cloth in each pixel (3, height, width), and its light (height, width).

    CMYK is Pillow's only mode with four plain channels; here they are three cloths and the light.
    """
    from PIL import Image, ImageDraw, ImageFilter

    unit = math.sqrt(abs(np.linalg.det(pose.matrix)))  # pixels
    k = _OVERSAMPLING
    canvas = Image.new("CMYK", (width * k, height * k), (0, 0, 0, 128))
    draw = ImageDraw.Draw(canvas)
    lines = pose.place([stroke.points for stroke in sketch.strokes], k)
    for line, (_, cloth, light, thickness) in zip(lines, sketch.strokes, strict=True):
        share = [255 * (cloth == name) for name in _CLOTHS]
        ink = (*share, round(128 + 127 * min(max(light, -1.0), 0.99)))
        if thickness:
            draw.line(line, ink, max(1, round(thickness * unit * k)), joint="curve")
        else:
            draw.polygon(line, ink)
    layers = np.asarray(canvas.reduce(k), dtype=np.float32)
    shade = layers[..., 3] / 128
    if sketch.folds:
        folds = Image.new("L", (width, height), 128)
        draw = ImageDraw.Draw(folds)
        lines = pose.place([fold[0] for fold in sketch.folds], 1)
        for line, (_, light, thickness) in zip(lines, sketch.folds, strict=True):
            draw.line(line, round(128 + 127 * light), max(1, round(thickness * unit)))
        folds = folds.filter(ImageFilter.BoxBlur(0.025 * unit))
        shade += np.asarray(folds, dtype=np.float32) / 128 - 1
    return np.ascontiguousarray(layers[..., :3].transpose(2, 0, 1)) / 255, shade


# Photographing: colours. Pictures are (3, height, width) here: NumPy is slow where its last axis is
# as short as three.


def _noise(rng: Rng, height: int, width: int, rows: int, columns: int) -> np.ndarray:
    """Smooth noise of about [-1, 1] with `rows` by `columns` hills and valleys."""
    from PIL import Image

    coarse = rng.uniform(-1, 1, (rows + 2, columns + 2)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def _grain(rng: Rng, height: int, width: int) -> np.ndarray:
    """Noise that differs from pixel to pixel."""
    return rng.standard_normal((height, width), dtype=np.float32)


def _colour(rng: Rng) -> np.ndarray:
    """What clothes are dyed in, (3, 1, 1): much black, white, grey and blue, and all the rest."""
    from colorsys import hsv_to_rgb

    style = rng.random()
    if style < 0.35:
        hsv = rng.random(), rng.uniform(0, 0.15), rng.uniform(0.08, 0.95)
    elif style < 0.55:
        hsv = rng.uniform(0.55, 0.68), rng.uniform(0.25, 0.7), rng.uniform(0.2, 0.8)
    else:
        hsv = rng.random(), rng.uniform(0.2, 0.8), rng.uniform(0.3, 0.92)
    return np.array(hsv_to_rgb(*hsv), dtype=np.float32)[:, None, None]


def _steps(wave: np.ndarray, sharpness: float = 3.0) -> np.ndarray:
    """0 or 1 by the sign of a wave, with a soft edge."""
    return np.clip(0.5 + sharpness * wave, 0, 1)


def _cloth(rng: Rng, u: np.ndarray, v: np.ndarray, base: np.ndarray) -> np.ndarray:
    """A dyed or printed fabric; `u`, `v` say where on the cloth each pixel lies."""
    height, width = u.shape
    other = _colour(rng) if _chance(rng, 0.3) else np.clip(base * rng.uniform(0.6, 1.5), 0, 1)
    prints = ("stripes", "rows", "checks", "dots", "gradient", "flowers", "camouflage")
    style = "plain" if _chance(rng, 0.55) else _pick(rng, *prints)
    often, rare = rng.uniform(14, 40), rng.uniform(-0.6, 0.6)
    share: np.ndarray | float = 0.0  # of the other colour
    if style == "stripes":
        share = _steps(np.sin(u * often) + rare)
    elif style == "rows":
        share = _steps(np.sin(v * often * 0.7) + rare)
    elif style == "checks":
        share = (_steps(np.sin(u * often) + rare) + _steps(np.sin(v * often) + rare)) / 2
    elif style == "dots":
        share = _steps(np.sin(u * often) * np.sin(v * often) - 0.4)
    elif style == "gradient":
        share = np.clip(0.5 + v * rng.uniform(-0.6, 0.6), 0, 1)
    elif style == "flowers":
        cells = _count(rng, 14, 30)
        share = _steps(_noise(rng, height, width, cells, cells) - 0.3, 5)
    elif style == "camouflage":
        share = _steps(_noise(rng, height, width, 8, 8), 6)
    cloth = base + share * (other - base)
    if _chance(rng, 0.4):  # coarsely woven
        cloth = cloth * (1 + rng.uniform(0.02, 0.05) * _grain(rng, height, width))
    elif _chance(rng, 0.3):  # knitted, or corduroy
        cloth = cloth * (1 + 0.06 * np.sin((u if _chance(rng, 0.5) else v) * 70))
    return cloth


def _background(rng: Rng, height: int, width: int) -> np.ndarray:
    """A floor, a sheet, a carpet or a wall, (3, height, width)."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / max(height, width)
    base = _colour(rng)
    if _chance(rng, 0.93):  # floors and walls are mostly light and pale
        base = 1 - (1 - base) * rng.uniform(0.03, 0.18)
    style = _pick(rng, "wall", "wood", "tiles", "sheet", "carpet", "room")
    light = 1 + 0.05 * _noise(rng, height, width, 5, 5)
    if style == "wood":
        wood = np.array([0.74, 0.54, 0.37], dtype=np.float32)[:, None, None]
        base = wood * rng.uniform(1.1, 1.3) + (base - 0.5) * rng.uniform(0, 0.35)
        turned = _chance(rng, 0.5)
        fibre = _noise(rng, height, width, *((90, 6) if turned else (6, 90)))
        across = (y if turned else x) * _count(rng, 3, 8)
        tone = rng.uniform(-0.05, 0.05, 8).astype(np.float32)[across.astype(int)]
        light = light + tone + 0.05 * fibre - 0.15 * (np.abs(across % 1 - 0.5) > 0.48)
    elif style == "tiles":
        count, turn = rng.uniform(2, 6), rng.uniform(0, 1.6)
        along = (x * math.cos(turn) + y * math.sin(turn)) * count
        across = (y * math.cos(turn) - x * math.sin(turn)) * count
        joint = np.maximum(np.abs(along % 1 - 0.5), np.abs(across % 1 - 0.5)) > 0.48
        light = light - rng.uniform(0.06, 0.18) * joint
    elif style == "sheet":
        light = light + rng.uniform(0.04, 0.12) * _noise(rng, height, width, *rng.integers(3, 9, 2))
    elif style == "carpet":
        light = light + rng.uniform(0.02, 0.05) * _grain(rng, height, width)
        blots = _steps(_noise(rng, height, width, *rng.integers(5, 14, 2)), 4)
        base = base + rng.uniform(0, 0.15) * blots * (_colour(rng) - base)
    elif style == "room":  # a floor below the wall
        edge = (rng.uniform(0.6, 0.9) + rng.normal(0, 0.05) * x) * height / max(height, width)
        floor = (1 - (1 - _colour(rng)) * 0.3) * (1 + 0.1 * _noise(rng, height, width, 5, 40))
        base = np.where(y > edge, floor, base)
    return base * light


def _contrast(rng: Rng, colour: np.ndarray, ground: np.ndarray, darker: bool) -> np.ndarray:
    """`colour`, or another one if it can hardly be seen on `ground`, or isn't darker."""
    while np.abs(colour - ground).sum() < 0.5 or (darker and (ground - colour).mean() < 0.2):
        colour = _colour(rng)
    return colour


def _photograph(rng: Rng, shares: np.ndarray, light: np.ndarray, pose: _Pose) -> "Image":
    """Colours, relief, shadow and camera over the painted shares."""
    from PIL import Image, ImageFilter

    height, width = light.shape
    side = min(height, width)
    ground = _background(rng, height, width)
    u, v = pose.unplace(*np.mgrid[0:height, 0:width].astype(np.float32)[::-1])
    mean = ground.mean(axis=(1, 2), keepdims=True)
    # Most clothes are darker than the floor: a small network learns forms sooner so.
    base = _contrast(rng, _colour(rng), mean, mean.mean() > 0.5 and _chance(rng, 0.93))
    trim = _contrast(rng, _colour(rng), base, darker=False)
    lining = base * rng.uniform(0.4, 0.8) if _chance(rng, 0.6) else _colour(rng)
    cloth = _cloth(rng, u, v, base) * shares[0] + trim * shares[1] + lining * shares[2]
    cover = np.minimum(shares.sum(axis=0), 1)  # rounding may give a hair more
    stencil = Image.fromarray((cover * 255).astype(np.uint8))

    def blurred(radius: float) -> np.ndarray:
        return np.asarray(stencil.filter(ImageFilter.BoxBlur(radius)), dtype=np.float32) / 255

    # Cloth bulges: the side that faces the lamp is lighter.
    angle = rng.uniform(0, 2 * math.pi)
    towards = np.array([math.sin(angle), math.cos(angle)], dtype=np.float32)
    slope_y, slope_x = np.gradient(blurred(side * 0.03))
    facing = slope_y * towards[0] + slope_x * towards[1]
    light = light + rng.uniform(0.2, 0.6) * facing * side * 0.05
    light += 0.05 * _noise(rng, height, width, *rng.integers(4, 12, 2))

    # A shadow falls away from the lamp.
    reach = np.rint(rng.uniform(0.005, 0.03) * side * towards).astype(int)
    shadow = np.roll(blurred(side * rng.uniform(0.008, 0.03)), tuple(reach), axis=(0, 1))
    ground = ground * (1 - rng.uniform(0.15, 0.35) * shadow) * (1 - cover)

    # The lamp, the white balance and the camera.
    picture = ground + cloth * np.clip(light, 0.1, 1.7)
    tint = rng.normal(rng.uniform(0.9, 1.08), 0.025, (3, 1, 1)).astype(np.float32)
    lamp = 1 + rng.uniform(0, 0.2) * (u * towards[1] + v * towards[0])
    picture = picture * (lamp * tint) + rng.uniform(0, 0.02) * _grain(rng, height, width)
    pixels = (np.clip(picture, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return image.filter(ImageFilter.BoxBlur(rng.uniform(0, 0.005) * side))


def draw_clothing(kind: str, rng: Rng, size: int | tuple[int, int] = 160) -> "Image":
    """Draw one item of clothing as an RGB `PIL.Image.Image`.

    `kind` is one of `CLOTHING_CLASSES`; `rng` decides everything else; `size` is the side in
    pixels, or `(height, width)` as in `target_size`, each at least 16. Raises a `ValueError` for
    another kind or size, and a `TypeError` where `rng` is not a `numpy.random.Generator`.
    """
    if kind not in CLOTHING_CLASSES:
        listed = ", ".join(CLOTHING_CLASSES)
        raise ValueError(f"draw_clothing expects kind to be one of {listed}. Received {kind!r}.")
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"draw_clothing expects rng to be a numpy.random.Generator. Received {rng!r}."
        )
    height, width = pair(size, "size", "draw_clothing", minimum=16)
    sketch = _GARMENTS[kind](rng)
    pose = _pose(sketch, rng, height, width)
    shares, light = _rasterize(sketch, pose, height, width)
    return _photograph(rng, shares, light, pose)
