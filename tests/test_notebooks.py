"""The notebooks say in plain Markdown what the pages say in MyST, and never drift from them."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_tools"))

import colab  # noqa: E402
import notebooks  # noqa: E402
import sheets  # noqa: E402
from bibliography import Bibliography  # noqa: E402
from blocks import MystError  # noqa: E402
from book_config import Page as BookPage  # noqa: E402
from book_config import Repository, load_config, pages  # noqa: E402
from inline import Page  # noqa: E402
from myst_to_markdown import to_markdown  # noqa: E402
from page_to_notebook import Book  # noqa: E402
from references import References  # noqa: E402

REPOSITORY = Repository("https://github.com/owner/name", "v1")
SITE = "https://owner.github.io/name/book"
BIB = """
@article{chen, title={DT}, author={Chen, Lili and Lu, Kevin and Li, Jo}, year={2021}, url={https://x.org/dt}}
@article{janner, title={TT}, author={Janner, Michael and Li, Qiyang}, year={2021}, doi={10.1/tt}}
@book{sutton, title={RL}, author={Sutton, Richard}, year={2018}}
@article{levine, title={O}, author={Levine, S and A, B and C, D}, year={2020}, eprint={2005.01643}}
"""
OTHER = """\
(sec-other)=
# Other *page*

$$ V = 1 $$ (eq-other)

:::{figure} pic.svg
:name: fig-other
A picture.
:::
"""
FRONT = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
"""


def convert(folder: Path, text: str, student: bool = False) -> str:
    """`text` as the page book/01-here of a two-page book."""
    (folder / "book").mkdir(exist_ok=True)
    (folder / "book" / "pic.svg").write_text("<svg/>")
    (folder / "book" / "references.bib").write_text(BIB)
    references = References()
    references.add_page(BookPage("book/other", None), OTHER)
    references.add_page(BookPage("book/01-here", 1), text)
    page = Page(
        "book/01-here",
        folder,
        references,
        REPOSITORY,
        Bibliography(folder / "book" / "references.bib", f"{SITE}/bibliography.html"),
        {"EE": ("\\mathbb{E}", 0), "norm": ("\\lVert #1 \\rVert", 1), "s": ("\\sigma", 0)},
        {"sec-a"},
        for_students=student,
    )
    return to_markdown(text, page)


GOLDEN = {
    "plain text stays": ("A *b* **c** `d` [e](https://f.org) $x_1$.",) * 2,
    "code stays": ("```python\nx = '{ref}`y`'  # $z$\n```",) * 2,
    "inline code stays": ("``a `b` {ref}`c` `` and `{eq}`.",) * 2,
    "admonition": (
        ":::{admonition} What *now*?\n:class: objectives\n- one\n- two\n:::",
        "> **What *now*?**\n>\n> - one\n> - two",
    ),
    "note": ("```{note}\nText.\n```", "> **Note**\n>\n> Text."),
    "see also": (":::{seealso}\nText.\n:::", "> **See also**\n>\n> Text."),
    "nested": (
        "::::{tip}\n:::{note}\nInner.\n:::\n::::",
        "> **Tip**\n>\n> > **Note**\n> >\n> > Inner.",
    ),
    "in a list": ("- one\n\n  :::{note}\n  Two.\n  :::", "- one\n\n  > **Note**\n  >\n  > Two."),
    "dropdown": (
        ":::{dropdown} More\nHidden $x$.\n:::",
        "<details>\n<summary>More</summary>\n\nHidden $x$.\n\n</details>",
    ),
    "admonition as dropdown": (
        ":::{note}\n:class: dropdown\nHidden.\n:::",
        "<details>\n<summary>Note</summary>\n\nHidden.\n\n</details>",
    ),
    "margin": (":::{margin}\nAside.\n:::", "> Aside."),
    "sidebar": (":::{sidebar} Why\nAside.\n:::", "> **Why**\n>\n> Aside."),
    "tabs": (
        "::::{tab-set}\n:::{tab-item} A\na\n:::\n:::{tab-item} B\nb\n:::\n::::",
        "**A**\n\na\n\n**B**\n\nb",
    ),
    "figure": (
        ":::{figure} pic.svg\n:alt: Words: many\n:name: fig-x\nA $y$.\n:::",
        "![Words: many](https://raw.githubusercontent.com/owner/name/v1/book/pic.svg?sanitize=true)"
        "\n\n**Figure 1.1.** A $y$.",
    ),
    "image": (
        "![a](pic.svg)",
        "![a](https://raw.githubusercontent.com/owner/name/v1/book/pic.svg?sanitize=true)",
    ),
    "equation": ("$$\nx = \\EE y\n$$ (eq-a)", "$$\nx = \\mathbb{E} y\n\\tag{1.1}\n$$"),
    "equation on one line": ("$$ x $$ (eq-a)", "$$\nx\n\\tag{1.1}\n$$"),
    "math without a label": ("$$\nx\n$$", "$$\nx\n$$"),
    "math directive": (
        "```{math}\n:label: eq-a\nx\n```\n\n{eq}`eq-a`",
        "$$\nx\n\\tag{1.1}\n$$\n\n(1.1)",
    ),
    "macros": ("$\\norm{a^{b}} \\EE X \\s$", "$\\lVert a^{b} \\rVert \\mathbb{E} X \\sigma$"),
    "macro before a letter": ("$\\s x$", "$\\sigma x$"),
    "equation elsewhere": ("{eq}`eq-other`", f"[(1)]({SITE}/other.html#equation-eq-other)"),
    "numref elsewhere": ("{numref}`fig-other`", f"[Figure 1]({SITE}/other.html#fig-other)"),
    "numref with words": (
        "{numref}`Fig. %s <fig-other>`",
        f"[Fig. 1]({SITE}/other.html#fig-other)",
    ),
    "ref elsewhere": ("{ref}`sec-other`", f"[Other *page*]({SITE}/other.html#sec-other)"),
    "ref here": (
        "# T\n\n(sec-a)=\n## A `b`\n\n{ref}`sec-a` and [c](#sec-a)",
        '# T\n\n<a id="sec-a"></a>\n\n## A `b`\n\n[A `b`](#sec-a) and [c](#sec-a)',
    ),
    "unused label": ("(sec-b)=\n## B", "## B"),
    "doc": ("{doc}`other`", f"[Other *page*]({SITE}/other.html)"),
    "doc with words": ("{doc}`see <other>`", f"[see]({SITE}/other.html)"),
    "page link": ("[x](other.md#sec-other)", f"[x]({SITE}/other.html#sec-other)"),
    "page link without words": ("[](other.md)", f"[Other *page*]({SITE}/other.html)"),
    "citation": ("{cite}`chen`", "([Chen et al., 2021](https://x.org/dt))"),
    "citation in the text": ("{cite:t}`janner`", "[Janner and Li (2021)](https://doi.org/10.1/tt)"),
    "citations": (
        "{cite:p}`levine,sutton`",
        "([Levine et al., 2020](https://arxiv.org/abs/2005.01643); "
        f"[Sutton, 2018]({SITE}/bibliography.html))",
    ),
    "citation of a page": (
        "{cite:p}`{see}chen{p. 3}`",
        "(see [Chen et al., 2021](https://x.org/dt), p. 3)",
    ),
    "role over two lines": (
        "{cite:t}`chen,\njanner` x",
        "[Chen et al. (2021)](https://x.org/dt) and "
        "[Janner and Li (2021)](https://doi.org/10.1/tt) x",
    ),
    "term": ("A {term}`policy` and {term}`two <policy>`.", "A policy and two."),
    "span": ("[0.93]{.recorded} of [1]{.live}", "0.93 of 1"),
    "glue": ("{glue:text}`score:.2f`", "`score`"),
    "footnote": ("Text.[^a]\n\n[^a]: Note.", "Text.<sup>1</sup>"),
    "comment": ("% nobody reads this\nText.", "Text."),
    "table": (
        ":::{table} Cap $x$\n:name: tab-x\n| a |\n|---|\n| {math}`b` |\n:::\n\n{numref}`tab-x`",
        "**Table 1.1.** Cap $x$\n\n| a |\n|---|\n| $b$ |\n\nTable 1.1",
    ),
    "list table": (
        ":::{list-table} Cap\n:header-rows: 1\n* - a\n  - b\n* - c\n  - d\n:::",
        "**Table 1.1.** Cap\n\n| a | b |\n| --- | --- |\n| c | d |",
    ),
    "definition list": ("Word\n: Its meaning.", "**Word**  \nIts meaning."),
    "div": (":::{div} recorded\nText.\n:::", "Text."),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_each_construct_becomes_plain_markdown(tmp_path: Path, name: str) -> None:
    source, expected = GOLDEN[name]
    converted = convert(tmp_path, source)
    assert converted == expected


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("Text.\n\n{nonsense}`x`", "line 3.*nonsense"),
        ("Text.\n\n:::{nonsense}\n:::", "line 3.*nonsense"),
        ("{ref}`nowhere`", "nowhere"),
        ("{cite}`nobody`", "line 1.*nobody"),
        ("[a](missing.md)", "missing.md"),
        ("![a](missing.png)", "missing.png"),
        (":::{note}\nnever closed", "never closed"),
        ("$$\nnever closed", "never closed"),
        ("(a)=\n# A\n(a)=\n## B", "twice"),
        ("word $$x$$ word", "own lines"),
    ],
)
def test_what_cannot_be_said_is_refused(tmp_path: Path, source: str, words: str) -> None:
    with pytest.raises(MystError, match=words):
        convert(tmp_path, source)


def test_a_written_answer_is_hidden_from_students(tmp_path: Path) -> None:
    source = ":::{dropdown} Answer\n:class: solution\nThe secret.\n:::"
    assert "The secret." in convert(tmp_path, source)
    assert convert(tmp_path, source, student=True) == sheets.ANSWER


CELL = """\
def f(x):
    ### BEGIN SOLUTION
    return x + 1
    ### END SOLUTION
    ### BEGIN STUB
    # # add one
    # raise NotImplementedError
    ### END STUB
print(f(1))"""


def test_solution_and_stub_take_the_same_place() -> None:
    assert sheets.student(CELL) == (
        "def f(x):\n    # add one\n    raise NotImplementedError\nprint(f(1))"
    )
    assert sheets.solved(CELL) == "def f(x):\n    return x + 1\nprint(f(1))"
    assert sheets.solution_lines(CELL) == ["return x + 1"]


def test_a_solution_without_stub_leaves_an_error() -> None:
    cell = "def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"
    assert sheets.student(cell) == f"def f():\n    {sheets.DEFAULT_STUB}"


@pytest.mark.parametrize(
    "cell",
    [
        "### BEGIN SOLUTION\nx = 1",
        "x = 1\n### END SOLUTION",
        "### BEGIN SOLUTION\n### BEGIN STUB\n### END STUB",
        "### BEGIN SOLUTION\n### END STUB",
    ],
)
def test_markers_must_pair_up(cell: str) -> None:
    with pytest.raises(ValueError, match=r"partner|never ended"):
        sheets.student(cell)


def test_chapters_are_numbered_across_parts() -> None:
    toc: dict[str, Any] = {
        "root": "book/index",
        "parts": [
            {"chapters": [{"file": "book/a.md"}]},
            {"numbered": 1, "chapters": [{"file": "book/b.md", "sections": [{"file": "book/b2"}]}]},
            {"numbered": 1, "chapters": [{"file": "book/c.md"}]},
        ],
    }
    assert [(p.docname, p.number, p.counts_in) for p in pages(toc)] == [
        ("book/index", None, None),
        ("book/a", None, None),
        ("book/b", 1, 1),
        ("book/b2", None, 1),
        ("book/c", 2, 2),
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one chapter and one sheet, its notebooks written."""
    tmp_path = tmp_path_factory.mktemp("repository")
    shutil.copy(ROOT / "_config.yml", tmp_path)
    toc = {"format": "jb-book", "root": "book/index"}
    toc |= {"parts": [{"numbered": 1, "chapters": [{"file": "book/01-a.md"}]}]}  # type: ignore[dict-item]
    (tmp_path / "_toc.yml").write_text(json.dumps(toc))
    for folder in ("book", "solutions", "exercises"):
        (tmp_path / folder).mkdir()
    (tmp_path / "book" / "index.md").write_text("# Index\n")
    cell = "```{code-cell} ipython3\n:tags: [nbval-check-output]\nprint('one'); print('two')\n```\n"
    plot = (
        "```{code-cell} ipython3\n---\ntags: [hide-input]\nmystnb:\n  figure:\n    caption: C.\n"
        "    name: fig-c\n---\nx = 1\n```\n"
    )
    (tmp_path / "book" / "01-a.md").write_text(f"{FRONT}\n# Title\n\nPromise.\n\n{cell}\n{plot}")
    sheet = f"# Sheet\n\n```{{code-cell}} ipython3\n{CELL}\n```\n"
    (tmp_path / "solutions" / "01-a.md").write_text(f"{FRONT}\n{sheet}")
    notebooks.write(tmp_path, force=False)
    return tmp_path


@pytest.fixture
def small(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that repository, in which no test needs to execute a notebook again."""

    def fill_in(notebook: nbformat.NotebookNode, folder: Path) -> None:
        for cell in notebooks.checked_cells(notebook):
            cell.outputs, cell.execution_count = [nbformat.v4.new_output("stream", text="x\n")], 1

    monkeypatch.setattr(notebooks, "execute", fill_in)
    return shutil.copytree(written, tmp_path / "small")


def load(root: Path, path: str) -> nbformat.NotebookNode:
    return nbformat.read(root / path, as_version=4)


def edit(path: Path, change: Callable[[Any], None]) -> None:
    """Change the JSON of a notebook."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_chapter_opens_with_title_badges_and_set_up(small: Path) -> None:
    notebook = load(small, "book/01-a.ipynb")
    nbformat.validate(notebook)
    first, setup, promise = notebook.cells[:3]
    assert first.source.startswith("# 1. Title\n\n[![Open in Colab]")
    assert "exercises/01-a.ipynb" in first.source
    assert setup.cell_type == "code" and "seqrl" in setup.source
    assert promise.source == "Promise."
    assert notebook.nbformat_minor == 5
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.colab.name == "book-01-a.ipynb"
    assert all("mystnb" not in cell.metadata for cell in notebook.cells)


def test_only_marked_cells_keep_their_output(small: Path) -> None:
    cells = [c for c in load(small, "book/01-a.ipynb").cells if c.cell_type == "code"]
    marked = [c for c in cells if "nbval-check-output" in c.metadata.get("tags", [])]
    assert [o.text for c in marked for o in c.outputs] == ["one\ntwo\n"]
    assert all(isinstance(c.execution_count, int) for c in marked)
    assert all(not c.outputs and c.execution_count is None for c in cells if c not in marked)


def test_a_hidden_cell_and_its_caption(small: Path) -> None:
    cells = load(small, "book/01-a.ipynb").cells
    place = next(i for i, c in enumerate(cells) if "x = 1" in c.source)
    assert cells[place].source == "# @title Code of Figure 1.1\nx = 1"
    assert cells[place].metadata.jupyter.source_hidden
    assert cells[place + 1].source == "**Figure 1.1.** C."


def test_words_alone_are_changed_without_executing(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [source for source, _ in notebooks.targets(small) if source.startswith("book/")]
    path = small / sources[0]
    target = path.with_suffix(".ipynb")
    source, stored = path.read_text("utf8"), target.read_bytes()
    before = notebooks.read(target)
    monkeypatch.setattr(notebooks, "execute", lambda *_: pytest.fail("executed without need"))
    path.write_text(source + "\nOne more sentence.\n")
    notebooks.write(small, force=False)
    after = notebooks.read(target)
    assert before and after and "One more sentence." in after.cells[-1].source
    assert notebooks.code(after) == notebooks.code(before)
    outputs = [[c.outputs for c in notebooks.checked_cells(n)] for n in (before, after)]
    assert outputs[0] == outputs[1] and outputs[0]
    path.write_text(source)
    target.write_bytes(stored)


def test_writing_again_changes_and_executes_nothing(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p: p.read_bytes() for p in small.rglob("*.ipynb")}
    assert len(before) == 3
    monkeypatch.setattr(notebooks, "execute", lambda *_: pytest.fail("executed without need"))
    capsys.readouterr()
    notebooks.write(small, force=False)
    assert "wrote" not in capsys.readouterr().out
    assert {p: p.read_bytes() for p in small.rglob("*.ipynb")} == before
    assert notebooks.check(small) == []


def test_drift_is_named(small: Path) -> None:
    source = small / "book" / "01-a.md"
    source.write_text(source.read_text().replace("Promise.", "Another promise."))
    assert notebooks.check(small) == ["book/01-a.ipynb is not what book/01-a.md says"]
    notebooks.write(small, force=False)
    (small / "exercises" / "01-a.ipynb").unlink()
    (small / "book" / "02-old.ipynb").write_text("{}")
    assert notebooks.check(small) == [
        "exercises/01-a.ipynb is missing",
        "book/02-old.ipynb has no source; remove it",
    ]


def _marked(content: Any) -> Any:
    return next(
        c for c in content["cells"] if "nbval-check-output" in c["metadata"].get("tags", [])
    )


def test_a_cell_that_nbval_would_not_compare_is_caught(small: Path) -> None:
    path = small / "book" / "01-a.ipynb"
    whole = path.read_text()
    for key, value in (("execution_count", None), ("outputs", [])):
        path.write_text(whole)
        edit(path, lambda content, k=key, v=value: _marked(content).update({k: v}))  # type: ignore[misc]
        assert "without output or execution count" in notebooks.check(small)[0]


@pytest.mark.parametrize(
    ("outputs", "fault"),
    [
        ([], "prints nothing"),
        ([{"output_type": "stream", "name": "stderr", "text": "12 it/s"}], "stderr (12 it/s)"),
        ([{"output_type": "display_data", "data": {"image/png": "x"}}], "shows image/png"),
        ([{"output_type": "stream", "name": "stdout", "text": "x"}], None),
        ([{"output_type": "execute_result", "data": {"text/plain": "1"}}], None),
    ],
)
def test_an_output_that_differs_between_machines_is_refused(
    outputs: list[dict[str, Any]], fault: str | None
) -> None:
    found = notebooks.incomparable([nbformat.from_dict(o) for o in outputs])
    assert found == fault if fault is None else fault in str(found)


def test_outputs_elsewhere_are_caught(small: Path) -> None:
    output = {"output_type": "stream", "name": "stdout", "text": "x"}
    edit(small / "book" / "01-a.ipynb", lambda c: c["cells"][1].update(outputs=[output]))
    assert "has outputs in cells that are not tagged" in notebooks.check(small)[0]


def test_the_ids_of_other_cells_survive_an_edit(small: Path) -> None:
    before = [c.id for c in load(small, "book/01-a.ipynb").cells]
    source = small / "book" / "01-a.md"
    source.write_text(source.read_text().replace("Promise.", "Another promise."))
    notebooks.write(small, force=False)
    after = [c.id for c in load(small, "book/01-a.ipynb").cells]
    assert len(set(before)) == len(before)
    assert sum(a != b for a, b in zip(before, after)) == 1


def test_a_fork_changes_one_line(small: Path) -> None:
    config = small / "_config.yml"
    slug = Repository.from_config(load_config(small)).slug
    assert config.read_text().count(slug) == 1
    config.write_text(config.read_text().replace(slug, "someone/fork"))
    notebooks.write(small, force=False)
    for path in small.rglob("*.ipynb"):
        text = path.read_text()
        assert slug not in text
        assert "https://github.com/someone/fork/archive/" in text
        assert "https://someone.github.io/fork/book/" in text


# The set-up cell


def run_setup(monkeypatch: pytest.MonkeyPatch, installed: set[str]) -> list[list[str]]:
    """The commands that the set-up cell runs where only `installed` can be imported."""
    commands: list[list[str]] = []
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: SimpleNamespace(origin=name) if name in installed else None,
    )
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command))
    exec(compile(colab.setup_source(REPOSITORY), "setup", "exec"), {})
    return commands


def test_set_up_does_nothing_where_seqrl_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_setup(monkeypatch, {"seqrl"}) == []


def test_set_up_is_not_fooled_by_a_folder_named_seqrl(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "seqrl").mkdir()
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command))
    spec = importlib.machinery.PathFinder.find_spec("seqrl", [str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    exec(compile(colab.setup_source(REPOSITORY), "setup", "exec"), {})
    assert spec is not None and len(commands) == 1


def test_set_up_leaves_what_colab_brings(monkeypatch: pytest.MonkeyPatch) -> None:
    brought = {"torch", "numpy", "gymnasium", "pygame", "einops", "matplotlib", "PIL", "tqdm"}
    (command,) = run_setup(monkeypatch, brought)
    assert "--no-deps" in command and "--quiet" in command
    assert "https://github.com/owner/name/archive/v1.zip" in command
    assert "minigrid>=3.0" in command and "minari>=0.5.3" in command
    assert not any(name in " ".join(command[4:]) for name in ("torch", "numpy", "pygame", "tqdm"))


def test_set_up_brings_mujoco_where_robots_walk() -> None:
    plain = colab.setup_source(REPOSITORY, "from seqrl.environments import make_envs")
    robots = colab.setup_source(REPOSITORY, "make_robots('hopper', 2)")
    assert plain == colab.setup_source(REPOSITORY) and "mujoco" not in plain
    assert all(f'"{name}": ' in robots for name in ("mujoco", "glfw", "imageio"))


def test_set_up_never_names_torch_or_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    (command,) = run_setup(monkeypatch, set())
    assert "pygame-ce" in command
    assert not any("torch" in word or "numpy" in word for word in command)


def test_set_up_knows_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[\[<>=]", d)[0] for d in project["dependencies"]}
    names -= {"torch", "numpy", "filelock"}  # torch itself needs filelock
    known = {re.split(r"[<>=]", d)[0] for d in colab.NEEDS.values()}
    assert names <= known


# The notebooks of this repository

GENERATED = [target for _, target in notebooks.targets(ROOT)]


def test_no_notebook_of_the_book_has_drifted() -> None:
    assert notebooks.check(ROOT) == [], "mend with: make notebooks"


@pytest.mark.parametrize("path", GENERATED)
def test_no_markup_is_left_over(path: str) -> None:
    for cell in load(ROOT, path).cells:
        if cell.cell_type != "markdown":
            continue
        text = re.sub(r"(?s)\$\$.*?\$\$|\$[^$\n]+\$", "", cell.source)
        assert not re.search(r"```\{|:::|\{[a-zA-Z][\w:-]*\}`|^\([\w-]+\)=|\{\{", text), cell.source


@pytest.mark.parametrize("path", GENERATED)
def test_badges_lead_to_files_of_the_tree(path: str) -> None:
    repository = Repository.from_config(load_config(ROOT))
    text = "\n".join(cell.source for cell in load(ROOT, path).cells)
    links = re.findall(rf"/{repository.slug}/(?:blob/)?{repository.ref}/([^)\s?#]+)", text)
    published = re.findall(rf"{re.escape(repository.site)}([\w/-]+)\.html", text)
    assert path in links
    for link in [*links, *(f"{page}.md" for page in published)]:
        assert (ROOT / link).exists(), link


def sheet_sources() -> list[Path]:
    return sorted((ROOT / "solutions").glob("*.md"))


@pytest.mark.parametrize("source", sheet_sources(), ids=lambda p: p.stem)
def test_no_solution_reaches_the_student(source: Path) -> None:
    students = [load(ROOT, f"exercises/{s.stem}.ipynb") for s in sheet_sources()]
    seen = "\n".join(cell.source for student in students for cell in student.cells)
    assert "BEGIN" not in seen
    secrets = [s for s in sheets.solution_lines(source.read_text()) if len(s) > 25]
    assert secrets, "a sheet without solutions tests nothing"
    assert [line for line in secrets if line in seen] == []


@pytest.mark.parametrize("source", sheet_sources(), ids=lambda p: p.stem)
def test_the_solution_shows_no_stub(source: Path) -> None:
    shown = "\n".join(c.source for c in load(ROOT, f"solutions/{source.stem}.ipynb").cells)
    assert "### " not in re.sub(r"(?m)^#{1,6} .*$", "", shown)
    for line in sheets.solution_lines(source.read_text()):
        assert line in shown


def test_every_label_of_the_book_is_known() -> None:
    book = Book(ROOT)
    assert References.of_book(ROOT, book.pages).titles
