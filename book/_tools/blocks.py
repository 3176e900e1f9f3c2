"""The block structure of a MyST page: directives, code, display math, headings, labels, text.

Only what the book uses is understood; see `DIRECTIVE` and the patterns below. Bodies of directives
stay lines until somebody parses them in turn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from textwrap import dedent, indent
from typing import Any

import yaml

FENCE = re.compile(r"^(?P<indent>\s*)(?P<fence>`{3,}|~{3,}|:{3,})(?P<info>.*)$")
DIRECTIVE = re.compile(r"^\{(?P<name>[\w:.+-]+)\}\s*(?P<argument>.*?)\s*$")
LABEL = re.compile(r"^\((?P<label>[^()\s]+)\)=\s*$")
HEADING = re.compile(r"^(?P<marks>#{1,6})\s+(?P<title>.+?)\s*#*$")
MATH_END = re.compile(r"\$\$\s*(?:\((?P<label>[^()\s]+)\))?\s*$")
FOOTNOTE = re.compile(r"^\[\^(?P<name>[^\]]+)\]:\s*(?P<text>.*)$")
ATTRIBUTES = re.compile(r"^\{[.#][^`{}]*\}\s*$")


class MystError(ValueError):
    """A page uses something that the notebooks cannot say; the message names page and line."""


@dataclass
class Block:
    """One block; `kind` decides which fields mean something.

    directive: name, argument, options, lines (the body) · code: lines (with fences) ·
    math: lines (without dollars), name (the label) · heading: level, argument (the title) ·
    label: name · footnote: name, lines · text: lines · drop: nothing is left of it.
    """

    kind: str
    line: int
    lines: list[str] = field(default_factory=list)
    name: str = ""
    argument: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    level: int = 0
    indent: str = ""
    body_line: int = 0  # the number of the first line of a directive's body


def parse(lines: Sequence[str], first_line: int = 1) -> list[Block]:
    """The blocks of `lines`; `first_line` is the number of the first line in its file."""
    blocks: list[Block] = []
    position = 0
    while position < len(lines):
        block, position = _next_block(lines, position, first_line)
        if block.kind == "text" and blocks and blocks[-1].kind == "text":
            blocks[-1].lines += block.lines
        else:
            blocks.append(block)
    return blocks


def _next_block(lines: Sequence[str], position: int, first_line: int) -> tuple[Block, int]:
    """The block that begins at `position`, and the position after it."""
    line, number = lines[position], first_line + position
    fence = FENCE.match(line)
    if fence and not (fence["fence"][0] == ":" and not DIRECTIVE.match(fence["info"])):
        return _fenced(lines, position, fence, number)
    if line.lstrip().startswith("$$"):
        return _math(lines, position, number)
    if match := HEADING.match(line):
        return Block("heading", number, argument=match["title"], level=len(match["marks"])), (
            position + 1
        )
    if match := LABEL.match(line):
        return Block("label", number, name=match["label"]), position + 1
    if match := FOOTNOTE.match(line):
        return _footnote(lines, position, match, number)
    if line == "%" or line.startswith(("% ", "+++")) or ATTRIBUTES.match(line):
        return Block("drop", number), position + 1
    return Block("text", number, [line]), position + 1


def _fenced(
    lines: Sequence[str], position: int, fence: re.Match[str], number: int
) -> tuple[Block, int]:
    """A directive or a code block, up to its closing fence."""
    mark, margin = fence["fence"], fence["indent"]
    closing = re.compile(rf"^\s*{re.escape(mark[0])}{{{len(mark)},}}\s*$")
    end = position + 1
    while end < len(lines) and not closing.match(lines[end]):
        end += 1
    if end == len(lines):
        raise MystError(f"line {number}: the fence {mark}{fence['info']} is never closed")
    directive = DIRECTIVE.match(fence["info"].strip())
    if directive is None:
        return Block("code", number, list(lines[position : end + 1])), end + 1
    body = dedent("\n".join(lines[position + 1 : end])).split("\n") if end > position + 1 else []
    options, skipped = _options(body, number)
    block = Block(
        "directive",
        number,
        body[skipped:],
        name=directive["name"],
        argument=directive["argument"],
        options=options,
        indent=margin,
        body_line=number + 1 + skipped,
    )
    return block, end + 1


def _options(body: list[str], number: int) -> tuple[dict[str, Any], int]:
    """The options of a directive, `---` block or `:key: value` lines, and how many lines."""
    if body and body[0].strip() == "---":
        if "---" not in [line.strip() for line in body[1:]]:
            raise MystError(f"line {number}: the options between --- are never closed")
        end = next(i for i, line in enumerate(body[1:], 1) if line.strip() == "---")
        text, skipped = "\n".join(body[1:end]), end + 1
    else:
        skipped = 0
        while skipped < len(body) and re.match(r"^:[\w-]+:", body[skipped]):
            skipped += 1
        text = "\n".join(re.sub(r"^:([\w-]+):\s*(.*)$", _option, line) for line in body[:skipped])
    try:
        options = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise MystError(f"line {number}: options that are not YAML: {error}") from None
    return options, skipped


def _option(match: re.Match[str]) -> str:
    """`:key: value` as YAML: values that YAML might misread (colons, hashes) are quoted."""
    key, value = match[1], match[2].strip()
    if not value or value[0] in "[{\"'":
        return f"{key}: {value}"
    return f"{key}: " + "'" + value.replace("'", "''") + "'"


def _math(lines: Sequence[str], position: int, number: int) -> tuple[Block, int]:
    """Display math between double dollars, with its label."""
    margin = lines[position][: len(lines[position]) - len(lines[position].lstrip())]
    body = [lines[position].strip()[2:]]
    end = position
    while not MATH_END.search(body[-1]):
        end += 1
        if end == len(lines):
            raise MystError(f"line {number}: display math is never closed")
        body.append(lines[end].strip())
    match = MATH_END.search(body[-1])
    assert match is not None
    body[-1] = body[-1][: match.start()]
    content = [line.strip() for line in body if line.strip()]
    return Block("math", number, content, name=match["label"] or "", indent=margin), end + 1


def _footnote(
    lines: Sequence[str], position: int, match: re.Match[str], number: int
) -> tuple[Block, int]:
    """A footnote's definition with its indented continuation lines."""
    body, end = [match["text"]], position + 1
    while end < len(lines) and lines[end].startswith(("  ", "\t")):
        body.append(lines[end].strip())
        end += 1
    return Block("footnote", number, body, name=match["name"]), end


def margined(text: str, margin: str) -> str:
    """`text` moved right by `margin`, as a block inside a list item is."""
    return indent(text, margin) if margin else text
