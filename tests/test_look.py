"""What a page is given of what matplotlib draws, and what a phone is."""

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
import resvg_py
from PIL import Image

from aeda_core.display import look, plots, svg

STRIP = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3


@look.styled
def matplotlibs() -> str:
    """Points, lines, bands, an image and letters, see-through, clipped and turned, as matplotlib writes them."""
    drawn, (left, right) = look.canvas(3, 1, 2)
    x = np.linspace(0, 1, 40)
    left.scatter(x, x**2, color=look.BLUE, alpha=0.4, s=60)
    left.fill_between(x, x, x**3, color=look.GREEN, alpha=0.3, linewidth=0)
    left.plot(x, 1 - x, "o--", color=look.INK, markerfacecolor="none", clip_on=True)
    left.set(xlim=(0.2, 0.9), xlabel="level", ylabel="turned", title="a & <b>")
    left.grid()
    plots.picture(right, STRIP)
    for place in (0.2, 0.5, 0.8):
        right.plot([0, 5], [3 * place] * 2, color=look.VERMILLION, alpha=0.5, linewidth=6)
    file = io.StringIO()
    drawn.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return file.getvalue()


def painted(drawing: str) -> np.ndarray:
    """RGB (H, W, 3) on white, without letters: a page has its own."""
    plain = re.sub(r"<text.*?</text>| (?:width|height)=\"[\d.]+pt\"", "", drawing, flags=re.DOTALL)
    plain = plain.replace(look.INK, "#000000")
    image = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=plain, width=1000))))
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")).astype(int)


def test_a_page_shows_what_matplotlib_drew_and_is_told_half_as_much():
    whole = matplotlibs()
    page = svg.for_page(whole, "name", "In words.", look.INK)
    apart = np.abs(painted(whole) - painted(page)).max(axis=2)
    assert painted(page).std() > 20
    assert (apart > 24).mean() < 0.002, "of the pixels look different"
    assert len(page) < len(whole) / 2
    assert "a &amp; &lt;b&gt;" in page


def test_what_belongs_to_a_mark_or_a_frame_says_so():
    drawn, ax = look.canvas(2)
    ax.plot(1, 1, "o", gid="tip:name: a & b")
    ax.plot(2, 1, "o", gid="of:name")
    ax.plot(3, 1, "o", gid="frame:4")
    figure = ElementTree.fromstring(look.finished(drawn, "curves", **dict.fromkeys(TOLD, "x")).svg)
    (mark, other) = figure.findall(".//*[@data-of='name']")
    assert mark[0].tag.endswith("title") and mark[0].text == "name: a & b"
    assert len(list(other.iter())) > 1 and not other.findall("{*}title")
    assert len(figure.findall(".//*[@data-frame='4']")) == 1


TOLD = ("last", "words", "measures", "end", "images", "interval", "stops")


@look.styled
def twice(**how) -> look.Figure:
    """Two panels with a picture in each, and a legend."""
    drawn, panels = look.canvas(2, 1, 2, **how)
    for ax, name in zip(panels, ("one", "two"), strict=True):
        plots.picture(ax, STRIP)
        ax.set_title(name)
    look.legend(drawn, "upper left", 3, handles=[plots.key(f"a method with a long name {i}") for i in range(3)])
    return look.finished(drawn, "curves", **dict.fromkeys(TOLD, "x"))


def places(drawing: str) -> dict[str, tuple[float, float]]:
    texts = re.findall(r'<text[^>]* x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)', drawing)
    return {words: (float(x), float(y)) for x, y, words in texts}


def test_on_a_phone_panels_are_below_each_other_and_the_legend_has_room():
    figure = twice()
    wide, small = places(figure.svg), places(figure.small)
    assert wide["one"][1] == wide["two"][1] and wide["one"][0] < wide["two"][0]
    assert small["one"][0] == small["two"][0] and small["one"][1] < small["two"][1]
    legend = [f"a method with a long name {i}" for i in range(3)]
    assert len({small[name][1] for name in legend}) == 3 > len({wide[name][1] for name in legend})


def test_panels_that_keep_their_places_on_a_phone_do():
    small = places(twice(phone=(1, 2, 1.5)).small)
    assert small["one"][1] == small["two"][1]


def test_a_picture_that_both_drawings_hold_is_written_once():
    figure = twice()
    assert figure.svg.count("data:image/png") == 2 and figure.small.count("data:image/png") == 0
    ids = re.findall(r'<image id="([^"]*)"', figure.svg)
    assert set(re.findall(r'<use href="#([^"]*)" />', figure.small)) <= set(ids)


def test_a_figure_that_is_drawn_no_more_leaves_the_next_one_a_column():
    @look.styled
    def fails():
        if look.on_phone():
            raise ValueError("no room")
        return twice()

    with pytest.raises(ValueError, match="no room"):
        fails()
    assert not look.on_phone()
