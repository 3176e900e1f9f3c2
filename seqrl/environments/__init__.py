"""Environments: what an observation is, and nothing that an agent could not see.

`make_env` makes one grid world and `make_envs` several of them, side by side, for a rollout.
"""

from seqrl.environments.batch import Envs
from seqrl.environments.grid import make_env, make_envs

__all__ = ["Envs", "make_env", "make_envs"]
