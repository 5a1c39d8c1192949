"""One look for all plots: inline SVG that takes its ink and its letters from the page, light or dark."""

from __future__ import annotations

import functools
import hashlib
import html
import io
import itertools
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from aeda_core.display import captions
from aeda_core.methods import METHODS, STUDIES
from aeda_core.runs import VARIANTS, RunRecord

INK = "#010203"
"""Stands for the page's text colour: `currentColor` in the SVG."""

BLUE, VERMILLION, GREEN, PURPLE, OCHRE, GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b87f00", "#8a8a8a"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, OCHRE, GREY)
"""Okabe and Ito's colours as far as they keep a contrast of 3 to white and #121212; ochre is their orange, darker."""

LOOKS: dict[str, tuple[str, str]] = {
    "original": (INK, "-"),
    "undersampling": (GREY, ":"),
    "reweighting": (GREY, "-"),
    "adversarial_debiasing": (PURPLE, "-"),
    "cyclegan": (PURPLE, "--"),
    "aeda_pre": (OCHRE, "-"),
    "aeda_pre_robust_source": (GREY, "-."),
    "aeda_once": (OCHRE, "--"),
    "aeda_online": (BLUE, "-"),
    "aeda_robust": (VERMILLION, "-"),
    "aeda_robust_stopped": (VERMILLION, "--"),
    "aeda_robust_per_batch": (GREEN, "-"),
    "aeda_robust_per_batch_stopped": (GREEN, "--"),
    "aeda_robust_warm": (BLUE, "-."),
    "oracle": (GREY, "--"),
    "hard_switch": (GREY, "-"),
    "adversarial_switch": (OCHRE, "-"),
    "adversarial_switch_robust_source": (VERMILLION, "-"),
}
"""Colour and stroke: a method looks the same in every figure."""


def look(name: str) -> dict[str, str]:
    """How the line of a method, or of a variant of one, is drawn. One that LOOKS lacks has a marker, colour and stroke
    of its own, by its place in METHODS and STUDIES, or by its name if its method is not installed here."""
    if name in LOOKS:
        return dict(zip(("color", "linestyle"), LOOKS[name], strict=True))
    free = list(itertools.product("-:", "vPXd<>*", PALETTE))
    known = [method + variant for variant in ("", *VARIANTS) for method in (*METHODS, *STUDIES)]
    new = [each for each in known if each not in LOOKS]
    place = new.index(name) if name in new else zlib.crc32(name.encode())
    return dict(zip(("linestyle", "marker", "color"), free[place % len(free)], strict=True))


def point(name: str) -> dict[str, str]:
    """How the point of a method is drawn: in its colour, and no two of one colour alike."""
    own = look(name)
    return {"color": own["color"], "marker": own.get("marker", MARKERS[own["linestyle"]])}


MARKERS = {"-": "o", "--": "s", ":": "^", "-.": "h"}
"""The mark of a method that is known by its stroke."""

WIDTH = 7.2
"""Inches; a figure fills the column of a page."""

INKED = (
    "text.color",
    "axes.labelcolor",
    "axes.edgecolor",
    "patch.edgecolor",
    "xtick.color",
    "ytick.color",
    "grid.color",
)
STYLE = {**mpl.rc_params_from_file(Path(__file__).with_name("look.mplstyle"), use_default_template=False)}
STYLE |= dict.fromkeys(INKED, INK)


def styled(draw: Callable[..., Any]) -> Callable[..., Any]:
    """`draw` in STYLE."""

    @functools.wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> Any:
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


def sheet(height: float) -> Canvas:
    """An empty canvas as wide as the column and `height` inches high."""
    return Canvas(figsize=(WIDTH, height), layout="constrained")


def canvas(height: float, *shape: int, **how: Any) -> tuple[Canvas, Any]:
    """A `sheet` and the panels that its `subplots` are."""
    drawn = sheet(height)
    return drawn, drawn.subplots(*shape, **how)


@dataclass(frozen=True)
class Figure:
    """A picture as SVG, with the words that stand for it (`alt`) and under it (`caption`), the runs that it shows
    (`records`), and its `name`, by which a page links to it."""

    svg: str
    alt: str
    caption: str
    records: Sequence[RunRecord] = field(default=(), kw_only=True)
    name: str = field(default="", kw_only=True)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        caption = f"<figcaption>{captions.for_html(self.caption)}</figcaption>"
        below = f"{caption}\n{captions.details(self.records)}"
        opened = f'<figure class="aeda-figure" id="{captions.anchor("fig", self.name)}">'
        return {
            "text/html": f'{opened}\n<div class="aeda-picture">{self.svg}</div>\n{below}</figure>',
            "text/plain": f"{self.alt}\n{self.caption}",
        }


def finished(drawn: Canvas, name: str, records: Sequence[RunRecord] = (), origin: str = "", **told: Any) -> Figure:
    """What a canvas shows as a Figure. Its words are those of `name` in words.toml, filled in by `told` (see
    `captions.caption`), and `name` keeps its ids apart from those of other figures on a page."""
    svg = io.StringIO()
    drawn.savefig(svg, format="svg", transparent=True, metadata={"Date": None})
    alt, caption = captions.WORDS[name]["alt"].format(**told), captions.caption(name, records, origin, **told)
    return Figure(_for_page(svg.getvalue(), name, alt), alt, caption, records=records, name=name)


def _for_page(svg: str, name: str, alt: str) -> str:
    """matplotlib's SVG as part of a page: the page's ink and font, ids that no other figure has, no size of its own."""
    body = svg[svg.index("<g id=") : svg.rindex("</svg>")]
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body).replace(INK, "currentColor")
    # what belongs to a mark is shown with it (marks.js), and browsers show its title where one points
    body = re.sub(r'<g id="tip:([^":]*)(:[^"]*)">', r'<g data-of="\1"><title>\1\2</title>', body)
    body = re.sub(r'<g id="of:([^"]*)">', r'<g data-of="\1">', body)
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
