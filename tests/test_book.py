"""The book's settings hold together, its build cannot lie, and its browser test sees faults."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "book" / "_tools"), str(ROOT / "book" / "_ext")]

import build  # noqa: E402
import light_pages  # noqa: E402
import site_pages  # noqa: E402
import site_test  # noqa: E402
from book_config import Repository, load_config, load_pages, macros  # noqa: E402
from page_to_notebook import Book, convert  # noqa: E402

CONFIG = load_config(ROOT)
STATIC = ROOT / "book" / "_static"
FRONT = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
"""


# Settings


def test_jupyter_book_accepts_the_settings() -> None:
    from jupyter_book.config import validate_yaml

    validate_yaml(CONFIG, raise_on_errors=True)
    assert CONFIG["execute"]["raise_on_error"] is True


def test_the_repository_is_named_in_one_place() -> None:
    slug = Repository.from_config(CONFIG).slug
    assert (ROOT / "_config.yml").read_text("utf8").count(slug) == 1
    sources = [*ROOT.glob("book/*.md"), *ROOT.glob("solutions/*.md"), ROOT / "_toc.yml"]
    sources += [*ROOT.glob("book/_*/*.py"), *ROOT.glob("seqrl/**/*.py")]
    assert [str(p) for p in sources if slug in p.read_text("utf8")] == []


def test_the_contents_list_every_page_once() -> None:
    listed = [page.docname for page in load_pages(ROOT)]
    assert len(set(listed)) == len(listed)
    assert sorted(listed) == sorted(f"book/{p.stem}" for p in (ROOT / "book").glob("*.md"))


def test_chapters_are_named_like_their_numbers() -> None:
    for page in load_pages(ROOT):
        title = re.search(r"(?m)^# (.*)$", (ROOT / f"{page.docname}.md").read_text("utf8"))
        assert title, f"{page.docname} has no title"
        assert not re.match(r"\d", title[1]), f"the book numbers {page.docname} by itself"
        if page.number:
            assert page.docname.startswith(f"book/{page.number:02d}-")


def test_mathematics_is_on_board() -> None:
    path = CONFIG["sphinx"]["config"]["mathjax_path"]
    folder = (STATIC / path).parent
    script = (folder / "output" / "chtml.js").read_text("utf8")
    script += (folder / "output" / "chtml" / "fonts" / "tex.js").read_text("utf8")
    fonts = {p.name for p in folder.glob("output/chtml/fonts/woff-v2/*.woff")}
    assert set(re.findall(r"MathJax_[A-Za-z]+-?[A-Za-z]*(?=\.woff)", script)) <= {
        name.removesuffix(".woff") for name in fonts
    }
    assert len(fonts) >= 20
    for name in CONFIG["sphinx"]["config"]["mathjax3_config"]["loader"]["load"]:
        assert (folder / f"{name.replace('[tex]', 'input/tex/extensions')}.js").exists()
    assert macros(CONFIG)


def test_styles_and_fonts_come_from_the_book_itself() -> None:
    style = (STATIC / "custom.css").read_text("utf8")
    addresses = re.findall(r"url\(\"?([^\")]+)", style)
    assert addresses
    assert all((STATIC / address).exists() for address in addresses)


# The build. One small book, built several times in the order of the tests below.


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book of two pages, with this book's settings, that imports a small `seqrl`."""
    root = tmp_path_factory.mktemp("book")
    shutil.copy(ROOT / "_config.yml", root)
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nparts:\n"
        "  - {numbered: 1, chapters: [{file: book/01-a.md}, {file: book/02-b.md}]}\n"
        "  - {chapters: [{file: book/more.md}]}\n"
    )
    (root / "book").mkdir()
    for folder in ("_ext", "_static", "_tools"):
        (root / "book" / folder).symlink_to(ROOT / "book" / folder)
    (root / "book" / "references.bib").write_text(
        "@article{a, title={T}, author={Chen, L and Lu, K and Li, J}, journal={J}, year={2021}}\n"
        "@article{b, title={U}, author={Janner, M and Li, Q}, journal={J}, year={2020}}\n"
    )
    (root / "seqrl").mkdir()
    (root / "seqrl" / "__init__.py").write_text("WORD = 'old word'\n")
    write_pages(root)
    return root


def write_pages(root: Path) -> None:
    numbered = "$$\nx\n$$ (eq-{0})\n\n$$\ny\n$$\n\n$$\n\\EE z\n$$ (eq-{0}-two)\n"
    plot = (
        "```{{code-cell}} ipython3\n---\n"
        "mystnb:\n  figure: {{caption: Drawn., name: fig-{0}-cell}}\n"
        "  image: {{alt: A line}}\n---\nimport matplotlib.pyplot as plt\n\nplt.plot([1, 2]);\n```\n"
    )
    figure = ":::{{figure}} _static/logo.svg\n:alt: Logo\n:name: fig-{0}\nA logo.\n:::\n"
    table = ":::{{table}} Numbers\n:name: tab-{0}\n| a |\n|---|\n| 1 |\n:::\n"
    refs = "Here: " + "; ".join(
        f"{{{role}}}`{label}`"
        for page in ("a", "b", "more")
        for role, label in (
            ("eq", f"eq-{page}"),
            ("eq", f"eq-{page}-two"),
            ("numref", f"fig-{page}"),
            ("numref", f"tab-{page}"),
        )
    )
    cites = "Cites: {cite:t}`a`; {cite:p}`a,b`; {cite:t}`b`"
    word = "```{code-cell} ipython3\nimport seqrl\n\nprint(seqrl.WORD)\n```\n"
    text = "\n".join([word, plot.format("a"), "A line.", "", figure.format("a")])
    text += "\n" + "\n".join(
        [numbered.format("a"), table.format("a"), refs + "; {numref}`fig-a-cell`"]
    )
    (root / "book" / "01-a.md").write_text(f"{FRONT}\n# First trajectory\n\n{text}\n\n{cites}\n")
    for name, stem in (("b", "02-b"), ("more", "more")):
        parts = [numbered.format(name), figure.format(name), table.format(name)]
        (root / "book" / f"{stem}.md").write_text(f"# Page {name}\n\n" + "\n".join(parts))
    bibliography = "# Index\n\n```{bibliography}\n```\n"
    (root / "book" / "index.md").write_text(bibliography)
    (root / "book" / "01-a.ipynb").write_text(
        json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )


def article(root: Path, name: str = "01-a") -> Any:
    html = (root / "_build" / "html" / "book" / f"{name}.html").read_text("utf8")
    return BeautifulSoup(html, "html.parser").find("article")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf8")
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_right_book_is_built(book: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert build.build_book(book) == 0
    out = capfd.readouterr().out
    assert str(book / "_build" / "html" / "index.html") in out.splitlines()[-1]
    assert "old word" in article(book).get_text()
    assert (book / "_build" / "html" / "book" / "01-a.ipynb").exists()


def test_where_nothing_changed_nothing_is_done(
    book: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "run_jupyter_book", lambda _: pytest.fail("built again"))
    assert build.build_book(book) == 0
    assert "Nothing has changed" in capfd.readouterr().out


def test_notebook_and_page_give_the_same_numbers(book: Path) -> None:
    page = article(book).get_text(" ")
    notebook = convert(Book(book), "book/01-a.md", "book/01-a.ipynb")
    text = "\n".join(cell.source for cell in notebook.cells)
    plain = re.sub(r"\[([^\[\]]*)\]\([^)]*\)", r"\1", text)

    def words(source: str, start: str) -> list[str]:
        found = re.sub(r"\s+", " ", source[source.index(start) + len(start) :])
        return [re.sub(r"\s+([),.;])|(\()\s+", r"\1\2", w).strip() for w in found.split(";")]

    assert words(page, "Here:")[:12] == words(plain, "Here:")[:12]
    assert words(page, "Here:")[:4] == ["(1.1)", "(1.2)", "Figure 1.2", "Table 1.1"]
    assert words(page, "Here:")[8:11] == ["(1)", "(2)", "Figure 1"]
    assert re.findall(r"\\tag\{([\d.]+)\}", text) == ["1.1", "1.2"]
    assert re.findall(r"\*\*(Figure [\d.]+?)\.\*\*", text) == ["Figure 1.1", "Figure 1.2"]
    for cited in ("Chen et al. (2021)", "(Chen et al., 2021; Janner and Li, 2020)"):
        assert cited in plain
        assert cited in re.sub(r"\s+([),.;])|(\()\s+", r"\1\2", re.sub(r"\s+", " ", page))


def test_a_row_of_badges_stands_under_the_title(book: Path) -> None:
    title = article(book).find("h1")
    row = title.find_next_sibling()
    assert [a.get_text() for a in row.find_all("a")] == ["Open in Colab", "Download the notebook"]
    assert row.find("a")["href"].endswith("/blob/main/book/01-a.ipynb")
    assert not article(book, "02-b").select(".book-badges")


def test_the_package_changed_so_the_page_is_executed_again(book: Path) -> None:
    (book / "seqrl" / "__init__.py").write_text("WORD = 'new word'\n")
    assert build.build_book(book) == 0
    assert "new word" in article(book).get_text()


def test_a_failing_cell_fails_every_time(book: Path, capfd: pytest.CaptureFixture[str]) -> None:
    edit(book / "book" / "01-a.md", "print(seqrl.WORD)", "print(seqrl.MISSING)")
    for _ in range(2):
        assert build.build_book(book) != 0
        out = capfd.readouterr().out
        assert "has no attribute 'MISSING'" in out
        assert "NOT built" in out


def test_a_warning_fails_every_time(book: Path, capfd: pytest.CaptureFixture[str]) -> None:
    edit(book / "book" / "01-a.md", "print(seqrl.MISSING)", "print(seqrl.WORD)")
    edit(book / "book" / "02-b.md", "# Page b", "# Page b\n\n{ref}`nowhere`")
    for _ in range(2):
        assert build.build_book(book) != 0
        assert "nowhere" in capfd.readouterr().out.split("NOT built")[1]


def test_a_mended_book_is_built_again(book: Path) -> None:
    edit(book / "book" / "02-b.md", "\n\n{ref}`nowhere`", "")
    assert build.build_book(book) == 0


@pytest.mark.parametrize("change", ["seqrl/x.py", "constraints.txt", "SEQRL_SPEED"])
def test_the_key_of_executed_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    (tmp_path / "seqrl").mkdir()
    (tmp_path / "seqrl" / "x.py").write_text("")
    (tmp_path / "constraints.txt").write_text("")
    monkeypatch.setenv("SEQRL_SPEED", "class")
    before = build.keys(tmp_path)
    monkeypatch.delenv("SEQRL_SPEED")
    assert build.keys(tmp_path) == before
    if change == "SEQRL_SPEED":
        monkeypatch.setenv(change, "smoke")
    else:
        (tmp_path / change).write_text("changed")
    after = build.keys(tmp_path)
    assert all(after[name] != before[name] for name in before)


# The browser test


def facts(tmp_path: Path, body: str) -> site_pages.PageFacts:
    path = tmp_path / "page.html"
    path.write_text(f"<html><body><article><h1>T</h1>{body}</article></body></html>")
    return site_pages.read_page(path)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<img src="a.png">', "alt text"),
        ('<img src="a.png" alt="">', "alt text"),
        ("<svg></svg>", "without a label"),
        ("<h1>Again</h1>", "2 titles"),
        ("<h3>Deep</h3>", "level 3 follows one of level 1"),
        ("<p>{ref}`x`</p>", "markup left"),
        ("<p>:::note</p>", "markup left"),
    ],
)
def test_a_fault_of_a_page_is_seen(tmp_path: Path, body: str, problem: str) -> None:
    assert problem in " ".join(facts(tmp_path, body).problems)


def test_a_right_page_has_no_fault(tmp_path: Path) -> None:
    body = (
        '<h2 id="a">A</h2><img src="page.html" alt="x"><a href="#a">a</a><svg aria-hidden="true">'
        '</svg><svg aria-label="b"></svg><code>{ref}`x`</code><a href="https://x.org">b</a>'
    )
    page = facts(tmp_path, body)
    assert page.problems == []
    assert site_pages.broken_links(page, tmp_path, {page.path: page}) == []
    assert page.images == 2


def test_links_that_lead_nowhere_are_seen(tmp_path: Path) -> None:
    page = facts(
        tmp_path, '<a href="gone.html">x</a><a href="#gone">y</a><img src="g.png" alt="z">'
    )
    wrong = site_pages.broken_links(page, tmp_path, {page.path: page})
    assert wrong == ["broken link: gone.html", "no such anchor: #gone", "broken link: g.png"]


def test_the_built_pages_are_read_without_a_network(browser: Any, book: Path) -> None:
    site = book / "_build" / "html"
    tab = browser.new_page()
    seen = site_test.watch(tab)
    page = site_pages.read_page(site / "book" / "01-a.html")
    assert page.has_math and page.images == 2
    assert site_test.look(tab, seen, page, None) == []
    assert site_test.search(tab, seen, site) == []
    assert site_test.search(tab, seen, site, "zebra", seconds=1)[0].startswith(
        "the search finds nothing"
    )


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("<script>throw new Error('oops')</script>", "script error: oops"),
        ("<script>console.error('oops')</script>", "console: oops"),
        ('<img alt="x" src="https://example.invalid/a.png">', "request to another host"),
        ('<p style="width: 500px">wide</p>', "scrolls sideways at 360 px: p"),
        ('<span class="math">\\(x\\)</span>', "math not rendered"),
        ('<span class="math"><mjx-container><mjx-merror>x</mjx-merror></mjx-container></span>',
         "math with an error"),
    ],
)  # fmt: skip
def test_the_browser_sees_a_fault(browser: Any, tmp_path: Path, body: str, problem: str) -> None:
    page = facts(tmp_path, f'{body}<meta name="viewport" content="width=device-width">')
    tab = browser.new_page()
    wrong = site_test.look(tab, site_test.watch(tab), page, None)
    assert problem in " ".join(wrong)


def test_what_scrolls_in_its_own_box_is_right(browser: Any, tmp_path: Path) -> None:
    page = facts(tmp_path, '<div style="overflow-x: auto"><p style="width: 500px">wide</p></div>')
    tab = browser.new_page()
    assert site_test.look(tab, site_test.watch(tab), page, None) == []


def test_pages_carry_the_icons_that_they_use_and_no_others(book: Path) -> None:
    icons = (book / "_build" / "html" / "_static" / "scripts" / "fontawesome.js").read_text("utf8")
    assert len(icons) < 150_000
    assert '"magnifying-glass":[' in icons and "poo-storm" not in icons


def test_an_icon_is_kept_by_any_of_its_names() -> None:
    script = (
        'a={bars:[448,512,["navicon"],"f0c9","M0 96"],"poo-storm":[5,6,[],"f75a",["M1","M2"]],'
        '"circle-xmark":[512,512,[61532,"times-circle"],"f057","M256"]};b([1,2])'
    )
    lighter = light_pages.lighter_script
    assert lighter(script, ["bars", "poo-storm", "circle-xmark"]) == script
    assert lighter(script, ["times-circle"]) == (
        'a={"circle-xmark":[512,512,[61532,"times-circle"],"f057","M256"]};b([1,2])'
    )
    assert lighter(script, ["navicon", "poo"]) == (
        'a={bars:[448,512,["navicon"],"f0c9","M0 96"],};b([1,2])'
    )


def test_of_style_and_font_only_used_icons_are_left(tmp_path: Path) -> None:
    from fontTools.ttLib import TTFont

    style = (
        '.fa-bars:before,.fa-navicon:before{content:"\\f0c9"}.fa-poo:before{content:"\\f2fe"}'
        'a{src:url(x/fa-solid-900.woff2) format("woff2"),url(x/fa-solid-900.ttf) '
        'format("truetype")}b{content:"\\f06a"}'
    )
    left = light_pages.lighter_style(style, ["navicon"])
    assert "f0c9" in left and "f06a" in left and "f2fe" not in left
    assert "woff2" not in left and "{src:url(x/fa-solid-900.ttf)" in left
    font = light_pages.THEME / light_pages.FONTS / "fa-solid-900.ttf"
    light_pages.lighter_font(font, ["f0c9"], tmp_path / "a.ttf")
    assert 0xF0C9 in TTFont(tmp_path / "a.ttf").getBestCmap()
    assert (tmp_path / "a.ttf").stat().st_size < 5000


def test_arrows_have_names_and_scrolling_outputs_are_reached() -> None:
    output = '<div class="cell_output docutils container">'
    page = (
        '<summary><span class="toctree-toggle"></span></summary>'
        f'<div class="cell docutils container">{output}a</div></div>'
        f'<div class="cell tag_scroll-output docutils container">\n<p>x</p>{output}b</div></div>'
    )
    found = light_pages.for_all(page)
    assert '<summary aria-label="pages of this chapter"><span' in found
    assert f"{output}a" in found and 'container" tabindex="0"' in found.split("<p>x</p>")[1]
    assert found.count("tabindex") == 1 and light_pages.for_all(found) == found
    entry = '<div class="citation" id="a" role="doc-biblioentry">b</div>'
    found = light_pages.for_all(f'<div role="list" class="citation-list">{entry}</div>')
    assert found == '<div class="citation-list"><div class="citation" id="a">b</div></div>'


def test_without_a_browser_the_sentence_is_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", "/nowhere/chromium")
    with pytest.raises(RuntimeError, match="Install it"), site_test.chromium():
        pass


def test_nbval_settings_are_pairs() -> None:
    import configparser

    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tests" / "nbval.cfg")
    for section in parser.sections():
        assert sorted(parser[section]) == ["regex", "replace"]
        re.compile(parser.get(section, "regex"))


def test_toc_is_a_jupyter_book_1_toc() -> None:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf8"))
    assert toc["format"] == "jb-book"
