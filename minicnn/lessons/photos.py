"""Real photos in place of the drawn clothes: a copy in the size and the numbers of the lessons.

The copy has the names of the drawn images, `SPLIT/KIND/KIND-0000.jpg`, so a lesson runs with it as
it stands. The photos themselves are only read.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minicnn import images
from minicnn._support.atomic import new_folder
from minicnn._support.reading import read_regular
from minicnn._support.terminal import say
from minicnn.datasets import CLOTHING_CLASSES
from minicnn.images.folders import PHOTO_ENDINGS

# What is different with the course's photos (clothing-dataset-small), by lesson. The network of the
# lessons has seen drawn clothes alone.
CHANGES: Mapping[int, str] = {
    1: "With the course's photos the nearest image is right for 0.28 of them. Their dress fills "
    "a smaller part of the photo, so shifting it changes fewer pixels: the shifted one is "
    "nearer than any other image.",
    2: "Shapes and ranges are the same, only the pixels differ.",
    3: "The network makes many mistakes, whatever the range of the pixels: it got 42% of the "
    "course's photos right. It has never seen a photo.",
    4: "The filters are the same ones. Each of the four looks for edges that go one way, as "
    "before, but in photos such edges are at legs, borders and walls alike.",
    5: "The base has seen drawings alone. On the course's photos it still helps, but less: the "
    "new head reached 0.42, the network from scratch 0.34.",
    6: "The good rates are the same, 0.01 and 0.1, but with the course's photos they reach "
    "about 0.3, and the gap to the training accuracy is larger: the head learns its photos "
    "by heart.",
    7: "On the course's photos the best epoch reached about 0.3.",
    8: "On the course's photos all sizes reach about 0.3 again, and 1000 units learn all "
    "training photos by heart: overfitting is plainer than with drawings.",
    9: "The pixels that matter are scattered over cloth and background alike: the network has "
    "never seen a photo, and is wrong about many.",
    12: "On the course's photos overfitting is stronger: the validation loss ends near 5. With "
    "early stopping a dropout rate of 0.8 helps by more than luck: 0.08 ± 0.01 of "
    "cross-entropy.",
    13: "On the course's photos, nothing, mirroring and all three changes reach about 0.27, and "
    "any angle 0.21. Its loss is the lowest: it learns too little to be sure of its mistakes.",
    14: "All of it holds, with smaller numbers. On the course's photos: accuracy during training "
    "0.82, on the same photos in inference mode 0.72, validation 0.49; after 60 epochs at a "
    "learning rate of 0, the training photos in inference mode 0.91, validation 0.60. "
    "Here some of the gap is overfitting, too. The evening photos cost 0.57 − 0.36.",
    15: "The gradients vanish at the same rate, 0.7 for each layer. On the course's photos the "
    "four networks end at a loss of 1.43 (6 layers), 2.19 (30), 1.32 (6, shortcuts) and 0.88 "
    "(30, shortcuts).",
    16: "The shirt may be of another colour, so the four maps tell something else. On the "
    "course's photos all three small networks reach about 0.29, and do not differ by more "
    "than luck.",
    17: "All that is about one weight is the same. On the course's photos the head learns less "
    "in 140 steps: 0.20 at a rate of 0.001, 0.56 at 0.01.",
    18: "On the course's photos all sizes reach about 0.3: to a base that has seen drawings "
    "alone, photos are strange at any scale. MobileNet, trained with photos of 224×224, "
    "reaches 0.57, 0.69, 0.71, 0.73 and 0.74 at 64, 96, 128, 160 and 224 pixels, and 0.70 at "
    "288.",
    19: "Files and service work as described; of the course's photos about 0.37 are right, so "
    "most mistakes in their preparation cost less.",
    20: "The network does not take the first shirt for one (its score is −1), so its four maps "
    "show nothing to trust. Cheating works as with drawings: on the course's photos 0.90 "
    "with tags, 0.50 without, and covering the tag takes everything away. Here Grad-CAM "
    "highlights the tag.",
}

# The same with a base that has seen photos, at 150×150: MobileNet with the weights of ImageNet,
# without its last block.
WITH_BASE: Mapping[int, str] = {
    5: "With MobileNet and eight photos of each kind the new head reached 0.85 on the course's "
    "photos, the network from scratch 0.31. That is what transfer learning is worth. The "
    "head has 4,100 parameters (1024 features); exercise 1 is about the base with 64.",
    6: "With MobileNet and the course's photos 0.01 and 0.1 reach 0.78, and a rate of 1 nearly "
    "as much; 0.0001 has hardly begun after 20 epochs. The best of five starts differ by a "
    "few percent.",
    7: "With MobileNet and the course's photos the best epochs reach about 0.75.",
    8: "With MobileNet and the course's photos 0, 100 and 1000 inner units reach about 0.78; 10 "
    "are too few for 1024 features, and often get stuck.",
    12: "With MobileNet and the course's photos the head with nothing but early stopping reaches "
    "0.77, and 0.79 on the test photos. No setting is ahead of it by more than luck, except "
    "perhaps a dropout rate of 0.2 in cross-entropy. A rate of 0.8 leaves too little of 100 units "
    "here: 0.53.",
    13: "With MobileNet and the course's photos nothing, mirroring and all three changes reach "
    "0.70, 0.74 and 0.71, with losses that hardly differ (0.82, 0.82 and 0.86), and any angle "
    "0.59. The base runs for each changed photo in each epoch, so this lesson computes for some "
    "minutes.",
    19: "With MobileNet 0.78 of the course's photos are right. Pixels from 0 to 255 cost most of "
    "that (0.23), and scaled twice all of it (0.10); 0 to 1 costs nothing, columns first "
    "leaves 0.46, and a square cut or black borders 0.7.",
}

# How many images the base computes in the lessons in which that takes minutes: three networks, each
# for 120 images in 25 epochs, with each of three augmentations; and what is computed once.
COMPUTED: Mapping[int, int] = {13: 3 * 3 * 25 * 120 + 4_000}

_RECORD = "photos.json"
_LARGEST_RECORD = 2**16  # bytes


class Photos(NamedTuple):
    """What a lesson uses in place of the drawn clothes: a folder, and a base that has seen photos.

    `base` is what `minicnn transfer --base` takes, or None for the network of the lessons.
    """

    folder: Path
    base: str | None = None

    def __str__(self) -> str:
        base = "" if self.base is None else f" and the base {Path(self.base).name}"
        return f"photos from {self.folder.name}{base}"


def check_photos(data: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a folder with `train/KIND/` for each of the ten kinds.

    Raises `FileNotFoundError` if it or one of these folders does not exist.
    """
    folder = Path(os.path.realpath(data))
    missing = [kind for kind in CLOTHING_CLASSES if not (folder / "train" / kind).is_dir()]
    if missing:
        raise FileNotFoundError(
            "The lessons expect photos of ten kinds of clothing, such as train/dress/*.jpg. "
            f"{str(data)!r} has no folder train/{missing[0]}."
        )
    return folder


def what_changes(number: int, data: Path, base: str | None = None) -> str:
    """Say which photos and which base the lesson uses, and what is different with them."""
    start = f"This lesson uses photos from {str(data)!r}; its texts describe drawn clothes. "
    if base is not None:
        return (
            f"{start}Its base is {base!r}, and its images have 150×150 pixels. {WITH_BASE[number]}"
        )
    better = "For good results take a base that has seen photos, with --base."
    return f"{start}{CHANGES[number]} {better if number in WITH_BASE else ''}".rstrip()


def copy_photos(
    data: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    counts: Mapping[str, int],
    size: tuple[int, int],
) -> Path:
    """Write the first `counts` photos of each kind, resized, into `directory`, and return it.

    What a split lacks comes from the end of `train`, so that no photo is in two splits. Photos that
    cannot be read are left out, and named. A copy of the same photos is used again. Raises
    `ValueError` if there are too few photos, and `FileExistsError` for a folder that holds
    something else.
    """
    data, directory = check_photos(data), Path(directory)
    record = json.dumps({"data": str(data), "counts": dict(counts), "size": size})
    if directory.exists():
        if _recorded(directory) == record:
            return directory
        raise FileExistsError(
            f"{str(directory)!r} holds something else than a copy of {str(data)!r}: move it away."
        )
    with new_folder(directory, lambda made: _recorded(made) == record) as copy:
        for kind in CLOTHING_CLASSES:
            _copy_kind(data, copy, kind, counts, size)
        (copy / _RECORD).write_text(record, "utf-8")
    return directory


def _recorded(directory: Path) -> str:
    try:
        return read_regular(directory / _RECORD, "list", _LARGEST_RECORD).decode()
    except (OSError, ValueError):
        return ""


def _copy_kind(
    data: Path, copy: Path, kind: str, counts: Mapping[str, int], size: tuple[int, int]
) -> None:
    """Copy the photos of one kind: each split's own first, then those that `train` can spare."""
    own = {split: _photos(data / split / kind) for split in ("train", *counts)}
    spare = own["train"][counts.get("train", 0) :][::-1]
    for split, count in counts.items():
        waiting = [*own[split], *(spare if split != "train" else [])]
        folder = copy / split / kind
        folder.mkdir(parents=True)
        for number in range(count):
            if not _copy_next(waiting, folder / f"{kind}-{number:04d}.jpg", size):
                have = sum(len(paths) for paths in own.values())
                raise ValueError(
                    f"The lessons expect {sum(counts.values())} photos of each kind that can be "
                    f"read. Received {have} of {kind!r} in {str(data)!r}."
                )
        spare = [path for path in spare if path in waiting]


def _photos(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PHOTO_ENDINGS)


def _copy_next(waiting: list[Path], to: Path, size: tuple[int, int]) -> bool:
    """Take the first readable photo from the list and write it; False if there is none."""
    while waiting:
        path = waiting.pop(0)
        try:
            pixels = images.load_photo(path, size)
        except (images.BadImageError, OSError) as error:  # a folder, a link to nothing
            say(f"Left out: {error}")
            continue
        images.save_img(to, np.rint(pixels), scale=False, quality=95)
        return True
    return False
