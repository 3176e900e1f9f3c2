"""Run every benchmark: `python -m bench`, or some: `python -m bench data trajectories`."""

import importlib
import sys
from pathlib import Path

FILES = sorted(p.stem.removeprefix("bench_") for p in Path(__file__).parent.glob("bench_*.py"))


def main() -> int:
    """Print the rows of the files named on the command line, by default of all."""
    chosen = sys.argv[1:] or FILES
    unknown = [name for name in chosen if name not in FILES]
    if unknown:
        print(f"unknown benchmark {unknown[0]!r}; there are {', '.join(FILES)}.", file=sys.stderr)
        return 2
    for name in chosen:
        print(f"== {name}", flush=True)
        importlib.import_module(f"bench.bench_{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
