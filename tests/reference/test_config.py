"""Options in a file: what `--config` reads, and what each run writes."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicnn._support.arguments import listed, rate
from reference import config, console, sweep
from reference import train as training


def parsed(tmp_path, text, *given, parser=None):
    (tmp_path / "run.toml").write_text(text, "utf-8")
    told = ["--config", str(tmp_path / "run.toml"), *given]
    return config.parse(parser or training.parser(), told)


def test_options_come_from_the_file_and_the_command_line_counts_more(tmp_path):
    text = 'data = "-p h"\nlearning_rate = 1e-2\nepochs = 7\naugment = true\nresume = false\n'
    found = parsed(tmp_path, text, "--epochs", "3")
    assert (found.data, found.learning_rate, found.epochs) == ("-p h", 0.01, 3)
    assert found.augment
    assert not found.resume
    found = parsed(tmp_path, text, "--no-augment", "--learning-rate=0.5")
    assert not found.augment
    assert found.learning_rate == 0.5
    text = 'data = "p"\nlearning-rates = [0.1, 1]\ninner-sizes = 100\ndrop-rates = "0,0.5"\n'
    found = parsed(tmp_path, text, parser=sweep.parser())
    assert found.learning_rates == [0.1, 1.0]
    assert (found.inner_sizes, found.drop_rates) == ([100], [0.0, 0.5])


def test_an_abbreviated_option_counts_as_if_it_were_in_full(tmp_path, capsys):
    text = 'made-with = "Keras 3"\nensemble = 1\naugment = true\nimage-sizes = [96, 150]\n'
    (tmp_path / "run.toml").write_text(text)
    told = ["--conf", str(tmp_path / "run.toml"), "--data", "x"]
    found = config.parse(training.parser(), [*told, "--ens", "1", "--no-aug", "--image-size=64"])
    assert found.given >= {"ensemble", "image_size"}
    assert (found.augment, found.image_size, found.image_sizes) == (False, 64, None)
    assert "ensemble" not in config.parse(training.parser(), told).given
    with pytest.raises(SystemExit):
        config.parse(training.parser(), [*told, "--fine-tune-e", "2", "--e", "3"])
    assert "ambiguous option: --e could match" in capsys.readouterr().err


def test_an_option_of_the_command_line_drops_those_of_the_file_that_exclude_it(tmp_path):
    text = 'data = "p"\nimage-sizes = [96, 150]\nantialias = true\n'
    found = parsed(tmp_path, text)
    assert (found.image_sizes, found.image_size, found.antialias) == ([96, 150], None, True)
    found = parsed(tmp_path, text, "--image-size=224", "--course-compatible")
    assert (found.image_sizes, found.image_size) == (None, 224)
    assert (found.antialias, found.course_compatible) == (False, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learnig-rate = 1.0", "no option 'learnig-rate'. Is 'learning-rate' meant?"),
        ("config = 'x'", "no option 'config'.\n"),
        ("[training]\nepochs = 3", "no option 'training'"),
        ("augment = 1", "augment should be true or false. Received 1."),
        ("epochs = true", "epochs should be a number, a text, or a list of them. Received True."),
        ("epochs = [[1]]", "epochs should be a number"),
        ("epochs = 2026-01-01", "epochs should be a number"),
        ("epochs = ", "is not a TOML file"),
        ("epochs = 1\nepochs = 2", "is not a TOML file"),
        ("x = " + "[" * 50_000, "is not a TOML file"),
    ],
)
def test_a_file_of_other_things_is_refused(tmp_path, text, words, capsys):
    (tmp_path / "run.toml").write_text(text)
    assert training.run(["--config", str(tmp_path / "run.toml")]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_a_value_is_checked_as_on_the_command_line(tmp_path, capsys):
    for told in ("epochs = 0", 'epochs = "1.5"', "epochs = [1, 2]"):
        with pytest.raises(SystemExit):
            parsed(tmp_path, told)
        assert "argument --epochs: expected a whole number" in capsys.readouterr().err


def test_a_file_that_is_missing_or_a_pipe_is_named(tmp_path, pipe, capsys):
    for path in (tmp_path / "none.toml", pipe):
        assert training.run(["--config", str(path)]) == 2
        assert repr(str(path)) in capsys.readouterr().err


texts = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: text != "")


@settings(deadline=None, max_examples=25)  # each writes a file
@given(texts, st.floats(1e-30, 1e30), st.lists(st.floats(1e-9, 1e9), min_size=1), st.booleans())
def test_what_is_written_is_read_again(tmp_path_factory, text, number, several, switch):
    parser = console.make_parser("train", "")
    parser.add_argument("--text")
    parser.add_argument("--number", type=float)
    parser.add_argument("--several", type=listed(rate))
    parser.add_argument("--more", type=float, nargs="+")
    parser.add_argument("--switch", action="store_true")
    parser.add_argument("--none")
    parser.add_argument("--output", type=Path)
    config.add_option(parser)
    told = [f"--text={text}", f"--number={number!r}", "--several", ",".join(map(repr, several))]
    told += ["--more", *map(repr, several), "--output", "x", *(["--switch"] if switch else [])]
    options = config.parse(parser, told)
    options.output = tmp_path_factory.mktemp("config") / "two\nlines"
    options.output.mkdir()
    config.write(parser, options, "Keras 3")
    path = options.output / "config.toml"
    assert tomllib.loads(path.read_text("utf-8"))["made-with"] == "Keras 3"
    again = config.parse(parser, ["--config", str(path)])
    assert again.made_with == "Keras 3"
    for name in ("text", "number", "several", "more", "switch", "none"):
        assert getattr(again, name) == getattr(options, name)
    assert again.output is None


def test_a_name_that_is_no_text_gets_no_file(tmp_path, capsys):
    parser = training.parser()
    told = ["--data", "caf\udce9", "--output", str(tmp_path)]
    config.write(parser, parser.parse_args(told), "x")
    assert list(tmp_path.iterdir()) == []
    assert "config.toml is not written" in capsys.readouterr().out
