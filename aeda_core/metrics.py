"""What a classifier is judged by: bACC, the model bias of Eq. (1), confusion matrices and intervals.

Everything is computed from one array of counts, `confusion` (B, T, T): of the test images with bias value b and
target t, how many were predicted as class p. A record keeps these counts and nothing else needs keeping.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import stats

from aeda_core.datasets.base import BiasedImages
from aeda_core.models import Classifier, frozen, in_chunks


class UndefinedMetric(ValueError):
    """A group without a test image has no accuracy: it is neither 0 nor 1."""


def confusion(model: Classifier, data: BiasedImages) -> np.ndarray:
    """int64 (B, T, T): counts by bias value, true class and predicted class, the model in eval mode."""
    with frozen(model):
        predicted = in_chunks(lambda x: model.target_head(model.features(x)).argmax(1), data.images)
    n_targets, n_bias = len(data.target_names), len(data.bias_names)
    cell = (data.bias * n_targets + data.targets) * n_targets + predicted
    return torch.bincount(cell, minlength=n_bias * n_targets**2).view(n_bias, n_targets, n_targets).cpu().numpy()


def group_accuracy(counts: ArrayLike) -> np.ndarray:
    """P(t̂ = t | b, t* = t): float (T, B) in [0, 1] from `confusion` (B, T, T).

    Raises UndefinedMetric if a group is empty.
    """
    counts = np.asarray(counts)
    sizes = counts.sum(axis=2)
    if not sizes.all():
        b, t = np.argwhere(sizes == 0)[0]
        raise UndefinedMetric(
            f"no test image has target class {t} and bias value {b}, so this group's accuracy is undefined; "
            "test on data in which every group occurs."
        )
    return (np.diagonal(counts, axis1=1, axis2=2) / sizes).T


def bacc(counts: ArrayLike) -> float:
    """Balanced average accuracy in percent: the mean over all groups (target, bias) of their accuracies (Sec. 4.1)."""
    return 100 * float(group_accuracy(counts).mean())


def bias_per_target(counts: ArrayLike) -> np.ndarray:
    """Eq. (1): float (T,) in [0, 1], the gap between the bias values' accuracies on each target."""
    accuracy = group_accuracy(counts)
    return accuracy.max(axis=1) - accuracy.min(axis=1)


def model_bias(counts: ArrayLike) -> float:
    """The model's overall bias: Eq. (1) summed over the targets, in 0..T (Sec. 2.1)."""
    return float(bias_per_target(counts).sum())


def consistency(counts: ArrayLike) -> float:
    """How alike the two confusion matrices of Fig. 8 are: 1 minus the mean total variation between their rows.

    1 where the predictions do not depend on the bias value at all, 0 where no row shares any of its mass.
    Raises UndefinedMetric if a group is empty.
    """
    group_accuracy(counts)  # raises
    red, brown = (c / c.sum(axis=1, keepdims=True) for c in np.asarray(counts, dtype=float))
    return 1 - float(np.abs(red - brown).sum(axis=1).mean() / 2)


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Student-t interval for the mean of independent runs (seeds, folds); infinite for a single run."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return -np.inf, np.inf
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values)
    return float(values.mean() - half), float(values.mean() + half)
