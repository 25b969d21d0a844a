"""The same seed draws the same clothes, and their form, not their colour, tells the class."""

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minicnn import datasets
from minicnn.datasets import CLOTHING_CLASSES, draw_clothing, drawing, write_clothing_sample
from minicnn.datasets.drawing import painting

SMALL = {"train": 2, "test": 1}


def files(root: Path) -> dict[str, bytes]:
    """Return every file under `root` by its relative name."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def images(split: int, count: int, size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` images of each kind, (n, size, size, 3) in [0, 1], and their classes."""
    x = [
        np.asarray(draw_clothing(kind, np.random.default_rng([split, number, index]), size)) / 255
        for number, kind in enumerate(CLOTHING_CLASSES)
        for index in range(count)
    ]
    return np.stack(x), np.repeat(np.arange(len(CLOTHING_CLASSES)), count)


def outlines(split: int, count: int, size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Return the silhouettes of the images, (n, size, size), without colour."""
    x = []
    for number, kind in enumerate(CLOTHING_CLASSES):
        for index in range(count):
            rng = np.random.default_rng([split, number, index])
            sketch = drawing.GARMENTS[kind](rng)
            pose = painting.make_pose(sketch, rng, size, size)
            x.append(painting.rasterize(sketch, pose, size, size)[0].sum(axis=0))
    return np.stack(x), np.repeat(np.arange(len(CLOTHING_CLASSES)), count)


def nearest_centroid_accuracy(
    train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]
) -> float:
    (x, y), (x_test, y_test) = train, test
    centroids = np.stack([x[y == c].mean(axis=0).ravel() for c in range(len(CLOTHING_CLASSES))])
    flat = x_test.reshape(len(x_test), 1, -1)
    return float((((flat - centroids) ** 2).sum(axis=-1).argmin(axis=1) == y_test).mean())


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clothing_sample(tmp_path_factory.mktemp("data") / "clothes", SMALL, 32, seed=7)


def test_the_classes_are_the_course_s() -> None:
    names = "dress hat longsleeve outwear pants shirt shoes shorts skirt t-shirt"
    assert " ".join(CLOTHING_CLASSES) == names


@pytest.mark.parametrize("kind", CLOTHING_CLASSES)
@pytest.mark.parametrize("size", [16, 50, (24, 40), (90, 60)])
def test_every_class_at_several_sizes(kind: str, size: int | tuple[int, int]) -> None:
    image = draw_clothing(kind, np.random.default_rng(3), size)
    height, width = (size, size) if isinstance(size, int) else size
    assert image.mode == "RGB"
    assert image.size == (width, height)
    assert np.asarray(image).std() > 8  # it shows something


@pytest.mark.parametrize("kind", CLOTHING_CLASSES)
def test_the_item_fills_the_picture_and_stays_in_it(kind: str) -> None:
    """Many seeds draw every style of a kind; none fails, vanishes or leaves the image."""
    for seed in range(25):
        rng = np.random.default_rng(seed)
        sketch = drawing.GARMENTS[kind](rng)
        pose = painting.make_pose(sketch, rng, 40, 40)
        cover = painting.rasterize(sketch, pose, 40, 40)[0].sum(axis=0)
        assert 0.05 < cover.mean() < 0.9
        assert cover.max() <= 1 + 2 / 255  # pieces of cloth do not overlap, up to rounding
        edge = np.concatenate([cover[0], cover[-1], cover[:, 0], cover[:, -1]])
        assert edge.mean() < 0.4


def test_same_generator_same_picture() -> None:
    one, same, other = (
        np.asarray(draw_clothing("hat", np.random.default_rng(seed), 32)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).mean() > 0.5


def test_tree(sample: Path) -> None:
    expected = {"sample.json"}
    for split, count in SMALL.items():
        for kind in CLOTHING_CLASSES:
            expected |= {f"{split}/{kind}/{kind}-{index:04d}.jpg" for index in range(count)}
    assert {name.replace("\\", "/") for name in files(sample)} == expected
    for path in sample.rglob("*.jpg"):
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (32, 32))
    assert [path.name for path in sample.parent.iterdir()] == ["clothes"]  # nothing temporary


def test_same_seed_same_bytes(sample: Path, tmp_path: Path) -> None:
    assert files(write_clothing_sample(tmp_path / "again", SMALL, 32, seed=7)) == files(sample)


def test_other_seed_other_pictures(sample: Path, tmp_path: Path) -> None:
    other = files(write_clothing_sample(tmp_path / "other", SMALL, 32, seed=8))
    shared = [name for name, data in files(sample).items() if other[name] == data]
    assert shared == []


def test_no_two_pictures_are_the_same(sample: Path) -> None:
    found = files(sample)
    assert len(set(found.values())) == len(found)


def test_more_pictures_leave_the_first_ones_alone(sample: Path, tmp_path: Path) -> None:
    counts = {"extra": 1, "test": 2, "train": 3}
    more = files(write_clothing_sample(tmp_path / "more", counts, 32, seed=7))
    old = {name: data for name, data in files(sample).items() if name.endswith(".jpg")}
    assert old == {name: more[name] for name in old}
    assert len(more) > len(old)


def test_size_is_height_and_width(tmp_path: Path) -> None:
    root = write_clothing_sample(tmp_path / "wide", {"train": 1}, size=(20, 30))
    with Image.open(root / "train" / "hat" / "hat-0000.jpg") as image:
        assert image.size == (30, 20)


def test_a_split_may_be_empty(tmp_path: Path) -> None:
    root = write_clothing_sample(tmp_path / "none", {"train": 0}, 16)
    assert sorted(path.name for path in (root / "train").iterdir()) == sorted(CLOTHING_CLASSES)
    assert not list(root.rglob("*.jpg"))


@pytest.mark.slow
def test_mean_colour_does_not_tell_the_class() -> None:
    train, test = ((x.mean(axis=(1, 2)), y) for x, y in (images(0, 30), images(1, 15)))
    assert nearest_centroid_accuracy(train, test) < 0.25  # chance gives 0.1


@pytest.mark.slow
def test_silhouettes_do_tell_the_class() -> None:
    accuracy = nearest_centroid_accuracy(outlines(0, 30), outlines(1, 15))
    assert 0.35 < accuracy < 0.95  # above chance, 0.1, but not perfect: details count


def test_a_finished_sample_is_reused(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a finished sample was drawn again")

    monkeypatch.setattr(datasets, "draw_clothing", fail)
    before = files(sample)
    assert write_clothing_sample(str(sample), SMALL, (32, 32), seed=7) == sample
    assert files(sample) == before
    with pytest.raises(AssertionError, match="drawn again"):  # the patch does work
        write_clothing_sample(tmp_path / "new", SMALL, 32, seed=7)


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    assert (write_clothing_sample(tmp_path / "here", {"a": 1}, 16) / "a" / "hat").is_dir()


@pytest.mark.parametrize("change", [{"seed": 8}, {"size": 33}, {"images_per_class": {"train": 2}}])
def test_a_sample_with_other_parameters_is_refused(sample: Path, change: dict) -> None:
    before = files(sample)
    with pytest.raises(FileExistsError, match="clothes"):
        write_clothing_sample(
            sample, **({"images_per_class": SMALL, "size": 32, "seed": 7} | change)
        )
    assert files(sample) == before


def test_a_damaged_sample_is_refused(tmp_path: Path) -> None:
    root = write_clothing_sample(tmp_path / "x", {"a": 1}, 16)
    (root / "a" / "hat" / "hat-0000.jpg").unlink()
    with pytest.raises(FileExistsError, match="expects a new or empty folder"):
        write_clothing_sample(root, {"a": 1}, 16)


def test_a_folder_or_file_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for place in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(FileExistsError, match="expects a new or empty folder"):
            write_clothing_sample(place, {"a": 1}, 16)
    assert files(tmp_path) == {"notes.txt": b"mine"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupt_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    drawn = []
    draw = datasets.draw_clothing

    def interrupted(kind: str, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
        drawn.append(kind)
        if len(drawn) == 8:
            raise error("midway")
        return draw(kind, rng, size)

    monkeypatch.setattr(datasets, "draw_clothing", interrupted)
    with pytest.raises(error, match="midway"):
        write_clothing_sample(tmp_path / "clothes", SMALL, 16)
    assert len(drawn) == 8
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", ".clothes-x7h2")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(OSError, match=r"^'.*/clothes' cannot be made: Read-only file system\.$"):
        write_clothing_sample(tmp_path / "clothes", SMALL, 16)


@pytest.mark.parametrize("counts", [{"train": 1}, {"train": 2}], ids=["same", "other"])
def test_another_notebook_may_draw_at_the_same_time(
    counts: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, place = datasets.draw_clothing, tmp_path / "clothes"

    def while_another_draws(*args: Any) -> Image.Image:
        monkeypatch.setattr(datasets, "draw_clothing", draw)
        write_clothing_sample(place, counts, 16)  # it ends first
        return draw(*args)

    monkeypatch.setattr(datasets, "draw_clothing", while_another_draws)
    if counts == {"train": 1}:
        assert write_clothing_sample(place, {"train": 1}, 16) == place
    else:
        with pytest.raises(OSError, match="clothes"):
            write_clothing_sample(place, {"train": 1}, 16)
    assert list(tmp_path.iterdir()) == [place]
    assert len(files(place)) == 10 * counts["train"] + 1


def test_sample_json_records_the_parameters(sample: Path) -> None:
    recorded = json.loads((sample / "sample.json").read_text())
    recorded.pop("drawing")
    assert recorded == {"images_per_class": SMALL, "size": [32, 32], "seed": 7}


def test_a_pipe_in_place_of_the_list_is_not_read(pipe: Path) -> None:
    folder = pipe.with_name("clothes")
    folder.mkdir()
    (folder / "sample.json").symlink_to(pipe)
    with pytest.raises(FileExistsError, match="holds something else"):
        write_clothing_sample(folder, {"a": 1}, 16)


def test_progress_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clothing_sample(tmp_path / "quiet", {"a": 1}, 16)
    assert capsys.readouterr() == ("", "")
    write_clothing_sample(tmp_path / "loud", {"a": 1}, 16, progress=True)
    assert "Drawing clothes" in capsys.readouterr().err


def test_unknown_kind_offers_the_list() -> None:
    with pytest.raises(ValueError, match=r"dress, hat, .*t-shirt\. Received 'sock'"):
        draw_clothing("sock", np.random.default_rng(0))


def test_the_generator_is_not_a_seed() -> None:
    with pytest.raises(TypeError, match=r"rng to be a numpy.random.Generator\. Received 3"):
        draw_clothing("hat", 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [15, (16, 8), 2.5, (16, 16, 3), True, "big"])
def test_bad_sizes(size: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="draw_clothing expects size to be an integer >= 16"):
        draw_clothing("hat", np.random.default_rng(0), size)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="write_clothing_sample expects size"):
        write_clothing_sample(tmp_path / "x", {"a": 1}, size)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"images_per_class": {"train": -1}}, ValueError, r"images_per_class\['train'\].*>= 0.*-1"),
        ({"images_per_class": {"train": 1.5}}, ValueError, r"Received 1\.5"),
        ({"images_per_class": {"a/b": 1}}, ValueError, "plain folder names.*'a/b'"),
        ({"images_per_class": {"..": 1}}, ValueError, "plain folder names"),
        ({"images_per_class": {"": 1}}, ValueError, "plain folder names.*''"),
        ({"images_per_class": {3: 1}}, ValueError, "plain folder names.*3"),
        ({"images_per_class": 100}, TypeError, "mapping from split names to counts.*100"),
        ({"images_per_class": {}}, TypeError, "mapping from split names to counts"),
        ({"seed": -1}, ValueError, "seed to be an integer >= 0. Received -1"),
        ({"seed": None}, ValueError, "seed to be an integer >= 0. Received None"),
    ],
)
def test_bad_arguments(
    arguments: dict, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        write_clothing_sample(tmp_path / "x", **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_importing_does_not_import_pillow() -> None:
    code = "import sys, minicnn.datasets; print(*{'PIL', 'rich', 'matplotlib'} & set(sys.modules))"
    root = Path(datasets.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
