"""Reads and writes options in a TOML file, `--config run.toml`; each run writes all of its own.

    learning-rate = 0.01          # as --learning-rate 0.01
    augment = true                # as --augment; --no-augment on the command line switches it off
    drop-rates = [0.0, 0.2]       # as --drop-rates 0,0.2

Options on the command line override those of the file.
"""

import argparse
import difflib
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from minicnn._support.arguments import path_to_write
from minicnn._support.atomic import replacing
from minicnn._support.reading import read_regular
from minicnn._support.terminal import printable, python, quoted, say

_LARGEST = 2**20  # bytes
_MADE_WITH = "made-with"  # not an option: the backend and the versions of the run
# Where a run writes and resumes, which loggers it tells, and which of several processes it is do
# not affect what it computes.
_NOT_WRITTEN = ("help", "config", "output", "resume", "logger", "tensorboard", "process_id")


def add_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=path_to_write,
        metavar="TOML",
        help="options by their names, as in the config.toml that each run writes; those on the "
        "command line override them, and --no-NAME switches off what the file switches on",
    )


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the arguments, and before them those of the file that `--config` names.

    `given` of the result has the names of all options that are in one of them, even with their
    defaults; but a file that a run has written names all options, so a default in it does not count
    as given. Raises `ValueError` for a file that is not TOML, or has a key that is not an option of
    the command; the parser itself reports wrong values.
    """
    given = _in_full(parser, sys.argv[1:] if arguments is None else arguments)
    actions = {_name(action): action for action in parser._actions if action.option_strings}
    if "config" not in actions:
        return _parsed(parser, given)
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config")
    path = finder.parse_known_args(given)[0].config
    if not path:  # the parser refuses an empty one
        return _parsed(parser, given)
    found = read(Path(path))
    made_with = found.pop(_MADE_WITH, None)
    told: list[str] = []
    taken: set[str] = set()
    actions = {name: one for name, one in actions.items() if one.dest not in ("help", "config")}
    for key, value in found.items():
        action = actions.get(key.replace("_", "-"))
        if action is None:
            near = difflib.get_close_matches(key, actions, 1)
            hint = f" Is {near[0]!r} meant?" if near else ""
            raise ValueError(f"{path}: {parser.prog} has no option {key!r}.{hint}")
        if _is_given(_rivals(parser, action), given):
            continue
        off = f"--no-{_name(action)}"
        if action.nargs == 0 and off in given:
            given = [word for word in given if word != off]
            continue
        told += _words(path, _name(action), action, value)
        if not _is_given(action.option_strings, given):
            taken.add(action.dest)
    options = _parsed(parser, [*told, *given])
    options.given |= {actions[key.replace("_", "-")].dest for key in found}
    if made_with is not None:
        usual = {name for name in taken if getattr(options, name) == parser.get_default(name)}
        options.given -= usual
    options.made_with = made_with
    return options


def _in_full(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[str]:
    """Return the words of a command line, with options in full that are abbreviated.

    The parser would take them, but a file's options have to be compared with those given.
    """
    known = [text for action in parser._actions for text in action.option_strings]
    known += [f"--no-{_name(action)}" for action in parser._actions if action.nargs == 0]
    found = list(words)
    for place, word in enumerate(words):
        if word == "--":
            break
        name, equals, value = word.partition("=")
        meant = [text for text in known if text.startswith(name)]
        if name.startswith("--") and name not in known and len(meant) == 1:
            found[place] = f"{meant[0]}{equals}{value}"
    return found


def _parsed(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    options = parser.parse_args(words)
    # The parser does not overwrite present values with defaults.
    marked = parser.parse_args(words, argparse.Namespace(**dict.fromkeys(vars(options), parser)))
    options.given = {name for name, value in vars(marked).items() if value is not parser}
    return options


def read(path: Path) -> dict[str, Any]:
    """Return the keys and values of a TOML file; `ValueError` if it is none."""
    try:
        return tomllib.loads(read_regular(path, "config file", _LARGEST).decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is not a TOML file: {error}.") from None


def _name(action: argparse.Action) -> str:
    return next((s[2:] for s in action.option_strings if s.startswith("--")), action.dest)


def _rivals(parser: argparse.ArgumentParser, action: argparse.Action) -> list[str]:
    """Return the options that exclude this one: the command line's override a file's."""
    groups = [g._group_actions for g in parser._mutually_exclusive_groups]
    others = [one for group in groups if action in group for one in group if one is not action]
    return [text for one in others for text in one.option_strings]


def _is_given(names: Sequence[str], given: Sequence[str]) -> bool:
    return any(word.partition("=")[0] in names for word in given)


def _words(path: Path, name: str, action: argparse.Action, value: Any) -> list[str]:
    """Return the option with its value, as words of a command line."""
    switch = action.nargs == 0
    several = value if isinstance(value, list) else [value]
    if (
        (switch and not isinstance(value, bool))
        or not all(isinstance(one, (str, int, float)) for one in several)
        or (not switch and any(isinstance(one, bool) for one in several))
    ):
        wanted = "true or false" if switch else "a number, a text, or a list of them"
        raise ValueError(f"{path}: {name} should be {wanted}. Received {value!r}.")
    if switch:
        return [f"--{name}"] if value else []
    if isinstance(value, list) and action.nargs in ("+", "*"):
        return [f"--{name}", *map(str, value)]
    return [f"--{name}={','.join(map(str, several))}"]  # "=": a value may begin with a dash


def write(parser: argparse.ArgumentParser, options: argparse.Namespace, made_with: str) -> None:
    """Write all options of a run into its --output, so that `--config` repeats it."""
    path = options.output / "config.toml"
    # A comment ends with its line, and a name may have several.
    again = printable(
        quoted("-m", parser.prog.split()[-1], "--config", path, "--output", "runs/again")
    )
    lines = [f"# The same run again: {python()} {again}", f"{_MADE_WITH} = {_toml(made_with)}"]
    for name, value in written(parser, options):
        lines.append(f"{name} = {_toml(value)}")
    try:
        content = ("\n".join(lines) + "\n").encode()
    except UnicodeEncodeError:
        say(f"{path.name} is not written: TOML holds no name whose bytes are not text.")
        return
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def written(
    parser: argparse.ArgumentParser, options: argparse.Namespace
) -> Iterator[tuple[str, Any]]:
    """Yield the name and value of each option that decides what a run computes."""
    for action in parser._actions:
        value = getattr(options, action.dest, None)
        if action.option_strings and action.dest not in _NOT_WRITTEN and value is not None:
            yield _name(action), value


def defaults(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Return the options of a run without arguments, except those that have no value."""
    empty = argparse.Namespace(**{a.dest: a.default for a in parser._actions})
    return dict(written(parser, empty))


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    # TOML's texts are JSON's, but for two characters.
    return re.sub("\x7f", r"\\u007f", json.dumps(str(value), ensure_ascii=False))
