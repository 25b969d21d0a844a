"""The version: the wheel, `minicnn.__version__` and `minicnn --version` read it here."""

__version__ = "0.1.0"
