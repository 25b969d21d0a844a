"""The default dtype, as in `keras.config`: float32 unless you choose float64."""

import numpy as np

_floatx = "float32"


def floatx() -> str:
    """Return the dtype of layers that name none: `"float32"` or `"float64"`."""
    return _floatx


def set_floatx(value: str) -> None:
    """Set the default dtype of layers made from now on. Raises `ValueError` for other names."""
    global _floatx
    _floatx = standardize_dtype(value)


def epsilon() -> float:
    """Return 1e-7, as Keras: how far a loss keeps probabilities from 0 and 1 in a logarithm."""
    return 1e-7


def standardize_dtype(value: object) -> str:
    """Return `"float32"` or `"float64"` for a name, a NumPy dtype or None (the default)."""
    if value is None:
        return _floatx
    if isinstance(value, dict):  # Keras's files keep {"class_name": "DTypePolicy", "config": {...}}
        value = value.get("config", {}).get("name")
    try:
        name = np.dtype(value).name  # type: ignore[call-overload]
    except TypeError:
        name = repr(value)
    if name not in ("float32", "float64"):
        raise ValueError(f'dtype must be "float32" or "float64". Received {value!r}.')
    return str(name)
