"""Rules of the replication scorecard: records in, a verdict and the number behind it out.

Each rule says by which numbers a claim counts as replicated, so that more records may change it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from seqrl import comparison, dt_studies, leap_studies, tt_studies, verdict
from seqrl.environments.levels import LEVELS
from seqrl.environments.locomotion import robot_of
from seqrl.intervals import Interval
from seqrl.results import Row

YES, PARTLY, NO, OPEN = "replicated", "partly", "not replicated", "not tried"
VERDICTS = (YES, PARTLY, NO, OPEN)
ROOM = "GoToLocalS8N7/mixed"


class Found(NamedTuple):
    """A verdict and the number or reason behind it."""

    verdict: str
    why: str


def _points(x: Interval) -> str:
    return comparison.text(x, 100, sign=True) + " points"


def missing(what: str = "runs") -> Found:
    """The verdict where a claim waits for records."""
    return Found(OPEN, f"{what} not recorded yet")


def fixed(verdict_: str, why: str) -> Callable[[Sequence[Row]], Found]:
    """The same verdict whatever the records say: asserted on a page, or not tried."""
    return lambda records: Found(verdict_, why)


def _of(records: Sequence[Row], method: str, **config: object) -> list[Row]:
    return [
        r
        for r in records
        if r["method"] == method and all(r["config"].get(k) == v for k, v in config.items())
    ]


def judged(x: Interval | None, why: str, enough: float = 0.0) -> Found:
    """Replicated above `enough`, not below 0, else partly: both bounds must agree."""
    if x is None:
        return missing()
    side = YES if x.low > enough else NO if x.high < 0 else PARTLY
    return Found(side, f"{why} {_points(x)}")


def _levels(records: Sequence[Row], method: str, kind: str = "mixed") -> list[list[Row]]:
    return [comparison.cells(records, method, f"{level}/{kind}") for level in LEVELS]


def dt_values(records: Sequence[Row]) -> Found:
    """Decision Transformer minus IQL, the mean of the levels."""
    x = verdict.pooled(_levels(records, "dt"), _levels(records, "iql"))
    return judged(x, "DT − IQL, mean of the levels:")


def dt_filter(records: Sequence[Row]) -> Found:
    """Decision Transformer minus cloning of the best quarter, the mean of the levels."""
    x = verdict.pooled(_levels(records, "dt"), _levels(records, "bc25"))
    return judged(x, "DT − 25 %BC, mean of the levels:")


def context(records: Sequence[Row]) -> Found:
    """Eight steps of context minus one: more than ten points would be much."""
    long, short = (_of(records, dt_studies.CONTEXT, context=k) for k in (8, 1))
    return judged(comparison.difference(long, short, "success"), "8 steps − 1:", enough=0.1)


def door(records: Sequence[Row]) -> Found:
    """Decision Transformer minus cloning at Key-to-Door: over thirty points is far ahead."""
    dt, bc = (comparison.cells(records, m, "KeyToDoor/random-1000") for m in ("dt", "bc"))
    return judged(comparison.difference(dt, bc, "success"), "DT − BC, 1,000 walks:", enough=0.3)


def door_filter(records: Sequence[Row]) -> Found:
    """Decision Transformer minus cloning of the successes: within ten points is as well."""
    x, y = (comparison.cells(records, m, "KeyToDoor/random-1000") for m in ("dt", "bc_success"))
    d = comparison.difference(x, y, "success")
    if d is None:
        return missing()
    return Found(YES if abs(d.estimate) < 0.1 else PARTLY, f"DT − %BC: {_points(d)}")


def late(records: Sequence[Row], method: str) -> tuple[list[Row], list[Row]]:
    """Runs that are paid at the end, and those with a point a step of the same seeds."""
    end = [r for r in records if r["method"] == method and r["config"] == dt_studies.END]
    seeds = {r["seed"] for r in end}
    return end, [r for r in comparison.cells(records, method, ROOM) if r["seed"] in seeds]


def delayed(records: Sequence[Row]) -> Found:
    """Paid at the end: Decision Transformer loses less than two points, IQL more than ten."""
    dt, iql = (comparison.difference(*late(records, m), "success") for m in ("dt", "iql"))
    if dt is None or iql is None:
        return missing()
    side = YES if dt.low > -0.02 and iql.high < -0.1 else PARTLY if iql.high < dt.low else NO
    return Found(side, f"DT {_points(dt)}, IQL {_points(iql)}")


def critic(records: Sequence[Row]) -> Found:
    """The network that foretells: over half of its attention is on the key, and it needs it."""
    runs = _of(records, "DT critic")
    if not runs:
        return missing()
    share = min(r["scores"]["trained: key"] for r in runs)
    moved = min(r["scores"]["key hidden: kl"] for r in runs)
    held = share > 0.5 and moved > 0.01
    return Found(YES if held else NO, f"critic: {share:.0%} of attention; the acting DT: none")


def simulator(records: Sequence[Row]) -> Found:
    """States that are wrong after seven imagined steps, beside a single-step model."""
    runs = _of(records, tt_studies.DYNAMICS)
    if not runs:
        return missing()
    tt, one = (
        [r["scores"][f"{name}: wrong after 7"] for r in runs] for name in ("TT", "single step")
    )
    ok = all(a < b for a, b in zip(tt, one))
    return Found(YES if ok else NO, f"wrong after 7: TT {min(tt):.0%}+, single {max(one):.0%}−")


def rooms(records: Sequence[Row]) -> Found:
    """Success behind four rooms: 94 % lies within the interval, or below it."""
    runs = comparison.cells(records, "tt", tt_studies.ROOMS_DATA)
    x = comparison.score(runs, "success")
    if x is None:
        return missing()
    return Found(YES if x.high >= 0.94 else NO, comparison.text(x, 100) + " %; BC and DT as good")


def tt_best(records: Sequence[Row]) -> Found:
    """Trajectory Transformer minus cloning, IQL and Decision Transformer, means of the levels."""
    tt = _levels(records, "tt")
    found = {m: verdict.pooled(tt, _levels(records, m)) for m in ("bc", "iql", "dt")}
    known = {m: x for m, x in found.items() if x is not None}
    if not known:
        return missing()
    side = NO if any(x.high < 0 for x in known.values()) else PARTLY
    side = YES if side == PARTLY and all(x.low > 0 for x in known.values()) else side
    return Found(side, ", ".join(f"TT − {verdict.title(m)} {_points(x)}" for m, x in known.items()))


def search(records: Sequence[Row]) -> Found:
    """Planning minus the likeliest action of the same model; open where both solve everything."""
    plan, greedy = (
        _of(records, tt_studies.PLANNING, search=s)
        for s in ("plan, beam 16, horizon 3", "likeliest action")
    )
    x = comparison.difference(plan, greedy, "success")
    if x is None:
        return missing()
    if min(comparison.score(runs, "success").estimate for runs in (plan, greedy)) == 1:  # type: ignore[union-attr]
        return Found(OPEN, "both at 100 %: nothing could be measured there")
    return Found(YES if x.low > 0 else NO, f"planning − likeliest action: {_points(x)}")


def heads(records: Sequence[Row]) -> Counter[str]:
    """How many heads of grid worlds show each of the patterns "Markov", "striated", "both"."""
    runs = [r for r in _of(records, "TT attention") if robot_of(r["dataset"]) is None]
    return Counter(head["pattern"] for run in runs for head in run["heads"])


def bands(records: Sequence[Row]) -> Found:
    """The share of heads with one of the named patterns: more than half, or a quarter."""
    found = heads(records)
    if not found:
        return missing()
    named = {name: n for name, n in found.items() if name != "neither"}
    shown = ", ".join(f"{n} {name}" for name, n in named.items()) or "none"
    share = sum(named.values()) / found.total()
    side = YES if share > 0.5 else PARTLY if share > 0.25 else NO
    return Found(side, f"of {found.total()} heads: {shown}")


def leap_best(records: Sequence[Row]) -> Found:
    """LEAP minus cloning, IQL and Decision Transformer, means of the levels."""
    leap = _levels(records, "leap")
    found = {m: verdict.pooled(leap, _levels(records, m)) for m in ("bc", "iql", "dt")}
    known = {m: x for m, x in found.items() if x is not None}
    if not known:
        return missing()
    side = YES if all(x.low > 0 for x in known.values()) else NO
    side = PARTLY if side == NO and all(x.high > 0 for x in known.values()) else side
    n = sum(map(bool, leap))
    shown = ", ".join(f"LEAP − {verdict.title(m)} {_points(x)}" for m, x in known.items())
    return Found(side, f"{n} of {len(LEVELS)} levels so far: {shown}")


def refining(records: Sequence[Row]) -> Found:
    """Iterations from 1 to 10, the whole plan executed, and planning anew at every step."""
    gains = []
    for execute in (5, 1):
        many, one = (
            _of(records, leap_studies.REFINEMENT, search="sampled", chains=4, execute=execute,
                iterations=n) for n in (10, 1)
        )  # fmt: skip
        gains.append(comparison.difference(many, one, "success"))
    whole, anew = gains
    if whole is None or anew is None:
        return missing()
    side = YES if min(whole.low, anew.low) > 0 else PARTLY if whole.low > 0 else NO
    return Found(side, f"10 − 1 iterations: whole plan {_points(whole)}, anew {_points(anew)}")


def energy(records: Sequence[Row]) -> Found:
    """The rank correlation of energy with the length of the way, within episodes."""
    runs = _of(records, leap_studies.ENERGY)
    if not runs:
        return missing()
    rank, low = (runs[0]["scores"][f"within, length: {x}"] for x in ("estimate", "low"))
    side = NO if low <= 0 else YES if rank > 0.5 else PARTLY
    return Found(side, f"rank correlation with the length of the way {rank:+.2f}")


def lava(records: Sequence[Row]) -> Found:
    """LEAP held to the rule minus LEAP as trained, the mean of the levels with lava."""
    held, plain = (
        _of(records, leap_studies.CONSTRAINED, model="LEAP", how=how)
        for how in ("held to it", "as trained")
    )
    return _same_level(held, plain, "held − as trained on lava:")


def _same_level(a: Sequence[Row], b: Sequence[Row], why: str) -> Found:
    levels = sorted({r["config"]["level"] for r in (*a, *b)})
    first, second = (
        [[r for r in runs if r["config"]["level"] == x] for x in levels] for runs in (a, b)
    )
    return judged(verdict.pooled(first, second), why)


def generalize(records: Sequence[Row]) -> Found:
    """LEAP of one room, with the most iterations, minus another model in mazes."""
    runs = _of(records, leap_studies.ROOMS)
    names = {r["config"]["model"] for r in runs}
    other = next((n for n in ("DT", "BC", "IQL") if n in names), None)
    leap = [r for r in runs if r["config"]["model"] == "LEAP"]
    most = max((r["config"]["iterations"] or 0 for r in leap), default=0)
    if not leap or other is None:
        return missing()
    leap = [r for r in leap if r["config"]["iterations"] == most]
    theirs = [r for r in runs if r["config"]["model"] == other]
    return _same_level(leap, theirs, f"rooms to mazes, LEAP − {other}:")


def composed(records: Sequence[Row]) -> Found:
    """The sum of two models' energies against each alone, over the levels made for it."""
    both, one, other = (
        _of(records, leap_studies.SUMMED, energies=name) for name in ("sum", "one", "other")
    )
    first, second = (
        _same_level(both, x, f"sum − {name}:") for x, name in ((one, "one"), (other, "other"))
    )
    if OPEN in (first.verdict, second.verdict):
        return missing()
    side = YES if first.verdict == second.verdict == YES else PARTLY
    side = NO if NO in (first.verdict, second.verdict) else side
    return Found(side, f"{first.why}; {second.why}")
