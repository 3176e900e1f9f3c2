"""The site test sees what is wrong: a widget that does not answer, an obstacle, a heavy page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from drawing_data import through_a_door, walk

from seqrl.animations import play
from seqrl.animations_asked import asking

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book" / "_tools"))

import site_reader
import site_test
from site_pages import PageFacts
from site_widgets import try_widgets

DOOR = play(through_a_door(), 0, autoplay=False).html
ASKED = asking({-3.0: walk([2, 1, 2, 0]), 1.0: walk([2, 2])}, 0).html
STILL = (
    '<div class="seqrl-reading" tabindex="0"><style>.frame{animation:a 1s infinite}'
    "@keyframes a{to{opacity:0}}</style><b class='frame'>x</b></div>"
)


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Any:
    """A function that opens a page with some content in a tab of its own."""
    context = browser.new_context(reduced_motion="reduce")

    def open_(body: str) -> Any:
        tab = context.new_page()
        head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>T</title>'
        path = tmp_path / "page.html"
        path.write_text(f"{head}<body><main><h1>T</h1>{body}</main></body></html>", "utf8")
        tab.goto(path.as_uri())
        return tab

    yield open_
    context.close()


def test_widgets_that_answer_are_counted_and_right(opened: Any) -> None:
    assert try_widgets(opened(DOOR + ASKED)) == (2, [])


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (DOOR.replace("ArrowRight:", "ArrowLost:"), "seqrl-player 1: the key ArrowRight leads to"),
        (DOOR.replace('find(".next").onclick', "root.lost"), "the button next leads to"),
        (DOOR.replace("slider.oninput", "slider.lost"), "a click at the slider's left end"),
        (DOOR.replace("play.onclick", "play.lost"), "the button play does not play"),
        (ASKED.replace("choice.oninput", "choice.lost"), "by key the choice shows the same world"),
        ('<div class="seqrl-new">x</div>', "seqrl-new 1: is no widget that this test knows"),
        (STILL, "the keyboard's focus does not stop it"),
        (STILL, "the pointer does not stop it"),
        (STILL.replace("<b ", "<input type='checkbox'><b "), "the checkbox does not stop it"),
        (DOOR.replace("<svg", f"<svg data-x='{'x' * 300_000}'", 1), "has 3"),
    ],
)
def test_a_widget_that_does_not_answer_is_seen(opened: Any, body: str, fault: str) -> None:
    wrong = try_widgets(opened(body))[1]
    assert fault in " ".join(wrong)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<p style="color:#999;background:#fff">pale</p>', "light: color-contrast: p"),
        ("<h4>deep</h4>", "light: heading-order: h4"),
        ('<button type="button"></button>', "light: button-name: button"),
        ("<style>[data-theme=dark] p{color:#333;background:#000}</style><p>dark</p>",
         "dark: color-contrast: p"),
    ],
)  # fmt: skip
def test_an_obstacle_is_seen(opened: Any, body: str, fault: str) -> None:
    pytest.importorskip("axe_playwright_python")
    assert any(sentence.startswith(fault) for sentence in site_reader.obstacles(opened(body)))


def test_a_page_for_all_has_none(opened: Any) -> None:
    pytest.importorskip("axe_playwright_python")
    assert site_reader.obstacles(opened(f"<h2>Below</h2><p>text</p>{DOOR}{ASKED}")) == []


def test_all_that_a_page_loads_is_weighed_once(browser: Any, tmp_path: Path) -> None:
    pytest.importorskip("axe_playwright_python")
    (tmp_path / "a b.js").write_text("//" + "x" * 998)
    page = tmp_path / "page.html"
    page.write_text(
        '<!doctype html><html lang="en"><title>T</title><main><h1>T</h1>'
        '<script src="a%20b.js?v=1"></script><script src="a%20b.js#2"></script></main></html>'
    )
    tab, asked = browser.new_page(), set[str]()
    tab.on("request", lambda request: asked.add(request.url))
    figures, wrong = site_test.use(tab, PageFacts(page), asked)
    assert site_reader.weight(asked) == page.stat().st_size + 1000 and wrong == []
    assert figures.startswith("0.00 MB") and figures.endswith("ms")


def test_a_page_that_is_heavy_or_late_fails(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("axe_playwright_python")
    monkeypatch.setattr(site_test, "HEAVIEST", 10)
    monkeypatch.setattr(site_reader.os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    page = tmp_path / "page.html"
    page.write_text(
        '<!doctype html><html lang="en"><title>T</title><main><h1 hidden>T</h1></main><script>'
        "setTimeout(() => { document.querySelector('h1').hidden = false; }, 1600);</script></html>"
    )
    tab, asked = browser.new_page(), set[str]()
    tab.on("request", lambda request: asked.add(request.url))
    wrong = " ".join(site_test.use(tab, PageFacts(page), asked)[1])
    assert "MB are loaded" in wrong and "the first screen takes" in wrong
    monkeypatch.setattr(site_reader.os, "getloadavg", lambda: (99.0, 99.0, 99.0))
    assert 0 < site_reader.first_screen(tab, page.as_uri()) < 1000  # it waits, but does not work


@pytest.mark.parametrize(
    ("when", "box"),
    [(":is(:hover, :focus) > b", ""), (":checked + b", "<input type='checkbox' aria-label='s'>")],
)
def test_what_moves_without_a_script_can_be_stopped(opened: Any, when: str, box: str) -> None:
    rule = f"<style>{when}{{animation-play-state:paused!important}}</style>"
    assert try_widgets(opened(rule + STILL.replace("<b ", f"{box}<b "))) == (1, [])


def test_of_words_of_code_in_one_color_one_is_looked_at(opened: Any) -> None:
    pytest.importorskip("axe_playwright_python")
    style = "<style>.p{color:#999}.q{color:#000}pre{color:#000;background:#fff}</style>"
    words = "".join(f'<span class="{{0}}">{word}</span>' for word in ("(", "one", "two"))
    code = f'<div class="highlight"><pre>{words}</pre></div>'
    assert site_reader.obstacles(opened(style + code.format("q"))) == []
    pale = site_reader.obstacles(opened(style + code.format("p")))
    assert len([sentence for sentence in pale if "light: color-contrast" in sentence]) == 1


def test_a_heavy_figure_is_told(tmp_path: Path) -> None:
    for name, size in {"light.svg": 149_000, "heavy.svg": 151_000, "search.js": 999_000}.items():
        (tmp_path / "_images").mkdir(exist_ok=True)
        (tmp_path / "_images" / name).write_bytes(b"x" * size)
    assert site_test.heavy_figures(tmp_path) == ["heavy.svg has 151 kB"]
