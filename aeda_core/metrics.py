"""What a classifier is judged by: bACC, the model bias of Eq. (1), confusion matrices and intervals.

Everything is computed from one array of counts, `confusion` (B, T, T): of the test images with bias value b and
target t, how many were predicted as class p. Attributes have one such array each, (A, B, 2, 2). A record keeps these
counts and nothing else needs keeping. Each class, and each value of each attribute, is a target task (Sec. 2.1).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from aeda_core.datasets.base import BiasedImages
from aeda_core.models import Classifier, frozen, in_chunks, predictions

Tasks = slice | np.ndarray


class UndefinedMetric(ValueError):
    """A group without a test image has no accuracy: it is neither 0 nor 1."""


@dataclass(frozen=True)
class Evaluation:
    """What a classifier comes to on some images.

    bacc:      balanced average accuracy in percent
    bias:      model bias, Eq. (1) summed over the target tasks
    groups:    by target task and bias value, the accuracy in [0, 1]; groups without an image are left out
    confusion: the counts that all of it comes from (see `confusion`)
    undefined: the target tasks that bacc and bias leave out, for one of their groups has no image
    """

    bacc: float
    bias: float
    groups: dict[tuple[str, str], float]
    confusion: np.ndarray
    undefined: tuple[str, ...]

    def __str__(self) -> str:
        rows = [f"{target}, {bias}: {100 * accuracy:.1f} %" for (target, bias), accuracy in self.groups.items()]
        return "\n".join([f"bACC {self.bacc:.1f} %, model bias {self.bias:.2f}", *rows])


def evaluate(model: Classifier, data: BiasedImages) -> Evaluation:
    """bACC, model bias and the accuracy of every group of `data`, the model in eval mode.

    Raises UndefinedMetric if no target task has an image of each bias value.
    """
    counts = confusion(model, data)
    known, (right, sizes) = defined(counts), _groups(counts)
    if not known.any():
        raise UndefinedMetric(
            "no target task has an image of each bias value, so bACC and bias are undefined; evaluate on data in which "
            "every group occurs."
        )
    return Evaluation(
        bacc=bacc(counts, known),
        bias=model_bias(counts, known),
        groups={
            (data.task_names[t], data.bias_names[b]): float(right[t, b] / sizes[t, b]) for t, b in np.argwhere(sizes)
        },
        confusion=counts,
        undefined=tuple(name for name, whole in zip(data.task_names, known, strict=True) if not whole),
    )


def confusion(model: Classifier, data: BiasedImages) -> np.ndarray:
    """int64 (B, T, T) or (A, B, 2, 2): counts by bias value, true and predicted class, the model in eval mode."""
    return count(data, predicted(model, data))


def predicted(model: Classifier, data: BiasedImages) -> torch.Tensor:
    """t̂ of every image, of the shape of `data.targets`, the model in eval mode."""
    with frozen(model):
        return predictions(in_chunks(lambda x: model.target_head(model.features(x)), data.images), data.targets)


def count(data: BiasedImages, predicted: torch.Tensor) -> np.ndarray:
    """`confusion` of predictions (N,) or (N, A) that are already there."""
    n_targets, n_bias = 2 if data.targets.ndim == 2 else len(data.target_names), len(data.bias_names)
    bias = data.bias if data.targets.ndim == 1 else data.bias[:, None]
    cells = ((bias * n_targets + data.targets) * n_targets + predicted).view(len(data), -1).T
    each = [torch.bincount(cell, minlength=n_bias * n_targets**2) for cell in cells]
    return torch.stack(each).view(*data.targets.shape[1:], n_bias, n_targets, n_targets).cpu().numpy()


def defined(counts: ArrayLike) -> np.ndarray:
    """bool (tasks,): which target tasks have a test image of each bias value, so that all of this can be said of them.

    In CelebA a fold may hold no man with rosy cheeks.
    """
    return (_groups(counts)[1] > 0).all(axis=1)


ALL = slice(None)


def group_accuracy(counts: ArrayLike, tasks: Tasks = ALL) -> np.ndarray:
    """P(t̂ = t | b, t* = t): float (tasks, B) in [0, 1] from `confusion`; of attributes, tasks 2a and 2a + 1 are the
    absence and the presence of attribute a.

    tasks: the target tasks to look at, such as those that are `defined`
    Raises UndefinedMetric if one of their groups is empty.
    """
    right, sizes = (of[tasks] for of in _groups(counts))
    if not sizes.all():
        task, b = np.argwhere(sizes == 0)[0]
        raise UndefinedMetric(
            f"no test image has target task {np.arange(len(_groups(counts)[1]))[tasks][task]} and bias value {b}, so "
            "this group's accuracy is undefined; test on data in which every group occurs."
        )
    return right / sizes


def _groups(counts: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """How many are right, and of how many: two arrays (tasks, B)."""
    counts = np.asarray(counts)
    counts = counts[None] if counts.ndim == 3 else counts
    right, sizes = np.diagonal(counts, axis1=2, axis2=3), counts.sum(axis=3)
    return tuple(of.swapaxes(1, 2).reshape(-1, counts.shape[1]) for of in (right, sizes))


def bacc(counts: ArrayLike, tasks: Tasks = ALL) -> float:
    """Balanced average accuracy in percent: the mean over all groups (target, bias) of their accuracies (Sec. 4.1)."""
    return 100 * float(group_accuracy(counts, tasks).mean())


def bias_per_target(counts: ArrayLike, tasks: Tasks = ALL) -> np.ndarray:
    """Eq. (1): float (tasks,) in [0, 1], the gap between the bias values' accuracies on each target task."""
    accuracy = group_accuracy(counts, tasks)
    return accuracy.max(axis=1) - accuracy.min(axis=1)


def model_bias(counts: ArrayLike, tasks: Tasks = ALL) -> float:
    """The model's overall bias: Eq. (1) summed over the target tasks, in 0..tasks (Sec. 2.1)."""
    return float(bias_per_target(counts, tasks).sum())


FLOOR_DRAWS = 10_000
"""Deals that `permutation_floor` averages over where there are more than two bias values."""


def permutation_floor(counts: ArrayLike, tasks: Tasks = ALL) -> float:
    """The model bias that a fair model would show on these test images: its expectation if, within each target task,
    the right and the wrong answers were dealt out to the bias values at random.

    A sum of absolute gaps between small groups is never 0. With two bias values it is exact, for the gaps'
    distributions are hypergeometric. With more it is the mean of FLOOR_DRAWS deals, drawn from the multivariate
    hypergeometric distribution with a fixed seed; a task's floor then has a standard error of at most 0.005.
    """
    generator, floor = np.random.default_rng(0), 0.0
    for right, sizes in zip(*(of[tasks] for of in _groups(counts)), strict=True):
        if len(sizes) == 2:
            floor += _exact_floor(int(right.sum()), *map(int, sizes))
        else:
            dealt = generator.multivariate_hypergeometric(sizes, right.sum(), size=FLOOR_DRAWS) / sizes
            floor += float((dealt.max(axis=1) - dealt.min(axis=1)).mean())
    return floor


@functools.lru_cache(maxsize=10_000)
def _exact_floor(right: int, size: int, other: int) -> float:
    """Of one task with two bias values: the expected gap if `right` right answers are dealt out to `size` and `other`
    images. A page asks for the same few many times."""
    from scipy import stats  # here and below: takes a second, and training does not need it

    first = np.arange(size + 1)
    chance = stats.hypergeom(size + other, right, size).pmf(first)
    return float(chance @ np.abs(first / size - (right - first) / other))


def bootstrap(data: BiasedImages, predicted: torch.Tensor, replicates: int = 200, seed: int = 0) -> dict[str, list]:
    """bACC and model bias if other persons had been tested (see `resampled`).

    Returns `{"bacc": [...], "bias": [...]}`, `replicates` values each, over the defined target tasks.
    """
    accuracy = resampled(data, predicted, replicates, seed)
    gaps = (accuracy.max(axis=2) - accuracy.min(axis=2)).sum(axis=1)
    return {"bacc": (100 * accuracy.mean(axis=(1, 2))).round(3).tolist(), "bias": gaps.round(4).tolist()}


def resampled(data: BiasedImages, predicted: torch.Tensor, replicates: int = 200, seed: int = 0) -> np.ndarray:
    """Group accuracies if other persons had been tested: the Bayesian bootstrap [Rubin 1981], which gives every person
    (identity) a random positive weight, so that no group is ever emptied.

    predicted: t̂, of the shape of `data.targets`
    Returns float (replicates, defined target tasks, B).
    """
    person = _in_order_of_appearance(data.identities.cpu().numpy())
    weights = np.random.default_rng(seed).exponential(size=(replicates, person.max(initial=-1) + 1))[:, person]
    targets, predicted = data.targets.cpu().numpy(), predicted.cpu().numpy()
    kinds = range(len(data.target_names)) if targets.ndim == 1 else (0, 1)
    members = np.stack([targets.reshape(len(data), -1) == kind for kind in kinds], axis=2).reshape(len(data), -1)
    right = members & np.repeat((targets == predicted).reshape(len(data), -1), len(kinds), axis=1)
    bias = data.bias.cpu().numpy()
    groups = [
        (weights[:, bias == b] @ right[bias == b], weights[:, bias == b] @ members[bias == b])
        for b in range(len(data.bias_names))
    ]
    known = np.all([sizes[0] > 0 for _, sizes in groups], axis=0)
    return np.stack([hits[:, known] / sizes[:, known] for hits, sizes in groups], axis=2)


def _in_order_of_appearance(identities: np.ndarray) -> np.ndarray:
    """The identities numbered anew, from 0, as they come."""
    _, first, place = np.unique(identities, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[place]


def spearman(one: ArrayLike, other: ArrayLike) -> float:
    """Spearman's correlation; NaN where one of the two never varies, so that there is no order to compare."""
    from scipy import stats

    pairs = [np.asarray(values, dtype=float) for values in (one, other)]
    varied = len(pairs[0]) > 1 and min(map(np.ptp, pairs)) > 0
    return float(stats.spearmanr(*pairs).statistic) if varied else float("nan")


def consistency(counts: ArrayLike) -> float:
    """How alike the confusion matrices of Fig. 8 are: 1 minus the mean total variation between their rows, over all
    pairs of bias values.

    1 where the predictions do not depend on the bias value at all, 0 where no row shares any of its mass.
    Raises UndefinedMetric if a group is empty.
    """
    group_accuracy(counts)  # raises
    shares = [c / c.sum(axis=1, keepdims=True) for c in np.asarray(counts, dtype=float)]
    gaps = [np.abs(one - other).sum(axis=1).mean() / 2 for one, other in itertools.combinations(shares, 2)]
    return 1 - float(np.mean(gaps))


def paired(more: Mapping[int, float], less: Mapping[int, float]) -> dict[int, float]:
    """By seed, or fold: how much larger the one is than the other, for the seeds that both have.

    Two methods are compared so wherever they are: the draws they share cancel, and `interval` of what is left is
    narrower than the two intervals would suggest.
    """
    return {seed: more[seed] - less[seed] for seed in sorted(more.keys() & less.keys())}


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Student-t interval for the mean of independent runs (seeds, folds); infinite for a single run."""
    from scipy import stats

    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return -np.inf, np.inf
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values)
    return float(values.mean() - half), float(values.mean() + half)
