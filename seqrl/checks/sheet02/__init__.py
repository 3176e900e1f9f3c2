"""Exercise sheet 2, one Transformer; the sheet itself is `solutions/02-transformer.md`."""

from seqrl.checks.sheet02 import cached_step, dream, masked_attention, masks, pairs

EXERCISES = (
    masks.EXERCISE,
    masked_attention.EXERCISE,
    cached_step.EXERCISE,
    dream.EXERCISE,
    pairs.EXERCISE,
)
