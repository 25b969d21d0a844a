"""Cuts what is worn on head and feet: hats and shoes."""

import math
from collections.abc import Callable

import numpy as np

from minicnn.datasets.drawing.pieces import add_print
from minicnn.datasets.drawing.sketch import (
    Points,
    Rng,
    Sketch,
    arc,
    chance,
    corners,
    ellipse,
    mirrored,
    moved,
    pick,
    whole_number,
)


def _dome(width: float, height: float, squareness: float) -> Points:
    """Return the upper half of a rounded box (a superellipse) on the line y = 0."""
    angle = np.linspace(math.pi, 0, 25)
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** squareness
    return np.stack([width * x, -height * np.sin(angle) ** squareness], axis=1)


def _cap(sketch: Sketch, rng: Rng) -> None:
    """Draw a cap whose brim points to the viewer or, more or less, to the right."""
    width, height = rng.uniform(0.5, 0.58), rng.uniform(0.55, 0.72)
    crown = np.concatenate([_dome(width, height, 0.85), arc((width, 0), (-width, 0), 0.1)])
    sketch.fill(crown, cut=0.15)
    for x in (-0.8, 0.8):
        bow = np.sin(np.linspace(0, math.pi / 2, 9)) * x * 0.65 * width
        sketch.line(np.stack([bow, np.linspace(-height, 0.07, 9)], axis=1), light=-0.3)
    sketch.dot(0, -height, 0.045, pick(rng, "main", "trim"))
    aside = rng.uniform(0, 0.75)
    if chance(rng, 0.7):
        add_print(sketch, rng, aside * 0.35, -height * 0.45, 0.17)
    left, right = (-width * (1.12 - aside), 0.05), (width * (1.12 + aside * 0.6), 0.06)
    reach = rng.uniform(0.36, 0.5) * (1 - aside * 0.3)
    brim = np.concatenate([arc(left, right, 0.1), arc(right, left, reach)])
    sketch.fill(brim, pick(rng, "main", "trim"), light=-0.1, cut=0.15)
    for share in (0.5, 0.75):
        sketch.line(arc(left, right, 0.1 + (reach - 0.1) * share), light=-0.3, width=0.008)


def _beanie(sketch: Sketch, rng: Rng) -> None:
    width, height, band = rng.uniform(0.5, 0.6), rng.uniform(0.65, 0.95), rng.uniform(0.2, 0.32)
    if chance(rng, 0.5):
        for dx, dy in rng.normal(0, 0.07, (40, 2)):
            sketch.dot(dx, dy - height - 0.08, 0.05, "trim", rng.uniform(-0.2, 0.15))
    sketch.fill(np.concatenate([_dome(width, height, 0.8), corners((width, 0.1), (-width, 0.1))]))
    cuff = np.concatenate([arc((-1, 0), (1, 0), 0.06), arc((1, band), (-1, band), 0.06)])
    for x in np.linspace(-0.85, 0.85, 9) * width:
        sketch.fold(arc((x * 0.3, -height * 0.95), (x, 0), 0.0), -0.3, 0.03)
    sketch.fill(cuff * (width * 1.05, 1), pick(rng, "main", "trim"), light=0.05, cut=0.1)
    for x in np.linspace(-0.95, 0.95, whole_number(rng, 12, 24)) * width:
        sketch.line(corners((x, 0.06), (x, band + 0.03)), "main", -0.25, 0.012)


def _brimmed(sketch: Sketch, rng: Rng) -> None:
    """Draw a sun hat or a fedora: a wide flat brim and a ribbon."""
    width, height = rng.uniform(0.4, 0.5), rng.uniform(0.35, 0.6)
    brim = ellipse(0, 0.05, width * rng.uniform(1.7, 2.2), rng.uniform(0.2, 0.4))
    brim[:, 1] += rng.uniform(-0.3, 0.15) * brim[:, 0] ** 2
    sketch.fill(brim, light=-0.06)
    crown = np.concatenate([_dome(width, height, 0.5), arc((width, 0), (-width, 0), 0.15)])
    sketch.fill(crown, light=0.05, cut=0.1)
    sketch.fold(arc((-width * 0.5, -height), (width * 0.5, -height), 0.18), -0.5, 0.07)
    low, high = (width, 0.0), (width * 0.98, -0.16)
    ribbon = [arc(mirrored(np.array(low)), low, 0.15), arc(high, mirrored(np.array(high)), 0.14)]
    sketch.fill(np.concatenate(ribbon), "trim", cut=0.05)


def _bucket(sketch: Sketch, rng: Rng) -> None:
    top, width, height = rng.uniform(0.36, 0.45), rng.uniform(0.5, 0.55), rng.uniform(0.4, 0.55)
    hem, drop = width * rng.uniform(1.3, 1.6), rng.uniform(0.25, 0.35)
    crown = corners((-width, 0), (-top, -height), (0, -height * 1.1), (top, -height), (width, 0))
    brim = np.concatenate([arc((-width, 0), (width, 0), 0.12), arc((hem, drop), (-hem, drop), 0.2)])
    sketch.fill(np.concatenate([crown, arc((width, 0), (-width, 0), 0.12)]), cut=0.15)
    sketch.fill(brim, pick(rng, "main", "main", "trim"), light=-0.1, cut=0.08)
    for share in (0.35, 0.6, 0.85):
        half, y = width + (hem - width) * share, drop * share
        sketch.line(arc((-half, y), (half, y), 0.12 + 0.08 * share), light=-0.25, width=0.008)
    band = arc((-width, -0.05), (width, -0.05), 0.12)
    sketch.line(band, pick(rng, "main", "trim"), 0.0, 0.09)


def cut_hat(rng: Rng) -> Sketch:
    """Cut a cap, a beanie, a hat with a brim, or a bucket hat."""
    sketch = Sketch()
    style: Callable[[Sketch, Rng], None] = [_cap, _cap, _beanie, _brimmed, _bucket][rng.integers(5)]
    style(sketch, rng)
    return sketch


def _side_shoe(rng: Rng) -> Sketch:
    """Draw one shoe from the side, its toe to the right."""
    sketch = Sketch()
    style = pick(rng, "sneaker", "sneaker", "boot", "pump")
    if style == "pump":
        h = rng.uniform(0.3, 0.6)
        back = corners((-0.74, -h), (-0.8, -h - 0.4), (-0.66, -h - 0.42))
        throat = corners((-0.4, -h - 0.12), (0.0, -h * 0.6 - 0.12), (0.25, -0.4), (0.4, -0.42))
        toe = corners((0.75, -0.3), (1.0, -0.03), (0.35, 0.03), (-0.1, -h * 0.3), (-0.5, -h * 0.9))
        post = corners((-0.75, -h - 0.05), (-0.5, -h), (-0.64, 0.02), (-0.73, 0.02))
        sketch.fill(post, "trim", -0.1, cut=0.06)
        sketch.fill(np.concatenate([back, throat, toe]), cut=0.14)
        sketch.line(arc(toe[1], toe[3], 0.0), "trim", -0.1, 0.04)
        return sketch
    shaft = rng.uniform(0.8, 1.2) if style == "boot" else rng.uniform(0.45, 0.6)
    tongue = 0.0 if style == "boot" else 0.05
    heel = corners((-0.76, 0), (-0.74, -shaft * 0.6), (-0.7, -shaft))
    instep = corners((tongue, -shaft - 0.06), (0.2, -0.42), (0.5, -0.3), (0.78, -0.26), (0.9, -0.1))
    sketch.fill(np.concatenate([heel, instep, [(0.9, 0)]]), cut=0.16)
    mouth = arc((-0.68, -shaft), (tongue - 0.02, -shaft - 0.04), 0.12)
    sketch.fill(np.concatenate([mouth, arc(mouth[-1], mouth[0], -0.03)]), "lining", -0.3)
    thick = rng.uniform(0.08, 0.16)
    sole = corners((-0.82, -0.03), (0.92, -0.03), (0.9, thick), (-0.8, thick))
    sketch.fill(sole, pick(rng, "trim", "trim", "lining"), 0.1, cut=0.12)
    sketch.line(corners((0.42, -0.3), (0.5, -0.03)), light=-0.35)
    for share in np.linspace(0.05, 0.85, whole_number(rng, 3, 6)):
        x, y = tongue + (0.3 - tongue) * share, -shaft + (shaft - 0.3) * share
        sketch.line(corners((x, y), (x - 0.18, y + 0.05)), "trim", 0.1, 0.03)
    if chance(rng, 0.4):
        swoosh = arc((-0.5, -0.2), (0.15, -0.25), 0.12)
        sketch.line(swoosh, "trim", 0, 0.05)
    return sketch


def _top_shoe(rng: Rng) -> Sketch:
    """Draw one (right) shoe from above, its toe upwards."""
    sketch = Sketch()
    toe, ball = rng.uniform(0.1, 0.22), rng.uniform(0.27, 0.34)
    right = corners(
        (0.02, -0.85), (toe, -0.8), (ball, -0.45), (0.2, 0.15), (0.24, 0.55), (0.1, 0.8)
    )
    left = corners((-0.1, 0.8), (-0.24, 0.55), (-0.19, 0.1), (-0.27, -0.4), (-toe * 0.9, -0.8))
    outline = np.concatenate([right, left])
    sketch.fill(outline * 1.08, pick(rng, "trim", "lining"), 0.0)
    sketch.fill(outline)
    style = pick(rng, "laces", "laces", "slip-on", "sandal")
    mouth = rng.uniform(-0.1, 0.1) if style == "laces" else rng.uniform(-0.4, -0.15)
    sketch.fill(ellipse(0, (mouth + 0.72) / 2, 0.17, (0.72 - mouth) / 2), "lining", -0.3)
    if style == "laces":
        sketch.line(arc((-0.24, -0.5), (0.28, -0.5), -0.12), light=-0.3)
        for y in np.linspace(-0.35, mouth, 4):
            sketch.line(corners((-0.1, y), (0.11, y + 0.04)), "trim", 0.15, 0.035)
    elif style == "slip-on" and chance(rng, 0.5):
        bow = corners((-0.12, -0.07), (0.12, 0.07), (0.12, -0.07), (-0.12, 0.07))
        sketch.fill(moved(bow, 0, mouth - 0.08), "trim")
    elif style == "sandal":
        for y in (-0.3, 0.05, 0.35)[: whole_number(rng, 1, 4)]:
            sketch.line(arc((-0.26, y), (0.27, y), -0.06), "main", 0.05, 0.1)
    return sketch


def cut_shoes(rng: Rng) -> Sketch:
    """Cut a pair of shoes, or a single one."""
    sketch = Sketch()
    if chance(rng, 0.5):
        shoe, gap, turn = _top_shoe(rng), rng.uniform(0.33, 0.42), rng.normal(0, 0.12)
        sketch.add(shoe, turn, (-1, 1), corners((-gap, rng.normal(0, 0.05)))[0])
        sketch.add(shoe, -turn + rng.normal(0, 0.05), (1, 1), corners((gap, 0))[0])
        return sketch
    shoe = _side_shoe(rng)
    if chance(rng, 0.8):
        behind = (rng.uniform(-0.4, 0.4), rng.uniform(-0.75, -0.45))
        sketch.add(shoe, rng.normal(0, 0.08), (chance(rng, 0.75) or -1, 1), corners(behind)[0])
    sketch.add(shoe, 0.0, (1, 1), np.zeros(2))
    return sketch
