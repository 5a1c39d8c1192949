"""data/benchmarks.json: a row a measurement, and where and with what the rows were measured."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from aeda_core import provenance, storage
from aeda_core.findings.benchmarks import BENCHMARKS

THREADS = 2
"""Of every benchmark: what a small machine has."""

PACKAGES = ("torch", "torchattacks", "foolbox", "adversarial-robustness-toolbox", "rai-toolbox")
"""Whose versions are told."""


def put(
    rows: Iterable[Mapping], about: Mapping | None = None, owned: Sequence[str] = (), path: Path = BENCHMARKS
) -> None:
    """Merge `rows` into the file by their ids; whole or not at all.

    rows:  id, ours, other, ratio, quartiles, unit, n, device; a row of the same id is replaced, others stay
    about: what the head of the file says from now on (see `about`); None leaves it
    owned: beginnings of ids that belong to the caller: rows of these that are not in `rows` are gone
    Raises ValueError where two of `rows` have the same id.
    """
    rows = list(rows)
    new = {row["id"]: dict(row) for row in rows}
    if len(new) < len(rows):
        raise ValueError(f"{len(rows)} rows have {len(new)} different ids; an id names one row.")
    old = json.loads(path.read_text()) if path.exists() else {}
    kept = {row["id"]: row for row in old.get("rows", []) if not row["id"].startswith(tuple(owned))}
    head = {key: value for key, value in old.items() if key != "rows"} | dict(about or {})
    merged = sorted((kept | new).values(), key=lambda row: row["id"])
    storage.write(path, json.dumps(head | {"rows": merged}, indent=1, ensure_ascii=False) + "\n")


def about(data: str) -> dict:
    """The head of the file: device, what it can do, threads, commit, date, versions, and the name of the data."""
    return {
        "device": provenance.cpu_name(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "bf16_units": torch.ops.mkldnn._is_mkldnn_bf16_supported(),
        "threads": THREADS,
        "commit": provenance.commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "data": data,
    }


def row(id_: str, ours: float, other: float, ratios: Sequence[float], unit: str) -> dict:
    """A row: both numbers in `unit`, the median of `ratios` and its quartiles, and how many ratios there are."""
    low, middle, high = (round(float(q), 3) for q in np.quantile(ratios, (0.25, 0.5, 0.75)))
    return {
        "id": id_,
        "ours": float(f"{ours:.4g}"),
        "other": float(f"{other:.4g}"),
        "ratio": middle,
        "quartiles": [low, high],
        "unit": unit,
        "n": len(ratios),
        "device": provenance.cpu_name(),
    }


def taking_turns(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds (rounds,) of each contender. They take turns, each round begun by another one, so that what else the
    machine does meets all of them alike."""
    names, seconds = list(contenders), {name: [] for name in contenders}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            began = time.perf_counter()
            contenders[name]()
            seconds[name].append(time.perf_counter() - began)
    return {name: np.array(times) for name, times in seconds.items()}
