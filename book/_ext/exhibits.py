"""Figures and tables of a chapter are numbered in the order of the page, and each number is a link to what it names."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from sphinx.application import Sphinx

EXHIBIT = re.compile(
    r'(<(figure|div) class="aeda-(?:figure|table-box)" id=")([\w-]+)(">.*?<(?:fig)?caption>)', re.DOTALL
)
KINDS = {"figure": "Figure", "div": "Table"}

BEGINS = re.compile(r'(?<=<span id="document-)([^"]+)(?="></span>)')
"""Where a page begins in a book that is a single page."""


def numbered(body: str, page: str, anchors: Counter[str]) -> str:
    """`body` with "Figure 5.1.", "Table 5.1.", … before the captions, if `page` is a chapter; others have no number.

    anchors: counts the ids of the exhibits, so that no two of them share one
    """
    chapter, seen = re.match(r"\d+", Path(page).name), Counter[str]()
    if not chapter:
        return body

    def number(match: re.Match[str]) -> str:
        opening, tag, anchor, rest = match.groups()
        seen[tag] += 1
        anchors[anchor] += 1
        anchor += f"-{anchors[anchor]}" if anchors[anchor] > 1 else ""
        name = f"{KINDS[tag]} {int(chapter[0])}.{seen[tag]}"
        return f'{opening}{anchor}{rest}<a class="aeda-number" href="#{anchor}">{name}.</a> '

    return EXHIBIT.sub(number, body)


def number_page(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Number what a chapter shows, on its own page or in a book that is a single one."""
    if "body" in context:
        first, *others = BEGINS.split(context["body"])
        anchors: Counter[str] = Counter()
        parts = [numbered(first, page, anchors)]
        for name, text in zip(others[::2], others[1::2], strict=True):
            parts += [name, numbered(text, name, anchors)]
        context["body"] = "".join(parts)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", number_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
