"""Processes may be forked while threads compute or compile."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# It forks with threads before and after, and results stay the same.
FORKS = """
import multiprocessing, os, threading
import numpy as np
from minicnn import functional
from minicnn.compiler import threads

x = np.random.default_rng(0).standard_normal((8, 65, 65, 20)).astype("float32")

def run(_=None):  # of more tasks than there are threads
    return functional.average_pool2d(functional.relu(x), 3, 2, "same")

def same(got):
    return all((y == expected).all() for y in got)

def in_threads():
    got = []
    def work():
        got.extend(run() for _ in range(30))
    workers = [threading.Thread(target=work) for _ in range(4)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    return len(got) == 120 and same(got)

def in_child(function):
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if function() else 1)
        finally:
            os._exit(2)
    return child

def ended_well(child):
    return os.waitpid(child, 0)[1] == 0

def team():
    return len(threads._team.members)

expected = run()
assert threads.count() == 3 and team() == 2
assert in_threads()
child = in_child(lambda: threads._team is None and in_threads() and team() == 2)
assert same([run() for _ in range(5)]), "the parent goes on"
assert ended_well(child)
assert ended_well(in_child(lambda: ended_well(in_child(lambda: same([run()])))))
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert same(pool.map_async(run, range(4)).get(300))
for count in (1, 2, 7, 16):
    threads.set_count(count)
    assert same([run()]) and team() == max(2, count - 1)
    assert ended_well(in_child(lambda: same([run()]) and threads.count() == count))
# While another thread computes, the team is not the child's.
stop = threading.Event()
def work():
    while not stop.is_set():
        run()
worker = threading.Thread(target=work)
worker.start()
assert all([ended_well(in_child(lambda: same([run(), run()]))) for _ in range(20)])
stop.set()
worker.join()
print("well")
"""

# While another thread compiles, it holds a lock that a child would never see released.
COMPILING = """
import os, threading, time
import numpy as np
import minicnn
from minicnn.compiler import machine
from minicnn.compiler.kernel import kernel

@kernel(tasks=len, writes="")
def one(task, x):
    x[task] += 1

@kernel(tasks=len, writes="")
def two(task, x):
    x[task] += 2

within, really = threading.Event(), machine.machine_code
def slowly(*text):
    if not within.is_set():
        within.set()
        time.sleep(0.3)  # meanwhile the other thread forks
    return really(*text)

def ended_well(child):
    if child == 0:
        try:
            two(y)
            one(y)
            os._exit(0 if y.tolist() == [3, 3, 3] else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0

x, y = np.zeros(3), np.zeros(3)
machine.machine_code = slowly
compiling = threading.Thread(target=one, args=(x,))
compiling.start()
assert within.wait(100)
assert all([ended_well(os.fork()) for _ in range(4)])
compiling.join()
assert x.tolist() == [1, 1, 1]
print("well")
"""


def told(path: Path, script: str, **environment: str) -> str:
    """Run the script and return what it prints; it is a file, since kernels read their source."""
    path.write_text(script)
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(path)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_processes_are_forked_and_threads_share_kernels(tmp_path: Path) -> None:
    assert told(tmp_path / "forks.py", FORKS, MINICNN_NUM_THREADS="3") == "well\n"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_process_is_forked_while_a_thread_compiles(tmp_path: Path) -> None:
    kept = str(tmp_path / "kernels")
    assert told(tmp_path / "compiling.py", COMPILING, MINICNN_CACHE_DIR=kept) == "well\n"


@pytest.mark.slow
def test_a_forked_process_that_comes_first_has_all_threads() -> None:
    """A server does this when it loads the model, forks, and only then predicts."""
    code = (
        "import os, numpy as np\n"
        "from minicnn import functional, kernels\n"
        "from minicnn.compiler import threads\n"
        "kernels.elementwise\n"
        "if os.fork() == 0:\n"
        "    functional.relu(np.ones((2, 2**17), 'float32'))\n"
        "    os._exit(len(threads._team.members))\n"
        "print(os.waitstatus_to_exitcode(os.wait()[1]))\n"
    )
    environment = {**os.environ, "MINICNN_NUM_THREADS": "3"}
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, env=environment, timeout=300) == b"2\n"
