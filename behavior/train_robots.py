"""Trains the robots' behavior policies, once: what ships in `seqrl/assets/robots` came from here.

    python behavior/train_robots.py hopper --steps 1000000 --out runs

Soft Actor-Critic (Haarnoja et al., 2018), as in D4RL, with the usual settings but for a smaller
actor, so that all snapshots together stay small. Written here and not taken from a library for one
reason: a library's update takes milliseconds on a GPU that needs a third of one, and nobody has a
day for a million of them. Here sixteen updates are one CUDA graph, the replay buffer is on the GPU,
and the environments step while the GPU works. The actor is written every `--every` steps to
OUT/ROBOT.safetensors; `choose_robots.py` scores the snapshots and picks those that ship.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from seqrl.actors import LARGEST, SMALLEST
from seqrl.cuda_graph import Replay
from seqrl.environments.locomotion import ROBOTS

ENVS = 16  # side by side: so many steps, then as many updates
ACTOR, CRITIC = 128, 256  # units in each of two layers
BATCH, LR, DISCOUNT, AVERAGE = 256, 3e-4, 0.99, 0.005
RANDOM = 10_000  # steps before the first update


class Actor(nn.Module):
    """A Gaussian, squashed by tanh."""

    def __init__(self, N: int, M: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Linear(N, ACTOR), nn.Linear(ACTOR, ACTOR), nn.Linear(ACTOR, 2 * M)]
        )

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Drawn actions (B, M) and their log-probabilities (B,) of states (B, N)."""
        x = states
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        mean, log_std = self.layers[-1](x).chunk(2, -1)
        log_std = log_std.clamp(SMALLEST, LARGEST)
        noise = torch.randn_like(mean)
        raw = mean + log_std.exp() * noise
        log_p = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
        squashed = 2 * (math.log(2) - raw - F.softplus(-2 * raw))  # log of tanh's slope
        return raw.tanh(), (log_p - squashed).sum(-1)


class Critics(nn.Module):
    """Two networks side by side, in products of batches of matrices."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for a, b in ((size, CRITIC), (CRITIC, CRITIC), (CRITIC, 1)):
            bound = 1 / math.sqrt(a)
            self.weights.append(torch.empty(2, a, b).uniform_(-bound, bound))
            self.biases.append(torch.empty(2, 1, b).uniform_(-bound, bound))

    def forward(self, states: Tensor, actions: Tensor) -> Tensor:
        """Values (2, B) of states (B, N) and actions (B, M)."""
        x = torch.cat([states, actions], -1).expand(2, -1, -1)
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            x = torch.baddbmm(bias, x, weight)
            x = x.relu() if i < 2 else x
        return x[..., 0]


class SAC:
    """The networks, the replay buffer and the update; section 5 of the paper, alpha learned."""

    def __init__(self, N: int, M: int, size: int, device: torch.device) -> None:
        self.actor, self.critics = Actor(N, M).to(device), Critics(N + M).to(device)
        self.target = copy.deepcopy(self.critics).requires_grad_(False)
        self.log_alpha = torch.zeros((), device=device, requires_grad=True)
        on_gpu: dict[str, Any] = (
            {"fused": True, "capturable": True} if device.type == "cuda" else {}
        )
        self.optimizers = [
            torch.optim.Adam(parameters, LR, **on_gpu)
            for parameters in (
                list(self.critics.parameters()),
                list(self.actor.parameters()),
                [self.log_alpha],
            )
        ]
        self.N, self.M, self.entropy = N, M, -float(M)
        self.kept = torch.zeros(size, 2 * N + M + 2, device=device)  # s, a, r, whether over, s'
        self.count = torch.zeros((), device=device)
        self.filled, self.device = 0, device
        self.graph: Replay | None = None

    def keep(self, rows: np.ndarray) -> None:
        """Adds transitions (ENVS, 2 N + M + 2) to the buffer, over the oldest ones."""
        start = self.filled % len(self.kept)
        self.kept[start : start + len(rows)] = torch.from_numpy(rows).to(self.device)
        self.filled += len(rows)
        self.count.fill_(min(self.filled, len(self.kept)))

    def learn(self) -> None:
        """As many updates as environments; on a GPU a recorded graph, which nobody waits for."""
        if self.device.type == "cuda" and self.graph is None and self.filled > RANDOM + 3 * ENVS:
            self.graph = Replay(lambda _: self._updates(), ())
        self.graph(()) if self.graph else self._updates()

    def _updates(self) -> None:
        for _ in range(ENVS):
            self._update()

    def _update(self) -> None:
        at = (torch.rand(BATCH, device=self.device) * self.count).long()
        N, M = self.N, self.M
        s, a, r, over, following = self.kept[at].split([N, M, 1, 1, N], -1)
        alpha = self.log_alpha.exp().detach()
        with torch.no_grad():
            action, log_p = self.actor(following)
            value = self.target(following, action).amin(0) - alpha * log_p
            goal = r[:, 0] + DISCOUNT * (1 - over[:, 0]) * value
        q_loss = (self.critics(s, a) - goal).square().mean(1).sum()
        self._step(0, q_loss)
        action, log_p = self.actor(s)
        self._step(1, (alpha * log_p - self.critics(s, action).amin(0)).mean())
        self._step(2, -(self.log_alpha * (log_p.detach() + self.entropy)).mean())
        with torch.no_grad():
            kept, new = list(self.target.parameters()), list(self.critics.parameters())
            torch._foreach_lerp_(kept, new, AVERAGE)

    def _step(self, which: int, loss: Tensor) -> None:
        optimizer = self.optimizers[which]
        parameters = optimizer.param_groups[0]["params"]
        for p, gradient in zip(parameters, torch.autograd.grad(loss, parameters)):
            p.grad = gradient
        optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("robot", choices=ROBOTS)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=1e6, help="then it ends")
    parser.add_argument("--every", type=int, default=20_000, help="steps between snapshots")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    train(asked)


def train(asked: argparse.Namespace) -> None:
    """Steps all environments once, then learns, until steps or minutes are over."""
    torch.manual_seed(asked.seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(asked.seed)
    envs = [gym.make(ROBOTS[asked.robot].env, disable_env_checker=True) for _ in range(ENVS)]
    N, M = envs[0].observation_space.shape[0], envs[0].action_space.shape[0]
    high = envs[0].action_space.high  # its low is the same, negative
    sac = SAC(N, M, 1_000_000 // ENVS * ENVS, torch.device(asked.device))
    states = np.stack([env.reset(seed=1000 * asked.seed + i)[0] for i, env in enumerate(envs)])
    log = Log(asked, sac)
    total = np.zeros(ENVS)
    rows = np.zeros((ENVS, 2 * N + M + 2), np.float32)
    while log.goes_on():
        if log.steps < RANDOM:
            actions = rng.uniform(-1, 1, (ENVS, M)).astype(np.float32)
        else:
            with torch.no_grad():
                seen = torch.from_numpy(states.astype(np.float32)).to(sac.device)
                actions = sac.actor(seen)[0].cpu().numpy()
            sac.learn()  # the environments step meanwhile
        rows[:, :N], rows[:, N : N + M] = states, actions
        for i, env in enumerate(envs):
            state, reward, over, cut, _ = env.step(actions[i] * high)
            rows[i, N + M : N + M + 2] = reward, over
            rows[i, N + M + 2 :] = state
            total[i] += reward
            if over or cut:
                log.returns.append(total[i])
                total[i], (state, _) = 0.0, env.reset()
            states[i] = state
        sac.keep(rows)
        log.steps += ENVS


class Log:
    """Counts steps, prints returns, and writes the snapshots."""

    def __init__(self, asked: argparse.Namespace, sac: SAC) -> None:
        self.asked, self.sac, self.steps = asked, sac, 0
        self.returns: list[float] = []
        self.started = time.monotonic()
        self.kept: dict[str, Tensor] = {}
        self.due = 0

    def goes_on(self) -> bool:
        """Whether steps and minutes are left; keeps the actor where it is due."""
        seconds = time.monotonic() - self.started
        ends = self.steps >= self.asked.steps or seconds > 60 * self.asked.minutes
        if self.steps >= self.due or ends:
            self.keep(seconds)
            self.due += self.asked.every
        return not ends

    def keep(self, seconds: float) -> None:
        """The layers under STEPS.LAYER.weight: two hidden ones, the mean's, the log deviation's."""
        *hidden, last = self.sac.actor.layers
        layers = [(x.weight, x.bias) for x in hidden]
        layers += list(zip(last.weight.chunk(2), last.bias.chunk(2)))
        for i, (weight, bias) in enumerate(layers):
            for name, x in (("weight", weight), ("bias", bias)):
                self.kept[f"{self.steps}.{i}.{name}"] = x.detach().cpu().clone().contiguous()
        mean = float(np.mean(self.returns[-50:])) if self.returns else float("nan")
        robot, alpha = self.asked.robot, self.sac.log_alpha.exp().item()
        print(f"{robot} {self.steps:,} steps, {seconds:.0f} s, {mean:.0f}, {alpha:.3f}", flush=True)
        card = {
            "algorithm": "SAC",
            "env": ROBOTS[robot].env,
            "seed": self.asked.seed,
            "steps": self.steps,
            "seconds": round(seconds),
            "device": torch.cuda.get_device_name() if self.sac.device.type == "cuda" else "CPU",
        }
        path = self.asked.out / f"{robot}.safetensors"
        save_file(self.kept, path.with_suffix(".partial"), {"card": json.dumps(card)})
        os.replace(path.with_suffix(".partial"), path)


if __name__ == "__main__":
    main()
