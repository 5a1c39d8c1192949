"""One picture of all claims: each effect beside the paper's, in units of the paper's, with its interval and verdict."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from aeda_core import datasets
from aeda_core.findings.judge import JUDGED, MARKS, Claim, Statement, told

LEFT, RIGHT = -1.0, 2.0
"""The ends of the scale, in units of the paper's effect; what lies beyond is an arrow."""

PIXELS = 40
"""Of a unit."""


KEY = (
    "Each line is a claim of the paper about AEDA. Its bar is the 95 % interval of the effect here, its dot the mean. "
    "The thin line is no effect, the tick the paper's effect, and every bar is in units of that. Where the paper has "
    "words alone, the tick is the least that they ask for; where they ask for any effect, there is no tick. For a "
    "claim that something is stable, the bar should lie between line and tick. An arrow marks a bar that ends outside "
    "the picture. All bars are from runs of profile `paper` on the real data; the scorecard names data and device."
)
"""How to read `picture`."""


def badge(verdict: str) -> str:
    """A verdict as HTML: mark, word and colour."""
    mark = f'<span aria-hidden="true">{MARKS[verdict]}</span> ' if verdict in MARKS else ""
    return f'<span class="aeda-verdict aeda-{verdict.replace(" ", "-")}">{mark}{verdict}</span>'


def picture(title: str, claims: Sequence[Claim], statements: dict[str, Statement], pages: dict[str, str]) -> str:
    """The judged ones of `claims` as a list in HTML, which a page of the book shows.

    statements: by the id of a claim, what it was judged by
    pages:      by `Claim.where`, the page that shows what it is about
    """
    shown = [claim for claim in claims if claim.verdict in JUDGED]
    lines = [_line(claim, statements[claim.id], pages[claim.where]) for claim in shown]
    return "\n".join([f'<ul class="aeda-forest" aria-label="{html.escape(title)}">', *lines, "</ul>"])


def _line(claim: Claim, statement: Statement, page: str) -> str:
    about = f"{claim.where}, {datasets.named(statement.data).title}"
    effect = _effect(claim, statement) if claim.ci95 else f"<span>{told(claim.ours)}</span>"
    return (
        f'<li class="aeda-{claim.verdict.replace(" ", "-")}"><a href="{page}.html">{html.escape(about)}</a> '
        f"<span>{html.escape(claim.claim, quote=False)}</span> {effect} {badge(claim.verdict)}</li>"
    )


def _effect(claim: Claim, statement: Statement) -> str:
    """Our mean and interval on the scale, and where the paper's effect is, as SVG with the numbers for its name."""
    assert claim.ci95 is not None and isinstance(claim.ours, float)
    unit = _unit(statement)
    scale = unit or abs(_on_scale(claim.ours, statement)) or 1.0
    low, mean, high = sorted(
        _on_scale(value, statement) / scale for value in (claim.ci95[0], claim.ours, claim.ci95[1])
    )
    paper = f"; the paper: {told(claim.paper)}" if claim.paper is not None else ""
    name = f"here {told(claim.ours)} [{told(claim.ci95[0])}, {told(claim.ci95[1])}]{paper}"
    x0, x1, x2 = (_x(value) for value in (low, mean, high))
    arrows = "".join(
        f'<path d="M{x:.1f} 8l{4 * way} -4v8z"/>'
        for x, way, beyond in ((_x(LEFT) + 4, -1, low < LEFT), (_x(RIGHT) - 4, 1, high > RIGHT))
        if beyond
    )
    goal = "" if unit is None else f'<path class="goal" d="M{_x(1):.1f} 1v14"/>'
    width = (RIGHT - LEFT) * PIXELS
    name = html.escape(name)
    return (
        f'<svg role="img" aria-label="{name}" viewBox="0 0 {width:g} 16"><title>{name}</title>'
        f'<path class="nothing" d="M{_x(0):.1f} 0v16"/>{goal}<path class="interval" d="M{x0:.1f} 8H{x2:.1f}"/>'
        f'{arrows}<circle cx="{x1:.1f}" cy="8" r="3.5"/></svg>'
    )


def _x(value: float) -> float:
    return float(np.clip(value, LEFT, RIGHT) - LEFT) * PIXELS


def _unit(statement: Statement) -> float | None:
    """What 1 is on the scale: the paper's effect, the least that its words ask for, or the end of what is stable. None
    where the words ask for any effect; our own mean is 1 then."""
    if statement.kind == "stable":
        return statement.bounds[1]
    return statement.papers if np.isfinite(statement.papers) else statement.least or None


def _on_scale(value: float, statement: Statement) -> float:
    """How far `value` is from 0 on the scale, in its own unit."""
    return value if statement.kind == "stable" else statement.effect(value)
