"""Photos in archives: tar and Parquet files, read photo by photo and never unpacked.

    photos.tar      class folders, with train/, validation/, test/ or without, or (as WebDataset
                    has it) pairs such as 000.jpg and 000.cls
    photos.parquet  a column of images, {bytes, path} or bytes, one of labels (Hugging Face), and
                    one named split, or none

A photo in an archive has the path ARCHIVE/NAME, as if the archive were a folder, so that lists and
reports can name it. Nothing in an archive is trusted: links, devices and names that lead out of it
are never followed, and sizes have the limits of photos in files.
"""

import io
import json
import os
import re
import tarfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, Protocol, TypeVar

from minicnn._support.reading import check_regular, open_regular
from minicnn._support.terminal import pip_install
from minicnn.images import BadImageError
from minicnn.images.files import MAX_BYTES
from minicnn.images.folders import is_left_about

T = TypeVar("T")

_SPLITS = ("train", "validation", "test")
ENDINGS = (".tar", ".parquet")
_OTHERS = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip")
LARGEST_KEPT = 2**30  # bytes of photos of all Parquet files that are kept in memory
LARGEST_GROUP = 2 * 2**30  # bytes of photos in a row group, which is read as a whole
_LARGEST_LABEL = 1024  # bytes
_BLOCKS = 2**20  # bytes of a tar that are read at once


class Entry(NamedTuple):
    """A photo in an archive: its split ("" if nothing says it), its class, and its name there.

    `place` is its path in a folder: class/name.
    """

    split: str
    label: str
    name: str
    place: str


class Passed(NamedTuple):
    """A member that is not a photo of a class, and why."""

    name: str
    why: str


class Archive(Protocol):
    """The methods that both kinds of archives have."""

    entries: list[Entry]
    passed_over: list[Passed]

    def read(self, name: str) -> bytes:
        """Return the content of a photo's file; `KeyError` if there is none of this name."""
        ...


def is_archive(path: Path) -> bool:
    """Return whether the path leads to a file with an archive's name.

    Raises `ValueError` for kinds in which no single photo can be reached.
    """
    name = path.name.lower()
    if path.is_dir() or not path.exists():
        return False
    if name.endswith(_OTHERS):
        raise ValueError(
            f"{str(path)!r} is compressed: unpack it, or make a .tar of it, from which photos are "
            "read one by one. (Photos are compressed already.)"
        )
    return name.endswith(ENDINGS)


def opened(path: Path, endings: tuple[str, ...]) -> Archive:
    """Return the archive at this path, whose index is kept in memory; photos have these `endings`.

    Raises `ValueError` for a file that is damaged, is not an archive, or has no photos of classes.
    """
    check_regular(path, "archive of photos")
    found = path.stat()
    return indexed(str(path), found.st_mtime_ns, found.st_size, endings)


@cache  # of all archives: a data set may have thousands, and each photo asks for one
def indexed(path: str, changed: int, size: int, endings: tuple[str, ...]) -> Archive:
    made: Archive = Parquet(path) if path.lower().endswith(".parquet") else Tar(path, endings)
    if not made.entries:
        raise ValueError(
            f"{path!r} has no photos of classes: class folders with photos, pairs of a photo and a "
            ".cls file, or columns of images and labels."
        )
    return made


def reading(path: str, read: Callable[[Any], T], endings: tuple[str, ...]) -> T:
    """Call `read` with the path of a photo, or with the bytes of one in an archive."""
    content = content_of(path, endings)
    if content is None:
        return read(path)
    try:
        return read(io.BytesIO(content))
    except BadImageError as error:
        raise BadImageError(str(error).replace("what was received", repr(path))) from None


_INSIDE = re.compile(r"\.(?:tar|parquet)(?=[/\\])", re.IGNORECASE)


def content_of(path: str, endings: tuple[str, ...]) -> bytes | None:
    """Return the bytes of a photo in an archive; None if the path leads into no archive."""
    for found in _INSIDE.finditer(path):
        archive = path[: found.end()]
        if os.path.isfile(archive):  # noqa: PTH113 (for each photo)
            name = path[found.end() + 1 :].replace(os.sep, "/")
            try:
                return opened(Path(archive), endings).read(name)
            except KeyError:
                raise FileNotFoundError(f"There is no photo {name!r} in {archive!r}.") from None
    return None


def class_names(entries: Sequence[Entry]) -> list[str]:
    """Return the classes in alphabetical order, like folders; whole numbers in numerical order."""
    labels = {entry.label for entry in entries}
    if all(map(str.isdecimal, labels)):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels)


# ---------------------------------------------------------------------------------------------
# Tar
# ---------------------------------------------------------------------------------------------


class Tar:
    """An uncompressed tar file; only its list of members is kept in memory."""

    def __init__(self, path: str, endings: tuple[str, ...]) -> None:
        self.path, self._endings = path, endings
        self.passed_over: list[Passed] = []
        self._places: dict[str, tuple[int, int]] = {}
        with open_regular(path, "archive of photos") as file:
            if file.read(6).startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
                raise ValueError(f"{path!r} is compressed: decompress it first.")
            self._end = file.seek(0, os.SEEK_END)
            file.seek(0)
            try:
                with tarfile.open(fileobj=file, mode="r:") as archive:
                    for member in archive:
                        self._add(member)
                    place, count = archive.offset, len(archive.getmembers())
            except (tarfile.TarError, EOFError, OverflowError, OSError, RecursionError) as error:
                raise ValueError(f"{path!r} is not a tar file, or is damaged: {error}.") from None
            # tarfile also takes a damaged or cut header for the end. The real end is a block of
            # zeros.
            file.seek(place)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise ValueError(
                    f"{path!r} is damaged at byte {place:,}: only the {count} members before it "
                    "can be read."
                )
            if (more := _nonzero_block(file)) is not None:
                raise ValueError(
                    f"{path!r} ends at byte {place:,} after {count} members, and goes on at byte "
                    f"{more:,}: archives that were joined as files are read only up to there. "
                    "Keep them apart, in one folder, or join them with tar --concatenate."
                )
        labels = [name for name in self._places if name.endswith(".cls")]
        photos = self._photos()
        if labels:
            self._check_pairs(photos, labels)
        self.entries = self._pairs(photos, labels) if labels else self._in_folders(photos)

    def _add(self, member: tarfile.TarInfo) -> None:
        left = self._end - member.offset_data
        if member.size < 0 or (member.isreg() and not member.issparse() and member.size > left):
            raise tarfile.ReadError(
                f"{member.name!r} should have 0 to {left:,} bytes. Received {member.size:,}"
            )
        parts = PurePosixPath(member.name).parts
        if ".." in parts or member.name.startswith(("/", "\\")):
            raise ValueError(
                f"{self.path!r} is not to be trusted: {member.name!r} in it leads out of it."
            )
        name = "/".join(parts)
        if member.isdir() or is_left_about(parts[-1] if parts else "."):
            return
        if not member.isreg() or member.issparse():
            kind = "a link" if member.issym() or member.islnk() else "no plain file"
            self.passed_over.append(Passed(name, kind))
            return
        self._places[name] = member.offset_data, member.size  # for equal names, the last counts

    def read(self, name: str) -> bytes:
        place, size = self._places[name]
        if size > MAX_BYTES:
            raise BadImageError(
                f"{name!r} in {self.path!r} has {size:,} bytes, more than the {MAX_BYTES:,} that a "
                "photo may have."
            )
        with open_regular(self.path, "archive of photos") as file:
            file.seek(place)
            return file.read(size)

    def _photos(self) -> list[str]:
        """Return the names of photos, folder by folder, each in order."""
        found = []
        for name in self._places:
            if name.lower().endswith(self._endings):
                found.append(name)
            elif not name.endswith(".cls"):
                told = f"its name does not end in {', '.join(self._endings)}"
                self.passed_over.append(Passed(name, told))
        return sorted(found, key=lambda name: name.rpartition("/")[::2])

    def _in_folders(self, names: Sequence[str]) -> list[Entry]:
        """Return the photos in class folders, below train/ and so on if there are such folders."""
        photos = [tuple(name.split("/")) for name in names]
        above = {  # the folders in which a train folder is, with classes below it
            parts[:depth]
            for parts in photos
            for depth, part in enumerate(parts[:-2])
            if part == "train"
        }
        # What was packed may be in a folder of its own.
        packed: Sequence[str] = min(above, key=len) if above else ()
        if not above:
            levels = zip(*(parts[:-2] for parts in photos))
            packed = [one[0] for one in takewhile(lambda level: len(set(level)) == 1, levels)]
        found = []
        for parts in photos:
            name, inner = "/".join(parts), parts[len(packed) :]
            inside = parts[: len(packed)] == tuple(packed)
            split = inner[0] if above and inside and inner[0] in _SPLITS else ""
            place = inner[1:] if split else inner
            if len(place) < 2 or not inside or (above and not split):
                self.passed_over.append(Passed(name, "in no class folder of a split"))
            elif place[0].startswith("."):
                self.passed_over.append(Passed(name, "in a hidden folder"))
            else:
                found.append(Entry(split, place[0], name, "/".join(place)))
        return found

    def _check_pairs(self, photos: Sequence[str], labels: Sequence[str]) -> None:
        """Raise a `ValueError` if photos are in class folders as well: one rule has to decide."""
        samples = {_key(name) for name in labels}
        paired = sum(_key(name) in samples for name in photos)
        divided = any("train" in name.split("/")[:-1] for name in photos)
        if divided or 2 * paired < len(photos):
            raise ValueError(
                f"{self.path!r} should have class folders and no .cls file, or a .cls file beside "
                f"most photos and no folder named train. Received {paired} of {len(photos)} photos "
                f"with a .cls file{', and a folder named train' * divided}."
            )

    def _pairs(self, photos: Sequence[str], labels: Sequence[str]) -> list[Entry]:
        """Return the photos with a label beside them: `000.jpg` and `000.cls`."""
        told = {}
        for name in labels:
            size = self._places[name][1]
            if size > _LARGEST_LABEL:
                raise ValueError(f"{self.path!r}: {name!r} has {size:,} bytes, and is no label.")
            label = self.read(name).decode("utf-8", "surrogateescape").strip()
            # Bytes that are not UTF-8 are kept, so that different labels stay different.
            if _CONTROLS.search(label):
                raise ValueError(
                    f"{self.path!r}: {name!r} should be one line that names a class. "
                    f"Received {label!r}."
                )
            told[_key(name)] = label
        found = []
        for name in photos:
            label = told.get(_key(name), "")
            if label:
                found.append(Entry("", label, name, f"{label}/{name}"))
            else:
                self.passed_over.append(Passed(name, "without a label in a .cls file"))
        return found


def _nonzero_block(file: BinaryIO) -> int | None:
    """Return the place of the next block of a tar that is not zeros; None if there is none."""
    while block := file.read(_BLOCKS):
        if block.count(0) < len(block):
            start = file.tell() - len(block.lstrip(b"\0"))
            return start // tarfile.BLOCKSIZE * tarfile.BLOCKSIZE
    return None


# What ends a line, or what a terminal obeys.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _key(name: str) -> str:
    """Return the part of a name that a sample's files share: the name up to its first dot."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition('.')[0]}"


# ---------------------------------------------------------------------------------------------
# Parquet
# ---------------------------------------------------------------------------------------------


class Parquet:
    """A Parquet file with a column of images and one of labels.

    Photos are stored in groups of rows. The groups used last are kept in memory, up to a limit for
    all files, and a file is open only while it is read.
    """

    _lock = threading.Lock()
    _kept: OrderedDict[tuple["Parquet", int], list[bytes | None]] = OrderedDict()

    def __init__(self, path: str) -> None:
        try:
            import pyarrow.parquet
        except ImportError:
            raise ImportError(f"{path!r} needs pyarrow: {pip_install('pyarrow')}") from None
        self.path = path
        self.passed_over: list[Passed] = []
        self._open = pyarrow.parquet.ParquetFile
        try:
            with self._open(path) as self._file:
                self._image, self._label, self._split = self._columns()
                self.entries, self._rows = self._index()
            self._about = self._file.metadata
            groups = map(self._about.row_group, range(self._about.num_row_groups))
            self._sizes = [self._size_of(group) for group in groups]
        except Exception as error:  # Arrow's are of many kinds
            raise ValueError(f"{path!r} is not a Parquet file of photos: {error}.") from None

    def _columns(self) -> tuple[str, str, str | None]:
        """Return the columns' names: the image's bytes, the label, and the split if it exists."""
        import pyarrow.types as kinds

        schema = self._file.schema_arrow
        images = []
        for field in schema:
            inside = {part.name for part in field.type} if kinds.is_struct(field.type) else set()
            if "bytes" in inside:
                images.append(f"{field.name}.bytes")
            elif kinds.is_binary(field.type) or kinds.is_large_binary(field.type):
                images.append(field.name)
        labels = [name for one in ("label", "labels", "class") if (name := self._named(one))]
        if len(images) != 1 or not labels:
            raise ValueError(
                "it should have one column of images (bytes, or a struct with bytes) and one named "
                f"label. Received columns {', '.join(schema.names)}, of which these may be images: "
                f"{', '.join(image.removesuffix('.bytes') for image in images) or 'none'}"
            )
        return images[0], labels[0], self._named("split")

    def _named(self, wanted: str) -> str | None:
        """Return the column of this name, or else the only one that differs only in case."""
        names = self._file.schema_arrow.names
        found = [name for name in names if name == wanted]
        found = found or [name for name in names if name.strip().lower() == wanted]
        if len(found) > 1:
            raise ValueError(
                f"it should have one column named {wanted}. Received {' and '.join(found)}"
            )
        return found[0] if found else None

    def _index(self) -> tuple[list[Entry], dict[str, tuple[int, int]]]:
        """Return all photos by class and name, and the row group and row of each name."""
        column = self._image.removesuffix(".bytes")
        struct = self._image != column
        inner = self._file.schema_arrow.field(column).type if struct else ()
        named = "path" in {part.name for part in inner}
        columns = [
            self._label,
            *([self._split] if self._split else []),
            *([f"{column}.path"] if named else []),
        ]
        labels: list[str | None] = []
        splits: list[str | None] = []
        names: list[str] = []
        places = []
        for group in range(self._file.num_row_groups):
            table = self._file.read_row_group(group, columns=columns)
            labels += self._in_words(table, self._label)
            splits += self._in_words(table, self._split) if self._split else [""] * table.num_rows
            places += [(group, row) for row in range(table.num_rows)]
            paths = table.column(column).to_pylist() if named else [None] * table.num_rows
            names += [re.split(r"[/\\]", (path or {}).get("path") or "")[-1] for path in paths]
        if len(set(names)) < len(names) or not {"", ".", ".."}.isdisjoint(names):
            names = [f"{row:08d}" for row in range(len(names))]
        found = []
        for name, label, split in zip(names, labels, splits, strict=True):
            if self._split and split not in _SPLITS:
                raise ValueError(
                    f"the split of each photo is one of {', '.join(_SPLITS)}. Received {split!r}"
                )
            if label is None:
                self.passed_over.append(Passed(name, "without a label"))
            else:
                found.append(Entry(split or "", label, name, f"{label}/{name}"))
        found.sort(key=lambda entry: entry.name)
        return found, dict(zip(names, places, strict=True))

    def _in_words(self, table: Any, column: str) -> list[str | None]:
        """Return labels as text: numbers by the names that Hugging Face keeps in the file."""
        values, names = table.column(column).to_pylist(), self._names(column)
        found: list[str | None] = []
        for value in values:
            if isinstance(value, bool) or not (value is None or isinstance(value, (int, str))):
                raise ValueError(
                    f"each {column} should be a whole number or a text. Received {value!r}"
                )
            if isinstance(value, int) and names and not 0 <= value < len(names):
                found.append(None)  # -1 is Hugging Face's sign for "unknown"
            elif isinstance(value, int) and names:
                found.append(str(names[value]))
            else:
                found.append(None if value in (None, "") else str(value))
        return found

    def _names(self, column: str) -> list[Any] | None:
        """Return the classes' names that Hugging Face keeps in the file, if it does."""
        about = (self._file.schema_arrow.metadata or {}).get(b"huggingface", b"{}")
        found: Any = json.loads(about)
        for key in ("info", "features", column, "names"):
            found = found.get(key) if isinstance(found, dict) else None
        return found if isinstance(found, list) else None

    def read(self, name: str) -> bytes:
        group, row = self._rows[name]
        with self._lock:
            photos = self._group(group)
        content = photos[row] if row < len(photos) else None  # a damaged file may have fewer
        if not content or len(content) > MAX_BYTES:
            told = f"has {len(content):,} bytes" if content else "has no bytes in the file"
            raise BadImageError(f"{name!r} in {self.path!r} {told}: it is not a photo.")
        return content

    def _group(self, number: int) -> list[bytes | None]:
        """Return the photos of a row group, which are kept from now on."""
        kept = self._kept
        if (self, number) not in kept:
            size = self._sizes[number]
            if size > LARGEST_GROUP:
                raise BadImageError(
                    f"{self.path!r} has {size:,} bytes of photos in one row group, of at most "
                    f"{LARGEST_GROUP:,}: write it with smaller ones."
                )
            column = self._image.removesuffix(".bytes")
            inner = column != self._image
            try:
                with self._open(self.path, metadata=self._about) as file:
                    table = file.read_row_group(number, columns=[self._image])
                values = table.column(column).to_pylist()
            except Exception as error:  # Arrow's are of many kinds
                raise BadImageError(f"{self.path!r} is damaged: {error}.") from None
            kept[self, number] = [
                (value or {}).get("bytes") if inner else value for value in values
            ]
        kept.move_to_end((self, number))
        while len(kept) > 1 and sum(one._sizes[group] for one, group in kept) > LARGEST_KEPT:
            kept.popitem(last=False)
        return kept[self, number]

    def _size_of(self, group: Any) -> int:
        """Return the bytes of the photos in a row group."""
        columns = map(group.column, range(group.num_columns))
        return sum(c.total_uncompressed_size for c in columns if c.path_in_schema == self._image)
