"""The numbers that Keras draws from a seed: TensorFlow's stateless random functions, in NumPy.

A counter-based generator keeps no state from draw to draw. Philox (Salmon et al. 2011)
scrambles a counter, four words of 32 bits, with a key, two words, in ten rounds; the counters
0, 1, 2, … make the stream. TensorFlow gets the key and the upper half of the counters by scrambling
the seed itself, with a key of its own.

The words become numbers as TensorFlow makes them (`tensorflow/core/lib/random`): a uniform number
in [0, 1) takes 23 bits of a word, or 52 bits of two words in float64; two of these numbers make two
normal ones (Box and Muller 1958); and for a truncated normal, numbers that are 2 or more away from
0 are drawn again.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

Array = np.ndarray

_WORD = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_STEPS = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_KEY_OF_SEEDS = 0x3EC8F720, 0x02461E29

PERIOD = 2**31 - 2  # Keras passes seeds to TensorFlow modulo this number

_TINY = 1e-7  # Box and Muller's formula takes no logarithm of a smaller number here
_RESERVED = 256  # words of the stream, for each truncated number
AT_ONCE = 2**18  # groups; this limits the memory for a large weight


def uniform(seed: int, low: float, high: float, shape: Sequence[int], dtype: str) -> Array:
    """Return numbers in [low, high) of this shape, in float32 or float64.

    The surprise: Keras gives TensorFlow the limits in float32, whatever the dtype.
    """
    kind = np.dtype(dtype).type
    first, last = kind(np.float32(low)), kind(np.float32(high))
    y = _drawn(shape, dtype, lambda numbers: _fractions(_words(seed, numbers), dtype))
    return y * (last - first) + first


def normal(seed: int, mean: float, stddev: float, shape: Sequence[int], dtype: str) -> Array:
    """Return normally distributed numbers of this shape, in float32 or float64."""
    kind = np.dtype(dtype).type
    y = _drawn(shape, dtype, lambda numbers: _normals(_words(seed, numbers), dtype))
    return y * kind(stddev) + kind(mean)


def truncated_normal(
    seed: int,
    mean: float,
    stddev: float,
    shape: Sequence[int],
    dtype: str,
    at_once: int = AT_ONCE,
) -> Array:
    """Return normally distributed numbers of this shape, all within two stddevs of the mean.

    `at_once` limits the memory: a part has so many groups, and no influence on the next one.
    """
    kind = np.dtype(dtype).type
    y = _drawn(shape, dtype, lambda numbers: _within_two(seed, numbers, dtype), at_once)
    return y * kind(stddev) + kind(mean)


def _drawn(
    shape: Sequence[int], dtype: str, make: Callable[[Array], Array], at_once: int = AT_ONCE
) -> Array:
    """Return an array of this shape; `make` turns each whole number into a group of its numbers."""
    count = math.prod(shape)
    groups = -(-count // _group(dtype))
    parts = [
        make(np.arange(first, min(first + at_once, groups), dtype=np.uint64)).reshape(-1)
        for first in range(0, groups, at_once)
    ]
    return np.concatenate([*parts, np.empty(0, dtype)])[:count].reshape(tuple(shape))


def _group(dtype: str) -> int:
    """Return how many numbers four words make."""
    return 2 if dtype == "float64" else 4


# -- words -----------------------------------------------------------------------------------------


def _scrambled(counter: Sequence[Array], key: Sequence[Array]) -> Array:
    """Return Philox's four words, (…, 4), for the four words of each counter."""
    (a, b, c, d), (k, m) = counter, key
    for _ in range(10):
        first, second = _MULTIPLIERS[0] * a, _MULTIPLIERS[1] * c
        a, b = (second >> _HALF) ^ b ^ k, second & _WORD
        c, d = (first >> _HALF) ^ d ^ m, first & _WORD
        k, m = (k + _STEPS[0]) & _WORD, (m + _STEPS[1]) & _WORD
    return np.stack([a, b, c, d], axis=-1)


def _words(seed: int, numbers: Array) -> Array:
    """Return the groups of four words, (…, 4), at these positions of the seed's stream."""
    counter = [np.array([word], np.uint64) for word in (seed % PERIOD, 0, 0, 0)]
    k, m, c, d = _scrambled(counter, [np.array([word], np.uint64) for word in _KEY_OF_SEEDS])[0]
    shape = numbers.shape
    return _scrambled(
        [numbers & _WORD, numbers >> _HALF, np.full(shape, c), np.full(shape, d)],
        [np.full(shape, k), np.full(shape, m)],
    )


# -- numbers ---------------------------------------------------------------------------------------


def _fractions(words: Array, dtype: str) -> Array:
    """Return a number in [0, 1) for each word (float32) or each two words (float64)."""
    if dtype == "float64":
        bits = (words[..., ::2] & np.uint64(2**20 - 1)) << _HALF | words[..., 1::2]
        return bits / 2.0**52
    return (words & np.uint64(2**23 - 1)).astype(np.float32) / np.float32(2**23)


def _normals(words: Array, dtype: str) -> Array:
    """Return as many normally distributed numbers as the words make numbers in [0, 1)."""
    fractions = _fractions(words, dtype)
    kind = fractions.dtype.type
    u = np.maximum(fractions[..., ::2], kind(_TINY)).astype(np.float64)
    angle = (2 * math.pi * fractions[..., 1::2].astype(np.float64)).astype(kind).astype(np.float64)
    # Each function is rounded as by the C library, whose float32 versions TensorFlow calls.
    radius = np.sqrt(kind(-2) * np.log(u).astype(kind))
    both = np.stack([np.sin(angle).astype(kind), np.cos(angle).astype(kind)], axis=-1)
    return (both * radius[..., None]).reshape(fractions.shape)


def _within_two(seed: int, groups: Array, dtype: str) -> Array:
    """Return the numbers of these groups, (groups, 2 or 4).

    Each group has its own stretch of the stream, and takes from it the first numbers that are close
    enough to 0.
    """
    count = _group(dtype)
    starts = groups * np.uint64(count * _RESERVED // 4)
    blocks = 2  # nearly always enough
    while True:
        places = starts[:, None] + np.arange(blocks, dtype=np.uint64)
        y = _normals(_words(seed, places), dtype).reshape(len(groups), -1)
        near = np.abs(y) < 2
        if (near.sum(axis=1) >= count).all():
            first = np.argsort(~near, axis=1, kind="stable")[:, :count]
            return np.take_along_axis(y, first, axis=1)
        blocks *= 2
