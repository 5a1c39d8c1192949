"""What the book's own Sphinx extensions add to its pages."""

import importlib.util
import io
import json
import re
from collections import Counter

import nbformat
import pandas as pd
import pytest

from aeda_core.datasets.base import PROJECT
from aeda_core.experiments import CHAPTERS


def extension(name):
    spec = importlib.util.spec_from_file_location(name, PROJECT / "book" / "_ext" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestRunsAsCSV:
    @pytest.mark.parametrize("name", ["attribution", "label_switch", "cmnist", "few_shot"])
    def test_everything_of_a_record_comes_back(self, name):
        records = extension("records").recorded(CHAPTERS[name])
        read = pd.read_csv(io.StringIO(extension("records").by_run(records).to_csv(index=False)))
        assert read["run"].tolist() == [record.spec.id for record in records]
        for record, (_, row) in zip(records, read.iterrows(), strict=True):
            assert json.loads(row["options"]) == record.spec.options and row["seed"] == record.spec.seed
            if record.confusion is not None:
                assert json.loads(row["confusion"]) == record.confusion

    def test_a_row_an_epoch(self):
        records = extension("records").recorded(CHAPTERS["cmnist"])[:3]
        rows = extension("records").by_epoch(records)
        assert len(rows) == sum(len(record.epochs) for record in records)
        assert rows["bacc"].tolist() == [epoch["bacc"] for record in records for epoch in record.epochs]


class TestDescription:
    @pytest.fixture
    def description(self):
        return extension("description")

    def described(self, description, *paragraphs):
        nodes = description.nodes
        section = nodes.section("", nodes.title("", "Title"), *(nodes.paragraph("", text) for text in paragraphs))
        return description.first_paragraph(section)

    def test_the_first_paragraph_on_one_line(self, description):
        assert self.described(description, "Two\nlines.", "More.") == "Two lines."

    def test_what_is_long_is_cut_at_a_word(self, description):
        cut = self.described(description, "word " * 100)
        assert cut.endswith("word …") and len(cut) <= 302

    def test_a_page_without_text_has_none(self, description):
        assert self.described(description) == ""


class TestNumbers:
    BODY = (
        '<figure class="aeda-figure" id="fig-curves">\n<svg></svg><figcaption>One.</figcaption></figure>'
        '<div class="aeda-table-box" id="table-1">\n<table>\n<caption>Two.</caption></table></div>'
        '<figure class="aeda-figure" id="fig-curves">\n<svg></svg><figcaption>Three.</figcaption></figure>'
    )

    def test_figures_and_tables_are_counted_apart_and_no_two_share_an_id(self):
        body = extension("exhibits").numbered(self.BODY, "book/05_cmnist", Counter())
        assert re.findall(r'id="([^"]*)"', body) == ["fig-curves", "table-1", "fig-curves-2"]
        links = re.findall(r'caption><a class="aeda-number" href="#([^"]*)">(.*?)\.</a> (\w+)', body)
        assert links == [
            ("fig-curves", "Figure 5.1", "One"),
            ("table-1", "Table 5.1", "Two"),
            ("fig-curves-2", "Figure 5.2", "Three"),
        ]

    def test_a_book_on_one_page_has_the_numbers_of_its_chapters(self):
        pages = ("book/intro", "book/03_transferability", "book/05_cmnist")
        body = "".join(f'<span id="document-{page}"></span>{self.BODY}' for page in pages)
        extension("exhibits").number_page(None, "book/intro", "", context := {"body": body}, None)
        numbers = re.findall(r'<a class="aeda-number" href="#([^"]*)">(.*?)\.</a>', context["body"])
        assert [name for _, name in numbers] == [
            f"{kind} {chapter}.{n}" for chapter in (3, 5) for kind, n in (("Figure", 1), ("Table", 1), ("Figure", 2))
        ]
        assert len({anchor for anchor, _ in numbers}) == 6


class TestTerms:
    """What the glossary explains is a link where a chapter's prose first says it, and nowhere else."""

    GLOSSARY = (PROJECT / "book" / "glossary.md").read_text(encoding="utf-8")
    TERMS = re.findall(r"^\w.*", GLOSSARY.split("```{glossary}")[1], re.MULTILINE)
    LINK = re.compile(r"\{term\}`(?P<shown>[^`<]*?)(?:\s*<(?P<term>[^>]*)>)?`")
    NO_PROSE = re.compile(
        r"^(`{3,}).*?^\1\s*$|\$\$.*?\$\$|\$[^$]*\$"  # blocks of code, directives, formulas
        r"|^#[^\n]*$|^\|[^\n]*$|^[^\n]*\n(?=: )"  # headings, tables, what a list defines
        r"|(?:\{(?!term\})[\w:-]+\})?(?<!\{term\})`[^`]*`|\[[^\]]*\]\([^)]*\)",  # code, other roles, links
        re.MULTILINE | re.DOTALL,
    )

    @classmethod
    def said(cls, text):
        """The terms in the order of the page, each with whether it is a link there."""
        links = []

        def plain(match):
            links.append(" ".join((match["term"] or match["shown"]).split()))
            return f"\0{len(links) - 1}\0"

        forms = {term: cls.form(term) for term in sorted(cls.TERMS, key=len, reverse=True)}
        word = re.compile(r"\0(\d+)\0|(?<![\w-])(" + "|".join(forms.values()) + r")(?![\w-])")
        found = []
        for link, word_ in word.findall(cls.NO_PROSE.sub(" ", cls.LINK.sub(plain, text))):
            term = links[int(link)] if link else next(t for t, form in forms.items() if re.fullmatch(form, word_))
            found.append((term, bool(link)))
        return found

    @staticmethod
    def form(term):
        """The term as a pattern, in the plural too; Original is a name, original a word."""
        name = term != term.lower()
        pattern = re.escape(term).replace(r"\ ", r"\s+")
        return pattern if name else f"[{term[0]}{term[0].upper()}]{pattern.removeprefix(term[0])}s?"

    def test_prose_is_told_from_the_rest(self):
        text = "# Fold\n\nNo `fold`, $fold$, [fold](#fold) {doc}`fold <x>`.\n\n```\nfold\n```\n\nTwo *folds*, twofold."
        assert self.said(text) == [("fold", False)]
        linked = "{term}`Model bias <model\nbias>`, the original target task of Original"
        assert self.said(linked) == [("model bias", True), ("target task", False), ("Original", False)]

    @pytest.mark.parametrize("chapter", CHAPTERS.values(), ids=CHAPTERS)
    def test_a_term_is_a_link_where_it_is_first_said_and_only_there(self, chapter):
        cells = nbformat.read(PROJECT / "book" / chapter.notebook, as_version=4).cells
        said = self.said("\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown"))
        assert {term for term, _ in said} <= set(self.TERMS)
        first = dict(reversed(said))
        assert [term for term, link in first.items() if not link] == [], "first said without a link"
        links = Counter(term for term, link in said if link)
        assert [term for term, n in links.items() if n > 1] == [], "linked more than once"
