"""`minicnn check --list` says of each name that Keras has whether it is here."""

import importlib
import inspect
import operator
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest

from minicnn import check, commands
from minicnn.commands import listing
from minicnn.compat.keras_names import NAMES, VERSION


def verdicts() -> dict[str, str]:
    return {f"{entry.module}.{entry.name}": entry.verdict for entry in listing.entries()}


def test_verdicts():
    found = verdicts()
    assert found["layers.Conv2D"] == found["losses.mean_squared_error"] == "here"
    assert found["optimizers.schedules.CosineDecay"] == "here"
    assert found["layers.AugMix"] == "opens, predicts only"
    assert found["layers.InputSpec"] == found["activations.sparsemax"] == "not here"
    assert found["layers.LSTM"] == found["layers.Conv3D"] == "not here, for other data"


def test_what_is_not_here_has_a_hint_and_what_is_here_has_none():
    for entry in listing.entries():
        assert bool(entry.instead) == (entry.verdict != "here"), entry
    unknown = next(listing.entries({"layers": ["Conv9D"]}))
    assert unknown == ("layers", "Conv9D", "not here", "Use Keras itself.")


def test_names_are_grouped_by_what_to_use_and_counted():
    names = {"layers": ["Dense", "GRU", "Conv2D", "LSTM"], "callbacks": ["RemoteMonitor"]}
    text = "\n".join(listing.lines(list(listing.entries(names))))
    assert text.split("\n\n") == [
        "layers: 2 of 4 are here\n"
        "  here: Dense, Conv2D\n"
        "  not here, for other data: GRU, LSTM. Use Keras itself for sequences: minicnn computes "
        "images,\n"
        "    lines and features.",
        "callbacks: 0 of 1 are here\n  not here: RemoteMonitor. Use CSVLogger.",
        "Of Keras's 5 layers, losses and so on, 2 are here (2 of 4 layers); files with 0 more open "
        "for\n"
        "prediction; 2 are for other data, such as volumes, sequences and text; the other 1 are "
        "not here.",
    ]


@pytest.mark.parametrize("installed", [VERSION, None])
def test_the_list_needs_no_keras(installed, monkeypatch, capsys):
    def version(package):
        if installed is None:
            raise metadata.PackageNotFoundError(package)
        return f"{installed}.1"

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setitem(sys.modules, "keras", None)
    assert commands.main(["check", "--list"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"What Keras {VERSION} has, and which of it minicnn has:\n")
    assert "regularizers: 5 of 5 are here\n  here: L1, L1L2, L2, Orth" in printed


def test_another_version_of_keras_is_asked_for_its_names(monkeypatch, capsys):
    other = SimpleNamespace(__version__=f"{VERSION}9.0")
    monkeypatch.setattr(metadata, "version", lambda package: other.__version__)
    monkeypatch.setattr(check, "import_keras", lambda: other)
    monkeypatch.setattr(check, "keras_names", lambda keras, modules: {"layers": ("Conv2D", "New")})
    assert commands.main(["check", "--list"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"What Keras {VERSION}9.0 has")
    assert "layers: 1 of 2 are here" in printed


def test_the_list_takes_no_layer(capsys):
    assert commands.main(["check", "--list", "Conv2D"]) == 2
    assert "--list lists everything: leave out 'Conv2D'." in capsys.readouterr().err


@pytest.mark.keras
def test_the_kept_names_are_keras_s():
    keras = pytest.importorskip("keras")
    if not keras.__version__.startswith(f"{VERSION}."):
        pytest.skip(f"the kept names are those of Keras {VERSION}")
    assert check.keras_names(keras, NAMES) == NAMES


@pytest.mark.keras
@pytest.mark.parametrize("path", NAMES)
def test_what_is_here_also_has_keras_s_second_names(path):
    keras = pytest.importorskip("keras")
    ours, theirs = importlib.import_module(f"minicnn.{path}"), operator.attrgetter(path)(keras)
    for name, thing in vars(theirs).items():
        if inspect.isclass(thing) and thing.__name__ in vars(ours) and not name.startswith("_"):
            assert getattr(ours, name) is getattr(ours, thing.__name__), name
