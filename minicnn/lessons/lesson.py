"""What a lesson works with: images, a place for figures, checks and solutions."""

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import datasets, images, plots
from minicnn._support.atomic import make_folder
from minicnn._support.terminal import install_extra, prepare_output
from minicnn.applications import transfer
from minicnn.lessons import (  # noqa: F401 - they fill EXERCISES
    block_exercises,
    engine_exercises,
    exercises,
    homework_exercises,
    looking_exercises,
    training_exercises,
)
from minicnn.lessons.bases import PHOTO_SIZE, drawn_network, milliseconds, photo_network
from minicnn.lessons.checking import EXERCISES, verdict
from minicnn.lessons.photos import COMPUTED, WITH_BASE, check_photos, copy_photos, what_changes
from minicnn.shapes import positive_int

COUNTS = {"train": 40, "validation": 20, "test": 20}  # of each kind
SIZE = 64


class Lesson:
    """The lesson with this number, while somebody works on it.

    `data` is a folder of photos, `train/KIND/*.jpg` and so on, to use in place of the drawn
    clothes. With photos, `base` may be a network that has seen photos: one that `minicnn transfer
    --base` takes, by its name or as a file. Images have `size` pixels a side.

    Raises `ValueError` if there is no such lesson, or if it uses no base; `FileNotFoundError` if
    the folder does not have the ten kinds; and `ImportError` without matplotlib.
    """

    def __init__(
        self,
        number: int,
        data: str | os.PathLike[str] | None = None,
        base: str | os.PathLike[str] | None = None,
    ) -> None:
        if not any(lesson == number for lesson, _ in EXERCISES):
            raise ValueError(
                f"There are lessons 1 to {max(EXERCISES)[0]}. Received number={number!r}."
            )
        if importlib.util.find_spec("matplotlib") is None:
            raise ImportError(f"The lessons draw figures with matplotlib: {install_extra('plot')}")
        prepare_output()  # lessons print Σ and √, which not every file and terminal can hold
        self.number = number
        self.solved: dict[int, bool] = {}
        self.data = None if data is None else check_photos(data)
        if base is not None and (data is None or number not in WITH_BASE):
            raise ValueError(
                "A base that has seen photos goes with photos, in lessons "
                f"{', '.join(map(str, WITH_BASE))}. Received lesson {number}, data={data!r}."
            )
        self.base = None if base is None else transfer.check_base(base)
        self.size = SIZE if base is None else PHOTO_SIZE
        self._figures = 0
        if self.data is not None:
            print(what_changes(number, self.data, self.base))

    def network(self) -> Any:
        """The network of lesson 3, or one with the base that the lesson was given.

        In both, `block4_pool` is the last maps, and `average` their means: the features.
        """
        if self.base is None:
            return drawn_network()
        network = photo_network(self.base)
        if self.number in COMPUTED:
            count = COMPUTED[self.number]
            minutes = count * milliseconds(network) / 60_000
            print(f"The base computes {count:,} images here: about {minutes:.0f} minutes.")
        return network

    def clothes(
        self,
        directory: str = "clothes",
        size: int | tuple[int, int] | None = None,
        counts: Mapping[str, int] = COUNTS,
    ) -> Path:
        """The images in folders, `clothes/train/dress/*.jpg`, …; the first call makes them.

        They are drawn, or copied from the photos of `data`. `size` is the side in pixels, or
        (height, width), by default the lesson's; `counts` says how many there are of each kind.
        """
        size = self.size if size is None else size
        if self.data is None:
            return datasets.write_clothing_sample(directory, counts, size=size)
        height, width = (size, size) if isinstance(size, int) else size
        name = f"{directory}-{self.data.name}" + (f"-{size}" if size == PHOTO_SIZE else "")
        return copy_photos(self.data, name, counts, (height, width))

    def photos(
        self,
        split: str,
        kinds: Sequence[str] = datasets.CLOTHING_CLASSES,
        count: int | None = None,
        size: int | None = None,
        folder: str | os.PathLike[str] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The first `count` images of each kind: pixels (n, size, size, 3), one-hot labels.

        They are those of `clothes()`, or of another `folder` that it made. `size` is by default
        the lesson's. Raises `ValueError` for a split or kind that is not there, and if there are
        fewer than `count` images of a kind.
        """
        kinds = [kinds] if isinstance(kinds, str) else list(kinds)
        for what, given, known in (
            ("a split", [split], COUNTS),
            ("kinds", kinds, datasets.CLOTHING_CLASSES),
        ):
            if not given or not set(given) <= set(known):
                raise ValueError(
                    f"lesson.photos expects {what} among {', '.join(known)}. Received {given!r}."
                )
        size = self.size if size is None else size
        place = (self.clothes() if folder is None else Path(folder)) / split
        count = COUNTS[split] if count is None else positive_int(count, "count", "lesson.photos")
        paths = []
        for kind in kinds:
            there = sorted((place / kind).iterdir())
            if len(there) < count:
                raise ValueError(
                    f"lesson.photos expects a count up to {len(there)}: there are no more images "
                    f"in {str(place / kind)!r}. Received count={count}."
                )
            paths += there[:count]
        x = np.stack([images.load_photo(path, (size, size)) for path in paths])
        y = np.repeat(np.eye(len(kinds), dtype=np.float32), count, axis=0)
        return x, y

    def show(self, figure: Any) -> None:
        """Show a figure or an explanation: in the notebook, otherwise as a file or as text."""
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        if hasattr(shell, "kernel"):  # of a notebook or an editor's interactive window
            from IPython.display import display

            display(figure)
            return
        if not hasattr(figure, "savefig"):
            print(figure)
            return
        self._figures += 1
        folder = Path("figures")
        make_folder(folder)
        title = figure.get_suptitle() or next(axes.get_title() for axes in figure.axes)
        path = plots.save(figure, folder / f"lesson-{self.number:02d}-{self._figures}.png")
        print(f"Figure: {' '.join(title.split())} ({path.as_posix()})")

    def check(self, number: int, answer: Any) -> None:
        """Say whether the answer to an exercise is right, and if not, what to think about."""
        hint = verdict(self._exercise(number).check, answer)
        self.solved[number] = not hint
        if hint:
            print(f"Exercise {number}: {hint} (lesson.solution({number}) shows a solution.)")
        else:
            print(f"Exercise {number}: right!")

    def solution(self, number: int) -> None:
        """Print a solution of an exercise."""
        print(self._exercise(number).solution)

    def _exercise(self, number: int) -> Any:
        if (self.number, number) not in EXERCISES:
            count = sum(lesson == self.number for lesson, _ in EXERCISES)
            raise ValueError(
                f"Lesson {self.number} has exercises 1 to {count}. Received number={number!r}."
            )
        return EXERCISES[self.number, number]
