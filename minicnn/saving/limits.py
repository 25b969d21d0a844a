"""Limits for files of unknown origin: how much memory they may use, and how much is quoted.

A few bytes can stand for gigabytes: packed zeros, a text that is referenced a thousand times,
arrays without values. So every limit follows from the size of the file on disk, except that of
JSON, which is small.
"""

import json
from typing import Any

LARGEST_NESTING = 50  # models within models: each takes some of Python's limited stack
LARGEST_JSON = 4 * 2**20  # bytes; Xception's config has a quarter of a million


class MismatchError(ValueError):
    """The file is intact, but its arrays have other shapes than this model's."""


class Budget:
    """How many bytes may still be read from a file: about what it holds.

    So data that are stored once and referenced a thousand times are not read a thousand times.
    Raises `ValueError` when the limit is exceeded.
    """

    def __init__(self, limit: int, source: str) -> None:
        self.limit, self.source, self.spent = limit, source, 0

    def spend(self, size: int, what: str) -> None:
        """Count `size` bytes before they take memory."""
        self.spent += size
        if self.spent > self.limit:
            raise ValueError(
                f"{self.source} requests more than it can hold: with {what}, {self.spent} bytes "
                f"would be read; the limit is {self.limit}."
            )


def allowance(file_size: int) -> int:
    """Return the most bytes of weights that an honest file of this size holds.

    Keras stores weights uncompressed. The factor 4 allows for numbers in half precision, or a model
    that someone compressed; the constant is for small files.
    """
    return 4 * file_size + 2**20


def shortened(text: object, longest: int = 200) -> str:
    """Return a text from a file, shortened for a message."""
    whole = str(text)
    return whole if len(whole) <= longest else f"{whole[:longest]}… ({len(whole)} characters)"


def check_nesting(described: Any) -> None:
    """Raise a `ValueError` for a description of models that are nested too deeply.

    It goes level by level, without recursion, and must run before any recursive function.
    """
    level, depth = [described], 0
    while level:
        inner = [data.get("config") for data in level if isinstance(data, dict)]
        listed = [c.get("layers") if isinstance(c, dict) else c for c in inner]
        models = [layers for layers in listed if isinstance(layers, list)]
        depth += 1
        if models and depth > LARGEST_NESTING:
            raise ValueError(
                f"Models are nested more than {LARGEST_NESTING} deep there, which is the limit."
            )
        level = [layer for layers in models for layer in layers]


def parse_json(written: str | bytes, what: str, source: str) -> dict[str, Any]:
    """Return the JSON object in `written`. Raises `ValueError` for anything else or too much."""
    if len(written) > LARGEST_JSON:
        raise ValueError(f"{source} has a {what} of more than {LARGEST_JSON} bytes: refused.")
    try:
        data = json.loads(written, object_hook=plain)
    except RecursionError as error:
        raise ValueError(
            f"{source} has a {what} that nests too deeply; models may be {LARGEST_NESTING} deep."
        ) from error
    except ValueError as error:
        raise ValueError(f"{source} has a damaged {what}: {error}.") from error
    if not isinstance(data, dict):
        raise ValueError(f"{source} has a {what} that is not a JSON object.")
    return data


def plain(data: dict[str, Any]) -> Any:
    """Return the number or list that Keras wrote as NumPy's or TensorFlow's; others unchanged."""
    config = data.get("config")
    wrapped = data.get("class_name") in ("__numpy__", "__tensor__") and isinstance(config, dict)
    return config.get("value") if wrapped and isinstance(config, dict) else data
