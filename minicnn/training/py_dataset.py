"""`PyDataset`, from which users derive data sets of their own batches."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np


class PyDataset:
    """Base class of data sets whose batches `fit` reads by number, such as from a list of files.

        class Photos(PyDataset):
            def __init__(self, paths, labels, batch_size, **kwargs):
                super().__init__(**kwargs)
                self.paths, self.labels, self.batch_size = paths, labels, batch_size

            def __len__(self):                                    # how many batches
                return math.ceil(len(self.paths) / self.batch_size)

            def __getitem__(self, index):                         # a whole batch (x, y)
                part = slice(index * self.batch_size, (index + 1) * self.batch_size)
                return read(self.paths[part]), self.labels[part]

    `fit` calls `on_epoch_begin` and `on_epoch_end`, if the class defines them. A class may define
    the property `num_batches` in place of `__len__`; if it is None, the batches never end, and
    `fit` needs `steps_per_epoch`.

    With `workers` above 1, so many threads read at most `max_queue_size` batches ahead; their order
    stays. The surprise: they are threads with `use_multiprocessing`, too, which has no effect here.
    Raises `ValueError` unless `workers` is a whole number >= 0 and `max_queue_size` >= 1.
    """

    # Keras also accepts a class that does not call super().__init__(): it has these settings.
    workers: int = 1
    use_multiprocessing: bool = False
    max_queue_size: int = 10

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        for name, value, least in (("workers", workers, 0), ("max_queue_size", max_queue_size, 1)):
            whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
            if not whole or value < least:
                raise ValueError(
                    f"{type(self).__name__} expects {name} to be a whole number >= {least}. "
                    f"Received {value!r}."
                )
        self.workers, self.max_queue_size = workers, max_queue_size
        self.use_multiprocessing = use_multiprocessing

    def __getitem__(self, index: int) -> Any:
        """Return the batch of this number."""
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__(self, index).")

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches in order."""
        batches = self.num_batches
        for index in count() if batches is None else range(batches):
            yield self[index]

    @property
    def num_batches(self) -> int | None:
        """How many batches there are; None if they never end."""
        if not hasattr(self, "__len__"):
            raise NotImplementedError(f"{type(self).__name__} has no __len__(self).")
        return len(self)

    def on_epoch_begin(self) -> None:
        """Do nothing; called before an epoch's first batch."""

    def on_epoch_end(self) -> None:
        """Do nothing; called after an epoch's last batch."""
