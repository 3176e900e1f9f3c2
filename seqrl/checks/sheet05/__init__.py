"""Exercise sheet 5, LEAP; the sheet itself is `solutions/05-leap.md`."""

from seqrl.checks.sheet05 import blind, energies, lava, masks, sweeps

EXERCISES = (
    energies.EXERCISE,
    sweeps.EXERCISE,
    masks.EXERCISE,
    blind.EXERCISE,
    lava.EXERCISE,
)
