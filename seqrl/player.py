"""What steps on the page: frames behind a slider, with buttons and keys, and a choice of versions.

Everything of the book that moves step by step is a player: episodes, a growing beam, a plan that is
revised. A world is what is drawn at each step; where there are versions, one world is shown at a
time. The script and the style lie in the page: nothing is loaded from elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

ICONS = {
    "back": '<path d="M19 5v14L9 12zM5 5h3v14H5z"/>',
    "play": '<path class="start" d="M7 4l13 8-13 8z"/>'
    '<path class="stop" visibility="hidden" d="M6 4h4v16H6zM14 4h4v16h-4z"/>',
    "next": '<path d="M5 5v14l10-7zM16 5h3v14h-3z"/>',
}


class Player:
    """Something for the page: a notebook shows it, `save` writes it as a page of its own."""

    def __init__(self, html: str, description: str) -> None:
        self.html, self.description = html, description

    def __repr__(self) -> str:
        return f"Player({self.description})"

    def _repr_html_(self) -> str:
        return self.html

    def save(self, path: str | Path) -> None:
        """Write a standalone page, which needs no other file."""
        head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Episodes</title>'
        view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
        Path(path).write_text(f"{head}{view}<body>{self.html}</body></html>\n", encoding="utf-8")


@cache
def asset(name: str) -> str:
    """A file of this package, without indentation and line breaks that only readers need."""
    lines = (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()
    return "\n".join(line.strip() for line in lines if line.strip())


def player(
    worlds: Sequence[str],
    last: int,
    description: str,
    *,
    columns: int = 1,
    milliseconds: int = 300,
    autoplay: bool = True,
    loop: bool = False,
    choice: str = "",
) -> Player:
    """Worlds on one timeline of steps 0 … last, with buttons, a slider and keys.

    worlds: see `world`; with a `choice`, one of them is shown at a time. milliseconds: of a step.
    It starts when it is seen, and not at all for readers who prefer reduced motion; they, and
    readers without scripts, see the last step.
    """
    flags = " data-autoplay" * autoplay + " data-loop" * loop
    many = " many" * (columns > 2)
    html = (
        f'<div class="seqrl-player" tabindex="0" role="group" data-ms="{milliseconds}"{flags} '
        f'aria-label="Animation of {escape(description)}. Space plays, arrow keys step.">'
        f"<style>{asset('player.css')}</style>{choice}"
        f'<div class="worlds{many}" style="--n:{columns}">{"".join(worlds)}</div>'
        f"{_bar(last)}<script>{asset('player.js')}</script></div>"
    )
    return Player(html, description)


def world(data: dict[str, Any], content: str, *, chosen: bool = True, wide: bool = False) -> str:
    """One world: what the script has to know of it, and what is drawn.

    data: "last", its last step; "words", a sentence a step; or what an episode needs to be moved,
    see `animations`. Worlds that are not chosen are there, but not shown.
    """
    packed = escape(json.dumps(data, separators=(",", ":"), ensure_ascii=False))
    hidden, kind = " hidden" * (not chosen), "world" + " wide" * wide
    words = f'<p class="said">{escape(data["words"][-1])}</p>' if "words" in data else ""
    return f'<div class="{kind}" data-world="{packed}"{hidden}>{content}{words}</div>'


def panes(left: str, right: str) -> str:
    """Two drawings beside each other, one above the other where the page is narrow."""
    return f'<div class="panes"><div>{left}</div><div>{right}</div></div>'


def choice(name: str, options: Sequence[str], chosen: int = 0) -> str:
    """A slider over the versions, each with what it is called; hidden until the script runs."""
    names = escape(json.dumps(list(options), ensure_ascii=False))
    return (
        f'<label class="choice" hidden><span>{escape(name)}</span><input type="range" min="0" '
        f'max="{len(options) - 1}" value="{chosen}" data-names="{names}">'
        f"<output>{escape(options[chosen])}</output></label>"
    )


def timed(content: str, start: int, end: int, last: int) -> str:
    """Content that is there from one step until before another; the still shows the last step."""
    hidden = "" if start <= last < end else ' visibility="hidden"'
    return f'<g data-from="{start}" data-to="{end}"{hidden}>{content}</g>' * bool(content)


def _bar(last: int) -> str:
    """The controls, hidden until the script runs."""

    def button(name: str, label: str) -> str:
        icon = f'<svg viewBox="0 0 24 24" aria-hidden="true">{ICONS[name]}</svg>'
        return f'<button type="button" class="{name}" aria-label="{label}">{icon}</button>'

    return (
        f'<div class="bar" hidden>{button("back", "one step back")}{button("play", "play")}'
        f'{button("next", "one step on")}<input type="range" min="0" max="{last}" value="{last}" '
        f'aria-label="step"><output>{last} / {last}</output></div>'
    )
