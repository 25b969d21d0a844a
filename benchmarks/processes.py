"""Runs code in fresh processes, for what a process can do only once, and for its peak memory."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

# The peak of this process alone. `ru_maxrss` would also count that of the process that started it.
PEAK_MEMORY = """
def peak_memory():
    import os, resource, sys
    if os.path.exists("/proc/self/status"):
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
"""


def fresh(code: str, environment: dict[str, str], timeout: float = 600) -> Any:
    """Run `code` and read the last line it prints as JSON; `ChildProcessError` if it fails.

    `code` runs in the environment that this process started with, plus `environment`. Python keeps
    the bytecode of what it imports, also of this checkout: installed libraries have theirs.
    """
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=inherited | environment | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise ChildProcessError(f"A process of the benchmark took over {timeout:.0f} s.") from None
    if done.returncode:
        words = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise ChildProcessError(f"A process of the benchmark failed: {words[0]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
