"""The course's transfer learning, done with Keras: photos in, a trained model file out.

    python -m reference.train --data clothing-dataset-small      one model
    python -m reference.course --data clothing-dataset-small     all experiments, one report

Rooms, lowest floor first; each imports only from those above it in this list:

    console        what the commands share: options, progress bars, errors in one sentence
    backend        which library computes (TensorFlow, JAX, torch), on which device, how precisely
    on_tensorflow  the only file that imports tensorflow
    on_jax         the only file that imports jax: several processes, one training
    data           class folders, the download, checks, pixels
    model          the frozen base, the head behind it, and the model file
    features       what the frozen base says of each photo, computed once and kept
    batches        the order in which photos are learned from, the same after an interruption
    figures        intervals, plots, pages
    fitting        one training run: checkpoints, resuming
    train, sweep, evaluate, predict, export, course
                   the steps; each is a function to import and a command with --help

Keras itself says which backend computes: `KERAS_BACKEND=jax python -m reference.train …`.
"""

import os

# TensorFlow tells of every CPU feature it found, on stderr, before it says anything of use.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
