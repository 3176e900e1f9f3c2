"""LEAP's studies: who is held to a constraint, and what a record says."""

import torch

from seqrl import leap_studies

torch.set_num_threads(1)
LEVEL, H = "GoToLocalS7N5", 4


def test_nobody_burns_who_is_held_to_the_constraint(trained_leap):
    found = leap_studies.constrained({"LEAP": trained_leap}, ["GoToLocalLavaNarrow"], 3)
    assert len(found) == 2
    held = found["GoToLocalLavaNarrow", "LEAP", "held to it"]
    assert not leap_studies.burned(held).any()


def test_a_record_names_its_setting_and_its_checkpoint(trained_leap, monkeypatch):
    monkeypatch.setattr(leap_studies, "COMPOSITION", ())  # one level is enough
    row = leap_studies.energy_record(trained_leap, f"{LEVEL}/expert", 1, 3)
    assert row["checkpoint"] == trained_leap.card["sha256"] and row["config"]["episodes"] == 3
    rows = leap_studies.summed_records(trained_leap, trained_leap, f"{LEVEL}/expert", 0, 1)
    assert {r["config"]["energies"] for r in rows} == {"one", "other", "sum"}
    row = leap_studies.start_record(trained_leap, f"{LEVEL}/expert", 1, 2)
    assert row["config"] == {"start": "last plan"} and len(row["episodes"]["success"]) == 2
