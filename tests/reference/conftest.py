"""Options that make a run small, and a run that several tests share."""

import sys
import types
from contextlib import chdir, contextmanager

import pytest

from reference import backend, loggers
from reference import train as training


@pytest.fixture(autouse=True, scope="module")
def _elsewhere(tmp_path_factory):
    """Leave what commands write by default, such as runs/, in no checkout."""
    with chdir(tmp_path_factory.mktemp("elsewhere")):
        yield


@pytest.fixture(scope="session")
def options(clothes, tiny_base, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return [
        "--data", str(clothes), "--base", str(tiny_base), "--image-size", "48", "--cache",
        str(cache),
    ]  # fmt: skip


@pytest.fixture(scope="session")
def trained(options, tmp_path_factory):
    """Return the folder of one small run of `reference.train`."""
    output = tmp_path_factory.mktemp("trained")
    told = ["--epochs", "3", "--learning-rate", "0.05", "--output", str(output)]
    with eager():
        assert training.run([*options, *told]) == 0
    return output


@contextmanager
def eager():
    tensorflow = pytest.importorskip("tensorflow")
    tensorflow.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tensorflow.config.run_functions_eagerly(False)


@pytest.fixture
def eagerly():
    """Run eagerly: TensorFlow would trace each run's steps, which takes longer than the steps."""
    with eager():
        yield


class Fake(types.ModuleType):
    """A module that records the calls of its functions, under both services' names."""

    def __init__(self, name, calls, broken=()):
        super().__init__(name)
        self.calls, self.broken = calls, broken

    def Settings(self, **told):  # noqa: N802 (wandb's name)
        return told

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*given, **named):
            self.calls.append((name, given, named))
            if name in self.broken:
                raise ConnectionError("the server is gone.\nTraceback …")
            return types.SimpleNamespace(
                info=types.SimpleNamespace(run_id="run-1"), id="run-1", log=self.log,
                summary=types.SimpleNamespace(update=self.update), save=self.save,
                finish=self.finish,
            )  # fmt: skip

        return call


@pytest.fixture
def fakes(monkeypatch):
    made = {}
    for name in loggers.LOGGERS:
        made[name] = Fake(name, [])
        monkeypatch.setitem(sys.modules, name, made[name])
    monkeypatch.setattr(backend, "installed", lambda package: True)
    return made
