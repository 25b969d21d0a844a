"""What the docstrings of layers say about them, for the page."""

import inspect
import re

from minicnn.layers.base import Layer


def wording(layer: Layer) -> dict[str, str]:
    """Return `does`, what a layer computes in a sentence, and `formula`, if its docstring has one.

    The sentence is the docstring's first paragraph without "No weights."; the formula is the lines
    that are set apart.
    """
    text = type(layer).__dict__.get("__doc__") or ""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    does = " ".join(paragraphs[0].split()).replace(" No weights.", "").replace("`", "")
    apart = [p for p in paragraphs[1:] if p.startswith("    ")]
    formula = "\n".join(line[4:].rstrip() for line in "\n".join(apart).split("\n"))
    return {"does": re.sub(r":$", ".", does), "formula": formula}
