"""Exercise sheet 1, trajectories; the sheet itself is `solutions/01-trajectories.md`."""

from seqrl.checks.sheet01 import expectiles, returns_to_go, splits, targets, windows

EXERCISES = (
    returns_to_go.EXERCISE,
    windows.EXERCISE,
    splits.EXERCISE,
    targets.EXERCISE,
    expectiles.EXERCISE,
)
