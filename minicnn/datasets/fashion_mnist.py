"""Fashion-MNIST: 70,000 gray images of clothes, 28x28 pixels, in 10 classes (Zalando)."""

from typing import TYPE_CHECKING

from minicnn.compat import hints
from minicnn.datasets import fetching

__all__ = ["load_data"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)

_LARGEST = 2**26  # bytes; the largest file holds 47 million


def load_data() -> fetching.DataSet:
    """Return `(x_train, y_train), (x_test, y_test)`, as `keras.datasets.fashion_mnist` does.

    x is uint8 (60000, 28, 28) and (10000, 28, 28), from 0 (background) to 255; y is uint8 (60000,)
    and (10000,): T-shirt/top, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle
    boot. The files, 31 MB, are downloaded once, into Keras's cache, and checked by the checksums
    that the server sends. Raises `ConnectionError` without a network at the first use.
    """
    names = {
        (part, kind): f"{part}-{kind}-ubyte.gz"
        for part in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    }
    paths = {
        key: fetching.cached(name, f"{fetching.STORE}/{name}", None, _LARGEST, "fashion-mnist")
        for key, name in names.items()
    }
    return _part("train", paths), _part("t10k", paths)


def _part(part: str, paths: dict[tuple[str, str], str]) -> tuple[fetching.Array, fetching.Array]:
    images = fetching.idx(paths[part, "images-idx3"], _LARGEST, 3)
    labels = fetching.idx(paths[part, "labels-idx1"], _LARGEST, 1)
    fetching.check_images(images, labels, f"Fashion-MNIST's part {part}")
    return images, labels
