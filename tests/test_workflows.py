"""The workflows can run nowhere here, so what can be known of them without a runner is held."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PATHS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAY_WRITE = {  # job -> what it may do beyond reading the repository
    ("publish", "deploy"): {"pages": "write", "id-token": "write"},
    ("release", "release"): {"contents": "write"},
}
each_workflow = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def load(path: Path) -> dict[str, Any]:
    workflow = yaml.safe_load(path.read_text("utf8"))
    workflow["on"] = workflow.pop(True)  # YAML 1.1 reads the key `on` as a truth value
    return workflow


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in load(path)["jobs"].values() for step in job["steps"]]


def commands(path: Path) -> str:
    return "\n".join(step.get("run", "") for step in steps(path))


def test_there_are_four_workflows_and_each_starts_when_it_should() -> None:
    starts = {path.stem: set(load(path)["on"]) - {"workflow_dispatch"} for path in PATHS}
    assert starts == {
        "publish": {"push"},
        "release": {"push"},
        "test": {"pull_request"},
        "weekly": {"schedule"},
    }
    assert load(ROOT / ".github/workflows/publish.yml")["on"]["push"] == {"branches": ["main"]}
    assert load(ROOT / ".github/workflows/release.yml")["on"]["push"] == {"tags": ["*"]}


@each_workflow
def test_every_action_is_pinned_by_its_commit_with_the_version_beside_it(path: Path) -> None:
    lines = [line.strip() for line in path.read_text("utf8").splitlines() if "uses:" in line]
    assert len(lines) == sum("uses" in step for step in steps(path))
    pinned = re.compile(r"(- )?uses: [\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+")
    assert [line for line in lines if not pinned.fullmatch(line)] == []


def test_an_action_has_one_commit_in_all_workflows() -> None:
    used = {step["uses"] for path in PATHS for step in steps(path) if "uses" in step}
    names = [name.partition("@")[0] for name in used]
    assert len(names) == len(set(names)) >= 7


@each_workflow
def test_permissions_are_no_more_than_a_job_needs(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert job.get("permissions", {}) == MAY_WRITE.get((path.stem, name), {})
    assert "pull_request_target" not in workflow["on"]
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@each_workflow
def test_nothing_from_outside_is_put_into_a_command(path: Path) -> None:
    """A branch or a title could be code; what a command needs comes in by its environment."""
    assert "${{" not in commands(path)


@each_workflow
def test_every_make_target_exists(path: Path) -> None:
    wanted = set(re.findall(r"^\s*make ([a-z-]+)", commands(path), re.M))
    known = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf8"), re.M)
    assert wanted - set(known) == set()
    for phony in wanted:
        assert re.search(rf"^\.PHONY:.*\b{phony}\b", (ROOT / "Makefile").read_text("utf8"), re.M)


@each_workflow
def test_every_job_ends_by_itself_on_a_named_machine(path: Path) -> None:
    for job in load(path)["jobs"].values():
        assert job["timeout-minutes"] <= 180
        assert job["runs-on"] == "ubuntu-24.04"


@each_workflow
def test_every_command_is_bash(path: Path) -> None:
    for step in steps(path):
        if "run" in step:
            run = subprocess.run(["bash", "-n"], input=step["run"], text=True, capture_output=True)
            assert run.returncode == 0, run.stderr


def test_the_oldest_and_the_newest_python_are_tested() -> None:
    matrix = load(ROOT / ".github/workflows/test.yml")["jobs"]["test"]["strategy"]["matrix"]
    bounds = re.search(
        r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text("utf8")
    )
    assert bounds
    assert matrix["python"] == [f"3.{bounds[1]}", f"3.{int(bounds[2]) - 1}"]


def test_speeds_are_those_that_were_meant() -> None:
    speeds = {path.stem: load(path)["env"]["SEQRL_SPEED"] for path in PATHS}
    assert speeds == {"publish": "class", "release": "class", "test": "smoke", "weekly": "smoke"}


def test_the_kernels_are_tested_weekly_and_not_by_make_test() -> None:
    assert "make kernels" in commands(ROOT / ".github/workflows/weekly.yml")
    makefile = (ROOT / "Makefile").read_text("utf8")
    needs = re.search(r"^test: (.*?)  ##", makefile, re.M)
    assert needs and "kernels" not in needs[1].split()
    assert re.search(r"^TRITON := triton==\d+\.\d+\.\d+$", makefile, re.M)


def test_a_release_needs_what_is_documented_for_the_pdf() -> None:
    import sys

    sys.path.insert(0, str(ROOT / "book" / "_tools"))
    import pdf

    wanted = set(pdf.NEEDS.split("--no-install-recommends ")[1].split())
    installed = commands(ROOT / ".github/workflows/release.yml")
    installed = installed.split("--no-install-recommends ")[1].split("\n\n")[0].replace("\\\n", " ")
    documented = (ROOT / "CONTRIBUTING.md").read_text("utf8")
    assert wanted <= set(installed.split())
    assert wanted <= set(documented.replace("`", " ").split())


@pytest.mark.parametrize(
    ("tag", "branch", "right"),
    [
        ("2027-spring", "2027-spring           # also", True),
        ("v0.1.0", "v0.1.0", True),
        ("v0.1.0", "v0-1-0", False),
        ("2027-spring", "main            # also", False),
        ("2027", "2027-spring", False),
    ],
)
def test_a_release_refuses_a_tag_whose_links_lead_elsewhere(
    tmp_path: Path, tag: str, branch: str, right: bool
) -> None:
    (tmp_path / "_config.yml").write_text(f"repository:\n  branch: {branch}\n")
    check = next(
        step["run"]
        for step in steps(ROOT / ".github/workflows/release.yml")
        if step.get("name", "").startswith("Links have to lead")
    )
    run = subprocess.run(
        ["bash", "-e", "-c", check],
        cwd=tmp_path,
        env={"GITHUB_REF_NAME": tag, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert (run.returncode == 0) is right, run.stdout + run.stderr
