"""Makes batches `(x, y, sample_weight)` from the arguments of `fit`, `evaluate` or `predict`.

There are four kinds of data: arrays, which are cut into batches; a sequence (`__len__` and
`__getitem__`, such as a directory iterator or a `keras.utils.PyDataset`), read by index; an
iterable that can be read again and again (such as an `ImageDataset`); and a generator, which
continues from epoch to epoch.
"""

import math
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from itertools import count, islice
from typing import Any, NamedTuple

import numpy as np

from minicnn._support import seeding

Array = np.ndarray


class Batch(NamedTuple):
    """The data of one step: inputs, targets, and a weight for each example (or None)."""

    x: Any
    y: Any = None
    sample_weight: Any = None


class Columns(list[Any]):
    """Targets, or weights of examples: for each output of a model an array, or None."""


def _may_be_column(value: Any) -> bool:
    """Return whether this may hold targets or weights of one output."""
    if hasattr(value, "__array__"):
        return np.ndim(value) > 0
    return value is None or isinstance(value, (list, tuple))


def columns_of(
    column: Any, names: list[str], with_loss: list[bool], what: str, who: str
) -> Columns | None:
    """Return targets or weights of examples for several outputs.

    They are given in a list in the outputs' order, or in a dict under their `names`. Targets may
    leave out outputs without a loss. A single array of weights applies to all outputs. Raises
    `ValueError` for anything else.
    """
    if column is None or isinstance(column, Columns):
        return column
    needed = [name for name, needs in zip(names, with_loss, strict=True) if needs]
    if isinstance(column, Mapping):
        missing = set(needed) - set(column) if what == "y" else set()
        if not missing and set(column) <= set(names):
            return Columns(column.get(name) for name in names)
    elif isinstance(column, (list, tuple)) and all(map(_may_be_column, column)):
        if len(column) == len(names):
            return Columns(column)
        if len(column) == len(needed):
            return columns_of(dict(zip(needed, column)), names, with_loss, what, who)
    elif what != "y":
        return Columns([column] * len(names))
    received = list(column) if isinstance(column, Mapping) else type(column).__name__
    if isinstance(column, (list, tuple)):
        received = f"{received} of {len(column)}"
    raise ValueError(
        f"{who} expects {what} to be a list of arrays, or a dict, for the outputs {names}. "
        f"Received {received}."
    )


class Batches:
    """Base class: `epoch()` yields the `steps` batches of an epoch (None: not known yet)."""

    steps: int | None = None

    def epoch(self) -> Iterator[Batch]:
        raise NotImplementedError

    def on_epoch_begin(self) -> None:
        """Prepare; called before each epoch's first batch, also in `evaluate` and `predict`."""

    def on_epoch_end(self) -> None:
        """Clean up; called after each epoch's last batch."""

    def restart(self) -> None:
        """Start again; called after each validation, so that the next one sees the same batches."""

    def close(self) -> None:
        """Release threads; called at the end."""

    def unlimited(self) -> "Batches":
        """Return the batches without a limit of steps per epoch."""
        return self

    # For `minicnn.training.features`. Data that cannot be read by number inherit these.

    def example_count(self) -> int | None:
        """Return how many examples there are, if they are the same in each epoch; else None."""
        return None

    def read(self, numbers: Array) -> Any:
        """Return the inputs x of the examples with these numbers."""
        raise NotImplementedError

    def with_features(self, features: Array) -> "Batches":
        """Return the same batches in the same order, with `features[number]` in place of x."""
        raise NotImplementedError

    def catch_up(self, twin: "Batches") -> None:
        """Continue where the twin that `with_features` made has stopped."""


class ArrayBatches(Batches):
    """Arrays in memory, shuffled for each epoch on request. The last batch may be smaller."""

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        batch_size: int = 32,
        shuffle: bool = False,
    ) -> None:
        self.columns = [x, y, sample_weight]
        lengths = {len(a) for column in self.columns for a in flat(column)}
        if len(lengths) != 1:
            raise ValueError(
                "x, y and sample_weight must have one entry per example. "
                f"Received lengths {sorted(lengths)}."
            )
        self.examples = lengths.pop()
        if self.examples == 0:
            raise ValueError("There are no examples: x is empty.")
        self.batch_size, self.shuffle = batch_size, shuffle
        self.steps = math.ceil(self.examples / batch_size)

    def epoch(self) -> Iterator[Batch]:
        order = None
        if self.shuffle:
            order = seeding.default_generator().permutation(self.examples)
        for first in range(0, self.examples, self.batch_size):
            part = slice(first, min(first + self.batch_size, self.examples))
            chosen: Any = part if order is None else order[part]
            yield Batch(*(take(column, chosen) for column in self.columns))

    def example_count(self) -> int | None:
        return self.examples if isinstance(self.columns[0], np.ndarray) else None

    def read(self, numbers: Array) -> Any:
        return self.columns[0][numbers]

    def with_features(self, features: Array) -> "ArrayBatches":
        _, y, sample_weight = self.columns
        return ArrayBatches(features, y, sample_weight, self.batch_size, self.shuffle)


def flat(column: Any) -> list[Array]:
    """Return the arrays of an array, or of a list or dict of them; none for None."""
    if column is None:
        return []
    if isinstance(column, Mapping):
        return list(column.values())
    if isinstance(column, Columns):
        return [array for array in column if array is not None]
    return list(column) if isinstance(column, (list, tuple)) else [column]


def count_of(x: Any) -> int:
    """Return how many examples a batch's inputs have; 1 if the first is a single number."""
    first = next(iter(flat(x)), ())
    return len(first) if hasattr(first, "__len__") and getattr(first, "ndim", 1) > 0 else 1


def take(column: Any, chosen: Any) -> Any:
    """Return `array[chosen]` of an array, or of each array in a list or dict; None for None."""
    if column is None:
        return None
    if isinstance(column, Mapping):
        return {key: value[chosen] for key, value in column.items()}
    if isinstance(column, Columns):
        return Columns(take(value, chosen) for value in column)
    if isinstance(column, (list, tuple)):
        return [value[chosen] for value in column]
    return column[chosen]


class _DataBatches(Batches):
    """Another object's batches; minicnn's own data sets can read single examples, too."""

    data: Any

    def example_count(self) -> int | None:
        count: int | None = getattr(self.data, "example_count", lambda: None)()
        return count

    def read(self, numbers: Array) -> Any:
        return self.data.read_examples(numbers)

    def catch_up(self, twin: Batches) -> None:
        assert isinstance(twin, _DataBatches)
        self.data.catch_up(twin.data)


class SequenceBatches(_DataBatches):
    """The batches `data[i]` for i in range(len(data)), in shuffled order on request.

    A thread fetches the next batch while the current one is used: decoding overlaps training. A
    `PyDataset` may ask for more threads, and batches that never end.
    """

    def __init__(self, data: Any, shuffle: bool = False) -> None:
        self.data, self.shuffle = data, shuffle
        self.steps = data.num_batches if hasattr(data, "num_batches") else len(data)
        if self.steps == 0:
            raise ValueError(f"There are no batches: len({type(data).__name__}) is 0.")

    def _order(self) -> Iterator[int]:
        if self.steps is None:
            return count()
        order = np.arange(self.steps)
        if self.shuffle:
            order = seeding.default_generator().permutation(self.steps)
        return map(int, order)

    def epoch(self) -> Iterator[Batch]:
        from concurrent.futures import ThreadPoolExecutor  # arrays never need it

        order = self._order()
        workers = max(1, getattr(self.data, "workers", 1))
        ahead = getattr(self.data, "max_queue_size", 1) if workers > 1 else 1
        with ThreadPoolExecutor(workers, thread_name_prefix="minicnn-batches") as threads:
            # A loop that stops early still waits for the batches that are being read: reading may
            # change the data (a shuffle, a count of batches), which must not depend on timing.
            read = self.data.__getitem__
            coming = deque(threads.submit(read, index) for index in islice(order, ahead))
            while coming:
                batch = coming.popleft().result()
                coming.extend(threads.submit(read, index) for index in islice(order, 1))
                yield as_batch(batch)

    def on_epoch_begin(self) -> None:
        getattr(self.data, "on_epoch_begin", lambda: None)()

    def on_epoch_end(self) -> None:
        getattr(self.data, "on_epoch_end", lambda: None)()

    def with_features(self, features: Array) -> "SequenceBatches":
        return SequenceBatches(self.data.with_features(features), self.shuffle)


class IterableBatches(_DataBatches):
    """An object that `iter` starts anew each time."""

    def __init__(self, data: Any) -> None:
        self.data = data
        try:
            self.steps = len(data)
        except TypeError:
            self.steps = None

    def epoch(self) -> Iterator[Batch]:
        yield from map(as_batch, iter(self.data))

    def with_features(self, features: Array) -> "IterableBatches":
        return IterableBatches(self.data.with_features(features))


class GeneratorBatches(Batches):
    """A generator: each epoch reads `steps` batches, from where the last epoch ended."""

    def __init__(self, data: Iterator[Any], steps: int | None) -> None:
        self.data, self.steps = data, steps

    def epoch(self) -> Iterator[Batch]:
        count = 0
        while self.steps is None or count < self.steps:
            try:
                batch = next(self.data)
            except StopIteration:
                return
            yield as_batch(batch)
            count += 1


class LimitedBatches(Batches):
    """Another object's batches, `steps` per epoch; each epoch starts where the last one stopped.

    An epoch ends where the other's batches end, as in Keras: with 6 batches, `steps=4` makes epochs
    of 4, 2, 4, 2, … steps, and `steps=20` epochs of 6. The other object's own epoch, with
    `on_epoch_begin` and `on_epoch_end`, lasts from its first batch to its last, or until no more
    are read.
    """

    def __init__(self, batches: Batches, steps: int) -> None:
        self.batches, self.steps = batches, steps
        self._reader: Generator[Batch, None, None] | None = None
        self._left: int | None = None  # batches that the reader still has, if known

    def unlimited(self) -> Batches:
        return self.batches

    def restart(self) -> None:
        self.close()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _pass(self) -> Generator[Batch, None, None]:
        self.batches.on_epoch_begin()
        try:
            yield from self.batches.epoch()
        finally:
            self.batches.on_epoch_end()

    def epoch(self) -> Iterator[Batch]:
        steps, goes_on = self.steps or 0, self._reader is not None
        count = 0
        while count < steps:
            if self._reader is None:
                self._reader, self._left = self._pass(), self.batches.steps
            batch = next(self._reader, None)
            if batch is None:
                self._reader = None
                if goes_on and count == 0:  # the last epoch ended just where the data did
                    goes_on = False
                    continue
                return
            if self._left is not None:
                self._left -= 1
            yield batch
            count += 1
            if self._left == 0:
                self.close()
                return

    def example_count(self) -> int | None:
        return self.batches.example_count()

    def read(self, numbers: Array) -> Any:
        return self.batches.read(numbers)

    def with_features(self, features: Array) -> "LimitedBatches":
        assert self.steps is not None
        return LimitedBatches(self.batches.with_features(features), self.steps)

    def catch_up(self, twin: Batches) -> None:
        assert isinstance(twin, LimitedBatches)
        self.batches.catch_up(twin.batches)


def as_batch(item: Any) -> Batch:
    """Make a batch from an item of a sequence or generator: x, (x, y) or (x, y, sample_weight)."""
    if isinstance(item, (tuple, list)):
        if not 1 <= len(item) <= 3:
            raise ValueError(
                f"A batch is x, (x, y) or (x, y, sample_weight). Received {len(item)} parts."
            )
        return batch_of(*item)
    return Batch(item)


def batch_of(x: Any, y: Any = None, sample_weight: Any = None) -> Batch:
    """Return a batch; take y and sample_weight out of a list with one output's array."""
    if isinstance(y, Columns):
        return Batch(x, y, sample_weight)
    if isinstance(y, (list, tuple)) or isinstance(sample_weight, (list, tuple)):
        count = count_of(x)
        y, sample_weight = only(y, count), only(sample_weight, count)
    return Batch(x, y, sample_weight)


def only(column: Any, count: int) -> Any:
    """Return the array in `[array]`, but leave a list with one entry for each of `count` examples.

    If the list is one example's target, `[[0, 1, 0]]`, its item is a row rather than a column.
    """
    if not isinstance(column, (list, tuple)) or len(column) != 1 or not np.ndim(column[0]):
        return column
    return column if count == 1 and len(column[0]) != 1 else column[0]


def make_batches(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool = False,
) -> Batches:
    """Return the right kind of `Batches` for `x`.

    Raises `TypeError` for data of another kind, and `ValueError` for arrays of different lengths,
    for empty data, and for `y` beside data that contain targets.
    """
    for argument, value in (("batch_size", batch_size), ("steps", steps)):
        if value is not None and (not isinstance(value, (int, np.integer)) or value < 1):
            raise ValueError(f"{argument} must be an integer >= 1. Received {value!r}.")
    if is_arrays(x):
        columns = as_columns(x, y, sample_weight)
        return _limited(ArrayBatches(*columns, batch_size or 32, shuffle), steps)
    if x is not None and (y is not None or sample_weight is not None):
        raise ValueError(
            f"y and sample_weight go with arrays; {type(x).__name__} has its own in each batch."
        )
    if x is not None and batch_size is not None:
        raise ValueError(f"batch_size goes with arrays; {type(x).__name__} makes its own batches.")
    batches: Batches
    if hasattr(x, "__getitem__") and (hasattr(x, "__len__") or hasattr(x, "num_batches")):
        batches = SequenceBatches(x, shuffle)
    elif hasattr(x, "__next__"):
        return GeneratorBatches(x, steps)
    elif hasattr(x, "__iter__"):
        batches = IterableBatches(x)
    else:
        hint = ""
        if hasattr(x, "flow_from_directory"):
            hint = " Pass what its flow or flow_from_directory returns."
        raise TypeError(
            "Data must be arrays, a sequence or iterable of batches, or a generator. "
            f"Received {type(x).__name__}.{hint}"
        )
    return _limited(batches, steps)


def _limited(batches: Batches, steps: int | None) -> Batches:
    if steps is None or steps == batches.steps:
        return batches
    return LimitedBatches(batches, steps)


def is_arrays(x: Any) -> bool:
    """Return whether `x` is an array, or a list, tuple or dict of them, rather than a data set."""
    if isinstance(x, (list, tuple)):
        return len(x) > 0
    if isinstance(x, Mapping):
        return True
    # Tensors of TensorFlow or JAX, and data frames, have only `__array__`.
    return isinstance(x, np.ndarray) or hasattr(x, "__array__")


def as_columns(x: Any, y: Any = None, sample_weight: Any = None) -> tuple[Any, Any, Any]:
    """Return arguments of `fit` as arrays: x as one, or a list or dict of them; the others as one.

    For several outputs the others are `Columns`. Raises `TypeError` for anything but arrays of
    numbers.
    """
    x = as_arrays(x, "x")
    count = count_of(x)
    named = (("y", y), ("sample_weight", sample_weight))
    y, sample_weight = (_as_column(column, name, count) for name, column in named)
    return x, y, sample_weight


def _as_column(column: Any, name: str, count: int) -> Any:
    if isinstance(column, Columns):
        return Columns(_as_column(array, f"{name}[{i}]", 0) for i, array in enumerate(column))
    return None if column is None else as_array(only(column, count), name)


def as_arrays(column: Any, name: str) -> Any:
    """Return `column` as an array, or as a list or dict of arrays for several inputs."""
    if column is None:
        return None
    if isinstance(column, Mapping):
        return {key: as_array(value, f"{name}[{key!r}]") for key, value in column.items()}
    # A list of arrays is one array per input; a list of numbers or of lists is one array.
    if isinstance(column, (list, tuple)) and all(getattr(a, "ndim", 0) >= 1 for a in column):
        return [as_array(value, f"{name}[{i}]") for i, value in enumerate(column)]
    return as_array(column, name)


def as_array(value: Any, name: str) -> Array:
    """Return an array of numbers with an axis of examples, or raise `TypeError`, `ValueError`."""
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be an array of numbers. Received dtype {array.dtype}.")
    if array.ndim == 0:
        raise ValueError(f"{name} must have one entry per example. Received a single number.")
    return array


def check_class_weight(class_weight: Any) -> None:
    """Raise a `ValueError` unless `class_weight` is None or maps class numbers to numbers."""
    if class_weight is None:
        return
    if not isinstance(class_weight, Mapping) or not all(
        isinstance(key, (int, np.integer))
        and isinstance(value, (int, float, np.number))
        and np.isfinite(value)
        for key, value in class_weight.items()
    ):
        raise ValueError(
            "class_weight must be a dict from class numbers to weights, such as {0: 1.0, 1: 2.5}. "
            f"Received {class_weight!r}."
        )


def class_weights(y: Any, class_weight: Mapping[int, float]) -> Array:
    """Return one weight per example, by its class; a class without one weighs 1, as in Keras."""
    y = np.asarray(y)
    classes = y.argmax(axis=-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(len(y))
    if not np.isfinite(classes).all():
        raise ValueError("class_weight expects class numbers as targets. Received NaN or infinity.")
    return np.array([class_weight.get(int(c), 1.0) for c in classes], np.float32)
