"""One photo: how it is read, how bad files are refused, and how it is resized as in TensorFlow."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photos import BAD_KINDS, bad_file, flow, gradient, in_iptc
from PIL import Image

import minicnn as keras
from minicnn import images
from minicnn.images import files

pytestmark = pytest.mark.usefixtures("pipes_end")

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


# ---------------------------------------------------------------------------------------------
# One image
# ---------------------------------------------------------------------------------------------


def test_a_loaded_picture_becomes_an_array_and_back(tmp_path):
    pixels = gradient()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = keras.utils.load_img(tmp_path / "a.png")
    x = keras.utils.img_to_array(image)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, pixels)
    again = keras.utils.array_to_img(x, scale=False)
    np.testing.assert_array_equal(np.asarray(again), pixels)


@pytest.mark.parametrize("kind", [str, os.fsencode, Path, lambda p: io.BytesIO(p.read_bytes())])
def test_load_img_takes_any_path(tmp_path, kind):
    Image.new("RGB", (4, 2), RED).save(tmp_path / "a.png")
    assert keras.utils.load_img(kind(tmp_path / "a.png")).size == (4, 2)


def test_target_size_is_height_and_width(tmp_path):
    Image.new("RGB", (40, 20), RED).save(tmp_path / "a.png")
    assert keras.utils.load_img(tmp_path / "a.png", target_size=(5, 9)).size == (9, 5)


def test_nearest_takes_one_source_pixel(tmp_path):
    pixels = np.zeros((1, 4, 3), np.uint8)
    pixels[0, :, 0] = [10, 20, 30, 40]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = keras.utils.load_img(tmp_path / "a.png", target_size=(1, 2))
    assert np.asarray(image)[0, :, 0].tolist() == [20, 40]


def test_keep_aspect_ratio_keeps_the_middle(tmp_path):
    image = Image.new("RGB", (30, 10), RED)
    image.paste(Image.new("RGB", (10, 10), GREEN), (10, 0))
    image.save(tmp_path / "a.png")
    x = np.asarray(keras.utils.load_img(tmp_path / "a.png", "rgb", (5, 5), keep_aspect_ratio=True))
    assert (x == GREEN).all()


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 100, (100, 100, 100)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (10, 20, 30, 0), (10, 20, 30)),  # alpha is dropped, not blended
        ("LA", (50, 0), (50, 50, 50)),
        ("P", 1, GREEN),
        ("CMYK", (0, 255, 255, 0), RED),
    ],
)
def test_every_kind_of_picture_becomes_rgb(tmp_path, mode, colour, expected):
    image = Image.new(mode, (3, 2), colour)
    if mode == "P":
        image.putpalette([*RED, *GREEN])
    name = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(name)
    assert (np.asarray(keras.utils.load_img(name)) == expected).all()
    assert (files.decode_photo(name) == expected).all()
    assert files.decode_photo(name, "grayscale").shape == (2, 3, 1)
    assert files.decode_photo(name, "rgba").shape == (2, 3, 4)


TIFF_MODES = ("1", "L", "LA", "P", "PA", "I", "F", "I;16", "I;16B", "RGB", "RGBA", "RGBX")
TIFF_MODES += ("CMYK", "YCbCr", "LAB")


@pytest.mark.parametrize("mode", TIFF_MODES)
def test_every_kind_of_tiff_is_read_in_every_colour_mode(tmp_path, mode):
    """Keras's `load_img` reads them, too, except an L*a*b* image in gray."""
    pages = [Image.new(mode, (3, 2), colour) for colour in (1, 0)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    for ending, mode_read in ((1, "grayscale"), (3, "rgb"), (4, "rgba")):
        x = keras.utils.img_to_array(keras.utils.load_img(tmp_path / "a.tif", mode_read))
        assert x.shape == (2, 3, ending)
        assert files.decode_photo(tmp_path / "a.tif", mode_read).shape == (2, 3, ending)


def test_lab_becomes_rgb_or_is_a_bad_picture(photos, monkeypatch):
    path = photos / "hat" / "lab.tif"
    Image.new("LAB", (3, 2), (255, 128, 128)).save(path)  # white: L* = 100, a* = b* = 0
    assert np.abs(np.asarray(keras.utils.load_img(path)).astype(int) - 255).max() <= 3
    assert keras.utils.load_img(path, "grayscale").mode == "L"

    def without_littlecms(*arguments, **options):
        raise ImportError("The _imagingcms C module is not installed")

    monkeypatch.setattr("PIL.ImageCms.buildTransform", without_littlecms)
    with pytest.raises(images.BadImageError, match=r"lab\.tif.* has LAB colours"):
        keras.utils.load_img(path, "grayscale")
    with pytest.warns(UserWarning, match="Skipped 1 bad photo of 7"):
        assert flow(photos, on_bad_image="skip").samples == 6


def test_sixteen_bits(tmp_path):
    """`load_img` keeps all for "grayscale", as in Keras; a data set takes the upper 8, as in TF."""
    deep = np.array([[0, 256, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    gray = keras.utils.img_to_array(keras.utils.load_img(tmp_path / "a.png", "grayscale"))
    assert gray[0, :, 0].tolist() == [0, 256, 65535]
    assert files.decode_photo(tmp_path / "a.png")[0, :, 1].tolist() == [0, 1, 255]
    assert files.decode_photo(tmp_path / "a.png", "rgba")[0, :, 3].tolist() == [255] * 3


def test_exif_rotation_is_ignored_as_in_keras(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # it means "turn by 90 degrees to see it upright"
    Image.new("RGB", (40, 20), RED).save(tmp_path / "a.jpg", exif=exif)
    assert keras.utils.load_img(tmp_path / "a.jpg").size == (40, 20)
    assert files.decode_photo(tmp_path / "a.jpg").shape == (20, 40, 3)


def test_first_picture_of_an_animation(tmp_path):
    first, second = Image.new("RGB", (2, 2), RED), Image.new("RGB", (2, 2), BLUE)
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert (files.decode_photo(tmp_path / "a.gif") == RED).all()


def test_array_to_img_stretches():
    x = np.array([[[-1.0], [0.0], [1.0]]])
    assert np.asarray(keras.utils.array_to_img(x)).tolist() == [[0, 127, 255]]
    assert np.asarray(keras.utils.array_to_img(np.ones((1, 2, 1)))).tolist() == [[0, 0]]
    assert keras.utils.array_to_img(np.zeros((1, 1, 4))).mode == "RGBA"


@pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "bmp", "gif"])
def test_save_img(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    keras.utils.save_img(path, np.full((4, 5, 3), 200.0), scale=False)
    assert keras.utils.load_img(path).size == (5, 4)
    assert abs(np.asarray(keras.utils.load_img(path)).astype(int) - 200).max() <= 2
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_save_img_to_an_open_file_and_without_alpha(tmp_path):
    file = io.BytesIO()
    keras.utils.save_img(file, np.zeros((2, 3, 3)), file_format="png")
    assert keras.utils.load_img(io.BytesIO(file.getvalue())).size == (3, 2)
    with pytest.warns(UserWarning, match="alpha"):
        keras.utils.save_img(tmp_path / "a.jpg", np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="expects a format"):
        keras.utils.save_img(tmp_path / "a.whatever", np.zeros((2, 3, 3)))


def test_a_failed_save_leaves_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    keras.utils.save_img(path, np.zeros((2, 3, 3)))
    old = path.read_bytes()

    def full(self, data):
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"a\.png' cannot be written: No space"):
        keras.utils.save_img(path, np.ones((2, 3, 3)))
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: keras.utils.array_to_img(np.zeros((2, 2))), r"Received x.shape=\(2, 2\)"),
        (lambda: keras.utils.array_to_img(np.zeros((2, 2, 2))), "1, 3 or 4 channels"),
        (lambda: keras.utils.array_to_img(np.full((2, 2, 3), np.nan)), "finite"),
        (lambda: keras.utils.img_to_array(np.zeros(3)), "2 or 3 axes"),
        (lambda: keras.utils.img_to_array(np.zeros((2, 2)), "channels_first"), "channels_last"),
    ],
)
def test_bad_arrays(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.mark.parametrize("kind", BAD_KINDS)
@pytest.mark.parametrize("read", [keras.utils.load_img, lambda p: images.load_photo(p, (8, 8))])
def test_a_bad_file_is_named(tmp_path, kind, read):
    path, said = bad_file(tmp_path, kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow's own warning about size would repeat it
        with pytest.raises(images.BadImageError, match=f"{kind}.png.*{said}"):
            read(path)


@pytest.mark.parametrize("kind", ["pipe", "long"])
def test_a_file_that_replaces_a_photo_after_the_check_is_named(tmp_path, kind, monkeypatch):
    """A pipe would then be opened, and would wait for a writer unless told not to."""
    good = tmp_path / "good.png"
    Image.new("RGB", (6, 5)).save(good)
    path, said = bad_file(tmp_path, kind)
    look = Path.stat
    monkeypatch.setattr(Path, "stat", lambda at, **more: look(good if at == path else at, **more))
    with pytest.raises(images.BadImageError, match=f"{kind}.png.*{said}"):
        images.load_photo(path, (8, 8))


def test_a_truncated_jpeg_is_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(images.BadImageError, match=r"a\.jpg.*damaged"):
        keras.utils.load_img(tmp_path / "a.jpg")


@pytest.mark.parametrize("gray", [False, True])
def test_a_size_that_is_not_that_of_the_pixels_is_damage(monkeypatch, gray):
    """Pillow's plugin for IPTC keeps the size in the header, whatever is inside."""
    monkeypatch.setattr(files, "formats", lambda: ["IPTC"])
    inner = io.BytesIO()
    Image.new("L", (4, 4)).save(inner, "PNG")
    assert files.decode_photo(io.BytesIO(in_iptc(inner.getvalue(), (4, 4), gray))).shape[0] == 4
    with pytest.raises(images.BadImageError, match=r"damaged: its header claims 12x12 .* has 4x4"):
        files.decode_photo(io.BytesIO(in_iptc(inner.getvalue(), (12, 12), gray)))


def test_a_picture_too_large_for_memory_is_named_and_not_skipped(photos, monkeypatch):
    def decode(self):
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    with pytest.raises(MemoryError, match=r"0\.png.*not enough memory"):
        flow(photos, on_bad_image="skip")


def test_a_missing_file_and_what_is_not_a_path(tmp_path):
    (tmp_path / "link.jpg").symlink_to("gone.jpg")
    with pytest.raises(FileNotFoundError, match=r"There is no photo .*link\.jpg.*link to nothing"):
        keras.utils.load_img(tmp_path / "link.jpg")
    with pytest.raises(FileNotFoundError, match="There is no photo"):
        keras.utils.load_img("a\0b.jpg")
    with pytest.raises(IsADirectoryError, match="is a folder: a photo is expected"):
        keras.utils.load_img(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg"):
        keras.utils.load_img("nowhere.jpg")
    with pytest.raises(TypeError, match="path-like"):
        keras.utils.load_img(3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"color_mode": "hsv"}, 'color_mode to be one of "grayscale", "rgb", "rgba"'),
        ({"interpolation": "magic"}, "interpolation to be one of"),
        ({"target_size": (0, 5)}, "target_size"),
        ({"target_size": 2.5}, "target_size"),
    ],
)
def test_bad_options_of_load_img(tmp_path, arguments, sentence):
    Image.new("RGB", (4, 2)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=sentence):
        keras.utils.load_img(tmp_path / "a.png", **arguments)


# ---------------------------------------------------------------------------------------------
# Resizing as in TensorFlow
# ---------------------------------------------------------------------------------------------


def test_bilinear_by_hand():
    """At twice the width, the new centres lie at -0.25, 0.25, 0.75, 1.25 of the old pixels."""
    x = np.array([[[0.0], [8.0]]], np.float32)
    assert files.resize(x, (1, 4))[0, :, 0].tolist() == [0, 2, 6, 8]
    # At half the width, each centre lies halfway between two pixels; no more are averaged.
    x = np.arange(8, dtype=np.float32).reshape(1, 8, 1) ** 2
    assert files.resize(x, (1, 2))[0, :, 0].tolist() == [(1 + 4) / 2, (25 + 36) / 2]


def test_readings_by_hand(tmp_path):
    """Four pixels a, b, c, d become two: (3a + 3b + c) / 7 with antialiasing, (a + b) / 2 without.

    Pillow's triangle is 2 pixels wide to each side of the new pixel's centre, at 1 and at 3.
    """
    Image.fromarray(np.array([[[0] * 3, [0] * 3, [70] * 3, [140] * 3]], np.uint8)).save(
        tmp_path / "a.png"
    )
    for reading, row in {"bilinear": [0, 105], "nearest": [0, 140], "antialias": [10, 90]}.items():
        found = files.read_photo(tmp_path / "a.png", (1, 2), reading)
        assert found.dtype == np.float32
        assert found[0, :, 1].tolist() == row
    with pytest.raises(ValueError, match=r"reading.*cubic"):
        files.read_photo(tmp_path / "a.png", (1, 2), "cubic")


def test_nearest_by_hand():
    x = np.arange(5, dtype=np.float32).reshape(5, 1, 1)
    assert files.resize(x, (2, 1), "nearest")[:, 0, 0].tolist() == [1, 3]


def test_bytes_by_hand():
    """Three pixels become two, whose centres lie a quarter into the first and the last pair."""
    x = np.array([[[0], [8], [40]], [[100], [108], [140]]], np.uint8)
    np.testing.assert_array_equal(files.resize(x, (2, 2))[..., 0], [[2, 32], [102, 132]])
    np.testing.assert_array_equal(files.resize(x, (1, 2))[..., 0], [[52, 82]])


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("size", [(5, 9), (3, 20), (7, 8), (15, 4)])
def test_pixels_go_where_out_says(size, interpolation):
    """Bytes, floats and a part of an image give the same numbers, in a row of a batch, too."""
    x = np.random.default_rng(0).integers(0, 256, (9, 8, 3), np.uint8)[:7]
    expected = files.resize(x, size, interpolation)
    assert expected.dtype == np.float32
    batch = np.full((3, *size, 3), -1, np.float32)
    found = files.resize(x[:, ::-1].astype(np.float64)[:, ::-1], size, interpolation, out=batch[1])
    assert np.shares_memory(found, batch)
    np.testing.assert_array_equal(batch[1], expected)
    assert (batch[[0, 2]] == -1).all()


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=50, deadline=None)
def test_resizing_stays_between_the_extremes_and_keeps_a_uniform_colour(h, w, to_h, to_w):
    x = np.random.default_rng(h * 10 + w).random((h, w, 2)).astype(np.float32)
    y = files.resize(x, (to_h, to_w))
    assert y.shape == (to_h, to_w, 2)
    assert x.min() - 1e-6 <= y.min() <= y.max() <= x.max() + 1e-6
    np.testing.assert_array_equal(files.resize(np.full((h, w, 1), 7.0), (to_h, to_w)), 7)


def test_crop_and_pad(tmp_path):
    image = Image.new("RGB", (30, 10), RED)
    image.paste(Image.new("RGB", (10, 10), GREEN), (10, 0))
    image.save(tmp_path / "a.png")
    cropped = images.load_photo(tmp_path / "a.png", (5, 5), fit="crop")
    assert (cropped == GREEN).all()
    padded = images.load_photo(tmp_path / "a.png", (30, 30), fit="pad")
    assert (padded[:10] == 0).all()
    assert (padded[20:] == 0).all()
    assert (padded[10:20, 10:20] == GREEN).all()
