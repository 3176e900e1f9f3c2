"""Exercise sheet 3, Decision Transformer; the sheet is `solutions/03-decision-transformer.md`."""

from seqrl.checks.sheet03 import action_loss, countdown, interleave, luck, window_returns

EXERCISES = (
    interleave.EXERCISE,
    countdown.EXERCISE,
    action_loss.EXERCISE,
    luck.EXERCISE,
    window_returns.EXERCISE,
)
