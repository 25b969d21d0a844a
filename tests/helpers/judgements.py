"""A result of `reference.evaluate`, made by hand."""

import numpy as np

from reference.data import Photos
from reference.evaluate import Judged


def judged():
    """Return the judgements of six photos of three classes; three are right."""
    p = [
        [0.6, 0.3, 0.1],  # a, right
        [0.2, 0.7, 0.1],  # a, taken for b
        [0.1, 0.8, 0.1],  # b, right
        [0.1, 0.0, 0.9],  # b, taken for c: the most confident mistake
        [0.5, 0.1, 0.4],  # b, taken for a
        [0.3, 0.2, 0.5],  # c, right
    ]
    photos = Photos("test", tuple("uvwxyz"), np.array([0, 0, 1, 1, 1, 2]), ("a", "b", "c"))
    return Judged(photos, np.array(p), 0.9)
