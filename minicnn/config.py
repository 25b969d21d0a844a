"""The default number type, as in `keras.config`, and what a computation may use.

Numbers are float32 unless you ask for float64; threads are as many as the process has cores;
`predict` may keep packed weights of any size.
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
    """Return 1e-7, as Keras: how far a loss keeps probabilities from 0 and 1 in a logarithm."""
    return 1e-7


_program_bytes: int | None = None


def program_bytes() -> int | None:
    """Return the most bytes of weights that `predict` packs for a network; None is no limit."""
    return _program_bytes


def set_program_bytes(n: int | None) -> None:
    """Have `predict` do without a program where a network has more than `n` bytes of weights.

    A program (`Model.inference_program`) has all weights once more, packed. With 0 there is none,
    and predictions have the same numbers, only later. None, the default, is no limit. Raises
    `ValueError` if `n` is neither None nor a whole number from 0 on.
    """
    global _program_bytes
    whole = isinstance(n, (int, np.integer)) and not isinstance(n, bool)
    if n is not None and (not whole or n < 0):
        raise ValueError(
            f"set_program_bytes expects a whole number from 0 on, or None. Received n={n!r}."
        )
    _program_bytes = None if n is None else int(n)


def num_threads() -> int:
    """How many threads compute: all cores of this process, unless it is told otherwise.

    `MINICNN_NUM_THREADS` in the environment says it, and `set_num_threads`. Raises `ValueError` if
    the environment names no whole number from 1 on.
    """
    from minicnn.compiler import threads

    return threads.count()


def set_num_threads(n: int) -> None:
    """Have `n` threads compute from now on, in all Python threads and in processes forked later.

    No result depends on `n`. Raises `ValueError` if `n` is no whole number from 1 on.
    """
    from minicnn.compiler import threads

    try:
        threads.set_count(n)
    except ValueError:
        raise ValueError(
            f"set_num_threads expects a whole number from 1 on. Received n={n!r}."
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
