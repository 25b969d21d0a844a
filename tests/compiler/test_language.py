"""A kernel means what the same function means in Python, with NumPy's arrays.

Each small function of the table runs in Python and as machine code, and both compute the same.
"""

import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kernel_arrays import floats, ints, run_both, zeros

from minicnn.compiler import loading
from minicnn.compiler.kernel import Kernel, kernel
from minicnn.compiler.language import function

CASES: list[Any] = []


def case(*arguments: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run the function with these arguments, after the task; it writes to the last one."""

    def add(python: Callable[..., None]) -> Callable[..., None]:
        CASES.append(pytest.param(python, arguments, id=python.__name__))
        return python

    return add


A_GLOBAL, A_FRACTION, A_PAIR = 3, 0.25, (2, 5)


@function
def quotient_and_rest(a, b):
    return a // b, a % b


@function
def sign(x):
    """It has several returns, one of them in a loop."""
    while x != 0:
        if x > 0:
            return 1
        return -1
    return 0


@function
def sum_of(x):
    total = 0.0
    for i in range(len(x)):
        total += x[i]
    return total


@function
def nothing(y, i):
    """It returns nothing on either path."""
    if i < 0:
        return
    y[i] = 5


@function
def nested(a, b):
    return (a + b, (a - b, a * 0.5)), a > b


@function
def sorted_by_scratch(x, y):
    """It sorts whole numbers from -4 to 6 by counting."""
    counts = np.zeros(11, np.int64)
    for i in range(x.size):
        counts[x[i] + 4] += 1
    at = 0
    for value in range(11):
        for _ in range(counts[value]):
            y[at] = value - 4
            at += 1


@case(ints(11), zeros(8, 11, dtype="int64"))
def whole_numbers(task, x, y):
    for i in range(x.size):
        y[0, i] = x[i] + 2
        y[1, i] = 2 - x[i]
        y[2, i] = x[i] * x[i]
        y[3, i] = -x[i]
        y[4, i] = x[i] // 3 + x[i] % 3 * 100
        y[5, i] = x[i] // -3 + x[i] % -3 * 100
        y[6, i] = x[i] // 4 + x[i] % 4 * 100
        y[7, i] = (x[i] & 6) + (x[i] | 1) * 100


@case(floats(11), zeros(7, 11))
def fractions(task, x, y):
    for i in range(x.size):
        y[0, i] = x[i] + 2
        y[1, i] = 0.5 - x[i]
        y[2, i] = x[i] * x[i]
        y[3, i] = -x[i]
        y[4, i] = x[i] / 8
        y[5, i] = x[i] % 0.75
        y[6, i] = x[i] % -0.75


@case(ints(11), ints(11)[::-1].copy(), zeros(9, 11, dtype="int64"))
def comparisons(task, a, b, y):
    for i in range(a.size):
        y[0, i] = a[i] < b[i]
        y[1, i] = a[i] <= b[i]
        y[2, i] = a[i] > b[i]
        y[3, i] = a[i] >= b[i]
        y[4, i] = a[i] == b[i]
        y[5, i] = a[i] != b[i]
        y[6, i] = -2 < a[i] <= b[i] < 4
        y[7, i] = not a[i] < b[i]
        y[8, i] = not a[i]


@case(np.array([1.0, np.nan, -np.inf, np.inf, 0.0]), zeros(9, 5, 5))
def comparisons_with_nan(task, x, y):
    for i in range(5):
        for j in range(5):
            y[0, i, j] = x[i] < x[j]
            y[1, i, j] = x[i] != x[j]
            y[2, i, j] = x[i] == x[j]
            y[3, i, j] = not x[i] >= x[j]
            y[4, i, j] = min(x[i], x[j])
            y[5, i, j] = max(x[i], x[j])
            y[6, i, j] = 1 if x[i] else 0
            y[7, i, j] = max(x[i], x[j], 0.5)
            y[8, i, j] = abs(x[i])


@case(ints(6), zeros(4, 6, dtype="int64"))
def and_or(task, x, y):
    """The index after an `and` would be out of range, and the division after an `or` would fail."""
    for i in range(x.size):
        y[0, i] = 1 if i + 1 < x.size and x[i + 1] > 0 else 0
        y[1, i] = 1 if x[i] == 0 or 12 // x[i] == 3 else 0
        y[2, i] = 1 if (x[i] > 0 and i > 2) or (x[i] < 0 and not i > 2) else 0
        if x[i] != 0 and 12 % x[i] == 0 and 12 // x[i] > 2:
            y[3, i] = 12 // x[i]


@case(ints(11), zeros(5, 11))
def conditions(task, x, y):
    for i in range(x.size):
        y[0, i] = 1 if x[i] > 0 else 0.5
        y[1, i] = x[i] if x[i] > 0 else -x[i] / 2
        y[2, i] = -1 if x[i] < 0 else 0 if x[i] == 0 else 1
        low, high = (x[i], 2) if x[i] < 2 else (2, x[i])
        y[3, i] = low * 100 + high
        if x[i] < -1:
            y[4, i] = 1
        elif x[i] < 2:
            y[4, i] = 2
        else:
            y[4, i] = 3


@case(zeros(40, dtype="int64"))
def ranges(task, y):
    n = 0
    for i in range(3):
        y[n] = i
        n += 1
    for i in range(2, 6):
        y[n] = i
        n += 1
    for i in range(-3, 9, 4):
        y[n] = i
        n += 1
    for i in range(9, -2, -3):
        y[n] = i
        n += 1
    for i in range(n, n + 7, n - 12):  # the step is computed
        y[i] = i
    for _ in range(0):
        y[n] = 99
    for _ in range(5, 5):
        y[n] = 99
    for _ in range(5, 2):
        y[n] = 99
    for _ in range(2, 5, -1):
        y[n] = 99
    y[39] = n


@case(zeros(3, dtype="int64"))
def a_range_is_read_once(task, y):
    n, total = 5, 0
    for i in range(n):
        n = 2
        total += i
        i = 100
    y[0], y[1], y[2] = n, total, i


@case(zeros(4, dtype="int64"))
def loops(task, y):
    total = n = 0
    while n < 100:
        n += 1
        if n % 3 == 0:
            continue
        if n > 20:
            break
        for i in range(n):
            if i == 5:
                break
            if i % 2:
                continue
            total += i
    y[0], y[1], y[2] = n, total, i
    while True:
        y[3] += 1
        if y[3] == 7:
            break


@case(ints(3, 4), zeros(12, dtype="int64"))
def tuples(task, x, y):
    rows, columns = x.shape
    y[0], y[1] = columns, rows
    pair = rows, columns
    a, (b, c) = 1, pair
    a, b = b, a
    y[2] = a * 100 + b * 10 + c
    (y[3], y[4]), y[5] = (7, pair[1]), len(pair)
    y[6] = A_PAIR[-1] + sum_of_pair(*A_PAIR) + max(A_PAIR) + min(pair)
    y[7] = pair == (3, 4)
    y[8] = pair == (3, 5)
    y[9] = pair == (3, 4, 5)
    several = (*pair, 9, *A_PAIR)
    y[10] = several[2] + several[-1] + len(several)
    y[11] = (a + b, c)[0]


@function
def sum_of_pair(a, b):
    return a + b


@case(ints(9), zeros(6, 9))
def helpers(task, x, y):
    for i in range(x.size):
        q, r = quotient_and_rest(x[i], 4)
        y[0, i], y[1, i] = q, r
        y[2, i] = sign(x[i])
        (a, (b, half)), larger = nested(x[i], i)
        y[3, i] = a + b + half
        y[4, i] = 1 if larger else -1
        nothing(y[5], i - 2)


@case(floats(5), floats(5, dtype="float32"), zeros(4))
def a_helper_for_several_kinds(task, x, x32, y):
    y[0] = sum_of(x)
    y[1] = sum_of(x32)
    y[2] = sum_of(x[1:3])
    y[3] = quotient_and_rest(17, 5)[0] + sign(-2.5)


@case(floats(4, 3, 5), zeros(2, 40))
def views(task, x, y):
    plane = x[2]
    y[0, 0] = plane[1, 4]
    line = x[2, 1]
    y[0, 1] = line[3] + len(line) + line.size
    y[0, 2] = plane.shape[1] + x[1:3].shape[0] + x[1, :2].shape[1] + x[1, 1, 1:].size
    some = x[1:3]
    y[0, 3] = some[1, 2, 4]
    y[0, 4] = x[1, 1:3][1, 2] + x[3, 2, 2:4][1] + x[:2][1, 0, 0] + x[2:][1, 0, 0]
    flat = x.reshape(-1)
    y[0, 5] = flat[17] + len(flat)
    square = x[:2].reshape(6, 5)
    y[0, 6] = square[5, 4]
    other = x.reshape((5, 12))
    y[0, 7] = other[4, 11] + other.shape[0]
    i, j = 1, 2
    y[0, 8] = x[i + 1, j][i : i + 2][1]
    y[1, 3:8] = x[0, 0]
    y[1, 10:13] = 2.5
    y[1, 20:] = 1
    y[1, 30:35] = x[3, 2, :]
    y[1][15:17] = 9
    y[1, 22] += x[0, 0, 1]
    y[1, 22] *= 3


@case(floats(3, 4), zeros(3, 4))
def a_whole_array(task, x, y):
    y[:] = x
    y[1] = x[2]
    y[2] = 0


@case(floats(3, 2, dtype="float32"), floats(4), ints(4), np.arange(4, dtype="uint8"), zeros(40))
def promotion(task, x, d, i, b, y):
    """The digits of the results show their types: float32 has 24 bits."""
    third = x[1, 0] / 3
    y[0] = third
    y[1] = x[1, 0] * 0.1
    y[2] = x[1, 0] * d[1] * 0.1
    y[3] = x[1, 0] * i[1] / 7
    y[4] = i[1] / 7
    y[5] = i[1] * 0.1
    y[6] = 1 / x[1, 0] + x.dtype.type(1) / 3
    y[7] = x[1, 0] + 16777216
    y[8] = (i[2] + 16777216) * x[1, 0]
    y[9] = (x[1, 0] < 0) * x[1, 0] / 3
    y[10] = (x[1, 0] < 0) * i[1]
    y[11] = np.float32(0.1)
    y[12] = np.float32(i[2]) / 3
    y[13] = float(x[1, 0]) / 3
    y[14] = np.float64(x[1, 0]) / 3
    y[15] = int(x[1, 0] * 10) + int(-2.5 * d[1])
    y[16] = math.sqrt(d[1] * d[1] + 2.0)
    y[17] = math.sqrt(i[1] * i[1]) + math.sqrt(2)
    y[18] = A_GLOBAL * x[1, 0] + A_FRACTION
    y[19] = A_FRACTION * i[1]
    y[20] = int(b[3]) * 100
    y[21] = abs(i[0]) + abs(d[0]) + abs(x[0, 0]) + abs(-3)
    y[22] = min(i[1], 2) + max(i[0], i[1], i[2]) + max(0.5, d[0])
    y[23] = x.itemsize + d.itemsize * 10 + b.itemsize * 100
    y[24] = -x[1, 0] / 3
    y[25] = math.inf - d[0]


@case(zeros(30, dtype="int64"))
def scratch_in_loops(task, y):
    """Each round reuses the memory of the one before, and fills it again."""
    for i in range(5):
        square = np.zeros((i, i), np.int64)
        for j in range(i):
            square[j, j] = j + 1
        other = np.zeros(3, np.int64)
        other[:] = i
        for j in range(i):
            y[i * 5 + j] = square[j, j] * 10 + square[j, 0] + other[j % 3]


@case(ints(9), zeros(9, dtype="int64"), zeros(9, dtype="int64"))
def scratch_of_a_function(task, x, y, z):
    """The function's arrays lie after those of its caller."""
    mine = np.empty(9, np.int64)
    mine[:] = 3
    sorted_by_scratch(x, y)
    for i in range(9):
        z[i] = mine[i]


@case(zeros(4))
def arrays_of_all_kinds(task, y):
    a, b = np.zeros(3), np.empty((2, 2), np.float32)
    c, d = np.zeros(5, np.uint8), np.empty(4, y.dtype)
    a[2], c[1] = 1.5, 200
    b[:] = 0.25
    d[:] = a[2]
    y[0], y[1], y[2], y[3] = a[0] + a[2], b[1, 1] + b[0, 1], int(c[1]) + int(c[4]), d[3]


@case((3, 0.5), 7, 2.5, np.float32(0.1), True, np.int32(5), zeros(8))
def arguments_of_all_kinds(task, pair, n, f, g, on, small, y):
    y[0], y[1], y[2] = pair[0] + n, pair[1] * f, g
    y[3] = 1 if on else 2
    y[4] = small + pair[0]
    y[5] = g / 3


@case(zeros(6, dtype="int64"))
def bits_of_everything(task, y):
    """It has a docstring, `pass`, built-in names, a constant condition and several targets."""
    if A_GLOBAL == 3:
        y[0] = 1
    else:
        y[0] = 2 + undefined_anywhere  # noqa: F821
    if len(A_PAIR) > 2 or A_GLOBAL > 5:
        pass
    y[1] = y[2] = y[0] + 1
    on = False
    on = on or y[0] == 1
    y[3] = 1 if on and A_GLOBAL != 2 else 0
    low = high = 5
    low -= 1
    y[4] = low * 10 + high
    y[5] = int(A_FRACTION * 8) + 2**3 + 7 // 2 + -7 % 4


@pytest.mark.parametrize(("python", "arguments"), CASES)
def test_a_kernel_computes_what_python_computes(
    python: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    by_python, by_kernel = run_both(python, arguments)
    for expected, found in zip(by_python, by_kernel, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("source", ["float32", "float64", "int64", "uint8"])
@pytest.mark.parametrize("target", ["float32", "float64", "int64", "uint8"])
def test_an_array_is_filled_with_one_of_any_kind(source: str, target: str) -> None:
    x = np.array([[0, 1, 2], [3, 100, 255]], source)
    by_python, by_kernel = run_both(fill, (x, zeros(2, 3, dtype=target), zeros(4, dtype=target)))
    for expected, found in zip(by_python, by_kernel, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert by_kernel[1][1, 1] == 100


def fill(task, x, y, some):
    y[:] = x
    some[1:3] = x[1, 1:3]
    some[0] = x[1, 0]


@kernel(tasks=lambda a, b, quotients, rests: 1, writes="quotients rests")
def divide_whole(task, a, b, quotients, rests):
    for i in range(a.size):
        quotients[i] = a[i] // b[i]
        rests[i] = a[i] % b[i]


WHOLE = st.integers(-(2**62), 2**62) | st.integers(-20, 20)


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(pairs=st.lists(st.tuples(WHOLE, WHOLE.filter(bool)), min_size=1, max_size=20))
def test_whole_numbers_are_divided_as_python_divides(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs, np.int64).T.copy()
    quotients, rests = np.zeros_like(a), np.zeros_like(a)
    divide_whole(a, b, quotients, rests)
    assert list(zip(quotients, rests, strict=True)) == [divmod(m, n) for m, n in pairs]


@kernel(tasks=lambda a, b, y: 1, writes="y")
def divide_fractions(task, a, b, y):
    for i in range(a.size):
        y[0, i] = a[i] % b[i]
        y[1, i] = a[i] / b[i]


FRACTION = st.floats(-1e9, 1e9, allow_subnormal=False) | st.integers(-20, 20).map(lambda n: n / 4)


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(pairs=st.lists(st.tuples(FRACTION, FRACTION.filter(bool)), min_size=1, max_size=20))
@example(pairs=[(-0.0, 1.0), (5.0, math.inf), (-5.0, math.inf), (math.nan, 2.0), (1.0, math.nan)])
def test_fractions_are_divided_as_python_divides(pairs: list[tuple[float, float]]) -> None:
    a, b = np.array(pairs).T.copy()
    y = np.zeros((2, a.size))
    divide_fractions(a, b, y)
    np.testing.assert_array_equal(y, [[m % n for m, n in pairs], [m / n for m, n in pairs]])


@kernel(tasks=lambda limits, y: 1, writes="y")
def count_up(task, limits, y):
    for n in range(len(limits)):
        for i in range(limits[n, 0], limits[n, 1], limits[n, 2]):
            y[n] = y[n] * 31 + i
        for i in range(limits[n, 0], limits[n, 1], -2):
            y[n] = y[n] * 31 + i


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 5)), min_size=1))
def test_ranges_count_as_in_python(limits: list[tuple[int, int, int]]) -> None:
    y = np.zeros(len(limits), np.int64)
    count_up(np.array(limits, np.int64), y)
    for found, (first, stop, step) in zip(y, limits, strict=True):
        expected = 0
        for i in [*range(first, stop, step), *range(first, stop, -2)]:
            expected = expected * 31 + i
        assert found == (expected + 2**63) % 2**64 - 2**63


def test_a_variable_keeps_its_type() -> None:
    """A sum that starts at 0.0 is a float64, whatever is added."""
    x, y = np.array([1, 2**-30, 2**-30], np.float32), np.zeros(2)
    Kernel(sums, lambda *_: 1)(x, y)
    assert y.tolist() == [1 + 2**-29, 1.0]


def sums(task, x, y):
    exact, rounded = 0.0, x.dtype.type(0)
    for i in range(x.size):
        exact += x[i]
        rounded += x[i]
    y[0], y[1] = exact, rounded


# -- kept kernels ----------------------------------------------------------------------------------


def test_a_new_version_in_a_zip_file_has_kernels_of_its_own(tmp_path: Path) -> None:
    """The sources inside the zip are not files themselves."""
    digest, archive = loading._digest_of.__wrapped__, tmp_path / "minicnn.zip"
    found = []
    for version in ("1", "2"):
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("minicnn/kernels/some.py", version)
        found.append(digest(frozenset({archive / "minicnn" / "kernels" / "some.py"})))
    assert found[0] != found[1]
