"""`make pdf`: the whole book as one PDF, from the outputs that `make book` has left.

Sphinx's LaTeX builder with Jupyter Book's configuration, XeLaTeX, and Chromium for the pictures
(`pictures.py`). Nothing is executed again; missing glyphs and lines that leave the page fail.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from book_config import ROOT, version
from build import keys, remembered

NAME = "book"
NEEDS = (
    "The PDF needs XeLaTeX. On Debian: apt-get install --no-install-recommends latexmk "
    "texlive-xetex texlive-latex-recommended texlive-latex-extra texlive-fonts-recommended "
    "fonts-texgyre fonts-texgyre-math fonts-dejavu-extra"
)
TOO_WIDE = 12.0  # points by which a line may leave the text: less than the margin hides
COMMAND = ["latexmk", "-xelatex", "-interaction=nonstopmode", "-halt-on-error", f"{NAME}.tex"]


def write_latex(root: Path, folder: Path) -> int:
    """Write the book's LaTeX into `folder`; 0 if there was no warning."""
    from jupyter_book.sphinx import build_sphinx

    overrides: dict[str, Any] = {
        "external_toc_path": str(root / "_toc.yml"),
        "latex_individualpages": False,
    }
    result = build_sphinx(
        root,
        folder,
        noconfig=True,
        path_config=root / "_config.yml",
        confoverrides=overrides,
        doctreedir=root / "_build" / ".doctrees-latex",
        builder="latex",
        warningiserror=True,
        keep_going=True,
        quiet=True,
    )
    return result if isinstance(result, int) else 1


def run_latex(folder: Path) -> str:
    """Make the PDF in `folder`; the log. RuntimeError with the log's end where it fails."""
    for left in folder.glob(f"{NAME}.*"):  # a run that was stopped leaves half a file
        if left.suffix != ".tex":
            left.unlink()
    environment = {**os.environ, "max_print_line": "1000"}
    run = subprocess.run(COMMAND, cwd=folder, env=environment, capture_output=True, text=True)
    path = folder / f"{NAME}.log"
    log = path.read_text("utf8", errors="replace") if path.exists() else run.stdout
    if run.returncode != 0:
        raise RuntimeError("LaTeX failed:\n" + "\n".join((log + run.stderr).splitlines()[-40:]))
    return log


def faults(log: str) -> list[str]:
    """What a reader of the PDF would see, from LaTeX's log: missing glyphs, lines too wide."""
    found = re.findall(r"Missing character: .*", log)
    for line in re.findall(r"Overfull \\hbox .*", log):
        points = re.search(r"\(([\d.]+)pt too wide\)", line)
        if points and float(points[1]) > TOO_WIDE:
            found.append(line)
    found += re.findall(r"LaTeX Warning: (?:Reference|Citation) .* undefined.*", log)
    return list(dict.fromkeys(found))


def build_pdf(root: Path) -> int:
    """Write `_build/seqrl-book-VERSION.pdf`; 0 only if nothing is wrong in it."""
    started, folder = time.perf_counter(), root / "_build" / "latex"
    if not all(map(shutil.which, ("latexmk", "xelatex"))):
        print(NEEDS)
        return 1
    if remembered(root / "_build", "all") != keys(root)["all"]:
        print("The pages are not built, or not as they are now; run `make book` first.")
        return 1
    if status := write_latex(root, folder):
        return status
    try:
        wrong = faults(run_latex(folder))
    except RuntimeError as error:
        print(error)
        return 1
    target = root / "_build" / f"seqrl-book-{version(root)}.pdf"
    shutil.copyfile(folder / f"{NAME}.pdf", target)
    size, seconds = target.stat().st_size / 1e6, time.perf_counter() - started
    print("\n".join([*wrong, f"The PDF: {target}  ({size:.1f} MB, {seconds:.0f} s)"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(build_pdf(ROOT))
