"""A description for every page, which search engines and messengers show: its first paragraph."""

from __future__ import annotations

import html

from docutils import nodes
from sphinx.application import Sphinx

LONGEST = 300
"""Characters; what is longer is cut at a word."""


def first_paragraph(doctree: nodes.document) -> str:
    """The first paragraph under the title, on one line."""
    for paragraph in doctree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.section) and (text := " ".join(paragraph.astext().split())):
            return text if len(text) <= LONGEST else text[:LONGEST].rpartition(" ")[0] + " …"
    return ""


def describe(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Put the description of a page into its head."""
    if doctree is not None and (text := first_paragraph(doctree)):
        context["metatags"] = f'{context.get("metatags", "")}<meta name="description" content="{html.escape(text)}" />'


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
