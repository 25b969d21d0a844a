"""Tests of `image_dataset_from_directory`."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from photos import dataset, labels_of, write_photos

import minicnn as keras
from minicnn import images


def test_dataset(photos, capsys):
    data = dataset(photos, batch_size=4, shuffle=False, verbose=True)
    assert "Found 6 files belonging to 2 classes." in capsys.readouterr().out
    assert data.class_names == ["hat", "shirt"]
    assert len(data) == int(data.cardinality()) == 2
    (x, y), (rest, _) = data
    assert (x.shape, x.dtype, y.dtype) == ((4, 4, 4, 3), np.float32, np.int32)
    assert len(rest) == 2
    assert labels_of(data) == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(x[1], images.load_photo(data.file_paths[1], (4, 4)))
    assert type(x[0].numpy()) is type(y.numpy()) is np.ndarray  # as code for tf.data asks for them
    assert type(next(data.as_numpy_iterator())[0]) is np.ndarray
    assert type(x[0] / 255) is np.ndarray


def test_label_modes(photos):
    (_, y), *_ = dataset(photos, label_mode="categorical", shuffle=False)
    assert y.tolist() == [[1, 0]] * 3 + [[0, 1]] * 3
    (_, y), *_ = dataset(photos, label_mode="binary", shuffle=False)
    assert y.tolist() == [[0]] * 3 + [[1]] * 3
    (x,) = dataset(photos, label_mode=None)
    assert x.shape == (6, 4, 4, 3)
    (_, y), *_ = dataset(photos, labels=[5, 4, 3, 2, 1, 0], shuffle=False)
    assert y.tolist() == [5, 4, 3, 2, 1, 0]
    (x,) = dataset(photos, labels=None)
    assert x.shape == (6, 4, 4, 3)
    x, y = next(iter(dataset(photos, batch_size=None, shuffle=False)))
    assert x.shape == (4, 4, 3)
    assert int(y) == 0


@pytest.mark.parametrize(("mode", "channels"), [("grayscale", 1), ("rgb", 3), ("rgba", 4)])
def test_color_modes(photos, mode, channels):
    ((x, _),) = dataset(photos, color_mode=mode)
    assert x.shape == (6, 4, 4, channels)


def test_each_epoch_is_shuffled_again_and_a_seed_repeats_it(tmp_path):
    folder = write_photos(tmp_path / "p", classes=[str(i) for i in range(8)], each=2)

    def two_epochs(seed):
        data = dataset(folder, seed=seed, batch_size=3)
        return labels_of(data), labels_of(data)

    first, second = two_epochs(1)
    assert first != second
    assert sorted(first) == sorted(second)
    assert two_epochs(1) == (first, second)


def test_cache_decodes_once_and_still_shuffles(tmp_path):
    folder = write_photos(tmp_path / "p", each=8)
    begun = dataset(folder, seed=0, batch_size=5)
    assert labels_of(begun) == labels_of(begun.cache()) != labels_of(begun)  # it begins anew
    data = dataset(folder, seed=0, batch_size=5).cache()
    first = [x.copy() for x, _ in data]
    shutil.rmtree(folder)
    second = [x.copy() for x, _ in data]
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    assert np.isclose(sum(x.sum() for x in first), sum(x.sum() for x in second))


def test_parts_do_not_overlap(tmp_path):
    folder = write_photos(tmp_path / "p", each=10)
    common = {"validation_split": 0.25, "seed": 3}
    train = dataset(folder, subset="training", **common)
    validation = dataset(folder, subset="validation", **common)
    assert (len(train.file_paths), len(validation.file_paths)) == (15, 5)
    assert not set(train.file_paths) & set(validation.file_paths)
    both = dataset(folder, subset="both", **common)
    assert [d.file_paths for d in both] == [train.file_paths, validation.file_paths]
    for path, label in zip(validation.file_paths, labels_of(both[1])):
        assert Path(path).parent.name == both[1].class_names[label]


def test_map_take_skip_shuffle_prefetch(tmp_path):
    folder = write_photos(tmp_path / "p", each=6)
    data = dataset(folder, batch_size=2, shuffle=False)
    plain = [x for x, _ in data]
    doubled = [x for x, _ in data.map(lambda x, y: (2 * x, y))]
    parallel = [x for x, _ in data.map(lambda x, y: (2 * x, y), num_parallel_calls=3)]
    for a, b, c in zip(plain, doubled, parallel, strict=True):
        np.testing.assert_array_equal(2 * a, b)
        np.testing.assert_array_equal(b, c)
    assert labels_of(data.take(2)) == [0, 0, 0, 0]
    assert labels_of(data.skip(4)) == [1, 1, 1, 1]
    assert len(data.take(2)) == 2
    assert len(data.skip(4)) == 2
    assert labels_of(data.take(-1)) == labels_of(data)
    assert labels_of(data.prefetch(-1)) == labels_of(data)
    mixed = [labels_of(data.shuffle(6, seed=1)) for _ in range(2)]
    assert sorted(mixed[0]) == labels_of(data)
    fixed = data.shuffle(6, seed=1, reshuffle_each_iteration=False)
    assert labels_of(fixed) == labels_of(fixed)
    kept = data.map(lambda x, y: (x, y + 1)).cache()
    assert labels_of(kept) == labels_of(kept) == [1] * 6 + [2] * 6


def test_an_iteration_left_early_ends_its_threads(tmp_path):
    folder = write_photos(tmp_path / "p", each=20)
    for _x, _y in dataset(folder, batch_size=2).prefetch(2):
        break  # the fixture looks for threads that are left


def test_what_only_tf_data_has_says_what_to_use(photos):
    read = dataset(photos)
    for data in (read, read.take(1)):
        with pytest.raises(AttributeError, match=r"^ImageDataset has no repeat\. Use fit\("):
            data.repeat(2)
        with pytest.raises(AttributeError, match=r"batch_size=None\)\.$"):
            data.unbatch()


def test_an_error_in_map_reaches_the_loop(photos):
    def fail(x, y):
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        list(dataset(photos).map(fail, num_parallel_calls=2))


def test_fit_reads_a_dataset(photos):
    data = dataset(photos, label_mode="categorical", batch_size=4)
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    assert len(model.fit(data, epochs=2, verbose=0).history["loss"]) == 2
