"""How fast it is, measured on the reader's own machine.

KERAS_BACKEND=jax python -m benchmarks.accelerator      the reference on a GPU (or on a CPU)
"""
