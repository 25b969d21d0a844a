"""The teacher's pack has what the lessons and their checks have, and what the cells show."""

import html
import re
from pathlib import Path

import pytest
from lesson_cells import ALL

from minicnn import commands, datasets, lessons
from minicnn.lessons import checking, library, teacher
from minicnn.lessons.checking import first_of, same
from minicnn.lessons.photos import CHANGES, WITH_BASE
from minicnn.lessons.teacher import deck, outline, pages, pieces
from minicnn.lessons.teacher.results import Figure, Result

SOURCE = """# %% [markdown]
# # Lesson 98: Cats
#
# *12 minutes to read, 3 seconds to compute*
#
# Cats & dogs.

# %% [markdown]
# ## Whiskers
#
# one two three four five six seven
#
# **Before you run this:** how many <b>whiskers</b>?

# %%
print(24)

# %% [markdown]
# Twenty-four.
#
# ```
# a
#
# b
# ```
#
# ## Exercises
#
# **1.** How many paws?

# %%
paws = ...
lesson.check(1, paws)
"""


@pytest.fixture
def cats(tmp_path, monkeypatch):
    monkeypatch.setitem(checking.EXERCISES, (98, 1), checking.Exercise(paws, "paws = 4"))
    path = tmp_path / "lesson_98_cats.py"
    path.write_text(SOURCE, "utf-8")
    return library.read(path)


def paws(answer):
    found, claws = answer, [20]
    if isinstance(found, str):
        return f"a number, not {answer!r}, {answer!r}."
    return first_of(
        (found == 4, ""),
        (found == 2, "look under the table."),
        (found in (3, 5), "nearly."),
        (abs(found - 40) < 1, "ten cats!"),
        (same(found, [4]) and found, "a number, not a list."),
        (len(str(found)) > 9, "too many."),
        (found > 1, "fewer."),
        (0.2 < found <= 1, "less than one paw?"),
        (found.shape == (4,), "how many?"),
        (same(claws, [found * 5]), "these are claws."),
        otherwise="not yet.",
    )


def test_the_mistakes_are_those_that_the_check_knows():
    assert [tuple(mistake) for mistake in outline.mistakes(paws)] == [
        ("", "a number, not …, …"),
        ("2", "look under the table."),
        ("3, 5", "nearly."),
        ("40", "ten cats!"),
        ("[4]", "a number, not a list."),
        ("", "too many."),
        ("above 1", "fewer."),
        ("0.2 to 1", "less than one paw?"),
        ("shape (4,)", "how many?"),
        ("claws = [found * 5]", "these are claws."),
    ]


def test_the_outline_of_a_lesson(cats):
    assert outline.blocks("a\nb\n\n```\nc\n\nd\n```\n\n\ne") == ["a\nb", "```\nc\n\nd\n```", "e"]
    question = outline.Question("How many <b>whiskers</b>?", cats.cells[2], "Twenty-four.")
    assert outline.questions(cats) == [question]
    first, second = outline.parts(cats)
    assert (first.title, first.questions) == ("Introduction", ())
    assert (second.title, second.questions) == ("Whiskers", (question,))
    # Of 36 words, marks included, 15 are in the first part; a question takes a minute.
    assert (first.minutes, second.minutes) == (5, 8)
    (task,) = outline.tasks(cats)
    assert task.text == "How many paws?"
    assert task.start.startswith("paws = ...")
    assert task.solution == "paws = 4"
    assert outline.class_minutes(cats) == 5 + 8 + 5


def test_the_pages_have_questions_results_mistakes_and_solutions(cats):
    printed = Result("24 <script>", (Figure("Whiskers & co", "data:image/png;base64,AAAA"),))
    found = {cats.cells[2].line: printed}
    plan = pages.plan(cats, found)
    assert "How many &lt;b&gt;whiskers&lt;/b&gt;?" in plan
    assert "24 &lt;script&gt;" in plan
    assert '<img alt="Whiskers &amp; co" src="data:image/png;base64,AAAA">' in plan
    assert "Twenty-four." in plan
    assert "<td><code>2</code></td><td>look under the table.</td>" in plan
    assert "<td>In all</td><td></td><td>18 min</td>" in plan
    sheet = pages.worksheet(cats)
    assert "How many &lt;b&gt;whiskers&lt;/b&gt;?" in sheet
    assert "How many paws?" in sheet
    assert "24 &lt;" not in sheet  # neither results
    assert "paws = 4" not in text_of(sheet)  # nor solutions
    assert "paws = 4" in text_of(pages.solutions(cats))
    slides = pages.slides(cats, found)
    kinds = re.findall(r'<section class="(\w+)">', slides)
    assert kinds == ["title", "question", "result", "text", "text"]
    bar = re.search("<header>(.+?)</header>", slides, re.DOTALL)[1]
    assert text_of(bar).startswith("one two three four")  # the text that leads to the question
    assert "whiskers" in bar
    assert 'href="98-plan.html"' in pages.index([cats])
    for page in (plan, sheet, slides):
        assert "<script>" not in page.replace(f"<script>{pages._file('slides.js')}", "")
        assert not re.findall(r"(?:src|href)=\"(?!data:|98-)", page)


def test_a_slide_has_one_figure():
    one, two = (Figure(name, "data:image/png;base64,AAAA") for name in ("one", "two"))
    text = "\n".join("abcdefghij")
    pieces = [
        deck._pieces(result)
        for result in (None, Result("", ()), Result("a", (one,)), Result(text, (one, two)))
    ]
    assert pieces[:3] == [[], [], [Result("a", (one,))]]
    assert pieces[3] == [Result(text, ()), Result("", (one,)), Result("", (two,))]


def test_what_is_short_shares_a_slide_and_what_is_long_is_split():
    slide = deck.Slide
    joined = list(
        deck._joined(
            iter(
                [
                    slide("text", "A", "few words ", deck.LONGEST - 20),
                    slide("cell", "A", "code"),
                    slide("result", "A", "24 ", 300),
                    slide("text", "A", "short", deck.LONGEST - 300),
                    slide("result", "A", "25", 299),
                    slide("text", "A", "too long", deck.LONGEST - 300),
                    slide("result", "A", "26", 300),
                    slide("text", "B", "another section", deck.LONGEST - 10),
                ]
            )
        )
    )
    assert [(one.kind, one.body) for one in joined] == [
        ("cell", "few words code"),
        ("result", "24 short"),
        ("result", "25"),
        ("text", "too long"),
        ("result", "26"),
        ("text", "another section"),
    ]
    function = "def f():\n" + "    pass\n" * 11
    parts = deck._split(f"{function}\n\n{function}\n\nx = 1\n\n\ny = 2")
    assert parts == [function.strip(), f"{function}\n\nx = 1\n\ny = 2".replace("\n\n\n", "\n\n")]
    assert deck._letters(["a" * 300]) == 300
    assert deck._letters(["* a\n* b\n* c"]) == 3 * 55  # rows of a list


def test_long_lines_of_a_result_are_wrapped_and_tables_are_not():
    words = "  " + "word " * 40
    table = "│" + " cell │" * 30
    page = pieces.shown(Result(f"{words}\n{table}\nshort", ()))
    lines = text_of(page).splitlines()
    assert [len(line) <= pieces.LONGEST_LINE for line in lines] == [True, True, False, True]
    assert lines[0].startswith("  word")
    assert lines[1].startswith("  word")
    assert lines[2:] == [table, "short"]
    assert '<pre class=" wide">' in page
    assert '<pre class=" short">' in pieces.shown(Result("short", ()))


def text_of(page):
    return html.unescape(re.sub("<[^>]+>", "", page))


@pytest.mark.parametrize("script", ALL, ids=lambda s: s.path.stem)
def test_every_lesson_has_an_outline(script):
    asked = sum(library.PREDICT in cell.text for cell in script.cells)
    assert sum(len(part.questions) for part in outline.parts(script)) == asked
    assert [task.number for task in outline.tasks(script)] == checking.exercises_of(script.number)
    assert all(task.mistakes for task in outline.tasks(script))
    said = [question.after for question in outline.questions(script) if question.after]
    assert not [after for after in said if after.endswith(":") or len(after.split()) < 4]
    assert script.minutes < outline.class_minutes(script) < 3 * script.minutes + 20
    assert pages.name_of(script) in pages.index(ALL).replace("&#x27;", "'")
    sheet = text_of(pages.worksheet(script))
    for task in outline.tasks(script):
        assert text_of(pages.markdown(task.text)).split("\n")[0][:40] in sheet


@pytest.mark.slow
def test_the_command_runs_lessons_and_writes_the_pack(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    assert commands.main(["lessons", "--teacher", "pack", "--only", "2"]) == 0
    said = capsys.readouterr().out
    assert "Running Lesson 2: Images as arrays" in said
    assert "Wrote 5 pages. Begin with 'pack/index.html'." in said
    names = sorted(path.name for path in Path("pack").iterdir())
    kinds = ["plan", "slides", "solutions", "worksheet"]
    assert names == [*(f"02-{kind}.html" for kind in kinds), "index.html"]
    plan = Path("pack/02-plan.html").read_text("utf-8")
    assert "(64, 64, 3) float32 12288" in plan
    assert 'alt="Its three channels" src="data:image/png;base64,' in plan
    assert "rows come first" in plan
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pack"]

    before = plan.encode()
    assert commands.main(["lessons", "--teacher", "pack", "--only", "2"]) == 2
    refused = capsys.readouterr().err
    assert "'pack/index.html' is there already: name another folder, or pass --over" in refused
    assert Path("pack/02-plan.html").read_bytes() == before


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """Return the numbers of the lessons that "run"; lesson 3 is interrupted at first."""
    numbers = []

    def results(script, workplace):
        numbers.append(script.number)
        if script.number == 3 and numbers.count(3) == 1:
            raise KeyboardInterrupt
        return {}

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(teacher, "results", results)
    return numbers


PACK = ["lessons", "--teacher", "pack", "--only", "2,3,4"]


@pytest.mark.slow
def test_an_interrupted_pack_goes_on(ran, capsys):
    assert commands.main(PACK) == 130
    assert "The same command goes on with this lesson." in capsys.readouterr().out
    assert len(list(Path("pack").iterdir())) == 4  # lesson 2's files, and no index
    plan = Path("pack/02-plan.html")
    written = plan.stat().st_mtime_ns
    Path("pack/notes.txt").write_text("mine", "utf-8")
    Path("pack/03-worksheet.html").write_bytes(pages.worksheet(library.find(3)).encode())
    assert commands.main(PACK) == 0
    said = capsys.readouterr().out
    assert "There already: Lesson 2: Images as arrays (1 of 3)" in said
    assert "Running Lesson 3: A pretrained network (2 of 3; some" in said
    assert "Wrote 13 pages. Begin with 'pack/index.html'." in said
    assert ran == [2, 3, 3, 4]
    assert plan.stat().st_mtime_ns == written
    assert len(list(Path("pack").iterdir())) == 14
    assert commands.main(PACK) == 2  # it is whole
    assert "'pack/index.html' is there already" in capsys.readouterr().err
    assert commands.main([*PACK[:-1], "homework,2,2", "--overwrite"]) == 0
    assert ran == [2, 3, 3, 4, lessons.HOMEWORK, 2]
    assert Path("pack/notes.txt").read_text("utf-8") == "mine"


@pytest.mark.slow
def test_the_pack_takes_photos(ran, capsys):
    """The pages say so; a pack has the same photos, or drawings, in all of its lessons."""
    for kind in datasets.CLOTHING_CLASSES:
        Path("photos/train", kind).mkdir(parents=True)
        Path("others/photos/train", kind).mkdir(parents=True)
    pack = ["lessons", "--teacher", "pack", "--only", "2,5,11"]
    photos = ["--data", "photos", "--base", "mobilenet"]
    assert commands.main([*pack, *photos]) == 0
    sheets = {n: Path(f"pack/{n}-worksheet.html").read_text("utf-8") for n in ("02", "05", "11")}
    assert "With photos from photos.<" in sheets["02"]
    assert "With photos from photos and the base mobilenet.<" in sheets["05"]
    assert "With photos" not in sheets["11"]
    assert html.escape(CHANGES[2]) in Path("pack/02-plan.html").read_text("utf-8")
    assert html.escape(WITH_BASE[5]) in Path("pack/05-plan.html").read_text("utf-8")
    Path("pack/index.html").unlink()
    for other in ([], ["--data", "others/photos", "--base", "mobilenet"]):
        assert commands.main([*pack, *other]) == 2
        assert "'pack/02-plan.html' is there already" in capsys.readouterr().err
    assert commands.main([*pack, *photos]) == 0
    assert ran == [2, 5, 11]


@pytest.mark.parametrize("name", ["03-plan.html", "03-worksheet.html", "index.html"])
def test_a_file_of_someone_else_is_left_as_it_is(name, ran, capsys):
    Path("pack").mkdir()
    Path("pack", name).write_text("mine", "utf-8")
    assert commands.main(PACK) == 2
    assert f"'pack/{name}' is there already: name another" in capsys.readouterr().err
    assert ran == []
    assert [path.name for path in Path("pack").iterdir()] == [name]
    assert Path("pack", name).read_text("utf-8") == "mine"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--only", "2"], "--only goes with --teacher or --check."),
        (["--check", "--overwrite"], "--overwrite goes with --notebooks or --teacher."),
        (["--teacher", "pack", "--only", "99"], "There are lessons 1 to "),
        (["--teacher", "file"], "'file' cannot be a folder: there is a file in its place"),
        (["--teacher", "pack", "--output", "here"], "--output goes with --run or --check."),
    ],
)
def test_bad_options_of_the_pack_are_one_sentence(
    arguments, sentence, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("something")
    monkeypatch.setattr(teacher, "results", None)  # nothing is run
    assert commands.main(["lessons", *arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
