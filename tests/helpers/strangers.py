"""Opens files that nobody should trust, in a process of its own; `opened_apart` of test_saving.

    python strangers.py load_model FILES             python strangers.py load_weights FILES MODEL

FILES is a folder; MODEL a `.keras` file of the model that takes the weights (`by_name`, too).
Prints a line of JSON for each file, in the order of their names: what was raised, by how many bytes
the process grew at most (what HDF5 allocates counts, too), and whether a weight changed.
"""

import json
import resource
import sys
import warnings
from pathlib import Path

import numpy as np

from minicnn import models

ROOM = 3 * 2**29  # bytes of address space beside what Python and the libraries have taken


def peak() -> int:
    """Bytes in memory at the highest point so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    how, folder, *rest = sys.argv[1:]
    warnings.simplefilter("ignore")
    model = models.load_model(rest[0]) if rest else None
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, taken + ROOM))
    for path in sorted(Path(folder).iterdir()):
        before, size = model.get_weights() if model else [], peak()
        error = None
        try:
            if model is None:
                models.load_model(path)
            else:
                model.load_weights(path, by_name=how == "by_name")
        except BaseException as caught:
            error = caught
        after = model.get_weights() if model else []
        changed = any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(before, after))
        print(
            json.dumps(
                {
                    "file": path.name,
                    "error": None if error is None else type(error).__name__,
                    "message": str(error),
                    "grown": peak() - size,
                    "changed": changed,
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
