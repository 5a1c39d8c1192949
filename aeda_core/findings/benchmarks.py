"""The benchmarks page: data/benchmarks.json as tables, and as the sentences that follow from them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from aeda_core.datasets.base import DATA
from aeda_core.findings.paper import label

BENCHMARKS = DATA / "benchmarks.json"

PEERS = {
    "attack.torchattacks.fp32": "torchattacks",
    "attack.torchattacks.frozen": "torchattacks, parameters frozen by hand",
    "attack.torchattacks.whole_batch": "torchattacks, all images at once",
    "attack.foolbox": "foolbox",
    "attack.foolbox.frozen": "foolbox, parameters frozen by hand",
    "attack.art": "Adversarial Robustness Toolbox",
    "attack.art.frozen": "Adversarial Robustness Toolbox, parameters frozen by hand",
    "attack.rai_toolbox": "rai-toolbox",
    "attack.limit": "the bare passes, no attack",
}
"""The rows of the first table, and what they are called."""

PARTS = {
    "attack.chunks": "chunks that fit the cache, instead of all images at once",
    "attack.unfrozen": "frozen parameters, instead of `backward()` into all of them",
    "attack.one_forward": "one pass forward for both terms of Eq. (3), instead of one each (λ = 0.5)",
    "attack.bf16": "fp32, instead of bf16",
}
"""The rows of the second: what the attack does, instead of what."""

Row = Mapping[str, object]
Rows = Mapping[str, Row]
"""By id."""


def page(path: Path = BENCHMARKS) -> str:
    """Markdown of everything that `path` holds; a table whose rows are missing is left out."""
    report = json.loads(path.read_text())
    rows = {row["id"]: row for row in report.get("rows", [])}
    parts = [_conditions(report)]
    if any(id_ in rows for id_ in PEERS):
        parts += ["## The attack beside others", _beside(rows, report), _in_words(rows)]
    if any(id_ in rows for id_ in PARTS):
        parts += ["## What makes it fast, and what does not", _parts(rows), _parts_in_words(rows, report)]
    if _of(rows, "epoch."):
        parts += ["## What an epoch costs", _epochs(rows)]
        parts += [f"Left out: {label(name)}. {why}" for name, why in report.get("refused", {}).items()]
    if growth := _growth(rows):
        parts += ["## What it grows with", *growth]
    return "\n\n".join([*parts, *_rest(rows)])


# --- how it is told ---------------------------------------------------------------------------------------------------


def _conditions(report: Mapping) -> str:
    if "device" not in report:
        return "Nothing was measured yet."
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    units = "with" if report["bf16_units"] else "without"
    return (
        f"Measured on {report['date']}, commit {report['commit']}, on {report['device']} ({report['capability']}, "
        f"{units} units for bf16), {report['threads']} threads. Data: {report['data']}. Versions: {versions}."
    )


def _table(caption: str, lines: Iterable[Mapping]) -> str:
    """A Markdown table under a caption that stands alone."""
    return f":::{{table}} {caption}\n\n{pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True)}\n\n:::"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


def _times(row: Row) -> str:
    return f"{row['ratio']:.2f}"


def _quartiles(row: Row) -> str:
    return " to ".join(f"{q:.2f}" for q in row["quartiles"]) if row.get("quartiles") else "–"


def said(row: Row) -> str:
    """What a ratio says once its quartiles are looked at."""
    low, high = row["quartiles"]
    inside = f"× {_times(row)}, quartiles {_quartiles(row)}"
    if low <= 1 <= high:
        return f"there is no difference that the noise would not explain ({inside})"
    return f"ours is {'faster' if low > 1 else 'slower'} ({inside})"


def _of(rows: Rows, beginning: str) -> dict[str, Row]:
    """The rows whose id has this beginning, by what follows it."""
    return {id_.removeprefix(beginning): row for id_, row in rows.items() if id_.startswith(beginning)}


# --- what is told -----------------------------------------------------------------------------------------------------


def _beside(rows: Rows, report: Mapping) -> str:
    promised = report["promised"]
    lines = [
        {
            "beside": name,
            "ours (images/s)": _number(rows[id_]["ours"]),
            "theirs (images/s)": _number(rows[id_]["other"]),
            "ours is × as fast": _times(rows[id_]),
            "quartiles": _quartiles(rows[id_]),
            "rounds": str(rows[id_]["n"]),
            "promised": f"{promised[id_]:.2f}" if id_ in promised else "–",
        }
        for id_, name in PEERS.items()
        if id_ in rows
    ]
    return _table(
        f"The targeted 10-step L∞ attack on {report['images']} images and chapter 05's bias head, all in fp32 "
        "and, where nothing else is said, on 64 images at a time. Medians over rounds in which all take turns; ratios "
        "within a round; above 1 ours is faster. Promised is what `make bench` holds the upper quartile to.",
        lines,
    )


def _in_words(rows: Rows) -> str:
    found = []
    if equal := rows.get("attack.torchattacks.fp32"):
        found.append(f"**Where we gain little or nothing:** beside torchattacks under equal conditions {said(equal)}.")
    for name, id_ in (("foolbox", "attack.foolbox"), ("the Adversarial Robustness Toolbox", "attack.art")):
        if id_ in rows and f"{id_}.frozen" in rows:
            frozen = said(rows[f"{id_}.frozen"])
            found.append(
                f"Beside {name} as it comes, {said(rows[id_])}; once its user freezes the parameters, {frozen}."
            )
    if limit := rows.get("attack.limit"):
        found.append(f"Of the speed of the bare passes, the attack reaches {100 * limit['ratio']:.0f} %.")
    return " ".join(found)


def _parts(rows: Rows) -> str:
    lines = [
        {
            "what the attack does": name,
            "with (images/s)": _number(rows[id_]["ours"]),
            "without (images/s)": _number(rows[id_]["other"]),
            "with it × as fast": _times(rows[id_]),
            "quartiles": _quartiles(rows[id_]),
        }
        for id_, name in PARTS.items()
        if id_ in rows
    ]
    return _table("Our attack as it is, and without one of the things that it does; fp32 but for the last line.", lines)


def _parts_in_words(rows: Rows, report: Mapping) -> str:
    found = ["Data that are resident on the device save nothing on a CPU, where they are nowhere else; not measured."]
    if "attack.chunks" in rows:
        found.append(f"In chunks in place of all images at once, {said(rows['attack.chunks'])}.")
    if "attack.bf16" in rows:
        has = "has" if report["bf16_units"] else "has no"
        found.append(f"This processor {has} units for bf16: with fp32 in place of bf16, {said(rows['attack.bf16'])}.")
    cold, warm = rows.get("epoch.aeda_robust/original"), rows.get("epoch.aeda_robust_warm/original")
    if cold and warm:
        found.append(
            f"A warm start of the attack makes an epoch of AEDA_robust cost {_times(warm)} in place of "
            f"{_times(cold)} epochs of Original (table below)."
        )
    return " ".join(found)


def _epochs(rows: Rows) -> str:
    once = {method: _number(row["ratio"]) for method, row in _of(rows, "once.").items()}
    lines = [
        {
            "method": label(method.removesuffix("/original")),
            "epochs of Original": _times(row),
            "quartiles": _quartiles(row),
            "s": _number(row["ours"]),
            "once, beforehand": once.get(method, "–"),
        }
        for method, row in sorted(_of(rows, "epoch.").items(), key=lambda item: item[1]["ratio"])
    ]
    return _table(
        "An epoch of each method at chapter 05's settings in fp32, with 1,000 training digits, in epochs of Original; "
        "medians over rounds. The last column is what a method does only once, in its first two epochs, in the same "
        "unit; of CycleGAN it holds one of the four epochs that its own training takes. Oracle does the same work as "
        "Original, on other data: how far it is from 1 shows the noise.",
        lines,
    )


def _growth(rows: Rows) -> list[str]:
    steps, sizes = (
        sorted(_of(rows, f"scale.{kind}.").items(), key=lambda item: int(item[0])) for kind in ("steps", "n")
    )
    found = []
    if steps:
        lines = [
            {"steps": k, "s": _number(row["ours"]), "epochs of Original": _times(row), "quartiles": _quartiles(row)}
            for k, row in steps
        ]
        caption = "An epoch of AEDA_robust with 1,000 training digits, against the steps of its attack."
        found.append(_table(caption, lines))
    if sizes:
        memory, least = _of(rows, "memory.n."), int(sizes[0][0])
        lines = [
            {
                "N": f"{int(n):,}",
                "N, times the least": f"{int(n) / least:.1f}",
                "s": _number(row["ours"]),
                "time, times the least": f"{row['ratio']:.1f}",
                "most memory (MiB)": _number(memory.get(n, {}).get("ours")),
                "before training (MiB)": _number(memory.get(n, {}).get("other")),
            }
            for n, row in sizes
        ]
        caption = (
            "One epoch of AEDA_robust, its attack of a single step, against the number N of training digits; the most "
            "memory that its process held from start to end, and what it had held at most when the data had been made "
            "and training began. Each N once, in a process of its own."
        )
        found.append(_table(caption, lines))
    return found


def _by_number(rows: Rows) -> list[tuple[str, Row]]:
    return sorted(rows.items(), key=lambda item: int(item[0]))


def _rest(rows: Rows) -> list[str]:
    """What other benchmarks wrote, as it stands."""
    lines = [
        {
            "measured": f"`{id_}`",
            "ours": _number(row["ours"]),
            "other": _number(row.get("other")),
            "unit": row["unit"],
            "device": row["device"],
        }
        for id_, row in rows.items()
        if not id_.startswith(("attack.", "epoch.", "once.", "scale.", "memory."))
    ]
    caption = "What else was timed: by its id, ours and what it is held against."
    return ["## The whole", _table(caption, lines)] if lines else []
