"""What the instructors' pages compute: the map of objectives, and the common mistakes.

Nothing here is written down twice. Objectives come from the chapters, exercises from the checks,
mistakes from the banks of wrong answers that the tests hold; `objectives.toml` says only in which
section an objective is taught.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from seqrl.checks import exercise

OBJECTIVE = re.compile(r"^- \*\*(O\d+\.\d+)\*\* (.+?)[;.]?$", re.M)
SECTION = re.compile(r"^## (.+)$", re.M)
CHECK = re.compile(r'^check\("([\d.]+)", (\w+)\)', re.M)
TITLE = re.compile(r"^# (.+)$", re.M)
SESSION = re.compile(r"For instructors\n:class: dropdown\n.*?(\d+) minutes")
CARD = re.compile(r"^## Exercise ([\d.]+): (.+)\n\n[★☆]+ · about (\d+) minutes · (.+)$", re.M)


class Objective(NamedTuple):
    """One learning objective: its words, the page that states it, the section that teaches it."""

    id: str
    words: str
    page: str
    section: str


class Exercise(NamedTuple):
    """One exercise as its sheet's card has it; an open one has no check."""

    id: str
    title: str
    minutes: int
    objectives: tuple[str, ...]
    check: str = ""  # the function that is checked


def objectives(root: Path) -> list[Objective]:
    """All objectives in the order of the pages; a section that is not named is empty."""
    taught = tomllib.loads((root / "book" / "objectives.toml").read_text("utf8"))
    return [
        Objective(id, words, path.name, taught.get(id, ""))
        for path in sorted((root / "book").glob("[0-9]*.md"))
        for id, words in OBJECTIVE.findall(path.read_text("utf8"))
    ]


def exercises(root: Path) -> dict[str, list[Exercise]]:
    """The exercises of each sheet, by its name."""
    sheets = sorted((root / "solutions").glob("*.md"))
    return {path.stem: list(_exercises(path.read_text("utf8"))) for path in sheets}


def _exercises(text: str) -> Iterator[Exercise]:
    checks = dict(CHECK.findall(text))
    for id, title, minutes, about in CARD.findall(text):
        yield Exercise(id, title, int(minutes), tuple(about.split(", ")), checks.get(id, ""))


def anchor(title: str) -> str:
    """The address of a section on its page."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def objective_map(root: Path) -> str:
    """Objective, section, exercise and check, as a table in Markdown."""
    lines = ["| | Objective | Section | Exercise | Check |", "|:--|:--|:--|:--|:--|"]
    asked = [e for sheet in exercises(root).values() for e in sheet]
    for o in objectives(root):
        mine = [e for e in asked if o.id in e.objectives]
        told = "<br>".join(f"{e.id} {e.title} ({e.minutes} min)" for e in mine)
        calls = "<br>".join(f'`check("{e.id}", {e.check})`' if e.check else "rubric" for e in mine)
        section = f"[{o.section}]({o.page}#{anchor(o.section)})"
        lines.append(f"| {o.id} | {o.words} | {section} | {told} | {calls} |")
    return "\n".join(lines)


def dangling(root: Path) -> Iterator[str]:
    """Whatever in the map leads nowhere, a sentence each."""
    known = objectives(root)
    ids = [o.id for o in known]
    for id in sorted({id for id in ids if ids.count(id) > 1}):
        yield f"objective {id} is stated twice"
    for o in known:
        titles = SECTION.findall((root / "book" / o.page).read_text("utf8"))
        if o.section not in titles:
            yield f"objective {o.id} is taught in {o.section!r}, which {o.page} does not have"
    for id in tomllib.loads((root / "book" / "objectives.toml").read_text("utf8")):
        if id not in ids:
            yield f"objectives.toml knows {id}, and no page states it"
    for sheet, asked in exercises(root).items():
        module = importlib.import_module(f"seqrl.checks.sheet{sheet[:2]}")
        checked = [(e.id, e.title, e.objectives) for e in module.EXERCISES]
        if checked != [(e.id, e.title, e.objectives) for e in asked if e.check]:
            yield f"the checks of sheet {sheet} are not those that it calls"
        for e in asked:
            for id in set(e.objectives) - set(ids):
                yield f"{e.id} is about {id}, which no page states"
    answered = {id for asked in exercises(root).values() for e in asked for id in e.objectives}
    for id in ids:
        if id not in answered:
            yield f"no exercise is about {id}"


def times(root: Path) -> str:
    """Each page's session, its exercises, a student's minutes and the computer's, as a table.

    A page below a chapter may have no exercises of its own.
    """
    lines = ["| Page | Session | Exercises | Students work | The sheet computes |"]
    lines.append("|:--|--:|:--|--:|--:|")
    pages, measured = pages_of(root), sheet_times(root)
    for path in sorted((root / "book").glob("[0-9]*.md")):
        text, mine = path.read_text("utf8"), pages.get(path.name, [])
        title, session = TITLE.search(text), SESSION.search(text)
        assert title is not None and session is not None, path
        assert mine or path.name not in pages, path
        work = sum(e.minutes for e in mine)
        computes = f"{measured[path.stem]['computing']:.0f} s" if path.stem in measured else ""
        cells = [
            f"[{title[1]}]({path.name})",
            f"{session[1]} min",
            f"{mine[0].id} to {mine[-1].id}" if mine else "–",
        ]
        lines.append("| " + " | ".join([*cells, f"{work} min" if mine else "–", computes]) + " |")
    return "\n".join(lines)


def pages_of(root: Path) -> dict[str, list[Exercise]]:
    """The exercises of each page: those of its sheet of which most objectives are its own."""
    stated = {o.id: o.page for o in objectives(root)}
    found: dict[str, list[Exercise]] = {page: [] for page in stated.values()}
    for sheet, asked in exercises(root).items():
        pages = [page for page in found if page[:2] == sheet[:2]]
        for e in asked:
            about = [stated[id] for id in e.objectives]
            found[max(pages, key=about.count)].append(e)
    return found


def sheet_times(root: Path) -> dict[str, Any]:
    """What `sheet_times.py` measured of each sheet, and on what."""
    found: dict[str, Any] = json.loads((root / "book" / "sheet-times.json").read_text("utf8"))
    return found


def measured_on(root: Path) -> str:
    """Where the times of the sheets come from, a sentence or two."""
    found = sheet_times(root).values()
    all_of = {
        key: ", ".join(sorted({str(run[key])[:n] for run in found}))
        for key, n in (("commit", 8), ("hardware", 99), ("time", 10))
    }
    made = f"Recorded, not live: {all_of['hardware']}, commit {all_of['commit']}, {all_of['time']}."
    ratio = sum(run["seconds"] for run in found) / sum(run["computing"] for run in found)
    busy = f" The machine had other work then, and its clock showed {ratio:.0f} times as much."
    return made + (busy if ratio > 2 else "")


def banks(root: Path) -> Iterator[tuple[str, Any]]:
    """Each sheet's name and its bank of wrong answers."""
    for sheet in exercises(root):
        path = root / "tests" / "wrong_answers" / f"sheet{sheet[:2]}.py"
        spec = importlib.util.spec_from_file_location(f"bank_{sheet[:2]}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield sheet, module


def mistakes(root: Path) -> str:
    """What students do, and what the check says to it, exercise by exercise, in Markdown."""
    lines: list[str] = []
    for _, bank in banks(root):
        for id, wrong in bank.WRONG.items():
            lines += ["", f"**{id} {exercise(id).title}**", "", *mistakes_of(wrong)]
    return "\n".join(lines).strip()


def mistakes_of(wrong: dict[Any, str]) -> list[str]:
    """The lines of one exercise's table, of its wrong answers with what the check says to each."""
    said: dict[str, list[str]] = {}
    for answer, phrase in wrong.items():
        said.setdefault(phrase, []).append(answer.__name__.replace("_", " "))
    rows = [f"| {', '.join(names)} | … {said_} … |" for said_, names in said.items()]
    return ["| What was written | What the check says |", "|:--|:--|", *rows]
