"""Keras's `.keras` format: a zip archive of three files.

    config.json         the architecture, as `get_config` of models and layers writes it
    model.weights.h5    the weights (`minicnn.saving.weights`)
    metadata.json       versions and date; minicnn also keeps here what a model should know about
    its use, such as class names and image size (`model.metadata`)

Opening a file runs no code from it: layers are found by name in a fixed table.
"""

import datetime
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from minicnn._support.archives import DAMAGED
from minicnn.saving import hdf5, weights
from minicnn.saving.limits import LARGEST_JSON, allowance, parse_json, shortened

SUFFIX = ".keras"
KERAS_VERSION = "3.15.1"  # the version in whose format files are written
WEIGHTS = "model.weights.h5"
# Keras uses the first; the second is for archives that someone repacked. Zip's other methods are
# rare, and raise all kinds of errors for damaged data.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def write(model: Any, path: Path) -> None:
    """Write the archive. Raises `TypeError` for metadata that JSON cannot hold."""
    config = model.serialize()
    if model.compiled:
        config["compile_config"] = model.get_compile_config()
    own = metadata_json(model)
    metadata = {
        "keras_version": KERAS_VERSION,
        "date_saved": datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
        "minicnn": json.loads(own),
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps(metadata))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr(WEIGHTS, weights.weights_to_bytes(model))


def metadata_json(model: Any) -> str:
    """Return `model.metadata` as JSON. Raises `TypeError` for values that JSON cannot hold."""
    own = _json(model.metadata, f"{model.label} expects metadata that JSON can hold")
    if len(own) > LARGEST_JSON // 2:
        raise ValueError(
            f"{model.label} expects metadata of at most {LARGEST_JSON // 2} characters in JSON. "
            f"Received {len(own)}."
        )
    return own


def _json(data: Any, wish: str) -> str:
    """Return `data` in JSON, with NumPy's numbers and arrays as Python's."""

    def plain(value: Any) -> Any:
        if isinstance(value, (np.generic, np.ndarray)):
            return value.tolist()
        raise TypeError(f"an object of type {type(value).__name__}")

    try:
        return json.dumps(data, default=plain)
    except (TypeError, ValueError, RecursionError) as error:  # also bad keys, circular references
        raise TypeError(f"{wish}. Received {shortened(error)}.") from error


class KerasFile:
    """The three members of an archive, checked, in memory.

    Raises `ValueError` for an incomplete file, or one that is far larger when unpacked.
    """

    def __init__(self, path: Path, source: str) -> None:
        largest = allowance(path.stat().st_size)
        try:
            with zipfile.ZipFile(path) as archive:
                self.config = _read_json(archive, "config.json", source)
                self.metadata = _read_json(archive, "metadata.json", source)
                self.weights = io.BytesIO(_read(archive, WEIGHTS, largest, source))
        except DAMAGED as error:
            reason = shortened(error) or type(error).__name__
            raise ValueError(f"{source} is not a complete .keras file: {reason}.") from error

    @property
    def version(self) -> str:
        """The version of Keras that wrote the file."""
        return str(self.metadata.get("keras_version", ""))

    def weights_file(self, source: str) -> Any:
        """Return the open HDF5 file of the weights, as a context manager."""
        return hdf5.opened(self.weights, source)


def _read(archive: zipfile.ZipFile, name: str, largest: int, source: str) -> bytes:
    """Return a member, unpacked to at most `largest` bytes, whatever size the archive names."""
    member = archive.getinfo(name)
    if member.compress_type not in _COMPRESSIONS:
        raise ValueError(
            f"{source} has a {name} compressed by zip's method {member.compress_type}: refused. "
            "Keras stores without compression."
        )
    try:
        with archive.open(member) as file:
            content = file.read(largest + 1)
    except MemoryError:
        raise MemoryError(f"{source} cannot be read: there is not enough memory.") from None
    if len(content) > largest:
        raise ValueError(f"{source} has a {name} that unpacks to over {largest} bytes: refused.")
    return content


def _read_json(archive: zipfile.ZipFile, name: str, source: str) -> dict[str, Any]:
    return parse_json(_read(archive, name, LARGEST_JSON, source), name, source)
