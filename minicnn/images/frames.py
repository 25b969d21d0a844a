"""`ImageDataGenerator.flow_from_dataframe`: batches of the photos that a table names."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import shapes
from minicnn.images.folders import say
from minicnn.images.iterators import Photos, split_of

Array = np.ndarray

CLASS_MODES = ("categorical", "binary", "sparse", "input", "raw", "multi_output", None)
_WITH_CLASSES = ("categorical", "binary", "sparse")


class DataFrameIterator(Photos):
    """Batches of the photos that a table names, a row for each photo.

    `dataframe` is a table of pandas, or anything whose columns are `dataframe[name]`, such as a
    dict of lists: minicnn does not need pandas. Column `x_col` has the photos' names, below
    `directory` if it is given. `class_mode` says what `y_col` has:

        "categorical"   names of classes, or lists of them; the labels are rows of 0 and 1
        "binary"        names of two classes; the labels are 0 and 1
        "sparse"        names of classes; the labels are their numbers
        "raw"           numbers, which are the labels
        "multi_output"  `y_col` is a list of columns; the labels are a list of arrays, for a model
                        with several outputs
        "input", None   it is not read; the labels are the images, or there are none

    `class_indices` maps names of classes, sorted, to their numbers; `classes` gives them an order,
    and rows of other classes are left out. `weight_col` has weights of examples.
    `validate_filenames` leaves out rows whose photo is missing, or does not have a photo's ending,
    with a warning. `subset`, with the generator's `validation_split`, takes the first rows for
    "validation" and the rest for "training". Raises `ValueError` or `TypeError` for columns that
    are missing or hold something else, and if no row is left.
    """

    allowed_class_modes = set(CLASS_MODES)

    def __init__(
        self,
        dataframe: Any,
        directory: Any = None,
        image_data_generator: Any = None,
        x_col: str = "filename",
        y_col: Any = "class",
        weight_col: str | None = None,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        dtype: Any = None,
        validate_filenames: bool = True,
    ) -> None:
        who = "flow_from_dataframe"
        shapes.check_data_format(data_format, who)
        if class_mode not in CLASS_MODES:
            raise ValueError(
                f"{who} expects class_mode to be one of {CLASS_MODES}. Received {class_mode!r}."
            )
        if class_mode == "multi_output" and not isinstance(y_col, (list, tuple)):
            raise TypeError(
                f"{who} expects y_col to be a list of columns for class_mode='multi_output'. "
                f"Received {y_col!r}."
            )
        self.class_mode, self.directory = class_mode, "" if directory is None else str(directory)
        columns = {"x": _column(dataframe, x_col, who)}
        if class_mode == "multi_output":
            columns |= {f"y {i}": _column(dataframe, name, who) for i, name in enumerate(y_col)}
        elif class_mode not in ("input", None):
            columns["y 0"] = _column(dataframe, y_col, who)
        if weight_col is not None:
            columns["weight"] = _column(dataframe, weight_col, who)
        _check_columns(columns, who)
        rows = self._rows(columns, x_col, validate_filenames, who)
        if class_mode in _WITH_CLASSES:
            rows, labels = self._classified(columns["y 0"], rows, classes, y_col, who)
        elif classes:
            warnings.warn(f"{who}: class_mode={class_mode!r} takes no classes.", stacklevel=3)
        if subset is not None:
            rows = rows[split_of(image_data_generator, subset, len(rows))]
        if not rows:
            raise ValueError(f"{who} found no photos in {len(columns['x'])} rows of {x_col!r}.")
        self.filenames = [columns["x"][row] for row in rows]
        self.samples = len(rows)
        self.sample_weight = None
        if weight_col is not None:
            self.sample_weight = _numbers(columns["weight"], rows, weight_col, who)
        if class_mode in _WITH_CLASSES:
            self.classes: list[Any] = [labels[row] for row in rows]
        elif class_mode == "raw":
            self._targets: Any = _numbers(columns["y 0"], rows, y_col, who)
        elif class_mode == "multi_output":
            self._targets = [
                _numbers(columns[f"y {i}"], rows, name, who) for i, name in enumerate(y_col)
            ]
        known = "validated" if validate_filenames else "non-validated"
        of = f" belonging to {len(self.class_indices)} classes" if self.class_indices else ""
        say(f"Found {self.samples} {known} image filenames{of}.")
        super().__init__(
            [os.path.join(self.directory, name) for name in self.filenames],  # noqa: PTH118
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

    class_indices: dict[str, int] = {}

    def _rows(
        self, columns: dict[str, list[Any]], x_col: str, validate: bool, who: str
    ) -> list[int]:
        """Return the numbers of the rows whose photos exist."""
        names = columns["x"]
        wrong = next((name for name in names if not isinstance(name, str)), "")
        if not isinstance(wrong, str):
            raise TypeError(f"{who} expects texts in column {x_col!r}. Received {wrong!r}.")
        if not validate:
            return list(range(len(names)))
        rows = [row for row, name in enumerate(names) if self._is_photo(name)]
        if len(rows) < len(names):
            warnings.warn(
                f"{who}: {len(names) - len(rows)} of {len(names)} rows of {x_col!r} name photos "
                "that do not exist; they are left out.",
                stacklevel=4,
            )
        return rows

    def _is_photo(self, name: str) -> bool:
        path = Path(self.directory, name)
        ending = path.suffix.lower().removeprefix(".")
        return ending in self.white_list_formats and path.is_file()

    def _classified(
        self, column: list[Any], rows: list[int], classes: Any, y_col: Any, who: str
    ) -> tuple[list[int], dict[int, Any]]:
        """Return the rows of known classes, and for each its class number, or a list of them."""
        several = (list, tuple) if self.class_mode == "categorical" else ()
        for row in rows:
            if not isinstance(column[row], (str, *several)):
                lists = ", or lists of them," if several else ""
                raise TypeError(
                    f"{who} expects names of classes{lists} in column {y_col!r} for class_mode="
                    f"{self.class_mode!r}. Received {column[row]!r}."
                )
        named = {
            row: [column[row]] if isinstance(column[row], str) else column[row] for row in rows
        }
        found_names = {name for found in named.values() for name in found}
        names = list(dict.fromkeys(classes)) if classes else sorted(found_names)
        if self.class_mode == "binary" and len(names) != 2:
            raise ValueError(
                f'{who} expects two classes for class_mode="binary". Received {len(names)}: '
                f"{names[:10]}."
            )
        self.class_indices = {name: number for number, name in enumerate(names)}
        numbers = {
            row: [self.class_indices[name] for name in found if name in self.class_indices]
            for row, found in named.items()
        }
        kept = [row for row in rows if numbers[row]]
        return kept, {
            row: numbers[row][0] if isinstance(column[row], str) else numbers[row] for row in kept
        }

    @property
    def labels(self) -> Any:
        """The class of each photo, or the numbers of the columns."""
        return self._targets if self.class_mode in ("raw", "multi_output") else self.classes

    def _alone(self) -> bool:
        return self.class_mode != "input"

    def _with_labels(self, x: Array, numbers: Array) -> Any:
        if self.class_mode is None:
            return x
        y: Any
        if self.class_mode == "input":
            y = x.copy()
        elif self.class_mode == "categorical":
            y = np.zeros((len(numbers), len(self.class_indices)), self.dtype)
            for row, number in enumerate(numbers):
                y[row, self.classes[number]] = 1
        elif self.class_mode == "multi_output":
            y = [column[numbers] for column in self._targets]
        elif self.class_mode == "raw":
            y = self._targets[numbers]
        else:
            y = np.array([self.classes[number] for number in numbers], self.dtype)
        return (x, y) if self.sample_weight is None else (x, y, self.sample_weight[numbers])


def _column(dataframe: Any, name: Any, who: str) -> list[Any]:
    """Return a column of the table as a list."""
    try:
        return list(dataframe[name])
    except (KeyError, TypeError, IndexError) as error:
        known = list(dataframe) if hasattr(dataframe, "keys") else type(dataframe).__name__
        raise ValueError(
            f"{who} expects a table with the column {name!r}. Received {known}."
        ) from error


def _check_columns(columns: dict[str, list[Any]], who: str) -> None:
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise ValueError(f"{who} expects columns of one length. Received {sorted(lengths)}.")


def _numbers(column: list[Any], rows: list[int], name: Any, who: str) -> Array:
    """Return these rows of a column as an array of numbers; rows may be arrays of one shape."""
    try:
        found = np.array([column[row] for row in rows])
        shapes.check_numbers(found, f"column {name!r}", who)
    except (ValueError, TypeError) as error:
        raise TypeError(f"{who} expects numbers in column {name!r}. {error}") from error
    return found
