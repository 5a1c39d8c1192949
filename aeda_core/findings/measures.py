"""Records as data frames, and estimates over runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from aeda_core import metrics
from aeda_core.findings.paper import PUBLISHED, Published, in_order
from aeda_core.runs import RunRecord

DASH = "–"
DECIMALS = dict.fromkeys(("bias", "consistency", "r", "difference", "fooled"), 2)
DECIMALS |= dict.fromkeys(("bacc", "own", "other"), 1)
"""To how many decimals a quantity is shown: about as many as the spread over seeds leaves meaningful."""

PROBES = {"r": "r(m)", "difference": "feature difference", "fooled": "share that fools h_b"}
"""What is measured of adversarial examples, once there are some."""


@dataclass(frozen=True)
class Estimate:
    """A mean over runs with its 95 % interval; `low` and `high` are infinite for a single run."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Estimate:
        """Of the `values` that are no NaN; all is NaN without any."""
        values = np.asarray([v for v in values if not np.isnan(v)])
        return cls(float(values.mean()), *metrics.interval(values)) if len(values) else cls(np.nan, np.nan, np.nan)

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
    """
    return _in_order(pd.DataFrame([_row(record) for record in records]))


def _row(record: RunRecord) -> dict[str, Any]:
    row = {"method": record.name, "seed": record.spec.seed, "refused": record.refused}
    row |= {"seconds": record.provenance["seconds"]}
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
    """A row an epoch of a run: method, seed and the columns of `training.train`, NaN where a run has none of them."""
    rows = [{"method": r.name, "seed": r.spec.seed, **row} for r in records for row in r.epochs]
    columns = dict.fromkeys(["method", "seed", "epoch", *PROBES, *(name for row in rows for name in row)])
    return _in_order(pd.DataFrame(rows, columns=list(columns)))


def _in_order(data: pd.DataFrame) -> pd.DataFrame:
    """Methods in the paper's order, unknown ones last, then seeds; stable for the rest."""
    names = in_order(data["method"])
    key = data["method"].map(names.index).astype(int) * 10_000 + data["seed"]
    return data.iloc[np.argsort(key, kind="stable")].reset_index(drop=True)


def estimates(data: pd.DataFrame, column: str) -> dict[str, Estimate]:
    """For each method in `data` its mean of `column` over the runs."""
    return {str(method): Estimate.of(runs[column]) for method, runs in data.groupby("method", sort=False)}


def published(records: Sequence[RunRecord]) -> dict[str, Published]:
    """The table that the paper has on the data set of `records`; empty where it has none."""
    return PUBLISHED.get(records[0].spec.data["name"], {}) if records else {}


def accuracy(record: RunRecord) -> float:
    """Percent of a run's test images that are classified rightly."""
    return 100 * float(np.einsum("btt->", record.counts) / record.counts.sum())


def fig3(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Of runs on switched labels those that Fig. 3 shows: without the sources of a radius between 0 and the largest."""
    radii = [record.spec.options.get("source_radius", 0) for record in records]
    return [record for record, radius in zip(records, radii, strict=True) if radius in (0, max(radii))]
