"""One look for all plots: inline SVG that takes its ink and its letters from the page, light or dark."""

from __future__ import annotations

import functools
import io
import itertools
import math
import zlib
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from aeda_core.display import captions, svg
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

COLUMN, PHONE = 7.2, 3.9
"""Inches: how wide a figure is that fills the column of a page, and one that fills a phone's."""

_PHONE = ContextVar("whether a figure is drawn for a phone", default=False)


def on_phone() -> bool:
    """Whether what is drawn just now is the figure for a phone."""
    return _PHONE.get()


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
    """`draw` in STYLE; what it makes, if that is a Figure, is drawn once more for phones."""

    @functools.wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> Any:
        with mpl.rc_context(STYLE):
            made = draw(*args, **kwargs)
            if not isinstance(made, Figure):
                return made
            token = _PHONE.set(True)
            try:
                small = draw(*args, **kwargs).svg
            finally:
                _PHONE.reset(token)
        return replace(made, small=svg.borrowing(small, made.svg))

    return drawn


def sheet(height: float, on_phone_: float) -> Canvas:
    """An empty canvas as wide as the column, and as many inches high as is said for a page and for a phone."""
    if not on_phone():
        return Canvas(figsize=(COLUMN, height), layout="constrained")
    drawn = Canvas(figsize=(PHONE, on_phone_), layout="constrained")
    drawn.get_layout_engine().set(h_pad=0.08)  # a panel's words stand off the next panel
    return drawn


def canvas(
    height: float, rows: int = 1, columns: int = 1, *, phone: tuple[int, int, float] | None = None, **how: Any
) -> tuple[Canvas, Any]:
    """A `sheet` and the panels that its `subplots` are, in an array of the shape that they have on a page.

    phone: rows, columns and height on a phone; otherwise all panels are below each other, as high as on a page
    """
    low, wide, high = phone or (rows * columns, 1, height * columns)
    drawn = sheet(height, high)
    squeeze = how.pop("squeeze", True)
    panels = drawn.subplots(*((low, wide) if on_phone() else (rows, columns)), squeeze=False, **how)
    panels = panels.reshape(rows, columns)
    if not squeeze:
        return drawn, panels
    return drawn, panels[0, 0] if panels.size == 1 else panels.squeeze()


def legend(drawn: Canvas, place: str, ncols: int, *entries: Any, **how: Any) -> None:
    """A legend outside of the panels, in `ncols` columns or in as many as there is room for; rows that this adds make
    the figure higher. `entries` and `how` are as matplotlib takes them."""
    for n in range(ncols, 0, -1):
        made = drawn.legend(*entries, loc=f"outside {place}", ncols=n, **how)
        if n == 1 or made.get_window_extent().width <= drawn.bbox.width:
            break
        made.remove()
    size = len(made.get_texts())
    more = math.ceil(size / n) - math.ceil(size / ncols)
    drawn.set_figheight(drawn.get_figheight() + 0.17 * more)


@dataclass(frozen=True)
class Figure:
    """A picture as SVG, and the same for a phone (`small`), with the words that stand for it (`alt`) and under it
    (`caption`), the runs that it shows (`records`), and its `name`, by which a page links to it."""

    svg: str
    alt: str
    caption: str
    records: Sequence[RunRecord] = field(default=(), kw_only=True)
    name: str = field(default="", kw_only=True)
    small: str = field(default="", kw_only=True)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        caption = f"<figcaption>{captions.for_html(self.caption)}</figcaption>"
        below = f"{caption}\n{captions.details(self.records)}"
        opened = f'<figure class="aeda-figure" id="{captions.anchor("fig", self.name)}">'
        return {
            "text/html": f"{opened}\n{pictures(self.svg, self.small)}\n{below}</figure>",
            "text/plain": f"{self.alt}\n{self.caption}",
        }


def pictures(drawn: str, small: str) -> str:
    """Two drawings of one thing, of which book.css shows the one that fits; elsewhere it is the first."""
    column, phone = 'class="aeda-picture aeda-column"', 'class="aeda-picture aeda-phone" hidden'
    return f"<div {column}>{drawn}</div>\n<div {phone}>{small}</div>"


def finished(drawn: Canvas, name: str, records: Sequence[RunRecord] = (), origin: str = "", **told: Any) -> Figure:
    """What a canvas shows as a Figure. Its words are those of `name` in words.toml, filled in by `told` (see
    `captions.caption`), and `name` keeps its ids apart from those of other figures on a page."""
    file = io.StringIO()
    drawn.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    alt, caption = captions.WORDS[name]["alt"].format(**told), captions.caption(name, records, origin, **told)
    return Figure(svg.for_page(file.getvalue(), name, alt, INK), alt, caption, records=records, name=name)
