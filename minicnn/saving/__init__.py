"""Keras's file formats, read and written. A model file is untrusted input.

    .keras               whole models (`keras_file`)                          read and written
    .weights.h5          weights and the optimizer's state (`weights`)        read and written
    .h5 of Keras 2       whole models, weights alone (`legacy`,               read and written
                         `legacy_writer`)

Nothing is unpickled, no class is looked up outside minicnn's own table, no code runs, no link is
followed; nothing grows out of proportion to the file (`untrusted`, and the layers' `WeightBudget`).
What is written appears whole or not at all.
"""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minicnn.atomic import replacing
from minicnn.layers.base import weight_budget
from minicnn.saving import hdf5, keras_file, legacy, legacy_writer, weights
from minicnn.saving.untrusted import allowance, shortened

_HDF5 = (".h5", ".hdf5")
MODEL_SUFFIXES = (keras_file.SUFFIX, *_HDF5)
WEIGHTS_SUFFIXES = (weights.SUFFIX, *_HDF5)
Build = Callable[[dict[str, Any]], Any]

__all__ = ["load_model", "save_model"]

# Keras has these two here. They make and take models, so they stand in `minicnn.models`, on a
# higher floor, and are put here from there.
load_model: Callable[..., Any]
save_model: Callable[..., None]


def write_model(model: Any, path: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write `path` (ends in `.keras`, or in `.h5` for the old format). The model must be built."""
    target = _target(path, MODEL_SUFFIXES, "save", overwrite)
    if not model.built:
        raise ValueError(f"{model.label} has no weights yet: it makes them on its first input.")
    with replacing(target) as temporary:
        if target.suffix in _HDF5:
            temporary.write_bytes(legacy_writer.model_to_bytes(model))
        else:
            keras_file.write(model, temporary)


def write_weights(model: Any, path: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write `path` (ends in `.weights.h5`, or in `.h5` alone for the old format)."""
    target = _target(path, WEIGHTS_SUFFIXES, "save_weights", overwrite)
    modern = str(path).endswith(weights.SUFFIX)
    with replacing(target) as temporary:
        temporary.write_bytes((weights if modern else legacy_writer).weights_to_bytes(model))


def read_model(path: str | os.PathLike[str], build: Build, compile: bool = True) -> Any:
    """The model in `path`, compiled as it was saved, its optimizer where it stopped.

    `build` makes a model from config.json's dict. Raises `FileNotFoundError`, and `ValueError` for
    a file that is damaged, is no Keras model, or names what minicnn does not have.
    """
    found = hdf5.existing(path, "model file")
    source = repr(str(found))
    if found.suffix in _HDF5:
        with hdf5.opened(found, source) as file:
            config = legacy.read_config(file)
            model = _built(config, found, build, source)
            legacy.read_weights(model, file)
            if compile and compile_as_saved(model, config, source):
                legacy.read_optimizer(model, file)
            model.metadata = legacy.read_metadata(file)
        return model
    if found.suffix != keras_file.SUFFIX:
        raise ValueError(f"load_model expects a path that ends in '.keras' or '.h5', not {source}.")
    archive = keras_file.KerasFile(found, source)
    model = _built(archive.config, found, build, source)
    with archive.weights_file(source) as file:
        weights.read_weights(model, file)
        if compile and compile_as_saved(model, archive.config, source):
            weights.read_optimizer(model, file)
    own = archive.metadata.get("minicnn", {})
    model.metadata = own if isinstance(own, dict) else {}
    return model


def read_weights(
    model: Any,
    path: str | os.PathLike[str],
    skip_mismatch: bool = False,
    by_name: bool = False,
) -> list[str]:
    """Read `path` into the model: all weights or none. Returns the names of skipped layers.

    Raises `FileNotFoundError`, and `ValueError` for a file that is damaged or does not fit.
    """
    found = hdf5.existing(path, "weights file")
    source = repr(str(found))
    if found.suffix == keras_file.SUFFIX:
        opened = keras_file.KerasFile(found, source).weights_file(source)
    elif found.suffix in _HDF5:
        opened = hdf5.opened(found, source)
    else:
        raise ValueError(
            f"load_weights expects a path that ends in '.weights.h5', '.h5' or '.keras', "
            f"not {source}."
        )
    # As in Keras: an optimizer that has not stepped yet keeps what `compile` has just said.
    with_optimizer = model.compiled and model.optimizer.iterations
    before = model.get_weights() if with_optimizer else None
    with opened as file:
        layout: Any = legacy if legacy.is_legacy(file) else weights
        skipped: list[str] = layout.read_weights(model, file, skip_mismatch, by_name)
        if before is not None:
            try:
                layout.read_optimizer(model, file)
            except Exception:  # whatever damage makes of itself: all or nothing
                model.set_weights(before)
                raise
    return skipped


def _target(
    path: str | os.PathLike[str], suffixes: tuple[str, ...], method: str, overwrite: bool
) -> Path:
    if not str(path).endswith(suffixes):
        raise ValueError(
            f"{method} expects a path that ends in {suffixes[0]!r}, or in '.h5' for Keras's old "
            f"format. Received {str(path)!r}."
        )
    if not overwrite and Path(path).exists():
        raise FileExistsError(f"{str(path)!r} exists; overwrite=True replaces it.")
    return Path(path)


def _built(config: dict[str, Any], path: Path, build: Build, source: str) -> Any:
    """The model that a config describes; its weights are still to be read.

    They may be no larger than a file of this size can hold, as it lies on disk: what it unpacks to
    costs a stranger nothing.
    """
    try:
        with weight_budget(allowance(path.stat().st_size)):
            return build(legacy.modern(config))  # Keras 2 wrote .keras files, too
    except ValueError as error:
        raise ValueError(f"{source} cannot be loaded. {shortened(error, 2000)}") from error
    except (TypeError, KeyError, AttributeError, LookupError, ArithmeticError, RecursionError) as e:
        raise ValueError(
            f"{source} describes no model that minicnn can build: "
            f"{type(e).__name__}: {shortened(e)}."
        ) from e


def compile_as_saved(model: Any, config: dict[str, Any], source: str) -> bool:
    """Compile the model as the file says. What minicnn lacks costs the training, not the model."""
    settings = config.get("compile_config")
    if not isinstance(settings, dict) or not settings.get("optimizer"):
        return False
    try:
        model.compile(settings["optimizer"], settings.get("loss"), metrics=settings.get("metrics"))
    except (ValueError, TypeError) as error:
        warnings.warn(
            f"{source}: the model is loaded, not compiled: {error} "
            "Call compile before fit or evaluate.",
            stacklevel=4,
        )
        return False
    return True
