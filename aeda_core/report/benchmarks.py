"""The benchmarks page: data/benchmarks.json as tables, and as the sentences that follow from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from aeda_core.datasets.base import DATA
from aeda_core.report.paper import METHOD_LABELS

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

Rows = Mapping[str, Mapping]


def page(path: Path = BENCHMARKS) -> str:
    """Markdown of everything that `path` holds; a table whose rows are missing is left out."""
    report = json.loads(path.read_text())
    rows = {row["id"]: row for row in report.get("rows", [])}
    parts = [_ground(report)]
    if any(id_ in rows for id_ in PEERS):
        parts += ["## The attack beside others", _beside(rows, report), *_in_words(rows)]
    if any(id_ in rows for id_ in PARTS):
        parts += ["## What makes it fast, and what does not", _parts(rows), *_parts_in_words(rows, report)]
    if any(id_.startswith("epoch.") for id_ in rows):
        parts += ["## What an epoch costs", _epochs(rows), *_refused(report)]
    if any(id_.startswith(("scale.", "memory.")) for id_ in rows):
        parts += ["## What it grows with", *_growth(rows)]
    return "\n\n".join([*parts, *_rest(rows)])


def _ground(report: Mapping) -> str:
    if "device" not in report:
        return "Nothing was measured yet."
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    units = "with" if report["bf16_units"] else "without"
    return (
        f"Measured on {report['date']}, commit {report['commit']}, on {report['device']} ({report['capability']}, "
        f"{units} units for bf16), {report['threads']} threads. Data: {report['data']}. Versions: {versions}."
    )


def _table(caption: str, lines: Sequence[Mapping]) -> str:
    """A Markdown table under a caption that stands alone."""
    return f":::{{table}} {caption}\n\n{pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True)}\n\n:::"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


def _times(row: Mapping) -> str:
    return f"{row['ratio']:.2f}"


def _quartiles(row: Mapping) -> str:
    return " to ".join(f"{q:.2f}" for q in row["quartiles"]) if row.get("quartiles") else "–"


def _line(name: str, row: Mapping) -> dict[str, str]:
    return {
        "beside": name,
        "ours (images/s)": _number(row["ours"]),
        "theirs (images/s)": _number(row["other"]),
        "ours is × as fast": _times(row),
        "quartiles": _quartiles(row),
        "rounds": str(row["n"]),
    }


def _beside(rows: Rows, report: Mapping) -> str:
    promised = report["promised"]
    lines = [
        _line(name, rows[id_]) | {"promised": f"{promised[id_]:.2f}" if id_ in promised else "–"}
        for id_, name in PEERS.items()
        if id_ in rows
    ]
    return _table(
        f"The targeted 10-step L∞ attack on {report['images']} images and chapter 05's bias head, all in fp32 "
        "and, where nothing else is said, on 64 images at a time. Medians over rounds in which all take turns; ratios "
        "within a round; above 1 ours is faster. Promised is what `make bench` holds the upper quartile to.",
        lines,
    )


def said(row: Mapping) -> str:
    """What a ratio says once its quartiles are looked at."""
    low, high = row["quartiles"]
    inside = f"× {_times(row)}, quartiles {_quartiles(row)}"
    if low > 1:
        return f"ours is faster ({inside})"
    if high < 1:
        return f"ours is slower ({inside})"
    return f"there is no difference that the noise would not explain ({inside})"


def _in_words(rows: Rows) -> list[str]:
    found = []
    if equal := rows.get("attack.torchattacks.fp32"):
        found.append(f"**Where we gain little or nothing:** beside torchattacks under equal conditions {said(equal)}.")
    for name, id_ in (("foolbox", "attack.foolbox"), ("the Adversarial Robustness Toolbox", "attack.art")):
        if id_ in rows and f"{id_}.frozen" in rows:
            found.append(
                f"Beside {name} as it comes, {said(rows[id_])}; once its user freezes the parameters, "
                f"{said(rows[f'{id_}.frozen'])}."
            )
    if limit := rows.get("attack.limit"):
        found.append(f"Of the speed of the bare passes, the attack reaches {100 * limit['ratio']:.0f} %.")
    return [" ".join(found)]


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


def _parts_in_words(rows: Rows, report: Mapping) -> list[str]:
    found = ["Data that are resident on the device save nothing on a CPU, where they are nowhere else; not measured."]
    if "attack.chunks" in rows:
        found.append(f"In chunks in place of all images at once, {said(rows['attack.chunks'])}.")
    if "attack.bf16" in rows:
        reason = "has" if report["bf16_units"] else "has no"
        found.append(
            f"This processor {reason} units for bf16: with fp32 in place of bf16, {said(rows['attack.bf16'])}."
        )
    cold, warm = rows.get("epoch.aeda_robust/original"), rows.get("epoch.aeda_robust_warm/original")
    if cold and warm:
        found.append(
            f"A warm start of the attack makes an epoch of AEDA_robust cost {_times(warm)} in place of "
            f"{_times(cold)} epochs of Original (table below)."
        )
    return [" ".join(found)]


def _epochs(rows: Rows) -> str:
    lines = []
    for id_, row in rows.items():
        if id_.startswith("epoch."):
            method = id_.removeprefix("epoch.").removesuffix("/original")
            once = rows.get(f"once.{method}/original")
            lines.append((row["ratio"], {
                "method": METHOD_LABELS.get(method, method.replace("_", " ")),
                "epochs of Original": _times(row),
                "quartiles": _quartiles(row),
                "s": _number(row["ours"]),
                "once, beforehand": "–" if once is None else _number(once["ratio"]),
            }))  # fmt: skip
    return _table(
        "An epoch of each method at chapter 05's settings in fp32, with 1,000 training digits, in epochs of Original; "
        "medians over rounds. The last column is what a method does only once, in its first two epochs, in the same "
        "unit; of CycleGAN it holds one of the four epochs that its own training takes. Oracle does the same work as "
        "Original, on other data: how far it is from 1 shows the noise.",
        [line for _, line in sorted(lines, key=lambda pair: pair[0])],
    )


def _refused(report: Mapping) -> list[str]:
    return [f"Left out: {METHOD_LABELS.get(name, name)}. {why}" for name, why in report.get("refused", {}).items()]


def _numbered(rows: Rows, beginning: str) -> dict[int, Mapping]:
    found = {int(id_.removeprefix(beginning)): row for id_, row in rows.items() if id_.startswith(beginning)}
    return dict(sorted(found.items()))


def _growth(rows: Rows) -> list[str]:
    steps, sizes, memory = (_numbered(rows, kind) for kind in ("scale.steps.", "scale.n.", "memory.n."))
    found = []
    if steps:
        lines = [
            {
                "steps": str(k),
                "s": _number(row["ours"]),
                "epochs of Original": _times(row),
                "quartiles": _quartiles(row),
            }
            for k, row in steps.items()
        ]
        found.append(
            _table("An epoch of AEDA_robust with 1,000 training digits, against the steps of its attack.", lines)
        )
    if sizes:
        least = min(sizes)
        lines = [
            {
                "N": f"{n:,}",
                "N, times the least": f"{n / least:.1f}",
                "s": _number(row["ours"]),
                "time, times the least": f"{row['ratio']:.1f}",
                "most memory (MiB)": _number(memory[n]["ours"]) if n in memory else "–",
                "before training (MiB)": _number(memory[n]["other"]) if n in memory else "–",
            }
            for n, row in sizes.items()
        ]
        found.append(_table(
            "One epoch of AEDA_robust, its attack of a single step, against the number N of training digits; the most "
            "memory that its process held from start to end, and what it had held at most when the data had been made "
            "and training began. Each N once, in a process of its own.", lines,
        ))  # fmt: skip
    return found


def _rest(rows: Rows) -> list[str]:
    """What other benchmarks wrote, as it stands."""
    known = ("attack.", "epoch.", "once.", "scale.", "memory.")
    lines = [
        {
            "measured": f"`{id_}`",
            "ours": _number(row["ours"]),
            "other": _number(row.get("other")),
            "unit": row["unit"],
            "device": row["device"],
        }
        for id_, row in rows.items()
        if not id_.startswith(known)
    ]
    return (
        ["## The whole", _table("What else was timed: by its id, ours and what it is held against.", lines)]
        if lines
        else []
    )
