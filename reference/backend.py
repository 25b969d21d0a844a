"""Chooses which library computes, on which device, how precisely, and from which seed.

`start(options)` sets all of this up once, before the first model is made; `Machine.describe()` is
the first line of every command and report.
"""

import argparse
import importlib.util
import os
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import keras
import PIL

from minicnn._support.terminal import pip_install

OLDEST_KERAS, OLDEST_PILLOW = (3, 15, 1), (12, 2)


@dataclass(frozen=True)
class Machine:
    """The machine that computes; `processes` is None for one process, `strategy` for one device."""

    backend: str
    version: str
    gpus: tuple[str, ...]  # their names
    precision: str
    seed: int
    deterministic: bool
    xla: str = "auto"
    strategy: Any = None
    processes: Any = None

    def describe(self) -> str:
        parts = [self.made_with, self.precision, f"seed {self.seed}"]
        if self.deterministic:
            parts.append("deterministic")
        if self.strategy is not None:
            parts.append(f"mirrored on {self.strategy.num_replicas_in_sync} devices")
        if self.processes is not None:
            parts.append(f"process {self.processes.index} of {self.processes.count}")
        return ", ".join(parts)

    @property
    def made_with(self) -> str:
        """The things that numbers depend on besides the options: versions, and the device."""
        return (
            f"Keras {keras.__version__} on {self.version}, {self.device}, Pillow {PIL.__version__}"
        )

    @property
    def device(self) -> str:
        """The devices by name: "NVIDIA H100", "2 × NVIDIA H100", "CPU"."""
        names = [
            f"{count} × {name}" if count > 1 else name for name, count in Counter(self.gpus).items()
        ]
        return " and ".join(names) or "CPU"

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files and prints."""
        return self.processes is None or self.processes.index == 0

    def scope(self) -> AbstractContextManager[Any]:
        """Return the context in which to make models, so that each device gets its copy."""
        if self.strategy is None:
            return nullcontext()
        from reference import on_tensorflow

        return on_tensorflow.scope(self.strategy)

    def steps_per_execution(self, steps: int) -> int:
        """Return how many of an epoch's `steps` to take in one call, for a small model.

        The overhead of a call is longer than such a step. torch, and several devices, take one step
        at a time.
        """
        if self.strategy is not None or self.backend == "torch":
            return 1
        return max(1, steps)

    def jit_compile(self, small: bool) -> bool | str:
        """Return whether XLA compiles the training step.

        JAX is slow without XLA. TensorFlow on a CPU gains nothing from it (its oneDNN convolutions
        are faster than XLA's, and compiling takes seconds); on a GPU big networks gain from it.
        """
        if self.xla != "auto":
            return self.xla == "on"
        if self.backend == "jax":
            return True
        return self.backend == "tensorflow" and bool(self.gpus) and not small


def check_versions() -> None:
    """Refuse versions with known bugs in reading model files and images."""
    for name, found, oldest in (
        ("keras", keras.__version__, OLDEST_KERAS),
        ("pillow", PIL.__version__, OLDEST_PILLOW),
    ):
        numbers = tuple(int("".join(filter(str.isdigit, part)) or 0) for part in found.split("."))
        if numbers < oldest:
            wanted = ".".join(map(str, oldest))
            raise ImportError(
                f"{name} {found} has known bugs in reading files from others: "
                f"{pip_install(f'{name}>={wanted}')}"
            )


def start(options: argparse.Namespace) -> Machine:
    """Set up the backend by the options of `console.add_backend_options`, or raise `ValueError`."""
    check_versions()
    backend = keras.backend.backend()
    if options.strategy == "multiworker":
        raise ValueError(
            "--strategy multiworker: Keras 3's fit does not work under TensorFlow's "
            "MultiWorkerMirroredStrategy (keras issue 20585). Several machines train together on "
            "JAX instead: KERAS_BACKEND=jax with --coordinator, --processes, --process-id."
        )
    if options.strategy == "mirrored" and backend != "tensorflow":
        raise ValueError(f"--strategy mirrored is TensorFlow's. The backend is {backend}.")
    processes = _processes(options, backend)
    gpus, version = devices(backend, options.device, options.deterministic)
    if options.precision == "float32":
        make_exact()
    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy(options.precision)
    strategy = None
    if options.strategy == "mirrored":
        from reference import on_tensorflow

        strategy = on_tensorflow.mirrored()
    return Machine(
        backend, version, gpus, options.precision, options.seed, options.deterministic,
        options.xla, strategy, processes,
    )  # fmt: skip


def _processes(options: argparse.Namespace, backend: str) -> Any:
    given = {
        "--coordinator": options.coordinator,
        "--processes": options.processes,
        "--process-id": options.process_id,
    }
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(given):
        return None
    if missing:
        raise ValueError(
            f"Several processes need {', '.join(given)}. {', '.join(missing)} is missing."
        )
    if backend != "jax":
        raise ValueError(
            f"Several processes train together on JAX: set KERAS_BACKEND=jax. The backend is "
            f"{backend}."
        )
    if options.process_id >= options.processes:
        raise ValueError(
            f"--process-id counts from 0 to {options.processes - 1} for --processes "
            f"{options.processes}. Received {options.process_id}."
        )
    from reference.on_jax import Processes

    return Processes(options.coordinator, options.processes, options.process_id)


def make_exact() -> None:
    """Let float32 also mean float32 on a GPU.

    By default a GPU multiplies in TF32, which keeps 10 of the 23 bits of each factor: its logits
    then differ in the third digit from a CPU's and from minicnn's.
    """
    backend = keras.config.backend()
    if backend == "tensorflow":
        from reference import on_tensorflow

        on_tensorflow.make_exact()
    elif backend == "jax":
        from reference import on_jax

        on_jax.make_exact()
    elif backend == "torch":
        import torch

        torch.backends.cudnn.allow_tf32 = False  # in matrix products it is off anyway


def devices(backend: str, wanted: str, deterministic: bool) -> tuple[tuple[str, ...], str]:
    """Return the GPUs in use, and the backend's name with its version."""
    gpus: list[str] = []
    if backend == "tensorflow":
        from reference import on_tensorflow

        gpus = on_tensorflow.gpus()
        on_tensorflow.prepare(use_gpu=wanted != "cpu")
        if deterministic:
            on_tensorflow.make_deterministic()
        name = f"TensorFlow {on_tensorflow.version()}"
    elif backend == "jax":
        from reference import on_jax

        if deterministic:
            on_jax.make_deterministic()
        if wanted == "cpu":
            on_jax.use_cpu()
        gpus = on_jax.gpus()
        name = f"JAX {on_jax.version()}"
    elif backend == "torch":
        import torch

        if os.environ.get("KERAS_TORCH_DEVICE") != "cpu":
            gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        if wanted == "cpu" and gpus:
            raise ValueError("torch takes the GPU that it finds: set KERAS_TORCH_DEVICE=cpu.")
        if deterministic:
            torch.use_deterministic_algorithms(True)
        name = f"torch {torch.__version__}"
    else:
        raise ValueError(f"KERAS_BACKEND should be tensorflow, jax or torch. Received {backend!r}.")
    if wanted == "gpu" and not gpus:
        raise ValueError(
            f"--device gpu: {name} finds no GPU. Is the driver there (nvidia-smi), and is this the "
            f"build for GPUs? {pip_install('tensorflow[and-cuda]', 'jax[cuda13]')} installs both; "
            "--device auto goes on without."
        )
    return tuple(gpus) if wanted != "cpu" else (), name


def default(seed: int = 0) -> Machine:
    """Return a machine with the default settings, in float32, for use from Python."""
    return start(
        argparse.Namespace(
            strategy="none", device="auto", deterministic=False, seed=seed, precision="float32",
            xla="auto", coordinator=None, processes=None, process_id=None,
        )
    )  # fmt: skip


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
