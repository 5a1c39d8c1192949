"""Intervals for means over runs: the one place where it is decided how sure a number is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import special, stats

from aeda_core import datasets
from aeda_core.runs import RunRecord

Range = tuple[float, float]
"""The least and the largest value that a quantity can have."""

REAL: Range = (-np.inf, np.inf)
POSITIVE: Range = (0.0, np.inf)
SHARE: Range = (0.0, 1.0)
PERCENT: Range = (0.0, 100.0)
POINTS: Range = (-100.0, 100.0)
SIGNED: Range = (-1.0, 1.0)

LEVEL = 0.95


def interval(values: Sequence[float], within: Range = REAL, overlap: float = 0.0, level: float = LEVEL) -> Range:
    """Student's interval for the mean of runs, on a scale that keeps it `within` the range of the quantity.

    within:  (low, high). A bounded quantity gets a logit scale, which on (-1, 1) is Fisher's z; one that is bounded
             only below gets a log scale. The standard error is carried there by the delta method (Agresti,
             Categorical Data Analysis, 2013, sec. 3.1; R's survey::svyciprop does the same), so that the mean is
             always inside.
    overlap: test images over training images where runs share training images, as folds do; 0 for independent runs.
             The variance of the mean is then (1/n + overlap) s² in place of s²/n (Nadeau and Bengio, Machine Learning
             52, 2003, the corrected resampled t-test).
    level:   coverage

    The bounds are infinite for a single run. They are the mean itself where all runs agree.
    """
    n = len(values)
    if n < 2:
        return REAL
    error = np.std(values, ddof=1) * np.sqrt(1 / n + overlap)
    return _around(float(np.mean(values)), float(stats.t.ppf((1 + level) / 2, n - 1) * error), within)


def _around(mean: float, reach: float, within: Range) -> Range:
    """`mean` ± `reach`, carried to the scale of the range `within` and back."""
    low, high = within
    if reach == 0 or not low < mean < high:
        return mean, mean
    ends = np.array([-reach, reach])
    if np.isfinite(high):
        slope = (high - low) / ((mean - low) * (high - mean))
        bounds = low + (high - low) * special.expit(special.logit((mean - low) / (high - low)) + ends * slope)
    elif np.isfinite(low):
        bounds = low + (mean - low) * np.exp(ends / (mean - low))
    else:
        bounds = mean + ends
    return float(bounds[0]), float(bounds[1])


def overlap(records: Iterable[RunRecord]) -> float:
    """Test images over training images, the mean over `records`; 0 where runs differ in seeds and not in folds.

    Both are counted from what a record says of its groups. People held out of a fold's training are in neither.
    """
    return float(np.mean([_overlap(record) for record in records] or [0.0]))


def _overlap(record: RunRecord) -> float:
    if datasets.named(record.spec.data["name"]).runs_over != "fold" or not record.groups or record.refused:
        return 0.0
    return float(record.counts.sum() / np.sum(record.groups))  # of attributes both count everybody once for each


def paired(more: Mapping[int, float], less: Mapping[int, float]) -> dict[int, float]:
    """By seed, or fold: how much larger the one is than the other, for the seeds that both have.

    Two methods are compared so wherever they are: the draws they share cancel, and `interval` of what is left is
    narrower than the two intervals would suggest.
    """
    return {seed: more[seed] - less[seed] for seed in sorted(more.keys() & less.keys())}


def over_people(records: Sequence[RunRecord], original: Sequence[RunRecord] = ()) -> Range:
    """95 % interval of the bias over who is tested, on a log scale; the folds and what was trained on them stay.

    records:  of one method, with bootstrap replicates of `metrics.bootstrap`. Only their spread is taken: a sum of
              absolute gaps comes out larger in a replicate, which weighs people unequally, so that quantiles would be
              off centre.
    original: the runs on the same folds that each is divided by. Both were tested on the same people, and a replicate
              weighs these alike in both, so the comparison is paired.
    """
    drawn, found = _biases(records)
    if original:
        drawn, found = (own / theirs for own, theirs in zip((drawn, found), _biases(original), strict=True))
    reach = stats.norm.ppf((1 + LEVEL) / 2) * drawn.mean(axis=0).std(ddof=1)
    return _around(float(found.mean()), float(reach), POSITIVE)


def _biases(records: Sequence[RunRecord]) -> tuple[np.ndarray, np.ndarray]:
    """The bias of every run: its bootstrap replicates, and as it was measured."""
    return np.array([(run.bootstrap or {})["bias"] for run in records]), np.array([run.bias for run in records])


def same_images(records: Sequence[RunRecord]) -> bool:
    """Whether runs of one method, with several seeds, were all trained on the same images, so that an interval over
    seeds says nothing about other images."""
    return len({run.spec.seed for run in records}) > 1 and all(r.spec.data == records[0].spec.data for r in records)
