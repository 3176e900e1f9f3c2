"""Checkpoints: what comes back, and what is refused by name."""

import json
from dataclasses import dataclass, field

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from seqrl import checkpoints, results
from seqrl.checkpoints import CheckpointError, load, load_model, save, save_model

CARD = {
    "model": {"method": "Tiny", "width": 4, "trunk": {"heads": 2}},
    "data": {"name": "GoToLocalS8N7/expert"},
    "recipe": {"steps": 10, "betas": (0.9, 0.95)},
    "note": "seed 0",
}


@dataclass(frozen=True)
class Trunk:
    heads: int = 2


@dataclass(frozen=True)
class Config:
    width: int = 4
    trunk: Trunk = field(default_factory=Trunk)


class Tiny(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.linear = nn.Linear(config.width, 3)


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "a.weight": torch.randn(5, 3).T,  # not contiguous
        "a.bias": torch.tensor(3.25),
        "mask": torch.tensor([True, False]),
        "state": torch.arange(7, dtype=torch.uint8),
        "steps": torch.tensor([2**40]),
        "empty": torch.zeros(0, 4),
    }


def test_what_is_saved_comes_back(tmp_path):
    sha = save(tmp_path / "new" / "x.safetensors", tensors(), CARD)
    found, card = load(tmp_path / "new" / "x.safetensors")
    assert card == json.loads(json.dumps(CARD)) | {"sha256": sha}
    assert found.keys() == tensors().keys()
    for name, x in tensors().items():
        assert found[name].dtype == x.dtype
        assert torch.equal(found[name], x)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["x.safetensors"]


def test_half_precision_is_smaller_rounds_and_comes_back_as_float32(tmp_path):
    big = {"w": torch.randn(100, 100), "i": torch.arange(3)}
    save(tmp_path / "full", big, CARD)
    save(tmp_path / "half", big, CARD, half=True)
    assert (tmp_path / "half").stat().st_size < 0.6 * (tmp_path / "full").stat().st_size
    found, _ = load(tmp_path / "half")
    assert found["w"].dtype == torch.float32
    assert torch.equal(found["w"], big["w"].half().float())
    assert torch.equal(found["i"], big["i"])
    with pytest.raises(ValueError, match="w does not fit float16"):
        save(tmp_path / "half", {"w": torch.tensor([1e6])}, CARD, half=True)


def test_the_hash_covers_tensors_model_data_and_recipe_and_nothing_else():
    sha = checkpoints.digest(tensors(), CARD)
    assert checkpoints.digest(tensors(), CARD | {"note": "another"}) == sha
    for part in ("model", "data", "recipe"):
        assert checkpoints.digest(tensors(), CARD | {part: {"other": 1}}) != sha
    moved = tensors()
    moved["a.weight"][0, 0] += 1e-6
    assert checkpoints.digest(moved, CARD) != sha
    renamed = {("b.bias" if n == "a.bias" else n): x for n, x in tensors().items()}
    assert checkpoints.digest(renamed, CARD) != sha
    reshaped = tensors() | {"empty": torch.zeros(4, 0)}
    assert checkpoints.digest(reshaped, CARD) != sha
    backwards = dict(reversed(tensors().items()))
    assert checkpoints.digest(backwards, CARD) == sha


def test_a_changed_file_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    save(path, tensors(), CARD)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # a bit of a tensor
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.safetensors was changed .* hash does not match"):
        load(path)


def test_a_changed_card_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    save(path, tensors(), CARD)
    content = path.read_bytes()
    assert content.count(b"expert") == 1
    path.write_bytes(content.replace(b"expert", b"random"))
    with pytest.raises(CheckpointError, match="hash does not match"):
        load(path)


@pytest.mark.parametrize("kept", [0, 5, 300, -1])
def test_a_truncated_file_is_refused(tmp_path, kept):
    path = tmp_path / "x.safetensors"
    save(path, tensors(), CARD)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"x\.safetensors is not a checkpoint"):
        load(path)


def test_foreign_files_are_refused_and_not_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save(Trap(), tmp_path / "pickle")
    save_file({"w": torch.zeros(2)}, tmp_path / "cardless")
    save_file({"w": torch.zeros(2)}, tmp_path / "strange", metadata={"card": "[]"})
    (tmp_path / "text").write_text("hello")
    for name in ("pickle", "cardless", "strange", "text"):
        with pytest.raises(CheckpointError, match=f"{name} is not a checkpoint"):
            load(tmp_path / name)
    assert not (tmp_path / "sprung").exists()
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent")


@pytest.mark.parametrize(
    ("expect", "sentence"),
    [
        ({"model": {"width": 8}}, r"made with model\.width = 4, but 8 is wanted"),
        ({"model": {"trunk": {"heads": 1}}}, r"model\.trunk\.heads = 2, but 1"),
        ({"data": {"name": "PickupLoc/expert"}}, r"data\.name = 'GoToLocalS8N7/expert'"),
        ({"recipe": {"betas": (0.9, 0.99)}}, r"recipe\.betas = \[0\.9, 0\.95\]"),
        ({"model": {"depth": 2}}, r"model\.depth = None, but 2"),
    ],
)
def test_another_config_is_refused_by_the_fields_name(tmp_path, expect, sentence):
    save(tmp_path / "x", tensors(), CARD)
    load(tmp_path / "x", {"model": CARD["model"], "recipe": {"betas": (0.9, 0.95)}})
    with pytest.raises(CheckpointError, match=sentence):
        load(tmp_path / "x", expect)


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "x"
    save(path, tensors(), CARD)
    before = path.read_bytes()

    def full(_):
        raise OSError("no space left on device")

    monkeypatch.setattr(results.os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        save(path, {"w": torch.zeros(1000)}, CARD)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_model_goes_back_only_into_its_own_config(tmp_path):
    model, other = Tiny(Config()), Tiny(Config())
    sha = save_model(tmp_path / "x", model, {"data": {"name": "d"}}, half=False)
    card = load_model(tmp_path / "x", other, {"data": {"name": "d"}})
    assert torch.equal(model.linear.weight, other.linear.weight)
    assert card["sha256"] == sha
    assert card["model"] == {"method": "Tiny", "width": 4, "trunk": {"heads": 2}}
    with pytest.raises(CheckpointError, match=r"model\.width = 4, but 8 is wanted"):
        load_model(tmp_path / "x", Tiny(Config(width=8)))
    with pytest.raises(CheckpointError, match=r"data\.name = 'd', but 'e'"):
        load_model(tmp_path / "x", other, {"data": {"name": "e"}})
    other.linear = nn.Linear(4, 2)
    with pytest.raises(CheckpointError, match="other tensors than the model"):
        load_model(tmp_path / "x", other)
