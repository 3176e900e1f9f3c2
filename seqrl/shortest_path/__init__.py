"""Shortest action sequences in MiniGrid and BabyAI levels, found from the level's whole state."""

from seqrl.shortest_path.clauses import NotApplicable
from seqrl.shortest_path.planner import Planner

__all__ = ["NotApplicable", "Planner"]
