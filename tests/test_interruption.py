"""A signal waits for the end of an update, and random numbers are the caller's again."""

import signal
import threading
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from seqrl import checkpoints
from seqrl.interruption import random_numbers_kept, signals_wait
from seqrl.training import fit

each_signal = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture
def heard():
    """The signals that this process's own handlers were given; they are put back afterwards."""
    given = []
    before = {
        number: signal.signal(number, lambda number, frame: given.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    yield given
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def raising():
    """SIGINT raises KeyboardInterrupt, also where a shell has started the tests with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@each_signal
def test_a_signal_waits_and_is_raised_again_on_the_way_out(heard, number):
    with signals_wait() as came:
        signal.raise_signal(number)
        assert came == [number] and heard == []
    assert heard == [number]
    signal.raise_signal(number)  # the handler is the one from before
    assert heard == [number] * 2 and came == [number]


@each_signal
def test_the_second_does_not_wait(heard, number):
    with signals_wait():
        signal.raise_signal(number)
        assert heard == []
        signal.raise_signal(number)
        assert heard == [number]


def test_handlers_come_back_after_an_error_too(heard):
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), signals_wait():
        assert signal.getsignal(signal.SIGINT) is not handler
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is handler


def test_another_thread_leaves_signals_alone(heard):
    seen, handler = [], signal.getsignal(signal.SIGINT)

    def work():
        with signals_wait() as came:
            seen.extend([came, signal.getsignal(signal.SIGINT)])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [[], handler]


def test_random_numbers_go_on_as_if_nothing_had_been_drawn():
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    with random_numbers_kept(torch.device("cpu")):
        torch.manual_seed(5)
        torch.rand(7)
    assert torch.equal(torch.rand(3), wanted)


@dataclass(frozen=True)
class Config:
    size: int = 3


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.config, self.w = Config(), nn.Parameter(torch.zeros(3))

    def loss(self, x):
        return ((self.w - x) ** 2).mean(), {}


def points(batch, generator):
    return torch.rand(batch, 3, generator=generator)


def train(path, hooks=()):
    model = Line()
    fit(model, points, steps=8, batch=4, lr=0.1, checkpoint_path=path, on_step=hooks,
        progress=False, save_seconds=1e9)  # fmt: skip
    return model


@pytest.mark.usefixtures("raising")
def test_an_interruption_leaves_a_checkpoint_from_which_training_goes_on(tmp_path):
    straight = train(tmp_path / "straight")

    def interrupt(step, model):
        if step == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", [interrupt])
    tensors, _ = checkpoints.load(tmp_path / "stopped")
    kept = next(x for name, x in tensors.items() if name.endswith("w") and x.shape == (3,))
    assert not torch.equal(kept, straight.w) and (kept != 0).all()
    assert torch.equal(train(tmp_path / "stopped").w, straight.w)
