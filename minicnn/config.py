"""The default number type, as in `keras.config`, and what a computation may use.

Numbers are float32 unless you ask for float64; each core of the process runs one thread; `predict`
may keep packed weights of any size.
"""

from typing import TYPE_CHECKING

import numpy as np

from minicnn.compat import hints

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)


_floatx = "float32"


def floatx() -> str:
    """Return the dtype of layers that name none: `"float32"` or `"float64"`."""
    return _floatx


def set_floatx(value: str) -> None:
    """Set the default dtype of layers made from now on. Raises `ValueError` for other names."""
    global _floatx
    _floatx = standardize_dtype(value)


def epsilon() -> float:
    """Return 1e-7, as Keras does: losses keep probabilities this far from 0 and 1."""
    return 1e-7


def backend() -> str:
    """Return "numpy", the only backend here."""
    return "numpy"


def image_data_format() -> str:
    """Return "channels_last", the only order of axes here: (batch, rows, columns, channels)."""
    return "channels_last"


_program_bytes: int | None = None


def program_bytes() -> int | None:
    """Return the most bytes of weights that `predict` packs for a network; None is no limit."""
    return _program_bytes


def set_program_bytes(n: int | None) -> None:
    """Make `predict` run without a program if a network has more than `n` bytes of weights.

    A program (`Model.inference_program`) holds a packed copy of all weights. With 0, no program is
    made: predictions are the same numbers, but take longer. None, the default, sets no limit.
    Raises `ValueError` if `n` is neither None nor a whole number >= 0.
    """
    global _program_bytes
    whole = isinstance(n, (int, np.integer)) and not isinstance(n, bool)
    if n is not None and (not whole or n < 0):
        raise ValueError(
            f"set_program_bytes expects a whole number >= 0, or None. Received n={n!r}."
        )
    _program_bytes = None if n is None else int(n)


def num_threads() -> int:
    """Return how many threads compute: one per core of this process, unless you set another number.

    `set_num_threads` sets it, and so does `MINICNN_NUM_THREADS` in the environment. Raises
    `ValueError` if the environment's value is not a whole number >= 1.
    """
    from minicnn.compiler import threads

    return threads.count()


def set_num_threads(n: int) -> None:
    """Compute with `n` threads from now on, in all Python threads and in processes forked later.

    No result depends on `n`. Raises `ValueError` unless `n` is a whole number >= 1.
    """
    from minicnn.compiler import threads

    try:
        threads.set_count(n)
    except ValueError:
        raise ValueError(
            f"set_num_threads expects a whole number >= 1. Received n={n!r}."
        ) from None


def standardize_dtype(value: object) -> str:
    """Return `"float32"` or `"float64"` for a name, a NumPy dtype or None (the default)."""
    if value is None:
        return _floatx
    if isinstance(value, dict):  # Keras's files keep {"class_name": "DTypePolicy", "config": {...}}
        value = value.get("config", {}).get("name")
    try:
        name = np.dtype(value).name  # type: ignore[call-overload]
    except TypeError:
        name = repr(value)
    if name not in ("float32", "float64"):
        raise ValueError(f'dtype must be "float32" or "float64". Received {value!r}.')
    return str(name)
