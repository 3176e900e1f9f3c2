"""What moves on a page answers: every widget is used by mouse and by keyboard in the browser."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator
    from playwright.sync_api import Page as Tab

LARGEST = {"seqrl-player": 300_000, "seqrl-explorer": 1_500_000}  # bytes of a widget
ROOTS = """() => [...document.querySelectorAll('[class^="seqrl-"]')]
  .map((root) => [root.classList[0], root.outerHTML.length])"""


def try_widgets(tab: Tab) -> tuple[int, list[str]]:
    """Use every widget of the page that is open; how many there are, and what does not answer."""
    found = tab.evaluate(ROOTS)
    wrong = [
        f"{name} has {size // 1000} kB"
        for name, size in found
        if size > LARGEST.get(name, LARGEST["seqrl-player"])
    ]
    seen: dict[str, int] = {}
    for name, _ in found:
        i = seen[name] = seen.get(name, -1) + 1
        root = tab.locator(f".{name}").nth(i)
        tried = TRIED.get(name)
        faults = tried(root) if tried else ["is no widget that this test knows"]
        wrong += [f"{name} {i + 1}: {fault}" for fault in faults]
    return len(found), wrong


def _player(root: Locator) -> list[str]:
    """Slider, buttons and keys step; the picture changes; a choice shows another world."""
    tab, wrong = root.page, []
    step, counter = root.locator(".bar input"), root.locator(".bar output")
    last = int(step.get_attribute("max") or 0)

    def expect(what: str, t: int) -> None:
        if counter.inner_text() != f"{t} / {last}":
            wrong.append(f"{what} leads to {counter.inner_text()}, not to {t} / {last}")

    root.focus()
    pictures = []
    for key, t in (("Home", 0), ("ArrowRight", 1), ("ArrowLeft", 0), ("End", last)):
        tab.keyboard.press(key)
        expect(f"the key {key}", t)
        pictures.append(root.locator(".worlds").inner_html())
    if pictures[0] == pictures[-1]:
        wrong.append("the picture of the last step is that of the first")
    root.locator("button.back").click()
    expect("the button back", last - 1)
    root.locator("button.next").click()
    expect("the button next", last)
    _click(step, 0.0)
    expect("a click at the slider's left end", 0)
    play = root.locator("button.play")
    play.click()
    if play.get_attribute("aria-label") != "pause":
        wrong.append("the button play does not play")
    play.click()
    if play.get_attribute("aria-label") != "play":
        wrong.append("the button play does not pause")
    if root.locator(".choice").count():
        wrong += _choice(root)
    return wrong


def _choice(root: Locator) -> list[str]:
    """The slider over versions: by keys and by the mouse each end shows another world."""
    slider, shown = root.locator(".choice input"), root.locator(".world:not([hidden])")
    slider.focus()
    worlds = {}
    for key, side in (("Home", 0.0), ("End", 1.0)):
        root.page.keyboard.press(key)
        worlds["key", side] = shown.inner_html()
    for side in (0.0, 1.0):
        _click(slider, side)
        worlds["mouse", side] = shown.inner_html()
    same = [how for how in ("key", "mouse") if worlds[how, 0.0] == worlds[how, 1.0]]
    return [f"by {how} the choice shows the same world at both ends" for how in same]


def _click(slider: Locator, side: float) -> None:
    """Click a slider at its left end (0) or its right end (1)."""
    box = slider.bounding_box()
    assert box is not None
    x = 3 + side * (box["width"] - 6)
    slider.click(position={"x": x, "y": box["height"] / 2})


def _explorer(root: Locator) -> list[str]:
    """Keys walk from token to token, the map can be clicked, and every choice changes it."""
    tab, wrong = root.page, []
    tokens, canvas, said = root.locator(".tokens"), root.locator("canvas"), root.locator(".said")

    def changes(what: str, act: Callable[[], object]) -> None:
        before = (said.inner_text(), canvas.evaluate("c => c.toDataURL()"))
        act()
        if (said.inner_text(), canvas.evaluate("c => c.toDataURL()")) == before:
            wrong.append(f"{what} changes nothing")

    tokens.focus()
    tab.keyboard.press("Home")
    changes("the key End", lambda: tab.keyboard.press("End"))
    changes("the key ArrowUp", lambda: tab.keyboard.press("ArrowUp"))
    changes("a click on the map", lambda: canvas.click(position={"x": 40, "y": 4}))
    changes("a click on a token", lambda: tokens.locator(".chip").last.click())
    for select in root.locator("select").all():
        if select.locator("option").count() > 1:
            other = 0 if select.evaluate("s => s.selectedIndex") else 1
            act = partial(select.select_option, index=other)
            changes(f"another {select.get_attribute('class')}", act)
    return wrong


def _stoppable(root: Locator) -> list[str]:
    """What moves without a script stands still: by its checkbox, or under pointer and focus."""
    tab, frame = root.page, root.locator(".frame").first
    tab.emulate_media(reduced_motion="no-preference")

    def stops(how: str, act: Callable[[], object], undo: Callable[[], object]) -> list[str]:
        act()
        still = frame.evaluate("e => getComputedStyle(e).animationPlayState") == "paused"
        undo()
        return [] if still else [f"{how} does not stop it"]

    box = root.locator("input[type=checkbox]")
    if box.count():
        wrong = stops("the checkbox", box.check, box.uncheck)
        box.focus()
        wrong += stops("the key Space", *[lambda: tab.keyboard.press("Space")] * 2)
    else:
        wrong = stops("the keyboard's focus", root.focus, lambda: root.evaluate("e => e.blur()"))
        wrong += stops("the pointer", root.hover, lambda: tab.mouse.move(0, 0))
    tab.emulate_media(reduced_motion="reduce")
    return wrong


TRIED: dict[str, Callable[[Locator], list[str]]] = {
    "seqrl-player": _player,
    "seqrl-explorer": _explorer,
    "seqrl-reading": _stoppable,
    "seqrl-ideas": _stoppable,
}
