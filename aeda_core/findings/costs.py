"""The reproducibility page: what every recorded run cost, where it ran, and with what."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from aeda_core import datasets, runs
from aeda_core.experiments import CHAPTERS
from aeda_core.findings.paper import label
from aeda_core.runs import RunRecord


def page() -> str:
    """Markdown, a section for each chapter that trains something; a run stands with the first chapter that asks for
    it."""
    parts: list[str] = []
    found: dict[str, RunRecord] = {}
    for key, chapter in CHAPTERS.items():
        shown = {record.spec.id: record for specs in chapter.asked() for record in runs.run_all(specs)}
        new = [record for id_, record in shown.items() if id_ not in found]
        found |= shown
        if new:
            parts += [f"## {{doc}}`{chapter.title}`", f"`aeda sweep {key}`, {_total(new)}.", table(new)]
    everything = list(found.values())
    return "\n\n".join([f"{len(everything)} recorded runs, {_total(everything)}.", environments(everything), *parts])


def table(records: Sequence[RunRecord]) -> str:
    """What the runs of a method took, in Markdown: CPU seconds and seconds by the clock in the mean, GiB at most."""
    rows = pd.DataFrame([_row(record) for record in records]).groupby(["data", "method"], sort=False)
    titles = {"cpu": "CPU s a run", "clock": "s by the clock", "memory": "peak memory (GiB)"}
    found = rows.agg(runs=("cpu", "size"), cpu=("cpu", "mean"), clock=("clock", "mean"), memory=("memory", "max"))
    for column, decimals in (("cpu", 0), ("clock", 0), ("memory", 1)):
        found[column] = [f"{value:.{decimals}f}" for value in found[column]]
    return found.reset_index().rename(columns=titles).to_markdown(index=False)


def _row(record: RunRecord) -> dict[str, object]:
    spec, made = record.spec, record.provenance
    tuning = ", tuning" if spec.tested_on == "validation" else ""
    return {
        "data": datasets.named(spec.data["name"]).title,
        "method": label(record.name) + tuning,
        "cpu": made["cpu_seconds"],
        "clock": made["seconds"],
        "memory": made["peak_memory_mb"] / 1024,
    }


def _total(records: Sequence[RunRecord]) -> str:
    return f"{sum(record.provenance['cpu_seconds'] for record in records) / 3600:.1f} hours of CPU time"


def environments(records: Sequence[RunRecord]) -> str:
    """On what the runs were made, in Markdown: a row for each device, precision, set of versions and source of data."""
    rows = pd.DataFrame([_environment(record) for record in records])
    return rows.groupby(list(rows.columns), sort=False).size().rename("runs").reset_index().to_markdown(index=False)


def _environment(record: RunRecord) -> dict[str, str]:
    made = record.provenance
    return {
        "device": made["device"].removesuffix(", 1 thread"),
        "kernels": made.get("capability", "not kept"),
        "precision": record.spec.model["precision"],
        "Python": made["python"],
        **made["packages"],
        "data": made["data"],
    }
