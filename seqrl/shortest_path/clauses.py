"""What the mission of a grid world asks: clauses, their order, and which of them are done.

How much is done is a bit mask, one bit a clause. A clause counts only when every clause of the
stages before it is done ("go to a, then go to b" has two stages, "go to a and go to b" has one),
and one step may finish a stage and a clause of the next: that is how BabyAI's verifier counts.
"""

from __future__ import annotations

from typing import Any


class NotApplicable(ValueError):
    """A behavior policy cannot solve this level; the message says why."""


class Clauses:
    """The clauses of one mission, read from a MiniGrid level that has been reset.

    `go_to`, `pick_up`, `open_door`: from the id of an object of the level to the bits of the
    clauses that it satisfies. `reach`: the bit of "reach a green goal square", or 0. `stages`: bit
    masks, in the order in which the verifier looks at them. Raises NotApplicable, with the reason
    alone, for missions of any other kind.
    """

    def __init__(self, level: Any) -> None:
        self.go_to: dict[int, int] = {}
        self.pick_up: dict[int, int] = {}
        self.open_door: dict[int, int] = {}
        self.stages: list[int] = []
        self.reach = 0
        self.going = self.picking = 0  # the bits of all go-to and of all pick-up clauses
        self._go_to: list[tuple[int, Any]] = []  # bit, the verifier's description of its objects
        self._flags: list[tuple[Any, str, int]] = []  # where the verifier notes what is done
        self._count = 0
        if getattr(level, "instrs", None) is not None:
            self.stages = self._read(level.instrs)
        elif any(thing is not None and thing.type == "goal" for thing in level.grid.grid):
            self.stages = [self._new_bit()]
            self.reach = self.stages[0]
        else:
            raise NotApplicable("there is no goal square to reach.")
        self.all = (1 << self._count) - 1

    def _new_bit(self) -> int:
        self._count += 1
        return 1 << (self._count - 1)

    def _read(self, instr: Any) -> list[int]:
        """The stages of an instruction of BabyAI's language."""
        from minigrid.envs.babyai.core import verifier

        if getattr(instr, "strict", False):
            raise NotApplicable("it fails at the first wrong object.")
        if not isinstance(instr, verifier.SeqInstr):
            return [self._read_action(instr, verifier)]
        a, b = self._read(instr.instr_a), self._read(instr.instr_b)
        self._flags += [(instr, "a_done", sum(a)), (instr, "b_done", sum(b))]
        if isinstance(instr, verifier.AndInstr):
            return [sum(a) | sum(b)]
        return b + a if isinstance(instr, verifier.AfterInstr) else a + b

    def _read_action(self, instr: Any, verifier: Any) -> int:
        bit = self._new_bit()
        if isinstance(instr, verifier.GoToInstr):
            objects = self.go_to
            self.going |= bit
            self._go_to.append((bit, instr.desc))
        elif isinstance(instr, verifier.PickupInstr):
            objects = self.pick_up
            self.picking |= bit
        elif isinstance(instr, verifier.OpenInstr):
            objects = self.open_door
        elif isinstance(instr, verifier.PutNextInstr):
            raise NotApplicable("it asks to put one object next to another.")
        else:
            raise NotApplicable(f"{type(instr).__name__} is an unknown kind of clause.")
        for thing in instr.desc.obj_set:
            objects[id(thing)] = objects.get(id(thing), 0) | bit
        return bit

    def done(self) -> int:
        """The clauses that the level's verifier has counted so far."""
        done = 0
        for instr, flag, bits in self._flags:
            if getattr(instr, flag) == "success":
                done |= bits
        return done

    def advance(self, done: int, satisfied: int) -> int:
        """The clauses done after a step at whose end the clauses `satisfied` hold."""
        for stage in self.stages:
            done |= stage & satisfied
            if done & stage != stage:
                break
        return done

    def carried_off(self, carried: Any) -> int:
        """The clauses whose objects may be somewhere else before their turn comes.

        Those that hold for the carried object, and those that share an object with another
        clause that picks it up.
        """
        bits = self.go_to.get(id(carried), 0) | self.pick_up.get(id(carried), 0)
        for thing, picks in self.pick_up.items():
            bits |= self.go_to.get(thing, 0) | (picks if picks & (picks - 1) else 0)
        return bits

    def facing(self, width: int) -> dict[int, int]:
        """Cells (y * width + x) to the bits of the go-to clauses that facing them satisfies.

        The verifier looks where it last saw an object: a picked-up one still counts at its old
        cell until something is dropped.
        """
        cells: dict[int, int] = {}
        for bit, description in self._go_to:
            for x, y in description.obj_poss:
                cell = int(y) * width + int(x)
                cells[cell] = cells.get(cell, 0) | bit
        return cells
