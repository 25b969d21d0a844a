"""Networks of `keras.applications` that are made quickly."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def without_values() -> Iterator[None]:
    """Let Keras make networks whose weights get no values.

    Keras would give all of them values when it makes the next model, in another test, which takes
    10 seconds, so it forgets them at the end.
    """
    import keras
    from keras.src.backend.common import global_state

    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        global_state.set_global_attribute("uninitialized_variables", [])


def few_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Keras put at most two equal blocks in a row: more would be more of the same."""
    from keras.src.applications import (
        convnext,
        densenet,
        efficientnet,
        efficientnet_v2,
        inception_resnet_v2,
        nasnet,
        resnet,
    )

    def fewer(blocks: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
        return [{**block, key: min(block[key], 2)} for block in blocks]

    def replace(module: Any, name: str, make: Callable[[Any], Any]) -> None:
        monkeypatch.setattr(module, name, make(getattr(module, name)))

    for name in ("stack_residual_blocks_v1", "stack_residual_blocks_v2"):
        replace(resnet, name, lambda stack: lambda x, f, n, **more: stack(x, f, min(n, 2), **more))
    replace(
        inception_resnet_v2,
        "inception_resnet_block",
        lambda block: lambda x, **more: x if more["block_idx"] > 2 else block(x, **more),
    )
    replace(
        nasnet, "NASNet", lambda build: lambda *a, **more: build(*a, **more | {"num_blocks": 2})
    )
    replace(densenet, "dense_block", lambda block: lambda x, n, name: block(x, min(n, 2), name))
    replace(efficientnet, "DEFAULT_BLOCKS_ARGS", lambda blocks: fewer(blocks, "repeats"))
    replace(
        efficientnet_v2,
        "DEFAULT_BLOCKS_ARGS",
        lambda kinds: {kind: fewer(blocks, "num_repeat") for kind, blocks in kinds.items()},
    )
    replace(
        convnext,
        "MODEL_CONFIGS",
        lambda kinds: {kind: {**made, "depths": [2] * 4} for kind, made in kinds.items()},
    )
