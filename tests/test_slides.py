"""The decks: what they take from a page, and that one file is all that they need."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book" / "_tools"))
import slides  # noqa: E402

PAGE = """\
<html><head><script>window.MathJax = {"tex": {"macros": {"given": "\\\\,\\\\vert\\\\,"}}}</script>
</head><body><article><section id="a"><h1>4. A Page<a class="headerlink" href="#a">#</a></h1>
<p class="book-badges"><a href="https://colab">Open in Colab</a></p>
<p>It promises much.
It says why.
It goes on.</p>
<div class="admonition objectives"><p class="admonition-title">You will learn</p>
<ul><li><p><strong>O4.1</strong> add up <span class="math">\\(x_t\\)</span>;</p></li></ul>
<p>You need chapter 1.</p></div>
<section id="b"><h2>Sums<a class="headerlink" href="#b">#</a></h2>
<p>A sum adds up everything that is there, says <a href="bib.html#x">Euler (1748)</a>.
It is old.</p>
<p>The rule is</p>
<div class="math" id="equation-eq-sum"><span class="eqno">(4.1)<a href="#b">#</a></span>\\[
s = \\sum_t p(x_t \\given t), \\quad WIDE \\]</div>
<p>for every sequence.</p>
<div class="tip admonition"><p class="admonition-title">What do you expect?</p>
<p>Does the order matter?</p></div>
<div class="cell"><figure id="fig-x"><img alt="Two &lt; bars." src="../_images/x.svg" />
<figcaption><p><span class="caption-number">Figure 4.1 </span>
<span class="caption-text">Two sums.</span></p></figcaption></figure></div>
<p>Both bars are equal.
Order does not matter.</p></section>
<section id="c"><h2>Code</h2><p>Nothing here but:</p></section>
<section id="d"><h2>What this page claims</h2><p>All is well.</p></section>
<section id="e"><h2>Summary</h2><p>Sums add.
They are old.</p><p><strong>Exercises.</strong> A sheet.</p></section>
<div class="admonition dropdown"><p class="admonition-title">For instructors</p>
<p>60 minutes.</p></div></section></article></body></html>
"""
PAGE = PAGE.replace("WIDE", " + ".join(f"w_{{{n}}} x^2_{{{n}}}" for n in range(30)))
DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 2"><rect width="4" height="2"/></svg>'
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    for name, text in {"book/04-page.html": PAGE, "_images/x.svg": DRAWING}.items():
        (site / name).parent.mkdir()
        (site / name).write_text(text)
    return site / "book" / "04-page.html"


def test_a_deck_follows_its_page(page):
    made = slides.slides_of(page)
    kinds = ["title", "list", "opener", "equation", "question", "figure", "opener", "list"]
    assert [s.kind for s in made] == kinds
    title, goals, sums, equation, question, figure, code, summary = made
    assert "<h1>4. A Page</h1>" in title.body
    assert "It promises much. It says why.</p>" in title.body
    assert title.notes == "<p>60 minutes.</p>"  # the instructor's fold
    assert '<span class="number">O4.1</span><span>add up' in goals.body
    assert goals.notes == "<p>You need chapter 1.</p>"
    assert "A sum adds up everything that is there, says Euler (1748).</p>" in sums.body
    assert sums.notes == "<p>It is old.</p>"
    assert "(4.1)</span>" in equation.body and r"\sum_t p(x_t \given t)" in equation.body
    assert "<p>The rule is</p>" in equation.body and "<p>for every sequence.</p>" in equation.body
    assert "<p>Does the order matter?</p>" in question.body
    assert "<b>Figure 4.1</b> Two sums." in figure.body
    assert 'alt="Two &lt; bars."' in figure.body
    assert figure.body.endswith('<p class="takeaway">Order does not matter.</p>')
    assert figure.notes == "<p>Both bars are equal. Order does not matter.</p>"
    assert "Nothing here" not in code.body  # it leads over to code that no slide shows
    assert "Sums add." in summary.body and "A sheet" not in summary.body


def test_a_deck_asks_for_nothing_but_itself(page):
    text = slides.deck(page)
    assert text.count("<section") == len(slides.slides_of(page))
    assert not re.findall(r'(?:src|href)="(?!data:)[^"$]', text.split("<script>")[0])
    assert not re.findall(r'url\("?(?!data:)[\w./]', text.split("</style>")[0])


def test_a_page_that_is_no_page_and_a_book_that_is_not_built_are_told(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "x.html").write_text("<p>no article</p>")
    with pytest.raises(ValueError, match="no page of a built book"):
        slides.slides_of(tmp_path / "x.html")
    monkeypatch.setattr(sys, "argv", ["slides.py", str(tmp_path)])
    assert slides.main() == 1
    assert "run `make book` first" in capsys.readouterr().out


def test_every_chapter_gets_a_file(page, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["slides.py", str(page.parents[1]), "--out", str(tmp_path)])
    assert slides.main() == 0
    assert (tmp_path / "04-page.html").read_text() == slides.deck(page)


def test_a_deck_shows_itself_without_a_network(page, tmp_path, browser):
    (tmp_path / "deck.html").write_text(slides.deck(page))
    address, asked, wrong = (tmp_path / "deck.html").as_uri(), [], []
    tab = browser.new_page(viewport={"width": 1280, "height": 720})
    tab.on("request", lambda r: r.url.startswith("data:") or asked.append(r.url))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.goto(address)
    tab.wait_for_function("window.Reveal && Reveal.isReady()", timeout=60_000)
    facts = tab.evaluate("""() => ({
        formulas: document.querySelectorAll('mjx-container').length,
        errors: document.querySelectorAll('mjx-merror').length,
        large: [...Array(Reveal.getTotalSlides()).keys()].filter(n => {
            Reveal.slide(n);
            const frame = Reveal.getCurrentSlide().querySelector('.frame');
            return frame.scrollHeight > 722 || frame.scrollWidth > 1282;
        }),
        picture: document.querySelector('.picture img').naturalWidth,
        font: document.fonts.check('20px "Source Serif 4"')})""")
    tab.keyboard.press("Home")
    tab.keyboard.press("ArrowRight")
    turned = tab.evaluate("Reveal.getIndices().h")
    tab.close()
    assert asked == [address] and not wrong
    assert facts["formulas"] == 2 and not facts["errors"]
    assert facts["large"] == []
    assert facts["picture"] > 0 and facts["font"] and turned == 1
