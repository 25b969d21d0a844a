"""Open untrusted files in a process of their own, which `opened_apart` of `model_files` starts.

    python strangers.py load_model FILES             python strangers.py load_weights FILES MODEL

FILES is a folder; MODEL is a `.keras` file of the model that takes the weights (also `by_name`).
For each file, in the order of names, it prints a line of JSON: what was raised, by how many bytes
the process grew at most (including what HDF5 allocates), and whether a weight changed.
"""

import json
import resource
import sys
import warnings
from pathlib import Path

import numpy as np

from minicnn import models

ROOM = 3 * 2**29  # bytes of address space beyond what Python and the libraries have taken


def peak() -> int:
    """Return the most bytes that the process has had in memory so far."""
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
