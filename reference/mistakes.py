"""Writes the page behind an evaluation's numbers: what a model confuses, and what it looked at.

`write` makes `evaluation.html`: the pairs of classes that are confused most often, with their
photos, and beside each of the most confident mistakes a heat map (Grad-CAM) for the answer and one
for the truth, and the command, or a link to a page, that shows where every number comes from.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np
from PIL import Image

from minicnn import functional
from minicnn._support.terminal import quoted, say, this_program
from minicnn.plots.figures import signed_colours
from minicnn.plots.heat import overlay
from reference import data, lists
from reference import model as models
from reference.console import progress
from reference.model import Saved
from reference.report import Page

if TYPE_CHECKING:
    from reference.evaluate import Judged

Array = np.ndarray

SHOWN_PAIRS, PHOTOS_OF_A_PAIR = 6, 6


class Pair(NamedTuple):
    """Two classes, and the photos of each taken for the other (most confident first)."""

    first: int
    second: int
    there: list[int]  # of the first class, taken for the second
    back: list[int]

    @property
    def both(self) -> int:
        return len(self.there) + len(self.back)


def confused_pairs(judged: "Judged") -> list[Pair]:
    """Return the pairs of classes that are confused at all, the most often confused ones first."""
    found: dict[tuple[int, int], Pair] = {}
    for index in judged.mistakes():
        truth, answer = int(judged.photos.labels[index]), int(judged.predicted[index])
        key = min(truth, answer), max(truth, answer)
        pair = found.setdefault(key, Pair(*key, [], []))
        (pair.there if truth == pair.first else pair.back).append(index)
    return sorted(found.values(), key=lambda pair: (-pair.both, pair.first, pair.second))


def pair_table(judged: "Judged") -> tuple[list[str], list[list[str]]]:
    """Return head and rows, as text: `share` is that of all photos of the two classes."""
    names, counts = judged.photos.class_names, judged.confusion().sum(axis=1)
    head = ["class", "other class", "taken for the other", "the other for it", "both", "share"]
    rows = []
    for pair in confused_pairs(judged):
        share = pair.both / (counts[pair.first] + counts[pair.second])
        numbers = [str(len(pair.there)), str(len(pair.back)), str(pair.both), f"{share:.3f}"]
        rows.append([names[pair.first], names[pair.second], *numbers])
    return head, rows


def write_probabilities(judged: "Judged", path: Path) -> None:
    """Write path, class and the probability of each class, a line for each photo, as CSV."""
    names = judged.photos.class_names
    lists.write_table(
        path,
        ["path", "label", *names],
        (
            [photo, names[label], *(f"{p:.9g}" for p in row)]
            for photo, label, row in zip(
                judged.photos.paths, judged.photos.labels, judged.p, strict=True
            )
        ),
    )


# ---------------------------------------------------------------------------------------------
# Heat maps
# ---------------------------------------------------------------------------------------------


class Heat:
    """Heat maps (Grad-CAM) of photos, computed by minicnn, or by Keras if minicnn cannot.

        heat[r, c] = max(Σ over k of α[k]·A[r, c, k], 0),  α[k] = mean of d score / d A[:, :, k]

    A are the maps of the last layer that has any, and the score is the class's logit. A model may
    have several such layers (trained networks in one, mirror images, several sizes): then the map
    is the sum of their maps, and those of the mirror image are flipped back. Raises `ValueError`
    for a model that neither can explain.
    """

    def __init__(self, saved: Saved, path: Path) -> None:
        self.reader = saved.about.reader
        lacking = models.minicnn_lacks(path)
        self.by = "minicnn" if lacking is None else "Keras"
        if lacking is None:
            from minicnn.models import load_model

            self._model: Any = load_model(path, compile=False)
        else:
            self._maps, self._layers = _parts(saved.model, lacking)

    def of(self, x: Array, label: int) -> Array:
        """Return the map of a photo's pixels for a class, at the size of the photo."""
        if self.by == "minicnn":
            pixels: Array = self._model.trace(x[None]).heatmap(class_index=label).pixels
            return pixels
        maps = keras.ops.convert_to_numpy(self._maps.predict_on_batch(x[None]))[0]
        slope = slope_of(self._layers, maps.mean(axis=(0, 1)), label)
        heat = np.maximum(maps @ (slope / (maps.shape[0] * maps.shape[1])), 0)
        return functional.resize(heat[None, :, :, None], x.shape[:2], "bilinear")[0, :, :, 0]


def _parts(model: keras.Model, lacking: str) -> tuple[keras.Model, list[keras.Layer]]:
    """Return the model up to its last maps, and the layers after their average."""
    try:
        vectors = model.get_layer("vectors")
        if not isinstance(vectors, keras.layers.GlobalAveragePooling2D):
            raise ValueError
        layers = models.head_of(model).layers[1:]
        known = keras.layers.Dense, keras.layers.Dropout
        if not all(isinstance(layer, known) for layer in layers):
            raise ValueError
        return keras.Model(model.inputs, vectors.input), layers
    except ValueError:
        raise ValueError(
            f"minicnn cannot open this model ({lacking}), and it does not end in an average and "
            "dense layers"
        ) from None


def slope_of(layers: Sequence[keras.Layer], v: Array, label: int) -> Array:
    """Return the derivative of a class's logit by the vector `v` that the dense `layers` take."""
    steps: list[Array] = []
    for layer in layers:
        if isinstance(layer, keras.layers.Dense):
            w, b = (np.asarray(array, np.float64) for array in layer.get_weights())
            v = v @ w + b
            if layer.activation is keras.activations.relu:
                w, v = w * (v > 0), np.maximum(v, 0)
            steps.append(w)
    slope = np.eye(steps[-1].shape[1])[label]
    for w in reversed(steps):
        slope = np.asarray(w @ slope)
    return slope


def _thumbnail(path: str) -> Image.Image:
    image = data.image_of(path)
    image.thumbnail((144, 144))
    return image


def _shown(pixels: Array) -> Image.Image:
    return Image.fromarray(np.uint8(np.clip(pixels, 0, 255).round()))


def _heated(x: Array, heat: Array) -> Image.Image:
    grey = x.mean(axis=2) / 255
    return _shown(255 * overlay(grey, heat, float(heat.max()), signed_colours()))


# ---------------------------------------------------------------------------------------------
# The page
# ---------------------------------------------------------------------------------------------


def check_explain(model: Path, photos: Sequence[str]) -> None:
    """Raise a `ValueError` if `minicnn explain` cannot write pages of these photos."""
    if lacking := models.minicnn_lacks(model):
        raise ValueError(f"--explain: minicnn cannot open {str(model)!r} ({lacking}).")
    if packed := next((photo for photo in photos if not Path(photo).is_file()), None):
        raise ValueError(f"--explain takes photos in files, not in archives. Received {packed!r}.")


def explain_command(model: Path, photo: str, truth: str, page: Path) -> str:
    """Return the command that writes the page with all numbers of this photo."""
    told = ["explain", model, photo, f"--class={truth}", "-o", page]
    return f"{this_program()} {quoted(*told)}"


def write(
    judged: "Judged", saved: Saved, model: Path, folder: Path, shown: int, explained: int = 0
) -> list[str]:
    """Write evaluation.html; return the names of all files written.

    The page shows `shown` mistakes; of the first `explained` ones `minicnn explain` writes a page.
    """
    names = judged.photos.class_names
    page = Page(f"What {model.name} makes of the {judged.photos.name} photos", judged.summary())
    page.code(judged.report())
    _show_pairs(page, judged)
    chosen = judged.mistakes()[:shown]
    page.heading(f"The most confident mistakes ({len(chosen)} of {len(judged.mistakes())})")
    heat = _heat(page, saved, model)
    can_explain = heat is not None and heat.by == "minicnn"
    if can_explain and all(Path(judged.photos.paths[index]).is_file() for index in chosen):
        page.text("The command below a photo writes a page with all its numbers (minicnn explain).")
    elif can_explain:
        page.text("minicnn explain takes no photos from archives: unpack them to see all numbers.")
    files = ["evaluation.html"]
    with progress("Looking at mistakes", len(chosen)) as advance:
        for number, index in enumerate(chosen, 1):
            photo, truth = judged.photos.paths[index], int(judged.photos.labels[index])
            answer = int(judged.predicted[index])
            x = saved.about.reader(photo)
            images = [_shown(x)]
            if heat is not None:
                images += [_heated(x, heat.of(x, label)) for label in (answer, truth)]
            p = judged.p[index]
            told = f"{names[answer]} {p[answer]:.1%}, is {names[truth]} {p[truth]:.1%}"
            page.photos(images, f"{photo}: {told}")
            if can_explain and Path(photo).is_file():
                target = folder / f"explained-{number:02d}.html"
                page.code(explain_command(model, photo, names[truth], target))
                if number <= explained and _explain(model, photo, names[truth], target):
                    page.link("Where its numbers come from", target.name)
                    files.append(target.name)
            advance(1)
    page.write(folder / "evaluation.html")
    return files


def _show_pairs(page: Page, judged: "Judged") -> None:
    """Put the pairs of classes that are confused most often on the page, with photos of them."""
    names, pairs = judged.photos.class_names, confused_pairs(judged)
    page.heading("Confused pairs")
    if pairs:
        page.table(*pair_table(judged))
    for pair in pairs[:SHOWN_PAIRS]:
        for truth, answer, photos in (
            (pair.first, pair.second, pair.there),
            (pair.second, pair.first, pair.back),
        ):
            if photos:
                images = [_thumbnail(judged.photos.paths[i]) for i in photos[:PHOTOS_OF_A_PAIR]]
                page.photos(images, f"{names[truth]} taken for {names[answer]}: {len(photos)}")


def _heat(page: Page, saved: Saved, model: Path) -> Heat | None:
    """Return what makes heat maps, if anything can, and say on the page what they show."""
    try:
        heat = Heat(saved, model)
    except ValueError as error:
        page.text(f"There are no heat maps: {error}.")
        return None
    page.text(
        f"Beside each photo, as the network sees it: what speaks for its answer, and what "
        f"speaks for the truth (Grad-CAM by {heat.by}; orange speaks for it, and each map has "
        "a scale of its own)."
    )
    if saved.about.members > 1 or saved.about.flips or saved.about.image_sizes:
        page.text("A map is the sum of those of all networks, sizes and mirror images in it.")
    return heat


def _explain(model: Path, photo: str, truth: str, target: Path) -> bool:
    """Write the page of a photo; False, and a sentence, if it cannot be written."""
    import minicnn.commands

    told = ["explain", os.fspath(model), photo, f"--class={truth}", "-o", os.fspath(target)]
    if failed := minicnn.commands.main(told) != 0:
        say(f"{target.name} has not been written.")
    return not failed
