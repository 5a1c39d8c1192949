"""The benchmarks page: data/benchmarks.json as the tables that benchmarks.toml lists, and as the sentences that follow
from them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from aeda_core.datasets.base import DATA
from aeda_core.findings.paper import label

BENCHMARKS = DATA / "benchmarks.json"
TABLES = tomllib.loads(Path(__file__).with_name("benchmarks.toml").read_text(encoding="utf-8"))

Row = dict[str, Any]
Rows = Mapping[str, Row]
"""By id."""

FIELDS: dict[str, Callable[[Row], str]] = {
    "id": lambda row: f"`{row['id']}`",
    "name": lambda row: row["name"],
    "method": lambda row: label(row["tail"].removesuffix("/original")),
    "ours": lambda row: _number(row["ours"]),
    "other": lambda row: _number(row.get("other")),
    "ratio": lambda row: f"{row['ratio']:.2f}",
    "time": lambda row: f"{row['ratio']:.1f}",
    "quartiles": lambda row: " to ".join(f"{q:.2f}" for q in row["quartiles"]) if row.get("quartiles") else "–",
    "n": lambda row: str(row["n"]),
    "promised": lambda row: f"{row['promised']:.2f}" if row["promised"] else "–",
    "once": lambda row: _number(row["once"].get("ratio")),
    "number": lambda row: f"{int(row['tail']):,}",
    "growth": lambda row: f"{int(row['tail']) / row['least']:.1f}",
    "memory": lambda row: _number(row["memory"].get("ours")),
    "before": lambda row: _number(row["memory"].get("other")),
    "unit": lambda row: row["unit"],
    "device": lambda row: row["device"],
}
"""What may stand in a column, from a row of the file and what `_looked_up` adds to it."""


def page(path: Path = BENCHMARKS) -> str:
    """Markdown of everything that `path` holds; a table whose rows are missing is left out."""
    report = json.loads(path.read_text())
    rows = {row["id"]: row for row in report.get("rows", [])}
    refused = [f"Left out: {label(name)}. {why}" for name, why in report.get("refused", {}).items()]
    after = {"peers": [_in_words(rows)], "parts": [_parts_in_words(rows, report)], "epochs": refused}
    parts, heading = [_conditions(report)], None
    for name, table in TABLES.items():
        heading = table.get("heading", heading)
        if shown := _looked_up(name, table, rows, report):
            lines = pd.DataFrame([{title: FIELDS[field](row) for title, field in table["columns"]} for row in shown])
            above = [f"## {heading}"] if f"## {heading}" not in parts else []
            caption = f":::{{table}} {table['caption'].format(**report)}"
            parts += [*above, f"{caption}\n\n{lines.to_markdown(index=False, disable_numparse=True)}\n\n:::"]
            parts += after.get(name, [])
    return "\n\n".join(parts)


def _looked_up(name: str, table: Mapping[str, Any], rows: Rows, report: Mapping[str, Any]) -> list[Row]:
    """The rows of a table in its order, with what is told of other rows beside them."""
    if name == "rest":
        told = ("attack.", "epoch.", "once.", "scale.", "memory.", "folder.")
        return [row for id_, row in rows.items() if not id_.startswith(told)]
    if "rows" in table:
        promised = report.get("promised", {})
        listed = {id_: words for id_, words in table["rows"].items() if id_ in rows}
        return [{**rows[id_], "name": words, "promised": promised.get(id_)} for id_, words in listed.items()]
    start = table["beginning"]
    tails = {id_.removeprefix(start): row for id_, row in rows.items() if id_.startswith(start)}
    if name == "epochs":
        ordered = sorted(tails, key=lambda tail: tails[tail]["ratio"])
        return [{**tails[tail], "tail": tail, "once": rows.get(f"once.{tail}", {})} for tail in ordered]
    ordered = sorted(tails, key=int)
    memory = {tail: rows.get(f"memory.n.{tail}", {}) for tail in ordered}
    return [{**tails[tail], "tail": tail, "least": int(ordered[0]), "memory": memory[tail]} for tail in ordered]


def _conditions(report: Mapping[str, Any]) -> str:
    if "device" not in report:
        return "Nothing was measured yet."
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    units = "with" if report["bf16_units"] else "without"
    return (
        f"Measured on {report['date']}, commit {report['commit']}, on {report['device']} ({report['capability']}, "
        f"{units} units for bf16), {report['threads']} threads. Data: {report['data']}. Versions: {versions}."
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


def said(row: Row) -> str:
    """What a ratio says once its quartiles are looked at."""
    low, high = row["quartiles"]
    inside = f"× {FIELDS['ratio'](row)}, quartiles {FIELDS['quartiles'](row)}"
    if low <= 1 <= high:
        return f"there is no difference that the noise would not explain ({inside})"
    return f"ours is {'faster' if low > 1 else 'slower'} ({inside})"


def _in_words(rows: Rows) -> str:
    found = []
    if equal := rows.get("attack.torchattacks.fp32"):
        found.append(f"**Is ours faster?** Beside torchattacks under equal conditions {said(equal)}.")
    for name, id_ in (("foolbox", "attack.foolbox"), ("the Adversarial Robustness Toolbox", "attack.art")):
        if id_ in rows and f"{id_}.frozen" in rows:
            frozen = said(rows[f"{id_}.frozen"])
            found.append(
                f"Beside {name} as it comes, {said(rows[id_])}; once its user freezes the parameters, {frozen}."
            )
    if limit := rows.get("attack.limit"):
        found.append(f"Of the speed of the bare passes, the attack reaches {100 * limit['ratio']:.0f} %.")
    return " ".join(found)


def _parts_in_words(rows: Rows, report: Mapping[str, Any]) -> str:
    found = ["Data that are resident on the device save nothing on a CPU, where they are nowhere else; not measured."]
    if "attack.chunks" in rows:
        found.append(f"In chunks in place of all images at once, {said(rows['attack.chunks'])}.")
    if "attack.bf16" in rows:
        has = "has" if report["bf16_units"] else "has no"
        found.append(f"This processor {has} units for bf16: with fp32 in place of bf16, {said(rows['attack.bf16'])}.")
    cold, warm = rows.get("epoch.aeda_robust/original"), rows.get("epoch.aeda_robust_warm/original")
    if cold and warm:
        found.append(
            f"A warm start of the attack makes an epoch of AEDA_robust cost {warm['ratio']:.2f} in place of "
            f"{cold['ratio']:.2f} epochs of Original (table below)."
        )
    return " ".join(found)
