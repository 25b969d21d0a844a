"""`ImageDataGenerator.flow` and `flow_from_directory`: endless batches that `fit` reads.

An iterator is a sequence of batches, `len(it)` per epoch, and at the same time a generator:
`next(it)` continues from epoch to epoch. With a seed, order and augmentation are Keras's for that
seed: before each batch the random numbers restart from `seed + batches seen so far`, are drawn
image by image, and only then are the images decoded and transformed, several at a time.
"""

import copy
import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import config, shapes
from minicnn._support import seeding
from minicnn.images.files import (
    COLOR_MODES,
    array_to_img,
    img_to_array,
    load_img,
)
from minicnn.images.folders import (
    BESIDE,
    beside,
    check_class_count,
    check_directory,
    check_no_class_is_empty,
    class_folders,
    count_skipped,
    drop_unreadable,
    in_threads,
    instead_of_photos,
    list_images,
    say,
    say_passed_over,
)

Array = np.ndarray

SUBSETS = ("training", "validation")
CLASS_MODES = ("categorical", "binary", "sparse", "input", None)


class Iterator:
    """Base class that orders images; a subclass makes a batch from the numbers of its images.

    The arguments are the number of images `n`, `batch_size`, `shuffle` (a new order in each epoch)
    and `seed` (None: drawn from minicnn's own generator, so `set_random_seed` still makes a run
    repeatable).
    """

    white_list_formats = ("png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff")

    def __init__(self, n: int, batch_size: int, shuffle: bool, seed: int | None) -> None:
        who = type(self).__name__
        self.n = n
        self.batch_size = shapes.positive_int(batch_size, "batch_size", who)
        self.shuffle = bool(shuffle)
        self.seed = seed
        self.batch_index = 0
        self.total_batches_seen = 0
        self.index_array: Array | None = None
        self.lock = threading.Lock()
        self._random = random_state(seed)

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def __getitem__(self, idx: int) -> Any:
        if not 0 <= idx < len(self):
            raise ValueError(f"There are {len(self)} batches, numbered from 0. Received {idx}.")
        with self.lock:
            self._restart_random()
            self.total_batches_seen += 1
            if self.index_array is None:
                self._set_index_array()
            make = self._prepare(self._numbers(idx))
        return make()

    def __iter__(self) -> "Iterator":
        return self

    def __next__(self) -> Any:
        with self.lock:
            self._restart_random()
            if self.batch_index == 0:
                self._set_index_array()
            numbers = self._numbers(self.batch_index)
            self.batch_index = (self.batch_index + 1) % len(self)
            self.total_batches_seen += 1
            make = self._prepare(numbers)
        return make()

    next = __next__

    def reset(self) -> None:
        """Make `next` start a new epoch."""
        self.batch_index = 0

    def on_epoch_end(self) -> None:
        with self.lock:
            self._set_index_array()

    def _restart_random(self) -> None:
        if self.seed is not None:
            self._random.seed((self.seed + self.total_batches_seen) % 2**32)

    def _set_index_array(self) -> None:
        self.index_array = self._random.permutation(self.n) if self.shuffle else np.arange(self.n)

    def _numbers(self, batch: int) -> Array:
        assert self.index_array is not None
        return self.index_array[self.batch_size * batch : self.batch_size * (batch + 1)]

    def _prepare(self, numbers: Array) -> Callable[[], Any]:
        """Draw all random numbers for these images; return a function that makes the batch."""
        raise NotImplementedError


def random_state(seed: Any) -> np.random.RandomState:
    """Return NumPy's legacy generator, as Keras uses it, with this seed or one of minicnn's."""
    if isinstance(seed, np.random.RandomState):
        return seed
    if seed is None:
        return np.random.RandomState(int(seeding.default_generator().integers(2**32)))
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ValueError(f"A seed is an integer from 0 to 2**32 - 1, or None. Received {seed!r}.")
    return np.random.RandomState(int(seed))


class _Images(Iterator):
    """The part that all iterators share: augmenting, and saving the results on request."""

    def __init__(
        self,
        n: int,
        image_data_generator: Any,
        batch_size: int,
        shuffle: bool,
        seed: int | None,
        image_shape: tuple[int, int, int],
        dtype: Any,
        save_to_dir: Any,
        save_prefix: str,
        save_format: str,
    ) -> None:
        super().__init__(n, batch_size, shuffle, seed)
        self.image_data_generator = image_data_generator
        self.image_shape = image_shape
        self.dtype = config.floatx() if dtype is None else dtype
        self.save_to_dir = save_to_dir
        self.save_prefix, self.save_format = save_prefix, save_format
        if save_to_dir is not None and not Path(save_to_dir).is_dir():
            raise FileNotFoundError(
                f"save_to_dir: there is no folder {os.fspath(save_to_dir)!r}: make it first."
            )

    def _read(self, number: int) -> Array:
        """Return the image with this number, as an array that may be written to."""
        raise NotImplementedError

    def _with_labels(self, x: Array, numbers: Array) -> Any:
        """Return the batch `x` with its labels and weights."""
        raise NotImplementedError

    # -- for `features`: the same images in each epoch, read by number ----------------------------

    features: Array | None = None  # in batches, in place of the images

    def example_count(self) -> int | None:
        """Return how many images there are, if each looks the same every time; else None."""
        random = self.image_data_generator.is_random() or self.save_to_dir is not None
        return None if random or not self._alone() else self.n

    def read_examples(self, numbers: Array) -> Array:
        """Return the images with these numbers, as they are in batches."""
        x = np.zeros((len(numbers), *self.image_shape), self.dtype)
        for i, made in enumerate(in_threads(self._standard, list(numbers))):
            x[i] = made
        return x

    def with_features(self, features: Array) -> "_Images":
        """Return an iterator over the same batches with `features[number]` for each image."""
        twin = copy.copy(self)
        twin.features = features
        return twin

    def catch_up(self, twin: "_Images") -> None:
        """Continue where this twin has stopped."""
        self.batch_index, self.index_array = twin.batch_index, twin.index_array
        self.total_batches_seen = twin.total_batches_seen

    def _alone(self) -> bool:
        """Return whether a batch has nothing else that is computed from the images."""
        raise NotImplementedError

    def _standard(self, number: int) -> Array:
        return np.asarray(self.image_data_generator.standardize(self._read(number)))

    def _prepare(self, numbers: Array) -> Callable[[], Any]:
        generator = self.image_data_generator
        transforms = [
            generator.get_random_transform(self.image_shape, self._random) for _ in numbers
        ]
        if self.features is not None:  # after the draws, so that the order does not change
            chosen = self.features[numbers]
            return lambda: self._with_labels(chosen, numbers)
        # Drawn as Keras draws them, so that all later draws agree, too.
        tags = [self._random.randint(self._tags) for _ in numbers if self.save_to_dir]

        def augmented(job: tuple[int, dict[str, Any]]) -> Array:
            number, transform = job
            x = generator.apply_transform(self._read(number), transform)
            return np.asarray(generator.standardize(x))

        def make() -> Any:
            x = np.zeros((len(numbers), *self.image_shape), self.dtype)
            for i, made in enumerate(in_threads(augmented, list(zip(numbers, transforms)))):
                if made.shape != self.image_shape:
                    raise ValueError(
                        f"preprocessing_function must keep the shape {self.image_shape}. "
                        f"It returned {made.shape}."
                    )
                x[i] = made
            for i, tag in enumerate(tags):
                name = f"{self.save_prefix}_{numbers[i]}_{tag}.{self.save_format}"
                array_to_img(x[i]).save(Path(self.save_to_dir, name))
            return self._with_labels(x, numbers)

        return make

    _tags = 10**7


class NumpyArrayIterator(_Images):
    """Batches of the images in an array (n, height, width, channels), with labels `y`.

    `x` may be `(images, [more, arrays])`: each batch then has the further arrays, too. `subset`,
    with the generator's `validation_split`, takes the first part for "validation" and the rest for
    "training". Raises `ValueError` for arrays of different lengths, a wrong rank, or a split after
    which the two parts have different classes.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        image_data_generator: Any,
        batch_size: int = 32,
        shuffle: bool = False,
        sample_weight: Any = None,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        ignore_class_split: bool = False,
        dtype: Any = None,
    ) -> None:
        shapes.check_data_format(data_format, "flow")
        dtype = config.floatx() if dtype is None else dtype
        misc: list[Array] = []
        if isinstance(x, (tuple, list)):
            more = x[1] if isinstance(x[1], list) else [x[1]]
            misc, x = [np.asarray(part) for part in more], x[0]
        x = np.asarray(x)
        if x.ndim != 4 or x.dtype.kind not in "fiub":
            raise ValueError(
                "flow expects images as an array (n, height, width, channels) of numbers. "
                f"Received x.shape={x.shape}, dtype {x.dtype}."
            )
        x = x.astype(dtype, copy=False)
        y = None if y is None else np.asarray(y)
        weight = None if sample_weight is None else np.asarray(sample_weight)
        for argument, column in (("y", y), ("sample_weight", weight), *(("x[1]", m) for m in misc)):
            if column is not None and (column.ndim == 0 or len(column) != len(x)):
                raise ValueError(
                    f"flow expects one entry of {argument} per image. "
                    f"Received x.shape={x.shape}, {argument}.shape={column.shape}."
                )
        if subset is not None:
            split = split_of(image_data_generator, subset, len(x))
            if y is not None and not ignore_class_split:
                first = int(len(x) * image_data_generator._validation_split)
                if not np.array_equal(np.unique(y[:first]), np.unique(y[first:])):
                    raise ValueError(
                        "The training and the validation part have different classes. Are the "
                        "images sorted by class? Shuffle them first."
                    )
            x, misc = x[split], [m[split] for m in misc]
            y = None if y is None else y[split]
            weight = None if weight is None else weight[split]
        if len(x) == 0:
            raise ValueError("flow expects at least one image. Received none.")
        self.x, self.x_misc, self.y, self.sample_weight = x, misc, y, weight
        super().__init__(
            len(x),
            image_data_generator,
            batch_size,
            shuffle,
            seed,
            x.shape[1:],
            dtype,
            save_to_dir,
            save_prefix,
            save_format,
        )

    _tags = 10**4

    def _alone(self) -> bool:
        return not self.x_misc

    def _read(self, number: int) -> Array:
        return np.array(self.x[number], self.dtype)

    def _with_labels(self, x: Array, numbers: Array) -> Any:
        inputs: Any = [x, *(m[numbers] for m in self.x_misc)] if self.x_misc else x
        if self.y is None:
            return inputs
        if self.sample_weight is None:
            return inputs, self.y[numbers]
        return inputs, self.y[numbers], self.sample_weight[numbers]


class Photos(_Images):
    """Base class of the iterators that read photos: `filepaths` names them."""

    def __init__(
        self,
        paths: list[str],
        image_data_generator: Any,
        target_size: tuple[int, int],
        color_mode: str,
        interpolation: str,
        keep_aspect_ratio: bool,
        who: str,
        **options: Any,
    ) -> None:
        self._filepaths = paths
        self.target_size = shapes.pair(target_size, "target_size", who)
        self.color_mode = shapes.choice(color_mode, COLOR_MODES, "color_mode", who)
        self.interpolation, self.keep_aspect_ratio = interpolation, keep_aspect_ratio
        image_shape = (*self.target_size, COLOR_MODES[self.color_mode])
        super().__init__(len(paths), image_data_generator, image_shape=image_shape, **options)

    @property
    def filepaths(self) -> list[str]:
        """Where each photo is."""
        return self._filepaths

    def _read(self, number: int) -> Array:
        image = load_img(
            self._filepaths[number],
            self.color_mode,
            self.target_size,
            self.interpolation,
            self.keep_aspect_ratio,
        )
        return np.array(img_to_array(image, dtype=self.dtype))


class DirectoryIterator(Photos):
    """Batches of the photos in `directory`, one folder per class.

    `class_indices` maps class names to numbers, `classes` holds the class number of each photo,
    `filenames` and `filepaths` name the photos. `class_mode`: "categorical" (one-hot), "sparse" or
    "binary" (numbers), "input" (the image itself), or None (no labels). `subset`, with the
    generator's `validation_split`, takes the first part of each class for "validation".

    `on_bad_image="skip"` (not in Keras) tries every photo first and leaves out those that cannot be
    read, with a warning; `skipped` lists them. Files with other endings than Keras's (.png, .jpg,
    .jpeg, .bmp, .ppm, .tif, .tiff) are passed over, and a line for each class says how many; a
    class without any photo gets a warning. Raises `FileNotFoundError` without the folder, and
    `ValueError` for unknown modes, no photos, or fewer than two classes if there are labels.
    """

    allowed_class_modes = set(CLASS_MODES)

    def __init__(
        self,
        directory: Any,
        image_data_generator: Any,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: list[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        dtype: Any = None,
        on_bad_image: str = "error",
    ) -> None:
        who = "flow_from_directory"
        shapes.check_data_format(data_format, who)
        self.directory = check_directory(directory, who)
        if class_mode not in CLASS_MODES:
            raise ValueError(
                f"{who} expects class_mode to be one of {CLASS_MODES}. Received {class_mode!r}."
            )
        self.class_mode, self.subset = class_mode, subset
        names = list(classes) if classes else class_folders(self.directory)
        for name in names:
            check_directory(Path(self.directory, name), f"{who}, class {name!r},")
        self.num_classes = len(names)
        self.class_indices = {name: number for number, name in enumerate(names)}

        paths: list[str] = []
        numbers: list[int] = []
        passed_over: dict[str, Counter[str]] = {}
        for name, number in self.class_indices.items():
            folder = Path(self.directory, name)
            found, passed_over[name] = list_images(folder, self.white_list_formats, follow_links)
            if subset is not None:
                found = found[split_of(image_data_generator, subset, len(found))]
            paths += found
            numbers += [number] * len(found)
        if not classes:
            passed_over[BESIDE] = beside(self.directory)
        if class_mode not in (None, "input"):
            check_class_count(self.directory, names, who, class_mode == "binary")
        self.skipped = drop_unreadable(paths, on_bad_image, who)
        if self.skipped:
            bad = set(self.skipped)
            count_skipped(passed_over, paths, [names[i] for i in numbers], bad)
            numbers = [number for path, number in zip(paths, numbers) if path not in bad]
            paths = [path for path in paths if path not in bad]
        if not paths:
            raise ValueError(
                f"{who} found no photos ({', '.join(self.white_list_formats)}) in the "
                f"{len(names)} class folders of {self.directory!r}.{instead_of_photos(passed_over)}"
            )
        self.filenames = [os.path.relpath(path, self.directory) for path in paths]
        self.samples = len(paths)
        self.classes = np.array(numbers, np.int32)
        say(f"Found {self.samples} images belonging to {self.num_classes} classes.")
        counts = np.bincount(self.classes, minlength=self.num_classes).tolist()
        used = dict(zip(names, counts))
        if subset != "validation":  # the training part has already said it
            say_passed_over(used, passed_over)
        if class_mode not in (None, "input") and subset != "validation":
            check_no_class_is_empty(used, passed_over, "warn", who)
        super().__init__(
            paths,
            image_data_generator,
            target_size,
            color_mode,
            interpolation,
            keep_aspect_ratio,
            who,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            dtype=dtype,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
        )

    @property
    def labels(self) -> Array:
        return self.classes

    def _alone(self) -> bool:
        return self.class_mode != "input"

    def _with_labels(self, x: Array, numbers: Array) -> Any:
        if self.class_mode is None:
            return x
        if self.class_mode == "input":
            return x, x.copy()
        labels = self.classes[numbers]
        if self.class_mode == "categorical":
            return x, np.eye(self.num_classes, dtype=self.dtype)[labels]
        return x, labels.astype(self.dtype)


def split_of(generator: Any, subset: str, count: int) -> slice:
    """Return which of `count` images belong to the subset; validation is first, as in Keras."""
    subset = shapes.choice(subset, SUBSETS, "subset", "flow")
    share = generator._validation_split
    if not share:
        raise ValueError(
            f"subset={subset!r} needs ImageDataGenerator(validation_split=…). Received 0."
        )
    first = int(share * count)
    return slice(0, first) if subset == "validation" else slice(first, None)
