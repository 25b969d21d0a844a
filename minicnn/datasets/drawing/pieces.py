"""Pieces that several garments share: a body, sleeves, a collar, buttons, a belt."""

import math
from typing import NamedTuple

import numpy as np

from minicnn.datasets.drawing.sketch import (
    Rng,
    Sketch,
    arc,
    chance,
    corners,
    ellipse,
    mirrored,
    moved,
    pick,
    wavy,
    whole_number,
)


class Torso(NamedTuple):
    """The measures of a cut: half widths, from the middle of the front."""

    neck: float
    shoulder: float
    chest: float
    waist: float
    hem: float
    length: float
    armpit: float = 0.42
    slope: float = 0.1  # how far the shoulder's tip is below the neck


def cut_torso(rng: Rng, ease: float = 0.0, length: tuple[float, float] = (1.1, 1.6)) -> Torso:
    """Return the measures of a new torso; `ease` makes it wider."""
    chest = rng.uniform(0.46, 0.58) + ease
    return Torso(
        neck=rng.uniform(0.15, 0.25),
        shoulder=chest * rng.uniform(0.88, 1.02),
        chest=chest,
        waist=chest * rng.uniform(0.82, 1.02),
        hem=chest * rng.uniform(0.92, 1.15),
        length=rng.uniform(*length),
        armpit=rng.uniform(0.38, 0.5),
        slope=rng.uniform(0.06, 0.16),
    )


def add_body(sketch: Sketch, rng: Rng, t: Torso) -> None:
    """Draw front and back as one outline, with folds from the armpits and across the waist."""
    side = corners(
        (t.neck, 0),
        (t.shoulder, t.slope),
        (t.chest * 0.96, t.armpit * 0.7),
        (t.chest, t.armpit),
        (t.waist, (t.armpit + t.length) / 2),
        (t.hem, t.length),
    )
    hem = wavy(rng, side[-1], mirrored(side[-1]), rng.uniform(-0.02, 0.08))
    sketch.fill(np.concatenate([side, hem, mirrored(side)[::-1]]), cut=0.14)
    for sign in (-1, 1):
        start = (sign * t.chest * 0.9, t.armpit)
        sketch.fold(arc(start, (sign * t.waist * rng.uniform(0.1, 0.6), t.length * 0.8), 0.05))
    for _ in range(whole_number(rng, 1, 5)):
        x, y = rng.uniform(-0.6, 0.6) * t.waist, rng.uniform(0.5, 0.95) * t.length
        dx, dy = rng.uniform(-0.35, 0.35), rng.uniform(-0.15, 0.15)
        sketch.fold(arc((x - dx, y - dy), (x + dx, y + dy), 0.06), rng.uniform(-0.4, 0.25))


def add_sleeve(
    sketch: Sketch, rng: Rng, t: Torso, length: float, angle: float, wrist: float, cuff: str = ""
) -> None:
    """Draw both sleeves; `angle` is 0 for hanging arms and pi/2 for outstretched ones."""
    for sign in (-1, 1):
        turn = angle + rng.normal(0, 0.07)
        bend = -abs(rng.normal(0, 0.3)) if length > 0.7 else 0.0
        if length > 0.7 and chance(rng, 0.08):
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
            band = corners(outer[-2], outer[-1], inner[-1], inner[-2]) * flip
            sketch.fill(band, cuff, light=0.04, cut=0.08)
        if length > 0.7:
            middle = (np.array(outer[1]) + inner[1]) / 2 * flip
            sketch.fold(arc(pit * flip, middle, 0.03), -0.35, 0.04)
            sketch.fold(np.array([outer[1] * flip, middle]), -0.3, 0.04)


def add_neckline(sketch: Sketch, rng: Rng, t: Torso, depth: float, pointed: bool) -> None:
    """Draw the opening, through which the inside of the back is seen, and its border."""
    left, right = (-t.neck, 0.01), (t.neck, 0.01)
    front = corners(left, (0, depth), right) if pointed else arc(left, right, depth)
    back = arc(right, left, min(0.05, depth / 2))
    sketch.fill(np.concatenate([front, back]), "lining", light=-0.15, cut=0.03)
    cloth = pick(rng, "main", "main", "trim")
    sketch.line(front, cloth, rng.uniform(-0.15, 0.15), rng.uniform(0.02, 0.06))
    sketch.line(moved(front, 0, 0.035), "main", -0.25, 0.008)


def add_print(sketch: Sketch, rng: Rng, x: float, y: float, reach: float) -> None:
    """Draw a print or some words on the chest."""
    style = pick(rng, "words", "disc", "star", "confetti", "bands")
    if style == "words":
        for row in range(whole_number(rng, 1, 4)):
            half = reach * rng.uniform(0.5, 1)
            for left in np.arange(-half, half, 0.1):
                height = rng.uniform(0.05, 0.08)
                top = y + row * 0.12
                sketch.line(
                    corners((x + left, top), (x + left + 0.03, top + height)), "trim", 0, 0.05
                )
    elif style == "disc":
        sketch.dot(x, y, reach * 0.7)
        sketch.dot(x + rng.uniform(-0.05, 0.05), y, reach * 0.4, "main", 0.1)
    elif style == "star":
        turns = np.linspace(0, 2 * math.pi, 2 * whole_number(rng, 4, 9), endpoint=False)
        radius = reach * np.where(np.arange(len(turns)) % 2, 0.35, 0.8)[:, None]
        star = np.stack([np.sin(turns), -np.cos(turns)], axis=1) * radius + (x, y)
        sketch.fill(star, "trim", cut=0.05)
    elif style == "bands":
        for row in range(whole_number(rng, 1, 4)):
            line = corners((x - reach * 1.3, y + row * 0.09), (x + reach * 1.3, y + row * 0.09))
            sketch.line(line, "trim", 0, 0.05)
    else:
        for dx, dy in rng.uniform(-reach, reach, (whole_number(rng, 6, 16), 2)):
            sketch.dot(x + dx, y + dy, rng.uniform(0.02, 0.08), pick(rng, "trim", "lining"))


def add_buttons(
    sketch: Sketch, x: float, top: float, bottom: float, count: int, radius: float
) -> None:
    """Draw buttons one below the other."""
    for y in np.linspace(top, bottom, count):
        sketch.dot(x, y, radius * 1.5, "main", -0.6)
        sketch.dot(x, y, radius)


def add_pocket(sketch: Sketch, x: float, y: float, half: float, flap: bool) -> None:
    """Draw a pocket on the chest, with or without a flap."""
    box = corners((-half, 0), (half, 0), (half, half * 1.8), (0, half * 2.3), (-half, half * 1.8))
    sketch.fill(moved(box, x, y), light=0.03, cut=0.06)
    if flap:
        lid = corners((-half, 0), (half, 0), (half, half * 0.6), (0, half), (-half, half * 0.6))
        sketch.fill(moved(lid * 1.06, x, y), light=0.08, cut=0.06)


def add_collar(sketch: Sketch, rng: Rng, t: Torso, drop: float, spread: float, cloth: str) -> None:
    """Draw a collar or lapels that open down to `drop`."""
    inside = corners((-t.neck, -0.03), (t.neck, -0.03), (0, drop))
    sketch.fill(inside, "lining", light=-0.2, cut=0.05)
    tip = (t.neck * rng.uniform(0.7, 1.0) * spread, drop + rng.uniform(0.02, 0.09))
    wing = corners((t.neck * 0.75, -0.06), (0.01, drop), tip, (t.neck * 1.0 + 0.06 * spread, 0.04))
    for half in (wing, mirrored(wing)):
        sketch.fill(half, cloth, light=0.1, cut=0.04)


def add_hanger(sketch: Sketch, t: Torso) -> None:
    """Draw a hanger that the garment hangs on."""
    hook = arc((0.0, -0.02), (0.0, -0.16), 0.0, 3)
    bend = ellipse(0.05, -0.18, 0.055, 0.055, 16)[5:15]
    sketch.line(np.concatenate([hook, bend]), "lining", -0.3, 0.025)
    tip = (t.shoulder * 0.95, t.slope + 0.02)
    sketch.line(corners(mirrored(np.array(tip)), (0, -0.03), tip), "lining", 0.0, 0.05)


def add_belt(sketch: Sketch, half: float, y: float, cloth: str) -> None:
    """Draw a belt with a buckle."""
    band = corners((-half, -0.045), (half, -0.045), (half, 0.045), (-half, 0.045))
    sketch.fill(moved(band, 0, y), cloth, cut=0.05)
    sketch.fill(ellipse(0, y, 0.06, 0.06, 4), "lining", light=0.2, cut=0.1)
