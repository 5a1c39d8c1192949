"""The page on tampering: what it shows is what `aeda check` says."""

import json

import pytest

from aeda_core.findings import tampered
from benchmarks import tamper

SAID = {change["file"]: change["said"] for change in json.loads(tamper.TAMPERED.read_text(encoding="utf-8"))}


def test_every_change_is_noticed_and_shown():
    assert [change.file for change in tamper.changes()] == list(SAID) and all(SAID.values())
    page = tampered.page()
    assert all(line in page for said in SAID.values() for line in said)


@pytest.mark.slow
def test_it_is_said_today():
    """Of a record, which touches claims and a chapter, and of the code."""
    changes = tamper.changes()
    with tamper.copied() as project:
        for change in (changes[0], changes[-1]):
            said = tamper.said_of(change, project)
            assert said == SAID[change.file], "run `python -m benchmarks.tamper` and `make scorecard`"


def test_what_is_not_there_cannot_be_changed(tmp_path):
    (tmp_path / "page.md").write_text("nothing")
    with pytest.raises(ValueError, match=r"has no \(x\+\) to change"):
        tamper.said_of(tamper.Change("", "page.md", "(x+)", "y"), tmp_path)


def test_without_a_measurement_the_page_says_so(tmp_path):
    assert tampered.page(tmp_path / "none.json") == "Nothing was tried yet."
