"""A report: sentences, tables and figures, as text for a terminal and as one HTML file that needs nothing else."""

from __future__ import annotations

import html
import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import aeda_core
from aeda_core.errors import Problem
from aeda_core.own.training import write_bytes

WIDTH = 100
"""Characters in a line of running text on a terminal."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""What a browser may load for the page: nothing from anywhere, no script."""


@dataclass(frozen=True)
class Table:
    """Text in rows and columns. The first `words` columns hold names, the others numbers."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1

    def __str__(self) -> str:
        cells = [self.head, *self.rows]
        widths = [max(len(row[column]) for row in cells) for column in range(len(self.head))]
        lines = ["  ".join(self._aligned(*each) for each in enumerate(zip(row, widths, strict=True))) for row in cells]
        return "\n".join([_wrapped(self.caption), "", *(line.rstrip() for line in lines)])

    def _aligned(self, column: int, cell: tuple[str, int]) -> str:
        text, width = cell
        return text.ljust(width) if column < self.words else text.rjust(width)

    def element(self) -> Element:
        """As HTML."""
        head = element("tr", *(self._cell("th", *each, scope="col") for each in enumerate(self.head)))
        rows = [
            element("tr", self._cell("th", 0, row[0], scope="row"), *(self._cell("td", *each) for each in _rest(row)))
            for row in self.rows
        ]
        table = element(
            "table", element("caption", self.caption), element("thead", head), element("tbody", *rows)
        )  # fmt: skip
        # a wide table scrolls by itself, also with the arrow keys
        return element("div", table, class_="wide", tabindex="0", role="region", aria_label=self.caption)

    def _cell(self, tag: str, column: int, text: str, **attributes: str) -> Element:
        return element(tag, text, **attributes, **({} if column < self.words else {"class_": "number"}))


@dataclass(frozen=True)
class Figure:
    """An SVG (see `drawing`), the words that stand for it, and those under it."""

    svg: Element
    alt: str
    caption: str

    def __str__(self) -> str:
        return _wrapped(f"[Figure: {self.caption}]")

    def element(self) -> Element:
        """As HTML."""
        self.svg.attrib.update({"role": "img", "aria-label": self.alt})
        return element("figure", self.svg, element("figcaption", self.caption))


@dataclass(frozen=True)
class Pictures:
    """Pictures, each a data URI and the words under it."""

    caption: str
    pictures: Sequence[tuple[str, str]]

    def __str__(self) -> str:
        return "\n".join([_wrapped(self.caption), *(f"  {words}" for _, words in self.pictures)])

    def element(self) -> Element:
        """As HTML."""
        shown = [
            element("li", element("img", src=uri, alt=""), element("span", words)) for uri, words in self.pictures
        ]  # fmt: skip
        return element("div", element("p", self.caption), element("ul", *shown, class_="pictures"))


Part = str | Table | Figure | Pictures


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it: paragraphs, tables, figures."""

    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Report:
    """What was found of a data set and of classifiers trained on it.

    summary:  what matters most, a sentence each
    sections: the rest
    notes:    what was noticed in the data, a sentence each
    numbers:  everything of which the report speaks, ready for JSON
    `str` is the report as text; notebooks show the page.
    """

    title: str
    summary: Sequence[str]
    sections: Sequence[Section]
    notes: Sequence[str]
    numbers: dict[str, Any]

    def __str__(self) -> str:
        blocks = [_underlined(self.title, "="), *map(_wrapped, self.summary)]
        for section in self._all_sections():
            blocks += [_underlined(section.title, "-"), *map(_as_text, section.parts)]
        return "\n\n".join(blocks)

    def save(self, path: str | Path) -> Path:
        """Write the report as one HTML file, whole or not at all. Raises Problem if it cannot be written."""
        path = as_page(path)
        try:
            write_bytes(path, self.page().encode(errors="replace"))
        except OSError as reason:
            raise Problem(
                f"the report cannot be written to '{path}' ({reason.strerror}); name another place."
            ) from reason
        return path

    def page(self) -> str:
        """The report as HTML."""
        policy = element("meta", http_equiv="Content-Security-Policy", content=POLICY)
        head = element(
            "head",
            element("meta", charset="utf-8"),
            policy,
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="generator", content=f"aeda-core {aeda_core.__version__}"),
            element("title", self.title),
            element("style", files("aeda_core.own").joinpath("report.css").read_text(encoding="utf-8")),
        )
        summary = element("ul", *(element("li", sentence) for sentence in self.summary), class_="summary")
        sections = [
            element("section", element("h2", section.title), *map(_as_element, section.parts))
            for section in self._all_sections()
        ]
        # ElementTree leaves the text of a script alone, and < could end it
        numbers = json.dumps(self.numbers, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
        data = element("script", numbers, type="application/json", id="numbers")
        body = element("body", element("main", element("h1", self.title), summary, *sections), data)
        page = element("html", head, body, lang="en")
        return "<!DOCTYPE html>\n" + ElementTree.tostring(page, encoding="unicode", method="html") + "\n"

    def _all_sections(self) -> list[Section]:
        return [*self.sections, *([Section("Noticed in the data", self.notes)] if self.notes else [])]

    def _repr_html_(self) -> str:
        label = html.escape(self.title)
        style = "width: 100%; height: 40rem; border: 1px solid; background: canvas"
        return f'<iframe title="{label}" sandbox srcdoc="{html.escape(self.page())}" style="{style}"></iframe>'


def as_page(path: str | Path) -> Path:
    """A path for a report. Raises Problem unless it is that of an HTML file."""
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm") or path.is_dir():
        raise Problem(f"a report is an HTML file, and '{path}' is none; name it '{path}.html'.")
    return path


def element(tag: str, *children: str | Element, **attributes: str) -> Element:
    """An element of HTML or SVG. An attribute's `_` is written as `-`, and one at the end of its name is dropped."""
    made = Element(tag, {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + child
        else:
            made.text = (made.text or "") + child
    return made


def _as_element(part: Part) -> Element:
    return element("p", part) if isinstance(part, str) else part.element()


def _as_text(part: Part) -> str:
    return _wrapped(part) if isinstance(part, str) else str(part)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH)


def _underlined(title: str, mark: str) -> str:
    return f"{title}\n{mark * len(title)}"


def _rest(row: Sequence[str]) -> list[tuple[int, str]]:
    """The cells after the first, with their numbers."""
    return list(enumerate(row))[1:]
