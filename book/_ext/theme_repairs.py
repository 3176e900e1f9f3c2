"""Sphinx extension that mends what the theme leaves: heavy icons, and a button without a name.

- The theme's script of icons holds two thousand, 1.5 MB; the pages keep those that they use.
- The arrow that opens a part of the contents is named for those who cannot see it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pydata_sphinx_theme
from sphinx.application import Sphinx

ICONS = Path("scripts") / "fontawesome.js"
THEME = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme" / "static"
# "name":[width, height, [other names and codes], "code", "path" or ["path", "path"]],
ICON = re.compile(
    r'(?:"[a-z0-9-]+"|[a-z0-9]+):\[\d+,\d+,\[[^\]]*\],"[0-9a-f]*",(?:"[^"]*"|\[[^\]]*\])\],?'
)
NAMES = re.compile(r"[a-z][a-z0-9-]*")
USED = re.compile(r"\bfa-([a-z0-9-]+)")
ARROW = '<summary><span class="toctree-toggle"'
NAMED = ARROW.replace("<summary>", '<summary aria-label="pages of this chapter">')


def lighter(script: str, used: Iterable[str]) -> str:
    """The script of icons without those of which no name is used."""
    wanted = set(used)

    def kept(icon: re.Match[str]) -> str:
        names = NAMES.findall(icon[0].split("],", 1)[0])
        return icon[0] if wanted.intersection(names) else ""

    return ICON.sub(kept, script)


def mend(app: Sphinx, error: Exception | None) -> None:
    """Name the arrows of all pages, and leave the icons that pages and scripts use."""
    out = Path(app.outdir)
    icons = out / "_static" / ICONS
    if error or app.builder.format != "html" or not icons.exists():
        return
    used: set[str] = set()
    for page in out.rglob("*.html"):
        text = page.read_text("utf8")
        used.update(USED.findall(text))
        if ARROW in text:
            page.write_text(text.replace(ARROW, NAMED), "utf8")
    for script in (out / "_static").glob("scripts/*.js"):
        if script.name != ICONS.name:
            used.update(USED.findall(script.read_text("utf8")))
    icons.write_text(lighter((THEME / ICONS).read_text("utf8"), used), "utf8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
