"""The wheel builds, holds what it must and nothing it must not, and works outside the checkout."""

import ast
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = folder.glob("seqrl-*.whl")
    return path


def test_the_wheel_holds_the_package_and_no_solutions(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for path in (ROOT / "seqrl").rglob("*"):
        if path.suffix in (".py", ".js", ".css", ".typed"):
            assert path.relative_to(ROOT).as_posix() in names
    outside = [n for n in names if not n.startswith(("seqrl/", "seqrl-"))]
    assert not outside
    assert not [n for n in names if "solution" in n or "wrong_answers" in n]


def test_the_wheel_works_outside_the_checkout(wheel, tmp_path):
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel],
        check=True,
    )
    environment = os.environ | {"PYTHONPATH": str(site), "SEQRL_HOME": str(tmp_path / "home")}
    code = (
        "import seqrl, seqrl.animations as a; from seqrl import datasets; print(seqrl.__file__); "
        "t = datasets.load('GoToLocalS7N5/expert', episodes=2); print(len(t), t.success.all());"
        "assert '<svg' in a.play(t, [0])._repr_html_()"
    )
    run = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(str(site))
    assert "2 tensor(True)" in run.stdout


def _floors():
    """The README's table: module -> number of its row."""
    rows = re.findall(
        r"^\| ((?:`[\w*/]+`(?:, )?)+) \|", (ROOT / "README.md").read_text("utf8"), re.M
    )
    floors = {}
    for number, row in enumerate(rows[1:]):  # the first is the head
        for name in re.findall(r"`([\w*/]+)`", row):
            found = list((ROOT / "seqrl").glob(name.rstrip("/") if "/" in name else f"{name}.py"))
            assert found, f"{name} is in the table, but there is none"
            for path in found:
                assert path.stem not in floors, f"{path.stem} is listed twice"
                floors[path.stem] = number
    return floors


def test_modules_import_only_what_is_above_them_in_the_readme():
    floors, wrong = _floors(), []
    assert len(floors) > 40
    for module, floor in floors.items():
        path = ROOT / "seqrl" / module
        for file in path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]:
            for node in ast.parse(file.read_text("utf8")).body:  # not what is imported when used
                if not isinstance(node, ast.ImportFrom) or not node.module:
                    continue
                package, _, rest = node.module.partition(".")
                names = [rest.partition(".")[0]] if rest else [x.name for x in node.names]
                wrong += [
                    f"{file.name} imports {name}"
                    for name in names
                    if package == "seqrl" and floors.get(name, -1) > floor
                ]
    assert wrong == []


def test_importing_the_package_imports_no_heavy_library():
    code = (
        "import sys, torch; before = set(sys.modules); import seqrl, seqrl.trajectories, "
        "seqrl.environments, seqrl.rollout, seqrl.behavior, seqrl.datasets, seqrl.plots, "
        "seqrl.animations, seqrl.checks; "
        "new = {m.split('.')[0] for m in set(sys.modules) - before}; "
        "print(*sorted(new & {'minari', 'seaborn', 'matplotlib', 'h5py', 'pandas', 'pygame'}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
