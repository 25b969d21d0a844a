"""Tests of `flow` and `flow_from_directory`."""

import os
from pathlib import Path

import numpy as np
import pytest
from photos import write_photos
from PIL import Image

import minicnn as keras
from minicnn import images


def test_flow_in_order():
    x = np.arange(5 * 4, dtype=np.float32).reshape(5, 2, 2, 1)
    y = np.arange(5)
    batches = images.ImageDataGenerator(rescale=2.0).flow(x, y, batch_size=2, shuffle=False)
    assert len(batches) == 3
    first, second, third, fourth = (next(batches) for _ in range(4))
    np.testing.assert_array_equal(first[0], 2 * x[:2])
    assert [b[1].tolist() for b in (first, second, third, fourth)] == [[0, 1], [2, 3], [4], [0, 1]]
    np.testing.assert_array_equal(batches[1][0], 2 * x[2:4])
    with pytest.raises(ValueError, match="3 batches"):
        batches[3]


def test_flow_shuffles_each_epoch_again_and_a_seed_repeats_it():
    x, y = np.zeros((20, 2, 2, 1)), np.arange(20)

    def orders(seed):
        batches = images.ImageDataGenerator().flow(x, y, batch_size=20, seed=seed)
        return [batches.next()[1].tolist() for _ in range(2)]

    first, second = orders(1)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(20))
    assert orders(1) == [first, second]
    assert orders(2) != [first, second]
    keras.utils.set_random_seed(7)
    drawn = orders(None)
    keras.utils.set_random_seed(7)
    assert orders(None) == drawn


def test_flow_takes_weights_and_more_inputs():
    x, more, w = np.zeros((4, 2, 2, 1)), np.arange(4.0), np.arange(4) / 10
    batches = images.ImageDataGenerator().flow(
        (x, [more]), np.arange(4), batch_size=4, sample_weight=w, shuffle=False
    )
    (pictures, beside), y, weights = next(batches)
    assert pictures.shape == (4, 2, 2, 1)
    assert beside.tolist() == y.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(weights, w)


def test_flow_subsets_do_not_overlap():
    x, y = np.zeros((10, 2, 2, 1)), np.arange(10) % 2
    generator = images.ImageDataGenerator(validation_split=0.3)
    held_out = generator.flow(x, y, subset="validation")
    rest = generator.flow(x, y, subset="training")
    assert (held_out.n, rest.n) == (3, 7)
    with pytest.raises(ValueError, match="different classes"):
        generator.flow(x, np.arange(10), subset="training")


@pytest.mark.parametrize(
    ("x", "arguments", "sentence"),
    [
        (np.zeros((4, 2, 2)), {}, r"Received x.shape=\(4, 2, 2\)"),
        (np.zeros((4, 2, 2, 1), object), {}, "dtype object"),
        (np.zeros((0, 2, 2, 1)), {}, "at least one image"),
        (np.zeros((4, 2, 2, 1)), {"y": [1, 2]}, "one entry of y per image"),
        (np.zeros((4, 2, 2, 1)), {"sample_weight": [1]}, "sample_weight"),
        (np.zeros((4, 2, 2, 1)), {"batch_size": 0}, "batch_size"),
        (np.zeros((4, 2, 2, 1)), {"subset": "training"}, "validation_split"),
        (np.zeros((4, 2, 2, 1)), {"seed": -1}, "seed"),
        (np.zeros((4, 2, 2, 1)), {"save_to_dir": "nowhere-at-all"}, "nowhere-at-all"),
    ],
)
def test_bad_flow(x, arguments, sentence):
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        images.ImageDataGenerator().flow(x, **arguments)


def test_preprocessing_may_not_change_the_shape():
    generator = images.ImageDataGenerator(preprocessing_function=lambda x: x[:1])
    with pytest.raises(ValueError, match="must keep the shape"):
        next(generator.flow(np.zeros((2, 3, 3, 1))))


def test_flow_from_directory(photos, capsys):
    batches = images.ImageDataGenerator().flow_from_directory(
        photos, target_size=(4, 5), batch_size=4, shuffle=False
    )
    assert "Found 6 images belonging to 2 classes." in capsys.readouterr().out
    assert batches.class_indices == {"hat": 0, "shirt": 1}
    assert batches.classes.tolist() == [0, 0, 0, 1, 1, 1]
    assert batches.filenames[0] == os.path.join("hat", "0.png")  # noqa: PTH118 (as Keras)
    assert batches.image_shape == (4, 5, 3)
    x, y = next(batches)
    assert x.shape == (4, 4, 5, 3)
    assert x.dtype == np.float32
    assert y.tolist() == [[1, 0], [1, 0], [1, 0], [0, 1]]
    shown = keras.utils.load_img(batches.filepaths[1], target_size=(4, 5))
    np.testing.assert_array_equal(x[1], np.asarray(shown))


@pytest.mark.parametrize(
    ("class_mode", "expected"),
    [("sparse", [0, 0, 0, 1, 1, 1]), ("binary", [0, 0, 0, 1, 1, 1]), (None, None), ("input", "x")],
)
def test_class_modes(photos, class_mode, expected):
    batches = images.ImageDataGenerator().flow_from_directory(
        photos, target_size=(4, 4), class_mode=class_mode, shuffle=False
    )
    batch = next(batches)
    if expected is None:
        assert batch.shape == (6, 4, 4, 3)
    elif expected == "x":
        np.testing.assert_array_equal(*batch)
    else:
        assert batch[1].tolist() == expected


def test_subsets_of_a_folder_split_each_class(tmp_path):
    folder = write_photos(tmp_path / "p", each=5)
    generator = images.ImageDataGenerator(validation_split=0.4)
    held_out = generator.flow_from_directory(folder, subset="validation", shuffle=False)
    rest = generator.flow_from_directory(folder, subset="training", shuffle=False)
    assert [Path(name).name for name in held_out.filenames] == ["0.png", "1.png"] * 2
    assert not set(held_out.filenames) & set(rest.filenames)
    assert held_out.samples + rest.samples == 10


def test_chosen_classes_and_a_nested_folder(photos):
    (photos / "shirt" / "more").mkdir()
    Image.new("RGB", (3, 3)).save(photos / "shirt" / "more" / "deep.png")
    (photos / "shirt" / "notes.txt").write_text("no photo")
    batches = images.ImageDataGenerator().flow_from_directory(photos, classes=["shirt", "hat"])
    assert batches.class_indices == {"shirt": 0, "hat": 1}
    assert batches.samples == 7
    with pytest.raises(FileNotFoundError, match="'socks'"):
        images.ImageDataGenerator().flow_from_directory(photos, classes=["hat", "socks"])


def test_augmented_pictures_are_written_where_asked(photos, tmp_path):
    (tmp_path / "out").mkdir()
    batches = images.ImageDataGenerator().flow_from_directory(
        photos, batch_size=4, save_to_dir=tmp_path / "out", save_prefix="aug", save_format="jpeg"
    )
    next(batches)
    written = [p.name for p in (tmp_path / "out").iterdir()]
    assert len(written) == 4
    assert all(name.startswith("aug_") and name.endswith(".jpeg") for name in written)


def test_fit_reads_an_iterator(photos):
    batches = images.ImageDataGenerator(rescale=1 / 255).flow_from_directory(
        photos, target_size=(8, 8), batch_size=2, seed=0
    )
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(batches, epochs=2, validation_data=batches, verbose=0)
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert model.predict(batches, verbose=0).shape == (6, 2)
