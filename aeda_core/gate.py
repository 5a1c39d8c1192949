"""The gate: whether what is committed still follows from what is committed beside it, and from the code.

records → pages:    a chapter's outputs and the records that it was executed on leave their digests in the notebook
code → records:     `data/modules.json` holds a digest of every module that decides results, as it was when the records
                    were made or when a change was last declared to leave them alone
claims and pages:   `findings.scorecard.write(check=True)`
runs → records:     `verify` trains a recorded run once more and compares
"""

from __future__ import annotations

import json
import random

import nbformat
import numpy as np
from scipy import stats

from aeda_core import datasets, provenance, runs
from aeda_core.datasets.base import DATA, PROJECT
from aeda_core.errors import Problem
from aeda_core.experiments import CHAPTERS, Chapter, common
from aeda_core.findings import scorecard
from aeda_core.runs import RunRecord, RunSpec

LOCK = DATA / "modules.json"


class Stale(Problem):
    """Something committed no longer follows from what it was made from."""


def problems() -> list[str]:
    """What is stale, a sentence each that names the way out."""
    if missing := missing_records():
        return missing  # nothing else can be judged without them
    return [*stale_modules(), *(line for name in CHAPTERS for line in stale_chapter(CHAPTERS[name])), *stale_claims()]


def missing_records() -> list[str]:
    """The chapters that ask for runs which nobody has recorded."""
    found = []
    for name, chapter in CHAPTERS.items():
        missing = [
            spec
            for specs in chapter.asked()
            for spec, path in zip(specs, runs.kept(specs), strict=True)
            if path is None
        ]
        if missing:
            found.append(
                f"chapter '{name}' asks for {len(missing)} runs without a record, {missing[0].method} with seed "
                f"{missing[0].seed} the first; run `aeda sweep {name}` and `aeda sweep {name} --tuning`."
            )
    return found


def stale_modules() -> list[str]:
    """The modules that changed since the records were made, comments, docstrings and white space aside."""
    kept, now = json.loads(LOCK.read_text()) if LOCK.exists() else {}, provenance.modules()
    return [
        f"aeda_core/{module} decides results and changed since they were recorded; if no result changes say so with "
        "`aeda accept`, otherwise raise RESULTS_VERSION in aeda_core/runs.py and run `make reproduce`."
        for module in now
        if kept.get(module) != now[module]
    ]


def accept() -> None:
    """Take the modules as they are for those that the records were made with."""
    runs.write_atomically(LOCK, json.dumps(provenance.modules(), indent=1) + "\n")


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
    paths = {path for specs in chapter.asked() for path in runs.kept(specs) if path is not None}
    return provenance.digest([(path.name, path.read_text("utf-8")) for path in sorted(paths)])


def outputs_of(notebook: nbformat.NotebookNode) -> str:
    """A digest of a notebook's code and outputs."""
    return provenance.digest([(cell.source, cell.outputs) for cell in notebook.cells if cell.cell_type == "code"])


def stale_claims() -> list[str]:
    """The generated files that the records have left behind."""
    return [
        f"{file} no longer says what the records say; run `make scorecard`." for file in scorecard.write(check=True)
    ]


LEVEL = 0.99
"""How sure a tolerance has to be that it lets another run of the same method pass."""

LEAST = {"bacc": 0.5, "bias": 0.05}
"""The least tolerance: seeds that happen to agree exactly do not ask for that."""

SIBLINGS = 5
"""Records that differ in nothing but the seed or fold, from which on their spread is told: by that
of three, Student's t would allow nearly anything."""


def sample(n: int, seed: int, minutes: float) -> list[RunRecord]:
    """`n` of the recorded runs that took at most `minutes` of CPU time and have SIBLINGS, drawn by `seed`."""
    found = [r for own in _families() if len(own) >= SIBLINGS for r in own]
    found = [record for record in found if record.provenance["cpu_seconds"] <= 60 * minutes]
    return random.Random(seed).sample(found, min(n, len(found)))


def committed() -> list[RunRecord]:
    """Every record that a chapter asks for, in an order that depends on nothing but the specs."""
    found = {
        record.spec.id: record
        for chapter in CHAPTERS.values()
        for specs in chapter.asked()
        for record in runs.recorded(specs)
        if record is not None
    }
    return [found[id_] for id_ in sorted(found)]


def _families() -> list[list[RunRecord]]:
    """The records, by what they are runs of: everything in a spec but the seed, and what goes with it."""
    families: dict[str, list[RunRecord]] = {}
    for record in committed():
        families.setdefault(_family(record.spec), []).append(record)
    return list(families.values())


def _family(spec: RunSpec) -> str:
    told = spec.model_dump(exclude={"seed"})
    varies = datasets.named(spec.data["name"]).varies
    told["data"] = {name: value for name, value in told["data"].items() if name not in varies}
    return provenance.digest(told)


def tolerance(record: RunRecord) -> dict[str, float]:
    """How far another run of `record`'s spec may come out from it where other kernels round differently.

    Other bits make another draw, so at worst it is as far off as another seed: LEVEL of the differences between two
    seeds of this method are smaller, by the spread of the recorded ones (Student's t, for they are few).
    Raises Stale where there are too few of them to tell.
    """
    own = [each for family in _families() for each in family if _family(each.spec) == _family(record.spec)]
    if len(own) < SIBLINGS:
        raise Stale(
            f"{len(own)} runs like {_what(record)} are recorded, too few for their spread to say what may differ on "
            "another machine; verify it on the machine that its record names."
        )
    times = stats.t.ppf((1 + LEVEL) / 2, len(own) - 1) * np.sqrt(2)
    spread = {name: np.std([getattr(r, name) for r in own], ddof=1) for name in LEAST}
    return {name: max(LEAST[name], float(times * spread[name])) for name in LEAST}


def verify(record: RunRecord, data_root: str = "") -> str:
    """Train the run of `record` once more and say how it compares, in a sentence.

    A record in bfloat16 is trained in float32 where the CPU would have to emulate the former.
    Raises Stale if it differs at all in the same environment, or by more than `tolerance` in another.
    """
    emulated = record.spec.model.get("precision") == "bf16" and not common.has_bf16()
    model = {**record.spec.model, "precision": "fp32"} if emulated else record.spec.model
    again = runs.perform(record.spec.model_copy(update={"model": model}), data_root)
    what = _what(record)
    if not emulated and _environment(again) == _environment(record):
        if any(getattr(again, part) != getattr(record, part) for part in ("epochs", "confusion", "refused")):
            raise Stale(
                f"{what} came out different from its record in the same environment; if the code changed its results "
                "raise RESULTS_VERSION in aeda_core/runs.py and run `make reproduce`."
            )
        return f"{what}: identical to its record, in the same environment"
    if again.refused or record.refused:
        if again.refused != record.refused:
            raise Stale(f"{what} is refused in one of run and record, and not in the other.")
        return f"{what}: refused, as recorded"
    allowed = tolerance(record)
    gaps = {name: abs(getattr(again, name) - getattr(record, name)) for name in allowed}
    if far := [name for name, gap in gaps.items() if gap > allowed[name]]:
        raise Stale(
            f"{what} differs from its record by {gaps[far[0]]:.2f} in {far[0]}; the spread of its seeds allows "
            f"{allowed[far[0]]:.2f}."
        )
    how = "trained in float32, for this CPU emulates bfloat16" if emulated else "in another environment"
    return f"{what}, {how}: " + " and ".join(
        f"{name} within {gap:.2f} of its record ({allowed[name]:.2f} is allowed by the spread of its seeds)"
        for name, gap in gaps.items()
    )


def _what(record: RunRecord) -> str:
    return f"{record.spec.method} on {record.spec.data['name']}, seed {record.spec.seed} ({record.spec.id})"


def _environment(record: RunRecord) -> tuple[object, ...]:
    """What decides bits besides the spec. Records from before all of it was kept have another than any run has now."""
    made = record.provenance
    return *(made.get(name) for name in ("device", "capability", "threads", "blas_threads")), made["packages"]["torch"]
