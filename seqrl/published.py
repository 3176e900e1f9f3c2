"""Numbers that the papers and others published, with where they are from: cited, not measured.

D4RL locomotion is the mean normalized score over nine datasets (three robots, three kinds).
"""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """A mean over nine locomotion datasets, by whom, and what to know about it."""

    method: str
    score: float
    source: str
    note: str


LOCOMOTION = (
    Published("BC", 47.7, "DT and TT papers", "weak: others' cloning is better"),
    Published("BC", 50.4, "CORL, last", ""),
    Published("10 %BC", 69.3, "CORL, last", ""),
    Published("CQL", 63.9, "DT paper", "run on v0 data, beside v2 numbers"),
    Published("CQL", 77.6, "TT paper, corrected", "v2 data"),
    Published("CQL", 78.3, "CORL, last", "v2 data"),
    Published("IQL", 81.6, "CORL, last", ""),
    Published("DT", 74.7, "DT paper", "v2 data, 3 seeds"),
    Published("DT", 73.8, "CORL, last", "other batch and learning rate"),
    Published("TT", 72.6, "TT paper", "uniform bins"),
    Published("TT", 78.9, "TT paper", "quantile bins, 5 models × 3 rollouts"),
)
SOURCES = ("DT paper", "TT paper", "TT paper, corrected", "DT and TT papers", "CORL, last")
