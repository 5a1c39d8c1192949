"""What predictions tell about accuracy, bias and their causes, with intervals over persons."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aeda_core import metrics
from aeda_core.datasets.base import BiasedImages
from aeda_core.own.decision import Interval, around, interval

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

REPLICATES = 500
"""Draws of other persons, of which intervals hold the middle 95 %."""

DEALS = 2000
"""Deals of the right answers by which a gap is told from chance."""

RATE = 0.05
"""The false discovery rate: of the gaps that are called more than chance about so many are chance [Benjamini and
Hochberg 1995]."""

FEWEST = 5
"""Points below which a correlation says nothing."""


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float

    def text(self, decimals: int) -> str:
        """`92.0 [91.5, 92.5]`."""
        return "{} [{}, {}]".format(*(f"{each:.{decimals}f}" for each in (self.value, self.low, self.high)))

    @property
    def percent(self) -> Estimate:
        """A share as percent."""
        return Estimate(100 * self.value, 100 * self.low, 100 * self.high)


@dataclass(frozen=True)
class Group:
    """The images of a target task with a bias value.

    persons:  identities among them
    accuracy: share that is predicted right, in [0, 1]; None without an image
    """

    target: str
    bias: str
    images: int
    persons: int
    accuracy: Estimate | None


@dataclass(frozen=True)
class Gap:
    """Eq. (1) for one target task.

    most, least: the bias values with the highest and the lowest accuracy
    gap:         between these two, in [0, 1]; as it is never negative, its interval does not hold 0
    floor:       the gap to be expected if right and wrong answers were dealt out at random
    p:           how often such a deal gives a gap at least as large
    clear:       whether the gap is more than chance, all tasks considered (RATE)
    share:       of the images of these two bias values, how many have the value `most`
    """

    target: str
    most: str
    least: str
    gap: Estimate
    floor: float
    p: float
    clear: bool
    share: float


@dataclass(frozen=True)
class Pair:
    """Two bias values on one target task, a point of Fig. 2.

    share: of the images of both, how many have the value `one`
    gap:   accuracy of `one` less that of `other`, in [-1, 1]
    """

    target: str
    one: str
    other: str
    share: float
    gap: float


@dataclass(frozen=True)
class Overall:
    """All target tasks together, of those that have an image of every bias value.

    bacc:  balanced average accuracy in percent
    bias:  model bias, Eq. (1) summed over the tasks
    floor: the bias to be expected of a fair classifier with as many right answers
    """

    bacc: Estimate
    bias: Estimate
    floor: float


@dataclass(frozen=True)
class Measured:
    """What predictions come to.

    overall:     None if no target task has an image of every bias value
    undefined:   the target tasks that have not
    correlation: Spearman's, of share and gap over `pairs`; None where nothing can be said (FEWEST)
    """

    groups: tuple[Group, ...]
    gaps: tuple[Gap, ...]
    pairs: tuple[Pair, ...]
    undefined: tuple[str, ...]
    overall: Overall | None
    correlation: float | None


def measure(data: BiasedImages, predicted: Tensor, seed: int = 0) -> Measured:
    """What the predictions t̂, int64 of the shape of `data.targets`, come to.

    Images need not be there: `data.images` is not looked at. `seed` draws persons and deals.
    """
    counts = metrics.count(data, predicted)
    known = metrics.defined(counts)
    gaps = tuple(_gaps(data, predicted, counts, seed)) if known.any() else ()
    pairs = tuple(_pairs(data, counts))
    correlation = metrics.spearman([pair.share for pair in pairs], [pair.gap for pair in pairs])
    return Measured(
        groups=tuple(_groups(data, predicted)),
        gaps=gaps,
        pairs=pairs,
        undefined=tuple(np.array(data.task_names)[~known].tolist()),
        overall=_overall(data, predicted, counts, gaps, seed) if gaps else None,
        correlation=None if len(pairs) < FEWEST or np.isnan(correlation) else correlation,
    )


def _overall(data: BiasedImages, predicted: Tensor, counts: Integers, gaps: tuple[Gap, ...], seed: int) -> Overall:
    known = metrics.defined(counts)
    others = metrics.bootstrap(data, predicted, REPLICATES, seed)
    bias = metrics.model_bias(counts, known)
    return Overall(
        bacc=Estimate(metrics.bacc(counts, known), *interval(others["bacc"])),
        bias=Estimate(bias, *around(bias, others["bias"])),
        floor=sum(gap.floor for gap in gaps),
    )


def wilson(accuracy: float, n: int) -> Interval:
    """Wilson's 95 % interval for a share of `n` trials [Wilson 1927]; never empty, not even at 0 or 1."""
    z = NormalDist().inv_cdf(0.975)
    middle, scale = accuracy + z**2 / (2 * n), 1 + z**2 / n
    half = z * (accuracy * (1 - accuracy) / n + z**2 / (4 * n**2)) ** 0.5
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def _groups(data: BiasedImages, predicted: Tensor) -> Iterator[Group]:
    """Every group. A person's images may be all alike, so that the interval counts persons, not images."""
    tasks, right, bias, identities = _arrays(data, predicted)
    for (t, target), (b, value) in itertools.product(enumerate(data.task_names), enumerate(data.bias_names)):
        rows, columns = np.nonzero((tasks == t) & (bias == b)[:, None])
        if not len(rows):
            yield Group(target, value, 0, 0, None)
            continue
        accuracy, persons = float(right[rows, columns].mean()), len(np.unique(identities[rows]))
        yield Group(target, value, len(rows), persons, Estimate(accuracy, *wilson(accuracy, persons)))


def _gaps(data: BiasedImages, predicted: Tensor, counts: Integers, seed: int) -> Iterator[Gap]:
    """Every task that is defined."""
    from scipy import stats  # takes a second

    tasks, right, bias, identities = _arrays(data, predicted)
    known = np.flatnonzero(metrics.defined(counts))
    accuracy, sizes = metrics.group_accuracy(counts, known), data.group_sizes().cpu().numpy()
    others = metrics.resampled(data, predicted, REPLICATES, seed)
    generator = np.random.default_rng(seed)
    dealt = []
    for t in known:
        rows, columns = np.nonzero(tasks == t)
        dealt.append(deal(right[rows, columns], bias[rows], identities[rows], len(data.bias_names), generator))
    size = accuracy.max(1) - accuracy.min(1)
    chance = np.array([_share_at_least(*each) for each in zip(dealt, size, strict=True)])
    clear = stats.false_discovery_control(chance) <= RATE
    for place, t in enumerate(known):
        most, least = int(accuracy[place].argmax()), int(accuracy[place].argmin())
        yield Gap(
            target=data.task_names[t],
            most=data.bias_names[most],
            least=data.bias_names[least],
            gap=Estimate(float(size[place]), *interval(np.ptp(others[:, place], axis=1))),
            floor=float(dealt[place].mean()),
            p=float(chance[place]),
            clear=bool(clear[place]),
            share=float(sizes[t, most] / sizes[t, [most, least]].sum()) if most != least else 0.5,
        )


def deal(
    right: NDArray[np.bool_], bias: Integers, identities: Integers, n_bias: int, draws: np.random.Generator
) -> Floats:
    """The gaps (DEALS,) of one target task if the right and the wrong answers were dealt out at random to the bias
    values, all images of a person with one bias value together.

    right, bias, identities: of the task's images, (N,)
    """
    persons, place = np.unique(np.stack([identities, bias]), axis=1, return_inverse=True)
    hits, images, values = np.bincount(place.ravel(), right), np.bincount(place.ravel()), persons[1]
    if (images == 1).all():  # then only the numbers of right answers matter
        sizes = np.bincount(values, minlength=n_bias)
        shares = draws.multivariate_hypergeometric(sizes, int(hits.sum()), size=DEALS) / sizes
    else:
        shares = np.empty((DEALS, n_bias))
        for row in shares:
            values = draws.permutation(values)
            row[:] = np.bincount(values, hits, n_bias) / np.bincount(values, images, n_bias)
    return np.asarray(np.ptp(shares, axis=1))


def _share_at_least(dealt: Floats, gap: float) -> float:
    """How often chance gives such a gap; the observed one is one of the deals [Phipson and Smyth 2010]."""
    return float((1 + (dealt >= gap - 1e-9).sum()) / (1 + len(dealt)))


def _pairs(data: BiasedImages, counts: Integers) -> Iterator[Pair]:
    """Every two bias values that a target task has images of."""
    sizes = data.group_sizes().cpu().numpy()
    hits = np.diagonal(counts if counts.ndim == 4 else counts[None], axis1=2, axis2=3)
    right = hits.swapaxes(1, 2).reshape(sizes.shape)
    names = data.bias_names
    for t, target in enumerate(data.task_names):
        for one, other in itertools.combinations(np.flatnonzero(sizes[t]).tolist(), 2):
            gap = right[t, one] / sizes[t, one] - right[t, other] / sizes[t, other]
            share = sizes[t, one] / (sizes[t, one] + sizes[t, other])
            yield Pair(target, names[one], names[other], float(share), float(gap))


def _arrays(data: BiasedImages, predicted: Tensor) -> tuple[Integers, NDArray[np.bool_], Integers, Integers]:
    """Of every image and each of its labels (N, A) the target task, and whether it is right; bias and identity (N,)."""
    tasks, right = data.tasks.view(len(data), -1), (predicted == data.targets).view(len(data), -1)
    found = (each.cpu().numpy() for each in (tasks, right, data.bias, data.identities))
    return tuple(found)  # type: ignore[return-value]
