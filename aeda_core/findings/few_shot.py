"""What is computed of chapter 09: what becomes of the digits with four images each, Table 3."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from aeda_core import metrics
from aeda_core.experiments.few_shot import FEW, variant
from aeda_core.findings.paper import TABLE3
from aeda_core.runs import RunRecord


def precision(counts: ArrayLike) -> np.ndarray:
    """TP / (TP + FP) in percent, float (T,), over both backgrounds; 0 where a class is never predicted, which is 0/0
    (assumption: few-shot-precision)."""
    counts = np.asarray(counts).sum(axis=0)
    return 100 * np.diagonal(counts) / np.maximum(counts.sum(axis=0), 1)


def accuracy(counts: ArrayLike) -> np.ndarray:
    """TP / (TP + FN) in percent, float (T,): the share of a class's images that are recognised, over both
    backgrounds; also called recall. NaN for a class without test images."""
    known = metrics.defined(counts)
    found = np.full(len(known), np.nan)
    found[known] = 100 * metrics.group_accuracy(counts, known).mean(axis=1)
    return found


def f1(counts: ArrayLike) -> np.ndarray:
    """2 TP / (2 TP + FP + FN) in percent, float (T,): the harmonic mean of precision and recall; 0 for a class
    that is neither there nor predicted."""
    counts = np.asarray(counts).sum(axis=0)
    return 200 * np.diagonal(counts) / np.maximum(counts.sum(axis=0) + counts.sum(axis=1), 1)


def never_predicted(counts: ArrayLike) -> np.ndarray:
    """bool (T,): which classes no image was taken for."""
    return np.asarray(counts).sum(axis=(0, 1)) == 0


KINDS = {"precision": precision, "accuracy": accuracy, "f1": f1}
MEASURES = {"precision": "precision (%)", "accuracy": "accuracy (%)"}
"""Those of Table 3, which prints one number and calls it both."""

GROUPS: dict[int | str, list[int]] = {digit: [digit] for digit in FEW} | {"four": list(FEW)}
GROUPS["six"] = [digit for digit in range(10) if digit not in FEW]
"""What is told of a run: each of the few-shot digits, their mean, and that of the others."""


def value(record: RunRecord, measure: str, digit: int | str) -> float:
    """One of KINDS of one of GROUPS, in percent."""
    return float(KINDS[measure](record.counts)[GROUPS[digit]].mean())


def frame(records: Sequence[RunRecord]) -> pd.DataFrame:
    """A row a run and member of GROUPS.

    variant, seed; digit; precision, accuracy and f1 in percent; never: whether the digit was never predicted
    """
    rows = [
        {"variant": variant(record.spec), "seed": record.spec.seed, "digit": digit}
        | {measure: value(record, measure, digit) for measure in KINDS}
        | {"never": bool(never_predicted(record.counts)[members].all())}
        for record in records
        for digit, members in GROUPS.items()
    ]
    return pd.DataFrame(rows, columns=["variant", "seed", "digit", *KINDS, "never"])


def without_repeated(records: Sequence[RunRecord]) -> list[RunRecord]:
    """The runs that Table 3 has a row for, which are not those that repeat the shots without attacking."""
    return [record for record in records if variant(record.spec) != "repeated"]


def paper_gain() -> float:
    """What Table 3 adds up to: the mean of the four differences, which the text rounds to 27."""
    return float(np.mean([TABLE3["few_shot"][digit] - TABLE3["original"][digit] for digit in FEW]))
