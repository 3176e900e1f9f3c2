"""The grader: right verdicts in the right rows, whatever the other submissions do."""

import contextlib
import csv
import functools
import io
import json
import random
import sys
import time
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import submissions
import torch

from seqrl import cli
from seqrl.checks import Exercise, check, exercise
from seqrl.grading import grader, packs, report, sandbox, session, wire
from seqrl.grading.packs import Pack, Submission

ROOT = submissions.ROOT
sys.path.insert(0, str(ROOT / "book" / "_tools"))
import pack as pack_tool  # noqa: E402

SHEETS = sorted(p.stem for p in (ROOT / "solutions").glob("*.md"))
SHORT = session.Limits(notebook=3.0, calls=1.5)
CHILDREN = pytest.mark.skipif(bool(sandbox.missing()), reason=" ".join(sandbox.missing()))


@functools.cache
def made(name):
    return pack_tool.make(name)


@pytest.fixture(scope="module")
def first():
    return made(SHEETS[0])[0]


def solved(pack):
    path = ROOT / "solutions" / f"{pack.name}.ipynb"
    return Submission("solution", "solution", path.read_bytes())


def possible(pack):
    return list(pack.points.values())


# ---- verdicts ------------------------------------------------------------------------------------


@CHILDREN
def test_twenty_submissions_two_of_them_hostile_get_their_rows(first, capsys):
    students, chosen = submissions.from_bank(first, 18)
    bad = [s for s in submissions.hostile(first) if s.student in ("loops", "leaves in a cell")]
    warm = replace(first, modules=("torch",))
    begin = time.perf_counter()  # limits: far above what the slowest right answers compute
    graded = grader.grade(warm, students + bad, limits=session.Limits())
    rows = {g.submission.student: g for g in graded}
    with capsys.disabled():
        print(f"\n20 submissions graded in {time.perf_counter() - begin:.1f} s")
    assert len(rows) == 20
    assert all(not sum(report.points(first, rows[s.student])) for s in bad)
    _, bank = submissions.bank(1)
    for student, answers in zip(students, chosen):
        for id, answer, result in zip(first.points, answers, rows[student.student].results):
            assert result.id == id
            phrase = bank.WRONG[id].get(answer)
            told = student.student, answer.__name__, phrase, first.seeds, result
            assert result.passed == (phrase is None), told
            assert (phrase or exercise(id).shown) in result.message, told


@CHILDREN
def test_no_attack_earns_a_point_or_costs_another_submission_its_own(first, tmp_path):
    kept = tmp_path / "pack.json"
    kept.write_text(first.to_json())
    bad = submissions.hostile(first, [kept, tmp_path])
    good = [solved(first)] * 2
    before = {p: p.read_bytes() for p in (ROOT / "solutions").iterdir()}
    everyone = [good[0], *bad, good[1]]
    rows = list(grader.grade(first, everyone, [tmp_path], limits=SHORT))
    assert len(rows) == len(everyone)
    for graded in rows:
        expected = (
            possible(first)
            if graded.submission.student == "solution"
            else [0] * len(possible(first))
        )
        assert report.points(first, graded) == expected, (graded.submission.student, graded)
    assert {p: p.read_bytes() for p in (ROOT / "solutions").iterdir()} == before
    assert list(tmp_path.iterdir()) == [kept]


@CHILDREN
def test_a_submission_is_told_what_its_cells_did(first):
    fails = submissions.notebook(
        "returns_to_go = undefined", "%matplotlib inline\n!pip list\nx = 1"
    )
    both = [Submission("a", "a", fails), Submission("b", "b", b"{}")]
    graded, unread = sorted(grader.grade(first, both), key=lambda g: g.submission.student)
    assert "defines no `returns_to_go`. A cell failed: NameError" in graded.results[0].message
    assert len(graded.faults) == 1
    assert unread.results[0].message == "The file is no notebook: it cannot be read as one."
    assert unread.results[0].case == graded.results[0].case == ""


@CHILDREN
def test_hidden_seeds_catch_what_was_learned_by_heart():
    known = {}

    text, bank = submissions.bank(1)

    def remember(rewards, offsets, discount=1.0):
        answer = bank.backward_pass(rewards, offsets, discount)
        if len(rewards) < 400:
            known[repr((rewards.tolist(), discount))] = answer.tolist()
        return answer

    assert check("1.1", remember)
    cell = (
        f"known = {known!r}\n\ndef returns_to_go(rewards, offsets, discount=1.0):\n"
        "    if len(rewards) >= 400:\n        return backward_pass(rewards, offsets, discount)\n"
        "    return known.get(repr((rewards.tolist(), discount)), np.zeros(len(rewards)))"
    )
    by_heart = Submission("by heart", "a", submissions.notebook(text, cell))
    pack, limits = Pack(SHEETS[0], {"1.1": 1}, (), ("torch",), 20.0), session.Limits()
    with grader.nurseries(pack, 1, [], limits) as (ends,):
        assert grader.judge(pack, by_heart, ends, limits).results[0]
        assert not grader.judge(replace(pack, seeds=(77,)), by_heart, ends, limits).results[0]


@CHILDREN
def test_a_judge_that_is_held_up_is_replaced(first, monkeypatch):
    judged = grader.judge

    def sometimes(pack, submission, *rest):
        if submission.student == "holds":
            time.sleep(1000)
        if submission.student == "breaks":
            raise RecursionError("deep")
        return judged(pack, submission, *rest)

    monkeypatch.setattr(grader, "judge", sometimes)
    monkeypatch.setattr(grader, "PATIENCE", 5)
    bad = [Submission(name, name, b"{}") for name in ("holds", "breaks")]
    after = Submission("after", "after", b"[]")
    rows = {g.submission.student: g for g in grader.grade(first, [*bad, after])}
    assert "held its judge up" in rows["holds"].results[0].message
    assert "The grader failed: RecursionError" in rows["breaks"].results[0].message
    assert "no notebook" in rows["after"].results[0].message


@CHILDREN
def test_a_function_of_the_judge_stays_with_the_judge(first):
    asked_for = []

    def step(state, action):
        asked_for.append((state, action))
        return state + action

    def judge(student, seeds):
        assert student({"step": step, "start": 2.0}, 3) == 5

    asked = Exercise("9.1", "", "walk", ("world", "n"), (), 1, 1, judge, "")
    cell = (
        "def walk(world, n):\n    state = world['start']\n    for a in range(n):\n"
        "        state = world['step'](state, a)\n    return state"
    )
    with grader.nurseries(first, 1, [], SHORT) as (ends,):
        walker = session.Session(submissions.notebook(cell), ends, SHORT)
        asked.judge(session.Remote(walker, asked), ())
        walker.close()
    assert [action for _, action in asked_for] == [0, 1, 2]


# ---- what travels --------------------------------------------------------------------------------

VALUES = [
    None,
    True,
    -3,
    2.5,
    float("inf"),
    "text",
    b"bytes",
    [1, (2.0, {"a": [3]}), {4}],
    np.arange(6.0).reshape(2, 3)[:, ::-1],
    np.zeros((0, 3), np.int8),
    np.float32(1.5),
    np.bool_(True),
    torch.arange(6).reshape(2, 3).T,
    torch.tensor(1.5, dtype=torch.bfloat16),
    torch.zeros(0, 2),
    torch.tensor([True, False]),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_travel_as_they_are(value):
    arrived = wire.unpack(wire.pack(value))
    assert type(arrived) is type(value)
    if isinstance(value, (np.ndarray, torch.Tensor)):
        assert arrived.dtype == value.dtype
        assert arrived.shape == value.shape
        assert (arrived == value).all()
    else:
        assert arrived == value


def test_other_objects_arrive_as_the_name_of_their_type():
    arrived = wire.unpack(wire.pack([ROOT, object()]))
    assert [type(v).__name__ for v in arrived] == [type(ROOT).__name__, "object"]
    assert repr(arrived[1]) == "<object>"


def test_damaged_messages_are_refused():
    draw = random.Random(0)
    whole = wire.pack(VALUES)
    for _ in range(2000):
        bytes_ = bytearray(whole)
        for _ in range(draw.randrange(1, 6)):
            bytes_[draw.randrange(len(bytes_))] = draw.randrange(256)
        with contextlib.suppress(wire.Broken):
            wire.unpack(bytes(bytes_[: draw.randrange(len(bytes_))]))


# ---- folders, tables, pages ----------------------------------------------------------------------


def test_submissions_are_found_in_files_and_folders(tmp_path):
    (tmp_path / "ann b.ipynb").write_bytes(b"1")
    (tmp_path / "ann_b").mkdir()
    (tmp_path / "ann_b" / "other.ipynb").write_bytes(b"2")
    (tmp_path / "ann_b" / "sheet.ipynb").write_bytes(b"3")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link.ipynb").symlink_to("/etc/passwd")
    (tmp_path / "notes.txt").write_text("no submission")
    found = packs.find(tmp_path, "sheet")
    assert [s.student for s in found] == ["ann b", "ann_b", "empty", "link"]
    assert [s.file for s in found] == ["ann_b", "ann_b-2", "empty", "link"]
    assert [s.notebook for s in found] == [b"1", b"3", b"", b""]
    assert [bool(s.fault) for s in found] == [False, False, True, True]
    with pytest.raises(ValueError, match="is no folder"):
        packs.find(tmp_path / "none", "sheet")


def test_the_table_and_the_pages_hold_every_student(first, tmp_path):
    names = ["=cmd()", "<b>bo</b>", "\udce9mile"]
    rows = [
        grader.without_verdict(first, Submission(n, f"s{i}"), "a < b") for i, n in enumerate(names)
    ]
    report.write_table(tmp_path / "grades.csv", first, rows)
    report.write_pages(tmp_path / "feedback", first, rows)
    table = list(csv.DictReader(io.StringIO((tmp_path / "grades.csv").read_text("utf8"))))
    assert [row["student"] for row in table] == ["<b>bo</b>", "'=cmd()", "?mile"]
    assert {row["points"] for row in table} == {"0"}
    page = (tmp_path / "feedback" / "s1.html").read_text("utf8")
    assert "&lt;b&gt;bo" in page
    assert "a &lt; b" in page


# ---- packs ---------------------------------------------------------------------------------------


@CHILDREN
@pytest.mark.parametrize("name", SHEETS)
def test_every_sheet_makes_a_pack(name):
    pack, files = made(name)
    assert list(pack.points)
    assert set(files) >= {f"{name}.ipynb", f"{name}-solution.ipynb", "rubric.md", packs.MANIFEST}
    for id, worth in pack.points.items():
        assert f"| {id} {exercise(id).title} | {worth} |" in files["rubric.md"].decode()
    open_ones = [e for e in pack_tool.instructors.exercises(ROOT)[name] if not e.check]
    for e in open_ones:
        assert f"| {e.id} {e.title} | by hand |" in files["rubric.md"].decode()
    assert open_ones and files["rubric.md"].decode().split("\n## ")[-1].count("**") >= 10
    for line in ("BEGIN SOLUTION", "BEGIN STUB"):
        assert line not in files[f"{name}.ipynb"].decode()


@CHILDREN
def test_hidden_seeds_are_drawn_for_each_pack_and_lie_nowhere_else(first):
    assert len(first.seeds) == pack_tool.SEEDS
    assert not set(pack_tool.hidden_seeds()) & set(first.seeds)
    texts = [p.read_text("utf8") for p in (ROOT / "seqrl").rglob("*.py")]
    assert not [s for s in first.seeds if any(str(s) in text for text in texts)]


@pytest.mark.parametrize("chapter", ["1", "01", SHEETS[0]])
def test_a_chapter_has_a_number_or_a_name(chapter):
    assert pack_tool.sheet_name(chapter) == SHEETS[0]


@pytest.mark.parametrize("chapter", ["99", "x", ""])
def test_an_unknown_chapter_is_told(chapter):
    with pytest.raises(ValueError, match="There is no exercise sheet"):
        pack_tool.sheet_name(chapter)


@CHILDREN
def test_gradescope_gets_a_zip_and_its_results(first, tmp_path):
    package = tmp_path / "seqrl-0-py3-none-any.whl"
    package.write_bytes(b"wheel")
    with zipfile.ZipFile(io.BytesIO(pack_tool.gradescope(first, package))) as archive:
        archive.extractall(tmp_path / "source")
        assert archive.getinfo("run_autograder").external_attr >> 16 & 0o111
    (tmp_path / "submission").mkdir()
    (tmp_path / "submission" / "work.ipynb").write_bytes(solved(first).notebook)
    call = ["grade", tmp_path / "source", tmp_path / "submission", "--gradescope"]
    assert cli.main([*map(str, call), str(tmp_path / "results.json")]) == 0
    tests = json.loads((tmp_path / "results.json").read_text())["tests"]
    assert [t["score"] for t in tests] == [t["max_score"] for t in tests] == possible(first)


@CHILDREN
def test_the_command_writes_a_table_and_pages(first, tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as archive:
        archive.writestr(f"pack-01/{packs.MANIFEST}", first.to_json())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "zoe.ipynb").write_bytes(solved(first).notebook)
    call = ["grade", tmp_path / "pack.zip", tmp_path / "in", "--out", tmp_path / "out"]
    assert cli.main([str(part) for part in call]) == 0
    assert "1 submissions in" in capsys.readouterr().out
    worth = possible(first)
    row = ",".join(map(str, ["zoe", *worth, sum(worth), sum(worth)]))
    assert row in (tmp_path / "out" / "grades.csv").read_text("utf8")
    assert f"{sum(worth)} of {sum(worth)} points" in (
        tmp_path / "out" / "feedback" / "zoe.html"
    ).read_text("utf8")
    assert cli.main(["grade", str(tmp_path / "in"), str(tmp_path / "in")]) == 2
    assert "is no pack" in capsys.readouterr().err


def test_where_submissions_cannot_be_confined_nothing_is_graded(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sandbox, "landlock_version", lambda: 0)
    assert cli.main(["grade", str(tmp_path), str(tmp_path)]) == 2
    assert "cannot be confined here. Files can be read" in capsys.readouterr().err


def test_a_folder_is_readable_but_for_what_is_hidden(tmp_path):
    for name in ("a/b/secret", "a/c", "d"):
        (tmp_path / name).mkdir(parents=True)
    found = set(sandbox.without(tmp_path, [tmp_path / "a" / "b" / "secret"]))
    assert found == {tmp_path / "a" / "c", tmp_path / "d"}
