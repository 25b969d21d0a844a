"""Ends a command in one line if it is interrupted while it is still being imported.

This is imported first, so it imports next to nothing. So early there is nothing to clean up, and
nothing else can handle the interrupt: a library's import may turn it into an error of its own.
"""

# The C part of `signal`, without the enumerations that take milliseconds to import.
import _signal  # type: ignore[import-not-found]
import os
import sys


def end_in_one_line(name: str) -> None:
    """Handle interrupts until `terminal.run` takes over; only in the process of a command.

    If interrupts are ignored or already have a handler, nothing changes.
    """
    if _signal.getsignal(_signal.SIGINT) is not _signal.default_int_handler:
        return

    def ended(number: int, frame: object) -> None:
        os.write(2, f"{name}: interrupted.\n".encode())
        os._exit(130)

    ended.until_run = True  # type: ignore[attr-defined]
    _signal.signal(_signal.SIGINT, ended)


def is_command() -> bool:
    """Return whether this process is `minicnn …` or `python -m minicnn …`."""
    script = (getattr(sys, "argv", None) or [""])[0]  # "-m" while Python looks for the module
    if script == "-m":
        return "minicnn" in sys.orig_argv
    name = os.path.basename(script)  # noqa: PTH119 - pathlib takes longer than all of this
    return name in ("minicnn", "minicnn.exe")
