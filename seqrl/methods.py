"""The methods of the protocol by name: what each is made from, and what it does its own way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from seqrl.beam_search import BeamSearch
from seqrl.decision_transformer import DecisionTransformerConfig
from seqrl.environments.levels import KEY_TO_DOOR
from seqrl.environments.locomotion import robot_of
from seqrl.imitation import BCConfig, RvSConfig, best, successful
from seqrl.iql import IQLConfig
from seqrl.leap import LEAPConfig
from seqrl.leap_return import ReturnLEAPConfig
from seqrl.settings import Setting
from seqrl.trajectories import Trajectories
from seqrl.trajectory_transformer import TrajectoryTransformerConfig
from seqrl.transformer import TransformerConfig


@dataclass(frozen=True)
class Method:
    """A method of the table: its config, and what of the data it is trained on."""

    name: str  # in tables and figures
    config: Callable[[Trajectories, Setting], Any]
    percent: float = 100.0  # of the data's steps, those of the best episodes
    successful: bool = False  # only episodes that succeeded
    other: Mapping[str, Any] = field(default_factory=dict)  # fields of `Setting` that are its own
    robots: Mapping[str, Any] = field(default_factory=dict)  # the same where robots walk
    precision: str | None = "fp32"  # see `optimization.choose_precision`

    def __post_init__(self) -> None:
        if not 0 < self.percent <= 100:
            raise ValueError(f"percent must be above 0 and at most 100, not {self.percent}.")

    def own(self, env: str | None) -> Mapping[str, Any]:
        """The fields of `Setting` that are its own in an environment."""
        return self.robots if env is not None and robot_of(env) else self.other

    def part_of(self, data: Trajectories) -> Trajectories:
        """What of the data it is trained on."""
        part = successful(data) if self.successful else data
        return best(part, self.percent) if self.percent < 100 else part


def _decision_transformer(data: Trajectories, size: Setting) -> DecisionTransformerConfig:
    trunk = TransformerConfig(layers=size.layers, width=size.width, dropout=size.dropout)
    scale = {"return_scale": 1000.0} if robot_of(data.info.get("env", "")) else {}  # the code's
    return DecisionTransformerConfig.for_data(data, context=size.context, trunk=trunk, **scale)


def _cloning(data: Trajectories, size: Setting) -> BCConfig:
    return BCConfig.for_data(data, size.width, context=size.context, dropout=size.dropout)


def _rvs(data: Trajectories, size: Setting) -> RvSConfig:
    return RvSConfig.for_data(data, size.width, context=size.context, dropout=size.dropout)


def _iql(data: Trajectories, size: Setting) -> IQLConfig:
    env = data.info.get("env", "")
    own = {} if robot_of(env) or env == KEY_TO_DOOR else IQL_LEVELS
    return IQLConfig.for_data(data, size.width, context=size.context, dropout=size.dropout, **own)


def _trajectory_transformer(data: Trajectories, size: Setting) -> TrajectoryTransformerConfig:
    if size.horizon > size.context:
        raise ValueError(f"a horizon of {size.horizon} does not fit a context of {size.context}.")
    search = BeamSearch(beam=size.beam, horizon=size.horizon, context=size.horizon)
    return TrajectoryTransformerConfig.for_data(
        data, kind=size.bins, context=size.context, trunk=_four_heads(size), search=search
    )


def _leap(data: Trajectories, size: Setting) -> LEAPConfig:
    return LEAPConfig.for_data(data, horizon=5, trunk=_four_heads(size))


def _leap_with_return(data: Trajectories, size: Setting) -> ReturnLEAPConfig:
    return ReturnLEAPConfig.for_data(data, horizon=5, trunk=_four_heads(size))


def _four_heads(size: Setting) -> TransformerConfig:
    return TransformerConfig(
        size.layers, heads=4, width=size.width, activation="gelu", dropout=size.dropout
    )


# IQL's targets move by 0.05 an update: at the paper's 0.005 the hundreds of updates that all get
# would carry a reward back over two or three steps. Its beta and what trains its encoder were
# chosen on validation episodes of five datasets. At Key-to-Door and on robots all are the paper's.
IQL_LEVELS: dict[str, Any] = {"average": 0.05, "beta": 1.0, "encoder_learns": "policy"}

# An action is one of five that share a loss, given any of 31 sets of the others: six times the
# updates at twice the rate. With 1,000 updates it was not done (validation episodes, its loss).
LONGER = {"steps": 3000, "lr": 2e-3}

# On robots a value takes tens of thousands of updates to climb as high as an episode earns (book,
# chapter 3's second page). So IQL's are five times as many, on as many steps of data as DT's:
# 13 windows are 260 steps, and its paper has 256. It clips nothing.
IQL_ROBOTS = {"lr": 3e-4, "clip": 1e9, "steps": 100_000, "batch": 13}

# On robots the papers' own constants. Departures beyond those of `settings.ROBOT`: DT's weight
# decay spares vectors; TT sees 64 windows an update (256 in its code, for 195,000 updates), its
# planner keeps 32 sequences over 5 steps on every dataset (128 over 15 on most, there), and 5
# episodes a seed are tested: as much as two cores can do.
DT_ROBOTS = {"width": 128, "lr": 1e-4, "dropout": 0.1, "weight_decay": 1e-4, "clip": 0.25}
TT_ROBOTS = {
    "width": 128,
    "layers": 4,
    "context": 10,
    "lr": 6e-4,
    "dropout": 0.1,
    "weight_decay": 0.1,
    "episodes": 5,
    "beam": 32,
    "horizon": 5,
}

METHODS: dict[str, Method] = {
    "bc": Method("BC", _cloning),
    "bc10": Method("10 %BC", _cloning, 10),
    "bc25": Method("25 %BC", _cloning, 25),
    "bc50": Method("50 %BC", _cloning, 50),
    "rvs": Method("RvS", _rvs),
    # In bfloat16 a Q of a hundred is known to half a step's reward: too coarse for advantages.
    "iql": Method("IQL", _iql, robots=IQL_ROBOTS),
    "dt": Method("DT", _decision_transformer, robots=DT_ROBOTS),
    "leap": Method("LEAP", _leap, successful=True, other=LONGER),
    "leap_return": Method("LEAP, return", _leap_with_return, other=LONGER),
    "bc_success": Method("BC, successes", _cloning, successful=True),
    "tt": Method(
        "TT", _trajectory_transformer, other={"lr": 3e-3}, robots=TT_ROBOTS, precision=None
    ),
}
