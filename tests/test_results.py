"""Records: written whole, read back, and made into tables."""

import json

import numpy as np
import pytest

from seqrl import results
from seqrl.intervals import Interval, bootstrap, wilson


def run(method="dt", dataset="GoToLocalS8N7/expert", seed=0, success=(1, 1, 0, 1), **more):
    episodes = {"success": success, "length": np.array([3.0, 4.0, np.nan, 5.0])}
    return results.record(
        method,
        dataset,
        seed,
        config={"width": 128, "context": 20},
        scores={"success": float(np.mean(success)), "loss": np.float32(0.5)},
        episodes=episodes,
        seconds=12.5,
        **more,
    )


def test_a_record_says_what_was_run_and_with_what():
    found = run(target=0.0)
    assert set(results.NEEDED) <= found.keys()
    assert found["target"] == 0.0
    assert found["versions"].keys() >= {"seqrl", "python", "torch", "numpy"}
    assert found["hardware"] and found["time"].endswith("+00:00")
    assert found["commit"] is None or len(found["commit"].removesuffix("+")) == 40


def test_what_is_written_is_read_back_with_null_for_numbers_that_are_not_finite(tmp_path):
    path = results.write(run(), tmp_path / "records")
    (found,) = results.read_all(tmp_path)
    assert "NaN" not in path.read_text()
    assert found["episodes"]["length"] == [3.0, 4.0, None, 5.0]
    assert np.isnan(np.asarray(found["episodes"]["length"], float)[2])
    assert found["scores"] == {"success": 0.75, "loss": 0.5}
    assert found["config"] == {"width": 128, "context": 20}


def test_the_same_run_replaces_its_record_and_another_config_does_not(tmp_path):
    results.write(run(success=(0, 0)), tmp_path)
    results.write(run(success=(1, 1)), tmp_path)
    (only,) = results.read_all(tmp_path)
    assert only["scores"]["success"] == 1.0
    other = run()
    other["config"] = {"width": 64, "context": 20}
    results.write(other, tmp_path)
    results.write(run(seed=1), tmp_path)
    results.write(run(dataset="%weird/name"), tmp_path)
    assert len(results.read_all(tmp_path)) == 4
    assert len(results.read_all(tmp_path, seed=1)) == 1
    assert results.read_all(tmp_path, method="bc") == []


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", "3", '{"method": "dt"}'])
def test_a_file_that_is_no_record_is_named(tmp_path, content):
    results.write(run(), tmp_path)
    (tmp_path / "foreign.json").write_text(content)
    with pytest.raises(ValueError, match=r"foreign\.json is not a record of a run"):
        results.read_all(tmp_path)


def test_a_write_that_fails_leaves_the_old_record(tmp_path, monkeypatch):
    path = results.write(run(), tmp_path)
    before = path.read_text()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(results.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        results.write(run(success=(0, 0, 0)), tmp_path)
    assert path.read_text() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_table_pools_seeds_and_leaves_absent_cells_empty():
    runs = [
        run("bc", "A", 0, (1, 0, 0, 0)),
        run("dt", "A", 0, (1, 1, 1, 0)),
        run("dt", "A", 1, (1, 1, 1, 1)),
        run("dt", "B", 0, (0, 0, 0, 0)),
    ]
    assert results.table(runs) == [
        {"method": "bc", "A": wilson(1, 4), "B": None},
        {"method": "dt", "A": wilson(7, 8), "B": wilson(0, 4)},
    ]
    by_dataset = results.table(runs, rows="dataset", columns="method")
    assert by_dataset[0] == {"dataset": "A", "bc": wilson(1, 4), "dt": wilson(7, 8)}


def test_intervals_of_other_scores_come_from_the_bootstrap():
    runs = [run(seed=0), run(seed=1)]
    for i, one in enumerate(runs):
        one["episodes"]["return"] = [i + 0.5, i + 1.5, i + 0.25]
    assert results.interval(runs, "return") == bootstrap([x["episodes"]["return"] for x in runs])
    assert results.interval(runs, "length").estimate == 4.0  # unsolved episodes do not count
    runs[1]["scores"]["loss"] = 1.5
    found = results.interval(runs, "loss")  # one number a seed
    assert found == (1.0, 0.5, 1.5)


def test_interval_names_a_score_that_nobody_recorded():
    with pytest.raises(ValueError, match="'sucess' is not a score of dt on"):
        results.interval([run()], "sucess")


def test_tables_in_markdown_and_html():
    rows = [
        {"method": "dt", "A": Interval(0.75, 0.5, 0.875), "n": 400},
        {"method": "<bc>", "A": None, "n": 0.125},
    ]
    assert results.markdown(rows, scale=100).splitlines() == [
        "| method | A | n |",
        "| --- | ---: | ---: |",
        "| dt | 75.0 [50.0, 87.5] | 400 |",
        "| <bc> | – | 12.5 |",
    ]
    page = results.html(rows, scale=100, digits=0, caption="A & B")
    assert "<caption>A &amp; B</caption>" in page
    assert "<td>75 [50, 88]</td>" in page
    assert "<td>&lt;bc&gt;</td>" in page
    assert page.count("<tr>") == page.count("</tr>") == 3
    assert results.markdown([]) == ""


def test_records_are_plain_json(tmp_path):
    path = results.write(run(tried=(np.int64(1), np.bool_(True))), tmp_path)
    assert json.loads(path.read_text())["tried"] == [1, True]


def test_what_made_some_records_in_a_sentence():
    assert results.made_by([]) == "Not recorded yet."
    run = {"seed": 1, "commit": "a" * 40, "hardware": "a computer", "time": "2026-01-02T03:04:05"}
    other = run | {"seed": 0, "commit": None}
    text = results.made_by([run, other])
    assert text == (
        "Recorded: 2 runs, training seeds 0, 1, commit aaaaaaa, no checkout, a computer, "
        "2026-01-02."
    )
