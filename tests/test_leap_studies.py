"""LEAP's studies: who is held to a constraint, and what a record says."""

from pathlib import Path

import pytest
import torch

from seqrl import checkpoints, datasets, leap_studies
from seqrl.experiments import untrained
from seqrl.leap import LEAPConfig
from seqrl.trained import load
from seqrl.transformer import TransformerConfig

torch.set_num_threads(1)
LEVEL, H = "GoToLocalS7N5", 4


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    data = datasets.collect(LEVEL, "expert", 8, processes=1, progress=False)
    trunk = TransformerConfig(layers=1, heads=2, width=16, activation="gelu")
    model = untrained(LEAPConfig.for_data(data, horizon=H, trunk=trunk), 0)
    path: Path = tmp_path_factory.mktemp("leap") / "model.safetensors"
    card = {"data": checkpoints.data_card(data), "recipe": {}}
    checkpoints.save_model(path, model, card)
    return load(path)


def test_nobody_burns_who_is_held_to_the_constraint(trained):
    found = leap_studies.constrained({"LEAP": trained}, ["GoToLocalLavaNarrow"], 3)
    assert len(found) == 2
    held = found["GoToLocalLavaNarrow", "LEAP", "held to it"]
    assert not leap_studies.burned(held).any()


def test_a_record_names_its_setting_and_its_checkpoint(trained, monkeypatch):
    monkeypatch.setattr(leap_studies, "COMPOSITION", ())  # one level is enough
    row = leap_studies.energy_record(trained, f"{LEVEL}/expert", 1, 3)
    assert row["checkpoint"] == trained.card["sha256"] and row["config"]["episodes"] == 3
    rows = leap_studies.summed_records(trained, trained, f"{LEVEL}/expert", 0, 1)
    assert {r["config"]["energies"] for r in rows} == {"one", "other", "sum"}
