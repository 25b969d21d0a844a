"""Models that Keras computes in half precision, such as with "mixed_float16" on a GPU.

minicnn computes them in float32, from the same weights: its numbers are those that Keras rounds.
An optimizer that scales the loss, because small gradients would be 0 in float16, is in float32 the
optimizer in it: a scaled loss and gradients divided by the scale change nothing.
"""

from collections.abc import Iterator
from typing import Any

# A policy in which Keras also keeps weights in bfloat16 is refused: its files hold no numbers.
_POLICIES = ("mixed_float16", "mixed_bfloat16", "float16")
_SCALED = ("LossScaleOptimizer", "LossScaleOptimizerV3", "LossScaleOptimizerV1")


def in_float32(data: Any) -> Any:
    """Return a description of layers with "float32" in place of half precision."""
    if isinstance(data, list):
        return [in_float32(item) for item in data]
    if not isinstance(data, dict):
        return data
    found = {key: in_float32(value) for key, value in data.items()}
    if _policy(found) is not None:
        found["config"] = {**found["config"], "dtype": "float32"}
    return found


def policies(data: Any) -> Iterator[str]:
    """Yield the policies of half precision in a description of layers."""
    if isinstance(data, list):
        for item in data:
            yield from policies(item)
    if isinstance(data, dict):
        policy = _policy(data)
        if policy is not None:
            yield policy
        for value in data.values():
            yield from policies(value)


def _policy(described: dict[str, Any]) -> str | None:
    """Return the policy of half precision that a layer has, by name or as Keras's object."""
    config = described.get("config")
    if not isinstance(config, dict) or described.get("class_name") == "__keras_tensor__":
        return None
    dtype = config.get("dtype")
    if isinstance(dtype, dict):
        inner = dtype.get("config")
        dtype = inner.get("name") if isinstance(inner, dict) else None
    return dtype if dtype in _POLICIES else None


def unscaled(optimizer: Any) -> Any:
    """Return the description of the optimizer in one that scales the loss; others unchanged."""
    while isinstance(optimizer, dict) and optimizer.get("class_name") in _SCALED:
        config = optimizer.get("config")
        inner = config.get("inner_optimizer") if isinstance(config, dict) else None
        if not isinstance(inner, dict):
            break
        optimizer = inner
    return optimizer
