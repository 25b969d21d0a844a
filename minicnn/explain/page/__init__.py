"""The interactive page: one self-contained HTML file that shows where each number comes from.

`build` runs the model and writes the page. The `.js` files are put into it as they are: `engine/`
and `kinds/` compute layers forward and backward, `explain/` finds the terms of a number, `learn/`
trains, `views/` draw.
"""

from minicnn.explain.classes import kind_of
from minicnn.explain.page.build import build
from minicnn.explain.page.shown import Page

__all__ = ["Page", "build", "kind_of"]
