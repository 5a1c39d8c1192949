"""Records as data frames, and estimates over runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from aeda_core import metrics
from aeda_core.findings import statistics
from aeda_core.findings.paper import PUBLISHED, Published, in_order
from aeda_core.findings.statistics import PERCENT, POSITIVE, REAL, SHARE, Range
from aeda_core.runs import RunRecord

DASH = "–"
DECIMALS = dict.fromkeys(("bias", "consistency", "r", "difference", "fooled", "swing"), 2)
DECIMALS |= dict.fromkeys(("bacc", "own", "other"), 1)
"""To how many decimals a quantity is shown: about as many as the spread over seeds leaves meaningful."""

RANGES: dict[str, Range] = dict.fromkeys(("bacc", "own", "other", "accuracy", "precision", "f1"), PERCENT)
RANGES |= dict.fromkeys(("consistency", "r", "swing", "fooled", "bias_head"), SHARE)
RANGES |= dict.fromkeys(("difference", "loss"), POSITIVE)
"""The least and the largest value of a quantity, as far as it is the same for all runs (see `range_of`)."""

END = 4
"""How many epochs the end of training is. Their number is even, for r(m) of aeda_robust may go up and down from one
epoch to the next."""

PROBES = {"r": "r(m)", "difference": "feature difference", "fooled": "share that fools h_b"}
"""What is measured of adversarial examples, once there are some."""


@dataclass(frozen=True)
class Estimate:
    """A mean over runs with its 95 % interval; `low` and `high` are infinite for a single run."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float], within: Range = REAL, overlap: float = 0.0) -> Estimate:
        """Of those of `values` that are no NaN; all is NaN without any. within, overlap: see `statistics.interval`"""
        known = [v for v in values if not np.isnan(v)]
        interval = statistics.interval(known, within, overlap)
        return cls(float(np.mean(known)), *interval) if known else cls(np.nan, np.nan, np.nan)

    def text(self, decimals: int) -> str:
        """`92.0 [91.5, 92.5]`; the mean alone for a single run; a dash for none."""
        if np.isnan(self.mean):
            return DASH
        rounded = (round(v, decimals) + 0.0 for v in (self.mean, self.low, self.high))  # + 0.0: never −0.0
        mean, low, high = (f"{v:.{decimals}f}".replace("-", "−") for v in rounded)
        return f"{mean} [{low}, {high}]" if np.isfinite(self.low) else mean


def number(value: float, decimals: int) -> str:
    """`value` to `decimals`; a dash where it is NaN, for there is nothing that it could be computed from."""
    return DASH if np.isnan(value) else f"{value:.{decimals}f}"


def frame(records: Iterable[RunRecord]) -> pd.DataFrame:
    """A row a run: what it is, how it came out, what it took.

    bacc, bias:       `metrics.bacc`, `metrics.model_bias`
    own, other:       of C-MNIST, accuracies in percent on each digit's own training background and on the other one
    consistency:      of classes, `metrics.consistency`
    refused:          why the method does not apply, else None; its numbers are then NaN
    overlap:          `statistics.overlap`, by which intervals over folds are corrected
    tasks:            target tasks, which the bias is at most; infinite where they are not known
    """
    return _in_order(pd.DataFrame([_row(record) for record in records]))


def _row(record: RunRecord) -> dict[str, Any]:
    row = {"method": record.name, "seed": record.spec.seed, "refused": record.refused}
    row |= {"seconds": record.provenance["seconds"], **_design(record)}
    row |= dict.fromkeys(("bacc", "bias", "own", "other", "consistency"), float("nan"))
    if record.confusion is not None:
        row |= {"bacc": record.bacc, "bias": record.bias}
        if record.counts.ndim == 3 and not record.undefined:
            row["consistency"] = metrics.consistency(record.counts)
            if record.spec.data["name"] == "cmnist":
                row["own"], row["other"] = own_and_other(record.counts)
    return row


def own_and_other(counts: np.ndarray) -> tuple[float, float]:
    """Accuracies in percent over the groups whose background is their digit's in training (0-4 red, 5-9 brown), and
    over the others. counts: (2, 10, 10)"""
    accuracy = 100 * metrics.group_accuracy(counts)
    own, other = (accuracy[:5, b].mean() + accuracy[5:, 1 - b].mean() for b in (0, 1))
    return float(own / 2), float(other / 2)


def epochs(records: Iterable[RunRecord]) -> pd.DataFrame:
    """A row an epoch of a run: the design as in `frame`, and the columns of `training.train`, NaN where it has
    none."""
    rows = [
        {"method": r.name, "seed": r.spec.seed, **design, **row}
        for r in records
        for design in [_design(r)]
        for row in r.epochs
    ]
    columns = dict.fromkeys(
        ["method", "seed", "overlap", "tasks", "epoch", *PROBES, *(name for row in rows for name in row)]
    )
    return _in_order(pd.DataFrame(rows, columns=list(columns)))


def _design(record: RunRecord) -> dict[str, float]:
    """What decides how an interval over runs such as this one is computed."""
    tasks = np.inf if record.confusion is None else len(metrics.defined(record.counts))
    return {"overlap": statistics.overlap([record]), "tasks": float(tasks)}


def range_of(data: pd.DataFrame, column: str) -> Range:
    """The least and the largest value that `column` of `frame` or of `epochs` can have."""
    return (0.0, data["tasks"].min()) if column == "bias" else RANGES.get(column, REAL)


def _in_order(data: pd.DataFrame) -> pd.DataFrame:
    """Methods in the paper's order, unknown ones last, then seeds; stable for the rest."""
    names = in_order(data["method"])
    key = data["method"].map(names.index).astype(int) * 10_000 + data["seed"]
    return data.iloc[np.argsort(key, kind="stable")].reset_index(drop=True)


def estimates(data: pd.DataFrame, column: str) -> dict[str, Estimate]:
    """For each method in `data` its mean of `column` over the runs."""
    within = range_of(data, column)
    groups = data.groupby("method", sort=False)
    return {str(method): Estimate.of(runs[column], within, runs["overlap"].mean()) for method, runs in groups}


def published(records: Sequence[RunRecord]) -> dict[str, Published]:
    """The table that the paper has on the data set of `records`; empty where it has none."""
    return PUBLISHED.get(records[0].spec.data["name"], {}) if records else {}


def accuracy(record: RunRecord) -> float:
    """Percent of a run's test images that are classified rightly."""
    return 100 * float(np.einsum("btt->", record.counts) / record.counts.sum())


def ending(run: RunRecord, measure: str) -> list[float]:
    """`measure` after each of the last END epochs that has it."""
    return [row[measure] for row in run.epochs[-END:] if measure in row]


def end(run: RunRecord, measure: str) -> float:
    """`measure` in the end: the mean of `ending`; NaN where there is none, as the attack was never to begin."""
    return float(np.mean(ending(run, measure) or [np.nan]))


def fig3(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Of runs on switched labels those that Fig. 3 shows: without the sources of a radius between 0 and the largest."""
    radii = [record.spec.options.get("source_radius", 0) for record in records]
    return [record for record, radius in zip(records, radii, strict=True) if radius in (0, max(radii))]
