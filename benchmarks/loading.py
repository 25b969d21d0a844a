"""Measures reading photos that need not fit into memory: time and peak memory of an epoch.

`image_dataset_from_directory` reads a folder of drawn JPEG photos, shuffled, in batches of 32, with
all threads, and nothing is done with the batches. Each round is a fresh process for each side, in
the opposite order every other round; it reads two batches before the epoch that counts. The photos
are links to a few files, so they come from the system's memory, not from the disk. Two sizes of
folder show that memory does not grow with it. The mean over some pixels of every photo is
compared: decoders differ by a few of 255 levels.
"""

import itertools
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import processes
from benchmarks.harness import OURS, Job, Row, Session, Times, difference
from benchmarks.networks import sides_with_library
from minicnn.datasets import CLOTHING_CLASSES, draw_clothing

SUBJECT = "loading"
_BATCH = 32
_SIDE = 224  # pixels of a photo
_DRAWN = 20  # photos that differ

_CODE = """
import json, time
import {library} as library
import numpy as np
if "{library}" == "keras":
    import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads({threads})
    tf.config.threading.set_inter_op_parallelism_threads({threads})
photos = library.utils.image_dataset_from_directory(
    {folder!r}, image_size=({side}, {side}), batch_size={batch}, shuffle=True, seed=1, verbose=False
)
for x, y in photos.take(2):
    pass
sums, count = 0.0, 0
start = time.perf_counter()
for x, y in photos:
    seen = np.asarray(x)[:, ::8, ::8]  # the same pixels of each photo, whatever the order
    sums, count = sums + float(seen.mean(axis=(1, 2, 3), dtype=float).sum()), count + len(x)
took = time.perf_counter() - start
{memory}
told = {{"time": took, "count": count, "y": sums / count, "memory": peak_memory()}}
print(json.dumps(told))
"""


def jobs(session: Session) -> list[Job]:
    """Return jobs for small and large folders, of photos that keep their size or do not."""
    counts = (96,) if session.quick else (500, 2000)
    return [
        Job(f"{count} photos {_SIDE}×{_SIDE}, {_work(side)}", partial(rows, session, count, side))
        for count, side in itertools.product(counts, (_SIDE, 150))
    ]


def _work(side: int, drawn: int = _SIDE) -> str:
    return "as they are" if side == drawn else f"to {side}×{side}"


def rows(session: Session, count: int, side: int, drawn: int = _SIDE) -> list[Row]:
    """Return the time and the memory that it takes to read `count` photos, drawn in one size."""
    name, work = f"{count} photos {drawn}×{drawn}", _work(side, drawn)
    by_key = {
        "time": Row(SUBJECT, "read photos", name, work, _BATCH, photos=count),
        "memory": Row(
            SUBJECT, "peak memory of reading photos", name, f"{work}, memory", _BATCH, unit="bytes"
        ),
    }
    sides = sides_with_library(session)
    found: dict[str, list[dict[str, Any]]] = {side_name: [] for side_name, _ in sides}
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), count, drawn)
        for number in range(1 if session.quick else 5):
            for side_name, library in reversed(sides) if number % 2 else sides:
                code = _CODE.format(
                    library=library, folder=folder, side=side, batch=_BATCH,
                    threads=session.threads, memory=processes.PEAK_MEMORY,
                )  # fmt: skip
                found[side_name].append(processes.fresh(code, {}))
    if len(sides) > 1:
        ours, theirs = ([np.array([found[name][0]["y"]])] for name, _ in sides)
        for row in by_key.values():
            row.tolerance, row.judge = 1e-2, sides[-1][0]
            row.differences = {OURS: difference(ours, theirs), row.judge: 0.0}
            if row.disagreeing:
                return list(by_key.values())
    for key, row in by_key.items():
        for name, told in found.items():
            row.times[name] = Times([[float(each[key])] for each in told], "fresh process")
    return list(by_key.values())


def write(folder: Path, count: int, side: int = _SIDE) -> None:
    """Draw a few photos, and link them `count` times in all, in a folder for each class."""
    rng = np.random.default_rng(0)
    paths: list[Path] = []
    for number in range(count):
        kind = CLOTHING_CLASSES[number % len(CLOTHING_CLASSES)]
        path = folder / kind / f"{number:05d}.jpg"
        path.parent.mkdir(exist_ok=True)
        if number < _DRAWN:
            draw_clothing(kind, rng, side).save(path, quality=90)
            paths.append(path)
        else:
            os.link(paths[number % _DRAWN], path)
