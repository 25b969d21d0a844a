"""Reads and writes Keras's file formats; a model file is untrusted input.

A file's first bytes say what it is, not its name: Keras 2 also wrote HDF5 under the name `.keras`.

    .keras               whole models (`keras_file`)                          read and written
    .weights.h5          weights and the optimizer's state (`weights`)        read and written
    .h5 of Keras 2       whole models, weights alone (`legacy`,               read and written
                         `legacy_writer`)
    .h5 of Keras 1       the same, under older names (`keras_1`)              read

Any of them may hold images with the channels first (`channels_first`), and models that Keras
computes in half precision (`half_precision`).

Nothing is unpickled, classes are looked up only in minicnn's own table and the user's
(`_support.objects`), no code runs, no link is followed; memory stays in proportion to the file
(`limits`, and the layers' `WeightBudget`). A file is written whole or not at all.
"""

import os
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minicnn._support.atomic import replacing
from minicnn._support.objects import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from minicnn.compat import hints
from minicnn.layers import carried
from minicnn.layers.tracking import layers_within
from minicnn.layers.weights import weight_budget
from minicnn.saving import (
    channels_first,
    functions,
    half_precision,
    hdf5,
    keras_1,
    keras_file,
    legacy,
    legacy_writer,
    symbolic,  # noqa: F401 - it registers the layers of operations on symbols
    unbuilt,
    weights,
)
from minicnn.saving.compiling import compile_as_saved
from minicnn.saving.limits import allowance, check_nesting, shortened

_HDF5 = (".h5", ".hdf5")
MODEL_SUFFIXES = (keras_file.SUFFIX, *_HDF5)
WEIGHTS_SUFFIXES = (weights.SUFFIX, *_HDF5)
_ZIP = b"PK"
Build = Callable[[dict[str, Any]], Any]

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "register_keras_serializable",
    "save_model",
]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: dict[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Load a model, as `minicnn.models.load_model` does."""
    from minicnn import models

    return models.load_model(filepath, custom_objects, compile, safe_mode)


def save_model(model: Any, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Save a model, as `minicnn.models.save_model` does."""
    from minicnn import models

    models.save_model(model, filepath, overwrite)


def write_model(model: Any, path: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write a built model to `path`, which ends in `.keras`, or in `.h5` for the old format."""
    target = _target(path, MODEL_SUFFIXES, "save", overwrite)
    if not model.built:
        raise ValueError(
            f"{model.label} has no weights yet: it makes them when it first sees an input."
        )
    if target.suffix in _HDF5 and model.defines_call:
        raise ValueError(
            f"{model.label} is of a class of your own, which Keras's old format cannot describe: "
            'save expects a path that ends in ".keras".'
        )
    with replacing(target) as temporary:
        if target.suffix in _HDF5:
            temporary.write_bytes(legacy_writer.model_to_bytes(model))
        else:
            keras_file.write(model, temporary)


def write_weights(model: Any, path: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write weights to `path`: `.weights.h5`, or `.h5` alone for the old format."""
    target = _target(path, WEIGHTS_SUFFIXES, "save_weights", overwrite)
    modern = str(path).endswith(weights.SUFFIX)
    if not modern and model.defines_call:
        raise ValueError(
            f"{model.label} is of a class of your own: save_weights expects a path that ends in "
            f"{weights.SUFFIX!r} then. Received {str(path)!r}."
        )
    with replacing(target) as temporary:
        temporary.write_bytes((weights if modern else legacy_writer).weights_to_bytes(model))


def read_model(path: str | os.PathLike[str], build: Build, compile: bool = True) -> Any:
    """Return the model in `path`, compiled as it was saved, its optimizer where it stopped.

    `build` makes a model from config.json's dict. Raises `FileNotFoundError`, and `ValueError` for
    a file that is damaged, is not a Keras model, or needs something that minicnn does not have.
    """
    found = hdf5.existing(path, "model file")
    source = repr(str(found))
    if _is_hdf5(found, source):
        with hdf5.opened(found, source) as file:
            config = legacy.read_config(file)
            model = _built_from(found, config, build, source)
            with weight_budget(allowance(found.stat().st_size)):
                unbuilt.build(model, config, file)
            legacy.read_weights(model, file)
            if compile and compile_as_saved(model, config, source):
                legacy.read_optimizer(model, file)
            model.metadata = legacy.read_metadata(file)
    else:
        archive = keras_file.KerasFile(found, source)
        config = {"keras_version": archive.version, **archive.config}
        model = _built_from(found, config, build, source)
        with archive.weights_file(source) as file:
            with weight_budget(allowance(found.stat().st_size)):
                unbuilt.build(model, archive.config, file)
            weights.read_weights(model, file)
            if compile and compile_as_saved(model, archive.config, source):
                weights.read_optimizer(model, file, legacy.is_old(archive.version))
        own = archive.metadata.get("minicnn", {})
        model.metadata = own if isinstance(own, dict) else {}
    warn_of_lacking(model, source, config)
    return model


def read_weights(
    model: Any,
    path: str | os.PathLike[str],
    skip_mismatch: bool = False,
    by_name: bool = False,
) -> list[str]:
    """Read all weights from `path` into the model, or none; return the names of skipped layers.

    Raises `FileNotFoundError`, and `ValueError` for a file that is damaged or does not fit.
    """
    found = hdf5.existing(path, "weights file")
    source = repr(str(found))
    old = False
    if _is_hdf5(found, source):
        opened = hdf5.opened(found, source)
    else:
        archive = keras_file.KerasFile(found, source)
        opened, old = archive.weights_file(source), legacy.is_old(archive.version)
    # As in Keras, an optimizer that has made no step yet keeps what `compile` has just set.
    with_optimizer = model.compiled and model.optimizer.iterations
    before = model.get_weights() if with_optimizer else None
    with opened as file:
        layout: Any = legacy if legacy.is_legacy(file) else weights
        skipped: list[str] = layout.read_weights(model, file, skip_mismatch, by_name)
        if before is not None:
            try:
                layout.read_optimizer(model, file, *([old] if layout is weights else []))
            except Exception:  # whatever the damage causes: all weights are read, or none
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


def _is_hdf5(path: Path, source: str) -> bool:
    """Return whether the file is HDF5, rather than a zip archive; `ValueError` if it is neither."""
    with path.open("rb") as file:
        start = file.read(40)
    zipped = start.startswith(_ZIP)
    # Ask first for a whole archive: its weights can lie just where an HDF5 file may begin.
    if zipped and zipfile.is_zipfile(path):
        return False
    if hdf5.is_hdf5(path):
        return True
    if zipped:
        return False
    if start.startswith(b"version https://git-lfs"):
        raise ValueError(f"{source} only points to a file: `git lfs pull` fetches the file itself.")
    what = f"begins with {start[:16]!r}" if start else "is empty"
    raise ValueError(
        f"{source} {what}. It is neither a .keras file (a zip archive) nor an HDF5 file (.h5)."
    )


def _built_from(path: Path, config: dict[str, Any], build: Build, source: str) -> Any:
    """Return the model that a config describes; its weights are still to be read.

    The weights may not be larger than a file of this size on disk can hold: unpacked, a stranger's
    file could have any size.
    """
    with weight_budget(allowance(path.stat().st_size)):
        return built(config, build, source)


def built(config: dict[str, Any], build: Build, source: str) -> Any:
    """Return the model that a config of Keras 2 or 3 describes; every error is a `ValueError`."""
    try:
        check_nesting(config)
        described = legacy.modern(half_precision.in_float32(config))  # in .keras files, too
        described = functions.as_layers(described)
        model = build(channels_first.converted(described))
        channels_first.check_order(model, described)
        keras_1.check_sizes(model, config)
        return model
    except ValueError as error:
        raise ValueError(f"{source} cannot be loaded. {shortened(error, 2000)}") from error
    except (TypeError, KeyError, AttributeError, LookupError, ArithmeticError, RecursionError) as e:
        raise ValueError(
            f"{source} describes no model that minicnn can build: "
            f"{type(e).__name__}: {shortened(e)}."
        ) from e


def warn_of_lacking(
    model: Any, source: str, config: dict[str, Any], weights_to_come: bool = False
) -> None:
    """Warn about settings that training, not `predict`, would lack, and missing initializers.

    Also about half precision, which the config of the file may have.
    """
    said = []
    half = sorted(set(half_precision.policies(config.get("config"))))
    if half:
        said.append(
            f"Keras computes this model in half precision ({', '.join(half)}), minicnn in float32: "
            "the numbers agree to two or three digits."
        )
    missing = model.lacking()
    if missing:
        said.append(
            f"minicnn does not have {carried.described(missing)}. It predicts as Keras does, but "
            "would train without this."
        )
    if weights_to_come:
        kept = [
            (value.name, layer.name)
            for layer in _all_layers(model)
            for value in vars(layer).values()
            if isinstance(value, carried.KeptInitializer)
        ]
        if kept:
            said.append(
                f"minicnn does not have the initializers {carried.described(kept)}: until "
                "load_weights, those weights come from GlorotUniform or Zeros."
            )
    if said:
        warnings.warn(f"{source}: {' '.join(said)}", stacklevel=4)


def _all_layers(model: Any) -> Iterator[Any]:
    for layer in layers_within(model):
        yield layer
        yield from _all_layers(layer)
