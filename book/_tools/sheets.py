"""Exercise sheets are written solution first; from that one source come sheet and solution.

Inside a code cell::

    def returns_to_go(rewards):
        ### BEGIN SOLUTION
        return rewards.flip(0).cumsum(0).flip(0)
        ### END SOLUTION
        ### BEGIN STUB
        # raise NotImplementedError("sum the rewards from each step to the end")
        ### END STUB

The student finds the stub, uncommented, in the solution's place; solution and book see no stub.
A solution without a stub leaves one that raises `NotImplementedError`. A whole cell tagged
`solution`, and a directive with `:class: solution`, are for the solution alone.
"""

from __future__ import annotations

import re

MARKER = re.compile(r"^(?P<indent>\s*)### (?P<edge>BEGIN|END) (?P<part>SOLUTION|STUB)\s*$")
DEFAULT_STUB = 'raise NotImplementedError("your code here")'
ANSWER = "*Write your answer here.*"


def split_parts(source: str) -> list[tuple[str, str]]:
    """The lines of a cell, each with its part: "shared", "solution", "stub" or "gap".

    "gap" is where a solution without a stub ends. ValueError for markers that do not pair up.
    """
    parts: list[tuple[str, str]] = []
    part = "shared"
    for number, line in enumerate(source.split("\n"), 1):
        match = MARKER.match(line)
        if match is None:
            parts.append((part, line))
            continue
        name = match["part"].lower()
        if (match["edge"] == "BEGIN") != (part == "shared") or (
            match["edge"] == "END" and part != name
        ):
            raise ValueError(f"line {number} of the cell: {line.strip()!r} has no partner")
        part = name if match["edge"] == "BEGIN" else "shared"
        if match["edge"] == "END" and name == "solution":
            parts.append(("gap", match["indent"]))
    if part != "shared":
        raise ValueError(f"a ### BEGIN {part.upper()} is never ended")
    return _close_gaps(parts)


def _close_gaps(parts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Drop the gaps that a stub follows."""
    following = [*parts[1:], ("shared", "")]
    return [p for p, after in zip(parts, following) if p[0] != "gap" or after[0] != "stub"]


def solved(source: str) -> str:
    """A cell as the solution shows it: without markers and without stubs."""
    return "\n".join(line for part, line in split_parts(source) if part in ("shared", "solution"))


def solved_text(text: str) -> str:
    """A whole page of exercises as the solution; its line numbers are not kept."""
    return solved(text)


def student(source: str) -> str:
    """A cell as the student finds it: stubs, uncommented, in place of solutions."""
    lines = []
    for part, line in split_parts(source):
        if part == "shared":
            lines.append(line)
        elif part == "stub":
            lines.append(re.sub(r"^(\s*)# ?", r"\1", line))
        elif part == "gap":
            lines.append(line + DEFAULT_STUB)
    return "\n".join(lines)


def solution_lines(source: str) -> list[str]:
    """The stripped, non-blank lines that only the solution may hold."""
    return [
        line.strip() for part, line in split_parts(source) if part == "solution" and line.strip()
    ]
