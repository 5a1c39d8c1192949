"""Fig. 6: one epoch of AEDA_online and AEDA_robust as a drawing, which fig6.svg holds, and fig6-phone.svg once more."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path

from aeda_core.display import captions
from aeda_core.display.look import pictures


@dataclass(frozen=True)
class Diagram:
    """A drawing that is the same for all data: SVG in the page's ink, whose <title> and <desc> stand for it, and the
    same for a phone."""

    svg: str
    small: str
    caption: str

    @property
    def title(self) -> str:
        """The drawing's name."""
        return self._told("title")

    @property
    def alt(self) -> str:
        """The drawing in words."""
        return self._told("desc")

    def _told(self, tag: str) -> str:
        return html.unescape(re.search(f"<{tag}[^>]*>(.*?)</{tag}>", self.svg, re.DOTALL)[1])

    def _repr_html_(self) -> str:
        below = f"<figcaption>{captions.for_html(self.caption)}</figcaption>"
        opened = f'<figure class="aeda-figure" id="{captions.anchor("fig", "fig6")}">'
        return f"{opened}\n{pictures(self.svg, self.small)}\n{below}\n</figure>"

    def __repr__(self) -> str:
        return f"{self.title}. {self.alt}\n{self.caption}"


def fig6() -> Diagram:
    """Fig. 6: what an epoch of AEDA_online and AEDA_robust does, in what order, and what each step changes."""
    drawings = (Path(__file__).with_name(f"{name}.svg").read_text(encoding="utf-8") for name in ("fig6", "fig6-phone"))
    return Diagram(
        *map(str.strip, drawings),
        "An epoch of AEDA_online and AEDA_robust (after Fig. 6 of the paper). f is shared: what the target head learns "
        "from is what the attack looks through. Only the dashed arrows are new in AEDA_robust. A drawing, no data.",
    )
