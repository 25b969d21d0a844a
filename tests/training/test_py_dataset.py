"""`PyDataset`: data sets of one's own batches, read by number, perhaps by several threads."""

import itertools
import threading
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import layers
from minicnn.utils import PyDataset

X = np.arange(10, dtype=np.float32).reshape(5, 2)
Y = X.sum(axis=1, keepdims=True)


class Pairs(PyDataset):
    """Three batches, of 2, 2 and 1 examples; it notes what is called."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seen: list[Any] = []

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        self.seen.append(index)
        part = slice(2 * index, 2 * index + 2)
        return X[part], Y[part]

    def on_epoch_begin(self) -> None:
        self.seen.append("begin")

    def on_epoch_end(self) -> None:
        self.seen.append("end")


class Endless(PyDataset):
    def __getitem__(self, index: int) -> Any:
        return np.full((1, 2), index, np.float32)

    @property
    def num_batches(self) -> int | None:
        return None


class Careless(Pairs):
    """Its __init__ does not call that of PyDataset."""

    def __init__(self) -> None:
        self.seen = []


def model() -> Any:
    made = minicnn.Sequential(
        [minicnn.Input((2,)), layers.Dense(1, kernel_initializer="ones", bias_initializer="ones")]
    )
    made.compile("sgd", "mse")
    return made


def test_batches_are_read_in_order_whatever_the_number_of_threads() -> None:
    expected = model().fit(X, Y, batch_size=2, epochs=2, shuffle=False).history
    for data in (Pairs(), Pairs(workers=3, max_queue_size=2, use_multiprocessing=True), Careless()):
        found = model().fit(data, epochs=2, shuffle=False)
        assert found.history == expected
        assert data.seen.count("begin") == data.seen.count("end") == 2
        assert sorted(data.seen[1:4]) == [0, 1, 2]
        np.testing.assert_array_equal(model().predict(data), Y + 1)
        assert model().evaluate(data) == 1  # each output is 1 too large
    assert [len(x) for x, _ in Pairs()] == [2, 2, 1]
    assert minicnn.utils.Sequence is PyDataset


def test_several_threads_read_at_once() -> None:
    meeting = threading.Barrier(3, timeout=20)

    class Meeting(Pairs):
        def __getitem__(self, index: int) -> Any:
            meeting.wait()
            return super().__getitem__(index)

    np.testing.assert_array_equal(model().predict(Meeting(workers=3)), Y + 1)


def test_batches_may_never_end() -> None:
    data = Endless(workers=2)
    assert [float(x[0, 0]) for x in itertools.islice(data, 3)] == [0, 1, 2]
    np.testing.assert_array_equal(model().predict(data, steps=3), [[1], [3], [5]])


@pytest.mark.parametrize(
    ("act", "error", "says"),
    [
        (
            lambda: Pairs(workers=-1),
            ValueError,
            "workers to be a whole number >= 0",
        ),
        (
            lambda: Pairs(max_queue_size=0),
            ValueError,
            r"^Pairs expects max_queue_size to be a whole number >= 1\. Received 0\.",
        ),
        (lambda: Pairs(workers=True), ValueError, r"Received True"),
        (lambda: Pairs(threads=2), TypeError, "threads"),
        (lambda: PyDataset()[0], NotImplementedError, r"^PyDataset has no __getitem__"),
        (lambda: model().fit(PyDataset()), NotImplementedError, r"^PyDataset has no __len__"),
    ],
)
def test_mistakes_are_told(act: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        act()
