"""Sphinx extension: the end of every page says when it was computed, and where to report an error.

The time and seconds are those that the build measured; a page without code has the links alone.
"""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from book_page import repository
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx


def last_run(ran: Any, speed: str) -> str:
    """When, how long, at which speed and with what a page was executed; "" where it has no code."""
    if not ran or ran.get("runtime") is None:
        return ""
    when = datetime.fromtimestamp(ran["mtime"], UTC).strftime("%Y-%m-%d %H:%M UTC")
    tools = f"Python {platform.python_version()}, PyTorch {version('torch')}"
    return f"Last run {when}: {ran['runtime']:.0f} s at {speed} speed, {tools}"


def report_address(url: str, docname: str, ran: str) -> str:
    """A new issue that names the page, and the run that the reader saw."""
    title = f"An error on the page {docname.removeprefix('book/')}"
    body = f"Page: {docname}\n{ran or 'This page has no code.'}\n\nWhat is wrong, and where:\n\n"
    return f"{url}/issues/new?title={quote(title, safe='')}&body={quote(body, safe='')}"


def add_foot(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Put the foot below the page, and the same address behind the header's button."""
    place = repository(app)
    ran = ""
    if doctree is not None:
        data = NbMetadataCollector.get_exec_data(app.env, pagename)
        ran = last_run(data, os.environ.get("SEQRL_SPEED") or "class")
    report = report_address(place.url, pagename, ran)
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button.get("label") == "source-issues-button":
                button.update(url=report, text="Report an error", tooltip="Report an error")
    if doctree is None or not context.get("body"):
        return
    source = Path(app.env.doc2path(pagename)).relative_to(app.srcdir).as_posix()
    links = {"Source": f"{place.url}/blob/{place.ref}/{source}", "Report an error": report}
    items = "".join(f'<a href="{escape(to)}">{words}</a>' for words, to in links.items())
    said = f"<span>{escape(ran)}</span>" if ran else ""
    inside = f'{said}<span class="links">{items}</span>'
    context["body"] += f'<footer class="book-foot">{inside}</footer>'


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the foot, after the theme has made its buttons."""
    app.connect("html-page-context", add_foot, priority=950)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
