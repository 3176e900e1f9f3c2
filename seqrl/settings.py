"""The sizes of a run of the protocol: the same for every method, by environment and data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from seqrl.environments import levels
from seqrl.evaluation import EPISODES


@dataclass(frozen=True)
class Setting:
    """The sizes of a run, the same for every method but for what its `Method.other` replaces.

    A run's `config` replaces some of them too.
    """

    width: int = 64
    layers: int = 3  # of a Transformer
    context: int = 8  # steps of a window
    steps: int = 500  # updates
    batch: int = 64  # windows
    lr: float = 1e-3
    dropout: float = 0.1  # of a Transformer
    augment: bool = True  # colors, kinds and sides exchanged
    episodes: int = EPISODES  # tested

    @property
    def recipe(self) -> dict[str, Any]:
        """What `fit` gets of it."""
        return {"steps": self.steps, "batch": self.batch, "lr": self.lr}

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            kinds = {"lr": (int, float), "dropout": (int, float), "augment": (bool,)}.get(
                name, (int,)
            )
            if type(value) not in kinds:
                raise ValueError(f"{name} cannot be {value!r}: it is a {kinds[-1].__name__}.")
            if name == "dropout" and not 0 <= value < 1:
                raise ValueError(f"dropout must be from 0 to below 1, not {value}.")
            if name not in ("augment", "dropout") and not value > 0:
                raise ValueError(f"{name} must be above 0, not {value}.")


GRID = Setting()
KEY_TO_DOOR = Setting(context=30, steps=1000, batch=96)  # whole episodes, few of which succeed
# Random walks take a key in a corner so seldom that 2,000 updates often do not learn it; on a
# thousand walks more than 1,000 learn the noise. Both seen on validation episodes.
KEY_TO_DOOR_MANY = replace(KEY_TO_DOOR, steps=4000)  # of ten thousand walks


def usual(env: str | None, episodes: int) -> Setting:
    """The sizes that every method starts from, on so many episodes of an environment."""
    if env != levels.KEY_TO_DOOR:
        return GRID
    return KEY_TO_DOOR if episodes <= 1000 else KEY_TO_DOOR_MANY
