"""Computes the outputs of a frozen base only once, because they are the same in each epoch.

In transfer learning the base takes nearly all of the time, and it computes the same for an image in
each epoch, as long as nothing random (augmentation, dropout) or learning is before it or in it. So
`fit` computes these *features* once, and trains the layers after them; the numbers are the same.
Validation does so even with augmentation, which does not change its images.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minicnn import shapes
from minicnn._support import progress
from minicnn.graph import Network
from minicnn.training.batches import ArrayBatches, Batches

Array = np.ndarray

LARGEST = 2**30  # bytes of features kept for one data set
_STEP = 32  # examples computed at a time
_LOOKED_AT = 2**26  # bytes of images that are compared before each epoch


class Source(NamedTuple):
    """The data that training or validation reads, and the part of the model that runs on them.

    `given` are the user's batches. `names` are the layers that are computed once, and `digest` is
    the digest of their weights and images.
    """

    given: Batches
    batches: Batches
    model: Network
    names: tuple[str, ...] = ()
    digest: bytes = b""


def digest(body: Network, batches: Batches) -> bytes:
    """Return bytes that change as soon as a weight of the body or an array of images changes.

    In arrays above 64 MB only every second, third, … image counts, to save time.
    """
    found = hashlib.blake2b()
    for weight in body.weights:
        found.update(weight.numpy().tobytes())
    whole = batches.unlimited()
    if isinstance(whole, ArrayBatches):
        x = whole.columns[0]
        some = x[:: max(1, x.nbytes // _LOOKED_AT)]
        if not some[0].flags.c_contiguous:
            some = np.ascontiguousarray(some)
        rows = some.reshape(len(some), -1)
        words = rows.view(np.uint64 if rows[0].nbytes % 8 == 0 else np.uint8)
        # The sum changes if one number does; some numbers also show a change of order.
        found.update(words.sum(axis=1).tobytes())
        found.update(words[:, :: max(1, words.shape[1] // 64)].tobytes())
    return found.digest()


def are_reused(batches: Batches, passes: int) -> bool:
    """Return whether `passes` over the batches read some examples more than once."""
    whole = batches.unlimited()
    if batches.steps is None or whole.steps is None:
        return passes > 1
    return passes * min(batches.steps, whole.steps) > whole.steps


def can_repeat(batches: Batches) -> bool:
    """Return whether the examples are the same in each epoch and can be read by their numbers.

    A function of the user's (`preprocessing_function`) might draw random numbers, so the first
    examples are read twice and compared.
    """
    count = batches.example_count()
    if not count:
        return False
    first = np.arange(min(count, _STEP))
    try:
        x, again = batches.read(first), batches.read(first)
    except Exception:
        return False  # training meets the same error and reports it
    return isinstance(x, np.ndarray) and np.array_equal(x, again, equal_nan=True)


def fits(shape: tuple[int | None, ...], count: int, itemsize: int) -> bool:
    """Return whether the features of `count` examples are small enough to be kept."""
    each = shapes.product(shape[1:])
    return each is not None and count * each * itemsize <= LARGEST


def compute(batches: Batches, run: Callable[[Array], Array], title: str, show: bool) -> Array:
    """Return `run`'s outputs for all examples, in the order of their numbers.

    A thread decodes the next images while the current ones are computed.
    """
    from concurrent.futures import ThreadPoolExecutor  # most models never need it

    count = batches.example_count()
    assert count
    parts = [np.arange(at, min(at + _STEP, count)) for at in range(0, count, _STEP)]
    features: Array | None = None
    with (
        ThreadPoolExecutor(1, thread_name_prefix="minicnn-features") as thread,
        progress.Bar(show=None if show else False).open(title, count) as bar,
    ):
        coming = thread.submit(batches.read, parts[0])
        for part, following in zip(parts, [*parts[1:], None], strict=True):
            x = coming.result()
            if following is not None:
                coming = thread.submit(batches.read, following)
            y = run(x)
            if features is None:
                features = np.empty((count, *y.shape[1:]), y.dtype)
            features[part] = y
            bar.advance(len(part))
    assert features is not None
    return features
