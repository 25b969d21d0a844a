"""`minicnn explain` puts photos into the page, from which the model learns there."""

import json

import numpy as np
import pytest
from PIL import Image

from minicnn import Input, Sequential, commands, datasets, layers


def run(*arguments):
    return commands.main([str(a) for a in arguments])


def saved(path, names, size=16):
    model = Sequential([Input((size, size, 3)), layers.Flatten(), layers.Dense(len(names))])
    model.metadata["class_names"] = names
    model.save(path)
    return path


def write_photo(path, colour, size=(20, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def learning(page):
    text = page.read_text(encoding="utf-8")
    return json.loads(text.split('id="data">')[1].split("</script>")[0]).get("learning")


@pytest.fixture
def given(tmp_path):
    """Return a command for a model of two classes, and the folder of its photos."""
    model = saved(tmp_path / "model.keras", ["night", "day"])
    photo = write_photo(tmp_path / "photo.png", "grey")
    for k in range(25):
        write_photo(tmp_path / "photos" / "day" / f"{k:02d}.png", (255, 255, k))
        write_photo(tmp_path / "photos" / "night" / f"{k:02d}.png", (0, 0, k))
    (tmp_path / "photos" / ".hidden").mkdir()
    return ("explain", model, photo, "-o", tmp_path / "page.html"), tmp_path / "photos"


def test_some_photos_of_each_folder_go_into_the_page(given, tmp_path) -> None:
    command, photos = given
    assert run(*command) == 0
    assert learning(tmp_path / "page.html") is None
    assert run(*command, "--data", photos) == 0
    found = learning(tmp_path / "page.html")
    assert found["obstacle"] is None
    assert found["shape"] == [16, 16, 3]
    assert sorted(found["y"]) == [0] * 20 + [1] * 20  # the model's order of classes
    assert found["y"] != sorted(found["y"])  # each batch has both
    assert sorted(found["palette"]) == [*map(float, range(20)), 255.0]
    photos.rename(tmp_path / "train")
    assert run(*command, "--data", tmp_path) == 0  # a folder with a folder "train"
    assert learning(tmp_path / "page.html") == found


def test_pixels_are_in_the_range_of_the_model(given, tmp_path) -> None:
    command, photos = given
    assert run(*command, "--data", photos, "--input-range", "signed") == 0
    palette = learning(tmp_path / "page.html")["palette"]
    assert (min(palette), max(palette)) == (-1.0, 1.0)


def test_a_model_of_clothes_learns_from_drawn_ones(tmp_path) -> None:
    model = saved(tmp_path / "model.keras", sorted(datasets.CLOTHING_CLASSES))
    photo, page = write_photo(tmp_path / "photo.png", "grey"), tmp_path / "page.html"
    assert run("explain", model, photo, "-o", page) == 0
    found = learning(page)
    assert sorted(found["y"]) == np.repeat(range(10), 4).tolist()
    assert len(found["palette"]) > 100
    assert run("explain", model, photo, "-o", page) == 0
    assert learning(page) == found


def test_folders_that_do_not_fit_are_refused_in_a_sentence(given, tmp_path, capsys) -> None:
    command, photos = given

    def says(folder):
        assert run(*command, "--data", folder) == 2
        return capsys.readouterr().err

    assert f"--data: there is no folder '{tmp_path / 'no'}'." in says(tmp_path / "no")
    (tmp_path / "empty" / "day").mkdir(parents=True)
    assert "there are no photos in the folders" in says(tmp_path / "empty")
    assert "has no folders" in says(tmp_path / "empty" / "day")
    (photos / "noon").mkdir()
    assert "expects a folder for each class (night, day)." in (text := says(photos))
    assert "has a folder 'noon'" in text
    (photos / "noon").rmdir()
    (photos / "day" / "00.png").write_text("no photo")
    assert "00.png" in says(photos)
