"""Small files that ask for much memory or time are refused."""

import json
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from model_files import (
    LARGE,
    SLACK,
    assert_same_weights,
    chain,
    hdf5_bytes,
    opened_apart,
    packed,
    rewritten,
    shaken,
    small_model,
    zeros_deflated,
)

from minicnn import Input, Sequential, layers, models


def _unpacks_in_hdf5(path: Path) -> None:
    """Write a dataset of 256 KiB whose only chunk unpacks to 400 MiB."""
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/dense/vars")
        kernel = group.create_dataset("0", (256, 256), "f4", chunks=(256, 256), compression="gzip")
        kernel.id.write_direct_chunk((0, 0), zeros_deflated(LARGE, 15))
        group["1"] = np.zeros(256, np.float32)


def _unpacks_twice(path: Path) -> None:
    """Write the same inside an archive that packs it once more."""
    inner = path.with_name("inner.weights.h5")
    _unpacks_in_hdf5(inner)
    packed(path, model_weights_h5=inner.read_bytes())
    inner.unlink()


def _large_json(member: str) -> Callable[[Path], None]:
    return lambda path: packed(path, **{member: b'{"x":[' + b"{}," * (LARGE // 24) + b"{}]}"})


def _large_json_in_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("model_weights")
        file.attrs["model_config"] = '{"x":[' + "{}," * (LARGE // 24) + "{}]}"


def _archive_that_lies(path: Path) -> None:
    """Write a member that unpacks to 400 MiB, of which the directory claims 200 MiB are packed."""
    packed(path, model_weights_h5=b"")
    name, content = b"model.weights.h5", zeros_deflated(LARGE, -15)
    whole = path.read_bytes()
    end = whole.rindex(b"PK\5\6")
    count, size, start = struct.unpack_from("<HII", whole, end + 10)
    directory = whole[start : start + size]
    entry = directory.rindex(b"PK\1\2", 0, directory.index(name))
    sizes = struct.pack("<III", 0, LARGE // 2, LARGE)
    local = b"PK\3\4" + struct.pack("<HHHHH", 20, 0, 8, 0, 33) + sizes
    changed = bytearray(directory)
    changed[entry + 16 : entry + 28] = sizes
    changed[entry + 42 : entry + 46] = struct.pack("<I", start)
    whole = whole[:start] + local + struct.pack("<HH", len(name), 0) + name + content
    tail = struct.pack("<HHHHIIH", 0, 0, count, count, size, len(whole), 0)
    path.write_bytes(whole + changed + b"PK\5\6" + tail)


def _never_written(path: Path) -> None:
    """Write arrays of 256 MB without values, in a file that only zeros, packed away, make large."""
    side = 8000

    def edit(file: h5py.File) -> None:
        for name in ("layers/dense/vars/0", "optimizer/vars/2", "optimizer/vars/3"):
            file.create_dataset(name, (side, side), "f4", chunks=(1000, 1000))
        file["optimizer/vars/0"], file["optimizer/vars/1"] = np.int64(3), np.float32(0.001)

    model = small_model()
    model.compile("adam", "binary_crossentropy")
    config = model.serialize() | {"compile_config": model.get_compile_config()}
    start, dense = config["config"]["layers"]
    start["config"]["batch_shape"] = config["config"]["build_input_shape"] = [None, side]
    dense["config"] |= {"units": side, "use_bias": False}
    del dense["build_config"]
    packed(
        path,
        config_json=json.dumps(config).encode(),
        model_weights_h5=hdf5_bytes(edit) + bytes(60 * 2**20),
    )


def _one_text_many_times(path: Path) -> None:
    """Write a list of names that all refer to one and the same megabyte."""
    count, size = LARGE // 2**20, 2**20
    with h5py.File(path, "w") as file:
        names = ["a" * size] + ["b"] * (count - 1)
        file.attrs.create("layer_names", names, dtype=h5py.string_dtype())
    whole = path.read_bytes()
    reference = re.compile(struct.pack("<I", size) + rb".{8}\x01\0\0\0", re.DOTALL)
    found = reference.search(whole)
    assert found
    content, at = bytearray(whole), found.start()
    content[at : at + 16 * count] = found.group() * count
    path.write_bytes(content)


def _layers_in_rows(path: Path) -> None:
    """Where a group is expected, write an array of a million rows of 2 GiB each."""
    with h5py.File(path, "w") as file:
        file.create_dataset("layers", (10**6, 2**28), "f8", chunks=(1, 1024))


def _one_array_for_all_layers(path: Path) -> None:
    """Write a megabyte that would fill a model of 400 MiB."""
    with h5py.File(path, "w") as file:
        file.create_group("model_weights").attrs["layer_names"] = np.array([], float)
        file.attrs["model_config"] = json.dumps(
            Sequential([Input((1,)), *(layers.Dense(1) for _ in range(400))]).serialize()
        ).replace('"units": 1,', '"units": 512,')


BOMBS: dict[str, tuple[str, str, Callable[[Path], None], str]] = {
    "unpacks in HDF5": ("load_weights", "m.weights.h5", _unpacks_in_hdf5, "or compressed"),
    "unpacks twice": ("load_model", "m.keras", _unpacks_twice, "or compressed"),
    "config": ("load_model", "m.keras", _large_json("config_json"), "config.json that unpacks to"),
    "metadata": ("load_model", "m.keras", _large_json("metadata_json"), "metadata.json that"),
    "old config": ("load_model", "m.h5", _large_json_in_hdf5, "model_config of more than"),
    "archive that lies": ("load_model", "m.keras", _archive_that_lies, "that unpacks to over"),
    "never written": ("load_model", "m.keras", _never_written, "that unpacks to over"),
    "one text": (
        "load_weights",
        "m.h5",
        _one_text_many_times,
        "more than it can hold: with the texts",
    ),
    "rows": ("by_name", "m.weights.h5", _layers_in_rows, "has none of the layers"),
    "no weights": ("load_model", "m.h5", _one_array_for_all_layers, "too small for its model"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", BOMBS)
def test_a_small_file_cannot_ask_for_much(case: str, tmp_path: Path) -> None:
    how, name, make, message = BOMBS[case]
    (tmp_path / "files").mkdir()
    make(tmp_path / "files" / name)
    small_model(256).save(tmp_path / "model.keras")
    model = None if how == "load_model" else tmp_path / "model.keras"
    (told,) = opened_apart(how, tmp_path / "files", model)
    assert told["error"] == "ValueError"
    assert re.search(f"{name}.*{message}", told["message"])
    assert told["grown"] < SLACK


@pytest.mark.parametrize("old", [False, True], ids=[".keras", ".h5"])
def test_a_description_cannot_ask_for_more_than_the_file_holds(old: bool, tmp_path: Path) -> None:
    path = tmp_path / ("m.h5" if old else "m.keras")
    small_model().save(tmp_path / "m.keras")

    def enlarge(config: Any) -> Any:
        config["config"]["layers"][1]["config"]["units"] = 2**30
        return config

    if old:
        with zipfile.ZipFile(tmp_path / "m.keras") as archive, h5py.File(path, "w") as file:
            config = enlarge(json.loads(archive.read("config.json")))
            file.attrs["model_config"] = json.dumps(config)
            file.create_group("model_weights").attrs["layer_names"] = np.array([], float)
    else:
        rewritten(path, "config.json", enlarge)
    with pytest.raises(ValueError, match=r'too small for its model: with Dense "dense"'):
        models.load_model(path)


def test_what_is_stored_once_is_not_read_a_hundred_times(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    model = Sequential([Input((64,)), *(layers.Dense(64, use_bias=False) for _ in range(100))])
    model.save_weights(path)
    model.load_weights(path)
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.ones((64, 64), np.float32)
        for i in range(1, 100):
            file[f"layers/dense_{i}"] = file["layers/dense"]
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"m\.weights\.h5.* requests more than it can hold"):
        model.load_weights(path)
    assert_same_weights(model, before)


def test_half_precision_is_no_reason_to_refuse_a_file(tmp_path: Path) -> None:
    """Arrays in memory may be larger than the file, within reason."""
    path = tmp_path / "m.keras"
    model = shaken(Sequential([Input((800,)), layers.Dense(800, use_bias=False)]))
    model.save(path)
    kernel = model.get_weights()[0].astype(np.float16)
    content = hdf5_bytes(lambda file: file.create_dataset("layers/dense/vars/0", data=kernel))
    with zipfile.ZipFile(path) as good:
        members = {name: good.read(name) for name in good.namelist()}
    with zipfile.ZipFile(path, "w") as target:
        for name, member in members.items():
            target.writestr(name, content if name == "model.weights.h5" else member)
    np.testing.assert_array_equal(models.load_model(path).get_weights()[0], kernel)


def test_an_archive_that_was_packed_again_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    model = shaken(chain())
    model.compile("adam", "sparse_categorical_crossentropy")  # its state is all zeros
    model.save(path)
    with zipfile.ZipFile(path) as good:
        members = {name: good.read(name) for name in good.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, member in members.items():
            target.writestr(name, member)
    assert_same_weights(models.load_model(path), model)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2], ids=["lzma", "bzip2"])
def test_other_compressions_are_refused(method: int, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    small_model().save(path)
    with zipfile.ZipFile(path) as good:
        members = {name: good.read(name) for name in good.namelist()}
    with zipfile.ZipFile(path, "w", method) as target:
        for name, member in members.items():
            target.writestr(name, member)
    content = bytearray(path.read_bytes())
    at = content.index(b"config.json") + 20
    content[at : at + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"m.keras.*zip's method {method}: refused"):
        models.load_model(path)
