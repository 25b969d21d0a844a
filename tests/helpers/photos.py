"""Good and bad photos, in files and folders."""

import io
import os

import numpy as np
from PIL import Image

import minicnn as keras
from minicnn import images
from minicnn.images import files


def gradient(height=6, width=8, channels=3):
    """Return an image in which no two pixels or channels have the same value."""
    count = height * width * channels
    return (
        (np.arange(count) * (255 // count or 1) % 256)
        .astype(np.uint8)
        .reshape(height, width, channels)
    )


def write_photos(folder, classes=("hat", "shirt"), each=3, size=(9, 7)):
    """Write folders of noise, each class of its own brightness; return their path."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(each):
            pixels = rng.integers(0, 100, (*size, 3)) + 100 * (number % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")
    return folder


def in_iptc(content, size, gray=False):
    """Return an IPTC file that claims a size (width, height) and has another file inside."""

    def field(number, kind, value):
        return bytes([0x1C, number, kind]) + len(value).to_bytes(2, "big") + value

    width, height = (side.to_bytes(4, "big") for side in size)
    return b"".join(
        [
            field(3, 60, b"\x01\x00" if gray else b"\x03\x01"),  # layers, and whether of colours
            field(3, 20, width), field(3, 30, height),
            field(3, 120, b"\x05"),  # "JPEG", but Pillow opens whatever follows
            field(8, 10, content), bytes(5),
        ]
    )  # fmt: skip


PROGRAM = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 5\n%%EndComments\n{} loop\n"


def bad_file(folder, kind):
    """Write a broken image of this kind; return its path and what the error says about it."""
    path = folder / f"{kind}.png"
    good = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)).save(
        good, "png"
    )
    if kind == "empty":
        path.write_bytes(b"")
        return path, "not an image"
    if kind == "text":
        path.write_text("This is not a photo.")
        return path, "not an image"
    if kind == "truncated":
        path.write_bytes(good.getvalue()[: len(good.getvalue()) // 2])
        return path, "damaged"
    if kind == "corrupt":
        data = bytearray(good.getvalue())
        data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
        path.write_bytes(data)
        return path, "damaged"
    if kind == "pipe":
        os.mkfifo(path)
        return path, "is a pipe"
    if kind == "device":
        path.symlink_to("/dev/null")  # like /dev/zero, but it ends, should it be read
        return path, "is a device"
    if kind == "long":
        path.write_bytes(good.getvalue())
        os.truncate(path, files.MAX_BYTES + 1)
        return path, "has 268,435,457 bytes, more than the 268,435,456"
    if kind == "program":
        path.write_bytes(PROGRAM)
        return path, "not an image"
    if kind == "inside":
        path.write_bytes(in_iptc(PROGRAM, (5, 5)))
        return path, "not an image"
    width = {"giant": 20_000, "colossal": 100_000}[kind]
    header = bytearray(good.getvalue())
    header[16:24] = width.to_bytes(4, "big") + (10_000).to_bytes(4, "big")
    import zlib

    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    path.write_bytes(header)
    return path, "too large"


BAD_KINDS = ("empty", "text", "truncated", "corrupt", "giant", "colossal")  # files
BAD_KINDS += ("pipe", "device", "long", "program", "inside")


def dataset(folder, **arguments):
    arguments = {"image_size": (4, 4), "verbose": False} | arguments
    return keras.utils.image_dataset_from_directory(folder, **arguments)


def labels_of(batches):
    return [int(label) for _, y in batches for label in y]


def flow(folder, **arguments):
    return images.ImageDataGenerator().flow_from_directory(folder, **arguments)
