"""Run a model forward and backward on one image and write an interactive HTML page about it.

    build(model, x, "page.html", class_names=["dress", …])

The page holds the graph, the weights, and the outputs and gradients of all layers, as base64 of
little-endian numbers; its modules compute everything else from them in the browser, also what the
layers make of other images. `best_plan` leaves out as little as possible of what is too big, and
the page says what that is.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minicnn._support.atomic import replacing
from minicnn.explain.arithmetic import check_place
from minicnn.explain.classes import kind_of
from minicnn.explain.page import learning
from minicnn.explain.page.checkpoints import Past, weights_of
from minicnn.explain.page.document import page_of, pixel_range
from minicnn.explain.page.given import check_finite, images_of, one_output, pictures_of, reading_of
from minicnn.explain.page.others import Others
from minicnn.explain.page.passes import Use, backward, check_outputs, uses_of
from minicnn.explain.page.plan import best_plan, is_cut, says
from minicnn.explain.page.rivals import Rival, rivals_of
from minicnn.explain.page.wording import LANGUAGES, Message, message, tables, wording
from minicnn.explain.show import count
from minicnn.layers.base import Array
from minicnn.models import Model

LIMIT = 24_000_000  # characters of numbers in a page
_CEILINGS = {
    "relu6": 6,
    **dict.fromkeys(("hard_sigmoid", "hard_sigmoid(slope=0.2)", "hard_tanh"), 1),
    **dict.fromkeys(("sigmoid", "softmax"), 1),
}
_CEILINGS |= {"sparse_sigmoid": 1, "tanh": 1}


def build(
    model: Model,
    x: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    y: Any = None,
    output: int | str | None = None,
    class_names: Sequence[str] | None = None,
    photo: Any = None,
    title: str | Message | None = None,
    data: Any = None,
    checkpoints: Any = None,
    against: Any = None,
    name: str | None = None,
    language: str = "en",
    limit: int = LIMIT,
) -> Any:
    """Build the page of `model` looking at `x`; return it as text, or write it and return `path`.

    A place on the page has an address: "page.html#conv2d_1/11,30,6/backward" opens the layer
    conv2d_1 at row 11, column 30 and map 6 of its input's gradient (without "/backward" of its
    output).

    Args:
        model: a `Sequential` or `Model` whose input is one image, or line.
        x: (n, height, width, channels), or lines, (n, steps, channels); or without the batch axis.
            The page begins with the first image, and can switch to the others (24 at most) and
            compare two of them. If it lacks kernels to compute their outputs, it has outputs
            instead, of as many layers as fit for all images.
        y: where backward starts. The class that the loss is for: a number, a class name or a
            one-hot row; by default the most likely one. For a model without classes, the place of
            a number in its output; by default the largest number.
        output: for a model with several outputs, the one to show, by its number or its layer's
            name; by default the first.
        class_names: one for each class; by default the model's own (`model.metadata`).
        photo: a path or `PIL` image to show larger beside what the model sees; of several images
            a list.
        title: the title of the page (or a message of its words); by default the model's name.
        data: (x, y), images and their classes, from which the model can learn in the page: in
            batches of them in turn, so shuffle them before. The page keeps as many as fit.
        checkpoints: {name: model or weights} of other times of the training, in order: the page
            slides between them and the model.
        against: another model, or {name: model}: the page shows each photo in both networks side by
            side, and in which layers and weights they differ. Layers are matched by name, kind and
            shape, the last ones of two classifiers by shape alone, and classes by their names. A
            model that takes other numbers: {name: (model, images)}.
        name: what the page calls the model beside others; by default its own name.
        language: "en" or "de", in which the page begins; a button on the page switches.
        limit: how many characters the page's numbers may take; the page leaves out what does not
            fit.

    Raises:
        ValueError: x is not an image for this model; weights or outputs are NaN or infinite; names,
            y or data do not fit the model; there is no such language; the model is too big for the
            page, whatever is left out.
    """
    _check_words(language, title)
    images = images_of(model, x)
    pictures = pictures_of(images, photo)
    x = images[:1]
    check_finite(model, images)
    names = list(class_names or model.metadata.get("class_names") or [])
    whole, before = model, weights_of(model, checkpoints or {})
    reading = reading_of(model)
    model, notes = one_output(model, output)
    scores, tape = model.forward(x)
    uses, places = uses_of(model, tape, x)
    check_outputs(uses)
    kind = kind_of(model, scores)
    target = _target(model, kind, scores, y, names)
    backward(model, tape, places, uses, kind, scores, target)
    last = places[id(tape)][id(model.outputs[0])]
    facts: dict[str, Any] = {
        "title": title or model.name,
        "language": language,
        "model": name or model.name,
        "classes": names,
        "kind": kind,
        "target": target,
        "output": last,
        "range": pixel_range(images),
        "interpolation": reading,
        "kinds": {type(use.layer).__name__: wording(use.layer) for use in uses},
    }
    if data is not None:
        classes = 2 if kind == "sigmoid" else scores.shape[-1]
        given = learning.examples(data, model, classes if kind else 2**31)
        facts["learning"] = learning.facts_of(model, uses, kind, *given)
    others = Others(images[1:])
    rivals = rivals_of(against, uses, images, kind, names, output)
    past = Past(whole, before, uses)
    (plan, described, arrays), half = _with_past(past, model, uses, limit, others, rivals)
    arrays.limit = limit
    pixels = [described[0]["y"], *others.pixels(described, arrays)]
    facts["stored"] = 1 + len(uses[0].others)
    facts["photos"] = [{**p, "at": at} for p, at in zip(pictures, pixels, strict=True)]
    facts["against"] = [rival.describe(described, pixels, arrays, half) for rival in rivals]
    if before:
        facts["checkpoints"] = past.described(arrays)
    numbers = arrays.text()
    notes += says(plan, uses, described)
    notes += [message("note.rival", name=r.name) for r in rivals if r.outputs >= 0]
    notes += [rival.note for rival in rivals if rival.note]
    facts |= {"nodes": described, "arrays": arrays.table, "notes": notes}
    page = page_of(facts, numbers)
    return page if path is None else _written(page, Path(path))


def _check_words(language: str, title: Any) -> None:
    """Raise `ValueError` or `TypeError` unless the page has the language and can say the title."""
    if language not in LANGUAGES:
        raise ValueError(
            f"A page speaks {' or '.join(map(repr, LANGUAGES))}. Received language={language!r}."
        )
    known = isinstance(title, dict) and title.get("key") in tables()[language]
    if not (title is None or isinstance(title, str) or known):
        raise TypeError(
            f"A page expects title to be a text, or a message of its words. Received {title!r}."
        )


def _written(page: str, path: Path) -> Path:
    with replacing(path) as temporary:
        # A byte of a photo's name that is no text appears as in Python, "\\udce9".
        temporary.write_text(page, "utf-8", "backslashreplace")
    return path


def _with_past(
    past: Past, model: Model, uses: list[Use], limit: int, others: Others, rivals: list[Rival]
) -> tuple[Any, bool]:
    """Return the best plan that leaves room for the checkpoints, too; see `_planned`."""

    def planned(past: Past) -> tuple[Any, str]:
        found = _planned(model, uses, limit - past.characters, others, rivals)
        return found, past.lost(found[0][1])

    try:
        found, lost = planned(past)
        if not lost:
            return found
    except ValueError:
        if not past.weights:
            raise
        lost = ""
        _planned(model, uses, limit, others, rivals)  # what is too large by itself says so
    try:
        fewer = len(past.weights) > 1 and not planned(past.smallest())[1]
    except ValueError:
        fewer = False
    raise past.refusal(lost, fewer)


def _planned(
    model: Model, uses: list[Use], limit: int, others: Others, rivals: list[Rival]
) -> tuple[Any, bool]:
    """Return the best plan with room for the rest, and whether rivals' weights take 11 bits."""
    found = None
    for half in (False, True) if rivals else (False,):
        room = limit - sum(rival.characters(half) for rival in rivals)
        found = best_plan(uses, room - others.characters)
        if found and len(others.images) and not others.are_computed(found[1]):
            others.look(model, uses, room)
            found = best_plan(uses, room)
        if found and not (rivals and is_cut(found[1])):
            return found, half
    if rivals:
        for rival in rivals:
            rival.store_outputs(limit // (1 + len(rivals)))
        room = limit - sum(rival.taken for rival in rivals)
        others.look(model, uses, room)
        if found := best_plan(uses, room):
            return found, half
        listed = " and ".join(repr(rival.name) for rival in rivals)
        raise ValueError(
            f"{model.label} and {listed} do not fit into a page of {limit / 1e6:g} million "
            "characters: pass smaller or fewer images."
        )
    if len(others.images) and best_plan(uses, limit):
        raise ValueError(
            f"{count(1 + len(others.images), 'image')} of {model.label} do not fit into a page of "
            f"{limit / 1e6:g} million characters: pass fewer or smaller images."
        )
    raise ValueError(
        f"{model.label} is too big for a page of {limit / 1e6:g} million characters, even "
        "with four kernels per layer: pass a smaller image, or show a part of the model with "
        "Model(model.input, model.get_layer(name).output)."
    )


def _target(model: Model, kind: str, output: Array, y: Any, names: list[str]) -> int:
    """Return the class that the loss is for; without classes, the output to explain."""
    if not kind:
        if y is None:
            # The largest number below the activation's ceiling: no gradient flows back from there.
            last = model.outputs[0].node.layer
            ceiling = _CEILINGS.get(last.activation_name, getattr(last, "max_value", None))
            below = output[0] < (math.inf if ceiling is None else ceiling)
            return int(np.where(below, output[0], -math.inf).argmax())
        shape = output.shape[1:]
        return int(np.ravel_multi_index(check_place(model.label, shape, y, "output"), shape))
    classes = 2 if kind == "sigmoid" else output.shape[1]
    if names and len(names) != classes:
        raise ValueError(
            f"The model distinguishes {classes} classes. Received {len(names)} class names."
        )
    if y is None:
        return int(output[0, 0] > 0.5) if kind == "sigmoid" else int(output[0].argmax())
    if isinstance(y, str):
        if y not in names:
            there = f"There are {', '.join(names)}." if names else "The model has no class names."
            raise ValueError(f"There is no class {y!r}. {there}")
        return names.index(y)
    row = np.asarray(y)
    row = row[0] if row.ndim and (row.ndim == 2 or len(row) != classes) else row
    wanted = int(row.argmax()) if row.ndim == 1 and row.size > 1 else int(row.reshape(-1)[0])
    if not 0 <= wanted < classes:
        raise ValueError(f"y must be a class from 0 to {classes - 1}. Received {wanted}.")
    return wanted
