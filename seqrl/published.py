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

ROBOT_DATASETS = (  # in the papers' order
    "halfcheetah/medium-expert",
    "hopper/medium-expert",
    "walker2d/medium-expert",
    "halfcheetah/medium",
    "hopper/medium",
    "walker2d/medium",
    "halfcheetah/medium-replay",
    "hopper/medium-replay",
    "walker2d/medium-replay",
)
ROBOTS: dict[str, tuple[float, ...]] = {  # normalized scores on D4RL's data (v2), in that order
    "BC, DT and TT papers": (59.9, 79.6, 36.6, 43.1, 63.9, 77.3, 4.3, 27.6, 36.9),
    "CQL, TT paper, corrected": (91.6, 105.4, 108.8, 44.0, 58.5, 72.5, 45.5, 95.0, 77.2),
    "DT, DT paper": (86.8, 107.6, 108.1, 42.6, 67.6, 74.0, 36.6, 82.7, 66.6),
    "TT, uniform bins, TT paper": (40.8, 106.0, 91.0, 44.0, 67.4, 81.3, 44.1, 99.4, 79.4),
    "TT, quantile bins, TT paper": (95.0, 110.0, 101.9, 46.9, 61.1, 79.0, 41.9, 91.5, 82.6),
    "BC, CORL": (55.95, 52.3, 98.96, 42.4, 53.51, 63.23, 35.66, 29.81, 21.8),
    "10 %BC, CORL": (90.1, 111.16, 108.7, 42.46, 55.48, 67.34, 23.59, 70.42, 54.35),
    "CQL, CORL": (95.63, 99.26, 109.56, 47.04, 59.08, 80.75, 45.04, 95.11, 73.09),
    "IQL, CORL": (94.74, 107.42, 111.72, 48.31, 67.53, 80.91, 44.46, 97.43, 82.15),
    "DT, CORL": (91.55, 110.44, 107.11, 42.2, 65.1, 67.63, 38.91, 81.77, 59.86),
}
DELAYED = {"hopper/medium-replay": {"DT": 78.5, "CQL": 2.0}}  # DT paper; all reward at the end


def robots(column: str) -> dict[str, float]:
    """One column of `ROBOTS` by dataset; ValueError for another."""
    if column not in ROBOTS:
        raise ValueError(f"unknown column {column!r}; there are {'; '.join(ROBOTS)}.")
    return dict(zip(ROBOT_DATASETS, ROBOTS[column]))
