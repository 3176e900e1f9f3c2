"""A page as its reader meets it: can all read it, how much is loaded, how soon is it there?"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab

HEAVIEST = 3_000_000  # bytes of a page and of all that it loads
SLOWEST = 1500  # milliseconds until the first screen is there, from disk
TRIES = 3  # times that a page may be opened until it is soon enough
GRAVE = ("serious", "critical")  # axe's impacts that fail a page
ALWAYS = ("color-contrast", "heading-order")  # rules that fail it whatever the impact
THEME = "theme => { document.documentElement.dataset.theme = theme; }"
# The largest thing in the first screen is drawn; the milliseconds since the page was asked for.
DRAWN = """() => new Promise((done) => {
  setTimeout(() => done(performance.now()), 5000);  // nothing was drawn
  new PerformanceObserver((list) => done(Math.max(...list.getEntries().map((e) => e.startTime))))
    .observe({ type: 'largest-contentful-paint', buffered: true });
})"""
# Drawings, formulas and code have thousands of elements, all of which axe would walk: drawings and
# formulas hold no text of the page, and of words of code in one color one is enough.
THINNED = """() => {
  for (const part of document.querySelectorAll('svg > :not(title)')) part.remove();
  for (const formula of document.querySelectorAll('mjx-container')) formula.textContent = 'x';
  const seen = new Set();
  for (const word of document.querySelectorAll('.highlight pre span')) {
    const short = word.textContent.trim().length < 2;  // axe does not judge a single sign
    if (short || seen.has(word.className)) word.replaceWith(...word.childNodes);
    else seen.add(word.className);
  }
}"""
RUN = """async (rules) => (await axe.run({
  preload: false, resultTypes: ['violations'], ...(rules ? { runOnly: rules } : {})
})).violations"""


@cache
def axe_script() -> str:
    """axe-core, as a package of the tests carries it; RuntimeError where that is missing."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        raise RuntimeError("The site test needs axe-playwright-python: run `make env`.") from None
    return Axe().axe_script


def obstacles(tab: Tab) -> list[str]:
    """What axe finds on the page that is open, in the light theme and then in the dark one.

    The page is thinned out for it, see `THINNED`: nothing else can be seen of it afterwards.
    """
    tab.evaluate(THINNED)
    tab.evaluate(axe_script())
    wrong = []
    for theme in ("light", "dark"):
        tab.evaluate(THEME, theme)
        found = tab.evaluate(RUN, None if theme == "light" else ["color-contrast"])
        wrong += [f"{theme}: {sentence}" for rule in found for sentence in _told(rule)]
    tab.evaluate(THEME, "light")
    return wrong


def _told(rule: dict[str, Any], most: int = 4) -> list[str]:
    """A sentence for the first places where a rule is broken, if that fails a page."""
    if rule["impact"] not in GRAVE and rule["id"] not in ALWAYS:
        return []
    told = []
    for node in rule["nodes"][:most]:
        why = [part["message"] for part in (*node["any"], *node["all"], *node["none"])]
        told.append(f"{rule['id']}: {' '.join(map(str, node['target']))}: {' '.join(why)[:200]}")
    more = len(rule["nodes"]) - most
    return told + [f"{rule['id']}: {more} more"] * (more > 0)


def weight(urls: set[str]) -> int:
    """Bytes of the files among the addresses that a page has asked for."""
    files = {Path(unquote(urlsplit(url).path)) for url in urls if url.startswith("file:")}
    return sum(path.stat().st_size for path in files if path.is_file())


def first_screen(tab: Tab, url: str) -> float:
    """Milliseconds until the first screen is drawn: the best of some tries, as soon as it will do.

    Where other programs want the processor too, the time that the page had of it is what counts.
    """
    session, best = tab.context.new_cdp_session(tab), float("inf")
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def worked() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return 1000 * next(m["value"] for m in metrics if m["name"] == "TaskDuration")

    for _ in range(TRIES):
        before = worked()
        tab.goto(url, wait_until="load")
        drawn, after = tab.evaluate(DRAWN), worked()
        busy = os.getloadavg()[0] > (os.cpu_count() or 1)
        best = min(best, after - before if busy and after > before else drawn)
        if best < SLOWEST:
            break
    session.detach()
    return best
