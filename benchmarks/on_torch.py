"""The side of PyTorch, if it is installed: channels last, so that it works on the same layout.

It is only for comparison, without a ratio: it shows that TensorFlow is not a straw man.
"""

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import Side, Way
from benchmarks.operations import Case

Array = np.ndarray
Data = dict[str, Array]

NAME = "PyTorch"


def installed() -> bool:
    return importlib.util.find_spec("torch") is not None


def start(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)


def side(case: Case, work: str, data: Data) -> Side | None:
    """Return the operation, or None if PyTorch lacks it, such as "same" padding with strides."""
    if case.kind not in _WORK or (case.padding == "same" and case.strides != (1, 1)):
        return None
    return Side(NAME, [Way("eager", _WORK[case.kind](case, work, data), _arrays)])


def _arrays(result: list[Any]) -> list[Array]:
    """Convert to NumPy's layout: channels last, kernels HWIO."""
    found = []
    for part, kernel in result:
        array = np.array(part.numpy())
        if kernel and array.ndim == 4:
            array = array.transpose(2, 3, 1, 0)
        elif array.ndim == 4:
            array = array.transpose(0, 2, 3, 1)
        found.append(array)
    return found


def _picture(array: Array) -> Any:
    import torch

    return torch.from_numpy(array).permute(0, 3, 1, 2)  # a view: channels stay last in memory


def _convolution(case: Case, work: str, data: Data) -> Callable[[], list[Any]]:
    import torch

    deep = case.kind == "depthwise"
    x, dy = _picture(data["x"]), _picture(data["dy"])
    # HWIO to OIHW; of a depthwise kernel, whose last axis is 1, to (channels, 1, rows, columns).
    axes = (2, 3, 0, 1) if deep else (3, 2, 0, 1)
    w = torch.from_numpy(np.ascontiguousarray(data["w"].transpose(axes)))
    w = w.contiguous(memory_format=torch.channels_last)
    b, groups = torch.from_numpy(data["b"]), case.channels if deep else 1
    pads = [(size - 1) // 2 if case.padding == "same" else 0 for size in case.kernel]
    strides = list(case.strides)
    if work == "forward":
        return lambda: [(torch.nn.functional.conv2d(x, w, b, strides, pads, 1, groups), False)]
    mask = [work == "dx", work == "dw", work == "dw"]
    backward = torch.ops.aten.convolution_backward

    def run() -> list[Any]:
        dx, dw, db = backward(
            dy, x, w, [case.filters or case.channels], strides, pads, [1, 1], False, [0, 0],
            groups, mask,
        )  # fmt: skip
        if work == "dx":
            return [(dx, False)]
        return [(dw.permute(1, 0, 2, 3) if deep else dw, True), (db, False)]

    return run


def _dense(case: Case, work: str, data: Data) -> Callable[[], list[Any]]:
    import torch

    x, w, b, dy = (torch.from_numpy(data[name]) for name in ("x", "w", "b", "dy"))
    if work == "forward":
        return lambda: [(torch.addmm(b, x, w), False)]
    if work == "dx":
        return lambda: [(dy @ w.T, False)]
    return lambda: [(x.T @ dy, False), (dy.sum(0), False)]


def _relu(case: Case, work: str, data: Data) -> Callable[[], list[Any]]:
    import torch

    x, dy = _picture(data["x"]), _picture(data["dy"])
    if work == "forward":
        return lambda: [(torch.relu(x), False)]
    return lambda: [(torch.ops.aten.threshold_backward(dy, x, 0), False)]


def _max_pool(case: Case, work: str, data: Data) -> Callable[[], list[Any]]:
    import torch

    x, dy = _picture(data["x"]), _picture(data["dy"])
    kernel, strides = list(case.kernel), list(case.strides)
    if work == "forward":
        return lambda: [(torch.nn.functional.max_pool2d(x, kernel, strides), False)]
    _, where = torch.ops.aten.max_pool2d_with_indices(x, kernel, strides)
    backward = torch.ops.aten.max_pool2d_with_indices_backward
    return lambda: [(backward(dy, x, kernel, strides, [0, 0], [1, 1], False, where), False)]


_WORK: dict[str, Callable[[Case, str, Data], Callable[[], list[Any]]]] = {
    "conv": _convolution,
    "depthwise": _convolution,
    "dense": _dense,
    "relu": _relu,
    "max pool": _max_pool,
}
