"""`make notebooks`: the plain notebooks, from the book's and the exercises' MyST sources.

    python book/_tools/notebooks.py            write what changed
    python book/_tools/notebooks.py --check    say what has drifted, exit 1 (executes nothing)
    python book/_tools/notebooks.py --force    execute again even where the code is the same

Cells tagged `nbval-check-output` carry their stored text output, which nbval compares; a notebook
is executed, at smoke speed, only when it has such cells and its code has changed; words alone keep
them. All other outputs are left out.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from blocks import MystError
from book_config import ROOT
from page_to_notebook import CHECKED, Book, convert

MEND = "make notebooks"


def targets(root: Path) -> Iterator[tuple[str, str]]:
    """(source, notebook) for every notebook of the repository, as paths below `root`.

    Numbered pages of the book with code, other pages whose front matter says `notebook: true`, and
    two notebooks for each sheet of exercises.
    """
    for path in sorted((root / "book").glob("*.md")):
        text = path.read_text("utf8")
        numbered = path.name[:2].isdigit() and "{code-cell}" in text
        if numbered or "\nnotebook: true\n" in text.split("\n---\n")[0] + "\n":
            yield f"book/{path.name}", f"book/{path.stem}.ipynb"
    for path in sorted((root / "solutions").glob("*.md")):
        for folder in ("solutions", "exercises"):
            yield f"solutions/{path.name}", f"{folder}/{path.stem}.ipynb"


def checked_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The cells whose output nbval compares."""
    return [cell for cell in notebook.cells if CHECKED in cell.metadata.get("tags", [])]


def stripped(notebook: nbformat.NotebookNode) -> str:
    """The notebook's text without outputs and counts, for comparison."""
    copy = nbformat.from_dict(notebook)
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return nbformat.writes(copy)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The cells that a kernel runs."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def code(notebook: nbformat.NotebookNode) -> list[tuple[str, list[str]]]:
    """All that outputs hang on: the code in its order, and what is compared."""
    return [(cell.source, cell.metadata.get("tags", [])) for cell in code_cells(notebook)]


def unrun(notebook: nbformat.NotebookNode) -> bool:
    """Whether a cell to be compared has no output or no count: nbval would pass it unread."""
    return any(not c.outputs or c.execution_count is None for c in checked_cells(notebook))


def execute(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run the notebook at smoke speed and keep the outputs of the cells to be compared.

    MystError for a cell that fails, or whose outputs cannot be compared.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    ran = nbformat.from_dict(notebook)
    path = os.pathsep.join(filter(None, [str(folder.parent), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "SEQRL_SPEED": "smoke", "PYTHONPATH": path}
    client = NotebookClient(
        ran,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],
    )
    try:
        client.execute(env=environment)
    except CellExecutionError as error:
        raise MystError(f"a cell fails at smoke speed:\n{error}") from None
    for cell, result in zip(notebook.cells, ran.cells):
        if CHECKED in cell.metadata.get("tags", []):
            if fault := incomparable(result.outputs):
                raise MystError(f"a cell tagged {CHECKED} {fault}:\n{cell.source}")
            cell.outputs = _joined(result.outputs)
            cell.execution_count = result.execution_count


def incomparable(outputs: list[nbformat.NotebookNode]) -> str | None:
    """Why nbval could not compare these outputs on another machine, or None."""
    if not outputs:
        return "prints nothing"
    for output in outputs:
        if output.get("name") == "stderr":
            return f"writes to stderr ({output.text.strip()[:200]})"
        for kind in output.get("data", {}):
            if not kind.startswith("text/"):
                return f"shows {kind}"
    return None


def _joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Outputs with neighboring streams joined: how they were cut is an accident of timing."""
    joined: list[nbformat.NotebookNode] = []
    for output in outputs:
        if joined and output.output_type == joined[-1].output_type == "stream":
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def read(path: Path) -> nbformat.NotebookNode | None:
    """A notebook as it stands, or None; one that is no JSON counts as missing."""
    try:
        return nbformat.read(path, as_version=4)
    except (FileNotFoundError, nbformat.reader.NotJSONError):
        return None


def update(book: Book, source: str, target: str, force: bool) -> bool:
    """Write one notebook if it is not what its source says; True if the file changed."""
    path = book.root / target
    old, new = read(path), convert(book, source, target)
    same = old is not None and code(old) == code(new) and not unrun(old)
    if checked_cells(new):
        if old is not None and same and not force:
            for before, cell in zip(code_cells(old), code_cells(new)):
                if CHECKED in cell.metadata.get("tags", []):
                    cell.outputs, cell.execution_count = before.outputs, before.execution_count
        else:
            print(f"executing {target} ...", flush=True)
            try:
                execute(new, path.resolve().parent)
            except MystError as error:
                raise MystError(f"{source}: {error}") from None
    text = nbformat.writes(new) + "\n"
    if path.exists() and path.read_text("utf8") == text:
        return False
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf8")
    return True


def drift(book: Book, source: str, target: str) -> str | None:
    """What is wrong with the notebook as it stands, in words, or None."""
    old = read(book.root / target)
    if old is None:
        return f"{target} is missing"
    if stripped(old) != stripped(convert(book, source, target)):
        return f"{target} is not what {source} says"
    if unrun(old):
        return f"{target} has a cell tagged {CHECKED} without output or execution count"
    if any(c.get("outputs") for c in old.cells if CHECKED not in c.metadata.get("tags", [])):
        return f"{target} has outputs in cells that are not tagged {CHECKED}"
    return None


def orphans(root: Path) -> list[str]:
    """Notebooks that no source makes."""
    known = {target for _, target in targets(root)}
    found = [
        p for folder in ("book", "solutions", "exercises") for p in (root / folder).glob("*.ipynb")
    ]
    return sorted(str(p.relative_to(root)) for p in found if str(p.relative_to(root)) not in known)


def check(root: Path) -> list[str]:
    """Everything that has drifted, one sentence each."""
    book = Book(root)
    found = [drift(book, source, target) for source, target in targets(root)]
    return [f for f in found if f] + [f"{path} has no source; remove it" for path in orphans(root)]


def write(root: Path, force: bool) -> None:
    """Write every notebook that changed, and say which."""
    book = Book(root)
    for source, target in targets(root):
        print(f"{'wrote' if update(book, source, target, force) else 'same '} {target}")
    for path in orphans(root):
        print(f"{path} has no source; remove it")


def main() -> int:
    parser = argparse.ArgumentParser(description="MyST pages to plain notebooks")
    parser.add_argument("--check", action="store_true", help="only say what has drifted")
    parser.add_argument("--force", action="store_true", help="execute even if nothing changed")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository's folder")
    options = parser.parse_args()
    try:
        if not options.check:
            write(options.root, options.force)
            return 0
        wrong = check(options.root)
    except MystError as error:
        print(error)
        return 1
    for sentence in wrong:
        print(f"{sentence}. Mend: {MEND}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
