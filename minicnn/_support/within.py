"""Sets an attribute of a thread for a block of code, and sets it back whatever happens there."""

import threading
from typing import Any


class Within:
    """A context manager within which `here`, a `threading.local`, has this value by this name.

    It is no generator, because an interrupt between the generator and its block would leave the
    value set, until Python happens to collect the generator. Here nothing is called between setting
    the value and entering the block, so that no interrupt can come.
    """

    __slots__ = ("_before", "_here", "_name", "_value")

    def __init__(self, here: threading.local, name: str, value: Any) -> None:
        self._here, self._name, self._value = here, name, value

    def __enter__(self) -> None:
        self._before = getattr(self._here, self._name)
        self._here.__dict__[self._name] = self._value

    def __exit__(self, *_: Any) -> None:
        self._here.__dict__[self._name] = self._before
