"""What the book's own Sphinx extensions add to its pages."""

import importlib.util
import io
import json
import re

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
        body = extension("exhibits").numbered(self.BODY, 5)
        assert re.findall(r'id="([^"]*)"', body) == ["fig-curves", "table-1", "fig-curves-2"]
        links = re.findall(r'caption><a class="aeda-number" href="#([^"]*)">(.*?)\.</a> (\w+)', body)
        assert links == [
            ("fig-curves", "Figure 5.1", "One"),
            ("table-1", "Table 5.1", "Two"),
            ("fig-curves-2", "Figure 5.2", "Three"),
        ]
