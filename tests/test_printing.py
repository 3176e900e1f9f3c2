"""The PDF and the offline zip: what can be held without LaTeX."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from docutils import nodes

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "book" / "_tools"), str(ROOT / "book" / "_ext")]

import book_latex  # noqa: E402
import build  # noqa: E402
import offline  # noqa: E402
import pdf  # noqa: E402
import site_test  # noqa: E402
from book_config import load_config, macros, version  # noqa: E402
from pictures import Printer  # noqa: E402

# Pictures


@pytest.fixture(scope="module")
def printer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Printer]:
    found = Printer(tmp_path_factory.mktemp("pictures"))
    try:
        found._start()
    except RuntimeError as error:
        pytest.skip(str(error))
    yield found
    found.close()


def boxes(document: bytes) -> list[list[float]]:
    """The sizes of a PDF's pages, in points."""
    found = re.findall(rb"/MediaBox\s*\[([^\]]*)\]", document)
    return [[float(x) for x in box.split()][2:] for box in found]


def test_a_vector_graphic_is_one_page_of_its_own_size(printer: Printer) -> None:
    svg = '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" {} viewBox="0 0 8 4"/>'
    ((width, height),) = boxes(printer.print_svg(svg.format('width="200pt" height="100pt"')))
    assert width == pytest.approx(200, abs=2) and height == pytest.approx(100, abs=2)


def test_an_animation_is_printed_as_its_still_without_scripts(printer: Printer) -> None:
    style = "<style>.moving{height:500px}@media print{.moving{height:90px}}</style>"
    script = "<script>document.querySelector('.moving').style.height='900px'</script>"
    ((_, height),) = boxes(printer.print_html(f"{style}<div class='moving'></div>{script}"))
    assert height == pytest.approx(90 * 0.75, abs=2)


def test_a_picture_is_printed_once(printer: Printer, monkeypatch: pytest.MonkeyPatch) -> None:
    first = printer.print_html("<p>once</p>")
    monkeypatch.setattr(printer, "_print", lambda page: pytest.fail("printed again"))
    assert printer.print_html("<p>once</p>") == first


# LaTeX


def test_the_macros_of_the_pages_are_those_of_the_pdf() -> None:
    found = macros(load_config(ROOT))
    text = book_latex.tex_macros(found.items())
    assert r"\renewcommand{\argmax}{\operatorname*{arg\,max}}" in text
    assert r"\renewcommand{\norm}[1]{\lVert #1 \rVert}" in text
    assert text.count(r"\renewcommand") == len(found)


def table(*rows: list[str]) -> nodes.table:
    body = nodes.tbody()
    for texts in rows:
        body += nodes.row("", *[nodes.entry("", nodes.paragraph("", text)) for text in texts])
    columns = [nodes.colspec(colwidth=1) for _ in rows[0]]
    return nodes.table("", nodes.tgroup("", *columns, body, cols=len(columns)))


def test_columns_are_as_wide_as_their_text_and_long_text_breaks() -> None:
    found = book_latex.column_widths(table(["DT", "a " * 99], ["TT", "b"]), 2)
    assert found == [3 + book_latex.MARGIN, book_latex.LONG + book_latex.MARGIN]
    (word,) = book_latex.column_widths(table(["x" * 60]), 1)
    assert word == 61 + book_latex.MARGIN  # no column is narrower than its longest word


def test_long_names_may_break_between_their_parts() -> None:
    broken = book_latex.BREAKS.sub("|", 'GoToObjMazeS4R2Close/mixed check("2.1", draw_mask)')
    assert broken == 'Go|To|Obj|Maze|S4|R2|Close/|mixed check("2.1", draw_|mask)'
    assert book_latex.BREAKS.sub("|", "67.0 [62.2, 71.4]") == "67.0 [62.2, 71.4]"


def test_what_a_reader_would_see_wrong_is_found_in_the_log() -> None:
    log = """Missing character: There is no X (U+1) in font [a]:!
Overfull \\hbox (3.2pt too wide) in paragraph at lines 1--2
Overfull \\hbox (30.5pt too wide) in alignment at lines 3--4
Overfull \\vbox (2.4pt too high) detected at line 3277
LaTeX Warning: Reference `x' on page 1 undefined on input line 5.
Missing character: There is no X (U+1) in font [a]:!
"""
    found = pdf.faults(log)
    assert [line.split(" (")[0] for line in found] == [
        "Missing character: There is no X",
        "Overfull \\hbox",
        "LaTeX Warning: Reference `x' on page 1 undefined on input line 5.",
    ]
    assert "30.5pt" in found[1]


def test_without_latex_the_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert pdf.build_pdf(ROOT) == 1
    assert "apt-get install" in capsys.readouterr().out


# The zip


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "_build" / "html"
    (folder / "book").mkdir(parents=True)
    (folder / "index.html").write_text('<a href="https://example.org">a link may lead out</a>')
    (folder / "book" / "page.html").write_text('<script src="../x.js"></script>')
    (folder / "x.js").write_text("1")
    (folder / ".buildinfo").write_text("")
    return folder


def test_the_zip_holds_the_site_in_one_folder_and_is_the_same_twice(
    site: Path, tmp_path: Path
) -> None:
    for name in ("a.zip", "b/a.zip"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        offline.write_zip(site, tmp_path / name)
    names = zipfile.ZipFile(tmp_path / "a.zip").namelist()
    assert names == ["a/book/page.html", "a/index.html", "a/x.js"]
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b" / "a.zip").read_bytes()


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<img src="//cdn.example/x.png" alt="x">',
        '<link rel="stylesheet" href="http://cdn.example/x.css">',
    ],
)
def test_a_page_that_fetches_from_elsewhere_is_refused(site: Path, tag: str) -> None:
    assert offline.fetched(site) == []
    (site / "index.html").write_text(tag)
    (wrong,) = offline.fetched(site)
    assert wrong.startswith("index.html fetches ") and "cdn.example" in wrong


def test_pages_that_are_not_built_are_not_packed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "_build").mkdir()
    assert offline.make_offline(tmp_path) == 1
    assert "make book" in capsys.readouterr().out


def test_both_are_named_after_the_version() -> None:
    import seqrl

    assert version(ROOT) == seqrl.__version__


def test_unpacked_anywhere_the_book_opens_with_mathematics_and_search(
    printer: Printer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the pages of this checkout, if they are built as it stands; no other test needs them."""
    built, now = ROOT / "_build" / "html", set[str]()
    for speed in ("smoke", "class", "full"):
        monkeypatch.setenv("SEQRL_SPEED", speed)
        now.add(build.keys(ROOT)["all"])
    if build.remembered(ROOT / "_build", "all") not in now:
        pytest.skip("the book as it stands is not built here")
    offline.write_zip(built, tmp_path / "the book.zip")
    with zipfile.ZipFile(tmp_path / "the book.zip") as packed:
        packed.extractall(tmp_path / "moved")
    site = tmp_path / "moved" / "the book"
    assert printer.tab and printer.tab.context.browser
    tab = printer.tab.context.browser.new_page()
    seen = site_test.watch(tab)
    tab.goto((site / "index.html").as_uri(), wait_until="load")
    tab.wait_for_url("**/book/index.html")
    page = site_test.read_page(site / "book" / "01-trajectories.html")
    assert page.has_math
    assert site_test.look(tab, seen, page, None) == []
    assert site_test.search(tab, seen, site, "return-to-go") == []


# The whole, up to LaTeX

WRITE = """
import sys, pathlib, pdf
sys.exit(pdf.write_latex(*map(pathlib.Path, sys.argv[1:])))
"""
TOC = """\
format: jb-book
root: book/index
parts:
  - caption: Before
    chapters:
      - file: book/before.md
      - file: book/bibliography.md
  - caption: Chapters
    numbered: 1
    chapters:
      - file: book/01-one.md
        sections:
          - file: book/01b-more.md
      - file: book/02-two.md
"""
PRINTED = {
    "index": "# The book\n\nWelcome.\n\n::::{grid} 1\n:class-container: doors\n\n"
    ":::{grid-item-card} A door\nIn.\n:::\n::::\n\n## How to read\n\nSlowly.\n",
    "before": "# Before\n\n$\\argmax_x \\abs{x}$\n",
    "bibliography": "# Works\n\n{cite:t}`a` wrote one.\n\n```{bibliography}\n:all:\n```\n",
    "01-one": "# One\n\n$$\nx = 1\n$$ (eq-one)\n\n```{figure} picture.svg\n:alt: x\n\nSee.\n```\n",
    "01b-more": "# More\n\nOf one.\n\n## Deeper\n\nStill.\n",
    "02-two": "# Two\n\nSee {eq}`eq-one`.\n\n| a | b |\n|--|--|\n"
    f"| {'word ' * 30}| $x_i$<br>{'word ' * 30}|\n",
}


@pytest.fixture(scope="module")
def latex(printer: Printer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The LaTeX of a book of five small pages; the fixture above says whether it can be made."""
    root = tmp_path_factory.mktemp("printed")
    for folder in ("_ext", "_tools", "_static"):
        shutil.copytree(ROOT / "book" / folder, root / "book" / folder)
    shutil.copy(ROOT / "_config.yml", root)
    (root / "seqrl").mkdir()
    (root / "seqrl" / "__init__.py").write_text('__version__ = "1.2.3"\n')
    (root / "book" / "references.bib").write_text(
        "@article{a, title={T}, author={Chen, L}, journal={J}, year={2021}}\n"
    )
    (root / "_toc.yml").write_text(TOC)
    for name, text in PRINTED.items():
        (root / "book" / f"{name}.md").write_text(text)
    (root / "book" / "picture.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"/>'
    )
    folder = root / "_build" / "latex"
    environment = {**os.environ, "PYTHONPATH": str(root / "book" / "_tools")}
    run = subprocess.run(
        [sys.executable, "-c", WRITE, root, folder],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert boxes(next(folder.glob("picture*.pdf")).read_bytes())
    return (folder / "book.tex").read_text("utf8")


def test_chapters_have_the_numbers_of_the_pages(latex: str) -> None:
    body = latex.split(r"\begin{document}")[1]
    marks = re.findall(
        r"\\(chapter|section|subsection)\{([^}]*)\}|\\setcounter\{secnumdepth\}\{(-?\d)\}", body
    )
    assert [kind + title if kind else int(depth) for kind, title, depth in marks] == [
        -1,
        "chapterAbout this book",
        "sectionHow to read",
        -1,
        "chapterBefore",
        -1,
        "chapterWorks",
        0,
        "chapterOne",
        "sectionMore",
        "subsectionDeeper",
        0,
        "chapterTwo",
    ]


def test_the_references_stand_on_their_page(latex: str) -> None:
    page = latex.split(r"\chapter{Works}")[1].split(r"\chapter{")[0]
    assert r"\begin{sphinxthebibliography}" in page
    assert latex.count(r"\begin{sphinxthebibliography}") == 1


def test_what_stands_on_the_pages_stands_in_the_book(latex: str) -> None:
    assert r"\newcommand{\booktitle}{Transformers, Take the Wheel!}" in latex
    assert "Version 1.2.3." in latex
    assert r"\renewcommand{\abs}[1]" in latex
    assert re.search(r"\\sphinxincludegraphics\{\{picture\}\.pdf\}", latex)
    assert r"\newline{}" in latex and r"\(x_i\)" in latex  # in a table whose lines break
    assert r"\X{" in latex
    assert "Welcome." in latex and "A door" not in latex
