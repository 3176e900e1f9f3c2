"""One training loop for every method: `fit`.

A method is an `nn.Module` with `config` (a dataclass) and `loss(batch) -> (loss, info)`, and
optionally `sample(trajectories, batch, generator)` (else windows of `config.context` steps) and
`after_step()` (target networks). `Run` is all that the next update depends on, and so all that a
checkpoint holds: training that was killed goes on as if nothing had happened.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from seqrl import checkpoints, cuda_graph
from seqrl.cuda_graph import Replay
from seqrl.interruption import random_numbers_kept, signals_wait
from seqrl.optimization import Recipe, choose_precision, make_optimizer, set_rate
from seqrl.results import plain
from seqrl.seeds import derive

Hook = Callable[[int, nn.Module], dict[str, Any] | None]  # (updates done, model) -> numbers to keep
LOOK = {"cpu": 1, "cuda": 20}  # updates between looks at the loss: on a GPU a look waits for it


@dataclass(frozen=True, repr=False)
class History:
    """What happened: `curves` has a value per update of the loss, "gradient_norm", and `info`."""

    curves: dict[str, np.ndarray]  # (steps,) float32 each
    evaluations: list[dict[str, Any]]  # what hooks returned, and at which "step"
    seconds: float  # spent on updates, in all parts of an interrupted run
    windows: int  # trained on
    checkpoint: str | None  # sha256 of the last checkpoint written

    def __repr__(self) -> str:
        ends = f"loss {self.loss[0]:.4g} at first, {self.loss[-1]:.4g} at last"
        speed = f"{self.seconds:.0f} s, {self.windows_per_second:,.0f} windows/s"
        return f"History({len(self.loss):,} updates in {speed}; {ends})"

    @property
    def loss(self) -> np.ndarray:
        """The loss of every update, (steps,)."""
        return self.curves["loss"]

    @property
    def steps(self) -> np.ndarray:
        """The numbers of the updates from 1 on, (steps,)."""
        return np.arange(1, len(self.loss) + 1)

    @property
    def windows_per_second(self) -> float:
        return self.windows / max(self.seconds, 1e-9)


def fit(
    model: nn.Module,
    trajectories: Any,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    precision: str | None = None,
    checkpoint_path: Path | str | None = None,
    resume: bool = True,
    save_every: int | None = None,
    save_seconds: float = 30.0,
    on_step: Sequence[Hook] = (),
    card: dict[str, Any] | None = None,
    progress: bool = True,
    **recipe: Any,
) -> History:
    """Trains a method in place, on `trajectories` or on a function (batch, generator) -> batch.

    `recipe`: the fields of `Recipe`. `precision`: see `choose_precision`. `on_step`: called after
    every update as hook(step, model); what a hook returns is kept in `History.evaluations`.
    With `checkpoint_path` the run is saved every `save_every` updates or `save_seconds`, at the
    end, and where SIGINT or SIGTERM stops it; the same call goes on from there, bit for bit on a
    CPU. `card` adds to the checkpoint's card. FloatingPointError at a loss that is not finite,
    CheckpointError where the checkpoint is that of another model, data set or recipe.
    """
    device = torch.device(device)
    with random_numbers_kept(device), signals_wait() as signals:
        run = Run(model, trajectories, Recipe(**recipe), seed, device, precision, card or {})
        if checkpoint_path and resume and Path(checkpoint_path).exists():
            run.restore(checkpoint_path)
        for _ in _bar(run, progress):
            run.update()
            run.evaluate(on_step)
            if checkpoint_path and (signals or run.is_due(save_every, save_seconds)):
                run.save(checkpoint_path)
            if signals:
                break
        run.check_finite(run.step)
    model.eval()
    return run.history()


def every(steps: int, evaluate: Callable[[nn.Module], dict[str, Any]]) -> Hook:
    """A hook for `fit` that runs evaluate(model) after every so many updates."""
    return lambda step, model: evaluate(model) if step % steps == 0 else None


class Run:
    """A training run: everything that its next update depends on, saved and restored together."""

    def __init__(
        self,
        model: nn.Module,
        trajectories: Any,
        recipe: Recipe,
        seed: int,
        device: torch.device,
        precision: str | None,
        card: dict[str, Any],
    ) -> None:
        self.model, self.recipe, self.device = model.to(device), recipe, device
        self.precision = choose_precision(device, precision)
        self.optimizer = make_optimizer(model, recipe)
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.sample = _sampler(model, trajectories, recipe.batch, device)
        self.generator = torch.Generator().manual_seed(derive("train", "windows", seed))
        torch.manual_seed(derive("train", "dropout", seed))
        self.card: dict[str, Any] = {
            "model": checkpoints.model_card(model),
            "data": checkpoints.data_card(trajectories),
            "recipe": {**asdict(recipe), "seed": seed, "precision": self.precision},
        }
        for part, more in card.items():
            self.card[part] = {**self.card.get(part, {}), **more} if type(more) is dict else more
        self.step, self.looked, self.seconds = 0, 0, 0.0
        self.ran = 0  # updates in this process
        self.graph: Replay | None = None  # one of them
        self.curves: dict[str, Tensor] = {}
        self.evaluations: list[dict[str, Any]] = []
        self.saved: str | None = None
        self.saved_at = time.monotonic()

    def update(self) -> None:
        """One update of the parameters; on a GPU all of it is one CUDA graph.

        On a CPU nothing is updated where the loss is not finite; on a GPU that is seen up to 20
        updates later, and what is saved is always finite.
        """
        start = time.perf_counter()
        self.model.train()
        for group in self.optimizer.param_groups:
            set_rate(group, self.recipe.rate(self.step))
        batch = self.sample(self.generator)
        replay = self._replay(batch) if self.device.type in cuda_graph.DEVICES else None
        self._note(replay(batch) if replay else self._gradient(batch))
        if self.step % LOOK.get(self.device.type, 20) == 0:
            self.check_finite(self.step + 1)
        if not replay:
            self._move()
        self.step, self.ran = self.step + 1, self.ran + 1
        self.seconds += time.perf_counter() - start

    def _gradient(self, batch: Any) -> dict[str, Any]:
        """The gradient of the loss, clipped; returns what is noted of it."""
        half, kept = self.precision == "bf16", self.device.type == "cpu"  # a graph casts anew
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half, cache_enabled=kept):
            loss, info = self.model.loss(batch)  # type: ignore[operator]
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip or math.inf)
        return {"loss": loss.detach(), "gradient_norm": norm, **info}

    def _move(self) -> None:
        """The parameters follow the gradient."""
        self.optimizer.step()
        if hasattr(self.model, "after_step"):
            self.model.after_step()  # type: ignore[operator]

    def _replay(self, batch: Any) -> Replay | None:
        """A whole update as a CUDA graph; None at first, and where it cannot be recorded."""

        def whole(batch: Any) -> dict[str, Any]:
            found = self._gradient(batch)
            self._move()
            return found

        if self.graph is None and self.ran == cuda_graph.WARM:
            try:
                self.graph = Replay(whole, batch)
            except RuntimeError as error:
                text = f"updates are slower than need be: no CUDA graph was recorded: {error}"
                warnings.warn(text, stacklevel=3)
        return self.graph if self.graph and self.graph.fits(batch) else None

    def _note(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            if name not in self.curves:
                self.curves[name] = torch.full((self.recipe.steps,), math.nan, device=self.device)
            self.curves[name][self.step] = value.detach() if isinstance(value, Tensor) else value

    def check_finite(self, end: int) -> None:
        """FloatingPointError if a loss or gradient since the last look and before `end` is not."""
        for name in ("loss", "gradient_norm"):
            wrong = (~torch.isfinite(self.curves[name][self.looked : end])).nonzero()
            if len(wrong):
                step = self.looked + int(wrong[0])
                kept = "The last good checkpoint is kept. " if self.saved else ""
                raise FloatingPointError(
                    f"{name} is {self.curves[name][step].item()} at update {step + 1}. {kept}"
                    "A lower lr, a smaller clip or a look at the data may help."
                )
        self.looked = end

    def evaluate(self, hooks: Sequence[Hook]) -> None:
        """Runs the hooks; random numbers that they draw do not change the training."""
        for hook in hooks:
            with random_numbers_kept(self.device):
                found = hook(self.step, self.model)
            if found:
                self.evaluations.append({"step": self.step, **plain(found)})

    def is_due(self, every: int | None, seconds: float) -> bool:
        """Whether to save now: after so many updates or seconds, and at the end."""
        finished = self.step == self.recipe.steps
        late = time.monotonic() - self.saved_at > seconds
        return finished or late or (every is not None and self.step % every == 0)

    def save(self, path: Path | str) -> None:
        """Writes the run to `path`, once it is known to be finite."""
        self.check_finite(self.step)
        tensors = {f"model.{name}": x for name, x in self.model.state_dict().items()}
        for i, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{name}": x for name, x in moments.items()}
        tensors |= {f"curve.{name}": x for name, x in self.curves.items()}
        tensors["random.windows"] = self.generator.get_state()
        tensors["random.cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.device)
        progress = {"step": self.step, "seconds": self.seconds, "evaluations": self.evaluations}
        self.saved = checkpoints.save(path, tensors, {**self.card, "progress": progress})
        self.saved_at = time.monotonic()

    def restore(self, path: Path | str) -> None:
        """Goes back to where `save` was called; CheckpointError if that was another run."""
        expect = {part: self.card[part] for part in checkpoints.HASHED}
        tensors, card = checkpoints.load(path, expect)
        groups = checkpoints.grouped(tensors)
        if "random" not in groups:
            raise checkpoints.CheckpointError(f"{path} holds a model, but no run to go on with.")
        checkpoints.fill(self.model, groups["model"], path)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, x in groups.get("optimizer", {}).items():
            i, key = name.split(".")
            moments.setdefault(int(i), {})[key] = x
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self.curves = {name: x.to(self.device) for name, x in groups["curve"].items()}
        self.generator.set_state(groups["random"]["windows"])
        torch.set_rng_state(groups["random"]["cpu"])
        if self.device.type == "cuda" and "cuda" in groups["random"]:  # begun on a CPU: none
            torch.cuda.set_rng_state(groups["random"]["cuda"], self.device)
        self.step, self.seconds = card["progress"]["step"], card["progress"]["seconds"]
        self.evaluations, self.saved = card["progress"]["evaluations"], card["sha256"]
        self.looked = self.step

    def history(self) -> History:
        """What happened so far, in NumPy arrays."""
        curves = {name: x[: self.step].numpy(force=True) for name, x in self.curves.items()}
        windows = self.step * self.recipe.batch
        return History(curves, self.evaluations, self.seconds, windows, self.saved)


def _sampler(
    model: Any, trajectories: Any, batch: int, device: torch.device
) -> Callable[[torch.Generator], Any]:
    """The function that draws the next batch."""
    if callable(trajectories):
        return lambda generator: trajectories(batch, generator)
    data = trajectories.to(device)
    if hasattr(model, "sample"):
        return lambda generator: model.sample(data, batch, generator)
    return lambda generator: data.windows(model.config.context, batch, generator)


def _bar(run: Run, show: bool) -> Iterator[None]:
    """Once for every update that is left, with a progress bar."""
    start, before = run.step, run.seconds
    with tqdm(total=run.recipe.steps, initial=start, disable=not show, mininterval=0.5) as bar:
        while run.step < run.recipe.steps:
            yield
            bar.update()
            if run.looked == run.step:
                windows = (run.step - start) * run.recipe.batch / (run.seconds - before)
                loss = run.curves["loss"][run.step - 1].item()
                bar.set_postfix_str(f"loss {loss:.4f}, {windows:,.0f} windows/s", refresh=False)
