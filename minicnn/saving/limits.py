"""Files from strangers: how much they may ask for, and what is said of them.

A few bytes can stand for gigabytes: packed zeros, one text that is named a thousand times, arrays
without values. So every limit follows from the size of the file as it lies on disk, but for that of
JSON, which has a small one.
"""

import json
from typing import Any

LARGEST_NESTING = 50  # models in models: each takes some of Python's stack, which has an end
LARGEST_JSON = 4 * 2**20  # bytes; Xception's config has a quarter of one million


class MismatchError(ValueError):
    """The file is whole, and what it holds has other shapes than this model."""


class Budget:
    """How many bytes may still be read from a file: about what it holds.

    So what is stored once and named a thousand times is not read a thousand times. Raises
    `ValueError` when the limit is passed.
    """

    def __init__(self, limit: int, source: str) -> None:
        self.limit, self.source, self.spent = limit, source, 0

    def spend(self, size: int, what: str) -> None:
        """Count `size` bytes, before memory is asked for."""
        self.spent += size
        if self.spent > self.limit:
            raise ValueError(
                f"{self.source} asks for more than it can hold: with {what}, {self.spent} bytes "
                f"are to be read, {self.limit} at most."
            )


def allowance(file_size: int) -> int:
    """The most bytes of weights that an honest file of this size holds.

    Keras stores them as they are. 4 times that is for numbers in half precision, or for a model
    that someone compressed; the rest is for small files.
    """
    return 4 * file_size + 2**20


def shortened(text: object, longest: int = 200) -> str:
    """A text from a file, as it may stand in a message."""
    whole = str(text)
    return whole if len(whole) <= longest else f"{whole[:longest]}… ({len(whole)} characters)"


def check_nesting(described: Any) -> None:
    """Raise a `ValueError` for a description of models that are nested too deep.

    Level by level, without calling itself: nothing else may follow such a description first.
    """
    level, depth = [described], 0
    while level:
        inner = [data.get("config") for data in level if isinstance(data, dict)]
        listed = [c.get("layers") if isinstance(c, dict) else c for c in inner]
        models = [layers for layers in listed if isinstance(layers, list)]
        depth += 1
        if models and depth > LARGEST_NESTING:
            raise ValueError(
                f"Models are nested more than {LARGEST_NESTING} deep there, which is the most."
            )
        level = [layer for layers in models for layer in layers]


def parse_json(written: str | bytes, what: str, source: str) -> dict[str, Any]:
    """The JSON object in `written`. Raises `ValueError` for anything else, or too much of it."""
    if len(written) > LARGEST_JSON:
        raise ValueError(f"{source} has a {what} of more than {LARGEST_JSON} bytes: refused.")
    try:
        data = json.loads(written, object_hook=plain)
    except RecursionError as error:
        raise ValueError(
            f"{source} has a {what} that nests too deep; models may be {LARGEST_NESTING} deep."
        ) from error
    except ValueError as error:
        raise ValueError(f"{source} has a damaged {what}: {error}.") from error
    if not isinstance(data, dict):
        raise ValueError(f"{source} has a {what} that is no JSON object.")
    return data


def plain(data: dict[str, Any]) -> Any:
    """A number or list that Keras wrote as NumPy's or TensorFlow's, itself; all else as it is."""
    config = data.get("config")
    wrapped = data.get("class_name") in ("__numpy__", "__tensor__") and isinstance(config, dict)
    return config.get("value") if wrapped and isinstance(config, dict) else data
