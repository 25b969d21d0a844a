"""Poses a sketch, and computes which share of each pixel each cloth covers."""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from minicnn.datasets.drawing.sketch import Points, Rng, Sketch, chance

_OVERSAMPLING = 3

_CLOTHS = ("main", "trim", "lining")


class Pose(NamedTuple):
    """Where a sketch is in the image: points -> waves -> matrix -> perspective -> shift."""

    middle: Points  # of the sketch, in its own coordinates
    matrix: np.ndarray  # (2, 2), to pixels
    lean: np.ndarray  # (2,), perspective: how much farther away each pixel is
    shift: np.ndarray  # (2,), pixels
    waves: np.ndarray  # (2, 2): amplitude and phase along x and y

    def place(self, lines: list[Points], scale: float) -> list[list[float]]:
        """Return each line's points as x, y, x, y, … in pixels times `scale`, all in one go."""
        points = np.concatenate(lines) - self.middle
        points += self.waves[0] * np.sin(3 * points[:, ::-1] + self.waves[1])
        points = points @ self.matrix
        points = points / (1 + points @ self.lean)[:, None] + self.shift
        flat, ends = (points * scale).ravel().tolist(), np.cumsum([0, *map(len, lines)]) * 2
        return [flat[start:end] for start, end in pairwise(ends)]

    def unplace(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return roughly where on the cloth a pixel is, ignoring waves and perspective."""
        (a, b), (c, d) = np.linalg.inv(self.matrix).tolist()
        x, y = x - float(self.shift[0]), y - float(self.shift[1])
        return x * a + y * c, x * b + y * d


def make_pose(sketch: Sketch, rng: Rng, height: int, width: int) -> Pose:
    """Return a random pose in which the whole sketch is within the image."""
    corners = np.concatenate([stroke.points for stroke in sketch.strokes])
    low, high = corners.min(axis=0), corners.max(axis=0)
    turn = rng.normal(0, 0.07)
    stretch = np.array([rng.uniform(0.92, 1.08), 1.0])
    mirror = np.array([-1 if chance(rng, 0.5) else 1, 1])
    c, s = math.cos(turn), math.sin(turn)
    matrix = np.diag(stretch * mirror) @ np.array([[c, s], [-s, c]])
    extent = np.abs(matrix.T) @ (high - low)
    scale = rng.uniform(0.88, 1.0) * min(width / extent[0], height / extent[1])
    room = np.maximum((width, height) - extent * scale, 0) / 2
    return Pose(
        middle=(low + high) / 2,
        matrix=matrix * scale,
        lean=rng.normal(0, 0.08, 2) / max(extent * scale),
        shift=np.array([width, height]) / 2 + room * rng.uniform(-0.8, 0.8, 2),
        waves=np.array([rng.uniform(0.0, 0.03, 2), rng.uniform(0, 6, 2)]),
    )


def rasterize(sketch: Sketch, pose: Pose, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each cloth's share of each pixel (3, height, width), and its light (height, width).

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
