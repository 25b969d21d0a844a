"""Cuts what is worn from the waist down: dress, skirt, pants, shorts."""

import numpy as np

from minicnn.datasets.drawing.pieces import (
    Torso,
    add_belt,
    add_buttons,
    add_hanger,
    add_neckline,
    add_sleeve,
)
from minicnn.datasets.drawing.sketch import (
    Rng,
    Sketch,
    arc,
    chance,
    corners,
    mirrored,
    moved,
    pick,
    wavy,
    whole_number,
)


def _drape(
    sketch: Sketch, rng: Rng, waist: float, hem: float, top: float, bottom: float, count: int
) -> None:
    """Draw folds that fan out from the waist to the hem."""
    for share in np.linspace(-0.85, 0.85, count) + rng.normal(0, 0.04, count):
        start, end = (share * waist, top), (share * hem, bottom)
        sketch.fold(corners(start, end), rng.uniform(-0.55, -0.2), rng.uniform(0.02, 0.06))
        sketch.fold(moved(corners(start, end), 0.05, 0), rng.uniform(0.1, 0.3), 0.03)


def cut_dress(rng: Rng) -> Sketch:
    """Cut a dress, with or without sleeves, and with a wide or narrow skirt."""
    sketch = Sketch()
    chest = rng.uniform(0.34, 0.42)
    t = Torso(
        neck=rng.uniform(0.13, 0.2),
        shoulder=chest * rng.uniform(0.8, 1.0),
        chest=chest,
        waist=chest * rng.uniform(0.72, 0.95),
        hem=chest * rng.uniform(1.15, 2.3),
        length=rng.uniform(1.45, 2.1),
    )
    belt = rng.uniform(0.7, 0.85)
    if chance(rng, 0.2):
        add_hanger(sketch, t)
    style = pick(rng, "sleeveless", "sleeveless", "straps", "short", "short", "long")
    if style in ("short", "long"):
        length = rng.uniform(0.2, 0.4) if style == "short" else rng.uniform(0.8, 1.05)
        add_sleeve(sketch, rng, t, length, rng.uniform(0.3, 0.9), 0.11)
    top = corners((t.neck, 0), (t.shoulder, t.slope), (t.chest * 0.86, 0.3), (t.chest, t.armpit))
    if style == "straps":
        for sign in (-1, 1):
            strap = corners((sign * t.neck, 0), (sign * t.chest * 0.7, t.armpit))
            sketch.line(strap, "main", -0.05, rng.uniform(0.04, 0.07))
        top = corners((0, t.armpit - 0.06), (t.chest * 0.75, t.armpit - 0.12), (t.chest, t.armpit))
    hip = (t.waist * 0.5 + t.hem * 0.5, (belt + t.length) / 2 - 0.1)
    side = np.concatenate([top, corners((t.waist, belt), hip, (t.hem, t.length))])
    hem = wavy(rng, side[-1], mirrored(side[-1]), rng.uniform(0, 0.12))
    sketch.fill(np.concatenate([side, hem, mirrored(side)[::-1]]), cut=0.12)
    _drape(sketch, rng, t.waist, t.hem, belt, t.length, whole_number(rng, 3, 9))
    if style != "straps":
        add_neckline(sketch, rng, t, rng.uniform(0.1, 0.3), chance(rng, 0.3))
    if chance(rng, 0.5):
        add_belt(sketch, t.waist, belt, pick(rng, "trim", "main", "lining"))
    else:
        sketch.line(arc((-t.waist, belt), (t.waist, belt), 0.03), light=-0.3)
    if chance(rng, 0.15):
        add_buttons(sketch, 0, 0.35, t.length * 0.9, 9, 0.018)
    return sketch


def _waistband(sketch: Sketch, rng: Rng, half: float, height: float) -> None:
    """Draw a band with belt loops, a drawstring or a button."""
    band = np.concatenate(
        [arc((-half, 0), (half, 0), 0.03), arc((half, height), (-half, height), 0.03)]
    )
    sketch.fill(band, pick(rng, "main", "main", "trim"), light=0.04, cut=0.05)
    style = pick(rng, "loops", "elastic", "drawstring", "plain")
    if style == "loops":
        for x in np.array([-0.75, -0.35, 0.35, 0.75]) * half:
            sketch.line(corners((x, 0.0), (x, height + 0.04)), "main", 0.15, 0.035)
        sketch.dot(0.0, height * 0.65, 0.028)
    elif style == "elastic":
        for x in np.linspace(-0.9, 0.9, 17) * half:
            sketch.line(corners((x, 0.02), (x, height + 0.02)), light=-0.25, width=0.01)
    elif style == "drawstring":
        for x in (-0.05, 0.06):
            sketch.line(arc((0, height), (x, height + 0.22), 0.02), "trim", 0.1, 0.025)


def _trousers(rng: Rng, length: float, hem: float, gap: float) -> Sketch:
    """Cut two legs; `hem` is half the width of a leg's end, `gap` half the gap between them."""
    sketch = Sketch()
    waist, crotch = rng.uniform(0.36, 0.46), rng.uniform(0.5, 0.62)
    hip = waist * rng.uniform(1.05, 1.25)
    right = rng.uniform(0, 0.03)
    centre = gap + hem
    outer = corners((waist, 0.03), (hip, crotch * 0.8), (centre + hem, length))
    inner = corners((gap, length + right), (0.012, crotch + 0.03))
    if length > 1.2:  # knees
        knee = (hip + centre + hem) / 2 * rng.uniform(0.88, 1.0)
        outer = np.insert(outer, 2, (knee, (crotch + length) / 2), axis=0)
    leg = np.concatenate([[(0, 0.06)], outer, inner, [(0, crotch)]])
    stripe = chance(rng, 0.15)
    cuff = pick(rng, "", "", "main", "trim")
    for flip in (1, -1):
        sketch.fill(leg * (flip, 1), cut=0.07)
        if stripe:
            sketch.line(outer[1:] * (flip * 0.92, 1), "trim", 0, 0.06)
        if cuff:
            band = corners(
                (centre + hem, -0.09), (centre + hem, 0), (gap, right), (gap, right - 0.09)
            )
            sketch.fill(moved(band, 0, length) * (flip, 1), cuff, light=0.06, cut=0.04)
        crease = corners((hip * 0.5 * flip, 0.3), (centre * flip, length))
        sketch.fold(crease, rng.uniform(-0.3, 0.35), 0.06)
        for _ in range(2):
            y = rng.uniform(crotch, length * 0.95)
            sketch.fold(arc((flip * gap, y), (flip * (gap + hem), y - 0.1), 0.03), -0.35, 0.04)
        pocket = arc((waist * 0.55 * flip, 0.1), (hip * 0.97 * flip, 0.32), 0.07)
        sketch.line(pocket, light=-0.4, width=0.015)
        sketch.fold(arc((0, crotch), (flip * hip * 0.7, crotch * 0.7), 0.05), -0.45, 0.05)
    sketch.line(arc((0.09, 0.1), (0.0, crotch * 0.8), 0.12), light=-0.35)
    sketch.line(corners((0, 0.06), (0, crotch)), light=-0.45)
    _waistband(sketch, rng, waist, rng.uniform(0.07, 0.14))
    if chance(rng, 0.15):
        add_belt(sketch, waist * 1.02, 0.08, "trim")
    return sketch


def cut_pants(rng: Rng) -> Sketch:
    """Cut trousers that reach down to the ankles."""
    return _trousers(
        rng, rng.uniform(1.5, 2.3), hem=rng.uniform(0.1, 0.24), gap=rng.uniform(0.02, 0.3)
    )


def cut_shorts(rng: Rng) -> Sketch:
    """Cut trousers that end above the knees."""
    return _trousers(
        rng, rng.uniform(0.72, 1.15), hem=rng.uniform(0.2, 0.29), gap=rng.uniform(0.02, 0.14)
    )


def cut_skirt(rng: Rng) -> Sketch:
    """Cut a skirt of any length and width."""
    sketch = Sketch()
    waist, length = rng.uniform(0.34, 0.46), rng.uniform(0.65, 1.5)
    hem = waist * rng.uniform(0.95, 2.1)
    hip = (max(waist * 1.1, (waist + hem) / 2), length * 0.4)
    side = corners((waist, 0.03), hip, (hem, length))
    ends = wavy(rng, side[-1], mirrored(side[-1]), rng.uniform(0, 0.14))
    sketch.fill(np.concatenate([side, ends, mirrored(side)[::-1]]), cut=0.1)
    style = pick(rng, "pleats", "drape", "drape", "tiers", "denim", "slit")
    if style == "pleats":
        for share in np.linspace(-0.9, 0.9, whole_number(rng, 6, 14)):
            sketch.line(corners((share * waist, 0.1), (share * hem, length)), light=-0.3)
            sketch.fold(corners((share * waist, 0.1), (share * hem + 0.03, length)), 0.3, 0.03)
    elif style == "tiers":
        for share in (0.35, 0.68):
            half, y = waist + (hem - waist) * share, length * share
            sketch.line(arc((-half, y), (half, y), 0.05), light=-0.4, width=0.02)
    elif style == "denim":
        add_buttons(sketch, 0, 0.2, length * 0.92, whole_number(rng, 3, 8), 0.02)
        for sign in (-1, 1):
            pocket = arc((waist * 0.5 * sign, 0.1), (hip[0] * 0.95 * sign, 0.3), 0.07)
            sketch.line(pocket, light=-0.4, width=0.015)
    elif style == "slit":
        x = rng.uniform(-0.6, 0.6) * hem
        gash = corners((x * 0.85, length * 0.6), (x + 0.05, length * 1.03), (x - 0.03, length))
        sketch.fill(gash, "lining", light=-0.4, cut=0.03)
    if style != "pleats":
        _drape(sketch, rng, waist, hem, 0.1, length, whole_number(rng, 2, 8))
    _waistband(sketch, rng, waist, rng.uniform(0.07, 0.15))
    return sketch
