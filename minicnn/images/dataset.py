"""`image_dataset_from_directory`: photos in class folders as batches to iterate over.

An `ImageDataset` starts anew each time it is iterated over. Threads decode the next batches while
one is used; `cache()` decodes once and keeps the pixels.
"""

import copy
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import shapes
from minicnn._support import seeding
from minicnn._support.values import result
from minicnn.compat import hints
from minicnn.functional import buffers
from minicnn.images.files import (
    COLOR_MODES,
    RESIZE_INTERPOLATIONS,
    load_photo,
)
from minicnn.images.folders import (
    BESIDE,
    ENDINGS,
    beside,
    check_class_count,
    check_directory,
    check_no_class_is_empty,
    class_folders,
    count_skipped,
    drop_unreadable,
    instead_of_photos,
    list_images,
    photo_threads,
    say,
    say_passed_over,
    shares,
)

Array = np.ndarray

LABEL_MODES = ("int", "categorical", "binary", None)
SUBSETS = ("training", "validation", "both")
_WHO = "image_dataset_from_directory"
_AHEAD = 2  # batches that are read while one is used, so that no thread waits for another's photo
_END = object()


class ImageDataset:
    """Batches to iterate over again and again, with the few methods of `tf.data` that images need.

    The arrays of a batch have TensorFlow's `numpy()`, which returns them as they are.

    `class_names` are in the order of the class numbers, `file_paths` are those of the photos,
    `len()` is the number of batches. Every method returns a new data set; this one never changes.
    """

    def __init__(
        self,
        start: Callable[[], Iterator[Any]],
        length: int,
        class_names: list[str] | None = None,
        file_paths: list[str] | None = None,
        skipped: list[str] | None = None,
    ) -> None:
        self._start, self._length = start, length
        self.class_names, self.file_paths = class_names, file_paths
        self.skipped = skipped or []

    if not TYPE_CHECKING:
        __getattr__ = hints.of_object

    def __iter__(self) -> Iterator[Any]:
        for batch in self._start():
            yield tuple(map(result, batch)) if isinstance(batch, tuple) else result(batch)

    def __len__(self) -> int:
        return self._length

    def cardinality(self) -> int:
        return self._length

    def as_numpy_iterator(self) -> Iterator[Any]:
        return self._start()

    def _like(self, start: Callable[[], Iterator[Any]], length: int) -> "ImageDataset":
        return ImageDataset(start, length, self.class_names, self.file_paths, self.skipped)

    def map(
        self, function: Callable[..., Any], num_parallel_calls: int | None = None
    ) -> "ImageDataset":
        """Replace each batch (x, y) by `function(x, y)`, or by `function(x)` without labels.

        Threads work on `num_parallel_calls` batches ahead, in unchanged order.
        """

        def call(batch: Any) -> Any:
            return function(*batch) if isinstance(batch, tuple) else function(batch)

        def start() -> Iterator[Any]:
            if num_parallel_calls is None or num_parallel_calls == 1:
                return map(call, iter(self))
            return _map_ahead(call, iter(self), num_parallel_calls)

        return self._like(start, self._length)

    def take(self, count: int) -> "ImageDataset":
        """Return the first `count` batches; -1 means all."""
        if count < 0:
            return self

        def start() -> Iterator[Any]:
            batches = iter(self)
            for _ in range(min(count, self._length)):
                yield next(batches)

        return self._like(start, min(count, self._length))

    def skip(self, count: int) -> "ImageDataset":
        """Return all but the first `count` batches."""
        if count < 0:
            raise ValueError(f"skip expects a number of batches >= 0. Received {count}.")

        def start() -> Iterator[Any]:
            for number, batch in enumerate(self):
                if number >= count:
                    yield batch

        return self._like(start, max(self._length - count, 0))

    def shuffle(
        self,
        buffer_size: int,
        seed: int | None = None,
        reshuffle_each_iteration: bool = True,
    ) -> "ImageDataset":
        """Shuffle the batches (not the images in them) through a buffer, like `tf.data`."""
        shapes.positive_int(buffer_size, "buffer_size", "shuffle")
        rng = seeding.generator(seed)
        fixed = int(rng.integers(2**32))

        def start() -> Iterator[Any]:
            random = rng if reshuffle_each_iteration else np.random.default_rng(fixed)
            buffer: list[Any] = []
            for batch in self:
                buffer.append(batch)
                if len(buffer) >= buffer_size:
                    yield buffer.pop(int(random.integers(len(buffer))))
            while buffer:
                yield buffer.pop(int(random.integers(len(buffer))))

        return self._like(start, self._length)

    def prefetch(self, buffer_size: int) -> "ImageDataset":
        """Make `buffer_size` batches (-1: two) ahead in a thread while one is used."""
        count = 2 if buffer_size < 0 else max(buffer_size, 1)
        return self._like(lambda: _map_ahead(None, iter(self), count), self._length)

    def cache(self) -> "ImageDataset":
        """Keep the batches of the first complete pass in memory; later passes return them."""
        kept: list[Any] = []

        def start() -> Iterator[Any]:
            if kept:
                yield from kept
                return
            batches = []
            for batch in self:
                batches.append(batch)
                yield batch
            kept[:] = batches

        return self._like(start, self._length)


def _map_ahead(
    function: Callable[[Any], Any] | None, items: Iterator[Any], count: int
) -> Iterator[Any]:
    """Yield `map(function, items)` in order, with `count` results made ahead.

    Without a function, one thread makes the items themselves ahead. The threads end with the
    iteration, even if it is left early.
    """
    workers = 1 if function is None else count
    with ThreadPoolExecutor(workers, thread_name_prefix="minicnn-ahead") as threads:
        waiting: deque[Any] = deque()

        def add() -> None:
            if function is None:
                waiting.append(threads.submit(next, items, _END))
            else:
                item = next(items, _END)
                waiting.append(threads.submit(lambda: item if item is _END else function(item)))

        try:
            for _ in range(count):
                add()
            while (result := waiting.popleft().result()) is not _END:
                add()
                yield result
        finally:
            for future in waiting:
                future.cancel()


class _Photos(ImageDataset):
    """The photos of a folder in batches: the source on which the methods above build."""

    def __init__(
        self,
        paths: list[str],
        labels: Array | None,
        class_names: list[str] | None,
        read: Callable[[str, Array], Any],
        shape: tuple[int, ...],
        batch_size: int | None,
        shuffle: bool,
        seed: int,
        skipped: list[str],
    ) -> None:
        self._features: Array | None = None
        self._paths, self._labels = paths, labels
        self._read, self._shape = read, shape  # of a photo's pixels, which `read` writes
        self._batch_size, self._shuffle, self._seed = batch_size, shuffle, seed
        self._epoch = 0
        self._pixels: dict[int, Array] | None = None
        length = len(paths) if batch_size is None else -(-len(paths) // batch_size)
        super().__init__(self._batches, length, class_names, paths, skipped)

    def cache(self) -> ImageDataset:
        """Decode each photo once, on first use, and keep its pixels; the order still changes.

        In float32 an RGB pixel takes 12 bytes, an image of 64x64 pixels 49 kB.
        """
        return self._again(keep=True)

    def _again(self, keep: bool = False, features: Array | None = None) -> "_Photos":
        """Return a data set of the same photos that begins anew."""
        twin = copy.copy(self)
        twin._start, twin._epoch = twin._batches, 0
        twin._pixels, twin._features = {} if keep else None, features
        return twin

    # -- for `features`: the same photos in each epoch, read by number ----------------------------

    def example_count(self) -> int | None:
        """Return how many photos there are; None without labels or batches: nothing trains."""
        return None if self._labels is None or self._batch_size is None else len(self._paths)

    def read_examples(self, numbers: Array) -> Array:
        """Return the photos with these numbers."""
        with photo_threads() as threads:
            return self._begun(numbers, threads)()

    def _begun(self, numbers: Array, threads: Executor) -> Callable[[], Array]:
        """Let threads read the photos with these numbers; return a function that waits for them."""
        kept = self._pixels
        missing = numbers if kept is None else [int(i) for i in numbers if int(i) not in kept]
        # The memory of an earlier batch is reused: fresh memory costs as much as decoding.
        x = buffers.empty((len(missing), *self._shape), np.float32)

        def read(part: slice) -> None:
            for i, pixels in zip(missing[part], x[part]):
                self._read(self._paths[i], pixels)

        futures = [threads.submit(read, part) for part in shares(len(missing))]

        def finished() -> Array:
            for future in futures:
                future.result()
            if kept is None:
                return x
            for i, pixels in zip(missing, x):
                kept[i] = pixels.copy()  # alone: a view would keep its whole batch
            return np.stack([kept[int(i)] for i in numbers])

        return finished

    def with_features(self, features: Array) -> "_Photos":
        """Return a data set of the same batches with `features[number]` in place of each photo."""
        twin = self._again(features=features)
        twin._epoch = self._epoch
        return twin

    def catch_up(self, twin: "_Photos") -> None:
        """Continue where this twin has stopped."""
        self._epoch = twin._epoch

    def _batches(self) -> Iterator[Any]:
        order = np.arange(len(self._paths))
        if self._shuffle:  # a new order in each epoch, the same for the same seed
            order = np.random.default_rng([self._seed, self._epoch]).permutation(len(order))
        self._epoch += 1
        step = self._batch_size or 1
        with photo_threads() as threads:
            begun: deque[tuple[Array, Callable[[], Array]]] = deque()
            try:
                for first in range(0, len(order), step):
                    numbers = order[first : first + step]
                    begun.append((numbers, self._begun_batch(numbers, threads)))
                    if len(begun) > _AHEAD:
                        yield self._batch(*begun.popleft())
                while begun:
                    yield self._batch(*begun.popleft())
            finally:
                threads.shutdown(cancel_futures=True)

    def _begun_batch(self, numbers: Array, threads: Executor) -> Callable[[], Array]:
        features = self._features
        return self._begun(numbers, threads) if features is None else lambda: features[numbers]

    def _batch(self, numbers: Array, finished: Callable[[], Array]) -> Any:
        x, y = finished(), None if self._labels is None else self._labels[numbers]
        if self._batch_size is None:
            x, y = x[0], None if y is None else y[0]
        return x if y is None else (x, y)


def image_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: tuple[int, int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    verbose: bool = True,
    on_bad_image: str = "error",
    on_empty_class: str = "warn",
    formats: Sequence[str] = ENDINGS,
) -> Any:
    """Return the photos below `directory` as an `ImageDataset` of batches `(x, y)`, as Keras does.

    `x` is float32 (batch, height, width, channels) with values 0 … 255, resized as TensorFlow does.
    `label_mode`: "int" (int32 numbers of the class folders in alphabetical order), "categorical"
    (one-hot float32), "binary" (float32 (batch, 1)), None (no labels: batches are `x` alone).
    `labels` may be a list, one per file in the order of the paths, or None. `subset` is "training",
    "validation" or "both", with `validation_split`; a seed selects the same photos as in Keras. A
    shuffled data set has a new order in each epoch.

    `on_bad_image="skip"` (not in Keras) tries every photo first and leaves out those that cannot be
    read, with a warning; `.skipped` lists them. `on_empty_class` (not in Keras) is "warn" or
    "error", for a class without a usable photo. `formats` (not in Keras) are the endings of the
    files to read, in lower case; by default Keras's, so that the same photos come in the same
    order. Other kinds of files, such as .webp, .jfif and .tif, are passed over, even if they can be
    read. With `verbose`, a line for each class says what was passed over in its folder.

    Raises `FileNotFoundError` without the folder, and `ValueError` for unknown modes, no photos,
    fewer than two classes, or labels that do not fit. A damaged photo raises an error that names
    it when its batch is read.
    """
    directory = check_directory(directory, _WHO)
    if label_mode not in LABEL_MODES:
        raise ValueError(
            f"{_WHO} expects label_mode to be one of {LABEL_MODES}. Received {label_mode!r}."
        )
    if labels is None or label_mode is None:  # each of them means: no labels
        labels = label_mode = None
    color_mode = shapes.choice(color_mode, COLOR_MODES, "color_mode", _WHO)
    interpolation = shapes.choice(interpolation, RESIZE_INTERPOLATIONS, "interpolation", _WHO)
    image_size = shapes.pair(image_size, "image_size", _WHO)
    if batch_size is not None:
        batch_size = shapes.positive_int(batch_size, "batch_size", _WHO)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(f"{_WHO}: only one of crop_to_… and pad_to_aspect_ratio can be True.")
    shapes.check_data_format(data_format, _WHO)
    _check_split(validation_split, subset, shuffle, seed)
    if seed is None:
        seed = int(seeding.default_generator().integers(10**6))

    on_empty_class = shapes.choice(on_empty_class, ("warn", "error"), "on_empty_class", _WHO)
    formats = _endings(formats)
    found = _find(directory, labels, class_names, follow_links, formats)
    if found.names is not None:
        check_class_count(directory, found.names, _WHO, label_mode == "binary")
    skipped = drop_unreadable(found.paths, on_bad_image, _WHO)
    found.leave_out(skipped)
    if not found.paths:
        instead = instead_of_photos(found.passed_over)
        raise ValueError(
            f"{_WHO} found no photos ({', '.join(formats)}) in {directory!r}.{instead}"
        )
    if verbose:
        classes = "" if found.names is None else f" belonging to {len(found.names)} classes"
        say(f"Found {len(found.paths)} files{classes}.")
        if subset != "validation":  # the training part has already said it
            say_passed_over(found.used(), found.passed_over)
    found.check_classes(found.passed_over, on_empty_class)
    if shuffle:
        found.shuffle(seed)

    shape = (*image_size, COLOR_MODES[color_mode])
    fit = "crop" if crop_to_aspect_ratio else "pad" if pad_to_aspect_ratio else "stretch"

    def read(path: str, x: Array) -> None:
        load_photo(path, image_size, interpolation, color_mode, fit, out=x)

    def dataset(part: _Found, shuffled: bool) -> ImageDataset:
        if not part.paths:
            raise ValueError(
                f"validation_split={validation_split} leaves no photos for one part of "
                f"{len(found.paths)} in {directory!r}."
            )
        y = None if label_mode is None else part.labels(label_mode)
        return _Photos(part.paths, y, part.names, read, shape, batch_size, shuffled, seed, skipped)

    if not validation_split:
        return dataset(found, shuffle)
    held_out = int(validation_split * len(found.paths))
    training, validation = found.split(held_out)
    if verbose and subset in ("training", "both"):
        say(f"Using {len(training.paths)} files for training.")
    if verbose and subset in ("validation", "both"):
        say(f"Using {held_out} files for validation.")
    if subset == "validation":
        return dataset(validation, shuffle)
    if training.paths:
        used = found.used()
        gone = {name: Counter({"photo held out": count}) for name, count in used.items()}
        training.check_classes(gone, on_empty_class, [name for name, n in used.items() if n])
    if subset == "training":
        return dataset(training, shuffle)
    return dataset(training, shuffle), dataset(validation, False)


@dataclass
class _Found:
    """The photos below a folder: their paths, the number of each one's class, the classes' names.

    `names` is None if there are no labels. `passed_over` counts what else is in each folder. The
    classes are folders if they are `inferred`.
    """

    directory: str
    paths: list[str]
    numbers: Array
    names: list[str] | None
    passed_over: dict[str, Counter[str]]
    inferred: bool = False

    def leave_out(self, skipped: Sequence[str]) -> None:
        """Take these photos away; count them as passed over in their folders."""
        bad = set(skipped)
        if self.inferred and self.names is not None:
            class_of = [self.names[i] for i in self.numbers]
            count_skipped(self.passed_over, self.paths, class_of, bad)
        good = [i for i, path in enumerate(self.paths) if path not in bad]
        self.paths, self.numbers = [self.paths[i] for i in good], self.numbers[good]

    def shuffle(self, seed: int) -> None:
        """Shuffle as Keras does, because this decides which photos a split takes."""
        np.random.RandomState(seed).shuffle(self.paths)
        np.random.RandomState(seed).shuffle(self.numbers)

    def split(self, held_out: int) -> "tuple[_Found, _Found]":
        """Return the part for training and the last `held_out` photos, for validation."""
        count = len(self.paths) - held_out
        return (
            replace(self, paths=self.paths[:count], numbers=self.numbers[:count]),
            replace(self, paths=self.paths[count:], numbers=self.numbers[count:]),
        )

    def used(self) -> dict[str, int]:
        """Return how many photos each folder has."""
        if not self.inferred or self.names is None:
            return {self.directory: len(self.paths)}
        counts = np.bincount(self.numbers, minlength=len(self.names)).tolist()
        return dict(zip(self.names, counts))

    def check_classes(
        self,
        instead: dict[str, Counter[str]],
        on_empty_class: str,
        expected: Sequence[str] | None = None,
    ) -> None:
        """Warn about folders without photos, or raise an error; say what is there `instead`."""
        if self.inferred:
            used = self.used()
            expected = list(used) if expected is None else expected
            counts = {name: used[name] for name in expected}
            check_no_class_is_empty(counts, instead, on_empty_class, _WHO)

    def labels(self, label_mode: str) -> Array:
        """Return the labels of all photos, as `label_mode` says."""
        numbers, count = self.numbers, len(self.names or [])
        if label_mode == "int":
            return numbers
        if label_mode == "binary":
            return numbers.astype(np.float32)[:, None]
        if len(numbers) and numbers.max() >= count:
            raise ValueError(
                f"{_WHO} expects labels from 0 to {count - 1} for {count} classes. "
                f"Received {int(numbers.max())}."
            )
        return np.eye(count, dtype=np.float32)[numbers]


def _check_split(
    validation_split: float | None, subset: str | None, shuffle: bool, seed: int | None
) -> None:
    if validation_split and not 0 < validation_split < 1:
        raise ValueError(
            f"{_WHO} expects validation_split to be between 0 and 1. Received {validation_split!r}."
        )
    if bool(validation_split) != (subset is not None):
        raise ValueError(
            f"{_WHO}: validation_split and subset go together. Received "
            f"validation_split={validation_split!r}, subset={subset!r}."
        )
    if subset is not None:
        shapes.choice(subset, SUBSETS, "subset", _WHO)
    if validation_split and shuffle and seed is None:
        raise ValueError(
            f"{_WHO}: a shuffled validation_split needs a seed, so that the training and the "
            "validation part do not overlap."
        )
    if seed is not None and (not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32):
        raise ValueError(f"{_WHO} expects a seed from 0 to 2**32 - 1. Received {seed!r}.")


def _endings(formats: Any) -> tuple[str, ...]:
    found = () if isinstance(formats, str) else tuple(formats)
    if not found or not all(isinstance(e, str) and e[:1] == "." and e == e.lower() for e in found):
        raise ValueError(
            f'{_WHO} expects formats to be endings in lower case, such as (".jpg", ".webp"). '
            f"Received {formats!r}."
        )
    return found


def _find(
    directory: str,
    labels: Any,
    class_names: Sequence[str] | None,
    follow_links: bool,
    formats: Sequence[str],
) -> _Found:
    """List the photos below `directory`, with their classes."""
    if isinstance(labels, str) and labels == "inferred":
        folders = class_folders(directory, hidden=False)
        if class_names is not None:
            if not set(class_names) <= set(folders):
                raise ValueError(
                    f"{_WHO} expects class_names to be among the class folders {folders}. "
                    f"Received {list(class_names)}."
                )
            folders = list(class_names)
        found = [list_images(f"{directory}/{name}", formats, follow_links) for name in folders]
        counts = [len(listing.paths) for listing in found]
        numbers = np.repeat(np.arange(len(folders), dtype=np.int32), counts)
        paths = [path for listing in found for path in listing.paths]
        passed_over = {name: listing.passed_over for name, listing in zip(folders, found)}
        passed_over[BESIDE] = beside(directory)
        return _Found(directory, paths, numbers, folders, passed_over, inferred=True)
    if class_names is not None:
        raise ValueError(f'{_WHO}: class_names go with labels="inferred" only.')
    paths, others = list_images(directory, formats, follow_links)
    if labels is None:
        return _Found(directory, paths, np.zeros(len(paths), np.int32), None, {directory: others})
    if not isinstance(labels, (list, tuple, np.ndarray)):
        raise ValueError(
            f'{_WHO} expects labels to be "inferred", None, or a list with a whole number for each '
            f"file. Received {labels!r}."
        )
    if len(labels) != len(paths):
        raise ValueError(
            f"{_WHO} expects one label for each of the {len(paths)} files in {directory!r}. "
            f"Received {len(labels)}."
        )
    array = np.asarray(labels)
    if array.dtype.kind not in "iu" or array.ndim != 1 or (len(array) and array.min() < 0):
        raise ValueError(f"{_WHO} expects labels to be whole numbers >= 0. Received {labels!r}.")
    names = [str(label) for label in sorted(set(array.tolist()))]
    return _Found(directory, paths, array.astype(np.int32), names, {directory: others})
