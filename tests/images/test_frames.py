"""`flow_from_dataframe`: which photos a table names, with which labels, as Keras reads it."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import minicnn
from minicnn.images import ImageDataGenerator
from minicnn.preprocessing.image import DataFrameIterator

Array = np.ndarray


@pytest.fixture
def table(tmp_path: Path) -> dict[str, list[Any]]:
    """Photos of one colour each, 10, 20, …, 60, and what a table says of them."""
    for i in range(6):
        Image.new("RGB", (4, 3), (10 * i + 10,) * 3).save(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").write_text("no photo")
    return {
        "filename": [f"{i}.png" for i in range(6)],
        "class": ["hat", "shirt", "hat", "dress", "hat", "shirt"],
        "tags": [["hat"], ["shirt", "new"], "new", ("dress",), ["hat", "new"], ["old"]],
        "price": [1.5, 2.0, 2.5, 3.0, 3.5, 4.0],
        "box": [[i, i + 1] for i in range(6)],
        "weight": [1, 2, 1, 2, 1, 2],
    }


def flow(table: Any, folder: Any, generator: Any = None, **options: Any) -> Any:
    options = {"target_size": (2, 2), "shuffle": False, "batch_size": 4, **options}
    return (generator or ImageDataGenerator()).flow_from_dataframe(table, folder, **options)


@pytest.fixture(autouse=True)
def _quiet(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    capsys.readouterr()


def test_classes(table: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = flow(table, tmp_path)
    assert capsys.readouterr().out == (
        "Found 6 validated image filenames belonging to 3 classes.\n"
    )
    assert found.class_indices == {"dress": 0, "hat": 1, "shirt": 2}
    assert found.classes == found.labels == [1, 2, 1, 0, 1, 2]
    assert (found.samples, found.n, len(found)) == (6, 6, 2)
    assert found.filenames == table["filename"]
    assert found.filepaths[0] == os.path.join(str(tmp_path), "0.png")  # noqa: PTH118
    x, y = found[1]
    assert (x.shape, x.dtype, y.dtype) == ((2, 2, 2, 3), np.float32, np.float32)
    assert (x[:, 0, 0, 0].tolist(), y.tolist()) == ([50, 60], [[0, 1, 0], [0, 0, 1]])


LABELS: list[tuple[dict[str, Any], Any]] = [
    ({"class_mode": "sparse"}, [1, 2, 1, 0]),
    ({"y_col": "tags"}, [[0, 1, 0, 0, 0], [0, 0, 1, 0, 1], [0, 0, 1, 0, 0], [1, 0, 0, 0, 0]]),
    ({"y_col": "tags", "classes": ["new", "hat"]}, [[0, 1], [1, 0], [1, 0], [1, 1]]),
    ({"class_mode": "sparse", "classes": ["shirt", "hat"]}, [1, 0, 1, 1]),
    ({"class_mode": "binary", "classes": ["hat", "dress"]}, [0, 0, 1, 0]),
    ({"class_mode": "raw", "y_col": "price"}, [1.5, 2.0, 2.5, 3.0]),
    ({"class_mode": "raw", "y_col": "box"}, [[0, 1], [1, 2], [2, 3], [3, 4]]),
]


@pytest.mark.parametrize(("options", "expected"), LABELS)
def test_labels(options: dict[str, Any], expected: Any, table: Any, tmp_path: Path) -> None:
    np.testing.assert_array_equal(flow(table, tmp_path, **options)[0][1], expected)


def test_several_labels_none_and_the_image_itself(table: Any, tmp_path: Path) -> None:
    x, y = flow(table, tmp_path, class_mode="multi_output", y_col=["price", "box"])[0]
    assert isinstance(y, list)
    np.testing.assert_array_equal(y[0], [1.5, 2, 2.5, 3])
    assert y[1].shape == (4, 2)
    np.testing.assert_array_equal(flow(table, tmp_path, class_mode=None, y_col="gone")[0], x)
    images, copies = flow(table, tmp_path, class_mode="input")[0]
    np.testing.assert_array_equal(images, copies)


def test_weights_subsets_and_absolute_paths(table: Any, tmp_path: Path) -> None:
    split = ImageDataGenerator(validation_split=0.34)
    _, y, weight = flow(table, tmp_path, split, weight_col="weight", subset="validation")[0]
    assert (weight.tolist(), len(y)) == ([1, 2], 2)
    assert flow(table, tmp_path, split, subset="training").filenames == table["filename"][2:]
    table["filename"] = [str(tmp_path / name) for name in table["filename"]]
    assert flow(table, None).samples == 6


def test_rows_without_a_photo_are_left_out(table: Any, tmp_path: Path) -> None:
    table["filename"][1:3] = ["gone.png", "notes.txt"]
    with pytest.warns(UserWarning, match="2 of 6 rows of 'filename' name photos that do not exist"):
        found = flow(table, tmp_path)
    assert found.classes == [1, 0, 1, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = flow(table, tmp_path, validate_filenames=False)
    assert kept.samples == 6
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        kept[0]
    with pytest.warns(UserWarning, match="class_mode='raw' takes no classes"):
        flow(table, tmp_path, class_mode="raw", y_col="price", classes=["a"])


def test_a_model_with_two_outputs_learns_from_it(table: Any, tmp_path: Path) -> None:
    inputs = minicnn.Input((2, 2, 3))
    flat = minicnn.layers.Flatten()(minicnn.layers.Rescaling(1 / 255)(inputs))
    outputs = [minicnn.layers.Dense(n, name=name)(flat) for n, name in ((1, "price"), (2, "box"))]
    model = minicnn.Model(inputs, outputs)
    model.compile("sgd", "mse")
    data = flow(table, tmp_path, class_mode="multi_output", y_col=["price", "box"])
    history = model.fit(data, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert model.predict(data, verbose=0)[1].shape == (6, 2)


def test_frozen_layers_may_run_once(table: Any, tmp_path: Path) -> None:
    found = flow(table, tmp_path, shuffle=True, seed=1)
    assert found.example_count() == 6
    np.testing.assert_array_equal(found.read_examples(np.array([5]))[0, 0, 0], [60] * 3)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"x_col": "file"}, r"a table with the column 'file'. Received \['filename', 'class'"),
    ({"y_col": "label"}, "the column 'label'"),
    ({"weight_col": "w"}, "the column 'w'"),
    ({"x_col": "price"}, "texts in column 'price'. Received 1.5"),
    ({"y_col": "price"}, "names of classes, or lists of them, in column 'price'.*Received 1.5"),
    ({"y_col": "tags", "class_mode": "sparse"}, r"names of classes in column 'tags'.*\['hat'\]"),
    ({"class_mode": "binary"}, 'two classes for class_mode="binary". Received 3: .*dress'),
    ({"class_mode": "multi_output"}, "y_col to be a list of columns.*Received 'class'"),
    ({"class_mode": "other"}, "class_mode to be one of .*Received 'other'"),
    ({"class_mode": "raw"}, "numbers in column 'class'"),
    ({"weight_col": "class"}, "numbers in column 'class'"),
    ({"classes": ["sock"]}, "found no photos in 6 rows of 'filename'"),
    ({"color_mode": "cmyk"}, "color_mode"),
    ({"subset": "test"}, "subset"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_is_refused(options: dict[str, Any], message: str, table: Any, tmp_path: Path) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        flow(table, tmp_path, **options)


def test_what_is_no_table_is_refused(table: Any, tmp_path: Path) -> None:
    for wrong in ([1, 2], 3, None):
        with pytest.raises(ValueError, match="a table with the column 'filename'"):
            flow(wrong, tmp_path)
    with pytest.raises(ValueError, match=r"columns of one length. Received \[1, 6\]"):
        flow(table | {"class": ["a"]}, tmp_path)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"shuffle": True, "seed": 3},
    *(options for options, _ in LABELS),
    {"class_mode": "multi_output", "y_col": ["price", "weight"], "weight_col": "weight"},
    {"class_mode": "input", "subset": "training"},
    {"class_mode": None, "subset": "validation", "color_mode": "grayscale"},
]


@pytest.mark.keras
@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:keras.*")
def test_batches_are_keras_s(options: dict[str, Any], table: Any, tmp_path: Path) -> None:
    """Keras needs pandas for this; minicnn takes the same table of pandas."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("scipy")
    pytest.importorskip("keras")
    from keras._tf_keras.keras.preprocessing.image import ImageDataGenerator as KerasGenerator

    table["filename"][3] = "gone.png"
    frame = pandas.DataFrame(table)
    settings: dict[str, Any] = {"validation_split": 0.4, "horizontal_flip": True, "shear_range": 20}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = flow(frame, str(tmp_path), KerasGenerator(**settings), **options)
        ours = flow(frame, tmp_path, ImageDataGenerator(**settings), **options)
    assert isinstance(ours, DataFrameIterator)
    assert ours.filenames == theirs.filenames
    assert ours.class_indices == getattr(theirs, "class_indices", {})
    for i in (1, 0):
        found, expected = ours[i % len(ours)], theirs[i % len(theirs)]
        if not isinstance(expected, tuple):
            found, expected = (found,), (expected,)
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            for mine, wanted in zip(a, b, strict=True):
                np.testing.assert_allclose(mine, wanted, atol=1e-3)
