"""`make site-test`: read the built book as a reader without a network does, in Chromium.

    python book/_tools/site_test.py [_build/html] [--screenshots FOLDER]

Every page is opened from its file. It must report no error, ask no other host for anything, show
its mathematics, fit a screen of 360 pixels, name its images and lead only to places that exist;
what moves on it must answer mouse and keys, axe must find no obstacle in either theme, it must be
light and soon there; and the search must find a word. `--screenshots` keeps each page in light,
dark and phone width.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from book_config import ROOT
from site_pages import PageFacts, broken_links, built_pages, read_page
from site_reader import HEAVIEST, SLOWEST, first_screen, obstacles, weight
from site_widgets import try_widgets

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 900}
LARGEST_FIGURE = 150_000  # bytes
PATIENCE = 120_000  # milliseconds, on a busy machine
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
         "--disable-component-update", "--no-first-run", "--disable-dev-shm-usage"]  # fmt: skip
PROGRAMS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
MISSING = (
    "The site test needs Chromium. Install it (apt-get install chromium, or "
    "playwright install chromium) or name the program in CHROMIUM."
)
READY = "() => window.MathJax?.startup?.promise ?? true"
MATH_WRONG = """() => {
  const unrendered = [...document.querySelectorAll('.math')]
    .filter(e => !e.querySelector('mjx-container'));
  const errors = [...document.querySelectorAll('mjx-merror, [data-mjx-error]')];
  return [...unrendered.map(e => 'math not rendered: ' + e.textContent.trim().slice(0, 60)),
          ...errors.map(e => 'math with an error: ' + e.textContent.trim().slice(0, 60))];
}"""
TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const inOwnBox = e => { for (let p = e.parentElement; p; p = p.parentElement)
    if (p !== document.body && getComputedStyle(p).overflowX !== 'visible') return true;
    return false; };
  const wide = [...document.body.querySelectorAll('*')].filter(e =>
    e.getBoundingClientRect().right > width + 1 && !inOwnBox(e));
  const names = wide.slice(-3).map(e => e.tagName.toLowerCase() + '.' + e.className);
  return [`scrolls sideways at ${width} px: ${names.join(', ') || document.title}`];
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; RuntimeError says what to install where there is none."""
    from playwright.sync_api import Error, sync_playwright

    names = [os.environ["CHROMIUM"]] if os.environ.get("CHROMIUM") else PROGRAMS
    program = next(filter(None, map(shutil.which, names)), None)
    if os.environ.get("CHROMIUM") and program is None:
        raise RuntimeError(f"{MISSING}\nCHROMIUM names {names[0]}, which is no program.")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        except Error as error:
            raise RuntimeError(f"{MISSING}\n{str(error).splitlines()[0]}") from None
        try:
            yield browser
        finally:
            browser.close()


def watch(tab: Tab) -> list[str]:
    """A list that fills with the console's errors and with requests that leave the machine."""
    seen: list[str] = []
    tab.on("pageerror", lambda error: seen.append(f"script error: {error}"))
    tab.on(
        "console",
        lambda message: (
            seen.append(f"console: {message.text}") if message.type == "error" else None
        ),
    )
    tab.on(
        "request",
        lambda request: (
            None
            if re.match(r"^(file|data|blob|about):", request.url)
            else seen.append(f"request to another host: {request.url}")
        ),
    )
    tab.on(
        "requestfailed",
        lambda request: (
            None
            if request.failure == "net::ERR_ABORTED"  # the tab had gone on to another page
            else seen.append(f"not loaded: {request.url}")
        ),
    )
    return seen


def look(tab: Tab, seen: list[str], facts: PageFacts, shots: Path | None) -> list[str]:
    """Open one page at desk and phone width; what is wrong with it."""
    seen.clear()
    tab.set_viewport_size(DESK)  # type: ignore[arg-type]
    tab.emulate_media(color_scheme="light")
    tab.goto(facts.path.as_uri(), wait_until="load")
    tab.evaluate(READY)
    wrong = list(tab.evaluate(MATH_WRONG)) if facts.has_math else []
    stem = "-".join(facts.path.with_suffix("").parts[-2:])
    for scheme in ("light", "dark") if shots else ():
        tab.emulate_media(color_scheme=scheme)
        take(tab, shots, f"{stem}-{scheme}")
    tab.emulate_media(color_scheme="light")
    tab.set_viewport_size(PHONE)  # type: ignore[arg-type]
    wrong += tab.evaluate(TOO_WIDE)
    take(tab, shots, f"{stem}-360")
    return wrong + seen


def use(tab: Tab, facts: PageFacts, asked: set[str]) -> tuple[str, list[str]]:
    """Open one page as its reader does: figures in words, and what is wrong with it.

    asked: fills with the addresses that the tab asks for. Motion is reduced, so that nothing moves
    by itself while widgets are used.
    """
    tab.set_viewport_size(DESK)  # type: ignore[arg-type]
    tab.emulate_media(reduced_motion="reduce")
    asked.clear()
    soon = first_screen(tab, facts.path.as_uri())
    tab.evaluate(READY)
    heavy = weight(asked)
    wrong = [f"{heavy / 1e6:.1f} MB are loaded"] if heavy > HEAVIEST else []
    wrong += [f"the first screen takes {soon:.0f} ms"] if soon > SLOWEST else []
    widgets, faults = try_widgets(tab)
    wrong += faults + obstacles(tab)
    tab.emulate_media(reduced_motion="no-preference")
    figures = f"{heavy / 1e6:4.2f} MB {soon:5.0f} ms"
    return figures + f" {widgets} widgets" * bool(widgets), wrong


def take(tab: Tab, shots: Path | None, name: str) -> None:
    """Keep a picture of the whole page, if pictures are wanted."""
    if shots:
        tab.wait_for_timeout(200)
        path = shots / f"{name}.png"
        tab.screenshot(path=path, full_page=True, animations="disabled")


def search(
    tab: Tab, seen: list[str], site: Path, word: str = "trajectory", seconds: int = 10
) -> list[str]:
    """Ask the search page for a word, without a server."""
    seen.clear()
    tab.set_viewport_size(DESK)  # type: ignore[arg-type]
    tab.goto(f"{(site / 'search.html').as_uri()}?q={word}", wait_until="load")
    try:
        tab.wait_for_selector("#search-results ul.search li a", timeout=1000 * seconds)
    except Exception:
        return [f"the search finds nothing for {word!r}", *seen]
    return list(seen)


def judge_site(site: Path, shots: Path | None) -> int:
    """Test every page; print a line for each; the number of pages with something wrong."""
    facts = {path: read_page(path) for path in built_pages(site)}
    failed = 0
    with chromium() as browser:
        tab = browser.new_page()
        tab.set_default_timeout(PATIENCE)
        seen, asked = watch(tab), set[str]()
        tab.on("request", lambda request: asked.add(request.url))
        for path, page in facts.items():
            redirect = "http-equiv" in path.read_text("utf8")[:200]
            wrong = broken_links(page, site, facts) + ([] if redirect else page.problems)
            figures = ""
            if not redirect:
                wrong += look(tab, seen, page, shots)
                figures, faults = use(tab, page, asked)
                wrong += faults + seen
            failed += report(str(path.relative_to(site)), page, wrong, figures)
        wrong = search(tab, seen, site)
        failed += report("search for a word", PageFacts(site), wrong)
    failed += report("size of the figures", PageFacts(site), heavy_figures(site))
    links = sum(len(page.links) for page in facts.values())
    images = sum(page.images for page in facts.values())
    print(f"{len(facts)} pages, {links} links, {images} images; {failed} failed")
    return failed


def heavy_figures(site: Path) -> list[str]:
    """The drawn figures of the site that are larger than `LARGEST_FIGURE`."""
    files = (path for folder in ("_images", "_static") for path in (site / folder).glob("*"))
    return [
        f"{path.name} has {path.stat().st_size // 1000} kB"
        for path in files
        if path.suffix in (".svg", ".png", ".webp") and path.stat().st_size > LARGEST_FIGURE
    ]


def report(name: str, page: PageFacts, wrong: list[str], figures: str = "") -> bool:
    """Print one line for a page, and one for each thing wrong with it."""
    unique = list(dict.fromkeys(wrong))
    counts = f"{len(page.links):4d} links {page.images:3d} images" if page.links else ""
    print(f"{'FAIL' if unique else 'ok  '} {name:34} {counts} {figures}", flush=True)
    for sentence in unique:
        print(f"       {sentence}")
    return bool(unique)


def main() -> int:
    parser = argparse.ArgumentParser(description="test the built book in Chromium")
    parser.add_argument("site", type=Path, nargs="?", default=ROOT / "_build" / "html")
    parser.add_argument("--screenshots", type=Path, help="a folder for pictures of every page")
    options = parser.parse_args()
    site = options.site.resolve()
    if not (site / "index.html").exists():
        print(f"There is no book in {site}; run `make book` first.")
        return 1
    if options.screenshots:
        options.screenshots.mkdir(parents=True, exist_ok=True)
    try:
        return 1 if judge_site(site, options.screenshots) else 0
    except RuntimeError as error:
        print(error)
        return 1


if __name__ == "__main__":
    sys.exit(main())
