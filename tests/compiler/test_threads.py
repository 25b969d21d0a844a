"""The threads of kernels do each task once, whichever thread asks."""

import re
import threading
from typing import Any

import numpy as np
import pytest
from kernel_arrays import COUNTS, floats, zeros

from minicnn import config
from minicnn.compiler import threads
from minicnn.compiler.kernel import Kernel


def mark(task, done, who):
    """Note which thread does the task, by the address of its memory."""
    mine = np.empty(1, np.int64)
    mine[0] = 0
    for i in range(2000):
        mine[0] += i % 7
    done[task] += 1
    who[task] = mine.address + mine[0] * 0


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("tasks", [0, 1, 5, 1000])
def test_each_task_is_done_once(tasks: int, count: int) -> None:
    threads.set_count(count)
    done, who = np.zeros(tasks, np.int64), np.zeros(tasks, np.int64)
    for _ in range(20):
        Kernel(mark, lambda done, who: len(done))(done, who)
    assert (done == 20).all()
    assert len(set(who)) <= min(count, tasks)


def test_several_threads_take_part() -> None:
    """There is enough to do, until the system has let another thread run."""
    threads.set_count(3)
    launch, done, who = Kernel(mark, lambda done, who: len(done)), *np.zeros((2, 2000), np.int64)
    workers: set[int] = set()
    for _ in range(1000):
        launch(done, who)
        workers.update(who)
        if len(workers) > 1:
            break
    assert 1 < len(workers) <= 3


def test_a_negative_number_of_tasks_is_none() -> None:
    Kernel(mark, lambda done, who: -1)(np.zeros(0, np.int64), np.zeros(0, np.int64))


def test_a_kernel_is_told_the_number_of_tasks() -> None:
    y = np.zeros(5, np.int64)
    Kernel(tells, lambda y: len(y))(y)
    assert y.tolist() == [50, 51, 52, 53, 54]


def tells(task, tasks, y):
    y[task] = tasks * 10 + task


def add_neighbours(task, x, y):
    """Add neighbours in x, which the step before has written."""
    y[task] = x[task] + x[(task + 1) % x.size] + 1


def one_of_all(task, x, y):
    y[0] = 0.0
    for i in range(x.size):
        y[0] += x[i] * (i + 1)


@pytest.mark.parametrize("count", COUNTS)
def test_a_step_starts_when_the_one_before_is_done(count: int) -> None:
    """Steps have 40, 3, one or no tasks: fewer than there are threads, or more."""
    threads.set_count(count)
    x, y, total = floats(40), zeros(40), zeros(1)
    add, one = (Kernel(f, lambda *_: 1) for f in (add_neighbours, one_of_all))
    steps = []
    for _ in range(25):
        for launch, tasks, *arrays in (
            (add, 40, x, y), (add, 0, y, total), (add, 40, y, x), (one, 1, x, total), (add, 3, y, x)
        ):  # fmt: skip
            steps.append((*launch.prepared(tuple(arrays)), tasks))
    expected_x, expected_y, expected_total = x.copy(), y.copy(), 0.0
    for _ in range(25):
        expected_y = expected_x + np.roll(expected_x, -1) + 1
        expected_x = expected_y + np.roll(expected_y, -1) + 1
        expected_total = (expected_x * np.arange(1, 41)).sum()
    threads.Table(steps).run()
    np.testing.assert_allclose(y, expected_y, rtol=1e-12)
    np.testing.assert_allclose(x, expected_x, rtol=1e-12)
    np.testing.assert_allclose(total[0], expected_total, rtol=1e-12)


@pytest.mark.parametrize("count", COUNTS)
def test_several_python_threads_compute_at_once(count: int) -> None:
    """One has the team and the others compute alone, but each gets its own results."""
    threads.set_count(count)
    launch, wrong, done = Kernel(add_neighbours, lambda x, y: len(x)), [], []

    def work(number: int) -> None:
        rng = np.random.default_rng(number)
        for size in rng.integers(1, 400, 60):
            x, y = rng.standard_normal(size), np.zeros(size)
            launch(x, y)
            if not (y == x + np.roll(x, -1) + 1).all():
                wrong.append((number, size))
        done.append(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []
    assert sorted(done) == list(range(6))


@pytest.mark.parametrize("given", [0, -1, 1.5, "2", None, True], ids=repr)
def test_a_number_of_threads_is_a_whole_number_from_1_on(given: Any) -> None:
    before = config.num_threads()
    expected = f"set_num_threads expects a whole number >= 1. Received n={given!r}."
    with pytest.raises(ValueError, match=re.escape(expected)):
        config.set_num_threads(given)
    assert config.num_threads() == before


def test_as_many_threads_compute_as_are_set() -> None:
    launch = Kernel(mark, lambda done, who: len(done))
    for count in (1, 4, np.int64(2)):
        config.set_num_threads(count)
        assert config.num_threads() == count
        done, who = np.zeros((2, 500), np.int64)
        launch(done, who)
        assert (done == 1).all()
        assert len(set(who)) <= count


def test_the_number_of_threads_is_that_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINICNN_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: {0, 2, 5}, raising=False)
    assert threads.cores() == 3
