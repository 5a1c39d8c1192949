"""Names beside points and at the ends of lines, placed so that they do not overlap."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from scipy.optimize import isotonic_regression

from aeda_core.display.look import INK, look
from aeda_core.findings.paper import label

SIZE = 8
"""Points; the least that any figure is lettered in, for a phone's sake."""

DISTANCES = (6, 10, 15, 21, 28, 36, 46, 58)
"""Points between a mark and its name, the nearest first; beyond that the two are tied by a line."""

MARK = np.array([(0, 0), (3, 0), (-3, 0), (0, 3), (0, -3)])
"""Where a mark is, in points around its centre."""

PAD = 1.5
"""Points that are kept free around a name."""


def name_points(
    ax: Axes,
    points: Mapping[str, tuple[float, float]],
    segments: Sequence[tuple[tuple[float, float], tuple[float, float]]] = (),
) -> None:
    """Write the name of each of `points` close to it, off other names and off what `ax` shows.

    The axes must be complete, with their limits and the legend of the figure: names are placed in what is drawn.

    points:   by name its place in data coordinates
    segments: what else is drawn, such as arrows, from one place to another in data coordinates
    """
    if not points:
        return
    drawn = ax.figure
    drawn.draw_without_rendering()
    drawn.set_layout_engine("none")  # what was placed stays where it is
    per_point = drawn.dpi / 72
    places = {name: ax.transData.transform(place) for name, place in points.items()}
    taken = np.vstack([_sampled(ax, per_point), *(_between(*ax.transData.transform(ends)) for ends in segments)])
    # the most crowded are placed first, while there is room; later rounds let all react to each other
    crowd = {name: np.sum(np.hypot(*(taken - place).T) < 60 * per_point) for name, place in places.items()}
    order = sorted(places, key=lambda name: (-crowd[name], name))
    offered = {name: _candidates(name, places[name], per_point) for name in order}
    chosen: dict[str, int] = {}
    for _ in range(4):
        for name in order:
            boxes, distances, _ = offered[name]
            others = [offered[other][0][i] for other, i in chosen.items() if other != name]
            cost = 0.04 * distances + 2 * _inside(boxes, taken) + 100 * _beyond(boxes, ax)
            cost = cost + 25 * sum((_overlap(boxes, box) for box in others), np.zeros(len(boxes)))
            chosen[name] = int(np.argmin(cost))
    for name, i in chosen.items():
        _, distances, offsets = offered[name]
        tie = {"arrowstyle": "-", "color": INK, "alpha": 0.5, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4}
        text = ax.annotate(name, points[name], offsets[i], textcoords="offset points", ha="center", va="center",
                           fontsize=SIZE, arrowprops=tie if distances[i] > DISTANCES[0] else None)  # fmt: skip
        text.set_gid(f"of:{name}")
        if text.arrow_patch is not None:
            text.arrow_patch.set_gid(f"of:{name}")


def _candidates(name: str, place: np.ndarray, per_point: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where `name` could stand: boxes (n, 4) in pixels as left, bottom, right, top, and their distances (n,) and
    offsets (n, 2) in points."""
    width = TextPath((0, 0), name, prop=FontProperties(size=SIZE)).get_extents().width
    half = np.array([width / 2, 0.45 * SIZE])
    angles = np.radians([0, 180, *range(15, 180, 15), *range(195, 360, 15)])
    distances = np.repeat(DISTANCES, len(angles))
    ways = np.tile(np.stack([np.cos(angles), np.sin(angles)], axis=1), (len(DISTANCES), 1))
    offsets = ways * (distances[:, None] + half)
    centres = place + offsets * per_point
    reach = (half + PAD) * per_point
    return np.hstack([centres - reach, centres + reach]), distances, offsets


def _sampled(ax: Axes, per_point: float) -> np.ndarray:
    """Points (n, 2) in pixels along all lines and in all marks of `ax`."""
    found = [np.empty((0, 2))]
    for line in ax.lines:
        if line.get_transform() == ax.transData:
            way = ax.transData.transform(np.asarray(line.get_xydata(), float))
            found.append(way)
            if line.get_marker() != "None" and line.get_markersize() > 4:
                found += [place + MARK * per_point for place in way]
            if line.get_linestyle() != "None":
                found += [_between(a, b) for a, b in itertools.pairwise(way)]
    found += [ax.transData.transform(np.asarray(marks.get_offsets(), float)) for marks in ax.collections]
    points = np.vstack(found)
    return points[np.isfinite(points).all(axis=1)]


def _between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Points (40, 2) on the way from `start` to `end`."""
    return np.linspace(start, end, 40)


def _inside(boxes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """How many of `points` lie in each of `boxes`."""
    x, y = points.T[:, None, :]
    left, bottom, right, top = boxes.T[:, :, None]
    return ((x > left) & (x < right) & (y > bottom) & (y < top)).sum(axis=1)


def _overlap(boxes: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Which of `boxes` overlap the box `other`."""
    return np.all((boxes[:, :2] < other[2:]) & (other[:2] < boxes[:, 2:]), axis=1).astype(float)


def _beyond(boxes: np.ndarray, ax: Axes) -> np.ndarray:
    """Which of `boxes` reach beyond the axes."""
    low, high = ax.bbox.get_points()
    return np.any((boxes[:, :2] < low) | (boxes[:, 2:] > high), axis=1).astype(float)


def name_ends(ax: Axes, points: Mapping[str, tuple[float, float]], shift: float, gap: float) -> None:
    """What methods are called, `shift` to the right of where their lines end, moved apart where they would overlap,
    each tied to its end as the method is drawn.

    gap: between two names, as a share of the axis
    """
    low, high = ax.get_ylim()
    names = sorted(points, key=lambda name: points[name][1])
    heights = spread_out([points[name][1] for name in names], (high - low) * gap, low, high)
    for name, y in zip(names, heights, strict=True):
        x, _ = points[name]
        own = {k: v for k, v in look(name).items() if k != "marker"}
        tie = {"arrowstyle": "-", "shrinkA": 1, "shrinkB": 0, "linewidth": 1.1, "relpos": (0, 0.5), **own}
        ax.annotate(label(name), points[name], (x + shift, y), va="center", fontsize=8.5, annotation_clip=False,
                    arrowprops=tie)  # fmt: skip


def spread_out(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Ascending `positions`, moved as little as it takes to be `gap` apart and, where they fit, within [low, high]."""
    steps = gap * np.arange(len(positions))
    apart = isotonic_regression(np.asarray(positions) - steps).x
    return (np.clip(apart, low, max(low, high - steps[-1])) + steps).tolist()
