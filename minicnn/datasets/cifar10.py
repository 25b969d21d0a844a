"""CIFAR-10: 60,000 colour photos of 32x32 pixels, in 10 classes (Krizhevsky 2009)."""

from typing import TYPE_CHECKING

import numpy as np

from minicnn.compat import hints
from minicnn.datasets import cifar
from minicnn.datasets.fetching import DataSet

__all__ = ["load_data"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)

CHECKSUM = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"


def load_data() -> DataSet:
    """Return `(x_train, y_train), (x_test, y_test)`, as `keras.datasets.cifar10.load_data` does.

    x is uint8 (50000, 32, 32, 3) and (10000, 32, 32, 3); y is uint8 (50000, 1) and (10000, 1):
    airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck. The archive, 170 MB, is
    downloaded once, into Keras's cache; nothing in it is unpickled (`minicnn.datasets.cifar`).
    Raises `ConnectionError` without a network at the first use.
    """
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    *train, (x_test, y_test) = cifar.batches(
        "cifar-10-batches-py-target", "cifar-10-python.tar.gz", CHECKSUM, names, "labels"
    )
    x_train, y_train = (np.concatenate(parts) for parts in zip(*train, strict=True))
    return (x_train, y_train.astype(np.uint8)), (x_test, y_test.astype(np.uint8))
