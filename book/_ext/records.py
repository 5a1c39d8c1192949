"""The runs behind a chapter as tables, one click away: a CSV with a row a run, and one with a row an epoch of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from sphinx.application import Sphinx

from aeda_core import runs
from aeda_core.experiments import CHAPTERS, Chapter
from aeda_core.findings import measures
from aeda_core.runs import RunRecord

FOLDER = Path("_static", "runs")
"""Where the tables are, below the folder of the pages."""


def recorded(chapter: Chapter) -> list[RunRecord]:
    """The committed runs that a chapter shows, each once."""
    found = [record for specs in chapter.shown() for record in runs.run_all(specs)]
    return list({record.spec.id: record for record in found}.values())


def by_run(records: list[RunRecord]) -> pd.DataFrame:
    """What was run, how it came out, and at which commit. bacc and bias are empty where only one bias value was tested
    on; lists and settings are JSON."""
    rows = []
    for record in records:
        told = record.spec.model_dump() | {"run": record.spec.id, "refused": record.refused}
        if record.confusion is not None:
            fair = {"bacc": record.bacc, "bias": record.bias} if len(record.counts) > 1 else {}
            told |= {**fair, "confusion": record.confusion, "groups": record.groups}
        told |= {name: record.provenance[name] for name in ("cpu_seconds", "device", "commit", "date")}
        rows.append({name: json.dumps(v) if isinstance(v, dict | list) else v for name, v in told.items()})
    return pd.DataFrame(rows)


def by_epoch(records: list[RunRecord]) -> pd.DataFrame:
    """`measures.epochs`, each row with the run that it is of."""
    found = pd.concat(measures.epochs([record]).assign(run=record.spec.id) for record in records if record.epochs)
    return found.drop(columns=["overlap", "tasks"]).dropna(axis="columns", how="all")


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the tables of every chapter that has runs."""
    if error or app.builder.format != "html":
        return
    folder = Path(app.outdir) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for chapter in CHAPTERS.values():
        if records := recorded(chapter) if chapter.has_runs else []:
            by_run(records).to_csv(folder / f"{chapter.title}.runs.csv", index=False)
            by_epoch(records).to_csv(folder / f"{chapter.title}.epochs.csv", index=False)


def link(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Name the tables at the end of a chapter's page."""
    titles = {chapter.title for chapter in CHAPTERS.values() if chapter.has_runs}
    title = Path(page).name
    if title in titles and "body" in context:
        up = "../" * page.count("/")
        path = f"{up}{(FOLDER / title).as_posix()}"
        a_run, an_epoch = (
            f'<a href="{path}.{kind}.csv" download>{words}</a>'
            for kind, words in (("runs", "a row a run"), ("epochs", "a row an epoch"))
        )
        context["body"] += f'<p class="aeda-runs">The runs behind this page as CSV: {a_run}, or {an_epoch}.</p>'


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", link)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
