"""The chapters: executed, checked, free of algorithms, and run anew at `smoke` as a reader would."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import papermill
import pytest

from aeda_core.datasets.base import PROJECT
from aeda_core.errors import Problem
from aeda_core.experiments import CHAPTERS

pytestmark = pytest.mark.slow

NOTEBOOKS = sorted((PROJECT / "book").glob("*.ipynb"))
IGNORED = "nbval-ignore-output"
WITH_RUNS = [PROJECT / "book" / chapter.notebook for chapter in CHAPTERS.values() if chapter.has_runs]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def run_papermill(name: str, output: Path, *parameters: str, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", str(PROJECT / "book" / name), str(output)]
    return subprocess.run([*command, *parameters], cwd=cwd, capture_output=True, text=True)


def test_every_chapter_has_its_experiment():
    assert {path.name for path in NOTEBOOKS} == {chapter.notebook for chapter in CHAPTERS.values()}


def test_committed_chapters_are_light():
    """600 KB each, so that a clone and a review stay quick."""
    assert [path.name for path in NOTEBOOKS if path.stat().st_size > 600_000] == []


def test_committed_chapter_was_executed_whole(notebook):
    """nbval passes a notebook that was never run: it has nothing to compare."""
    counts = [cell.execution_count for cell in code(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert not [output for cell in code(notebook) for output in cell.outputs if output.output_type == "error"]


def test_committed_chapter_has_checked_text(notebook):
    """nbval never compares images, so some cells must tell rounded text."""
    checked = [c for c in code(notebook) if c.outputs and IGNORED not in c.metadata.get("tags", [])]
    assert len(checked) >= 2
    assert any("text/plain" in o.get("data", {}) or "text" in o for c in checked for o in c.outputs)


def test_pictures_are_ignored_by_nbval_and_nothing_else(notebook):
    for cell in code(notebook):
        shown = [output.get("data", {}).get("text/html", "") for output in cell.outputs]
        # by matplotlib, that is; the verdicts are drawn from numbers that nbval is to compare
        drawn = any('<svg role="img" aria-label=' in html and "aeda-forest" not in html for html in shown)
        assert drawn == (IGNORED in cell.metadata.get("tags", [])), cell.source


def test_no_chapter_holds_an_algorithm(notebook):
    for cell in code(notebook):
        assert not re.search(r"^\s*(def|class|for|while) ", cell.source, re.MULTILINE), cell.source
        if "parameters" not in cell.metadata.get("tags", []):
            assert len(cell.source.splitlines()) <= 15, cell.source


@pytest.mark.parametrize("chapter", CHAPTERS.values(), ids=CHAPTERS)
def test_first_code_cell_lists_what_the_chapter_can_be_told(chapter):
    """So `papermill --help-notebook` tells it, and papermill never calls a parameter unknown that exists."""
    path = PROJECT / "book" / chapter.notebook
    first = code(nbformat.read(path, as_version=4))[0]
    assert {"parameters", "hide-input"} <= set(first.metadata["tags"])
    assert first.source == chapter.parameters.cell()
    told = {name: p["inferred_type_name"] for name, p in papermill.inspect_notebook(path).items()}
    assert set(told) == set(chapter.parameters.model_fields)
    assert set(told.values()) <= {"str", "int", "float", "bool", "tuple"}


def test_no_residue_in_outputs(notebook):
    for cell in code(notebook):
        assert not [output for output in cell.outputs if output.output_type == "stream" and output.name == "stderr"]


def test_the_front_door(tmp_path):
    """`aeda book`, the README's first command, from training to rendered pages."""
    given = ["book", "--profile", "smoke", "--data", "embedded", "--into", str(tmp_path)]
    command = [sys.executable, "-c", "from aeda_core.cli import main; main()", *given]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    said = done.stdout + done.stderr
    assert [path.name for path in NOTEBOOKS if f"{path.name} executed" not in said] == []
    assert "unknown parameter" not in said and "Traceback" not in said
    pages = tmp_path / "_build" / "html" / "book"
    for path in NOTEBOOKS:
        text = (pages / path.with_suffix(".html").name).read_text(encoding="utf-8")
        assert "numbers mean nothing" in text
        if path in WITH_RUNS:
            assert "stand-in" in text


REFUSALS = [
    ({"profil": "smoke"}, "ParameterError: there is no parameter 'profil'; did you mean 'profile'?"),
    ({"epochs": "abc"}, "ParameterError: parameter epochs is 'abc'"),
    ({"data_root": "/nowhere", "profile": "smoke"}, "DataError: data_root '/nowhere' is not a folder"),
    ({"epochs": 77}, "MissingRecord: "),
]


def takes(path, sentence) -> bool:
    """A chapter without runs reads no data and looks up no record."""
    return path in WITH_RUNS or sentence.startswith("ParameterError")


@pytest.mark.parametrize(
    ("path", "parameters", "sentence"),
    [
        pytest.param(path, *refusal, id=f"{path.stem}-{next(iter(refusal[0]))}")
        for path in NOTEBOOKS
        for refusal in REFUSALS
        if takes(path, refusal[1])
    ],
)
def test_chapter_refuses(path, parameters, sentence):
    """Its cells as they stand, the parameters put behind its own, as papermill does."""
    first, *others = [cell.source for cell in code(nbformat.read(path, as_version=4))]
    names = {}
    exec(first, names)
    names |= parameters
    with pytest.raises(Problem) as refused:
        for source in others:
            exec(source, names)
    assert f"{type(refused.value).__name__}: {refused.value}".startswith(sentence)


@pytest.mark.parametrize(("parameters", "sentence"), REFUSALS)
def test_papermill_shows_a_sentence(parameters, sentence, tmp_path):
    given = [word for name, value in parameters.items() for word in ("-p", name, str(value))]
    done = run_papermill("05_cmnist.ipynb", tmp_path / "out.ipynb", *given, cwd=tmp_path)
    assert done.returncode != 0
    # behind papermill's own report of the failing cell stands our sentence, and no traceback into the library
    report = done.stderr[done.stderr.index("Exception encountered") :]
    assert sentence in report
    assert "aeda_core/" not in report


class Resources(HTMLParser):
    """Collects what a page loads: scripts, styles, images, frames."""

    def __init__(self):
        super().__init__()
        self.loaded = []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "link" and attrs.get("rel") not in ("next", "prev", "canonical", "author", "search", "index"):
            self.loaded.append(attrs.get("href"))
        elif tag in ("script", "img", "iframe", "source", "object", "embed"):
            self.loaded.append(attrs.get("src") or attrs.get("data"))


def test_book_renders_strictly_and_asks_nothing_of_the_network(html):
    pages = list((html / "book").glob("*.html"))
    assert {page.stem for page in pages} >= {path.stem for path in NOTEBOOKS} | {"intro"}
    for page in pages:
        resources = Resources()
        resources.feed(page.read_text())
        outside = [url for url in resources.loaded if url and re.match(r"(https?:)?//", url)]
        assert not outside, f"{page.name} loads {outside}"
        assert not re.findall(r"(?:import|from|fetch\()\s*[\"'](?:https?:)?//[^\"']+", page.read_text())
    for style in (html / "_static").rglob("*.css"):
        assert not re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", style.read_text()), style
