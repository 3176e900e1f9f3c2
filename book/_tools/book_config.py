"""What `_config.yml` and `_toc.yml` say about the book: its repository, its pages, its macros."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
MD = ".md"
COLAB = "https://colab.research.google.com/github"


def load_config(root: Path) -> dict[str, Any]:
    """The mapping that `_config.yml` holds."""
    return yaml.safe_load((root / "_config.yml").read_text("utf8"))


@dataclass(frozen=True)
class Repository:
    """Where the book's source and its published pages live; all of it follows from two settings."""

    url: str
    ref: str
    baseurl: str = ""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Repository:
        """Read `repository.url`, `repository.branch` and, if set, `html.baseurl`."""
        repository = config["repository"]
        baseurl = (config.get("html") or {}).get("baseurl") or ""
        return cls(repository["url"].rstrip("/"), str(repository["branch"]), baseurl)

    @property
    def slug(self) -> str:
        """`owner/name`."""
        return "/".join(self.url.split("/")[-2:])

    @property
    def site(self) -> str:
        """The address of the published book, ending in a slash (GitHub Pages unless set)."""
        owner, name = self.slug.split("/")
        return (self.baseurl or f"https://{owner}.github.io/{name}").rstrip("/") + "/"

    @property
    def archive(self) -> str:
        """The zip that pip can install `seqrl` from."""
        return f"{self.url}/archive/{self.ref}.zip"

    def page(self, docname: str, anchor: str = "") -> str:
        """The address of a published page, `docname` without suffix."""
        return f"{self.site}{docname}.html" + (f"#{anchor}" if anchor else "")

    def colab(self, path: str) -> str:
        """The address under which Colab opens a notebook of the repository."""
        return f"{COLAB}/{self.slug}/blob/{self.ref}/{path}"

    def raw(self, path: str) -> str:
        """The address of a file's content; a vector graphic is only drawn with `sanitize`."""
        address = f"https://raw.githubusercontent.com/{self.slug}/{self.ref}/{path}"
        return address + "?sanitize=true" if path.endswith(".svg") else address

    def fill(self, text: str) -> str:
        """`text` with `{{ slug }}`, `{{ ref }}` and `{{ site }}` filled in, in prose and code."""
        for name in ("slug", "ref", "site"):
            text = text.replace("{{ " + name + " }}", getattr(self, name))
        return text


@dataclass(frozen=True)
class Page:
    """A page of the table of contents; `number` is the chapter's, None outside numbered parts.

    `within`: for a page below a chapter, which has no number, that of the chapter.
    """

    docname: str
    number: int | str | None
    within: int | str | None = None

    @property
    def counts_in(self) -> int | str | None:
        """The chapter in whose numbers figures and equations are counted: 1 for Figure 1.2."""
        return self.number or self.within


def pages(toc: dict[str, Any]) -> list[Page]:
    """The pages of `_toc.yml` in reading order, chapters numbered across parts.

    Pages below a chapter (`sections`) have no number; what is on them counts as the chapter's.
    """
    found = [Page(toc["root"].removesuffix(MD), None)]
    count = 0
    for part in toc.get("parts", [toc]):
        for entry in part.get("chapters", []):
            numbered = bool(part.get("numbered"))
            count += numbered
            number = count if numbered else None
            found.append(Page(entry["file"].removesuffix(MD), number))
            found += [Page(name, None, number) for name in _sections(entry)]
    return found


def _sections(entry: dict[str, Any]) -> Iterator[str]:
    """The pages below an entry, at any depth."""
    for section in entry.get("sections", []):
        yield section["file"].removesuffix(MD)
        yield from _sections(section)


def load_pages(root: Path) -> list[Page]:
    """The pages of the book at `root`; an empty list where it has no `_toc.yml`."""
    path = root / "_toc.yml"
    return pages(yaml.safe_load(path.read_text("utf8"))) if path.exists() else []


def version(root: Path) -> str:
    """The version of the package, which is the book's as well; "" where it names none."""
    text = (root / "seqrl" / "__init__.py").read_text("utf8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.M)
    return found[1] if found else ""


def macros(config: dict[str, Any]) -> dict[str, tuple[str, int]]:
    """The book's TeX macros as {name: (body, number of arguments)}."""
    settings = (config.get("sphinx") or {}).get("config") or {}
    found = settings.get("mathjax3_config", {}).get("tex", {}).get("macros", {})
    return {name: (m, 0) if isinstance(m, str) else (m[0], int(m[1])) for name, m in found.items()}
