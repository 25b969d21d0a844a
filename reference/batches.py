"""Batches for Keras's `fit`, in an order that depends only on the seed and the epoch's number.

So an interrupted run continues with exactly the batches that it would have seen. Call `fit` with
`shuffle=False`, since this module makes the order.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np

from reference.console import progress
from reference.data import THREADS, Photos, Reader, decoded

Array = np.ndarray
Mix = Callable[[Array, Array, np.random.Generator], tuple[Array, Array]]

LARGEST_KEPT = 2 * 2**30  # bytes of decoded photos that are kept in memory


def steps_of_epoch(photos: int, batch_size: int, processes: int = 1) -> int:
    """Return the number of batches in an epoch; the processes share all but the last few photos."""
    return math.ceil(photos // processes * processes / batch_size)


class Batches(keras.utils.PyDataset):
    """Batches of `x` and `y`; with a seed, in a new order in each epoch.

    `x` is an array, or a function from row numbers to an array. If several processes train together
    (`group`), each takes its own slice of every batch; the few photos of the last batch that cannot
    be divided evenly are left out of the epoch. `mix` changes the arrays of a whole batch. With
    `weights`, one for each class, there is a third array: how much each photo counts, which is the
    weights' mean where classes are mixed.
    """

    def __init__(
        self,
        x: Array | Callable[[Array], Array],
        y: Array,
        batch_size: int,
        seed: int | None = None,
        group: Any = None,
        mix: Mix | None = None,
        weights: Array | None = None,
    ) -> None:
        super().__init__()
        self.x, self.y, self.batch_size, self.mix = x, y, batch_size, mix
        self.weights = weights
        self.seed, self.epoch, self.group = seed, 0, group
        if group is not None and batch_size % group.count:
            raise ValueError(
                f"{group.count} processes share each batch: --batch-size should be a multiple of "
                f"{group.count}. Received {batch_size}."
            )
        if group is not None and len(y) < group.count:
            raise ValueError(f"{len(y)} photos are too few for {group.count} processes.")

    def __len__(self) -> int:
        count = 1 if self.group is None else self.group.count
        return steps_of_epoch(len(self.y), self.batch_size, count)

    def order(self, epoch: int) -> Array:
        """Return the row numbers of an epoch, in training order."""
        if self.seed is None:
            return np.arange(len(self.y))
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.y))

    def rows(self, batch: int) -> Array:
        """Return the row numbers of a batch of the current epoch (this process's part of it)."""
        rows = self._all_rows(batch)
        return rows if self.group is None else rows[self.group.share(len(rows))]

    def _all_rows(self, batch: int) -> Array:
        rows = self.order(self.epoch)[batch * self.batch_size : (batch + 1) * self.batch_size]
        count = 1 if self.group is None else self.group.count
        return rows[: len(rows) // count * count]

    def __getitem__(self, batch: int) -> tuple[Array, ...]:
        x, y = self._mixed(batch)
        # Keras's class_weight would treat a photo of two classes as one of the larger class.
        return (x, y) if self.weights is None else (x, y, y @ self.weights)

    def _mixed(self, batch: int) -> tuple[Array, Array]:
        if self.mix is None:
            return self._read(self.rows(batch))
        # Photos are mixed with those of other processes, too: each process mixes the whole batch.
        rows = self._all_rows(batch)
        x, y = self.mix(
            *self._read(rows), np.random.default_rng([self.seed or 0, self.epoch, batch])
        )
        own = slice(None) if self.group is None else self.group.share(len(rows))
        return x[own], y[own]

    def _read(self, rows: Array) -> tuple[Array, Array]:
        return self.x(rows) if callable(self.x) else self.x[rows], self.y[rows]


class InOrder(keras.callbacks.Callback):
    """Tell the batches which epoch it is.

    They cannot count with `PyDataset.on_epoch_end`: Keras calls it once more when it reads the
    first batch to build the model, which happens in a new run, but not in a resumed one.
    """

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._batches.epoch = epoch


def pixels(photos: Photos, reader: Reader, show: bool = True) -> Array | Callable[[Array], Array]:
    """Return the photos' pixels, kept in memory if they fit, otherwise decoded on demand.

    This decodes every photo once now, so that it names bad ones before training starts.
    """
    shape = (len(photos), reader.image_size, reader.image_size, 3)
    kept = np.empty(shape, np.float32) if 4 * math.prod(shape) <= LARGEST_KEPT else None
    done = 0
    with progress(f"Decoding {photos.name}", len(photos), show) as advance:
        for batch in decoded(photos, reader, 32):
            if kept is not None:
                kept[done : done + len(batch)] = batch
            done += len(batch)
            advance(len(batch))
    if kept is not None:
        return kept
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="photos")

    def read(rows: Array) -> Array:
        return np.stack(list(threads.map(reader, [photos.paths[row] for row in rows])))

    return read
