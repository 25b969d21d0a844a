"""The same cores and the same number of threads for each side; imports nothing that computes."""

import os


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def environment(threads: int) -> dict[str, str]:
    """Return the environment variables to set before the libraries load, including NumPy."""
    return {
        # Waiting threads sleep after a tenth of a millisecond and leave their core to others.
        "OMP_WAIT_POLICY": "passive",
        "GOMP_SPINCOUNT": "5000",
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),  # NumPy's matrix product
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "-1",
    }


def set_threads(threads: int) -> None:
    """Set minicnn's threads; the other libraries' files have their own `start(threads)`."""
    from minicnn import config

    config.set_num_threads(threads)
