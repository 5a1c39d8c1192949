"""The gate: whether what is committed still follows from what is committed beside it, and from the code.

records → pages:    a chapter's outputs and the records that it was executed on leave their digests in the notebook
code → records:     `data/rooms.json` holds a digest of every room that decides results, as it was when the records
                    were made or when a change was last declared to leave them alone
claims and pages:   `report.scorecard.write(check=True)`
runs → records:     `verify` trains a recorded run once more and compares
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import random
import tokenize
from typing import Any

import nbformat

from aeda_core import runs
from aeda_core.datasets.base import DATA, PROJECT
from aeda_core.errors import Problem
from aeda_core.experiments import CHAPTERS, Chapter
from aeda_core.report import scorecard
from aeda_core.runs import RunRecord, RunSpec

ROOMS = ("datasets", "models.py", "attack.py", "methods", "metrics.py", "training.py", "probes.py", "runs.py")
"""What decides a result, in aeda_core/."""

LOCK = DATA / "rooms.json"


class Stale(Problem):
    """Something committed no longer follows from what it was made from."""


def problems() -> list[str]:
    """What is stale, a sentence each that names the way out."""
    if missing := missing_records():
        return missing  # nothing else can be judged without them
    return [*stale_rooms(), *(line for name in CHAPTERS for line in stale_chapter(CHAPTERS[name])), *stale_claims()]


def missing_records() -> list[str]:
    """The chapters that ask for runs which nobody has recorded."""
    found = []
    for name, chapter in CHAPTERS.items():
        missing = [spec for spec in _specs(chapter) if not spec.path.exists()]
        if missing:
            found.append(
                f"chapter '{name}' asks for {len(missing)} runs without a record, {missing[0].method} with seed "
                f"{missing[0].seed} the first; run `aeda sweep {name}` and `aeda sweep {name} --tuning`."
            )
    return found


def stale_rooms() -> list[str]:
    """The rooms that changed since the records were made, comments, docstrings and white space aside."""
    kept, now = json.loads(LOCK.read_text()) if LOCK.exists() else {}, rooms()
    return [
        f"aeda_core/{room} decides results and changed since they were recorded; if no result changes say so with "
        "`aeda declare`, otherwise raise RESULTS_VERSION in aeda_core/runs.py and run `make reproduce`."
        for room in ROOMS
        if kept.get(room) != now[room]
    ]


def declare() -> None:
    """Take the rooms as they are for those that the records were made in."""
    runs.write_atomically(LOCK, json.dumps(rooms(), indent=1) + "\n")


def rooms() -> dict[str, str]:
    """A digest of each room."""
    found = {}
    for room in ROOMS:
        path = PROJECT / "aeda_core" / room
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        found[room] = _digest([(file.name, meaning(file.read_text())) for file in files])
    return found


def meaning(code: str) -> str:
    """`code` without comments, docstrings and white space, the same in every version of Python."""
    lines = code.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return "".join("".join(lines).split())


def stamp(notebook: nbformat.NotebookNode, chapter: Chapter) -> None:
    """Leave in an executed notebook what it was made from and what it shows."""
    notebook.metadata["aeda"] = {"records": records_of(chapter), "outputs": outputs_of(notebook)}


def stale_chapter(chapter: Chapter) -> list[str]:
    """Whether the outputs of a committed chapter are those of its code on the committed records."""
    notebook = nbformat.read(PROJECT / "book" / chapter.notebook, as_version=4)
    kept, wrong = notebook.metadata.get("aeda", {}), []
    if kept.get("records") != records_of(chapter):
        wrong.append(f"book/{chapter.notebook} was executed on other records than those in data/runs")
    if kept.get("outputs") != outputs_of(notebook):
        wrong.append(f"the code or the outputs of book/{chapter.notebook} were edited after it was executed")
    return [f"{what}; run `make chapters`." for what in wrong]


def records_of(chapter: Chapter) -> str:
    """A digest of the committed records that a chapter asks for."""
    specs = {spec.id: spec for spec in _specs(chapter)}
    return _digest([(id_, spec.path.read_text() if spec.path.exists() else "") for id_, spec in sorted(specs.items())])


def _specs(chapter: Chapter) -> list[RunSpec]:
    parameters = chapter.parameters.load("recorded")
    return [*chapter.specs(parameters), *chapter.tuning(parameters)]


def outputs_of(notebook: nbformat.NotebookNode) -> str:
    """A digest of a notebook's code and outputs."""
    return _digest([(cell.source, cell.outputs) for cell in notebook.cells if cell.cell_type == "code"])


def stale_claims() -> list[str]:
    """The generated files that the records have left behind."""
    return [
        f"{file} no longer says what the records say; run `make scorecard`." for file in scorecard.write(check=True)
    ]


TOLERANCE = {"bacc": 2.0, "bias": 0.5}
"""How far a run on another device, or by another version of torch, may be from its record."""


def sample(n: int, seed: int, minutes: float) -> list[RunRecord]:
    """`n` of the recorded runs that took at most `minutes` of CPU time, drawn by `seed`."""
    found = [record for record in committed() if record.provenance["cpu_seconds"] <= 60 * minutes]
    return random.Random(seed).sample(found, min(n, len(found)))


def committed() -> list[RunRecord]:
    """Every record that a chapter asks for, in an order that depends on nothing but the specs."""
    specs = {spec.id: spec for chapter in CHAPTERS.values() for spec in _specs(chapter)}
    found = [runs.recorded(spec) for _, spec in sorted(specs.items())]
    return [record for record in found if record is not None]


def verify(record: RunRecord, data_root: str = "") -> str:
    """Train the run of `record` once more and say how it compares, in a sentence.

    Raises Stale if it differs at all on the same device with the same torch, or by more than TOLERANCE elsewhere.
    """
    again = runs.perform(record.spec, data_root)
    what = f"{record.spec.method} of {record.spec.experiment}, seed {record.spec.seed} ({record.spec.id})"
    if _ground(again) == _ground(record):
        if any(getattr(again, part) != getattr(record, part) for part in ("epochs", "confusion", "refused")):
            raise Stale(
                f"{what} came out different from its record on the same device; if the code changed its results raise "
                "RESULTS_VERSION in aeda_core/runs.py and run `make reproduce`."
            )
        return f"{what}: identical to its record"
    if again.refused or record.refused:
        if again.refused != record.refused:
            raise Stale(f"{what} is refused in one of run and record, and not in the other.")
        return f"{what}: refused, as recorded"
    gaps = {name: abs(getattr(again, name) - getattr(record, name)) for name in TOLERANCE}
    if far := [name for name, gap in gaps.items() if gap > TOLERANCE[name]]:
        raise Stale(
            f"{what} differs from its record by {gaps[far[0]]:.2f} in {far[0]}; {TOLERANCE[far[0]]} is allowed."
        )
    return f"{what}: bACC within {gaps['bacc']:.2f} and bias within {gaps['bias']:.2f} of its record, on other ground"


def _ground(record: RunRecord) -> tuple[str, str]:
    return record.provenance["device"], record.provenance["packages"]["torch"]


def _digest(what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
