"""The one training loop: what it learns, how it stops, and that it goes on as if it had not."""

import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from seqrl import checkpoints, training
from seqrl.checkpoints import CheckpointError, data_card
from seqrl.training import every, fit
from seqrl.trajectories import pack
from seqrl.transformer import Transformer, TransformerConfig


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Config:
    vocabulary: int = 8
    length: int = 4
    trunk: TransformerConfig = field(
        default_factory=lambda: TransformerConfig(layers=2, heads=2, width=32, dropout=0.1)
    )


class Copier(nn.Module):
    """Tokens, then the same tokens again; the second half is predicted from the first."""

    def __init__(self, config: Config = Config()) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.config = config
        self.embed = nn.Embedding(config.vocabulary, config.trunk.width)
        self.position = nn.Embedding(2 * config.length, config.trunk.width)
        self.trunk = Transformer(config.trunk)
        self.head = nn.Linear(config.trunk.width, config.vocabulary)

    def logits(self, tokens):
        x = self.embed(tokens) + self.position.weight[: tokens.shape[1]]
        return self.head(self.trunk(x, read=slice(self.config.length - 1, None)))

    def loss(self, tokens):
        logits, targets = self.logits(tokens[:, :-1]), tokens[:, self.config.length :]
        right = (logits.argmax(-1) == targets).float().mean()
        return nn.functional.cross_entropy(logits.mT, targets), {"accuracy": right}


def copies(batch, generator):
    """(batch, 8): four random tokens, twice."""
    half = torch.randint(8, (batch, 4), generator=generator)
    return torch.cat([half, half], dim=1)


def train(path=None, steps=12, hooks=(), sampler=copies, model=None, **more):
    model = model or Copier()
    options = {"batch": 16, "lr": 3e-3, "save_seconds": 1e9, "progress": False} | more
    return model, fit(model, sampler, steps=steps, checkpoint_path=path, on_step=hooks, **options)


def equal(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))


class Kill(Exception):
    pass


def kill_at(step):
    def hook(now, model):
        if now == step:
            raise Kill

    return hook


def test_a_small_trunk_learns_to_copy():
    model, history = train(steps=400, batch=64, clip=1.0)
    assert history.curves["accuracy"][-20:].mean() > 0.99
    assert history.loss[-20:].mean() < 0.05 < 1.5 < history.loss[:5].mean()
    assert not model.training
    fresh = copies(256, torch.Generator().manual_seed(99))
    assert (model.logits(fresh[:, :-1]).argmax(-1) == fresh[:, 4:]).float().mean() > 0.99


def test_history_has_a_value_per_update_and_the_throughput():
    _, history = train(steps=12)
    assert history.steps.tolist() == list(range(1, 13))
    assert {name: x.shape for name, x in history.curves.items()} == {
        "loss": (12,),
        "gradient_norm": (12,),
        "accuracy": (12,),
    }
    assert all(np.isfinite(x).all() for x in history.curves.values())
    assert history.windows == 12 * 16
    assert history.windows_per_second == pytest.approx(12 * 16 / history.seconds)
    assert history.checkpoint is None
    assert repr(history).startswith("History(12 updates in ")


@pytest.mark.parametrize("stop", [3, 5, 7, 11])
def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path, stop):
    straight, whole = train(hooks=[every(4, lambda m: {"norm": m.head.weight.norm().item()})])
    hooks = [every(4, lambda m: {"norm": m.head.weight.norm().item()})]
    with pytest.raises(Kill):
        train(tmp_path / "c", hooks=[*hooks, kill_at(stop)], save_every=2)
    model = Copier()
    with torch.no_grad():
        model.head.weight.add_(1.0)  # whatever it was before, the checkpoint is what counts
    torch.rand(7)
    model, history = train(tmp_path / "c", hooks=hooks, save_every=2, model=model)
    assert equal(model, straight)
    for name in whole.curves:
        assert np.array_equal(whole.curves[name], history.curves[name])
    assert history.evaluations == whole.evaluations
    assert [e["step"] for e in whole.evaluations] == [4, 8, 12]


def test_resume_needs_the_dropout_noise_and_the_sampler_where_they_were(tmp_path):
    """The test above could not fail if dropout and data were the same at every step."""
    straight, _ = train()
    other_noise, _ = train(seed=1)
    assert not equal(straight, other_noise)
    with pytest.raises(Kill):
        train(tmp_path / "c", hooks=[kill_at(7)], save_every=6)
    tensors, card = checkpoints.load(tmp_path / "c")
    for name in ("random.cpu", "random.windows"):
        fresh = torch.Generator().manual_seed(0).get_state()
        checkpoints.save(tmp_path / name, tensors | {name: fresh}, card)
        model, _ = train(tmp_path / name)
        assert not equal(model, straight)


def test_a_finished_run_is_not_trained_again(tmp_path):
    first, history = train(tmp_path / "c")

    def never(batch, generator):
        raise AssertionError("a batch was drawn")

    never.__name__ = "copies"
    again, same = train(tmp_path / "c", sampler=never)
    assert equal(first, again)
    assert np.array_equal(history.loss, same.loss)
    assert same.checkpoint == history.checkpoint == checkpoints.load(tmp_path / "c")[1]["sha256"]
    _, anew = train(tmp_path / "c", resume=False)
    assert np.array_equal(anew.loss, history.loss)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"steps": 13}, r"recipe\.steps = 12, but 13 is wanted"),
        ({"lr": 1e-3}, r"recipe\.lr = 0\.003"),
        ({"seed": 3}, r"recipe\.seed = 0, but 3"),
        ({"precision": "bf16"}, r"recipe\.precision = 'fp32'"),
        ({"card": {"data": {"name": "x"}}}, r"data\.name = None, but 'x'"),
    ],
)
def test_another_runs_checkpoint_is_refused_by_name(tmp_path, change, sentence):
    train(tmp_path / "c")
    with pytest.raises(CheckpointError, match=sentence):
        train(tmp_path / "c", **change)


def test_another_models_checkpoint_is_refused_by_name(tmp_path):
    train(tmp_path / "c")
    wide = Copier(Config(trunk=TransformerConfig(layers=2, heads=2, width=64)))
    with pytest.raises(CheckpointError, match=r"model\.trunk\.width = 32, but 64 is wanted"):
        train(tmp_path / "c", model=wide)
    checkpoints.save_model(tmp_path / "m", Copier(), checkpoints.load(tmp_path / "c")[1])
    with pytest.raises(CheckpointError, match="a model, but no run to go on with"):
        train(tmp_path / "m")


def test_a_runs_checkpoint_serves_as_a_model(tmp_path):
    model, _ = train(tmp_path / "c", card={"scores": {"success": 0.5}})
    other = Copier()
    card = checkpoints.load_model(tmp_path / "c", other)
    assert equal(model, other)
    assert card["model"]["method"] == "Copier"
    assert card["recipe"]["steps"] == 12
    assert card["data"] == {"sampler": "copies"}
    assert card["scores"] == {"success": 0.5}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_a_whole_checkpoint(tmp_path, number):
    class Stopped(Exception):
        pass

    def handler(*_):
        raise Stopped

    before = signal.signal(number, handler)
    try:
        with pytest.raises(Stopped):
            train(
                tmp_path / "c",
                hooks=[lambda step, _: signal.raise_signal(number) if step == 5 else None],
            )
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)
    assert checkpoints.load(tmp_path / "c")[1]["progress"]["step"] == 5
    resumed, _ = train(tmp_path / "c")
    assert equal(resumed, train()[0])


def test_a_process_killed_at_any_moment_leaves_a_whole_checkpoint(tmp_path):
    script = textwrap.dedent(
        """
        import sys; sys.path.insert(0, sys.argv[2])
        from test_training import train, torch
        torch.set_num_threads(1)
        train(sys.argv[1], steps=100_000, save_every=1)
        """
    )
    here, path = Path(__file__).parent, tmp_path / "c"
    environment = os.environ | {"PYTHONPATH": str(here.parent)}
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path), str(here)], env=environment
    )
    try:
        deadline = time.monotonic() + 60
        while not path.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
    finally:
        process.kill()
        process.wait()
    _, card = checkpoints.load(path)
    assert card["progress"]["step"] > 1


@pytest.mark.parametrize("look", [1, 20])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
    tmp_path, monkeypatch, look
):
    monkeypatch.setitem(training.LOOK, "cpu", look)  # 20: as on a GPU
    calls = []

    class Diverging(Copier):
        def loss(self, tokens):
            calls.append(0)
            loss, info = super().loss(tokens)
            return (loss * math.nan if len(calls) == 8 else loss), info

    model = Diverging()
    with pytest.raises(FloatingPointError, match=r"loss is nan at update 8\. The last good"):
        train(tmp_path / "c", model=model, save_every=2)
    tensors, card = checkpoints.load(tmp_path / "c")
    assert card["progress"]["step"] == 6
    assert all(torch.isfinite(x).all() for n, x in tensors.items() if n.startswith("model."))
    if look == 1:  # the update was not made either
        assert all(torch.isfinite(p).all() for p in model.parameters())


def test_the_losses_since_the_last_look_are_looked_at_in_the_end(monkeypatch):
    class Breaking(Copier):
        def after_step(self):
            with torch.no_grad():
                self.head.bias.fill_(math.nan)  # so the first loss is finite, the others are not

    monkeypatch.setitem(training.LOOK, "cpu", 20)
    with pytest.raises(FloatingPointError, match="loss is nan at update 2"):
        train(model=Breaking())


def test_a_gradient_that_is_not_finite_stops_too():
    class Cornered(Copier):
        def loss(self, tokens):
            loss, info = super().loss(tokens)
            return loss + 0 * (self.head.weight.sum() * 0).sqrt(), info

    with pytest.raises(FloatingPointError, match=r"gradient_norm is (nan|inf) at update 1"):
        train(model=Cornered())


def test_hooks_are_called_after_every_update_and_cannot_move_the_training():
    seen = []

    def hook(step, model):
        seen.append((step, torch.rand(3)))
        model.eval()
        return {"half": torch.tensor(0.5), "none": math.nan} if step == 6 else None

    model, history = train(hooks=[hook])
    assert [step for step, _ in seen] == list(range(1, 13))
    assert history.evaluations == [{"step": 6, "half": 0.5, "none": None}]
    assert equal(model, train()[0])


def test_training_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    model = Copier()
    torch.manual_seed(5)
    train(model=model)
    assert torch.equal(torch.rand(3), expected)


def test_after_step_is_called_and_frozen_parameters_stay():
    class WithTarget(Copier):
        def __init__(self):
            super().__init__()
            self.target = nn.Parameter(torch.zeros(2, 2), requires_grad=False)

        def after_step(self):
            with torch.no_grad():
                self.target.add_(1.0)

    model, _ = train(model=WithTarget())
    assert (model.target == 12).all()


@dataclass(frozen=True)
class WindowConfig:
    context: int = 3


class Regressor(nn.Module):
    """Rewards from states, on windows as they come from `Trajectories`."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.config = WindowConfig()
        self.linear = nn.Linear(2, 1)

    def loss(self, batch):
        assert batch.actions.shape == (32, 3)
        error = self.linear(batch.observations["state"])[..., 0] - batch.rewards
        return error[batch.mask].square().mean(), {}


def trajectories(scale=1.0):
    rng = np.random.default_rng(0)
    episodes = []
    for length in (2, 7, 5):
        states = rng.normal(size=(length + 1, 2))
        ends = np.arange(length) == length - 1
        episodes.append(
            {
                "observations": {"state": states},
                "actions": np.zeros(length, int),
                "rewards": scale * (states[:-1] @ [1.0, -2.0] + 0.5),
                "terminations": ends,
                "truncations": 0 * ends,
            }
        )
    return pack(episodes, {"env": "linear", "missions": ["a", "b", "c"]})


def test_trajectories_are_drawn_as_windows_of_the_configs_context(tmp_path):
    model, data = Regressor(), trajectories()
    options = {"steps": 300, "batch": 32, "lr": 0.05, "weight_decay": 0.0, "progress": False}
    fit(model, data, checkpoint_path=tmp_path / "c", **options)
    assert torch.allclose(model.linear.weight, torch.tensor([[1.0, -2.0]]), atol=0.02)
    assert model.linear.bias.item() == pytest.approx(0.5, abs=0.02)
    card = checkpoints.load(tmp_path / "c")[1]["data"]
    assert card["env"] == "linear" and card["episodes"] == 3 and card["steps"] == 14
    assert "missions" not in card
    assert data_card(data) == card
    with pytest.raises(CheckpointError, match=r"data\.digest"):
        fit(Regressor(), trajectories(2.0), checkpoint_path=tmp_path / "c", **options)


def test_a_methods_own_sample_goes_first():
    class Own(Regressor):
        def sample(self, data, batch, generator):
            drawn.append(batch)
            return data.windows(3, batch, generator)

    drawn = []
    fit(Own(), trajectories(), steps=2, batch=32, progress=False)
    assert drawn == [32, 32]


def test_wrong_recipes_are_refused():
    with pytest.raises(ValueError, match="steps 0"):
        train(steps=0)
    with pytest.raises(TypeError, match="learning_rate"):
        train(learning_rate=1.0)


def test_gradients_are_clipped():
    def farthest(clip):
        model, _ = train(steps=1, clip=clip, weight_decay=0.0)
        return max((a - b).abs().max() for a, b in zip(model.parameters(), Copier().parameters()))

    assert farthest(1e-12) < 1e-6 < 1e-4 < farthest(None)


def test_bf16_trains_nearly_the_same_with_parameters_in_fp32():
    exact, history = train(steps=40)
    model, rounded = train(steps=40, precision="bf16")
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert not equal(exact, model)
    assert rounded.loss[-10:].mean() == pytest.approx(history.loss[-10:].mean(), rel=0.05)


def test_the_bar_shows_loss_and_throughput(capsys):
    train(progress=True)
    shown = capsys.readouterr().err
    assert "12/12" in shown and "loss " in shown and "windows/s" in shown
    train(progress=False)
    assert capsys.readouterr().err == ""


def test_checkpoints_come_by_the_clock_too(tmp_path):
    with pytest.raises(Kill):
        train(tmp_path / "c", hooks=[kill_at(4)], save_seconds=0.0)
    assert checkpoints.load(tmp_path / "c")[1]["progress"]["step"] == 3
