"""The engine of `make book`: execute the pages, write `_build/html`, and never claim too much.

- Outputs are cached under a key of everything that can change them: `seqrl`, the constraints, the
  Python version and `SEQRL_SPEED`. With another key, every page is executed again.
- A failing cell stops the build each time, and warnings are errors.
- After a build that did not succeed, every page is read again, so that no warning is forgotten.
- Where nothing at all has changed since the last success, nothing is done.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from book_config import ROOT

SKIPPED = {"__pycache__", ".ipynb_checkpoints", ".DS_Store"}
NOISE = "Kernel is running over TCP without encryption"
CRASH = "The full traceback has been saved in"  # what follows repeats what was said
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def files(root: Path, names: Iterable[str]) -> Iterator[Path]:
    """Every file under the named files and folders below `root`, in a fixed order."""
    for name in names:
        top = root / name
        found = sorted(top.rglob("*")) if top.is_dir() else [top]
        for path in found:
            if path.is_file() and not SKIPPED & set(path.parts):
                yield path


def digest(root: Path, names: Iterable[str], *words: str) -> str:
    """A hash over `words`, and over the names and contents of files below `root`."""
    state = hashlib.sha256("\0".join(words).encode())
    for path in files(root, names):
        state.update(f"\0{path.relative_to(root).as_posix()}\0".encode())
        state.update(hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()


def keys(root: Path) -> dict[str, str]:
    """What outputs, page structure and the whole build depend on.

    `execution` changes whatever a cell can compute; `pages` changes what a page may look like
    without its own text changing; `all` is every input of the build.
    """
    version = sys.version.split()[0]
    speed = os.environ.get("SEQRL_SPEED") or "class"
    notebooks = sorted(p.name for f in ("book", "exercises") for p in (root / f).glob("*.ipynb"))
    execution = digest(root, ["seqrl", "constraints.txt"], version, speed)
    settings = ["_config.yml", "_toc.yml", "book/_ext", "book/_tools", "book/references.bib"]
    settings += ["README.md", "solutions", "tests/wrong_answers", "book/sheet-times.json"]
    pages = digest(root, settings, execution, *notebooks)
    return {"execution": execution, "pages": pages, "all": digest(root, ["book"], pages)}


def remembered(build: Path, name: str) -> str:
    """The key of the last build, or ""."""
    path = build / f".{name}-key"
    return path.read_text("utf8") if path.exists() else ""


def forget(build: Path, key: dict[str, str]) -> str:
    """Remove what must not be used again; returns why, in words, or ""."""
    executed = remembered(build, "execution") == key["execution"]
    read = executed and remembered(build, "pages") == key["pages"] and remembered(build, "all")
    stale = [] if executed else [".jupyter_cache", "jupyter_execute"]
    stale += [] if read else [".doctrees", ".doctrees-latex", "html", "latex"]
    gone = [name for name in stale if (build / name).exists()]
    for name in gone:
        shutil.rmtree(build / name)
    (build / ".all-key").unlink(missing_ok=True)
    if ".jupyter_cache" in gone:
        return "seqrl, constraints, Python or SEQRL_SPEED changed: every page is executed again"
    return "every page is read again" if gone else ""


def run_jupyter_book(root: Path) -> tuple[int, list[str]]:
    """Build with warnings as errors, passing on what is printed; exit status and warnings."""
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", ".", "-W", "-n", "--keep-going"]
    environment = {**os.environ, "PYTHONPATH": _python_path(root), "NO_COLOR": "1"}
    environment.setdefault("SEQRL_SPEED", "class")
    environment["TZ"] = "UTC"  # the cache says when a page ran without saying in which zone
    process = subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    problems = []
    for line in readable(process.stdout):
        plain = ANSI.sub("", line)
        print(line if sys.stdout.isatty() else plain, end="", flush=True)
        if re.search(r"\b(WARNING|ERROR|CRITICAL|SEVERE)\b", plain):
            problems.append(plain.strip())
    return process.wait(), problems


def readable(lines: Iterable[str]) -> Iterator[str]:
    """The builder's lines without the tracebacks of its own machinery; a cell's error stays."""
    hidden = crashed = False
    for line in lines:
        crashed = crashed or CRASH in line
        if line.startswith("Traceback (most recent call last)"):
            hidden = True
        elif hidden and not line.startswith(" "):
            hidden = False
        if not (hidden or crashed or NOISE in line) and line.strip():
            yield line


def _python_path(root: Path) -> str:
    """The pages import the `seqrl` of this tree."""
    return os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))


def build_book(root: Path, force: bool = False) -> int:
    """Build the book at `root` into `root/_build/html`; 0 only if every page is right."""
    started = time.perf_counter()
    build, page = root / "_build", root / "_build" / "html" / "index.html"
    key = keys(root)
    if not force and page.exists() and remembered(build, "all") == key["all"]:
        print(f"Nothing has changed since the last build.\nThe book: {page}")
        return 0
    if force:
        shutil.rmtree(build, ignore_errors=True)
    build.mkdir(exist_ok=True)
    if reason := forget(build, key):
        print(reason, flush=True)
    for name in ("execution", "pages"):
        (build / f".{name}-key").write_text(key[name], "utf8")
    status, problems = run_jupyter_book(root)
    seconds = time.perf_counter() - started
    if status != 0 or not page.exists():
        print("\n".join(["", f"The book was NOT built ({seconds:.0f} s):", *problems]))
        return status or 1
    (build / ".all-key").write_text(key["all"], "utf8")
    print(f"The book: {page}  ({seconds:.0f} s)")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="execute the pages and write _build/html")
    parser.add_argument("--root", type=Path, default=ROOT, help="the book's folder")
    parser.add_argument("--force", action="store_true", help="remove _build first")
    options = parser.parse_args()
    return build_book(options.root.resolve(), options.force)


if __name__ == "__main__":
    sys.exit(main())
