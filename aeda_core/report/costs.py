"""The reproducibility page: what every recorded run cost, where it ran, and with what."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from aeda_core import runs
from aeda_core.experiments import CHAPTERS
from aeda_core.report.captions import name
from aeda_core.report.paper import METHOD_LABELS
from aeda_core.runs import RunRecord


def page() -> str:
    """Markdown, a section for each chapter that trains something; a run stands with the first chapter that asks for
    it."""
    parts, seen = [], set()
    everything = []
    for key, chapter in CHAPTERS.items():
        parameters = chapter.parameters.load("recorded")
        asked = {spec.id: spec for spec in (*chapter.specs(parameters), *chapter.tuning(parameters))}
        new = runs.run_all([spec for id_, spec in asked.items() if id_ not in seen], live=False)
        seen |= asked.keys()
        everything += new
        if new:
            title = chapter.notebook.removesuffix(".ipynb")
            parts += [f"## {{doc}}`{title}`", f"`aeda sweep {key}`, {_total(new)}.", _table(new)]
    head = [f"{len(everything)} recorded runs, {_total(everything)}.", _ground(everything)]
    return "\n\n".join([*head, *parts])


def _table(records: Sequence[RunRecord]) -> str:
    rows = pd.DataFrame([_row(record) for record in records])
    groups = rows.groupby(["data", "method"], sort=False)
    found = groups.agg(runs=("cpu", "size"), cpu=("cpu", "mean"), clock=("clock", "mean"), memory=("memory", "max"))
    found = found.assign(
        cpu=[f"{value:.0f}" for value in found["cpu"]],
        clock=[f"{value:.0f}" for value in found["clock"]],
        memory=[f"{value:.1f}" for value in found["memory"] / 1024],
    )
    titles = {"cpu": "CPU s a run", "clock": "s by the clock", "memory": "peak memory (GiB)"}
    return found.reset_index().rename(columns=titles).to_markdown(index=False)


def _row(record: RunRecord) -> dict[str, object]:
    spec, made = record.spec, record.provenance
    kind = METHOD_LABELS.get(name(record), spec.method.replace("_", " "))
    return {
        "data": {"cmnist": "digits", "celeba": "faces"}[spec.data["name"]],
        "method": f"{kind}, tuning" if spec.experiment.endswith("_tuning") else kind,
        "cpu": made["cpu_seconds"],
        "clock": made["seconds"],
        "memory": made["peak_memory_mb"],
    }


def _total(records: Sequence[RunRecord]) -> str:
    return f"{sum(record.provenance['cpu_seconds'] for record in records) / 3600:.1f} hours of CPU time"


def _ground(records: Sequence[RunRecord]) -> str:
    rows = pd.DataFrame(
        [
            {
                "device": made["device"].removesuffix(", 1 thread"),
                "kernels": made.get("capability", "not kept"),
                "precision": record.spec.model["precision"],
                "Python": made["python"],
                **made["packages"],
                "data": made["data"],
            }
            for record in records
            for made in [record.provenance]
        ]
    )
    columns = list(rows.columns)
    return rows.groupby(columns, sort=False).size().rename("runs").reset_index().to_markdown(index=False)
