"""Methods that stand on a low floor and are written on a high one.

`Layer.explain` and `Model.trace` belong to layers and models, where a reader, `help()` and a type
checker look for them. What they do takes all of `minicnn.explain`, which is built upon layers and
models. So the methods call `inside.bodies`, and where those are, `minicnn/__init__.py` says, which
stands above all: nothing below names what is above it. They are imported at the first call, so that
`import minicnn` stays quick.
"""

import importlib
from functools import cached_property
from typing import Any


class _Inside:
    where = ""  # the module that has them

    @cached_property
    def bodies(self) -> Any:
        return importlib.import_module(self.where).Inside


inside = _Inside()
