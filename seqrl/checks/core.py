"""What an exercise is, how an answer is judged, and the verdict that a notebook shows.

A wrong answer is compared with the answers that known misconceptions give. The one that agrees in
every case names the mistake; the first case that fails (they go from small to large) is shown.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import numpy as np

from seqrl.checks.guard import Failed, Guarded, NothingToAsk, NotWritten, as_numpy, show

SEEDS = (0, 1, 2)  # of the self-check; an autograder adds its own


@dataclass(frozen=True)
class Exercise:
    """One exercise: what is called, what its card says, and the judge of an answer.

    `judge(answer, seeds)` raises `Failed`, or returns None for a right answer.
    """

    id: str  # "1.2": sheet 1, second exercise
    title: str
    name: str  # the function's name
    parameters: tuple[str, ...]
    objectives: tuple[str, ...]  # such as ("O1.2",)
    difficulty: int  # 1 to 3
    minutes: int
    judge: Callable[[Guarded, Sequence[int]], None]
    shown: str  # what a right answer has shown

    @property
    def card(self) -> str:
        """The line under the exercise's title in the sheet."""
        stars = "★" * self.difficulty + "☆" * (3 - self.difficulty)
        return f"{stars} · about {self.minutes} minutes · {', '.join(self.objectives)}"


@dataclass(frozen=True, repr=False)
class Result:
    """The verdict on one answer, true if it passed; shows itself in notebooks and terminals."""

    id: str
    title: str
    passed: bool
    message: str
    case: str = ""  # the smallest failing case, several lines

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        head = f"{'✓' if self.passed else '✗'} {self.id} {self.title}".rstrip()
        lines = [head, self.message, *(f"    {line}" for line in self.case.splitlines())]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        mark, color = ("✓", "#009e73") if self.passed else ("✗", "#d55e00")
        case = f"<pre style='margin:.4em 0 0'>{escape(self.case)}</pre>" if self.case else ""
        return (
            f"<div style='border-left:4px solid {color};padding:.2em .8em'>"
            f"<strong>{mark} {escape(f'{self.id} {self.title}'.rstrip())}</strong><br>"
            f"{escape(self.message)}{case}</div>"
        )


def exercise(id: str) -> Exercise:
    """The exercise called `id`, such as "1.2"; ValueError naming the nearest ids otherwise."""
    if not isinstance(id, str):
        raise ValueError(f"There is no exercise {id!r}: ids are texts, such as '1.2'.")
    try:
        number = int(id.split(".")[0])
        sheet = importlib.import_module(f"seqrl.checks.sheet{number:02d}")
    except (ValueError, ModuleNotFoundError):
        raise ValueError(f"There is no exercise {id!r}; ids look like '1.2'.") from None
    found = {e.id: e for e in sheet.EXERCISES}
    if id not in found:
        near = difflib.get_close_matches(id, found, n=3, cutoff=0) or list(found)
        raise ValueError(
            f"There is no exercise {id!r} with a check; did you mean {' or '.join(near)}? "
            "An open experiment has a rubric in its place."
        )
    return found[id]


def run(id: str, function: Any, seeds: Iterable[int] = SEEDS) -> Result:
    """Judge `function` as an answer to exercise `id` on the cases drawn from `seeds`.

    An autograder hands over a `Guarded` of its own, whose function runs in another process.
    Never raises because of `function`. ValueError for an unknown id.
    """
    asked = exercise(id)

    def verdict(passed: bool, message: str, case: str = "") -> Result:
        return Result(asked.id, asked.title, passed, message, case)

    if not callable(function):
        return verdict(
            False,
            f"Hand over the function itself, `check({id!r}, {asked.name})`, "
            f"without calling it: this is {show(function)}.",
        )
    guarded = isinstance(function, Guarded)
    try:
        student = function if guarded else Guarded(function, asked.name, asked.parameters)
        asked.judge(student, tuple(seeds))
    except NotWritten as failure:
        return verdict(False, f"{failure.sentence} Run this cell again when it is.")
    except Failed as failure:
        return verdict(False, failure.sentence, failure.case)
    except Exception as error:  # a returned object that breaks when it is looked at
        return verdict(False, f"What it returned cannot be read: {type(error).__name__}: {error}.")
    return verdict(True, asked.shown)


def check(id: str, function: Any) -> Result:
    """Self-check: the verdict on `function` as an answer to exercise `id`, for the notebook."""
    try:
        return run(id, function)
    except ValueError as error:
        return Result(str(id), "", False, str(error))


class Mistake(NamedTuple):
    """A misconception: the sentence that names it, and the answer it gives."""

    sentence: str
    answer: Callable[..., Any]


def compare(
    student: Guarded,
    cases: Iterable[tuple[Any, ...]],
    right: Callable[..., Any],
    mistakes: Sequence[Mistake],
    read: Callable[..., Any],
    equal: Callable[[Any, Any], bool],
) -> None:
    """Raise `Failed` unless the student's answer equals `right` in every case.

    cases: argument tuples from small to large. `read(value, *arguments)` turns what was returned
    into what `right` returns, or raises `Failed` for a wrong type or shape.
    """
    answers: list[tuple[tuple[Any, ...], Any]] = []
    wrong: list[str] = []
    for arguments in cases:
        try:
            value = read(student(*arguments), *arguments)
        except Failed as failure:
            if wrong:
                break  # a smaller case already says more
            if not isinstance(failure, NothingToAsk):
                failure.case = failure.case or student.case(arguments)
            raise
        answers.append((arguments, value))
        expected = right(*arguments)
        if not equal(value, expected):
            call = student.case(arguments)
            wrong.append(f"{call}\n  should be {show(expected)}\n  yours is  {show(value)}")
    if wrong:
        for mistake in mistakes:
            if all(equal(value, mistake.answer(*arguments)) for arguments, value in answers):
                raise Failed(mistake.sentence, wrong[0])
        raise Failed("Some numbers are wrong; the smallest such case is below.", wrong[0])


def as_array(value: Any, what: str) -> np.ndarray:
    """`value` (array, list, tensor on any device) as a NumPy array of numbers or truth values."""
    value = as_numpy(value)
    try:
        array = np.asarray(value)
    except Exception:
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        raise Failed(f"{what} should be an array of numbers, not {type(value).__name__}.")
    return array


def in_numpy(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function for tensors: it gets arrays in their place. For references and mistakes."""

    def converted(*arguments: Any) -> Any:
        return function(*map(as_numpy, arguments))

    return converted


def close(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal shapes, and equal numbers as far as single precision can tell."""
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-4, atol=1e-5)
