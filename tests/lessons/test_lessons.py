"""The lessons run without internet and TensorFlow, and their exercises can be solved.

Each lesson runs once, as a script in its own process, a fork of one that has imported what all of
them import; then each exercise's cell runs again in its namespace, with the solution.
"""

import ast
import importlib.machinery
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lesson_cells import ALL, ROOT, SCRIPTS, exercise_cell, solved_cell
from PIL import Image

import minicnn
from minicnn import commands, lessons
from minicnn.lessons import checking, library, pretrain

every_lesson = pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: s.path.stem)


# -- running them --------------------------------------------------------------------------------

ALONE = """
import importlib.abc, json, os, runpy, signal, socket, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("keras", "tensorflow", "jax", "torch"):
            raise ModuleNotFoundError(f"{name} is not here", name=name)

def on_this_machine(function):
    def checked(*arguments, **options):
        if "127.0.0.1" not in str(arguments):
            raise OSError("there is no network")
        return function(*arguments, **options)
    return checked

sys.meta_path.insert(0, Missing())
socket.socket.connect = on_this_machine(socket.socket.connect)
socket.create_connection = on_this_machine(socket.create_connection)
socket.getaddrinfo = on_this_machine(socket.getaddrinfo)
import matplotlib.pyplot, minicnn.lessons

def run(path, cells, claim):
    names = runpy.run_path(path, run_name="__main__")
    exec(claim, {**names, "text": open(path, encoding="utf-8").read()})
    untouched = dict(names["lesson"].solved)
    print("== solutions")
    for cell in cells:
        exec(cell, names)
    print(json.dumps([untouched, names["lesson"].solved]))

for line in sys.stdin:
    task, files = json.loads(line)
    child = os.fork()
    if not child:
        signal.alarm(300)
        for number, file in enumerate(files):
            os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), number)
        run(*task)
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


CLAIMS = {  # what the texts claim about their numbers
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
    7: """
records = [n for n, value in enumerate(accuracies) if value > max([0, *accuracies[:n]])]
assert [int(file.stem[:2]) - 1 for file in files] == records and records[-1] < 14
reached = best.evaluate(*validation, verbose=0)[1]
assert f"{reached:.3f}" == files[-1].stem[3:] == f"{max(accuracies):.3f}"
assert reached > accuracies[-1] and reached > best.evaluate(*test, verbose=0)[1]
assert np.allclose(history["val_accuracy"][:12], accuracies[:12])
assert len(history["loss"]) == 5 + int(np.argmax(history["val_accuracy"]))
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
    10: """
assert loops.multiplications == 4 * winograd.multiplications == 4_718_592
assert im2col.memory == 9 * x.nbytes and (matrix == 7).sum() == 6
exact = functional.conv2d(x.astype(float), w.astype(float), padding="same", algorithm="im2col")
errors = [abs(functional.conv2d(x, w, padding="same", algorithm=name) - exact).max() for name in (
    "im2col", "winograd")]
assert 5 < errors[1] / errors[0] < 20 and errors[1] < 1e-5 * abs(exact).max()
""",
    11: """
assert (len(model.layers), kept, round(count, -6)) == (42, 16, 9_000_000)
assert {step.kernel.label for step in program.steps[1:7]} == {"separable.forward"}
assert [step.kernel.label for step in program.steps[7:9]] == ["pooling.average_forward"] * 2
assert len(program.steps) == 10 and program.arena_bytes == 2 * 128 * 1024
assert (y == folded(x)).all() and all((other == y).all() for other in results)
assert 0 < abs(one - three).max() < 1e-5 and abs(folded(x) - one_by_one(x)).max() < 1e-5
assert (new_w, new_b, arena) == (3, -3.5, 192) and keras.config.num_threads() == threads
assert (model.predict(x, verbose=0) == before).all()
""",
    12: """
for size, history in grown.items():
    losses = history["val_loss"]
    assert history["loss"][-1] < 0.15 < min(losses) < losses[-1] - 0.02
lowest = [np.argmin(grown[size]["val_loss"]) for size in (10, 100, 1000)]
assert lowest == sorted(lowest, reverse=True)
ends = [grown[size]["val_loss"][-1] for size in (10, 100, 1000)]
assert ends == sorted(ends)
assert accuracies.std(ddof=1) < np.sqrt(0.82 * 0.18 / 200)
assert masked.dx.any() and 4 <= len(dropped) < len(columns) and (columns == rows).all()
assert last(rates[0.8], "val_loss").max() < last(plain, "val_loss").min() - 0.05
means = {rate: last(h, "val_accuracy").mean() for rate, h in rates.items()}
assert max(means.values()) - min(means.values()) < 0.035
assert last(rates[0.8], "accuracy").mean() < means[0.8] < honest["accuracy"] - 0.05
drawn = longer[0]["val_loss"]
assert np.argmin(plain[0]["val_loss"]) < 20 < np.argmin(drawn) < 120
assert np.mean(drawn[-10:]) > min(drawn) + 0.03
shares = [np.mean(np.abs(trained[name]) < 0.05) for name in ("nothing", "AdamW 0.3", "L2 0.003")]
assert shares == sorted(shares) and shares[0] < 0.25 and shares[2] > 0.5
assert max(e.max() for e in entropies.values()) < last(plain, "val_loss").min()
assert all(abs(entropies[n].mean() - entropies["nothing"].mean()) < 0.025 for n in (
    "dropout 0.2", "AdamW 0.3"))
(_, fewer), (_, usual) = results["dropout 0.8"], results["nothing"]
assert usual.mean() - fewer.mean() > 2 * np.sqrt((usual.var(ddof=1) + fewer.var(ddof=1)) / 10)
assert entropies["dropout 0.5"].mean() < entropies["nothing"].mean() < entropies["L2 0.003"].mean()
""",
    13: """
assert as_they_come and batch.shape == (10, 64, 64, 3)
mirrored = [(a[:, ::-1] == one).all() for a in shown[1:5]]
assert any(mirrored) and not all(mirrored)
assert min(shares[n] for n in ("mirrored", "red and blue swapped")) > shares["as it is"] - 0.03
assert shares["18 degrees"] < shares["as it is"] - 0.05
assert shares["a quarter turn"] < 1 / 6 < 0.35 < shares["upside down"] < 0.7
plain, flipped, all_three = (
    np.array([h["val_loss"][-10:] for h in runs[n]]) for n in ("nothing", "mirrored", "all three"))
def errors_above(other):
    spread = np.sqrt((plain.var(axis=0, ddof=1) + other.var(axis=0, ddof=1)) / 3)
    return (plain - other).mean(axis=0) / spread

beyond, also = errors_above(flipped), errors_above(all_three)
assert beyond.min() > 0 and beyond[-1] > 2 and (beyond < 2).any(), beyond
assert also[-1] > 2 and abs(flipped - all_three)[:, -1].mean() < 0.1
best = [last(n, "val_accuracy").mean() for n in ("nothing", "mirrored", "all three")]
assert max(best) - min(best) < 0.03
assert last("any angle", "val_accuracy").max() < min(best) - 0.05
assert last("all three", "accuracy")[-1] < min(0.93, unchanged)
""",
    14: """
assert f"{batch[..., 0].size:,}" == "81,920" and moving_variance.shape == (3,)
values = list(pixel.values())
assert (values[0] == values[1]).all() and (values[2] != values[3]).all()
ends_at = [round(followed["momentum 0.99"][n - 1], 2) for n in (1, 10, 100, 500)]
assert ends_at == [0.05, 0.48, 3.17, 4.97]
assert first[0] > 0.85 and max(first[1:]) < 0.6  # it knows more than it says
assert second[0] > 0.9 and second[1] > 0.7 and third[0] == first[0] and third[1] > 0.9
assert not dx.any()
dx = gradients[True].ravel()
assert dx.all() and abs(dx.sum()) < 1e-9
assert (gradients[False].ravel() != 0).tolist() == [1] + [0] * 5
assert np.allclose(by_hand.ravel(), dx) and np.allclose(nudged, dx, atol=1e-6)
small, large = (np.linalg.norm(traces[n]["conv"].grads["kernel"]) for n in (1, 10))
assert abs(small / large - 10) < 0.05 and abs(traces[1].loss - traces[10].loss) < 0.001
assert np.abs(traces[1]["conv"].grads["bias"]).max() < 1e-6
assert min(losses[-1] for (_, normal), losses in ends.items() if not normal) > 1.1
assert ends[1.0, True][-1] < ends[0.1, True][-1] < 0.5 and 0.9 < ends[0.01, True][-1] < 1.1
assert old > 0.75 and 0.3 < spoiled < old - 0.2
assert moved == {(True, True): [True, True], (True, False): [True, False],
                 (False, True): [False, False], (False, False): [False, False]}
""",
    15: """
assert [len(norms) for norms in back.values()] == [10, 20, 30]
for norms in back.values():
    assert 0.65 < (norms[0] / norms[-1]) ** (1 / (len(norms) - 1)) < 0.75
assert 1e-6 < back["30 layers"][0] / back["30 layers"][-1] < 1e-4
assert report["activations"].sentence.startswith("Signals fade")
assert report["tiny batch"].verdict == "problem"
assert np.linalg.norm(shortcut) > np.linalg.norm(through)
assert np.allclose(shortcut + through, before.dy)
assert 1 < compared["with shortcuts"][0] / compared["with shortcuts"][-1] < 10
ends = {name: values[-1] for name, values in losses.items()}
assert ends["30, plain"] > 2 > 1.8 > ends["6, plain"] > ends["6, with shortcuts"] > ends["after"]
assert ends["before"] < ends["after"] - 0.35 and ends["after"] < ends["inside"] - 0.6
assert normalized[0] / normalized[-1] > 100 and (len(adds), len(projections)) == (12, 4)
assert projection.count_params() == 512 and round(with_shortcuts, 2) == 6.73
assert means["inside"][-1] > 2 * means["after"][-1] > 6 * means["after"][0] > 1
assert np.ptp(means["before"]) < 0.01 and (np.diff(means["after"]) > 0).all()
""",
    16: """
blueness = mixed[0, ..., 3]
assert blueness[:, :6].mean() < -0.2 < 0.1 < blueness[24:48, 16:28].mean()
assert counts == {"full": (73728, 75497472), "separable": (8768, 8978432)}
assert changed.sum(axis=(0, 1)).tolist() == [9, 0, 0] and difference < 1e-4
assert all(0.33 < share < 0.39 for name, share in shares.items() if "learned" in name)
assert all(0.18 < share < 0.24 for name, share in shares.items() if "random" in name)
assert (len(separables), total) == (34, 22910480) and around / total < 0.01 < 0.85 < across / total
assert 7.5 < (total - around - across + if_full) / total < 8.5
assert 8.5 < multiplications_if_full / multiplications < 9
assert [work[name] for name in ("full 3×3", "1×1 alone", "depthwise alone")] == [1152, 128, 9]
full, separable, narrow = (accuracies[name] for name in candidates)
assert min(full) > max(separable) and max(narrow) > min(separable)
assert parameters == {"full": 24570, "separable": 4522, "full, narrow": 3032}
""",
    17: """
assert np.allclose(paths["SGD"][1], [-4 + 0.036 * 4, 1 - 0.036 * 50])
assert np.allclose([by_hand, float(w_adam.numpy()[0])], -0.02516, atol=1e-5)
assert abs(float(w.numpy()[0]) - 10) < 0.05 and round(path[99], 2) == 6.34
past = {name for name, path in paths.items() if path[:, 0].max() > 0.1}
assert past == {"momentum", "Adam"} and valley(paths["RMSprop"][-1]) < 1e-6
assert np.abs(lengths["with correction"] - 1).max() < 1e-6
assert np.allclose(lengths["without"][[0, 9, 299]], [3.16, 6.53, 1.96], atol=0.01)
assert abs(distance([0.001] * 100) - 0.1) < 0.001 and abs(distance([1000] * 100) - 0.1) < 0.001
assert np.allclose([distances[s] for s in (0, 1, 3, 10)], [1, 0.7, 0.32, 0.1], atol=0.02)
assert [row.example for row in update.shares if row.share < 0] == [3]
assert update.change > 0 and sum(row.share == 0 for row in update.shares) == 1
assert ends["SGD", 1000][1] < -1e14 and np.allclose(ends["Adam", 1], ends["Adam", 1000], atol=1e-4)
assert steps[998] == 0 and 2.4 < steps[999] < 2.6 and 25 < steps.sum() < 26
""",
    18: """
assert all(costs[2 * size] == 4 * costs[size] for size in (32, 48, 64))
assert "the same 60,512" in text
assert {base.count_params() for base in bases.values()} == {60_512}
means = {size: found["val_accuracy"].mean() for size, found in results.items()}
assert max(means, key=means.get) == 64
assert max(means[32], means[128]) < means[64] - 0.12 and abs(means[32] - means[128]) < 0.05
assert abs(restored["val_accuracy"].mean() - means[64]) < 0.03
losses = [found["val_loss"].mean() for found in (results[64], restored, results[32])]
assert losses[0] + 0.05 < losses[1] < losses[2] - 0.2
sizes = {name: model.count_params() for name, model in networks.items()}
assert 6 < sizes["Xception"] / sizes["MobileNet"] < 7.5
assert all(8 < giga["Xception"][n] / giga["MobileNet"][n] < 9 for n in (150, 299))
assert 0.4 < giga["MobileNet"][299] / giga["Xception"][150] < 0.6
""",
    19: """
right = accuracies["as in training"]
worst = sorted(accuracies, key=accuracies.get)[:3]
assert worst == ["columns first", "scaled twice", "black borders"]
assert accuracies["black borders"] < 0.4 and right > 0.8
for name in ("0 to 255", "0 to 1"):
    assert 0.5 < accuracies[name] < right - 0.1
assert sure["0 to 255"] > 0.95 > sure["as in training"] + 0.2
assert right - 0.12 < accuracies["cut to a square"] < right - 0.04
for name in ("blue, green, red", "nearest pixel"):
    assert abs(accuracies[name] - right) < 0.02
p = service.predict(pixels, verbose=0)
assert np.mean(p.argmax(axis=1) == labels.argmax(axis=1)) == right
assert [status for status, _ in replies] == [200, 400, 400]
assert list(replies[0][1])[0] == "pants" == done.stdout.strip()
assert sum(sizes.values()) < 500
""",
    20: """
assert np.allclose(heat.weights, kernel / 16, atol=1e-6)
assert np.allclose(by_hand, heat.values, atol=1e-5)
assert abs(shares.total - shares.gain) < 0.02 * shares.gain
for found in heats[:2]:  # the middle of the body, and nothing on the sleeves and the wall
    place = np.unravel_index(found.pixels.argmax(), (64, 64))
    assert 16 <= place[0] < 48 and 16 <= place[1] < 48, place
assert all(abs(f.pixels[16:48, 16:48]).sum() > 0.5 * abs(f.pixels).sum() for f in heats)
assert heat.probability > 0.999
assert accuracies == {"with tags": 1.0, "without tags": 0.5}
assert cheater.predict(without[0], verbose=0)[:, 1].round().mean() < 0.05
off = [[r + 16 <= 50 or c + 16 <= 48 for c in covered.columns] for r in covered.rows]
assert covered.values[np.array(off)].max() < 0.05 < 0.99 < covered.values.max()
warm = maps_of_skirt[0].values
assert warm[3, 3] < 0.1 * warm.max() and warm[0].max() > 0.5 * warm.max()
assert min(warm[2, 3], warm[3, 2]) > 0.7 * warm.max()  # the tag lies in cell (3, 3)
for found in maps_of_skirt[2:]:
    sizes = np.abs(found.pixels)
    assert sizes[50:61, 48:61].sum() < 0.25 * sizes.sum()
assert hidden.values.max() < 1e-4 and p_without < 0.05 < 0.99 < hidden.probability
assert all(abs(f.total - f.gain) < 0.02 * f.gain for f in attributed.values())
assert correlations["black"] < 0 and correlations["white"] < 0.9
cam, product = (checks[name] for name in ("grad_cam", "gradient_x_input"))
assert max(map(abs, cam.correlations)) < 0.2 and product.correlations[0] < -0.3
assert product.sizes[0] > 0.5 > 5 * cam.sizes[0] - 0.1
pants = liked[2].image.mean(axis=2)
across = np.abs(np.diff(pants.reshape(16, 4, 64).mean(axis=1), axis=1)).mean()
assert across > 1.1 * np.abs(np.diff(pants.reshape(64, 16, 4).mean(axis=2), axis=0)).mean()
assert p_shirt > 0.99 and liked[3].values[-1] > 10 * heat.score
""",
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """Return one folder for all lessons, as a learner has, so the images are drawn once."""
    return tmp_path_factory.mktemp("lessons")


@pytest.fixture(scope="module")
def run_alone(workplace, tmp_path_factory):
    """Return a function that runs a lesson in a process, and returns its status and output."""
    environment = {
        "PYTHONPATH": str(ROOT),
        "MPLBACKEND": "Agg",
        "PYTHONIOENCODING": "utf-8",
        "MINICNN_NUM_THREADS": "1",  # other tests keep the second core busy
    }
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", ALONE]
    process = subprocess.Popen(command, cwd=workplace, env=os.environ | environment, **pipes)

    def run(*task):
        out, err = (tmp_path_factory.mktemp("said") / name for name in ("out", "err"))
        process.stdin.write(json.dumps([task, [os.devnull, str(out), str(err)]]) + "\n")
        process.stdin.flush()
        status = int(process.stdout.readline())
        return status, *(path.read_text("utf-8") for path in (out, err))

    yield run
    process.communicate(timeout=20)


@pytest.mark.slow
@pytest.mark.parametrize("script", ALL, ids=lambda s: s.path.stem)
def test_it_runs_and_its_exercises_are_open_until_they_are_solved(script, workplace, request):
    pytest.importorskip("matplotlib")
    run_alone = request.getfixturevalue("run_alone")
    numbers = checking.exercises_of(script.number)
    cells = [solved_cell(script.number, number) for number in numbers]
    status, out, err = run_alone(str(script.path), cells, CLAIMS.get(script.number, ""))
    assert status == 0, err
    before, after = out.split("== solutions\n")
    untouched, solved = json.loads(after.splitlines()[-1])
    assert untouched == {str(number): False for number in numbers}
    assert solved == {str(number): True for number in numbers}, after
    for number in numbers:
        assert f"Exercise {number}: not answered yet. Replace the dots" in before
        assert f"Exercise {number}: right!" in after
    assert "Warning" not in err

    figures = re.findall(r"^Figure: (.+) \((figures/\S+)\)$", before, re.MULTILINE)
    assert figures, before
    assert len({title for title, _ in figures}) == len(figures)
    for title, name in figures:
        assert len(title) > 5
        with Image.open(workplace / name) as image:
            assert np.asarray(image.convert("L")).std() > 5, f"{name} is nearly blank"


# -- their contents ------------------------------------------------------------------------------


def test_they_are_numbered_and_follow_the_course():
    numbers = [script.number for script in SCRIPTS]
    assert numbers == sorted(set(numbers))
    assert [script.path.name[:10] for script in SCRIPTS] == [f"lesson_{n:02d}_" for n in numbers]
    sections = [script.section for script in SCRIPTS if script.section]
    assert sections == [f"8.{n}" for n in range(1, len(sections) + 1)]


@every_lesson
def test_it_asks_for_predictions_just_before_the_cell(script):
    asks = [i for i, cell in enumerate(script.cells) if library.PREDICT in cell.text]
    assert len(asks) >= 4
    for place in asks:
        cell, after = script.cells[place : place + 2]
        assert (cell.kind, after.kind) == ("markdown", "code")
        assert library.PREDICT in cell.text.rsplit("\n\n", 1)[-1], "the question comes last"


@every_lesson
def test_its_exercises_come_at_the_end_and_have_dots(script):
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
    """It uses only public names, and no library that the reader may lack."""
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
    """The first text that has a term, in the order of lessons, emphasizes it as `*term*`."""
    texts = [
        " ".join(cell.text.split())
        for script in SCRIPTS
        for cell in script.cells
        if cell.kind == "markdown"
    ]
    for term in ("one-hot", "layers", "filter", "bias", "parameters", "softmax", "epoch", "loss",
                 "optimizer", "receptive field", "overfitting", "callback", "regularization",
                 "standard error", "weight decay", "augmentation", "moving average", "momentum",
                 "vanishing gradient", "projection", "heat map"):  # fmt: skip
        first = next(text for text in texts if re.search(rf"\b{term}\b", text))
        assert re.search(rf"[*`]{term}", first), (term, first)


def test_known_mistakes_in_course_notes_are_corrected():
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
def test_the_notebook_has_the_script_s_cells(script):
    """Written back in percent format, without the cell that installs, it is the script again."""
    first, install, *others = lessons.notebook(script)["cells"]
    assert "".join(install["source"]) == library.INSTALL
    parts = []
    for cell in (first, *others):
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            lines = [f"# {line}".rstrip() for line in text.split("\n")]
            parts.append("\n".join(["# %% [markdown]", *lines]))
        else:
            parts.append(f"# %%\n{text}")

    def squeezed(source):  # blank lines at the ends of cells do not count
        return re.sub(r"\n+# %%", "\n# %%", source.strip())

    assert squeezed("\n".join(parts)) == squeezed(script.path.read_text("utf-8"))


@pytest.mark.parametrize("left", [None, importlib.machinery.ModuleSpec("minicnn", None)])
@pytest.mark.parametrize("wheel", [True, False])
def test_the_first_cell_installs_minicnn_where_it_is_missing(wheel, left, tmp_path, monkeypatch):
    ran = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda words, check: ran.append(words))
    if wheel:
        (tmp_path / "minicnn_engine-1.0-py3-none-any.whl").touch()
    exec(library.INSTALL, {})
    assert ran == []  # it is here
    monkeypatch.setattr("importlib.util.find_spec", lambda name: left)
    exec(library.INSTALL, {})
    what = "minicnn_engine-1.0-py3-none-any.whl" if wheel else "minicnn-engine"
    assert ran == [[sys.executable, "-m", "pip", "install", "--quiet", f"{what}[plot]"]]


@every_lesson
def test_the_notebook_is_valid(script):
    nbformat = pytest.importorskip("nbformat")
    made = lessons.notebook(script)
    nbformat.validate(json.loads(json.dumps(made)), version=4, version_minor=5)
    ids = [cell["id"] for cell in made["cells"]]
    assert len(set(ids)) == len(ids)
    assert made == lessons.notebook(library.read(script.path))  # and the same each time


def test_notebooks_are_written_and_a_learner_s_work_is_kept(tmp_path):
    folder = tmp_path / "new" / "folder"
    paths = lessons.write_notebooks(folder)
    assert sorted(paths) == sorted(folder.iterdir())
    assert json.loads(paths[3].read_text("utf-8")) == lessons.notebook(lessons.find(4))
    assert lessons.write_notebooks(folder) == paths  # nothing has changed, so nothing is refused
    os.truncate(paths[1], 40 * 10**9)  # its size alone shows that it is another file
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
    assert f"Wrote {len(ALL)} notebooks" in capsys.readouterr().out
    assert len(list((tmp_path / "nb").iterdir())) == len(ALL)


@pytest.mark.slow
def test_the_command_runs_a_lesson(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", None)  # closed by the shell, as in `<&-`
    assert commands.main(["lessons", "--run", "2", "--output", "out"]) == 0
    assert Path.cwd() == tmp_path
    said = capsys.readouterr().out
    assert "What is 255 + 1 in bytes".lower() in " ".join(said.split()).lower()  # text
    assert "white + np.uint8(1)" in said  # code
    assert "\n[0]\n" in said  # what it printed
    assert said.endswith(f"lessons --notebooks lessons\n  {lessons.find(2).path}\n")
    assert (tmp_path / "out" / "figures" / "lesson-02-1.png").is_file()


@pytest.mark.slow
def test_it_waits_for_predictions_on_a_terminal(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    from rich.console import Console

    asked = []

    def enter(self, prompt):
        asked.append(capsys.readouterr().out)
        if len(asked) == 2:
            raise EOFError  # the end of the input is neither an answer nor an error

    monkeypatch.setattr(sys, "stdin", type("Terminal", (), {"isatty": staticmethod(lambda: True)}))
    monkeypatch.setattr(Console, "is_terminal", True)
    monkeypatch.setattr(Console, "input", enter)
    lessons.run(2, tmp_path)
    asks = [cell for cell in lessons.find(2).cells if library.PREDICT in cell.text]
    assert len(asked) == len(asks)
    assert "(64, 64, 3) float32" not in asked[0]  # the result comes after the question
    assert "(64, 64, 3) float32" in asked[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--run", "99"], f"There are lessons 1 to {SCRIPTS[-1].number}. Received 99."),
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
    "arguments",
    [["--run", "x"], ["--run", "0"], ["--run", "1", "--notebooks", "d"], ["--notebooks", ""]],
)
def test_bad_options_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        commands.main(["lessons", *arguments])
    assert "error: argument" in capsys.readouterr().err


# -- the trained network -------------------------------------------------------------------------


@pytest.mark.slow
def test_the_trained_network_classifies_new_images():
    assert lessons.PRETRAINED.stat().st_size < 400_000
    network = minicnn.models.load_model(lessons.PRETRAINED)
    assert network.metadata == {"class_names": list(lessons.KNOWN), "image_size": [64, 64]}
    x, y = pretrain.draw(20, seed=77)
    p = network.predict(x, verbose=0)
    assert np.mean(p.argmax(axis=1) == y) > 0.88
    features = minicnn.Model(network.input, network.get_layer("average").output)
    assert 0.4 < np.sqrt(np.mean(features.predict(x, verbose=0) ** 2)) < 0.6


@pytest.mark.slow
def test_the_pretrain_command_makes_such_a_network(tmp_path, capsys):
    path = tmp_path / "network.keras"
    assert pretrain.main(["--output", str(path), "--count", "2", "--epochs", "3"]) == 0
    made, kept = (minicnn.models.load_model(p) for p in (path, lessons.PRETRAINED))
    assert [w.path for w in made.weights] == [w.path for w in kept.weights]
    assert [w.shape for w in made.weights] == [w.shape for w in kept.weights]
    assert not made.compiled
    assert "Wrote" in capsys.readouterr().out


def test_scaling_features_leaves_the_probabilities_unchanged():
    minicnn.utils.set_random_seed(0)
    model = pretrain.make_network()
    x, _ = pretrain.draw(2, seed=5)
    before = model.predict(x, verbose=0)
    pretrain.scale_features(model, x)
    np.testing.assert_allclose(model.predict(x, verbose=0), before, atol=1e-5)
    features = minicnn.Model(model.inputs[0], model.get_layer("average").output)
    rms = np.sqrt(np.mean(features.predict(x, verbose=0) ** 2))
    assert rms == pytest.approx(0.5, rel=1e-4)
