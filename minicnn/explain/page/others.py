"""The images of a page after the first: it computes their outputs, or has them."""

from typing import Any

from minicnn.explain.page.passes import Use, check_outputs, is_exact_half, uses_of
from minicnn.explain.page.plan import Arrays, is_cut, is_light
from minicnn.layers.base import Array
from minicnn.models import Model


class Others:
    """Of these images a page has the pixels alone, if it can compute all else from them.

    If it lacks kernels or formulas for that, it has outputs, of as many layers as fit (`look`).
    """

    def __init__(self, images: Array) -> None:
        self.images = images
        self.half = is_exact_half(images)
        self.characters = images.size * (2 if self.half else 4) * 4 // 3 + 8 * len(images)

    def are_computed(self, described: list[dict[str, Any]]) -> bool:
        """Return whether the page has all that it needs to compute their outputs."""
        return not is_cut(described) and all(node["known"] for node in described)

    def look(self, model: Model, uses: list[Use], limit: int) -> None:
        """Give the uses of layers their outputs for these images, of the layers that may fit."""
        sizes = sorted(use.y.size for use in uses if not is_light(use))
        most, room = 0, limit * 3 // 4
        for size in sizes:
            room -= 2 * size * len(self.images)
            if room < 0:
                break
            most = size
        kept: list[list[Array | None]] = [[] for _ in uses]
        for image in self.images:
            _, tape = model.forward(image[None])
            found, _ = uses_of(model, tape, image[None])
            check_outputs(found)
            for other, mine in zip(found, kept, strict=True):
                fits = other.y.size <= most or mine is kept[0]
                mine.append(other.y[0] if fits else None)
        for use, mine in zip(uses, kept, strict=True):
            use.add_others(mine)

    def pixels(self, described: list[dict[str, Any]], arrays: Arrays) -> list[int | None]:
        """Return where the page has the pixels of each image, which it may get only now."""
        found: list[int | None] = described[0]["others"]
        return found or [arrays.add(image, self.half) for image in self.images]
