"""Fig. 6: one epoch of AEDA_online and AEDA_robust as a drawing."""

from __future__ import annotations

import html
from dataclasses import dataclass

import numpy as np

from aeda_core.report import captions
from aeda_core.report.look import BLUE, GREEN, INK, OCHRE, VERMILLION


@dataclass(frozen=True)
class Diagram:
    """A drawing that is the same for all data: SVG in the page's ink, with `title` and `alt` for who cannot see it."""

    svg: str
    title: str
    alt: str
    caption: str

    def _repr_html_(self) -> str:
        head = f"<title>{html.escape(self.title)}</title>\n<desc>{html.escape(self.alt)}</desc>"
        for name in ("title", "desc"):
            head = head.replace(f"<{name}>", f'<{name} id="fig6-{name}">')
        caption = captions.for_html(self.caption)
        return (
            '<figure class="aeda-figure">\n<svg role="img" aria-labelledby="fig6-title fig6-desc" '
            'xmlns="http://www.w3.org/2000/svg" viewBox="8 40 708 356" fill="currentColor" font-size="14">\n'
            f"{head}\n{self.svg}\n</svg>\n<figcaption>{caption}</figcaption>\n</figure>"
        )

    def __repr__(self) -> str:
        return f"{self.title}. {self.alt}\n{self.caption}"


STEPS = {
    "1": (BLUE, "", "target training, Eq. (4)"),
    "2": (GREEN, "", "bias training, f fixed, Eq. (5)"),
    "2r": (VERMILLION, "6 4", "AEDA_robust adds the examples, Eq. (6)"),
    "3": (OCHRE, "", "adversarial attack, Eq. (3)"),
}
"""The steps of an epoch: colour, dashes, name."""


def fig6() -> Diagram:
    """Fig. 6: what an epoch of AEDA_online and AEDA_robust does, in what order, and what each step changes."""
    x_ori, x_adv, f = (24, 70, 118, 64), (24, 214, 118, 64), (256, 112, 112, 124)
    h_t, h_b, loss_t, loss_b = (446, 74, 92, 56), (446, 218, 92, 56), (596, 74, 92, 56), (596, 218, 92, 56)
    boxes = [
        _box(x_ori, "X|ori", "as given"),
        _box(x_adv, "X|adv", "renewed in 3", STEPS["3"][0], stacked=True),
        _box(f, "f|", "learns in 1", STEPS["1"][0]),
        _box(h_t, "h|t", "learns in 1", STEPS["1"][0]),
        _box(h_b, "h|b", "learns in 2", STEPS["2"][0]),
        _box(loss_t, "L|target", "", plain=True),
        _box(loss_b, "L|bias", "", plain=True),
    ]
    arrows = [
        _arrow("1", (142, 94), (256, 148)), _arrow("2", (142, 110), (256, 164)),
        _arrow("1", (142, 240), (256, 186)), _arrow("2r", (142, 256), (256, 202)),
        _arrow("1", (368, 148), (446, 102)),
        _arrow("2", (368, 186), (446, 238)), _arrow("2r", (368, 204), (446, 256)),
        _arrow("1", (538, 102), (596, 102)),
        _arrow("2", (538, 240), (596, 240)), _arrow("2r", (538, 254), (596, 254)),
        _arrow("3", (688, 102), (706, 102), (706, 314), (83, 314), (83, 282)),
        _arrow("3", (642, 274), (642, 314), head=False),
    ]  # fmt: skip
    words = [
        _text(642, 62, "t", italic=True), _text(642, 206, "b", italic=True), _text(374, 306, "towards b′, keeping t"),
        _badge("1", 407, 125), _badge("2", 407, 212), _badge("3", 180, 314),
    ]  # fmt: skip
    key = []
    for (name, (_, _, label)), (x, y) in zip(
        STEPS.items(), ((24, 352), (24, 384), (330, 384), (330, 352)), strict=True
    ):
        key += [_arrow(name, (x, y), (x + 44, y)), _text(x + 54, y + 5, label, anchor="start")]
    alt = (
        "Two sets of images on the left: the originals X_ori and the adversarial examples X_adv. Both go through the "
        "feature extractor f, on which the target head h_t and the bias head h_b stand. Step 1: originals and examples "
        "pass f and h_t to the target loss with the target label t, and f and h_t learn. Step 2: the originals pass "
        "the fixed f and h_b to the bias loss with the bias value b, and h_b learns; in AEDA_robust, dashed, the "
        "examples do so too. Step 3: from both losses an arrow leads back to X_adv: the examples are made anew towards "
        "the other bias value, keeping the target label."
    )
    return Diagram(
        "\n".join([*arrows, *boxes, *words, *key]),
        "An epoch of AEDA_online and AEDA_robust",
        alt,
        "An epoch of AEDA_online and AEDA_robust (after Fig. 6 of the paper). f is shared: what the target head learns "
        "from is what the attack looks through. Only the dashed arrows are new in AEDA_robust. A drawing, no data.",
    )


def _box(
    at: tuple[int, ...], name: str, note: str, colour: str = INK, *, stacked: bool = False, plain: bool = False
) -> str:
    x, y, width, height = at
    stroke = "currentColor" if colour == INK else colour
    border = f'stroke="{stroke}" stroke-width="1.8" fill="none"'
    corner = 8
    if plain:
        border, corner = f'stroke="{stroke}" stroke-dasharray="2 3" fill="none"', height // 2
    shapes = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{corner}" {border}/>'
    if stacked:  # another sheet behind: these are many, and new ones every time
        right, bottom = x + width + 5, y + height + 5
        edge = f"M{x + 7} {bottom}H{right - 8}Q{right} {bottom} {right} {bottom - 8}"
        shapes += f'<path d="{edge}V{y + 7}" fill="none" stroke="{stroke}" stroke-opacity="0.5"/>'
    letter, _, below = name.partition("|")
    middle = y + height / 2 + (0 if note else 6)
    label = (
        f'<text x="{x + width / 2}" y="{middle}" text-anchor="middle" font-size="19"><tspan font-style="italic">'
        f'{letter}</tspan><tspan dy="5" font-size="12">{below}</tspan></text>'
    )
    return shapes + label + (_text(x + width / 2, middle + 22, note, size=12) if note else "")


def _arrow(step: str, *points: tuple[int, int], head: bool = True) -> str:
    colour, dashes, _ = STEPS[step]
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    path = "M" + "L".join(f"{x} {y}" for x, y in points)
    line = f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>'
    if not head:
        return line
    (x0, y0), (x1, y1) = points[-2:]
    degrees = np.degrees(np.arctan2(y1 - y0, x1 - x0))
    return (
        line + f'<path d="M0 0L-9 -4.5V4.5Z" transform="translate({x1} {y1}) rotate({degrees:.1f})" fill="{colour}"/>'
    )


def _badge(step: str, x: int, y: int) -> str:
    circle = f'<circle cx="{x}" cy="{y}" r="11" fill="{STEPS[step][0]}"/>'
    return circle + f'<text x="{x}" y="{y + 5}" text-anchor="middle" fill="#fff" font-weight="bold">{step}</text>'


def _text(x: float, y: float, words: str, *, anchor: str = "middle", size: int = 13, italic: bool = False) -> str:
    style = ' font-style="italic"' if italic else ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}"{style}>{words}</text>'
