"""The interactive page: one self-contained HTML file that shows where each number comes from.

`build` runs the model and writes the page; the `.js` files beside it are the page's own arithmetic
(`engine.js`) and its looks, inlined at build.
"""

from minicnn.explain.page.build import build, kind_of

__all__ = ["build", "kind_of"]
