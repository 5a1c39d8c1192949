"""Tables of Markdown, which have no caption, are called what their section is called: for those who hear the page."""

from __future__ import annotations

import html

from docutils import nodes
from sphinx.application import Sphinx


def name_tables(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Give every table without a caption the title of its section as one that is read out and not seen."""
    for table in doctree.findall(nodes.table):
        section = table.parent
        while not isinstance(section, (nodes.section, nodes.document)):
            section = section.parent
        title = section.next_node(nodes.title)
        if title and title.parent is section and not isinstance(table.children[0], nodes.title):
            caption = f'<caption class="visually-hidden">{html.escape(title.astext())}</caption>'
            table.insert(0, nodes.raw("", caption, format="html"))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", name_tables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
