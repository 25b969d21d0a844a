"""The only source of randomness of the whole package.

Weights, dropout masks and shuffles draw from a `numpy.random.Generator`: the one that was passed,
or else the package's own, which `set_random_seed` restarts. On one machine, the same seed gives the
same numbers.
"""

import random

import numpy as np

_generator = np.random.default_rng()


def set_random_seed(seed: int) -> None:
    """Restart all randomness: Python's `random`, NumPy's global generator, and minicnn's own.

    It works like `keras.utils.set_random_seed`. Raises `ValueError` unless `seed` is an integer in
    [0, 2**32), the range that NumPy's global generator takes.
    """
    global _generator
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ValueError(
            f"set_random_seed expects an integer from 0 to 2**32 - 1. Received {seed!r}."
        )
    random.seed(int(seed))
    np.random.seed(int(seed))
    _generator = np.random.default_rng(int(seed))


def check_seed(seed: object, who: str) -> None:
    """Raise a `ValueError` unless `generator` accepts this seed."""
    whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool) and seed >= 0
    if not whole and seed is not None and not isinstance(seed, np.random.Generator):
        raise ValueError(
            f"{who} expects seed to be an integer >= 0, a numpy.random.Generator or None. "
            f"Received {seed!r}."
        )


def default_generator() -> np.random.Generator:
    """Return the package's generator, unpredictable until `set_random_seed` restarts it."""
    return _generator


def generator(seed: "int | np.random.Generator | None") -> np.random.Generator:
    """Return a generator for what a user may pass as `seed`: an integer, a generator, or None."""
    if seed is None:
        return _generator
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng(seed)
