"""The page's words: its texts by language, and what the docstrings of layers say about them."""

import functools
import inspect
import json
import re
from importlib import resources
from typing import Any

from minicnn._support.settings import is_ours
from minicnn.layers.base import Layer

LANGUAGES = ("en", "de")  # those of the page; the first one is the usual one


@functools.cache
def tables() -> dict[str, dict[str, str]]:
    """Return the page's texts by language and key; `words.js` says how values stand in them."""
    folder = resources.files("minicnn.explain.page") / "words"
    return {
        name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        for name in LANGUAGES
    }


Message = dict[str, Any]  # a text of the page: its key, and the values in it


def message(key: str, **values: Any) -> Message:
    """Return a text for the page: numbers, texts, other messages, or lists of them stand in it."""
    return {"key": key, **values}


def said(text: Any, language: str = "en") -> str:
    """Return a message, a text, a number or a list of them in words, as `said` of `words.js`."""
    if isinstance(text, (list, tuple)):
        *others, last = (said(part, language) for part in text)
        both = message("list.and", first=", ".join(others), last=last)
        return said(both, language) if others else last
    if not isinstance(text, dict):
        return f"{text:,}".replace(",", "\u202f") if isinstance(text, int) else str(text)

    def value(match: re.Match[str]) -> str:
        name, one, many = match.groups()
        return said(text[name], language) if one is None else one if text[name] == 1 else many

    return re.sub(r"\{(\w+)(?:\|([^|}]*)\|([^|}]*))?\}", value, tables()[language][text["key"]])


def wording(layer: Layer) -> dict[str, Any]:
    """Return `does`, what a layer computes in a sentence, and `formula`, if its docstring has one.

    `own` is whether it is one of minicnn's, about which the tables of other languages have
    "does.Conv2D" and so on.

    The sentence is the docstring's first paragraph without "No weights."; the formula is the lines
    that are set apart.
    """
    text = type(layer).__dict__.get("__doc__") or ""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    does = " ".join(paragraphs[0].split()).replace(" No weights.", "").replace("`", "")
    apart = [p for p in paragraphs[1:] if p.startswith("    ")]
    formula = "\n".join(line[4:].rstrip() for line in "\n".join(apart).split("\n"))
    own = is_ours(type(layer))
    return {"does": re.sub(r":$", ".", does), "formula": formula, "own": own}
