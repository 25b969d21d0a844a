"""How the lessons check the answer to an exercise.

A check takes the learner's answer and returns "" if it is right, otherwise a sentence that helps.
It looks for the usual mistakes in order to name them. A solution replaces everything in the
exercise's cell except its last line.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Check = Callable[[Any], str]
HOMEWORK = 0  # its questions are exercises, under this number


class Exercise(NamedTuple):
    """The check of an answer, and a solution."""

    check: Check
    solution: str


EXERCISES: dict[tuple[int, int], Exercise] = {}
"""All exercises, by the number of the lesson and of the exercise."""


class OpenError(Exception):
    """The learner has not replaced the dots yet."""


class KindError(TypeError):
    """The answer, or what the learner's function returns, is not of the kind that is asked for."""


def verdict(check: Check, answer: Any) -> str:
    """What a check says about an answer: "" if it is right, otherwise one sentence.

    This does not raise, whatever the learner wrote.
    """
    try:
        if isinstance(answer, (np.ndarray, np.generic)):
            answer = answer.tolist()  # [1, 2] is right, and so is np.array([1, 2])
        parts = answer if isinstance(answer, (list, tuple)) else [answer]
        if any(part is ... for part in parts):
            raise OpenError
        with np.errstate(all="ignore"):
            return check(answer)
    except OpenError:
        return "not answered yet. Replace the dots with your answer and run the cell again."
    except Exception as error:
        what = " ".join(str(error).split()) or "it has no message"
        end = "" if what.endswith((".", "!", "?")) else "."
        kind = "" if isinstance(error, KindError) else f"this ended in {type(error).__name__}: "
        return f"not yet: {kind}{what}{end}"


def exercise(lesson: int, number: int, solution: str) -> Callable[[Check], Check]:
    """Register the function below as the check of this exercise."""

    def add(check: Check) -> Check:
        EXERCISES[lesson, number] = Exercise(check, solution.strip("\n"))
        return check

    return add


def called(function: Any, *arguments: Any) -> Any:
    """What the learner's function returns; it gets copies, which it may change."""
    if not callable(function):
        raise KindError(f"the answer should be a function, but it is {shown(function)}")
    found = function(*[np.array(a) if isinstance(a, np.ndarray) else a for a in arguments])
    if found is ...:
        raise OpenError
    if found is None:
        raise KindError("the function returned None: does it end in return?")
    return found


def array_of(function: Any, *arguments: Any, like: np.ndarray) -> np.ndarray:
    """The array that the learner's function returns, which must have the shape of `like`."""
    found = np.asarray(called(function, *arguments), dtype=np.float64)
    if found.shape != like.shape:
        raise KindError(f"the result should have shape {like.shape}, but it has {found.shape}")
    return found


def same(a: Any, b: Any, tolerance: float = 1e-4) -> bool:
    """Whether two arrays have the same shape and, within the tolerance, the same numbers."""
    return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, rtol=tolerance, atol=tolerance))


def number_of(answer: Any, what: str = "the answer") -> float:
    """The answer, or `what` else it is, as a number; `KindError` for anything else."""
    if isinstance(answer, np.ndarray) and answer.ndim == 0:
        answer = answer.item()
    if isinstance(answer, bool) or not isinstance(answer, (int, float, np.number)):
        raise KindError(f"{what} should be a number, but it is {shown(answer)}")
    return float(answer)


def shown(answer: Any) -> str:
    """The answer as Python writes it, shortened."""
    text = " ".join(repr(answer).split())
    return text if len(text) <= 80 else f"{text[:79]}…"


def first_of(*cases: tuple[bool, str], otherwise: str) -> str:
    """The sentence of the first case that holds, or `otherwise`."""
    return next((sentence for holds, sentence in cases if holds), otherwise)


def exercises_of(lesson: int) -> Sequence[int]:
    """The numbers of a lesson's exercises."""
    return [number for found, number in EXERCISES if found == lesson]
