"""How long each exercise sheet computes: its solution, from top to bottom, at class speed.

    python book/_tools/sheet_times.py [01 ...]     measures, and writes book/sheet-times.json

Both numbers are kept: seconds on the clock, which grow where the machine has other work, and
seconds of computing of all cores together, which hardly do. The first run of a sheet also makes the
datasets that it needs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from book_config import ROOT

sys.path.insert(0, str(ROOT))  # a checkout's own package, wherever another one is installed

from seqrl import results

RECORD = Path("book") / "sheet-times.json"


def measure(path: Path, speed: str = "class") -> dict[str, float]:
    """Run a notebook with an empty cache of datasets: its seconds, and those of computing."""
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        own = {"SEQRL_SPEED": speed, "SEQRL_HOME": f"{folder}/cache", "PYTHONPATH": paths}
        where = {"metadata": {"path": folder}}
        client = NotebookClient(notebook, timeout=1800, kernel_name="python3", resources=where)
        begin, before = time.monotonic(), _computed()
        client.execute(env={**os.environ, **own})
        return {
            "seconds": round(time.monotonic() - begin, 1),
            "computing": round(_computed() - before, 1),
        }


def _computed() -> float:
    """Seconds that processes which have ended have computed."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def record(root: Path = ROOT) -> dict[str, Any]:
    """What was measured: for each sheet its times, and on what; empty if nothing was."""
    path = root / RECORD
    return json.loads(path.read_text("utf8")) if path.exists() else {}


def main() -> int:
    parser = argparse.ArgumentParser(description="measure how long each sheet computes")
    parser.add_argument("sheets", nargs="*", help="01, 02, ...; by default all")
    options = parser.parse_args()
    kept, made = record(), results.provenance()
    for path in sorted((ROOT / "solutions").glob("*.ipynb")):
        if options.sheets and path.name[:2] not in options.sheets:
            continue
        kept[path.stem] = {**measure(path), **made}
        found = kept[path.stem]
        told = f"{found['seconds']:7.1f} s, {found['computing']:6.1f} s of computing"
        print(f"{path.stem:28} {told}", flush=True)
        (ROOT / RECORD).write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n", "utf8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
