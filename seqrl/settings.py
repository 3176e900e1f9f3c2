"""The sizes of a run of the protocol, by environment and data; `methods` has a method's own."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from seqrl.environments import levels
from seqrl.environments.locomotion import robot_of
from seqrl.evaluation import EPISODES
from seqrl.tokens import Kind

NUMBERS = ("lr", "dropout", "weight_decay", "clip")  # all other numbers are whole
MAY_BE_ZERO = ("augment", "weight_decay")


@dataclass(frozen=True)
class Setting:
    """The sizes of a run, the same for every method but for what its `Method` replaces.

    A run's `config` replaces some of them too.
    """

    width: int = 64
    layers: int = 3  # of a Transformer
    context: int = 8  # steps of a window
    steps: int = 500  # updates
    batch: int = 64  # windows
    lr: float = 1e-3
    dropout: float = 0.1
    weight_decay: float = 0.1  # on matrices only
    clip: float = 1.0  # the gradient's norm at most
    augment: bool = True  # colors, kinds and sides exchanged
    episodes: int = EPISODES  # tested
    bins: Kind = "quantile"  # of Trajectory Transformer's numbers, or "uniform"
    beam: int = 16  # sequences that its planner keeps
    horizon: int = 3  # transitions that it imagines; it remembers as many

    @property
    def recipe(self) -> dict[str, Any]:
        """What `fit` gets of it."""
        names = ("steps", "batch", "lr", "weight_decay", "clip")
        return {name: getattr(self, name) for name in names}

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name == "bins":
                if value not in ("quantile", "uniform"):
                    raise ValueError(f"bins are 'quantile' or 'uniform', not {value!r}.")
                continue
            numbers = (int, float) if name in NUMBERS else (int,)
            kinds = (bool,) if name == "augment" else numbers
            if type(value) not in kinds:
                raise ValueError(f"{name} cannot be {value!r}: it is a {kinds[-1].__name__}.")
            if name == "dropout":
                if not 0 <= value < 1:
                    raise ValueError(f"dropout must be from 0 to below 1, not {value}.")
            elif not (value > 0 or (name in MAY_BE_ZERO and value == 0)):
                raise ValueError(f"{name} must be above 0, not {value}.")


GRID = Setting()
KEY_TO_DOOR = Setting(context=30, steps=1000, batch=96)  # whole episodes, few of which succeed
# Random walks take a key in a corner so seldom that 2,000 updates often do not learn it; on a
# thousand walks more than 1,000 learn the noise. Both seen on validation episodes.
KEY_TO_DOOR_MANY = replace(KEY_TO_DOOR, steps=4000)  # of ten thousand walks

# Robots. Departures from all papers: 20,000 updates (DT's has 100,000; IQL's a million, and here it
# has 100,000 small ones), betas of 0.9 and 0.95, and a rate that falls to a tenth of its height.
# MLPs get the same windows as DT, 1,280 steps an update, where their papers draw 256 or more single
# steps; RvS's has 1,024 units a layer. See `methods` for what each method has of its own.
ROBOT = Setting(
    width=256,
    context=20,
    steps=20_000,
    dropout=0.0,
    weight_decay=0.0,
    augment=False,
    episodes=20,
)
# The returns that Decision Transformer's code asks for, of HalfCheetah also the paper's.
TARGETS = {"hopper": (3600, 1800), "halfcheetah": (12_000, 6000), "walker2d": (5000, 2500)}


def usual(env: str | None, episodes: int) -> Setting:
    """The sizes that every method starts from, on so many episodes of an environment."""
    if env is not None and robot_of(env):
        return ROBOT
    if env != levels.KEY_TO_DOOR:
        return GRID
    return KEY_TO_DOOR if episodes <= 1000 else KEY_TO_DOOR_MANY
