"""A figure with a slider that works in a page by itself: no server, nothing loaded, and without a script one frame."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aeda_core.display import captions
from aeda_core.display.look import BLUE, Figure

CSS, SCRIPT = ("\n" + Path(__file__).with_name(name).read_text("utf-8") for name in ("slider.css", "slider.js"))


@dataclass(frozen=True)
class Slider(Figure):
    """A Figure whose `svg` has a frame for each position of a slider (`with_frames`).

    quantity: what the slider sets
    labels:   its value at each position
    says:     a sentence for each position, read out as the slider moves
    initial:  the position that is seen first, and without a script the only one
    """

    quantity: str
    labels: Sequence[str]
    says: Sequence[str]
    initial: int

    @property
    def id(self) -> str:
        """Of the slider on the page; two with different pictures never share one."""
        return f"slider-{hashlib.sha256(self.svg.encode()).hexdigest()[:8]}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        bundle = super()._repr_mimebundle_(include, exclude)
        page = bundle["text/html"].replace("<figcaption>", f"{self._control()}\n<figcaption>", 1)
        script = SCRIPT.replace("SLIDER", self.id)
        return bundle | {"text/html": f"{page}\n<style>{CSS}</style>\n<script>{script}</script>"}

    def _control(self) -> str:
        """The slider, hidden until the script that it needs runs; and a sentence for where none does."""
        labels, says = (html.escape(json.dumps(list(each), ensure_ascii=False)) for each in (self.labels, self.says))
        said = captions.for_html(self.says[self.initial])
        return (
            f'<div class="aeda-slider" data-labels="{labels}" data-says="{says}" hidden>\n'
            f'<label for="{self.id}">{self.quantity} = <b>{self.labels[self.initial]}</b></label>\n'
            f'<input type="range" id="{self.id}" min="0" max="{len(self.says) - 1}" step="1" '
            f'value="{self.initial}" autocomplete="off" style="accent-color: {BLUE}">\n'
            f'<output for="{self.id}" aria-live="polite">{said}</output>\n</div>\n'
            f"<noscript><p>{said} The slider over {self.quantity} needs JavaScript.</p></noscript>"
        )


def with_frames(svg: str, initial: int) -> str:
    """`svg`, whose artists with the gid frame:0, frame:1, … are the frames of a slider, all but `initial` unseen."""
    return re.sub(rf'(<g data-frame="(?!{initial}")\d+")', r'\1 style="display: none"', svg)
