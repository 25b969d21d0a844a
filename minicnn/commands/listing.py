"""The list of `minicnn check --list`: what Keras has for networks, and which of it is here."""

import contextlib
import importlib
import itertools
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import NamedTuple

from minicnn._support.terminal import say
from minicnn.compat import hints
from minicnn.compat.keras_names import NAMES, VERSION
from minicnn.layers.stand_ins import STAND_INS

VERDICTS = ("here", "opens, predicts only", "not here", "not here, for other data")
HERE, PREDICTS, MISSING, OTHER_DATA = VERDICTS


class Entry(NamedTuple):
    """A public name of a module of Keras, and whether it is here; if not, what to use instead."""

    module: str
    name: str
    verdict: str
    instead: str = ""


def entries(names: Mapping[str, Sequence[str]] = NAMES) -> Iterator[Entry]:
    """Yield an entry for each of Keras's `names`, by module."""
    for path, members in names.items():
        module = importlib.import_module(f"minicnn.{path}")
        instead = hints.INSTEAD.get(module.__name__, {})
        for name in members:
            use = f"Use {instead[name]}." if name in instead else "Use Keras itself."
            if name in vars(module):
                yield Entry(path, name, HERE)
            elif path == "layers" and name in STAND_INS:
                yield Entry(path, name, PREDICTS, use)
            else:
                yield Entry(path, name, OTHER_DATA if name in hints.OTHER_DATA else MISSING, use)


def summary(found: Sequence[Entry]) -> str:
    """Return the counts in one sentence."""
    counts = Counter(entry.verdict for entry in found)
    layers = Counter(entry.verdict for entry in found if entry.module == "layers")
    return (
        f"Of Keras's {len(found)} layers, losses and so on, {counts[HERE]} are here "
        f"({layers[HERE]} of {layers.total()} layers); files with {counts[PREDICTS]} more open "
        f"for prediction; {counts[OTHER_DATA]} are for other data, such as volumes, sequences and "
        f"text; the other {counts[MISSING]} are not here."
    )


def lines(found: Sequence[Entry]) -> Iterator[str]:
    """Yield the list as text: for each module what is here, and what to use for the rest."""
    for path, module in itertools.groupby(found, lambda entry: entry.module):
        members = list(module)
        groups: dict[tuple[str, str], list[str]] = {}
        for entry in sorted(members, key=lambda entry: VERDICTS.index(entry.verdict)):
            groups.setdefault((entry.verdict, entry.instead), []).append(entry.name)
        counted = sum(entry.verdict == HERE for entry in members)
        yield f"{path}: {counted} of {len(members)} are here"
        for (verdict, instead), names in groups.items():
            said = f"{verdict}: {', '.join(names)}" + (f". {instead}" if instead else "")
            yield from textwrap.wrap(said, 100, initial_indent="  ", subsequent_indent="    ")
        yield ""
    yield from textwrap.wrap(summary(found), 100)


def show() -> None:
    """Print the list and the counts, from Keras itself if another version of it is installed."""
    names, version = NAMES, VERSION
    with contextlib.suppress(ImportError):  # Keras, or its package, or TensorFlow is not installed
        if not metadata.version("keras").startswith(f"{VERSION}."):
            from minicnn import check

            keras = check.import_keras()
            names, version = check.keras_names(keras, NAMES), keras.__version__
    say(f"What Keras {version} has, and which of it minicnn has:\n")
    for line in lines(list(entries(names))):
        say(line)
