"""The landing page's animations, the pages' ends, the site's files and the package's reference."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from docutils import nodes
from PIL import Image
from torch import Tensor

from seqrl import animations_ideas, conclusion, ideas, results, shipped

ROOT = Path(__file__).resolve().parents[1]
for folder in ("_ext", "_tools"):
    sys.path.insert(0, str(ROOT / "book" / folder))

import api_modules  # noqa: E402
import api_pages  # noqa: E402
import chapter_table  # noqa: E402
import light_images  # noqa: E402
import page_foot  # noqa: E402
import shapes  # noqa: E402
import site_files  # noqa: E402
import social_card  # noqa: E402

# Three ideas on one map


@pytest.fixture(scope="module")
def shown() -> ideas.Ideas:
    torch.set_num_threads(1)
    return ideas.ideas()


def test_the_level_has_all_three_checkpoints() -> None:
    for method in ("dt", "tt", "leap"):
        assert shipped.path_of(method, ideas.LEVEL).exists()


def test_the_three_meet_one_map(shown: ideas.Ideas) -> None:
    start = shown.driven.poses[0]
    assert shown.driven.success
    assert all((path[0] == start).all() for path in shown.paths)
    assert all((found.poses[:, 0] == start).all() for found in shown.rounds)
    assert len(shown.paths) == len(shown.energies) == ideas.SEARCH.iterations
    for found in shown.rounds:
        assert found.times.sum() == ideas.BEAM * ideas.EXPAND
        assert found.kept.sum() == ideas.BEAM
        assert (found.kept <= found.times).all()
    assert shown.energies[-1] <= shown.energies[0]


def test_a_level_without_checkpoints_is_refused() -> None:
    with pytest.raises((OSError, RuntimeError)):
        ideas.ideas("GoToSeqS5R2")


def test_the_animation_is_light_named_and_has_a_still(shown: ideas.Ideas) -> None:
    html = animations_ideas.side_by_side(shown).html
    assert len(html.encode()) < 100_000
    assert "<script" not in html
    labels = re.findall(r'<svg [^>]*aria-label="([^"]+)"', html)
    assert [label.split(",")[0] for label in labels] == ["DT", "TT", "LEAP"]
    assert all(shown.driven.mission in label for label in labels)
    moving = html[html.index("prefers-reduced-motion") :]
    assert "animation-duration" not in html[: html.index("prefers-reduced-motion")]
    assert "animation-duration" in moving
    assert html.count("animation-name:ideas-end") == 5  # a still of each drawing and text
    named = set(re.findall(r"animation-name: ?([\w-]+)", html))
    assert named <= set(re.findall(r"@keyframes ([\w-]+)", html))


def test_the_return_counts_down_to_nothing(shown: ideas.Ideas) -> None:
    html = animations_ideas.side_by_side(shown).html
    left = [float(x.replace("−", "-")) for x in re.findall(r"return-to-go (−?[\d.]+)", html)]
    assert left[0] == shown.asked
    assert left == sorted(left)


# The table of chapters


def test_prose_is_counted_and_code_is_not() -> None:
    page = (
        "---\nkernelspec: {name: python3}\n---\n\n# Two words\n\nThree more words, $x = 1$.\n\n"
        "```{code-cell} ipython3\n:tags: [hide-input]\nnot = counted\n```\n\n"
        ":::{admonition} A title\n:class: tip\nInside it.\n:::\n\n"
        "$$\na = b\n$$ (eq-x)\n\nSee {numref}`fig-x` and [this page](other.md#place).\n"
    )
    assert chapter_table.prose_words(page) == 2 + 3 + 2 + 4
    assert chapter_table.reading_minutes("word " * 2300) == 10
    assert chapter_table.reading_minutes("") == 1


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, "–"), (3.4, "3 s"), (119, "119 s"), (150, "2.5 min")]
)
def test_durations(seconds: float | None, words: str) -> None:
    assert chapter_table.duration(seconds) == words


def test_the_landing_page_lists_every_chapter() -> None:
    text = (ROOT / "book" / "index.md").read_text("utf8")
    body = re.search(r"```\{chapter-table\}\n(.*?)```", text, re.S)
    assert body
    listed = re.findall(r"(?m)^([\w-]+): \S", body[1])
    assert listed[:-1] == sorted(p.stem for p in (ROOT / "book").glob("[0-9]*.md"))
    assert listed[-1] == "conclusion"


# The end of a page


def test_the_foot_says_when_and_with_what() -> None:
    ran = page_foot.last_run({"mtime": 0, "runtime": 12.3}, "class")
    assert ran.startswith("Last run 1970-01-01 00:00 UTC: 12 s at class speed, Python 3.")
    assert f"PyTorch {torch.__version__}" in ran
    assert page_foot.last_run(None, "class") == ""


def test_an_error_is_reported_with_the_pages_name() -> None:
    address = page_foot.report_address("https://x.org/a/b", "book/05-leap", "Last run: today")
    assert address.startswith(
        "https://x.org/a/b/issues/new?title=An%20error%20on%20the%20page%2005"
    )
    assert "book%2F05-leap" in address and "Last%20run" in address


# The site's files


def test_a_page_is_summed_up_by_its_first_paragraph() -> None:
    long = "word " * 60
    document = nodes.section("", nodes.paragraph(text="Short."), nodes.paragraph(text=long))
    found = site_files.summary(document)  # type: ignore[arg-type]
    assert found.startswith("word word") and found.endswith(" …")
    assert len(found) <= site_files.SUMMARY_LENGTH + 2


def test_the_sitemap_lists_whole_addresses() -> None:
    text = site_files.sitemap(["https://x.org/a.html", "https://x.org/b&c.html"])
    assert re.findall("<loc>(.*?)</loc>", text) == [
        "https://x.org/a.html",
        "https://x.org/b&amp;c.html",
    ]


def test_a_lost_reader_finds_the_way_at_any_depth(tmp_path: Path) -> None:
    options = {"repository_url": "https://github.com/o/n", "repository_branch": "main"}
    config = SimpleNamespace(
        html_theme_options=options,
        html_baseurl="",
        html_short_title="A book",
        root_doc="book/index",
    )
    app: Any = SimpleNamespace(
        config=config,
        srcdir=ROOT,
        outdir=tmp_path,
        builder=SimpleNamespace(format="html"),
        env=SimpleNamespace(found_docs={"book/index"}),
    )
    site_files.write_files(app, None)
    page = (tmp_path / "404.html").read_text("utf8")
    addresses = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert addresses and all(address.startswith("https://") for address in addresses)
    assert "https://o.github.io/n/book/index.html" in addresses
    assert "https://o.github.io/n/book/index.html" in (tmp_path / "sitemap.xml").read_text("utf8")


def test_the_social_card_is_what_its_code_draws(tmp_path: Path) -> None:
    social_card.draw(tmp_path / "card.png")
    with Image.open(social_card.CARD) as kept, Image.open(tmp_path / "card.png") as drawn:
        assert kept.size == site_files.CARD_SIZE == social_card.SIZE
        apart = np.abs(np.asarray(kept.convert("L"), float) - np.asarray(drawn.convert("L"), float))
    assert apart.mean() < 2  # fonts differ by a hair between versions
    assert social_card.CARD.stat().st_size < social_card.LARGEST


def test_figures_lose_digits_and_nothing_else() -> None:
    svg = '<g>\n  <path d="M 1.234567 -0.001 \nL 20 3.5 z" transform="scale(0.015625)"/>\n</g>'
    light = '<g>\n<path d="M 1.23 0 L 20 3.5 z" transform="scale(0.015625)"/>\n</g>'
    assert light_images.lighter(svg) == light
    unseen = f"<metadata>\n<a/></metadata><!-- p -->{svg}"
    assert light_images.lighter(unseen) == light
    assert light_images.lighter(light) == light


# The reference


def test_every_row_of_the_readme_stands_in_the_reference_once() -> None:
    pages = [ROOT / "book" / f"api-{x}.md" for x in ("data", "models", "measuring", "showing")]
    named = [x for page in pages for x in api_pages.ROW.findall(page.read_text("utf8"))]
    assert sorted(named) == sorted(row.first for row in api_modules.rows(ROOT))


def test_the_reference_names_every_module() -> None:
    known = {m for row in api_modules.rows(ROOT) for m in row.modules}
    paths = [p.relative_to(ROOT) for p in (ROOT / "seqrl").rglob("*.py")]
    every = {".".join(p.with_suffix("").parts).removesuffix(".__init__") for p in paths}
    outside = {m for m in every - known if not m.startswith("seqrl.checks.")}
    assert outside == {"seqrl", "seqrl.__main__"}


def test_importing_all_of_it_does_nothing(tmp_path: Path) -> None:
    modules = [m for row in api_modules.rows(ROOT) for m in row.modules]
    code = f"import importlib\nfor m in {modules}: importlib.import_module(m)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_every_public_function_on_arrays_says_their_shapes() -> None:
    import importlib

    named = [
        f"{name}.{inner}"
        for row in api_modules.rows(ROOT)
        for name in row.modules
        for inner, member in shapes.public(importlib.import_module(name))
        if shapes.lacks_shape(member)
    ]
    assert named == [], "a public docstring names a shape, as in (B, K), or says scalar"


@pytest.mark.parametrize(
    ("words", "enough"),
    [
        ("Adds (B, K) to (n,).", True),
        ("Rows (T + 1, W, H, 3).", True),
        ("Of (…, V) or (..., M).", True),
        ("A scalar.", True),
        ("Of any shape.", True),
        ("Adds x.", False),
        ("As they did (Janner, 2021).", False),
        ("A mean (over seeds).", False),
        ("", False),
    ],
)
def test_the_rule_for_shapes(words: str, enough: bool) -> None:
    def function(x: Tensor) -> float:
        return 0.0

    function.__doc__ = words
    assert shapes.lacks_shape(function) != enough


def test_a_function_without_arrays_needs_no_shape() -> None:
    def function(x: int) -> str:
        return ""

    assert not shapes.lacks_shape(function)


def test_docstrings_become_restructured_text() -> None:
    lines = ["`x` and **kw or a|b, x_.", "", "    R s a", "", "End."]
    api_pages.plain(None, "module", "m", None, None, lines)  # type: ignore[arg-type]
    assert lines[0] == r"``x`` and \*\*kw or a\|b, x\_."
    assert "| R s a" in lines


def test_the_build_warns_of_a_missing_shape(caplog: pytest.LogCaptureFixture) -> None:
    def function(x: Tensor) -> Tensor:
        """Something."""
        return x

    warned: list[str] = []
    log = SimpleNamespace(warning=lambda text, *words: warned.append(text % words))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api_pages, "LOG", log)
        api_pages.plain(None, "function", "m.f", function, None, ["Something."])  # type: ignore[arg-type]
        api_pages.plain(None, "class", "m.C", function, None, ["Something."])  # type: ignore[arg-type]
    assert len(warned) == 1 and warned[0].startswith("m.f ")


# The conclusion


def test_the_conclusions_numbers_are_those_of_the_records() -> None:
    from seqrl import replication, scorecard

    rows = results.read_all(results.shipped())
    words = conclusion.texts(rows)
    assert words["dt − bc25"] in replication.dt_filter(rows).why
    assert words["dt late"] in replication.delayed(rows).why
    assert words["search"].startswith("+0.0 [") == ("both at 100 %" in replication.search(rows).why)
    counts = scorecard.counts(rows)
    assert words["claims"] == str(sum(counts.values()))
    assert words["replicated"] == str(counts[replication.YES])


def test_without_records_the_conclusion_has_dashes() -> None:
    words = conclusion.texts([])
    assert words["dt − bc"] == words["critic"] == words["leap cost"] == "–"
    assert words["leap levels"] == words["heads"] == "0"


def test_the_conclusion_uses_every_number_that_it_names() -> None:
    page = (ROOT / "book" / "conclusion.md").read_text("utf8")
    used = set(re.findall(r"\{glue:text\}`(\w+)`", page))
    rows = results.read_all(results.shipped())
    known = {n.replace(" − ", "_").replace(" ", "_") for n in conclusion.texts(rows)}
    assert used <= known and len(used) > 15


# Your own data


def test_twenty_lines_are_twenty_lines() -> None:
    page = (ROOT / "book" / "own-data.md").read_text("utf8")
    section = page.split("## Twenty lines")[1].split("\n## ")[0]
    cell = section.split("```{code-cell} ipython3\n")[1].split("\n```")[0]
    assert len([line for line in cell.splitlines() if line.strip()]) <= 20


def test_the_page_on_own_data_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQRL_SPEED", "smoke")
    page = (ROOT / "book" / "own-data.md").read_text("utf8")
    scope: dict[str, Any] = {}
    for cell in page.split("```{code-cell} ipython3\n")[1:]:
        exec(cell.split("\n```")[0], scope)
    assert scope["again"].equal(scope["data"])
    assert len(scope["found"]) == len(scope["earned"][95.0]) == scope["rows"]
    assert "not judged at smoke" in capsys.readouterr().out
