"""Draws clothes: ten kinds, endlessly varied, for a data set that needs no network.

An image is made in three steps, each with files of its own:

    pattern cutting   a garment is a `sketch.Sketch`: outlines, seams and buttons in unit
                      coordinates (x to the right, y down), with a cut that differs every time
                      (`tops`, `bottoms`, `accessories`, made of `pieces`)
    painting          the sketch is posed, rasterized at three times the size and shrunk, so that
                      its edges are smooth; the result says how much of each pixel each cloth covers
    photographing     cloths, folds, light and shadow, over a floor or a wall, become colours

Colours, patterns and backgrounds are drawn in the same way for all kinds: only the shape tells them
apart.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from minicnn.datasets.drawing.accessories import cut_hat, cut_shoes
from minicnn.datasets.drawing.bottoms import cut_dress, cut_pants, cut_shorts, cut_skirt
from minicnn.datasets.drawing.painting import make_pose, rasterize
from minicnn.datasets.drawing.photographing import photograph
from minicnn.datasets.drawing.sketch import Rng, Sketch
from minicnn.datasets.drawing.tops import cut_longsleeve, cut_outwear, cut_shirt, cut_t_shirt
from minicnn.shapes import pair

if TYPE_CHECKING:
    from PIL.Image import Image

CLOTHING_CLASSES: tuple[str, ...] = (
    *("dress", "hat", "longsleeve", "outwear", "pants"),
    *("shirt", "shoes", "shorts", "skirt", "t-shirt"),
)

VERSION = 1  # increases whenever the same seed would give other images

GARMENTS: dict[str, Callable[[Rng], Sketch]] = dict(
    zip(
        CLOTHING_CLASSES,
        (
            cut_dress,
            cut_hat,
            cut_longsleeve,
            cut_outwear,
            cut_pants,
            cut_shirt,
            cut_shoes,
            cut_shorts,
            cut_skirt,
            cut_t_shirt,
        ),
        strict=True,
    )
)


def draw_clothing(kind: str, rng: Rng, size: int | tuple[int, int] = 160) -> "Image":
    """Draw one item of clothing as an RGB `PIL.Image.Image`.

    `kind` is one of `CLOTHING_CLASSES`; `rng` decides everything else; `size` is the side in
    pixels, or `(height, width)` as in `target_size`, each at least 16. Raises a `ValueError` for
    another kind or size, and a `TypeError` if `rng` is not a `numpy.random.Generator`.
    """
    if kind not in CLOTHING_CLASSES:
        listed = ", ".join(CLOTHING_CLASSES)
        raise ValueError(f"draw_clothing expects kind to be one of {listed}. Received {kind!r}.")
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"draw_clothing expects rng to be a numpy.random.Generator. Received {rng!r}."
        )
    height, width = pair(size, "size", "draw_clothing", minimum=16)
    sketch = GARMENTS[kind](rng)
    pose = make_pose(sketch, rng, height, width)
    shares, light = rasterize(sketch, pose, height, width)
    return photograph(rng, shares, light, pose)
