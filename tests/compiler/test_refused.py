"""The compiler refuses what cannot be a kernel, in a sentence that says where."""

import linecache
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kernel_arrays import zeros

from minicnn.compiler.kernel import Kernel
from minicnn.compiler.language import CompileError, function

REFUSED: list[Any] = []


def refused(why: str, *arguments: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Expect the compiler to refuse the function's first statement for this reason."""

    def add(python: Callable[..., None]) -> Callable[..., None]:
        REFUSED.append(pytest.param(python, why, arguments, id=python.__name__))
        return python

    return add


X = zeros(3, 4)


@refused("A kernel has no With")
def with_statement(task):
    with task:
        pass


@refused("A kernel has no ListComp: [i for i in range(3)]")
def list_comprehension(task):
    x = [i for i in range(3)]  # noqa: C416, F841


@refused("A kernel has no Lambda: lambda: 0")
def a_lambda(task):
    f = lambda: 0  # noqa: E731, F841


@refused("A kernel's for loop goes over a range", X)
def loop_over_an_array(task, x):
    for row in x:
        row[0] = 1


@refused("A kernel's loop has no else", X)
def loop_with_else(task, x):
    for i in range(3):
        x[i, 0] = 1
    else:
        x[0, 0] = 2


@refused("A kernel's loop has no else", X)
def while_with_else(task, x):
    while task < 0:
        task += 1
    else:
        x[0, 0] = 2


@refused("A kernel's loop has no else, and no step of 0")
def step_of_zero(task):
    for _ in range(0, 5, 0):
        pass


@refused("A kernel cannot call print")
def call_of_print(task):
    print(task)


@refused("A kernel cannot call np.sin", X)
def call_of_numpy(task, x):
    x[0, 0] = np.sin(x[0, 0])


@refused("A kernel's calls have no keyword arguments: np.zeros(3, dtype=np.float32)")
def named_arguments(task):
    x = np.zeros(3, dtype=np.float32)  # noqa: F841


@refused("NameError: later has no value yet", X)
def no_value_yet(task, x):
    x[0, 0] = later  # noqa: F821


@refused("TypeError: total is int64 and cannot become float64", X)
def a_sum_that_begins_with_a_whole_number(task, x):
    total = task
    total += x[0, 0]


@refused("TypeError: x is float64[2] and cannot become int64", X)
def an_array_becomes_a_number(task, x):
    x = 5  # noqa: F841


@refused("A kernel's index cannot count from the end", X)
def negative_index(task, x):
    x[-1, 0] = 1


@refused("A kernel's index cannot count from the end", X)
def slice_from_the_end(task, x):
    y = x[:-1]  # noqa: F841


@refused("3 indices for an array of 2 axes", X)
def too_many_indices(task, x):
    x[0, 0, 0] = 1


@refused("An index must be a whole number", X)
def index_with_a_fraction(task, x):
    x[task / 2, 0] = 1


@refused("A kernel's slice has no step", X)
def slice_with_a_step(task, x):
    x[0, ::2] = 1


@refused("Only the last index of a kernel's array may be a slice", X)
def slice_before_an_index(task, x):
    x[:, 0] = 1


@refused("A kernel changes one number of an array, not a part of it", X)
def a_part_is_changed(task, x):
    x[0] += 1


@refused("Only arrays and tuples are indexed", X)
def index_of_a_number(task, x):
    task[0] = 1


@refused("An array of 1 axes does not fill one of 2", X)
def fill_with_fewer_axes(task, x):
    x[:] = x[0]


@refused("Only reshape(-1), of one axis, is computed", X)
def reshape_with_an_unknown_axis(task, x):
    y = x.reshape(-1, 2)  # noqa: F841


@refused("AttributeError: an array in a kernel has no T", X)
def transposed(task, x):
    y = x.T  # noqa: F841


@refused("TypeError: unsupported operand", X)
def sum_of_arrays(task, x):
    y = x + x  # noqa: F841


@refused("A kernel compares numbers, not arrays", X)
def arrays_compared(task, x):
    y = x == x  # noqa: F841


@refused("An array is neither true nor false", X)
def truth_of_an_array(task, x):
    if x:
        x[0, 0] = 1


@refused("A kernel has no In")
def membership(task):
    y = task in (1, 2)  # noqa: F841


@refused("A kernel has no FloorDiv of float64", X)
def floor_of_fractions(task, x):
    x[0, 0] = x[0, 1] // 2


@refused("A kernel has no Pow of int64", X)
def power(task, x):
    x[0, 0] = task**2


@refused("ZeroDivisionError: division by zero", X)
def divided_by_zero(task, x):
    x[0, 0] = task % 0


@refused("2 names expect a tuple of that length", X[0])
def too_few_values(task, x):
    a, b = (1,)  # noqa: F841


@refused("TypeError: either float64[2] or int64", X)
def one_kind_or_another(task, x):
    y = x if task > 0 else task  # noqa: F841


@function
def calls_itself(n):
    return 1 if n == 0 else n * calls_itself(n - 1)


@function
def returns_either(n):
    if n > 0:
        return 1
    return 0.5


@pytest.mark.parametrize(("python", "why", "arguments"), REFUSED)
def test_what_cannot_be_a_kernel_is_refused(
    python: Callable[..., None], why: str, arguments: tuple[Any, ...]
) -> None:
    """The error gives the file, the line and the statement; nothing is computed."""
    copies = [a.copy() for a in arguments]
    with pytest.raises(CompileError) as told:
        Kernel(python, lambda *_: 1)(*copies)
    file, line, rest = str(told.value).split(":", 2)
    assert f": {why}" in rest
    assert file == __file__
    source = linecache.getline(file, int(line)).partition("#")[0].strip()
    assert rest.replace(" ", "").startswith(source.rstrip(":").replace(" ", ""))
    for array in copies:
        assert not array.any()


@pytest.mark.parametrize(
    ("helper", "statement", "why"),
    [
        (calls_itself, "return 1 if n == 0 else", "calls_itself calls itself"),
        (returns_either, "return 0.5", "what the function returns is int64 and cannot become"),
    ],
    ids=["calls itself", "returns either"],
)
def test_a_helper_s_error_tells_where_it_is(helper: Any, statement: str, why: str) -> None:
    def call(task, y):
        y[0] = HELPER(task)

    global HELPER
    HELPER = helper
    call.__qualname__ = helper.__name__
    with pytest.raises(CompileError) as told:
        Kernel(call, lambda *_: 1)(np.zeros(1))
    file, line, rest = str(told.value).split(":", 2)
    assert file == __file__
    assert linecache.getline(file, int(line)).strip().startswith(statement)
    assert rest.startswith(f" {statement}")
    assert why in rest


HELPER: Any = None


@pytest.mark.parametrize("given", ["text", None, [1.0]], ids=str)
def test_arguments_of_other_types_are_refused(given: object) -> None:
    with pytest.raises(TypeError, match="A kernel takes arrays, numbers and tuples"):
        Kernel(takes_anything, lambda _: 1)(given)


def takes_anything(task, x):
    pass


def test_a_tuple_s_types_count() -> None:
    launch, y = Kernel(adds_a_pair, lambda *_: 1), np.zeros(1)
    for pair in ((1, 2), (1.5, 2), (1, 2.25), (1.5, 2.25), (3, 4)):
        launch(pair, y)
        assert y[0] == sum(pair)


def adds_a_pair(task, pair, y):
    y[0] = pair[0] + pair[1]
