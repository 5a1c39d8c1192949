"""A report as a page: it asks nobody for anything, runs nothing, and shows the data's texts as texts."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from aeda_core.errors import Problem
from aeda_core.own import audit_report, drawing
from aeda_core.own.measured import Estimate, measure
from aeda_core.own.report import Figure, Pictures, Report, Section, Table

EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """The elements of a page: (tag, attributes), and their texts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.data, self.inside = [], [], "", None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside == "script":
            self.data += data
        self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def found(biased_images):
    """An audit of a perfect classifier, in which every name is evil."""
    data = replace(biased_images, target_names=(EVIL, "a & b", "'\"></style>"), bias_names=(EVIL, "--><b>"))
    measured = measure(data, data.targets)
    return audit_report.report(EVIL, data, measured, None, [f"1 picture is missing: {EVIL}."], [])


@pytest.fixture
def page(found):
    return Page(found.page())


def test_texts_of_the_data_are_texts(page):
    assert [attributes.get("type") for attributes in page.all("script")] == ["application/json"]
    assert page.all("b") == []
    assert len(page.all("style")) == 1
    assert "1 picture is missing: <script>alert(1)</script>." in page.texts
    assert all(not name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_nothing_is_asked_for(page):
    """No element loads anything, and the policy forbids what one might overlook."""
    assert {name for name, _ in page.elements}.isdisjoint({"link", "img", "iframe", "object", "embed", "form", "base"})
    assert not any(
        {"src", "href", "style", "background", "xlink:href"} & attributes.keys() for _, attributes in page.elements
    )
    (policy,) = [each["content"] for each in page.all("meta") if "http-equiv" in each]
    assert policy.startswith("default-src 'none';")
    style = next(text for text in page.texts if ":root" in text)
    assert "url(" not in style and "@import" not in style


def test_numbers_are_in_the_page(found, page):
    assert json.loads(page.data) == json.loads(json.dumps(found.numbers))
    assert found.numbers["overall"]["bacc"]["value"] == 100
    assert found.numbers["groups"][0]["target"] == EVIL


def test_a_reader_of_screens_is_told_what_stands_where(page):
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("caption")) == len(page.all("table")) == 3
    assert {attributes["scope"] for attributes in page.all("th")} == {"row", "col"}
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in page.all("svg"))
    assert len(page.all("h1")) == 1


def test_text_says_the_same(found):
    text = str(found)
    assert text.startswith(f"Bias audit of {EVIL}\n=====")
    assert "Balanced accuracy (bACC) is 100.0 [100.0, 100.0] %, model bias 0.00 [0.00, 0.00]" in text
    assert "None of the 3 gaps is more than chance." in text
    assert f"1 picture is missing: {EVIL}." in text


def test_a_table_lines_up():
    assert str(Table("Sizes.", ("name", "n"), [("a", "1,000"), ("long", "2")])).splitlines() == [
        "Sizes.", "", "name      n", "a     1,000", "long      2",
    ]  # fmt: skip


def test_nothing_to_compare_is_said(biased_images):
    """Three target tasks, each with one bias value: as C-MNIST's training set."""
    data = replace(biased_images, bias=(biased_images.targets > 1).long())
    report = audit_report.report("x", data, measure(data, data.targets), None, [], [])
    assert "No target task has an image of every bias value" in str(report)
    assert report.numbers["overall"] is None
    Page(report.page())


def test_a_notebook_shows_the_page_in_a_frame(found):
    (frame,) = Page(found._repr_html_()).all("iframe")
    assert frame["srcdoc"] == found.page()
    assert frame["sandbox"] is None  # nothing is allowed


@pytest.mark.parametrize("name", ["report.pdf", "report", "folder.html"])
def test_a_report_is_a_file_of_html(found, tmp_path, refused, name):
    (tmp_path / "folder.html").mkdir()
    with refused(Problem, "a report is an HTML file", name):
        found.save(tmp_path / name)


def test_a_place_that_cannot_be_written_to(found, tmp_path, refused):
    (tmp_path / "file").write_text("")
    with refused(Problem, "cannot be written", "name another place"):
        found.save(tmp_path / "file" / "report.html")


def test_dots_stand_at_their_values():
    svg = drawing.dots([("a", [Estimate(0, 0, 50), None]), ("b", [Estimate(100, 50, 100), Estimate(50, 25, 75)])],
                       ("x", "y"), "%")  # fmt: skip
    ends = [
        (float(line.get("x1")), float(line.get("x2"))) for line in svg.iter("line") if line.get("class") == "interval"
    ]
    left, right = ends[0][0], ends[1][1]
    middle = (left + right) / 2
    assert ends[0] == (left, middle) and ends[1] == (middle, right)
    assert ends[2] == pytest.approx((left + (right - left) / 4, left + 3 * (right - left) / 4))


def test_points_above_zero_are_drawn_above_it():
    svg = drawing.scatter([(10, 30, "up"), (90, -30, "down")], "share", "gap")
    up, down = (float(circle.get("cy")) for circle in svg.iter("circle"))
    zero = next(float(line.get("y1")) for line in svg.iter("line") if line.get("class") == "axis")
    assert up < zero < down
    assert zero - up == pytest.approx(down - zero)


def test_every_part_has_a_text_and_an_element():
    svg = drawing.scatter([(50, 0, "p")], "share", "gap")
    parts = [
        "said",
        Table("t", ("a",), [("b",)]),
        Figure(svg, "alt", "caption"),
        Pictures("pictures", [("data:,", "w")]),
    ]
    report = Report("title", ["sum"], [Section("section", parts)], [], {})
    assert all(word in str(report) for word in ("said", "caption", "pictures", "section"))
    page = Page(report.page())
    assert page.all("img") == [{"src": "data:,", "alt": ""}]
    assert len(page.all("figure")) == 1
