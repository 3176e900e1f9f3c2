"""Chapter 6's records: how a model drives where every layer reads evenly; tables of all of them.

Its values, its MLPs and its encoder stay as they are; only the maps are taken away. The same test
episodes are driven as in the run of the model itself, so that the two can be compared in pairs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from seqrl import claims, comparison, dt_attention, experiments, key_attention, results
from seqrl.evaluation import EPISODES, Evaluation, evaluate
from seqrl.experiments import TEST_SEED
from seqrl.intervals import Interval
from seqrl.interventions import pattern
from seqrl.results import Row
from seqrl.trained import Trained, load

METHOD = "even maps"  # in records
DATASET = "GoToLocalS8N7/mixed"  # on which all three claims are measured


def driven(trained: Trained, level: str, episodes: int, even: bool) -> Evaluation:
    """Test episodes of a level, as the model is or with even attention in every layer.

    Without a cache of keys and values where the policy can do without one.
    """
    plain = {"cached": False} if type(trained.model).__name__ == "DecisionTransformer" else {}
    policy = trained.policy(**plain)
    if not even:
        return evaluate(policy, level, episodes, TEST_SEED)
    with pattern(trained.model, "even"):
        return evaluate(policy, level, episodes, TEST_SEED)


def even_record(method: str, trained: Trained, dataset: str, seed: int, episodes: int) -> Row:
    """One model's test episodes with even attention, as a record of the book."""
    tested = driven(trained, dataset.partition("/")[0], episodes, even=True)
    config = {"of": method}
    return experiments.tested_record(METHOD, dataset, seed, config, tested, trained)


def compared(
    records: Iterable[Row], method: str, dataset: str
) -> tuple[Interval | None, Interval | None, Interval | None, list[int]]:
    """Success as the model is, with even maps, their paired difference, and the training seeds.

    Only seeds that have both of the same checkpoint are counted; None where there is none.
    """
    records = list(records)
    even = [r for r in records if (r["method"], r["dataset"], r["config"])
            == (METHOD, dataset, {"of": method})]  # fmt: skip
    known = {(r["seed"], r["checkpoint"]) for r in even}
    usual = [r for r in comparison.cells(records, method, dataset)
             if (r["seed"], r["checkpoint"]) in known]  # fmt: skip
    kept = {run["seed"] for run in usual}
    even = [run for run in even if run["seed"] in kept]
    apart = comparison.difference(even, usual, "success")
    seeds = sorted(run["seed"] for run in usual)
    return comparison.score(usual, "success"), comparison.score(even, "success"), apart, seeds


# Tables


def last_layers(records: Iterable[Row], dataset: str = DATASET) -> list[dict[str, str]]:
    """A row a claim: its share of the last layer for each training seed, their mean, controls."""
    records, rows = list(records), []
    for name, claim in claims.CLAIMS.items():
        runs = claims.recorded(records, name, dataset)
        share = {source: [claims.of_record(run, name, source) for run in runs]
                 for source in claims.SOURCES}  # fmt: skip
        rows.append({
            "last layer": f"{name} {claim.share}",
            "seeds": str(len(runs)),
            "each": ", ".join(f"{x:.2f}" for x in share["trained"]),
            "mean": comparison.text(claims.over_seeds(share["trained"]), digits=2),
            **{source: f"{sum(share[source]) / max(1, len(runs)):.2f}"
               for source in claims.SOURCES[1:]},
        })  # fmt: skip
    return rows


def interventions(records: Iterable[Row], dataset: str = DATASET) -> list[dict[str, str]]:
    """A row for each intervention of a claim: what it does in each seed, and in how many it counts.

    By `dt_attention.verdict`: 1 % of the loss, or 0.01 nats.
    """
    records, rows = list(records), []
    for name, claim in claims.CLAIMS.items():
        runs = claims.recorded(records, name, dataset)
        for test in claim.tests:
            effects = [claims.tested(run, name)[test] for run in runs]
            held = sum(dt_attention.verdict(effect) == "held" for effect in effects)
            rows.append({
                "": f"{name}: {test}",
                "loss": ", ".join(f"{100 * x.change:+.0f} %" for x in effects),
                "moves (nats)": ", ".join(f"{x.kl:.2f}" for x in effects),
                "counts": f"{held} of {len(runs)} seeds",
            })  # fmt: skip
    return rows


def even_maps(records: Iterable[Row]) -> list[dict[str, str]]:
    """A row for each model that was driven with even maps: success with its own, and with those."""
    records, rows = list(records), []
    driven_on = {(r["config"]["of"], r["dataset"]) for r in records if r["method"] == METHOD}
    for of, dataset in sorted(driven_on):
        usual, even, apart, seeds = compared(records, of, dataset)
        rows.append({
            "success (%)": f"{of.upper()} on {dataset}",
            "seeds": ", ".join(map(str, seeds)),
            "as it is": comparison.text(usual, 100),
            "even maps": comparison.text(even, 100),
            "difference": comparison.text(apart, 100, sign=True),
        })  # fmt: skip
    return rows


def key_runs(records: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """Records of attention at Key-to-Door: the critic's, and those of the model that acts."""
    records = [run for run in records if run["dataset"].endswith("-10000")]
    critics, actors = (
        [run for run in records if run["method"] == name]
        for name in (key_attention.CRITIC, key_attention.KEY)
    )
    return critics, actors


def key(records: Iterable[Row]) -> list[dict[str, str]]:
    """A row for each seed at Key-to-Door: attention to the key's step, and what hiding it does."""
    rows = []
    for name, runs in zip(("critic", "DT"), key_runs(records)):
        for run in runs:
            scores = run["scores"]
            rows.append({
                "model": name,
                "seed": str(run["seed"]),
                "on the key": f"{scores['trained: key']:.2f}",
                "shuffled": f"{scores['shuffled: key']:.2f}",
                "key hidden (nats)": f"{scores['key hidden: kl']:.3f}",
                "another step hidden (nats)": f"{scores['other step hidden: kl']:.4f}",
            })  # fmt: skip
    return rows


def main(words: Sequence[str] | None = None) -> None:
    """Makes the record of a trained model with even attention, and writes it into a folder."""
    parser = argparse.ArgumentParser(prog="seqrl.inside_studies", description=main.__doc__)
    parser.add_argument("method", choices=("dt", "tt", "leap"))
    parser.add_argument("dataset", help="LEVEL/KIND that the model was trained on")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="the model's training seed")
    parser.add_argument("--episodes", type=int, default=EPISODES, help="that are tested")
    parser.add_argument("--out", type=Path, default=results.shipped())
    a = parser.parse_args(words)
    torch.set_num_threads(1)
    row = even_record(a.method, load(a.checkpoint), a.dataset, a.seed, a.episodes)
    print(results.write(row, a.out).name, row["scores"], flush=True)


if __name__ == "__main__":
    main()
