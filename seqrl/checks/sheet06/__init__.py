"""Exercise sheet 6, inside the black box; the sheet itself is `solutions/06-inside.md`."""

from seqrl.checks.sheet06 import arrivals, columns, needs, resampling, rollouts, stripes

EXERCISES = (
    columns.EXERCISE,
    rollouts.EXERCISE,
    resampling.EXERCISE,
    stripes.EXERCISE,
    needs.EXERCISE,
    arrivals.EXERCISE,
)
