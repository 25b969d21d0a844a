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
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minicnn.atomic import replacing
from minicnn.saving import weights

SUFFIX = ".keras"
_LARGEST_JSON = 64 * 2**20  # bytes; Xception's config has a quarter of one million


def save_model(model: Any, path: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write `path` (ends in `.keras`), whole or not at all. The model must have been built."""
    import h5py

    path = weights.check_path(path, SUFFIX, "save")
    if not overwrite and path.exists():
        raise FileExistsError(f"{str(path)!r} exists; overwrite=True replaces it.")
    if not model.built:
        raise ValueError(f"{model.label} has no weights yet: it makes them on its first input.")
    config = model_config(model)
    metadata = {
        "keras_version": "3.15.1",
        "date_saved": datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
        "minicnn": model.metadata,
    }
    # The HDF5 file is made in memory: an archive member is written in one go.
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        weights.write_weights(model, file)
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr("metadata.json", json.dumps(metadata))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", buffer.getvalue())


def model_config(model: Any) -> dict[str, Any]:
    """What config.json holds."""
    config: dict[str, Any] = model.serialize()
    if model.compiled:
        config["compile_config"] = model.get_compile_config()
    return config


def read_model(path: str | os.PathLike[str], build: Callable[[dict[str, Any]], Any]) -> Any:
    """The model in `path`; `build` makes a model from config.json's dict.

    Raises `FileNotFoundError`, and `ValueError` for a file that is damaged, is no Keras model, or
    names what minicnn does not have.
    """
    import h5py

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"No model file at {str(path)!r}.")
    source = repr(str(path))
    try:
        with zipfile.ZipFile(path) as archive:
            config = _read_json(archive, "config.json", source)
            metadata = _read_json(archive, "metadata.json", source)
            stored = archive.read("model.weights.h5")
    except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError) as error:
        raise ValueError(f"{source} is no whole .keras file: {error}.") from error
    model = build(config)
    try:
        with h5py.File(io.BytesIO(stored), "r") as file:
            weights.read_weights(model, file, source)
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"{source} has damaged weights: {error}.") from error
    own = metadata.get("minicnn", {})
    model.metadata = own if isinstance(own, dict) else {}
    return model


def _read_json(archive: zipfile.ZipFile, name: str, source: str) -> dict[str, Any]:
    if archive.getinfo(name).file_size > _LARGEST_JSON:
        raise ValueError(f"{source} has a {name} of more than {_LARGEST_JSON} bytes: refused.")
    try:
        data = json.loads(archive.read(name))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source} has a damaged {name}: {error}.") from error
    if not isinstance(data, dict):
        raise ValueError(f"{source} has a {name} that is no JSON object.")
    return data
