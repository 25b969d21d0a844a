"""Methods that stand on a low floor and are written on a high one.

`Layer.explain` and `Model.trace` belong to layers and models, where a reader, `help()` and a type
checker look for them. What they do takes all of `minicnn.explain`, which is built upon layers and
models. So the methods call `inside.bodies`, and `minicnn.explain` puts itself there when it is
imported, which `import minicnn` sees to: nothing below ever imports from above.
"""

from typing import Any


class _Inside:
    bodies: Any = None  # minicnn.explain.inside.Inside


inside = _Inside()
