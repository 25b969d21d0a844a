"""An interrupt while a command is still being imported ends it in one line.

Imported first, so it imports next to nothing. There is nothing yet to tidy up, and nothing that
could catch the interrupt: a library's import may turn it into an error of its own.
"""

# What `signal` is made of, without the enumerations that take it milliseconds.
import _signal  # type: ignore[import-not-found]
import os
import sys


def end_in_one_line(name: str) -> None:
    """Until `terminal.run` takes over. For the process that a command is, not for others.

    Where interrupts are ignored, or somebody has a way of their own with them, that stays.
    """
    if _signal.getsignal(_signal.SIGINT) is not _signal.default_int_handler:
        return

    def ended(number: int, frame: object) -> None:
        os.write(2, f"{name}: interrupted.\n".encode())
        os._exit(130)

    ended.until_run = True  # type: ignore[attr-defined]
    _signal.signal(_signal.SIGINT, ended)


def is_command() -> bool:
    """Whether this process is `minicnn …` or `python -m minicnn …`."""
    script = (getattr(sys, "argv", None) or [""])[0]  # "-m" as long as Python looks for the module
    if script == "-m":
        return "minicnn" in sys.orig_argv
    name = os.path.basename(script)  # noqa: PTH119 - pathlib takes longer than all of this
    return name in ("minicnn", "minicnn.exe")
