"""Sphinx extension: vector figures lose what nobody sees, a sixth of their weight and more.

Matplotlib writes a path's coordinates with six decimals of a point, of which two are plenty, and
comments and metadata.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

PATH = re.compile(r'(?<=\bd=")[^"]*')
NUMBER = re.compile(r"-?\d+\.\d{3,}")
UNSEEN = re.compile(r"<!--.*?-->|<metadata>.*?</metadata>", re.S)


def lighter(svg: str) -> str:
    """The same drawing with two decimals in its paths, without what is not drawn or indented."""
    drawn = UNSEEN.sub("", svg)
    short = PATH.sub(lambda match: " ".join(NUMBER.sub(_short, match[0]).split()), drawn)
    return re.sub(r"\n\s+", "\n", short)


def _short(match: re.Match[str]) -> str:
    text = f"{float(match[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def lighten(app: Sphinx, exception: Exception | None) -> None:
    """Write every vector figure of the built pages again."""
    if exception or app.builder.format != "html":
        return
    for path in sorted((Path(app.outdir) / "_images").glob("*.svg")):
        text = path.read_text("utf8")
        if (short := lighter(text)) != text:
            path.write_text(short, "utf8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register it for the end of a build."""
    app.connect("build-finished", lighten)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
