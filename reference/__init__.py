"""The course's transfer learning, done with Keras: photos in, a trained model file out.

    python -m reference.train --data clothing-dataset-small      one model
    python -m reference.course --data clothing-dataset-small     all experiments, one report

Rooms, lowest floor first; each imports only from those above it in this list:

    archives       photos in tar and Parquet files
    calibration    how reliable probabilities are
    config         options in a file, which a run reads and writes
    lists          which photo is in which split, if folders do not show it
    served         the code that runs on a server, without this project
    sizes          a photo at several sizes, inside the model
    schedules      the learning rate during a run
    console        what the commands share: options, progress bars, errors in one sentence
    on_tensorflow  the only file that imports tensorflow
    on_jax         the only file that imports jax: several processes, one training
    backend        which library computes (TensorFlow, JAX, torch), on which device, how precisely
    data           class folders, the download, checks, pixels
    loggers        MLflow and Weights & Biases, where they are installed
    model          the frozen base, the head after it, and the model file
    report         pages of text, tables and figures
    batches        the order of the training photos, the same after an interruption
    tuning         which blocks of the base learn, too, and how fast
    augmenting     training photos that are new in each epoch
    ensemble       several trained networks, and mirror images, as one model
    features       the frozen base's output for each photo, computed once and kept
    serve          the folder for a server
    fitting        epochs, the best model so far, the state of an interrupted run
    audit          findings about the photos: the report of reference.data
    mistakes       the page of an evaluation: confused pairs, what the network looked at
    evaluate       accuracy with interval, and what else an evaluation writes
    running        one training run, from its features to its model file
    starting       the objects that commands start with, made from their options
    predict        names for photos
    export         other kinds of model files
    sweep          settings compared, with several seeds
    find_rate      a learning rate from a short training
    folds          cross-validation
    preset         the options that won on validation, and the gain of each part
    train          the command that trains one model
    compare        runs in one table
    course         all experiments of the course, and one report

Those that are commands are functions to import, and have --help.

Choose the backend as for Keras itself: `KERAS_BACKEND=jax python -m reference.train …`.
"""

import importlib
import os
import re
import signal
import sys
import tempfile
from types import FrameType, TracebackType

# Keep TensorFlow from listing every CPU feature it finds on stderr.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _command() -> str:
    """Return the module that Python runs, if it is one of ours; otherwise an empty string."""
    told = sys.orig_argv
    name = told[told.index("-m") + 1] if "-m" in told[:-1] else ""
    return name if name.partition(".")[0] in ("reference", "benchmarks") else ""


def _interrupted(number: int, frame: FrameType | None) -> None:
    """End the command at an interrupt while Keras is being imported, which takes seconds.

    `minicnn._support.early` does the same; importing it would import NumPy before benchmarks
    has set its threads.
    """
    os.write(_stderr, f"python -m {_command()}: interrupted.\n".encode())
    os._exit(130)


# TensorFlow logs these while it is imported, whatever TF_CPP_MIN_LOG_LEVEL says.
_NOISE = re.compile(rb"(WARNING: All log messages before absl|[IW]\d{4} |[IW]0000 |To enable the )")
_stderr = 2  # the descriptor of stderr while Keras is imported


def _import_keras() -> None:
    """Import Keras, and with it the backend, whose noise on stderr is filtered out."""
    global _stderr
    with tempfile.TemporaryFile() as log:
        _stderr = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            importlib.import_module("keras")
        finally:
            os.dup2(_stderr, 2)
            os.close(_stderr)
            _stderr = 2
            log.seek(0)
            for line in log:
                if not _NOISE.match(line):
                    os.write(2, line)


def _in_one_line(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """End a command that finds no Keras with a sentence."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing in {*NEEDED, "jax", "torch"}:  # the latter if KERAS_BACKEND asks for them
        from minicnn._support.terminal import pip_install

        wanted = NEEDED.values() if missing in NEEDED else [missing]
        told = f"{_command()} needs {missing}: {pip_install(*wanted)}"
        print(f"python -m {told}", file=sys.stderr)
        sys.exit(2)
    sys.__excepthook__(kind, error, traceback)


# The names for installing each library with pip: the extra "reference" of pyproject.toml.
NEEDED = {
    "keras": "keras>=3.15.1",
    "tensorflow": "tensorflow>=2.20",
    "matplotlib": "matplotlib>=3.8",
    "sklearn": "scikit-learn>=1.5",
    "scipy": "scipy>=1.12",
}
if _command():  # a program or a notebook that imports this handles interrupts itself
    sys.excepthook = _in_one_line
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        _interrupted.until_run = True  # type: ignore[attr-defined]
        signal.signal(signal.SIGINT, _interrupted)
    if _command().startswith("reference.") and _command() != "reference.data":
        _import_keras()
