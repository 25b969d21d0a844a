"""Measures how fast minicnn and the reference are on your own machine.

python -m benchmarks                                    minicnn beside its peers, on a CPU
KERAS_BACKEND=jax python -m benchmarks.accelerator      the reference on a GPU (or on a CPU)
python -m benchmarks.page                               the interactive page, in a browser

The files of the first, in reading order:

    threads        the same cores for all sides
    harness        compares results, then times the sides in turns
    operations     the sizes, their data, and the least work they need
    ours, on_tensorflow, on_onnx, on_torch
                   the sides
    limits         the best that the machine can do
    layers, networks, training, startup, scaling
                   the subjects; `built` has their networks, `processes` starts fresh processes
    report, plots  tables, JSON, plots
"""
