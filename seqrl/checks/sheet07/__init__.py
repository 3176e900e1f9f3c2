"""Exercise sheet 7, the verdict; the sheet itself is `solutions/07-verdict.md`."""

from seqrl.checks.sheet07 import fronts, labels, middles, pairs, stitches

EXERCISES = (
    middles.EXERCISE,
    pairs.EXERCISE,
    fronts.EXERCISE,
    labels.EXERCISE,
    stitches.EXERCISE,
)
