"""How fast it is, measured on the reader's own machine.

python -m benchmarks                                    minicnn beside TensorFlow, on a CPU
KERAS_BACKEND=jax python -m benchmarks.accelerator      the reference on a GPU (or on a CPU)

Of the first one, in the order to read it:

    threads        the same cores for all
    harness        agreement first, then time, in turns
    operations     the sizes, their data, what they need at the least
    ours, on_tensorflow, on_torch
                   who computes
    limits         what the machine can do at best
    layers, networks, training, startup, scaling
                   the subjects; `built` has their networks, `processes` starts fresh ones
    report, plots  tables, JSON, pictures
"""
