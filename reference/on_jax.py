"""Code for JAX, above all for several processes that train one model; only this file imports it.

Every process runs the same program on its own photos. Keras's `DataParallel` keeps a copy of the
weights in each and averages the gradients, so all copies stay equal, and equal to those of one
process that sees all photos. Keras 3's `fit` cannot do this on TensorFlow (keras issue 20585).
"""

import atexit
import os
import re
import subprocess
import sys
from typing import Any

import jax
import keras
import numpy as np

from reference.console import reason

Array = np.ndarray


def version() -> str:
    return str(jax.__version__)


def gpus() -> list[str]:
    return [device.device_kind for device in jax.devices() if device.platform == "gpu"]


def use_cpu() -> None:
    jax.config.update("jax_platforms", "cpu")


def make_exact() -> None:
    """Compute products and convolutions of float32 in float32, not in TF32."""
    jax.config.update("jax_default_matmul_precision", "highest")


def make_deterministic() -> None:
    """Make GPU programs deterministic; XLA reads this when it compiles the first one."""
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()


# Seconds without a sign of life after which a process counts as lost.
HEARTBEAT = 20
MEETING = 120  # seconds within which all processes should have started

# If a process loses another one, JAX ends it inside C++, where Python cannot print anything. So a
# second, tiny process waits for a message that all went well, and prints a sentence if none comes.
_WATCHER = """
import sys
if sys.stdin.read() != "done":
    print(sys.argv[1], file=sys.stderr, flush=True)
"""


class Processes:
    """The group of processes that train together; this one is number `index` of `count`."""

    def __init__(self, coordinator: str, count: int, index: int) -> None:
        """Join the group. Raises `ConnectionError` if it does not come together."""
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        self._sentence = (
            f"Process {index} of {count} (meeting at {coordinator}) ended before its work did: it, "
            "or another process, or the connection between them was lost. Start all of them again "
            "with --resume: the run goes on after its last whole epoch."
        )
        self._watcher = subprocess.Popen(
            [sys.executable, "-c", _WATCHER, self._sentence],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that Ctrl-C does not reach it
        )
        atexit.register(self._went_well)  # not called when JAX, or a signal, ends the process
        try:
            jax.distributed.initialize(
                coordinator,
                count,
                index,
                initialization_timeout=MEETING,
                heartbeat_timeout_seconds=HEARTBEAT,
                shutdown_timeout_seconds=HEARTBEAT,
            )
        except Exception as error:
            raise ConnectionError(
                f"Process {index} of {count} did not meet the others at {coordinator}: "
                f"{reason(error)}. Start the same command with every --process-id from 0, all with "
                "one --coordinator."
            ) from error
        self.count, self.index = count, index

    def end_if_lost(self, error: Exception) -> None:
        """End this process at once, with a sentence, if the error says that another one is gone.

        JAX's own exit would wait for the others and print a page of C++. It raises a `ValueError`
        or a `JaxRuntimeError`; the message says what happened.
        """
        if re.search(r"gloo|coordination service|heartbeat|UNAVAILABLE|ABORTED", str(error), re.I):
            print(self._sentence, file=sys.stderr, flush=True)
            self._went_well()
            os._exit(2)

    def _went_well(self) -> None:
        """Tell the watcher that the work is done, or has ended with its own message."""
        if self._watcher.poll() is None:
            self._watcher.communicate("done")

    def distribute(self) -> None:
        """Let new models have a copy in each process and learn together from here on.

        Each process brings its own slice of every batch (`auto_shard_dataset=False`).
        """
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(auto_shard_dataset=False)
        )

    def agree(self, yes: bool) -> bool:
        """Return whether all processes say yes."""
        return bool(self.gather(np.array([yes]), self.count).all())

    def gather(self, own: Array, total: int) -> Array:
        """Return the rows of all processes in order, in each; every process brings its `share`."""
        from jax.experimental import multihost_utils

        longest = -(-total // self.count)
        padded = np.zeros((longest, *own.shape[1:]), own.dtype)
        padded[: len(own)] = own
        stacked = np.asarray(multihost_utils.process_allgather(padded))
        shares = [self.share(total, index) for index in range(self.count)]
        return np.concatenate(
            [rows[: share.stop - share.start] for rows, share in zip(stacked, shares, strict=True)]
        )

    def share(self, total: int, index: int | None = None) -> slice:
        """Return which of `total` rows are this process's, or that of `index`."""
        index = self.index if index is None else index
        return slice(total * index // self.count, total * (index + 1) // self.count)


def here(model: Any) -> Any:
    """Return the model as a function of an array, which this process computes alone."""
    run = jax.jit(lambda weights, x: model.stateless_call(*weights, x, training=False)[0])

    def outputs(x: Array) -> Array:
        own = [
            [variable.value.addressable_data(0) for variable in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables)
        ]
        return np.asarray(run(own, x))

    return outputs


def compiled(model: Any) -> Any:
    """Return the model as a compiled function of an array that is already on the device."""
    weights = [
        [variable.value for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]
    run = jax.jit(lambda weights, x: model.stateless_call(*weights, x, training=False)[0])
    return lambda x: run(weights, x)
