"""Read photos from class folders, and check them before training.

    DIR/train/CLASS/*.jpg    DIR/validation/CLASS/*.jpg    DIR/test/CLASS/*.jpg (may be missing)

Class folders alone are divided into splits, a list names photos itself (`reference.lists`), and
photos may be in an archive (`reference.archives`).
`python -m reference.data --data DIR` reads every photo and reports on it (`reference.audit`).
`minicnn.images` decodes and resizes photos here, in training, evaluation and prediction, and in
minicnn itself: a network sees a new photo in the same way as its training photos.
"""

import argparse
import hashlib
import io
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from minicnn._support.atomic import replacing
from minicnn._support.download import fetch
from minicnn._support.reading import TooLargeError, open_regular, read_regular
from minicnn._support.terminal import say
from minicnn.images import BadImageError, load_img
from minicnn.images.files import MAX_BYTES, READINGS, read_photo
from minicnn.images.folders import (
    PHOTO_ENDINGS,
    THREADS,
    class_folders,
    is_left_about,
    list_images,
    say_passed_over,
    told,
)
from reference import archives, lists
from reference.console import progress

Array = np.ndarray

SPLITS = ("train", "validation", "test")
SMALLEST, LARGEST = 16, 2048  # pixels per side


@cache
def endings() -> tuple[str, ...]:
    """Return the endings of photos that are read: usual ones that the installed Pillow decodes."""
    Image.init()
    more = (".avif", ".jp2", ".jpe", ".pgm", ".pnm", ".qoi", ".tga")
    known = [ending for ending in more if Image.EXTENSION.get(ending) in Image.OPEN]
    return tuple(sorted({*PHOTO_ENDINGS, *known}))


@dataclass(frozen=True)
class Photos:
    """The photos of one split: their paths and the indices of their classes."""

    name: str
    paths: tuple[str, ...]
    labels: Array
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def one_hot(self) -> Array:
        """Return targets for `CategoricalCrossentropy`: (photos, classes) float32."""
        return np.eye(len(self.class_names), dtype=np.float32)[self.labels]

    def keep(self, chosen: Sequence[int]) -> "Photos":
        """Return only the photos with these indices."""
        return replace(
            self, paths=tuple(self.paths[i] for i in chosen), labels=self.labels[list(chosen)]
        )

    def sha256(self) -> str:
        """Return a checksum of the files' contents, in order."""
        whole = hashlib.sha256()
        with ThreadPoolExecutor(THREADS) as threads:
            for digest in threads.map(_file_sha256, self.paths):
                whole.update(digest)
        return whole.hexdigest()

    def classes_sha256(self) -> str:
        """Return a checksum of the classes' names and of each photo's class."""
        told = json.dumps([self.class_names, self.labels.tolist()])
        return hashlib.sha256(told.encode()).hexdigest()


def _file_sha256(path: str) -> bytes:
    content = archives.content_of(path, endings())
    if content is not None:
        return hashlib.sha256(content).digest()
    with open_regular(path, "photo", MAX_BYTES) as file:
        return hashlib.file_digest(file, "sha256").digest()


class Splits(NamedTuple):
    """The photos to train on, to choose by, and to evaluate at the end."""

    train: Photos
    validation: Photos
    test: Photos | None


@dataclass(frozen=True)
class Reader:
    """Read a file as pixels: float32 (image_size, image_size, 3), from 0 to 255.

    "bilinear" reads as `image_dataset_from_directory` does, "nearest" as `flow_from_directory`,
    and "antialias" as `load_img(interpolation="bilinear")`: Pillow smooths what it makes smaller.
    Pillow does this rather than TensorFlow, because it computes with whole numbers and is available
    with every runtime: all get the same pixels, bit for bit.
    """

    image_size: int
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        size = self.image_size
        if isinstance(size, bool) or not isinstance(size, int) or not SMALLEST <= size <= LARGEST:
            raise ValueError(
                f"The image size should be a whole number of pixels from {SMALLEST} to {LARGEST}, "
                f"such as 150 or 299. Received {size!r}."
            )
        if self.interpolation not in READINGS:
            raise ValueError(
                f"interpolation should be one of {', '.join(READINGS)}. "
                f"Received {self.interpolation!r}."
            )

    def __call__(self, path: str | Path | io.BytesIO) -> Array:
        size = (self.image_size, self.image_size)
        if isinstance(path, io.BytesIO):
            return read_photo(path, size, self.interpolation)
        return archives.reading(
            str(path), lambda photo: read_photo(photo, size, self.interpolation), endings()
        )

    def read(self, paths: Sequence[str]) -> Array:
        """Return these photos as one array. Raises `BadImageError` for the first bad one."""
        pixels = np.empty((len(paths), self.image_size, self.image_size, 3), np.float32)
        for row, path in enumerate(paths):
            pixels[row] = self(path)
        return pixels


def image_of(path: str) -> Image.Image:
    """Return the photo as a Pillow image, from a file or an archive."""
    return archives.reading(path, load_img, endings())


# ---------------------------------------------------------------------------------------------
# Folders
# ---------------------------------------------------------------------------------------------


def find(folder: str | Path) -> Splits:
    """List the photos of a data set by its folders, without reading them (`check` does).

    Raises `FileNotFoundError` or `ValueError` for a data set that is unfit for training: a missing
    split, a class without photos, class folders that differ between splits.
    """
    folder = Path(folder)
    if folder.suffix == ".csv" and not folder.is_dir():
        return _listed(folder)
    if packed := archives_in(folder):
        return _packed(packed, folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"There is no folder {str(folder)!r}. --data takes a folder, a list (.csv), an archive "
            '(.tar, .parquet), "download" for the course\'s clothing photos, or "sample" for drawn '
            "ones that need no network."
        )
    inner = class_folders(str(folder), hidden=False)
    if len(inner) > 1 and not {name.lower() for name in inner} & _LIKE_SPLITS:
        photos = find_split(folder, "all")
        names = [Path(path).relative_to(folder).as_posix() for path in photos.paths]
        return _divided(photos, names, "There is no train folder")
    for name in SPLITS[:2]:
        if not (folder / name).is_dir():
            raise FileNotFoundError(
                f"{str(folder)!r} should have the folders train and validation, with a folder per "
                f"class in each. {name} is missing; its folders are: {', '.join(inner) or 'none'}."
            )
    train, validation = (find_split(folder / name, name) for name in SPLITS[:2])
    test = find_split(folder / "test", "test") if (folder / "test").is_dir() else None
    return _checked(Splits(train, validation, test))


# Folders with one of these names are not classes: a data set with one of them has splits.
_LIKE_SPLITS = {*SPLITS, "training", "valid", "val", "dev", "testing"}


def _checked(splits: Splits) -> Splits:
    for other in splits[1:]:
        if other is not None and other.class_names != splits.train.class_names:
            raise ValueError(_difference(splits.train, other))
    return splits


def _divided(photos: Photos, names: Sequence[str], why: str) -> Splits:
    """Divide photos that have no splits, by their names."""
    check_enough(photos, len(SPLITS), "one for each split")
    found = lists.divided_by_name(names, photos.labels)
    parts = [replace(photos.keep(found[name]), name=name) for name in SPLITS]
    told = ", ".join(f"{len(part)} {part.name}" for part in parts)
    say(f"{why}: each photo's name decides on its split: {told}.")
    return Splits(*parts)


def check_enough(photos: Photos, least: int, why: str) -> None:
    """Raise a `ValueError` that names the classes with fewer photos than `least`."""
    counts = np.bincount(photos.labels, minlength=len(photos.class_names))
    few = [f"{name} ({n})" for name, n in zip(photos.class_names, counts) if n < least]
    if few:
        raise ValueError(
            f"Each class needs {least} photos, {why}. There are fewer of {', '.join(few)}."
        )


def _listed(path: Path) -> Splits:
    """Return the splits in a list (see `reference.lists`), with each class in the list's order."""
    found = {}
    for split, rows in lists.read(path, SPLITS).items():
        photos = sorted(rows, key=lambda row: row[0])
        names = tuple(sorted({label for label, _ in photos}))
        labels = np.array([names.index(label) for label, _ in photos], np.intp)
        found[split] = Photos(split or "all", tuple(photo for _, photo in photos), labels, names)
    if lists.NO_SPLIT in found:
        whole = found[lists.NO_SPLIT]
        places = [os.path.relpath(photo, path.parent) for photo in whole.paths]
        return _divided(whole, places, "There is no column named split")
    return _splits(found, path)


def _splits(found: dict[str, Photos], path: Path) -> Splits:
    """Return the splits by their names, checked."""
    missing = [name for name in SPLITS[:2] if name not in found]
    if missing:
        raise ValueError(f"{str(path)!r} has no photos for {' and '.join(missing)}.")
    return _checked(Splits(found["train"], found["validation"], found.get("test")))


def archives_in(folder: Path) -> dict[str, list[Path]]:
    """Return the archives of a data set by their split ("" if their names do not say it).

    They are the file itself, or files in a folder that has no class folders: train-000.tar,
    train-001.tar, validation.tar and so on. Raises `ValueError` for one that is compressed.
    """
    if archives.is_archive(folder):
        return {"": [folder]}
    if not folder.is_dir() or class_folders(str(folder), hidden=False):
        return {}
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if archives.is_archive(path):
            split = re.match(rf"({'|'.join(SPLITS)})(?=[-_.])", path.name)
            found.setdefault(split[1] if split else "", []).append(path)
    if "" in found and len(found) > 1:
        raise ValueError(
            f"{str(folder)!r}: names of archives begin with {', '.join(SPLITS)}, or none does. "
            f"Received {found[''][0].name}."
        )
    return found


def beside(packed: dict[str, list[Path]], folder: Path) -> list[Path]:
    """Return the files beside the archives in a data set's folder."""
    if not folder.is_dir():
        return []
    used = {path for paths in packed.values() for path in paths}
    found = [path for path in folder.iterdir() if path.is_file() and path not in used]
    return sorted(path for path in found if not is_left_about(path.name))


def _packed(found: dict[str, list[Path]], folder: Path) -> Splits:
    """Return the splits in archives, in the order that their photos would have in folders."""
    rows: dict[str, list[tuple[archives.Entry, str]]] = {}
    for split, paths in found.items():
        for path in paths:
            archive = archives.opened(path, endings())
            for entry in archive.entries:
                chosen = rows.setdefault(split or entry.split, [])
                chosen.append((entry, f"{path}/{entry.name}"))
            if archive.passed_over:
                say(
                    f"  {path.name}: {len(archive.entries)} photos used, "
                    f"{len(archive.passed_over)} files passed over (reference.data names them)."
                )
    if others := beside(found, folder):
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        first = ", ".join(path.name for path in others[:5])
        say(f"  Passed over beside the archives: {first}{more}.")
    made = {}
    for split, photos in rows.items():
        names = archives.class_names([entry for entry, _ in photos])
        number = {name: i for i, name in enumerate(names)}
        photos.sort(key=lambda row: number[row[0].label])
        labels = np.array([number[entry.label] for entry, _ in photos], np.intp)
        if len(names) < 2 or not {name.lower() for name in names}.isdisjoint(_LIKE_SPLITS):
            raise ValueError(
                f"{str(folder)!r} should have at least two classes{f' in {split}' * bool(split)}, "
                f"and splits named {', '.join(SPLITS)}, if any. Found {', '.join(names)}."
            )
        made[split] = Photos(split or "all", tuple(p for _, p in photos), labels, tuple(names))
    if "" in made and len(made) > 1:
        raise ValueError(
            f"{str(folder)!r}: all archives should say the split of their photos, or none. "
            f"Received {len(made[''])} photos without a split."
        )
    if "" in made:
        places = [entry.place for entry, _ in rows[""]]
        return _divided(made[""], places, f"{folder.name} has no splits")
    return _splits(made, folder)


def find_one(folder: str | Path, name: str) -> Photos:
    """Return the photos of one split alone: of a folder without looking into the others."""
    folder = Path(folder)
    if (folder / name).is_dir():
        return find_split(folder / name, name)
    if folder.is_dir() and _LIKE_SPLITS & set(class_folders(str(folder))):
        found = None
    else:
        found = dict(zip(SPLITS, find(folder), strict=True))[name]
    if found is None:
        raise FileNotFoundError(
            f"{str(folder)!r} has no {name} photos. --split validation judges by the validation "
            "photos, which chose the model: what they say is a little too good."
        )
    return found


def find_split(folder: Path, name: str) -> Photos:
    """List the photos of one split: class folders in alphabetical order, as Keras numbers them."""
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {str(folder)!r}.")
    classes = class_folders(str(folder), hidden=False)
    if len(classes) < 2:
        raise ValueError(
            f"{str(folder)!r} should have a folder per class, at least two. "
            f"Found {', '.join(classes) or 'none'}."
        )
    listings = {label: list_images(folder / label, endings()) for label in classes}
    found = [listing.paths for listing in listings.values()]
    empty = [
        f"{label} (in its folder: {told(listing.passed_over) or 'nothing'})"
        for label, listing in listings.items()
        if not listing.paths
    ]
    if empty:
        raise ValueError(
            f"{str(folder)!r}: no photos ({', '.join(endings())}) of {', '.join(empty)}."
        )
    say_passed_over(
        {label: len(listing.paths) for label, listing in listings.items()},
        {label: listing.passed_over for label, listing in listings.items()},
    )
    labels = np.repeat(np.arange(len(classes)), [len(paths) for paths in found])
    return Photos(name, tuple(path for paths in found for path in paths), labels, tuple(classes))


def _difference(train: Photos, other: Photos) -> str:
    missing = sorted(set(train.class_names) - set(other.class_names))
    extra = sorted(set(other.class_names) - set(train.class_names))
    parts = [f"{other.name} lacks {', '.join(missing)}"] if missing else []
    parts += [f"train lacks {', '.join(extra)}"] if extra else []
    return (
        f"The class folders of train and {other.name} should be the same, since a class's number "
        f"is its place among the folders; {' and '.join(parts)}."
    )


def check(photos: Photos, skip: bool = False, show: bool = True) -> Photos:
    """Decode every photo; return `photos` if all can be read.

    Otherwise raises a `BadImageError` that names the bad ones, or with `skip` prints their names
    and leaves them out.
    """
    bad: dict[int, str] = {}
    with (
        ThreadPoolExecutor(THREADS) as threads,
        progress(f"Checking {photos.name}", len(photos), show) as advance,
    ):
        for index, reason in enumerate(threads.map(_why_unreadable, photos.paths)):
            if reason is not None:
                bad[index] = reason
            advance(1)
    if not bad:
        return photos
    told = told_bad(list(bad.values()), len(photos), photos.name)
    if not skip:
        raise BadImageError(f"{told}{_ADVICE}")
    say(f"Left out: {told}")
    kept = photos.keep([index for index in range(len(photos)) if index not in bad])
    gone = [n for i, n in enumerate(photos.class_names) if not (kept.labels == i).any()]
    if gone:
        raise ValueError(f"{photos.name}: no readable photo of {', '.join(gone)} is left.")
    return kept


def check_all(splits: Splits) -> None:
    """Decode every photo of all splits; raise one `BadImageError` that names all bad ones."""
    told = []
    for photos in splits:
        try:
            if photos is not None:
                check(photos)
        except BadImageError as error:
            told.append(str(error).removesuffix(_ADVICE))
    if told:
        raise BadImageError(" ".join(told) + _ADVICE)


_ADVICE = " --skip-bad-images leaves them out."


def told_bad(reasons: Sequence[str], count: int, where: str) -> str:
    """Return one paragraph that names bad photos, the first ten of them."""
    more = f" … and {len(reasons) - 10} more." if len(reasons) > 10 else ""
    return f"{len(reasons)} of {count} photos in {where} are bad: {' '.join(reasons[:10])}{more}"


def _why_unreadable(path: str) -> str | None:
    try:
        image_of(path)
    except (BadImageError, OSError) as error:
        return str(error)
    return None


def decoded(
    photos: Photos, reader: Reader, batch_size: int, part: slice = slice(None)
) -> Iterator[Array]:
    """Yield the pixels of all photos (or of a `part`), batch by batch, decoded ahead in threads.

    Raises one `BadImageError` that names all bad photos, after it has read the last one.
    """
    paths = photos.paths[part]
    bad: list[str] = []

    def read(path: str) -> Array | None:
        try:
            return reader(path)
        except (BadImageError, OSError) as error:
            bad.append(str(error))
            return None

    ahead = 4 * THREADS + batch_size  # photos decoded and not yet asked for
    with ThreadPoolExecutor(THREADS, thread_name_prefix="photos") as threads:
        coming = [threads.submit(read, path) for path in paths[:ahead]]
        following = iter(paths[ahead:])
        for first in range(0, len(paths), batch_size):
            batch = []
            for _ in range(min(batch_size, len(paths) - first)):
                batch.append(coming.pop(0).result())
                if (path := next(following, None)) is not None:
                    coming.append(threads.submit(read, path))
            if not bad:
                yield np.stack([pixels for pixels in batch if pixels is not None])
    if bad:
        raise BadImageError(f"{told_bad(sorted(bad), len(paths), photos.name)}{_ADVICE}")


# ---------------------------------------------------------------------------------------------
# The course's photos
# ---------------------------------------------------------------------------------------------

REPOSITORY = "alexeygrigorev/clothing-dataset-small"
COMMIT = "36364be1969242c019705255cd87aed00c73a939"
_API, _FILES = "https://api.github.com", "https://raw.githubusercontent.com"
_LARGEST_LIST, _LARGEST_PHOTO = 2**24, 2**25  # bytes
_TRIES, _CONNECTIONS = 3, 8


def download(
    folder: str | Path,
    repository: str = REPOSITORY,
    commit: str = COMMIT,
    api: str = _API,
    files: str = _FILES,
    show: bool = True,
) -> Path:
    """Download the course's photos from GitHub, at a pinned commit, into `folder`; returns it.

    The list of files comes first, with the Git blob id (SHA-1 of length and content) of each. A
    file that is there with the right id is not downloaded again, so an interrupted download
    continues where it stopped; a file that arrives with another id is refused. It also computes
    Git's own checksum of checksums, the commit's tree id, over the list and checks it.

    Raises `ConnectionError` without a connection, and `ValueError` for unexpected content.
    """
    folder = Path(folder)
    about = _fetch_json(f"{api}/repos/{repository}/git/commits/{commit}")
    tree = str(about.get("tree", {}).get("sha"))
    answer = _fetch_json(f"{api}/repos/{repository}/git/trees/{tree}?recursive=1")
    if answer.get("truncated") or "tree" not in answer:
        raise ValueError("GitHub's list of files is not whole. Try again later.")
    if about.get("sha") != commit or _tree_ids(answer["tree"]).get("") != tree:
        raise ValueError(f"GitHub's list of files does not have the checksum of commit {commit}.")
    wanted = _wanted(answer["tree"])
    folder.mkdir(parents=True, exist_ok=True)

    def get(entry: tuple[str, str]) -> None:
        path, blob = entry
        target = folder / path
        if _is_there(target, blob):
            return
        content = _fetch(f"{files}/{repository}/{commit}/{path}", _LARGEST_PHOTO)
        if _blob_id(content) != blob:
            raise ValueError(f"{path} arrived damaged: its checksum is not {blob}. Try again.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            temporary.write_bytes(content)

    with (
        ThreadPoolExecutor(_CONNECTIONS) as threads,
        progress("Downloading photos", len(wanted), show) as advance,
    ):
        waiting = [threads.submit(get, entry) for entry in wanted.items()]
        try:
            for done in waiting:
                done.result()
                advance(1)
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
    return folder


def _wanted(entries: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return the blob id of each wanted path: the photos of the three splits, and the licence."""
    wanted = {}
    for entry in entries:
        parts = Path(entry["path"]).parts
        if entry["type"] != "blob" or ".." in parts or Path(entry["path"]).is_absolute():
            continue
        photo = (
            parts[0] in SPLITS and len(parts) == 3 and entry["path"].lower().endswith(PHOTO_ENDINGS)
        )
        if photo or entry["path"] in ("LICENSE", "README.md"):
            wanted[entry["path"]] = entry["sha"]
    return wanted


def _tree_ids(entries: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return the id of each folder ("" is the root), computed from its entries' as Git does."""
    children: dict[str, list[tuple[str, str, str]]] = {"": []}
    for entry in entries:
        parent, _, name = entry["path"].rpartition("/")
        children.setdefault(parent, []).append((name, entry["mode"], entry["path"]))
    blobs = {entry["path"]: entry["sha"] for entry in entries if entry["type"] != "tree"}
    ids: dict[str, str] = {}
    for folder in sorted(children, key=lambda path: -path.count("/") if path else 1):
        body = b""
        # Git sorts a folder's name as if it ended in a slash.
        for name, mode, path in sorted(
            children[folder], key=lambda child: child[0] + ("/" if child[2] not in blobs else "")
        ):
            number = blobs.get(path) or ids.get(path, "")
            body += f"{mode.lstrip('0')} {name}\0".encode() + bytes.fromhex(number)
        ids[folder] = hashlib.sha1(f"tree {len(body)}\0".encode() + body).hexdigest()
    return ids


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


def _is_there(target: Path, blob: str) -> bool:
    try:
        return _blob_id(read_regular(target, "photo", _LARGEST_PHOTO)) == blob
    except (FileNotFoundError, TooLargeError):
        return False


def _fetch_json(url: str) -> dict[str, Any]:
    answer = json.loads(_fetch(url, _LARGEST_LIST))
    if not isinstance(answer, dict):
        raise ValueError(f"{url} did not answer with a JSON object.")
    return answer


def _fetch(url: str, largest: int) -> bytes:
    """Download the address; try again after a broken connection."""
    for attempt in range(_TRIES):
        try:
            return fetch(url, largest)
        except ConnectionError as error:
            status = getattr(error.__cause__, "code", 500)
            if attempt + 1 == _TRIES or status < 500:
                raise ConnectionError(
                    f"{error} What has arrived stays, and the next call goes on from there. "
                    'Without a network: --data sample, or "git clone '
                    f'https://github.com/{REPOSITORY}" elsewhere and --data FOLDER.'
                ) from error
            time.sleep(2**attempt)
    raise AssertionError("the loop returns or raises")


def locate(data: str, cache: str | Path | None = None) -> Path:
    """Return the folder that `--data` names: itself, or that of "download" or "sample"."""
    if not data:  # `Path` would take it for the current folder
        raise ValueError("--data expects a folder, a list or an archive, but received nothing.")
    home = Path(cache) if cache is not None else Path.home() / ".cache" / "minicnn"
    if data == "download":
        return download(home / "clothing-dataset-small")
    if data == "sample":
        from minicnn.datasets import write_clothing_sample

        return write_clothing_sample(home / "clothing-sample")
    return Path(data)


# ---------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    from reference import audit

    return audit.parser()


def run(arguments: Sequence[str] | None = None) -> int:
    from reference import audit

    return audit.run(arguments)


__all__ = ["Photos", "Reader", "Splits", "check", "decoded", "download", "find", "locate"]

if __name__ == "__main__":
    sys.exit(run())
