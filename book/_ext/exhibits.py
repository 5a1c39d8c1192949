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


def numbered(body: str, chapter: int) -> str:
    """`body` with "Figure 5.1.", "Table 5.1.", … before the captions, and ids that no two exhibits share."""
    seen: Counter[str] = Counter()

    def number(match: re.Match[str]) -> str:
        opening, tag, anchor, rest = match.groups()
        seen.update([tag, anchor])
        anchor += f"-{seen[anchor]}" if seen[anchor] > 1 else ""
        name = f"{KINDS[tag]} {chapter}.{seen[tag]}"
        return f'{opening}{anchor}{rest}<a class="aeda-number" href="#{anchor}">{name}.</a> '

    return EXHIBIT.sub(number, body)


def number_page(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Number what a chapter shows; other pages have no number of their own."""
    if "body" in context and (chapter := re.match(r"\d+", Path(page).name)):
        context["body"] = numbered(context["body"], int(chapter[0]))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", number_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
