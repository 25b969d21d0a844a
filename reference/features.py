"""Computes a frozen base's features of each photo once, keeps them, and uses them in all runs.

While only the head learns, the base gives the same vector for a photo in every epoch, with every
learning rate and every seed. So one pass over the photos replaces many. The file's name has a
checksum of everything that the vectors depend on: the photos, how they are read, the base and its
weights, the precision, the device (a GPU rounds differently from a CPU), and the versions of the
libraries. If anything changes, so does the file's name.

If the last blocks of the base learn, too, the same holds for the maps before them: `first` is
the number of the first layer that learns (see `reference.tuning`), None for a frozen base.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import PIL

from minicnn._support.atomic import replacing
from minicnn._support.terminal import say
from minicnn.images import BadImageError
from reference import tuning
from reference.backend import Machine
from reference.console import progress
from reference.data import Photos, Reader, Splits, check_all, decoded
from reference.model import Base

Array = np.ndarray

BATCH = 32
_FORM = 1  # the version of the file's format, which is part of its name


@dataclass(frozen=True)
class Features:
    """One vector per photo: `x` (photos, channels) float32, `y` one-hot."""

    x: Array
    y: Array
    image_size: int
    computed: bool  # now, or read from the cache

    def __len__(self) -> int:
        return len(self.x)


def key(
    photos: Photos, reader: Reader, base: Base, machine: Machine, first: int | None = None
) -> dict[str, Any]:
    """Return everything that the vectors depend on."""
    cut = {} if first is None else {"first": first}
    smaller = {} if base.seen == (base.image_size,) else {"seen": list(base.seen)}
    return (
        cut
        | smaller
        | {
            "form": _FORM,
            "photos": photos.sha256(),
            "image_size": reader.image_size,
            "interpolation": reader.interpolation,
            "base": base.name,
            "weights": base.sha256(),
            "precision": machine.precision,
            "device": machine.device,
            "deterministic": machine.deterministic or not machine.gpus,  # a CPU always is
            "versions": [machine.version, keras.__version__, PIL.__version__],
        }
    )


def path_for(cache: str | Path, about: dict[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    size = about.get("seen", [about["image_size"]])[0]
    return Path(cache) / f"{about['base']}-{size}-{digest[:20]}.npz"


def extract(
    photos: Photos,
    reader: Reader,
    base: Base,
    machine: Machine,
    cache: str | Path | None = None,
    show: bool = True,
    batch_size: int = BATCH,
    first: int | None = None,
) -> Features:
    """Return the vectors of all photos, from the cache, or else computed and kept.

    If there are several processes, each computes its share of the photos, and all get all vectors.
    Raises a `BadImageError` that names all bad photos, and `ValueError` if photos and base differ
    in size.
    """
    if reader.image_size != base.image_size:
        raise ValueError(
            f"The base takes photos of {base.image_size} pixels a side. Received a reader for "
            f"{reader.image_size}: one run has one image size."
        )
    if len(base.sizes) > 1:  # a file for each size
        parts = [
            extract(photos, reader, alone, machine, cache, show, batch_size, first)
            for alone in (replace(base, sizes=(size,)) for size in base.sizes)
        ]
        together = np.concatenate([part.x for part in parts], axis=1)
        return replace(parts[0], x=together, computed=any(part.computed for part in parts))
    about = key(photos, reader, base, machine, first)
    path = None if cache is None else path_for(cache, about)
    x = None if path is None else _read(path, about, len(photos))
    if machine.processes is not None and not machine.processes.agree(x is not None):
        x = None  # one process lacks the vectors, and needs the others to compute them
    computed = x is None
    if x is None:
        x = _compute(photos, reader, base, machine, show, batch_size, first)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez(file, features=x, about=np.array(json.dumps(about)))
    return Features(x, photos.one_hot(), reader.image_size, computed)


def extract_both(
    splits: Splits,
    reader: Reader,
    base: Base,
    machine: Machine,
    cache: str | Path | None = None,
    show: bool = True,
    batch_size: int = BATCH,
    first: int | None = None,
) -> tuple[Features, Features]:
    """Return the vectors of training and validation photos (see `extract`).

    Raises one `BadImageError` that names the bad photos of all splits.
    """
    try:
        train, validation = (
            extract(photos, reader, base, machine, cache, show, batch_size, first)
            for photos in (splits.train, splits.validation)
        )
    except BadImageError:
        check_all(splits)
        raise
    return train, validation


def _read(path: Path, about: dict[str, Any], count: int) -> Array | None:
    """Return the vectors in a file of the cache; None (and a sentence) if it is not whole."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            x = np.asarray(file["features"])
            same = json.loads(str(file["about"])) == about
    except Exception as error:  # reading a damaged archive may raise anything
        say(f"{path} is damaged ({error}): computed anew.")
        return None
    if not same or x.ndim != 2 or len(x) != count or not np.isfinite(x).all():
        say(f"{path} is not what its name says: computed anew.")
        return None
    return x


def _compute(
    photos: Photos,
    reader: Reader,
    base: Base,
    machine: Machine,
    show: bool,
    batch_size: int,
    first: int | None,
) -> Array:
    with machine.scope():
        extractor = base.extractor() if first is None else tuning.extractor(base, first)
    extractor.compile(jit_compile=machine.jit_compile(small=False))
    group = machine.processes
    part = slice(None) if group is None else group.share(len(photos))
    # A batch that is too large for the memory in training would fail here first.
    size = min(BATCH, batch_size)
    title = f"{'Features' if first is None else 'Maps'} of {photos.name}"
    x = outputs(extractor, photos, reader, title, show, part, size)
    if not np.isfinite(x).all():
        raise ValueError(
            f"The base makes NaN or infinity of photos in {photos.name}: are its weights whole, "
            f"and is {machine.precision} enough for it?"
        )
    return x if group is None else np.asarray(group.gather(x, len(photos)))


def outputs(
    model: keras.Model,
    photos: Photos,
    reader: Reader,
    title: str,
    show: bool = True,
    part: slice = slice(None),
    batch_size: int = BATCH,
) -> Array:
    """Return the model's outputs for the photos (or a `part` of them): one float32 row each.

    Threads decode the next photos while the model computes the current ones. A batch that is not
    full is padded, so that nothing has to be compiled for another size.
    """
    count = len(range(*part.indices(len(photos))))
    rows = np.empty((count, model.output_shape[-1]), np.float32)
    done = 0
    with progress(title, count, show) as advance:
        for batch in decoded(photos, reader, batch_size, part):
            missing = np.zeros((batch_size - len(batch), *batch.shape[1:]), batch.dtype)
            y = model.predict_on_batch(np.concatenate([batch, missing]))
            rows[done : done + len(batch)] = keras.ops.convert_to_numpy(y)[: len(batch)]
            done += len(batch)
            advance(len(batch))
    return rows
