"""Run every benchmark: `python -m bench`, or some: `python -m bench data trajectories`.

`--record FOLDER` also keeps the rows of those that return them, a record each.
"""

import argparse
import importlib
import sys
from pathlib import Path

from seqrl import results

FILES = sorted(p.stem.removeprefix("bench_") for p in Path(__file__).parent.glob("bench_*.py"))


def main() -> int:
    """Print the rows of the files named on the command line, by default of all."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FILES))
    parser.add_argument("--record", type=Path, metavar="FOLDER")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in FILES]
    if unknown:
        print(f"unknown benchmark {unknown[0]!r}; there are {', '.join(FILES)}.", file=sys.stderr)
        return 2
    for name in asked.names or FILES:
        print(f"== {name}", flush=True)
        rows = importlib.import_module(f"bench.bench_{name}").main()
        if asked.record and rows:
            scores = {f"{row}, {unit}": value for row, value, unit in rows}
            results.write(results.record("bench", name, 0, config={}, scores=scores), asked.record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
