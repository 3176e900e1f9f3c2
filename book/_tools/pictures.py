"""Pictures for print: Chromium turns SVG and HTML into one-page vector PDFs, each printed once."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab

WIDTH = 640  # CSS pixels: what fits the text of a printed page at its natural size
STYLE = """
html, body { margin: 0; background: none; }
body { font: 14px/1.4 "DejaVu Sans", sans-serif; color: #1f2933; }
#picture { display: inline-block; vertical-align: top; }
#picture.html { display: block; }
#picture.svg svg { display: block; }
table { border-collapse: collapse; margin: 0 auto; font-size: 12px; }
th, td { padding: 3px 10px; text-align: right; border-bottom: 1px solid #dfe2e5; }
thead th { border-bottom: 1px solid #1f2933; }
tbody th { text-align: left; font-weight: normal; }
"""


def frame(kind: str, content: str) -> str:
    """A page that holds nothing but the picture."""
    return (
        f"<!doctype html><meta charset='utf8'><style>{STYLE}</style>"
        f"<div id='picture' class='{kind}'>{content}</div>"
    )


class Printer:
    """Prints pictures with one browser and keeps them in `folder`, under what they show."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stack = ExitStack()
        self.tab: Tab | None = None

    def print_svg(self, svg: str) -> bytes:
        """An SVG file's text as a PDF of its own size."""
        return self._once("svg", svg[svg.index("<svg") :])

    def print_html(self, html: str) -> bytes:
        """An output as it stands without scripts, in print, as wide as a page's text."""
        return self._once("html", html)

    def close(self) -> None:
        """End the browser."""
        self.stack.close()

    def _once(self, kind: str, content: str) -> bytes:
        page = frame(kind, content)
        path = self.folder / f"{hashlib.sha256(page.encode()).hexdigest()}.pdf"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            half = path.with_suffix(".half")
            half.write_bytes(self._print(page))
            half.replace(path)  # a run that is stopped leaves no half a picture
        return path.read_bytes()

    def _print(self, page: str) -> bytes:
        tab = self.tab or self._start()
        tab.set_content(page, wait_until="load")
        box = tab.locator("#picture").bounding_box()
        assert box is not None
        # Chromium makes a second page of half a pixel too much.
        size = {"width": f"{box['width'] + 1}px", "height": f"{box['height'] + 1}px"}
        return tab.pdf(**size, print_background=True, page_ranges="1")  # type: ignore[arg-type]

    def _start(self) -> Tab:
        from site_test import chromium

        browser = self.stack.enter_context(chromium())
        context = browser.new_context(
            java_script_enabled=False, viewport={"width": WIDTH, "height": 900}
        )
        self.tab = context.new_page()
        self.tab.emulate_media(media="print", color_scheme="light", reduced_motion="reduce")
        return self.tab
