"""`python -m seqrl`: the command line."""

from seqrl.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
