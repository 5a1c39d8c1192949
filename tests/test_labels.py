"""Names beside marks, the range of an axis, and marks that can be told apart."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Annotation, Text

from aeda_core.display import labels, look, plots
from aeda_core.methods import METHODS


@look.styled
def named(places, **how):
    """The texts of axes with a mark at each of `places`, and the axes."""
    _, ax = look.canvas(4)
    for x, y in places:
        ax.plot(x, y, "o")
    ax.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05))
    labels.name_points(ax, {f"name {i}": place for i, place in enumerate(places)}, **how)
    ax.figure.draw_without_rendering()
    return [text for text in ax.texts if isinstance(text, Annotation)], ax


@pytest.mark.parametrize("seed", range(6))
def test_names_do_not_overlap_and_stay_within_the_axes(seed):
    """Of 17 marks, half of them in a corner."""
    places = np.random.default_rng(seed).random((17, 2))
    places[::2] /= 4
    texts, ax = named(places.tolist())
    boxes = [Text.get_window_extent(text) for text in texts]  # without the line that ties it
    assert len(boxes) == len(places)
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    for box in boxes:
        assert ax.bbox.x0 <= box.x0 and box.x1 <= ax.bbox.x1 and ax.bbox.y0 <= box.y0 and box.y1 <= ax.bbox.y1


def test_a_name_is_off_the_mark_and_off_what_else_is_drawn():
    """The nearest place, to the right, is where an arrow goes."""
    (text,), ax = named([(0.5, 0.5)], segments=[((0.5, 0.5), (0.9, 0.5))])
    box = Text.get_window_extent(text)
    way = ax.transData.transform(np.linspace((0.5, 0.5), (0.9, 0.5), 50))
    assert not any(box.contains(x, y) for x, y in way)
    (free,), ax = named([(0.5, 0.5)])
    assert Text.get_window_extent(free).x0 > ax.transData.transform((0.5, 0.5))[0]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=8), st.floats(0.5, 10))
def test_names_at_the_ends_of_lines_keep_their_order_their_distance_and_the_axis(positions, gap):
    moved = labels.spread_out(sorted(positions), gap, 0, 100)
    assert all(b - a >= gap - 1e-9 for a, b in itertools.pairwise(moved))
    assert moved[0] >= 0 and moved[-1] <= 100 + 1e-9


@pytest.mark.parametrize(
    ("column", "values", "ends"),
    [
        ("bacc", (57, 75), (57, 75)),
        ("bacc", (60, 99.9), (60, 100)),
        ("bias", (4, 6), (0, 6)),
        ("r", (0.4, 0.5), (0, 1)),
    ],
)
def test_an_axis_ends_where_its_values_do_or_can(column, values, ends):
    _, ax = look.canvas(2)
    ax.plot([0, 1], values)
    plots.own_range(ax, "y", column)
    low, high = ax.get_ylim()
    width = ends[1] - ends[0]
    assert ends[0] - 0.1 * width < low < ends[0] and ends[1] < high < ends[1] + 0.1 * width


def test_no_two_methods_have_points_alike():
    marks = [tuple(look.point(name).values()) for name in METHODS]
    assert len(set(marks)) == len(marks)


def luminance(colour: str) -> float:
    """WCAG's relative luminance of `#rrggbb`."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("colour", look.PALETTE)
@pytest.mark.parametrize("ground", ["#ffffff", "#14181e"])
def test_colours_are_seen_on_a_light_and_on_a_dark_page(colour, ground):
    """WCAG 1.4.11 asks for a contrast of 3."""
    dark, light = sorted(map(luminance, (colour, ground)))
    assert (light + 0.05) / (dark + 0.05) >= 3
