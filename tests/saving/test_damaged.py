"""A damaged or hostile file is refused in a sentence, and leaves nothing behind."""

import random
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from model_files import (
    LARGE,
    SLACK,
    archive,
    assert_same_weights,
    chain,
    edited,
    old_file,
    opened_apart,
    python_lambda,
    rewritten,
    shaken,
    small_model,
    with_layer,
)

import minicnn
from minicnn import Input, Sequential, layers, models
from minicnn.saving import hdf5

BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "no config": ({"config_json": None}, "not a complete .keras file"),
    "no weights": ({"model_weights_h5": None}, "not a complete .keras file"),
    "config is not a JSON": ({"config_json": b"{"}, "damaged config.json"),
    "config is a list": ({"config_json": b"[]"}, "not a JSON object"),
    "config nests deep": ({"config_json": b"[" * 100_000}, "config.json"),
    "config is empty": ({"config_json": b"{}"}, "class None, which minicnn does not have"),
    "config is of something else": ({"config_json": b'{"class_name": 3, "config": 4}'}, "class 3"),
    "weights are no HDF5": ({"model_weights_h5": b"\x89HDF nonsense"}, "not an HDF5 file"),
    "weights are empty": ({"model_weights_h5": b""}, "not an HDF5 file"),
    "a Lambda": ({"config_json": python_lambda}, "Lambda"),
    "an unknown layer": ({"config_json": with_layer(class_name="LSTM")}, "LSTM"),
    "a module as class": ({"config_json": with_layer(class_name="os.system")}, "os.system"),
    "a foreign module": ({"config_json": with_layer(module="os", class_name="system")}, "system"),
    "bad units": ({"config_json": with_layer(config={"units": -3})}, "units"),
    "units as text": ({"config_json": with_layer(config={"units": "many"})}, "units"),
    "other units than weights": ({"config_json": with_layer(config={"units": 9})}, r"\(3, 9\)"),
    "unknown activation": ({"config_json": with_layer(config={"activation": "evil"})}, "evil"),
    "layer config is a list": ({"config_json": with_layer(config={"name": ["a"]})}, "name"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_model_file_ends_in_a_sentence(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    changes, message = BROKEN[case]
    path = archive(tmp_path / "bad.keras", **changes)
    with pytest.raises(ValueError, match=message):
        models.load_model(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_every_truncation_is_noticed(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    model = shaken(chain())
    (model.save if name == "m.keras" else model.save_weights)(path)
    whole = path.read_bytes()
    before = model.get_weights()
    for share in (0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ValueError, match=path.name):
            models.load_model(path) if name == "m.keras" else model.load_weights(path)
    assert_same_weights(model, before)


def _external_link(file: h5py.File) -> None:
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/hostname", "/")


def _soft_link(file: h5py.File) -> None:
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = h5py.SoftLink("/layers/dense/vars/1")


def _external_data(file: h5py.File) -> None:
    del file["layers/dense/vars/1"]
    file.create_dataset(
        "layers/dense/vars/1", (2,), "f4", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)]
    )


def _virtual_data(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (2,))
    del file["layers/dense/vars/1"]
    file.create_virtual_dataset("layers/dense/vars/1", layout)


def _stored(**how: Any) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file["layers/dense/vars/1"]
        file.create_dataset("layers/dense/vars/1", (2,), "f4", np.ones(2, np.float32), **how)

    return edit


def _replaced(value: Any) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file["layers/dense/vars/1"]
        file["layers/dense/vars/1"] = value

    return edit


def _without(name: str) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file[name]

    return edit


def _group_for_array(file: h5py.File) -> None:
    del file["layers/dense/vars/1"]
    file.create_group("layers/dense/vars/1")


HOSTILE: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "a link to another file": (_external_link, "link at '0', which is refused"),
    "a link within the file": (_soft_link, "link at '0', which is refused"),
    "data in another file": (_external_data, "points into other files, which is refused"),
    "data put together from other files": (_virtual_data, "points into other files"),
    "data in pieces": (_stored(chunks=(1,)), r"in pieces or compressed.*h5repack"),
    "compressed data": (_stored(compression="gzip"), r"in pieces or compressed.*h5repack"),
    "text": (_replaced(np.array([b"ab", b"cd"])), "not numbers"),
    "objects": (_replaced(np.array(["ab", "cd"], dtype=h5py.string_dtype())), "not numbers"),
    "another shape": (_replaced(np.zeros(3)), r"bias has shape \(2,\).*has \(3,\)"),
    "a group": (
        _group_for_array,
        r"at layers/dense/vars/1: there is no array; .*bias was expected",
    ),
    "an array less": (_without("layers/dense/vars/1"), "has 2 weight arrays.*has 1"),
    "no layer": (_without("layers/dense"), "has 2 weight arrays.*has 0"),
    "nothing": (_without("layers"), "has 2 weight arrays.*has 0"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_weights_file_is_refused_whole(case: str, tmp_path: Path) -> None:
    edit, message = HOSTILE[case]
    model, path = edited(tmp_path, edit)
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.load_weights(path)
    assert_same_weights(model, before)


def test_numbers_of_another_precision_are_read(tmp_path: Path) -> None:
    model, path = edited(tmp_path, _replaced(np.array([0.5, 1.5], np.float64)))
    model.load_weights(path)
    np.testing.assert_array_equal(model.get_weights()[1], np.float32([0.5, 1.5]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty\. It is neither a \.keras file"),
        (b"PK\x03\x04 and no more", r"is not a complete \.keras file"),
        (b"<html>not found</html>", r"begins with b'<html>not found<'\. It is neither"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
    ],
)
def test_the_error_about_another_file_says_what_it_is(
    content: bytes, message: str, tmp_path: Path
) -> None:
    for name in ("m.keras", "m.h5", "m"):
        (tmp_path / name).write_bytes(content)
        for read in (chain().load_weights, models.load_model):
            with pytest.raises(ValueError, match=f"{name}' {message[3:]}|{message}"):
                read(tmp_path / name)


def test_the_error_about_a_folder_says_that_it_is_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"is a folder\. TensorFlow's SavedModel is one"):
        models.load_model(tmp_path)


def test_what_a_file_holds_counts_not_its_name(tmp_path: Path) -> None:
    model = chain()
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "w.weights.h5")
    for name in ("m.h5", "m.hdf5", "m"):
        (tmp_path / name).write_bytes((tmp_path / "m.keras").read_bytes())
        for found, wanted in zip(models.load_model(tmp_path / name).get_weights(), model.weights):
            np.testing.assert_array_equal(found, wanted.value)
    (tmp_path / "w.keras").write_bytes((tmp_path / "w.weights.h5").read_bytes())
    for name in ("m.h5", "w.keras"):
        other = chain()
        other.set_weights([0 * w for w in other.get_weights()])
        other.load_weights(tmp_path / name)
        for found, wanted in zip(other.get_weights(), model.weights, strict=True):
            np.testing.assert_array_equal(found, wanted.value)
    with pytest.raises(ValueError, match="holds weights without a model"):
        models.load_model(tmp_path / "w.keras")


def test_values_that_were_never_written_are_noticed(tmp_path: Path) -> None:
    def hollow(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file.create_dataset("layers/dense/vars/0", (3, 2), "f4")

    model, path = edited(tmp_path, hollow)
    with pytest.raises(ValueError, match="has a shape but no values"):
        model.load_weights(path)


def heap_objects(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each object of the file's heap begins, and its number; 0 is free space."""
    at = content.index(b"GCOL")
    end = at + int.from_bytes(content[at + 8 : at + 16], "little")
    at += 16
    while at < end:
        number, size = struct.unpack_from("<H6xQ", content, at)
        yield at, number
        at += 16 + -(-size // 8) * 8 if number else size


@pytest.mark.slow
@pytest.mark.parametrize(
    ("free", "size"),
    [(True, 0), (True, 2**20), (True, 2**63), (False, 2**20), (False, 2**63), (False, 2**64 - 1)],
)
def test_a_damaged_heap_is_refused(free: bool, size: int, tmp_path: Path) -> None:
    """HDF5 itself would read for ever where free space has size 0."""
    (tmp_path / "files").mkdir()
    path = old_file(tmp_path / "files" / "m.h5")
    content = bytearray(path.read_bytes())
    at = next(at for at, number in heap_objects(content) if (number == 0) is free)
    content[at + 8 : at + 16] = struct.pack("<Q", size)
    path.write_bytes(content)
    (told,) = opened_apart("load_model", tmp_path / "files", seconds=20)
    assert told["error"] == "ValueError"
    assert re.search(r"m\.h5.* is damaged.*(is damaged|in the heap)", told["message"])


@pytest.mark.slow
def test_a_text_with_a_false_length_is_refused(tmp_path: Path) -> None:
    """HDF5 itself would allocate the memory before it looks for the text."""
    (tmp_path / "files").mkdir()
    path = old_file(tmp_path / "files" / "m.h5")
    with h5py.File(path) as file:
        length = len(file.attrs["model_config"])
    content = bytearray(path.read_bytes())
    reference = struct.pack("<IQ", length, content.index(b"GCOL"))
    at = content.index(reference)
    content[at : at + 4] = struct.pack("<I", LARGE)
    path.write_bytes(content)
    (told,) = opened_apart("load_model", tmp_path / "files")
    assert told["error"] == "ValueError"
    assert re.search(rf"m\.h5.* a text of {LARGE} bytes has {length}", told["message"])
    assert told["grown"] < SLACK


TEXTS: dict[str, Any] = {
    "one": "text",
    "long": "ä" * 60_000,
    "empty": "",
    "bytes": b"bytes",
    "list": ["a", "", "bc"],
    "list of bytes": [b"dense", b"conv2d"],
    "fixed": np.array([b"abc", b"d", b""]),
    "nothing": np.array([], float),
    "null": h5py.Empty("S5"),
}


@pytest.mark.parametrize("version", ["earliest", "v108", "v110"])
@pytest.mark.parametrize("order", [False, True])
def test_attributes_are_read_as_h5py_reads_them(version: str, order: bool, tmp_path: Path) -> None:
    for case, value in TEXTS.items():
        with h5py.File(tmp_path / "m.h5", "w", libver=(version, "v110")) as file:
            group = file.create_group("g", track_order=order)
            group.attrs["number"], group.attrs["numbers"] = 3, np.arange(5)
            group.attrs[case] = value
            group.attrs["last"] = ["x", "y"]
        with hdf5.opened(tmp_path / "m.h5", "m.h5") as opened:
            found = opened.group("g")
            assert found is not None
            wanted = [] if case in ("nothing", "null") else np.atleast_1d(value).tolist()
            assert found.names(case) == [
                w.decode() if isinstance(w, bytes) else w for w in wanted
            ], case
            assert found.names("last") == ["x", "y"]
            assert not found.has("none")
            with pytest.raises(ValueError, match="'number' is not text"):
                found.text("number")


@pytest.mark.slow
def test_every_wrong_byte_of_an_attribute_ends_in_a_value_error(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"], file.attrs["fixed"] = ["a", "bc"], np.array([b"a", b"bc"])
        start = h5py.h5o.get_info(file.id).addr
    whole = path.read_bytes()
    refused: list[str] = []
    for at in range(start, whole.index(b"fixed") + 80):
        for value in (0, 255, whole[at] ^ 8):
            path.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
            try:
                with hdf5.opened(path, "m.h5") as opened:
                    for name in ("layer_names", "fixed"):
                        if opened.has(name):
                            opened.names(name)
            except ValueError as error:
                refused.append(str(error))
    assert len(refused) > 100
    assert all("m.h5" in message for message in refused)


def test_a_list_may_be_cut_into_pieces(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["layer_names0"], file.attrs["layer_names1"] = ["a", "b"], ["c"]
    with hdf5.opened(tmp_path / "m.h5", "m.h5") as opened:
        assert opened.names("layer_names") == ["a", "b", "c"]
        with pytest.raises(ValueError, match=r"m\.h5 has no list 'weight_names'"):
            opened.names("weight_names")


@pytest.mark.parametrize("value", [np.inf, np.nan, -1.0])
@pytest.mark.parametrize("place", [0, 1], ids=["steps", "learning rate"])
def test_the_error_about_a_bad_state_names_its_file(
    place: int, value: float, tmp_path: Path
) -> None:
    path = tmp_path / "m.weights.h5"
    model = small_model()
    model.compile("sgd", minicnn.losses.BinaryCrossentropy(from_logits=True))
    model.train_on_batch(np.ones((1, 3)), np.ones((1, 3)))
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        del file[f"optimizer/vars/{place}"]
        file[f"optimizer/vars/{place}"] = value
    shaken(model, 9)
    before = [w.copy() for w in model.get_weights()]
    with pytest.raises(ValueError, match=r"m\.weights\.h5"):
        model.load_weights(path)
    for found, wanted in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, wanted)  # all or nothing


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Return the content with some bits or bytes changed, and sometimes cut off."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 2, 4, 16])):
        at = rng.randrange(len(changed))
        changed[at] = rng.choice([changed[at] ^ 1 << rng.randrange(8), rng.randrange(256), 255, 0])
    if rng.random() < 0.1:
        del changed[rng.randrange(len(changed)) :]
    return bytes(changed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", ["archive", "weights in an archive", "weights", "old"])
def test_damage_anywhere_ends_in_a_value_error(kind: str, seed: int, tmp_path: Path) -> None:
    """HDF5 cannot see a flipped bit in a weight; all else is refused, in little time and memory."""
    rng, model = random.Random(seed), tmp_path / "model.keras"
    shaken(chain()).save(model)
    models.load_model(model).save_weights(tmp_path / "m.weights.h5")
    with zipfile.ZipFile(model) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    good = {
        "archive": model,
        "weights": tmp_path / "m.weights.h5",
        "old": Path(__file__).parents[1] / "files" / "model.h5",
    }.get(kind)
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(100):
        path = folder / f"{number:03}{'.weights.h5' if kind == 'weights' else '.keras'}"
        if good is None:
            weights = damaged(members["model.weights.h5"], rng)
            with zipfile.ZipFile(path, "w") as archive:
                for name, content in members.items():
                    archive.writestr(name, weights if name == "model.weights.h5" else content)
        else:
            path.with_suffix(good.suffix).write_bytes(damaged(good.read_bytes(), rng))
    how = "load_weights" if kind == "weights" else "load_model"
    told = opened_apart(how, folder, model if kind == "weights" else None)
    refused = [line for line in told if line["error"] is not None]
    assert len(refused) > 5
    for line in refused:
        assert line["error"] == "ValueError", line
        assert line["file"] in line["message"]
        assert not line["changed"]
    assert sum(line["grown"] for line in told) < SLACK


# -- hostile descriptions --------------------------------------------------------------------------

HOSTILE_CONFIGS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a Lambda": (
        lambda layer: layer | {"class_name": "Lambda"},
        r"Lambda: it holds a function .* layer of your own in its place.*load_weights\.",
    ),
    "code by name": (
        lambda layer: layer | {"class_name": "system", "module": "os", "registered_name": "os"},
        r'Layer "dense" is of class .system., which minicnn does not have. If it is a class of your'
        r" own, pass custom_objects=\{'system': …\}. It has Activation",
    ),
    "an unknown option": (
        lambda layer: layer | {"config": layer["config"] | {"lora_rank": 4}},
        r'Dense "dense" has lora_rank=4.*does not support',
    ),
    "an interpolation that is not here": (
        lambda layer: {
            "class_name": "UpSampling2D",
            "config": {"name": "up", "interpolation": "area"},
        },
        r'UpSampling2D "up" expects interpolation to be one of "nearest", .* Received .area.\.',
    ),
    "no config": (lambda layer: {"class_name": "Dense"}, "Dense is described without a config"),
    "a number": (lambda layer: 5, "no model that minicnn can build"),
    "units of text": (
        lambda layer: layer | {"config": layer["config"] | {"units": "many"}},
        "units to be an integer",
    ),
    "units below zero": (
        lambda layer: layer | {"config": layer["config"] | {"units": -(2**40)}},
        "units to be an integer",
    ),
    "a name with a path": (
        lambda layer: layer | {"config": layer["config"] | {"name": "../../x"}},
        'without "/"',
    ),
}


@pytest.mark.parametrize("case", HOSTILE_CONFIGS)
def test_a_hostile_description_is_refused_with_its_reason(case: str, tmp_path: Path) -> None:
    change, message = HOSTILE_CONFIGS[case]
    path = tmp_path / "m.keras"
    Sequential([Input((3,)), layers.Dense(2, name="dense")]).save(path)

    def edit(config: Any) -> Any:
        config["config"]["layers"][1] = change(config["config"]["layers"][1])
        return config

    rewritten(path, "config.json", edit)
    with pytest.raises(ValueError, match=message) as caught:
        models.load_model(path)
    assert "m.keras" in str(caught.value)


@pytest.mark.parametrize("depth", [900, 5000])
def test_models_nested_too_deeply_are_refused(depth: int, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    Sequential([Input((3,)), layers.Dense(2)]).save(path)
    inner = '{"class_name": "Sequential", "config": {"name": "s", "layers": ['
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = (inner * depth + "]}}" * depth).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match=r"m\.keras"):
        models.load_model(path)


def test_custom_code_is_refused(tmp_path: Path) -> None:
    Sequential([Input((3,)), layers.Dense(2)]).save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"has no layer class under 'Dense', but <class 'object'>"):
        models.load_model(tmp_path / "m.keras", custom_objects={"Dense": object})
    with pytest.raises(TypeError, match=r"a dict of names and classes\. Received list"):
        models.load_model(tmp_path / "m.keras", custom_objects=[object])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no safe_mode=False"):
        models.load_model(tmp_path / "m.keras", safe_mode=False)


@pytest.mark.parametrize(
    "name", ["/", ".", "..", "", "../dense", "/etc/passwd", "a" * 10_000, "\n"]
)
@pytest.mark.parametrize("where", ["layer", "weight"])
def test_hostile_names_in_old_files_lead_nowhere(where: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name if where == "layer" else "dense"]
        dense = file.create_group("dense")
        dense.attrs["weight_names"] = [name, "bias"]
        dense["kernel"], dense["bias"] = np.ones((3, 2), "f4"), np.ones(2, "f4")
    model = Sequential([Input((3,)), layers.Dense(2, name="dense")])
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"old\.h5"):
        model.load_weights(path)
    assert_same_weights(model, before)
