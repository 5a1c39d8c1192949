"""Figures of a report as SVG. Ink, colours and font are the page's (report.css)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from aeda_core.own.measured import Estimate
from aeda_core.own.report import element

WIDTH, LINE = 420, 16
"""Units; a letter is about 6 of them wide, so that it can still be read on a telephone."""

LABEL = 17
"""Letters of a name that a figure has room for."""

COLOURS = 6
"""Bias values that have a colour of their own; each has a place and a shape, too."""

SHAPES = ("circle", "square", "diamond", "triangle")


def dots(rows: Sequence[tuple[str, Sequence[Estimate | None]]], series: Sequence[str], unit: str) -> Element:
    """A dot with an interval for each row and series, on a scale from 0 to 100.

    rows: a name, and of each series a value with its interval, or None
    """
    left, right, height = 136, WIDTH - 12, max(LINE, 9 * len(series) + 8)
    top = _legend_height(series)
    bottom = top + height * len(rows)

    def at(value: float) -> float:
        return left + (right - left) * value / 100

    drawn = [*_legend(series), *_scale([(at(tick), f"{tick}") for tick in range(0, 101, 25)], top, bottom, unit)]
    for place, (name, values) in enumerate(rows):
        middle = top + height * (place + 0.5)
        drawn.append(_text(left - 6, middle + 4, shortened(name), "end", name))
        for number, dot in enumerate(values):
            if dot is not None:
                y = middle + 9 * (number - (len(series) - 1) / 2)
                words = f"{name}, {series[number]}: {dot.text(1)}"
                line = element("line", class_="interval", **_numbers(x1=at(dot.low), x2=at(dot.high), y1=y, y2=y))
                drawn.append(_group(number, line, _mark(number, at(dot.value), y), title=words))
    return _svg(drawn, bottom + 36)


def scatter(points: Sequence[tuple[float, float, str]], x_label: str, y_label: str) -> Element:
    """Points (x from 0 to 100, y of either sign, name)."""
    left, right, top, bottom = 48, WIDTH - 12, 30, 290
    reach = _round_up(max(abs(y) for _, y, _ in points))

    def at(x: float, y: float) -> tuple[float, float]:
        return left + (right - left) * x / 100, (top + bottom) / 2 - (bottom - top) / 2 * y / reach

    drawn = [*_scale([(at(tick, 0)[0], f"{tick}") for tick in range(0, 101, 25)], top, bottom, x_label)]
    for tick in (-reach, 0.0, reach):
        y = at(0, tick)[1]
        drawn.append(element("line", class_="axis" if tick == 0 else "grid", **_numbers(x1=left, x2=right, y1=y, y2=y)))
        drawn.append(_text(left - 6, y + 4, f"{tick:+g}".replace("-", "−") if tick else "0", "end"))
    drawn.append(_text(4, 16, y_label, "start"))
    for x, y, name in points:
        drawn.append(_group(0, _mark(0, *at(x, y)), title=f"{name}: {x:.0f} %, {y:+.1f}"))
    return _svg(drawn, bottom + 36)


def shortened(name: str) -> str:
    """`name`, or as much of it as a figure has room for."""
    return name if len(name) <= LABEL else name[: LABEL - 1] + "…"


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 and 100."""
    return next((step for step in (1.0, 2.0, 5.0, 10.0, 20.0, 50.0) if step >= value), 100.0)


def _legend_height(series: Sequence[str]) -> int:
    return 12 + LINE * math.ceil(len(series) / 3)


def _legend(series: Sequence[str]) -> list[Element]:
    """The names of the series behind their marks, three in a line."""
    drawn = []
    for number, name in enumerate(series):
        x, y = 12 + 138 * (number % 3), 12 + LINE * (number // 3)
        drawn += [_group(number, _mark(number, x, y - 4)), _text(x + 9, y, shortened(name), "start", name)]
    return drawn


def _scale(ticks: Sequence[tuple[float, str]], top: float, bottom: float, label: str) -> list[Element]:
    """A horizontal axis below, with a line up at every tick."""
    drawn = [element("line", class_="grid", **_numbers(x1=x, x2=x, y1=top, y2=bottom)) for x, _ in ticks]
    drawn += [_text(x, bottom + 15, text, "middle") for x, text in ticks]
    return [*drawn, _text((ticks[0][0] + ticks[-1][0]) / 2, bottom + 31, label, "middle")]


def _mark(number: int, x: float, y: float) -> Element:
    """The shape of a series, around (x, y)."""
    shape = SHAPES[number % len(SHAPES)]
    if shape == "circle":
        return element("circle", class_="mark", **_numbers(cx=x, cy=y, r=4))
    corners = {
        "square": ((-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)),
        "diamond": ((0, -5), (5, 0), (0, 5), (-5, 0)),
        "triangle": ((0, -5), (4.5, 3.5), (-4.5, 3.5)),
    }[shape]
    return element("polygon", class_="mark", points=" ".join(f"{x + dx:g},{y + dy:g}" for dx, dy in corners))


def _group(number: int, *marks: Element, title: str = "") -> Element:
    """Marks in the colour of a series; browsers show the title where one points."""
    titles = [element("title", title)] if title else []
    return element("g", *titles, *marks, class_=f"series-{number % COLOURS}")


def _text(x: float, y: float, text: str, anchor: str, title: str = "") -> Element:
    titles = [element("title", title)] if title not in ("", text) else []
    return element("text", *titles, text, text_anchor=anchor, **_numbers(x=x, y=y))


def _numbers(**values: float) -> dict[str, str]:
    return {name: f"{value:.1f}" for name, value in values.items()}


def _svg(drawn: Sequence[Element], height: float) -> Element:
    return element("svg", *drawn, viewBox=f"0 0 {WIDTH} {height:g}", xmlns="http://www.w3.org/2000/svg")
