"""One look for all plots: inline SVG that takes its ink and its letters from the page, light or dark."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure as Canvas

from aeda_core.report import captions
from aeda_core.runs import RunRecord

INK = "#010203"
"""Stands for the page's text colour: `currentColor` in the SVG, as good as black in the PNG."""

BLUE, VERMILLION, GREEN, PURPLE, OCHRE, GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b87f00", "#8a8a8a"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, OCHRE, GREY)
"""Okabe and Ito's colours as far as they keep a contrast of 3 to white and #121212; ochre is their orange, darker."""

LOOKS: dict[str, dict[str, Any]] = {
    "original": {"color": INK, "linestyle": "-"},
    "undersampling": {"color": GREY, "linestyle": ":"},
    "reweighting": {"color": GREY, "linestyle": "-"},
    "adversarial_debiasing": {"color": PURPLE, "linestyle": "-"},
    "cyclegan": {"color": PURPLE, "linestyle": "--"},
    "aeda_pre": {"color": OCHRE, "linestyle": "-"},
    "aeda_pre_robust_source": {"color": GREY, "linestyle": "-."},
    "aeda_once": {"color": OCHRE, "linestyle": "--"},
    "aeda_online": {"color": BLUE, "linestyle": "-"},
    "aeda_robust": {"color": VERMILLION, "linestyle": "-"},
    "aeda_robust_stopped": {"color": VERMILLION, "linestyle": "--"},
    "aeda_robust_per_batch": {"color": GREEN, "linestyle": "-"},
    "aeda_robust_per_batch_stopped": {"color": GREEN, "linestyle": "--"},
    "aeda_robust_warm": {"color": BLUE, "linestyle": "-."},
    "oracle": {"color": GREY, "linestyle": "--"},
    "hard_switch": {"color": GREY, "linestyle": "-"},
    "adversarial_switch": {"color": OCHRE, "linestyle": "-"},
    "adversarial_switch_robust_source": {"color": VERMILLION, "linestyle": "-"},
}
"""A method looks the same in every figure."""

WIDTH = 7.2
"""Inches; a figure fills the column of a page."""

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "aeda",
    "image.composite_image": False,
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "legend.frameon": False,
    "grid.alpha": 0.18,
    "grid.linewidth": 0.7,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "patch.edgecolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color", "grid.color"), INK),
}


@dataclass(frozen=True)
class Figure:
    """A picture as SVG and PNG, with the words that stand for it (`alt`) and under it (`caption`), and the runs that
    it shows (`records`)."""

    svg: str
    png: bytes
    alt: str
    caption: str
    records: Sequence[RunRecord] = field(default=(), kw_only=True)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        caption = f"<figcaption>{captions.for_html(self.caption)}</figcaption>"
        below = f"{caption}\n{captions.details(self.records)}"
        return {
            "text/html": f'<figure class="aeda-figure">\n{self.svg}\n{below}</figure>',
            "image/png": base64.b64encode(self.png).decode(),
            "text/plain": f"{self.alt}\n{self.caption}",
        }


def finished(canvas: Canvas, name: str, *, alt: str, caption: str, records: Sequence[RunRecord] = ()) -> Figure:
    """What `canvas` shows as a Figure; `name` keeps its ids apart from those of other figures on a page."""
    svg, png = io.StringIO(), io.BytesIO()
    canvas.savefig(svg, format="svg", transparent=True, metadata={"Date": None})
    canvas.savefig(png, format="png", dpi=110, facecolor="white", metadata={"Software": None})
    return Figure(_for_page(svg.getvalue(), name, alt), png.getvalue(), alt, caption, records=records)


def _for_page(svg: str, name: str, alt: str) -> str:
    """matplotlib's SVG as part of a page: the page's ink and font, ids that no other figure has, no size of its own."""
    body = svg[svg.index("<g id=") : svg.rindex("</svg>")]
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body).replace(INK, "currentColor")
    body = re.sub(r'<g id="tip:([^"]*)">', r"<g><title>\1</title>", body)  # browsers show it where one points
    prefix = f"{name}-{hashlib.sha256(body.encode()).hexdigest()[:6]}"
    body = re.sub(r'\bid="', f'id="{prefix}-', body)
    body = re.sub(r'href="#', f'href="#{prefix}-', body).replace("url(#", f"url(#{prefix}-")
    body = re.sub(r" transform=\"rotate\(-0 [^)]*\)\"", "", body)
    width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())
    return (
        f'<svg role="img" aria-label="{html.escape(alt)}" viewBox="0 0 {width:g} {height:g}" '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'stroke-linejoin="round" stroke-linecap="butt" fill="currentColor">\n{body}</svg>'
    )
