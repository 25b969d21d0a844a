"""Every public name that users import is still there, with its arguments.

`tests/files/public_names.json` lists them by module: functions with their parameters, classes with
those of their constructor and public methods (for a class that Keras has, too: the methods that
Keras has, and those of ours that users are told of). New names and arguments pass unnoticed. A name
or argument that is gone, moved or now required fails the test, until someone decides to take it out
of the list. This prints the line of a new name; of a class's members, those that the list has of
another class of its module:

    python tests/project/test_public_names.py minicnn.layers.Conv2D
"""

import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any

import pytest

LIST = Path(__file__).parents[1] / "files" / "public_names.json"

MODULES = [
    "minicnn",
    "minicnn.activations",
    "minicnn.applications",
    "minicnn.applications.convnext",
    "minicnn.applications.densenet",
    "minicnn.applications.efficientnet",
    "minicnn.applications.efficientnet_v2",
    "minicnn.applications.imagenet",
    "minicnn.applications.inception_resnet_v2",
    "minicnn.applications.inception_v3",
    "minicnn.applications.mobilenet",
    "minicnn.applications.mobilenet_v2",
    "minicnn.applications.mobilenet_v3",
    "minicnn.applications.nasnet",
    "minicnn.applications.resnet",
    "minicnn.applications.resnet50",
    "minicnn.applications.resnet_v2",
    "minicnn.applications.vgg16",
    "minicnn.applications.vgg19",
    "minicnn.applications.xception",
    "minicnn.backend",
    "minicnn.callbacks",
    "minicnn.check",
    "minicnn.compilation",
    "minicnn.config",
    "minicnn.constraints",
    "minicnn.datasets",
    "minicnn.datasets.cifar10",
    "minicnn.datasets.cifar100",
    "minicnn.datasets.fashion_mnist",
    "minicnn.datasets.mnist",
    "minicnn.explain",
    "minicnn.functional",
    "minicnn.images",
    "minicnn.initializers",
    "minicnn.layers",
    "minicnn.lessons",
    "minicnn.losses",
    "minicnn.metrics",
    "minicnn.models",
    "minicnn.naive",
    "minicnn.ops",
    "minicnn.optimizers",
    "minicnn.plots",
    "minicnn.preprocessing",
    "minicnn.preprocessing.image",
    "minicnn.regularizers",
    "minicnn.saving",
    "minicnn.shapes",
    "minicnn.utils",
]

# One string per parameter, as in a signature: "x", "x=", "*xs", "*, x", "*, x=", "**options".
Parameters = list[str]
# For a class: its constructor under "", methods by name, and None for a property or a value.
Members = dict[str, Parameters | None]
# By name in a module: a function's parameters, a class's members, or None for any other value.
Names = dict[str, Parameters | Members | None]


def parameters(function: Any) -> Parameters:
    """Return a function's parameters without `self`; if it has no signature, any arguments."""
    try:
        found = list(inspect.signature(function).parameters.values())
    except ValueError:
        return ["*args", "**kwargs"]
    prefixes = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**", "KEYWORD_ONLY": "*, "}
    return [
        prefixes.get(p.kind.name, "") + p.name + ("" if p.default is p.empty else "=")
        for p in found
        if p.name != "self"
    ]


def members(cls: type) -> Members:
    """Return the constructor, and the public members that its bases in minicnn define."""
    found: Members = {"": parameters(cls)}
    for ancestor in cls.__mro__:
        if ancestor.__module__.split(".")[0] != "minicnn":
            continue
        for name in vars(ancestor):
            if not name.startswith("_") and name not in found:
                value = inspect.getattr_static(cls, name)
                method = inspect.isfunction(value) or isinstance(value, classmethod | staticmethod)
                found[name] = parameters(getattr(cls, name)) if method else None
    return found


def described(value: Any) -> Parameters | Members | None:
    """Return what the list says about one value."""
    if inspect.isclass(value):
        return members(value)
    return parameters(value) if inspect.isroutine(value) else None


def complaints(name: str, expected: Parameters | Members | None, value: Any) -> list[str]:
    """Return a sentence for each thing that code written for `expected` would miss."""
    if isinstance(expected, list):
        return argument_complaints(name, expected, parameters(value)) if callable(value) else [name]
    found = []
    for member, signature in (expected or {}).items():
        if not member:
            found += argument_complaints(name, signature or [], parameters(value))
        elif not hasattr(value, member):
            found.append(f"{name} has no {member}")
        elif signature is not None:
            found += complaints(f"{name}.{member}", signature, getattr(value, member))
    return found


def argument_complaints(name: str, expected: Parameters, received: Parameters) -> list[str]:
    """Return a sentence for each argument that is gone, has moved, or is now required."""
    received = [p for p in received if p != "self"]
    by_name = {bare(p): p for p in received}
    by_position = [bare(p) for p in received if not p.startswith("*")]
    found = []
    positional = [bare(p) for p in expected if not p.startswith("*")]
    for position, parameter in enumerate(positional):
        if by_position[position : position + 1] != [parameter]:
            found.append(f"{name} has no argument {parameter} at position {position}")
    for parameter in expected:
        if parameter.startswith("*") and bare(parameter) not in by_name:
            found.append(f"{name} has no argument {parameter}")
    optional = {bare(p) for p in expected if p.endswith("=")}
    for parameter in received:
        alone = parameter.startswith("*") and not parameter.startswith("*, ")
        new = bare(parameter) not in {bare(p) for p in expected}
        if not alone and not parameter.endswith("=") and (new or bare(parameter) in optional):
            found.append(f"{name} cannot do without {bare(parameter)}")
    return found


def bare(parameter: str) -> str:
    """Return the parameter's name, with any `*` or `**`: such arguments are not passed by name."""
    return parameter.removeprefix("*, ").removesuffix("=")


EXPECTED: dict[str, Names] = json.loads(LIST.read_text(encoding="utf-8"))


def test_the_list_has_every_module() -> None:
    assert list(EXPECTED) == MODULES
    assert sum(len(names) for names in EXPECTED.values()) > 340


@pytest.mark.parametrize("module", MODULES)
def test_public_names_keep_their_arguments(module: str) -> None:
    loaded = importlib.import_module(module)
    found = []
    for name, expected in EXPECTED[module].items():
        if not hasattr(loaded, name):
            found.append(f"{module} has no {name}")
        else:
            found += complaints(f"{module}.{name}", expected, getattr(loaded, name))
    assert found == []


class Example:
    """The tests of this test look at this class."""

    size = 3

    def __init__(self, x: int, y: int = 1, *, z: int = 2) -> None: ...

    def method(self, a: int, b: int = 0) -> None: ...


def test_what_is_still_there_gives_no_complaint() -> None:
    assert complaints("Example", {"": ["x", "y=", "*, z="], "size": None}, Example) == []
    assert complaints("Example", {"": ["x"], "method": ["a"]}, Example) == []  # there may be more
    assert complaints("SIZE", None, 3) == []
    assert parameters(Example) == ["x", "y=", "*, z="]
    assert described(Example.method) == ["a", "b="]


@pytest.mark.parametrize(
    ("expected", "complaint"),
    [
        ({"": ["x", "y=", "w="]}, "Example has no argument w at position 2"),
        ({"": ["y="]}, "Example has no argument y at position 0"),
        ({"": ["x", "*, w="]}, "Example has no argument *, w="),
        ({"": ["x", "**options"]}, "Example has no argument **options"),
        ({"": ["x="]}, "Example cannot do without x"),
        ({"": []}, "Example cannot do without x"),
        ({"": ["x"], "gone": None}, "Example has no gone"),
        ({"": ["x"], "method": ["a", "c="]}, "Example.method has no argument c at position 1"),
        ({"": ["x"], "size": ["a"]}, "Example.size"),
    ],
)
def test_what_is_gone_is_noticed(expected: Members, complaint: str) -> None:
    assert complaint in complaints("Example", expected, Example)


if __name__ == "__main__":
    for full_name in sys.argv[1:]:
        parent, _, last = full_name.rpartition(".")
        found = described(getattr(importlib.import_module(parent), last))
        if isinstance(found, dict):
            listed = {m for one in EXPECTED[parent].values() if isinstance(one, dict) for m in one}
            found = {member: how for member, how in found.items() if member in listed}
        print(f"  {json.dumps(last)}: {json.dumps(found)},")
