"""The page's words are in one table for each language, and nowhere else."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from pages import open_layer, photo, small_cnn, wait

from minicnn import commands, layers
from minicnn.explain import page
from minicnn.explain.page import build
from minicnn.explain.page.wording import LANGUAGES, message, said, tables
from minicnn.layers.applications import APPLICATIONS
from minicnn.layers.arithmetic import OPERATIONS

ROOM = Path(page.__file__).parent
PLACE = re.compile(r"\{(\w+)(?:\|([^|}]*)\|([^|}]*))?\}")
ENGLISH = tables()["en"]
OTHERS = [name for name in LANGUAGES if name != "en"]


def test_the_command_takes_each_language():
    for name in LANGUAGES:
        words = ["explain", "model.keras", "photo.jpg", "--language", name]
        assert commands.make_parser().parse_args(words).language == name


@pytest.mark.parametrize("language", OTHERS)
def test_each_language_says_everything(language):
    table = tables()[language]
    documented = {f"does.{name}" for name in [*layers.LAYERS, *OPERATIONS, *APPLICATIONS]}
    assert set(table) == set(ENGLISH) | documented  # in English these are the layers' docstrings
    for key, text in ENGLISH.items():
        other = table[key]
        assert {m[1] for m in PLACE.finditer(other)} == {m[1] for m in PLACE.finditer(text)}, key
        # A space at an end separates a text from what follows.
        ends = [(t[0].isspace(), t[-1].isspace()) for t in (text, other)]
        assert ends[0] == ends[1], key
    assert all(text.strip() for text in table.values())


def test_a_table_has_what_the_page_says_and_no_more():
    files = [*ROOM.rglob("*.js"), *ROOM.rglob("*.py"), ROOM.parents[1] / "commands/explain.py"]
    source = "\n".join(path.read_text("utf-8") for path in files)
    said_there = re.findall(r'\b(?:words|message)\(\s*"([\w.]+)"', source)
    assert set(said_there) <= set(ENGLISH)
    named = set(re.findall(r'"([a-z_]+(?:\.\w+)*)"', source))
    # A key with a value in it, such as `word.${colour}`.
    made = [
        re.split(r"\$\{.*?\}", key) for key in re.findall(r"`([a-z_]+\.[^`]*\$\{[^`]*)`", source)
    ]
    patterns = re.compile("|".join(r"\w+".join(map(re.escape, parts)) for parts in made))
    needless = [key for key in ENGLISH if key not in named and not patterns.fullmatch(key)]
    assert needless == []


def test_values_stand_in_a_text():
    assert said(message("learn.step_of", k=2, n=5)) == "step 2 of 5"
    assert said(message("card.more", n=1)) == "+ 1 map"
    assert said(message("card.more", n=2), "de") == "+ 2 Karten"
    two = [message("note.some", name="a", kept=4, n=8), "b", message("others", n=3)]
    assert said(two) == "a (4 of 8), b and 3 others"
    assert said(two, "de") == "a (4 von 8), b und 3 weitere"
    assert said(message("note.outputs", n=65536)).startswith(
        "The outputs of layers with more than 65\u202f536 of them"
    )


def test_a_language_that_the_page_lacks_is_refused():
    with pytest.raises(ValueError, match=r"speaks 'en' or 'de'\. Received language='fr'"):
        build(small_cnn(), photo((12, 12, 3)), language="fr")


# -- in the browser -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def german_page(tmp_path_factory):
    path = tmp_path_factory.mktemp("german") / "page.html"
    return build(small_cnn(), photo((12, 12, 3)), path, language="de", title="Netz")


def test_a_page_speaks_german_and_says_so(german_page, opened):
    tab = opened(german_page)
    assert tab.evaluate("document.documentElement.lang") == "de"
    assert tab.title() == "Netz · von innen"
    assert "Vorwärts: vom Foto zur Ausgabe" in tab.locator(".caption").inner_text()
    open_layer(tab, "second")
    assert "sucht überall nach kleinen mustern" in tab.locator(".purpose").inner_text().lower()
    assert "Zeile" in tab.locator(".side figcaption").last.inner_text()
    verdict = tab.locator(".verdict").inner_text()
    assert "minicnn sagt" in verdict
    assert re.search(r"\d\.\d", verdict)  # numbers are as in Python
    assert "language" not in tab.evaluate("location.hash")


def test_a_reader_chooses_a_language_and_the_link_keeps_it(german_page, opened):
    tab = opened(german_page)
    open_layer(tab, "second")
    tab.get_by_role("button", name="English").click()
    wait(tab, "document.documentElement.lang === 'en'")
    assert tab.title() == "Netz · see inside"
    assert "minicnn says" in tab.locator(".verdict").inner_text()
    address = tab.evaluate("location.hash")
    assert address.endswith("/language=en")
    tab.go_back()
    wait(tab, "document.documentElement.lang === 'de'")
    other = opened(german_page, address=address)
    assert "minicnn says" in other.locator(".verdict").inner_text()
    other.evaluate("location.hash = '#second/language=fr'")
    other.wait_for_selector(".notice")
    assert "does not speak “fr”" in other.locator(".notice").inner_text()


def test_reasons_of_a_changed_network_change_their_language(german_page, opened):
    tab = opened(german_page)
    tab.evaluate("page.changeConfig(page.net.nodes.find((n) => n.name === 'second').id, {})")
    tab.evaluate("page.net.nodes.at(-1).known = false; page.recompute()")
    wait(tab, "page.net.reason(page.net.output).startsWith('Die Seite hat hier keine Formel')")
    tab.evaluate("page.speak('en')")
    wait(tab, "page.net.reason(page.net.output).startsWith('The page has no formula')")


def foreign(text):
    """A text in letters of another alphabet, around the places of its values."""

    def strange(part):
        return "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalpha() else c for c in part)

    parts, end = [], 0
    for match in PLACE.finditer(text):
        name, one, many = match.groups()
        inside = name if one is None else f"{name}|{strange(one)}|{strange(many)}"
        parts += [strange(text[end : match.start()]), f"{{{inside}}}"]
        end = match.end()
    return "".join([*parts, strange(text[end:])])


SHOWN = """() => {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_ALL);
    for (let node = walker.currentNode; node; node = walker.nextNode()) {
        if (node.parentElement?.closest("script, style, noscript, [lang]:not(html)")) continue;
        if (node.nodeType === Node.TEXT_NODE) found.push(node.textContent);
        for (const name of ["aria-label", "title", "alt", "placeholder", "aria-valuetext"]) {
            if (node.getAttribute?.(name)) found.push(node.getAttribute(name));
        }
    }
    return found;
}"""

# Names, formulas and keys are the same in all languages.
NEUTRAL = {
    *("max", "min", "log", "tanh", "exp", "softmax", "momentum", "weight_decay"),
    *("dL", "dz", "dy", "dx", "alpha", "gamma", "beta"),
    *("SGD", "Nesterov", "RMSprop", "Adam", "AdamW", "SVG", "PNG", "Esc", "EN", "DE"),
}


def strangers(tab, allowed):
    """The words on the page that are in none of its tables."""
    return sorted(words_in(tab.evaluate(SHOWN)) - allowed)


def words_in(texts):
    return {word for text in texts if text for word in re.findall(r"[A-Za-z]{2,}", text)}


def names_of(tab):
    return tab.evaluate(
        """() => {
            const { net } = page;
            const all = [net.title, ...net.classes, ...net.photos.map((p) => p.name)];
            for (const node of net.nodes) {
                all.push(node.name, node.type, node.formula, ...Object.keys(node.params));
                all.push(JSON.stringify(node.config), ...node.path, node.group);
            }
            return all;
        }"""
    )


def in_a_foreign_alphabet(path):
    """The page, whose tables are in an alphabet that no name or formula has."""
    text = path.read_text("utf-8")
    start = text.index('id="words">') + len('id="words">')
    end = text.index("</script>", start)
    words = {key: foreign(said_) for key, said_ in tables()["de"].items()}
    given = json.dumps({"en": words, "de": words}, ensure_ascii=False)
    other = path.with_name(f"foreign-{path.name}")
    other.write_text(text[:start] + given.replace("<", "\\u003c") + text[end:], "utf-8")
    return other


def test_nothing_is_said_outside_of_the_tables(everything, opened):
    """In the numbers of all layers, forward and backward, and in what a layer shows."""
    tab = opened(in_a_foreign_alphabet(everything[2]))
    allowed = {*NEUTRAL, *words_in(names_of(tab))}
    assert strangers(tab, allowed) == []
    wrong = {}
    for mode in ("forward", "backward"):
        tab.evaluate(f"page.setMode('{mode}')")
        wait(tab, f"page.state.mode === '{mode}'")
        seen = tab.evaluate(
            f"""() => page.net.nodes.slice({int(mode == "backward")}).map(({{ id }}) => {{
                page.set({{ tab: "number" }});
                page.openLayer(id);
                return ({SHOWN})();
            }})"""
        )
        for number, texts in enumerate(seen):
            if words := words_in(texts) - allowed:
                wrong[mode, number] = words
    assert wrong == {}


# What each view is called, and what leads there.
VIEWS = {
    "overview": "page.overview()",
    "two photos": "page.compare({ view: 'compare' }, { other: 1, rival: null })",
    "a layer of two": "(page.openLayer(2), page.compare({ tab: 'compare' }))",
    "two networks": "page.compare({ view: 'compare' }, { other: null, rival: 0 })",
    "a layer of both": "(page.openLayer(2), page.compare({ tab: 'compare' }))",
    "weights": "page.openLayer(2), page.set({ tab: 'weights' })",
    "places": "page.openLayer(2), page.set({ tab: 'places' })",
    "what if": "page.openLayer(2), page.set({ tab: 'whatif' }), page.changeCell(1, 0, 3)",
    "heat": "page.set({ view: 'heat' })",
    "learn": "page.openLearning().then(() => page.course.take())",
    "backward weights": "page.setMode('backward')"
    ".then(() => (page.openLayer(2), page.set({ tab: 'weights' })))",
    "backward": "page.overview()",
}
DIALOGS = ("help", "save", "add-photo", "add-drawing", "tour")


@pytest.fixture(scope="module")
def page_with_all_views(tmp_path_factory):
    x = np.concatenate([photo((12, 12, 3), seed) for seed in range(3)])
    last = {"first": small_cnn().get_weights()}
    path = tmp_path_factory.mktemp("views") / "page.html"
    return build(small_cnn(), x, path, data=(x, [0, 1, 2]), checkpoints=last)


@pytest.mark.parametrize("width", [320, 900, 1280])
def test_german_words_fit_into_the_window(width, page_with_all_views, opened):
    tab = opened(page_with_all_views, width, address="#/language=de")
    wide = []
    for name, act in VIEWS.items():
        tab.evaluate(f"() => {{ return {act}; }}")
        if tab.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(name)
    assert wide == []


def test_no_view_says_anything_outside_of_the_tables(page_with_all_views, opened):
    tab = opened(in_a_foreign_alphabet(page_with_all_views))
    allowed = {*NEUTRAL, *words_in(names_of(tab))}
    wrong = {}
    for name, act in VIEWS.items():
        tab.evaluate(f"() => {{ return {act}; }}")
        if name == "heat":
            wait(tab, "Number(page.root.dataset.heats) > 0")
        if words := strangers(tab, allowed):
            wrong[name] = words
    for name in DIALOGS:
        tab.locator(f'[data-focus="{name}"]').click()
        if words := strangers(tab, allowed):
            wrong[name] = words
        if name == "tour":
            while tab.locator(".tour .primary").count():
                tab.locator(".tour .primary").click()
                wrong |= {f"tour {words}": words for words in [strangers(tab, allowed)] if words}
        if name != "add-photo":
            tab.keyboard.press("Escape")
    assert wrong == {}
