"""The lessons run where there is no network and no TensorFlow, and their exercises can be solved.

Each lesson is run once, as a script in a process of its own; then, in what it left behind, each
exercise's cell is run again with its solution.
"""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minicnn
from minicnn import commands, lessons
from minicnn.lessons import checking, draw, library, pretrain

ROOT = Path(minicnn.__file__).parents[1]
SCRIPTS = lessons.scripts()
EXERCISES = list(checking.EXERCISES)

every_lesson = pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: s.path.stem)


def exercise_cell(lesson: int, number: int) -> str:
    """The code cell that ends in the check of this exercise."""
    found = [c for c in SCRIPTS[lesson - 1].cells if f"lesson.check({number}, " in c.text]
    assert [cell.kind for cell in found] == ["code"]
    return found[0].text


def solved_cell(lesson: int, number: int) -> str:
    """The same with the solution in the place of the dots."""
    check = exercise_cell(lesson, number).splitlines()[-1]
    return f"{checking.EXERCISES[lesson, number].solution}\n{check}"


# -- running them --------------------------------------------------------------------------------

ALONE = """
import importlib.abc, json, runpy, socket, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("keras", "tensorflow", "jax", "torch"):
            raise ModuleNotFoundError(f"{name} is not here", name=name)

def refuse(*arguments, **options):
    raise OSError("there is no network")

sys.meta_path.insert(0, Missing())
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
path, cells = sys.argv[1], json.loads(sys.argv[2])
names = runpy.run_path(path, run_name="__main__")
exec(sys.argv[3], {**names, "text": open(path, encoding="utf-8").read()})
untouched = dict(names["lesson"].solved)
print("== solutions")
for cell in cells:
    exec(cell, names)
print(json.dumps([untouched, names["lesson"].solved]))
"""


CLAIMS = {  # of the texts, about the numbers that they stand beside
    1: """
assert [kinds[y[i]] == kinds[guesses[i]] for i in some] == [False, False, True]
""",
    3: """
right, raw, unit = (accuracy(x) for x in (preprocess_input(images), images, images / 255))
assert 1 / 3 < max(raw, unit) < right - 0.05  # many more mistakes, and far from blind
said = [network.predict(x, verbose=0) for x in (preprocess_input(images), images)]
sure = [p[p.argmax(axis=1) != truth].max(axis=1).mean() for p in said]
assert sure[0] < 0.9 < sure[1]
assert (trace["block4_conv"].y[..., :24].max(axis=(0, 1, 2)) == 0).sum() > 8
""",
    4: """
assert {46, 3, 40} < set(channels)
assert 0 < row < 63 and 0 < column < 63
""",
    5: """
assert f"{make_model(new_base()).count_params():,} numbers to find" in text
assert transfer["val_accuracy"][-1] > scratch["val_accuracy"][-1] + 0.1
said = p.argmax(axis=1)[validation[1].argmax(axis=1) == new.index("shoes")]
assert np.bincount(said, minlength=4).argmax() == new.index("skirt")
""",
    6: """
late = {rate: history["val_accuracy"] for rate, history in runs.items()}
assert late[0.0001][-1] < late[0.001][-1] < 0.6 < min(late[0.1][2], late[1.0][2])
""",
    8: """
best = {size: np.mean([max(h["val_accuracy"]) for h in found]) for size, found in runs.items()}
assert max(best.values()) - min(best.values()) < 0.04
""",
    9: """
border = [np.concatenate([x[0], x[-1], x[:, 0], x[:, -1]]) for x in images[some]]
middle = np.stack([np.median(b, axis=0) for b in border])[:, None, None]
wall = np.abs(images[some] - middle).max(axis=3) < 45
shares = [s[w].mean() / s[~w].mean() for s, w in zip(strength, wall)]
assert 0.15 < min(shares) and max(shares) < 0.35, shares
""",
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder for all lessons, as a learner has it: the images are drawn once."""
    return tmp_path_factory.mktemp("lessons")


@pytest.mark.slow
@every_lesson
def test_it_runs_and_its_exercises_are_open_until_they_are_solved(script, workplace):
    pytest.importorskip("matplotlib")
    numbers = checking.exercises_of(script.number)
    cells = [solved_cell(script.number, number) for number in numbers]
    claim = CLAIMS.get(script.number, "")
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(script.path), json.dumps(cells), claim],
        cwd=workplace,
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "MPLBACKEND": "Agg",
            "PYTHONIOENCODING": "utf-8",
            "MINICNN_NUM_THREADS": "1",  # beside other tests a second thread is mostly waited for
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    before, after = done.stdout.split("== solutions\n")
    untouched, solved = json.loads(after.splitlines()[-1])
    assert untouched == {str(number): False for number in numbers}
    assert solved == {str(number): True for number in numbers}, after
    for number in numbers:
        assert f"Exercise {number}: not answered yet. Replace the dots" in before
        assert f"Exercise {number}: right!" in after
    assert "Warning" not in done.stderr

    figures = re.findall(r"^Figure: (.+) \((figures/\S+)\)$", before, re.MULTILINE)
    assert figures, before
    assert len({title for title, _ in figures}) == len(figures)
    for title, name in figures:
        assert len(title) > 5
        with Image.open(workplace / name) as image:
            assert np.asarray(image.convert("L")).std() > 5, f"{name} is nearly blank"


def test_cells_of_a_notebook_run_in_order(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for cell in lessons.notebook(lessons.find(2))["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert "(32, 64, 64, 3) (32, 10)" in capsys.readouterr().out


# -- what is in them -----------------------------------------------------------------------------


def test_there_are_ten_and_eight_follow_the_course():
    assert [script.number for script in SCRIPTS] == list(range(1, 11))
    assert [script.section for script in SCRIPTS] == [f"8.{n}" for n in range(1, 9)] + ["", ""]
    assert [script.path.name[:10] for script in SCRIPTS] == [
        f"lesson_{n:02d}_" for n in range(1, 11)
    ]


@every_lesson
def test_it_asks_for_predictions_just_before_the_cell(script):
    asks = [i for i, cell in enumerate(script.cells) if library.PREDICT in cell.text]
    assert len(asks) >= 4
    for place in asks:
        cell, after = script.cells[place : place + 2]
        assert (cell.kind, after.kind) == ("markdown", "code")
        assert library.PREDICT in cell.text.rsplit("\n\n", 1)[-1], "the question comes last"


@every_lesson
def test_its_exercises_stand_at_its_end_with_dots(script):
    numbers = checking.exercises_of(script.number)
    assert numbers == [1, 2] or numbers == [1, 2, 3]
    checks = re.findall(r"lesson\.check\((\d+), ", script.path.read_text("utf-8"))
    assert [int(number) for number in checks] == numbers
    for number in numbers:
        assert "..." in exercise_cell(script.number, number)
        assert "..." not in checking.EXERCISES[script.number, number].solution
    assert script.cells[-1].text.count("**You now know**") == 1


@every_lesson
def test_it_uses_minicnn_as_its_readers_do(script):
    """Public names alone, and no library that the reader may lack."""
    for node in ast.walk(ast.parse(script.path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            modules = [node.module or ""]
            assert not any(alias.name.startswith("_") for alias in node.names)
        else:
            if isinstance(node, ast.Attribute):
                assert not node.attr.startswith("_")
            continue
        for module in modules:
            first = module.split(".")[0]
            assert first in ("minicnn", "numpy") or first in sys.stdlib_module_names


def paragraphs() -> list[str]:
    return [
        " ".join(part.split())
        for script in SCRIPTS
        for cell in script.cells
        for part in cell.text.split("\n\n")
    ]


def test_a_term_is_explained_before_it_is_used():
    """In emphasis, as `*term*`, in the first text that has it; the lessons are read in order."""
    texts = [
        " ".join(cell.text.split())
        for script in SCRIPTS
        for cell in script.cells
        if cell.kind == "markdown"
    ]
    for term in ("one-hot", "layers", "filter", "bias", "parameters", "softmax", "epoch", "loss",
                 "optimizer", "receptive field", "overfitting", "callback"):  # fmt: skip
        first = next(text for text in texts if re.search(rf"\b{term}\b", text))
        assert re.search(rf"[*`]{term}", first), (term, first)


def test_known_slips_of_course_notes_are_put_right():
    everything = paragraphs()
    assert not [p for p in everything if "targe_size" in p]
    assert not [p for p in everything if re.search(r"\b(0|zero)\s*(–|-|to|and|…)\s*256\b", p)]
    sizes = [p for p in everything if "229" in p]
    assert len(sizes) == 1
    assert "**299**" in sizes[0]
    assert "typo" in sizes[0]
    entropy = [p for p in everything if "CategoricalCrossentropy` does not" in p]
    assert len(entropy) == 1
    assert "**takes** such rows" in entropy[0]
    assert any("no pixel has the value 256" in p for p in everything)
    assert any("must be spelled `target_size`" in p for p in everything)


# -- exercises -----------------------------------------------------------------------------------

WRONG = {
    (1, 1): [("accuracy = 0.5", "count images"), ("accuracy = 90", "from 0 to 1")],
    (1, 2): [
        ("def split(p, s):\n    return p, p[:int(s * len(p))]", "in both parts"),
        ("def split(p, s):\n    n = int(s * len(p))\n    return p[n:], p[:n]", "shuffle first"),
        ("def split(p, s):\n    return p[30:119], p[:30]", "are missing"),
        ("def split(p, s):\n    pass", "end in return"),
        ("def split(p):\n    return p, p", "TypeError"),
    ],
    (2, 1): [
        ("shape = (32, 300, 200, 3)", "rows come first"),
        ("shape = (200, 300, 3)", "the batch has an axis of its own"),
        ("shape = 32", "how many, height"),
    ],
    (2, 2): [
        ("def mirror(p):\n    return p[::-1]", "upside down"),
        ("def mirror(p):\n    return p[..., ::-1]", "red and blue"),
        ("def mirror(p):\n    return p", "nothing has moved"),
        ("def mirror(p):\n    return p.T", "should have shape (4, 5, 3)"),
        ("mirror = 3", "should be a function"),
    ],
    (2, 3): [
        ("def to_pixels(x):\n    return ((x + 1) * 128).astype(np.uint8)", "white became 0"),
        ("def to_pixels(x):\n    return ((x + 1) * 127.5).astype(np.uint8)", "round first"),
        ("def to_pixels(x):\n    return np.rint((x + 1) * 127.5)", "dtype should be uint8"),
        ("def to_pixels(x):\n    return (x + 1) * 127.5", "round them"),
        ("def to_pixels(x):\n    return (x * 255).astype(np.uint8)", "add 1 first"),
    ],
    (3, 1): [
        (
            "def top(p, names, count):\n"
            "    return [(names[i], p[i]) for i in np.argsort(p)[:count]]",
            "least probable",
        ),
        (
            "def top(p, names, count):\n"
            "    return [(names[i], p[i]) for i in np.argsort(p)[-count:]]",
            "most probable should come first",
        ),
        ("def top(p, names, count):\n    return list(zip(names, p))", "asks for two pairs"),
        ("def top(p, names, count):\n    return {'pants': 0.65, 'hat': 0.2}", "not a dict"),
    ],
    (3, 2): [("shape = (1000,)", "five photos"), ("shape = (5, 6)", "1000 classes")],
    (4, 1): [("parameters = 864", "has a bias"), ("parameters = 320", "all three channels")],
    (4, 2): [
        ("def convolve(x, w):\n    return x", "stay inside"),
        (
            "def convolve(x, w):\n    w = w[::-1, ::-1]\n"
            "    v = np.lib.stride_tricks.sliding_window_view(x, (3, 3))\n"
            "    return (v * w).sum((2, 3))",
            "flipped the kernel",
        ),
        (
            "def convolve(x, w):\n"
            "    v = np.lib.stride_tricks.sliding_window_view(x, (3, 3))\n"
            "    return (v * w).mean((2, 3))",
            "take their sum",
        ),
    ],
    (4, 3): [("shape = (None, 16, 16, 32)", "row off each side"), ("shape = 15", "line by line")],
    (5, 1): [("trainable = 256", "has a bias"), ("trainable = 60772", "only the head")],
    (5, 2): [
        (
            "def cross_entropy(y, s):\n"
            "    e = np.exp(s)\n"
            "    return -np.sum(y * np.log(e / e.sum()))",
            "Subtract the largest",
        ),
        ("def cross_entropy(y, s):\n    return -np.sum(y * np.log(np.abs(s)))", "softmax first"),
        (
            "def cross_entropy(y, s):\n    e = np.exp(s)\n    return -y * np.log(e / e.sum())",
            "one number",
        ),
    ],
    (5, 3): [
        ("ten = 10", "should be a model"),
        (
            "i = minicnn.Input((8, 8, 3))\n"
            "ten = minicnn.Model(i, minicnn.layers.Dense(10)(minicnn.layers.Flatten()(i)))",
            "should be one of its layers",
        ),
    ],
    (6, 1): [
        ("w = 3.4", "uphill"),
        ("w = 2.2", "its slope at 3"),
        ("w = 0.4", "length of the step"),
    ],
    (6, 2): [
        ("rate = 1.2", "diverges"),
        ("rate = 0.3", "no zigzag"),
        ("rate = 1", "two places"),
        ("rate = True", "should be a number"),
    ],
    (6, 3): [
        ("def best(r):\n    return max(r, key=lambda k: max(r[k]['accuracy']))", "by heart"),
        ("def best(r):\n    return max(r, key=lambda k: r[k]['val_accuracy'][-1])", "last epoch"),
        ("def best(r):\n    return max(max(h['val_accuracy']) for h in r.values())", "Which"),
    ],
    (7, 1): [("epochs = [1, 2, 4, 5]", "not better"), ("epochs = [5]", "first is saved")],
    (7, 2): [
        ("pattern = '{val_accuracy:.3f}.keras'", "same name"),
        ("pattern = '{epoch}-{val_accuracy:.3f}.keras'", "two digits"),
        ("pattern = '{epoch:02d}.keras'", "how good"),
        ("pattern = '{epoch:02d}.h5'", "ends in"),
        ("pattern = '{epoc}.keras'", "nothing is called 'epoc'"),
    ],
    (8, 1): [("parameters = 7400", "has a bias"), ("parameters = 6500", "last one has")],
    (8, 2): [
        ("def join(w1, b1, w2, b2):\n    return w1 @ w2, b2", "b1 got lost"),
        ("def join(w1, b1, w2, b2):\n    return w1 @ w2, b1 @ w2", "b2 got lost"),
        ("def join(w1, b1, w2, b2):\n    return w1, b1", "w is (4, 3)"),
    ],
    (9, 1): [
        ("def relu_backward(dy, x):\n    return dy * (dy > 0)", "The gate was set by x"),
        ("def relu_backward(dy, x):\n    return dy * np.maximum(x, 0)", "not by x"),
        ("def relu_backward(dy, x):\n    return dy * (x >= 0)", "at exactly 0"),
        ("def relu_backward(dy, x):\n    return dy", "everything passes"),
    ],
    (9, 2): [("dz = [-0.2, 0.7, -0.5]", "p − y"), ("dz = [0.2, 0.3, 0.5]", "subtract y")],
    (9, 3): [
        ("def slope(f, x):\n    return (f(x + 1e-5) - f(x)) / 1e-5", "both sides"),
        ("def slope(f, x):\n    return (f(x + 1e-5) - f(x - 1e-5)) / 1e-5", "twice"),
    ],
    (10, 1): [
        ("multiplications = 32 * 32 * 9 * 32", "16 channels"),
        ("multiplications = 9 * 16 * 32", "one place"),
    ],
    (10, 2): [
        (
            "def patches(x):\n    return np.lib.stride_tricks.sliding_window_view(x, (3, 3))",
            "(6, 9)",
        ),
        (
            "def patches(x):\n"
            "    v = np.lib.stride_tricks.sliding_window_view(x, (3, 3))\n"
            "    return v.reshape(6, 9).T",
            "transposed",
        ),
    ],
    (10, 3): [
        (
            "def two_outputs(d, g):\n"
            "    sums = [d[i] * g[0] + d[i + 1] * g[1] + d[i + 2] * g[2] for i in (0, 1)]\n"
            "    return np.array(sums)",
            "with 6 multiplications",
        ),
        ("def two_outputs(d, g):\n    return np.array([d[0], d[1]])", "it should be"),
    ],
}


def answer_of(code: str, lesson: int, number: int):
    """What the exercise's check would be given after this code."""
    names = {"np": np, "minicnn": minicnn}
    exec(code, names)
    name = re.search(r"lesson\.check\(\d+, (\w+)\)", exercise_cell(lesson, number))
    assert name
    return names[name[1]]


def test_every_exercise_has_wrong_answers_here():
    assert WRONG.keys() == checking.EXERCISES.keys()


@pytest.mark.parametrize(
    ("key", "code", "hint"), [(k, code, hint) for k, cases in WRONG.items() for code, hint in cases]
)
def test_a_wrong_answer_gets_a_sentence_that_helps(key, code, hint):
    check = checking.EXERCISES[key].check
    said = checking.verdict(check, answer_of(code, *key))
    assert hint in said
    assert said.endswith((".", "!", "?", ")"))
    assert "\n" not in said


@pytest.mark.parametrize("key", EXERCISES)
def test_the_dots_are_told_from_an_answer(key):
    answer = answer_of(exercise_cell(*key).rsplit("\n", 1)[0], *key)
    said = checking.verdict(checking.EXERCISES[key].check, answer)
    assert said.startswith("not answered yet")


@pytest.mark.parametrize("answer", [None, "three", [], {}, object(), float("nan"), lambda: 3])
@pytest.mark.parametrize("key", EXERCISES)
def test_whatever_is_answered_a_check_only_speaks(key, answer):
    said = checking.verdict(checking.EXERCISES[key].check, answer)
    assert said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ((1, 1), np.array(0.9)),
        ((2, 1), np.array([32, 200, 300, 3])),
        ((7, 1), np.array([1, 2, 5])),
        ((9, 2), np.array([0.2, -0.7, 0.5])),
    ],
)
def test_a_right_answer_may_be_an_array(key, answer):
    assert checking.verdict(checking.EXERCISES[key].check, answer) == ""


def test_a_check_gives_copies_to_the_learners_function():
    def spoil(image):
        image[:] = image[:, ::-1].copy()
        return image

    assert checking.verdict(checking.EXERCISES[2, 2].check, spoil) == ""


def test_the_desk_says_what_is_wrong(monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match=r"lessons 1 to 10\. Received number=11"):
        lessons.Lesson(11)
    lesson = lessons.Lesson(1)
    with pytest.raises(ValueError, match=r"exercises 1 to 2\. Received number=3"):
        lesson.check(3, 1)
    lesson.check(1, 0.9)
    lesson.check(1, 0.8)
    lesson.solution(1)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Exercise 1: right!"
    assert said[1].endswith("(lesson.solution(1) shows a solution.)")
    assert said[2] == "accuracy = 90 / (90 + 10)"
    assert lesson.solved == {1: False}


def test_without_matplotlib_the_first_cell_says_how(monkeypatch):
    monkeypatch.setattr("minicnn.lessons.lesson.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'figures with matplotlib: .*pip install .*"matplotlib'):
        lessons.Lesson(1)


def test_in_a_notebook_a_figure_is_displayed(monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    shown = []

    class Shell:
        kernel = object()

    class Fake:
        version_info = (9, 0)  # matplotlib asks
        get_ipython = staticmethod(Shell)
        display = staticmethod(shown.append)

    monkeypatch.setitem(sys.modules, "IPython", Fake)
    monkeypatch.setitem(sys.modules, "IPython.display", Fake)
    monkeypatch.chdir(tmp_path)
    figure = draw.bars({"one": 1.0}, "A title")
    lesson, explanation = lessons.Lesson(1), object()
    lesson.show(figure)
    lesson.show(explanation)
    assert shown == [figure, explanation]  # with its `_repr_html_`
    assert figure._repr_png_().startswith(b"\x89PNG")  # so it need not be shown by pyplot
    assert list(tmp_path.iterdir()) == []


def test_an_image_is_as_dark_as_the_text_says():
    """Zero is black, one is white, the numbers on both can be read; a kernel keeps its signs."""
    pytest.importorskip("matplotlib")
    image, kernel = np.array([[0.0, 0.0, 1.0]]), np.array([[-1.0, 0.0, 1.0]])
    shown = draw.numbers([image, kernel], grey=[0])
    (grey,), (signed,) = (axes.images for axes in shown.axes)
    np.testing.assert_allclose(grey.to_rgba(image)[0, :, :3], [[0] * 3, [0] * 3, [1] * 3])
    assert [text.get_color() for text in shown.axes[0].texts] == ["white", "white", "black"]
    (red, _, blue), (red_above, _, blue_above) = signed.to_rgba(kernel)[0, ::2, :3]
    assert blue > red
    assert red_above > blue_above
    source = (ROOT / "minicnn" / "lessons" / "lesson_04_cnn_layers.py").read_text("utf-8")
    first = source.split("draw.numbers(")[1].split("\n")[0]
    assert "dark on the left" in source.split("draw.numbers(")[0]
    assert first.endswith("grey=[0]))")


def test_the_figures_have_scales_with_names(tmp_path):
    pytest.importorskip("matplotlib")
    figure = draw.maps([np.full((2, 2), 20), np.full((2, 2), 255)], label="pixel")
    assert figure.axes[0].images[0].get_clim() == (0, 255)  # not from the smallest that is there
    assert figure.axes[-1].get_ylabel() == "pixel"
    assert draw.rows({"a": np.eye(2)}, label="mean").axes[-1].get_ylabel() == "mean"
    (alone,) = draw.lines({"loss": [3, 2, 1]}, y_label="loss").axes
    assert alone.get_ylabel() == "loss"
    assert not alone.figure.legends
    assert len(draw.lines({"a": [1, 2], "b": [2, 1]}).legends) == 1
    assert all(tick == round(tick) for tick in alone.get_xticks())
    wide, folded = (
        draw.numbers([np.ones((6, 8)), np.ones((4, 6))] * 2, columns=n).get_figwidth()
        for n in (4, 2)
    )
    assert folded < 8 < wide


# -- percent format and notebooks ----------------------------------------------------------------


def test_cells_are_read_with_their_lines():
    source = "# %% [markdown]\n# # Title\n#\n# text\n\n# %%\nx = 1  # %% not here\n\n# %%\ny = 2\n"
    assert library.cells(source) == (
        library.Cell("markdown", "# Title\n\ntext", 1),
        library.Cell("code", "x = 1  # %% not here", 6),
        library.Cell("code", "y = 2", 9),
    )
    with pytest.raises(ValueError, match="percent format"):
        library.cells("x = 1\n# %%\ny = 2\n")


@every_lesson
def test_the_notebook_has_the_scripts_cells(script):
    """Written back in percent format it is the script again."""
    parts = []
    for cell in lessons.notebook(script)["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            lines = [f"# {line}".rstrip() for line in text.split("\n")]
            parts.append("\n".join(["# %% [markdown]", *lines]))
        else:
            parts.append(f"# %%\n{text}")

    def squeezed(source):  # blank lines at the ends of cells are no content
        return re.sub(r"\n+# %%", "\n# %%", source.strip())

    assert squeezed("\n".join(parts)) == squeezed(script.path.read_text("utf-8"))


@every_lesson
def test_the_notebook_is_valid(script):
    nbformat = pytest.importorskip("nbformat")
    made = lessons.notebook(script)
    nbformat.validate(json.loads(json.dumps(made)), version=4, version_minor=5)
    ids = [cell["id"] for cell in made["cells"]]
    assert len(set(ids)) == len(ids)
    assert made == lessons.notebook(library.read(script.path))  # the same each time


def test_notebooks_are_written_and_a_learners_work_is_kept(tmp_path):
    folder = tmp_path / "new" / "folder"
    paths = lessons.write_notebooks(folder)
    assert sorted(paths) == sorted(folder.iterdir())
    assert json.loads(paths[3].read_text("utf-8")) == lessons.notebook(lessons.find(4))
    assert lessons.write_notebooks(folder) == paths  # nothing has changed: no complaint
    os.truncate(paths[1], 40 * 10**9)  # need not be read to see that it is another one
    with pytest.raises(FileExistsError, match=r"lesson_02_.* has been changed"):
        lessons.write_notebooks(folder)
    assert lessons.write_notebooks(folder, overwrite=True) == paths
    paths[3].write_text("my work")
    paths[5].unlink()
    with pytest.raises(FileExistsError, match=r"lesson_04_cnn_layers.ipynb' has been changed"):
        lessons.write_notebooks(folder)
    assert paths[3].read_text() == "my work"
    assert not paths[5].exists()  # nothing was written
    lessons.write_notebooks(folder, overwrite=True)
    assert json.loads(paths[3].read_text("utf-8")) == lessons.notebook(lessons.find(4))


# -- the command ---------------------------------------------------------------------------------


def test_the_command_lists_them(capsys):
    assert commands.main(["lessons"]) == 0
    said = capsys.readouterr().out
    for script in SCRIPTS:
        assert re.search(
            rf"{script.number} +{script.title} .*{script.minutes} min +{script.seconds} s", said
        )
    assert "minicnn lessons --notebooks" in said
    assert "minicnn lessons --run 1" in said


def test_the_command_writes_notebooks(tmp_path, capsys):
    assert commands.main(["lessons", "--notebooks", str(tmp_path / "nb")]) == 0
    assert "Wrote 10 notebooks" in capsys.readouterr().out
    assert len(list((tmp_path / "nb").iterdir())) == 10


def test_the_command_runs_a_lesson(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    assert commands.main(["lessons", "--run", "2", "--output", "out"]) == 0
    assert Path.cwd() == tmp_path
    said = capsys.readouterr().out
    assert "What is 255 + 1 in bytes".lower() in " ".join(said.split()).lower()  # text
    assert "white + np.uint8(1)" in said  # code
    assert "\n[0]\n" in said  # what it printed
    assert (tmp_path / "out" / "figures" / "lesson-02-1.png").is_file()


def test_it_waits_for_predictions_where_somebody_sits_before_it(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    from rich.console import Console

    asked = []

    def enter(self, prompt):
        asked.append(capsys.readouterr().out)
        if len(asked) == 2:
            raise EOFError  # the end of what was piped in is no answer, and no error

    monkeypatch.setattr(sys, "stdin", type("Terminal", (), {"isatty": staticmethod(lambda: True)}))
    monkeypatch.setattr(Console, "is_terminal", True)
    monkeypatch.setattr(Console, "input", enter)
    lessons.run(2, tmp_path)
    asks = [cell for cell in lessons.find(2).cells if library.PREDICT in cell.text]
    assert len(asked) == len(asks)
    assert "(64, 64, 3) float32" not in asked[0]  # the first answer comes after the question
    assert "(64, 64, 3) float32" in asked[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--run", "11"], "There are lessons 1 to 10. Received 11."),
        (["--notebooks", "file"], "'file' cannot be a folder: there is a file in its place"),
        (["--notebooks", "file/below"], "cannot be a folder: there is a file in its place"),
        (["--run", "1", "--output", "file"], "'file/figures' cannot be a folder"),
        (["--run", "1", "--output", "work"], "'work/figures' cannot be a folder"),
        (["--run", "1", "--output", "x" * 300], "cannot be made: File name too long."),
        (["--notebooks", "x" * 300], "cannot be made: File name too long."),
    ],
)
def test_bad_input_to_the_command_is_one_sentence(
    arguments, sentence, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("something")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "figures").write_text("no folder")
    assert commands.main(["lessons", *arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert (tmp_path / "file").read_text() == "something"


@pytest.mark.parametrize(
    "arguments", [["--run", "x"], ["--run", "0"], ["--run", "1", "--notebooks", "d"]]
)
def test_bad_options_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        commands.main(["lessons", *arguments])
    assert "error: argument" in capsys.readouterr().err


# -- the trained network -------------------------------------------------------------------------


def test_the_trained_network_knows_what_it_never_saw():
    assert lessons.PRETRAINED.stat().st_size < 400_000
    network = minicnn.models.load_model(lessons.PRETRAINED)
    assert network.metadata == {"class_names": list(lessons.KNOWN), "image_size": [64, 64]}
    x, y = pretrain.draw(20, seed=77)
    p = network.predict(x, verbose=0)
    assert np.mean(p.argmax(axis=1) == y) > 0.88
    features = minicnn.Model(network.input, network.get_layer("average").output)
    assert 0.4 < np.sqrt(np.mean(features.predict(x, verbose=0) ** 2)) < 0.6


def test_its_command_makes_such_a_network(tmp_path, capsys):
    path = tmp_path / "network.keras"
    assert pretrain.main(["--output", str(path), "--count", "2", "--epochs", "3"]) == 0
    made, kept = (minicnn.models.load_model(p) for p in (path, lessons.PRETRAINED))
    assert [w.path for w in made.weights] == [w.path for w in kept.weights]
    assert [w.shape for w in made.weights] == [w.shape for w in kept.weights]
    assert not made.compiled
    assert "Wrote" in capsys.readouterr().out


def test_scaled_features_leave_the_probabilities_as_they_were():
    minicnn.utils.set_random_seed(0)
    model = pretrain.make_network()
    x, _ = pretrain.draw(2, seed=5)
    before = model.predict(x, verbose=0)
    pretrain.scale_features(model, x)
    np.testing.assert_allclose(model.predict(x, verbose=0), before, atol=1e-5)
    features = minicnn.Model(model.inputs[0], model.get_layer("average").output)
    rms = np.sqrt(np.mean(features.predict(x, verbose=0) ** 2))
    assert rms == pytest.approx(0.5, rel=1e-4)
