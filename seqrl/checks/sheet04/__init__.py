"""Exercise sheet 4, Trajectory Transformer; it is `solutions/04-trajectory-transformer.md`."""

from seqrl.checks.sheet04 import bands, beams, bins, growth, traces

EXERCISES = (
    bins.EXERCISE,
    beams.EXERCISE,
    growth.EXERCISE,
    traces.EXERCISE,
    bands.EXERCISE,
)
