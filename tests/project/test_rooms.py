"""Floors say which room may import which; `ast` reads the imports from the source.

A room is a file or folder of `minicnn/`. Each imports only from lower floors, so a reader who
starts at the bottom never meets a name from above, and the formulas never depend on what is
checked against them. Heavy libraries stay in the few places that need them.
"""

import ast
import functools
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import minicnn

PACKAGE = Path(minicnn.__file__).parent

# The lowest floor comes first. A room imports only from floors earlier in this list, never from its
# own or a later one. Rooms that are planned may be listed here before they exist.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("compat", "shapes"),
    ("_support", "config", "naive"),
    ("compilation", "plots"),
    ("compiler",),
    ("kernels",),
    ("functional",),
    ("ops",),
    ("losses",),
    ("constraints", "initializers", "regularizers"),
    ("metrics", "optimizers"),
    ("layers",),
    ("activations", "callbacks", "saving"),
    ("graph",),
    ("training",),
    ("models",),
    ("datasets", "images"),
    ("applications", "backend", "preprocessing", "utils"),
    ("check", "explain"),
    ("lessons",),
    ("commands",),
    ("__init__", "__main__"),
)
# Imports inside functions that may lead up: users find these names in the lower room, though a
# higher floor does the work.
DOORS = {
    ("minicnn.callbacks", "minicnn.explain"),  # History._repr_html_
    ("minicnn.config", "minicnn.compiler"),  # num_threads, set_num_threads
    ("minicnn.layers", "minicnn.models"),  # serialize, deserialize: Keras has them there
    ("minicnn.layers.base", "minicnn.explain"),  # Layer.explain, Layer._repr_html_
    ("minicnn.models.model", "minicnn.explain"),  # Model.trace
    ("minicnn.saving", "minicnn.models"),  # load_model, save_model: Keras has them there, too
}
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

# The only rooms that may import a library, and the libraries that may be imported only inside
# functions, so that `import minicnn` does not load them.
ONLY_IN = {
    "llvmlite": ("compiler", "kernels"),
    "keras": ("check",),
    "tensorflow": ("check",),
}
LAZY = {
    *("IPython", "PIL", "h5py", "keras", "markdown_it", "matplotlib", "pygments", "rich"),
    *("simplejpeg", "tensorboard", "tensorflow"),
}
KNOWN_LIBRARIES = {"numpy", *ONLY_IN, *LAZY}


class Import(NamedTuple):
    """One imported module; `lazy` if it happens inside a function or for type checkers only."""

    line: int
    module: str
    lazy: bool


def is_lesson(path: Path) -> bool:
    """Return whether this is a script that is run, not imported, and uses minicnn as readers do."""
    return path.parent.name == "lessons" and path.name.startswith(("lesson_", "homework_clothes"))


def source_files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if not is_lesson(path))


def module_name(path: Path) -> str:
    """Return a name as `minicnn.layers.base`; a package's `__init__.py` has the package's name."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def room(module: str) -> str:
    """Return the room of a dotted name within the package; the package itself is `__init__`."""
    return [*module.split("."), "__init__"][1]


FILES = source_files()
MODULES = {module_name(path): path for path in FILES}
IDS = list(MODULES)


@functools.cache
def imports(module: str, source: str) -> list[Import]:
    """Return everything that this source imports, in any form, with absolute names."""
    package = module if MODULES.get(module, Path()).name == "__init__.py" else _parent(module)
    return list(_imports(ast.parse(source), package, lazy=False))


def _parent(module: str) -> str:
    return module.rpartition(".")[0]


def _imports(node: ast.AST, package: str, lazy: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(child.lineno, alias.name, lazy) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                up = package.split(".")[: len(package.split(".")) - child.level + 1]
                base = ".".join([*up, *([base] if base else [])])
            for alias in child.names:
                full = f"{base}.{alias.name}"
                # `from minicnn import shapes` imports a module, `from minicnn.shapes import pair`
                # something inside one.
                inside = full in MODULES or base == "minicnn"
                yield Import(child.lineno, full if inside else base, lazy)
        elif not isinstance(child, ast.expr):  # no expression imports
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            yield from _imports(child, package, lazy or function or typing_only)


def own(found: Import) -> bool:
    return found.module.split(".")[0] == "minicnn"


def target_room(found: Import) -> str:
    """Return the room that an import leads to; a name of `minicnn` itself leads to `__init__`."""
    name = room(found.module)
    known = any(room(module) == name for module in MODULES)
    return name if known else "__init__"


def is_door(module: str, found: Import) -> bool:
    """Return whether the import may lead up, because it is lazy and in the table."""
    return found.lazy and any(
        module == here and (found.module + ".").startswith(there + ".") for here, there in DOORS
    )


def test_the_guide_lists_every_room_from_the_bottom() -> None:
    guide = Path(__file__).parents[2] / ".github" / "CONTRIBUTING.md"
    if not guide.exists():
        pytest.skip("installed without its repository")
    table = guide.read_text("utf-8").partition("| room | what is in it |")[2].partition("\n\n")[0]
    columns = [row.split("|")[1] for row in table.strip().splitlines()[1:]]
    listed = [name for cell in columns for name in re.findall(r"`(\w+)/?`", cell)]
    assert sorted(listed) == sorted(FLOOR_OF.keys() - {"__init__", "__main__"})
    assert [FLOOR_OF[name] for name in listed] == sorted(FLOOR_OF[name] for name in listed)


def broken_floors(module: str, source: str) -> list[str]:
    """Return a sentence for each import that does not lead down."""
    here = room(module)
    return [
        f"{module}, line {found.line}: {here} (floor {FLOOR_OF[here]}) imports {there} "
        f"(floor {FLOOR_OF.get(there)})"
        for found in imports(module, source)
        if own(found)
        for there in [target_room(found)]
        if there != here and FLOOR_OF.get(there, len(FLOORS)) >= FLOOR_OF[here]
        if not is_door(module, found)
    ]


def misplaced_libraries(module: str, source: str) -> list[str]:
    """Return a sentence for each library that is imported where it should not be."""
    complaints = []
    for found in imports(module, source):
        library = found.module.split(".")[0]
        if own(found) or library in sys.stdlib_module_names:
            continue
        where = f"{module}, line {found.line}: {library}"
        if library not in KNOWN_LIBRARIES:
            complaints.append(f"{where} is not among the libraries that minicnn uses")
        if library in ONLY_IN and room(module) not in ONLY_IN[library]:
            places = ", ".join(f"minicnn/{place}" for place in ONLY_IN[library])
            complaints.append(f"{where} is imported outside {places}")
        if library in LAZY and not found.lazy:
            complaints.append(f"{where} is imported outside a function")
    return complaints


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@functools.cache
def own_names(room_name: str) -> frozenset[str]:
    """Return all names that files of this room define: functions, classes, attributes, variables.

    A named tuple's methods are everybody's.
    """
    found = {"_asdict", "_fields", "_make", "_replace"}
    for path in (path for module, path in MODULES.items() if room(module) == room_name):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
    return frozenset(found)


def borrowed_names(module: str, source: str) -> list[str]:
    """Return a sentence for each private name that belongs to another room, or to a library.

    A class may use what it inherits: that is what `self._name` is.
    """
    known = own_names(room(module))
    return [
        f"{module}, line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in known
        if not (isinstance(node.value, ast.Name) and node.value.id in ("cls", "os", "self"))
    ]


# -- the package keeps the rules -----------------------------------------------------------------


def test_every_room_has_a_floor() -> None:
    rooms = {room(module) for module in MODULES}
    unknown = sorted(rooms - FLOOR_OF.keys())
    assert not unknown, (
        f"minicnn has a room that no floor knows: {', '.join(unknown)}. "
        "Add it to FLOORS in tests/project/test_rooms.py, above all that it imports."
    )


def test_no_room_is_on_two_floors() -> None:
    assert len(FLOOR_OF) == sum(len(rooms) for rooms in FLOORS)


@pytest.mark.parametrize("module", IDS)
def test_imports_lead_down(module: str) -> None:
    assert broken_floors(module, MODULES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("module", IDS)
def test_libraries_stay_where_they_belong(module: str) -> None:
    assert misplaced_libraries(module, MODULES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("module", IDS)
def test_no_room_uses_the_private_names_of_another(module: str) -> None:
    assert borrowed_names(module, MODULES[module].read_text(encoding="utf-8")) == []


@pytest.mark.slow
def test_files_of_one_room_do_not_import_in_circles() -> None:
    """Files of a room may import each other, but there is an order in which to read them."""
    graph = {
        module: {
            found.module
            for found in imports(module, path.read_text(encoding="utf-8"))
            if found.module in MODULES and found.module != module and not is_door(module, found)
        }
        for module, path in MODULES.items()
    }
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"imports go round in a circle: {' -> '.join(error.args[1])}")
    assert order.index("minicnn.shapes") < order.index("minicnn.models")


# -- breaking the rules is noticed -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("minicnn.naive", "from minicnn import functional", "naive .* imports functional"),
        ("minicnn.naive", "import minicnn.kernels.pooling", "imports kernels"),
        ("minicnn.compiler.kernel", "from minicnn import kernels", "compiler .* imports kernels"),
        ("minicnn.config", "from minicnn.compiler import threads", "config .* imports compiler"),
        ("minicnn.naive", "from minicnn.kernels.pooling import max_pool2d", "imports kernels"),
        ("minicnn.naive", "from .. import functional", "imports functional"),
        ("minicnn.shapes", "from . import functional", "imports functional"),
        ("minicnn.layers.base", "from ..models import Model", "imports models"),
        ("minicnn.losses", "from minicnn import metrics", "losses .* imports metrics"),
        ("minicnn.functional", "def f():\n    from minicnn.layers import Conv2D", "line 2"),
        ("minicnn.shapes", "import minicnn", "imports __init__"),
        ("minicnn.shapes", "from minicnn import Model", "imports __init__"),
    ],
)
def test_an_import_that_leads_up_is_noticed(module: str, source: str, complaint: str) -> None:
    (found,) = broken_floors(module, source)
    assert re.search(complaint, found)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("minicnn.models.model", "from minicnn.layers import Conv2D"),
        ("minicnn.layers.core", "from minicnn.layers.base import Layer"),
        ("minicnn.layers.core", "from .base import Layer"),
        ("minicnn.naive", "import math\nimport numpy as np\nfrom minicnn import shapes"),
    ],
)
def test_an_import_that_leads_down_is_allowed(module: str, source: str) -> None:
    assert broken_floors(module, source) == []
    assert any(own(found) for found in imports(module, source))


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("minicnn.kernels.simd", "import numba", "numba is not among the libraries"),
        ("minicnn.functional", "import llvmlite", "outside minicnn/compiler, minicnn/kernels"),
        ("minicnn.functional", "def f():\n    from llvmlite import ir", "line 2: llvmlite"),
        ("minicnn.images.files", "from PIL import Image", "PIL is imported outside a function"),
        ("minicnn.plots", "class A:\n    import matplotlib.figure", "outside a function"),
        ("minicnn.check", "import keras", "keras is imported outside a function"),
        ("minicnn.losses", "def f():\n    import keras", "keras is imported outside minicnn/check"),
        ("minicnn.losses", "import tensorflow.keras", "outside minicnn/check"),
        ("minicnn.images.files", "import scipy.ndimage", "scipy is not among the libraries"),
    ],
)
def test_a_misplaced_library_is_noticed(module: str, source: str, complaint: str) -> None:
    assert any(complaint in found for found in misplaced_libraries(module, source))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("minicnn.kernels.simd", "import llvmlite\nfrom llvmlite import ir"),
        ("minicnn.compiler.machine", "import llvmlite.binding as llvm"),
        ("minicnn.plots", "def f():\n    import matplotlib.figure"),
        ("minicnn.check", "def f():\n    import keras, tensorflow"),
        ("minicnn.images.files", "if TYPE_CHECKING:\n    from PIL.Image import Image"),
    ],
)
def test_a_library_in_its_place_is_allowed(module: str, source: str) -> None:
    assert misplaced_libraries(module, source) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("layer._graph", ["minicnn.saving.hdf5, line 1: layer._graph"]),
        (
            "def f(model):\n    return model.optimizer._state",
            ["minicnn.saving.hdf5, line 2: model.optimizer._state"],
        ),
        ("class A:\n    def f(self):\n        return self._graph, self.__dict__", []),
        ("part._replace(name='a')", []),
        ("weights._within(layer)", []),  # of the same room
    ],
)
def test_a_borrowed_private_name_is_noticed(source: str, found: list[str]) -> None:
    assert borrowed_names("minicnn.saving.hdf5", source) == found


# -- importing the package -------------------------------------------------------------------------


def loaded_after(statement: str) -> set[str]:
    """Return the top-level modules that a fresh Python has loaded after this statement."""
    code = f"{statement}\nimport sys\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.split())


@pytest.mark.slow
def test_importing_minicnn_and_asking_for_threads_load_nothing_heavy() -> None:
    """Not even LLVM is loaded: kernels load at the first call that needs them.

    Notebooks set the number of threads first.
    """
    loaded = loaded_after("import minicnn; minicnn.config.set_num_threads(2)")
    assert {"minicnn", "numpy"} <= loaded
    assert loaded & {*ONLY_IN, *LAZY, "numba", "scipy", "pandas"} == set()


@pytest.mark.slow
def test_what_a_first_prediction_does_not_need_is_imported_when_it_is_first_used() -> None:
    code = """
import sys, minicnn
for name in ("applications", "datasets", "explain", "plots", "preprocessing", "utils"):
    assert f"minicnn.{name}" not in sys.modules, name
assert set(minicnn.__all__) <= set(dir(minicnn))  # so a notebook completes the names all the same
for name in minicnn.__all__:
    assert getattr(minicnn, name)
assert minicnn.explain is sys.modules["minicnn.explain"]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.slow
def test_every_module_imports_without_keras() -> None:
    """So do those that `import minicnn` does not load: check, commands, the kernels."""
    statement = "\n".join(f"import {module}" for module in MODULES if "__main__" not in module)
    loaded = loaded_after(statement)
    assert "llvmlite" in loaded
    assert loaded & {*LAZY, "numba"} == set()


# -- public names ----------------------------------------------------------------------------------


@pytest.mark.parametrize("module", IDS)
def test_every_name_in_all_exists(module: str) -> None:
    if module == "minicnn.__main__":
        assert "__all__" not in MODULES[module].read_text(encoding="utf-8")
        return
    loaded = importlib.import_module(module)
    names = getattr(loaded, "__all__", [])
    assert [name for name in names if not hasattr(loaded, name)] == []
    assert len(names) == len(set(names)), "a name stands twice"


def test_the_package_exports_its_main_names() -> None:
    assert {"Input", "Model", "Sequential", "layers", "losses", "optimizers"} <= set(
        minicnn.__all__
    )


def public_without_docstring(source: str) -> list[str]:
    """Return which of the module and its public functions and classes have no docstring."""
    tree = ast.parse(source)
    silent = [] if ast.get_docstring(tree) else ["the module"]
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in tree.body:
        if isinstance(node, definitions) and not node.name.startswith("_"):
            silent += [] if ast.get_docstring(node) else [f"{node.name} (line {node.lineno})"]
    return silent


@pytest.mark.parametrize("module", IDS)
def test_what_is_public_has_a_docstring(module: str) -> None:
    assert public_without_docstring(MODULES[module].read_text(encoding="utf-8")) == []


def test_a_missing_docstring_is_noticed() -> None:
    source = '"""A module."""\ndef f():\n    return 1\ndef _g():\n    return 2'
    assert public_without_docstring(source) == ["f (line 2)"]
    assert public_without_docstring("x = 1") == ["the module"]
