"""Turns cloths, folds, light and shadow, over a floor or a wall, into colours.

Arrays of colours are (3, height, width) here, because NumPy is slow if the last axis is as short as
three.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from minicnn.datasets.drawing.painting import Pose
from minicnn.datasets.drawing.sketch import Rng, chance, pick, whole_number

if TYPE_CHECKING:
    from PIL.Image import Image


def _noise(rng: Rng, height: int, width: int, rows: int, columns: int) -> np.ndarray:
    """Return smooth noise of about [-1, 1] with `rows` by `columns` hills and valleys."""
    from PIL import Image

    coarse = rng.uniform(-1, 1, (rows + 2, columns + 2)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def _grain(rng: Rng, height: int, width: int) -> np.ndarray:
    """Return noise that differs from pixel to pixel."""
    return rng.standard_normal((height, width), dtype=np.float32)


def _colour(rng: Rng) -> np.ndarray:
    """Return a colour of clothes, (3, 1, 1): often black, white, grey or blue, or any other."""
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
    """Return 0 or 1 by the sign of a wave, with a soft edge."""
    return np.clip(0.5 + sharpness * wave, 0, 1)


def _cloth(rng: Rng, u: np.ndarray, v: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Return a dyed or printed fabric; `u`, `v` say where on the cloth each pixel is."""
    height, width = u.shape
    other = _colour(rng) if chance(rng, 0.3) else np.clip(base * rng.uniform(0.6, 1.5), 0, 1)
    prints = ("stripes", "rows", "checks", "dots", "gradient", "flowers", "camouflage")
    style = "plain" if chance(rng, 0.55) else pick(rng, *prints)
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
        cells = whole_number(rng, 14, 30)
        share = _steps(_noise(rng, height, width, cells, cells) - 0.3, 5)
    elif style == "camouflage":
        share = _steps(_noise(rng, height, width, 8, 8), 6)
    cloth = base + share * (other - base)
    if chance(rng, 0.4):  # coarsely woven
        cloth = cloth * (1 + rng.uniform(0.02, 0.05) * _grain(rng, height, width))
    elif chance(rng, 0.3):  # knitted, or corduroy
        cloth = cloth * (1 + 0.06 * np.sin((u if chance(rng, 0.5) else v) * 70))
    return cloth


def _background(rng: Rng, height: int, width: int) -> np.ndarray:
    """Return a floor, a sheet, a carpet or a wall, (3, height, width)."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / max(height, width)
    base = _colour(rng)
    if chance(rng, 0.93):  # floors and walls are mostly light and pale
        base = 1 - (1 - base) * rng.uniform(0.03, 0.18)
    style = pick(rng, "wall", "wood", "tiles", "sheet", "carpet", "room")
    light = 1 + 0.05 * _noise(rng, height, width, 5, 5)
    if style == "wood":
        wood = np.array([0.74, 0.54, 0.37], dtype=np.float32)[:, None, None]
        base = wood * rng.uniform(1.1, 1.3) + (base - 0.5) * rng.uniform(0, 0.35)
        vertical = chance(rng, 0.5)
        fibre = _noise(rng, height, width, *((90, 6) if vertical else (6, 90)))
        across = (y if vertical else x) * whole_number(rng, 3, 8)
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
    """Return `colour`, or another one if it hardly shows on `ground`, or isn't darker."""
    while np.abs(colour - ground).sum() < 0.5 or (darker and (ground - colour).mean() < 0.2):
        colour = _colour(rng)
    return colour


def photograph(rng: Rng, shares: np.ndarray, light: np.ndarray, pose: Pose) -> "Image":
    """Return the image: colours, relief, shadow and camera over the painted shares."""
    from PIL import Image, ImageFilter

    height, width = light.shape
    side = min(height, width)
    ground = _background(rng, height, width)
    u, v = pose.unplace(*np.mgrid[0:height, 0:width].astype(np.float32)[::-1])
    mean = ground.mean(axis=(1, 2), keepdims=True)
    # Most clothes are darker than the floor, so that a small network learns shapes sooner.
    base = _contrast(rng, _colour(rng), mean, mean.mean() > 0.5 and chance(rng, 0.93))
    trim = _contrast(rng, _colour(rng), base, darker=False)
    lining = base * rng.uniform(0.4, 0.8) if chance(rng, 0.6) else _colour(rng)
    cloth = _cloth(rng, u, v, base) * shares[0] + trim * shares[1] + lining * shares[2]
    cover = np.minimum(shares.sum(axis=0), 1)  # rounding may give slightly more
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
    colours = ground + cloth * np.clip(light, 0.1, 1.7)
    tint = rng.normal(rng.uniform(0.9, 1.08), 0.025, (3, 1, 1)).astype(np.float32)
    lamp = 1 + rng.uniform(0, 0.2) * (u * towards[1] + v * towards[0])
    colours = colours * (lamp * tint) + rng.uniform(0, 0.02) * _grain(rng, height, width)
    pixels = (np.clip(colours, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return image.filter(ImageFilter.BoxBlur(rng.uniform(0, 0.005) * side))
