"""CIFAR-100: 60,000 colour photos of 32x32 pixels, in 100 classes (Krizhevsky 2009)."""

from typing import TYPE_CHECKING

from minicnn import shapes
from minicnn.compat import hints
from minicnn.datasets import cifar
from minicnn.datasets.fetching import DataSet

__all__ = ["load_data"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)

CHECKSUM = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"


def load_data(label_mode: str = "fine") -> DataSet:
    """Return `(x_train, y_train), (x_test, y_test)`, as `keras.datasets.cifar100.load_data` does.

    x is uint8 (50000, 32, 32, 3) and (10000, 32, 32, 3); y is int64 (50000, 1) and (10000, 1), from
    0 to 99, or with `label_mode="coarse"` from 0 to 19 (the superclasses). The archive,
    170 MB, is downloaded once, into Keras's cache; nothing in it is unpickled
    (`minicnn.datasets.cifar`). Raises `ConnectionError` without a network at the first use.

    The surprise: Keras's documentation says that y is uint8, but it is int64 there, too.
    """
    label_mode = shapes.choice(label_mode, ("fine", "coarse"), "label_mode", "cifar100.load_data")
    train, test = cifar.batches(
        "cifar-100-python-target",
        "cifar-100-python.tar.gz",
        CHECKSUM,
        ["train", "test"],
        f"{label_mode}_labels",
    )
    return train, test
