"""Data are cut into batches, and large batches are computed in slices."""

import threading
from typing import Any

import numpy as np
import pytest
from training_data import Pairs, model

from minicnn import (
    Input,
    Sequential,
    layers,
)
from minicnn.graph.network import Network
from minicnn.training.batches import ArrayBatches, LimitedBatches, make_batches


def test_batches_by_hand() -> None:
    batches = ArrayBatches(np.arange(5), np.arange(5) * 10, batch_size=2)
    assert batches.steps == 3
    assert [(b.x.tolist(), b.y.tolist()) for b in batches.epoch()] == [
        ([0, 1], [0, 10]),
        ([2, 3], [20, 30]),
        ([4], [40]),
    ]


def test_shuffled_batches_have_every_example_once_with_its_target() -> None:
    batches = ArrayBatches([np.arange(7), -np.arange(7)], np.arange(7), None, 3, shuffle=True)
    orders = []
    for _ in range(2):
        read = list(batches.epoch())
        for batch in read:
            np.testing.assert_array_equal(batch.x[0], batch.y)
            np.testing.assert_array_equal(batch.x[1], -batch.y)
        orders.append([int(v) for batch in read for v in batch.y])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(7))
    assert orders[0] != orders[1]


def test_limited_batches_read_on_and_start_again() -> None:
    batches = make_batches(np.arange(4), batch_size=1, steps=3)
    assert isinstance(batches, LimitedBatches)

    def epoch() -> list[int]:
        return [int(b.x[0]) for b in batches.epoch()]

    assert [epoch(), epoch(), epoch()] == [[0, 1, 2], [3], [0, 1, 2]]
    batches.restart()
    assert epoch() == [0, 1, 2]


def test_a_sequence_is_fetched_in_another_thread() -> None:
    threads = []

    class Watched(Pairs):
        def __getitem__(self, i: int) -> Any:
            threads.append(threading.current_thread())
            return super().__getitem__(i)

    model().fit(Watched(), verbose=0)
    assert threading.main_thread() not in threads
    assert len(threads) == 6


def test_predict_computes_large_batches_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The results are the same to the last bit, and no layer sees more examples than fit."""
    net = Sequential(
        [
            Input((12, 10, 3)),
            layers.Conv2D(9, 3, activation="relu"),
            layers.BatchNormalization(),
            Sequential([layers.SeparableConv2D(8, 3), layers.MaxPooling2D()]),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    x = np.random.default_rng(0).random((11, 12, 10, 3), np.float32)
    whole = net.predict(x, batch_size=11, verbose=0)
    seen: list[int] = []
    infer = Network.infer

    def watched(self: Any, x: Any) -> Any:
        seen.append(len(x))
        return infer(self, x)

    monkeypatch.setattr("minicnn.graph.network.HELD", 3 * 10 * 8 * 9 * 4)
    monkeypatch.setattr(Network, "infer", watched)
    np.testing.assert_array_equal(net.predict(x, batch_size=11, verbose=0), whole)
    assert seen == [3, 3, 3, 2]


def test_a_layer_of_your_own_sees_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    class AboveMean(layers.Layer):
        def compute(self, x: Any, training: bool) -> Any:
            return x - x.mean(axis=0), {}

    net = Sequential([Input((3,)), layers.Dense(2), AboveMean()])
    monkeypatch.setattr("minicnn.graph.network.HELD", 1)
    y = net.predict(np.random.default_rng(0).random((8, 3), np.float32), verbose=0)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-6)
