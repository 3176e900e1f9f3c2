"""Each Triton kernel is what PyTorch computes, and plans with them are the plans.

They run on a GPU, or anywhere that has Triton under its interpreter: TRITON_INTERPRET=1.
"""

import functools
import importlib.util
import os
import sys

import pytest
import torch
import torch.nn.functional as F
from sequences import side_by_side

import seqrl
from seqrl import beam_graph
from seqrl.actions import Actions
from seqrl.beam_cache import Cached
from seqrl.beam_graph import Planner, fastest
from seqrl.beam_search import BeamSearch, Prefix, imitate, plan
from seqrl.tokens import Bins
from seqrl.trajectory_transformer import TrajectoryTransformerConfig
from seqrl.transformer import TransformerConfig

torch.set_num_threads(1)
GPU = torch.cuda.is_available()
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
TRITON = importlib.util.find_spec("triton") is not None
DEVICE = "cuda" if GPU else "cpu"
kernel = pytest.mark.skipif(
    not (TRITON and (GPU or INTERPRETED)),
    reason="needs Triton, and a GPU or TRITON_INTERPRET=1",
)
gpu = pytest.mark.skipif(not (TRITON and GPU) or INTERPRETED, reason="needs Triton and a GPU")


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        torch.manual_seed(0)
        yield


def normal(*size):
    return torch.randn(*size).to(DEVICE)


def close(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@kernel
def test_word_embeds_a_token_and_writes_it_down():
    from seqrl import beam_kernels as kernels

    embed, position = normal(60, 24), normal(9, 24)
    tokens = torch.randint(10, (2, 3)).to(DEVICE)
    said = torch.full((2, 3, 5), -1).to(DEVICE)
    x = kernels.word(tokens, embed, 40, position, 7, said, 1)
    assert torch.equal(x, embed[40 + tokens] + position[7])
    assert torch.equal(said[..., 1], tokens) and int((said == -1).sum()) == 24


@kernel
@pytest.mark.parametrize("rows, K, N", [(5, 16, 48), (33, 24, 101), (16, 128, 40)])
@pytest.mark.parametrize("activation", ["", "relu", "gelu"])
def test_norm_linear_is_a_norm_a_product_and_an_activation(rows, K, N, activation):
    from seqrl import beam_kernels as kernels

    x, weight, bias = 3 * normal(2, rows, K) + 2, normal(N, K) / K**0.5, normal(N)
    bias[1] = -torch.inf if not activation else 0.0  # a token that does not exist
    norm = torch.nn.LayerNorm(K).to(DEVICE)
    norm.weight.copy_(normal(K)), norm.bias.copy_(normal(K))
    act = {"": lambda y: y, "relu": F.relu, "gelu": F.gelu}[activation]
    normed = kernels.Normed.of(norm, weight, bias)
    wanted = act(F.linear(norm(x), weight, bias))
    close(kernels.norm_linear(x, normed, activation), wanted)
    assert wanted.unique().numel() > rows


@kernel
@pytest.mark.parametrize("rows, K, N", [(5, 16, 48), (33, 24, 7), (16, 512, 40)])
@pytest.mark.parametrize("turned", [False, True])
def test_linear_add_is_a_product_and_a_sum(rows, K, N, turned):
    from seqrl import beam_kernels as kernels

    x, h, weight, bias = normal(2, rows, N), normal(2, rows, K), normal(N, K) / K**0.5, normal(N)
    given = kernels.side_by_side(weight) if turned else weight
    close(kernels.linear_add(x, h, given, bias), x + F.linear(h, weight, bias))


@kernel
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    "E, R, heads, P, d, n", [(1, 3, 2, 7, 8, 0), (3, 2, 1, 1, 12, 1), (2, 3, 4, 130, 32, 140)]
)
def test_attend_is_attention_over_the_prefix_and_ones_own(E, R, heads, P, d, n, keep):
    from seqrl import beam_kernels as kernels

    qkv, room = normal(E, R, 3 * heads * d), n + 2
    keys, values = normal(2, E, heads, P, d)
    own = normal(2, E * R, heads, room, d)
    known = own.clone()
    out = kernels.attend(qkv, keys, values, own, n, keep)
    q, k, v = qkv.unflatten(-1, (3, heads, d)).unbind(2)  # (E, R, heads, d)
    if keep:
        known[0, :, :, n], known[1, :, :, n] = k.flatten(0, 1), v.flatten(0, 1)
    assert torch.equal(own, known)
    every = [
        torch.cat([p[:, None].expand(-1, R, -1, -1, -1), o.unflatten(0, (E, R))], 3)
        for p, o in zip((keys, values), known[:, :, :, : n + keep])
    ]
    weights = (q[..., None, :] @ every[0].mT).softmax(-1)  # (E, R, heads, 1, P + n)
    close(out, (weights @ every[1]).flatten(2))


def made(goal=False, activation="gelu"):
    """A model with large random weights that says stop now and then, for 3 + 2 columns."""
    x = torch.linspace(-1, 1, 21)
    bins = Bins(tuple(x.tolist()), tuple(((x[1:] + x[:-1]) / 2).tolist()))
    few = Bins((-1.0, 0.0, 1.0), (-0.5, 0.5))
    trunk = TransformerConfig(layers=2, heads=2, width=16, activation=activation)
    actions = Actions(2, False, (-1.0, -1.0), (1.0, 1.0))
    columns = (bins, few, *(bins,) * 5)
    model = TrajectoryTransformerConfig(columns, actions, context=6, goal=goal, trunk=trunk).build()
    for p in model.parameters():
        p.mul_(6 if p.ndim > 1 else 1)
    model.heads[0, -1].mul_(3)  # so that sequences end
    return model.to(DEVICE).eval()


def question(model, E, search):
    """Prefixes of two transitions and a state, and random numbers."""
    prefix = torch.randint(2, (E, 2 * 7 + 3)).to(DEVICE)
    goal = torch.tensor([[3, 1, 2]]).expand(E, -1).to(DEVICE) if model.config.goal else None
    draws = torch.rand(E, search.horizon, search.rows, 2).to(DEVICE)
    return Prefix(prefix, torch.full((E,), 2).to(DEVICE), None, goal), draws


@kernel
@pytest.mark.parametrize("seed, E, goal, activation", [(5, 1, False, "gelu"), (3, 3, True, "relu")])
def test_a_plan_with_kernels_is_the_plan(seed, E, goal, activation):
    from seqrl.beam_fused import Fused

    Both = side_by_side(Fused)
    torch.manual_seed(seed)
    search = BeamSearch(beam=4, horizon=3, cut=None)
    model = made(goal, activation)
    prefix, draws = question(model, E, search)
    plan(model, prefix, search, draws, Both)
    imitate(model, prefix, search, Both)
    assert 0 < Both.far < 1e-5
    plain, fast = (plan(model, prefix, search, draws, kind) for kind in (Cached, Fused))
    assert torch.equal(plain.tokens, fast.tokens)
    torch.testing.assert_close(plain.value, fast.value, rtol=1e-4, atol=1e-4)
    over = (fast.tokens[..., 0] == model.stop).any(-1)
    assert over.any() and not over.all()  # some sequences ended


@kernel
def test_prefixes_that_the_kernels_do_not_know_are_refused():
    from seqrl.beam_fused import Fused

    model, search = made(), BeamSearch(beam=2, horizon=2)
    prefix, _ = question(model, 2, search)
    ragged = prefix._replace(steps=torch.tensor([2, 1]).to(DEVICE))
    with pytest.raises(ValueError, match="of one length"):
        Fused(model, ragged, 2)


@gpu
def test_a_planner_uses_the_kernels_and_records_them():
    model, search = made(), BeamSearch(beam=6, horizon=4, cut=None)
    planner = Planner(model, search, Cached)
    assert fastest().__name__ == "Fused"
    for _ in range(5):
        prefix, draws = question(model, 2, search)
        found, wanted = planner(prefix, draws), plan(model, prefix, search, draws, Cached)
        assert torch.equal(found.tokens, wanted.tokens)
        torch.testing.assert_close(found.value, wanted.value, rtol=1e-4, atol=1e-4)
    assert len(planner._recorded) == 1


@kernel
def test_what_is_tried_can_be_run_here():
    from seqrl.beam_fused import tried

    assert tried(DEVICE) is None


@pytest.fixture
def afresh(monkeypatch):
    """As if nobody had asked for the kernels yet."""
    fastest.cache_clear()
    for name in ("beam_fused", "beam_kernels"):  # set first, so that all is put back afterwards
        monkeypatch.setitem(sys.modules, f"seqrl.{name}", None)
        monkeypatch.delitem(sys.modules, f"seqrl.{name}")
        monkeypatch.setattr(seqrl, name, None, raising=False)
        monkeypatch.delattr(seqrl, name)
    yield monkeypatch
    fastest.cache_clear()


def test_where_there_is_no_triton_plans_are_as_before(afresh, warned):
    afresh.setitem(sys.modules, "triton", None)
    assert fastest() is Cached and warned == []


def test_where_triton_cannot_compile_it_is_told_once(afresh, warned):
    def fails():
        raise RuntimeError("no C compiler")

    fused = type(sys)("seqrl.beam_fused")
    fused.Fused, fused.tried = type("Fused", (Cached,), {}), fails
    afresh.setitem(sys.modules, "seqrl.beam_fused", fused)
    assert fastest() is Cached and beam_graph.fastest() is Cached
    (told,) = warned
    assert "plans are slower" in str(told.message) and "no C compiler" in str(told.message)


KERNELS = ("word", "norm_linear", "linear_add", "attend")


def stand_ins(broken):
    """A module like `beam_kernels`, without Triton: random numbers; one cannot be compiled."""

    def some(name, shape):
        def run(x, *given):
            if name == broken:
                raise RuntimeError(f"{name}: out of registers")
            return torch.randn(shape(x, *given))

        return run

    module = type(sys)("seqrl.beam_kernels")
    module.word = some("word", lambda tokens, embed, *_: (*tokens.shape, embed.shape[1]))
    module.norm_linear = some("norm_linear", lambda x, weight, *_: (*x.shape[:-1], len(weight)))
    module.linear_add = some("linear_add", lambda x, *_: x.shape)
    module.attend = some("attend", lambda qkv, *_: (*qkv.shape[:2], qkv.shape[2] // 3))
    module.Normed = type("Normed", (), {"of": staticmethod(lambda norm, weight, bias: weight)})
    module.side_by_side, module.THERE = lambda weight: weight, True
    return module


@pytest.mark.parametrize("broken", [*KERNELS, None])
def test_every_kernel_is_tried_before_one_is_used(afresh, warned, broken):
    afresh.setitem(sys.modules, "seqrl.beam_kernels", stand_ins(broken))
    from seqrl import beam_fused

    afresh.setattr(beam_fused, "tried", functools.partial(beam_fused.tried, "cpu"))
    assert fastest() is (beam_fused.Fused if broken is None else Cached)
    assert [f"no kernels: {broken}: out of registers" in str(told.message) for told in warned] == (
        [True] if broken else []
    )


class Large(Cached):
    """Kernels that were tried, and have no room for a plan of real sizes."""

    made = 0

    def __init__(self, *given):
        super().__init__(*given)
        Large.made += 1

    def append(self, tokens, read=True):
        raise RuntimeError("out of shared memory")


@pytest.fixture
def recorded_here(monkeypatch):
    """A CPU that is taken for a GPU, where `Large` is the fastest; nothing is recorded."""
    monkeypatch.setattr(beam_graph, "DEVICES", {DEVICE})
    monkeypatch.setattr(beam_graph, "fastest", lambda: Large)
    monkeypatch.setattr(beam_graph, "Replay", lambda function, inputs: function)
    monkeypatch.setattr(Large, "made", 0)


def test_kernels_that_fail_at_a_plans_sizes_are_told_of_once_and_left(recorded_here, warned):
    model, search = made(), BeamSearch(beam=4, horizon=3, cut=None)
    planner = Planner(model, search, Cached)
    for _ in range(5):  # before, while and after it is recorded
        prefix, draws = question(model, 2, search)
        found, wanted = planner(prefix, draws), plan(model, prefix, search, draws, Cached)
        assert torch.equal(found.tokens, wanted.tokens)
    (told,) = warned
    assert "plans are slower" in str(told.message) and "out of shared memory" in str(told.message)
    assert Large.made == 1


def test_a_planner_without_kernels_never_asks_for_them(recorded_here, warned):
    model, search = made(), BeamSearch(beam=4, horizon=3, cut=None)
    planner = Planner(model, search, Cached, kernels=False)
    for _ in range(5):
        planner(*question(model, 2, search))
    assert Large.made == 0 and warned == []


def test_a_fault_that_is_not_the_kernels_is_not_blamed_on_them(recorded_here, warned):
    model, search = made(), BeamSearch(beam=4, horizon=3, cut=None)
    prefix, draws = question(model, 2, search)
    with pytest.raises((RuntimeError, ValueError)) as told:
        Planner(model, search, Cached)(prefix, draws[:, :1])
    assert "shared memory" not in str(told.value) and warned == []
