"""Sphinx extension that makes the pages lighter when they are built, and open to all readers.

- Of the theme's two thousand icons, as a script, as a style and as fonts, those are left that the
  pages use: that is 1.6 MB less to load for each page.
- The arrow that opens a part of the contents is named for those who cannot see it, an output that
  scrolls can be reached by the keyboard, and the bibliography does not pass for a list.
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
FONTS = Path("vendor") / "fontawesome" / "webfonts"
FONT_NAMES = ("fa-solid-900", "fa-brands-400")
# "name":[width, height, [other names and codes], "code", "path" or ["path", "path"]],
ICON = re.compile(
    r'(?:"[a-z0-9-]+"|[a-z0-9]+):\[\d+,\d+,\[[^\]]*\],"[0-9a-f]*",(?:"[^"]*"|\[[^\]]*\])\],?'
)
RULE = re.compile(r'(?:\.fa-[a-z0-9-]+:before,?)+\{content:"[^"]*"\}')
NAMES = re.compile(r"[a-z][a-z0-9-]*")
USED = re.compile(r"\bfa-([a-z0-9-]+)")
CODE = re.compile(r"\\([ef][0-9a-f]{3})\b")
WOFF = re.compile(rf'url\([^)]*(?:{"|".join(FONT_NAMES)})\.woff2\) format\("woff2"\),')
ARROW = '<summary><span class="toctree-toggle"'
NAMED = ARROW.replace("<summary>", '<summary aria-label="pages of this chapter">')
OUTPUT = '<div class="cell_output docutils container"'
SCROLLS = re.compile(rf'(<div class="cell [^"]*tag_scroll-output[^>]*>.*?{OUTPUT})>', re.S)


def lighter_script(script: str, used: Iterable[str]) -> str:
    """The script of icons without those of which no name is used."""
    wanted = set(used)

    def kept(icon: re.Match[str]) -> str:
        names = NAMES.findall(icon[0].split("],", 1)[0])
        return icon[0] if wanted.intersection(names) else ""

    return ICON.sub(kept, script)


def lighter_style(style: str, used: Iterable[str]) -> str:
    """The style without the rules of icons that are not used; the fonts are the lighter ones."""
    wanted = set(used)
    rules = RULE.sub(lambda r: r[0] if wanted.intersection(USED.findall(r[0])) else "", style)
    return WOFF.sub("", rules)


def lighter_font(font: Path, codes: Iterable[str], to: Path) -> None:
    """Write the font with the characters of these hexadecimal codes alone."""
    loaded = subset.load_font(str(font), subset.Options())
    cutter = subset.Subsetter()
    cutter.populate(unicodes=[int(code, 16) for code in codes])
    cutter.subset(loaded)
    loaded.save(str(to))


def for_all(page: str) -> str:
    """A page whose arrows have names, and whose scrolling outputs take the keyboard's focus.

    The bibliography's entries hold links back, which what is named a list may not.
    """
    reached = r'\1 tabindex="0" role="region" aria-label="output that scrolls">'
    for role in (' role="list"', ' role="doc-biblioentry"'):
        page = page.replace(f'{role} class="citation', ' class="citation')
        page = re.sub(rf'(<div class="citation[^>]*?){role}', r"\1", page)
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
    for name in FONT_NAMES:
        font = FONTS / f"{name}.ttf"
        lighter_font(THEME / font, codes, static / font)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", lighten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
