"""`reference.model` and `reference.features`: the base, the head, the cache, and the file."""

import errno
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

import minicnn
from minicnn.images import BadImageError
from reference import backend, data, features, fitting
from reference import model as models
from reference.data import Reader
from reference.model import About

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def machine():
    return backend.default()


@pytest.fixture
def base(tiny_base):
    return models.load_base(str(tiny_base), 48)


@pytest.fixture(scope="module")
def photos(clothes):
    return data.find(clothes)


def about(**changes):
    told = {"class_names": list("abcdefghij"), "image_size": 48, "interpolation": "bilinear"}
    return About(**{**told, "base": "tiny", **changes})


# ---------------------------------------------------------------------------------------------
# The base
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["xception", "vgg16", "resnet50", "densenet121", "efficientnetb0", "mobilenet"]
)
def test_each_network_s_preprocessing_becomes_layers(name):
    _, module = models.applications()[name]
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 5, 7, 3)).astype(np.float32)
    wanted = module.preprocess_input(pixels.copy())
    found = models.through(models.probed(module.preprocess_input).layers(), pixels)
    np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-5, atol=2e-5)


def test_every_network_of_keras_is_known_by_its_lower_case_name():
    known = models.applications()
    assert {"xception", "mobilenetv2", "resnet50v2", "nasnetmobile", "convnexttiny"} <= set(known)
    assert known["xception"][0] is keras.applications.Xception
    functions = {
        name.lower() for name, found in vars(keras.applications).items() if callable(found)
    }
    assert set(known) == functions
    assert known["mobilenetv3small"][1] is keras.applications.mobilenet_v3


def test_a_base_is_frozen_and_its_size_is_checked(tiny_base, base):
    assert base.network.trainable_variables == []
    assert base.name == "tiny.keras"
    with pytest.raises(ValueError, match=r"does not take photos of 70x70 pixels.*71.*image-size"):
        models.load_base("xception", 70, "none")


@pytest.mark.parametrize(
    ("name", "weights", "words"),
    [
        ("xeption", "none", ["'xeption'", "xception", ".keras"]),
        ("nowhere.keras", "none", ["no model file 'nowhere.keras'"]),
        ("model.h5", "none", ["old .h5 file", ".keras"]),
        ("mobilenet", "nowhere.h5", ["--weights", "no file"]),
    ],
)
def test_the_error_about_a_bad_base_says_what_one_is(name, weights, words):
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        models.load_base(name, 96, weights)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.slow
def test_without_internet_and_weights_the_alternatives_are_named(monkeypatch):
    def unreachable(*arguments, **options):
        raise Exception("URL fetch failure on https://…: None -- [Errno -2] Name not known")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", unreachable)
    with pytest.raises(ConnectionError) as caught:
        models.load_base("mobilenet", 96)
    for word in ("MobileNet", "--weights FILE", "--base FILE.keras", "--weights none", "~/.keras"):
        assert word in str(caught.value)


@pytest.mark.slow
def test_weights_from_the_right_file_and_a_wrong_one(tmp_path):
    keras.utils.set_random_seed(5)
    network = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(64, 64, 3))
    right = tmp_path / "right.weights.h5"
    network.save_weights(right)
    base = models.load_base("mobilenet", 64, str(right))
    for found, wanted in zip(base.network.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    wrong = tmp_path / "wrong.weights.h5"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save_weights(wrong)
    with pytest.raises(ValueError, match=r"does not fit MobileNet without its classifier.*[^:]\.$"):
        models.load_base("mobilenet", 64, str(wrong))


def test_a_whole_model_in_h5_is_not_a_weights_file(tmp_path):
    path = tmp_path / "whole.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "{}"
    with pytest.raises(ValueError, match="whole model, not weights"):
        models.load_base("mobilenet", 64, str(path))


def test_a_pipe_is_not_read(pipe):
    with pytest.raises(OSError, match="is a pipe: a file of --weights is read from"):
        models.load_base("mobilenet", 64, str(pipe))
    with pytest.raises(ValueError, match=r"is damaged .*is a pipe: a state of a run.*--resume"):
        fitting.read_state(pipe, {})


def test_a_classifier_is_cut_after_its_last_features(tmp_path, capsys):
    path = tmp_path / "classifier.keras"
    ours = minicnn.Sequential(
        [
            minicnn.Input((48, 48, 3)),
            minicnn.layers.Conv2D(5, 3, name="seen"),
            minicnn.layers.Flatten(),
            minicnn.layers.Dense(3),
        ]
    )
    ours.save(path)
    base = models.load_base(str(path), 48, input_range="unit")
    assert "cut off behind its layer seen" in capsys.readouterr().out
    assert base.network.output_shape == (None, 46, 46, 5)
    for found, wanted in zip(base.network.get_weights(), ours.get_weights()[:2], strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "layer", "features"),
    [
        ("mobilenet", 64, "conv_pw_13_relu", (2, 2, 256)),
        ("mobilenet", 32, "conv_pw_13_relu", (1, 1, 256)),
        ("mobilenetv3small", 64, "activation", (2, 2, 576)),
        ("vgg16", 64, "block5_pool", (2, 2, 512)),
    ],
)
def test_keras_s_own_classifiers_are_cut_before_their_pooling(
    name, size, layer, features, tmp_path, capsys
):
    """In two of them, pooling keeps images of one pixel, and convolutions follow."""
    narrow = {"mobilenet": {"alpha": 0.25}, "vgg16": {"classes": 2}}.get(name, {})
    function, _ = models.applications()[name]
    whole = function(weights=None, include_top=True, input_shape=(size, size, 3), **narrow)
    whole.save(tmp_path / "whole.keras")
    base = models.load_base(str(tmp_path / "whole.keras"), size)
    assert base.network.output_shape == (None, *features)
    assert f"cut off behind its layer {layer}" in capsys.readouterr().out


@pytest.mark.slow
def test_a_classifier_after_a_nested_network_is_cut_there(base, tmp_path, capsys):
    """`reference.train` writes such models."""
    inputs = keras.Input((48, 48, 3))
    for name, top in (
        ("pooled", keras.layers.GlobalAveragePooling2D()), ("flat", keras.layers.Flatten()),
    ):  # fmt: skip
        path = tmp_path / f"{name}.keras"
        keras.Model(inputs, keras.layers.Dense(3)(top(base.network(inputs)))).save(path)
        again = models.load_base(str(path), 48)
        assert "cut off behind its layer tiny" in capsys.readouterr().out
        x = np.random.default_rng(0).uniform(-1, 1, (2, 48, 48, 3)).astype("float32")
        np.testing.assert_allclose(
            np.asarray(again.network(x)), np.asarray(base.network(x)), rtol=1e-5, atol=1e-6
        )


def test_a_network_without_features_is_refused_as_a_base(tmp_path):
    path = tmp_path / "classifier.keras"
    keras.Sequential([keras.Input((48, 48, 3)), keras.layers.Flatten()]).save(path)
    with pytest.raises(ValueError, match=r"is not a base.*\(None, 6912\)"):
        models.load_base(str(path), 48)
    fixed = tmp_path / "fixed.keras"
    keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(2, 3)]).save(fixed)
    with pytest.raises(ValueError, match=r"\(32, 32, 3\).*--image-size 48"):
        models.load_base(str(fixed), 48)
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"classifier\.keras.* is damaged"):
        models.load_base(str(path), 48)


# ---------------------------------------------------------------------------------------------
# The whole model
# ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_only_the_head_learns(base, photos):
    model = models.make_model(base, 10, 0.01, size_inner=7, droprate=0.5)
    assert [layer.name for layer in model.layers[-4:]] == ["vectors", "inner", "drop", "logits"]
    assert sum(np.prod(v.shape) for v in model.trainable_variables) == (24 + 1) * 7 + (7 + 1) * 10
    before = [w.copy() for w in base.network.get_weights()]
    x = Reader(48).read(photos.train.paths[:16])
    model.fit(x, photos.train.one_hot()[:16], verbose=0)
    for found, wanted in zip(base.network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.slow
def test_features_and_head_give_the_whole_model_s_logits(base, photos, machine, tmp_path):
    model = models.make_model(base, 10, size_inner=5)
    reader = Reader(48)
    whole = features.outputs(model, photos.validation, reader, "", show=False)
    found = features.extract(photos.validation, reader, base, machine, tmp_path, show=False)
    head = np.asarray(models.head_of(model)(found.x))
    np.testing.assert_allclose(head, whole, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found.y, photos.validation.one_hot())


# ---------------------------------------------------------------------------------------------
# The cache
# ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_smaller_batches_give_the_same_features(base, photos, machine):
    found = [
        features.extract(
            photos.validation, Reader(48), base, machine, show=False, batch_size=size
        ).x
        for size in (7, 500)
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)


def test_features_are_computed_once(base, photos, machine, tmp_path, monkeypatch):
    first = features.extract(photos.validation, Reader(48), base, machine, tmp_path, show=False)
    assert first.computed
    monkeypatch.setattr(features, "outputs", None)  # would fail if it were called
    again = features.extract(photos.validation, Reader(48), base, machine, tmp_path, show=False)
    assert not again.computed
    np.testing.assert_array_equal(again.x, first.x)


@pytest.mark.slow
def test_what_changes_the_features_changes_the_name_of_their_cache(
    base, photos, machine, tiny_base
):
    from dataclasses import replace

    def name(photos=photos.validation, reader=Reader(48), base=base, machine=machine):  # noqa: B008
        return features.path_for("cache", features.key(photos, reader, base, machine))

    other = models.load_base(str(tiny_base), 48)
    assert name(base=other) == name()
    kernel = other.network.trainable_variables or other.network.variables
    kernel[0].assign(kernel[0] * 1.0001)
    names = [
        name(),
        name(photos=photos.train),
        name(photos=photos.validation.keep(range(59))),
        name(reader=Reader(48, "nearest")),
        name(base=other),
        name(base=models.load_base(str(tiny_base), 48, input_range="unit")),
        name(machine=replace(machine, precision="mixed_bfloat16")),
        name(machine=replace(machine, version="JAX 99")),
        name(machine=replace(machine, gpus=("NVIDIA H100",))),
        name(machine=replace(machine, gpus=("NVIDIA H100",), deterministic=True)),
    ]
    assert len(set(names)) == len(names)
    assert name(machine=replace(machine, deterministic=True)) == name(), "a CPU always is"


@pytest.mark.slow
def test_a_damaged_cache_is_computed_again(base, photos, machine, tmp_path, capsys):
    first = features.extract(photos.validation, Reader(48), base, machine, tmp_path, show=False)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for damaged in (b"", whole[:1000], whole[:-300]):
        path.write_bytes(damaged)
        again = features.extract(photos.validation, Reader(48), base, machine, tmp_path, show=False)
        assert again.computed
        np.testing.assert_array_equal(again.x, first.x)
        assert "computed anew" in capsys.readouterr().out
    with np.load(path) as file:
        told = file["about"]
    np.savez(path, features=np.full((60, 24), np.nan, np.float32), about=told)
    assert features.extract(
        photos.validation, Reader(48), base, machine, tmp_path, show=False
    ).computed


def test_another_size_than_the_base_s_is_refused(base, photos, machine):
    with pytest.raises(ValueError, match=r"48 pixels a side.*64: one run has one image size"):
        features.extract(photos.validation, Reader(64), base, machine)


def test_a_base_that_gives_nan_is_refused(base, photos, machine):
    gamma = base.network.layers[-1].gamma
    gamma.assign(gamma * np.nan)
    with pytest.raises(ValueError, match="NaN or infinity of photos in validation"):
        features.extract(photos.validation, Reader(48), base, machine, show=False)


def test_bad_photos_are_named_and_leave_no_cache(base, clothes, machine, tmp_path):
    import shutil

    copy = shutil.copytree(clothes, tmp_path / "copy")
    bad = sorted((copy / "train" / "hat").iterdir())[3]
    bad.write_bytes(b"no")
    with pytest.raises(BadImageError, match=bad.name):
        features.extract(
            data.find(copy).train, Reader(48), base, machine, tmp_path / "cache", show=False
        )
    assert not (tmp_path / "cache").exists()


# ---------------------------------------------------------------------------------------------
# The file
# ---------------------------------------------------------------------------------------------


def written(tmp_path, base, **changes):
    model = models.make_model(base, 10, size_inner=6, droprate=0.2)
    path = tmp_path / "model.keras"
    models.save(model, path, about(base=base.name, size_inner=6, droprate=0.2, **changes))
    return model, path


@pytest.mark.slow
def test_the_file_has_everything_that_a_prediction_needs(base, photos, tmp_path):
    model, path = written(tmp_path, base)
    saved = models.load(path)
    assert saved.about == about(base="tiny.keras", size_inner=6, droprate=0.2)
    wanted = features.outputs(model, photos.test, Reader(48), "", show=False)
    found = features.outputs(saved.model, photos.test, saved.about.reader, "", show=False)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    # Keras and minicnn also open it; minicnn predicts with the file's own metadata.
    plain = keras.saving.load_model(path)
    pixels = Reader(48).read(photos.test.paths)
    np.testing.assert_allclose(plain.predict(pixels, verbose=0), wanted, atol=1e-5)
    ours = minicnn.models.load_model(path)
    np.testing.assert_allclose(ours.predict(pixels, verbose=0), wanted, atol=1e-4)
    assert ours.metadata["class_names"] == list("abcdefghij")
    assert ours.metadata["image_size"] == [48, 48]
    assert [p.name for p in tmp_path.iterdir()] == ["model.keras"]


@pytest.mark.slow
def test_a_network_of_keras_is_rebuilt_from_code(tmp_path, monkeypatch):
    base = models.load_base("mobilenet", 48, "none")
    model, path = written(tmp_path, base)
    monkeypatch.setattr(keras.saving, "load_model", None)  # would fail if it were called
    saved = models.load(path)
    x = np.random.default_rng(0).uniform(0, 255, (2, 48, 48, 3)).astype("float32")
    np.testing.assert_allclose(
        saved.model.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5
    )


@pytest.mark.slow
def test_mixed_precision_is_saved_in_float32(tiny_base, tmp_path, photos):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        base = models.load_base(str(tiny_base), 48)
        assert base.network.layers[1].compute_dtype == "bfloat16"
        model, path = written(tmp_path, base)
        rough = features.outputs(model, photos.test, Reader(48), "", show=False)
    finally:
        keras.config.set_dtype_policy("float32")
    assert "bfloat16" not in zipfile.ZipFile(path).read("config.json").decode()
    saved = models.load(path)
    fine = features.outputs(saved.model, photos.test, saved.about.reader, "", show=False)
    assert np.abs(fine - rough).max() < 0.05 * np.abs(fine).max()
    for found, wanted in zip(saved.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_an_interrupted_save_leaves_the_old_file(base, tmp_path, monkeypatch):
    _, path = written(tmp_path, base)
    before = path.read_bytes()
    monkeypatch.setattr(models, "add_metadata", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        written(tmp_path, base)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.keras"]


def changed_metadata(path, change):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(members["metadata.json"])
    change(metadata)
    members["metadata.json"] = json.dumps(metadata).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.pop("minicnn"), "does not say its class names"),
        (lambda m: m["minicnn"].pop("base"), "does not say its class names"),
        (lambda m: m["minicnn"].update(image_size=48), "does not say its class names"),
        (lambda m: m["minicnn"].update(class_names=["a", "b"]), "names 2 classes.*tells 10 apart"),
    ],
)
def test_a_file_without_its_metadata_is_refused(base, tmp_path, change, words):
    _, path = written(tmp_path, base)
    changed_metadata(path, change)
    with pytest.raises(ValueError, match=words):
        models.load(path)


def test_other_files_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"ends in .keras \(old whole-model .h5"):
        models.load(tmp_path / "model.h5")
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(IsADirectoryError, match="a model file is expected"):
        models.load(tmp_path / "folder.keras")
    with pytest.raises(FileNotFoundError, match="no model file"):
        models.load(tmp_path / "model.keras")
    (tmp_path / "model.keras").write_bytes(b"PK no archive")
    with pytest.raises(ValueError, match="does not say its class names"):
        models.load(tmp_path / "model.keras")
    with pytest.raises(ValueError, match=r"name ends in .keras. Received.*model.h5"):
        models.save(None, tmp_path / "model.h5", about())


@pytest.mark.slow
def test_a_base_file_with_a_network_s_name_is_not_taken_for_it(tmp_path, photos):
    """Or the file would be opened with Keras's network of that name, or its preprocessing."""
    keras.utils.set_random_seed(3)
    network = keras.applications.MobileNet(
        include_top=False, weights=None, input_shape=(48, 48, 3), alpha=0.25
    )
    network.save(tmp_path / "mobilenet.keras")
    base = models.load_base(str(tmp_path / "mobilenet.keras"), 48, input_range="unit")
    model, path = written(tmp_path, base)
    found = features.outputs(models.load(path).model, photos.test, Reader(48), "", show=False)
    wanted = features.outputs(model, photos.test, Reader(48), "", show=False)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_a_base_with_other_layers_and_the_same_weights_is_another_base(tmp_path):
    def saved(name, activation):
        keras.utils.set_random_seed(3)
        inputs = keras.Input((None, None, 3))
        keras.Model(inputs, keras.layers.Conv2D(4, 3, activation=activation)(inputs)).save(
            tmp_path / name
        )
        return models.load_base(str(tmp_path / name), 48).sha256()

    assert saved("a.keras", "relu") == saved("b.keras", "relu")
    assert saved("a.keras", "relu") != saved("a.keras", "tanh")


@pytest.mark.slow
def test_nothing_in_a_base_is_random(tmp_path):
    inputs = keras.Input((48, 48, 3))
    x = keras.layers.Dropout(0.5)(keras.layers.Conv2D(4, 3)(inputs))
    keras.Model(inputs, x).save(tmp_path / "dropping.keras")
    base = models.load_base(str(tmp_path / "dropping.keras"), 48)
    model = models.make_model(base, 10)
    x = np.random.default_rng(0).uniform(0, 255, (2, 48, 48, 3)).astype("float32")
    first, again, plain = (np.asarray(model(x, training=t)) for t in (True, True, False))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, plain)
    before = base.sha256()
    model.fit(x, np.eye(10)[:2], verbose=0)
    assert base.sha256() == before


def test_a_model_that_cannot_be_written_is_named_and_replaces_nothing(base, tmp_path, monkeypatch):
    def full(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    class Unwanted:
        __enter__ = full

    monkeypatch.setattr(models, "add_metadata", full)
    path = tmp_path / "model.keras"
    path.write_bytes(b"old")
    model, about = models.make_model(base, 3), About(["a", "b", "c"], 48, "bilinear", base.name)
    with pytest.raises(OSError, match=r"model\.keras' cannot be written: No space left"):
        models.save(model, path, about, Unwanted())
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [
        ("model.keras", b"old")
    ]
