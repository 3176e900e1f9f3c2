"""Sphinx extension: the reference of the package, from its docstrings.

A page says `{{ api windows }}` where the row of the README's table of modules that begins with
`windows` shall stand: a heading for each module, its docstring, and what is public in it. The build
fails where a public function's annotations name arrays and its docstring names no shape.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))

from api_modules import rows
from shapes import lacks_shape

ROW = re.compile(r"^\{\{ api (?P<first>[\w*/]+) \}\}$", re.M)
CODE = re.compile(r"`([^`\n]+)`")
LOG = logging.getLogger(__name__)


def module_text(module: str) -> str:
    """A heading, and the directive that reads one module's docstrings."""
    automodule = [
        "```{eval-rst}",
        f".. automodule:: {module}",
        "   :members:",
        "   :member-order: bysource",
        "   :undoc-members:",
        "   :ignore-module-all:",
        "```",
    ]
    return "\n".join([f"### {module.removeprefix('seqrl.')}", "", *automodule, ""])


def expand(app: Sphinx, docname: str, content: list[str]) -> None:
    """Put the modules of a row in the place of its name."""
    if not ROW.search(content[0]):
        return
    known = rows(Path(app.srcdir))

    def modules(match: re.Match[str]) -> str:
        row = next(r for r in known if r.first == match["first"])
        parts = [f"{row.idea[0].upper()}{row.idea[1:]}.", "", *map(module_text, row.modules)]
        return "\n".join(parts)

    content[0] = ROW.sub(modules, content[0])


def plain(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are written for the source: code spans become literals, all else is text."""
    lines[:] = [_escaped(line) for line in lines]
    _literal_blocks(lines)
    if what in ("function", "method", "property") and lacks_shape(obj):
        LOG.warning("%s names arrays and its docstring no shape, as in (B, K), nor 'scalar'", name)


def _escaped(line: str) -> str:
    """One line without accidental markup."""
    parts = CODE.split(line)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"([\\*|]|_(?=\W|$))", r"\\\1", parts[i])
    for i in range(1, len(parts), 2):
        parts[i] = f"``{parts[i].strip()}``"
    return "".join(parts)


def _literal_blocks(lines: list[str]) -> None:
    """Indented lines that stand apart, or in columns, keep their breaks: each begins with a bar.

    Other indented lines go on with the sentence before them.
    """
    made: list[str] = []
    for line in lines:
        before = made[-1] if made else ""
        apart = not before.strip() or before.startswith("| ") or re.search(r"\S {2,}\S", line)
        if line.startswith(" ") and apart:
            made += [""] if before.strip() and not before.startswith("| ") else []
            made.append(f"| {line.strip()}")
        else:
            made += [""] if line.strip() and before.startswith("| ") else []
            made.append(line.strip())
    lines[:] = [*made, ""]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register both."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("source-read", expand, priority=400)
    app.connect("autodoc-process-docstring", plain)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
