"""Put the interactive page together: template, style, modules, facts and numbers in one text."""

import base64
import html
import json
import re
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any
from urllib.parse import quote

from minicnn.explain.page.wording import message, said, tables
from minicnn.images import load_img
from minicnn.layers.base import Array


def pixel_range(x: Array) -> list[float]:
    """Return [scale, offset], which turn x's pixels into bytes, to show them."""
    low, high = float(x.min()), float(x.max())
    if low >= -1.01 and low < -0.01 and high <= 1.01:
        return [127.5, 127.5]
    if low >= -0.01 and high <= 1.01:
        return [255.0, 0.0]
    if low >= -0.5 and high <= 255.5:
        return [1.0, 0.0]
    scale = 255 / ((high - low) or 1)
    return [scale, -low * scale]


def data_uri(photo: Any) -> str:
    """Return a photo (a path or a PIL image) as a JPEG of at most 640 pixels per side."""
    import io

    from PIL import Image

    if not isinstance(photo, Image.Image):
        photo = load_img(photo)
    photo = photo.convert("RGB")
    photo.thumbnail((640, 640))
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def modules() -> dict[str, str]:
    """Return the page's modules as an import map from "page/app.js" and so on to `data:` URLs.

    The browser loads them as it loads files, so each has a scope of its own, and importing a name
    that a module does not export is an error. Relative imports would not work: a `data:` URL has
    no folder. The sources stand in the URLs as they are, except for what a URL or the page's
    element would end at or leave out; in base64 they would take a third more.
    """
    found = {}
    for name, file in _scripts(resources.files("minicnn.explain.page"), "page"):
        # Error messages and the browser's tools take the module's name from this last line.
        source = file.read_text(encoding="utf-8") + f"//# sourceURL={name}\n"
        for character in "%#<\n":  # "%" first
            source = source.replace(character, quote(character))
        found[name] = f"data:text/javascript,{source}"
    return found


def _scripts(folder: Traversable, name: str) -> Iterator[tuple[str, Traversable]]:
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.is_dir():
            yield from _scripts(file, f"{name}/{file.name}")
        elif file.name.endswith(".js"):
            yield f"{name}/{file.name}", file


def _json(value: Any) -> str:
    """Return a value as JSON in which no string ends the element that contains it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def page_of(facts: dict[str, Any], numbers: str) -> str:
    """Return the page as text: `facts` in JSON, `numbers` in base64, and all else that it needs."""
    folder = resources.files("minicnn.explain.page")
    language = facts["language"]
    parts = {
        "language": language,
        "title": html.escape(said(message("title.page", title=facts["title"]), language)),
        "unpacking": said(message("page.unpacking"), language),
        "needs_javascript": said(message("page.needs_javascript"), language),
        "style": (folder / "page.css").read_text(encoding="utf-8"),
        "words": _json(tables()),
        "data": _json(facts),
        "numbers": numbers,
        "modules": json.dumps({"imports": modules()}, ensure_ascii=False),
    }
    template = (folder / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match.group(1)], template)
