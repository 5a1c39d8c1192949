"""What is computed of runs on faces, by target task and by attribute.

A run's target tasks are `no a0, a0, no a1, a1, …` of its attributes (Sec. 2.1, footnote 2).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from aeda_core import metrics
from aeda_core.datasets.celeba import ATTRIBUTES
from aeda_core.findings import statistics
from aeda_core.findings.measures import Estimate
from aeda_core.findings.statistics import POINTS, POSITIVE
from aeda_core.metrics import spearman
from aeda_core.runs import RunRecord


def spoken(attribute: str) -> str:
    """An attribute as it is called in figures and tables."""
    return attribute.replace("_", " ").lower()


def of_method(records: Sequence[RunRecord], method: str) -> list[RunRecord]:
    """The runs of `method`, without those that it refused; raises ValueError if there are none."""
    found = [record for record in records if record.spec.method == method and not record.refused]
    if not found:
        raise ValueError(f"no record of {method}; pass the records of every method to be shown.")
    return found


def tasks(records: Sequence[RunRecord]) -> pd.DataFrame:
    """A row a target task, the folds' training and test faces taken together.

    task, attribute:  as in `smiling` or `no smiling`, and `smiling`
    ratio:            share of women among the training faces of the task; NaN where there are none
    women, men:       accuracies on test faces; NaN where there are none
    gap, size:        women − men, and |gap|, which is Eq. (1)
    floor:            |gap| of a fair model (see `metrics.permutation_floor`)
    tested:           test faces of the smaller group
    """
    counts = np.sum([record.counts for record in records], axis=0)
    groups = np.sum([record.groups for record in records], axis=0)
    known = metrics.defined(counts)
    accuracy = np.full((len(known), 2), np.nan)
    accuracy[known] = metrics.group_accuracy(counts, known)
    floors = [metrics.permutation_floor(counts, np.array([i])) if known[i] else np.nan for i in range(len(known))]
    names = [spoken(name) for name in ATTRIBUTES]
    found = {
        "task": [task for name in names for task in (f"no {name}", name)],
        "attribute": np.repeat(names, 2),
        "ratio": np.where(groups.sum(axis=1), groups[:, 0] / np.maximum(groups.sum(axis=1), 1), np.nan),
        "women": accuracy[:, 0],
        "men": accuracy[:, 1],
        "gap": accuracy[:, 0] - accuracy[:, 1],
        "size": np.abs(accuracy[:, 0] - accuracy[:, 1]),
        "floor": floors,
        "tested": counts.sum(axis=3).swapaxes(1, 2).reshape(-1, 2).min(axis=1),
    }
    return pd.DataFrame(found)


def correlation(records: Sequence[RunRecord]) -> float:
    """Spearman's correlation between the share of women and the signed gap, over the defined target tasks (Fig. 2); NaN
    where one of them never varies, as in a model that treats women and men alike."""
    rows = tasks(records).dropna()
    return spearman(rows["ratio"], rows["gap"])


def attributes(records: Sequence[RunRecord]) -> pd.DataFrame:
    """A row an attribute: `bias`, the sum of its tasks' |gap|, `bacc` in percent and `ratio` of the attribute; the
    folds' test faces are taken together. A task that is not defined is left out, and all is NaN without the other."""
    rows = tasks(records)
    by = rows.assign(bacc=50 * (rows["women"] + rows["men"])).groupby("attribute", sort=False)
    found = pd.DataFrame({"bias": by["size"].sum(min_count=1), "bacc": by["bacc"].mean()})
    return found.assign(ratio=rows["ratio"].to_numpy()[1::2])


def before_and_after(before: Sequence[RunRecord], after: Sequence[RunRecord]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`attributes` of both, those that have a bias in both."""
    found = attributes(before), attributes(after)
    known = found[0]["bias"].notna() & found[1]["bias"].notna()
    return found[0][known], found[1][known]


def share_of_bias(one: RunRecord, original: RunRecord) -> float:
    """The bias of `one` as a share of that of `original`; NaN where that is 0: there is no bias to compare with."""
    return one.bias / original.bias if original.bias else float("nan")


def over_original(records: Sequence[RunRecord], method: str) -> tuple[Estimate, Estimate]:
    """What `method` gains on Original on the same folds: points of bACC, and its bias as a share of Original's."""
    own, original = beside_original(records, method)
    pairs, overlap = list(zip(own, original, strict=True)), statistics.overlap(own)
    gain = Estimate.of((a.bacc - b.bacc for a, b in pairs), POINTS, overlap)
    return gain, Estimate.of((share_of_bias(a, b) for a, b in pairs), POSITIVE, overlap)


def beside_original(records: Sequence[RunRecord], method: str) -> tuple[list[RunRecord], list[RunRecord]]:
    """The runs of `method` on folds that Original has a run of, and these."""
    original = {run.spec.seed: run for run in of_method(records, "original")}
    own = [run for run in of_method(records, method) if run.spec.seed in original]
    return own, [original[run.spec.seed] for run in own]
