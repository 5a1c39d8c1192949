"""Formulas as MathML: every current browser draws it by itself, in the page's own ink, and nothing is downloaded.

docutils brings the translation from LaTeX; Sphinx 7 just does not offer it as a renderer of its own.
"""

from __future__ import annotations

import html

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


def inline(translator, node: nodes.math) -> None:
    translator.body.append(_mathml(node, as_block=False) + "&#8288;")  # keeps a full stop on the formula's line
    raise nodes.SkipNode


def block(translator, node: nodes.math_block) -> None:
    translator.body.append(translator.starttag(node, "div", CLASS="aeda-math"))
    translator.body.append(_mathml(node, as_block=True) + "</div>\n")
    raise nodes.SkipNode


def _mathml(node: nodes.Element, as_block: bool) -> str:
    latex = node.astext()
    try:
        mathml = tex2mathml(latex, as_block=as_block).strip().replace("\n", "")
        return mathml.replace("<mo>'</mo>", '<mo lspace="0" rspace="0">′</mo>')  # b' has a prime, no apostrophe
    except SyntaxError as reason:  # what docutils raises for LaTeX that it does not know
        logger.warning("no MathML for '%s': %s", latex, reason, location=node)
        return f"<code>{html.escape(latex)}</code>"


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
