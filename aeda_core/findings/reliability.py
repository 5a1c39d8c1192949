"""The reliability page: data/reliability.json in words."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from aeda_core.datasets.base import DATA
from aeda_core.findings.paper import label

RELIABILITY = DATA / "reliability.json"


def page(path: Path = RELIABILITY) -> str:
    """Markdown of what `path` holds."""
    if not path.exists():
        return "Nothing was measured yet."
    report = json.loads(path.read_text(encoding="utf-8"))
    killed = pd.DataFrame([{"method": label(name), "killed": times} for name, times in report["methods"].items()])
    counted = (
        f"**{report['kills']} kills, {report['resumed_exact']} of {report['runs']} runs with the same results to the "
        f"last bit, {report['lost']} lost.** {report['kills_on_one_store']} of the kills met three processes that "
        "shared one store."
    )
    once = "Each was trained once" if report["trained_once"] else "Not each was trained once"
    shared = f"{once} when two processes began all of them at the same time."
    on_dask = f"{report['runs_on_dask']} runs were trained on Dask with two workers, one of which was killed."
    return "\n\n".join(
        [
            f"Measured on {report['date'][:10]}, commit {report['commit']}, on {report['device']}.",
            " ".join([counted, shared, *([on_dask] if report["runs_on_dask"] else [])]),
            killed.to_markdown(index=False, disable_numparse=True),
            "What else is done to runs and files, and tested:",
            "\n".join(f"* {fault}" for fault in report["faults"]),
            f"{report['bad_inputs']} mistakes of a reader are listed in `tests/bad_input.toml`, each with the sentence "
            "that answers it.",
        ]
    )
