"""Keras's file formats, read and written: `.keras` and `.weights.h5`."""
