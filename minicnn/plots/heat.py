"""Draws heat maps over their photo, and images that a network responds to most."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn._support.terminal import printable
from minicnn.plots.figures import (
    GREY,
    as_photos,
    colour_bar,
    image_grid,
    letters,
    short,
    signed_colours,
)

Array = np.ndarray

_MOST = 0.8  # the share of the photo that the strongest colour hides
_INSIDE = 0.99  # the share of a map's numbers within the scale
_CELL = 1.9  # inches


def heatmaps(heats: Sequence[Any], title: str = "") -> Any:
    """Plot a photo and, beside it, each heat map over the same photo in grey.

        plots.heatmaps([trace.heatmap(method) for method in explain.HEATMAPS])

    Orange speaks for the class, blue against it. Each map has its own scale, whose end is written
    below it: maps of different methods measure different things. One number in a hundred lies
    beyond the end, so that a few large numbers do not hide the rest. Returns a `Figure`. Raises
    `ImportError` without matplotlib, `TypeError` for anything but a list of heat maps and
    `ValueError` if it is empty, or if they are of different photos.
    """
    heats = list(heats) if isinstance(heats, (list, tuple)) else [None]
    if not all(hasattr(heat, "pixels") and hasattr(heat, "class_text") for heat in heats):
        raise TypeError("heatmaps expects a list of what trace.heatmap() returns.")
    if not heats:
        raise ValueError("heatmaps expects at least one heat map. Received none.")
    photo = heats[0].photo
    if not all(np.array_equal(heat.photo, photo) for heat in heats):
        raise ValueError("heatmaps expects maps of one photo. Received maps of several photos.")
    classes = list(dict.fromkeys(heat.class_text for heat in heats))
    if not title:
        title = f"What speaks for {', '.join(classes)}"
    names = [heat.called + f", {heat.class_text}" * (len(classes) > 1) for heat in heats]
    return _draw(photo, [heat.pixels for heat in heats], names, title)


def sanity_check(check: Any, title: str = "") -> Any:
    """Plot a heat map, and the maps of the same network while it forgets, layer by layer.

    `check` is what `heat.sanity_check()` returns; above each map are the layer down to which the
    network has forgotten, and the correlation with the true map. Returns a `Figure`. Raises
    `ImportError` without matplotlib, and `TypeError` for anything but a check.
    """
    if not hasattr(check, "correlations"):
        raise TypeError(
            "sanity_check expects what heat.sanity_check() returns. "
            f"Received {type(check).__name__}."
        )
    heat = check.heat
    names = [heat.called]
    for layer, correlation in zip(check.layers, check.correlations):
        number = "constant" if np.isnan(correlation) else f"{correlation:.2f}"
        names.append(f"{short(layer, 20)}: {number}")
    maps = [heat.pixels, *(heat.enlarged(values) for values in check.maps)]
    return _draw(heat.photo, maps, names, title or check.title)


def preferred_images(found: Sequence[Any], title: str = "") -> Any:
    """Plot images that maps or classes respond to most, each with its name.

        plots.preferred_images([preferred_image(model, "conv", k) for k in range(12)])

    Images that do not have 1 or 3 channels are drawn as the mean of their channels. Returns a
    `Figure`. Raises `ImportError` without matplotlib, `TypeError` for anything but a list of what
    `preferred_image` returns and `ValueError` if it is empty, or if they differ in size.
    """
    found = list(found) if isinstance(found, (list, tuple)) else [None]
    if not all(hasattr(one, "value_range") and hasattr(one, "pixels") for one in found):
        raise TypeError("preferred_images expects a list of what preferred_image() returns.")
    sizes = {one.image.shape[:2] for one in found}
    if len(sizes) != 1:
        received = "none" if not sizes else f"images of {', '.join(map(str, sorted(sizes)))}"
        raise ValueError(
            f"preferred_images expects at least one image, all of one size. Received {received}."
        )
    title = title or "The strongest responses"
    figure, cells = image_grid(len(found), found[0].image.shape[:2], printable(title), cell=_CELL)
    room = letters(_CELL, 8)
    for axes, one in zip(cells, found):
        x = one.pixels if one.pixels.shape[2] == 3 else one.pixels.mean(axis=2)
        axes.imshow(np.clip(x, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(short(one.name, room), y=1, fontsize=8, color=GREY, pad=2, parse_math=False)
    return figure


def _draw(photo: Array, maps: Sequence[Array], names: Sequence[str], title: str) -> Any:
    """Draw the photo and the maps over it, with a colour bar for all of them."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    figure, cells = image_grid(
        len(maps) + 1, photo.shape[:2], printable(title), cell=_CELL, beside=0.9, below=0.2
    )
    (shown,) = as_photos(
        photo[None] if photo.shape[2] == 3 else photo.mean(axis=2)[None, ..., None]
    )
    grey = shown.mean(axis=2) if shown.ndim == 3 else shown
    colours = signed_colours()
    room = letters(_CELL * photo.shape[1] / max(photo.shape[:2]), 8)
    cells[0].imshow(shown, cmap="gray", vmin=0, vmax=1)
    cells[0].set_title("the photo", y=1, fontsize=8, color=GREY, pad=2)
    for axes, pixels, name in zip(cells[1:], maps, names):
        top = float(np.quantile(np.abs(pixels), _INSIDE)) or float(np.abs(pixels).max())
        axes.imshow(overlay(grey, pixels, top, colours), interpolation="nearest")
        axes.set_title(short(name, room), y=1, fontsize=8, color=GREY, pad=2, parse_math=False)
        axes.set_xlabel(f"full colour from ±{top:.2g}" if top else "all 0", fontsize=8, color=GREY)
    scale = ScalarMappable(Normalize(-1, 1), colours)
    bar = colour_bar(figure, cells, scale, "")
    bar.set_ticks([-1, 0, 1], labels=["against it", "0", "for it"])
    return figure


def overlay(grey: Array, pixels: Array, top: float, colours: Any) -> Array:
    """Return the map over a pale grey photo, as colours: the larger a number, the less photo."""
    share = np.clip(pixels / (top or 1.0), -1, 1)
    opaque = _MOST * np.abs(share)[..., None]
    pale = (0.35 + 0.6 * grey)[..., None]
    found: Array = (1 - opaque) * pale + opaque * colours((share + 1) / 2)[..., :3]
    return found
