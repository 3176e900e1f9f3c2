"""`make pack CH=03`: all that an instructor needs for one exercise sheet, in one zip.

    python book/_tools/pack.py 03             writes _build/packs/pack-03.zip

The zip holds the student's notebook, the solution, a rubric, the autograder's manifest and a zip
for Gradescope. The hidden seeds are drawn anew for every pack and lie nowhere else. Before it is
written, a pack is tried: the solution gets all points, the student's notebook none.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import secrets
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import instructors
from blocks import MystError
from book_config import ROOT

sys.path.insert(0, str(ROOT))  # a checkout's own package, wherever another one is installed

from seqrl.checks import Exercise, exercise
from seqrl.grading.grader import Graded, grade
from seqrl.grading.packs import MANIFEST, Pack, Submission
from seqrl.grading.report import points

SEEDS = 8  # hidden ones
LONGEST = 120.0  # seconds that a notebook may compute, also where the machine was busy meanwhile
SETUP = """\
#!/usr/bin/env bash
# Gradescope runs this once, when it builds the image.
set -euo pipefail
cd /autograder/source
python3 -m pip install --quiet uv || python3 -m pip install --quiet --break-system-packages uv
python3 -m uv venv --quiet --python 3.12 /autograder/environment
export VIRTUAL_ENV=/autograder/environment
python3 -m uv pip install --quiet torch --index-url https://download.pytorch.org/whl/cpu
python3 -m uv pip install --quiet ./seqrl-*.whl
"""
RUN = """\
#!/usr/bin/env bash
# Gradescope runs this for every submission.
set -euo pipefail
cd /autograder
environment/bin/python -m seqrl grade source submission --gradescope results/results.json
"""
RULES = """\
{total} points in all.
An exercise gives all of its points or none: its check passes on the self-check's cases and on
hidden ones.
An open exercise has no check: you read it, by its own rubric below, and set its weight."""
README = """\
# Exercise sheet {name}

- `{name}.ipynb`: the student's notebook.
- `{name}-solution.ipynb`: the solution.
- `rubric.md`: points, objectives, mistakes that the checks know, and the open exercise's rubric.
- `autograder/pack.json`: the hidden seeds. Keep it to yourself.
- `gradescope.zip`: upload it as the autograder of a programming assignment.

Without Gradescope, put one notebook or one folder a student into a folder, and run on Linux:

    python -m seqrl grade {zip} SUBMISSIONS

It writes `grades/grades.csv` and one page of feedback a student.
"""


def sheet_name(chapter: str, root: Path = ROOT) -> str:
    """ "03-decision-transformer" for "3", "03" or that name; ValueError if there is none."""
    names = sorted(path.stem for path in (root / "solutions").glob("*.md"))
    number = re.match(r"\d+", chapter)
    found = [n for n in names if number and int(n.split("-")[0]) == int(number[0])]
    if not found:
        there = ", ".join(name.split("-")[0] for name in names)
        raise ValueError(f"There is no exercise sheet {chapter!r}; there are {there}.")
    return found[0]


def exercises(text: str) -> list[Exercise]:
    """The exercises of a sheet, in order, by the checks that it calls."""
    return [exercise(id) for id in dict.fromkeys(re.findall(r'\bcheck\("([\d.]+)"', text))]


def imports(notebook: bytes) -> list[str]:
    """The modules that a notebook's cells import, without the checks."""
    found: list[str] = []
    for cell in json.loads(notebook)["cells"]:
        if cell["cell_type"] != "code" or "setup" in cell["metadata"].get("tags", []):
            continue
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            if isinstance(node, ast.Import):
                found += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                found += [node.module, *filter(is_module, inner)]
    return [name for name in dict.fromkeys(found) if not name.startswith("seqrl.checks")]


def warm(notebook: bytes) -> tuple[str, ...]:
    """What is imported once before a notebook runs, instead of in every submission's process."""
    found = ["torch", *imports(notebook)]
    if "seqrl.training" in found:
        found.append("torch._dynamo")  # the first update of an optimizer imports it, for a second
    return tuple(dict.fromkeys(found))


def is_module(name: str) -> bool:
    """Whether `name` is a module of this package, and not something inside one."""
    try:
        return name.startswith("seqrl.") and find_spec(name) is not None
    except ModuleNotFoundError:  # something inside a module, which is no package
        return False


def rubric(pack: Pack, root: Path = ROOT) -> str:
    """Points, objectives, what a right answer shows and what goes wrong, as Markdown."""
    text = (root / "solutions" / f"{pack.name}.md").read_text("utf8")
    wrong = dict(instructors.banks(root))[pack.name].WRONG
    total = sum(pack.points.values())
    lines = [f"# Rubric: {pack.name}", "", RULES.format(total=total), ""]
    lines += ["| Exercise | Points | Minutes | Objectives |", "|:--|--:|--:|:--|"]
    asked = instructors.exercises(root)[pack.name]
    for e in asked:
        worth = pack.points.get(e.id, "by hand")
        lines.append(f"| {e.id} {e.title} | {worth} | {e.minutes} | {', '.join(e.objectives)} |")
    for e in asked:
        lines += ["", f"## {e.id} {e.title}", ""]
        if not e.check:
            lines.append(open_rubric(text, e.id))
            continue
        judged = exercise(e.id)
        lines += [f"`{judged.name}({', '.join(judged.parameters)})`", ""]
        lines += [f"A right answer is told: *{judged.shown}*", ""]
        lines += ["Mistakes that the check knows:", "", *instructors.mistakes_of(wrong[e.id])]
    return "\n".join(lines) + "\n"


def open_rubric(text: str, id: str) -> str:
    """The rubric of an exercise that no machine checks, of the sheet's source."""
    section = text.split(f"\n## Exercise {id}: ")[1].split("\n## ")[0]
    return section.split(":::{dropdown} Rubric\n")[1].split("\n:::")[0].strip()


def hidden_seeds() -> tuple[int, ...]:
    """New ones."""
    return tuple(secrets.randbits(40) for _ in range(SEEDS))


def make(chapter: str, root: Path = ROOT) -> tuple[Pack, dict[str, bytes]]:
    """The pack of a chapter's sheet, tried, and its files without the one for Gradescope."""
    name = sheet_name(chapter, root)
    student = (root / "exercises" / f"{name}.ipynb").read_bytes()
    solution = (root / "solutions" / f"{name}.ipynb").read_bytes()
    asked = exercises((root / "solutions" / f"{name}.md").read_text("utf8"))
    modules = warm(solution)
    worth = {e.id: e.difficulty for e in asked}
    pack = Pack(name, worth, hidden_seeds(), modules, notebook_seconds=300.0)
    tried = list(
        grade(pack, [Submission("solution", "", solution), Submission("sheet", "", student)])
    )
    _confirm(pack, tried)
    slowest = max(graded.seconds for graded in tried)
    pack = replace(pack, notebook_seconds=float(round(min(10 + 5 * slowest, LONGEST))))
    files = {
        "README.md": README.format(name=name, zip=f"pack-{name[:2]}.zip").encode(),
        f"{name}.ipynb": student,
        f"{name}-solution.ipynb": solution,
        "rubric.md": rubric(pack, root).encode(),
        MANIFEST: pack.to_json().encode(),
    }
    return pack, files


def _confirm(pack: Pack, tried: list[Graded]) -> None:
    """MystError unless the solution gets all points and the sheet none."""
    for graded in tried:
        expected = pack.points.values() if graded.submission.student == "solution" else None
        got = points(pack, graded)
        if got != list(expected or [0] * len(got)) or graded.faults:
            told = "\n".join([*map(repr, graded.results), *graded.faults])
            raise MystError(f"the {graded.submission.student} of {pack.name} gets {got}:\n{told}")


def wheel(root: Path, folder: Path) -> Path:
    """The package as a wheel in `folder`."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w"]
    subprocess.run([*command, str(folder), str(root)], check=True)
    return next(folder.glob("seqrl-*.whl"))


def gradescope(pack: Pack, package: Path) -> bytes:
    """The zip that Gradescope takes as an autograder."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (("setup.sh", SETUP), ("run_autograder", RUN)):
            entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100755 << 16  # executable
            archive.writestr(entry, text)
        archive.writestr(MANIFEST, pack.to_json())
        archive.write(package, package.name)
    return file.getvalue()


def write(chapter: str, folder: Path) -> Path:
    """Make a pack and write it; its path."""
    pack, files = make(chapter)
    with tempfile.TemporaryDirectory() as temporary:
        files["gradescope.zip"] = gradescope(pack, wheel(ROOT, Path(temporary)))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"pack-{pack.name.split('-')[0]}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(f"{path.stem}/{name}", time.localtime()[:6])
            entry.external_attr, entry.compress_type = 0o100644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description="an exercise sheet as a pack for instructors")
    parser.add_argument("chapter", help="03, or the sheet's name")
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "packs")
    options = parser.parse_args()
    try:
        print(f"wrote {write(options.chapter, options.out)}")
    except (ValueError, OSError) as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
