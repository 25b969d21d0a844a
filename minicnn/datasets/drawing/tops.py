"""Cuts what is worn above the waist: t-shirt, longsleeve, shirt, outwear."""

import numpy as np

from minicnn.datasets.drawing.pieces import (
    add_belt,
    add_body,
    add_buttons,
    add_collar,
    add_hanger,
    add_neckline,
    add_pocket,
    add_print,
    add_sleeve,
    cut_torso,
)
from minicnn.datasets.drawing.sketch import (
    Rng,
    Sketch,
    arc,
    chance,
    corners,
    ellipse,
    moved,
    pick,
    whole_number,
)


def cut_t_shirt(rng: Rng) -> Sketch:
    """Cut a T-shirt with short sleeves."""
    sketch, t = Sketch(), cut_torso(rng)
    if chance(rng, 0.2):
        add_hanger(sketch, t)
    cuff = pick(rng, "", "main", "trim")
    add_sleeve(sketch, rng, t, rng.uniform(0.22, 0.42), rng.uniform(0.6, 1.2), 0.17, cuff)
    add_body(sketch, rng, t)
    add_neckline(sketch, rng, t, rng.uniform(0.1, 0.26), chance(rng, 0.25))
    if chance(rng, 0.5):
        add_print(sketch, rng, 0, rng.uniform(0.45, 0.7), rng.uniform(0.15, 0.32))
    elif chance(rng, 0.2):
        add_pocket(sketch, 0.22, 0.4, 0.1, flap=False)
    elif chance(rng, 0.2):  # a polo shirt: a collar, but only a short row of buttons
        add_collar(sketch, rng, t, 0.14, 1.0, "main")
        add_buttons(sketch, 0, 0.2, 0.34, 2, 0.015)
    return sketch


def cut_longsleeve(rng: Rng) -> Sketch:
    """Cut a shirt without buttons, with long sleeves."""
    sketch, t = Sketch(), cut_torso(rng)
    if chance(rng, 0.2):
        add_hanger(sketch, t)
    cuff, wrist = pick(rng, "", "main", "trim"), rng.uniform(0.08, 0.13)
    add_sleeve(sketch, rng, t, rng.uniform(1.0, 1.3), rng.uniform(0.2, 0.8), wrist, cuff)
    if chance(rng, 0.25):
        tube = corners((-0.8, -0.16), (0.8, -0.16), (1, 0.06), (-1, 0.06)) * (t.neck, 1)
        add_body(sketch, rng, t)
        sketch.fill(tube, light=0.05)
        for x in np.linspace(-0.7, 0.7, 7) * t.neck:
            sketch.line(corners((x * 0.9, -0.13), (x, 0.04)), light=-0.15, width=0.008)
    else:
        add_body(sketch, rng, t)
        add_neckline(sketch, rng, t, rng.uniform(0.1, 0.3), chance(rng, 0.3))
    if cuff:
        band = corners((-1, -0.08), (1, -0.08), (1, 0.0), (-1, 0.0)) * (t.hem * 0.98, 1)
        sketch.fill(moved(band, 0, t.length), cuff, light=0.03, cut=0.06)
    if chance(rng, 0.4):
        add_print(sketch, rng, 0, rng.uniform(0.45, 0.7), rng.uniform(0.15, 0.32))
    elif chance(rng, 0.2):  # a cardigan
        sketch.line(corners((0, 0.2), (0, t.length)), light=-0.3)
        add_buttons(sketch, 0.03, 0.3, t.length * 0.92, 5, 0.022)
    return sketch


def cut_shirt(rng: Rng) -> Sketch:
    """Cut a shirt with a collar and buttons."""
    sketch, t = Sketch(), cut_torso(rng, length=(1.2, 1.65))
    if chance(rng, 0.25):
        add_hanger(sketch, t)
    cuff = pick(rng, "main", "main", "trim")
    if chance(rng, 0.7):
        add_sleeve(sketch, rng, t, rng.uniform(0.9, 1.2), rng.uniform(0.1, 1.0), 0.12, cuff)
    else:
        add_sleeve(sketch, rng, t, rng.uniform(0.28, 0.5), rng.uniform(0.5, 1.1), 0.19, cuff)
    add_body(sketch, rng, t)
    x = rng.uniform(0.025, 0.05)
    bottom = t.length + 0.02
    placket = corners((-x, 0.12), (x, 0.12), (x, bottom), (-x, bottom))
    sketch.fill(placket, pick(rng, "main", "main", "main", "trim"), light=0.07, cut=0.02)
    add_buttons(
        sketch, 0, 0.22, t.length * 0.93, whole_number(rng, 5, 9), rng.uniform(0.024, 0.036)
    )
    add_collar(sketch, rng, t, rng.uniform(0.14, 0.22), 1.15, pick(rng, "main", "main", "trim"))
    flap = chance(rng, 0.5)
    for sign in (1, -1)[: whole_number(rng, 0, 3)]:
        add_pocket(sketch, sign * t.chest * 0.5, 0.42, rng.uniform(0.09, 0.12), flap)
    return sketch


def cut_outwear(rng: Rng) -> Sketch:
    """Cut a jacket, a coat or a padded vest: wide, with a zip or big buttons, and pockets."""
    sketch, t = Sketch(), cut_torso(rng, ease=0.07, length=(1.15, 1.95))
    style = pick(rng, "hood", "hood", "stand-up", "lapels")
    if chance(rng, 0.25):
        add_hanger(sketch, t)
    if style == "hood":
        hood = ellipse(0, 0.0, t.neck * rng.uniform(1.3, 1.6), rng.uniform(0.2, 0.3))
        sketch.fill(hood, light=-0.05)
        sketch.fill(moved(hood * 0.72, 0, 0.02), "lining", light=-0.2)
    cuff, sleeve = pick(rng, "main", "trim"), (rng.uniform(0.95, 1.2), rng.uniform(0.1, 0.75))
    if chance(rng, 0.85):
        add_sleeve(sketch, rng, t, *sleeve, rng.uniform(0.13, 0.18), cuff)
    add_body(sketch, rng, t)
    if style != "lapels" and chance(rng, 0.85):  # quilted
        step = rng.uniform(0.12, 0.22)
        for y in np.arange(0.3, t.length - 0.05, step):
            half = t.waist * 0.97
            sketch.line(arc((-half, y), (half, y), 0.025), light=-0.5, width=0.022)
            sketch.fold(arc((-half, y + 0.03), (half, y + 0.03), 0.025), 0.35, 0.035)
    if style == "lapels":
        drop = rng.uniform(0.4, 0.7)
        sketch.line(corners((0, drop), (0.02, t.length)), light=-0.5, width=0.018)
        add_collar(sketch, rng, t, drop, 1.4, pick(rng, "main", "main", "trim"))
        for x in (0.07, -0.13)[: whole_number(rng, 1, 3)]:
            add_buttons(sketch, x, drop + 0.08, t.length * 0.85, whole_number(rng, 2, 5), 0.035)
    else:
        sketch.line(corners((0, 0.05), (0, t.length)), "trim", -0.1, rng.uniform(0.03, 0.05))
        sketch.line(corners((0, 0.05), (0, t.length)), "lining", -0.4, 0.012)
        collar = corners((-0.95, -0.09), (0.95, -0.09), (1.1, 0.1), (0, 0.17), (-1.1, 0.1))
        if style == "stand-up":
            sketch.fill(collar * (t.neck, 1), pick(rng, "main", "trim"), light=0.06, cut=0.12)
            sketch.line(corners((0, -0.07), (0, 0.16)), "lining", -0.4, 0.015)
    low = t.length * rng.uniform(0.66, 0.76)
    flap = chance(rng, 0.4)
    for sign in (-1, 1):
        x = sign * t.waist * 0.6
        if flap:
            add_pocket(sketch, x, low, 0.13, flap=True)
        else:
            slit = corners((x - sign * 0.06, low), (x + sign * 0.06, low + 0.2))
            sketch.line(slit, "trim", -0.25, 0.03)
    if chance(rng, 0.3):
        add_belt(sketch, t.waist * 1.0, (t.armpit + t.length) / 2, "trim")
    return sketch
