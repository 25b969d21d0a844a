"""Keras's `.keras`: a zip archive of three files.

    config.json         the architecture, as `get_config` of models and layers writes it
    model.weights.h5    the weights (`minicnn.saving.weights`)
    metadata.json       versions and date; here also what a model should know of its own use, such
                        as class names and image size (`model.metadata`)

Opening a file runs no code from it: layers are found by name in a fixed table.
"""

import datetime
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

from minicnn.saving import hdf5, weights

SUFFIX = ".keras"
WEIGHTS = "model.weights.h5"
_LARGEST_JSON = 64 * 2**20  # bytes; Xception's config has a quarter of one million
# Keras stores without compression, so a member that swells like this was made to.
_LARGEST_RATIO, _HARMLESS = 20, 64 * 2**20


def write(model: Any, path: Path) -> None:
    """Write the archive."""
    config = model.serialize()
    if model.compiled:
        config["compile_config"] = model.get_compile_config()
    metadata = {
        "keras_version": "3.15.1",
        "date_saved": datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
        "minicnn": model.metadata,
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps(metadata))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr(WEIGHTS, weights.to_bytes(model))


class KerasFile:
    """The three members of an archive, checked, in memory.

    Raises `ValueError` for what is no whole `.keras` file, or grows out of proportion unpacked.
    """

    def __init__(self, path: Path, source: str) -> None:
        try:
            with zipfile.ZipFile(path) as archive:
                self.config = _read_json(archive, "config.json", source)
                self.metadata = _read_json(archive, "metadata.json", source)
                self.weights = io.BytesIO(_read(archive, WEIGHTS, source))
        except (
            zipfile.BadZipFile,
            zlib.error,
            KeyError,
            EOFError,
            OSError,
            RuntimeError,  # an encrypted member
            NotImplementedError,  # an unknown compression
        ) as error:
            raise ValueError(f"{source} is no whole .keras file: {error}.") from error

    def weights_file(self, source: str) -> Any:
        """The open `h5py.File` of the weights, as a context."""
        self.weights.seek(0)
        return hdf5.opened(self.weights, source)


def _read(archive: zipfile.ZipFile, name: str, source: str) -> bytes:
    member = archive.getinfo(name)
    if member.file_size > max(_HARMLESS, _LARGEST_RATIO * member.compress_size):
        raise ValueError(
            f"{source} has a {name} that unpacks from {member.compress_size} to "
            f"{member.file_size} bytes: refused."
        )
    return archive.read(member)


def _read_json(archive: zipfile.ZipFile, name: str, source: str) -> dict[str, Any]:
    if archive.getinfo(name).file_size > _LARGEST_JSON:
        raise ValueError(f"{source} has a {name} of more than {_LARGEST_JSON} bytes: refused.")
    try:
        data = json.loads(_read(archive, name, source))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source} has a damaged {name}: {error}.") from error
    if not isinstance(data, dict):
        raise ValueError(f"{source} has a {name} that is no JSON object.")
    return data
