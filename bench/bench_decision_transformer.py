"""Decision Transformer: a training step and a rollout beside those of Hugging Face `transformers`.

Both models have 3 layers of width 128, 1 head, dropout 0.1 and contexts of 20 steps; states are 11
numbers, actions 3. Theirs also drops attention weights and predicts states and returns, as it does
by default; a row says what the first costs.

What is compared is measured in the same run, in turns, so that a busy moment of the machine meets
all alike; values and ratios are medians over the turns. Seconds are those of the clock, but with
one thread (`OMP_NUM_THREADS=1`) those of this process, so that other work counts for nothing.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from bench.bench_trajectories import synthetic
from seqrl.actions import Actions
from seqrl.decision_transformer import DecisionTransformer, DecisionTransformerConfig
from seqrl.encoders import FlatEncoderConfig
from seqrl.environments import Envs
from seqrl.optimization import Recipe, choose_precision, make_optimizer
from seqrl.rollout import rollout
from seqrl.windows import Batch

Row = tuple[str, float, str]

N, M, K, BATCH, E = 11, 3, 20, 64, 64
TURNS, STEPS = 9, 2  # turns, and training steps of each model in a turn
LONG = 60  # steps of an episode that does not fit the context
CLIP = 0.25


def main() -> list[Row]:
    """Run every benchmark of this file and print its rows."""
    rows: list[Row] = []
    auto = choose_precision("cpu", "auto")
    print(f"threads: {torch.get_num_threads()}; on this CPU precision 'auto' is {auto}")
    for benchmark in BENCHMARKS:
        for name, value, unit in benchmark():
            rows.append((name, value, unit))
            print(f"{name:<66} {value:>9,.2f} {unit}", flush=True)
    return rows


def training_step() -> list[Row]:
    """Milliseconds of forward, masked squared error, backward, clipping and AdamW."""
    batch = synthetic(episodes=50, steps=200).windows(K, BATCH, torch.Generator().manual_seed(0))
    models = {
        "ours fp32": (_ours(), "fp32"),
        "ours bf16": (_ours(), "bf16"),
        "transformers fp32": (_theirs(), "fp32"),
        "transformers bf16": (_theirs(), "bf16"),
        "transformers fp32, attention not dropped": (_theirs(attn_pdrop=0.0), "fp32"),
    }
    times = _in_turns({name: _training(m, batch, how) for name, (m, how) in models.items()})
    pairs = (
        ("transformers fp32", "ours fp32", " (at least 1.1)"),
        ("transformers fp32", "ours bf16", " (at least 1.4)"),
        ("transformers bf16", "ours bf16", ""),
        ("transformers fp32, attention not dropped", "ours fp32", ""),
    )
    return [
        *_milliseconds("training step: ", times, STEPS),
        *((f"{a} / {b}{wanted}", _ratio(times[a], times[b]), "x") for a, b, wanted in pairs),
    ]


def driving() -> list[Row]:
    """Actions a second: `rollout` of 64 environments, and the usual loop around one.

    Episodes fit the context, or are three times as long, so that the context slides.
    """
    model, theirs = _ours().eval(), _theirs().eval()
    rows: list[Row] = []
    for steps in (K, LONG):
        times = _in_turns({"ours": _rollout(model, E, steps), "one": _usual_loop(theirs, steps)})
        ours, one = ([s / E for s in times["ours"]], times["one"])  # seconds an episode
        name = f"episodes of {steps} steps: "
        rows += [
            (f"{name}ours, {E} at once", steps / statistics.median(ours), "actions/s"),
            (f"{name}transformers, one", steps / statistics.median(one), "actions/s"),
            (f"{name}ours / transformers (at least 4)", _ratio(one, ours), "x"),
        ]
    return rows


def caching() -> list[Row]:
    """Milliseconds of an episode of 20 steps, so 60 tokens: from kept keys and values, and anew."""
    model = _ours().eval()
    rows: list[Row] = []
    for count, at_once, wanted in ((E, f"{E} at once", " (at least 3)"), (1, "one alone", "")):
        times = _in_turns(
            {
                "cached": _rollout(model, count, K),
                "uncached": _rollout(model, count, K, cached=False),
            }
        )
        ratio = _ratio(times["uncached"], times["cached"])
        rows += _milliseconds(f"episode of 60 tokens, {at_once}: ", times)
        rows.append((f"uncached / cached, {at_once}{wanted}", ratio, "x"))
    return rows


class Noise(gym.Env):
    """States that mean nothing, for as many steps as asked for; costs almost no time."""

    observation_space = spaces.Box(-np.inf, np.inf, (N,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (M,), np.float32)

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.states = np.random.default_rng(0).normal(size=(steps + 1, N)).astype(np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        self.t = 0
        return self.states[0], {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.t += 1
        return self.states[self.t], 1.0, False, self.t == self.steps, {}


def _ours() -> DecisionTransformer:
    torch.manual_seed(0)
    actions = Actions(M, False, (-1.0,) * M, (1.0,) * M)
    return DecisionTransformerConfig(FlatEncoderConfig(N), actions, context=K).build()


def _theirs(attn_pdrop: float = 0.1) -> Any:
    from transformers import DecisionTransformerConfig as TheirConfig
    from transformers import DecisionTransformerModel

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 128, "max_ep_len": 1000, "attn_pdrop": attn_pdrop}
    config = TheirConfig(state_dim=N, act_dim=M, **sizes)
    assert (config.n_layer, config.n_head, config.resid_pdrop) == (3, 1, 0.1)
    return DecisionTransformerModel(config)


def _loss(model: Any, batch: Batch) -> Tensor:
    """The mean squared error of the actions of real steps, of either model."""
    if isinstance(model, DecisionTransformer):
        return model.loss(batch)[0]
    predicted = model(
        states=batch.observations["state"],
        actions=batch.actions,
        returns_to_go=batch.returns_to_go[..., None] / 1000,
        timesteps=batch.timesteps,
        attention_mask=batch.mask.long(),
    ).action_preds
    return (predicted[batch.mask] - batch.actions[batch.mask]).square().mean()


def _training(model: nn.Module, batch: Batch, precision: str) -> Callable[[], None]:
    """A function that makes some training steps."""
    model.train()
    optimizer = make_optimizer(model, Recipe(lr=1e-4))
    parameters = list(model.parameters())

    def steps() -> None:
        for _ in range(STEPS):
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                loss = _loss(model, batch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, CLIP)
            optimizer.step()

    return steps


def _rollout(
    model: DecisionTransformer, count: int, steps: int, cached: bool = True
) -> Callable[[], object]:
    """A function that drives so many environments, one episode each, all at once."""
    envs = Envs([Noise(steps) for _ in range(count)])
    return lambda: rollout(model.policy(10.0, cached=cached), envs, count, seed=0)


def _usual_loop(model: Any, steps: int) -> Callable[[], None]:
    """A function that drives one episode as is usual: the last 20 steps anew for each action.

    Padding on the left to 20 steps costs nothing here: zeros stand before the first step.
    """
    env, padding = Noise(steps), K - 1

    @torch.inference_mode()
    def episode() -> None:
        states, actions, returns = (torch.zeros(1, padding + steps, n) for n in (N, M, 1))
        timesteps = torch.arange(-padding, steps).clamp(min=0)[None]
        mask = (torch.arange(padding + steps) >= padding).long()[None]
        state, left = env.reset()[0], 10.0
        for t in range(steps):
            now, window = padding + t, slice(t, t + K)
            states[0, now], returns[0, now] = torch.from_numpy(state), left / 1000
            actions[0, now] = model(
                states=states[:, window],
                actions=actions[:, window],
                returns_to_go=returns[:, window],
                timesteps=timesteps[:, window],
                attention_mask=mask[:, window],
            ).action_preds[0, -1]
            state, reward, *_ = env.step(actions[0, now].numpy())
            left -= reward

    return episode


def _in_turns(tasks: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of each task, in each turn; one turn before them is not counted."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    for turn in range(TURNS + 1):
        for name, task in tasks.items():
            start = clock()
            task()
            if turn:
                times[name].append(clock() - start)
    return times


def _milliseconds(prefix: str, times: dict[str, list[float]], per: int = 1) -> list[Row]:
    return [(prefix + name, 1e3 * statistics.median(v) / per, "ms") for name, v in times.items()]


def _ratio(slow: list[float], fast: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(slow, fast))


BENCHMARKS: tuple[Callable[[], list[Row]], ...] = (training_step, driving, caching)

if __name__ == "__main__":
    main()
