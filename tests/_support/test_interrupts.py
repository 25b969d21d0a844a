"""Ctrl-C at any moment leaves nothing half-made, and the process can continue."""

import signal
import subprocess
import sys
import threading
from types import FrameType

import numpy as np
import pytest

from minicnn import initializers, layers
from minicnn._support import interrupts
from minicnn._support.within import Within
from minicnn.functional import buffers


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_an_interrupt_waits_for_the_end() -> None:
    done, before = [], signal.getsignal(signal.SIGINT)

    def work() -> None:
        with interrupts.waiting():
            interrupt()
            done.append("inner")
            with interrupts.waiting():
                interrupt()
            done.append("outer")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is before


def test_without_an_interrupt_nothing_is_raised() -> None:
    with interrupts.waiting():
        pass
    with pytest.raises(ZeroDivisionError), interrupts.waiting():
        raise ZeroDivisionError


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts.waiting():
            interrupt()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_that_is_set_meanwhile_stays() -> None:
    def other(number: int, frame: object) -> None:
        """Stands for a handler that an imported library sets."""

    before = signal.getsignal(signal.SIGINT)
    try:
        with interrupts.waiting():
            signal.signal(signal.SIGINT, other)
        assert signal.getsignal(signal.SIGINT) is other
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_leave_signals_alone() -> None:
    found = []

    def work() -> None:
        with interrupts.waiting():
            found.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


class Here(threading.local):
    """What `Within` sets."""

    value = 0


def test_no_interrupt_leaves_a_value_set() -> None:
    """Python looks for interrupts when it enters a function, and after a call."""
    here, seen = Here(), []

    def block() -> None:
        with Within(here, "value", 1):
            seen.append(here.value)

    def interrupted_at(moment: int) -> bool:
        count = 0

        def look(frame: FrameType, event: str, _: object) -> None:
            nonlocal count
            # As `__exit__` begins is the one moment that Python leaves open.
            if event in ("call", "c_return") and frame.f_code.co_name != "__exit__":
                count += 1
                if count == moment:
                    sys.setprofile(None)
                    interrupt()

        sys.setprofile(look)
        try:
            block()
        except KeyboardInterrupt as error:
            kept.append(error)  # with its frames, as a notebook does
            return True
        finally:
            sys.setprofile(None)
        return False

    kept: list[BaseException] = []
    moment = 1
    while interrupted_at(moment):
        assert here.value == 0
        moment += 1
    assert moment > 5
    assert set(seen) == {1}


# It is interrupted while it imports the compiler, compiles a kernel, imports the scheduler of
# tasks, and imports h5py.
SCRIPT = """
import builtins, os, signal, sys, tempfile
import numpy as np
import minicnn

os.environ["MINICNN_CACHE_DIR"] = tempfile.mkdtemp()
x = np.array([[-1, 2]], "float32")
really, moment = builtins.__import__, ""

def hook(name, globals=None, locals=None, fromlist=(), level=0):
    global moment
    who = (globals or {}).get("__name__", "")
    if moment and who.startswith(moment):
        moment = ""
        signal.raise_signal(signal.SIGINT)
    return really(name, globals, locals, fromlist, level)

builtins.__import__ = hook

def interrupted(function, at):
    global moment
    moment = at
    try:
        function()
    except KeyboardInterrupt:
        assert not moment
        print("interrupted at", at)
    else:
        print("not interrupted at", at)

def relu():
    return minicnn.functional.relu(x)

interrupted(relu, "llvmlite.ir")
from minicnn.compiler import machine
compile = machine.machine_code
def compile_and_interrupt(*text):
    signal.raise_signal(signal.SIGINT)
    return compile(*text)
machine.machine_code = compile_and_interrupt
try:
    relu()
except KeyboardInterrupt:
    print("interrupted while compiling")
machine.machine_code = compile
print(minicnn.compilation.count)
interrupted(relu, "minicnn.compiler.schedule")
print(relu().tolist())
print(minicnn.compilation.count)
relu()
print(minicnn.compilation.count)

model = minicnn.Sequential([minicnn.Input((2,)), minicnn.layers.ReLU()])
path = os.environ["MINICNN_CACHE_DIR"] + "/model.keras"
interrupted(lambda: model.save(path), "h5py")
model.save(path)
print(minicnn.models.load_model(path).predict(x, verbose=0).tolist())
"""


@pytest.mark.slow
def test_an_interrupted_process_goes_on() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "interrupted at llvmlite.ir",
        "interrupted while compiling",
        "1",  # the kernel that was being compiled was finished
        "interrupted at minicnn.compiler.schedule",
        "[[0.0, 2.0]]",
        "4",  # and the scheduler's three functions
        "4",
        "interrupted at h5py",
        "[[0.0, 2.0]]",
    ]


def test_an_interrupt_while_memory_is_freed_is_not_lost(monkeypatch) -> None:
    def give_back(block: object) -> None:
        raise KeyboardInterrupt

    array = buffers.empty((2**18,), np.float32)
    with monkeypatch.context() as patch:
        patch.setattr(buffers, "give_back", give_back)
        del array
    with pytest.raises(KeyboardInterrupt):
        buffers.empty((1,), np.float32)
    assert buffers.empty((1,), np.float32).shape == (1,)


def test_a_layer_that_was_interrupted_in_build_is_built_again() -> None:
    layer = layers.Dense(3, bias_initializer=Interrupted())
    x = np.ones((1, 2), np.float32)
    with pytest.raises(KeyboardInterrupt):
        layer(x)
    assert not layer.built
    layer(x)
    assert [w.name for w in layer.weights] == ["kernel", "bias"]


class Interrupted(initializers.Initializer):
    """An initializer that is interrupted once."""

    came = False

    def __call__(self, shape, dtype="float32"):
        if not self.came:
            self.came = True
            raise KeyboardInterrupt
        return np.zeros(shape, dtype)
