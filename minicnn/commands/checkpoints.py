"""Read the files that a training left behind."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_ENDINGS = (".keras", ".h5")


def checkpoints_in(paths: Iterable[Path], model: Any) -> dict[str, Any]:
    """Return the weights in files and folders by the files' names, in the order of their numbers.

    Raises `ValueError` for a folder without such files, and for weights that are not the model's.
    """
    from minicnn.models import clone_model, load_model

    files: list[Path] = []
    for path in paths:
        inside = [p for p in path.iterdir() if p.name.endswith(_ENDINGS)] if path.is_dir() else []
        if path.is_dir() and not inside:
            raise ValueError(f"--checkpoints: there are no .keras or .h5 files in {str(path)!r}.")
        files += inside or [path]
    found = {}
    for path in sorted(files, key=lambda path: _numbers_in_order(path.name)):
        name = path.name.removesuffix(path.suffix).removesuffix(".weights")
        if path.name.endswith(".weights.h5"):
            twin = clone_model(model)
            twin.load_weights(path)
            found[name] = twin.get_weights()
        else:
            other = load_model(path, compile=False)
            _check_classes(path, other, model)
            found[name] = other.get_weights()
    return found


def _check_classes(path: Path, other: Any, model: Any) -> None:
    own, theirs = (list(m.metadata.get("class_names") or []) for m in (model, other))
    if own and theirs and own != theirs:
        raise ValueError(
            f"--checkpoints expects files of the classes {', '.join(own)}, in this order. "
            f"{str(path)!r} has {', '.join(theirs)}."
        )


def _numbers_in_order(name: str) -> list[tuple[int, str]]:
    """Return a key by which epoch_2 comes before epoch_10."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
