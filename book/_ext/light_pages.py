"""Sphinx extension that makes the pages lighter when they are built, and open to all readers.

- Of the theme's two thousand icons, as a script, as a style and as a font, those are left that the
  pages use: that is 1.6 MB less to load for each page.
- Figures lose what no eye sees: comments, metadata, and the third decimal of a coordinate.
- The arrow that opens a part of the contents is named for those who cannot see it, and an output
  that scrolls can be reached by the keyboard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pydata_sphinx_theme
from fontTools import subset
from sphinx.application import Sphinx

THEME = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme" / "static"
SCRIPT = Path("scripts") / "fontawesome.js"
STYLE = Path("styles") / "pydata-sphinx-theme.css"
FONT = Path("vendor") / "fontawesome" / "webfonts" / "fa-solid-900.ttf"
# "name":[width, height, [other names and codes], "code", "path" or ["path", "path"]],
ICON = re.compile(
    r'(?:"[a-z0-9-]+"|[a-z0-9]+):\[\d+,\d+,\[[^\]]*\],"[0-9a-f]*",(?:"[^"]*"|\[[^\]]*\])\],?'
)
RULE = re.compile(r'(?:\.fa-[a-z0-9-]+:before,?)+\{content:"[^"]*"\}')
NAMES = re.compile(r"[a-z][a-z0-9-]*")
USED = re.compile(r"\bfa-([a-z0-9-]+)")
CODE = re.compile(r"\\([ef][0-9a-f]{3})\b")
WOFF = re.compile(r'url\([^)]*fa-solid-900\.woff2\) format\("woff2"\),')
ARROW = '<summary><span class="toctree-toggle"'
NAMED = ARROW.replace("<summary>", '<summary aria-label="pages of this chapter">')
OUTPUT = '<div class="cell_output docutils container"'
SCROLLS = re.compile(rf'(<div class="cell [^"]*tag_scroll-output[^>]*>.*?{OUTPUT})>', re.S)
UNSEEN = re.compile(r"<!--.*?-->|<metadata>.*?</metadata>", re.S)
OUTLINE = re.compile(r'\bd="[^"]*"', re.S)


def lighter_script(script: str, used: Iterable[str]) -> str:
    """The script of icons without those of which no name is used."""
    wanted = set(used)

    def kept(icon: re.Match[str]) -> str:
        names = NAMES.findall(icon[0].split("],", 1)[0])
        return icon[0] if wanted.intersection(names) else ""

    return ICON.sub(kept, script)


def lighter_style(style: str, used: Iterable[str]) -> str:
    """The style without the rules of icons that are not used; the font is the lighter one."""
    wanted = set(used)
    rules = RULE.sub(lambda r: r[0] if wanted.intersection(USED.findall(r[0])) else "", style)
    return WOFF.sub("", rules)


def lighter_figure(drawing: str) -> str:
    """An SVG file's text without what is not drawn, its outlines to a hundredth of a point."""

    def rounded(outline: re.Match[str]) -> str:
        return re.sub(r"\s+", " ", re.sub(r"(\.\d\d)\d+", r"\1", outline[0]))

    return re.sub(r"\n\s+", "\n", OUTLINE.sub(rounded, UNSEEN.sub("", drawing)))


def lighter_font(font: Path, codes: Iterable[str], to: Path) -> None:
    """Write the font with the characters of these hexadecimal codes alone."""
    loaded = subset.load_font(str(font), subset.Options())
    cutter = subset.Subsetter()
    cutter.populate(unicodes=[int(code, 16) for code in codes])
    cutter.subset(loaded)
    loaded.save(str(to))


def for_all(page: str) -> str:
    """A page whose arrows have names, and whose scrolling outputs take the keyboard's focus."""
    reached = r'\1 tabindex="0" role="region" aria-label="output that scrolls">'
    return SCROLLS.sub(reached, page.replace(ARROW, NAMED))


def lighten(app: Sphinx, error: Exception | None) -> None:
    """Do all of it to the pages that were built; a build that failed is left alone."""
    out = Path(app.outdir)
    static = out / "_static"
    if error or app.builder.format != "html" or not (static / SCRIPT).exists():
        return
    used: set[str] = set()
    for page in out.rglob("*.html"):
        text = page.read_text("utf8")
        used.update(USED.findall(text))
        if (open_to_all := for_all(text)) != text:
            page.write_text(open_to_all, "utf8")
    for script in static.glob("scripts/*.js"):
        if script.name != SCRIPT.name:
            used.update(USED.findall(script.read_text("utf8")))
    (static / SCRIPT).write_text(lighter_script((THEME / SCRIPT).read_text("utf8"), used), "utf8")
    (static / STYLE).write_text(lighter_style((THEME / STYLE).read_text("utf8"), used), "utf8")
    codes = {c for style in static.rglob("*.css") for c in CODE.findall(style.read_text("utf8"))}
    lighter_font(THEME / FONT, codes, static / FONT)
    for figure in (out / "_images").glob("*.svg"):
        figure.write_text(lighter_figure(figure.read_text("utf8")), "utf8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", lighten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
