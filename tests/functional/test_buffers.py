"""Big arrays reuse each other's memory, but never while an array or view still uses it."""

import gc
import subprocess
import sys
import threading

import numpy as np
import pytest

from minicnn.functional import buffers

BIG = (300, 300)  # in float32, larger than the blocks that malloc reuses by itself


@pytest.fixture(autouse=True)
def _nothing_waits() -> None:
    gc.collect()
    buffers.release()


def address(array: np.ndarray) -> int:
    return array.ctypes.data


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [BIG, (1, 512, 600, 1), (3,), (0, 4), ()])
def test_it_is_an_ordinary_array(shape: tuple[int, ...], dtype: str) -> None:
    array = buffers.empty(shape, dtype)
    assert array.shape == shape
    assert array.dtype == dtype
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.flags.aligned
    array[...] = 3
    assert (array == 3).all()


def test_big_arrays_begin_at_a_cache_line() -> None:
    arrays = [buffers.empty((100, 1000 + i), "float32") for i in range(5)]
    assert [address(a) % 64 for a in arrays] == [0] * 5


def test_memory_is_used_again_once_the_array_is_gone() -> None:
    array = buffers.empty(BIG, "float32")
    place = address(array)
    assert address(buffers.empty(BIG, "float32")) != place
    del array
    assert address(buffers.empty((150, 600), "float32")) == place  # as many bytes, another shape


def test_a_block_holds_arrays_that_are_a_little_smaller() -> None:
    array = buffers.empty(BIG, "float32")
    place = address(array)
    del array
    far_smaller = buffers.empty((190, 390), "float32")
    assert address(far_smaller) == place, "four fifths of it"
    del far_smaller
    assert address(buffers.empty((250, 300), "float32")) == place, "the block is as large as before"
    assert address(buffers.empty((301, 300), "float32")) != place, "it is too small for this"


def test_a_block_is_not_spent_on_a_small_array() -> None:
    array = buffers.empty((600, 300), "float32")
    place = address(array)
    del array
    assert address(buffers.empty(BIG, "float32")) != place, "it asks for half of it"


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[5:7],
        lambda a: a.reshape(-1)[::2],
        lambda a: a.T[1:],
        lambda a: np.asarray(a),
        lambda a: memoryview(a),
        lambda a: a.view(np.int32)[3:].reshape(-1)[1:],
    ],
)
def test_a_view_keeps_the_memory(view: object) -> None:
    array = buffers.empty(BIG, "float32")
    array[...] = 7
    part = view(array)  # type: ignore[operator]
    before = np.array(part)
    del array
    others = [buffers.empty(BIG, "float32") for _ in range(3)]
    for other in others:
        other[...] = -1
    np.testing.assert_array_equal(np.array(part), before)


def test_the_memory_kept_for_reuse_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "LARGEST_KEPT", 3 * 360_000)
    arrays = [buffers.empty(BIG, "float32") for _ in range(10)]
    other = buffers.empty((301, 300), "float32")
    arrays.clear()
    assert sum(len(blocks) for blocks in buffers._free.values()) == 3
    del other  # the newest is kept; the two oldest make room for it
    assert {size: len(blocks) for size, blocks in buffers._free.items()} == {360_000: 1, 361_200: 1}
    buffers.release()
    assert not buffers._free


def test_threads_never_share_an_array() -> None:
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(300):
            array = buffers.empty(BIG, "float32")
            array[...] = number
            if not (array == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.slow
def test_the_process_ends_quietly_with_arrays_alive() -> None:
    code = (
        "from minicnn.functional import buffers\n"
        "kept = [buffers.empty((600, 600), 'float32')]; kept[0][:]=1"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr == ""
