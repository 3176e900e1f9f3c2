"""The README's table of modules, row by row: what the reference of the package is grouped by."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

LINE = re.compile(r"^\| (?P<names>(?:`[\w*/]+`(?:, )?)+) \| (?P<idea>[^|]+?) \|$", re.M)
PRIVATE = {"checks"}  # the judges of the exercises: a module each, and no one's to call


class Row(NamedTuple):
    """One row: its first name, its idea in words, and its modules by their full names."""

    first: str
    idea: str
    modules: list[str]


def rows(root: Path) -> list[Row]:
    """The rows of the table, in order; the first is the table's head and left out."""
    text = (root / "README.md").read_text("utf8")
    found = []
    for match in list(LINE.finditer(text))[1:]:
        names = re.findall(r"`([\w*/]+)`", match["names"])
        modules = [m for name in names for m in _modules(root / "seqrl", name)]
        found.append(Row(names[0], match["idea"], modules))
    return found


def _modules(package: Path, name: str) -> list[str]:
    """The modules that a name of the table stands for: one, all of a pattern, or a folder's."""
    if name.endswith("/"):
        folder = name.rstrip("/")
        inside = [] if folder in PRIVATE else sorted((package / folder).glob("[a-z]*.py"))
        return [f"seqrl.{folder}", *(f"seqrl.{folder}.{p.stem}" for p in inside)]
    return [f"seqrl.{p.stem}" for p in sorted(package.glob(f"{name}.py"))]
