"""Commands share how they end, what they tell users to type next, and what they may print.

`run` wraps every command of `minicnn`, `reference` and `benchmarks`; `this_program`, `python` and
`pip_install` return commands that work as they are printed; `printable` makes text that comes from
files harmless. Only the standard library is needed.
"""

import contextlib
import importlib.util
import os
import re
import shlex
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

INTERRUPTED, BROKEN_PIPE = 130, 141  # 128 + SIGINT, 128 + SIGPIPE: what a shell reports

# What the extras of the same names in pyproject.toml install.
EXTRAS = {"plot": ("matplotlib>=3.8",), "keras": ("tensorflow>=2.20", "keras>=3.12")}


# ---------------------------------------------------------------------------------------------
# Text
# ---------------------------------------------------------------------------------------------

# Control characters (a terminal obeys them), line separators, and those that change the direction
# of writing (a name reads as another one); a lone surrogate stands for a byte that is not text.
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: object, lines: bool = False) -> str:
    r"""Return the text with control characters escaped as in Python: `\x1b[2J`, `\u202e`.

    It is for names of classes, layers and files, which strangers may have chosen. With `lines` it
    is for texts of ours that may contain such names: their line ends and tabs stay.
    """

    def escaped(found: re.Match[str]) -> str:
        character = found[0]
        return character if lines and character in "\n\t" else repr(character)[1:-1]

    return _CONTROLS.sub(escaped, str(text))


def say(text: object = "", end: str = "\n") -> None:
    """Print plain text at once, so that it appears before the slow work that it announces."""
    print(printable(text, lines=True), end=end, flush=True)


# ---------------------------------------------------------------------------------------------
# Commands to type
# ---------------------------------------------------------------------------------------------


def this_program() -> str:
    """Return how to call `minicnn` from the user's current folder.

    It is `minicnn` if a shell finds that; else the path that was typed, or a call through Python.
    """
    script = Path(sys.argv[0]) if sys.argv and sys.argv[0] else Path("-c")
    if script.stem != "minicnn" or not script.is_file():
        return f"{python()} -m minicnn"
    return _shown(script)


def python() -> str:
    """Return how to call the running Python."""
    return _shown(Path(sys.executable or "python"))


def pip_install(*requirements: str) -> str:
    """Return the command that installs packages for the running Python, from any folder."""
    wanted = " ".join(
        package if re.fullmatch(r"[\w.-]+", package) else f'"{package}"' for package in requirements
    )
    if importlib.util.find_spec("pip") is None and shutil.which("uv"):  # uv's environments lack pip
        return f"uv pip install --python {python()} {wanted}"
    return f"{python()} -m pip install {wanted}"


def install_extra(name: str) -> str:
    """Return the command that installs what an extra of minicnn has: "plot" or "keras".

    The packages are named one by one, because pip would look up the name of minicnn itself in an
    index, where this checkout may not be.
    """
    return pip_install(*EXTRAS[name])


def quoted(*words: object) -> str:
    """Return words as one command line, quoting those with blanks or special characters."""
    return " ".join(shlex.quote(str(word)) for word in words)


def _shown(program: Path) -> str:
    """Return the shortest way to call a program: by name, relative to this folder, or in full."""
    # Links are not followed: the Pythons of all environments may be links to one and the same.
    absolute = os.path.abspath(program)  # noqa: PTH100
    found = shutil.which(program.name)
    if found and os.path.abspath(found) == absolute:  # noqa: PTH100
        return quoted(program.name)
    with contextlib.suppress(ValueError, OSError):
        relative = Path(absolute).relative_to(Path.cwd())
        # A name without a folder would be looked up in PATH.
        return quoted(relative if len(relative.parts) > 1 else f".{os.sep}{relative}")
    return quoted(absolute)


# ---------------------------------------------------------------------------------------------
# How a command ends
# ---------------------------------------------------------------------------------------------

EXPECTED = (ValueError, TypeError, OSError, ImportError, MemoryError)


def run(
    name: str,
    command: Callable[[], int | None],
    sentence: Callable[[BaseException], str | None] | None = None,
) -> int:
    """Run a command and return its exit code; print one sentence on stderr if it fails.

    Args:
        name: what the sentence begins with, such as `minicnn train`.
        command: returns the exit code; None is 0. `SystemExit` passes through.
        sentence: returns the sentence for an error, or None to leave the error to its traceback. By
            default it is `sentence_of`, for errors of the kinds in `EXPECTED`.

    The code is 2 after an error; 130 after an interrupt; 141, without a message, if nothing reads
    the output any more (`| head`).
    """
    prepare_output()
    if getattr(signal.getsignal(signal.SIGINT), "until_run", False):  # see `minicnn._support.early`
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        try:
            with _plain_warnings(name):
                return command() or 0
        finally:
            sys.stdout.flush()  # here, where a full disk can still be reported
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # rich turns it into an exit
            return _unread()
        raise
    except KeyboardInterrupt:
        _complain(f"{name}: interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        return _unread()
    except Exception as error:
        expected = sentence_of(error) if isinstance(error, EXPECTED) else None
        told = expected if sentence is None else sentence(error)
        if told is None:
            raise  # a defect: its traceback shows where
        _complain(f"{name}: {told}")
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            return 2
        _unread()  # a full disk, too
        return 2


def sentence_of(error: BaseException) -> str:
    """Return the error's message, without Python's "[Errno 2]"; it is never empty."""
    if isinstance(error, OSError) and error.strerror and type(error).__str__ is OSError.__str__:
        if error.filename is None:
            return f"{error.strerror}."
        path = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
        if isinstance(error, FileNotFoundError):
            return f"There is no file or folder {str(path)!r}."
        return f"{str(path)!r} cannot be used: {error.strerror}."
    if isinstance(error, MemoryError) and not str(error):
        return "Out of memory."
    return str(error) or type(error).__name__


def prepare_output() -> None:
    """Make sure that any text can be printed, wherever it goes."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell, as in `>&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        reconfigure = getattr(getattr(sys, name), "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def _plain_warnings(name: str) -> Iterator[None]:
    """Show warnings as one sentence, too, with the names of photos and layers made harmless.

    The place in the code is left out: only people who change that code need it.
    """
    usual = warnings.formatwarning

    def formatted(
        message: Warning | str, category: type[Warning], *where: Any, **named: Any
    ) -> str:
        if issubclass(category, (DeprecationWarning, PendingDeprecationWarning, FutureWarning)):
            return printable(usual(message, category, *where, **named), lines=True)
        return printable(f"{name}: warning: {message}\n", lines=True)

    warnings.formatwarning = formatted
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _complain(text: str) -> None:
    with contextlib.suppress(OSError):
        print(printable(text, lines=True), file=sys.stderr, flush=True)


def _unread() -> int:
    """Drop what could not be written; otherwise Python would complain about it again at exit."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
            continue
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
    return BROKEN_PIPE


def bytes_text(count: float) -> str:
    """Return a number of bytes in the unit that suits it, such as `1.50 KB`."""
    for unit in ("B", "KB", "MB"):
        if count < 1024:
            return f"{count:.2f} {unit}"
        count /= 1024
    return f"{count:.2f} GB"
