"""MyST Markdown to the plain Markdown that every notebook program shows (Colab's among them)."""

from __future__ import annotations

import re
from collections.abc import Callable

from blocks import Block, MystError, margined, parse
from inline import Page, convert, expand, image_address
from sheets import ANSWER

ADMONITIONS = ("note", "tip", "hint", "important", "warning", "caution", "attention", "danger",
               "error", "seealso")  # fmt: skip
QUOTED = (*ADMONITIONS, "admonition", "margin", "sidebar", "topic", "epigraph", "pull-quote")
PLAIN = ("div", "container", "grid", "grid-item", "tab-set")
TITLED = ("tab-item", "card", "grid-item-card", "rubric")
DROPPED = ("bibliography", "tableofcontents", "contents", "nb-exec-table")


def to_markdown(text: str, page: Page, first_line: int = 1) -> str:
    """The plain Markdown of a page or of one of its cells.

    MystError, with the line's number, for a directive or role that has no plain form; nothing is
    ever passed through unread.
    """
    return render(parse(text.split("\n"), first_line), page)


def render(blocks: list[Block], page: Page) -> str:
    """The plain Markdown of parsed blocks, with single blank lines between them."""
    parts: list[str] = []
    anchors: list[str] = []
    for block in blocks:
        if block.kind == "label":
            anchors.append(block.name)
            continue
        text = _render_one(block, page)
        if block.kind == "heading":
            text = _anchors(anchors, page) + text
        if block.kind != "text" or text.strip():
            anchors = []
        parts.append(margined(text.rstrip(), block.indent))
    joined = "\n".join(part if not part.strip() else part + "\n" for part in parts)
    return re.sub(r"\n{3,}", "\n\n", joined).strip("\n")


def _anchors(labels: list[str], page: Page) -> str:
    """Places to jump to, for labels that the same notebook refers to."""
    targets = [page.references.targets.get(label) for label in labels if label in page.anchored]
    return "".join(f'<a id="{target.anchor}"></a>\n\n' for target in targets if target)


def _render_one(block: Block, page: Page) -> str:
    if block.kind == "text":
        return _definitions(convert("\n".join(block.lines), page, block.line))
    if block.kind == "code":
        return "\n".join(block.lines)
    if block.kind == "heading":
        return "#" * block.level + " " + convert(block.argument, page, block.line)
    if block.kind == "math":
        return _math(block, page)
    if block.kind == "directive":
        return _directive(block, page)
    return ""  # footnotes stand at the notebook's end


def footnotes(blocks: list[Block], page: Page) -> str:
    """The page's footnotes as a numbered list, in the order of their marks, or ""."""
    texts = {block.name: block for block in blocks if block.kind == "footnote"}
    lines = []
    for number, name in enumerate(page.footnotes, 1):
        if name not in texts:
            raise MystError(f"the footnote [^{name}] has no text")
        block = texts[name]
        lines.append(f"{number}. " + convert(" ".join(block.lines), page, block.line))
    return "\n".join(["**Notes**", "", *lines]) if lines else ""


def _math(block: Block, page: Page) -> str:
    """Display math; a labeled equation carries the book's number."""
    number = page.references.number_at(page.docname, block.line, "equation")
    body = expand("\n".join(block.lines), page.macros)
    tag = [f"\\tag{{{number}}}"] if number else []
    return "\n".join(["$$", body, *tag, "$$"])


def _definitions(text: str) -> str:
    """Definition lists as bold terms."""
    return re.sub(r"(?m)^(\S[^\n]*)\n: +", r"**\1**  \n", text)


def _directive(block: Block, page: Page) -> str:
    if block.name in DROPPED:
        return ""
    classes = str(block.options.get("class") or "").split()
    if page.for_students and "solution" in classes:
        return ANSWER
    if block.name == "dropdown" or "dropdown" in classes:
        return _details(block, page)
    if block.name in QUOTED:
        return _quote(block, page)
    if block.name in PLAIN:
        return _body(block, page)
    if block.name in TITLED:
        title = convert(block.argument, page, block.line)
        return f"**{title}**\n\n{_body(block, page)}" if title else _body(block, page)
    if block.name in RENDERERS:
        return RENDERERS[block.name](block, page)
    raise MystError(
        f"line {block.line}: the notebooks have no form for the directive {{{block.name}}}"
    )


def _body(block: Block, page: Page) -> str:
    return render(parse(block.lines, block.body_line), page)


def _title(block: Block, page: Page) -> str:
    if block.argument and block.name not in ADMONITIONS:
        return convert(block.argument, page, block.line)
    return {"seealso": "See also"}.get(block.name, block.name.capitalize())


def _quote(block: Block, page: Page) -> str:
    """An admonition or marginal note: a block quote under a bold title."""
    body = _body(block, page)
    if block.argument and block.name in ADMONITIONS:  # its text may begin on the opening line
        body = f"{convert(block.argument, page, block.line)}\n{body}".rstrip()
    titled = block.name in (*ADMONITIONS, "admonition", "topic") or block.argument
    text = f"**{_title(block, page)}**\n\n{body}" if titled else body
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _details(block: Block, page: Page) -> str:
    """A folded part."""
    summary = _title(block, page) if block.name != "dropdown" or block.argument else "More"
    return f"<details>\n<summary>{summary}</summary>\n\n{_body(block, page)}\n\n</details>"


def caption(block_line: int, kind: str, text: str, page: Page) -> str:
    """A caption under its number: "**Figure 1.2.** ..."."""
    number = page.references.number_at(page.docname, block_line, kind)
    name = f"{kind.capitalize()} {number}".rstrip()
    return f"**{name}.** {convert(' '.join(text.split()), page, block_line)}"


def _figure(block: Block, page: Page) -> str:
    alt = str(block.options.get("alt") or "")
    image = f"![{alt}]({image_address(block.argument, page, block.line)})"
    body = "\n".join(block.lines).strip()
    if block.name == "image" or not body:
        return image
    words, _, legend = body.partition("\n\n")
    parts = [image, caption(block.line, "figure", words, page)]
    if legend:
        parts.append(render(parse(legend.split("\n"), block.body_line), page))
    return "\n\n".join(parts)


def _code_block(block: Block, page: Page) -> str:
    words = block.options.get("caption")
    code = "\n".join([f"```{block.argument}", *block.lines, "```"])
    return f"{caption(block.line, 'listing', str(words), page)}\n\n{code}" if words else code


def _table(block: Block, page: Page) -> str:
    body = _body(block, page)
    if not block.argument:
        return body
    return f"{caption(block.line, 'table', block.argument, page)}\n\n{body}"


def _list_table(block: Block, page: Page) -> str:
    """A list-table as a pipe table."""
    rows: list[list[str]] = []
    for line in block.lines:
        if match := re.match(r"^(\*|-) +- ?(.*)$", line):
            rows.append([match[2]])
        elif match := re.match(r"^ +- ?(.*)$", line):
            rows[-1].append(match[1])
        elif line.strip():
            rows[-1][-1] += " " + line.strip()
    cells = [[convert(cell.strip(), page, block.line) for cell in row] for row in rows]
    if not int(block.options.get("header-rows") or 0):
        cells.insert(0, [""] * len(cells[0]))
    cells.insert(1, ["---"] * len(cells[0]))
    table = "\n".join("| " + " | ".join(row) + " |" for row in cells)
    words = block.argument
    return f"{caption(block.line, 'table', words, page)}\n\n{table}" if words else table


def _raw(block: Block, page: Page) -> str:
    return "\n".join(block.lines) if block.argument == "html" else ""


def _button(block: Block, page: Page) -> str:
    return f"[{' '.join(block.lines).strip() or block.argument}]({block.argument})"


RENDERERS: dict[str, Callable[[Block, Page], str]] = {
    "figure": _figure,
    "image": _figure,
    "math": _math,
    "code-block": _code_block,
    "code": _code_block,
    "table": _table,
    "list-table": _list_table,
    "raw": _raw,
    "button-link": _button,
}
