"""The replication scorecard: each claim of the three papers, and what this book measured of it.

Where records say it, a rule of `replication` makes the verdict. Where a chapter measures and
asserts it live, the verdict is that of its assertions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from seqrl import comparison, replication_robots
from seqrl.replication import (
    OPEN,
    PARTLY,
    VERDICTS,
    YES,
    Found,
    bands,
    composed,
    context,
    critic,
    delayed,
    door,
    door_filter,
    dt_filter,
    dt_values,
    energy,
    fixed,
    generalize,
    lava,
    leap_best,
    refining,
    rooms,
    search,
    simulator,
    tt_best,
)
from seqrl.results import Row


class Claim(NamedTuple):
    """What a paper says, how it is judged, and the page and anchor of the evidence."""

    paper: str
    says: str
    judge: Callable[[Sequence[Row]], Found]
    where: str = ""


DT, TT, LEAP = "DT", "TT", "LEAP"
DT_ROBOTS, TT_ROBOTS = "03b-robots.md#against-the-others", "04b-robots.md#what-is-it-worth"
CLAIMS = (
    Claim(DT, "matches value learning on locomotion", replication_robots.values, DT_ROBOTS),
    Claim(DT, "and on Atari", fixed(OPEN, "data no longer public; days of GPU time")),
    Claim(DT, "is as good as value learning, here", dt_values, "#fig-verdict-cost"),
    Claim(DT, "random walks teach shortest paths", fixed(YES, "asserted in chapter 3"),
          "03-decision-transformer.md#shortest-paths-from-random-walks"),
    Claim(DT, "reaches the return it is asked for",
          fixed(PARTLY, "drawn actions, in the data's range; likeliest ones hardly listen"),
          "#fig-dt-asked"),
    Claim(DT, "a longer context helps much", context,
          "#fig-dt-context"),
    Claim(DT, "is better than a share of %BC chosen blindly, here", dt_filter,
          "#fig-verdict-filter"),
    Claim(DT, "and on locomotion", replication_robots.filtering, "#fig-verdict-worlds"),
    Claim(DT, "Key-to-Door: far ahead of cloning", door, "#fig-verdict-late"),
    Claim(DT, "Key-to-Door: cloning the successes does as well", door_filter,
          "#fig-verdict-filter"),
    Claim(DT, "a late reward hurts value learning and not DT, here", delayed, "#fig-verdict-late"),
    Claim(DT, "and on locomotion, a hopper", replication_robots.late,
          "03b-robots.md#when-the-reward-comes-at-the-end"),
    Claim(DT, "one that foretells return attends to the key", critic,
          "#fig-dt-key"),
    Claim(TT, "is the best or equal on locomotion", replication_robots.best, TT_ROBOTS),
    Claim(TT, "quantile bins beat uniform ones there", replication_robots.bins,
          "04b-robots.md#which-bins"),
    Claim(TT, "with Q, solves AntMaze", fixed(OPEN, "no code or models were released")),
    Claim(TT, "predicts a humanoid for 100 steps", fixed(OPEN, "no humanoid in this book")),
    Claim(TT, "is a better simulator than a single-step model", simulator,
          "#fig-tt-dynamics"),
    Claim(TT, "planning is as good as the best methods, here", tt_best, "#fig-verdict-cost"),
    Claim(TT, "the search is what makes it good", search, "#fig-verdict-cost"),
    Claim(TT, "reaches goals behind four rooms (94 %)", rooms,
          "04-trajectory-transformer.md#imitation-and-a-goal-behind-four-doors"),
    Claim(TT, "attention is Markov or striated, here", bands, "#fig-tt-measures"),
    Claim(TT, "and on locomotion", fixed(YES, "both in all four heads, asserted for the hopper"),
          "#fig-tt-hopper-attention"),
    Claim(LEAP, "beats BC, IQL and DT on BabyAI", leap_best, "#fig-verdict-cost"),
    Claim(LEAP, "and DT on Atari", fixed(OPEN, "the released code has no Atari")),
    Claim(LEAP, "more iterations, more success", refining,
          "#fig-leap-iterations"),
    Claim(LEAP, "a lower energy is a better plan", energy, "#fig-leap-judged"),
    Claim(LEAP, "adapts to lava without training", lava, "#fig-verdict-elsewhere"),
    Claim(LEAP, "generalizes from rooms to mazes", generalize, "#fig-verdict-elsewhere"),
    Claim(LEAP, "composes two energies", composed,
          "05-leap.md#two-energies-and-rooms-that-become-mazes"),
)  # fmt: skip


def judged(records: Iterable[Row]) -> list[tuple[Claim, Found]]:
    """Every claim with what was found."""
    records = list(records)
    return [(claim, claim.judge(records)) for claim in CLAIMS]


def table(records: Iterable[Row]) -> list[dict[str, str]]:
    """The scorecard's rows; the last column links to the evidence."""
    return [
        {
            "paper": claim.paper,
            "it says": claim.says,
            "verdict": found.verdict,
            "measured here": found.why,
            "evidence": f"[figure]({claim.where})" if claim.where else comparison.DASH,
        }
        for claim, found in judged(records)
    ]


def counts(records: Iterable[Row]) -> dict[str, int]:
    """How many claims got each verdict."""
    found = Counter(found.verdict for _, found in judged(records))
    return {name: found[name] for name in VERDICTS}
