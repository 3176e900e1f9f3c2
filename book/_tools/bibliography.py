"""Citations as readable text with links, from the book's BibTeX file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pybtex.database import Entry, parse_file

KEY = re.compile(r"(?:\{(?P<before>[^}]*)\})?(?P<key>[^\s,{}]+)(?:\{(?P<after>[^}]*)\})?")


def author_year(entry: Any) -> tuple[str, str]:
    """("Chen et al.", "2021"): three authors or more are shortened, as on the book's pages."""
    persons = entry.persons.get("author") or entry.persons.get("editor") or []
    names = [" ".join(str(n) for n in p.rich_prelast_names + p.rich_last_names) for p in persons]
    if not names:
        who = str(entry.rich_fields.get("title", entry.key))
    elif len(names) <= 2:
        who = " and ".join(names)
    else:
        who = f"{names[0]} et al."
    return who, str(entry.fields.get("year", "n.d."))


def address(entry: Entry) -> str | None:
    """Where the work can be read: its `url`, `doi` or arXiv `eprint`; None if it has none."""
    if "url" in entry.fields:
        return entry.fields["url"]
    if "doi" in entry.fields:
        return "https://doi.org/" + entry.fields["doi"]
    if "eprint" in entry.fields:
        return "https://arxiv.org/abs/" + entry.fields["eprint"]
    return None


class Bibliography:
    """The entries of a BibTeX file; `fallback` is linked where an entry has no address."""

    def __init__(self, path: Path, fallback: str) -> None:
        self.entries = dict(parse_file(str(path)).entries) if path.exists() else {}
        self.fallback = fallback

    def cite(self, role: str, content: str) -> str:
        """The Markdown of `{role}`content``; KeyError names a key that is not in the file."""
        kind = role.partition(":")[2] or "p"
        parts = [self._one(kind, match) for match in KEY.finditer(content)]
        text = "; ".join(parts) if kind != "t" else _and(parts)
        return f"({text})" if kind == "p" else text

    def _one(self, kind: str, match: re.Match[str]) -> str:
        entry = self.entries[match["key"]]
        who, year = author_year(entry)
        link = f"]({address(entry) or self.fallback})"
        before = f"{match['before']} " if match["before"] else ""
        after = f", {match['after']}" if match["after"] else ""
        if kind == "t":
            return f"{before}[{who} ({year}{after}){link}"
        if kind in ("author", "year"):
            return f"[{who if kind == 'author' else year}{link}"
        return f"{before}[{who}, {year}{link}{after}"


def _and(parts: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
